// SPDX-License-Identifier: MPL-2.0

use super::grid::{FASTEST, Nanoseconds};
use super::stream::{Output, Stream, stamp};
use super::timer::Timer;
use gst::glib;
use gst::prelude::*;
use gst::subclass::prelude::*;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};

pub(super) static CAT: LazyLock<gst::DebugCategory> = LazyLock::new(|| {
    gst::DebugCategory::new(
        "framegrid",
        gst::DebugColorFlags::empty(),
        Some("Constant frame rate without delay"),
    )
});

/// The ceiling of an interaction's jitter buffer (docs/protocol.md): what is later was lost.
const DEFAULT_CEILING: gst::ClockTime = gst::ClockTime::from_mseconds(150);

/// `origin` when it is not set, as GStreamer writes an unknown time.
const UNSET: u64 = u64::MAX;

#[derive(Debug, Clone, Copy)]
pub(super) struct Settings {
    /// Zero: to be negotiated.
    pub(super) framerate: gst::Fraction,
    pub(super) origin: Option<Nanoseconds>,
    ceiling: Nanoseconds,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            framerate: gst::Fraction::from_integer(0),
            origin: None,
            ceiling: DEFAULT_CEILING.nseconds() as Nanoseconds,
        }
    }
}

/// What the clock is to the stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Liveness {
    /// Upstream has not been asked yet.
    Unknown,
    /// A slot can be missed by the clock.
    Live,
    /// Frames come when they can.
    NotLive,
}

#[derive(Debug)]
pub(super) struct State {
    pub(super) settings: Settings,
    pub(super) stream: Stream,
    /// Incoming caps, for a negotiation anew.
    pub(super) incoming: Option<gst::Caps>,
    pub(super) liveness: Liveness,
    /// The clock counts only in PLAYING.
    playing: bool,
    /// Our own segment is out.
    pub(super) segment_sent: bool,
}

impl Default for State {
    fn default() -> Self {
        Self {
            settings: Settings::default(),
            stream: Stream::default(),
            incoming: None,
            liveness: Liveness::Unknown,
            playing: false,
            segment_sent: false,
        }
    }
}

#[derive(Debug, Default)]
struct Counters {
    taken: AtomicU64,
    sent: AtomicU64,
    duplicated: AtomicU64,
    dropped: AtomicU64,
}

// Lock order: the sink pad's stream lock, then `timer` or `state`. The stream lock serialises frames
// with what the timer sends and is the only one held across a push.
#[derive(Debug)]
pub struct FrameGrid {
    pub(super) sinkpad: gst::Pad,
    pub(super) srcpad: gst::Pad,
    state: Mutex<State>,
    timer: Mutex<Option<Timer>>,
    counters: Counters,
}

#[glib::object_subclass]
impl ObjectSubclass for FrameGrid {
    const NAME: &'static str = "GstFrameGrid";
    type Type = super::FrameGrid;
    type ParentType = gst::Element;

    fn with_class(class: &Self::Class) -> Self {
        let template = |name| class.pad_template(name).expect("the template was added");
        let sinkpad = gst::Pad::builder_from_template(&template("sink"))
            .chain_function(|pad, parent, buffer| {
                Self::catch_panic_pad_function(
                    parent,
                    || Err(gst::FlowError::Error),
                    |this| this.chain(pad, buffer),
                )
            })
            .event_function(|pad, parent, event| {
                Self::catch_panic_pad_function(parent, || false, |this| this.sink_event(pad, event))
            })
            .query_function(|pad, parent, query| {
                Self::catch_panic_pad_function(parent, || false, |this| this.sink_query(pad, query))
            })
            .build();
        let srcpad = gst::Pad::builder_from_template(&template("src"))
            .event_function(|pad, parent, event| {
                Self::catch_panic_pad_function(parent, || false, |this| this.src_event(pad, event))
            })
            .query_function(|pad, parent, query| {
                Self::catch_panic_pad_function(parent, || false, |this| this.src_query(pad, query))
            })
            .build();
        Self {
            sinkpad,
            srcpad,
            state: Mutex::default(),
            timer: Mutex::default(),
            counters: Counters::default(),
        }
    }
}

