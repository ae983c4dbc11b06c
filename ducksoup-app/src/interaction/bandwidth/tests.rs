// SPDX-License-Identifier: MPL-2.0

//! Against real RTP sessions: the server's, behind the mixer, and one in the browser's place.

#![allow(clippy::unwrap_used)]

use super::*;
use crate::config::{Args, Config};
use crate::interaction::elements;
use crate::interaction::rtcp;
use crate::interaction::sdp::Codec;
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{self, Receiver};
use std::time::Duration;

/// Longest wait for anything; a busy machine is slow.
const LIMIT: Duration = Duration::from_secs(20);
const SSRC: u32 = 77;
const BOUNDS: Bounds = Bounds { min: 32_000, enough: 32_000, start: 500_000, max: 500_000 };

/// A stream of sound from the server to a browser, and what comes back.
struct Call {
    pipeline: gst::Pipeline,
    mixer: gst::Element,
    /// Where the browser's control packets come in.
    control: gst::Pad,
    shared: Arc<Shared>,
    inputs: Receiver<Input>,
    /// Packets that the browser has had.
    heard: Receiver<()>,
    /// REMB that the browser was told.
    limits: Receiver<u64>,
}

impl Call {
    fn begin() -> Self {
        gst::init().unwrap();
        elements::register().unwrap();
        let (to, inputs) = mpsc::sync_channel(1000);
        let shared = Arc::new(Shared {
            gcc: Some(Gcc::new().unwrap()),
            downlink: Mutex::new(Downlink::new(BOUNDS)),
            remb: Mutex::default(),
            connection: Connection(1),
            inputs: Inputs::new(to),
        });
        shared.gcc.as_ref().unwrap().set_bounds(BOUNDS);
        let pipeline = gst::Pipeline::new();
        let make = |factory: &str| {
            let element = gst::ElementFactory::make(factory).build().unwrap();
            pipeline.add(&element).unwrap();
            element
        };
        let voice = "audiotestsrc is-live=true ! opusenc ! rtpopuspay pt=100";
        let voice = gst::parse::bin_from_description(voice, true).unwrap();
        pipeline.add(&voice).unwrap();
        let [mixer, server, browser, ears, mouth] =
            ["ducksoupmixer", "rtpsession", "rtpsession", "fakesink", "fakesink"].map(make);
        shared.attach(&server);
        voice.link_pads(Some("src"), &mixer, Some("sink_0")).unwrap();
        let route = mixer.request_pad_simple("src_0").unwrap();
        route.set_property("receiver", "browser");
        route.set_property("caps", Codec::Opus.caps(Some(SSRC), true));
        route.link(&server.request_pad_simple("send_rtp_sink").unwrap()).unwrap();
        server.link_pads(Some("send_rtp_src"), &browser, Some("recv_rtp_sink")).unwrap();
        browser.link_pads(Some("recv_rtp_src"), &ears, Some("sink")).unwrap();
        browser.link_pads(Some("send_rtcp_src"), &mouth, Some("sink")).unwrap();
        server.link_pads(Some("send_rtcp_src"), &browser, Some("recv_rtcp_sink")).unwrap();
        for sink in [&ears, &mouth] {
            sink.set_property("async", false);
            sink.set_property("sync", false);
        }
        for session in [&server, &browser] {
            session.set_property("rtcp-min-interval", 100_000_000u64);
        }
        let (hear, heard) = mpsc::channel();
        let arrivals = ears.static_pad("sink").unwrap();
        arrivals.add_probe(gst::PadProbeType::BUFFER, move |_, _| {
            // At the end nobody counts any more.
            let _ = hear.send(());
            gst::PadProbeReturn::Ok
        });
        let (tell, limits) = mpsc::channel();
        let tell = Mutex::new(tell);
        let session = browser.property::<glib::Object>("internal-session");
        session.set_property_from_str("rtp-profile", "avpf");
        session.connect("on-receiving-rtcp", false, move |values| {
            let packet = values[1].get::<gst::Buffer>().unwrap();
            for packet in rtcp::read(&packet.map_readable().unwrap()) {
                if let Packet::Remb { bitrate } = packet {
                    tell.lock().unwrap().send(bitrate).unwrap();
                }
            }
            None
        });
        let control = server.request_pad_simple("recv_rtcp_sink").unwrap();
        // Handed over, since a link would close a loop.
        let (back, said) = (control.clone(), mouth.static_pad("sink").unwrap());
        said.add_probe(gst::PadProbeType::BUFFER, move |_, info| {
            // After the end nobody listens.
            let _ = back.chain(info.buffer().unwrap().copy());
            gst::PadProbeReturn::Ok
        });
        // Sessions say nothing before they play.
        pipeline.set_state(gst::State::Paused).unwrap();
        assert!(control.send_event(gst::event::StreamStart::new("control")));
        let segment = gst::FormattedSegment::<gst::ClockTime>::new();
        assert!(control.send_event(gst::event::Segment::new(&segment)));
        pipeline.set_state(gst::State::Playing).unwrap();
        Self { pipeline, mixer, control, shared, inputs, heard, limits }
    }

