// SPDX-License-Identifier: MPL-2.0

use super::encoder::Encoder;
use super::meter::{Meter, WINDOW};
use super::policy::{Change, Limits, Policy};
use crate::estimate;
use gst::glib;
use gst::prelude::*;
use gst::subclass::prelude::*;
use gst_base::subclass::prelude::*;
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};

static CAT: LazyLock<gst::DebugCategory> = LazyLock::new(|| {
    gst::DebugCategory::new(
        "bitratecontroller",
        gst::DebugColorFlags::empty(),
        Some("Steers an encoder by what its receivers can take"),
    )
});

// The limits of video, bit/s: those of the documentation of DuckSoup.
const DEFAULT_MIN: u32 = 150_000;
const DEFAULT_MAX: u32 = 1_800_000;
const DEFAULT_BITRATE: u32 = 800_000;
/// How often an encoder is told, as the documentation of DuckSoup has it.
const DEFAULT_PERIOD: gst::ClockTime = gst::ClockTime::from_mseconds(250);

#[derive(Debug, Clone, Copy)]
struct Settings {
    limits: Limits,
    period: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            limits: Limits { min: DEFAULT_MIN, max: DEFAULT_MAX },
            period: DEFAULT_PERIOD.nseconds(),
        }
    }
}

/// What is known of the encoder.
#[derive(Debug, Clone)]
enum Steering {
    /// Not looked for, or not found so far; the warning is to come.
    Open,
    /// This one is steered.
    Found(Encoder),
    /// There is none, and that has been said.
    Missing,
}

#[derive(Debug)]
struct State {
    settings: Settings,
    policy: Policy,
    meter: Meter,
    steering: Steering,
    /// When the measured rate was posted last, or counting began.
    reported: Option<u64>,
}

impl Default for State {
    fn default() -> Self {
        Self {
            settings: Settings::default(),
            policy: Policy::new(DEFAULT_BITRATE),
            meter: Meter::default(),
            steering: Steering::Open,
            reported: None,
        }
    }
}

// Lock order: there is one lock, never held across a message, a notification or a setting of the encoder.
#[derive(Debug, Default)]
pub struct BitrateController {
    state: Mutex<State>,
}

#[glib::object_subclass]
impl ObjectSubclass for BitrateController {
    const NAME: &'static str = "GstBitrateController";
    type Type = super::BitrateController;
    type ParentType = gst_base::BaseTransform;
}

impl ObjectImpl for BitrateController {
    fn properties() -> &'static [glib::ParamSpec] {
        static PROPERTIES: LazyLock<Vec<glib::ParamSpec>> = LazyLock::new(|| {
            vec![
                glib::ParamSpecUInt::builder("min")
                    .nick("Minimum")
                    .blurb("Lowest bitrate that the encoder is told (bit/s)")
                    .default_value(DEFAULT_MIN)
                    .mutable_playing()
                    .build(),
                glib::ParamSpecUInt::builder("max")
                    .nick("Maximum")
                    .blurb("Highest bitrate that the encoder is told (bit/s)")
                    .default_value(DEFAULT_MAX)
                    .mutable_playing()
                    .build(),
                glib::ParamSpecUInt::builder("bitrate")
                    .nick("Bitrate")
                    .blurb("What the encoder is told now (bit/s); as it is set before the first estimate, it is the start value")
                    .default_value(DEFAULT_BITRATE)
                    .mutable_playing()
                    .build(),
                glib::ParamSpecUInt64::builder("period")
                    .nick("Period")
                    .blurb("Least time between two changes (ns)")
                    .default_value(DEFAULT_PERIOD.nseconds())
                    .mutable_playing()
                    .build(),
                glib::ParamSpecUInt::builder("measured")
                    .nick("Measured")
                    .blurb("What has passed in the last second (bit/s)")
                    .read_only()
                    .build(),
            ]
        });
        &PROPERTIES
    }

    fn set_property(&self, _id: usize, value: &glib::Value, pspec: &glib::ParamSpec) {
        let bitrate = || value.get::<u32>().expect("type checked by GObject");
        match pspec.name() {
            "min" => self.lock().settings.limits.min = bitrate(),
            "max" => self.lock().settings.limits.max = bitrate(),
            "bitrate" => self.set_bitrate(bitrate()),
            "period" => {
                self.lock().settings.period = value.get().expect("type checked by GObject");
            }
            _ => unreachable!("GObject knows the properties"),
        }
    }

    fn property(&self, _id: usize, pspec: &glib::ParamSpec) -> glib::Value {
        let now = self.now();
        let mut state = self.lock();
        match pspec.name() {
            "min" => state.settings.limits.min.to_value(),
            "max" => state.settings.limits.max.to_value(),
            "bitrate" => state.policy.target().to_value(),
            "period" => state.settings.period.to_value(),
            "measured" => state.meter.rate(now).to_value(),
            _ => unreachable!("GObject knows the properties"),
        }
    }
}

