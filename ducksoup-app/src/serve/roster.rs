// SPDX-License-Identifier: MPL-2.0

//! Who is where: interactions, their stages, their clients. Every decision of the lobby, pure;
//! [`super::lobby`] does what comes out.
//!
//! A run, by what it hears (– : ignored):
//!
//! | | ready | over, decline | ended | a deadline passes |
//! |---|---|---|---|---|
//! | opening | open | over | gone, clients get `error` | killed |
//! | open | – | over | gone, clients get `error` | – |
//! | over | – | – | gone, clients not yet told get `error` | killed (everyone left) |
//! | killed | – | – | gone, clients not yet told get `error` | – |
//!
//! A client is *waiting* (its user is connected by an older socket, which is being probed),
//! *seated* (the stage knows it) or *leaving* (it has had its last word, its socket is not
//! closed yet). A joined name finds a run that is opening or open; else it makes a new one.

mod place;

use super::limits::{Limits, MAX_HELD};
use ducksoup_signaller::frame::{
    Connection, DoorFrame, LeaveCause, Opening, StageFrame, StageSettings,
};
use ducksoup_signaller::protocol::{ClientMessage, ErrorCode, Identifier, ServerMessage};
pub(crate) use place::Newcomer;
use place::{Key, Phase, Place, Run};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::time::Instant;

/// One stage process, as the door counts them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Stage(pub(crate) u64);

/// What a new run takes from the world outside: the process for its stage, and its random id.
#[derive(Debug, Clone)]
pub(crate) struct Fresh {
    pub(crate) stage: Stage,
    pub(crate) id: Identifier,
}

/// What happens.
#[derive(Debug)]
pub(crate) enum Input {
    /// A client asks to join.
    Join(Newcomer),
    /// A client that asked to join says something.
    Message { connection: Connection, message: ClientMessage },
    /// A client answered the probe.
    Pong(Connection),
    /// A client's socket is gone.
    Gone { connection: Connection, cause: LeaveCause },
    /// A stage says something.
    Said { stage: Stage, frame: StageFrame },
    /// A stage's process is gone.
    Ended(Stage),
    /// Time passes.
    Tick,
    /// The door ends.
    Shutdown,
}

/// What to do.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Effect {
    /// Make this process the stage of a run.
    Open { stage: Stage, opening: Box<Opening> },
    /// Say this to a stage.
    Tell { stage: Stage, frame: DoorFrame },
    /// Say this to a client; a last word closes its socket.
    Say { connection: Connection, message: ServerMessage },
    /// Ask a client whether it lives.
    Probe(Connection),
    /// Close a client's socket.
    Close(Connection),
    /// Kill a stage.
    Kill { stage: Stage, why: &'static str },
}

/// Whether newcomers are let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Entrance {
    Open,
    Closed,
}

/// The lobby's whole state.
#[derive(Debug)]
pub(crate) struct Roster {
    settings: StageSettings,
    limits: Limits,
    entrance: Entrance,
    runs: BTreeMap<Stage, Run>,
    places: BTreeMap<Connection, Place>,
}

/// One step: the effects so far, and what is needed to decide.
struct Step<'a> {
    now: Instant,
    fresh: &'a mut dyn FnMut() -> Fresh,
    effects: Vec<Effect>,
}

impl Step<'_> {
    fn tell(&mut self, stage: Stage, frame: DoorFrame) {
        self.effects.push(Effect::Tell { stage, frame });
    }

    fn say(&mut self, connection: Connection, message: ServerMessage) {
        self.effects.push(Effect::Say { connection, message });
    }
}

impl Roster {
    /// Nobody is there yet.
    pub(crate) fn new(settings: StageSettings, limits: Limits) -> Self {
        Self {
            settings,
            limits,
            entrance: Entrance::Open,
            runs: BTreeMap::new(),
            places: BTreeMap::new(),
        }
    }

    /// What to do about an input; `fresh` is asked once for each new run.
    pub(crate) fn handle(
        &mut self,
        input: Input,
        now: Instant,
        fresh: &mut dyn FnMut() -> Fresh,
    ) -> Vec<Effect> {
        let mut step = Step { now, fresh, effects: Vec::new() };
        match input {
            Input::Join(newcomer) => self.join(newcomer, Vec::new(), &mut step),
            Input::Message { connection, message } => self.message(connection, message, &mut step),
            Input::Pong(connection) => self.pong(connection, &mut step),
            Input::Gone { connection, cause } => self.gone(connection, cause, &mut step),
            Input::Said { stage, frame } => self.said(stage, frame, &mut step),
            Input::Ended(stage) => self.ended(stage, &mut step),
            Input::Tick => self.tick(&mut step),
            Input::Shutdown => self.shutdown(&mut step),
        }
        step.effects
    }

    /// When [`Input::Tick`] has something to do.
    pub(crate) fn next_timeout(&self) -> Option<Instant> {
        let runs = self.runs.values().filter_map(|run| run.phase.until());
        let waits = self.places.values().filter_map(|place| match place {
            Place::Waiting { until, .. } => Some(*until),
            _ => None,
        });
        runs.chain(waits).min()
    }

