// SPDX-License-Identifier: MPL-2.0

//! The way from webrtcbin to a source pad.
//!
//! ```text
//!  ─ call ─────────┐   ┌ track ──────────────────────────┐
//!   pad ─ appsink ┄┼┄┄►│ appsrc ─ [depay ─ [decode]] ─────┼─ source pad
//!  ────────────────┘   └─────────────────────────────────┘
//! ```
//!
//! The track stays while calls come and go. What happens downstream stays there: a source pad that
//! nobody has linked drops, an error does not reach the connection.

use super::codec::{Codec, Kind};
use super::sending::{MEDIA, on_running_time};
use gst::prelude::*;
use gst_app::{AppLeakyType, AppSink, AppSinkCallbacks, AppSrc, AppStreamType};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What may lie waiting for whoever is downstream; the oldest goes first. Ours.
const BACKLOG: gst::ClockTime = gst::ClockTime::from_seconds(2);

/// What comes out of the source pads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, gst::glib::Enum)]
#[enum_type(name = "GstDuckSoupPeerOutput")]
#[repr(i32)]
pub enum Output {
    /// Raw sound and pictures.
    #[default]
    #[enum_value(name = "Decoded: audio/x-raw, video/x-raw", nick = "raw")]
    Raw,
    /// As it was sent, one frame a buffer.
    #[enum_value(
        name = "Depayloaded and parsed: audio/x-opus, video/x-h264, video/x-vp8",
        nick = "encoded"
    )]
    Encoded,
    /// As it came.
    #[enum_value(name = "RTP as it came: application/x-rtp", nick = "rtp")]
    Rtp,
}

#[derive(Debug, Default)]
struct State {
    /// Where packets come from: asked for keyframes.
    source: Option<gst::Pad>,
    packets: u64,
    bytes: u64,
}

/// One user's sound or picture. One lock, never held while something is pushed.
#[derive(Debug)]
pub(super) struct Track {
    bin: gst::Bin,
    entrance: AppSrc,
    pad: gst::GhostPad,
    state: Mutex<State>,
}

impl Track {
    /// A track in `element`, with its source pad. `latency` is what the jitter buffer may add.
    pub(super) fn new(
        element: &super::DuckSoupPeer,
        kind: Kind,
        codec: Codec,
        user: &str,
        output: Output,
        latency: gst::ClockTime,
    ) -> Result<Arc<Self>, gst::glib::BoolError> {
        let name = format!("{kind}_src_{user}");
        let entrance = AppSrc::builder()
            .name("entrance")
            .format(gst::Format::Time)
            .stream_type(AppStreamType::Stream)
            .is_live(true)
            .max_time(BACKLOG)
            .max_bytes(0)
            .leaky_type(AppLeakyType::Downstream)
            .build();
        entrance.set_property("min-latency", i64::try_from(latency.nseconds()).unwrap_or(-1));
        let bin = gst::Bin::with_name(&name);
        bin.add(&entrance)?;
        let mut end = entrance.static_pad("src");
        if let Some(description) = decode(codec, output) {
            let chain = gst::parse::bin_from_description(description, true)
                .map_err(|error| gst::glib::bool_error!("{error}"))?;
            bin.add(&chain)?;
            entrance.link(&chain)?;
            end = chain.static_pad("src");
        }
        let end = end.ok_or_else(|| gst::glib::bool_error!("no src pad"))?;
        let inner = gst::GhostPad::with_target(&end)?;
        bin.add_pad(&inner)?;
        element.add(&bin)?;
        let template = element
            .pad_template(&format!("{kind}_src_%s"))
            .ok_or_else(|| gst::glib::bool_error!("no template"))?;
        let pad =
            gst::GhostPad::builder_from_template_with_target(&template, &inner)?.name(name).build();
        pad.add_probe(MEDIA, |pad, _| {
            if pad.is_linked() { gst::PadProbeReturn::Ok } else { gst::PadProbeReturn::Handled }
        });
        let track = Arc::new(Self { bin, entrance, pad, state: Mutex::default() });
        track.ask_through();
        track.bin.sync_state_with_parent()?;
        track.pad.set_active(true)?;
        element.add_pad(&track.pad)?;
        Ok(track)
    }

