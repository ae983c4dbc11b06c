// SPDX-License-Identifier: MPL-2.0

//! `ducksoup-app render` on what a real server recorded of two participants: what comes out is
//! decoded by ffmpeg and held against what was recorded while they talked.

#[path = "support/program.rs"]
mod program;

use gst::prelude::*;
use program::{Served, ended, program};
use rustix::process::Signal;
use std::f64::consts::PI;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Mutex, Once, PoisonError};
use std::time::Duration;
use tempfile::TempDir;

/// Longest wait for anything. Generous: the machine may be busy.
const LIMIT: Duration = Duration::from_secs(120);
const RATE: f64 = 48_000.0;
/// Of the conversation, in s.
const DURATION: usize = 8;
/// Pictures a second.
const FRAMERATE: usize = 25;
/// What Ann says.
const TONE: f64 = 440.0;

fn init() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        gst::init().expect("GStreamer starts");
        ducksoup_signaller::plugin_register_static().expect("registered");
        gstducksoup::plugin_register_static().expect("registered");
    });
}

/// What a participant hears of the server and of its own sound.
enum Word {
    Said(String),
    /// A packet of sound was sent.
    Sound,
}

/// Someone who talks.
struct Talker {
    pipeline: gst::Pipeline,
    peer: gst::Element,
    words: Receiver<Word>,
}

impl Talker {
    fn join(server: &Served, user: &str, format: &str, options: &str) -> Self {
        let text = format!(
            "audiotestsrc is-live=true freq={TONE} volume=0.3 samplesperbuffer=960
               ! audio/x-raw,rate=48000,channels=1 ! identity name=mouth
               ! ducksouppeer name=p connect-timeout=60000
                 signaller::uri=ws://localhost:{}/ws signaller::interaction=dyad
                 signaller::namespace=study signaller::user={user} signaller::size=2
                 signaller::duration={DURATION} signaller::width=160 signaller::height=120
                 signaller::framerate={FRAMERATE} signaller::video-format={format} {options}
             videotestsrc is-live=true pattern=solid-color foreground-color=0xff4060c0
               ! video/x-raw,width=160,height=120,framerate={FRAMERATE}/1 ! p.video_sink",
            server.port
        );
        let pipeline = gst::parse::launch(&text).expect("a participant");
        let pipeline: gst::Pipeline = pipeline.downcast().expect("a pipeline");
        let (to, words) = channel();
        listen(&pipeline, &to);
        let mouth = pipeline.by_name("mouth").and_then(|mouth| mouth.static_pad("src"));
        mouth.expect("a pad").add_probe(gst::PadProbeType::BUFFER, move |_, _| {
            let _ = to.send(Word::Sound);
            gst::PadProbeReturn::Ok
        });
        let peer = pipeline.by_name("p").expect("the peer");
        pipeline.set_state(gst::State::Playing).expect("it plays");
        Self { pipeline, peer, words }
    }

    /// Waits until the server has said a word.
    fn until(&self, wanted: &str) {
        loop {
            match self.words.recv_timeout(LIMIT).expect("in time") {
                Word::Said(word) if word == wanted => return,
                Word::Said(word) => assert!(!word.starts_with("error"), "{word}"),
                Word::Sound => {}
            }
        }
    }

    /// Talks on for so long, by its own sound.
    fn talk(&self, milliseconds: usize) {
        for _ in 0..milliseconds / 20 {
            while !matches!(self.words.recv_timeout(LIMIT).expect("in time"), Word::Sound) {}
        }
    }

    fn control(&self, name: &str, property: &str, value: f64, milliseconds: u32) {
        let nobody = None::<String>;
        let arguments: [&dyn ToValue; 5] = [&name, &property, &value, &milliseconds, &nobody];
        self.peer.emit_by_name_with_values("control-fx", &arguments.map(ToValue::to_value));
    }
}

impl Drop for Talker {
    fn drop(&mut self) {
        let _ = self.pipeline.set_state(gst::State::Null);
    }
}

fn listen(pipeline: &gst::Pipeline, to: &Sender<Word>) {
    let to = to.clone();
    pipeline.bus().expect("a bus").set_sync_handler(move |_, message| {
        let word = match message.view() {
            gst::MessageView::Error(error) => Some(format!("error: {error:?}")),
            gst::MessageView::Element(element) => element.structure().and_then(|structure| {
                structure.name().strip_prefix("ducksouppeer-").map(str::to_owned)
            }),
            _ => None,
        };
        if let Some(word) = word {
            let _ = to.send(Word::Said(word));
        }
        gst::BusSyncReply::Drop
    });
}

