// SPDX-License-Identifier: MPL-2.0

//! What participants send, encoded before anything is measured: pictures that bear their numbers in
//! bars over a moving field, and sound with chirps or a steady tone. So sending costs little.

use crate::counts::Format;
use crate::recordings::picture::{Plane, draw};
use crate::recordings::sound::{RATE, chirp};
use anyhow::Context as _;
use gst_app::{AppSink, AppSrc};
use std::f64::consts::PI;

/// Samples in a packet of sound: 20 ms, as browsers send them.
pub(crate) const PACKET: usize = 960;
/// Each segment of the pictures begins with a keyframe and can follow any other; in seconds. Ours: longer than the
/// usual run, for a browser sends keyframes when it is asked, and nearly never else.
const SEGMENT: u32 = 20;
/// How many there are. Whoever asks for a keyframe is given the next one.
const SEGMENTS: u32 = 3;
/// Length of the sound in seconds: longer than any run.
const SOUND: usize = 100;
/// Times between two chirps, in ms, in turn: no multiple of a packet.
const BETWEEN: [usize; 5] = [610, 730, 670, 790, 650];
/// Bitrate of the pictures, kbit/s: what a browser sends at 640 × 480.
const BITRATE: u32 = 1_000;
/// The steady tone, in Hz, and how loud it is, of 1.
const TONE: (f64, f64) = (1_000.0, 0.3);

/// Root mean square of the tone.
pub(crate) const LOUDNESS: f64 = TONE.1 * std::f64::consts::FRAC_1_SQRT_2;

/// What is heard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sounds {
    /// A chirp now and then, in silence.
    Chirps,
    /// One tone.
    Tone,
}

/// A picture or a packet of sound as it is sent.
#[derive(Debug, Clone)]
pub(crate) struct Coded {
    pub(crate) bytes: gst::Buffer,
    pub(crate) is_key: bool,
}

/// Encoded pictures.
#[derive(Debug, Clone)]
pub(crate) struct Film {
    pub(crate) format: Format,
    pub(crate) size: (u32, u32),
    pub(crate) framerate: u32,
    pub(crate) caps: gst::Caps,
    pub(crate) frames: Vec<Coded>,
    /// Mean brightness of each one's field, before it was encoded.
    pub(crate) lumas: Vec<f64>,
}

impl Film {
    /// Films and encodes.
    ///
    /// # Errors
    /// When an encoder is missing.
    pub(crate) fn new(format: Format, size: (u32, u32), framerate: u32) -> anyhow::Result<Self> {
        let (width, height) = size;
        let plane =
            Plane { width: width as usize, height: height as usize, stride: width as usize };
        let count = SEGMENT * framerate;
        let (mut frames, mut lumas, mut caps) = (Vec::new(), Vec::new(), None);
        for segment in 0..SEGMENTS {
            let numbers = segment * count..(segment + 1) * count;
            let raw = numbers.map(|number| {
                let (bytes, luma) = paint(number, plane);
                lumas.push(luma);
                bytes
            });
            let description = format!(
                "appsrc name=in format=time block=true max-bytes=8000000 caps=video/x-raw,format=I420,width={width},\
                 height={height},framerate={framerate}/1 ! {} ! appsink name=out sync=false",
                encoder(format)
            );
            let frame = gst::ClockTime::SECOND / u64::from(framerate);
            let (own, coded) = encode(&description, raw, frame)?;
            frames.extend(coded);
            caps = own;
        }
        anyhow::ensure!(frames.len() == lumas.len(), "the encoder leaves pictures out");
        Ok(Self { format, size, framerate, caps: caps.context("no caps")?, frames, lumas })
    }

    /// Where to go on for a keyframe.
    pub(crate) fn next_key(&self, place: usize) -> usize {
        let segment = (SEGMENT * self.framerate) as usize;
        (place / segment + 1) * segment % self.frames.len()
    }
}

/// Encoded sound.
#[derive(Debug, Clone)]
pub(crate) struct Voice {
    pub(crate) sounds: Sounds,
    pub(crate) caps: gst::Caps,
    pub(crate) packets: Vec<Coded>,
}

impl Voice {
    /// Records and encodes.
    ///
    /// # Errors
    /// When the encoder is missing.
    pub(crate) fn new(sounds: Sounds) -> anyhow::Result<Self> {
        let samples = match sounds {
            Sounds::Chirps => chirps(SOUND * RATE as usize),
            Sounds::Tone => tone(SOUND * RATE as usize),
        };
        let description = "appsrc name=in format=time max-bytes=0 \
             caps=audio/x-raw,format=F32LE,rate=48000,channels=1,layout=interleaved ! audioconvert \
             ! opusenc audio-type=voice frame-size=20 bitrate=64000 ! appsink name=out sync=false";
        let raw = samples
            .chunks_exact(PACKET)
            .map(|piece| piece.iter().flat_map(|sample| sample.to_le_bytes()).collect());
        let packet = gst::ClockTime::from_mseconds(PACKET as u64 * 1_000 / u64::from(RATE));
        let (caps, packets) = encode(description, raw, packet)?;
        Ok(Self { sounds, caps: caps.context("no caps")?, packets })
    }
}

