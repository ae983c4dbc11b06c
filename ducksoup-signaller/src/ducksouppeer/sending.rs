// SPDX-License-Identifier: MPL-2.0

//! The way from a sink pad to webrtcbin.
//!
//! ```text
//!            ┌ intake ────────────┐        ┌ tail ─────────────────────────────┐   ┌ call ───
//!  sink pad ─┤ queue ─ clocksync ─┤─ gate ─┤ [convert ─ encode] ─ pay ─ appsink ├┄┄►│ appsrc ─
//!            └────────────────────┘        └───────────────────────────────────┘   └─────────
//! ```
//!
//! The intake is there from the beginning, the tail once both the input's format and the server's
//! wish are known. What is not live is played at the clock's pace. The gate drops everything until
//! the connection stands, then opens on a keyframe; so a source is never blocked, and no receiver
//! starts in the middle.

use super::codec::{Codec, Kind, Wanted};
use super::input::{Input, Inputs};
use gst::prelude::*;
use gst_app::{AppSink, AppSinkCallbacks, AppSrc};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What a live input may lie waiting: an encoder that is slower loses frames, not time. Ours.
const LIVE_QUEUE: gst::ClockTime = gst::ClockTime::from_mseconds(200);
/// Clients raise their own bitrate to this (PROTOCOL, "Negotiation"), bit/s.
const VIDEO_BITRATE: u32 = 1_500_000;
/// The same for audio.
const AUDIO_BITRATE: u32 = 64_000;
/// Payload of an RTP packet over Ethernet and a tunnel, as the server's own.
const MTU: u32 = 1200;

/// Size and rate of the pictures that are encoded here.
#[derive(Debug, Clone, Copy)]
pub(super) struct Picture {
    pub(super) width: u32,
    pub(super) height: u32,
    pub(super) framerate: u32,
}

