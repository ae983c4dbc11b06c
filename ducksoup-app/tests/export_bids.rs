// SPDX-License-Identifier: MPL-2.0

//! `ducksoup-app export --bids`: the dataset as the validator of BIDS sees it, and what the validator
//! knows nothing of yet as a schema of the draft does.

#![allow(clippy::unwrap_used)]

mod export_lab;
#[path = "support/program.rs"]
mod program;

use export_lab::files;
use program::{ended, program};
use serde_json::{Map, Value, json};
use std::fs;
use std::path::Path;
use std::process::Command;

/// Where `.ci/install test` puts the judges, below the repository's root.
const JUDGES: &str = "target/bids-validator/bin";
/// BEP047 as it was when this was written.
const DRAFT: &str = include_str!("bep047/draft-2026-11.schema.json");

fn export(folder: &Path, output: &Path, arguments: &[&str]) -> (i32, String) {
    let mut command = program(Path::new("/"), &[]);
    command.arg("export").arg(folder).args(["--bids", "--size", "80x60", "--output"]);
    let output = ended(command.arg(output).args(arguments).spawn().unwrap());
    let text = [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap()).concat();
    (output.status.code().unwrap_or(-1), text)
}

/// A program of theirs.
fn judge(name: &str) -> Command {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(JUDGES).join(name);
    assert!(path.exists(), "{JUDGES}/{name} is not there: .ci/install test installs it");
    Command::new(path)
}

/// The errors that the validator finds.
fn errors(dataset: &Path) -> Vec<String> {
    let output = judge("bids-validator-deno")
        .args(["--format", "json", "--max-rows", "-1"])
        .arg(dataset)
        .output()
        .unwrap();
    let report: Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&output.stderr)));
    let issues = report["issues"]["issues"].as_array().unwrap();
    let errors: Vec<_> = issues
        .iter()
        .filter(|issue| issue["severity"] == "error")
        .map(|issue| format!("{} {}", issue["code"], issue["location"]))
        .collect();
    assert_eq!(output.status.success(), errors.is_empty(), "{errors:?}");
    errors
}

