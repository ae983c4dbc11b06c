// SPDX-License-Identifier: MPL-2.0

use super::CAT;
use super::announcement::Announcement;
use super::codec::Kind;
use super::input::{Input, Inputs};
use super::participant::{Board, Handle, Phase, Terms};
use super::receiving::Output;
use super::sending::{Picture, Sending};
use crate::client::ClientSignaller;
use crate::protocol::ClientMessage;
use crate::signallable::Taken;
use gst::glib;
use gst::prelude::*;
use gst::subclass::prelude::*;
use gst_webrtc::WebRTCICETransportPolicy;
use gstrswebrtc::signaller::Signallable;
use std::collections::BTreeMap;
use std::sync::mpsc::channel;
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

/// A server on the same continent answers within a tenth; an error must come within 5 s.
const DEFAULT_CONNECT_TIMEOUT: u32 = 4000;

#[derive(Debug, Clone, Copy)]
struct Settings {
    output: Output,
    policy: WebRTCICETransportPolicy,
    /// ms.
    connect_timeout: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            output: Output::default(),
            policy: WebRTCICETransportPolicy::All,
            connect_timeout: DEFAULT_CONNECT_TIMEOUT,
        }
    }
}

#[derive(Debug, Default)]
struct State {
    sendings: BTreeMap<Kind, (gst::GhostPad, Arc<Sending>)>,
    /// From READY → PAUSED to PAUSED → READY.
    participant: Option<Handle>,
}

/// Lock order: there are two locks, never held together, nor across a push, a message, a signal, a
/// change of state or of pads.
#[derive(Debug, Default)]
pub struct DuckSoupPeer {
    signaller: OnceLock<Result<ClientSignaller, Taken>>,
    settings: Mutex<Settings>,
    state: Mutex<State>,
}

#[glib::object_subclass]
impl ObjectSubclass for DuckSoupPeer {
    const NAME: &'static str = "GstDuckSoupPeer";
    type Type = super::DuckSoupPeer;
    type ParentType = gst::Bin;
    type Interfaces = (gst::ChildProxy,);
}

impl ObjectImpl for DuckSoupPeer {
    fn properties() -> &'static [glib::ParamSpec] {
        static PROPERTIES: LazyLock<Vec<glib::ParamSpec>> = LazyLock::new(|| {
            vec![
                glib::ParamSpecObject::builder::<gst::Object>("signaller")
                    .nick("Signaller")
                    .blurb("Whom to join, and how: its properties are the options of the join, as in signaller::uri")
                    .read_only()
                    .build(),
                glib::ParamSpecEnum::builder_with_default("output", Output::default())
                    .nick("Output")
                    .blurb("What comes out of the source pads")
                    .mutable_ready()
                    .build(),
                glib::ParamSpecEnum::builder_with_default(
                    "ice-transport-policy",
                    WebRTCICETransportPolicy::All,
                )
                .nick("ICE transport policy")
                .blurb("Which candidates are used: all, or those of TURN servers only")
                .mutable_ready()
                .build(),
                glib::ParamSpecUInt::builder("connect-timeout")
                    .nick("Connect timeout")
                    .blurb("How long the server may take until it has let the participant join (ms)")
                    .minimum(1)
                    .default_value(DEFAULT_CONNECT_TIMEOUT)
                    .mutable_ready()
                    .build(),
                glib::ParamSpecBoxed::builder::<gst::Structure>("stats")
                    .nick("Statistics")
                    .blurb("How things stand: phase, connection, sessions, and packets and bytes of each pad")
                    .read_only()
                    .build(),
            ]
        });
        &PROPERTIES
    }

    fn signals() -> &'static [glib::subclass::Signal] {
        static SIGNALS: LazyLock<Vec<glib::subclass::Signal>> = LazyLock::new(|| {
            let mut signals = Announcement::signals();
            signals.extend(super::actions::signals());
            signals
        });
        &SIGNALS
    }

    fn set_property(&self, _id: usize, value: &glib::Value, pspec: &glib::ParamSpec) {
        let mut settings = self.settings();
        match pspec.name() {
            "output" => settings.output = value.get().expect("type checked by GObject"),
            "ice-transport-policy" => {
                settings.policy = value.get().expect("type checked by GObject");
            }
            "connect-timeout" => {
                settings.connect_timeout = value.get().expect("type checked by GObject");
            }
            _ => unreachable!("GObject knows the properties"),
        }
    }

    fn property(&self, _id: usize, pspec: &glib::ParamSpec) -> glib::Value {
        match pspec.name() {
            "signaller" => self
                .signaller()
                .ok()
                .map(|signaller| signaller.clone().upcast::<gst::Object>())
                .to_value(),
            "output" => self.settings().output.to_value(),
            "ice-transport-policy" => self.settings().policy.to_value(),
            "connect-timeout" => self.settings().connect_timeout.to_value(),
            "stats" => self.stats().to_value(),
            _ => unreachable!("GObject knows the properties"),
        }
    }

    fn constructed(&self) {
        self.parent_constructed();
        let element = self.obj();
        // What comes and goes inside says nothing of what the element is.
        element.set_suppressed_flags(gst::ElementFlags::SINK | gst::ElementFlags::SOURCE);
        element.set_element_flags(gst::ElementFlags::SINK | gst::ElementFlags::SOURCE);
        // Made here so that its properties can be set; a failure is told in READY.
        let _ = self.signaller();
    }
}

