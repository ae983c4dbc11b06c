// SPDX-License-Identifier: MPL-2.0

//! The stage: one process for each interaction.
//!
//! | module | what it decides or does |
//! |---|---|
//! | [`lifecycle`] | who is in, when it starts and ends, who is told what (pure) |
//! | [`terms`] | what the first joiner sets for all (pure) |
//! | [`negotiation`] | one offer at a time (pure) |
//! | [`timeline`] | when a packet belongs (pure) |
//! | [`capture`], [`reports`] | when media were taken (pure; what reports tell) |
//! | `lost`, `concealment` | sound that never came (pure; what is done about it) |
//! | `step` | sound in step with its encoder |
//! | `phase` | pictures that leave when they were taken, beside files on a grid |
//! | `precedence` | whose threads go first |
//! | [`template`], [`naming`] | texts and file names (pure) |
//! | [`ration`] | so many a second, and no more (pure) |
//! | [`stats`] | what is told for the stats page (pure) |
//! | [`candidates`] | which addresses browsers are told of (pure) |
//! | [`playout`] | how long browsers keep pictures (pure) |
//! | [`sdp`] | what browsers are promised, how answers are judged |
//! | [`gpu`], [`wishes`] | who encodes and scales, who shows the time (pure, but for the probe) |
//! | [`pipelines`] | the files under `pipelines/`, read once |
//! | [`tuning`] | what `config/gst.yml` says, held against the elements |
//! | [`chain`], [`effects`], [`overlay`] | recording modes, effects and the time become bins |
//! | [`webrtcbin`], [`tracks`] | a connection, and the browser's tracks that come by it |
//! | [`peer`], [`graph`] | a participant's media, the pipeline they share |
//! | [`rehearsal`] | what would take long the first time |
//! | [`rtcp`], [`traffic`], [`measures`] | what control packets tell, and each second's figures (pure) |
//! | [`bandwidth`] | what a connection can take, either way (an estimator, and pure rules) |
//! | [`meter`], [`counters`] | what GStreamer counts of a participant |
//! | [`gstreamer_log`] | GStreamer's own log, where it is wanted |
//! | [`journal`], [`events`] | the log, the manifest, the table of events |
//! | [`plots`] | a run as pictures |
//! | [`carrier`], [`input`], [`stage`] | frames in, one thread that acts, frames out |
//!
//! What goes wrong is told in the journal; where there is none (yet), on standard error, which is the
//! door's.

pub mod bandwidth;
pub mod candidates;
pub mod capture;
pub mod carrier;
pub mod chain;
mod concealment;
pub mod counters;
pub mod effects;
mod effort;
pub mod elements;
pub mod events;
pub mod gpu;
pub mod graph;
pub mod gstreamer_log;
mod hearing;
pub mod input;
pub mod journal;
pub mod lifecycle;
mod lost;
pub mod measures;
pub mod meter;
pub mod naming;
pub mod negotiation;
pub mod overlay;
pub mod peer;
mod phase;
pub mod pipelines;
pub mod playout;
pub mod plots;
mod precedence;
pub mod ration;
pub mod rehearsal;
pub mod reports;
pub mod rtcp;
pub mod sdp;
mod silence;
pub mod stage;
mod standing;
pub mod stats;
mod step;
pub mod template;
pub mod terms;
pub mod timeline;
pub mod tracks;
pub mod traffic;
pub mod tuning;
pub mod webrtcbin;
pub mod wishes;

use carrier::FromDoor;
use ducksoup_signaller::frame::{DoorFrame, Opening, StageFrame};
use input::{Input, Inputs};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::time::Duration;

/// Longest wait for the last frames to be written, and for the pipeline to stop.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// A stage rehearses so long after its start. Ours: a door starts one when it opens another one, whose first
/// participant then has what the machine can do.
const CALM: Duration = Duration::from_secs(1);

/// Holds `config/gst.yml` of a working directory against the elements of this machine.
///
/// # Errors
/// A property that an element does not have or does not take; a file that is wrong; no GStreamer.
pub fn check(working: &std::path::Path) -> anyhow::Result<()> {
    let config = crate::config::Config::new(&crate::config::Args::default(), working)?;
    gst::init()?;
    tuning::check(&config.stage_settings().elements)?;
    Ok(())
}

/// Runs a stage on standard input and output: waits for its [`Opening`], then for the end of its
/// interaction.
///
/// # Errors
/// When the seam to the door or GStreamer cannot be had.
pub fn run() -> anyhow::Result<()> {
    precedence::come_between();
    let (sender, receiver) = sync_channel(input::BACKLOG);
    let inputs = Inputs::new(sender);
    let to = inputs.clone();
    let (door, flush) = carrier::stdio(move |words| to.wait(Input::Door(words)))?;
    gst::init()?;
    elements::register()?;
    if let Some(opening) = opening(&receiver) {
        let mut stage = stage::Stage::new(opening, door.clone(), inputs)?;
        door.send(StageFrame::Ready);
        drop(door);
        stage.run(&receiver);
        // A stuck effect must not keep the process: the thread is left behind.
        std::thread::spawn(move || drop(stage));
    } else {
        drop(door);
    }
    flush.wait(LAST_WORDS);
    Ok(())
}

/// What this stage is; `None` when the door goes before it says so. If it is not told soon, it rehearses
/// meanwhile.
fn opening(inputs: &Receiver<Input>) -> Option<Opening> {
    let mut next = match inputs.recv_timeout(CALM) {
        Err(RecvTimeoutError::Timeout) => {
            rehearsal::begin();
            inputs.recv().ok()?
        }
        input => input.ok()?,
    };
    loop {
        match next {
            Input::Door(FromDoor::Frame(DoorFrame::Open(opening))) => return Some(*opening),
            Input::Door(FromDoor::Gone | FromDoor::Frame(DoorFrame::Shutdown)) => return None,
            other => eprintln!("before the opening: {other:?}"),
        }
        next = inputs.recv().ok()?;
    }
}
