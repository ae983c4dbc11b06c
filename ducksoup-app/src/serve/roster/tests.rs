// SPDX-License-Identifier: MPL-2.0

use super::*;
use crate::config::{Args, Config};
use ducksoup_signaller::protocol::JoinOptions;
use serde_json::json;
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

/// A lobby without a world: stages and ids are numbered, time is asked for.
struct Bench {
    roster: Roster,
    now: Instant,
    runs: u64,
}

impl Bench {
    fn new() -> Self {
        let folder = std::env::temp_dir();
        let config = Config::new(&Args::default(), &folder).expect("valid");
        Self {
            roster: Roster::new(config.stage_settings(), Limits::default()),
            now: Instant::now(),
            runs: 0,
        }
    }

    fn put(&mut self, input: Input) -> Vec<String> {
        let runs = &mut self.runs;
        let mut fresh = || {
            *runs += 1;
            Fresh {
                stage: Stage(*runs),
                id: Identifier::new(&format!("run{runs}")).expect("valid"),
            }
        };
        let effects = self.roster.handle(input, self.now, &mut fresh);
        effects.iter().map(short).collect()
    }

    fn join_from(&mut self, connection: u64, origin: &str, name: &str, user: &str) -> Vec<String> {
        let options = json!({"interactionName": name, "userId": user});
        let options = JoinOptions::from_json(options.as_object().expect("an object"));
        self.put(Input::Join(Newcomer {
            connection: Connection(connection),
            origin: origin.into(),
            options: Box::new(options.expect("valid")),
            ice_servers: Vec::new(),
        }))
    }

    fn join(&mut self, connection: u64, user: &str) -> Vec<String> {
        self.join_from(connection, "http://o", "i", user)
    }

    fn said(&mut self, stage: u64, frame: StageFrame) -> Vec<String> {
        self.put(Input::Said { stage: Stage(stage), frame })
    }

    fn gone(&mut self, connection: u64) -> Vec<String> {
        self.put(Input::Gone { connection: Connection(connection), cause: LeaveCause::Closed })
    }

    fn message(&mut self, connection: u64) -> Vec<String> {
        self.put(Input::Message {
            connection: Connection(connection),
            message: ClientMessage::NegotiationNeeded,
        })
    }

    /// Lets time pass up to the next deadline.
    fn wait(&mut self) -> Vec<String> {
        self.now = self.roster.next_timeout().expect("a deadline");
        self.put(Input::Tick)
    }
}

fn send(connection: u64, message: ServerMessage) -> StageFrame {
    StageFrame::Send { connection: Connection(connection), message }
}

/// An effect in a few characters.
fn short(effect: &Effect) -> String {
    match effect {
        Effect::Open { stage, opening } => {
            format!("open {} {} {} {}", stage.0, opening.origin, opening.interaction, opening.id)
        }
        Effect::Tell { stage, frame } => {
            let (name, connection) = match frame {
                DoorFrame::Join { connection, .. } => ("join", connection.0),
                DoorFrame::Message { connection, .. } => ("message", connection.0),
                DoorFrame::Leave { connection, cause } => {
                    let name = match cause {
                        LeaveCause::Stopped => "stopped",
                        LeaveCause::Closed => "closed",
                        LeaveCause::Replaced => "replaced",
                        LeaveCause::Lost => "lost",
                    };
                    (name, connection.0)
                }
                DoorFrame::Shutdown => ("shutdown", 0),
                DoorFrame::Open(_) => ("open", 0),
            };
            format!("{}: {name} {connection}", stage.0)
        }
        Effect::Say { connection, message } => {
            let wire: Value = serde_json::from_str(&message.to_wire()).expect("JSON");
            format!("say {} {}", connection.0, wire["kind"].as_str().expect("a kind"))
        }
        Effect::Probe(connection) => format!("probe {}", connection.0),
        Effect::Close(connection) => format!("close {}", connection.0),
        Effect::Kill { stage, why } => format!("kill {} {why}", stage.0),
    }
}

