// SPDX-License-Identifier: MPL-2.0

//! Reads a participant's counters, where GStreamer keeps them: in the RTP session, the jitter
//! buffers, the mixer, the frame keeper. What is not there counts as nothing.

use super::measures::{Arrived, Delivered, RouteKey, Sample};
use super::meter::MixerReading;
use super::sdp::Kind;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// All raw counters of a participant.
#[derive(Debug)]
pub struct Counted {
    /// When they were read.
    pub at: Instant,
    /// The `source-stats` of the RTP session, one for each SSRC.
    pub sources: Vec<gst::Structure>,
    /// The jitter buffers' `stats`, by the SSRC they wait for.
    pub jitter_buffers: BTreeMap<u32, gst::Structure>,
    /// The mixer's.
    pub mixer: MixerReading,
    /// The frame keeper's `stats`.
    pub grid: Option<gst::Structure>,
}

/// What is known of a participant's streams.
#[derive(Debug, Clone, Default)]
pub struct Streams {
    /// From the browser, by SSRC.
    pub incoming: BTreeMap<u32, Kind>,
    /// To the browser: what it has reported of each.
    pub outgoing: BTreeMap<RouteKey, Delivered>,
}

/// Everything read, as of `at`, for the participant `user` whose bin is called `receiver`.
#[must_use]
pub fn sample(
    counted: &Counted,
    streams: &Streams,
    (user, receiver): (&str, &str),
    at: Duration,
) -> Sample {
    let mut sample = Sample { at, delivered: streams.outgoing.clone(), ..Sample::default() };
    session(&mut sample, counted, &streams.incoming);
    mixer(&mut sample, counted.mixer.stats(), user, receiver);
    if let Some(stats) = &counted.grid {
        let made = sample.made.entry(Kind::Video).or_default();
        made.frames_in = count(stats, "in");
        made.frames_out = count(stats, "out");
        made.frames_repeated = count(stats, "duplicated");
    }
    sample
}

fn session(sample: &mut Sample, counted: &Counted, incoming: &BTreeMap<u32, Kind>) {
    for source in &counted.sources {
        let Ok(ssrc) = source.get::<u32>("ssrc") else {
            continue;
        };
        let Some(kind) = incoming.get(&ssrc) else {
            continue;
        };
        let mut arrived = Arrived {
            packets: count(source, "packets-received"),
            bytes: count(source, "octets-received"),
            keyframe_requests: count(source, "sent-pli-count") + count(source, "sent-fir-count"),
            jitter: jitter(source),
            ..Arrived::default()
        };
        if let Some(buffer) = counted.jitter_buffers.get(&ssrc) {
            arrived.lost = count(buffer, "num-lost");
            arrived.late = count(buffer, "num-late");
            arrived.duplicates = count(buffer, "num-duplicates");
            arrived.repaired = count(buffer, "rtx-success-count");
            arrived.nacks = count(buffer, "rtx-count");
        }
        sample.arrived.insert(*kind, arrived);
    }
}

fn mixer(sample: &mut Sample, stats: &gst::StructureRef, user: &str, receiver: &str) {
    for source in structures(stats, "sources") {
        if let (Ok(participant), Some(kind)) = (source.get::<&str>("participant"), kind(&source))
            && participant == user
        {
            let made = sample.made.entry(kind).or_default();
            made.packets = count(&source, "packets");
            made.bytes = count(&source, "bytes");
            made.keyframes = count(&source, "keyframes");
            made.keyframe_requests = count(&source, "keyframe-requests");
            made.estimate = source.get("bitrate").unwrap_or_default();
        }
    }
    for route in structures(stats, "routes") {
        let (Ok(source), Some(kind)) = (route.get::<&str>("source"), kind(&route)) else {
            continue;
        };
        if source == user {
            sample.made.entry(kind).or_default().keyframes_wanted +=
                count(&route, "keyframe-requests");
        }
        if route.get::<&str>("receiver") == Ok(receiver) {
            let delivered = sample.delivered.entry((source.to_owned(), kind)).or_default();
            delivered.packets = count(&route, "packets");
            delivered.bytes = count(&route, "bytes");
            delivered.drops = count(&route, "drops");
            delivered.paused = route.get("paused").unwrap_or_default();
        }
    }
}

fn structures(stats: &gst::StructureRef, field: &str) -> Vec<gst::Structure> {
    let array = stats.get::<gst::Array>(field).ok();
    let values = array.iter().flat_map(|array| array.as_slice());
    values.filter_map(|value| value.get().ok()).collect()
}

