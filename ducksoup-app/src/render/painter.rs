// SPDX-License-Identifier: MPL-2.0

//! One dry file on its way through the effects into a new wet one:
//!
//! ```text
//! Reader (a thread for each track) ─▶ appsrc ─▶ render.yml ─▶ end ─▶ experimentrecorder
//! ```
//!
//! Nothing here is live: each element takes the time it needs.

use super::meeting::Meeting;
use super::plan::{Job, Part};
use super::recipe::{Recipe, RecipeError};
use super::table::{Aim, Applied};
use crate::archive::complaint::words;
use crate::archive::reader::{Piece, ReadError, Reader};
use crate::interaction::effects;
use crate::interaction::overlay::Overlay;
use crate::interaction::sdp::Kind;
use gst::prelude::*;
use gst_app::AppSrc;
use gstducksoup::fxcontrol::FxControl;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::{Scope, ScopedJoinHandle};
use std::time::{Duration, Instant};

/// How long nothing may move at all. Ours: effects that load a model take some seconds.
const STALLED: Duration = Duration::from_secs(120);
/// How often is looked at how far it is.
const LOOK: gst::ClockTime = gst::ClockTime::from_mseconds(100);
/// Raw pieces that may wait before the effects. Ours: as [`Reader`]'s.
const AHEAD: u64 = 8;
/// Encoded media that may wait for the disk, in bytes: nothing is live, so none may be dropped.
const MOST_BYTES: u64 = 1 << 30;

/// Why a file did not come to be.
#[derive(Debug, thiserror::Error)]
pub(super) enum PaintError {
    /// The dry file.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The operator's files.
    #[error(transparent)]
    Recipe(#[from] RecipeError),
    /// GStreamer lacks an element, or the effects do not fit.
    #[error("cannot be put together: {0}")]
    Build(String),
    /// An element gave up.
    #[error("{0}")]
    Element(String),
    /// Nothing moves any more.
    #[error("nothing came out for {} s", STALLED.as_secs())]
    Stalled,
    /// The recorder wrote less, or other files, than it was given.
    #[error("the recorder lost something: {0}")]
    Lost(String),
}

/// A finished file.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Painted {
    /// Where it is.
    pub(super) path: PathBuf,
    /// Pictures in it.
    pub(super) frames: u64,
    /// Its sound, in samples at 48 kHz.
    pub(super) samples: u64,
    /// The values that effects were given.
    pub(super) applied: Vec<Applied>,
}

/// A pipeline that stops with its scope.
#[derive(Debug)]
struct Stage {
    pipeline: gst::Pipeline,
    meeting: Meeting,
}

