// SPDX-License-Identifier: MPL-2.0

//! GStreamer elements for social experiments.
//!
//! | element | what it is for |
//! |---|---|
//! | [`ducksoupmixer`] | who receives whom: one RTP stream in, one route out for each receiver |
//! | [`fxcontrol`] | an effect whose properties move along ramps, to the sample |
//! | [`framegrid`] | a constant frame rate without a frame of delay |
//! | [`experimentrecorder`] | dry and wet media to files that survive anything |
//! | [`bitratecontroller`] | steers the encoder before it by what its receivers can take |
//!
//! They know nothing of rooms, sockets or the DuckSoup protocol: each is of use from
//! `gst-launch-1.0` alone. What they tell each other: [`estimate`], and by
//! which rules they ask for [`keyframes`].

pub mod bitratecontroller;
pub mod ducksoupmixer;
pub mod estimate;
pub mod experimentrecorder;
pub mod framegrid;
pub mod fxcontrol;
pub mod keyframes;
mod laying;
mod quiet;

pub use laying::Content;
pub use quiet::listen_to;

fn plugin_init(plugin: &gst::Plugin) -> Result<(), gst::glib::BoolError> {
    ducksoupmixer::register(plugin)?;
    fxcontrol::register(plugin)?;
    framegrid::register(plugin)?;
    experimentrecorder::register(plugin)?;
    bitratecontroller::register(plugin)
}

mod definition {
    // The macro makes public items of its own, without documentation.
    #![allow(missing_docs, missing_debug_implementations, unreachable_pub)]
    use super::plugin_init;

    gst::plugin_define!(
        ducksoup,
        env!("CARGO_PKG_DESCRIPTION"),
        plugin_init,
        env!("CARGO_PKG_VERSION"),
        "MPL-2.0",
        env!("CARGO_PKG_NAME"),
        env!("CARGO_PKG_NAME"),
        env!("CARGO_PKG_REPOSITORY"),
        env!("BUILD_REL_DATE")
    );
}

/// Registers the elements in this process, for programs and tests that link this crate.
///
/// # Errors
/// When GStreamer refuses, for instance because the same plugin was already loaded from a file.
pub fn plugin_register_static() -> Result<(), gst::glib::BoolError> {
    definition::plugin_register_static()
}
