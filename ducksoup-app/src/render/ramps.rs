// SPDX-License-Identifier: MPL-2.0

//! The values that effects were given in a run, held against those of its render. Pure.
//!
//! Both tell a ramp's first and last value and some between. Between two of the render's that belong to a
//! ramp its way is taken as straight, which it is for all that clients can ask for.

use super::table::{Aim, Applied};
use std::collections::BTreeMap;

/// How much earlier or later (ns) the same value may have been set: files tell the times of pictures to
/// the millisecond, and sound is cut into slices of 5 ms (`fxcontrol`).
const SLACK: i64 = 5_000_000;

/// Two values that are further apart (ns) are not of one ramp: it tells one each 100 ms (`fxcontrol`), or at
/// the next picture.
const MOVING: i64 = 200_000_000;

/// How one property went.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Followed {
    /// `effect.property`.
    pub(super) target: String,
    /// How many values the table has of it.
    pub(super) values: usize,
    /// Least and greatest of these, where they are numbers.
    pub(super) range: Option<(f64, f64)>,
    /// The largest difference, and when it was (ns of the run's timeline); for texts 0 or 1.
    pub(super) worst: (f64, i64),
}

impl Followed {
    /// The largest difference as a part of what it moved through, or of the value itself where it
    /// only stepped to one.
    pub(super) fn share(&self) -> f64 {
        let scale = self.range.map_or(1.0, |(least, greatest)| {
            let span = greatest - least;
            if span > 0.0 { span } else { greatest.abs().max(f64::MIN_POSITIVE) }
        });
        self.worst.0 / scale
    }
}

/// Follows each property of the table, in order of time, from `zero` (ns of the run's timeline) on: that is
/// where the file begins, and the render sets what it finds.
pub(super) fn follow(logged: &[Applied], rendered: &[Applied], zero: i64) -> Vec<Followed> {
    let target = |aim: &Aim| format!("{}.{}", aim.effect, aim.property);
    let mut by_target: BTreeMap<String, (Vec<Applied>, Vec<&Applied>)> = BTreeMap::new();
    for applied in logged {
        by_target.entry(target(&applied.aim)).or_default().0.push(applied.clone());
    }
    for applied in rendered {
        if let Some((_, rendered)) = by_target.get_mut(&target(&applied.aim)) {
            rendered.push(applied);
        }
    }
    by_target
        .into_iter()
        .map(|(target, (mut logged, rendered))| {
            begin(&mut logged, rendered.first().map_or(zero, |first| first.onset), zero);
            let numbers = logged.iter().filter_map(number);
            let range = numbers.fold(None, |range, number| {
                let (least, greatest) = range.unwrap_or((number, number));
                Some((f64::min(least, number), f64::max(greatest, number)))
            });
            let mut worst = (0.0, 0);
            for applied in &logged {
                let difference = difference(applied, &rendered);
                if difference > worst.0 {
                    worst = (difference, applied.onset);
                }
            }
            Followed { target, values: logged.len(), range, worst }
        })
        .collect()
}

/// Of the values from before `zero` only one that stood still then is of any use: it holds at `first`.
fn begin(logged: &mut Vec<Applied>, first: i64, zero: i64) {
    let before = logged.partition_point(|applied| applied.onset < zero);
    let Some(last) = before.checked_sub(1) else { return };
    let next = logged.get(before).map_or(i64::MAX, |next| next.onset);
    let stands = next.saturating_sub(logged[last].onset) > MOVING;
    logged[last].onset = logged[last].onset.max(first);
    logged.drain(..if stands { last } else { before });
}

/// How far a value is from where the render was then.
fn difference(logged: &Applied, rendered: &[&Applied]) -> f64 {
    // Where the render was at any time within the slack: the least difference counts.
    let times = [-SLACK, 0, SLACK].map(|slack| logged.onset.saturating_add(slack));
    let near =
        rendered.iter().filter(|applied| applied.onset.abs_diff(logged.onset) <= SLACK as u64);
    let there = times.into_iter().filter_map(|time| at(rendered, time));
    let there = there.chain(near.map(|applied| place(applied)));
    let here = place(logged);
    let apart = |there: Place<'_>| match (here, there) {
        (Place::Number(here), Place::Number(there)) => (here - there).abs(),
        (Place::Text(here), Place::Text(there)) if here == there => 0.0,
        _ => 1.0,
    };
    there.map(apart).reduce(f64::min).unwrap_or(match here {
        Place::Number(number) => number.abs(),
        Place::Text(_) => 1.0,
    })
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Place<'a> {
    Number(f64),
    Text(&'a str),
}

