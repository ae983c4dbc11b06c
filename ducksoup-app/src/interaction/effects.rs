// SPDX-License-Identifier: MPL-2.0

//! Which effects a participant may have: the operator's policy, put to the checks of `fxcontrol`.

use ducksoup_signaller::frame::StageSettings;
use ducksoup_signaller::protocol::{Control, ControlValue, JoinOptions};
use gst::prelude::*;
use gstducksoup::fxcontrol::{self, FxControl, FxControlShape, FxError, Input, MediaKind, Policy};

/// Checks what a client asks for, before anything of it exists.
///
/// # Errors
/// The first effect or property that is unknown, wrong or not allowed.
pub fn check(options: &JoinOptions, settings: &StageSettings) -> Result<(), FxError> {
    let policy = policy(settings);
    if let Some(fx) = &options.audio_fx {
        fxcontrol::check(fx, MediaKind::Audio, &policy)?;
    }
    if let Some(fx) = options.video_fx.as_ref().filter(|_| !options.audio_only) {
        fxcontrol::check(fx, MediaKind::Video, &policy)?;
    }
    Ok(())
}

/// What the operator allows.
#[must_use]
pub fn policy(settings: &StageSettings) -> Policy {
    let (allow, deny, folders) = lists(settings);
    Policy::from_lists(&allow, &deny, &folders)
}

/// Puts a checked effect into its slot.
pub fn fill(slot: &FxControl, fx: Option<&str>, settings: &StageSettings) {
    let (allow, deny, folders) = lists(settings);
    slot.set_property("allow", allow);
    slot.set_property("deny", deny);
    slot.set_property("folders", folders);
    slot.set_property("fx", fx.unwrap_or_default());
}

/// Moves a property of the effect that is called so, in whichever slot it is.
///
/// # Errors
/// Why not.
pub fn control(slots: &[FxControl], control: &Control) -> Result<(), FxError> {
    let (value, duration_ms) = match &control.value {
        ControlValue::Number(number) => (Input::Number(*number), control.duration_ms),
        ControlValue::Text(text) => (Input::Text(text), 0),
    };
    let duration = u64::from(duration_ms) * 1_000_000;
    let slot = slots
        .iter()
        .find(|slot| slot.has_effect(&control.name))
        .ok_or_else(|| FxError::UnknownEffect(control.name.clone()))?;
    slot.control(&control.name, &control.property, value, duration, FxControlShape::Linear)
}

/// The operator's lists as `fxcontrol` reads them: elements allowed, elements forbidden (those with
/// a `-` before), folders.
fn lists(settings: &StageSettings) -> (String, String, String) {
    let (deny, allow): (Vec<&str>, Vec<&str>) =
        settings.effect_policy.iter().map(String::as_str).partition(|name| name.starts_with('-'));
    let deny: Vec<_> = deny.into_iter().map(|name| name.trim_start_matches('-')).collect();
    let folders: Vec<_> =
        settings.effect_folders.iter().map(|folder| folder.to_string_lossy()).collect();
    (allow.join(","), deny.join(","), folders.join(":"))
}
