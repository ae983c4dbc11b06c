// SPDX-License-Identifier: MPL-2.0

//! `ducksoup-bench recordings`: do the recordings of one conversation share one time?
//!
//! The same flashes and beeps, at the same instants (`schedule`), go into every participant
//! (`source`, `crowd`) of a real server, through `network`; then the finished files are read (`reading`:
//! `picture`, `sound`), their flashes and beeps found (`fiducial`), recognised and held against
//! each other (`compare`, `measure`), and told (`table`). `reading` and `crowd` apart, all of this
//! is pure.

mod args;
mod compare;
mod crowd;
pub(crate) mod fiducial;
mod measure;
pub(crate) mod picture;
mod reading;
mod schedule;
pub(crate) mod sound;
mod source;
mod table;

pub(crate) use args::Args;

use crate::network::{Gate, Link};
use crate::server::Server;
use anyhow::Context as _;
use compare::identify;
use crowd::Seat;
use ducksoup_app::archive::manifest::{self, Entry, Manifest};
use fiducial::Sign;
use measure::{Measures, Recording, Recordings, Side};
use source::Clock;
use std::path::Path;
use std::time::{Duration, Instant};

/// Namespace and interaction of a run of ours.
const NAMESPACE: &str = "bench";
const INTERACTION: &str = "recordings";
/// Where the server writes what it records of it.
const DATA: &str = "data/bench/recordings";
/// The media begin so long before the interaction at most, in seconds: joining takes its time.
const LEAD: u64 = 120;
/// The events are known for so many pictures.
const HOUR: u64 = 3_600 * schedule::FRAMERATE as u64;
/// How long the server may take to finish its files after it has said `end`.
const FINISH: Duration = Duration::from_secs(60);
/// Between two looks at the manifest.
const LOOK: Duration = Duration::from_millis(100);
/// Users, in the order of their clocks: the second one's is the fast one.
const USERS: [&str; 8] = ["p1", "p2", "p3", "p4", "p5", "p6", "p7", "p8"];

/// Runs, measures, tells; whether all goals are met.
///
/// # Errors
/// When nothing could be measured.
pub(crate) fn run(args: &Args) -> anyhow::Result<bool> {
    gst::init().context("GStreamer does not start")?;
    let folder = match (&args.folder, &args.keep) {
        (Some(folder), _) => return tell(args, folder),
        (None, Some(keep)) => {
            std::fs::create_dir_all(keep)?;
            tempfile::Builder::new().prefix("run-").disable_cleanup(true).tempdir_in(keep)?
        }
        (None, None) => tempfile::tempdir()?,
    };
    ducksoup_signaller::plugin_register_static().context("the element of the participants")?;
    record(args, folder.path())?;
    tell(args, &folder.path().join(DATA))
}

/// Has a conversation recorded below `folder`.
fn record(args: &Args, folder: &Path) -> anyhow::Result<()> {
    let server = Server::start(folder, &[])?;
    let link = args.link();
    let gate = match link == Link::default() {
        true => None,
        false => Some(Gate::open(&server.uri, link.clone(), link)?),
    };
    let uri = gate.as_ref().map_or(server.uri.as_str(), Gate::uri);
    let seconds = u64::from(args.seconds);
    let events = schedule::events((seconds + LEAD) * u64::from(schedule::FRAMERATE));
    let users = &USERS[..args.participants as usize];
    let seats: Vec<Seat> = users.iter().map(|user| seat(args, uri, user)).collect();
    let size = (args.size.width, args.size.height);
    crowd::take_part(&seats, size, &events, Duration::from_secs(seconds))?;
    let recorded = folder.join(DATA);
    let since = Instant::now();
    while !manifest::read_all(&recorded)?.iter().all(|run| run.state == "ended") {
        anyhow::ensure!(since.elapsed() < FINISH, "the server does not finish its files");
        std::thread::sleep(LOOK);
    }
    Ok(())
}

fn seat(args: &Args, uri: &str, user: &str) -> Seat {
    let mut options: Vec<(&'static str, String)> = vec![
        ("uri", uri.to_owned()),
        ("namespace", NAMESPACE.to_owned()),
        ("interaction", INTERACTION.to_owned()),
        ("user", user.to_owned()),
        ("size", args.participants.to_string()),
        ("duration", args.seconds.to_string()),
        ("recording-mode", args.mode.clone()),
        ("video-format", args.video_format.clone()),
        ("width", args.size.width.to_string()),
        ("height", args.size.height.to_string()),
        ("framerate", schedule::FRAMERATE.to_string()),
    ];
    options.extend(args.audio_fx.clone().map(|fx| ("audio-fx", fx)));
    options.extend(args.video_fx.clone().map(|fx| ("video-fx", fx)));
    let (sound, picture) = if user == USERS[1] { args.fast() } else { (1.0, 1.0) };
    Seat { options, sound: Clock(sound), picture: Clock(picture) }
}

