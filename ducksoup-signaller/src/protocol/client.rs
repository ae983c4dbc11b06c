// SPDX-License-Identifier: MPL-2.0

//! Client → server: `{"kind": string, "payload"?: string}`.

use super::identifier::{Identifier, IdentifierError};
use super::join::{JoinError, JoinOptions};
use super::request::JoinRequest;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

/// Longest ramp, in ms; longer ones are clamped (PROTOCOL "Limits").
pub const MAX_RAMP_MS: u32 = 5000;
/// Longest free text (`ext_…`, `client_…`), in bytes; longer ones are cut. Ours: a log line, not a file.
pub const MAX_TEXT: usize = 4096;
/// Longest effect or property name, in bytes. Ours: `GObject` names are far shorter.
const MAX_NAME: usize = 100;
/// Longest textual property value, in bytes. Ours.
const MAX_VALUE: usize = 1024;

/// What a client says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", content = "payload", rename_all = "snake_case")]
pub enum ClientMessage {
    /// The first message.
    Join(Box<JoinOptions>),
    /// Answer to the latest offer.
    Answer(SessionDescription),
    /// An ICE candidate, before or after the answer.
    Candidate(IceCandidate),
    /// `client_control`, `client_polycontrol`: move a property of an effect.
    Control(Control),
    /// Asks for a new offer.
    NegotiationNeeded,
    /// `client_ice_connection_state_<state>`.
    IceConnectionState(String),
    /// Any other `client_…`: a text for the log and the plots.
    Report {
        /// The whole kind.
        kind: String,
        /// The payload.
        text: Option<String>,
    },
    /// `ext_…`: free text from the embedding page.
    Ext {
        /// The whole kind.
        kind: String,
        /// The payload.
        text: Option<String>,
    },
    /// The participant leaves.
    Stop,
    /// A kind that nobody knows; ignored, on purpose.
    Unknown(String),
}

/// `RTCSessionDescriptionInit`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionDescription {
    /// `offer` or `answer`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The SDP text.
    pub sdp: String,
}

/// `RTCIceCandidateInit`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IceCandidate {
    /// The candidate line; empty at the end of candidates.
    pub candidate: String,
    /// Media section by id.
    #[serde(rename = "sdpMid", default, skip_serializing_if = "Option::is_none")]
    pub sdp_mid: Option<String>,
    /// Media section by place.
    #[serde(rename = "sdpMLineIndex", default, skip_serializing_if = "Option::is_none")]
    pub sdp_m_line_index: Option<u32>,
}

/// A command for an effect.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Control {
    /// Whose effect; the sender's own when absent.
    pub user: Option<Identifier>,
    /// The effect's name.
    pub name: String,
    /// Its property.
    pub property: String,
    /// The value to reach.
    pub value: ControlValue,
    /// How long the way there takes, in ms; 0 is at once.
    pub duration_ms: u32,
}

/// The value of a [`Control`]; the property's own type decides what becomes of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ControlValue {
    /// From `client_control`: always finite.
    Number(f64),
    /// From `client_polycontrol`.
    Text(String),
}

/// The hint of a `client_polycontrol`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs)]
pub enum PolyKind {
    Float,
    Double,
    Int,
    Uint64,
    String,
}

