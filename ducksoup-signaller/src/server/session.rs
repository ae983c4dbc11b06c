// SPDX-License-Identifier: MPL-2.0

//! One session, pure: which candidates may pass and which wait, and to which section they belong.
//!
//! | | before | after |
//! |---|---|---|
//! | our candidate | waits for the first offer | passes, with the section's id |
//! | client's candidate, section answered | – | passes |
//! | client's candidate, section offered, not answered | waits for the answer | – |
//! | client's candidate, section never offered | refused | refused |
//! | answer | refused without an open offer, or with other than its sections | – |

use crate::frame::Connection;
use crate::protocol::IceCandidate;

/// Most candidates that wait, for each session and direction. Ours: a browser with several
/// networks and a TURN server has a dozen or two for each section.
pub const MAX_WAITING: usize = 64;

/// Why a client's message is not of use to its session.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReceiveError {
    /// Neither an answer nor a candidate.
    #[error("the message is neither an answer nor a candidate")]
    NotSignalling,
    /// There is no session of this connection (any more).
    #[error("connection {} has no session", .0.0)]
    UnknownSession(Connection),
    /// The answer's text is no session description.
    #[error("the answer is no SDP")]
    NotSdp,
    /// No offer waits for an answer.
    #[error("an answer without an offer")]
    NoOffer,
    /// The answer has more or fewer media sections than the offer (RFC 3264, section 6).
    #[error("the answer has {answered} media sections, the offer has {offered}")]
    Sections {
        /// In the offer.
        offered: usize,
        /// In the answer.
        answered: usize,
    },
    /// The text is no candidate, nor the empty one that ends them.
    #[error("the text is no ICE candidate")]
    NotCandidate,
    /// The candidate is for no media section of the latest offer.
    #[error("the candidate belongs to no media section that was offered")]
    UnknownSection,
    /// [`MAX_WAITING`] candidates wait for the answer already.
    #[error("more than {MAX_WAITING} candidates wait for the answer")]
    TooManyCandidates,
}

/// A client's candidate with its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Placed {
    /// Index of the media section.
    pub(super) section: u32,
    /// The section's id, when it has one.
    pub(super) mid: Option<String>,
    /// The candidate line; empty at the end of candidates.
    pub(super) candidate: String,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Session {
    /// Media section ids of the latest offer.
    offered: Vec<Option<String>>,
    /// Whether the latest offer waits for its answer.
    open: bool,
    /// Number of media sections of the latest answer.
    answered: usize,
    /// The client's candidates that wait for an answer.
    incoming: Vec<Placed>,
    /// Our candidates that wait for the first offer.
    outgoing: Vec<IceCandidate>,
}

impl Session {
    /// An offer with these media section ids leaves; the candidates that may follow it.
    pub(super) fn offer(&mut self, mids: Vec<Option<String>>) -> Vec<IceCandidate> {
        self.offered = mids;
        self.open = true;
        let waiting = std::mem::take(&mut self.outgoing);
        waiting.into_iter().map(|one| self.named(one)).collect()
    }

    /// A candidate of ours: itself when it may leave now. One too many is dropped: no agent has
    /// as many before it has even made its offer.
    pub(super) fn local_candidate(&mut self, candidate: IceCandidate) -> Option<IceCandidate> {
        if !self.offered.is_empty() {
            return Some(self.named(candidate));
        }
        if self.outgoing.len() < MAX_WAITING {
            self.outgoing.push(candidate);
        }
        None
    }

    /// An answer with this many media sections comes in; the candidates that may follow it.
    pub(super) fn answer(&mut self, sections: usize) -> Result<Vec<Placed>, ReceiveError> {
        if !self.open {
            return Err(ReceiveError::NoOffer);
        }
        if sections != self.offered.len() {
            return Err(ReceiveError::Sections { offered: self.offered.len(), answered: sections });
        }
        self.open = false;
        self.answered = sections;
        Ok(std::mem::take(&mut self.incoming))
    }

