// SPDX-License-Identifier: MPL-2.0

//! One participant: a `ducksouppeer` that sends ready-made media and counts what it gets.

use super::media::{Clip, Media};
use crate::counts::Format;
use gst::prelude::*;
use gst_app::AppSrc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

/// Longest wait for the door, in ms: what is measured here is not the door.
const JOIN: u32 = 30_000;

/// What happens to a participant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Event {
    /// The server said `joined`.
    Joined,
    /// The server said `start`.
    Started,
    /// The first picture of somebody has been decoded.
    FirstPicture,
    /// The server said `end`.
    Ended,
    /// It cannot go on.
    Failed(String),
}

/// An event, whose (as numbered by the caller), and when.
pub(crate) type Word = (usize, Instant, Event);

/// What is done with what comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reception {
    /// Counted as packets: cheap.
    Count,
    /// The first one's pictures, of this format, are decoded; everything else is counted.
    Decode(Format),
}

/// What a participant has got.
#[derive(Debug, Default)]
pub(crate) struct Received {
    /// Bytes of RTP, headers included.
    pub(crate) bytes: AtomicU64,
    /// Pictures: packets with the marker.
    pub(crate) pictures: AtomicU64,
}

impl Received {
    /// Counts a packet.
    pub(crate) fn take(&self, packet: &gst::BufferRef, is_picture: bool) {
        self.bytes.fetch_add(packet.size() as u64, Ordering::Relaxed);
        let mut head = [0; 2];
        if is_picture && packet.copy_to_slice(0, &mut head).is_ok() && head[1] & 0x80 != 0 {
            self.pictures.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Counts what passes a pad.
    pub(crate) fn watch(self: &Arc<Self>, pad: &gst::Pad, is_picture: bool) {
        let received = Arc::clone(self);
        let media = gst::PadProbeType::BUFFER | gst::PadProbeType::BUFFER_LIST;
        pad.add_probe(media, move |_, info| {
            match &info.data {
                Some(gst::PadProbeData::Buffer(packet)) => received.take(packet, is_picture),
                Some(gst::PadProbeData::BufferList(list)) => {
                    list.iter().for_each(|packet| received.take(packet, is_picture));
                }
                _ => {}
            }
            gst::PadProbeReturn::Ok
        });
    }
}

/// A participant; ends with its scope.
#[derive(Debug)]
pub(crate) struct Participant {
    pipeline: gst::Pipeline,
    /// What it has got.
    pub(crate) received: Arc<Received>,
}

impl Drop for Participant {
    fn drop(&mut self) {
        let _ = self.pipeline.set_state(gst::State::Null);
    }
}

impl Participant {
    /// Builds number `number`, who joins with these options of the signaller; nothing moves yet.
    ///
    /// # Errors
    /// When an element is missing.
    pub(crate) fn new(
        number: usize,
        options: &[(&'static str, String)],
        media: &Media,
        reception: Reception,
        words: &Sender<Word>,
    ) -> anyhow::Result<Self> {
        let pipeline = gst::Pipeline::new();
        let peer =
            gst::ElementFactory::make("ducksouppeer").property("connect-timeout", JOIN).build()?;
        peer.set_property_from_str("output", "rtp");
        let signaller = peer.property::<glib::Object>("signaller");
        for (name, value) in options {
            signaller.set_property_from_str(name, value);
        }
        pipeline.add(&peer)?;
        send(&pipeline, &peer, "audio_sink", &media.sound)?;
        send(&pipeline, &peer, "video_sink", &media.pictures)?;
        let received = Arc::<Received>::default();
        let (counted, around) = (Arc::clone(&received), pipeline.downgrade());
        let words_of_pads = words.clone();
        let decodes = Mutex::new(match reception {
            Reception::Count => None,
            Reception::Decode(format) => Some(format),
        });
        peer.connect_pad_added(move |_, pad| {
            let Some(pipeline) = around.upgrade() else { return };
            let is_picture = pad.name().starts_with("video");
            let mut decodes = decodes.lock().unwrap_or_else(PoisonError::into_inner);
            let format = decodes.take_if(|_| is_picture);
            drop(decodes);
            let linked = match format {
                Some(format) => decode(&pipeline, pad, format, number, &words_of_pads),
                None => drain(&pipeline, pad).map(|end| counted.watch(&end, is_picture)),
            };
            if let Err(error) = linked {
                gst::element_error!(pipeline, gst::CoreError::Pad, ["{error}"]);
            }
        });
        if let Some(bus) = pipeline.bus() {
            let words = words.clone();
            bus.set_sync_handler(move |_, message| {
                if let Some(event) = event(message) {
                    // Who has heard enough listens no more.
                    let _ = words.send((number, Instant::now(), event));
                }
                gst::BusSyncReply::Drop
            });
        }
        Ok(Self { pipeline, received })
    }

    /// Joins.
    ///
    /// # Errors
    /// When the pipeline does not start.
    pub(crate) fn join(&self) -> anyhow::Result<()> {
        self.pipeline.set_state(gst::State::Playing)?;
        Ok(())
    }
}

fn event(message: &gst::MessageRef) -> Option<Event> {
    if let gst::MessageView::Error(error) = message.view() {
        return Some(Event::Failed(format!("{} {:?}", error.error(), error.debug())));
    }
    match message.structure()?.name().as_str() {
        "ducksouppeer-joined" => Some(Event::Joined),
        "ducksouppeer-start" => Some(Event::Started),
        "ducksouppeer-end" => Some(Event::Ended),
        _ => None,
    }
}

/// Plays a clip into a pad, each piece at its time.
fn send(
    pipeline: &gst::Pipeline,
    peer: &gst::Element,
    pad: &str,
    clip: &Arc<Clip>,
) -> anyhow::Result<()> {
    let source = AppSrc::builder().build();
    clip.play(&source);
    let clock = gst::ElementFactory::make("clocksync").build()?;
    pipeline.add_many([source.upcast_ref(), &clock])?;
    source.link(&clock)?;
    clock.link_pads(Some("src"), peer, Some(pad))?;
    Ok(())
}

/// Lets what comes out of a pad vanish; gives the pad where it does.
fn drain(pipeline: &gst::Pipeline, pad: &gst::Pad) -> Result<gst::Pad, glib::BoolError> {
    let sink = gst::ElementFactory::make("fakesink")
        .property("sync", false)
        .property("async", false)
        .property("enable-last-sample", false)
        .build()?;
    let end = sink.static_pad("sink").ok_or_else(|| glib::bool_error!("no sink pad"))?;
    pipeline.add(&sink)?;
    sink.sync_state_with_parent()?;
    pad.link(&end).map_err(|error| glib::bool_error!("{error}"))?;
    Ok(end)
}

/// Decodes what comes out of a pad and tells the first picture.
fn decode(
    pipeline: &gst::Pipeline,
    pad: &gst::Pad,
    format: Format,
    number: usize,
    words: &Sender<Word>,
) -> Result<(), glib::BoolError> {
    let description = match format {
        Format::H264 => {
            "rtph264depay request-keyframe=true wait-for-keyframe=true ! h264parse
             ! avdec_h264 thread-type=slice max-threads=1 std-compliance=normal"
        }
        Format::Vp8 => "rtpvp8depay request-keyframe=true wait-for-keyframe=true ! vp8dec",
    };
    let decoder = gst::parse::bin_from_description(description, true)
        .map_err(|error| glib::bool_error!("{error}"))?;
    pipeline.add(&decoder)?;
    let source = decoder.static_pad("src").ok_or_else(|| glib::bool_error!("no source pad"))?;
    let end = drain(pipeline, &source)?;
    let words = Mutex::new(Some(words.clone()));
    end.add_probe(gst::PadProbeType::BUFFER, move |_, _| {
        if let Some(words) = words.lock().unwrap_or_else(PoisonError::into_inner).take() {
            let _ = words.send((number, Instant::now(), Event::FirstPicture));
        }
        gst::PadProbeReturn::Remove
    });
    decoder.sync_state_with_parent()?;
    let sink = decoder.static_pad("sink").ok_or_else(|| glib::bool_error!("no sink pad"))?;
    pad.link(&sink).map_err(|error| glib::bool_error!("{error}"))?;
    Ok(())
}
