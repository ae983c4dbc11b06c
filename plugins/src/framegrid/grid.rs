// SPDX-License-Identifier: MPL-2.0

//! Which slot of the grid a frame takes. No GStreamer, no clock: times are nanoseconds of running
//! time, given by the caller.
//!
//! Slot `n` starts at `origin + round(n / rate)` and ends where slot `n + 1` starts; slots before
//! the origin have negative numbers. Slots are settled strictly in order: `next` is the first one
//! that is still open.
//!
//! | a frame's nearest slot is | and | it |
//! |---|---|---|
//! | open | | takes it; open slots before it are missed |
//! | the last settled one | it lies past that slot's start, the sender is no faster than the grid, and *near the border* | takes the next slot |
//! | the last settled one | otherwise | is surplus |
//! | an earlier one | | is late |
//!
//! *Nearest* rather than containing, so that a picture is shown on average neither early nor late
//! against the sound. The second line is for a sender at the grid's own rate whose frames lie near
//! the border of two slots: jitter makes the nearest slot of its frames change at random, which
//! would drop one frame and double another every few frames. With it, such a sender meets at most
//! one repeated picture, and then holds its phase through any jitter under half a slot. A sender
//! faster than the grid is exempt, or all its frames would be placed up to a slot late. So is one that has been moved
//! away from the border for good: *near* it are frames of which jitter makes some cross it, by how they have lain of late.

use std::ops::Range;

/// Nanoseconds of running time; signed because a grid goes on before its origin.
pub(super) type Nanoseconds = i64;

/// One second.
pub(super) const SECOND: Nanoseconds = 1_000_000_000;

/// Frames a second above which a rate is refused: no camera is faster, and a slot stays far longer
/// than the nanosecond it is rounded to.
pub(super) const FASTEST: i32 = 1000;

/// A sender counts as faster than the grid when the mean time between its frames is under this part
/// of a slot: above what jitter makes of a mean over [`MEMORY`] frames, below 25/30.
const FASTER: f64 = 0.9;

/// Frames over which the time between frames is averaged (exponentially).
const MEMORY: f64 = 16.0;

/// Slots a second, a positive fraction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Rate {
    numer: i32,
    denom: i32,
}

impl Rate {
    /// The rate, unless it is zero (variable), negative or faster than [`FASTEST`].
    pub(super) fn new(numer: i32, denom: i32) -> Option<Self> {
        let sensible =
            numer > 0 && denom > 0 && i64::from(numer) <= i64::from(FASTEST) * i64::from(denom);
        sensible.then_some(Self { numer, denom })
    }

    /// Length of a slot, rounded down.
    fn period(self) -> Nanoseconds {
        SECOND * i64::from(self.denom) / i64::from(self.numer)
    }
}

/// Where the slots lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Slots {
    origin: Nanoseconds,
    rate: Rate,
}

impl Slots {
    /// When `slot` starts.
    pub(super) fn start(self, slot: i64) -> Nanoseconds {
        let numer = i128::from(self.rate.numer);
        let doubled = 2 * i128::from(slot) * i128::from(SECOND) * i128::from(self.rate.denom);
        saturate(i128::from(self.origin) + (doubled + numer).div_euclid(2 * numer))
    }

    /// From the start of `slot` to the start of the next one.
    pub(super) fn length(self, slot: i64) -> Nanoseconds {
        self.start(slot + 1) - self.start(slot)
    }

    /// The slot whose start is nearest to `time`.
    fn nearest(self, time: Nanoseconds) -> i64 {
        let period = i128::from(SECOND) * i128::from(self.rate.denom);
        let elapsed = i128::from(time) - i128::from(self.origin);
        let doubled = 2 * elapsed * i128::from(self.rate.numer);
        saturate((doubled + period).div_euclid(2 * period))
    }

    /// The slot that `time` lies in.
    fn containing(self, time: Nanoseconds) -> i64 {
        let nearest = self.nearest(time);
        if self.start(nearest) > time { nearest - 1 } else { nearest }
    }
}

fn saturate(value: i128) -> i64 {
    value.clamp(i64::MIN.into(), i64::MAX.into()) as i64
}

/// What becomes of a frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Placement {
    /// It takes `slot`; the slots of `missed`, all before it, are filled first.
    Takes { missed: Range<i64>, slot: i64 },
    /// The sender is ahead of the grid: its slot has had its frame.
    Surplus,
    /// Its slot was filled while it was on its way.
    Late,
}

/// So many mean deviations from the mean lie what jitter does. Ours: even jitter strays two at most, random jitter rarely three.
const STRAYS: f64 = 3.0;

/// Between a frame and the border of two slots, as a part of a slot, beyond what jitter does. Ours: as near as that, rounded
/// timestamps would decide.
const MARGIN: f64 = 0.05;

/// How far the grid is settled.
#[derive(Debug, Clone, Copy)]
enum Progress {
    /// No frame yet; without an origin the first frame is at slot 0.
    Before { origin: Option<Nanoseconds> },
    /// `next` is the first open slot.
    Counting { slots: Slots, next: i64, pace: Pace, held: Held },
}

/// The mean time between a sender's frames.
#[derive(Debug, Clone, Copy)]
struct Pace {
    last: Nanoseconds,
    mean: f64,
}

impl Pace {
    fn see(&mut self, time: Nanoseconds, period: Nanoseconds) {
        // A gap, or a clock that was set, says nothing about the rate.
        let interval = time.saturating_sub(self.last).clamp(0, 2 * period);
        self.last = time;
        self.mean += (interval as f64 - self.mean) / MEMORY;
    }

