// SPDX-License-Identifier: MPL-2.0

//! The program itself: what it says about its settings, how it starts and ends.

#[path = "support/program.rs"]
mod program;

use program::{Served, program};
use rustix::process::Signal;
use std::process::Output;

fn output(variables: &[(&str, &str)], arguments: &[&str]) -> Output {
    let folder = tempfile::tempdir().expect("a folder");
    let mut command = program(folder.path(), variables);
    command.args(arguments).output().expect("it runs")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
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
        let served = Served::start(program(folder.path(), &variables));
        assert!(served.url.ends_with("/lab/"), "{}", served.url);
        let reply = served.get("/lab/config/sfu.yml", "");
        assert!(reply.starts_with("HTTP/1.1 200"), "{reply}");
        served.stop(signal);
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