/// One conversation at a time: three of them are too many for a small machine to hold in time.
static TALKING: Mutex<()> = Mutex::new(());

/// Two participants talk, and Ann's voice and face are changed; gives the interaction's folder.
fn conversation(data: &Path, format: &str, mode: &str) -> PathBuf {
    init();
    let _talking = TALKING.lock().unwrap_or_else(PoisonError::into_inner);
    let served = Served::start(program(
        data,
        &[
            ("DUCKSOUP_MODE", "DEV"),
            ("DUCKSOUP_PORT", "0"),
            ("DUCKSOUP_STUN_SERVER_URLS", "false"),
            ("DUCKSOUP_ABORT_DELAY", "60"),
            // A busy machine is no reason to lose a packet.
            ("DUCKSOUP_JITTER_BUFFER", "2000"),
        ],
    ));
    let options = format!("signaller::recording-mode={mode}");
    let effects = "signaller::audio-fx=\"pitch name=voice\" \
                   signaller::video-fx=\"videobalance name=face\"";
    let ann = Talker::join(&served, "ann", format, &format!("{options} {effects}"));
    ann.until("joined");
    let ben = Talker::join(&served, "ben", format, &options);
    ann.until("other-joined");
    // Before t0, and it must hold after it.
    ann.control("face", "brightness", 0.2, 0);
    ann.until("start");
    ann.talk(1000);
    ann.control("voice", "pitch", 1.5, 2000);
    ann.control("face", "hue", 0.6, 2000);
    // Interrupts both half way.
    ann.talk(1000);
    ann.control("voice", "pitch", 0.8, 2000);
    ann.control("face", "hue", -0.4, 1000);
    ann.talk(3000);
    ann.control("face", "saturation", 0.3, 0);
    ann.until("end");
    drop((ann, ben));
    served.stop(Signal::TERM);
    data.join("data/study/dyad")
}

/// Whether Ann's media came late or not at all, as they do on a machine that has other things to do: then
/// her dry file is not quite what her effects were given.
fn disturbed(folder: &Path) -> bool {
    let table = std::fs::read_to_string(file(folder, "-events.tsv")).expect("a table");
    table.lines().skip(1).any(|line| {
        let columns: Vec<_> = line.split('\t').collect();
        let onset: f64 = columns[0].parse().expect("a time");
        onset > 0.5 && columns[2] == "ann" && ["time_corrected", "gap"].contains(&columns[3])
    })
}

/// A conversation that nothing disturbed, or else a second one.
fn quiet_conversation(format: &str, mode: &str) -> (TempDir, PathBuf) {
    let hold = || {
        let data = TempDir::new().expect("a folder");
        let folder = conversation(data.path(), format, mode);
        (data, folder)
    };
    let (data, folder) = hold();
    if disturbed(&folder) { hold() } else { (data, folder) }
}

fn render(data: &Path, arguments: &[&str]) -> Output {
    let mut command = program(data, &[]);
    command.arg("render").arg("data/study/dyad").args(arguments);
    ended(command.spawn().expect("it starts"))
}

fn text(output: &Output) -> String {
    let [out, error] = [&output.stdout, &output.stderr];
    format!("{}{}", String::from_utf8_lossy(out), String::from_utf8_lossy(error))
}

/// The one file of a folder whose name ends so.
fn file(folder: &Path, ending: &str) -> PathBuf {
    let names: Vec<_> = std::fs::read_dir(folder)
        .expect("a folder")
        .map(|entry| entry.expect("readable").path())
        .collect();
    let fits = |path: &&PathBuf| path.to_string_lossy().ends_with(ending);
    names.iter().find(fits).unwrap_or_else(|| panic!("no {ending} among {names:?}")).clone()
}

/// Runs ffmpeg or ffprobe, which must have nothing to complain about.
fn quietly(name: &str, path: &Path, before: &[&str], after: &[&str]) -> Vec<u8> {
    let mut command = Command::new(name);
    command.args(["-v", "error"]).args(before).arg("-i").arg(path).args(after);
    let output = command.output().expect("it is installed");
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && complaint.is_empty(), "{}: {complaint}", path.display());
    output.stdout
}

