// SPDX-License-Identifier: MPL-2.0

//! What control packets say (RFC 3550, 4585, 5104; transport-wide feedback and REMB by their drafts).
//! Pure. What cannot be read ends the reading: a browser's packets are not trusted.

use super::measures::Told;
use serde::Serialize;
use std::time::{Duration, SystemTime};

/// Which way a packet goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// From the browser.
    Received,
    /// To the browser.
    Sent,
}

/// A compound packet as it was seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Compound {
    /// Which way it went.
    pub direction: Direction,
    /// When.
    pub at: SystemTime,
    /// What it was.
    pub bytes: Vec<u8>,
}

/// A report about one stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Block {
    /// The stream.
    pub ssrc: u32,
    /// The part lost since the report before, in 1/256.
    pub fraction: u8,
    /// Packets lost since the beginning.
    pub lost: i32,
    /// The highest sequence number that came, its cycles included.
    pub highest: u32,
    /// Interarrival jitter in units of the stream's clock.
    pub jitter: u32,
    /// The middle of the NTP time of the last sender report; 0 without one.
    pub last_report: u32,
    /// How long ago that came, in 1/65536 s.
    pub delay: u32,
}

/// One packet of a compound.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "type")]
pub enum Packet {
    /// What a sender has sent, and how it receives.
    #[serde(rename = "SR")]
    SenderReport {
        /// Who.
        ssrc: u32,
        /// The time of the sender's clock (NTP, in 1/2^32 s) that belongs to the timestamp; 0 without a clock.
        #[serde(skip)]
        ntp: u64,
        /// RTP timestamp.
        #[serde(skip)]
        timestamp: u32,
        /// Packets so far.
        packets: u32,
        /// Payload so far.
        octets: u32,
        /// How it receives.
        reports: Vec<Block>,
    },
    /// How somebody receives.
    #[serde(rename = "RR")]
    ReceiverReport {
        /// Who.
        ssrc: u32,
        /// How.
        reports: Vec<Block>,
    },
    /// Names of sources.
    #[serde(rename = "SDES")]
    Description,
    /// Sources that go.
    #[serde(rename = "BYE")]
    Bye,
    /// Packets to be sent again.
    #[serde(rename = "NACK")]
    Nack {
        /// Of which stream.
        ssrc: u32,
        /// How many.
        count: u32,
    },
    /// Transport-wide feedback: when which packets came.
    #[serde(rename = "TWCC")]
    Twcc {
        /// Number of this feedback.
        feedback: u8,
        /// The first packet it is about.
        base: u16,
        /// How many it is about.
        count: u16,
    },
    /// A keyframe is wanted.
    #[serde(rename = "PLI")]
    Pli {
        /// Of which stream.
        ssrc: u32,
    },
    /// A keyframe is wanted, with all that a new receiver needs.
    #[serde(rename = "FIR")]
    Fir {
        /// Of which stream.
        ssrc: u32,
    },
    /// A receiver's estimate.
    #[serde(rename = "REMB")]
    Remb {
        /// bit/s.
        bitrate: u64,
    },
    /// Anything else.
    Other {
        /// The packet type.
        number: u8,
        /// Its format or count.
        format: u8,
    },
}

/// Whether a compound holds something that is acted on: a report, a NACK, a request for a keyframe.
#[must_use]
pub fn is_used(bytes: &[u8]) -> bool {
    parts(bytes).any(|part| match (part.number, part.format) {
        (SENDER_REPORT | RECEIVER_REPORT, reports) => reports > 0,
        (TRANSPORT_FEEDBACK, NACK) | (PAYLOAD_FEEDBACK, PLI | FIR) => true,
        _ => false,
    })
}

/// Reads a compound.
#[must_use]
pub fn read(bytes: &[u8]) -> Vec<Packet> {
    parts(bytes).flat_map(|part| part.read().unwrap_or_default()).collect()
}

impl Block {
    /// What it tells of a stream of this clock rate, when it came at `now`.
    #[must_use]
    pub fn told(&self, clock_rate: u32, now: SystemTime) -> Told {
        Told {
            lost: self.lost.into(),
            fraction_lost: f64::from(self.fraction) / 256.0,
            jitter: f64::from(self.jitter) * 1000.0 / f64::from(clock_rate.max(1)),
            rtt: self.round_trip(now),
        }
    }

    /// In ms (RFC 3550, 6.4.1); none without a sender report, or when clocks make it absurd.
    fn round_trip(&self, now: SystemTime) -> Option<f64> {
        if self.last_report == 0 {
            return None;
        }
        let units = middle_of_ntp(now).wrapping_sub(self.last_report).wrapping_sub(self.delay);
        // More than 32 s is less than nothing: this clock was set back meanwhile.
        (units < 1 << 21).then(|| f64::from(units) * 1000.0 / 65536.0)
    }
}