impl Drop for Stage {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Stage {
    /// Who waits here goes on first.
    fn stop(&self) {
        self.meeting.cancel();
        let _ = self.pipeline.set_state(gst::State::Null);
    }
}

/// Renders a job into a folder that is its own; `progress` is told how far it is (ns of the file).
///
/// # Errors
/// The first thing that fails.
pub(super) fn paint(
    job: &Job,
    recipe: &Recipe,
    dry: &Path,
    folder: &Path,
    progress: &mut dyn FnMut(u64),
) -> Result<Painted, PaintError> {
    let stage = Stage { pipeline: gst::Pipeline::new(), meeting: Meeting::of(job.parts().count()) };
    let recorder = recorder(job, folder)?;
    add(&stage.pipeline, &recorder)?;
    let position = Arc::new(AtomicU64::new(0));
    let mut sources = Vec::new();
    for part in job.parts() {
        let source = branch(job, part, recipe, &stage, &recorder, &position)?;
        sources.push((part, source, recipe.decode(job, part)?));
    }
    let bus = stage.pipeline.bus().ok_or_else(|| PaintError::Build("no bus".into()))?;
    if stage.pipeline.set_state(gst::State::Playing).is_err() {
        let told = bus.pop_filtered(&[gst::MessageType::Error]);
        return Err(told.map_or_else(
            || PaintError::Build("it does not start".into()),
            |message| complaint(&message),
        ));
    }
    std::thread::scope(|scope| {
        let readers: Vec<_> = sources
            .into_iter()
            .map(|(part, source, decode)| feed(scope, job, part, dry, source, decode))
            .collect();
        let painted = watch(&bus, job, &position, progress);
        // Those who still read are told to stop by what they feed.
        stage.stop();
        for reader in readers {
            let read = reader.join().unwrap_or(Err(ReadError::Stalled));
            read?;
        }
        painted
    })
}

fn recorder(job: &Job, folder: &Path) -> Result<gst::Element, PaintError> {
    let origin = job.origin();
    gst::ElementFactory::make("experimentrecorder")
        .property("folder", folder.to_string_lossy().as_ref())
        .property("origin", origin)
        .property("end", origin.saturating_add(job.end))
        .property("max-bytes", MOST_BYTES)
        .build()
        .map_err(|error| PaintError::Build(error.to_string()))
}

fn add(pipeline: &gst::Pipeline, element: &gst::Element) -> Result<(), PaintError> {
    pipeline.add(element).map_err(|error| PaintError::Build(error.to_string()))
}

/// What one track passes; gives where it begins.
fn branch(
    job: &Job,
    part: &Part,
    recipe: &Recipe,
    stage: &Stage,
    recorder: &gst::Element,
    position: &Arc<AtomicU64>,
) -> Result<AppSrc, PaintError> {
    let kind = part.codec.kind();
    let text = format!(
        "appsrc name=source format=time block=true max-bytes=0 max-buffers={AHEAD} ! {} \
         ! identity name=end silent=true",
        recipe.wet(job, part)?
    );
    let fault = |why: &str| PaintError::Build(format!("{kind}: {why}"));
    let bin = gst::parse::bin_from_description_with_name(&text, false, kind.name())
        .map_err(|error| fault(error.message()))?;
    let named = |name: &str| bin.by_name(name).ok_or_else(|| fault(&format!("no {name}")));
    let slot = named("fx")?.downcast::<FxControl>().map_err(|_| fault("fx is no fxcontrol"))?;
    effects::fill(&slot, Some(&part.fx), &recipe.settings);
    slot.set_property("timeline", &part.timeline);
    if let Some(grid) = bin.by_name("grid") {
        grid.set_property("origin", job.base);
    }
    if let Some(overlay) = bin.by_name("overlay").as_ref().and_then(Overlay::new) {
        overlay.begin(gst::ClockTime::from_nseconds(job.base));
    }
    let end = named("end")?.static_pad("src").ok_or_else(|| fault("no end"))?;
    attend(&end, stage.meeting.clone());
    follow(&end, job.origin(), position.clone());
    let ghost = gst::GhostPad::builder_with_target(&end).map_err(|_| fault("no end"))?;
    let ghost = ghost.name("src").build();
    bin.add_pad(&ghost).map_err(|_| fault("no end"))?;
    add(&stage.pipeline, bin.upcast_ref())?;
    let sink = recorder.request_pad_simple(&format!("wet_{kind}"));
    let sink = sink.ok_or_else(|| fault("no place in the recorder"))?;
    ghost.link(&sink).map_err(|_| fault("the recorder does not take it"))?;
    named("source")?.downcast().map_err(|_| fault("source is no appsrc"))
}

/// Holds the first piece, or the end, until every track has one.
fn attend(pad: &gst::Pad, meeting: Meeting) {
    let kinds = gst::PadProbeType::BUFFER | gst::PadProbeType::EVENT_DOWNSTREAM;
    pad.add_probe(kinds, move |_, info| {
        if info.event().is_some_and(|event| event.type_() != gst::EventType::Eos) {
            return gst::PadProbeReturn::Ok;
        }
        meeting.attend();
        gst::PadProbeReturn::Remove
    });
}

/// Notes how far the media are, in ns of the file.
fn follow(pad: &gst::Pad, origin: u64, position: Arc<AtomicU64>) {
    pad.add_probe(gst::PadProbeType::BUFFER, move |pad, info| {
        let segment = pad.sticky_event::<gst::event::Segment>(0);
        let time = info.buffer().and_then(|buffer| buffer.pts()).zip(segment);
        let time = time.and_then(|(pts, event)| {
            let segment = event.segment().downcast_ref::<gst::ClockTime>()?;
            segment.to_running_time(pts)
        });
        if let Some(time) = time {
            // At least one more than before, so that any piece shows that something moves.
            let time = time.nseconds().saturating_sub(origin);
            position.fetch_add(1, Ordering::Relaxed);
            position.fetch_max(time, Ordering::Relaxed);
        }
        gst::PadProbeReturn::Ok
    });
}

/// Reads a track into its branch, on a thread of its own.
fn feed<'scope>(
    scope: &'scope Scope<'scope, '_>,
    job: &'scope Job,
    part: &'scope Part,
    dry: &'scope Path,
    source: AppSrc,
    decode: String,
) -> ScopedJoinHandle<'scope, Result<(), ReadError>> {
    scope.spawn(move || {
        let fed = Reader::open(dry, part.codec, &decode)
            .and_then(|reader| pour(&reader, job, part, &source));
        // What came is written in any case.
        let _ = source.end_of_stream();
        fed
    })
}

