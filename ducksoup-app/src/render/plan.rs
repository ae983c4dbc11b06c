// SPDX-License-Identifier: MPL-2.0

//! What is to be rendered: from manifests and tables of events to one job for each dry file. Pure.
//!
//! Three clocks meet in a job. The run's *timeline* has zero at t0. A *file*'s zero is `offset` later
//! (0 unless its participant came back). The pipeline's *running time* has t0 at `base`, so that
//! commands from before t0 have a time too, and each starts from the value that the ones before it
//! had reached:
//!
//! ```text
//! running time   0 ─────── base ─────────── base + offset ──────────▶
//! timeline       -base ─── 0 = t0 ───────── offset ─────────────────▶
//! file                                      0 ──────────────── end ─▶
//! ```

use super::table::{self, Applied, Command, Table};
use crate::archive::manifest::{Entry, Manifest};
use crate::interaction::sdp::{Codec, Kind};
use ducksoup_signaller::protocol::{JoinOptions, RecordingMode};
use gstducksoup::fxcontrol::Description;
use jiff::Timestamp;

/// Commands to pictures are given earlier by so much (ns): files tell a picture's time to the
/// millisecond (mkv), the table to the microsecond, and no command may miss the picture at which it
/// began. Far below the time between two pictures.
const SLACK: i64 = 2_000_000;
/// A recording that ends so shortly (ns) before its run does was cut by the run's end; ours, as long as the
/// longest time between pictures that is no gap (`experimentrecorder`).
const SHORT: u64 = 500_000_000;
/// The most that a name's time differs from the file's zero (ns): it is told in milliseconds.
const ROUNDED: i64 = 1_000_000;

/// What is wished for.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Wishes<'a> {
    /// Only this one's files.
    pub(super) participant: Option<&'a str>,
    /// Instead of the run's effect; empty is none.
    pub(super) audio_fx: Option<&'a str>,
    /// The same for pictures.
    pub(super) video_fx: Option<&'a str>,
}

/// One dry file to be made wet.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Job {
    /// What is read.
    pub(super) dry: Entry,
    /// What was recorded wet, if it was.
    pub(super) wet: Option<Entry>,
    /// The new file's name without its ending.
    pub(super) name: String,
    /// The participant's options.
    pub(super) options: JoinOptions,
    /// The sound.
    pub(super) audio: Option<Part>,
    /// The pictures.
    pub(super) video: Option<Part>,
    /// Running time of t0, in ns.
    pub(super) base: u64,
    /// The file's zero on the run's timeline, in ns.
    pub(super) offset: u64,
    /// The file's length, in ns.
    pub(super) end: u64,
    /// What whoever asked should know.
    pub(super) notes: Vec<String>,
}

/// One track of a job.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Part {
    /// How it is recorded.
    pub(super) codec: Codec,
    /// Its effect; empty is none.
    pub(super) fx: String,
    /// The effect's commands, as `fxcontrol` reads them, in running time.
    pub(super) timeline: String,
    /// What the table says was set.
    pub(super) applied: Vec<Applied>,
    /// Where the grid begins (ns in the file), for pictures of a constant rate: the first one is shown
    /// from there.
    pub(super) from: Option<u64>,
    /// When its first piece was (ns in the file).
    pub(super) first: u64,
}

/// Why there is nothing to render. Each is a sentence for whoever asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum PlanError {
    /// It has no t0, and so no files.
    #[error("run {0} never started, so nothing of it was recorded")]
    NeverStarted(String),
    /// Nobody has this name.
    #[error("run {run} had no participant {user:?}; there were {there}")]
    NoParticipant {
        /// The run.
        run: String,
        /// Who is asked for.
        user: String,
        /// Who was there.
        there: String,
    },
    /// A recording without its owner.
    #[error("{file}: the manifest says nothing of its participant {user:?}")]
    Owner {
        /// The recording.
        file: String,
        /// Whose it is.
        user: String,
    },
    /// The manifest names none.
    #[error("run {run} ({state}) has no dry recordings in its manifest{}", hint(.mode))]
    NoDry {
        /// The run.
        run: String,
        /// How it ended.
        state: String,
        /// How it recorded, where all did alike.
        mode: Option<RecordingMode>,
    },
    /// Nothing is changed by anything.
    #[error("run {0} had no effects: name one (--audio-fx, --video-fx)")]
    NoEffect(String),
    /// A track of a kind that is not known.
    #[error("{file}: {codec:?} is no format that is recorded here")]
    Codec {
        /// The recording.
        file: String,
        /// What the manifest says.
        codec: String,
    },
    /// An effect that cannot be read.
    #[error("the effect {fx:?}: {why}")]
    Effect {
        /// The description.
        fx: String,
        /// What is wrong with it.
        why: String,
    },
    /// Names that two effects share, or that none has.
    #[error(
        "line {line} of the table of events moves {effect:?}, and no effect of {user} is called so"
    )]
    Nobody {
        /// Where it stands.
        line: usize,
        /// What it moves.
        effect: String,
        /// Whose it is.
        user: String,
    },
}

