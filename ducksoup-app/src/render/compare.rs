// SPDX-License-Identifier: MPL-2.0

//! A render held against what was recorded, for a reviewer: was the manipulation what the log says?
//! `sound`, `picture` and `ramps` judge; here the files are read and the tables drawn.

use super::picture::{self, Picture};
use super::plan::{Job, Part};
use super::ramps::{self, Followed};
use super::recipe::{Recipe, RecipeError};
use super::sound;
use super::table::Applied;
use crate::archive::reader::{ReadError, Reader};
use crate::interaction::sdp::Kind;
use comfy_table::{CellAlignment, Table, presets};
use std::fmt::Write as _;
use std::path::Path;

/// How far tones may be apart, as a part: what `pitch` makes of a steady tone wavers by a few
/// thousandths, and of one that moves by a hundredth.
const MOST_APART: f64 = 0.02;
/// How much louder or softer, in dB: two codecs at two bitrates differ by some tenths, effects that
/// cut sound (`pitch`) by some more.
const MOST_LOUDER: f64 = 2.0;
/// How much later or earlier, in ms: half of one packet, and what `pitch` looks for a place to cut.
const MOST_LAG: f64 = 20.0;
/// How far mean colours, of 255: encoders at a live bitrate move them by one or two.
const MOST_COLOUR: f64 = 6.0;
/// The least likeness of small pictures, in dB: under it they do not show the same.
const LEAST_LIKE: f64 = 20.0;
/// How far a property may be from the log, as a part of the range it moved in.
const MOST_OFF: f64 = 0.02;
/// How many pictures more or fewer: a live encoder may miss the first slots.
const FEWER: usize = 3;
/// Seconds with fewer pictures than this are no second; ours.
const FEW: usize = 3;

/// Why two files cannot be compared.
#[derive(Debug, thiserror::Error)]
pub(super) enum CompareError {
    /// One of them.
    #[error("{file}: {why}")]
    Read {
        /// Its name.
        file: String,
        /// What is wrong with it.
        why: ReadError,
    },
    /// The operator's files.
    #[error(transparent)]
    Recipe(#[from] RecipeError),
}

/// What came of it.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Verdict {
    /// Tables and sentences.
    pub(super) text: String,
    /// What is beyond the limits, a sentence each.
    pub(super) faults: Vec<String>,
}

impl Verdict {
    fn say(&mut self, text: impl std::fmt::Display) {
        // Writing into a String cannot fail.
        let _ = writeln!(self.text, "{text}");
    }
}

/// Compares a render with the recording that it should be like.
///
/// # Errors
/// When one of the files cannot be read.
pub(super) fn compare(
    job: &Job,
    recipe: &Recipe,
    recorded: &Path,
    rendered: &Path,
    applied: &[Applied],
) -> Result<Verdict, CompareError> {
    let mut verdict = Verdict::default();
    let has = |kind: Kind| {
        let wet = job.wet.as_ref();
        wet.is_some_and(|wet| {
            wet.tracks.iter().any(|track| track.last > 0 && track.pad.ends_with(kind.name()))
        })
    };
    for part in job.parts().filter(|part| has(part.codec.kind())) {
        match part.codec.kind() {
            Kind::Audio => {
                let read = |path| samples(path, job, part, recipe);
                judge_sound(&read(recorded)?, &read(rendered)?, &mut verdict);
            }
            Kind::Video => {
                let read = |path| pictures(path, job, part, recipe);
                judge_pictures(&read(recorded)?, &read(rendered)?, job, part, &mut verdict);
            }
        }
    }
    let logged: Vec<_> = job.parts().flat_map(|part| part.applied.clone()).collect();
    let zero = i64::try_from(job.offset).unwrap_or(i64::MAX);
    judge_ramps(&ramps::follow(&logged, applied, zero), &mut verdict);
    Ok(verdict)
}

fn judge_sound(recorded: &sound::Samples, rendered: &sound::Samples, verdict: &mut Verdict) {
    let mut table = table(["second", "recorded (Hz)", "rendered (Hz)", "apart (%)", "louder (dB)"]);
    let hertz = |frequency: Option<f64>| frequency.map_or("-".into(), |f| format!("{f:.1}"));
    for (at, second) in sound::seconds(recorded, rendered).into_iter().enumerate() {
        if let Some(apart) = second.apart.filter(|apart| *apart > MOST_APART) {
            let apart = apart * 100.0;
            verdict.faults.push(format!("second {at}: the tones are {apart:.1} % apart"));
        }
        if let Some(louder) = second.louder.filter(|louder| louder.abs() > MOST_LOUDER) {
            verdict.faults.push(format!("second {at}: the levels are {louder:.1} dB apart"));
        }
        let number = |value: Option<f64>, digits: usize| {
            value.map_or_else(|| "-".to_owned(), |value| format!("{value:.digits$}"))
        };
        table.add_row([
            at.to_string(),
            hertz(second.one),
            hertz(second.other),
            number(second.apart.map(|apart| apart * 100.0), 2),
            number(second.louder, 1),
        ]);
    }
    verdict.say(table);
    match sound::lag(recorded, rendered) {
        Some(lag) => {
            let words =
                format!("{:.1} ms {}", lag.abs(), if lag < 0.0 { "earlier" } else { "later" });
            verdict.say(format_args!("sound: what happens comes {words} in the render"));
            if lag.abs() > MOST_LAG {
                verdict.faults.push(format!("the sound comes {words}"));
            }
        }
        None => verdict.say("sound: nothing in it tells how much later the render is"),
    }
}

