// SPDX-License-Identifier: MPL-2.0

//! Runs every JSON block of `docs/protocol.md` through the protocol's types. A block says in its
//! fence what it is: `json client`, `json client-refused`, `json payload <kind>`,
//! `json payload-refused <kind>`, `json server`, `json door` or `json stage`.

#![allow(clippy::unwrap_used)]

use ducksoup_signaller::frame::{DoorFrame, LeaveCause, StageFrame};
use ducksoup_signaller::protocol::{
    ClientMessage, ErrorCode, IceCandidate, IceServer, Identifier, JoinContext, MAX_FX,
    MAX_IDENTIFIER, MAX_RAMP_MS, MAX_TEXT, ServerMessage, SessionDescription,
};
use ducksoup_signaller::server::MAX_WAITING;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::collections::BTreeSet;

const PAGE: &str = include_str!("../../docs/protocol.md");

/// A block: the words of its fence, its text, the line where it begins.
struct Block {
    fence: Vec<&'static str>,
    text: String,
    line: usize,
}

/// All blocks but plain text.
fn blocks() -> Vec<Block> {
    let mut blocks: Vec<Block> = Vec::new();
    let mut open = false;
    for (index, line) in PAGE.lines().enumerate() {
        match line.strip_prefix("```") {
            Some("") if open => open = false,
            Some(fence) => {
                assert!(!open, "line {}: a fence in a block", index + 1);
                open = true;
                blocks.push(Block {
                    fence: fence.split_whitespace().collect(),
                    text: String::new(),
                    line: index + 1,
                });
            }
            None if open => {
                let text = &mut blocks.last_mut().unwrap().text;
                text.push_str(line);
                text.push('\n');
            }
            None => {}
        }
    }
    assert!(!open, "a block without an end");
    blocks.retain(|block| block.fence != ["text"]);
    blocks
}

/// The blocks of which the fence is `json` and this.
fn of(kind: &str) -> impl Iterator<Item = Block> {
    let is = move |block: &Block| block.fence.get(1) == Some(&kind);
    blocks().into_iter().filter(is).collect::<Vec<_>>().into_iter()
}

fn value(block: &Block) -> Value {
    serde_json::from_str(&block.text).unwrap_or_else(|error| panic!("line {}: {error}", block.line))
}

/// A payload as its message.
fn wrapped(block: &Block) -> String {
    json!({"kind": block.fence[2], "payload": value(block).to_string()}).to_string()
}

/// Whether this is the message that a wire kind stands for.
fn is_of_kind(message: &ClientMessage, wire: &str) -> bool {
    match message {
        ClientMessage::Join(_) => wire == "join",
        ClientMessage::Answer(_) => wire == "client_answer",
        ClientMessage::Candidate(_) => wire == "client_ice_candidate",
        ClientMessage::Control(_) => ["client_control", "client_polycontrol"].contains(&wire),
        ClientMessage::NegotiationNeeded => wire == "client_negotiation_needed",
        ClientMessage::IceConnectionState(state) => {
            wire == format!("client_ice_connection_state_{state}")
        }
        ClientMessage::Report { kind, text } => {
            wire == kind && text.is_some() && wire.starts_with("client_")
        }
        ClientMessage::Ext { kind, text } => {
            wire == kind && text.is_some() && wire.starts_with("ext_")
        }
        ClientMessage::Stop => wire == "stop",
        ClientMessage::Unknown(kind) => wire == kind,
    }
}

#[test]
fn every_block_is_one_that_a_test_runs() {
    for block in blocks() {
        let known = match block.fence[..] {
            ["json", "payload" | "payload-refused", kind] => !kind.is_empty(),
            ["json", "client" | "client-refused" | "server" | "door" | "stage"] => true,
            _ => false,
        };
        assert!(known, "line {}: {:?}", block.line, block.fence);
    }
}

#[test]
fn client_samples_are_understood_and_none_is_missing() {
    let messages = of("client").map(|block| (block.line, value(&block).to_string()));
    let payloads = of("payload").map(|block| (block.line, wrapped(&block)));
    let mut seen = BTreeSet::new();
    for (line, text) in messages.chain(payloads) {
        let message =
            ClientMessage::parse(&text).unwrap_or_else(|why| panic!("line {line}: {why}"));
        let wire: Value = serde_json::from_str(&text).unwrap();
        let wire = wire["kind"].as_str().unwrap().to_owned();
        assert!(is_of_kind(&message, &wire), "line {line}: {message:?}");
        assert_eq!(ClientMessage::parse(&message.to_wire()).as_ref(), Ok(&message), "line {line}");
        seen.insert(wire);
    }
    let expected = [
        "client_answer",
        "client_control",
        "client_ice_candidate",
        "client_ice_connection_state_disconnected",
        "client_negotiation_needed",
        "client_polycontrol",
        "client_video_resolution_updated",
        "ext_question_shown",
        "hand_raised",
        "join",
        "stop",
    ];
    assert_eq!(seen, expected.map(str::to_owned).into());
}

