// SPDX-License-Identifier: MPL-2.0

//! `ducksoup-bench counts`: is every picture and every packet in the recording?
//!
//! One participant sends encoded pictures and sound through a [`Gate`] to the real server and sees
//! themselves. What left them (`sender`), what arrived (the gate's tally) and what is in the
//! finished files (`files`) is held against each other piece by piece (`ledger`), by the bytes of
//! each: a dry recording is not re-encoded. Wet files are held against the grid that was promised
//! (`slots`). The rows are written into RECORDINGS.md (`page`).

mod delay;
mod files;
mod ledger;
mod packet;
mod sender;
mod slots;

use crate::network::{Gate, Link};
use crate::page::{self, Table};
use crate::server::Server;
use anyhow::Context as _;
use clap::{Args as ClapArgs, ValueEnum};
use ducksoup_app::archive::decode::decode;
use ducksoup_app::archive::manifest::{self, Entry};
use ledger::Balance;
pub(crate) use sender::{Format, Running};
use sender::{Scene, Track};
use slots::Slots;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Its section of the page.
const TITLE: &str = "## Counts";
/// What it is called.
const INTERACTION: &str = "counts";
/// The rate of the wet pictures, frames a second: neither of the senders'.
const GRID: u32 = 25;
/// What the participants' pictures are scaled to.
const SIZE: (u32, u32) = (320, 240);
/// The sizes of a sender who changes them: a browser's steps, among others.
const SIZES: [(u32, u32); 6] =
    [(320, 240), (160, 120), (480, 360), (240, 180), (640, 480), (320, 180)];

/// What is to be counted.
#[derive(Debug, ClapArgs)]
pub(crate) struct Args {
    /// Length of each run, in s
    #[arg(long, default_value_t = 20)]
    duration: u32,
    /// Which parts; all by default
    #[arg(long, value_enum)]
    only: Vec<Part>,
    /// Share of packets that are lost, in percent
    #[arg(long, default_values_t = [0, 5])]
    loss: Vec<u32>,
    /// Frames a second of the senders
    #[arg(long, default_values_t = [12, 25, 60])]
    framerate: Vec<u32>,
    /// The page that gets the rows; none: they are only shown
    #[arg(long)]
    page: Option<PathBuf>,
    /// Keep what was recorded in this folder
    #[arg(long)]
    keep: Option<PathBuf>,
}

/// A part of the section.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Part {
    /// Senders of several rates, with and without loss.
    Rates,
    /// Senders who change the size of their pictures.
    Sizes,
    /// What the grid costs in time.
    Delay,
}

/// What is in the columns of what is counted.
const HEAD: &[&str] = &[
    "format",
    "mode",
    "sender, frames/s",
    "loss",
    "wet: frames / promised",
    "widest step, slots",
    "off the grid",
    "dry pictures: recorded / received",
    "dry packets of sound: recorded / received",
    "of pictures sent: arrived, too late",
    "dry sound and pictures begin after t0",
    "changes of size",
    "verdict",
];

/// Runs all that is asked for; whether all of it is as promised.
///
/// # Errors
/// When a run does not come to its end, or the page cannot be written.
pub(crate) fn run(args: &Args) -> anyhow::Result<bool> {
    gst::init()?;
    ducksoup_signaller::plugin_register_static()?;
    gstducksoup::plugin_register_static()?;
    let wants = |part| args.only.is_empty() || args.only.contains(&part);
    let mut met = true;
    let mut tables = Vec::new();
    if wants(Part::Rates) {
        let mut rows = Vec::new();
        for format in [Format::H264, Format::Vp8] {
            for framerate in &args.framerate {
                for loss in &args.loss {
                    let scene = scene(format, *framerate, &[SIZE], "forced", args.duration);
                    rows.push(row(&scene, *loss, "forced", args, &mut met)?);
                }
            }
        }
        tables.push(Table { name: "rates", head: HEAD, keys: None, rows });
    }
    if wants(Part::Sizes) {
        let mut rows = Vec::new();
        for format in [Format::H264, Format::Vp8] {
            for mode in ["forced", "free"] {
                let scene = scene(format, GRID, &SIZES, mode, args.duration);
                rows.push(row(&scene, 0, mode, args, &mut met)?);
            }
        }
        tables.push(Table { name: "sizes", head: HEAD, keys: None, rows });
    }
    if wants(Part::Delay) {
        tables.push(Table {
            name: "delay of the grid",
            head: delay::INSIDE,
            keys: None,
            rows: delay::inside(&args.framerate, GRID, args.duration)?,
        });
        tables.push(Table {
            name: "delay from end to end",
            head: delay::THROUGH,
            keys: None,
            rows: delay::through(args.duration)?,
        });
    }
    if let Some(path) = &args.page {
        page::write(path, TITLE, &tables)?;
    }
    Ok(met)
}

