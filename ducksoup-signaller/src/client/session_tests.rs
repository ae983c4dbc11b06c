// SPDX-License-Identifier: MPL-2.0

use super::*;
use crate::protocol::{ErrorCode, Identifier, JoinContext};

const LIMIT: Duration = Duration::from_secs(4);
const LINE: &str = "candidate:1 1 UDP 2015363327 127.0.0.1 9 typ host";

/// A description with sections of these directions; their ids are 0, 1…
fn sdp(directions: &[&str]) -> String {
    let sections: String = (0..)
        .zip(directions)
        .map(|(index, direction)| {
            format!("m=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=mid:m{index}\r\na={direction}\r\n")
        })
        .collect();
    format!("v=0\r\n{sections}")
}

fn heard(message: &ServerMessage) -> Input {
    Input::Heard(message.to_wire())
}

fn joined() -> ServerMessage {
    ServerMessage::Joined { context: JoinContext::NewInteraction, ice_servers: vec![] }
}

fn offer(directions: &[&str]) -> ServerMessage {
    ServerMessage::Offer(SessionDescription { kind: "offer".into(), sdp: sdp(directions) })
}

fn candidate(text: &str, mid: Option<&str>, index: Option<u32>) -> IceCandidate {
    IceCandidate { candidate: text.into(), sdp_mid: mid.map(Into::into), sdp_m_line_index: index }
}

fn user(name: &str) -> Identifier {
    Identifier::new(name).expect("valid")
}

struct Talk {
    session: Session,
    start: Instant,
}

impl Talk {
    /// Nobody has answered yet.
    fn connecting() -> Self {
        let start = Instant::now();
        let request = JoinRequest { user: Some("u".into()), ..JoinRequest::default() };
        Self { session: Session::new(request, "a:1".into(), LIMIT, start), start }
    }

    fn joining() -> Self {
        let mut talk = Self::connecting();
        talk.does(Input::Opened);
        talk
    }

    fn joined() -> Self {
        let mut talk = Self::joining();
        talk.does(heard(&joined()));
        talk
    }

    /// Has been offered this, and has answered.
    fn answered(directions: &[&str]) -> Self {
        let mut talk = Self::joined();
        talk.does(heard(&offer(directions)));
        talk.does(Input::Answer(sdp(directions)));
        talk
    }

    fn over() -> Self {
        let mut talk = Self::joined();
        talk.does(Input::HangUp);
        talk
    }

    fn does(&mut self, input: Input) -> Vec<Effect> {
        self.session.step(input, self.start)
    }
}

type Make = fn() -> Talk;

