// SPDX-License-Identifier: MPL-2.0

//! The one task that owns who is where. Sockets and stages send it what happens; the
//! [`Roster`] decides; it does what comes out. It never waits for a client or a stage: whoever
//! does not take what it is handed is closed or killed.

use super::limits::Limits;
use super::recovery::Recovery;
use super::roster::{Effect, Fresh, Input, Newcomer, Roster, Stage};
use super::worker::{StageDeed, StageEvent, Stages};
use crate::config::Config;
use ducksoup_signaller::frame::{Connection, DoorFrame, LeaveCause};
use ducksoup_signaller::protocol::{ClientMessage, Identifier, ServerMessage};
use rand::Rng as _;
use serde_json::{Map, Value};
use std::collections::{HashMap, VecDeque};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{sleep_until, timeout_at};

/// What may wait for the lobby; a socket that fills it waits, and its client with it.
const QUEUE: usize = 1024;
/// Characters of a run's random id: 36^8, and no `-`, on which file names are split.
const ID_LENGTH: usize = 8;
/// How long killed stages may take to be gone. Ours.
const AFTER_KILL: Duration = Duration::from_secs(2);

/// What the lobby says to a socket.
#[derive(Debug)]
pub(crate) enum Word {
    /// Tell the client; a last word closes the socket.
    Say(ServerMessage),
    /// Ask the client whether it lives; its pong comes back as [`Request::Pong`].
    Probe,
}

/// The way to a client. Dropping it closes the socket, once what waits is written.
pub(crate) type Client = mpsc::Sender<Word>;

/// The figures of one interaction.
#[derive(Debug)]
pub(crate) struct RunFigures {
    /// What the roster and the stage tell.
    pub(crate) told: Map<String, Value>,
    /// The stage's process id.
    pub(crate) pid: Option<i32>,
}

/// What others ask of the lobby.
#[derive(Debug)]
pub(crate) enum Request {
    /// A client asks to join.
    Join { newcomer: Newcomer, client: Client },
    /// A client that asked to join says something.
    Message { connection: Connection, message: ClientMessage },
    /// A client answered a probe.
    Pong(Connection),
    /// A client's socket is gone.
    Gone { connection: Connection, cause: LeaveCause },
    /// The figures of all interactions.
    Figures(oneshot::Sender<Vec<RunFigures>>),
    /// Finish: every stage ends, then the lobby.
    Shutdown,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Lobby {
    limits: Limits,
    requests: mpsc::Receiver<Request>,
    events: mpsc::Receiver<StageEvent>,
    roster: Roster,
    stages: Stages,
    clients: HashMap<Connection, Client>,
    /// The folder of each stage's run, below the data folder.
    folders: HashMap<Stage, PathBuf>,
    recovery: Recovery,
}

impl Lobby {
    /// A lobby, and the way to it.
    pub(crate) fn new(config: &Config, recovery: Recovery) -> (Self, mpsc::Sender<Request>) {
        let (to_lobby, requests) = mpsc::channel(QUEUE);
        let (to_events, events) = mpsc::channel(QUEUE);
        let stages =
            Stages::new(config.stage_program.clone(), config.limits, to_events, Instant::now());
        let lobby = Self {
            limits: config.limits,
            requests,
            events,
            roster: Roster::new(config.stage_settings(), config.limits),
            stages,
            clients: HashMap::new(),
            folders: HashMap::new(),
            recovery,
        };
        (lobby, to_lobby)
    }

    /// Works until it is asked to finish and every stage is gone.
    pub(crate) async fn run(mut self) {
        loop {
            self.stages.tick(Instant::now());
            let timers = [self.roster.next_timeout(), self.stages.next_timeout()];
            let timer = timers.into_iter().flatten().min();
            tokio::select! {
                request = self.requests.recv() => match request {
                    None | Some(Request::Shutdown) => break,
                    Some(request) => self.request(request),
                },
                Some(event) = self.events.recv() => self.event(event),
                () = sleep_until(timer.unwrap_or_else(Instant::now).into()), if timer.is_some() => {
                    self.handle(Input::Tick);
                }
            }
        }
        self.finish().await;
    }

    async fn finish(mut self) {
        self.stages.dismiss_spare();
        self.handle(Input::Shutdown);
        let until = Instant::now() + self.limits.shutdown;
        self.drain(until).await;
        if !self.stages.none_left() {
            self.stages.kill_all("did not end with the server");
            self.drain(Instant::now() + AFTER_KILL).await;
        }
    }

