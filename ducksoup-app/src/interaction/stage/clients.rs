// SPDX-License-Identifier: MPL-2.0

//! What clients say: joins, answers and candidates, controls, words for the log.

use super::Stage;
use crate::interaction::input::{Input, Inputs, PeerInput};
use crate::interaction::{effects, lifecycle};
use ducksoup_signaller::frame::{Connection, LeaveCause, StageFrame};
use ducksoup_signaller::protocol::{
    ClientMessage, Control, ErrorCode, IceServer, Identifier, JoinOptions, ServerMessage,
};
use ducksoup_signaller::server::ServerSignaller;
use gst::glib;
use gst::prelude::*;
use serde_json::{Value, json};
use std::ops::ControlFlow;

impl Stage {
    /// Effects are checked before anything of a peer exists.
    pub(super) fn join(
        &mut self,
        connection: Connection,
        options: Box<JoinOptions>,
        ice_servers: Vec<IceServer>,
    ) -> ControlFlow<()> {
        if let Err(error) = effects::check(&options, &self.opening.settings) {
            let fields = json!({"error": error.to_string()});
            self.journal.error("peer", "join_refused", Some(&options.user), fields);
            self.send(connection, ServerMessage::Error(ErrorCode::Join));
            self.door.send(StageFrame::Close { connection });
            return ControlFlow::Continue(());
        }
        self.advance(lifecycle::Input::Join { connection, options, ice_servers })
    }

    pub(super) fn client_message(
        &mut self,
        connection: Connection,
        message: ClientMessage,
    ) -> ControlFlow<()> {
        let Some(user) = self.lifecycle.user_of(connection).cloned() else {
            return ControlFlow::Continue(());
        };
        match message {
            ClientMessage::Stop => {
                return self
                    .advance(lifecycle::Input::Leave { connection, cause: LeaveCause::Stopped });
            }
            ClientMessage::Answer(_) | ClientMessage::Candidate(_) => {
                if let Err(error) = self.signaller.receive(connection, &message) {
                    let fields = json!({"error": error.to_string()});
                    self.journal.error(
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
                    self.offer_again(connection, &user, "client_ice_connection_state_disconnected");
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
            let name = if context == "track" { "value" } else { "payload" };
            fields[name] = Value::String(text);
        }
        self.journal.debug(context, message, Some(user), fields);
    }

    fn offer_again(&mut self, connection: Connection, user: &Identifier, cause: &str) {
        if let Some(peer) = self.graph.peer_mut(connection) {
            peer.offer_again();
            let fields = json!({"cause": cause});
            self.journal.debug("signaling", "server_create_offer_requested", Some(user), fields);
        }
    }

    fn control(&mut self, connection: Connection, user: &Identifier, control: &Control) {
        let target = control.user.as_ref().unwrap_or(user);
        let peer = self.lifecycle.connection_of(target).and_then(|target| self.graph.peer(target));
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
                self.journal.info("track", "client_fx_control", Some(user), fields);
            }
            Err(reason) => {
                fields["error"] = Value::String(reason.clone());
                self.journal.error("track", "client_fx_control_refused", Some(user), fields);
                let Control { name, property, .. } = control.clone();
                self.send(connection, ServerMessage::ControlRefused { name, property, reason });
            }
        }
    }
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
pub(super) fn connect_signaller(signaller: &ServerSignaller, inputs: &Inputs) {
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
                to.send(Input::Peer(connection, PeerInput::RemoteCandidate { m_line, candidate }));
            }
        }),
    );
}

fn connection_of(session: &str) -> Option<Connection> {
    session.parse().ok().map(Connection)
}
