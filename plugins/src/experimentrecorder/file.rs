// SPDX-License-Identifier: MPL-2.0

//! One file on the disk: made once, never in place of another, written in whole pieces.

use std::fs::{self, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::container::{self, Codec, Container, Ending, Sample};
use super::naming::{self, PrefixError, Slot, What};

/// Why a file cannot be made or goes no further.
#[derive(Debug)]
pub(super) enum FileError {
    Prefix(PrefixError),
    Folder(PathBuf, io::Error),
    Create(PathBuf, io::Error),
    Write(PathBuf, io::Error),
    /// The stream of this pad became one of another kind.
    Kind(&'static str),
}

impl FileError {
    /// A stable word for programs.
    pub(super) const fn code(&self) -> &'static str {
        match self {
            FileError::Prefix(_) => "prefix",
            FileError::Folder(..) => "folder",
            FileError::Create(..) => "create",
            FileError::Write(..) => "write",
            FileError::Kind(_) => "kind",
        }
    }

    /// The file or folder that it is about.
    pub(super) fn path(&self) -> &Path {
        match self {
            FileError::Prefix(_) | FileError::Kind(_) => Path::new(""),
            FileError::Folder(path, _) | FileError::Create(path, _) | FileError::Write(path, _) => {
                path
            }
        }
    }
}

impl std::fmt::Display for FileError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let path = self.path().display();
        match self {
            FileError::Prefix(error) => write!(f, "{error}"),
            FileError::Folder(_, error) => write!(f, "the folder {path} cannot be made: {error}"),
            FileError::Create(_, error) => write!(f, "the file {path} cannot be made: {error}"),
            FileError::Write(_, error) => write!(f, "the file {path} cannot be written: {error}"),
            FileError::Kind(pad) => {
                write!(f, "{pad} changed to a stream of another kind, which is not recorded")
            }
        }
    }
}

/// What is known of a file when it is closed.
#[derive(Debug)]
pub(super) struct Closed {
    pub(super) path: PathBuf,
    pub(super) bytes: u64,
    /// Lower-case hexadecimal; empty when the file cannot be read back.
    pub(super) sha256: String,
    /// Everything was written, the end included.
    pub(super) complete: bool,
    /// Why not.
    pub(super) error: Option<FileError>,
}

/// Whether a file still grows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Health {
    Good,
    Broken,
}

/// An open file.
pub(super) struct File {
    path: PathBuf,
    handle: fs::File,
    container: Box<dyn Container>,
    tracks: Vec<(Slot, Codec)>,
    written: u64,
    health: Health,
}

