// SPDX-License-Identifier: MPL-2.0

use super::session::{Placed, ReceiveError, Session};
use crate::frame::Connection;
use crate::protocol::{ClientMessage, IceCandidate, Identifier, ServerMessage, SessionDescription};
use glib::prelude::*;
use glib::subclass::prelude::*;
use gst_sdp::{SDPMediaRef, SDPMessage};
use gst_webrtc::{WebRTCSDPType, WebRTCSessionDescription};
use gstrswebrtc::signaller::{Signallable, prelude::*};
use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::sync::{LazyLock, Mutex, MutexGuard, OnceLock, PoisonError};

static CAT: LazyLock<gst::DebugCategory> = LazyLock::new(|| {
    gst::DebugCategory::new(
        "serversignaller",
        gst::DebugColorFlags::empty(),
        Some("Signaller of a DuckSoup interaction"),
    )
});

/// Where words for clients go.
type Mouth = Box<dyn Fn(Connection, ServerMessage) + Send + Sync>;

#[derive(Default)]
struct State {
    sessions: HashMap<Connection, Session>,
    /// Words on their way to clients.
    outbox: VecDeque<(Connection, ServerMessage)>,
    /// Whether a thread is emptying the outbox.
    emptying: bool,
}

/// One lock, never held while a signal is emitted or `send` is called.
#[derive(Default)]
pub struct ServerSignaller {
    send: OnceLock<Mouth>,
    state: Mutex<State>,
}

impl fmt::Debug for ServerSignaller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerSignaller").finish_non_exhaustive()
    }
}

#[glib::object_subclass]
impl ObjectSubclass for ServerSignaller {
    const NAME: &'static str = "DuckSoupServerSignaller";
    type Type = super::ServerSignaller;
    type Interfaces = (Signallable,);
}

impl ObjectImpl for ServerSignaller {
    fn properties() -> &'static [glib::ParamSpec] {
        static PROPERTIES: LazyLock<Vec<glib::ParamSpec>> = LazyLock::new(|| {
            vec![glib::ParamSpecOverride::for_interface::<Signallable>("manual-sdp-munging")]
        });
        PROPERTIES.as_ref()
    }

    fn property(&self, _id: usize, pspec: &glib::ParamSpec) -> glib::Value {
        match pspec.name() {
            // Who makes the description asks `munge-session-description` before `send_sdp`.
            "manual-sdp-munging" => false.to_value(),
            name => unreachable!("{name} is no property of ours"),
        }
    }
}

impl SignallableImpl for ServerSignaller {
    /// Nothing to do: sessions begin with [`super::ServerSignaller::open`].
    fn start(&self) {}

    /// Ends every session.
    fn stop(&self) {
        let connections: Vec<_> = self.state().sessions.keys().copied().collect();
        for connection in connections {
            self.close(connection);
        }
    }

    fn send_sdp(&self, session_id: &str, sdp: &WebRTCSessionDescription) {
        if sdp.type_() != WebRTCSDPType::Offer {
            return self.fail(session_id, "the server says nothing but offers");
        }
        let Ok(text) = sdp.sdp().as_text() else {
            return self.fail(session_id, "an offer without a text");
        };
        let mids = sdp.sdp().medias().map(mid).collect();
        self.say(session_id, |session| {
            let offer = SessionDescription { kind: "offer".to_owned(), sdp: text };
            let candidates = session.offer(mids).into_iter();
            std::iter::once(ServerMessage::Offer(offer))
                .chain(candidates.map(ServerMessage::Candidate))
                .collect()
        });
    }

    fn add_ice(&self, session_id: &str, candidate: &str, section: u32, mid: Option<String>) {
        let candidate = IceCandidate {
            candidate: candidate.to_owned(),
            sdp_mid: mid,
            sdp_m_line_index: Some(section),
        };
        self.say(session_id, |session| {
            let candidate = session.local_candidate(candidate);
            candidate.map(ServerMessage::Candidate).into_iter().collect()
        });
    }

    fn end_session(&self, session_id: &str) {
        match connection_of(session_id) {
            Some(connection) => self.close(connection),
            None => self.fail(session_id, "no session id of ours"),
        }
    }
}

impl ServerSignaller {
    pub(super) fn set_send(&self, send: Mouth) {
        // Called once, by the constructor.
        let _ = self.send.set(send);
    }

