// SPDX-License-Identifier: MPL-2.0

//! `ducksoup-app recover`: completes what the runs of a data folder could not say any more, because
//! their process died or their disk was full. The server does so at its start.
//!
//! Only manifests whose process is gone are touched ([`hold`]), only recordings of that run of which
//! it did not say all, and its table of events. What is done is decided in [`plan`].

pub mod plan;

use super::decode;
use super::digest;
use super::hold::{self, Claim, Hold};
use super::manifest::{self, Manifest, ManifestError, Recovered};
use super::pieces;
use comfy_table::{Table, presets};
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use plan::{Found, Name, Plan};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

/// How far the recovery stands back behind conversations (`nice(2)`). Ours: a tenth of what one that
/// does not stand back gets, so that it comes to an end on a busy machine, too.
pub const NICE: i32 = 10;

/// Largest table of events that is closed, in bytes. Ours: a line an event, a hundred bytes a line.
const MAX_TABLE: u64 = 64 << 20;

/// What an entry says between the cut and the reading, should this process die there.
const CUT_ONLY: &str = "its torn end was cut off; it was not read yet";

/// A file that was read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recording {
    /// Its name.
    pub name: String,
    /// Whose.
    pub user: String,
    /// Pictures.
    pub frames: u64,
    /// Samples of sound, at 48 kHz.
    pub samples: u64,
    /// Bytes of a torn piece that were cut off.
    pub cut: u64,
    /// Why it could not be read to its end.
    pub error: Option<String>,
}

/// What became of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum Outcome {
    /// It had said everything.
    Whole,
    /// Its process lives.
    Running,
    /// It is completed now.
    Recovered {
        /// The files that were read for that.
        files: Vec<Recording>,
    },
    /// It could not be completed.
    Failed {
        /// A sentence.
        error: String,
    },
}

/// One run of a data folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    /// Its manifest.
    pub manifest: PathBuf,
    /// What became of it.
    #[serde(flatten)]
    pub outcome: Outcome,
}

impl Run {
    /// Whether nothing was done, and nothing was to be done.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        matches!(self.outcome, Outcome::Whole | Outcome::Running)
    }

    /// Whether nothing is left to be done.
    #[must_use]
    pub fn is_good(&self) -> bool {
        match &self.outcome {
            Outcome::Whole | Outcome::Running => true,
            Outcome::Recovered { files } => files.iter().all(|file| file.error.is_none()),
            Outcome::Failed { .. } => false,
        }
    }
}

/// Completes the runs of a data folder, of a namespace or of one interaction, one after the other,
/// and tells of each.
///
/// # Errors
/// When the folder cannot be read, or has no run's manifest in it or two levels below.
pub fn recover(folder: &Path, mut tell: impl FnMut(&Run)) -> Result<Vec<Run>, ManifestError> {
    let mut runs = Vec::new();
    for manifest in manifests(folder)? {
        let outcome = complete(&manifest).unwrap_or_else(|error| Outcome::Failed { error });
        let run = Run { manifest, outcome };
        tell(&run);
        runs.push(run);
    }
    if runs.is_empty() { Err(ManifestError::Nowhere(folder.to_owned())) } else { Ok(runs) }
}

/// What was done, for people.
#[must_use]
pub fn table(runs: &[Run]) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header([
        "manifest",
        "outcome",
        "user",
        "file",
        "frames",
        "sound (s)",
        "cut (bytes)",
    ]);
    let mut shown = false;
    let mut row = |cells: [String; 7]| {
        shown = true;
        table.add_row(cells);
    };
    for Run { manifest, outcome } in runs {
        let manifest = manifest.display().to_string();
        let first = |outcome: &str| {
            let mut cells = std::array::from_fn(|_| String::new());
            cells[0].clone_from(&manifest);
            outcome.clone_into(&mut cells[1]);
            cells
        };
        match outcome {
            Outcome::Whole => {}
            Outcome::Running => row(first("still running")),
            Outcome::Failed { error } => row(first(&format!("FAILED: {error}"))),
            Outcome::Recovered { files } if files.is_empty() => row(first("recovered")),
            Outcome::Recovered { files } => {
                for file in files {
                    let error = file.error.as_ref();
                    let outcome = error.map_or("recovered".into(), |e| format!("UNREADABLE: {e}"));
                    let mut cells = first(&outcome);
                    cells[2].clone_from(&file.user);
                    file.name.rsplit('-').next().unwrap_or_default().clone_into(&mut cells[3]);
                    cells[4] = file.frames.to_string();
                    #[allow(clippy::cast_precision_loss)] // samples of days
                    {
                        cells[5] = format!("{:.3}", file.samples as f64 / 48_000.0);
                    }
                    cells[6] = file.cut.to_string();
                    row(cells);
                }
            }
        }
    }
    let whole = runs.iter().filter(|run| run.outcome == Outcome::Whole).count();
    let rest = format!("{whole} of {} runs were whole\n", runs.len());
    if shown { format!("{table}\n{rest}") } else { rest }
}