    /// Goes on until no stage is left, at most until then.
    async fn drain(&mut self, until: Instant) {
        while !self.stages.none_left() {
            let next = async {
                tokio::select! {
                    Some(request) = self.requests.recv() => Next::Request(request),
                    Some(event) = self.events.recv() => Next::Event(event),
                }
            };
            match timeout_at(until.into(), next).await {
                Ok(Next::Request(request)) => self.request(request),
                Ok(Next::Event(event)) => self.event(event),
                Err(_) => return,
            }
        }
    }

    fn request(&mut self, request: Request) {
        let input = match request {
            Request::Join { newcomer, client } => {
                self.clients.insert(newcomer.connection, client);
                Input::Join(newcomer)
            }
            Request::Message { connection, message } => Input::Message { connection, message },
            Request::Pong(connection) => Input::Pong(connection),
            Request::Gone { connection, cause } => {
                self.clients.remove(&connection);
                Input::Gone { connection, cause }
            }
            Request::Figures(reply) => {
                let figures = self.roster.figures().into_iter();
                let figures = figures
                    .map(|(stage, told)| RunFigures { told, pid: self.stages.pid(stage) })
                    .collect();
                // Whoever asked may have gone.
                let _ = reply.send(figures);
                return;
            }
            Request::Shutdown => return,
        };
        self.handle(input);
    }

    fn event(&mut self, StageEvent { stage, what }: StageEvent) {
        let input = match what {
            StageDeed::Said(frame) => Input::Said { stage, frame },
            StageDeed::Ended => {
                self.stages.ended(stage, Instant::now());
                if let Some(folder) = self.folders.remove(&stage) {
                    self.recovery.see_to(folder);
                }
                Input::Ended(stage)
            }
        };
        self.handle(input);
    }

    fn handle(&mut self, input: Input) {
        let mut inputs = VecDeque::from([input]);
        while let Some(input) = inputs.pop_front() {
            let now = Instant::now();
            let stages = &mut self.stages;
            let mut fresh = || Fresh { stage: stages.reserve(now), id: random_id() };
            for effect in self.roster.handle(input, now, &mut fresh) {
                inputs.extend(self.carry_out(effect));
            }
        }
    }

    /// Does it; what follows from a failure is the next input.
    fn carry_out(&mut self, effect: Effect) -> Option<Input> {
        match effect {
            Effect::Open { stage, opening } => {
                log::info!(context = "app", stage = stage.0, id = opening.id.as_str(),
                    origin = opening.origin.as_str(), namespace = opening.namespace.as_str(),
                    interaction = opening.interaction.as_str(); "stage_opened");
                if let Err(error) = self.stages.open(stage) {
                    log::error!(context = "app", stage = stage.0, error:% = error; "stage_not_started");
                    return Some(Input::Ended(stage));
                }
                let folder = Path::new(opening.namespace.as_str());
                self.folders.insert(stage, folder.join(opening.interaction.as_str()));
                self.stages.tell(stage, DoorFrame::Open(opening));
            }
            Effect::Tell { stage, frame } => self.stages.tell(stage, frame),
            Effect::Kill { stage, why } => self.stages.kill(stage, why),
            Effect::Close(connection) => {
                self.clients.remove(&connection);
            }
            Effect::Say { connection, message } => {
                let last = message.ends_call();
                let gone = self.hand(connection, Word::Say(message));
                if last {
                    self.clients.remove(&connection);
                }
                return gone;
            }
            Effect::Probe(connection) => return self.hand(connection, Word::Probe),
        }
        None
    }

    /// Hands a word to a socket; one that has taken none for so long is no longer served.
    fn hand(&mut self, connection: Connection, word: Word) -> Option<Input> {
        let client = self.clients.get(&connection)?;
        if let Err(error) = client.try_send(word) {
            log::warn!(context = "peer", connection = connection.0, error:% = error; "client_not_served");
            self.clients.remove(&connection);
            return Some(Input::Gone { connection, cause: LeaveCause::Lost });
        }
        None
    }
}

/// What [`Lobby::drain`] waits for.
enum Next {
    Request(Request),
    Event(StageEvent),
}

/// A run's random id.
fn random_id() -> Identifier {
    const LETTERS: &[u8; 36] = b"abcdefghijklmnopqrstuvwxyz0123456789";
    let mut random = rand::rng();
    let id: String = (0..ID_LENGTH)
        .map(|_| char::from(LETTERS[random.random_range(0..LETTERS.len())]))
        .collect();
    #[allow(clippy::expect_used)] // letters and digits only
    Identifier::new(&id).expect("letters and digits")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn random_ids_are_eight_letters_or_digits() {
        let ids: Vec<_> = (0..100).map(|_| random_id()).collect();
        for id in &ids {
            assert_eq!(id.as_str().len(), 8);
            assert!(id.as_str().chars().all(|c| c.is_ascii_alphanumeric()));
        }
        assert!(ids.iter().any(|id| id != &ids[0]));
    }
}
