// SPDX-License-Identifier: MPL-2.0

//! Two webrtcbins in one process, joined by the server's signaller: the stage's one offers tones,
//! the client's one answers. Words go from hand to hand: no socket, no port of ours.
//!
//! Everything that decides happens on the test's own thread; GStreamer's threads only send events.

#![allow(clippy::unwrap_used)]

mod forgiven;

use ducksoup_signaller::frame::Connection;
use ducksoup_signaller::nice;
use ducksoup_signaller::protocol::{
    ClientMessage, IceCandidate, Identifier, ServerMessage, SessionDescription,
};
use ducksoup_signaller::server::{ReceiveError, ServerSignaller};
use gst::glib;
use gst::prelude::*;
use gst_sdp::SDPMessage;
use gst_webrtc::{WebRTCICEGatheringState, WebRTCSDPType, WebRTCSessionDescription};
use gstrswebrtc::signaller::prelude::*;
use std::collections::BTreeMap;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// Longest wait for anything; what is waited for takes well under a second on a quiet machine.
const LIMIT: Duration = Duration::from_secs(30);
/// Pure buffers in a row (20 ms each) after which a tone counts as heard.
const PURE_BUFFERS: u32 = 10;
const TONES: [u32; 2] = [440, 1320];
const RATE: f32 = 48_000.0;
const CLIENT: Connection = Connection(7);
const SESSION: &str = "7";

enum Event {
    /// The signaller's words for the client.
    Words(Connection, ServerMessage),
    Offer(WebRTCSessionDescription),
    Answer(WebRTCSessionDescription),
    ServerCandidate(u32, String),
    ClientCandidate(u32, String),
    ClientGathered,
    /// One decoded buffer of a client's track: the tone that makes up nearly all of it.
    Heard(String, Option<u32>),
    Fault(String),
}

/// In which order the client speaks.
#[derive(PartialEq)]
enum Manner {
    /// Each word when it has it.
    Prompt,
    /// All candidates before the answer; it hears none of the server's.
    CandidatesFirst,
    /// Rubbish before each answer.
    RubbishFirst,
}

/// A pipeline that is taken down with the test.
struct Guard(gst::Pipeline);

impl Drop for Guard {
    fn drop(&mut self) {
        let _ = self.0.set_state(gst::State::Null);
    }
}

struct Call {
    manner: Manner,
    signaller: ServerSignaller,
    /// What the signaller emitted.
    emitted: Arc<Mutex<Vec<String>>>,
    /// What the client was told, by kind.
    told: Vec<&'static str>,
    /// Pure buffers in a row of the same tone, by track.
    heard: BTreeMap<String, (u32, u32)>,
    /// The answer that is held back.
    held: Option<ClientMessage>,
    refusals: Vec<ReceiveError>,
    events: Receiver<Event>,
    stage: gst::Element,
    client: gst::Element,
    sender: Sender<Event>,
    server_pipeline: Guard,
    _client_pipeline: Guard,
}

/// A playing pipeline with a webrtcbin whose candidates and errors become events.
fn peer(
    sender: &Sender<Event>,
    candidate: impl Fn(u32, String) -> Event + Send + Sync + 'static,
) -> (Guard, gst::Element) {
    let pipeline = gst::Pipeline::new();
    let errors = sender.clone();
    pipeline.bus().unwrap().set_sync_handler(move |_, message| {
        if let gst::MessageView::Error(error) = message.view() {
            let _ = errors.send(Event::Fault(format!("{} {:?}", error.error(), error.debug())));
        }
        gst::BusSyncReply::Drop
    });
    let webrtcbin = gst::ElementFactory::make("webrtcbin")
        .property_from_str("bundle-policy", "max-bundle")
        .build()
        .unwrap();
    nice::no_upnp(&webrtcbin);
    pipeline.add(&webrtcbin).unwrap();
    let candidates = sender.clone();
    webrtcbin.connect_closure(
        "on-ice-candidate",
        false,
        glib::closure!(move |_: &gst::Element, section: u32, line: String| {
            let _ = candidates.send(candidate(section, line));
        }),
    );
    pipeline.set_state(gst::State::Playing).unwrap();
    (Guard(pipeline), webrtcbin)
}

