// SPDX-License-Identifier: MPL-2.0

//! What can be typed for `recordings`.

use crate::network::Link;
use clap::ValueEnum;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

/// Parts of a million in one.
const MILLION: f64 = 1e6;

/// The options of `recordings`.
#[derive(Debug, Clone, clap::Args)]
#[command(
    after_help = "The same flashes and beeps go into all participants; the figures come from the finished \
                        files alone. Exit code: 0 all goals met, 1 some missed or nothing measured, 2 wrong options."
)]
pub(crate) struct Args {
    /// Participants, 2-8
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u32).range(2..=8))]
    pub(crate) participants: u32,
    /// Length of the interaction, 10-1200
    #[arg(long, value_name = "S", default_value_t = 30, value_parser = clap::value_parser!(u32).range(10..=1200))]
    pub(crate) seconds: u32,
    /// Recording mode
    #[arg(long, default_value = "forced")]
    pub(crate) mode: String,
    /// H264 or VP8
    #[arg(long, value_name = "FORMAT", default_value = "H264")]
    pub(crate) video_format: String,
    /// The picture that is sent and recorded
    #[arg(long, value_name = "WxH", default_value = "320x240")]
    pub(crate) size: Size,
    /// Effect on every voice
    #[arg(long, value_name = "FX")]
    pub(crate) audio_fx: Option<String>,
    /// Effect on every picture
    #[arg(long, value_name = "FX")]
    pub(crate) video_fx: Option<String>,
    /// How much too fast the second participant's clock runs, in millionths
    #[arg(long, value_name = "PPM", default_value_t = 0.0, allow_negative_numbers = true)]
    pub(crate) fast_ppm: f64,
    /// Which of its clocks that is
    #[arg(long, value_enum, value_name = "CLOCK", default_value = "all")]
    pub(crate) fast_clock: FastClock,

    /// Share of packets that are lost, each way, 0-1
    #[arg(long, value_name = "SHARE", default_value_t = 0.0, value_parser = share)]
    pub(crate) loss: f64,
    /// How long each packet travels, each way
    #[arg(long, value_name = "MS", default_value_t = 0, value_parser = clap::value_parser!(u64).range(..=2_000))]
    pub(crate) delay: u64,
    /// How much longer it may take
    #[arg(long, value_name = "MS", default_value_t = 0, value_parser = clap::value_parser!(u64).range(..=2_000))]
    pub(crate) jitter: u64,

    /// Measure recordings that are there already: the folder of an interaction
    #[arg(long, value_name = "FOLDER")]
    pub(crate) folder: Option<PathBuf>,
    /// What stands in the table for the command that made that folder
    #[arg(long, value_name = "TEXT", requires = "folder")]
    pub(crate) label: Option<String>,
    /// Keep the recordings here, in a new folder
    #[arg(long, value_name = "FOLDER", conflicts_with = "folder")]
    pub(crate) keep: Option<PathBuf>,
    /// Write each event of each recording to this file, for plots: user, side, what, number, when it
    /// was sent and when it is in the file, in s
    #[arg(long, value_name = "FILE.tsv")]
    pub(crate) points: Option<PathBuf>,
    /// Put the row into this table (bench/RECORDINGS.md)
    #[arg(long, value_name = "FILE")]
    pub(crate) table: Option<PathBuf>,
}

/// Which clock of a device is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum FastClock {
    /// The microphone's and the camera's
    All,
    /// The microphone's alone, as of a sound card
    Sound,
}

/// Width and height in pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Size {
    pub(crate) width: u32,
    pub(crate) height: u32,
}

impl FromStr for Size {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let size = text.split_once('x').and_then(|(width, height)| {
            Some(Self { width: width.parse().ok()?, height: height.parse().ok()? })
        });
        // The row of blocks needs 20 × 8 pixels and more to be read (see `picture`).
        let fits = |size: &Self| {
            [size.width, size.height]
                .iter()
                .all(|side| (96..=1_920).contains(side) && side % 2 == 0)
        };
        size.filter(fits).ok_or_else(|| "WIDTHxHEIGHT, even, from 96 to 1920".to_owned())
    }
}

