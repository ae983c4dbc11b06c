// SPDX-License-Identifier: MPL-2.0

//! What is said to the application: a signal of the element, and a message of the same name and
//! fields.

use crate::client::Event;
use crate::protocol::JoinContext;
use gst::glib;
use gst::prelude::*;

/// One signal and its arguments, by name.
#[derive(Debug)]
pub(super) struct Announcement {
    pub(super) signal: &'static str,
    fields: Vec<(&'static str, glib::SendValue)>,
}

impl Announcement {
    /// What an event is to the application, if anything.
    pub(super) fn of(event: &Event) -> Option<Self> {
        let text = |text: &str| text.to_owned().to_send_value();
        let (signal, fields) = match event {
            Event::Joined { context, .. } => {
                let context = match context {
                    JoinContext::NewInteraction => "new_interaction",
                    JoinContext::ExistingInteraction => "existing-interaction",
                    JoinContext::Reconnection => "reconnection",
                };
                ("joined", vec![("context", text(context))])
            }
            Event::OtherJoined { user, stream_id } => (
                "other-joined",
                vec![("user", text(user.as_str())), ("stream-id", text(stream_id))],
            ),
            Event::OtherLeft { user, stream_id } => {
                ("other-left", vec![("user", text(user.as_str())), ("stream-id", text(stream_id))])
            }
            Event::Start { remaining } => ("start", vec![("remaining", remaining.to_send_value())]),
            Event::Ending => ("ending", vec![]),
            Event::Files(files) => {
                let mut structure = gst::Structure::new_empty("files");
                for (user, paths) in files {
                    structure.set(user.as_str(), gst::Array::new(paths));
                }
                ("files", vec![("files", structure.to_send_value())])
            }
            Event::End => ("end", vec![]),
            Event::ControlRefused { name, property, reason } => (
                "control-refused",
                vec![("name", text(name)), ("property", text(property)), ("reason", text(reason))],
            ),
            Event::Refused { kind, text: sentence } => {
                ("refused", vec![("kind", text(kind)), ("text", text(sentence))])
            }
            Event::Failed(_) | Event::Left => return None,
        };
        Some(Self { signal, fields })
    }

    /// For the bus.
    pub(super) fn message(&self, element: &super::DuckSoupPeer) -> gst::Message {
        let mut structure = gst::Structure::new_empty(format!("ducksouppeer-{}", self.signal));
        for (name, value) in &self.fields {
            structure.set_value(*name, value.clone());
        }
        gst::message::Element::builder(structure).src(element).build()
    }

    /// For those who listen to the signal.
    pub(super) fn emit(&self, element: &super::DuckSoupPeer) {
        let values: Vec<glib::Value> =
            self.fields.iter().map(|(_, value)| value.clone().into()).collect();
        element.emit_by_name_with_values(self.signal, &values);
    }

    /// The signals, as the element declares them.
    pub(super) fn signals() -> Vec<glib::subclass::Signal> {
        let text = String::static_type();
        let signal = |name, types: &[glib::Type]| {
            glib::subclass::Signal::builder(name).param_types(types.iter().copied()).build()
        };
        vec![
            signal("joined", &[text]),
            signal("other-joined", &[text, text]),
            signal("other-left", &[text, text]),
            signal("start", &[u32::static_type()]),
            signal("ending", &[]),
            signal("files", &[gst::Structure::static_type()]),
            signal("end", &[]),
            signal("control-refused", &[text, text, text]),
            signal("refused", &[text, text]),
        ]
    }
}
