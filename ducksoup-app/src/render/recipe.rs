// SPDX-License-Identifier: MPL-2.0

//! What media pass on their way from dry to wet, as launch text: `pipelines/render.yml` and
//! `render_free.yml`, filled in with the pieces that the live chains are made of.

use super::plan::{Job, Part};
use crate::interaction::gpu::Devices;
use crate::interaction::pipelines::{Mode, Pipelines, PipelinesError, Values};
use ducksoup_signaller::frame::StageSettings;
use serde_json::json;
use std::io::ErrorKind;
use std::path::Path;

/// The descriptions this program was built with, by their names under `pipelines/`.
const CONSTANT: (&str, &str) = ("render.yml", include_str!("../../../pipelines/render.yml"));
const FREE: (&str, &str) = ("render_free.yml", include_str!("../../../pipelines/render_free.yml"));

/// Why there is none: the operator's own files are wrong.
#[derive(Debug, thiserror::Error)]
pub(super) enum RecipeError {
    /// One of ours.
    #[error("pipelines/{0}: {1}")]
    File(&'static str, String),
    /// One of those that it takes pieces of.
    #[error(transparent)]
    Pipelines(#[from] PipelinesError),
}

/// Everything that is the same for all jobs.
#[derive(Debug)]
pub(super) struct Recipe {
    pipelines: Pipelines,
    constant: Mode,
    free: Mode,
    decode: Mode,
    /// The operator's settings.
    pub(super) settings: StageSettings,
}

impl Recipe {
    /// Reads the files for a working directory.
    ///
    /// # Errors
    /// When one of them is wrong.
    pub(super) fn read(working: &Path, settings: StageSettings) -> Result<Self, RecipeError> {
        let decode = "{{codec.decode}}";
        let decode = json!({"layout": "none", "effects": false, "audio": decode, "video": decode});
        Ok(Self {
            pipelines: Pipelines::read(working),
            constant: read(working, CONSTANT)?,
            free: read(working, FREE)?,
            decode: serde_json::from_value(decode)
                .map_err(|error| RecipeError::File("codecs.yml", error.to_string()))?,
            settings,
        })
    }

    /// What makes raw media of a track, as the live chain does.
    ///
    /// # Errors
    /// When a file is wrong.
    pub(super) fn decode(&self, job: &Job, part: &Part) -> Result<String, RecipeError> {
        Ok(self.pipelines.describe(&self.decode, part.codec, self.values(job))?)
    }

    /// What makes a wet track of raw media.
    ///
    /// # Errors
    /// When a file is wrong.
    pub(super) fn wet(&self, job: &Job, part: &Part) -> Result<String, RecipeError> {
        let mode = if job.is_constant() { &self.constant } else { &self.free };
        Ok(self.pipelines.describe(mode, part.codec, self.values(job))?)
    }

    fn values<'a>(&'a self, job: &'a Job) -> Values<'a> {
        Values {
            options: &job.options,
            bitrates: self.settings.video_bitrate,
            jitter_buffer: self.settings.jitter_buffer,
            elements: &self.settings.elements,
            // A GPU's pictures differ in a bit here and there; a render is to be the same everywhere.
            devices: Devices::default(),
            overlay: job.options.overlay,
        }
    }
}

/// A file of the working directory, or else the one in the program.
fn read(working: &Path, (name, embedded): (&'static str, &str)) -> Result<Mode, RecipeError> {
    let fault = |error: String| RecipeError::File(name, error);
    let text = match std::fs::read_to_string(working.join("pipelines").join(name)) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => embedded.to_owned(),
        Err(error) => return Err(fault(error.to_string())),
    };
    serde_saphyr::from_str(&text).map_err(|error| fault(error.to_string()))
}
