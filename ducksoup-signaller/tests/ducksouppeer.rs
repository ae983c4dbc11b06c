// SPDX-License-Identifier: MPL-2.0

//! The element against a server that does what the test says: every step at which something can go
//! wrong. What it sends and receives is in `ducksouppeer_media.rs`.

#![allow(clippy::unwrap_used)]

#[path = "ducksouppeer/rig.rs"]
mod rig;
#[path = "ducksouppeer/server.rs"]
mod server;

use ducksoup_signaller::protocol::{
    ClientMessage, Control, ControlValue, ErrorCode, Identifier, ServerMessage, SessionDescription,
};
use gst::glib;
use gst::prelude::*;
use rig::{Rig, init};
use server::{Connection, Heard, LIMIT, Server, joined};
use std::io::{Read, Write};
use std::sync::mpsc::{Sender, channel};

/// An offer that asks for sound, with ICE credentials of this name, and perhaps has another section.
fn offer(name: &str, more: &str) -> ServerMessage {
    let fingerprint = ["AB"; 32].join(":");
    let transport = format!(
        "c=IN IP4 0.0.0.0\r\na=setup:actpass\r\na=ice-ufrag:{name}\r\n\
         a=ice-pwd:0123456789012345678901{name}\r\na=fingerprint:sha-256 {fingerprint}\r\n"
    );
    let more = if more.is_empty() { String::new() } else { format!("{more}{transport}") };
    let sdp = format!(
        "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE audio0\r\n\
         m=audio 9 UDP/TLS/RTP/SAVPF 111\r\n{transport}a=rtcp-mux\r\na=rtcp-rsize\r\na=recvonly\r\n\
         a=rtpmap:111 OPUS/48000/2\r\na=mid:audio0\r\n{more}"
    );
    ServerMessage::Offer(SessionDescription { kind: "offer".into(), sdp })
}

fn answer(connection: &mut Connection) -> String {
    loop {
        match connection.next() {
            Heard::Said(ClientMessage::Answer(answer)) => return answer.sdp,
            Heard::Said(ClientMessage::Candidate(_)) => {}
            other => panic!("{other:?} instead of an answer"),
        }
    }
}

/// How far a server goes.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Step {
    Opened,
    HeardJoin,
    SaidJoined,
    Offered,
    Answered,
    Started,
}

const STEPS: [Step; 6] =
    [Step::Opened, Step::HeardJoin, Step::SaidJoined, Step::Offered, Step::Answered, Step::Started];

fn go(connection: &mut Connection, step: Step) {
    let reaches = |other| step as u8 >= other as u8;
    if reaches(Step::HeardJoin) {
        connection.expect_join();
    }
    if reaches(Step::SaidJoined) {
        connection.say(&joined());
    }
    if reaches(Step::Offered) {
        connection.say(&offer("abcd", ""));
    }
    if reaches(Step::Answered) {
        answer(connection);
    }
    if reaches(Step::Started) {
        connection.say(&ServerMessage::Start { remaining: 5 });
    }
}

/// A server that goes so far, then does this, then tells what it heard until the end.
fn server(
    step: Step,
    then: impl Fn(&mut Connection) + Send + Sync + 'static,
) -> (Server, std::sync::mpsc::Receiver<Vec<Heard>>) {
    let (sender, heard) = channel();
    let server = Server::start(move |mut connection| {
        go(&mut connection, step);
        then(&mut connection);
        let _ = sender.send(connection.rest());
    });
    (server, heard)
}

#[test]
fn a_server_that_is_not_there_is_one_error_that_says_so() {
    // A port that was free a moment ago.
    let address = Server::tcp(drop).address();
    let rig = Rig::talking(&format!("ws://{address}/ws"));
    rig.play();
    let (events, error) = rig.error();
    assert!(error.matches(gst::ResourceError::OpenRead), "{error}");
    let sentence = format!("the server at {address} cannot be reached");
    assert!(error.message().contains(&sentence), "{error}");
    assert_eq!(events, Vec::<String>::new());
    rig.nothing_more();
}

