// SPDX-License-Identifier: MPL-2.0

//! A browser's tracks on their way into their chains. All of this runs on streaming threads.

use super::capture::{self, Lags};
use super::chain::Chain;
use super::input::{AskedBy, Input, Inputs, PeerInput};
use super::lost::Neighbours;
use super::precedence;
use super::reports::Reports;
use super::sdp::{Codec, Kind};
use super::timeline::{Pace, Place, Timeline};
use super::tuning::JITTER_BUFFER;
use ducksoup_signaller::frame::Connection;
use gst::prelude::*;
use gstducksoup::estimate;
use gstducksoup::keyframes::{Requests, Urgency};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// Longest wait for a missing packet of sound, in ms. Nobody sends one again (browsers take no NACK for
/// sound), so it is only overtaken or lost; that is noticed when the next one is there, which is 20 ms behind it
/// and should not wait: receivers would keep so much more sound in hand. What comes later than it would on
/// the best of ways gives those that are overtaken as much more time.
const SOUND_CEILING: u32 = 20;

/// Links the browser's tracks to their chains. A pad must be linked when the callback returns.
pub fn link_as_they_come(
    webrtcbin: &gst::Element,
    chains: &[Chain],
    beginning: &Beginning,
    connection: Connection,
    inputs: &Inputs,
) {
    let beginning = beginning.clone();
    let sinks: BTreeMap<Kind, (Codec, gst::Pad, Option<gst::Pad>)> = chains
        .iter()
        .filter_map(|chain| {
            let sink = chain.bin.static_pad("sink")?;
            Some((chain.codec.kind(), (chain.codec, sink, chain.depayloaded())))
        })
        .collect();
    let inputs = inputs.clone();
    let lags = Arc::new(Mutex::new(Lags::default()));
    let reports = Reports::of(webrtcbin);
    webrtcbin.connect_pad_added(move |webrtcbin, pad| {
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
        let Some((codec, sink, depayloaded)) = sinks.get(&kind) else {
            return drop_everything(pad);
        };
        // A browser that changes its SSRC comes by a new pad: the newest counts.
        if let Some(old) = sink.peer() {
            drop_everything(&old);
            // Fails only when it is unlinked already.
            drop(old.unlink(sink));
        }
        let ssrc = structure.and_then(|structure| structure.get::<u32>("ssrc").ok());
        let buffer = (kind == Kind::Audio).then(|| jitter_buffer(webrtcbin, ssrc)).flatten();
        if let Some(buffer) = buffer {
            let ceiling: u32 = buffer.property("latency");
            buffer.set_property("latency", ceiling.min(SOUND_CEILING));
        }
        let told = (reports.clone(), ssrc);
        keep_pace(pad, *codec, &beginning, &lags, told, connection, &inputs);
        watch_requests(pad, kind, connection, &inputs);
        if let (Kind::Video, Some(pictures)) = (kind, depayloaded) {
            ask_by_policy(pad, pictures, clock);
        }
        if pad.link(sink).is_err() {
            return drop_everything(pad);
        }
        inputs.send(Input::Peer(connection, PeerInput::TrackReceived { kind, ssrc }));
    });
}

/// The field of our own requests for a keyframe: who asks.
pub const ASKED_BY_START: &str = "ducksoup-start";

/// Tells of each request for a keyframe that goes to the browser, and of what its receivers can take.
fn watch_requests(pad: &gst::Pad, kind: Kind, connection: Connection, inputs: &Inputs) {
    let inputs = inputs.clone();
    pad.add_probe(gst::PadProbeType::EVENT_UPSTREAM, move |_, info| {
        let Some(gst::PadProbeData::Event(event)) = &info.data else {
            return gst::PadProbeReturn::Ok;
        };
        if let Some(bitrate) = estimate::parse(event) {
            inputs.send(Input::Peer(connection, PeerInput::Wanted(kind, bitrate)));
        }
        if Urgency::of(event).is_some() {
            let start = event.structure().is_some_and(|event| event.has_field(ASKED_BY_START));
            let by = if start { AskedBy::Start } else { AskedBy::Chain };
            inputs.send(Input::Peer(connection, PeerInput::KeyframeAsked(by)));
        }
        gst::PadProbeReturn::Ok
    });
}

