// SPDX-License-Identifier: MPL-2.0

//! What counts of an estimate by Google congestion control. Pure: times are those of the packets.
//!
//! `rtpgccbwe` goes by what is sent just now. A still picture is next to nothing: one packet that
//! comes late, and the estimate is next to nothing too, for a minute (it climbs by 8 % a second). So
//! an estimate may only fall while the feedback shows that the connection suffers, and may only rise
//! as far as it was tried.
//!
//! | the connection | the estimate is above what is held | below |
//! |---|---|---|
//! | does not suffer | held rises to it, at most to 1.5 times what arrives | held stays, or rises by 20 % a second as far as it is tried |
//! | does not suffer, and it is known what the line takes | held is 0.85 times that; more is tried now and then | the same |
//! | suffers: a queue | held falls to 0.85 times what arrives, and less, so that a long one is gone within a second or two; one step, when little is sent, or when that did not help | the same, or to the estimate, if that is more and the queue is not long |
//! | suffers: loss | held falls by half of the share that is lost | the same |
//!
//! *A queue*: for a while no packet has been as quick as the quickest of the last seconds, and for less where
//! packets are held back ever longer. Jitter is none, since with jitter some packets are quick. *Little is sent*: less than 0.6 of what is held
//! arrives, and as fast as it leaves, so that what arrives says nothing of what could. *Known* is what arrived while a
//! queue stood: more would make another one, and a rise that never rests keeps one standing for good (measured: 150 ms
//! on a line of 1 Mbit/s). So it rests, and rises after some seconds; each time that ends in a queue, it rests for twice as long.
//! What goes through beyond doubt is no longer a limit.
//!
//! A line that nobody knows is opened step by step, from what is sent at first: within a second and a half if it
//! takes all there is.
//!
//! Where there is not enough for pictures, they stop ([`ducksoupmixer`](gstducksoup::ducksoupmixer)), and sound
//! alone shows nothing of what the connection could take. So they are tried again after some seconds without
//! trouble; each time that fails, after twice as long.

use std::collections::VecDeque;

/// One packet, as the browser's feedback tells of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Seen {
    /// When it left, in ns of this machine's clock.
    pub(super) departure: i64,
    /// When it arrived, in ns of the browser's clock; `None`: it did not.
    pub(super) arrival: Option<i64>,
    /// Bytes.
    pub(super) size: u32,
}

/// Between what an estimate lies, and where it begins; bit/s.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Bounds {
    /// The least: with less nobody would be heard.
    pub(super) min: u32,
    /// With less there are no pictures.
    pub(super) enough: u32,
    /// What is sent at first.
    pub(super) start: u32,
    /// The most that there is to send.
    pub(super) max: u32,
}

impl Bounds {
    fn opening(self) -> Option<f64> {
        (self.start < self.max).then(|| f64::from(self.start))
    }

    fn clamp(self, bitrate: f64) -> u32 {
        // Bitrates are far below 2^32, and a cast saturates.
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let bitrate = bitrate as u32;
        bitrate.max(self.min).min(self.max)
    }
}

const SECOND: i64 = 1_000_000_000;
const MILLISECOND: i64 = 1_000_000;

