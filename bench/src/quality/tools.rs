// SPDX-License-Identifier: MPL-2.0

//! Other people's programs that read, encode and judge files.

use anyhow::Context as _;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Where `.ci/install bench` puts ViSQOL, seen from the root of the repository.
const VISQOL: &str = "target/visqol/bin/python";
/// What asks it, seen from there.
const JUDGE: &str = "bench/visqol.py";

/// Runs a program; gives what it prints.
fn run(command: &mut Command) -> anyhow::Result<String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command.output().with_context(|| name.clone())?;
    let all =
        [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    anyhow::ensure!(output.status.success(), "{name}: {}", all[1]);
    Ok(all.concat())
}

/// Runs a pipeline of `gst-launch-1.0` to its end.
///
/// # Errors
/// When it fails.
pub(crate) fn launch(pipeline: &str) -> anyhow::Result<()> {
    run(Command::new("gst-launch-1.0").arg("-q").args(pipeline.split_whitespace())).map(drop)
}

/// Bits a second of the pictures in a file that shows `framerate` of them.
///
/// # Errors
/// When there are none.
pub(crate) fn bitrate(file: &Path, framerate: u32) -> anyhow::Result<f64> {
    let arguments =
        ["-v", "error", "-select_streams", "v:0", "-show_entries", "packet=size", "-of", "csv=p=0"];
    let sizes = run(Command::new("ffprobe").args(arguments).arg(file))?;
    let sizes: Vec<f64> =
        sizes.lines().filter_map(|line| line.trim_matches(',').parse().ok()).collect();
    anyhow::ensure!(!sizes.is_empty(), "no pictures in {}", file.display());
    Ok(sizes.iter().sum::<f64>() * 8.0 * f64::from(framerate) / sizes.len() as f64)
}

/// SSIM of a file's pictures against those of another one, picture by picture. What one of them lacks
/// at its beginning, three pictures at most, is found by trying.
///
/// # Errors
/// When they cannot be read.
pub(crate) fn ssim(file: &Path, source: &Path) -> anyhow::Result<f64> {
    let mut best: Option<f64> = None;
    for (left, right) in [(0, 0), (1, 0), (2, 0), (3, 0), (0, 1), (0, 2), (0, 3)] {
        let part = |from: u32| {
            format!(
                "setpts=N/25/TB,trim=start_frame={from}:end_frame={},setpts=N/25/TB",
                from + 200
            )
        };
        let filter = format!("[0:v]{}[a];[1:v]{}[b];[a][b]ssim", part(left), part(right));
        let told = run(Command::new("ffmpeg")
            .args(["-hide_banner", "-nostats", "-i"])
            .arg(file)
            .arg("-i")
            .arg(source)
            .args(["-fps_mode", "passthrough", "-lavfi", &filter, "-f", "null", "-"]))?;
        let found = told
            .rsplit("All:")
            .next()
            .and_then(|rest| rest.split_whitespace().next()?.parse().ok());
        best = found.into_iter().chain(best).reduce(f64::max);
    }
    best.context("ffmpeg tells no SSIM")
}

/// The sound of a file from its second second on, as 48 kHz mono wav beside it.
///
/// # Errors
/// When there is none.
pub(crate) fn wav(file: &Path, name: &str) -> anyhow::Result<PathBuf> {
    let wav = file.with_file_name(name);
    run(Command::new("ffmpeg")
        .args(["-y", "-v", "error", "-ss", "1", "-t", "8", "-i"])
        .arg(file)
        .args(["-vn", "-ac", "1", "-ar", "48000"])
        .arg(&wav))?;
    Ok(wav)
}

/// What ViSQOL thinks of a sound, from 1 to 5 (MOS-LQO), against its source.
///
/// # Errors
/// When it is not installed.
pub(crate) fn visqol(source: &Path, file: &Path) -> anyhow::Result<f64> {
    let told = run(Command::new(VISQOL).arg(JUDGE).arg(source).arg(file))
        .context("ViSQOL, from the root of the repository (.ci/install bench)")?;
    told.lines().rev().find_map(|line| line.trim().parse().ok()).context("ViSQOL tells nothing")
}
