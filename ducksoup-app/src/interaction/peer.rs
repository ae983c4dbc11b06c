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

use super::candidates::Gathering;
use super::chain::{Chain, ChainError};
use super::counters::{self, Counted};
use super::effects;
use super::gpu::Devices;
use super::input::{Input, Inputs, PeerInput};
use super::measures::{Figures, Measures};
use super::meter::Meter;
use super::negotiation::{Negotiation, Step};
use super::pipelines::{Layout, Mode, Pipelines, PipelinesError, Values};
use super::sdp::{self, Codec, Kind};
use super::tracks;
use super::traffic::Traffic;
use super::webrtcbin;
use ducksoup_signaller::frame::{Connection, StageSettings};
use ducksoup_signaller::protocol::{Identifier, JoinOptions};
use gst::glib;
use gst::prelude::*;
use gst_webrtc::{WebRTCRTPTransceiver, WebRTCRTPTransceiverDirection};
use gstducksoup::fxcontrol::FxControl;
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

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

/// Another participant's track on its way to this peer.
#[derive(Debug)]
struct Route {
    mixer_pad: gst::Pad,
    /// Its media section.
    section: u32,
    /// Whether the browser is to see it.
    visible: bool,
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

/// What it takes to show a participant's tracks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Showing {
    /// An offer: the browser does not have them.
    Anew,
    /// Nothing: the browser has had them all along.
    Already,
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
    meter: Meter,
    measures: Measures,
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
        tracks::link_as_they_come(&webrtcbin, &chains, connection, inputs);
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
            meter,
            measures: Measures::default(),
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

    /// Asks to receive the browser's tracks. The peer is running.
    pub fn receive_tracks(&mut self, twcc: bool) {
        for chain in &self.chains {
            let transceiver = self.webrtcbin.emit_by_name::<WebRTCRTPTransceiver>(
                "add-transceiver",
                &[&WebRTCRTPTransceiverDirection::Recvonly, &chain.codec.caps(None, twcc)],
            );
            if chain.codec.kind() == Kind::Video {
                transceiver.set_property("do-nack", true);
            }
        }
        self.stale = true;
    }

    /// Gives a track of another participant (or, in a mirror, one's own) a way to this peer.
    ///
    /// # Errors
    /// When the mixer or the connection refuses.
    pub fn show(
        &mut self,
        mixer: &gst::Element,
        source: &Shown,
        twcc: bool,
        inputs: &Inputs,
    ) -> Result<Showing, PeerError> {
        let mut showing = Showing::Already;
        for codec in &source.codecs {
            let key = (source.user.clone(), *codec);
            match self.routes.get_mut(&key) {
                // Never hidden: the same stream goes on, and the browser need not know.
                Some(route) if route.visible => continue,
                Some(route) => route.visible = true,
                None => {
                    let route = self.new_route(mixer, source, *codec, twcc, inputs)?;
                    self.routes.insert(key, route);
                }
            }
            self.stale = true;
            showing = Showing::Anew;
        }
        Ok(showing)
    }

    /// Tells the browser that a participant's tracks are over, for now.
    pub fn hide(&mut self, user: &Identifier) {
        for ((source, _), route) in &mut self.routes {
            if source == user {
                route.visible = false;
                self.stale = true;
            }
        }
    }

    fn new_route(
        &mut self,
        mixer: &gst::Element,
        source: &Shown,
        codec: Codec,
        twcc: bool,
        inputs: &Inputs,
    ) -> Result<Route, PeerError> {
        // 0 would be a legal SSRC, but the sign of a missing one elsewhere.
        let ssrc = rand::random_range(1..u32::MAX);
        let caps = codec.caps(Some(ssrc), twcc);
        let template = self
            .webrtcbin
            .pad_template("sink_%u")
            .ok_or(PeerError::Pad("webrtcbin's sink template"))?;
        let name = format!("sink_{}", self.sections);
        let webrtc_pad = self
            .webrtcbin
            .request_pad(&template, Some(&name), Some(&caps))
            .ok_or(PeerError::Pad("webrtcbin's sink"))?;
        let section = self.sections;
        self.sections += 1;
        webrtc_pad.set_property("msid", &source.stream_id);
        let transceiver = webrtc_pad.property::<WebRTCRTPTransceiver>("transceiver");
        transceiver.set_direction(WebRTCRTPTransceiverDirection::Sendonly);
        transceiver.set_codec_preferences(Some(&caps));
        if codec.kind() == Kind::Video {
            transceiver.set_property("do-nack", true);
        }
        self.unpromised += 1;
        let (connection, inputs) = (self.connection, inputs.clone());
        webrtc_pad.add_probe(gst::PadProbeType::EVENT_DOWNSTREAM, move |_, info| {
            match info.event().map(|event| event.type_()) {
                Some(gst::EventType::Caps) => {
                    inputs.send(Input::Peer(connection, PeerInput::RoutePromised));
                    gst::PadProbeReturn::Remove
                }
                _ => gst::PadProbeReturn::Ok,
            }
        });

        let mixer_pad =
            mixer.request_pad_simple("src_%u").ok_or(PeerError::Pad("mixer's source"))?;
        mixer_pad.set_property("receiver", self.bin.name().as_str());
        mixer_pad.set_property("source", source.user.as_str());
        mixer_pad.set_property_from_str("kind", codec.kind().name());
        mixer_pad.set_property("caps", &caps);
        let ghost = ghost(&self.bin, &webrtc_pad, &name)?;
        mixer_pad.link(&ghost).map_err(|error| PeerError::Link("route", error))?;
        self.traffic.goes(ssrc, source.user.as_str(), codec);
        Ok(Route { mixer_pad, section, visible: true })
    }

