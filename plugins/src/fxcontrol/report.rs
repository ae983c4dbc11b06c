// SPDX-License-Identifier: MPL-2.0

//! Element messages: what was asked, what was refused, what was really set and when.

use super::ramp::Shape;
use gst::glib;
use gst::prelude::*;

/// What one message tells about a command.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Report {
    Accepted { duration: u64, shape: Shape },
    Refused { reason: String },
    Started { running_time: u64, duration: u64, shape: Shape, from: Option<f64> },
    Applied { running_time: u64 },
    Finished { running_time: u64, complete: bool },
}

/// Which command, and the value it is about.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct About<'a> {
    pub(super) id: u64,
    pub(super) name: &'a str,
    pub(super) property: &'a str,
    pub(super) value: &'a str,
}

impl Report {
    fn name(&self) -> &'static str {
        match self {
            Self::Accepted { .. } => "fxcontrol-accepted",
            Self::Refused { .. } => "fxcontrol-refused",
            Self::Started { .. } => "fxcontrol-started",
            Self::Applied { .. } => "fxcontrol-applied",
            Self::Finished { .. } => "fxcontrol-finished",
        }
    }

    pub(super) fn to_structure(&self, about: About<'_>) -> gst::Structure {
        let structure = gst::Structure::builder(self.name())
            .field("command", about.id)
            .field("name", about.name)
            .field("property", about.property)
            .field("value", about.value);
        match self {
            Self::Accepted { duration, shape } => {
                structure.field("duration", *duration).field("shape", shape.nick())
            }
            Self::Refused { reason } => structure.field("reason", reason.as_str()),
            Self::Started { running_time, duration, shape, from } => structure
                .field("running-time", *running_time)
                .field("duration", *duration)
                .field("shape", shape.nick())
                .field_if_some("from", from.map(|from| from.to_string())),
            Self::Applied { running_time } => structure.field("running-time", *running_time),
            Self::Finished { running_time, complete } => {
                structure.field("running-time", *running_time).field("complete", *complete)
            }
        }
        .build()
    }
}

/// Posts in the name of the bin. No lock of ours may be held: a bus may call back at once.
pub(super) fn post(bin: &glib::WeakRef<super::FxControl>, structure: gst::Structure) {
    if let Some(bin) = bin.upgrade() {
        let message = gst::message::Element::builder(structure).src(&bin).build();
        // Without a bus nobody listens, which is no fault.
        let _ = bin.post_message(message);
    }
}
