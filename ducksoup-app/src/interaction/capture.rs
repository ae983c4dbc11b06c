// SPDX-License-Identifier: MPL-2.0

//! When media were taken, by their sender's own clock: the RTP header extension abs-capture-time, which
//! browsers write when they are asked for it.
//!
//! Sender reports should tell the same, but those of libwebrtc (Chromium, Firefox, Safari) name the time at
//! which a packet of sound was sent, a packet's length after what it begins with was taken
//! (`ChannelSend::SendRtpAudio` gives no capture time), and of pictures the time at which they were taken. So by
//! the reports sound lies 20 ms later than it was.

use super::sdp::Kind;

/// Header extension id of ours: any from 1 to 14 that is free would do (RFC 8285).
pub const ID: u8 = 4;
/// <http://www.webrtc.org/experiments/rtp-hdrext/abs-capture-time>
pub const URI: &str = "http://www.webrtc.org/experiments/rtp-hdrext/abs-capture-time";

/// What is before the media in an RTP packet is not longer than that. Ours: twelve bytes, and the few
/// extensions that we ask for.
pub const LONGEST_HEADER: usize = 256;

/// Sound and picture of one person are led together by so much at most, in ns. Ours: the longest packet of sound
/// that is usual (60 ms), and what a device holds back; whoever claims more is not believed.
const MOST: i64 = 100_000_000;
/// The same by reports, which all kinds of senders make: what `rtpbin` believes (`max-ts-offset`), 3 s.
const MOST_REPORTED: i64 = 3_000_000_000;

/// When the media in an RTP packet that begins like this were taken, in ns of its sender's clock (NTP).
/// `None` where it does not tell: not every packet does.
#[must_use]
pub fn taken(packet: &[u8]) -> Option<i64> {
    // RFC 3550, 5.1 and 5.3.1.
    let first = *packet.first()?;
    if first & 0x10 == 0 {
        return None;
    }
    let rest = packet.get(12 + 4 * usize::from(first & 0x0f)..)?;
    let (profile, words) = (u16_at(rest, 0)?, u16_at(rest, 2)?);
    let mut elements = rest.get(4..4 + 4 * usize::from(words))?;
    loop {
        // RFC 8285, 4.2 and 4.3: 0 is padding.
        let head = *elements.first()?;
        let (id, length, start) = match profile {
            _ if head == 0 => (0, 0, 1),
            0xbede => (head >> 4, usize::from(head & 0x0f) + 1, 1),
            0x1000..=0x100f => (head, usize::from(*elements.get(1)?), 2),
            _ => return None,
        };
        let element = elements.get(start..start + length)?;
        if id == ID {
            let time = u64::from_be_bytes(*element.first_chunk()?);
            // 32 bits of seconds, 32 of their fractions.
            return i64::try_from((u128::from(time) * 1_000_000_000) >> 32).ok();
        }
        elements = elements.get(start + length..)?;
    }
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..)?.first_chunk().map(|pair| u16::from_be_bytes(*pair))
}

/// How much later than it was taken a track lies, in ns, by what its packets tell and by what reports do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Lag {
    /// By the header extension.
    pub captured: Option<i64>,
    /// By sender reports.
    pub reported: Option<i64>,
}

/// Those of the two tracks of a participant.
#[derive(Debug, Default)]
pub struct Lags {
    audio: Lag,
    video: Lag,
}

impl Lags {
    /// Hears of one of them; by how much it is to lie earlier, in ns, to lie beside the other one. What came with
    /// less delay is right: nothing can come before it was taken. Reports count where packets do not tell; nothing
    /// does where it is known of one only.
    pub fn hear(&mut self, kind: Kind, lag: Lag) -> i64 {
        let (own, other) = match kind {
            Kind::Audio => (&mut self.audio, self.video),
            Kind::Video => (&mut self.video, self.audio),
        };
        *own = lag;
        let later = |lag: Option<i64>, other: Option<i64>, most: i64| {
            let later = lag?.saturating_sub(other?);
            (-most..=most).contains(&later).then_some(later.max(0))
        };
        later(lag.captured, other.captured, MOST)
            .or_else(|| later(lag.reported, other.reported, MOST_REPORTED))
            .unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A packet with these extension elements, and so many contributing sources.
    fn packet(profile: u16, elements: &[u8], sources: u8) -> Vec<u8> {
        let mut packet = vec![0x90 | sources, 111, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3];
        packet.extend(std::iter::repeat_n(7, 4 * usize::from(sources)));
        let words = elements.len().div_ceil(4);
        packet.extend(profile.to_be_bytes());
        packet.extend((words as u16).to_be_bytes());
        packet.extend(elements);
        packet.resize(packet.len().next_multiple_of(4), 0);
        packet.extend([1, 2, 3]);
        packet
    }

    #[test]
    fn the_time_is_read_wherever_it_stands_and_nothing_is_read_where_it_does_not() {
        // Two seconds and a half.
        let time = [0, 0, 0, 2, 0x80, 0, 0, 0];
        let short = [&[0x31, 9, 9, 0, 0x47][..], &time].concat();
        let with_offset = [&[0x4f][..], &time, &[0; 8]].concat();
        let long = [&[3, 2, 9, 9, 0, 4, 8][..], &time].concat();
        let some = Some(2_500_000_000);
        for (packet, expected) in [
            (packet(0xbede, &short, 0), some),
            (packet(0xbede, &short, 3), some),
            (packet(0xbede, &with_offset, 0), some),
            (packet(0x1000, &long, 0), some),
            (packet(0x1234, &short, 0), None),
            (packet(0xbede, &[0x31, 9, 9], 0), None),
            (packet(0xbede, &[0x43, 0, 0, 0, 1], 0), None),
            (packet(0xbede, &[0x4f, 0, 0], 0), None),
            (packet(0xbede, &short, 0)[..20].to_vec(), None),
            (vec![0x80; 40], None),
            (vec![], None),
        ] {
            assert_eq!(taken(&packet), expected, "{packet:?}");
        }
    }

    #[test]
    fn the_track_that_lies_later_is_led_to_the_other_one() {
        const MS: i64 = 1_000_000;
        let mut lags = Lags::default();
        let captured = |ms: i64| Lag { captured: Some(ms * MS), reported: None };
        let both = |ms: i64, reported: i64| Lag { reported: Some(reported * MS), ..captured(ms) };
        let reported = |ms: i64| Lag { captured: None, reported: Some(ms * MS) };
        for (kind, lag, lead) in [
            (Kind::Audio, captured(30), 0),
            (Kind::Video, captured(10), 0),
            (Kind::Audio, captured(30), 20),
            (Kind::Video, captured(35), 5),
            (Kind::Audio, captured(30), 0),
            // Not believed.
            (Kind::Audio, captured(i64::MAX / MS), 0),
            (Kind::Audio, captured(-80), 0),
            (Kind::Audio, Lag::default(), 0),
            (Kind::Video, captured(35), 0),
            // Where packets of one track do not tell, or not the truth, reports of both do.
            (Kind::Video, both(35, 500), 0),
            (Kind::Audio, both(60, 520), 25),
            (Kind::Audio, reported(520), 20),
            (Kind::Audio, both(600, 520), 20),
            (Kind::Audio, both(600, 9000), 0),
        ] {
            assert_eq!(lags.hear(kind, lag), lead * MS, "{kind:?} {lag:?}");
        }
    }
}
