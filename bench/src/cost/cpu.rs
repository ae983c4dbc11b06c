// SPDX-License-Identifier: MPL-2.0

//! What a participant costs whose picture and voice are transcoded, changed and recorded dry and
//! wet: CPU, threads and memory of all processes of the server, round by round beside the floor.

use super::call::{House, Reading, read};
use super::floor::Floor;
use super::media::{Camera, Media};
use super::participant::{Event, Reception};
use super::rounds::{Rounds, verdict};
use crate::counts::Format;
use crate::machine;
use crate::page::{self, Table};
use clap::Args as ClapArgs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// Before a reading begins: encoders and sender reports have settled.
const SETTLE: Duration = Duration::from_secs(3);
/// What the server's encoders of pictures aim at, bit/s: its default.
pub(crate) const BITRATE: u32 = 800_000;
/// What participants send, bit/s: what ducksoup.js climbs to is 1.5 Mbit/s.
const SENT: u32 = 1_200_000;
/// The effect on the voice.
const EFFECT: &str = "pitch pitch=0.8";
/// Of CPU: issue 7's.
const GOAL: f64 = 1.35;

/// What is to be measured.
#[derive(Debug, ClapArgs)]
pub(crate) struct Args {
    /// Of the pictures
    #[arg(long, value_enum, default_values = ["h264"])]
    format: Vec<Format>,
    /// How many take part in one interaction
    #[arg(long, default_values_t = [2], value_delimiter = ',')]
    participants: Vec<usize>,
    /// Rounds, each of the server and the floor
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Length of a reading, in s
    #[arg(long, default_value_t = 10)]
    seconds: u32,
    /// Other ways to record; the floor stays what it is
    #[arg(long, default_value = "forced")]
    mode: String,
    /// The page that gets the rows; none: they are only shown
    #[arg(long)]
    page: Option<PathBuf>,
}

/// The camera of all these measurements.
pub(crate) fn camera(format: Format) -> Camera {
    Camera { width: 640, height: 480, framerate: 26, format, bitrate: SENT }
}

const TITLE: &str = "## What a participant costs

`ducksoup-bench cost`: participants of one interaction, 640×480 at 26 pictures a second and sound, transcoded with `pitch`
on the voice, recorded dry and wet. *Server* is CPU seconds a second and participant of all its processes (door, stage,
spare stage; `/proc/<pid>/stat`); *floor* is one `gst-launch-1.0` that gets the same packets live over UDP and does
depay ! decode ! pitch ! encode ! pay for as many, with the same settings and bitrates: no connection, encryption,
forwarding or file. Rounds alternate; median (least–greatest). *Pictures* are those that receivers got of those due:
where they are fewer than 0.99 the machine was not enough, and the row says little.";

const HEAD: &[&str] = &[
    "format",
    "mode",
    "participants",
    "server, core/participant",
    "floor, core/participant",
    "ratio",
    "goal",
    "threads, all processes",
    "RSS, MB, all processes",
    "threads / MB of the stage",
    "pictures",
    "rounds",
    "measured",
];

/// Runs all that is asked for; whether the goal is met.
///
/// # Errors
/// When a round does not come to its end, or the page cannot be written.
pub(crate) fn run(args: &Args) -> anyhow::Result<bool> {
    super::init()?;
    let mut met = true;
    for format in &args.format {
        let camera = camera(*format);
        let media = Media::new(camera)?;
        for count in &args.participants {
            let row = row(*count, &media, camera, args, &mut met)?;
            println!("{}", row.join(" | "));
            if let Some(path) = &args.page {
                let rows = vec![row];
                let table = Table { name: "cost", head: HEAD, keys: Some(3), rows };
                page::write(path, TITLE, &[table])?;
            }
        }
    }
    Ok(met)
}

fn row(
    count: usize,
    media: &Media,
    camera: Camera,
    args: &Args,
    met: &mut bool,
) -> anyhow::Result<Vec<String>> {
    let time = Duration::from_secs(args.seconds.into());
    let mode = &*args.mode;
    let (mut server, mut floor, mut pictures) = <(Rounds, Rounds, Rounds)>::default();
    let (mut threads, mut memory, mut stage) = <(Rounds, Rounds, [Rounds; 2])>::default();
    for round in 0..args.rounds {
        let reading = serve(count, media, camera, mode, time)?;
        let each = |value: f64| value / count as f64;
        server.push(each(reading.cores));
        let due = camera.framerate as f64 * (count * (count - 1).max(1)) as f64;
        pictures.push(reading.pictures / due);
        threads.push(reading.family.threads() as f64);
        memory.push(reading.family.memory() as f64 / 1e6);
        if let Some(busiest) = reading.family.busiest() {
            stage[0].push(busiest.threads as f64);
            stage[1].push(busiest.memory as f64 / 1e6);
        }
        let mut alone = Floor::start(count, media, camera, EFFECT, BITRATE)?;
        std::thread::sleep(SETTLE);
        floor.push(each(read(|| alone.look(), &[], time)?.cores));
        eprintln!("round {}: {:?} {:?}", round + 1, server.0.last(), floor.0.last());
    }
    let ratio = server.over(&floor);
    *met &= ratio.median() <= GOAL;
    Ok(vec![
        camera.format.name().to_owned(),
        mode.to_owned(),
        count.to_string(),
        server.show(3),
        floor.show(3),
        ratio.show(2),
        verdict(ratio.median(), GOAL),
        threads.show(0),
        memory.show(0),
        format!("{:.0} / {:.0}", stage[0].median(), stage[1].median()),
        pictures.show(3),
        args.rounds.to_string(),
        machine::describe(),
    ])
}

/// One round of the server.
fn serve(
    count: usize,
    media: &Media,
    camera: Camera,
    mode: &str,
    time: Duration,
) -> anyhow::Result<Reading> {
    let house = House::open(BITRATE)?;
    let options = options(count, camera, mode, &format!("{EFFECT} name=fx"), time);
    let guests: Vec<_> = (0..count)
        .map(|number| house.guest(number, &options, media, Reception::Count))
        .collect::<anyhow::Result<_>>()?;
    guests.iter().try_for_each(super::participant::Participant::join)?;
    house.wait(&(0..count).collect::<Vec<_>>(), &Event::Started)?;
    std::thread::sleep(SETTLE);
    let received: Vec<_> = guests.iter().map(|guest| Arc::clone(&guest.received)).collect();
    let reading = read(|| house.look(), &received, time)?;
    drop(guests);
    house.close()?;
    Ok(reading)
}

/// The options of the join of everybody, for an interaction that is still going on behind `time`.
pub(crate) fn options(
    count: usize,
    camera: Camera,
    mode: &str,
    effect: &str,
    time: Duration,
) -> Vec<(&'static str, String)> {
    let mut options = vec![
        ("interaction", "cost".to_owned()),
        ("size", count.to_string()),
        ("duration", (time.as_secs() + 30).to_string()),
        ("recording-mode", mode.to_owned()),
        ("video-format", camera.format.name().to_owned()),
        ("width", camera.width.to_string()),
        ("height", camera.height.to_string()),
        ("framerate", camera.framerate.to_string()),
    ];
    if !effect.is_empty() {
        options.push(("audio-fx", effect.to_owned()));
    }
    options
}
