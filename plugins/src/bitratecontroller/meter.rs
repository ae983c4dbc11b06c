// SPDX-License-Identifier: MPL-2.0

//! The rate of what passes. Times are nanoseconds, given by the caller.

use std::collections::VecDeque;

/// What is measured: the bits that passed within this time.
pub(super) const WINDOW: u64 = 1_000_000_000;

/// Counts the bits of the last [`WINDOW`].
#[derive(Debug, Default)]
pub(super) struct Meter {
    passed: VecDeque<(u64, usize)>,
}

impl Meter {
    /// `bytes` pass at `now`.
    pub(super) fn count(&mut self, bytes: usize, now: u64) {
        self.forget_before(now);
        self.passed.push_back((now, bytes));
    }

    /// Bit/s over the window that ends at `now`. In the first second: what has passed so far.
    pub(super) fn rate(&mut self, now: u64) -> u32 {
        self.forget_before(now);
        let bytes: usize = self.passed.iter().map(|(_, bytes)| bytes).sum();
        u32::try_from(bytes.saturating_mul(8)).unwrap_or(u32::MAX)
    }

    fn forget_before(&mut self, now: u64) {
        while self.passed.front().is_some_and(|(time, _)| now.saturating_sub(*time) >= WINDOW) {
            self.passed.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    #[test]
    fn a_steady_stream_has_its_rate() {
        let mut meter = Meter::default();
        for n in 0..100 {
            meter.count(1000, n * 40 * MS);
            if n >= 24 {
                // 25 packets of 1000 bytes a second.
                assert_eq!(meter.rate(n * 40 * MS), 200_000);
            }
        }
    }

    #[test]
    fn the_first_second_counts_what_has_passed() {
        let mut meter = Meter::default();
        assert_eq!(meter.rate(0), 0);
        meter.count(100, 5);
        assert_eq!(meter.rate(5), 800);
    }

    #[test]
    fn what_is_a_second_old_is_forgotten() {
        let mut meter = Meter::default();
        meter.count(100, 0);
        assert_eq!(meter.rate(WINDOW - 1), 800);
        assert_eq!(meter.rate(WINDOW), 0);
        assert!(meter.passed.is_empty());
    }

    #[test]
    fn a_rate_beyond_the_type_is_the_largest() {
        let mut meter = Meter::default();
        meter.count(usize::MAX, 0);
        assert_eq!(meter.rate(0), u32::MAX);
    }
}