fn sound(path: &Path) -> Vec<f64> {
    let after = ["-map", "0:a", "-ac", "1", "-ar", "48000", "-f", "f32le", "-"];
    let bytes = quietly("ffmpeg", path, &["-xerror"], &after);
    let words = bytes.chunks_exact(4).map(|word| word.try_into().expect("four bytes"));
    words.map(|word| f64::from(f32::from_le_bytes(word))).collect()
}

/// The mean of Y, U and V of each picture, and when it is shown (ms).
fn colours(path: &Path) -> Vec<(i64, [f64; 3])> {
    let entries = ["-select_streams", "v", "-show_entries", "frame=pts_time", "-of", "csv=p=0"];
    let times = String::from_utf8(quietly("ffprobe", path, &entries, &[])).expect("text");
    // An empty line follows a picture with side data.
    let times = times.lines().filter(|line| !line.is_empty()).map(|line| {
        let seconds: f64 = line.trim_end_matches(',').parse().expect("a time");
        #[allow(clippy::cast_possible_truncation)]
        let milliseconds = (seconds * 1000.0).round() as i64;
        milliseconds
    });
    let after = [
        "-map",
        "0:v",
        "-fps_mode",
        "passthrough",
        "-vf",
        "scale=8:8",
        "-pix_fmt",
        "yuv444p",
        "-f",
        "rawvideo",
        "-",
    ];
    let bytes = quietly("ffmpeg", path, &["-xerror"], &after);
    let pictures = bytes.chunks_exact(3 * 64).map(|picture| {
        let plane = |number: usize| {
            let plane = &picture[number * 64..(number + 1) * 64];
            plane.iter().map(|value| f64::from(*value)).sum::<f64>() / 64.0
        };
        [plane(0), plane(1), plane(2)]
    });
    times.zip(pictures).collect()
}

/// The frequency of a tone around a time (s), by its periods in 60 ms: those that are neither the
/// shortest nor the longest, for `pitch` cuts a period in two where it joins pieces.
fn frequency(sound: &[f64], at: f64) -> f64 {
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let start = ((at - 0.03) * RATE) as usize;
    let part = &sound[start..start + 2880];
    let rises: Vec<f64> = part
        .windows(2)
        .enumerate()
        .filter(|(_, pair)| pair[0] < 0.0 && pair[1] >= 0.0)
        .map(|(place, pair)| place as f64 + pair[0] / (pair[0] - pair[1]))
        .collect();
    let mut periods: Vec<f64> = rises.windows(2).map(|pair| pair[1] - pair[0]).collect();
    periods.sort_by(f64::total_cmp);
    let middle = &periods[periods.len() / 4..periods.len() * 3 / 4];
    assert!(!middle.is_empty(), "no tone at {at} s");
    middle.len() as f64 * RATE / middle.iter().sum::<f64>()
}

fn assert_same_sound(recorded: &Path, rendered: &Path) {
    let (old, new) = (sound(recorded), sound(rendered));
    let seconds = |sound: &[f64]| sound.len() as f64 / RATE;
    assert!((seconds(&old) - seconds(&new)).abs() < 0.03, "{} {}", seconds(&old), seconds(&new));
    // While nothing moves, the tone is the same.
    for at in [0.5, 4.5, 5.0, 5.5] {
        let (old, new) = (frequency(&old, at), frequency(&new, at));
        assert!((new / old - 1.0).abs() < 0.01, "{old} Hz and {new} Hz at {at} s");
    }
    assert!((frequency(&new, 0.5) / TONE - 1.0).abs() < 0.01, "the voice as it was");
    assert!((frequency(&new, 5.5) / (0.8 * TONE) - 1.0).abs() < 0.01, "and as it was made");
    // The ramp is the same one, at the same time and where the log says. `pitch` takes a new value
    // with each piece of some 60 ms that it cuts, so its way is a staircase: what counts is the mean
    // of many steps.
    let folder = rendered.parent().and_then(Path::parent).expect("the interaction's folder");
    let table = std::fs::read_to_string(file(folder, "-events.tsv")).expect("a table");
    let began = table.lines().find(|line| line.contains("fx_started\tvoice.pitch"));
    let began: f64 = began.and_then(|line| line.split('\t').next()?.parse().ok()).expect("a time");
    let times = (0..60).map(|step| began + 0.1 + f64::from(step) * 0.0125);
    let (mut shift, mut late, mut worst) = (0.0, 0.0, 0.0);
    for at in times {
        let (old, new) = (frequency(&old, at), frequency(&new, at));
        // From 1 to 1.5 within 2 s.
        let slope = 0.25 * TONE;
        let wanted = TONE + slope * (at - began);
        shift += (old - new) / slope / 60.0;
        late += (wanted - new) / slope / 60.0;
        worst = f64::max(worst, (new / old - 1.0).abs());
    }
    assert!(shift.abs() <= 0.010 && worst <= 0.01, "{shift} s later, {worst} apart");
    // `pitch` sounds a little before its time, by less than one piece (SoundTouch: 82 ms at most).
    assert!(late.abs() < 0.09, "{late} s later than the log says");
}

