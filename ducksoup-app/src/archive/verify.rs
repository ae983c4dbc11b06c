// SPDX-License-Identifier: MPL-2.0

//! `ducksoup-app verify`: are the recordings of an interaction what its runs said they are?

use super::decode::{self, DecodeError, Decoded};
use super::digest;
use super::manifest::{self, Entry, Manifest, ManifestError};
use comfy_table::{CellAlignment, Table, presets};
use std::collections::BTreeSet;
use std::fmt::{self, Write as _};
use std::path::Path;

/// How far the length of the sound may be off, in samples: demuxers cut the last packet at the end
/// that the file's header tells, and the coarsest of our formats (mkv) counts in milliseconds.
const CUT: u64 = 48;

/// What is on the disk in the place of a recording.
#[derive(Debug)]
pub enum Found {
    /// Nothing, or nothing that can be read.
    Nothing(String),
    /// A file.
    File {
        /// Its length.
        bytes: u64,
        /// Of all its bytes, in hexadecimal.
        sha256: String,
        /// What it holds.
        content: Result<Decoded, DecodeError>,
    },
}

/// In what a file is not what its run said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// It is not there.
    Missing(String),
    /// It was not closed in order, or the run ended before it could say.
    Incomplete,
    /// It has another length.
    Bytes {
        /// As the run said.
        said: u64,
        /// As it is.
        is: u64,
    },
    /// Its bytes are others.
    Changed,
    /// It cannot be read to its end.
    Undecodable(String),
    /// It holds another number of pictures.
    Frames {
        /// As the run said.
        said: u64,
        /// As it is.
        is: u64,
    },
    /// It holds another length of sound.
    Samples {
        /// As the run said.
        said: u64,
        /// As it is.
        is: u64,
    },
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing(why) => write!(f, "is not there: {why}"),
            Self::Incomplete => f.write_str("was not closed in order"),
            Self::Bytes { said, is } => write!(f, "{is} bytes instead of {said}"),
            Self::Changed => f.write_str("its bytes were changed (SHA-256)"),
            Self::Undecodable(why) => write!(f, "cannot be decoded: {why}"),
            Self::Frames { said, is } => write!(f, "{is} frames instead of {said}"),
            Self::Samples { said, is } => write!(f, "{is} samples instead of {said}"),
        }
    }
}

/// Holds a file against what its run said of it.
#[must_use]
pub fn judge(entry: &Entry, found: &Found) -> Vec<Fault> {
    let (bytes, sha256, content) = match found {
        Found::Nothing(why) => return vec![Fault::Missing(why.clone())],
        Found::File { bytes, sha256, content } => (*bytes, sha256, content),
    };
    let mut faults = Vec::new();
    if !entry.complete && !entry.recovered {
        faults.push(Fault::Incomplete);
    }
    if bytes != entry.bytes {
        faults.push(Fault::Bytes { said: entry.bytes, is: bytes });
    } else if !sha256.eq_ignore_ascii_case(&entry.sha256) {
        faults.push(Fault::Changed);
    }
    match content {
        _ if entry.error.is_some() => {
            faults.extend(entry.error.clone().map(Fault::Undecodable));
        }
        Err(error) => faults.push(Fault::Undecodable(error.to_string())),
        Ok(Decoded { frames, samples, .. }) => {
            if *frames != entry.frames {
                faults.push(Fault::Frames { said: entry.frames, is: *frames });
            }
            let said = entry.samples + entry.silence;
            if samples.abs_diff(said) > CUT {
                faults.push(Fault::Samples { said, is: *samples });
            }
        }
    }
    faults
}

/// What was found out about a folder.
#[derive(Debug)]
pub struct Findings {
    /// For people: a table, and a sentence for each fault.
    pub text: String,
    /// Whether all is as it was said.
    pub good: bool,
}

