// SPDX-License-Identifier: MPL-2.0

//! `ducksoup-app load` against a server of its own: both are the program itself.

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use std::io::{BufRead as _, BufReader, Read as _};
use std::net::TcpListener;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Longest wait for anything. Generous: the machine may be busy.
const LIMIT: Duration = Duration::from_secs(120);

/// The program in a folder, with no settings of ours from outside.
fn program(folder: &TempDir) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ducksoup-app"));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("DUCKSOUP_")) {
        command.env_remove(name);
    }
    command
        .current_dir(folder.path())
        // rtpsession 1.22 warns of a race of its own, about once in fifty sessions.
        .env_remove("G_DEBUG")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// A server that ends with its scope.
struct Server {
    child: Child,
    folder: TempDir,
    port: u16,
}

impl Server {
    fn start() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let mut child = program(&folder)
            .env("DUCKSOUP_MODE", "DEV")
            .env("DUCKSOUP_PORT", "0")
            .env("DUCKSOUP_STUN_SERVER_URLS", "false")
            .stderr(Stdio::null())
            .spawn()
            .expect("it starts");
        let mut output = BufReader::new(child.stdout.take().expect("piped"));
        let mut line = String::new();
        output.read_line(&mut line).expect("it says where it is");
        let port = line.trim_end_matches(['/', '\n']).rsplit(':').next();
        let port = port.and_then(|port| port.parse().ok()).unwrap_or_else(|| panic!("{line}"));
        // What it prints must go somewhere.
        std::thread::spawn(move || output.read_to_end(&mut Vec::new()));
        Self { child, folder, port }
    }

    fn load(&self, arguments: &[&str]) -> Command {
        let mut command = program(&self.folder);
        let uri = format!("ws://localhost:{}/ws", self.port);
        command.args(["load", "--uri", &uri, "--json", "figures.json"]).args(arguments);
        command
    }

    /// What the last load has written.
    fn figures(&self) -> Value {
        let file = std::fs::read(self.folder.path().join("figures.json")).expect("written");
        serde_json::from_slice(&file).expect("JSON")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        stop(&self.child, Signal::TERM);
        let until = Instant::now() + LIMIT;
        while self.child.try_wait().is_ok_and(|status| status.is_none()) {
            if Instant::now() > until {
                let _ = self.child.kill();
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

fn stop(child: &Child, signal: Signal) {
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw).expect("a process id");
    // One that is gone is as good.
    let _ = kill_process(pid, signal);
}

/// Waits for the end, and kills what does not end.
fn ended(mut child: Child) -> Output {
    let stop = Instant::now() + LIMIT;
    while child.try_wait().expect("waited").is_none() {
        if Instant::now() > stop {
            child.kill().expect("killed");
            panic!("it does not end: {:?}", child.wait_with_output());
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    child.wait_with_output().expect("waited")
}

fn run(command: &mut Command) -> Output {
    ended(command.spawn().expect("it starts"))
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The words of a table's row.
fn row(output: &Output, name: &str) -> String {
    let table = text(&output.stdout);
    let mut rows = table.lines().map(|line| line.trim_matches(['│', ' ']));
    let row = rows.find_map(|row| row.strip_prefix(name));
    row.unwrap_or_else(|| panic!("no row {name} in\n{table}\n{}", text(&output.stderr)))
        .trim()
        .to_owned()
}

#[test]
fn two_participants_join_and_receive_each_other() {
    let server = Server::start();
    let output = run(&mut server.load(&["--duration", "4", "--size", "160x120@25"]));
    assert_eq!(output.status.code(), Some(0), "{}{}", text(&output.stdout), text(&output.stderr));
    assert!(row(&output, "interactions started").starts_with("1 of 1"));
    assert!(row(&output, "joins").starts_with("2 of 2"));
    assert!(row(&output, "participants to the end").starts_with("2 of 2"));
    for medium in ["picture", "sound"] {
        assert!(row(&output, &format!("{medium}: tracks")).starts_with("2 of 2"), "{medium}");
        for name in ["first after", "packets", "frames", "largest gaps"] {
            row(&output, &format!("{medium}: {name}"));
        }
    }
    for name in ["joined after", "started after", "server: CPU", "load itself: CPU"] {
        row(&output, name);
    }
    assert!(row(&output, "verdict").starts_with("passed"));
    let figures = server.figures();
    for medium in ["video", "audio"] {
        assert!(figures[medium]["frames"].as_u64() > Some(0), "{figures}");
        assert_eq!(figures[medium]["missing"], 0);
    }
    // The door, the stage, and the spare, each of several threads.
    assert!(figures["server"]["processes_peak"].as_u64() >= Some(2), "{figures}");
    assert!(figures["server"]["cpu_seconds"].as_f64() > Some(0.0), "{figures}");
}

#[test]
fn they_go_and_come_back_and_move_their_effects() {
    let server = Server::start();
    let output = run(&mut server.load(&[
        "--duration=20",
        "--size=160x120@25",
        "--video-format=VP8",
        "--churn=12",
        "--audio-fx=volume name=voice",
        "--controls=2",
        "--control=voice.volume=0.5..1",
        "--seed=3",
    ]));
    assert_eq!(output.status.code(), Some(0), "{}{}", text(&output.stdout), text(&output.stderr));
    let figures = server.figures();
    let count = |name: &str| figures[name].as_u64().expect("a number");
    // What the seed has decided.
    assert!(count("leaves") + count("reloads") + count("drops") > 0, "{figures}");
    assert_eq!(count("joins"), 2 + count("leaves") + count("reloads") + count("drops"));
    assert_eq!(count("joins_ok"), count("joins"));
    assert!(count("controls") > 0);
    assert_eq!(figures["refusals"], serde_json::json!({}));
}

#[test]
fn a_control_that_is_refused_fails_the_run() {
    let server = Server::start();
    let output = run(&mut server.load(&[
        "--participants=1",
        "--audio-only",
        "--duration=10",
        "--audio-fx=volume name=voice",
        "--controls=5",
        "--control=voice.nosuchproperty=0..1",
    ]));
    assert_eq!(output.status.code(), Some(1), "{}", text(&output.stdout));
    assert!(row(&output, "verdict").starts_with("failed"));
    assert!(text(&output.stdout).contains("controls were refused"));
    assert_eq!(server.figures()["video"]["tracks"], 0);
}

#[test]
fn a_limit_that_cannot_be_kept_fails_the_run() {
    let server = Server::start();
    let output = run(&mut server.load(&["--duration=2", "--size=160x120@25", "--max-gap=0"]));
    assert_eq!(output.status.code(), Some(1), "{}", text(&output.stdout));
    assert!(row(&output, "verdict").contains("over 0 ms"), "{}", text(&output.stdout));
}

#[test]
fn an_interrupt_lets_everybody_leave_and_the_table_is_printed() {
    let server = Server::start();
    let mut command = server.load(&["--duration=600", "--size=160x120@25"]);
    let mut child = command.spawn().expect("it starts");
    let mut output = BufReader::new(child.stdout.take().expect("piped"));
    let mut line = String::new();
    while !line.contains("2 of 2 in the call") {
        line.clear();
        assert_ne!(output.read_line(&mut line).expect("readable"), 0, "it ended");
    }
    stop(&child, Signal::INT);
    let rest = std::thread::spawn(move || {
        let mut rest = Vec::new();
        output.read_to_end(&mut rest).map(|_| rest)
    });
    let mut ended = ended(child);
    ended.stdout = rest.join().expect("no panic").expect("readable");
    assert_eq!(ended.status.code(), Some(130), "{}", text(&ended.stdout));
    assert!(row(&ended, "verdict").starts_with("interrupted"));
    assert_eq!(server.figures()["stuck"], 0);
}

#[test]
fn a_server_that_refuses_is_named_with_its_reason() {
    let server = Server::start();
    let origin = "--origin=https://elsewhere.example";
    let output = run(&mut server.load(&[origin, "--audio-only", "--duration=2"]));
    assert_eq!(output.status.code(), Some(1));
    assert!(row(&output, "joins").starts_with("0 of 2"));
    assert!(row(&output, "verdict").contains("2 failed with"), "{}", text(&output.stdout));
}

#[test]
fn a_server_that_is_not_there_is_one_sentence() {
    let folder = tempfile::tempdir().expect("a folder");
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    drop(listener);
    let uri = format!("ws://127.0.0.1:{port}/ws");
    let output = run(program(&folder).args(["load", "--uri", &uri]));
    assert_eq!(output.status.code(), Some(1));
    let sentence = text(&output.stderr);
    assert!(sentence.contains(&format!("no server on 127.0.0.1, port {port}")), "{sentence}");
    assert_eq!(sentence.lines().count(), 1, "{sentence}");
    assert_eq!(text(&output.stdout), "");
}

#[test]
fn another_machine_and_wrong_options_are_usage_errors() {
    let folder = tempfile::tempdir().expect("a folder");
    // Addresses for documentation (RFC 5737): nobody is there, and nobody is asked.
    for (arguments, words) in [
        (&["--uri=ws://192.0.2.1:8100/ws"][..], "--anywhere"),
        (&["--uri=http://localhost:8100/"], "ws://localhost:8100/ws"),
        (&["--controls=1"], "--control NAME.PROPERTY"),
        (&["--control=v.p=0..1"], "--controls RATE"),
        (&["--interactions=65"], "65"),
        (&["--nosuchoption"], "--nosuchoption"),
    ] {
        let output = run(program(&folder).arg("load").args(arguments));
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(text(&output.stderr).contains(words), "{arguments:?}: {}", text(&output.stderr));
    }
}
