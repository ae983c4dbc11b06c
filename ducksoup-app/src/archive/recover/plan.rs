// SPDX-License-Identifier: MPL-2.0

//! What a run whose process is gone could not say any more (pure).

use super::super::decode::{Decoded, Kind, Span};
use super::super::manifest::{Entry, Gap, Manifest, Recovered};
use super::super::pieces::Format;
use serde_json::{Map, Value, json};

/// What the files of one connection can be; what ends in another's word comes after it.
const WHAT: [&str; 6] = ["audio-dry", "audio-wet", "video-dry", "video-wet", "dry", "wet"];

/// States of a manifest whose run has not ended.
const UNENDED: [&str; 2] = ["gathering", "running"];

/// Events that close a table.
const CLOSING: [&str; 3] = ["ended", "aborted", "interrupted"];

/// The state of a run that a fault has ended, and its closing event.
pub const INTERRUPTED: &str = "interrupted";

/// A recording, as its name tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Name {
    /// All of it.
    pub text: String,
    /// When it begins, UTC, as file names tell the time.
    pub start: String,
    /// Whose.
    pub user: String,
    /// One of `dry`, `wet`, `audio-dry`, `audio-wet`, `video-dry`, `video-wet`.
    pub what: &'static str,
    /// How it is written.
    pub format: Format,
}

impl Name {
    /// Takes the name of a recording of this run apart:
    /// `i-<id>-a-<start>-s-<namespace>-n-<interaction>-u-<user>-c-<count>-<what>.<ext>`.
    #[must_use]
    pub fn of(text: &str, run: &Manifest) -> Option<Self> {
        let Manifest { id, namespace, interaction, .. } = run;
        // `20060102-150405.000`
        const STAMP: usize = 19;
        let rest = text.strip_prefix(&format!("i-{id}-a-"))?;
        let (start, rest) = rest.split_at_checked(STAMP)?;
        let rest = rest.strip_prefix(&format!("-s-{namespace}-n-{interaction}-u-"))?;
        let (rest, extension) = rest.rsplit_once('.')?;
        let format = Format::of(extension)?;
        let (rest, what) = WHAT
            .iter()
            .find_map(|what| Some((rest.strip_suffix(what)?.strip_suffix('-')?, *what)))?;
        let (user, count) = rest.rsplit_once("-c-")?;
        let counts = !count.is_empty() && count.bytes().all(|byte| byte.is_ascii_digit());
        (counts && !user.is_empty()).then(|| Self {
            text: text.to_owned(),
            start: start.to_owned(),
            user: user.to_owned(),
            what,
            format,
        })
    }

    /// `dry` or `wet`.
    fn side(&self) -> &'static str {
        if self.what.ends_with("dry") { "dry" } else { "wet" }
    }
}

/// What is to be done for a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// Whether the run did not say how it ended.
    pub unended: bool,
    /// Recordings of which it did not say, or could not say all.
    pub files: Vec<Name>,
}

/// What is to be done for a run whose process is gone: `names` are those in `recordings/`. `None`
/// when it has said everything.
#[must_use]
pub fn plan(run: &Manifest, names: &[String]) -> Option<Plan> {
    let unended = UNENDED.contains(&run.state.as_str());
    let files = names
        .iter()
        .filter_map(|name| Name::of(name, run))
        .filter(|name| {
            let entry = run.files.iter().find(|entry| entry.name == name.text);
            entry.is_none_or(|entry| !is_told(entry))
        })
        .collect::<Vec<_>>();
    (unended || !files.is_empty()).then_some(Plan { unended, files })
}

/// Whether all that can be known of a file stands in the manifest. What broke on the way was
/// counted as if it had been written; what could not be read may be readable now.
fn is_told(entry: &Entry) -> bool {
    entry.error.is_none() && (entry.complete || entry.recovered)
}

/// What was found in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Its length, without what was cut off.
    pub bytes: u64,
    /// Of all its bytes, in hexadecimal.
    pub sha256: String,
    /// Bytes of a torn piece that were cut off.
    pub cut: u64,
    /// What came out of it, or why nothing did.
    pub content: Result<Decoded, String>,
}

