// SPDX-License-Identifier: MPL-2.0

//! What can be typed for `load`: every number has bounds, so that a slip of the finger is a
//! usage error and no attack.

use super::plan::{ChurnKind, Knob};
use clap::ValueEnum;
use ducksoup_signaller::protocol::{Identifier, MAX_FX};
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

/// The options of `load`.
#[derive(Debug, Clone, clap::Args)]
#[allow(missing_docs)] // the help texts say it
#[command(
    after_help = "Exit code: 0 all joined, all received, within the limits; 1 something failed (the \
                        table says what); 2 wrong options; 130 interrupted. Example:\n  ducksoup-app load \
                        --interactions 2 --duration 60 --audio-fx 'pitch name=voice' --controls 1 --control \
                        voice.pitch=0.8..1.2 --churn 2 --max-gap 500"
)]
pub struct LoadArgs {
    /// The server's WebSocket, ws:// or wss://
    #[arg(long, value_name = "URI", default_value = "ws://localhost:8100/ws")]
    pub uri: String,
    /// Allow a server that is not on this machine: your own, that expects it
    #[arg(long)]
    pub anywhere: bool,
    /// Origin of the page that the participants pretend to be on [default: that of the server]
    #[arg(long, value_name = "ORIGIN")]
    pub origin: Option<String>,
    /// Certificates (PEM) that a wss:// server may show besides the well-known ones
    #[arg(long, value_name = "FILE")]
    pub cafile: Option<PathBuf>,

    /// Interactions at the same time, 1-64
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=64))]
    pub interactions: u32,
    /// Participants of each, 1-8; with 1 it is a mirror
    #[arg(long, value_name = "M", default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=8))]
    pub participants: u32,
    /// How long each interaction runs, 1-1200
    #[arg(long, value_name = "SECONDS", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=1200))]
    pub duration: u32,
    /// From one interaction's beginning to the next one's, 0-60
    #[arg(long, value_name = "SECONDS", default_value = "1", value_parser = parse_number::<60>)]
    pub ramp_up: f64,
    /// How often a minute each participant goes away and comes back, 0-30
    #[arg(long, value_name = "RATE", default_value = "0", value_parser = parse_number::<30>)]
    pub churn: f64,
    /// How they go, with commas between
    #[arg(
        long,
        value_name = "KINDS",
        value_enum,
        value_delimiter = ',',
        default_value = "leave,reload,drop"
    )]
    pub churn_kinds: Vec<ChurnKind>,
    /// Controls that each participant sends a second, 0-20
    #[arg(long, value_name = "RATE", default_value = "0", value_parser = parse_number::<20>)]
    pub controls: f64,
    /// What they move, and between which values; may be repeated
    #[arg(long, value_name = "NAME.PROPERTY=MIN..MAX")]
    pub control: Vec<Knob>,

    /// Audio effect of every participant, as in ducksoup.js
    #[arg(long, value_name = "FX", value_parser = parse_fx)]
    pub audio_fx: Option<String>,
    /// Video effect of every participant
    #[arg(long, value_name = "FX", value_parser = parse_fx)]
    pub video_fx: Option<String>,
    /// The picture that is sent
    #[arg(long, value_name = "WxH@FPS", default_value = "640x480@25")]
    pub size: Picture,
    /// Its format
    #[arg(long, value_enum, value_name = "FORMAT", default_value = "H264", ignore_case = true)]
    pub video_format: Format,
    /// No pictures
    #[arg(long)]
    pub audio_only: bool,
    /// Recording mode [default: the server's]
    #[arg(long, value_name = "MODE", value_parser = parse_word)]
    pub recording_mode: Option<String>,
    /// Namespace of the interactions
    #[arg(long, value_name = "NAME", default_value = "load", value_parser = parse_identifier)]
    pub namespace: String,

    /// Makes the same plan again: who joins, goes and controls what when [default: any]
    #[arg(long, value_name = "NUMBER")]
    pub seed: Option<u64>,
    /// Fail when a picture or sound comes later than this after the one before it
    #[arg(long, value_name = "MS")]
    pub max_gap: Option<u64>,
    /// Fail when a track brings less than this part of the frames that were due, 0-1
    #[arg(long, value_name = "RATIO", value_parser = parse_number::<1>)]
    pub min_frames: Option<f64>,
    /// Write the figures to this file, too
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
}

