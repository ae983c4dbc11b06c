// SPDX-License-Identifier: MPL-2.0

//! The life of an interaction: who is in, when it starts, when it ends, who is told what.
//!
//! Pure: inputs and `now` in, effects out. Time is a [`Duration`] since the stage was opened.
//!
//! | input \ phase | empty | gathering | running | finishing | over |
//! |---|---|---|---|---|---|
//! | join, seat free | → gathering; joined | joined | error-full | declined | declined |
//! | join, own seat, away | – | joined (reconnection) | joined (reconnection) | declined | declined |
//! | join, user connected | – | error-duplicate | error-duplicate | declined | declined |
//! | ready, others missing | – | noted | start to this one; shown to the others | – | – |
//! | ready, the last one | – | → running; start to all | – | – | – |
//! | leave | – | seat freed, others told; last one: → empty | away, others told | away | – |
//! | socket lost | – | as leave | borne (below) | away | – |
//! | media lost | – | as failed | borne (below) | – | – |
//! | media back | – | – | borne no more | – | – |
//! | failed | – | error-peer-connection, then as leave | the same | – | – |
//! | timeout | → over | → finishing (aborted) | who was borne too long goes; ending; then → finishing (ended) | end; → over | – |
//! | files finished | – | – | – | files, end; → over | – |
//! | shutdown | → over | → finishing (interrupted) | → finishing (interrupted) | – | – |
//!
//! A dash is an input that means nothing there; it changes nothing and has no effect. The tests
//! walk this table cell by cell.
//!
//! `Declined` is no refusal: the door asks a new run. A leave with the cause `replaced` tells the
//! others nothing and keeps the seat, while gathering too: the same user is about to join by
//! another connection. While gathering, this is the only way to be away.
//!
//! While the interaction runs, a participant whose socket is lost without a farewell, or whose media
//! are, is borne for a while (`silence.rs`): nobody hears of it, the peer stays up. Who comes back by
//! another socket takes the seat over, as after `replaced`. When the time is up: without a socket as
//! leave, with one as failed.

mod exchange;
mod seat;

use super::silence::Silence;
use super::terms::Terms;
use ducksoup_signaller::frame::{Connection, LeaveCause};
use ducksoup_signaller::protocol::{
    ErrorCode, IceServer, Identifier, JoinContext, JoinOptions, ServerMessage,
};
pub use exchange::{CloseCause, Effect, Input, Outcome};
use seat::{Presence, Seat};
use std::collections::BTreeMap;
use std::time::Duration;

/// `ending` goes out this long before the end (PROTOCOL, "Server → client").
const ENDING_NOTICE: Duration = Duration::from_secs(15);
/// … but never earlier than this after the start.
const ENDING_FLOOR: Duration = Duration::from_secs(1);
/// t0 lies so long after the moment when everyone is ready: until then recorders, frame rates and
/// encoders must know of it, so that files begin with it. Ours: they are told within milliseconds, on a
/// busy machine within tens of them.
pub const LEAD: Duration = Duration::from_millis(100);
/// Longest wait for files to be finished; ours: finalising takes tens of milliseconds, hashing a
/// long recording a few seconds.
const FINISH_LIMIT: Duration = Duration::from_secs(20);

/// See the table above.
#[derive(Debug, Clone, PartialEq)]
enum Phase {
    Empty { until: Duration },
    Gathering { terms: Terms, deadline: Duration },
    Running { terms: Terms, end: Duration, notice: Option<Duration> },
    Finishing { deadline: Duration, outcome: Outcome },
    Over,
}

/// The pure state of one interaction.
#[derive(Debug)]
pub struct Lifecycle {
    phase: Phase,
    seats: BTreeMap<Identifier, Seat>,
    /// Times each user has connected, whether they have a seat now or not.
    counts: BTreeMap<Identifier, u32>,
    abort_delay: Duration,
    blackout: Duration,
    ice_servers: Vec<IceServer>,
    effects: Vec<Effect>,
}

