// SPDX-License-Identifier: MPL-2.0

//! A participant without a browser: joins an interaction, sends what is linked to its sink pads and
//! gives what it receives on source pads.

use gst::glib;
use gst::prelude::*;
use std::sync::LazyLock;

mod announcement;
mod call;
mod codec;
mod ice;
mod imp;
mod input;
mod participant;
mod receiving;
mod sending;

pub use receiving::Output;

static CAT: LazyLock<gst::DebugCategory> = LazyLock::new(|| {
    gst::DebugCategory::new(
        "ducksouppeer",
        gst::DebugColorFlags::empty(),
        Some("A participant of a DuckSoup interaction"),
    )
});

glib::wrapper! {
    /// See the [page of the element](self).
    pub struct DuckSoupPeer(ObjectSubclass<imp::DuckSoupPeer>)
        @extends gst::Bin, gst::Element, gst::Object, @implements gst::ChildProxy;
}

pub(crate) fn register(plugin: &gst::Plugin) -> Result<(), glib::BoolError> {
    gst::Element::register(
        Some(plugin),
        "ducksouppeer",
        gst::Rank::NONE,
        DuckSoupPeer::static_type(),
    )
}
