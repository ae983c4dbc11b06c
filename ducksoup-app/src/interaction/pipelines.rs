// SPDX-License-Identifier: MPL-2.0

//! The files under `pipelines/`, as they stood when the stage opened: a run never mixes two versions
//! of them. What a chain is made of is text; [`chain`](super::chain) builds it.

use super::gpu::{Device, Devices};
use super::sdp::{Codec, Kind};
use super::template::{self, TemplateError};
use ducksoup_signaller::frame::{BitrateRange, Properties};
use ducksoup_signaller::protocol::{JoinOptions, RecordingMode};
use rust_embed::RustEmbed;
use serde::Deserialize;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::Path;

/// The descriptions this program was built with.
#[derive(RustEmbed)]
#[folder = "../pipelines"]
#[include = "*.yml"]
struct Embedded;

/// The folder of the working directory whose files are taken instead of the embedded ones of the
/// same name.
const FOLDER: &str = "pipelines";

/// The file of everything that several modes use.
const PIECES: &str = "codecs.yml";

/// Every recording mode.
pub const MODES: [RecordingMode; 9] = [
    RecordingMode::Forced,
    RecordingMode::Free,
    RecordingMode::Reenc,
    RecordingMode::Split,
    RecordingMode::None,
    RecordingMode::Passthrough,
    RecordingMode::RtpbinOnly,
    RecordingMode::Direct,
    RecordingMode::Bypass,
];

/// The file of a mode.
fn file(mode: RecordingMode) -> &'static str {
    match mode {
        RecordingMode::Forced => "forced.yml",
        RecordingMode::Free => "free.yml",
        RecordingMode::Reenc => "reenc.yml",
        RecordingMode::Split => "split.yml",
        RecordingMode::None => "none.yml",
        RecordingMode::Passthrough => "passthrough.yml",
        RecordingMode::RtpbinOnly => "rtpbin_only.yml",
        RecordingMode::Direct => "direct.yml",
        RecordingMode::Bypass => "bypass.yml",
    }
}

/// Why there is no description: always the operator's or our own mistake, never a client's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PipelinesError {
    /// There is no such file.
    #[error("pipelines/{0} is missing")]
    Missing(&'static str),
    /// The file is not what it must be.
    #[error("pipelines/{0}: {1}")]
    File(&'static str, String),
    /// A name in the file means nothing.
    #[error("pipelines: {0}")]
    Template(#[from] TemplateError),
}

/// One recording mode, as its file describes it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mode {
    /// What files there are.
    pub layout: Layout,
    /// Whether media are decoded, changed and encoded again.
    pub effects: bool,
    /// The jitter buffer in ms, where it is not the server's setting.
    #[serde(default)]
    pub jitter_buffer: Option<u32>,
    /// The chain of sound.
    audio: String,
    /// The chain of pictures.
    video: String,
}

/// What files a mode writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Layout {
    /// Sound and picture in one file.
    Muxed,
    /// A file for each.
    Split,
    /// No files.
    None,
}

/// `codecs.yml`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Pieces {
    opus: CodecPieces,
    h264: CodecPieces,
    vp8: CodecPieces,
    nv264: GpuPieces,
    picture: PicturePieces,
}

/// What a codec is made of.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
struct CodecPieces {
    depay: String,
    decode: String,
    encode: String,
    #[serde(default)]
    encode_dry: Option<String>,
    pay: String,
}

/// What a codec does on a GPU; the rest is the CPU's.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
struct GpuPieces {
    decode: String,
    encode: String,
}

/// What is done with raw pictures.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
struct PicturePieces {
    scale: String,
    scale_cuda: String,
    overlay: String,
}

/// What a chain is filled in with.
#[derive(Debug, Clone, Copy)]
pub struct Values<'a> {
    /// The participant's options.
    pub options: &'a JoinOptions,
    /// The encoder's range.
    pub bitrates: BitrateRange,
    /// The longest wait for a missing packet, in ms.
    pub jitter_buffer: u32,
    /// The sections of `config/gst.yml`.
    pub elements: &'a BTreeMap<String, Properties>,
    /// What works on a GPU.
    pub devices: Devices,
    /// Whether the picture shows the run's time.
    pub overlay: bool,
}

