// SPDX-License-Identifier: MPL-2.0

//! What everybody sees and hears in these measurements: a head that moves and a mouth that opens in
//! front of a room, with a camera's noise; a voice that speaks four syllables a second. Made of
//! formulas, so that it costs no file, and periodic, so that it can be played again and again. Pure.

use std::f64::consts::TAU;

/// Samples a second of the sound.
pub(crate) const RATE: u32 = 48_000;
/// Length of a period, in s.
pub(crate) const SECONDS: u32 = 4;

/// A number from 0 to 255 that looks like chance, the same for the same place.
fn chance(x: usize, y: usize, z: usize) -> i32 {
    let mut seed = (x as u32).wrapping_mul(0x9E37_79B1)
        ^ (y as u32).wrapping_mul(0x85EB_CA77)
        ^ (z as u32).wrapping_mul(0xC2B2_AE3D);
    seed ^= seed >> 15;
    seed = seed.wrapping_mul(0x2C1B_3C6D);
    seed ^= seed >> 12;
    (seed >> 24) as i32
}

/// An I420 picture without padding; `phase` (0 to 1) tells where in the period it is, `number` varies
/// the noise.
pub(crate) fn picture(width: usize, height: usize, phase: f64, number: usize) -> Vec<u8> {
    let (w, h) = (width as f64, height as f64);
    let center =
        (w * (0.5 + 0.06 * (TAU * phase).sin()), h * (0.5 + 0.03 * (2.0 * TAU * phase).sin()));
    let mouth = 0.04 * (1.0 + (TAU * phase * 4.0 * f64::from(SECONDS)).sin());
    let inside = |x: f64, y: f64, at: (f64, f64), size: (f64, f64)| {
        ((x - at.0) / size.0).powi(2) + ((y - at.1) / size.1).powi(2) < 1.0
    };
    let head = |x: f64, y: f64| inside(x, y, center, (0.17 * w, 0.32 * h));
    let mut bytes = vec![128; width * height * 3 / 2];
    for y in 0..height {
        for x in 0..width {
            let (fx, fy) = (x as f64, y as f64);
            let (dx, dy) = (fx - center.0, fy - center.1);
            let light = if !head(fx, fy) {
                // Wallpaper with a texture, in the same place in every picture.
                95.0 + 35.0 * (fx / 37.0).sin() * (fy / 53.0).cos()
                    + f64::from(chance(x, y, 0) / 16)
            } else if inside(dx, dy, (0.0, 0.17 * h), (0.06 * w, mouth * h)) {
                50.0
            } else if inside(dx.abs(), dy, (0.065 * w, -0.08 * h), (0.025 * w, 0.02 * h)) {
                35.0
            } else {
                165.0 + 25.0 * (dx / (0.17 * w)) + 6.0 * (dy / 9.0).sin() * (dx / 7.0).cos()
            };
            let noise = chance(x, y, number + 1) % 5 - 2;
            bytes[y * width + x] = (light as i32 + noise).clamp(16, 235) as u8;
        }
    }
    let chroma = width / 2 * (height / 2);
    let (blue, red) = bytes[width * height..].split_at_mut(chroma);
    for y in 0..height / 2 {
        for x in 0..width / 2 {
            let place = y * (width / 2) + x;
            let is_skin = head(2.0 * x as f64, 2.0 * y as f64);
            (blue[place], red[place]) = if is_skin { (112, 150) } else { (135, 122) };
        }
    }
    bytes
}

/// Sample `number` of the sound, from -1 to 1.
pub(crate) fn sample(number: u32) -> f64 {
    let t = f64::from(number) / f64::from(RATE);
    // A melody of 120 Hz ± 20 Hz, twice a period; its phase is the integral.
    let slow = 2.0 / f64::from(SECONDS);
    let phase = TAU * 120.0 * t - 20.0 / slow * (TAU * slow * t).cos();
    let pitch = 120.0 + 20.0 * (TAU * slow * t).sin();
    // Formants of an a that turns into an o and back.
    let turn = (TAU * slow * 2.0 * t).sin();
    let formants = [(600.0 + 150.0 * turn, 1.0), (1050.0 + 200.0 * turn, 0.6), (2600.0, 0.25)];
    let voice: f64 = (1..=30)
        .map(|harmonic| {
            let harmonic = f64::from(harmonic);
            let loud =
                |(at, loud): (f64, f64)| loud / (1.0 + ((harmonic * pitch - at) / 130.0).powi(2));
            formants.into_iter().map(loud).sum::<f64>() * (harmonic * phase).sin()
        })
        .sum();
    let syllable = (TAU * 2.0 * t).sin().abs().sqrt();
    let breath = f64::from(chance(number as usize, 1, 1) - 128) / 128.0 * 0.004;
    (0.16 * voice * syllable + breath).clamp(-1.0, 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_picture_moves_and_comes_back() {
        let distance = |one: &[u8], other: &[u8]| {
            let sum: u64 = one.iter().zip(other).map(|(a, b)| u64::from(a.abs_diff(*b))).sum();
            sum as f64 / one.len() as f64
        };
        let (first, later) = (picture(160, 120, 0.0, 0), picture(160, 120, 0.2, 1));
        let again = picture(160, 120, 1.0, 2);
        assert_eq!(first.len(), 160 * 120 * 3 / 2);
        assert!(distance(&first, &again) < 2.0, "noise alone: {}", distance(&first, &again));
        assert!(distance(&first, &later) > 3.0, "{}", distance(&first, &later));
    }

    #[test]
    fn the_voice_has_a_level_and_no_seam() {
        let samples: Vec<f64> = (0..RATE * SECONDS).map(sample).collect();
        let power = samples.iter().map(|value| value * value).sum::<f64>() / samples.len() as f64;
        assert!((0.05..0.4).contains(&power.sqrt()), "{}", power.sqrt());
        assert!(samples.iter().all(|value| value.abs() < 1.0), "it is not clipped");
        let seam = (sample(RATE * SECONDS) - sample(0)).abs();
        assert!(seam < 0.02, "{seam}");
    }
}