fn assert_same_pictures(recorded: &Path, rendered: &Path) {
    let (old, new) = (colours(recorded), colours(rendered));
    assert_eq!(new.len(), DURATION * FRAMERATE, "pictures rendered");
    assert!(old.len().abs_diff(new.len()) <= 2, "{} pictures recorded", old.len());
    let (mut far, mut pairs) = (0, 0);
    for (at, old) in &old {
        let Some((_, new)) = new.iter().find(|(then, _)| at.abs_diff(*then) <= 1) else { continue };
        pairs += 1;
        let apart = (0..3).map(|plane| (old[plane] - new[plane]).abs()).fold(0.0, f64::max);
        // A picture of a ramp may be in the slot beside its own, all through it.
        assert!(apart < 12.0, "{apart} of 255 at {at} ms: {old:?} {new:?}");
        far += usize::from(apart > 6.0);
    }
    assert!(pairs + 2 >= new.len(), "{pairs} pictures at the same times");
    assert!(far <= pairs / 20, "{far} of {pairs} pictures have another colour");
    let hue = |picture: &[f64; 3]| (picture[1] - 128.0).atan2(picture[2] - 128.0) / PI * 180.0;
    let turn = (hue(&new[10].1) - hue(&new[120].1)).abs();
    assert!(turn > 40.0, "the colour has turned by {turn} degrees");
}

/// What two files, a recorded and a rendered one, must be alike in.
type Alike = &'static [fn(&Path, &Path)];

/// What a conversation left is rendered, and is as it was recorded: for each file its ending and how it is read.
fn is_rendered(format: &str, mode: &str, files: &[(&str, Alike)]) {
    let (data, folder) = quiet_conversation(format, mode);
    let output = render(data.path(), &["--compare"]);
    let said = text(&output);
    // A busy machine sends its first seconds late; while the timeline is moved to where they belong, the
    // dry file has short silences that the call had not, and the reviewer is told of softer seconds.
    let differs = said.lines().filter(|line| line.starts_with("DIFFERS"));
    let differs: Vec<_> = differs.filter(|line| !line.contains("the levels are")).collect();
    assert!(differs.is_empty(), "{said}");
    assert_eq!(output.status.success(), !said.contains("DIFFERS"), "{said}");
    assert_eq!(said.matches("none further off than 0.").count(), 4, "of all properties: {said}");
    assert!(!said.contains("u-ben"), "nothing of Ben's was changed: {said}");
    for (ending, same) in files {
        let (what, container) = ending.split_once('.').expect("an ending");
        let recorded = file(&folder.join("recordings"), &format!("u-ann-c-1-{ending}"));
        let name = format!("u-ann-c-1-{what}-render.{container}");
        let rendered = file(&folder.join("render"), &name);
        for same in *same {
            same(&recorded, &rendered);
        }
    }
    let left = std::fs::read_dir(folder.join("render")).expect("a folder").count();
    assert_eq!(left, files.len(), "nothing else is left there");
    // What is there is not replaced.
    let output = render(data.path(), &[]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output).contains("is there already"), "{}", text(&output));
    // Another manipulation than the logged one is told.
    let table = file(&folder, "-events.tsv");
    let log = std::fs::read_to_string(&table).expect("a table");
    let other = log.replace("\tvoice.pitch\t0.8", "\tvoice.pitch\t0.9").replace("\t-0.4", "\t0.1");
    assert_ne!(log, other);
    std::fs::write(data.path().join("other.tsv"), other).expect("written");
    let arguments = ["--compare", "--events", "other.tsv", "--output", "elsewhere"];
    let output = render(data.path(), &arguments);
    assert_eq!(output.status.code(), Some(1), "{}", text(&output));
    assert!(text(&output).contains("DIFFERS: second 5"), "{}", text(&output));
}

