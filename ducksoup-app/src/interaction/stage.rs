// SPDX-License-Identifier: MPL-2.0

//! The stage's one thread: takes inputs, asks the lifecycle, carries its effects out.

use super::carrier::{FromDoor, ToDoor};
use super::effects;
use super::graph::Graph;
use super::input::{Input, Inputs, PeerInput};
use super::journal::{Journal, Level, Recording};
use super::lifecycle::{self, CloseCause, Effect, Lifecycle, Outcome};
use super::peer::{PeerError, owner};
use ducksoup_signaller::frame::{Connection, DoorFrame, LeaveCause, Opening, StageFrame};
use ducksoup_signaller::protocol::{
    ClientMessage, Control, ErrorCode, Identifier, JoinOptions, ServerMessage,
};
use ducksoup_signaller::server::ServerSignaller;
use gst::glib;
use gst::prelude::*;
use gstrswebrtc::signaller::SignallableExt;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value, json};
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
    t0: Option<Zero>,
    /// Set while the lifecycle waits for files.
    finishing: Option<Outcome>,
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
            opening.settings.ice_servers.clone(),
        );
        let to = door.clone();
        let signaller = ServerSignaller::new(move |connection, message| {
            to.send(StageFrame::Send {
                connection,
                message,
            });
        });
        connect_signaller(&signaller, &inputs);
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
            t0: None,
            finishing: None,
        })
    }

    /// Runs until nothing is left to do.
    pub fn run(&mut self, inputs: &Receiver<Input>) {
        loop {
            let flow = match inputs.recv_timeout(self.patience()) {
                Ok(input) => self.take(input),
                Err(RecvTimeoutError::Timeout) => self.timeout(),
                Err(RecvTimeoutError::Disconnected) => ControlFlow::Break(()),
            };
            if flow.is_break() {
                break;
            }
            self.graph.negotiate();
        }
        self.signaller.stop();
    }

    fn now(&self) -> Duration {
        self.opened.elapsed()
    }

    /// How long nothing needs to be done.
    fn patience(&self) -> Duration {
        let life = self
            .lifecycle
            .next_timeout()
            .map(|at| at.saturating_sub(self.now()));
        let graph = self
            .graph
            .next_timeout()
            .map(|at| at.saturating_duration_since(Instant::now()));
        [life, graph].into_iter().flatten().min().unwrap_or(IDLE)
    }

    fn timeout(&mut self) -> ControlFlow<()> {
        for connection in self.graph.stuck(Instant::now()) {
            let user = self.graph.user_of(connection).cloned();
            let fields = json!({"error": "the effect chain does not stop"});
            self.journal.write(
                Level::Error,
                "pipeline",
                "gstreamer_pipeline_error",
                user.as_ref(),
                fields,
            );
            // The process cannot be trusted any more: it finishes its files and ends.
            self.advance(lifecycle::Input::Shutdown)?;
        }
        if self.finishing.is_some()
            && self
                .lifecycle
                .next_timeout()
                .is_some_and(|at| at <= self.now())
        {
            // Some recorder does not finish: what is complete is told.
            let files = self.journal.files();
            return self.advance(lifecycle::Input::FilesFinished(files));
        }
        self.advance(lifecycle::Input::Timeout)
    }

    fn take(&mut self, input: Input) -> ControlFlow<()> {
        match input {
            Input::Door(FromDoor::Frame(frame)) => self.frame(frame),
            Input::Door(FromDoor::Rubbish(reason)) => {
                log::error!("the door sent no frame: {reason}");
                ControlFlow::Continue(())
            }
            Input::Door(FromDoor::Gone) => self.advance(lifecycle::Input::Shutdown),
            Input::Bus(message) => self.bus(&message),
            Input::Peer(connection, input) => self.peer_input(connection, input),
        }
    }

    fn frame(&mut self, frame: DoorFrame) -> ControlFlow<()> {
        match frame {
            DoorFrame::Open(_) => log::error!("the door opened this stage twice"),
            DoorFrame::Join {
                connection,
                origin: _,
                options,
            } => {
                return self.join(connection, options);
            }
            DoorFrame::Message {
                connection,
                message,
            } => {
                return self.client_message(connection, message);
            }
            DoorFrame::Leave { connection, cause } => {
                return self.advance(lifecycle::Input::Leave { connection, cause });
            }
            DoorFrame::Shutdown => return self.advance(lifecycle::Input::Shutdown),
        }
        ControlFlow::Continue(())
    }

    /// Effects are checked before anything of a peer exists.
    fn join(&mut self, connection: Connection, options: Box<JoinOptions>) -> ControlFlow<()> {
        if let Err(error) = effects::check(&options, &self.opening.settings) {
            let fields = json!({"error": error.to_string()});
            self.journal.write(
                Level::Error,
                "peer",
                "join_refused",
                Some(&options.user),
                fields,
            );
            self.send(connection, ServerMessage::Error(ErrorCode::Join));
            self.door.send(StageFrame::Close { connection });
            return ControlFlow::Continue(());
        }
        self.advance(lifecycle::Input::Join {
            connection,
            options,
        })
    }

    fn client_message(
        &mut self,
        connection: Connection,
        message: ClientMessage,
    ) -> ControlFlow<()> {
        let Some(user) = self.lifecycle.user_of(connection).cloned() else {
            return ControlFlow::Continue(());
        };
        match message {
            ClientMessage::Stop => {
                return self.advance(lifecycle::Input::Leave {
                    connection,
                    cause: LeaveCause::Stopped,
                });
            }
            ClientMessage::Answer(_) | ClientMessage::Candidate(_) => {
                if let Err(error) = self.signaller.receive(connection, &message) {
                    let fields = json!({"error": error.to_string()});
                    self.journal.write(
                        Level::Error,
                        "signaling",
                        "client_signaling_refused",
                        Some(&user),
                        fields,
                    );
                }
            }
            ClientMessage::Control(control) => self.control(connection, &user, &control),
            ClientMessage::NegotiationNeeded => {
                self.offer_again(connection, &user, "client_negotiation_needed");
            }
            ClientMessage::IceConnectionState(state) => {
                if state == "disconnected" {
                    self.offer_again(
                        connection,
                        &user,
                        "client_ice_connection_state_disconnected",
                    );
                }
                let message = format!("client_ice_connection_state_{state}");
                self.client_words("signaling", &message, &user, None);
            }
            ClientMessage::Report { kind, text } => {
                self.client_words(report_context(&kind), &kind, &user, text);
            }
            ClientMessage::Ext { kind, text } => self.client_words("ext", &kind, &user, text),
            // The door lets one join through, and ignores what nobody knows.
            ClientMessage::Join(_) | ClientMessage::Unknown(_) => {}
        }
        ControlFlow::Continue(())
    }

    /// An entry that is the client's own.
    fn client_words(
        &mut self,
        context: &str,
        message: &str,
        user: &Identifier,
        text: Option<String>,
    ) {
        let mut fields = json!({"source": "client"});
        if let Some(text) = text {
            let name = if context == "track" {
                "value"
            } else {
                "payload"
            };
            fields[name] = Value::String(text);
        }
        self.journal
            .write(Level::Debug, context, message, Some(user), fields);
    }

    fn offer_again(&mut self, connection: Connection, user: &Identifier, cause: &str) {
        if let Some(peer) = self.graph.peer_mut(connection) {
            peer.offer_again();
            let fields = json!({"cause": cause});
            self.journal.write(
                Level::Debug,
                "signaling",
                "server_create_offer_requested",
                Some(user),
                fields,
            );
        }
    }

    fn control(&mut self, connection: Connection, user: &Identifier, control: &Control) {
        let target = control.user.as_ref().unwrap_or(user);
        let peer = self
            .lifecycle
            .connection_of(target)
            .and_then(|target| self.graph.peer(target));
        let result = match peer {
            Some(peer) => {
                effects::control(&peer.effects(), control).map_err(|refusal| refusal.to_string())
            }
            None => Err(format!("{target} is not connected")),
        };
        let mut fields = json!({
            "name": control.name,
            "property": control.property,
            "value": control.value,
            "duration": control.duration_ms,
            "target": target,
        });
        match result {
            Ok(()) => {
                self.journal.write(
                    Level::Info,
                    "track",
                    "client_fx_control",
                    Some(user),
                    fields,
                );
            }
            Err(reason) => {
                fields["error"] = Value::String(reason.clone());
                self.journal.write(
                    Level::Error,
                    "track",
                    "client_fx_control_refused",
                    Some(user),
                    fields,
                );
                let Control { name, property, .. } = control.clone();
                self.send(
                    connection,
                    ServerMessage::ControlRefused {
                        name,
                        property,
                        reason,
                    },
                );
            }
        }
    }

    fn peer_input(&mut self, connection: Connection, input: PeerInput) -> ControlFlow<()> {
        if matches!(input, PeerInput::Down) {
            self.graph.down(connection);
            return ControlFlow::Continue(());
        }
        let inputs = self.inputs.clone();
        let Some(peer) = self.graph.peer_mut(connection) else {
            // It left meanwhile.
            return ControlFlow::Continue(());
        };
        let user = peer.options.user.clone();
        match input {
            PeerInput::Offered(Ok(offer)) => {
                let offer = peer.offered(&offer);
                self.signaller.send_sdp(&session(connection), &offer);
            }
            PeerInput::Offered(Err(error)) | PeerInput::AnswerSet(Err(error)) => {
                return self.fail(connection, &user, "server_negotiation_failed", &error);
            }
            PeerInput::Answered(answer) => match peer.answer(&answer, &inputs) {
                Ok(()) => {}
                Err(super::peer::AnswerRefusal::Unasked) => {
                    let fields = json!({"error": "no offer is open"});
                    self.journal.write(
                        Level::Error,
                        "signaling",
                        "client_signaling_refused",
                        Some(&user),
                        fields,
                    );
                }
                Err(refusal) => {
                    let refusal = refusal.to_string();
                    return self.fail(connection, &user, "client_answer_rejected", &refusal);
                }
            },
            PeerInput::AnswerSet(Ok(())) => peer.answered(&inputs),
            PeerInput::LocalCandidate { m_line, candidate } => {
                self.signaller
                    .add_ice(&session(connection), &candidate, m_line, None);
            }
            PeerInput::RemoteCandidate { m_line, candidate } => {
                peer.add_candidate(m_line, &candidate);
            }
            PeerInput::ConnectionState(state) => {
                return self.connection_state(connection, &user, state);
            }
            PeerInput::TrackReceived { kind, ssrc } => {
                let fields = json!({"type": kind.name(), "ssrc": ssrc});
                self.journal.write(
                    Level::Info,
                    "track",
                    "in_track_received",
                    Some(&user),
                    fields,
                );
            }
            PeerInput::TrackReady(kind) => {
                let all = peer.track_ready(kind);
                let fields = json!({"type": kind.name()});
                self.journal.write(
                    Level::Info,
                    "interaction",
                    "in_track_added",
                    Some(&user),
                    fields,
                );
                if all {
                    return self.advance(lifecycle::Input::Ready { connection });
                }
            }
            PeerInput::RoutePromised => peer.route_promised(),
            PeerInput::Down => {}
        }
        ControlFlow::Continue(())
    }

    fn connection_state(
        &mut self,
        connection: Connection,
        user: &Identifier,
        state: gst_webrtc::WebRTCPeerConnectionState,
    ) -> ControlFlow<()> {
        let fields = json!({"value": format!("{state:?}").to_lowercase()});
        self.journal.write(
            Level::Debug,
            "signaling",
            "server_connection_state_changed",
            Some(user),
            fields,
        );
        if state == gst_webrtc::WebRTCPeerConnectionState::Failed {
            return self.fail(
                connection,
                user,
                "server_connection_failed",
                "ICE or DTLS failed",
            );
        }
        ControlFlow::Continue(())
    }

    /// A peer that cannot go on: only this one hears of it.
    fn fail(
        &mut self,
        connection: Connection,
        user: &Identifier,
        message: &str,
        error: &str,
    ) -> ControlFlow<()> {
        self.journal.write(
            Level::Error,
            "peer",
            message,
            Some(user),
            json!({"error": error}),
        );
        self.advance(lifecycle::Input::Failed { connection })
    }

    fn bus(&mut self, message: &gst::Message) -> ControlFlow<()> {
        let connection = message.src().and_then(owner);
        let user = connection
            .and_then(|connection| self.graph.user_of(connection))
            .cloned();
        match message.view() {
            gst::MessageView::Error(error) => {
                let text = error.error().to_string();
                let fields = json!({
                    "error": text,
                    "element": message.src().map(|source| source.name().to_string()),
                    "debug": error.debug().map(|debug| debug.to_string()),
                });
                self.journal.write(
                    Level::Error,
                    "pipeline",
                    "gstreamer_pipeline_error",
                    user.as_ref(),
                    fields,
                );
                self.graph.dump("error");
                return match (connection, user) {
                    (Some(connection), Some(_)) => {
                        self.advance(lifecycle::Input::Failed { connection })
                    }
                    // Nobody's: the mixer or the pipeline itself, without which nothing goes on.
                    _ => self.advance(lifecycle::Input::Shutdown),
                };
            }
            gst::MessageView::Warning(warning) => {
                let fields = json!({
                    "error": warning.error().to_string(),
                    "element": message.src().map(|source| source.name().to_string()),
                });
                self.journal
                    .write(Level::Error, "gstreamer", "warning", user.as_ref(), fields);
            }
            gst::MessageView::Element(element) => {
                if let (Some(structure), Some(connection)) = (element.structure(), connection) {
                    return self.element_message(connection, user.as_ref(), structure);
                }
            }
            _ => {}
        }
        ControlFlow::Continue(())
    }

    fn element_message(
        &mut self,
        connection: Connection,
        user: Option<&Identifier>,
        structure: &gst::StructureRef,
    ) -> ControlFlow<()> {
        let name = structure.name();
        let mut fields = fields(structure);
        match name.as_str() {
            "experimentrecorder-file" => {
                if let Some(user) = user {
                    self.recording(user, fields);
                }
            }
            "experimentrecorder-finished" => {
                self.graph.recorded(connection);
                return self.files_finished_if_all();
            }
            "experimentrecorder-error" => {
                self.journal.write(
                    Level::Error,
                    "pipeline",
                    "recording_failed",
                    user,
                    Value::Object(fields),
                );
            }
            "bitratecontroller-target" | "bitratecontroller-measured" => {}
            other => {
                if let Some(t0) = self.t0
                    && let Some(time) = fields.get("running-time").and_then(Value::as_u64)
                {
                    #[allow(clippy::cast_precision_loss)] // nanoseconds of an interaction fit
                    let seconds = (time as f64 - t0.running_time.nseconds() as f64) / 1e9;
                    fields.insert("onset".into(), json!(seconds));
                }
                let message = other.replace('-', "_");
                self.journal
                    .write(Level::Debug, "track", &message, user, Value::Object(fields));
            }
        }
        ControlFlow::Continue(())
    }

    /// Notes a file that the recorder has completed.
    fn recording(&mut self, user: &Identifier, mut report: Map<String, Value>) {
        let Some(Value::String(file)) = report.remove("path") else {
            return;
        };
        let name = file.rsplit('/').next().unwrap_or(&file).to_owned();
        let path = self
            .journal
            .run()
            .recordings()
            .join(name)
            .to_string_lossy()
            .into_owned();
        report.remove("folder");
        let recording = Recording {
            path: path.clone(),
            user: user.clone(),
            report,
        };
        self.journal.write(
            Level::Info,
            "pipeline",
            "file_finished",
            Some(user),
            json!({"file": path}),
        );
        self.journal.file(recording);
    }

    fn files_finished_if_all(&mut self) -> ControlFlow<()> {
        if self.finishing.is_some() && !self.graph.is_recording() {
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
            Effect::Differs {
                connection,
                options,
            } => {
                let user = self.lifecycle.user_of(connection).cloned();
                let fields = json!({"value": options});
                self.journal.write(
                    Level::Info,
                    "interaction",
                    "peer_options_differ",
                    user.as_ref(),
                    fields,
                );
            }
            Effect::OpenPeer {
                connection,
                options,
                stream_id,
                count,
            } => {
                return self.open_peer(connection, *options, stream_id, count);
            }
            Effect::ClosePeer { connection, cause } => self.close_peer(connection, cause),
            Effect::Show { to, user } => return self.show(to, &user),
            Effect::Hide { to, user } => {
                if let Some(peer) = self.graph.peer_mut(to) {
                    peer.hide(&user);
                }
            }
            Effect::Start => self.start(),
            Effect::Record { connection } => self.record(connection),
            Effect::FinishFiles(outcome) => return self.finish_files(outcome),
            Effect::Over => self.door.send(StageFrame::Over),
            Effect::Exit => {
                self.journal.write(
                    Level::Info,
                    "interaction",
                    "interaction_deleted",
                    None,
                    json!({}),
                );
                return ControlFlow::Break(());
            }
        }
        ControlFlow::Continue(())
    }

    fn send(&mut self, connection: Connection, message: ServerMessage) {
        if matches!(message, ServerMessage::Ending) {
            let user = self.lifecycle.user_of(connection).cloned();
            self.journal.write(
                Level::Info,
                "peer",
                "interaction_ending_sent",
                user.as_ref(),
                json!({}),
            );
        }
        self.door.send(StageFrame::Send {
            connection,
            message,
        });
    }

    fn open_peer(
        &mut self,
        connection: Connection,
        options: JoinOptions,
        stream_id: String,
        count: u32,
    ) -> ControlFlow<()> {
        let user = options.user.clone();
        if self.journal.files().is_empty() && count == 1 && self.graph_is_empty() {
            let fields = json!({"origin": self.opening.origin, "id": self.opening.id});
            self.journal.write(
                Level::Info,
                "interaction",
                "interaction_created",
                Some(&user),
                fields,
            );
        }
        let payload = serde_json::to_value(&options).unwrap_or_default();
        self.journal.write(
            Level::Info,
            "interaction",
            "peer_joined",
            Some(&user),
            json!({"payload": payload, "count": count}),
        );
        self.journal.participant(&options);
        self.signaller.open(connection, &user);
        match self.graph.open(connection, options, stream_id, count) {
            Ok(()) => {
                self.journal.write(
                    Level::Info,
                    "pipeline",
                    "pipeline_created",
                    Some(&user),
                    json!({}),
                );
                ControlFlow::Continue(())
            }
            Err(error) => self.fail(connection, &user, "peer_server_failed", &error.to_string()),
        }
    }

    fn graph_is_empty(&self) -> bool {
        self.t0.is_none() && self.graph.is_empty()
    }

    fn close_peer(&mut self, connection: Connection, cause: CloseCause) {
        let user = self.graph.user_of(connection).cloned();
        self.graph.close(connection);
        self.signaller.close(connection);
        let cause = match cause {
            CloseCause::Left(LeaveCause::Stopped) => "stopped",
            CloseCause::Left(LeaveCause::Closed) => "websocket_closed",
            CloseCause::Left(LeaveCause::Replaced) => "replaced",
            CloseCause::Failed => "failed",
            CloseCause::Over => "interaction_over",
        };
        self.journal.write(
            Level::Info,
            "peer",
            "peer_server_ended",
            user.as_ref(),
            json!({"cause": cause}),
        );
    }

    fn show(&mut self, to: Connection, user: &Identifier) -> ControlFlow<()> {
        let Some(source) = self.lifecycle.connection_of(user) else {
            return ControlFlow::Continue(());
        };
        let Err(error) = self.graph.show(to, source) else {
            return ControlFlow::Continue(());
        };
        match self.lifecycle.user_of(to).cloned() {
            Some(receiver) => self.fail(to, &receiver, "server_track_failed", &error.to_string()),
            None => ControlFlow::Continue(()),
        }
    }

    fn start(&mut self) {
        let zero = Zero {
            running_time: self.graph.running_time(),
            utc: Timestamp::now(),
        };
        self.t0 = Some(zero);
        self.graph.begin(zero.running_time);
        self.journal.started(zero.utc);
        self.journal.write(
            Level::Info,
            "interaction",
            "interaction_started",
            None,
            json!({}),
        );
    }

    /// Records a peer: from t0 with those who start together, from now on with one who came back.
    fn record(&mut self, connection: Connection) {
        let (Some(t0), Some(peer)) = (self.t0, self.graph.peer(connection)) else {
            return;
        };
        let now = self.graph.running_time();
        let first = peer.count == 1 || now.saturating_sub(t0.running_time) < STARTING;
        let origin = if first { t0.running_time } else { now };
        if !first {
            peer.begin(t0.running_time);
        }
        let offset = origin.saturating_sub(t0.running_time).nseconds();
        let offset = SignedDuration::from_nanos(i64::try_from(offset).unwrap_or(i64::MAX));
        let start = t0.utc.saturating_add(offset).unwrap_or(t0.utc);
        let user = peer.options.user.clone();
        let prefix = self
            .journal
            .run()
            .recording_prefix(start, &user, peer.count);
        let folder = self
            .opening
            .settings
            .data
            .join(self.journal.run().recordings());
        self.graph
            .record(connection, origin, &folder.to_string_lossy(), &prefix);
        let fields = json!({"recording_prefix": prefix});
        self.journal.write(
            Level::Info,
            "pipeline",
            "pipeline_started",
            Some(&user),
            fields,
        );
    }

    fn finish_files(&mut self, outcome: Outcome) -> ControlFlow<()> {
        let (message, state) = match outcome {
            Outcome::Ended => ("interaction_ended", "ended"),
            Outcome::Aborted => ("interaction_aborted", "aborted"),
            Outcome::Interrupted => ("interaction_interrupted", "interrupted"),
        };
        self.journal
            .write(Level::Info, "interaction", message, None, json!({}));
        self.journal.ended(state);
        self.finishing = Some(outcome);
        self.graph.finish_files();
        self.files_finished_if_all()
    }
}

