// SPDX-License-Identifier: MPL-2.0

//! Server → client: `{"kind": string, "payload"?: any}`.

use super::client::{IceCandidate, ProtocolError, SessionDescription};
use super::identifier::Identifier;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::BTreeMap;

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
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
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

    fn of_kind(kind: &str) -> Option<Self> {
        let all = [Self::Join, Self::Duplicate, Self::Full, Self::Aborted, Self::PeerConnection];
        all.into_iter().find(|code| code.kind() == kind)
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

    /// Reads one text frame; `None` when its kind is not known, which is no error: newer servers
    /// say more.
    ///
    /// # Errors
    /// When the text is no message, or its payload is not what its kind asks for.
    pub fn from_wire(text: &str) -> Result<Option<Self>, ProtocolError> {
        let envelope: Value =
            serde_json::from_str(text).map_err(|_| ProtocolError::Envelope("not JSON"))?;
        let kind = envelope
            .get("kind")
            .and_then(Value::as_str)
            .ok_or(ProtocolError::Envelope("kind is missing or no string"))?;
        let payload = envelope.get("payload").unwrap_or(&Value::Null);
        Ok(Some(match kind {
            "joined" => {
                let Joined { context, ice_servers } = read("joined", payload)?;
                let ice_servers = ice_servers.unwrap_or_default();
                Self::Joined {
                    context,
                    ice_servers: ice_servers.into_iter().map(Into::into).collect(),
                }
            }
            "offer" => {
                let offer: SessionDescription = read_text("offer", payload)?;
                if offer.kind != "offer" {
                    return Err(refuse("offer", "type is not offer"));
                }
                Self::Offer(offer)
            }
            "candidate" => Self::Candidate(read_text("candidate", payload)?),
            "other_joined" => {
                let Other { user_id, stream_id } = read("other_joined", payload)?;
                Self::OtherJoined { user: user_id, stream_id }
            }
            "other_left" => {
                let Other { user_id, stream_id } = read("other_left", payload)?;
                Self::OtherLeft { user: user_id, stream_id }
            }
            "start" => Self::Start { remaining: seconds(payload)? },
            "ending" => Self::Ending,
            "files" => Self::Files(read("files", payload)?),
            "end" => Self::End,
            "control_refused" => {
                let Refusal { name, property, reason } = read("control_refused", payload)?;
                Self::ControlRefused { name, property, reason }
            }
            "error" => Self::Failure(payload.as_str().unwrap_or_default().to_owned()),
            other => match ErrorCode::of_kind(other) {
                Some(code) => Self::Error(code),
                // Clients stop the call on every kind that begins so.
                None if other.starts_with("error") => Self::Failure(other.to_owned()),
                None => return Ok(None),
            },
        }))
    }

    /// Whether the client hangs up on this message.
    #[must_use]
    pub fn ends_call(&self) -> bool {
        matches!(self, Self::Error(_) | Self::Failure(_) | Self::End)
    }
}

/// The payload of `joined`; older servers say null for no ICE servers.
#[derive(Deserialize)]
struct Joined {
    context: JoinContext,
    #[serde(rename = "iceServers", default)]
    ice_servers: Option<Vec<WireIceServer>>,
}

/// `RTCIceServer` as W3C WebRTC allows it: one address may come without a list.
#[derive(Deserialize)]
struct WireIceServer {
    urls: OneOrMore,
    #[serde(default)]
    username: Option<String>,
    #[serde(default)]
    credential: Option<String>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMore {
    One(String),
    More(Vec<String>),
}

impl From<WireIceServer> for IceServer {
    fn from(server: WireIceServer) -> Self {
        let urls = match server.urls {
            OneOrMore::One(url) => vec![url],
            OneOrMore::More(urls) => urls,
        };
        Self { urls, username: server.username, credential: server.credential }
    }
}

/// The payload of `other_joined` and `other_left`; older servers leave the latter's stream out.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Other {
    user_id: Identifier,
    #[serde(default)]
    stream_id: String,
}

