// SPDX-License-Identifier: MPL-2.0

//! `export.json`: what an output folder holds of ours, so that a second run goes on where the first
//! one ended, and nothing of anybody else's is ever replaced.

use crate::archive::digest;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

/// Its name.
pub(crate) const NAME: &str = "export.json";

/// Says what the file is, to who finds it.
const WHAT: &str = "files written by ducksoup-app export";

/// One file of ours.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Noted {
    /// Of all its bytes, in hexadecimal.
    sha256: String,
    /// What it was made from and how, hashed.
    recipe: String,
}

/// What stands in the file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Content {
    what: String,
    /// By their paths below the folder.
    files: BTreeMap<String, Noted>,
}

/// What is at a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Status {
    /// Nothing.
    Absent,
    /// A file of ours by this recipe.
    Done,
    /// A file of ours by another one.
    Outdated,
    /// A file that is not as we wrote it, or not ours.
    Foreign,
}

/// Why an output folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// The disk.
    #[error("{}: {error}", path.display())]
    Disk {
        /// What was read or written.
        path: PathBuf,
        /// Why not.
        error: io::Error,
    },
    /// Somebody else's list.
    #[error("{}: this is no list of exported files; choose another --output", .0.display())]
    NotOurs(PathBuf),
    /// A file that is not ours, or was changed, has a name that we need.
    #[error("{}: a file that is not ours, or was changed since, is in the way; move it", .0.display())]
    InTheWay(PathBuf),
}

/// The list of a folder.
#[derive(Debug)]
pub(crate) struct Ledger {
    folder: PathBuf,
    content: Content,
}

impl Ledger {
    /// Reads the list of a folder, which need not exist.
    pub(crate) fn open(folder: &Path) -> Result<Self, LedgerError> {
        let path = folder.join(NAME);
        let content = match fs::read(&path) {
            Ok(text) => serde_json::from_slice(&text)
                .ok()
                .filter(|content: &Content| content.what == WHAT)
                .ok_or(LedgerError::NotOurs(path))?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Content { what: WHAT.into(), files: BTreeMap::new() }
            }
            Err(error) => return Err(LedgerError::Disk { path, error }),
        };
        Ok(Self { folder: folder.to_owned(), content })
    }

    /// Where a file is.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Where it is while it is being written.
    pub(crate) fn part(&self, name: &str) -> PathBuf {
        self.folder.join(format!("{name}.part"))
    }

    /// What is at a path, read to its end if need be.
    pub(crate) fn status(&self, name: &str, recipe: &str) -> Result<Status, LedgerError> {
        let path = self.path(name);
        match fs::symlink_metadata(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Status::Absent),
            Err(error) => return Err(LedgerError::Disk { path, error }),
            Ok(data) if !data.is_file() => return Ok(Status::Foreign),
            Ok(_) => {}
        }
        let Some(noted) = self.content.files.get(name) else { return Ok(Status::Foreign) };
        let (_, sha256) =
            digest::of_file(&path).map_err(|error| LedgerError::Disk { path, error })?;
        Ok(match sha256 == noted.sha256 {
            false => Status::Foreign,
            true if noted.recipe == recipe => Status::Done,
            true => Status::Outdated,
        })
    }

    /// Gives finished files their names: an older one of ours goes, the new one is noted, then named;
    /// whenever this is cut off, what is under a name is noted.
    pub(crate) fn keep(&mut self, names: &[&str], recipe: &str) -> Result<(), LedgerError> {
        for name in names {
            let (path, part) = (self.path(name), self.part(name));
            let disk = |error| LedgerError::Disk { path: path.clone(), error };
            let (_, sha256) = digest::of_file(&part).map_err(disk)?;
            match fs::remove_file(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(disk(error)),
                _ => {}
            }
            let noted = Noted { sha256, recipe: recipe.to_owned() };
            self.content.files.insert((*name).to_owned(), noted);
            self.save()?;
            fs::rename(&part, &path).map_err(disk)?;
        }
        Ok(())
    }

    /// Writes a small file, unless one that is not ours stands in its place.
    pub(crate) fn write(&mut self, name: &str, text: &str) -> Result<(), LedgerError> {
        let recipe = digest::of_text(text);
        match self.status(name, &recipe)? {
            Status::Done => Ok(()),
            Status::Foreign => Err(LedgerError::InTheWay(self.path(name))),
            Status::Absent | Status::Outdated => {
                replace(&self.part(name), text)?;
                self.keep(&[name], &recipe)
            }
        }
    }

    fn save(&self) -> Result<(), LedgerError> {
        let text = serde_json::to_string_pretty(&self.content).unwrap_or_default() + "\n";
        replace(&self.path(NAME), &text)
    }
}

/// Writes a small file in one step, so that a reader never sees half of it.
pub(crate) fn replace(path: &Path, text: &str) -> Result<(), LedgerError> {
    let disk = |error| LedgerError::Disk { path: path.to_owned(), error };
    let mut part = path.as_os_str().to_owned();
    part.push(".part");
    let part = PathBuf::from(part);
    path.parent().map_or(Ok(()), fs::create_dir_all).map_err(disk)?;
    let mut file = File::create(&part).map_err(disk)?;
    file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(disk)?;
    fs::rename(&part, path).map_err(disk)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_ours_only_as_long_as_it_is_what_we_wrote() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut ledger = Ledger::open(folder.path()).expect("none yet");
        assert_eq!(ledger.status("a.wav", "r1").expect("read"), Status::Absent);
        fs::write(ledger.part("a.wav"), "sound").expect("written");
        ledger.keep(&["a.wav"], "r1").expect("kept");
        assert!(!ledger.part("a.wav").exists());
        let mut again = Ledger::open(folder.path()).expect("ours");
        assert_eq!(again.status("a.wav", "r1").expect("read"), Status::Done);
        assert_eq!(again.status("a.wav", "r2").expect("read"), Status::Outdated);
        fs::write(again.part("a.wav"), "other").expect("written");
        again.keep(&["a.wav"], "r2").expect("kept");
        assert_eq!(again.status("a.wav", "r2").expect("read"), Status::Done);
        fs::write(again.path("a.wav"), "edited").expect("written");
        assert_eq!(again.status("a.wav", "r2").expect("read"), Status::Foreign);
        fs::write(again.path("b.wav"), "foreign").expect("written");
        assert_eq!(again.status("b.wav", "r2").expect("read"), Status::Foreign);
        fs::create_dir(again.path("c.wav")).expect("made");
        assert_eq!(again.status("c.wav", "r2").expect("read"), Status::Foreign);
    }

    #[test]
    fn somebody_elses_list_is_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        fs::write(folder.path().join(NAME), "{\"files\": {}}").expect("written");
        let fault = Ledger::open(folder.path()).expect_err("not ours").to_string();
        assert!(fault.contains("choose another --output"), "{fault}");
    }
}