impl GstObjectImpl for DuckSoupPeer {}

impl ElementImpl for DuckSoupPeer {
    fn metadata() -> Option<&'static gst::subclass::ElementMetadata> {
        static METADATA: LazyLock<gst::subclass::ElementMetadata> = LazyLock::new(|| {
            gst::subclass::ElementMetadata::new(
                "DuckSoup participant",
                "Generic/Network/WebRTC",
                "Takes part in an interaction without a browser",
                "DuckSoup contributors",
            )
        });
        Some(&METADATA)
    }

    fn pad_templates() -> &'static [gst::PadTemplate] {
        static TEMPLATES: LazyLock<Vec<gst::PadTemplate>> = LazyLock::new(|| {
            use gst::{PadDirection, PadPresence};
            let caps = |names: &[&str]| -> gst::Caps {
                names.iter().map(|name| gst::Structure::new_empty(*name)).collect()
            };
            let template = |name, direction, presence, caps: &gst::Caps| {
                gst::PadTemplate::new(name, direction, presence, caps).expect("a valid template")
            };
            let rtp = |media| gst::Caps::builder("application/x-rtp").field("media", media).build();
            let audio = caps(&["audio/x-raw", "audio/x-opus"]);
            let video = caps(&["video/x-raw", "video/x-h264", "video/x-vp8"]);
            let mut audio_out = audio.clone();
            audio_out.merge(rtp("audio"));
            let mut video_out = video.clone();
            video_out.merge(rtp("video"));
            vec![
                template("audio_sink", PadDirection::Sink, PadPresence::Request, &audio),
                template("video_sink", PadDirection::Sink, PadPresence::Request, &video),
                template("audio_src_%s", PadDirection::Src, PadPresence::Sometimes, &audio_out),
                template("video_src_%s", PadDirection::Src, PadPresence::Sometimes, &video_out),
            ]
        });
        &TEMPLATES
    }

    fn request_new_pad(
        &self,
        template: &gst::PadTemplate,
        _name: Option<&str>,
        _caps: Option<&gst::Caps>,
    ) -> Option<gst::Pad> {
        let kind = Kind::of_name(template.name_template().strip_suffix("_sink")?)?;
        if self.state().sendings.contains_key(&kind) {
            gst::warning!(CAT, imp = self, "there is a {kind}_sink already");
            return None;
        }
        match self.add_sink(kind, template) {
            Ok(pad) => Some(pad),
            Err(error) => {
                gst::error!(CAT, imp = self, "no {kind}_sink: {error}");
                None
            }
        }
    }

    fn release_pad(&self, pad: &gst::Pad) {
        let sending = {
            let mut state = self.state();
            let kind = state.sendings.iter().find(|(_, (ghost, _))| ghost == pad);
            let kind = kind.map(|(kind, _)| *kind);
            kind.and_then(|kind| state.sendings.remove(&kind))
        };
        if let Some((ghost, sending)) = sending {
            drop(ghost.set_active(false));
            drop(self.obj().remove_pad(&ghost));
            sending.remove(self.obj().upcast_ref());
        }
    }

    fn change_state(
        &self,
        transition: gst::StateChange,
    ) -> Result<gst::StateChangeSuccess, gst::StateChangeError> {
        match transition {
            gst::StateChange::NullToReady => {
                if let Err(taken) = self.signaller() {
                    gst::element_imp_error!(self, gst::LibraryError::Init, ("{taken}"));
                    return Err(gst::StateChangeError);
                }
            }
            gst::StateChange::PausedToReady => {
                let participant = self.state().participant.take();
                if let Some(participant) = participant {
                    participant.quit();
                }
            }
            _ => {}
        }
        let change = self.parent_change_state(transition)?;
        match transition {
            gst::StateChange::ReadyToPaused => {
                self.begin()?;
                Ok(gst::StateChangeSuccess::NoPreroll)
            }
            gst::StateChange::PlayingToPaused => Ok(gst::StateChangeSuccess::NoPreroll),
            _ => Ok(change),
        }
    }

    fn send_event(&self, event: gst::Event) -> bool {
        match event.type_() {
            gst::EventType::Eos => self.input(Input::Leave),
            // Nothing inside waits for the latency of the others.
            gst::EventType::Latency => true,
            _ => self.parent_send_event(event),
        }
    }
}

