// SPDX-License-Identifier: MPL-2.0

//! The manifests of an interaction's folder, read back. They may have been copied, cut or edited
//! since: nothing in them is trusted to be a path outside the folder.

use ducksoup_signaller::protocol::JoinOptions;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Largest manifest that is read, in bytes. Ours: eight participants who reconnect for twenty
/// minutes make some 100 kB.
const MAX_BYTES: u64 = 16 << 20;

/// One run.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Manifest {
    /// The run's random id.
    pub id: String,
    /// Of the page that asked for it.
    pub origin: String,
    /// The study's part of the names.
    pub namespace: String,
    /// Its own name.
    pub interaction: String,
    /// Of the server that made it.
    pub version: String,
    /// The media library's words about itself.
    pub gstreamer: String,
    /// `gathering`, `running`, `ended`, `aborted` or `interrupted`.
    pub state: String,
    /// When its first participant came, UTC (RFC 3339).
    pub created: String,
    /// t0, UTC: zero in every file that begins with the run. None when it never started.
    #[serde(default)]
    pub started: Option<String>,
    /// The same in ns of that machine's monotonic clock.
    #[serde(default)]
    pub started_monotonic: Option<u64>,
    /// Each user's options, by their latest join.
    pub participants: BTreeMap<String, JoinOptions>,
    /// What it recorded.
    pub files: Vec<Entry>,
    /// Who has added what a process that died could not tell any more.
    #[serde(default)]
    pub recovered: Option<Recovered>,
}

/// When and by whom a run was completed afterwards.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
pub struct Recovered {
    /// UTC (RFC 3339).
    pub time: String,
    /// Of the program that did it.
    pub version: String,
}

/// One recording, as the run reported it.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Entry {
    /// Its name in `recordings/`.
    pub name: String,
    /// Whose.
    pub user: String,
    /// `dry`, `wet`, `audio-dry`, `audio-wet`, `video-dry` or `video-wet`.
    pub what: String,
    /// Its length.
    pub bytes: u64,
    /// Of all its bytes, in hexadecimal; empty when it could not be read back.
    pub sha256: String,
    /// Pictures written.
    pub frames: u64,
    /// Samples of sound that came, at 48 kHz.
    pub samples: u64,
    /// Samples of silence in the place of what did not come.
    pub silence: u64,
    /// Whether it was closed in order.
    pub complete: bool,
    /// Of its zero, in nanoseconds after t0; older runs tell it by the name alone.
    #[serde(default)]
    pub offset: Option<u64>,
    /// What it holds.
    pub tracks: Vec<Track>,
    /// Whether these figures were read from the file afterwards, for want of a report. Silence is
    /// then not told from sound.
    #[serde(default)]
    pub recovered: bool,
    /// Bytes of a torn piece that were cut off its end.
    #[serde(default)]
    pub cut: u64,
    /// Why it could not be read to its end.
    #[serde(default)]
    pub error: Option<String>,
}

/// One track of a recording. Times are nanoseconds from the file's zero.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Track {
    /// `dry_audio`, `dry_video`, `wet_audio` or `wet_video`.
    pub pad: String,
    /// `opus`, `h264` or `vp8`.
    pub codec: String,
    /// Its first picture or sample; none when nothing came.
    #[serde(default)]
    pub first: Option<u64>,
    /// The end of its last one.
    pub last: u64,
    /// How often something was missing.
    pub gap_count: u64,
    /// The first thousand of these.
    pub gaps: Vec<Gap>,
}

/// A time without media, in nanoseconds from the file's zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[allow(missing_docs)] // their names say it
pub struct Gap {
    pub from: u64,
    pub to: u64,
}

impl Entry {
    /// Where the file is, unless its name would lead elsewhere.
    #[must_use]
    pub fn path(&self, folder: &Path) -> Option<PathBuf> {
        let plain = !self.name.is_empty() && !self.name.contains(['/', '\\', '\0']);
        (plain && self.name != "." && self.name != "..")
            .then(|| recordings(folder).join(&self.name))
    }
}

