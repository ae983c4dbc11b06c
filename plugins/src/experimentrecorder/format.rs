// SPDX-License-Identifier: MPL-2.0

//! What arrives at a pad: its caps, and the units of its stream made ready for a file.

use super::container::Codec;
use super::h264::{self, Framing};
use super::opus;

/// The picture size in a file's header when the stream did not say any. Players go by the stream.
const UNKNOWN_SIZE: (u32, u32) = (640, 480);

/// How long a picture lasts when no other follows: a thirtieth of a second.
const PICTURE: u64 = 33_333_333;

/// A stream, by its caps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Format {
    Opus { channels: Option<u8> },
    H264 { framing: Framing, size: Option<(u32, u32)> },
    Vp8 { size: Option<(u32, u32)> },
}

impl Format {
    /// Reads caps; `None` for media that are not recorded.
    pub(super) fn from_caps(caps: &gst::CapsRef) -> Option<Self> {
        let structure = caps.structure(0)?;
        let number = |field| structure.get::<i32>(field).ok().and_then(|n| u32::try_from(n).ok());
        let size = number("width").zip(number("height")).filter(|(w, h)| *w > 0 && *h > 0);
        match structure.name().as_str() {
            "audio/x-opus" => {
                let channels = number("channels").and_then(|n| u8::try_from(n).ok());
                // More than two channels need a mapping table that our headers do not have.
                let mapped = number("channel-mapping-family").is_some_and(|family| family != 0);
                if mapped || channels.is_some_and(|n| n > 2) {
                    return None;
                }
                Some(Format::Opus { channels: channels.filter(|n| *n > 0) })
            }
            "video/x-vp8" => Some(Format::Vp8 { size }),
            "video/x-h264" => {
                let framing = match structure.get::<&str>("stream-format").ok()? {
                    "byte-stream" => Framing::StartCodes,
                    "avc3" => {
                        let data = structure.get::<gst::Buffer>("codec_data").ok();
                        let data = data.as_ref().and_then(|data| data.map_readable().ok());
                        Framing::of_codec_data(data.as_deref())
                    }
                    _ => return None,
                };
                Some(Format::H264 { framing, size })
            }
            _ => None,
        }
    }
}

/// A unit that can go to a file.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Ready {
    /// It can be decoded without those before it.
    pub(super) key: bool,
    /// In nanoseconds; for a picture a guess.
    pub(super) duration: u64,
    pub(super) data: Vec<u8>,
}

/// One stream, with what its units told of it.
#[derive(Debug, Default)]
pub(super) struct Stream {
    format: Option<Format>,
    parameters: h264::Stream,
    vp8_size: Option<(u32, u32)>,
    stereo: bool,
}

impl Stream {
    /// From here on the stream looks like this.
    pub(super) fn set_format(&mut self, format: Option<Format>) {
        self.format = format;
    }

    /// Whether what was recorded so far and `format` can be in one track.
    pub(super) fn goes_with(&self, format: Option<&Format>) -> bool {
        match (&self.format, format) {
            (Some(own), Some(other)) => {
                std::mem::discriminant(own) == std::mem::discriminant(other)
            }
            _ => true,
        }
    }

    /// Makes a unit ready. `None`: it cannot be decoded.
    pub(super) fn unit(&mut self, data: &[u8], duration: Option<u64>) -> Option<Ready> {
        let picture = duration.filter(|d| *d > 0).unwrap_or(PICTURE);
        match self.format.as_ref()? {
            Format::Opus { .. } => {
                self.stereo = opus::is_stereo(data);
                let duration = opus::duration(data)?;
                Some(Ready { key: true, duration, data: data.to_vec() })
            }
            Format::H264 { framing, .. } => {
                let unit = self.parameters.access_unit(data, *framing)?;
                Some(Ready { key: unit.key, duration: picture, data: unit.data })
            }
            Format::Vp8 { .. } => {
                let key = data.first()? & 1 == 0;
                if key {
                    self.vp8_size = Some(vp8_size(data)?);
                }
                Some(Ready { key, duration: picture, data: data.to_vec() })
            }
        }
    }

