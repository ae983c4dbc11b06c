// SPDX-License-Identifier: MPL-2.0

//! Which event is which, and how far the same event lies apart in two tracks. Pure.

use std::collections::{BTreeMap, HashMap};

/// Width of a vote, in seconds.
const VOTE: f64 = 0.05;
/// An event may lie so far from where it is expected, in seconds: less than half of the shortest
/// time between two (see `schedule`).
const REACH: f64 = 0.28;
/// Fewer events tell nothing.
const FEWEST: usize = 3;

/// When each event is in a track: by its number, in seconds.
pub(crate) type Onsets = BTreeMap<usize, f64>;

/// Finds the numbers of events that were seen at these times; `schedule` tells when each was sent,
/// by another clock. None where they do not fit.
pub(crate) fn identify(seen: &[f64], schedule: &[f64]) -> Onsets {
    let Some(shift) = shift(seen, schedule) else {
        return Onsets::new();
    };
    let mut onsets = Onsets::new();
    for time in seen {
        let sent = time - shift;
        let after = schedule.partition_point(|event| *event < sent);
        let near = [after.checked_sub(1), Some(after)];
        let distance = |number: usize| Some((schedule.get(number)? - sent).abs());
        let near = near.into_iter().flatten().filter_map(|n| Some((distance(n)?, n)));
        if let Some((distance, number)) = near.min_by(|a, b| a.0.total_cmp(&b.0))
            && distance < REACH
        {
            onsets.entry(number).or_insert(*time);
        }
    }
    onsets
}

/// By how much the seen times are later than those of the schedule, as most pairs say.
fn shift(seen: &[f64], schedule: &[f64]) -> Option<f64> {
    let mut votes: HashMap<i64, usize> = HashMap::new();
    for time in seen {
        for event in schedule {
            *votes.entry(((time - event) / VOTE).round() as i64).or_default() += 1;
        }
    }
    // Drift and jitter spread the votes over neighbours.
    let near = |place: i64| (place - 1..=place + 1).filter_map(|near| votes.get(&near)).sum();
    let (count, place): (usize, i64) =
        votes.keys().map(|place| (near(*place), *place)).max_by_key(|(n, at)| (*n, -at.abs()))?;
    (count >= FEWEST && count * 2 > seen.len()).then_some(place as f64 * VOTE)
}

/// How much later each event is in `other` than in `one`: (time in `one`, difference), in seconds.
pub(crate) fn differences(one: &Onsets, other: &Onsets) -> Vec<(f64, f64)> {
    let pair = |(number, time): (&usize, &f64)| Some((*time, other.get(number)? - time));
    one.iter().filter_map(pair).collect()
}

/// Differences in a few figures, in ms.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Summary {
    /// How many there are.
    pub(crate) count: usize,
    /// The middle one, with its sign.
    pub(crate) median: f64,
    /// The middle one of the distances, which have no sign.
    pub(crate) distance: f64,
    /// Of the distances, what 95 % do not exceed.
    pub(crate) p95: f64,
    /// The greatest distance.
    pub(crate) worst: f64,
}

impl Summary {
    /// Of differences in seconds; none of none.
    pub(crate) fn of(differences: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut signed: Vec<f64> = differences.into_iter().map(|d| d * 1_000.0).collect();
        signed.sort_by(f64::total_cmp);
        let mut plain: Vec<f64> = signed.iter().map(|d| d.abs()).collect();
        plain.sort_by(f64::total_cmp);
        Some(Self {
            count: signed.len(),
            median: rank(&signed, 0.5)?,
            distance: rank(&plain, 0.5)?,
            p95: rank(&plain, 0.95)?,
            worst: *plain.last()?,
        })
    }
}

/// The smallest of sorted values that this part of them does not exceed (nearest rank).
fn rank(sorted: &[f64], part: f64) -> Option<f64> {
    let place = (part * sorted.len() as f64).ceil() as usize;
    sorted.get(place.saturating_sub(1)).copied()
}

