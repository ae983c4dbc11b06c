// SPDX-License-Identifier: MPL-2.0

//! What happens to an interaction, and what is to be done about it.

#[cfg(doc)]
use super::{LEAD, Lifecycle};
use ducksoup_signaller::frame::{Connection, LeaveCause};
use ducksoup_signaller::protocol::{IceServer, Identifier, JoinOptions, ServerMessage};
use std::collections::BTreeMap;

/// What happens to an interaction.
#[derive(Debug, Clone, PartialEq)]
pub enum Input {
    /// A client wants in.
    Join {
        /// Its socket.
        connection: Connection,
        /// What it asks for.
        options: Box<JoinOptions>,
        /// ICE servers for this client alone.
        ice_servers: Vec<IceServer>,
    },
    /// Every expected track of this client has delivered decodable media.
    Ready {
        /// Its socket.
        connection: Connection,
    },
    /// A socket is gone, or its client said `stop`.
    Leave {
        /// The socket.
        connection: Connection,
        /// Why.
        cause: LeaveCause,
    },
    /// A client's media connection or chain cannot be had.
    Failed {
        /// Its socket.
        connection: Connection,
    },
    /// A client's media no longer come through, or do again.
    Media {
        /// Its socket.
        connection: Connection,
        /// Whether they come.
        flowing: bool,
    },
    /// The recordings are complete, by user; paths relative to the data folder.
    FilesFinished(BTreeMap<Identifier, Vec<String>>),
    /// The time asked for by [`Lifecycle::next_timeout`] may have come.
    Timeout,
    /// The door is gone or wants the stage to end.
    Shutdown,
}

/// What to do about it, in this order.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// Say something to a client.
    Send {
        /// To which socket.
        to: Connection,
        /// What.
        message: ServerMessage,
    },
    /// Nothing more will be said to this client.
    Close(Connection),
    /// This run is over: the door should take the join to a new one.
    Decline(Connection),
    /// Note that a client asked for other terms than those of the run, which hold for it too.
    Differs {
        /// Its socket.
        connection: Connection,
        /// The options' names.
        options: Vec<&'static str>,
    },
    /// Build the media of a client and offer to receive its tracks.
    OpenPeer {
        /// Its socket.
        connection: Connection,
        /// Who it is.
        options: Box<JoinOptions>,
        /// The `MediaStream` id of the user's tracks.
        stream_id: String,
        /// How often this user has connected, this time included.
        count: u32,
    },
    /// Take a client's media down; its files are finished.
    ClosePeer {
        /// Its socket.
        connection: Connection,
        /// Why.
        cause: CloseCause,
    },
    /// Offer a user's tracks to a client.
    Show {
        /// The receiver.
        to: Connection,
        /// Whose tracks.
        user: Identifier,
    },
    /// Withdraw a user's tracks from a client.
    Hide {
        /// The receiver.
        to: Connection,
        /// Whose tracks.
        user: Identifier,
    },
    /// The interaction starts: t0 is [`LEAD`] from now.
    Start,
    /// Record a client: from t0 on, or from now on when that is past.
    Record {
        /// Its socket.
        connection: Connection,
    },
    /// Complete every recording and answer with [`Input::FilesFinished`].
    FinishFiles(Outcome),
    /// The door must not send more joins.
    Over,
    /// Nothing is left to do: the process may exit.
    Exit,
}

/// Why a peer is taken down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CloseCause {
    /// Its socket went, see the cause.
    Left(LeaveCause),
    /// Its media failed.
    Failed,
    /// The interaction is over.
    Over,
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Its time was up.
    Ended,
    /// Not everyone came in time.
    Aborted,
    /// The server stopped, or a part of it had to.
    Interrupted,
}
