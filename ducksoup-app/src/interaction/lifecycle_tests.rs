// SPDX-License-Identifier: MPL-2.0

//! The table of the lifecycle, cell by cell. What takes more than one step is in `stories`; `walk`
//! wanders at random.
//!
//! Scripts and effects are words, so that a test reads like a plan: see [`Plan::run`] for the
//! inputs and [`say`] for the effects. `1<` is said to connection 1.

use super::*;

#[path = "lifecycle_stories.rs"]
mod stories;
#[path = "lifecycle_walk.rs"]
mod walk;

/// Abort delay in these tests: 15 s, the default.
const ABORT_DELAY: Duration = Duration::from_secs(15);
/// What silence is borne in these tests.
const BLACKOUT: Duration = Duration::from_secs(8);

fn user(name: &str) -> Identifier {
    Identifier::new(name).expect("valid")
}

fn options(name: &str, size: u32, duration: u32) -> Box<JoinOptions> {
    let json = serde_json::json!({
        "interactionName": "i", "userId": name, "size": size, "duration": duration,
    });
    Box::new(JoinOptions::from_json(json.as_object().expect("an object")).expect("valid"))
}

/// An effect in words.
fn say(effect: &Effect) -> String {
    match effect {
        Effect::Send { to, message } => format!("{}< {}", to.0, message_words(message)),
        Effect::Close(connection) => format!("close {}", connection.0),
        Effect::Decline(connection) => format!("decline {}", connection.0),
        Effect::Differs { connection, options } => {
            format!("differs {} {}", connection.0, options.join(","))
        }
        Effect::OpenPeer { connection, options, stream_id, count } => {
            assert_eq!(*stream_id, format!("stream-{}", options.user));
            format!("open {} {} #{count}", connection.0, options.user)
        }
        Effect::ClosePeer { connection, cause } => {
            let cause = match cause {
                CloseCause::Left(LeaveCause::Stopped) => "stopped",
                CloseCause::Left(LeaveCause::Closed) => "closed",
                CloseCause::Left(LeaveCause::Lost) => "lost",
                CloseCause::Left(LeaveCause::Replaced) => "replaced",
                CloseCause::Failed => "failed",
                CloseCause::Over => "over",
            };
            format!("close-peer {} {cause}", connection.0)
        }
        Effect::Show { to, user } => format!("show {} {user}", to.0),
        Effect::Hide { to, user } => format!("hide {} {user}", to.0),
        Effect::Start => "t0".into(),
        Effect::Record { connection } => format!("record {}", connection.0),
        Effect::FinishFiles(outcome) => format!("finish {outcome:?}").to_lowercase(),
        Effect::Over => "over".into(),
        Effect::Exit => "exit".into(),
    }
}

fn message_words(message: &ServerMessage) -> String {
    match message {
        ServerMessage::Joined { context, ice_servers } => {
            assert_eq!(*ice_servers, [ice_servers_given(), own_servers()].concat());
            let context = match context {
                JoinContext::NewInteraction => "new",
                JoinContext::ExistingInteraction => "existing",
                JoinContext::Reconnection => "reconnection",
            };
            format!("joined {context}")
        }
        ServerMessage::OtherJoined { user, stream_id } => {
            assert_eq!(*stream_id, format!("stream-{user}"));
            format!("other_joined {user}")
        }
        ServerMessage::OtherLeft { user, stream_id } => {
            assert_eq!(*stream_id, format!("stream-{user}"));
            format!("other_left {user}")
        }
        ServerMessage::Start { remaining } => format!("start {remaining}"),
        ServerMessage::Ending => "ending".into(),
        ServerMessage::Files(files) => {
            let users: Vec<_> = files.keys().map(Identifier::as_str).collect();
            format!("files of {}", users.join("+"))
        }
        ServerMessage::End => "end".into(),
        ServerMessage::Error(code) => code.kind().into(),
        ServerMessage::Failure(_) => "error".into(),
        other => panic!("a lifecycle says no {other:?}"),
    }
}

fn ice_servers_given() -> Vec<IceServer> {
    vec![IceServer { urls: vec!["stun:stun.example.org".into()], username: None, credential: None }]
}

/// What a client alone is given.
pub(super) fn own_servers() -> Vec<IceServer> {
    let urls = vec!["turn:turn.example.org".into()];
    vec![IceServer { urls, username: Some("1:1".into()), credential: Some("c".into()) }]
}

/// A lifecycle and its clock.
struct Plan {
    lifecycle: Lifecycle,
    now: Duration,
}

impl Plan {
    fn new() -> Self {
        let lifecycle = Lifecycle::new(ABORT_DELAY, BLACKOUT, ice_servers_given());
        Self { lifecycle, now: Duration::ZERO }
    }

