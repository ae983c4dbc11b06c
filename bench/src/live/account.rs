// SPDX-License-Identifier: MPL-2.0

//! From what passed, and what was seen and heard in it, to the figures of a call. Pure.
//!
//! A picture's residence is the time from its last packet in to its last packet out, found by the
//! number that it bears. The residence of sound is what a listener would hear: how much later a
//! sample sounds when each packet is played as it leaves than if each were played as it entered. So
//! what an encoder or an effect keeps back counts.

use super::clip::PACKET;
use super::reading::{Seen, VIDEO_RATE, since};
use super::track::{Call, Command, Track};
use crate::recordings::sound::RATE;
use std::collections::{BTreeMap, BTreeSet};

/// Nothing stays longer, in s: a number that comes again after that is another picture's.
const LONGEST: f64 = 2.0;
/// Chirps lie further apart than this, in s.
const NEAR: f64 = 0.3;
/// A brighter field than the film's own by this much shows an effect: half of what is commanded.
const BRIGHTER: f64 = 19.0;
/// A tone below this part of its loudness shows one: half-way to what is commanded.
const QUIETER: f64 = 0.7;
/// Before and behind a command, in s, the medians of pictures are compared.
const PICTURES_AROUND: f64 = 0.5;
/// And the means of sound: as long as it takes until SoundTouch's pieces meet packets of 20 ms in the same way again.
/// Alone and left in peace, `pitch` moves the mean of such a time by 1 ms, that of half a second by up to 17 ms, and
/// the median by a whole packet (measured in files, at both pitches that are commanded).
const SOUND_AROUND: f64 = 1.12;
/// A ceiling to compare with, in s: what jitter buffers of fixed length have.
const BUFFER: f64 = 0.150;

/// Which effects are commanded, by their properties.
pub(crate) const PICTURE_PROPERTY: &str = "brightness";
pub(crate) const SOUND_PROPERTY: &str = "volume";

/// A picture that went through.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Frame {
    /// Which one of the film.
    pub(crate) number: u16,
    pub(crate) captured: f64,
    pub(crate) entered: f64,
    pub(crate) left: f64,
    /// The receiver's time for it; none before it was told.
    pub(crate) played: Option<f64>,
    /// How much brighter it is than in the film.
    pub(crate) brighter: f64,
}

/// Something that stayed: when it left, how long it had been there; both in s.
pub(crate) type Stay = (f64, f64);

/// The pictures that went through, each when it came out first.
pub(crate) fn frames(track: &Track, seen: &[Seen], lumas: &[f64]) -> Vec<Frame> {
    let mut by_number: BTreeMap<u16, Vec<usize>> = BTreeMap::new();
    for (place, sent) in track.sent.iter().enumerate() {
        by_number.entry(sent.number).or_default().push(place);
    }
    let mut shown = BTreeSet::new();
    let mut frames = Vec::new();
    for picture in seen {
        let Some(number) = picture.number else { continue };
        let Some(left) = track.left.get(&picture.timestamp) else { continue };
        let entered = |place: &usize| track.entered.get(&track.sent[*place].timestamp).copied();
        let fits = |at: f64| at <= *left && left - at < LONGEST;
        let places = by_number.get(&number).into_iter().flatten().rev();
        let place = places.copied().find(|place| entered(place).is_some_and(fits));
        if let Some(place) = place.filter(|place| shown.insert(*place))
            && let Some(entered) = entered(&place)
        {
            frames.push(Frame {
                number,
                captured: track.sent[place].captured,
                entered,
                left: *left,
                played: track.played(picture.timestamp, *left, VIDEO_RATE),
                brighter: picture.luma
                    - lumas.get(usize::from(number)).copied().unwrap_or(f64::NAN),
            });
        }
    }
    frames
}

/// Sound that went through.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Passed {
    /// How long each packet's sound stayed.
    pub(crate) stays: Vec<Stay>,
    /// Of each chirp: how much later the receiver plays it than it was taken.
    pub(crate) played: Vec<Stay>,
}

/// The number of a packet of the voice, by its time; packets lie on whole multiples of their length,
/// but for the phase.
fn number(captured: f64) -> i64 {
    (captured * f64::from(RATE) / PACKET as f64 + 1e-6).floor() as i64
}

