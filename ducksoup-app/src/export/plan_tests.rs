// SPDX-License-Identifier: MPL-2.0

use super::*;
use serde_json::{Value, json};

const SEC: u64 = 1_000_000_000;

fn options(user: &str, framerate: u32, audio_only: bool) -> Value {
    json!({
        "interaction": "dyad", "user": user, "namespace": "study", "duration": 10, "size": 2,
        "audio_only": audio_only, "width": 161, "height": 120, "framerate": framerate,
        "audio_fx": null, "video_fx": null, "video_format": "H264", "recording_mode": "forced",
        "gpu": false, "overlay": false,
    })
}

fn track(pad: &str, codec: &str, first: u64, last: u64) -> Value {
    json!({"pad": pad, "codec": codec, "first": first, "last": last, "gap-count": 1,
           "gaps": [{"from": 0, "to": first}]})
}

/// A file of `user` whose name says that it began at `stamp`.
fn file(user: &str, stamp: &str, ending: &str, tracks: &[Value]) -> Value {
    let name = format!("i-Ab12-a-20261121-{stamp}-s-study-n-dyad-u-{user}-c-1-{ending}");
    json!({"name": name, "user": user, "what": "dry", "bytes": 1, "sha256": "ab", "frames": 1,
           "samples": 1, "silence": 0, "complete": true, "tracks": tracks})
}

fn manifest(state: &str, files: &[Value]) -> Manifest {
    let manifest = json!({
        "id": "Ab12", "origin": "http://localhost", "namespace": "study", "interaction": "dyad",
        "version": "0.1.0", "gstreamer": "1.22.0", "state": state,
        "created": "2026-11-21T15:30:55Z", "started": "2026-11-21T15:30:57.838210481Z",
        "participants": {"ann": options("ann", 25, false), "b-ob": options("b-ob", 30, true)},
        "files": files,
    });
    serde_json::from_value(manifest).expect("a manifest")
}

fn both(last: u64) -> Vec<Value> {
    let tracks = [track("dry_video", "h264", SEC / 3, last), track("dry_audio", "opus", 0, last)];
    let wet = [track("wet_video", "h264", SEC / 3, last), track("wet_audio", "opus", 0, last)];
    vec![
        file("ann", "153057.838", "wet.mp4", &wet),
        file("ann", "153101.438", "dry.mp4", &tracks),
        file("ann", "153057.838", "dry.mp4", &tracks),
        file("b-ob", "153057.838", "audio-dry.ogg", &[track("dry_audio", "opus", SEC, last)]),
    ]
}

#[test]
fn the_files_of_all_connections_make_one_take_for_each_side() {
    let plan = plan(&manifest("ended", &both(6 * SEC)), Wishes::default()).expect("a plan");
    let takes: Vec<_> = plan
        .takes
        .iter()
        .map(|take| {
            let offsets = |sources: &[Source]| sources.iter().map(|s| s.offset).collect::<Vec<_>>();
            let size = take.picture.map(|size| size.to_string());
            (take.user.as_str(), take.side, size, offsets(&take.video), offsets(&take.audio))
        })
        .collect();
    let size = || Some("162x120".to_owned());
    // The name's milliseconds, less t0: at most one of them less than it was.
    let later = 3_599_789_519;
    assert_eq!(
        takes,
        [
            ("ann", Side::Dry, size(), vec![0, later], vec![0, later]),
            ("ann", Side::Wet, size(), vec![0], vec![0]),
            ("b-ob", Side::Dry, None, vec![], vec![0]),
        ]
    );
    let second = &plan.takes[0].video[1];
    assert_eq!((second.first, second.last), (later + SEC / 3, later + 6 * SEC));
    assert_eq!(second.gaps, [Gap { from: later, to: later + SEC / 3 }]);
    assert_eq!(plan.hashes.len(), 4);
}

#[test]
fn an_offset_in_the_manifest_wins_over_the_name() {
    let mut files = both(6 * SEC);
    files[1]["offset"] = (3_600_000_000_u64).into();
    let plan = plan(&manifest("ended", &files), Wishes::default()).expect("a plan");
    assert_eq!(plan.takes[0].video[1].offset, 3_600_000_000);
}

