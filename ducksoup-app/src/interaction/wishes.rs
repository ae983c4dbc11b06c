// SPDX-License-Identifier: MPL-2.0

//! What a participant's options wish for beyond effects, and what becomes of it on this machine: the
//! conversation goes on without what cannot be had, and the log says so.

use super::gpu::{Refusal, Wish};
use super::pipelines::Mode;
use crate::log::messages::Message;
use ducksoup_signaller::frame::StageSettings;
use ducksoup_signaller::protocol::JoinOptions;

/// A wish in vain.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Shortcoming {
    /// The GPU, for these reasons.
    #[error("{}", sentence(.0))]
    Gpu(Vec<Refusal>),
    /// The time in the picture.
    #[error("the GStreamer element textoverlay is missing (Debian package gstreamer1.0-x)")]
    Overlay,
}

impl Shortcoming {
    /// As the log calls it.
    #[must_use]
    pub fn message(&self) -> Message {
        match self {
            Self::Gpu(_) => Message::GpuUnavailable,
            Self::Overlay => Message::OverlayUnavailable,
        }
    }
}

fn sentence(refusals: &[Refusal]) -> String {
    let reasons: Vec<_> = refusals.iter().map(ToString::to_string).collect();
    reasons.join("; ")
}

/// What a participant's pictures ask of a GPU.
#[must_use]
pub fn of_gpu(options: &JoinOptions, mode: &Mode) -> Wish {
    Wish {
        gpu: options.gpu,
        reencodes: mode.effects && !options.audio_only,
        format: options.video_format,
        size: (options.width, options.height),
    }
}

/// Whether a participant's picture shows the run's time: when it or the server asks for it, and the
/// mode makes pictures anew.
///
/// # Errors
/// When this machine has no element for it.
pub fn overlay(
    options: &JoinOptions,
    mode: &Mode,
    settings: &StageSettings,
    can: bool,
) -> Result<bool, Shortcoming> {
    let wanted = options.overlay || settings.force_overlay;
    match wanted && mode.effects && !options.audio_only {
        true if !can => Err(Shortcoming::Overlay),
        shows => Ok(shows),
    }
}

/// Whether this machine has an element that writes into pictures.
#[must_use]
pub fn can_overlay() -> bool {
    gst::ElementFactory::find("textoverlay").is_some()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Args, Config};
    use crate::interaction::pipelines::Pipelines;
    use ducksoup_signaller::protocol::RecordingMode;
    use serde_json::json;
    use std::path::Path;

    #[test]
    fn the_time_is_shown_to_who_asks_for_it_where_pictures_are_made_anew() {
        let nowhere = Path::new("/nonexistent");
        let pipelines = Pipelines::read(nowhere);
        let settings = Config::new(&Args::default(), nowhere).expect("valid").stage_settings();
        // option, DUCKSOUP_FORCE_OVERLAY, audioOnly, mode, an element for it → shown
        for (option, forced, audio_only, mode, can, expected) in [
            (false, false, false, RecordingMode::Forced, true, Ok(false)),
            (true, false, false, RecordingMode::Forced, true, Ok(true)),
            (false, true, false, RecordingMode::None, true, Ok(true)),
            (true, true, true, RecordingMode::Forced, true, Ok(false)),
            (true, true, false, RecordingMode::Passthrough, true, Ok(false)),
            (true, false, false, RecordingMode::Free, false, Err(Shortcoming::Overlay)),
            (false, false, false, RecordingMode::Free, false, Ok(false)),
            (true, true, false, RecordingMode::Bypass, false, Ok(false)),
        ] {
            let object = json!({
                "interactionName": "i", "userId": "u", "overlay": option, "audioOnly": audio_only
            });
            let options = JoinOptions::from_json(object.as_object().expect("an object"));
            let options = options.expect("valid");
            let mode = pipelines.mode(mode).expect("a good file");
            let settings = StageSettings { force_overlay: forced, ..settings.clone() };
            assert_eq!(overlay(&options, mode, &settings, can), expected, "{options:?} {forced}");
        }
    }
}
