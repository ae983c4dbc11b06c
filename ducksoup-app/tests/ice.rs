// SPDX-License-Identifier: MPL-2.0

//! A stage's own candidates, as its door hears of them: which ports and addresses they have, and
//! what a participant is told when no port is left.

use ducksoup_app::config::{Args, Config};
use ducksoup_app::interaction::input::Inputs;
use ducksoup_app::interaction::webrtcbin;
use ducksoup_signaller::frame::{Connection, DoorFrame, Opening, StageFrame, StageSettings, line};
use ducksoup_signaller::protocol::{ErrorCode, Identifier, JoinOptions, ServerMessage};
use gst::prelude::*;
use serde_json::json;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::UdpSocket;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;
use tempfile::TempDir;

/// Longest wait for anything. Generous: the machine may be busy.
const LIMIT: Duration = Duration::from_secs(60);

/// A stage with one participant.
struct Stage {
    child: Child,
    door: ChildStdin,
    words: Receiver<ServerMessage>,
    data: TempDir,
}

impl Stage {
    fn open(edit: impl FnOnce(&mut StageSettings)) -> Self {
        let data = tempfile::tempdir().expect("a folder");
        let args = Args {
            stun_server_urls: Some("false".into()),
            data: Some("data".into()),
            ..Args::default()
        };
        let config = Config::new(&args, data.path()).expect("valid");
        let mut settings = config.stage_settings();
        edit(&mut settings);
        let mut child = Command::new(env!("CARGO_BIN_EXE_ducksoup-app"))
            .arg("interaction")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("it runs");
        let name = |text| Identifier::new(text).expect("a name");
        let options = json!({"interactionName": "i", "userId": "u", "size": 1});
        let options = JoinOptions::from_json(options.as_object().expect("an object"));
        let frames = [
            DoorFrame::Open(Box::new(Opening {
                origin: "https://lab.example".into(),
                namespace: name("n"),
                interaction: name("i"),
                id: name("abcd1234"),
                settings,
            })),
            DoorFrame::Join {
                connection: Connection(1),
                origin: "https://lab.example".into(),
                options: Box::new(options.expect("valid")),
                ice_servers: Vec::new(),
            },
        ];
        let mut door = child.stdin.take().expect("a pipe");
        for frame in &frames {
            door.write_all(line(frame).expect("writable").as_bytes()).expect("written");
        }
        let lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
        let (say, words) = channel();
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                if let Ok(StageFrame::Send { message, .. }) = serde_json::from_str(&line)
                    && say.send(message).is_err()
                {
                    return;
                }
            }
        });
        Self { child, door, words, data }
    }

    /// The next words for the participant that are asked for.
    fn hear<T>(&self, wanted: impl Fn(&ServerMessage) -> Option<T>) -> T {
        loop {
            let message = self.words.recv_timeout(LIMIT).expect("in time");
            if let Some(found) = wanted(&message) {
                return found;
            }
        }
    }

    /// The next UDP host candidate over IPv4 that the participant is told of.
    fn candidate(&self) -> Candidate {
        self.hear(|message| match message {
            ServerMessage::Candidate(candidate) => Candidate::parse(&candidate.candidate),
            _ => None,
        })
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        let _ = self.door.write_all(line(&DoorFrame::Shutdown).expect("writable").as_bytes());
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[derive(Debug)]
struct Candidate {
    priority: u32,
    address: String,
    port: u16,
}

impl Candidate {
    fn parse(text: &str) -> Option<Self> {
        let words: Vec<_> = text.split_whitespace().collect();
        let [_, _, "UDP", priority, address, port, "typ", "host"] = words[..] else {
            return None;
        };
        let numbers = (priority.parse().ok()?, port.parse().ok()?);
        let is_v4 = address.contains('.');
        is_v4.then(|| Self { priority: numbers.0, address: address.into(), port: numbers.1 })
    }
}

/// Sockets that hold a port on every address.
fn taken_port() -> (UdpSocket, u16) {
    let socket = UdpSocket::bind("[::]:0").or_else(|_| UdpSocket::bind("0.0.0.0:0"));
    let socket = socket.expect("a socket");
    let port = socket.local_addr().expect("an address").port();
    (socket, port)
}

/// A range of that many ports; free a moment ago, at its beginning.
fn range(size: u16) -> (u16, u16) {
    loop {
        let (_, port) = taken_port();
        if port < u16::MAX - size {
            return (port, port + size - 1);
        }
    }
}

/// The local UDP ports of this machine (proc(5)), all that are bound to one IPv4 address.
fn bound_ports() -> Vec<u16> {
    let table = std::fs::read_to_string("/proc/net/udp").expect("Linux");
    table
        .lines()
        .skip(1)
        .filter_map(|line| line.split_whitespace().nth(1)?.split(':').nth(1))
        .filter_map(|port| u16::from_str_radix(port, 16).ok())
        .collect()
}

#[test]
fn media_keep_to_the_ports_that_the_firewall_lets_through() {
    let (min, max) = range(10);
    let stage = Stage::open(|settings| settings.media_ports = Some((min, max)));
    let candidate = stage.candidate();
    assert!((min..=max).contains(&candidate.port), "{candidate:?} not in {min}-{max}");
    assert!(bound_ports().contains(&candidate.port), "{candidate:?}");
}

#[test]
fn the_first_stun_server_of_the_list_is_the_servers_own() {
    gst::init().expect("GStreamer");
    let args = Args {
        stun_server_urls: Some("stuns:a.example,stun:b.example:3478,stun:c.example".into()),
        ..Args::default()
    };
    let folder = tempfile::tempdir().expect("a folder");
    let settings = Config::new(&args, folder.path()).expect("valid").stage_settings();
    let (inputs, _kept) = std::sync::mpsc::sync_channel(1);
    let inputs = Inputs::new(inputs);
    let webrtcbin = webrtcbin::make(Connection(1), 0, &settings, &inputs).expect("an element");
    let server: Option<String> = webrtcbin.property("stun-server");
    assert_eq!(server.as_deref(), Some("stun://b.example:3478"));
}

#[test]
fn the_public_address_is_told_besides_the_machines_own() {
    let public = "203.0.113.7";
    let stage = Stage::open(|settings| settings.host_candidate = public.parse().ok());
    let own = stage.candidate();
    let added = stage.candidate();
    assert_ne!(own.address, public);
    assert_eq!((added.address.as_str(), added.port), (public, own.port));
    assert!(added.priority < own.priority, "{own:?} is the short way, {added:?}");
}

#[test]
fn without_a_free_port_the_participant_is_told_and_the_log_says_why() {
    let (_taken, port) = taken_port();
    let stage = Stage::open(|settings| settings.media_ports = Some((port, port)));
    stage.hear(|message| match message {
        ServerMessage::Error(code) => {
            assert_eq!(*code, ErrorCode::PeerConnection);
            Some(())
        }
        _ => None,
    });
    let log = stage.data.path().join("data/n/i/i.log");
    let log = std::fs::read_to_string(&log).expect("a log");
    let line = log.lines().find(|line| line.contains("server_candidates_missing"));
    let expected = format!("DUCKSOUP_MEDIA_PORTS ({port}-{port})");
    assert!(line.is_some_and(|line| line.contains(&expected)), "{log}");
}
