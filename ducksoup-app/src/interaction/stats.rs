// SPDX-License-Identifier: MPL-2.0

//! From what the elements count to the figures of the stats page, once a second. Pure: counters
//! (structures as JSON) and the time in, figures out.
//!
//! | figure | from |
//! |---|---|
//! | what comes from a browser: bit/s, packets lost, jitter | `webrtcbin`'s inbound statistics |
//! | what goes to the others of it: bit/s, and what the encoder is told | `ducksoupmixer`'s sources, `bitratecontroller` |
//! | what a browser gets: bit/s, lost here, lost on the way | `ducksoupmixer`'s routes, `webrtcbin`'s remote inbound statistics |
//! | round trip | `webrtcbin`'s remote inbound statistics (RTCP receiver reports) |
//! | pictures repeated and dropped | `framegrid` |
//! | bytes on disk, units lost before it | `experimentrecorder` |
//!
//! `webrtcbin` 1.22 calls every stream of a bundle by the kind and codec of the last one, so streams are known by
//! their SSRC alone.

use super::sdp::Kind;
use ducksoup_signaller::frame::Connection;
use ducksoup_signaller::protocol::{Identifier, JoinOptions};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::time::Duration;

/// Between two sets of figures (the README's "polled every second").
const PERIOD: Duration = Duration::from_secs(1);

/// A connected participant, and what their elements count.
#[derive(Debug, Clone)]
pub struct Participant<'a> {
    /// Their socket.
    pub connection: Connection,
    /// How often they have connected.
    pub count: u32,
    /// What they asked for.
    pub options: &'a JoinOptions,
    /// Their tracks.
    pub tracks: Vec<Track>,
    /// What they are sent of others.
    pub routes: Vec<Route>,
    /// The recorder's counters by pad; empty when there is none.
    pub recorded: Map<String, Value>,
}

/// One of a participant's tracks.
#[derive(Debug, Clone)]
pub struct Track {
    /// Sound or picture.
    pub kind: Kind,
    /// What the encoder is told now, in bit/s.
    pub target: Option<u32>,
    /// The counters of `framegrid`; empty when there is none.
    pub frames: Map<String, Value>,
}

/// A track of another participant on its way to this one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// Whose.
    pub source: Identifier,
    /// Sound or picture.
    pub kind: Kind,
    /// As this participant's browser knows it.
    pub ssrc: u32,
}

/// A counter, and when it stood there.
#[derive(Debug, Clone, Copy)]
struct Count {
    now: Duration,
    at: u64,
}

/// What is remembered from second to second.
#[derive(Debug, Default)]
pub struct Stats {
    due: Duration,
    /// Counters by what they count.
    counts: BTreeMap<String, Count>,
    /// The latest words of each connection, by SSRC.
    links: BTreeMap<Connection, BTreeMap<u32, Link>>,
    /// The SSRC of each browser's tracks.
    tracks: BTreeMap<(Connection, Kind), u32>,
    /// Values that effects have reached, by user and `name.property`.
    reached: BTreeMap<Identifier, BTreeMap<String, String>>,
}

/// What a connection says of one stream.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct Link {
    /// Received from the browser.
    bytes: u64,
    lost: u64,
    /// In s.
    jitter: f64,
    /// Sent to the browser: the share that it says it lost lately, 0 to 1.
    lost_by_browser: Option<f64>,
    /// In s.
    round_trip: Option<f64>,
}

impl Stats {
    /// When [`Stats::is_due`] will say yes.
    #[must_use]
    pub fn next_timeout(&self) -> Duration {
        self.due
    }

    /// Whether figures are due; once a period.
    pub fn is_due(&mut self, now: Duration) -> bool {
        let due = self.due <= now;
        if due {
            self.due = now + PERIOD;
        }
        due
    }

    /// Takes what a connection says (the reply to `webrtcbin`'s `get-stats`).
    pub fn heard(&mut self, connection: Connection, statistics: &Map<String, Value>) {
        self.links.insert(connection, links(statistics));
    }

    /// Notes under which SSRC a browser sends a track.
    pub fn track(&mut self, connection: Connection, kind: Kind, ssrc: u32) {
        self.tracks.insert((connection, kind), ssrc);
    }

    /// Notes a value that an effect has reached.
    pub fn reached(&mut self, user: &Identifier, target: String, value: String) {
        self.reached.entry(user.clone()).or_default().insert(target, value);
    }

