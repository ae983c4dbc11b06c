// SPDX-License-Identifier: MPL-2.0

//! The program itself: what it says about its settings, how it starts and ends.

use rustix::process::{Pid, Signal, kill_process};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

/// Longest wait for anything. Generous: the machine may be busy.
const LIMIT: Duration = Duration::from_secs(30);

/// The program in an empty folder, with these variables and no others of ours.
fn program(folder: &std::path::Path, variables: &[(&str, &str)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ducksoup-app"));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("DUCKSOUP_")) {
        command.env_remove(name);
    }
    command
        .current_dir(folder)
        .envs(variables.iter().copied())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

fn output(variables: &[(&str, &str)], arguments: &[&str]) -> Output {
    let folder = tempfile::tempdir().expect("a folder");
    let mut command = program(folder.path(), variables);
    command.args(arguments).output().expect("it runs")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Waits for the end, and kills what does not end.
fn ended(mut child: Child) -> Output {
    let until = Instant::now() + LIMIT;
    while child.try_wait().expect("waited").is_none() {
        if Instant::now() > until {
            child.kill().expect("killed");
            panic!("it does not end");
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    child.wait_with_output().expect("waited")
}

#[test]
fn a_bad_value_stops_the_start_with_one_sentence_that_names_the_variable() {
    for (variable, value) in [
        ("DUCKSOUP_PORT", "http"),
        ("DUCKSOUP_MODE", "TEST"),
        ("DUCKSOUP_LOG_LEVEL", "9"),
        ("DUCKSOUP_LOG_FILE", "/proc/nowhere/x.log"),
        ("DUCKSOUP_MEDIA_PORTS", "many"),
    ] {
        let output = output(&[(variable, value)], &[]);
        let error = text(&output.stderr);
        assert!(!output.status.success(), "{variable}");
        assert!(error.contains(variable), "{error}");
        assert_eq!(error.trim_end().lines().count(), 1, "{error}");
    }
}

#[test]
fn a_port_that_is_taken_is_named() {
    let taken = std::net::TcpListener::bind("0.0.0.0:0").expect("a port");
    let port = taken.local_addr().expect("an address").port().to_string();
    let output = output(&[("DUCKSOUP_PORT", port.as_str())], &[]);
    assert!(!output.status.success());
    assert!(text(&output.stderr).contains("DUCKSOUP_PORT"), "{}", text(&output.stderr));
}

#[test]
fn help_lists_the_variables_and_no_password() {
    let output = output(&[("DUCKSOUP_TEST_PASSWORD", "hidden")], &["--help"]);
    let help = text(&output.stdout);
    assert!(output.status.success());
    for variable in ["DUCKSOUP_PORT", "DUCKSOUP_TEST_PASSWORD", "DUCKSOUP_EFFECT_POLICY"] {
        assert!(help.contains(variable), "{help}");
    }
    assert!(!help.contains("hidden"), "{help}");
}

#[test]
fn front_build_says_that_there_is_nothing_to_build() {
    let output = output(&[("DUCKSOUP_MODE", "FRONT_BUILD")], &[]);
    assert!(output.status.success());
    assert!(text(&output.stdout).contains("nothing to build"));
}

#[test]
fn it_serves_says_where_and_ends_on_a_signal() {
    for signal in [Signal::TERM, Signal::INT] {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join(".env"), "DUCKSOUP_PORT=0\nDUCKSOUP_WEB_PREFIX=/lab\n")
            .expect("written");
        let variables = [("DUCKSOUP_MODE", "DEV"), ("DUCKSOUP_LOG_FILE", "log/ducksoup.log")];
        let mut child = program(folder.path(), &variables).spawn().expect("it runs");
        let mut lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
        let address = lines
            .by_ref()
            .map(|line| line.expect("readable"))
            .find_map(|line| Some(line.split_once("http://localhost:")?.1.to_owned()))
            .expect("it says where");
        let (port, prefix) = address.split_once('/').expect("a path");
        assert_eq!(prefix, "lab/", "the .env file counts in DEV mode");
        let mut stream =
            TcpStream::connect(("127.0.0.1", port.parse().expect("a port"))).expect("there");
        let request = "GET /lab/config/sfu.yml HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
        stream.write_all(request.as_bytes()).expect("written");
        let mut reply = String::new();
        stream.read_to_string(&mut reply).expect("readable");
        assert!(reply.starts_with("HTTP/1.1 200"), "{reply}");
        let pid = i32::try_from(child.id()).expect("a process id");
        kill_process(Pid::from_raw(pid).expect("a process id"), signal).expect("sent");
        std::thread::spawn(move || lines.for_each(drop));
        assert!(ended(child).status.success(), "{signal:?}");
        let log = std::fs::read_to_string(folder.path().join("log/ducksoup.log")).expect("a log");
        let entries: Vec<serde_json::Value> =
            log.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
        let messages: Vec<_> =
            entries.iter().filter_map(|entry| entry["message"].as_str()).collect();
        assert_eq!(messages.first(), Some(&"app_started"), "{log}");
        assert_eq!(messages.last(), Some(&"app_ended"), "{log}");
        for name in ["level", "time", "context"] {
            assert!(entries.iter().all(|entry| entry[name].is_string()), "{log}");
        }
    }
}