    /// The next estimate that the stage is told.
    fn estimate(&self) -> u32 {
        match self.inputs.recv_timeout(LIMIT).unwrap() {
            Input::Peer(Connection(1), PeerInput::Estimated(bitrate)) => bitrate,
            other => panic!("{other:?}"),
        }
    }

    /// Waits until so many more packets have been heard.
    fn goes_on(&self, packets: u64) {
        while self.heard.try_recv().is_ok() {}
        for _ in 0..packets {
            self.heard.recv_timeout(LIMIT).expect("sound goes on");
        }
        let bus = self.pipeline.bus().unwrap();
        let error = bus.pop_filtered(&[gst::MessageType::Error]);
        assert!(error.is_none(), "{error:?}");
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        self.pipeline.set_state(gst::State::Null).unwrap();
    }
}

/// A control packet of so many words.
fn control(number: u8, format: u8, words: &[u32]) -> Vec<u8> {
    let mut bytes = vec![0x80 | format, number];
    bytes.extend(u16::try_from(words.len()).unwrap().to_be_bytes());
    bytes.extend(words.iter().flat_map(|word| word.to_be_bytes()));
    bytes
}

#[test]
fn feedback_becomes_an_estimate_and_hostile_packets_change_nothing() {
    let call = Call::begin();
    assert_eq!(call.estimate(), BOUNDS.max, "nothing speaks against it");
    let everything_lost = [1, SSRC + 1, 0xff7f_ffff, u32::MAX, u32::MAX, 1, u32::MAX];
    let hostile = [
        control(201, 1, &everything_lost),
        control(200, 1, &[&[1, 0, 0, 0, 0, 0], &everything_lost[1..]].concat()),
        // Feedback of packets that were never sent, that promises more than it holds, that is cut.
        control(205, 15, &[1, SSRC, 0x7000_ffff, 0x00ff_ff01, 0x3fff_3fff]),
        control(205, 15, &[1, SSRC, 0x7000_0010, 0x00ff_ff02, 0xd555_0000]),
        control(205, 15, &[1, SSRC, 0x7000_0010]),
        control(205, 15, &[1]),
        // Estimates of nothing and of everything; repairs and keyframes of streams that nobody has.
        control(206, 15, &[1, 0, u32::from_be_bytes(*b"REMB"), 0x0100_0000, SSRC]),
        control(206, 15, &[1, 0, u32::from_be_bytes(*b"REMB"), 0xffff_ffff]),
        control(205, 1, &[1, SSRC + 1, 0xffff_ffff]),
        control(206, 1, &[1, SSRC + 1]),
        control(206, 4, &[1, 0, SSRC + 1, 0xffff_ffff]),
        // In the name of the server's own stream: reports of it, and a farewell.
        control(200, 0, &[SSRC, u32::MAX, u32::MAX, 0, u32::MAX, u32::MAX]),
        control(201, 1, &[SSRC, SSRC, 0xff7f_ffff, u32::MAX, u32::MAX, 1, u32::MAX]),
        control(202, 1, &[SSRC, 0x0100_0000]),
        control(203, 1, &[SSRC]),
        // Longer than it is; no packet at all.
        control(201, 31, &[1]),
        vec![0xff; 40],
        vec![0x80],
    ];
    for _ in 0..100 {
        for packet in &hostile {
            // What the session makes of it is its affair; none is an end of the call.
            let _ = call.control.chain(gst::Buffer::from_slice(packet.clone()));
        }
    }
    call.goes_on(75);
    let told: Vec<_> = call.inputs.try_iter().collect();
    assert!(told.is_empty(), "{told:?}");
    assert_eq!(lock(&call.shared.downlink).told, Some(BOUNDS.max));
}

