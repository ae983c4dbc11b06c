// SPDX-License-Identifier: MPL-2.0

//! Which effects a participant may have: the operator's policy, put to the checks of `fxcontrol`.

use ducksoup_signaller::frame::StageSettings;
use ducksoup_signaller::protocol::JoinOptions;
use gst::prelude::*;
use gstducksoup::fxcontrol::{self, FxError, MediaKind, Policy};

/// Checks what a client asks for, before anything of it exists.
///
/// # Errors
/// The first effect or property that is unknown, wrong or not allowed.
pub fn check(options: &JoinOptions, settings: &StageSettings) -> Result<(), FxError> {
    let (allow, deny) = lists(&settings.effect_policy);
    let policy = Policy;
    if let Some(fx) = &options.audio_fx {
        fxcontrol::check(fx, MediaKind::Audio, &policy)?;
    }
    if let Some(fx) = options.video_fx.as_ref().filter(|_| !options.audio_only) {
        fxcontrol::check(fx, MediaKind::Video, &policy)?;
    }
    Ok(())
}

/// Puts a checked effect into its slot.
pub fn fill(slot: &gst::Element, fx: Option<&str>, settings: &StageSettings) {
    let (allow, deny) = lists(&settings.effect_policy);
    let folders: Vec<_> = settings
        .effect_folders
        .iter()
        .map(|folder| folder.to_string_lossy())
        .collect();
    slot.set_property("allow", allow.join(","));
    slot.set_property("deny", deny.join(","));
    slot.set_property("folders", folders.join(":"));
    slot.set_property("fx", fx.unwrap_or_default());
}

/// The operator's element names: those with a `-` before are forbidden, the others allowed.
fn lists(policy: &[String]) -> (Vec<&str>, Vec<&str>) {
    let (deny, allow): (Vec<_>, Vec<_>) = policy.iter().partition(|name| name.starts_with('-'));
    (
        allow.into_iter().map(String::as_str).collect(),
        deny.into_iter()
            .map(|name| name.trim_start_matches('-'))
            .collect(),
    )
}