fn pour(reader: &Reader, job: &Job, part: &Part, source: &AppSrc) -> Result<(), ReadError> {
    let is_grid = part.codec.kind() == Kind::Video && job.is_constant();
    let mut first = part.from.filter(|_| is_grid);
    let mut held = reader.next()?;
    while let Some(mut piece) = held {
        held = reader.next()?;
        if let Some(from) = first.take() {
            piece.time = from;
        }
        // The grid fills the slots up to the last picture's end.
        let until = (held.is_none() && is_grid).then_some(job.end);
        if source.push_sample(&sample(piece, job.origin(), until)).is_err() {
            // Whatever stopped it has told why.
            break;
        }
    }
    Ok(())
}

/// A piece at its running time; `until` is where it ends (ns in the file), where that is not its own.
fn sample(piece: Piece, origin: u64, until: Option<u64>) -> gst::Sample {
    let Piece { time, caps, mut buffer } = piece;
    let own = buffer.make_mut();
    own.set_pts(gst::ClockTime::from_nseconds(origin.saturating_add(time)));
    own.set_dts(None);
    if let Some(length) = until.and_then(|until| until.checked_sub(time)) {
        own.set_duration(gst::ClockTime::from_nseconds(length));
    }
    gst::Sample::builder().buffer(&buffer).caps(&caps).build()
}

/// Waits for the recorder's last word.
fn watch(
    bus: &gst::Bus,
    job: &Job,
    position: &AtomicU64,
    progress: &mut dyn FnMut(u64),
) -> Result<Painted, PaintError> {
    let kinds = [gst::MessageType::Error, gst::MessageType::Element];
    let (mut applied, mut files) = (Vec::new(), Vec::new());
    let mut moved = (position.load(Ordering::Relaxed), Instant::now());
    loop {
        let Some(message) = bus.timed_pop_filtered(LOOK, &kinds) else {
            let now = position.load(Ordering::Relaxed);
            progress(now);
            if now > moved.0 {
                moved = (now, Instant::now());
            } else if moved.1.elapsed() > STALLED {
                return Err(PaintError::Stalled);
            }
            continue;
        };
        let gst::MessageView::Element(element) = message.view() else {
            return Err(complaint(&message));
        };
        let Some(structure) = element.structure() else { continue };
        match structure.name().as_str() {
            "fxcontrol-applied" => applied.extend(value_set(structure, job)),
            "experimentrecorder-file" => files.push(structure.to_owned()),
            "experimentrecorder-error" => {
                let why = structure.get::<String>("message").unwrap_or_default();
                return Err(PaintError::Element(why));
            }
            "experimentrecorder-finished" => return finished(&files, applied),
            _ => {}
        }
    }
}

/// An effect was given a value.
fn value_set(structure: &gst::StructureRef, job: &Job) -> Option<Applied> {
    let text = |name| structure.get::<String>(name).ok();
    let time = i64::try_from(structure.get::<u64>("running-time").ok()?).ok()?;
    Some(Applied {
        onset: time.saturating_sub_unsigned(job.base),
        aim: Aim { effect: text("name")?, property: text("property")?, value: text("value")? },
    })
}

/// One file with everything in it is what there must be.
fn finished(files: &[gst::Structure], applied: Vec<Applied>) -> Result<Painted, PaintError> {
    let [file] = files else {
        return Err(PaintError::Lost(format!("{} files instead of one", files.len())));
    };
    let count =
        |name: &str| file.get::<u64>(name).map_err(|error| PaintError::Lost(error.to_string()));
    let dropped = file
        .get::<gst::Array>("tracks")
        .into_iter()
        .flat_map(|tracks| {
            let track = |value: &glib::SendValue| value.get::<gst::Structure>().ok();
            tracks.iter().filter_map(track).collect::<Vec<_>>()
        })
        .map(|track| track.get::<u64>("dropped").unwrap_or(0))
        .sum::<u64>();
    if dropped > 0 || !file.get::<bool>("complete").unwrap_or(false) {
        return Err(PaintError::Lost(format!("{dropped} pieces were dropped")));
    }
    Ok(Painted {
        path: file
            .get::<String>("path")
            .map_err(|error| PaintError::Lost(error.to_string()))?
            .into(),
        frames: count("frames")?,
        samples: count("samples")? + count("silence")?,
        applied,
    })
}

fn complaint(message: &gst::Message) -> PaintError {
    match message.view() {
        gst::MessageView::Error(_) => PaintError::Element(words(message)),
        _ => PaintError::Element("something failed".into()),
    }
}
