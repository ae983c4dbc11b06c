// SPDX-License-Identifier: MPL-2.0

//! framegrid under a test clock: what goes out, when, and that no frame waits.

#![allow(clippy::unwrap_used)]

use gst::prelude::*;
use gst_check::Harness;
use std::sync::Once;

const MS: u64 = 1_000_000;
const SECOND: u64 = 1000 * MS;

fn init() {
    static INIT: Once = Once::new();
    INIT.call_once(|| {
        gst::init().unwrap();
        gstducksoup::plugin_register_static().unwrap();
    });
}

fn time(nanoseconds: u64) -> gst::ClockTime {
    gst::ClockTime::from_nseconds(nanoseconds)
}

fn caps(width: u32, framerate: i32) -> gst::Caps {
    gst::Caps::builder("video/x-raw")
        .field("format", "GRAY8")
        .field("width", width as i32)
        .field("height", 1)
        .field("framerate", gst::Fraction::from_integer(framerate))
        .build()
}

/// A frame that can be told by its content.
fn frame(number: u64, pts: u64, duration: Option<u64>) -> gst::Buffer {
    let mut buffer = gst::Buffer::from_slice(number.to_be_bytes());
    let fields = buffer.get_mut().unwrap();
    fields.set_pts(time(pts));
    fields.set_duration(duration.map(time));
    buffer
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Shown {
    number: u64,
    pts: u64,
    duration: u64,
}

fn shown(buffer: &gst::Buffer) -> Shown {
    let map = buffer.map_readable().unwrap();
    Shown {
        number: u64::from_be_bytes(map.as_slice().try_into().unwrap()),
        pts: buffer.pts().unwrap().nseconds(),
        duration: buffer.duration().unwrap().nseconds(),
    }
}

/// The element under test, with a clock that moves only when told.
struct Bench {
    harness: Harness,
    pushed: u64,
}

impl Bench {
    fn live(framerate: i32) -> Self {
        Self::new(framerate, true)
    }

    fn new(framerate: i32, live: bool) -> Self {
        init();
        let mut harness = Harness::new("framegrid");
        harness.use_testclock();
        harness.set_live(live);
        harness
            .element()
            .unwrap()
            .set_property("framerate", gst::Fraction::from_integer(framerate));
        harness.set_src_caps(caps(8, 0));
        Self { harness, pushed: 0 }
    }

    fn element(&self) -> gst::Element {
        self.harness.element().unwrap()
    }

    fn clock(&self) -> gst_check::TestClock {
        self.harness.testclock().unwrap()
    }

    /// Pushes the next frame and returns what came out before the push returned.
    fn push(&mut self, pts: u64) -> Vec<Shown> {
        self.push_lasting(pts, None)
    }

    fn push_lasting(&mut self, pts: u64, duration: Option<u64>) -> Vec<Shown> {
        self.push_buffer(frame(self.pushed, pts, duration))
    }

    fn push_buffer(&mut self, buffer: gst::Buffer) -> Vec<Shown> {
        self.harness.push(buffer).unwrap();
        self.pushed += 1;
        self.drain()
    }

    fn drain(&mut self) -> Vec<Shown> {
        std::iter::from_fn(|| self.harness.try_pull()).map(|buffer| shown(&buffer)).collect()
    }

    /// Waits until the timer waits for the clock, and returns for which time.
    fn armed(&self) -> u64 {
        let (armed, waiting) = self.clock().timed_wait_for_multiple_pending_ids(1, 10_000);
        assert!(armed, "the timer waits for the clock");
        waiting[0].time().nseconds()
    }

    /// Moves the clock on to `now`, one timer after the other, and returns what came out.
    fn advance(&mut self, now: u64) -> Vec<Shown> {
        // Before the first frame there is nothing to wait for.
        while self.pushed > 0 && self.armed() <= now {
            let due = self.armed();
            self.clock().set_time(time(due));
            // Processed, or set anew: either way the timer has looked at the clock.
            self.clock().process_next_clock_id();
            self.wait_past(due);
        }
        self.clock().set_time(time(now));
        self.drain()
    }

    fn wait_past(&self, due: u64) {
        let limit = std::time::Instant::now() + std::time::Duration::from_secs(10);
        while self.armed() <= due {
            assert!(std::time::Instant::now() < limit, "the timer stands still");
            std::thread::yield_now();
        }
    }

    fn stats(&self) -> [u64; 4] {
        let stats = self.element().property::<gst::Structure>("stats");
        ["in", "out", "duplicated", "dropped"].map(|name| stats.get(name).unwrap())
    }
}

/// Slot `n` of a grid of 25 from `origin`, showing frame `number`.
fn slot(number: u64, n: u64, origin: u64) -> Shown {
    Shown { number, pts: origin + n * 40 * MS, duration: 40 * MS }
}

/// Numbers in -1..=1 that look random and are the same each time.
fn noise() -> impl Iterator<Item = f64> {
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    std::iter::repeat_with(move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 11) as f64 / (1_u64 << 52) as f64 - 1.0
    })
}

