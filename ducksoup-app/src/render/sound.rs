// SPDX-License-Identifier: MPL-2.0

//! Two recordings of a sound that should be the same, held against each other. Pure.
//!
//! Their samples cannot be compared one by one: a codec, and effects that look for the best place
//! to cut (`pitch`), make another wave of the same sound each time. What is compared is what is
//! heard: the loudest frequency, the level, and when things happen.

use std::f64::consts::PI;

/// Samples a second of all sound here.
pub(super) const RATE: usize = 48_000;
/// Samples of a spectrum, 171 ms: a power of 2, between two harmonics of the deepest voice (80 Hz)
/// lie more than ten of its lines.
const WINDOW: usize = 8192;
/// Spectra a second, an odd number: one is of its middle. Ours.
const LOOKS: usize = 5;
/// Frequencies of voices and their first harmonics, in Hz; below is hum, above hiss.
const HEARD: std::ops::Range<f64> = 50.0..8000.0;
/// The part of the energy that a loudest frequency must have to be a tone: half of it. Other
/// sounds have several that are about as loud, and chance decides.
const TONE: f64 = 0.5;
/// What is silence, in dB below full scale; ours, under the noise of any microphone.
const SILENCE: f64 = -60.0;
/// Between two looks at the level, in samples (2 ms).
const HOP: usize = 96;
/// Samples of one such look (20 ms): a few periods of a voice.
const SPAN: usize = 960;
/// The largest lag that is looked for, in hops (100 ms).
const FARTHEST: isize = 50;
/// From where on is compared (hops, 300 ms): effects and codecs that begin there are silent at first.
const BEGINNING: isize = 150;
/// More than this, in dB, is no lag but another sound; ours, so that one silent moment does not
/// outweigh all the rest.
const OTHERWISE: f64 = 6.0;
/// Hops whose mean is compared (120 ms).
const SMOOTH: usize = 60;
/// Of these, so many at either end of their order are left out: `pitch` clicks where it changes the order of its
/// stages (at its value 1), elsewhere each time and as loud as it happens to be; a click is heard in 20 ms of hops.
const EXTREMES: usize = SMOOTH / 4;
/// By so much, as a part, must the wrong lags fit worse than the best one, or it means nothing: a
/// steady tone fits at any.
const CLEAR: f64 = 0.5;
/// The least misfit of a wrong lag (dB², mean): ten times what a codec makes of the same tone twice (0.0004, measured).
const NOTHING: f64 = 0.004;

/// Sound from the file's zero on, at [`RATE`], one channel.
pub(super) type Samples = [f32];

/// One second of two sounds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Second {
    /// The loudest frequency of the first sound in the middle of the second, in Hz.
    pub(super) one: Option<f64>,
    /// The same of the other.
    pub(super) other: Option<f64>,
    /// How far they are apart at worst, as a part of the first; none without a tone.
    pub(super) apart: Option<f64>,
    /// How much louder the other one is, in dB; none where both are silent.
    pub(super) louder: Option<f64>,
}

/// Compares two sounds second by second.
pub(super) fn seconds(one: &Samples, other: &Samples) -> Vec<Second> {
    let length = one.len().min(other.len());
    (0..length / RATE)
        .map(|second| {
            let span = second * RATE..(second + 1) * RATE;
            let looks: Vec<_> = (0..LOOKS)
                .map(|look| {
                    let centre = span.start + (look + 1) * RATE / (LOOKS + 1);
                    (loudest(one, centre), loudest(other, centre))
                })
                .collect();
            let apart = looks.iter().filter_map(|pair| match pair {
                (Some(one), Some(other)) if one.is_tone && other.is_tone => {
                    Some((other.frequency / one.frequency - 1.0).abs())
                }
                _ => None,
            });
            let apart = apart.reduce(f64::max);
            let middle = looks[LOOKS / 2];
            let frequency = |peak: Option<Peak>| peak.map(|peak| peak.frequency);
            let levels = (level(&one[span.clone()]), level(&other[span]));
            Second {
                one: frequency(middle.0),
                other: frequency(middle.1),
                apart,
                louder: (levels.0.max(levels.1) > SILENCE).then_some(levels.1 - levels.0),
            }
        })
        .collect()
}

