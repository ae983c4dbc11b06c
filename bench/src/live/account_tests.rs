// SPDX-License-Identifier: MPL-2.0

#![allow(clippy::unwrap_used)]

use super::*;
use crate::live::reading::Packet;
use crate::live::track::{Report, Sent};

fn packet(timestamp: u32) -> Packet {
    Packet { bytes: Vec::new(), ssrc: 1, timestamp, time: 0.0 }
}

fn call(picture: Track) -> Call {
    Call { sound: Track::default(), picture, commands: Vec::new(), window: 0.0..100.0 }
}

/// Told at once: what has this timestamp is played at that time.
fn told(timestamp: u32, time: f64) -> Vec<Report> {
    vec![Report { at: 0.0, ssrc: 1, time, timestamp }]
}

/// Pictures of one in 40 ms; each enters when it is taken, leaves 5 ms later, and is played 7 s later.
fn pictures(numbers: &[u16]) -> (Track, Vec<Seen>) {
    let reports = told(0_u32.wrapping_sub(5_000), 7.0);
    let mut track = Track { reports, ..Track::default() };
    let mut seen = Vec::new();
    for (place, number) in numbers.iter().enumerate() {
        let (at, timestamp) = (place as f64 * 0.04, place as u32 * 3_600);
        track.sent.push(Sent { ssrc: 1, timestamp, captured: at, number: *number });
        track.entered.insert(timestamp, at);
        track.whole.insert(timestamp, at);
        // Another clock with another origin, across the end of the numbers.
        let out = timestamp.wrapping_sub(5_000);
        track.left.insert(out, at + 0.005);
        track.received.push(packet(out));
        seen.push(Seen { timestamp: out, number: Some(*number), luma: 100.0 });
    }
    (track, seen)
}

fn near(one: f64, other: f64) -> bool {
    (one - other).abs() < 1e-6
}

#[test]
fn a_picture_is_known_by_its_number_and_counts_when_it_comes_out_first() {
    let (track, mut seen) = pictures(&[7, 8, 9]);
    // A slot that is filled with the picture before, one that nobody can read, one that is lost.
    seen[1].number = Some(7);
    let frames = frames(&track, &seen, &[90.0; 20]);
    let captured: Vec<f64> = frames.iter().map(|frame| frame.captured).collect();
    assert_eq!(captured, [0.0, 0.08]);
    assert!(frames.iter().all(|frame| near(frame.left - frame.entered, 0.005)));
    assert!(near(frames[1].brighter, 10.0) && near(frames[1].played.unwrap(), 7.08));
    seen[2].number = None;
    assert_eq!(super::frames(&track, &seen, &[]).len(), 1);
}

#[test]
fn a_number_that_comes_again_is_the_latest_picture_that_had_it() {
    let (mut track, seen) = pictures(&[7, 8, 7]);
    let frames = frames(&track, &seen, &[]);
    assert!(
        frames.len() == 3 && frames.iter().all(|frame| near(frame.left - frame.entered, 0.005))
    );
    track.sent.truncate(1);
    assert_eq!(super::frames(&track, &seen, &[]).len(), 1, "long gone, or never sent");
}

/// Packets of sound that leave `late` s after they came, and are played 3 s after they were taken.
fn voice(late: f64) -> Track {
    let reports = told(0_u32.wrapping_sub(77), 3.007);
    let mut track = Track { reports, ..Track::default() };
    for place in 0..100_u32 {
        let (at, timestamp) = (f64::from(place) * 0.02 + 0.007, place * 960);
        track.sent.push(Sent { ssrc: 1, timestamp, captured: at, number: 0 });
        track.entered.insert(timestamp, at + 0.02);
        let out = timestamp.wrapping_sub(77);
        track.left.insert(out, at + 0.02 + late);
        track.received.push(packet(out));
    }
    track
}

#[test]
fn sound_stays_as_much_longer_as_it_lies_later_in_its_packets() {
    let chirps = [10_000, 48_000];
    for (late, shift) in [(0.001, 0), (0.001, 312), (0.004, 1_440), (0.03, 960)] {
        let heard = chirps.map(|chirp| chirp + shift);
        let passed = sound(&voice(late), &chirps, &heard).unwrap();
        assert!(passed.stays.len() > 90);
        let expected = late + shift as f64 / 48_000.0;
        assert!(passed.stays.iter().all(|(_, stay)| near(*stay, expected)), "{late} {shift}");
        assert_eq!(passed.played.len(), 2);
        assert!(near(passed.played[0].1, 3.0 + shift as f64 / 48_000.0));
    }
    assert_eq!(sound(&voice(0.0), &chirps, &[]), None);
}

