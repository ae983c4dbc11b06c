// SPDX-License-Identifier: MPL-2.0

//! What holds for a whole run, whatever later joiners ask for.

use ducksoup_signaller::protocol::{JoinOptions, RecordingMode};
use std::time::Duration;

/// The options of the first joiner that everyone shares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Terms {
    size: u32,
    duration: u32,
    recording_mode: RecordingMode,
    audio_only: bool,
}

impl Terms {
    /// The terms that this first joiner sets.
    #[must_use]
    pub fn of(options: &JoinOptions) -> Self {
        Self {
            size: options.size,
            duration: options.duration,
            recording_mode: options.recording_mode,
            audio_only: options.audio_only,
        }
    }

    /// Participants expected.
    #[must_use]
    pub fn size(&self) -> usize {
        self.size as usize
    }

    /// How long the interaction runs.
    #[must_use]
    pub fn duration(&self) -> Duration {
        Duration::from_secs(self.duration.into())
    }

    /// Puts a later joiner under these terms; the names of the options that differed.
    pub fn impose(&self, options: &mut JoinOptions) -> Vec<&'static str> {
        let differing = [
            ("size", options.size != self.size),
            ("duration", options.duration != self.duration),
            ("recordingMode", options.recording_mode != self.recording_mode),
            ("audioOnly", options.audio_only != self.audio_only),
        ];
        options.size = self.size;
        options.duration = self.duration;
        options.recording_mode = self.recording_mode;
        options.audio_only = self.audio_only;
        differing.into_iter().filter_map(|(name, differs)| differs.then_some(name)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn options(json: &serde_json::Value) -> JoinOptions {
        JoinOptions::from_json(json.as_object().expect("an object")).expect("valid")
    }

    #[test]
    fn the_first_joiner_sets_what_all_share() {
        let first = options(&json!({"interactionName": "i", "userId": "a", "size": 3,
            "duration": 60, "recordingMode": "split", "audioOnly": true, "width": 320}));
        let terms = Terms::of(&first);
        assert_eq!((terms.size(), terms.duration()), (3, Duration::from_secs(60)));

        let mut later = options(&json!({"interactionName": "i", "userId": "b", "width": 640}));
        assert_eq!(terms.impose(&mut later), ["size", "duration", "recordingMode", "audioOnly"]);
        assert_eq!(Terms::of(&later), terms);
        assert_eq!(later.width, 640, "a participant's own");
        assert!(terms.impose(&mut later).is_empty());
    }
}
