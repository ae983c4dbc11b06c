// SPDX-License-Identifier: MPL-2.0

use super::lane::Lane;
use super::lock;
use super::pad::{MixerSinkPad, MixerSrcPad};
use super::receiver::Receiver;
use super::share::Terms;
use super::switchboard::{Errands, Pause, Switchboard};
use crate::estimate;
use crate::keyframes::Urgency;
use gst::{glib, prelude::*, subclass::prelude::*};
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

pub(super) static CAT: LazyLock<gst::DebugCategory> = LazyLock::new(|| {
    gst::DebugCategory::new(
        "ducksoupmixer",
        gst::DebugColorFlags::empty(),
        Some("Who receives whom"),
    )
});

/// What a browser sends and gets for a voice (PROTOCOL: 64 kbit/s).
const DEFAULT_AUDIO_BITRATE: u32 = 64_000;

/// Half of what an encoder is told at least (PROTOCOL: 150 kbit/s): it would send twice as much as there is room for.
const DEFAULT_LEAST_VIDEO: u32 = 75_000;

/// How long going to READY waits for sending threads. Downstream is flushing by then, so they come back
/// at once; only one that hangs in an element that ignores flushing is left behind.
const THREAD_END_LIMIT: Duration = Duration::from_millis(500);

const PROP_AUDIO_BITRATE: &str = "audio-bitrate";
const PROP_LEAST_VIDEO: &str = "least-video";
const PROP_STATS: &str = "stats";

#[derive(Debug)]
struct Settings {
    terms: Terms,
}

impl Default for Settings {
    fn default() -> Self {
        Self { terms: Terms { audio: DEFAULT_AUDIO_BITRATE, least_video: DEFAULT_LEAST_VIDEO } }
    }
}

// Lock order: board → a sink pad's state → a receiver's lanes → GStreamer's object locks. A pad's settings and
// the element's are leaves. None is held while something is pushed, or a pad added, removed or activated, or
// while a reference to somebody else's pad is dropped (the last one unlinks, which calls us).

/// See [`super::Mixer`].
#[derive(Debug, Default)]
pub struct Mixer {
    settings: Mutex<Settings>,
    pub(super) board: Mutex<Switchboard>,
}

#[glib::object_subclass]
impl ObjectSubclass for Mixer {
    const NAME: &'static str = "DuckSoupMixer";
    type Type = super::Mixer;
    type ParentType = gst::Element;
    type Interfaces = (gst::ChildProxy,);
}

impl ObjectImpl for Mixer {
    fn properties() -> &'static [glib::ParamSpec] {
        static PROPERTIES: LazyLock<Vec<glib::ParamSpec>> = LazyLock::new(|| {
            vec![
                glib::ParamSpecUInt::builder(PROP_AUDIO_BITRATE)
                    .nick("Audio bitrate")
                    .blurb("What each audio route takes of its receiver's estimate, in bit/s")
                    .default_value(DEFAULT_AUDIO_BITRATE)
                    .mutable_playing()
                    .build(),
                glib::ParamSpecUInt::builder(PROP_LEAST_VIDEO)
                    .nick("Least video")
                    .blurb("A video route whose share of its receiver's estimate is less, in bit/s, is paused; 0: never")
                    .default_value(DEFAULT_LEAST_VIDEO)
                    .mutable_playing()
                    .build(),
                glib::ParamSpecBoxed::builder::<gst::Structure>(PROP_STATS)
                    .nick("Statistics")
                    .blurb("Structure ducksoupmixer-stats: packets, bytes, drops and keyframe requests of each of its routes and sources")
                    .read_only()
                    .build(),
            ]
        });
        &PROPERTIES
    }

    fn set_property(&self, _id: usize, value: &glib::Value, pspec: &glib::ParamSpec) {
        let bitrate = value.get().expect("type checked upstream");
        {
            let terms = &mut lock(&self.settings).terms;
            match pspec.name() {
                PROP_AUDIO_BITRATE => terms.audio = bitrate,
                _ => terms.least_video = bitrate,
            }
        }
        self.reroute();
    }

    fn property(&self, _id: usize, pspec: &glib::ParamSpec) -> glib::Value {
        match pspec.name() {
            PROP_AUDIO_BITRATE => self.terms().audio.to_value(),
            PROP_LEAST_VIDEO => self.terms().least_video.to_value(),
            _ => {
                let census = lock(&self.board).census();
                census.stats().to_value()
            }
        }
    }
}

