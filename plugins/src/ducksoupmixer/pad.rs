// SPDX-License-Identifier: MPL-2.0

//! The two kinds of pads: their properties, and what the mixer keeps with them.

use gst::{glib, prelude::*};

glib::wrapper! {
    /// A sink pad: one stream of one participant.
    pub struct MixerSinkPad(ObjectSubclass<sink::MixerSinkPad>)
        @extends gst::Pad, gst::Object;
}

glib::wrapper! {
    /// A source pad: what one receiver gets of one source.
    pub struct MixerSrcPad(ObjectSubclass<src::MixerSrcPad>)
        @extends gst::Pad, gst::Object;
}

pub(super) mod sink {
    // The macro makes a getter and a setter of each property; its blurb is the documentation.
    #![allow(missing_docs)]
    use crate::ducksoupmixer::keyframe::Codec;
    use crate::ducksoupmixer::receiver::Receiver;
    use crate::ducksoupmixer::routing::Kind;
    use crate::ducksoupmixer::{MediaKind, Mixer, MixerSrcPad, lock};
    use crate::keyframes::Requests;
    use gst::{glib, prelude::*, subclass::prelude::*};
    use std::sync::{Arc, Mutex, OnceLock};

    #[derive(Debug, Default)]
    struct Settings {
        participant: Option<String>,
        kind: MediaKind,
    }

    /// What a stream is, and what it did.
    #[derive(Debug)]
    pub(in crate::ducksoupmixer) struct State {
        pub caps: Option<gst::Caps>,
        pub codec: Codec,
        pub segment: Option<gst::FormattedSegment<gst::ClockTime>>,
        /// Packets have come.
        pub flows: bool,
        /// EOS has come.
        pub ended: bool,
        /// SSRC and timestamp of the newest keyframe: its further packets begin no other one.
        pub keyframe: Option<(u32, u32)>,
        pub requests: Requests,
        /// Where its packets go.
        pub targets: Arc<[Target]>,
        /// The bitrate (bit/s) that upstream was last told.
        pub told: Option<u32>,
        pub counts: Counts,
    }

    /// A route's receiver, and its lane there.
    #[derive(Debug)]
    pub(in crate::ducksoupmixer) struct Target {
        pub receiver: Arc<Receiver>,
        pub lane: u32,
        pub pad: MixerSrcPad,
    }

    #[derive(Debug, Default, Clone, Copy)]
    pub(in crate::ducksoupmixer) struct Counts {
        pub packets: u64,
        pub bytes: u64,
        pub malformed: u64,
        pub keyframes: u64,
        pub keyframe_requests: u32,
    }

    impl Default for State {
        fn default() -> Self {
            Self {
                caps: None,
                codec: Codec::Other,
                segment: None,
                flows: false,
                ended: false,
                keyframe: None,
                requests: Requests::default(),
                targets: Arc::new([]),
                told: None,
                counts: Counts::default(),
            }
        }
    }