fn json(path: &Path) -> Value {
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

/// What the schema looks at: the recordings, with what stands beside them.
fn recordings(dataset: &Path) -> Value {
    let media = |name: &String| {
        let stem = Path::new(name).file_stem().unwrap().to_str().unwrap();
        ["_audio", "_video", "_audiovideo"].iter().any(|suffix| stem.ends_with(suffix))
    };
    let content = |name: String| {
        let content =
            if name.ends_with(".json") { json(&dataset.join(&name)) } else { Value::Null };
        (name, content)
    };
    Value::Object(files(dataset).into_iter().filter(media).map(content).collect::<Map<_, _>>())
}

/// In what the recordings are not as the draft says.
fn deviations(recordings: &Value) -> Vec<String> {
    const SCRIPT: &str = "import json, sys, jsonschema\n\
        draft, recordings = json.loads(sys.argv[1]), json.loads(sys.argv[2])\n\
        jsonschema.Draft202012Validator.check_schema(draft)\n\
        found = jsonschema.Draft202012Validator(draft).iter_errors(recordings)\n\
        print(json.dumps([error.message for error in found]))";
    let arguments = ["-c", SCRIPT, DRAFT, &recordings.to_string()];
    let output = judge("python").args(arguments).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn a_dataset_is_valid_and_its_names_and_tables_tell_the_run() {
    let interaction = export_lab::folder();
    let dataset = tempfile::tempdir().unwrap();
    let path = dataset.path();
    let (code, text) = export(interaction.path(), path, &[]);
    assert_eq!(code, 0, "{text}");
    let mut wanted = vec![
        ".bidsignore".to_owned(),
        "README".into(),
        "dataset_description.json".into(),
        "export.json".into(),
        "participants.json".into(),
        "participants.tsv".into(),
    ];
    for (user, sides) in [("ann", &["dry", "wet"][..]), ("ben", &["dry"])] {
        let beh = format!("sub-{user}/ses-study/beh/sub-{user}_ses-study_task-dyad7_run-1");
        wanted.extend([format!("{beh}_events.tsv"), format!("{beh}_events.json")]);
        wanted.push(format!("sub-{user}/ses-study/sub-{user}_ses-study_scans.tsv"));
        for side in sides {
            let recording = format!("{beh}_recording-{side}");
            wanted.extend(["mp4", "json"].map(|ending| format!("{recording}_audiovideo.{ending}")));
            wanted.extend(["wav", "json"].map(|ending| format!("{recording}_audio.{ending}")));
        }
    }
    wanted.sort();
    assert_eq!(files(path), wanted);
    assert_eq!(errors(path), Vec::<String>::new());
    let recordings = recordings(path);
    assert_eq!(recordings.as_object().unwrap().len(), 12);
    assert_eq!(deviations(&recordings), Vec::<String>::new());

    let read = |name: &str| fs::read_to_string(path.join(name)).unwrap();
    assert_eq!(
        read("participants.tsv"),
        "participant_id\tducksoup_user\nsub-ann\tann\nsub-ben\tb-en\n"
    );
    let beh = "beh/sub-ben_ses-study_task-dyad7_run-1";
    assert_eq!(
        read("sub-ben/ses-study/sub-ben_ses-study_scans.tsv"),
        format!(
            "filename\tacq_time\n\
             {beh}_recording-dry_audio.wav\t2026-11-21T15:30:57.838000Z\n\
             {beh}_recording-dry_audiovideo.mp4\t2026-11-21T15:30:57.838000Z\n"
        )
    );
    assert_eq!(
        read(&format!("sub-ben/ses-study/{beh}_events.tsv")),
        "onset\tduration\tparticipant\ttrial_type\ttarget\tvalue\tsource\n\
         -1.250000\tn/a\tsub-ann\tjoined\tn/a\t1\tn/a\n\
         0.000000\tn/a\tn/a\tstarted\tn/a\tn/a\tn/a\n\
         2.000000\t0.500000\tsub-ben\tfx_started\tvoice.pitch\t0.8\tsub-ann\n\
         6.000000\tn/a\tn/a\tended\tn/a\tn/a\tn/a\n"
    );
    let meanings =
        json(&path.join(format!("sub-ann/ses-study/{}_events.json", beh.replace("ben", "ann"))));
    assert!(meanings["trial_type"]["Levels"]["fx_started"].is_string(), "{meanings:#}");
    let sidecar = &recordings[format!("sub-ben/ses-study/{beh}_recording-dry_audiovideo.json")];
    assert_eq!(
        (&sidecar["TaskName"], &sidecar["VideoFrameCount"], &sidecar["VideoFrameRate"]),
        (&json!("dyad_7"), &json!(150), &json!(25))
    );
}

#[test]
fn a_dataset_grows_and_what_others_wrote_in_it_stays() {
    let interaction = export_lab::folder();
    let dataset = tempfile::tempdir().unwrap();
    let path = dataset.path();
    fs::write(path.join("participants.tsv"), "participant_id\tage\nsub-ben\t31\n").unwrap();
    fs::write(
        path.join("README"),
        "Our study, of which this is a part, with all that belongs to it.\n",
    )
    .unwrap();
    fs::write(path.join(".bidsignore"), "notes.txt").unwrap();
    fs::write(path.join("notes.txt"), "mine").unwrap();
    let names = ["--session", "day 1", "--task", "Small talk"];
    // A second run in the same folder, before the first one.
    let manifest = json(&interaction.path().join("i-Ab12Cd34.json"));
    let mut second = manifest.clone();
    second["id"] = "Zz99".into();
    second["started"] = "2026-11-21T15:00:00Z".into();
    second["files"].as_array_mut().unwrap().retain(|file| file["user"] == "ann");
    for file in second["files"].as_array_mut().unwrap() {
        file["offset"] = 0.into();
    }
    fs::write(interaction.path().join("i-Zz99.json"), second.to_string()).unwrap();
    let (code, text) =
        export(interaction.path(), path, &[&names[..], &["--run", "Ab12Cd34"]].concat());
    assert_eq!(code, 0, "{text}");
    let before = files(path);
    let (code, text) = export(interaction.path(), path, &names);
    assert_eq!((code, text.matches("done before").count()), (0, 3), "{text}");
    let read = |name: &str| fs::read_to_string(path.join(name)).unwrap();
    assert_eq!(
        read("participants.tsv"),
        "participant_id\tage\tducksoup_user\nsub-ben\t31\tn/a\nsub-ann\tn/a\tann\nsub-benx2\tn/a\tb-en\n"
    );
    assert!(read("README").starts_with("Our study"));
    assert!(read(".bidsignore").starts_with("notes.txt\n*_audiovideo.*\n"));
    let scans = read("sub-ann/ses-day1/sub-ann_ses-day1_scans.tsv");
    let times: Vec<_> = scans.lines().skip(1).map(|line| line.split('\t').next_back()).collect();
    let (first, second) = ("2026-11-21T15:00:00.000000Z", "2026-11-21T15:30:57.838000Z");
    assert_eq!(times, [[Some(second); 4], [Some(first); 4]].concat());
    assert!(scans.contains("_task-Smalltalk_run-1_recording-wet_audio.wav\t2026-11-21T15:00"));
    // Both runs have ann, and each its events where there are some.
    assert_eq!(files(path).len(), before.len() + 8);
    assert_eq!(errors(path), Vec::<String>::new());
    assert_eq!(deviations(&recordings(path)), Vec::<String>::new());

    fs::write(path.join("participants.tsv"), "name\tage\nann\t30\n").unwrap();
    let (code, text) = export(interaction.path(), path, &names);
    assert_eq!(code, 1);
    assert!(
        text.contains("participants.tsv: this is no table that rows can be added to"),
        "{text}"
    );
}

#[test]
fn both_judges_find_faults() {
    let good = json!({
        "sub-a/ses-b/beh/sub-a_ses-b_task-c_run-1_recording-dry_audio.wav": null,
        "sub-a/ses-b/beh/sub-a_ses-b_task-c_run-1_recording-dry_audio.json": {
            "TaskName": "c", "RecordingDuration": 1.0, "AudioCodec": "pcm_s16le",
            "AudioSampleRate": 48000, "AudioChannelCount": 1,
        },
    });
    assert_eq!(deviations(&good), Vec::<String>::new());
    let text = good.to_string();
    for (right, wrong) in [
        ("sub-a_ses-b", "sub-x_ses-b"),
        ("recording-dry", "recording-d_y"),
        ("run-1_recording-dry", "recording-dry_run-1"),
        ("audio.wav", "audio.aiff"),
        ("\"RecordingDuration\":1.0", "\"Duration\":1.0"),
        ("\"AudioChannelCount\":1", "\"AudioChannelCount\":\"1\""),
        ("\"TaskName\":\"c\"", "\"TaskName\":\"c\",\"VideoCodec\":\"h264\""),
    ] {
        assert!(text.contains(right));
        let faulty = serde_json::from_str(&text.replace(right, wrong)).unwrap();
        assert_ne!(deviations(&faulty), Vec::<String>::new(), "{wrong}");
    }
    let dataset = tempfile::tempdir().unwrap();
    let description = json!({"Name": "x", "BIDSVersion": "1.11.1"}).to_string();
    fs::write(dataset.path().join("dataset_description.json"), description).unwrap();
    fs::create_dir_all(dataset.path().join("sub-a/beh")).unwrap();
    fs::write(dataset.path().join("sub-a/beh/sub-a_task-b_audiovideo.mp4"), "x").unwrap();
    let errors = errors(dataset.path());
    // The day this fails, the validator knows BEP047, and the schema and .bidsignore can go.
    assert!(errors.iter().any(|error| error.contains("audiovideo")), "{errors:?}");
}