impl GstObjectImpl for Mixer {}

impl ChildProxyImpl for Mixer {
    fn child_by_index(&self, index: u32) -> Option<glib::Object> {
        let pads = self.obj().pads();
        Some(pads.get(index as usize)?.clone().upcast())
    }

    fn child_by_name(&self, name: &str) -> Option<glib::Object> {
        Some(self.obj().static_pad(name)?.upcast())
    }

    fn children_count(&self) -> u32 {
        u32::from(self.obj().num_pads())
    }
}

impl ElementImpl for Mixer {
    fn metadata() -> Option<&'static gst::subclass::ElementMetadata> {
        static METADATA: LazyLock<gst::subclass::ElementMetadata> = LazyLock::new(|| {
            gst::subclass::ElementMetadata::new(
                "DuckSoup mixer",
                "Generic/RTP/Network",
                "Sends each participant's RTP streams to the receivers they are for, each as one continuous stream",
                "DuckSoup contributors",
            )
        });
        Some(&METADATA)
    }

    fn pad_templates() -> &'static [gst::PadTemplate] {
        static TEMPLATES: LazyLock<Vec<gst::PadTemplate>> = LazyLock::new(|| {
            let caps = gst::Caps::new_empty_simple("application/x-rtp");
            let template = |name, direction, gtype| {
                gst::PadTemplate::with_gtype(
                    name,
                    direction,
                    gst::PadPresence::Request,
                    &caps,
                    gtype,
                )
                .expect("the template is valid")
            };
            vec![
                template("sink_%u", gst::PadDirection::Sink, MixerSinkPad::static_type()),
                template("src_%u", gst::PadDirection::Src, MixerSrcPad::static_type()),
            ]
        });
        &TEMPLATES
    }

    fn request_new_pad(
        &self,
        template: &gst::PadTemplate,
        name: Option<&str>,
        _caps: Option<&gst::Caps>,
    ) -> Option<gst::Pad> {
        let id = lock(&self.board).next_id();
        let name = self.pad_name(template, name);
        let pad = if template.direction() == gst::PadDirection::Sink {
            self.request_sink(template, &name, id)?
        } else {
            self.request_src(template, &name, id)?
        };
        self.obj().child_added(&pad, &name);
        Some(pad)
    }

    fn release_pad(&self, pad: &gst::Pad) {
        if let Some(sink) = pad.downcast_ref::<MixerSinkPad>() {
            if let Some(id) = sink.imp().id() {
                lock(&self.board).remove_sink(id);
            }
        } else if let Some(src) = pad.downcast_ref::<MixerSrcPad>()
            && let Some(id) = src.imp().id()
        {
            lock(&self.board).remove_route(id);
        }
        self.reroute();
        // From here on a push that hangs on this pad comes back, unless it hangs further down.
        if let Err(error) = pad.set_active(false) {
            gst::warning!(CAT, obj = pad, "cannot be deactivated: {error}");
        }
        if let Err(error) = self.obj().remove_pad(pad) {
            gst::warning!(CAT, obj = pad, "cannot be removed: {error}");
        }
        self.obj().child_removed(pad, &pad.name());
        gst::info!(CAT, obj = pad, "released");
        self.end_if_all_ended();
    }

    fn change_state(
        &self,
        transition: gst::StateChange,
    ) -> Result<gst::StateChangeSuccess, gst::StateChangeError> {
        if transition == gst::StateChange::PausedToReady {
            lock(&self.board).set_running(false);
        }
        let result = self.parent_change_state(transition)?;
        match transition {
            gst::StateChange::ReadyToPaused => {
                let routes = lock(&self.board).routes();
                for (id, receiver) in routes {
                    receiver.announce(id, |_| {});
                }
                lock(&self.board).set_running(true);
            }
            gst::StateChange::PausedToReady => self.stopped(),
            _ => {}
        }
        Ok(result)
    }
}

