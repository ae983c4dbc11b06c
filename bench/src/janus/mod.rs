// SPDX-License-Identifier: MPL-2.0

//! `ducksoup-bench forwarding`: what it costs to hand packets on untouched, beside Janus.

mod endpoint;
mod room;

use crate::cost::call::{House, Reading};
use crate::cost::media::{Camera, Media};
use crate::cost::participant::{Event, Participant, Received, Reception};
use crate::cost::processes::Family;
use crate::cost::rounds::{Rounds, verdict};
use crate::cost::{BITRATE, call, camera, options};
use crate::counts::Format;
use crate::machine;
use crate::page::{self, Table};
use clap::Args as ClapArgs;
use endpoint::Endpoint;
use gst_webrtc::WebRTCSDPType;
use room::Room;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// Before a reading begins: everybody is connected and has had a keyframe.
const SETTLE: Duration = Duration::from_secs(4);
/// CPU for a GB, over Janus: issue 7's.
const GOAL: f64 = 2.0;

/// What is to be measured.
#[derive(Debug, ClapArgs)]
pub(crate) struct Args {
    /// Of the pictures
    #[arg(long, value_enum, default_value = "h264")]
    format: Format,
    /// How many talk to each other: each sends to all others
    #[arg(long, default_values_t = [2, 4, 8], value_delimiter = ',')]
    participants: Vec<usize>,
    /// Rounds, each of both servers
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Length of a reading, in s
    #[arg(long, default_value_t = 8)]
    seconds: u32,
    /// The page that gets the rows; none: they are only shown
    #[arg(long)]
    page: Option<PathBuf>,
}

const TITLE: &str = "## Forwarding, beside Janus

`ducksoup-bench forwarding`: nothing is decoded or recorded (recording mode `bypass`; Debian's `janus` with its videoroom
plugin, a room without recording). The same ready-made media from everybody (640×480 at 26 pictures a second, 1.2 Mbit/s, and
sound) to everybody else, over webrtcbin on the same machine; a participant has one connection with DuckSoup and two with Janus (one to
publish, one to subscribe), as its clients do. CPU seconds of all processes of the server for a GB (10⁹ bytes of RTP) that receivers
got. Rounds alternate; median (least–greatest).";

const HEAD: &[&str] = &[
    "format",
    "participants",
    "receivers of each",
    "DuckSoup, CPU s/GB",
    "Janus, CPU s/GB",
    "ratio",
    "goal",
    "DuckSoup, core",
    "Janus, core",
    "Mbit/s out",
    "threads",
    "rounds",
    "measured",
];

/// Runs all that is asked for; whether the goal is met.
///
/// # Errors
/// When a round does not come to its end, or the page cannot be written.
pub(crate) fn run(args: &Args) -> anyhow::Result<bool> {
    crate::cost::init()?;
    let camera = camera(args.format);
    let media = Media::new(camera)?;
    let time = Duration::from_secs(args.seconds.into());
    let mut met = true;
    for count in &args.participants {
        let (mut ours, mut theirs) = <(Figures, Figures)>::default();
        for round in 0..args.rounds {
            ours.note(&duck(*count, &media, camera, time)?);
            theirs.note(&janus(*count, &media, args.format, time)?);
            eprintln!("round {}: {:?} {:?}", round + 1, ours.each.0.last(), theirs.each.0.last());
        }
        let ratio = ours.each.over(&theirs.each);
        met &= ratio.median() <= GOAL;
        let row = vec![
            args.format.name().to_owned(),
            count.to_string(),
            (count - 1).to_string(),
            ours.each.show(1),
            theirs.each.show(1),
            ratio.show(2),
            verdict(ratio.median(), GOAL),
            ours.cores.show(3),
            theirs.cores.show(3),
            format!("{:.1} / {:.1}", ours.rate.median(), theirs.rate.median()),
            format!("{:.0} / {:.0}", ours.threads.median(), theirs.threads.median()),
            args.rounds.to_string(),
            machine::describe(),
        ];
        println!("{}", row.join(" | "));
        if let Some(path) = &args.page {
            let rows = vec![row];
            let table = Table { name: "forwarding", head: HEAD, keys: Some(2), rows };
            page::write(path, TITLE, &[table])?;
        }
    }
    Ok(met)
}

/// Of one server, over the rounds.
#[derive(Debug, Default)]
struct Figures {
    /// CPU seconds for a GB.
    each: Rounds,
    cores: Rounds,
    /// Mbit/s.
    rate: Rounds,
    threads: Rounds,
}

impl Figures {
    fn note(&mut self, reading: &Reading) {
        self.each.push(reading.cores / (reading.bytes / 1e9));
        self.cores.push(reading.cores);
        self.rate.push(reading.bytes * 8.0 / 1e6);
        self.threads.push(reading.family.threads() as f64);
    }
}

/// A round of ours.
fn duck(count: usize, media: &Media, camera: Camera, time: Duration) -> anyhow::Result<Reading> {
    let house = House::open(BITRATE)?;
    let options = options(count, camera, "bypass", "", time);
    let guests: Vec<Participant> = (0..count)
        .map(|number| house.guest(number, &options, media, Reception::Count))
        .collect::<anyhow::Result<_>>()?;
    guests.iter().try_for_each(Participant::join)?;
    house.wait(&(0..count).collect::<Vec<_>>(), &Event::Started)?;
    std::thread::sleep(SETTLE);
    let received: Vec<Arc<Received>> =
        guests.iter().map(|guest| Arc::clone(&guest.received)).collect();
    let reading = call::read(|| house.look(), &received, time)?;
    drop(guests);
    house.close()?;
    Ok(reading)
}

/// A round of Janus.
fn janus(count: usize, media: &Media, format: Format, time: Duration) -> anyhow::Result<Reading> {
    let mut room = Room::open(match format {
        Format::H264 => "h264",
        Format::Vp8 => "vp8",
    })?;
    let mut endpoints = Vec::new();
    let mut feeds = Vec::new();
    for _ in 0..count {
        let (endpoint, offer) = Endpoint::publish(media, format)?;
        let (handle, feed, answer) = room.publish(&offer)?;
        endpoint.hear(WebRTCSDPType::Answer, &answer)?;
        room.wait_up(handle)?;
        endpoints.push(endpoint);
        feeds.push(feed);
    }
    for own in &feeds {
        let others: Vec<u64> = feeds.iter().copied().filter(|feed| feed != own).collect();
        let (handle, offer) = room.subscribe(&others)?;
        let (endpoint, answer) = Endpoint::subscribe(&offer)?;
        room.start(handle, &answer)?;
        endpoints.push(endpoint);
    }
    std::thread::sleep(SETTLE);
    let received: Vec<_> =
        endpoints.iter().map(|endpoint| Arc::clone(&endpoint.received)).collect();
    call::read(|| Family::of(room.id()), &received, time)
}
