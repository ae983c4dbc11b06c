// SPDX-License-Identifier: MPL-2.0

//! The one policy for keyframes: when whoever makes a picture is asked for one. Pure.
//!
//! Everyone who lacks a keyframe says so upstream (`GstForceKeyUnit`): receivers (their PLI and FIR),
//! depayloaders and decoders behind a lost packet, files that begin. Wherever their ways meet stands
//! one [`Requests`]: in front of each source of [`ducksoupmixer`](crate::ducksoupmixer), and in a
//! program where browsers' streams come in. What is encoded here is answered from the encoder, and
//! only what is not goes on to the browser.
//!
//! | state ↓ / input → | repair in the window | newcomer in the window | any, window over | keyframe passes | poll |
//! |---|---|---|---|---|---|
//! | quiet | – | – | ask → asked | quiet | – |
//! | asked | remember | remember | ask → asked | → answered, forget | ask if one is remembered and the window is over, or, where requests get lost, patience |
//! | answered | remember | ask → asked | ask → asked | forget | ask if one is remembered and the window is over |
//!
//! A request that goes over a network can be lost (RFC 5104, 4.3.1). There it is repeated until a
//! keyframe comes, each time after twice as long: a keyframe on a slow line takes its time, and a
//! browser that is asked for another one meanwhile takes even more.
//!
//! There is no timer: [`Requests::poll`] is called at each packet of the source. A source without packets
//! has nothing to show yet.

/// The shortest time between two requests to one source, in ns. A keyframe costs several times a
/// delta frame, and 2–3 a second are known to make freezes worse than one. It is longer than two round
/// trips and a keyframe take on all but the slowest lines (RFC 5104), and than the 300 ms in which
/// Chromium answers none after another one.
pub const WINDOW: u64 = 500_000_000;

/// Longest wait before a request is repeated, in ns. Ours: 30 kB, a large keyframe, at the least bitrate of
/// 150 kbit/s take 1.6 s.
const LONGEST: u64 = 4_000_000_000;

/// The field of a request that a [newcomer](Urgency::Newcomer) makes.
pub const NEWCOMER: &str = "ducksoup-newcomer";

/// Why a keyframe is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Urgency {
    /// Somebody lost something.
    Repair,
    /// Somebody, or a file, shows nothing until it comes.
    Newcomer,
}

impl Urgency {
    /// Why this event asks for a keyframe; `None` when it does not.
    #[must_use]
    pub fn of(event: &gst::EventRef) -> Option<Self> {
        gst_video::UpstreamForceKeyUnitEvent::parse(event).ok()?;
        let newcomer = event.structure().is_some_and(|structure| structure.has_field(NEWCOMER));
        Some(if newcomer { Self::Newcomer } else { Self::Repair })
    }

    /// An event that asks for a keyframe with all headers, for the `count`th time.
    #[must_use]
    pub fn request(self, count: u32) -> gst::Event {
        let event = gst_video::UpstreamForceKeyUnitEvent::builder().all_headers(true).count(count);
        match self {
            Self::Repair => event.build(),
            Self::Newcomer => event.other_field(NEWCOMER, true).build(),
        }
    }
}

/// The requests to one source. Times are in ns of any clock that goes forward.
#[derive(Debug, Default)]
pub struct Requests {
    state: State,
    way: Way,
}

/// How requests reach the source.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// As calls.
    #[default]
    Safe,
    /// As packets.
    Lossy,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Never asked.
    #[default]
    Quiet,
    /// Asked, and no keyframe came since.
    Asked { at: u64, patience: u64, again: bool },
    /// Asked, and a keyframe came since.
    Answered { at: u64, again: bool },
}

impl Requests {
    /// To a source behind a network, where a request may be lost.
    #[must_use]
    pub fn over_a_network() -> Self {
        Self { way: Way::Lossy, ..Self::default() }
    }

