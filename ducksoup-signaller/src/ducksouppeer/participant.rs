// SPDX-License-Identifier: MPL-2.0

//! A participant from READY → PAUSED to PAUSED → READY: the one thread that joins, answers, adds
//! and removes what is inside the element.

use super::announcement::Announcement;
use super::call::{self, Call};
use super::codec::{Codec, Kind, Wanted};
use super::ice;
use super::input::{Input, Inputs};
use super::receiving::{Output, Track};
use super::sending::{Picture, Sending, SendingError};
use crate::client::{ClientSignaller, Event, Failure};
use gst::glib;
use gst::prelude::*;
use gst_webrtc::{WebRTCICETransportPolicy, WebRTCPeerConnectionState};
use gstrswebrtc::signaller::SignallableExt;
use std::collections::BTreeMap;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// How long the farewell to the server may hold up a change of state. Ours.
const FAREWELL: Duration = Duration::from_millis(600);
/// How long a webrtcbin may take to go to NULL before it is left behind. Ours.
const TAKEDOWN: Duration = Duration::from_secs(1);

/// What holds for the whole time.
#[derive(Debug, Clone, Copy)]
pub(super) struct Terms {
    pub(super) output: Output,
    pub(super) policy: WebRTCICETransportPolicy,
    pub(super) picture: Picture,
}

/// How things stand, for the element's `stats`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Phase {
    /// On the way to the server.
    #[default]
    Joining,
    /// Let in.
    Joined,
    /// The interaction runs.
    Running,
    /// `stop` is said.
    Leaving,
    /// The call is over.
    Over,
}

/// What the element's other threads may look at.
#[derive(Debug, Default)]
pub(super) struct Board {
    pub(super) phase: Phase,
    pub(super) connection: Option<WebRTCPeerConnectionState>,
    pub(super) sessions: u64,
    pub(super) tracks: Vec<Arc<Track>>,
}

/// See the module.
pub(super) struct Participant {
    element: super::DuckSoupPeer,
    signaller: ClientSignaller,
    terms: Terms,
    sendings: BTreeMap<Kind, Arc<Sending>>,
    inputs: Inputs,
    voice: Sender<Announcement>,
    call: Option<Call>,
    /// Whose `MediaStream` it is.
    streams: BTreeMap<String, String>,
    tracks: BTreeMap<(Kind, String), Arc<Track>>,
    board: Arc<Mutex<Board>>,
}

/// The thread of a participant.
#[derive(Debug)]
pub(super) struct Handle {
    pub(super) inputs: Inputs,
    /// Its other end goes with the thread.
    done: Receiver<()>,
    pub(super) board: Arc<Mutex<Board>>,
}

impl Handle {
    /// Begins.
    pub(super) fn start(
        element: &super::DuckSoupPeer,
        signaller: &ClientSignaller,
        terms: Terms,
        sendings: BTreeMap<Kind, Arc<Sending>>,
        (inputs, received): (Inputs, Receiver<Input>),
    ) -> std::io::Result<Self> {
        let board = Arc::new(Mutex::new(Board { sessions: 1, ..Board::default() }));
        let (end, done) = channel();
        let participant = Participant {
            element: element.clone(),
            signaller: signaller.clone(),
            terms,
            sendings,
            inputs: inputs.clone(),
            voice: speak_for(element)?,
            call: None,
            streams: BTreeMap::new(),
            tracks: BTreeMap::new(),
            board: board.clone(),
        };
        std::thread::Builder::new().name("ducksouppeer".to_owned()).spawn(move || {
            let _end = end;
            participant.run(&received);
        })?;
        Ok(Self { inputs, done, board })
    }

    /// Ends, and waits for it, but not for long.
    pub(super) fn quit(&self) {
        self.inputs.send(Input::Quit);
        let limit = FAREWELL + TAKEDOWN + Duration::from_millis(200);
        if self.done.recv_timeout(limit) == Err(RecvTimeoutError::Timeout) {
            gst::warning!(super::CAT, "a participant does not end, left behind");
        }
    }
}

/// A thread that emits the element's signals: who listens may take their time, or change the
/// element's state.
fn speak_for(element: &super::DuckSoupPeer) -> std::io::Result<Sender<Announcement>> {
    let (voice, announcements) = channel::<Announcement>();
    let element = element.downgrade();
    std::thread::Builder::new().name("ducksouppeer-out".to_owned()).spawn(move || {
        for announcement in announcements {
            let Some(element) = element.upgrade() else {
                return;
            };
            announcement.emit(&element);
        }
    })?;
    Ok(voice)
}

impl Participant {
    fn run(mut self, inputs: &Receiver<Input>) {
        for sending in self.sendings.values() {
            sending.report_to(Some(self.inputs.clone()));
        }
        for input in inputs {
            if matches!(input, Input::Quit) {
                break;
            }
            self.happen(input);
        }
        self.quit();
    }