    /// The figures of the time since the last ones; `mixed` is what the mixer counts.
    pub fn figures(
        &mut self,
        now: Duration,
        mixed: &Map<String, Value>,
        participants: &[Participant<'_>],
    ) -> Map<String, Value> {
        let here = |connection: Connection| {
            participants.iter().any(|participant| participant.connection == connection)
        };
        self.links.retain(|connection, _| here(*connection));
        self.tracks.retain(|(connection, _), _| here(*connection));
        // What is not counted again is forgotten.
        let before = std::mem::take(&mut self.counts);
        let mut rates = Rates { now, before, counts: BTreeMap::new() };
        let participants: Vec<_> = participants
            .iter()
            .map(|participant| self.participant(participant, mixed, &mut rates))
            .collect();
        self.counts = rates.counts;
        Map::from_iter([("participants".to_owned(), Value::Array(participants))])
    }

    fn participant(
        &self,
        participant: &Participant<'_>,
        mixed: &Map<String, Value>,
        rates: &mut Rates,
    ) -> Value {
        let Participant { connection, count, options, tracks, routes: _, recorded } = participant;
        let links = self.links.get(connection);
        let round_trip = links.iter().flat_map(|links| links.values()).find_map(|l| l.round_trip);
        let tracks: Vec<_> = tracks
            .iter()
            .map(|track| {
                let ssrc = self.tracks.get(&(*connection, track.kind));
                let link = ssrc.and_then(|ssrc| links?.get(ssrc)).copied();
                sent(*connection, track, link, &options.user, mixed, rates)
            })
            .collect();
        json!({
            "user": options.user,
            "connections": count,
            "roundTrip": round_trip.map(milliseconds),
            "recordingMode": options.recording_mode,
            "videoFormat": (!options.audio_only).then_some(options.video_format),
            "audioFx": options.audio_fx,
            "videoFx": options.video_fx,
            "reached": self.reached.get(&options.user),
            "tracks": tracks,
            "receives": self.received(participant, mixed, rates),
            "recorded": recording(recorded),
        })
    }

    /// What a participant gets of the others.
    fn received(
        &self,
        participant: &Participant<'_>,
        mixed: &Map<String, Value>,
        rates: &mut Rates,
    ) -> Vec<Value> {
        let receiver = super::peer::bin_name(participant.connection);
        let links = self.links.get(&participant.connection);
        let mut received = Vec::new();
        for Route { source, kind, ssrc } in &participant.routes {
            let route = objects(mixed, "routes").find(|route| {
                text(route, "receiver") == receiver
                    && text(route, "source") == source.as_str()
                    && text(route, "kind") == kind.name()
            });
            let key = format!("{receiver} {ssrc}");
            received.push(json!({
                "from": source,
                "kind": kind.name(),
                "bitrate": route.and_then(|route| rates.bits(key, number(route, "bytes"))),
                "dropped": route.map(|route| number(route, "drops")),
                "lost": links.and_then(|links| links.get(ssrc)?.lost_by_browser),
            }));
        }
        received
    }
}

/// What comes from a participant, and what becomes of it.
fn sent(
    connection: Connection,
    track: &Track,
    link: Option<Link>,
    user: &Identifier,
    mixed: &Map<String, Value>,
    rates: &mut Rates,
) -> Value {
    let kind = track.kind.name();
    let key = |what| format!("{} {kind} {what}", connection.0);
    // Of two sources of one user the newer one counts, as in the mixer.
    let source = objects(mixed, "sources")
        .filter(|source| {
            text(source, "participant") == user.as_str() && text(source, "kind") == kind
        })
        .last();
    let out = source.map(|source| number(source, "bytes"));
    json!({
        "kind": kind,
        "in": link.and_then(|link| rates.bits(key("in"), link.bytes)),
        "lost": link.map(|link| link.lost),
        "jitter": link.map(|link| milliseconds(link.jitter)),
        "out": out.and_then(|bytes| rates.bits(key("out"), bytes)),
        "target": track.target,
        "keyframeRequests": source.map(|source| number(source, "keyframe-requests")),
        "framesRepeated": track.frames.get("duplicated"),
        "framesDropped": track.frames.get("dropped"),
        "framerate": track.frames.get("in").and_then(Value::as_u64)
            .and_then(|frames| rates.rate(key("frames"), frames)),
    })
}

/// What is on disk, and what did not get there.
fn recording(recorded: &Map<String, Value>) -> Option<Value> {
    if recorded.is_empty() {
        return None;
    }
    let sum = |name| recorded.values().filter_map(|pad| pad.get(name)?.as_u64()).sum::<u64>();
    Some(json!({"bytes": sum("bytes"), "dropped": sum("dropped")}))
}

/// Counters become rates by what they were a second ago.
struct Rates {
    now: Duration,
    before: BTreeMap<String, Count>,
    counts: BTreeMap<String, Count>,
}

impl Rates {
    /// How fast a counter rises, a second; nothing the first time, or when it began anew.
    #[allow(clippy::cast_precision_loss)] // bytes of an interaction are below 2^53
    fn rate(&mut self, key: String, at: u64) -> Option<f64> {
        let before = self.before.get(&key).copied();
        self.counts.insert(key, Count { now: self.now, at });
        let before = before?;
        let seconds = self.now.checked_sub(before.now)?.as_secs_f64();
        let risen = at.checked_sub(before.at)?;
        (seconds > 0.0).then(|| (risen as f64 / seconds * 10.0).round() / 10.0)
    }

