// SPDX-License-Identifier: MPL-2.0

//! The stage's one thread: takes inputs, asks the lifecycle, carries its effects out.

mod clients;
mod figures;
mod media;
mod messages;
mod plots;

use super::candidates::NoCandidate;
use super::carrier::{FromDoor, ToDoor};
use super::events::{Event, Kind};
use super::graph::Graph;
use super::hearing::Hearing;
use super::input::{Input, Inputs, PeerInput};
use super::journal::{self, Journal};
use super::lifecycle::{self, CloseCause, Effect, LEAD, Lifecycle, Outcome};
use super::peer::{Peer, PeerError, Showing};
use super::plots::Records;
use super::standing::Standing;
use super::stats::Stats;
use super::wishes::Shortcoming;
use crate::log::messages::Message;
use ducksoup_signaller::frame::{Connection, DoorFrame, LeaveCause, Opening, StageFrame};
use ducksoup_signaller::protocol::{Identifier, JoinOptions, ServerMessage};
use ducksoup_signaller::server::ServerSignaller;
use gstrswebrtc::signaller::SignallableExt;
use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use std::ops::ControlFlow;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

/// Without any timeout due, the thread wakes up this often; ours, only a bound.
const IDLE: Duration = Duration::from_secs(60);

/// The start of the interaction, on every clock that matters.
#[derive(Debug, Clone, Copy)]
struct Zero {
    running_time: gst::ClockTime,
    utc: Timestamp,
}

/// Whether the lifecycle waits for files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Finishing {
    /// It does not.
    No,
    /// It does; what was said before the end is still on its way to the recorders.
    Settling { until: Instant },
    /// It does; the recorders have been asked for them.
    Asked,
}

/// See the module.
#[derive(Debug)]
pub struct Stage {
    opened: Instant,
    opening: Opening,
    door: ToDoor,
    inputs: Inputs,
    lifecycle: Lifecycle,
    graph: Graph,
    signaller: ServerSignaller,
    journal: Journal,
    stats: Stats,
    t0: Option<Zero>,
    finishing: Finishing,
    /// What who comes back finds.
    standing: Standing,
    /// What encoders of sound expect.
    hearing: Hearing,
    /// What has been noted of wishes in vain.
    confessed: Vec<Shortcoming>,
    /// What the plots are drawn from.
    records: Records,
}

impl Stage {
    /// A stage for one interaction.
    ///
    /// # Errors
    /// When the pipeline cannot be had.
    pub fn new(opening: Opening, door: ToDoor, inputs: Inputs) -> Result<Self, PeerError> {
        let journal = Journal::new(&opening, &door);
        let graph = Graph::new(opening.settings.clone(), inputs.clone())?;
        let lifecycle = Lifecycle::new(
            Duration::from_secs(opening.settings.abort_delay.into()),
            Duration::from_secs(opening.settings.blackout.into()),
            opening.settings.ice_servers.clone(),
        );
        let to = door.clone();
        let signaller = ServerSignaller::new(move |connection, message| {
            to.send(StageFrame::Send { connection, message });
        });
        clients::connect_signaller(&signaller, &inputs);
        signaller.start();
        Ok(Self {
            opened: Instant::now(),
            opening,
            door,
            inputs,
            lifecycle,
            graph,
            signaller,
            journal,
            stats: Stats::default(),
            t0: None,
            finishing: Finishing::No,
            standing: Standing::default(),
            hearing: Hearing::default(),
            confessed: Vec::new(),
            records: Records::new(),
        })
    }

    /// Runs until nothing is left to do.
    pub fn run(&mut self, inputs: &Receiver<Input>) {
        loop {
            let flow = match inputs.recv_timeout(self.patience()) {
                Ok(input) => self.take(input),
                Err(RecvTimeoutError::Timeout) => ControlFlow::Continue(()),
                Err(RecvTimeoutError::Disconnected) => ControlFlow::Break(()),
            };
            // Also after an input: a flood of them must not stop the clock.
            if flow.is_break() || self.do_what_is_due().is_break() {
                break;
            }
            self.graph.negotiate();
        }
        self.rest(inputs);
        self.draw_plots();
        self.journal.events_end();
        self.journal.log(Message::InteractionDeleted, None, json!({}));
        self.signaller.stop();
    }

    /// Waits a moment for the elements of those who left, so that the log tells of their end.
    fn rest(&mut self, inputs: &Receiver<Input>) {
        let until = Instant::now() + RESTING;
        while self.graph.is_leaving()
            && let Ok(input) = inputs.recv_timeout(until.saturating_duration_since(Instant::now()))
        {
            match input {
                Input::Peer(connection, PeerInput::Down) => self.down(connection),
                Input::GStreamer(words) => self.gstreamer(&words),
                _ => {}
            }
        }
    }