/// Why a folder or a manifest cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// No such folder, or no access.
    #[error("{}: {error}", path.display())]
    Read {
        /// What was read.
        path: PathBuf,
        /// Why not.
        error: io::Error,
    },
    /// It is not what a run writes.
    #[error("{}: no manifest of a run: {error}", path.display())]
    Shape {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        error: serde_json::Error,
    },
    /// There is nothing of ours in this folder.
    #[error("{}: no run's manifest (i-<id>.json) in this folder", .0.display())]
    Empty(PathBuf),
    /// There is nothing of ours in this folder or below.
    #[error("{}: no run's manifest (i-<id>.json) in this folder or the two levels below", .0.display())]
    Nowhere(PathBuf),
}

/// The folder of the files.
#[must_use]
pub fn recordings(folder: &Path) -> PathBuf {
    folder.join("recordings")
}

/// Reads all manifests of an interaction's folder, in the order of their names.
///
/// # Errors
/// When the folder has none, or one of them cannot be read.
pub fn read_all(folder: &Path) -> Result<Vec<Manifest>, ManifestError> {
    let manifests: Vec<_> = names(folder)?
        .into_iter()
        .filter(|name| is_name(name))
        .map(|name| read(&folder.join(name)))
        .collect::<Result<_, _>>()?;
    if manifests.is_empty() { Err(ManifestError::Empty(folder.to_owned())) } else { Ok(manifests) }
}

/// Whether a file of that name is a manifest: `i-<id>.json`, but not what the columns of the table
/// of events mean.
#[must_use]
pub fn is_name(name: &str) -> bool {
    name.starts_with("i-") && name.ends_with(".json") && !name.ends_with("-events.json")
}

/// Names in a folder, sorted.
///
/// # Errors
/// When the folder cannot be read.
pub fn names(folder: &Path) -> Result<Vec<String>, ManifestError> {
    let fault = |error| ManifestError::Read { path: folder.to_owned(), error };
    let mut names = fs::read_dir(folder)
        .map_err(fault)?
        .map(|entry| Ok(entry.map_err(fault)?.file_name().to_string_lossy().into_owned()))
        .collect::<Result<Vec<_>, _>>()?;
    names.sort();
    Ok(names)
}

fn read(path: &Path) -> Result<Manifest, ManifestError> {
    read_as(path)
}

/// Reads one manifest into a type.
///
/// # Errors
/// When it cannot be read, or is not of that shape.
pub fn read_as<T: DeserializeOwned>(path: &Path) -> Result<T, ManifestError> {
    let fault = |error| ManifestError::Read { path: path.to_owned(), error };
    if fs::metadata(path).map_err(fault)?.len() > MAX_BYTES {
        return Err(fault(io::Error::other("too large for a manifest")));
    }
    let text = fs::read(path).map_err(fault)?;
    serde_json::from_slice(&text)
        .map_err(|error| ManifestError::Shape { path: path.to_owned(), error })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_never_leads_out_of_the_folder() {
        let entry = |name: &str| Entry {
            name: name.to_owned(),
            user: "ann".into(),
            what: "dry".into(),
            bytes: 0,
            sha256: String::new(),
            frames: 0,
            samples: 0,
            silence: 0,
            complete: true,
            offset: None,
            tracks: Vec::new(),
            recovered: false,
            cut: 0,
            error: None,
        };
        let folder = Path::new("/data/study/dyad");
        assert_eq!(
            entry("i-x-dry.mp4").path(folder),
            Some(PathBuf::from("/data/study/dyad/recordings/i-x-dry.mp4"))
        );
        for name in ["", "..", ".", "../i.json", "/etc/passwd", "a\\b", "a\0b"] {
            assert_eq!(entry(name).path(folder), None, "{name:?}");
        }
    }

    #[test]
    fn what_is_no_interactions_folder_is_told_in_a_sentence() {
        let folder = tempfile::tempdir().expect("a folder");
        let fault = |path: &Path| read_all(path).expect_err("no manifest").to_string();
        assert!(fault(folder.path()).contains("no run's manifest"));
        assert!(fault(&folder.path().join("absent")).contains("No such file"));
        fs::write(folder.path().join("i-x.json"), "{\"id\": 7}").expect("written");
        let sentence = fault(folder.path());
        assert!(sentence.contains("i-x.json: no manifest of a run"), "{sentence}");
    }
}