impl File {
    /// Makes the file for these tracks and writes its beginning.
    pub(super) fn create(
        folder: &Path,
        prefix: &str,
        what: What,
        tracks: Vec<(Slot, Codec)>,
    ) -> Result<Self, FileError> {
        let codecs: Vec<Codec> = tracks.iter().map(|(_, codec)| codec.clone()).collect();
        let (extension, mut container) = container::for_tracks(&codecs);
        let name = naming::file_name(prefix, what, extension).map_err(FileError::Prefix)?;
        fs::create_dir_all(folder).map_err(|error| FileError::Folder(folder.to_owned(), error))?;
        let path = folder.join(name);
        // Read as well: the digest is taken through the same handle, of the very file we wrote.
        let handle = OpenOptions::new()
            .read(true)
            .write(true)
            .create_new(true)
            .open(&path)
            .map_err(|error| FileError::Create(path.clone(), error))?;
        let start = container.start();
        let mut file = Self { path, handle, container, tracks, written: 0, health: Health::Good };
        if let Err(error) = file.append(&start) {
            // A file without a beginning is none. It is ours: it did not exist before.
            fs::remove_file(&file.path).ok();
            return Err(error);
        }
        Ok(file)
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn tracks(&self) -> &[(Slot, Codec)] {
        &self.tracks
    }

    /// The number of the track that `slot` is in this file.
    pub(super) fn track_of(&self, slot: Slot) -> Option<usize> {
        self.tracks.iter().position(|(own, _)| *own == slot)
    }

    /// Takes a sample. Fails once; afterwards everything is ignored.
    pub(super) fn write(&mut self, sample: Sample) -> Result<(), FileError> {
        if self.health == Health::Broken {
            return Ok(());
        }
        let bytes = self.container.write(sample);
        self.append(&bytes)
    }

    /// Writes what is held back, because nothing came for a while.
    pub(super) fn flush(&mut self) -> Result<(), FileError> {
        if self.health == Health::Broken {
            return Ok(());
        }
        let bytes = self.container.flush();
        self.append(&bytes)
    }

    /// Writes the end and reads the whole file for its digest: slow for long files.
    pub(super) fn close(mut self) -> Closed {
        let error = match self.health {
            Health::Good => self.end().err(),
            Health::Broken => None,
        };
        let (bytes, sha256) = self.digest().unwrap_or((self.written, String::new()));
        let complete = self.health == Health::Good;
        Closed { path: self.path, bytes, sha256, complete, error }
    }

    fn end(&mut self) -> Result<(), FileError> {
        let Ending { tail, patches } = self.container.finish();
        self.append(&tail)?;
        for patch in patches {
            self.seek_and_write(patch.offset, &patch.bytes).map_err(|error| self.broken(error))?;
        }
        Ok(())
    }

    fn append(&mut self, bytes: &[u8]) -> Result<(), FileError> {
        if let Err(error) = self.handle.write_all(bytes) {
            // Half a piece helps no reader.
            self.handle.set_len(self.written).ok();
            return Err(self.broken(error));
        }
        self.written += bytes.len() as u64;
        Ok(())
    }

    fn seek_and_write(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.handle.seek(SeekFrom::Start(offset))?;
        self.handle.write_all(bytes)
    }

    fn broken(&mut self, error: io::Error) -> FileError {
        self.health = Health::Broken;
        FileError::Write(self.path.clone(), error)
    }

    fn digest(&mut self) -> io::Result<(u64, String)> {
        self.handle.seek(SeekFrom::Start(0))?;
        let mut sum = Sha256::new();
        let mut bytes = 0;
        let mut chunk = vec![0; 1 << 16];
        loop {
            match self.handle.read(&mut chunk)? {
                0 => break,
                read => {
                    bytes += read as u64;
                    sum.update(&chunk[..read]);
                }
            }
        }
        let hex = sum.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
        Ok((bytes, hex))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::naming::{Kind, Side};
    use super::*;

    const AUDIO: Slot = Slot::new(Side::Dry, Kind::Audio);

    fn create(folder: &Path, prefix: &str) -> Result<File, FileError> {
        let tracks = vec![(AUDIO, Codec::Opus { channels: 1 })];
        File::create(folder, prefix, What::Muxed(Side::Dry), tracks)
    }

    #[test]
    fn an_existing_file_is_never_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("p-dry.ogg");
        fs::write(&path, "precious").unwrap();
        let error = create(folder.path(), "p").err().unwrap();
        assert_eq!((error.code(), error.path()), ("create", path.as_path()));
        assert_eq!(fs::read_to_string(&path).unwrap(), "precious");
    }

    #[test]
    fn a_folder_that_is_a_file_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("occupied");
        fs::write(&path, "").unwrap();
        assert_eq!(create(&path, "p").err().unwrap().code(), "folder");
        assert_eq!(create(folder.path(), "../p").err().unwrap().code(), "prefix");
    }

    #[test]
    fn a_digest_is_that_of_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let mut file = create(&folder.path().join("made/on/the/way"), "p").unwrap();
        let data = vec![0xf8, 0xff, 0xfe];
        file.write(Sample { track: 0, at: 0, duration: 20_000_000, key: true, data }).unwrap();
        let closed = file.close();
        let content = fs::read(&closed.path).unwrap();
        assert!(closed.complete && closed.error.is_none());
        assert_eq!(closed.bytes, content.len() as u64);
        let expected = Sha256::digest(&content);
        let expected: String = expected.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(closed.sha256, expected);
    }
}