/// What rates and losses are taken over. The draft wants 0.5 to 1 s (draft-ietf-rmcat-gcc-02, 5.5).
const WINDOW: i64 = SECOND;
/// How long no packet must have been quick. Ours: longer than jitter keeps all packets back, and
/// shorter than a queue takes to be heard as a delay.
const STANDING: i64 = 250 * MILLISECOND;
/// Packets in that time that are enough to tell. Ours: Opus alone sends twelve.
const FEWEST: usize = 6;
/// How much slower than the quickest one all must be. Ours: the draft's threshold for a change of
/// the delay (5.4: 12.5 ms), twice over, because it is a delay and no change.
const QUEUE: i64 = 25 * MILLISECOND;
/// One that is seen sooner, within this time: on a line that is suddenly narrow every tenth of a second adds
/// several to the queue. Ours: longer than the 12.5 ms of above by as much as a stall of Wi-Fi, and only while packets
/// come more slowly than they left, as they never do behind a stall.
const SUDDEN: i64 = 100 * MILLISECOND;
/// A queue that is to be emptied faster, whatever the estimate is; ours.
const LONG_QUEUE: i64 = 150 * MILLISECOND;
/// A queue behind which there is no conversation: sound goes first, and pictures stop if need be. Ours.
const ENDLESS_QUEUE: i64 = 500 * MILLISECOND;
/// How long the quickest packet is remembered. Clocks drift by 1 ms in this time.
const MEMORY: i64 = 10 * SECOND;
/// A change of the clocks' distance that no network makes; ours.
const CLOCK_JUMP: i64 = 20 * SECOND;
/// Losses above this share count (5.5 of the draft).
const LOSS: f64 = 0.1;
/// Packets that are enough to speak of a share; ours.
const FEWEST_FOR_LOSS: usize = 20;
/// A fall is followed by another one at the earliest after this time, in which the first has begun
/// to show. Ours: a long round trip and Chromium's time between two feedbacks.
const PATIENCE: i64 = 300 * MILLISECOND;
/// What remains of what arrives (5.5 of the draft: 0.85).
const FALL: f64 = 0.85;
/// Within what time, in ns, a queue is to be gone. Ours: of what arrives, the part that the queue is of this time is
/// left out, so that the rest of the line empties it.
const EMPTIED: i64 = SECOND;
/// Within what time, in ns, what arrives is less than what the line takes, because its queue goes; ours.
const GOING: i64 = 2 * EMPTIED;
/// More than a line is known to take is tried after so long without a queue, and at the latest after the second one.
/// Ours: a try costs half a second of some 50 ms, so a twentieth of the time; and who has a wide line again waits for
/// no longer than a browser does (`web/lib/uplink.js`).
const FIRST_RISE: i64 = 4 * SECOND;
const LATEST_RISE: i64 = 8 * SECOND;
/// What a line is known to take is forgotten so long after its last queue, in ns. Ours: whoever sends less all the time
/// never shows that it takes more.
const FORGOTTEN: i64 = 60 * SECOND;
/// What has arrived of what a line was known to take when it takes more. Ours: beyond what measuring is exact to.
const BEYOND: f64 = 1.15;
/// What remains at least, however long the queue is; ours: a picture is still one.
const STEEPEST_FALL: f64 = 0.4;
/// Pictures are tried again after so long without trouble, and at the latest after the second one. Ours: a
/// try that fails costs a second or two of late sound.
const FIRST_TRY: i64 = 8 * SECOND;
const LATEST_TRY: i64 = 64 * SECOND;
/// A try that went well for so long has not failed.
const STAYS: i64 = 10 * SECOND;
/// How fast it rises by itself. The draft's 8 % a second (5.5) are for a detector of trends, which is
/// late; ours sees a queue of 25 ms, and so much more in a third of a second makes none.
const RISE_A_SECOND: f64 = 1.2;
/// The same where a line is known, from 0.85 times that on: the draft's, since the queue that ends it is to be short.
const CAREFUL_RISE_A_SECOND: f64 = 1.08;
/// How fast a line that nobody knows is opened. Ours: nine tenths of 1.8 Mbit/s in one and a half seconds, and a queue
/// of 100 ms where it ends. (With 0.8 Mbit/s at once and a climb until the first feedback, 300 kbit/s had a queue of
/// 1.7 s, and browsers play sound that much later for half a minute.)
const OPENED_A_SECOND: f64 = 3.5;
/// How far above what arrives the estimate may rise (5.5 of the draft).
const UNTRIED: f64 = 1.5;
/// Below this share of what is held little is sent; ours.
const LITTLE: f64 = 0.6;
/// Packets that take a tenth longer to arrive than to leave, in percent, are held back; ours.
const SLOWER: i64 = 110;

/// The connection's state, as the latest feedback shows it.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Health {
    Good,
    /// Nobody is quick any more, for so many ns; by how much, in ns.
    Queue {
        queue: i64,
        of: i64,
    },
    /// The share that is lost.
    Loss(f64),
}

