// SPDX-License-Identifier: MPL-2.0

//! Two participants without browsers, each behind a gate, at the real server.

#![allow(clippy::unwrap_used)]

use super::tally::{Count, Lane, Tally};
use super::{Gate, Link};
use crate::server::Server;
use gst::prelude::*;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// Longest wait for the end of a call. Generous: the machine may be busy.
const LIMIT: Duration = Duration::from_secs(120);
/// Length of the call, in s.
const DURATION: u32 = 5;
/// Payload type of sound (docs/protocol.md).
const OPUS: u8 = 111;

/// RTP packets that came out of each pad.
type Received = Arc<Mutex<BTreeMap<String, u64>>>;

/// A participant in `pipeline` who connects to `uri`.
fn participant(pipeline: &gst::Pipeline, user: &str, uri: &str, received: &Received) {
    let launch = format!(
        "ducksouppeer name=p output=rtp connect-timeout=30000 signaller::uri={uri} \
         signaller::interaction=gate signaller::user={user} signaller::size=2 \
         signaller::duration={DURATION} signaller::recording-mode=none \
         signaller::video-format=VP8 signaller::width=160 signaller::height=120 \
         signaller::framerate=15 \
         audiotestsrc is-live=true ! p. \
         videotestsrc is-live=true ! video/x-raw,width=160,height=120,framerate=15/1 ! p."
    );
    let bin = gst::parse::bin_from_description(&launch, false).unwrap();
    bin.set_property("name", user);
    let (around, received) = (bin.downgrade(), Arc::clone(received));
    bin.by_name("p").unwrap().connect_pad_added(move |_, pad| {
        let Some(bin) = around.upgrade() else { return };
        if pad.direction() != gst::PadDirection::Src {
            return;
        }
        let sink = gst::ElementFactory::make("fakesink")
            .property("sync", false)
            .property("async", false)
            .build()
            .unwrap();
        let (name, received) = (format!("{} {}", bin.name(), pad.name()), Arc::clone(&received));
        let kinds = gst::PadProbeType::BUFFER | gst::PadProbeType::BUFFER_LIST;
        pad.add_probe(kinds, move |_, info| {
            let count = match &info.data {
                Some(gst::PadProbeData::Buffer(_)) => 1,
                Some(gst::PadProbeData::BufferList(list)) => list.len() as u64,
                _ => 0,
            };
            *received.lock().unwrap().entry(name.clone()).or_default() += count;
            gst::PadProbeReturn::Ok
        });
        bin.add(&sink).unwrap();
        sink.sync_state_with_parent().unwrap();
        pad.link(&sink.static_pad("sink").unwrap()).unwrap();
    });
    pipeline.add(&bin).unwrap();
}

/// Waits until both have heard the end.
fn wait(pipeline: &gst::Pipeline) {
    let bus = pipeline.bus().unwrap();
    let until = Instant::now() + LIMIT;
    let mut left = 2;
    while left > 0 {
        let rest = until.saturating_duration_since(Instant::now());
        let kinds = [gst::MessageType::Element, gst::MessageType::Error];
        let rest = gst::ClockTime::try_from(rest).unwrap();
        let message = bus.timed_pop_filtered(rest, &kinds).expect("an end in time");
        if let gst::MessageView::Error(error) = message.view() {
            // Sources whose peer has ended say that they may push no more.
            assert!(left < 2, "{error:?}");
        }
        left -=
            usize::from(message.structure().is_some_and(|said| said.name() == "ducksouppeer-end"));
    }
}

/// A call of two with such a link both ways; what each gate counts, and what came out.
fn call(link: &Link) -> ([Tally; 2], BTreeMap<String, u64>) {
    gst::init().unwrap();
    ducksoup_signaller::plugin_register_static().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), &[]).unwrap();
    let seed = |seed| Link { seed, ..link.clone() };
    let gates = [1, 2].map(|number| Gate::open(&server.uri, seed(number), seed(number)).unwrap());
    let received = Received::default();
    let pipeline = gst::Pipeline::new();
    for (gate, user) in gates.iter().zip(["ada", "bob"]) {
        participant(&pipeline, user, gate.uri(), &received);
    }
    pipeline.set_state(gst::State::Playing).unwrap();
    wait(&pipeline);
    pipeline.set_state(gst::State::Null).unwrap();
    let tallies = gates.map(|gate| gate.close());
    let received = received.lock().unwrap().clone();
    (tallies, received)
}

/// The packets of sound in a lane, and those of pictures.
fn media(lane: &Lane) -> [u64; 2] {
    let sum = |is_sound: bool| {
        let streams = lane.rtp.values().filter(|stream| (stream.payload_type == OPUS) == is_sound);
        streams.map(|stream| stream.count.packets_out - stream.count.doubled).sum()
    };
    [sum(true), sum(false)]
}

/// What has arrived through the gates is what came out at the other end, but for what a call's
/// beginning and end take and what a jitter buffer gives up.
fn check(tallies: &[Tally; 2], received: &BTreeMap<String, u64>, share: f64) {
    let least = u64::from(DURATION) * 50 * 8 / 10;
    for (tally, (user, other)) in tallies.iter().zip([("ada", "bob"), ("bob", "ada")]) {
        let count = |kind| received[&format!("{user} {kind}_src_{other}")];
        let [sound, pictures] = media(&tally.down);
        let out = [count("audio"), count("video")];
        assert!(out[0] >= (least as f64 * share) as u64 && out[1] > 0, "{user}: {out:?}");
        assert!(out[0] <= sound && out[1] <= pictures, "{user}: {out:?} {tally:?}");
        let [sound, pictures] = media(&tally.up);
        assert!(sound >= (least as f64 * share) as u64 && pictures > 0, "{user}: {tally:?}");
    }
}

#[test]
fn a_call_through_a_good_link_is_all_there_and_goes_through_it_alone() {
    let (tallies, received) = call(&Link::default());
    check(&tallies, &received, 1.0);
    for count in tallies.iter().flat_map(|tally| [tally.up.all, tally.down.all]) {
        let Count { packets_in, packets_out, lost, blackout, queue, .. } = count;
        assert_eq!((packets_out, lost, blackout, queue), (packets_in, 0, 0, 0));
    }
}

#[test]
fn a_call_stands_three_percent_of_loss_and_30_ms_of_jitter() {
    let jitter = Duration::from_millis(30);
    let (tallies, received) = call(&Link { loss: 0.03, jitter, ..Link::default() });
    check(&tallies, &received, 0.9);
    for count in tallies.iter().flat_map(|tally| [tally.up.all, tally.down.all]) {
        let share = count.lost as f64 / count.packets_in as f64;
        assert!((0.005..0.08).contains(&share), "{count:?}");
    }
}