/// How pictures are encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[allow(missing_docs)] // their names say it
pub enum Format {
    #[value(name = "H264")]
    H264,
    #[value(name = "VP8")]
    Vp8,
}

impl Format {
    /// As the protocol says it.
    #[must_use]
    pub fn wire(self) -> &'static str {
        match self {
            Self::H264 => "H264",
            Self::Vp8 => "VP8",
        }
    }
}

/// The size and rate of the pictures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Picture {
    /// Pixels, even.
    pub width: u32,
    /// Pixels, even.
    pub height: u32,
    /// Pictures a second.
    pub framerate: u32,
}

/// Words that cannot be taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct WordError(&'static str);

impl FromStr for Picture {
    type Err = WordError;

    fn from_str(text: &str) -> Result<Self, WordError> {
        const SHAPE: WordError = WordError("it is written like 640x480@25");
        let (size, framerate) = text.split_once('@').ok_or(SHAPE)?;
        let (width, height) = size.split_once('x').ok_or(SHAPE)?;
        let number = |text: &str| text.parse::<u32>().map_err(|_| SHAPE);
        let picture =
            Self { width: number(width)?, height: number(height)?, framerate: number(framerate)? };
        // The largest are the server's (docs/protocol.md); the encoders take 16 pixels and more.
        if !(16..=1920).contains(&picture.width) || !(16..=1080).contains(&picture.height) {
            return Err(WordError("from 16x16 to 1920x1080 pixels"));
        }
        if picture.width % 2 + picture.height % 2 != 0 {
            return Err(WordError("width and height must be even"));
        }
        if !(1..=60).contains(&picture.framerate) {
            return Err(WordError("from 1 to 60 pictures a second"));
        }
        Ok(picture)
    }
}

impl FromStr for Knob {
    type Err = WordError;

    fn from_str(text: &str) -> Result<Self, WordError> {
        const SHAPE: WordError = WordError("it is written like voice.pitch=0.8..1.2");
        let (path, range) = text.split_once('=').ok_or(SHAPE)?;
        let (name, property) = path.split_once('.').ok_or(SHAPE)?;
        let (min, max) = range.split_once("..").ok_or(SHAPE)?;
        let number =
            |text: &str| text.parse::<f64>().ok().filter(|number| number.is_finite()).ok_or(SHAPE);
        let (min, max) = (number(min)?, number(max)?);
        if name.is_empty() || property.is_empty() {
            return Err(SHAPE);
        }
        if min > max {
            return Err(WordError("the smaller value comes first"));
        }
        Ok(Self { name: name.to_owned(), property: property.to_owned(), min, max })
    }
}

/// From 0 to `MAX`.
fn parse_number<const MAX: u32>(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(number) if (0.0..=f64::from(MAX)).contains(&number) => Ok(number),
        _ => Err(format!("a number from 0 to {MAX}")),
    }
}

fn parse_fx(text: &str) -> Result<String, String> {
    if text.len() > MAX_FX {
        return Err(format!("at most {MAX_FX} bytes"));
    }
    Ok(text.to_owned())
}

fn parse_identifier(text: &str) -> Result<String, String> {
    Identifier::new(text).map(|_| text.to_owned()).map_err(|why| why.to_string())
}

/// What a mode's name may be made of; whether there is such a mode is the server's to say.
fn parse_word(text: &str) -> Result<String, String> {
    let plain = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
    if text.is_empty() || text.len() > 32 || !text.chars().all(plain) {
        return Err("letters, digits and _".into());
    }
    Ok(text.to_owned())
}