/// See the module.
#[derive(Debug)]
pub(super) struct Guard {
    bounds: Bounds,
    held: u32,
    /// While nobody knows what the line takes: how far it has been opened, in bit/s.
    opening: Option<f64>,
    /// The packets of the last [`WINDOW`], in the order of the feedback.
    packets: VecDeque<Seen>,
    /// The newest departure there was feedback of.
    newest: Option<i64>,
    /// The quickest way of each second of the [`MEMORY`]: when it began, and how long.
    quickest: VecDeque<(i64, i64)>,
    fell: Option<Fall>,
    /// What the line is known to take.
    line: Option<Line>,
    /// How long to wait until pictures are tried again, where there is not enough for them.
    wait: i64,
    /// The newest departure of the feedback before.
    heard: Option<i64>,
}

/// What a line takes.
#[derive(Debug, Clone, Copy)]
struct Line {
    /// When its queue was seen last.
    at: i64,
    /// What arrived while it stood, in bit/s, and when that was.
    rate: f64,
    measured: i64,
    /// How long no more is tried.
    wait: i64,
}

impl Line {
    /// Whether more is tried now.
    fn is_tried(self, now: i64) -> bool {
        now.saturating_sub(self.at) > self.wait
    }
}

/// The latest fall.
#[derive(Debug, Clone, Copy)]
struct Fall {
    at: i64,
    /// The queue then, in ns.
    queue: i64,
}

impl Guard {
    /// Nothing is known: everything is possible until the connection says otherwise.
    #[must_use]
    pub(super) fn new(bounds: Bounds) -> Self {
        Self {
            bounds,
            held: bounds.max,
            opening: bounds.opening(),
            packets: VecDeque::new(),
            newest: None,
            quickest: VecDeque::new(),
            fell: None,
            line: None,
            wait: FIRST_TRY,
            heard: None,
        }
    }

    /// More or less is to be sent from now on. What was at its bound stays there.
    pub(super) fn set_bounds(&mut self, bounds: Bounds) {
        let unlimited = self.held >= self.bounds.max;
        self.held = if unlimited { bounds.max } else { self.held.max(bounds.min).min(bounds.max) };
        if self.newest.is_none() {
            self.opening = bounds.opening();
        } else if unlimited && self.opening.is_none() {
            // What there was arrived; of what comes now nobody knows.
            let start =
                self.bounds.max.saturating_add(bounds.start).saturating_sub(self.bounds.start);
            self.opening = (start < bounds.max).then(|| f64::from(start));
        }
        self.bounds = bounds;
    }

    /// Takes a feedback and the estimate that `rtpgccbwe` makes of it; what counts, in bit/s.
    pub(super) fn hear(&mut self, packets: &[Seen], estimate: u32) -> u32 {
        for packet in packets {
            self.take(*packet);
        }
        let Some(now) = self.newest else {
            return self.told();
        };
        self.forget(now);
        let health = self.health(now);
        self.open(health, now);
        let estimate = f64::from(estimate);
        let next = match health {
            Health::Good => self.risen(estimate, now),
            _ if self.since_fall(now) < PATIENCE => f64::from(self.held),
            Health::Loss(share) => f64::from(self.held) * (1.0 - share / 2.0),
            Health::Queue { queue, of } => self.fallen(queue, of, estimate, now),
        };
        self.heard = Some(now);
        let next = self.bounds.clamp(next);
        if next < self.held {
            let queue = if let Health::Queue { queue, .. } = health { queue } else { 0 };
            self.fell = Some(Fall { at: now, queue });
        }
        self.held = next;
        self.told()
    }

    /// What counts now, in bit/s: what is held, as far as that has been opened.
    pub(super) fn told(&self) -> u32 {
        self.opening.map_or(self.held, |open| self.bounds.clamp(open).min(self.held))
    }

    /// Opens a line that nobody knows, until something suffers: what suffers then is what was opened.
    #[allow(clippy::cast_precision_loss)]
    fn open(&mut self, health: Health, now: i64) {
        let Some(open) = self.opening else {
            return;
        };
        let since = self.heard.map_or(0, |heard| now.saturating_sub(heard)).clamp(0, WINDOW);
        let open = open * OPENED_A_SECOND.powf(since as f64 / SECOND as f64);
        if health != Health::Good {
            self.held = self.told();
            self.opening = None;
        } else {
            self.opening = (open < f64::from(self.held)).then_some(open);
        }
    }

