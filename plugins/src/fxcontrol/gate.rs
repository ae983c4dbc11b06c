// SPDX-License-Identifier: MPL-2.0

//! The element before each effect: it cuts audio where something happens, sets the effect's
//! properties at each piece's own time, and keeps what enters while `bypass` is on.
//!
//! It has no thread, no queue and no delay, and cuts nothing when nothing happens.

use super::chain::{Original, Shared};
use super::pads::{pads, raw_templates};
use super::ramp::Shape;
use super::schedule::{Change, Command, Schedule, Waiting};
use super::slice::{SECOND, scale, slice};
use super::target::{Setting, number_of};
use gst::glib;
use gst::prelude::*;
use gst::subclass::prelude::*;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

/// A command for one effect.
pub(super) type FxCommand = Command<glib::ParamSpec, Setting>;

/// What a gate is told when it is made.
#[derive(Debug)]
pub(super) struct Setup {
    /// The effect behind it.
    pub(super) effect: gst::Element,
    /// In order of time.
    pub(super) timeline: Vec<(u64, FxCommand)>,
    /// Whether media enters the chain here.
    pub(super) is_first: bool,
    /// What the whole chain shares.
    pub(super) shared: Arc<Shared>,
}

glib::wrapper! {
    pub(crate) struct Gate(ObjectSubclass<imp::Gate>) @extends gst::Element, gst::Object;
}

impl Gate {
    pub(super) fn new(name: &str, setup: Setup) -> Self {
        let gate: Self = glib::Object::builder().property("name", name).build();
        let imp = gate.imp();
        imp.stream().schedule = Schedule::new(setup.timeline.clone());
        let _ = imp.setup.set(setup); // the only one: the gate is new
        gate
    }

    /// Leaves a command for the next buffer. From any thread.
    pub(super) fn push(&self, command: FxCommand) {
        self.imp().waiting().push(command);
    }
}

mod imp {
    use super::*;
    use crate::fxcontrol::report::{About, Report, post};

    /// What belongs to the stream. Only its own thread works on it, so it is taken out while a
    /// buffer passes and no lock is held across a push.
    #[derive(Debug, Default)]
    pub(crate) struct Stream {
        caps: Option<gst::Caps>,
        audio: Option<gst_audio::AudioInfo>,
        segment: Option<gst::FormattedSegment<gst::ClockTime>>,
        pub(super) schedule: Schedule<glib::ParamSpec, Setting>,
        /// Running time after the last buffer, for buffers without a timestamp.
        position: u64,
        /// What ramps last set, so that a rounded value is not set again.
        last_set: Vec<(glib::ParamSpec, Setting)>,
        bypassing: bool,
    }

    #[derive(Debug)]
    pub(crate) struct Gate {
        sinkpad: gst::Pad,
        srcpad: gst::Pad,
        pub(super) setup: OnceLock<Setup>,
        // Lock order: no two of these at once, none across a call out.
        waiting: Mutex<Waiting<glib::ParamSpec, Setting>>,
        stream: Mutex<Stream>,
    }

    #[glib::object_subclass]
    impl ObjectSubclass for Gate {
        const NAME: &'static str = "GstFxControlGate";
        type Type = super::Gate;
        type ParentType = gst::Element;

        fn new() -> Self {
            let (sinkpad, srcpad) = pads(Self::sink_chain, Self::sink_event);
            Self {
                sinkpad,
                srcpad,
                setup: OnceLock::new(),
                waiting: Mutex::default(),
                stream: Mutex::default(),
            }
        }
    }

    impl ObjectImpl for Gate {
        fn constructed(&self) {
            self.parent_constructed();
            for pad in [&self.sinkpad, &self.srcpad] {
                self.obj().add_pad(pad).expect("a new element has no pads");
            }
        }
    }

    impl GstObjectImpl for Gate {}

