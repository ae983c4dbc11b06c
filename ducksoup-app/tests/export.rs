// SPDX-License-Identifier: MPL-2.0

//! `ducksoup-app export`, by the content of what it makes: known pictures and beeps go in through
//! the recorder, and ffmpeg says where they came out.

#![allow(clippy::unwrap_used)]

mod export_lab;
#[path = "support/program.rs"]
mod program;

use export_lab::{Film, LENGTH, RETURN, beeps, code, files, lengths, shade, sound};
use program::{ended, program};
use serde_json::Value;
use std::fs;
use std::path::Path;
use std::sync::OnceLock;
use tempfile::TempDir;

/// How far a mean brightness may be from what was painted: two encoders and a scaler.
const NEAR: u8 = 3;
/// A millisecond, in samples.
const MILLISECOND: usize = 48;

/// The interaction of all tests, which only read it.
fn interaction() -> &'static Path {
    static FOLDER: OnceLock<TempDir> = OnceLock::new();
    FOLDER.get_or_init(export_lab::folder).path()
}

/// A copy of it that a test may spoil.
fn spoiled() -> TempDir {
    let copy = tempfile::tempdir().unwrap();
    for name in files(interaction()) {
        let to = copy.path().join(&name);
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        fs::copy(interaction().join(name), to).unwrap();
    }
    copy
}

/// Runs the command; its exit code and what it prints.
fn export(folder: &Path, arguments: &[&str]) -> (i32, String) {
    let mut command = program(Path::new("/"), &[]);
    let output = ended(command.arg("export").arg(folder).args(arguments).spawn().unwrap());
    let text = [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap()).concat();
    (output.status.code().unwrap_or(-1), text)
}

/// … which must go well, into a folder of its own.
fn exported(arguments: &[&str]) -> TempDir {
    let output = tempfile::tempdir().unwrap();
    let to = ["--output", output.path().to_str().unwrap()];
    let (code, text) = export(interaction(), &[&to, arguments].concat());
    assert_eq!(code, 0, "{text}");
    output
}

