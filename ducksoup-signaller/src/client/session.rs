// SPDX-License-Identifier: MPL-2.0

//! One participant's conversation with the server, pure: what follows from each of the server's
//! messages and each word of ours.
//!
//! | input | connecting | waiting for `joined` | joined, running | over |
//! |---|---|---|---|---|
//! | opened | say `join` | – | – | – |
//! | `joined` | – | → joined, tell | – | – |
//! | `offer` | – | – | describe, or queue while one is being answered | – |
//! | `candidate` | – | – | hand on once its section is described | – |
//! | answer of ours | – | – | say; describe the next offer | – |
//! | candidate of ours | – | – | say once an answer has left | – |
//! | `start`, `other_joined`… | – | tell | tell | – |
//! | `end`, `error…` | tell, close → over | ← | ← | – |
//! | leave | close → over | say `stop`, close → over | ← | – |
//! | closed | fail → over | ← | ← | – |
//! | the time is up | fail → over | ← | – | – |

use super::event::{Event, Failure};
use super::sdp::{Description, Known};
use crate::protocol::{
    ClientMessage, IceCandidate, JoinRequest, ServerMessage, SessionDescription,
};
use std::collections::{BTreeSet, VecDeque};
use std::time::{Duration, Instant};

/// Most candidates that wait, for each direction; one too many is dropped. As the server's.
const MAX_WAITING: usize = 64;
/// Most offers that wait for the one before. Ours: the server waits for each answer.
const MAX_OFFERS: usize = 16;
/// A normal end (PROTOCOL, "Client-side close codes").
const CLOSE_NORMAL: u16 = 1000;
/// After an error (the same).
const CLOSE_ERROR: u16 = 4000;

/// What comes in.
#[derive(Debug)]
pub(super) enum Input {
    /// The WebSocket is open.
    Opened,
    /// A text frame of the server's.
    Heard(String),
    /// The WebSocket is closed, or cannot be opened.
    Closed(Failure),
    /// Our answer to the offer described last.
    Answer(String),
    /// A candidate of ours.
    Candidate(IceCandidate),
    /// Anything else to say.
    Say(ClientMessage),
    /// The participant leaves.
    Leave,
    /// The connection is given up without a word: the participant may come back.
    HangUp,
    /// Some time has passed.
    Tick,
}

/// A candidate of the server's with its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Placed {
    pub(super) section: u32,
    pub(super) mid: Option<String>,
    pub(super) candidate: String,
}

/// What is to be done, in this order.
#[derive(Debug, PartialEq)]
pub(super) enum Effect {
    /// Send this text frame.
    Say(String),
    /// Tell the one that uses us.
    Tell(Event),
    /// Hand this offer on.
    Describe(String),
    /// Hand this candidate on.
    HandOn(Placed),
    /// Something that is ignored, for the log.
    Note(String),
    /// Close the WebSocket with this code; nothing follows.
    Close(u16),
}

#[derive(Debug, PartialEq, Eq)]
enum Phase {
    /// Until the WebSocket is open.
    Connecting { deadline: Instant },
    /// `join` is said.
    Joining { deadline: Instant },
    /// The participant is in.
    Joined,
    /// Nothing is said or heard any more.
    Over,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Session {
    request: JoinRequest,
    address: String,
    limit: Duration,
    phase: Phase,
    /// The sections hidden in the offer that is being answered, if one is.
    answering: Option<BTreeSet<usize>>,
    /// Offers that wait for that.
    offers: VecDeque<Description>,
    /// The section ids of the offer described last.
    mids: Vec<Option<String>>,
    directions: Known,
    candidates: Candidates,
}

#[derive(Debug, Default)]
struct Candidates {
    /// The server's, which wait for their section.
    incoming: Vec<IceCandidate>,
    /// Ours, which wait for the first answer; `None` once it has left.
    outgoing: Option<Vec<IceCandidate>>,
}

impl Session {
    /// A participant who must be in within `limit`. `address` is the server's, for sentences.
    pub(super) fn new(
        request: JoinRequest,
        address: String,
        limit: Duration,
        now: Instant,
    ) -> Self {
        Self {
            request,
            address,
            limit,
            phase: Phase::Connecting { deadline: now + limit },
            answering: None,
            offers: VecDeque::new(),
            mids: Vec::new(),
            directions: Known::new(),
            candidates: Candidates { incoming: Vec::new(), outgoing: Some(Vec::new()) },
        }
    }

    /// When [`Input::Tick`] is due.
    pub(super) fn deadline(&self) -> Option<Instant> {
        match self.phase {
            Phase::Connecting { deadline } | Phase::Joining { deadline } => Some(deadline),
            Phase::Joined | Phase::Over => None,
        }
    }