#[test]
fn all_outputs_of_a_run_have_the_length_of_its_timeline() {
    for (what, state, last, frames) in [
        ("as asked", "ended", 10 * SEC, 300),
        ("a little early", "ended", 10 * SEC - 40_000_000, 300),
        ("a little late", "ended", 10 * SEC + 34_382_748, 300),
        ("everyone left before", "ended", 7 * SEC, 210),
        ("interrupted just before the end", "interrupted", 9 * SEC + SEC / 2, 285),
    ] {
        let file = file("ann", "153057.838", "dry.mp4", &[track("dry_audio", "opus", 0, last)]);
        let plan = plan(&manifest(state, &[file]), Wishes::default()).expect(what);
        assert_eq!((plan.cut.from, plan.cut.frames, plan.cut.framerate), (0, frames, 30), "{what}");
        assert_eq!(plan.cut.samples(), frames * 1600, "{what}");
    }
}

#[test]
fn common_is_the_part_on_whole_slots_where_everyone_is_there() {
    let wishes = Wishes { common: true, framerate: Some(25), ..Wishes::default() };
    let common = plan(&manifest("ended", &both(6 * SEC)), wishes).expect("a plan");
    assert_eq!((common.cut.from, common.cut.frames), (SEC, 125));
    let away =
        |first| file("b-ob", "153057.838", "dry.ogg", &[track("dry_audio", "opus", first, first)]);
    let mut files = both(6 * SEC);
    files[3] = away(9 * SEC);
    let never = plan(&manifest("ended", &files), wishes);
    assert_eq!(never, Err(PlanError::NothingInCommon("Ab12".into())));
}

#[test]
fn wishes_win() {
    let size = "320x240".parse().expect("a size");
    let wishes = Wishes { framerate: Some(50), size: Some(size), common: false };
    let plan = plan(&manifest("ended", &both(10 * SEC)), wishes).expect("a plan");
    assert_eq!(plan.takes[0].picture, Some(size));
    assert_eq!(plan.cut.frames, 680);
    for wrong in ["320", "321x240", "0x0", "16x5000", "axb", "320x240x2", "-2x16"] {
        assert!(wrong.parse::<Size>().is_err(), "{wrong}");
    }
}

#[test]
fn what_no_run_of_ours_wrote_is_refused_in_a_sentence() {
    type Change = Box<dyn Fn(&mut Value)>;
    fn set(file: &mut Value, key: &str, value: &str) {
        file["tracks"][0][key] = value.into();
    }
    let name = |name: &'static str| move |file: &mut Value| file["name"] = name.into();
    let changes: [(&str, Change); 9] = [
        ("leads out", Box::new(name("i-Ab12-a-20261121-153057.838-/../../x.mp4"))),
        ("does not tell when", Box::new(name("holiday.mp4"))),
        ("does not tell when", Box::new(name("i-Ab12-a-20261121-1530ää-dry.mp4"))),
        ("does not tell when", Box::new(name("i-Ab12-a-20251121-153057.838-s-x-dry.mp4"))),
        ("neither mp4", Box::new(name("i-Ab12-a-20261121-153057.838-s-x-dry.avi"))),
        ("no participant", Box::new(|file| file["user"] = "eve".into())),
        ("another codec", Box::new(|file| set(file, "codec", "av1"))),
        ("neither dry nor wet", Box::new(|file| set(file, "pad", "my_video"))),
        ("no pad", Box::new(|file| set(file, "pad", "video"))),
    ];
    for (words, change) in changes {
        let mut files = both(6 * SEC);
        change(&mut files[1]);
        let sentence = plan(&manifest("ended", &files), Wishes::default()).expect_err(words);
        assert!(sentence.to_string().contains(words), "{sentence}");
    }
    let mut never = manifest("aborted", &[]);
    assert_eq!(plan(&never, Wishes::default()), Err(PlanError::NoRecordings("Ab12".into())));
    never.started = Some("yesterday".into());
    assert!(matches!(plan(&never, Wishes::default()), Err(PlanError::Started { .. })));
    for state in ["gathering", "running"] {
        never.state = state.into();
        assert_eq!(plan(&never, Wishes::default()), Err(PlanError::NotOver("Ab12".into())));
    }
    never.state = "aborted".into();
    never.started = None;
    assert_eq!(plan(&never, Wishes::default()), Err(PlanError::NotStarted("Ab12".into())));
    never.id = "../x".into();
    assert_eq!(plan(&never, Wishes::default()), Err(PlanError::Id("../x".into())));
}
