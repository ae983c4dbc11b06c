// SPDX-License-Identifier: MPL-2.0

//! The elements inside the bin, in the order in which media passes them:
//!
//! ```text
//! audio  unbroken [ audioconvert audioresample gate EFFECT ]… sham audioconvert audioresample
//! video  unbroken [ videoconvert               gate EFFECT ]… sham videoconvertscale
//! ```
//!
//! The converters hand everything through as long as neighbours agree. An empty chain is the first
//! of these alone.

use super::description::MAX_NAME;
use super::effects::{self, FxError};
use super::gate::{FxCommand, Gate, Setup};
use super::originals::Originals;
use super::policy::{MediaKind, Policy};
use super::schedule::Command;
use super::sham::Sham;
use super::target::{Input, Moment};
use super::timeline;
use super::unbroken::Unbroken;
use gst::glib;
use gst::prelude::*;
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What entered the chain while bypass was on.
#[derive(Debug, Clone)]
pub(super) struct Original {
    pub(super) buffer: gst::Buffer,
    pub(super) caps: gst::Caps,
    pub(super) audio: Option<gst_audio::AudioInfo>,
}

/// What the bin and its elements share.
#[derive(Debug)]
pub(super) struct Shared {
    bin: glib::WeakRef<super::FxControl>,
    bypass: AtomicBool,
    control_period: AtomicU64,
    next_command: AtomicU64,
    originals: Mutex<Originals<Original>>,
    /// The events that pass now are meant for the effects alone.
    restarting: AtomicBool,
}

impl Shared {
    pub(super) fn new(control_period: u64) -> Self {
        Self {
            bin: glib::WeakRef::new(),
            bypass: AtomicBool::new(false),
            control_period: AtomicU64::new(control_period),
            next_command: AtomicU64::new(1),
            originals: Mutex::default(),
            restarting: AtomicBool::new(false),
        }
    }

    /// Whether the effects are being restarted, behind a pause in the sound.
    pub(super) fn is_restarting(&self) -> bool {
        self.restarting.load(Ordering::Relaxed)
    }

    pub(super) fn set_restarting(&self, restarting: bool) {
        self.restarting.store(restarting, Ordering::Relaxed);
    }

    /// The bin in whose name messages are posted.
    pub(super) fn bin(&self) -> &glib::WeakRef<super::FxControl> {
        &self.bin
    }

    pub(super) fn bypass(&self) -> bool {
        self.bypass.load(Ordering::Relaxed)
    }

    pub(super) fn set_bypass(&self, bypass: bool) {
        self.bypass.store(bypass, Ordering::Relaxed);
    }

    pub(super) fn control_period(&self) -> u64 {
        self.control_period.load(Ordering::Relaxed)
    }

    pub(super) fn set_control_period(&self, period: u64) {
        self.control_period.store(period, Ordering::Relaxed);
    }

    /// A number for a command that no other command of this element has.
    pub(super) fn next_command(&self) -> u64 {
        self.next_command.fetch_add(1, Ordering::Relaxed)
    }

    pub(super) fn originals(&self) -> MutexGuard<'_, Originals<Original>> {
        self.originals.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What the user set; a chain is made of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Settings {
    pub(super) fx: Option<String>,
    pub(super) timeline: Option<String>,
    pub(super) allow: Option<String>,
    pub(super) deny: Option<String>,
    pub(super) folders: Option<String>,
}

/// The chain of one description.
#[derive(Debug)]
pub(super) struct Chain {
    settings: Settings,
    policy: Policy,
    elements: Vec<gst::Element>,
    effects: HashMap<String, (gst::Element, Gate)>,
    was_used: AtomicBool,
}

impl Chain {
    /// Makes the elements. None of them is in a bin yet.
    pub(super) fn make(settings: &Settings, shared: &Arc<Shared>) -> Result<Self, FxError> {
        let policy = Policy::from_lists(
            settings.allow.as_deref().unwrap_or_default(),
            settings.deny.as_deref().unwrap_or_default(),
            settings.folders.as_deref().unwrap_or_default(),
        );
        let made = effects::make(settings.fx.as_deref().unwrap_or_default(), None, &policy)?;
        let mut chain = Self {
            settings: settings.clone(),
            elements: Vec::new(),
            effects: HashMap::new(),
            was_used: AtomicBool::new(false),
            policy,
        };
        let of_effects = made.kind.map(|_| shared.clone());
        chain.elements.push(Unbroken::new("unbroken", of_effects).upcast());
        let mut timeline = chain.read_timeline(&made.elements, shared)?;
        let Some(kind) = made.kind else {
            return Ok(chain);
        };
        for (place, effect) in made.elements.into_iter().enumerate() {
            chain.add_converters(kind, place)?;
            let name = effect.name().to_string();
            let setup = Setup {
                effect: effect.clone(),
                timeline: timeline.remove(&name).unwrap_or_default(),
                is_first: place == 0,
                shared: shared.clone(),
            };
            let gate = Gate::new(&format!("gate.{place}"), setup);
            chain.elements.push(gate.clone().upcast());
            chain.elements.push(effect.clone());
            chain.effects.insert(name, (effect, gate));
        }
        chain.elements.push(Sham::new("sham", shared.clone()).upcast());
        match kind {
            MediaKind::Audio => chain.add_converters(kind, chain.effects.len())?,
            // The receiver may want the size that went in.
            MediaKind::Video => chain.elements.push(converter("videoconvertscale", 0)?),
        }
        Ok(chain)
    }

