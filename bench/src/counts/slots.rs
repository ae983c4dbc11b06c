// SPDX-License-Identifier: MPL-2.0

//! Whether pictures lie on the grid that was promised. Pure.

use std::time::Duration;

/// What a wet file's pictures are like.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Slots {
    /// How many there are.
    pub(crate) found: usize,
    /// How many were promised: round(duration × framerate).
    pub(crate) promised: usize,
    /// Most slots from one picture to the next; 1 is none left out.
    pub(crate) widest: u64,
    /// Largest distance of a picture from its slot, in s.
    pub(crate) off: f64,
}

impl Slots {
    /// Looks at the times of all pictures, in s from the file's zero.
    pub(crate) fn new(times: &[f64], duration: Duration, framerate: u32) -> Self {
        let rate = f64::from(framerate);
        let slot = |time: f64| (time * rate).round();
        let off = |time: &f64| (time - slot(*time) / rate).abs();
        // The first picture is at slot 0: what is missing before it counts.
        let before = std::iter::once(-1.0).chain(times.iter().map(|time| slot(*time)));
        let steps = before.zip(times).map(|(before, time)| slot(*time) - before);
        Self {
            found: times.len(),
            promised: (duration.as_secs_f64() * rate).round() as usize,
            widest: steps.fold(0.0, f64::max) as u64,
            off: times.iter().map(off).fold(0.0, f64::max),
        }
    }

    /// Whether it is as promised, in a container that counts time in steps of `tick` s.
    pub(crate) fn is_kept(&self, tick: f64) -> bool {
        // Half a tick, and what floating point adds.
        self.found == self.promised && self.widest == 1 && self.off <= tick / 2.0 + 1e-9
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slots(times: &[f64]) -> Slots {
        Slots::new(times, Duration::from_millis(160), 25)
    }

    #[test]
    fn a_picture_in_each_slot_is_what_was_promised() {
        let exact = slots(&[0.0, 0.04, 0.08, 0.12]);
        assert!(exact.is_kept(0.0) && (exact.found, exact.promised, exact.widest) == (4, 4, 1));
        let near = slots(&[0.0, 0.0404, 0.08, 0.12]);
        assert!(near.is_kept(0.001) && !near.is_kept(0.0001));
        for (what, times, widest) in [
            ("one is missing", &[0.0, 0.04, 0.12][..], 2),
            ("the first is missing", &[0.04, 0.08, 0.12], 2),
            ("the last is missing", &[0.0, 0.04, 0.08], 1),
            ("one too many", &[0.0, 0.04, 0.08, 0.12, 0.16], 1),
            ("two in a slot, one missing", &[0.0, 0.04, 0.04, 0.12], 2),
            ("none", &[], 0),
        ] {
            let slots = slots(times);
            assert!(!slots.is_kept(0.001) && slots.widest == widest, "{what}: {slots:?}");
        }
    }
}
