// SPDX-License-Identifier: MPL-2.0

//! A random walk over the lifecycle: any inputs, in any order, at any pace. A witness follows the
//! effects and knows what must never happen.
//!
//! One thing the door does see to: a connection joins once.

use super::*;
use proptest::prelude::*;
use proptest::sample::Index;
use std::collections::{BTreeMap, BTreeSet};

const USERS: [&str; 4] = ["a", "b", "c", "d"];
const CAUSES: [LeaveCause; 4] =
    [LeaveCause::Stopped, LeaveCause::Closed, LeaveCause::Lost, LeaveCause::Replaced];
/// More timeouts than any state needs to reach its end: announce, give up on three who are silent,
/// end, give up on files.
const STEPS_TO_EXIT: usize = 7;

#[derive(Debug, Clone)]
enum Step {
    Join {
        user: usize,
        size: u32,
        duration: u32,
    },
    /// These four: of a connection that was once used, whatever became of it.
    Ready(Index),
    Leave(Index, LeaveCause),
    Failed(Index),
    Media(Index, bool),
    Files,
    Timeout,
    Shutdown,
    Wait(u64),
}

fn step() -> impl Strategy<Value = Step> {
    let join = (0..USERS.len(), 1..4_u32, 1..40_u32);
    prop_oneof![
        8 => join.prop_map(|(user, size, duration)| Step::Join { user, size, duration }),
        12 => any::<Index>().prop_map(Step::Ready),
        5 => (any::<Index>(), 0..CAUSES.len())
            .prop_map(|(whose, cause)| Step::Leave(whose, CAUSES[cause])),
        1 => any::<Index>().prop_map(Step::Failed),
        3 => (any::<Index>(), any::<bool>())
            .prop_map(|(whose, flowing)| Step::Media(whose, flowing)),
        1 => Just(Step::Files),
        3 => Just(Step::Timeout),
        1 => prop_oneof![9 => Just(Step::Timeout), 1 => Just(Step::Shutdown)],
        6 => (0..8_000_u64).prop_map(Step::Wait),
    ]
}

/// What one who sees all effects knows.
#[derive(Default)]
struct Witness {
    /// Peers that are up, and whose they are.
    open: BTreeMap<Connection, Identifier>,
    ever_opened: BTreeSet<Connection>,
    /// Connections to which nothing may be said any more.
    closed: BTreeSet<Connection>,
    /// Whom each client takes for present.
    known: BTreeMap<Connection, BTreeSet<Identifier>>,
    told_start: BTreeSet<Connection>,
    t0: Option<Duration>,
    over: bool,
    finishing: bool,
    exited: bool,
}

impl Witness {
    fn see_all(&mut self, effects: &[Effect], now: Duration) {
        for (place, effect) in effects.iter().enumerate() {
            let is_decline = matches!(effect, Effect::Decline(_));
            assert!(!self.exited || is_decline, "after the exit: {effect:?}");
            self.see(effect, now);
            if let Effect::Send { to, message } = effect
                && message.ends_call()
            {
                let next = effects.get(place + 1);
                assert_eq!(next, Some(&Effect::Close(*to)), "after {message:?}");
            }
        }
    }

    fn see(&mut self, effect: &Effect, now: Duration) {
        match effect {
            Effect::Send { to, message } => {
                assert!(!self.closed.contains(to), "too late: {effect:?}");
                self.hear(*to, message, now);
            }
            Effect::Close(connection) => assert!(self.closed.insert(*connection)),
            Effect::Decline(connection) => {
                assert!(self.over);
                assert!(self.closed.insert(*connection));
            }
            Effect::Differs { connection, options } => {
                assert!(!options.is_empty() && !self.open.contains_key(connection));
            }
            Effect::OpenPeer { connection, options, .. } => {
                assert!(!self.over);
                assert!(self.ever_opened.insert(*connection), "opened twice");
                self.open.insert(*connection, options.user.clone());
            }
            Effect::ClosePeer { connection, .. } => {
                assert!(self.open.remove(connection).is_some(), "{effect:?}");
                self.known.remove(connection);
            }
            Effect::Show { to, user } => {
                assert!(self.t0.is_some() && self.open.contains_key(to));
                assert!(self.open.values().any(|open| open == user), "{effect:?}");
            }
            Effect::Hide { to, .. } => assert!(self.t0.is_some() && self.open.contains_key(to)),
            Effect::Record { connection } => {
                assert!(self.t0.is_some() && self.open.contains_key(connection));
            }
            Effect::Start => assert_eq!(self.t0.replace(now), None, "started twice"),
            Effect::FinishFiles(_) => {
                assert!(self.over && !std::mem::replace(&mut self.finishing, true));
            }
            Effect::Over => assert!(!std::mem::replace(&mut self.over, true)),
            Effect::Exit => {
                assert!(self.over);
                assert_eq!(self.open, BTreeMap::new(), "peers left up");
                self.exited = true;
            }
        }
    }