/// The sound that went through. `chirps` tells where they begin in the voice, `heard` where in what
/// was received, in samples since its first packet.
pub(crate) fn sound(track: &Track, chirps: &[usize], heard: &[usize]) -> Option<Passed> {
    let (rate, packet) = (f64::from(RATE), PACKET as i64);
    let origin = track.received.first()?.timestamp;
    let first = track.sent.first()?.captured;
    let phase = first - number(first) as f64 * PACKET as f64 / rate;
    let entered: BTreeMap<i64, f64> = track
        .sent
        .iter()
        .filter_map(|sent| Some((number(sent.captured), *track.entered.get(&sent.timestamp)?)))
        .collect();
    let came = |sample: i64| {
        let at = entered.get(&sample.div_euclid(packet))?;
        Some(at + sample.rem_euclid(packet) as f64 / rate)
    };
    let out: BTreeMap<i64, (f64, Option<f64>)> = track
        .received
        .iter()
        .filter_map(|packet| {
            let left = *track.left.get(&packet.timestamp)?;
            let played = track.played(packet.timestamp, left, RATE);
            Some((since(packet.timestamp, origin), (left, played)))
        })
        .collect();
    let went = |sample: i64| {
        let (begin, (left, played)) = out.range(..=sample).next_back()?;
        let within = (sample - begin) as f64 / rate;
        Some((left + within, played.map(|played| played + within)))
    };
    let mut shifts = Vec::new();
    let mut played = Vec::new();
    for heard in heard {
        let heard = *heard as i64;
        let Some((left, plays)) = went(heard) else { continue };
        let near = |chirp: &&usize| {
            came(**chirp as i64).is_some_and(|at| (-0.005..NEAR).contains(&(left - at)))
        };
        if let Some(chirp) = chirps.iter().find(near) {
            shifts.push((heard - *chirp as i64) as f64);
            let late = |plays| (left, plays - (phase + *chirp as f64 / rate));
            played.extend(plays.map(late));
        }
    }
    let shift = median(&shifts)?.round() as i64;
    // From the packet without which it could not have left: how irregularly those before it came is
    // the network's doing. What of that packet is not yet in it is heard that much later.
    let stays = out.iter().filter_map(|(begin, (left, _))| {
        let last = begin - shift + packet - 1;
        let at = entered.get(&last.div_euclid(packet))?;
        let rest = packet - 1 - last.rem_euclid(packet);
        Some((*left, left - at + rest as f64 / rate))
    });
    Some(Passed { stays: stays.collect(), played })
}

/// The value below which that share of them lies.
pub(crate) fn quantile(values: &[f64], share: f64) -> Option<f64> {
    let mut sorted: Vec<f64> = values.iter().copied().filter(|value| value.is_finite()).collect();
    sorted.sort_by(f64::total_cmp);
    let last = sorted.len().checked_sub(1)?;
    sorted.get((last as f64 * share).round() as usize).copied()
}

pub(crate) fn median(values: &[f64]) -> Option<f64> {
    quantile(values, 0.5)
}

