// SPDX-License-Identifier: MPL-2.0

//! What a run's recordings become: whose files make which output, and the one timeline that all
//! outputs share. Pure: a manifest and wishes in, a plan out.

use super::grid::{Rate, SECOND};
use super::sound;
use crate::archive::manifest::{Entry, Gap, Manifest, Track};
use ducksoup_signaller::protocol::Identifier;
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::str::FromStr;

/// A run that ended in order is as long as it was asked to be when its recordings come so near to
/// that, in ns. Ours: recordings end with the run, but for what the network kept back.
const NEAR: u64 = 1_000_000_000;

/// Before or after the effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Side {
    Dry,
    Wet,
}

impl Side {
    /// As it stands in names.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Dry => "dry",
            Self::Wet => "wet",
        }
    }
}

/// Of a picture, in pixels; even, as encoders want it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Size {
    /// From left to right.
    pub width: u32,
    /// From top to bottom.
    pub height: u32,
}

impl Size {
    /// The smallest even size that is not smaller.
    fn even(width: u32, height: u32) -> Self {
        Self { width: width.next_multiple_of(2), height: height.next_multiple_of(2) }
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}x{}", self.width, self.height)
    }
}

impl FromStr for Size {
    type Err = String;

    /// `640x480`; 16 to 4096 each, and even.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || "a size is WIDTHxHEIGHT, even numbers from 16 to 4096".to_owned();
        let (width, height) = text.split_once('x').ok_or_else(wrong)?;
        let number = |text: &str| text.parse().ok().filter(|n| (16..=4096).contains(n));
        let (Some(width), Some(height)) = (number(width), number(height)) else {
            return Err(wrong());
        };
        let size = Self { width, height };
        if size == Self::even(width, height) { Ok(size) } else { Err(wrong()) }
    }
}

/// How a track is encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Codec {
    H264,
    Vp8,
    Opus,
}

/// One track of one recording. Times are ns on the run's timeline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Source {
    /// The file's name in `recordings/`.
    pub(crate) name: String,
    pub(crate) codec: Codec,
    /// Of the file's zero.
    pub(crate) offset: u64,
    /// The first picture or sample.
    pub(crate) first: u64,
    /// The end of the last one.
    pub(crate) last: u64,
    pub(crate) gaps: Vec<Gap>,
    /// Whether it was closed in order; what was not may end in a complaint.
    pub(crate) whole: bool,
}

/// One participant, before or after the effect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Take {
    pub(crate) user: String,
    pub(crate) side: Side,
    /// None of a run that is only heard.
    pub(crate) picture: Option<Size>,
    /// By their offsets.
    pub(crate) video: Vec<Source>,
    /// By their offsets.
    pub(crate) audio: Vec<Source>,
}

/// The part of a run's timeline that all its outputs show.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(crate) struct Cut {
    /// Its beginning, in ns after t0.
    pub(crate) from: u64,
    /// Its length, in pictures.
    pub(crate) frames: u64,
    /// Pictures a second.
    pub(crate) framerate: u32,
}

impl Cut {
    /// Its length, in samples.
    pub(crate) fn samples(self) -> u64 {
        let rate = u64::from(self.framerate);
        (self.frames * sound::RATE + rate / 2) / rate
    }

    /// Its length, in seconds.
    #[allow(clippy::cast_precision_loss)] // hours
    pub(crate) fn seconds(self) -> f64 {
        self.frames as f64 / f64::from(self.framerate)
    }

    /// The slots of its pictures.
    #[allow(clippy::cast_possible_wrap)] // hours in ns
    pub(crate) fn rate(self) -> Rate {
        Rate { start: self.from as i64, framerate: self.framerate }
    }
}

/// What a run's recordings become.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Plan {
    /// The run.
    pub(crate) id: String,
    /// Its t0.
    pub(crate) started: Timestamp,
    pub(crate) cut: Cut,
    /// By user, dry before wet.
    pub(crate) takes: Vec<Take>,
    /// The SHA-256 of each recording that is read, as the run told it.
    pub(crate) hashes: BTreeMap<String, String>,
    /// Recordings that nothing can be read of.
    pub(crate) empty: Vec<String>,
}

/// What is asked for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Wishes {
    /// Pictures a second; else the largest that a participant asked for.
    pub(crate) framerate: Option<u32>,
    /// Of all pictures; else what each participant asked for.
    pub(crate) size: Option<Size>,
    /// Only the part where everyone has sound and picture.
    pub(crate) common: bool,
}

