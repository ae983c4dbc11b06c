// SPDX-License-Identifier: MPL-2.0

//! What an element complains of.

use gst::prelude::*;

/// An error or a warning in one line: whose it is, its text, and the last line of what it adds.
pub(crate) fn words(message: &gst::MessageRef) -> String {
    let source = message.src().map(|source| source.name().to_string()).unwrap_or_default();
    let (text, detail) = match message.view() {
        gst::MessageView::Error(error) => (error.error().to_string(), error.debug()),
        gst::MessageView::Warning(warning) => (warning.error().to_string(), warning.debug()),
        _ => (String::new(), None),
    };
    let detail = detail.as_deref().and_then(|detail| detail.lines().last()).unwrap_or_default();
    format!("{source}: {text} {detail}").trim().to_owned()
}
