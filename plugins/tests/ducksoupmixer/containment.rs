// SPDX-License-Identifier: MPL-2.0

//! A receiver can hurt only itself.

use crate::rig::{Behaviour, Gate, Rig, key_unit, opus_caps, vp8_caps, wait_until};
use gst::prelude::*;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Nothing of ours may take longer, whatever a receiver does.
const PROMPT: Duration = Duration::from_secs(3);

fn hanging(rig: &Rig, receiver: &str, ssrc: u32) -> (crate::rig::Listener, Arc<Gate>) {
    let gate = Arc::new(Gate::default());
    let listener = rig.unlinked_listener(receiver, Behaviour::Hangs(Arc::clone(&gate)));
    listener.src.set_property("source", "bob");
    listener.src.set_property("caps", opus_caps(ssrc));
    listener.link();
    (listener, gate)
}

#[test]
fn a_receiver_that_hangs_costs_the_others_no_packet() {
    let rig = Rig::new();
    let sender = rig.sender("bob", &opus_caps(7));
    let (stuck, gate) = hanging(&rig, "eve", 41);
    let fine = rig.listener("ann", "bob", &opus_caps(42));
    sender.push_audio(0);
    assert_eq!(fine.packet().index(), 0);
    wait_until("it hangs", || rig.stat(&stuck.src, "queued") == 0);
    for index in 1..1000 {
        sender.push_audio(index);
        assert_eq!(fine.packet().index(), index);
    }
    // One is in its hands, a hundred wait, the oldest are gone.
    assert_eq!(rig.stat(&stuck.src, "queued"), 100);
    gate.open();
    let got = stuck.packets(101);
    assert_eq!(got[0].index(), 0);
    assert_eq!(got[1].index(), 900);
    assert_eq!(got[100].index(), 999);
    let distance = got[1].sequence.wrapping_sub(got[0].sequence);
    assert_eq!(distance, 1, "nobody can send again what was dropped here");
    assert_eq!(rig.stat(&stuck.src, "drops"), 899);
    assert_eq!(rig.stat(&fine.src, "drops"), 0);
}

#[test]
fn a_blocked_pad_is_not_pushed_into_and_does_not_hold_up_its_receivers_other_routes() {
    let rig = Rig::new();
    let bob = rig.sender("bob", &vp8_caps(7));
    let eve = rig.sender("eve", &opus_caps(8));
    let blocked = rig.listener("ann", "bob", &vp8_caps(41));
    let open = rig.listener("ann", "eve", &opus_caps(42));
    let probe = blocked
        .pad
        .add_probe(gst::PadProbeType::BLOCK | gst::PadProbeType::BUFFER, |_, _| {
            gst::PadProbeReturn::Ok
        })
        .unwrap();
    bob.keyframe_requests();
    for index in 0..200 {
        bob.push_vp8(index, index == 0);
        eve.push_audio(index);
        assert_eq!(open.packet().index(), index);
    }
    assert_eq!(rig.stat(&blocked.src, "packets"), 0);
    assert_eq!(rig.stat(&blocked.src, "drops"), 200);
    assert_eq!(bob.keyframe_requests(), 0, "it shows nothing anyway");
    blocked.pad.remove_probe(probe);
    rig.clock.set_time(gst::ClockTime::from_seconds(1));
    bob.push_vp8(200, false);
    assert_eq!(bob.keyframe_requests(), 1, "now it can show something");
    bob.push_vp8(201, true);
    let first = blocked.packet();
    assert_eq!(first.payload, [0x10, 0, 0xaa]);
}