/// The value at a time: on the straight way between two, or the last one before.
fn at<'a>(rendered: &[&'a Applied], time: i64) -> Option<Place<'a>> {
    let behind = rendered.partition_point(|applied| applied.onset <= time);
    let before = rendered.get(behind.checked_sub(1)?)?;
    let Some(next) = rendered.get(behind) else { return Some(place(before)) };
    match (place(before), place(next)) {
        (Place::Number(from), Place::Number(to)) if next.onset > before.onset => {
            #[allow(clippy::cast_precision_loss)] // ns of a run
            let part = (time - before.onset) as f64 / (next.onset - before.onset) as f64;
            Some(Place::Number(from + (to - from) * part))
        }
        (before, _) => Some(before),
    }
}

fn place(applied: &Applied) -> Place<'_> {
    number(applied).map_or(Place::Text(&applied.aim.value), Place::Number)
}

fn number(applied: &Applied) -> Option<f64> {
    applied.aim.value.parse().ok().filter(|number: &f64| number.is_finite())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn applied(values: &[(i64, &str)]) -> Vec<Applied> {
        values
            .iter()
            .map(|(ms, value)| Applied {
                onset: ms * 1_000_000,
                aim: Aim {
                    effect: "fx".into(),
                    property: "pitch".into(),
                    value: (*value).to_owned(),
                },
            })
            .collect()
    }

    #[test]
    fn the_same_ramp_reported_at_other_times_is_the_same() {
        let logged = applied(&[(0, "1"), (100, "1.1"), (200, "1.2"), (1000, "1.2")]);
        let rendered =
            applied(&[(0, "1"), (70, "1.07"), (170, "1.17"), (200, "1.2"), (1003, "1.2")]);
        let followed = follow(&logged, &rendered, 0);
        assert_eq!(followed.len(), 1);
        assert_eq!((followed[0].target.as_str(), followed[0].values), ("fx.pitch", 4));
        assert_eq!(followed[0].range, Some((1.0, 1.2)));
        assert!(followed[0].share() < 1e-9, "{followed:?}");
    }

    #[test]
    fn a_ramp_that_went_elsewhere_is_told_with_its_time() {
        let logged = applied(&[(0, "1"), (100, "1.1"), (200, "1.2")]);
        let followed = follow(&logged, &applied(&[(0, "1"), (200, "1.1")]), 0);
        assert!((followed[0].share() - 0.5).abs() < 1e-9, "{followed:?}");
        assert_eq!(followed[0].worst.1, 200_000_000);
        let followed = follow(&logged, &[], 0);
        assert!((followed[0].worst.0 - 1.2).abs() < 1e-9, "{followed:?}");
    }

    #[test]
    fn words_are_the_same_or_not() {
        let logged = applied(&[(0, "sepia"), (500, "heat")]);
        let same = follow(&logged, &applied(&[(2, "sepia"), (501, "heat")]), 0);
        assert!(same[0].share() == 0.0, "{same:?}");
        let other = follow(&logged, &applied(&[(2, "sepia")]), 0);
        assert!(other[0].share() == 1.0, "{other:?}");
    }

    #[test]
    fn what_stood_still_before_zero_holds_from_the_first_piece_on() {
        let logged = applied(&[(-900, "1"), (-500, "2"), (700, "3")]);
        let followed = follow(&logged, &applied(&[(40, "2"), (700, "3")]), 0);
        assert_eq!((followed[0].values, followed[0].worst.0), (2, 0.0), "{followed:?}");
        let moving = applied(&[(-900, "1"), (-50, "1.9"), (50, "2")]);
        let followed = follow(&moving, &applied(&[(40, "1.99"), (50, "2")]), 0);
        assert_eq!((followed[0].values, followed[0].worst.0), (1, 0.0), "{followed:?}");
    }
}