    impl ElementImpl for Gate {
        fn pad_templates() -> &'static [gst::PadTemplate] {
            raw_templates()
        }
    }

    impl Gate {
        pub(super) fn waiting(&self) -> MutexGuard<'_, Waiting<glib::ParamSpec, Setting>> {
            self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
        }

        pub(super) fn stream(&self) -> MutexGuard<'_, Stream> {
            self.stream.lock().unwrap_or_else(PoisonError::into_inner)
        }

        fn sink_event(&self, pad: &gst::Pad, event: gst::Event) -> bool {
            match event.view() {
                gst::EventView::Caps(caps) => {
                    let mut stream = self.stream();
                    stream.caps = Some(caps.caps_owned());
                    stream.audio = gst_audio::AudioInfo::from_caps(caps.caps()).ok();
                }
                gst::EventView::Segment(segment) => {
                    self.stream().segment = segment.segment().downcast_ref().cloned();
                }
                gst::EventView::FlushStop(flush) => {
                    let mut stream = self.stream();
                    stream.segment = None;
                    if flush.resets_time() {
                        stream.schedule.rewind();
                        stream.last_set.clear();
                        stream.position = 0;
                    }
                }
                _ => {}
            }
            gst::Pad::event_default(pad, Some(&*self.obj()), event)
        }

        fn sink_chain(&self, buffer: gst::Buffer) -> Result<gst::FlowSuccess, gst::FlowError> {
            let setup = self.setup.get().ok_or(gst::FlowError::NotNegotiated)?;
            let mut stream = std::mem::take(&mut *self.stream());
            let result = self.pass(setup, &mut stream, buffer);
            *self.stream() = stream;
            result
        }

        fn pass(
            &self,
            setup: &Setup,
            stream: &mut Stream,
            buffer: gst::Buffer,
        ) -> Result<gst::FlowSuccess, gst::FlowError> {
            let start = stream.running_time(&buffer);
            let audio = stream.frames(&buffer);
            stream.position = start + stream.length(&buffer, audio.as_ref());
            if setup.is_first {
                keep_original(setup, stream, &buffer, start);
            }
            loop {
                let command = self.waiting().pop();
                let Some(command) = command else { break };
                begin(setup, stream, command, start);
            }
            match audio {
                Some((info, frames)) if stream.runs_forwards() => {
                    self.pass_slices(setup, stream, &buffer, start, &info, frames)
                }
                _ => {
                    advance(setup, stream, start);
                    self.srcpad.push(buffer)
                }
            }
        }

        fn pass_slices(
            &self,
            setup: &Setup,
            stream: &mut Stream,
            buffer: &gst::Buffer,
            start: u64,
            info: &gst_audio::AudioInfo,
            frames: u64,
        ) -> Result<gst::FlowSuccess, gst::FlowError> {
            let rate = u64::from(info.rate());
            let end = start + scale(frames, SECOND, rate);
            let mut done = 0;
            loop {
                let now = start + scale(done, SECOND, rate);
                advance(setup, stream, now);
                let cut = stream.schedule.cut(now, end, setup.shared.control_period());
                let next = if cut >= end {
                    frames
                } else {
                    // The first frame that is not before the cut.
                    let past = u128::from(cut - start) * u128::from(rate);
                    let next = past.div_ceil(u128::from(SECOND));
                    u64::try_from(next).unwrap_or(frames).clamp(done + 1, frames)
                };
                let piece = if done == 0 && next == frames {
                    buffer.clone()
                } else {
                    slice(buffer, info, done, next)?
                };
                self.srcpad.push(piece)?;
                done = next;
                if done >= frames {
                    return Ok(gst::FlowSuccess::Ok);
                }
            }
        }
    }

    impl Stream {
        /// When the buffer begins. What lies before the segment counts as its beginning.
        fn running_time(&self, buffer: &gst::BufferRef) -> u64 {
            let time = self.segment.as_ref().zip(buffer.pts()).and_then(|(segment, pts)| {
                match segment.to_running_time_full(pts)? {
                    gst::Signed::Positive(time) => Some(time.nseconds()),
                    gst::Signed::Negative(_) => Some(0),
                }
            });
            time.unwrap_or(self.position)
        }

        /// Where the format is known, and how many frames the buffer has.
        fn frames(&self, buffer: &gst::BufferRef) -> Option<(gst_audio::AudioInfo, u64)> {
            let info = self.audio.clone()?;
            let frames = match buffer.meta::<gst_audio::AudioMeta>() {
                Some(meta) => u64::try_from(meta.samples()).ok()?,
                None => u64::try_from(buffer.size()).ok()? / u64::from(info.bpf().max(1)),
            };
            (frames > 0 && info.rate() > 0).then_some((info, frames))
        }

        fn length(
            &self,
            buffer: &gst::BufferRef,
            audio: Option<&(gst_audio::AudioInfo, u64)>,
        ) -> u64 {
            let of_frames = audio.map(|(info, frames)| scale(*frames, SECOND, info.rate().into()));
            of_frames.or(buffer.duration().map(gst::ClockTime::nseconds)).unwrap_or(0)
        }

        /// Whether running time goes as fast as the media, so that a buffer can be cut by it.
        fn runs_forwards(&self) -> bool {
            self.segment.as_ref().is_none_or(|segment| (segment.rate() - 1.0).abs() < f64::EPSILON)
        }
    }

    /// All that is due at `now`.
    fn advance(setup: &Setup, stream: &mut Stream, now: u64) {
        if stream.schedule.is_idle() {
            return;
        }
        while let Some((at, command)) = stream.schedule.due(now) {
            begin(setup, stream, command, at);
        }
        for change in stream.schedule.step(now) {
            apply(setup, stream, &change, now);
        }
    }

    fn begin(setup: &Setup, stream: &mut Stream, command: FxCommand, at: u64) {
        let from = command.number.and_then(|_| {
            let reached = stream.schedule.reached(&command.key, at);
            reached.or_else(|| read_number(&setup.effect, &command.key))
        });
        let moves = from.is_some() && command.shape != Shape::Step && command.duration > 0;
        let started = Report::Started {
            running_time: at,
            duration: if moves { command.duration } else { 0 },
            shape: if moves { command.shape } else { Shape::Step },
            from,
        };
        let (id, key, end) = (command.id, command.key.clone(), command.end.to_string());
        if let Some(interrupted) = stream.schedule.begin(command, from, at) {
            let reached = interrupted.command.end.at(interrupted.reached);
            let finished = Report::Finished { running_time: at, complete: interrupted.complete };
            let earlier = interrupted.command.id;
            tell(setup, earlier, &key, &reached.to_string(), &finished);
        }
        tell(setup, id, &key, &end, &started);
    }

    fn read_number(effect: &gst::Element, key: &glib::ParamSpec) -> Option<f64> {
        key.flags()
            .contains(glib::ParamFlags::READABLE)
            .then(|| number_of(&effect.property_value(key.name())))
            .flatten()
    }

    fn apply(
        setup: &Setup,
        stream: &mut Stream,
        change: &Change<glib::ParamSpec, Setting>,
        now: u64,
    ) {
        let setting = match change.on_the_way {
            Some(number) => change.end.at(number),
            None => change.end.clone(),
        };
        let place = stream.last_set.iter().position(|(key, _)| *key == change.key);
        let unchanged = place.is_some_and(|place| stream.last_set[place].1 == setting);
        if !unchanged || change.on_the_way.is_none() {
            let Some(value) = setting.to_value(&change.key) else {
                return; // cannot be: it was made for this property
            };
            setup.effect.set_property_from_value(change.key.name(), &value);
        }
        if change.report {
            let running_time = now;
            let applied = Report::Applied { running_time };
            tell(setup, change.id, &change.key, &setting.to_string(), &applied);
        }
        match (change.on_the_way, place) {
            (Some(_), Some(place)) => stream.last_set[place].1 = setting,
            (Some(_), None) => stream.last_set.push((change.key.clone(), setting)),
            (None, place) => {
                if let Some(place) = place {
                    stream.last_set.swap_remove(place);
                }
                let finished = Report::Finished { running_time: now, complete: true };
                tell(setup, change.id, &change.key, &setting.to_string(), &finished);
            }
        }
    }

    fn tell(setup: &Setup, id: u64, key: &glib::ParamSpec, value: &str, report: &Report) {
        let name = setup.effect.name();
        let about = About { id, name: &name, property: key.name(), value };
        post(setup.shared.bin(), report.to_structure(about));
    }

    /// While bypass is on, what enters the first effect is kept for the end of the chain.
    fn keep_original(setup: &Setup, stream: &mut Stream, buffer: &gst::Buffer, start: u64) {
        let bypass = setup.shared.bypass();
        let Some(pts) = buffer.pts().filter(|_| bypass || stream.bypassing) else {
            return;
        };
        if bypass {
            let audio = stream.frames(buffer);
            let (frames, rate) = match &audio {
                Some((info, frames)) => (*frames, u64::from(info.rate())),
                None => (1, 0),
            };
            let Some(caps) = stream.caps.clone() else {
                return;
            };
            let original =
                Original { buffer: buffer.clone(), caps, audio: audio.map(|(info, _)| info) };
            setup.shared.originals().keep(pts.nseconds(), frames, rate, original);
        } else {
            setup.shared.originals().stop(pts.nseconds());
        }
        if stream.bypassing != bypass {
            stream.bypassing = bypass;
            let structure = gst::Structure::builder("fxcontrol-bypass")
                .field("bypass", bypass)
                .field("running-time", start)
                .build();
            post(setup.shared.bin(), structure);
        }
    }
}
