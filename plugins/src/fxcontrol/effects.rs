// SPDX-License-Identifier: MPL-2.0

//! From a description to elements: looks up, asks the policy, checks each property, makes.

use super::description::{Description, DescriptionError, Effect};
use super::meaning::is_too_much;
use super::policy::{ElementRefusal, Facts, MediaKind, PadFacts, Policy, PropertyRefusal};
use super::target::{self, Input, Moment, Setting, TargetError};
use super::timeline::TimelineError;
use gst::glib;
use gst::prelude::*;

/// Why an effect chain or a command is refused. The sentences may be shown to whoever asked: they
/// repeat what was said and name nothing of the server's.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum FxError {
    /// The text is no description.
    #[error("{0}")]
    Description(#[from] DescriptionError),
    /// The text is no timeline.
    #[error("{0}")]
    Timeline(#[from] TimelineError),
    /// A command of the timeline cannot be done.
    #[error("timeline, line {line}: {why}")]
    TimelineCommand {
        /// Counted from 1.
        line: usize,
        /// The reason.
        why: Box<FxError>,
    },
    /// No such factory.
    #[error("there is no element {0:?}")]
    UnknownElement(String),
    /// The policy says no.
    #[error("{element:?} cannot be an effect here: {why}")]
    Element {
        /// The factory.
        element: String,
        /// The reason.
        why: ElementRefusal,
    },
    /// The factory gives nothing.
    #[error("{0:?} cannot be made")]
    Make(String),
    /// The elements do not fit together.
    #[error("the effects cannot be linked")]
    Link,
    /// A command for an effect that is not in the chain.
    #[error("no effect has the name {0:?}")]
    UnknownEffect(String),
    /// A command before the chain exists.
    #[error("there is no effect yet")]
    NotReady,
    /// No such property.
    #[error("{effect:?} has no property {property:?}")]
    UnknownProperty {
        /// The effect's name.
        effect: String,
        /// The property.
        property: String,
    },
    /// The policy says no to this property, or to this value of it.
    #[error("{property:?} of {effect:?}: {why}")]
    Property {
        /// The effect's name.
        effect: String,
        /// The property.
        property: String,
        /// The reason.
        why: PropertyRefusal,
    },
    /// The property's type or range says no.
    #[error("{property:?} of {effect:?}: {why}")]
    Value {
        /// The effect's name.
        effect: String,
        /// The property.
        property: String,
        /// The reason.
        why: TargetError,
    },
}

/// Elements made from a description, in order. Their names are those of the description.
#[derive(Debug)]
pub(super) struct Made {
    /// What they work on; nothing when there are none.
    pub(super) kind: Option<MediaKind>,
    pub(super) elements: Vec<gst::Element>,
}

/// Whether a chain of this description can be built for media of `kind`: everything is looked up,
/// checked, made and dropped again. It opens nothing and runs nothing.
///
/// # Errors
/// The first thing that is wrong, as [`FxError`].
pub fn check(description: &str, kind: MediaKind, policy: &Policy) -> Result<(), FxError> {
    make(description, Some(kind), policy).map(drop)
}

/// Makes the elements of a description. Without a `kind` the first effect decides.
pub(super) fn make(
    description: &str,
    mut kind: Option<MediaKind>,
    policy: &Policy,
) -> Result<Made, FxError> {
    let mut elements = Vec::new();
    for effect in Description::parse(description)?.effects {
        let factory = gst::ElementFactory::find(&effect.factory)
            .ok_or_else(|| FxError::UnknownElement(effect.factory.clone()))?;
        let mut facts = facts(&factory);
        let kind = *kind.get_or_insert_with(|| kind_of(&facts));
        let refuse = |why| FxError::Element { element: effect.factory.clone(), why };
        // The code of a plugin is loaded only when what it said without code was right.
        policy.check_element(&facts, kind).map_err(refuse)?;
        let factory = factory.load().map_err(|_| FxError::Make(effect.factory.clone()))?;
        facts.is_bin = factory.element_type().is_a(gst::Bin::static_type());
        policy.check_element(&facts, kind).map_err(refuse)?;
        elements.push(make_one(&effect, &factory, policy)?);
    }
    Ok(Made { kind, elements })
}

fn make_one(
    effect: &Effect,
    factory: &gst::ElementFactory,
    policy: &Policy,
) -> Result<gst::Element, FxError> {
    let failed = || FxError::Make(effect.factory.clone());
    let class =
        glib::Class::<glib::Object>::from_type(factory.element_type()).ok_or_else(failed)?;
    let mut values = Vec::new();
    for (property, text) in &effect.properties {
        let spec = class.find_property(property);
        let (spec, setting) =
            resolve(spec, &effect.name, property, Input::Text(text), Moment::Start, policy)?;
        let value = setting.to_value(&spec).ok_or_else(failed)?;
        values.push((spec, value));
    }
    values
        .iter()
        .fold(factory.create().name(effect.name.as_str()), |builder, (spec, value)| {
            builder.property(spec.name(), value.clone())
        })
        .build()
        .map_err(|_| failed())
}

/// Checks one property and its value, at the start and at run time alike.
pub(super) fn resolve(
    spec: Option<glib::ParamSpec>,
    effect: &str,
    property: &str,
    input: Input<'_>,
    moment: Moment,
    policy: &Policy,
) -> Result<(glib::ParamSpec, Setting), FxError> {
    let spec = spec.ok_or_else(|| FxError::UnknownProperty {
        effect: effect.to_owned(),
        property: property.to_owned(),
    })?;
    let text = match input {
        Input::Text(text) if spec.is::<glib::ParamSpecString>() => Some(text),
        _ => None,
    };
    let path = policy.check_property(spec.name(), spec.blurb().unwrap_or_default(), text).map_err(
        |why| FxError::Property { effect: effect.to_owned(), property: property.to_owned(), why },
    )?;
    let mut setting = target::convert(&spec, input, moment).map_err(|why| FxError::Value {
        effect: effect.to_owned(),
        property: property.to_owned(),
        why,
    })?;
    let number = setting.number().unwrap_or_default();
    if is_too_much(spec.owner_type().name(), spec.name(), number) {
        return Err(FxError::Property {
            effect: effect.to_owned(),
            property: property.to_owned(),
            why: PropertyRefusal::TooMuch,
        });
    }
    if let (Setting::Text { set, .. }, Some(path)) = (&mut setting, path) {
        *set = path;
    }
    Ok((spec, setting))
}

fn facts(factory: &gst::ElementFactory) -> Facts {
    let audio = gst::Caps::new_empty_simple("audio/x-raw");
    let video = gst::Caps::new_empty_simple("video/x-raw");
    let pads = factory.static_pad_templates();
    let pads = pads.iter().map(|pad| {
        let caps = pad.caps();
        PadFacts {
            is_sink: pad.direction() == gst::PadDirection::Sink,
            is_always: pad.presence() == gst::PadPresence::Always,
            any: caps.is_any(),
            audio: caps.can_intersect(&audio),
            video: caps.can_intersect(&video),
        }
    });
    Facts {
        factory: factory.name().to_string(),
        klass: factory.klass().to_owned(),
        pads: pads.collect(),
        handles_uri: factory.has_interface("GstURIHandler"),
        is_bin: false,
    }
}

/// What an effect works on; audio when it says both or neither.
fn kind_of(facts: &Facts) -> MediaKind {
    let all = |carries: fn(&PadFacts) -> bool| {
        [true, false].into_iter().all(|side| {
            let mut pads = facts.pads.iter().filter(|pad| pad.is_sink == side);
            pads.any(|pad| carries(pad) && !pad.any)
        })
    };
    if all(|pad| pad.video) && !all(|pad| pad.audio) { MediaKind::Video } else { MediaKind::Audio }
}
