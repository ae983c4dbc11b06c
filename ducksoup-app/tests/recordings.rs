// SPDX-License-Identifier: MPL-2.0

//! Nothing lost: what a recording must hold when all goes well, and when processes die, disks are
//! full, participants vanish or fall silent. Packet by packet, from what was sent to what is in the
//! file; the program itself serves, and participants without a browser know what they have sent.

#![allow(missing_docs, clippy::unwrap_used)]

#[path = "recordings/files.rs"]
mod files;
#[path = "recordings/house.rs"]
mod house;
#[path = "recordings/media.rs"]
mod media;
#[path = "recordings/people.rs"]
mod people;
#[path = "support/program.rs"]
mod program;

use files::{assert_decodes, manifest, packets, recordings};
use gst::glib;
use house::{House, interaction, kill, run, snapshot, until};
use media::Codec;
use people::{Person, Track};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, MutexGuard, Once, PoisonError};
use std::time::{Duration, Instant};

/// What a crash may cost.
const LAST_SECOND: Duration = Duration::from_secs(1);
/// How well server and participant agree on when a packet was taken: what was taken just behind a file's
/// zero may be laid before it. Five packets of sound; two were too few on a busy machine.
const ON_ITS_WAY: Duration = Duration::from_millis(100);
/// From one keyframe to the next, in pictures.
const KEYFRAMES: u64 = 15;

/// One conversation after the other: they need the time that they take.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn init() {
    static INIT: Once = Once::new();
    INIT.call_once(|| {
        gst::init().unwrap();
        // rtpsession 1.22 warns of a race of its own, about once in fifty sessions.
        glib::log_set_always_fatal(glib::LogLevels::LEVEL_ERROR);
        ducksoup_signaller::plugin_register_static().unwrap();
    });
}

/// Two participants who talk: ann in H.264 and, with effects, ben in VP8 and without.
fn talk(house: &House, name: &str, duration: &str) -> (Person, Person) {
    let common = [("namespace", "study"), ("interaction", name), ("duration", duration)];
    let effects = [("audio-fx", "volume volume=0.5 name=v"), ("video-fx", "videoflip name=f")];
    let ann = Person::join(house.url(), "ann", Codec::H264, &[&common[..], &effects].concat());
    let ben = Person::join(house.url(), "ben", Codec::Vp8, &common);
    (ann, ben)
}

/// Where something of a conversation must be found.
struct Kept<'a> {
    /// The folder of the interaction.
    folder: &'a Path,
    /// What was sent before that must be there.
    to: Instant,
}

impl Kept<'_> {
    /// All that one has sent is in the dry recording of that connection.
    fn assert_holds(&self, person: &Person, user: &str, connection: u32) {
        for track in [&person.sound, &person.picture] {
            let path = dry(self.folder, user, connection);
            let lost = never_came(self.folder, user, track.media.codec);
            assert_holds(&path, files::zero(&path), track, self.to, lost);
        }
    }
}