    /// A client's candidate: itself when it may pass now.
    pub(super) fn remote_candidate(
        &mut self,
        candidate: &IceCandidate,
    ) -> Result<Option<Placed>, ReceiveError> {
        let placed = self.place(candidate)?;
        if (placed.section as usize) < self.answered {
            return Ok(Some(placed));
        }
        if self.incoming.len() == MAX_WAITING {
            return Err(ReceiveError::TooManyCandidates);
        }
        self.incoming.push(placed);
        Ok(None)
    }

    fn place(&self, candidate: &IceCandidate) -> Result<Placed, ReceiveError> {
        let text = candidate.candidate.trim();
        // RFC 8839, section 5.1; some clients send the whole attribute.
        let is_candidate = text.starts_with("candidate:") || text.starts_with("a=candidate:");
        if !text.is_empty() && !is_candidate {
            return Err(ReceiveError::NotCandidate);
        }
        let by_mid = || {
            let mid = candidate.sdp_mid.as_ref()?;
            let place = |offered: &Option<String>| offered.as_ref() == Some(mid);
            u32::try_from(self.offered.iter().position(place)?).ok()
        };
        let section = match (candidate.sdp_m_line_index, &candidate.sdp_mid) {
            (Some(index), _) => Some(index),
            (None, Some(_)) => by_mid(),
            // The end of candidates of all sections (W3C WebRTC, RTCIceCandidateInit); all share
            // the first one's transport (max-bundle).
            (None, None) => text.is_empty().then_some(0),
        };
        let section = section.ok_or(ReceiveError::UnknownSection)?;
        let mid = self.offered.get(section as usize).ok_or(ReceiveError::UnknownSection)?;
        Ok(Placed { section, mid: mid.clone(), candidate: text.to_owned() })
    }

