// SPDX-License-Identifier: MPL-2.0

//! What the media say: connections and tracks of peers, messages of the pipeline.

use super::{Stage, session};
use crate::interaction::candidates;
use crate::interaction::events::Event;
use crate::interaction::input::PeerInput;
use crate::interaction::journal::Recording;
use crate::interaction::lifecycle;
use crate::interaction::peer::{AnswerRefusal, owner};
use crate::interaction::sdp::Codec;
use crate::log::messages::Message;
use ducksoup_signaller::frame::Connection;
use ducksoup_signaller::protocol::Identifier;
use gst::glib;
use gst::prelude::*;
use gstrswebrtc::signaller::SignallableExt;
use serde_json::{Map, Value, json};
use std::ops::ControlFlow;

impl Stage {
    pub(super) fn peer_input(
        &mut self,
        connection: Connection,
        input: PeerInput,
    ) -> ControlFlow<()> {
        if matches!(input, PeerInput::Down) {
            self.down(connection);
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
                return self.fail(connection, &user, Message::ServerNegotiationFailed, &error);
            }
            PeerInput::Answered(answer) => match peer.answer(&answer, &inputs) {
                Ok(()) => {}
                Err(AnswerRefusal::Unasked) => {
                    let fields = json!({"error": "no offer is open"});
                    self.journal.log(Message::ClientSignalingRefused, Some(&user), fields);
                }
                Err(refusal) => {
                    let refusal = refusal.to_string();
                    let message = Message::ClientAnswerRejected;
                    return self.fail(connection, &user, message, &refusal);
                }
            },
            PeerInput::AnswerSet(Ok(())) => peer.answered(&inputs),
            PeerInput::LocalCandidate { m_line, candidate } => {
                peer.found(&candidate);
                self.signaller.add_ice(&session(connection), &candidate, m_line, None);
                let public = self.opening.settings.host_candidate;
                if let Some(other) = public.and_then(|ip| candidates::public(&candidate, ip)) {
                    self.signaller.add_ice(&session(connection), &other, m_line, None);
                }
            }
            PeerInput::RemoteCandidate { m_line, candidate } => {
                peer.add_candidate(m_line, &candidate);
            }
            PeerInput::ConnectionState(state) => {
                return self.connection_state(connection, &user, state);
            }
            PeerInput::TrackReceived { kind, ssrc } => {
                if let Some(ssrc) = ssrc {
                    peer.traffic.comes(kind, ssrc);
                }
                let mime = peer.codec(kind).map(Codec::mime);
                let track = peer.track_names.get(&kind);
                let fields =
                    json!({"type": kind.name(), "track": track, "ssrc": ssrc, "mime": mime});
                self.journal.log(Message::InTrackReceived, Some(&user), fields);
            }
            PeerInput::TimeJumped { kind, by } => {
                let fields = json!({"type": kind.name(), "value": by / 1_000_000, "unit": "ms"});
                self.journal.log(Message::InTrackTimeJumped, Some(&user), fields);
            }
            PeerInput::TrackReady(kind) => {
                let all = peer.track_ready(kind);
                if all {
                    peer.find_pair(&inputs);
                }
                let fields = json!({"type": kind.name()});
                self.journal.log(Message::InTrackAdded, Some(&user), fields);
                if all {
                    return self.advance(lifecycle::Input::Ready { connection });
                }
            }
            PeerInput::Counted(counted) => self.counted(connection, &user, &counted),
            PeerInput::Rtcp(compound) => self.rtcp(connection, &user, &compound),
            PeerInput::KeyframeAsked(by) => self.keyframe_wanted(connection, &user, by),
            PeerInput::SignalingState(state) => {
                let fields = json!({"value": signaling_state(state)});
                self.journal.log(Message::ServerSignalingState, Some(&user), fields);
            }
            PeerInput::PairSelected(pair) => {
                self.journal.log(Message::ServerCandidatePair, Some(&user), json!({"value": pair}));
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
        self.journal.log(Message::ServerConnectionState, Some(user), fields);
        if state == gst_webrtc::WebRTCPeerConnectionState::Failed {
            let error = "ICE or DTLS failed";
            return self.fail(connection, user, Message::ServerConnectionFailed, error);
        }
        ControlFlow::Continue(())
    }

    pub(super) fn bus(&mut self, message: &gst::Message) -> ControlFlow<()> {
        let connection = message.src().and_then(owner);
        let user = connection.and_then(|connection| self.graph.user_of(connection)).cloned();
        match message.view() {
            gst::MessageView::Error(error) => {
                let text = error.error().to_string();
                let fields = json!({
                    "error": text,
                    "element": message.src().map(|source| source.name().to_string()),
                    "debug": error.debug().map(|debug| debug.to_string()),
                });
                self.journal.log(Message::PipelineError, user.as_ref(), fields);
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
                self.journal.log(Message::GstreamerWarning, user.as_ref(), fields);
            }
            gst::MessageView::Element(element) => {
                if let (Some(structure), Some(connection)) = (element.structure(), connection) {
                    return self.element_message(
                        connection,
                        message.src(),
                        user.as_ref(),
                        structure,
                    );
                }
            }
            _ => {}
        }
        ControlFlow::Continue(())
    }

    fn element_message(
        &mut self,
        connection: Connection,
        source: Option<&gst::Object>,
        user: Option<&Identifier>,
        structure: &gst::StructureRef,
    ) -> ControlFlow<()> {
        let name = structure.name();
        let fields = fields(structure);
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
                self.recording_failed(user, fields);
            }
            "bitratecontroller-target" => self.target(source, user, &fields),
            other => {
                if let Some(event) = effect_event(other, &fields, user) {
                    if let ("fx_applied", Some(user), Some(target), Some(value)) =
                        (event.kind, user, &event.target, &event.value)
                    {
                        self.stats.reached(user, target.clone(), value.clone());
                    }
                    self.journal.event(event);
                }
                if let Some(message) = element_words(other) {
                    self.timed(message, user, fields);
                }
            }
        }
        ControlFlow::Continue(())
    }

    /// An entry about a moment of the pipeline, which is told on the run's timeline too.
    fn timed(
        &mut self,
        message: Message,
        user: Option<&Identifier>,
        mut fields: Map<String, Value>,
    ) {
        if let Some(t0) = self.t0
            && let Some(time) = fields.get("running-time").and_then(Value::as_u64)
        {
            #[allow(clippy::cast_precision_loss)] // nanoseconds of an interaction fit
            let seconds = (time as f64 - t0.running_time.nseconds() as f64) / 1e9;
            fields.insert("onset".into(), json!(seconds));
        }
        self.journal.log(message, user, Value::Object(fields));
    }

    fn recording_failed(&mut self, user: Option<&Identifier>, mut fields: Map<String, Value>) {
        // `message` is the entry's own.
        let error = fields.remove("message").unwrap_or_default();
        let path = fields.get("path").and_then(Value::as_str).map(|path| self.below_data(path));
        fields.insert("path".into(), json!(path));
        fields.insert("error".into(), error);
        self.journal.log(Message::RecordingFailed, user, Value::Object(fields));
    }

    /// A path as it may be told: below the data folder.
    fn below_data(&self, path: &str) -> String {
        let data = &self.opening.settings.data;
        let path = std::path::Path::new(path);
        path.strip_prefix(data).unwrap_or(path).to_string_lossy().into_owned()
    }

    /// Notes a file that the recorder has completed.
    fn recording(&mut self, user: &Identifier, mut report: Map<String, Value>) {
        let Some(Value::String(file)) = report.remove("path") else {
            return;
        };
        let name = file.rsplit('/').next().unwrap_or(&file).to_owned();
        let path = self.journal.run().recordings().join(name).to_string_lossy().into_owned();
        report.remove("folder");
        let recording = Recording { path: path.clone(), user: user.clone(), report };
        self.journal.log(Message::FileFinished, Some(user), json!({"file": path}));
        self.journal.file(recording);
    }
}

