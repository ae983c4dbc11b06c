// SPDX-License-Identifier: MPL-2.0

use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use gst::glib;
use gst::prelude::*;
use gst::subclass::prelude::*;

use super::Layout;
use super::format::Format;
use super::inbox::{End, Inbox, Input, Put, Unit};
use super::naming::{Kind, Side, Slot};
use super::thread::{WriterThread, post};
use super::writer::{Plan, Writer};
use super::{opus, report};

pub(super) static CAT: LazyLock<gst::DebugCategory> = LazyLock::new(|| {
    gst::DebugCategory::new(
        "experimentrecorder",
        gst::DebugColorFlags::empty(),
        Some("Dry and wet media to files"),
    )
});

const DEFAULT_FOLDER: &str = ".";
const DEFAULT_PREFIX: &str = "recording";
/// A minute and more of the four tracks of one participant at 8 Mbit/s.
const DEFAULT_MAX_BYTES: u64 = 64 << 20;

/// A state change waits so long for a disk that hangs.
const STOP_LIMIT: Duration = Duration::from_secs(3);

#[derive(Debug, Clone)]
struct Settings {
    layout: Layout,
    folder: String,
    prefix: String,
    origin: u64,
    end: u64,
    max_bytes: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            layout: Layout::default(),
            folder: DEFAULT_FOLDER.into(),
            prefix: DEFAULT_PREFIX.into(),
            origin: u64::MAX,
            end: u64::MAX,
            max_bytes: DEFAULT_MAX_BYTES,
        }
    }
}

#[derive(Debug, Default)]
enum State {
    #[default]
    Stopped,
    Running(WriterThread),
}

// Lock order: `settings`, `state` and the lock inside `inbox` are never held together, and none is
// held while an event or message is sent, a pad added or removed, or a state changed.
#[derive(Debug, glib::Properties)]
#[properties(wrapper_type = super::ExperimentRecorder)]
pub struct ExperimentRecorder {
    /// How tracks are put into files.
    #[property(name = "layout", nick = "Layout", blurb = "How tracks are put into files",
        get, set, type = Layout, member = layout, mutable_ready, builder(Layout::default()))]
    /// Folder of the files, made when it is missing.
    #[property(name = "folder", nick = "Folder",
        blurb = "Folder of the files, made when it is missing; changes have no effect once \
                 something is recorded",
        get, set = Self::set_folder, type = String, member = folder, default = DEFAULT_FOLDER,
        mutable_playing)]
    /// What file names begin with.
    #[property(name = "prefix", nick = "Prefix",
        blurb = "What file names begin with, without a slash: <prefix>-<what>.<ext>; changes \
                 have no effect once something is recorded",
        get, set = Self::set_prefix, type = String, member = prefix, default = DEFAULT_PREFIX,
        mutable_playing)]
    /// Running time that is zero in every file, in nanoseconds.
    #[property(name = "origin", nick = "Origin",
        blurb = "Running time that is zero in every file, in nanoseconds; nothing older is \
                 recorded; -1 is the first keyframe or packet; changes have no effect once \
                 something is recorded",
        get, set = Self::set_origin, type = u64, member = origin, default = u64::MAX,
        minimum = 0, maximum = u64::MAX, mutable_playing)]
    /// Running time from which on nothing is recorded, in nanoseconds.
    #[property(name = "end", nick = "End",
        blurb = "Running time from which on nothing is recorded, in nanoseconds; -1 is none. \
                 Files stay open for what comes late, until finish",
        get, set = Self::set_end, type = u64, member = end, default = u64::MAX,
        minimum = 0, maximum = u64::MAX, mutable_playing)]
    /// Media that may wait for the disk, in bytes.
    #[property(name = "max-bytes", nick = "Most bytes",
        blurb = "Media that may wait for the disk, in bytes; more are dropped and counted",
        get, set, type = u64, member = max_bytes, default = DEFAULT_MAX_BYTES, mutable_playing)]
    settings: Mutex<Settings>,
    state: Mutex<State>,
    inbox: Arc<Inbox>,
}

#[glib::object_subclass]
impl ObjectSubclass for ExperimentRecorder {
    const NAME: &'static str = "GstExperimentRecorder";
    type Type = super::ExperimentRecorder;
    type ParentType = gst::Element;

    fn new() -> Self {
        Self { settings: Mutex::default(), state: Mutex::default(), inbox: Arc::new(Inbox::new()) }
    }
}

