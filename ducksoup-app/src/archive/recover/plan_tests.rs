// SPDX-License-Identifier: MPL-2.0

#![allow(clippy::unwrap_used)]
use super::*;

const PREFIX: &str = "i-Ab12-a-20261121-101718.045-s-study-n-dyad_7-u-";

fn run(state: &str, files: &Value) -> Manifest {
    let manifest = json!({
        "id": "Ab12", "origin": "https://lab.example", "namespace": "study",
        "interaction": "dyad_7", "version": "0", "gstreamer": "1.22", "state": state,
        "created": "2026-11-21T10:17:18Z", "participants": {}, "files": files,
    });
    serde_json::from_value(manifest).unwrap()
}

fn told(name: &str, complete: bool) -> Value {
    json!({
        "name": name, "user": "ann", "what": "dry", "bytes": 9, "sha256": "ab", "frames": 500,
        "samples": 0, "silence": 0, "complete": complete, "folder": "kept",
        "tracks": [{"pad": "dry_audio", "codec": "opus", "first": 0, "last": 9_000, "gap-count": 2,
            "gaps": [{"from": 10, "to": 20}, {"from": 7_000, "to": 8_000}]}],
    })
}

#[test]
fn a_name_is_taken_apart_from_both_ends() {
    let run = run("running", &json!([]));
    for (rest, user, what, format) in [
        ("ann-c-1-dry.mp4", "ann", "dry", Format::Mp4),
        ("a-c-2-c-13-audio-wet.ogg", "a-c-2", "audio-wet", Format::Ogg),
        ("x-dry-c-1-video-dry.mkv", "x-dry", "video-dry", Format::Mkv),
    ] {
        let text = format!("{PREFIX}{rest}");
        let start = "20261121-101718.045".to_owned();
        let name = Name { text: text.clone(), start, user: user.into(), what, format };
        assert_eq!(Name::of(&text, &run), Some(name));
    }
    for foreign in [
        "notes.txt",
        "i-Ab12-notes.mp4",
        "i-Ab12-a-20261121-101718.045-s-study-n-other-u-ann-c-1-dry.mp4",
        "i-Ab1-a-20261121-101718.045-s-study-n-dyad_7-u-ann-c-1-dry.mp4",
        &format!("{PREFIX}ann-c-1-dry.mp4.part"),
        &format!("{PREFIX}ann-c-1-mixed.mp4"),
        &format!("{PREFIX}ann-c-x-dry.mp4"),
        &format!("{PREFIX}-c-1-dry.mp4"),
        "i-Ab12-a-é",
    ] {
        assert_eq!(Name::of(foreign, &run), None, "{foreign}");
    }
}

#[test]
fn what_is_not_told_is_done_and_nothing_else() {
    let name = format!("{PREFIX}ann-c-1-dry.mp4");
    let there = ["notes.txt".to_owned(), name.clone()];
    let unreadable = {
        let mut entry = told(&name, false);
        entry["recovered"] = true.into();
        entry["error"] = "damaged".into();
        entry
    };
    let recovered = {
        let mut entry = told(&name, false);
        entry["recovered"] = true.into();
        entry
    };
    // state, entry, is anything to be done for the run, for the file
    for (state, entry, unended, file) in [
        ("running", None, true, true),
        ("running", Some(told(&name, true)), true, false),
        ("gathering", None, true, true),
        ("ended", None, false, true),
        ("ended", Some(told(&name, true)), false, false),
        ("ended", Some(told(&name, false)), false, true),
        ("interrupted", Some(recovered), false, false),
        ("interrupted", Some(unreadable), false, true),
    ] {
        let run = run(state, &entry.clone().into_iter().collect());
        let files: Vec<_> = Name::of(&name, &run).into_iter().filter(|_| file).collect();
        let expected = (unended || file).then_some(Plan { unended, files });
        assert_eq!(plan(&run, &there), expected, "{state} {entry:?}");
    }
    assert_eq!(plan(&run("aborted", &json!([])), &["notes.txt".into()]), None);
}

