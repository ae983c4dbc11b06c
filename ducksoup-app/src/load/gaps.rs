// SPDX-License-Identifier: MPL-2.0

//! What arrives of one track at one participant: packets, frames, losses, the largest gap. Pure:
//! the time is a [`Duration`] since the run began.
//!
//! A track comes in *spells*, as long as sender and receiver are both there:
//!
//! | input \ state | away | awaited | here |
//! |---|---|---|---|
//! | expect | → awaited | – | – |
//! | packet | counted as late | → here; the wait is over | counted; the gap before it measured |
//! | packet, after the call's time | counted as late | the same | the same |
//! | close | – | → away; missing, if it was awaited for long | → away; the gap until now measured |
//!
//! After the call's time nothing is expected: it is as if the spell had been closed then.

use std::time::Duration;

/// A track that was awaited this long and never came is missing; one that was awaited for less when
/// its sender went away again is not. Ours: three times what a good start takes.
const PATIENCE: Duration = Duration::from_secs(5);

/// What the header of an RTP packet says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Packet {
    /// The sequence number.
    pub(crate) number: u16,
    /// The timestamp; the packets of one frame share it.
    pub(crate) timestamp: u32,
}

impl Packet {
    /// Reads the fixed header (RFC 3550, section 5.1).
    pub(crate) fn parse(bytes: &[u8]) -> Option<Self> {
        let header: &[u8; 12] = bytes.first_chunk()?;
        if header[0] >> 6 != 2 {
            return None;
        }
        let number = u16::from_be_bytes([header[2], header[3]]);
        let timestamp = u32::from_be_bytes([header[4], header[5], header[6], header[7]]);
        Some(Self { number, timestamp })
    }
}

/// The largest gap of a track.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Gap {
    /// How long nothing came.
    pub(crate) length: Duration,
    /// When it was over.
    pub(crate) until: Duration,
}

/// What has come of a track in all its spells.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Received {
    /// All packets, the late ones included.
    pub(crate) packets: u64,
    /// Packets while the track was not expected: on their way when its sender went, or when the
    /// call's time was up.
    pub(crate) late: u64,
    /// Sequence numbers that never came.
    pub(crate) lost: u64,
    /// Pictures, or packets of sound.
    pub(crate) frames: u64,
    /// How long the track was here.
    pub(crate) present: Duration,
    /// The largest gap between two frames.
    pub(crate) gap: Gap,
    /// How long the first packet of each spell was waited for.
    pub(crate) waits: Vec<Duration>,
    /// Spells of which nothing came.
    pub(crate) missing: u32,
}

/// One spell with media in it.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Spell {
    since: Duration,
    /// The end of the call.
    end: Duration,
    frame_at: Duration,
    timestamp: u32,
    first: i64,
    /// The highest sequence number, continued beyond 65535.
    highest: i64,
    packets: i64,
}

impl Spell {
    fn new(now: Duration, end: Duration, packet: Packet) -> Self {
        let first = i64::from(packet.number);
        Self {
            since: now,
            end,
            frame_at: now,
            timestamp: packet.timestamp,
            first,
            highest: first,
            packets: 1,
        }
    }

    fn lost(&self) -> u64 {
        // Repeated packets can make it negative.
        u64::try_from(self.highest - self.first + 1 - self.packets).unwrap_or(0)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Default)]
enum State {
    #[default]
    Away,
    Awaited {
        since: Duration,
        /// The end of the call.
        end: Duration,
    },
    Here(Spell),
}

/// One track at one participant.
#[derive(Debug, Default)]
pub(crate) struct Arrivals {
    state: State,
    received: Received,
}

impl Arrivals {
    /// From now on it should come, until the call's `end`.
    pub(crate) fn expect(&mut self, now: Duration, end: Duration) {
        if self.state == State::Away {
            self.state = State::Awaited { since: now, end };
        }
    }

    /// A packet.
    pub(crate) fn arrive(&mut self, now: Duration, packet: Packet) {
        self.received.packets += 1;
        match &mut self.state {
            State::Awaited { since, end } if now <= *end => {
                self.received.waits.push(now.saturating_sub(*since));
                self.received.frames += 1;
                self.state = State::Here(Spell::new(now, *end, packet));
            }
            State::Here(spell) if now <= spell.end => {
                spell.packets += 1;
                let ahead = packet.number.wrapping_sub(low(spell.highest));
                // Half the range ahead is behind (RFC 3550, appendix A.1).
                if ahead < 0x8000 {
                    spell.highest += i64::from(ahead);
                }
                if packet.timestamp != spell.timestamp && ahead < 0x8000 {
                    self.received.frames += 1;
                    gap(&mut self.received.gap, spell.frame_at, now);
                    (spell.timestamp, spell.frame_at) = (packet.timestamp, now);
                }
            }
            State::Away | State::Awaited { .. } | State::Here(_) => self.received.late += 1,
        }
    }

    /// From now on nothing is expected any more: its sender or its receiver goes, or the
    /// interaction is over.
    pub(crate) fn close(&mut self, now: Duration) {
        match std::mem::take(&mut self.state) {
            State::Away => {}
            State::Awaited { since, end } => {
                if now.min(end).saturating_sub(since) >= PATIENCE {
                    self.received.missing += 1;
                }
            }
            State::Here(spell) => {
                let now = now.min(spell.end);
                self.received.lost += spell.lost();
                self.received.present += now.saturating_sub(spell.since);
                gap(&mut self.received.gap, spell.frame_at, now);
            }
        }
    }