#[test]
fn what_was_done_in_h264_is_done_again() {
    is_rendered("H264", "forced", &[("wet.mp4", &[assert_same_sound, assert_same_pictures])]);
}

#[test]
fn what_was_done_in_vp8_in_separate_files_is_done_again() {
    let files: &[(&str, Alike)] =
        &[("audio-wet.ogg", &[assert_same_sound]), ("video-wet.mkv", &[assert_same_pictures])];
    is_rendered("VP8", "split", files);
}

/// A folder as a run leaves it, by hand: 4 s of a tone and of a grey picture, dry only.
struct Old {
    data: TempDir,
    folder: PathBuf,
    manifest: serde_json::Value,
}

const DRY: &str = "i-Ab12-a-20261121-101718.045-s-study-n-dyad-u-ann-c-1-dry.mp4";

impl Old {
    fn new() -> Self {
        let data = TempDir::new().expect("a folder");
        let folder = data.path().join("data/study/dyad");
        std::fs::create_dir_all(folder.join("recordings")).expect("made");
        let track = |pad: &str, codec: &str, first: u64| {
            serde_json::json!({
                "pad": pad, "codec": codec, "first": first, "last": 4_000_000_000_u64,
                "gap-count": 0, "gaps": []
            })
        };
        let manifest = serde_json::json!({
            "id": "Ab12", "origin": "http://localhost", "namespace": "study",
            "interaction": "dyad", "version": "0", "gstreamer": "1.22", "state": "ended",
            "created": "2026-11-21T10:17:00Z", "started": "2026-11-21T10:17:18.045Z",
            "participants": {"ann": {
                "interaction": "dyad", "user": "ann", "namespace": "study", "duration": 4,
                "size": 1, "audio_only": false, "width": 160, "height": 120, "framerate": 25,
                "audio_fx": null, "video_fx": null, "video_format": "H264",
                "recording_mode": "passthrough", "gpu": false, "overlay": false
            }},
            "files": [{
                "path": format!("study/dyad/recordings/{DRY}"), "name": DRY, "user": "ann",
                "what": "dry", "bytes": 1, "sha256": "", "frames": 90, "samples": 192_000,
                "silence": 0, "complete": true,
                "tracks": [
                    track("dry_video", "h264", 400_000_000), track("dry_audio", "opus", 0)
                ]
            }]
        });
        let old = Self { data, folder, manifest };
        old.write();
        old.write_table("");
        old
    }

    fn write(&self) {
        let text = serde_json::to_vec(&self.manifest).expect("JSON");
        std::fs::write(self.folder.join("i-Ab12.json"), text).expect("written");
    }

    fn write_table(&self, rows: &str) {
        let text = format!("onset\tduration\tparticipant\ttype\ttarget\tvalue\n{rows}");
        std::fs::write(self.folder.join("i-Ab12-events.tsv"), text).expect("written");
    }

    /// The dry file: its picture begins, and changes its size half way, as a browser's does.
    fn record(&self) {
        init();
        let name = self.manifest["files"][0]["name"].as_str().expect("a name");
        let prefix = name.trim_end_matches("-dry.mp4");
        let encoder = "x264enc tune=zerolatency speed-preset=ultrafast";
        let text = format!(
            "experimentrecorder name=r origin=400000000 folder={} prefix={prefix}
             concat name=c ! r.dry_video
             videotestsrc num-buffers=40 pattern=solid-color foreground-color=0xff808080
               timestamp-offset=800000000
               ! video/x-raw,format=I420,width=160,height=120,framerate=25/1 ! {encoder} ! c.
             videotestsrc num-buffers=50 pattern=solid-color foreground-color=0xff808080
               ! video/x-raw,format=I420,width=96,height=72,framerate=25/1 ! {encoder} ! c.
             audiotestsrc num-buffers=220 samplesperbuffer=960 freq={TONE} volume=0.3
               ! audio/x-raw,rate=48000,channels=1 ! opusenc ! r.dry_audio",
            self.folder.join("recordings").display()
        );
        let pipeline = gst::parse::launch(&text).expect("a pipeline");
        pipeline.set_state(gst::State::Playing).expect("it plays");
        let limit = gst::ClockTime::from_seconds(LIMIT.as_secs());
        let kinds = [gst::MessageType::Eos, gst::MessageType::Error];
        let message = pipeline.bus().expect("a bus").timed_pop_filtered(limit, &kinds);
        pipeline.set_state(gst::State::Null).expect("it stops");
        let message = message.expect("in time");
        assert_eq!(message.type_(), gst::MessageType::Eos, "{message:?}");
        assert!(self.folder.join("recordings").join(name).exists());
    }

