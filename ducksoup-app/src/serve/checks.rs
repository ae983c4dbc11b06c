// SPDX-License-Identifier: MPL-2.0

//! What participants' device checks came to. A page says it in one JSON object; every field is a
//! checked type, the file's name is the server's, and no file is ever written twice.
//!
//! ```text
//! <data>/<namespace>/checks/c-<YYYYMMDD-HHMMSS.mmm>-u-<user>-<random>.json
//! ```

use super::limits::{CHECK_BURST, CHECK_RATE, MAX_CHECK, MAX_CHECKS};
use super::rate::Bucket;
use super::{Door, lock};
use ducksoup_signaller::protocol::Identifier;
use futures_util::{Stream, StreamExt as _};
use jiff::Timestamp;
use rand::Rng as _;
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::pin::pin;
use std::time::Instant;
use tokio::time::timeout;
use warp::Buf;
use warp::http::StatusCode;

/// Longest name of a device, language tag or browser, in characters; browsers' are below 150.
const MAX_TEXT: usize = 300;

/// What a page says. `audio_direct` checks sound only.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Check {
    page: Page,
    user_id: Identifier,
    #[serde(default = "default_namespace")]
    namespace: Identifier,
    #[serde(default)]
    interaction_name: Option<Identifier>,
    microphone: Microphone,
    #[serde(default)]
    camera: Option<Camera>,
    /// The page's own words for how it went.
    verdict: Verdict,
    #[serde(default)]
    language: Text,
    screen: Screen,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Page {
    Direct,
    AudioDirect,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Verdict {
    Good,
    Poor,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Microphone {
    label: Text,
    /// While the participant spoke.
    speech: Decibels,
    peak: Decibels,
    /// While they were silent.
    noise: Decibels,
    /// Share of the samples at the limit.
    clipped: Share,
    verdict: MicrophoneVerdict,
    #[serde(default)]
    sample_rate: Option<SampleRate>,
    #[serde(default)]
    echo_cancellation: Option<bool>,
    #[serde(default)]
    noise_suppression: Option<bool>,
    #[serde(default)]
    auto_gain_control: Option<bool>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum MicrophoneVerdict {
    Good,
    Silent,
    Quiet,
    Loud,
    Noisy,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Camera {
    label: Text,
    width: Pixels,
    height: Pixels,
    framerate: Framerate,
    /// Mean of the picture, black to white.
    brightness: Share,
    verdict: CameraVerdict,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum CameraVerdict {
    Good,
    Dark,
    Bright,
    Frozen,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Screen {
    width: Pixels,
    height: Pixels,
}

/// A number within limits, as a type: `type name(from, to)`.
macro_rules! within {
    ($($(#[$doc:meta])* $name:ident($low:literal, $high:literal);)*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
        #[serde(try_from = "f64")]
        struct $name(f64);

        impl TryFrom<f64> for $name {
            type Error = String;

            fn try_from(number: f64) -> Result<Self, String> {
                if ($low..=$high).contains(&number) {
                    Ok(Self(number))
                } else {
                    Err(format!("{number} is not within {} and {}", $low, $high))
                }
            }
        }
    )*};
}

within! {
    /// Relative to full scale. Ours: digital silence is told as -200.
    Decibels(-200.0, 20.0);
    Share(0.0, 1.0);
    Pixels(0.0, 16_384.0);
    /// A second.
    Framerate(0.0, 1000.0);
    /// In Hz.
    SampleRate(1.0, 768_000.0);
}

/// A text of no more than [`MAX_TEXT`] characters, none of which controls a terminal.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String")]
struct Text(String);

impl TryFrom<String> for Text {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        if text.chars().count() > MAX_TEXT {
            return Err("a text is too long");
        }
        if text.chars().any(char::is_control) {
            return Err("a text holds control characters");
        }
        Ok(Self(text))
    }
}

impl Text {
    /// As much of a text as fits.
    fn cut(text: &str) -> Self {
        Self(text.chars().filter(|c| !c.is_control()).take(MAX_TEXT).collect())
    }
}

/// Where it goes when the page names none (README "namespace").
#[allow(clippy::expect_used)] // a constant
fn default_namespace() -> Identifier {
    Identifier::new("default").expect("letters only")
}

/// Why a check is not stored.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CheckError {
    /// It says something that cannot be.
    #[error("{0}")]
    Wrong(String),
    /// It is longer than [`MAX_CHECK`].
    #[error("it is longer than {MAX_CHECK} bytes")]
    TooLong,
    /// It did not come, or not in time.
    #[error("it did not arrive")]
    Lost,
    /// Too many have come.
    #[error("too many checks at once, try again later")]
    TooMany,
    /// The disk refused.
    #[error("it could not be stored")]
    Disk(#[from] std::io::Error),
}

impl CheckError {
    /// As HTTP says it.
    pub(crate) fn status(&self) -> StatusCode {
        match self {
            Self::Wrong(_) => StatusCode::BAD_REQUEST,
            Self::TooLong => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Lost => StatusCode::REQUEST_TIMEOUT,
            Self::TooMany => StatusCode::TOO_MANY_REQUESTS,
            Self::Disk(_) => StatusCode::INSUFFICIENT_STORAGE,
        }
    }
}

/// Takes what a page sends, within the limits; the id under which it is stored.
///
/// # Errors
/// When it is not as it must be, too many come, or the disk refuses.
pub(crate) async fn take<B: Buf>(
    door: &Door,
    browser: &str,
    body: impl Stream<Item = Result<B, warp::Error>>,
) -> Result<String, CheckError> {
    let bytes = timeout(door.config.limits.read, read(body)).await;
    let check = parse(&bytes.map_err(|_| CheckError::Lost)??)?;
    lock(&door.checks).take(Instant::now())?;
    let data = door.config.stage_settings().data;
    let browser = browser.to_owned();
    // The disk may be slow; other requests must not wait for it.
    let stored =
        tokio::task::spawn_blocking(move || store(&data, &check, &browser, Timestamp::now()));
    stored.await.map_err(std::io::Error::other)?
}

/// Reads a body, no further than the limit.
async fn read<B: Buf>(
    body: impl Stream<Item = Result<B, warp::Error>>,
) -> Result<Vec<u8>, CheckError> {
    let mut body = pin!(body);
    let mut bytes = Vec::new();
    while let Some(piece) = body.next().await {
        let mut piece = piece.map_err(|_| CheckError::Lost)?;
        if bytes.len() + piece.remaining() > MAX_CHECK {
            return Err(CheckError::TooLong);
        }
        while piece.has_remaining() {
            let chunk = piece.chunk();
            let length = chunk.len();
            bytes.extend_from_slice(chunk);
            piece.advance(length);
        }
    }
    Ok(bytes)
}

/// Reads what a page says.
///
/// # Errors
/// The first thing in it that cannot be.
pub(crate) fn parse(bytes: &[u8]) -> Result<Check, CheckError> {
    let check: Check =
        serde_json::from_slice(bytes).map_err(|error| CheckError::Wrong(error.to_string()))?;
    match (check.page, &check.camera) {
        (Page::Direct, None) => Err(CheckError::Wrong("the camera is missing".into())),
        (Page::AudioDirect, Some(_)) => Err(CheckError::Wrong("a camera is too much".into())),
        _ => Ok(check),
    }
}

/// How many more are taken.
#[derive(Debug)]
pub(crate) struct Allowance {
    bucket: Bucket,
    left: u32,
}

impl Allowance {
    /// The whole of it.
    pub(crate) fn new(now: Instant) -> Self {
        Self { bucket: Bucket::new(CHECK_RATE, CHECK_BURST, now), left: MAX_CHECKS }
    }

    /// Takes one.
    ///
    /// # Errors
    /// When too many have come at once, or ever: a flood does not fill the disk.
    pub(crate) fn take(&mut self, now: Instant) -> Result<(), CheckError> {
        if self.left == 0 || !self.bucket.take(1.0, now) {
            return Err(CheckError::TooMany);
        }
        self.left -= 1;
        Ok(())
    }
}

/// Stores a check under `data`, with what the server knows of it; its id.
///
/// # Errors
/// When the disk refuses.
pub(crate) fn store(
    data: &Path,
    check: &Check,
    browser: &str,
    at: Timestamp,
) -> Result<String, CheckError> {
    let id = format!("{:08x}", rand::rng().random::<u32>());
    let folder = data.join(check.namespace.as_str()).join("checks");
    std::fs::create_dir_all(&folder)?;
    let stamp = at.strftime("%Y%m%d-%H%M%S%.3f");
    let name = format!("c-{stamp}-u-{}-{id}.json", check.user_id);
    let stored = Stored { id: &id, at: at.to_string(), browser: Text::cut(browser), check };
    let text = serde_json::to_vec_pretty(&stored).map_err(std::io::Error::other)?;
    let mut file = File::create_new(folder.join(name))?;
    file.write_all(&text)?;
    Ok(id)
}

/// A check as it lies on disk.
#[derive(Debug, Serialize)]
struct Stored<'a> {
    id: &'a str,
    /// UTC.
    at: String,
    /// What the browser calls itself.
    browser: Text,
    #[serde(flatten)]
    check: &'a Check,
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn good() -> Value {
        json!({
            "page": "direct", "userId": "ann", "namespace": "study", "interactionName": "i-1",
            "microphone": {
                "label": "Mic (USB)", "speech": -22.5, "peak": -6, "noise": -61.2, "clipped": 0,
                "verdict": "good", "sampleRate": 48000, "echoCancellation": false,
                "noiseSuppression": false, "autoGainControl": null,
            },
            "camera": {
                "label": "Cam", "width": 640, "height": 480, "framerate": 29.7,
                "brightness": 0.41, "verdict": "good",
            },
            "verdict": "good", "language": "fr-FR", "screen": {"width": 1280, "height": 800},
        })
    }

    fn understood(check: &Value) -> Result<Check, CheckError> {
        parse(check.to_string().as_bytes())
    }

    #[test]
    fn every_field_has_limits_and_nothing_else_is_taken() {
        understood(&good()).expect("good");
        let long = "x".repeat(MAX_TEXT + 1);
        for (path, value) in [
            ("/userId", json!("../../etc/passwd")),
            ("/userId", json!("")),
            ("/namespace", json!("..")),
            ("/interactionName", json!("a/b")),
            ("/page", json!("elsewhere")),
            ("/microphone/label", json!(long)),
            ("/microphone/label", json!("a\u{1b}[31m")),
            ("/microphone/speech", json!(-201)),
            ("/microphone/speech", json!("loud")),
            ("/microphone/peak", json!(1e308)),
            ("/microphone/clipped", json!(1.01)),
            ("/microphone/verdict", json!("fine")),
            ("/microphone/sampleRate", json!(0)),
            ("/camera/width", json!(-1)),
            ("/camera/framerate", json!(1001)),
            ("/camera/brightness", json!(2)),
            ("/camera", json!(null)),
            ("/screen", json!(null)),
            ("/verdict", json!(true)),
        ] {
            let mut check = good();
            *check.pointer_mut(path).expect(path) = value.clone();
            assert!(matches!(understood(&check), Err(CheckError::Wrong(_))), "{path}: {value}");
        }
        for path in ["", "/microphone", "/camera", "/screen"] {
            let mut check = good();
            check.pointer_mut(path).expect(path)["path"] = json!("/tmp/x");
            assert!(understood(&check).is_err(), "{path}/path");
        }
        let mut sound = good();
        sound["page"] = json!("audio_direct");
        assert!(understood(&sound).is_err(), "a camera on the page without one");
        sound["camera"] = Value::Null;
        understood(&sound).expect("good");
        assert!(parse(b"{").is_err());
        assert!(parse("[".repeat(5000).as_bytes()).is_err());
    }

    #[test]
    fn what_is_left_out_may_be() {
        let mut check = good();
        for name in ["namespace", "interactionName", "language"] {
            check.as_object_mut().expect("an object").remove(name);
        }
        assert_eq!(understood(&check).expect("good").namespace.as_str(), "default");
    }

    #[test]
    fn each_check_gets_a_file_of_its_own() {
        let data = tempfile::tempdir().expect("a folder");
        let check = understood(&good()).expect("good");
        let at: Timestamp = "2026-01-02T03:04:05.678Z".parse().expect("a time");
        let browser = format!("Firefox\n{}", "x".repeat(1000));
        let ids = [(); 3].map(|()| store(data.path(), &check, &browser, at).expect("stored"));
        let folder = data.path().join("study/checks");
        for id in ids {
            let name = format!("c-20260102-030405.678-u-ann-{id}.json");
            let text = std::fs::read(folder.join(name)).expect("written");
            let stored: Value = serde_json::from_slice(&text).expect("JSON");
            assert_eq!(stored["id"], id.as_str());
            assert_eq!(stored["at"], "2026-01-02T03:04:05.678Z");
            assert_eq!(stored["microphone"]["speech"], -22.5);
            assert_eq!(stored["browser"].as_str().map(str::len), Some(MAX_TEXT));
        }
        assert_eq!(std::fs::read_dir(folder).expect("there").count(), 3);
    }

    #[test]
    fn a_flood_is_not_stored() {
        let now = Instant::now();
        let mut allowance = Allowance::new(now);
        let taken = (0..10_000).filter(|_| allowance.take(now).is_ok()).count();
        assert_eq!(taken, CHECK_BURST as usize);
        allowance.left = 0;
        let later = now + std::time::Duration::from_secs(3600);
        assert!(matches!(allowance.take(later), Err(CheckError::TooMany)));
    }
}
