// SPDX-License-Identifier: MPL-2.0

//! Every script under `pipelines/examples` that shows an element of this plugin runs, with the plugin
//! as any application finds it: a file on `GST_PLUGIN_PATH`. Those of `ducksouppeer`, which want a
//! server, run in that crate's tests.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Far more than any example takes; a busy machine is slow.
const LIMIT: Duration = Duration::from_secs(60);

/// Puts the plugin that cargo made beside this test into a folder of its own.
fn install(folder: &Path) {
    let test = std::env::current_exe().expect("this program has a path");
    std::fs::create_dir(folder).expect("a folder");
    std::fs::copy(test.with_file_name("libgstducksoup.so"), folder.join("libgstducksoup.so"))
        .expect("cargo has built the plugin");
}

fn run(script: &Path, scratch: &Path) {
    let mut child = Command::new("sh")
        .arg(script)
        .env("GST_PLUGIN_PATH", scratch.join("plugins"))
        .env("GST_REGISTRY", scratch.join("registry"))
        .env("TMPDIR", scratch)
        .env_remove("G_DEBUG")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .expect("sh runs");
    let started = Instant::now();
    loop {
        if let Some(status) = child.try_wait().expect("the child is ours") {
            assert!(status.success(), "{}: {status}", script.display());
            return;
        }
        if started.elapsed() > LIMIT {
            child.kill().expect("the child is ours");
            panic!("{} does not end", script.display());
        }
        std::thread::park_timeout(Duration::from_millis(50));
    }
}

#[test]
fn every_example_runs_and_ends() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../pipelines/examples");
    let mut scripts: Vec<_> = std::fs::read_dir(folder)
        .expect("the examples")
        .map(|entry| entry.expect("readable").path())
        .collect();
    let is_ours = |script: &std::path::PathBuf| {
        let name = script.file_name().map(|name| name.to_string_lossy().into_owned());
        !name.unwrap_or_default().starts_with("ducksouppeer")
    };
    scripts.retain(is_ours);
    scripts.sort();
    for element in
        ["bitratecontroller", "ducksoupmixer", "experimentrecorder", "framegrid", "fxcontrol"]
    {
        let shown = scripts.iter().any(|script| {
            script.file_stem().is_some_and(|stem| stem.to_string_lossy().starts_with(element))
        });
        assert!(shown, "no example of {element}");
    }
    let scratch = tempfile::tempdir().expect("a folder");
    install(&scratch.path().join("plugins"));
    for script in &scripts {
        run(script, scratch.path());
    }
}
