// SPDX-License-Identifier: MPL-2.0

//! What the application says to the server: the element's action signals.

use super::DuckSoupPeer;
use super::input::Input;
use crate::protocol::{ClientMessage, Control, ControlValue, Identifier, MAX_RAMP_MS};
use gst::glib;
use gst::glib::subclass::Signal;
use gst::prelude::*;
use gst::subclass::prelude::*;

/// The arguments of one emission; GObject has checked their types.
struct Arguments<'a>(&'a [glib::Value]);

impl Arguments<'_> {
    fn element(&self) -> DuckSoupPeer {
        self.get(0)
    }

    fn text(&self, index: usize) -> Option<String> {
        self.get(index)
    }

    fn get<T: for<'v> glib::value::FromValue<'v>>(&self, index: usize) -> T {
        self.0[index].get().unwrap_or_else(|_| unreachable!("GObject knows the types"))
    }

    /// A command for the effect that the first two name, of the user that the fifth names.
    fn control(&self, value: ControlValue, duration_ms: u32) {
        let element = self.element();
        let user = match self.text(5).as_deref().map(Identifier::new).transpose() {
            Ok(user) => user,
            Err(error) => {
                gst::warning!(super::CAT, obj = element, "control: the user {error}");
                return;
            }
        };
        element.imp().say(ClientMessage::Control(Control {
            user,
            name: self.text(1).unwrap_or_default(),
            property: self.text(2).unwrap_or_default(),
            value,
            duration_ms: duration_ms.min(MAX_RAMP_MS),
        }));
    }
}

/// The signals, as the element declares them.
pub(super) fn signals() -> Vec<Signal> {
    let text = String::static_type();
    let action = |name, types: &[glib::Type], act: fn(&Arguments<'_>)| {
        Signal::builder(name)
            .param_types(types.iter().copied())
            .action()
            .class_handler(move |values| {
                act(&Arguments(values));
                None
            })
            .build()
    };
    vec![
        action(
            "control-fx",
            &[text, text, f64::static_type(), u32::static_type(), text],
            |given| {
                let value: f64 = given.get(3);
                if value.is_finite() {
                    given.control(ControlValue::Number(value), given.get(4));
                }
            },
        ),
        action("poly-control-fx", &[text; 5], |given| {
            // The third, the kind, is a hint that nobody needs: the property's own type decides.
            given.control(ControlValue::Text(given.text(4).unwrap_or_default()), 0);
        }),
        action("server-log", &[text; 2], |given| {
            let kind = format!("ext_{}", given.text(1).unwrap_or_default());
            given.element().imp().say(ClientMessage::Ext { kind, text: given.text(2) });
        }),
        action("stop", &[], |given| {
            given.element().imp().input(Input::Leave);
        }),
        action("reconnect", &[], |given| {
            given.element().imp().input(Input::Reconnect);
        }),
    ]
}