    fn is_faster_than(&self, period: Nanoseconds) -> bool {
        self.mean < FASTER * period as f64
    }
}

/// How a sender's frames lie that take the slot behind their nearest one: parts of a slot from the start of the nearest.
#[derive(Debug, Clone, Copy)]
struct Held {
    mean: f64,
    deviation: f64,
}

impl Held {
    /// On the border, as far as is known.
    const NEW: Self = Self { mean: 0.5, deviation: 0.25 };

    /// Sees another one; whether they are near the border still.
    fn see(&mut self, phase: f64) -> bool {
        self.mean += (phase - self.mean) / MEMORY;
        self.deviation += ((phase - self.mean).abs() - self.deviation) / MEMORY;
        self.mean + STRAYS * self.deviation > 0.5 - MARGIN
    }
}

/// The grid of one stream.
#[derive(Debug, Clone)]
pub(super) struct Grid {
    rate: Rate,
    progress: Progress,
}

impl Grid {
    /// A grid on which no slot is settled. Without an `origin` the first frame is it.
    pub(super) fn new(rate: Rate, origin: Option<Nanoseconds>) -> Self {
        Self { rate, progress: Progress::Before { origin } }
    }

    /// The rate the grid has.
    pub(super) fn rate(&self) -> Rate {
        self.rate
    }

    /// Where the slots lie; nobody knows before the first frame.
    pub(super) fn slots(&self) -> Option<Slots> {
        match self.progress {
            Progress::Before { .. } => None,
            Progress::Counting { slots, .. } => Some(slots),
        }
    }

    /// Places a frame captured at `time`.
    pub(super) fn place(&mut self, time: Nanoseconds) -> Placement {
        let period = self.rate.period();
        match &mut self.progress {
            Progress::Before { origin } => {
                let slots = Slots { origin: origin.unwrap_or(time), rate: self.rate };
                // The first slot of running time can start before zero; no timestamp says so.
                let first = slots.containing(-1) + 1;
                let slot = slots.nearest(time).max(first);
                let pace = Pace { last: time, mean: period as f64 };
                let next = slot + 1;
                self.progress = Progress::Counting { slots, next, pace, held: Held::NEW };
                Placement::Takes { missed: slot..slot, slot }
            }
            Progress::Counting { slots, next, pace, held } => {
                pace.see(time, period);
                let nearest = slots.nearest(time);
                let settled = *next - 1;
                let past = time.saturating_sub(slots.start(settled));
                if nearest > settled {
                    *held = Held::NEW;
                    let missed = *next..nearest;
                    *next = nearest + 1;
                    Placement::Takes { missed, slot: nearest }
                } else if nearest < settled {
                    Placement::Late
                } else if past >= 0
                    && !pace.is_faster_than(period)
                    && held.see(past as f64 / period as f64)
                {
                    let slot = *next;
                    *next += 1;
                    Placement::Takes { missed: slot..slot, slot }
                } else {
                    Placement::Surplus
                }
            }
        }
    }

    /// The open slots before `end`, now settled: nothing will come for them.
    pub(super) fn settle_until(&mut self, end: Nanoseconds) -> Range<i64> {
        self.settle(|slots| slots.nearest(end))
    }

    /// The open slots that ended `ceiling` or longer before `now`, now settled.
    pub(super) fn settle_overdue(&mut self, now: Nanoseconds, ceiling: Nanoseconds) -> Range<i64> {
        self.settle(|slots| slots.containing(now.saturating_sub(ceiling)))
    }

    fn settle(&mut self, end: impl FnOnce(Slots) -> i64) -> Range<i64> {
        let Progress::Counting { slots, next, .. } = &mut self.progress else {
            return 0..0;
        };
        let missed = *next..end(*slots).max(*next);
        *next = missed.end;
        missed
    }

    /// When the first open slot counts as missed.
    pub(super) fn deadline(&self, ceiling: Nanoseconds) -> Option<Nanoseconds> {
        match self.progress {
            Progress::Before { .. } => None,
            Progress::Counting { slots, next, .. } => {
                Some(slots.start(next + 1).saturating_add(ceiling))
            }
        }
    }

    /// Moves the grid to another origin. The next slot is then the first of the new grid that starts
    /// after the last settled one started, so each slot from the new origin on is settled once.
    pub(super) fn move_to(&mut self, origin: Nanoseconds) {
        match self.progress {
            Progress::Before { .. } => {
                self.progress = Progress::Before { origin: Some(origin) };
            }
            Progress::Counting { .. } => self.lay(origin, self.rate),
        }
    }

    /// Goes on at another rate, from the same origin.
    pub(super) fn change_rate(&mut self, rate: Rate) {
        if let Progress::Counting { slots, .. } = self.progress {
            self.lay(slots.origin, rate);
        }
        self.rate = rate;
    }

    fn lay(&mut self, origin: Nanoseconds, rate: Rate) {
        let Progress::Counting { slots, next, pace, held } = &mut self.progress else {
            return;
        };
        let settled = slots.start(*next - 1);
        if *slots != (Slots { origin, rate }) {
            *slots = Slots { origin, rate };
            *next = slots.containing(settled) + 1;
            (pace.mean, *held) = (rate.period() as f64, Held::NEW);
        }
    }
}

#[cfg(test)]
#[path = "grid_tests.rs"]
mod tests;