/// A track in its recording: every packet (of pictures: from the first keyframe on) from the file's
/// zero to the last one before `to`, in order. `lost`: how many never reached the server, or
/// too late, as it has counted; a busy machine loses packets even on the way to itself.
fn assert_holds(path: &Path, zero: Instant, track: &Track, to: Instant, lost: u64) {
    let from = zero + ON_ITS_WAY;
    let codec = track.media.codec;
    let (sent, packets) = (track.sent(), packets(path, codec));
    let recorded: Vec<usize> = packets.iter().filter_map(|packet| packet.frame).collect();
    let story = format!("{} {codec:?}: {} packets", path.display(), recorded.len());
    let is_key = |frame: usize| codec == Codec::Opus || track.media.frames[frame].key;
    let first = recorded.first().copied().expect(&story);
    let first = sent.iter().position(|sent| sent.frame == first).expect(&story);
    let due = sent.iter().position(|sent| sent.of > from && is_key(sent.frame)).expect(&story);
    let last = sent.iter().rposition(|sent| sent.at < to).expect(&story);
    assert!(is_key(recorded[0]), "{story}: the first one is a keyframe");
    let missing: Vec<usize> = sent[first.min(due)..=last]
        .iter()
        .map(|sent| sent.frame)
        .filter(|frame| !recorded.contains(frame))
        .collect();
    let newest = sent.iter().find(|sent| Some(sent.frame) == recorded.last().copied());
    let before = to.saturating_duration_since(newest.expect(&story).at);
    let (due, missing_count) = (1 + last - first, missing.len());
    println!("{story}: {due} due, {missing_count} missing, {lost} lost, ends {before:?} too early");
    // A picture that was lost takes those with it that need it: up to the next keyframe.
    let taken = if codec == Codec::Opus { lost } else { lost * KEYFRAMES };
    assert!(
        missing.len() as u64 <= taken,
        "{story}: {missing:?} missing; recorded from {:?} on",
        recorded[0]
    );
    let mut order = recorded.clone();
    order.sort_unstable();
    order.dedup();
    assert_eq!(recorded, order, "{story}: in order, none twice");
    let times_rise = packets.windows(2).all(|pair| pair[0].time < pair[1].time);
    assert!(times_rise, "{story}: times rise");
}

/// The one dry file of a connection.
fn dry(folder: &Path, user: &str, count: u32) -> PathBuf {
    let files = recordings(folder, &format!("-u-{user}-c-{count}-dry."));
    assert_eq!(files.len(), 1, "{user} {count}: {files:?}");
    files[0].clone()
}

/// Every file of an interaction decodes, by ffmpeg and by `verify`.
fn assert_all_decode(working: &Path, folder: &Path, files: usize) -> String {
    let all = recordings(folder, "i-");
    assert_eq!(all.len(), files, "{all:?}");
    for path in &all {
        assert_decodes(path);
    }
    let output = run(working, &["verify", folder.to_str().unwrap()]);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    text
}

/// What the server has counted of a track: packets that did not come, or too late.
fn never_came(folder: &Path, user: &str, codec: Codec) -> u64 {
    let name = folder.file_name().unwrap().to_str().unwrap();
    let log = std::fs::read_to_string(folder.join(format!("{name}.log"))).unwrap();
    let entries = log.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let message = if codec == Codec::Opus { "audio_in_report" } else { "video_in_report" };
    let lost: Vec<u64> = entries
        .filter(|entry| entry["message"] == message && entry["user"] == user)
        .map(|entry| entry["lost"].as_u64().unwrap())
        .collect();
    assert!(!lost.is_empty(), "{user}: reports of {message}");
    lost.iter().sum()
}

/// Waits until the server has completed a run.
fn recovered(folder: &Path) -> Value {
    until("the run is recovered", || {
        let (_, manifest) = manifest(folder);
        manifest["recovered"]["time"].is_string().then_some(manifest)
    })
}

#[test]
fn every_packet_and_every_picture_is_recorded_whatever_size_it_has() {
    let _alone = alone();
    let working = tempfile::tempdir().unwrap();
    let house = House::open(working.path());
    let (ann, ben) = talk(&house, "whole", "7");
    let from = ann.starts();
    ann.told("end");
    ben.told("end");
    house.served.stop(Signal::TERM);
    let folder = &interaction(working.path(), "study", "whole");
    let kept = Kept { folder, to: from + Duration::from_secs(7) - LAST_SECOND };
    for (person, user) in [(&ann, "ann"), (&ben, "ben")] {
        kept.assert_holds(person, user, 1);
        // Three sizes, two seconds each.
        assert!(assert_decodes(&dry(folder, user, 1)).len() >= 3);
    }
    let table = assert_all_decode(working.path(), folder, 3);
    assert_eq!(table.matches(" good").count(), 3, "{table}");
    let (_, manifest) = manifest(folder);
    assert_eq!(manifest["state"], "ended");
    assert_eq!(manifest["recovered"], Value::Null);
}

