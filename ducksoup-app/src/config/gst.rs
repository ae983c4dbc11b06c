// SPDX-License-Identifier: MPL-2.0

//! `gst.yml`: properties of elements, by section. A section that a file leaves out is the
//! embedded one's; a section that the embedded file does not have means nothing.

use ducksoup_signaller::frame::Properties;
use serde::Deserialize;
use std::collections::BTreeMap;

/// The section of the jitter buffer.
const JITTER_BUFFER: &str = "rtpjitterbuffer";
/// Its longest wait, in ms; ours: more than anybody waits for an answer.
const MAX_LATENCY: u32 = 10_000;

/// The file, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Gst {
    /// Ceiling of what a missing packet is waited for, in ms.
    pub(super) latency: u32,
    /// All other properties, by section.
    pub(super) elements: BTreeMap<String, Properties>,
}

/// A section as it is written: YAML's own numbers and booleans are texts to us.
pub(super) type Sections = BTreeMap<String, BTreeMap<String, Scalar>>;

/// A property's value as it is written.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(untagged)]
pub(super) enum Scalar {
    /// `true`, `false`.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// Any other number.
    Float(f64),
    /// Anything else.
    Text(String),
}

impl Scalar {
    fn into_text(self) -> String {
        match self {
            Self::Bool(value) => value.to_string(),
            Self::Int(value) => value.to_string(),
            Self::Float(value) => value.to_string(),
            Self::Text(value) => value,
        }
    }
}

/// Checks a file against the embedded one.
///
/// # Errors
/// A sentence that names the key.
pub(super) fn check(embedded: Sections, own: Sections) -> Result<Gst, String> {
    if let Some(unknown) = own.keys().find(|section| !embedded.contains_key(*section)) {
        let known: Vec<_> = embedded.keys().map(String::as_str).collect();
        return Err(format!("{unknown} is none of the sections {}", known.join(", ")));
    }
    let mut sections = embedded;
    sections.extend(own);
    let mut elements = BTreeMap::new();
    for (section, properties) in sections {
        let mut checked = Properties::new();
        for (name, value) in properties {
            let value = value.into_text();
            plain_name(&name).map_err(|reason| format!("{section}.{name}: {reason}"))?;
            if !plain_value(&value) {
                return Err(format!(
                    "{section}.{name}: {value:?} is no plain word (letters, digits and - _ + . : / =)"
                ));
            }
            checked.insert(name, value);
        }
        elements.insert(section, checked);
    }
    let latency = elements.get_mut(JITTER_BUFFER).and_then(|section| section.remove("latency"));
    let latency = latency.unwrap_or_default();
    match latency.parse() {
        Ok(ms) if ms <= MAX_LATENCY => Ok(Gst { latency: ms, elements }),
        _ => Err(format!(
            "{JITTER_BUFFER}.latency: {latency:?} is not a number of milliseconds from 0 to {MAX_LATENCY}"
        )),
    }
}

/// Property names as GObject writes them. An element's own name belongs to `pipelines/`, which
/// finds it by that.
fn plain_name(name: &str) -> Result<(), &'static str> {
    let rest = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if !name.starts_with(|c: char| c.is_ascii_alphabetic()) || !name.chars().all(rest) {
        return Err("is not a property's name (letters, digits and -)");
    }
    if name == "name" {
        return Err("an element's name stands in pipelines/");
    }
    Ok(())
}

/// What a launch line takes without quotes.
fn plain_value(value: &str) -> bool {
    !value.is_empty() && value.chars().all(|c| c.is_ascii_alphanumeric() || "-_+.:/=".contains(c))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sections(text: &str) -> Sections {
        serde_saphyr::from_str(text).expect("YAML")
    }

    const EMBEDDED: &str = "rtpjitterbuffer: {latency: 150}\nx264: {threads: 1}\nopus: {}\n";

    fn checked(own: &str) -> Result<Gst, String> {
        check(sections(EMBEDDED), sections(own))
    }

    #[test]
    fn values_are_texts_and_sections_left_out_are_the_embedded_ones() {
        let own =
            "x264: {speed-preset: ultrafast, key-int-max: 250, b-adapt: true, ip-factor: 1.5}";
        let gst = checked(own).expect("valid");
        assert_eq!(gst.latency, 150);
        let x264: Vec<_> =
            gst.elements["x264"].iter().map(|(name, value)| format!("{name}={value}")).collect();
        assert_eq!(
            x264,
            ["b-adapt=true", "ip-factor=1.5", "key-int-max=250", "speed-preset=ultrafast"]
        );
        assert!(gst.elements["opus"].is_empty() && gst.elements["rtpjitterbuffer"].is_empty());
        let gst = checked("rtpjitterbuffer: {latency: 0, do-lost: true}").expect("valid");
        assert_eq!(gst.latency, 0);
        assert_eq!(gst.elements["rtpjitterbuffer"]["do-lost"], "true");
        assert_eq!(gst.elements["x264"]["threads"], "1");
    }

    #[test]
    fn a_fault_is_told_by_its_key() {
        for (own, key) in [
            ("x265: {threads: 1}", "x265 is none of the sections opus, rtpjitterbuffer, x264"),
            ("x264: {speed preset: fast}", "x264.speed preset: "),
            ("x264: {1st: fast}", "x264.1st: "),
            ("x264: {name: other}", "x264.name: "),
            ("x264: {speed-preset: fast ! filesink}", "x264.speed-preset: "),
            ("x264: {speed-preset: \"a\\nb\"}", "x264.speed-preset: "),
            ("x264: {option-string: \"\"}", "x264.option-string: "),
            ("x264: {option-string: \"a=\\\"b\\\"\"}", "x264.option-string: "),
            ("rtpjitterbuffer: {latency: soon}", "rtpjitterbuffer.latency: "),
            ("rtpjitterbuffer: {latency: 10001}", "rtpjitterbuffer.latency: "),
            ("rtpjitterbuffer: {do-lost: true}", "rtpjitterbuffer.latency: "),
        ] {
            let error = checked(own).expect_err(own);
            assert!(error.starts_with(key), "{own}: {error}");
            assert!(!error.contains('\n'), "one sentence: {error}");
        }
    }
}
