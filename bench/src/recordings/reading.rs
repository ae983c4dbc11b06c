// SPDX-License-Identifier: MPL-2.0

//! What a finished file shows and sounds, with the times that a player would give it. Nothing but
//! the file is looked at.

use super::picture::{self, Plane, Seen};
use super::sound::{RATE, Sound};
use gst::prelude::*;
use gst_app::{AppSink, AppSinkCallbacks};
use gst_video::VideoFrameExt as _;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

/// How long a file may give nothing at all. Generous: the machine may be busy.
const STALLED: gst::ClockTime = gst::ClockTime::from_seconds(60);

/// What is in a file.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Content {
    /// Each picture, with its time in seconds.
    pub(crate) pictures: Vec<(f64, Seen)>,
    pub(crate) sound: Sound,
}

/// Takes the pipeline down however this ends.
struct Guard(gst::Pipeline);

impl Drop for Guard {
    fn drop(&mut self) {
        let _ = self.0.set_state(gst::State::Null);
    }
}

/// Reads a file to its end.
///
/// # Errors
/// The first complaint of an element.
pub(crate) fn read(path: &Path) -> anyhow::Result<Content> {
    let content = Arc::new(Mutex::new(Content::default()));
    let guard = Guard(gst::Pipeline::new());
    let source = gst::ElementFactory::make("filesrc").property("location", path).build()?;
    let decoder = gst::ElementFactory::make("decodebin").build()?;
    guard.0.add_many([&source, &decoder])?;
    source.link(&decoder)?;
    let (weak, into) = (guard.0.downgrade(), Arc::clone(&content));
    decoder.connect_pad_added(move |decoder, pad| {
        if let Some(pipeline) = weak.upgrade()
            && let Err(error) = end(&pipeline, pad, &into)
        {
            gst::element_error!(decoder, gst::CoreError::Pad, ["{error}"]);
        }
    });
    let bus = guard.0.bus().ok_or_else(|| anyhow::anyhow!("a pipeline without a bus"))?;
    guard.0.set_state(gst::State::Playing)?;
    let kinds = [gst::MessageType::Eos, gst::MessageType::Error];
    let mut length = 0;
    loop {
        let message = bus.timed_pop_filtered(STALLED, &kinds);
        match message.as_ref().map(|message| message.view()) {
            Some(gst::MessageView::Error(error)) => anyhow::bail!("{}", error.error()),
            Some(_) => break,
            None => {
                let content = content.lock().unwrap_or_else(PoisonError::into_inner);
                let now = content.pictures.len() + content.sound.samples().len();
                anyhow::ensure!(now > length, "nothing came for {STALLED}");
                length = now;
            }
        }
    }
    drop(guard);
    Ok(std::mem::take(&mut *content.lock().unwrap_or_else(PoisonError::into_inner)))
}

/// Puts a decoded track's end into the pipeline.
fn end(
    pipeline: &gst::Pipeline,
    pad: &gst::Pad,
    content: &Arc<Mutex<Content>>,
) -> anyhow::Result<()> {
    let caps = pad.current_caps().unwrap_or_else(|| pad.query_caps(None));
    let sound = caps.structure(0).is_some_and(|caps| caps.name().starts_with("audio/"));
    let steps = if sound {
        format!(
            "audioconvert ! audioresample ! audio/x-raw,format=F32LE,layout=interleaved,rate={RATE},channels=1"
        )
    } else {
        "videoconvert ! video/x-raw,format=I420".to_owned()
    };
    // The queue lets sound and picture be far apart in the file.
    let description = format!(
        "queue max-size-buffers=0 max-size-bytes=0 max-size-time=0 ! {steps} \
         ! appsink name=sink sync=false"
    );
    let bin = gst::parse::bin_from_description(&description, true)?;
    let sink = bin.by_name("sink").and_then(|sink| sink.downcast::<AppSink>().ok());
    let sink = sink.ok_or_else(|| anyhow::anyhow!("no sink"))?;
    let into = Arc::clone(content);
    let take = move |sink: &AppSink| {
        let sample = sink.pull_sample().map_err(|_| gst::FlowError::Eos)?;
        let mut content = into.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = if sound { hear(&mut content, &sample) } else { look(&mut content, &sample) };
        taken.map(|()| gst::FlowSuccess::Ok).ok_or(gst::FlowError::Error)
    };
    sink.set_callbacks(AppSinkCallbacks::builder().new_sample(take).build());
    pipeline.add(&bin)?;
    bin.sync_state_with_parent()?;
    let entry = bin.static_pad("sink").ok_or_else(|| anyhow::anyhow!("no sink pad"))?;
    pad.link(&entry)?;
    Ok(())
}

/// When a player would show or sound it, in seconds; negative before the file's beginning.
fn time(sample: &gst::Sample) -> Option<f64> {
    let segment = sample.segment()?.downcast_ref::<gst::ClockTime>()?;
    let time = segment.to_running_time_full(sample.buffer()?.pts()?)?;
    let (negative, time) = match time {
        gst::Signed::Positive(time) => (1.0, time),
        gst::Signed::Negative(time) => (-1.0, time),
    };
    Some(negative * time.nseconds() as f64 / 1e9)
}