impl LoadArgs {
    /// From one interaction's beginning to the next one's.
    #[must_use]
    pub fn ramp_up(&self) -> Duration {
        Duration::from_secs_f64(self.ramp_up)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::config::{Cli, Command};
    use clap::Parser as _;

    fn parse(arguments: &[&str]) -> Result<LoadArgs, String> {
        let all = ["ducksoup-app", "load"].iter().chain(arguments);
        match Cli::try_parse_from(all).map_err(|error| error.to_string())?.command {
            Some(Command::Load(args)) => Ok(*args),
            other => Err(format!("{other:?}")),
        }
    }

    #[test]
    fn without_options_two_participants_talk_on_this_machine() {
        let args = parse(&[]).unwrap();
        assert_eq!(args.uri, "ws://localhost:8100/ws");
        assert_eq!((args.interactions, args.participants, args.duration), (1, 2, 20));
        assert_eq!(args.churn_kinds, [ChurnKind::Leave, ChurnKind::Reload, ChurnKind::Drop]);
        assert_eq!(args.size, Picture { width: 640, height: 480, framerate: 25 });
        assert_eq!(args.video_format, Format::H264);
        assert!(!args.anywhere);
    }

    #[test]
    fn every_number_has_bounds() {
        for (option, good, bad) in [
            ("--interactions", &["1", "64"][..], &["0", "65", "-1", "x"][..]),
            ("--participants", &["1", "8"], &["0", "9"]),
            ("--duration", &["1", "1200"], &["0", "1201", "1.5"]),
            ("--ramp-up", &["0", "0.25", "60"], &["-1", "61", "NaN", "inf"]),
            ("--churn", &["0", "2.5", "30"], &["31", "-0.1"]),
            ("--controls", &["0"], &["21", "-1"]),
            ("--min-frames", &["0", "0.9", "1"], &["1.1", "90%"]),
            ("--max-gap", &["0", "500"], &["-5", "0.5 s"]),
            (
                "--size",
                &["16x16@1", "1920x1080@60"],
                &[
                    "640x480",
                    "15x16@25",
                    "1922x1080@25",
                    "641x480@25",
                    "640x480@0",
                    "640x480@61",
                    "640*480@25",
                    "@",
                    "-640x480@25",
                ],
            ),
            ("--churn-kinds", &["drop", "leave,reload"], &["crash", ""]),
            (
                "--control",
                &["v.p=0..1", "v.pitch=-2.5..2.5"],
                &[
                    "v.p",
                    "v=0..1",
                    "v.p=1..0",
                    "v.p=0",
                    ".p=0..1",
                    "v.=0..1",
                    "v.p=a..b",
                    "v.p=0..inf",
                ],
            ),
            ("--video-format", &["VP8", "H264", "vp8"], &["AV1"]),
            ("--recording-mode", &["direct", "rtpbin_only"], &["", "a b", "../x"]),
            ("--namespace", &["lab-1"], &["", "a/b", "a b"]),
        ] {
            for value in good {
                let parsed = parse(&[&format!("{option}={value}")]);
                assert!(parsed.is_ok(), "{option} {value}: {parsed:?}");
            }
            for value in bad {
                let parsed = parse(&[&format!("{option}={value}")]);
                assert!(parsed.is_err(), "{option} {value}: {parsed:?}");
            }
        }
    }

    #[test]
    fn a_knob_is_a_property_and_a_range() {
        let args = parse(&["--control", "voice.pitch=0.8..1.2", "--control", "v.x=-1..1"]).unwrap();
        let [voice, _] = &args.control[..] else { panic!("{:?}", args.control) };
        assert_eq!((&voice.name[..], &voice.property[..]), ("voice", "pitch"));
        assert_eq!((voice.min, voice.max), (0.8, 1.2));
    }
}
