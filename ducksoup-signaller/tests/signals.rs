// SPDX-License-Identifier: MPL-2.0

//! What the server's signaller emits and says, without any media.

#![allow(clippy::unwrap_used)]

use ducksoup_signaller::frame::Connection;
use ducksoup_signaller::protocol::{
    ClientMessage, IceCandidate, Identifier, ServerMessage, SessionDescription,
};
use ducksoup_signaller::server::{ReceiveError, ServerSignaller};
use gst::glib;
use gst::prelude::*;
use gst_sdp::SDPMessage;
use gst_webrtc::{WebRTCSDPType, WebRTCSessionDescription};
use gstrswebrtc::signaller::prelude::*;
use std::sync::{Arc, Mutex, OnceLock};

const SDP: &str = "v=0\r\no=- 1 0 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n\
                   m=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=mid:audio0\r\n";

type Log = Arc<Mutex<Vec<String>>>;

fn user(name: &str) -> Identifier {
    Identifier::new(name).unwrap()
}

fn description(kind: WebRTCSDPType) -> WebRTCSessionDescription {
    WebRTCSessionDescription::new(kind, SDPMessage::parse_buffer(SDP.as_bytes()).unwrap())
}

fn answer() -> ClientMessage {
    ClientMessage::Answer(SessionDescription { kind: "answer".into(), sdp: SDP.into() })
}

fn candidate(mid: &str) -> ClientMessage {
    ClientMessage::Candidate(IceCandidate {
        candidate: "candidate:1".into(),
        sdp_mid: Some(mid.into()),
        sdp_m_line_index: None,
    })
}

/// A signaller that writes all it says and emits into one log.
fn signaller() -> (ServerSignaller, Log) {
    gst::init().unwrap();
    let log = Log::default();
    let words = log.clone();
    let signaller = ServerSignaller::new(move |connection, message| {
        let text = match message {
            ServerMessage::Offer(_) => "offer".to_owned(),
            ServerMessage::Candidate(it) => format!(
                "{} of {} {}",
                it.candidate,
                it.sdp_mid.unwrap_or_default(),
                it.sdp_m_line_index.unwrap()
            ),
            other => panic!("{other:?}"),
        };
        words.lock().unwrap().push(format!("to {}: {text}", connection.0));
    });
    let entries = log.clone();
    signaller.connect_closure(
        "session-requested",
        false,
        glib::closure!(move |_: glib::Object,
                             session: &str,
                             peer: &str,
                             offer: Option<&WebRTCSessionDescription>| {
            assert!(offer.is_none());
            entries.lock().unwrap().push(format!("requested {session} {peer}"));
        }),
    );
    let entries = log.clone();
    signaller.connect_closure(
        "session-description",
        false,
        glib::closure!(move |_: glib::Object, session: &str, _: &WebRTCSessionDescription| {
            entries.lock().unwrap().push(format!("answer {session}"));
        }),
    );
    let entries = log.clone();
    signaller.connect_closure(
        "handle-ice",
        false,
        glib::closure!(move |_: glib::Object,
                             session: &str,
                             section: u32,
                             mid: Option<String>,
                             line: &str| {
            let text = format!("ice {session} {line} of {} {section}", mid.unwrap());
            entries.lock().unwrap().push(text);
        }),
    );
    let entries = log.clone();
    signaller.connect_closure(
        "session-ended",
        false,
        glib::closure!(move |_: glib::Object, session: &str| -> bool {
            entries.lock().unwrap().push(format!("ended {session}"));
            true
        }),
    );
    let entries = log.clone();
    signaller.connect_closure(
        "error",
        false,
        glib::closure!(move |_: glib::Object, reason: &str| {
            entries.lock().unwrap().push(format!("error: {reason}"));
        }),
    );
    (signaller, log)
}

fn taken(log: &Log) -> Vec<String> {
    std::mem::take(&mut log.lock().unwrap())
}

