// SPDX-License-Identifier: MPL-2.0

//! The interaction's one pipeline: a mixer, and a bin for each connected peer.

use super::counters::Counted;
use super::gpu::probe::Gpu;
use super::gstreamer_log;
use super::input::{Input, Inputs, PeerInput};
use super::measures::{self, Figures};
use super::meter::MixerReading;
use super::peer::{Means, Peer, PeerError, Showing, bin_name};
use super::pipelines::Pipelines;
use super::precedence;
use super::wishes::{self, Shortcoming};
use ducksoup_signaller::frame::{Connection, StageSettings};
use ducksoup_signaller::protocol::{Identifier, JoinOptions};
use gst::prelude::*;
use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;
use std::time::{Duration, Instant};

/// Longest time a peer's elements may take to come to rest. Ours: it takes milliseconds; an effect
/// that takes seconds is stuck.
const REST_LIMIT: Duration = Duration::from_secs(10);

/// A peer that is on its way out.
#[derive(Debug)]
enum Leaving {
    /// Its recorder completes the files.
    Recording { peer: Box<Peer>, deadline: Instant },
    /// A thread takes its bin to NULL.
    Resting { user: Identifier, bin: gst::Bin, deadline: Instant },
}

impl Leaving {
    /// When it has taken too long.
    fn deadline(&self) -> Instant {
        match self {
            Self::Recording { deadline, .. } | Self::Resting { deadline, .. } => *deadline,
        }
    }
}

/// See the module. Lives on the stage's one thread.
#[derive(Debug)]
pub struct Graph {
    pipeline: gst::Pipeline,
    mixer: gst::Element,
    peers: BTreeMap<Connection, Peer>,
    leaving: BTreeMap<Connection, Leaving>,
    /// When counters are read next.
    count_at: Instant,
    settings: StageSettings,
    pipelines: Pipelines,
    gpu: Gpu,
    inputs: Inputs,
}

impl Graph {
    /// A running pipeline with nobody in it.
    ///
    /// # Errors
    /// When GStreamer refuses.
    pub fn new(settings: StageSettings, inputs: Inputs) -> Result<Self, PeerError> {
        let pipeline = gst::Pipeline::with_name("interaction");
        // The live path never waits: whatever elements declare, nobody adds it up.
        pipeline.set_latency(gst::ClockTime::ZERO);
        let mixer = gst::ElementFactory::make("ducksoupmixer")
            .name("mixer")
            // An encoder would send twice as much as there is room for, or more.
            .property("least-video", settings.video_bitrate.min / 2)
            .build()
            .map_err(|error| PeerError::Step("mixer", error))?;
        pipeline.add(&mixer).map_err(|error| PeerError::Step("mixer", error))?;
        if settings.intercept_gst_logs {
            gstreamer_log::intercept(&pipeline, &inputs);
        }
        let bus = pipeline.bus().ok_or(PeerError::Pad("bus"))?;
        let to = inputs.clone();
        bus.set_sync_handler(move |_, message| {
            // A streaming thread begins, and tells so itself.
            if let gst::MessageView::StreamStatus(status) = message.view()
                && status.get().0 == gst::StreamStatusType::Enter
            {
                precedence::come_between();
            }
            if is_of_interest(message) {
                to.send(Input::Bus(message.clone()));
            }
            gst::BusSyncReply::Drop
        });
        pipeline
            .set_state(gst::State::Playing)
            .map_err(|_| PeerError::Pad("state change of the pipeline, no"))?;
        Ok(Self {
            pipeline,
            mixer,
            peers: BTreeMap::new(),
            leaving: BTreeMap::new(),
            count_at: Instant::now() + measures::PERIOD,
            pipelines: Pipelines::read(Path::new("")),
            gpu: Gpu::new(&settings),
            settings,
            inputs,
        })
    }

    /// The time on the interaction's one timeline.
    #[must_use]
    pub fn running_time(&self) -> gst::ClockTime {
        self.pipeline.current_running_time().unwrap_or_default()
    }

    /// Builds a peer's media and asks for its tracks. Returns what it wished for in vain.
    ///
    /// # Errors
    /// When it cannot be built; nothing of it is left then.
    pub fn open(
        &mut self,
        connection: Connection,
        options: JoinOptions,
        stream_id: String,
        count: u32,
    ) -> Result<Vec<Shortcoming>, PeerError> {
        let mode = self.pipelines.mode(options.recording_mode)?;
        let wish = wishes::of_gpu(&options, mode);
        let choice = self.gpu.choose(wish, &self.pipelines, &self.settings.elements);
        let overlay = wishes::overlay(&options, mode, &self.settings, wishes::can_overlay());
        let means = Means {
            settings: &self.settings,
            pipelines: &self.pipelines,
            devices: choice.devices,
            overlay: overlay == Ok(true),
        };
        let mut peer = Peer::build(connection, options, stream_id, count, means, &self.inputs)?;
        self.pipeline.add(&peer.bin).map_err(|error| PeerError::Step("peer", error))?;
        let opened = peer.attach(&self.mixer).and_then(|()| {
            peer.bin.sync_state_with_parent().map_err(|error| PeerError::Step("peer", error))
        });
        if let Err(error) = opened {
            self.rest(peer);
            return Err(error);
        }
        peer.receive_tracks(self.settings.twcc);
        self.peers.insert(connection, peer);
        let refused = !choice.refusals.is_empty();
        let gpu = refused.then_some(Shortcoming::Gpu(choice.refusals));
        Ok(gpu.into_iter().chain(overlay.err()).collect())
    }

