// SPDX-License-Identifier: MPL-2.0

//! What setting a property means for the world outside, judged by what the property says of itself.
//!
//! The lists are of whole words of names (`eyes-profile`, not `viewport`), gathered from the
//! elements of GStreamer 1.22 and widened by what such properties are usually called. When in doubt
//! a text is a file. Pure, but for one question to the file system.

use std::path::Path;

/// Properties (by a word of their name) that reach out of the process.
const OUTSIDE_WORDS: [&str; 22] = [
    "uri",
    "url",
    "host",
    "hostname",
    "port",
    "ip",
    "address",
    "addr",
    "device",
    "socket",
    "fd",
    "script",
    "command",
    "exec",
    "server",
    "proxy",
    "display",
    "user",
    "password",
    "pid",
    "shm",
    "connection",
];

/// Text properties (by a word of their name) that name a file.
const FILE_WORDS: [&str; 22] = [
    "file",
    "files",
    "filename",
    "filepath",
    "location",
    "path",
    "paths",
    "folder",
    "dir",
    "directory",
    "model",
    "models",
    "profile",
    "cascade",
    "template",
    "library",
    "plugin",
    "module",
    "config",
    "image",
    "weights",
    "dump",
];

/// Words in the description of a text property that tell that it names a file.
const FILE_BLURB_WORDS: [&str; 7] =
    ["file", "filename", "filenames", "files", "path", "directory", "location"];

/// Text properties that are shown or drawn: a slash in them is a slash.
const PLAIN_WORDS: [&str; 6] = ["text", "font", "format", "label", "title", "message"];

/// Numbers beyond which an element takes the process down, by type of the element and property:
/// found by setting every property of every effect of GStreamer 1.22 to the ends of its range.
const LIMITS: [(&str, &str, f64); 7] = [
    ("GstAudioEcho", "delay", 60e9), // ns: both are allocated at once
    ("GstAudioEcho", "max-delay", 60e9),
    ("GstSpectrum", "bands", 65_536.0), // allocated for each channel
    ("GstAATv", "width", 4_096.0),      // characters
    ("GstAATv", "height", 4_096.0),
    ("GstCACATv", "canvas-width", 4_096.0),
    ("GstCACATv", "canvas-height", 4_096.0),
];

/// Whether `number` asks more of an element than the process has.
pub(super) fn is_too_much(owner: &str, property: &str, number: f64) -> bool {
    LIMITS
        .iter()
        .any(|(type_, name, limit)| *type_ == owner && *name == property && number > *limit)
}

/// What setting a property means for the world outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Meaning {
    /// Nothing: a number, a switch, a text to be drawn.
    Plain,
    /// A text of which nothing is known: a file, if it looks like one.
    Unknown,
    /// A file.
    File,
    /// The process's surroundings.
    Outside,
}

/// What setting the property `name` means, by its name, its description and whether it is a text.
pub(super) fn meaning(name: &str, blurb: &str, is_text: bool) -> Meaning {
    let words: Vec<String> = name
        .split(|character: char| !character.is_ascii_alphanumeric())
        .map(str::to_ascii_lowercase)
        .collect();
    let has = |list: &[&str]| words.iter().any(|word| list.contains(&word.as_str()));
    let ends = |list: &[&str]| words.iter().any(|word| list.iter().any(|end| word.ends_with(end)));
    if has(&OUTSIDE_WORDS) || (is_text && ends(&["uri", "url"])) {
        Meaning::Outside
    } else if !is_text {
        Meaning::Plain
    } else if has(&FILE_WORDS) || ends(&["file", "filename", "path", "location", "dir"]) {
        Meaning::File
    } else if has(&PLAIN_WORDS) {
        Meaning::Plain
    } else if blurb
        .split(|character: char| !character.is_ascii_alphanumeric())
        .any(|word| FILE_BLURB_WORDS.contains(&word.to_ascii_lowercase().as_str()))
    {
        Meaning::File
    } else {
        Meaning::Unknown
    }
}

/// Whether a text of which nothing is known may be a file.
pub(super) fn looks_like_file(value: &str) -> bool {
    value.contains(['/', '\\']) || value.starts_with(['.', '~']) || Path::new(value).exists()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_take_the_process_down_is_too_much() {
        assert!(is_too_much("GstAudioEcho", "max-delay", 61e9));
        assert!(!is_too_much("GstAudioEcho", "max-delay", 5e9));
        assert!(!is_too_much("GstVolume", "volume", 1e18));
    }

    #[test]
    fn a_property_means_what_its_name_and_description_say() {
        use Meaning::{File, Outside, Plain, Unknown};
        for (name, blurb, is_text, wanted) in [
            ("pitch", "Audio stream pitch", false, Plain),
            ("viewport-x", "", false, Plain),
            ("support", "", true, Unknown),
            ("port", "", false, Outside),
            ("device-id", "", false, Outside),
            ("http_proxy", "", true, Outside),
            ("uri", "", true, Outside),
            ("suburi", "", true, Outside),
            ("location", "", true, File),
            ("eyes-profile", "", true, File),
            ("profile", "", false, Plain),
            ("shape-model", "", true, File),
            ("logfile", "", true, File),
            ("xmlpath", "", true, File),
            ("deform", "Deformation file to load", true, File),
            ("text", "Text to be displayed, or a file", true, Plain),
            ("font-desc", "Pango font description", true, Plain),
            ("deform", "Deformation", true, Unknown),
        ] {
            assert_eq!(meaning(name, blurb, is_text), wanted, "{name}");
        }
    }
}