/// Lets the policy decide about requests for a keyframe that go upstream at `pad`, where packets come
/// from. A keyframe has come when it comes out at `pictures`. `now` is in ns.
fn ask_by_policy(
    pad: &gst::Pad,
    pictures: &gst::Pad,
    now: impl Fn() -> u64 + Send + Sync + 'static,
) {
    let requests = Arc::new(Mutex::new(Requests::over_a_network()));
    let own = Arc::clone(&requests);
    pictures.add_probe(gst::PadProbeType::BUFFER, move |_, info| {
        if info.buffer().is_some_and(|b| !b.flags().contains(gst::BufferFlags::DELTA_UNIT)) {
            open(&own).keyframe();
        }
        gst::PadProbeReturn::Ok
    });
    // Ours comes by here like those of others, and was decided about already.
    const REPEATED: &str = "ducksoup-repeated";
    pad.add_probe(gst::PadProbeType::EVENT_UPSTREAM.union(MEDIA), move |pad, info| {
        match &info.data {
            Some(gst::PadProbeData::Event(event)) => {
                let Some(urgency) = Urgency::of(event) else {
                    return gst::PadProbeReturn::Ok;
                };
                let repeated = event.structure().is_some_and(|event| event.has_field(REPEATED));
                if !repeated && !open(&requests).request(urgency, now()) {
                    // An event that a probe drops is released twice.
                    drop(info.take_event());
                    return gst::PadProbeReturn::Handled;
                }
            }
            _ => {
                // Let go of before anything is sent.
                let is_due = {
                    let mut requests = open(&requests);
                    requests.is_waiting() && requests.poll(now())
                };
                if is_due {
                    let event = gst_video::UpstreamForceKeyUnitEvent::builder().all_headers(true);
                    pad.send_event(event.other_field(REPEATED, true).build());
                }
            }
        }
        gst::PadProbeReturn::Ok
    });
}

/// This process's own clock, in ns.
fn clock() -> u64 {
    static BEGIN: LazyLock<Instant> = LazyLock::new(Instant::now);
    u64::try_from(BEGIN.elapsed().as_nanos()).unwrap_or(u64::MAX)
}

fn open(requests: &Mutex<Requests>) -> MutexGuard<'_, Requests> {
    requests.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Lets media end at this pad: an open end would be an error that takes its whole peer down.
pub fn drop_everything(pad: &gst::Pad) {
    // What is handled is dropped, and once only: Drop releases it twice (GStreamer 1.22).
    pad.add_probe(MEDIA, |_, _| gst::PadProbeReturn::Handled);
}

/// What flows.
const MEDIA: gst::PadProbeType = gst::PadProbeType::BUFFER.union(gst::PadProbeType::BUFFER_LIST);

/// The running time from which a peer is recorded, in ns, for its streaming threads.
#[derive(Debug, Clone)]
pub struct Beginning(Arc<AtomicU64>);

impl Beginning {
    /// Not known yet.
    #[must_use]
    pub fn unknown() -> Self {
        Self(Arc::new(AtomicU64::new(u64::MAX)))
    }

    /// It is known now.
    pub fn set(&self, at: gst::ClockTime) {
        self.0.store(at.nseconds(), Ordering::Relaxed);
    }

    /// Whether it is known.
    #[must_use]
    pub fn is_known(&self) -> bool {
        self.0.load(Ordering::Relaxed) != u64::MAX
    }

    /// The pace of what belongs there.
    fn pace(&self, at: gst::ClockTime) -> Pace {
        if at.nseconds() < self.0.load(Ordering::Relaxed) { Pace::Settling } else { Pace::Steady }
    }
}

