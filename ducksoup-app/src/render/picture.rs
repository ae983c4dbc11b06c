// SPDX-License-Identifier: MPL-2.0

//! Two recordings of a picture that should be the same, held against each other. Pure.
//!
//! Pictures are compared small: the recorded one was encoded for what the others' lines could take,
//! and its fine grain says nothing of the effect.

/// Size of the pictures that are compared, even; ours.
pub(super) const WIDTH: usize = 80;
/// See [`WIDTH`].
pub(super) const HEIGHT: usize = 60;
/// Bytes of such a picture: a plane of luma, two of a quarter of its size.
pub(super) const BYTES: usize = WIDTH * HEIGHT * 3 / 2;
/// How many pictures one may be shown later than the other, at most: a grid that begins at another
/// picture may place one that lies between two slots in the other slot.
const FARTHEST: isize = 2;
/// The best that is told, in dB: that of pictures that are the same.
const SAME: f64 = 99.0;

/// A small picture in I420, and when it is shown, in ns of the file.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Picture {
    /// When.
    pub(super) time: u64,
    /// [`BYTES`] of it.
    pub(super) planes: Vec<u8>,
}

/// One second of two recordings.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Second {
    /// Pictures that are in both.
    pub(super) pictures: usize,
    /// Likeness of their luma, the mean of all, in dB.
    pub(super) psnr: f64,
    /// How far the mean colours are apart, the worst of Y, U, V, of 255, in the mean of all.
    pub(super) colour: f64,
}

/// What came of a comparison.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Comparison {
    /// How many pictures later the other one shows the same.
    pub(super) later: isize,
    /// Each second that has pictures in both.
    pub(super) seconds: Vec<(usize, Second)>,
}

/// Compares two recordings, picture by picture at the same times; `period` is the time between two
/// pictures (ns). `from` is where it begins (ns): pictures before it stand for what was not recorded.
pub(super) fn compare(one: &[Picture], other: &[Picture], period: u64, from: u64) -> Comparison {
    let pairs = |later: isize| -> Vec<(&Picture, &Picture)> {
        let shift = later.unsigned_abs() as u64 * period;
        one.iter()
            .filter(|picture| picture.time >= from)
            .filter_map(|picture| {
                let wanted =
                    if later < 0 { picture.time.checked_sub(shift)? } else { picture.time + shift };
                Some((picture, at(other, wanted, period)?))
            })
            .collect()
    };
    let likeness = |pairs: &[(&Picture, &Picture)]| {
        mean(pairs.iter().map(|(one, other)| psnr(one, other))).unwrap_or(0.0)
    };
    // Those that differ less from no shift come first: a still picture fits at any.
    let mut shifts: Vec<_> = (-FARTHEST..=FARTHEST).collect();
    shifts.sort_by_key(|shift| shift.abs());
    let mut best = (0, likeness(&pairs(0)));
    for later in shifts {
        let fit = likeness(&pairs(later));
        if fit > best.1 + 0.1 {
            best = (later, fit);
        }
    }
    let pairs = pairs(best.0);
    let mut seconds = Vec::new();
    for chunk in pairs.chunk_by(|(one, _), (two, _)| second(one) == second(two)) {
        let both = || chunk.iter();
        seconds.push((
            second(chunk[0].0),
            Second {
                pictures: chunk.len(),
                psnr: mean(both().map(|(one, other)| psnr(one, other))).unwrap_or(SAME),
                colour: mean(both().map(|(one, other)| apart(one, other))).unwrap_or(0.0),
            },
        ));
    }
    Comparison { later: best.0, seconds }
}

fn second(picture: &Picture) -> usize {
    usize::try_from(picture.time / 1_000_000_000).unwrap_or(usize::MAX)
}

/// The picture that is nearest to a time, if it is within half a period.
fn at(pictures: &[Picture], time: u64, period: u64) -> Option<&Picture> {
    let place = pictures.partition_point(|picture| picture.time < time);
    let candidates = [place.checked_sub(1), Some(place)].into_iter().flatten();
    candidates
        .filter_map(|place| pictures.get(place))
        .min_by_key(|picture| picture.time.abs_diff(time))
        .filter(|picture| picture.time.abs_diff(time) <= period / 2)
}

/// Likeness of the luma, in dB (ITU-T J.340).
fn psnr(one: &Picture, other: &Picture) -> f64 {
    let luma = |picture: &Picture| picture.planes[..WIDTH * HEIGHT].to_vec();
    let squares = luma(one).into_iter().zip(luma(other));
    let squares = squares.map(|(one, other)| f64::from(one.abs_diff(other)).powi(2));
    match mean(squares) {
        Some(error) if error > 0.0 => (10.0 * (255.0 * 255.0 / error).log10()).min(SAME),
        _ => SAME,
    }
}

/// How far the mean colours are apart.
fn apart(one: &Picture, other: &Picture) -> f64 {
    let means = [colour(one), colour(other)];
    (0..3).map(|plane| (means[0][plane] - means[1][plane]).abs()).fold(0.0, f64::max)
}

/// The mean of Y, U and V.
pub(super) fn colour(picture: &Picture) -> [f64; 3] {
    let (luma, chroma) = picture.planes.split_at(WIDTH * HEIGHT);
    let (u, v) = chroma.split_at(chroma.len() / 2);
    [luma, u, v].map(|plane| mean(plane.iter().map(|value| f64::from(*value))).unwrap_or(0.0))
}

fn mean(values: impl Iterator<Item = f64>) -> Option<f64> {
    let (mut sum, mut count) = (0.0, 0.0);
    for value in values {
        sum += value;
        count += 1.0;
    }
    (count > 0.0).then(|| sum / count)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PERIOD: u64 = 40_000_000;

    /// A bright bar that moves by four pixels a picture, on a colour.
    fn film(pictures: u64, first: u64, colour: u8) -> Vec<Picture> {
        (0..pictures)
            .map(|number| {
                let mut planes = vec![colour; BYTES];
                for (place, luma) in planes[..WIDTH * HEIGHT].iter_mut().enumerate() {
                    let bar = (4 * number as usize) % WIDTH;
                    *luma = if (bar..bar + 8).contains(&(place % WIDTH)) { 235 } else { 16 };
                }
                Picture { time: (first + number) * PERIOD, planes }
            })
            .collect()
    }

    #[test]
    fn the_same_film_is_the_same_in_every_second() {
        let film = film(60, 0, 128);
        let found = compare(&film, &film, PERIOD, 0);
        assert_eq!(found.later, 0);
        let seconds: Vec<_> =
            found.seconds.iter().map(|(at, second)| (*at, second.pictures)).collect();
        assert_eq!(seconds, [(0, 25), (1, 25), (2, 10)]);
        assert!(found.seconds.iter().all(|(_, s)| s.psnr >= SAME && s.colour == 0.0));
    }

    #[test]
    fn another_colour_and_a_later_picture_are_told_apart() {
        let found = compare(&film(50, 0, 128), &film(50, 1, 108), PERIOD, 0);
        assert_eq!(found.later, 1);
        for (_, second) in &found.seconds {
            assert!(second.psnr >= SAME && (second.colour - 20.0).abs() < 1e-9, "{second:?}");
        }
    }

    #[test]
    fn what_was_not_recorded_is_not_compared() {
        let found = compare(&film(50, 0, 128), &film(50, 0, 128), PERIOD, 30 * PERIOD);
        assert_eq!(found.seconds.iter().map(|(_, second)| second.pictures).sum::<usize>(), 20);
        assert_eq!(compare(&[], &film(5, 0, 1), PERIOD, 0).seconds, []);
    }
}
