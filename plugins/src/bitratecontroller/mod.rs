// SPDX-License-Identifier: MPL-2.0

//! Steers the encoder before it by what its receivers can take: a pass-through element to put after
//! an encoder.
//!
//! - Reads the `ducksoup-estimate` events that come from downstream (a custom upstream event whose
//!   structure has `bitrate`, uint, in bit/s) and consumes them. Other events pass. 0 and 4294967295
//!   are no estimates.
//! - The target is the smallest estimate of the last quarter of a second, or the last one if none is that young,
//!   within `min` and `max`. It changes at most once a `period`: down in one step, up by a third
//!   at a time. Estimates less than 2 % below or 5 % above the target change nothing. Before the first
//!   estimate the target is `bitrate` as it was set.
//! - Finds its encoder by walking upstream, through parsers, queues, caps filters and bins, to the first
//!   element whose classification contains `Encoder`, and sets that element's bitrate property in its
//!   own unit and range. Known by name: x264enc, x265enc, openh264enc, vp8enc, vp9enc, av1enc, svtav1enc,
//!   rav1enc, opusenc, omxh264enc and the H.264 encoders of NVIDIA and VA-API; others if the description
//!   of their `bitrate` or `target-bitrate` names its unit. Without an encoder it warns once and passes
//!   everything.
//! - The start value is set when the element goes to READY, before the encoder opens.
//! - Posts element messages: `bitratecontroller-target` (`target` and `previous`, uint, bit/s) at each
//!   change, and `bitratecontroller-measured` (`measured`, uint, bit/s) each second.
//!
//! ```text
//! gst-launch-1.0 -m videotestsrc is-live=true num-buffers=90 ! x264enc tune=zerolatency ! h264parse ! bitratecontroller bitrate=400000 ! fakesink
//! ```
//!
//! Limits: estimates carry no receiver's name, so with several receivers something before this element
//! must tell the smallest ([`ducksoupmixer`](crate::ducksoupmixer) does). Time is looked at when a buffer
//! or an estimate passes. If `min` is above `max`, `max` holds.

use gst::glib;
use gst::prelude::*;

mod encoder;
mod imp;
mod meter;
mod policy;

glib::wrapper! {
    /// See the [page of the element](self).
    pub struct BitrateController(ObjectSubclass<imp::BitrateController>)
        @extends gst_base::BaseTransform, gst::Element, gst::Object;
}

pub(crate) fn register(plugin: &gst::Plugin) -> Result<(), glib::BoolError> {
    gst::Element::register(
        Some(plugin),
        "bitratecontroller",
        gst::Rank::NONE,
        BitrateController::static_type(),
    )
}
