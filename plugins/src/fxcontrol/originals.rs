// SPDX-License-Identifier: MPL-2.0

//! The sham's memory: what entered the effect while `bypass` was on, and which of it belongs in
//! the place of what comes out. Pure.
//!
//! Media keeps its timestamps through an effect, however late it comes out. So what comes out is
//! matched by its timestamp with what went in, and the switch falls on the same instant of the
//! media as if the effect had no delay. Audio is matched to the sample: kept buffers are counted
//! through, and a timestamp only finds the place anew when it leaves the count by more than
//! [`TOLERANCE`], since an effect may round its timestamps.

use std::collections::VecDeque;

/// How far an output's timestamp may stray from the count of samples, in ns. Ours: above every
/// rounding, below what the ear takes for a delay.
const TOLERANCE: u64 = 2_000_000;
/// The most that is kept, in ns: far beyond the latency of any effect one can talk through. Ours.
const KEEP: u64 = 5_000_000_000;
const SECOND: u64 = 1_000_000_000;

/// What takes the place of a part of the output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Instead<B> {
    /// The output itself: it entered while bypass was off.
    Effect,
    /// A kept buffer, from this frame of it on.
    Original(B, u64),
    /// Nothing was kept for it (an echo's tail, say), but the effect must not be heard.
    Silence,
}

/// A part of one output buffer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Part<B> {
    /// First frame of the part in the output, counted at the input's rate.
    pub(super) first: u64,
    /// How many frames.
    pub(super) frames: u64,
    /// What goes there.
    pub(super) instead: Instead<B>,
}

#[derive(Debug)]
struct Kept<B> {
    pts: u64,
    position: i64,
    frames: u64,
    buffer: B,
}

impl<B> Kept<B> {
    fn end(&self) -> i64 {
        self.position.saturating_add_unsigned(self.frames)
    }
}

/// A time in which bypass was on.
#[derive(Debug, Clone, Copy)]
struct Stretch {
    since: (u64, i64),
    until: Option<(u64, i64)>,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Originals<B> {
    kept: VecDeque<Kept<B>>,
    stretches: VecDeque<Stretch>,
    /// The position after the last frame that came out.
    expected: Option<i64>,
    /// Timestamp and position after the last frame kept.
    counted: (u64, i64),
}

impl<B> Default for Originals<B> {
    fn default() -> Self {
        Self { kept: VecDeque::new(), stretches: VecDeque::new(), expected: None, counted: (0, 0) }
    }
}

/// `time` in frames, to the nearest.
fn to_frames(time: u64, rate: u64) -> i64 {
    let frames =
        (u128::from(time) * u128::from(rate) + u128::from(SECOND / 2)) / u128::from(SECOND);
    i64::try_from(frames).unwrap_or(i64::MAX)
}

impl<B: Clone> Originals<B> {
    /// Whether everything that comes out is the effect's.
    pub(super) fn is_idle(&self) -> bool {
        self.stretches.is_empty()
    }

    /// Forgets all: the stream begins anew.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    /// Keeps what enters while bypass is on. `rate` is 0 for video, whose frames count one each.
    pub(super) fn keep(&mut self, pts: u64, frames: u64, rate: u64, buffer: B) {
        let open = self.stretches.back().is_some_and(|last| last.until.is_none());
        if !open {
            let gap = pts.saturating_sub(self.counted.0);
            let position = self.counted.1.saturating_add(to_frames(gap, rate));
            self.counted = (pts, position);
            self.stretches.push_back(Stretch { since: (pts, position), until: None });
        }
        let position = self.counted.1;
        self.counted.1 = position.saturating_add_unsigned(frames);
        self.counted.0 = match rate {
            0 => pts,
            rate => pts.saturating_add(frames.saturating_mul(SECOND) / rate),
        };
        self.kept.push_back(Kept { pts, position, frames, buffer });
        while let Some(first) = self.kept.front()
            && pts.saturating_sub(first.pts) > KEEP
        {
            self.kept.pop_front();
        }
    }

