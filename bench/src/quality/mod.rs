// SPDX-License-Identifier: MPL-2.0

//! `ducksoup-bench quality`: what speed costs in quality. The wet stream against the dry one, beside
//! what the floor's encoder makes of the same pictures at the same measured bitrate.

mod tools;

use crate::cost::call::House;
use crate::cost::floor::{decoder, encoder};
use crate::cost::media::Media;
use crate::cost::participant::{Event, Reception};
use crate::cost::{BITRATE, camera, options};
use crate::counts::Format;
use crate::machine;
use crate::page::{self, Table};
use anyhow::Context as _;
use clap::Args as ClapArgs;
use ducksoup_app::archive::manifest;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What is to be measured.
#[derive(Debug, ClapArgs)]
pub(crate) struct Args {
    /// Of the pictures
    #[arg(long, value_enum, default_values = ["h264", "vp8"])]
    format: Vec<Format>,
    /// Bits a second of the wet pictures
    #[arg(long, default_value_t = BITRATE)]
    bitrate: u32,
    /// The page that gets the rows; none: they are only shown
    #[arg(long)]
    page: Option<PathBuf>,
}

const TITLE: &str = "## What speed costs in quality

`ducksoup-bench quality`: a participant in the mode `free` (each dry picture is one wet picture) with an effect that changes
nothing (`volume volume=1`). SSIM (ffmpeg) of the wet pictures against the dry ones, beside what encoders make of the same dry pictures offline
at the same bitrate, as measured in the files: *as the server's* has its settings (the floor), *default* is the element as it comes
(`x264enc`: medium, with look-ahead; `vp8enc`: good quality), which no live call can wait for. ViSQOL (1–5) of the wet sound against the dry one, beside one
`opusdec ! opusenc` of the dry sound.";

const HEAD: &[&str] = &[
    "format",
    "target, kbit/s",
    "wet, kbit/s",
    "SSIM wet",
    "SSIM as the server's",
    "SSIM default",
    "ViSQOL wet",
    "ViSQOL opusdec ! opusenc",
    "measured",
];

/// Runs all that is asked for.
///
/// # Errors
/// When a tool is missing, or the call does not come to its end.
pub(crate) fn run(args: &Args) -> anyhow::Result<bool> {
    crate::cost::init()?;
    for format in &args.format {
        let row = row(*format, args.bitrate)?;
        println!("{}", row.join(" | "));
        if let Some(path) = &args.page {
            let rows = vec![row];
            let table = Table { name: "quality", head: HEAD, keys: Some(2), rows };
            page::write(path, TITLE, &[table])?;
        }
    }
    Ok(true)
}

fn row(format: Format, target: u32) -> anyhow::Result<Vec<String>> {
    let camera = camera(format);
    let media = Media::new(camera)?;
    let house = House::open(target)?;
    let mut options = options(1, camera, "free", "volume volume=1.0 name=fx", Duration::ZERO);
    if let Some((_, duration)) = options.iter_mut().find(|(name, _)| *name == "duration") {
        "12".clone_into(duration);
    }
    let guest = house.guest(0, &options, &media, Reception::Count)?;
    guest.join()?;
    house.wait(&[0], &Event::Ended)?;
    drop(guest);
    let data = house.data().join("default").join("cost");
    let manifest = manifest::read_all(&data)?.pop().context("no manifest")?;
    let path = |what: &str| {
        let entry = manifest.files.iter().find(|entry| entry.what == what);
        entry.and_then(|entry| entry.path(&data)).with_context(|| format!("no {what} file"))
    };
    let (dry, wet) = (path("dry")?, path("wet")?);
    let rate = tools::bitrate(&wet, camera.framerate)?;
    let same = encoded(&dry, format, camera.framerate, rate, |bitrate| encoder(format, bitrate))?;
    let default = encoded(&dry, format, camera.framerate, rate, |bitrate| match format {
        Format::H264 => format!("x264enc bitrate={}", bitrate / 1000),
        Format::Vp8 => format!("vp8enc target-bitrate={bitrate}"),
    })?;
    let again = dry.with_file_name("again.ogg");
    let demuxer = demuxer(format);
    tools::launch(&format!(
        "filesrc location={} ! {demuxer} name=d d.audio_0 ! queue ! opusdec ! audio/x-raw,channels=1 \
         ! opusenc bitrate=64000 ! oggmux ! filesink location={}",
        dry.display(),
        again.display()
    ))?;
    let source = tools::wav(&dry, "dry.wav")?;
    let heard = tools::visqol(&source, &tools::wav(&wet, "wet.wav")?)?;
    let alone = tools::visqol(&source, &tools::wav(&again, "again.wav")?)?;
    let row = vec![
        format.name().to_owned(),
        (target / 1000).to_string(),
        format!("{:.0}", rate / 1000.0),
        format!("{:.4}", tools::ssim(&wet, &dry)?),
        format!("{:.4}", same),
        format!("{:.4}", default),
        format!("{heard:.2}"),
        format!("{alone:.2}"),
        machine::describe(),
    ];
    house.close()?;
    Ok(row)
}

fn demuxer(format: Format) -> &'static str {
    match format {
        Format::H264 => "qtdemux",
        Format::Vp8 => "matroskademux",
    }
}

/// SSIM of the dry pictures encoded by another encoder whose target is moved until the measured
/// bitrate is `rate`.
fn encoded(
    dry: &Path,
    format: Format,
    framerate: u32,
    rate: f64,
    encoder: impl Fn(u32) -> String,
) -> anyhow::Result<f64> {
    let file = dry.with_file_name("encoded.mkv");
    let mut target = rate;
    for _ in 0..3 {
        let parser = match format {
            Format::H264 => "h264parse !",
            Format::Vp8 => "",
        };
        tools::launch(&format!(
            "filesrc location={} ! {} name=d d.video_0 ! queue ! {parser} {} \
             ! capssetter caps=video/x-raw,framerate={framerate}/1 ! {} ! {parser} matroskamux ! filesink location={}",
            dry.display(),
            demuxer(format),
            decoder(format),
            encoder(target as u32),
            file.display()
        ))?;
        target *= rate / tools::bitrate(&file, framerate)?;
    }
    tools::ssim(&file, dry)
}