#[test]
fn a_video_receiver_that_hangs_asks_for_no_keyframe_until_it_moves() {
    let rig = Rig::new();
    let sender = rig.sender("bob", &vp8_caps(7));
    let gate = Arc::new(Gate::default());
    let stuck = rig.unlinked_listener("ann", Behaviour::Hangs(Arc::clone(&gate)));
    stuck.src.set_property("source", "bob");
    stuck.src.set_property("caps", vp8_caps(42));
    stuck.link();
    sender.keyframe_requests();
    sender.push_vp8(0, true);
    wait_until("it hangs", || rig.stat(&stuck.src, "queued") == 0);
    for index in 1..2000_u16 {
        let second = gst::ClockTime::from_seconds(1 + u64::from(index));
        rig.clock.set_time(second);
        sender.push_vp8(index, false);
    }
    assert_eq!(sender.keyframe_requests(), 0);
    rig.clock.set_time(gst::ClockTime::from_seconds(3000));
    gate.open();
    stuck.packet();
    wait_until("it has moved", || rig.stat(&stuck.src, "packets") == 1);
    sender.push_vp8(2000, false);
    assert_eq!(sender.keyframe_requests(), 1);
    sender.push_vp8(2001, true);
    assert_eq!(stuck.packet().payload, [0x10, 0, 0xaa]);
}

#[test]
fn a_receiver_that_returns_errors_costs_the_others_nothing_and_may_recover() {
    let rig = Rig::new();
    let sender = rig.sender("bob", &opus_caps(7));
    let gate = Arc::new(Gate::default());
    let failing = rig.unlinked_listener("eve", Behaviour::Fails(Arc::clone(&gate)));
    failing.src.set_property("source", "bob");
    failing.src.set_property("caps", opus_caps(41));
    failing.link();
    let fine = rig.listener("ann", "bob", &opus_caps(42));
    for index in 0..50 {
        sender.push_audio(index);
        assert_eq!(fine.packet().index(), index);
    }
    wait_until("all errors are counted", || rig.stat(&failing.src, "flow-errors") == 50);
    gate.open();
    sender.push_audio(50);
    assert_eq!(failing.packet().index(), 50);
    assert_eq!(rig.stat(&fine.src, "flow-errors"), 0);
}

#[test]
fn a_flushing_receiver_costs_the_others_nothing() {
    let rig = Rig::new();
    let sender = rig.sender("bob", &opus_caps(7));
    let gone = rig.listener("eve", "bob", &opus_caps(41));
    let fine = rig.listener("ann", "bob", &opus_caps(42));
    gone.pad.set_active(false).unwrap();
    for index in 0..50 {
        sender.push_audio(index);
        assert_eq!(fine.packet().index(), index);
    }
}

#[test]
fn an_unlinked_route_keeps_nothing_and_starts_fresh() {
    let rig = Rig::new();
    let sender = rig.sender("bob", &opus_caps(7));
    let listener = rig.listener("ann", "bob", &opus_caps(42));
    listener.src.unlink(&listener.pad).unwrap();
    for index in 0..10 {
        sender.push_audio(index);
    }
    assert_eq!(rig.stat(&listener.src, "queued"), 0);
    listener.link();
    sender.push_audio(10);
    assert_eq!(listener.packet().index(), 10);
}

#[test]
fn releasing_a_route_that_hangs_is_prompt_and_its_receivers_other_routes_go_on() {
    let rig = Rig::new();
    let sender = rig.sender("bob", &opus_caps(7));
    let eve = rig.sender("eve", &opus_caps(8));
    let (stuck, gate) = hanging(&rig, "ann", 41);
    let other = rig.listener("ann", "eve", &opus_caps(42));
    sender.push_audio(0);
    wait_until("it hangs", || rig.stat(&stuck.src, "queued") == 0);
    eve.push_audio(1);
    let begin = Instant::now();
    rig.release(&stuck.src);
    assert!(begin.elapsed() < PROMPT);
    assert_eq!(other.packet().index(), 1);
    gate.open();
    eve.push_audio(2);
    assert_eq!(other.packet().index(), 2);
}