    /// Makes an offer if one is due.
    pub fn negotiate(&mut self, inputs: &Inputs) {
        if self.stale && self.unpromised == 0 {
            self.stale = false;
            if self.negotiation.want() == Step::CreateOffer {
                webrtcbin::create_offer(&self.webrtcbin, self.connection, inputs);
            }
        }
    }

    /// The client wants a new offer.
    pub fn offer_again(&mut self) {
        self.stale = true;
    }

    /// What a route promises has reached the connection.
    pub fn route_promised(&mut self) {
        self.unpromised = self.unpromised.saturating_sub(1);
    }

    /// An offer is made: returns it as the client is to read it.
    pub fn offered(
        &mut self,
        offer: &gst_webrtc::WebRTCSessionDescription,
    ) -> gst_webrtc::WebRTCSessionDescription {
        self.negotiation.made();
        self.gathering.offered(Instant::now());
        self.hidden = self
            .routes
            .values()
            .filter(|route| !route.visible)
            .map(|route| route.section)
            .collect();
        let sdp = sdp::hide(offer.sdp(), &self.hidden);
        gst_webrtc::WebRTCSessionDescription::new(offer.type_(), sdp)
    }

    /// Takes the client's answer; what comes of it is a [`PeerInput::AnswerSet`].
    ///
    /// # Errors
    /// When no answer is awaited, or this one rejects what was offered.
    pub fn answer(
        &mut self,
        answer: &gst_webrtc::WebRTCSessionDescription,
        inputs: &Inputs,
    ) -> Result<(), AnswerRefusal> {
        if !self.negotiation.awaits_answer() {
            return Err(AnswerRefusal::Unasked);
        }
        sdp::judge(answer.sdp())?;
        self.track_names = sdp::track_names(answer.sdp());
        let answer = gst_webrtc::WebRTCSessionDescription::new(
            answer.type_(),
            sdp::reveal(answer.sdp(), &self.hidden),
        );
        webrtcbin::accept_answer(&self.webrtcbin, &answer, self.connection, inputs);
        Ok(())
    }

    /// The answer is in force.
    pub fn answered(&mut self, inputs: &Inputs) {
        if self.negotiation.answered() == Step::CreateOffer {
            webrtcbin::create_offer(&self.webrtcbin, self.connection, inputs);
        }
    }

    /// Notes one of our own candidates.
    pub fn found(&mut self, candidate: &str) {
        self.gathering.found(candidate);
    }

    /// When it is too late for the first of our own candidates.
    #[must_use]
    pub fn gathering_deadline(&self) -> Option<Instant> {
        self.gathering.deadline()
    }

    /// Takes one of the client's candidates.
    pub fn add_candidate(&self, m_line: u32, candidate: &str) {
        self.webrtcbin.emit_by_name::<()>("add-ice-candidate", &[&m_line, &candidate]);
    }

    /// Notes that a track has passed its chain; true when it was the last one awaited.
    pub fn track_ready(&mut self, kind: Kind) -> bool {
        self.awaited.remove(&kind) && self.awaited.is_empty()
    }

    /// Asks for the counters, which come as a [`PeerInput::Counted`].
    pub fn count(&self, mixer: &gst::Element, inputs: &Inputs) {
        let grid = self.chains.iter().find_map(Chain::grid);
        self.meter.read(mixer, grid, self.connection, inputs);
    }

