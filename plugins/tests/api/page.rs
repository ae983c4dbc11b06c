// SPDX-License-Identifier: MPL-2.0

//! The page of an element as it is written from the element itself; for the tests of all plugins.

#![allow(dead_code)] // each takes what it needs

use gst::glib;
use gst::prelude::*;
use std::fmt::Write;
use std::path::Path;

/// Fails when the page `name` of the documentation is not `page`; with `UPDATE_DOCS`, writes it.
pub(crate) fn check(page: &str, name: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs").join(name);
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, page).unwrap();
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    let difference = (1..)
        .zip(lines_and_end(&written).zip(lines_and_end(page)))
        .find(|(_, (old, new))| old != new);
    assert!(
        written == page,
        "docs/{name} is not what the elements say; see the top of this test for how to write it \
         anew. First difference (line, (written, said)): {difference:?}"
    );
}

/// The lines, and then nothing: so that a missing end is a difference too.
fn lines_and_end(text: &str) -> impl Iterator<Item = Option<&str>> {
    text.lines().map(Some).chain([None])
}

/// The section of one element, whose first comment stands in `sources`/<name>/mod.rs.
pub(crate) fn section(factory: &gst::ElementFactory, sources: &Path) -> String {
    let element = factory.create().build().unwrap();
    let metadata = |key| factory.metadata(key).unwrap_or_default();
    let mut text = String::new();
    writeln!(text, "\n## {}\n", factory.name()).unwrap();
    writeln!(
        text,
        "*{}*: {}. Class `{}`.\n",
        metadata(gst::ELEMENT_METADATA_LONGNAME),
        metadata(gst::ELEMENT_METADATA_DESCRIPTION),
        metadata(gst::ELEMENT_METADATA_KLASS),
    )
    .unwrap();
    writeln!(text, "{}", prose(sources, &factory.name())).unwrap();
    let templates = templates(&element);
    text.push_str(&pads(&templates));
    text.push_str(&properties("Properties", element.type_()));
    let mut kinds: Vec<glib::Type> = templates.iter().map(gst::PadTemplate::gtype).collect();
    kinds.sort_by_key(|kind| kind.name());
    kinds.dedup();
    for kind in kinds {
        let names: Vec<String> = templates
            .iter()
            .filter(|template| template.gtype() == kind)
            .map(|template| format!("`{}`", template.name_template()))
            .collect();
        text.push_str(&properties(&format!("Properties of the pads {}", names.join(", ")), kind));
    }
    text.push_str(&signals(element.type_()));
    text
}

/// The page of an element, as Markdown outside of rustdoc.
pub(crate) fn prose(sources: &Path, element: &str) -> String {
    let source = std::fs::read_to_string(sources.join(element).join("mod.rs")).unwrap();
    let mut code = false;
    let mut text = String::new();
    for line in source.lines().filter_map(|line| line.strip_prefix("//!")) {
        let line = line.strip_prefix(' ').unwrap_or(line);
        if line.starts_with("```") {
            code = !code;
        }
        match (code, line.starts_with('#')) {
            (true, _) => text.push_str(line),
            // Under the element's own heading.
            (false, true) => write!(text, "##{}", without_links(line)).unwrap(),
            (false, false) => text.push_str(&without_links(line)),
        }
        text.push('\n');
    }
    text
}

/// `line` with links that only rustdoc can follow replaced by their text.
pub(crate) fn without_links(line: &str) -> String {
    let mut text = String::new();
    let mut rest = line;
    while let Some((before, label, after)) = next_bracket(rest) {
        text.push_str(before);
        let target = after.strip_prefix('(').and_then(|after| after.split_once(')'));
        match target {
            Some((target, after)) if !target.contains('/') && !target.starts_with('#') => {
                text.push_str(label);
                rest = after;
            }
            None if label.starts_with('`') && label.ends_with('`') => {
                text.push_str(label);
                rest = after;
            }
            _ => {
                write!(text, "[{label}]").unwrap();
                rest = after;
            }
        }
    }
    text + rest
}