/// A promise whose description becomes an event.
fn promise(
    sender: &Sender<Event>,
    field: &'static str,
    event: impl FnOnce(WebRTCSessionDescription) -> Event + Send + 'static,
) -> gst::Promise {
    let sender = sender.clone();
    gst::Promise::with_change_func(move |reply| {
        let description = reply
            .ok()
            .flatten()
            .and_then(|reply| reply.get::<WebRTCSessionDescription>(field).ok());
        let _ = sender.send(match description {
            Some(description) => event(description),
            None => Event::Fault(format!("no {field}")),
        });
    })
}

/// The share of the power that lies at `frequency` (Goertzel).
fn share(samples: &[f32], frequency: u32) -> f32 {
    let turn = 2.0 * (std::f32::consts::TAU * frequency as f32 / RATE).cos();
    let (mut last, mut before) = (0.0, 0.0);
    for sample in samples {
        (last, before) = (sample + turn * last - before, last);
    }
    let at = last * last + before * before - turn * last * before;
    let all: f32 = samples.iter().map(|sample| sample * sample).sum();
    2.0 * at / (all * samples.len() as f32).max(f32::MIN_POSITIVE)
}

/// Decodes what arrives on one source pad of the client, on that pad's own name.
fn listen(sender: &Sender<Event>, webrtcbin: &gst::Element, pad: &gst::Pad) {
    let bin = gst::parse::bin_from_description(
        "queue ! rtpopusdepay ! opusdec ! audioconvert ! audioresample
         ! audio/x-raw,format=F32LE,channels=1,rate=48000 ! appsink name=ear sync=false async=false",
        true,
    )
    .unwrap();
    let ear = bin.by_name("ear").unwrap();
    let ear = ear.downcast::<gst_app::AppSink>().unwrap();
    let (track, sender) = (pad.name().to_string(), sender.clone());
    ear.set_callbacks(
        gst_app::AppSinkCallbacks::builder()
            .new_sample(move |ear| {
                let sample = ear.pull_sample().map_err(|_| gst::FlowError::Eos)?;
                let map = sample.buffer().unwrap().map_readable().unwrap();
                let samples: Vec<f32> = map
                    .chunks_exact(4)
                    .map(|four| f32::from_le_bytes(four.try_into().unwrap()))
                    .collect();
                let tone = TONES.into_iter().find(|tone| share(&samples, *tone) > 0.9);
                let _ = sender.send(Event::Heard(track.clone(), tone));
                Ok(gst::FlowSuccess::Ok)
            })
            .build(),
    );
    let pipeline = webrtcbin.parent().unwrap().downcast::<gst::Bin>().unwrap();
    pipeline.add(&bin).unwrap();
    bin.sync_state_with_parent().unwrap();
    pad.link(&bin.static_pad("sink").unwrap()).unwrap();
}

impl Call {
    fn new(manner: Manner) -> Self {
        gst::init().unwrap();
        forgiven::forgive();
        let (sender, events) = channel();
        let (server_pipeline, stage) = peer(&sender, Event::ServerCandidate);
        let (client_pipeline, client) = peer(&sender, Event::ClientCandidate);

        let ears = sender.clone();
        client.connect_pad_added(move |webrtcbin, pad| listen(&ears, webrtcbin, pad));
        let gathered = sender.clone();
        client.connect_notify(Some("ice-gathering-state"), move |client, _| {
            let state = client.property::<WebRTCICEGatheringState>("ice-gathering-state");
            if state == WebRTCICEGatheringState::Complete {
                let _ = gathered.send(Event::ClientGathered);
            }
        });

        let words = sender.clone();
        let signaller = ServerSignaller::new(move |connection, message| {
            let _ = words.send(Event::Words(connection, message));
        });
        let emitted = Arc::new(Mutex::new(Vec::new()));
        let (log, to) = (emitted.clone(), stage.clone());
        signaller.connect_closure(
            "session-description",
            false,
            glib::closure!(
                move |_: glib::Object, session: &str, description: &WebRTCSessionDescription| {
                    log.lock().unwrap().push(format!("description {session}"));
                    assert_eq!(description.type_(), WebRTCSDPType::Answer);
                    let nobody = None::<gst::Promise>;
                    to.emit_by_name::<()>("set-remote-description", &[description, &nobody]);
                }
            ),
        );
        let (log, to) = (emitted.clone(), stage.clone());
        signaller.connect_closure(
            "handle-ice",
            false,
            glib::closure!(move |_: glib::Object,
                                 session: &str,
                                 section: u32,
                                 _mid: Option<String>,
                                 candidate: &str| {
                log.lock().unwrap().push(format!("candidate {session}"));
                to.emit_by_name::<()>("add-ice-candidate", &[&section, &candidate]);
            }),
        );
        signaller.open(CLIENT, &Identifier::new("alice").unwrap());
        Self {
            manner,
            signaller,
            emitted,
            told: Vec::new(),
            heard: BTreeMap::new(),
            held: None,
            refusals: Vec::new(),
            events,
            stage,
            client,
            sender,
            server_pipeline,
            _client_pipeline: client_pipeline,
        }
    }

