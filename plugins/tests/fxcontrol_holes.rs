// SPDX-License-Identifier: MPL-2.0

//! Sound with holes, bursts and straying timestamps on its way through effects.

#![allow(clippy::unwrap_used)]

mod fxcontrol_rig;

use fxcontrol_rig::{MS, Piece, RATE, Rig, goertzel};

/// 20 ms of a tone, loud, its phase by its own time.
fn tone(at: u64, hertz: f64) -> Vec<f32> {
    let step = 2.0 * std::f64::consts::PI * hertz / RATE as f64;
    (0..960).map(|n| ((at * RATE / 1_000_000_000 + n) as f64 * step).sin() as f32 * 0.5).collect()
}

fn push_tone(rig: &mut Rig, from_ms: u64, to_ms: u64, hertz: f64) {
    for at in (from_ms..to_ms).step_by(20) {
        rig.push(at, &tone(at * MS, hertz));
    }
}

/// Where sound begins and ends, in ms: stretches of pieces of 2 ms that are loud.
fn stretches(pieces: &[Piece]) -> Vec<(u64, u64)> {
    let mut stretches: Vec<(u64, u64)> = Vec::new();
    for piece in pieces {
        for (number, samples) in piece.samples.chunks(96).enumerate() {
            let at = piece.pts / MS + number as u64 * 2;
            let loud = samples.iter().any(|sample| sample.abs() > 0.1);
            match stretches.last_mut() {
                Some((_, end)) if loud && at <= *end + 4 => *end = at + 2,
                _ if loud => stretches.push((at, at + 2)),
                _ => {}
            }
        }
    }
    stretches
}

/// Pieces never overlap and never go back.
fn assert_forwards(pieces: &[Piece]) {
    for pair in pieces.windows(2) {
        let end = pair[0].pts + pair[0].samples.len() as u64 * 1_000_000_000 / RATE;
        assert!(pair[1].pts + MS / 10 >= end, "{} behind {end}", pair[1].pts);
    }
}

const NO_EFFECT: &str = "";
const NO_DELAY: &str = "volume name=fx";
const WITH_DELAY: &str = "pitch name=fx pitch=1.5";

#[test]
fn sound_behind_a_hole_comes_out_at_its_own_time() {
    for fx in [NO_EFFECT, NO_DELAY, WITH_DELAY] {
        for hole in [60, 1000, 10_000] {
            let mut rig = Rig::audio(&[("fx", fx)]);
            push_tone(&mut rig, 0, 1000, 440.0);
            push_tone(&mut rig, 1000 + hole, 2000 + hole, 440.0);
            let pieces = rig.pieces();
            assert_forwards(&pieces);
            let heard = stretches(&pieces);
            assert_eq!(heard.len(), 2, "{fx} {hole}: {heard:?}");
            // pitch works on windows of some 10 ms.
            assert!(heard[0].0 < 20 && heard[0].1.abs_diff(1000) < 20, "{fx} {hole}: {heard:?}");
            assert!(heard[1].0.abs_diff(1000 + hole) < 20, "{fx} {hole}: {heard:?}");
        }
    }
}

#[test]
fn a_short_hole_is_filled_a_shorter_one_is_a_stray_timestamp() {
    for (hole, out) in [(10, 1000), (11, 1011), (60, 1060), (100, 1100)] {
        let mut rig = Rig::audio(&[("fx", NO_DELAY)]);
        push_tone(&mut rig, 0, 500, 440.0);
        push_tone(&mut rig, 500 + hole, 1000 + hole, 440.0);
        let pieces = rig.pieces();
        fxcontrol_rig::assert_contiguous(&pieces);
        let samples: usize = pieces.iter().map(|piece| piece.samples.len()).sum();
        assert_eq!(samples as u64, out * 48, "{hole}");
    }
}

#[test]
fn a_long_pause_is_no_burst_of_silence() {
    for fx in [NO_EFFECT, NO_DELAY, WITH_DELAY] {
        let mut rig = Rig::audio(&[("fx", fx)]);
        push_tone(&mut rig, 0, 1000, 440.0);
        push_tone(&mut rig, 11_000, 12_000, 440.0);
        let samples: usize = rig.pieces().iter().map(|piece| piece.samples.len()).sum();
        assert!(samples <= 2000 * 48 + 4800, "{fx}: {samples}");
    }
}

#[test]
fn nothing_piles_up_over_a_hundred_holes() {
    let mut rig = Rig::audio(&[("fx", WITH_DELAY)]);
    let mut at = 0;
    for hole in 0..100 {
        push_tone(&mut rig, at, at + 400, 440.0);
        at += 400 + [60, 11, 300, 101, 7][hole % 5];
    }
    let start = at;
    push_tone(&mut rig, at + 500, at + 1000, 440.0);
    let pieces = rig.pieces();
    assert_forwards(&pieces);
    let heard = stretches(&pieces);
    let last = heard.last().unwrap();
    assert!(last.0.abs_diff(start + 500) < 20, "{last:?} instead of {start}");
}

#[test]
fn the_effect_is_still_the_effect_behind_a_pause() {
    let mut rig = Rig::audio(&[("fx", WITH_DELAY)]);
    push_tone(&mut rig, 0, 1000, 400.0);
    rig.control("fx", "pitch", 2.0, 0);
    push_tone(&mut rig, 3000, 5000, 400.0);
    let samples: Vec<f32> = rig
        .pieces()
        .iter()
        .filter(|piece| piece.pts > 3500 * MS)
        .flat_map(|piece| piece.samples.clone())
        .collect();
    assert!(goertzel(&samples, 800.0) > 100.0 * goertzel(&samples, 400.0));
    assert!(goertzel(&samples, 800.0) > 100.0 * goertzel(&samples, 600.0));
}

#[test]
fn sound_whose_time_has_its_sound_is_dropped_and_never_adds_up() {
    let mut rig = Rig::audio(&[("fx", NO_DELAY)]);
    // A sender whose packets lie 19 ms apart, each of 20 ms.
    for number in 0..500 {
        rig.push(number * 19, &[0.5; 960]);
    }
    let pieces = rig.pieces();
    fxcontrol_rig::assert_contiguous(&pieces);
    let samples: usize = pieces.iter().map(|piece| piece.samples.len()).sum();
    assert!((samples as u64).abs_diff(500 * 19 * 48) <= 20 * 48, "{samples}");
}

#[test]
fn bypass_holds_through_a_pause() {
    let mut rig = Rig::audio(&[("fx", WITH_DELAY), ("bypass", "true")]);
    push_tone(&mut rig, 0, 1000, 400.0);
    push_tone(&mut rig, 3000, 5000, 400.0);
    let pieces = rig.pieces();
    let heard = stretches(&pieces);
    assert_eq!(heard.len(), 2, "{heard:?}");
    assert!(heard[1].0.abs_diff(3000) < 4, "{heard:?}");
    let samples: Vec<f32> = pieces.iter().flat_map(|piece| piece.samples.clone()).collect();
    assert!(goertzel(&samples, 400.0) > 100.0 * goertzel(&samples, 600.0));
}
