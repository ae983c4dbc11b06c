// SPDX-License-Identifier: MPL-2.0

//! When the picture flashes and the sound beeps. Pure.
//!
//! The events are the same in every run, for every participant and for the page that does the same
//! in a browser (`bench/browsers.mjs`). The times between them are irregular, so that a file tells
//! by itself which of the events it holds.

use std::time::Duration;

/// Pictures a second.
pub(crate) const FRAMERATE: u32 = 25;
/// One picture. Every event begins with one.
pub(crate) const FRAME: Duration = Duration::from_millis(1000 / FRAMERATE as u64);
/// How long the picture is white, in pictures: one that is lost on the way does not hide the flash.
pub(crate) const FLASH: u64 = 3;
/// The shortest time between two events, in pictures. 0.6 s: any jump that a recording may make is
/// less than half of it.
const SHORTEST: u64 = 15;
/// How many different times there are between two events, a picture apart: up to 1.4 s.
const VARIETY: u32 = 21;

/// The pictures with which the events begin, up to the one numbered `limit`.
pub(crate) fn events(limit: u64) -> Vec<u64> {
    let mut at = 0;
    (0..)
        .map(|number| {
            at += SHORTEST + u64::from(scatter(number) % VARIETY);
            at
        })
        .take_while(|at| *at < limit)
        .collect()
}

/// A number that looks like chance (two rounds of multiply and shift); 32 bits, so that JavaScript
/// makes the same.
fn scatter(number: u32) -> u32 {
    let mut x = number.wrapping_add(1).wrapping_mul(2_654_435_761);
    x ^= x >> 15;
    x = x.wrapping_mul(2_246_822_519);
    x ^ (x >> 13)
}

/// When a picture is taken, in seconds of the media clock.
pub(crate) fn seconds(picture: u64) -> f64 {
    picture as f64 / f64::from(FRAMERATE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_events_are_these() {
        // bench/browsers.mjs checks itself against the same numbers.
        assert_eq!(events(200), [25, 60, 93, 112, 138, 162, 191]);
    }

    #[test]
    fn no_four_gaps_in_a_row_come_twice_in_twenty_minutes() {
        let events = events(20 * 60 * u64::from(FRAMERATE));
        let gaps: Vec<u64> = events.windows(2).map(|pair| pair[1] - pair[0]).collect();
        assert!(gaps.iter().all(|gap| (15..36).contains(gap)));
        let mut seen = std::collections::HashSet::new();
        let repeated = gaps.windows(4).filter(|four| !seen.insert(four.to_vec())).count();
        assert!(repeated * 50 < gaps.len(), "{repeated} of {}", gaps.len());
    }
}