    /// Somebody wants a keyframe; `true`: ask the source now.
    pub fn request(&mut self, urgency: Urgency, now: u64) -> bool {
        let ask = match &mut self.state {
            State::Quiet => true,
            State::Asked { at, .. } | State::Answered { at, .. } if is_over(*at, WINDOW, now) => {
                true
            }
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
    pub fn keyframe(&mut self) {
        if let State::Asked { at, .. } | State::Answered { at, .. } = self.state {
            self.state = State::Answered { at, again: false };
        }
    }

    /// Whether the source is to be asked now, for those who had to wait or because nothing came.
    pub fn poll(&mut self, now: u64) -> bool {
        let due = match self.state {
            State::Asked { at, again: true, .. } | State::Answered { at, again: true } => {
                is_over(at, WINDOW, now)
            }
            State::Asked { at, patience, .. } if self.way == Way::Lossy => {
                is_over(at, patience, now)
            }
            State::Asked { .. } | State::Answered { .. } | State::Quiet => false,
        };
        if due {
            self.asked(now);
        }
        due
    }

    /// Whether [`Self::poll`] may have something to do, so that asking the time of each packet can be
    /// spared.
    #[must_use]
    pub fn is_waiting(&self) -> bool {
        match self.state {
            State::Quiet => false,
            State::Asked { again, .. } => again || self.way == Way::Lossy,
            State::Answered { again, .. } => again,
        }
    }

    fn asked(&mut self, now: u64) {
        let patience = match self.state {
            State::Asked { patience, .. } => patience.saturating_mul(2).min(LONGEST),
            State::Quiet | State::Answered { .. } => WINDOW,
        };
        self.state = State::Asked { at: now, patience, again: false };
    }
}

fn is_over(at: u64, window: u64, now: u64) -> bool {
    now.saturating_sub(at) >= window
}

#[cfg(test)]
mod tests {
    use super::*;
    use Urgency::{Newcomer, Repair};

    const MS: u64 = 1_000_000;

    #[test]
    fn the_first_request_goes_out_at_once() {
        assert!(Requests::default().request(Repair, 0));
    }

    #[test]
    fn a_storm_is_one_request_and_one_more_at_the_end_of_the_window() {
        let mut requests = Requests::default();
        let sent = (0..100).filter(|ms| requests.request(Repair, ms * MS)).count();
        assert_eq!(sent, 1);
        assert!(requests.is_waiting());
        assert!(!requests.poll(499 * MS));
        assert!(requests.poll(500 * MS));
        assert!(!requests.poll(501 * MS), "once");
        assert!(!requests.poll(2000 * MS), "nobody waits any more");
    }

    #[test]
    fn a_keyframe_answers_all_who_asked_before_it() {
        let mut requests = Requests::default();
        requests.request(Repair, 0);
        requests.request(Repair, 10 * MS);
        requests.keyframe();
        assert!(!requests.is_waiting());
        assert!(!requests.poll(600 * MS));
    }

    #[test]
    fn a_loss_after_the_keyframe_waits_for_the_window() {
        let mut requests = Requests::default();
        requests.request(Repair, 0);
        requests.keyframe();
        assert!(!requests.request(Repair, 10 * MS));
        assert!(requests.poll(500 * MS));
    }

    #[test]
    fn a_newcomer_after_the_keyframe_does_not_wait() {
        let mut requests = Requests::default();
        requests.request(Repair, 0);
        requests.keyframe();
        assert!(requests.request(Newcomer, 10 * MS));
    }

    #[test]
    fn a_newcomer_before_the_keyframe_shares_it() {
        let mut requests = Requests::default();
        requests.request(Newcomer, 0);
        assert!(!requests.request(Newcomer, 10 * MS));
        assert!(requests.poll(500 * MS), "asked again when nothing came");
    }

    #[test]
    fn after_the_window_any_request_goes_out() {
        for urgency in [Repair, Newcomer] {
            let mut requests = Requests::default();
            requests.request(Repair, 0);
            assert!(requests.request(urgency, 500 * MS));
        }
    }

    #[test]
    fn a_clock_that_jumps_back_asks_for_nothing() {
        let mut requests = Requests::default();
        requests.request(Repair, 1000 * MS);
        assert!(!requests.request(Repair, 0));
        assert!(!requests.poll(0));
    }

    #[test]
    fn a_keyframe_that_nobody_asked_for_changes_nothing() {
        let mut requests = Requests::default();
        requests.keyframe();
        assert!(requests.request(Repair, 0));
    }

    /// When a browser is asked, in ms, if a packet comes every 10 ms for 20 s; wishes and keyframes come
    /// at these times.
    fn asked(wishes: &[u64], keyframes: &[u64]) -> Vec<u64> {
        let mut requests = Requests::over_a_network();
        let mut asked = Vec::new();
        for ms in (0..20_000).step_by(10) {
            if keyframes.contains(&ms) {
                requests.keyframe();
            }
            let wished = wishes.contains(&ms) && requests.request(Repair, ms * MS);
            if wished || (requests.is_waiting() && requests.poll(ms * MS)) {
                asked.push(ms);
            }
        }
        asked
    }

    #[test]
    fn over_a_network_a_request_is_repeated_until_a_keyframe_comes_and_ever_more_rarely() {
        assert!(asked(&[], &[]).is_empty());
        assert_eq!(asked(&[1000], &[1490]), [1000], "it came in time");
        assert_eq!(asked(&[1000], &[1510]), [1000, 1500]);
        let all = [1000, 1500, 2500, 4500, 8500, 12_500, 16_500];
        assert_eq!(asked(&[1000], &[]), all);
        assert_eq!(asked(&[1000, 5000], &[2600, 5700]), [1000, 1500, 2500, 5000, 5500]);
    }

    #[test]
    fn wishes_while_one_is_on_its_way_are_one_more_at_the_end_of_the_window() {
        assert_eq!(asked(&[1000, 1100, 1400], &[1450]), [1000], "all had it");
        assert_eq!(asked(&[1000, 1480], &[1450, 1700]), [1000, 1500], "too late for that one");
        assert!(asked(&(0..20_000).step_by(10).collect::<Vec<_>>(), &[]).len() <= 40);
    }

    #[test]
    fn an_event_tells_why_it_asks() {
        gst::init().expect("GStreamer starts");
        for urgency in [Repair, Newcomer] {
            assert_eq!(Urgency::of(&urgency.request(0)), Some(urgency));
        }
        assert_eq!(Urgency::of(&gst::event::Eos::new()), None);
    }

    proptest::proptest! {
        #[test]
        fn whoever_asks_a_source_is_asked_twice_a_second_but_for_newcomers(
            wishes in proptest::collection::vec((0..300_u64, 0..3_u8), 0..300),
            lossy in proptest::prelude::any::<bool>(),
        ) {
            let mut requests = if lossy { Requests::over_a_network() } else { Requests::default() };
            let (mut now, mut last) = (0, None);
            for (wait, what) in wishes {
                now += wait * MS;
                let asked = match what {
                    0 => requests.request(Repair, now),
                    1 => requests.poll(now),
                    _ => {
                        requests.keyframe();
                        false
                    }
                };
                if asked {
                    proptest::prop_assert!(last.is_none_or(|last| now - last >= WINDOW));
                    last = Some(now);
                }
            }
        }
    }
}
