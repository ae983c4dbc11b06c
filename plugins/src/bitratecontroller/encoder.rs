// SPDX-License-Identifier: MPL-2.0

//! The encoder upstream: where it is, and in which unit it wants its bitrate.

use gst::glib;
use gst::prelude::*;

/// Pads that the search passes at most: more than any chain has, so that a loop of links ends it.
const FARTHEST: usize = 64;

/// What a bitrate property counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unit {
    Bit,
    Kilobit,
}

impl Unit {
    fn count(self, bitrate: u32) -> u32 {
        match self {
            Self::Bit => bitrate,
            // Rounded down: never more than was asked for.
            Self::Kilobit => bitrate / 1000,
        }
    }
}

/// Encoders whose descriptions do not tell the unit or that must not depend on a description's wording.
const KNOWN: &[(&str, &str, Unit)] = &[
    ("x264enc", "bitrate", Unit::Kilobit),
    ("x265enc", "bitrate", Unit::Kilobit),
    ("openh264enc", "bitrate", Unit::Bit),
    ("vp8enc", "target-bitrate", Unit::Bit),
    ("vp9enc", "target-bitrate", Unit::Bit),
    ("av1enc", "target-bitrate", Unit::Kilobit),
    ("svtav1enc", "target-bitrate", Unit::Kilobit),
    ("rav1enc", "bitrate", Unit::Bit),
    ("opusenc", "bitrate", Unit::Bit),
    ("nvh264enc", "bitrate", Unit::Kilobit),
    ("nvcudah264enc", "bitrate", Unit::Kilobit),
    ("nvautogpuh264enc", "bitrate", Unit::Kilobit),
    ("vaapih264enc", "bitrate", Unit::Kilobit),
    ("vah264enc", "bitrate", Unit::Kilobit),
    ("vah264lpenc", "bitrate", Unit::Kilobit),
    ("omxh264enc", "target-bitrate", Unit::Bit),
];

/// The unit that a property's description names.
fn unit_in(description: &str) -> Option<Unit> {
    let text = description.to_lowercase();
    let has = |words: &[&str]| words.iter().any(|word| text.contains(word));
    if has(&["kbit", "kbps", "kb/s", "kilobit"]) {
        Some(Unit::Kilobit)
    } else if has(&["bit/s", "bits/s", "bps", "bits per second", "bit per second"]) {
        Some(Unit::Bit)
    } else {
        None
    }
}

/// An encoder that can be steered.
#[derive(Debug, Clone)]
pub(super) struct Encoder {
    element: glib::WeakRef<gst::Element>,
    property: glib::ParamSpec,
    unit: Unit,
}

impl Encoder {
    /// The encoder that feeds `sink`.
    pub(super) fn upstream_of(sink: &gst::Pad) -> Option<Self> {
        let mut pad = sink.peer()?;
        for _ in 0..FARTHEST {
            let element = pad.parent_element();
            if let Some(encoder) = element.as_ref().and_then(Self::of) {
                return Some(encoder);
            }
            pad = before(&pad)?;
        }
        None
    }

    /// `element`, if it is an encoder whose bitrate can be set.
    fn of(element: &gst::Element) -> Option<Self> {
        let factory = element.factory()?;
        let class = factory.metadata(gst::ELEMENT_METADATA_KLASS)?;
        if !class.split('/').any(|part| part == "Encoder") {
            return None;
        }
        let known = KNOWN.iter().find(|(name, ..)| factory.name() == *name);
        let (property, unit) = match known {
            Some((_, property, unit)) => (element.find_property(property)?, *unit),
            None => ["bitrate", "target-bitrate"].iter().find_map(|name| {
                let property = element.find_property(name)?;
                let unit = unit_in(property.blurb()?)?;
                Some((property, unit))
            })?,
        };
        let encoder = Self { element: element.downgrade(), unit, property };
        // A type that cannot be set is no bitrate.
        encoder.value(0).is_some().then_some(encoder)
    }

    /// Its element's name, for the log.
    pub(super) fn name(&self) -> Option<glib::GString> {
        Some(self.element.upgrade()?.name())
    }

    /// Sets the bitrate, in bit/s, as near as the encoder's range lets it. Returns whether the
    /// encoder still exists. Not to be called under a lock: the encoder may take its own.
    pub(super) fn set(&self, bitrate: u32) -> bool {
        let (Some(element), Some(value)) = (self.element.upgrade(), self.value(bitrate)) else {
            return false;
        };
        element.set_property_from_value(self.property.name(), &value);
        true
    }