impl ObjectImpl for ExperimentRecorder {
    // All properties are derived but `stats`: the macro does not know structures.
    fn properties() -> &'static [glib::ParamSpec] {
        static PROPERTIES: LazyLock<Vec<glib::ParamSpec>> = LazyLock::new(|| {
            let stats = glib::ParamSpecBoxed::builder::<gst::Structure>("stats")
                .nick("Statistics")
                .blurb(
                    "For each pad: units received, written, outside (before the origin, after the \
                     end), gated (without a keyframe, not decodable, sound for a time that has its sound), \
                     dropped (queue full), and \
                     bytes written",
                )
                .read_only()
                .build();
            ExperimentRecorder::derived_properties().iter().cloned().chain([stats]).collect()
        });
        &PROPERTIES
    }

    fn property(&self, id: usize, pspec: &glib::ParamSpec) -> glib::Value {
        match pspec.name() {
            "stats" => self.stats().to_value(),
            _ => self.derived_property(id, pspec),
        }
    }

    fn set_property(&self, id: usize, value: &glib::Value, pspec: &glib::ParamSpec) {
        self.derived_set_property(id, value, pspec);
    }

    fn constructed(&self) {
        self.parent_constructed();
        self.obj().set_element_flags(gst::ElementFlags::SINK);
    }

    fn signals() -> &'static [glib::subclass::Signal] {
        static SIGNALS: LazyLock<Vec<glib::subclass::Signal>> = LazyLock::new(|| {
            vec![
                // finish: closes all files, posts their reports and `experimentrecorder-finished`.
                // Returns at once. Harmless when repeated.
                glib::subclass::Signal::builder("finish")
                    .run_last()
                    .action()
                    .class_handler(|args| {
                        if let Ok(recorder) = args[0].get::<super::ExperimentRecorder>() {
                            recorder.imp().finish();
                        }
                        None
                    })
                    .build(),
            ]
        });
        &SIGNALS
    }
}

impl GstObjectImpl for ExperimentRecorder {}

impl ElementImpl for ExperimentRecorder {
    fn metadata() -> Option<&'static gst::subclass::ElementMetadata> {
        static METADATA: LazyLock<gst::subclass::ElementMetadata> = LazyLock::new(|| {
            gst::subclass::ElementMetadata::new(
                "Experiment recorder",
                "Sink/File",
                "Writes dry and wet media of one participant to files that survive anything",
                "DuckSoup contributors",
            )
        });
        Some(&METADATA)
    }

    fn pad_templates() -> &'static [gst::PadTemplate] {
        static TEMPLATES: LazyLock<Vec<gst::PadTemplate>> = LazyLock::new(|| {
            let template = |slot: Slot| {
                gst::PadTemplate::with_gtype(
                    slot.pad_name(),
                    gst::PadDirection::Sink,
                    gst::PadPresence::Request,
                    &caps(slot.kind),
                    gst::Pad::static_type(),
                )
                .ok()
            };
            Slot::ALL.into_iter().filter_map(template).collect()
        });
        &TEMPLATES
    }

    fn request_new_pad(
        &self,
        template: &gst::PadTemplate,
        _name: Option<&str>,
        _caps: Option<&gst::Caps>,
    ) -> Option<gst::Pad> {
        let name = template.name_template();
        let slot = Slot::ALL.into_iter().find(|slot| slot.pad_name() == name)?;
        if self.obj().static_pad(slot.pad_name()).is_some() {
            gst::warning!(CAT, imp = self, "{name} is in use already");
            return None;
        }
        let pad = gst::Pad::builder_from_template(template)
            .name(slot.pad_name())
            .chain_function(move |pad, parent, buffer| {
                Self::catch_panic_pad_function(
                    parent,
                    || Ok(gst::FlowSuccess::Ok),
                    |imp| imp.sink_chain(slot, pad, buffer),
                )
            })
            .event_function(move |pad, parent, event| {
                Self::catch_panic_pad_function(
                    parent,
                    || true,
                    |imp| imp.sink_event(slot, pad, event),
                )
            })
            .query_function(|pad, parent, query| {
                Self::catch_panic_pad_function(parent, || false, |imp| imp.sink_query(pad, query))
            })
            .build();
        self.obj().add_pad(&pad).ok()?;
        self.inbox.tell(Input::Pad(slot));
        Some(pad)
    }

    fn release_pad(&self, pad: &gst::Pad) {
        let slot = Slot::ALL.into_iter().find(|slot| pad.name() == slot.pad_name());
        // Waits for a buffer that is just coming in, which never takes long.
        if let Err(error) = pad.set_active(false).and_then(|()| self.obj().remove_pad(pad)) {
            gst::warning!(CAT, imp = self, "cannot release {}: {error}", pad.name());
        }
        if let Some(slot) = slot {
            self.inbox.tell(Input::End { slot, why: End::Pad });
        }
    }

    fn change_state(
        &self,
        transition: gst::StateChange,
    ) -> Result<gst::StateChangeSuccess, gst::StateChangeError> {
        if transition == gst::StateChange::ReadyToPaused {
            self.start()?;
        }
        let success = self.parent_change_state(transition);
        // Also when starting failed elsewhere: the thread must not stay.
        let stops = transition == gst::StateChange::PausedToReady
            || (transition == gst::StateChange::ReadyToPaused && success.is_err());
        if stops {
            self.stop();
        }
        success
    }

    /// The latency of the live path is none of a recorder's business: it never waits.
    fn query(&self, query: &mut gst::QueryRef) -> bool {
        match query.view_mut() {
            gst::QueryViewMut::Latency(latency) => {
                latency.set(false, gst::ClockTime::ZERO, gst::ClockTime::NONE);
                true
            }
            _ => self.parent_query(query),
        }
    }

    /// A latency that is announced to the sinks goes no further: upstream belongs to others.
    fn send_event(&self, event: gst::Event) -> bool {
        match event.type_() {
            gst::EventType::Latency => true,
            _ => self.parent_send_event(event),
        }
    }
}

