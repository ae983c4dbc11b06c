// SPDX-License-Identifier: MPL-2.0

//! The program itself, in a folder of its own, with the settings of a test and no others.

// Every test program takes what it needs.
#![allow(dead_code)]

use rustix::process::{Pid, Signal, kill_process};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

/// Longest wait for anything. Generous: the machine may be busy.
const LIMIT: Duration = Duration::from_secs(60);

/// The program in a folder, with these variables and no others of ours.
pub(crate) fn program(folder: &Path, variables: &[(&str, &str)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ducksoup-app"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("DUCKSOUP_") {
            command.env_remove(name);
        }
    }
    command
        .current_dir(folder)
        .envs(variables.iter().copied())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// Waits for the end, and kills what does not end.
pub(crate) fn ended(mut child: Child) -> Output {
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

/// A program that serves.
pub(crate) struct Served {
    child: Option<Child>,
    /// Where it says it is: `http://localhost:<port>/…`.
    pub(crate) url: String,
    /// Its port.
    pub(crate) port: u16,
}

impl Served {
    /// Starts it; it must print where it is (DEV mode, or `DUCKSOUP_LOG_STDOUT`).
    pub(crate) fn start(mut command: Command) -> Self {
        let mut child = command.spawn().expect("it runs");
        let stdout = child.stdout.take().expect("a pipe");
        let mut lines = BufReader::new(stdout).lines().map(|line| line.expect("readable"));
        let url = lines
            .find_map(|line| Some(line.split_once("DuckSoup: ")?.1.to_owned()))
            .unwrap_or_else(|| panic!("{:?}", ended_early(&mut child)));
        std::thread::spawn(move || lines.for_each(drop));
        let port = url
            .split_once("localhost:")
            .and_then(|(_, rest)| rest.split('/').next()?.parse().ok())
            .expect("a port");
        Self { child: Some(child), url, port }
    }

    /// The answer to a request for a path, headers included; `extra` is further header lines.
    pub(crate) fn get(&self, path: &str, extra: &str) -> String {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).expect("there");
        stream.set_read_timeout(Some(LIMIT)).expect("a limit");
        let head = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n");
        stream.write_all(format!("{head}{extra}\r\n").as_bytes()).expect("written");
        let mut reply = Vec::new();
        stream.read_to_end(&mut reply).expect("readable");
        String::from_utf8_lossy(&reply).into_owned()
    }

    /// Its process id.
    pub(crate) fn pid(&self) -> u32 {
        self.child.as_ref().expect("it runs").id()
    }

    /// Ends it, in time and without an error.
    pub(crate) fn stop(mut self, signal: Signal) {
        let child = self.child.take().expect("it runs");
        let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw).expect("a process id");
        kill_process(pid, signal).expect("sent");
        let output = ended(child);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
}

/// A test that fails leaves nothing behind.
impl Drop for Served {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn ended_early(child: &mut Child) -> String {
    let mut error = String::from("it says nothing: ");
    if let Some(mut stderr) = child.stderr.take() {
        let _ = stderr.read_to_string(&mut error);
    }
    error
}
