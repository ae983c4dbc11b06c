// SPDX-License-Identifier: MPL-2.0

// The derived accessors are described by the blurbs of their properties.
#![allow(missing_docs)]

use super::FxControlShape;
use super::chain::{Asked, Chain, Settings, Shared};
use super::effects::FxError;
use super::pads::raw_templates;
use super::report::{About, Report, post};
use super::target::Input;
use gst::glib;
use gst::prelude::*;
use gst::subclass::prelude::*;
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};

static CAT: LazyLock<gst::DebugCategory> = LazyLock::new(|| {
    gst::DebugCategory::new(
        "fxcontrol",
        gst::DebugColorFlags::empty(),
        Some("Effects under control"),
    )
});

/// 5 ms: below what the ear resolves as a step, above what effects cost by the call. From the design.
const DEFAULT_CONTROL_PERIOD: u64 = 5 * gst::ClockTime::MSECOND.nseconds();
/// Five frames at 48 kHz. Ours: a slice must be worth its overhead.
const MIN_CONTROL_PERIOD: u64 = 100 * gst::ClockTime::USECOND.nseconds();
/// Ours: longer than any buffer.
const MAX_CONTROL_PERIOD: u64 = gst::ClockTime::SECOND.nseconds();

#[derive(glib::Properties, Debug)]
#[properties(wrapper_type = super::FxControl)]
pub struct FxControl {
    sinkpad: gst::GhostPad,
    srcpad: gst::GhostPad,
    // Lock order: settings, then chain, then those of the gates; none across a call out.
    #[property(
        name = "fx", nick = "Effects", type = Option<String>, get = Self::fx, set = Self::set_fx,
        blurb = "The effects media passes through, for example \"pitch pitch=0.8 name=fx\"; several with \"!\" between them; empty lets media pass untouched",
        mutable_ready
    )]
    #[property(
        name = "timeline", nick = "Timeline", member = timeline, type = Option<String>, get, set,
        blurb = "Commands, one a line or between semicolons: time name property value [duration] [shape]; times in seconds of running time, durations in seconds; read when the element leaves READY",
        mutable_ready
    )]
    #[property(
        name = "allow", nick = "Allowed elements", member = allow, type = Option<String>, get, set,
        blurb = "Elements that are effects although the policy says no, with commas between them",
        mutable_ready
    )]
    #[property(
        name = "deny", nick = "Denied elements", member = deny, type = Option<String>, get, set,
        blurb = "Elements that are no effects although the policy says yes, with commas between them",
        mutable_ready
    )]
    #[property(
        name = "folders", nick = "Effect folders", member = folders, type = Option<String>, get, set,
        blurb = "Folders in which files named by effect properties must lie, with colons between them; empty is none",
        mutable_ready
    )]
    settings: Mutex<Settings>,
    chain: Mutex<Option<Arc<Chain>>>,
    #[property(
        name = "control-period", nick = "Control period", type = u64,
        get = |element: &Self| element.shared.control_period(),
        set = |element: &Self, period| element.shared.set_control_period(period),
        minimum = MIN_CONTROL_PERIOD, maximum = MAX_CONTROL_PERIOD,
        default = DEFAULT_CONTROL_PERIOD,
        blurb = "Length of the slices of audio while a property moves (in nanoseconds)",
        mutable_playing
    )]
    #[property(
        name = "bypass", nick = "Bypass", type = bool,
        get = |element: &Self| element.shared.bypass(),
        set = |element: &Self, bypass| element.shared.set_bypass(bypass),
        blurb = "Give the original out in the place of the effects' output, with the delay and the load of the effects",
        mutable_playing
    )]
    shared: Arc<Shared>,
}

#[glib::object_subclass]
impl ObjectSubclass for FxControl {
    const NAME: &'static str = "GstFxControl";
    type Type = super::FxControl;
    type ParentType = gst::Bin;

