// SPDX-License-Identifier: MPL-2.0

//! Participants who know exactly what they have sent, and when.

use super::media::{Codec, Media};
use gst::prelude::*;
use gst_app::AppSrc;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Longest wait for anything. Generous: the machine may be busy.
const LIMIT: Duration = Duration::from_secs(60);

/// Somebody in an interaction.
pub(crate) struct Person {
    pipeline: gst::Pipeline,
    said: Receiver<(Instant, String)>,
    pub(crate) sound: Track,
    pub(crate) picture: Track,
    /// How many packets have come on each pad, and when the last one did.
    heard: Arc<Mutex<BTreeMap<String, (u64, Instant)>>>,
    running: Arc<AtomicBool>,
    feeding: Vec<JoinHandle<()>>,
}

/// What one sends of a kind.
#[derive(Clone)]
pub(crate) struct Track {
    pub(crate) media: &'static Media,
    silent: Arc<AtomicBool>,
    sent: Arc<Mutex<Vec<Sent>>>,
}

/// A packet or a picture that was sent.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sent {
    /// When it left.
    pub(crate) at: Instant,
    /// The moment of which it is: a busy machine sends late.
    pub(crate) of: Instant,
    /// Its place in the media.
    pub(crate) frame: usize,
}

impl Track {
    fn new(codec: Codec) -> Self {
        Self { media: Media::of(codec), silent: Arc::default(), sent: Arc::default() }
    }

    /// Whether nothing is to be sent.
    pub(crate) fn set_silent(&self, silent: bool) {
        self.silent.store(silent, Ordering::Relaxed);
    }

    pub(crate) fn sent(&self) -> Vec<Sent> {
        self.sent.lock().unwrap().clone()
    }
}

impl Person {
    /// Joins; the options are those of the signaller, as text.
    pub(crate) fn join(url: &str, user: &str, pictures: Codec, options: &[(&str, &str)]) -> Self {
        super::init();
        let pipeline = gst::Pipeline::new();
        let peer = gst::ElementFactory::make("ducksouppeer")
            .property_from_str("output", "rtp")
            .property("connect-timeout", 30_000u32)
            .build()
            .unwrap();
        let signaller = peer.property::<gst::Object>("signaller");
        let uri = format!("{}/ws", url.replacen("http", "ws", 1).trim_end_matches('/'));
        let format = if pictures == Codec::H264 { "H264" } else { "VP8" };
        for (name, value) in [
            ("uri", uri.as_str()),
            ("user", user),
            ("size", "2"),
            ("width", "320"),
            ("height", "240"),
            ("framerate", "15"),
            ("video-format", format),
        ] {
            signaller.set_property_from_str(name, value);
        }
        for (name, value) in options {
            signaller.set_property_from_str(name, value);
        }
        pipeline.add(&peer).unwrap();
        let (sender, said) = channel();
        pipeline.bus().unwrap().set_sync_handler(move |_, message| {
            let name = match message.view() {
                gst::MessageView::Element(element) => {
                    element.structure().map(|structure| structure.name().to_string())
                }
                gst::MessageView::Error(error) => Some(format!("error: {}", error.error())),
                gst::MessageView::Eos(_) => Some("eos".into()),
                _ => None,
            };
            // Whoever has heard enough listens no more.
            let _ = name.map(|name| sender.send((Instant::now(), name)));
            gst::BusSyncReply::Drop
        });
        let heard = Arc::<Mutex<BTreeMap<_, _>>>::default();
        listen(&pipeline, &peer, &heard);
        let (sound, picture) = (Track::new(Codec::Opus), Track::new(pictures));
        note_what_leaves(&peer, [sound.clone(), picture.clone()]);
        let running = Arc::new(AtomicBool::new(true));
        let sources = [("audio_sink", &sound), ("video_sink", &picture)].map(|(pad, track)| {
            let source = AppSrc::builder()
                .caps(&track.media.caps)
                .format(gst::Format::Time)
                .is_live(true)
                .build();
            pipeline.add(&source).unwrap();
            source.link_pads(Some("src"), &peer, Some(pad)).unwrap();
            (source, track.clone())
        });
        pipeline.set_state(gst::State::Playing).unwrap();
        let feeding = sources.map(|(source, track)| {
            let running = running.clone();
            std::thread::spawn(move || feed(&source, &track, &running))
        });
        let feeding = feeding.into_iter().collect();
        Self { pipeline, said, sound, picture, heard, running, feeding }
    }

    /// When the server said that; nothing that it says goes wrong before.
    pub(crate) fn told(&self, name: &str) -> Instant {
        let deadline = Instant::now() + LIMIT;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let (at, said) = self.said.recv_timeout(left).unwrap_or_else(|_| panic!("no {name}"));
            if said == name || said.strip_prefix("ducksouppeer-") == Some(name) {
                return at;
            }
            assert!(!said.starts_with("error"), "{said} instead of {name}");
        }
    }

    /// Waits for the interaction to run.
    pub(crate) fn starts(&self) -> Instant {
        self.told("start")
    }

    /// When the last packet of each of the other's tracks came, and how many did.
    pub(crate) fn heard(&self) -> BTreeMap<String, (u64, Instant)> {
        self.heard.lock().unwrap().clone()
    }
}