/// Why a run has no outputs.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// It was aborted, or its server died before.
    #[error("run {0}: it never started, so there is no timeline")]
    NotStarted(String),
    /// It goes on, or nobody said that it does not.
    #[error("run {0}: it is not over; if its server died, ducksoup-app recover completes it")]
    NotOver(String),
    /// Nothing was recorded.
    #[error("run {0}: it has no recordings")]
    NoRecordings(String),
    /// Its t0 is no time.
    #[error("run {run}: its manifest says that it started at {started:?}")]
    Started {
        /// The run.
        run: String,
        /// As it stands there.
        started: String,
    },
    /// Its id would lead out of the folder.
    #[error("a manifest has the id {0:?}, which no run of ours has")]
    Id(String),
    /// A file that cannot be one of ours.
    #[error("run {run}: {name}: {why}")]
    Foreign {
        /// The run.
        run: String,
        /// The file.
        name: String,
        /// What is wrong.
        why: &'static str,
    },
    /// Someone is always missing.
    #[error("run {0}: there is no time at which everyone has sound and picture (--common)")]
    NothingInCommon(String),
}

/// Plans a run.
///
/// # Errors
/// When it has nothing that could be exported, or names what no run of ours wrote.
pub(crate) fn plan(manifest: &Manifest, wishes: Wishes) -> Result<Plan, PlanError> {
    let run = || manifest.id.clone();
    if Identifier::new(&manifest.id).is_err() {
        return Err(PlanError::Id(run()));
    }
    if matches!(manifest.state.as_str(), "gathering" | "running") {
        return Err(PlanError::NotOver(run()));
    }
    let started = manifest.started.as_ref().ok_or_else(|| PlanError::NotStarted(run()))?;
    let zero = Timestamp::from_str(started)
        .map_err(|_| PlanError::Started { run: run(), started: started.clone() })?;
    let mut takes = BTreeMap::new();
    let mut hashes = BTreeMap::new();
    let (files, empty): (Vec<_>, Vec<_>) =
        manifest.files.iter().partition(|entry| !entry.tracks.is_empty());
    let empty = empty.into_iter().map(|entry| entry.name.clone()).collect();
    for entry in files {
        add(manifest, zero, entry, wishes, &mut takes)?;
        hashes.insert(entry.name.clone(), entry.sha256.clone());
    }
    let mut takes: Vec<Take> = takes.into_values().collect();
    if takes.is_empty() {
        return Err(PlanError::NoRecordings(run()));
    }
    for take in &mut takes {
        take.video.sort_by_key(|source| (source.offset, source.first));
        take.audio.sort_by_key(|source| (source.offset, source.first));
    }
    let framerates = manifest.participants.values().map(|options| options.framerate);
    let framerate = wishes.framerate.or(framerates.max()).unwrap_or(25).max(1);
    let (from, to) = if wishes.common {
        common(&takes, framerate).ok_or_else(|| PlanError::NothingInCommon(run()))?
    } else {
        (0, length(manifest, &takes))
    };
    let frames = slots(to - from, framerate, Round::Nearest);
    if frames == 0 {
        return Err(PlanError::NoRecordings(run()));
    }
    let cut = Cut { from, frames, framerate };
    Ok(Plan { id: run(), started: zero, cut, takes, hashes, empty })
}

/// Adds the tracks of a file to the takes that they belong to.
fn add(
    manifest: &Manifest,
    zero: Timestamp,
    entry: &Entry,
    wishes: Wishes,
    takes: &mut BTreeMap<(String, Side), Take>,
) -> Result<(), PlanError> {
    let foreign =
        |why| PlanError::Foreign { run: manifest.id.clone(), name: entry.name.clone(), why };
    if entry.path(Path::new("")).is_none() {
        return Err(foreign("its name leads out of the folder"));
    }
    let offset = match entry.offset {
        Some(offset) => offset,
        None => offset(&manifest.id, &entry.name, zero)
            .ok_or_else(|| foreign("its name does not tell when it began"))?,
    };
    let ending = entry.name.rsplit_once('.').map(|(_, ending)| ending);
    if !matches!(ending, Some("mp4" | "mkv" | "ogg")) {
        return Err(foreign("it is neither mp4 nor mkv nor ogg"));
    }
    let options =
        manifest.participants.iter().find(|(user, _)| user.as_str() == entry.user.as_str());
    let (_, options) = options.ok_or_else(|| foreign("its user is no participant of this run"))?;
    let size =
        wishes.size.unwrap_or_else(|| Size::even(options.width.max(2), options.height.max(2)));
    let picture = (!options.audio_only).then_some(size);
    for track in &entry.tracks {
        let (side, kind) =
            track.pad.split_once('_').ok_or_else(|| foreign("it has a track of no pad"))?;
        let side = match side {
            "dry" => Side::Dry,
            "wet" => Side::Wet,
            _ => return Err(foreign("it has a track that is neither dry nor wet")),
        };
        let codec = match (kind, track.codec.as_str()) {
            ("video", "h264") => Codec::H264,
            ("video", "vp8") => Codec::Vp8,
            ("audio", "opus") => Codec::Opus,
            _ => return Err(foreign("it has a track of another codec than h264, vp8 and opus")),
        };
        let take = takes.entry((entry.user.clone(), side)).or_insert_with(|| Take {
            user: entry.user.clone(),
            side,
            picture,
            video: Vec::new(),
            audio: Vec::new(),
        });
        let Some(first) = track.first else { continue };
        let source = source(entry, codec, offset, first, track);
        if codec == Codec::Opus { take.audio.push(source) } else { take.video.push(source) }
    }
    Ok(())
}