    fn now(&self) -> Duration {
        self.opened.elapsed()
    }

    /// How long nothing needs to be done.
    fn patience(&self) -> Duration {
        let now = Instant::now();
        let settled = match self.finishing {
            Finishing::Settling { until } => Some(until),
            Finishing::No | Finishing::Asked => None,
        };
        let life = self.lifecycle.next_timeout().map(|at| self.opened + at);
        [life, self.graph.next_timeout(), settled]
            .into_iter()
            .flatten()
            .min()
            .map_or(IDLE, |at| at.saturating_duration_since(now))
    }

    fn do_what_is_due(&mut self) -> ControlFlow<()> {
        let now = Instant::now();
        self.graph.ask_browsers(now);
        for connection in self.graph.stuck(now) {
            let user = self.graph.user_of(connection).cloned();
            let fields = json!({"error": "the effect chain does not stop"});
            self.journal.log(Message::PipelineError, user.as_ref(), fields);
            // The process cannot be trusted any more: it finishes its files and ends.
            self.advance(lifecycle::Input::Shutdown)?;
        }
        if self.graph.count(now) {
            self.show_figures();
        }
        for (connection, user) in self.graph.unreachable(now) {
            let error = match self.opening.settings.media_ports {
                Some((min, max)) => NoCandidate::Ports(min, max),
                None => NoCandidate::Network,
            };
            self.fail(connection, &user, Message::ServerCandidatesMissing, &error.to_string())?;
        }
        if matches!(self.finishing, Finishing::Settling { until } if until <= now) {
            self.finishing = Finishing::Asked;
            self.graph.finish_files();
            self.files_finished_if_all()?;
        }
        if self.lifecycle.next_timeout().is_none_or(|at| self.now() < at) {
            return ControlFlow::Continue(());
        }
        if self.finishing == Finishing::No {
            return self.advance(lifecycle::Input::Timeout);
        }
        // Some recorder does not finish: what is complete is told.
        let files = self.journal.files();
        self.advance(lifecycle::Input::FilesFinished(files))
    }

    fn take(&mut self, input: Input) -> ControlFlow<()> {
        match input {
            Input::Door(FromDoor::Frame(frame)) => self.frame(frame),
            Input::Door(FromDoor::Rubbish(reason)) => {
                eprintln!("the door sent no frame: {reason}");
                ControlFlow::Continue(())
            }
            Input::Door(FromDoor::Gone) => self.advance(lifecycle::Input::Shutdown),
            Input::Bus(message) => self.bus(&message),
            Input::GStreamer(words) => {
                self.gstreamer(&words);
                ControlFlow::Continue(())
            }
            Input::Peer(connection, input) => self.peer_input(connection, input),
        }
    }

    fn frame(&mut self, frame: DoorFrame) -> ControlFlow<()> {
        match frame {
            DoorFrame::Open(_) => eprintln!("the door opened this stage twice"),
            DoorFrame::Join { connection, origin: _, options, ice_servers } => {
                return self.join(connection, options, ice_servers);
            }
            DoorFrame::Message { connection, message } => {
                return self.client_message(connection, message);
            }
            DoorFrame::Leave { connection, cause } => {
                return self.advance(lifecycle::Input::Leave { connection, cause });
            }
            DoorFrame::Shutdown => return self.advance(lifecycle::Input::Shutdown),
        }
        ControlFlow::Continue(())
    }

    /// A peer that cannot go on: only this one hears of it.
    fn fail(
        &mut self,
        connection: Connection,
        user: &Identifier,
        message: Message,
        error: &str,
    ) -> ControlFlow<()> {
        self.journal.log(message, Some(user), json!({"error": error}));
        self.advance(lifecycle::Input::Failed { connection })
    }

    fn files_finished_if_all(&mut self) -> ControlFlow<()> {
        if self.finishing == Finishing::Asked && !self.graph.is_recording() {
            let files = self.journal.files();
            return self.advance(lifecycle::Input::FilesFinished(files));
        }
        ControlFlow::Continue(())
    }

    /// Asks the lifecycle and carries its effects out, in order.
    fn advance(&mut self, input: lifecycle::Input) -> ControlFlow<()> {
        let effects = self.lifecycle.handle(input, self.now());
        for effect in effects {
            self.carry_out(effect)?;
        }
        ControlFlow::Continue(())
    }

