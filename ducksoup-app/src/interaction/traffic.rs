// SPDX-License-Identifier: MPL-2.0

//! What control packets tell of a connection's streams: losses, and keyframes asked for in either
//! direction. Pure.

use super::counters::Streams;
use super::input::AskedBy;
use super::measures::{Delivered, RouteKey};
use super::rtcp::{self, Block, Compound, Direction, Packet};
use super::sdp::{Codec, Kind};
use std::collections::BTreeMap;
use std::time::SystemTime;

/// The part of packets, 0 to 1, whose loss is told. Ours: below it repair and concealment hide most.
const LOSS_THRESHOLD: f64 = 0.05;

/// Something worth telling.
#[derive(Debug, Clone, PartialEq)]
pub enum Finding {
    /// The browser reports that it loses much of a stream.
    Loss {
        /// Which.
        route: RouteKey,
        /// Packets newly lost.
        lost: i64,
        /// The part of them, 0 to 1.
        fraction: f64,
    },
    /// The browser was asked for a keyframe.
    KeyframeAsked {
        /// Who wanted it first, where that is known.
        by: Option<AskedBy>,
        /// How: `PLI` or `FIR`.
        packet: &'static str,
        /// How many others wanted it too.
        others: usize,
    },
}

/// A stream to the browser.
#[derive(Debug)]
struct Outgoing {
    route: RouteKey,
    clock_rate: u32,
    delivered: Delivered,
}

/// See the module.
#[derive(Debug, Default)]
pub struct Traffic {
    incoming: BTreeMap<u32, Kind>,
    outgoing: BTreeMap<u32, Outgoing>,
    /// Who wants a keyframe that was not asked for yet.
    wanted: Vec<AskedBy>,
    /// See [`Traffic::round_trip`].
    round_trip: Option<f64>,
}

impl Traffic {
    /// A stream of the browser; a later one of its kind takes its place.
    pub fn comes(&mut self, kind: Kind, ssrc: u32) {
        self.incoming.retain(|_, other| *other != kind);
        self.incoming.insert(ssrc, kind);
    }

    /// A stream to the browser.
    pub fn goes(&mut self, ssrc: u32, source: &str, codec: Codec) {
        let outgoing = Outgoing {
            route: (source.to_owned(), codec.kind()),
            clock_rate: codec.clock_rate(),
            delivered: Delivered::default(),
        };
        self.outgoing.insert(ssrc, outgoing);
    }

    /// Whether this is a stream to the browser.
    #[must_use]
    pub fn sends(&self, ssrc: u32) -> bool {
        self.outgoing.contains_key(&ssrc)
    }

    /// Whether a control packet of the browser asks for packets of a picture.
    #[must_use]
    pub fn lacks_pictures(&self, compound: &Compound) -> bool {
        compound.direction == Direction::Received
            && rtcp::read(&compound.bytes).iter().any(|packet| match packet {
                Packet::Nack { ssrc, .. } => {
                    self.outgoing.get(ssrc).is_some_and(|stream| stream.route.1 == Kind::Video)
                }
                _ => false,
            })
    }

    /// The round trip that the browser told last, in ms.
    #[must_use]
    pub fn round_trip(&self) -> Option<f64> {
        self.round_trip
    }

    /// Somebody wants a keyframe of the browser.
    pub fn wants_keyframe(&mut self, by: AskedBy) {
        self.wanted.push(by);
    }

    /// A control packet has passed.
    pub fn passes(&mut self, compound: &Compound) -> Vec<Finding> {
        let mut findings = Vec::new();
        for packet in rtcp::read(&compound.bytes) {
            let finding = match compound.direction {
                Direction::Received => {
                    findings.extend(self.received(&packet, compound.at));
                    continue;
                }
                Direction::Sent => self.sent(&packet),
            };
            findings.extend(finding);
        }
        findings
    }