impl ExperimentRecorder {
    fn settings(&self) -> MutexGuard<'_, Settings> {
        self.settings.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn replace_state(&self, state: State) -> State {
        let mut own = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(&mut *own, state)
    }

    /// Starts the writer thread.
    fn start(&self) -> Result<(), gst::StateChangeError> {
        let Settings { layout, folder, prefix, origin, end, .. } = self.settings().clone();
        let plan = Plan { layout, folder: folder.into(), prefix };
        self.inbox.open();
        for pad in self.obj().sink_pads() {
            if let Some(slot) = Slot::ALL.into_iter().find(|slot| pad.name() == slot.pad_name()) {
                self.inbox.tell(Input::Pad(slot));
            }
        }
        let writer = Writer::new(plan, known(origin), end);
        let thread =
            WriterThread::spawn(writer, self.inbox.clone(), &self.obj()).map_err(|error| {
                gst::error!(CAT, imp = self, "no thread for the recorder: {error}");
                self.inbox.close();
                gst::StateChangeError
            })?;
        self.replace_state(State::Running(thread));
        gst::info!(CAT, imp = self, "started");
        Ok(())
    }

    /// Closes the files and ends the writer thread; leaves it behind when the disk hangs.
    fn stop(&self) {
        let State::Running(thread) = self.replace_state(State::Stopped) else {
            return;
        };
        self.inbox.tell(Input::Stop);
        match thread.wait(STOP_LIMIT) {
            Ok(()) => gst::info!(CAT, imp = self, "stopped"),
            Err(left) => gst::error!(CAT, imp = self, "{left}"),
        }
    }

    fn finish(&self) {
        if !self.inbox.tell(Input::Finish) {
            gst::debug!(CAT, imp = self, "nothing to finish");
        }
    }

    fn set_folder(&self, folder: String) {
        self.settings().folder.clone_from(&folder);
        self.inbox.tell(Input::Folder(folder.into()));
    }

    fn set_prefix(&self, prefix: String) {
        self.settings().prefix.clone_from(&prefix);
        self.inbox.tell(Input::Prefix(prefix));
    }

    fn set_end(&self, end: u64) {
        self.settings().end = end;
        self.inbox.tell(Input::Limit(end));
    }

    fn set_origin(&self, origin: u64) {
        self.settings().origin = origin;
        self.inbox.tell(Input::Origin(known(origin)));
    }

