// SPDX-License-Identifier: MPL-2.0

//! The wire protocol between a client (`ducksoup.js`) and the server.
//!
//! Every wire name stands in this module and its children. `docs/protocol.md` describes the
//! same messages in prose; a test runs each of its samples through these types.
//!
//! On the wire a client's payload is always a *string*, often with JSON inside; that old habit
//! ends here: [`ClientMessage::parse`] gives typed values or a typed refusal. The client's side is
//! [`ServerMessage::from_wire`] and [`ClientMessage::to_wire`].

mod client;
mod identifier;
mod join;
mod request;
mod server;

pub use client::{
    ClientMessage, Control, ControlValue, IceCandidate, MAX_RAMP_MS, MAX_TEXT, PolyKind,
    ProtocolError, SessionDescription,
};
pub use identifier::{Identifier, IdentifierError, MAX_IDENTIFIER};
pub use join::{JoinError, JoinOptions, MAX_DURATION, MAX_FX, RecordingMode, VideoFormat};
pub use request::JoinRequest;
pub use server::{ErrorCode, IceServer, JoinContext, ServerMessage};