    fn with_class(class: &Self::Class) -> Self {
        let template = |name| class.pad_template(name).expect("the template is below");
        let srcpad = gst::GhostPad::builder_from_template(&template("src"))
            .event_function(|pad, parent, event| {
                // An effect that is told it is late drops frames: on the live path it must not.
                if event.type_() == gst::EventType::Qos {
                    return true;
                }
                gst::Pad::event_default(pad, parent, event)
            })
            .build();
        Self {
            sinkpad: gst::GhostPad::builder_from_template(&template("sink")).build(),
            srcpad,
            settings: Mutex::default(),
            chain: Mutex::default(),
            shared: Arc::new(Shared::new(DEFAULT_CONTROL_PERIOD)),
        }
    }
}

#[glib::derived_properties]
impl ObjectImpl for FxControl {
    fn constructed(&self) {
        self.parent_constructed();
        let obj = self.obj();
        self.shared.bin().set(Some(&*obj));
        obj.add_pad(&self.sinkpad).expect("a new element has no pads");
        obj.add_pad(&self.srcpad).expect("a new element has no pads");
    }

    fn signals() -> &'static [glib::subclass::Signal] {
        static SIGNALS: LazyLock<Vec<glib::subclass::Signal>> = LazyLock::new(|| {
            let text = String::static_type();
            let time = u64::static_type();
            vec![
                // control (name, property, value, duration): moves a number in a straight line.
                // @name: the effect's name
                // @property: its property
                // @value: the number to reach
                // @duration: how long the way takes, in nanoseconds; 0 is at once
                // Returns: nothing when accepted, else the reason of the refusal
                glib::subclass::Signal::builder("control")
                    .param_types([text, text, f64::static_type(), time])
                    .return_type::<Option<String>>()
                    .action()
                    .class_handler(|args| {
                        answer(args, |args| {
                            Some((Input::Number(args[3].get().ok()?), args[4].get().ok()?, None))
                        })
                    })
                    .build(),
                // control-text (name, property, value): sets a property of any type at once.
                // @value: the value as text; the property's own type decides
                // Returns: as above
                glib::subclass::Signal::builder("control-text")
                    .param_types([text, text, text])
                    .return_type::<Option<String>>()
                    .action()
                    .class_handler(|args| {
                        answer(args, |args| Some((Input::Text(args[3].get().ok()?), 0, None)))
                    })
                    .build(),
                // control-shaped (name, property, value, duration, shape): as control, another way.
                // @shape: the way from the value reached to the value wanted
                // Returns: as above
                glib::subclass::Signal::builder("control-shaped")
                    .param_types([
                        text,
                        text,
                        f64::static_type(),
                        time,
                        FxControlShape::static_type(),
                    ])
                    .return_type::<Option<String>>()
                    .action()
                    .class_handler(|args| {
                        answer(args, |args| {
                            let shape = args[5].get().ok()?;
                            Some((
                                Input::Number(args[3].get().ok()?),
                                args[4].get().ok()?,
                                Some(shape),
                            ))
                        })
                    })
                    .build(),
            ]
        });
        &SIGNALS
    }
}

impl GstObjectImpl for FxControl {}

impl ElementImpl for FxControl {
    fn metadata() -> Option<&'static gst::subclass::ElementMetadata> {
        static METADATA: LazyLock<gst::subclass::ElementMetadata> = LazyLock::new(|| {
            gst::subclass::ElementMetadata::new(
                "Effects under control",
                "Filter/Effect/Audio/Video",
                "A chain of effects whose properties move along ramps, at the media's own time",
                "DuckSoup contributors",
            )
        });
        Some(&METADATA)
    }

    fn pad_templates() -> &'static [gst::PadTemplate] {
        raw_templates()
    }

    fn change_state(
        &self,
        transition: gst::StateChange,
    ) -> Result<gst::StateChangeSuccess, gst::StateChangeError> {
        if matches!(transition, gst::StateChange::NullToReady | gst::StateChange::ReadyToPaused) {
            self.set_up().map_err(|error| {
                gst::element_imp_error!(self, gst::LibraryError::Settings, ("{error}"));
                gst::StateChangeError
            })?;
        }
        let success = self.parent_change_state(transition)?;
        match transition {
            gst::StateChange::PausedToReady => {
                if let Some(chain) = self.chain() {
                    chain.set_used();
                }
                self.shared.originals().clear();
            }
            gst::StateChange::ReadyToNull => self.tear_down(),
            _ => {}
        }
        Ok(success)
    }
}