    /// See [`super::MixerSinkPad`].
    #[derive(Debug, Default, glib::Properties)]
    #[properties(wrapper_type = super::MixerSinkPad)]
    pub struct MixerSinkPad {
        #[property(name = "participant", get, set, type = Option<String>, member = participant, mutable_playing,
            nick = "Participant", blurb = "Who sends this stream (default: the pad's name)")]
        #[property(name = "kind", get, set, type = MediaKind, member = kind, mutable_playing,
            nick = "Kind", blurb = "What this stream carries", builder(MediaKind::Auto))]
        settings: Mutex<Settings>,
        pub(in crate::ducksoupmixer) state: Mutex<State>,
        id: OnceLock<u32>,
    }

    #[glib::object_subclass]
    impl ObjectSubclass for MixerSinkPad {
        const NAME: &'static str = "DuckSoupMixerSinkPad";
        type Type = super::MixerSinkPad;
        type ParentType = gst::Pad;
    }

    impl ObjectImpl for MixerSinkPad {
        fn properties() -> &'static [glib::ParamSpec] {
            Self::derived_properties()
        }

        fn set_property(&self, id: usize, value: &glib::Value, pspec: &glib::ParamSpec) {
            self.derived_set_property(id, value, pspec);
            if let Some(mixer) = self.obj().parent().and_downcast::<Mixer>() {
                mixer.imp().reroute();
            }
        }

        fn property(&self, id: usize, pspec: &glib::ParamSpec) -> glib::Value {
            self.derived_property(id, pspec)
        }
    }

    impl GstObjectImpl for MixerSinkPad {}
    impl PadImpl for MixerSinkPad {}

    impl MixerSinkPad {
        /// The mixer's own number of this pad; given once.
        pub(in crate::ducksoupmixer) fn set_id(&self, id: u32) {
            self.id.get_or_init(|| id);
        }

        pub(in crate::ducksoupmixer) fn id(&self) -> Option<u32> {
            self.id.get().copied()
        }

        pub(in crate::ducksoupmixer) fn participant(&self) -> String {
            let participant = lock(&self.settings).participant.clone();
            participant.unwrap_or_else(|| self.obj().name().into())
        }

        pub(in crate::ducksoupmixer) fn kind(&self) -> Option<Kind> {
            let kind = lock(&self.settings).kind;
            super::kind_of(kind, lock(&self.state).caps.as_ref())
        }

        /// Video that flows: a newcomer must ask for a keyframe. Before the first packet there is nothing to
        /// ask for, as encoders begin with one, and asking gives two.
        pub(in crate::ducksoupmixer) fn wants_asking(&self) -> bool {
            self.kind() == Some(Kind::Video) && lock(&self.state).flows
        }

        /// Forgets what an earlier run left, but not what was counted nor where packets go.
        pub(in crate::ducksoupmixer) fn reset(&self) {
            let mut state = lock(&self.state);
            *state = State {
                targets: Arc::clone(&state.targets),
                counts: state.counts,
                ..State::default()
            };
        }
    }
}

pub(super) mod src {
    // The macro makes a getter and a setter of each property; its blurb is the documentation.
    #![allow(missing_docs)]
    use crate::ducksoupmixer::routing::Kind;
    use crate::ducksoupmixer::{MediaKind, Mixer, lock};
    use gst::{glib, prelude::*, subclass::prelude::*};
    use std::sync::{Mutex, OnceLock};

    const MAX_PLAYOUT_DELAY: &str = "max-playout-delay";
    /// What the source says.
    const DEFAULT_MAX_PLAYOUT_DELAY: i32 = -1;
    /// 12 bits, in units of 10 ms.
    const LONGEST_PLAYOUT_DELAY: i32 = 40_950;

    #[derive(Debug)]
    struct Settings {
        receiver: Option<String>,
        source: Option<String>,
        kind: MediaKind,
        caps: Option<gst::Caps>,
        max_playout_delay: i32,
    }

    impl Default for Settings {
        fn default() -> Self {
            Self {
                receiver: None,
                source: None,
                kind: MediaKind::default(),
                caps: None,
                max_playout_delay: DEFAULT_MAX_PLAYOUT_DELAY,
            }
        }
    }

