// SPDX-License-Identifier: MPL-2.0

//! The sham: the original comes out when and as late as the effect's output would.

#![allow(clippy::unwrap_used)]

mod fxcontrol_rig;

use fxcontrol_rig::{MS, Piece, Rig, assert_contiguous};
use gst::prelude::*;

/// Each sample is its own number, small enough to be exact.
fn numbered(ms: u64) -> Vec<f32> {
    let first = u16::try_from(ms * 48).unwrap();
    (0..960).map(|place| f32::from(first + place) / 65536.0).collect()
}

fn sample_at(pieces: &[Piece], ms: u64) -> f32 {
    let at = ms * MS;
    let piece = pieces.iter().find(|piece| (piece.pts..piece.pts + piece.duration).contains(&at));
    let piece = piece.unwrap();
    piece.samples[usize::try_from((at - piece.pts) * 48 / MS).unwrap()]
}

#[test]
fn an_effect_without_latency_is_switched_at_the_buffer() {
    let mut rig = Rig::audio(&[("fx", "volume name=fx volume=0.5")]);
    for ms in (0..120).step_by(20) {
        rig.element.set_property("bypass", (40..80).contains(&ms));
        rig.push(ms, &numbered(ms));
    }
    let pieces = rig.pieces();
    assert_contiguous(&pieces);
    assert_eq!(pieces.len(), 6);
    for (number, piece) in pieces.iter().enumerate() {
        let gain = if (2..4).contains(&number) { 1.0 } else { 0.5 };
        let wanted: Vec<f32> =
            numbered(u64::try_from(number).unwrap() * 20).iter().map(|s| s * gain).collect();
        assert_eq!(piece.samples, wanted, "{number}");
    }
    assert_eq!(rig.told(), ["bypass  @40", "bypass  @80"]);
}

#[test]
fn ramps_go_on_unheard_while_bypass_is_on() {
    let mut rig = Rig::audio(&[("fx", "volume name=fx")]);
    rig.element.set_property("bypass", true);
    assert_eq!(rig.control("fx", "volume", 0.0, 40), None);
    for ms in [0, 20, 40] {
        rig.push(ms, &numbered(ms));
    }
    rig.element.set_property("bypass", false);
    rig.push(60, &numbered(60));
    let pieces = rig.pieces();
    assert_contiguous(&pieces);
    let samples: Vec<f32> = pieces.into_iter().flat_map(|piece| piece.samples).collect();
    let wanted: Vec<f32> = [0, 20, 40].into_iter().flat_map(numbered).collect();
    assert_eq!(samples[..2880], wanted);
    assert!(samples[2880..].iter().all(|sample| *sample == 0.0));
}

/// Runs `pitch`, whose output is late; gives how many samples were out after each buffer, and all.
fn run_pitch(bypass: impl Fn(u64) -> bool) -> (Vec<usize>, Vec<Piece>) {
    let mut rig = Rig::audio(&[("fx", "pitch pitch=1.5 name=fx")]);
    let mut out = Vec::new();
    let mut pieces = Vec::new();
    for ms in (0..1200).step_by(20) {
        rig.element.set_property("bypass", bypass(ms));
        rig.push(ms, &numbered(ms));
        pieces.extend(rig.pieces());
        out.push(pieces.iter().map(|piece| piece.samples.len()).sum());
    }
    (out, pieces)
}

#[test]
fn an_effect_with_latency_gives_the_original_out_as_late_as_its_own_output() {
    let (late, _) = run_pitch(|_| false);
    let (out, pieces) = run_pitch(|_| true);
    assert!(late[0] < 960, "pitch has no latency here: the test shows nothing");
    assert_eq!(out, late);
    for ms in [0, 1, 100, 333, 700, 1000] {
        let wanted = f32::from(u16::try_from(ms * 48).unwrap()) / 65536.0;
        assert!((sample_at(&pieces, ms) - wanted).abs() < 1e-7, "{ms}");
    }
    let samples: Vec<f32> = pieces.into_iter().flat_map(|piece| piece.samples).collect();
    let steps = samples.windows(2).filter(|pair| (pair[1] - pair[0] - 1.0 / 65536.0).abs() > 1e-7);
    assert_eq!(steps.count(), 0, "no sample is lost or doubled");
}