    /// Runs inputs separated by `;` and gives the effects of the last one:
    /// `join <connection> <user> [<size> [<duration in s>]]`, `ready <connection>`,
    /// `leave <connection> stopped|closed|lost|replaced`, `media <connection> lost|back`,
    /// `failed <connection>`, `files <user>`, `timeout`, `shutdown`. `at <ms>` sets the clock.
    fn run(&mut self, script: &str) -> String {
        let mut said = Vec::new();
        for step in script.split(';').map(str::trim).filter(|s| !s.is_empty()) {
            let words: Vec<&str> = step.split_whitespace().collect();
            let number = |place: usize| -> u64 { words[place].parse().expect(step) };
            let connection = |place: usize| Connection(number(place));
            let input = match words[0] {
                "at" => {
                    self.now = Duration::from_millis(number(1));
                    continue;
                }
                "join" => {
                    let optional = |place, default: u32| {
                        words.get(place).map_or(default, |word: &&str| word.parse().expect(step))
                    };
                    Input::Join {
                        connection: connection(1),
                        options: options(words[2], optional(3, 2), optional(4, 30)),
                        ice_servers: own_servers(),
                    }
                }
                "ready" => Input::Ready { connection: connection(1) },
                "leave" => Input::Leave {
                    connection: connection(1),
                    cause: match words[2] {
                        "stopped" => LeaveCause::Stopped,
                        "closed" => LeaveCause::Closed,
                        "lost" => LeaveCause::Lost,
                        "replaced" => LeaveCause::Replaced,
                        _ => panic!("{step}"),
                    },
                },
                "media" => Input::Media { connection: connection(1), flowing: words[2] == "back" },
                "failed" => Input::Failed { connection: connection(1) },
                "files" => Input::FilesFinished([(user(words[1]), vec!["path".into()])].into()),
                "timeout" => Input::Timeout,
                "shutdown" => Input::Shutdown,
                _ => panic!("no such input: {step}"),
            };
            said = self.lifecycle.handle(input, self.now);
        }
        said.iter().map(say).collect::<Vec<_>>().join("; ")
    }
}

/// Runs one plan after the other on one lifecycle: (inputs, effects of the last of them).
fn follow(steps: &[(&str, &str)]) {
    let mut plan = Plan::new();
    for (script, expected) in steps {
        let said = plan.run(script);
        assert_eq!(said, *expected, "after: {script}");
    }
}

const GATHERING: &str = "join 1 a; join 2 b; ready 1";
const RUNNING: &str = "join 1 a; join 2 b; ready 1; ready 2";
const ENDED: &str = "join 1 a; join 2 b; ready 1; ready 2; at 30100; timeout";
const OVER: &str = "join 1 a; join 2 b; ready 1; ready 2; at 30100; timeout; files a";