pub(crate) fn mean(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

/// The largest change of the pictures' stay at any of these times.
pub(crate) fn picture_step(stays: &[Stay], times: impl IntoIterator<Item = f64>) -> Option<f64> {
    step(stays, times, PICTURES_AROUND, median)
}

/// The same of sound.
pub(crate) fn sound_step(stays: &[Stay], times: impl IntoIterator<Item = f64>) -> Option<f64> {
    step(stays, times, SOUND_AROUND, mean)
}

/// The largest change from `around` before to `around` behind a time that has as much on both sides.
fn step(
    stays: &[Stay],
    times: impl IntoIterator<Item = f64>,
    around: f64,
    middle: fn(&[f64]) -> Option<f64>,
) -> Option<f64> {
    let (first, last) = (stays.first()?.0, stays.last()?.0);
    let within = |from: f64, to: f64| -> Option<f64> {
        let near = stays.iter().filter(|(left, _)| (from..to).contains(left));
        middle(&near.map(|(_, stay)| *stay).collect::<Vec<_>>())
    };
    let whole = |time: &f64| first <= time - around && time + around <= last;
    let steps = times.into_iter().filter(whole).filter_map(|time| {
        Some((within(time, time + around)? - within(time - around, time)?).abs())
    });
    steps.max_by(f64::total_cmp)
}

/// How far each picture leaves from where it would if all took as long as the one before it, in s.
pub(crate) fn jitter(frames: &[Frame]) -> Vec<f64> {
    let apart = |pair: &[Frame]| {
        let [one, other] = [pair[0], pair[1]];
        ((other.left - one.left) - (other.captured - one.captured)).abs()
    };
    frames.windows(2).map(apart).collect()
}

/// Which part of the pictures that came in within the window went out at all.
pub(crate) fn shown(call: &Call, frames: &[Frame]) -> f64 {
    // What comes at the very end may still be inside.
    let counts = |at: f64| (call.window.start..call.window.end - NEAR).contains(&at);
    let sent =
        call.picture.sent.iter().filter_map(|sent| call.picture.entered.get(&sent.timestamp));
    let sent = sent.filter(|at| counts(**at)).count();
    let gone = frames.iter().filter(|frame| counts(frame.entered)).count();
    gone as f64 / sent.max(1) as f64
}

/// How often a picture stands still: as W3C's webrtc-stats says it, an interval of at least 3 mean
/// ones, and of 150 ms more than that mean.
pub(crate) fn freezes(times: &[f64]) -> usize {
    let intervals: Vec<f64> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
    let mean = intervals.iter().sum::<f64>() / intervals.len().max(1) as f64;
    intervals.iter().filter(|interval| **interval >= (3.0 * mean).max(mean + 0.15)).count()
}

/// When the same packets would be shown by whoever delays each picture by a fixed time and leaves out
/// what is not whole by then. That the next ones could not be decoded either is left out of account.
pub(crate) fn buffered(call: &Call) -> Vec<f64> {
    let whole = |timestamp: u32| call.picture.whole.get(&timestamp).copied();
    let sent = || {
        let sent = call.picture.sent.iter();
        sent.filter_map(|sent| Some((sent.captured, whole(sent.timestamp)?)))
            .filter(|(_, at)| call.window.contains(at))
    };
    let fastest = sent().map(|(captured, at)| at - captured).fold(f64::MAX, f64::min);
    sent()
        .map(|(captured, at)| (captured + fastest + BUFFER, at))
        .filter(|(due, at)| at <= due)
        .map(|(due, _)| due)
        .collect()
}

/// How much earlier or later pictures are played than sound, against when they were taken: of each
/// chirp and the picture nearest to it, in s, with when it left.
pub(crate) fn skews(frames: &[Frame], played: &[Stay]) -> Vec<Stay> {
    let skew = |(left, late): &Stay| {
        let near =
            frames.iter().min_by(|a, b| (a.left - left).abs().total_cmp(&(b.left - left).abs()))?;
        Some((*left, near.played? - near.captured - late))
    };
    played.iter().filter_map(skew).collect()
}

/// How long each sudden command took until a picture that shows it has left, in s.
pub(crate) fn effects_seen(call: &Call, frames: &[Frame]) -> Vec<f64> {
    answers(call, PICTURE_PROPERTY, |command| {
        let bright = command.value > 0.0;
        Box::new(
            frames.iter().map(move |frame| (frame.left, (frame.brighter > BRIGHTER) == bright)),
        )
    })
}

/// The same of sound: of each packet when it left, and how loud its end is, of 1.
pub(crate) fn effects_heard(call: &Call, loudness: &[(f64, f64)]) -> Vec<f64> {
    answers(call, SOUND_PROPERTY, |command| {
        let quiet = command.value < QUIETER;
        Box::new(loudness.iter().map(move |(left, loud)| (*left, (*loud < QUIETER) == quiet)))
    })
}

fn answers<'a>(
    call: &'a Call,
    property: &str,
    looks: impl Fn(&'a Command) -> Box<dyn Iterator<Item = (f64, bool)> + 'a>,
) -> Vec<f64> {
    let counts = |(at, command): &&'a (f64, Command)| {
        command.property == property && command.duration == 0 && call.window.contains(at)
    };
    let first = |(at, command): &'a (f64, Command)| {
        let mut after = looks(command).filter(|(left, _)| left > at);
        after.find(|(_, shows)| *shows).map(|(left, _)| left - at)
    };
    call.commands.iter().filter(counts).filter_map(first).collect()
}

#[cfg(test)]
#[path = "account_tests.rs"]
mod tests;
