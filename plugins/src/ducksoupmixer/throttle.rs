// SPDX-License-Identifier: MPL-2.0

//! Many requests for a keyframe become few: one throttle for each source.
//!
//! | state ↓ / input → | repair in the window | newcomer in the window | any, window over | keyframe passes | poll, window over |
//! |---|---|---|---|---|---|
//! | quiet | – | – | ask → asked | quiet | – |
//! | asked | remember | remember | ask → asked | → answered, forget | ask if remembered |
//! | answered | remember | ask → asked | ask → asked | forget | ask if remembered |
//!
//! There is no timer: [`Throttle::poll`] is called at each packet of the source. A source without packets
//! has nothing to show yet.

/// The shortest time between two requests to one source, in ns. A keyframe costs several times a
/// delta frame, and 2–3 a second are known to make freezes worse than one.
pub(super) const WINDOW: u64 = 500_000_000;

/// Why a keyframe is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Urgency {
    /// A receiver lost something.
    Repair,
    /// A receiver shows nothing until it comes.
    Newcomer,
}

/// The requests to one source. Times are in ns of any clock that goes forward.
#[derive(Debug, Default)]
pub(super) struct Throttle {
    state: State,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Never asked.
    #[default]
    Quiet,
    /// Asked, and no keyframe came since.
    Asked { at: u64, again: bool },
    /// Asked, and a keyframe came since.
    Answered { at: u64, again: bool },
}

impl Throttle {
    /// Somebody wants a keyframe; `true`: ask the source now.
    pub(super) fn request(&mut self, urgency: Urgency, now: u64) -> bool {
        let ask = match &mut self.state {
            State::Quiet => true,
            State::Asked { at, .. } | State::Answered { at, .. } if is_over(*at, now) => true,
            State::Answered { .. } if urgency == Urgency::Newcomer => true,
            State::Asked { again, .. } | State::Answered { again, .. } => {
                *again = true;
                false
            }
        };
        if ask {
            self.asked(now);
        }
        ask
    }

    /// A keyframe began: whoever waited has it.
    pub(super) fn keyframe(&mut self) {
        if let State::Asked { at, .. } | State::Answered { at, .. } = self.state {
            self.state = State::Answered { at, again: false };
        }
    }

    /// Whether a remembered request is to be made now.
    pub(super) fn poll(&mut self, now: u64) -> bool {
        let due = match self.state {
            State::Asked { at, again } | State::Answered { at, again } => again && is_over(at, now),
            State::Quiet => false,
        };
        if due {
            self.asked(now);
        }
        due
    }

    /// Whether a request is remembered, so that asking the time of each packet can be spared.
    pub(super) fn is_waiting(&self) -> bool {
        matches!(self.state, State::Asked { again: true, .. } | State::Answered { again: true, .. })
    }

    fn asked(&mut self, now: u64) {
        self.state = State::Asked { at: now, again: false };
    }
}

fn is_over(at: u64, now: u64) -> bool {
    now.saturating_sub(at) >= WINDOW
}

#[cfg(test)]
mod tests {
    use super::*;
    use Urgency::{Newcomer, Repair};

    const MS: u64 = 1_000_000;

    #[test]
    fn the_first_request_goes_out_at_once() {
        assert!(Throttle::default().request(Repair, 0));
    }

    #[test]
    fn a_storm_is_one_request_and_one_more_at_the_end_of_the_window() {
        let mut throttle = Throttle::default();
        let sent = (0..100).filter(|ms| throttle.request(Repair, ms * MS)).count();
        assert_eq!(sent, 1);
        assert!(throttle.is_waiting());
        assert!(!throttle.poll(499 * MS));
        assert!(throttle.poll(500 * MS));
        assert!(!throttle.poll(501 * MS), "once");
        assert!(!throttle.poll(2000 * MS), "nobody waits any more");
    }

    #[test]
    fn a_keyframe_answers_all_who_asked_before_it() {
        let mut throttle = Throttle::default();
        throttle.request(Repair, 0);
        throttle.request(Repair, 10 * MS);
        throttle.keyframe();
        assert!(!throttle.is_waiting());
        assert!(!throttle.poll(600 * MS));
    }

    #[test]
    fn a_loss_after_the_keyframe_waits_for_the_window() {
        let mut throttle = Throttle::default();
        throttle.request(Repair, 0);
        throttle.keyframe();
        assert!(!throttle.request(Repair, 10 * MS));
        assert!(throttle.poll(500 * MS));
    }

    #[test]
    fn a_newcomer_after_the_keyframe_does_not_wait() {
        let mut throttle = Throttle::default();
        throttle.request(Repair, 0);
        throttle.keyframe();
        assert!(throttle.request(Newcomer, 10 * MS));
    }

    #[test]
    fn a_newcomer_before_the_keyframe_shares_it() {
        let mut throttle = Throttle::default();
        throttle.request(Newcomer, 0);
        assert!(!throttle.request(Newcomer, 10 * MS));
        assert!(throttle.poll(500 * MS), "asked again when nothing came");
    }

    #[test]
    fn after_the_window_any_request_goes_out() {
        for urgency in [Repair, Newcomer] {
            let mut throttle = Throttle::default();
            throttle.request(Repair, 0);
            assert!(throttle.request(urgency, 500 * MS));
        }
    }

    #[test]
    fn a_clock_that_jumps_back_asks_for_nothing() {
        let mut throttle = Throttle::default();
        throttle.request(Repair, 1000 * MS);
        assert!(!throttle.request(Repair, 0));
        assert!(!throttle.poll(0));
    }

    #[test]
    fn a_keyframe_that_nobody_asked_for_changes_nothing() {
        let mut throttle = Throttle::default();
        throttle.keyframe();
        assert!(throttle.request(Repair, 0));
    }
}