fn hear(content: &mut Content, sample: &gst::Sample) -> Option<()> {
    let bytes = sample.buffer()?.map_readable().ok()?;
    let (samples, _) = bytes.as_chunks::<4>();
    content.sound.push(time(sample)?, samples.iter().map(|bytes| f32::from_le_bytes(*bytes)));
    Some(())
}

fn look(content: &mut Content, sample: &gst::Sample) -> Option<()> {
    let info = gst_video::VideoInfo::from_caps(sample.caps()?).ok()?;
    let frame = gst_video::VideoFrameRef::from_buffer_ref_readable(sample.buffer()?, &info).ok()?;
    let plane = Plane {
        width: usize::try_from(info.width()).ok()?,
        height: usize::try_from(info.height()).ok()?,
        stride: usize::try_from(*frame.plane_stride().first()?).ok()?,
    };
    let seen = picture::read(plane, frame.plane_data(0).ok()?);
    content.pictures.push((time(sample)?, seen));
    Some(())
}

#[cfg(test)]
mod tests {
    use super::super::fiducial;
    use super::super::picture::draw;
    use super::super::sound::chirp;
    use super::*;

    /// A film of 3 s in a file: it flashes at these pictures, and beeps at the same times, which
    /// `late` ms are added to.
    fn film(path: &Path, flashes: &[u64], late: u64) {
        gst::init().expect("GStreamer");
        let launch = format!(
            "appsrc name=picture format=time caps=video/x-raw,format=I420,width=160,height=120,framerate=25/1 \
             ! x264enc speed-preset=ultrafast ! matroskamux name=mux ! filesink location={} \
             appsrc name=sound format=time caps=audio/x-raw,format=F32LE,rate=48000,channels=1,layout=interleaved \
             ! audioconvert ! audio/x-raw,format=S16LE ! mux.",
            path.display()
        );
        let pipeline = gst::parse::launch(&launch).expect("elements");
        let pipeline = Guard(pipeline.downcast::<gst::Pipeline>().expect("a pipeline"));
        let source = |name| {
            let source = pipeline.0.by_name(name).expect("there");
            source.downcast::<gst_app::AppSrc>().expect("an appsrc")
        };
        let (picture, sound) = (source("picture"), source("sound"));
        for source in [&picture, &sound] {
            source.set_max_bytes(0);
        }
        pipeline.0.set_state(gst::State::Playing).expect("starts");
        let plane = Plane { width: 160, height: 120, stride: 160 };
        for number in 0..75_u16 {
            let white = flashes.iter().any(|at| (*at..at + 3).contains(&u64::from(number)));
            let mut bytes = vec![128; 160 * 120 * 3 / 2];
            draw(number, white, plane, &mut bytes);
            push(&picture, bytes, u64::from(number) * 40);
        }
        let mut samples = vec![0.0_f32; 48_000 * 3];
        for at in flashes {
            let at = usize::try_from((at * 40 + late) * 48).expect("small");
            samples[at..at + 1_920].copy_from_slice(&chirp());
        }
        for (number, piece) in samples.chunks(960).enumerate() {
            let bytes = piece.iter().flat_map(|sample| sample.to_le_bytes()).collect();
            push(&sound, bytes, number as u64 * 20);
        }
        for source in [&picture, &sound] {
            source.end_of_stream().expect("taken");
        }
        let bus = pipeline.0.bus().expect("a bus");
        let kinds = [gst::MessageType::Eos, gst::MessageType::Error];
        let end = bus.timed_pop_filtered(STALLED, &kinds).expect("an end in time");
        assert_eq!(end.type_(), gst::MessageType::Eos, "{end:?}");
    }

    fn push(source: &gst_app::AppSrc, bytes: Vec<u8>, ms: u64) {
        let mut buffer = gst::Buffer::from_mut_slice(bytes);
        buffer.get_mut().expect("new").set_pts(gst::ClockTime::from_mseconds(ms));
        source.push_buffer(buffer).expect("taken");
    }

    #[test]
    fn a_file_tells_its_numbers_flashes_and_beeps_at_their_times() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("film.mkv");
        film(&path, &[10, 40], 7);
        let content = read(&path).expect("readable");
        let numbers: Vec<_> = content.pictures.iter().map(|(_, seen)| seen.number).collect();
        assert_eq!(numbers, (0..75).map(Some).collect::<Vec<_>>());
        let flashes =
            fiducial::flashes(content.pictures.iter().map(|(time, seen)| (*time, seen.luma)));
        let beeps = fiducial::beeps(&content.sound);
        let sounds: Vec<f64> = beeps.samples.iter().map(|at| content.sound.time(*at)).collect();
        for (found, true_ones) in [(flashes, [0.4, 1.6]), (sounds, [0.407, 1.607])] {
            assert_eq!(found.len(), 2, "{found:?}");
            for (found, at) in found.iter().zip(true_ones) {
                // Matroska counts in milliseconds.
                assert!((found - at).abs() < 0.001, "{found} {at}");
            }
        }
    }

    #[test]
    fn a_file_that_is_none_is_an_error() {
        gst::init().expect("GStreamer");
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("film.mkv");
        std::fs::write(&path, "no film").expect("written");
        assert!(read(&path).is_err());
    }
}