/// One cell: what came before, the input, its effects.
type Cell = (&'static str, &'static str, &'static str);
/// A cell that no sequence of inputs reaches.
const UNREACHABLE: Cell = ("", "", "");

/// The rows of the table in the module's page, by the same names, with a cell for each phase.
const TABLE: [(&str, [Cell; 5]); 13] = [
    (
        "join, seat free",
        [
            ("", "join 1 a", "1< joined new; open 1 a #1"),
            (
                "join 1 a",
                "join 2 b",
                "2< joined existing; 2< other_joined a; 1< other_joined b; open 2 b #1",
            ),
            (RUNNING, "join 3 c", "3< error-full; close 3"),
            (ENDED, "join 3 c", "decline 3"),
            (OVER, "join 3 c", "decline 3"),
        ],
    ),
    (
        "join, own seat, away",
        [
            UNREACHABLE,
            (
                "join 1 a; join 2 b; leave 1 replaced",
                "join 3 a",
                "3< joined reconnection; 3< other_joined b; open 3 a #2",
            ),
            (
                "join 1 a; join 2 b; ready 1; ready 2; leave 1 closed",
                "join 3 a",
                "3< joined reconnection; 3< other_joined b; 2< other_joined a; open 3 a #2",
            ),
            (ENDED, "leave 1 closed; join 3 a", "decline 3"),
            (OVER, "join 3 a", "decline 3"),
        ],
    ),
    (
        "join, user connected",
        [
            UNREACHABLE,
            (GATHERING, "join 3 a", "3< error-duplicate; close 3"),
            (RUNNING, "join 3 a", "3< error-duplicate; close 3"),
            (ENDED, "join 3 a", "decline 3"),
            (OVER, "join 3 a", "decline 3"),
        ],
    ),
    (
        "ready, others missing",
        [
            ("", "ready 1", ""),
            ("join 1 a; join 2 b", "ready 1", ""),
            (
                "join 1 a; join 2 b; ready 1; ready 2; leave 1 closed; at 10200; join 3 a",
                "ready 3",
                "record 3; 3< start 20; show 3 b; show 2 a",
            ),
            (ENDED, "ready 1", ""),
            (OVER, "ready 1", ""),
        ],
    ),
    (
        "ready, the last one",
        [
            ("", "ready 1", ""),
            (
                GATHERING,
                "ready 2",
                "t0; record 1; 1< start 30; record 2; 2< start 30; show 1 b; show 2 a",
            ),
            (RUNNING, "ready 2", ""),
            (ENDED, "ready 2", ""),
            (OVER, "ready 2", ""),
        ],
    ),
    (
        "leave",
        [
            ("", "leave 1 closed", ""),
            (GATHERING, "leave 2 stopped", "1< other_left b; close-peer 2 stopped"),
            (RUNNING, "leave 2 closed", "1< other_left b; hide 1 b; close-peer 2 closed"),
            (ENDED, "leave 2 closed", "close-peer 2 closed"),
            (OVER, "leave 2 closed", ""),
        ],
    ),
    (
        "socket lost",
        [
            ("", "leave 1 lost", ""),
            (GATHERING, "leave 2 lost", "1< other_left b; close-peer 2 lost"),
            (RUNNING, "leave 2 lost", ""),
            (ENDED, "leave 2 lost", "close-peer 2 lost"),
            (OVER, "leave 2 lost", ""),
        ],
    ),
    (
        "media lost",
        [
            ("", "media 1 lost", ""),
            (
                GATHERING,
                "media 2 lost",
                "2< error-peer-connection; close 2; 1< other_left b; close-peer 2 failed",
            ),
            (RUNNING, "media 2 lost", ""),
            (ENDED, "media 2 lost", ""),
            (OVER, "media 2 lost", ""),
        ],
    ),
    (
        "media back",
        [
            ("", "media 1 back", ""),
            (GATHERING, "media 2 back", ""),
            ("join 1 a; join 2 b; ready 1; ready 2; media 2 lost", "media 2 back", ""),
            (ENDED, "media 2 back", ""),
            (OVER, "media 2 back", ""),
        ],
    ),
    (
        "failed",
        [
            ("", "failed 1", ""),
            (
                GATHERING,
                "failed 2",
                "2< error-peer-connection; close 2; 1< other_left b; close-peer 2 failed",
            ),
            (
                RUNNING,
                "failed 2",
                "2< error-peer-connection; close 2; 1< other_left b; hide 1 b; close-peer 2 failed",
            ),
            (ENDED, "failed 2", ""),
            (OVER, "failed 2", ""),
        ],
    ),
    (
        "timeout",
        [
            ("", "at 15000; timeout", "over; exit"),
            (
                GATHERING,
                "at 15000; timeout",
                "over; 1< error-aborted; close 1; 2< error-aborted; close 2; finish aborted",
            ),
            (RUNNING, "at 15100; timeout", "1< ending; 2< ending"),
            (
                ENDED,
                "at 50100; timeout",
                "1< end; close 1; close-peer 1 over; 2< end; close 2; close-peer 2 over; exit",
            ),
            (OVER, "at 99999999; timeout", ""),
        ],
    ),
    (
        "files finished",
        [
            ("", "files a", ""),
            (GATHERING, "files a", ""),
            (RUNNING, "files a", ""),
            (
                ENDED,
                "files a",
                "1< files of a; 1< end; close 1; close-peer 1 over; \
                 2< files of a; 2< end; close 2; close-peer 2 over; exit",
            ),
            (OVER, "files a", ""),
        ],
    ),
    (
        "shutdown",
        [
            ("", "shutdown", "over; exit"),
            (
                GATHERING,
                "shutdown",
                "over; 1< error; close 1; 2< error; close 2; finish interrupted",
            ),
            (RUNNING, "shutdown", "over; 1< error; close 1; 2< error; close 2; finish interrupted"),
            (ENDED, "shutdown", ""),
            (OVER, "shutdown", ""),
        ],
    ),
];

#[test]
fn every_cell_of_the_table_does_what_it_says() {
    for (row, cells) in &TABLE {
        for (before, input, expected) in cells {
            let mut plan = Plan::new();
            plan.run(before);
            assert_eq!(plan.run(input), *expected, "{row} | {before} | {input}");
        }
    }
}

#[test]
fn the_page_shows_the_same_table() {
    let page = include_str!("lifecycle.rs");
    let rows: Vec<Vec<&str>> = page
        .lines()
        .filter_map(|line| line.strip_prefix("//! | ")?.strip_suffix(" |"))
        .map(|line| line.split(" | ").collect())
        .skip(1)
        .collect();
    assert_eq!(rows.len(), TABLE.len());
    for (shown, (row, cells)) in rows.iter().zip(&TABLE) {
        assert_eq!((shown[0], shown.len()), (*row, 6));
        for (shown, (_, _, expected)) in shown[1..].iter().zip(cells) {
            let is_silent = ["–", "noted", "borne (below)", "borne no more"].contains(shown);
            assert_eq!(is_silent, expected.is_empty(), "{row}: {shown}");
        }
    }
}
