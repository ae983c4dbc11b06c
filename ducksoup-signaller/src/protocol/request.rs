// SPDX-License-Identifier: MPL-2.0

//! A join as a client asks for it: what is not said is the server's to choose.

use super::join::{JoinError, JoinOptions};
use serde::Serialize;
use serde_json::{Map, Value, json};

/// The options of a `join`. One that is `None` is not sent, and the server's default holds.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[allow(missing_docs)] // the names are those of the README's peerOptions
pub struct JoinRequest {
    #[serde(rename = "interactionName", skip_serializing_if = "Option::is_none")]
    pub interaction: Option<String>,
    #[serde(rename = "userId", skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duration: Option<u32>,
    /// Participants expected.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub audio_only: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub width: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub height: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub framerate: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub audio_fx: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub video_fx: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub video_format: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recording_mode: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gpu: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub overlay: Option<bool>,
}

impl JoinRequest {
    /// What a server makes of it: the same check, before anything is sent.
    ///
    /// # Errors
    /// What the server would refuse, in words that it does not send.
    pub fn check(&self) -> Result<JoinOptions, JoinError> {
        JoinOptions::from_json(&self.payload())
    }

    /// The text frame.
    #[must_use]
    pub fn to_wire(&self) -> String {
        let payload = Value::Object(self.payload()).to_string();
        json!({"kind": "join", "payload": payload}).to_string()
    }

    fn payload(&self) -> Map<String, Value> {
        match json!(self) {
            Value::Object(payload) => payload,
            _ => Map::new(),
        }
    }
}

impl From<&JoinOptions> for JoinRequest {
    fn from(options: &JoinOptions) -> Self {
        let word = |value: Value| value.as_str().map(str::to_owned);
        Self {
            interaction: Some(options.interaction.to_string()),
            user: Some(options.user.to_string()),
            namespace: Some(options.namespace.to_string()),
            duration: Some(options.duration),
            size: Some(options.size),
            audio_only: Some(options.audio_only),
            width: Some(options.width),
            height: Some(options.height),
            framerate: Some(options.framerate),
            audio_fx: options.audio_fx.clone(),
            video_fx: options.video_fx.clone(),
            video_format: word(json!(options.video_format)),
            recording_mode: word(json!(options.recording_mode)),
            gpu: Some(options.gpu),
            overlay: Some(options.overlay),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::{ClientMessage, RecordingMode, VideoFormat};

    fn request() -> JoinRequest {
        JoinRequest {
            interaction: Some("i".into()),
            user: Some("u".into()),
            ..JoinRequest::default()
        }
    }

    #[test]
    fn what_is_not_said_is_not_sent() {
        let frame: Value = serde_json::from_str(&request().to_wire()).expect("JSON");
        assert_eq!(frame["kind"], "join");
        let payload: Value =
            serde_json::from_str(frame["payload"].as_str().expect("a string")).expect("JSON");
        assert_eq!(payload, json!({"interactionName": "i", "userId": "u"}));
    }

    #[test]
    fn all_that_is_said_arrives() {
        let request = JoinRequest {
            namespace: Some("n".into()),
            duration: Some(7),
            size: Some(3),
            audio_only: Some(true),
            width: Some(320),
            height: Some(240),
            framerate: Some(10),
            audio_fx: Some("pitch name=fx".into()),
            video_fx: Some("coloreffects name=fx".into()),
            video_format: Some("VP8".into()),
            recording_mode: Some("rtpbin_only".into()),
            gpu: Some(true),
            overlay: Some(true),
            ..request()
        };
        let Ok(ClientMessage::Join(options)) = ClientMessage::parse(&request.to_wire()) else {
            panic!("{request:?}");
        };
        assert_eq!(options.recording_mode, RecordingMode::RtpbinOnly);
        assert_eq!(options.video_format, VideoFormat::VP8);
        assert_eq!(request.check().as_ref(), Ok(options.as_ref()));
        assert_eq!(JoinRequest::from(options.as_ref()), request, "and back");
    }

    #[test]
    fn what_the_server_would_refuse_is_refused_before() {
        assert_eq!(JoinRequest::default().check(), Err(JoinError::Missing("interactionName")));
        let request = JoinRequest { video_format: Some("AV1".into()), ..request() };
        assert_eq!(request.check(), Err(JoinError::Choice("videoFormat")));
    }
}
