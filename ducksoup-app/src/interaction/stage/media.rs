// SPDX-License-Identifier: MPL-2.0

//! What the media say: connections and tracks of peers, messages of the pipeline.

use super::{Stage, session};
use crate::interaction::candidates;
use crate::interaction::events::Event;
use crate::interaction::input::PeerInput;
use crate::interaction::journal::Recording;
use crate::interaction::lifecycle;
use crate::interaction::peer::{AnswerRefusal, owner};
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
                Err(AnswerRefusal::Unasked) => {
                    let fields = json!({"error": "no offer is open"});
                    self.journal.error(
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
                let fields = json!({"type": kind.name(), "ssrc": ssrc});
                self.journal.info("track", "in_track_received", Some(&user), fields);
            }
            PeerInput::TimeJumped { kind, by } => {
                let fields = json!({"type": kind.name(), "value": by / 1_000_000, "unit": "ms"});
                self.journal.info("track", "in_track_time_jumped", Some(&user), fields);
            }
            PeerInput::TrackReady(kind) => {
                let all = peer.track_ready(kind);
                let fields = json!({"type": kind.name()});
                self.journal.info("interaction", "in_track_added", Some(&user), fields);
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
        self.journal.debug("signaling", "server_connection_state_changed", Some(user), fields);
        if state == gst_webrtc::WebRTCPeerConnectionState::Failed {
            return self.fail(connection, user, "server_connection_failed", "ICE or DTLS failed");
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
                self.journal.error("pipeline", "gstreamer_pipeline_error", user.as_ref(), fields);
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
                self.journal.error("gstreamer", "warning", user.as_ref(), fields);
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
                self.journal.error("pipeline", "recording_failed", user, Value::Object(fields));
            }
            "bitratecontroller-target" | "bitratecontroller-measured" => {}
            other => {
                if let Some(event) = effect_event(other, &fields, user) {
                    self.journal.event(event);
                }
                if let Some(t0) = self.t0
                    && let Some(time) = fields.get("running-time").and_then(Value::as_u64)
                {
                    #[allow(clippy::cast_precision_loss)] // nanoseconds of an interaction fit
                    let seconds = (time as f64 - t0.running_time.nseconds() as f64) / 1e9;
                    fields.insert("onset".into(), json!(seconds));
                }
                let message = other.replace('-', "_");
                self.journal.debug("track", &message, user, Value::Object(fields));
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
        let path = self.journal.run().recordings().join(name).to_string_lossy().into_owned();
        report.remove("folder");
        let recording = Recording { path: path.clone(), user: user.clone(), report };
        self.journal.info("pipeline", "file_finished", Some(user), json!({"file": path}));
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

/// A structure's fields as JSON.
fn fields(structure: &gst::StructureRef) -> Map<String, Value> {
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