    /// Requests for keyframes go on to where packets come from.
    fn ask_through(self: &Arc<Self>) {
        let track = Arc::downgrade(self);
        if let Some(pad) = self.entrance.static_pad("src") {
            pad.add_probe(gst::PadProbeType::EVENT_UPSTREAM, move |_, info| {
                if let Some(event) = info.event()
                    && event.type_() == gst::EventType::CustomUpstream
                    && let Some(source) =
                        track.upgrade().and_then(|track| track.state().source.clone())
                {
                    source.push_event(event.clone());
                }
                gst::PadProbeReturn::Ok
            });
        }
    }

    /// What comes out of `sink` goes into this track from now on.
    pub(super) fn feed_from(self: &Arc<Self>, sink: &AppSink) {
        self.state().source = sink.static_pad("sink");
        let track = Arc::downgrade(self);
        sink.set_callbacks(
            AppSinkCallbacks::builder()
                .new_sample(move |sink| {
                    let sample = sink.pull_sample().map_err(|_| gst::FlowError::Eos)?;
                    if let Some(track) = track.upgrade() {
                        track.take(&sample);
                    }
                    Ok(gst::FlowSuccess::Ok)
                })
                .build(),
        );
    }

    fn take(&self, sample: &gst::Sample) {
        let (Some(packet), Some(segment)) = (sample.buffer_owned(), sample.segment()) else {
            return;
        };
        {
            let mut state = self.state();
            state.packets += 1;
            state.bytes += packet.size() as u64;
        }
        if self.entrance.caps().as_deref() != sample.caps() {
            self.entrance.set_caps(sample.caps_owned().as_ref());
        }
        // Fails on the way down, when nobody waits for packets.
        let _ = self.entrance.push_buffer(on_running_time(packet, segment));
    }

    /// Nothing comes from there any more.
    pub(super) fn starve(&self) {
        self.state().source = None;
    }

    /// The call is over.
    pub(super) fn end(&self) {
        self.starve();
        let _ = self.entrance.end_of_stream();
    }

    /// Takes track and pad away.
    pub(super) fn remove(&self, element: &super::DuckSoupPeer) {
        drop(self.pad.set_active(false));
        drop(element.remove_pad(&self.pad));
        let _ = self.bin.set_state(gst::State::Null);
        drop(element.remove(&self.bin));
    }

    pub(super) fn received(&self) -> (String, u64, u64) {
        let state = self.state();
        (self.pad.name().to_string(), state.packets, state.bytes)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// RTP → what comes out. See `pipelines/codecs.yml`.
fn decode(codec: Codec, output: Output) -> Option<&'static str> {
    Some(match (output, codec) {
        (Output::Rtp, _) => return None,
        // rtpopusdepay 1.22 gives caps without a rate, which most of what follows refuses.
        (Output::Encoded, Codec::Opus) => "rtpopusdepay ! capsfilter caps=audio/x-opus,rate=48000,channels=2",
        // In whole pictures, h264parse 1.22 takes an access unit delimiter and the parameter sets
        // behind it for a picture of their own, and the picture itself has no time.
        (Output::Encoded, Codec::H264) => {
            "rtph264depay request-keyframe=true wait-for-keyframe=true
             ! capsfilter caps=video/x-h264,stream-format=byte-stream,alignment=nal
             ! h264parse config-interval=-1
             ! capsfilter caps=video/x-h264,stream-format=byte-stream,alignment=au"
        }
        (Output::Encoded, Codec::Vp8) => "rtpvp8depay request-keyframe=true wait-for-keyframe=true",
        (Output::Raw, Codec::Opus) => "rtpopusdepay ! opusdec",
        // Frame threads hold frames back; slices do not.
        (Output::Raw, Codec::H264) => {
            "rtph264depay request-keyframe=true wait-for-keyframe=true
             ! capsfilter caps=video/x-h264,stream-format=byte-stream,alignment=nal ! h264parse
             ! avdec_h264 thread-type=slice max-threads=1 std-compliance=normal automatic-request-sync-points=true"
        }
        (Output::Raw, Codec::Vp8) => {
            "rtpvp8depay request-keyframe=true wait-for-keyframe=true
             ! vp8dec threads=1 automatic-request-sync-points=true"
        }
    })
}