    /// What has come until now.
    pub(crate) fn received(&self, now: Duration) -> Received {
        let mut until_now = Self { state: self.state, received: self.received.clone() };
        until_now.close(now);
        until_now.received
    }
}

fn gap(largest: &mut Gap, from: Duration, until: Duration) {
    let length = until.saturating_sub(from);
    if length > largest.length {
        *largest = Gap { length, until };
    }
}

/// The sequence number behind a continued one.
fn low(number: i64) -> u16 {
    let [low, high, ..] = number.to_le_bytes();
    u16::from_le_bytes([low, high])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    const END: Duration = Duration::from_secs(60);

    fn packet(number: u16, timestamp: u32) -> Packet {
        Packet { number, timestamp }
    }

    /// A track that is here since 100 ms; the packets come at these times.
    fn track(packets: &[(u64, u16, u32)]) -> Arrivals {
        let mut arrivals = Arrivals::default();
        arrivals.expect(ms(0), END);
        for (at, number, timestamp) in packets {
            arrivals.arrive(ms(*at), packet(*number, *timestamp));
        }
        arrivals
    }

    #[test]
    fn a_header_is_read_and_rubbish_is_not() {
        let mut bytes = [0x80, 0x6f, 0x12, 0x34, 0, 1, 2, 3, 9, 9, 9, 9, 7];
        assert_eq!(Packet::parse(&bytes), Some(packet(0x1234, 0x0001_0203)));
        assert_eq!(Packet::parse(&bytes[..11]), None);
        bytes[0] = 0x40;
        assert_eq!(Packet::parse(&bytes), None, "another version");
    }

    #[test]
    fn packets_of_one_timestamp_are_one_frame() {
        let packets = [(100, 1, 0), (101, 2, 0), (140, 3, 3600), (141, 4, 3600), (180, 5, 7200)];
        let received = track(&packets).received(ms(200));
        assert_eq!((received.packets, received.frames, received.lost), (5, 3, 0));
        assert_eq!(received.waits, [ms(100)]);
        assert_eq!(received.present, ms(100));
        assert_eq!(received.gap, Gap { length: ms(40), until: ms(140) });
    }

    #[test]
    fn missing_numbers_are_lost_unless_they_come_late() {
        for (packets, lost) in [
            (&[(0, 65534, 0), (1, 65535, 1), (2, 0, 2), (3, 1, 3)][..], 0),
            (&[(0, 65534, 0), (1, 2, 1)], 3),
            (&[(0, 10, 0), (1, 13, 1), (2, 11, 0), (3, 12, 0)], 0),
            (&[(0, 10, 0), (1, 12, 1), (2, 12, 1)], 0),
        ] {
            assert_eq!(track(packets).received(ms(9)).lost, lost, "{packets:?}");
        }
    }

    #[test]
    fn a_packet_that_was_overtaken_is_no_new_frame() {
        let received = track(&[(0, 10, 0), (40, 12, 3600), (41, 11, 0), (42, 13, 3600)]);
        assert_eq!(received.received(ms(50)).frames, 2);
    }

    #[test]
    fn silence_until_the_end_is_a_gap() {
        let mut arrivals = track(&[(100, 1, 0), (140, 2, 3600)]);
        assert_eq!(arrivals.received(ms(200)).gap.length, ms(60));
        arrivals.close(ms(1140));
        let gap = Gap { length: ms(1000), until: ms(1140) };
        assert_eq!(arrivals.received(ms(9000)).gap, gap, "later nothing is missing");
    }

    #[test]
    fn while_somebody_is_away_there_is_no_gap() {
        let mut arrivals = track(&[(100, 1, 0), (140, 2, 3600)]);
        arrivals.close(ms(150));
        arrivals.arrive(ms(155), packet(3, 7200));
        arrivals.expect(ms(5000), END);
        arrivals.arrive(ms(5300), packet(50_000, 900_000));
        arrivals.close(ms(5350));
        let received = arrivals.received(ms(9000));
        assert_eq!((received.packets, received.frames, received.late), (4, 3, 1));
        assert_eq!(received.lost, 0, "each spell has numbers of its own");
        assert_eq!(received.waits, [ms(100), ms(300)]);
        assert_eq!(received.present, ms(100));
        assert_eq!(received.gap.length, ms(50));
    }

    #[test]
    fn after_the_end_of_the_call_nothing_counts() {
        let mut arrivals = Arrivals::default();
        arrivals.expect(ms(0), ms(1000));
        for (at, number) in [(900, 1), (940, 2), (1040, 3), (2040, 4)] {
            arrivals.arrive(ms(at), packet(number, u32::from(number) * 3600));
        }
        arrivals.close(ms(3000));
        let received = arrivals.received(ms(3000));
        assert_eq!((received.packets, received.frames, received.late), (4, 2, 2));
        assert_eq!((received.present, received.gap.length), (ms(100), ms(60)));
        let mut never = Arrivals::default();
        never.expect(ms(0), ms(1000));
        never.arrive(ms(1001), packet(1, 0));
        never.close(ms(9000));
        assert_eq!((never.received.frames, never.received.missing), (0, 0));
    }

    #[test]
    fn what_was_awaited_in_vain_is_missing() {
        for (until, missing) in [(4999, 0), (5000, 1)] {
            let mut arrivals = Arrivals::default();
            arrivals.expect(ms(0), END);
            arrivals.expect(ms(3000), END);
            arrivals.close(ms(until));
            assert_eq!(arrivals.received(ms(until)).missing, missing, "{until}");
        }
        let mut never = Arrivals::default();
        never.close(ms(60_000));
        assert_eq!(never.received(ms(60_000)), Received::default());
    }
}