    /// For the stats page: what runs, by stage.
    pub(crate) fn figures(&self) -> BTreeMap<Stage, Map<String, Value>> {
        let figures = self.runs.iter().map(|(stage, run)| {
            let users = self.places.values().filter_map(|place| match place {
                Place::Seated { stage: own, newcomer } if own == stage => {
                    Some(newcomer.options.user.as_str().into())
                }
                _ => None,
            });
            let fields = [
                ("origin", run.key.origin.as_str().into()),
                ("namespace", run.key.namespace.as_str().into()),
                ("interaction", run.key.interaction.as_str().into()),
                ("id", run.id.as_str().into()),
                ("phase", run.phase.name().into()),
                ("users", users.collect::<Vec<Value>>().into()),
                ("stats", run.stats.clone().into()),
            ];
            (*stage, fields.map(|(name, value)| (name.to_owned(), value)).into_iter().collect())
        });
        figures.collect()
    }

    fn join(&mut self, newcomer: Newcomer, held: Vec<ClientMessage>, step: &mut Step<'_>) {
        let connection = newcomer.connection;
        if self.entrance == Entrance::Closed {
            step.say(connection, ServerMessage::Failure("the server is stopping".into()));
            return;
        }
        let key = newcomer.key();
        let Some(stage) = self.find(&key) else {
            let stage = self.open(key, step);
            return self.seat(stage, newcomer, held, step);
        };
        let Some(behind) = self.seat_of(stage, &newcomer.options.user) else {
            return self.seat(stage, newcomer, held, step);
        };
        // The latest newcomer is the likeliest to be the page that the participant looks at.
        let earlier = self.waiting_behind(behind);
        let until = match earlier.and_then(|earlier| self.places.remove(&earlier)) {
            Some(Place::Waiting { until, .. }) => until,
            _ => {
                step.effects.push(Effect::Probe(behind));
                step.now + self.limits.probe
            }
        };
        if let Some(earlier) = earlier {
            step.say(earlier, ServerMessage::Error(ErrorCode::Duplicate));
        }
        let place = Place::Waiting { newcomer, behind, until, held };
        self.places.insert(connection, place);
    }

    fn open(&mut self, key: Key, step: &mut Step<'_>) -> Stage {
        let Fresh { stage, id } = (step.fresh)();
        let opening = Opening {
            origin: key.origin.clone(),
            namespace: key.namespace.clone(),
            interaction: key.interaction.clone(),
            id: id.clone(),
            settings: self.settings.clone(),
        };
        let run = Run {
            key,
            id,
            phase: Phase::Opening { until: step.now + self.limits.ready },
            stats: Map::new(),
        };
        self.runs.insert(stage, run);
        step.effects.push(Effect::Open { stage, opening: Box::new(opening) });
        stage
    }

    fn seat(
        &mut self,
        stage: Stage,
        newcomer: Newcomer,
        held: Vec<ClientMessage>,
        step: &mut Step<'_>,
    ) {
        let connection = newcomer.connection;
        let frame = DoorFrame::Join {
            connection,
            origin: newcomer.origin.clone(),
            options: newcomer.options.clone(),
            ice_servers: newcomer.ice_servers.clone(),
        };
        self.places.insert(connection, Place::Seated { stage, newcomer });
        step.tell(stage, frame);
        for message in held {
            let frame = DoorFrame::Message { connection, message };
            step.tell(stage, frame);
        }
    }

    fn message(&mut self, connection: Connection, message: ClientMessage, step: &mut Step<'_>) {
        match self.places.get_mut(&connection) {
            Some(Place::Seated { stage, .. }) => {
                let frame = DoorFrame::Message { connection, message };
                step.tell(*stage, frame);
            }
            Some(Place::Waiting { held, .. }) if held.len() < MAX_HELD => held.push(message),
            _ => log::debug!(context = "peer", connection = connection.0; "client_message_ignored"),
        }
    }

    fn pong(&mut self, connection: Connection, step: &mut Step<'_>) {
        if let Some(newcomer) = self.waiting_behind(connection) {
            self.places.remove(&newcomer);
            step.say(newcomer, ServerMessage::Error(ErrorCode::Duplicate));
        }
    }

    fn gone(&mut self, connection: Connection, cause: LeaveCause, step: &mut Step<'_>) {
        match self.places.remove(&connection) {
            Some(Place::Seated { stage, .. } | Place::Leaving { stage }) => {
                step.tell(stage, DoorFrame::Leave { connection, cause });
                self.await_exit(stage, step);
                self.let_in_behind(connection, step);
            }
            Some(Place::Waiting { .. }) | None => {}
        }
    }

