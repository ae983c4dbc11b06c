// SPDX-License-Identifier: MPL-2.0

//! The DuckSoup protocol, and the signallers that speak it.
//!
//! - [`protocol`]: what clients and the server say to each other; the only place with wire names.
//! - [`frame`]: what the door (`serve`) and the stage (`interaction`) say to each other.
//! - [`server`]: the signaller of a stage; its sessions are the clients' connections.
//! - [`client`]: the signaller of a participant; a WebSocket to a server.
//! - [`nice`]: libnice's agent inside a `webrtcbin`, for both sides.
//! - [`ducksouppeer`]: an element that is a participant, and a plugin of its own.

pub mod client;
pub mod ducksouppeer;
pub mod frame;
pub mod nice;
pub mod protocol;
pub mod server;
pub mod signallable;

fn plugin_init(plugin: &gst::Plugin) -> Result<(), glib::BoolError> {
    ducksouppeer::register(plugin)
}

mod definition {
    // The macro makes public items of its own, without documentation.
    #![allow(missing_docs, missing_debug_implementations, unreachable_pub)]
    use super::plugin_init;

    gst::plugin_define!(
        ducksoup_signaller,
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

/// Registers `ducksouppeer` in this process, for programs and tests that link this crate.
///
/// # Errors
/// When GStreamer refuses, for instance because the same plugin was already loaded from a file.
pub fn plugin_register_static() -> Result<(), glib::BoolError> {
    definition::plugin_register_static()
}
