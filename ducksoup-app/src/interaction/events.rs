// SPDX-License-Identifier: MPL-2.0

//! The run's table of events, for those who analyse it: tidy, tab-separated, one event a line, times
//! in seconds of the run's timeline (0 is t0). The columns are those of BIDS' `_events.tsv`.

use ducksoup_signaller::protocol::Identifier;
use serde_json::{Map, Value, json};
use std::fmt::Write as _;

/// What has no value here (BIDS, "Tabular files").
const NONE: &str = "n/a";

macro_rules! kinds {
    ($($variant:ident $word:literal $meaning:literal)*) => {
        /// What happened; the `type` of a line.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Kind {
            $(#[doc = $meaning] $variant,)*
        }

        impl Kind {
            /// All of them, in the order of the dictionary.
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            /// As the table says it.
            #[must_use]
            pub const fn word(self) -> &'static str {
                match self {
                    $(Self::$variant => $word,)*
                }
            }

            /// What it means, with what stands in `target` and `value`.
            #[must_use]
            pub const fn meaning(self) -> &'static str {
                match self {
                    $(Self::$variant => $meaning,)*
                }
            }
        }
    };
}

kinds! {
    Started "started" "Everyone is ready: t0, the zero of the timeline."
    Ended "ended" "The duration is over."
    Aborted "aborted" "Not everyone came in time. In the log and the manifest; a run without a t0 has no table."
    Interrupted "interrupted" "The server stopped, or a part of it had to."
    Joined "joined" "The participant came. value: how often so far."
    Reconnected "reconnected" "The participant came again, by another connection. value: how often so far."
    Left "left" "The participant's connection is over. value: stopped, websocket_closed, lost, replaced, failed or interaction_over."
    FxAccepted "fx_accepted" "A command of an effect of the participant is taken; source: who gave it, n/a for one that brings the effect of who came back to its last value. target: effect.property; value: where to; duration: of the ramp."
    FxRefused "fx_refused" "A command of an effect of the participant is not taken; source: who gave it. target: effect.property; value: where to; the log tells why."
    FxStarted "fx_started" "A command takes effect. target: effect.property; value: where to; duration: of the ramp."
    FxApplied "fx_applied" "This value was really set: the first, the last and, while it moves, one every 100 ms. target: effect.property; value: the value."
    FxFinished "fx_finished" "A command has reached its value, or another took over. target: effect.property; value: the value reached."
    FxBypass "fx_bypass" "From here on the effect is a sham, or real again. value: true or false."
    TimeCorrected "time_corrected" "The participant's track is found to lie elsewhere on the timeline, and has been moved by so much since the line before. target: audio or video; value: ms, positive is later."
    Gap "gap" "Media did not come. In the file, sound is silent and the picture stands. target: the track; value: the file."
    KeyframeWait "keyframe_wait" "Pictures came, but no keyframe before them that they could be shown from. target: the track; value: the file."
    KeyframeAsked "keyframe_asked" "The participant's browser is asked for a keyframe. target: video; value: the cause, as of pli_sent in the log."
    Loss "loss" "The participant's browser reports that it lost more than a twentieth of another's packets. target: whose.audio or whose.video; value: packets."
    PicturePaused "picture_paused" "The participant's connection has no room for another's picture beside the sound: it is not sent to them from here on. target: whose.video."
    PictureResumed "picture_resumed" "It is sent again, from the next keyframe on. target: whose.video."
    PlayoutDelay "playout_delay" "How long the participant's browser keeps others' pictures before it shows them has changed. value: browser (as long as it holds for right) or at once, which holds before the first line."
    Estimate "estimate" "What the participant's connection can take of all that is sent to them has changed. value: bit/s."
    BitrateTarget "bitrate_target" "The encoder of the participant's track has a new target. target: audio or video; value: bit/s."
    Resolution "resolution" "Pictures have another size from here on, or a first one. target: the track; value: width x height, such as 640x480."
    RecordingOpened "recording_opened" "A file is made: its first media are of this time. target: what it holds; value: its name."
    RecordingFinished "recording_finished" "A file is complete: its last media end here. target: what it holds; value: its name."
    RecordingFailed "recording_failed" "A file cannot be made or goes no further. value: prefix, folder, create, write, kind or internal."
    RecordingOverflow "recording_overflow" "The disk does not keep up: media are left out of a file from here on. target: the track."
}

