// SPDX-License-Identifier: MPL-2.0

//! A mixer alone, with hand-made packets going in and everything that comes out written down.

use gst::prelude::*;
use std::sync::mpsc;
use std::sync::{Arc, Condvar, Mutex, Once};
use std::time::Duration;

/// Longest wait for anything.
pub(crate) const LIMIT: Duration = Duration::from_secs(10);

pub(crate) fn init() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        gst::init().unwrap();
        gstducksoup::plugin_register_static().unwrap();
    });
}

pub(crate) fn opus_caps(ssrc: u32) -> gst::Caps {
    rtp_caps("audio", "OPUS", 48_000, 111, ssrc)
}

pub(crate) fn vp8_caps(ssrc: u32) -> gst::Caps {
    rtp_caps("video", "VP8", 90_000, 96, ssrc)
}

pub(crate) fn h264_caps(ssrc: u32) -> gst::Caps {
    rtp_caps("video", "H264", 90_000, 102, ssrc)
}

fn rtp_caps(media: &str, encoding: &str, rate: i32, payload: i32, ssrc: u32) -> gst::Caps {
    gst::Caps::builder("application/x-rtp")
        .field("media", media)
        .field("encoding-name", encoding)
        .field("clock-rate", rate)
        .field("payload", payload)
        .field("ssrc", ssrc)
        .build()
}

pub(crate) struct Rig {
    pub(crate) mixer: gst::Element,
    pub(crate) clock: gst_check::TestClock,
}

impl Rig {
    pub(crate) fn new() -> Self {
        let rig = Self::stopped();
        rig.mixer.set_state(gst::State::Playing).unwrap();
        rig
    }

    pub(crate) fn stopped() -> Self {
        init();
        let mixer = gst::ElementFactory::make("ducksoupmixer").build().unwrap();
        let clock = gst_check::TestClock::new();
        mixer.set_clock(Some(&clock)).unwrap();
        Self { mixer, clock }
    }

    /// A participant's stream, which has said what it is.
    pub(crate) fn sender(&self, participant: &str, caps: &gst::Caps) -> Sender {
        let sender = self.silent_sender(participant);
        sender.announce(caps);
        sender
    }

    pub(crate) fn silent_sender(&self, participant: &str) -> Sender {
        let sink = self.mixer.request_pad_simple("sink_%u").unwrap();
        sink.set_property("participant", participant);
        let (events, upstream) = mpsc::channel();
        let events = Mutex::new(events);
        let pad = gst::Pad::builder(gst::PadDirection::Src)
            .event_function(move |_, _, event| {
                // Whoever does not look is not told.
                let _ = events.lock().unwrap().send(event);
                true
            })
            .build();
        pad.set_active(true).unwrap();
        pad.link(&sink).unwrap();
        Sender { pad, sink, upstream }
    }

    /// A route with promised caps, linked.
    pub(crate) fn listener(&self, receiver: &str, source: &str, caps: &gst::Caps) -> Listener {
        let listener = self.unlinked_listener(receiver, Behaviour::Takes);
        listener.src.set_property("source", source);
        listener.src.set_property("caps", caps);
        listener.link();
        listener
    }

    pub(crate) fn unlinked_listener(&self, receiver: &str, behaviour: Behaviour) -> Listener {
        let src = self.mixer.request_pad_simple("src_%u").unwrap();
        src.set_property("receiver", receiver);
        Listener::new(src, behaviour)
    }

    /// Field `field` of the route of `pad` in the statistics.
    pub(crate) fn stat(&self, pad: &gst::Pad, field: &str) -> u64 {
        let stats = self.mixer.property::<gst::Structure>("stats");
        let (list, key) = if pad.direction() == gst::PadDirection::Src {
            ("routes", pad.name())
        } else {
            ("sources", pad.name())
        };
        let routes = stats.get::<gst::Array>(list).unwrap();
        let route = routes.iter().find_map(|value| {
            let route = value.get::<gst::Structure>().unwrap();
            (route.get::<&str>("pad").unwrap() == key).then_some(route)
        });
        route.unwrap().get(field).unwrap()
    }

    pub(crate) fn release(&self, pad: &gst::Pad) {
        self.mixer.release_request_pad(pad);
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        let _ = self.mixer.set_state(gst::State::Null);
    }
}

pub(crate) struct Sender {
    pub(crate) pad: gst::Pad,
    pub(crate) sink: gst::Pad,
    upstream: mpsc::Receiver<gst::Event>,
}

