// SPDX-License-Identifier: MPL-2.0

//! Where decoded sound goes: sample n of an output is the one at n / 48000 s. Pure.

use std::collections::VecDeque;

/// Samples a second, everywhere here.
pub(crate) const RATE: u64 = 48_000;

/// How far a block's time may be from the end of the one before it and still follow it without a
/// seam, in samples: 1.25 ms, half of the shortest Opus packet, which is what the recorder fills
/// holes with; the coarsest of our containers (mkv) tells times in milliseconds.
const SEAM: i64 = 60;

/// A time in ns as a number of samples.
pub(crate) fn samples(nanoseconds: i64) -> i64 {
    let product = i128::from(nanoseconds) * i128::from(RATE);
    let second = 1_000_000_000;
    #[allow(clippy::cast_possible_truncation)] // smaller than what came in
    {
        (product + second / 2).div_euclid(second) as i64
    }
}

/// A samples' number as a time in ns.
#[allow(clippy::cast_possible_truncation)] // hours in ns fit
pub(crate) fn nanoseconds(samples: i64) -> i64 {
    (i128::from(samples) * 1_000_000_000 / i128::from(RATE)) as i64
}

/// Samples from some place to another, the end not included.
pub(crate) type Span = (i64, i64);

/// Sound on its way from decoded blocks to an output.
#[derive(Debug)]
pub(crate) struct Line {
    /// Where the first of `waiting` is.
    head: i64,
    waiting: VecDeque<i16>,
    /// Where the last block ended; none after a break.
    tail: Option<i64>,
    /// What had no sound.
    silent: Vec<Span>,
}

impl Line {
    /// A line whose output begins at sample `start`.
    pub(crate) fn new(start: i64) -> Self {
        Self { head: start, waiting: VecDeque::new(), tail: None, silent: Vec::new() }
    }

    /// How far sound is known.
    pub(crate) fn known(&self) -> i64 {
        self.head + length(self.waiting.len())
    }

    /// Another file follows: its first block stands where its own time says.
    pub(crate) fn seam(&mut self) {
        self.tail = None;
    }

    /// A block whose first sample is at `at`, by its time; what is at or after `end` is left out.
    pub(crate) fn add(&mut self, at: i64, block: &[i16], end: i64) {
        let at = match self.tail {
            Some(tail) if (at - tail).abs() <= SEAM => tail,
            _ => at,
        };
        self.tail = Some(at + length(block.len()));
        let known = self.known();
        if at > known {
            self.fill(at.min(end));
        }
        let skip = usize::try_from(known - at).unwrap_or(0);
        let room = usize::try_from(end - at.max(known)).unwrap_or(0);
        self.waiting.extend(block.iter().skip(skip).take(room));
    }

    /// Silence up to a sample.
    fn fill(&mut self, to: i64) {
        let from = self.known();
        let Ok(missing) = usize::try_from(to - from) else { return };
        if missing > 0 {
            self.silent.push((from, to));
            self.waiting.extend(std::iter::repeat_n(0, missing));
        }
    }

    /// The sound up to a sample, with silence where there is none.
    pub(crate) fn take(&mut self, to: i64) -> Vec<i16> {
        self.fill(to);
        let count = usize::try_from(to - self.head).unwrap_or(0);
        self.head += length(count);
        self.waiting.drain(..count).collect()
    }

    /// What had no sound, in order, neighbours as one.
    pub(crate) fn silent(&self) -> Vec<Span> {
        let mut spans: Vec<Span> = Vec::new();
        for span in &self.silent {
            match spans.last_mut() {
                Some(last) if last.1 == span.0 => last.1 = span.1,
                _ => spans.push(*span),
            }
        }
        spans
    }
}

