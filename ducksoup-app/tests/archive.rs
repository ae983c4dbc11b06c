// SPDX-License-Identifier: MPL-2.0

//! The commands that look at recordings of runs that are over, `verify` and `recover`: torn files,
//! and folders that are not what they should be.

#![allow(missing_docs, clippy::unwrap_used)]

#[path = "support/program.rs"]
mod program;

use gst::prelude::*;
use program::{ended, program};
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

const ID: &str = "ab12cd34";

/// The program with a command, in a working directory.
fn run(folder: &Path, arguments: &[&str]) -> Output {
    ended(program(folder, &[]).args(arguments).spawn().expect("it runs"))
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A run as its process leaves it, with these files.
fn manifest(interaction: &str, state: &str, files: &Value) -> Value {
    json!({
        "id": ID, "origin": "https://lab.example", "namespace": "study",
        "interaction": interaction, "version": "0.1.0", "gstreamer": "1.22", "state": state,
        "created": "2026-11-21T10:17:16Z", "started": "2026-11-21T10:17:18.045Z",
        "participants": {}, "files": files,
    })
}

/// The folder of an interaction, with a manifest.
fn interaction(working: &Path, name: &str, manifest: &Value) -> PathBuf {
    let folder = working.join("data/study").join(name);
    fs::create_dir_all(folder.join("recordings")).unwrap();
    fs::write(folder.join(format!("i-{ID}.json")), manifest.to_string()).unwrap();
    folder
}

fn prefix(interaction: &str) -> String {
    format!("i-{ID}-a-20261121-101718.045-s-study-n-{interaction}-u-ann-c-1")
}

/// Recordings as a crash leaves them: of H.264, of VP8, of sound alone, all cut in the middle of
/// being written, at the end of a piece.
fn crashed(working: &Path) -> Vec<(&'static str, Vec<u8>)> {
    gst::init().unwrap();
    gstducksoup::plugin_register_static().unwrap();
    let folder = working.join("live");
    let launch = "audiotestsrc is-live=true samplesperbuffer=960 ! opusenc ! tee name=sound
        sound. ! queue ! mp4.dry_audio  sound. ! queue ! mkv.dry_audio  sound. ! queue ! ogg.dry_audio
        videotestsrc is-live=true ! video/x-raw,width=160,height=120,framerate=25/1 ! tee name=picture
        picture. ! queue ! x264enc tune=zerolatency key-int-max=10
        ! video/x-h264,stream-format=byte-stream ! h264parse config-interval=-1
        ! video/x-h264,stream-format=avc3,alignment=au ! mp4.dry_video
        picture. ! queue ! vp8enc deadline=1 keyframe-max-dist=10 ! mkv.dry_video
        experimentrecorder name=mp4 prefix=mp4  experimentrecorder name=mkv prefix=mkv
        experimentrecorder name=ogg prefix=ogg";
    let pipeline = gst::parse::launch(launch).unwrap().downcast::<gst::Pipeline>().unwrap();
    for name in ["mp4", "mkv", "ogg"] {
        let recorder = pipeline.by_name(name).unwrap();
        recorder.set_property("folder", folder.to_str().unwrap());
    }
    pipeline.set_state(gst::State::Playing).unwrap();
    let paths = ["mp4", "mkv", "ogg"].map(|name| folder.join(format!("{name}-dry.{name}")));
    // Pieces of half a second: three of each, at least.
    let large = |path: &PathBuf| fs::metadata(path).is_ok_and(|about| about.len() > 20_000);
    for _ in 0..1_000 {
        if paths.iter().all(large) {
            break;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    let files =
        ["mp4", "mkv", "ogg"].into_iter().zip(paths.iter().map(|path| between_pieces(path)));
    let files = files.collect();
    pipeline.set_state(gst::State::Null).unwrap();
    files
}

/// What is in a file that grows, at a moment when nothing is being written.
fn between_pieces(path: &Path) -> Vec<u8> {
    for _ in 0..1_000 {
        let bytes = fs::read(path).unwrap();
        std::thread::sleep(Duration::from_millis(20));
        if fs::metadata(path).unwrap().len() == bytes.len() as u64 && bytes.len() > 20_000 {
            return bytes;
        }
    }
    panic!("{}: it never rests, or never grows", path.display());
}

/// ffmpeg has nothing to complain about, to the last frame.
fn assert_decodes(path: &Path) {
    let output = Command::new("ffmpeg")
        .args(["-v", "error", "-xerror", "-i", path.to_str().unwrap()])
        .args(["-fps_mode", "passthrough", "-enc_time_base", "-1", "-f", "null", "-"])
        .output()
        .expect("ffmpeg runs");
    let error = text(&output.stderr);
    assert!(output.status.success() && error.is_empty(), "{}: {error}", path.display());
}

#[test]
fn a_file_torn_anywhere_is_whole_again_and_the_manifest_says_what_was_cut() {
    let working = tempfile::tempdir().unwrap();
    let files = crashed(working.path());
    // Bytes that are missing at the end: inside the last piece, and in those before.
    let cuts = [0, 1, 13, 500, 2_500, 9_000];
    for cut in cuts {
        let name = format!("cut-{cut}");
        let folder = interaction(working.path(), &name, &manifest(&name, "running", &json!([])));
        for (extension, bytes) in &files {
            let name = format!("{}-dry.{extension}", prefix(&name));
            // Three files of one user and connection cannot be; of three users they can.
            let name = name.replace("-u-ann-", &format!("-u-{extension}-"));
            fs::write(folder.join("recordings").join(name), &bytes[..bytes.len() - cut]).unwrap();
        }
    }
    let output = run(working.path(), &["recover", "data"]);
    let table = text(&output.stdout);
    assert!(output.status.success(), "{table}{}", text(&output.stderr));
    for cut in cuts {
        let name = format!("cut-{cut}");
        let folder = working.path().join("data/study").join(&name);
        let written = fs::read(folder.join(format!("i-{ID}.json"))).unwrap();
        let manifest: Value = serde_json::from_slice(&written).unwrap();
        assert_eq!(manifest["state"], "interrupted");
        for (extension, bytes) in &files {
            let mut entries = manifest["files"].as_array().unwrap().iter();
            let entry = entries.find(|entry| entry["user"] == *extension).expect(extension);
            let path = folder.join("recordings").join(entry["name"].as_str().unwrap());
            let now = fs::read(&path).unwrap();
            let gone = entry["cut"].as_u64().unwrap();
            assert!(bytes.starts_with(&now), "{name} {extension}: only the end is gone");
            assert_eq!((now.len() + cut) as u64 + gone, bytes.len() as u64, "{name} {extension}");
            // Nobody complains of half a page.
            assert_eq!(gone > 0, cut > 0 && *extension != "ogg", "{name} {extension}");
            assert!(entry["samples"].as_u64() > Some(20_000), "{entry}");
            assert_eq!(entry["frames"].as_u64() > Some(10), *extension != "ogg", "{entry}");
            assert_decodes(&path);
        }
        let output = run(working.path(), &["verify", folder.to_str().unwrap()]);
        assert!(output.status.success(), "{}", text(&output.stdout));
    }
    // Again: there is nothing to be done, and nothing is.
    let output = run(working.path(), &["recover", "data/study"]);
    assert_eq!(text(&output.stdout), "6 of 6 runs were whole\n");
}

#[test]
fn what_cannot_be_read_is_told_and_tried_again() {
    let working = tempfile::tempdir().unwrap();
    let folder = interaction(working.path(), "x", &manifest("x", "running", &json!([])));
    let name = format!("{}-dry.mp4", prefix("x"));
    fs::write(folder.join("recordings").join(&name), "\0\0\0\x10ftyp, and then no more").unwrap();
    for _ in 0..2 {
        let output = run(working.path(), &["recover", folder.to_str().unwrap()]);
        let table = text(&output.stdout);
        assert_eq!(output.status.code(), Some(1), "{table}");
        assert!(table.contains("UNREADABLE: not even its header is whole"), "{table}");
    }
    let output = run(working.path(), &["verify", folder.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stdout).contains("cannot be decoded: not even its header is whole"));
}

#[test]
fn a_folder_that_is_none_of_an_interaction_is_told_in_one_sentence() {
    let working = tempfile::tempdir().unwrap();
    fs::create_dir_all(working.path().join("holidays/2026")).unwrap();
    fs::write(working.path().join("holidays/2026/i-love-it.txt"), "sun").unwrap();
    fs::write(working.path().join("a-file"), "text").unwrap();
    for (path, sentence) in [
        ("absent", "absent: No such file or directory"),
        ("holidays", "holidays: no run's manifest (i-<id>.json) in this folder"),
        ("a-file", "a-file: Not a directory"),
    ] {
        for command in ["verify", "recover"] {
            let output = run(working.path(), &[command, path]);
            let error = text(&output.stderr);
            assert_eq!(output.status.code(), Some(1), "{command} {path}: {error}");
            assert!(error.contains(sentence), "{command} {path}: {error}");
            assert_eq!(error.trim_end().lines().count(), 1, "{command} {path}: {error}");
            assert!(output.stdout.is_empty(), "{command} {path}");
        }
    }
}

#[test]
fn a_manifest_that_is_cut_or_of_something_else_is_told_and_its_files_are_left_alone() {
    let working = tempfile::tempdir().unwrap();
    let whole = manifest("x", "running", &json!([])).to_string();
    for broken in ["", "{}", "[1]", &whole[..whole.len() / 2], "\u{feff}{\"id\": 1}"] {
        let folder = interaction(working.path(), "x", &Value::Null);
        let path = folder.join(format!("i-{ID}.json"));
        fs::write(&path, broken).unwrap();
        let recording = folder.join("recordings").join(format!("{}-dry.ogg", prefix("x")));
        fs::write(&recording, "").unwrap();
        let output = run(working.path(), &["verify", folder.to_str().unwrap()]);
        let error = text(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{broken:?}");
        assert!(error.contains("no manifest of a run"), "{broken:?}: {error}");
        let output = run(working.path(), &["recover", "data"]);
        let table = text(&output.stdout);
        assert_eq!(output.status.code(), Some(1), "{broken:?}: {table}");
        assert!(table.contains("FAILED") && table.contains("no manifest of a run"), "{table}");
        assert_eq!(fs::read_to_string(&path).unwrap(), broken);
        assert!(recording.exists());
    }
}

#[test]
fn half_a_folder_and_foreign_files_are_told_one_by_one() {
    let working = tempfile::tempdir().unwrap();
    let name = format!("{}-dry.mp4", prefix("x"));
    let entry = json!({
        "name": name, "user": "ann", "what": "dry", "bytes": 9, "sha256": "ab", "frames": 1,
        "samples": 0, "silence": 0, "complete": true, "tracks": [],
    });
    let folder = interaction(working.path(), "x", &manifest("x", "ended", &json!([entry])));
    fs::write(folder.join("recordings/holiday.mp4"), "sun").unwrap();
    let unlisted = format!("{}-wet.mp4", prefix("x"));
    fs::write(folder.join("recordings").join(&unlisted), "x").unwrap();
    let output = run(working.path(), &["verify", folder.to_str().unwrap()]);
    let table = text(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{table}");
    for sentence in [
        format!("{name}: is not there"),
        "holiday.mp4: in recordings/, but no run speaks of it".to_owned(),
        format!("{unlisted}: its run is ended and has not told of it yet"),
    ] {
        assert!(table.contains(&sentence), "{sentence}: {table}");
    }
    // Not even the folder of the recordings.
    fs::remove_dir_all(folder.join("recordings")).unwrap();
    let output = run(working.path(), &["verify", folder.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stdout).contains("is not there: No such file or directory"));
}

#[test]
fn links_are_not_followed_and_a_foreign_name_is_not_touched() {
    let working = tempfile::tempdir().unwrap();
    let outside = working.path().join("outside.mp4");
    fs::write(&outside, "").unwrap();
    let folder = interaction(working.path(), "x", &manifest("x", "running", &json!([])));
    let link = folder.join("recordings").join(format!("{}-dry.mp4", prefix("x")));
    std::os::unix::fs::symlink(&outside, &link).unwrap();
    let elsewhere = working.path().join("elsewhere");
    let other = interaction(&elsewhere, "y", &manifest("y", "running", &json!([])));
    std::os::unix::fs::symlink(&other, working.path().join("data/study/y")).unwrap();
    let lookalike = folder.join("recordings").join(format!("i-{ID}-notes.mp4"));
    fs::write(&lookalike, "").unwrap();
    let output = run(working.path(), &["recover", "data"]);
    assert!(output.status.success(), "{}", text(&output.stdout));
    assert!(outside.exists() && lookalike.exists() && link.is_symlink());
    let manifest = fs::read_to_string(other.join(format!("i-{ID}.json"))).unwrap();
    assert!(manifest.contains("running"), "{manifest}");
}
