// SPDX-License-Identifier: MPL-2.0

//! `ducksoup-bench live`: how long do sound and pictures stay in the server?
//!
//! Participants with encoded media (`clip`, `feed`, `peers`) take part in an interaction of the real
//! server, through a gate that notes when each packet passes. Afterwards what they received is read
//! (`reading`): pictures bear their numbers, sound has chirps or a tone. So what went in is found in
//! what came out (`account`), and held against the goals (`goals`). The same work done alone in one
//! pipeline is the floor (`floor`), run in turn with the server; what the instrument itself adds is
//! measured without a server (`instrument`). The tables are written into RESULTS.md.

mod account;
mod clip;
mod feed;
mod floor;
mod goals;
mod instrument;
mod peers;
mod reading;
mod script;
mod track;

use crate::counts::Format;
use crate::network::Gate;
use crate::page::{self, Table};
use crate::recordings::fiducial;
use crate::server::Server;
use account::{Frame, Stay};
use anyhow::Context as _;
use clap::Args as ClapArgs;
use clip::{Film, PACKET, Sounds, Voice};
use goals::{Circumstances, Figures, Measure, Place};
use gst::prelude::*;
use peers::Scene;
use script::{Effects, Part};
use std::path::PathBuf;
use std::time::Duration;
use track::{Call, Track};

/// Its section of the page.
const TITLE: &str = "## The live path";
/// How long the instrument is measured without a server.
const INSTRUMENT: Duration = Duration::from_secs(8);

/// What is to be measured.
#[derive(Debug, ClapArgs)]
pub(crate) struct Args {
    /// Which parts; all by default
    #[arg(long, value_enum)]
    only: Vec<Part>,
    /// Formats of the pictures; all by default
    #[arg(long, value_enum)]
    format: Vec<Format>,
    /// Rounds of each part, the floor and the server in turn
    #[arg(long, default_value_t = 3)]
    rounds: u32,
    /// Length of each interaction, in s
    #[arg(long, default_value_t = 15)]
    seconds: u32,
    /// Length of the floor's runs, in s
    #[arg(long, default_value_t = 10)]
    floor: u32,
    /// Participants of an interaction
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=8))]
    participants: u32,
    /// Width of the pictures
    #[arg(long, default_value_t = 640)]
    width: u32,
    /// Height of the pictures
    #[arg(long, default_value_t = 480)]
    height: u32,
    /// Frames a second
    #[arg(long, default_value_t = 26)]
    framerate: u32,
    /// Recording mode of the interaction
    #[arg(long, default_value = "forced")]
    mode: String,
    /// Writes each sound and picture into this file: round, which, when it left, how long it stayed, and which one of
    /// the film it is; and of chirps how much later the pictures beside them are played
    #[arg(long)]
    points: Option<PathBuf>,
    /// The page that gets the tables; none: they are only shown
    #[arg(long)]
    page: Option<PathBuf>,
}

/// A pipeline that ends with its scope.
#[derive(Debug)]
struct Running(gst::Pipeline);

impl Running {
    /// One that is described.
    fn new(description: &str) -> anyhow::Result<Self> {
        let pipeline = gst::parse::launch(description)?.downcast::<gst::Pipeline>();
        Ok(Self(pipeline.map_err(|_| anyhow::anyhow!("no pipeline: {description}"))?))
    }

    fn part<T: IsA<gst::Element>>(&self, name: &str) -> anyhow::Result<T> {
        let element = self.0.by_name(name).with_context(|| format!("no {name}"))?;
        element.downcast().map_err(|_| anyhow::anyhow!("{name} is another kind of element"))
    }

    fn play(&self) -> anyhow::Result<()> {
        self.0.set_state(gst::State::Playing).context("a pipeline that does not start")?;
        Ok(())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.set_state(gst::State::Null);
    }
}

/// A voice, and where its chirps begin for who decodes it: by likeness, and by level only.
struct Spoken {
    voice: Voice,
    exact: Vec<usize>,
    rough: Vec<usize>,
}

impl Spoken {
    fn new(sounds: Sounds) -> anyhow::Result<Self> {
        let voice = Voice::new(sounds)?;
        let samples = match sounds {
            Sounds::Chirps => reading::decode(&voice)?,
            Sounds::Tone => Vec::new(),
        };
        Ok(Self { exact: exact(&samples), rough: fiducial::rises(&samples), voice })
    }
}

