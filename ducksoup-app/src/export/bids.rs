// SPDX-License-Identifier: MPL-2.0

//! Names and tables of a BIDS dataset with audio and video recordings of behaviour. Pure.
//!
//! The layout is that of BIDS 1.11.1 and, for the recordings themselves, of BEP047 (bids-specification
//! pull request 2231, with the media fields of 2367) as it stood for its community review of
//! November 2026: `beh/…_audiovideo.mp4` and `…_audio.wav`, told apart by `recording-dry` and
//! `recording-wet`, since both are of the same run at the same time.

use super::plan::Side;
use super::table::{NONE, Table};
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// The version that everything but BEP047 follows.
pub(crate) const VERSION: &str = "1.11.1";

/// What the validator knows nothing of yet, and our own list.
pub(crate) const IGNORED: [&str; 3] = ["*_audiovideo.*", "*_audio.*", "export.json"];

/// The column that keeps the identifiers of DuckSoup.
pub(crate) const USER: &str = "ducksoup_user";

/// A text as a label: letters and digits.
pub(crate) fn label(text: &str) -> String {
    let label: String = text.chars().filter(char::is_ascii_alphanumeric).collect();
    if label.is_empty() { "x".into() } else { label }
}

/// The label of each user's subject: the one that `participants.tsv` has, or one that nobody has,
/// whatever the case (file systems may not tell `Ann` from `ann`).
pub(crate) fn subjects<'a>(
    users: impl IntoIterator<Item = &'a str>,
    participants: &Table,
) -> BTreeMap<String, String> {
    let ids: Vec<String> = participants
        .cells("participant_id")
        .map(|id| id.trim_start_matches("sub-").to_owned())
        .collect();
    let mut taken: BTreeSet<String> = ids.iter().map(|id| id.to_ascii_lowercase()).collect();
    let mut labels: BTreeMap<String, String> =
        participants.cells(USER).map(str::to_owned).zip(ids).collect();
    labels.remove(NONE);
    let mut found = BTreeMap::new();
    for user in users {
        if let Some(known) = labels.get(user) {
            found.insert(user.to_owned(), known.clone());
            continue;
        }
        let plain = label(user);
        let numbered = (2..).map(|number| format!("{plain}x{number}"));
        let free = std::iter::once(plain.clone())
            .chain(numbered)
            .find(|label| !taken.contains(&label.to_ascii_lowercase()));
        let label = free.unwrap_or(plain);
        taken.insert(label.to_ascii_lowercase());
        labels.insert(user.to_owned(), label.clone());
        found.insert(user.to_owned(), label);
    }
    found
}

/// What makes the names of one subject's files of one run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Names {
    /// `sub-` is not part of it.
    pub(crate) subject: String,
    pub(crate) session: String,
    pub(crate) task: String,
    /// From 1.
    pub(crate) run: usize,
}

impl Names {
    /// Below the dataset.
    pub(crate) fn folder(&self) -> String {
        format!("sub-{}/ses-{}", self.subject, self.session)
    }

    /// `sub-…_ses-…_task-…_run-…`
    fn entities(&self) -> String {
        let Self { subject, session, task, run } = self;
        format!("sub-{subject}_ses-{session}_task-{task}_run-{run}")
    }

    /// A recording without its ending: the suffix is `audiovideo` or `audio`.
    pub(crate) fn recording(&self, side: Side, suffix: &str) -> String {
        let side = side.word();
        format!("{}/beh/{}_recording-{side}_{suffix}", self.folder(), self.entities())
    }

    /// The table of events without its ending.
    pub(crate) fn events(&self) -> String {
        format!("{}/beh/{}_events", self.folder(), self.entities())
    }

    /// The table of recordings.
    pub(crate) fn scans(&self) -> String {
        let Self { subject, session, .. } = self;
        format!("{}/sub-{subject}_ses-{session}_scans.tsv", self.folder())
    }
}

/// A name below the dataset as `scans.tsv` has it: below the session.
pub(crate) fn below_session(name: &str) -> &str {
    name.splitn(3, '/').nth(2).unwrap_or(name)
}

