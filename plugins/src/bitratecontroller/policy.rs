// SPDX-License-Identifier: MPL-2.0

//! Which bitrate the encoder is told. No GStreamer, no clock: times are nanoseconds, given by the
//! caller; bitrates are bit/s.
//!
//! | the smallest recent estimate, within the limits, is | the target |
//! |---|---|
//! | under 98 % of the target | goes there at once |
//! | from 98 % to 105 % | stays |
//! | above | climbs towards it by at most 1/3, and all the way when 5 % or less would be left |
//!
//! A change comes at the earliest one period after the last one. Only a target outside the limits
//! is brought inside whatever the estimates say.

use std::collections::VecDeque;

/// How long an estimate counts beside newer ones: a receiver reports several times a second, and
/// one low report among high ones is still news a moment later. Ours: no longer, for an encoder that lags behind
/// estimates that rise by 250 % a second shows them nothing of the connection. The newest counts however old it is,
/// since estimators only speak when something changes.
pub(super) const RECENT: u64 = 250_000_000;

/// A climb takes at most this part of the target each period. At the usual period of 250 ms that is
/// 216 % a second: from 300 kbit/s, where a server begins that knows nothing of a connection, to nine tenths of 1.8 Mbit/s
/// in one and a half seconds, where estimates let it: they tell of a queue.
const CLIMB: u32 = 3;

/// An estimate is followed down when it is under this percentage of the target. Ours: below what an
/// encoder's own rate control is exact to, so following costs nothing but restless settings.
const DOWN_PERCENT: u64 = 98;

/// An estimate is followed up when it is above this percentage of the target. Ours: wider than the
/// other side, because being a little low costs a little quality and being a little high costs delay.
const UP_PERCENT: u64 = 105;

/// Between what the target may lie. `max` holds when they contradict each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Limits {
    pub(super) min: u32,
    pub(super) max: u32,
}

impl Limits {
    /// `bitrate`, or the limit that it is beyond.
    pub(super) fn clamp(self, bitrate: u32) -> u32 {
        bitrate.max(self.min).min(self.max)
    }
}

/// What became of the target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Change {
    pub(super) target: u32,
    pub(super) previous: u32,
}

/// The target and what it follows from.
#[derive(Debug)]
pub(super) struct Policy {
    target: u32,
    /// Estimates with their times, oldest first.
    estimates: VecDeque<(u64, u32)>,
    changed: Option<u64>,
}

impl Policy {
    /// Nobody has said anything yet.
    pub(super) fn new(target: u32) -> Self {
        Self { target, estimates: VecDeque::new(), changed: None }
    }

    /// What the encoder is to be told.
    pub(super) fn target(&self) -> u32 {
        self.target
    }

    /// Sets the target by hand. Estimates move it from there.
    pub(super) fn set_target(&mut self, target: u32) -> Option<Change> {
        let previous = std::mem::replace(&mut self.target, target);
        (previous != target).then_some(Change { target, previous })
    }

    /// Somebody downstream can take `bitrate`. 0 and the largest number are what an estimator says
    /// that knows nothing.
    pub(super) fn hear(&mut self, bitrate: u32, now: u64) {
        if bitrate == 0 || bitrate == u32::MAX {
            return;
        }
        // Of two estimates the later and smaller one outlives the other: it alone can matter.
        while self.estimates.back().is_some_and(|last| last.1 >= bitrate) {
            self.estimates.pop_back();
        }
        self.estimates.push_back((now, bitrate));
    }

    /// What changes at `now`.
    pub(super) fn poll(&mut self, limits: Limits, period: u64, now: u64) -> Option<Change> {
        let too_soon = self.changed.is_some_and(|changed| now.saturating_sub(changed) < period);
        if too_soon {
            return None;
        }
        let within = limits.clamp(self.target);
        let next = match self.smallest(now) {
            Some(estimate) => follow(within, limits.clamp(estimate)),
            None => within,
        };
        let change = self.set_target(next)?;
        self.changed = Some(now);
        Some(change)
    }

    fn smallest(&mut self, now: u64) -> Option<u32> {
        // They rise from the front to the back, so the first that is young enough is the smallest.
        while self.estimates.len() > 1
            && self.estimates.front().is_some_and(|(time, _)| now.saturating_sub(*time) >= RECENT)
        {
            self.estimates.pop_front();
        }
        self.estimates.front().map(|(_, bitrate)| *bitrate)
    }
}

/// One step from `target` towards `wanted`.
fn follow(target: u32, wanted: u32) -> u32 {
    if worth_it(target, wanted) {
        let step = target.saturating_add((target / CLIMB).max(1)).min(wanted);
        if worth_it(step, wanted) { step } else { wanted }
    } else {
        target
    }
}

