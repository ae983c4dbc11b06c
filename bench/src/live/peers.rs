// SPDX-License-Identifier: MPL-2.0

//! The participants of a call: a `ducksouppeer` each, with encoded media. What they send and what
//! they get is written down, and read when it is over.

use super::Running;
use super::clip::{Film, Voice};
use super::feed::{self, Feed, Numbers};
use super::reading::Packet;
use super::track::{Call, Command, Report, Sent, Track, reports, whole};
use crate::network::{Event, Gate, Passage, Tally};
use crate::pace;
use anyhow::Context as _;
use ducksoup_app::interaction::reports::listen;
use gst::prelude::*;
use gst_app::{AppSink, AppSinkCallbacks, AppSrc};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Longest wait for the door, in ms: what is measured here is not the door.
const JOIN: u32 = 30_000;
/// What may pass besides the interaction itself.
const BESIDES: Duration = Duration::from_secs(40);
/// What passes at the beginning of the interaction before anything counts: encoders, jitter buffers
/// and sender reports settle.
const SETTLE: Duration = Duration::from_secs(3);

/// What all of them do.
#[derive(Debug)]
pub(crate) struct Scene<'a> {
    pub(crate) film: &'a Film,
    pub(crate) voice: &'a Voice,
    pub(crate) participants: usize,
    /// How long, in s.
    pub(crate) seconds: u32,
    /// Other options of the join.
    pub(crate) options: Vec<(&'static str, String)>,
    /// What each of them commands, with how long after the start.
    pub(crate) commands: Vec<(Duration, Command)>,
}

/// What is written down of one participant.
#[derive(Debug, Default)]
struct Notes {
    /// What left them, by kind.
    sent: [Vec<Sent>; 2],
    /// What they got.
    received: [Vec<Packet>; 2],
    /// What they were told of it.
    reports: Vec<Report>,
    /// The number of each picture, by its time.
    numbers: Numbers,
}

type Notebook = Arc<Mutex<Notes>>;

fn open(notes: &Mutex<Notes>) -> MutexGuard<'_, Notes> {
    notes.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Places in [`Notes`].
const SOUND: usize = 0;
const PICTURE: usize = 1;

/// Takes part through the gate until the server says that it is over; a call for each participant's
/// tracks, as another one got them.
///
/// # Errors
/// When somebody cannot join, or is thrown out.
pub(crate) fn take_part(gate: Gate, scene: &Scene<'_>) -> anyhow::Result<Vec<Call>> {
    let epoch = Instant::now();
    let running = Running(gst::Pipeline::new());
    let mut feed = Vec::new();
    let mut seats = Vec::new();
    for number in 0..scene.participants {
        let (peer, notes) = sit_down(&running.0, gate.uri(), scene, (number, epoch))?;
        let numbers = Arc::clone(&open(&notes).numbers);
        feed.extend(feeds(&running.0, &peer, scene, &numbers, number)?);
        seats.push((peer, notes));
    }
    gate.watch();
    running.play()?;
    let (clock, base) = (running.0.clock(), running.0.base_time());
    let (clock, base) = clock.zip(base).context("a pipeline without a clock")?;
    let goes_on = Arc::new(AtomicBool::new(true));
    let flag = Arc::clone(&goes_on);
    let feeder = std::thread::spawn(move || pace::play(&mut feed, &clock, base, &flag));
    let peers: Vec<&gst::Element> = seats.iter().map(|(peer, _)| peer).collect();
    let ended = watch(&running.0, &peers, scene);
    goes_on.store(false, Ordering::Relaxed);
    drop(running);
    feeder.join().map_err(|_| anyhow::anyhow!("the thread of the media fell"))?;
    let (begun, over, given) = ended?;
    let tally = gate.close();
    let books: Vec<Notes> =
        seats.iter().map(|(_, notes)| std::mem::take(&mut *open(notes))).collect();
    let at = |instant: Instant| instant.saturating_duration_since(epoch).as_secs_f64();
    let calls = books.iter().enumerate().map(|(number, own)| {
        let other = &books[(number + 1) % books.len()];
        let track = |kind: usize| {
            let ssrc = |list: &[Sent]| list.first().map_or(0, |sent| sent.ssrc);
            let out = other.received[kind].first().map_or(0, |packet| packet.ssrc);
            Track {
                sent: own.sent[kind].clone(),
                entered: passed(&tally, ssrc(&own.sent[kind]), Way::Up, at),
                whole: arrived(&tally, &own.sent[kind], at),
                left: passed(&tally, out, Way::Down, at),
                received: other.received[kind].clone(),
                reports: other.reports.iter().filter(|it| it.ssrc == out).copied().collect(),
            }
        };
        let commands = given.iter().filter(|(of, ..)| *of == number);
        Call {
            sound: track(SOUND),
            picture: track(PICTURE),
            commands: commands.map(|(_, when, what)| (at(*when), what.clone())).collect(),
            window: at(begun + SETTLE)..at(over),
        }
    });
    Ok(calls.collect())
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Up,
    Down,
}