fn source(entry: &Entry, codec: Codec, offset: u64, first: u64, track: &Track) -> Source {
    let later = |time: u64| offset.saturating_add(time);
    let gap = |gap: &Gap| Gap { from: later(gap.from), to: later(gap.to) };
    Source {
        name: entry.name.clone(),
        codec,
        offset,
        first: later(first),
        last: later(track.last),
        gaps: track.gaps.iter().map(gap).collect(),
        whole: entry.complete && entry.error.is_none(),
    }
}

/// When a file's zero is, in ns after t0, by its name: `i-<run>-a-<date>-…`, where the date is cut to
/// milliseconds.
fn offset(run: &str, name: &str, zero: Timestamp) -> Option<u64> {
    let rest = name.strip_prefix("i-")?.strip_prefix(run)?.strip_prefix("-a-")?;
    let stamp = rest.get(..19).filter(|_| rest[19..].starts_with('-'))?;
    let begun = DateTime::strptime("%Y%m%d-%H%M%S.%3f", stamp).ok()?;
    let begun = begun.to_zoned(TimeZone::UTC).ok()?.timestamp();
    // The first file's own is t0, but for what was cut off.
    let after = begun.as_nanosecond() - zero.as_nanosecond();
    if after < -i128::from(SECOND) { None } else { u64::try_from(after.max(0)).ok() }
}

fn tracks(takes: &[Take]) -> impl Iterator<Item = &Source> {
    takes.iter().flat_map(|take| take.video.iter().chain(&take.audio))
}

/// How long a run is, in ns.
fn length(manifest: &Manifest, takes: &[Take]) -> u64 {
    let last = tracks(takes).map(|source| source.last).max().unwrap_or(0);
    let asked = manifest
        .participants
        .values()
        .map(|options| u64::from(options.duration) * SECOND.unsigned_abs())
        .min_by_key(|asked| asked.abs_diff(last));
    match asked {
        Some(asked) if manifest.state == "ended" && asked.abs_diff(last) <= NEAR => asked,
        _ => last,
    }
}

/// The part in which every take has all it should have, on whole slots, in ns.
fn common(takes: &[Take], framerate: u32) -> Option<(u64, u64)> {
    let (mut from, mut to) = (0, u64::MAX);
    for take in takes {
        let video = take.picture.is_some().then_some(&take.video);
        for sources in [Some(&take.audio), video].into_iter().flatten() {
            from = from.max(sources.iter().map(|source| source.first).min()?);
            to = to.min(sources.iter().map(|source| source.last).max()?);
        }
    }
    let first = slots(from, framerate, Round::Up);
    let rate = Rate { start: 0, framerate };
    let from = u64::try_from(rate.time(first)).ok()?;
    let whole = slots(to, framerate, Round::Down).checked_sub(first).filter(|n| *n > 0)?;
    let to = u64::try_from(rate.time(first + whole)).ok()?;
    Some((from, to))
}

/// To which whole number.
#[derive(Debug, Clone, Copy)]
enum Round {
    Down,
    Nearest,
    Up,
}

/// A length in ns as a number of slots.
fn slots(nanoseconds: u64, framerate: u32, round: Round) -> u64 {
    let second = u128::from(SECOND.unsigned_abs());
    let more = match round {
        Round::Down => 0,
        Round::Nearest => second / 2,
        Round::Up => second - 1,
    };
    let slots = (u128::from(nanoseconds) * u128::from(framerate) + more) / second;
    u64::try_from(slots).unwrap_or(u64::MAX)
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