    /// ns since the latest fall.
    fn since_fall(&self, now: i64) -> i64 {
        self.fell.map_or(i64::MAX, |fell| now.saturating_sub(fell.at))
    }

    /// What is held where nothing suffers.
    #[allow(clippy::cast_precision_loss)]
    fn risen(&mut self, estimate: f64, now: i64) -> f64 {
        let held = f64::from(self.held);
        let arriving = self.arriving(WINDOW, now);
        self.line = self.line.filter(|line| {
            arriving < BEYOND * line.rate && now.saturating_sub(line.at) < FORGOTTEN
        });
        // What was held back to empty a queue is given back.
        let line = self.line.map_or(0.0, |line| FALL * line.rate);
        let calm = self.since_fall(now);
        let since = self.heard.map_or(0, |heard| now.saturating_sub(heard)).clamp(0, WINDOW);
        let by_itself = if calm > WINDOW {
            let rise = if self.line.is_some() { CAREFUL_RISE_A_SECOND } else { RISE_A_SECOND };
            held * rise.powf(since as f64 / SECOND as f64)
        } else {
            held
        };
        let risen = match self.line {
            None => estimate.max(by_itself).min(UNTRIED * arriving),
            // The estimate runs ahead of what was tried.
            Some(line) if line.is_tried(now) => by_itself.min(BEYOND * arriving),
            Some(_) => held,
        };
        let risen = risen.max(held).max(line);
        let enough = f64::from(self.bounds.enough);
        if risen >= enough {
            if calm > STAYS {
                self.wait = FIRST_TRY;
            }
            risen
        } else if calm > self.wait {
            self.wait = self.wait.saturating_mul(2).min(LATEST_TRY);
            enough
        } else {
            risen
        }
    }

    /// What is held where there is a queue.
    #[allow(clippy::cast_precision_loss)]
    fn fallen(&mut self, queue: i64, of: i64, estimate: f64, now: i64) -> f64 {
        let held = f64::from(self.held);
        let is_full = self.is_slowed(now) || self.lost() > LOSS;
        if self.arriving(WINDOW, now) < LITTLE * held && !is_full {
            // What arrives is less than what could, so it is no measure; but the way is not free.
            return held * FALL;
        }
        // Of the last moments alone: before, the line may have been another one. While the queue goes, less is
        // sent than the line takes: then what it took before counts.
        let arrives = self.arriving(of, now);
        let (line, measured) = match self.line {
            Some(Line { rate, measured, .. })
                if rate > arrives && now.saturating_sub(measured) < GOING =>
            {
                (rate, measured)
            }
            _ => (arrives, now),
        };
        let wait = self.line.map_or(FIRST_RISE, |line| {
            let longer = line.wait.saturating_mul(2).min(LATEST_RISE);
            if line.is_tried(now) { longer } else { line.wait }
        });
        self.line = Some(Line { at: now, rate: line, measured, wait });
        let remains = 1.0 - queue as f64 / EMPTIED as f64;
        let least = remains.clamp(STEEPEST_FALL, FALL) * line;
        // Encoders overshoot, and repairs and headers take their part: still too much.
        let is_useless = held <= least
            && self.since_fall(now) > WINDOW
            && self.fell.is_none_or(|fell| queue >= fell.queue);
        let next = if is_useless {
            held * FALL
        } else if queue <= LONG_QUEUE && estimate < held {
            least.max(estimate).min(held)
        } else {
            least.min(held)
        };
        let enough = f64::from(self.bounds.enough).min(held);
        if is_useless || queue > ENDLESS_QUEUE { next } else { next.max(enough) }
    }

    fn take(&mut self, packet: Seen) {
        if let Some(arrival) = packet.arrival {
            let way = arrival.saturating_sub(packet.departure);
            let known = self.quickest.iter().map(|(_, way)| *way).min();
            if known.is_some_and(|known| (way.saturating_sub(known)).saturating_abs() > CLOCK_JUMP)
            {
                // One of the clocks was set: nothing of before can be compared.
                self.quickest.clear();
                self.packets.clear();
            }
            match self.quickest.back_mut() {
                Some((began, quickest)) if packet.departure.saturating_sub(*began) < SECOND => {
                    *quickest = way.min(*quickest);
                }
                _ => self.quickest.push_back((packet.departure, way)),
            }
        }
        self.newest = Some(self.newest.map_or(packet.departure, |at| at.max(packet.departure)));
        self.packets.push_back(packet);
    }