/// What is before, in and after the first pair of square brackets outside of code.
fn next_bracket(line: &str) -> Option<(&str, &str, &str)> {
    let mut code = false;
    let open = line.find(|character| {
        code ^= character == '`';
        !code && character == '['
    })?;
    let close = open + line[open..].find(']')?;
    Some((&line[..open], &line[open + 1..close], &line[close + 1..]))
}

/// The element's pad templates: sinks first, then by name.
pub(crate) fn templates(element: &gst::Element) -> Vec<gst::PadTemplate> {
    let mut templates: Vec<_> = element.pad_template_list().into_iter().collect();
    templates.sort_by_key(|template| {
        let source = template.direction() == gst::PadDirection::Src;
        (source, template.name_template().to_string())
    });
    templates
}

fn pads(templates: &[gst::PadTemplate]) -> String {
    let mut text =
        String::from("### Pads\n\n| pad | direction | presence | caps |\n|---|---|---|---|\n");
    for template in templates {
        let presence = match template.presence() {
            gst::PadPresence::Always => "always",
            gst::PadPresence::Sometimes => "sometimes",
            _ => "on request",
        };
        let direction = match template.direction() {
            gst::PadDirection::Sink => "sink",
            _ => "source",
        };
        let caps: Vec<String> = template
            .caps()
            .to_string()
            .split("; ")
            .map(|structure| format!("`{}`", escaped(structure)))
            .collect();
        writeln!(
            text,
            "| `{}` | {direction} | {presence} | {} |",
            template.name_template(),
            caps.join("<br>"),
        )
        .unwrap();
    }
    text
}

/// The properties that `kind` itself brings, not its parents.
pub(crate) fn own_properties(kind: glib::Type) -> Vec<glib::ParamSpec> {
    let Some(class) = glib::object::Class::<glib::Object>::from_type(kind) else {
        return vec![];
    };
    // Plain pads are documented by GStreamer.
    if [gst::Pad::static_type(), gst::GhostPad::static_type()].contains(&kind) {
        return vec![];
    }
    let mut properties: Vec<glib::ParamSpec> = class
        .list_properties()
        .iter()
        .filter(|property| property.owner_type() == kind)
        .cloned()
        .collect();
    properties.sort_by(|a, b| a.name().cmp(b.name()));
    properties
}

pub(crate) fn properties(title: &str, kind: glib::Type) -> String {
    let properties = own_properties(kind);
    if properties.is_empty() {
        return String::new();
    }
    let mut text = format!(
        "\n### {title}\n\n| property | type | default | access | what it is |\n|---|---|---|---|---|\n"
    );
    for property in &properties {
        writeln!(
            text,
            "| `{}` | {} | {} | {} | **{}.** {} |",
            property.name(),
            escaped(&kind_of(property)),
            escaped(&default_of(property)),
            access_of(property),
            escaped(property.nick()),
            escaped(property.blurb().unwrap_or_default()),
        )
        .unwrap();
    }
    for property in &properties {
        let Some(class) = glib::EnumClass::with_type(property.value_type()) else {
            continue;
        };
        writeln!(text, "\nValues of `{}`:\n", property.name()).unwrap();
        for value in class.values() {
            writeln!(text, "- `{}`: {}", value.nick(), value.name()).unwrap();
        }
    }
    text
}