/// Checks every file of every run of an interaction: `folder` is `data/<namespace>/<interaction>`.
/// `progress` is told each file before it is read.
///
/// # Errors
/// When the folder is none of an interaction, or a manifest cannot be read.
pub fn verify(folder: &Path, mut progress: impl FnMut(&str)) -> Result<Findings, ManifestError> {
    let runs = manifest::read_all(folder)?;
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header([
        "run",
        "state",
        "user",
        "file",
        "bytes",
        "frames",
        "sound (s)",
        "verdict",
    ]);
    for column in 4..7 {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    let (mut sentences, mut good) = (String::new(), true);
    for Manifest { id, state, files, .. } in &runs {
        if files.is_empty() {
            table.add_row([id.as_str(), state, "", "", "", "", "", "no files"]);
        }
        for entry in files {
            progress(&entry.name);
            let faults = judge(entry, &look(folder, entry));
            good &= faults.is_empty();
            for fault in &faults {
                // Writing into a String cannot fail.
                let _ = writeln!(sentences, "{}: {fault}", entry.name);
            }
            if entry.recovered {
                let Entry { name, cut, .. } = entry;
                let _ = writeln!(
                    sentences,
                    "{name}: recovered after its process died or its disk was full, so it may end \
                     early; {cut} bytes of a torn end were cut off"
                );
            }
            table.add_row([
                id.clone(),
                state.clone(),
                entry.user.clone(),
                entry.name.rsplit('-').next().unwrap_or_default().to_owned(),
                entry.bytes.to_string(),
                entry.frames.to_string(),
                #[allow(clippy::cast_precision_loss)] // samples of days
                {
                    format!("{:.3}", (entry.samples + entry.silence) as f64 / 48_000.0)
                },
                match faults.is_empty() {
                    false => "BAD",
                    true if entry.recovered => "recovered",
                    true => "good",
                }
                .to_owned(),
            ]);
        }
    }
    for (stranger, whose) in strangers(folder, &runs) {
        let _ = match whose {
            None => writeln!(sentences, "{stranger}: in recordings/, but no run speaks of it"),
            Some(Manifest { state, .. }) => writeln!(
                sentences,
                "{stranger}: its run is {state} and has not told of it yet; if its process is gone, \
                 ducksoup-app recover completes it"
            ),
        };
        good = false;
    }
    Ok(Findings { text: format!("{table}\n{sentences}"), good })
}

/// Files that no run speaks of, left by a crash or foreign, with the run that may still do so.
fn strangers<'a>(folder: &Path, runs: &'a [Manifest]) -> Vec<(String, Option<&'a Manifest>)> {
    let known: BTreeSet<_> =
        runs.iter().flat_map(|run| &run.files).map(|file| &file.name).collect();
    let names = manifest::names(&manifest::recordings(folder)).unwrap_or_default();
    let strangers = names.into_iter().filter(|name| !known.contains(name));
    let whose = |name: &str| {
        let mut whole = runs.iter();
        whole.find(|run| run.recovered.is_none() && name.starts_with(&format!("i-{}-a-", run.id)))
    };
    strangers.map(|name| (name.clone(), whose(&name))).collect()
}

fn look(folder: &Path, entry: &Entry) -> Found {
    let Some(path) = entry.path(folder) else {
        return Found::Nothing("its name leads out of the folder".into());
    };
    match digest::of_file(&path) {
        Err(error) => Found::Nothing(error.to_string()),
        Ok((bytes, sha256)) => {
            let Entry { frames, samples, silence, .. } = entry;
            // A file with nothing but its beginning opens, but decoders miss what they are for.
            let content = match (frames, samples + silence) {
                (0, 0) => Ok(Decoded::default()),
                _ => decode::decode(&path),
            };
            Found::File { bytes, sha256, content }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry() -> Entry {
        Entry {
            name: "dry.mp4".into(),
            user: "ann".into(),
            what: "dry".into(),
            bytes: 10,
            sha256: "aB".into(),
            frames: 25,
            samples: 47_880,
            silence: 120,
            complete: true,
            offset: None,
            tracks: Vec::new(),
            recovered: false,
            cut: 0,
            error: None,
        }
    }

    fn decoded(frames: u64, samples: u64) -> Decoded {
        Decoded { frames, samples, spans: Vec::new() }
    }

    fn file(bytes: u64, sha256: &str, content: Result<Decoded, DecodeError>) -> Found {
        Found::File { bytes, sha256: sha256.into(), content }
    }

    #[test]
    fn a_file_is_good_when_every_figure_is_as_it_was_said() {
        let whole = || Ok(decoded(25, 48_000));
        assert_eq!(judge(&entry(), &file(10, "Ab", whole())), []);
        for (found, fault) in [
            (Found::Nothing("gone".into()), Fault::Missing("gone".into())),
            (file(9, "ab", whole()), Fault::Bytes { said: 10, is: 9 }),
            (file(10, "cd", whole()), Fault::Changed),
            (file(10, "ab", Ok(decoded(24, 48_000))), Fault::Frames { said: 25, is: 24 }),
            (file(10, "ab", Ok(decoded(25, 47_951))), Fault::Samples { said: 48_000, is: 47_951 }),
            (file(10, "ab", Err(DecodeError::Damaged("x".into()))), Fault::Undecodable("x".into())),
        ] {
            assert_eq!(judge(&entry(), &found), [fault]);
        }
        let incomplete = Entry { complete: false, ..entry() };
        assert_eq!(judge(&incomplete, &file(10, "ab", whole())), [Fault::Incomplete]);
        let recovered = Entry { recovered: true, ..incomplete };
        assert_eq!(judge(&recovered, &file(10, "ab", whole())), []);
        let unreadable = Entry { error: Some("torn".into()), ..recovered };
        let fault = Fault::Undecodable("torn".into());
        assert_eq!(judge(&unreadable, &file(10, "ab", whole())), [fault]);
    }
}
