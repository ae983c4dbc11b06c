// SPDX-License-Identifier: MPL-2.0

//! The properties of `config/gst.yml`, held against the elements themselves.

use ducksoup_signaller::frame::Properties;
use gst::glib;
use gst::prelude::*;
use std::collections::BTreeMap;

/// The section of the jitter buffers, and the element that it is for.
pub const JITTER_BUFFER: &str = "rtpjitterbuffer";

/// Which element takes which section.
const ELEMENTS: [(&str, &str); 5] = [
    (JITTER_BUFFER, JITTER_BUFFER),
    ("opus", "opusenc"),
    ("vp8", "vp8enc"),
    ("x264", "x264enc"),
    ("nv264", "nvh264enc"),
];

/// Why a property cannot be set.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("config/gst.yml: {section}.{property}: {reason}")]
pub struct TuningError {
    /// The part of the file.
    pub section: String,
    /// The name in it.
    pub property: String,
    /// What is wrong.
    pub reason: String,
}

/// Sets the properties of a section.
///
/// # Errors
/// The first one that the element does not have, or does not take.
pub fn set(
    element: &gst::Element,
    section: &str,
    properties: &Properties,
) -> Result<(), TuningError> {
    let kind = element.factory().map_or_else(|| "the element".into(), |factory| factory.name());
    for (name, text) in properties {
        let refuse =
            |reason| TuningError { section: section.to_owned(), property: name.clone(), reason };
        let spec = element
            .find_property(name)
            .ok_or_else(|| refuse(format!("{kind} has no such property")))?;
        let flags = spec.flags();
        if !flags.contains(glib::ParamFlags::WRITABLE)
            || flags.contains(glib::ParamFlags::CONSTRUCT_ONLY)
        {
            return Err(refuse(format!("{kind} does not let it be set")));
        }
        let value = glib::Value::deserialize_with_pspec(text, &spec)
            .ok()
            .filter(|value| spec.value_is_valid(value))
            .ok_or_else(|| refuse(format!("{kind} does not take {text:?}")))?;
        element.set_property_from_value(name, &value);
    }
    Ok(())
}

/// Tries every section on an element of its kind. What this machine does not have (an encoder of a
/// GPU, mostly) is passed over.
///
/// # Errors
/// The first property that the element does not have, or does not take.
pub fn check(sections: &BTreeMap<String, Properties>) -> Result<(), TuningError> {
    for (section, factory) in ELEMENTS {
        let element = gst::ElementFactory::make(factory).build();
        if let (Some(properties), Ok(element)) = (sections.get(section), element) {
            set(&element, section, properties)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Args, Config};

    fn properties(name: &str, value: &str) -> Properties {
        [(name.to_owned(), value.to_owned())].into()
    }

    /// The sections of the embedded file.
    fn embedded() -> BTreeMap<String, Properties> {
        let working = tempfile::tempdir().expect("a folder");
        let config = Config::new(&Args::default(), working.path());
        config.expect("valid").stage_settings().elements
    }

    #[test]
    fn an_element_takes_the_properties_of_its_section() {
        gst::init().expect("GStreamer starts");
        let element = gst::ElementFactory::make(JITTER_BUFFER).build().expect("an element");
        set(&element, JITTER_BUFFER, &properties("max-dropout-time", "1234")).expect("taken");
        assert_eq!(element.property::<u32>("max-dropout-time"), 1234);
        set(&element, JITTER_BUFFER, &properties("mode", "none")).expect("taken");
        let mode = element.property_value("mode").serialize().expect("a text");
        assert_eq!(mode, "none", "enumerations by their nicks");
        for (name, value) in [
            ("no-such", "1"),
            ("max-dropout-time", "soon"),
            ("max-dropout-time", "-1"),
            ("stats", "1"),
        ] {
            let error = set(&element, JITTER_BUFFER, &properties(name, value)).expect_err(name);
            let start = format!("config/gst.yml: rtpjitterbuffer.{name}: rtpjitterbuffer ");
            assert!(error.to_string().starts_with(&start), "{error}");
        }
    }

    #[test]
    fn every_section_is_for_an_element_that_takes_it() {
        gst::init().expect("GStreamer starts");
        let sections = embedded();
        let known: Vec<_> = ELEMENTS.iter().map(|(section, _)| *section).collect();
        assert!(sections.keys().all(|section| known.contains(&section.as_str())), "{sections:?}");
        check(&sections).expect("the numbers of the program's own file");
        for (section, name, value) in
            [("x264", "speed-preset", "ultrafst"), ("vp8", "key-int-max", "1"), ("opus", "x", "1")]
        {
            let mut wrong = sections.clone();
            wrong.entry(section.to_owned()).or_default().insert(name.to_owned(), value.to_owned());
            let error = check(&wrong).expect_err(section);
            assert_eq!((error.section.as_str(), error.property.as_str()), (section, name));
        }
    }
}