fn kind_of(property: &glib::ParamSpec) -> String {
    macro_rules! ranged {
        ($($kind:ty),*) => {
            $(if let Some(spec) = property.downcast_ref::<$kind>() {
                return format!("{} {}–{}", property.value_type(), spec.minimum(), spec.maximum());
            })*
        };
    }
    ranged!(
        glib::ParamSpecInt,
        glib::ParamSpecUInt,
        glib::ParamSpecInt64,
        glib::ParamSpecUInt64,
        glib::ParamSpecFloat,
        glib::ParamSpecDouble
    );
    if let Some(spec) = property.downcast_ref::<gst::ParamSpecFraction>() {
        return format!("fraction {}–{}", spec.minimum(), spec.maximum());
    }
    match property.value_type() {
        glib::Type::STRING => "string".to_string(),
        glib::Type::BOOL => "boolean".to_string(),
        other => other.name().to_string(),
    }
}

fn default_of(property: &glib::ParamSpec) -> String {
    if !property.flags().contains(glib::ParamFlags::WRITABLE) {
        return String::new();
    }
    let value = property.default_value();
    let text = match value.get::<Option<String>>() {
        Ok(None) => return "none".to_string(),
        Ok(Some(text)) => text,
        Err(_) => match value.serialize() {
            Ok(text) => text.to_string(),
            Err(_) => return "none".to_string(),
        },
    };
    format!("`{text}`")
}

fn access_of(property: &glib::ParamSpec) -> String {
    let flags = property.flags();
    let has = |flag| flags.contains(flag);
    if !has(glib::ParamFlags::WRITABLE) {
        return "read only".to_string();
    }
    let mut parts = vec![];
    if !has(glib::ParamFlags::READABLE) {
        parts.push("write only");
    }
    parts.push(if has(glib::ParamFlags::CONSTRUCT_ONLY) {
        "set when the element is made"
    } else if has(gst::PARAM_FLAG_MUTABLE_PLAYING) {
        "changeable until PLAYING"
    } else if has(gst::PARAM_FLAG_MUTABLE_PAUSED) {
        "changeable until PAUSED"
    } else if has(gst::PARAM_FLAG_MUTABLE_READY) {
        "changeable until READY"
    } else {
        "changeable in NULL"
    });
    if has(gst::PARAM_FLAG_CONTROLLABLE) {
        parts.push("controllable");
    }
    parts.join(", ")
}

pub(crate) fn signals(kind: glib::Type) -> String {
    let signals = own_signals(kind);
    if signals.is_empty() {
        return String::new();
    }
    let mut text = String::from(
        "\n### Signals\n\n| signal | kind | arguments | returns |\n|---|---|---|---|\n",
    );
    for signal in signals {
        let action = signal.flags().contains(glib::SignalFlags::ACTION);
        let arguments: Vec<String> =
            signal.param_types().iter().map(|kind| format!("`{}`", kind.type_().name())).collect();
        let returns = match signal.return_type().type_() {
            glib::Type::UNIT => String::new(),
            kind => format!("`{}`", kind.name()),
        };
        writeln!(
            text,
            "| `{}` | {} | {} | {returns} |",
            signal.signal_name(),
            if action { "action" } else { "notification" },
            arguments.join(", "),
        )
        .unwrap();
    }
    text
}

/// The signals that `kind` itself brings, by name.
// The bindings have no call that lists signals; the pointer is checked and read within its count.
#[allow(unsafe_code)]
pub(crate) fn own_signals(kind: glib::Type) -> Vec<glib::subclass::SignalQuery> {
    use glib::translate::{FromGlib, IntoGlib};
    let mut count = 0;
    let ids = unsafe { glib::gobject_ffi::g_signal_list_ids(kind.into_glib(), &mut count) };
    if ids.is_null() {
        return vec![];
    }
    let mut signals: Vec<_> = (0..count as usize)
        .map(|index| unsafe { glib::subclass::SignalId::from_glib(*ids.add(index)).query() })
        .collect();
    unsafe { glib::ffi::g_free(ids.cast()) };
    signals.sort_by(|a, b| a.signal_name().cmp(b.signal_name()));
    signals
}

/// Text for a cell of a table.
fn escaped(text: &str) -> String {
    text.replace('|', "\\|").replace('\n', " ")
}
