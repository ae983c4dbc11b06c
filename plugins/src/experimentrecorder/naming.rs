// SPDX-License-Identifier: MPL-2.0

//! Which pads there are, which file each of them goes to and how that file is called.
//!
//! File names are an interface: researchers' scripts split them on `-` from both ends. This is the
//! only place where they are made.

use std::fmt;

use super::Layout;

/// The longest prefix, in bytes: file systems allow names of 255 bytes, and the longest ending is
/// `-audio-dry.mp4`.
const LONGEST_PREFIX: usize = 255 - 14;

/// Before or after the effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Side {
    Dry,
    Wet,
}

/// Sound or picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    Audio,
    Video,
}

/// One of the four pads that can be requested.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Slot {
    pub(super) side: Side,
    pub(super) kind: Kind,
}

impl Slot {
    /// All slots, in the order in which they become tracks of a file.
    pub(super) const ALL: [Slot; 4] = [
        Slot::new(Side::Dry, Kind::Video),
        Slot::new(Side::Dry, Kind::Audio),
        Slot::new(Side::Wet, Kind::Video),
        Slot::new(Side::Wet, Kind::Audio),
    ];

    pub(super) const fn new(side: Side, kind: Kind) -> Self {
        Self { side, kind }
    }

    /// Position in [`Slot::ALL`].
    pub(super) const fn index(self) -> usize {
        let side = match self.side {
            Side::Dry => 0,
            Side::Wet => 2,
        };
        match self.kind {
            Kind::Video => side,
            Kind::Audio => side + 1,
        }
    }

    /// Name of the pad.
    pub(super) const fn pad_name(self) -> &'static str {
        match (self.side, self.kind) {
            (Side::Dry, Kind::Audio) => "dry_audio",
            (Side::Dry, Kind::Video) => "dry_video",
            (Side::Wet, Kind::Audio) => "wet_audio",
            (Side::Wet, Kind::Video) => "wet_video",
        }
    }
}

/// What a file holds: the `<what>` of its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum What {
    /// Sound and picture of one side together: `dry`, `wet`.
    Muxed(Side),
    /// One track in a file of its own: `audio-dry`, `video-wet`…
    Single(Slot),
}

impl What {
    /// The file that `slot` belongs to when files are planned by `layout`.
    pub(super) const fn of(layout: Layout, slot: Slot) -> Self {
        match layout {
            Layout::Muxed => What::Muxed(slot.side),
            Layout::Split => What::Single(slot),
        }
    }

    /// The word in the file name.
    pub(super) const fn word(self) -> &'static str {
        match self {
            What::Muxed(Side::Dry) => "dry",
            What::Muxed(Side::Wet) => "wet",
            What::Single(Slot { side, kind }) => match (side, kind) {
                (Side::Dry, Kind::Audio) => "audio-dry",
                (Side::Dry, Kind::Video) => "video-dry",
                (Side::Wet, Kind::Audio) => "audio-wet",
                (Side::Wet, Kind::Video) => "video-wet",
            },
        }
    }
}

/// The kinds of file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Extension {
    /// A file with H.264.
    Mp4,
    /// A file with VP8.
    Mkv,
    /// Opus alone.
    Ogg,
}

impl Extension {
    const fn word(self) -> &'static str {
        match self {
            Extension::Mp4 => "mp4",
            Extension::Mkv => "mkv",
            Extension::Ogg => "ogg",
        }
    }
}

/// Why a prefix cannot begin a file name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PrefixError {
    Empty,
    Hidden,
    Separator,
    Control,
    TooLong(usize),
}

impl fmt::Display for PrefixError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PrefixError::Empty => f.write_str("the prefix is empty"),
            PrefixError::Hidden => f.write_str("the prefix begins with a dot"),
            PrefixError::Separator => f.write_str("the prefix contains a slash"),
            PrefixError::Control => f.write_str("the prefix contains a control character"),
            PrefixError::TooLong(bytes) => {
                write!(f, "the prefix has {bytes} bytes, at most {LONGEST_PREFIX} are allowed")
            }
        }
    }
}

/// The name of a file, without its folder.
///
/// # Errors
/// When the prefix could lead out of the folder or is no good file name.
pub(super) fn file_name(
    prefix: &str,
    what: What,
    extension: Extension,
) -> Result<String, PrefixError> {
    if prefix.is_empty() {
        return Err(PrefixError::Empty);
    }
    if prefix.starts_with('.') {
        return Err(PrefixError::Hidden);
    }
    if prefix.contains(['/', '\\']) {
        return Err(PrefixError::Separator);
    }
    if prefix.chars().any(char::is_control) {
        return Err(PrefixError::Control);
    }
    if prefix.len() > LONGEST_PREFIX {
        return Err(PrefixError::TooLong(prefix.len()));
    }
    Ok(format!("{prefix}-{}.{}", what.word(), extension.word()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const DRY_AUDIO: Slot = Slot::new(Side::Dry, Kind::Audio);
    const DRY_VIDEO: Slot = Slot::new(Side::Dry, Kind::Video);
    const WET_AUDIO: Slot = Slot::new(Side::Wet, Kind::Audio);
    const WET_VIDEO: Slot = Slot::new(Side::Wet, Kind::Video);

    #[test]
    fn names_end_with_what_and_extension() {
        let table = [
            (Layout::Muxed, DRY_AUDIO, Extension::Ogg, "p-c-1-dry.ogg"),
            (Layout::Muxed, DRY_VIDEO, Extension::Mp4, "p-c-1-dry.mp4"),
            (Layout::Muxed, WET_VIDEO, Extension::Mkv, "p-c-1-wet.mkv"),
            (Layout::Split, DRY_AUDIO, Extension::Ogg, "p-c-1-audio-dry.ogg"),
            (Layout::Split, DRY_VIDEO, Extension::Mp4, "p-c-1-video-dry.mp4"),
            (Layout::Split, WET_AUDIO, Extension::Ogg, "p-c-1-audio-wet.ogg"),
            (Layout::Split, WET_VIDEO, Extension::Mkv, "p-c-1-video-wet.mkv"),
        ];
        for (layout, slot, extension, name) in table {
            assert_eq!(file_name("p-c-1", What::of(layout, slot), extension).as_deref(), Ok(name));
        }
    }

    #[test]
    fn a_prefix_cannot_leave_the_folder() {
        let table = [
            ("", PrefixError::Empty),
            ("..", PrefixError::Hidden),
            (".hidden", PrefixError::Hidden),
            ("a/b", PrefixError::Separator),
            ("a\\b", PrefixError::Separator),
            ("a\nb", PrefixError::Control),
        ];
        for (prefix, error) in table {
            assert_eq!(file_name(prefix, What::Muxed(Side::Dry), Extension::Ogg), Err(error));
        }
        let long = "x".repeat(LONGEST_PREFIX + 1);
        assert_eq!(
            file_name(&long, What::Muxed(Side::Dry), Extension::Ogg),
            Err(PrefixError::TooLong(LONGEST_PREFIX + 1))
        );
        assert!(
            file_name(&long[1..], What::of(Layout::Split, DRY_AUDIO), Extension::Mp4)
                .is_ok_and(|name| name.len() == 255)
        );
    }

    #[test]
    fn slots_know_their_place() {
        for (index, slot) in Slot::ALL.into_iter().enumerate() {
            assert_eq!(slot.index(), index);
        }
    }
}
