// SPDX-License-Identifier: MPL-2.0

//! How it is known whether a run still lives: its process keeps an advisory lock (`flock`) on its
//! manifest, which the system takes away with the process, however that ends. A manifest is
//! replaced at each change; the new one is locked before it is seen.
//!
//! Servers on several machines may share a data folder where its file system shares locks (NFS
//! since version 4 does).

use rustix::fs::{AtFlags, CWD, FallocateFlags, Mode, OFlags, fallocate, linkat, openat};
use std::fs::{self, File, TryLockError};
use std::io::{self, Write as _};
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// Room that is kept on the disk for the next manifest, in bytes, so that a run whose disk is full
/// can still say so. Ours: eight participants who reconnect for twenty minutes make some 100 kB;
/// one that is larger keeps twice its size.
const RESERVE: u64 = 128 << 10;

/// A manifest that is ours, for as long as this lives.
#[derive(Debug)]
pub struct Hold {
    path: PathBuf,
    /// The one that is there, locked.
    locked: Option<File>,
    /// A file without a name, which goes with the process; none where the file system knows no such.
    reserve: Option<File>,
}

/// Whether a manifest is somebody's.
#[derive(Debug)]
pub enum Claim {
    /// It was nobody's; now it is ours.
    Ours(Hold),
    /// The run lives, or somebody else sees to it.
    Taken,
}

impl Hold {
    /// One that is not there yet.
    #[must_use]
    pub fn new(path: PathBuf) -> Self {
        Self { path, locked: None, reserve: None }
    }

    /// Puts a manifest in the place of the one before, in one step: a reader never sees half of it,
    /// and never an unlocked one.
    ///
    /// # Errors
    /// When it cannot be written; the one before is untouched.
    pub fn replace(&mut self, text: &[u8]) -> io::Result<()> {
        let new = self.path.with_extension("json.new");
        let written = self.write(&new, text).and_then(|file| {
            fs::rename(&new, &self.path)?;
            Ok(file)
        });
        match written {
            Ok(file) => self.locked = Some(file),
            Err(error) => {
                // It may have been made.
                let _ = fs::remove_file(&new);
                return Err(error);
            }
        }
        let size = RESERVE.max(2 * text.len() as u64);
        self.reserve = self.path.parent().and_then(|folder| reserve(folder, size).ok());
        Ok(())
    }

    fn write(&mut self, new: &Path, text: &[u8]) -> io::Result<File> {
        if let Some(file) = self.reserve.take() {
            let named = fill(&file, text).and_then(|()| name(&file, new));
            if named.is_ok() {
                return Ok(file);
            }
        }
        // The first one, one that is larger than the room that was kept, or a system without /proc.
        let file = File::create(new)?;
        fill(&file, text)?;
        Ok(file)
    }
}

fn fill(mut file: &File, text: &[u8]) -> io::Result<()> {
    file.write_all(text)?;
    file.set_len(text.len() as u64)?;
    // Where there are no locks, `claim` fails as well, and leaves all runs alone.
    let _ = file.try_lock();
    Ok(())
}

/// Gives a file without a name one.
fn name(file: &File, path: &Path) -> io::Result<()> {
    // Left by a death before the renaming.
    let _ = fs::remove_file(path);
    let own = format!("/proc/self/fd/{}", file.as_raw_fd());
    Ok(linkat(CWD, own, CWD, path, AtFlags::SYMLINK_FOLLOW)?)
}

/// Room on the disk, in a file without a name.
fn reserve(folder: &Path, size: u64) -> io::Result<File> {
    // As `File::create` has it.
    let mode = Mode::from_raw_mode(0o666);
    let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
    let file = File::from(openat(CWD, folder, flags, mode)?);
    fallocate(&file, FallocateFlags::empty(), 0, size)?;
    Ok(file)
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
    if !same {
        return Ok(Claim::Taken);
    }
    Ok(Claim::Ours(Hold { path: path.to_owned(), locked: Some(file), reserve: None }))
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
        let mut hold = Hold::new(path.clone());
        for text in ["the first one", "2", "another one"] {
            hold.replace(text.as_bytes()).unwrap();
            assert!(!is_ours(&path), "{text}");
            assert_eq!(fs::read_to_string(&path).unwrap(), text);
        }
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
    fn what_a_death_has_left_half_written_is_written_anew() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("i-x.json");
        let mut hold = Hold::new(path.clone());
        hold.replace(b"1").unwrap();
        fs::write(folder.path().join("i-x.json.new"), "hal").unwrap();
        hold.replace(b"2").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "2");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_manifest_that_cannot_be_written_leaves_the_one_before() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("i-x.json");
        fs::create_dir(folder.path().join("i-x.json.new")).unwrap();
        fs::write(&path, "before").unwrap();
        Hold::new(path.clone()).replace(b"after").unwrap_err();
        assert_eq!(fs::read_to_string(&path).unwrap(), "before");
    }
}
