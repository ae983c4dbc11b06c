// SPDX-License-Identifier: MPL-2.0

//! One connected participant: a bin with the `webrtcbin`, the chains of its own tracks and its
//! recorder.
//!
//! ```text
//!             ┌ peer-7 ──────────────────────────────────────────────┐
//!   browser ──┼► webrtcbin ─► chain audio ─┬──────────────────────── ┼─► mixer
//!             │      ▲   └──► chain video ─┼┬─────────────────────── ┼─► mixer
//!             │      │                     ▼▼ dry, wet               │
//!             │      │                  recorder ─► files            │
//!             │      └────────────────────────────────────────────── ┼── mixer (one route a track)
//!             └──────────────────────────────────────────────────────┘
//! ```

mod negotiation;
mod recorder;
mod routes;

use super::bandwidth::Bandwidth;
use super::candidates::Gathering;
use super::chain::{Chain, ChainError};
use super::counters::{self, Counted};
use super::effects;
use super::gpu::Devices;
use super::hearing;
use super::input::{Input, Inputs, PeerInput};
use super::measures::{Figures, Measures};
use super::meter::{Meter, MixerReading};
use super::negotiation::Negotiation;
use super::pipelines::{Layout, Pipelines, PipelinesError, Values};
use super::playout::{Keeping, Patience};
use super::rtcp::{self, Compound, Direction};
use super::sdp::{Codec, Kind};
use super::tracks::{self, Beginning};
use super::traffic::Traffic;
use super::webrtcbin;
use ducksoup_signaller::frame::{Connection, StageSettings};
use ducksoup_signaller::protocol::{Identifier, JoinOptions};
use gst::glib;
use gst::prelude::*;
use gstducksoup::fxcontrol::FxControl;
use gstducksoup::keyframes;
use recorder::{Changed, recorder};
use routes::Route;
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

pub use negotiation::AnswerRefusal;
pub use routes::{Showing, Shown};

