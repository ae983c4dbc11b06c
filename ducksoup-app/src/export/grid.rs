// SPDX-License-Identifier: MPL-2.0

//! Which picture is shown in which slot of a constant frame rate. Pure.
//!
//! Slot n is at n / framerate. It shows the latest picture that is there by then, or the next one
//! when that lies nearer and less than half a slot ahead: so pictures that were made at this rate
//! keep their places, one a slot, whatever the rounding of their times; and in a gap nobody sees
//! the picture that ends it before its time.

/// Nanoseconds in a second.
pub(crate) const SECOND: i64 = 1_000_000_000;

/// A constant frame rate that begins at `start`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rate {
    /// Of slot 0, in ns.
    pub(crate) start: i64,
    /// Slots a second.
    pub(crate) framerate: u32,
}

impl Rate {
    /// When a slot is, in ns.
    #[allow(clippy::cast_possible_truncation)] // hours in ns fit
    pub(crate) fn time(self, slot: u64) -> i64 {
        let after = i128::from(slot) * i128::from(SECOND) / i128::from(self.framerate);
        self.start + after as i64
    }

    fn half(self) -> i64 {
        SECOND / i64::from(self.framerate) / 2
    }
}

/// From `time` on (ns) this is seen; nothing is black.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Change<T> {
    pub(crate) time: i64,
    pub(crate) seen: Option<T>,
}

/// Goes through changes, slot by slot.
#[derive(Debug)]
pub(crate) struct Picker<T> {
    rate: Rate,
    now: Option<Change<T>>,
    next: Option<Change<T>>,
}

impl<T> Picker<T> {
    /// Before the first change it is black.
    pub(crate) fn new(rate: Rate) -> Self {
        Self { rate, now: None, next: None }
    }

    /// What a slot shows; slots are asked for in their order. `more` gives the changes in theirs.
    pub(crate) fn pick<E>(
        &mut self,
        slot: u64,
        mut more: impl FnMut() -> Result<Option<Change<T>>, E>,
    ) -> Result<Option<&T>, E> {
        let at = self.rate.time(slot);
        loop {
            if self.next.is_none() {
                self.next = more()?;
            }
            let Some(next) = &self.next else { break };
            if next.time > at && !self.is_nearer(next, at) {
                break;
            }
            self.now = self.next.take();
        }
        Ok(self.now.as_ref().and_then(|now| now.seen.as_ref()))
    }

    /// Whether a picture that is yet to come is the one for the slot at `at`.
    fn is_nearer(&self, next: &Change<T>, at: i64) -> bool {
        let ahead = next.time - at;
        let behind = match &self.now {
            Some(Change { time, seen: Some(_) }) => at - time,
            _ => i64::MAX,
        };
        next.seen.is_some() && ahead < self.rate.half() && ahead < behind
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::convert::Infallible;

    const MS: i64 = 1_000_000;

    /// What the slots of 25 a second show, of pictures (or black) at these times in ms.
    fn shown(slots: u64, changes: &[(i64, Option<char>)]) -> String {
        let rate = Rate { start: 0, framerate: 25 };
        let mut picker = Picker::new(rate);
        let mut changes = changes.iter().map(|(ms, seen)| Change { time: ms * MS, seen: *seen });
        let mut slot = |n| {
            let seen = picker.pick(n, || Ok::<_, Infallible>(changes.next()));
            seen.expect("infallible").copied().unwrap_or('.')
        };
        (0..slots).map(&mut slot).collect()
    }

    fn pictures(times: &[i64]) -> Vec<(i64, Option<char>)> {
        times.iter().zip('a'..).map(|(time, name)| (*time, Some(name))).collect()
    }

    #[test]
    fn each_slot_shows_what_was_there() {
        for (what, times, wanted) in [
            ("the same rate", vec![0, 40, 80, 120], "abcd"),
            ("the same rate, off by rounding", vec![1, 39, 81, 119], "abcd"),
            ("the same rate, a third of a slot late", vec![13, 53, 93, 133], "abcd"),
            ("the same rate, a third of a slot early", vec![27, 67, 107], ".abc"),
            ("half the rate", vec![0, 80], "aabb"),
            ("twice the rate", vec![0, 20, 40, 60, 80, 100, 120], "aceg"),
            ("two in a slot: the nearer one", vec![0, 30, 42, 80], "acdd"),
            ("before zero", vec![-100, -10, 40], "bccc"),
            ("a gap: the next one is nearer", vec![0, 99], "aabb"),
            ("a gap: never more than half a slot early", vec![0, 101], "aaab"),
            ("nothing", vec![], "...."),
            ("a late beginning", vec![101], "...a"),
        ] {
            let slots = wanted.len() as u64;
            assert_eq!(shown(slots, &pictures(&times)), wanted, "{what}");
        }
    }

    #[test]
    fn black_comes_in_its_slot_and_never_early() {
        let changes = [(0, Some('a')), (70, None), (141, Some('b'))];
        assert_eq!(shown(5, &changes), "aa..b");
        let changes = [(0, Some('a')), (70, None), (139, Some('b'))];
        assert_eq!(shown(4, &changes), "aa.b");
    }

    #[test]
    fn a_slot_is_never_off_by_a_rounding_that_adds_up() {
        let rate = Rate { start: 5, framerate: 30 };
        assert_eq!(rate.time(0), 5);
        assert_eq!(rate.time(1), 33_333_338);
        assert_eq!(rate.time(30 * 3600), 5 + 3600 * SECOND);
    }
}