    pub(super) fn open(&self, connection: Connection, user: &Identifier) {
        self.state().sessions.insert(connection, Session::default());
        let no_offer = None::<WebRTCSessionDescription>;
        let session_id = session_id(connection);
        gst::debug!(CAT, "session {session_id} of {user} begins");
        self.obj()
            .emit_by_name::<()>("session-requested", &[&session_id, &user.as_str(), &no_offer]);
    }

    pub(super) fn close(&self, connection: Connection) {
        let known = {
            let mut state = self.state();
            state.outbox.retain(|(to, _)| *to != connection);
            state.sessions.remove(&connection).is_some()
        };
        if known {
            let session_id = session_id(connection);
            gst::debug!(CAT, "session {session_id} ends");
            self.obj().emit_by_name::<bool>("session-ended", &[&session_id]);
        }
    }

    pub(super) fn receive(
        &self,
        connection: Connection,
        message: &ClientMessage,
    ) -> Result<(), ReceiveError> {
        match message {
            ClientMessage::Answer(answer) => self.receive_answer(connection, answer),
            ClientMessage::Candidate(candidate) => {
                let placed =
                    self.with_session(connection, |session| session.remote_candidate(candidate))?;
                self.emit_candidates(connection, placed);
                Ok(())
            }
            _ => Err(ReceiveError::NotSignalling),
        }
    }

    fn receive_answer(
        &self,
        connection: Connection,
        answer: &SessionDescription,
    ) -> Result<(), ReceiveError> {
        let sdp = parse(&answer.sdp).ok_or(ReceiveError::NotSdp)?;
        let sections = sdp.medias_len() as usize;
        let candidates = self.with_session(connection, |session| session.answer(sections))?;
        let description = WebRTCSessionDescription::new(WebRTCSDPType::Answer, sdp);
        self.obj()
            .emit_by_name::<()>("session-description", &[&session_id(connection), &description]);
        self.emit_candidates(connection, candidates);
        Ok(())
    }

    fn emit_candidates(
        &self,
        connection: Connection,
        candidates: impl IntoIterator<Item = Placed>,
    ) {
        let session_id = session_id(connection);
        for placed in candidates {
            self.obj().emit_by_name::<()>(
                "handle-ice",
                &[&session_id, &placed.section, &placed.mid, &placed.candidate],
            );
        }
    }

    fn with_session<T>(
        &self,
        connection: Connection,
        act: impl FnOnce(&mut Session) -> Result<T, ReceiveError>,
    ) -> Result<T, ReceiveError> {
        let mut state = self.state();
        let session = state.sessions.get_mut(&connection);
        act(session.ok_or(ReceiveError::UnknownSession(connection))?)
    }

    /// Lets a session decide what is said to its client, and sees that it is said in this order,
    /// whichever threads speak: the first one to come empties the outbox for all.
    fn say(&self, session_id: &str, words: impl FnOnce(&mut Session) -> Vec<ServerMessage>) {
        let mut state = self.state();
        let session = connection_of(session_id)
            .and_then(|connection| Some((connection, state.sessions.get_mut(&connection)?)));
        let Some((connection, session)) = session else {
            gst::debug!(CAT, "words for session {session_id}, which is gone");
            return;
        };
        let words = words(session);
        let words = words.into_iter().map(|word| (connection, word));
        state.outbox.extend(words);
        if std::mem::replace(&mut state.emptying, true) {
            return;
        }
        while let Some((connection, message)) = state.outbox.pop_front() {
            drop(state);
            if let Some(send) = self.send.get() {
                send(connection, message);
            }
            state = self.state();
        }
        state.emptying = false;
    }

    /// Tells the object that uses this signaller about its own mistake.
    fn fail(&self, session_id: &str, reason: &str) {
        gst::error!(CAT, "session {session_id}: {reason}");
        self.obj().emit_by_name::<()>("error", &[&reason]);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The session id of a connection.
fn session_id(connection: Connection) -> String {
    connection.0.to_string()
}

/// The connection of a session id.
fn connection_of(session_id: &str) -> Option<Connection> {
    session_id.parse().ok().map(Connection)
}

/// A session description with at least one media section. The parser of `gst_sdp` skips what it
/// does not understand, down to the last line: rubbish gives it an empty description.
fn parse(text: &str) -> Option<SDPMessage> {
    if text.is_empty() || text.contains('\0') {
        return None;
    }
    let sdp = SDPMessage::parse_buffer(text.as_bytes()).ok()?;
    let is_description = sdp.version() == Some("0") && sdp.medias_len() > 0;
    is_description.then_some(sdp)
}

/// The id of a media section.
fn mid(media: &SDPMediaRef) -> Option<String> {
    media.attribute_val("mid").map(str::to_owned)
}
