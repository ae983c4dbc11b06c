// SPDX-License-Identifier: MPL-2.0

//! The beep, and sound with its times. Pure.
//!
//! The beep is a chirp: its correlation with itself is a narrow peak, so that a recording tells to
//! the sample where it begins.

use std::f64::consts::PI;

/// Samples a second, everywhere here.
pub(crate) const RATE: u32 = 48_000;
/// Length of the beep in samples: 40 ms, two Opus packets.
const LENGTH: usize = 1_920;
/// It rises from and to, in Hz: the band of voices, which every codec keeps.
const FROM: f64 = 500.0;
const TO: f64 = 3_500.0;
/// It swells and fades within so many samples (4 ms), without a click.
const EDGE: usize = 192;
/// How loud it is, of 1. Ours: far from clipping, far above noise.
const LOUDNESS: f64 = 0.5;

/// The beep.
pub(crate) fn chirp() -> Vec<f32> {
    let span = LENGTH as f64 / f64::from(RATE);
    (0..LENGTH)
        .map(|n| {
            let t = n as f64 / f64::from(RATE);
            let phase = 2.0 * PI * (FROM * t + (TO - FROM) * t * t / (2.0 * span));
            let edge = (n.min(LENGTH - 1 - n)).min(EDGE) as f64 / EDGE as f64;
            let swell = 0.5 - 0.5 * (PI * edge).cos();
            (LOUDNESS * swell * phase.sin()) as f32
        })
        .collect()
}

/// Sound from a file: its samples, and where each piece of them lies.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Sound {
    samples: Vec<f32>,
    /// First sample of each piece, and its time in seconds.
    pieces: Vec<(usize, f64)>,
}

impl Sound {
    /// The next piece, which begins at `time`, in seconds.
    pub(crate) fn push(&mut self, time: f64, samples: impl IntoIterator<Item = f32>) {
        self.pieces.push((self.samples.len(), time));
        self.samples.extend(samples);
    }

    pub(crate) fn samples(&self) -> &[f32] {
        &self.samples
    }

    /// When a sample is, in seconds.
    pub(crate) fn time(&self, sample: usize) -> f64 {
        let after = self.pieces.partition_point(|(first, _)| *first <= sample);
        let (first, time) = self.pieces.get(after.saturating_sub(1)).copied().unwrap_or_default();
        time + sample.saturating_sub(first) as f64 / f64::from(RATE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_lies_where_its_piece_says() {
        let mut sound = Sound::default();
        sound.push(1.0, vec![0.0; 48]);
        sound.push(2.0, vec![0.0; 48]);
        assert_eq!(sound.samples().len(), 96);
        for (sample, time) in [(0, 1.0), (24, 1.0005), (48, 2.0), (95, 2.0 + 47.0 / 48_000.0)] {
            assert!((sound.time(sample) - time).abs() < 1e-9, "{sample}");
        }
    }

    #[test]
    fn the_beep_is_like_itself_at_one_place_only() {
        let chirp = chirp();
        let dot = |lag: usize| -> f32 {
            chirp.iter().zip(&chirp[lag..]).map(|(a, b)| a * b).sum::<f32>()
        };
        let whole = dot(0);
        assert!(dot(24) < whole / 3.0, "half a millisecond away");
        assert!((24..960).all(|lag| dot(lag) < whole / 3.0));
    }
}
