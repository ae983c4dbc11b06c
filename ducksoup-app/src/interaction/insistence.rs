// SPDX-License-Identifier: MPL-2.0

//! When a browser is asked for a keyframe once more. Pure.
//!
//! A request is a packet like any other and can be lost. Who waits for the keyframe, a depayloader
//! behind a lost packet, asks once; without another request the picture would stand still, and
//! nothing would be recorded, until something else is lost. So it is repeated until a keyframe
//! comes (RFC 5104, section 4.3.1), each time after twice as long: a keyframe on a slow line takes
//! its time, and a browser that is asked for another one meanwhile takes even more.
//!
//! | state ↓ / input → | asked | packet | keyframe |
//! |---|---|---|---|
//! | content | → waiting, for `FIRST` | – | – |
//! | waiting, not yet due | – | – | → content |
//! | waiting, due | → waiting, for twice as long | ask; → waiting, for twice as long | → content |
//!
//! There is no timer: a browser that sends no packets at all has nothing to show.

use std::time::{Duration, Instant};

/// Wait before the first repetition. Ours: longer than two round trips (RFC 5104) and a keyframe
/// take on all but the slowest lines; what `ducksoupmixer` keeps between requests too.
const FIRST: Duration = Duration::from_millis(500);
/// Longest wait. Ours: 30 kB, a large keyframe, at the least bitrate of 150 kbit/s take 1.6 s.
const LONGEST: Duration = Duration::from_secs(4);

/// The requests to one browser.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Insistence {
    /// Nobody waits for a keyframe.
    #[default]
    Content,
    /// Somebody does.
    Waiting {
        /// Since when.
        since: Instant,
        /// How long, until it is asked for again.
        patience: Duration,
    },
}

impl Insistence {
    /// A request has gone to the browser.
    pub fn asked(&mut self, now: Instant) {
        match *self {
            Self::Content => *self = Self::Waiting { since: now, patience: FIRST },
            Self::Waiting { since, patience } if now >= since + patience => {
                *self = Self::Waiting { since: now, patience: (patience * 2).min(LONGEST) };
            }
            Self::Waiting { .. } => {}
        }
    }

    /// A packet has come: whether it is time to ask again. Whoever does so says it by
    /// [`Self::asked`].
    #[must_use]
    pub fn is_due(&self, now: Instant) -> bool {
        matches!(*self, Self::Waiting { since, patience } if now >= since + patience)
    }

    /// A whole keyframe has come.
    pub fn keyframe(&mut self) {
        *self = Self::Content;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// When it asks again, in ms, if a packet comes every 10 ms for 20 s; requests of others and
    /// keyframes come at these times.
    fn repeated(requests: &[u64], keyframes: &[u64]) -> Vec<u64> {
        let (begin, mut insistence) = (Instant::now(), Insistence::default());
        let mut repeated = Vec::new();
        for ms in (0..20_000).step_by(10) {
            let now = begin + Duration::from_millis(ms);
            if keyframes.contains(&ms) {
                insistence.keyframe();
            }
            if requests.contains(&ms) {
                insistence.asked(now);
            }
            if insistence.is_due(now) {
                repeated.push(ms);
                insistence.asked(now);
            }
        }
        repeated
    }

    #[test]
    fn a_request_is_repeated_until_a_keyframe_comes_and_ever_more_rarely() {
        assert!(repeated(&[], &[]).is_empty());
        assert!(repeated(&[1000], &[1490]).is_empty(), "it came in time");
        assert_eq!(repeated(&[1000], &[1510]), [1500]);
        assert_eq!(repeated(&[1000], &[]), [1500, 2500, 4500, 8500, 12_500, 16_500]);
        assert_eq!(repeated(&[1000], &[3000]), [1500, 2500]);
    }

    #[test]
    fn requests_of_others_in_the_meantime_change_nothing() {
        assert_eq!(repeated(&[1000, 1100, 1400], &[3000]), [1500, 2500]);
        assert_eq!(repeated(&[1000, 1500], &[3000]), [2500], "that one was the repetition");
    }

    #[test]
    fn after_a_keyframe_it_begins_anew() {
        assert_eq!(repeated(&[1000, 5000], &[2600, 5700]), [1500, 2500, 5500]);
        assert!(repeated(&[], &[1000]).is_empty());
    }
}