fn worth_it(from: u32, to: u32) -> bool {
    let (from, to) = (u64::from(from), u64::from(to));
    to * 100 < from * DOWN_PERCENT || to * 100 > from * UP_PERCENT
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MS: u64 = 1_000_000;
    const PERIOD: u64 = 250 * MS;
    const LIMITS: Limits = Limits { min: 150_000, max: 1_800_000 };

    fn after(target: u32, estimate: u32) -> u32 {
        let mut policy = Policy::new(target);
        policy.hear(estimate, 0);
        policy.poll(LIMITS, PERIOD, 0);
        policy.target()
    }

    #[test]
    fn the_table_of_the_page_holds() {
        let cases = [
            ("far below", 200_000, 200_000),
            ("below", 783_999, 783_999),
            ("98 %", 784_000, 800_000),
            ("the same", 800_000, 800_000),
            ("105 %", 840_000, 800_000),
            ("above", 840_001, 840_001),
            ("5 % above one step", 1_119_999, 1_119_999),
            ("more than that", 1_120_000, 1_066_666),
            ("far above", 1_800_000, 1_066_666),
            ("under the limits", 5_000, 150_000),
            ("one bit", 1, 150_000),
            ("over the limits", u32::MAX - 1, 1_066_666),
            ("nothing known", 0, 800_000),
            ("no limit known", u32::MAX, 800_000),
        ];
        for (what, estimate, expected) in cases {
            assert_eq!(after(800_000, estimate), expected, "{what}");
        }
    }

    #[test]
    fn without_an_estimate_the_target_stays() {
        let mut policy = Policy::new(800_000);
        for n in 0..100 {
            assert_eq!(policy.poll(LIMITS, PERIOD, n * PERIOD), None);
        }
    }

    #[test]
    fn a_climb_takes_its_time_and_ends_at_the_estimate() {
        let mut policy = Policy::new(400_000);
        // Said once: estimators are silent while nothing changes.
        policy.hear(1_000_000, 0);
        let climb: Vec<u32> = (0..40)
            .filter_map(|n| policy.poll(LIMITS, PERIOD, n * PERIOD))
            .map(|change| change.target)
            .collect();
        assert_eq!(climb.len(), 4);
        assert_eq!(climb[..3], [533_333, 711_110, 948_146]);
        assert_eq!(climb.last(), Some(&1_000_000));
        assert_eq!(policy.target(), 1_000_000);
    }

    #[test]
    fn there_is_one_change_a_period_in_either_direction() {
        let mut policy = Policy::new(800_000);
        policy.hear(600_000, 0);
        let change = policy.poll(LIMITS, PERIOD, 0);
        assert_eq!(change, Some(Change { target: 600_000, previous: 800_000 }));
        policy.hear(400_000, 10 * MS);
        assert_eq!(policy.poll(LIMITS, PERIOD, 249 * MS), None);
        let change = policy.poll(LIMITS, PERIOD, 250 * MS);
        assert_eq!(change.map(|change| change.target), Some(400_000));
    }

    #[test]
    fn the_smallest_of_the_last_moments_counts() {
        let mut policy = Policy::new(800_000);
        policy.hear(700_000, 0);
        policy.hear(300_000, 100 * MS);
        policy.hear(900_000, 200 * MS);
        policy.poll(LIMITS, PERIOD, 200 * MS);
        assert_eq!(policy.target(), 300_000);
        policy.poll(LIMITS, PERIOD, 349 * MS);
        assert_eq!(policy.target(), 300_000);
        // The low one is old; the high one stands although it is old soon.
        policy.poll(LIMITS, PERIOD, 450 * MS);
        assert_eq!(policy.target(), 400_000);
        policy.poll(LIMITS, PERIOD, 9000 * MS);
        assert_eq!(policy.target(), 533_333);
    }

    #[test]
    fn limits_that_move_take_the_target_along() {
        let mut policy = Policy::new(800_000);
        let limits = |min, max| Limits { min, max };
        policy.poll(limits(100_000, 500_000), PERIOD, 0);
        assert_eq!(policy.target(), 500_000);
        policy.poll(limits(600_000, 700_000), PERIOD, PERIOD);
        assert_eq!(policy.target(), 600_000);
        policy.poll(limits(900_000, 400_000), PERIOD, 2 * PERIOD);
        assert_eq!(policy.target(), 400_000);
    }

    #[test]
    fn a_target_set_by_hand_is_where_estimates_start() {
        let mut policy = Policy::new(800_000);
        assert_eq!(policy.set_target(800_000), None);
        assert!(policy.set_target(200_000).is_some());
        policy.hear(1_000_000, 0);
        policy.poll(LIMITS, PERIOD, 0);
        assert_eq!(policy.target(), 266_666);
    }

    #[test]
    fn from_next_to_nothing_a_climb_still_moves() {
        assert_eq!(follow(0, 100), 1);
        assert_eq!(follow(1, 100), 2);
    }

    proptest! {
        #[test]
        fn the_target_stays_within_limits_and_never_runs_ahead_of_the_estimates(
            heard in proptest::collection::vec((0_u64..400, any::<u32>()), 1..100),
        ) {
            let mut policy = Policy::new(800_000);
            let mut now = 0;
            let mut last_change = None;
            let mut highest = 800_000;
            for (wait, bitrate) in heard {
                now += wait * MS;
                policy.hear(bitrate, now);
                if bitrate != u32::MAX {
                    highest = highest.max(LIMITS.clamp(bitrate));
                }
                let before = policy.target();
                if let Some(change) = policy.poll(LIMITS, PERIOD, now) {
                    prop_assert_eq!(change.previous, before);
                    prop_assert!(last_change.is_none_or(|last| now - last >= PERIOD));
                    // 1/3, and 5 % of that for the last step.
                    prop_assert!(f64::from(change.target) <= f64::from(before) * 1.4001);
                    last_change = Some(now);
                }
                prop_assert_eq!(LIMITS.clamp(policy.target()), policy.target());
                prop_assert!(policy.target() <= highest);
            }
        }
    }
}