/// The columns: name, name for people, meaning, unit.
const COLUMNS: [(&str, &str, &str, Option<&str>); 7] = [
    (
        "onset",
        "Onset",
        "When it began, on the timeline of the run: 0 is t0, and zero in the files of those who were there at t0. Lines stand in this order in a run that came to its end.",
        Some("s"),
    ),
    ("duration", "Duration", "How long it took, where that is known.", Some("s")),
    ("participant", "Participant", "The user it happened to.", None),
    ("type", "Type of event", "What happened.", None),
    (
        "target",
        "Target",
        "What it happened to: a property, a track (dry_audio, dry_video: as it came; wet_audio, wet_video: as it was sent on) or a kind of file.",
        None,
    ),
    ("value", "Value", "What it became; see the type.", None),
    ("source", "Source", "The user who caused it, where another than the server did.", None),
];

/// The first line of the table.
#[must_use]
pub fn header() -> String {
    let names: Vec<_> = COLUMNS.iter().map(|(name, ..)| *name).collect();
    names.join("\t") + "\n"
}

/// The dictionary of the columns, as BIDS wants it beside a table.
#[must_use]
pub fn dictionary() -> Value {
    let mut columns = Map::new();
    for (name, long, description, units) in COLUMNS {
        let mut column = Map::new();
        column.insert("LongName".into(), long.into());
        column.insert("Description".into(), description.into());
        if let Some(units) = units {
            column.insert("Units".into(), units.into());
        }
        if name == "type" {
            let levels = Kind::ALL.iter().map(|kind| (kind.word().into(), kind.meaning().into()));
            column.insert("Levels".into(), Value::Object(levels.collect()));
        }
        columns.insert(name.into(), json!(column));
    }
    Value::Object(columns)
}

/// The lines of a table in the order of their onsets, which the end of a run brings them into: some
/// are known only later, such as gaps. The header stays where it is.
#[must_use]
pub fn sorted(table: &str) -> String {
    let mut lines: Vec<_> = table.split_inclusive('\n').collect();
    let onset = |line: &str| line.split('\t').next().and_then(|text| text.parse::<f64>().ok());
    if let Some((_, lines)) = lines.split_first_mut() {
        lines.sort_by(|a, b| {
            let (a, b) = (onset(a).unwrap_or(f64::MAX), onset(b).unwrap_or(f64::MAX));
            a.total_cmp(&b)
        });
    }
    lines.concat()
}

/// One event.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// When it began, in ns of the pipeline's running time.
    pub at: u64,
    /// How long it took, in ns, where that is known.
    pub duration: Option<u64>,
    /// Whose it is.
    pub participant: Option<Identifier>,
    /// What happened.
    pub kind: Kind,
    /// What it happened to, such as `effect.property`.
    pub target: Option<String>,
    /// What it became.
    pub value: Option<String>,
    /// Who caused it.
    pub source: Option<Identifier>,
}

impl Event {
    /// Something that happened at that time, of which no more is known yet.
    #[must_use]
    pub fn new(at: u64, kind: Kind) -> Self {
        Self {
            at,
            duration: None,
            participant: None,
            kind,
            target: None,
            value: None,
            source: None,
        }
    }

    /// Whose it is.
    #[must_use]
    pub fn of(self, participant: Option<&Identifier>) -> Self {
        Self { participant: participant.cloned(), ..self }
    }

    /// What it happened to.
    #[must_use]
    pub fn target(self, target: impl Into<String>) -> Self {
        Self { target: Some(target.into()), ..self }
    }