impl GstObjectImpl for BitrateController {}

impl ElementImpl for BitrateController {
    fn metadata() -> Option<&'static gst::subclass::ElementMetadata> {
        static METADATA: LazyLock<gst::subclass::ElementMetadata> = LazyLock::new(|| {
            gst::subclass::ElementMetadata::new(
                "Bitrate controller",
                "Filter/Network",
                "Steers the encoder before it by what its receivers can take",
                "DuckSoup contributors",
            )
        });
        Some(&METADATA)
    }

    fn pad_templates() -> &'static [gst::PadTemplate] {
        static TEMPLATES: LazyLock<Vec<gst::PadTemplate>> = LazyLock::new(|| {
            [("sink", gst::PadDirection::Sink), ("src", gst::PadDirection::Src)]
                .into_iter()
                .map(|(name, direction)| {
                    let any = gst::Caps::new_any();
                    gst::PadTemplate::new(name, direction, gst::PadPresence::Always, &any)
                        .expect("a valid template")
                })
                .collect()
        });
        &TEMPLATES
    }

    fn change_state(
        &self,
        transition: gst::StateChange,
    ) -> Result<gst::StateChangeSuccess, gst::StateChangeError> {
        match transition {
            // The first before the encoder opens: states change from the sink to the source. The
            // second in case links were made since.
            gst::StateChange::NullToReady | gst::StateChange::ReadyToPaused => self.take_over(),
            _ => (),
        }
        self.parent_change_state(transition)
    }
}

impl BaseTransformImpl for BitrateController {
    const MODE: gst_base::subclass::BaseTransformMode =
        gst_base::subclass::BaseTransformMode::AlwaysInPlace;
    const PASSTHROUGH_ON_SAME_CAPS: bool = true;
    const TRANSFORM_IP_ON_PASSTHROUGH: bool = true;

    fn stop(&self) -> Result<(), gst::ErrorMessage> {
        let mut state = self.lock();
        let settings = state.settings;
        let target = state.policy.target();
        *state = State { settings, policy: Policy::new(target), ..State::default() };
        Ok(())
    }

    fn transform_ip_passthrough(
        &self,
        buffer: &gst::Buffer,
    ) -> Result<gst::FlowSuccess, gst::FlowError> {
        self.warn_once();
        let now = self.now();
        let (measured, change) = {
            let mut state = self.lock();
            state.meter.count(buffer.size(), now);
            (state.report(now), state.poll(now))
        };
        if let Some(measured) = measured {
            self.post("bitratecontroller-measured", &[("measured", measured)]);
        }
        self.follow(change);
        Ok(gst::FlowSuccess::Ok)
    }

    fn sink_event(&self, event: gst::Event) -> bool {
        // Another encoder may have taken the place of the one before.
        if matches!(event.view(), gst::EventView::StreamStart(_)) {
            self.take_over();
        }
        self.parent_sink_event(event)
    }