/// A packet by hand.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Made<'a> {
    pub(crate) ssrc: u32,
    pub(crate) sequence: u16,
    pub(crate) timestamp: u32,
    /// Milliseconds.
    pub(crate) time: u64,
    pub(crate) payload: &'a [u8],
}

impl Made<'_> {
    pub(crate) fn buffer(&self) -> gst::Buffer {
        let mut bytes = vec![0x80, 0x80 | 97];
        bytes.extend(self.sequence.to_be_bytes());
        bytes.extend(self.timestamp.to_be_bytes());
        bytes.extend(self.ssrc.to_be_bytes());
        bytes.extend(self.payload);
        let mut buffer = gst::Buffer::from_mut_slice(bytes);
        let pts = gst::ClockTime::from_mseconds(self.time);
        buffer.get_mut().unwrap().set_pts(pts);
        buffer
    }
}

impl Sender {
    pub(crate) fn announce(&self, caps: &gst::Caps) {
        let stream = gst::event::StreamStart::new(&self.sink.name());
        assert!(self.pad.push_event(stream));
        assert!(self.pad.push_event(gst::event::Caps::new(caps)));
        let segment = gst::FormattedSegment::<gst::ClockTime>::new();
        assert!(self.pad.push_event(gst::event::Segment::new(&segment)));
    }

    /// The mixer always says "ok".
    pub(crate) fn push(&self, packet: Made) {
        assert_eq!(self.pad.push(packet.buffer()), Ok(gst::FlowSuccess::Ok));
    }

    /// Packet number `index` of a stream of 20 ms of sound each.
    pub(crate) fn push_audio(&self, index: u16) {
        self.push(Self::audio(index, &index.to_be_bytes()));
    }

    /// These packets of the same stream, at once.
    pub(crate) fn push_audio_list(&self, indices: impl Iterator<Item = u16>) {
        let list: gst::BufferList =
            indices.map(|index| Self::audio(index, &index.to_be_bytes()).buffer()).collect();
        assert_eq!(self.pad.push_list(list), Ok(gst::FlowSuccess::Ok));
    }

    fn audio(index: u16, payload: &[u8]) -> Made<'_> {
        Made {
            ssrc: 7,
            sequence: index,
            timestamp: u32::from(index) * 960,
            time: u64::from(index) * 20,
            payload,
        }
    }

    /// A whole VP8 frame in one packet, 30 a second.
    pub(crate) fn push_vp8(&self, index: u16, keyframe: bool) {
        self.push(Made {
            ssrc: 7,
            sequence: index,
            timestamp: u32::from(index) * 3000,
            time: u64::from(index) * 33,
            payload: &[0x10, u8::from(!keyframe), 0xaa],
        });
    }

    /// How many keyframes were asked for since the last look.
    pub(crate) fn keyframe_requests(&self) -> usize {
        let events = self.upstream.try_iter();
        events.filter(|event| gst_video_event(event).is_some()).count()
    }

    /// The bitrates that were told since the last look.
    pub(crate) fn estimates(&self) -> Vec<u32> {
        let events = self.upstream.try_iter();
        events.filter_map(|event| gstducksoup::estimate::parse(&event)).collect()
    }

    /// Every event that came up since the last look.
    pub(crate) fn upstream(&self) -> Vec<gst::Event> {
        self.upstream
            .try_iter()
            .filter(|event| event.type_() != gst::EventType::Reconfigure)
            .collect()
    }
}

fn gst_video_event(event: &gst::Event) -> Option<()> {
    let structure = event.structure()?;
    (structure.name() == "GstForceKeyUnit").then_some(())
}

/// What a listener does with what it gets.
pub(crate) enum Behaviour {
    Takes,
    /// Hangs in its chain function until the gate opens.
    Hangs(Arc<Gate>),
    /// Returns an error for each packet while the gate is shut.
    Fails(Arc<Gate>),
}

/// Shut until it is opened.
#[derive(Debug, Default)]
pub(crate) struct Gate {
    open: Mutex<bool>,
    changed: Condvar,
}

impl Gate {
    pub(crate) fn open(&self) {
        *self.open.lock().unwrap() = true;
        self.changed.notify_all();
    }

    fn is_open(&self) -> bool {
        *self.open.lock().unwrap()
    }

    fn wait(&self) {
        let open = self.open.lock().unwrap();
        let _ = self.changed.wait_timeout_while(open, LIMIT * 3, |open| !*open);
    }
}

