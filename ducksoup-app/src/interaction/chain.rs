// SPDX-License-Identifier: MPL-2.0

//! A peer's incoming track on its way to the mixer: the descriptions under `pipelines/`, and the
//! bins made of them.

use super::sdp::{Codec, Kind};
use super::template::{self, TemplateError};
use ducksoup_signaller::frame::{BitrateRange, Properties};
use ducksoup_signaller::protocol::{JoinOptions, RecordingMode};
use gst::prelude::*;
use gstducksoup::fxcontrol::FxControl;
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

/// The folder whose files are taken instead of the embedded ones of the same name.
const FOLDER: &str = "pipelines";

/// One recording mode, as its file describes it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mode {
    /// What files there are.
    pub layout: Layout,
    /// Whether effects are applied.
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

/// The pieces of one codec.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Pieces {
    depay: String,
    decode: String,
    encode: String,
    #[serde(default)]
    encode_dry: Option<String>,
    pay: String,
}

/// Why a chain cannot be built: always the operator's or our own mistake, never a client's.
#[derive(Debug, thiserror::Error)]
pub enum ChainError {
    /// There is no such file.
    #[error("pipelines/{0} is missing")]
    Missing(String),
    /// The file is not what it must be.
    #[error("pipelines/{0}: {1}")]
    File(String, String),
    /// A name in the file means nothing.
    #[error("pipelines: {0}")]
    Template(#[from] TemplateError),
    /// GStreamer does not take it.
    #[error("{0} chain (pipelines/, config/gst.yml): {1}")]
    Parse(Kind, glib::Error),
    /// An element that the server needs has another name or is missing.
    #[error("{0} chain: {1}")]
    Shape(Kind, &'static str),
}

impl Mode {
    /// Reads the description of a recording mode.
    ///
    /// # Errors
    /// When its file is missing or wrong.
    pub fn load(mode: RecordingMode) -> Result<Self, ChainError> {
        parse(&format!("{}.yml", file_name(mode)))
    }
}

fn file_name(mode: RecordingMode) -> &'static str {
    match mode {
        RecordingMode::Forced => "forced",
        RecordingMode::Free => "free",
        RecordingMode::Reenc => "reenc",
        RecordingMode::Split => "split",
        RecordingMode::None => "none",
        RecordingMode::Passthrough => "passthrough",
        RecordingMode::RtpbinOnly => "rtpbin_only",
        RecordingMode::Direct => "direct",
        RecordingMode::Bypass => "bypass",
    }
}

fn parse<T: for<'a> Deserialize<'a>>(name: &str) -> Result<T, ChainError> {
    let data = match std::fs::read(Path::new(FOLDER).join(name)) {
        Ok(data) => Cow::Owned(data),
        Err(_) => Embedded::get(name).ok_or_else(|| ChainError::Missing(name.to_owned()))?.data,
    };
    let file_error = |error: String| ChainError::File(name.to_owned(), error);
    let text = std::str::from_utf8(&data).map_err(|error| file_error(error.to_string()))?;
    serde_saphyr::from_str(text).map_err(|error| file_error(error.to_string()))
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
}

/// The text of a chain.
///
/// # Errors
/// When a file is missing or wrong.
pub fn describe(mode: &Mode, codec: Codec, values: Values<'_>) -> Result<String, ChainError> {
    let codecs: BTreeMap<String, Pieces> = parse("codecs.yml")?;
    let pieces = codecs.get(codec.name()).ok_or_else(|| {
        ChainError::File("codecs.yml".to_owned(), format!("{} is missing", codec.name()))
    })?;
    let BitrateRange { default, min, max } = values.bitrates;
    let mut names: BTreeMap<String, String> = [
        ("codec.depay", pieces.depay.clone()),
        ("codec.decode", pieces.decode.clone()),
        ("codec.encode", pieces.encode.clone()),
        ("codec.pay", pieces.pay.clone()),
        ("payload", codec.payload().to_string()),
        ("width", values.options.width.to_string()),
        ("height", values.options.height.to_string()),
        ("framerate", values.options.framerate.to_string()),
        ("bitrates", format!("bitrate={default} min={min} max={max}")),
        ("ceiling", (u64::from(values.jitter_buffer) * 1_000_000).to_string()),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into();
    names.extend(values.elements.iter().map(|(section, properties)| {
        let words: Vec<_> =
            properties.iter().map(|(name, value)| format!("{name}={value}")).collect();
        (section.clone(), words.join(" "))
    }));
    if let Some(encode_dry) = &pieces.encode_dry {
        names.insert("codec.encode_dry".to_owned(), encode_dry.clone());
    }
    let text = match codec.kind() {
        Kind::Audio => &mode.audio,
        Kind::Video => &mode.video,
    };
    Ok(template::fill(text, &names)?)
}

/// A built chain: one sink pad for a browser's RTP, one source pad for the mixer.
#[derive(Debug)]
pub struct Chain {
    /// What it is made for.
    pub codec: Codec,
    /// The bin, with pads `sink` and `src` and, once asked for, `dry` and `wet`.
    pub bin: gst::Bin,
}

impl Chain {
    /// Builds a chain, its effect slot empty.
    ///
    /// # Errors
    /// When the description is wrong, or an element is missing.
    pub fn build(mode: &Mode, codec: Codec, values: Values<'_>) -> Result<Self, ChainError> {
        let kind = codec.kind();
        let text = describe(mode, codec, values)?;
        let bin = gst::parse::bin_from_description_with_name(&text, true, kind.name())
            .map_err(|error| ChainError::Parse(kind, error))?;
        let chain = Self { codec, bin };
        if chain.bin.static_pad("sink").is_none() || chain.bin.static_pad("src").is_none() {
            return Err(ChainError::Shape(kind, "exactly one end must be open on each side"));
        }
        if mode.effects && chain.fx().is_none() {
            return Err(ChainError::Shape(kind, "no fxcontrol called fx"));
        }
        Ok(chain)
    }

    /// The slot of the effect.
    #[must_use]
    pub fn fx(&self) -> Option<FxControl> {
        self.bin.by_name("fx")?.downcast().ok()
    }

    /// The keeper of the frame rate.
    #[must_use]
    pub fn grid(&self) -> Option<gst::Element> {
        self.bin.by_name("grid")
    }

    /// A new source pad behind the tee called `tee`, where there is one.
    #[must_use]
    pub fn tap(&self, tee: &str) -> Option<gst::Pad> {
        let pad = self.bin.by_name(tee)?.request_pad_simple("src_%u")?;
        let ghost = gst::GhostPad::builder_with_target(&pad).ok()?.name(tee).build();
        // A pad added to a running bin must be active before it is linked.
        ghost.set_active(true).ok()?;
        self.bin.add_pad(&ghost).ok()?;
        Some(ghost.upcast())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const MODES: [RecordingMode; 9] = [
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

    fn options() -> JoinOptions {
        let object = json!({"interactionName": "i", "userId": "u"});
        JoinOptions::from_json(object.as_object().expect("an object")).expect("valid")
    }

    /// The sections of the embedded `config/gst.yml`.
    fn elements() -> BTreeMap<String, Properties> {
        let args = crate::config::Args::default();
        let config = crate::config::Config::new(&args, Path::new("/nonexistent"));
        config.expect("valid").stage_settings().elements
    }

    fn values(options: &JoinOptions) -> Values<'_> {
        static NOTHING: BTreeMap<String, Properties> = BTreeMap::new();
        let bitrates = BitrateRange { default: 800_000, min: 150_000, max: 1_800_000 };
        Values { options, bitrates, jitter_buffer: 150, elements: &NOTHING }
    }

    #[test]
    fn every_mode_builds_with_every_codec() {
        gst::init().expect("GStreamer starts");
        crate::interaction::elements::register().expect("our elements");
        let (options, elements) = (options(), elements());
        let values = Values { elements: &elements, ..values(&options) };
        for name in MODES {
            let mode = Mode::load(name).expect("a good file");
            for codec in [Codec::Opus, Codec::H264, Codec::Vp8] {
                let chain = Chain::build(&mode, codec, values)
                    .unwrap_or_else(|error| panic!("{name:?} with {codec:?}: {error}"));
                assert_eq!(chain.fx().is_some(), mode.effects, "{name:?}");
                assert_eq!(
                    chain.tap("dry").is_some(),
                    mode.layout != Layout::None,
                    "{name:?} with {codec:?}: something dry to record"
                );
                assert_eq!(
                    chain.tap("wet").is_some(),
                    mode.layout != Layout::None && mode.effects,
                    "{name:?} with {codec:?}: something wet to record"
                );
            }
        }
    }

    #[test]
    fn what_stands_in_gst_yml_reaches_every_encoder() {
        gst::init().expect("GStreamer starts");
        crate::interaction::elements::register().expect("our elements");
        let (options, mut elements) = (options(), elements());
        for (section, name, value) in [
            ("x264", "key-int-max", "77"),
            ("vp8", "max-quantizer", "33"),
            ("opus", "frame-size", "10"),
        ] {
            let section = elements.get_mut(section).expect("a section");
            section.insert(name.to_owned(), value.to_owned());
        }
        let mode = Mode::load(RecordingMode::Forced).expect("a good file");
        let set = |codec, name: &str| {
            let values = Values { elements: &elements, ..values(&options) };
            let chain = Chain::build(&mode, codec, values).expect("built");
            let encoder = chain.bin.by_name("encoder").expect("an encoder");
            let value = encoder.property_value(name).serialize().expect("a text");
            value.to_string()
        };
        assert_eq!(set(Codec::H264, "key-int-max"), "77");
        assert_eq!(set(Codec::H264, "speed-preset"), "ultrafast");
        assert_eq!(set(Codec::Vp8, "max-quantizer"), "33", "wins over pipelines/");
        assert_eq!(set(Codec::Vp8, "cpu-used"), "8");
        assert_eq!(set(Codec::Opus, "frame-size"), "10");
    }

    #[test]
    fn a_property_that_the_encoder_does_not_have_is_named() {
        gst::init().expect("GStreamer starts");
        crate::interaction::elements::register().expect("our elements");
        let (options, mut elements) = (options(), elements());
        let section = elements.get_mut("x264").expect("a section");
        section.insert("no-such-thing".to_owned(), "1".to_owned());
        let mode = Mode::load(RecordingMode::Forced).expect("a good file");
        let values = Values { elements: &elements, ..values(&options) };
        let error = Chain::build(&mode, Codec::H264, values).expect_err("refused").to_string();
        assert!(error.contains("config/gst.yml") && error.contains("no-such-thing"), "{error}");
    }
}