    fn carry_out(&mut self, effect: Effect) -> ControlFlow<()> {
        match effect {
            Effect::Send { to, message } => self.send(to, message),
            Effect::Close(connection) => self.door.send(StageFrame::Close { connection }),
            Effect::Decline(connection) => self.door.send(StageFrame::Decline { connection }),
            Effect::Differs { connection, options } => {
                let user = self.lifecycle.user_of(connection).cloned();
                let fields = json!({"value": options});
                self.journal.log(Message::PeerOptionsDiffer, user.as_ref(), fields);
            }
            Effect::OpenPeer { connection, options, stream_id, count } => {
                return self.open_peer(connection, *options, stream_id, count);
            }
            Effect::ClosePeer { connection, cause } => self.close_peer(connection, cause),
            Effect::Show { to, user } => return self.show(to, &user),
            Effect::Hide { to, user } => {
                if let Some(peer) = self.graph.peer_mut(to) {
                    peer.hide(&user);
                    let receiver = peer.options.user.clone();
                    self.offer_is_due(&receiver, "tracks_hidden");
                }
            }
            Effect::Start => self.start(),
            Effect::Record { connection } => self.record(connection),
            Effect::FinishFiles(outcome) => return self.finish_files(outcome),
            Effect::Over => self.door.send(StageFrame::Over),
            Effect::Exit => return ControlFlow::Break(()),
        }
        ControlFlow::Continue(())
    }

    fn send(&mut self, connection: Connection, message: ServerMessage) {
        if matches!(message, ServerMessage::Ending) {
            let user = self.lifecycle.user_of(connection).cloned();
            self.journal.log(Message::InteractionEndingSent, user.as_ref(), json!({}));
        }
        self.door.send(StageFrame::Send { connection, message });
    }

    fn open_peer(
        &mut self,
        connection: Connection,
        options: JoinOptions,
        stream_id: String,
        count: u32,
    ) -> ControlFlow<()> {
        let user = options.user.clone();
        let standing = self.standing.joins(&options);
        self.hearing.forget(user.as_str());
        if self.journal.is_new() {
            let fields = json!({"origin": self.opening.origin, "id": self.opening.id});
            self.journal.log(Message::InteractionCreated, Some(&user), fields);
        }
        let fields = json!({"payload": clients::join_payload(&options), "count": count});
        self.journal.log(Message::PeerJoined, Some(&user), fields);
        self.journal.participant(&options);
        self.plot_joined(&options, count);
        let kind = if count > 1 { Kind::Reconnected } else { Kind::Joined };
        let joined = self.event_now(kind).of(Some(&user)).value(&count);
        self.journal.event(joined);
        self.signaller.open(connection, &user);
        match self.graph.open(connection, options, stream_id, count) {
            Ok(shortcomings) => {
                let fields = json!({"connection": connection});
                self.journal.log(Message::PeerServerStarted, Some(&user), fields);
                self.journal.log(Message::PipelineCreated, Some(&user), json!({}));
                self.confess(&user, shortcomings);
                self.restore(connection, &user, &standing);
                self.first_targets(connection, &user);
                self.offer_is_due(&user, "peer_joined");
                ControlFlow::Continue(())
            }
            Err(error) => {
                self.fail(connection, &user, Message::PeerServerFailed, &error.to_string())
            }
        }
    }

    /// Notes what a participant wished for in vain; once a run, for the reason is the machine's.
    fn confess(&mut self, user: &Identifier, shortcomings: Vec<Shortcoming>) {
        for shortcoming in shortcomings {
            if !self.confessed.contains(&shortcoming) {
                let fields = json!({"error": shortcoming.to_string()});
                self.journal.log(shortcoming.message(), Some(user), fields);
                self.confessed.push(shortcoming);
            }
        }
    }

    fn close_peer(&mut self, connection: Connection, cause: CloseCause) {
        let user = self.graph.user_of(connection).cloned();
        let shown = self.graph.peer(connection).map(Peer::shown);
        self.graph.close(connection);
        self.signaller.close(connection);
        if let Some(shown) = shown {
            self.journal.log(Message::PipelineStopped, user.as_ref(), json!({}));
            for codec in shown.codecs {
                let fields = json!({"track": shown.stream_id, "kind": codec.kind().name()});
                self.journal.log(Message::OutTrackStopped, user.as_ref(), fields);
            }
        }
        let cause = match cause {
            CloseCause::Left(LeaveCause::Stopped) => "stopped",
            CloseCause::Left(LeaveCause::Closed) => "websocket_closed",
            CloseCause::Left(LeaveCause::Lost) => "lost",
            CloseCause::Left(LeaveCause::Replaced) => "replaced",
            CloseCause::Failed => "failed",
            CloseCause::Over => "interaction_over",
        };
        let left = self.event_now(Kind::Left).of(user.as_ref()).value(cause);
        self.journal.event(left);
        let fields = json!({"cause": cause, "connection": connection});
        self.journal.log(Message::PeerServerEnded, user.as_ref(), fields);
        // With the last one the counting ends.
        self.show_figures();
    }