#[test]
fn stopping_is_prompt_while_a_receiver_hangs_and_a_new_run_works() {
    let rig = Rig::new();
    let sender = rig.sender("bob", &opus_caps(7));
    let (stuck, gate) = hanging(&rig, "ann", 41);
    sender.push_audio(0);
    wait_until("it hangs", || rig.stat(&stuck.src, "queued") == 0);
    let begin = Instant::now();
    rig.mixer.set_state(gst::State::Null).unwrap();
    assert!(begin.elapsed() < PROMPT);
    rig.release(&stuck.src);
    gate.open();
    rig.mixer.set_state(gst::State::Playing).unwrap();
    let fresh = rig.listener("ann", "bob", &opus_caps(42));
    let sender = rig.sender("bob", &opus_caps(7));
    sender.push_audio(1);
    assert_eq!(fresh.packet().index(), 1);
}

#[test]
fn threads_end_with_their_receivers_last_route_and_with_the_run() {
    let rig = Rig::new();
    let name = "to-thread-test";
    let first = rig.listener("thread-test", "bob", &opus_caps(41));
    let second = rig.listener("thread-test", "eve", &opus_caps(42));
    wait_until("one thread serves both", || threads(name) == 1);
    rig.release(&first.src);
    assert_eq!(threads(name), 1);
    rig.release(&second.src);
    wait_until("nobody is served", || threads(name) == 0);
    let _third = rig.listener("thread-test", "bob", &opus_caps(43));
    wait_until("a new one serves", || threads(name) == 1);
    rig.mixer.set_state(gst::State::Ready).unwrap();
    wait_until("the run is over", || threads(name) == 0);
}

/// Threads of this process by name (the kernel keeps 15 bytes).
fn threads(name: &str) -> usize {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap();
    let names =
        tasks.filter_map(|task| std::fs::read_to_string(task.ok()?.path().join("comm")).ok());
    names
        .filter(|comm| name.starts_with(comm.trim_end()) && comm.trim_end().len() >= name.len())
        .count()
}

/// Everything that can change does so at once, from several threads, while media flow.
#[test]
fn nothing_deadlocks_while_all_change_at_once() {
    let rig = Rig::new();
    let sender = rig.sender("bob", &vp8_caps(7));
    let steady = rig.listener("zoe", "bob", &vp8_caps(40));
    sender.push_vp8(0, true);
    let stop = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        for receiver in ["ann", "eve"] {
            let (rig, stop) = (&rig, &stop);
            scope.spawn(move || {
                for round in 0..40 {
                    let listener = rig.listener(receiver, "bob", &vp8_caps(41));
                    listener.push_up(key_unit());
                    listener.push_up(gstducksoup::estimate::event(100_000 + round));
                    listener.src.set_property("receiver", "both");
                    rig.mixer.property::<gst::Structure>("stats");
                    rig.release(&listener.src);
                }
                stop.store(true, std::sync::atomic::Ordering::Relaxed);
            });
        }
        let mut index = 0_u16;
        while !stop.load(std::sync::atomic::Ordering::Relaxed) {
            index = index.wrapping_add(1);
            sender.push_vp8(index, index.is_multiple_of(10));
            assert_eq!(steady.packet().payload.len(), 3);
        }
    });
}

#[test]
fn a_route_that_hangs_holds_up_the_receivers_other_routes_for_a_moment_only() {
    let rig = Rig::new();
    let bob = rig.sender("bob", &opus_caps(7));
    let eve = rig.sender("eve", &opus_caps(8));
    let (stuck, gate) = hanging(&rig, "takeover", 41);
    let other = rig.listener("takeover", "eve", &opus_caps(42));
    bob.push_audio(0);
    wait_until("it hangs", || rig.stat(&stuck.src, "queued") == 0);
    let mut index = 0;
    wait_until("another thread takes over", || {
        eve.push_audio(index);
        index += 1;
        rig.stat(&other.src, "packets") > 0
    });
    assert_eq!(threads("to-takeover"), 2);
    gate.open();
    bob.push_audio(1);
    assert_eq!(stuck.packet().index(), 0);
    assert_eq!(stuck.packet().index(), 1);
    wait_until("one thread is enough again", || threads("to-takeover") == 1);
}