#[test]
fn a_server_that_says_nothing_is_an_error_when_the_time_is_up() {
    type Serve = fn(std::net::TcpStream);
    let keep: Serve = |mut stream| {
        // Reads, and says nothing.
        while matches!(stream.read(&mut [0; 1024]), Ok(1..)) {}
    };
    let server = Server::tcp(keep);
    let rig = Rig::talking(&server.uri());
    rig.peer.set_property("connect-timeout", 300u32);
    rig.play();
    let (_, error) = rig.error();
    assert!(error.matches(gst::ResourceError::OpenRead), "{error}");
    assert!(error.message().ends_with("no answer within 300 ms"), "{error}");

    let (server, _heard) = self::server(Step::HeardJoin, |_| {});
    let rig = Rig::talking(&server.uri());
    rig.peer.set_property("connect-timeout", 300u32);
    rig.play();
    let (_, error) = rig.error();
    assert!(error.matches(gst::ResourceError::OpenRead), "{error}");
    assert!(error.message().ends_with("has not let the participant join within 300 ms"), "{error}");
}

#[test]
fn a_server_that_does_not_admit_or_speaks_otherwise_is_an_error_of_its_kind() {
    let speaks = |text: &'static str| {
        Server::tcp(move |mut stream| {
            let _ = stream.read(&mut [0; 4096]);
            let _ = stream.write_all(text.as_bytes());
        })
    };
    let server = speaks("HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n");
    let rig = Rig::talking(&server.uri());
    rig.play();
    let (_, error) = rig.error();
    assert!(error.matches(gst::ResourceError::NotAuthorized), "{error}");
    assert!(error.message().contains("403 Forbidden"), "{error}");

    let server = speaks("220 mail.example.org ESMTP\r\n");
    let rig = Rig::talking(&server.uri());
    rig.play();
    let (_, error) = rig.error();
    assert!(error.matches(gst::ResourceError::OpenRead), "{error}");
    assert!(error.message().contains("speaks no WebSocket"), "{error}");

    let server = speaks("not TLS");
    let rig = Rig::talking(&server.uri().replace("ws://", "wss://"));
    rig.play();
    let (_, error) = rig.error();
    assert!(error.matches(gst::ResourceError::NotAuthorized), "{error}");
    assert!(error.message().contains("TLS"), "{error}");
}

#[test]
fn settings_that_cannot_work_are_an_error_before_anything_is_sent() {
    for (name, value, sentence) in [
        ("uri", "http://a", "does not begin with ws://"),
        ("uri", "", "signaller::uri is not set"),
        ("user", "a b", "userId holds other characters"),
        ("interaction", "", "interactionName is missing"),
        ("video-format", "AV1", "videoFormat has an unknown value"),
    ] {
        let rig = Rig::talking("ws://127.0.0.1:1/ws");
        rig.option(name, value);
        rig.play();
        let (_, error) = rig.error();
        assert!(error.matches(gst::ResourceError::Settings), "{error}");
        assert!(error.message().contains(sentence), "{error}");
        rig.nothing_more();
    }
}

#[test]
fn the_origin_is_the_servers_own_unless_it_is_set() {
    let (sender, origins) = channel();
    let server = Server::start(move |connection| sender.send(connection.origin).unwrap());
    let rig = Rig::talking(&server.uri());
    rig.play();
    assert_eq!(origins.recv_timeout(LIMIT).unwrap(), format!("http://{}", server.address()));
    let rig = Rig::talking(&server.uri());
    rig.option("origin", "https://lab.example.org");
    rig.play();
    assert_eq!(origins.recv_timeout(LIMIT).unwrap(), "https://lab.example.org");
}

#[test]
fn a_server_that_closes_at_any_step_is_one_error() {
    for step in STEPS {
        for code in [1000, 1001, 1011, 4000] {
            let (server, _heard) = server(step, move |connection| connection.close(code));
            let rig = Rig::talking(&server.uri());
            rig.play();
            let (_, error) = rig.error();
            assert!(error.matches(gst::ResourceError::Read), "{step:?} {code}: {error}");
            let sentence = format!("closed the connection (code {code})");
            assert!(error.message().ends_with(&sentence), "{step:?} {code}: {error}");
        }
    }
}

