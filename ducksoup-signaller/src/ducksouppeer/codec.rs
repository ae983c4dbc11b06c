// SPDX-License-Identifier: MPL-2.0

//! What the tracks of a call are made of, and what an offer asks for.

use gst_sdp::{SDPAttribute, SDPMediaRef, SDPMessageRef};
use std::fmt;

/// Sound or picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    Audio,
    Video,
}

impl Kind {
    /// As caps and pads call it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Audio => "audio",
            Self::Video => "video",
        }
    }

    pub(super) fn of_name(name: &str) -> Option<Self> {
        [Self::Audio, Self::Video].into_iter().find(|kind| kind.name() == name)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The codecs of DuckSoup (docs/protocol.md, "Negotiation").
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Codec {
    Opus,
    H264,
    Vp8,
}

impl Codec {
    /// By its name in SDP and RTP caps.
    pub(super) fn of_encoding(name: &str) -> Option<Self> {
        let is = |other: &str| name.eq_ignore_ascii_case(other);
        match () {
            () if is("OPUS") => Some(Self::Opus),
            () if is("H264") => Some(Self::H264),
            () if is("VP8") => Some(Self::Vp8),
            () => None,
        }
    }

    /// The encoded stream's caps name.
    pub(super) fn media_type(self) -> &'static str {
        match self {
            Self::Opus => "audio/x-opus",
            Self::H264 => "video/x-h264",
            Self::Vp8 => "video/x-vp8",
        }
    }
}

/// The header extension that GStreamer's payloaders write
/// (draft-holmer-rmcat-transport-wide-cc-extensions-01).
const WRITTEN_EXTENSION: &str =
    "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01";

/// A section in which the server asks for a track of ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wanted {
    pub(super) section: u32,
    pub(super) kind: Kind,
    pub(super) codec: Codec,
    pub(super) payload: u32,
    /// What is promised to the server: its own offer, without what is only said in SDP.
    pub(super) caps: gst::Caps,
}

/// The sections in which the server receives; of each, the first codec we know.
pub(super) fn wanted(offer: &SDPMessageRef) -> Vec<Wanted> {
    (0..)
        .zip(offer.medias())
        .filter(|(_, media)| !is_rejected(media) && has(media, &["recvonly", "sendrecv"]))
        .filter_map(|(section, media)| {
            let kind = Kind::of_name(media.media()?)?;
            media.formats().find_map(|format| {
                let payload = format.parse::<u32>().ok()?;
                let mut caps = media.caps_from_media(i32::try_from(payload).ok()?)?;
                let encoding = caps.structure(0)?.get::<String>("encoding-name").ok()?;
                let codec = Codec::of_encoding(&encoding)?;
                let structure = caps.make_mut().structure_mut(0)?;
                structure.set_name("application/x-rtp");
                structure.filter_map_in_place(|field, value| {
                    let is_other = field.as_str().starts_with("extmap-")
                        && value.get::<&str>().ok() != Some(WRITTEN_EXTENSION);
                    (!is_other).then_some(value)
                });
                Some(Wanted { section, kind, codec, payload, caps })
            })
        })
        .collect()
}

/// The `MediaStream` id of each section in which the server sends: of the whole section (RFC 8830),
/// or of its source (RFC 5576), as webrtcbin 1.22 writes it.
pub(super) fn streams(offer: &SDPMessageRef) -> Vec<Option<String>> {
    let stream = |media: &SDPMediaRef| {
        let of_source = |attribute: &SDPAttribute| {
            let (_, rest) = attribute.value()?.split_once(' ')?;
            rest.strip_prefix("msid:").map(str::to_owned)
        };
        let of_section = media.attribute_val("msid").map(str::to_owned);
        let msid = of_section.or_else(|| {
            media.attributes().filter(|attribute| attribute.key() == "ssrc").find_map(of_source)
        })?;
        msid.split_whitespace().next().map(str::to_owned)
    };
    offer.medias().map(stream).collect()
}

/// Port 0, but not because of the bundle (RFC 3264, section 6; RFC 8843, section 6).
fn is_rejected(media: &SDPMediaRef) -> bool {
    media.port() == 0 && !has(media, &["bundle-only"])
}

fn has(media: &SDPMediaRef, attributes: &[&str]) -> bool {
    media.attributes().any(|attribute| attributes.contains(&attribute.key()))
}
