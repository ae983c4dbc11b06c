// SPDX-License-Identifier: MPL-2.0

//! One participant: ready-made media into a `ducksouppeer`, and a count of what comes out of it.
//!
//! Nothing here waits: states are changed on GStreamer's own pool of threads, and what happens is
//! told through a channel, with the time at which it happened.

use super::board::News;
use super::clip::{Air, Clip};
use super::gaps::{Arrivals, Packet};
use gst::prelude::*;
use gst_app::AppSrc;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::mpsc::UnboundedSender;

/// Longest wait for `joined`, in ms: a slow server is measured, not given up. A little less than
/// what the board waits, so that the peer's own sentence is told.
const JOIN_TIMEOUT: u32 = 14_000;

/// What a participant tells.
#[derive(Debug)]
pub(crate) struct Word {
    /// When it happened.
    pub(crate) at: Instant,
    /// Whose: see [`Script::number`].
    pub(crate) number: u64,
    /// What.
    pub(crate) what: Tale,
}

/// See [`Word`].
#[derive(Debug)]
pub(crate) enum Tale {
    /// The server said something.
    News(News),
    /// It has said good-bye.
    Left,
    /// It is closed, and nothing of it remains.
    Gone,
}

/// What a participant is to be.
#[derive(Debug)]
pub(crate) struct Script<'a> {
    /// Another one for each connection that is made anew.
    pub(crate) number: u64,
    /// Properties of the signaller, as text.
    pub(crate) options: &'a [(&'static str, String)],
    /// What it sends.
    pub(crate) audio: &'a Arc<Clip>,
    /// The same; `None` without pictures.
    pub(crate) video: Option<&'a Arc<Clip>>,
    /// What it counts, by the names of the pads.
    pub(crate) tracks: HashMap<String, Arc<Mutex<Arrivals>>>,
    /// When the run began.
    pub(crate) begin: Instant,
    /// Where it tells. Not bounded: what a server says to one participant is a handful of words.
    pub(crate) words: UnboundedSender<Word>,
}

/// A participant.
#[derive(Debug)]
pub(crate) struct Participant {
    number: u64,
    pipeline: gst::Pipeline,
    peer: gst::Element,
    air: Arc<Air>,
    words: UnboundedSender<Word>,
}

impl Participant {
    /// Builds it; nothing moves yet.
    ///
    /// # Errors
    /// When an element is missing or does not fit.
    pub(crate) fn new(script: &Script<'_>) -> Result<Self, glib::BoolError> {
        let pipeline = gst::Pipeline::new();
        let peer = gst::ElementFactory::make("ducksouppeer").build()?;
        peer.set_property_from_str("output", "rtp");
        peer.set_property("connect-timeout", JOIN_TIMEOUT);
        let signaller = peer.property::<glib::Object>("signaller");
        for (name, value) in script.options {
            signaller.set_property_from_str(name, value);
        }
        pipeline.add(&peer)?;
        let air = Arc::<Air>::default();
        send(&pipeline, &peer, "audio_sink", script.audio, &air)?;
        if let Some(video) = script.video {
            send(&pipeline, &peer, "video_sink", video, &air)?;
        }
        let (tracks, begin, around) = (script.tracks.clone(), script.begin, pipeline.downgrade());
        peer.connect_pad_added(move |_, pad| {
            if let (Some(arrivals), Some(pipeline)) =
                (tracks.get(pad.name().as_str()), around.upgrade())
            {
                let counted = receive(&pipeline, pad, Arc::clone(arrivals), begin);
                if let Err(error) = counted {
                    gst::element_error!(pipeline, gst::CoreError::Pad, ["{error}"]);
                }
            }
        });
        let participant =
            Self { number: script.number, pipeline, peer, air, words: script.words.clone() };
        participant.listen();
        Ok(participant)
    }

    pub(crate) fn number(&self) -> u64 {
        self.number
    }

    /// What it sends, and whether that is due.
    pub(crate) fn air(&self) -> &Air {
        &self.air
    }

    /// Connects.
    pub(crate) fn start(&self) {
        let (number, words) = (self.number, self.words.clone());
        self.pipeline.call_async(move |pipeline| {
            if pipeline.set_state(gst::State::Playing).is_err() {
                let news = failed("start", "its pipeline does not start");
                let _ = words.send(Word { at: Instant::now(), number, what: Tale::News(news) });
            }
        });
    }

    /// Says `stop`; [`Tale::Left`] follows.
    pub(crate) fn leave(&self) {
        self.air.set(false);
        self.peer.call_async(|peer| peer.emit_by_name::<()>("stop", &[]));
    }

    /// Closes and joins again.
    pub(crate) fn reconnect(&self) {
        self.air.set(false);
        self.peer.call_async(|peer| peer.emit_by_name::<()>("reconnect", &[]));
    }

    /// Moves a property of its own effect, within `ramp`.
    pub(crate) fn control(&self, name: &str, property: &str, value: f64, ramp: Duration) {
        let ramp = u32::try_from(ramp.as_millis()).unwrap_or(u32::MAX);
        self.peer
            .emit_by_name::<()>("control-fx", &[&name, &property, &value, &ramp, &None::<String>]);
    }

    /// Ends it without a word; [`Tale::Gone`] follows.
    pub(crate) fn close(&self) {
        self.air.set(false);
        let (number, words) = (self.number, self.words.clone());
        self.pipeline.call_async(move |pipeline| {
            let _ = pipeline.set_state(gst::State::Null);
            let _ = words.send(Word { at: Instant::now(), number, what: Tale::Gone });
        });
    }