/// Where chirps begin that are like those that were sent; none in a voice that has changed.
fn exact(samples: &[f32]) -> Vec<usize> {
    let mut sound = crate::recordings::sound::Sound::default();
    sound.push(0.0, samples.iter().copied());
    let beeps = fiducial::beeps(&sound);
    if beeps.by == fiducial::Sign::Likeness { beeps.samples } else { Vec::new() }
}

/// Runs all that is asked for; whether all goals are met.
///
/// # Errors
/// When a run does not come to its end, or the page cannot be written.
pub(crate) fn run(args: &Args) -> anyhow::Result<bool> {
    gst::init()?;
    ducksoup_signaller::plugin_register_static()?;
    let all = [Format::H264, Format::Vp8];
    let formats = if args.format.is_empty() { &all[..] } else { &args.format };
    let parts = if args.only.is_empty() { &Part::ALL[..] } else { &args.only };
    let own: Vec<f64> =
        instrument::measure(INSTRUMENT)?.into_iter().map(|(_, stay)| stay * 1e3).collect();
    let at = |place: Place| account::quantile(&own, place.share()).unwrap_or(f64::NAN);
    let [p50, p95, p99] = Place::ALL.map(at);
    let instrument = format!("{p50:.2} / {p95:.2} / {p99:.2} ms");
    println!("the instrument itself: {instrument}");
    let mut points = String::new();
    let (mut met, mut tables) = (true, Vec::new());
    for format in formats {
        let film = Film::new(*format, (args.width, args.height), args.framerate)?;
        for part in parts {
            let spoken = Spoken::new(part.sounds())?;
            let (mut rows, is_met) = measure(args, *part, &film, &spoken, &mut points)?;
            met &= is_met;
            rows.insert(0, caption(args, *part, *format, &instrument));
            for row in &rows {
                println!("{}", row.join(" | "));
            }
            tables.push(Table { name: part.table(*format), head: goals::HEAD, keys: None, rows });
        }
    }
    if let Some(path) = &args.points {
        std::fs::write(path, points)?;
    }
    if let Some(path) = &args.page {
        page::write(path, TITLE, &tables)?;
    }
    Ok(met)
}

/// What was measured, where, and when: the first row of its table.
fn caption(args: &Args, part: Part, format: Format, instrument: &str) -> Vec<String> {
    let Args { rounds, seconds, participants, width, height, framerate, mode, .. } = args;
    let mut row = vec![
        format!("**{}, {}**", part.words(), format.name()),
        String::new(),
        format!(
            "{participants} × {width}×{height}@{framerate}, mode {mode}, {rounds} rounds of \
             {seconds} s; the instrument itself: {instrument}"
        ),
    ];
    row.resize(goals::HEAD.len() - 1, String::new());
    row.push(crate::machine::describe());
    row
}

/// A part in rounds: its rows, and whether its goals are met.
fn measure(
    args: &Args,
    part: Part,
    film: &Film,
    spoken: &Spoken,
    points: &mut String,
) -> anyhow::Result<(Vec<Vec<String>>, bool)> {
    let effects = part.effects();
    let (mut server, mut ground) = (Vec::new(), Vec::new());
    for round in 0..args.rounds {
        let length = Duration::from_secs(args.floor.into());
        let call = floor::run(film, &spoken.voice, effects, length)?;
        let mut floor = figures(&[call], film, spoken, Part::Identity, &mut String::new())?;
        // Nobody plays it: it has no times to be played at.
        floor.remove(&Measure::Skew);
        ground.push(floor);
        let calls = through_server(args, part, film, &spoken.voice, round)?;
        let mut own = String::new();
        server.push(figures(&calls, film, spoken, part, &mut own)?);
        points.extend(
            own.lines().map(|line| format!("{}\t{round}\t{line}\n", part.table(film.format))),
        );
    }
    let frame = 1e3 / f64::from(args.framerate);
    let at = Circumstances { kind: part.kind(), frame };
    let (mut rows, met) = goals::rows(at, &server, &ground);
    if part == Part::Effects {
        let declared = floor::declared(effects.sound)? * 1e3;
        let mut row = vec!["the effect on the sound says that it keeps back, ms".to_owned()];
        row.extend([String::new(), format!("{declared:.1}")]);
        row.resize(goals::HEAD.len(), String::new());
        rows.push(row);
    }
    Ok((rows, met))
}