    fn stats(&self) -> gst::Structure {
        let tallies = self.inbox.tallies();
        let mut stats = gst::Structure::builder("experimentrecorder-stats");
        for slot in Slot::ALL {
            let tally = tallies[slot.index()];
            let pad = gst::Structure::builder(slot.pad_name())
                .field("received", tally.received)
                .field("written", tally.written)
                .field("outside", tally.outside)
                .field("gated", tally.gated)
                .field("dropped", tally.dropped)
                .field("bytes", tally.bytes)
                .build();
            stats = stats.field(slot.pad_name(), pad);
        }
        stats.build()
    }

    /// Never waits, never fails.
    fn sink_chain(
        &self,
        slot: Slot,
        pad: &gst::Pad,
        buffer: gst::Buffer,
    ) -> Result<gst::FlowSuccess, gst::FlowError> {
        if buffer.size() == 0 || buffer.flags().contains(gst::BufferFlags::GAP) {
            return Ok(gst::FlowSuccess::Ok);
        }
        let segment = pad.sticky_event::<gst::event::Segment>(0);
        let time = segment.and_then(|event| {
            let segment = event.segment().downcast_ref::<gst::ClockTime>()?;
            segment.to_running_time(buffer.pts().or(buffer.dts())?)
        });
        let Some(time) = time.map(gst::ClockTime::nseconds) else {
            gst::debug!(CAT, obj = pad, "a buffer without a running time is not recorded");
            return Ok(gst::FlowSuccess::Ok);
        };
        let time = time.saturating_sub(lead(&buffer));
        // Only what came over a network has lost something where it says DISCONT; an encoder here
        // says so after any hiccup of its input, and its pictures are whole.
        let discont = slot.side == Side::Dry && buffer.flags().contains(gst::BufferFlags::DISCONT);
        let limit = self.settings().max_bytes;
        match self.inbox.put(slot, Unit { time, discont, dropped: 0, buffer }, limit) {
            Put::Stored | Put::Discarded | Put::Dropped { first: false } => {}
            Put::Dropped { first: true } => {
                gst::warning!(CAT, obj = pad, "the queue is full, media are dropped");
                post(&self.obj(), report::overflow(slot, time));
            }
        }
        Ok(gst::FlowSuccess::Ok)
    }

    fn sink_event(&self, slot: Slot, pad: &gst::Pad, event: gst::Event) -> bool {
        match event.view() {
            gst::EventView::Caps(caps) => {
                let format = Format::from_caps(caps.caps());
                gst::debug!(CAT, obj = pad, "{format:?} by {}", caps.caps());
                self.inbox.tell(Input::Format(slot, format));
                true
            }
            gst::EventView::Eos(_) => {
                self.inbox.tell(Input::End { slot, why: End::Stream });
                true
            }
            _ => {
                // Nothing downstream: all that is left of an event is what sticks to the pad.
                gst::Pad::event_default(pad, Some(&*self.obj()), event);
                true
            }
        }
    }

    fn sink_query(&self, pad: &gst::Pad, query: &mut gst::QueryRef) -> bool {
        match query.view_mut() {
            // Whatever comes, upstream must not fail because of it.
            gst::QueryViewMut::AcceptCaps(accept) => {
                accept.set_result(true);
                true
            }
            gst::QueryViewMut::Allocation(_) => false,
            _ => gst::Pad::query_default(pad, Some(&*self.obj()), query),
        }
    }
}

/// What an encoder wants cut off the beginning of its first packet, its look-ahead, in nanoseconds:
/// the timestamp is that of the first sample behind it. A file keeps the packet whole.
fn lead(buffer: &gst::BufferRef) -> u64 {
    let clip = buffer.meta::<gst_audio::AudioClippingMeta>().map(|meta| meta.start());
    match clip {
        Some(gst::GenericFormattedValue::Default(Some(samples))) => {
            u64::from(samples).saturating_mul(1_000_000_000) / opus::RATE
        }
        _ => 0,
    }
}

/// `u64::MAX` is GStreamer's "no time".
fn known(origin: u64) -> Option<u64> {
    (origin != u64::MAX).then_some(origin)
}

fn caps(kind: Kind) -> gst::Caps {
    match kind {
        Kind::Audio => gst::Caps::new_empty_simple("audio/x-opus"),
        Kind::Video => gst::Caps::builder_full()
            .structure(
                gst::Structure::builder("video/x-h264")
                    .field("stream-format", gst::List::new(["byte-stream", "avc3"]))
                    .field("alignment", "au")
                    .build(),
            )
            .structure(gst::Structure::new_empty("video/x-vp8"))
            .build(),
    }
}
