// SPDX-License-Identifier: MPL-2.0

//! What goes upstream: requests for keyframes, and bitrates.

use crate::rig::{Made, Rig, h264_caps, key_unit, opus_caps, vp8_caps};
use gst::prelude::*;
use gstducksoup::estimate;

#[test]
fn a_video_route_asks_for_a_keyframe_and_begins_on_it() {
    let rig = Rig::new();
    let sender = rig.sender("bob", &vp8_caps(7));
    let listener = rig.listener("ann", "bob", &vp8_caps(42));
    assert_eq!(sender.keyframe_requests(), 0, "encoders begin with one");
    sender.push_vp8(0, false);
    assert_eq!(sender.keyframe_requests(), 1, "this one does not");
    sender.push_vp8(1, false);
    sender.push_vp8(2, true);
    sender.push_vp8(3, false);
    assert_eq!(listener.packet().payload, [0x10, 0, 0xaa]);
    assert_eq!(listener.packet().payload, [0x10, 1, 0xaa]);
    assert_eq!(rig.stat(&listener.src, "gated"), 2);
    assert_eq!(sender.keyframe_requests(), 0);
}

#[test]
fn a_late_receiver_asks_and_waits_while_the_others_go_on() {
    let rig = Rig::new();
    let sender = rig.sender("bob", &vp8_caps(7));
    let early = rig.listener("ann", "bob", &vp8_caps(42));
    sender.push_vp8(0, true);
    sender.keyframe_requests();
    let late = rig.listener("eve", "bob", &vp8_caps(43));
    assert_eq!(sender.keyframe_requests(), 1);
    sender.push_vp8(1, false);
    sender.push_vp8(2, true);
    assert_eq!(early.packets(3).len(), 3);
    let first = late.packet();
    assert_eq!(first.payload, [0x10, 0, 0xaa]);
    assert_eq!(first.time, Some(gst::ClockTime::from_mseconds(66)));
}

#[test]
fn h264_begins_on_its_parameter_sets() {
    let rig = Rig::new();
    let sender = rig.sender("bob", &h264_caps(7));
    let listener = rig.listener("ann", "bob", &h264_caps(42));
    let packets: [&[u8]; 4] = [&[0x41, 1], &[0x67, 2], &[0x68, 3], &[0x7c, 0x85, 4]];
    for (sequence, payload) in packets.iter().enumerate() {
        sender.push(Made {
            ssrc: 7,
            sequence: sequence as u16,
            timestamp: u32::from(sequence > 0),
            time: 0,
            payload,
        });
    }
    let begins: Vec<_> = listener.packets(3).into_iter().map(|p| p.payload).collect();
    assert_eq!(begins, packets[1..]);
}

#[test]
fn after_a_switch_of_source_video_begins_on_a_keyframe() {
    let rig = Rig::new();
    let bob = rig.sender("bob", &vp8_caps(7));
    let eve = rig.sender("eve", &vp8_caps(8));
    let listener = rig.listener("ann", "bob", &vp8_caps(42));
    bob.push_vp8(0, true);
    eve.push_vp8(99, true);
    listener.packet();
    listener.src.set_property("source", "eve");
    assert_eq!(eve.keyframe_requests(), 1);
    eve.push_vp8(100, false);
    eve.push_vp8(101, true);
    assert_eq!(listener.packet().payload, [0x10, 0, 0xaa]);
}

#[test]
fn a_storm_of_requests_from_all_receivers_is_two() {
    let rig = Rig::new();
    let sender = rig.sender("bob", &vp8_caps(7));
    let listeners: Vec<_> = ["ann", "eve", "zoe"]
        .iter()
        .zip(42..)
        .map(|(receiver, ssrc)| rig.listener(receiver, "bob", &vp8_caps(ssrc)))
        .collect();
    sender.push_vp8(0, true);
    sender.keyframe_requests();
    rig.clock.set_time(gst::ClockTime::from_seconds(1));
    for _ in 0..50 {
        for listener in &listeners {
            assert!(listener.push_up(key_unit()));
        }
    }
    assert_eq!(sender.keyframe_requests(), 1);
    sender.push_vp8(1, false);
    assert_eq!(sender.keyframe_requests(), 0, "the window is not over");
    rig.clock.set_time(gst::ClockTime::from_mseconds(1500));
    sender.push_vp8(2, false);
    assert_eq!(sender.keyframe_requests(), 1, "none came: asked again");
    sender.push_vp8(3, true);
    rig.clock.set_time(gst::ClockTime::from_seconds(9));
    sender.push_vp8(4, false);
    assert_eq!(sender.keyframe_requests(), 0, "it came: all are content");
    assert_eq!(rig.stat(&sender.sink, "keyframe-requests"), 2);
    assert_eq!(rig.stat(&listeners[1].src, "keyframe-requests"), 50);
}