/// When the last packet of each timestamp has come to the server (one that is lost: when it would
/// have), or has left it.
fn passed(tally: &Tally, ssrc: u32, way: Way, at: impl Fn(Instant) -> f64) -> BTreeMap<u32, f64> {
    let (lane, counts): (_, fn(Event) -> bool) = match way {
        Way::Up => (&tally.up, |event| matches!(event, Event::Out | Event::Lost(_))),
        Way::Down => (&tally.down, |event| event == Event::In),
    };
    let mut times = BTreeMap::new();
    for Passage { event, at: when, ssrc: own, timestamp } in lane.passages.iter().flatten() {
        if *own == ssrc && counts(*event) {
            let time = times.entry(*timestamp).or_insert(f64::MIN);
            *time = at(*when).max(*time);
        }
    }
    times
}

/// When all packets of each timestamp were there, those included that were sent once more.
fn arrived(tally: &Tally, sent: &[Sent], at: impl Fn(Instant) -> f64) -> BTreeMap<u32, f64> {
    let passages = tally.up.passages.iter().flatten();
    let known: BTreeMap<u32, u32> = sent.iter().map(|sent| (sent.timestamp, sent.ssrc)).collect();
    whole(passages.filter_map(|passage| {
        // The repetitions have an SSRC of their own. That another stream has the same timestamp by
        // chance is one in some millions.
        let is_first = *known.get(&passage.timestamp)? == passage.ssrc;
        match passage.event {
            Event::Out => Some((passage.timestamp, is_first, Some(at(passage.at)))),
            Event::Lost(_) => Some((passage.timestamp, is_first, None)),
            _ => None,
        }
    }))
}

/// Puts a participant into the pipeline.
fn sit_down(
    pipeline: &gst::Pipeline,
    uri: &str,
    scene: &Scene<'_>,
    (number, epoch): (usize, Instant),
) -> anyhow::Result<(gst::Element, Notebook)> {
    let peer = gst::ElementFactory::make("ducksouppeer")
        .property_from_str("output", "rtp")
        .property("connect-timeout", JOIN)
        .build()?;
    let signaller = peer.property::<glib::Object>("signaller");
    signaller.set_property("uri", uri);
    for (name, value) in &scene.options {
        signaller.set_property_from_str(name, value);
    }
    signaller.set_property_from_str("size", &scene.participants.to_string());
    signaller.set_property_from_str("duration", &scene.seconds.to_string());
    signaller.set_property_from_str("user", &format!("p{number}"));
    pipeline.add(&peer)?;
    let notes = Notebook::default();
    note_sent(&peer, &notes)?;
    note_received(pipeline, &peer, &notes);
    note_reports(&peer, &notes, epoch)?;
    Ok((peer, notes))
}

/// Looks at the ends of what makes packets (`sending.rs` of the signaller).
fn note_sent(peer: &gst::Element, notes: &Notebook) -> anyhow::Result<()> {
    let notes = Arc::clone(notes);
    let bin = peer.downcast_ref::<gst::Bin>().context("ducksouppeer is no bin")?;
    bin.connect_deep_element_added(move |_, parent, element| {
        let kind = match (element.name().as_str(), parent.name().as_str()) {
            ("packets", "audio-tail") => SOUND,
            ("packets", "video-tail") => PICTURE,
            _ => return,
        };
        let Some(pad) = element.static_pad("sink") else { return };
        let notes = Arc::clone(&notes);
        note_packets(&pad, move |bytes| {
            if let Some(Packet { ssrc, timestamp, time, .. }) = Packet::new(bytes) {
                let notes = &mut *open(&notes);
                let number = bytes.pts().and_then(|time| feed::number(&notes.numbers, time));
                let list = &mut notes.sent[kind];
                if list.last().is_none_or(|last| last.timestamp != timestamp) {
                    let number = number.unwrap_or_default();
                    list.push(Sent { ssrc, timestamp, captured: time, number });
                }
            }
        });
    });
    Ok(())
}

/// Has `take` look at each packet that passes a pad.
pub(crate) fn note_packets(pad: &gst::Pad, take: impl Fn(&gst::Buffer) + Send + Sync + 'static) {
    let media = gst::PadProbeType::BUFFER | gst::PadProbeType::BUFFER_LIST;
    pad.add_probe(media, move |_, info| {
        match &info.data {
            Some(gst::PadProbeData::Buffer(packet)) => take(packet),
            Some(gst::PadProbeData::BufferList(packets)) => {
                packets.iter_owned().for_each(|packet| take(&packet));
            }
            _ => {}
        }
        gst::PadProbeReturn::Ok
    });
}