    fn quit(mut self) {
        for sending in self.sendings.values() {
            sending.report_to(None);
        }
        self.signaller.stop();
        let takedown = self.take_down();
        self.signaller.wait_closed(FAREWELL);
        for track in self.tracks.values() {
            track.remove(&self.element);
        }
        self.set_board(|board| board.tracks.clear());
        if let Some(takedown) = takedown
            && takedown.recv_timeout(TAKEDOWN) == Err(RecvTimeoutError::Timeout)
        {
            gst::warning!(super::CAT, obj = self.element, "a webrtcbin does not end, left behind");
        }
    }

    fn happen(&mut self, input: Input) {
        let now = self.call.as_ref().map(|call| call.session);
        match input {
            Input::Begin => {
                self.signaller.start();
            }
            Input::Event(session, event) if session == self.signaller.session() => {
                self.hear(session, event)
            }
            Input::Offer(session, offer) if Some(session) == now => self.offered(&offer),
            Input::TheirCandidate(session, section, candidate) if Some(session) == now => {
                if let Some(call) = &self.call {
                    call.add_candidate(section, &candidate);
                }
            }
            Input::Answered(session, answer) if Some(session) == now => match answer {
                Ok(answer) => self.signaller.send_sdp(&session.to_string(), &answer),
                Err(reason) => self.fail(&Failure::offer(reason)),
            },
            Input::OurCandidate(session, section, candidate) if Some(session) == now => {
                self.signaller.add_ice(&session.to_string(), &candidate, section, None);
            }
            Input::Connection(session, state) if Some(session) == now => self.connection(state),
            Input::Track(session, pad, block) => {
                if Some(session) == now {
                    self.receive(&pad);
                }
                if let Some(block) = block {
                    pad.remove_probe(block);
                }
            }
            Input::Format => self.complete(),
            Input::Drained if self.sendings.values().all(|sending| sending.is_drained()) => {
                self.leave();
            }
            Input::Leave => self.leave(),
            Input::Reconnect => self.reconnect(),
            Input::Fault(reason) => self.fail_with(gst::StreamError::Failed, &reason),
            // Of a call that is gone, or while another pad still plays.
            _ => {}
        }
    }

    fn hear(&mut self, session: u64, event: Event) {
        if let Some(announcement) = Announcement::of(&event) {
            drop(self.element.post_message(announcement.message(&self.element)));
            drop(self.voice.send(announcement));
        }
        match event {
            Event::Joined { ice_servers, .. } => {
                self.set_phase(Phase::Joined);
                let servers = ice::servers(&ice_servers);
                let parent = self.element.upcast_ref();
                match Call::new(session, self.terms.policy, &servers, parent, &self.inputs) {
                    Ok(call) => self.call = Some(call),
                    Err(error) => {
                        self.fail_with(gst::CoreError::MissingPlugin, &format!("no call: {error}"));
                    }
                }
            }
            Event::OtherJoined { user, stream_id } => {
                self.streams.insert(stream_id, user.to_string());
            }
            Event::Start { .. } => self.set_phase(Phase::Running),
            Event::End | Event::Left => self.finish(),
            Event::Refused { kind, text } => {
                self.fail_with(gst::ResourceError::Busy, &format!("{kind}: {text}"));
            }
            Event::Failed(failure) => self.fail(&failure),
            Event::OtherLeft { .. }
            | Event::Ending
            | Event::Files(_)
            | Event::ControlRefused { .. } => {}
        }
    }

    fn offered(&mut self, offer: &gst_webrtc::WebRTCSessionDescription) {
        let Some(call) = &mut self.call else {
            return;
        };
        for wanted in super::codec::wanted(offer.sdp()) {
            if let Some(sending) = self.sendings.get(&wanted.kind)
                && let Err(error) = call.send(&wanted, sending)
            {
                return self.fail(&Failure::offer(error.to_string()));
            }
        }
        call.describe(offer, &self.inputs);
        self.complete();
    }

    /// Builds what is still missing between the sink pads and the connection.
    fn complete(&mut self) {
        let wanted: Vec<Wanted> = self.call.iter().flat_map(|call| call.wanted.clone()).collect();
        for wanted in wanted {
            let Some(sending) = self.sendings.get(&wanted.kind) else {
                continue;
            };
            match sending.complete(&wanted, self.terms.picture, self.element.upcast_ref()) {
                Ok(()) => {}
                Err(error @ SendingError::Format { .. }) => {
                    return self.fail_with(gst::StreamError::WrongType, &error.to_string());
                }
                Err(error) => return self.fail_with(gst::StreamError::Failed, &error.to_string()),
            }
        }
    }

    fn connection(&mut self, state: WebRTCPeerConnectionState) {
        self.set_board(|board| board.connection = Some(state));
        match state {
            WebRTCPeerConnectionState::Connected => {
                if let Some(call) = &self.call {
                    call.settle();
                }
                for sending in self.sendings.values() {
                    sending.open();
                }
            }
            WebRTCPeerConnectionState::Failed => {
                self.fail_with(gst::ResourceError::Read, "the connection for media has failed");
            }
            _ => {}
        }
    }