/// When the last sign of life of each track reached the other one: a process that a busy machine has
/// not let work since then is not to blame for what it has not written.
fn last_heard(ann: &Person, ben: &Person) -> Instant {
    let heard = [ann.heard(), ben.heard()];
    let tracks = heard.iter().flat_map(|heard| heard.values().map(|(_, last)| *last));
    tracks.min().expect("they hear each other")
}

/// A moment that is another one in each run; by the first of them tracks have been reported of, on a busy machine too.
fn random_moment() -> Duration {
    Duration::from_millis(3_500 + u64::from(std::process::id()) % 2_000)
}

#[test]
fn a_process_that_is_killed_costs_the_last_second_and_its_run_is_completed_at_once() {
    let _alone = alone();
    let working = tempfile::tempdir().unwrap();
    let house = House::open(working.path());
    // Neighbours: a run that is over, files that are foreign, or look almost like ours.
    let data = working.path().join("data/study");
    std::fs::create_dir_all(data.join("killed/recordings")).unwrap();
    std::fs::create_dir_all(data.join("older/recordings")).unwrap();
    for (name, text) in [
        ("notes.txt", "mine"),
        ("killed/recordings/i-00000000-a-lookalike-dry.mp4", "not ours"),
        ("killed/recordings/holiday.mkv", "not ours either"),
        ("older/recordings/i-x-dry.mp4", "nobody's"),
        ("older/i-broken.json", "{\"id\": \"bro"),
    ] {
        std::fs::write(data.join(name), text).unwrap();
    }
    let (ann, ben) = talk(&house, "killed", "40");
    ann.starts();
    std::thread::sleep(random_moment());
    let folder = &house.interaction("study", "killed");
    let stage = house.stage("study", "killed");
    let neighbours = |snapshot: std::collections::BTreeMap<_, _>| {
        let own = |path: &PathBuf| {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            path.starts_with(folder)
                && (name.contains("study-n-killed")
                    || name.ends_with(".log")
                    || name.ends_with("-events.tsv")
                    || name.starts_with("i-") && name.ends_with(".json"))
        };
        snapshot.into_iter().filter(|(path, _)| !own(path)).collect::<Vec<_>>()
    };
    let before = neighbours(snapshot(&data));
    assert_eq!(before.len(), 5);
    kill(stage);
    let manifest = recovered(folder);
    assert_eq!(neighbours(snapshot(&data)), before, "neighbours");
    assert_eq!(manifest["state"], "interrupted");
    assert_eq!(manifest["recovered"]["version"], env!("CARGO_PKG_VERSION"));
    let files = manifest["files"].as_array().unwrap();
    assert_eq!(files.len(), 3);
    for file in files {
        assert_eq!(
            (&file["complete"], &file["recovered"]),
            (&false.into(), &true.into()),
            "{file}"
        );
        assert!(file["last"].as_u64() > Some(1_000_000_000), "{file}");
    }
    let kept = Kept { folder, to: last_heard(&ann, &ben) - LAST_SECOND };
    kept.assert_holds(&ann, "ann", 1);
    kept.assert_holds(&ben, "ben", 1);
    std::fs::remove_file(folder.join("recordings/holiday.mkv")).unwrap();
    std::fs::remove_file(folder.join("recordings/i-00000000-a-lookalike-dry.mp4")).unwrap();
    let table = assert_all_decode(working.path(), folder, 3);
    assert_eq!(table.matches("  recovered \n").count(), 3, "{table}");
    // The table of events is closed, at the end of the last file.
    let id = manifest["id"].as_str().unwrap();
    let events = std::fs::read_to_string(folder.join(format!("i-{id}-events.tsv"))).unwrap();
    let closing = events.lines().last().unwrap();
    assert!(closing.contains("\tinterrupted\t"), "{closing}");
    // The same folder again: nothing is left to be done.
    let again = run(working.path(), &["recover", folder.to_str().unwrap()]);
    assert_eq!(String::from_utf8_lossy(&again.stdout), "1 of 1 runs were whole\n");
    house.served.stop(Signal::TERM);
    let log = std::fs::read_to_string(working.path().join("server.log")).unwrap();
    assert!(log.contains("run_recovered"), "{log}");
}