#[test]
fn a_server_that_refuses_at_any_step_is_one_error_with_its_kind() {
    for step in STEPS {
        let (server, heard) =
            server(step, |connection| connection.say(&ServerMessage::Error(ErrorCode::Full)));
        let rig = Rig::talking(&server.uri());
        rig.play();
        let (events, error) = rig.error();
        assert!(error.matches(gst::ResourceError::Busy), "{step:?}: {error}");
        assert!(error.message().starts_with("error-full: "), "{step:?}: {error}");
        assert_eq!(events.last().map(String::as_str), Some("refused"), "{step:?}");
        rig.nothing_more();
        let last = heard.recv_timeout(LIMIT).unwrap().pop();
        assert_eq!(last, Some(Heard::Closed(Some(4000))), "{step:?}");
    }
}

#[test]
fn eos_at_any_step_is_a_polite_farewell() {
    for step in STEPS {
        let (sender, reached) = channel();
        let (server, heard) = server(step, move |_| sender.send(()).unwrap());
        let rig = Rig::talking(&server.uri());
        rig.play();
        reached.recv_timeout(LIMIT).unwrap();
        if step == Step::Started {
            rig.event("start");
        }
        rig.peer.send_event(gst::event::Eos::new());
        rig.eos();
        let mut heard = heard.recv_timeout(LIMIT).unwrap();
        let closed = heard.pop();
        // Before, the client may still wait for the answer to its first request.
        if step != Step::Opened {
            assert_eq!(closed, Some(Heard::Closed(Some(1000))), "{step:?}");
            assert_eq!(heard.pop(), Some(Heard::Said(ClientMessage::Stop)), "{step:?}");
        }
    }
}

#[test]
fn the_participant_leaves_when_all_that_it_plays_is_over() {
    let (server, heard) = server(Step::SaidJoined, |_| {});
    // The short one does not end the call: it takes both.
    let rig = Rig::new(
        &server.uri(),
        "audiotestsrc num-buffers=5 ! ducksouppeer name=p connect-timeout=30000
         videotestsrc num-buffers=40 ! video/x-raw,framerate=40/1 ! p.",
    );
    rig.play();
    rig.eos();
    let time = rig.pipeline.query_position::<gst::ClockTime>();
    assert!(time.is_none() || time >= Some(gst::ClockTime::from_mseconds(900)), "{time:?}");
    let heard = heard.recv_timeout(LIMIT).unwrap();
    assert!(heard.contains(&Heard::Said(ClientMessage::Stop)), "{heard:?}");
}

#[test]
fn the_end_ends_the_pipeline_with_all_that_was_said_before() {
    let (server, heard) = server(Step::Started, |connection| {
        connection.say(&ServerMessage::OtherJoined { user: bob(), stream_id: "s".into() });
        connection.say(&ServerMessage::OtherLeft { user: bob(), stream_id: "s".into() });
        connection.say(&ServerMessage::ControlRefused {
            name: "fx".into(),
            property: "pitch".into(),
            reason: "no such effect".into(),
        });
        connection.say(&ServerMessage::Ending);
        connection.say(&ServerMessage::Files([(bob(), vec!["a/b.mp4".into()])].into()));
        connection.say(&ServerMessage::End);
    });
    let rig = Rig::talking(&server.uri());
    let (sender, signals) = channel::<String>();
    for name in ["joined", "start", "other-joined", "control-refused", "files", "end"] {
        let sender: Sender<String> = sender.clone();
        rig.peer.connect(name, false, move |values| {
            let values: Vec<String> = values[1..].iter().map(text).collect();
            sender.send(format!("{name} {}", values.join(" "))).unwrap();
            None
        });
    }
    rig.play();
    let events = rig.eos();
    assert_eq!(
        events,
        [
            "joined",
            "start",
            "other-joined",
            "other-left",
            "control-refused",
            "ending",
            "files",
            "end"
        ]
    );
    let signals: Vec<String> = (0..6).map(|_| signals.recv_timeout(LIMIT).unwrap()).collect();
    assert_eq!(
        signals,
        [
            "joined new_interaction",
            "start 5",
            "other-joined bob s",
            "control-refused fx pitch no such effect",
            "files files, bob=(string)< a/b.mp4 >;",
            "end ",
        ]
    );
    assert_eq!(heard.recv_timeout(LIMIT).unwrap().pop(), Some(Heard::Closed(Some(1000))));
}

fn bob() -> Identifier {
    Identifier::new("bob").unwrap()
}

fn text(value: &glib::Value) -> String {
    if let Ok(text) = value.get::<String>() {
        return text;
    }
    match value.get::<gst::Structure>() {
        Ok(structure) => structure.to_string(),
        Err(_) => value.get::<u32>().unwrap().to_string(),
    }
}

