// SPDX-License-Identifier: MPL-2.0

//! Where every participant of a run stands, and what has been measured. Pure: deeds, news and the
//! time since the run began come in, what to do about them goes out.
//!
//! | input \ life | out | joining | joined | running | over |
//! |---|---|---|---|---|---|
//! | deed: join | → joining; connect | – | – | – | – |
//! | deed: leave, drop | – | → out; leave, vanish | the same | the same | – |
//! | deed: reload | – | → joining; reconnect | the same | the same | – |
//! | deed: control | not sent | not sent | not sent | control | – |
//! | news: joined | – | → joined | – | – | – |
//! | news: started | – | – | → running | – | – |
//! | news: ended | – | → over (failed) | → over (failed) | → over (ended); close | – |
//! | news: failed | – | → over (failed); close | the same | the same | – |
//! | nothing for too long | – | → over (failed); close | the same | the same | – |
//! | interrupt | → over (left) | → over (left); leave | the same | the same | – |
//!
//! Who is out always has a join to come in the plan; when its interaction is over before, it has
//! failed.

use super::gaps::Arrivals;
use super::plan::{Deed, Plan};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Longest wait for `joined`: the server opens a new process within 10 s.
const JOIN_LIMIT: Duration = Duration::from_secs(15);
/// Longest wait for `start`: longer than the server's default abort delay of 15 s, so that its own
/// word comes first.
const START_LIMIT: Duration = Duration::from_secs(45);
/// Longest wait for `end` after the interaction's time: the server finishes files within 20 s.
const END_LIMIT: Duration = Duration::from_secs(30);

/// Sound or picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Medium {
    /// Sound.
    Audio,
    /// Picture.
    Video,
}

/// What a participant hears from the server.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum News {
    /// It is in.
    Joined,
    /// Its call begins, or goes on.
    Started {
        /// What is left of it.
        remaining: Duration,
    },
    /// The call is over.
    Ended,
    /// It cannot take part.
    Failed {
        /// A stable word: the server's `error-…`, or ours.
        kind: String,
        /// A sentence.
        text: String,
    },
    /// A control was refused, for this reason.
    ControlRefused(String),
}

/// What is to be done for a seat.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Act {
    /// Nothing.
    Nothing,
    /// Join with a new connection.
    Connect,
    /// Say `stop`, then close.
    Leave,
    /// Close without a word.
    Vanish,
    /// Close and join again.
    Reconnect,
    /// Send a control.
    Control {
        /// Which knob.
        knob: usize,
        /// To where.
        value: f64,
    },
}

/// How a seat's part ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The server ended the call.
    Ended,
    /// The run was interrupted.
    Left,
    /// See [`News::Failed`].
    Failed {
        /// See there.
        kind: String,
        /// See there.
        text: String,
    },
}

/// Where a seat stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Life {
    /// Not there yet, or away.
    Out,
    /// Has connected.
    Joining {
        /// When.
        since: Duration,
    },
    /// Is in, waits for the call to begin.
    Joined {
        /// When.
        since: Duration,
    },
    /// The call runs.
    Running,
    /// Nothing comes any more.
    Over(Outcome),
}

/// One medium of one sender at one receiver.
#[derive(Debug)]
pub(crate) struct Track {
    /// The seat that receives.
    pub(crate) receiver: usize,
    /// The seat that sends.
    pub(crate) sender: usize,
    /// What.
    pub(crate) medium: Medium,
    /// What arrives; shared with the one that counts.
    pub(crate) arrivals: Arc<Mutex<Arrivals>>,
}

