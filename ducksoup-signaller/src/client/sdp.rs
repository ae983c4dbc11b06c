// SPDX-License-Identifier: MPL-2.0

//! Session descriptions as text, pure: whose section is whose, and directions that change.
//!
//! webrtcbin 1.22 refuses a section whose direction changes ("transceiver direction changes are
//! not implemented"). So it never hears of one: [`Description::revealed`] is the offer as it reads
//! it, where a section that is inactive for now goes on as before; [`Description::hidden`] is the
//! answer as the server reads it, where such a section is inactive.

use std::collections::{BTreeMap, BTreeSet};

/// Longest description, in bytes. Ours: eight participants need a tenth of it.
pub(super) const MAX_SDP: usize = 256 * 1024;
/// Most media sections. Ours: eight participants need 16.
const MAX_SECTIONS: usize = 64;
/// The attributes that say a direction (RFC 8866, section 6.7).
const DIRECTIONS: [&str; 4] = ["sendrecv", "sendonly", "recvonly", "inactive"];

/// Why a text is of no use as a session description.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SdpError {
    /// No `v=0` at its beginning, or a NUL in it.
    #[error("it is no session description")]
    NotSdp,
    /// Longer than any that makes sense.
    #[error("it has {0} bytes")]
    TooLong(usize),
    /// No media section, or too many.
    #[error("it has {0} media sections")]
    Sections(usize),
}

/// The directions that sections had when they were seen active, by index.
pub(super) type Known = BTreeMap<usize, &'static str>;

/// A description in lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Description {
    head: Vec<String>,
    sections: Vec<Vec<String>>,
}

impl Description {
    /// Splits a description.
    pub(super) fn parse(text: &str) -> Result<Self, SdpError> {
        if text.len() > MAX_SDP {
            return Err(SdpError::TooLong(text.len()));
        }
        let lines: Vec<&str> = text.lines().map(str::trim_end).collect();
        if lines.first() != Some(&"v=0") || text.contains('\0') {
            return Err(SdpError::NotSdp);
        }
        let mut description = Self { head: Vec::new(), sections: Vec::new() };
        for line in lines {
            if line.starts_with("m=") {
                description.sections.push(Vec::new());
            }
            description.sections.last_mut().unwrap_or(&mut description.head).push(line.to_owned());
        }
        match description.sections.len() {
            1..=MAX_SECTIONS => Ok(description),
            count => Err(SdpError::Sections(count)),
        }
    }

    /// The ids of the media sections.
    pub(super) fn mids(&self) -> Vec<Option<String>> {
        let mid = |section: &Vec<String>| {
            section.iter().find_map(|line| line.strip_prefix("a=mid:")).map(str::to_owned)
        };
        self.sections.iter().map(mid).collect()
    }

    /// The offer with each section that is inactive as it was before, and which these are. One that
    /// never was active is as if the server sent: it has nothing else to hide.
    pub(super) fn revealed(mut self, known: &mut Known) -> (String, BTreeSet<usize>) {
        let mut hidden = BTreeSet::new();
        for (index, section) in self.sections.iter_mut().enumerate() {
            match direction(section) {
                // A rejected section has no direction.
                _ if is_rejected(section) => {}
                Some("inactive") => {
                    turn(section, known.get(&index).copied().unwrap_or("sendonly"));
                    hidden.insert(index);
                }
                Some(active) => {
                    known.insert(index, active);
                }
                None => {}
            }
        }
        (self.text(), hidden)
    }

    /// The answer with these sections inactive.
    pub(super) fn hidden(mut self, hidden: &BTreeSet<usize>) -> String {
        for (index, section) in self.sections.iter_mut().enumerate() {
            if hidden.contains(&index) && !is_rejected(section) {
                turn(section, "inactive");
            }
        }
        self.text()
    }

    fn text(&self) -> String {
        let lines = self.head.iter().chain(self.sections.iter().flatten());
        lines.flat_map(|line| [line.as_str(), "\r\n"]).collect()
    }
}

