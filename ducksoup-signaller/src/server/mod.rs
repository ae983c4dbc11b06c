// SPDX-License-Identifier: MPL-2.0

//! The signaller of a stage: carries all sessions of one interaction, whatever carries its words.
//!
//! [`ServerSignaller`] implements gst-plugin-webrtc's [`Signallable`], the interface between an
//! object that holds webrtcbins and the peers at the other ends. A session is one client's
//! connection: its session id is the [`Connection`] number as decimal text, its peer id the user.
//!
//! ```text
//! stage ── open, receive, close ──►┌─────────────────┐── session-requested, session-description,
//!                                  │ ServerSignaller │      handle-ice, session-ended ──► webrtcbins
//! client ◄── send(connection, …) ──└─────────────────┘◄── send_sdp, add_ice, end_session
//! ```
//!
//! - The server offers, so a new session is announced by `session-requested` with no offer: the
//!   signal after which the producing side (webrtcsink in gst-plugin-webrtc) makes one.
//!   `session-started` belongs to the consuming side and is never emitted here.
//! - `session-ended` is emitted once for each session, whoever ends it: [`ServerSignaller::close`],
//!   `end_session` or `stop`.
//! - A client's candidates wait until the media section they belong to has been answered, ours
//!   until the first offer has left; see [`MAX_WAITING`].
//! - An empty candidate is the end of candidates and is handed on as it is: webrtcbin 1.22 takes
//!   it as such, without a word. It takes *any* text without `candidate:` in front so, which is
//!   why other texts are refused here.
//! - Whoever offers waits for the answer before the next offer: an answer does not say to which
//!   offer it belongs, and is taken for one to the latest.
//!
//! Signals are emitted, and words sent, on the thread that called, with no lock held; the words
//! for all clients leave one after the other, in the order in which they were said.

mod imp;
mod session;

use crate::frame::Connection;
use crate::protocol::{ClientMessage, Identifier, ServerMessage};
use glib::subclass::prelude::*;
use gstrswebrtc::signaller::Signallable;

pub use session::{MAX_WAITING, ReceiveError};

glib::wrapper! {
    /// See the [module](self).
    pub struct ServerSignaller(ObjectSubclass<imp::ServerSignaller>) @implements Signallable;
}

impl ServerSignaller {
    /// A signaller without sessions. Words for clients go to `send`, which must not block for
    /// long: webrtcbin's threads wait for it.
    #[must_use]
    pub fn new(send: impl Fn(Connection, ServerMessage) + Send + Sync + 'static) -> Self {
        let signaller: Self = glib::Object::new();
        signaller.imp().set_send(Box::new(send));
        signaller
    }

    /// A session begins: emits `session-requested`. A session of the same number begins anew.
    pub fn open(&self, connection: Connection, user: &Identifier) {
        self.imp().open(connection, user);
    }

    /// The client is gone: forgets its session and emits `session-ended`. Nothing happens when
    /// there is no such session (any more).
    pub fn close(&self, connection: Connection) {
        self.imp().close(connection);
    }

    /// What a client says, one message of a connection after the other: an answer is emitted as
    /// `session-description`, a candidate as `handle-ice`.
    ///
    /// # Errors
    /// When the message is not of use here; nothing is emitted then, and the session goes on as
    /// it was.
    pub fn receive(
        &self,
        connection: Connection,
        message: &ClientMessage,
    ) -> Result<(), ReceiveError> {
        self.imp().receive(connection, message)
    }
}