/// The manifests in a folder, or else in the folders below, at most two levels down. No link is
/// followed.
fn manifests(folder: &Path) -> Result<Vec<PathBuf>, ManifestError> {
    let mut found = Vec::new();
    let mut level = vec![folder.to_owned()];
    for depth in 0..3 {
        let mut below = Vec::new();
        for folder in &level {
            let names = match manifest::names(folder) {
                // Somebody removes what lies there meanwhile; or may not be read.
                Err(_) if depth > 0 => continue,
                names => names?,
            };
            for name in names {
                let path = folder.join(&name);
                let Ok(kind) = fs::symlink_metadata(&path).map(|about| about.file_type()) else {
                    continue;
                };
                if kind.is_dir() {
                    below.push(path);
                } else if kind.is_file() && manifest::is_name(&name) {
                    found.push(path);
                }
            }
        }
        level = below;
    }
    Ok(found)
}

/// Completes one run.
fn complete(path: &Path) -> Result<Outcome, String> {
    let claim = hold::claim(path).map_err(|error| format!("it cannot be locked: {error}"))?;
    let Claim::Ours(hold) = claim else {
        return Ok(Outcome::Running);
    };
    let text = manifest::read_as::<Map<String, Value>>(path).map_err(|error| error.to_string())?;
    let run = manifest::read_as::<Manifest>(path).map_err(|error| error.to_string())?;
    let folder = path.parent().unwrap_or(Path::new("."));
    let names = files(&manifest::recordings(folder));
    let Some(plan) = plan::plan(&run, &names) else {
        return Ok(Outcome::Whole);
    };
    let mut work = Work { folder, run, text, hold };
    work.complete(&plan)
        .map(|files| Outcome::Recovered { files })
        .map_err(|error| error.to_string())
}

/// Names of the files in a folder; none where it is not there.
fn files(folder: &Path) -> Vec<String> {
    let names = manifest::names(folder).unwrap_or_default();
    let is_file = |name: &String| {
        fs::symlink_metadata(folder.join(name)).is_ok_and(|about| about.file_type().is_file())
    };
    names.into_iter().filter(is_file).collect()
}

/// A run that is being completed.
struct Work<'a> {
    folder: &'a Path,
    run: Manifest,
    /// The manifest with all that it says.
    text: Map<String, Value>,
    /// Ours, until all is done.
    hold: Hold,
}