fn hint(mode: &Option<RecordingMode>) -> &'static str {
    match mode {
        Some(
            RecordingMode::None
            | RecordingMode::RtpbinOnly
            | RecordingMode::Direct
            | RecordingMode::Bypass,
        ) => ": its recording mode writes no files",
        _ => "",
    }
}

/// The jobs of a run.
///
/// # Errors
/// When there is nothing to do, or something does not fit together.
pub(super) fn jobs(
    run: &Manifest,
    events: &Table,
    wishes: Wishes<'_>,
) -> Result<Vec<Job>, PlanError> {
    let Some(started) = run.started.as_deref().and_then(|time| time.parse().ok()) else {
        return Err(PlanError::NeverStarted(run.id.clone()));
    };
    if let Some(user) = wishes.participant.filter(|user| !run.participants.contains_key(*user)) {
        let there = run.participants.keys().cloned().collect::<Vec<_>>().join(", ");
        let (run, user) = (run.id.clone(), user.to_owned());
        return Err(PlanError::NoParticipant { run, user, there });
    }
    let is_dry = |entry: &&Entry| {
        entry.what.ends_with("dry") && wishes.participant.is_none_or(|user| user == entry.user)
    };
    let dry: Vec<_> = run.files.iter().filter(is_dry).collect();
    if dry.is_empty() {
        let mut modes = run.participants.values().map(|options| options.recording_mode);
        let first = modes.next();
        let mode = first.filter(|first| modes.all(|mode| mode == *first));
        return Err(PlanError::NoDry { run: run.id.clone(), state: run.state.clone(), mode });
    }
    let mut jobs = Vec::new();
    for entry in dry {
        jobs.extend(job(run, started, entry, events, wishes)?);
    }
    if jobs.is_empty() {
        return Err(PlanError::NoEffect(run.id.clone()));
    }
    Ok(jobs)
}

/// The job of a dry file; none when nothing in it is changed.
fn job(
    run: &Manifest,
    started: Timestamp,
    dry: &Entry,
    events: &Table,
    wishes: Wishes<'_>,
) -> Result<Option<Job>, PlanError> {
    let file = || dry.name.clone();
    let Some(options) = run.participants.get(&dry.user) else {
        return Err(PlanError::Owner { file: file(), user: dry.user.clone() });
    };
    let audio_fx = wishes.audio_fx.or(options.audio_fx.as_deref()).unwrap_or_default();
    let video_fx = wishes.video_fx.or(options.video_fx.as_deref()).unwrap_or_default();
    let changed = |kind| match kind {
        Kind::Audio => !audio_fx.is_empty(),
        Kind::Video => !video_fx.is_empty() || options.overlay,
    };
    let mut tracks = Vec::new();
    for track in dry.tracks.iter().filter(|track| track.last > 0) {
        let unknown = || PlanError::Codec { file: file(), codec: track.codec.clone() };
        tracks.push((codec(&track.codec).ok_or_else(unknown)?, track));
    }
    if !tracks.iter().any(|(codec, _)| changed(codec.kind())) {
        return Ok(None);
    }
    let stem = dry.name.rsplit_once('.').map_or(dry.name.as_str(), |(stem, _)| stem);
    let twin = format!("{}wet", stem.strip_suffix("dry").unwrap_or(stem));
    let wet = run.files.iter().find(|entry| {
        entry.user == dry.user && entry.name.rsplit_once('.').is_some_and(|(stem, _)| stem == twin)
    });
    let offset = dry.offset.unwrap_or_else(|| offset(&dry.name, started));
    let commands = events.commands(&dry.user, connection(&dry.name));
    let (audio_names, video_names) = (names(audio_fx)?, names(video_fx)?);
    let mut left_out = 0;
    for command in &commands {
        let known = |names: &[String]| names.contains(&command.aim.effect);
        if known(&audio_names) || known(&video_names) {
            continue;
        }
        if wishes.audio_fx.is_none() && wishes.video_fx.is_none() {
            let (line, effect) = (command.line, command.aim.effect.clone());
            return Err(PlanError::Nobody { line, effect, user: dry.user.clone() });
        }
        left_out += 1;
    }
    let earliest = commands.iter().map(|command| command.onset).min().unwrap_or(0).min(0);
    // One slack more, so that none of them lies before zero.
    let base = SLACK.saturating_sub(earliest);
    let end = length(run, options, dry, wet, offset);
    let part = |kind: Kind| {
        let (codec, track) = tracks.iter().find(|(codec, _)| codec.kind() == kind)?;
        let (fx, names, shift) = match kind {
            Kind::Audio => (audio_fx, &audio_names, base),
            Kind::Video => (video_fx, &video_names, base - SLACK),
        };
        // The live server asks the effects of sound first (`effects::control`).
        let mine = |effect: &String| {
            names.contains(effect) && (kind == Kind::Audio || !audio_names.contains(effect))
        };
        let commands = commands.iter().filter(|Command { aim, .. }| mine(&aim.effect));
        let mut applied = events.applied(&dry.user, connection(&dry.name));
        applied.retain(|applied| mine(&applied.aim.effect));
        Some(Part {
            codec: *codec,
            fx: fx.to_owned(),
            timeline: table::timeline(commands, shift),
            applied,
            from: (kind == Kind::Video && options.recording_mode != RecordingMode::Free)
                .then(|| first_slot(offset, options.framerate)),
            first: track.first.unwrap_or(0),
        })
    };
    let (audio, video) = (part(Kind::Audio), part(Kind::Video));
    let mut notes = Vec::new();
    if left_out > 0 {
        notes.push(format!("{left_out} commands move effects that are not there now: left out"));
    }
    Ok(Some(Job {
        dry: dry.clone(),
        wet: wet.cloned(),
        name: format!("{twin}-render"),
        options: options.clone(),
        audio,
        video,
        base: base.unsigned_abs(),
        offset,
        end,
        notes,
    }))
}

