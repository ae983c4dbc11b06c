// SPDX-License-Identifier: MPL-2.0

//! What each part of the measurement plays. Pure.

use super::clip::Sounds;
use super::goals::Kind;
use super::track::Command;
use crate::counts::Format;
use crate::network::Link;
use clap::ValueEnum;
use std::time::Duration;

/// Share of packets that are lost on a bad connection.
const LOSS: f64 = 0.02;
/// How much longer a packet may take there, each way.
const JITTER: Duration = Duration::from_millis(30);
/// The first command, and from one to the next: in step neither with frames nor with packets.
const FIRST: Duration = Duration::from_millis(3_200);
const BETWEEN: Duration = Duration::from_millis(573);
/// Every so manieth command is a ramp, of so many ms.
const RAMP: (usize, u32) = (3, 400);
/// What the effects are called.
pub(crate) const FACE: &str = "face";
pub(crate) const VOICE: &str = "voice";
/// The property of the effect on a voice that is moved while its delay is watched.
pub(crate) const VOICE_PROPERTY: &str = "pitch";

/// A part of the measurement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Part {
    /// Effects that change nothing.
    Identity,
    /// Effects that do something, moved along ramps and at once.
    Effects,
    /// From a command to what is seen and heard of it.
    Commands,
    /// A bad connection.
    Loss,
    /// Another interaction that waits.
    Idle,
}

/// What changes picture and sound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Effects {
    pub(crate) picture: &'static str,
    pub(crate) sound: &'static str,
}

impl Part {
    pub(crate) const ALL: [Self; 5] =
        [Self::Identity, Self::Effects, Self::Commands, Self::Loss, Self::Idle];

    pub(crate) fn words(self) -> &'static str {
        match self {
            Self::Identity => "effects that change nothing (videobalance, volume)",
            Self::Effects => "videobalance and pitch, moved",
            Self::Commands => "videobalance and volume, commanded",
            Self::Loss => "2 % loss up, 30 ms jitter both ways",
            Self::Idle => "with an idle second interaction",
        }
    }

    pub(crate) fn kind(self) -> Kind {
        match self {
            Self::Identity | Self::Idle => Kind::Clean,
            Self::Effects | Self::Commands => Kind::Effects,
            Self::Loss => Kind::Loss,
        }
    }

    pub(crate) fn effects(self) -> Effects {
        match self {
            Self::Effects => {
                Effects { picture: "videobalance saturation=0.5", sound: "pitch pitch=0.8" }
            }
            Self::Commands => {
                Effects { picture: "videobalance saturation=0.5", sound: "volume volume=1.0" }
            }
            _ => Effects { picture: "videobalance", sound: "volume" },
        }
    }

    pub(crate) fn sounds(self) -> Sounds {
        if self == Self::Commands { Sounds::Tone } else { Sounds::Chirps }
    }

    /// The connection, up and down. Down nothing is lost: what the server sends is what is measured.
    pub(crate) fn links(self, seed: u64) -> (Link, Link) {
        if self != Self::Loss {
            return (Link::default(), Link::default());
        }
        let link = |loss| Link { loss, jitter: JITTER, seed, ..Link::default() };
        (link(LOSS), link(0.0))
    }

    /// What participants command, and how long after the beginning.
    pub(crate) fn commands(self, length: Duration) -> Vec<(Duration, Command)> {
        let voice: (&str, [f64; 2]) = match self {
            Self::Effects => (VOICE_PROPERTY, [0.85, 0.8]),
            Self::Commands => ("volume", [0.4, 1.0]),
            _ => return Vec::new(),
        };
        let end = length.saturating_sub(BETWEEN * 2);
        let times = (0..).map(|n| (n, FIRST + BETWEEN * n)).take_while(|(_, at)| *at < end);
        times
            .map(|(n, at)| {
                let n = n as usize;
                // Picture and sound in turn, each there and back.
                let there = n / 2 % 2;
                let (effect, property, value) = match n % 2 {
                    0 => (FACE, super::account::PICTURE_PROPERTY, [0.15, 0.0][there]),
                    _ => (VOICE, voice.0, voice.1[there]),
                };
                let is_ramp = self == Self::Effects && n / 2 % RAMP.0 == RAMP.0 - 1;
                let duration = if is_ramp { RAMP.1 } else { 0 };
                (at, Command { effect, property, value, duration })
            })
            .collect()
    }

    /// Its table in the page.
    pub(crate) fn table(self, format: Format) -> &'static str {
        match (self, format) {
            (Self::Identity, Format::H264) => "live: identity, H264",
            (Self::Identity, Format::Vp8) => "live: identity, VP8",
            (Self::Effects, Format::H264) => "live: effects, H264",
            (Self::Effects, Format::Vp8) => "live: effects, VP8",
            (Self::Commands, Format::H264) => "live: commands, H264",
            (Self::Commands, Format::Vp8) => "live: commands, VP8",
            (Self::Loss, Format::H264) => "live: loss, H264",
            (Self::Loss, Format::Vp8) => "live: loss, VP8",
            (Self::Idle, Format::H264) => "live: idle, H264",
            (Self::Idle, Format::Vp8) => "live: idle, VP8",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_go_there_and_back_for_picture_and_sound() {
        let commands = Part::Effects.commands(Duration::from_secs(15));
        let of = |property| {
            let own = commands.iter().filter(move |(_, command)| command.property == property);
            own.map(|(_, command)| command.value).collect::<Vec<_>>()
        };
        let picture = of("brightness");
        assert!(picture.len() >= 8 && picture.iter().step_by(2).all(|value| *value == 0.15));
        assert!(picture.iter().skip(1).step_by(2).all(|value| *value == 0.0));
        assert_eq!(of("pitch")[..4], [0.85, 0.8, 0.85, 0.8]);
        assert!(commands.iter().any(|(_, command)| command.duration > 0));
        assert!(commands.iter().all(|(at, _)| *at < Duration::from_secs(14)));
        assert!(Part::Commands.commands(Duration::from_secs(15)).iter().all(|c| c.1.duration == 0));
        assert!(Part::Identity.commands(Duration::from_secs(15)).is_empty());
    }

    #[test]
    fn every_part_has_a_table_of_its_own() {
        let formats = [Format::H264, Format::Vp8];
        let all = Part::ALL.iter().flat_map(|part| formats.map(|format| part.table(format)));
        let all: Vec<_> = all.collect();
        let different: std::collections::BTreeSet<_> = all.iter().collect();
        assert_eq!(different.len(), all.len());
    }
}
