// SPDX-License-Identifier: MPL-2.0

//! What is promised to browsers: codecs, payload types, header extensions, and how their answers
//! are judged.

use super::{capture, playout};
use ducksoup_signaller::protocol::VideoFormat;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// Sound or picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Sound.
    Audio,
    /// Picture.
    Video,
}

impl Kind {
    /// As caps, pads and logs call it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Audio => "audio",
            Self::Video => "video",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What a track is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Codec {
    /// Sound, always.
    Opus,
    /// Pictures.
    H264,
    /// Pictures.
    Vp8,
}

impl From<VideoFormat> for Codec {
    fn from(format: VideoFormat) -> Self {
        match format {
            VideoFormat::H264 => Self::H264,
            VideoFormat::VP8 => Self::Vp8,
        }
    }
}

/// Header extension id of transport-wide sequence numbers. Any id from 1 to 14 would do
/// (RFC 8285, one-byte headers).
const TWCC_ID: u8 = 3;
/// draft-holmer-rmcat-transport-wide-cc-extensions-01.
const TWCC_URI: &str = "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01";

impl Codec {
    /// The same number for the same codec everywhere, as a bundle wants it. Existing clients
    /// rewrite `a=fmtp:111`, so Opus is 111; the others are what Chromium uses itself.
    #[must_use]
    pub fn payload(self) -> i32 {
        match self {
            Self::Opus => 111,
            Self::H264 => 102,
            Self::Vp8 => 96,
        }
    }

    /// RTP timestamp units a second (RFC 7587, 6184, 7741).
    #[must_use]
    pub fn clock_rate(self) -> u32 {
        match self {
            Self::Opus => 48_000,
            Self::H264 | Self::Vp8 => 90_000,
        }
    }

    /// Its name in `pipelines/codecs.yml`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Opus => "opus",
            Self::H264 => "h264",
            Self::Vp8 => "vp8",
        }
    }

    /// Its media type (RFC 7587, 6184, 7741).
    #[must_use]
    pub fn mime(self) -> &'static str {
        match self {
            Self::Opus => "audio/opus",
            Self::H264 => "video/H264",
            Self::Vp8 => "video/VP8",
        }
    }

    /// Sound or picture.
    #[must_use]
    pub fn kind(self) -> Kind {
        match self {
            Self::Opus => Kind::Audio,
            Self::H264 | Self::Vp8 => Kind::Video,
        }
    }

    /// What a transceiver of this codec is promised. `ssrc` is the stream's, where the server sends.
    #[must_use]
    pub fn caps(self, ssrc: Option<u32>, twcc: bool) -> gst::Caps {
        let mut caps = gst::Caps::builder("application/x-rtp").field("payload", self.payload());
        caps = match self {
            Self::Opus => caps
                .field("media", "audio")
                .field("encoding-name", "OPUS")
                .field("clock-rate", 48_000)
                .field("encoding-params", "2")
                .field("minptime", "10")
                .field("useinbandfec", "1"),
            // Constrained baseline 3.1, asymmetric levels (PROTOCOL, "Negotiation").
            Self::H264 => caps
                .field("media", "video")
                .field("encoding-name", "H264")
                .field("clock-rate", 90_000)
                .field("packetization-mode", "1")
                .field("profile-level-id", "42e01f")
                .field("level-asymmetry-allowed", "1"),
            Self::Vp8 => caps
                .field("media", "video")
                .field("encoding-name", "VP8")
                .field("clock-rate", 90_000),
        };
        if self.kind() == Kind::Video {
            caps = caps.field("rtcp-fb-nack-pli", true).field("rtcp-fb-ccm-fir", true);
        }
        if twcc {
            caps = caps
                .field("rtcp-fb-transport-cc", true)
                .field(format!("extmap-{TWCC_ID}"), TWCC_URI);
        }
        caps = match ssrc {
            Some(ssrc) if self.kind() == Kind::Video => {
                caps.field("ssrc", ssrc).field(format!("extmap-{}", playout::ID), playout::URI)
            }
            Some(ssrc) => caps.field("ssrc", ssrc),
            None => caps.field(format!("extmap-{}", capture::ID), capture::URI),
        };
        caps.build()
    }
}

/// A media section that the browser rejects: it has none of the offered codecs.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the browser rejects media section {section} ({kind})")]
pub struct Rejected {
    section: usize,
    kind: String,
}

/// Judges an answer: a section that the browser rejects would be a silent black picture.
///
/// # Errors
/// The first section that is rejected.
pub fn judge(answer: &gst_sdp::SDPMessageRef) -> Result<(), Rejected> {
    for (section, media) in answer.medias().enumerate() {
        if media.port() == 0 && media.attribute_val("bundle-only").is_none() {
            let kind = media.media().unwrap_or("unknown").to_owned();
            return Err(Rejected { section, kind });
        }
    }
    Ok(())
}

