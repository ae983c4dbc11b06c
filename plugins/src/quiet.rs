// SPDX-License-Identifier: MPL-2.0

//! Whether anything is heard in a piece of sound. Pure.

use crate::laying::Content;

/// What is louder is heard: −50 dB of full scale. Ours, from ITU-T P.56 and G.191: speech of the usual
/// level has −26 dBov and counts as speech down to 15.9 dB below that; 8 dB below what counts begins what
/// nobody misses.
const HEARD: f64 = 0.003_162;

/// How long what is heard is at least, in parts of a second: a block of 2.5 ms, so that a word which
/// begins at the end of a piece makes it sound.
const BLOCKS: usize = 400;

/// What there is in interleaved samples from −1 to 1 of so many channels, at `rate` Hz.
pub(crate) fn listen(samples: &[f64], channels: usize, rate: usize) -> Content {
    let block = (rate / BLOCKS).max(1).saturating_mul(channels.max(1));
    let heard = samples.chunks(block).any(|block| {
        let energy: f64 = block.iter().map(|sample| sample * sample).sum();
        energy > HEARD * HEARD * block.len() as f64
    });
    if heard { Content::Sound } else { Content::Quiet }
}

/// The same of a buffer of raw sound, in what decoders give: S16 and F32 in the order of this machine. Of
/// all else nothing is known.
#[must_use]
pub fn listen_to(buffer: &gst::BufferRef, info: &gst_audio::AudioInfo) -> Content {
    let Ok(bytes) = buffer.map_readable() else {
        return Content::Sound;
    };
    let samples: Vec<f64> = if info.format() == gst_audio::AUDIO_FORMAT_S16 {
        let (pairs, _) = bytes.as_chunks::<2>();
        pairs.iter().map(|pair| f64::from(i16::from_ne_bytes(*pair)) / 32_768.0).collect()
    } else if info.format() == gst_audio::AUDIO_FORMAT_F32 {
        let (fours, _) = bytes.as_chunks::<4>();
        fours.iter().map(|four| f64::from(f32::from_ne_bytes(*four))).collect()
    } else {
        return Content::Sound;
    };
    listen(&samples, info.channels() as usize, info.rate() as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tone(decibels: f64, samples: usize) -> Vec<f64> {
        let amplitude = 2f64.sqrt() * 10f64.powf(decibels / 20.0);
        (0..samples).map(|n| amplitude * (n as f64 * 0.13).sin()).collect()
    }

    #[test]
    fn what_is_louder_than_50_db_below_full_scale_is_heard() {
        let silence = vec![0.0; 960];
        let word_begins = [vec![0.0; 840], tone(-40.0, 120)].concat();
        for (samples, content) in [
            (&[][..], Content::Quiet),
            (&silence, Content::Quiet),
            (&tone(-53.0, 960), Content::Quiet),
            (&tone(-47.0, 960), Content::Sound),
            (&tone(-20.0, 960), Content::Sound),
            (&word_begins, Content::Sound),
        ] {
            assert_eq!(listen(samples, 1, 48_000), content, "{:?}", samples.len());
        }
    }

    #[test]
    fn raw_buffers_are_read_in_the_formats_of_decoders() {
        gst::init().expect("GStreamer");
        let loud: Vec<f64> = tone(-30.0, 960);
        let buffer = |bytes: Vec<u8>| gst::Buffer::from_mut_slice(bytes);
        let whole = |value: &f64| ((value * 32_768.0) as i16).to_ne_bytes();
        let float = |value: &f64| (*value as f32).to_ne_bytes();
        let info =
            |format| gst_audio::AudioInfo::builder(format, 48_000, 2).build().expect("valid");
        let [s16, f32, s32] =
            [gst_audio::AUDIO_FORMAT_S16, gst_audio::AUDIO_FORMAT_F32, gst_audio::AUDIO_FORMAT_S32]
                .map(info);
        let silence = buffer(vec![0; 3840]);
        for (buffer, info, content) in [
            (&silence, &s16, Content::Quiet),
            (&silence, &f32, Content::Quiet),
            (&silence, &s32, Content::Sound),
            (&buffer(loud.iter().flat_map(whole).collect()), &s16, Content::Sound),
            (&buffer(loud.iter().flat_map(float).collect()), &f32, Content::Sound),
        ] {
            assert_eq!(listen_to(buffer, info), content, "{info:?}");
        }
    }
}
