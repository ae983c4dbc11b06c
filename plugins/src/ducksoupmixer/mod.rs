// SPDX-License-Identifier: MPL-2.0

//! ducksoupmixer

pub(crate) fn register(_plugin: &gst::Plugin) -> Result<(), gst::glib::BoolError> {
    Ok(())
}
