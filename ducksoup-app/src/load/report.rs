// SPDX-License-Identifier: MPL-2.0

//! From measurements to figures, table rows and a verdict. Pure.

use super::board::{Board, Life, Medium, Outcome};
use super::gaps::Received;
use super::usage::Usage;
use serde::Serialize;
use std::collections::BTreeMap;
use std::time::Duration;

/// What the operator will not accept.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize)]
pub(crate) struct Limits {
    /// Longest gap between two frames, in ms.
    pub(crate) max_gap: Option<u64>,
    /// Smallest part of a track's frames, 0 to 1.
    pub(crate) min_frames: Option<f64>,
}

/// How often a set of times was measured, and how they lie, in ms.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize)]
pub(crate) struct Spread {
    pub(crate) count: usize,
    pub(crate) median: f64,
    /// 95 of 100 are no longer.
    pub(crate) p95: f64,
    pub(crate) longest: f64,
}

impl Spread {
    /// By nearest rank: every figure is one that was measured.
    pub(crate) fn new(times: &[Duration]) -> Option<Self> {
        let mut sorted = times.to_vec();
        sorted.sort();
        let rank = |percent: usize| {
            let rank = (sorted.len() * percent).div_ceil(100).max(1);
            sorted.get(rank - 1).map(|time| milliseconds(*time))
        };
        Some(Self { count: sorted.len(), median: rank(50)?, p95: rank(95)?, longest: rank(100)? })
    }
}

/// The tracks of one medium.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub(crate) struct Media {
    /// Tracks that were due: one for each receiver and sender.
    pub(crate) tracks: usize,
    /// Those of which nothing came at all, or nothing once after somebody was back.
    pub(crate) missing: usize,
    pub(crate) packets: u64,
    pub(crate) lost: u64,
    pub(crate) frames: u64,
    /// Frames that were due while the tracks were there.
    pub(crate) frames_due: u64,
    /// The smallest part of the frames that were due, and whose track that is.
    pub(crate) worst: Option<(f64, String)>,
    /// The largest gaps, in ms, the largest first, and where and when.
    pub(crate) gaps: Vec<(f64, String)>,
    /// From `start`, or from the sender's return, to the first packet.
    pub(crate) first: Option<Spread>,
}

/// How many gaps are told.
const GAPS: usize = 3;

/// Everything that was measured.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub(crate) struct Figures {
    /// The load in words.
    pub(crate) load: String,
    /// Makes the same plan again.
    pub(crate) seed: u64,
    pub(crate) interactions: usize,
    pub(crate) interactions_started: usize,
    pub(crate) participants: usize,
    /// Those who were there when the server ended the call.
    pub(crate) ended: usize,
    /// Those who could not take part to the end: how many for each reason, with an example.
    pub(crate) failed: BTreeMap<String, (usize, String)>,
    pub(crate) joins: u64,
    pub(crate) joins_ok: u64,
    pub(crate) leaves: u64,
    pub(crate) reloads: u64,
    pub(crate) drops: u64,
    /// From connecting to `joined`.
    pub(crate) joined: Option<Spread>,
    /// From the last `joined` of an interaction to its `start`.
    pub(crate) started: Option<Spread>,
    /// From the `joined` of one who is back to `start`.
    pub(crate) restarted: Option<Spread>,
    pub(crate) video: Media,
    pub(crate) audio: Media,
    pub(crate) controls: u64,
    pub(crate) controls_skipped: u64,
    /// Refused controls: how many for each reason.
    pub(crate) refusals: BTreeMap<String, usize>,
    /// Frames that this program could not send in time.
    pub(crate) skipped: u64,
    /// The server and its stages; `None` when it cannot be looked into.
    pub(crate) server: Option<Usage>,
    /// This program.
    pub(crate) own: Option<Usage>,
    /// Participants that did not close in time.
    pub(crate) stuck: usize,
    pub(crate) interrupted: bool,
    pub(crate) limits: Limits,
}

impl Figures {
    /// Adds what the board knows; `framerate` is what each participant sends.
    pub(crate) fn measured(mut self, board: &Board, framerate: u32, now: Duration) -> Self {
        let (tally, lives) = (board.tally(), board.lives());
        self.participants = lives.len();
        self.interactions = board.plan().seats.last().map_or(0, |seat| seat.interaction + 1);
        self.interactions_started = board.started();
        self.ended = lives.iter().filter(|life| **life == Life::Over(Outcome::Ended)).count();
        for (seat, life) in lives.iter().enumerate() {
            if let Life::Over(Outcome::Failed { kind, text }) = life {
                let example = format!("{}: {text}", seat_name(board, seat));
                self.failed.entry(kind.clone()).or_insert((0, example)).0 += 1;
            }
        }
        self.joins = tally.joins;
        self.joins_ok = tally.joined.len() as u64;
        (self.leaves, self.reloads, self.drops) = (tally.leaves, tally.reloads, tally.drops);
        self.joined = Spread::new(&tally.joined);
        self.started = Spread::new(&tally.started);
        self.restarted = Spread::new(&tally.restarted);
        (self.controls, self.controls_skipped) = (tally.controls, tally.controls_skipped);
        for reason in &tally.refusals {
            *self.refusals.entry(reason.clone()).or_default() += 1;
        }
        self.video = media(board, Medium::Video, framerate, now);
        self.audio = media(board, Medium::Audio, AUDIO_RATE, now);
        self
    }

