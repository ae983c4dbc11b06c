// SPDX-License-Identifier: MPL-2.0

//! Which elements may be effects, and which of their properties may be set to what.
//!
//! An effect takes raw media in and gives raw media out, and does nothing else: it opens no file
//! outside the operator's folders, no socket, no device, and contains nothing. The rules look at
//! what an element says of itself, so that an effect nobody has heard of works too; an operator
//! lengthens or shortens the result with `allow` and `deny`.
//!
//! Pure, but for [`Policy::resolve`], which asks the file system where a path really leads.

use super::meaning::{Meaning, looks_like_file, meaning};
use std::path::{Path, PathBuf};

/// The two kinds of media an effect can work on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MediaKind {
    /// `audio/x-raw`.
    Audio,
    /// `video/x-raw`.
    Video,
}

impl MediaKind {
    /// The word used in sentences.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Audio => "audio",
            Self::Video => "video",
        }
    }
}

/// What the operator wants.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Policy {
    /// Factories that are effects although the rules say no (they still need one always sink pad
    /// and one always source pad, and the rules for files hold).
    pub allow: Vec<String>,
    /// Factories that are no effects although the rules say yes. Wins over `allow`.
    pub deny: Vec<String>,
    /// Where files named by properties may lie.
    pub folders: Vec<PathBuf>,
}

/// What an element factory says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Facts {
    /// The factory's name.
    pub(super) factory: String,
    /// Its classification: words between slashes.
    pub(super) klass: String,
    /// Its pad templates.
    pub(super) pads: Vec<PadFacts>,
    /// Whether it can be found by an URI.
    pub(super) handles_uri: bool,
    /// Whether it contains other elements.
    pub(super) is_bin: bool,
}

/// What one pad template says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct PadFacts {
    pub(super) is_sink: bool,
    pub(super) is_always: bool,
    /// Takes whatever comes.
    pub(super) any: bool,
    /// Takes raw audio in ordinary memory.
    pub(super) audio: bool,
    /// Takes raw video in ordinary memory.
    pub(super) video: bool,
}

impl PadFacts {
    fn carries(self, kind: MediaKind) -> bool {
        match kind {
            MediaKind::Audio => self.audio,
            MediaKind::Video => self.video,
        }
    }
}

/// Why an element is no effect.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ElementRefusal {
    /// On the operator's list.
    #[error("the operator does not allow it")]
    Denied,
    /// On the list of elements that are transforms by their looks only.
    #[error("it does more than change media")]
    Known,
    /// Its classification has this word.
    #[error("it is classified as {0}")]
    Class(String),
    /// A bin.
    #[error("it contains other elements")]
    Bin,
    /// It reads or writes at an address.
    #[error("it opens addresses")]
    Uri,
    /// Not one always sink pad and one always source pad of its kind.
    #[error("it does not take raw {kind} in at one pad and give raw {kind} out at one other", kind = .0.word())]
    Pads(MediaKind),
    /// A pad that takes anything.
    #[error("it takes anything, not raw {}", .0.word())]
    Any(MediaKind),
}

/// Why a property may not have a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PropertyRefusal {
    /// It belongs to the element, not to the effect.
    #[error("it is not part of the effect")]
    Structure,
    /// It reaches out of the process.
    #[error("it reaches outside the effect")]
    Outside,
    /// In range, but the process would not survive it.
    #[error("it asks for more than an effect may use")]
    TooMuch,
    /// Not a file of the operator's folders.
    #[error("the value names no file in the effect folders")]
    File,
}

/// Classes (one word between slashes) whose elements are never effects, source: the list of
/// classes in GStreamer's documentation of `gst_element_class_set_metadata`.
const REFUSED_CLASSES: [&str; 18] = [
    "source",
    "sink",
    "muxer",
    "demuxer",
    "codec",
    "encoder",
    "decoder",
    "parser",
    "payloader",
    "depayloader",
    "network",
    "protocol",
    "bin",
    "formatter",
    "device",
    "decryptor",
    "encryptor",
    "debug",
];