impl ObjectImpl for FrameGrid {
    fn properties() -> &'static [glib::ParamSpec] {
        static PROPERTIES: LazyLock<Vec<glib::ParamSpec>> = LazyLock::new(|| {
            vec![
                gst::ParamSpecFraction::builder("framerate")
                    .nick("Frame rate")
                    .blurb("Slots a second; 0/1 = the rate that downstream takes, nearest to the incoming one (a change takes effect with the next caps)")
                    .minimum(gst::Fraction::from_integer(0))
                    .maximum(gst::Fraction::from_integer(FASTEST))
                    .default_value(gst::Fraction::from_integer(0))
                    .mutable_ready()
                    .build(),
                glib::ParamSpecUInt64::builder("origin")
                    .nick("Origin")
                    .blurb("Running time at which slot 0 starts (ns); unset (2^64-1) = the first frame's, or where it is")
                    .default_value(UNSET)
                    .mutable_playing()
                    .build(),
                glib::ParamSpecUInt64::builder("ceiling")
                    .nick("Ceiling")
                    .blurb("How long after a slot's end a late frame of a live source may still fill it (ns)")
                    .maximum(gst::ClockTime::from_seconds(3600).nseconds())
                    .default_value(DEFAULT_CEILING.nseconds())
                    .mutable_playing()
                    .build(),
                glib::ParamSpecBoxed::builder::<gst::Structure>("stats")
                    .nick("Statistics")
                    .blurb("Frames so far (uint64 each): in, out, duplicated, dropped")
                    .read_only()
                    .build(),
            ]
        });
        &PROPERTIES
    }

    fn set_property(&self, _id: usize, value: &glib::Value, pspec: &glib::ParamSpec) {
        let nanoseconds = || value.get::<u64>().expect("type checked by GObject");
        match pspec.name() {
            "framerate" => {
                self.lock().settings.framerate = value.get().expect("type checked by GObject");
            }
            "origin" => self.set_origin(Nanoseconds::try_from(nanoseconds()).ok()),
            "ceiling" => {
                self.lock().settings.ceiling = nanoseconds() as Nanoseconds;
                self.restart_timer();
            }
            _ => unreachable!("GObject knows the properties"),
        }
    }

    fn property(&self, _id: usize, pspec: &glib::ParamSpec) -> glib::Value {
        let settings = self.lock().settings;
        match pspec.name() {
            "framerate" => settings.framerate.to_value(),
            "origin" => settings.origin.map_or(UNSET, |time| time as u64).to_value(),
            "ceiling" => (settings.ceiling as u64).to_value(),
            "stats" => self.stats().to_value(),
            _ => unreachable!("GObject knows the properties"),
        }
    }

    fn constructed(&self) {
        self.parent_constructed();
        for pad in [&self.sinkpad, &self.srcpad] {
            self.obj().add_pad(pad).expect("a new element has no pads");
        }
    }
}

impl GstObjectImpl for FrameGrid {}

impl ElementImpl for FrameGrid {
    fn metadata() -> Option<&'static gst::subclass::ElementMetadata> {
        static METADATA: LazyLock<gst::subclass::ElementMetadata> = LazyLock::new(|| {
            gst::subclass::ElementMetadata::new(
                "Frame grid",
                "Filter/Video",
                "Makes the frame rate constant without delaying a frame",
                "DuckSoup contributors",
            )
        });
        Some(&METADATA)
    }

    fn pad_templates() -> &'static [gst::PadTemplate] {
        static TEMPLATES: LazyLock<Vec<gst::PadTemplate>> = LazyLock::new(|| {
            let caps = gst::Caps::builder_full()
                .structure(gst::Structure::new_empty("video/x-raw"))
                .structure_with_any_features(gst::Structure::new_empty("video/x-raw"))
                .build();
            [("sink", gst::PadDirection::Sink), ("src", gst::PadDirection::Src)]
                .into_iter()
                .map(|(name, direction)| {
                    gst::PadTemplate::new(name, direction, gst::PadPresence::Always, &caps)
                        .expect("a valid template")
                })
                .collect()
        });
        &TEMPLATES
    }

    fn change_state(
        &self,
        transition: gst::StateChange,
    ) -> Result<gst::StateChangeSuccess, gst::StateChangeError> {
        match transition {
            gst::StateChange::ReadyToPaused => self.start()?,
            // Not waited for here: the timer may be in a push that a paused sink blocks.
            gst::StateChange::PlayingToPaused => self.set_playing(false),
            _ => (),
        }
        let result = self.parent_change_state(transition);
        match transition {
            gst::StateChange::ReadyToPaused if result.is_err() => self.stop(),
            gst::StateChange::PausedToPlaying => self.set_playing(true),
            // The pads are inactive: whatever the timer was pushing has returned.
            gst::StateChange::PausedToReady => self.stop(),
            _ => (),
        }
        result
    }
}

impl FrameGrid {
    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock_timer(&self) -> MutexGuard<'_, Option<Timer>> {
        self.timer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn start(&self) -> Result<(), gst::StateChangeError> {
        let element = self.downgrade();
        let timer = Timer::start(move || element.upgrade()?.tick()).map_err(|err| {
            gst::element_imp_error!(
                self,
                gst::ResourceError::Failed,
                ("No thread could be started"),
                ["{err}"]
            );
            gst::StateChangeError
        })?;
        *self.lock_timer() = Some(timer);
        Ok(())
    }

    fn stop(&self) {
        let timer = self.lock_timer().take();
        if timer.is_some_and(|timer| timer.stop().is_err()) {
            gst::error!(CAT, imp = self, "The timer panicked");
        }
        let mut state = self.lock();
        let settings = state.settings;
        *state = State { settings, ..State::default() };
    }

