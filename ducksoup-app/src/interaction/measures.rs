// SPDX-License-Identifier: MPL-2.0

//! What is measured of each participant, once a second: growing counters become figures of the
//! second that has passed. Pure; [`counters`](super::counters) reads the counters. The log, the
//! stats page and the plots all show these figures.
//!
//! | from → to | counters | figures |
//! |---|---|---|
//! | browser → server | [`Arrived`] | [`In`] |
//! | effect chain → mixer | [`Made`] | [`Out`] |
//! | another participant → browser | [`Delivered`] | [`Route`] |
//!
//! Bitrates count RTP payload from browsers, and whole RTP packets out of the chains and to browsers.

use super::sdp::Kind;
use serde::Serialize;
use std::collections::BTreeMap;
use std::time::Duration;

/// How often counters are read. Ours: clients report each second too (README, `logLevel`).
pub const PERIOD: Duration = Duration::from_secs(1);
/// Samples closer than this say nothing about a rate; ours.
const SHORTEST: Duration = Duration::from_millis(100);

/// What has come from a browser, of one track.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Arrived {
    /// RTP packets.
    pub packets: u64,
    /// Their payload.
    pub bytes: u64,
    /// Packets that the jitter buffer gave up.
    pub lost: u64,
    /// Packets that came after they had been given up.
    pub late: u64,
    /// Packets that came twice.
    pub duplicates: u64,
    /// Packets that came when they were asked for again.
    pub repaired: u64,
    /// Packets asked for again.
    pub nacks: u64,
    /// Keyframes asked of the browser: picture loss indications and full intra requests sent.
    pub keyframe_requests: u64,
    /// Interarrival jitter (RFC 3550), in ms.
    pub jitter: f64,
}

/// What has come out of a track's chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Made {
    /// RTP packets.
    pub packets: u64,
    /// Bytes of them.
    pub bytes: u64,
    /// Keyframes among them.
    pub keyframes: u64,
    /// Keyframes that the track's receivers asked for.
    pub keyframes_wanted: u64,
    /// Keyframes that the mixer asked for.
    pub keyframe_requests: u64,
    /// What the chain was told that its receivers can take, in bit/s; 0 when nothing.
    pub estimate: u32,
    /// Frames that came to the keeper of the frame rate, where there is one.
    pub frames_in: u64,
    /// Frames that it let pass or repeated.
    pub frames_out: u64,
    /// Frames that it repeated.
    pub frames_repeated: u64,
}

/// What has been sent to a browser of another participant's track (in a mirror, its own).
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Delivered {
    /// RTP packets.
    pub packets: u64,
    /// Bytes of them.
    pub bytes: u64,
    /// Packets dropped before the network: a full queue.
    pub drops: u64,
    /// It is held back just now: there is no room for it.
    pub paused: bool,
    /// Keyframes this browser asked for.
    pub keyframe_requests: u64,
    /// Packets this browser asked for again.
    pub nacks: u64,
    /// What the browser said of it last, in a receiver report.
    pub told: Option<Told>,
}

/// A receiver report (RFC 3550, 6.4.1).
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Told {
    /// Packets lost since the beginning; duplicates can make it less than none.
    pub lost: i64,
    /// The part that was lost since the report before, 0 to 1.
    pub fraction_lost: f64,
    /// Interarrival jitter, in ms.
    pub jitter: f64,
    /// To the browser and back, in ms, once the browser has had a sender report.
    pub rtt: Option<f64>,
}

/// Which of a participant's routes: whose track, sound or picture.
pub type RouteKey = (String, Kind);

/// All counters of one participant, read together.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Sample {
    /// When, on any clock that goes forward.
    pub at: Duration,
    /// What has come from the browser.
    pub arrived: BTreeMap<Kind, Arrived>,
    /// What has come out of its chains.
    pub made: BTreeMap<Kind, Made>,
    /// What it was sent.
    pub delivered: BTreeMap<RouteKey, Delivered>,
}