#[test]
fn a_server_that_is_killed_is_completed_by_the_next_one_which_leaves_what_still_runs_alone() {
    let _alone = alone();
    let working = tempfile::tempdir().unwrap();
    let house = House::open(working.path());
    let (ann, ben) = talk(&house, "dead", "40");
    ann.starts();
    std::thread::sleep(random_moment());
    let folder = &house.interaction("study", "dead");
    // All at once: a stage whose server dies finishes its files by itself, and a server whose stage
    // dies sees to its run. So the server stands still first. (Stages cannot: they go on when their parent
    // dies, as POSIX wants it of orphans.)
    let server = Pid::from_raw(i32::try_from(house.served.pid()).unwrap()).unwrap();
    kill_process(server, Signal::STOP).unwrap();
    house.stages().into_iter().for_each(kill);
    kill(server);
    drop(house);
    // What a death in the middle of a write leaves.
    let torn = dry(folder, "ben", 1);
    let mut bytes = std::fs::read(&torn).unwrap();
    let tail = [&[0x1f, 0x43, 0xb6, 0x75, 1, 0, 0, 0, 0, 0, 0xff, 0xff][..], &[0; 700]].concat();
    bytes.extend(&tail);
    std::fs::write(&torn, bytes).unwrap();
    let empty = torn.with_file_name(
        torn.file_name().unwrap().to_str().unwrap().replace("-c-1-dry", "-c-1-wet"),
    );
    std::fs::write(&empty, "").unwrap();

    let next = House::open(working.path());
    let manifest = recovered(folder);
    assert_eq!(manifest["state"], "interrupted");
    assert!(!empty.exists(), "what was never written is no recording");
    let files = manifest["files"].as_array().unwrap();
    let cut: Vec<u64> = files.iter().filter_map(|file| file["cut"].as_u64()).collect();
    assert_eq!(cut.iter().sum::<u64>(), tail.len() as u64, "{files:?}");
    let kept = Kept { folder, to: last_heard(&ann, &ben) - LAST_SECOND };
    kept.assert_holds(&ann, "ann", 1);
    kept.assert_holds(&ben, "ben", 1);
    assert_all_decode(working.path(), folder, 3);
    drop((ann, ben));

    // A run that lives is nobody's to complete, whoever looks at its folder.
    let (ann, ben) = talk(&next, "alive", "8");
    ann.starts();
    ben.starts();
    let output = run(working.path(), &["recover", "data"]);
    let table = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success() && table.contains("still running"), "{table}");
    assert!(table.contains("1 of 2 runs were whole"), "{table}");
    ann.told("end");
    ben.told("end");
    next.served.stop(Signal::TERM);
    let folder = &interaction(working.path(), "study", "alive");
    assert_eq!(files::manifest(folder).1["state"], "ended");
    let table = assert_all_decode(working.path(), folder, 3);
    assert_eq!(table.matches(" good").count(), 3, "{table}");
}

#[test]
fn one_who_vanishes_and_comes_back_twice_has_three_whole_recordings() {
    let _alone = alone();
    let working = tempfile::tempdir().unwrap();
    let house = House::open(working.path());
    let (ann, ben) = talk(&house, "back", "14");
    let began = ann.starts();
    ben.starts();
    let folder = &house.interaction("study", "back");
    let mut present = ann;
    for connection in 1..=2 {
        std::thread::sleep(Duration::from_secs(3));
        let gone = present;
        let tracks = [gone.sound.clone(), gone.picture.clone()];
        let left = Instant::now();
        drop(gone);
        let common = [("namespace", "study"), ("interaction", "back"), ("duration", "14")];
        present = Person::join(house.url(), "ann", Codec::H264, &common);
        present.starts();
        for track in tracks {
            // What was sent in the last moments may not have left.
            let to = left - LAST_SECOND;
            let path = dry(folder, "ann", connection);
            let lost = never_came(folder, "ann", track.media.codec);
            assert_holds(&path, files::zero(&path), &track, to, lost);
        }
    }
    ben.told("end");
    house.served.stop(Signal::TERM);
    let kept = Kept { folder, to: began + Duration::from_secs(14) - LAST_SECOND };
    kept.assert_holds(&ben, "ben", 1);
    assert_all_decode(working.path(), folder, 5);
}

