// SPDX-License-Identifier: MPL-2.0

use super::*;
use proptest::prelude::*;

const MS: Nanoseconds = 1_000_000;

fn at_25(origin: Option<Nanoseconds>) -> Grid {
    Grid::new(Rate::new(25, 1).expect("a rate"), origin)
}

fn takes(slot: i64) -> Placement {
    takes_after(slot..slot, slot)
}

fn takes_after(missed: Range<i64>, slot: i64) -> Placement {
    Placement::Takes { missed, slot }
}

/// Frames out, pictures repeated, frames dropped.
fn run(grid: &mut Grid, times: impl IntoIterator<Item = Nanoseconds>) -> (usize, usize, usize) {
    let mut count = (0, 0, 0);
    for time in times {
        match grid.place(time) {
            Placement::Takes { missed, .. } => {
                count.0 += 1 + missed.clone().count();
                count.1 += missed.count();
            }
            Placement::Surplus | Placement::Late => count.2 += 1,
        }
    }
    count
}

/// Numbers in -1..=1 that look random and are the same each time.
fn noise() -> impl Iterator<Item = f64> {
    let mut state = 0x2545_F491_4F6C_DD1D_u64;
    std::iter::repeat_with(move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 11) as f64 / (1_u64 << 52) as f64 - 1.0
    })
}

/// `frames` frames at `fps` from `phase` ms, each up to `jitter` ms early or late.
fn sender(fps: f64, frames: usize, phase: f64, jitter: f64) -> impl Iterator<Item = Nanoseconds> {
    noise().take(frames).enumerate().map(move |(n, noise)| {
        ((n as f64 * 1000.0 / fps + phase + noise * jitter) * MS as f64) as Nanoseconds
    })
}

#[test]
fn rates_that_make_no_grid_are_refused() {
    for (numer, denom) in [(0, 1), (-25, 1), (25, 0), (25, -1), (1001, 1), (i32::MAX, 1)] {
        assert_eq!(Rate::new(numer, denom), None, "{numer}/{denom}");
    }
    assert!(Rate::new(1000, 1).is_some());
    assert!(Rate::new(1, i32::MAX).is_some());
    assert!(Rate::new(30_000, 1001).is_some());
}

#[test]
fn slots_start_at_the_rounded_multiples_of_the_period() {
    let slots = Slots { origin: 7, rate: Rate::new(30, 1).expect("a rate") };
    assert_eq!(slots.start(0), 7);
    assert_eq!(slots.start(1), 33_333_340);
    assert_eq!(slots.start(2), 66_666_674);
    assert_eq!(slots.start(3), 100_000_007);
    assert_eq!(slots.start(-1), -33_333_326);
    // An hour later nothing has accumulated.
    assert_eq!(slots.start(30 * 3600), 3600 * SECOND + 7);
    assert_eq!(slots.length(0), 33_333_333);
    assert_eq!(slots.length(1), 33_333_334);
}

#[test]
fn the_table_of_the_page_holds() {
    // Slots 0 to 10 are settled, 11 is open: 0, 40, … 400 ms have come.
    let steady = || {
        let mut grid = at_25(None);
        run(&mut grid, (0..=10).map(|n| n * 40 * MS));
        grid
    };
    let fast = || {
        let mut grid = at_25(None);
        run(&mut grid, (0..=25).map(|n| n * 16 * MS));
        grid
    };
    let cases = [
        ("nearest is open", steady(), 440, takes(11)),
        ("early for its slot", steady(), 421, takes(11)),
        ("late for its slot", steady(), 459, takes(11)),
        ("slots were missed", steady(), 521, takes_after(11..13, 13)),
        ("settled, past its start, steady", steady(), 419, takes(11)),
        ("settled, at its start, steady", steady(), 400, takes(11)),
        ("settled, before its start", steady(), 399, Placement::Surplus),
        ("settled, past its start, fast", fast(), 410, Placement::Surplus),
        ("an earlier slot", steady(), 379, Placement::Late),
        ("long ago", steady(), -5000, Placement::Late),
    ];
    for (what, mut grid, time, expected) in cases {
        assert_eq!(grid.place(time * MS), expected, "{what}");
    }
}