#[test]
fn refused_samples_are_refused() {
    let messages = of("client-refused").map(|block| (block.line, value(&block).to_string()));
    let payloads = of("payload-refused").map(|block| (block.line, wrapped(&block)));
    for (line, text) in messages.chain(payloads) {
        let refused = ClientMessage::parse(&text);
        assert!(refused.is_err(), "line {line}: {refused:?}");
    }
}

#[test]
fn an_option_of_the_page_counts_and_one_of_nobody_is_ignored() {
    let block = of("payload").find(|block| block.text.contains("recordingMode")).unwrap();
    let mut options = value(&block);
    options["invented"] = json!(1);
    let text = json!({"kind": "join", "payload": options.to_string()}).to_string();
    let Ok(ClientMessage::Join(join)) = ClientMessage::parse(&text) else {
        panic!("a join");
    };
    assert_eq!((join.width, join.height, join.framerate), (640, 480, 30));
    assert_eq!((join.duration, join.size), (120, 2));
    assert_eq!(join.namespace.as_str(), "study_2");
    assert_eq!(join.audio_fx.as_deref(), Some("pitch pitch=0.8 name=voice"));
}

fn user(name: &str) -> Identifier {
    Identifier::new(name).unwrap()
}

/// Everything the server may say, as the page shows it.
fn server_messages() -> Vec<ServerMessage> {
    let ice_server = |urls: &[&str], login: Option<(&str, &str)>| IceServer {
        urls: urls.iter().map(|url| (*url).to_owned()).collect(),
        username: login.map(|(name, _)| name.into()),
        credential: login.map(|(_, word)| word.into()),
    };
    let joined = |context| ServerMessage::Joined { context, ice_servers: Vec::new() };
    let mut messages = vec![
        ServerMessage::Joined {
            context: JoinContext::ExistingInteraction,
            ice_servers: vec![
                ice_server(&["stun:stun.example.org:3478"], None),
                ice_server(
                    &[
                        "turn:turn.example.org:3478?transport=udp",
                        "turn:turn.example.org:3478?transport=tcp",
                    ],
                    Some(("1700001275:12", "mDLTtF9kTCqvR7bDKbJHkWxhcXI=")),
                ),
            ],
        },
        joined(JoinContext::NewInteraction),
        joined(JoinContext::Reconnection),
        ServerMessage::Offer(SessionDescription {
            kind: "offer".into(),
            sdp: "v=0\r\no=- 1 0 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\n".into(),
        }),
        ServerMessage::Candidate(IceCandidate {
            candidate: "candidate:1 1 UDP 2015363327 192.0.2.1 41000 typ host".into(),
            sdp_mid: Some("audio0".into()),
            sdp_m_line_index: Some(0),
        }),
        ServerMessage::OtherJoined { user: user("bob"), stream_id: "stream-bob".into() },
        ServerMessage::OtherLeft { user: user("bob"), stream_id: "stream-bob".into() },
        ServerMessage::Start { remaining: 120 },
        ServerMessage::Ending,
        ServerMessage::Files(
            [
                (
                    user("alice"),
                    vec![
                        "study_2/trial-7/recordings/i-8c1f-a-20260102-030405.678-s-study_2\
                         -n-trial-7-u-alice-c-1-dry.mkv"
                            .into(),
                    ],
                ),
                (user("bob"), Vec::new()),
            ]
            .into(),
        ),
        ServerMessage::End,
        ServerMessage::ControlRefused {
            name: "voice".into(),
            property: "pich".into(),
            reason: "no such property".into(),
        },
        ServerMessage::Failure("the server stopped this interaction".into()),
    ];
    let codes = [
        ErrorCode::Join,
        ErrorCode::Duplicate,
        ErrorCode::Full,
        ErrorCode::Aborted,
        ErrorCode::PeerConnection,
    ];
    messages.extend(codes.map(ServerMessage::Error));
    messages
}