/// See the module.
#[derive(Debug, Clone)]
pub struct Pipelines {
    pieces: Result<Pieces, PipelinesError>,
    modes: BTreeMap<&'static str, Result<Mode, PipelinesError>>,
}

impl Pipelines {
    /// Reads all files for a working directory. One that is wrong is an error for those who ask for
    /// it, and for nobody else.
    #[must_use]
    pub fn read(working: &Path) -> Self {
        Self {
            pieces: parse(working, PIECES),
            modes: MODES.map(file).map(|file| (file, parse(working, file))).into(),
        }
    }

    /// The description of a recording mode.
    ///
    /// # Errors
    /// When its file is wrong.
    pub fn mode(&self, mode: RecordingMode) -> Result<&Mode, PipelinesError> {
        let file = file(mode);
        let mode = self.modes.get(file).ok_or(PipelinesError::Missing(file))?;
        mode.as_ref().map_err(Clone::clone)
    }

    /// The text of a chain.
    ///
    /// # Errors
    /// When a file is wrong.
    pub fn describe(
        &self,
        mode: &Mode,
        codec: Codec,
        values: Values<'_>,
    ) -> Result<String, PipelinesError> {
        let pieces = self.pieces()?;
        let names = pieces.names(codec, values);
        let text = match codec.kind() {
            Kind::Audio => &mode.audio,
            Kind::Video => &mode.video,
        };
        Ok(template::fill(text, &names)?)
    }

    /// The text that encodes and decodes pictures on the GPU: raw in, raw out.
    ///
    /// # Errors
    /// When a file is wrong.
    pub fn gpu_codec(
        &self,
        elements: &BTreeMap<String, Properties>,
    ) -> Result<String, PipelinesError> {
        let GpuPieces { decode, encode } = &self.pieces()?.nv264;
        Ok(template::fill(&format!("{encode} ! {decode}"), &sections(elements).collect())?)
    }

    /// The text that scales raw pictures to a size on the GPU.
    ///
    /// # Errors
    /// When a file is wrong.
    pub fn gpu_scale(&self, width: u32, height: u32) -> Result<String, PipelinesError> {
        let names = [("width", width), ("height", height)]
            .map(|(name, value)| (name.to_owned(), value.to_string()))
            .into();
        Ok(template::fill(&self.pieces()?.picture.scale_cuda, &names)?)
    }

    fn pieces(&self) -> Result<&Pieces, PipelinesError> {
        self.pieces.as_ref().map_err(Clone::clone)
    }
}