#[test]
fn the_first_join_opens_a_stage_and_the_others_meet_there() {
    let mut bench = Bench::new();
    assert_eq!(bench.join(1, "a"), ["open 1 http://o i run1", "1: join 1"]);
    assert_eq!(bench.join(2, "b"), ["1: join 2"]);
    bench.said(1, StageFrame::Ready);
    assert_eq!(bench.join(3, "c"), ["1: join 3"]);
    assert_eq!(bench.message(2), ["1: message 2"]);
    assert_eq!(bench.gone(2), ["1: closed 2"]);
    assert_eq!(bench.gone(2), [""; 0], "once");
    assert!(bench.message(2).is_empty());
}

#[test]
fn origins_and_names_never_meet() {
    let mut bench = Bench::new();
    bench.join(1, "a");
    assert_eq!(
        bench.join_from(2, "http://other", "i", "a"),
        ["open 2 http://other i run2", "2: join 2"]
    );
    assert_eq!(bench.join_from(3, "http://o", "j", "a"), ["open 3 http://o j run3", "3: join 3"]);
}

#[test]
fn a_live_user_keeps_its_place_and_the_newcomer_is_a_duplicate() {
    let mut bench = Bench::new();
    bench.join(1, "a");
    assert_eq!(bench.join(2, "a"), ["probe 1"]);
    assert_eq!(bench.put(Input::Pong(Connection(1))), ["say 2 error-duplicate"]);
    assert!(bench.gone(2).is_empty(), "the stage never heard of it");
    assert_eq!(bench.message(1), ["1: message 1"]);
}

#[test]
fn a_silent_user_is_replaced_after_a_second_and_no_word_of_the_newcomer_is_lost() {
    let mut bench = Bench::new();
    bench.join(1, "a");
    bench.said(1, StageFrame::Ready);
    let start = bench.now;
    assert_eq!(bench.join(2, "a"), ["probe 1"]);
    assert!(bench.message(2).is_empty(), "held");
    assert_eq!(bench.wait(), ["close 1", "1: replaced 1", "1: join 2", "1: message 2"]);
    assert_eq!(bench.now, start + SECOND);
    assert!(bench.gone(1).is_empty());
    assert!(bench.put(Input::Pong(Connection(1))).is_empty(), "too late");
    assert_eq!(bench.message(2), ["1: message 2"]);
}

#[test]
fn a_user_whose_old_socket_closes_meanwhile_comes_in_at_once() {
    let mut bench = Bench::new();
    bench.join(1, "a");
    bench.join(2, "a");
    assert_eq!(bench.gone(1), ["1: closed 1", "1: join 2"]);
}

#[test]
fn of_two_newcomers_the_latest_waits() {
    let mut bench = Bench::new();
    bench.join(1, "a");
    bench.said(1, StageFrame::Ready);
    bench.join(2, "a");
    assert_eq!(bench.join(3, "a"), ["say 2 error-duplicate"]);
    assert!(bench.gone(2).is_empty());
    assert_eq!(bench.wait(), ["close 1", "1: replaced 1", "1: join 3"]);
}

#[test]
fn a_newcomer_that_gives_up_changes_nothing() {
    let mut bench = Bench::new();
    bench.join(1, "a");
    bench.join(2, "a");
    assert!(bench.gone(2).is_empty());
    assert!(bench.put(Input::Pong(Connection(1))).is_empty());
    assert_eq!(bench.message(1), ["1: message 1"]);
}

#[test]
fn a_stage_speaks_to_its_own_clients_only() {
    let mut bench = Bench::new();
    bench.join(1, "a");
    bench.join_from(2, "http://o", "j", "b");
    assert_eq!(bench.said(1, send(1, ServerMessage::Ending)), ["say 1 ending"]);
    assert!(bench.said(1, send(2, ServerMessage::End)).is_empty());
    assert!(bench.said(1, StageFrame::Close { connection: Connection(2) }).is_empty());
    assert!(bench.said(9, send(1, ServerMessage::End)).is_empty());
    assert_eq!(bench.said(2, StageFrame::Close { connection: Connection(2) }), ["close 2"]);
}