/// A second of a track between browser and server.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize)]
pub struct In {
    /// bit/s.
    pub bitrate: u64,
    /// RTP packets that came.
    pub packets: u64,
    /// Those that did not.
    pub lost: u64,
    /// Those that came too late.
    pub late: u64,
    /// Those that came twice.
    pub duplicates: u64,
    /// Those that came when asked for again.
    pub repaired: u64,
    /// Those asked for again.
    pub nacks: u64,
    /// Keyframes asked of the browser.
    pub keyframe_requests: u64,
    /// ms.
    pub jitter: f64,
}

/// A second of a track between its chain and the mixer.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize)]
pub struct Out {
    /// bit/s.
    pub bitrate: u64,
    /// RTP packets.
    pub packets: u64,
    /// Keyframes.
    pub keyframes: u64,
    /// Keyframes that the mixer asked for.
    pub keyframe_requests: u64,
    /// Keyframes that receivers asked for in vain: another request had just been made.
    pub keyframes_skipped: u64,
    /// What receivers can take, in bit/s; 0 when nobody has said.
    pub estimate: u32,
    /// Frames that came to the keeper of the frame rate.
    pub frames_in: u64,
    /// Frames that left it.
    pub frames_out: u64,
    /// Frames that it repeated.
    pub frames_repeated: u64,
}

/// A second of another participant's track on its way to this browser.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Route {
    /// Whose track.
    pub source: String,
    /// `audio` or `video`.
    pub kind: &'static str,
    /// bit/s.
    pub bitrate: u64,
    /// RTP packets sent.
    pub packets: u64,
    /// Packets dropped before the network.
    pub drops: u64,
    /// It is held back at the end of the second: the connection has no room for it.
    pub paused: bool,
    /// Keyframes the browser asked for.
    pub keyframe_requests: u64,
    /// Packets the browser asked for again.
    pub nacks: u64,
    /// Packets that the browser newly reported lost.
    pub lost: u64,
    /// The part lost, 0 to 1, by its latest report.
    pub fraction_lost: f64,
    /// ms, by its latest report.
    pub jitter: f64,
    /// Round trip in ms, by its latest report; absent before one.
    pub rtt: Option<f64>,
}

/// A participant's second.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct Figures {
    /// What came from the browser, by `audio` and `video`.
    #[serde(rename = "in")]
    pub incoming: BTreeMap<&'static str, In>,
    /// What came out of its chains, by `audio` and `video`.
    #[serde(rename = "out")]
    pub outgoing: BTreeMap<&'static str, Out>,
    /// What it was sent.
    pub routes: Vec<Route>,
    /// What its connection can take of all that, in bit/s; absent before anything is known.
    pub estimate: Option<u32>,
    /// What the browser is told that it may send, in bit/s; absent where it decides alone.
    pub limit: Option<u32>,
}

/// Remembers one participant's latest counters.
#[derive(Debug, Default)]
pub struct Measures {
    before: Option<Sample>,
    /// Requests for keyframes that were neither made nor told of as skipped, by track.
    open_requests: BTreeMap<Kind, u64>,
}

impl Measures {
    /// The figures since the sample before; none from the first one, nor when hardly any time has
    /// passed.
    pub fn take(&mut self, sample: Sample) -> Option<Figures> {
        let Some(before) = &self.before else {
            self.before = Some(sample);
            return None;
        };
        let elapsed = sample.at.saturating_sub(before.at);
        if elapsed < SHORTEST {
            return None;
        }
        let mut figures = Figures::default();
        for (kind, now) in &sample.arrived {
            let then = before.arrived.get(kind).copied().unwrap_or_default();
            figures.incoming.insert(kind.name(), arrived(&then, now, elapsed));
        }
        for (kind, now) in &sample.made {
            let then = before.made.get(kind).copied().unwrap_or_default();
            let open = self.open_requests.entry(*kind).or_default();
            figures.outgoing.insert(kind.name(), made(&then, now, elapsed, open));
        }
        for (key, now) in &sample.delivered {
            let then = before.delivered.get(key).copied().unwrap_or_default();
            figures.routes.push(delivered(key, &then, now, elapsed));
        }
        self.before = Some(sample);
        Some(figures)
    }
}