fn scene(format: Format, framerate: u32, sizes: &[(u32, u32)], mode: &str, duration: u32) -> Scene {
    let option = |name, value: &str| (name, value.to_owned());
    let options = vec![
        option("interaction", INTERACTION),
        option("user", "ada"),
        option("size", "1"),
        option("duration", &duration.to_string()),
        option("recording-mode", mode),
        option("video-format", format.name()),
        option("width", &SIZE.0.to_string()),
        option("height", &SIZE.1.to_string()),
        option("framerate", &GRID.to_string()),
        option("audio-fx", "volume volume=0.5 name=fx"),
        option("video-fx", "videobalance hue=0.5 name=fx"),
    ];
    Scene { format, framerate, sizes: sizes.to_vec(), duration, options }
}

/// One run, as a row; `met` becomes false if it is not as promised.
fn row(
    scene: &Scene,
    loss: u32,
    mode: &str,
    args: &Args,
    met: &mut bool,
) -> anyhow::Result<Vec<String>> {
    let found = measure(scene, loss, args.keep.as_deref())?;
    let is_forced = mode == "forced";
    let faults = found.faults(scene, is_forced, loss);
    *met &= faults.is_empty();
    let verdict = match faults.is_empty() {
        true => "met".to_owned(),
        false => format!("**missed**: {}", faults.join("; ")),
    };
    let Found { sound, pictures, slots, sizes, first, .. } = &found;
    let share = |balance: &Balance| {
        let Balance { received, recorded, .. } = balance;
        format!("{recorded} / {received} = {:.3}", *recorded as f64 / *received as f64)
    };
    let cells = vec![
        scene.format.name().to_owned(),
        mode.to_owned(),
        scene.framerate.to_string(),
        format!("{loss} %"),
        format!("{} / {}", slots.found, slots.promised),
        if is_forced { slots.widest.to_string() } else { String::new() },
        if is_forced { format!("{:.3} ms", slots.off * 1000.0) } else { String::new() },
        share(pictures),
        share(sound),
        format!("{} / {}, {}", pictures.arrived, pictures.sent, pictures.late),
        format!("{:.0} / {:.0} ms", first.0 * 1000.0, first.1 * 1000.0),
        (sizes.len() - 1).to_string(),
        verdict,
    ];
    println!("{}", cells.join(" | "));
    Ok(cells)
}

/// What came of a run.
#[derive(Debug)]
struct Found {
    sound: Balance,
    pictures: Balance,
    slots: Slots,
    /// Length of a step of the wet file's clock, in s.
    tick: f64,
    /// Of the dry pictures.
    sizes: Vec<((u64, u64), usize)>,
    /// Pictures in the dry file, and in the wet one.
    frames: [u64; 2],
    /// Pictures that GStreamer decodes of each.
    decoded: [u64; 2],
    /// Pictures that the sender has left out.
    left_out: usize,
    /// What ffmpeg complains of.
    complaints: Vec<String>,
    /// When dry sound and dry pictures begin, in s.
    first: (f64, f64),
    /// When they end.
    last: (f64, f64),
}