#[test]
fn who_had_the_last_word_is_told_nothing_more_and_may_come_again() {
    let mut bench = Bench::new();
    bench.join(1, "a");
    let full = ServerMessage::Error(ErrorCode::Full);
    assert_eq!(bench.said(1, send(1, full)), ["say 1 error-full"]);
    assert!(bench.said(1, send(1, ServerMessage::Ending)).is_empty());
    assert!(bench.message(1).is_empty());
    assert_eq!(bench.join(2, "a"), ["1: join 2"], "no probe");
    assert_eq!(bench.gone(1), ["1: closed 1"]);
}

#[test]
fn a_name_joined_after_the_end_is_a_new_run() {
    let mut bench = Bench::new();
    bench.join(1, "a");
    bench.said(1, StageFrame::Ready);
    bench.said(1, send(1, ServerMessage::End));
    assert!(bench.said(1, StageFrame::Over).is_empty());
    assert_eq!(bench.join(2, "a"), ["open 2 http://o i run2", "2: join 2"]);
    assert!(bench.put(Input::Ended(Stage(1))).is_empty(), "all were told");
    assert_eq!(bench.message(2), ["2: message 2"]);
}

#[test]
fn a_join_that_crosses_the_end_on_its_way_begins_a_new_run() {
    let mut bench = Bench::new();
    bench.join(1, "a");
    bench.join(2, "b");
    let decline = |connection| StageFrame::Decline { connection: Connection(connection) };
    bench.said(1, StageFrame::Over);
    assert_eq!(bench.said(1, decline(2)), ["open 2 http://o i run2", "2: join 2"]);
    assert!(bench.said(1, decline(2)).is_empty(), "another stage's client");
    // A stage that forgets to say that it is over.
    assert_eq!(bench.said(2, decline(2)), ["open 3 http://o i run3", "3: join 2"]);
    assert_eq!(bench.gone(2), ["3: closed 2"]);
    assert_eq!(bench.gone(1), ["1: closed 1"]);
}

#[test]
fn a_crash_is_told_to_the_clients_of_that_stage_only() {
    let mut bench = Bench::new();
    bench.join(1, "a");
    bench.join(2, "b");
    bench.join_from(3, "http://o", "j", "c");
    bench.said(1, send(2, ServerMessage::End));
    assert_eq!(bench.put(Input::Ended(Stage(1))), ["say 1 error"]);
    assert!(bench.put(Input::Ended(Stage(1))).is_empty());
    assert!(bench.gone(1).is_empty());
    assert!(bench.gone(2).is_empty());
    assert_eq!(bench.message(3), ["2: message 3"]);
    assert_eq!(bench.join(4, "a"), ["open 3 http://o i run3", "3: join 4"]);
}

#[test]
fn a_newcomer_that_waits_while_the_stage_crashes_begins_a_new_run() {
    let mut bench = Bench::new();
    bench.join(1, "a");
    bench.join(2, "a");
    assert_eq!(
        bench.put(Input::Ended(Stage(1))),
        ["say 1 error", "open 2 http://o i run2", "2: join 2"]
    );
}

#[test]
fn a_stage_that_is_not_ready_in_ten_seconds_is_killed() {
    let mut bench = Bench::new();
    let start = bench.now;
    bench.join(1, "a");
    assert_eq!(bench.wait(), ["kill 1 not ready in time"]);
    assert_eq!(bench.now, start + 10 * SECOND);
    assert_eq!(bench.roster.next_timeout(), None, "once");
    assert_eq!(bench.join(2, "b"), ["open 2 http://o i run2", "2: join 2"]);
    assert_eq!(bench.put(Input::Ended(Stage(1))), ["say 1 error"]);
}