#[test]
fn an_effect_with_latency_is_switched_at_the_instant_of_the_media() {
    let (late, effect) = run_pitch(|_| false);
    let (out, pieces) = run_pitch(|ms| (400..800).contains(&ms));
    assert_eq!(out, late);
    for ms in [401, 500, 799] {
        let wanted = f32::from(u16::try_from(ms * 48).unwrap()) / 65536.0;
        assert!((sample_at(&pieces, ms) - wanted).abs() < 1e-7, "{ms}");
    }
    for ms in [10, 398, 802, 1000] {
        let wanted = sample_at(&effect, ms);
        assert!((sample_at(&pieces, ms) - wanted).abs() < 1e-7, "{ms}");
    }
}

#[test]
fn frames_come_out_as_they_went_in() {
    let mut rig = Rig::video(&[("fx", "coloreffects preset=heat name=fx")]);
    for (number, bypass) in [false, true, true, false].into_iter().enumerate() {
        rig.element.set_property("bypass", bypass);
        rig.push_frame(u64::try_from(number).unwrap() * 40, 60);
    }
    let lumas = rig.lumas();
    let original: Vec<_> = lumas.iter().map(|(_, luma)| (luma - 60.0).abs() < 0.01).collect();
    assert_eq!(original, [false, true, true, false], "{lumas:?}");
    let times: Vec<_> = lumas.iter().map(|(ms, _)| *ms).collect();
    assert_eq!(times, [0, 40, 80, 120]);
}

#[test]
fn an_effect_of_another_format_and_size_is_switched_without_a_change_of_the_output() {
    let mut rig = Rig::video(&[("fx", "videocrop left=4 ! edgetv name=fx")]);
    for number in 0u64..6 {
        rig.element.set_property("bypass", (2..4).contains(&number));
        rig.push_frame(number * 40, 60);
    }
    let mut original = Vec::new();
    while let Some(buffer) = rig.harness.try_pull() {
        assert_eq!(buffer.size(), 384);
        let map = buffer.map_readable().unwrap();
        original.push(map[..256].iter().all(|luma| luma.abs_diff(60) <= 1));
    }
    assert_eq!(original, [false, false, true, true, false, false]);
}

#[test]
fn the_latency_that_is_told_is_the_effects_with_and_without_bypass() {
    let latency = |factory: &str, properties: &[(&str, &str)]| {
        let mut rig = Rig::of(factory, properties, fxcontrol_rig::MONO);
        for ms in (0..400).step_by(20) {
            rig.push(ms, &numbered(ms));
        }
        rig.harness.query_latency()
    };
    let effect = latency("audiowsinclimit", &[("length", "2001"), ("cutoff", "100")]);
    let half_the_filter = gst::ClockTime::from_useconds(20_833);
    assert!(effect >= Some(half_the_filter), "{effect:?}");
    let fx = ("fx", "audiowsinclimit length=2001 cutoff=100");
    assert_eq!(latency("fxcontrol", &[fx]), effect);
    assert_eq!(latency("fxcontrol", &[fx, ("bypass", "true")]), effect);
}

#[test]
fn a_filter_with_a_tail_is_replaced_to_the_sample_and_its_tail_is_silent() {
    let fx = ("fx", "audiowsinclimit length=2001 cutoff=100");
    let mut rig = Rig::audio(&[fx, ("bypass", "true")]);
    for ms in (0..400).step_by(20) {
        rig.push(ms, &numbered(ms));
    }
    rig.harness.push_event(gst::event::Eos::new());
    let pieces = rig.pieces();
    let samples: Vec<f32> = pieces.iter().flat_map(|piece| piece.samples.clone()).collect();
    let original: Vec<f32> = (0..400).step_by(20).flat_map(numbered).collect();
    assert_eq!(samples[..original.len()], original);
    assert!(samples[original.len()..].iter().all(|sample| *sample == 0.0));
}