    /// A connected peer.
    #[must_use]
    pub fn peer(&self, connection: Connection) -> Option<&Peer> {
        self.peers.get(&connection)
    }

    /// A connected peer, to be changed.
    pub fn peer_mut(&mut self, connection: Connection) -> Option<&mut Peer> {
        self.peers.get_mut(&connection)
    }

    /// Everyone who is connected.
    pub fn peers(&self) -> impl Iterator<Item = &Peer> {
        self.peers.values()
    }

    /// The user of a peer, connected or on its way out.
    #[must_use]
    pub fn user_of(&self, connection: Connection) -> Option<&Identifier> {
        let leaving = || match self.leaving.get(&connection)? {
            Leaving::Recording { peer, .. } => Some(&peer.options.user),
            Leaving::Resting { user, .. } => Some(user),
        };
        self.peers.get(&connection).map(|peer| &peer.options.user).or_else(leaving)
    }

    /// Gives `source`'s tracks a way to `to`.
    ///
    /// # Errors
    /// When the mixer or the connection refuses.
    pub fn show(&mut self, to: Connection, source: Connection) -> Result<Showing, PeerError> {
        let Some(shown) = self.peers.get(&source).map(Peer::shown) else {
            return Ok(Showing::Already);
        };
        let Some(peer) = self.peers.get_mut(&to) else {
            return Ok(Showing::Already);
        };
        peer.show(&self.mixer, &shown, self.settings.twcc, &self.inputs)
    }

    /// Makes the offers that are due.
    pub fn negotiate(&mut self) {
        for peer in self.peers.values_mut() {
            peer.negotiate(&self.inputs);
        }
    }

    /// The time of the machine's monotonic clock at that running time.
    #[must_use]
    pub fn monotonic(&self, running_time: gst::ClockTime) -> gst::ClockTime {
        self.pipeline.base_time().unwrap_or_default() + running_time
    }

    /// Everyone's zero is `zero`, which comes `at`.
    pub fn begin(&mut self, zero: gst::ClockTime, at: Instant) {
        for peer in self.peers.values_mut() {
            peer.begin(zero, zero, at);
        }
    }

    /// Asks those browsers for a keyframe whose time it is.
    pub fn ask_browsers(&mut self, now: Instant) {
        for peer in self.peers.values_mut() {
            peer.ask_browser(now);
        }
    }

    /// Records what a peer says and shows in `span` of the running time, in files that begin with
    /// `prefix`.
    pub fn record(
        &self,
        connection: Connection,
        span: Range<gst::ClockTime>,
        folder: &str,
        prefix: &str,
    ) {
        let recorder = self.peers.get(&connection).and_then(|peer| peer.recorder.as_ref());
        if let Some(recorder) = recorder {
            recorder.set_property("folder", folder);
            recorder.set_property("prefix", prefix);
            recorder.set_property("end", span.end);
            recorder.set_property("origin", span.start);
        }
    }

    /// Whether somebody is still on the way out.
    #[must_use]
    pub fn is_leaving(&self) -> bool {
        !self.leaving.is_empty()
    }

    /// Takes a peer out: nothing of it reaches the others from now on; its files are completed,
    /// then its elements come to rest on a thread of their own.
    pub fn close(&mut self, connection: Connection) {
        let Some(mut peer) = self.peers.remove(&connection) else {
            return;
        };
        peer.detach(&self.mixer);
        if let Some(recorder) = &peer.recorder {
            recorder.emit_by_name::<()>("finish", &[]);
            let deadline = Instant::now() + REST_LIMIT;
            self.leaving.insert(connection, Leaving::Recording { peer: Box::new(peer), deadline });
        } else {
            self.rest(peer);
        }
    }

    /// A recorder has completed its files.
    pub fn recorded(&mut self, connection: Connection) {
        match self.leaving.remove(&connection) {
            Some(Leaving::Recording { peer, .. }) => self.rest(*peer),
            Some(other) => {
                self.leaving.insert(connection, other);
            }
            None => {
                if let Some(peer) = self.peers.get_mut(&connection) {
                    peer.recorder = None;
                }
            }
        }
    }

    /// Completes the files of everyone who is still connected.
    pub fn finish_files(&self) {
        for recorder in self.peers.values().filter_map(|peer| peer.recorder.as_ref()) {
            recorder.emit_by_name::<()>("finish", &[]);
        }
    }

