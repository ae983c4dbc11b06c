// SPDX-License-Identifier: MPL-2.0

use super::address::Address;
use super::event::{Event, Failure};
use super::session::{Effect, Input, Placed, Session};
use super::socket::{self, Plan};
use super::tls::Trust;
use crate::protocol::{ClientMessage, IceCandidate, JoinError, JoinOptions, JoinRequest};
use glib::prelude::*;
use glib::subclass::prelude::*;
use gst::prelude::*;
use gst::subclass::prelude::*;
use gst_sdp::SDPMessage;
use gst_webrtc::{WebRTCSDPType, WebRTCSessionDescription};
use gstrswebrtc::signaller::{Signallable, prelude::*};
use std::fmt;
use std::sync::{LazyLock, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::mpsc;

static CAT: LazyLock<gst::DebugCategory> = LazyLock::new(|| {
    gst::DebugCategory::new(
        "clientsignaller",
        gst::DebugColorFlags::empty(),
        Some("Signaller of a DuckSoup participant"),
    )
});

/// See the element's property of this name.
pub(super) const DEFAULT_CONNECT_TIMEOUT: Duration = Duration::from_secs(4);
/// Most words that wait for the socket. Ours: a burst of candidates, and some controls.
const MAX_COMMANDS: usize = 256;

/// Where events go.
type Listener = Box<dyn Fn(u64, Event) + Send + Sync>;

#[derive(Debug, Clone)]
struct Settings {
    uri: String,
    origin: Option<String>,
    request: JoinRequest,
    cafile: Option<String>,
    insecure_tls: bool,
    connect_timeout: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            uri: String::new(),
            origin: None,
            request: JoinRequest::default(),
            cafile: None,
            insecure_tls: false,
            connect_timeout: DEFAULT_CONNECT_TIMEOUT,
        }
    }
}

/// A conversation that goes on.
#[derive(Debug)]
struct Line {
    commands: mpsc::Sender<Input>,
    task: tokio::task::JoinHandle<()>,
    /// Its other end goes with the task.
    done: std::sync::mpsc::Receiver<()>,
}

#[derive(Debug, Default)]
struct State {
    /// The number of the latest session.
    session: u64,
    line: Option<Line>,
}

/// Two locks, never held together, nor while a signal is emitted or the listener called.
#[derive(Default)]
pub struct ClientSignaller {
    listener: OnceLock<Listener>,
    settings: Mutex<Settings>,
    state: Mutex<State>,
}

impl fmt::Debug for ClientSignaller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientSignaller").finish_non_exhaustive()
    }
}

#[glib::object_subclass]
impl ObjectSubclass for ClientSignaller {
    const NAME: &'static str = "DuckSoupClientSignaller";
    type Type = super::ClientSignaller;
    type ParentType = gst::Object;
    type Interfaces = (Signallable,);
}