#[test]
fn a_camera_and_a_microphone_that_fall_silent_hold_nothing_back() {
    let _alone = alone();
    let working = tempfile::tempdir().unwrap();
    let house = House::open(working.path());
    let (ann, ben) = talk(&house, "silent", "16");
    let from = ann.starts();
    ben.starts();
    let folder = &house.interaction("study", "silent");
    std::thread::sleep(Duration::from_secs(2));
    ann.picture.set_silent(true);
    ben.sound.set_silent(true);
    std::thread::sleep(Duration::from_secs(9));
    // What a crash would leave now.
    let crashed = working.path().join("crashed");
    std::fs::create_dir(&crashed).unwrap();
    let now = Instant::now();
    let mut copies = Vec::new();
    for (user, track) in [("ann", &ann.sound), ("ben", &ben.picture)] {
        let path = dry(folder, user, 1);
        let copy = crashed.join(path.file_name().unwrap());
        std::fs::copy(&path, &copy).unwrap();
        files::drop_torn_piece(&copy);
        copies.push((copy, files::zero(&path), track));
    }
    std::thread::sleep(Duration::from_secs(1));
    ann.picture.set_silent(false);
    ben.sound.set_silent(false);
    for (copy, zero, track) in copies {
        let user = if track.media.codec == Codec::Opus { "ann" } else { "ben" };
        let lost = never_came(folder, user, track.media.codec);
        assert_holds(&copy, zero, track, now - LAST_SECOND, lost);
        assert_decodes(&copy);
    }
    ann.told("end");
    ben.told("end");
    house.served.stop(Signal::TERM);
    let kept = Kept { folder, to: from + Duration::from_secs(16) - LAST_SECOND };
    kept.assert_holds(&ann, "ann", 1);
    kept.assert_holds(&ben, "ben", 1);
    assert_all_decode(working.path(), folder, 3);
    // Ten seconds of silence stand in the place of sound, and of pictures there is a gap.
    let (_, manifest) = manifest(folder);
    let dry = |user: &str| {
        let mut files = manifest["files"].as_array().unwrap().iter();
        files.find(|file| file["user"] == user && file["what"] == "dry").unwrap().clone()
    };
    assert!(dry("ben")["silence"].as_u64().unwrap() > 9 * 48_000, "{}", dry("ben"));
    let tracks = dry("ann")["tracks"].clone();
    let gaps = tracks.as_array().unwrap().iter().find(|t| t["pad"] == "dry_video").unwrap()["gaps"]
        .clone();
    let long =
        |gap: &&Value| gap["to"].as_u64().unwrap() - gap["from"].as_u64().unwrap() > 9_000_000_000;
    assert!(gaps.as_array().unwrap().iter().any(|gap| long(&gap)), "{gaps}");
}