    /// The size of the picture, as the stream itself says it.
    pub(super) fn size(&self) -> Option<(u32, u32)> {
        match self.format.as_ref()? {
            Format::Opus { .. } => None,
            Format::H264 { .. } => self.parameters.size(),
            Format::Vp8 { .. } => self.vp8_size,
        }
    }

    /// How a file's header describes the stream, as far as it is known. `None`: not at all.
    pub(super) fn codec(&self) -> Option<Codec> {
        Some(match self.format.as_ref()? {
            Format::Opus { channels } => {
                Codec::Opus { channels: channels.unwrap_or(1 + u8::from(self.stereo)) }
            }
            Format::H264 { size, .. } => {
                let (width, height) = self.parameters.size().or(*size).unwrap_or(UNKNOWN_SIZE);
                let configuration = self.parameters.configuration();
                Codec::H264 { width, height, configuration }
            }
            Format::Vp8 { size } => {
                let (width, height) = self.vp8_size.or(*size).unwrap_or(UNKNOWN_SIZE);
                Codec::Vp8 { width, height }
            }
        })
    }

    /// Whether silence that goes with the last packet is stereo.
    pub(super) fn is_stereo(&self) -> bool {
        self.stereo
    }
}

/// Width and height in the header of a keyframe (RFC 6386, section 9.1).
fn vp8_size(data: &[u8]) -> Option<(u32, u32)> {
    let &[0x9d, 0x01, 0x2a, w0, w1, h0, h1] = data.get(3..10)? else {
        return None;
    };
    let pixels = |low: u8, high: u8| u32::from(u16::from_le_bytes([low, high]) & 0x3fff);
    Some((pixels(w0, w1), pixels(h0, h1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn caps_tell_the_format() {
        assert!(gst::init().is_ok());
        let size = Some((320, 240));
        let table = [
            ("audio/x-opus", Some(Format::Opus { channels: None })),
            ("audio/x-opus,channels=2", Some(Format::Opus { channels: Some(2) })),
            ("video/x-vp8", Some(Format::Vp8 { size: None })),
            ("video/x-vp8,width=320,height=240", Some(Format::Vp8 { size })),
            (
                "video/x-h264,stream-format=byte-stream",
                Some(Format::H264 { framing: Framing::StartCodes, size: None }),
            ),
            (
                "video/x-h264,stream-format=avc3,codec_data=(buffer)01640014fde000,width=320,height=240",
                Some(Format::H264 { framing: Framing::Lengths(2), size }),
            ),
            ("video/x-h264,stream-format=avc", None),
            ("video/x-h264", None),
            ("audio/x-opus,channels=6,channel-mapping-family=1", None),
            ("video/x-vp9", None),
        ];
        for (caps, format) in table {
            let caps = caps.parse::<gst::Caps>();
            assert_eq!(caps.map(|caps| Format::from_caps(&caps)).ok(), Some(format));
        }
    }

    #[test]
    fn vp8_keyframes_tell_their_size() {
        let keyframe = [0x10, 0, 0, 0x9d, 0x01, 0x2a, 0x40, 0x41, 0xf0, 0];
        assert_eq!(vp8_size(&keyframe), Some((320, 240)));
        let mut stream = Stream::default();
        stream.set_format(Some(Format::Vp8 { size: None }));
        assert_eq!(stream.unit(&keyframe[..5], None), None);
        assert_eq!(stream.unit(&[], None), None);
        assert_eq!(stream.unit(&keyframe, None).map(|unit| unit.key), Some(true));
        assert_eq!(stream.unit(&[1, 2], None).map(|unit| unit.key), Some(false));
        assert_eq!(stream.codec(), Some(Codec::Vp8 { width: 320, height: 240 }));
    }
}