#[test]
fn without_an_origin_the_first_frame_is_at_slot_0() {
    let mut grid = at_25(None);
    assert_eq!(grid.slots(), None);
    assert_eq!(grid.place(123 * MS), takes(0));
    assert_eq!(grid.slots().expect("anchored").start(0), 123 * MS);
}

#[test]
fn slots_before_the_origin_count_down_to_it() {
    let mut grid = at_25(Some(1000 * MS));
    assert_eq!(grid.place(920 * MS), takes(-2));
    assert_eq!(grid.place(960 * MS), takes(-1));
    assert_eq!(grid.place(1000 * MS), takes(0));
}

#[test]
fn no_slot_starts_before_running_time_does() {
    let mut grid = at_25(Some(90 * MS));
    assert_eq!(grid.place(0), takes(-2));
    assert_eq!(grid.slots().expect("anchored").start(-2), 10 * MS);
}

#[test]
fn a_sender_at_the_grids_rate_keeps_its_frames_at_any_phase() {
    for phase in 0..40 {
        let frames = sender(25.0, 1500, 1000.0 + f64::from(phase), 9.0);
        let (out, repeated, dropped) = run(&mut at_25(Some(0)), frames);
        assert_eq!(dropped, 0, "phase {phase} ms");
        assert!(repeated <= 1, "phase {phase} ms: {repeated} repeated");
        assert_eq!(out, 1500 + repeated);
    }
}

#[test]
fn a_sender_that_is_moved_away_from_the_border_is_nearest_again() {
    for phase in [-15.0, -5.0, 1.0, 9.0, 16.0] {
        let mut grid = at_25(Some(0));
        // Near the border, then earlier, as by a report of its sender.
        run(&mut grid, sender(25.0, 50, 1022.0, 1.0));
        let moved: Vec<_> = sender(25.0, 200, 3000.0 + phase, 1.0).collect();
        let (_, repeated, dropped) = run(&mut grid, moved[..150].iter().copied());
        assert!(repeated <= 1 && dropped <= 1, "{phase}: {repeated} {dropped}");
        for (frame, time) in moved.iter().enumerate().skip(150) {
            assert_eq!(grid.place(*time), takes(75 + frame as i64), "{phase}");
        }
    }
}

#[test]
fn a_slow_sender_is_repeated_and_never_dropped() {
    let (out, repeated, dropped) = run(&mut at_25(Some(0)), sender(12.0, 120, 100.0, 5.0));
    assert_eq!(dropped, 0);
    assert_eq!(out, 120 + repeated);
    // 119 intervals of 1/12 s are 247.9 slots.
    assert!((248..=250).contains(&out), "{out}");
}

#[test]
fn a_fast_sender_gives_every_slot_its_nearest_frame() {
    for fps in [30.0, 50.0, 60.0] {
        let mut grid = at_25(Some(0));
        let mut worst = 0;
        let mut repeated = 0;
        for time in sender(fps, 600, 100.0, 2.0) {
            if let Placement::Takes { missed, slot } = grid.place(time) {
                repeated += missed.count();
                // The first frames teach the pace.
                if time > 1000 * MS {
                    let start = grid.slots().expect("anchored").start(slot);
                    worst = worst.max((start - time).abs());
                }
            }
        }
        assert_eq!(repeated, 0, "{fps} fps");
        assert!(worst <= 20 * MS, "{fps} fps: {worst} ns");
    }
}

#[test]
fn a_sender_whose_clock_drifts_meets_one_correction_a_period() {
    // 25.05 frames a second for 100 s: five frames too many.
    let (_, repeated, dropped) = run(&mut at_25(Some(0)), sender(25.05, 2505, 100.0, 5.0));
    assert!(repeated <= 1, "{repeated}");
    assert!((4..=6).contains(&dropped), "{dropped}");
    // 24.95: five too few.
    let (_, repeated, dropped) = run(&mut at_25(Some(0)), sender(24.95, 2495, 100.0, 5.0));
    assert!(dropped <= 1, "{dropped}");
    assert!((4..=6).contains(&repeated), "{repeated}");
}

