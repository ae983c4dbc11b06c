// SPDX-License-Identifier: MPL-2.0

//! `ducksoup-app export`: recordings as aligned files of equal length, which any tool opens.
//!
//! Decided beforehand (`plan`): which files make which output, and the timeline that all outputs of
//! a run share. Then slot by slot: `reader` decodes (by `archive::reader`), `feed` joins the connections of a participant,
//! `grid` says which picture is shown and `sound` which sample is heard, `canvas` puts people side by
//! side, `encoder` writes (with `priming`, so that players start in time), `sidecar` says what it is.
//! `ledger` remembers what is done; `bids` lays it out as a dataset (`table`, `dataset`). Of these
//! plan, grid, sound, sidecar, bids and table are pure.

mod args;
mod bids;
mod canvas;
mod dataset;
mod encoder;
mod feed;
mod grid;
mod ledger;
mod media;
mod plan;
mod priming;
mod reader;
mod sidecar;
mod sound;
mod table;
mod view;
mod work;

pub use args::ExportArgs;
pub use ledger::LedgerError;
pub use media::MediaError;
pub use plan::{PlanError, Size};

use crate::archive::digest;
use crate::archive::manifest::{self, Manifest, ManifestError};
use dataset::Dataset;
use ledger::Ledger;
use plan::{Plan, Side, Take, Wishes};
use serde_json::Map;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use view::View;
use work::{People, Piece};

/// Why there is no export, or only a part of it.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The folder is none of an interaction.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// A run cannot be exported.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// The output folder cannot be used.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// No run of that name.
    #[error("--run {0}: this folder has no such run; it has {1}")]
    NoSuchRun(String, String),
    /// A recording is not there.
    #[error("{}: {error} (the manifest of run {run} speaks of this file)", path.display())]
    Missing {
        /// The run.
        run: String,
        /// The file.
        path: PathBuf,
        /// Why it cannot be read.
        error: io::Error,
    },
    /// A recording is not what its run wrote.
    #[error(
        "{}: its bytes are not those that run {run} wrote (SHA-256); ducksoup-app verify tells more",
        path.display()
    )]
    Changed {
        /// The run.
        run: String,
        /// The file.
        path: PathBuf,
    },
    /// A file of the dataset that cannot be added to.
    #[error("{}: {why}", path.display())]
    Dataset {
        /// The file.
        path: PathBuf,
        /// Why not.
        why: &'static str,
    },
    /// Decoding or encoding failed.
    #[error("{what}: {error}")]
    Media {
        /// What was being made.
        what: String,
        /// Why it is not there.
        error: MediaError,
    },
    /// The disk.
    #[error("{}: {error}", path.display())]
    Disk {
        /// What was read or written.
        path: PathBuf,
        /// Why not.
        error: io::Error,
    },
    /// The media library.
    #[error("GStreamer: {0}")]
    Gstreamer(#[from] glib::Error),
}

/// Exports a folder and prints what came of it; the exit code says whether all went well.
#[must_use]
pub fn run(args: &ExportArgs) -> ExitCode {
    match export(args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("ducksoup-app export: {error}");
            ExitCode::FAILURE
        }
    }
}

fn export(args: &ExportArgs) -> Result<(), ExportError> {
    gst::init()?;
    let all = manifest::read_all(&args.folder)?;
    let ids = || all.iter().map(|run| run.id.as_str()).collect::<Vec<_>>().join(", ");
    if let Some(unknown) = args.run.iter().find(|id| all.iter().all(|run| run.id != **id)) {
        return Err(ExportError::NoSuchRun(unknown.clone(), ids()));
    }
    let wanted = |run: &&Manifest| args.run.is_empty() || args.run.contains(&run.id);
    let plans = plans(all.iter().filter(wanted), args)?;
    let recordings = manifest::recordings(&args.folder);
    for (_, plan) in &plans {
        check(plan, &recordings)?;
    }
    let default = if args.bids { "bids" } else { "export" };
    let output = args.output.clone().unwrap_or_else(|| args.folder.join(default));
    let mut ledger = Ledger::open(&output)?;
    let dataset = match args.bids {
        true => Some(Dataset::open(&output, args, &all)?),
        false => None,
    };
    let pieces: Vec<_> =
        plans.iter().flat_map(|plan| pieces(plan, args.composite, dataset.as_ref())).collect();
    let mut left = Vec::new();
    for piece in &pieces {
        if piece.is_done(&ledger)? {
            println!("{}: done before", ledger.path(&piece.sound).display());
        } else {
            left.push(piece);
        }
    }
    if let Some(dataset) = &dataset {
        dataset.begin()?;
    }
    let view = View::new(left.iter().map(|piece| piece.work()).sum());
    for piece in left {
        view.begin(&piece.sound);
        piece.make(&recordings, &mut ledger, &view)?;
        for name in piece.media() {
            let cut = piece.plan.cut;
            let path = ledger.path(&name);
            view.tell(&format!(
                "{}: {:.3} s, {} pictures",
                path.display(),
                cut.seconds(),
                cut.frames
            ));
        }
    }
    match &dataset {
        Some(dataset) => dataset.end(&args.folder, &plans, &pieces, &mut ledger),
        None => Ok(()),
    }
}