/// The middle 32 bits of the NTP time: seconds and their 1/65536.
fn middle_of_ntp(now: SystemTime) -> u32 {
    /// From 1900 to 1970 (RFC 5905, 6).
    const EPOCHS: u64 = 2_208_988_800;
    let since = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO);
    let seconds = (since.as_secs() + EPOCHS) & 0xffff;
    let fraction = (u64::from(since.subsec_nanos()) << 16) / 1_000_000_000;
    u32::try_from(seconds << 16 | fraction).unwrap_or_default()
}

const SENDER_REPORT: u8 = 200;
const RECEIVER_REPORT: u8 = 201;
const DESCRIPTION: u8 = 202;
const BYE: u8 = 203;
const TRANSPORT_FEEDBACK: u8 = 205;
const PAYLOAD_FEEDBACK: u8 = 206;
/// Formats of transport feedback.
const NACK: u8 = 1;
const TWCC: u8 = 15;
/// Formats of payload feedback.
const PLI: u8 = 1;
const FIR: u8 = 4;
const APPLICATION: u8 = 15;

/// One packet's place in a compound.
struct Part<'a> {
    number: u8,
    format: u8,
    /// After the first four bytes.
    body: &'a [u8],
}

/// The packets of a compound, up to the first that is none.
fn parts(mut bytes: &[u8]) -> impl Iterator<Item = Part<'_>> {
    std::iter::from_fn(move || {
        let (head, rest) = bytes.split_at_checked(4)?;
        let words = usize::from(u16::from_be_bytes([head[2], head[3]]));
        if head[0] >> 6 != 2 {
            return None;
        }
        let (body, rest) = rest.split_at_checked(4 * words)?;
        bytes = rest;
        Some(Part { number: head[1], format: head[0] & 0x1f, body })
    })
}

impl Part<'_> {
    fn read(&self) -> Option<Vec<Packet>> {
        let packet = match (self.number, self.format) {
            (SENDER_REPORT, count) => Packet::SenderReport {
                ssrc: self.word(0)?,
                ntp: u64::from(self.word(1)?) << 32 | u64::from(self.word(2)?),
                timestamp: self.word(3)?,
                packets: self.word(4)?,
                octets: self.word(5)?,
                reports: self.blocks(6, count)?,
            },
            (RECEIVER_REPORT, count) => {
                Packet::ReceiverReport { ssrc: self.word(0)?, reports: self.blocks(1, count)? }
            }
            (DESCRIPTION, _) => Packet::Description,
            (BYE, _) => Packet::Bye,
            (TRANSPORT_FEEDBACK, NACK) => {
                let entries = self.body.chunks_exact(4).skip(2);
                let asked = entries.map(|entry| 1 + entry[2].count_ones() + entry[3].count_ones());
                Packet::Nack { ssrc: self.word(1)?, count: asked.sum() }
            }
            (TRANSPORT_FEEDBACK, TWCC) => {
                let [base, count] = halves(self.word(2)?);
                Packet::Twcc { feedback: self.word(3)?.to_be_bytes()[3], base, count }
            }
            (PAYLOAD_FEEDBACK, PLI) => Packet::Pli { ssrc: self.word(1)? },
            // The stream stands in the entries (RFC 5104, 4.3.1.1).
            (PAYLOAD_FEEDBACK, FIR) => {
                let entries = self.body.chunks_exact(8).skip(1);
                let ssrc =
                    |entry: &[u8]| Some(u32::from_be_bytes(entry.get(..4)?.try_into().ok()?));
                return Some(entries.filter_map(ssrc).map(|ssrc| Packet::Fir { ssrc }).collect());
            }
            (PAYLOAD_FEEDBACK, APPLICATION) if self.body.get(8..12) == Some(b"REMB") => {
                let word = self.word(3)?;
                let (exponent, mantissa) = (word >> 18 & 0x3f, u64::from(word & 0x3_ffff));
                Packet::Remb { bitrate: mantissa.checked_shl(exponent)? }
            }
            (number, format) => Packet::Other { number, format },
        };
        Some(vec![packet])
    }

    fn word(&self, index: usize) -> Option<u32> {
        let bytes = self.body.get(4 * index..4 * index + 4)?;
        Some(u32::from_be_bytes(bytes.try_into().ok()?))
    }

    fn blocks(&self, first: usize, count: u8) -> Option<Vec<Block>> {
        (0..usize::from(count)).map(|number| self.block(first + 6 * number)).collect()
    }

    fn block(&self, at: usize) -> Option<Block> {
        let [fraction, lost @ ..] = self.word(at + 1)?.to_be_bytes();
        let [high, middle, low] = lost;
        Some(Block {
            ssrc: self.word(at)?,
            fraction,
            // 24 bits with a sign.
            lost: i32::from_be_bytes([high, middle, low, 0]) >> 8,
            highest: self.word(at + 2)?,
            jitter: self.word(at + 3)?,
            last_report: self.word(at + 4)?,
            delay: self.word(at + 5)?,
        })
    }
}

