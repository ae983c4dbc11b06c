// SPDX-License-Identifier: MPL-2.0

//! What a participant's signaller tells the one that uses it.

use super::sdp::SdpError;
use crate::protocol::{IceServer, Identifier, JoinContext, JoinError};
use std::collections::BTreeMap;
use std::time::Duration;

/// What happened in the interaction, or to the connection.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// The participant is in.
    Joined {
        /// How it came.
        context: JoinContext,
        /// What the connection for media may use.
        ice_servers: Vec<IceServer>,
    },
    /// Another participant is in.
    OtherJoined {
        /// Who.
        user: Identifier,
        /// The `MediaStream` id of all their tracks.
        stream_id: String,
    },
    /// Another participant left.
    OtherLeft {
        /// Who.
        user: Identifier,
        /// The `MediaStream` id of all their tracks.
        stream_id: String,
    },
    /// The interaction runs.
    Start {
        /// Seconds left.
        remaining: u32,
    },
    /// The end is near.
    Ending,
    /// The recordings, complete, by user.
    Files(BTreeMap<Identifier, Vec<String>>),
    /// The interaction is over; nothing follows.
    End,
    /// A control that was not carried out.
    ControlRefused {
        /// The effect named.
        name: String,
        /// The property named.
        property: String,
        /// Why, in words.
        reason: String,
    },
    /// The server ends the call; nothing follows.
    Refused {
        /// `error-full`, `error-join`…
        kind: String,
        /// In words.
        text: String,
    },
    /// The connection cannot be made or kept; nothing follows.
    Failed(Failure),
    /// The participant has left, as it wished; nothing follows.
    Left,
}

/// Why there is no connection to the server (any more).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// A property is missing or wrong.
    #[error("{0}")]
    Settings(String),
    /// The join options would be refused.
    #[error("the join options are wrong: {0}")]
    Options(#[from] JoinError),
    /// Nobody answers at this address.
    #[error("the server at {address} cannot be reached: {reason}")]
    Unreachable {
        /// Host and port.
        address: String,
        /// In words.
        reason: String,
    },
    /// The server is there and does not let us in.
    #[error("the server at {address} refuses the connection: {reason}")]
    NotAdmitted {
        /// Host and port.
        address: String,
        /// In words.
        reason: String,
    },
    /// The server is there and has not said `joined` in time.
    #[error("the server at {address} has not let the participant join within {} ms", .limit.as_millis())]
    NotJoined {
        /// Host and port.
        address: String,
        /// How long was waited.
        limit: Duration,
    },
    /// The connection has ended without a word of farewell.
    #[error("the server has closed the connection ({0})")]
    Closed(String),
    /// What the server says cannot be used.
    #[error("the server's {kind} cannot be used: {reason}")]
    Unusable {
        /// The message's kind.
        kind: &'static str,
        /// In words.
        reason: String,
    },
}

impl Failure {
    /// An offer that cannot be used.
    #[must_use]
    pub fn offer(reason: impl Into<String>) -> Self {
        Self::Unusable { kind: "offer", reason: reason.into() }
    }
}

impl From<SdpError> for Failure {
    fn from(error: SdpError) -> Self {
        Self::offer(error.to_string())
    }
}