impl ObjectImpl for ClientSignaller {
    fn properties() -> &'static [glib::ParamSpec] {
        static PROPERTIES: LazyLock<Vec<glib::ParamSpec>> = LazyLock::new(|| {
            let text = |name, nick, blurb| {
                glib::ParamSpecString::builder(name).nick(nick).blurb(blurb).mutable_ready().build()
            };
            let number = |name, nick, blurb| {
                glib::ParamSpecUInt::builder(name).nick(nick).blurb(blurb).mutable_ready().build()
            };
            let flag = |name, nick, blurb| {
                glib::ParamSpecBoolean::builder(name)
                    .nick(nick)
                    .blurb(blurb)
                    .mutable_ready()
                    .build()
            };
            vec![
                glib::ParamSpecOverride::for_interface::<Signallable>("manual-sdp-munging"),
                text("uri", "Address", "The server: ws://host:port/ws or wss://… (required)"),
                text(
                    "origin",
                    "Origin",
                    "The Origin header, which the server must allow; unset: http(s)://host:port of the uri",
                ),
                text("interaction", "Interaction", "Name of the interaction to join (required)"),
                text("user", "User", "Id of the participant (required)"),
                text(
                    "namespace",
                    "Namespace",
                    "Where the data of the interaction go; unset: the server's default",
                ),
                number(
                    "duration",
                    "Duration",
                    "Length of the interaction (s); 0: the server's default",
                ),
                number("size", "Size", "Number of participants; 0: the server's default"),
                flag("audio-only", "Audio only", "No video"),
                number("width", "Width", "Width of the video (pixels); 0: the server's default"),
                number("height", "Height", "Height of the video (pixels); 0: the server's default"),
                number("framerate", "Frame rate", "Frames a second; 0: the server's default"),
                text(
                    "audio-fx",
                    "Audio effect",
                    "Effect on the voice, as in pitch pitch=0.8 name=fx",
                ),
                text(
                    "video-fx",
                    "Video effect",
                    "Effect on the picture, as in coloreffects preset=sepia name=fx",
                ),
                text("video-format", "Video format", "H264 or VP8; unset: the server's default"),
                text(
                    "recording-mode",
                    "Recording mode",
                    "What is recorded: forced, free, split, none…; unset: the server's default",
                ),
                flag("gpu", "GPU", "Asks for a hardware encoder"),
                flag("overlay", "Overlay", "Asks for an overlay on the recordings"),
                text(
                    "cafile",
                    "Certificates",
                    "PEM file with the certificates to believe; unset: the system's",
                ),
                flag("insecure-tls", "Insecure TLS", "Believes any certificate"),
            ]
        });
        PROPERTIES.as_ref()
    }

    fn set_property(&self, _id: usize, value: &glib::Value, pspec: &glib::ParamSpec) {
        let text = || {
            let text = value.get::<Option<String>>().expect("type checked by GObject");
            text.filter(|text| !text.is_empty())
        };
        let number =
            || Some(value.get::<u32>().expect("type checked by GObject")).filter(|n| *n > 0);
        let flag = || value.get::<bool>().expect("type checked by GObject");
        let mut settings = self.settings();
        let request = &mut settings.request;
        match pspec.name() {
            "uri" => settings.uri = text().unwrap_or_default(),
            "origin" => settings.origin = text(),
            "interaction" => request.interaction = text(),
            "user" => request.user = text(),
            "namespace" => request.namespace = text(),
            "duration" => request.duration = number(),
            "size" => request.size = number(),
            "audio-only" => request.audio_only = flag().then_some(true),
            "width" => request.width = number(),
            "height" => request.height = number(),
            "framerate" => request.framerate = number(),
            "audio-fx" => request.audio_fx = text(),
            "video-fx" => request.video_fx = text(),
            "video-format" => request.video_format = text(),
            "recording-mode" => request.recording_mode = text(),
            "gpu" => request.gpu = flag().then_some(true),
            "overlay" => request.overlay = flag().then_some(true),
            "cafile" => settings.cafile = text(),
            "insecure-tls" => settings.insecure_tls = flag(),
            _ => unreachable!("GObject knows the properties"),
        }
    }

    fn property(&self, _id: usize, pspec: &glib::ParamSpec) -> glib::Value {
        let settings = self.settings();
        let request = &settings.request;
        match pspec.name() {
            "manual-sdp-munging" => false.to_value(),
            "uri" => settings.uri.to_value(),
            "origin" => settings.origin.to_value(),
            "interaction" => request.interaction.to_value(),
            "user" => request.user.to_value(),
            "namespace" => request.namespace.to_value(),
            "duration" => request.duration.unwrap_or_default().to_value(),
            "size" => request.size.unwrap_or_default().to_value(),
            "audio-only" => request.audio_only.unwrap_or_default().to_value(),
            "width" => request.width.unwrap_or_default().to_value(),
            "height" => request.height.unwrap_or_default().to_value(),
            "framerate" => request.framerate.unwrap_or_default().to_value(),
            "audio-fx" => request.audio_fx.to_value(),
            "video-fx" => request.video_fx.to_value(),
            "video-format" => request.video_format.to_value(),
            "recording-mode" => request.recording_mode.to_value(),
            "gpu" => request.gpu.unwrap_or_default().to_value(),
            "overlay" => request.overlay.unwrap_or_default().to_value(),
            "cafile" => settings.cafile.to_value(),
            "insecure-tls" => settings.insecure_tls.to_value(),
            _ => unreachable!("GObject knows the properties"),
        }
    }
}

impl GstObjectImpl for ClientSignaller {}

impl SignallableImpl for ClientSignaller {
    /// Connects and joins. Whatever goes wrong is an event.
    fn start(&self) {
        let plan = self.plan();
        let mut state = self.state();
        state.session += 1;
        let session = state.session;
        let failure = match (plan, socket::RUNTIME.as_ref()) {
            (Ok(plan), Some(runtime)) => {
                state.line = Some(self.call(session, plan, runtime));
                return;
            }
            (Err(failure), _) => failure,
            (_, None) => Failure::Settings("this machine gives no thread for sockets".to_owned()),
        };
        drop(state);
        self.tell(session, Event::Failed(failure));
    }

    /// Hangs up, without waiting for it.
    fn stop(&self) {
        self.command(Input::HangUp);
    }

    fn send_sdp(&self, session_id: &str, sdp: &WebRTCSessionDescription) {
        match sdp.sdp().as_text() {
            Ok(text) if sdp.type_() == WebRTCSDPType::Answer && self.is_now(session_id) => {
                self.command(Input::Answer(text));
            }
            _ => gst::warning!(CAT, imp = self, "nothing to send: no answer, or of an old session"),
        }
    }

    fn add_ice(&self, session_id: &str, candidate: &str, section: u32, mid: Option<String>) {
        if self.is_now(session_id) {
            self.command(Input::Candidate(IceCandidate {
                candidate: candidate.to_owned(),
                sdp_mid: mid,
                sdp_m_line_index: Some(section),
            }));
        }
    }