    fn src_event(&self, event: gst::Event) -> bool {
        let Some(bitrate) = estimate::parse(&event) else {
            return self.parent_src_event(event);
        };
        gst::log!(CAT, imp = self, "Downstream takes {bitrate} bit/s");
        let now = self.now();
        let change = {
            let mut state = self.lock();
            state.policy.hear(bitrate, now);
            state.poll(now)
        };
        self.follow(change);
        true
    }
}

impl State {
    fn poll(&mut self, now: u64) -> Option<Change> {
        let Settings { limits, period } = self.settings;
        self.policy.poll(limits, period, now)
    }

    /// The measured rate, once each [`WINDOW`].
    fn report(&mut self, now: u64) -> Option<u32> {
        let since = *self.reported.get_or_insert(now);
        if now.saturating_sub(since) < WINDOW {
            return None;
        }
        self.reported = Some(now);
        Some(self.meter.rate(now))
    }
}

impl BitrateController {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The pipeline's clock, or the system's where there is none (yet). Only differences count.
    fn now(&self) -> u64 {
        let clock = self.obj().clock().unwrap_or_else(gst::SystemClock::obtain);
        clock.time().nseconds()
    }

    fn set_bitrate(&self, bitrate: u32) {
        let change = {
            let mut state = self.lock();
            // Before that the limits may still change: properties come in any order.
            let bitrate = match state.steering {
                Steering::Open => bitrate,
                Steering::Found(_) | Steering::Missing => state.settings.limits.clamp(bitrate),
            };
            state.policy.set_target(bitrate)
        };
        self.follow(change);
    }

    /// Looks for the encoder and tells it the target.
    fn take_over(&self) {
        let sink = self.obj().static_pad("sink");
        let Some(encoder) = sink.as_ref().and_then(Encoder::upstream_of) else {
            return;
        };
        gst::info!(CAT, imp = self, "Steering {:?}", encoder.name());
        {
            let mut state = self.lock();
            state.steering = Steering::Found(encoder);
            let start = state.settings.limits.clamp(state.policy.target());
            state.policy.set_target(start);
        }
        self.apply();
    }

    /// Says that there is no encoder, the first time that it matters.
    fn warn_once(&self) {
        if !matches!(self.lock().steering, Steering::Open) {
            return;
        }
        self.take_over();
        {
            let mut state = self.lock();
            if matches!(state.steering, Steering::Found(_)) {
                return;
            }
            state.steering = Steering::Missing;
        }
        gst::element_imp_warning!(
            self,
            gst::CoreError::Negotiation,
            ("There is no encoder upstream whose bitrate can be set; its bitrate stays as it is")
        );
    }

    /// Acts on what the policy decided.
    fn follow(&self, change: Option<Change>) {
        let Some(Change { target, previous }) = change else {
            return;
        };
        gst::debug!(CAT, imp = self, "Target from {previous} to {target} bit/s");
        self.apply();
        self.post("bitratecontroller-target", &[("target", target), ("previous", previous)]);
        self.obj().notify("bitrate");
    }

    /// Sets the encoder to the target. The last target wins, whichever thread came first.
    fn apply(&self) {
        loop {
            let (encoder, target) = {
                let state = self.lock();
                let Steering::Found(encoder) = &state.steering else {
                    return;
                };
                (encoder.clone(), state.policy.target())
            };
            if !encoder.set(target) {
                gst::debug!(CAT, imp = self, "The encoder is gone");
                self.lock().steering = Steering::Open;
                return;
            }
            if self.lock().policy.target() == target {
                return;
            }
        }
    }

    fn post(&self, name: &str, fields: &[(&str, u32)]) {
        let mut structure = gst::Structure::builder(name);
        for (field, value) in fields {
            structure = structure.field(*field, *value);
        }
        let message = gst::message::Element::builder(structure.build()).src(&*self.obj()).build();
        // It fails where nobody listens.
        let _ = self.obj().post_message(message);
    }
}