impl Args {
    /// How fast the second participant's microphone and camera run.
    pub(crate) fn fast(&self) -> (f64, f64) {
        let fast = 1.0 + self.fast_ppm / MILLION;
        match self.fast_clock {
            FastClock::All => (fast, fast),
            FastClock::Sound => (fast, 1.0),
        }
    }

    /// The connection of each participant, each way.
    pub(crate) fn link(&self) -> Link {
        Link {
            loss: self.loss,
            delay: Duration::from_millis(self.delay),
            jitter: Duration::from_millis(self.jitter),
            ..Link::default()
        }
    }

    /// The command that makes the same measurement again.
    pub(crate) fn command(&self) -> String {
        if let Some(label) = &self.label {
            return label.clone();
        }
        let mut command = format!(
            "ducksoup-bench recordings --participants {} --seconds {}",
            self.participants, self.seconds
        );
        let mut add = |name: &str, value: &str, usual: &str| {
            if value != usual {
                let quote = if value.contains(' ') { "'" } else { "" };
                command += &format!(" --{name} {quote}{value}{quote}");
            }
        };
        add("mode", &self.mode, "forced");
        add("video-format", &self.video_format, "H264");
        add("size", &format!("{}x{}", self.size.width, self.size.height), "320x240");
        add("audio-fx", self.audio_fx.as_deref().unwrap_or_default(), "");
        add("video-fx", self.video_fx.as_deref().unwrap_or_default(), "");
        add("fast-ppm", &self.fast_ppm.to_string(), "0");
        if self.fast_clock == FastClock::Sound {
            add("fast-clock", "sound", "");
        }
        add("loss", &self.loss.to_string(), "0");
        add("delay", &self.delay.to_string(), "0");
        add("jitter", &self.jitter.to_string(), "0");
        command
    }
}

fn share(text: &str) -> Result<f64, String> {
    let share = text.parse().ok().filter(|share| (0.0..=1.0).contains(share));
    share.ok_or_else(|| "a number from 0 to 1".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Debug, Parser)]
    struct Typed {
        #[command(flatten)]
        args: Args,
    }

    fn typed(words: &str) -> Result<Args, clap::Error> {
        let words = words.split_whitespace();
        Typed::try_parse_from(["recordings"].into_iter().chain(words)).map(|typed| typed.args)
    }

    #[test]
    fn the_command_says_what_is_not_usual() {
        for (words, command) in [
            ("", "--participants 2 --seconds 30"),
            ("--seconds 60 --mode split --table x", "--participants 2 --seconds 60 --mode split"),
            (
                "--fast-ppm 200 --fast-clock sound --audio-fx pitch",
                "--participants 2 --seconds 30 --audio-fx pitch --fast-ppm 200 --fast-clock sound",
            ),
        ] {
            let args = typed(words).expect("valid");
            assert_eq!(args.command(), format!("ducksoup-bench recordings {command}"));
        }
        let args = typed("--loss 0.03 --jitter 30").expect("valid");
        assert!(args.command().ends_with("--seconds 30 --loss 0.03 --jitter 30"));
        let (loss, jitter) = (0.03, Duration::from_millis(30));
        assert_eq!(args.link(), Link { loss, jitter, ..Link::default() });
        let args = typed("--folder f --label l").expect("valid");
        assert_eq!(args.command(), "l");
    }

    #[test]
    fn a_fast_clock_is_the_microphone_s_or_both() {
        assert_eq!(typed("--fast-ppm 200").expect("valid").fast(), (1.000_2, 1.000_2));
        let sound = typed("--fast-ppm -100 --fast-clock sound").expect("valid");
        assert_eq!(sound.fast(), (0.999_9, 1.0));
    }

    #[test]
    fn slips_of_the_finger_are_refused() {
        for words in [
            "--participants 1",
            "--seconds 5",
            "--size 3x4",
            "--size 321x240",
            "--loss 3",
            "--label x",
        ] {
            assert!(typed(words).is_err(), "{words}");
        }
    }
}
