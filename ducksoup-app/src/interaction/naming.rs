// SPDX-License-Identifier: MPL-2.0

//! Where things are on disk, and what they are called. File names are an interface: researchers'
//! scripts split them on `-` by position from both ends (`docs/recordings.md`).
//!
//! The only place where a client's words become a path; they come as [`Identifier`]s, which hold
//! nothing but letters, digits, `-` and `_`.

use ducksoup_signaller::protocol::Identifier;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use std::path::PathBuf;

/// What makes a run, and its folder below the data folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    /// The study.
    pub namespace: Identifier,
    /// The interaction's name.
    pub interaction: Identifier,
    /// The run's random id.
    pub id: Identifier,
}

impl Run {
    /// `<namespace>/<interaction>`.
    #[must_use]
    pub fn folder(&self) -> PathBuf {
        PathBuf::from(self.namespace.as_str()).join(self.interaction.as_str())
    }

    /// `<namespace>/<interaction>/recordings`.
    #[must_use]
    pub fn recordings(&self) -> PathBuf {
        self.folder().join("recordings")
    }

    /// `<namespace>/<interaction>/<interaction>.log`.
    #[must_use]
    pub fn log(&self) -> PathBuf {
        self.folder().join(format!("{}.log", self.interaction))
    }

    /// `<namespace>/<interaction>/i-<id>.json`.
    #[must_use]
    pub fn manifest(&self) -> PathBuf {
        self.folder().join(format!("i-{}.json", self.id))
    }

    /// `<namespace>/<interaction>/i-<id>-events.tsv`.
    #[must_use]
    pub fn events(&self) -> PathBuf {
        self.folder().join(format!("i-{}-events.tsv", self.id))
    }

    /// `<namespace>/<interaction>/i-<id>-events.json`: what the columns of the table mean.
    #[must_use]
    pub fn dictionary(&self) -> PathBuf {
        self.folder().join(format!("i-{}-events.json", self.id))
    }

    /// `<namespace>/<interaction>/plots/<prefix>-plots.pdf`, with the prefix of recordings: `start` is
    /// the run's and `count` the latest of the user's connections, all of which are shown.
    #[must_use]
    pub fn plots(&self, start: Timestamp, user: &Identifier, count: u32) -> PathBuf {
        let prefix = self.recording_prefix(start, user, count);
        self.folder().join("plots").join(format!("{prefix}-plots.pdf"))
    }

    /// The common beginning of a connection's file names; `start` is when its recording begins and
    /// `count` how often the user has connected.
    #[must_use]
    pub fn recording_prefix(&self, start: Timestamp, user: &Identifier, count: u32) -> String {
        let Self { namespace, interaction, id } = self;
        let start = stamp(start);
        format!("i-{id}-a-{start}-s-{namespace}-n-{interaction}-u-{user}-c-{count}")
    }
}

/// `20060102-150405.000`, UTC: the time in file names and logs.
#[must_use]
pub fn stamp(time: Timestamp) -> String {
    time.to_zoned(TimeZone::UTC).strftime("%Y%m%d-%H%M%S.%3f").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_the_documented_ones() {
        let identifier = |text| Identifier::new(text).expect("valid");
        let run = Run {
            namespace: identifier("study"),
            interaction: identifier("dyad_7"),
            id: identifier("Ab12Cd34"),
        };
        let start: Timestamp = "2026-11-21T10:17:18.0456Z".parse().expect("a time");
        assert_eq!(
            run.recording_prefix(start, &identifier("p-1"), 2),
            "i-Ab12Cd34-a-20261121-101718.045-s-study-n-dyad_7-u-p-1-c-2"
        );
        assert_eq!(
            run.plots(start, &identifier("p-1"), 2),
            PathBuf::from(
                "study/dyad_7/plots/\
                 i-Ab12Cd34-a-20261121-101718.045-s-study-n-dyad_7-u-p-1-c-2-plots.pdf"
            )
        );
        assert_eq!(run.log(), PathBuf::from("study/dyad_7/dyad_7.log"));
        assert_eq!(run.manifest(), PathBuf::from("study/dyad_7/i-Ab12Cd34.json"));
        assert_eq!(run.events(), PathBuf::from("study/dyad_7/i-Ab12Cd34-events.tsv"));
        assert_eq!(run.recordings(), PathBuf::from("study/dyad_7/recordings"));
    }
}
