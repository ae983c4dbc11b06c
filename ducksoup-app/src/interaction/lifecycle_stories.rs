// SPDX-License-Identifier: MPL-2.0

//! Whole runs of an interaction, told in the words of the tests next door.

use super::*;
use std::collections::BTreeSet;

#[test]
fn a_ready_that_was_noted_counts() {
    follow(&[
        ("join 1 a; join 2 b; ready 1", ""),
        ("ready 1", ""),
        ("ready 2", "t0; record 1; 1< start 30; record 2; 2< start 30; show 1 b; show 2 a"),
    ]);
}

#[test]
fn a_whole_run_says_everything_in_its_order() {
    follow(&[
        ("join 1 a 2 60", "1< joined new; open 1 a #1"),
        (
            "at 2000; join 2 b 2 60",
            "2< joined existing; 2< other_joined a; 1< other_joined b; open 2 b #1",
        ),
        (
            "at 3000; ready 2; ready 1",
            "t0; record 1; 1< start 60; record 2; 2< start 60; show 1 b; show 2 a",
        ),
        ("at 47999; timeout", ""),
        ("at 48100; timeout", "1< ending; 2< ending"),
        ("timeout; at 62999; timeout", ""),
        ("at 63100; timeout", "over; finish ended"),
        (
            "files b",
            "1< files of b; 1< end; close 1; close-peer 1 over; \
             2< files of b; 2< end; close 2; close-peer 2 over; exit",
        ),
    ]);
}

#[test]
fn the_first_joiner_sets_size_and_duration() {
    follow(&[
        ("join 1 a 2 40", "1< joined new; open 1 a #1"),
        (
            "join 2 b 8 1000",
            "2< joined existing; 2< other_joined a; 1< other_joined b; \
             differs 2 size,duration; open 2 b #1",
        ),
        ("ready 1", ""),
        ("ready 2", "t0; record 1; 1< start 40; record 2; 2< start 40; show 1 b; show 2 a"),
    ]);
    // … and the first of those who come after all have left again.
    follow(&[
        ("join 1 a 3 40; leave 1 closed", "close-peer 1 closed"),
        ("at 14000; join 2 b 1 50", "2< joined new; open 2 b #1"),
        ("at 28000; ready 2", "t0; record 2; 2< start 50; show 2 b"),
    ]);
}

#[test]
fn the_end_is_announced_15_s_before_it_but_not_within_the_first_second() {
    for (duration, announced) in
        [(1, None), (2, Some(1)), (15, Some(1)), (16, Some(1)), (17, Some(2)), (1200, Some(1185))]
    {
        let mut plan = Plan::new();
        plan.run(&format!("join 1 a 1 {duration}; at 5000; ready 1"));
        let mut seen = Vec::new();
        while let Some(at) = plan.lifecycle.next_timeout() {
            plan.now = at;
            let said = plan.run("timeout");
            seen.push((at.as_secs() - 5, said));
            if seen.len() > 2 {
                break;
            }
        }
        let mut expected = Vec::from_iter(announced.map(|at| (at, "1< ending".to_owned())));
        expected.push((duration, "over; finish ended".into()));
        let end = "1< end; close 1; close-peer 1 over; exit".to_owned();
        expected.push((duration + FINISH_LIMIT.as_secs(), end));
        assert_eq!(seen, expected, "{duration} s");
    }
}

#[test]
fn a_late_timeout_announces_and_ends_at_once() {
    follow(&[
        (RUNNING, "t0; record 1; 1< start 30; record 2; 2< start 30; show 1 b; show 2 a"),
        ("at 40000; timeout", "1< ending; 2< ending; over; finish ended"),
    ]);
}

#[test]
fn files_that_are_not_complete_in_time_are_not_announced() {
    follow(&[
        (ENDED, "1< ending; 2< ending; over; finish ended"),
        ("at 50099; timeout", ""),
        (
            "at 50100; timeout",
            "1< end; close 1; close-peer 1 over; 2< end; close 2; close-peer 2 over; exit",
        ),
    ]);
}

#[test]
fn a_mirror_shows_its_only_participant_to_itself() {
    follow(&[
        ("join 1 a 1", "1< joined new; open 1 a #1"),
        ("join 2 b 1", "2< error-full; close 2"),
        ("ready 1", "t0; record 1; 1< start 30; show 1 a"),
        ("leave 1 closed", "close-peer 1 closed"),
        ("at 9500; join 3 a 1", "3< joined reconnection; open 3 a #2"),
        ("at 10000; ready 3", "record 3; 3< start 20; show 3 a"),
    ]);
}