    /// One more track from the stage, then a new offer.
    fn offer_tone(&self, frequency: u32) {
        let source = gst::parse::bin_from_description(
            &format!(
                "audiotestsrc is-live=true freq={frequency} ! audio/x-raw,rate=48000,channels=1
                 ! opusenc ! rtpopuspay pt=111 ssrc={frequency} ! queue
                 ! capsfilter caps=application/x-rtp,media=audio,encoding-name=OPUS,payload=111,clock-rate=48000"
            ),
            true,
        )
        .unwrap();
        self.server_pipeline.0.add(&source).unwrap();
        let sink = self.stage.request_pad_simple("sink_%u").unwrap();
        source.static_pad("src").unwrap().link(&sink).unwrap();
        source.sync_state_with_parent().unwrap();
        let promise = promise(&self.sender, "offer", Event::Offer);
        let options = None::<gst::Structure>;
        self.stage.emit_by_name::<()>("create-offer", &[&options, &promise]);
    }

    /// Lets things happen until `done`.
    fn until(&mut self, what: &str, done: impl Fn(&Self) -> bool) {
        let deadline = Instant::now() + LIMIT;
        while !done(self) {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.events.recv_timeout(left) {
                Ok(event) => self.happen(event),
                Err(_) => panic!("in vain waited for: {what}; heard {:?}", self.heard),
            }
        }
    }

    /// The client hears the tones from now on, each on a track of its own.
    fn hears(&mut self, tones: &[u32]) {
        self.heard.clear();
        self.until(&format!("{tones:?}"), |call| {
            let mut heard: Vec<u32> = (call.heard.values())
                .filter(|(_, buffers)| *buffers >= PURE_BUFFERS)
                .map(|(tone, _)| *tone)
                .collect();
            heard.sort_unstable();
            heard == tones
        });
    }

    fn happen(&mut self, event: Event) {
        let nobody = None::<gst::Promise>;
        match event {
            Event::Offer(offer) => {
                self.stage.emit_by_name::<()>("set-local-description", &[&offer, &nobody]);
                self.signaller.send_sdp(SESSION, &offer);
            }
            Event::ServerCandidate(section, line) => {
                self.signaller.add_ice(SESSION, &line, section, None);
            }
            Event::Words(connection, message) => {
                assert_eq!(connection, CLIENT);
                self.hear_words(message);
            }
            Event::Answer(answer) => self.answer(&answer),
            Event::ClientCandidate(section, line) => self.say_candidate(line, Some(section)),
            Event::ClientGathered => {
                self.say_candidate(String::new(), None);
                if let Some(answer) = self.held.take() {
                    assert_eq!(*self.emitted.lock().unwrap(), Vec::<String>::new());
                    self.signaller.receive(CLIENT, &answer).unwrap();
                }
            }
            Event::Heard(track, tone) => {
                let entry = self.heard.entry(track).or_default();
                *entry = match tone {
                    Some(tone) if tone == entry.0 => (tone, entry.1 + 1),
                    Some(tone) => (tone, 1),
                    None => (0, 0),
                };
            }
            Event::Fault(fault) => panic!("{fault}"),
        }
    }