    fn received(&mut self, packet: &Packet, at: SystemTime) -> Vec<Finding> {
        match packet {
            Packet::SenderReport { reports, .. } | Packet::ReceiverReport { reports, .. } => {
                return reports.iter().filter_map(|block| self.reported(block, at)).collect();
            }
            Packet::Pli { ssrc } | Packet::Fir { ssrc } => {
                if let Some(stream) = self.outgoing.get_mut(ssrc) {
                    stream.delivered.keyframe_requests += 1;
                }
            }
            Packet::Nack { ssrc, count } => {
                if let Some(stream) = self.outgoing.get_mut(ssrc) {
                    stream.delivered.nacks += u64::from(*count);
                }
            }
            _ => {}
        }
        Vec::new()
    }

    fn reported(&mut self, block: &Block, at: SystemTime) -> Option<Finding> {
        let stream = self.outgoing.get_mut(&block.ssrc)?;
        let told = block.told(stream.clock_rate, at);
        self.round_trip = told.rtt.or(self.round_trip);
        let before = stream.delivered.told.replace(told).map_or(0, |told| told.lost);
        let lost = told.lost.saturating_sub(before);
        let fraction = told.fraction_lost;
        let much = lost > 0 && fraction > LOSS_THRESHOLD;
        much.then(|| Finding::Loss { route: stream.route.clone(), lost, fraction })
    }

    fn sent(&mut self, packet: &Packet) -> Option<Finding> {
        let (ssrc, packet) = match packet {
            Packet::Pli { ssrc } => (ssrc, "PLI"),
            Packet::Fir { ssrc } => (ssrc, "FIR"),
            _ => return None,
        };
        self.incoming.get(ssrc)?;
        let wanted = std::mem::take(&mut self.wanted);
        let others = wanted.len().saturating_sub(1);
        Some(Finding::KeyframeAsked { by: wanted.first().copied(), packet, others })
    }