/// Ten seconds of a sender; each frame must be out, or be dropped, when its push returns. Returns all
/// that went out.
fn send(bench: &mut Bench, fps: f64, jitter: f64, keep: impl Fn(u64, f64) -> bool) -> Vec<Shown> {
    let mut out = vec![];
    let mut noise = noise();
    for n in 0..(10.0 * fps) as u64 {
        let pts = (n as f64 * 1e9 / fps + 1e9 + noise.next().unwrap() * jitter * 1e6) as u64;
        if !keep(n, noise.next().unwrap()) {
            continue;
        }
        out.extend(bench.advance(pts));
        let number = bench.pushed;
        let duplicated = bench.stats()[2];
        let dropped = bench.stats()[3];
        let came = bench.push_lasting(pts, Some((1e9 / fps) as u64));
        let last = came.last();
        if bench.stats()[3] == dropped {
            let last = last.expect("the frame is out when its push returns");
            assert_eq!(last.number, number, "the frame itself, not a repetition");
            // Before it only the slots that it tells are missed.
            let repeated = came.len() as u64 - 1;
            assert_eq!(bench.stats()[2] - duplicated, repeated);
            assert!(last.pts.abs_diff(pts) <= 40 * MS);
        } else {
            assert_eq!(last, None, "a dropped frame sends nothing");
        }
        out.extend(came);
    }
    out
}

fn assert_exact_grid(out: &[Shown], rate: u64, first: u64) {
    for (n, shown) in (first..).zip(out) {
        let start = |n: u64| (n * SECOND + rate / 2) / rate;
        assert_eq!(shown.pts, start(n), "slot {n}");
        assert_eq!(shown.duration, start(n + 1) - start(n), "slot {n}");
    }
    for pair in out.windows(2) {
        assert!(pair[1].number >= pair[0].number, "pictures stay in order");
    }
}

#[test]
fn any_sender_comes_out_on_the_exact_grid_and_no_frame_waits() {
    for (rate, fps, jitter) in [
        (25, 12.0, 0.0),
        (25, 12.0, 8.0),
        (25, 25.0, 0.0),
        (25, 25.0, 9.0),
        (25, 30.0, 4.0),
        (25, 60.0, 0.0),
        (25, 60.0, 3.0),
        (30, 25.0, 5.0),
        (30, 30.0, 7.0),
    ] {
        let line = format!("{fps} fps, {jitter} ms of jitter, into {rate}");
        let mut bench = Bench::live(rate);
        bench.element().set_property("origin", 0_u64);
        let mut out = send(&mut bench, fps, jitter, |_, _| true);
        bench.harness.push_event(gst::event::Eos::new());
        out.extend(bench.drain());
        assert_exact_grid(&out, rate as u64, rate as u64);
        // Ten seconds, give or take the first and last frame's jitter.
        let expected = 10 * rate as usize;
        assert!(out.len().abs_diff(expected) <= 1, "{line}: {}", out.len());
        let [taken, sent, duplicated, dropped] = bench.stats();
        assert_eq!(taken, (10.0 * fps) as u64, "{line}");
        assert_eq!(sent, out.len() as u64, "{line}");
        assert_eq!(sent, taken - dropped + duplicated, "{line}");
        if fps <= rate as f64 {
            assert_eq!(dropped, 0, "{line}");
        } else {
            assert_eq!(duplicated, 0, "{line}");
        }
        if fps as i32 == rate {
            assert!(duplicated <= 1, "{line}: {duplicated}");
        }
    }
}

