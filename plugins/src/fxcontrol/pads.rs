// SPDX-License-Identifier: MPL-2.0

//! The two pads of an element inside the bin: raw media in, raw media of the same format out, on one
//! thread.

use gst::subclass::prelude::*;
use std::sync::LazyLock;

/// A sink pad whose buffers and events go to these, and a source pad.
pub(super) fn pads<T: ElementImpl>(
    chain: fn(&T, gst::Buffer) -> Result<gst::FlowSuccess, gst::FlowError>,
    event: fn(&T, &gst::Pad, gst::Event) -> bool,
) -> (gst::Pad, gst::Pad) {
    let flags = gst::PadFlags::PROXY_CAPS
        | gst::PadFlags::PROXY_ALLOCATION
        | gst::PadFlags::PROXY_SCHEDULING;
    let [sink, source] = &*RAW;
    let sinkpad = gst::Pad::builder_from_template(sink)
        .chain_function(move |_pad, parent, buffer| {
            T::catch_panic_pad_function(
                parent,
                || Err(gst::FlowError::Error),
                |element| chain(element, buffer),
            )
        })
        .event_function(move |pad, parent, what| {
            T::catch_panic_pad_function(parent, || false, |element| event(element, pad, what))
        })
        .flags(flags)
        .build();
    (sinkpad, gst::Pad::builder_from_template(source).flags(flags).build())
}

static RAW: LazyLock<[gst::PadTemplate; 2]> = LazyLock::new(|| {
    let caps = gst::Caps::builder_full()
        .structure(gst::Structure::new_empty("audio/x-raw"))
        .structure(gst::Structure::new_empty("video/x-raw"))
        .build();
    let always = gst::PadPresence::Always;
    [("sink", gst::PadDirection::Sink), ("src", gst::PadDirection::Src)].map(|(name, direction)| {
        gst::PadTemplate::new(name, direction, always, &caps).expect("the caps are valid")
    })
});

/// `sink` and `src`, for raw audio or video.
pub(super) fn raw_templates() -> &'static [gst::PadTemplate] {
    &*RAW
}