    /// The value of the property's own type for a bitrate.
    fn value(&self, bitrate: u32) -> Option<glib::Value> {
        let value = self.unit.count(bitrate);
        let spec = &self.property;
        if let Some(spec) = spec.downcast_ref::<glib::ParamSpecInt>() {
            let value = i32::try_from(value).unwrap_or(i32::MAX);
            Some(value.clamp(spec.minimum(), spec.maximum()).to_value())
        } else if let Some(spec) = spec.downcast_ref::<glib::ParamSpecUInt>() {
            Some(value.clamp(spec.minimum(), spec.maximum()).to_value())
        } else if let Some(spec) = spec.downcast_ref::<glib::ParamSpecInt64>() {
            let value = i64::from(value);
            Some(value.clamp(spec.minimum(), spec.maximum()).to_value())
        } else if let Some(spec) = spec.downcast_ref::<glib::ParamSpecUInt64>() {
            let value = u64::from(value);
            Some(value.clamp(spec.minimum(), spec.maximum()).to_value())
        } else {
            None
        }
    }
}

/// The source pad that feeds the source pad `pad`, one element or one border of a bin before it.
fn before(pad: &gst::Pad) -> Option<gst::Pad> {
    // Out of a bin: what its ghost stands for.
    if let Some(ghost) = pad.downcast_ref::<gst::GhostPad>() {
        return ghost.target();
    }
    // Inside of a bin's sink: what feeds the bin.
    if let Some(ghost) = pad.parent().and_downcast::<gst::GhostPad>() {
        return ghost.peer();
    }
    // What stands between an encoder and its controller has one sink pad.
    pad.parent_element()?.sink_pads().first()?.peer()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_description_tells_its_unit() {
        let cases = [
            ("Bitrate in kbit/sec", Some(Unit::Kilobit)),
            ("The desired bitrate expressed in kbps (0: auto)", Some(Unit::Kilobit)),
            ("Target bitrate, in kilobits per second", Some(Unit::Kilobit)),
            ("Target bitrate (in bits/sec)", Some(Unit::Bit)),
            ("Specify an encoding bit-rate (in bps).", Some(Unit::Bit)),
            ("Bitrate (in bits per second)", Some(Unit::Bit)),
            ("Target Bitrate", None),
        ];
        for (text, unit) in cases {
            assert_eq!(unit_in(text), unit, "{text}");
        }
    }

    #[test]
    fn known_encoders_agree_with_their_descriptions() {
        gst::init().expect("GStreamer starts");
        for (factory, name, unit) in KNOWN {
            let Ok(element) = gst::ElementFactory::make(factory).build() else {
                continue;
            };
            let property = element.find_property(name).expect(factory);
            if let Some(told) = property.blurb().and_then(unit_in) {
                assert_eq!(told, *unit, "{factory}");
            }
            assert!(Encoder::of(&element).is_some(), "{factory}");
        }
    }

    #[test]
    fn a_bitrate_becomes_the_encoders_unit_within_its_range() {
        gst::init().expect("GStreamer starts");
        for (factory, property, asked, expected) in [
            ("x264enc", "bitrate", 800_999, 800),
            ("x264enc", "bitrate", 0, 1),
            ("x264enc", "bitrate", u32::MAX, 2_048_000),
            // libvpx counts in kilobits too, and vp8enc gives back what it told libvpx.
            ("vp8enc", "target-bitrate", 800_999, 800_000),
            ("vp8enc", "target-bitrate", u32::MAX, 2_147_483_000),
            ("openh264enc", "bitrate", 800_999, 800_999),
            ("opusenc", "bitrate", 1, 4_000),
        ] {
            let element = gst::ElementFactory::make(factory)
                .build()
                .expect("the encoders of the standard plugins are installed");
            let encoder = Encoder::of(&element).expect("an encoder");
            assert!(encoder.set(asked));
            let got = element.property_value(property);
            let got = got.get::<u32>().or_else(|_| got.get::<i32>().map(|value| value as u32));
            assert_eq!(got.expect("a number"), expected, "{factory} {asked}");
        }
    }

    #[test]
    fn an_encoder_that_is_gone_is_told() {
        gst::init().expect("GStreamer starts");
        let element = gst::ElementFactory::make("vp8enc").build().expect("vp8enc");
        let encoder = Encoder::of(&element).expect("an encoder");
        drop(element);
        assert!(!encoder.set(500_000));
    }
}