    fn forget(&mut self, now: i64) {
        self.packets.retain(|packet| now.saturating_sub(packet.departure) <= WINDOW);
        while self.quickest.len() > 1
            && self.quickest.front().is_some_and(|(at, _)| now.saturating_sub(*at) > MEMORY)
        {
            self.quickest.pop_front();
        }
    }

    /// What arrives of what left in the last `time` ns; bit/s, by the browser's clock: a queue gives back what
    /// the line takes.
    #[allow(clippy::cast_precision_loss)]
    fn arriving(&self, time: i64, now: i64) -> f64 {
        let young = || self.packets.iter().filter(|p| now.saturating_sub(p.departure) <= time);
        let arrivals = || young().filter_map(|packet| packet.arrival);
        let (Some(first), Some(last)) = (arrivals().min(), arrivals().max()) else {
            return 0.0;
        };
        let came = young().filter(|packet| packet.arrival.is_some());
        let bytes: u64 = came.map(|packet| u64::from(packet.size)).sum();
        // Of a few packets at once nothing can be said: a second, or what there is of it.
        let span = last.saturating_sub(first).max(WINDOW / 4);
        bytes as f64 * 8.0 * SECOND as f64 / span as f64
    }

    /// Whether packets arrive more slowly than they leave, and for a while: the line gives all it has.
    fn is_slowed(&self, now: i64) -> bool {
        // A way that became longer at one moment shows in one of the two.
        self.is_slow(0..STANDING, now) && self.is_slow(STANDING..2 * STANDING, now)
    }

    /// Whether those that left so long ago arrive more slowly than they left.
    fn is_slow(&self, ages: std::ops::Range<i64>, now: i64) -> bool {
        let seen = self.packets.iter();
        let seen = seen.filter(|p| ages.contains(&now.saturating_sub(p.departure)));
        let seen = seen.filter_map(|packet| Some((packet.departure, packet.arrival?)));
        let (first, last) = (seen.clone().min(), seen.max());
        first.zip(last).is_some_and(|(first, last)| {
            let left = last.0.saturating_sub(first.0);
            let arrived = last.1.saturating_sub(first.1);
            arrived > left.saturating_mul(SLOWER) / 100
        })
    }

    /// By how much none of those that left in the last `time` ns was as quick as the quickest; none where they are
    /// too few to tell.
    fn queue(&self, time: i64, now: i64) -> Option<i64> {
        let quickest = self.quickest.iter().map(|(_, way)| *way).min()?;
        let young = self.packets.iter().filter(|p| now.saturating_sub(p.departure) <= time);
        let ways = young.filter_map(|p| Some(p.arrival?.saturating_sub(p.departure)));
        let (count, least) =
            ways.fold((0, i64::MAX), |(count, least), way| (count + 1, way.min(least)));
        (count >= FEWEST).then(|| least.saturating_sub(quickest))
    }

    /// The share that is lost.
    #[allow(clippy::cast_precision_loss)]
    fn lost(&self) -> f64 {
        let lost = self.packets.iter().filter(|packet| packet.arrival.is_none()).count();
        lost as f64 / self.packets.len().max(1) as f64
    }

    fn health(&self, now: i64) -> Health {
        let share = self.lost();
        let sudden = self.queue(SUDDEN, now).filter(|queue| *queue > SUDDEN);
        if let Some(queue) = self.queue(STANDING, now).filter(|queue| *queue > QUEUE) {
            Health::Queue { queue, of: STANDING }
        } else if let Some(queue) = sudden.filter(|_| self.is_slow(0..SUDDEN, now)) {
            Health::Queue { queue, of: SUDDEN }
        } else if self.packets.len() >= FEWEST_FOR_LOSS && share > LOSS {
            Health::Loss(share)
        } else {
            Health::Good
        }
    }
}

#[cfg(test)]
#[path = "guard_tests.rs"]
mod tests;
