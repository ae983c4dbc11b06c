// SPDX-License-Identifier: MPL-2.0

//! Where a recording flashes and beeps. Pure.
//!
//! A flash is found to the picture, by its brightness. A beep is found roughly by its level, then
//! to the sample by its likeness to the beep that was sent; where an effect has changed the voice so
//! much that it is not alike any more, by its level alone, to a millisecond or two. (A rising tone at
//! another pitch is most alike a little beside its place: likeness would mislead.)

use super::sound::{RATE, Sound, chirp};
use std::collections::{BTreeMap, HashMap};

/// Level is taken over so many samples: 1 ms.
const WINDOW: usize = RATE as usize / 1_000;
/// Windows of less level before a beep: 100 ms, far less than what lies between two events.
const QUIET: usize = 100;
/// A beep is what is louder than this part of the loudest. Ours.
const LOUD: f32 = 0.2;
/// The beginning of a beep is looked for so many samples before and behind where its level rises.
const NEAR: usize = RATE as usize / 50;
/// The least likeness, of 1, of a beep that counts: what loss has cut or a codec has smeared is
/// nobody's beginning. Ours: coded beeps are above 0.9.
const ALIKE: f64 = 0.6;
/// What a beep was found by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sign {
    /// Its likeness to the one that was sent.
    Likeness,
    /// Its level only.
    Level,
}

/// The beeps of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Beeps {
    /// Their first samples.
    pub(crate) samples: Vec<usize>,
    pub(crate) by: Sign,
}

/// When the pictures turn white: the time of the first white one after a dark one, in seconds.
pub(crate) fn flashes(pictures: impl IntoIterator<Item = (f64, f64)>) -> Vec<f64> {
    let pictures: Vec<(f64, f64)> = pictures.into_iter().collect();
    let lumas = pictures.iter().map(|(_, luma)| *luma);
    let (least, most) = lumas.fold((f64::MAX, f64::MIN), |(a, b), luma| (a.min(luma), b.max(luma)));
    let middle = f64::midpoint(least, most);
    // A field that never changes by a third of the range does not flash.
    if most - least < 85.0 {
        return Vec::new();
    }
    pictures
        .windows(2)
        .filter(|pair| pair[0].1 < middle && pair[1].1 >= middle)
        .map(|pair| pair[1].0)
        .collect()
}

/// Takes out the flashes whose first picture is not the one with which the event began: that one was
/// lost, and nobody can tell from a later one when the flash was. Where pictures have no legible
/// number all stay.
pub(crate) fn drop_cut(
    flashes: &mut BTreeMap<usize, f64>,
    pictures: impl IntoIterator<Item = (f64, Option<u16>)>,
    events: &[u64],
) {
    let numbers: HashMap<u64, Option<u16>> =
        pictures.into_iter().map(|(time, number)| (time.to_bits(), number)).collect();
    flashes.retain(|event, time| {
        let number = numbers.get(&time.to_bits()).copied().flatten();
        // Numbers have 16 bits.
        number.is_none_or(|number| events.get(*event).map(|first| *first as u16) == Some(number))
    });
}

/// Where the sound beeps.
pub(crate) fn beeps(sound: &Sound) -> Beeps {
    let samples = sound.samples();
    let rough = rises(samples);
    let exact = alike(samples, &rough, &chirp());
    match is_found(&exact, &rough) {
        true => Beeps { samples: exact, by: Sign::Likeness },
        false => Beeps { samples: rough, by: Sign::Level },
    }
}

/// Most of what is loud must be a beep: loss cuts some.
fn is_found(found: &[usize], of: &[usize]) -> bool {
    !of.is_empty() && found.len() * 2 > of.len()
}

/// Where the level rises after quiet.
pub(crate) fn rises(samples: &[f32]) -> Vec<usize> {
    let levels: Vec<f32> = samples
        .chunks_exact(WINDOW)
        .map(|window| (window.iter().map(|x| x * x).sum::<f32>() / WINDOW as f32).sqrt())
        .collect();
    let loudest = levels.iter().copied().fold(0.0, f32::max);
    let loud = loudest * LOUD;
    let mut quiet = QUIET;
    let mut found = Vec::new();
    for (window, level) in levels.iter().enumerate() {
        if *level < loud || loudest <= 0.0 {
            quiet += 1;
            continue;
        }
        if quiet >= QUIET {
            found.push(window * WINDOW);
        }
        quiet = 0;
    }
    found
}