#[derive(Debug)]
pub(crate) enum Item {
    Event(gst::Event),
    Packet(Packet),
}

/// What came out, read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Packet {
    pub(crate) ssrc: u32,
    pub(crate) payload_type: u8,
    pub(crate) marker: bool,
    pub(crate) sequence: u16,
    pub(crate) timestamp: u32,
    pub(crate) time: Option<gst::ClockTime>,
    pub(crate) payload: Vec<u8>,
}

impl Packet {
    pub(crate) fn read(buffer: &gst::BufferRef) -> Self {
        let map = buffer.map_readable().unwrap();
        Self {
            ssrc: u32::from_be_bytes(map[8..12].try_into().unwrap()),
            payload_type: map[1] & 0x7f,
            marker: map[1] & 0x80 != 0,
            sequence: u16::from_be_bytes(map[2..4].try_into().unwrap()),
            timestamp: u32::from_be_bytes(map[4..8].try_into().unwrap()),
            time: buffer.pts(),
            payload: map[12..].to_vec(),
        }
    }

    /// The index that [`Sender::push_audio`] wrote.
    pub(crate) fn index(&self) -> u16 {
        u16::from_be_bytes(self.payload[..2].try_into().unwrap())
    }
}

pub(crate) struct Listener {
    pub(crate) pad: gst::Pad,
    pub(crate) src: gst::Pad,
    items: mpsc::Receiver<Item>,
}

impl Listener {
    fn new(src: gst::Pad, behaviour: Behaviour) -> Self {
        let (heard, items) = mpsc::channel();
        let heard = Mutex::new(heard);
        let events = Mutex::new(heard.lock().unwrap().clone());
        // Without a template a pad takes no other caps than its first ones.
        let template = gst::PadTemplate::new(
            "sink",
            gst::PadDirection::Sink,
            gst::PadPresence::Always,
            &gst::Caps::new_any(),
        );
        let pad = gst::Pad::builder_from_template(&template.unwrap())
            .chain_function(move |_, _, buffer| {
                match &behaviour {
                    Behaviour::Takes => {}
                    Behaviour::Hangs(gate) => gate.wait(),
                    Behaviour::Fails(gate) if gate.is_open() => {}
                    Behaviour::Fails(_) => return Err(gst::FlowError::NotNegotiated),
                }
                let _ = heard.lock().unwrap().send(Item::Packet(Packet::read(&buffer)));
                Ok(gst::FlowSuccess::Ok)
            })
            .event_function(move |_, _, event| {
                let _ = events.lock().unwrap().send(Item::Event(event));
                true
            })
            .build();
        pad.set_active(true).unwrap();
        Self { pad, src, items }
    }

    pub(crate) fn link(&self) {
        self.src.link(&self.pad).unwrap();
    }

    pub(crate) fn next(&self) -> Item {
        self.items.recv_timeout(LIMIT).expect("something comes out")
    }

    pub(crate) fn event(&self) -> gst::Event {
        match self.next() {
            Item::Event(event) => event,
            Item::Packet(packet) => panic!("{packet:?} instead of an event"),
        }
    }

    /// The next packet; events before it are skipped.
    pub(crate) fn packet(&self) -> Packet {
        loop {
            if let Item::Packet(packet) = self.next() {
                return packet;
            }
        }
    }

    pub(crate) fn packets(&self, count: usize) -> Vec<Packet> {
        (0..count).map(|_| self.packet()).collect()
    }

    /// What came out and was not looked at yet. Does not wait.
    pub(crate) fn so_far(&self) -> Vec<Item> {
        self.items.try_iter().collect()
    }

    /// Sends an event up the route, as a `webrtcbin` would.
    pub(crate) fn push_up(&self, event: gst::Event) -> bool {
        self.pad.push_event(event)
    }
}

pub(crate) fn key_unit() -> gst::Event {
    let structure = gst::Structure::builder("GstForceKeyUnit")
        .field("all-headers", true)
        .field("count", 0_u32)
        .build();
    gst::event::CustomUpstream::new(structure)
}

/// Looks again until `done`, for what another thread does without telling.
pub(crate) fn wait_until(what: &str, mut done: impl FnMut() -> bool) {
    let end = std::time::Instant::now() + LIMIT;
    while !done() {
        assert!(std::time::Instant::now() < end, "waited in vain until {what}");
        std::thread::yield_now();
    }
}
