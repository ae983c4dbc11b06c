// SPDX-License-Identifier: MPL-2.0

//! The table of [`super`], cell by cell, and whole runs.

#![allow(clippy::unwrap_used)]

use super::*;
use crate::load::gaps::Packet;
use crate::load::plan::{ChurnKind, Wishes};

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn board(participants: usize) -> Board {
    let plan = Plan::new(&Wishes {
        interactions: 1,
        participants,
        duration: Duration::from_secs(20),
        ramp_up: Duration::ZERO,
        churn: 0.0,
        kinds: &[ChurnKind::Leave],
        controls: 0.0,
        knobs: &[],
        seed: 1,
    });
    Board::new(plan.unwrap(), true)
}

fn started() -> News {
    News::Started { remaining: Duration::from_secs(20) }
}

fn failed() -> News {
    News::Failed { kind: "error-full".into(), text: "it is full".into() }
}

/// Two participants whose call runs since 100 ms and ends at 20.1 s.
fn running() -> Board {
    let mut board = board(2);
    for seat in 0..2 {
        assert_eq!(board.deed(ms(0), seat, Deed::Join), Act::Connect);
        assert_eq!(board.news(ms(10 + seat as u64), seat, News::Joined), Act::Nothing);
    }
    for seat in 0..2 {
        assert_eq!(board.news(ms(100), seat, started()), Act::Nothing);
    }
    board
}

/// Packets that come at seat 0 from seat 1.
fn packet(board: &Board, at: u64, number: u16) {
    let track = board.tracks().iter().find(|track| track.receiver == 0).unwrap();
    let timestamp = u32::from(number) * 960;
    track.arrivals().arrive(ms(at), Packet { number, timestamp });
}

/// Seat 0 in each life.
fn lives() -> [(&'static str, Board); 5] {
    let mut joining = board(2);
    joining.deed(ms(0), 0, Deed::Join);
    let mut joined = board(2);
    joined.deed(ms(0), 0, Deed::Join);
    joined.news(ms(10), 0, News::Joined);
    let mut over = running();
    over.news(ms(1000), 0, failed());
    [
        ("out", board(2)),
        ("joining", joining),
        ("joined", joined),
        ("running", running()),
        ("over", over),
    ]
}

fn name(life: &Life) -> &'static str {
    match life {
        Life::Out => "out",
        Life::Joining { .. } => "joining",
        Life::Joined { .. } => "joined",
        Life::Running => "running",
        Life::Over(Outcome::Ended) => "ended",
        Life::Over(Outcome::Left) => "left",
        Life::Over(Outcome::Failed { .. }) => "over",
    }
}