impl Lifecycle {
    /// A new interaction, at time zero. Clients get `ice_servers`; an incomplete interaction is
    /// aborted `abort_delay` after its first join; silence is borne for `blackout`.
    #[must_use]
    pub fn new(abort_delay: Duration, blackout: Duration, ice_servers: Vec<IceServer>) -> Self {
        Self {
            phase: Phase::Empty { until: abort_delay },
            seats: BTreeMap::new(),
            counts: BTreeMap::new(),
            abort_delay,
            blackout,
            ice_servers,
            effects: Vec::new(),
        }
    }

    /// Takes one input and says what follows from it.
    pub fn handle(&mut self, input: Input, now: Duration) -> Vec<Effect> {
        match input {
            Input::Join { connection, options, ice_servers } => {
                self.join(connection, options, ice_servers, now);
            }
            Input::Ready { connection } => self.ready(connection, now),
            Input::Leave { connection, cause } => self.socket_gone(connection, cause, now),
            Input::Media { connection, flowing } => self.media(connection, flowing, now),
            Input::Failed { connection } => self.failed(connection, now),
            Input::FilesFinished(files) => self.conclude(Some(&files)),
            Input::Timeout => self.timeout(now),
            Input::Shutdown => self.shutdown(now),
        }
        std::mem::take(&mut self.effects)
    }

    /// When [`Input::Timeout`] is wanted.
    #[must_use]
    pub fn next_timeout(&self) -> Option<Duration> {
        match self.phase {
            Phase::Empty { until } => Some(until),
            Phase::Gathering { deadline, .. } | Phase::Finishing { deadline, .. } => Some(deadline),
            Phase::Running { end, notice, .. } => {
                let borne = self.seats.values().filter_map(|seat| seat.silence.until()).min();
                let next = notice.unwrap_or(end);
                Some(borne.map_or(next, |until| until.min(next)))
            }
            Phase::Over => None,
        }
    }

    /// The connection of a user, when connected.
    #[must_use]
    pub fn connection_of(&self, user: &Identifier) -> Option<Connection> {
        self.seats.get(user)?.presence.connection()
    }

    /// The user of a connection, when in.
    #[must_use]
    pub fn user_of(&self, connection: Connection) -> Option<&Identifier> {
        self.seats
            .iter()
            .find(|(_, seat)| seat.presence.connection() == Some(connection))
            .map(|(user, _)| user)
    }

    fn join(
        &mut self,
        connection: Connection,
        mut options: Box<JoinOptions>,
        own_servers: Vec<IceServer>,
        now: Duration,
    ) {
        let terms = match self.phase {
            Phase::Empty { .. } => {
                let terms = Terms::of(&options);
                self.phase = Phase::Gathering { terms, deadline: now + self.abort_delay };
                terms
            }
            Phase::Gathering { terms, .. } | Phase::Running { terms, .. } => terms,
            Phase::Finishing { .. } | Phase::Over => {
                self.effects.push(Effect::Decline(connection));
                return;
            }
        };
        self.take_over(&options.user, now);
        let context = match self.seats.get(&options.user).map(|seat| seat.presence) {
            Some(Presence::Connecting(_) | Presence::Ready(_)) => {
                return self.refuse(connection, ErrorCode::Duplicate);
            }
            None if self.seats.len() >= terms.size() => {
                return self.refuse(connection, ErrorCode::Full);
            }
            None if self.seats.is_empty() => JoinContext::NewInteraction,
            None if !self.counts.contains_key(&options.user) => JoinContext::ExistingInteraction,
            None | Some(Presence::Away { .. }) => JoinContext::Reconnection,
        };
        let news = !matches!(
            self.seats.get(&options.user).map(|seat| seat.presence),
            Some(Presence::Away { told: false })
        );
        let user = options.user.clone();
        let stream_id = format!("stream-{user}");
        let count = self.counts.entry(user.clone()).or_default();
        *count += 1;
        let count = *count;
        let seat = Seat {
            presence: Presence::Connecting(connection),
            silence: Silence::None,
            stream_id: stream_id.clone(),
        };
        self.seats.insert(user.clone(), seat);

        let mut ice_servers = self.ice_servers.clone();
        ice_servers.extend(own_servers);
        let joined = ServerMessage::Joined { context, ice_servers };
        self.send(connection, joined);
        for (other, other_stream, presence) in self.company(&user) {
            self.send(
                connection,
                ServerMessage::OtherJoined { user: other, stream_id: other_stream },
            );
            if news && let Some(other_connection) = presence.connection() {
                self.send(
                    other_connection,
                    ServerMessage::OtherJoined { user: user.clone(), stream_id: stream_id.clone() },
                );
            }
        }
        let differing = terms.impose(&mut options);
        if !differing.is_empty() {
            self.effects.push(Effect::Differs { connection, options: differing });
        }
        self.effects.push(Effect::OpenPeer { connection, options, stream_id, count });
    }