    /// Has the bus tell its words in the thread in which they are said; nothing queues up there.
    fn listen(&self) {
        let Some(bus) = self.pipeline.bus() else {
            return;
        };
        let (number, words) = (self.number, self.words.clone());
        bus.set_sync_handler(move |_, message| {
            if let Some(what) = tale(message) {
                let _ = words.send(Word { at: Instant::now(), number, what });
            }
            gst::BusSyncReply::Drop
        });
    }
}

/// Plays a clip into a pad of the peer, each frame at its time.
fn send(
    pipeline: &gst::Pipeline,
    peer: &gst::Element,
    pad: &str,
    clip: &Arc<Clip>,
    air: &Arc<Air>,
) -> Result<(), glib::BoolError> {
    let source = AppSrc::builder().build();
    clip.play(&source, air);
    let clock = gst::ElementFactory::make("clocksync").build()?;
    pipeline.add_many([source.upcast_ref(), &clock])?;
    source.link(&clock)?;
    clock.link_pads(Some("src"), peer, Some(pad))
}

/// Counts what comes out of a pad of the peer.
fn receive(
    pipeline: &gst::Pipeline,
    pad: &gst::Pad,
    arrivals: Arc<Mutex<Arrivals>>,
    begin: Instant,
) -> Result<(), glib::BoolError> {
    let sink = gst::ElementFactory::make("fakesink")
        .property("sync", false)
        .property("async", false)
        .property("enable-last-sample", false)
        .build()?;
    let end = sink.static_pad("sink").ok_or_else(|| glib::bool_error!("no sink pad"))?;
    end.add_probe(gst::PadProbeType::BUFFER | gst::PadProbeType::BUFFER_LIST, move |_, info| {
        let now = begin.elapsed();
        let mut arrivals = arrivals.lock().unwrap_or_else(PoisonError::into_inner);
        match &info.data {
            Some(gst::PadProbeData::Buffer(buffer)) => count(&mut arrivals, now, buffer),
            Some(gst::PadProbeData::BufferList(list)) => {
                list.iter().for_each(|buffer| count(&mut arrivals, now, buffer));
            }
            _ => {}
        }
        gst::PadProbeReturn::Ok
    });
    pipeline.add(&sink)?;
    sink.sync_state_with_parent()?;
    pad.link(&end).map_err(|error| glib::bool_error!("{error}"))?;
    Ok(())
}

fn count(arrivals: &mut Arrivals, now: Duration, buffer: &gst::BufferRef) {
    let mut header = [0; 12];
    if buffer.copy_to_slice(0, &mut header).is_ok()
        && let Some(packet) = Packet::parse(&header)
    {
        arrivals.arrive(now, packet);
    }
}

fn failed(kind: &str, text: &str) -> News {
    News::Failed { kind: kind.to_owned(), text: text.to_owned() }
}

/// What a message of the bus tells.
fn tale(message: &gst::MessageRef) -> Option<Tale> {
    let news = match message.view() {
        gst::MessageView::Element(element) => said(element.structure()?)?,
        gst::MessageView::Eos(_) => return Some(Tale::Left),
        gst::MessageView::Error(error) => {
            let reason = error.error();
            let kind = match reason.kind::<gst::ResourceError>() {
                Some(gst::ResourceError::OpenRead) => "unreachable",
                Some(gst::ResourceError::NotAuthorized) => "not-authorized",
                _ => "error",
            };
            failed(kind, reason.message())
        }
        _ => return None,
    };
    Some(Tale::News(news))
}

/// What the peer says.
fn said(structure: &gst::StructureRef) -> Option<News> {
    let text = |name| structure.get::<String>(name).unwrap_or_default();
    Some(match structure.name().strip_prefix("ducksouppeer-")? {
        "joined" => News::Joined,
        "start" => {
            let remaining = structure.get::<u32>("remaining").unwrap_or_default();
            News::Started { remaining: Duration::from_secs(remaining.into()) }
        }
        "end" => News::Ended,
        "refused" => failed(&text("kind"), &text("text")),
        "control-refused" => News::ControlRefused(text("reason")),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn told(message: &gst::Message) -> Option<News> {
        match tale(message) {
            Some(Tale::News(news)) => Some(news),
            _ => None,
        }
    }

    #[test]
    fn the_words_of_the_peer_are_understood() {
        gst::init().unwrap();
        let element = |structure| told(&gst::message::Element::new(structure));
        let named = |name: &str| gst::Structure::builder(format!("ducksouppeer-{name}"));
        let joined = named("joined").field("context", "new_interaction").build();
        assert_eq!(element(joined), Some(News::Joined));
        let start = named("start").field("remaining", 20u32).build();
        assert_eq!(element(start), Some(News::Started { remaining: Duration::from_secs(20) }));
        let refused = named("refused").field("kind", "error-full").field("text", "full").build();
        assert_eq!(element(refused), Some(failed("error-full", "full")));
        let control = named("control-refused")
            .field("name", "v")
            .field("property", "p")
            .field("reason", "no such property")
            .build();
        assert_eq!(element(control), Some(News::ControlRefused("no such property".into())));
        assert_eq!(element(named("end").build()), Some(News::Ended));
        assert_eq!(element(named("other-joined").build()), None);
        assert_eq!(element(gst::Structure::builder("level").build()), None);
    }

    #[test]
    fn an_error_is_told_by_its_kind() {
        gst::init().unwrap();
        for (code, kind) in [
            (gst::ResourceError::OpenRead, "unreachable"),
            (gst::ResourceError::NotAuthorized, "not-authorized"),
            (gst::ResourceError::Busy, "error"),
        ] {
            let message = gst::message::Error::new(code, "a sentence");
            assert_eq!(told(&message), Some(failed(kind, "a sentence")));
        }
        let message = gst::message::Error::new(gst::StreamError::Format, "a sentence");
        assert_eq!(told(&message), Some(failed("error", "a sentence")));
    }
}
