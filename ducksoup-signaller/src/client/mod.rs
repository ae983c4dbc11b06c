// SPDX-License-Identifier: MPL-2.0

//! The signaller of a participant: a WebSocket to a server.
//!
//! [`ClientSignaller`] implements gst-plugin-webrtc's [`Signallable`] for the side that answers:
//!
//! ```text
//! server ──ws──► ClientSignaller ── session-started, session-description, handle-ice,
//!        ◄──ws──                     session-ended, error ──► one webrtcbin
//!                ▲   └── Event ──► listener (joined, start, files…)
//!                └── send_sdp, add_ice, say, leave
//! ```
//!
//! - `start` connects and joins; `stop` hangs up without a word, [`ClientSignaller::leave`] says
//!   `stop` before. After either it may be started again: a new session, with a new id.
//! - `session-started` is emitted when the server says `joined`. Offers come one at a time: the
//!   next one after [`Signallable`]'s `send_sdp` of the answer. A section that goes inactive is
//!   shown as it was before and made inactive in the answer, since webrtcbin 1.22 refuses
//!   directions that change.
//! - Signals are emitted, and the listener is called, on a thread of the plugin's runtime with no
//!   lock held, in the order in which the server spoke. They must not block.

mod address;
mod event;
mod imp;
mod sdp;
mod session;
mod socket;
mod tls;

use crate::protocol::ClientMessage;
use crate::signallable::{self, Taken};
use glib::subclass::prelude::*;
use gstrswebrtc::signaller::Signallable;
use std::time::Duration;

pub use event::{Event, Failure};
pub use sdp::SdpError;

glib::wrapper! {
    /// See the [module](self).
    pub struct ClientSignaller(ObjectSubclass<imp::ClientSignaller>)
        @extends gst::Object, @implements Signallable;
}

impl ClientSignaller {
    /// A signaller that is not started. Events go to `listener` with the number of their session,
    /// which counts from 1.
    ///
    /// # Errors
    /// When another library has registered [`Signallable`] in this process.
    pub fn new(listener: impl Fn(u64, Event) + Send + Sync + 'static) -> Result<Self, Taken> {
        signallable::claim()?;
        let signaller: Self = glib::Object::new();
        signaller.imp().set_listener(Box::new(listener));
        Ok(signaller)
    }

    /// How long the server may take until it says `joined`; 4 s unless set.
    pub fn set_connect_timeout(&self, limit: Duration) {
        self.imp().set_connect_timeout(limit);
    }

    /// What is asked for, as the server will understand it.
    ///
    /// # Errors
    /// When the server would refuse it.
    pub fn options(&self) -> Result<crate::protocol::JoinOptions, crate::protocol::JoinError> {
        self.imp().options()
    }

    /// The number of the latest session; 0 before the first.
    #[must_use]
    pub fn session(&self) -> u64 {
        self.imp().session()
    }

    /// Says something that is neither an answer nor a candidate; false when nobody is there to
    /// hear it.
    pub fn say(&self, message: ClientMessage) -> bool {
        self.imp().say(message)
    }

    /// Says `stop`, then closes the connection.
    pub fn leave(&self) {
        self.imp().leave();
    }

    /// Waits until the connection is closed; what is left after `limit` is dropped. Not to be
    /// called by a listener.
    pub fn wait_closed(&self, limit: Duration) {
        self.imp().wait_closed(limit);
    }
}