/// Why a client's text is no message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProtocolError {
    /// Not `{"kind": string, "payload"?: string}`.
    #[error("not a message: {0}")]
    Envelope(&'static str),
    /// The payload of this kind is not what it must be.
    #[error("{kind}: {reason}")]
    Payload {
        /// The message's kind.
        kind: &'static str,
        /// What is wrong, in words.
        reason: String,
    },
    /// The join is refused.
    #[error("join: {0}")]
    Join(#[from] JoinError),
}

impl ClientMessage {
    /// Reads one text frame.
    ///
    /// # Errors
    /// Typed; an unknown kind is no error but [`ClientMessage::Unknown`].
    pub fn parse(text: &str) -> Result<Self, ProtocolError> {
        let envelope: Value =
            serde_json::from_str(text).map_err(|_| ProtocolError::Envelope("not JSON"))?;
        let kind = envelope
            .get("kind")
            .and_then(Value::as_str)
            .ok_or(ProtocolError::Envelope("kind is missing or no string"))?;
        let payload = match envelope.get("payload") {
            None | Some(Value::Null) => None,
            Some(Value::String(text)) => Some(text.as_str()),
            // Pages in the field send numbers and objects to `serverLog` all the same.
            Some(_) if kind.starts_with("ext_") || kind.starts_with("client_") => None,
            Some(_) => return Err(ProtocolError::Envelope("payload is no string")),
        };
        let free_text = || {
            payload.map(|text| cut(text, MAX_TEXT)).or_else(|| {
                envelope
                    .get("payload")
                    .filter(|value| !value.is_null())
                    .map(|value| cut(&value.to_string(), MAX_TEXT))
            })
        };
        Ok(match kind {
            "join" => Self::Join(Box::new(JoinOptions::from_json(&object("join", payload)?)?)),
            "client_answer" => Self::Answer(parse_answer(payload)?),
            "client_ice_candidate" => Self::Candidate(parse_candidate(payload)?),
            "client_control" => Self::Control(parse_control(payload)?),
            "client_polycontrol" => Self::Control(parse_polycontrol(payload)?),
            "client_negotiation_needed" => Self::NegotiationNeeded,
            "stop" => Self::Stop,
            other => {
                let other = cut(other, MAX_NAME);
                if let Some(state) = other.strip_prefix("client_ice_connection_state_") {
                    Self::IceConnectionState(state.to_owned())
                } else if other.starts_with("client_") {
                    Self::Report { kind: other, text: free_text() }
                } else if other.starts_with("ext_") {
                    Self::Ext { kind: other, text: free_text() }
                } else {
                    Self::Unknown(other)
                }
            }
        })
    }
}

impl ClientMessage {
    /// The text frame. [`ClientMessage::parse`] reads it back as it was.
    #[must_use]
    pub fn to_wire(&self) -> String {
        let envelope = |kind: &str, payload: Option<String>| match payload {
            Some(payload) => json!({"kind": kind, "payload": payload}).to_string(),
            None => json!({"kind": kind}).to_string(),
        };
        match self {
            Self::Join(options) => JoinRequest::from(options.as_ref()).to_wire(),
            Self::Answer(answer) => envelope("client_answer", Some(json!(answer).to_string())),
            Self::Candidate(candidate) => {
                envelope("client_ice_candidate", Some(json!(candidate).to_string()))
            }
            Self::Control(control) => {
                let (kind, payload) = control.to_wire();
                envelope(kind, Some(payload.to_string()))
            }
            Self::NegotiationNeeded => envelope("client_negotiation_needed", None),
            Self::IceConnectionState(state) => {
                envelope(&format!("client_ice_connection_state_{state}"), None)
            }
            Self::Report { kind, text } | Self::Ext { kind, text } => envelope(kind, text.clone()),
            Self::Stop => envelope("stop", None),
            Self::Unknown(kind) => envelope(kind, None),
        }
    }
}

impl Control {
    /// Its kind and its payload.
    fn to_wire(&self) -> (&'static str, Value) {
        let mut payload = json!({"name": self.name, "property": self.property});
        if let Some(user) = &self.user {
            payload["userId"] = json!(user);
        }
        match &self.value {
            ControlValue::Number(number) => {
                payload["value"] = json!(number);
                payload["duration"] = json!(self.duration_ms);
                ("client_control", payload)
            }
            ControlValue::Text(text) => {
                payload["value"] = json!(text);
                // A hint that nobody needs: the property's own type decides.
                payload["kind"] = json!(PolyKind::String);
                ("client_polycontrol", payload)
            }
        }
    }
}

/// At most `max` bytes, cut between characters.
fn cut(text: &str, max: usize) -> String {
    let end = (0..=max.min(text.len())).rev().find(|&end| text.is_char_boundary(end));
    text[..end.unwrap_or(0)].to_owned()
}

fn refuse(kind: &'static str, reason: impl Into<String>) -> ProtocolError {
    ProtocolError::Payload { kind, reason: reason.into() }
}

fn object(kind: &'static str, payload: Option<&str>) -> Result<Map<String, Value>, ProtocolError> {
    let text = payload.ok_or_else(|| refuse(kind, "payload is missing"))?;
    match serde_json::from_str(text) {
        Ok(Value::Object(object)) => Ok(object),
        _ => Err(refuse(kind, "payload is no JSON object")),
    }
}

fn parse_answer(payload: Option<&str>) -> Result<SessionDescription, ProtocolError> {
    const KIND: &str = "client_answer";
    let description: SessionDescription =
        serde_json::from_value(Value::Object(object(KIND, payload)?))
            .map_err(|_| refuse(KIND, "no session description"))?;
    if description.kind != "answer" {
        return Err(refuse(KIND, "type is not answer"));
    }
    Ok(description)
}

fn parse_candidate(payload: Option<&str>) -> Result<IceCandidate, ProtocolError> {
    const KIND: &str = "client_ice_candidate";
    let candidate: IceCandidate = serde_json::from_value(Value::Object(object(KIND, payload)?))
        .map_err(|_| refuse(KIND, "no candidate"))?;
    if candidate.candidate.chars().any(char::is_control) {
        return Err(refuse(KIND, "control characters"));
    }
    Ok(candidate)
}

fn text_field(
    kind: &'static str,
    object: &Map<String, Value>,
    name: &str,
    max: usize,
) -> Result<String, ProtocolError> {
    match object.get(name) {
        Some(Value::String(text)) if text.is_empty() => {
            Err(refuse(kind, format!("{name} is empty")))
        }
        Some(Value::String(text)) if text.len() > max => {
            Err(refuse(kind, format!("{name} is longer than {max} bytes")))
        }
        Some(Value::String(text)) => Ok(text.clone()),
        Some(_) => Err(refuse(kind, format!("{name} must be a string"))),
        None => Err(refuse(kind, format!("{name} is missing"))),
    }
}

fn user_field(
    kind: &'static str,
    object: &Map<String, Value>,
) -> Result<Option<Identifier>, ProtocolError> {
    match object.get("userId") {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Identifier::new(text)
            .map(Some)
            .map_err(|why: IdentifierError| refuse(kind, format!("userId {why}"))),
        Some(_) => Err(refuse(kind, "userId must be a string")),
    }
}

fn parse_control(payload: Option<&str>) -> Result<Control, ProtocolError> {
    const KIND: &str = "client_control";
    let object = object(KIND, payload)?;
    let value = match object.get("value") {
        Some(Value::Number(number)) => number.as_f64().filter(|number| number.is_finite()),
        _ => None,
    }
    .ok_or_else(|| refuse(KIND, "value must be a number"))?;
    let duration_ms = match object.get("duration") {
        None | Some(Value::Null) => 0,
        Some(Value::Number(number)) => match number.as_f64() {
            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // clamped
            Some(ms) if ms >= 0.0 => ms.min(f64::from(MAX_RAMP_MS)).round() as u32,
            _ => return Err(refuse(KIND, "duration must not be negative")),
        },
        Some(_) => return Err(refuse(KIND, "duration must be a number")),
    };
    Ok(Control {
        user: user_field(KIND, &object)?,
        name: text_field(KIND, &object, "name", MAX_NAME)?,
        property: text_field(KIND, &object, "property", MAX_NAME)?,
        value: ControlValue::Number(value),
        duration_ms,
    })
}

fn parse_polycontrol(payload: Option<&str>) -> Result<Control, ProtocolError> {
    const KIND: &str = "client_polycontrol";
    let object = object(KIND, payload)?;
    let hint = object.get("kind").cloned().unwrap_or(Value::Null);
    serde_json::from_value::<PolyKind>(hint)
        .map_err(|_| refuse(KIND, "kind is none of float, double, int, uint64, string"))?;
    Ok(Control {
        user: user_field(KIND, &object)?,
        name: text_field(KIND, &object, "name", MAX_NAME)?,
        property: text_field(KIND, &object, "property", MAX_NAME)?,
        value: ControlValue::Text(text_field(KIND, &object, "value", MAX_VALUE)?),
        duration_ms: 0,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn message(kind: &str, payload: &Value) -> Result<ClientMessage, ProtocolError> {
        ClientMessage::parse(&json!({"kind": kind, "payload": payload.to_string()}).to_string())
    }

    #[test]
    fn every_kind_is_understood() {
        assert!(matches!(
            message("join", &json!({"interactionName": "i", "userId": "u", "duration": 3, "extra": 1})),
            Ok(ClientMessage::Join(join)) if join.duration == 3
        ));
        assert!(matches!(
            message("client_answer", &json!({"type": "answer", "sdp": "v=0"})),
            Ok(ClientMessage::Answer(answer)) if answer.sdp == "v=0"
        ));
        assert!(matches!(
            message("client_ice_candidate", &json!({"candidate": "c", "sdpMid": "0", "usernameFragment": "x"})),
            Ok(ClientMessage::Candidate(c)) if c.sdp_mid.as_deref() == Some("0")
        ));
        assert_eq!(
            message(
                "client_control",
                &json!({"name": "fx", "property": "pitch", "value": 1,
                "duration": 90000, "userId": "b"})
            ),
            Ok(ClientMessage::Control(Control {
                user: Some(Identifier::new("b").expect("valid")),
                name: "fx".into(),
                property: "pitch".into(),
                value: ControlValue::Number(1.0),
                duration_ms: MAX_RAMP_MS,
            }))
        );
        assert!(matches!(
            message("client_polycontrol", &json!({"name": "fx", "property": "p", "kind": "int", "value": "3"})),
            Ok(ClientMessage::Control(Control { value: ControlValue::Text(text), .. })) if text == "3"
        ));
        for (text, expected) in [
            (r#"{"kind":"stop"}"#, ClientMessage::Stop),
            (r#"{"kind":"client_negotiation_needed"}"#, ClientMessage::NegotiationNeeded),
            (
                r#"{"kind":"client_ice_connection_state_disconnected"}"#,
                ClientMessage::IceConnectionState("disconnected".into()),
            ),
            (
                r#"{"kind":"client_video_resolution_updated","payload":"640x480"}"#,
                ClientMessage::Report {
                    kind: "client_video_resolution_updated".into(),
                    text: Some("640x480".into()),
                },
            ),
            (
                r#"{"kind":"ext_click","payload":{"x":1}}"#,
                ClientMessage::Ext { kind: "ext_click".into(), text: Some(r#"{"x":1}"#.into()) },
            ),
            (r#"{"kind":"whatever"}"#, ClientMessage::Unknown("whatever".into())),
        ] {
            assert_eq!(ClientMessage::parse(text), Ok(expected.clone()), "{text}");
            assert_eq!(ClientMessage::parse(&expected.to_wire()), Ok(expected), "and back");
        }
    }

    #[test]
    fn what_is_said_is_understood() {
        let control = |user: Option<&str>, value, duration_ms| {
            ClientMessage::Control(Control {
                user: user.map(|user| Identifier::new(user).expect("valid")),
                name: "fx".into(),
                property: "pitch".into(),
                value,
                duration_ms,
            })
        };
        for message in [
            ClientMessage::Answer(SessionDescription {
                kind: "answer".into(),
                sdp: "v=0\r\n".into(),
            }),
            ClientMessage::Candidate(IceCandidate {
                candidate: "candidate:1".into(),
                sdp_mid: Some("video0".into()),
                sdp_m_line_index: Some(1),
            }),
            control(None, ControlValue::Number(0.5), 0),
            control(Some("b"), ControlValue::Number(-3.0), 500),
            control(Some("b"), ControlValue::Text("0.5".into()), 0),
        ] {
            assert_eq!(ClientMessage::parse(&message.to_wire()), Ok(message));
        }
    }

    #[test]
    fn rubbish_is_refused_with_a_reason() {
        for text in ["", "nope", "[]", "{}", r#"{"kind":1}"#, r#"{"kind":"join","payload":{}}"#] {
            assert!(
                matches!(ClientMessage::parse(text), Err(ProtocolError::Envelope(_))),
                "{text}"
            );
        }
        for (kind, payload) in [
            ("client_answer", json!({"type": "offer", "sdp": ""})),
            ("client_answer", json!({"sdp": 3})),
            ("client_ice_candidate", json!({"candidate": "a\r\nb"})),
            ("client_ice_candidate", json!([])),
            ("client_control", json!({"name": "fx", "property": "p", "value": "1"})),
            ("client_control", json!({"name": "fx", "property": "p", "value": 1, "duration": -1})),
            ("client_control", json!({"name": "", "property": "p", "value": 1})),
            ("client_control", json!({"name": "x".repeat(1000), "property": "p", "value": 1})),
            ("client_control", json!({"name": "fx", "property": "p", "value": 1, "userId": "../"})),
            (
                "client_polycontrol",
                json!({"name": "fx", "property": "p", "kind": "blob", "value": "1"}),
            ),
            (
                "client_polycontrol",
                json!({"name": "fx", "property": "p", "kind": "int", "value": 1}),
            ),
        ] {
            assert!(
                matches!(message(kind, &payload), Err(ProtocolError::Payload { .. })),
                "{kind} {payload}"
            );
        }
    }

    #[test]
    fn long_texts_are_cut_between_characters() {
        let text = json!({"kind": "ext_x", "payload": "é".repeat(MAX_TEXT)}).to_string();
        let Ok(ClientMessage::Ext { text: Some(text), .. }) = ClientMessage::parse(&text) else {
            panic!("an ext message");
        };
        assert!(text.len() <= MAX_TEXT && text.chars().all(|c| c == 'é'));
    }
}
