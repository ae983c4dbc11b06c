// SPDX-License-Identifier: MPL-2.0

//! Writes an output: H.264 and AAC to mp4, or plain sound to wav.

use super::canvas::Canvas;
use super::grid::Rate;
use super::media::{MediaError, Running, STALLED, chain, element, failed};
use super::priming;
use super::reader::sound_caps;
use super::sound;
use gst::prelude::*;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Pictures that may wait for the encoder.
const WAITING: u64 = 8;
/// Between two looks at whether they still wait.
const LOOK: gst::ClockTime = gst::ClockTime::from_mseconds(5);
/// Of the sound in an mp4, bit/s for each channel: what AAC-LC needs to be hard to tell from the
/// original; the wav beside it is the original.
const BITRATE: u32 = 128_000;
/// Quality of the picture (x264's constant rate factor; 18 is widely held to be visually lossless).
const QUALITY: &str = "18";

/// An mp4 that is being written.
#[derive(Debug)]
pub(crate) struct Mp4 {
    running: Running,
    path: PathBuf,
    video: gst_app::AppSrc,
    audio: gst_app::AppSrc,
    rate: Rate,
    channels: usize,
    pictures: u64,
    samples: i64,
    picture_size: u64,
}

impl Mp4 {
    /// Begins one: pictures of a canvas, sound of so many channels.
    pub(crate) fn new(
        path: &Path,
        canvas: &Canvas,
        framerate: u32,
        channels: usize,
    ) -> Result<Self, MediaError> {
        let running = Running::new()?;
        // An unlimited queue: the pace is kept by `picture`, which looks at the encoder's own.
        let source = |caps: &gst::Caps| {
            gst_app::AppSrc::builder().caps(caps).format(gst::Format::Time).max_bytes(0).build()
        };
        let video = source(&canvas.caps()?);
        let audio = source(&sound_caps(i32::try_from(channels).unwrap_or(1)));
        let second = framerate.to_string();
        let x264 = element(
            "x264enc",
            &[
                ("pass", "qual"),
                ("quantizer", QUALITY),
                ("speed-preset", "fast"),
                // In the order in which they are shown: every tool counts them alike.
                ("bframes", "0"),
                ("key-int-max", &second),
                ("option-string", "open-gop=0"),
            ],
        )?;
        let bitrate = (BITRATE * u32::try_from(channels).unwrap_or(1)).to_string();
        let aac = element("avenc_aac", &[("bitrate", &bitrate)])?;
        // Sample-exact edit lists: mp4's default timescale would round them.
        let muxer = element("mp4mux", &[("movie-timescale", "48000")])?;
        let file = gst::ElementFactory::make("filesink").property("location", path).build()?;
        let convert = element("audioconvert", &[])?;
        let parse = element("aacparse", &[])?;
        chain(&running.pipeline, &[video.upcast_ref(), &x264])?;
        chain(&running.pipeline, &[audio.upcast_ref(), &convert, &aac, &parse])?;
        chain(&running.pipeline, &[&muxer, &file])?;
        x264.link(&muxer)?;
        parse.link(&muxer)?;
        running.play()?;
        let picture_size = canvas.black().len() as u64;
        let rate = Rate { start: 0, framerate };
        let path = path.to_owned();
        Ok(Self {
            running,
            path,
            video,
            audio,
            rate,
            channels,
            pictures: 0,
            samples: 0,
            picture_size,
        })
    }

    /// The next picture.
    pub(crate) fn picture(&mut self, bytes: &[u8]) -> Result<(), MediaError> {
        self.wait()?;
        let mut buffer = gst::Buffer::from_slice(bytes.to_vec());
        let (from, to) = (self.rate.time(self.pictures), self.rate.time(self.pictures + 1));
        stamp(&mut buffer, from, to);
        self.pictures += 1;
        push(&self.running, &self.video, buffer)
    }

    /// The next samples, interleaved.
    pub(crate) fn sound(&mut self, samples: &[i16]) -> Result<(), MediaError> {
        let end = self.samples + count(samples, self.channels);
        let buffer = block(samples, self.samples, end);
        self.samples = end;
        push(&self.running, &self.audio, buffer)
    }