    fn said(&mut self, stage: Stage, frame: StageFrame, step: &mut Step<'_>) {
        let Some(run) = self.runs.get_mut(&stage) else {
            return;
        };
        match frame {
            StageFrame::Ready => {
                if matches!(run.phase, Phase::Opening { .. }) {
                    run.phase = Phase::Open;
                }
            }
            StageFrame::Over => self.over(stage, step),
            StageFrame::Decline { connection } => self.decline(connection, stage, step),
            StageFrame::Stats { stats } => run.stats = stats,
            // The reader of the stage has printed it.
            StageFrame::Log { .. } => {}
            StageFrame::Send { connection, message } => {
                if self.is_seated(connection, stage) {
                    let last = message.ends_call();
                    step.say(connection, message);
                    if last {
                        self.leave(connection, stage, step);
                    }
                }
            }
            StageFrame::Close { connection } => {
                if self.is_seated(connection, stage) {
                    step.effects.push(Effect::Close(connection));
                    self.leave(connection, stage, step);
                }
            }
        }
    }

    fn over(&mut self, stage: Stage, step: &Step<'_>) {
        if let Some(run) = self.runs.get_mut(&stage)
            && run.takes_joins()
        {
            run.phase = Phase::Over { until: None };
            self.await_exit(stage, step);
        }
    }

    /// A join that crossed the stage's end on the way: it begins a new run.
    fn decline(&mut self, connection: Connection, stage: Stage, step: &mut Step<'_>) {
        // A stage that declines takes no more joins, or this one would come to it again.
        self.over(stage, step);
        if !self.is_seated(connection, stage) {
            return;
        }
        if let Some(Place::Seated { newcomer, .. }) = self.places.remove(&connection) {
            self.await_exit(stage, step);
            self.join(newcomer, Vec::new(), step);
            self.let_in_behind(connection, step);
        }
    }

    /// A client has had its last word: its user may come anew.
    fn leave(&mut self, connection: Connection, stage: Stage, step: &mut Step<'_>) {
        self.places.insert(connection, Place::Leaving { stage });
        self.let_in_behind(connection, step);
    }

    fn ended(&mut self, stage: Stage, step: &mut Step<'_>) {
        if self.runs.remove(&stage).is_none() {
            return;
        }
        let clients: Vec<_> = self
            .places
            .iter()
            .filter(|(_, place)| place.stage() == Some(stage))
            .map(|(connection, _)| *connection)
            .collect();
        for connection in clients {
            if let Some(Place::Seated { .. }) = self.places.remove(&connection) {
                let message = ServerMessage::Failure("the interaction ended unexpectedly".into());
                step.say(connection, message);
            }
            self.let_in_behind(connection, step);
        }
    }

    fn tick(&mut self, step: &mut Step<'_>) {
        let late: Vec<_> = self
            .places
            .values()
            .filter_map(|place| match place {
                Place::Waiting { behind, until, .. } if *until <= step.now => Some(*behind),
                _ => None,
            })
            .collect();
        for silent in late {
            step.effects.push(Effect::Close(silent));
            self.gone(silent, LeaveCause::Replaced, step);
        }
        for (stage, run) in &mut self.runs {
            if run.phase.until().is_some_and(|until| until <= step.now) {
                let why = match run.phase {
                    Phase::Opening { .. } => "not ready in time",
                    _ => "did not exit in time",
                };
                run.phase = Phase::Killed;
                step.effects.push(Effect::Kill { stage: *stage, why });
            }
        }
    }

    fn shutdown(&mut self, step: &mut Step<'_>) {
        self.entrance = Entrance::Closed;
        for stage in self.runs.keys() {
            step.tell(*stage, DoorFrame::Shutdown);
        }
    }

    /// The newcomer behind a seat that is no more joins again.
    fn let_in_behind(&mut self, seat: Connection, step: &mut Step<'_>) {
        let Some(next) = self.waiting_behind(seat) else {
            return;
        };
        if let Some(Place::Waiting { newcomer, held, .. }) = self.places.remove(&next) {
            self.join(newcomer, held, step);
        }
    }

    /// An over run that everyone left has to end.
    fn await_exit(&mut self, stage: Stage, step: &Step<'_>) {
        let empty = !self.places.values().any(|place| place.stage() == Some(stage));
        if let Some(Run { phase: Phase::Over { until }, .. }) = self.runs.get_mut(&stage)
            && empty
        {
            *until = Some(step.now + self.limits.exit);
        }
    }

    fn find(&self, key: &Key) -> Option<Stage> {
        self.runs
            .iter()
            .find(|(_, run)| run.takes_joins() && run.key == *key)
            .map(|(stage, _)| *stage)
    }

    fn seat_of(&self, stage: Stage, user: &Identifier) -> Option<Connection> {
        self.places
            .iter()
            .find(|(_, place)| {
                matches!(place, Place::Seated { stage: own, newcomer }
                if *own == stage && newcomer.options.user == *user)
            })
            .map(|(connection, _)| *connection)
    }

    fn waiting_behind(&self, seat: Connection) -> Option<Connection> {
        self.places
            .iter()
            .find(|(_, place)| matches!(place, Place::Waiting { behind, .. } if *behind == seat))
            .map(|(connection, _)| *connection)
    }

    /// A stage speaks to its own clients only.
    fn is_seated(&self, connection: Connection, stage: Stage) -> bool {
        matches!(self.places.get(&connection), Some(Place::Seated { stage: own, .. }) if *own == stage)
    }
}

#[cfg(test)]
mod tests;
