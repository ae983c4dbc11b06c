// SPDX-License-Identifier: MPL-2.0

//! How often something may be done: a bucket of tokens that fills with time. Pure.

use std::time::{Duration, Instant};

/// Holds up to `burst` tokens and gains `rate` of them a second.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Bucket {
    rate: f64,
    burst: f64,
    tokens: f64,
    at: Instant,
}

impl Bucket {
    /// A full bucket; `rate` in tokens a second.
    pub(crate) fn new(rate: f64, burst: f64, now: Instant) -> Self {
        Self { rate, burst, tokens: burst, at: now }
    }

    fn fill(&mut self, now: Instant) {
        let gained = now.saturating_duration_since(self.at).as_secs_f64() * self.rate;
        self.tokens = (self.tokens + gained).min(self.burst);
        self.at = self.at.max(now);
    }

    /// Takes that many tokens, there or not, and says how long to wait until the debt is paid.
    pub(crate) fn owe(&mut self, tokens: f64, now: Instant) -> Duration {
        self.fill(now);
        self.tokens -= tokens;
        Duration::from_secs_f64((-self.tokens / self.rate).max(0.0))
    }

    /// Takes that many tokens, or none when they are not all there.
    pub(crate) fn take(&mut self, tokens: f64, now: Instant) -> bool {
        self.fill(now);
        let there = self.tokens >= tokens;
        if there {
            self.tokens -= tokens;
        }
        there
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many of `asked` single tokens are given, evenly asked for over `over`.
    fn given(bucket: &mut Bucket, start: Instant, asked: u32, over: Duration) -> usize {
        (0..asked).filter(|&i| bucket.take(1.0, start + over * i / asked)).count()
    }

    #[test]
    fn what_stays_below_the_rate_always_passes() {
        let start = Instant::now();
        let mut bucket = Bucket::new(200.0, 200.0, start);
        assert_eq!(given(&mut bucket, start, 1990, Duration::from_secs(10)), 1990);
    }

    #[test]
    fn a_flood_gets_the_burst_and_then_the_rate() {
        let start = Instant::now();
        let mut bucket = Bucket::new(200.0, 200.0, start);
        let given = given(&mut bucket, start, 100_000, Duration::from_secs(10));
        assert!((2190..=2200).contains(&given), "{given}");
    }

    #[test]
    fn a_silence_fills_the_bucket_no_further_than_its_burst() {
        let start = Instant::now();
        let mut bucket = Bucket::new(10.0, 5.0, start);
        let later = start + Duration::from_secs(3600);
        assert!(bucket.take(5.0, later));
        assert!(!bucket.take(1.0, later));
    }

    #[test]
    fn a_debt_is_waited_for() {
        let start = Instant::now();
        let mut bucket = Bucket::new(100.0, 100.0, start);
        assert_eq!(bucket.owe(100.0, start), Duration::ZERO);
        assert_eq!(bucket.owe(50.0, start), Duration::from_millis(500));
        let later = start + Duration::from_millis(500);
        assert_eq!(bucket.owe(0.0, later), Duration::ZERO);
    }

    #[test]
    fn a_clock_that_goes_back_gives_nothing() {
        let start = Instant::now();
        let mut bucket = Bucket::new(1.0, 1.0, start + Duration::from_secs(10));
        assert!(bucket.take(1.0, start + Duration::from_secs(10)));
        assert!(!bucket.take(1.0, start));
        assert!(!bucket.take(1.0, start + Duration::from_secs(10)));
    }
}