/// Gone without a word.
impl Drop for Person {
    fn drop(&mut self) {
        self.running.store(false, Ordering::Relaxed);
        let _ = self.pipeline.set_state(gst::State::Null);
        for feeding in self.feeding.drain(..) {
            let _ = feeding.join();
        }
    }
}

/// Notes what is put into packets: a machine that is too busy makes the element leave out what would
/// come too late, and before the connection stands nothing leaves at all.
fn note_what_leaves(peer: &gst::Element, tracks: [Track; 2]) {
    let peer = peer.downcast_ref::<gst::Bin>().unwrap();
    peer.connect_deep_element_added(move |_, _, element| {
        let name = element.factory().map_or(String::new(), |factory| factory.name().to_string());
        let track = match name.as_str() {
            "rtpopuspay" => &tracks[0],
            "rtph264pay" | "rtpvp8pay" => &tracks[1],
            _ => return,
        };
        let track = track.clone();
        let pad = element.static_pad("sink").unwrap();
        pad.add_probe(gst::PadProbeType::BUFFER, move |pad, info| {
            let (at, buffer) = (Instant::now(), info.buffer().unwrap());
            let bytes = buffer.map_readable().unwrap();
            let now = pad.parent_element().and_then(|payloader| payloader.current_running_time());
            let late = now.and_then(|now| now.checked_sub(buffer.pts()?)).unwrap_or_default();
            let of = at - Duration::from(late);
            // Parameter sets may come by themselves.
            if let Some(frame) = track.media.find(&bytes) {
                track.sent.lock().unwrap().push(Sent { at, of, frame });
            }
            gst::PadProbeReturn::Ok
        });
    });
}

/// Counts what comes.
fn listen(
    pipeline: &gst::Pipeline,
    peer: &gst::Element,
    heard: &Arc<Mutex<BTreeMap<String, (u64, Instant)>>>,
) {
    let (heard, weak) = (heard.clone(), pipeline.downgrade());
    peer.connect_pad_added(move |_, pad| {
        // Pads that were asked for are told, too.
        let Some(pipeline) = weak.upgrade().filter(|_| pad.direction() == gst::PadDirection::Src)
        else {
            return;
        };
        let sink = gst::ElementFactory::make("fakesink")
            .property("sync", false)
            .property("async", false)
            .build()
            .unwrap();
        let (heard, name) = (heard.clone(), pad.name().to_string());
        let mask = gst::PadProbeType::BUFFER | gst::PadProbeType::BUFFER_LIST;
        pad.add_probe(mask, move |_, _| {
            let mut heard = heard.lock().unwrap();
            let (count, last) = heard.entry(name.clone()).or_insert((0, Instant::now()));
            (*count, *last) = (*count + 1, Instant::now());
            gst::PadProbeReturn::Ok
        });
        pipeline.add(&sink).unwrap();
        sink.sync_state_with_parent().unwrap();
        pad.link(&sink.static_pad("sink").unwrap()).unwrap();
    });
}

/// Sends frame after frame, each at its time, from the next keyframe on when one is asked for.
fn feed(source: &AppSrc, track: &Track, running: &AtomicBool) {
    let asked = Arc::new(AtomicBool::new(false));
    let ask = asked.clone();
    source.static_pad("src").unwrap().add_probe(
        gst::PadProbeType::EVENT_UPSTREAM,
        move |_, info| {
            let event = info.event();
            if event.is_some_and(|event| gst_video::UpstreamForceKeyUnitEvent::parse(event).is_ok())
            {
                ask.store(true, Ordering::Relaxed);
            }
            gst::PadProbeReturn::Ok
        },
    );
    let Media { frames, period, .. } = track.media;
    let mut next = 0;
    for tick in 0u32.. {
        let due = *period * tick;
        while running.load(Ordering::Relaxed) {
            let now = source.current_running_time().map_or(Duration::ZERO, Duration::from);
            match due.checked_sub(now) {
                Some(early) if !early.is_zero() => std::thread::sleep(early.min(*period)),
                _ => break,
            }
        }
        if !running.load(Ordering::Relaxed) || next >= frames.len() {
            return;
        }
        if track.silent.load(Ordering::Relaxed) {
            continue;
        }
        if asked.swap(false, Ordering::Relaxed) {
            next += frames[next..].iter().position(|frame| frame.key).unwrap_or(0);
        }
        let mut buffer = gst::Buffer::from_slice(&frames[next].bytes);
        {
            let buffer = buffer.get_mut().unwrap();
            buffer.set_pts(gst::ClockTime::try_from(due).unwrap());
            buffer.set_duration(gst::ClockTime::try_from(*period).unwrap());
            if !frames[next].key {
                buffer.set_flags(gst::BufferFlags::DELTA_UNIT);
            }
        }
        next += 1;
        if source.push_buffer(buffer).is_err() {
            return;
        }
    }
}