#[test]
fn a_slot_is_overdue_one_ceiling_after_its_end() {
    let mut grid = at_25(None);
    assert_eq!(grid.deadline(150 * MS), None);
    grid.place(0);
    // Slot 1 ends at 80 ms.
    assert_eq!(grid.deadline(150 * MS), Some(230 * MS));
    assert_eq!(grid.settle_overdue(230 * MS - 1, 150 * MS), 1..1);
    assert_eq!(grid.settle_overdue(230 * MS, 150 * MS), 1..2);
    assert_eq!(grid.deadline(150 * MS), Some(270 * MS));
    assert_eq!(grid.settle_overdue(400 * MS, 150 * MS), 2..6);
    // Its frame comes after all: late. A current one is not.
    assert_eq!(grid.place(120 * MS), Placement::Late);
    assert_eq!(grid.place(280 * MS), takes_after(6..7, 7));
}

#[test]
fn the_tail_is_settled_to_the_end() {
    let mut grid = at_25(None);
    assert_eq!(grid.settle_until(SECOND), 0..0);
    grid.place(0);
    assert_eq!(grid.settle_until(SECOND), 1..25);
    assert_eq!(grid.settle_until(SECOND), 25..25);
    assert_eq!(grid.settle_until(0), 25..25);
}

#[test]
fn a_moved_grid_settles_each_slot_after_its_origin_once() {
    for phase in 0..40 {
        let mut grid = at_25(None);
        run(&mut grid, (0..10).map(|n| n * 40 * MS));
        let before = grid.slots().expect("anchored").start(9);
        // Slot 9 of the old grid started at 360 ms.
        let origin = (380 + phase) * MS;
        grid.move_to(origin);
        let Placement::Takes { missed, slot } = grid.place(800 * MS) else {
            panic!("800 ms is open");
        };
        let slots = grid.slots().expect("anchored");
        assert!(slots.start(missed.start) > before);
        assert!(missed.start <= 0, "slot 0 is settled");
        let in_run = missed.filter(|slot| *slot >= 0).count() as i64;
        assert_eq!(in_run, slot);
    }
}

#[test]
fn an_origin_in_the_past_leaves_no_slot_twice_and_none_out() {
    let mut grid = at_25(None);
    run(&mut grid, (0..10).map(|n| n * 40 * MS));
    // Old slots 5 to 9, at 200 to 360 ms, stand in the new cells 0 to 4.
    grid.move_to(190 * MS);
    assert_eq!(grid.place(390 * MS), takes(5));
}

#[test]
fn another_rate_goes_on_after_the_last_slot() {
    let mut grid = at_25(None);
    run(&mut grid, (0..10).map(|n| n * 40 * MS));
    grid.change_rate(Rate::new(50, 1).expect("a rate"));
    assert_eq!(grid.rate(), Rate::new(50, 1).expect("a rate"));
    assert_eq!(grid.place(380 * MS), takes(19));
}

proptest! {
    #[test]
    fn slots_come_out_in_order_and_without_a_hole(
        steps in proptest::collection::vec((-50_i64..200, 0_u8..4), 1..200),
        numer in 1_i32..120,
        origin in proptest::option::of(0_i64..2000),
    ) {
        let mut grid = Grid::new(
            Rate::new(numer, 1).expect("a rate"),
            origin.map(|ms| ms * MS),
        );
        let mut time = 1000 * MS;
        let mut expected = None;
        for (step, kind) in steps {
            time += step * MS;
            let settled = match kind {
                0 => grid.settle_overdue(time, 150 * MS),
                1 => grid.settle_until(time),
                _ => match grid.place(time) {
                    Placement::Takes { missed, slot } => {
                        prop_assert_eq!(missed.end, slot);
                        missed.start..slot + 1
                    }
                    Placement::Surplus | Placement::Late => continue,
                },
            };
            if grid.slots().is_none() {
                continue;
            }
            prop_assert!(expected.is_none_or(|slot| slot == settled.start));
            expected = Some(settled.end);
        }
    }

    #[test]
    fn a_frame_is_never_placed_further_than_a_slot_from_its_capture(
        gaps in proptest::collection::vec(1_i64..120, 1..200),
    ) {
        let mut grid = at_25(Some(0));
        let mut time = SECOND;
        for gap in gaps {
            time += gap * MS;
            if let Placement::Takes { slot, .. } = grid.place(time) {
                let start = grid.slots().expect("anchored").start(slot);
                prop_assert!((start - time).abs() <= 40 * MS);
            }
        }
    }
}
