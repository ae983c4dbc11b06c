// SPDX-License-Identifier: MPL-2.0

//! The door as a whole, on a free port, with browsers that are WebSocket clients and a stage
//! that is this test program itself (see [`the_stage_of_these_tests`]).

mod support;

use serde_json::{Value, json};
use support::{Client, Server, Settings, control, join, message};

#[tokio::test(flavor = "multi_thread")]
async fn a_join_reaches_the_stage_and_its_words_reach_the_client() {
    let server = Server::start(Settings::default()).await;
    let mut client = server.client().await;
    client.say(&join("i", "a")).await;
    let opening = client.seen("open").await;
    assert_eq!(opening["interaction"], "i");
    assert_eq!(opening["origin"], support::ORIGIN);
    assert_eq!(opening["id"].as_str().expect("an id").len(), 8);
    assert_eq!(opening["settings"]["abort_delay"], 15);
    let frame = client.seen("join").await;
    assert_eq!(frame["options"]["user"], "a");
    assert_eq!(client.kind("joined").await["context"], "new_interaction");
    client.say(&control(1.5)).await;
    let frame = client.seen("message").await;
    assert_eq!(frame["message"]["kind"], "control");
    assert_eq!(frame["message"]["payload"]["value"], json!({"number": 1.5}));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_and_every_kind_of_close_is_a_leave() {
    let server = Server::start(Settings::default()).await;
    let mut watcher = server.joined("i", "watcher").await;
    for (user, cause) in
        [("a", "stopped"), ("b", "closed"), ("c", "closed"), ("d", "lost"), ("e", "lost")]
    {
        let mut client = server.joined("i", user).await;
        match user {
            "a" => {
                client.say(r#"{"kind":"stop"}"#).await;
                assert_eq!(client.close_code().await, Some(1000));
            }
            "b" => client.close(1000).await,
            "c" => client.close(4000).await,
            "d" => client.close(4001).await,
            _ => drop(client),
        }
        assert_eq!(watcher.seen("leave").await["cause"], cause, "{user}");
        // The seat is free at once.
        let mut again = server.joined("i", user).await;
        again.say(r#"{"kind":"stop"}"#).await;
        watcher.seen("leave").await;
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_live_user_is_asked_and_the_newcomer_is_a_duplicate() {
    let server = Server::start(Settings::default()).await;
    let old = server.joined("i", "a").await.read_in_background();
    let mut newcomer = server.client().await;
    newcomer.say(&join("i", "a")).await;
    newcomer.kind("error-duplicate").await;
    assert!(newcomer.close_code().await.is_some());
    let mut other = server.joined("i", "b").await;
    other.say(r#"{"kind":"ext_echo"}"#).await;
    assert_eq!(other.seen("message").await["message"]["kind"], "ext");
    old.abort();
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_user_is_replaced_and_the_stage_hears_the_leave_first() {
    let server = Server::start(Settings::default()).await;
    let mut watcher = server.joined("i", "watcher").await;
    // Nothing reads this socket: no pong ever comes.
    let dead = server.joined("i", "a").await;
    assert_eq!(watcher.seen("join").await["options"]["user"], "a");
    let mut newcomer = server.client().await;
    newcomer.say(&join("i", "a")).await;
    let leave = watcher.any_of(&["leave", "join"]).await;
    assert_eq!((&leave["frame"], &leave["cause"]), (&json!("leave"), &json!("replaced")));
    assert_eq!(watcher.any_of(&["leave", "join"]).await["options"]["user"], "a");
    newcomer.kind("joined").await;
    drop(dead);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_is_an_error_for_its_own_clients_only() {
    let server = Server::start(Settings::default()).await;
    let mut a = server.joined("i", "a").await;
    let mut b = server.joined("i", "b").await;
    let mut other = server.joined("j", "a").await;
    a.say(r#"{"kind":"ext_crash"}"#).await;
    for client in [&mut a, &mut b] {
        client.kind("error").await;
        assert!(client.close_code().await.is_some());
    }
    other.say(r#"{"kind":"ext_echo"}"#).await;
    other.seen("message").await;
    let mut again = server.client().await;
    again.say(&join("i", "a")).await;
    assert_eq!(again.kind("joined").await["context"], "new_interaction");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn after_the_end_the_same_name_is_a_new_run() {
    let server = Server::start(Settings::default()).await;
    let mut client = server.client().await;
    client.say(&join("i", "a")).await;
    let first = client.seen("open").await["id"].clone();
    client.say(r#"{"kind":"ext_end"}"#).await;
    client.kind("end").await;
    assert_eq!(client.close_code().await, Some(1000));
    let mut client = server.client().await;
    client.say(&join("i", "a")).await;
    assert_ne!(client.seen("open").await["id"], first);
    client.kind("joined").await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_warm_spare_becomes_the_stage_and_a_new_spare_follows() {
    let server = Server::start(Settings::default()).await;
    let first = server.stages_started(1).await;
    let mut client = server.client().await;
    client.say(&join("i", "a")).await;
    let pid = client.seen("open").await["pid"].clone();
    assert_eq!(json!(first), json!([pid]));
    let both = server.stages_started(2).await;
    assert!(both.contains(&first[0]));
    server.stop().await;
    for pid in both {
        assert!(support::is_gone(pid).await, "{pid} survived the server");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn origins_that_are_not_listed_are_refused() {
    let server = Server::start(Settings::default()).await;
    for origin in [None, Some("https://evil.example"), Some("null")] {
        let error = server.connect(origin).await.err().expect("refused");
        assert!(error.contains("403"), "{origin:?}: {error}");
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_join_at_first_is_refused_and_closed() {
    let server = Server::start(Settings::default()).await;
    for first in [
        control(1.0),
        "nonsense".into(),
        r#"{"kind":"join"}"#.into(),
        join("../../etc", "a"),
        join("i", ""),
        join("i", "a/../../b"),
        join(&"x".repeat(51), "a"),
        message("join", &json!({"interactionName": "i", "userId": "a", "size": -1})),
    ] {
        let mut client = server.client().await;
        client.say(&first).await;
        client.kind("error-join").await;
        assert!(client.close_code().await.is_some(), "{first}");
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_client_is_refused_when_its_time_is_over() {
    let server = Server::start(Settings::default()).await;
    let mut client = server.client().await;
    client.kind("error-join").await;
    assert!(client.close_code().await.is_some());
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn huge_and_binary_frames_end_or_harm_nobody() {
    let server = Server::start(Settings::default()).await;
    let mut witness = server.joined("i", "witness").await;
    let mut huge = server.joined("i", "huge").await;
    huge.say(&"x".repeat(1_000_000)).await;
    huge.ended().await;
    let mut stranger = server.client().await;
    stranger.say(&"x".repeat(1_000_000)).await;
    stranger.ended().await;
    let mut binary = server.client().await;
    binary.say_bytes(vec![0; 100]).await;
    binary.kind("error-join").await;
    let mut later = server.joined("i", "later").await;
    later.say_bytes(vec![0; 100]).await;
    later.say(r#"{"kind":"ext_echo"}"#).await;
    later.seen("message").await;
    for _ in 0..200 {
        later.say("nonsense").await;
    }
    later.kind("error").await;
    witness.say(r#"{"kind":"ext_echo"}"#).await;
    witness.seen("message").await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_controls_is_thinned_and_told_about() {
    let server = Server::start(Settings::default()).await;
    let mut client = server.client().await;
    client.say(&message("join", &json!({"interactionName": "quiet", "userId": "a"}))).await;
    client.kind("joined").await;
    for _ in 0..600 {
        client.say(&control(1.0)).await;
    }
    let refused = client.kind("control_refused").await;
    assert_eq!(refused["name"], "fx");
    client.say(r#"{"kind":"ext_count"}"#).await;
    let count = client.kind("start").await.as_u64().expect("a count");
    assert!((200..600).contains(&count), "{count} reached the stage");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_server_pings_and_closes_who_never_answers() {
    let server = Server::start(Settings { ping: 200, ..Settings::default() }).await;
    let mut watcher = server.joined("i", "watcher").await;
    let dead = server.joined("i", "dead").await;
    watcher.pinged().await;
    watcher.pinged().await;
    let leave = watcher.seen("leave").await;
    assert_eq!(leave["cause"], "closed");
    drop(dead);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stage_that_is_never_ready_or_does_not_read_is_killed() {
    for behaviour in ["deaf", "mute"] {
        let server = Server::start(Settings { behaviour, ..Settings::default() }).await;
        let mut client = server.client().await;
        client.say(&join("i", "a")).await;
        client.kind("error").await;
        server.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stage_that_stops_reading_is_killed_and_no_other_interaction_waits() {
    let server = Server::start(Settings { read: 1000, ..Settings::default() }).await;
    let mut other = server.joined("j", "a").await;
    let mut client = server.joined("i", "a").await;
    client.say(r#"{"kind":"ext_doze"}"#).await;
    // More than a pipe holds.
    let long = json!({"kind": "ext_long", "payload": "x".repeat(4000)}).to_string();
    for _ in 0..40 {
        client.say(&long).await;
    }
    other.say(r#"{"kind":"ext_echo"}"#).await;
    other.seen("message").await;
    client.kind("error").await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stage_that_cannot_be_started_is_an_error_for_the_client() {
    let server = Server::start(Settings { behaviour: "missing", ..Settings::default() }).await;
    let mut client = server.client().await;
    client.say(&join("i", "a")).await;
    client.kind("error").await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn lines_that_are_no_frames_are_passed_over_and_endless_ones_kill() {
    let server = Server::start(Settings::default()).await;
    let mut client = server.joined("i", "a").await;
    client.say(r#"{"kind":"ext_rubbish"}"#).await;
    client.say(r#"{"kind":"ext_echo"}"#).await;
    client.seen("message").await;
    client.say(r#"{"kind":"ext_endless"}"#).await;
    client.kind("error").await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_of_the_server_lets_stages_finish_and_tells_everyone() {
    let server = Server::start(Settings::default()).await;
    let mut client = server.joined("i", "a").await;
    let stranger = server.client().await;
    let pids = server.stages_started(2).await;
    let stopping = tokio::spawn(server.stop());
    // The stage of these tests says `end` to its clients on a shutdown, and then exits.
    client.kind("end").await;
    assert_eq!(client.close_code().await, Some(1000));
    let mut stranger: Client = stranger;
    assert_eq!(stranger.close_code().await, Some(1001));
    stopping.await.expect("stopped");
    for pid in pids {
        assert!(support::is_gone(pid).await, "{pid} survived the server");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stage_that_does_not_stop_with_the_server_is_killed() {
    let server = Server::start(Settings { behaviour: "stubborn", ..Settings::default() }).await;
    let mut client = server.joined("i", "a").await;
    let pids = server.stages_started(2).await;
    let stopping = tokio::spawn(server.stop());
    client.kind("error").await;
    stopping.await.expect("stopped");
    for pid in pids {
        assert!(support::is_gone(pid).await, "{pid} survived the server");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_stats_feed_shows_what_runs_to_those_who_may_see_it() {
    let server = Server::start(Settings::default()).await;
    let _client = server.joined("i", "a").await;
    let figures: Value = server.get("/stats/interactions.json").await;
    assert_eq!(figures["interactions"][0]["interaction"], "i");
    assert_eq!(figures["interactions"][0]["users"], json!(["a"]));
    assert!(server.feed(None).await.is_err(), "behind the password");
    let mut feed = server.feed(Some("Basic ZHVja3NvdXA6cGFzcw==")).await;
    let feed = feed.as_mut().expect("let in");
    let first = feed.kind("stats").await;
    assert_eq!(first["interactions"][0]["interaction"], "i");
    assert_eq!(first["server"]["sockets"], 2, "the client's and the feed's own");
    let second = feed.kind("stats").await;
    for process in [&second["server"], &second["interactions"][0]] {
        let cost = &process["cost"];
        assert!(cost["cpu"].as_f64().expect("a share of a core") >= 0.0, "{second}");
        assert!(cost["memory"].as_u64().expect("bytes") > 100_000, "{second}");
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn joins_beyond_the_limit_are_refused_with_a_sentence_and_calls_go_on() {
    let server = Server::start(Settings { joins: 2, ..Settings::default() }).await;
    let mut first = server.joined("i", "a").await;
    let _second = server.joined("i", "b").await;
    let mut third = server.client().await;
    third.say(&join("i", "c")).await;
    assert!(third.kind("error").await.as_str().expect("a sentence").contains("try again"));
    assert_eq!(third.close_code().await, Some(1013));
    first.say(r#"{"kind":"ext_echo"}"#).await;
    first.seen("message").await;
    server.stop().await;
}

/// Not a test: the stage that the door starts. Without its variable it does nothing.
#[test]
fn the_stage_of_these_tests() {
    if let Ok(behaviour) = std::env::var(support::STAGE_VARIABLE) {
        support::stage::run(&behaviour);
    }
}