    fn add_converters(&mut self, kind: MediaKind, place: usize) -> Result<(), FxError> {
        let factories: &[&str] = match kind {
            MediaKind::Audio => &["audioconvert", "audioresample"],
            MediaKind::Video => &["videoconvert"],
        };
        for factory in factories {
            self.elements.push(converter(factory, place)?);
        }
        Ok(())
    }

    /// The commands of the timeline by the name of their effect, checked like any other.
    fn read_timeline(
        &self,
        effects: &[gst::Element],
        shared: &Shared,
    ) -> Result<HashMap<String, Vec<(u64, FxCommand)>>, FxError> {
        let mut commands: HashMap<String, Vec<_>> = HashMap::new();
        for (line, entry) in timeline::parse(self.settings.timeline.as_deref().unwrap_or_default())?
        {
            let effect = effects.iter().find(|effect| effect.name() == entry.name);
            let command = Asked {
                name: &entry.name,
                property: &entry.property,
                input: Input::Text(&entry.value),
                duration: entry.duration,
                shape: entry.shape,
            };
            let command = command
                .resolve(effect, &self.policy, shared.next_command())
                .map_err(|why| FxError::TimelineCommand { line, why: Box::new(why) })?;
            let of_effect = commands.entry(entry.name).or_default();
            of_effect.push((entry.time, command));
        }
        Ok(commands)
    }

    /// Puts the elements into the bin, linked; gives the pads at both ends.
    pub(super) fn install(&self, bin: &gst::Bin) -> Result<(gst::Pad, gst::Pad), FxError> {
        bin.add_many(&self.elements).map_err(|_| FxError::Link)?;
        for pair in self.elements.windows(2) {
            link(&pair[0], &pair[1])?;
        }
        let first = self.elements.first().and_then(|first| first.static_pad("sink"));
        let last = self.elements.last().and_then(|last| last.static_pad("src"));
        first.zip(last).ok_or(FxError::Link)
    }

    /// Stops the elements and takes them out of the bin.
    pub(super) fn remove(&self, bin: &gst::Bin) {
        for element in &self.elements {
            // An element that does not stop is dropped all the same.
            let _ = element.set_state(gst::State::Null);
            if element.parent().as_ref() == Some(bin.upcast_ref()) {
                let _ = bin.remove(element);
            }
        }
    }

    /// Media has passed: the effects are no longer as they were made.
    pub(super) fn set_used(&self) {
        self.was_used.store(true, Ordering::Relaxed);
    }

    /// Whether this chain is fresh and is what these settings ask for.
    pub(super) fn is_current(&self, settings: &Settings) -> bool {
        !self.was_used.load(Ordering::Relaxed) && self.settings == *settings
    }

    /// Whether an effect has this name.
    pub(super) fn has(&self, name: &str) -> bool {
        self.effects.contains_key(name)
    }

    /// Checks a command and finds the gate that will do it.
    pub(super) fn resolve(
        &self,
        asked: &Asked<'_>,
        id: u64,
    ) -> Result<(&Gate, FxCommand), FxError> {
        let found = self.effects.get(asked.name);
        let command = asked.resolve(found.map(|(effect, _)| effect), &self.policy, id)?;
        let (_, gate) = found.ok_or(FxError::NotReady)?;
        Ok((gate, command))
    }
}

/// A command as it was asked for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Asked<'a> {
    pub(super) name: &'a str,
    pub(super) property: &'a str,
    pub(super) input: Input<'a>,
    /// In ns.
    pub(super) duration: u64,
    pub(super) shape: super::FxControlShape,
}

impl Asked<'_> {
    fn resolve(
        &self,
        effect: Option<&gst::Element>,
        policy: &Policy,
        id: u64,
    ) -> Result<FxCommand, FxError> {
        let cut = |text: &str| text.chars().take(MAX_NAME).collect::<String>();
        let effect = effect.ok_or_else(|| FxError::UnknownEffect(cut(self.name)))?;
        let spec = effect.find_property(self.property);
        let property = cut(self.property);
        let (key, end) =
            effects::resolve(spec, self.name, &property, self.input, Moment::Running, policy)?;
        Ok(Command {
            id,
            number: end.number(),
            key,
            end,
            duration: self.duration,
            shape: self.shape,
        })
    }
}

/// A converter, with a name that no effect can have.
fn converter(factory: &str, place: usize) -> Result<gst::Element, FxError> {
    gst::ElementFactory::make(factory)
        .name(format!("{factory}.{place}"))
        .build()
        .map_err(|_| FxError::Make(factory.to_owned()))
}

/// Links the always pads that carry media; an effect may have other sink pads.
fn link(from: &gst::Element, to: &gst::Element) -> Result<(), FxError> {
    let source = from.src_pads().into_iter().next().ok_or(FxError::Link)?;
    let mut sinks = to.sink_pads().into_iter();
    let linked = sinks.any(|sink| source.can_link(&sink) && source.link(&sink).is_ok());
    if linked { Ok(()) } else { Err(FxError::Link) }
}
