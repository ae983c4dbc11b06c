// SPDX-License-Identifier: MPL-2.0

//! Keeps docs/elements.md equal to what the elements say of themselves.
//!
//! `UPDATE_DOCS=1 cargo test -p gst-plugin-ducksoup --test api` writes it anew.

#![allow(clippy::unwrap_used)]

use gst::glib;
use gst::prelude::*;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::sync::Once;

const HEAD: &str = "# The elements

Written by `UPDATE_DOCS=1 cargo test -p gst-plugin-ducksoup --test api` from the elements themselves: the text is the first
comment of each one's `mod.rs`, the tables are what they tell GStreamer. Change it there. The same by hand:
`GST_PLUGIN_PATH=target/debug gst-inspect-1.0 ducksoup`.

Times are in nanoseconds, bitrates in bit/s. *Changeable until* names the highest state in which a property may be set.
";

fn init() {
    static INIT: Once = Once::new();
    INIT.call_once(|| {
        gst::init().unwrap();
        gstducksoup::plugin_register_static().unwrap();
    });
}

/// The factories of the plugin, by name.
fn factories() -> Vec<gst::ElementFactory> {
    init();
    let mut factories: Vec<gst::ElementFactory> = gst::Registry::get()
        .features_by_plugin("ducksoup")
        .into_iter()
        .filter_map(|feature| feature.downcast().ok())
        .collect();
    factories.sort_by_key(|factory: &gst::ElementFactory| factory.name());
    factories
}

#[test]
fn the_page_of_the_elements_is_what_they_say_of_themselves() {
    let mut page = HEAD.to_string();
    for factory in factories() {
        page.push_str(&section(&factory));
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/elements.md");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, &page).unwrap();
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    let difference = (1..)
        .zip(lines_and_end(&written).zip(lines_and_end(&page)))
        .find(|(_, (old, new))| old != new);
    assert!(
        written == page,
        "docs/elements.md is not what the elements say; see the top of this test for how to write it \
         anew. First difference (line, (written, said)): {difference:?}"
    );
}

/// The lines, and then nothing: so that a missing end is a difference too.
fn lines_and_end(text: &str) -> impl Iterator<Item = Option<&str>> {
    text.lines().map(Some).chain([None])
}

#[test]
fn every_element_introduces_itself() {
    for factory in factories() {
        let name = factory.name();
        for key in [
            gst::ELEMENT_METADATA_LONGNAME,
            gst::ELEMENT_METADATA_KLASS,
            gst::ELEMENT_METADATA_DESCRIPTION,
        ] {
            let text = factory.metadata(key).unwrap_or_default();
            assert!(!text.is_empty(), "{name}: {key}");
        }
        assert_eq!(
            factory.metadata(gst::ELEMENT_METADATA_AUTHOR),
            Some("DuckSoup contributors"),
            "{name}"
        );
        let prose = prose(&name);
        assert!(prose.contains("gst-launch-1.0"), "{name}: a line to try");
    }
}

#[test]
fn every_property_says_what_it_is() {
    for factory in factories() {
        let element = factory.create().build().unwrap();
        let of_pads =
            templates(&element).into_iter().flat_map(|template| own_properties(template.gtype()));
        for property in own_properties(element.type_()).into_iter().chain(of_pads) {
            let place = format!("{} {}", factory.name(), property.name());
            assert_ne!(property.nick(), property.name(), "{place}: nick");
            let blurb = property.blurb().unwrap_or_default();
            assert!(!blurb.is_empty(), "{place}: blurb");
            assert_ne!(blurb, property.name(), "{place}: blurb");
        }
    }
}

fn section(factory: &gst::ElementFactory) -> String {
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
    writeln!(text, "{}", prose(&factory.name())).unwrap();
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
fn prose(element: &str) -> String {
    let path: PathBuf = [env!("CARGO_MANIFEST_DIR"), "src", element, "mod.rs"].iter().collect();
    let source = std::fs::read_to_string(&path).unwrap();
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
fn without_links(line: &str) -> String {
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

#[test]
fn links_of_rustdoc_become_text_and_others_stay() {
    for (line, expected) in [
        ("see [`a`](crate::a) there", "see `a` there"),
        ("see [the page](self)", "see the page"),
        ("see [`a`]", "see `a`"),
        ("see [it](https://a.b/c)", "see [it](https://a.b/c)"),
        ("`[origin, end)` is [`x`](super::x)", "`[origin, end)` is `x`"),
        ("half open [0, 1)", "half open [0, 1)"),
    ] {
        assert_eq!(without_links(line), expected);
    }
}

/// The element's pad templates: sinks first, then by name.
fn templates(element: &gst::Element) -> Vec<gst::PadTemplate> {
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
fn own_properties(kind: glib::Type) -> Vec<glib::ParamSpec> {
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

fn properties(title: &str, kind: glib::Type) -> String {
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

fn signals(kind: glib::Type) -> String {
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
fn own_signals(kind: glib::Type) -> Vec<glib::subclass::SignalQuery> {
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