impl Track {
    /// Locked; the lock is held for a few additions only.
    pub(crate) fn arrivals(&self) -> MutexGuard<'_, Arrivals> {
        self.arrivals.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How often what happened, and how long it took.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Tally {
    /// Joins asked for, reconnections included.
    pub(crate) joins: u64,
    /// From connecting to `joined`.
    pub(crate) joined: Vec<Duration>,
    /// From the last `joined` of an interaction to each `start`.
    pub(crate) started: Vec<Duration>,
    /// From a reconnection's `joined` to its `start`.
    pub(crate) restarted: Vec<Duration>,
    /// Left politely, to come back.
    pub(crate) leaves: u64,
    /// Reloaded.
    pub(crate) reloads: u64,
    /// Vanished, to come back.
    pub(crate) drops: u64,
    /// Controls sent.
    pub(crate) controls: u64,
    /// Controls that were planned for a time when the call did not run.
    pub(crate) controls_skipped: u64,
    /// Why controls were refused.
    pub(crate) refusals: Vec<String>,
}

/// An interaction, as far as its participants have heard.
#[derive(Debug, Clone, Copy, Default)]
struct Call {
    /// The last `joined` before it started.
    last_joined: Duration,
    /// When it started and when it ends, from the first `start`: later ones are rounded to seconds.
    runs: Option<(Duration, Duration)>,
}

/// The run.
#[derive(Debug)]
pub(crate) struct Board {
    plan: Plan,
    lives: Vec<Life>,
    calls: Vec<Call>,
    tracks: Vec<Track>,
    tally: Tally,
}

impl Board {
    /// Nobody is there yet.
    pub(crate) fn new(plan: Plan, audio_only: bool) -> Self {
        let media: &[Medium] =
            if audio_only { &[Medium::Audio] } else { &[Medium::Audio, Medium::Video] };
        let mut tracks = Vec::new();
        for receiver in 0..plan.seats.len() {
            for sender in plan.heard_by(receiver) {
                tracks.extend(media.iter().map(|medium| Track {
                    receiver,
                    sender,
                    medium: *medium,
                    arrivals: Arc::default(),
                }));
            }
        }
        let interactions = plan.seats.last().map_or(0, |seat| seat.interaction + 1);
        Self {
            lives: vec![Life::Out; plan.seats.len()],
            calls: vec![Call::default(); interactions],
            plan,
            tracks,
            tally: Tally::default(),
        }
    }

    pub(crate) fn plan(&self) -> &Plan {
        &self.plan
    }

    pub(crate) fn lives(&self) -> &[Life] {
        &self.lives
    }

    pub(crate) fn tracks(&self) -> &[Track] {
        &self.tracks
    }

    pub(crate) fn tally(&self) -> &Tally {
        &self.tally
    }

    /// How many interactions have started.
    pub(crate) fn started(&self) -> usize {
        self.calls.iter().filter(|call| call.runs.is_some()).count()
    }

    /// Whether nothing comes any more.
    pub(crate) fn is_over(&self) -> bool {
        self.lives.iter().all(|life| matches!(life, Life::Over(_)))
    }

    /// A step of the plan is due.
    pub(crate) fn deed(&mut self, now: Duration, seat: usize, deed: Deed) -> Act {
        match (&self.lives[seat], deed) {
            (Life::Out, Deed::Join) if self.interaction_is_over(seat) => {
                self.fail(now, seat, "over", "the interaction was over before it came back");
                Act::Nothing
            }
            (Life::Out, Deed::Join) => {
                self.join(now, seat);
                Act::Connect
            }
            (Life::Joining { .. } | Life::Joined { .. } | Life::Running, Deed::Reload) => {
                self.close(now, seat);
                self.tally.reloads += 1;
                self.join(now, seat);
                Act::Reconnect
            }
            (Life::Joining { .. } | Life::Joined { .. } | Life::Running, Deed::Leave) => {
                self.go(now, seat, Life::Out);
                self.tally.leaves += 1;
                Act::Leave
            }
            (Life::Joining { .. } | Life::Joined { .. } | Life::Running, Deed::Drop) => {
                self.go(now, seat, Life::Out);
                self.tally.drops += 1;
                Act::Vanish
            }
            (Life::Running, Deed::Control { knob, value }) => {
                self.tally.controls += 1;
                Act::Control { knob, value }
            }
            (Life::Over(_), Deed::Control { .. }) => Act::Nothing,
            (_, Deed::Control { .. }) => {
                self.tally.controls_skipped += 1;
                Act::Nothing
            }
            _ => Act::Nothing,
        }
    }

    /// The server says something to a seat.
    pub(crate) fn news(&mut self, now: Duration, seat: usize, news: News) -> Act {
        match (&self.lives[seat], news) {
            (_, News::ControlRefused(reason)) => {
                self.tally.refusals.push(reason);
                Act::Nothing
            }
            (Life::Out | Life::Over(_), _) => Act::Nothing,
            (Life::Joining { since }, News::Joined) => {
                self.tally.joined.push(now.saturating_sub(*since));
                self.lives[seat] = Life::Joined { since: now };
                let call = self.call_mut(seat);
                if call.runs.is_none() {
                    call.last_joined = call.last_joined.max(now);
                }
                self.await_sender(now, seat);
                Act::Nothing
            }
            (Life::Joined { since }, News::Started { remaining }) => {
                let since = *since;
                self.start(now, seat, since, remaining);
                Act::Nothing
            }
            (Life::Running, News::Ended) => {
                self.go(now, seat, Life::Over(Outcome::Ended));
                Act::Vanish
            }
            (_, News::Ended) => {
                self.fail(now, seat, "early-end", "the call ended before it began for this one");
                Act::Vanish
            }
            (_, News::Failed { kind, text }) => {
                self.fail(now, seat, &kind, &text);
                Act::Vanish
            }
            (_, News::Joined | News::Started { .. }) => Act::Nothing,
        }
    }