impl BinImpl for DuckSoupPeer {
    fn handle_message(&self, message: gst::Message) {
        match message.view() {
            // Ours is posted when the call is over.
            gst::MessageView::Eos(_) => {}
            gst::MessageView::Error(error) => {
                let source = error.src().map(|source| source.path_string());
                gst::warning!(CAT, imp = self, "{source:?}: {error:?}");
                let text = error.error().to_string();
                if !self.input(Input::Fault(text)) {
                    self.parent_handle_message(message);
                }
            }
            _ => self.parent_handle_message(message),
        }
    }
}

impl ChildProxyImpl for DuckSoupPeer {
    fn children_count(&self) -> u32 {
        u32::from(self.signaller().is_ok())
    }

    fn child_by_index(&self, index: u32) -> Option<glib::Object> {
        let signaller = self.signaller().ok()?;
        (index == 0).then(|| signaller.clone().upcast())
    }

    fn child_by_name(&self, name: &str) -> Option<glib::Object> {
        (name == "signaller").then(|| self.child_by_index(0)).flatten()
    }
}

impl DuckSoupPeer {
    fn signaller(&self) -> Result<&ClientSignaller, Taken> {
        let made = self.signaller.get_or_init(|| {
            let element = self.obj().downgrade();
            let signaller = ClientSignaller::new(move |session, event| {
                if let Some(element) = element.upgrade() {
                    element.imp().input(Input::Event(session, event));
                }
            })?;
            self.listen(&signaller);
            Ok(signaller)
        });
        made.as_ref().map_err(|taken| *taken)
    }

    /// The signaller's signals become inputs.
    fn listen(&self, signaller: &ClientSignaller) {
        let number = |session: &str| session.parse().unwrap_or_default();
        let element = self.obj().downgrade();
        signaller.connect_closure(
            "session-description",
            false,
            glib::closure!(
                move |_: Signallable,
                      session: &str,
                      offer: gst_webrtc::WebRTCSessionDescription| {
                    if let Some(element) = element.upgrade() {
                        element.imp().input(Input::Offer(number(session), offer));
                    }
                }
            ),
        );
        let element = self.obj().downgrade();
        signaller.connect_closure(
            "handle-ice",
            false,
            glib::closure!(move |_: Signallable,
                                 session: &str,
                                 section: u32,
                                 _mid: Option<String>,
                                 candidate: String| {
                if let Some(element) = element.upgrade() {
                    let input = Input::TheirCandidate(number(session), section, candidate);
                    element.imp().input(input);
                }
            }),
        );
    }

