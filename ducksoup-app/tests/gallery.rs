// SPDX-License-Identifier: MPL-2.0

//! The gallery of the play page (`config/play.json`): every effect that it offers can be had, and
//! every knob does what it says.

use ducksoup_app::interaction::elements;
use gst::glib;
use gst::prelude::*;
use gstducksoup::fxcontrol::{self, MediaKind, Policy};
use serde::Deserialize;

const GALLERY: &str = include_str!("../config/play.json");
/// Longest wait for a short pipeline to end. Generous: the machine may be busy.
const LIMIT: gst::ClockTime = gst::ClockTime::from_seconds(60);

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Gallery {
    #[serde(rename = "about")]
    _about: String,
    audio: Vec<Entry>,
    video: Vec<Entry>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    element: String,
    title: String,
    about: String,
    #[serde(default)]
    given: String,
    knobs: Vec<Knob>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged, deny_unknown_fields)]
enum Knob {
    Number {
        property: String,
        label: String,
        min: f64,
        max: f64,
        step: f64,
        value: f64,
        #[serde(default = "one")]
        scale: f64,
        #[serde(default, rename = "unit")]
        _unit: String,
    },
    Choice {
        property: String,
        label: String,
        choices: Vec<String>,
        value: String,
    },
    Switch {
        property: String,
        label: String,
        switch: bool,
        value: bool,
    },
}

fn one() -> f64 {
    1.0
}

impl Knob {
    fn property(&self) -> &str {
        match self {
            Self::Number { property, .. }
            | Self::Choice { property, .. }
            | Self::Switch { property, .. } => property,
        }
    }

    fn label(&self) -> &str {
        match self {
            Self::Number { label, .. }
            | Self::Choice { label, .. }
            | Self::Switch { label, .. } => label,
        }
    }

    fn value(&self) -> String {
        match self {
            Self::Number { value, .. } => value.to_string(),
            Self::Choice { value, .. } => value.clone(),
            Self::Switch { value, .. } => value.to_string(),
        }
    }

    /// All that can be chosen, the ends of a range for it.
    fn values(&self) -> Vec<String> {
        match self {
            Self::Number { min, max, .. } => vec![min.to_string(), max.to_string()],
            Self::Choice { choices, .. } => choices.clone(),
            Self::Switch { .. } => vec!["true".into(), "false".into()],
        }
    }
}

impl Entry {
    /// The effect as the page writes it, all knobs where they begin but one.
    fn fx(&self, turned: Option<(&str, &str)>) -> String {
        let knobs = self.knobs.iter().map(|knob| match turned {
            Some((property, value)) if property == knob.property() => format!("{property}={value}"),
            _ => format!("{}={}", knob.property(), knob.value()),
        });
        let words = [self.element.clone(), "name=fx".into(), self.given.clone()];
        words.into_iter().chain(knobs).collect::<Vec<_>>().join(" ")
    }
}

/// All entries with what they work on.
fn entries() -> Vec<(MediaKind, Entry)> {
    gst::init().expect("GStreamer starts");
    elements::register().expect("our elements");
    let Gallery { audio, video, .. } = serde_json::from_str(GALLERY).expect("the documented form");
    let audio = audio.into_iter().map(|entry| (MediaKind::Audio, entry));
    audio.chain(video.into_iter().map(|entry| (MediaKind::Video, entry))).collect()
}

#[test]
fn every_effect_may_be_had_with_every_knob_at_every_end() {
    for (kind, entry) in entries() {
        assert!(!entry.title.is_empty() && entry.about.ends_with('.'), "{entry:?}");
        let check = |fx: &str| {
            fxcontrol::check(fx, kind, &Policy::default())
                .unwrap_or_else(|refusal| panic!("{fx}: {refusal}"));
        };
        check(&entry.fx(None));
        for knob in &entry.knobs {
            for value in knob.values() {
                check(&entry.fx(Some((knob.property(), &value))));
            }
        }
    }
}