#[test]
fn losses_are_filled_with_the_last_picture() {
    let mut bench = Bench::live(25);
    bench.element().set_property("origin", 0_u64);
    // Noise above 0.9 is one in twenty; the last frame is kept, it tells the end.
    let out = send(&mut bench, 25.0, 0.0, |n, noise| noise < 0.9 || n == 249);
    assert_exact_grid(&out, 25, 25);
    assert_eq!(out.len(), 250);
    let [taken, sent, duplicated, dropped] = bench.stats();
    assert!((225..=245).contains(&taken), "{taken}");
    assert_eq!((sent, duplicated, dropped), (250, 250 - taken, 0));
}

#[test]
fn a_gap_is_filled_by_the_clock_one_ceiling_after_each_slot() {
    let mut bench = Bench::live(25);
    for n in 0..10 {
        bench.advance(n * 40 * MS);
        assert_eq!(bench.push(n * 40 * MS), [slot(n, n, 0)]);
    }
    // Two seconds of nothing. Slot 10 ends at 440 ms and is given up at 590 ms.
    assert_eq!(bench.advance(590 * MS - 1), []);
    assert_eq!(bench.advance(590 * MS), [slot(9, 10, 0)]);
    assert_eq!(bench.advance(629 * MS), []);
    let filled = bench.advance(2360 * MS);
    let expected: Vec<_> = (11..=54).map(|n| slot(9, n, 0)).collect();
    assert_eq!(filled, expected);
    // The next frame fills what is left before it, and goes out with it.
    let came = bench.push(2360 * MS);
    let mut expected: Vec<_> = (55..59).map(|n| slot(9, n, 0)).collect();
    expected.push(slot(10, 59, 0));
    assert_eq!(came, expected);
    assert_eq!(bench.stats(), [11, 60, 49, 0]);
}

#[test]
fn a_frame_that_is_late_by_less_than_the_ceiling_finds_its_slot() {
    let mut bench = Bench::live(25);
    bench.push(0);
    // Slot 1 ends at 80 ms; its frame is late by 149 ms after that.
    assert_eq!(bench.advance(229 * MS), []);
    assert_eq!(bench.push(40 * MS), [slot(1, 1, 0)]);
    // The ceiling is a setting, also while playing: slot 2 ends at 120 ms.
    bench.element().set_property("ceiling", 200 * MS);
    assert_eq!(bench.advance(319 * MS), []);
    assert_eq!(bench.advance(320 * MS), [slot(1, 2, 0)]);
}

#[test]
fn a_frame_for_a_filled_slot_is_dropped_and_its_picture_repeated() {
    let mut bench = Bench::live(25);
    bench.push(0);
    assert_eq!(bench.advance(310 * MS), [slot(0, 1, 0), slot(0, 2, 0), slot(0, 3, 0)]);
    assert_eq!(bench.push(80 * MS), []);
    assert_eq!(bench.stats(), [2, 4, 3, 1]);
    assert_eq!(bench.advance(350 * MS), [slot(1, 4, 0)]);
}

#[test]
fn a_repetition_is_the_same_memory() {
    let mut bench = Bench::live(25);
    bench.harness.push(frame(0, 0, None)).unwrap();
    bench.harness.push(frame(1, 120 * MS, None)).unwrap();
    let address = |buffer: gst::Buffer| buffer.map_readable().unwrap().as_slice().as_ptr();
    let first = address(bench.harness.pull().unwrap());
    assert_eq!(address(bench.harness.pull().unwrap()), first);
    assert_eq!(address(bench.harness.pull().unwrap()), first);
    assert_ne!(address(bench.harness.pull().unwrap()), first);
}

#[test]
fn frames_before_the_origin_are_on_the_grid_too() {
    let mut bench = Bench::live(25);
    bench.element().set_property("origin", SECOND);
    bench.advance(SECOND);
    assert_eq!(bench.push(883 * MS), [slot(0, 0, 880 * MS)]);
    assert_eq!(bench.push(925 * MS), [slot(1, 1, 880 * MS)]);
    assert_eq!(bench.push(964 * MS), [slot(2, 2, 880 * MS)]);
    assert_eq!(bench.push(1004 * MS), [slot(3, 0, SECOND)]);
}