fn note_received(pipeline: &gst::Pipeline, peer: &gst::Element, notes: &Notebook) {
    let (pipeline, notes) = (pipeline.downgrade(), Arc::clone(notes));
    peer.connect_pad_added(move |_, pad| {
        let kind = if pad.name().starts_with("audio_src") { SOUND } else { PICTURE };
        if pad.direction() != gst::PadDirection::Src {
            return;
        }
        let notes = Arc::clone(&notes);
        let sink = AppSink::builder().sync(false).async_(false).build();
        sink.set_callbacks(
            AppSinkCallbacks::builder()
                .new_sample(move |sink| {
                    let sample = sink.pull_sample().map_err(|_| gst::FlowError::Eos)?;
                    if let Some(packet) = sample.buffer().and_then(Packet::new) {
                        open(&notes).received[kind].push(packet);
                    }
                    Ok(gst::FlowSuccess::Ok)
                })
                .build(),
        );
        // A pipeline on its way out takes no more.
        if let Some(pipeline) = pipeline.upgrade()
            && pipeline.add(&sink).is_ok()
            && sink.sync_state_with_parent().is_ok()
            && let Some(end) = sink.static_pad("sink")
        {
            let _ = pad.link(&end);
        }
    });
}

/// Listens to what a participant's RTP session is told.
fn note_reports(peer: &gst::Element, notes: &Notebook, epoch: Instant) -> anyhow::Result<()> {
    let notes = Arc::clone(notes);
    let bin = peer.downcast_ref::<gst::Bin>().context("ducksouppeer is no bin")?;
    listen(bin, move |compound| {
        let told = reports(compound, epoch.elapsed().as_secs_f64());
        open(&notes).reports.extend(told);
    });
    Ok(())
}

/// The cameras and microphones of a participant.
fn feeds(
    pipeline: &gst::Pipeline,
    peer: &gst::Element,
    scene: &Scene<'_>,
    numbers: &Numbers,
    number: usize,
) -> anyhow::Result<[Feed; 2]> {
    let source = |pad: &str| -> anyhow::Result<AppSrc> {
        let to = AppSrc::builder().format(gst::Format::Time).is_live(true).build();
        pipeline.add(&to)?;
        to.link_pads(Some("src"), peer, Some(pad))?;
        Ok(to)
    };
    // Nobody's camera and microphone are in step with another's.
    let part = number as f64 / scene.participants as f64;
    Ok([
        Feed::sound(source("audio_sink")?, scene.voice, part),
        Feed::picture(source("video_sink")?, scene.film, part, numbers),
    ])
}

/// Who commanded what, and when.
type Given = Vec<(usize, Instant, Command)>;

/// Until everybody was told the end: when it began, when it was over, what was commanded.
fn watch(
    pipeline: &gst::Pipeline,
    peers: &[&gst::Element],
    scene: &Scene<'_>,
) -> anyhow::Result<(Instant, Instant, Given)> {
    let bus = pipeline.bus().context("a pipeline without a bus")?;
    let length = Duration::from_secs(scene.seconds.into());
    let limit = Instant::now() + length + BESIDES;
    let (mut begun, mut given) = (None, Given::new());
    let mut next = 0;
    loop {
        anyhow::ensure!(Instant::now() < limit, "the server never said end");
        while let Some((begun, (after, command))) = begun.zip(scene.commands.get(next))
            && Instant::now() >= begun + *after
        {
            for (number, peer) in peers.iter().enumerate() {
                given.push((number, Instant::now(), command.clone()));
                command.give(peer);
            }
            next += 1;
        }
        let kinds = [gst::MessageType::Element, gst::MessageType::Error];
        let Some(message) = bus.timed_pop_filtered(gst::ClockTime::from_mseconds(2), &kinds) else {
            continue;
        };
        if let gst::MessageView::Error(error) = message.view() {
            anyhow::bail!("{} {:?}", error.error(), error.debug());
        }
        match message.structure().map(|said| said.name().as_str()) {
            Some("ducksouppeer-start") if begun.is_none() => begun = Some(Instant::now()),
            Some("ducksouppeer-control-refused") => {
                anyhow::bail!("a command is refused: {:?}", message.structure());
            }
            Some("ducksouppeer-end") => {
                let begun = begun.context("the server says end before start")?;
                return Ok((begun, begun + length.min(begun.elapsed()), given));
            }
            _ => {}
        }
    }
}
