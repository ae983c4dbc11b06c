// SPDX-License-Identifier: MPL-2.0

//! Where controls have brought each participant's effects: who comes back finds them so. Pure.
//!
//! A way that was not gone to its end counts as gone. Who comes back with other effects than before
//! begins anew with those.

use ducksoup_signaller::protocol::{Control, Identifier, JoinOptions};
use std::collections::BTreeMap;

/// What is remembered of one participant.
#[derive(Debug, Default)]
struct Held {
    audio_fx: Option<String>,
    video_fx: Option<String>,
    /// The last control of each property, in the order in which they came.
    controls: Vec<Control>,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Standing(BTreeMap<Identifier, Held>);

impl Standing {
    /// A participant comes: what is to be done to the new effects at once.
    pub(super) fn joins(&mut self, options: &JoinOptions) -> Vec<Control> {
        let held = self.0.entry(options.user.clone()).or_default();
        if (&held.audio_fx, &held.video_fx) != (&options.audio_fx, &options.video_fx) {
            *held = Held {
                audio_fx: options.audio_fx.clone(),
                video_fx: options.video_fx.clone(),
                controls: Vec::new(),
            };
        }
        held.controls.clone()
    }

    /// A control of a participant's effects is accepted.
    pub(super) fn accepted(&mut self, of: &Identifier, control: &Control) {
        let controls = &mut self.0.entry(of.clone()).or_default().controls;
        controls.retain(|held| (&held.name, &held.property) != (&control.name, &control.property));
        controls.push(Control { user: None, duration_ms: 0, ..control.clone() });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ducksoup_signaller::protocol::ControlValue;
    use serde_json::json;

    fn options(user: &str, audio_fx: &str) -> JoinOptions {
        let object = json!({"interactionName": "i", "userId": user, "audioFx": audio_fx});
        JoinOptions::from_json(object.as_object().expect("an object")).expect("valid")
    }

    fn control(property: &str, number: f64) -> Control {
        Control {
            user: Some(Identifier::new("ben").expect("valid")),
            name: "voice".into(),
            property: property.into(),
            value: ControlValue::Number(number),
            duration_ms: 500,
        }
    }

    #[test]
    fn who_comes_back_finds_the_last_value_of_each_property_at_once() {
        let ann = options("ann", "pitch name=voice");
        let mut standing = Standing::default();
        assert_eq!(standing.joins(&ann), []);
        for (property, value) in [("pitch", 0.8), ("rate", 2.0), ("pitch", 1.25)] {
            standing.accepted(&ann.user, &control(property, value));
        }
        let held =
            |property, value| Control { user: None, duration_ms: 0, ..control(property, value) };
        assert_eq!(standing.joins(&ann), [held("rate", 2.0), held("pitch", 1.25)]);
        assert_eq!(standing.joins(&options("ben", "pitch name=voice")), [], "each has their own");
    }

    #[test]
    fn other_effects_begin_anew() {
        let ann = options("ann", "pitch name=voice");
        let mut standing = Standing::default();
        standing.joins(&ann);
        standing.accepted(&ann.user, &control("pitch", 0.8));
        assert_eq!(standing.joins(&options("ann", "pitch pitch=2 name=voice")), []);
        assert_eq!(standing.joins(&ann), []);
    }
}