    fn hear(&mut self, to: Connection, message: &ServerMessage, now: Duration) {
        let known = self.known.entry(to).or_default();
        match message {
            ServerMessage::OtherJoined { user, .. } => {
                assert!(known.insert(user.clone()), "{to:?} knows {user}");
            }
            ServerMessage::OtherLeft { user, .. } => {
                assert!(known.remove(user), "{to:?} never heard of {user}");
            }
            ServerMessage::Start { .. } => {
                assert!(self.t0.is_some() && self.told_start.insert(to));
            }
            ServerMessage::Ending => {
                let since = now - self.t0.expect("no end without a start");
                assert!(since >= Duration::from_secs(1));
            }
            ServerMessage::Files(_) | ServerMessage::End => {
                assert!(self.finishing && self.t0.is_some());
            }
            _ => {}
        }
    }
}

/// The lifecycle, its clock and its witness.
struct Walk {
    lifecycle: Lifecycle,
    now: Duration,
    connections: u64,
    witness: Witness,
}

impl Walk {
    fn new() -> Self {
        Self {
            lifecycle: Lifecycle::new(ABORT_DELAY, BLACKOUT, Vec::new()),
            now: Duration::ZERO,
            connections: 0,
            witness: Witness::default(),
        }
    }

    fn step(&mut self, step: &Step) {
        let used = |whose: &Index| {
            let count = usize::try_from(self.connections).expect("few") + 1;
            Connection(whose.index(count) as u64)
        };
        let input = match step {
            Step::Join { user, size, duration } => {
                self.connections += 1;
                Input::Join {
                    connection: Connection(self.connections),
                    options: options(USERS[*user], *size, *duration),
                    ice_servers: Vec::new(),
                }
            }
            Step::Ready(whose) => Input::Ready { connection: used(whose) },
            Step::Leave(whose, cause) => Input::Leave { connection: used(whose), cause: *cause },
            Step::Failed(whose) => Input::Failed { connection: used(whose) },
            Step::Media(whose, flowing) => {
                Input::Media { connection: used(whose), flowing: *flowing }
            }
            Step::Files => Input::FilesFinished(BTreeMap::new()),
            Step::Timeout => Input::Timeout,
            Step::Shutdown => Input::Shutdown,
            Step::Wait(ms) => {
                self.now += Duration::from_millis(*ms);
                return;
            }
        };
        if let Input::Leave { connection, .. } = &input {
            // Its socket is gone already.
            self.witness.closed.insert(*connection);
        }
        let before = rank(&self.lifecycle.phase);
        let effects = self.lifecycle.handle(input, self.now);
        self.witness.see_all(&effects, self.now);
        let after = rank(&self.lifecycle.phase);
        assert!(after >= before || (before, after) == (1, 0), "backwards");
        self.check();
    }

    fn check(&self) {
        let lifecycle = &self.lifecycle;
        let seated = lifecycle.seats.len();
        match lifecycle.phase {
            Phase::Empty { .. } | Phase::Over => assert_eq!(seated, 0),
            Phase::Gathering { terms, .. } => assert!(seated <= terms.size()),
            Phase::Running { terms, .. } => assert_eq!(seated, terms.size()),
            Phase::Finishing { .. } => return,
        }
        // Whoever is in knows exactly who else is; being replaced counts as being in.
        let present =
            |user: &&Identifier| lifecycle.seats[*user].presence != (Presence::Away { told: true });
        let users: BTreeSet<&Identifier> = lifecycle.seats.keys().filter(present).collect();
        // Who has lost the socket hears nothing.
        let heeding =
            |(connection, _): &(&Connection, _)| !self.witness.closed.contains(connection);
        for (connection, user) in self.witness.open.iter().filter(heeding) {
            let known = self.witness.known[connection].iter();
            let expected: Vec<_> = users.iter().filter(|other| **other != user).collect();
            assert!(known.eq(expected.into_iter().copied()), "what {user} knows");
        }
    }

    /// Lets time pass, and nothing else, until the end.
    fn wait_for_exit(&mut self, answer: bool) {
        for _ in 0..STEPS_TO_EXIT {
            let Some(at) = self.lifecycle.next_timeout() else {
                break;
            };
            self.now = self.now.max(at);
            self.step(&Step::Timeout);
            if answer && self.witness.finishing {
                self.step(&Step::Files);
            }
        }
        assert!(self.witness.exited, "a dead end: {:?}", self.lifecycle);
    }
}

/// The order of the phases.
fn rank(phase: &Phase) -> u8 {
    match phase {
        Phase::Empty { .. } => 0,
        Phase::Gathering { .. } => 1,
        Phase::Running { .. } => 2,
        Phase::Finishing { .. } => 3,
        Phase::Over => 4,
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 2000,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn no_walk_breaks_a_rule_or_finds_a_dead_end(
        steps in prop::collection::vec(step(), 0..80),
        answer in any::<bool>(),
        stragglers in prop::collection::vec(step(), 0..8),
    ) {
        let mut walk = Walk::new();
        for step in &steps {
            walk.step(step);
        }
        walk.wait_for_exit(answer);
        for step in &stragglers {
            walk.step(step);
        }
    }
}
