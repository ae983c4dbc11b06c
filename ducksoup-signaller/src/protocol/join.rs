// SPDX-License-Identifier: MPL-2.0

//! The first message of a client: what it wants to join, and how.

use super::identifier::{Identifier, IdentifierError};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Longest effect description, in bytes. Ours: a chain of a dozen effects with all their properties fits.
pub const MAX_FX: usize = 2048;

/// Longest run, in seconds (PROTOCOL "Limits"); longer ones are clamped to it.
pub const MAX_DURATION: u32 = 1200;

/// An integer option: its default, and the largest value that is taken as it stands (larger ones
/// are clamped, as documented).
struct Limit {
    default: u32,
    max: u32,
}

// PROTOCOL "Limits".
const DURATION: Limit = Limit { default: 30, max: MAX_DURATION };
const SIZE: Limit = Limit { default: 2, max: 8 };
const WIDTH: Limit = Limit { default: 800, max: 1920 };
const HEIGHT: Limit = Limit { default: 600, max: 1080 };
const FRAMERATE: Limit = Limit { default: 25, max: 60 };
/// Smallest picture side that every encoder here takes.
const MIN_SIDE: u32 = 16;

/// How pictures travel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum VideoFormat {
    /// H.264, constrained baseline.
    #[default]
    H264,
    /// VP8.
    VP8,
}

/// What is recorded, and what is done to the media on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RecordingMode {
    /// Dry and wet, sound and picture in one file each, wet at a constant frame rate.
    #[default]
    Forced,
    /// The same without the constant frame rate.
    Free,
    /// [`RecordingMode::Forced`] with the dry picture re-encoded too.
    Reenc,
    /// Sound and picture in files of their own.
    Split,
    /// Effects, no files.
    None,
    /// What comes in is recorded and sent on; no effect.
    Passthrough,
    /// No effect, no file; through the configured jitter buffer.
    RtpbinOnly,
    /// [`RecordingMode::RtpbinOnly`] with a jitter buffer of 0.
    Direct,
    /// The same as [`RecordingMode::Direct`] here.
    Bypass,
}

impl RecordingMode {
    fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "forced" | "muxed" => Self::Forced,
            "free" => Self::Free,
            "reenc" => Self::Reenc,
            "split" => Self::Split,
            "none" => Self::None,
            "passthrough" => Self::Passthrough,
            "rtpbin_only" => Self::RtpbinOnly,
            "direct" => Self::Direct,
            "bypass" => Self::Bypass,
            _ => return None,
        })
    }
}

/// A checked join: every number within its limits, every name an [`Identifier`]. Effects are
/// checked for length only; whether they exist and are allowed is the stage's to say.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)] // the names are those of the README's peerOptions
pub struct JoinOptions {
    pub interaction: Identifier,
    pub user: Identifier,
    pub namespace: Identifier,
    /// Seconds.
    pub duration: u32,
    /// Participants expected.
    pub size: u32,
    pub audio_only: bool,
    pub width: u32,
    pub height: u32,
    pub framerate: u32,
    pub audio_fx: Option<String>,
    pub video_fx: Option<String>,
    pub video_format: VideoFormat,
    pub recording_mode: RecordingMode,
    pub gpu: bool,
    pub overlay: bool,
}

