// SPDX-License-Identifier: MPL-2.0

//! Variables, flags and `.env`: which one counts.

#[path = "support/program.rs"]
mod program;

use program::{Served, program};
use rustix::process::Signal;
use std::os::unix::ffi::OsStringExt as _;
use std::path::Path;

fn folder(env: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join(".env"), env).expect("written");
    folder
}

/// What the program says before it refuses to start.
fn refusal(folder: &Path, variables: &[(&str, &str)], arguments: &[&str]) -> String {
    let output = program(folder, variables).args(arguments).output().expect("it runs");
    assert!(!output.status.success());
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(error.trim_end().lines().count(), 1, "one sentence: {error}");
    error
}

#[test]
fn a_flag_wins_over_the_environment_and_the_environment_over_the_env_file() {
    let folder = folder(
        "# what a developer keeps\nDUCKSOUP_PORT=0\nDUCKSOUP_WEB_PREFIX=/file\n\
         DUCKSOUP_TEST_LOGIN='me'\nDUCKSOUP_TEST_PASSWORD=\"a b\"\n",
    );
    let start = |variables: &[(&str, &str)], arguments: &[&str]| {
        let mut command = program(folder.path(), variables);
        command.args(arguments);
        Served::start(command)
    };
    let dev = ("DUCKSOUP_MODE", "DEV");
    let served = start(&[dev], &[]);
    assert!(served.url.ends_with("/file/"), "{}", served.url);
    // "me:a b"
    let reply = served.get("/file/test/mirror/", "authorization: Basic bWU6YSBi\r\n");
    assert!(reply.starts_with("HTTP/1.1 200"), "{reply}");
    served.stop(Signal::TERM);
    let served = start(&[dev, ("DUCKSOUP_WEB_PREFIX", "/own")], &[]);
    assert!(served.url.ends_with("/own/"), "{}", served.url);
    served.stop(Signal::TERM);
    let served = start(&[dev, ("DUCKSOUP_WEB_PREFIX", "/own")], &["--web-prefix", "/flag"]);
    assert!(served.url.ends_with("/flag/"), "{}", served.url);
    served.stop(Signal::TERM);
}

#[test]
fn the_env_file_counts_in_dev_mode_only() {
    let folder = folder("DUCKSOUP_PORT=nonsense\n");
    let variables = [("DUCKSOUP_MODE", "PROD"), ("DUCKSOUP_LOG_STDOUT", "true")];
    // Without the file the port is 8100, which may be taken here: neither case names the file's.
    let prod = [variables[0], variables[1], ("DUCKSOUP_DATA", "d"), ("DUCKSOUP_LOG_LEVEL", "9")];
    let error = refusal(folder.path(), &prod, &[]);
    assert!(error.contains("DUCKSOUP_LOG_LEVEL"), "{error}");
    let served = Served::start({
        let mut command = program(folder.path(), &variables);
        command.args(["--port", "0"]);
        command
    });
    served.stop(Signal::TERM);
    let error = refusal(folder.path(), &[("DUCKSOUP_MODE", "DEV")], &[]);
    assert!(error.contains("DUCKSOUP_PORT"), "{error}");
    // The mode itself stands outside of the file.
    std::fs::write(folder.path().join(".env"), "DUCKSOUP_MODE=DEV\nDUCKSOUP_PORT=nonsense\n")
        .expect("written");
    let error = refusal(folder.path(), &prod, &[]);
    assert!(error.contains("DUCKSOUP_LOG_LEVEL"), "{error}");
}

#[test]
fn a_line_of_the_env_file_that_is_no_setting_is_named_and_not_shown() {
    let folder = folder("DUCKSOUP_PORT=0\n\nthe password is hidden\n");
    let error = refusal(folder.path(), &[("DUCKSOUP_MODE", "DEV")], &[]);
    assert!(error.contains(".env: line 3 "), "{error}");
    assert!(!error.contains("hidden"), "{error}");
}

#[test]
fn a_value_that_is_no_text_is_named() {
    let folder = folder("");
    let mut command = program(folder.path(), &[]);
    command.env("DUCKSOUP_TEST_LOGIN", std::ffi::OsString::from_vec(vec![0xff, 0xfe]));
    let output = command.output().expect("it runs");
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success());
    assert!(error.contains("DUCKSOUP_TEST_LOGIN"), "{error}");
    assert_eq!(error.trim_end().lines().count(), 1, "one sentence: {error}");
}

#[test]
fn a_variable_that_nobody_knows_is_told_in_the_log() {
    let folder = folder("");
    let variables = [
        ("DUCKSOUP_PORT", "0"),
        ("DUCKSOUP_LOG_STDOUT", "true"),
        ("DUCKSOUP_LOG_FILE", "log/ducksoup.log"),
        ("DUCKSOUP_ALOWED_WS_ORIGINS", "https://lab.example"),
    ];
    let served = Served::start(program(folder.path(), &variables));
    served.stop(Signal::TERM);
    let log = std::fs::read_to_string(folder.path().join("log/ducksoup.log")).expect("a log");
    let told = |entry: &serde_json::Value| {
        entry["message"] == "variable_unknown" && entry["variable"] == "DUCKSOUP_ALOWED_WS_ORIGINS"
    };
    let entries = log.lines().map(|line| serde_json::from_str(line).expect("JSON"));
    assert_eq!(entries.filter(told).count(), 1, "{log}");
}

#[test]
fn config_files_of_the_working_directory_count_and_their_faults_stop_the_start() {
    let folder = folder("");
    std::fs::create_dir(folder.path().join("config")).expect("created");
    let file = folder.path().join("config/gst.yml");
    for (text, key) in [
        ("x264: {speed-preset: ultra fast}\n", "x264.speed-preset"),
        ("x265: {threads: 1}\n", "x265"),
        ("rtpjitterbuffer: {latency: -1}\n", "rtpjitterbuffer.latency"),
        // What only the elements know.
        ("x264: {speed-preset: ultrafst}\n", "x264.speed-preset"),
        ("opus: {no-such-thing: 1}\n", "opus.no-such-thing"),
        ("rtpjitterbuffer: {latency: 150, max-dropout-time: -1}\n", "max-dropout-time"),
    ] {
        std::fs::write(&file, text).expect("written");
        let error = refusal(folder.path(), &[("DUCKSOUP_PORT", "0")], &[]);
        assert!(error.contains("config/gst.yml") && error.contains(key), "{error}");
    }
    std::fs::write(&file, "x264: {speed-preset: veryfast}\n").expect("written");
    let variables = [("DUCKSOUP_PORT", "0"), ("DUCKSOUP_LOG_STDOUT", "true")];
    let served = Served::start(program(folder.path(), &variables));
    let reply = served.get("/config/gst.yml", "");
    assert!(reply.ends_with("x264: {speed-preset: veryfast}\n"), "{reply}");
    served.stop(Signal::TERM);
}