    /// Gives up on those of whom nothing has been heard for too long.
    pub(crate) fn tick(&mut self, now: Duration) -> Vec<(usize, Act)> {
        let mut acts = Vec::new();
        for seat in 0..self.lives.len() {
            let (limit, kind, text) = match &self.lives[seat] {
                Life::Joining { since } => {
                    (Some(*since + JOIN_LIMIT), "no-joined", "the server never said joined")
                }
                Life::Joined { since } => {
                    (Some(*since + START_LIMIT), "no-start", "the server never said start")
                }
                Life::Running => {
                    let limit = self.end(seat).map(|end| end + END_LIMIT);
                    (limit, "no-end", "the server never said end")
                }
                Life::Out | Life::Over(_) => (None, "", ""),
            };
            if limit.is_some_and(|limit| now > limit) {
                self.fail(now, seat, kind, text);
                acts.push((seat, Act::Vanish));
            }
        }
        acts
    }

    /// Everybody leaves.
    pub(crate) fn interrupt(&mut self, now: Duration) -> Vec<(usize, Act)> {
        let mut acts = Vec::new();
        for seat in 0..self.lives.len() {
            match self.lives[seat] {
                Life::Over(_) => continue,
                Life::Out => {}
                _ => acts.push((seat, Act::Leave)),
            }
            self.go(now, seat, Life::Over(Outcome::Left));
        }
        acts
    }

    fn call_mut(&mut self, seat: usize) -> &mut Call {
        &mut self.calls[self.plan.seats[seat].interaction]
    }

    /// When the seat's call ends, once it has started.
    fn end(&self, seat: usize) -> Option<Duration> {
        self.calls[self.plan.seats[seat].interaction].runs.map(|(_, end)| end)
    }

    fn interaction_is_over(&self, seat: usize) -> bool {
        let interaction = self.plan.seats[seat].interaction;
        let mut lives = self.lives.iter().zip(&self.plan.seats);
        lives.any(|(life, seat)| {
            seat.interaction == interaction && *life == Life::Over(Outcome::Ended)
        })
    }

    fn join(&mut self, now: Duration, seat: usize) {
        self.tally.joins += 1;
        self.lives[seat] = Life::Joining { since: now };
    }

    /// The call begins for a seat: it should receive those who are in.
    fn start(&mut self, now: Duration, seat: usize, joined: Duration, remaining: Duration) {
        let call = self.call_mut(seat);
        let Call { last_joined, runs } = *call;
        call.runs = runs.or(Some((now, now + remaining)));
        match runs {
            Some((start, _)) if joined > start => {
                self.tally.restarted.push(now.saturating_sub(joined));
            }
            _ => self.tally.started.push(now.saturating_sub(last_joined)),
        }
        self.lives[seat] = Life::Running;
        let end = self.end(seat).unwrap_or(now);
        for track in &self.tracks {
            let sends = matches!(self.lives[track.sender], Life::Joined { .. } | Life::Running);
            if track.receiver == seat && sends {
                track.arrivals().expect(now, end);
            }
        }
    }

    /// A sender is in: those whose call runs should receive it.
    fn await_sender(&mut self, now: Duration, seat: usize) {
        let end = self.end(seat).unwrap_or(now);
        for track in &self.tracks {
            if track.sender == seat && self.lives[track.receiver] == Life::Running {
                track.arrivals().expect(now, end);
            }
        }
    }

    fn fail(&mut self, now: Duration, seat: usize, kind: &str, text: &str) {
        let outcome = Outcome::Failed { kind: kind.to_owned(), text: text.to_owned() };
        self.go(now, seat, Life::Over(outcome));
    }

    fn go(&mut self, now: Duration, seat: usize, life: Life) {
        self.close(now, seat);
        self.lives[seat] = life;
    }

    /// A seat sends and receives no more.
    fn close(&mut self, now: Duration, seat: usize) {
        for track in &self.tracks {
            if track.receiver == seat || track.sender == seat {
                track.arrivals().close(now);
            }
        }
    }
}

#[cfg(test)]
#[path = "board_tests.rs"]
mod tests;