    /// What it says when it fails, which it must.
    fn refusal(&self, arguments: &[&str]) -> String {
        let output = render(self.data.path(), arguments);
        let said = text(&output);
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(output.stdout.is_empty() && !said.contains("panicked"), "{said}");
        let sentences = said.lines().filter(|line| !line.starts_with("rendering"));
        let sentences: Vec<_> = sentences.collect();
        assert!(matches!(sentences[..], [one] if one.starts_with("ducksoup-app")), "{said}");
        let made = self.folder.join("render");
        assert!(!made.exists() || made.read_dir().expect("a folder").next().is_none());
        said
    }
}

#[test]
fn a_stimulus_is_made_from_an_old_recording() {
    let old = Old::new();
    old.record();
    std::fs::write(
        old.data.path().join("mine.tsv"),
        "onset\tduration\tparticipant\ttype\ttarget\tvalue\tshape\n\
         -1\t0\tann\tfx_started\tloud.volume\t0.5\tlinear\n\
         1\t1\tn/a\tfx_started\tloud.volume\t0.05\texponential\n\
         2\t0\tann\tfx_started\tface.brightness\t0.4\tn/a\n",
    )
    .expect("written");
    let arguments = [
        "--audio-fx",
        "volume name=loud",
        "--video-fx",
        "videobalance name=face brightness=-0.4",
        "--events",
        "mine.tsv",
        "--output",
        "stimuli",
    ];
    let output = render(old.data.path(), &arguments);
    assert!(output.status.success(), "{}", text(&output));
    let made = file(&old.data.path().join("stimuli"), "u-ann-c-1-wet-render.mp4");
    let pictures = colours(&made);
    assert_eq!(pictures.len(), 100, "4 s at 25 a second, from t0 on");
    for (number, (at, [luma, ..])) in (0..).zip(&pictures) {
        assert_eq!(*at, number * 40);
        // 0x80 is 126; 0.4 of 255 is 102.
        let wanted = if number < 50 { 24.0 } else { 228.0 };
        assert!((luma - wanted).abs() < 6.0, "{luma} at {at} ms");
    }
    let sound = sound(&made);
    let level = |at: f64| {
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let start = (at * RATE) as usize;
        let squares: f64 = sound[start..start + 1920].iter().map(|sample| sample * sample).sum();
        (2.0 * squares / 1920.0).sqrt()
    };
    // A codec that begins inside a stream needs a while. audiotestsrc's 0.3, from half of it down to a twentieth, by equal ratios.
    for (at, wanted) in [(0.3, 0.15), (0.9, 0.15), (1.48, 0.0474), (2.1, 0.015), (3.8, 0.015)] {
        let level = level(at);
        assert!((level / wanted - 1.0).abs() < 0.1, "{level} instead of {wanted} at {at} s");
    }
}

#[test]
fn a_file_of_who_came_back_lies_on_the_grid_of_the_run() {
    let mut old = Old::new();
    // 1.51 s after t0.
    let name = "i-Ab12-a-20261121-101719.555-s-study-n-dyad-u-ann-c-2-dry.mp4";
    old.manifest["files"][0]["name"] = name.into();
    old.manifest["participants"]["ann"]["duration"] = 6.into();
    old.manifest["participants"]["ann"]["video_fx"] = "videobalance name=face".into();
    old.manifest["participants"]["ann"]["recording_mode"] = "forced".into();
    old.write();
    old.write_table(
        "-0.5\tn/a\tann\tjoined\tn/a\t1\n\
         0.5\t0\tann\tfx_started\tface.brightness\t0.4\n\
         1.3\tn/a\tann\tjoined\tn/a\t2\n\
         3.51\t0\tann\tfx_started\tface.brightness\t-0.4\n",
    );
    old.record();
    let output = render(old.data.path(), &[]);
    assert!(output.status.success(), "{}", text(&output));
    let pictures = colours(&file(&old.folder.join("render"), "u-ann-c-2-wet-render.mp4"));
    // Slots from 1.52 s to 6 s.
    assert_eq!(pictures.len(), 112);
    for (number, (at, [luma, ..])) in (0..).zip(&pictures) {
        assert_eq!(*at, 10 + number * 40);
        // What was done before it came back is gone; 3.51 s of the run is 2 s of the file.
        let wanted = if *at < 1990 { 126.0 } else { 24.0 };
        assert!((luma - wanted).abs() < 6.0, "{luma} at {at} ms");
    }
}

