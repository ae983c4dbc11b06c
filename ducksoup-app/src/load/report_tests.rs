// SPDX-License-Identifier: MPL-2.0

//! Figures, verdicts and rows.

#![allow(clippy::unwrap_used)]

use super::*;
use crate::load::board::News;
use crate::load::gaps::Packet;
use crate::load::plan::{ChurnKind, Deed, Plan, Wishes};

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// Two who talk for ten seconds; everything comes, but for some of what seat 1 sends.
fn talk(packets_of_1: &(impl Iterator<Item = u16> + Clone)) -> Board {
    let wishes = Wishes {
        interactions: 1,
        participants: 2,
        duration: ms(10_000),
        ramp_up: Duration::ZERO,
        churn: 0.0,
        kinds: &[ChurnKind::Leave],
        controls: 0.0,
        knobs: &[],
        seed: 1,
    };
    let mut board = Board::new(Plan::new(&wishes).unwrap(), false);
    for seat in 0..2 {
        board.deed(ms(0), seat, Deed::Join);
        board.news(ms(20), seat, News::Joined);
    }
    for seat in 0..2 {
        board.news(ms(1000), seat, News::Started { remaining: ms(10_000) });
    }
    for track in board.tracks() {
        let (rate, step) = if track.medium == Medium::Audio { (20, 960) } else { (40, 3600) };
        let count = 10_000 / rate;
        let all: Vec<u16> = match (track.sender, track.medium) {
            (1, Medium::Video) => packets_of_1.clone().collect(),
            _ => (0..u16::try_from(count).unwrap()).collect(),
        };
        for number in all {
            let packet = Packet { number, timestamp: u32::from(number) * step };
            track.arrivals().arrive(ms(1000 + u64::from(number) * rate), packet);
        }
    }
    for seat in 0..2 {
        board.news(ms(11_500), seat, News::Ended);
    }
    board
}

fn figures(board: &Board) -> Figures {
    let limits = Limits { max_gap: Some(300), min_frames: Some(0.98) };
    Figures { limits, ..Figures::default() }.measured(board, 25, ms(12_000))
}

fn row(figures: &Figures, name: &str) -> [String; 3] {
    figures.rows().into_iter().find(|row| row[0] == name).unwrap_or_else(|| panic!("no row {name}"))
}

#[test]
fn a_good_run_passes_and_its_figures_are_told() {
    let figures = figures(&talk(&(0..250)));
    assert_eq!(figures.faults(), [""; 0]);
    assert_eq!(figures.exit_code(), 0);
    assert_eq!((figures.video.frames, figures.video.frames_due), (500, 500));
    assert_eq!((figures.audio.frames, figures.audio.lost), (1000, 0));
    assert_eq!(row(&figures, "joins")[1], "2 of 2");
    assert_eq!(row(&figures, "joined after")[1], "20 ms");
    assert_eq!(row(&figures, "started after")[1], "980 ms");
    assert_eq!(row(&figures, "picture: tracks")[1], "2 of 2");
    assert_eq!(row(&figures, "picture: largest gaps")[1], "40 ms");
    assert_eq!(row(&figures, "sound: packets")[1..], ["1000", "0 lost"]);
    assert_eq!(row(&figures, "server: memory")[1], "-");
    assert_eq!(row(&figures, "verdict")[1], "passed");
}

#[test]
fn a_limit_that_is_exceeded_fails_and_says_whose_track_it_was() {
    let gap = figures(&talk(&(0..100).chain(110..250)));
    assert_eq!(gap.faults().len(), 2, "{:?}", gap.faults());
    assert_eq!(gap.faults()[0], "picture: a gap of 440 ms, over 300 ms (i1 u1 from u2, at 5.4 s)");
    assert_eq!(gap.faults()[1], "picture: 96.0 % of the frames, under 98.0 % (i1 u1 from u2)");
    assert_eq!(gap.video.lost, 10);
    assert_eq!(gap.exit_code(), 1);
    assert!(row(&gap, "verdict")[2].contains("440 ms"));
    let slow = figures(&talk(&(0..250).filter(|number| number % 10 != 5)));
    assert_eq!(slow.faults().len(), 1, "{:?}", slow.faults());
    let unlimited = Figures { limits: Limits::default(), ..slow };
    assert_eq!(unlimited.exit_code(), 0);
}

#[test]
fn a_track_that_never_came_fails_without_any_limit() {
    let missing = Figures { limits: Limits::default(), ..figures(&talk(&(0..0))) };
    assert_eq!(missing.faults(), ["picture: nothing came on 1 of 2 tracks"]);
    assert_eq!(row(&missing, "picture: tracks")[1], "1 of 2");
}

#[test]
fn every_other_fault_is_told() {
    let good = || figures(&talk(&(0..250)));
    let failed = [("error-full".to_owned(), (2, "i1 u1: it is full".to_owned()))];
    for (figures, fault) in [
        (
            Figures { failed: failed.into(), ..good() },
            "2 failed with error-full (i1 u1: it is full)",
        ),
        (Figures { interactions: 3, ..good() }, "2 of 3 interactions did not start"),
        (
            Figures { refusals: [("no such element".to_owned(), 4)].into(), ..good() },
            "4 controls were refused (no such element)",
        ),
        (Figures { stuck: 1, ..good() }, "1 participants of this program did not close"),
    ] {
        assert_eq!(figures.faults(), [fault]);
        assert_eq!(figures.exit_code(), 1);
        let interrupted = Figures { interrupted: true, ..figures };
        assert_eq!(interrupted.exit_code(), 130);
    }
}

#[test]
fn times_are_ranked() {
    assert_eq!(Spread::new(&[]), None);
    let times: Vec<Duration> = (1..=100).rev().map(ms).collect();
    let spread = Spread::new(&times).unwrap();
    assert_eq!((spread.count, spread.median, spread.p95, spread.longest), (100, 50.0, 95.0, 100.0));
    let one = Spread::new(&[ms(7)]).unwrap();
    assert_eq!((one.median, one.p95, one.longest), (7.0, 7.0, 7.0));
}

#[test]
fn the_figures_are_written_as_json() {
    let json = serde_json::to_value(figures(&talk(&(0..250)))).unwrap();
    assert_eq!(json["video"]["frames"], 500);
    assert_eq!(json["joined"]["median"], 20.0);
}