fn judge_pictures(
    recorded: &[Picture],
    rendered: &[Picture],
    job: &Job,
    part: &Part,
    verdict: &mut Verdict,
) {
    let period = 1_000_000_000 / u64::from(job.options.framerate.max(1));
    // Those before the dry file's first one are not what was seen.
    let picture::Comparison { later, seconds } =
        picture::compare(recorded, rendered, period, part.first);
    let mut table = table(["second", "pictures", "likeness (dB)", "colours apart (of 255)"]);
    for (at, second) in seconds {
        let counts = second.pictures >= FEW;
        if counts && second.colour > MOST_COLOUR {
            let colour = second.colour;
            verdict.faults.push(format!("second {at}: the colours are {colour:.1} of 255 apart"));
        }
        if counts && second.psnr < LEAST_LIKE {
            let psnr = second.psnr;
            verdict.faults.push(format!("second {at}: the pictures are not alike ({psnr:.1} dB)"));
        }
        table.add_row([
            at.to_string(),
            second.pictures.to_string(),
            format!("{:.1}", second.psnr),
            format!("{:.2}", second.colour),
        ]);
    }
    verdict.say(table);
    let (one, other) = (recorded.len(), rendered.len());
    let shift = match later {
        0 => String::new(),
        _ => format!(", compared with a shift of {later}"),
    };
    verdict.say(format_args!("pictures: {one} recorded, {other} rendered{shift}"));
    if job.is_constant() && one.abs_diff(other) > FEWER {
        verdict.faults.push(format!("{other} pictures instead of {one}"));
    }
}

fn judge_ramps(followed: &[Followed], verdict: &mut Verdict) {
    for followed in followed {
        let Followed { target, values, worst, .. } = followed;
        let share = followed.share();
        #[allow(clippy::cast_precision_loss)] // ns of a run
        let at = worst.1 as f64 / 1e9;
        verdict.say(format_args!(
            "{target}: {values} values in the log, none further off than {:.2} % of their range",
            share * 100.0
        ));
        if share > MOST_OFF {
            let share = share * 100.0;
            verdict.faults.push(format!("{target} is {share:.1} % of its range off at {at:.3} s"));
        }
    }
}

fn table<const N: usize>(header: [&str; N]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(header);
    for column in table.column_iter_mut() {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

/// The sound of a file from its zero on.
fn samples(path: &Path, job: &Job, part: &Part, recipe: &Recipe) -> Result<Vec<f32>, CompareError> {
    let tail = format!(
        "{} ! audioconvert ! audioresample ! audio/x-raw,format=F32LE,rate={},channels=1,layout=interleaved",
        recipe.decode(job, part)?,
        sound::RATE
    );
    let mut samples = Vec::new();
    read(path, part, &tail, |time, bytes| {
        let here = u128::from(time) * sound::RATE as u128 / 1_000_000_000;
        // What was not there at all is silent.
        samples.resize(samples.len().max(usize::try_from(here).unwrap_or(0).min(LONGEST)), 0.0);
        let words = bytes.chunks_exact(4).filter_map(|word| word.try_into().ok());
        samples.extend(words.map(f32::from_le_bytes));
    })?;
    Ok(samples)
}

/// The most samples that a file's times can make silent: a day.
const LONGEST: usize = 86_400 * sound::RATE;

/// The pictures of a file, small.
fn pictures(
    path: &Path,
    job: &Job,
    part: &Part,
    recipe: &Recipe,
) -> Result<Vec<Picture>, CompareError> {
    let tail = format!(
        "{} ! videoconvert ! videoscale ! video/x-raw,format=I420,width={},height={}",
        recipe.decode(job, part)?,
        picture::WIDTH,
        picture::HEIGHT
    );
    let mut pictures = Vec::new();
    read(path, part, &tail, |time, bytes| {
        if let Some(planes) = bytes.get(..picture::BYTES) {
            pictures.push(Picture { time, planes: planes.to_vec() });
        }
    })?;
    Ok(pictures)
}

fn read(
    path: &Path,
    part: &Part,
    text: &str,
    mut take: impl FnMut(u64, &[u8]),
) -> Result<(), CompareError> {
    let fault = |why| CompareError::Read {
        file: path.file_name().unwrap_or_default().to_string_lossy().into_owned(),
        why,
    };
    let reader = Reader::open(path, part.codec, text).map_err(fault)?;
    while let Some(piece) = reader.next().map_err(fault)? {
        if let Ok(bytes) = piece.buffer.map_readable() {
            take(piece.time, &bytes);
        }
    }
    Ok(())
}