/// A place for each thing the server may say; a new variant does not compile without one.
fn variant(message: &ServerMessage) -> usize {
    match message {
        ServerMessage::Joined { .. } => 0,
        ServerMessage::Offer(_) => 1,
        ServerMessage::Candidate(_) => 2,
        ServerMessage::OtherJoined { .. } => 3,
        ServerMessage::OtherLeft { .. } => 4,
        ServerMessage::Start { .. } => 5,
        ServerMessage::Ending => 6,
        ServerMessage::Files(_) => 7,
        ServerMessage::End => 8,
        ServerMessage::ControlRefused { .. } => 9,
        ServerMessage::Failure(_) => 10,
        ServerMessage::Error(ErrorCode::Join) => 11,
        ServerMessage::Error(ErrorCode::Duplicate) => 12,
        ServerMessage::Error(ErrorCode::Full) => 13,
        ServerMessage::Error(ErrorCode::Aborted) => 14,
        ServerMessage::Error(ErrorCode::PeerConnection) => 15,
    }
}

#[test]
fn server_samples_are_what_the_server_says_and_none_is_missing() {
    let messages = server_messages();
    let variants: BTreeSet<usize> = messages.iter().map(variant).collect();
    assert_eq!(variants, (0..=15).collect());
    let said: Vec<Value> =
        messages.iter().map(|message| serde_json::from_str(&message.to_wire()).unwrap()).collect();
    let mut shown = Vec::new();
    for block in of("server") {
        let sample = value(&block);
        assert!(said.contains(&sample), "line {}: nobody says this", block.line);
        let read = ServerMessage::from_wire(&block.text).unwrap().unwrap();
        assert!(messages.contains(&read), "line {}: read as {read:?}", block.line);
        shown.push(sample);
    }
    for message in said {
        assert!(shown.contains(&message), "not on the page: {message}");
    }
}

/// Reads a sample and writes it again; the same must come out.
fn round_trip<T: DeserializeOwned + Serialize>(block: &Block) -> T {
    let frame: T = serde_json::from_str(&block.text)
        .unwrap_or_else(|error| panic!("line {}: {error}", block.line));
    let again = serde_json::to_value(&frame).unwrap();
    assert_eq!(again, value(block), "line {}", block.line);
    frame
}

#[test]
fn frames_of_the_door_come_through_the_seam_and_none_is_missing() {
    let place = |frame: &DoorFrame| match frame {
        DoorFrame::Open(_) => 0,
        DoorFrame::Join { .. } => 1,
        DoorFrame::Message { .. } => 2,
        DoorFrame::Shutdown => 3,
        DoorFrame::Leave { cause, .. } => match cause {
            LeaveCause::Stopped => 4,
            LeaveCause::Closed => 5,
            LeaveCause::Replaced => 6,
            LeaveCause::Lost => 7,
        },
    };
    let seen: BTreeSet<usize> = of("door").map(|block| place(&round_trip(&block))).collect();
    assert_eq!(seen, (0..=7).collect());
}

#[test]
fn frames_of_the_stage_come_through_the_seam_and_none_is_missing() {
    let place = |frame: &StageFrame| match frame {
        StageFrame::Ready => 0,
        StageFrame::Send { .. } => 1,
        StageFrame::Close { .. } => 2,
        StageFrame::Decline { .. } => 3,
        StageFrame::Over => 4,
        StageFrame::Log { .. } => 5,
        StageFrame::Stats { .. } => 6,
    };
    let seen: BTreeSet<usize> = of("stage").map(|block| place(&round_trip(&block))).collect();
    assert_eq!(seen, (0..=6).collect());
}

#[test]
fn a_frame_with_a_field_of_nobody_is_refused() {
    for block in of("door") {
        let mut frame = value(&block);
        // serde lets a variant without fields off.
        let has_fields = frame.as_object().unwrap().len() > 1;
        frame["invented"] = json!(1);
        let refused = serde_json::from_value::<DoorFrame>(frame).is_err();
        assert_eq!(refused, has_fields, "line {}", block.line);
    }
}

#[test]
fn the_limits_on_the_page_are_the_limits() {
    for row in [
        format!("| identifier | {MAX_IDENTIFIER} characters |"),
        format!("| `audioFx`, `videoFx` | {MAX_FX} bytes |"),
        format!("| ramp (`duration` of a control) | {MAX_RAMP_MS} ms |"),
        format!("| text of a `client_…` or `ext_…` message | {MAX_TEXT} bytes |"),
        format!("| candidates that wait for an answer | {MAX_WAITING} |"),
    ] {
        assert!(PAGE.contains(&row), "{row}");
    }
}