/// As browsers do, in one slice a picture.
fn encoder(format: Format) -> String {
    match format {
        Format::H264 => format!(
            "x264enc tune=zerolatency speed-preset=veryfast threads=1 key-int-max=3000 aud=false \
             sliced-threads=false bitrate={BITRATE} \
             ! video/x-h264,profile=constrained-baseline,stream-format=byte-stream,alignment=au"
        ),
        Format::Vp8 => format!(
            "vp8enc deadline=1 cpu-used=4 threads=2 lag-in-frames=0 end-usage=cbr \
             keyframe-max-dist=3000 target-bitrate={}",
            BITRATE * 1_000
        ),
    }
}

/// A picture's planes, and the mean brightness of its field.
fn paint(number: u32, plane: Plane) -> (Vec<u8>, f64) {
    let luma = plane.stride * plane.height;
    let mut bytes = vec![128; luma + luma / 2];
    // The number has 16 bits, and a film fewer pictures.
    draw(number as u16, false, plane, &mut bytes[..luma]);
    let t = f64::from(number);
    let across: Vec<f64> = (0..plane.width).map(|x| (x as f64 / 17.0 + t * 0.13).sin()).collect();
    let mut sum = 0_u64;
    let top = plane.height / 4;
    for y in top..plane.height {
        let down = (y as f64 / 23.0 - t * 0.09).cos();
        let row = &mut bytes[y * plane.stride..y * plane.stride + plane.width];
        for (x, pixel) in row.iter_mut().enumerate() {
            // Grain that moves with the pattern: what a camera sees is not smooth.
            let grain = ((x * 31 + y * 17 + number as usize * 3) % 23) as f64;
            *pixel = (90.0 + 35.0 * across[x] * down + grain) as u8;
            sum += u64::from(*pixel);
        }
    }
    let count = ((plane.height - top) * plane.width).max(1);
    (bytes, sum as f64 / count as f64)
}

fn chirps(length: usize) -> Vec<f32> {
    let mut samples = vec![0.0; length];
    let (beep, mut at) = (chirp(), RATE as usize);
    for between in BETWEEN.iter().cycle() {
        if at + beep.len() > length {
            break;
        }
        samples[at..at + beep.len()].copy_from_slice(&beep);
        at += between * RATE as usize / 1_000;
    }
    samples
}

fn tone(length: usize) -> Vec<f32> {
    let (hertz, loudness) = TONE;
    let angle = |n: usize| 2.0 * PI * hertz * n as f64 / f64::from(RATE);
    (0..length).map(|n| (loudness * angle(n).sin()) as f32).collect()
}

/// Sends raw pieces through `in` and takes what comes out of `out`.
fn encode(
    description: &str,
    raw: impl Iterator<Item = Vec<u8>>,
    step: gst::ClockTime,
) -> anyhow::Result<(Option<gst::Caps>, Vec<Coded>)> {
    let pipeline = super::Running::new(description)?;
    let (source, sink) = (pipeline.part::<AppSrc>("in")?, pipeline.part::<AppSink>("out")?);
    pipeline.play()?;
    for (number, bytes) in raw.enumerate() {
        let mut buffer = gst::Buffer::from_mut_slice(bytes);
        if let Some(buffer) = buffer.get_mut() {
            buffer.set_pts(step * number as u64);
            buffer.set_duration(step);
        }
        source.push_buffer(buffer)?;
    }
    source.end_of_stream()?;
    let (mut caps, mut coded) = (None, Vec::new());
    while let Ok(sample) = sink.pull_sample() {
        caps = sample.caps_owned();
        let buffer = sample.buffer().context("an empty sample")?;
        let is_key = !buffer.flags().contains(gst::BufferFlags::DELTA_UNIT);
        coded.push(Coded { bytes: buffer.copy(), is_key });
    }
    Ok((caps, coded))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recordings::picture;

    #[test]
    fn a_picture_bears_its_number_over_a_field_of_steady_brightness() {
        let plane = Plane { width: 320, height: 240, stride: 320 };
        for number in [0, 1, 700, 1_247] {
            let (bytes, luma) = paint(number, plane);
            let seen = picture::read(plane, &bytes);
            assert_eq!(seen.number, u16::try_from(number).ok());
            assert!((luma - 101.0).abs() < 8.0 && (seen.luma - luma).abs() < 4.0, "{luma}");
        }
    }

    #[test]
    fn chirps_lie_apart_and_a_tone_is_as_loud_everywhere() {
        let samples = chirps(RATE as usize * 4);
        let found = crate::recordings::fiducial::rises(&samples);
        assert_eq!(found.len(), 5);
        let tone = tone(4_800);
        let loud = |piece: &[f32]| piece.iter().map(|x| x * x).sum::<f32>() / piece.len() as f32;
        assert!((loud(&tone[..960]) - loud(&tone[960..1_920])).abs() < 1e-4);
    }
}