impl Mixer {
    /// The name asked for, or the next free number.
    fn pad_name(&self, template: &gst::PadTemplate, name: Option<&str>) -> String {
        if let Some(name) = name.filter(|name| !name.contains('%')) {
            return name.to_owned();
        }
        let prefix = template.name_template().replace("%u", "");
        loop {
            let number = lock(&self.board).next_number(template.direction());
            let name = format!("{prefix}{number}");
            if self.obj().static_pad(&name).is_none() {
                return name;
            }
        }
    }

    fn request_sink(&self, template: &gst::PadTemplate, name: &str, id: u32) -> Option<gst::Pad> {
        let pad = gst::PadBuilder::<MixerSinkPad>::from_template(template)
            .name(name)
            .chain_function(|pad, parent, buffer| {
                Self::catch_panic_pad_function(
                    parent,
                    || Ok(gst::FlowSuccess::Ok),
                    |mixer| mixer.sink_chain(pad, buffer),
                )
            })
            .chain_list_function(|pad, parent, list| {
                Self::catch_panic_pad_function(
                    parent,
                    || Ok(gst::FlowSuccess::Ok),
                    |mixer| mixer.sink_chain_list(pad, &list),
                )
            })
            .event_function(|pad, parent, event| {
                Self::catch_panic_pad_function(
                    parent,
                    || false,
                    |mixer| mixer.sink_event(pad, &event),
                )
            })
            .query_function(|pad, parent, query| {
                Self::catch_panic_pad_function(
                    parent,
                    || false,
                    |mixer| mixer.sink_query(pad, query),
                )
            })
            .build();
        pad.imp().set_id(id);
        lock(&self.board).add_sink(id, &pad);
        if let Err(error) = self.obj().add_pad(&pad) {
            gst::error!(CAT, imp = self, "cannot add {name}: {error}");
            lock(&self.board).remove_sink(id);
            return None;
        }
        gst::info!(CAT, obj = pad, "requested");
        self.reroute();
        Some(pad.upcast())
    }

    fn request_src(&self, template: &gst::PadTemplate, name: &str, id: u32) -> Option<gst::Pad> {
        let pad = gst::PadBuilder::<MixerSrcPad>::from_template(template)
            .name(name)
            .event_function(|pad, parent, event| {
                Self::catch_panic_pad_function(
                    parent,
                    || false,
                    |mixer| mixer.src_event(pad, &event),
                )
            })
            .query_function(|pad, parent, query| {
                Self::catch_panic_pad_function(
                    parent,
                    || false,
                    |mixer| mixer.src_query(pad, query),
                )
            })
            .activatemode_function(|pad, parent, mode, active| {
                Self::catch_panic_pad_function(
                    parent,
                    || Err(gst::loggable_error!(CAT, "panicked before")),
                    |mixer| mixer.src_activatemode(pad, mode, active),
                )
            })
            .build();
        pad.imp().set_id(id);
        pad.connect_linked(|pad, _| {
            if let Some(mixer) = pad.parent().and_downcast::<super::Mixer>() {
                mixer.imp().src_linked(pad);
            }
        });
        pad.connect_unlinked(|pad, _| {
            if let Some(mixer) = pad.parent().and_downcast::<super::Mixer>()
                && let Some((id, receiver)) = mixer.imp().receiver_of(pad)
            {
                receiver.with(id, Lane::unlinked);
            }
        });
        let stream = format!("{}/{name}", self.obj().name());
        lock(&self.board).add_route(id, &pad, stream);
        if let Err(error) = self.obj().add_pad(&pad) {
            gst::error!(CAT, imp = self, "cannot add {name}: {error}");
            lock(&self.board).remove_route(id);
            return None;
        }
        gst::info!(CAT, obj = pad, "requested");
        self.reroute();
        Some(pad.upcast())
    }

    /// Lets every route find its source anew, after something about the pads changed.
    pub(super) fn reroute(&self) {
        let terms = self.terms();
        let errands = lock(&self.board).reroute(terms);
        self.run(errands);
    }