impl BinImpl for FxControl {}

/// Does the command of a signal: `read` takes value, duration and shape out of its arguments.
fn answer(
    args: &[glib::Value],
    read: impl for<'a> Fn(&'a [glib::Value]) -> Option<(Input<'a>, u64, Option<FxControlShape>)>,
) -> Option<glib::Value> {
    let asked = || -> Option<_> {
        let element: super::FxControl = args[0].get().ok()?;
        let (input, duration, shape) = read(args)?;
        let asked = Asked {
            name: args[1].get().ok()?,
            property: args[2].get().ok()?,
            input,
            duration,
            shape: shape.unwrap_or_default(),
        };
        Some(element.imp().control(&asked).err().map(|why| why.to_string()))
    };
    // NULL is no name, no property and no text.
    let reason = asked().unwrap_or_else(|| Some("an argument is missing".to_owned()));
    Some(reason.to_value())
}

impl FxControl {
    fn settings(&self) -> MutexGuard<'_, Settings> {
        self.settings.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn chain(&self) -> Option<Arc<Chain>> {
        self.chain.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn replace_chain(&self, chain: Option<Arc<Chain>>) -> Option<Arc<Chain>> {
        std::mem::replace(&mut *self.chain.lock().unwrap_or_else(PoisonError::into_inner), chain)
    }

    fn fx(&self) -> Option<String> {
        self.settings().fx.clone()
    }

    fn set_fx(&self, fx: Option<String>) {
        if self.obj().current_state() > gst::State::Ready {
            gst::warning!(CAT, imp = self, "fx cannot change while media flows: kept as it is");
            return;
        }
        self.settings().fx = fx;
    }

    /// Makes the chain and puts it in, unless a fresh one of the same settings is there.
    fn set_up(&self) -> Result<(), FxError> {
        let settings = self.settings().clone();
        if self.chain().is_some_and(|chain| chain.is_current(&settings)) {
            return Ok(());
        }
        self.tear_down();
        let chain = Chain::make(&settings, &self.shared)?;
        let installed = chain.install(self.obj().upcast_ref());
        let (first, last) = match installed {
            Ok(ends) => ends,
            Err(error) => {
                chain.remove(self.obj().upcast_ref());
                return Err(error);
            }
        };
        let set = self.sinkpad.set_target(Some(&first)).is_ok()
            && self.srcpad.set_target(Some(&last)).is_ok();
        self.replace_chain(Some(Arc::new(chain)));
        gst::info!(CAT, imp = self, "effects: {:?}", settings.fx);
        if set { Ok(()) } else { Err(FxError::Link) }
    }

    fn tear_down(&self) {
        let Some(chain) = self.replace_chain(None) else {
            return;
        };
        // Fails only where there is no target.
        let _ = self.sinkpad.set_target(None::<&gst::Pad>);
        let _ = self.srcpad.set_target(None::<&gst::Pad>);
        chain.remove(self.obj().upcast_ref());
    }

    /// Checks a command, leaves it for the next buffer, and tells what became of it.
    pub(super) fn has_effect(&self, name: &str) -> bool {
        self.chain().is_some_and(|chain| chain.has(name))
    }

    pub(super) fn control(&self, asked: &Asked<'_>) -> Result<(), FxError> {
        let id = self.shared.next_command();
        let chain = self.chain();
        let resolved =
            chain.as_ref().ok_or(FxError::NotReady).and_then(|chain| chain.resolve(asked, id));
        let value = match &resolved {
            Ok((_, command)) => command.end.to_string(),
            Err(_) => asked.input.to_string(),
        };
        let about = About { id, name: asked.name, property: asked.property, value: &value };
        match resolved {
            Ok((gate, command)) => {
                let report = Report::Accepted { duration: command.duration, shape: command.shape };
                // First told, then done: on the bus "accepted" comes before "started".
                post(self.shared.bin(), report.to_structure(about));
                gate.push(command);
                Ok(())
            }
            Err(error) => {
                gst::debug!(CAT, imp = self, "refused: {error}");
                let reason = error.to_string();
                post(self.shared.bin(), Report::Refused { reason }.to_structure(about));
                Err(error)
            }
        }
    }
}