/// A call through the real server.
fn through_server(
    args: &Args,
    part: Part,
    film: &Film,
    voice: &Voice,
    round: u32,
) -> anyhow::Result<Vec<Call>> {
    let folder = tempfile::tempdir()?;
    let server = Server::start(folder.path(), &[])?;
    let (up, down) = part.links(u64::from(round));
    let gate = Gate::open(&server.uri, up, down)?;
    let idle = match part {
        Part::Idle => Some(idle(&server.uri)?),
        _ => None,
    };
    let Effects { picture, sound } = part.effects();
    let option = |name, value: String| (name, value);
    let scene = Scene {
        film,
        voice,
        participants: args.participants as usize,
        seconds: args.seconds,
        options: vec![
            option("interaction", "live".to_owned()),
            option("recording-mode", args.mode.clone()),
            option("video-format", film.format.name().to_owned()),
            option("width", film.size.0.to_string()),
            option("height", film.size.1.to_string()),
            option("framerate", film.framerate.to_string()),
            option("audio-fx", format!("{sound} name={}", script::VOICE)),
            option("video-fx", format!("{picture} name={}", script::FACE)),
        ],
        commands: part.commands(Duration::from_secs(args.seconds.into())),
    };
    let calls = peers::take_part(gate, &scene);
    drop(idle);
    calls
}

/// Somebody who waits in another interaction.
fn idle(uri: &str) -> anyhow::Result<Running> {
    let running = Running::new(&format!(
        "ducksouppeer name=peer signaller::uri={uri} signaller::interaction=idle \
         signaller::user=idler signaller::size=2 connect-timeout=30000 \
         audiotestsrc is-live=true wave=silence ! peer.audio_sink \
         videotestsrc is-live=true pattern=black ! video/x-raw,width=160,height=120,framerate=1/1 \
         ! peer.video_sink"
    ))?;
    running.play()?;
    Ok(running)
}

/// The figures of a round, all its participants together.
fn figures(
    calls: &[Call],
    film: &Film,
    spoken: &Spoken,
    part: Part,
    points: &mut String,
) -> anyhow::Result<Figures> {
    let mut pool = Pool::default();
    for call in calls {
        let seen = reading::look(film.format, &call.picture.received)?;
        let frames: Vec<Frame> = account::frames(&call.picture, &seen, &film.lumas);
        pool.shown.push(account::shown(call, &frames));
        let counts = |at: f64| call.window.contains(&at);
        let frames: Vec<Frame> = frames.into_iter().filter(|frame| counts(frame.left)).collect();
        anyhow::ensure!(
            !frames.is_empty(),
            "no picture could be recognised: {} sent, {} packets received, {} seen, {} with a number",
            call.picture.sent.len(),
            call.picture.received.len(),
            seen.len(),
            seen.iter().filter(|picture| picture.number.is_some()).count()
        );
        let samples = reading::hear(&call.sound.received)?;
        let passed = hear(&call.sound, &samples, spoken);
        let stays: Vec<Stay> = frames.iter().map(|it| (it.left, it.left - it.entered)).collect();
        let sound: Vec<Stay> = passed.stays.into_iter().filter(|(left, _)| counts(*left)).collect();
        for Frame { number, left, entered, .. } in &frames {
            let stay = (left - entered) * 1e3;
            points.push_str(&format!("picture\t{left:.4}\t{stay:.3}\t{number}\n"));
        }
        for (left, stay) in &sound {
            points.push_str(&format!("sound\t{left:.4}\t{:.3}\t\n", stay * 1e3));
        }
        let commands = |of: &'static str| {
            let of = call.commands.iter().filter(move |(_, command)| command.property == of);
            of.map(|(at, _)| *at)
        };
        pool.picture_step
            .extend(account::picture_step(&stays, commands(account::PICTURE_PROPERTY)));
        pool.sound_step.extend(account::sound_step(&sound, commands(script::VOICE_PROPERTY)));
        // Sender reports take their time.
        let late = call.window.start.midpoint(call.window.end);
        let played: Vec<Stay> = passed
            .played
            .into_iter()
            .filter(|(left, _)| (late..call.window.end).contains(left))
            .collect();
        let skews = account::skews(&frames, &played);
        for (left, skew) in &skews {
            points.push_str(&format!("skew\t{left:.4}\t{:.3}\t\n", skew * 1e3));
        }
        pool.skew.extend(skews.iter().map(|(_, skew)| skew));
        pool.jitter.extend(account::jitter(&frames));
        pool.seen.extend(account::effects_seen(call, &frames));
        if spoken.voice.sounds == Sounds::Tone {
            pool.heard.extend(account::effects_heard(call, &loudness(&call.sound, &samples)));
        }
        let left: Vec<f64> = frames.iter().map(|frame| frame.left).collect();
        pool.freezes += account::freezes(&left);
        pool.buffered += account::freezes(&account::buffered(call));
        pool.picture.extend(stays.iter().map(|(_, stay)| stay));
        pool.sound.extend(sound.iter().map(|(_, stay)| stay));
    }
    Ok(pool.figures(part))
}