    /// A source pad's properties changed.
    pub(super) fn route_changed(&self, pad: &MixerSrcPad) {
        let Some(id) = pad.imp().id() else { return };
        let receiver = {
            let mut board = lock(&self.board);
            board.route_changed(id);
            board.receiver_of(id)
        };
        let promised = pad.imp().promised();
        if let Some(receiver) = receiver {
            receiver.announce(id, |lane| lane.set_promised(promised));
        }
        self.reroute();
    }

    /// A source pad's longest playout delay changed.
    pub(super) fn playout_delay_changed(&self, pad: &MixerSrcPad) {
        if let Some((id, receiver)) = self.receiver_of(pad) {
            // Read inside, so that of two who set it at once the later one counts.
            receiver.note(id, |lane| lane.set_longest_kept(pad.imp().max_playout_delay()));
        }
    }

    pub(super) fn run(&self, errands: Errands) {
        for (target, sink) in errands.newcomers {
            if target.pad.imp().takes_packets() {
                target.receiver.note(target.lane, Lane::count_request);
                self.ask(&sink, Urgency::Newcomer);
            }
        }
        for (sink, bitrate) in errands.shares {
            if sink.push_event(estimate::event(bitrate)) {
                gst::debug!(CAT, obj = sink, "was told {bitrate} bit/s");
                lock(&sink.imp().state).told = Some(bitrate);
            } else {
                gst::debug!(CAT, obj = sink, "nobody took {bitrate} bit/s");
            }
        }
        for pause in errands.pauses {
            self.post(&pause);
        }
    }

    fn post(&self, Pause { receiver, source, paused }: &Pause) {
        let now = self.obj().current_running_time().map_or(0, gst::ClockTime::nseconds);
        let structure = gst::Structure::builder("ducksoupmixer-paused")
            .field("receiver", receiver)
            .field("source", source)
            .field("paused", paused)
            .field("running-time", now)
            .build();
        let message = gst::message::Element::builder(structure).src(&*self.obj()).build();
        // It fails where nobody listens.
        let _ = self.obj().post_message(message);
    }

    /// Asks a source for a keyframe, now or as soon as the policy allows.
    pub(super) fn ask(&self, sink: &MixerSinkPad, urgency: Urgency) {
        let now = self.now();
        let ask = lock(&sink.imp().state).requests.request(urgency, now);
        if ask {
            Self::push_key_unit(sink, urgency);
        }
    }

    pub(super) fn push_key_unit(sink: &MixerSinkPad, urgency: Urgency) {
        let count = {
            let mut state = lock(&sink.imp().state);
            state.counts.keyframe_requests += 1;
            state.counts.keyframe_requests
        };
        let taken = sink.push_event(urgency.request(count));
        gst::debug!(CAT, obj = sink, "asked for keyframe {count}, taken: {taken}");
    }

    /// The policy's time, in ns: the pipeline's clock, so that tests can turn it.
    pub(super) fn now(&self) -> u64 {
        let clock = self.obj().clock();
        clock.unwrap_or_else(gst::SystemClock::obtain).time().nseconds()
    }

    pub(super) fn end_if_all_ended(&self) {
        let receivers = {
            let board = lock(&self.board);
            if !board.all_ended() {
                return;
            }
            board.receivers()
        };
        for receiver in receivers {
            receiver.with_all(Lane::end);
        }
    }

    pub(super) fn terms(&self) -> Terms {
        lock(&self.settings).terms
    }

    pub(super) fn receiver_of(&self, pad: &MixerSrcPad) -> Option<(u32, Arc<Receiver>)> {
        let id = pad.imp().id()?;
        Some((id, lock(&self.board).receiver_of(id)?))
    }

    /// The pads are inactive now: threads come back, and nothing of this run is kept.
    fn stopped(&self) {
        let (receivers, sinks) = {
            let board = lock(&self.board);
            (board.receivers(), board.sinks())
        };
        for receiver in receivers {
            if !receiver.wait_ended(THREAD_END_LIMIT) {
                gst::warning!(
                    CAT,
                    imp = self,
                    "the thread of receiver {} hangs downstream and is left behind",
                    receiver.name()
                );
            }
        }
        for sink in sinks {
            sink.imp().reset();
        }
    }
}