/// Elements that look like an effect, or would by one change of their description, and do more.
/// Checked against what GStreamer 1.22 installs; most are refused by the other rules too.
const REFUSED_ELEMENTS: [&str; 14] = [
    "capssetter",
    "clocksync",
    "debugspy",
    "errorignore",
    "identity",
    "imagefreeze",
    "interlace",
    "proxysink",
    "queue",
    "queue2",
    "simplevideomarkdetect",
    "tee",
    "videocodectestsink",
    "videorate",
];

impl Policy {
    /// Reads the three lists as the element's properties have them: factories with commas between
    /// them, folders with colons.
    #[must_use]
    pub fn from_lists(allow: &str, deny: &str, folders: &str) -> Self {
        let list = |text: &str, separator| -> Vec<String> {
            let words = text.split(separator).map(str::trim);
            words.filter(|word| !word.is_empty()).map(str::to_owned).collect()
        };
        Self {
            allow: list(allow, ','),
            deny: list(deny, ','),
            folders: list(folders, ':').into_iter().map(PathBuf::from).collect(),
        }
    }

    /// Whether an element may be an effect on media of `kind`.
    pub(super) fn check_element(
        &self,
        facts: &Facts,
        kind: MediaKind,
    ) -> Result<(), ElementRefusal> {
        if self.deny.contains(&facts.factory) {
            return Err(ElementRefusal::Denied);
        }
        let (sinks, sources): (Vec<PadFacts>, Vec<PadFacts>) =
            facts.pads.iter().partition(|pad| pad.is_sink);
        let one = |pads: &[PadFacts], fits: &dyn Fn(&PadFacts) -> bool| {
            pads.iter().filter(|pad| fits(pad)).count() == 1
        };
        if self.allow.contains(&facts.factory) {
            let fits = |pad: &PadFacts| pad.is_always && (pad.any || pad.carries(kind));
            return if one(&sinks, &fits) && one(&sources, &fits) {
                Ok(())
            } else {
                Err(ElementRefusal::Pads(kind))
            };
        }
        if REFUSED_ELEMENTS.contains(&facts.factory.as_str()) {
            return Err(ElementRefusal::Known);
        }
        let mut classes = facts.klass.split('/');
        if let Some(class) = classes.find(|class| {
            let class = class.trim().to_ascii_lowercase();
            REFUSED_CLASSES.contains(&class.as_str())
        }) {
            return Err(ElementRefusal::Class(class.trim().to_owned()));
        }
        if facts.is_bin {
            return Err(ElementRefusal::Bin);
        }
        if facts.handles_uri {
            return Err(ElementRefusal::Uri);
        }
        if facts.pads.iter().any(|pad| pad.is_always && pad.any) {
            return Err(ElementRefusal::Any(kind));
        }
        // A sink pad of another kind (the text of a textoverlay) may stay unlinked.
        let fits = |pad: &PadFacts| pad.is_always && pad.carries(kind);
        if one(&sinks, &fits) && one(&sources, &fits) && sources.len() == 1 {
            Ok(())
        } else {
            Err(ElementRefusal::Pads(kind))
        }
    }

    /// Whether a property may get `value` (as text; nothing for a type that is no text).
    ///
    /// Gives the path to set instead, when the value names a file.
    pub(super) fn check_property(
        &self,
        name: &str,
        blurb: &str,
        value: Option<&str>,
    ) -> Result<Option<String>, PropertyRefusal> {
        if matches!(name, "name" | "parent") {
            return Err(PropertyRefusal::Structure);
        }
        let file = match (meaning(name, blurb, value.is_some()), value) {
            (Meaning::Outside, _) => return Err(PropertyRefusal::Outside),
            (Meaning::File, Some(value)) => value,
            (Meaning::Unknown, Some(value)) if looks_like_file(value) => value,
            _ => return Ok(None),
        };
        self.resolve(file).map(Some).ok_or(PropertyRefusal::File)
    }

