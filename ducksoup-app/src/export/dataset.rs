// SPDX-License-Identifier: MPL-2.0

//! The files of a BIDS dataset that belong to more than one recording. One that is there already
//! grows: rows and lines are added, nothing that others wrote is changed.

use super::bids::{self, Names};
use super::ledger::{Ledger, replace};
use super::plan::Plan;
use super::sidecar;
use super::table::Table;
use super::work::Piece;
use super::{ExportArgs, ExportError};
use crate::archive::manifest::Manifest;
use jiff::Timestamp;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// A dataset that is being written.
#[derive(Debug)]
pub(crate) struct Dataset {
    folder: PathBuf,
    /// Its name, for who begins one.
    title: String,
    participants: Table,
    /// The label of each user.
    subjects: BTreeMap<String, String>,
    /// The number of each run, from 1.
    runs: BTreeMap<String, usize>,
    session: String,
    task: String,
}

impl Dataset {
    /// Looks at what is there and gives names to everyone and everything.
    pub(crate) fn open(
        folder: &Path,
        args: &ExportArgs,
        all: &[Manifest],
    ) -> Result<Self, ExportError> {
        let path = folder.join("participants.tsv");
        let participants = table(&path, "participant_id")?;
        let users = all.iter().flat_map(|run| run.participants.keys());
        let subjects = bids::subjects(users.map(|user| user.as_str()), &participants);
        let mut started: Vec<(Timestamp, &str)> = all
            .iter()
            .filter_map(|run| Some((run.started.as_ref()?.parse().ok()?, run.id.as_str())))
            .collect();
        started.sort_unstable();
        let numbered = started.into_iter().enumerate();
        let runs = numbered.map(|(place, (_, id))| (id.to_owned(), place + 1)).collect();
        let first = all.first();
        let namespace = first.map(|run| run.namespace.clone()).unwrap_or_default();
        let interaction = first.map(|run| run.interaction.clone()).unwrap_or_default();
        Ok(Self {
            folder: folder.to_owned(),
            title: namespace.clone(),
            participants,
            subjects,
            runs,
            session: args.session.clone().unwrap_or(namespace),
            task: args.task.clone().unwrap_or(interaction),
        })
    }

    fn names(&self, run: &str, user: &str) -> Names {
        Names {
            subject: self.subjects.get(user).cloned().unwrap_or_else(|| bids::label(user)),
            session: bids::label(&self.session),
            task: bids::label(&self.task),
            run: self.runs.get(run).copied().unwrap_or(1),
        }
    }