/// The phases, each made anew.
fn phases() -> [(&'static str, Make); 5] {
    [
        ("connecting", Talk::connecting),
        ("joining", Talk::joining),
        ("joined", Talk::joined),
        ("answered", || Talk::answered(&["recvonly"])),
        ("over", Talk::over),
    ]
}

/// What was done, in a word each.
fn words(effects: &[Effect]) -> Vec<String> {
    let word = |effect: &Effect| match effect {
        Effect::Say(text) => {
            let message = ClientMessage::parse(text);
            match message {
                Ok(ClientMessage::Answer(_)) => "say answer".to_owned(),
                Ok(ClientMessage::Candidate(_)) => "say candidate".to_owned(),
                Ok(ClientMessage::Stop) => "say stop".to_owned(),
                Ok(ClientMessage::Ext { kind, .. }) => format!("say {kind}"),
                // Without an interaction's name it is refused, but sent.
                Err(_) if text.contains(r#""join""#) => "say join".to_owned(),
                other => format!("{other:?}"),
            }
        }
        Effect::Tell(Event::Failed(_)) => "fail".to_owned(),
        Effect::Tell(Event::Refused { kind, .. }) => kind.clone(),
        Effect::Tell(Event::Joined { .. }) => "tell joined".to_owned(),
        Effect::Tell(_) => "tell".to_owned(),
        Effect::Describe(_) => "describe".to_owned(),
        Effect::HandOn(_) => "hand on".to_owned(),
        Effect::Note(_) => "note".to_owned(),
        Effect::Close(code) => format!("close {code}"),
    };
    effects.iter().map(word).collect()
}

#[test]
fn the_whole_table() {
    type Row<'a> = (&'a str, fn() -> Input, [&'a [&'a str]; 5]);
    let tell: &[&str] = &["tell"];
    let lost: &[&str] = &["fail", "close 4000"];
    let note: &[&str] = &["note"];
    let ended: &[&str] = &["tell", "close 1000"];
    let full: &[&str] = &["error-full", "close 4000"];
    let rows: [Row; 17] = [
        ("opened", || Input::Opened, [&["say join"], &[], &[], &[], &[]]),
        ("joined", || heard(&joined()), [note, &["tell joined"], note, note, &[]]),
        ("offer", || heard(&offer(&["recvonly"])), [note, note, &["describe"], &["describe"], &[]]),
        (
            "candidate",
            || heard(&ServerMessage::Candidate(candidate(LINE, None, Some(0)))),
            [&[], &[], &[], &["hand on"], &[]],
        ),
        ("answer", || Input::Answer(sdp(&["sendonly"])), [note, note, note, note, &[]]),
        (
            "our candidate",
            || Input::Candidate(candidate(LINE, None, Some(0))),
            [&[], &[], &[], &["say candidate"], &[]],
        ),
        (
            "other joined",
            || heard(&ServerMessage::OtherJoined { user: user("b"), stream_id: "s".into() }),
            [tell, tell, tell, tell, &[]],
        ),
        ("start", || heard(&ServerMessage::Start { remaining: 9 }), [tell, tell, tell, tell, &[]]),
        ("ending", || heard(&ServerMessage::Ending), [tell, tell, tell, tell, &[]]),
        ("end", || heard(&ServerMessage::End), [ended, ended, ended, ended, &[]]),
        ("error", || heard(&ServerMessage::Error(ErrorCode::Full)), [full, full, full, full, &[]]),
        (
            "something to say",
            || Input::Say(ClientMessage::Ext { kind: "ext_x".into(), text: None }),
            [note, note, &["say ext_x"], &["say ext_x"], &[]],
        ),
        (
            "leave",
            || Input::Leave,
            [
                ended,
                &["say stop", "tell", "close 1000"],
                &["say stop", "tell", "close 1000"],
                &["say stop", "tell", "close 1000"],
                &[],
            ],
        ),
        (
            "hang up",
            || Input::HangUp,
            [&["close 1000"], &["close 1000"], &["close 1000"], &["close 1000"], &[]],
        ),
        (
            "closed",
            || Input::Closed(Failure::Closed("code 1006".into())),
            [lost, lost, lost, lost, &[]],
        ),
        ("rubbish", || Input::Heard("rubbish".into()), [note, note, note, note, &[]]),
        (
            "unknown",
            || Input::Heard(r#"{"kind":"weather","payload":[1]}"#.into()),
            [note, note, note, note, &[]],
        ),
    ];
    for (name, input, cells) in rows {
        for ((phase, make), expected) in phases().into_iter().zip(cells) {
            let effects = make().does(input());
            assert_eq!(words(&effects), expected, "{name} when {phase}: {effects:?}");
        }
    }
}

#[test]
fn who_is_not_in_when_the_time_is_up_fails_and_says_how_far_it_came() {
    for (make, sentence) in [
        (Talk::connecting as Make, "the server at a:1 cannot be reached: no answer within 4000 ms"),
        (Talk::joining, "the server at a:1 has not let the participant join within 4000 ms"),
    ] {
        let mut talk = make();
        assert_eq!(talk.session.deadline(), Some(talk.start + LIMIT));
        let early = talk.start + LIMIT - Duration::from_millis(1);
        assert_eq!(talk.session.step(Input::Tick, early), vec![]);
        let effects = talk.session.step(Input::Tick, talk.start + LIMIT);
        let [Effect::Tell(Event::Failed(failure)), Effect::Close(4000)] = effects.as_slice() else {
            panic!("{effects:?}");
        };
        assert_eq!(failure.to_string(), sentence);
        assert_eq!(talk.session.deadline(), None);
    }
    let mut talk = Talk::joined();
    assert_eq!(talk.session.deadline(), None, "who is in may stay");
    assert_eq!(talk.session.step(Input::Tick, talk.start + 100 * LIMIT), vec![]);
}

#[test]
fn offers_are_described_one_after_the_other() {
    let mut talk = Talk::joined();
    assert_eq!(words(&talk.does(heard(&offer(&["recvonly"])))), ["describe"]);
    for _ in 0..MAX_OFFERS {
        assert_eq!(talk.does(heard(&offer(&["recvonly", "sendonly"]))), vec![]);
    }
    assert_eq!(words(&talk.does(Input::Answer(sdp(&["sendonly"])))), ["say answer", "describe"]);
    assert_eq!(talk.does(heard(&offer(&["recvonly"]))), vec![], "there is room for one again");
    assert_eq!(words(&talk.does(heard(&offer(&["recvonly"])))), ["fail", "close 4000"]);
}

#[test]
fn candidates_wait_for_their_section_and_ours_for_the_answer() {
    let mut talk = Talk::joined();
    let theirs = |index| heard(&ServerMessage::Candidate(candidate(LINE, None, Some(index))));
    assert_eq!(talk.does(theirs(0)), vec![]);
    assert_eq!(talk.does(theirs(1)), vec![]);
    assert_eq!(talk.does(Input::Candidate(candidate(LINE, None, Some(0)))), vec![]);
    let effects = talk.does(heard(&offer(&["recvonly"])));
    assert_eq!(words(&effects), ["describe", "hand on"], "the first section's alone");
    let effects = talk.does(Input::Answer(sdp(&["sendonly"])));
    assert_eq!(words(&effects), ["say answer", "say candidate"]);
    let Effect::Say(text) = &effects[1] else { panic!("{effects:?}") };
    assert_eq!(
        ClientMessage::parse(text),
        Ok(ClientMessage::Candidate(candidate(LINE, Some("m0"), Some(0)))),
        "with the id of its section"
    );
    let effects = talk.does(heard(&offer(&["recvonly", "sendonly"])));
    assert_eq!(words(&effects), ["describe", "hand on"], "the second section's");
}

#[test]
fn no_more_candidates_wait_than_make_sense() {
    let mut talk = Talk::joined();
    let theirs = || heard(&ServerMessage::Candidate(candidate(LINE, None, Some(0))));
    for _ in 0..MAX_WAITING {
        assert_eq!(talk.does(theirs()), vec![]);
        assert_eq!(talk.does(Input::Candidate(candidate(LINE, None, Some(0)))), vec![]);
    }
    assert_eq!(words(&talk.does(theirs())), ["note"]);
    assert_eq!(talk.does(Input::Candidate(candidate(LINE, None, Some(0)))), vec![]);
    let effects = talk.does(heard(&offer(&["recvonly"])));
    assert_eq!(effects.len(), 1 + MAX_WAITING);
    let effects = talk.does(Input::Answer(sdp(&["sendonly"])));
    assert_eq!(effects.len(), 1 + MAX_WAITING);
}

#[test]
fn a_candidate_finds_its_section_by_index_or_else_by_id() {
    for (given, section) in [
        (candidate(LINE, None, Some(1)), Some(1)),
        (candidate(LINE, Some("m1"), None), Some(1)),
        (candidate(LINE, Some("m1"), Some(0)), Some(0)),
        (candidate("", None, None), Some(0)),
        (candidate("a=candidate:1", None, Some(0)), Some(0)),
        (candidate("rubbish", None, Some(0)), None),
        (candidate("candidate:1\r\na=x", None, Some(0)), None),
        (candidate(LINE, Some("x"), None), None),
        (candidate(LINE, None, Some(u32::MAX)), None),
    ] {
        let mut talk = Talk::answered(&["recvonly", "sendonly"]);
        let effects = talk.does(heard(&ServerMessage::Candidate(given.clone())));
        let handed_on = effects.iter().find_map(|effect| match effect {
            Effect::HandOn(placed) => Some((placed.section, placed.mid.clone())),
            _ => None,
        });
        let expected = section.map(|section| (section, Some(format!("m{section}"))));
        assert_eq!(handed_on, expected, "{given:?}");
    }
}

#[test]
fn a_section_that_goes_inactive_is_so_in_the_answer_alone() {
    let mut talk = Talk::answered(&["recvonly", "sendonly"]);
    for (offered, answered) in
        [("inactive", "inactive"), ("sendonly", "recvonly"), ("inactive", "inactive")]
    {
        let effects = talk.does(heard(&offer(&["recvonly", offered])));
        let [Effect::Describe(shown)] = effects.as_slice() else { panic!("{effects:?}") };
        assert_eq!(*shown, sdp(&["recvonly", "sendonly"]), "as before");
        let effects = talk.does(Input::Answer(sdp(&["sendonly", "recvonly"])));
        let [Effect::Say(text)] = effects.as_slice() else { panic!("{effects:?}") };
        let Ok(ClientMessage::Answer(answer)) = ClientMessage::parse(text) else {
            panic!("{text}");
        };
        assert_eq!(answer.sdp, sdp(&["sendonly", answered]));
    }
}

#[test]
fn what_a_call_cannot_do_without_fails_when_it_cannot_be_read() {
    let offer = |sdp: &str| {
        heard(&ServerMessage::Offer(SessionDescription { kind: "offer".into(), sdp: sdp.into() }))
    };
    let text = |text: &str| Input::Heard(text.to_owned());
    let long = format!("v=0\r\n{}", "x".repeat(300 * 1024));
    for (mut talk, input, sentence) in [
        (Talk::joined(), offer("rubbish"), "offer cannot be used: it is no session description"),
        (Talk::joined(), offer("v=0\r\n"), "offer cannot be used: it has 0 media sections"),
        (Talk::joined(), offer(&long), "offer cannot be used: it has 307205 bytes"),
        (Talk::joined(), text(r#"{"kind":"offer","payload":7}"#), "offer cannot be used"),
        (Talk::joining(), text(r#"{"kind":"joined","payload":7}"#), "joined cannot be used"),
    ] {
        let effects = talk.does(input);
        let Some(Effect::Tell(Event::Failed(failure))) = effects.first() else {
            panic!("{effects:?}");
        };
        assert!(failure.to_string().contains(sentence), "{failure}");
    }
}