/// A run's table of events, its zero moved `later` seconds and its users called by their labels.
/// None when it is no table of events.
pub(crate) fn events(
    table: &Table,
    later: f64,
    subjects: &BTreeMap<String, String>,
) -> Option<Table> {
    let onset = table.column("onset")?;
    table.column("duration")?;
    let mut table = table.clone();
    let people = ["participant", "source"].map(|name| table.column(name));
    let onset_of = |row: &[String]| row.get(onset).and_then(|cell| cell.parse::<f64>().ok());
    for row in &mut table.rows {
        if let Some(time) = onset_of(row) {
            row[onset] = format!("{:.6}", time - later);
        }
        for column in people.into_iter().flatten() {
            if let Some(cell) = row.get_mut(column)
                && let Some(label) = subjects.get(cell.as_str())
            {
                *cell = format!("sub-{label}");
            }
        }
    }
    table.rows.sort_by(|one, other| {
        let time = |row| onset_of(row).unwrap_or(f64::MIN);
        time(one).total_cmp(&time(other))
    });
    if let Some(kind) = table.column("type") {
        table.header[kind] = "trial_type".into();
    }
    for (place, name) in ["onset", "duration"].into_iter().enumerate() {
        // BIDS wants them first.
        let column = table.column(name)?;
        for row in std::iter::once(&mut table.header).chain(&mut table.rows) {
            row[place..=column].rotate_right(1);
        }
    }
    Some(table)
}

/// What the columns of an events table mean, by the dictionary that the run wrote beside its table;
/// there is none of older runs.
pub(crate) fn events_sidecar(table: &Table, task: &str, dictionary: &Value) -> Value {
    let mut fields = Map::from_iter([("TaskName".to_owned(), task.into())]);
    for column in &table.header {
        let theirs = if column == "trial_type" { "type" } else { column };
        let mut about = match dictionary.get(theirs) {
            Some(Value::Object(about)) => about.clone(),
            _ => Map::from_iter([("Description".to_owned(), meaning(column).into())]),
        };
        if ["onset", "duration"].contains(&column.as_str()) {
            about.insert("Format".into(), "number".into());
            about.insert("Units".into(), "s".into());
        }
        fields.insert(column.clone(), about.into());
    }
    Value::Object(fields)
}

fn meaning(column: &str) -> &'static str {
    match column {
        "onset" => "When it began, on the timeline of the recordings of this run",
        "duration" => "How long it took, where that was known when it began",
        "trial_type" => "What happened, by DuckSoup's name for it",
        "participant" => "Whose it is; n/a when it is of the interaction itself",
        "target" => "What it happened to, such as an effect and its property",
        "value" => "What it became",
        _ => "As DuckSoup's documentation of its tables of events says",
    }
}

/// `dataset_description.json`.
pub(crate) fn description(name: &str) -> Value {
    json!({
        "Name": name,
        "BIDSVersion": VERSION,
        "DatasetType": "raw",
        "GeneratedBy": [{
            "Name": "ducksoup-app export",
            "Version": env!("CARGO_PKG_VERSION"),
            "Description": "Recordings of a DuckSoup server, cut to the timeline of their run",
            "CodeURL": env!("CARGO_PKG_REPOSITORY"),
        }],
    })
}

/// `participants.json`.
pub(crate) fn participants_sidecar() -> Value {
    json!({USER: {
        "Description": "The participant's userId in DuckSoup: its letters and digits make the \
                        participant_id, with a number where two would be alike",
    }})
}

/// `README`.
pub(crate) fn readme(name: &str) -> String {
    format!(
        "{name}\n\n\
         Conversations that were recorded by a DuckSoup server (videoconferences whose faces and voices can\n\
         be transformed) and exported by `ducksoup-app export --bids`.\n\n\
         recording-dry is what a participant sent, recording-wet what the others saw and heard in its place,\n\
         after the effect. All files of one run have one zero (acq_time in scans.tsv) and one length; their\n\
         pictures have a constant frame rate. `audio` is the sound of `audiovideo` without loss. What nobody\n\
         recorded is black and silent, and each sidecar lists where (DuckSoup.Picture, DuckSoup.Sound).\n\n\
         The files `_audiovideo` and `_audio` follow BEP047, the proposal for audio and video recordings of\n\
         behaviour, in its state of November 2026; `.bidsignore` keeps them from validators that do not\n\
         know it yet. They show people: see to it that they consented before you share them.\n"
    )
}

#[cfg(test)]
#[path = "bids_tests.rs"]
mod tests;
