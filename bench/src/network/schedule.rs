// SPDX-License-Identifier: MPL-2.0

//! What is to happen when. Pure.

use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::time::Instant;

/// Things in the order of their times; of two for one time, the one that was added first.
#[derive(Debug)]
pub(crate) struct Schedule<T> {
    heap: BinaryHeap<Entry<T>>,
    added: u64,
}

#[derive(Debug)]
struct Entry<T> {
    at: Instant,
    number: u64,
    what: T,
}

impl<T> Default for Schedule<T> {
    fn default() -> Self {
        Self { heap: BinaryHeap::new(), added: 0 }
    }
}

impl<T> Schedule<T> {
    /// `what` is to happen at that time.
    pub(crate) fn add(&mut self, at: Instant, what: T) {
        self.heap.push(Entry { at, number: self.added, what });
        self.added += 1;
    }

    /// When the next thing happens.
    pub(crate) fn next(&self) -> Option<Instant> {
        self.heap.peek().map(|entry| entry.at)
    }

    /// What happens now, or should have happened.
    pub(crate) fn due(&mut self, now: Instant) -> Option<T> {
        if self.next()? > now {
            return None;
        }
        self.heap.pop().map(|entry| entry.what)
    }
}

// The greatest comes first out of a heap.
impl<T> Ord for Entry<T> {
    fn cmp(&self, other: &Self) -> Ordering {
        (other.at, other.number).cmp(&(self.at, self.number))
    }
}

impl<T> PartialOrd for Entry<T> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<T> PartialEq for Entry<T> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl<T> Eq for Entry<T> {}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn things_happen_in_the_order_of_their_times_and_not_before() {
        let now = Instant::now();
        let at = |ms| now + Duration::from_millis(ms);
        let mut schedule = Schedule::default();
        for (ms, what) in [(3, "d"), (1, "a"), (2, "b"), (2, "c")] {
            schedule.add(at(ms), what);
        }
        assert_eq!(schedule.due(now), None);
        assert_eq!(schedule.next(), Some(at(1)));
        let done: Vec<_> = std::iter::from_fn(|| schedule.due(at(2))).collect();
        assert_eq!(done, ["a", "b", "c"]);
        assert_eq!(schedule.next(), Some(at(3)));
        assert_eq!(schedule.due(at(9)), Some("d"));
        assert_eq!((schedule.due(at(9)), schedule.next()), (None, None));
    }
}
