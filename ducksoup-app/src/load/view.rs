// SPDX-License-Identifier: MPL-2.0

//! What is seen of a run: one line that lives, and the table at the end. Where nobody looks (no
//! terminal), a plain line every few seconds.

use super::board::{Board, Life, Medium};
use super::usage::Usage;
use comfy_table::{ContentArrangement, Table, presets};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::IsTerminal as _;
use std::time::Duration;

/// Between two plain lines; ours.
const PLAIN_PERIOD: Duration = Duration::from_secs(5);
/// Widest table when the terminal does not say how wide it is.
const WIDTH: u16 = 120;

/// A run at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(crate) struct Glance {
    people: usize,
    running: usize,
    over: usize,
    audio: Flow,
    video: Flow,
}

/// One medium, of all tracks.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
struct Flow {
    frames: u64,
    lost: u64,
    gap: Duration,
}

impl Glance {
    /// Looks at the board.
    pub(crate) fn new(board: &Board, now: Duration) -> Self {
        let lives = board.lives();
        let count = |wanted: fn(&Life) -> bool| lives.iter().filter(|life| wanted(life)).count();
        let mut glance = Self {
            people: lives.len(),
            running: count(|life| *life == Life::Running),
            over: count(|life| matches!(life, Life::Over(_))),
            ..Self::default()
        };
        for track in board.tracks() {
            let received = track.arrivals().received(now);
            let flow = match track.medium {
                Medium::Audio => &mut glance.audio,
                Medium::Video => &mut glance.video,
            };
            flow.frames += received.frames;
            flow.lost += received.lost;
            flow.gap = flow.gap.max(received.gap.length);
        }
        glance
    }

    /// In words; the rates are those since an earlier glance.
    pub(crate) fn line(&self, earlier: &Self, period: Duration, server: Option<Usage>) -> String {
        let mut line = format!("{} of {} in the call", self.running, self.people);
        if self.over > 0 {
            line += &format!(", {} done", self.over);
        }
        let flows = [("picture", self.video, earlier.video), ("sound", self.audio, earlier.audio)];
        for (name, flow, before) in flows.into_iter().filter(|(_, flow, _)| flow.frames > 0) {
            #[allow(clippy::cast_precision_loss)] // a rate to look at
            let rate = (flow.frames - before.frames) as f64 / period.as_secs_f64().max(1e-3);
            let gap = flow.gap.as_millis();
            line += &format!(" | {name} {rate:.0}/s, {} lost, gap {gap} ms", flow.lost);
        }
        if let Some(usage) = server {
            let memory = usage.memory_peak / 1_000_000;
            line += &format!(" | server {:.2} cores, {memory} MB", usage.cores_mean);
        }
        line
    }
}

/// The terminal.
#[derive(Debug)]
pub(crate) enum View {
    /// Somebody looks.
    Live(ProgressBar),
    /// Nobody does: a line each period; the time of the last one.
    Plain(Duration),
}

impl View {
    /// `span` is how long the run should take.
    pub(crate) fn new(span: Duration) -> Self {
        if !std::io::stdout().is_terminal() {
            return Self::Plain(Duration::ZERO);
        }
        let bar = ProgressBar::with_draw_target(Some(span.as_secs()), ProgressDrawTarget::stdout());
        if let Ok(style) = ProgressStyle::with_template("{elapsed_precise} {bar:20} {wide_msg}") {
            bar.set_style(style);
        }
        Self::Live(bar)
    }

    /// Shows how things stand.
    pub(crate) fn show(&mut self, now: Duration, line: &str) {
        match self {
            Self::Live(bar) => {
                bar.set_position(now.as_secs());
                bar.set_message(line.to_owned());
            }
            Self::Plain(last) => {
                if now.saturating_sub(*last) >= PLAIN_PERIOD {
                    *last = now;
                    println!("{:4} s  {line}", now.as_secs());
                }
            }
        }
    }

    /// Something to be told once, above the line that lives.
    pub(crate) fn tell(&self, text: &str) {
        match self {
            Self::Live(bar) => bar.println(text),
            Self::Plain(_) => println!("{text}"),
        }
    }

    /// Takes the line that lives away.
    pub(crate) fn end(&self) {
        if let Self::Live(bar) = self {
            bar.finish_and_clear();
        }
    }
}

/// Rows as text.
pub(crate) fn table(rows: &[[String; 3]]) -> String {
    let mut table = Table::new();
    table.load_style(presets::UTF8_BORDERS_ONLY);
    table.set_content_arrangement(ContentArrangement::Dynamic).set_width(WIDTH);
    for row in rows {
        table.add_row(row);
    }
    table.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_tells_rates_since_the_one_before() {
        let flow = |frames, lost, gap| Flow { frames, lost, gap: Duration::from_millis(gap) };
        let earlier = Glance { video: flow(100, 0, 40), ..Glance::default() };
        let glance = Glance {
            people: 4,
            running: 3,
            over: 1,
            video: flow(150, 2, 83),
            audio: Flow::default(),
        };
        let usage = Usage { cores_mean: 0.5, memory_peak: 210_000_000, ..Usage::default() };
        assert_eq!(
            glance.line(&earlier, Duration::from_millis(500), Some(usage)),
            "3 of 4 in the call, 1 done | picture 100/s, 2 lost, gap 83 ms | server 0.50 cores, 210 MB"
        );
    }

    #[test]
    fn a_table_has_each_row_with_its_details() {
        let rows = [
            ["joins".to_owned(), "2 of 2".into(), String::new()],
            ["verdict".to_owned(), "failed".into(), "one thing\nanother thing".into()],
        ];
        let table = table(&rows);
        for text in ["joins", "2 of 2", "one thing", "another thing"] {
            assert!(table.contains(text), "{text} in\n{table}");
        }
        assert!(table.lines().all(|line| line.chars().count() <= usize::from(WIDTH)));
    }
}
