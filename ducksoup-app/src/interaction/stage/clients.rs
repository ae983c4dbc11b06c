// SPDX-License-Identifier: MPL-2.0

//! What clients say: joins, answers and candidates, controls, words for the log.

use super::Stage;
use crate::interaction::events::{Event, Kind};
use crate::interaction::input::{Input, Inputs, PeerInput};
use crate::interaction::{effects, lifecycle};
use crate::log::messages::Message;
use ducksoup_signaller::frame::{Connection, LeaveCause, StageFrame};
use ducksoup_signaller::protocol::{
    ClientMessage, Control, ControlValue, ErrorCode, IceServer, Identifier, JoinOptions,
    ServerMessage,
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
            let fields = json!({"reason": error.to_string(), "connection": connection});
            self.journal.log(Message::JoinRefused, Some(&options.user), fields);
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
                    self.journal.log(Message::ClientSignalingRefused, Some(&user), fields);
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
                let kind = format!("client_ice_connection_state_{state}");
                self.journal.client(&user, &kind, None);
            }
            ClientMessage::Report { kind, text } | ClientMessage::Ext { kind, text } => {
                self.plot_report(&user, &kind, text.as_deref());
                self.journal.client(&user, &kind, text);
            }
            // The door lets one join through, and ignores what nobody knows.
            ClientMessage::Join(_) | ClientMessage::Unknown(_) => {}
        }
        ControlFlow::Continue(())
    }

    fn offer_again(&mut self, connection: Connection, user: &Identifier, cause: &str) {
        if let Some(peer) = self.graph.peer_mut(connection) {
            peer.offer_again();
            self.offer_is_due(user, cause);
        }
    }

    /// Notes why the next offer to this user is made.
    pub(super) fn offer_is_due(&mut self, user: &Identifier, cause: &str) {
        self.journal.log(Message::ServerCreateOffer, Some(user), json!({"cause": cause}));
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
        let mut fields = fields(control, target);
        let kind = if result.is_ok() { Kind::FxAccepted } else { Kind::FxRefused };
        self.journal_control(kind, control, target, Some(user));
        match result {
            Ok(()) => {
                self.standing.accepted(target, control);
                self.journal.log(Message::ClientFxControl, Some(user), fields);
            }
            Err(reason) => {
                fields["error"] = Value::String(reason.clone());
                self.journal.log(Message::ClientFxControlRefused, Some(user), fields);
                let Control { name, property, .. } = control.clone();
                self.send(connection, ServerMessage::ControlRefused { name, property, reason });
            }
        }
    }

    /// Brings the effects of one who came back to where controls had brought them.
    pub(super) fn restore(
        &mut self,
        connection: Connection,
        user: &Identifier,
        standing: &[Control],
    ) {
        for control in standing {
            let Some(peer) = self.graph.peer(connection) else {
                return;
            };
            // What was accepted of the same effects before is accepted again.
            if effects::control(&peer.effects(), control).is_ok() {
                self.journal_control(Kind::FxAccepted, control, user, None);
                self.journal.log(Message::FxRestored, Some(user), fields(control, user));
            }
        }
    }

    /// Puts a control into the table of events; without a source it is the server's own.
    fn journal_control(
        &mut self,
        kind: Kind,
        control: &Control,
        target: &Identifier,
        source: Option<&Identifier>,
    ) {
        let value = value(control);
        let event = self
            .event_now(kind)
            .of(Some(target))
            .lasting(Some(u64::from(control.duration_ms) * 1_000_000))
            .target(format!("{}.{}", control.name, control.property))
            .value(&value.as_str().map_or_else(|| value.to_string(), str::to_owned));
        self.journal.event(Event { source: source.cloned(), ..event });
    }
}

fn value(control: &Control) -> Value {
    match &control.value {
        ControlValue::Number(number) => json!(number),
        ControlValue::Text(text) => json!(text),
    }
}

/// A control, as the log has it.
fn fields(control: &Control, target: &Identifier) -> Value {
    json!({
        "name": control.name,
        "property": control.property,
        "value": value(control),
        "duration": control.duration_ms,
        "target": target,
    })
}

/// A join as clients word it (PROTOCOL, "Client → server").
pub(super) fn join_payload(options: &JoinOptions) -> Value {
    json!({
        "interactionName": options.interaction,
        "userId": options.user,
        "namespace": options.namespace,
        "duration": options.duration,
        "size": options.size,
        "audioOnly": options.audio_only,
        "width": options.width,
        "height": options.height,
        "framerate": options.framerate,
        "audioFx": options.audio_fx,
        "videoFx": options.video_fx,
        "videoFormat": options.video_format,
        "recordingMode": options.recording_mode,
        "gpu": options.gpu,
        "overlay": options.overlay,
    })
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_join_in_the_log_is_worded_as_a_client_would() {
        let join = json!({"interactionName": "i", "userId": "ann", "audioFx": "pitch"});
        let options = JoinOptions::from_json(join.as_object().expect("an object")).expect("valid");
        let payload = join_payload(&options);
        let again = JoinOptions::from_json(payload.as_object().expect("an object"));
        assert_eq!(again.expect("valid"), options);
        assert_eq!(payload["userId"], "ann");
    }
}