fn measure(scene: &Scene, loss: u32, keep: Option<&Path>) -> anyhow::Result<Found> {
    let folder = tempfile::tempdir()?;
    let server =
        Server::start(folder.path(), &[("DUCKSOUP_DATA", &folder.path().to_string_lossy())])?;
    let link = |seed| Link { loss: f64::from(loss) / 100.0, seed, ..Link::default() };
    let gate = Gate::open(&server.uri, link(1), link(2))?;
    let account = sender::take_part(gate.uri(), scene)?;
    let tally = gate.close();
    drop(server);
    let data = folder.path().join(Path::new("default").join(INTERACTION));
    let manifest = manifest::read_all(&data)?.pop().context("no manifest")?;
    let entry = |what: &str| {
        let found = manifest.files.iter().find(|entry| entry.what == what);
        found.with_context(|| format!("no {what} file"))
    };
    let (dry, wet) = (entry("dry")?, entry("wet")?);
    let path = |entry: &Entry| entry.path(&data).context("a strange name");
    let (dry_path, wet_path) = (path(dry)?, path(wet)?);
    let marks = files::marks(&dry_path)?;
    let balance = |track: &Track, recorded: &[u64]| {
        let arrived = |ssrc| tally.up.rtp.get(&ssrc).map(|stream| stream.arrived.clone());
        let repeated = arrived(track.repetitions).unwrap_or_default();
        track.sent.balance(&arrived(track.ssrc).unwrap_or_default(), &repeated, recorded)
    };
    let (times, tick) = files::times(&wet_path)?;
    let mut complaints = Vec::new();
    for path in [&dry_path, &wet_path] {
        complaints.extend(files::ffmpeg(path).err().map(|error| error.to_string()));
    }
    let end = |what: &str| {
        let track = dry.tracks.iter().find(|track| track.pad == what);
        track.map_or((f64::NAN, f64::NAN), |track| {
            (track.first.map_or(f64::NAN, |first| first as f64 / 1e9), track.last as f64 / 1e9)
        })
    };
    let (sound, pictures) = (end("dry_audio"), end("dry_video"));
    let found = Found {
        sound: balance(&account.sound, &marks.sound),
        pictures: balance(&account.picture, &marks.pictures),
        slots: Slots::new(&times, Duration::from_secs(scene.duration.into()), GRID),
        tick,
        sizes: files::sizes(&dry_path)?,
        frames: [dry.frames, wet.frames],
        decoded: [decode(&dry_path)?.frames, decode(&wet_path)?.frames],
        left_out: account.picture.left_out,
        complaints,
        first: (sound.0, pictures.0),
        last: (sound.1, pictures.1),
    };
    if let Some(keep) = keep {
        let name = format!("{}-{}-{loss}", scene.format.name(), scene.framerate);
        std::fs::rename(folder.keep(), keep.join(name)).context("--keep")?;
    }
    Ok(found)
}

impl Found {
    /// In what it is not as promised.
    fn faults(&self, scene: &Scene, is_forced: bool, loss: u32) -> Vec<String> {
        let mut faults = self.complaints.clone();
        if self.left_out > 0 {
            faults.push(format!("no fair run: the sender left out {} pictures", self.left_out));
        }
        if is_forced && !self.slots.is_kept(self.tick) {
            faults.push("the grid is not kept".to_owned());
        }
        for (what, balance) in [("pictures", self.pictures), ("packets of sound", self.sound)] {
            let missing = balance.received - balance.recorded;
            if missing > 0 || balance.received == 0 {
                faults.push(format!("{missing} {what} missing"));
            }
        }
        if self.pictures.foreign > 0 {
            faults.push(format!("{} pictures that cannot be shown", self.pictures.foreign));
        }
        if self.frames != self.decoded {
            faults.push(format!("GStreamer decodes {:?} of {:?}", self.decoded, self.frames));
        }
        if self.sizes.len() != scene.sizes.len() {
            faults.push(format!("sizes {:?}", self.sizes));
        }
        let end = f64::from(scene.duration);
        // A packet of sound; what is lost at the end is no fault of the file's.
        if loss == 0
            && (self.last.0 < end - 0.02 || self.last.1 < end - 2.0 / f64::from(scene.framerate))
        {
            faults.push(format!("it ends at {:.3} s and {:.3} s", self.last.0, self.last.1));
        }
        faults
    }
}