    /// Bypass is off: what has this timestamp is the first to come out of the effect again.
    pub(super) fn stop(&mut self, pts: u64) {
        let position = self.counted.1;
        if let Some(last) = self.stretches.back_mut() {
            last.until.get_or_insert((pts, position));
        }
    }

    /// What takes the place of the video frame with this timestamp. Silence is no frame at all.
    pub(super) fn frame(&mut self, pts: u64) -> Instead<B> {
        self.forget_stretches(|until| until.0 <= pts);
        while self.kept.get(1).is_some_and(|next| next.pts <= pts) {
            self.kept.pop_front();
        }
        let on = self
            .stretches
            .iter()
            .any(|on| on.since.0 <= pts && on.until.is_none_or(|until| pts < until.0));
        match self.kept.front() {
            _ if !on => Instead::Effect,
            Some(kept) if kept.pts <= pts => Instead::Original(kept.buffer.clone(), 0),
            _ => Instead::Silence,
        }
    }

    /// What takes the place of `frames` frames of audio with this timestamp.
    pub(super) fn parts(&mut self, pts: u64, frames: u64, rate: u64) -> Vec<Part<B>> {
        let start = self.position(pts, rate);
        let end = start.saturating_add_unsigned(frames);
        self.expected = Some(end);
        self.forget_stretches(|until| until.1 <= start);
        while self.kept.front().is_some_and(|kept| kept.end() <= start) {
            self.kept.pop_front();
        }
        let mut parts = Vec::new();
        let mut at = start;
        while at < end {
            let (until, instead) = self.instead_at(at);
            let until = until.clamp(at.saturating_add(1), end);
            parts.push(Part { first: at.abs_diff(start), frames: until.abs_diff(at), instead });
            at = until;
        }
        parts
    }

    fn forget_stretches(&mut self, is_over: impl Fn((u64, i64)) -> bool) {
        self.stretches.retain(|on| !on.until.is_some_and(&is_over));
        if self.stretches.is_empty() {
            self.kept.clear();
            self.expected = None;
        }
    }

    /// The place of an output in the count of what was kept.
    fn position(&self, pts: u64, rate: u64) -> i64 {
        let before = self.kept.iter().rev().find(|kept| kept.pts <= pts);
        let anchor = before
            .map(|kept| (kept.pts, kept.position))
            .or_else(|| self.stretches.front().map(|on| on.since))
            .unwrap_or((pts, 0));
        let place = if pts >= anchor.0 {
            anchor.1.saturating_add(to_frames(pts - anchor.0, rate))
        } else {
            anchor.1.saturating_sub(to_frames(anchor.0 - pts, rate))
        };
        match self.expected {
            Some(expected) if (expected - place).abs() <= to_frames(TOLERANCE, rate) => expected,
            _ => place,
        }
    }