fn length(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// Where somebody stands between the loudspeakers: how much of them is in each, for the `index`th
/// of `count` people from left to right. Equal power, so that all are equally loud; the sum of all
/// is kept from clipping by dividing by the root of their number.
pub(crate) fn place(index: usize, count: usize) -> [f32; 2] {
    #[allow(clippy::cast_precision_loss)] // eight people
    let (index, count) = (index as f32, count as f32);
    let angle = (index + 0.5) / count * std::f32::consts::FRAC_PI_2;
    [angle.cos(), angle.sin()].map(|gain| gain / count.sqrt())
}

/// Everybody's sound as stereo, interleaved.
#[allow(clippy::cast_possible_truncation)] // kept within the range first
pub(crate) fn mix(people: &[Vec<i16>]) -> Vec<i16> {
    let longest = people.iter().map(Vec::len).max().unwrap_or(0);
    let gains: Vec<_> = (0..people.len()).map(|index| place(index, people.len())).collect();
    let mut mixed = Vec::with_capacity(2 * longest);
    for n in 0..longest {
        for side in 0..2 {
            let parts = people
                .iter()
                .zip(&gains)
                .map(|(sound, gain)| f32::from(sound.get(n).copied().unwrap_or(0)) * gain[side]);
            let sum = parts.sum::<f32>().round();
            mixed.push(sum.clamp(f32::from(i16::MIN), f32::from(i16::MAX)) as i16);
        }
    }
    mixed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_the_nearest_sample() {
        for (time, sample) in [(0, 0), (20_000_000, 960), (10_417, 1), (-20_833, -1), (10_400, 0)] {
            assert_eq!(samples(time), sample, "{time}");
        }
        assert_eq!(nanoseconds(960), 20_000_000);
    }

    #[test]
    fn blocks_follow_each_other_without_a_seam_when_their_times_are_rounded() {
        let mut line = Line::new(0);
        line.add(0, &[1; 960], 9600);
        line.add(1008, &[2; 960], 9600);
        line.add(1872, &[3; 960], 9600);
        let sound = line.take(2880);
        assert_eq!([sound[959], sound[960], sound[1919], sound[1920]], [1, 2, 2, 3]);
        assert_eq!(line.silent(), []);
    }

    #[test]
    fn a_hole_is_silent_and_what_follows_stands_at_its_time() {
        let mut line = Line::new(0);
        line.add(100, &[1; 100], 1000);
        line.add(400, &[2; 100], 1000);
        let sound = line.take(600);
        let heard: Vec<_> = [99, 100, 199, 200, 399, 400, 499, 500].map(|n| sound[n]).to_vec();
        assert_eq!(heard, [0, 1, 1, 0, 0, 2, 2, 0]);
        assert_eq!(line.silent(), [(0, 100), (200, 400), (500, 600)]);
        assert_eq!(line.take(700), [0; 100]);
        assert_eq!(line.silent(), [(0, 100), (200, 400), (500, 700)]);
    }

    #[test]
    fn what_is_before_the_start_after_the_end_or_twice_is_left_out() {
        let mut line = Line::new(50);
        line.add(0, &[1; 100], 200);
        line.add(200, &[9; 100], 200);
        line.seam();
        line.add(80, &[2; 100], 200);
        assert_eq!(line.take(200), [&[1; 50][..], &[0; 100]].concat());
        let mut line = Line::new(0);
        line.add(0, &[1; 100], 200);
        line.seam();
        line.add(80, &[2; 200], 200);
        assert_eq!(line.take(200), [&[1; 100][..], &[2; 100]].concat());
    }

    #[test]
    fn people_stand_from_left_to_right_and_never_clip() {
        let [left, right] = [place(0, 2), place(1, 2)];
        assert!(left[0] > left[1] && right[1] > right[0]);
        assert!((left[0] - right[1]).abs() < 1e-6);
        let loud = mix(&[vec![i16::MAX; 2], vec![i16::MAX; 1]]);
        assert_eq!(loud.len(), 4);
        assert!(loud[0] > 30_000 && loud[2] > loud[3], "{loud:?}");
        assert!(mix(&[]).is_empty());
    }
}
