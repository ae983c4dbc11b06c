// SPDX-License-Identifier: MPL-2.0

//! A participant's place in an interaction.

use crate::interaction::silence::Silence;
use ducksoup_signaller::frame::Connection;

/// Where a participant is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Presence {
    /// Connected, media not yet complete.
    Connecting(Connection),
    /// Connected, media flowing.
    Ready(Connection),
    /// Gone; the others know or not.
    Away { told: bool },
}

impl Presence {
    pub(super) fn connection(self) -> Option<Connection> {
        match self {
            Self::Connecting(connection) | Self::Ready(connection) => Some(connection),
            Self::Away { .. } => None,
        }
    }
}

/// One participant's place.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Seat {
    pub(super) presence: Presence,
    /// Of a connected one.
    pub(super) silence: Silence,
    pub(super) stream_id: String,
}