/// The payload of `control_refused`.
#[derive(Deserialize)]
struct Refusal {
    name: String,
    property: String,
    reason: String,
}

fn refuse(kind: &'static str, reason: &str) -> ProtocolError {
    ProtocolError::Payload { kind, reason: reason.to_owned() }
}

fn read<'a, T: Deserialize<'a>>(
    kind: &'static str,
    payload: &'a Value,
) -> Result<T, ProtocolError> {
    T::deserialize(payload).map_err(|error| refuse(kind, &error.to_string()))
}

/// Reads a payload that is JSON in a string.
fn read_text<T: serde::de::DeserializeOwned>(
    kind: &'static str,
    payload: &Value,
) -> Result<T, ProtocolError> {
    let text = payload.as_str().ok_or_else(|| refuse(kind, "payload is no string"))?;
    serde_json::from_str(text).map_err(|error| refuse(kind, &error.to_string()))
}

/// Seconds left; a fraction is cut.
fn seconds(payload: &Value) -> Result<u32, ProtocolError> {
    let number = payload.as_f64().filter(|number| (0.0..=f64::from(u32::MAX)).contains(number));
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // just checked
    number.map(|number| number as u32).ok_or_else(|| refuse("start", "payload is no time"))
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
    fn what_cannot_be_read_is_refused_and_what_is_new_is_passed_over() {
        for text in ["", "nope", "[]", "{}", r#"{"kind":1}"#] {
            let read = ServerMessage::from_wire(text);
            assert!(matches!(read, Err(ProtocolError::Envelope(_))), "{text}: {read:?}");
        }
        for (kind, payload) in [
            ("joined", json!("new_interaction")),
            ("joined", json!({"context": "x", "iceServers": []})),
            ("offer", json!({"type": "offer", "sdp": ""})),
            ("offer", json!(r#"{"type":"answer","sdp":""}"#)),
            ("candidate", json!("x")),
            ("other_joined", json!({"userId": "../x", "streamId": "s"})),
            ("start", json!(-1)),
            ("start", Value::Null),
            ("files", json!({"a": "x"})),
            ("control_refused", json!({})),
        ] {
            let text = json!({"kind": kind, "payload": payload}).to_string();
            let read = ServerMessage::from_wire(&text);
            assert!(matches!(read, Err(ProtocolError::Payload { .. })), "{text}: {read:?}");
        }
        for kind in ["weather", "client_answer", ""] {
            let text = json!({"kind": kind, "payload": 1}).to_string();
            assert_eq!(ServerMessage::from_wire(&text), Ok(None), "{text}");
        }
    }

    #[test]
    fn servers_of_other_makes_are_understood() {
        let read = |text: Value| ServerMessage::from_wire(&text.to_string());
        let joined = |ice_servers| {
            let context = JoinContext::NewInteraction;
            Ok(Some(ServerMessage::Joined { context, ice_servers }))
        };
        let said = |servers: Value| {
            read(
                json!({"kind": "joined", "payload": {"context": "new_interaction", "iceServers": servers}}),
            )
        };
        assert_eq!(said(Value::Null), joined(vec![]));
        let server = IceServer { urls: vec!["stun:a".into()], username: None, credential: None };
        assert_eq!(said(json!([{"urls": "stun:a"}])), joined(vec![server]));
        assert_eq!(
            read(json!({"kind": "other_left", "payload": {"userId": "b"}})),
            Ok(Some(ServerMessage::OtherLeft { user: user("b"), stream_id: String::new() }))
        );
        assert_eq!(
            read(json!({"kind": "start", "payload": 29.6})),
            Ok(Some(ServerMessage::Start { remaining: 29 }))
        );
        assert_eq!(
            read(json!({"kind": "error-new"})),
            Ok(Some(ServerMessage::Failure("error-new".into())))
        );
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
            assert_eq!(ServerMessage::from_wire(&message.to_wire()), Ok(Some(message)), "and back");
        }
    }
}
