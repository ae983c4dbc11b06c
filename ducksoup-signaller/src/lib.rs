// SPDX-License-Identifier: MPL-2.0

//! The DuckSoup protocol, and the signallers that speak it.
//!
//! - [`protocol`]: what clients and the server say to each other; the only place with wire names.
//! - [`frame`]: what the door (`serve`) and the stage (`interaction`) say to each other.
//! - [`server`]: the signaller of a stage; its sessions are the clients' connections.

pub mod frame;
pub mod protocol;
pub mod server;