impl Work<'_> {
    fn complete(&mut self, plan: &Plan) -> io::Result<Vec<Recording>> {
        let mut files = Vec::new();
        for name in &plan.files {
            files.extend(self.file(name)?);
        }
        self.close_events(if plan.unended { plan::INTERRUPTED } else { &self.run.state })?;
        let recovered = Recovered {
            time: Timestamp::now().to_string(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
        };
        plan::sign(&mut self.text, plan, &recovered);
        self.save()?;
        Ok(files)
    }

    /// Reads a file and notes what it holds. `None` for one without a single byte, which goes: the
    /// recorder had made it and did not come to write.
    fn file(&mut self, name: &Name) -> io::Result<Option<Recording>> {
        let path = manifest::recordings(self.folder).join(&name.text);
        let file = File::open(&path)?;
        let length = file.metadata()?.len();
        if length == 0 {
            fs::remove_file(&path)?;
            return Ok(None);
        }
        let whole = pieces::whole(name.format, file, length)?;
        // Readers complain of half a fragment or cluster, or show a torn picture. Half a page of Ogg
        // they pass over, as RFC 3533 wants it.
        let torn = match (whole.length, name.format) {
            (0, _) | (_, pieces::Format::Ogg) => 0,
            (whole, _) => length - whole,
        };
        if torn > 0 {
            self.cut(name, &path, whole.length, torn)?;
        }
        let content = match whole {
            pieces::Whole { length: 0, .. } => Err("not even its header is whole".to_owned()),
            pieces::Whole { pieces: 0, .. } => Ok(decode::Decoded::default()),
            _ => gst::init()
                .map_err(|error| error.to_string())
                .and_then(|()| decode::decode(&path).map_err(|error| error.to_string())),
        };
        let (bytes, sha256) = digest::of_file(&path)?;
        // What was cut stands in the manifest already.
        let found = Found { bytes, sha256, cut: 0, content };
        let entry = self.note(name, &found);
        self.save()?;
        let number = |name: &str| entry[name].as_u64().unwrap_or(0);
        Ok(Some(Recording {
            name: name.text.clone(),
            user: name.user.clone(),
            frames: number("frames"),
            samples: number("samples"),
            cut: number("cut"),
            error: entry["error"].as_str().map(str::to_owned),
        }))
    }

    /// Cuts a torn piece off, once the manifest says so: readers complain of it, or stop there.
    fn cut(&mut self, name: &Name, path: &Path, whole: u64, torn: u64) -> io::Result<()> {
        let content = Err(CUT_ONLY.to_owned());
        self.note(name, &Found { bytes: 0, sha256: String::new(), cut: torn, content });
        self.save()?;
        File::options().write(true).open(path)?.set_len(whole)
    }

    fn note(&mut self, name: &Name, found: &Found) -> Value {
        let Manifest { namespace, interaction, .. } = &self.run;
        let folder = format!("{namespace}/{interaction}/recordings");
        let files = self.text.get("files").and_then(Value::as_array);
        let before =
            files.and_then(|files| files.iter().find(|file| file["name"] == name.text.as_str()));
        let entry = plan::entry(name, &folder, before, found);
        plan::put(&mut self.text, entry.clone());
        entry
    }

    fn save(&mut self) -> io::Result<()> {
        let text = serde_json::to_vec_pretty(&self.text)?;
        self.hold.replace(&text)
    }

    /// Closes the table of events with the state of the run, where there is one that is not closed.
    fn close_events(&self, state: &str) -> io::Result<()> {
        let path = self.folder.join(format!("i-{}-events.tsv", self.run.id));
        let is_file = fs::symlink_metadata(&path).is_ok_and(|about| about.file_type().is_file());
        if !is_file {
            return Ok(());
        }
        let mut table = String::new();
        File::open(&path)?.take(MAX_TABLE).read_to_string(&mut table)?;
        let Some(closing) = plan::closing(&table, state, self.last_heard()) else {
            return Ok(());
        };
        let mut file = File::options().append(true).open(&path)?;
        if closing.keep < table.len() {
            file.set_len(closing.keep as u64)?;
        }
        file.write_all(closing.line.as_bytes())
    }

    /// The end of the last recording, in seconds of the run's timeline.
    fn last_heard(&self) -> f64 {
        let t0 = self.run.started.as_deref().and_then(|t0| t0.parse::<Timestamp>().ok());
        let files = self.text.get("files").and_then(Value::as_array);
        let ends = files.into_iter().flatten().filter_map(|file| {
            let name = Name::of(file["name"].as_str()?, &self.run)?;
            let begins = begins(&name.start)?.duration_since(t0?).as_secs_f64().max(0.0);
            #[allow(clippy::cast_precision_loss)] // nanoseconds of an interaction
            let last = file["last"].as_u64()? as f64 / 1e9;
            Some(begins + last)
        });
        ends.fold(0.0, f64::max)
    }
}

/// The time in a file's name.
fn begins(stamp: &str) -> Option<Timestamp> {
    let time = DateTime::strptime("%Y%m%d-%H%M%S%.f", stamp).ok()?;
    Some(time.to_zoned(TimeZone::UTC).ok()?.timestamp())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_in_a_name_is_read_as_it_is_written() {
        let time: Timestamp = "2026-11-21T10:17:18.045Z".parse().expect("a time");
        assert_eq!(begins(&crate::interaction::naming::stamp(time)), Some(time));
        assert_eq!(begins("20261121-101718"), begins("20261121-101718.000"));
        assert_eq!(begins("yesterday"), None);
    }
}
