// SPDX-License-Identifier: MPL-2.0

//! What becomes of a packet on a bad link. Pure: the time is an argument, chance has a seed.
//!
//! A packet first waits for the packets before it to be sent (`rate`), then travels (`delay`,
//! `jitter`). It may get lost on the way, arrive twice, or be overtaken. Jitter alone changes no
//! order: as on a real network, packets bunch up behind one that is late.

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use std::ops::Range;
use std::time::{Duration, Instant};

/// How long all packets are late by the same amount. Ours: the length of an Opus packet, so that
/// two packets of sound in a row differ, and the packets of one picture do not.
const JITTER_SPAN: Duration = Duration::from_millis(20);
/// How much longer than the others a packet that is overtaken travels. Ours: one to five packets
/// of a picture, and at most one or two of sound.
const OVERTAKEN: Range<Duration> = Duration::from_millis(2)..Duration::from_millis(30);
/// What a packet's headers take of the rate, in bytes: IPv4 (RFC 791) and UDP (RFC 768).
const HEADERS: u64 = 20 + 8;

/// One direction of a link. The default is one that does nothing to packets.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Link {
    /// Share of packets that are lost, 0 to 1, each by itself.
    pub(crate) loss: f64,
    /// How long each packet travels.
    pub(crate) delay: Duration,
    /// How much longer it may take: evenly spread from nothing to this, anew every 20 ms.
    pub(crate) jitter: Duration,
    /// How much fits through.
    pub(crate) rate: Option<Rate>,
    /// How much fits through later: from when on, counted from the first packet, in this order.
    pub(crate) changes: Vec<(Duration, Option<Rate>)>,
    /// Share of packets, 0 to 1, that later ones overtake.
    pub(crate) reorder: f64,
    /// Share of packets, 0 to 1, that arrive twice.
    pub(crate) duplicate: f64,
    /// When nothing gets through, counted from the first packet.
    pub(crate) blackout: Option<Range<Duration>>,
    /// Another one for another course of chance; the same one for the same.
    pub(crate) seed: u64,
}

/// A bottleneck.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rate {
    /// Bits a second, headers of IP and UDP included.
    pub(crate) bits: u64,
    /// Bytes that may wait in front of it; what finds no place is lost.
    pub(crate) queue: u64,
}

impl Link {
    /// How much fits through so long after the first packet.
    fn rate_after(&self, since: Duration) -> Option<Rate> {
        let last = self.changes.iter().rev().find(|(from, _)| *from <= since);
        last.map_or(self.rate, |(_, rate)| *rate)
    }
}

/// What becomes of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It arrives then.
    Arrives(Instant),
    /// It arrives twice.
    Twice(Instant),
    /// It does not.
    Lost(Cause),
}

/// Why a packet is lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cause {
    /// By chance.
    Chance,
    /// Nothing gets through just now.
    Blackout,
    /// The bottleneck's queue is full.
    Queue,
}

/// A link with packets on it.
#[derive(Debug)]
pub(crate) struct Wire {
    link: Link,
    /// Decides about packets: always as many draws for each, so that two runs with a seed lose the
    /// same ones.
    chance: StdRng,
    /// Decides about jitter.
    lateness: StdRng,
    /// The present lateness, and since when it holds.
    late: Option<(Instant, Duration)>,
    /// The first packet.
    begin: Option<Instant>,
    /// When the bottleneck has sent all that waits for it.
    free: Option<Instant>,
    /// When the latest packet that keeps the order arrives.
    latest: Option<Instant>,
}

impl Wire {
    /// An empty link; `number` tells links of the same seed apart.
    pub(crate) fn new(link: Link, number: u64) -> Self {
        // Far apart, whatever seeds are chosen (the constant is 2⁶⁴ divided by the golden ratio).
        let seed = link.seed.wrapping_add(number.wrapping_mul(0x9E37_79B9_7F4A_7C15));
        Self {
            link,
            chance: StdRng::seed_from_u64(seed),
            lateness: StdRng::seed_from_u64(!seed),
            late: None,
            begin: None,
            free: None,
            latest: None,
        }
    }

    /// What becomes of a packet with a payload of `length` bytes that is sent now. `now` never
    /// goes back.
    pub(crate) fn send(&mut self, now: Instant, length: usize) -> Fate {
        let [lost, twice, overtaken] =
            [self.link.loss, self.link.duplicate, self.link.reorder].map(|share| self.draw(share));
        let behind = self.chance.random_range(OVERTAKEN);
        let since = now.saturating_duration_since(*self.begin.get_or_insert(now));
        if self.link.blackout.as_ref().is_some_and(|blackout| blackout.contains(&since)) {
            return Fate::Lost(Cause::Blackout);
        }
        let Some(sent) = self.squeeze(now, self.link.rate_after(since), length) else {
            return Fate::Lost(Cause::Queue);
        };
        // Behind the bottleneck: what is lost there has taken its time.
        if lost {
            return Fate::Lost(Cause::Chance);
        }
        let travelled = sent + self.link.delay + self.lateness(now);
        let in_order = self.latest.map_or(travelled, |latest| travelled.max(latest));
        let at = if overtaken {
            in_order + behind
        } else {
            self.latest = Some(in_order);
            in_order
        };
        if twice { Fate::Twice(at) } else { Fate::Arrives(at) }
    }

    fn draw(&mut self, share: f64) -> bool {
        self.chance.random::<f64>() < share
    }

    /// When the bottleneck has let a packet through, if it takes it at all.
    fn squeeze(&mut self, now: Instant, rate: Option<Rate>, length: usize) -> Option<Instant> {
        let free = self.free.map_or(now, |free| free.max(now));
        let Some(Rate { bits, queue }) = rate else {
            // What waited for a bottleneck that is gone still goes first.
            return Some(free);
        };
        let bits = bits.max(1);
        let nanoseconds = |bytes: u64| u128::from(bytes) * 8 * 1_000_000_000 / u128::from(bits);
        let size = length as u64 + HEADERS;
        // The one that is being sent waits no more: only what stands behind it fills the queue.
        if free > now && (free - now).as_nanos() + nanoseconds(size) > nanoseconds(queue) {
            return None;
        }
        let takes = u64::try_from(nanoseconds(size)).unwrap_or(u64::MAX);
        let done = free + Duration::from_nanos(takes);
        self.free = Some(done);
        Some(done)
    }

    /// How late packets are that are sent now.
    fn lateness(&mut self, now: Instant) -> Duration {
        if self.link.jitter.is_zero() {
            return Duration::ZERO;
        }
        match self.late {
            Some((since, late)) if now < since + JITTER_SPAN => late,
            _ => {
                let late = self.lateness.random_range(Duration::ZERO..=self.link.jitter);
                self.late = Some((now, late));
                late
            }
        }
    }
}

#[cfg(test)]
#[path = "link_tests.rs"]
mod tests;
