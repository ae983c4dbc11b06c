// SPDX-License-Identifier: MPL-2.0

//! The one interface type that is not ours: gst-plugin-webrtc's `Signallable`.
//!
//! Each library that links gst-plugin-webrtc has its own copy of it, and a process knows a type
//! name once: the second copy panics when it registers. So ours asks first.

use glib::prelude::*;
use gstrswebrtc::signaller::Signallable;
use std::sync::OnceLock;

/// As gst-plugin-webrtc 0.15 names it.
const TYPE_NAME: &str = "GstRSWebRTCSignallableIface";

/// Another copy was first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "another plugin of this process (libgstrswebrtc, as a rule) brings {TYPE_NAME} too, and a \
     process can hold it only once; take one of them away from GST_PLUGIN_PATH"
)]
pub struct Taken;

/// Registers our copy, once.
///
/// # Errors
/// When another one was first; for good.
pub(crate) fn claim() -> Result<(), Taken> {
    static CLAIM: OnceLock<Result<(), Taken>> = OnceLock::new();
    *CLAIM.get_or_init(|| {
        if glib::Type::from_name(TYPE_NAME).is_some() {
            return Err(Taken);
        }
        Signallable::static_type();
        Ok(())
    })
}