/// The plans of all runs that have one; a run that has none is told of, and no error unless it is the
/// only one.
fn plans<'a>(
    runs: impl Iterator<Item = &'a Manifest>,
    args: &ExportArgs,
) -> Result<Vec<(&'a Manifest, Plan)>, ExportError> {
    let wishes = Wishes { framerate: args.framerate, size: args.size, common: args.common };
    let (mut plans, mut empty) = (Vec::new(), Vec::new());
    for run in runs {
        match plan::plan(run, wishes) {
            Ok(plan) => plans.push((run, plan)),
            Err(
                error @ (PlanError::NotStarted(_)
                | PlanError::NotOver(_)
                | PlanError::NoRecordings(_)),
            ) => empty.push(error),
            Err(error) => return Err(error.into()),
        }
    }
    if plans.is_empty()
        && let Some(error) = empty.pop()
    {
        return Err(error.into());
    }
    for (run, plan) in &plans {
        for name in &plan.empty {
            let id = &run.id;
            eprintln!("ducksoup-app export: run {id}: {name}: it holds nothing readable; left out");
        }
    }
    for error in empty {
        eprintln!("ducksoup-app export: {error}; left out");
    }
    Ok(plans)
}

/// Whether the recordings of a run are there and as it wrote them.
fn check(plan: &Plan, recordings: &Path) -> Result<(), ExportError> {
    for (name, said) in &plan.hashes {
        let path = recordings.join(name);
        let run = plan.id.clone();
        match digest::of_file(&path) {
            Err(error) => return Err(ExportError::Missing { run, path, error }),
            // A run that could not read its file back did not say.
            Ok((_, is)) if said.is_empty() || is.eq_ignore_ascii_case(said) => {}
            Ok(_) => return Err(ExportError::Changed { run, path }),
        }
    }
    Ok(())
}

/// What is made of a run.
fn pieces<'a>(
    (manifest, plan): &'a (&Manifest, Plan),
    composite: bool,
    dataset: Option<&Dataset>,
) -> Vec<Piece<'a>> {
    let id = &plan.id;
    let piece = |side, people, name: String| Piece {
        manifest,
        plan,
        side,
        people,
        movie: name.clone(),
        sound: name,
        fields: Map::new(),
    };
    let one = |take: &'a Take| {
        let name = format!("i-{id}-u-{}-{}", take.user, take.side.word());
        let piece = piece(take.side, People::One(take), name);
        match dataset {
            Some(dataset) => dataset.name(piece, &take.user),
            None => piece,
        }
    };
    let mut pieces: Vec<_> = plan.takes.iter().map(one).collect();
    let sides = [Side::Dry, Side::Wet];
    let has = |side| plan.takes.iter().any(|take| take.side == side);
    for side in sides.into_iter().filter(|side| composite && has(*side)) {
        // Where there was no effect, the others saw what was sent.
        let mut people: Vec<&Take> = plan.takes.iter().filter(|take| take.side == side).collect();
        for take in &plan.takes {
            if people.iter().all(|other| other.user != take.user) {
                people.push(take);
            }
        }
        people.sort_by_key(|take| &take.user);
        let name = format!("i-{id}-composite-{}", side.word());
        pieces.push(piece(side, People::All(people), name));
    }
    pieces
}
