// SPDX-License-Identifier: MPL-2.0

//! Keeps docs/elements.md equal to what the elements say of themselves.
//!
//! `UPDATE_DOCS=1 cargo test -p gst-plugin-ducksoup --test api` writes it anew.

#![allow(clippy::unwrap_used)]

#[path = "api/page.rs"]
mod page;

use gst::prelude::*;
use page::{check, own_properties, prose, section, templates, without_links};
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

/// Where the elements are.
fn sources() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
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
        page.push_str(&section(&factory, &sources()));
    }
    check(&page, "elements.md");
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
        let prose = prose(&sources(), &name);
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