#[test]
fn a_run_that_starts_while_frames_come_has_exactly_its_frames() {
    let mut bench = Bench::live(25);
    let mut out = vec![];
    // The run is from 1.013 s to 3.013 s; nobody knows of it before it starts.
    let origin = 1013 * MS;
    for n in 0..80 {
        let pts = n * 40 * MS + 7 * MS;
        if pts > origin && pts - origin < 40 * MS {
            bench.advance(origin);
            bench.element().set_property("origin", origin);
        }
        out.extend(bench.advance(pts));
        // A loss at the very start and one at the end.
        if !(24..28).contains(&n) && !(73..76).contains(&n) {
            out.extend(bench.push(pts));
        }
    }
    let run: Vec<_> =
        out.iter().filter(|shown| (origin..origin + 2 * SECOND).contains(&shown.pts)).collect();
    assert_eq!(run.len(), 50);
    for (n, shown) in (0..).zip(run) {
        assert_eq!(shown.pts, origin + n * 40 * MS);
    }
    for pair in out.windows(2) {
        assert!(pair[1].pts > pair[0].pts, "time goes on");
    }
}

#[test]
fn a_run_that_is_announced_ahead_has_a_frame_in_each_slot_from_the_first_and_none_waits() {
    for (fps, jitter, lost) in
        [(12.0, 8.0, 0.0), (25.0, 9.0, 0.05), (25.0, 0.0, 0.3), (60.0, 3.0, 0.05), (7.5, 0.0, 0.0)]
    {
        let line = format!("{fps} fps, {jitter} ms of jitter, {lost} lost");
        let mut bench = Bench::live(25);
        // Announced 100 ms before it begins; it lasts 4 s.
        let (announced, origin) = (1613 * MS, 1713 * MS);
        let mut out = vec![];
        let mut noise = noise();
        for n in 0..(7.0 * fps) as u64 {
            let moved = noise.next().unwrap() * jitter * 1e6;
            let pts = (n as f64 * 1e9 / fps + 5e8 + moved) as u64;
            let told = bench.element().property::<u64>("origin") == origin;
            if !told && pts >= announced {
                out.extend(bench.advance(announced));
                bench.element().set_property("origin", origin);
            }
            out.extend(bench.advance(pts));
            if noise.next().unwrap().abs() < lost {
                continue;
            }
            let number = bench.pushed;
            let came = bench.push(pts);
            // A frame is out when its push returns, or never.
            if came.iter().all(|shown| shown.number != number) {
                assert_eq!(came, [], "{line}: frame {number}");
            }
            out.extend(came);
        }
        let run: Vec<_> =
            out.iter().filter(|s| (origin..origin + 4 * SECOND).contains(&s.pts)).collect();
        assert_eq!(run.len(), 100, "{line}");
        for (n, shown) in (0..).zip(run) {
            assert_eq!(shown.pts, origin + n * 40 * MS, "{line}");
        }
    }
}

#[test]
fn the_end_fills_the_tail_up_to_the_last_frames_end() {
    let mut bench = Bench::new(25, false);
    bench.push_lasting(0, Some(500 * MS));
    let came = bench.push_lasting(500 * MS, Some(500 * MS));
    assert_eq!(came.len(), 13, "500 ms are nearest to slot 13");
    bench.harness.push_event(gst::event::Eos::new());
    assert_eq!(bench.drain().len(), 11);
    assert_eq!(bench.stats(), [2, 25, 23, 0]);
}

#[test]
fn the_end_after_a_silence_fills_up_to_its_arrival() {
    let mut bench = Bench::live(25);
    bench.push_lasting(0, Some(40 * MS));
    bench.advance(SECOND);
    bench.harness.push_event(gst::event::Eos::new());
    assert_eq!(bench.stats(), [1, 25, 24, 0]);
    // Nothing is sent after the end, however long it lasts.
    assert_eq!(bench.clock().peek_id_count(), 1);
    bench.clock().set_time(time(10 * SECOND));
    bench.clock().process_next_clock_id();
    bench.harness.push_event(gst::event::FlushStart::new());
    bench.harness.push_event(gst::event::FlushStop::new(true));
    assert_eq!(bench.stats()[1], 25);
}