#[test]
fn quantiles_steps_and_jitter_are_what_their_names_say() {
    let values: Vec<f64> = (0..=100).rev().map(f64::from).collect();
    assert_eq!(
        [0.5, 0.95, 0.99].map(|share| quantile(&values, share).unwrap()),
        [50.0, 95.0, 99.0]
    );
    assert_eq!(quantile(&[], 0.5), None);
    let stays: Vec<Stay> =
        (0..200).map(|n| (f64::from(n) * 0.02, if n < 100 { 1.0 } else { 4.0 })).collect();
    assert_eq!(picture_step(&stays, [1.0, 2.0, 3.0]), Some(3.0));
    assert_eq!(picture_step(&stays, []), None);
    assert_eq!(picture_step(&stays, [0.4]), None, "too little is known before it");
    let (track, seen) = pictures(&[1, 2, 3]);
    let mut frames = frames(&track, &seen, &[]);
    frames[2].left += 0.01;
    let found = jitter(&frames);
    assert!(near(found[0], 0.0) && near(found[1], 0.01));
}

#[test]
fn a_sawtooth_of_packets_is_no_step_and_a_shift_of_it_is() {
    // What comes out in pieces of 53.3 ms, each with the packet that completes it.
    let stay = |n: u64| {
        let end = (n + 1) * 960;
        end.next_multiple_of(2_560).next_multiple_of(960) - end
    };
    let stays = |shift: f64| -> Vec<Stay> {
        let at = |n: u64| n as f64 * 0.02;
        let late = |n: u64| stay(n) as f64 / 48e3 + if at(n) < 2.5 { 0.0 } else { shift };
        (0..250).map(|n| (at(n), late(n))).collect()
    };
    assert!(sound_step(&stays(0.0), [2.5]).unwrap() < 0.001);
    let step = sound_step(&stays(0.01), [2.5]).unwrap();
    assert!((0.009..0.011).contains(&step), "{step}");
}

#[test]
fn a_picture_that_never_leaves_is_not_shown() {
    let numbers: Vec<u16> = (0..1_000).collect();
    let (track, mut seen) = pictures(&numbers);
    seen.remove(500);
    let frames = frames(&track, &seen, &[]);
    let mut call = call(track);
    call.window = 10.0..30.0;
    assert!(
        near(shown(&call, &frames), 1.0 - 1.0 / (19.7 / 0.04_f64).round()),
        "{}",
        shown(&call, &frames)
    );
}

#[test]
fn a_freeze_is_long_against_the_others_and_long_at_all() {
    let steady: Vec<f64> = (0..100).map(|n| f64::from(n) * 0.04).collect();
    assert_eq!(freezes(&steady), 0);
    let jump =
        |by: f64| steady.iter().map(|at| at + if *at > 2.0 { by } else { 0.0 }).collect::<Vec<_>>();
    assert_eq!(freezes(&jump(0.12)), 0);
    assert_eq!(freezes(&jump(0.3)), 1);
    assert_eq!(freezes(&[]), 0);
}

#[test]
fn a_fixed_buffer_leaves_out_what_is_whole_too_late() {
    let (mut track, _) = pictures(&[1, 2, 3, 4]);
    *track.whole.get_mut(&3_600).unwrap() += 0.149;
    *track.whole.get_mut(&7_200).unwrap() += 0.151;
    let shown = buffered(&call(track));
    assert_eq!(shown.len(), 3);
    assert!(near(shown[1], 0.04 + 0.15) && near(shown[2], 0.12 + 0.15));
}

#[test]
fn what_is_played_is_held_against_what_was_taken() {
    let (track, seen) = pictures(&[1, 2, 3]);
    let frames = frames(&track, &seen, &[]);
    // Pictures are played 7 s after they were taken.
    let skews = skews(&frames, &[(0.05, 6.99), (0.09, 7.02)]);
    assert!(near(skews[0].1, 0.01) && near(skews[1].1, -0.02));
}

#[test]
fn a_command_is_answered_by_the_first_picture_that_shows_it() {
    let (track, seen) = pictures(&[1, 2, 3, 4, 5]);
    let mut frames = frames(&track, &seen, &[100.0; 9]);
    frames[3].brighter = 38.0;
    frames[4].brighter = 38.0;
    let mut call = call(track);
    let command = |property, value, duration| Command { effect: "fx", property, value, duration };
    call.commands = vec![
        (0.06, command(PICTURE_PROPERTY, 0.15, 0)),
        (0.06, command(PICTURE_PROPERTY, 0.15, 400)),
        (0.16, command(PICTURE_PROPERTY, 0.0, 0)),
        (0.01, command(SOUND_PROPERTY, 0.4, 0)),
    ];
    let seen = effects_seen(&call, &frames);
    assert_eq!(seen.len(), 1, "what is never seen has no time");
    assert!(near(seen[0], 0.125 - 0.06));
    let heard = effects_heard(&call, &[(0.0, 0.4), (0.02, 1.0), (0.04, 0.5)]);
    assert!(heard.len() == 1 && near(heard[0], 0.03));
}