/// Those who start together are recorded within the same turn of the loop; ours, only a bound.
const STARTING: gst::ClockTime = gst::ClockTime::from_mseconds(100);

/// A connection, as the signaller names its session.
fn session(connection: Connection) -> String {
    connection.0.to_string()
}

/// The log's context of a client's report (PROTOCOL, "Client → server").
fn report_context(kind: &str) -> &'static str {
    match kind {
        "client_selected_candidate_pair"
        | "client_connection_state_changed"
        | "client_signaling_state_changed"
        | "client_ice_gathering_state_changed"
        | "client_ice_candidate_failed" => "signaling",
        _ => "track",
    }
}

/// What the signaller hears from clients becomes inputs.
fn connect_signaller(signaller: &ServerSignaller, inputs: &Inputs) {
    let to = inputs.clone();
    signaller.connect_closure(
        "session-description",
        false,
        glib::closure!(move |_signaller: ServerSignaller,
                             session: &str,
                             answer: gst_webrtc::WebRTCSessionDescription| {
            if let Some(connection) = connection_of(session) {
                to.send(Input::Peer(connection, PeerInput::Answered(answer)));
            }
        }),
    );
    let to = inputs.clone();
    signaller.connect_closure(
        "handle-ice",
        false,
        glib::closure!(move |_signaller: ServerSignaller,
                             session: &str,
                             m_line: u32,
                             _mid: Option<String>,
                             candidate: &str| {
            if let Some(connection) = connection_of(session) {
                let candidate = candidate.to_owned();
                to.send(Input::Peer(
                    connection,
                    PeerInput::RemoteCandidate { m_line, candidate },
                ));
            }
        }),
    );
}