#[test]
fn without_a_live_source_the_clock_has_no_say() {
    let mut bench = Bench::new(25, false);
    assert_eq!(bench.push(0), [slot(0, 0, 0)]);
    bench.clock().set_time(time(100 * SECOND));
    // Far behind the clock, and still in its slot.
    assert_eq!(bench.push(80 * MS), [slot(0, 1, 0), slot(1, 2, 0)]);
    assert_eq!(bench.clock().peek_id_count(), 0);
}

#[test]
fn a_gap_event_fills_its_slots_at_once() {
    let mut bench = Bench::new(25, false);
    bench.push(0);
    bench
        .harness
        .push_event(gst::event::Gap::builder(time(40 * MS)).duration(time(80 * MS)).build());
    assert_eq!(bench.drain(), [slot(0, 1, 0), slot(0, 2, 0)]);
}

#[test]
fn a_timestamp_from_the_future_does_not_stop_the_picture() {
    let mut bench = Bench::live(25);
    bench.advance(0);
    bench.push(0);
    bench.clock().set_time(time(40 * MS));
    assert_eq!(bench.push(3600 * SECOND), [slot(1, 1, 0)]);
    bench.clock().set_time(time(80 * MS));
    assert_eq!(bench.push(80 * MS), [slot(2, 2, 0)]);
}

#[test]
fn a_new_size_comes_with_its_first_frame_after_the_old_ones_repetitions() {
    let mut bench = Bench::live(25);
    bench.push(0);
    let width = |bench: &Bench| {
        let caps = bench.harness.sinkpad().unwrap().current_caps().unwrap();
        let structure = caps.structure(0).unwrap();
        assert_eq!(
            structure.get::<gst::Fraction>("framerate").unwrap(),
            gst::Fraction::from_integer(25)
        );
        structure.get::<i32>("width").unwrap()
    };
    assert_eq!(width(&bench), 8);
    bench.harness.push_event(gst::event::Caps::new(&caps(16, 30)));
    // A repetition of the old picture is still due, by the clock …
    assert_eq!(bench.advance(230 * MS), [slot(0, 1, 0)]);
    assert_eq!(width(&bench), 8);
    // … and one by the next frame; the caps stand between it and the frame.
    let order = std::sync::Arc::new(std::sync::Mutex::new(vec![]));
    let log = order.clone();
    bench.harness.sinkpad().unwrap().add_probe(
        gst::PadProbeType::BUFFER | gst::PadProbeType::EVENT_DOWNSTREAM,
        move |_, info| {
            log.lock().unwrap().push(match &info.data {
                Some(gst::PadProbeData::Event(event)) => event.type_().name().to_string(),
                Some(gst::PadProbeData::Buffer(buffer)) => shown(buffer).number.to_string(),
                _ => "?".to_string(),
            });
            gst::PadProbeReturn::Ok
        },
    );
    bench.push(120 * MS);
    assert_eq!(width(&bench), 16);
    assert_eq!(*order.lock().unwrap(), ["0", "caps", "1"]);
}

#[test]
fn the_segment_starts_at_zero_and_timestamps_are_running_times() {
    let mut bench = Bench::live(25);
    let mut segment = gst::FormattedSegment::<gst::ClockTime>::new();
    segment.set_start(time(3600 * SECOND));
    segment.set_base(time(2 * SECOND));
    bench.harness.push_event(gst::event::Segment::new(&segment));
    bench.clock().set_time(time(2 * SECOND));
    assert_eq!(bench.push(3600 * SECOND), [slot(0, 50, 0)]);
    let event = bench.harness.sinkpad().unwrap().sticky_event::<gst::event::Segment>(0).unwrap();
    let ours = event.segment().downcast_ref::<gst::ClockTime>().unwrap();
    assert_eq!(ours.to_running_time(time(7)), Some(time(7)));
}

#[test]
fn quality_reports_end_here_and_keyframe_requests_pass() {
    let mut bench = Bench::live(25);
    bench.push(0);
    while bench.harness.try_pull_upstream_event().is_some() {}
    bench
        .harness
        .push_upstream_event(gst::event::Qos::builder(gst::QOSType::Underflow, 2.0, 5_i64).build());
    bench.harness.push_upstream_event(gst::event::CustomUpstream::new(gst::Structure::new_empty(
        "GstForceKeyUnit",
    )));
    let event = bench.harness.try_pull_upstream_event().unwrap();
    assert_eq!(event.structure().unwrap().name(), "GstForceKeyUnit");
    assert!(bench.harness.try_pull_upstream_event().is_none());
}