#[test]
fn sessions_are_connections_and_keep_apart() {
    let (signaller, log) = signaller();
    signaller.open(Connection(1), &user("alice"));
    signaller.open(Connection(2), &user("bob"));
    assert_eq!(taken(&log), ["requested 1 alice", "requested 2 bob"]);

    signaller.add_ice("1", "candidate:9", 0, None);
    assert_eq!(taken(&log), [""; 0], "no candidate before the offer");
    signaller.send_sdp("1", &description(WebRTCSDPType::Offer));
    assert_eq!(taken(&log), ["to 1: offer", "to 1: candidate:9 of audio0 0"]);

    assert_eq!(signaller.receive(Connection(2), &answer()), Err(ReceiveError::NoOffer));
    assert_eq!(signaller.receive(Connection(1), &candidate("audio0")), Ok(()));
    assert_eq!(taken(&log), [""; 0], "no candidate before the answer");
    assert_eq!(signaller.receive(Connection(1), &answer()), Ok(()));
    assert_eq!(taken(&log), ["answer 1", "ice 1 candidate:1 of audio0 0"]);
}

#[test]
fn a_session_ends_once_whoever_ends_it() {
    let (signaller, log) = signaller();
    for number in 1..=4 {
        signaller.open(Connection(number), &user("u"));
    }
    taken(&log);
    signaller.close(Connection(1));
    signaller.close(Connection(1));
    signaller.end_session("1");
    signaller.end_session("2");
    signaller.close(Connection(2));
    assert_eq!(taken(&log), ["ended 1", "ended 2"]);
    signaller.stop();
    signaller.stop();
    let mut rest = taken(&log);
    rest.sort();
    assert_eq!(rest, ["ended 3", "ended 4"]);
    signaller.send_sdp("3", &description(WebRTCSDPType::Offer));
    signaller.add_ice("3", "candidate:1", 0, None);
    assert_eq!(taken(&log), [""; 0], "nothing is said to one who is gone");
}

#[test]
fn what_is_of_no_use_is_refused_by_type() {
    let (signaller, log) = signaller();
    let unknown = ReceiveError::UnknownSession(Connection(5));
    assert_eq!(signaller.receive(Connection(5), &answer()), Err(unknown.clone()));
    assert_eq!(signaller.receive(Connection(5), &candidate("audio0")), Err(unknown));
    signaller.open(Connection(5), &user("u"));
    taken(&log);
    for message in
        [ClientMessage::Stop, ClientMessage::NegotiationNeeded, ClientMessage::Unknown("x".into())]
    {
        assert_eq!(signaller.receive(Connection(5), &message), Err(ReceiveError::NotSignalling));
    }
    signaller.send_sdp("5", &description(WebRTCSDPType::Offer));
    assert_eq!(
        signaller.receive(Connection(5), &candidate("video0")),
        Err(ReceiveError::UnknownSection)
    );
    assert_eq!(taken(&log), ["to 5: offer"]);
}

#[test]
fn mistakes_of_its_own_side_are_emitted_as_errors() {
    let (signaller, log) = signaller();
    signaller.open(Connection(1), &user("u"));
    taken(&log);
    signaller.send_sdp("1", &description(WebRTCSDPType::Answer));
    signaller.end_session("one");
    assert_eq!(
        taken(&log),
        ["error: the server says nothing but offers", "error: no session id of ours"]
    );
}

#[test]
fn descriptions_are_munged_by_who_makes_them() {
    let (signaller, _log) = signaller();
    assert!(!signaller.property::<bool>("manual-sdp-munging"));
    let offer = description(WebRTCSDPType::Offer);
    let munged = signaller.munge_sdp("1", &offer);
    assert_eq!(munged.sdp().as_text().unwrap(), SDP);
}

#[test]
fn words_said_while_others_leave_follow_them() {
    gst::init().unwrap();
    let itself = Arc::new(OnceLock::<ServerSignaller>::new());
    let said = Arc::new(Mutex::new(Vec::new()));
    let (speaker, log) = (itself.clone(), said.clone());
    let signaller = ServerSignaller::new(move |_, message| {
        let is_offer = matches!(message, ServerMessage::Offer(_));
        if is_offer {
            // From within: would wait for ever, or overtake the offer, were a lock held or none.
            speaker.get().unwrap().add_ice("1", "candidate:1", 0, None);
        }
        log.lock().unwrap().push(if is_offer { "offer" } else { "candidate" });
    });
    itself.set(signaller.clone()).unwrap();
    signaller.open(Connection(1), &user("u"));
    signaller.send_sdp("1", &description(WebRTCSDPType::Offer));
    assert_eq!(*said.lock().unwrap(), ["offer", "candidate"]);
}