/// The manifest's entry for a file; `before` is the one that stands there already.
#[must_use]
pub fn entry(name: &Name, folder: &str, before: Option<&Value>, found: &Found) -> Value {
    let mut entry = before.and_then(Value::as_object).cloned().unwrap_or_default();
    let nothing = Decoded::default();
    let content = found.content.as_ref().unwrap_or(&nothing);
    let cut = found.cut + before.and_then(|entry| entry["cut"].as_u64()).unwrap_or(0);
    let first = content.spans.iter().map(|span| span.first).min().unwrap_or(0);
    let last = content.spans.iter().map(|span| span.last).max().unwrap_or(0);
    let tracks: Vec<Value> = content.spans.iter().map(|span| track(name, span, before)).collect();
    let gaps: u64 = tracks.iter().filter_map(|track| track["gap-count"].as_u64()).sum();
    let facts = json!({
        "path": format!("{folder}/{}", name.text),
        "name": name.text,
        "user": name.user,
        "what": name.what,
        "first": first,
        "last": last,
        "frames": content.frames,
        "samples": content.samples,
        "silence": 0,
        "gaps": gaps,
        "bytes": found.bytes,
        "sha256": found.sha256,
        "complete": false,
        "recovered": true,
        "cut": cut,
        "tracks": tracks,
    });
    entry.extend(facts.as_object().cloned().unwrap_or_default());
    entry.remove("error");
    if let Err(error) = &found.content {
        entry.insert("error".into(), error.as_str().into());
    }
    Value::Object(entry)
}

/// What is said of one track. Gaps that its recorder has told are kept: silence that was put there
/// cannot be told from sound afterwards.
fn track(name: &Name, span: &Span, before: Option<&Value>) -> Value {
    let (kind, codec) = match (span.kind, name.format) {
        (Kind::Audio, _) => ("audio", "opus"),
        (Kind::Video, Format::Mp4) => ("video", "h264"),
        (Kind::Video, Format::Mkv | Format::Ogg) => ("video", "vp8"),
    };
    let pad = format!("{}_{kind}", name.side());
    let told = before.and_then(|entry| {
        let tracks = entry["tracks"].as_array()?;
        let track = tracks.iter().find(|track| track["pad"] == pad.as_str())?;
        serde_json::from_value::<Vec<Gap>>(track["gaps"].clone()).ok()
    });
    let told = told.map(|gaps| gaps.into_iter().filter(|gap| gap.to <= span.last));
    let (gap_count, gaps) = match told {
        Some(gaps) => {
            let gaps: Vec<Gap> = gaps.collect();
            (gaps.len() as u64, gaps)
        }
        None => (span.gap_count, span.gaps.clone()),
    };
    let mut track = json!({
        "pad": pad,
        "codec": codec,
        "first": span.first,
        "last": span.last,
        "gap-count": gap_count,
        "gaps": gaps,
    });
    track[match span.kind {
        Kind::Audio => "samples",
        Kind::Video => "frames",
    }] = span.count.into();
    track
}

/// Puts an entry into a manifest, in the place of the one of that name.
pub fn put(manifest: &mut Map<String, Value>, entry: Value) {
    let files = manifest.entry("files").or_insert_with(|| json!([]));
    let Some(files) = files.as_array_mut() else { return };
    match files.iter_mut().find(|other| other["name"] == entry["name"]) {
        Some(other) => *other = entry,
        None => files.push(entry),
    }
}

/// Says that the run was completed, by whom and when.
pub fn sign(manifest: &mut Map<String, Value>, plan: &Plan, recovered: &Recovered) {
    if plan.unended {
        manifest.insert("state".into(), INTERRUPTED.into());
    }
    manifest.insert("recovered".into(), json!(recovered));
}

/// What is to be done with a table of events: which bytes stay, and the line that closes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Closing {
    /// Bytes that stay: whole lines.
    pub keep: usize,
    /// To be put behind them.
    pub line: String,
}

/// Closes the table of events of a run that ended in that state; `last` is when it was last heard of,
/// in seconds of its timeline. `None` when it is closed, or is none.
#[must_use]
pub fn closing(table: &str, state: &str, last: f64) -> Option<Closing> {
    let keep = table.rfind('\n')? + 1;
    let mut lines = table[..keep].lines();
    let columns: Vec<&str> = lines.next()?.split('\t').collect();
    let onset = columns.iter().position(|column| *column == "onset")?;
    let kind = columns.iter().position(|column| matches!(*column, "type" | "trial_type"))?;
    let mut last = last;
    for cells in lines.map(|line| line.split('\t').collect::<Vec<_>>()) {
        if cells.get(kind).is_some_and(|kind| CLOSING.contains(kind)) {
            return None;
        }
        let onset = cells.get(onset).and_then(|onset| onset.parse::<f64>().ok());
        last = last.max(onset.unwrap_or(last));
    }
    let cells = (0..columns.len()).map(|column| match column {
        column if column == onset => format!("{last:.6}"),
        column if column == kind => state.to_owned(),
        // BIDS, "Tabular files": what has no value.
        _ => "n/a".to_owned(),
    });
    let line = cells.collect::<Vec<_>>().join("\t") + "\n";
    Some(Closing { keep, line })
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