/// How much a counter has grown. One that went back has begun anew: a browser that changes its
/// SSRC is another source.
fn grown(then: u64, now: u64) -> u64 {
    now.checked_sub(then).unwrap_or(now)
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss)]
fn bitrate(then: u64, now: u64, elapsed: Duration) -> u64 {
    // Bytes of a second are far below 2^52.
    (grown(then, now) as f64 * 8.0 / elapsed.as_secs_f64()).round() as u64
}

fn arrived(then: &Arrived, now: &Arrived, elapsed: Duration) -> In {
    In {
        bitrate: bitrate(then.bytes, now.bytes, elapsed),
        packets: grown(then.packets, now.packets),
        lost: grown(then.lost, now.lost),
        late: grown(then.late, now.late),
        duplicates: grown(then.duplicates, now.duplicates),
        repaired: grown(then.repaired, now.repaired),
        nacks: grown(then.nacks, now.nacks),
        keyframe_requests: grown(then.keyframe_requests, now.keyframe_requests),
        jitter: now.jitter,
    }
}

/// `open` holds what was wanted and not asked for yet. A request may be asked for later than it was
/// wanted, when the mixer's window is over, so what is open counts as skipped only when a second has
/// passed in which nothing was asked for any more.
fn made(then: &Made, now: &Made, elapsed: Duration, open: &mut u64) -> Out {
    // A receiver who leaves takes its count along: that second's wishes are not counted.
    let wanted = now.keyframes_wanted.saturating_sub(then.keyframes_wanted);
    let requests = grown(then.keyframe_requests, now.keyframe_requests);
    *open = open.saturating_add(wanted).saturating_sub(requests);
    let skipped = if wanted == 0 && requests == 0 { std::mem::take(open) } else { 0 };
    Out {
        bitrate: bitrate(then.bytes, now.bytes, elapsed),
        packets: grown(then.packets, now.packets),
        keyframes: grown(then.keyframes, now.keyframes),
        keyframe_requests: requests,
        keyframes_skipped: skipped,
        estimate: now.estimate,
        frames_in: grown(then.frames_in, now.frames_in),
        frames_out: grown(then.frames_out, now.frames_out),
        frames_repeated: grown(then.frames_repeated, now.frames_repeated),
    }
}

