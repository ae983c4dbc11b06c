// SPDX-License-Identifier: MPL-2.0

//! `server.yml`, `sfu.yml`, `gst.yml`: embedded; a file of the same name under `config/` of the
//! working directory wins.

use super::ConfigError;
use super::gst::{self, Gst};
use ducksoup_signaller::frame::BitrateRange;
use rust_embed::RustEmbed;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::borrow::Cow;
use std::io::ErrorKind;
use std::path::Path;

/// The folder of the defaults, in the program.
#[derive(Debug, RustEmbed)]
#[folder = "config"]
struct Embedded;

/// The three files, read.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Files {
    pub(super) server: Server,
    pub(super) sfu: Sfu,
    pub(super) gst: Gst,
}

/// `server.yml`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Server {
    #[serde(rename = "generateStats")]
    pub(super) generate_stats: bool,
}

/// `sfu.yml`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Sfu {
    pub(super) audio: BitrateRange,
    pub(super) video: BitrateRange,
}

impl Files {
    /// Reads the files for a working directory.
    pub(super) fn read(working: &Path) -> Result<Self, ConfigError> {
        let sfu: Sfu = parse(working, "sfu.yml")?;
        for (name, range) in [("audio", sfu.audio), ("video", sfu.video)] {
            if range.min == 0 || range.min > range.default || range.default > range.max {
                return Err(ConfigError::File {
                    file: "config/sfu.yml",
                    reason: format!("{name}: 0 < min <= default <= max does not hold"),
                });
            }
        }
        let embedded = Embedded::get("gst.yml").map(|file| file.data).unwrap_or_default();
        let gst = gst::check(parse_bytes("gst.yml", &embedded)?, parse(working, "gst.yml")?)
            .map_err(|reason| ConfigError::File { file: "config/gst.yml", reason })?;
        Ok(Self { server: parse(working, "server.yml")?, sfu, gst })
    }
}

/// One file of `config/`, as `/config/<name>` shows it and as it counts. Only names that the
/// program knows are looked for on the disk.
pub(crate) fn read(working: &Path, name: &str) -> Option<Result<Cow<'static, [u8]>, String>> {
    let embedded = Embedded::get(name)?;
    Some(match std::fs::read(working.join("config").join(name)) {
        Ok(own) => Ok(Cow::Owned(own)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(embedded.data),
        Err(error) => Err(error.to_string()),
    })
}

fn parse<T: DeserializeOwned>(working: &Path, name: &'static str) -> Result<T, ConfigError> {
    let refuse = |reason| ConfigError::File { file: path(name), reason };
    let bytes = read(working, name).ok_or_else(|| refuse("is missing".into()))?.map_err(refuse)?;
    parse_bytes(name, &bytes)
}

fn parse_bytes<T: DeserializeOwned>(name: &'static str, bytes: &[u8]) -> Result<T, ConfigError> {
    let refuse = |reason| ConfigError::File { file: path(name), reason };
    let text = std::str::from_utf8(bytes).map_err(|_| refuse("is no UTF-8 text".into()))?;
    serde_saphyr::from_str(text).map_err(|error| {
        let sentence = error.to_string();
        refuse(sentence.lines().next().unwrap_or("is no YAML").to_owned())
    })
}

/// Where the operator finds a file, for sentences.
fn path(name: &str) -> &'static str {
    match name {
        "server.yml" => "config/server.yml",
        "sfu.yml" => "config/sfu.yml",
        _ => "config/gst.yml",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_embedded_files_hold_the_documented_numbers() {
        let empty = tempfile::tempdir().expect("a folder");
        let files = Files::read(empty.path()).expect("valid");
        assert!(files.server.generate_stats);
        assert_eq!(files.gst.latency, 150);
        assert_eq!(
            (files.sfu.audio, files.sfu.video),
            (
                BitrateRange { default: 64_000, min: 32_000, max: 64_000 },
                BitrateRange { default: 800_000, min: 150_000, max: 1_800_000 }
            )
        );
    }

    #[test]
    fn a_file_of_the_working_directory_wins_and_its_faults_are_named() {
        let working = tempfile::tempdir().expect("a folder");
        let folder = working.path().join("config");
        std::fs::create_dir(&folder).expect("created");
        std::fs::write(folder.join("server.yml"), "generateStats: false\n").expect("written");
        assert!(!Files::read(working.path()).expect("valid").server.generate_stats);
        for (file, text) in [
            ("server.yml", "generateStats: maybe\n"),
            ("server.yml", "generateStat: true\n"),
            ("gst.yml", "rtpjitterbuffer: {latency: -1}\n"),
            (
                "sfu.yml",
                "audio: {default: 1, min: 2, max: 3}\nvideo: {default: 1, min: 1, max: 1}\n",
            ),
            ("gst.yml", "\u{0}"),
        ] {
            std::fs::write(folder.join(file), text).expect("written");
            let error = Files::read(working.path()).expect_err(text).to_string();
            assert!(error.contains(&format!("config/{file}")), "{error}");
            assert!(!error.contains('\n'), "one sentence: {error}");
            std::fs::remove_file(folder.join(file)).expect("removed");
        }
    }

    #[test]
    fn other_files_of_the_folder_are_not_shown() {
        let working = tempfile::tempdir().expect("a folder");
        let folder = working.path().join("config");
        std::fs::create_dir(&folder).expect("created");
        std::fs::write(folder.join("key.pem"), "secret").expect("written");
        assert!(read(working.path(), "key.pem").is_none());
        assert!(read(working.path(), "../config/sfu.yml").is_none());
    }
}