/// How much later the other sound is, in ms; none when nothing happens by which to tell.
pub(super) fn lag(one: &Samples, other: &Samples) -> Option<f64> {
    let (one, other) = (smooth(&course(one)), smooth(&course(other)));
    let length = isize::try_from(one.len().min(other.len())).ok()?;
    if length <= 2 * BEGINNING {
        return None;
    }
    let misfit = |lag: isize| {
        let sum: f64 = (BEGINNING..length - FARTHEST)
            .map(|at| {
                let (one, other) = (one[at.unsigned_abs()], other[(at + lag).unsigned_abs()]);
                let apart = |value: usize| (one[value] - other[value]).abs().min(OTHERWISE);
                (0..2).map(|value| apart(value).powi(2)).sum::<f64>()
            })
            .sum();
        #[allow(clippy::cast_precision_loss)] // hops of minutes
        let mean = sum / (length - BEGINNING - FARTHEST) as f64;
        mean
    };
    let fits: Vec<_> = (-FARTHEST..=FARTHEST).map(misfit).collect();
    let best = (0..fits.len()).min_by(|a, b| fits[*a].total_cmp(&fits[*b]))?;
    let worst = fits.iter().copied().fold(0.0, f64::max);
    if worst - fits[best] < f64::max(CLEAR * worst, NOTHING) {
        return None;
    }
    // Between two hops, by the parabola through three.
    let beside = |place: usize| fits.get(place).copied();
    let part = match (best.checked_sub(1).and_then(beside), beside(best + 1)) {
        (Some(before), Some(behind)) => vertex(before, fits[best], behind),
        _ => 0.0,
    };
    #[allow(clippy::cast_precision_loss)] // a hundred hops
    let hops = best as f64 - FARTHEST as f64 + part;
    #[allow(clippy::cast_precision_loss)] // small
    Some(hops * HOP as f64 / RATE as f64 * 1000.0)
}

/// How level and brightness go, hop by hop, in dB: the energy of the sound and that of its slope,
/// which grows with the frequency.
fn course(sound: &Samples) -> Vec<[f64; 2]> {
    let floor = 10f64.powf(SILENCE / 10.0);
    let decibels = |energy: f64| 10.0 * (energy.max(floor)).log10();
    (0..sound.len().saturating_sub(SPAN) / HOP)
        .map(|hop| {
            let (mut whole, mut slope, mut weight) = (0.0, 0.0, 0.0);
            for at in 1..SPAN {
                let place = hop * HOP + at;
                #[allow(clippy::cast_precision_loss)] // a thousand
                let share = (PI * at as f64 / SPAN as f64).sin().powi(2);
                let here = f64::from(sound[place]);
                whole += share * here * here;
                slope += share * (here - f64::from(sound[place - 1])).powi(2);
                weight += share;
            }
            // The slope of an octave below the middle of a voice is as loud as the voice.
            [decibels(whole / weight), decibels(slope / weight * 1000.0)]
        })
        .collect()
}

/// The mean of [`SMOOTH`] hops around each, without [`EXTREMES`]: `pitch` follows its property in steps of some 60 ms,
/// which begin elsewhere each time.
fn smooth(course: &[[f64; 2]]) -> Vec<[f64; 2]> {
    let mean = |part: &[[f64; 2]]| {
        [0, 1].map(|value| {
            let mut values: Vec<_> = part.iter().map(|hop| hop[value]).collect();
            values.sort_by(f64::total_cmp);
            let kept = &values[EXTREMES..values.len() - EXTREMES];
            #[allow(clippy::cast_precision_loss)] // a few hops
            let count = kept.len() as f64;
            kept.iter().sum::<f64>() / count
        })
    };
    course.windows(SMOOTH).map(mean).collect()
}

/// Mean energy in dB of full scale.
fn level(sound: &Samples) -> f64 {
    let energy: f64 = sound.iter().map(|sample| f64::from(*sample).powi(2)).sum();
    #[allow(clippy::cast_precision_loss)] // a second
    let mean = energy / sound.len().max(1) as f64;
    10.0 * mean.max(1e-12).log10()
}

/// A peak of a spectrum.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Peak {
    frequency: f64,
    is_tone: bool,
}

/// The loudest frequency around a sample; none in silence.
fn loudest(sound: &Samples, centre: usize) -> Option<Peak> {
    let start = centre.checked_sub(WINDOW / 2)?;
    let part = sound.get(start..start + WINDOW)?;
    if level(part) < SILENCE {
        return None;
    }
    let powers = spectrum(part);
    #[allow(clippy::cast_precision_loss)] // thousands
    let line = RATE as f64 / WINDOW as f64;
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // positive and small
    let (lowest, highest) = ((HEARD.start / line) as usize, (HEARD.end / line) as usize);
    let heard = lowest..highest;
    let best = heard.clone().max_by(|a, b| powers[*a].total_cmp(&powers[*b]))?;
    let total: f64 = powers[heard].iter().sum();
    let near: f64 = powers[best.saturating_sub(3)..=best + 3].iter().sum();
    let logs = [best - 1, best, best + 1].map(|place| powers[place].max(1e-30).ln());
    #[allow(clippy::cast_precision_loss)] // thousands
    let frequency = (best as f64 + vertex(logs[0], logs[1], logs[2])) * line;
    Some(Peak { frequency, is_tone: near > TONE * total })
}

/// Where, in steps from the middle one, the parabola through three values has its end.
fn vertex(before: f64, here: f64, behind: f64) -> f64 {
    let bend = before - 2.0 * here + behind;
    if bend == 0.0 { 0.0 } else { (0.5 * (before - behind) / bend).clamp(-0.5, 0.5) }
}