impl Job {
    /// Whether its pictures keep a constant rate: in every mode that does not say otherwise.
    pub(super) fn is_constant(&self) -> bool {
        self.options.recording_mode != RecordingMode::Free
    }

    /// Its tracks.
    pub(super) fn parts(&self) -> impl Iterator<Item = &Part> {
        self.video.iter().chain(&self.audio)
    }

    /// Running time of the file's zero, in ns.
    pub(super) fn origin(&self) -> u64 {
        self.base.saturating_add(self.offset)
    }
}

fn codec(name: &str) -> Option<Codec> {
    Some(match name {
        "opus" => Codec::Opus,
        "h264" => Codec::H264,
        "vp8" => Codec::Vp8,
        _ => return None,
    })
}

/// What commands call the effects of a description.
fn names(fx: &str) -> Result<Vec<String>, PlanError> {
    let description = Description::parse(fx)
        .map_err(|why| PlanError::Effect { fx: fx.to_owned(), why: why.to_string() })?;
    Ok(description.effects.into_iter().map(|effect| effect.name).collect())
}

/// Which of its participant's connections a file is of: `…-c-<n>-<what>.<ext>`.
fn connection(name: &str) -> Option<u32> {
    let (_, rest) = name.rsplit_once("-c-")?;
    rest.split('-').next()?.parse().ok()
}

/// A file's zero on the run's timeline, in ns, by the time in its name, which is all that older runs tell: `…-a-<date>-<time>-s-…`.
fn offset(name: &str, started: Timestamp) -> u64 {
    let time = name.split_once("-a-").and_then(|(_, rest)| {
        let time = rest.get(..19)?;
        let time = jiff::civil::DateTime::strptime("%Y%m%d-%H%M%S.%f", time).ok()?;
        Some(time.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp())
    });
    let since = time.map_or(0, |time| time.as_nanosecond() - started.as_nanosecond());
    if since.abs() <= i128::from(ROUNDED) { 0 } else { u64::try_from(since).unwrap_or(0) }
}

/// Where in a file that begins at `offset` the grid's first slot is, in ns. A dry file begins with the
/// sender's first keyframe: what was shown before it is not there to be rendered, and that picture
/// stands for it. A wet file that began a slot late would be no shorter for it.
fn first_slot(offset: u64, framerate: u32) -> u64 {
    let (offset, rate) = (u128::from(offset), u128::from(framerate.max(1)));
    let slot = (offset * rate).div_ceil(1_000_000_000);
    let start = (2 * slot * 1_000_000_000 + rate) / (2 * rate);
    // Rounding may put it a nanosecond before.
    u64::try_from(start.saturating_sub(offset)).unwrap_or(0)
}

/// How long the file is to be: as the recorded wet one, or else the dry one; up to the run's end, if that one
/// all but reaches it.
fn length(
    run: &Manifest,
    options: &JoinOptions,
    dry: &Entry,
    wet: Option<&Entry>,
    offset: u64,
) -> u64 {
    let last = |entry: &Entry| entry.tracks.iter().map(|track| track.last).max().unwrap_or(0);
    let rest = (u64::from(options.duration) * 1_000_000_000).saturating_sub(offset);
    let last = last(wet.unwrap_or(dry));
    if run.state == "ended" && last.saturating_add(SHORT) >= rest { rest } else { last }
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
