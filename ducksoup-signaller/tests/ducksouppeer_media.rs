// SPDX-License-Identifier: MPL-2.0

//! What `ducksouppeer` sends and receives, by tones and colours: raw and encoded input, all
//! outputs, both video formats, and a participant who leaves and comes back.

#![allow(clippy::unwrap_used)]

mod reports;
#[path = "ducksouppeer/rig.rs"]
mod rig;
#[path = "ducksouppeer/server.rs"]
mod server;
#[path = "ducksouppeer/stage.rs"]
mod stage;

use ducksoup_signaller::protocol::{Identifier, ServerMessage};
use gst::prelude::*;
use rig::Rig;
use server::{LIMIT, Server};
use stage::{BLUE, HIGH, LOW, RED, Sense, Stage, sensor};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Instant;

/// What is seen and heard so often in a row counts.
const IN_A_ROW: usize = 8;

/// Waits until these, and nothing else, were sensed often enough, one after the other of each kind.
fn wait_for(senses: &Receiver<Sense>, expected: [Sense; 2]) {
    let deadline = Instant::now() + LIMIT;
    let mut counts = [0, 0];
    let mut last = None;
    while counts != [IN_A_ROW; 2] {
        let left = deadline.saturating_duration_since(Instant::now());
        let sense = senses.recv_timeout(left);
        let sense =
            sense.unwrap_or_else(|_| panic!("not {expected:?}, but {counts:?}, last {last:?}"));
        last = Some(sense);
        for (count, expected) in counts.iter_mut().zip(expected) {
            if sense == expected {
                *count = IN_A_ROW.min(*count + 1);
            } else if std::mem::discriminant(&sense) == std::mem::discriminant(&expected) {
                *count = 0;
            }
        }
    }
}

/// Whether the other participant is shown.
#[derive(Default)]
struct Shown(AtomicU32);

/// A server with one other participant, who is sent from the beginning. What it gets goes to
/// `senses`; each number in `steps` is one more offer, odd ones hide the other.
fn serve(format: &'static str, senses: Sender<Sense>, step: Arc<Shown>) -> Server {
    let senses = Mutex::new(senses);
    Server::start(move |mut connection| {
        connection.let_join();
        let senses = senses.lock().unwrap().clone();
        let stage = Stage::new(format, &senses);
        connection.say(&other_joined());
        stage.send("stream-bob");
        connection.say(&ServerMessage::Start { remaining: 60 });
        let mut done = 0;
        loop {
            let wanted = step.0.load(Ordering::Relaxed);
            if wanted != done {
                done = wanted;
                stage.offer();
            }
            let hides = done % 2 == 1;
            // As the server's own: webrtcbin never hears of directions that change.
            let mut munge = |sdp: &mut String| {
                if hides {
                    *sdp = if sdp.contains("a=inactive\r\n") {
                        sdp.replace("a=inactive\r\n", "a=recvonly\r\n")
                    } else {
                        sdp.replace("a=sendonly\r\n", "a=inactive\r\n")
                    };
                }
            };
            if !stage.turn(&mut connection, &mut munge) {
                return;
            }
        }
    })
}

fn other_joined() -> ServerMessage {
    ServerMessage::OtherJoined {
        user: Identifier::new("bob").unwrap(),
        stream_id: "stream-bob".to_owned(),
    }
}

/// Decodes what comes out of the source pads and tells of it; counts the pads.
fn watch(rig: &Rig, decode: fn(&str) -> String, senses: &Sender<Sense>) -> Arc<AtomicU32> {
    let pads = Arc::new(AtomicU32::new(0));
    let (pipeline, senses, count) = (rig.pipeline.downgrade(), senses.clone(), pads.clone());
    rig.peer.connect_pad_added(move |_, pad| {
        if pad.direction() != gst::PadDirection::Src {
            return;
        }
        count.fetch_add(1, Ordering::Relaxed);
        let kind = pad.name().split('_').next().unwrap().to_owned();
        assert_eq!(pad.name(), format!("{kind}_src_bob"));
        let pipeline = pipeline.upgrade().unwrap();
        let sensor = sensor(&kind, senses.clone());
        let decode =
            gst::parse::bin_from_description(&format!("queue ! {}", decode(&kind)), true).unwrap();
        pipeline.add_many([&decode, &sensor]).unwrap();
        decode.link(&sensor).unwrap();
        sensor.sync_state_with_parent().unwrap();
        decode.sync_state_with_parent().unwrap();
        pad.link(&decode.static_pad("sink").unwrap()).unwrap();
    });
    pads
}