impl Pieces {
    /// What the names in a mode's file stand for.
    fn names(&self, codec: Codec, values: Values<'_>) -> BTreeMap<String, String> {
        let cpu = match codec {
            Codec::Opus => &self.opus,
            Codec::H264 => &self.h264,
            Codec::Vp8 => &self.vp8,
        };
        let (decode, encode) = match (codec, values.devices.codec) {
            (Codec::H264, Device::Gpu) => (&self.nv264.decode, &self.nv264.encode),
            _ => (&cpu.decode, &cpu.encode),
        };
        let scale = match values.devices.scale {
            Device::Cpu => &self.picture.scale,
            Device::Gpu => &self.picture.scale_cuda,
        };
        let overlay = match values.overlay {
            true => format!("! {}", self.picture.overlay),
            false => String::new(),
        };
        let BitrateRange { default, min, max } = values.bitrates;
        let mut names: BTreeMap<String, String> = [
            ("codec.depay", cpu.depay.clone()),
            ("codec.decode", decode.clone()),
            ("codec.encode", encode.clone()),
            ("codec.pay", cpu.pay.clone()),
            ("scale", scale.clone()),
            ("overlay", overlay),
            ("payload", codec.payload().to_string()),
            ("width", values.options.width.to_string()),
            ("height", values.options.height.to_string()),
            ("framerate", values.options.framerate.to_string()),
            ("bitrates", format!("bitrate={default} min={min} max={max}")),
            ("ceiling", (u64::from(values.jitter_buffer) * 1_000_000).to_string()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into();
        names.extend(sections(values.elements));
        if let Some(encode_dry) = &cpu.encode_dry {
            names.insert("codec.encode_dry".to_owned(), encode_dry.clone());
        }
        names
    }
}

/// The sections of `config/gst.yml` as they stand in a launch line, by their names.
fn sections(
    elements: &BTreeMap<String, Properties>,
) -> impl Iterator<Item = (String, String)> + '_ {
    elements.iter().map(|(section, properties)| {
        let words: Vec<_> =
            properties.iter().map(|(name, value)| format!("{name}={value}")).collect();
        (section.clone(), words.join(" "))
    })
}

fn parse<T: for<'a> Deserialize<'a>>(
    working: &Path,
    name: &'static str,
) -> Result<T, PipelinesError> {
    let data = match std::fs::read(working.join(FOLDER).join(name)) {
        Ok(data) => Cow::Owned(data),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            Embedded::get(name).ok_or(PipelinesError::Missing(name))?.data
        }
        // The operator's own file must not be passed over in silence.
        Err(error) => return Err(PipelinesError::File(name, error.to_string())),
    };
    let file_error = |error: String| PipelinesError::File(name, error);
    let text = std::str::from_utf8(&data).map_err(|error| file_error(error.to_string()))?;
    serde_saphyr::from_str(text).map_err(|error| file_error(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_mode_has_its_file_in_the_program() {
        let empty = tempfile::tempdir().expect("a folder");
        let pipelines = Pipelines::read(empty.path());
        for mode in MODES {
            assert!(pipelines.mode(mode).is_ok(), "{mode:?}");
        }
        let elements = [("nv264".to_owned(), Properties::new())].into();
        assert!(pipelines.gpu_codec(&elements).expect("valid").contains("nvh264enc"));
        assert!(pipelines.gpu_scale(32, 16).expect("valid").contains("width=32"));
    }

    #[test]
    fn every_mode_is_what_the_protocol_says() {
        use Layout::{Muxed, None as Nothing, Split};
        let pipelines = Pipelines::read(Path::new("/nonexistent"));
        for (mode, layout, effects, jitter_buffer) in [
            (RecordingMode::Forced, Muxed, true, None),
            (RecordingMode::Free, Muxed, true, None),
            (RecordingMode::Reenc, Muxed, true, None),
            (RecordingMode::Split, Split, true, None),
            (RecordingMode::None, Nothing, true, None),
            (RecordingMode::Passthrough, Muxed, false, None),
            (RecordingMode::RtpbinOnly, Nothing, false, None),
            (RecordingMode::Direct, Nothing, false, Some(0)),
            (RecordingMode::Bypass, Nothing, false, Some(0)),
        ] {
            let described = pipelines.mode(mode).expect("a good file");
            let found = (described.layout, described.effects, described.jitter_buffer);
            assert_eq!(found, (layout, effects, jitter_buffer), "{mode:?}");
            let keeps_rate = described.video.contains("framegrid");
            assert_eq!(keeps_rate, effects && mode != RecordingMode::Free, "{mode:?}");
        }
    }

    #[test]
    fn a_wrong_file_is_an_error_for_those_who_ask_for_it_only() {
        let working = tempfile::tempdir().expect("a folder");
        let folder = working.path().join(FOLDER);
        std::fs::create_dir(&folder).expect("created");
        std::fs::write(folder.join("free.yml"), "layout: none\neffect: false\n").expect("written");
        let pipelines = Pipelines::read(working.path());
        let error = pipelines.mode(RecordingMode::Free).expect_err("a wrong file").to_string();
        assert!(error.contains("pipelines/free.yml"), "{error}");
        assert!(pipelines.mode(RecordingMode::Forced).is_ok());
    }

    #[test]
    fn a_file_that_changes_after_the_reading_changes_nothing() {
        let working = tempfile::tempdir().expect("a folder");
        let folder = working.path().join(FOLDER);
        std::fs::create_dir(&folder).expect("created");
        let own =
            "layout: none\neffects: false\njitter_buffer: 7\naudio: identity\nvideo: identity\n";
        std::fs::write(folder.join("direct.yml"), own).expect("written");
        let pipelines = Pipelines::read(working.path());
        std::fs::remove_file(folder.join("direct.yml")).expect("removed");
        let mode = pipelines.mode(RecordingMode::Direct).expect("as it was");
        assert_eq!(mode.jitter_buffer, Some(7));
    }
}
