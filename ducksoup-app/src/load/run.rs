// SPDX-License-Identifier: MPL-2.0

//! The loop of a run: takes the plan's steps when they are due, hears the participants, looks at
//! the processes, until everybody is done. One thread.

use super::args::LoadArgs;
use super::board::{Act, Board, Medium, News};
use super::clip::{Clip, ClipError};
use super::participant::{Participant, Script, Tale, Word};
use super::plan::Knob;
use super::report::Figures;
use super::server::Family;
use super::usage::Watch;
use super::view::{Glance, View};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

/// Between two glances; ours: the eye is served, and `/proc` costs little.
const TICK: Duration = Duration::from_millis(500);
/// Between two looks at the processes.
const LOOK: Duration = Duration::from_secs(1);
/// Longest time that a good-bye may take, and longest that closing may: more than the server's 5 s
/// for a close. Generous: the machine is busy.
const GOING_LIMIT: Duration = Duration::from_secs(10);
/// A control moves its property within this time; ours: a slider that is let go.
const RAMP: Duration = Duration::from_millis(200);

/// The media that everybody sends.
#[derive(Debug)]
pub(crate) struct Clips {
    audio: Arc<Clip>,
    video: Option<Arc<Clip>>,
}

impl Clips {
    /// Encodes them.
    pub(crate) fn new(args: &LoadArgs) -> Result<Self, ClipError> {
        let video = match args.audio_only {
            true => None,
            false => Some(Arc::new(Clip::video(args.size, args.video_format)?)),
        };
        Ok(Self { audio: Arc::new(Clip::audio()?), video })
    }
}

/// A participant on its way out.
#[derive(Debug)]
struct Going {
    participant: Participant,
    stage: Leg,
    until: Duration,
}

/// How far it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Leg {
    /// It says good-bye.
    Leaving,
    /// It closes.
    Closing,
}

/// A run.
#[derive(Debug)]
pub(crate) struct Run<'a> {
    args: &'a LoadArgs,
    clips: &'a Clips,
    /// Distinguishes the names of this run from those of others.
    tag: String,
    board: Board,
    begin: Instant,
    /// The next step of the plan.
    next: usize,
    /// Those who are in, by seat.
    present: HashMap<usize, Participant>,
    going: Vec<Going>,
    words: UnboundedSender<Word>,
    number: u64,
    skipped: u64,
    stuck: usize,
    interrupted: bool,
    server: (Option<Family>, Watch),
    own: (Family, Watch),
}

impl<'a> Run<'a> {
    /// Ready to begin; `server` is looked at on the way.
    pub(crate) fn new(
        args: &'a LoadArgs,
        clips: &'a Clips,
        board: Board,
        server: Option<Family>,
    ) -> (Self, UnboundedReceiver<Word>) {
        let (words, heard) = unbounded_channel();
        let run = Self {
            args,
            clips,
            tag: format!("{:08x}", rand::random::<u32>()),
            board,
            begin: Instant::now(),
            next: 0,
            present: HashMap::new(),
            going: Vec::new(),
            words,
            number: 0,
            skipped: 0,
            stuck: 0,
            interrupted: false,
            server: (server, Watch::default()),
            own: (Family::own(), Watch::default()),
        };
        (run, heard)
    }

    /// Until everybody is done, or a second interrupt.
    ///
    /// # Errors
    /// When signals cannot be had.
    pub(crate) async fn run(
        &mut self,
        mut heard: UnboundedReceiver<Word>,
        view: &mut View,
    ) -> std::io::Result<()> {
        let mut signals = Signals::new()?;
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
        let mut shown = (Duration::ZERO, Glance::default());
        let mut looked = None;
        self.begin = Instant::now();
        while !(self.board.is_over() && self.going.is_empty()) {
            let due = self.board.plan().steps.get(self.next).map(|step| self.begin + step.at);
            tokio::select! {
                Some(word) = heard.recv() => self.hear(word),
                () = until(due) => self.step(),
                _ = tick.tick() => {
                    let now = self.begin.elapsed();
                    self.tick(now);
                    if looked.is_none_or(|last| now >= last + LOOK) {
                        looked = Some(now);
                        self.look(now);
                    }
                    let glance = Glance::new(&self.board, now);
                    let period = now.saturating_sub(shown.0);
                    view.show(now, &glance.line(&shown.1, period, self.server.1.usage()));
                    shown = (now, glance);
                }
                () = signals.recv() => {
                    if self.interrupted {
                        break;
                    }
                    view.tell("interrupted: everybody leaves; once more, and it ends at once");
                    self.interrupt();
                }
            }
        }
        Ok(())
    }

    /// What came of it, added to what was known before.
    pub(crate) fn figures(&self, figures: Figures) -> Figures {
        let figures = Figures {
            skipped: self.skipped,
            server: self.server.1.usage(),
            own: self.own.1.usage(),
            stuck: self.stuck,
            interrupted: self.interrupted,
            ..figures
        };
        figures.measured(&self.board, self.args.size.framerate, self.begin.elapsed())
    }

    fn step(&mut self) {
        let Some(step) = self.board.plan().steps.get(self.next).copied() else {
            return;
        };
        self.next += 1;
        let act = self.board.deed(self.begin.elapsed(), step.seat, step.deed);
        self.act(step.seat, act);
    }

