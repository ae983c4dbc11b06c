// SPDX-License-Identifier: MPL-2.0

//! Completes what runs have left whose process died or whose disk was full: all of them at the
//! start, and each one when its process has ended. A process of its own does the work
//! (`ducksoup-app recover`), with a low priority and one at a time, because the door never
//! touches GStreamer and nobody waits for it.

use crate::archive::recover::{Outcome, Run};
use crate::config::Config;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::Command;
use tokio::sync::mpsc;

/// Folders that may wait. Ours: as many interactions do not end while one is seen to.
const QUEUE: usize = 1024;

/// The way to the task that sees to runs.
#[derive(Debug)]
pub(crate) struct Recovery {
    /// Folders below the data folder; `None` where nobody listens.
    folders: Option<mpsc::Sender<PathBuf>>,
}

impl Recovery {
    /// Begins with the whole data folder.
    pub(crate) fn start(config: &Config) -> Self {
        let Some(program) = config.recovery_program.clone() else {
            return Self { folders: None };
        };
        let (folders, waiting) = mpsc::channel(QUEUE);
        let work = work(program, config.stage_settings().data, waiting);
        // It ends with the runtime, and the program it has started with it.
        tokio::spawn(work);
        Self { folders: Some(folders) }
    }

    /// The process of a run in that folder has ended.
    pub(crate) fn see_to(&self, folder: PathBuf) {
        if let Some(folders) = &self.folders {
            // Where too much waits, the next start of the server sees to it.
            let _ = folders.try_send(folder);
        }
    }
}

async fn work(program: PathBuf, data: PathBuf, mut folders: mpsc::Receiver<PathBuf>) {
    see_to(&program, &data, &data).await;
    while let Some(folder) = folders.recv().await {
        see_to(&program, &data, &data.join(folder)).await;
    }
}

/// Completes the runs of a folder and tells of those that were not whole.
async fn see_to(program: &Path, data: &Path, folder: &Path) {
    if !folder.exists() {
        return;
    }
    if let Err(error) = recover(program, data, folder).await {
        log::error!(context = "app", error:% = error; "recovery_failed");
    }
}

async fn recover(program: &Path, data: &Path, folder: &Path) -> std::io::Result<()> {
    let mut child = Command::new(program)
        .args(["recover", "--json"])
        .arg(folder)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        // A folder without runs is a complaint to people, but nothing here.
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()?;
    let stdout = child.stdout.take().ok_or_else(|| std::io::Error::other("no pipe"))?;
    let mut lines = BufReader::new(stdout).lines();
    while let Some(line) = lines.next_line().await? {
        // Plugins print, too.
        if let Ok(run) = serde_json::from_str(&line) {
            tell(data, run);
        }
    }
    let status = child.wait().await?;
    // It has said itself what it could not do; but not how it was killed.
    if status.code().is_none() {
        return Err(std::io::Error::other(status.to_string()));
    }
    Ok(())
}

fn tell(data: &Path, Run { manifest, outcome }: Run) {
    let path = manifest.strip_prefix(data).unwrap_or(&manifest).display();
    match outcome {
        Outcome::Whole | Outcome::Running => {}
        Outcome::Recovered { files } => {
            let cut: u64 = files.iter().map(|file| file.cut).sum();
            log::info!(context = "app", path:% = path, files = files.len(), cut = cut; "run_recovered");
            for (file, error) in files.iter().filter_map(|file| Some((file, file.error.as_ref()?)))
            {
                log::error!(context = "app", path:% = path, file = file.name.as_str(),
                    error = error.as_str(); "recording_unreadable");
            }
        }
        Outcome::Failed { error } => {
            log::error!(context = "app", path:% = path, error = error.as_str(); "run_not_recovered");
        }
    }
}
