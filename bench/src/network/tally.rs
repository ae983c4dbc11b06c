// SPDX-License-Identifier: MPL-2.0

//! What has passed a gate, counted. Pure.

use super::link::Cause;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

/// Packets of both directions.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Tally {
    /// From the participants to the server.
    pub(crate) up: Lane,
    /// From the server to the participants.
    pub(crate) down: Lane,
}

/// Packets of one direction.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Lane {
    /// All packets: ICE, DTLS, RTP, RTCP.
    pub(crate) all: Count,
    /// Those with an RTP header, by the SSRC in it.
    pub(crate) rtp: BTreeMap<u32, Stream>,
    /// Each packet with an RTP header, where somebody asked for them.
    #[serde(skip)]
    pub(crate) passages: Option<Vec<Passage>>,
}

/// When something happened to a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Passage {
    pub(crate) event: Event,
    pub(crate) at: Instant,
    pub(crate) ssrc: u32,
    /// Its RTP timestamp; a repetition has that of the packet that it repeats (RFC 4588, section 4).
    pub(crate) timestamp: u32,
}

/// The packets of one SSRC.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Stream {
    /// Of the first packet.
    pub(crate) payload_type: u8,
    /// Those packets.
    pub(crate) count: Count,
    /// The sequence numbers of those that left. They begin anew after 65536.
    #[serde(skip)]
    pub(crate) arrived: BTreeSet<u16>,
}

/// A number of packets, and what became of them. What is neither lost nor out is on its way.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Count {
    /// That came to the gate.
    pub(crate) packets_in: u64,
    /// Bytes of their payloads, without the headers of IP and UDP.
    pub(crate) bytes_in: u64,
    /// That left it; one that arrives twice leaves twice.
    pub(crate) packets_out: u64,
    /// Bytes of their payloads.
    pub(crate) bytes_out: u64,
    /// Second copies, made here.
    pub(crate) doubled: u64,
    /// Lost by chance.
    pub(crate) lost: u64,
    /// Lost in a blackout.
    pub(crate) blackout: u64,
    /// Lost in front of a bottleneck.
    pub(crate) queue: u64,
    /// That the system did not take.
    pub(crate) unsent: u64,
}

/// What happens to a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Event {
    /// It comes.
    In,
    /// It leaves.
    Out,
    /// It will leave once more.
    Doubled,
    /// It is lost.
    Lost(Cause),
    /// It should leave, and the system does not take it.
    Unsent,
}

impl Count {
    fn add(&mut self, event: Event, length: u64) {
        match event {
            Event::In => {
                self.packets_in += 1;
                self.bytes_in += length;
            }
            Event::Out => {
                self.packets_out += 1;
                self.bytes_out += length;
            }
            Event::Doubled => self.doubled += 1,
            Event::Lost(Cause::Chance) => self.lost += 1,
            Event::Lost(Cause::Blackout) => self.blackout += 1,
            Event::Lost(Cause::Queue) => self.queue += 1,
            Event::Unsent => self.unsent += 1,
        }
    }

    /// Packets that have come and are still on their way.
    #[cfg(test)]
    pub(crate) fn on_the_way(&self) -> u64 {
        let gone = self.packets_out + self.lost + self.blackout + self.queue + self.unsent;
        (self.packets_in + self.doubled).saturating_sub(gone)
    }
}

impl Lane {
    /// Something happens to a packet.
    pub(crate) fn add(&mut self, event: Event, packet: &[u8], at: Instant) {
        let length = packet.len() as u64;
        self.all.add(event, length);
        if let Some((ssrc, payload_type, number, timestamp)) = rtp(packet) {
            if let Some(passages) = &mut self.passages {
                passages.push(Passage { event, at, ssrc, timestamp });
            }
            let new = || Stream { payload_type, ..Stream::default() };
            let stream = self.rtp.entry(ssrc).or_insert_with(new);
            stream.count.add(event, length);
            if event == Event::Out {
                stream.arrived.insert(number);
            }
        }
    }
}

/// The SSRC, payload type, sequence number and timestamp of an RTP packet; they stay readable under SRTP (RFC 3711, section
/// 3.1). What else shares the port begins otherwise (RFC 7983, section 7), RTCP with a payload type
/// of its own (RFC 5761, section 4).
fn rtp(packet: &[u8]) -> Option<(u32, u8, u16, u32)> {
    let (header, _) = packet.split_first_chunk::<12>()?;
    let [first, second, high, low, t, i, m, e, a, b, c, d] = *header;
    let is_rtp = (128..192).contains(&first) && !(192..224).contains(&second);
    let number = u16::from_be_bytes([high, low]);
    let timestamp = u32::from_be_bytes([t, i, m, e]);
    is_rtp.then_some((u32::from_be_bytes([a, b, c, d]), second & 0x7f, number, timestamp))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(first: u8, second: u8, ssrc: u32) -> Vec<u8> {
        let mut packet = vec![first, second, 0, 1, 0, 0, 0, 2];
        packet.extend(ssrc.to_be_bytes());
        packet.extend([0; 88]);
        packet
    }

    #[test]
    fn what_shares_the_port_with_rtp_is_told_apart() {
        for (what, first, second, expected) in [
            ("RTP", 0x80, 111, Some((9, 111, 1, 2))),
            ("RTP with a marker", 0x90, 0x80 | 96, Some((9, 96, 1, 2))),
            ("RTCP", 0x80, 200, None),
            ("RTCP, the last", 0x80, 223, None),
            ("STUN", 0, 1, None),
            ("DTLS", 22, 254, None),
        ] {
            assert_eq!(rtp(&packet(first, second, 9)), expected, "{what}");
        }
        assert_eq!(rtp(&packet(0x80, 111, 9)[..11]), None, "too short");
    }

    #[test]
    fn packets_that_came_are_lost_gone_or_on_the_way() {
        let mut lane = Lane { passages: Some(Vec::new()), ..Lane::default() };
        let now = Instant::now();
        let (sound, stun) = (packet(0x80, 111, 5), packet(0, 1, 0));
        for (event, packet) in [
            (Event::In, &sound),
            (Event::In, &sound),
            (Event::Doubled, &sound),
            (Event::Lost(Cause::Chance), &sound),
            (Event::Out, &sound),
            (Event::In, &stun),
            (Event::Lost(Cause::Queue), &stun),
            (Event::In, &stun),
            (Event::Unsent, &stun),
            (Event::In, &stun),
            (Event::Lost(Cause::Blackout), &stun),
        ] {
            lane.add(event, packet, now);
        }
        assert_eq!(lane.rtp.len(), 1);
        let passages = lane.passages.as_deref().unwrap_or_default();
        assert_eq!(
            passages[3],
            Passage { event: Event::Lost(Cause::Chance), at: now, ssrc: 5, timestamp: 2 }
        );
        assert_eq!(passages.len(), 5, "those of sound");
        let stream = &lane.rtp[&5];
        assert_eq!(stream.payload_type, 111);
        assert_eq!((stream.count.packets_in, stream.count.bytes_in), (2, 200));
        assert_eq!((stream.count.packets_out, stream.count.bytes_out), (1, 100));
        assert_eq!(stream.arrived, [1].into());
        assert_eq!((stream.count.lost, stream.count.doubled), (1, 1));
        assert_eq!(stream.count.on_the_way(), 1, "the second copy");
        assert_eq!((lane.all.packets_in, lane.all.on_the_way()), (5, 1));
    }
}