    /// See [`super::MixerSrcPad`].
    #[derive(Debug, Default, glib::Properties)]
    #[properties(wrapper_type = super::MixerSrcPad)]
    pub struct MixerSrcPad {
        #[property(name = "receiver", get, set, type = Option<String>, member = receiver, mutable_playing,
            nick = "Receiver", blurb = "Who receives; routes of one receiver share a sending thread (default: the pad's name)")]
        #[property(name = "source", get, set, type = Option<String>, member = source, mutable_playing,
            nick = "Source", blurb = "The participant who is received (default: someone else, another one for each route; oneself when alone)")]
        #[property(name = "kind", get, set, type = MediaKind, member = kind, mutable_playing,
            nick = "Kind", blurb = "What this route carries", builder(MediaKind::Auto))]
        #[property(name = "caps", get, set, type = Option<gst::Caps>, member = caps, mutable_playing,
            nick = "Caps", blurb = "What the receiver was promised: application/x-rtp with media, encoding-name, clock-rate, payload, ssrc and maybe more (default: the source's own, with a fresh SSRC)")]
        #[property(name = "max-playout-delay", get, set, type = i32, member = max_playout_delay, mutable_playing,
            minimum = DEFAULT_MAX_PLAYOUT_DELAY, maximum = LONGEST_PLAYOUT_DELAY, default = DEFAULT_MAX_PLAYOUT_DELAY,
            nick = "Longest playout delay", blurb = "Most that the receiver is to keep a picture before it shows it, in ms, in steps of 10: RTP header extension playout-delay, where it was promised (-1: what the source says)")]
        settings: Mutex<Settings>,
        id: OnceLock<u32>,
    }

    #[glib::object_subclass]
    impl ObjectSubclass for MixerSrcPad {
        const NAME: &'static str = "DuckSoupMixerSrcPad";
        type Type = super::MixerSrcPad;
        type ParentType = gst::Pad;
    }

    impl ObjectImpl for MixerSrcPad {
        fn properties() -> &'static [glib::ParamSpec] {
            Self::derived_properties()
        }

        fn set_property(&self, id: usize, value: &glib::Value, pspec: &glib::ParamSpec) {
            self.derived_set_property(id, value, pspec);
            let Some(mixer) = self.obj().parent().and_downcast::<Mixer>() else {
                return;
            };
            match pspec.name() {
                MAX_PLAYOUT_DELAY => mixer.imp().playout_delay_changed(&self.obj()),
                _ => mixer.imp().route_changed(&self.obj()),
            }
        }

        fn property(&self, id: usize, pspec: &glib::ParamSpec) -> glib::Value {
            self.derived_property(id, pspec)
        }
    }

    impl GstObjectImpl for MixerSrcPad {}
    impl PadImpl for MixerSrcPad {}

    impl MixerSrcPad {
        /// The mixer's own number of this pad; given once.
        pub(in crate::ducksoupmixer) fn set_id(&self, id: u32) {
            self.id.get_or_init(|| id);
        }

        pub(in crate::ducksoupmixer) fn id(&self) -> Option<u32> {
            self.id.get().copied()
        }

        /// The receiver takes packets. A blocked pad (a `webrtcbin` whose transport is not up yet) is not
        /// pushed into: nothing would wait for it but old packets. Never called under a lock.
        pub(in crate::ducksoupmixer) fn takes_packets(&self) -> bool {
            let pad = self.obj();
            pad.is_active()
                && !pad.is_blocked()
                && pad.peer().is_some_and(|peer| !super::is_blocked(&peer))
        }

        pub(in crate::ducksoupmixer) fn receiver(&self) -> String {
            let receiver = lock(&self.settings).receiver.clone();
            receiver.unwrap_or_else(|| self.obj().name().into())
        }

        pub(in crate::ducksoupmixer) fn source(&self) -> Option<String> {
            lock(&self.settings).source.clone()
        }

        pub(in crate::ducksoupmixer) fn promised(&self) -> Option<gst::Caps> {
            lock(&self.settings).caps.clone()
        }

        /// Most that the receiver is to keep a picture; `None`: what the source says.
        pub(in crate::ducksoupmixer) fn max_playout_delay(&self) -> Option<gst::ClockTime> {
            let milliseconds = u64::try_from(lock(&self.settings).max_playout_delay).ok();
            milliseconds.map(gst::ClockTime::from_mseconds)
        }

        pub(in crate::ducksoupmixer) fn kind(&self) -> Option<Kind> {
            let settings = lock(&self.settings);
            super::kind_of(settings.kind, settings.caps.as_ref())
        }
    }
}

/// Whether a pad, or one that it stands for on the edge of a bin, is blocked.
fn is_blocked(pad: &gst::Pad) -> bool {
    let target = || pad.downcast_ref::<gst::GhostPad>()?.target();
    pad.is_blocked() || target().is_some_and(|target| is_blocked(&target))
}

fn kind_of(kind: super::MediaKind, caps: Option<&gst::Caps>) -> Option<super::routing::Kind> {
    use super::{MediaKind, routing::Kind};
    match kind {
        MediaKind::Audio => Some(Kind::Audio),
        MediaKind::Video => Some(Kind::Video),
        MediaKind::Auto => match caps?.structure(0)?.get::<&str>("media").ok()? {
            "audio" => Some(Kind::Audio),
            "video" => Some(Kind::Video),
            _ => None,
        },
    }
}