/// Why a track cannot be sent.
#[derive(Debug, thiserror::Error)]
pub(super) enum SendingError {
    #[error("the server asks for {wanted}, and {kind}_sink gets {given}")]
    Format { kind: Kind, wanted: &'static str, given: String },
    #[error("{kind}_sink: {reason}")]
    Step { kind: Kind, reason: String },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Gate {
    /// Nothing passes.
    Closed,
    /// The next keyframe opens it.
    Waiting,
    /// All passes.
    Open,
    /// The call is over: the source is told so.
    Ended,
}

#[derive(Debug)]
struct State {
    gate: Gate,
    format: Option<gst::Caps>,
    /// Whether EOS has come.
    drained: bool,
    /// The tail, and what it was built for.
    tail: Option<(Wanted, gst::Bin)>,
    /// Where its packets go.
    outlet: Option<AppSrc>,
    inputs: Option<Inputs>,
    packets: u64,
    bytes: u64,
}

/// One sink pad and what is behind it. One lock, never held while something is pushed.
#[derive(Debug)]
pub(super) struct Sending {
    kind: Kind,
    intake: gst::Bin,
    /// The intake's end.
    end: gst::Pad,
    ssrc: u32,
    state: Mutex<State>,
}

impl Sending {
    /// The intake, in `parent`.
    pub(super) fn new(kind: Kind, parent: &gst::Bin) -> Result<Arc<Self>, gst::glib::BoolError> {
        let intake = gst::Bin::with_name(&format!("{kind}-intake"));
        let queue = gst::ElementFactory::make("queue")
            .property("max-size-buffers", 0u32)
            .property("max-size-bytes", 0u32)
            .property("max-size-time", LIVE_QUEUE)
            .build()?;
        let sync = gst::ElementFactory::make("clocksync").property("sync", false).build()?;
        intake.add_many([&queue, &sync])?;
        queue.link(&sync)?;
        let pad = |element: &gst::Element, name| {
            element.static_pad(name).ok_or_else(|| gst::glib::bool_error!("no {name} pad"))
        };
        let sink = gst::GhostPad::with_target(&pad(&queue, "sink")?)?;
        let end = gst::GhostPad::with_target(&pad(&sync, "src")?)?;
        intake.add_pad(&sink)?;
        intake.add_pad(&end)?;
        parent.add(&intake)?;
        let sending = Arc::new(Self {
            kind,
            end: end.upcast(),
            // 0 would be the sign of a missing one.
            ssrc: gst::glib::random_int_range(1, i32::MAX).unsigned_abs(),
            intake,
            state: Mutex::new(State {
                gate: Gate::Closed,
                format: None,
                drained: false,
                tail: None,
                outlet: None,
                inputs: None,
                packets: 0,
                bytes: 0,
            }),
        });
        sending.pace(&sink.upcast(), queue, sync);
        sending.guard();
        Ok(sending)
    }

    /// Follows its element's state from now on.
    pub(super) fn start(&self) -> Result<(), gst::glib::BoolError> {
        self.intake.sync_state_with_parent()
    }

    /// Takes all of it out of `parent`.
    pub(super) fn remove(&self, parent: &gst::Bin) {
        let tail = self.state().tail.take();
        for bin in [Some(&self.intake), tail.as_ref().map(|(_, tail)| tail)].into_iter().flatten() {
            let _ = bin.set_state(gst::State::Null);
            // The element may have emptied itself on its own way out.
            if bin.parent().as_ref() == Some(parent.upcast_ref()) {
                drop(parent.remove(bin));
            }
        }
    }

    /// The pad that the element's sink pad stands for.
    pub(super) fn sink(&self) -> Option<gst::Pad> {
        self.intake.static_pad("sink")
    }

    /// What is not live is played at the clock's pace; what is live is never held.
    fn pace(&self, sink: &gst::Pad, queue: gst::Element, sync: gst::Element) {
        sink.add_probe(MEDIA | gst::PadProbeType::EVENT_DOWNSTREAM, move |pad, info| {
            let is_new = match &info.data {
                Some(gst::PadProbeData::Event(event)) => {
                    event.type_() == gst::EventType::StreamStart
                }
                _ => false,
            };
            if is_new {
                let mut query = gst::query::Latency::new();
                let is_live = pad.peer_query(&mut query) && query.result().0;
                sync.set_property("sync", !is_live);
                queue.set_property_from_str("leaky", if is_live { "downstream" } else { "no" });
            }
            gst::PadProbeReturn::Ok
        });
    }

    /// The gate.
    fn guard(self: &Arc<Self>) {
        let sending = Arc::downgrade(self);
        self.end.add_probe(MEDIA | gst::PadProbeType::EVENT_DOWNSTREAM, move |_, info| {
            let Some(sending) = sending.upgrade() else {
                return gst::PadProbeReturn::Handled;
            };
            match &info.data {
                Some(gst::PadProbeData::Event(event)) => sending.note(event),
                Some(gst::PadProbeData::Buffer(buffer)) => {
                    let is_key = !buffer.flags().contains(gst::BufferFlags::DELTA_UNIT);
                    match sending.pass(is_key) {
                        Gate::Open => {}
                        Gate::Ended => {
                            info.flow_res = Err(gst::FlowError::Eos);
                            return gst::PadProbeReturn::Handled;
                        }
                        Gate::Closed | Gate::Waiting => return gst::PadProbeReturn::Handled,
                    }
                }
                _ => {}
            }
            gst::PadProbeReturn::Ok
        });
    }

    fn note(&self, event: &gst::Event) {
        let input = {
            let mut state = self.state();
            let input = match event.view() {
                gst::EventView::Caps(caps) => {
                    state.format = Some(caps.caps_owned());
                    Input::Format
                }
                gst::EventView::Eos(_) => {
                    state.drained = true;
                    Input::Drained
                }
                gst::EventView::FlushStop(_) | gst::EventView::StreamStart(_) => {
                    state.drained = false;
                    return;
                }
                _ => return,
            };
            state.inputs.clone().map(|inputs| (inputs, input))
        };
        if let Some((inputs, input)) = input {
            inputs.send(input);
        }
    }

    fn pass(&self, is_key: bool) -> Gate {
        let mut state = self.state();
        if state.gate == Gate::Waiting && is_key && state.tail.is_some() {
            state.gate = Gate::Open;
        }
        state.gate
    }

    /// A participant begins; `None` when it ends.
    pub(super) fn report_to(&self, inputs: Option<Inputs>) {
        let mut state = self.state();
        if inputs.is_some() {
            state.gate = Gate::Closed;
            (state.packets, state.bytes) = (0, 0);
        }
        state.inputs = inputs;
    }

    /// Whether EOS has come.
    pub(super) fn is_drained(&self) -> bool {
        self.state().drained
    }

    pub(super) fn sent(&self) -> (u64, u64) {
        let state = self.state();
        (state.packets, state.bytes)
    }

    /// What is promised to the server in `wanted`.
    pub(super) fn promise(&self, wanted: &Wanted) -> gst::Caps {
        let mut caps = wanted.caps.clone();
        if let Some(structure) = caps.make_mut().structure_mut(0) {
            structure.set("ssrc", self.ssrc);
        }
        caps
    }

    /// Packets go to `outlet` from now on.
    pub(super) fn connect(self: &Arc<Self>, outlet: &AppSrc) {
        self.state().outlet = Some(outlet.clone());
        // Who receives and misses a picture asks webrtcbin, which asks this pad.
        let sending = Arc::downgrade(self);
        if let Some(pad) = outlet.static_pad("src") {
            pad.add_probe(gst::PadProbeType::EVENT_UPSTREAM, move |_, info| {
                if let Some(event) = info.event()
                    && event.type_() == gst::EventType::CustomUpstream
                    && let Some(sending) = sending.upgrade()
                {
                    sending.send_upstream(event.clone());
                }
                gst::PadProbeReturn::Ok
            });
        }
    }

    fn send_upstream(&self, event: gst::Event) {
        let tail = self.state().tail.as_ref().map(|(_, tail)| tail.clone());
        if let Some(sink) = tail.and_then(|tail| tail.by_name("packets")?.static_pad("sink")) {
            sink.push_event(event);
        }
    }

    /// The connection stands: the next keyframe opens the gate.
    pub(super) fn open(&self) {
        {
            let mut state = self.state();
            if state.gate == Gate::Ended {
                return;
            }
            state.gate = Gate::Waiting;
        }
        if self.kind == Kind::Video {
            let event = gst_video::UpstreamForceKeyUnitEvent::builder().all_headers(true).build();
            self.send_upstream(event);
        }
    }

    /// The connection is gone.
    pub(super) fn close(&self) {
        let mut state = self.state();
        state.outlet = None;
        if state.gate != Gate::Ended {
            state.gate = Gate::Closed;
        }
    }

    /// The call is over.
    pub(super) fn end(&self) {
        let mut state = self.state();
        state.outlet = None;
        state.gate = Gate::Ended;
    }

    /// Builds the tail when the input's format is known, unless it is there already.
    pub(super) fn complete(
        self: &Arc<Self>,
        wanted: &Wanted,
        picture: Picture,
        parent: &gst::Bin,
    ) -> Result<(), SendingError> {
        let (format, old) = {
            let state = self.state();
            let Some(format) = state.format.clone() else {
                return Ok(());
            };
            (format, state.tail.clone())
        };
        if let Some((for_what, tail)) = old {
            if (for_what.codec, for_what.payload) == (wanted.codec, wanted.payload) {
                return Ok(());
            }
            self.state().tail = None;
            // What still passes meets a closed gate: the caller opens it.
            drop(parent.remove(&tail));
            let _ = tail.set_state(gst::State::Null);
        }
        let step = |reason: String| SendingError::Step { kind: self.kind, reason };
        let tail = self.build(wanted, &format, picture)?;
        parent.add(&tail).map_err(|error| step(error.to_string()))?;
        let sink = tail.static_pad("sink").ok_or_else(|| step("no tail".to_owned()))?;
        tail.sync_state_with_parent().map_err(|error| step(error.to_string()))?;
        self.end.link(&sink).map_err(|error| step(format!("{format}: {error}")))?;
        self.state().tail = Some((wanted.clone(), tail));
        Ok(())
    }

    fn build(
        self: &Arc<Self>,
        wanted: &Wanted,
        format: &gst::Caps,
        picture: Picture,
    ) -> Result<gst::Bin, SendingError> {
        let step = |reason: String| SendingError::Step { kind: self.kind, reason };
        let given = format.structure(0).map_or("", |structure| structure.name().as_str());
        let mut description = match given {
            "audio/x-raw" | "video/x-raw" => encode(wanted.codec, picture) + " ! ",
            given if given == wanted.codec.media_type() => match wanted.codec {
                Codec::H264 => "h264parse config-interval=-1 ! ".to_owned(),
                _ => String::new(),
            },
            given => {
                let (wanted, given) = (wanted.codec.media_type(), given.to_owned());
                return Err(SendingError::Format { kind: self.kind, wanted, given });
            }
        };
        description += pay(wanted.codec);
        description +=
            " ! capsfilter name=extensions ! appsink name=packets sync=false async=false";
        let tail = gst::parse::bin_from_description_with_name(
            &description,
            true,
            &format!("{}-tail", self.kind),
        )
        .map_err(|error| step(error.to_string()))?;
        let part = |name| tail.by_name(name).ok_or_else(|| step(format!("no {name}")));
        let payloader = part("pay")?;
        payloader.set_property("pt", wanted.payload);
        payloader.set_property("ssrc", self.ssrc);
        payloader.set_property("mtu", MTU);
        part("extensions")?.set_property("caps", extensions(&wanted.caps));
        let packets =
            part("packets")?.downcast::<AppSink>().map_err(|_| step("no appsink".to_owned()))?;
        let sending = Arc::downgrade(self);
        packets.set_callbacks(
            AppSinkCallbacks::builder()
                .new_sample(move |packets| {
                    let sample = packets.pull_sample().map_err(|_| gst::FlowError::Eos)?;
                    if let Some(sending) = sending.upgrade() {
                        sending.hand_over(&sample);
                    }
                    Ok(gst::FlowSuccess::Ok)
                })
                .build(),
        );
        Ok(tail)
    }

    /// One packet, on the pipeline's own time.
    fn hand_over(&self, sample: &gst::Sample) {
        let (Some(packet), Some(segment)) = (sample.buffer_owned(), sample.segment()) else {
            return;
        };
        let outlet = {
            let mut state = self.state();
            if state.gate != Gate::Open {
                return;
            }
            state.packets += 1;
            state.bytes += packet.size() as u64;
            state.outlet.clone()
        };
        if let Some(outlet) = outlet {
            // Fails on the way down, when nobody waits for packets.
            let _ = outlet.push_buffer(on_running_time(packet, segment));
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What flows.
pub(super) const MEDIA: gst::PadProbeType =
    gst::PadProbeType::BUFFER.union(gst::PadProbeType::BUFFER_LIST);

/// The buffer with running times instead of its segment's timestamps.
pub(super) fn on_running_time(mut buffer: gst::Buffer, segment: &gst::Segment) -> gst::Buffer {
    if let Some(segment) = segment.downcast_ref::<gst::ClockTime>() {
        let (pts, dts) = (buffer.pts(), buffer.dts());
        let buffer = buffer.make_mut();
        buffer.set_pts(pts.and_then(|pts| segment.to_running_time(pts)));
        buffer.set_dts(dts.and_then(|dts| segment.to_running_time(dts)));
    }
    buffer
}

/// The header extensions of a promise: what a payloader must write.
fn extensions(promise: &gst::Caps) -> gst::Caps {
    let mut caps = gst::Caps::builder("application/x-rtp");
    for (name, value) in promise.structure(0).iter().flat_map(|structure| structure.iter()) {
        if name.starts_with("extmap-") {
            caps = caps.field(name.as_str(), value.clone());
        }
    }
    caps.build()
}

/// Raw → encoded, without holding a frame back. See `pipelines/codecs.yml`.
fn encode(codec: Codec, picture: Picture) -> String {
    let Picture { width, height, framerate } = picture;
    // x264enc holds a frame when the rate is not known; a gap at the gate must not be filled.
    let raw = format!(
        "videoconvert ! videoscale ! videorate skip-to-first=true max-duplication-time=500000000
         ! video/x-raw,format=I420,width={width},height={height},framerate={framerate}/1,pixel-aspect-ratio=1/1"
    );
    match codec {
        Codec::Opus => format!(
            "audioconvert ! audioresample ! audio/x-raw,rate=48000,channels=1
             ! opusenc audio-type=voice frame-size=20 inband-fec=true bitrate={AUDIO_BITRATE}"
        ),
        Codec::H264 => format!(
            "{raw} ! x264enc tune=zerolatency speed-preset=ultrafast threads=1 key-int-max=250 aud=false bitrate={}
             ! video/x-h264,profile=constrained-baseline,stream-format=byte-stream,alignment=au",
            VIDEO_BITRATE / 1000
        ),
        Codec::Vp8 => format!(
            "{raw} ! vp8enc deadline=1 cpu-used=8 threads=1 lag-in-frames=0 end-usage=cbr
             keyframe-max-dist=250 target-bitrate={VIDEO_BITRATE}"
        ),
    }
}

fn pay(codec: Codec) -> &'static str {
    match codec {
        Codec::Opus => "rtpopuspay name=pay",
        Codec::H264 => "rtph264pay name=pay aggregate-mode=zero-latency config-interval=-1",
        Codec::Vp8 => "rtpvp8pay name=pay picture-id-mode=15-bit",
    }
}