    /// Whether files are still being completed; a recorder that has completed is forgotten.
    #[must_use]
    pub fn is_recording(&self) -> bool {
        self.peers.values().any(|peer| peer.recorder.is_some())
            || self.leaving.values().any(|leaving| matches!(leaving, Leaving::Recording { .. }))
    }

    /// To NULL on a thread that may be left behind: a stuck effect can hurt only this process.
    fn rest(&mut self, peer: Peer) {
        let (connection, bin, inputs) = (peer.connection, peer.bin, self.inputs.clone());
        let deadline = Instant::now() + REST_LIMIT;
        let leaving =
            Leaving::Resting { user: peer.options.user.clone(), bin: bin.clone(), deadline };
        self.leaving.insert(connection, leaving);
        let taken = std::thread::Builder::new().name(bin_name(connection)).spawn(move || {
            // An element that cannot be taken to NULL is as good as gone.
            let _ = bin.set_state(gst::State::Null);
            inputs.send(Input::Peer(connection, PeerInput::Down));
        });
        if let Err(error) = taken {
            eprintln!("no thread for a peer that leaves: {error}");
        }
    }

    /// A peer's elements are at rest: whose they were.
    pub fn down(&mut self, connection: Connection) -> Option<Identifier> {
        let Some(Leaving::Resting { bin, user, .. }) = self.leaving.remove(&connection) else {
            return None;
        };
        // Fails only when the pipeline has let go of it already.
        drop(self.pipeline.remove(&bin));
        Some(user)
    }

    /// When somebody on the way in or out has taken too long, counters are to be read or a browser is
    /// to be asked for a keyframe.
    #[must_use]
    pub fn next_timeout(&self) -> Option<Instant> {
        let count_at = (!self.peers.is_empty()).then_some(self.count_at);
        let arriving = self.peers.values().filter_map(Peer::gathering_deadline);
        let keyframes = self.peers.values().filter_map(Peer::keyframe_at);
        let deadlines = self.leaving.values().map(Leaving::deadline);
        deadlines.chain(arriving).chain(keyframes).chain(count_at).min()
    }

    /// Asks for everyone's counters, when it is time; whether it is.
    pub fn count(&mut self, now: Instant) -> bool {
        if now < self.count_at {
            return false;
        }
        self.count_at = now + measures::PERIOD;
        let mixer = MixerReading::new(&self.mixer);
        for peer in self.peers.values() {
            peer.count(&mixer, &self.inputs);
        }
        true
    }

    /// The figures of a peer since the last time, when its counters, read `at`, have come.
    pub fn measure(
        &mut self,
        connection: Connection,
        counted: &Counted,
        at: Duration,
    ) -> Option<Figures> {
        self.peers.get_mut(&connection)?.measure(counted, at)
    }

    /// Those who have found no address of their own in time.
    #[must_use]
    pub fn unreachable(&self, now: Instant) -> Vec<(Connection, Identifier)> {
        self.peers
            .values()
            .filter(|peer| peer.gathering_deadline().is_some_and(|deadline| deadline <= now))
            .map(|peer| (peer.connection, peer.options.user.clone()))
            .collect()
    }

    /// Those who are stuck on their way out. A recorder that does not finish is given up; elements
    /// that do not come to rest are returned.
    pub fn stuck(&mut self, now: Instant) -> Vec<Connection> {
        let late: Vec<_> = self
            .leaving
            .iter()
            .filter(|(_, leaving)| leaving.deadline() <= now)
            .map(|(connection, _)| *connection)
            .collect();
        let mut stuck = Vec::new();
        for connection in late {
            match self.leaving.remove(&connection) {
                Some(Leaving::Recording { peer, .. }) => self.rest(*peer),
                Some(Leaving::Resting { .. }) => stuck.push(connection),
                None => {}
            }
        }
        stuck
    }

    /// Writes the pipeline's graph for those who look for a fault (`GST_DEBUG_DUMP_DOT_DIR`).
    pub fn dump(&self, reason: &str) {
        self.pipeline.debug_to_dot_file_with_ts(gst::DebugGraphDetails::all(), reason);
    }
}

impl Drop for Graph {
    fn drop(&mut self) {
        // Nothing is left to do about a pipeline that cannot stop.
        let _ = self.pipeline.set_state(gst::State::Null);
    }
}

fn is_of_interest(message: &gst::Message) -> bool {
    match message.view() {
        gst::MessageView::Error(_) | gst::MessageView::Warning(_) => true,
        gst::MessageView::Element(element) => element.structure().is_some_and(|structure| {
            let name = structure.name();
            ["fxcontrol-", "experimentrecorder-", "bitratecontroller-", "ducksoupmixer-"]
                .iter()
                .any(|prefix| name.starts_with(prefix))
        }),
        _ => false,
    }
}