    /// The same for bytes, in bit/s.
    fn bits(&mut self, key: String, bytes: u64) -> Option<f64> {
        self.rate(key, bytes.saturating_mul(8)).map(f64::round)
    }
}

/// Reads the reply to `get-stats`: one structure for each stream, whose `type` says what it tells of.
fn links(statistics: &Map<String, Value>) -> BTreeMap<u32, Link> {
    let mut links: BTreeMap<u32, Link> = BTreeMap::new();
    for stream in statistics.values().filter_map(Value::as_object) {
        let Ok(ssrc) = u32::try_from(number(stream, "ssrc")) else {
            continue;
        };
        match text(stream, "type") {
            "inbound-rtp" => {
                let link = links.entry(ssrc).or_default();
                link.bytes = number(stream, "bytes-received");
                link.lost = number(stream, "packets-lost");
                link.jitter = float(stream, "jitter").unwrap_or_default();
            }
            "remote-inbound-rtp" => {
                let link = links.entry(ssrc).or_default();
                link.lost_by_browser = float(stream, "fraction-lost");
                // 0 before the first one is measured.
                link.round_trip = float(stream, "round-trip-time").filter(|trip| *trip > 0.0);
            }
            _ => {}
        }
    }
    links
}

fn objects<'a>(
    map: &'a Map<String, Value>,
    name: &str,
) -> impl Iterator<Item = &'a Map<String, Value>> {
    map.get(name).and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_object)
}

fn text<'a>(map: &'a Map<String, Value>, name: &str) -> &'a str {
    map.get(name).and_then(Value::as_str).unwrap_or_default()
}

/// A counter; one below zero (packets that came twice) is zero.
fn number(map: &Map<String, Value>, name: &str) -> u64 {
    map.get(name).and_then(Value::as_u64).unwrap_or_default()
}

fn float(map: &Map<String, Value>, name: &str) -> Option<f64> {
    map.get(name).and_then(Value::as_f64)
}

