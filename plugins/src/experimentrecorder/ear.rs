// SPDX-License-Identifier: MPL-2.0

//! Tells whether anything is heard in a packet of Opus. Its size does not tell (at a constant bitrate
//! all are alike), nor does one packet alone, so an ear is opened when it begins to matter and hears
//! some packets before it judges. GStreamer's decoder, without a pipeline: what goes in at one pad is
//! heard at the other before the call returns.

use crate::laying::Content;
use crate::quiet;
use gst::glib;
use gst::prelude::*;
use std::sync::{Arc, Mutex, PoisonError};

/// Packets before the first judgement. What a decoder takes over from the packet before weighs half
/// with each packet of 20 ms (libopus, prediction of the bands' energy): a thousandth after ten.
const WARM_UP: u32 = 10;

/// An ear stays open for so many packets in vain, 5 s: nothing had to be known of them, and to open one costs more; or
/// all of them were sound, and people who speak pause more often.
const PATIENCE: u32 = 250;

/// Where there is no pause (music, a noisy room), it listens again after so many packets, 20 s. Decoding all of them
/// took a tenth of what it takes to transcode sound and picture.
const REST: u32 = 1000;

/// Opens an ear when it matters, and closes it again.
#[derive(Debug, Default)]
pub(super) enum Hearing {
    #[default]
    Closed,
    /// For so many packets nothing had to be known (`idle`), for so many there was no pause (`sound`).
    Open { ear: Ear, idle: u32, sound: u32 },
    /// There was no pause; for so many packets it is not looked for.
    Resting { left: u32 },
    /// There is no decoder.
    Deaf,
}

impl Hearing {
    /// What there is in the next packet, if it `matters`.
    pub(super) fn listen(&mut self, packet: &gst::Buffer, stereo: bool, matters: bool) -> Content {
        if matches!(self, Self::Closed) && matters {
            *self = match Ear::open(1 + u8::from(stereo)) {
                Ok(ear) => Self::Open { ear, idle: 0, sound: 0 },
                Err(error) => {
                    gst::warning!(super::imp::CAT, "nothing is heard: {error}");
                    Self::Deaf
                }
            };
        }
        match self {
            Self::Open { ear, idle, sound } => {
                let content = ear.hear(packet);
                *idle = if matters { 0 } else { *idle + 1 };
                *sound = if content == Content::Quiet { 0 } else { *sound + 1 };
                if *idle > PATIENCE {
                    *self = Self::Closed;
                } else if *sound > PATIENCE {
                    *self = Self::Resting { left: REST };
                }
                content
            }
            Self::Resting { left: 0 } => {
                *self = Self::Closed;
                Content::Sound
            }
            Self::Resting { left } => {
                *left -= 1;
                Content::Sound
            }
            Self::Closed | Self::Deaf => Content::Sound,
        }
    }
}

/// What was heard since the last look.
type Heard = Arc<Mutex<Option<Content>>>;

/// See the module.
#[derive(Debug)]
pub(super) struct Ear {
    decoder: gst::Element,
    entrance: gst::Pad,
    exit: gst::Pad,
    heard: Heard,
    packets: u32,
}

impl Ear {
    /// An ear for packets of so many channels.
    ///
    /// # Errors
    /// When GStreamer lacks the decoder.
    pub(super) fn open(channels: u8) -> Result<Self, glib::BoolError> {
        let decoder = gst::ElementFactory::make("opusdec").build()?;
        let heard = Heard::default();
        let (entrance, exit) = (gst::Pad::new(gst::PadDirection::Src), exit(&heard)?);
        let ear = Self { decoder, entrance, exit, heard, packets: 0 };
        let pad = |name| {
            ear.decoder.static_pad(name).ok_or_else(|| glib::bool_error!("opusdec has no {name}"))
        };
        let link = |from: &gst::Pad, to: &gst::Pad| {
            from.link(to).map_err(|error| glib::bool_error!("{error}"))
        };
        link(&ear.entrance, &pad("sink")?)?;
        link(&pad("src")?, &ear.exit)?;
        ear.entrance.set_active(true)?;
        ear.exit.set_active(true)?;
        ear.decoder
            .set_state(gst::State::Playing)
            .map_err(|error| glib::bool_error!("opusdec: {error}"))?;
        let caps = gst::Caps::builder("audio/x-opus")
            .field("channel-mapping-family", 0)
            .field("channels", i32::from(channels))
            .field("rate", 48_000)
            .build();
        ear.entrance.push_event(gst::event::StreamStart::new("ear"));
        ear.entrance.push_event(gst::event::Caps::new(&caps));
        let segment = gst::FormattedSegment::<gst::ClockTime>::new();
        ear.entrance.push_event(gst::event::Segment::new(&segment));
        Ok(ear)
    }

    /// What there is in the packet that follows the one before.
    pub(super) fn hear(&mut self, packet: &gst::Buffer) -> Content {
        *self.heard.lock().unwrap_or_else(PoisonError::into_inner) = None;
        if self.entrance.push(packet.clone()).is_err() {
            return Content::Sound;
        }
        self.packets = self.packets.saturating_add(1);
        let heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner).take();
        heard.filter(|_| self.packets > WARM_UP).unwrap_or(Content::Sound)
    }
}

