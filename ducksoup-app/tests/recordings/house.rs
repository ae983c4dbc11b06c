// SPDX-License-Identifier: MPL-2.0

//! A server that may be killed, and its data folder.

use super::program::{Served, program};
use rustix::process::{Pid, Signal, kill_process};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::time::{Duration, Instant, SystemTime};

/// Longest wait for anything. Generous: the machine may be busy, and what is waited for stands back.
const LIMIT: Duration = Duration::from_secs(180);

/// A server in a working directory; the data folder is `data` in it.
pub(crate) struct House {
    folder: PathBuf,
    pub(crate) served: Served,
}

impl House {
    pub(crate) fn open(folder: &Path) -> Self {
        let mut command = program(
            folder,
            &[
                ("DUCKSOUP_MODE", "DEV"),
                ("DUCKSOUP_PORT", "0"),
                ("DUCKSOUP_STUN_SERVER_URLS", "false"),
                ("DUCKSOUP_LOG_FILE", "server.log"),
                ("DUCKSOUP_ABORT_DELAY", "60"),
            ],
        );
        // rtpsession 1.22 warns of a race of its own, about once in fifty sessions.
        command.env_remove("G_DEBUG");
        Self { folder: folder.to_owned(), served: Served::start(command) }
    }

    pub(crate) fn url(&self) -> &str {
        &self.served.url
    }

    /// The folder of an interaction.
    pub(crate) fn interaction(&self, namespace: &str, name: &str) -> PathBuf {
        interaction(&self.folder, namespace, name)
    }

    /// The process that carries an interaction, known by the files that it has open.
    pub(crate) fn stage(&self, namespace: &str, name: &str) -> Pid {
        let folder = self.interaction(namespace, name).join("recordings");
        let stages = self.stages();
        let carries = |pid: &Pid| {
            let links = std::fs::read_dir(format!("/proc/{}/fd", pid.as_raw_nonzero()));
            let mut links = links.into_iter().flatten().flatten();
            links
                .any(|link| std::fs::read_link(link.path()).is_ok_and(|to| to.starts_with(&folder)))
        };
        stages.into_iter().find(carries).expect("a stage that writes there")
    }

    /// All processes that the server has started.
    pub(crate) fn stages(&self) -> Vec<Pid> {
        let parent = |pid: i32| {
            let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
            stat.rsplit_once(") ")?.1.split(' ').nth(1)?.parse::<u32>().ok()
        };
        let entries = std::fs::read_dir("/proc").unwrap();
        let pids = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
        let own = pids.filter(|pid| parent(*pid) == Some(self.served.pid()));
        own.filter_map(Pid::from_raw).collect()
    }
}

/// The folder of an interaction.
pub(crate) fn interaction(working: &Path, namespace: &str, name: &str) -> PathBuf {
    working.join("data").join(namespace).join(name)
}

/// Kills without a warning, and waits until nothing is left.
pub(crate) fn kill(pid: Pid) {
    kill_process(pid, Signal::KILL).unwrap();
    until("a killed process is gone", || is_gone(pid).then_some(()));
}

/// Whether a process has ended; whoever started it may not have looked yet.
pub(crate) fn is_gone(pid: Pid) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero()));
    stat.map_or(true, |stat| stat.contains(") Z "))
}

/// The program with a command, in a working directory.
pub(crate) fn run(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = program(folder, &[]);
    let child = command.args(arguments).env_remove("G_DEBUG").spawn().expect("it runs");
    super::program::ended(child)
}

/// Asks every 20 ms until there is an answer.
pub(crate) fn until<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + LIMIT;
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(Instant::now() < deadline, "not in time: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Everything in a folder, and when it was last written.
pub(crate) fn snapshot(folder: &Path) -> BTreeMap<PathBuf, (Vec<u8>, SystemTime)> {
    let mut all = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let about = std::fs::symlink_metadata(&path).unwrap();
            if about.is_dir() {
                folders.push(path);
            } else {
                let bytes = std::fs::read(&path).unwrap();
                all.insert(path, (bytes, about.modified().unwrap()));
            }
        }
    }
    all
}