    /// Somebody comes back by another socket than the lost one, whose media end.
    fn take_over(&mut self, user: &Identifier, now: Duration) {
        if let Some(seat) = self.seats.get(user)
            && seat.silence.is_deaf()
            && let Some(lost) = seat.presence.connection()
        {
            self.leave(lost, CloseCause::Left(LeaveCause::Replaced), now);
        }
    }

    /// A socket is gone: while the interaction runs, who did not say farewell is borne.
    fn socket_gone(&mut self, connection: Connection, cause: LeaveCause, now: Duration) {
        let limit = now + self.blackout;
        match (self.seat_mut(connection), cause) {
            (Some(seat), LeaveCause::Lost) => seat.silence = seat.silence.without_socket(limit),
            _ => self.leave(connection, CloseCause::Left(cause), now),
        }
    }

    fn media(&mut self, connection: Connection, flowing: bool, now: Duration) {
        let limit = now + self.blackout;
        match self.seat_mut(connection) {
            Some(seat) if flowing => seat.silence = seat.silence.with_media(),
            Some(seat) => seat.silence = seat.silence.without_media(limit),
            None if flowing => {}
            None => self.failed(connection, now),
        }
    }

    /// The seat of a connection, while the interaction runs.
    fn seat_mut(&mut self, connection: Connection) -> Option<&mut Seat> {
        let running = matches!(self.phase, Phase::Running { .. });
        let mut seats = self.seats.values_mut();
        seats.find(|seat| running && seat.presence.connection() == Some(connection))
    }

    /// Those whose silence is borne no longer.
    fn give_up(&mut self, now: Duration) {
        let late: Vec<_> = self
            .seats
            .values()
            .filter(|seat| seat.silence.until().is_some_and(|until| until <= now))
            .filter_map(|seat| Some((seat.presence.connection()?, seat.silence.is_deaf())))
            .collect();
        for (connection, deaf) in late {
            match deaf {
                true => self.leave(connection, CloseCause::Left(LeaveCause::Lost), now),
                false => self.failed(connection, now),
            }
        }
    }

    fn ready(&mut self, connection: Connection, now: Duration) {
        let Some(user) = self.user_of(connection).cloned() else {
            return;
        };
        let Some(seat) = self.seats.get_mut(&user) else {
            return;
        };
        if seat.presence == Presence::Ready(connection) {
            return;
        }
        seat.presence = Presence::Ready(connection);
        match self.phase {
            Phase::Gathering { terms, .. } => {
                if self.ready_connections().len() == terms.size() {
                    self.start(terms, now);
                }
            }
            Phase::Running { terms, end, .. } => self.resume(&user, connection, terms, end, now),
            Phase::Empty { .. } | Phase::Finishing { .. } | Phase::Over => {}
        }
    }