/// How much a difference grows, in ms a minute: the slope of the straight line nearest to the
/// (time, difference), in seconds, by least squares.
pub(crate) fn drift(points: &[(f64, f64)]) -> Option<f64> {
    if points.len() < FEWEST {
        return None;
    }
    let count = points.len() as f64;
    let mean = |of: fn(&(f64, f64)) -> f64| points.iter().map(of).sum::<f64>() / count;
    let (time, difference) = (mean(|p| p.0), mean(|p| p.1));
    let (mut up, mut across) = (0.0, 0.0);
    for (t, d) in points {
        up += (t - time) * (d - difference);
        across += (t - time) * (t - time);
    }
    (across > 0.0).then(|| up / across * 60_000.0)
}

#[cfg(test)]
mod tests {
    use super::super::schedule;
    use super::*;

    fn schedule(count: u64) -> Vec<f64> {
        schedule::events(count * 25).into_iter().map(schedule::seconds).collect()
    }

    #[test]
    fn events_are_known_by_the_times_between_them() {
        let sent = schedule(120);
        // From the 40th on, by a clock that is 33.3 s behind, 20 ms wrong here and there.
        let wrong = |n: usize| [0.0, 0.02, -0.02][n % 3];
        let seen: Vec<f64> =
            sent.iter().enumerate().skip(40).map(|(n, at)| at - 33.3 + wrong(n)).collect();
        let onsets = identify(&seen, &sent);
        assert_eq!(onsets.len(), seen.len());
        assert_eq!(onsets.first_key_value(), Some((&40, &seen[0])));
        assert_eq!(onsets[&77], seen[37]);
    }

    #[test]
    fn a_lost_event_does_not_move_the_others_and_an_echo_is_no_event() {
        let sent = schedule(60);
        let mut seen: Vec<f64> = sent.iter().map(|at| at + 1.0).collect();
        seen.remove(10);
        seen.insert(20, seen[19] + 0.15);
        let onsets = identify(&seen, &sent);
        assert_eq!(onsets.len(), sent.len() - 1);
        assert!(!onsets.contains_key(&10));
        for (number, time) in onsets {
            assert!((time - sent[number] - 1.0).abs() < 1e-9);
        }
    }

    #[test]
    fn a_clock_that_runs_fast_is_followed_over_ten_minutes() {
        let sent = schedule(600);
        let seen: Vec<f64> = sent.iter().map(|at| at * 1.000_2 + 5.0).collect();
        let onsets = identify(&seen, &sent);
        assert_eq!(onsets.len(), sent.len());
        let own: Onsets = sent.iter().copied().enumerate().collect();
        let drift = drift(&differences(&own, &onsets));
        assert!((drift.unwrap_or_default() - 12.0).abs() < 0.01, "{drift:?}");
    }

    #[test]
    fn what_does_not_fit_is_nothing() {
        let sent = schedule(60);
        let metronome: Vec<f64> = (0..60).map(f64::from).collect();
        assert!(identify(&metronome, &sent).len() * 2 < sent.len());
        assert!(identify(&[], &sent).is_empty());
        assert!(identify(&[1.0, 2.0], &sent).is_empty());
        assert_eq!(Summary::of([]), None);
        assert_eq!(drift(&[(0.0, 1.0), (1.0, 1.0)]), None);
        assert_eq!(drift(&[(1.0, 1.0); 5]), None);
    }

    #[test]
    fn differences_are_summed_up() {
        let one: Onsets = (0..100).map(|n| (n, n as f64)).collect();
        let mut other: Onsets = one.iter().map(|(n, time)| (*n, time - 0.003)).collect();
        other.insert(50, 50.030);
        other.remove(&7);
        let differences = differences(&one, &other);
        assert_eq!(differences.len(), 99);
        let summary = Summary::of(differences.iter().map(|(_, d)| *d)).expect("99");
        let near = |a: f64, b: f64| (a - b).abs() < 1e-6;
        assert!(near(summary.median, -3.0) && near(summary.distance, 3.0), "{summary:?}");
        assert!(near(summary.p95, 3.0) && near(summary.worst, 30.0), "{summary:?}");
        let some = Summary::of([0.001, -0.002, 0.004]).expect("three");
        assert!(near(some.median, 1.0) && near(some.distance, 2.0) && near(some.p95, 4.0));
    }
}