    fn end_session(&self, session_id: &str) {
        if self.is_now(session_id) {
            self.leave();
        }
    }
}

impl ClientSignaller {
    pub(super) fn set_listener(&self, listener: Listener) {
        // Called once, by the constructor.
        let _ = self.listener.set(listener);
    }

    pub(super) fn set_connect_timeout(&self, limit: Duration) {
        self.settings().connect_timeout = limit;
    }

    pub(super) fn options(&self) -> Result<JoinOptions, JoinError> {
        self.settings().request.check()
    }

    pub(super) fn session(&self) -> u64 {
        self.state().session
    }

    pub(super) fn say(&self, message: ClientMessage) -> bool {
        self.command(Input::Say(message))
    }

    pub(super) fn leave(&self) {
        self.command(Input::Leave);
    }

    pub(super) fn wait_closed(&self, limit: Duration) {
        let Some(line) = self.state().line.take() else {
            return;
        };
        if line.done.recv_timeout(limit) == Err(std::sync::mpsc::RecvTimeoutError::Timeout) {
            gst::warning!(CAT, imp = self, "the connection does not close, dropped");
            line.task.abort();
        }
    }

    fn command(&self, input: Input) -> bool {
        let Some(commands) = self.state().line.as_ref().map(|line| line.commands.clone()) else {
            return false;
        };
        let sent = commands.try_send(input);
        if let Err(error) = &sent {
            gst::warning!(CAT, imp = self, "not said: {error}");
        }
        sent.is_ok()
    }

    fn is_now(&self, session_id: &str) -> bool {
        self.state().session.to_string() == session_id
    }

    fn plan(&self) -> Result<Plan, Failure> {
        let settings = self.settings().clone();
        if settings.uri.is_empty() {
            return Err(Failure::Settings("signaller::uri is not set".to_owned()));
        }
        let address = Address::parse(&settings.uri)?;
        settings.request.check()?;
        let trust = match settings.cafile {
            _ if settings.insecure_tls => Trust::Anyone,
            Some(path) => Trust::File(path),
            None => Trust::System,
        };
        Ok(Plan {
            origin: settings.origin.unwrap_or_else(|| address.origin()),
            trust,
            session: Session::new(
                settings.request,
                address.authority.clone(),
                settings.connect_timeout,
                Instant::now(),
            ),
            address,
        })
    }

    fn call(&self, session: u64, plan: Plan, runtime: &tokio::runtime::Runtime) -> Line {
        let (commands, inputs) = mpsc::channel(MAX_COMMANDS);
        let (end, done) = std::sync::mpsc::channel();
        let signaller = self.obj().downgrade();
        let task = runtime.spawn(async move {
            let _end = end;
            socket::converse(plan, inputs, |effect| {
                if let Some(signaller) = signaller.upgrade() {
                    signaller.imp().hand_on(session, effect);
                }
            })
            .await;
        });
        Line { commands, task, done }
    }

    fn hand_on(&self, session: u64, effect: Effect) {
        let session_id = session.to_string();
        match effect {
            Effect::Describe(text) => match SDPMessage::parse_buffer(text.as_bytes()) {
                Ok(sdp) => {
                    let offer = WebRTCSessionDescription::new(WebRTCSDPType::Offer, sdp);
                    self.obj().emit_by_name::<()>("session-description", &[&session_id, &offer]);
                }
                Err(_) => self.tell(session, Event::Failed(Failure::offer("it is no SDP"))),
            },
            Effect::HandOn(Placed { section, mid, candidate }) => {
                self.obj()
                    .emit_by_name::<()>("handle-ice", &[&session_id, &section, &mid, &candidate]);
            }
            Effect::Tell(event) => self.tell(session, event),
            Effect::Note(text) => gst::info!(CAT, imp = self, "{text}"),
            // The socket's own.
            Effect::Say(_) | Effect::Close(_) => {}
        }
    }

    fn tell(&self, session: u64, event: Event) {
        gst::debug!(CAT, imp = self, "session {session}: {event:?}");
        let (session_id, object) = (session.to_string(), self.obj());
        match &event {
            Event::Joined { .. } => {
                let server = self.settings().uri.clone();
                object.emit_by_name::<()>("session-started", &[&session_id, &server]);
            }
            Event::Failed(failure) => object.emit_by_name::<()>("error", &[&failure.to_string()]),
            _ => {}
        }
        let is_last =
            matches!(event, Event::End | Event::Refused { .. } | Event::Failed(_) | Event::Left);
        if let Some(listener) = self.listener.get() {
            listener(session, event);
        }
        if is_last {
            object.emit_by_name::<bool>("session-ended", &[&session_id]);
        }
    }

    fn settings(&self) -> MutexGuard<'_, Settings> {
        self.settings.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