    /// Everyone is ready: the interaction starts.
    fn start(&mut self, terms: Terms, now: Duration) {
        let zero = now + LEAD;
        let end = zero + terms.duration();
        let notice = zero + terms.duration().saturating_sub(ENDING_NOTICE).max(ENDING_FLOOR);
        self.phase = Phase::Running { terms, end, notice: (notice < end).then_some(notice) };
        self.effects.push(Effect::Start);
        let ready = self.ready_connections();
        let remaining = seconds(terms.duration());
        for (_, connection) in &ready {
            self.effects.push(Effect::Record { connection: *connection });
            self.send(*connection, ServerMessage::Start { remaining });
        }
        for (receiver, to) in &ready {
            for (source, _) in &ready {
                if source != receiver || terms.size() == 1 {
                    self.effects.push(Effect::Show { to: *to, user: source.clone() });
                }
            }
        }
    }

    /// One who came back is ready: the others see them again, and they the others.
    fn resume(
        &mut self,
        user: &Identifier,
        connection: Connection,
        terms: Terms,
        end: Duration,
        now: Duration,
    ) {
        self.effects.push(Effect::Record { connection });
        self.send(connection, ServerMessage::Start { remaining: seconds(end.saturating_sub(now)) });
        for (other, to) in self.ready_connections() {
            if other != *user {
                self.effects.push(Effect::Show { to: connection, user: other });
                self.effects.push(Effect::Show { to, user: user.clone() });
            } else if terms.size() == 1 {
                self.effects.push(Effect::Show { to, user: other });
            }
        }
    }

    fn leave(&mut self, connection: Connection, cause: CloseCause, now: Duration) {
        let Some(user) = self.user_of(connection).cloned() else {
            return;
        };
        let told = cause != CloseCause::Left(LeaveCause::Replaced);
        let stream_id = match self.seats.get_mut(&user) {
            Some(seat) => {
                seat.presence = Presence::Away { told };
                seat.silence = Silence::None;
                seat.stream_id.clone()
            }
            None => return,
        };
        if told && !self.is_closing() {
            let running = matches!(self.phase, Phase::Running { .. });
            let others = self.connections().into_iter();
            for (_, to) in others.filter(|(other, _)| *other != user) {
                self.send(
                    to,
                    ServerMessage::OtherLeft { user: user.clone(), stream_id: stream_id.clone() },
                );
                if running {
                    self.effects.push(Effect::Hide { to, user: user.clone() });
                }
            }
        }
        self.effects.push(Effect::ClosePeer { connection, cause });
        if matches!(self.phase, Phase::Gathering { .. }) && told {
            self.seats.remove(&user);
            if self.seats.is_empty() {
                self.phase = Phase::Empty { until: now + self.abort_delay };
            }
        }
    }

    fn failed(&mut self, connection: Connection, now: Duration) {
        if self.user_of(connection).is_none() || self.is_closing() {
            return;
        }
        self.send(connection, ServerMessage::Error(ErrorCode::PeerConnection));
        self.close(connection);
        self.leave(connection, CloseCause::Failed, now);
    }

    fn timeout(&mut self, now: Duration) {
        if self.next_timeout().is_none_or(|at| now < at) {
            return;
        }
        match self.phase {
            Phase::Empty { .. } => self.exit(),
            Phase::Gathering { .. } => self.finish(Outcome::Aborted, now),
            Phase::Running { end, notice, .. } if now < notice.unwrap_or(end) => self.give_up(now),
            Phase::Running { terms, end, notice: Some(_) } => {
                self.phase = Phase::Running { terms, end, notice: None };
                for (_, connection) in self.connections() {
                    self.send(connection, ServerMessage::Ending);
                }
                if now >= end {
                    self.finish(Outcome::Ended, now);
                }
            }
            Phase::Running { notice: None, .. } => self.finish(Outcome::Ended, now),
            Phase::Finishing { .. } => self.conclude(None),
            Phase::Over => {}
        }
    }

    fn shutdown(&mut self, now: Duration) {
        match self.phase {
            Phase::Empty { .. } => self.exit(),
            Phase::Gathering { .. } | Phase::Running { .. } => {
                self.finish(Outcome::Interrupted, now);
            }
            Phase::Finishing { .. } | Phase::Over => {}
        }
    }