/// Why a peer cannot be built or kept.
#[derive(Debug, thiserror::Error)]
pub enum PeerError {
    /// Its chain.
    #[error(transparent)]
    Chain(#[from] ChainError),
    /// The files that describe it.
    #[error(transparent)]
    Pipelines(#[from] PipelinesError),
    /// GStreamer refused a step.
    #[error("{0}: {1}")]
    Step(&'static str, glib::BoolError),
    /// A pad that must be there is not.
    #[error("no {0} pad")]
    Pad(&'static str),
    /// Two pads do not fit.
    #[error("{0}: {1}")]
    Link(&'static str, gst::PadLinkError),
}

/// What peers are built with.
#[derive(Debug, Clone, Copy)]
pub struct Means<'a> {
    /// The server's settings.
    pub settings: &'a StageSettings,
    /// What chains are made of.
    pub pipelines: &'a Pipelines,
    /// Who encodes and scales the peer's pictures.
    pub devices: Devices,
    /// Whether the peer's picture shows the run's time.
    pub overlay: bool,
}

/// See the module.
#[derive(Debug)]
pub struct Peer {
    /// Its socket.
    pub connection: Connection,
    /// What it asked for.
    pub options: JoinOptions,
    /// The `MediaStream` id under which others see it.
    pub stream_id: String,
    /// How often its user has connected.
    pub count: u32,
    /// Everything it is made of.
    pub bin: gst::Bin,
    /// Its recorder, where files are wanted.
    pub recorder: Option<gst::Element>,
    webrtcbin: gst::Element,
    chains: Vec<Chain>,
    /// The mixer's sink pads, fed by the chains.
    mixer_sinks: Vec<gst::Pad>,
    routes: BTreeMap<(Identifier, Codec), Route>,
    /// Tracks that have not passed their chain yet.
    awaited: BTreeSet<Kind>,
    /// Routes whose promise has not reached the connection yet.
    unpromised: usize,
    /// Whether an offer is due as soon as all promises are there.
    stale: bool,
    negotiation: Negotiation,
    gathering: Gathering,
    /// Media sections, those of the next offer included.
    sections: u32,
    /// Sections that the latest offer kept from the browser.
    hidden: BTreeSet<u32>,
    /// What the browser calls its tracks.
    pub track_names: BTreeMap<Kind, String>,
    /// What control packets tell.
    pub traffic: Traffic,
    /// What its connection can take.
    pub bandwidth: Bandwidth,
    /// How long its browser may keep pictures.
    patience: Patience,
    meter: Meter,
    measures: Measures,
    /// When the browser is to be asked for a picture that a recording can start from.
    keyframe_at: Option<Instant>,
    /// When what it says and shows begins to count.
    beginning: Beginning,
}

impl Peer {
    /// Builds the peer; nothing runs yet.
    ///
    /// # Errors
    /// When a description is wrong or an element is missing.
    pub fn build(
        connection: Connection,
        options: JoinOptions,
        stream_id: String,
        count: u32,
        means: Means<'_>,
        inputs: &Inputs,
    ) -> Result<Self, PeerError> {
        let Means { settings, pipelines, devices, overlay } = means;
        let mode = pipelines.mode(options.recording_mode)?;
        let jitter_buffer = mode.jitter_buffer.unwrap_or(settings.jitter_buffer);
        let webrtcbin = webrtcbin::make(connection, jitter_buffer, settings, inputs)
            .map_err(|error| PeerError::Step("webrtcbin", error))?;
        let meter = Meter::new(&webrtcbin).map_err(|error| PeerError::Step("webrtcbin", error))?;
        let bandwidth = Bandwidth::new(&webrtcbin, settings, connection, inputs)
            .map_err(|error| PeerError::Step("bandwidth", error))?;
        let codecs = codecs(&options);
        let mut chains = Vec::new();
        for codec in &codecs {
            let (bitrates, fx) = match codec.kind() {
                Kind::Audio => (settings.audio_bitrate, &options.audio_fx),
                Kind::Video => (settings.video_bitrate, &options.video_fx),
            };
            let values = Values {
                options: &options,
                bitrates,
                jitter_buffer,
                elements: &settings.elements,
                devices,
                overlay,
            };
            let chain = Chain::build(pipelines, mode, *codec, values)?;
            if let Some(slot) = chain.fx() {
                effects::fill(&slot, fx.as_deref(), settings);
            }
            chains.push(chain);
        }

        let bin = gst::Bin::with_name(&bin_name(connection));
        bin.add(&webrtcbin).map_err(|error| PeerError::Step("webrtcbin", error))?;
        for chain in &chains {
            bin.add(&chain.bin).map_err(|error| PeerError::Step("chain", error))?;
            watch_first_media(chain, connection, inputs)?;
        }
        let recorder = if settings.recording && mode.layout != Layout::None {
            Some(recorder(&bin, &chains, mode, Changed::by(&options, overlay))?)
        } else {
            None
        };
        let beginning = Beginning::unknown();
        tracks::link_as_they_come(&webrtcbin, &chains, &beginning, connection, inputs);
        Ok(Self {
            connection,
            stream_id,
            count,
            bin,
            recorder,
            webrtcbin,
            mixer_sinks: Vec::new(),
            routes: BTreeMap::new(),
            awaited: codecs.iter().map(|codec| codec.kind()).collect(),
            unpromised: 0,
            stale: false,
            negotiation: Negotiation::default(),
            gathering: Gathering::default(),
            sections: u32::try_from(codecs.len()).unwrap_or(u32::MAX),
            hidden: BTreeSet::new(),
            track_names: BTreeMap::new(),
            traffic: Traffic::default(),
            bandwidth,
            patience: Patience::default(),
            meter,
            measures: Measures::default(),
            keyframe_at: None,
            beginning,
            chains,
            options,
        })
    }

    /// Feeds the mixer with the peer's tracks. The peer is in the pipeline already, the mixer too.
    ///
    /// # Errors
    /// When the mixer refuses.
    pub fn attach(&mut self, mixer: &gst::Element) -> Result<(), PeerError> {
        for chain in &self.chains {
            let kind = chain.codec.kind();
            let source = chain.bin.static_pad("src").ok_or(PeerError::Pad("chain's src"))?;
            let ghost = ghost(&self.bin, &source, kind.name())?;
            let sink = mixer.request_pad_simple("sink_%u").ok_or(PeerError::Pad("mixer's sink"))?;
            sink.set_property("participant", self.options.user.as_str());
            sink.set_property_from_str("kind", kind.name());
            ghost.link(&sink).map_err(|error| PeerError::Link("mixer", error))?;
            self.mixer_sinks.push(sink);
        }
        Ok(())
    }

    /// Notes that a track has passed its chain; true when it was the last one awaited.
    pub fn track_ready(&mut self, kind: Kind) -> bool {
        self.awaited.remove(&kind) && self.awaited.is_empty()
    }

    /// A keyframe is wanted of the browser: it is asked without delay.
    pub fn hurry(&self) {
        self.meter.hurry();
    }

    /// Asks for the counters, which come as a [`PeerInput::Counted`].
    pub fn count(&self, mixer: &MixerReading, inputs: &Inputs) {
        let grid = self.chains.iter().find_map(Chain::grid);
        self.meter.read(mixer, grid, self.connection, inputs);
    }

    /// The figures since the last time, from counters read `at`.
    pub fn measure(&mut self, counted: &Counted, at: Duration) -> Option<Figures> {
        let names = (self.options.user.as_str(), self.bin.name());
        let names = (names.0, names.1.as_str());
        let sample = counters::sample(counted, &self.traffic.streams(), names, at);
        self.bandwidth.arrived(&sample.arrived, counted.at);
        let mut figures = self.measures.take(sample)?;
        figures.estimate = self.bandwidth.estimate();
        figures.limit = self.bandwidth.limit();
        Some(figures)
    }

    /// What the connection can take by the browser's own reports, if that is news, in bit/s.
    pub fn reported(&mut self, compound: &Compound) -> Option<u32> {
        if compound.direction != Direction::Received {
            return None;
        }
        let traffic = &self.traffic;
        self.bandwidth.reported(&rtcp::read(&compound.bytes), |ssrc| traffic.sends(ssrc))
    }

    /// Takes from a control packet whether pictures get lost; how the browser may keep them from now on, if that is news: it
    /// is told.
    pub fn hear_losses(&mut self, compound: &Compound, now: Instant) -> Option<Keeping> {
        let asked = self.traffic.lacks_pictures(compound);
        let keeping = self.patience.hear(asked, self.traffic.round_trip(), now)?;
        for route in self.routes.values() {
            route.keep_pictures(keeping);
        }
        Some(keeping)
    }

    /// Whether the tracks are decoded and encoded again.
    #[must_use]
    pub fn is_reencoded(&self) -> bool {
        self.chains.iter().any(|chain| chain.fx().is_some())
    }

    /// The codec of a track.
    #[must_use]
    pub fn codec(&self, kind: Kind) -> Option<Codec> {
        self.chains.iter().map(|chain| chain.codec).find(|codec| codec.kind() == kind)
    }

    /// Media come: asks for the way that they take.
    pub fn find_pair(&self, inputs: &Inputs) {
        webrtcbin::find_pair(&self.webrtcbin, self.connection, inputs);
    }

    /// Sets the zero of everything that counts frames. What is recorded begins at `from`: the
    /// encoders make a keyframe there, and the browser is asked for one `at` that time, since it
    /// would make one at once, and what comes before the beginning is no beginning.
    pub fn begin(&mut self, zero: gst::ClockTime, from: gst::ClockTime, at: Instant) {
        self.beginning.set(from);
        for chain in &self.chains {
            chain.begin(zero);
        }
        let Some(video) = self.video() else {
            return;
        };
        for encoder in video.encoders() {
            encoder.send_event(keyframe(Some(from)));
        }
        self.keyframe_at = Some(at);
    }

    /// Whether [`Self::begin`] was called: it is not for one who comes between the start and t0.
    #[must_use]
    pub fn has_begun(&self) -> bool {
        self.beginning.is_known()
    }

    /// When [`Self::ask_browser`] has something to do.
    #[must_use]
    pub fn keyframe_at(&self) -> Option<Instant> {
        self.keyframe_at
    }

    /// Asks the browser for a picture to start from, if it is time.
    pub fn ask_browser(&mut self, now: Instant) {
        if self.keyframe_at.is_none_or(|at| now < at) {
            return;
        }
        self.keyframe_at = None;
        let browser = self.video().and_then(|video| video.bin.static_pad("sink")?.peer());
        if let Some(browser) = browser {
            browser.send_event(keyframe(None));
        }
    }

    /// The sound's encoder, where there is one, is to expect that its receivers lose so many percent.
    pub fn expect_loss(&self, percent: u32) {
        let audio = self.chains.iter().find(|chain| chain.codec.kind() == Kind::Audio);
        if let Some(encoder) = audio.and_then(|chain| chain.bin.by_name("encoder")) {
            hearing::tell(&encoder, percent);
        }
    }

    fn video(&self) -> Option<&Chain> {
        self.chains.iter().find(|chain| chain.codec.kind() == Kind::Video)
    }

    /// The slots of this peer's effects.
    #[must_use]
    pub fn effects(&self) -> Vec<FxControl> {
        self.chains.iter().filter_map(Chain::fx).collect()
    }

    /// Cuts every tie to the mixer, so that nothing flows to or from this peer.
    pub fn detach(&mut self, mixer: &gst::Element) {
        for (_, route) in std::mem::take(&mut self.routes) {
            mixer.release_request_pad(&route.mixer_pad);
        }
        for sink in std::mem::take(&mut self.mixer_sinks) {
            // What still comes must not meet an open end, which would be an error.
            if let Some(source) = sink.peer() {
                tracks::drop_everything(&source);
            }
            mixer.release_request_pad(&sink);
        }
    }
}

/// Our wish for a keyframe, of the picture at that running time or at once.
fn keyframe(at: Option<gst::ClockTime>) -> gst::Event {
    gst_video::UpstreamForceKeyUnitEvent::builder()
        .running_time(at)
        .all_headers(true)
        .other_field(keyframes::NEWCOMER, true)
        .other_field(tracks::ASKED_BY_START, true)
        .build()
}

/// The name of a peer's bin, by which errors are attributed.
#[must_use]
pub fn bin_name(connection: Connection) -> String {
    format!("peer-{}", connection.0)
}

/// The peer that an object inside its bin belongs to.
#[must_use]
pub fn owner(object: &gst::Object) -> Option<Connection> {
    let mut object = Some(object.clone());
    while let Some(here) = object {
        let connection = called(&here.name());
        if connection.is_some() {
            return connection;
        }
        object = here.parent();
    }
    None
}

/// The peer whose bin has this name, as the mixer knows its receivers.
#[must_use]
pub fn called(name: &str) -> Option<Connection> {
    name.strip_prefix("peer-")?.parse().ok().map(Connection)
}

/// The tracks expected of a participant, sound first.
fn codecs(options: &JoinOptions) -> Vec<Codec> {
    let mut codecs = vec![Codec::Opus];
    if !options.audio_only {
        codecs.push(options.video_format.into());
    }
    codecs
}

fn ghost(bin: &gst::Bin, target: &gst::Pad, name: &str) -> Result<gst::GhostPad, PeerError> {
    let ghost = gst::GhostPad::builder_with_target(target)
        .map_err(|error| PeerError::Step("ghost pad", error))?
        .name(name)
        .build();
    ghost.set_active(true).map_err(|error| PeerError::Step("ghost pad", error))?;
    bin.add_pad(&ghost).map_err(|error| PeerError::Step("ghost pad", error))?;
    Ok(ghost)
}

fn watch_first_media(
    chain: &Chain,
    connection: Connection,
    inputs: &Inputs,
) -> Result<(), PeerError> {
    let (kind, inputs) = (chain.codec.kind(), inputs.clone());
    let source = chain.bin.static_pad("src").ok_or(PeerError::Pad("chain's src"))?;
    let media = gst::PadProbeType::BUFFER | gst::PadProbeType::BUFFER_LIST;
    source.add_probe(media, move |_, _| {
        inputs.send(Input::Peer(connection, PeerInput::TrackReady(kind)));
        gst::PadProbeReturn::Remove
    });
    Ok(())
}
