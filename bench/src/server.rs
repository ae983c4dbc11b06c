// SPDX-License-Identifier: MPL-2.0

//! The server that is measured: the real program, in a process of its own, on a port of its own.

use anyhow::Context as _;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

/// Longest wait until it listens. Generous: it looks at all of GStreamer first.
const LIMIT: Duration = Duration::from_secs(60);
/// What it says when it listens, before its address.
const GREETING: &str = "DuckSoup: ";

/// A server that ends with its scope.
#[derive(Debug)]
pub(crate) struct Server {
    process: Child,
    /// Its WebSocket: `ws://localhost:<port>/ws`.
    pub(crate) uri: String,
}

/// The program: what `DUCKSOUP_APP` names, else the one that was built beside this one.
fn program() -> anyhow::Result<PathBuf> {
    if let Some(program) = std::env::var_os("DUCKSOUP_APP") {
        return Ok(program.into());
    }
    let own = std::env::current_exe().context("where this program is")?;
    // A test is one folder further down.
    let folders = own.ancestors().skip(1).take(2);
    let found = folders.map(|folder| folder.join("ducksoup-app")).find(|path| path.exists());
    found.context("there is no server: cargo build -p ducksoup-app, or set DUCKSOUP_APP")
}

impl Server {
    /// Its process.
    pub(crate) fn id(&self) -> u32 {
        self.process.id()
    }

    /// Starts one that works in `folder` and writes below it, with these settings besides.
    ///
    /// # Errors
    /// When there is no program, or it does not listen in time.
    pub(crate) fn start(folder: &Path, settings: &[(&str, &str)]) -> anyhow::Result<Self> {
        let mut command = Command::new(program()?);
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("DUCKSOUP_") {
                command.env_remove(name);
            }
        }
        let mut process = command
            .current_dir(folder)
            // rtpsession 1.22 warns of a race of its own, about once in fifty sessions.
            .env_remove("G_DEBUG")
            .env("DUCKSOUP_MODE", "DEV")
            .env("DUCKSOUP_PORT", "0")
            .env("DUCKSOUP_STUN_SERVER_URLS", "false")
            .env("DUCKSOUP_ABORT_DELAY", "60")
            .envs(settings.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .context("the server does not start")?;
        let output = process.stdout.take();
        let mut server = Self { process, uri: String::new() };
        let output = output.context("the server's output")?;
        let (told, address) = mpsc::channel();
        // To the end: what it prints must go somewhere.
        std::thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                if let Some(address) = line.split(GREETING).nth(1) {
                    // Nobody listens to a second one.
                    let _ = told.send(address.trim_end_matches('/').to_owned());
                }
            }
        });
        let origin = address.recv_timeout(LIMIT).context("the server does not listen")?;
        server.uri = origin.replacen("http", "ws", 1) + "/ws";
        Ok(server)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It is gone already, or it goes now.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