/// The sound that went through; nothing of a voice without chirps.
fn hear(track: &Track, samples: &[f32], spoken: &Spoken) -> account::Passed {
    if spoken.voice.sounds == Sounds::Tone {
        return account::Passed::default();
    }
    let heard = exact(samples);
    let passed = match heard.is_empty() {
        true => account::sound(track, &spoken.rough, &fiducial::rises(samples)),
        false => account::sound(track, &spoken.exact, &heard),
    };
    passed.unwrap_or_default()
}

/// How loud the end of each packet is, of a whole tone, and when it left.
fn loudness(track: &Track, samples: &[f32]) -> Vec<(f64, f64)> {
    let Some(first) = track.received.first() else { return Vec::new() };
    let packets = track.received.iter().filter_map(|packet| {
        let begin = usize::try_from(reading::since(packet.timestamp, first.timestamp)).ok()?;
        let end = samples.get(begin + PACKET * 3 / 4..begin + PACKET)?;
        let power = end.iter().map(|x| f64::from(x * x)).sum::<f64>() / end.len() as f64;
        Some((*track.left.get(&packet.timestamp)?, power.sqrt() / clip::LOUDNESS))
    });
    packets.collect()
}

/// What the participants of a round have in common, in s.
#[derive(Debug, Default)]
struct Pool {
    picture: Vec<f64>,
    sound: Vec<f64>,
    picture_step: Vec<f64>,
    sound_step: Vec<f64>,
    skew: Vec<f64>,
    jitter: Vec<f64>,
    seen: Vec<f64>,
    heard: Vec<f64>,
    shown: Vec<f64>,
    freezes: usize,
    buffered: usize,
}

impl Pool {
    fn figures(&self, part: Part) -> Figures {
        let mut figures = Figures::new();
        let mut put = |measure, value: Option<f64>| {
            figures.extend(value.map(|value| (measure, value)));
        };
        let ms = |value: f64| value * 1e3;
        let at = |list: &[f64], place: Place| account::quantile(list, place.share()).map(ms);
        let spread = |list: &[f64]| Some(at(list, Place::P99)? - at(list, Place::P50)?);
        let most = |list: &[f64]| list.iter().copied().max_by(f64::total_cmp);
        for place in Place::ALL {
            put(Measure::Picture(place), at(&self.picture, place));
            put(Measure::Sound(place), at(&self.sound, place));
            if place != Place::P99 {
                put(Measure::CommandSeen(place), at(&self.seen, place));
                put(Measure::CommandHeard(place), at(&self.heard, place));
            }
        }
        put(Measure::PictureSpread, spread(&self.picture));
        put(Measure::SoundSpread, spread(&self.sound));
        put(Measure::PictureStep, most(&self.picture_step).map(ms));
        put(Measure::SoundStep, most(&self.sound_step).map(ms));
        put(Measure::Skew, account::median(&self.skew).map(ms));
        put(Measure::Shown, self.shown.iter().copied().min_by(f64::total_cmp));
        put(Measure::Jitter, at(&self.jitter, Place::P95));
        put(Measure::Freezes, Some(self.freezes as f64));
        if part == Part::Loss {
            put(Measure::FreezesBuffered, Some(self.buffered as f64));
        }
        figures
    }
}