#[test]
fn whoever_asks_for_everything_again_gets_a_part_of_the_line_and_one_keyframe_a_second() {
    let call = Call::begin();
    assert_eq!(call.estimate(), BOUNDS.max);
    let (again, keyframes) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
    let (requests, refreshes) = (Arc::clone(&again), Arc::clone(&keyframes));
    let route = call.mixer.static_pad("src_0").unwrap();
    route.add_probe(gst::PadProbeType::EVENT_UPSTREAM, move |_, info| {
        let name = info.event().and_then(|event| event.structure()).map(|it| it.name());
        match name.map(|name| name.as_str()) {
            Some(AGAIN) => requests.fetch_add(1, Ordering::Relaxed),
            Some("GstForceKeyUnit") => refreshes.fetch_add(1, Ordering::Relaxed),
            _ => 0,
        };
        gst::PadProbeReturn::Ok
    });
    let begin = Instant::now();
    // 17 packets in each of four entries.
    let flood = control(205, 1, &[1, SSRC, 0x0001_ffff, 0x4000_ffff, 0x8000_ffff, 0xf000_ffff]);
    for _ in 0..1000 {
        let _ = call.control.chain(gst::Buffer::from_slice(flood.clone()));
    }
    let took = begin.elapsed();
    call.goes_on(25);
    let [again, keyframes] = [again, keyframes].map(|count| count.load(Ordering::Relaxed));
    // A quarter of the line, in packets of 1200 bytes, and a second of it saved up.
    let room = f64::from(BOUNDS.max) / 4.0 / 9600.0 * (1.0 + took.as_secs_f64());
    assert!(again > 0 && f64::from(again) <= room + 1.0, "{again} of 68000, room for {room}");
    assert!(keyframes > 0 && f64::from(keyframes) <= 1.0 + took.as_secs_f64(), "{keyframes}");
}

#[test]
fn what_receivers_can_take_is_told_to_the_browser_until_it_changes() {
    let call = Call::begin();
    call.goes_on(5);
    assert!(call.limits.try_recv().is_err(), "nobody has said anything");
    lock(&call.shared.remb).set(400_000);
    assert_eq!(call.limits.recv_timeout(LIMIT), Ok(400_000));
    assert_eq!(call.limits.recv_timeout(LIMIT), Ok(400_000), "again");
    lock(&call.shared.remb).set(300_000);
    let mut told = std::iter::repeat_with(|| call.limits.recv_timeout(LIMIT).unwrap());
    assert!(told.by_ref().take(3).any(|bitrate| bitrate == 300_000));
}

#[test]
fn feedback_without_what_it_must_have_is_left_out() {
    gst::init().unwrap();
    let time = gst::ClockTime::from_seconds;
    let packet = |lost: bool| {
        gst::Structure::builder("RTPTWCCPacket")
            .field("seqnum", 1u32)
            .field("lost", lost)
            .field("size", 100u32)
    };
    let whole = packet(false).field("local-ts", time(1)).field("remote-ts", time(9)).build();
    let lost = packet(true).field("local-ts", time(1)).build();
    let never_sent = packet(false).field("remote-ts", time(9)).build();
    let never_came = packet(false).field("local-ts", time(1)).build();
    let nothing = gst::Structure::new_empty("RTPTWCCPacket");
    let departure = 1_000_000_000;
    let arrived = |arrival| Some(Seen { departure, arrival, size: 100 });
    assert_eq!(
        [whole, lost, never_sent, never_came, nothing].map(|packet| seen(&packet)),
        [arrived(Some(9 * departure)), arrived(None), None, None, None]
    );
    let other = gst::event::CustomUpstream::new(gst::Structure::new_empty("other"));
    assert_eq!(packets(&other), None);
    let empty = gst::event::CustomUpstream::new(gst::Structure::new_empty(FEEDBACK));
    assert_eq!(packets(&empty), None);
}

#[test]
fn what_a_connection_can_take_is_told_when_all_its_tracks_are_there() {
    gst::init().unwrap();
    elements::register().unwrap();
    let settings =
        Config::new(&Args::default(), Path::new("/nonexistent")).unwrap().stage_settings();
    let webrtcbin = gst::ElementFactory::make("webrtcbin").build().unwrap();
    let (to, inputs) = mpsc::sync_channel(1000);
    let mut bandwidth =
        Bandwidth::new(&webrtcbin, &settings, Connection(1), &Inputs::new(to)).unwrap();
    let told = || -> Vec<u32> {
        let told = inputs.try_iter().map(|input| match input {
            Input::Peer(_, PeerInput::Estimated(bitrate)) => bitrate,
            other => panic!("{other:?}"),
        });
        told.collect()
    };
    let each = START.min(settings.video_bitrate.default) + settings.audio_bitrate.max;
    for pictures in [3, 5] {
        while bandwidth.bounds.start < pictures * each {
            bandwidth.carries(Kind::Audio);
            bandwidth.carries(Kind::Video);
        }
        assert_eq!(told(), [0_u32; 0], "after {pictures} of them");
        bandwidth.carries_all();
        bandwidth.carries_all();
        assert_eq!(told(), [pictures * each]);
    }
}