    /// The candidate with the id of its section, when it came without.
    fn named(&self, mut candidate: IceCandidate) -> IceCandidate {
        if candidate.sdp_mid.is_none() {
            candidate.sdp_mid = candidate
                .sdp_m_line_index
                .and_then(|index| self.offered.get(index as usize).cloned().flatten());
        }
        candidate
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: &str = "candidate:1 1 UDP 2015363327 127.0.0.1 9 typ host";

    fn candidate(text: &str, mid: Option<&str>, index: Option<u32>) -> IceCandidate {
        IceCandidate {
            candidate: text.into(),
            sdp_mid: mid.map(Into::into),
            sdp_m_line_index: index,
        }
    }

    fn placed(section: u32, mid: &str, text: &str) -> Placed {
        Placed { section, mid: Some(mid.into()), candidate: text.into() }
    }

    fn mids(names: &[&str]) -> Vec<Option<String>> {
        names.iter().map(|name| Some((*name).into())).collect()
    }

    /// A session that has been offered, and has answered, sections of these names.
    fn connected(names: &[&str]) -> Session {
        let mut session = Session::default();
        session.offer(mids(names));
        session.answer(names.len()).expect("answered");
        session
    }

    #[test]
    fn a_candidate_finds_its_section_by_index_or_else_by_id() {
        for (given, expected) in [
            (candidate(LINE, None, Some(1)), Ok(placed(1, "video", LINE))),
            (candidate(LINE, Some("video"), None), Ok(placed(1, "video", LINE))),
            (candidate(LINE, Some("video"), Some(0)), Ok(placed(0, "audio", LINE))),
            (candidate("", Some("video"), None), Ok(placed(1, "video", ""))),
            (candidate("", None, None), Ok(placed(0, "audio", ""))),
            (candidate("a=candidate:1", None, Some(0)), Ok(placed(0, "audio", "a=candidate:1"))),
            (candidate(LINE, None, None), Err(ReceiveError::UnknownSection)),
            (candidate(LINE, Some("x"), None), Err(ReceiveError::UnknownSection)),
            (candidate(LINE, None, Some(2)), Err(ReceiveError::UnknownSection)),
            (candidate(LINE, Some("audio"), Some(u32::MAX)), Err(ReceiveError::UnknownSection)),
            (candidate("rubbish", None, Some(0)), Err(ReceiveError::NotCandidate)),
            (candidate("candidate", None, Some(0)), Err(ReceiveError::NotCandidate)),
        ] {
            let mut session = connected(&["audio", "video"]);
            assert_eq!(session.remote_candidate(&given), expected.map(Some), "{given:?}");
        }
    }

    #[test]
    fn candidates_wait_for_the_answer_and_keep_their_order() {
        let mut session = Session::default();
        assert_eq!(
            session.remote_candidate(&candidate(LINE, None, Some(0))),
            Err(ReceiveError::UnknownSection),
            "before any offer"
        );
        session.offer(mids(&["a", "b"]));
        for text in ["candidate:1", "candidate:2", ""] {
            let waits = session.remote_candidate(&candidate(text, Some("b"), None));
            assert_eq!(waits, Ok(None));
        }
        assert_eq!(
            session.answer(2),
            Ok(vec![
                placed(1, "b", "candidate:1"),
                placed(1, "b", "candidate:2"),
                placed(1, "b", ""),
            ])
        );
        assert_eq!(
            session.remote_candidate(&candidate("candidate:3", Some("b"), None)),
            Ok(Some(placed(1, "b", "candidate:3")))
        );
    }

    #[test]
    fn in_a_renegotiation_only_candidates_of_new_sections_wait() {
        let mut session = connected(&["a"]);
        session.offer(mids(&["a", "b"]));
        assert_eq!(
            session.remote_candidate(&candidate(LINE, Some("a"), None)),
            Ok(Some(placed(0, "a", LINE)))
        );
        assert_eq!(session.remote_candidate(&candidate(LINE, Some("b"), None)), Ok(None));
        assert_eq!(session.answer(2), Ok(vec![placed(1, "b", LINE)]));
    }

    #[test]
    fn no_more_than_the_limit_wait() {
        let mut session = Session::default();
        for index in 0..=MAX_WAITING {
            let line = candidate(&format!("candidate:{index}"), None, Some(0));
            assert_eq!(session.local_candidate(line), None);
        }
        assert_eq!(session.offer(mids(&["a"])).len(), MAX_WAITING);
        let line = candidate(LINE, None, Some(0));
        for _ in 0..MAX_WAITING {
            assert_eq!(session.remote_candidate(&line), Ok(None));
        }
        assert_eq!(session.remote_candidate(&line), Err(ReceiveError::TooManyCandidates));
        assert_eq!(session.answer(1).map(|some| some.len()), Ok(MAX_WAITING));
    }

    #[test]
    fn an_answer_needs_an_open_offer_and_its_sections() {
        let mut session = Session::default();
        assert_eq!(session.answer(1), Err(ReceiveError::NoOffer));
        session.offer(mids(&["a", "b"]));
        assert_eq!(session.answer(1), Err(ReceiveError::Sections { offered: 2, answered: 1 }));
        assert_eq!(session.answer(2), Ok(vec![]), "the offer was still open");
        assert_eq!(session.answer(2), Err(ReceiveError::NoOffer));
    }

    #[test]
    fn our_candidates_follow_the_offer_and_name_their_section() {
        let mut session = Session::default();
        assert_eq!(session.local_candidate(candidate(LINE, None, Some(1))), None);
        assert_eq!(session.offer(mids(&["a", "b"])), vec![candidate(LINE, Some("b"), Some(1))]);
        for (given, expected) in [
            (candidate(LINE, None, Some(0)), candidate(LINE, Some("a"), Some(0))),
            (candidate(LINE, Some("x"), Some(0)), candidate(LINE, Some("x"), Some(0))),
            (candidate(LINE, None, Some(9)), candidate(LINE, None, Some(9))),
        ] {
            assert_eq!(session.local_candidate(given), Some(expected));
        }
        assert_eq!(session.offer(mids(&["a"])), vec![], "said once");
    }
}
