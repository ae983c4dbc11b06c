// SPDX-License-Identifier: MPL-2.0

//! What must be seen before anybody comes: whether the elements take what `config/gst.yml` says. A
//! process of its own tries (`ducksoup-app check`), because the door never touches GStreamer.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;
use tokio::process::Command;
use tokio::time::timeout;

/// Longest wait for the trial. Ours: the first look of GStreamer at all its plugins takes seconds.
const LIMIT: Duration = Duration::from_secs(30);
/// How the sentence begins that the trial prints.
const SENTENCE: &str = "config/gst.yml: ";

/// Tries the elements.
///
/// # Errors
/// The sentence about the first property that cannot be. A trial that cannot be made, or breaks,
/// is no error here but a line in the log: stages may fare better.
pub async fn elements(program: &Path, working: &Path) -> Result<(), String> {
    let trial = Command::new(program)
        .arg("check")
        .current_dir(working)
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .kill_on_drop(true)
        .output();
    let unchecked = |error: &str| {
        log::warn!(context = "init", error = error; "elements_unchecked");
        Ok(())
    };
    let output = match timeout(LIMIT, trial).await {
        Ok(Ok(output)) => output,
        Ok(Err(error)) => return unchecked(&error.to_string()),
        Err(_) => return unchecked("the trial takes too long"),
    };
    // Plugins print, too.
    let said = String::from_utf8_lossy(&output.stdout);
    match said.lines().find(|line| line.starts_with(SENTENCE)) {
        Some(sentence) => Err(sentence.to_owned()),
        None if output.status.success() => Ok(()),
        None => unchecked(&output.status.to_string()),
    }
}
