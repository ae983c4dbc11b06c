// SPDX-License-Identifier: MPL-2.0

//! The server that is measured: the real program, in a process of its own, on a free port.

use anyhow::Context as _;
use rustix::process::{Pid, Signal, kill_process};
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

/// How long it may take until it listens: it looks at what GStreamer has first.
const START: Duration = Duration::from_secs(60);
/// How long it may take to finish what it records and be gone.
const STOP: Duration = Duration::from_secs(30);
/// Between two looks at a process that ends.
const LOOK: Duration = Duration::from_millis(50);
/// What it says when it listens, before its address.
const GREETING: &str = "DuckSoup: ";

/// A running server.
#[derive(Debug)]
pub(crate) struct Server {
    process: Child,
    /// `ws://localhost:<port>/ws`.
    pub(crate) signalling: String,
    /// `http://localhost:<port>`.
    pub(crate) origin: String,
}

/// The server beside this program, as cargo builds both.
pub(crate) fn beside() -> anyhow::Result<PathBuf> {
    let own = std::env::current_exe().context("where this program is")?;
    Ok(own.with_file_name("ducksoup-app"))
}

impl Server {
    /// Starts `program`, which writes below `data`, with these settings besides.
    ///
    /// # Errors
    /// When it does not listen in time.
    pub(crate) fn start(
        program: &Path,
        data: &Path,
        settings: &[(&str, String)],
    ) -> anyhow::Result<Self> {
        let mut command = Command::new(program);
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("DUCKSOUP_") {
                command.env_remove(name);
            }
        }
        let mut process = command
            .current_dir(data)
            .env("DUCKSOUP_MODE", "DEV")
            .env("DUCKSOUP_PORT", "0")
            .env("DUCKSOUP_DATA", data)
            .env("DUCKSOUP_STUN_SERVER_URLS", "false")
            .env("DUCKSOUP_ABORT_DELAY", "60")
            .envs(settings.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("{}: build it first", program.display()))?;
        let output = process.stdout.take().context("its standard output")?;
        let (told, address) = mpsc::channel();
        // Reads on to the end, or the server would block.
        std::thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                if let Some(address) = line.strip_prefix(GREETING) {
                    let _ = told.send(address.trim_end_matches('/').to_owned());
                }
            }
        });
        let mut server = Self { process, signalling: String::new(), origin: String::new() };
        server.origin = address.recv_timeout(START).context("the server does not listen")?;
        server.signalling = server.origin.replacen("http", "ws", 1) + "/ws";
        Ok(server)
    }

    /// Ends it as an operator would.
    ///
    /// # Errors
    /// When it does not end.
    pub(crate) fn stop(mut self) -> anyhow::Result<()> {
        let pid = i32::try_from(self.process.id()).ok().and_then(Pid::from_raw);
        kill_process(pid.context("its number")?, Signal::TERM)?;
        let since = Instant::now();
        while self.process.try_wait()?.is_none() {
            anyhow::ensure!(since.elapsed() < STOP, "the server does not end");
            std::thread::sleep(LOOK);
        }
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if matches!(self.process.try_wait(), Ok(None)) {
            let _ = self.process.kill();
            let _ = self.process.wait();
        }
    }
}