impl Drop for Ear {
    fn drop(&mut self) {
        // The last words of a decoder that nobody hears any more.
        let _ = self.decoder.set_state(gst::State::Null);
        drop(self.entrance.set_active(false));
        drop(self.exit.set_active(false));
    }
}

/// Where what was decoded ends.
fn exit(heard: &Heard) -> Result<gst::Pad, glib::BoolError> {
    let caps = gst::Caps::builder("audio/x-raw")
        .field("format", gst_audio::AUDIO_FORMAT_S16.to_str())
        .field("layout", "interleaved")
        .field("rate", 48_000)
        .build();
    let (direction, presence) = (gst::PadDirection::Sink, gst::PadPresence::Always);
    let template = gst::PadTemplate::new("sink", direction, presence, &caps)?;
    let heard = Arc::clone(heard);
    Ok(gst::Pad::builder_from_template(&template)
        .chain_function(move |pad, _, buffer| {
            let caps = pad.current_caps();
            let info = caps.and_then(|caps| gst_audio::AudioInfo::from_caps(&caps).ok());
            let content = info.map(|info| quiet::listen_to(&buffer, &info));
            *heard.lock().unwrap_or_else(PoisonError::into_inner) = content;
            Ok(gst::FlowSuccess::Ok)
        })
        .event_function(|_, _, _| true)
        .build())
}

#[cfg(test)]
mod tests {
    use super::*;
    use gst_check::Harness;

    /// Packets of a tone, of silence, of the tone again, 25 each.
    fn packets() -> Vec<gst::Buffer> {
        let mut encoder = Harness::new_parse("opusenc bitrate-type=cbr");
        encoder
            .set_src_caps_str("audio/x-raw,format=S16LE,layout=interleaved,rate=48000,channels=1");
        encoder.play();
        for packet in 0..75u64 {
            let loud = !(25..50).contains(&packet);
            let sample = |n: u64| if loud { ((n as f64 * 0.1).sin() * 9000.0) as i16 } else { 0 };
            let bytes = (0..960).flat_map(|n| sample(packet * 960 + n).to_le_bytes()).collect();
            let mut buffer = gst::Buffer::from_mut_slice::<Vec<u8>>(bytes);
            let inside = buffer.get_mut().expect("its only owner");
            inside.set_pts(packet * 20 * gst::ClockTime::MSECOND);
            inside.set_duration(20 * gst::ClockTime::MSECOND);
            encoder.push(buffer).expect("it encodes");
        }
        std::iter::from_fn(|| encoder.try_pull()).collect()
    }

    #[test]
    fn silence_is_told_from_sound_and_nothing_is_said_of_the_first_packets() {
        gst::init().expect("GStreamer");
        let packets = packets();
        assert!(packets.len() >= 74, "{}", packets.len());
        let size = packets.iter().map(|packet| packet.size()).max();
        assert_eq!(packets.iter().map(|packet| packet.size()).min(), size, "sizes tell nothing");
        for first in [0, 20, 30, 45] {
            let mut ear = Ear::open(1).expect("a decoder");
            for (number, packet) in packets.iter().enumerate().skip(first) {
                let content = ear.hear(packet);
                match number {
                    _ if number - first < 10 => assert_eq!(content, Content::Sound, "{number}"),
                    // What an encoder looks ahead, and how a tone dies away.
                    30..49 => assert_eq!(content, Content::Quiet, "{number}"),
                    0..25 | 51.. => assert_eq!(content, Content::Sound, "{number}"),
                    _ => {}
                }
            }
        }
    }

    #[test]
    fn where_there_is_no_pause_it_listens_now_and_then() {
        gst::init().expect("GStreamer");
        let packets = packets();
        let mut hearing = Hearing::default();
        let mut hear = |packet: usize| {
            let content = hearing.listen(&packets[packet], false, true);
            (content, matches!(hearing, Hearing::Open { .. }))
        };
        let loud = |number: u32| 5 + number as usize % 10;
        let open = (0..3 * (PATIENCE + REST)).filter(|number| hear(loud(*number)).1).count();
        assert_eq!(open, 3 * PATIENCE as usize, "a fifth of the time");
        // It will be open again after the rest at most, and then hears a pause.
        let quiet = (0..REST + PATIENCE).map(|number| hear(30 + number as usize % 15).0);
        assert!(quiet.into_iter().any(|content| content == Content::Quiet));
        let stays = (0..2 * PATIENCE).all(|number| hear(30 + number as usize % 15).1);
        assert!(stays, "as long as there are pauses");
    }

    #[test]
    fn what_is_no_opus_may_be_heard() {
        gst::init().expect("GStreamer");
        let mut ear = Ear::open(2).expect("a decoder");
        for _ in 0..20 {
            assert_eq!(ear.hear(&gst::Buffer::from_slice([0xff; 3])), Content::Sound);
        }
    }
}