    /// What is known of the streams.
    #[must_use]
    pub fn streams(&self) -> Streams {
        let outgoing = self.outgoing.values();
        Streams {
            incoming: self.incoming.clone(),
            outgoing: outgoing.map(|stream| (stream.route.clone(), stream.delivered)).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn compound(direction: Direction, packets: &[(u8, u8, &[u32])]) -> Compound {
        let mut bytes = Vec::new();
        for (number, format, words) in packets {
            bytes.extend([0x80 | format, *number]);
            bytes.extend(u16::try_from(words.len()).expect("short").to_be_bytes());
            bytes.extend(words.iter().flat_map(|word| word.to_be_bytes()));
        }
        Compound { direction, at: SystemTime::UNIX_EPOCH, bytes }
    }

    fn traffic() -> Traffic {
        let mut traffic = Traffic::default();
        traffic.comes(Kind::Video, 5);
        traffic.goes(7, "ben", Codec::Vp8);
        traffic
    }

    fn report(fraction: u32, lost: u32) -> Compound {
        let words = [1, 7, fraction << 24 | lost, 0, 0, 0, 0];
        compound(Direction::Received, &[(201, 1, &words)])
    }

    #[test]
    fn a_loss_above_the_threshold_is_told_with_what_is_new() {
        let mut traffic = traffic();
        let route = ("ben".to_owned(), Kind::Video);
        assert_eq!(
            traffic.passes(&report(13, 2)),
            [Finding::Loss { route: route.clone(), lost: 2, fraction: 13.0 / 256.0 }]
        );
        assert_eq!(traffic.passes(&report(12, 4)), [], "one in twenty is not above it");
        assert_eq!(traffic.passes(&report(64, 4)), [], "nothing is new");
        assert_eq!(traffic.passes(&report(64, 9)).len(), 1);
        let told = traffic.streams().outgoing[&route].told.expect("a report");
        assert_eq!(told.lost, 9);
    }

    #[test]
    fn requests_of_the_browser_are_counted_for_the_stream_they_are_about() {
        let mut traffic = traffic();
        let asks = compound(
            Direction::Received,
            &[(206, 1, &[1, 7]), (206, 4, &[1, 0, 7, 0]), (206, 1, &[1, 99]), (205, 1, &[1, 7, 3])],
        );
        assert_eq!(traffic.passes(&asks), []);
        let delivered = traffic.streams().outgoing[&("ben".to_owned(), Kind::Video)];
        assert_eq!((delivered.keyframe_requests, delivered.nacks), (2, 3));
    }

    #[test]
    fn packets_of_pictures_are_asked_for_by_the_browser_alone() {
        let mut traffic = traffic();
        traffic.goes(8, "ben", Codec::Opus);
        // SSRC, direction → whether a picture lacks packets
        for (ssrc, direction, lacks) in [
            (7, Direction::Received, true),
            (7, Direction::Sent, false),
            (8, Direction::Received, false),
            (9, Direction::Received, false),
        ] {
            let asks = compound(direction, &[(205, 1, &[1, ssrc, 0x0003_0000])]);
            assert_eq!(traffic.lacks_pictures(&asks), lacks, "{ssrc} {direction:?}");
        }
        assert!(!traffic.lacks_pictures(&compound(Direction::Received, &[(206, 1, &[1, 7])])));
    }

    #[test]
    fn the_round_trip_is_the_one_that_was_told_last() {
        let mut traffic = traffic();
        traffic.goes(8, "cleo", Codec::Vp8);
        assert_eq!(traffic.round_trip(), None);
        // In 1/65536 s: of a stream that rests since, and of one that goes on. 1970 began so many times 65536 s after 1900
        // and 32 384 s more.
        let now = 32_384_u32 << 16;
        for (ssrc, away, expected) in [(7, 32_768, 500.0), (8, 1024, 15.625)] {
            let words = [1, ssrc, 0, 0, 0, now - away, 0];
            traffic.passes(&compound(Direction::Received, &[(201, 1, &words)]));
            assert_eq!(traffic.round_trip(), Some(expected));
        }
        traffic.passes(&report(0, 0));
        assert_eq!(traffic.round_trip(), Some(15.625), "a report without one tells nothing");
    }

    #[test]
    fn a_request_to_the_browser_names_who_wanted_it_first_and_counts_the_others() {
        let mut traffic = traffic();
        let asked = compound(Direction::Sent, &[(206, 1, &[1, 5])]);
        traffic.wants_keyframe(AskedBy::Start);
        traffic.wants_keyframe(AskedBy::Chain);
        traffic.wants_keyframe(AskedBy::Chain);
        let finding = |by, others| Finding::KeyframeAsked { by, packet: "PLI", others };
        assert_eq!(traffic.passes(&asked), [finding(Some(AskedBy::Start), 2)]);
        assert_eq!(traffic.passes(&asked), [finding(None, 0)], "repeated by GStreamer");
        let of_others = compound(Direction::Sent, &[(206, 1, &[1, 7])]);
        assert_eq!(traffic.passes(&of_others), [], "no stream of the browser");
    }

    proptest::proptest! {
        #[test]
        fn whatever_a_browser_says_no_stream_comes_or_goes(
            packets in proptest::collection::vec(
                (200..208_u8, 0..32_u8, proptest::collection::vec(proptest::prelude::any::<u32>(), 0..20)),
                0..20,
            ),
            cut in 0..40_usize,
        ) {
            let mut traffic = traffic();
            let (before, route) = (traffic.streams(), ("ben".to_owned(), Kind::Video));
            let packets: Vec<_> =
                packets.iter().map(|(number, format, words)| (*number, *format, words.as_slice())).collect();
            let mut hostile = compound(Direction::Received, &packets);
            hostile.bytes.truncate(hostile.bytes.len().saturating_sub(cut));
            let findings = traffic.passes(&hostile);
            for finding in findings {
                let is_known = matches!(&finding, Finding::Loss { route: of, .. } if *of == route);
                proptest::prop_assert!(is_known, "{finding:?}");
            }
            let after = traffic.streams();
            proptest::prop_assert_eq!(after.incoming, before.incoming);
            proptest::prop_assert!(after.outgoing.keys().eq([&route]));
        }
    }

    #[test]
    fn a_browser_that_changes_its_stream_is_known_by_the_new_one() {
        let mut traffic = traffic();
        traffic.comes(Kind::Video, 6);
        traffic.comes(Kind::Audio, 8);
        let incoming = traffic.streams().incoming;
        assert_eq!(incoming, [(6, Kind::Video), (8, Kind::Audio)].into());
    }
}