/// Why a join is refused; the client gets `error-join`, the log this sentence.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JoinError {
    /// A required option is not there.
    #[error("{0} is missing")]
    Missing(&'static str),
    /// An option has another JSON type than documented.
    #[error("{0} must be {1}")]
    Type(&'static str, &'static str),
    /// A number is zero, negative or not an integer.
    #[error("{0} must be a positive integer")]
    Number(&'static str),
    /// A name is not an identifier.
    #[error("{0} {1}")]
    Identifier(&'static str, IdentifierError),
    /// A word is none of the documented ones.
    #[error("{0} has an unknown value")]
    Choice(&'static str),
    /// A text is too long.
    #[error("{0} is longer than {1} bytes")]
    TooLong(&'static str, usize),
}

impl JoinOptions {
    /// Checks a join payload.
    ///
    /// # Errors
    /// The first option that is missing, of the wrong type or out of range.
    pub fn from_json(object: &Map<String, Value>) -> Result<Self, JoinError> {
        let get = |name| object.get(name).filter(|value| !value.is_null());
        let identifier = |name| -> Result<Identifier, JoinError> {
            let text = get(name)
                .ok_or(JoinError::Missing(name))?
                .as_str()
                .ok_or(JoinError::Type(name, "a string"))?;
            Identifier::new(text).map_err(|why| JoinError::Identifier(name, why))
        };
        let integer = |name, limit: &Limit| -> Result<u32, JoinError> {
            let Some(value) = get(name) else {
                return Ok(limit.default);
            };
            if !value.is_number() {
                return Err(JoinError::Type(name, "a number"));
            }
            match value.as_f64() {
                Some(number) if number >= 1.0 && number.fract() == 0.0 => {
                    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // clamped
                    Ok(number.min(f64::from(limit.max)) as u32)
                }
                _ => Err(JoinError::Number(name)),
            }
        };
        let flag = |name| match get(name) {
            None => Ok(false),
            Some(Value::Bool(flag)) => Ok(*flag),
            Some(_) => Err(JoinError::Type(name, "true or false")),
        };
        let text = |name, max| match get(name) {
            None => Ok(None),
            Some(Value::String(text)) if text.len() > max => Err(JoinError::TooLong(name, max)),
            Some(Value::String(text)) if text.trim().is_empty() => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.trim().to_owned())),
            Some(_) => Err(JoinError::Type(name, "a string")),
        };
        let side = |name, limit: &Limit| integer(name, limit).map(|side| even(side.max(MIN_SIDE)));

        Ok(Self {
            interaction: identifier("interactionName")?,
            user: identifier("userId")?,
            namespace: match get("namespace") {
                Some(_) => identifier("namespace")?,
                None => Identifier::new("default").expect("a constant"),
            },
            duration: integer("duration", &DURATION)?,
            size: integer("size", &SIZE)?,
            audio_only: flag("audioOnly")?,
            width: side("width", &WIDTH)?,
            height: side("height", &HEIGHT)?,
            framerate: match get("framerate") {
                Some(_) => integer("framerate", &FRAMERATE)?,
                None => integer("frameRate", &FRAMERATE)?,
            },
            audio_fx: text("audioFx", MAX_FX)?,
            video_fx: text("videoFx", MAX_FX)?,
            video_format: match text("videoFormat", MAX_FX)?.as_deref() {
                None | Some("H264") => VideoFormat::H264,
                Some("VP8") => VideoFormat::VP8,
                Some(_) => return Err(JoinError::Choice("videoFormat")),
            },
            recording_mode: match text("recordingMode", MAX_FX)?.as_deref() {
                None => RecordingMode::default(),
                Some(word) => {
                    RecordingMode::parse(word).ok_or(JoinError::Choice("recordingMode"))?
                }
            },
            gpu: flag("gpu")?,
            overlay: flag("overlay")?,
        })
    }
}

/// 4:2:0 pictures have even sides.
fn even(side: u32) -> u32 {
    side & !1
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn join(options: &Value) -> Result<JoinOptions, JoinError> {
        let mut all = json!({"interactionName": "i", "userId": "u"});
        let object = all.as_object_mut().expect("an object");
        for (name, value) in options.as_object().expect("an object") {
            object.insert(name.clone(), value.clone());
        }
        JoinOptions::from_json(object)
    }

    #[test]
    fn defaults_are_the_documented_ones() {
        let join = join(&json!({})).expect("valid");
        assert_eq!((join.duration, join.size, join.framerate), (30, 2, 25));
        assert_eq!((join.width, join.height), (800, 600));
        assert_eq!(join.namespace.as_str(), "default");
        assert_eq!(join.video_format, VideoFormat::H264);
        assert_eq!(join.recording_mode, RecordingMode::Forced);
        assert!(!join.audio_only && !join.gpu && !join.overlay);
        assert_eq!((join.audio_fx, join.video_fx), (None, None));
    }

    #[test]
    fn large_values_are_clamped() {
        let join = join(&json!({"duration": 99999, "size": 50, "width": 1e12, "height": 4000,
            "framerate": 240}))
        .expect("valid");
        assert_eq!((join.duration, join.size, join.framerate), (1200, 8, 60));
        assert_eq!((join.width, join.height), (1920, 1080));
    }

    #[test]
    fn both_spellings_count() {
        assert_eq!(join(&json!({"frameRate": 12})).expect("valid").framerate, 12);
        assert_eq!(
            join(&json!({"recordingMode": "muxed"})).expect("valid").recording_mode,
            RecordingMode::Forced
        );
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (options, error) in [
            (json!({"userId": null}), JoinError::Missing("userId")),
            (json!({"userId": 7}), JoinError::Type("userId", "a string")),
            (
                json!({"interactionName": "../../etc"}),
                JoinError::Identifier("interactionName", IdentifierError::Character),
            ),
            (json!({"duration": "30"}), JoinError::Type("duration", "a number")),
            (json!({"duration": 0}), JoinError::Number("duration")),
            (json!({"size": -1}), JoinError::Number("size")),
            (json!({"size": 1.5}), JoinError::Number("size")),
            (json!({"audioOnly": "yes"}), JoinError::Type("audioOnly", "true or false")),
            (json!({"videoFormat": "AV1"}), JoinError::Choice("videoFormat")),
            (json!({"recordingMode": "x"}), JoinError::Choice("recordingMode")),
            (json!({"audioFx": "x".repeat(MAX_FX + 1)}), JoinError::TooLong("audioFx", MAX_FX)),
        ] {
            assert_eq!(join(&options), Err(error));
        }
    }
}