#[test]
fn three_meet_each_other() {
    follow(&[
        (
            "join 1 a 3; join 2 b 3",
            "2< joined existing; 2< other_joined a; 1< other_joined b; open 2 b #1",
        ),
        (
            "join 3 c 3",
            "3< joined existing; 3< other_joined a; 1< other_joined c; \
             3< other_joined b; 2< other_joined c; open 3 c #1",
        ),
        ("join 4 d", "4< error-full; close 4"),
        ("ready 3; ready 1", ""),
        (
            "ready 2",
            "t0; record 1; 1< start 30; record 2; 2< start 30; record 3; 3< start 30; \
             show 1 b; show 1 c; show 2 a; show 2 c; show 3 a; show 3 b",
        ),
        (
            "leave 2 stopped",
            "1< other_left b; hide 1 b; 3< other_left b; hide 3 b; close-peer 2 stopped",
        ),
        ("join 5 d", "5< error-full; close 5"),
        (
            "join 6 b 3",
            "6< joined reconnection; 6< other_joined a; 1< other_joined b; \
             6< other_joined c; 3< other_joined b; open 6 b #2",
        ),
        ("ready 6", "record 6; 6< start 30; show 6 a; show 1 b; show 6 c; show 3 b"),
    ]);
}

#[test]
fn eight_all_see_the_seven_others() {
    let mut plan = Plan::new();
    for number in 1..=8 {
        let said = plan.run(&format!("join {number} u{number} 8"));
        assert_eq!(said.matches("other_joined").count(), 2 * (number - 1));
    }
    for number in 1..=7 {
        assert_eq!(plan.run(&format!("ready {number}")), "");
    }
    assert_eq!(plan.run("join 9 u9"), "9< error-full; close 9");
    let said = plan.run("ready 8");
    for what in ["start 30", "record"] {
        assert_eq!(said.matches(what).count(), 8);
    }
    let shown: BTreeSet<&str> = said.split("; ").filter(|it| it.starts_with("show")).collect();
    assert_eq!(shown.len(), 8 * 7);
    assert!((1..=8).all(|one| !shown.contains(format!("show {one} u{one}").as_str())));
}

#[test]
fn a_page_reloaded_while_gathering_takes_its_seat_again() {
    follow(&[
        (
            "join 1 a; join 2 b; ready 1; at 5000; leave 1 closed",
            "2< other_left a; close-peer 1 closed",
        ),
        ("join 3 a", "3< joined reconnection; 3< other_joined b; 2< other_joined a; open 3 a #2"),
        ("ready 2", ""),
        ("ready 3", "t0; record 3; 3< start 30; record 2; 2< start 30; show 3 b; show 2 a"),
    ]);
    // The only one: the interaction is empty meanwhile, and waits anew.
    follow(&[
        ("join 1 a; at 14000; leave 1 closed", "close-peer 1 closed"),
        ("at 16000; timeout", ""),
        ("at 28000; join 2 a", "2< joined new; open 2 a #2"),
        ("at 42999; timeout", ""),
        ("at 43000; timeout", "over; 2< error-aborted; close 2; finish aborted"),
    ]);
}

#[test]
fn a_seat_left_while_gathering_is_free_for_someone_else() {
    follow(&[
        ("join 1 a; join 2 b; leave 2 closed", "1< other_left b; close-peer 2 closed"),
        ("join 3 c", "3< joined existing; 3< other_joined a; 1< other_joined c; open 3 c #1"),
        ("join 4 b", "4< error-full; close 4"),
    ]);
}

#[test]
fn a_page_reloaded_while_running_comes_back_to_what_is_left() {
    follow(&[
        (RUNNING, "t0; record 1; 1< start 30; record 2; 2< start 30; show 1 b; show 2 a"),
        ("at 12400; leave 1 closed", "2< other_left a; hide 2 a; close-peer 1 closed"),
        ("join 3 a", "3< joined reconnection; 3< other_joined b; 2< other_joined a; open 3 a #2"),
        ("at 15100; timeout", "3< ending; 2< ending"),
        ("at 15700; ready 3", "record 3; 3< start 14; show 3 b; show 2 a"),
    ]);
}

#[test]
fn all_can_leave_a_running_interaction_and_come_back() {
    follow(&[
        (RUNNING, "t0; record 1; 1< start 30; record 2; 2< start 30; show 1 b; show 2 a"),
        ("leave 1 closed; leave 2 closed", "close-peer 2 closed"),
        ("join 3 c", "3< error-full; close 3"),
        ("join 4 b", "4< joined reconnection; open 4 b #2"),
        ("join 5 a", "5< joined reconnection; 5< other_joined b; 4< other_joined a; open 5 a #2"),
        ("at 1000; ready 5", "record 5; 5< start 29"),
        ("ready 4", "record 4; 4< start 29; show 4 a; show 5 b"),
    ]);
    // … or not: it ends in its time all the same.
    follow(&[
        ("join 1 a 1; ready 1; leave 1 closed", "close-peer 1 closed"),
        ("at 15100; timeout", ""),
        ("at 30100; timeout", "over; finish ended"),
        ("files a", "exit"),
    ]);
}

