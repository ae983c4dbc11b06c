// SPDX-License-Identifier: MPL-2.0

//! The run's table of events, for those who analyse it: tidy, tab-separated, one event a line, times
//! in seconds of the run's timeline (0 is t0). The columns are those of BIDS' `_events.tsv`.

use ducksoup_signaller::protocol::Identifier;
use std::fmt::Write as _;

/// The first line of the table.
pub const HEADER: &str = "onset\tduration\tparticipant\ttype\ttarget\tvalue\n";

/// What has no value here (BIDS, "Tabular files").
const NONE: &str = "n/a";

/// One event.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// When it began, in ns of the pipeline's running time.
    pub at: u64,
    /// How long it took, in ns, where that is known when it begins.
    pub duration: Option<u64>,
    /// Whose it is.
    pub participant: Option<Identifier>,
    /// What happened.
    pub kind: &'static str,
    /// What it happened to, such as `effect.property`.
    pub target: Option<String>,
    /// What it became.
    pub value: Option<String>,
}

impl Event {
    /// The event's line in a run whose t0 is at `zero`, in ns of the running time.
    #[must_use]
    pub fn line(&self, zero: u64) -> String {
        let mut line = String::new();
        let onset = i128::from(self.at) - i128::from(zero);
        // Writing into a String cannot fail.
        let _ = write!(line, "{}", seconds(onset));
        let duration = self.duration.map(|duration| seconds(duration.into()));
        let participant = self.participant.as_ref().map(ToString::to_string);
        let kind = Some(self.kind.to_owned());
        for column in [duration, participant, kind, self.target.clone(), self.value.clone()] {
            line.push('\t');
            line.push_str(&column.map_or_else(|| NONE.to_owned(), |text| plain(&text)));
        }
        line.push('\n');
        line
    }
}

/// Nanoseconds as seconds, to the microsecond.
fn seconds(nanoseconds: i128) -> String {
    let microseconds = nanoseconds.div_euclid(1000);
    let sign = if microseconds < 0 { "-" } else { "" };
    let microseconds = microseconds.unsigned_abs();
    format!("{sign}{}.{:06}", microseconds / 1_000_000, microseconds % 1_000_000)
}

/// A text that cannot break the table; an empty one is none.
fn plain(text: &str) -> String {
    let text: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    if text.trim().is_empty() { NONE.to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_when_who_what() {
        let event = Event {
            at: 3_500_000_000,
            duration: Some(500_000_000),
            participant: Some(Identifier::new("ann").expect("valid")),
            kind: "fx_started",
            target: Some("voice.pitch".into()),
            value: Some("0.8".into()),
        };
        assert_eq!(
            event.line(1_000_000_000),
            "2.500000\t0.500000\tann\tfx_started\tvoice.pitch\t0.8\n"
        );
        assert_eq!(HEADER.matches('\t').count(), event.line(0).matches('\t').count());
    }

    #[test]
    fn what_came_before_t0_is_negative_and_nothing_breaks_the_table() {
        let event = Event {
            at: 250_000_500,
            duration: None,
            participant: None,
            kind: "joined",
            target: Some("a\tb\nc".into()),
            value: Some(String::new()),
        };
        assert_eq!(event.line(1_000_000_000), "-0.750000\tn/a\tn/a\tjoined\ta b c\tn/a\n");
    }
}