#[test]
fn a_request_goes_to_the_source_of_its_route_alone() {
    let rig = Rig::new();
    let bob = rig.sender("bob", &vp8_caps(7));
    let eve = rig.sender("eve", &vp8_caps(8));
    let of_bob = rig.listener("ann", "bob", &vp8_caps(42));
    let _of_eve = rig.listener("ann", "eve", &vp8_caps(43));
    for sender in [&bob, &eve] {
        sender.push_vp8(0, true);
        sender.keyframe_requests();
    }
    rig.clock.set_time(gst::ClockTime::from_seconds(1));
    assert!(of_bob.push_up(key_unit()));
    assert_eq!(bob.keyframe_requests(), 1);
    assert_eq!(eve.keyframe_requests(), 0);
}

#[test]
fn other_events_of_a_receiver_reach_no_source() {
    let rig = Rig::new();
    let bob = rig.sender("bob", &opus_caps(7));
    let listener = rig.listener("ann", "bob", &opus_caps(42));
    bob.upstream();
    let structure = gst::Structure::new_empty("whatever");
    listener.push_up(gst::event::CustomUpstream::new(structure));
    listener.push_up(gst::event::Latency::new(gst::ClockTime::from_mseconds(9)));
    listener.push_up(gst::event::Qos::new(gst::QOSType::Underflow, 0.5, 0, gst::ClockTime::ZERO));
    listener.push_up(gst::event::Reconfigure::new());
    assert_eq!(bob.upstream().len(), 0);
}

#[test]
fn a_picture_that_is_paused_is_told_at_its_beginning_and_its_end() {
    let rig = Rig::new();
    let bus = gst::Bus::new();
    rig.mixer.set_bus(Some(&bus));
    rig.mixer.set_base_time(gst::ClockTime::ZERO);
    let told = || {
        let messages = std::iter::from_fn(|| bus.pop_filtered(&[gst::MessageType::Element]));
        let told = messages.map(|message| {
            let pause = message.structure().unwrap();
            assert_eq!(pause.name(), "ducksoupmixer-paused");
            let text = |field| pause.get::<String>(field).unwrap();
            let (paused, at) = (pause.get::<bool>("paused"), pause.get::<u64>("running-time"));
            (text("receiver"), text("source"), paused.unwrap(), at.unwrap() / 1_000_000_000)
        });
        told.collect::<Vec<_>>()
    };
    let _sender = rig.sender("bob", &vp8_caps(7));
    let ann = rig.listener("ann", "bob", &vp8_caps(42));
    let zoe = rig.listener("zoe", "bob", &vp8_caps(43));
    rig.clock.set_time(gst::ClockTime::from_seconds(3));
    assert!(ann.push_up(estimate::event(74_999)));
    assert_eq!(told(), [("ann".to_owned(), "bob".to_owned(), true, 3)]);
    assert!(ann.push_up(estimate::event(70_000)));
    assert!(zoe.push_up(estimate::event(75_000)));
    assert_eq!(told(), [], "nothing new");
    rig.clock.set_time(gst::ClockTime::from_seconds(5));
    assert!(ann.push_up(estimate::event(75_000)));
    assert_eq!(told(), [("ann".to_owned(), "bob".to_owned(), false, 5)]);
}

#[test]
fn an_estimate_is_shared_among_the_sources_and_the_weakest_receiver_decides() {
    let rig = Rig::new();
    let bob_audio = rig.sender("bob", &opus_caps(1));
    let bob = rig.sender("bob", &vp8_caps(2));
    let eve = rig.sender("eve", &vp8_caps(3));
    let ann_hears = rig.listener("ann", "bob", &opus_caps(41));
    let ann_sees = rig.listener("ann", "bob", &vp8_caps(42));
    let _ann_sees_eve = rig.listener("ann", "eve", &vp8_caps(43));
    let zoe_sees = rig.listener("zoe", "bob", &vp8_caps(44));
    for sender in [&bob_audio, &bob, &eve] {
        sender.upstream();
    }

    assert!(ann_hears.push_up(estimate::event(1_064_000)));
    assert_eq!(bob_audio.estimates(), [64_000]);
    assert_eq!(bob.estimates(), [500_000]);
    assert_eq!(eve.estimates(), [500_000]);

    assert!(zoe_sees.push_up(estimate::event(300_000)));
    assert_eq!(bob.estimates(), [300_000]);
    assert_eq!(eve.estimates(), [0_u32; 0]);

    assert!(ann_sees.push_up(estimate::event(864_000)));
    assert_eq!(bob_audio.estimates(), [0_u32; 0], "only what changed");
    assert_eq!(bob.estimates(), [0_u32; 0]);
    assert_eq!(eve.estimates(), [400_000]);

    rig.release(&zoe_sees.src);
    assert_eq!(bob.estimates(), [400_000], "the weakest has gone");

    rig.mixer.set_property("audio-bitrate", 32_000_u32);
    assert_eq!(bob_audio.estimates(), [32_000]);
    assert_eq!(bob.estimates(), [416_000]);
}

#[test]
fn a_source_that_comes_back_is_told_its_share_at_once() {
    let rig = Rig::new();
    let bob = rig.sender("bob", &vp8_caps(2));
    let listener = rig.listener("ann", "bob", &vp8_caps(42));
    assert!(listener.push_up(estimate::event(300_000)));
    rig.release(&bob.sink);
    let again = rig.sender("bob", &vp8_caps(2));
    assert_eq!(again.estimates(), [300_000]);
}