/// The power of each line of a piece of [`WINDOW`] samples, under a Hann window.
fn spectrum(part: &Samples) -> Vec<f64> {
    let mut values: Vec<_> = part
        .iter()
        .enumerate()
        .map(|(at, sample)| {
            #[allow(clippy::cast_precision_loss)] // thousands
            let window = (PI * at as f64 / WINDOW as f64).sin().powi(2);
            (f64::from(*sample) * window, 0.0)
        })
        .collect();
    transform(&mut values);
    values[..WINDOW / 2].iter().map(|(re, im)| re * re + im * im).collect()
}

/// The Fourier transform, in place (Cooley and Tukey, radix 2); the length is a power of 2.
fn transform(values: &mut [(f64, f64)]) {
    let length = values.len();
    let bits = length.trailing_zeros();
    for place in 0..length {
        let mirror = place.reverse_bits() >> (usize::BITS - bits);
        if mirror > place {
            values.swap(place, mirror);
        }
    }
    let mut half = 1;
    while half < length {
        for offset in 0..half {
            #[allow(clippy::cast_precision_loss)] // thousands
            let angle = -PI * offset as f64 / half as f64;
            let (im, re) = angle.sin_cos();
            for start in (offset..length).step_by(2 * half) {
                let (a, b) = (values[start], values[start + half]);
                let turned = (b.0 * re - b.1 * im, b.0 * im + b.1 * re);
                values[start] = (a.0 + turned.0, a.1 + turned.1);
                values[start + half] = (a.0 - turned.0, a.1 - turned.1);
            }
        }
        half *= 2;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A tone whose frequency at each time (s) is told, `level` of full scale.
    fn tone(seconds: f64, level: f64, frequency: impl Fn(f64) -> f64) -> Vec<f32> {
        let mut phase = 0.0;
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let length = (seconds * RATE as f64) as usize;
        (0..length)
            .map(|at| {
                phase += 2.0 * PI * frequency(at as f64 / RATE as f64) / RATE as f64;
                #[allow(clippy::cast_possible_truncation)]
                let sample = (level * phase.sin()) as f32;
                sample
            })
            .collect()
    }

    #[test]
    fn each_second_tells_its_tone_and_level() {
        let one = tone(3.0, 0.5, |_| 440.0);
        let other = tone(3.0, 0.25, |at| if at < 2.0 { 440.0 } else { 462.0 });
        let seconds = seconds(&one, &other);
        assert_eq!(seconds.len(), 3);
        for (second, wanted) in seconds.iter().zip([440.0, 440.0, 462.0]) {
            let (one, other) = (second.one.expect("a tone"), second.other.expect("a tone"));
            assert!((one - 440.0).abs() < 0.2 && (other - wanted).abs() < 0.2, "{one} {other}");
            let apart = second.apart.expect("tones");
            assert!((apart - (wanted / 440.0 - 1.0)).abs() < 1e-3, "{apart}");
            assert!((second.louder.expect("sound") + 6.02).abs() < 0.05);
        }
    }

    #[test]
    fn silence_and_noise_have_no_tone() {
        let silence = vec![0.0; RATE];
        let nothing = Second { one: None, other: None, apart: None, louder: None };
        assert_eq!(seconds(&silence, &silence), [nothing]);
        let mut state = 1u32;
        let noise: Vec<f32> = (0..RATE)
            .map(|_| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (state >> 16) as f32 / 65_536.0 - 0.5
            })
            .collect();
        let second = seconds(&noise, &noise)[0];
        assert!(second.one.is_some() && second.apart.is_none(), "{second:?}");
    }

    #[test]
    fn the_lag_is_found_by_what_happens_and_by_nothing_else() {
        let glide = |at: f64| 300.0 * 2f64.powf(if at < 1.0 { 0.0 } else { (at - 1.0).min(1.0) });
        let one = tone(4.0, 0.5, glide);
        for milliseconds in [-40i32, 0, 7, 60] {
            let late = f64::from(milliseconds) / 1000.0;
            let found =
                lag(&one, &tone(4.0, 0.5, |at| glide(at - late))).expect("something happens");
            assert!((found - f64::from(milliseconds)).abs() < 1.5, "{found} for {milliseconds}");
        }
        // One of the two is silent at first.
        let mut late_start = tone(4.0, 0.5, glide);
        late_start[..3000].fill(0.0);
        let found = lag(&one, &late_start).expect("something happens");
        assert!(found.abs() < 1.5, "{found} with a late start");
        // Both click, at their own times: that is not what happens.
        let click = |begin: usize| {
            let mut sound = tone(4.0, 0.5, glide);
            for (at, sample) in sound[begin..begin + 480].iter_mut().enumerate() {
                *sample += if at % 2 == 0 { 0.4 } else { -0.4 };
            }
            sound
        };
        let found = lag(&click(RATE), &click(RATE + RATE / 25)).expect("something happens");
        assert!(found.abs() < 1.5, "{found} between two clicks");
        let steady = tone(4.0, 0.5, |_| 440.0);
        assert_eq!(lag(&steady, &tone(4.0, 0.5, |_| 440.0)), None);
        assert_eq!(lag(&[], &steady), None);
    }
}