#[test]
fn what_the_application_says_reaches_the_server() {
    let (server, heard) = server(Step::SaidJoined, |_| {});
    let rig = Rig::talking(&server.uri());
    rig.play();
    rig.event("joined");
    let nobody = None::<String>;
    rig.peer.emit_by_name::<()>("control-fx", &[&"fx", &"pitch", &0.5f64, &90_000u32, &nobody]);
    rig.peer.emit_by_name::<()>("control-fx", &[&"fx", &"pitch", &f64::NAN, &0u32, &nobody]);
    rig.peer.emit_by_name::<()>("poly-control-fx", &[&"fx", &"mode", &"string", &"x", &"bob"]);
    rig.peer.emit_by_name::<()>("server-log", &[&"click", &"left"]);
    rig.peer.emit_by_name::<()>("stop", &[]);
    rig.eos();
    let said = heard.recv_timeout(LIMIT).unwrap();
    let control = |user, property: &str, value, duration_ms| {
        let (name, property) = ("fx".to_owned(), property.to_owned());
        Heard::Said(ClientMessage::Control(Control { user, name, property, value, duration_ms }))
    };
    for expected in [
        control(None, "pitch", ControlValue::Number(0.5), 5000),
        control(Some(bob()), "mode", ControlValue::Text("x".into()), 0),
        Heard::Said(ClientMessage::Ext { kind: "ext_click".into(), text: Some("left".into()) }),
        Heard::Said(ClientMessage::Stop),
    ] {
        assert!(said.contains(&expected), "{expected:?} in {said:?}");
    }
    let controls =
        said.iter().filter(|heard| matches!(heard, Heard::Said(ClientMessage::Control(_))));
    assert_eq!(controls.count(), 2, "what is no number is not said");
}