    /// A track has come, on a pad that is blocked until this returns.
    fn receive(&mut self, pad: &gst::Pad) {
        let Some(call) = &self.call else {
            return;
        };
        let caps = pad.current_caps();
        let field = |name| caps.as_ref()?.structure(0)?.get::<String>(name).ok();
        let kind = field("media").and_then(|media| Kind::of_name(&media));
        let codec = field("encoding-name").and_then(|name| Codec::of_encoding(&name));
        let (Some(kind), Some(codec)) = (kind, codec) else {
            gst::warning!(super::CAT, obj = self.element, "a track that nobody knows: {caps:?}");
            return call::drop_everything(pad);
        };
        // Who is not announced is oneself, in a mirror.
        let user = call.stream_of(pad).and_then(|stream| self.streams.get(stream).cloned());
        let user = match user {
            Some(user) => user,
            None => self.signaller.property::<Option<String>>("user").unwrap_or_default(),
        };
        let tapped = call.tap(pad).and_then(|tap| {
            self.track(kind, codec, user)?.feed_from(&tap);
            Ok(())
        });
        if let Err(error) = tapped {
            call::drop_everything(pad);
            self.fail_with(gst::CoreError::Pad, &format!("no {kind} pad: {error}"));
        }
    }

    fn track(
        &mut self,
        kind: Kind,
        codec: Codec,
        user: String,
    ) -> Result<Arc<Track>, glib::BoolError> {
        let key = (kind, user);
        if let Some(track) = self.tracks.get(&key) {
            return Ok(track.clone());
        }
        let (element, output) = (&self.element, self.terms.output);
        let track = Track::new(element, kind, codec, &key.1, output, call::JITTER_BUFFER)?;
        self.tracks.insert(key, track.clone());
        self.set_board(|board| board.tracks.push(track.clone()));
        // Whoever plays it in time must know how late it may come.
        drop(element.post_message(gst::message::Latency::builder().src(element).build()));
        Ok(track)
    }

    fn leave(&mut self) {
        match self.phase() {
            Phase::Joining | Phase::Joined | Phase::Running => {
                self.set_phase(Phase::Leaving);
                self.signaller.leave();
            }
            // After an error: nobody is there to be left, but EOS is still owed.
            Phase::Over => self.post_eos(),
            Phase::Leaving => {}
        }
    }

    fn reconnect(&mut self) {
        if matches!(self.phase(), Phase::Leaving | Phase::Over) {
            return;
        }
        self.signaller.stop();
        for track in self.tracks.values() {
            track.starve();
        }
        // Nobody waits for it.
        drop(self.take_down());
        self.signaller.wait_closed(FAREWELL);
        self.streams.clear();
        self.signaller.start();
        self.set_board(|board| {
            board.phase = Phase::Joining;
            board.connection = None;
            board.sessions += 1;
        });
    }

    /// The call is over: EOS everywhere.
    fn finish(&mut self) {
        self.over();
        self.post_eos();
    }

    fn over(&mut self) {
        self.set_phase(Phase::Over);
        for sending in self.sendings.values() {
            sending.end();
        }
        drop(self.take_down());
        for track in self.tracks.values() {
            track.end();
        }
    }

    fn post_eos(&self) {
        drop(self.element.post_message(gst::message::Eos::builder().src(&self.element).build()));
    }

    fn fail(&mut self, failure: &Failure) {
        let text = failure.to_string();
        match failure {
            Failure::Settings(_) | Failure::Options(_) => {
                self.fail_with(gst::ResourceError::Settings, &text);
            }
            Failure::Unreachable { .. } | Failure::NotJoined { .. } => {
                self.fail_with(gst::ResourceError::OpenRead, &text);
            }
            Failure::NotAdmitted { .. } => self.fail_with(gst::ResourceError::NotAuthorized, &text),
            Failure::Closed(_) => self.fail_with(gst::ResourceError::Read, &text),
            Failure::Unusable { .. } => self.fail_with(gst::StreamError::Format, &text),
        }
    }

    /// Says it once: what follows an error is its consequence.
    fn fail_with(&mut self, code: impl gst::MessageErrorDomain, text: &str) {
        if matches!(self.phase(), Phase::Over | Phase::Leaving) {
            gst::debug!(super::CAT, obj = self.element, "after the end: {text}");
            return;
        }
        self.signaller.stop();
        self.over();
        let error = gst::message::Error::builder(code, text).src(&self.element).build();
        drop(self.element.post_message(error));
    }

    /// Brings the call down on a thread of its own, which tells when it is done.
    fn take_down(&mut self) -> Option<Receiver<()>> {
        for sending in self.sendings.values() {
            sending.close();
        }
        let call = self.call.take()?.detach(self.element.upcast_ref());
        let (end, done) = channel();
        let takedown = std::thread::Builder::new().name("ducksouppeer-end".to_owned());
        let spawned = takedown.spawn(move || {
            let _end = end;
            let _ = call.set_state(gst::State::Null);
        });
        spawned.is_ok().then_some(done)
    }

    fn phase(&self) -> Phase {
        self.board.lock().unwrap_or_else(PoisonError::into_inner).phase
    }

    fn set_phase(&self, phase: Phase) {
        self.set_board(|board| board.phase = phase);
    }

    fn set_board(&self, change: impl FnOnce(&mut Board)) {
        change(&mut self.board.lock().unwrap_or_else(PoisonError::into_inner));
    }
}