fn delivered(key: &RouteKey, then: &Delivered, now: &Delivered, elapsed: Duration) -> Route {
    let (source, kind) = key;
    let lost_before = then.told.map_or(0, |told| told.lost);
    let lost = now.told.map_or(0, |told| told.lost).saturating_sub(lost_before);
    Route {
        source: source.clone(),
        kind: kind.name(),
        bitrate: bitrate(then.bytes, now.bytes, elapsed),
        packets: grown(then.packets, now.packets),
        drops: grown(then.drops, now.drops),
        paused: now.paused,
        keyframe_requests: grown(then.keyframe_requests, now.keyframe_requests),
        nacks: grown(then.nacks, now.nacks),
        lost: u64::try_from(lost).unwrap_or(0),
        fraction_lost: now.told.map_or(0.0, |told| told.fraction_lost),
        jitter: now.told.map_or(0.0, |told| told.jitter),
        rtt: now.told.and_then(|told| told.rtt),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn with_arrived(at: Duration, arrived: Arrived) -> Sample {
        Sample { at, arrived: [(Kind::Audio, arrived)].into(), ..Sample::default() }
    }

    fn with_made(at: Duration, made: Made) -> Sample {
        Sample { at, made: [(Kind::Video, made)].into(), ..Sample::default() }
    }

    fn with_route(at: Duration, delivered: Delivered) -> Sample {
        let key = ("ann".to_owned(), Kind::Video);
        Sample { at, delivered: [(key, delivered)].into(), ..Sample::default() }
    }

    #[test]
    fn the_first_sample_says_nothing_yet() {
        assert_eq!(Measures::default().take(Sample::default()), None);
    }

    #[test]
    fn figures_are_what_was_added_at_the_rate_of_the_time_that_passed() {
        let mut measures = Measures::default();
        let first = Arrived { packets: 100, bytes: 10_000, lost: 3, ..Arrived::default() };
        assert_eq!(measures.take(with_arrived(SECOND, first)), None);
        let second =
            Arrived { packets: 200, bytes: 14_000, lost: 5, jitter: 2.5, ..Arrived::default() };
        let figures = measures.take(with_arrived(3 * SECOND, second)).expect("two samples");
        let audio = figures.incoming["audio"];
        assert_eq!((audio.bitrate, audio.packets, audio.lost), (16_000, 100, 2));
        assert!((audio.jitter - 2.5).abs() < f64::EPSILON, "a gauge is taken as it is");
    }

    #[test]
    fn a_counter_that_begins_anew_is_counted_from_nothing() {
        let mut measures = Measures::default();
        let old = Arrived { packets: 1000, bytes: 90_000, ..Arrived::default() };
        measures.take(with_arrived(SECOND, old));
        let new = Arrived { packets: 10, bytes: 900, ..Arrived::default() };
        let figures = measures.take(with_arrived(2 * SECOND, new)).expect("two samples");
        assert_eq!(figures.incoming["audio"].packets, 10);
        assert_eq!(figures.incoming["audio"].bitrate, 7200);
    }

    #[test]
    fn a_track_that_appears_is_counted_from_nothing_and_one_that_goes_is_left_out() {
        let mut measures = Measures::default();
        measures.take(Sample { at: SECOND, ..Sample::default() });
        let new = Arrived { packets: 10, ..Arrived::default() };
        let figures = measures.take(with_arrived(2 * SECOND, new)).expect("two samples");
        assert_eq!(figures.incoming["audio"].packets, 10);
        let none = Sample { at: 3 * SECOND, ..Sample::default() };
        assert!(measures.take(none).expect("three samples").incoming.is_empty());
    }

    #[test]
    fn samples_at_the_same_time_are_one() {
        let mut measures = Measures::default();
        let made = |packets| Made { packets, ..Made::default() };
        measures.take(with_made(SECOND, made(0)));
        assert_eq!(measures.take(with_made(SECOND, made(5))), None);
        let figures = measures.take(with_made(2 * SECOND, made(8))).expect("a second later");
        assert_eq!(figures.outgoing["video"].packets, 8, "nothing is lost");
    }

    #[test]
    fn a_keyframe_wanted_while_one_is_asked_for_is_skipped_unless_it_is_asked_for_later() {
        let mut measures = Measures::default();
        let mut at = Duration::ZERO;
        let mut step = |wanted, requests| {
            at += SECOND;
            let made =
                Made { keyframes_wanted: wanted, keyframe_requests: requests, ..Made::default() };
            measures.take(with_made(at, made)).map(|figures| figures.outgoing["video"])
        };
        assert_eq!(step(0, 0), None);
        let out = [step(5, 1), step(5, 2), step(5, 2), step(5, 2)];
        let skipped: Vec<_> = out.iter().flatten().map(|out| out.keyframes_skipped).collect();
        assert_eq!(skipped, [0, 0, 3, 0], "five wanted, two asked for, told once");
    }

    #[test]
    fn what_a_receiver_reports_lost_is_the_difference_of_its_reports() {
        let mut measures = Measures::default();
        let told = |lost| Delivered {
            told: Some(Told { lost, fraction_lost: 0.1, jitter: 1.0, rtt: Some(20.0) }),
            ..Delivered::default()
        };
        measures.take(with_route(SECOND, Delivered::default()));
        let lost: Vec<_> = [(2, told(7)), (3, told(7)), (4, told(6)), (5, told(9))]
            .into_iter()
            .filter_map(|(second, delivered)| measures.take(with_route(second * SECOND, delivered)))
            .map(|figures| (figures.routes[0].lost, figures.routes[0].rtt))
            .collect();
        let rtt = Some(20.0);
        assert_eq!(lost, [(7, rtt), (0, rtt), (0, rtt), (3, rtt)]);
    }

    #[test]
    fn figures_are_written_with_their_names() {
        let mut measures = Measures::default();
        measures.take(Sample::default());
        let figures = measures.take(with_route(SECOND, Delivered::default())).expect("figures");
        let json = serde_json::to_value(figures).expect("JSON");
        assert_eq!(json["routes"][0]["source"], "ann");
        assert_eq!(json["routes"][0]["kind"], "video");
        assert!(json["routes"][0]["rtt"].is_null());
        assert!(json["in"].is_object() && json["out"].is_object());
    }
}