#[test]
fn every_knob_is_a_property_that_can_be_moved_while_media_flow() {
    for (_, entry) in entries() {
        let element = gst::ElementFactory::make(&entry.element).build().expect("installed");
        for knob in &entry.knobs {
            let name = format!("{}.{}", entry.element, knob.property());
            assert!(!knob.label().is_empty(), "{name}");
            let spec = element.find_property(knob.property()).expect(&name);
            assert!(spec.flags().contains(glib::ParamFlags::READWRITE), "{name}");
            assert!(!spec.flags().contains(glib::ParamFlags::CONSTRUCT_ONLY), "{name}");
            match knob {
                Knob::Number { min, max, step, value, scale, .. } => {
                    let (low, high) = range(&spec).unwrap_or_else(|| panic!("{name} is no number"));
                    assert!(low <= *min && min < max && *max <= high, "{name}: {low} to {high}");
                    assert!(min <= value && value <= max, "{name}");
                    assert!(*step > 0.0 && *step <= max - min && *scale > 0.0, "{name}");
                }
                Knob::Choice { choices, value, .. } => {
                    let class = glib::EnumClass::with_type(spec.value_type()).expect(&name);
                    let known = |choice| class.value_by_nick(choice).is_some();
                    assert!(choices.iter().all(|choice| known(choice)), "{name}: {choices:?}");
                    assert!(choices.contains(value), "{name}");
                }
                Knob::Switch { switch, .. } => {
                    assert!(switch, "{name}");
                    assert_eq!(spec.value_type(), glib::Type::BOOL, "{name}");
                }
            }
        }
    }
}

/// The range of a numeric property.
#[allow(clippy::cast_precision_loss)] // bounds of knobs are far below 2^53
fn range(spec: &glib::ParamSpec) -> Option<(f64, f64)> {
    let float = spec.downcast_ref::<glib::ParamSpecFloat>();
    let double = spec.downcast_ref::<glib::ParamSpecDouble>();
    let int = spec.downcast_ref::<glib::ParamSpecInt>();
    let uint = spec.downcast_ref::<glib::ParamSpecUInt>();
    let uint64 = spec.downcast_ref::<glib::ParamSpecUInt64>();
    float
        .map(|spec| (spec.minimum().into(), spec.maximum().into()))
        .or_else(|| double.map(|spec| (spec.minimum(), spec.maximum())))
        .or_else(|| int.map(|spec| (spec.minimum().into(), spec.maximum().into())))
        .or_else(|| uint.map(|spec| (spec.minimum().into(), spec.maximum().into())))
        .or_else(|| uint64.map(|spec| (spec.minimum() as f64, spec.maximum() as f64)))
}

#[test]
fn every_effect_lets_media_through_and_takes_every_turn_of_its_knobs() {
    for (kind, entry) in entries() {
        let source = match kind {
            MediaKind::Audio => {
                "audiotestsrc num-buffers=12 samplesperbuffer=960 ! audio/x-raw,rate=48000,channels=1"
            }
            MediaKind::Video => {
                "videotestsrc num-buffers=6 ! video/x-raw,format=I420,width=64,height=48"
            }
        };
        let text = format!("{source} ! fxcontrol name=slot ! fakesink name=end");
        let pipeline = gst::parse::launch(&text).expect("elements of ours");
        let pipeline = pipeline.downcast::<gst::Pipeline>().expect("a pipeline");
        let slot = pipeline.by_name("slot").expect("it is there");
        slot.set_property("fx", entry.fx(None));
        pipeline.set_state(gst::State::Paused).expect("it starts");
        for knob in &entry.knobs {
            for value in knob.values() {
                let turn: [&dyn ToValue; 3] = [&"fx", &knob.property(), &value];
                let refusal = slot.emit_by_name::<Option<String>>("control-text", &turn);
                assert_eq!(refusal, None, "{}.{} to {value}", entry.element, knob.property());
            }
        }
        pipeline.set_state(gst::State::Playing).expect("it plays");
        let bus = pipeline.bus().expect("a bus");
        let last = bus.timed_pop_filtered(LIMIT, &[gst::MessageType::Eos, gst::MessageType::Error]);
        pipeline.set_state(gst::State::Null).expect("it stops");
        let ended = last.as_ref().is_some_and(|last| last.type_() == gst::MessageType::Eos);
        assert!(ended, "{}: {last:?}", entry.fx(None));
    }
}