#[test]
fn a_server_that_dies_alone_leaves_stages_that_finish_their_files() {
    let _alone = alone();
    let working = tempfile::tempdir().unwrap();
    let house = House::open(working.path());
    let (ann, ben) = talk(&house, "orphan", "40");
    ann.starts();
    std::thread::sleep(random_moment());
    let folder = &house.interaction("study", "orphan");
    let stage = house.stage("study", "orphan");
    kill(Pid::from_raw(i32::try_from(house.served.pid()).unwrap()).unwrap());
    drop(house);
    until("the stage has ended", || house::is_gone(stage).then_some(()));
    let (_, manifest) = manifest(folder);
    assert_eq!((&manifest["state"], &manifest["recovered"]), (&"interrupted".into(), &Value::Null));
    let kept = Kept { folder, to: last_heard(&ann, &ben) - LAST_SECOND };
    kept.assert_holds(&ann, "ann", 1);
    kept.assert_holds(&ben, "ben", 1);
    let table = assert_all_decode(working.path(), folder, 3);
    assert_eq!(table.matches(" good").count(), 3, "{table}");
}

/// Runs a test again as one who may mount: the superuser as it is, others in a world of their own.
/// What is mounted goes with the process.
fn with_mounts(test: &str, body: impl FnOnce()) {
    const VARIABLE: &str = "RECORDINGS_TEST_MOUNTS";
    if std::env::var_os(VARIABLE).is_some() {
        return body();
    }
    let root = rustix::process::getuid().is_root();
    let output = Command::new("unshare")
        .arg(if root { "-m" } else { "-Urm" })
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture"])
        .env(VARIABLE, "1")
        .output()
        .expect("unshare runs");
    let [out, error] =
        [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned());
    println!("{out}");
    assert!(output.status.success(), "a full disk needs a mount of its own:\n{out}\n{error}");
}

fn mount(arguments: &[&str]) {
    let status = Command::new("mount").args(arguments).status().expect("mount runs");
    assert!(status.success(), "mount {arguments:?}");
}

#[test]
fn a_full_disk_ends_recordings_and_no_conversation() {
    let _alone = alone();
    with_mounts("a_full_disk_ends_recordings_and_no_conversation", || {
        let working = tempfile::tempdir().unwrap();
        let data = working.path().join("data");
        std::fs::create_dir(&data).unwrap();
        let disk = data.to_str().unwrap();
        mount(&["-t", "tmpfs", "-o", "size=600k", "none", disk]);
        let house = House::open(working.path());
        let (ann, ben) = talk(&house, "full", "12");
        let began = ann.starts();
        ben.starts();
        let folder = &house.interaction("study", "full");
        until("the disk is full", || {
            let about = rustix::fs::statvfs(&data).unwrap();
            (about.f_bfree == 0).then_some(())
        });
        let full = Instant::now();
        ann.told("end");
        ben.told("end");
        let over = began + Duration::from_secs(12);
        assert!(over > full + Duration::from_secs(2), "full too late to tell");
        for person in [&ann, &ben] {
            let heard = person.heard();
            assert_eq!(heard.len(), 2, "{heard:?}");
            for (pad, (packets, last)) in heard {
                assert!(last > over - LAST_SECOND, "{pad}: {packets} packets, then none");
            }
        }
        house.served.stop(Signal::TERM);
        // Every file opens and says what it holds, though nothing can be written any more.
        let files = recordings(folder, "i-");
        assert_eq!(files.len(), 3, "{files:?}");
        for path in &files {
            assert_decodes(path);
        }
        let assert_told = |manifest: &Value| {
            assert_eq!(manifest["state"], "ended", "the conversation did");
            let files = manifest["files"].as_array().unwrap();
            assert_eq!(files.len(), 3, "{files:?}");
            for file in files {
                assert_eq!(file["complete"], false, "{file}");
                assert!(file["last"].as_u64() > Some(1_000_000_000), "{file}");
            }
        };
        assert_told(&files::manifest(folder).1);
        // There is room again.
        mount(&["-o", "remount,size=64m", disk]);
        let next = House::open(working.path());
        let manifest = recovered(folder);
        next.served.stop(Signal::TERM);
        assert_told(&manifest);
        let log = std::fs::read_to_string(folder.join("full.log")).unwrap();
        for line in log.lines() {
            assert!(serde_json::from_str::<Value>(line).is_ok(), "{line}");
        }
        assert_all_decode(working.path(), folder, 3);
    });
}
