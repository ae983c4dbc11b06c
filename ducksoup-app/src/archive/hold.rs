// SPDX-License-Identifier: MPL-2.0

//! How it is known whether a run still lives: its process keeps an advisory lock (`flock`) on its
//! manifest, which the system takes away with the process, however that ends. A manifest is
//! replaced at each change; the new one is locked before it is seen.
//!
//! Servers on several machines may share a data folder where its file system shares locks (NFS
//! since version 4 does).

use std::fs::{self, File, TryLockError};
use std::io::{self, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

/// A lock on a manifest, for as long as this lives.
#[derive(Debug)]
pub struct Hold {
    _file: File,
}

/// Whether a manifest is somebody's.
#[derive(Debug)]
pub enum Claim {
    /// It was nobody's; now it is ours.
    Ours(Hold),
    /// The run lives, or somebody else sees to it.
    Taken,
}

/// Puts a manifest in the place of the one before, in one step: a reader never sees half of it, and
/// never an unlocked one while the hold lives.
///
/// # Errors
/// When it cannot be written; the one before is untouched.
pub fn replace(path: &Path, text: &[u8]) -> io::Result<Hold> {
    let new = path.with_extension("json.new");
    let written = write(&new, text).and_then(|hold| {
        fs::rename(&new, path)?;
        Ok(hold)
    });
    if written.is_err() {
        // It may have been made.
        let _ = fs::remove_file(&new);
    }
    written
}

fn write(path: &Path, text: &[u8]) -> io::Result<Hold> {
    let mut file = File::create(path)?;
    file.write_all(text)?;
    // Where there are no locks, `claim` fails as well, and leaves all runs alone.
    let _ = file.try_lock();
    Ok(Hold { _file: file })
}

/// Takes a manifest that is nobody's.
///
/// # Errors
/// When it cannot be opened, or its file system knows no locks: then nobody can tell whether the
/// run lives.
pub fn claim(path: &Path) -> io::Result<Claim> {
    // Over NFS an exclusive lock needs a file that may be written.
    let file = File::options().read(true).write(true).open(path)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Ok(Claim::Taken),
        Err(TryLockError::Error(error)) => return Err(error),
    }
    // Between the two lines above its owner may have put another one in its place.
    let (locked, there) = (file.metadata()?, fs::metadata(path)?);
    let same = (locked.dev(), locked.ino()) == (there.dev(), there.ino());
    Ok(if same { Claim::Ours(Hold { _file: file }) } else { Claim::Taken })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn is_ours(path: &Path) -> bool {
        matches!(claim(path).unwrap(), Claim::Ours(_))
    }

    #[test]
    fn a_manifest_is_taken_from_its_first_writing_to_the_end_of_its_process_and_no_longer() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("i-x.json");
        let mut hold = replace(&path, b"1").unwrap();
        assert!(!is_ours(&path));
        for text in ["2", "3"] {
            hold = replace(&path, text.as_bytes()).unwrap();
            assert!(!is_ours(&path), "{text}");
        }
        assert_eq!(fs::read_to_string(&path).unwrap(), "3");
        drop(hold);
        assert!(is_ours(&path));
        assert!(is_ours(&path), "and it is given back");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn two_who_find_a_manifest_do_not_both_get_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("i-x.json");
        fs::write(&path, "{}").unwrap();
        let Claim::Ours(_mine) = claim(&path).unwrap() else { panic!("it is nobody's") };
        assert!(!is_ours(&path));
    }

    #[test]
    fn a_manifest_that_cannot_be_written_leaves_the_one_before() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("i-x.json");
        fs::create_dir(folder.path().join("i-x.json.new")).unwrap();
        fs::write(&path, "before").unwrap();
        replace(&path, b"after").unwrap_err();
        assert_eq!(fs::read_to_string(&path).unwrap(), "before");
    }
}
