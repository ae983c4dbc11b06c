// SPDX-License-Identifier: MPL-2.0

//! So many of something a second, and no more. Pure.

use std::time::Instant;

/// What is left of a ration. It grows back evenly, up to a second's worth.
#[derive(Debug, Clone, Copy)]
pub struct Ration {
    a_second: f64,
    left: f64,
    at: Option<Instant>,
}

impl Ration {
    /// A whole second's worth.
    #[must_use]
    pub fn new(a_second: u32) -> Self {
        Self { a_second: a_second.into(), left: a_second.into(), at: None }
    }

    /// Whether there is one more.
    pub fn take(&mut self, now: Instant) -> bool {
        let since = self.at.map_or(0.0, |at| now.saturating_duration_since(at).as_secs_f64());
        self.at = Some(now);
        self.left = (self.left + since * self.a_second).min(self.a_second);
        let enough = self.left >= 1.0;
        if enough {
            self.left -= 1.0;
        }
        enough
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn who_asks_for_more_gets_that_much_and_who_asks_for_less_gets_all() {
        for (asked_a_second, expected) in [(10, 100), (99, 990), (1000, 1100)] {
            let (mut ration, begin) = (Ration::new(100), Instant::now());
            let times = (0..10 * asked_a_second)
                .map(|number| begin + Duration::from_micros(1_000_000 / asked_a_second * number));
            let given = times.filter(|now| ration.take(*now)).count();
            assert!(given.abs_diff(expected) <= 2, "{given} of {asked_a_second} a second");
        }
    }

    #[test]
    fn a_clock_that_stands_gives_one_second_s_worth() {
        let (mut ration, now) = (Ration::new(100), Instant::now());
        assert_eq!((0..1000).filter(|_| ration.take(now)).count(), 100);
    }
}
