// SPDX-License-Identifier: MPL-2.0

//! What only a process of its own can show: no thread of ours is left behind.

#![allow(clippy::unwrap_used)]

#[path = "ducksouppeer/rig.rs"]
mod rig;
#[path = "ducksouppeer/server.rs"]
mod server;

use rig::Rig;
use server::{LIMIT, Server};
use std::time::{Duration, Instant};

/// The threads of this process whose names are the element's.
fn threads() -> Vec<String> {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap();
    let name = |task: std::io::Result<std::fs::DirEntry>| {
        std::fs::read_to_string(task.ok()?.path().join("comm")).ok()
    };
    let mut names: Vec<String> =
        tasks.filter_map(name).map(|name| name.trim().to_owned()).collect();
    // The test's own begins so too.
    names.retain(|name| name == "ducksouppeer" || name.starts_with("ducksouppeer-"));
    names.sort();
    names
}

#[test]
fn twenty_calls_leave_only_the_sockets_threads() {
    let server = Server::start(|mut connection| {
        connection.let_join();
        connection.rest();
    });
    for _ in 0..20 {
        let rig = Rig::talking(&server.uri());
        rig.play();
        rig.event("joined");
    }
    // The kernel cuts names at 15 characters; both of the runtime's workers stay.
    let deadline = Instant::now() + LIMIT;
    while threads() != ["ducksouppeer-io"; 2] {
        assert!(Instant::now() < deadline, "left: {:?}", threads());
        std::thread::park_timeout(Duration::from_millis(20));
    }
}