    fn hear(&mut self, word: Word) {
        let now = word.at.saturating_duration_since(self.begin);
        let mut present = self.present.iter();
        if let Some((seat, participant)) = present.find(|(_, it)| it.number() == word.number) {
            let seat = *seat;
            let news = match word.what {
                Tale::News(news) => news,
                Tale::Left | Tale::Gone => News::Failed {
                    kind: "closed".into(),
                    text: "the server closed without a word".into(),
                },
            };
            if matches!(news, News::Started { .. }) {
                participant.air().set(true);
            }
            let act = self.board.news(now, seat, news);
            self.act(seat, act);
        } else if let Some(place) =
            self.going.iter().position(|going| going.participant.number() == word.number)
        {
            match word.what {
                // An error on the way out, or a call that ends meanwhile: it need not say more.
                Tale::Left | Tale::News(News::Failed { .. } | News::Ended) => {
                    self.close_going(place);
                }
                Tale::Gone => drop(self.going.swap_remove(place)),
                Tale::News(_) => {}
            }
        }
    }

    fn tick(&mut self, now: Duration) {
        for (seat, act) in self.board.tick(now) {
            self.act(seat, act);
        }
        for place in (0..self.going.len()).rev() {
            let Going { stage, until, .. } = self.going[place];
            match stage {
                Leg::Leaving if now > until => self.close_going(place),
                Leg::Closing if now > until => {
                    self.stuck += 1;
                    self.going.swap_remove(place);
                }
                _ => {}
            }
        }
    }

    fn interrupt(&mut self) {
        self.interrupted = true;
        for (seat, act) in self.board.interrupt(self.begin.elapsed()) {
            self.act(seat, act);
        }
    }

    fn look(&mut self, now: Duration) {
        if let (Some(family), watch) = &mut self.server {
            watch.look(now, &family.processes());
        }
        self.own.1.look(now, &self.own.0.processes());
    }

    fn act(&mut self, seat: usize, act: Act) {
        match act {
            Act::Nothing => {}
            Act::Connect => self.connect(seat),
            Act::Reconnect => {
                if let Some(participant) = self.present.get(&seat) {
                    participant.reconnect();
                }
            }
            Act::Control { knob, value } => {
                let Knob { name, property, .. } = &self.args.control[knob];
                if let Some(participant) = self.present.get(&seat) {
                    participant.control(name, property, value, RAMP);
                }
            }
            Act::Leave => self.go(seat, Leg::Leaving),
            Act::Vanish => self.go(seat, Leg::Closing),
        }
    }

    fn go(&mut self, seat: usize, stage: Leg) {
        let Some(participant) = self.present.remove(&seat) else {
            return;
        };
        match stage {
            Leg::Leaving => participant.leave(),
            Leg::Closing => participant.close(),
        }
        self.skipped += participant.air().skipped();
        let until = self.begin.elapsed() + GOING_LIMIT;
        self.going.push(Going { participant, stage, until });
    }

    fn close_going(&mut self, place: usize) {
        let until = self.begin.elapsed() + GOING_LIMIT;
        let going = &mut self.going[place];
        if going.stage == Leg::Leaving {
            going.participant.close();
            (going.stage, going.until) = (Leg::Closing, until);
        }
    }

    fn connect(&mut self, seat: usize) {
        self.number += 1;
        let options = self.options(seat);
        let tracks = self.board.tracks().iter().filter(|track| track.receiver == seat);
        let tracks = tracks.map(|track| {
            let medium = match track.medium {
                Medium::Audio => "audio",
                Medium::Video => "video",
            };
            let pad = format!("{medium}_src_{}", self.user(track.sender));
            (pad, Arc::clone(&track.arrivals))
        });
        let script = Script {
            number: self.number,
            options: &options,
            audio: &self.clips.audio,
            video: self.clips.video.as_ref(),
            tracks: tracks.collect(),
            begin: self.begin,
            words: self.words.clone(),
        };
        match Participant::new(&script) {
            Ok(participant) => {
                participant.start();
                self.present.insert(seat, participant);
            }
            Err(error) => {
                let news = News::Failed { kind: "build".into(), text: error.to_string() };
                self.board.news(self.begin.elapsed(), seat, news);
            }
        }
    }

    fn user(&self, seat: usize) -> String {
        format!("u{}", self.board.plan().seats[seat].user + 1)
    }

    /// The properties of a seat's signaller.
    fn options(&self, seat: usize) -> Vec<(&'static str, String)> {
        let args = self.args;
        let interaction = self.board.plan().seats[seat].interaction + 1;
        let mut options = vec![
            ("uri", args.uri.clone()),
            ("interaction", format!("{}-i{interaction}", self.tag)),
            ("user", self.user(seat)),
            ("namespace", args.namespace.clone()),
            ("duration", args.duration.to_string()),
            ("size", args.participants.to_string()),
            ("audio-only", args.audio_only.to_string()),
            ("width", args.size.width.to_string()),
            ("height", args.size.height.to_string()),
            ("framerate", args.size.framerate.to_string()),
            ("video-format", args.video_format.wire().to_owned()),
        ];
        let cafile = args.cafile.as_ref().map(|path| path.display().to_string());
        for (name, value) in [
            ("origin", &args.origin),
            ("cafile", &cafile),
            ("audio-fx", &args.audio_fx),
            ("video-fx", &args.video_fx),
            ("recording-mode", &args.recording_mode),
        ] {
            options.extend(value.clone().map(|value| (name, value)));
        }
        options
    }
}

async fn until(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due.into()).await,
        None => std::future::pending().await,
    }
}

/// What asks a program to end.
struct Signals(Signal, Signal);

impl Signals {
    fn new() -> std::io::Result<Self> {
        Ok(Self(signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?))
    }

    async fn recv(&mut self) {
        tokio::select! {
            _ = self.0.recv() => {}
            _ = self.1.recv() => {}
        }
    }
}