fn kind(structure: &gst::StructureRef) -> Option<Kind> {
    match structure.get("kind") {
        Ok("audio") => Some(Kind::Audio),
        Ok("video") => Some(Kind::Video),
        _ => None,
    }
}

/// A counter, of whichever width.
fn count(structure: &gst::StructureRef, field: &str) -> u64 {
    structure.get::<u64>(field).or_else(|_| structure.get::<u32>(field).map(u64::from)).unwrap_or(0)
}

/// The RTP session counts jitter in units of the stream's clock; ms here.
fn jitter(source: &gst::StructureRef) -> f64 {
    let units = source.get::<u32>("jitter").unwrap_or_default();
    let rate = source.get::<i32>("clock-rate").unwrap_or_default();
    if rate > 0 { f64::from(units) * 1000.0 / f64::from(rate) } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn empty() -> Counted {
        Counted {
            at: Instant::now(),
            sources: Vec::new(),
            jitter_buffers: BTreeMap::new(),
            mixer: MixerReading::of(gst::Structure::new_empty("ducksoupmixer-stats")),
            grid: None,
        }
    }

    #[test]
    fn a_session_is_read_by_the_ssrc_of_its_streams() {
        gst::init().expect("GStreamer starts");
        let source = |ssrc: u32, packets: u64| {
            gst::Structure::builder("application/x-rtp-source-stats")
                .field("ssrc", ssrc)
                .field("clock-rate", 90_000i32)
                .field("packets-received", packets)
                .field("octets-received", 9000u64)
                .field("sent-pli-count", 3u32)
                .field("sent-fir-count", 1u32)
                .field("jitter", 360u32)
                .build()
        };
        let buffer = gst::Structure::builder("application/x-rtp-jitterbuffer-stats")
            .field("num-lost", 2u64)
            .field("rtx-success-count", 1u64)
            .build();
        let counted = Counted {
            sources: vec![source(11, 100), source(99, 5)],
            jitter_buffers: [(11, buffer)].into(),
            ..empty()
        };
        let streams = Streams { incoming: [(11, Kind::Video)].into(), outgoing: BTreeMap::new() };
        let at = Duration::from_secs(3);
        let sample = sample(&counted, &streams, ("ann", "peer-1"), at);
        assert_eq!(sample.at, at);
        assert_eq!(sample.arrived.len(), 1, "a stream that nobody knows is left out");
        let video = sample.arrived[&Kind::Video];
        assert_eq!((video.packets, video.bytes, video.lost, video.repaired), (100, 9000, 2, 1));
        assert_eq!(video.keyframe_requests, 4);
        assert!((video.jitter - 4.0).abs() < 1e-9);
    }

    #[test]
    fn the_mixer_is_read_by_participant_and_receiver() {
        gst::init().expect("GStreamer starts");
        let source = |participant: &str, packets: u64| {
            gst::Structure::builder("ducksoupmixer-source")
                .field("participant", participant)
                .field("kind", "video")
                .field("packets", packets)
                .field("bitrate", 300_000u32)
                .build()
        };
        let route = |receiver: &str, source: &str, requests: u64| {
            gst::Structure::builder("ducksoupmixer-route")
                .field("receiver", receiver)
                .field("source", source)
                .field("kind", "video")
                .field("packets", 40u64)
                .field("paused", receiver == "peer-1")
                .field("keyframe-requests", requests)
                .build()
        };
        let mixer = gst::Structure::builder("ducksoupmixer-stats")
            .field("sources", gst::Array::new([source("ann", 50), source("ben", 60)]))
            .field(
                "routes",
                gst::Array::new([
                    route("peer-1", "ben", 1),
                    route("peer-2", "ann", 2),
                    route("peer-3", "ann", 3),
                ]),
            )
            .build();
        let counted = Counted { mixer: MixerReading::of(mixer), ..empty() };
        let reported = Delivered { keyframe_requests: 9, ..Delivered::default() };
        let key = ("ben".to_owned(), Kind::Video);
        let streams =
            Streams { incoming: BTreeMap::new(), outgoing: [(key.clone(), reported)].into() };
        let sample = sample(&counted, &streams, ("ann", "peer-1"), Duration::ZERO);
        let made = sample.made[&Kind::Video];
        assert_eq!((made.packets, made.estimate), (50, 300_000));
        assert_eq!(made.keyframes_wanted, 5, "of both who receive ann");
        assert_eq!(sample.delivered.len(), 1);
        let delivered = sample.delivered[&key];
        assert_eq!((delivered.packets, delivered.keyframe_requests), (40, 9));
        assert!(delivered.paused);
    }
}