    /// Gives a piece its names, and what its sidecars must say.
    pub(crate) fn name<'a>(&self, piece: Piece<'a>, user: &str) -> Piece<'a> {
        let names = self.names(&piece.plan.id, user);
        let movie = names.recording(piece.side, "audiovideo");
        let sound = names.recording(piece.side, "audio");
        let mut fields = piece.fields;
        fields.insert("TaskName".into(), self.task.as_str().into());
        Piece { movie, sound, fields, ..piece }
    }

    /// What must be there before the first recording: the labels are kept from now on.
    pub(crate) fn begin(&self) -> Result<(), ExportError> {
        let mut participants = self.participants.clone();
        for (user, label) in &self.subjects {
            participants.set(&format!("sub-{label}"), &[(bids::USER, user)]);
        }
        self.write("participants.tsv", &participants.text())?;
        self.write_new("participants.json", &json(&bids::participants_sidecar()))?;
        self.write_new("dataset_description.json", &json(&bids::description(&self.title)))?;
        if !["README", "README.md", "README.rst", "README.txt"].iter().any(|name| self.has(name)) {
            self.write("README", &bids::readme(&self.title))?;
        }
        let path = self.folder.join(".bidsignore");
        let mut ignored = text_of(&path)?.unwrap_or_default();
        for line in bids::IGNORED {
            if !ignored.lines().any(|other| other.trim() == line) {
                if !ignored.is_empty() && !ignored.ends_with('\n') {
                    ignored.push('\n');
                }
                ignored += &format!("{line}\n");
            }
        }
        self.write(".bidsignore", &ignored)
    }

    /// What comes with the recordings: their list, and the events of their runs.
    pub(crate) fn end(
        &self,
        interaction: &Path,
        plans: &[(&Manifest, Plan)],
        pieces: &[Piece<'_>],
        ledger: &mut Ledger,
    ) -> Result<(), ExportError> {
        let mut scans: BTreeMap<String, Table> = BTreeMap::new();
        for piece in pieces {
            let acquired = sidecar::zero(piece.plan).strftime("%Y-%m-%dT%H:%M:%S.%6fZ").to_string();
            for name in piece.media() {
                let subject = name.split('/').next().unwrap_or_default().to_owned();
                let label = subject.trim_start_matches("sub-").to_owned();
                let names = Names { subject: label, ..self.names(&piece.plan.id, "") };
                let path = names.scans();
                if !scans.contains_key(&path) {
                    let there = table(&self.folder.join(&path), "filename")?;
                    scans.insert(path.clone(), there);
                }
                if let Some(scans) = scans.get_mut(&path) {
                    scans.set(bids::below_session(&name), &[("acq_time", &acquired)]);
                }
            }
        }
        for (path, scans) in &scans {
            self.write(path, &scans.text())?;
        }
        for (run, plan) in plans {
            self.events(interaction, run, plan, ledger)?;
        }
        Ok(())
    }

    /// The events of a run, beside the recordings of each of its participants.
    fn events(
        &self,
        interaction: &Path,
        run: &Manifest,
        plan: &Plan,
        ledger: &mut Ledger,
    ) -> Result<(), ExportError> {
        let path = interaction.join(format!("i-{}-events.tsv", run.id));
        let Some(text) = text_of(&path)? else { return Ok(()) };
        #[allow(clippy::cast_precision_loss)] // hours in ns
        let later = plan.cut.from as f64 / 1e9;
        let table = Table::parse(&text);
        let Some(table) = table.and_then(|table| bids::events(&table, later, &self.subjects))
        else {
            eprintln!("ducksoup-app export: {}: no table of events; left out", path.display());
            return Ok(());
        };
        let dictionary = text_of(&path.with_extension("json"))?;
        // One that cannot be read is as good as none.
        let dictionary = dictionary.and_then(|text| serde_json::from_str(&text).ok());
        let dictionary: Value = dictionary.unwrap_or_default();
        let (table, sidecar) =
            (table.text(), json(&bids::events_sidecar(&table, &self.task, &dictionary)));
        let mut users: Vec<_> = plan.takes.iter().map(|take| take.user.as_str()).collect();
        users.dedup();
        for user in users {
            let name = self.names(&run.id, user).events();
            for (name, text) in
                [(format!("{name}.tsv"), &table), (format!("{name}.json"), &sidecar)]
            {
                ledger.write(&name, text)?;
            }
        }
        Ok(())
    }

    fn has(&self, name: &str) -> bool {
        self.folder.join(name).exists()
    }

    fn write(&self, name: &str, text: &str) -> Result<(), ExportError> {
        Ok(replace(&self.folder.join(name), text)?)
    }

    /// Unless there is one.
    fn write_new(&self, name: &str, text: &str) -> Result<(), ExportError> {
        if self.has(name) { Ok(()) } else { self.write(name, text) }
    }
}

fn json(value: &Value) -> String {
    serde_json::to_string_pretty(value).unwrap_or_default() + "\n"
}

/// A file's text, if there is one.
fn text_of(path: &Path) -> Result<Option<String>, ExportError> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(ExportError::Disk { path: path.to_owned(), error }),
    }
}

/// A table that may be there; its first column must be this one.
fn table(path: &Path, key: &str) -> Result<Table, ExportError> {
    let Some(text) = text_of(path)? else { return Ok(Table::new(&[key])) };
    let table = Table::parse(&text);
    let ours = table.filter(|table| table.header.first().is_some_and(|first| first == key));
    ours.ok_or_else(|| ExportError::Dataset {
        path: path.to_owned(),
        why: "this is no table that rows can be added to",
    })
}
