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
use std::sync::Once;
use std::sync::mpsc::{Receiver, Sender, channel};
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

/// Two participants talk, and Ann's voice and face are changed; gives the interaction's folder.
fn conversation(data: &Path, format: &str, mode: &str) -> PathBuf {
    init();
    let served = Served::start(program(
        data,
        &[
            ("DUCKSOUP_MODE", "DEV"),
            ("DUCKSOUP_PORT", "0"),
            ("DUCKSOUP_STUN_SERVER_URLS", "false"),
            ("DUCKSOUP_ABORT_DELAY", "60"),
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
    let times = times.lines().map(|line| {
        let seconds: f64 = line.trim_end_matches(',').parse().expect("a time");
        #[allow(clippy::cast_possible_truncation)]
        let milliseconds = (seconds * 1000.0).round() as i64;
        milliseconds
    });
    let after = [
        "-map", "0:v", "-fps_mode", "passthrough", "-vf", "scale=8:8", "-pix_fmt", "yuv444p", "-f",
        "rawvideo", "-",
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

/// The frequency of a tone around a time (s), by its turns in 60 ms.
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
    let span = rises.last().expect("a tone") - rises.first().expect("a tone");
    (rises.len() - 1) as f64 * RATE / span
}

/// When (s) the tone first is as high as this, from a time on.
fn reaches(sound: &[f64], wanted: f64, from: f64) -> f64 {
    let times = (0..).map(|step| from + f64::from(step) * 0.002);
    times
        .take_while(|at| *at < DURATION as f64 - 0.1)
        .find(|at| frequency(sound, *at) >= wanted)
        .unwrap_or_else(|| panic!("never {wanted} Hz"))
}

fn assert_alike(recorded: &Path, rendered: &Path) {
    let (old, new) = (sound(recorded), sound(rendered));
    let seconds = |sound: &[f64]| sound.len() as f64 / RATE;
    assert!((seconds(&old) - seconds(&new)).abs() < 0.03, "{} {}", seconds(&old), seconds(&new));
    // While nothing moves, the tone is the same; the ramp passes each height at the same time.
    for at in [0.5, 5.0, 6.0, 7.0] {
        let (old, new) = (frequency(&old, at), frequency(&new, at));
        assert!((new / old - 1.0).abs() < 0.01, "{old} Hz and {new} Hz at {at} s");
    }
    assert!((frequency(&new, 0.5) / TONE - 1.0).abs() < 0.01, "the voice as it was");
    assert!((frequency(&new, 6.0) / (0.8 * TONE) - 1.0).abs() < 0.01, "and as it was made");
    for wanted in [1.05, 1.1, 1.15] {
        let wanted = wanted * TONE;
        let (old, new) = (reaches(&old, wanted, 0.5), reaches(&new, wanted, 0.5));
        assert!((old - new).abs() <= 0.010, "{wanted} Hz at {old} s and at {new} s");
    }
    let (old, new) = (colours(recorded), colours(rendered));
    assert_eq!(old.len(), new.len(), "pictures");
    assert!(old.len() > (DURATION - 1) * FRAMERATE, "{} pictures", old.len());
    let mut far = 0;
    for ((at, old), (then, new)) in old.iter().zip(&new) {
        assert!(at.abs_diff(*then) <= 1, "{at} ms and {then} ms");
        let apart = (0..3).map(|plane| (old[plane] - new[plane]).abs()).fold(0.0, f64::max);
        // A picture of the ramp may be in the slot beside its own.
        assert!(apart < 12.0, "{apart} of 255 at {at} ms: {old:?} {new:?}");
        far += usize::from(apart > 4.0);
    }
    assert!(far <= old.len() / 20, "{far} of {} pictures have another colour", old.len());
    let hue = |picture: &[f64; 3]| (picture[1] - 128.0).atan2(picture[2] - 128.0) / PI * 180.0;
    let turn = (hue(&new[10].1) - hue(&new[120].1)).abs();
    assert!(turn > 40.0, "the colour has turned by {turn} degrees");
}

#[test]
fn what_was_done_in_h264_is_done_again() {
    let data = TempDir::new().expect("a folder");
    let folder = conversation(data.path(), "H264", "forced");
    let output = render(data.path(), &["--compare"]);
    let said = text(&output);
    assert!(output.status.success(), "{said}");
    assert!(said.contains("It is as it was recorded."), "{said}");
    let recorded = file(&folder.join("recordings"), "u-ann-c-1-wet.mp4");
    let rendered = file(&folder.join("render"), "u-ann-c-1-wet-render.mp4");
    eprintln!("{said}");
    assert_alike(&recorded, &rendered);
}
