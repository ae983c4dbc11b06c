// SPDX-License-Identifier: MPL-2.0

//! A constant frame rate without a frame of delay: at most one frame a slot goes out, each the
//! moment it comes.
//!
//! - Time is divided into slots of one frame period, counted from `origin` in both directions. A
//!   frame takes the slot whose start is nearest to its capture time (its running time) and goes
//!   out at once, whatever the clock says. Its timestamp becomes the slot's start, exactly
//!   `origin + round(n / framerate)`, and its duration the slot's length.
//! - A surplus frame is dropped. From a sender no faster than the grid, a frame whose slot is taken takes the
//!   next one if it lies past the taken slot's start and near the border of two slots, so that jitter below
//!   half a slot costs at most one repeated picture in all. A sender that has been moved away from the border
//!   for good goes back to its nearest slots, which costs one frame.
//! - A slot counts as missed when a frame for a later one comes or, with a live source, when its end
//!   is `ceiling` ago on the pipeline's clock. Only then is it filled, with the last picture (the same
//!   memory). A frame for a slot that was filled meanwhile is dropped, but it is its picture that the
//!   next repetition shows: frames that are always too late still move.
//! - `[origin, origin + duration)` gets exactly `round(duration × framerate)` frames if one frame came
//!   before it. At the end of the stream the slots up to the last frame's end are filled or, if frames
//!   had ceased, those up to the end's own arrival.
//! - The outgoing segment starts at 0: timestamps that go out are running times. The rate in the
//!   caps is rewritten; a change of size or format passes with its first frame.
//! - Latency queries pass unchanged. QOS events end here, because late is a matter of the grid.
//! - `stats`: frames that came `in` and went `out`, pictures `duplicated` and frames `dropped`;
//!   `out` = `in` − `dropped` + `duplicated`.
//!
//! ```text
//! gst-launch-1.0 videotestsrc is-live=true num-buffers=36 ! video/x-raw,framerate=12/1 ! identity drop-probability=0.1 ! framegrid framerate=25/1 ! x264enc tune=zerolatency ! mp4mux ! filesink location=constant.mp4
//! ```
//!
//! Limits: a source that is not live (as the latency query tells) is never filled by the clock, only
//! up to the next frame. A sink that waits for the clock (`sync=true`) downstream of a live source
//! shows repetitions late, by up to `ceiling`. Rates above 1000/1 are refused. Reverse playback is
//! not supported. The last frame is kept, so an element downstream that writes into frames copies them.

use gst::glib;
use gst::prelude::*;

mod caps;
mod grid;
mod imp;
mod pads;
mod stream;
mod timer;

glib::wrapper! {
    /// See the [page of the element](self).
    pub struct FrameGrid(ObjectSubclass<imp::FrameGrid>)
        @extends gst::Element, gst::Object;
}

pub(crate) fn register(plugin: &gst::Plugin) -> Result<(), glib::BoolError> {
    gst::Element::register(Some(plugin), "framegrid", gst::Rank::NONE, FrameGrid::static_type())
}
