// SPDX-License-Identifier: MPL-2.0

//! Where and when something was measured.

use std::process::Command;

/// The day, the versions, the machine and its load, in one line.
pub(crate) fn describe() -> String {
    let day = glib::DateTime::now_utc().and_then(|now| now.format("%Y-%m-%d %H:%M UTC"));
    let day = day.map_or_else(|_| "an unknown day".to_owned(), |day| day.to_string());
    let release = std::fs::read_to_string("/etc/os-release").unwrap_or_default();
    let system = release.lines().find_map(|line| line.strip_prefix("PRETTY_NAME="));
    let system = system.unwrap_or("an unknown system").trim_matches('"');
    let processors = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = processors.lines().find_map(|line| line.strip_prefix("model name"));
    let model =
        model.map_or("an unknown processor", |model| model.trim_start_matches([':', '\t', ' ']));
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    // The first figure: the last minute.
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load = load.split(' ').next().unwrap_or("unknown");
    let (gstreamer, own) = (gst::version_string(), env!("CARGO_PKG_VERSION"));
    let gstreamer = gstreamer.trim_start_matches("GStreamer ");
    let commit = Command::new("git").args(["rev-parse", "--short", "HEAD"]).output();
    let commit = commit.ok().filter(|output| output.status.success());
    let commit = commit.map_or(String::new(), |output| {
        format!(" ({})", String::from_utf8_lossy(&output.stdout).trim())
    });
    format!(
        "{day}, DuckSoup {own}{commit}, GStreamer {gstreamer}, {system}, {cores} × {model}, load {load}"
    )
}