fn halves(word: u32) -> [u16; 2] {
    let [a, b, c, d] = word.to_be_bytes();
    [u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d])]
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn packet(number: u8, format: u8, words: &[u32]) -> Vec<u8> {
        let mut bytes = vec![0x80 | format, number];
        bytes.extend(u16::try_from(words.len()).expect("short").to_be_bytes());
        bytes.extend(words.iter().flat_map(|word| word.to_be_bytes()));
        bytes
    }

    const BLOCK: [u32; 6] = [7, 0x40ff_fffe, 1000, 480, 0x0001_0000, 0x0000_8000];

    #[test]
    fn a_compound_is_read_part_by_part() {
        let mut bytes = packet(200, 1, &[[1, 2, 3, 4, 50, 6000].as_slice(), &BLOCK].concat());
        bytes.extend(packet(202, 1, &[1, 0]));
        bytes.extend(packet(206, 1, &[1, 7]));
        bytes.extend(packet(206, 4, &[1, 0, 8, 0x0100_0000]));
        bytes.extend(packet(205, 1, &[1, 7, 0x0010_0003]));
        bytes.extend(packet(205, 15, &[1, 7, 0x0005_0009, 0x0000_0002]));
        bytes.extend(packet(206, 15, &[1, 0, u32::from_be_bytes(*b"REMB"), 0x0104_0001]));
        let block = Block {
            ssrc: 7,
            fraction: 64,
            lost: -2,
            highest: 1000,
            jitter: 480,
            last_report: 0x0001_0000,
            delay: 0x0000_8000,
        };
        assert_eq!(
            read(&bytes),
            [
                Packet::SenderReport {
                    ssrc: 1,
                    ntp: 2 << 32 | 3,
                    timestamp: 4,
                    packets: 50,
                    octets: 6000,
                    reports: vec![block],
                },
                Packet::Description,
                Packet::Pli { ssrc: 7 },
                Packet::Fir { ssrc: 8 },
                Packet::Nack { ssrc: 7, count: 3 },
                Packet::Twcc { feedback: 2, base: 5, count: 9 },
                Packet::Remb { bitrate: 2 },
            ]
        );
    }

    #[test]
    fn only_what_is_acted_on_is_used() {
        for (bytes, used) in [
            (packet(201, 0, &[1]), false),
            (packet(201, 1, &[[1].as_slice(), &BLOCK].concat()), true),
            (packet(202, 1, &[1, 0]), false),
            (packet(205, 15, &[1, 7, 0, 0]), false),
            (packet(205, 1, &[1, 7, 0]), true),
            (packet(206, 1, &[1, 7]), true),
            (packet(206, 4, &[1, 0, 8, 0]), true),
            (packet(206, 15, &[1, 0, 0, 0]), false),
        ] {
            assert_eq!(is_used(&bytes), used, "{bytes:?}");
        }
    }

    #[test]
    fn the_round_trip_is_what_neither_side_waited() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_millis(10_750);
        let report = middle_of_ntp(SystemTime::UNIX_EPOCH + Duration::from_secs(10));
        let block = |last_report| Block {
            ssrc: 7,
            fraction: 128,
            lost: 3,
            highest: 0,
            jitter: 90,
            last_report,
            delay: 65536 / 2,
        };
        let told = block(report).told(90_000, now);
        let rtt = told.rtt.expect("there was a report");
        assert!((rtt - 250.0).abs() < 0.1, "{rtt}");
        assert!((told.jitter - 1.0).abs() < 1e-9 && (told.fraction_lost - 0.5).abs() < 1e-9);
        assert_eq!(block(0).told(90_000, now).rtt, None);
        assert_eq!(block(report + (1 << 24)).told(90_000, now).rtt, None, "a clock set back");
    }

    #[test]
    fn a_packet_that_is_cut_ends_the_reading() {
        let mut bytes = packet(206, 1, &[1, 7]);
        bytes.extend(&packet(206, 1, &[1, 8])[..8]);
        assert_eq!(read(&bytes), [Packet::Pli { ssrc: 7 }]);
        assert_eq!(read(&packet(206, 1, &[1])), [], "too short for what it says it is");
    }

    proptest! {
        #[test]
        fn nothing_is_too_strange_to_be_read(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = read(&bytes);
            let _ = is_used(&bytes);
        }
    }
}