/// What an effect did, for the table of events.
fn effect_event(
    message: &str,
    fields: &Map<String, Value>,
    user: Option<&Identifier>,
) -> Option<Event> {
    let kind = match message {
        "fxcontrol-started" => "fx_started",
        "fxcontrol-applied" => "fx_applied",
        "fxcontrol-finished" => "fx_finished",
        _ => return None,
    };
    let text = |name| fields.get(name).and_then(Value::as_str).unwrap_or_default();
    Some(Event {
        at: fields.get("running-time")?.as_u64()?,
        duration: fields.get("duration").and_then(Value::as_u64),
        participant: user.cloned(),
        kind,
        target: Some(format!("{}.{}", text("name"), text("property"))),
        value: Some(text("value").to_owned()),
    })
}

/// What an element's message is in the log; those that are not there are counted otherwise.
fn element_words(name: &str) -> Option<Message> {
    Some(match name {
        "fxcontrol-accepted" => Message::FxAccepted,
        "fxcontrol-refused" => Message::FxRefused,
        "fxcontrol-started" => Message::FxStarted,
        "fxcontrol-applied" => Message::FxApplied,
        "fxcontrol-finished" => Message::FxFinished,
        "fxcontrol-bypass" => Message::FxBypass,
        "experimentrecorder-overflow" => Message::RecordingOverflow,
        _ => return None,
    })
}

/// As WebRTC calls it.
fn signaling_state(state: gst_webrtc::WebRTCSignalingState) -> &'static str {
    match state {
        gst_webrtc::WebRTCSignalingState::Stable => "stable",
        gst_webrtc::WebRTCSignalingState::Closed => "closed",
        gst_webrtc::WebRTCSignalingState::HaveLocalOffer => "have-local-offer",
        gst_webrtc::WebRTCSignalingState::HaveRemoteOffer => "have-remote-offer",
        gst_webrtc::WebRTCSignalingState::HaveLocalPranswer => "have-local-pranswer",
        gst_webrtc::WebRTCSignalingState::HaveRemotePranswer => "have-remote-pranswer",
        _ => "unknown",
    }
}

/// A structure's fields as JSON.
pub(super) fn fields(structure: &gst::StructureRef) -> Map<String, Value> {
    structure.iter().map(|(name, value)| (name.to_string(), json_of(value))).collect()
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
        json!(value.serialize().map(|text| text.to_string()).unwrap_or_default())
    }
}
