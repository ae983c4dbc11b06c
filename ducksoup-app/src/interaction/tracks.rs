// SPDX-License-Identifier: MPL-2.0

//! A browser's tracks on their way into their chains. All of this runs on streaming threads.

use super::chain::Chain;
use super::input::{AskedBy, Input, Inputs, PeerInput};
use super::sdp::{Codec, Kind};
use super::timeline::{Place, Timeline};
use ducksoup_signaller::frame::Connection;
use gst::prelude::*;
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

/// Links the browser's tracks to their chains. A pad must be linked when the callback returns.
pub fn link_as_they_come(
    webrtcbin: &gst::Element,
    chains: &[Chain],
    connection: Connection,
    inputs: &Inputs,
) {
    let sinks: BTreeMap<Kind, (Codec, gst::Pad)> = chains
        .iter()
        .filter_map(|chain| {
            Some((chain.codec.kind(), (chain.codec, chain.bin.static_pad("sink")?)))
        })
        .collect();
    let inputs = inputs.clone();
    webrtcbin.connect_pad_added(move |_, pad| {
        if pad.direction() != gst::PadDirection::Src {
            return;
        }
        let caps = pad.current_caps();
        let structure = caps.as_ref().and_then(|caps| caps.structure(0));
        let kind = match structure.and_then(|structure| structure.get("media").ok()) {
            Some("audio") => Kind::Audio,
            Some("video") => Kind::Video,
            _ => return drop_everything(pad),
        };
        let Some((codec, sink)) = sinks.get(&kind) else {
            return drop_everything(pad);
        };
        // A browser that changes its SSRC comes by a new pad: the newest counts.
        if let Some(old) = sink.peer() {
            drop_everything(&old);
            // Fails only when it is unlinked already.
            drop(old.unlink(sink));
        }
        keep_pace(pad, *codec, connection, &inputs);
        watch_keyframe_requests(pad, connection, &inputs);
        if pad.link(sink).is_err() {
            return drop_everything(pad);
        }
        let ssrc = structure.and_then(|structure| structure.get("ssrc").ok());
        inputs.send(Input::Peer(connection, PeerInput::TrackReceived { kind, ssrc }));
    });
}

/// The field of our own requests for a keyframe: who asks.
pub const ASKED_BY_START: &str = "ducksoup-start";

/// Tells of each request for a keyframe that goes to the browser.
fn watch_keyframe_requests(pad: &gst::Pad, connection: Connection, inputs: &Inputs) {
    let inputs = inputs.clone();
    pad.add_probe(gst::PadProbeType::EVENT_UPSTREAM, move |_, info| {
        if let Some(gst::PadProbeData::Event(event)) = &info.data
            && gst_video::UpstreamForceKeyUnitEvent::parse(event).is_ok()
        {
            let start = event.structure().is_some_and(|event| event.has_field(ASKED_BY_START));
            let by = if start { AskedBy::Start } else { AskedBy::Chain };
            inputs.send(Input::Peer(connection, PeerInput::KeyframeAsked(by)));
        }
        gst::PadProbeReturn::Ok
    });
}

/// Lets media end at this pad: an open end would be an error that takes its whole peer down.
pub fn drop_everything(pad: &gst::Pad) {
    pad.add_probe(MEDIA, |_, _| gst::PadProbeReturn::Drop);
}

/// What flows.
const MEDIA: gst::PadProbeType = gst::PadProbeType::BUFFER.union(gst::PadProbeType::BUFFER_LIST);

/// Puts every packet where its stream's [`Timeline`] says.
fn keep_pace(pad: &gst::Pad, codec: Codec, connection: Connection, inputs: &Inputs) {
    let timeline = Mutex::new(Timeline::new(codec.clock_rate()));
    let (kind, inputs) = (codec.kind(), inputs.clone());
    pad.add_probe(MEDIA, move |_, info| {
        let mut corrected = None;
        {
            let mut timeline = timeline.lock().unwrap_or_else(PoisonError::into_inner);
            match info.data.as_mut() {
                Some(gst::PadProbeData::Buffer(packet)) => {
                    corrected = place(&mut timeline, packet.make_mut());
                }
                Some(gst::PadProbeData::BufferList(packets)) => {
                    packets.make_mut().foreach_mut(|mut packet, _| {
                        corrected = place(&mut timeline, packet.make_mut()).or(corrected);
                        std::ops::ControlFlow::Continue(Some(packet))
                    });
                }
                _ => {}
            }
        }
        if let Some(Place { time, correction: Some(correction) }) = corrected {
            let at = u64::try_from(time).unwrap_or_default();
            let corrected = PeerInput::TimeCorrected { kind, at, correction };
            inputs.send(Input::Peer(connection, corrected));
        }
        gst::PadProbeReturn::Ok
    });
}

/// Places one packet; where, if something is to be told of it. What is no RTP is left as it is, for the
/// depayloader to refuse.
fn place(timeline: &mut Timeline, packet: &mut gst::BufferRef) -> Option<Place> {
    // RFC 3550, 5.1: the timestamp stands in bytes 4 to 7.
    let mut stamp = [0; 4];
    packet.copy_to_slice(4, &mut stamp).ok()?;
    let said = i64::try_from(packet.pts()?.nseconds()).ok()?;
    let place = timeline.place(u32::from_be_bytes(stamp), said);
    let time = gst::ClockTime::from_nseconds(u64::try_from(place.time).unwrap_or_default());
    packet.set_pts(time);
    packet.set_dts(time);
    place.correction.map(|_| place)
}