    /// The client's side of the server's words.
    fn hear_words(&mut self, message: ServerMessage) {
        match message {
            ServerMessage::Offer(offer) => {
                self.told.push("offer");
                assert_eq!(offer.kind, "offer");
                let sdp = SDPMessage::parse_buffer(offer.sdp.as_bytes()).unwrap();
                let offer = WebRTCSessionDescription::new(WebRTCSDPType::Offer, sdp);
                let nobody = None::<gst::Promise>;
                self.client.emit_by_name::<()>("set-remote-description", &[&offer, &nobody]);
                let promise = promise(&self.sender, "answer", Event::Answer);
                let options = None::<gst::Structure>;
                self.client.emit_by_name::<()>("create-answer", &[&options, &promise]);
            }
            ServerMessage::Candidate(candidate) => {
                self.told.push("candidate");
                assert!(candidate.sdp_mid.is_some(), "{candidate:?}");
                if self.manner != Manner::CandidatesFirst {
                    let section = candidate.sdp_m_line_index.unwrap();
                    self.client
                        .emit_by_name::<()>("add-ice-candidate", &[&section, &candidate.candidate]);
                }
            }
            other => panic!("{other:?}"),
        }
    }

    fn answer(&mut self, answer: &WebRTCSessionDescription) {
        let nobody = None::<gst::Promise>;
        self.client.emit_by_name::<()>("set-local-description", &[answer, &nobody]);
        let message = |sdp: &str| {
            ClientMessage::Answer(SessionDescription { kind: "answer".into(), sdp: sdp.into() })
        };
        let sdp = answer.sdp().as_text().unwrap();
        match self.manner {
            Manner::Prompt => self.signaller.receive(CLIENT, &message(&sdp)).unwrap(),
            Manner::CandidatesFirst => self.held = Some(message(&sdp)),
            Manner::RubbishFirst => {
                let headless = sdp.split("m=audio").next().unwrap();
                let longer = format!("{sdp}m=audio 9 UDP/TLS/RTP/SAVPF 111\r\n");
                for rubbish in ["", "rubbish", "\0", &sdp[2..], headless, &longer] {
                    let refusal = self.signaller.receive(CLIENT, &message(rubbish));
                    self.refusals.push(refusal.unwrap_err());
                }
                self.signaller.receive(CLIENT, &message(&sdp)).unwrap();
            }
        }
    }

    fn say_candidate(&self, candidate: String, section: Option<u32>) {
        let candidate = IceCandidate { candidate, sdp_mid: None, sdp_m_line_index: section };
        self.signaller.receive(CLIENT, &ClientMessage::Candidate(candidate)).unwrap();
    }
}

#[test]
fn a_tone_arrives_and_a_renegotiation_adds_a_second_one() {
    let mut call = Call::new(Manner::Prompt);
    call.offer_tone(TONES[0]);
    call.hears(&TONES[..1]);
    call.offer_tone(TONES[1]);
    call.hears(&TONES);
    let offers = call.told.iter().filter(|kind| **kind == "offer").count();
    assert_eq!((call.told[0], offers), ("offer", 2), "{:?}", call.told);
}

#[test]
fn candidates_sent_before_the_answer_are_enough_for_a_call() {
    let mut call = Call::new(Manner::CandidatesFirst);
    call.offer_tone(TONES[0]);
    call.hears(&TONES[..1]);
    let emitted = call.emitted.lock().unwrap().clone();
    assert_eq!(emitted[0], "description 7");
    assert!(emitted.len() > 1);
    assert!(emitted[1..].iter().all(|signal| signal == "candidate 7"));
}

#[test]
fn rubbish_answers_are_refused_and_the_call_goes_on() {
    let mut call = Call::new(Manner::RubbishFirst);
    let expected = |offered| {
        vec![
            ReceiveError::NotSdp,
            ReceiveError::NotSdp,
            ReceiveError::NotSdp,
            ReceiveError::NotSdp,
            ReceiveError::NotSdp,
            ReceiveError::Sections { offered, answered: offered + 1 },
        ]
    };
    call.offer_tone(TONES[0]);
    call.hears(&TONES[..1]);
    assert_eq!(std::mem::take(&mut call.refusals), expected(1));
    call.offer_tone(TONES[1]);
    call.hears(&TONES);
    assert_eq!(call.refusals, expected(2));
    let descriptions = call.emitted.lock().unwrap();
    let descriptions = descriptions.iter().filter(|signal| *signal == "description 7");
    assert_eq!(descriptions.count(), 2, "only the right ones went on");
}