#[test]
fn a_run_without_a_constant_rate_keeps_its_pictures_where_they_were() {
    let mut old = Old::new();
    old.manifest["participants"]["ann"]["recording_mode"] = "free".into();
    old.manifest["participants"]["ann"]["overlay"] = true.into();
    old.write();
    old.record();
    let dry = colours(&old.folder.join("recordings").join(DRY));
    let output = render(old.data.path(), &[]);
    assert!(output.status.success(), "the time in the picture is a change: {}", text(&output));
    let made = file(&old.folder.join("render"), "u-ann-c-1-wet-render.mp4");
    let wet = colours(&made);
    let times =
        |pictures: &[(i64, [f64; 3])]| pictures.iter().map(|(at, _)| *at).collect::<Vec<_>>();
    assert_eq!(times(&wet), times(&dry));
    assert!(wet.len() > 80, "{} pictures", wet.len());
    // The time stands in the upper left corner.
    let after = ["-map", "0:v", "-vf", "crop=80:30:0:0", "-pix_fmt", "gray", "-f", "rawvideo", "-"];
    let corners = quietly("ffmpeg", &made, &["-xerror"], &after);
    for (number, corner) in corners.chunks_exact(80 * 30).enumerate() {
        assert!(corner.iter().any(|luma| *luma > 200), "no time in picture {number}");
    }
}

#[test]
fn what_cannot_be_rendered_is_told_in_a_sentence() {
    let mut old = Old::new();
    let data = old.data.path().to_owned();
    let elsewhere = |folder: &str| {
        let mut command = program(&data, &[]);
        let output = ended(command.args(["render", folder]).spawn().expect("it starts"));
        assert_eq!(output.status.code(), Some(1), "{}", text(&output));
        text(&output)
    };
    assert!(elsewhere("absent").contains("No such file"));
    assert!(elsewhere("data").contains("no run's manifest"));
    assert!(old.refusal(&[]).contains("had no effects"));
    assert!(old.refusal(&["--participant", "eve"]).contains("no participant \"eve\""));
    assert!(old.refusal(&["--run", "x"]).contains("has no run x; there are Ab12"));
    let fx = ["--audio-fx", "volume name=v"];
    assert!(old.refusal(&fx).contains("No such file"), "the dry file is not there");
    std::fs::write(old.folder.join("recordings").join(DRY), "no film").expect("written");
    assert!(old.refusal(&fx).contains("cannot be decoded"));
    for (fx, sentence) in [
        ("nosuchelement", "no element \"nosuchelement\""),
        ("filesink location=/tmp/x", "cannot be an effect"),
        ("volume volume=loud", "volume"),
    ] {
        assert!(old.refusal(&["--audio-fx", fx]).contains(sentence), "{fx}");
    }
    old.write_table("1\t0\tann\tfx_started\tv.nosuchproperty\t1\n");
    assert!(old.refusal(&fx).contains("nosuchproperty"));
    old.write_table("one\t0\tann\tfx_started\tv.volume\t1\n");
    assert!(old.refusal(&fx).contains("i-Ab12-events.tsv: line 2"));
    std::fs::write(old.folder.join("i-Ab12-events.tsv"), [0xff, 0xfe, 0]).expect("written");
    assert!(old.refusal(&fx).contains("no text"));
    std::fs::remove_file(old.folder.join("i-Ab12-events.tsv")).expect("removed");
    assert!(old.refusal(&fx).contains("i-Ab12-events.tsv: No such file"));
    old.write_table("");
    old.manifest["files"][0]["name"] = "../../../secret-dry.mp4".into();
    old.write();
    assert!(old.refusal(&fx).contains("leads out of the folder"));
    old.manifest["files"] = serde_json::json!([]);
    old.write();
    assert!(old.refusal(&fx).contains("no dry recordings"));
    let half = serde_json::to_string(&old.manifest).expect("JSON");
    std::fs::write(old.folder.join("i-Ab12.json"), &half[..half.len() / 2]).expect("written");
    assert!(old.refusal(&fx).contains("i-Ab12.json: no manifest of a run"));
}
