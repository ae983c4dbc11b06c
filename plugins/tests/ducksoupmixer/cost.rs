// SPDX-License-Identifier: MPL-2.0

//! What a packet costs. Printed, not judged: `cargo test --release --test ducksoupmixer cost -- --nocapture`.

use crate::rig::{Made, init, opus_caps};
use gst::prelude::*;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

const PACKETS: u32 = 20_000;

#[test]
fn a_packet_goes_to_seven_receivers() {
    init();
    let mixer = gst::ElementFactory::make("ducksoupmixer").build().unwrap();
    mixer.set_state(gst::State::Playing).unwrap();
    let sender = gst::Pad::builder(gst::PadDirection::Src).build();
    sender.set_active(true).unwrap();
    sender.link(&mixer.request_pad_simple("sink_%u").unwrap()).unwrap();
    let arrived = Arc::new(AtomicU64::new(0));
    let listeners: Vec<_> = (0..7)
        .map(|number| {
            let arrived = Arc::clone(&arrived);
            let pad = gst::Pad::builder(gst::PadDirection::Sink)
                .chain_function(move |_, _, _| {
                    arrived.fetch_add(1, Ordering::Relaxed);
                    Ok(gst::FlowSuccess::Ok)
                })
                .build();
            pad.set_active(true).unwrap();
            let src = mixer.request_pad_simple("src_%u").unwrap();
            src.set_property("caps", opus_caps(40 + number));
            src.link(&pad).unwrap();
            pad
        })
        .collect();
    sender.push_event(gst::event::StreamStart::new("cost"));
    sender.push_event(gst::event::Caps::new(&opus_caps(7)));
    let segment = gst::FormattedSegment::<gst::ClockTime>::new();
    sender.push_event(gst::event::Segment::new(&segment));

    let (mut pushing, mut total) = (Duration::ZERO, Duration::ZERO);
    for index in 0..PACKETS {
        let buffer = Made {
            ssrc: 7,
            sequence: index as u16,
            timestamp: index * 960,
            time: u64::from(index) * 20,
            payload: &[0; 1200],
        }
        .buffer();
        let begin = Instant::now();
        sender.push(buffer).unwrap();
        pushing += begin.elapsed();
        let expected = u64::from(index + 1) * listeners.len() as u64;
        while arrived.load(Ordering::Relaxed) < expected {
            assert!(begin.elapsed() < Duration::from_secs(10), "a packet is lost");
            std::thread::yield_now();
        }
        total += begin.elapsed();
    }
    mixer.set_state(gst::State::Null).unwrap();
    eprintln!(
        "one packet to 7 receivers: {:?} in the source's thread, {:?} until the last has it",
        pushing / PACKETS,
        total / PACKETS
    );
}