#[test]
fn an_over_stage_has_thirty_seconds_to_exit_once_everyone_left() {
    let mut bench = Bench::new();
    bench.join(1, "a");
    bench.said(1, StageFrame::Ready);
    assert_eq!(bench.roster.next_timeout(), None);
    bench.said(1, StageFrame::Over);
    assert_eq!(bench.roster.next_timeout(), None, "a client is there");
    bench.now += 100 * SECOND;
    let left = bench.now;
    bench.gone(1);
    assert_eq!(bench.wait(), ["kill 1 did not exit in time"]);
    assert_eq!(bench.now, left + 30 * SECOND);
}

#[test]
fn the_end_of_the_door_is_told_to_every_stage_and_nobody_comes_in_any_more() {
    let mut bench = Bench::new();
    bench.join(1, "a");
    bench.join_from(2, "http://o", "j", "b");
    assert_eq!(bench.put(Input::Shutdown), ["1: shutdown 0", "2: shutdown 0"]);
    assert_eq!(bench.join(3, "c"), ["say 3 error"]);
    assert_eq!(bench.said(1, send(1, ServerMessage::End)), ["say 1 end"]);
    assert_eq!(bench.put(Input::Ended(Stage(2))), ["say 2 error"]);
}

#[test]
fn the_figures_name_runs_and_users() {
    let mut bench = Bench::new();
    bench.join(1, "a");
    let stats = json!({"x": 1}).as_object().expect("an object").clone();
    bench.said(1, StageFrame::Stats { stats });
    assert_eq!(
        json!(bench.roster.figures()[&Stage(1)]),
        json!({"origin": "http://o", "namespace": "default", "interaction": "i", "id": "run1",
            "phase": "opening", "users": ["a"], "stats": {"x": 1}})
    );
}

/// Whatever happens in whatever order: a client leaves at most once, and no stage that it
/// never joined; and once everyone and every stage is gone nothing is left.
#[test]
fn a_random_walk_leaves_nothing_behind() {
    use rand::{Rng as _, SeedableRng as _};
    for seed in 0..300 {
        let mut random = rand::rngs::StdRng::seed_from_u64(seed);
        let mut bench = Bench::new();
        let mut effects = Vec::new();
        let mut next = 0;
        for _ in 0..120 {
            let someone = random.random_range(1..=next.max(1));
            let stage = random.random_range(1..=bench.runs.max(1));
            effects.extend(match random.random_range(0..11) {
                0..3 => {
                    next += 1;
                    let user = ["a", "b"][random.random_range(0..2)];
                    bench.join(next, user)
                }
                3 => bench.gone(someone),
                4 => bench.put(Input::Pong(Connection(someone))),
                5 => bench.said(stage, StageFrame::Ready),
                6 => bench.said(stage, send(someone, ServerMessage::End)),
                7 => bench.said(stage, StageFrame::Over),
                8 => bench.said(stage, StageFrame::Decline { connection: Connection(someone) }),
                9 => bench.put(Input::Ended(Stage(stage))),
                _ if bench.roster.next_timeout().is_some() => bench.wait(),
                _ => bench.message(someone),
            });
        }
        for connection in 1..=next {
            effects.extend(bench.gone(connection));
        }
        for stage in 1..=bench.runs {
            effects.extend(bench.put(Input::Ended(Stage(stage))));
        }
        for connection in 1..=next {
            let count = |what: &str| {
                let suffix = format!(": {what} {connection}");
                effects.iter().filter(|effect| effect.ends_with(&suffix)).count()
            };
            let leaves = count("closed") + count("replaced");
            assert!(leaves <= count("join") && leaves <= 1, "seed {seed}: {effects:?}");
        }
        assert!(bench.roster.places.is_empty(), "seed {seed}");
        assert!(bench.roster.runs.is_empty(), "seed {seed}");
        assert_eq!(bench.roster.next_timeout(), None, "seed {seed}");
    }
}