#[test]
fn upstreams_latency_is_passed_on_unchanged() {
    let mut bench = Bench::live(25);
    bench.harness.set_upstream_latency(time(33 * MS));
    assert_eq!(bench.harness.query_latency(), Some(time(33 * MS)));
}

#[test]
fn a_flush_starts_the_grid_anew() {
    let mut bench = Bench::live(25);
    bench.push(0);
    bench.harness.push_event(gst::event::FlushStart::new());
    bench.harness.push_event(gst::event::FlushStop::new(false));
    bench
        .harness
        .push_event(gst::event::Segment::new(&gst::FormattedSegment::<gst::ClockTime>::new()));
    bench.clock().set_time(time(700 * MS));
    assert_eq!(bench.push(700 * MS), [slot(1, 0, 700 * MS)]);
    assert_eq!(bench.stats()[2], 0);
}

#[test]
fn the_state_changes_under_way_without_a_deadlock() {
    init();
    // A real clock and a sink that waits for it: the timer and the frames meet paused pads.
    let pipeline = gst::parse::launch(
        "videotestsrc is-live=true ! video/x-raw,width=16,height=16,framerate=50/1 \
         ! identity drop-probability=0.5 ! framegrid framerate=100/1 ceiling=1000000 \
         ! fakesink name=sink sync=true",
    )
    .unwrap()
    .downcast::<gst::Pipeline>()
    .unwrap();
    let bus = pipeline.bus().unwrap();
    for round in 0..15 {
        let state = [gst::State::Paused, gst::State::Ready, gst::State::Null][round % 3];
        pipeline.set_state(gst::State::Playing).unwrap();
        let sink = pipeline.by_name("sink").unwrap();
        let pad = sink.static_pad("sink").unwrap();
        let (sender, receiver) = std::sync::mpsc::channel();
        let probe = pad
            .add_probe(gst::PadProbeType::BUFFER, move |_, _| {
                let _ = sender.send(());
                gst::PadProbeReturn::Ok
            })
            .unwrap();
        for _ in 0..4 {
            receiver.recv_timeout(std::time::Duration::from_secs(10)).expect("frames flow");
        }
        pad.remove_probe(probe);
        pipeline.set_state(state).unwrap();
        let (changed, ..) = pipeline.state(gst::ClockTime::from_seconds(10));
        changed.unwrap();
    }
    pipeline.set_state(gst::State::Null).unwrap();
    let error = bus.pop_filtered(&[gst::MessageType::Error]);
    assert!(error.is_none(), "{error:?}");
}

#[test]
fn an_encoder_takes_a_grid_that_was_moved() {
    init();
    for encoder in ["vp8enc deadline=1", "x264enc tune=zerolatency"] {
        let mut harness =
            Harness::new_parse(&format!("framegrid name=grid framerate=30/1 ! {encoder}"));
        harness.use_testclock();
        harness.set_src_caps(
            gst::Caps::builder("video/x-raw")
                .field("format", "I420")
                .field("width", 32)
                .field("height", 32)
                .field("framerate", gst::Fraction::from_integer(0))
                .build(),
        );
        let chain = harness.element().unwrap().downcast::<gst::Bin>().unwrap();
        let grid = chain.by_name("grid").unwrap();
        for n in 0..60 {
            let pts = n * SECOND / 30;
            if n == 30 {
                // One millisecond after the last slot: the narrowest that a move makes.
                grid.set_property("origin", 29 * SECOND / 30 + MS);
            }
            let mut buffer = gst::Buffer::from_mut_slice(vec![n as u8; 32 * 32 * 3 / 2]);
            buffer.get_mut().unwrap().set_pts(time(pts));
            harness.push(buffer).unwrap();
        }
        let sent = grid.property::<gst::Structure>("stats").get::<u64>("out").unwrap();
        harness.push_event(gst::event::Eos::new());
        let mut packets = 0;
        while harness.try_pull().is_some() {
            packets += 1;
        }
        assert_eq!(packets, sent, "{encoder}");
    }
}