    /// The figures since the last time, from counters read `at`.
    pub fn measure(&mut self, counted: &Counted, at: Duration) -> Option<Figures> {
        let names = (self.options.user.as_str(), self.bin.name());
        let names = (names.0, names.1.as_str());
        self.measures.take(counters::sample(counted, &self.traffic.streams(), names, at))
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

    /// What others are shown of this peer.
    #[must_use]
    pub fn shown(&self) -> Shown {
        Shown {
            user: self.options.user.clone(),
            stream_id: self.stream_id.clone(),
            codecs: self.chains.iter().map(|chain| chain.codec).collect(),
        }
    }

    /// Sets the zero of everything that counts frames or records.
    pub fn begin(&self, origin: gst::ClockTime) {
        for chain in &self.chains {
            chain.begin(origin);
        }
        self.ask_for_keyframes();
    }

    /// Asks the browser and the encoder for a picture to start from.
    fn ask_for_keyframes(&self) {
        let video = self.chains.iter().find(|chain| chain.codec.kind() == Kind::Video);
        let Some(video) = video else {
            return;
        };
        let browser = video.bin.static_pad("sink").and_then(|sink| sink.peer());
        let encoder = video.bin.by_name("encoder").and_then(|element| element.static_pad("src"));
        for pad in [browser, encoder].into_iter().flatten() {
            let event = gst_video::UpstreamForceKeyUnitEvent::builder()
                .all_headers(true)
                .other_field(tracks::ASKED_BY_START, true)
                .build();
            pad.send_event(event);
        }
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

/// Why an answer is not taken.
#[derive(Debug, thiserror::Error)]
pub enum AnswerRefusal {
    /// Nothing was offered.
    #[error("no offer is open")]
    Unasked,
    /// It rejects what was offered.
    #[error(transparent)]
    Rejected(#[from] sdp::Rejected),
}

/// A participant as others are shown it.
#[derive(Debug, Clone)]
pub struct Shown {
    /// Who.
    pub user: Identifier,
    /// The `MediaStream` id of their tracks.
    pub stream_id: String,
    /// Their tracks.
    pub codecs: Vec<Codec>,
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
        if let Some(number) = here.name().strip_prefix("peer-") {
            return number.parse().ok().map(Connection);
        }
        object = here.parent();
    }
    None
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

/// A running time that never comes: a recorder with this origin waits until it is known.
const NOT_YET: u64 = 1 << 63;

/// The recorder, listening to the tees of the chains.
fn recorder(
    bin: &gst::Bin,
    chains: &[Chain],
    mode: &Mode,
    changed: Changed,
) -> Result<gst::Element, PeerError> {
    let layout = if mode.layout == Layout::Split { "split" } else { "muxed" };
    let recorder = gst::ElementFactory::make("experimentrecorder")
        .name("recorder")
        .property_from_str("layout", layout)
        .property("origin", NOT_YET)
        .build()
        .map_err(|error| PeerError::Step("recorder", error))?;
    bin.add(&recorder).map_err(|error| PeerError::Step("recorder", error))?;
    for chain in chains {
        let kind = chain.codec.kind();
        let mut tees = vec!["dry"];
        if mode.effects && changed.is_wet(kind, mode.layout) {
            tees.push("wet");
        }
        for tee in tees {
            let tap = chain.tap(tee).ok_or(PeerError::Pad("tee"))?;
            let sink = recorder
                .request_pad_simple(&format!("{tee}_{kind}"))
                .ok_or(PeerError::Pad("recorder's sink"))?;
            tap.link(&sink).map_err(|error| PeerError::Link("recorder", error))?;
        }
    }
    Ok(recorder)
}

/// Which of a participant's tracks leave the server otherwise than they came.
#[derive(Debug, Clone, Copy)]
struct Changed {
    audio: bool,
    video: bool,
}

impl Changed {
    /// By effects, or by the time shown in the picture.
    fn by(options: &JoinOptions, overlay: bool) -> Self {
        let video = options.video_fx.is_some() || overlay;
        Self { audio: options.audio_fx.is_some(), video: video && !options.audio_only }
    }

    /// Wet files exist where something is changed. A muxed one holds both tracks, as they were sent.
    fn is_wet(self, kind: Kind, layout: Layout) -> bool {
        match (layout, kind) {
            (Layout::Split, Kind::Audio) => self.audio,
            (Layout::Split, Kind::Video) => self.video,
            (Layout::Muxed, _) => self.audio || self.video,
            (Layout::None, _) => false,
        }
    }
}