    /// What goes to the frame at `at`, and where that ends.
    fn instead_at(&self, at: i64) -> (i64, Instead<B>) {
        if let Some(kept) = self.kept.iter().find(|kept| (kept.position..kept.end()).contains(&at))
        {
            let offset = at.abs_diff(kept.position);
            return (kept.end(), Instead::Original(kept.buffer.clone(), offset));
        }
        let on = self
            .stretches
            .iter()
            .find(|on| on.since.1 <= at && on.until.is_none_or(|until| at < until.1));
        let next_kept = self.kept.iter().map(|kept| kept.position);
        let next_on = self.stretches.iter().map(|on| on.since.1);
        let next = next_kept.chain(next_on).filter(|next| *next > at).min();
        let next = next.unwrap_or(i64::MAX);
        match on {
            Some(on) => (on.until.map_or(next, |until| until.1.min(next)), Instead::Silence),
            None => (next, Instead::Effect),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Instead::{Effect, Original, Silence};

    const RATE: u64 = 1000; // a frame is a millisecond
    const MS: u64 = 1_000_000;

    fn parts(
        originals: &mut Originals<&'static str>,
        ms: u64,
        frames: u64,
    ) -> Vec<(u64, u64, Instead<&'static str>)> {
        let parts = originals.parts(ms * MS, frames, RATE);
        parts.into_iter().map(|part| (part.first, part.frames, part.instead)).collect()
    }

    #[test]
    fn without_bypass_everything_is_the_effects() {
        let mut originals = Originals::default();
        assert!(originals.is_idle());
        assert_eq!(parts(&mut originals, 5, 10), [(0, 10, Effect)]);
        assert_eq!(originals.frame(5), Effect);
    }

    #[test]
    fn the_switch_falls_on_the_instant_in_which_bypass_changed_however_late_the_output_is() {
        let mut originals = Originals::default();
        originals.keep(100 * MS, 20, RATE, "a");
        originals.keep(120 * MS, 20, RATE, "b");
        originals.stop(140 * MS);
        // Out come buffers of 16, of media that went in before, during and after.
        assert_eq!(parts(&mut originals, 90, 16), [(0, 10, Effect), (10, 6, Original("a", 0))]);
        assert_eq!(
            parts(&mut originals, 106, 16),
            [(0, 14, Original("a", 6)), (14, 2, Original("b", 0))]
        );
        assert_eq!(parts(&mut originals, 122, 16), [(0, 16, Original("b", 2))]);
        assert_eq!(parts(&mut originals, 138, 16), [(0, 2, Original("b", 18)), (2, 14, Effect)]);
        assert!(!originals.is_idle());
        assert_eq!(parts(&mut originals, 154, 16), [(0, 16, Effect)]);
        assert!(originals.is_idle());
    }

    #[test]
    fn on_off_on_within_the_effects_latency_keeps_both_times() {
        let mut originals = Originals::default();
        originals.keep(100 * MS, 10, RATE, "a");
        originals.stop(110 * MS);
        originals.keep(130 * MS, 10, RATE, "b");
        assert_eq!(
            parts(&mut originals, 100, 50),
            [
                (0, 10, Original("a", 0)),
                (10, 20, Effect),
                (30, 10, Original("b", 0)),
                (40, 10, Silence)
            ]
        );
    }

    #[test]
    fn timestamps_that_stray_a_little_lose_and_repeat_no_sample() {
        let mut originals = Originals::default();
        for (ms, name) in [(100, "a"), (111, "b"), (120, "c")] {
            originals.keep(ms * MS, 10, RATE, name);
        }
        assert_eq!(parts(&mut originals, 100, 10), [(0, 10, Original("a", 0))]);
        assert_eq!(parts(&mut originals, 110, 10), [(0, 10, Original("b", 0))]);
        assert_eq!(parts(&mut originals, 121, 10), [(0, 10, Original("c", 0))]);
    }

    #[test]
    fn a_gap_in_the_input_is_a_gap_in_the_output() {
        let mut originals = Originals::default();
        originals.keep(100 * MS, 10, RATE, "a");
        originals.keep(160 * MS, 10, RATE, "b");
        assert_eq!(parts(&mut originals, 100, 10), [(0, 10, Original("a", 0))]);
        assert_eq!(parts(&mut originals, 160, 10), [(0, 10, Original("b", 0))]);
    }

    #[test]
    fn a_frame_is_replaced_by_the_one_of_its_time() {
        let mut originals = Originals::default();
        originals.keep(100 * MS, 1, 0, "a");
        originals.keep(140 * MS, 1, 0, "b");
        originals.stop(180 * MS);
        originals.keep(260 * MS, 1, 0, "c");
        for (ms, instead) in [
            (60, Effect),
            (100, Original("a", 0)),
            (139, Original("a", 0)),
            (140, Original("b", 0)),
            (180, Effect),
            (220, Effect),
            (260, Original("c", 0)),
            (300, Original("c", 0)),
        ] {
            assert_eq!(originals.frame(ms * MS), instead, "{ms}");
        }
        originals.stop(300 * MS);
        assert_eq!(originals.frame(300 * MS), Effect);
        assert!(originals.is_idle());
    }

    #[test]
    fn an_effect_that_gives_nothing_out_does_not_fill_the_memory() {
        let mut originals = Originals::default();
        for ms in (0..20_000).step_by(10) {
            originals.keep(ms * MS, 10, RATE, "a");
        }
        assert!(originals.kept.len() <= 501);
        assert_eq!(parts(&mut originals, 0, 10), [(0, 10, Silence)]);
    }
}