    /// Into the last phase but one: no more joins, files are completed. Those who cannot hope for
    /// files are told at once.
    fn finish(&mut self, outcome: Outcome, now: Duration) {
        self.effects.push(Effect::Over);
        let farewell = match outcome {
            Outcome::Ended => None,
            Outcome::Aborted => Some(ServerMessage::Error(ErrorCode::Aborted)),
            Outcome::Interrupted => {
                Some(ServerMessage::Failure("the server stopped this interaction".to_owned()))
            }
        };
        if let Some(message) = farewell {
            for (_, connection) in self.connections() {
                self.send(connection, message.clone());
                self.close(connection);
            }
        }
        self.phase = Phase::Finishing { deadline: now + FINISH_LIMIT, outcome };
        self.effects.push(Effect::FinishFiles(outcome));
    }

    /// Out of the last phase but one. Without files, when they were not complete in time, nothing
    /// is said of them.
    fn conclude(&mut self, files: Option<&BTreeMap<Identifier, Vec<String>>>) {
        let Phase::Finishing { outcome, .. } = self.phase else {
            return;
        };
        for (_, connection) in self.connections() {
            if outcome == Outcome::Ended {
                if let Some(files) = files {
                    self.send(connection, ServerMessage::Files(files.clone()));
                }
                self.send(connection, ServerMessage::End);
                self.close(connection);
            }
            self.effects.push(Effect::ClosePeer { connection, cause: CloseCause::Over });
        }
        self.seats.clear();
        self.phase = Phase::Over;
        self.effects.push(Effect::Exit);
    }

    fn exit(&mut self) {
        self.phase = Phase::Over;
        self.effects.push(Effect::Over);
        self.effects.push(Effect::Exit);
    }

    fn is_closing(&self) -> bool {
        matches!(self.phase, Phase::Finishing { .. } | Phase::Over)
    }

    fn refuse(&mut self, to: Connection, code: ErrorCode) {
        self.send(to, ServerMessage::Error(code));
        self.effects.push(Effect::Close(to));
    }

    fn send(&mut self, to: Connection, message: ServerMessage) {
        if !self.is_deaf(to) {
            self.effects.push(Effect::Send { to, message });
        }
    }

    fn close(&mut self, connection: Connection) {
        if !self.is_deaf(connection) {
            self.effects.push(Effect::Close(connection));
        }
    }

    /// Whether a connection has lost its socket.
    fn is_deaf(&self, connection: Connection) -> bool {
        let mut seats = self.seats.values();
        seats.any(|seat| seat.silence.is_deaf() && seat.presence.connection() == Some(connection))
    }

    fn connections(&self) -> Vec<(Identifier, Connection)> {
        self.seats
            .iter()
            .filter_map(|(user, seat)| Some((user.clone(), seat.presence.connection()?)))
            .collect()
    }

    fn ready_connections(&self) -> Vec<(Identifier, Connection)> {
        self.seats
            .iter()
            .filter_map(|(user, seat)| match seat.presence {
                Presence::Ready(connection) => Some((user.clone(), connection)),
                Presence::Connecting(_) | Presence::Away { .. } => None,
            })
            .collect()
    }

    /// Everyone else whom the others take for present: the connected, and those who are about to
    /// come back by another connection.
    fn company(&self, user: &Identifier) -> Vec<(Identifier, String, Presence)> {
        self.seats
            .iter()
            .filter(|(other, seat)| {
                *other != user && seat.presence != (Presence::Away { told: true })
            })
            .map(|(other, seat)| (other.clone(), seat.stream_id.clone(), seat.presence))
            .collect()
    }
}

/// Whole seconds, rounded, as clients show them.
fn seconds(duration: Duration) -> u32 {
    u32::try_from((duration.as_millis() + 500) / 1000).unwrap_or(u32::MAX)
}

#[cfg(test)]
#[path = "lifecycle_tests.rs"]
mod tests;