/// A call in which the peer sends 440 Hz and red and receives 1320 Hz and blue.
fn call(format: &'static str, output: &str, input: &str, decode: fn(&str) -> String) {
    let (to_server, at_server) = channel();
    let server = serve(format, to_server, Arc::default());
    let rig =
        Rig::new(&server.uri(), &format!("{input} ducksouppeer name=p connect-timeout=30000"));
    rig.peer.set_property_from_str("output", output);
    rig.option("video-format", format);
    let (to_client, at_client) = channel();
    watch(&rig, decode, &to_client);
    rig.play();
    wait_for(&at_server, [LOW, RED]);
    wait_for(&at_client, [HIGH, BLUE]);
    rig.peer.send_event(gst::event::Eos::new());
    rig.eos();
}

const RAW: &str = "audiotestsrc is-live=true freq=440 ! p.audio_sink
    videotestsrc is-live=true pattern=red ! video/x-raw,width=320,height=240,framerate=30/1 ! p.video_sink";

#[test]
fn raw_in_and_raw_out_in_h264() {
    call("H264", "raw", RAW, |_| "identity".to_owned());
}

#[test]
fn raw_in_and_encoded_out_in_vp8() {
    call("VP8", "encoded", RAW, |kind| match kind {
        "audio" => "audio/x-opus ! opusdec".to_owned(),
        _ => "video/x-vp8 ! vp8dec".to_owned(),
    });
}

#[test]
fn encoded_in_and_rtp_out_in_h264() {
    let input = "audiotestsrc is-live=true freq=440 ! opusenc ! p.audio_sink
        videotestsrc is-live=true pattern=red ! video/x-raw,width=320,height=240,framerate=30/1
        ! x264enc tune=zerolatency speed-preset=ultrafast key-int-max=30
        ! video/x-h264,profile=constrained-baseline ! p.video_sink";
    call("H264", "rtp", input, |kind| match kind {
        "audio" => "application/x-rtp,encoding-name=OPUS ! rtpopusdepay ! opusdec".to_owned(),
        _ => "application/x-rtp,encoding-name=H264 ! rtph264depay ! h264parse ! avdec_h264"
            .to_owned(),
    });
}

#[test]
fn sender_reports_tell_when_sound_and_picture_were_taken() {
    let (told, offs) = channel();
    let told = Mutex::new(told);
    let server = Server::start(move |mut connection| {
        connection.let_join();
        let stage = Stage::new("VP8", &channel().0);
        reports::watch(stage.pipeline.upcast_ref(), told.lock().unwrap().clone());
        stage.send("stream-bob");
        connection.say(&ServerMessage::Start { remaining: 60 });
        while stage.turn(&mut connection, &mut |_| {}) {}
    });
    let rig = Rig::new(&server.uri(), &format!("{RAW} ducksouppeer name=p connect-timeout=30000"));
    rig.option("video-format", "VP8");
    rig.play();
    // The first two may come before anything could run away.
    let offs: Vec<f64> = (0..4).map(|_| offs.recv_timeout(LIMIT).expect("a report")).collect();
    assert!(offs[2..].iter().all(|off| off.abs() < reports::NEAR), "{offs:?}");
}