    /// Where `value` really leads, if that is a file in one of the folders: links are followed, a
    /// relative path counts from the working directory, then from each folder.
    fn resolve(&self, value: &str) -> Option<String> {
        let folders: Vec<PathBuf> =
            self.folders.iter().filter_map(|folder| folder.canonicalize().ok()).collect();
        let bases = std::iter::once(Path::new("")).chain(folders.iter().map(PathBuf::as_path));
        bases
            .filter_map(|base| base.join(value).canonicalize().ok())
            .find(|path| path.is_file() && folders.iter().any(|folder| path.starts_with(folder)))
            .and_then(|path| path.into_os_string().into_string().ok())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn pad(is_sink: bool, media: &str) -> PadFacts {
        PadFacts {
            is_sink,
            is_always: !media.contains('?'),
            any: media.contains('*'),
            audio: media.contains('a'),
            video: media.contains('v'),
        }
    }

    fn facts(factory: &str, klass: &str, sinks: &[&str], sources: &[&str]) -> Facts {
        let sinks = sinks.iter().map(|media| pad(true, media));
        Facts {
            factory: factory.into(),
            klass: klass.into(),
            pads: sinks.chain(sources.iter().map(|media| pad(false, media))).collect(),
            handles_uri: false,
            is_bin: false,
        }
    }

    #[test]
    fn only_what_takes_raw_media_in_and_gives_it_out_is_an_effect() {
        use ElementRefusal as R;
        use MediaKind::{Audio, Video};
        let class = |word: &str| Err(R::Class(word.into()));
        let table = [
            (facts("pitch", "Filter/Effect/Audio", &["a"], &["a"]), Audio, Ok(())),
            (facts("pitch", "Filter/Effect/Audio", &["a"], &["a"]), Video, Err(R::Pads(Video))),
            (facts("mozza", "Filter/Effect/Video", &["v"], &["v"]), Video, Ok(())),
            (facts("textoverlay", "Filter/Editor/Video", &["v", "t"], &["v"]), Video, Ok(())),
            (
                facts("disparity", "Filter/Effect/Video", &["v", "v"], &["v"]),
                Video,
                Err(R::Pads(Video)),
            ),
            (facts("wavescope", "Visualization", &["a"], &["v"]), Audio, Err(R::Pads(Audio))),
            (facts("split", "Filter", &["v"], &["v", "t"]), Video, Err(R::Pads(Video))),
            (facts("audiomixer", "Generic/Audio", &["a?"], &["a"]), Audio, Err(R::Pads(Audio))),
            (facts("glfilter", "Filter/Effect/Video", &["g"], &["g"]), Video, Err(R::Pads(Video))),
            (facts("valve", "Filter", &["*"], &["*"]), Audio, Err(R::Any(Audio))),
            (facts("tee", "Generic", &["*"], &["*?"]), Audio, Err(R::Known)),
            (facts("filesink", "Sink/File", &["*"], &[]), Audio, class("Sink")),
            (facts("filesrc", "Source/File", &[], &["*"]), Audio, class("Source")),
            (facts("udpsink", "Sink/Network", &["*"], &[]), Audio, class("Sink")),
            (facts("x", "Filter/Network/Audio", &["a"], &["a"]), Audio, class("Network")),
            (facts("y", "Codec/Parser/Converter/Audio", &["a"], &["a"]), Audio, class("Codec")),
            (facts("b", "Filter/Effect/Audio", &[], &["a"]), Audio, Err(R::Pads(Audio))),
        ];
        for (facts, kind, wanted) in table {
            let policy = Policy::default();
            assert_eq!(policy.check_element(&facts, kind), wanted, "{facts:?}");
        }
        let effect = facts("z", "Filter/Effect/Audio", &["a"], &["a"]);
        for (facts, wanted) in [
            (Facts { is_bin: true, ..effect.clone() }, R::Bin),
            (Facts { handles_uri: true, ..effect }, R::Uri),
        ] {
            assert_eq!(Policy::default().check_element(&facts, Audio), Err(wanted));
        }
    }

    #[test]
    fn the_operator_lengthens_and_shortens_the_rules() {
        let identity = facts("identity", "Generic", &["*"], &["*"]);
        let pitch = facts("pitch", "Filter/Effect/Audio", &["a"], &["a"]);
        let sink = facts("filesink", "Sink/File", &["*"], &[]);
        let policy = Policy::from_lists("identity, filesink,, ", "pitch", "");
        assert_eq!(policy.check_element(&identity, MediaKind::Audio), Ok(()));
        assert_eq!(policy.check_element(&pitch, MediaKind::Audio), Err(ElementRefusal::Denied));
        assert_eq!(
            policy.check_element(&sink, MediaKind::Audio),
            Err(ElementRefusal::Pads(MediaKind::Audio))
        );
        let policy = Policy::from_lists("identity", "identity", "");
        assert_eq!(policy.check_element(&identity, MediaKind::Audio), Err(ElementRefusal::Denied));
    }

    #[test]
    fn a_file_must_really_lie_in_a_folder() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("effects");
        let outside = root.path().join("effects-not");
        for dir in [&folder, &outside] {
            std::fs::create_dir(dir).unwrap();
            std::fs::write(dir.join("smile.dfm"), "x").unwrap();
        }
        std::os::unix::fs::symlink(outside.join("smile.dfm"), folder.join("out")).unwrap();
        std::os::unix::fs::symlink(folder.join("smile.dfm"), outside.join("in")).unwrap();
        let policy = Policy {
            folders: vec![root.path().join("missing"), folder.clone()],
            ..Policy::default()
        };
        let inside = folder.join("smile.dfm").canonicalize().unwrap();
        let inside = Some(inside.to_str().unwrap().to_owned());
        let path = |path: &str| root.path().join(path).to_str().unwrap().to_owned();
        for (value, wanted) in [
            (path("effects/smile.dfm"), Ok(inside.clone())),
            ("smile.dfm".into(), Ok(inside.clone())),
            (path("effects-not/in"), Ok(inside.clone())),
            (path("effects/../effects/smile.dfm"), Ok(inside)),
            (path("effects-not/smile.dfm"), Err(PropertyRefusal::File)),
            ("../effects-not/smile.dfm".into(), Err(PropertyRefusal::File)),
            (path("effects/out"), Err(PropertyRefusal::File)),
            (path("effects"), Err(PropertyRefusal::File)),
            (path("effects/new"), Err(PropertyRefusal::File)),
            ("/etc/passwd".into(), Err(PropertyRefusal::File)),
            (String::new(), Err(PropertyRefusal::File)),
        ] {
            let checked = policy.check_property("location", "", Some(&value));
            assert_eq!(checked, wanted, "{value}");
            let unheard = policy.check_property("deform", "", Some(&value));
            if value.contains('/') {
                assert_eq!(unheard, wanted, "{value}");
            }
        }
        let nowhere = Policy::default();
        let file = path("effects/smile.dfm");
        assert_eq!(nowhere.check_property("location", "", Some(&file)), Err(PropertyRefusal::File));
    }

    #[test]
    fn numbers_and_plain_texts_pass_and_structure_does_not() {
        let policy = Policy::default();
        assert_eq!(policy.check_property("pitch", "", None), Ok(None));
        assert_eq!(policy.check_property("text", "", Some("a/b ../c")), Ok(None));
        assert_eq!(policy.check_property("preset", "", Some("warm")), Ok(None));
        for name in ["name", "parent"] {
            assert_eq!(policy.check_property(name, "", Some("x")), Err(PropertyRefusal::Structure));
        }
        assert_eq!(policy.check_property("port", "", None), Err(PropertyRefusal::Outside));
    }
}