#[test]
fn rubbish_is_passed_over() {
    let (server, heard) = server(Step::SaidJoined, |connection| {
        connection.say_binary(&[0, 1, 2]);
        for text in
            ["", "rubbish", "[]", r#"{"kind":"weather","payload":3}"#, r#"{"kind":"start"}"#]
        {
            connection.say_text(text);
        }
        // Too early, of no section, and none.
        for (text, section) in [("candidate:1 1 UDP 1 127.0.0.1 9 typ host", 7), ("nonsense", 0)] {
            connection.say_text(
                &serde_json::json!({"kind": "candidate", "payload":
                    serde_json::json!({"candidate": text, "sdpMLineIndex": section}).to_string()})
                .to_string(),
            );
        }
        connection.say(&offer("abcd", ""));
        assert!(answer(connection).contains("a=sendonly"));
        connection.say(&ServerMessage::End);
    });
    let rig = Rig::talking(&server.uri());
    rig.play();
    assert_eq!(rig.eos(), ["joined", "end"]);
    assert_eq!(heard.recv_timeout(LIMIT).unwrap().pop(), Some(Heard::Closed(Some(1000))));
}

#[test]
fn an_offer_that_cannot_be_used_is_one_error_of_the_stream() {
    let with = |sdp: String| ServerMessage::Offer(SessionDescription { kind: "offer".into(), sdp });
    for offer in [
        with("rubbish".into()),
        with("v=0\r\n".into()),
        with(format!("v=0\r\n{}", "a=x\r\n".repeat(70_000))),
        with("v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111\r\n".into()),
    ] {
        let (server, _heard) = server(Step::SaidJoined, move |connection| connection.say(&offer));
        let rig = Rig::talking(&server.uri());
        rig.play();
        let (_, error) = rig.error();
        assert!(error.matches(gst::StreamError::Format), "{error}");
        assert!(error.message().starts_with("the server's offer cannot be used: "), "{error}");
        rig.nothing_more();
    }
}

#[test]
fn offers_that_come_all_at_once_are_all_answered() {
    let (server, heard) = server(Step::SaidJoined, |connection| {
        for _ in 0..3 {
            connection.say(&offer("abcd", ""));
        }
        for _ in 0..3 {
            assert!(answer(connection).contains("a=sendonly"));
        }
        connection.say(&ServerMessage::End);
    });
    let rig = Rig::talking(&server.uri());
    rig.play();
    rig.eos();
    heard.recv_timeout(LIMIT).unwrap();
}

#[test]
fn other_sections_than_sound_and_picture_are_answered_or_one_error() {
    let rejected = "m=video 0 UDP/TLS/RTP/SAVPF 96\r\na=inactive\r\na=mid:video1\r\n\
                    a=rtpmap:96 VP8/90000\r\n";
    let data = "m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\na=mid:data2\r\n\
                a=sctp-port:5000\r\n";
    for more in [rejected, data] {
        let (server, _heard) = server(Step::SaidJoined, move |connection| {
            connection.say(&offer("abcd", more));
            let sdp = answer(connection);
            assert_eq!(sdp.matches("m=").count(), 2, "{sdp}");
            assert!(sdp.contains("a=sendonly"), "{sdp}");
            connection.say(&ServerMessage::End);
        });
        let rig = Rig::talking(&server.uri());
        rig.play();
        assert_eq!(rig.eos(), ["joined", "end"]);
    }
}

#[test]
fn an_ice_restart_is_answered_and_the_call_carries_on() {
    let (server, _heard) = server(Step::SaidJoined, |connection| {
        connection.say(&offer("abcd", ""));
        let first = answer(connection);
        connection.say(&offer("efgh", ""));
        // webrtcbin 1.22 keeps its own credentials.
        assert_eq!(answer(connection), first);
        connection.say(&ServerMessage::End);
    });
    let rig = Rig::talking(&server.uri());
    rig.play();
    assert_eq!(rig.eos(), ["joined", "end"]);
}

#[test]
fn a_reconnection_joins_again_and_keeps_the_pads() {
    let (sender, reached) = channel();
    let (server, connections) = server(Step::Answered, move |_| sender.send(()).unwrap());
    let rig = Rig::talking(&server.uri());
    rig.play();
    let pads = rig.peer.pads();
    for _ in 0..3 {
        rig.event("joined");
        reached.recv_timeout(LIMIT).unwrap();
        rig.peer.emit_by_name::<()>("reconnect", &[]);
        let heard = connections.recv_timeout(LIMIT).unwrap();
        assert_eq!(heard, [Heard::Closed(Some(1000))], "no stop: the participant comes back");
    }
    rig.event("joined");
    assert_eq!(rig.peer.pads(), pads);
    let stats = rig.peer.property::<gst::Structure>("stats");
    assert_eq!(stats.get::<u64>("sessions"), Ok(4));
    rig.peer.send_event(gst::event::Eos::new());
    rig.eos();
}

#[test]
fn null_is_quick_at_any_step_and_play_begins_anew() {
    for step in STEPS {
        let (sender, reached) = channel();
        let (server, heard) = server(step, move |_| sender.send(()).unwrap());
        let rig = Rig::talking(&server.uri());
        for _ in 0..2 {
            rig.play();
            reached.recv_timeout(LIMIT).unwrap();
            rig.pipeline.set_state(gst::State::Null).unwrap();
            let last = heard.recv_timeout(LIMIT).unwrap().pop();
            assert!(matches!(last, Some(Heard::Closed(_))), "{step:?}: {last:?}");
        }
    }
}

#[test]
fn an_application_may_take_the_element_down_in_a_signal() {
    let (server, heard) = server(Step::Started, |_| {});
    let rig = Rig::talking(&server.uri());
    let (sender, down) = channel();
    let pipeline = rig.pipeline.downgrade();
    rig.peer.connect("start", false, move |_| {
        let null = pipeline.upgrade().unwrap().set_state(gst::State::Null);
        sender.send(null).unwrap();
        None
    });
    rig.play();
    assert!(down.recv_timeout(LIMIT).unwrap().is_ok());
    assert_eq!(heard.recv_timeout(LIMIT).unwrap().pop(), Some(Heard::Closed(Some(1000))));
}

#[test]
fn one_pad_of_each_kind_is_given_and_can_be_given_back() {
    init();
    let peer = gst::ElementFactory::make("ducksouppeer").build().unwrap();
    for name in ["audio_sink", "video_sink"] {
        for _ in 0..2 {
            let pad = peer.request_pad_simple(name).unwrap();
            assert_eq!(pad.name(), name);
            let template = peer.pad_template(name).unwrap();
            let second = peer.request_pad(&template, None, None);
            assert!(second.is_none(), "there is one already");
            peer.release_request_pad(&pad);
        }
    }
    assert_eq!(peer.pads().len(), 0);
}