#[test]
fn an_answer_keeps_what_pictures_are_sent_again_by() {
    let (told, answers) = channel();
    let told = Mutex::new(told);
    let server = Server::start(move |mut connection| {
        connection.let_join();
        let stage = Stage::new("H264", &channel().0);
        stage.ask_again();
        stage.offer();
        let mut tell = |sdp: &mut String| drop(told.lock().unwrap().send(sdp.clone()));
        while stage.turn(&mut connection, &mut tell) {}
    });
    let rig = Rig::new(&server.uri(), &format!("{RAW} ducksouppeer name=p connect-timeout=30000"));
    rig.play();
    let [offer, answer] = [(); 2].map(|()| answers.recv_timeout(LIMIT).expect("a description"));
    let lines = |sdp: &str| -> Vec<String> {
        let again = |line: &&str| line.contains(" rtx/90000") || line.contains("apt=102");
        sdp.lines().filter(again).map(str::to_owned).collect()
    };
    assert_eq!(lines(&offer).len(), 2, "{offer}");
    assert_eq!(lines(&answer), lines(&offer), "{answer}");
    assert!(answer.contains("a=ssrc-group:FID "), "{answer}");
}

#[test]
fn what_is_not_live_is_played_at_its_own_pace_in_vp8() {
    let input = "audiotestsrc freq=440 ! opusenc ! p.audio_sink
        videotestsrc pattern=red ! video/x-raw,width=320,height=240,framerate=30/1
        ! vp8enc deadline=1 keyframe-max-dist=30 ! p.video_sink";
    call("VP8", "raw", input, |_| "identity".to_owned());
}

#[test]
fn a_participant_who_leaves_and_comes_back_is_on_the_same_pads() {
    let (to_server, at_server) = channel();
    let step = Arc::<Shown>::default();
    let server = serve("VP8", to_server, step.clone());
    let rig = Rig::new(&server.uri(), &format!("{RAW} ducksouppeer name=p connect-timeout=30000"));
    rig.option("video-format", "VP8");
    let (to_client, at_client) = channel();
    let pads = watch(&rig, |_| "identity".to_owned(), &to_client);
    rig.play();
    wait_for(&at_client, [HIGH, BLUE]);
    for offers in [1, 2] {
        step.0.store(offers, Ordering::Relaxed);
        // The fake goes on sending: what is hidden is only said.
        while at_client.try_recv().is_ok() {}
        wait_for(&at_client, [HIGH, BLUE]);
        while at_server.try_recv().is_ok() {}
        wait_for(&at_server, [LOW, RED]);
    }
    assert_eq!(pads.load(Ordering::Relaxed), 2);
}

#[test]
fn a_reconnection_goes_on_with_the_same_pads() {
    let (to_server, at_server) = channel();
    let server = serve("H264", to_server, Arc::default());
    let rig = Rig::new(&server.uri(), &format!("{RAW} ducksouppeer name=p connect-timeout=30000"));
    let (to_client, at_client) = channel();
    let pads = watch(&rig, |_| "identity".to_owned(), &to_client);
    rig.play();
    for _ in 0..2 {
        rig.event("start");
        while at_client.try_recv().is_ok() {}
        while at_server.try_recv().is_ok() {}
        wait_for(&at_client, [HIGH, BLUE]);
        wait_for(&at_server, [LOW, RED]);
        rig.peer.emit_by_name::<()>("reconnect", &[]);
    }
    assert_eq!(pads.load(Ordering::Relaxed), 2);
}

#[test]
fn what_the_server_does_not_ask_for_is_one_error_that_says_so() {
    let (to_server, _at_server) = channel();
    let server = serve("H264", to_server, Arc::default());
    let rig = Rig::new(
        &server.uri(),
        "videotestsrc is-live=true ! vp8enc deadline=1 ! ducksouppeer name=p connect-timeout=30000",
    );
    rig.play();
    let (_, error) = rig.error();
    assert!(error.matches(gst::StreamError::WrongType), "{error}");
    assert_eq!(
        error.message(),
        "the server asks for video/x-h264, and video_sink gets video/x-vp8"
    );
}