/// Of each rough place, where the sound is most like the beep; those that are not alike are left out.
fn alike(samples: &[f32], rough: &[usize], beep: &[f32]) -> Vec<usize> {
    rough
        .iter()
        .filter_map(|place| best(samples, *place, beep))
        .filter(|(likeness, _)| *likeness >= ALIKE)
        .map(|(_, place)| place)
        .collect()
}

/// The greatest likeness around a place: the cosine between the sound and the beep, up to 1.
fn best(samples: &[f32], place: usize, beep: &[f32]) -> Option<(f64, usize)> {
    let energy: f64 = beep.iter().map(|x| f64::from(x * x)).sum();
    let from = place.saturating_sub(NEAR);
    let to = (place + NEAR).min(samples.len().checked_sub(beep.len())?);
    (from..=to)
        .map(|at| {
            let piece = &samples[at..at + beep.len()];
            let (mut dot, mut own) = (0.0_f32, 0.0_f32);
            for (a, b) in piece.iter().zip(beep) {
                dot += a * b;
                own += a * a;
            }
            (f64::from(dot) / (energy * f64::from(own)).sqrt().max(1e-9), at)
        })
        .max_by(|a, b| a.0.total_cmp(&b.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Noise with beeps at these samples.
    fn sound(length: usize, at: &[usize]) -> Sound {
        let mut state = 1_u32;
        let mut samples: Vec<f32> = (0..length)
            .map(|_| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (state >> 16) as f32 / 65_536.0 * 0.04 - 0.02
            })
            .collect();
        for at in at {
            for (place, beep) in samples[*at..].iter_mut().zip(chirp()) {
                *place += beep;
            }
        }
        let mut sound = Sound::default();
        sound.push(0.0, samples);
        sound
    }

    #[test]
    fn beeps_are_found_to_the_sample_in_noise() {
        let at = [4_801, 50_000, 99_999];
        let beeps = beeps(&sound(120_000, &at));
        assert_eq!(beeps, Beeps { samples: at.to_vec(), by: Sign::Likeness });
    }

    #[test]
    fn what_is_loud_but_no_beep_is_found_by_its_level() {
        let mut samples = vec![0.0; 100_000];
        for at in [10_000, 60_000] {
            for (n, sample) in samples[at..at + 2_000].iter_mut().enumerate() {
                *sample = if n / 7 % 2 == 0 { 0.4 } else { -0.4 };
            }
        }
        let mut sound = Sound::default();
        sound.push(0.0, samples);
        let beeps = beeps(&sound);
        assert_eq!(beeps.by, Sign::Level);
        assert_eq!(beeps.samples.len(), 2);
        assert!(beeps.samples[1].abs_diff(60_000) <= WINDOW);
    }

    #[test]
    fn a_beep_that_is_cut_does_not_count() {
        let mut sound = sound(200_000, &[20_000, 60_000, 100_000]);
        let mut samples = sound.samples().to_vec();
        samples[60_000..61_200].fill(0.0);
        sound = Sound::default();
        sound.push(0.0, samples);
        assert_eq!(beeps(&sound).samples, [20_000, 100_000]);
    }

    #[test]
    fn silence_has_no_beep_and_a_dark_film_no_flash() {
        let mut silence = Sound::default();
        silence.push(0.0, vec![0.0; 48_000]);
        assert!(beeps(&silence).samples.is_empty());
        assert!(beeps(&Sound::default()).samples.is_empty());
        assert!(flashes((0..50).map(|n| (f64::from(n), 40.0))).is_empty());
        assert!(flashes([]).is_empty());
    }

    #[test]
    fn a_flash_that_lost_its_first_picture_does_not_count() {
        let mut flashes = BTreeMap::from([(0, 1.0), (1, 2.4), (2, 3.7)]);
        let pictures = [(1.0, Some(25)), (2.4, Some(61)), (3.7, None)];
        drop_cut(&mut flashes, pictures, &[25, 60, 93]);
        assert_eq!(flashes, BTreeMap::from([(0, 1.0), (2, 3.7)]));
        // Numbers begin anew after 65 535.
        let mut flashes = BTreeMap::from([(0, 1.0)]);
        drop_cut(&mut flashes, [(1.0, Some(4))], &[65_540]);
        assert_eq!(flashes.len(), 1);
    }

    #[test]
    fn a_flash_begins_with_its_first_white_picture() {
        let white = [5, 6, 7, 20, 21, 22, 40];
        let film = (0..50).map(|n| {
            let luma = if white.contains(&n) { 200.0 } else { 50.0 };
            (f64::from(n) / 25.0, luma + f64::from(n % 3))
        });
        assert_eq!(flashes(film), [5.0 / 25.0, 20.0 / 25.0, 40.0 / 25.0]);
    }
}
