// SPDX-License-Identifier: MPL-2.0

//! Server → client: `{"kind": string, "payload"?: any}`.

use super::client::{IceCandidate, SessionDescription};
use super::identifier::Identifier;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fmt;

/// In which situation a client joined.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum JoinContext {
    /// The first one in.
    #[serde(rename = "new_interaction")]
    NewInteraction,
    /// Someone was there.
    #[serde(rename = "existing-interaction")]
    ExistingInteraction,
    /// This user was here before.
    #[serde(rename = "reconnection")]
    Reconnection,
}

/// `RTCIceServer`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IceServer {
    /// `stun:` and `turn:` addresses.
    pub urls: Vec<String>,
    /// For TURN.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    /// For TURN.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credential: Option<String>,
}

/// Without the credential: no log shows it.
impl fmt::Debug for IceServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IceServer")
            .field("urls", &self.urls)
            .field("username", &self.username)
            .finish_non_exhaustive()
    }
}

/// The errors that end a client's call. The kind is a stable identifier.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorCode {
    /// The options are wrong.
    Join,
    /// This user is connected already.
    Duplicate,
    /// No seat is left.
    Full,
    /// Not everyone came in time.
    Aborted,
    /// No connection for media.
    PeerConnection,
}

impl ErrorCode {
    /// The kind on the wire.
    #[must_use]
    pub fn kind(self) -> &'static str {
        match self {
            Self::Join => "error-join",
            Self::Duplicate => "error-duplicate",
            Self::Full => "error-full",
            Self::Aborted => "error-aborted",
            Self::PeerConnection => "error-peer-connection",
        }
    }
}

/// What the server says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", content = "payload", rename_all = "snake_case")]
pub enum ServerMessage {
    /// The client is in.
    Joined {
        /// How it came.
        context: JoinContext,
        /// Always a list, maybe empty: existing clients never answer when it is null.
        ice_servers: Vec<IceServer>,
    },
    /// The server always offers.
    Offer(SessionDescription),
    /// One of the server's candidates.
    Candidate(IceCandidate),
    /// Another participant is in.
    OtherJoined {
        /// Who.
        user: Identifier,
        /// The `MediaStream` id of all their tracks.
        stream_id: String,
    },
    /// Another participant left.
    OtherLeft {
        /// Who.
        user: Identifier,
        /// The `MediaStream` id of all their tracks.
        stream_id: String,
    },
    /// The interaction runs.
    Start {
        /// Seconds left.
        remaining: u32,
    },
    /// The end is near.
    Ending,
    /// The recordings, complete, by user; paths relative to the data folder.
    Files(BTreeMap<Identifier, Vec<String>>),
    /// The interaction is over.
    End,
    /// A control that was not carried out.
    ControlRefused {
        /// The effect named.
        name: String,
        /// The property named.
        property: String,
        /// Why, in words.
        reason: String,
    },
    /// An error that ends the call.
    Error(ErrorCode),
    /// An error without an identifier of its own; ends the call too.
    Failure(String),
}

impl ServerMessage {
    /// The text frame.
    #[must_use]
    pub fn to_wire(&self) -> String {
        let (kind, payload) = match self {
            Self::Joined { context, ice_servers } => {
                ("joined", json!({"context": context, "iceServers": ice_servers}))
            }
            Self::Offer(description) => ("offer", json!(text(description))),
            Self::Candidate(candidate) => ("candidate", json!(text(candidate))),
            Self::OtherJoined { user, stream_id } => {
                ("other_joined", json!({"userId": user, "streamId": stream_id}))
            }
            Self::OtherLeft { user, stream_id } => {
                ("other_left", json!({"userId": user, "streamId": stream_id}))
            }
            Self::Start { remaining } => ("start", json!(remaining)),
            Self::Ending => ("ending", Value::Null),
            Self::Files(files) => ("files", json!(files)),
            Self::End => ("end", Value::Null),
            Self::ControlRefused { name, property, reason } => {
                ("control_refused", json!({"name": name, "property": property, "reason": reason}))
            }
            Self::Error(code) => (code.kind(), Value::Null),
            Self::Failure(sentence) => ("error", json!(sentence)),
        };
        let message = if payload.is_null() {
            json!({"kind": kind})
        } else {
            json!({"kind": kind, "payload": payload})
        };
        message.to_string()
    }

    /// Whether the client hangs up on this message.
    #[must_use]
    pub fn ends_call(&self) -> bool {
        matches!(self, Self::Error(_) | Self::Failure(_) | Self::End)
    }
}

/// JSON in a string, as clients expect it.
fn text(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(name: &str) -> Identifier {
        Identifier::new(name).expect("valid")
    }

    #[test]
    fn the_wire_is_what_clients_read() {
        let offer = SessionDescription { kind: "offer".into(), sdp: "v=0\r\n".into() };
        let candidate = IceCandidate {
            candidate: "candidate:1".into(),
            sdp_mid: None,
            sdp_m_line_index: Some(0),
        };
        for (message, wire) in [
            (
                ServerMessage::Joined {
                    context: JoinContext::ExistingInteraction,
                    ice_servers: vec![],
                },
                json!({"kind": "joined", "payload": {"context": "existing-interaction", "iceServers": []}}),
            ),
            (
                ServerMessage::Offer(offer),
                json!({"kind": "offer", "payload": r#"{"type":"offer","sdp":"v=0\r\n"}"#}),
            ),
            (
                ServerMessage::Candidate(candidate),
                json!({"kind": "candidate", "payload": r#"{"candidate":"candidate:1","sdpMLineIndex":0}"#}),
            ),
            (
                ServerMessage::OtherJoined { user: user("b"), stream_id: "s".into() },
                json!({"kind": "other_joined", "payload": {"userId": "b", "streamId": "s"}}),
            ),
            (ServerMessage::Start { remaining: 30 }, json!({"kind": "start", "payload": 30})),
            (ServerMessage::Ending, json!({"kind": "ending"})),
            (
                ServerMessage::Files([(user("a"), vec!["x".to_owned()])].into()),
                json!({"kind": "files", "payload": {"a": ["x"]}}),
            ),
            (ServerMessage::Error(ErrorCode::Full), json!({"kind": "error-full"})),
            (ServerMessage::Failure("why".into()), json!({"kind": "error", "payload": "why"})),
        ] {
            let text: Value = serde_json::from_str(&message.to_wire()).expect("JSON");
            assert_eq!(text, wire);
        }
    }
}
