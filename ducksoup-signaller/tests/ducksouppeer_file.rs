// SPDX-License-Identifier: MPL-2.0

//! The plugin as any application finds it, a file on `GST_PLUGIN_PATH`: `gst-launch-1.0` and the
//! scripts under `pipelines/examples`.

#![allow(clippy::unwrap_used)]

#[path = "ducksouppeer/server.rs"]
mod server;
#[path = "ducksouppeer/stage.rs"]
mod stage;

use ducksoup_signaller::protocol::ServerMessage;
use server::{LIMIT, Server};
use stage::{Sense, Stage};
use std::io::Read;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc::channel;
use std::time::Instant;

/// Runs a command with the plugin that cargo made beside this test; whether it succeeded, and what
/// it said.
fn run(command: &mut Command) -> (bool, String) {
    let scratch = tempfile::tempdir().unwrap();
    let plugins = scratch.path().join("plugins");
    std::fs::create_dir(&plugins).unwrap();
    let test = std::env::current_exe().unwrap();
    let file = "libducksoup_signaller.so";
    std::fs::copy(test.with_file_name(file), plugins.join(file)).unwrap();
    let mut child = command
        .env("GST_PLUGIN_PATH", plugins)
        .env("GST_REGISTRY", scratch.path().join("registry"))
        .env_remove("G_DEBUG")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut errors = child.stderr.take().unwrap();
    let said = std::thread::spawn(move || {
        let mut text = String::new();
        let _ = errors.read_to_string(&mut text);
        text
    });
    let started = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        if started.elapsed() > LIMIT {
            child.kill().unwrap();
            panic!("{command:?} does not end: {}", said.join().unwrap());
        }
        std::thread::park_timeout(std::time::Duration::from_millis(20));
    };
    (status.success(), said.join().unwrap())
}

#[test]
fn gst_launch_without_a_server_says_so() {
    let mut command = Command::new("gst-launch-1.0");
    command.args(["audiotestsrc", "!", "ducksouppeer", "signaller::uri=ws://127.0.0.1:1/ws"]);
    command.args(["signaller::interaction=i", "signaller::user=u"]);
    let (success, said) = run(&mut command);
    assert!(!success, "{said}");
    assert!(said.contains("the server at 127.0.0.1:1 cannot be reached"), "{said}");
}

#[test]
fn the_bot_of_the_examples_ends_with_its_interaction() {
    gst::init().unwrap();
    let server = Server::start(|mut connection| {
        connection.let_join();
        let (sender, senses) = channel();
        let stage = Stage::new("H264", &sender);
        stage.send("stream-bot");
        connection.say(&ServerMessage::Start { remaining: 5 });
        // Some pictures of the bot's, and it has some of ours.
        let mut seen = 0;
        while seen < 40 && stage.turn(&mut connection, &mut |_| {}) {
            seen += senses.try_iter().filter(|sense| matches!(sense, Sense::Colour(_))).count();
        }
        connection.say(&ServerMessage::End);
        connection.rest();
    });
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../pipelines/examples");
    let script = folder.join("ducksouppeer-talks.sh");
    let (success, said) = run(Command::new("sh").arg(script).arg(server.uri()).arg("i"));
    assert!(success, "{said}");
}
