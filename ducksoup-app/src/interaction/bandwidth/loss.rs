// SPDX-License-Identifier: MPL-2.0

//! DuckSoup's loss rule: what a connection can take, by the losses that receiver reports tell of.
//! For `DUCKSOUP_GCC=false`, and for browsers without transport-wide feedback. Pure.
//!
//! | lost of the packets since the last decision | the estimate |
//! |---|---|
//! | more than 10 % | falls by half of that share |
//! | 2 to 10 % | stays |
//! | less than 2 % | rises by 8 % a second |
//!
//! The thresholds and steps are those of the loss-based controller of draft-ietf-rmcat-gcc-02 (6),
//! the rise is its delay-based one's (5.5): without transport-wide feedback nothing else tells of a
//! queue, and a rate that climbs slowly fills it slowly.

use super::guard::Bounds;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

const HIGH: f64 = 0.10;
const LOW: f64 = 0.02;
const RISE_A_SECOND: f64 = 1.08;
/// Packets that are enough for a decision; ours: one loss in fewer would be a catastrophe.
const FEWEST: u32 = 20;
/// Time between two decisions. Ours: browsers report once a second or so of each stream.
const PERIOD: Duration = Duration::from_millis(900);
/// A rise counts no more time than this: who has not reported for long has not approved of anything.
const LONGEST: Duration = Duration::from_secs(2);
/// More packets than this between two reports, or fewer than none, are another stream's (RFC 3550,
/// A.1: `MAX_DROPOUT`), or a lie.
const MOST: u32 = 3000;

/// What a report says of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Reported {
    /// Which stream.
    pub(super) ssrc: u32,
    /// The highest sequence number that came, its cycles included.
    pub(super) highest: u32,
    /// Packets lost since the beginning.
    pub(super) lost: i32,
}

/// See the module.
#[derive(Debug)]
pub(super) struct LossRule {
    bounds: Bounds,
    estimate: f64,
    /// The latest report of each stream.
    streams: BTreeMap<u32, Reported>,
    /// Since the last decision.
    expected: u32,
    lost: u32,
    decided: Option<Instant>,
}

impl LossRule {
    /// Nothing is known: everything is possible until the connection says otherwise.
    #[must_use]
    pub(super) fn new(bounds: Bounds) -> Self {
        Self {
            bounds,
            estimate: f64::from(bounds.max),
            streams: BTreeMap::new(),
            expected: 0,
            lost: 0,
            decided: None,
        }
    }

    /// More or less is to be sent from now on. What was at its bound stays there.
    pub(super) fn set_bounds(&mut self, bounds: Bounds) {
        let unlimited = self.estimate >= f64::from(self.bounds.max);
        self.bounds = bounds;
        self.estimate = if unlimited { f64::from(bounds.max) } else { self.within(self.estimate) };
    }

    /// Takes reports of streams that are really sent; the new estimate in bit/s, when a decision was due.
    pub(super) fn hear(&mut self, reports: &[Reported], now: Instant) -> Option<u32> {
        for report in reports {
            let Some(before) = self.streams.insert(report.ssrc, *report) else {
                continue;
            };
            let expected = report.highest.wrapping_sub(before.highest);
            // Packets that come twice make it less than none.
            let lost = u32::try_from(i64::from(report.lost) - i64::from(before.lost)).unwrap_or(0);
            if (1..=MOST).contains(&expected) {
                self.expected = self.expected.saturating_add(expected);
                self.lost = self.lost.saturating_add(lost.min(expected));
            }
        }
        let since = now.saturating_duration_since(*self.decided.get_or_insert(now));
        if since < PERIOD || self.expected < FEWEST {
            return None;
        }
        let share = f64::from(self.lost) / f64::from(self.expected);
        (self.expected, self.lost, self.decided) = (0, 0, Some(now));
        self.estimate = self.within(if share > HIGH {
            self.estimate * (1.0 - share / 2.0)
        } else if share < LOW {
            self.estimate * RISE_A_SECOND.powf(since.min(LONGEST).as_secs_f64())
        } else {
            self.estimate
        });
        // Within bounds that are u32.
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        Some(self.estimate as u32)
    }

    fn within(&self, estimate: f64) -> f64 {
        estimate.max(f64::from(self.bounds.enough)).min(f64::from(self.bounds.max))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const BOUNDS: Bounds = Bounds { min: 32_000, enough: 150_000, start: 150_000, max: 1_000_000 };

    /// Reports one stream each second, 100 packets, of which so many are lost; the estimates.
    fn after(losses: &[i32]) -> Vec<Option<u32>> {
        let (mut rule, begin) = (LossRule::new(BOUNDS), Instant::now());
        let mut report = Reported { ssrc: 7, highest: 65_000, lost: 0 };
        rule.hear(&[report], begin);
        let seconds = losses.iter().zip(1_u64..);
        let told = seconds.map(|(lost, second)| {
            report.highest += 100;
            report.lost += lost;
            rule.hear(&[report], begin + Duration::from_secs(second))
        });
        told.collect()
    }

    #[test]
    fn the_table_of_the_module_holds() {
        assert_eq!(after(&[0, 0]), [Some(1_000_000), Some(1_000_000)], "as much as there is");
        assert_eq!(after(&[20, 10, 2]), [Some(900_000), Some(900_000), Some(900_000)]);
        assert_eq!(after(&[20, 1]), [Some(900_000), Some(972_000)]);
        assert_eq!(after(&[100; 6]).last(), Some(&Some(150_000)), "no conversation below that");
        assert_eq!(after(&[20, -50]), [Some(900_000), Some(972_000)], "packets came twice");
    }

    #[test]
    fn reports_that_are_absurd_are_no_reports() {
        let (mut rule, begin) = (LossRule::new(BOUNDS), Instant::now());
        let mut at = begin;
        let mut hear = |highest, lost| {
            at += Duration::from_secs(1);
            rule.hear(&[Reported { ssrc: 7, highest, lost }], at)
        };
        assert_eq!(hear(100, 0), None);
        assert_eq!(hear(1_000_000, 900_000), None, "nobody sends so much");
        assert_eq!(hear(900_000, 1_000_000), None, "backwards");
        assert_eq!(hear(900_100, i32::MIN), Some(1_000_000));
        assert_eq!(hear(900_200, i32::MAX), Some(500_000), "no more is lost than was sent");
    }

    #[test]
    fn few_packets_and_many_reports_decide_nothing() {
        let (mut rule, begin) = (LossRule::new(BOUNDS), Instant::now());
        for n in 0..1000 {
            let report = Reported { ssrc: 7, highest: n / 100, lost: 3 };
            let now = begin + Duration::from_millis(u64::from(n));
            assert_eq!(rule.hear(&[report], now), None);
        }
    }

    proptest! {
        #[test]
        fn whatever_is_reported_the_bounds_hold(
            reports in prop::collection::vec((0..3_u32, any::<u32>(), any::<i32>(), 0..5000_u64), 0..100),
        ) {
            let (mut rule, mut now) = (LossRule::new(BOUNDS), Instant::now());
            for (ssrc, highest, lost, wait) in reports {
                now += Duration::from_millis(wait);
                if let Some(estimate) = rule.hear(&[Reported { ssrc, highest, lost }], now) {
                    prop_assert!((BOUNDS.enough..=BOUNDS.max).contains(&estimate));
                }
            }
        }
    }
}