    /// What is not as it should be; empty when the run has passed.
    pub(crate) fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        for (kind, (count, example)) in &self.failed {
            faults.push(format!("{count} failed with {kind} ({example})"));
        }
        if !self.interrupted && self.interactions_started < self.interactions {
            let missing = self.interactions - self.interactions_started;
            faults.push(format!("{missing} of {} interactions did not start", self.interactions));
        }
        for (name, media) in [("picture", &self.video), ("sound", &self.audio)] {
            if media.missing > 0 {
                faults.push(format!(
                    "{name}: nothing came on {} of {} tracks",
                    media.missing, media.tracks
                ));
            }
            if media.tracks > 0 && media.frames == 0 && !self.interrupted && media.missing == 0 {
                faults.push(format!("{name}: nothing was received"));
            }
            if let (Some(limit), Some((gap, whose))) = (self.limits.max_gap, media.gaps.first()) {
                #[allow(clippy::cast_precision_loss)] // milliseconds
                if *gap > limit as f64 {
                    faults.push(format!("{name}: a gap of {gap:.0} ms, over {limit} ms ({whose})"));
                }
            }
            if let (Some(limit), Some((ratio, whose))) = (self.limits.min_frames, &media.worst)
                && *ratio < limit
            {
                let (ratio, limit) = (ratio * 100.0, limit * 100.0);
                faults.push(format!(
                    "{name}: {ratio:.1} % of the frames, under {limit:.1} % ({whose})"
                ));
            }
        }
        if !self.refusals.is_empty() {
            let (count, example) =
                (self.refusals.values().sum::<usize>(), self.refusals.keys().next());
            faults.push(format!(
                "{count} controls were refused ({})",
                example.map_or("", |text| text)
            ));
        }
        if self.stuck > 0 {
            faults.push(format!("{} participants of this program did not close", self.stuck));
        }
        faults
    }

    /// 0 passed, 1 failed, 130 interrupted.
    pub(crate) fn exit_code(&self) -> u8 {
        match (self.interrupted, self.faults().is_empty()) {
            // 128 + SIGINT, as shells say it.
            (true, _) => 130,
            (false, true) => 0,
            (false, false) => 1,
        }
    }

    /// The table: what, how much, and more about it.
    pub(crate) fn rows(&self) -> Vec<[String; 3]> {
        let mut rows = Rows::default();
        let people =
            format!("{} × {}", self.interactions, self.participants / self.interactions.max(1));
        rows.add("load", people, format!("{}, --seed {}", self.load, self.seed));
        let of = |part: u64, all: u64| format!("{part} of {all}");
        let calls = of(self.interactions_started as u64, self.interactions as u64);
        rows.add("interactions started", calls, "");
        rows.add("joins", of(self.joins_ok, self.joins), self.churn());
        let people = of(self.ended as u64, self.participants as u64);
        rows.add("participants to the end", people, "");
        rows.time("joined after", self.joined, "connecting");
        rows.time("started after", self.started, "the last one joined");
        if self.restarted.is_some() {
            rows.time("started again after", self.restarted, "who came back joined");
        }
        for (name, media) in [("picture", &self.video), ("sound", &self.audio)] {
            if media.tracks > 0 {
                rows.media(name, media);
            }
        }
        if self.controls + self.controls_skipped > 0 {
            let refused = self.refusals.values().sum::<usize>();
            let detail = format!(
                "{refused} refused; {} left out while the call did not run",
                self.controls_skipped
            );
            rows.add("controls", self.controls.to_string(), detail);
        }
        rows.usage("server", self.server);
        rows.usage("load itself", self.own);
        rows.add(
            "load itself, late",
            format!("{} frames", self.skipped),
            "not sent, for want of time",
        );
        let verdict = match (self.interrupted, self.faults().len()) {
            (true, 0) => "interrupted".to_owned(),
            (true, _) => "interrupted, failed".to_owned(),
            (false, 0) => "passed".to_owned(),
            (false, _) => "failed".to_owned(),
        };
        rows.add("verdict", verdict, self.faults().join("\n"));
        rows.0
    }

    fn churn(&self) -> String {
        let went = [(self.leaves, "left"), (self.reloads, "reloaded"), (self.drops, "dropped")];
        let went: Vec<String> = went
            .iter()
            .filter(|(count, _)| *count > 0)
            .map(|(count, how)| format!("{count} {how}"))
            .collect();
        if went.is_empty() { String::new() } else { format!("{} and came back", went.join(", ")) }
    }
}