/// In ms, to a tenth.
fn milliseconds(seconds: f64) -> f64 {
    (seconds * 10_000.0).round() / 10.0
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANN: Connection = Connection(1);

    fn object(value: &Value) -> Map<String, Value> {
        value.as_object().expect("an object").clone()
    }

    fn options(user: &str) -> JoinOptions {
        let join = object(&json!({"interactionName": "i", "userId": user, "audioFx": "volume"}));
        JoinOptions::from_json(&join).expect("valid")
    }

    /// One participant who sends sound and gets Ben's picture.
    fn participant(options: &JoinOptions) -> Participant<'_> {
        Participant {
            connection: ANN,
            count: 2,
            options,
            tracks: vec![Track { kind: Kind::Audio, target: Some(64_000), frames: Map::new() }],
            routes: vec![Route {
                source: Identifier::new("ben").expect("a name"),
                kind: Kind::Video,
                ssrc: 20,
            }],
            recorded: object(&json!({
                "dry_audio": {"bytes": 1000, "dropped": 1}, "wet_audio": {"bytes": 500, "dropped": 0},
            })),
        }
    }

    /// What the mixer counts when that many bytes have passed each way.
    fn mixed(bytes: u64) -> Map<String, Value> {
        object(&json!({
            "sources": [
                {"participant": "ann", "kind": "audio", "bytes": 0, "keyframe-requests": 9},
                {"participant": "ann", "kind": "audio", "bytes": bytes, "keyframe-requests": 0},
                {"participant": "ben", "kind": "video", "bytes": 7, "keyframe-requests": 3},
            ],
            "routes": [
                {"receiver": "peer-1", "source": "ben", "kind": "video", "bytes": bytes, "drops": 4},
                {"receiver": "peer-2", "source": "ann", "kind": "audio", "bytes": 1, "drops": 0},
            ],
        }))
    }

    /// As webrtcbin 1.22 tells it: every stream of the bundle is called a video.
    fn said(bytes: u64) -> Map<String, Value> {
        object(&json!({
            "transport-stats": {"type": "transport"},
            "rtp-inbound-stream-stats_10": {
                "type": "inbound-rtp", "ssrc": 10, "kind": "video", "bytes-received": bytes,
                "packets-lost": -2, "jitter": 0.00296,
            },
            "rtp-inbound-stream-stats_11": {
                "type": "inbound-rtp", "ssrc": 11, "kind": "video", "bytes-received": 99, "packets-lost": 50,
            },
            "rtp-remote-inbound-stream-stats_20": {
                "type": "remote-inbound-rtp", "ssrc": 20, "kind": "video", "fraction-lost": 0.25,
                "round-trip-time": 0.0431,
            },
        }))
    }

    #[test]
    fn counters_become_figures_of_the_last_second() {
        let options = options("ann");
        let mut stats = Stats::default();
        stats.track(ANN, Kind::Audio, 10);
        stats.heard(ANN, &said(1000));
        let first = stats.figures(Duration::from_secs(1), &mixed(2000), &[participant(&options)]);
        let first = &first["participants"][0];
        assert_eq!(first["tracks"][0]["in"], Value::Null, "nothing to compare with");
        stats.heard(ANN, &said(3000));
        let user = Identifier::new("ann").expect("a name");
        stats.reached(&user, "voice.pitch".into(), "0.8".into());
        let second = stats.figures(Duration::from_secs(3), &mixed(6000), &[participant(&options)]);
        assert_eq!(
            second["participants"],
            json!([{
                "user": "ann", "connections": 2, "roundTrip": 43.1, "recordingMode": "forced",
                "videoFormat": "H264", "audioFx": "volume", "videoFx": null,
                "reached": {"voice.pitch": "0.8"},
                "tracks": [{
                    "kind": "audio", "in": 8000.0, "lost": 0, "jitter": 3.0, "out": 16000.0,
                    "target": 64000, "keyframeRequests": 0, "framesRepeated": null,
                    "framesDropped": null, "framerate": null,
                }],
                "receives": [
                    {"from": "ben", "kind": "video", "bitrate": 16000.0, "dropped": 4, "lost": 0.25},
                ],
                "recorded": {"bytes": 1500, "dropped": 1},
            }])
        );
    }

    #[test]
    fn a_counter_that_begins_anew_has_no_rate_and_then_has_one_again() {
        let options = options("ann");
        let mut stats = Stats::default();
        let mut out = |seconds, bytes| {
            let now = Duration::from_secs(seconds);
            let figures = stats.figures(now, &mixed(bytes), &[participant(&options)]);
            figures["participants"][0]["tracks"][0]["out"].clone()
        };
        assert_eq!(out(1, 5000), Value::Null);
        assert_eq!(out(2, 6000), json!(8000.0));
        assert_eq!(out(2, 6000), Value::Null, "no time has passed");
        assert_eq!(out(3, 10), Value::Null);
        assert_eq!(out(4, 20), json!(80.0));
    }

    #[test]
    fn who_left_is_forgotten_and_a_stage_alone_has_nobody_to_tell_of() {
        let options = options("ann");
        let mut stats = Stats::default();
        stats.track(ANN, Kind::Audio, 10);
        stats.heard(ANN, &said(1));
        stats.figures(Duration::from_secs(1), &mixed(1), &[participant(&options)]);
        let nobody = stats.figures(Duration::from_secs(2), &Map::new(), &[]);
        assert_eq!(nobody["participants"], json!([]));
        assert!(stats.links.is_empty() && stats.tracks.is_empty() && stats.counts.is_empty());
    }

    #[test]
    fn figures_are_due_once_a_second() {
        let mut stats = Stats::default();
        let due = [0, 500, 999, 1000, 1001, 5000, 5999, 6000]
            .map(|now| stats.is_due(Duration::from_millis(now)));
        assert_eq!(due, [true, false, false, true, false, true, false, true]);
    }
}