    /// What follows from `input`.
    pub(super) fn step(&mut self, input: Input, now: Instant) -> Vec<Effect> {
        if self.phase == Phase::Over {
            return vec![];
        }
        match input {
            Input::Opened => self.opened(),
            Input::Heard(text) => self.heard(&text),
            Input::Closed(failure) => self.fail(failure),
            Input::Answer(sdp) => self.answer(&sdp),
            Input::Candidate(candidate) => self.our_candidate(candidate),
            Input::Say(message) if self.phase == Phase::Joined => {
                vec![Effect::Say(message.to_wire())]
            }
            Input::Say(message) => vec![note(format!("not joined yet, not said: {message:?}"))],
            Input::Leave => self.leave(),
            Input::HangUp => self.over([Effect::Close(CLOSE_NORMAL)]),
            Input::Tick if self.deadline().is_some_and(|deadline| deadline <= now) => {
                let (address, limit) = (self.address.clone(), self.limit);
                self.fail(match self.phase {
                    Phase::Connecting { .. } => Failure::Unreachable {
                        address,
                        reason: format!("no answer within {} ms", limit.as_millis()),
                    },
                    _ => Failure::NotJoined { address, limit },
                })
            }
            Input::Tick => vec![],
        }
    }

    fn opened(&mut self) -> Vec<Effect> {
        let Phase::Connecting { deadline } = self.phase else {
            return vec![];
        };
        self.phase = Phase::Joining { deadline };
        vec![Effect::Say(self.request.to_wire())]
    }

    fn leave(&mut self) -> Vec<Effect> {
        let stop = match self.phase {
            Phase::Connecting { .. } => None,
            _ => Some(Effect::Say(ClientMessage::Stop.to_wire())),
        };
        let close = [Effect::Tell(Event::Left), Effect::Close(CLOSE_NORMAL)];
        self.over(stop.into_iter().chain(close))
    }

    fn fail(&mut self, failure: Failure) -> Vec<Effect> {
        self.over([Effect::Tell(Event::Failed(failure)), Effect::Close(CLOSE_ERROR)])
    }

    fn over(&mut self, effects: impl IntoIterator<Item = Effect>) -> Vec<Effect> {
        self.phase = Phase::Over;
        effects.into_iter().collect()
    }