/// Opus packets a second, in and out: 20 ms each.
const AUDIO_RATE: u32 = 50;

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

/// As the server knows it.
fn seat_name(board: &Board, seat: usize) -> String {
    let seat = board.plan().seats[seat];
    format!("i{} u{}", seat.interaction + 1, seat.user + 1)
}

fn media(board: &Board, medium: Medium, rate: u32, now: Duration) -> Media {
    let mut media = Media::default();
    let mut waits = Vec::new();
    for track in board.tracks().iter().filter(|track| track.medium == medium) {
        let received = track.arrivals().received(now);
        let sender = board.plan().seats[track.sender].user + 1;
        let whose = format!("{} from u{sender}", seat_name(board, track.receiver));
        waits.extend(&received.waits);
        add(&mut media, &received, rate, &whose);
    }
    media.gaps.sort_by(|a, b| b.0.total_cmp(&a.0));
    media.gaps.truncate(GAPS);
    media.first = Spread::new(&waits);
    media
}

#[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss)] // counts of frames
fn add(media: &mut Media, received: &Received, rate: u32, whose: &str) {
    media.tracks += 1;
    media.missing += usize::from(received.missing > 0);
    media.packets += received.packets;
    media.lost += received.lost;
    media.frames += received.frames;
    // The first one comes at once, so each spell has one more than its time; rounded down, so that
    // a frame on its way when the time is up is not missed.
    let due = (received.present.as_secs_f64() * f64::from(rate)).floor() as u64;
    media.frames_due += due;
    if due > 0 {
        let ratio = (received.frames as f64 / due as f64).min(1.0);
        if media.worst.as_ref().is_none_or(|(worst, _)| ratio < *worst) {
            media.worst = Some((ratio, whose.to_owned()));
        }
    }
    if !received.gap.length.is_zero() {
        let when = format!("{whose}, at {:.1} s", received.gap.until.as_secs_f64());
        media.gaps.push((milliseconds(received.gap.length), when));
    }
}

/// The table while it is written.
#[derive(Default)]
struct Rows(Vec<[String; 3]>);

impl Rows {
    fn add(&mut self, name: &str, value: impl Into<String>, detail: impl Into<String>) {
        self.0.push([name.to_owned(), value.into(), detail.into()]);
    }

    fn time(&mut self, name: &str, spread: Option<Spread>, from: &str) {
        match spread {
            None => self.add(name, "-", format!("since {from}")),
            Some(Spread { count, median, p95, longest }) => {
                let value = format!("{median:.0} ms");
                let detail =
                    format!("since {from}; 95 % {p95:.0} ms, longest {longest:.0} ms, of {count}");
                self.add(name, value, detail);
            }
        }
    }

    fn media(&mut self, name: &str, media: &Media) {
        let came = media.tracks - media.missing;
        self.add(&format!("{name}: tracks"), format!("{came} of {}", media.tracks), "");
        self.time(&format!("{name}: first after"), media.first, "start, or the sender's return");
        let packets = format!("{} lost", media.lost);
        self.add(&format!("{name}: packets"), media.packets.to_string(), packets);
        let worst = media.worst.as_ref();
        let worst = worst.map(|(ratio, whose)| format!("least {:.1} % ({whose})", ratio * 100.0));
        let frames = format!("{} of {}", media.frames, media.frames_due);
        self.add(&format!("{name}: frames"), frames, worst.unwrap_or_default());
        let mut gaps = media.gaps.iter().map(|(gap, whose)| (format!("{gap:.0} ms"), whose));
        let (largest, whose) =
            gaps.next().map_or(("-".into(), String::new()), |(gap, whose)| (gap, whose.clone()));
        let others: Vec<String> = gaps.map(|(gap, whose)| format!("{gap} ({whose})")).collect();
        let detail = [whose].into_iter().chain(others).collect::<Vec<_>>().join("\n");
        self.add(&format!("{name}: largest gaps"), largest, detail);
    }

    fn usage(&mut self, name: &str, usage: Option<Usage>) {
        let Some(usage) = usage else {
            for what in ["CPU", "memory", "threads", "descriptors"] {
                self.add(
                    &format!("{name}: {what}"),
                    "-",
                    "not on this machine, or not ours to look into",
                );
            }
            return;
        };
        let cpu = format!(
            "{:.1} s in all, at most {:.2} cores; {} processes",
            usage.cpu_seconds, usage.cores_peak, usage.processes_peak
        );
        self.add(&format!("{name}: CPU"), format!("{:.2} cores", usage.cores_mean), cpu);
        let memory = format!("{} MB", usage.memory_peak / 1_000_000);
        self.add(
            &format!("{name}: memory"),
            memory,
            "at most; pages that processes share count for each",
        );
        self.add(&format!("{name}: threads"), usage.threads_peak.to_string(), "at most");
        self.add(&format!("{name}: descriptors"), usage.descriptors_peak.to_string(), "at most");
    }
}

#[cfg(test)]
#[path = "report_tests.rs"]
mod tests;
