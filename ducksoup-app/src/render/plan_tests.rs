// SPDX-License-Identifier: MPL-2.0

use super::*;
use serde_json::{Value, json};

const MS: u64 = 1_000_000;
const HEADER: &str = "onset\tduration\tparticipant\ttype\ttarget\tvalue\n";

fn options(audio_fx: Option<&str>, video_fx: Option<&str>) -> Value {
    json!({
        "interaction": "dyad", "user": "ann", "namespace": "study", "duration": 10, "size": 2,
        "audio_only": false, "width": 640, "height": 480, "framerate": 25,
        "audio_fx": audio_fx, "video_fx": video_fx, "video_format": "H264",
        "recording_mode": "forced", "gpu": false, "overlay": false
    })
}

/// `tracks`: pad, codec, first and last (ms).
fn entry(name: &str, tracks: &[(&str, &str, u64, u64)]) -> Value {
    let what = name.rsplit('-').next().and_then(|end| end.split('.').next());
    let tracks: Vec<_> = tracks
        .iter()
        .map(|(pad, codec, first, last)| {
            json!({
                "pad": pad, "codec": codec, "first": first * MS, "last": last * MS,
                "gap-count": 0, "gaps": []
            })
        })
        .collect();
    json!({
        "name": name, "user": "ann", "what": what, "bytes": 1, "sha256": "", "frames": 1,
        "samples": 1, "silence": 0, "complete": true, "tracks": tracks
    })
}

const FIRST: &str = "i-Ab12-a-20261121-101718.045-s-study-n-dyad-u-ann-c-1-";
const SECOND: &str = "i-Ab12-a-20261121-101721.545-s-study-n-dyad-u-ann-c-2-";

fn run(options: &Value, files: &[Value]) -> Manifest {
    serde_json::from_value(json!({
        "id": "Ab12", "origin": "http://localhost", "namespace": "study", "interaction": "dyad",
        "version": "0", "gstreamer": "1.22", "state": "ended",
        "created": "2026-11-21T10:17:00Z", "started": "2026-11-21T10:17:18.045678901Z",
        "participants": {"ann": options}, "files": files
    }))
    .expect("a manifest")
}

fn dry(prefix: &str) -> Value {
    let tracks = [("dry_video", "h264", 300, 9_950), ("dry_audio", "opus", 0, 9_990)];
    entry(&format!("{prefix}dry.mp4"), &tracks)
}

fn wet(prefix: &str) -> Value {
    let tracks = [("wet_video", "h264", 40, 10_000), ("wet_audio", "opus", 0, 10_010)];
    entry(&format!("{prefix}wet.mp4"), &tracks)
}

fn table(rows: &str) -> Table {
    Table::parse(&format!("{HEADER}{rows}")).expect("a table")
}

#[test]
fn commands_go_to_the_effect_of_their_name_and_those_from_before_t0_have_a_time() {
    let options = options(Some("pitch name=voice"), Some("videobalance name=face"));
    let run = run(&options, &[dry(FIRST), wet(FIRST)]);
    let events = table(
        "-0.500000\t2\tann\tfx_started\tvoice.pitch\t1.5\n\
         1.000000\t0\tann\tfx_started\tface.hue\t0.5\n\
         1.000000\tn/a\tann\tfx_applied\tface.hue\t0.5\n",
    );
    let jobs = jobs(&run, &events, Wishes::default()).expect("a job");
    let [job] = &jobs[..] else { panic!("{jobs:?}") };
    assert_eq!(job.name, format!("{FIRST}wet-render"));
    assert_eq!((job.base, job.offset, job.end), (502 * MS, 0, 10_000 * MS));
    assert_eq!(job.origin(), 502 * MS);
    let (audio, video) =
        (job.audio.as_ref().expect("sound"), job.video.as_ref().expect("pictures"));
    assert_eq!(audio.timeline, "0.002000000 voice pitch '1.5' 2.000000000 linear");
    // Two milliseconds early: the picture at which it began must not be missed.
    assert_eq!(video.timeline, "1.500000000 face hue '0.5' 0.000000000 linear");
    assert_eq!((audio.applied.len(), video.applied.len()), (0, 1));
    assert_eq!((audio.from, video.from, video.first), (None, Some(0), 300 * MS));
    assert_eq!((audio.codec, video.codec), (Codec::Opus, Codec::H264));
}

