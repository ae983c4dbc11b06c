// SPDX-License-Identifier: MPL-2.0

//! framegrid

pub(crate) fn register(_plugin: &gst::Plugin) -> Result<(), gst::glib::BoolError> {
    Ok(())
}