#[test]
fn one_who_is_replaced_is_not_seen_to_leave() {
    for (before, after) in [
        ("join 1 a; join 2 b", ""),
        (GATHERING, ""),
        (RUNNING, "record 3; 3< start 30; show 3 b; show 2 a"),
    ] {
        let mut plan = Plan::new();
        plan.run(before);
        assert_eq!(plan.run("leave 1 replaced"), "close-peer 1 replaced");
        assert_eq!(plan.run("join 3 a"), "3< joined reconnection; 3< other_joined b; open 3 a #2");
        assert_eq!(plan.run("leave 1 closed"), "", "the old socket means nothing more");
        assert_eq!(plan.run("ready 3"), after);
    }
}

#[test]
fn who_comes_while_another_is_being_replaced_hears_of_them_all_the_same() {
    follow(&[
        ("join 1 a 3; join 2 b 3; leave 1 replaced", "close-peer 1 replaced"),
        (
            "join 3 c 3",
            "3< joined existing; 3< other_joined a; 3< other_joined b; 2< other_joined c; open 3 c #1",
        ),
        ("join 4 a 3", "4< joined reconnection; 4< other_joined b; 4< other_joined c; open 4 a #2"),
    ]);
}

#[test]
fn a_failed_peer_may_come_back() {
    follow(&[
        (RUNNING, "t0; record 1; 1< start 30; record 2; 2< start 30; show 1 b; show 2 a"),
        (
            "failed 1",
            "1< error-peer-connection; close 1; 2< other_left a; hide 2 a; close-peer 1 failed",
        ),
        ("leave 1 closed", ""),
        ("failed 1", ""),
        ("join 3 a", "3< joined reconnection; 3< other_joined b; 2< other_joined a; open 3 a #2"),
    ]);
}

#[test]
fn nobody_is_told_anything_after_the_farewell() {
    for (before, farewell) in [("at 15000; timeout", "error-aborted"), ("shutdown", "error")] {
        let mut plan = Plan::new();
        plan.run(GATHERING);
        assert!(plan.run(before).contains(&format!("2< {farewell}; close 2")));
        assert_eq!(plan.run("leave 1 closed"), "close-peer 1 closed");
        assert_eq!(plan.run("files a"), "close-peer 2 over; exit");
        assert_eq!(plan.run("leave 2 closed"), "");
    }
}

#[test]
fn a_client_that_leaves_while_files_are_finished_is_let_go() {
    follow(&[
        (ENDED, "1< ending; 2< ending; over; finish ended"),
        ("leave 1 closed", "close-peer 1 closed"),
        ("files a", "2< files of a; 2< end; close 2; close-peer 2 over; exit"),
    ]);
}

#[test]
fn a_lost_socket_is_borne_in_silence_and_its_participant_takes_the_seat_over() {
    follow(&[
        ("join 1 a; join 2 b; ready 1; ready 2; at 5000; leave 2 lost", ""),
        ("at 12999; timeout", ""),
        (
            "join 3 b",
            "close-peer 2 replaced; 3< joined reconnection; 3< other_joined a; open 3 b #2",
        ),
        ("at 13100; timeout", ""),
        ("ready 3", "record 3; 3< start 17; show 3 a; show 1 b"),
    ]);
}

#[test]
fn a_silence_that_is_too_long_is_a_leave() {
    follow(&[
        ("join 1 a; join 2 b; ready 1; ready 2; at 5000; leave 2 lost", ""),
        ("at 13000; timeout", "1< other_left b; hide 1 b; close-peer 2 lost"),
        ("join 3 b", "3< joined reconnection; 3< other_joined a; 1< other_joined b; open 3 b #2"),
    ]);
}

#[test]
fn media_that_come_back_in_time_were_never_gone_and_else_it_is_an_error() {
    follow(&[
        ("join 1 a; join 2 b; ready 1; ready 2; at 2000; media 2 lost; at 4000; media 2 back", ""),
        ("at 10000; timeout", ""),
        ("media 2 lost; at 12000; media 1 lost; at 15100; timeout", "1< ending; 2< ending"),
        (
            "at 18000; timeout",
            "2< error-peer-connection; close 2; 1< other_left b; hide 1 b; close-peer 2 failed",
        ),
        ("at 19000; leave 1 lost; at 20000; timeout", "close-peer 1 lost"),
    ]);
}

#[test]
fn nothing_is_said_to_who_cannot_hear_and_the_end_comes_for_them_too() {
    follow(&[
        ("join 1 a 2 10; join 2 b; ready 1; ready 2; at 1100; timeout", "1< ending; 2< ending"),
        ("at 9000; leave 2 lost", ""),
        ("at 10100; timeout", "over; finish ended"),
        ("files a", "1< files of a; 1< end; close 1; close-peer 1 over; close-peer 2 over; exit"),
    ]);
}