/// Measures the recordings in a folder and tells the figures.
fn tell(args: &Args, folder: &Path) -> anyhow::Result<bool> {
    let runs = manifest::read_all(folder)?;
    let [run] = runs.as_slice() else {
        anyhow::bail!("{}: {} runs instead of one", folder.display(), runs.len());
    };
    let seconds = u64::from(args.seconds).max(length(run) / 1_000_000_000);
    // Whoever made the files may have begun long before: the events are known for an hour.
    let events = schedule::events(HOUR);
    let schedule: Vec<f64> = events.into_iter().map(schedule::seconds).collect();
    let recordings = read(run, folder, &schedule)?;
    print!("{}", measure::details(&recordings, &schedule));
    if let Some(path) = &args.points {
        std::fs::write(path, measure::points(&recordings, &schedule))?;
    }
    let measures = measure::measure(&recordings);
    if let Some(drift) = measures.drift_counted {
        println!("drift between participants when samples are counted: {drift:+.2} ms a minute");
    }
    let row = table::Row::new(&args.command(), seconds, &measures, &circumstances(run));
    print!("{}", row.lines());
    if let Some(path) = &args.table {
        crate::page::write(path, table::TITLE, &[row.table()])?;
    }
    Ok(is_met(&measures, seconds))
}

fn is_met(measures: &Measures, seconds: u64) -> bool {
    measures.missed(seconds).is_empty()
}

/// The end of the longest track, in nanoseconds.
fn length(run: &Manifest) -> u64 {
    run.files.iter().flat_map(|file| &file.tracks).map(|track| track.last).max().unwrap_or_default()
}

fn read(run: &Manifest, folder: &Path, schedule: &[f64]) -> anyhow::Result<Recordings> {
    let mut recordings = Recordings::new();
    for file in &run.files {
        let side = if file.what.ends_with("wet") { Side::Wet } else { Side::Dry };
        let recording = recordings.entry((file.user.clone(), side)).or_default();
        find(file, folder, schedule, recording).with_context(|| file.name.clone())?;
    }
    Ok(recordings)
}

/// Finds what a file holds; a participant's sound and picture may be in one file or in two.
fn find(file: &Entry, folder: &Path, schedule: &[f64], into: &mut Recording) -> anyhow::Result<()> {
    let path = file.path(folder).context("its name leads out of the folder")?;
    let content = reading::read(&path)?;
    if !content.pictures.is_empty() {
        let lumas = content.pictures.iter().map(|(time, seen)| (*time, seen.luma));
        into.flashes = identify(&fiducial::flashes(lumas), schedule);
        let numbered = content.pictures.iter().map(|(time, seen)| (*time, seen.number));
        fiducial::drop_cut(&mut into.flashes, numbered, &schedule::events(HOUR));
        into.pictures = measure::pictures(content.pictures.iter().map(|(_, seen)| seen.number));
    }
    if !content.sound.samples().is_empty() {
        let beeps = fiducial::beeps(&content.sound);
        let times: Vec<f64> = beeps.samples.iter().map(|at| content.sound.time(*at)).collect();
        let by_count = |at: &usize| *at as f64 / f64::from(sound::RATE);
        let counted: Vec<f64> = beeps.samples.iter().map(by_count).collect();
        into.beeps = identify(&times, schedule);
        into.counted = identify(&counted, schedule);
        if beeps.by == Sign::Level && !beeps.samples.is_empty() {
            eprintln!("{} {}: beeps are found by their level only", file.user, file.what);
        }
    }
    Ok(())
}

/// When and on what it was measured.
fn circumstances(run: &Manifest) -> String {
    let day = run.created.get(..10).unwrap_or_default();
    let release = std::fs::read_to_string("/etc/os-release").unwrap_or_default();
    let system = release.lines().find_map(|line| line.strip_prefix("PRETTY_NAME="));
    let system = system.unwrap_or("an unknown system").trim_matches('"');
    let processors = std::thread::available_parallelism().map_or(0, usize::from);
    // The second figure: the last five minutes.
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load = load.split(' ').nth(1).unwrap_or("unknown");
    let gstreamer = run.gstreamer.trim_start_matches("GStreamer ");
    format!(
        "{day}, DuckSoup {}, GStreamer {gstreamer}, {system}, {processors} processors, load {load}",
        run.version
    )
}