#[test]
fn a_file_of_who_came_back_has_its_own_zero_and_its_own_commands() {
    let run = run(&options(Some("volume name=v"), None), &[dry(FIRST), dry(SECOND)]);
    let events = table(
        "-1\tn/a\tann\tjoined\tn/a\t1\n\
         1\t0\tann\tfx_started\tv.volume\t0.1\n\
         3.4\tn/a\tann\tjoined\tn/a\t2\n\
         4\t0\tann\tfx_started\tv.volume\t0.2\n",
    );
    let jobs = jobs(&run, &events, Wishes::default()).expect("jobs");
    let [first, second] = &jobs[..] else { panic!("{jobs:?}") };
    let timeline = |job: &Job| job.audio.as_ref().expect("sound").timeline.clone();
    assert_eq!(timeline(first), "1.002000000 v volume '0.1' 0.000000000 linear");
    assert_eq!(timeline(second), "4.002000000 v volume '0.2' 0.000000000 linear");
    assert_eq!(first.offset, 0, "45 ms of the name are 45.678901 ms of t0");
    assert_eq!(second.offset, 3_499_321_099);
    assert!(second.video.as_ref().is_some_and(|video| video.fx.is_empty()), "it shares the file");
    let mut told = dry(SECOND);
    told["offset"] = 3_499_800_000_u64.into();
    let run = super::tests::run(&options(Some("volume name=v"), None), &[told]);
    let made = super::jobs(&run, &events, Wishes::default()).expect("a job");
    assert_eq!(made[0].offset, 3_499_800_000, "as the manifest tells, to the nanosecond");
    // Nothing wet was recorded: up to the run's end, which the first dry file all but reaches.
    assert_eq!(first.end, 10_000 * MS);
    assert_eq!(second.end, 10_000 * MS - 3_499_321_099);
    let from = |job: &Job| job.video.as_ref().and_then(|video| video.from);
    // The grid is the run's: its slots are each 40 ms from t0, here the one at 3520 ms.
    assert_eq!((from(first), from(second)), (Some(0), Some(20_678_901)));
}

#[test]
fn separate_tracks_are_separate_jobs_where_something_is_changed() {
    let mut options = options(None, Some("coloreffects name=face"));
    options["recording_mode"] = "split".into();
    let sound = entry(&format!("{FIRST}audio-dry.ogg"), &[("dry_audio", "opus", 0, 9_990)]);
    let picture = entry(&format!("{FIRST}video-dry.mkv"), &[("dry_video", "vp8", 0, 9_990)]);
    let run = run(&options, &[sound, picture]);
    let made = jobs(&run, &table(""), Wishes::default()).expect("a job");
    let [job] = &made[..] else { panic!("{made:?}") };
    assert_eq!(job.name, format!("{FIRST}video-wet-render"));
    assert!(job.audio.is_none() && job.is_constant());
    // Another effect, on what was not changed: the commands of the one that is gone are left out.
    let wishes = Wishes { audio_fx: Some("echo"), video_fx: Some(""), ..Wishes::default() };
    let events = table("1\t0\tann\tfx_started\tface.preset\theat\n");
    let made = jobs(&run, &events, wishes).expect("a job");
    assert_eq!(made.len(), 1);
    assert_eq!(made[0].name, format!("{FIRST}audio-wet-render"));
    assert_eq!(made[0].notes.len(), 1, "{:?}", made[0].notes);
}

#[test]
fn a_run_of_free_keeps_its_rate() {
    let mut options = options(None, Some("agingtv"));
    options["recording_mode"] = "free".into();
    let jobs = jobs(&run(&options, &[dry(FIRST)]), &table(""), Wishes::default()).expect("a job");
    assert!(!jobs[0].is_constant());
    assert_eq!(jobs[0].video.as_ref().and_then(|video| video.from), None);
}

#[test]
fn what_cannot_be_rendered_is_told_in_a_sentence() {
    let plain = options(None, None);
    let pitched = options(Some("pitch name=voice"), None);
    let refusal = |run: &Manifest, rows: &str, wishes: Wishes<'_>| {
        jobs(run, &table(rows), wishes).expect_err("refused").to_string()
    };
    let any = Wishes::default();
    let files = [dry(FIRST), wet(FIRST)];
    let mut never = run(&pitched, &[]);
    never.started = None;
    assert!(refusal(&never, "", any).contains("never started"));
    let stranger = Wishes { participant: Some("eve"), ..any };
    assert!(refusal(&run(&pitched, &files), "", stranger).contains("\"eve\"; there were ann"));
    assert!(refusal(&run(&pitched, &[]), "", any).contains("no dry recordings"));
    let mut silent = pitched.clone();
    silent["recording_mode"] = "none".into();
    assert!(refusal(&run(&silent, &[]), "", any).contains("writes no files"));
    assert!(refusal(&run(&plain, &files), "", any).contains("no effects"));
    let foreign = "1\t0\tann\tfx_started\tface.hue\t1\n";
    assert!(refusal(&run(&pitched, &files), foreign, any).contains("line 2"));
    let mut other = dry(FIRST);
    other["user"] = "eve".into();
    assert!(refusal(&run(&pitched, &[other]), "", any).contains("nothing of its participant"));
    let wishes = Wishes { audio_fx: Some("pitch ! "), ..any };
    assert!(refusal(&run(&pitched, &files), "", wishes).contains("pitch !"));
    let mut odd = dry(FIRST);
    odd["tracks"][0]["codec"] = "av1".into();
    assert!(refusal(&run(&pitched, &[odd]), "", any).contains("\"av1\""));
}