    fn set_playing(&self, playing: bool) {
        self.lock().playing = playing;
        self.restart_timer();
    }

    pub(super) fn restart_timer(&self) {
        if let Some(timer) = &*self.lock_timer() {
            timer.restart();
        }
    }

    fn set_origin(&self, origin: Option<Nanoseconds>) {
        let mut state = self.lock();
        state.settings.origin = origin;
        if let Some(origin) = origin {
            state.stream.set_origin(origin);
        }
        drop(state);
        gst::info!(CAT, imp = self, "Slot 0 starts at {origin:?}");
        self.restart_timer();
    }

    pub(super) fn stats(&self) -> gst::Structure {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        gst::Structure::builder("framegrid-stats")
            .field("in", read(&self.counters.taken))
            .field("out", read(&self.counters.sent))
            .field("duplicated", read(&self.counters.duplicated))
            .field("dropped", read(&self.counters.dropped))
            .build()
    }

    /// The clock's running time, where the clock has a say: a live source, in PLAYING.
    pub(super) fn now(&self) -> Option<Nanoseconds> {
        {
            let state = self.lock();
            if state.liveness != Liveness::Live || !state.playing {
                return None;
            }
        }
        let now = self.obj().current_running_time()?;
        Nanoseconds::try_from(now.nseconds()).ok()
    }

    /// Sends the repetitions that are due and returns what the clock is to be watched for next.
    fn tick(&self) -> Option<gst::ClockId> {
        loop {
            let now = self.now()?;
            let deadline = {
                let state = self.lock();
                state.stream.deadline(state.settings.ceiling)?
            };
            if deadline > now {
                let base = self.obj().base_time()?;
                let deadline = gst::ClockTime::from_nseconds(u64::try_from(deadline).ok()?);
                return Some(self.obj().clock()?.new_single_shot_id(base + deadline).into());
            }
            let _stream = self.sinkpad.stream_lock();
            // A frame may have come while the lock was waited for.
            let output = {
                let mut state = self.lock();
                let ceiling = state.settings.ceiling;
                state.stream.pass_time(now, ceiling)
            };
            if let Err(err) = self.send(output) {
                // The next frame meets the same error and reports it upstream.
                gst::debug!(CAT, imp = self, "Downstream refuses a repetition: {err}");
                return None;
            }
        }
    }

    fn chain(
        &self,
        pad: &gst::Pad,
        buffer: gst::Buffer,
    ) -> Result<gst::FlowSuccess, gst::FlowError> {
        gst::log!(CAT, obj = pad, "Frame {:?}", buffer.pts());
        self.counters.taken.fetch_add(1, Ordering::Relaxed);
        if self.srcpad.check_reconfigure() {
            self.renegotiate()?;
        }
        self.ask_for_liveness();
        let now = self.now();
        let outputs = self.lock().stream.take(buffer, now)?;
        if outputs.is_empty() {
            self.counters.dropped.fetch_add(1, Ordering::Relaxed);
        }
        let result = self.send(outputs);
        if let Some(timer) = &*self.lock_timer() {
            timer.wake();
        }
        result
    }

    /// Sends in order. The stream lock is held by the caller.
    pub(super) fn send(
        &self,
        outputs: impl IntoIterator<Item = Output>,
    ) -> Result<gst::FlowSuccess, gst::FlowError> {
        for output in outputs {
            match output {
                Output::Repeats { picture, slots, missed } => {
                    gst::debug!(CAT, imp = self, "Repeating in slots {missed:?}");
                    for slot in missed {
                        let mut copy = picture.copy();
                        let buffer = copy.make_mut();
                        stamp(buffer, slots, slot);
                        buffer.unset_flags(gst::BufferFlags::DISCONT | gst::BufferFlags::RESYNC);
                        self.counters.duplicated.fetch_add(1, Ordering::Relaxed);
                        self.push(copy)?;
                    }
                }
                Output::Caps(caps) => {
                    self.srcpad.push_event(gst::event::Caps::new(&caps));
                }
                Output::Frame(buffer) => {
                    self.push(buffer)?;
                }
            }
        }
        Ok(gst::FlowSuccess::Ok)
    }

    fn push(&self, buffer: gst::Buffer) -> Result<gst::FlowSuccess, gst::FlowError> {
        self.counters.sent.fetch_add(1, Ordering::Relaxed);
        self.srcpad.push(buffer)
    }

    /// Asks upstream whether it is live, until it answers.
    fn ask_for_liveness(&self) {
        if self.lock().liveness != Liveness::Unknown {
            return;
        }
        let mut query = gst::query::Latency::new();
        if !self.sinkpad.peer_query(&mut query) {
            return;
        }
        let live = query.result().0;
        gst::debug!(CAT, imp = self, "Upstream is live: {live}");
        self.lock().liveness = if live { Liveness::Live } else { Liveness::NotLive };
    }
}