    fn show(&mut self, to: Connection, user: &Identifier) -> ControlFlow<()> {
        let Some(source) = self.lifecycle.connection_of(user) else {
            return ControlFlow::Continue(());
        };
        let Some(receiver) = self.lifecycle.user_of(to).cloned() else {
            return ControlFlow::Continue(());
        };
        match self.graph.show(to, source) {
            Ok(Showing::Anew) => self.offer_is_due(&receiver, "tracks_shown"),
            Ok(Showing::Already) => {
                let fields = json!({"source": user});
                self.journal.log(Message::DuplicateTrackSkipped, Some(&receiver), fields);
            }
            Err(error) => {
                let error = error.to_string();
                return self.fail(to, &receiver, Message::ServerTrackFailed, &error);
            }
        }
        ControlFlow::Continue(())
    }

    /// An event that happens now.
    fn event_now(&self, kind: Kind) -> Event {
        Event::new(self.graph.running_time().nseconds(), kind)
    }

    fn start(&mut self) {
        let (now, utc, at) = (self.graph.running_time(), Timestamp::now(), Instant::now() + LEAD);
        let zero =
            Zero { running_time: now + lead(), utc: utc.saturating_add(LEAD).unwrap_or(utc) };
        self.t0 = Some(zero);
        self.graph.begin(zero.running_time, at);
        self.journal.started(journal::Zero {
            utc: zero.utc,
            monotonic: self.graph.monotonic(zero.running_time).nseconds(),
            running_time: zero.running_time.nseconds(),
            at,
        });
        self.journal.event(Event::new(zero.running_time.nseconds(), Kind::Started));
        self.journal.log(Message::InteractionStarted, None, json!({}));
    }

    /// Records a peer: from t0 with those who start together, from [`LEAD`] later
    /// than now with one who came back.
    fn record(&mut self, connection: Connection) {
        let now = self.graph.running_time();
        let (Some(t0), Some(peer)) = (self.t0, self.graph.peer_mut(connection)) else {
            return;
        };
        let origin = if now < t0.running_time { t0.running_time } else { now + lead() };
        if origin > t0.running_time || !peer.has_begun() {
            peer.begin(t0.running_time, origin, Instant::now() + LEAD);
        }
        let offset = origin.saturating_sub(t0.running_time).nseconds();
        let offset = SignedDuration::from_nanos(i64::try_from(offset).unwrap_or(i64::MAX));
        let start = t0.utc.saturating_add(offset).unwrap_or(t0.utc);
        let user = peer.options.user.clone();
        let prefix = self.journal.run().recording_prefix(start, &user, peer.count);
        let folder = self.opening.settings.data.join(self.journal.run().recordings());
        let end = t0.running_time + gst::ClockTime::from_seconds(peer.options.duration.into());
        self.graph.record(connection, origin..end, &folder.to_string_lossy(), &prefix);
        let fields = json!({"recording_prefix": prefix});
        self.journal.log(Message::PipelineStarted, Some(&user), fields);
    }

    fn finish_files(&mut self, outcome: Outcome) -> ControlFlow<()> {
        let (message, kind) = match outcome {
            Outcome::Ended => (Message::InteractionEnded, Kind::Ended),
            Outcome::Aborted => (Message::InteractionAborted, Kind::Aborted),
            Outcome::Interrupted => (Message::InteractionInterrupted, Kind::Interrupted),
        };
        self.journal.log(message, None, json!({}));
        self.journal.ended(kind.word());
        let over = self.event_now(kind);
        self.journal.event(over);
        // Files end where the run does, whatever comes late; see `Graph::record`.
        let grace = match outcome {
            Outcome::Ended if self.graph.is_recording() => {
                Duration::from_millis(self.opening.settings.jitter_buffer.into()) + SETTLING
            }
            _ => Duration::ZERO,
        };
        self.finishing = Finishing::Settling { until: Instant::now() + grace };
        ControlFlow::Continue(())
    }
}

/// What has passed the jitter buffer takes this long to the recorder, at most. Ours: decoding and
/// encoding take milliseconds, but machines are busy.
const SETTLING: Duration = Duration::from_millis(250);

/// How long the end waits for elements to come to rest. Ours: it takes milliseconds; what is stuck
/// goes with the process.
const RESTING: Duration = Duration::from_secs(1);

/// [`LEAD`] as GStreamer writes it.
fn lead() -> gst::ClockTime {
    gst::ClockTime::try_from(LEAD).unwrap_or_default()
}

/// A connection, as the signaller names its session.
fn session(connection: Connection) -> String {
    connection.0.to_string()
}