    /// Until the encoder has taken most of what it has.
    fn wait(&self) -> Result<(), MediaError> {
        let begun = Instant::now();
        while self.video.current_level_bytes() > WAITING * self.picture_size {
            match self.running.bus.timed_pop_filtered(LOOK, &[gst::MessageType::Error]) {
                Some(message) => return Err(failed(&message)),
                None if begun.elapsed() > Duration::from_secs(STALLED) => {
                    return Err(MediaError::Stalled);
                }
                None => {}
            }
        }
        Ok(())
    }

    /// Ends it.
    pub(crate) fn finish(self) -> Result<(), MediaError> {
        let Self { running, path, video, audio, samples, .. } = self;
        finish(&running, &[&video, &audio])?;
        drop(running);
        let whole = u64::try_from(samples).unwrap_or(0);
        priming::declare(&path, whole).map_err(|error| MediaError::Failed(error.to_string()))
    }
}

/// A wav that is being written.
#[derive(Debug)]
pub(crate) struct Wav {
    running: Running,
    source: gst_app::AppSrc,
    channels: usize,
    samples: i64,
}

impl Wav {
    /// Begins one.
    pub(crate) fn new(path: &Path, channels: usize) -> Result<Self, MediaError> {
        let running = Running::new()?;
        let caps = sound_caps(i32::try_from(channels).unwrap_or(1));
        let source =
            gst_app::AppSrc::builder().caps(&caps).format(gst::Format::Time).max_bytes(0).build();
        let muxer = element("wavenc", &[])?;
        let file = gst::ElementFactory::make("filesink").property("location", path).build()?;
        chain(&running.pipeline, &[source.upcast_ref(), &muxer, &file])?;
        running.play()?;
        Ok(Self { running, source, channels, samples: 0 })
    }

    /// The next samples, interleaved.
    pub(crate) fn sound(&mut self, samples: &[i16]) -> Result<(), MediaError> {
        let end = self.samples + count(samples, self.channels);
        let buffer = block(samples, self.samples, end);
        self.samples = end;
        push(&self.running, &self.source, buffer)
    }

    /// Ends it.
    pub(crate) fn finish(self) -> Result<(), MediaError> {
        finish(&self.running, &[&self.source])
    }
}

fn count(samples: &[i16], channels: usize) -> i64 {
    i64::try_from(samples.len() / channels).unwrap_or(i64::MAX)
}

fn block(samples: &[i16], from: i64, to: i64) -> gst::Buffer {
    let bytes: Vec<u8> = samples.iter().flat_map(|sample| sample.to_le_bytes()).collect();
    let mut buffer = gst::Buffer::from_mut_slice(bytes);
    stamp(&mut buffer, sound::nanoseconds(from), sound::nanoseconds(to));
    buffer
}

fn stamp(buffer: &mut gst::Buffer, from: i64, to: i64) {
    let clock = |time: i64| gst::ClockTime::from_nseconds(u64::try_from(time).unwrap_or(0));
    let buffer = buffer.make_mut();
    buffer.set_pts(clock(from));
    buffer.set_duration(clock(to - from));
}

fn push(
    running: &Running,
    source: &gst_app::AppSrc,
    buffer: gst::Buffer,
) -> Result<(), MediaError> {
    match source.push_buffer(buffer) {
        Ok(_) => running.complaint().map_or(Ok(()), Err),
        Err(error) => {
            Err(running.complaint().unwrap_or_else(|| MediaError::Failed(error.to_string())))
        }
    }
}

/// Waits until everything that was pushed is in the file.
fn finish(running: &Running, sources: &[&gst_app::AppSrc]) -> Result<(), MediaError> {
    for source in sources {
        source.end_of_stream().map_err(|error| {
            running.complaint().unwrap_or_else(|| MediaError::Failed(error.to_string()))
        })?;
    }
    let kinds = [gst::MessageType::Eos, gst::MessageType::Error];
    let level = || sources.iter().map(|source| source.current_level_bytes()).sum::<u64>();
    let mut left = level();
    loop {
        match running.bus.timed_pop_filtered(gst::ClockTime::from_seconds(STALLED), &kinds) {
            Some(message) if message.type_() == gst::MessageType::Eos => return Ok(()),
            Some(message) => return Err(failed(&message)),
            None if level() < left => left = level(),
            None => return Err(MediaError::Stalled),
        }
    }
}