/// Whether the section's port is 0 outside of a bundle (RFC 3264, section 6; RFC 8843, section 6).
fn is_rejected(section: &[String]) -> bool {
    let port = section.first().and_then(|line| line.split_whitespace().nth(1));
    port == Some("0") && !section.iter().any(|line| line == "a=bundle-only")
}

fn direction(section: &[String]) -> Option<&'static str> {
    let said = section.iter().find_map(|line| {
        let attribute = line.strip_prefix("a=")?;
        DIRECTIONS.into_iter().find(|direction| *direction == attribute)
    });
    // What holds when none is said (RFC 8866, section 6.7).
    said.or(Some("sendrecv"))
}

fn turn(section: &mut Vec<String>, direction: &str) {
    let is_direction = |line: &String| {
        line.strip_prefix("a=").is_some_and(|attribute| DIRECTIONS.contains(&attribute))
    };
    section.retain(|line| !is_direction(line));
    section.push(format!("a={direction}"));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(directions: &[&str]) -> String {
        let sections: String = (0..)
            .zip(directions)
            .map(|(index, direction)| {
                format!("m=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=mid:{index}\r\na={direction}\r\n")
            })
            .collect();
        format!("v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\n{sections}")
    }

    fn directions(text: &str) -> Vec<&'static str> {
        let description = Description::parse(text).expect("SDP");
        description.sections.iter().map(|section| direction(section).expect("one")).collect()
    }

    #[test]
    fn a_section_that_is_inactive_goes_on_as_it_was() {
        let mut known = Known::new();
        for (offered, read, expected) in [
            (vec!["recvonly", "sendonly"], vec!["recvonly", "sendonly"], vec![]),
            (vec!["recvonly", "inactive"], vec!["recvonly", "sendonly"], vec![1]),
            (vec!["inactive", "inactive"], vec!["recvonly", "sendonly"], vec![0, 1]),
            (
                vec!["recvonly", "sendonly", "inactive"],
                vec!["recvonly", "sendonly", "sendonly"],
                vec![2],
            ),
        ] {
            let offer = Description::parse(&text(&offered)).expect("SDP");
            let (revealed, hidden) = offer.revealed(&mut known);
            assert_eq!(directions(&revealed), read, "{offered:?}");
            assert_eq!(hidden, expected.into_iter().collect(), "{offered:?}");
        }
    }

    #[test]
    fn what_was_hidden_is_inactive_in_the_answer() {
        let answer = Description::parse(&text(&["sendonly", "recvonly"])).expect("SDP");
        assert_eq!(answer.mids(), [Some("0".to_owned()), Some("1".to_owned())]);
        let text = answer.hidden(&BTreeSet::from([1, 9]));
        assert_eq!(directions(&text), ["sendonly", "inactive"]);
        assert!(text.ends_with("\r\n") && !text.contains("\r\n\r\n"), "{text}");
    }

    #[test]
    fn a_rejected_section_stays_as_it_is() {
        let offer = "v=0\r\nm=video 0 UDP/TLS/RTP/SAVPF 96\r\na=inactive\r\n";
        let (text, hidden) = Description::parse(offer).expect("SDP").revealed(&mut Known::new());
        assert_eq!((text.as_str(), hidden.len()), (offer, 0));
    }

    #[test]
    fn rubbish_is_no_description() {
        let sections = |count| format!("v=0\n{}", "m=audio 9 x 0\n".repeat(count));
        for (text, error) in [
            ("", SdpError::NotSdp),
            ("rubbish", SdpError::NotSdp),
            ("v=0\r\nm=\0", SdpError::NotSdp),
            ("v=0\r\ns=-\r\n", SdpError::Sections(0)),
            (&sections(MAX_SECTIONS + 1), SdpError::Sections(MAX_SECTIONS + 1)),
            (&"x".repeat(MAX_SDP + 1), SdpError::TooLong(MAX_SDP + 1)),
        ] {
            assert_eq!(Description::parse(text), Err(error));
        }
        assert!(Description::parse(&sections(MAX_SECTIONS)).is_ok());
    }
}