#[test]
fn every_cell_of_the_table() {
    use Act::{Connect, Leave, Nothing, Reconnect, Vanish};
    let control = Deed::Control { knob: 1, value: 0.5 };
    let sent = Act::Control { knob: 1, value: 0.5 };
    type Put = Box<dyn Fn(&mut Board) -> Act>;
    type Cells = [(&'static str, Act); 5];
    let deed = |deed| -> Put { Box::new(move |board| board.deed(ms(2000), 0, deed)) };
    let news =
        |news: fn() -> News| -> Put { Box::new(move |board| board.news(ms(2000), 0, news())) };
    // For each input, what becomes of out, joining, joined, running and over, and what is done.
    let table: [(&str, Put, Cells); 9] = [
        (
            "join",
            deed(Deed::Join),
            [
                ("joining", Connect),
                ("joining", Nothing),
                ("joined", Nothing),
                ("running", Nothing),
                ("over", Nothing),
            ],
        ),
        (
            "leave",
            deed(Deed::Leave),
            [("out", Nothing), ("out", Leave), ("out", Leave), ("out", Leave), ("over", Nothing)],
        ),
        (
            "drop",
            deed(Deed::Drop),
            [
                ("out", Nothing),
                ("out", Vanish),
                ("out", Vanish),
                ("out", Vanish),
                ("over", Nothing),
            ],
        ),
        (
            "reload",
            deed(Deed::Reload),
            [
                ("out", Nothing),
                ("joining", Reconnect),
                ("joining", Reconnect),
                ("joining", Reconnect),
                ("over", Nothing),
            ],
        ),
        (
            "control",
            deed(control),
            [
                ("out", Nothing),
                ("joining", Nothing),
                ("joined", Nothing),
                ("running", sent),
                ("over", Nothing),
            ],
        ),
        (
            "joined",
            news(|| News::Joined),
            [
                ("out", Nothing),
                ("joined", Nothing),
                ("joined", Nothing),
                ("running", Nothing),
                ("over", Nothing),
            ],
        ),
        (
            "started",
            news(started),
            [
                ("out", Nothing),
                ("joining", Nothing),
                ("running", Nothing),
                ("running", Nothing),
                ("over", Nothing),
            ],
        ),
        (
            "ended",
            news(|| News::Ended),
            [
                ("out", Nothing),
                ("over", Vanish),
                ("over", Vanish),
                ("ended", Vanish),
                ("over", Nothing),
            ],
        ),
        (
            "failed",
            news(failed),
            [
                ("out", Nothing),
                ("over", Vanish),
                ("over", Vanish),
                ("over", Vanish),
                ("over", Nothing),
            ],
        ),
    ];
    for (input, put, cells) in table {
        for ((from, mut board), (to, act)) in lives().into_iter().zip(cells) {
            assert_eq!(put(&mut board), act, "{input} while {from}");
            assert_eq!(name(&board.lives()[0]), to, "{input} while {from}");
        }
    }
}

#[test]
fn an_interrupt_lets_everybody_leave() {
    for ((from, mut board), acts) in lives().into_iter().zip([0, 1, 1, 2, 1]) {
        let done = board.interrupt(ms(2000));
        assert_eq!(done.len(), acts, "{from}");
        assert!(done.iter().all(|(_, act)| *act == Act::Leave), "{from}");
        assert!(board.is_over(), "{from}");
    }
}

#[test]
fn a_server_that_says_nothing_is_given_up() {
    for (from, limit) in [("joining", 15_000), ("joined", 45_010), ("running", 50_100)] {
        let (_, mut board) = lives().into_iter().find(|(name, _)| *name == from).unwrap();
        let acts =
            |board: &mut Board, now| board.tick(now).iter().filter(|(seat, _)| *seat == 0).count();
        assert_eq!(acts(&mut board, ms(limit)), 0, "{from}");
        assert_eq!(acts(&mut board, ms(limit + 1)), 1, "{from}");
        assert_eq!(name(&board.lives()[0]), "over", "{from}");
        assert_eq!(acts(&mut board, ms(limit + 2)), 0, "{from}: once");
    }
    let (_, mut out) = lives().into_iter().next().unwrap();
    assert!(out.tick(ms(1_000_000)).is_empty());
}

#[test]
fn what_is_measured_of_a_good_call() {
    let mut board = running();
    packet(&board, 300, 1);
    packet(&board, 320, 2);
    packet(&board, 20_090, 3);
    board.news(ms(21_000), 0, News::Ended);
    board.news(ms(21_000), 1, News::Ended);
    assert!(board.is_over());
    let tally = board.tally();
    assert_eq!((tally.joins, board.started()), (2, 1));
    assert_eq!(tally.joined, [ms(10), ms(11)]);
    assert_eq!(tally.started, [ms(89), ms(89)], "since the last one joined");
    let received = board.tracks()[0].arrivals().received(ms(30_000));
    assert_eq!(received.waits, [ms(200)]);
    assert_eq!(received.present, ms(19_800), "until the call's time is up, not until end is said");
    assert_eq!(received.gap.length, ms(19_770));
    assert_eq!(board.tracks()[1].arrivals().received(ms(30_000)).missing, 1);
}

#[test]
fn what_is_measured_of_one_who_leaves_and_comes_back() {
    let mut board = running();
    packet(&board, 300, 1);
    board.deed(ms(1000), 1, Deed::Leave);
    assert_eq!(board.deed(ms(1500), 1, Deed::Control { knob: 0, value: 0.0 }), Act::Nothing);
    packet(&board, 1100, 2);
    board.deed(ms(4000), 1, Deed::Join);
    board.news(ms(4020), 1, News::Joined);
    packet(&board, 4500, 3);
    board.news(ms(4600), 1, News::Started { remaining: Duration::from_secs(16) });
    board.news(ms(21_000), 0, News::Ended);
    let tally = board.tally();
    assert_eq!((tally.joins, tally.leaves, tally.controls_skipped), (3, 1, 1));
    assert_eq!(tally.restarted, [ms(580)]);
    assert_eq!(tally.started.len(), 2);
    let received = board.tracks()[0].arrivals().received(ms(30_000));
    assert_eq!(received.waits, [ms(200), ms(480)], "since start, and since the sender was back");
    assert_eq!((received.packets, received.late), (3, 1));
    assert_eq!(received.present, ms(700) + ms(15_600), "the end is the one that was told first");
}

#[test]
fn who_comes_back_too_late_has_failed() {
    let mut board = running();
    board.deed(ms(1000), 1, Deed::Drop);
    board.news(ms(2000), 0, News::Ended);
    assert_eq!(board.deed(ms(3000), 1, Deed::Join), Act::Nothing);
    assert_eq!(name(&board.lives()[1]), "over");
}

#[test]
fn a_mirror_receives_itself() {
    let mut board = board(1);
    board.deed(ms(0), 0, Deed::Join);
    board.news(ms(10), 0, News::Joined);
    board.news(ms(50), 0, started());
    packet(&board, 90, 1);
    assert_eq!(board.tracks()[0].arrivals().received(ms(100)).waits, [ms(40)]);
}