fn json(path: &Path) -> Value {
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

/// Every picture is the one it should be; a painted brightness each, black where there is none.
#[track_caller]
fn shows(seen: &[u8], wanted: impl Iterator<Item = Option<u8>>) {
    let wanted: Vec<_> = wanted.map(|shade| shade.unwrap_or(16)).collect();
    let wrong: Vec<_> = seen
        .iter()
        .zip(&wanted)
        .enumerate()
        .filter(|(_, (seen, wanted))| seen.abs_diff(**wanted) > NEAR)
        .collect();
    assert!(wrong.is_empty(), "(picture, (seen, wanted)): {wrong:?}");
    assert_eq!(seen.len(), wanted.len());
}

/// What ann's camera saw in the nth picture: nothing came from 30 to 45.
fn ann(n: usize) -> u8 {
    shade(if (30..45).contains(&n) { 29 } else { n }, &[50])
}

/// What ben's camera saw in the nth picture: away from 50 until 90, but the last picture stays for
/// a second.
fn ben(n: usize) -> Option<u8> {
    match n {
        0..50 => Some(shade(n, &[25])),
        50..74 => Some(code(49)),
        74..RETURN => None,
        _ => Some(shade(n, &[125])),
    }
}

#[track_caller]
fn beeps_at(sound: &[i16], wanted: &[usize]) {
    let found = beeps(sound);
    assert_eq!(found.len(), wanted.len(), "{found:?}");
    for (found, wanted) in found.iter().zip(wanted) {
        assert!(found.abs_diff(*wanted) <= MILLISECOND, "{found} instead of {wanted}");
    }
}

#[test]
fn every_file_of_a_run_has_the_same_length_and_shows_and_sounds_what_was_there() {
    let output = exported(&[]);
    let path = |name: &str| output.path().join(format!("i-Ab12Cd34-u-{name}"));
    for (name, beeps) in
        [("ann-dry", &[96_000][..]), ("ann-wet", &[96_000]), ("b-en-dry", &[48_000, 240_000])]
    {
        let (mp4, wav) = (path(&format!("{name}.mp4")), path(&format!("{name}.wav")));
        let length = LENGTH as u64 * 1_000_000;
        assert_eq!(lengths(&mp4), [length; 3], "{name}");
        assert_eq!(lengths(&wav), [length; 2], "{name}");
        for file in [&mp4, &wav] {
            let channels = sound(file);
            assert_eq!(channels.len(), 1, "{}", file.display());
            // ffmpeg 5 plays the last packet of AAC to its end, whatever the edit list says.
            let padding = if file == &mp4 { 1024 } else { 0 };
            let more = channels[0].len() - 48_000 * LENGTH;
            assert!(more <= padding, "{}: {more}", file.display());
            beeps_at(&channels[0], beeps);
        }
        let times = Film::times(&mp4);
        for (n, time) in times.iter().enumerate() {
            assert!((time - n as f64 / 25.0).abs() < 1e-6, "picture {n} at {time}");
        }
    }
    shows(&Film::read(&path("ann-dry.mp4")).middle(), (0..150).map(|n| Some(ann(n))));
    let wet = (0..150).map(|n| Some(16 + shade(n, &[50]) / 2));
    shows(&Film::read(&path("ann-wet.mp4")).middle(), wet);
    shows(&Film::read(&path("b-en-dry.mp4")).middle(), (0..150).map(ben));

    // A wide picture in the place of a narrow one has borders, above and below.
    let film = Film::read(&path("ann-dry.mp4"));
    assert_eq!((film.width, film.height), (160, 120));
    let above = film.shades(0..160, 0..12);
    shows(&above, (0..150).map(|n| (n < 75).then(|| ann(n))));

    // No sample is another one's than in the recording.
    let recordings = interaction().join("recordings");
    let recorded = files(&recordings);
    let recorded = recorded.iter().find(|name| name.ends_with("ann-c-1-dry.mp4")).unwrap();
    let before = sound(&recordings.join(recorded)).remove(0);
    let after = sound(&path("ann-dry.wav")).remove(0);
    let same = |n: &usize| before[*n].abs_diff(after[*n]) <= 2;
    assert_eq!((0..288_000).find(|n| !same(n)), None);
}

#[test]
fn a_sidecar_tells_what_is_missing_and_where_it_came_from() {
    let output = exported(&[]);
    let sidecar = json(&output.path().join("i-Ab12Cd34-u-ann-dry.json"));
    assert_eq!(sidecar["VideoFrameCount"], 150);
    assert_eq!(sidecar["RecordingDuration"], 6.0);
    let own = &sidecar["DuckSoup"];
    assert_eq!(own["Zero"], "2026-11-21T15:30:57.838Z");
    let gap = &own["Picture"]["Gaps"][0];
    assert!((gap[0].as_f64().unwrap() - 1.2).abs() < 0.05, "{gap}");
    assert_eq!(gap[1], 1.8, "{gap}");
    assert_eq!(own["Picture"]["Black"], serde_json::json!([]));
    assert_eq!(own["Sound"]["Gaps"], serde_json::json!([[4.0, 4.5]]));
    let sidecar = json(&output.path().join("i-Ab12Cd34-u-b-en-dry.json"));
    let own = &sidecar["DuckSoup"];
    assert_eq!(own["Picture"]["Black"], serde_json::json!([[2.96, 3.6]]));
    assert_eq!(own["Sound"]["Unrecorded"], serde_json::json!([[2.0, 3.6]]));
    assert_eq!(own["Recordings"][2]["ZeroAfterStart"], 3.6);
    assert_eq!(own["Recordings"][2]["SHA256"].as_str().unwrap().len(), 64);
}

#[test]
fn side_by_side_everyone_is_in_their_place_and_in_time() {
    let output = exported(&["--composite"]);
    let path = |side: &str| output.path().join(format!("i-Ab12Cd34-composite-{side}"));
    for side in ["dry", "wet"] {
        let film = Film::read(&path(&format!("{side}.mp4")));
        assert_eq!((film.width, film.height), (320, 120));
        let left = film.shades(40..120, 30..90);
        match side {
            "dry" => shows(&left, (0..150).map(|n| Some(ann(n)))),
            _ => shows(&left, (0..150).map(|n| Some(16 + shade(n, &[50]) / 2))),
        }
        // There was no effect on ben: the others saw what was sent.
        shows(&film.shades(200..280, 30..90), (0..150).map(ben));
        for ending in ["mp4", "wav"] {
            let channels = sound(&path(&format!("{side}.{ending}")));
            let [left, right] = &channels[..] else { panic!("{} channels", channels.len()) };
            assert!(left.len() == right.len() && left.len() - 288_000 <= 1024);
            let loud = |sound: &[i16], at: usize| {
                sound[at..at + 4800].iter().map(|s| s.unsigned_abs()).max().unwrap()
            };
            for (beep, louder, quieter) in
                [(96_000, left, right), (48_000, right, left), (240_000, right, left)]
            {
                assert!(loud(louder, beep) > 2 * loud(quieter, beep), "{side}.{ending}, {beep}");
            }
        }
    }
}

#[test]
fn common_is_cut_to_the_time_when_everyone_was_there() {
    let folder = spoiled();
    let path = folder.path().join("i-Ab12Cd34.json");
    let mut manifest = json(&path);
    // Ben's first connection was never there.
    let files = manifest["files"].as_array_mut().unwrap();
    files.retain(|file| !file["name"].as_str().unwrap().contains("b-en-c-1"));
    fs::write(&path, manifest.to_string()).unwrap();
    let (code, text) = export(folder.path(), &["--common"]);
    assert_eq!(code, 0, "{text}");
    let output = folder.path().join("export");
    let film = Film::read(&output.join("i-Ab12Cd34-u-ann-dry.mp4"));
    shows(&film.middle(), (RETURN..150).map(|n| Some(ann(n))));
    let film = Film::read(&output.join("i-Ab12Cd34-u-b-en-dry.mp4"));
    shows(&film.middle(), (RETURN..150).map(ben));
    beeps_at(&sound(&output.join("i-Ab12Cd34-u-b-en-dry.wav"))[0], &[67_200]);
    let own = &json(&output.join("i-Ab12Cd34-u-ann-dry.json"))["DuckSoup"];
    assert_eq!(
        (&own["ZeroAfterStart"], &own["Zero"]),
        (&3.6.into(), &"2026-11-21T15:31:01.438Z".into())
    );
}

#[test]
fn another_rate_and_size_can_be_asked_for() {
    let output = exported(&["--framerate", "50", "--size", "80x60"]);
    let path = output.path().join("i-Ab12Cd34-u-ann-wet.mp4");
    let film = Film::read(&path);
    assert_eq!((film.width, film.height), (80, 60));
    // 13 ms late: slot 1, at 20 ms, is the first one that is not before it by half a slot.
    let wet = |n: usize| Some(16 + shade(n, &[50]) / 2);
    let wanted = (0..300).map(|slot: usize| match slot {
        0 => None,
        slot => wet((slot - 1) / 2),
    });
    shows(&film.middle(), wanted);
    assert_eq!(lengths(&path), [6_000_000; 3]);
}

#[test]
fn a_second_export_goes_on_where_the_first_one_ended() {
    let output = exported(&["--size", "80x60"]);
    let to = ["--size", "80x60", "--output", output.path().to_str().unwrap()];
    let lost = output.path().join("i-Ab12Cd34-u-ann-wet.wav");
    let kept = output.path().join("i-Ab12Cd34-u-ann-dry.mp4");
    let before = fs::metadata(&kept).unwrap().modified().unwrap();
    fs::remove_file(&lost).unwrap();
    // What is left of an export that was cut off.
    fs::write(output.path().join("i-Ab12Cd34-u-ann-wet.wav.part"), "half").unwrap();
    let (code, text) = export(interaction(), &to);
    assert_eq!(code, 0, "{text}");
    assert_eq!(text.matches("done before").count(), 2, "{text}");
    assert!(text.contains("ann-wet.wav: 6.000 s, 150 pictures"), "{text}");
    assert_eq!(fs::metadata(&kept).unwrap().modified().unwrap(), before);
    assert_eq!(sound(&lost)[0].len(), 288_000);
    assert!(!files(output.path()).iter().any(|name| name.ends_with(".part")));

    // Other options make other files.
    let (code, text) = export(interaction(), &["--size", "96x64", to[2], to[3]]);
    assert_eq!((code, text.matches("done before").count()), (0, 0), "{text}");
    assert_eq!(Film::read(&kept).width, 96);

    // What somebody else wrote is left alone.
    fs::write(&kept, "mine").unwrap();
    let (code, text) = export(interaction(), &to);
    assert_eq!(code, 1);
    assert!(text.contains("is in the way; move it"), "{text}");
    assert_eq!(fs::read_to_string(&kept).unwrap(), "mine");
}

#[test]
fn an_export_that_is_stopped_leaves_no_half_file_under_a_name() {
    use rustix::process::{Pid, Signal, kill_process};
    let output = tempfile::tempdir().unwrap();
    let mut command = program(Path::new("/"), &[]);
    // Large enough to be seen at work.
    command.arg("export").arg(interaction()).args(["--size", "1920x1080", "--output"]);
    let mut child = command.arg(output.path()).spawn().unwrap();
    let until = std::time::Instant::now() + std::time::Duration::from_secs(60);
    while !files(output.path()).iter().any(|name| name.ends_with(".mp4.part")) {
        assert!(child.try_wait().unwrap().is_none() && std::time::Instant::now() < until);
        std::thread::yield_now();
    }
    // Not INT, which whoever starts the tests in the background has ignored.
    kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
    let code = ended(child).status.code();
    assert_ne!(code, Some(0));
    let names = files(output.path());
    assert!(names.iter().all(|name| name.ends_with(".part")), "{names:?}");
}

#[test]
fn bad_input_is_told_in_a_sentence_and_nothing_is_written() {
    let empty = tempfile::tempdir().unwrap();
    let absent = empty.path().join("absent");
    let lost = spoiled();
    let names = files(&lost.path().join("recordings"));
    fs::remove_file(lost.path().join("recordings").join(&names[0])).unwrap();
    let changed = spoiled();
    fs::write(changed.path().join("recordings").join(&names[0]), "no film").unwrap();
    let foreign = spoiled();
    fs::write(foreign.path().join("i-other.json"), "{}").unwrap();
    let unnamed = spoiled();
    let text = fs::read_to_string(unnamed.path().join("i-Ab12Cd34.json")).unwrap();
    let text = text.replace("-a-20261121-153101.438-", "-a-later-");
    fs::write(unnamed.path().join("i-Ab12Cd34.json"), text).unwrap();
    let whole = spoiled();
    fs::create_dir(whole.path().join("export")).unwrap();
    fs::write(whole.path().join("export/export.json"), "{\"mine\": true}").unwrap();
    for (folder, arguments, words) in [
        (absent.as_path(), &[][..], "No such file"),
        (empty.path(), &[], "no run's manifest"),
        (lost.path(), &[], "the manifest of run Ab12Cd34 speaks of this file"),
        (changed.path(), &[], "its bytes are not those that run Ab12Cd34 wrote"),
        (foreign.path(), &[], "i-other.json: no manifest of a run"),
        (unnamed.path(), &[], "its name does not tell when it began"),
        (whole.path(), &[], "this is no list of exported files"),
        (interaction(), &["--run", "zzz"], "this folder has no such run; it has Ab12Cd34"),
    ] {
        let before = files(empty.path()).len();
        let (code, text) = export(folder, arguments);
        assert_eq!(code, 1, "{text}");
        assert!(text.starts_with("ducksoup-app export: ") && text.contains(words), "{text}");
        assert_eq!(text.lines().count(), 1, "{text}");
        assert!(!folder.join("export").exists() || folder == whole.path());
        assert_eq!(files(empty.path()).len(), before);
    }
    for wrong in [&["--size", "3x"][..], &["--framerate", "0"], &["--bids", "--composite"]] {
        assert_eq!(export(interaction(), wrong).0, 2);
    }
}

#[test]
fn a_recording_that_cannot_be_decoded_is_told_and_leaves_nothing_behind() {
    let folder = spoiled();
    let name = files(&folder.path().join("recordings")).remove(0);
    fs::write(folder.path().join("recordings").join(name), vec![7; 5000]).unwrap();
    let path = folder.path().join("i-Ab12Cd34.json");
    let mut manifest = json(&path);
    for file in manifest["files"].as_array_mut().unwrap() {
        // A run that was cut off could not tell the hash.
        file["sha256"] = "".into();
    }
    fs::write(&path, manifest.to_string()).unwrap();
    let (code, text) = export(folder.path(), &[]);
    assert_eq!(code, 1, "{text}");
    assert!(text.starts_with("ducksoup-app export: i-Ab12Cd34-u-ann-dry: "), "{text}");
    assert_eq!(files(&folder.path().join("export")), Vec::<String>::new());
}

#[test]
fn a_recording_that_was_cut_off_is_exported_as_far_as_it_goes() {
    let folder = spoiled();
    let path = folder.path().join("i-Ab12Cd34.json");
    let mut manifest = json(&path);
    manifest["state"] = "interrupted".into();
    let entries = manifest["files"].as_array_mut().unwrap();
    entries.retain(|file| file["name"].as_str().unwrap().ends_with("ann-c-1-dry.mp4"));
    let name = entries[0]["name"].as_str().unwrap().to_owned();
    entries[0]["complete"] = false.into();
    entries[0]["sha256"] = "".into();
    fs::write(&path, manifest.to_string()).unwrap();
    let file = fs::OpenOptions::new().write(true).open(folder.path().join("recordings").join(name));
    let file = file.unwrap();
    let length = file.metadata().unwrap().len();
    file.set_len(length * 6 / 10).unwrap();
    let (code, text) = export(folder.path(), &[]);
    assert_eq!(code, 0, "{text}");
    let film = Film::read(&folder.path().join("export/i-Ab12Cd34-u-ann-dry.mp4"));
    let seen = film.middle();
    let black = seen.iter().position(|shade| *shade == 16).unwrap();
    // What is left, and the last picture for a second more.
    assert!((50..150).contains(&black), "{black}");
    shows(&seen[..black - 25], (0..black - 25).map(|n| Some(ann(n))));
    assert!(seen[black..].iter().all(|shade| *shade == 16));
    assert_eq!(seen.len(), 150);
}