fn connection_of(session: &str) -> Option<Connection> {
    session.parse().ok().map(Connection)
}

/// A structure's fields as JSON.
fn fields(structure: &gst::StructureRef) -> Map<String, Value> {
    structure
        .iter()
        .map(|(name, value)| (name.to_string(), json_of(value)))
        .collect()
}

/// A value as JSON; what JSON has no word for as GStreamer writes it.
fn json_of(value: &glib::SendValue) -> Value {
    if let Ok(number) = value.get::<u64>() {
        json!(number)
    } else if let Ok(number) = value.get::<i64>() {
        json!(number)
    } else if let Ok(number) = value.get::<u32>() {
        json!(number)
    } else if let Ok(number) = value.get::<i32>() {
        json!(number)
    } else if let Ok(number) = value.get::<f64>() {
        json!(number)
    } else if let Ok(flag) = value.get::<bool>() {
        json!(flag)
    } else if let Ok(text) = value.get::<Option<String>>() {
        json!(text)
    } else if let Ok(structure) = value.get::<gst::Structure>() {
        Value::Object(fields(&structure))
    } else if let Ok(array) = value.get::<gst::Array>() {
        array.iter().map(json_of).collect()
    } else if let Ok(list) = value.get::<gst::List>() {
        list.iter().map(json_of).collect()
    } else {
        json!(
            value
                .serialize()
                .map(|text| text.to_string())
                .unwrap_or_default()
        )
    }
}
