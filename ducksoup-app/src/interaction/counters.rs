// SPDX-License-Identifier: MPL-2.0

//! Reads a participant's counters, where GStreamer keeps them: `webrtcbin`'s statistics, the
//! mixer's, the frame keeper's. What is not there counts as nothing: each version of GStreamer tells
//! more than the one before.

use super::measures::{Arrived, RouteKey, Sample, Told};
use super::sdp::Kind;
use std::collections::BTreeMap;
use std::time::Duration;

/// Which streams are whose, by SSRC.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Streams {
    /// From the browser.
    pub incoming: BTreeMap<u32, Kind>,
    /// To the browser.
    pub outgoing: BTreeMap<u32, RouteKey>,
}

/// Reads `webrtcbin`'s statistics (signal `get-stats`).
#[must_use]
pub fn connection(stats: &gst::StructureRef, streams: &Streams) -> Sample {
    let mut sample = Sample::default();
    for stat in stats.iter().filter_map(|(_, value)| value.get::<gst::Structure>().ok()) {
        let Ok(ssrc) = stat.get::<u32>("ssrc") else {
            // The statistics begin with one that is nobody's, and has the time.
            if let Ok(milliseconds) = stat.get::<f64>("timestamp")
                && milliseconds >= 0.0
            {
                sample.at = Duration::from_secs_f64(milliseconds / 1000.0);
            }
            continue;
        };
        match stat.name().as_str() {
            "inbound-rtp" => {
                if let Some(kind) = streams.incoming.get(&ssrc) {
                    sample.arrived.insert(*kind, arrived(&stat));
                }
            }
            "outbound-rtp" => {
                if let Some(key) = streams.outgoing.get(&ssrc) {
                    let route = sample.delivered.entry(key.clone()).or_default();
                    route.keyframe_requests = count(&stat, "pli-count") + count(&stat, "fir-count");
                    route.nacks = count(&stat, "nack-count");
                }
            }
            "remote-inbound-rtp" => {
                if let Some(key) = streams.outgoing.get(&ssrc) {
                    sample.delivered.entry(key.clone()).or_default().told = Some(told(&stat));
                }
            }
            _ => {}
        }
    }
    sample
}

fn arrived(stat: &gst::StructureRef) -> Arrived {
    Arrived {
        packets: count(stat, "packets-received"),
        bytes: count(stat, "bytes-received"),
        lost: count(stat, "packets-lost"),
        late: count(stat, "packets-discarded"),
        duplicates: count(stat, "packets-duplicated"),
        repaired: count(stat, "packets-repaired"),
        nacks: count(stat, "nack-count"),
        keyframe_requests: count(stat, "pli-count") + count(stat, "fir-count"),
        jitter: milliseconds(stat, "jitter"),
    }
}

fn told(stat: &gst::StructureRef) -> Told {
    Told {
        lost: stat.get::<i32>("packets-lost").map_or(0, i64::from),
        fraction_lost: stat.get("fraction-lost").unwrap_or_default(),
        jitter: milliseconds(stat, "jitter"),
        rtt: milliseconds(stat, "round-trip-time"),
    }
}

/// Adds what the mixer counts of the participant `user`, whose bin is called `receiver`.
pub fn mixer(sample: &mut Sample, stats: &gst::StructureRef, user: &str, receiver: &str) {
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
        }
    }
}

/// Adds what the keeper of the frame rate counts (`framegrid`, `stats`).
pub fn grid(sample: &mut Sample, stats: &gst::StructureRef) {
    let made = sample.made.entry(Kind::Video).or_default();
    made.frames_in = count(stats, "in");
    made.frames_out = count(stats, "out");
    made.frames_repeated = count(stats, "duplicated");
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

/// A time that GStreamer tells in seconds.
fn milliseconds(structure: &gst::StructureRef, field: &str) -> f64 {
    structure.get::<f64>(field).map_or(0.0, |seconds| seconds * 1000.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stats(parts: impl IntoIterator<Item = gst::Structure>) -> gst::Structure {
        let mut stats = gst::Structure::new_empty("application/x-webrtc-stats");
        for (number, part) in parts.into_iter().enumerate() {
            stats.set(format!("part-{number}"), part);
        }
        stats
    }

    #[test]
    fn a_connection_is_read_by_the_ssrc_of_its_streams() {
        gst::init().expect("GStreamer starts");
        let everything = stats([
            gst::Structure::builder("peer-connection").field("timestamp", 1500.0).build(),
            gst::Structure::builder("inbound-rtp")
                .field("ssrc", 11u32)
                .field("packets-received", 100u64)
                .field("bytes-received", 9000u64)
                .field("packets-lost", 2u64)
                .field("pli-count", 3u32)
                .field("fir-count", 1u32)
                .field("jitter", 0.004)
                .build(),
            gst::Structure::builder("inbound-rtp").field("ssrc", 99u32).build(),
            gst::Structure::builder("outbound-rtp")
                .field("ssrc", 12u32)
                .field("pli-count", 7u32)
                .build(),
            gst::Structure::builder("remote-inbound-rtp")
                .field("ssrc", 12u32)
                .field("packets-lost", -1i32)
                .field("fraction-lost", 0.25)
                .field("round-trip-time", 0.02)
                .build(),
        ]);
        let streams = Streams {
            incoming: [(11, Kind::Video)].into(),
            outgoing: [(12, ("ben".to_owned(), Kind::Audio))].into(),
        };
        let sample = connection(&everything, &streams);
        assert_eq!(sample.at, Duration::from_millis(1500));
        assert_eq!(sample.arrived.len(), 1, "a stream that nobody knows is left out");
        let video = sample.arrived[&Kind::Video];
        assert_eq!((video.packets, video.bytes, video.lost), (100, 9000, 2));
        assert_eq!(video.keyframe_requests, 4);
        assert!((video.jitter - 4.0).abs() < 1e-9);
        let route = sample.delivered[&("ben".to_owned(), Kind::Audio)];
        assert_eq!(route.keyframe_requests, 7);
        let told = route.told.expect("a report");
        assert_eq!(told.lost, -1);
        assert!((told.fraction_lost - 0.25).abs() < 1e-9 && (told.rtt - 20.0).abs() < 1e-9);
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
                .field("keyframe-requests", requests)
                .build()
        };
        let array = |parts: Vec<gst::Structure>| gst::Array::new(parts);
        let stats = gst::Structure::builder("ducksoupmixer-stats")
            .field("sources", array(vec![source("ann", 50), source("ben", 60)]))
            .field(
                "routes",
                array(vec![
                    route("peer-1", "ben", 1),
                    route("peer-2", "ann", 2),
                    route("peer-3", "ann", 3),
                ]),
            )
            .build();
        let mut sample = Sample::default();
        mixer(&mut sample, &stats, "ann", "peer-1");
        let made = sample.made[&Kind::Video];
        assert_eq!((made.packets, made.estimate), (50, 300_000));
        assert_eq!(made.keyframes_wanted, 5, "of both who receive ann");
        assert_eq!(sample.delivered.len(), 1);
        assert_eq!(sample.delivered[&("ben".to_owned(), Kind::Video)].packets, 40);
    }
}