#[test]
fn an_entry_says_what_is_in_the_file_and_keeps_the_gaps_that_were_told() {
    let name = format!("{PREFIX}ann-c-1-dry.mp4");
    let parsed = Name::of(&name, &run("running", &json!([]))).unwrap();
    let span = |kind, last, count| Span { kind, first: 0, last, count, gap_count: 0, gaps: vec![] };
    let found = Found {
        bytes: 7,
        sha256: "cd".into(),
        cut: 3,
        content: Ok(Decoded {
            frames: 100,
            samples: 960,
            spans: vec![span(Kind::Video, 4_000, 100), span(Kind::Audio, 5_000, 960)],
        }),
    };
    for before in [None, Some(told(&name, false))] {
        let value = entry(&parsed, "study/dyad_7/recordings", before.as_ref(), &found);
        let typed: Entry = serde_json::from_value(value.clone()).unwrap();
        assert_eq!((typed.bytes, typed.sha256.as_str(), typed.cut), (7, "cd", 3));
        assert_eq!((typed.frames, typed.samples, typed.silence), (100, 960, 0));
        assert_eq!((typed.complete, typed.recovered, typed.error), (false, true, None));
        assert_eq!(value["path"], format!("study/dyad_7/recordings/{name}"));
        assert_eq!(value["last"], 5_000);
        let pads: Vec<_> =
            typed.tracks.iter().map(|t| (t.pad.as_str(), t.codec.as_str())).collect();
        assert_eq!(pads, [("dry_video", "h264"), ("dry_audio", "opus")]);
        let kept: Vec<Gap> = before.iter().map(|_| Gap { from: 10, to: 20 }).collect();
        assert_eq!(typed.tracks[1].gaps, kept);
        assert_eq!(typed.tracks[1].gap_count, kept.len() as u64);
    }
    let unreadable = Found { content: Err("damaged".into()), ..found };
    let typed: Entry = serde_json::from_value(entry(&parsed, "f", None, &unreadable)).unwrap();
    assert_eq!((typed.frames, typed.error.as_deref()), (0, Some("damaged")));
}

#[test]
fn a_manifest_keeps_what_it_said() {
    let name = format!("{PREFIX}ann-c-1-dry.mp4");
    let (one, other) = (told("other", true), told(&name, false));
    let manifest = json!({"state": "running", "own": 1, "files": [one, other]});
    let mut manifest = manifest.as_object().cloned().unwrap();
    let new = json!({"name": name, "bytes": 3});
    put(&mut manifest, new.clone());
    put(&mut manifest, json!({"name": "third"}));
    assert_eq!(manifest["files"], json!([told("other", true), new, {"name": "third"}]));
    let recovered = Recovered { time: "2026-11-21T11:00:00Z".into(), version: "1".into() };
    for (unended, state) in [(false, "running"), (true, "interrupted")] {
        sign(&mut manifest, &Plan { unended, files: vec![] }, &recovered);
        assert_eq!(manifest["state"], state);
        assert_eq!(manifest["recovered"]["version"], "1");
        assert_eq!(manifest["own"], 1);
    }
}

#[test]
fn a_table_of_events_is_closed_once_behind_its_last_whole_line() {
    let head = "onset\tduration\tparticipant\ttype\ttarget\tvalue\n";
    let started = "0.000100\tn/a\tn/a\tstarted\tn/a\tn/a\n";
    let late = "9.5\tn/a\tann\tleft\tn/a\tstopped\n";
    let line = |onset: &str| format!("{onset}\tn/a\tn/a\tinterrupted\tn/a\tn/a\n");
    for (table, torn, expected) in [
        (format!("{head}{started}"), "", line("7.250000")),
        (format!("{head}{started}{late}"), "", line("9.500000")),
        (format!("{head}{started}"), "7.1\tn/a\tann\tende", line("7.250000")),
    ] {
        let closing = closing(&format!("{table}{torn}"), "interrupted", 7.25);
        assert_eq!(closing, Some(Closing { keep: table.len(), line: expected }));
    }
    let renamed = head.replace("type", "trial_type");
    assert!(closing(&format!("{renamed}{started}"), "ended", 1.0).is_some());
    for word in CLOSING {
        let table = format!("{head}{started}8.0\tn/a\tn/a\t{word}\tn/a\tn/a\n");
        assert_eq!(closing(&table, "ended", 9.0), None, "{word}");
    }
    for none in ["", "onset", "a\tb\n1\t2\n"] {
        assert_eq!(closing(none, "ended", 9.0), None, "{none:?}");
    }
}