/// The jitter buffer of the stream that comes out of `webrtcbin` with this SSRC.
fn jitter_buffer(webrtcbin: &gst::Element, ssrc: Option<u32>) -> Option<gst::Element> {
    let ssrc = ssrc?;
    let is_its = |element: &gst::Element| {
        let caps = || element.static_pad("src")?.current_caps();
        let its = |caps: gst::Caps| caps.structure(0)?.get::<u32>("ssrc").ok();
        element.factory().is_some_and(|factory| factory.name() == JITTER_BUFFER)
            && caps().and_then(its) == Some(ssrc)
    };
    let all = webrtcbin.downcast_ref::<gst::Bin>()?.iterate_recurse();
    all.into_iter().flatten().find(is_its)
}

/// A stream on its way: where its packets belong, and where those that never came do.
#[derive(Debug)]
struct Stream {
    timeline: Timeline,
    neighbours: Neighbours,
}

/// Puts every packet where its stream's [`Timeline`] says. `lags` are of all streams of the peer; their lock is
/// taken within that of a stream.
fn keep_pace(
    pad: &gst::Pad,
    codec: Codec,
    beginning: &Beginning,
    lags: &Arc<Mutex<Lags>>,
    (reports, ssrc): (Reports, Option<u32>),
    connection: Connection,
    inputs: &Inputs,
) {
    let timeline = Timeline::new(codec.clock_rate());
    let stream = Arc::new(Mutex::new(Stream { timeline, neighbours: Neighbours::default() }));
    if codec.kind() == Kind::Audio {
        place_losses(pad, &stream);
    }
    let (kind, beginning, inputs) = (codec.kind(), beginning.clone(), inputs.clone());
    let lags = Arc::clone(lags);
    pad.add_probe(MEDIA, move |_, info| {
        if kind == Kind::Video {
            precedence::work_on_pictures();
        }
        let mut corrected = None;
        let report = ssrc.and_then(|ssrc| reports.newest(ssrc));
        {
            let mut stream = stream.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(report) = report {
                stream.timeline.reported(report);
            }
            let lag = stream.timeline.lag();
            let lead = lags.lock().unwrap_or_else(PoisonError::into_inner).hear(kind, lag);
            stream.timeline.lead(lead);
            match info.data.as_mut() {
                Some(gst::PadProbeData::Buffer(packet)) => {
                    corrected = place(&mut stream, &beginning, packet.make_mut());
                }
                Some(gst::PadProbeData::BufferList(packets)) => {
                    packets.make_mut().foreach_mut(|mut packet, _| {
                        let placed = place(&mut stream, &beginning, packet.make_mut());
                        corrected = placed.or(corrected);
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

/// Lets what the jitter buffer tells of lost packets lie where they would have lain; too many in a row are a pause, of
/// which nobody is told.
fn place_losses(pad: &gst::Pad, stream: &Arc<Mutex<Stream>>) {
    let stream = Arc::clone(stream);
    pad.add_probe(gst::PadProbeType::EVENT_DOWNSTREAM, move |_, info| {
        let event = info.event_mut().filter(|event| {
            event.structure().is_some_and(|structure| structure.name() == "GstRTPPacketLost")
        });
        let Some(event) = event else { return gst::PadProbeReturn::Ok };
        let missing = event.structure().and_then(|lost| {
            let sequence = u16::try_from(lost.get::<u32>("seqnum").ok()?).ok()?;
            let length = lost.get::<u64>("duration").ok()?;
            let stream = stream.lock().unwrap_or_else(PoisonError::into_inner);
            stream.neighbours.miss(sequence, i64::try_from(length).ok()?)
        });
        let times = missing.and_then(|missing| {
            Some((u64::try_from(missing.time).ok()?, u64::try_from(missing.length).ok()?))
        });
        let Some((time, length)) = times else {
            // An event that a probe drops is released twice.
            drop(info.take_event());
            return gst::PadProbeReturn::Handled;
        };
        let lost = event.make_mut().structure_mut();
        lost.set("timestamp", time);
        lost.set("duration", length);
        gst::PadProbeReturn::Ok
    });
}

/// Places one packet; where, if something is to be told of it. What is no RTP is left as it is, for the depayloader
/// to refuse.
fn place(stream: &mut Stream, beginning: &Beginning, packet: &mut gst::BufferRef) -> Option<Place> {
    let mut head = [0; capture::LONGEST_HEADER];
    let head = &mut head[..capture::LONGEST_HEADER.min(packet.size())];
    packet.copy_to_slice(0, head).ok()?;
    // RFC 3550, 5.1: the sequence number stands in bytes 2 and 3, the timestamp in 4 to 7.
    let sequence = u16::from_be_bytes(*head.get(2..)?.first_chunk()?);
    let stamp = u32::from_be_bytes(*head.get(4..)?.first_chunk()?);
    let pts = packet.pts()?;
    let said = i64::try_from(pts.nseconds()).ok()?;
    let place = stream.timeline.place(stamp, said, beginning.pace(pts));
    stream.neighbours.came(sequence, place.time);
    if let Some(taken) = capture::taken(head) {
        stream.timeline.taken(taken);
    }
    let time = gst::ClockTime::from_nseconds(u64::try_from(place.time).unwrap_or_default());
    packet.set_pts(time);
    packet.set_dts(time);
    place.correction.map(|_| place)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use gst_check::Harness;

    #[test]
    fn a_keyframe_that_does_not_come_is_asked_for_again_until_it_does() {
        gst::init().unwrap();
        let mut harness = Harness::new_parse("identity name=packets ! identity name=pictures");
        harness.set_src_caps_str("application/x-rtp");
        let bin = harness.element().unwrap().downcast::<gst::Bin>().unwrap();
        let pad = |name: &str| bin.by_name(name).unwrap().static_pad("src").unwrap();
        let clock = Arc::new(AtomicU64::new(0));
        let own = Arc::clone(&clock);
        let now = move || own.load(Ordering::Relaxed);
        ask_by_policy(&pad("packets"), &pad("pictures"), now);
        let asked = |harness: &mut Harness| {
            std::iter::from_fn(|| harness.try_pull_upstream_event())
                .filter(|event| Urgency::of(event).is_some())
                .count()
        };
        let push = |harness: &mut Harness, ms: u64, flags: gst::BufferFlags| {
            clock.fetch_add(ms * 1_000_000, Ordering::Relaxed);
            let mut packet = gst::Buffer::with_size(100).unwrap();
            packet.get_mut().unwrap().set_flags(flags);
            harness.push(packet).unwrap();
        };
        let delta = gst::BufferFlags::DELTA_UNIT;
        push(&mut harness, 5000, delta);
        assert_eq!(asked(&mut harness), 0, "nobody wants one");
        let wish = || Urgency::Repair.request(0);
        harness.push_upstream_event(wish());
        for (ms, expected) in [(400, 1), (90, 0), (20, 1), (990, 0), (20, 1)] {
            push(&mut harness, ms, delta);
            assert_eq!(asked(&mut harness), expected, "{ms} ms later");
        }
        push(&mut harness, 10, gst::BufferFlags::empty());
        push(&mut harness, 60_000, delta);
        assert_eq!(asked(&mut harness), 0, "it has come");
        for _ in 0..50 {
            harness.push_upstream_event(wish());
        }
        assert_eq!(asked(&mut harness), 1, "a storm is one request");
        push(&mut harness, 10, gst::BufferFlags::empty());
        let newcomer = Urgency::Newcomer.request(0);
        harness.push_upstream_event(newcomer);
        assert_eq!(asked(&mut harness), 1, "who came after the keyframe waits for no window");
    }

    #[test]
    fn sound_and_pictures_are_led_together_by_their_reports() {
        gst::init().unwrap();
        let lags = Arc::new(Mutex::new(Lags::default()));
        let (sender, _receiver) = std::sync::mpsc::sync_channel(10);
        let (beginning, inputs) = (Beginning::unknown(), Inputs::new(sender));
        let reports = Reports::default();
        let track = |codec: Codec, ssrc: u32| {
            let mut harness = Harness::new("identity");
            harness.set_src_caps_str("application/x-rtp");
            let pad = harness.element().unwrap().static_pad("src").unwrap();
            let told = (reports.clone(), Some(ssrc));
            keep_pace(&pad, codec, &beginning, &lags, told, Connection(1), &inputs);
            harness
        };
        let (mut sound, mut picture) = (track(Codec::Opus, 1), track(Codec::H264, 2));
        let place = |harness: &mut Harness, stamp: u32, came: u64| {
            let mut packet = vec![0x80, 111, 0, 1];
            packet.extend(stamp.to_be_bytes());
            packet.extend([0; 5]);
            let mut packet = gst::Buffer::from_mut_slice(packet);
            packet.get_mut().unwrap().set_pts(gst::ClockTime::from_mseconds(came));
            harness.push(packet).unwrap();
            harness.pull().unwrap().pts().unwrap().mseconds()
        };
        let mut both = |n: u32| {
            let at = u64::from(n) * 20;
            // A packet of sound comes when it is complete, and a picture when it was taken.
            (
                place(&mut sound, n * 960, 1_020 + at) - at,
                place(&mut picture, n * 1_800, 1_000 + at) - at,
            )
        };
        assert_eq!(both(0), (1_020, 1_000), "nobody knows better");
        for ssrc in [1, 2_u32] {
            // Both were taken at the same time: second 100 by their sender's clock.
            let words = [0x80c8_0006, ssrc, 100, 0, 0, 10, 1_000];
            reports.hear(&words.map(u32::to_be_bytes).concat());
        }
        for n in 1..5 {
            both(n);
        }
        assert_eq!(both(5), (1_000, 1_000));
    }

    #[test]
    fn lost_sound_lies_where_it_would_have_lain_and_a_pause_is_no_loss() {
        gst::init().unwrap();
        let mut harness = Harness::new("identity");
        harness.set_src_caps_str("application/x-rtp");
        let pad = harness.element().unwrap().static_pad("src").unwrap();
        let (sender, _receiver) = std::sync::mpsc::sync_channel(10);
        let lags = Arc::new(Mutex::new(Lags::default()));
        let (beginning, inputs) = (Beginning::unknown(), Inputs::new(sender));
        let connection = Connection(1);
        let told = (Reports::default(), None);
        keep_pace(&pad, Codec::Opus, &beginning, &lags, told, connection, &inputs);
        let push = |harness: &mut Harness, number: u16, came: u64| {
            let [high, low] = number.to_be_bytes();
            let mut packet = vec![0x80, 111, high, low];
            packet.extend((u32::from(number) * 960).to_be_bytes());
            packet.extend([0; 5]);
            let mut packet = gst::Buffer::from_mut_slice(packet);
            packet.get_mut().unwrap().set_pts(gst::ClockTime::from_mseconds(came));
            harness.push(packet).unwrap();
        };
        let lose = |harness: &mut Harness, number: u32, length: u64| {
            let lost = gst::Structure::builder("GstRTPPacketLost")
                .field("seqnum", number)
                .field("timestamp", 1_500_000_u64)
                .field("duration", length * 1_000_000)
                .build();
            harness.push_event(gst::event::CustomDownstream::new(lost));
            let told = std::iter::from_fn(|| harness.try_pull_event());
            let told = told.filter_map(|event| {
                let lost = event.structure().filter(|it| it.name() == "GstRTPPacketLost")?;
                let ms = |field| lost.get::<u64>(field).unwrap() / 1_000_000;
                Some((ms("timestamp"), ms("duration")))
            });
            told.last()
        };
        push(&mut harness, 7, 1000);
        push(&mut harness, 8, 1020);
        assert_eq!(lose(&mut harness, 9, 17), Some((1040, 20)));
        assert_eq!(lose(&mut harness, 10, 17), Some((1060, 20)));
        assert_eq!(lose(&mut harness, 9, 40_000), None);
    }
}