/// The browser's names for its tracks: the second word of `msid` (RFC 8830).
#[must_use]
pub fn track_names(answer: &gst_sdp::SDPMessageRef) -> BTreeMap<Kind, String> {
    let names = answer.medias().filter_map(|media| {
        let kind = match media.media()? {
            "audio" => Kind::Audio,
            "video" => Kind::Video,
            _ => return None,
        };
        Some((kind, media.attribute_val("msid")?.split(' ').nth(1)?.to_owned()))
    });
    names.collect()
}

/// The offer as the browser reads it: the `hidden` sections are inactive. webrtcbin 1.22 cannot
/// change a direction ("transceiver direction changes are not implemented"), so it never hears of
/// one; [`reveal`] is the way back. A browser that sees a section go inactive takes the track
/// away, and one that sees it return fires `track` again.
#[must_use]
pub fn hide(offer: &gst_sdp::SDPMessageRef, hidden: &BTreeSet<u32>) -> gst_sdp::SDPMessage {
    redirect(offer, hidden, "sendonly", "inactive")
}

/// The answer as webrtcbin reads it: the `hidden` sections are received.
#[must_use]
pub fn reveal(answer: &gst_sdp::SDPMessageRef, hidden: &BTreeSet<u32>) -> gst_sdp::SDPMessage {
    redirect(answer, hidden, "inactive", "recvonly")
}

fn redirect(
    sdp: &gst_sdp::SDPMessageRef,
    sections: &BTreeSet<u32>,
    from: &str,
    to: &str,
) -> gst_sdp::SDPMessage {
    let mut sdp = sdp.to_owned();
    for section in sections {
        let Some(media) = sdp.media_mut(*section) else {
            continue;
        };
        let place = media.attributes().position(|attribute| attribute.key() == from);
        if let Some(place) = place.and_then(|place| u32::try_from(place).ok())
            && media.remove_attribute(place).is_ok()
        {
            // webrtcbin 1.22 reads every attribute's value: one without crashes it.
            media.add_attribute(to, Some(""));
        }
    }
    sdp
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(sections: &[&str]) -> gst_sdp::SDPMessage {
        gst::init().expect("GStreamer starts");
        let text = format!(
            "v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n{}",
            sections.iter().map(|line| format!("{line}\r\n")).collect::<String>()
        );
        gst_sdp::SDPMessage::parse_buffer(text.as_bytes()).expect("SDP")
    }

    #[test]
    fn a_rejected_section_is_named() {
        let good = "m=audio 9 UDP/TLS/RTP/SAVPF 111";
        let rejected = "m=video 0 UDP/TLS/RTP/SAVPF 102";
        assert_eq!(judge(&answer(&[good])), Ok(()));
        let error = judge(&answer(&[good, rejected])).expect_err("video is rejected");
        assert_eq!(error.to_string(), "the browser rejects media section 1 (video)");
    }

    #[test]
    fn tracks_have_the_names_that_the_browser_gives_them() {
        let audio = "m=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=sendonly\r\na=msid:stream sound";
        let others = "m=video 9 UDP/TLS/RTP/SAVPF 96\r\na=recvonly";
        assert_eq!(
            track_names(&answer(&[audio, others])),
            [(Kind::Audio, "sound".to_owned())].into()
        );
    }

    #[test]
    fn promises_carry_what_browsers_insist_on() {
        gst::init().expect("GStreamer starts");
        let caps = Codec::H264.caps(Some(7), true);
        let promise = caps.structure(0).expect("one structure");
        assert_eq!(promise.get::<&str>("profile-level-id"), Ok("42e01f"));
        assert_eq!(promise.get::<u32>("ssrc"), Ok(7));
        assert_eq!(promise.get::<&str>("extmap-3"), Ok(TWCC_URI));
        assert!(!promise.has_field("extmap-4"));
        assert_eq!(promise.get::<&str>("extmap-5"), Ok(playout::URI));
        let caps = Codec::Opus.caps(None, false);
        let received = caps.structure(0).expect("one");
        assert!(!received.has_field("ssrc"));
        assert_eq!(received.get::<&str>("extmap-4"), Ok(capture::URI));
        assert!(!received.has_field("extmap-5"));
    }

    #[test]
    fn a_hidden_section_is_inactive_for_the_browser_alone() {
        let audio = "m=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=recvonly";
        let shown =
            "m=video 9 UDP/TLS/RTP/SAVPF 96\r\na=mid:1\r\na=sendonly\r\na=rtpmap:96 VP8/90000";
        let offer = answer(&[audio, shown]);
        let hidden = BTreeSet::from([1, 7]);
        let read = hide(&offer, &hidden).as_text().expect("text");
        assert!(read.contains("a=recvonly") && read.contains("a=inactive"), "{read}");
        assert!(!read.contains("a=sendonly") && read.contains("a=rtpmap:96"), "{read}");
        let back = reveal(&hide(&offer, &hidden), &hidden).as_text().expect("text");
        assert_eq!(back.matches("a=recvonly").count(), 2, "{back}");
        assert_eq!(hide(&offer, &BTreeSet::new()).as_text().ok(), offer.as_text().ok());
    }
}