    fn add_sink(
        &self,
        kind: Kind,
        template: &gst::PadTemplate,
    ) -> Result<gst::Pad, glib::BoolError> {
        let element = self.obj();
        let sending = Sending::new(kind, element.upcast_ref())?;
        let target = sending.sink().ok_or_else(|| glib::bool_error!("no sink pad"))?;
        let ghost = gst::GhostPad::builder_from_template_with_target(template, &target)?
            .name(format!("{kind}_sink"))
            .build();
        sending.start()?;
        ghost.set_active(true)?;
        element.add_pad(&ghost)?;
        let is_late = {
            let mut state = self.state();
            state.sendings.insert(kind, (ghost.clone(), sending));
            state.participant.is_some()
        };
        if is_late {
            gst::warning!(CAT, imp = self, "{kind}_sink comes too late for this call");
        }
        Ok(ghost.upcast())
    }

    fn begin(&self) -> Result<(), gst::StateChangeError> {
        let signaller = self.signaller().map_err(|_| gst::StateChangeError)?;
        let settings = *self.settings();
        signaller.set_connect_timeout(Duration::from_millis(settings.connect_timeout.into()));
        let picture = match signaller.options() {
            Ok(options) => Picture {
                width: options.width,
                height: options.height,
                framerate: options.framerate,
            },
            // Told when the signaller starts.
            Err(_) => Picture { width: 0, height: 0, framerate: 0 },
        };
        let terms = Terms { output: settings.output, policy: settings.policy, picture };
        let sendings =
            self.state().sendings.iter().map(|(kind, (_, one))| (*kind, one.clone())).collect();
        let (sender, received) = channel();
        let ways = (Inputs(sender), received);
        let handle = Handle::start(&self.obj(), signaller, terms, sendings, ways);
        let handle = handle.map_err(|error| {
            gst::element_imp_error!(self, gst::CoreError::Thread, ("no thread: {error}"));
            gst::StateChangeError
        })?;
        let inputs = handle.inputs.clone();
        self.state().participant = Some(handle);
        // From here on what the server says finds its way.
        inputs.send(Input::Begin);
        Ok(())
    }

    /// False when there is no participant.
    pub(super) fn input(&self, input: Input) -> bool {
        let inputs = self.state().participant.as_ref().map(|handle| handle.inputs.clone());
        if let Some(inputs) = &inputs {
            inputs.send(input);
        }
        inputs.is_some()
    }

    pub(super) fn say(&self, message: ClientMessage) {
        match self.signaller() {
            Ok(signaller) if signaller.say(message) => {}
            _ => gst::warning!(CAT, imp = self, "nobody to say this to"),
        }
    }

    fn stats(&self) -> gst::Structure {
        let (board, sendings) = {
            let state = self.state();
            let sendings: Vec<_> = state.sendings.values().cloned().collect();
            (state.participant.as_ref().map(|handle| handle.board.clone()), sendings)
        };
        let mut stats = gst::Structure::new_empty("application/x-ducksouppeer-stats");
        let pad = |packets: u64, bytes: u64| {
            gst::Structure::builder("pad").field("packets", packets).field("bytes", bytes).build()
        };
        for (ghost, sending) in sendings {
            let (packets, bytes) = sending.sent();
            stats.set(ghost.name().as_str(), pad(packets, bytes));
        }
        let Some(board) = board else {
            stats.set("phase", "none");
            return stats;
        };
        let board = board.lock().unwrap_or_else(PoisonError::into_inner);
        let Board { phase, connection, sessions, tracks } = &*board;
        stats.set(
            "phase",
            match phase {
                Phase::Joining => "joining",
                Phase::Joined => "joined",
                Phase::Running => "running",
                Phase::Leaving => "leaving",
                Phase::Over => "over",
            },
        );
        let connection = connection.unwrap_or(gst_webrtc::WebRTCPeerConnectionState::New);
        stats.set("connection", format!("{connection:?}").to_lowercase());
        stats.set("sessions", sessions);
        for track in tracks {
            let (name, packets, bytes) = track.received();
            stats.set(name.as_str(), pad(packets, bytes));
        }
        stats
    }

    fn settings(&self) -> MutexGuard<'_, Settings> {
        self.settings.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