    /// What it became.
    #[must_use]
    pub fn value(self, value: &(impl ToString + ?Sized)) -> Self {
        Self { value: Some(value.to_string()), ..self }
    }

    /// How long it took, in ns.
    #[must_use]
    pub fn lasting(self, duration: Option<u64>) -> Self {
        Self { duration, ..self }
    }

    /// The event's line in a run whose t0 is at `zero`, in ns of the running time.
    #[must_use]
    pub fn line(&self, zero: u64) -> String {
        let mut line = String::new();
        let onset = i128::from(self.at) - i128::from(zero);
        // Writing into a String cannot fail.
        let _ = write!(line, "{}", seconds(onset));
        let duration = self.duration.map(|duration| seconds(duration.into()));
        let name = |user: &Option<Identifier>| user.as_ref().map(ToString::to_string);
        let (participant, source) = (name(&self.participant), name(&self.source));
        let kind = Some(self.kind.word().to_owned());
        let (target, value) = (self.target.clone(), self.value.clone());
        for column in [duration, participant, kind, target, value, source] {
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
        let ann = Identifier::new("ann").expect("valid");
        let event = Event::new(3_500_000_000, Kind::FxStarted)
            .of(Some(&ann))
            .lasting(Some(500_000_000))
            .target("voice.pitch")
            .value(&0.8);
        assert_eq!(
            event.line(1_000_000_000),
            "2.500000\t0.500000\tann\tfx_started\tvoice.pitch\t0.8\tn/a\n"
        );
        let event = Event { source: Some(ann), ..event };
        assert!(event.line(0).ends_with("\t0.8\tann\n"));
        assert_eq!(header().matches('\t').count(), event.line(0).matches('\t').count());
    }

    #[test]
    fn what_came_before_t0_is_negative_and_nothing_breaks_the_table() {
        let event = Event::new(250_000_500, Kind::Joined).target("a\tb\nc").value("");
        assert_eq!(event.line(1_000_000_000), "-0.750000\tn/a\tn/a\tjoined\ta b c\tn/a\tn/a\n");
    }

    #[test]
    fn the_dictionary_knows_every_column_and_type_once() {
        let dictionary = dictionary();
        let columns = header();
        for column in columns.trim().split('\t') {
            assert!(dictionary[column]["Description"].is_string(), "{column}");
        }
        assert_eq!(dictionary["onset"]["Units"], "s");
        let levels = dictionary["type"]["Levels"].as_object().expect("levels");
        assert_eq!(levels.len(), Kind::ALL.len(), "a word stands for two kinds");
        for word in levels.keys() {
            assert!(word.chars().all(|c| c.is_ascii_lowercase() || c == '_'), "{word}");
        }
    }

    #[test]
    fn the_documented_types_are_these() {
        const BEGIN: &str = "UPDATE_DOCS=1 cargo test -p ducksoup-app --lib events -->\n";
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/recordings.md");
        let text = std::fs::read_to_string(path).expect("docs/recordings.md");
        let (before, rest) = text.split_once(BEGIN).expect("a beginning");
        let (_, after) = rest.split_once("<!-- end").expect("an end");
        let rows: String = Kind::ALL
            .iter()
            .map(|kind| format!("| `{}` | {} |\n", kind.word(), kind.meaning()))
            .collect();
        let expected =
            format!("{before}{BEGIN}\n| type | meaning |\n|---|---|\n{rows}\n<!-- end{after}");
        if std::env::var_os("UPDATE_DOCS").is_some() {
            std::fs::write(path, &expected).expect("written");
        } else {
            assert!(text == expected, "docs/recordings.md: UPDATE_DOCS=1 rewrites the types");
        }
    }

    #[test]
    fn the_end_brings_lines_into_order() {
        let table = "onset\tx\n0.5\tb\n-1.25\ta\n10.0\td\n0.5\tc\n";
        assert_eq!(sorted(table), "onset\tx\n-1.25\ta\n0.5\tb\n0.5\tc\n10.0\td\n");
        assert_eq!(sorted(""), "");
    }
}
