// SPDX-License-Identifier: MPL-2.0

//! Which frame of a short clip is sent next, and with which timestamp, when the clip is played
//! again and again. Pure.
//!
//! Timestamps lie on the grid of the clip's rate and never jump where the clip begins anew. Who
//! could not send for a while leaves a hole and goes on at the present time; who is asked for a
//! keyframe goes on at the clip's next one, as an encoder would make one.

use std::time::Duration;

/// Who is later than this skips what it is late for. Ours: more than a busy machine's hiccup, less
/// than what somebody would call a stall.
const LATE: Duration = Duration::from_millis(200);

/// What a clip looks like from here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Reel {
    /// Frames a second.
    rate: u32,
    /// For each frame, the nearest keyframe that is not before it.
    next_key: Vec<usize>,
}

/// What is sent next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Cut {
    /// Which frame of the clip.
    pub(crate) frame: usize,
    /// Its timestamp.
    pub(crate) at: Duration,
    /// Frames that were due before it and are left out.
    pub(crate) skipped: u64,
}

/// Where one sender is.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Cursor {
    /// Place on the grid.
    slot: u64,
    /// Place in the clip.
    frame: usize,
}

impl Reel {
    /// A clip of `rate` frames a second, of which these are keyframes; at least the first one must
    /// be, or there is nothing to play.
    pub(crate) fn new(rate: u32, keys: &[bool]) -> Option<Self> {
        if rate == 0 || keys.first() != Some(&true) {
            return None;
        }
        let mut next = 0;
        let mut next_key: Vec<usize> = Vec::with_capacity(keys.len());
        for (frame, key) in keys.iter().enumerate().rev() {
            next = if *key { frame } else { next };
            next_key.push(next);
        }
        next_key.reverse();
        Some(Self { rate, next_key })
    }

    fn time(&self, slot: u64) -> Duration {
        // Exact over hours: no product of a rounded frame duration.
        let rate = u64::from(self.rate);
        let nanoseconds = (slot % rate) * 1_000_000_000 / rate;
        Duration::from_secs(slot / rate) + Duration::from_nanos(nanoseconds)
    }

    fn slot(&self, time: Duration) -> u64 {
        let rate = u64::from(self.rate);
        time.as_secs() * rate + u64::from(time.subsec_nanos()) * rate / 1_000_000_000
    }
}

impl Cursor {
    /// The next frame; `now` is the running time, `key_wanted` whether a receiver asks for a
    /// keyframe.
    pub(crate) fn next(&mut self, reel: &Reel, now: Duration, key_wanted: bool) -> Cut {
        let mut skipped = 0;
        if reel.time(self.slot) + LATE < now {
            let present = reel.slot(now);
            skipped = present - self.slot;
            self.slot = present;
        }
        if key_wanted || skipped > 0 {
            self.frame = reel.next_key[self.frame];
        }
        let cut = Cut { frame: self.frame, at: reel.time(self.slot), skipped };
        self.slot += 1;
        self.frame = (self.frame + 1) % reel.next_key.len();
        cut
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    /// Six frames at 25 a second; the first and the fourth are keyframes.
    fn reel() -> Reel {
        Reel::new(25, &[true, false, false, true, false, false]).unwrap()
    }

    #[test]
    fn the_clip_goes_round_and_its_timestamps_go_on() {
        let (reel, mut cursor) = (reel(), Cursor::default());
        for round in 0..3 {
            for frame in 0..6 {
                let at = ms((round * 6 + frame as u64) * 40);
                assert_eq!(cursor.next(&reel, at, false), Cut { frame, at, skipped: 0 });
            }
        }
    }

    #[test]
    fn a_rate_that_divides_no_second_does_not_drift() {
        let reel = Reel::new(30, &[true]).unwrap();
        let mut cursor = Cursor::default();
        let times: Vec<Duration> =
            (0..=30 * 3600).map(|slot| cursor.next(&reel, reel.time(slot), false).at).collect();
        assert_eq!(times[1], Duration::from_nanos(33_333_333));
        assert_eq!(times[30 * 3600], Duration::from_secs(3600));
    }

    #[test]
    fn who_is_asked_for_a_keyframe_sends_the_next_one_at_once() {
        let (reel, mut cursor) = (reel(), Cursor::default());
        let frames: Vec<usize> = [false, false, true, false, true, false, false, false]
            .map(|wanted| cursor.next(&reel, ms(0), wanted).frame)
            .to_vec();
        assert_eq!(frames, [0, 1, 3, 4, 0, 1, 2, 3]);
        assert_eq!(cursor.next(&reel, ms(0), false).at, ms(320), "the time does not jump");
    }

    #[test]
    fn who_was_held_up_leaves_a_hole_and_begins_with_a_keyframe() {
        let (reel, mut cursor) = (reel(), Cursor::default());
        cursor.next(&reel, ms(0), false);
        assert_eq!(cursor.next(&reel, ms(240), false), Cut { frame: 1, at: ms(40), skipped: 0 });
        assert_eq!(
            cursor.next(&reel, ms(1010), false),
            Cut { frame: 3, at: ms(1000), skipped: 23 }
        );
        assert_eq!(cursor.next(&reel, ms(1040), false), Cut { frame: 4, at: ms(1040), skipped: 0 });
    }

    #[test]
    fn what_does_not_begin_with_a_keyframe_cannot_be_played() {
        assert_eq!(Reel::new(25, &[]), None);
        assert_eq!(Reel::new(25, &[false, true]), None);
        assert_eq!(Reel::new(0, &[true]), None);
    }
}