    fn heard(&mut self, text: &str) -> Vec<Effect> {
        let message = match ServerMessage::from_wire(text) {
            Ok(Some(message)) => message,
            Ok(None) => return vec![note("a message of an unknown kind")],
            // Without these two there is no call; all others can be missed.
            Err(error) => {
                let essential = [r#""joined""#, r#""offer""#]
                    .into_iter()
                    .find(|kind| text.get(..64).unwrap_or(text).contains(kind));
                let kind = match (essential, &self.phase) {
                    (Some(r#""joined""#), Phase::Joining { .. }) => "joined",
                    (Some(r#""offer""#), Phase::Joined) => "offer",
                    _ => return vec![note(format!("not understood: {error}"))],
                };
                return self.fail(Failure::Unusable { kind, reason: error.to_string() });
            }
        };
        match message {
            ServerMessage::Joined { context, ice_servers } => match self.phase {
                Phase::Joining { .. } => {
                    self.phase = Phase::Joined;
                    vec![Effect::Tell(Event::Joined { context, ice_servers })]
                }
                _ => vec![note("joined, once more")],
            },
            ServerMessage::Offer(offer) => self.offer(&offer),
            ServerMessage::Candidate(candidate) => self.their_candidate(candidate),
            ServerMessage::OtherJoined { user, stream_id } => {
                vec![Effect::Tell(Event::OtherJoined { user, stream_id })]
            }
            ServerMessage::OtherLeft { user, stream_id } => {
                vec![Effect::Tell(Event::OtherLeft { user, stream_id })]
            }
            ServerMessage::Start { remaining } => vec![Effect::Tell(Event::Start { remaining })],
            ServerMessage::Ending => vec![Effect::Tell(Event::Ending)],
            ServerMessage::Files(files) => vec![Effect::Tell(Event::Files(files))],
            ServerMessage::ControlRefused { name, property, reason } => {
                vec![Effect::Tell(Event::ControlRefused { name, property, reason })]
            }
            ServerMessage::End => {
                self.over([Effect::Tell(Event::End), Effect::Close(CLOSE_NORMAL)])
            }
            ServerMessage::Error(code) => self.refused(code.kind(), sentence(code.kind())),
            ServerMessage::Failure(text) => self.refused("error", &text),
        }
    }

    fn refused(&mut self, kind: &str, text: &str) -> Vec<Effect> {
        let event = Event::Refused { kind: kind.to_owned(), text: text.to_owned() };
        self.over([Effect::Tell(event), Effect::Close(CLOSE_ERROR)])
    }

    fn offer(&mut self, offer: &SessionDescription) -> Vec<Effect> {
        if self.phase != Phase::Joined {
            return vec![note("an offer before joined")];
        }
        let description = match Description::parse(&offer.sdp) {
            Ok(description) => description,
            Err(error) => return self.fail(error.into()),
        };
        if self.answering.is_none() {
            return self.describe(description);
        }
        if self.offers.len() == MAX_OFFERS {
            return self.fail(Failure::offer("too many wait for an answer"));
        }
        self.offers.push_back(description);
        vec![]
    }

    fn describe(&mut self, description: Description) -> Vec<Effect> {
        self.mids = description.mids();
        let (text, hidden) = description.revealed(&mut self.directions);
        self.answering = Some(hidden);
        let mut effects = vec![Effect::Describe(text)];
        for candidate in std::mem::take(&mut self.candidates.incoming) {
            effects.extend(self.their_candidate(candidate));
        }
        effects
    }

    fn answer(&mut self, sdp: &str) -> Vec<Effect> {
        let Some(hidden) = self.answering.take() else {
            return vec![note("an answer without an offer")];
        };
        let sdp = match Description::parse(sdp) {
            Ok(answer) => answer.hidden(&hidden),
            Err(error) => return self.fail(Failure::offer(format!("the answer to it: {error}"))),
        };
        let answer = SessionDescription { kind: "answer".to_owned(), sdp };
        let mut effects = vec![Effect::Say(ClientMessage::Answer(answer).to_wire())];
        for candidate in self.candidates.outgoing.take().into_iter().flatten() {
            effects.extend(self.our_candidate(candidate));
        }
        if let Some(next) = self.offers.pop_front() {
            effects.extend(self.describe(next));
        }
        effects
    }

    fn our_candidate(&mut self, mut candidate: IceCandidate) -> Vec<Effect> {
        match &mut self.candidates.outgoing {
            Some(waiting) => {
                if waiting.len() < MAX_WAITING {
                    waiting.push(candidate);
                }
                vec![]
            }
            None => {
                if candidate.sdp_mid.is_none() {
                    let index = candidate.sdp_m_line_index.map(|index| index as usize);
                    candidate.sdp_mid = index.and_then(|index| self.mids.get(index).cloned()?);
                }
                vec![Effect::Say(ClientMessage::Candidate(candidate).to_wire())]
            }
        }
    }

    fn their_candidate(&mut self, candidate: IceCandidate) -> Vec<Effect> {
        let text = candidate.candidate.trim();
        // webrtcbin 1.22 takes any other text as the end of candidates.
        if !text.is_empty() && !text.starts_with("candidate:") && !text.starts_with("a=candidate:")
            || text.chars().any(char::is_control)
        {
            return vec![note("a candidate that is none")];
        }
        let by_mid = || {
            let mid = candidate.sdp_mid.as_ref()?;
            self.mids.iter().position(|one| one.as_ref() == Some(mid))
        };
        let section = match (candidate.sdp_m_line_index, &candidate.sdp_mid) {
            (Some(index), _) => Some(index as usize),
            (None, Some(_)) => by_mid(),
            // The end of candidates of all sections (W3C WebRTC).
            (None, None) => Some(0),
        };
        match section.and_then(|section| Some((section, self.mids.get(section)?))) {
            Some((section, mid)) => vec![Effect::HandOn(Placed {
                section: u32::try_from(section).unwrap_or_default(),
                mid: mid.clone(),
                candidate: text.to_owned(),
            })],
            None if self.candidates.incoming.len() < MAX_WAITING => {
                self.candidates.incoming.push(candidate);
                vec![]
            }
            None => vec![note("too many candidates wait for their section")],
        }
    }
}

fn note(text: impl Into<String>) -> Effect {
    Effect::Note(text.into())
}

/// What the identifiers of errors mean (docs/protocol.md).
fn sentence(kind: &str) -> &'static str {
    match kind {
        "error-join" => "the server does not accept the join options",
        "error-duplicate" => "this user is connected already",
        "error-full" => "no seat is left in this interaction",
        "error-aborted" => "not everyone came in time",
        "error-peer-connection" => "the server found no connection for media",
        _ => "the server ends the call",
    }
}

#[cfg(test)]
#[path = "session_tests.rs"]
mod tests;
