// SPDX-License-Identifier: MPL-2.0

//! Keeps docs/ducksouppeer.md equal to what the element says of itself.
//!
//! `UPDATE_DOCS=1 cargo test -p ducksoup-signaller --test api` writes it anew.

#![allow(clippy::unwrap_used)]

#[path = "../../plugins/tests/api/page.rs"]
mod page;

use gst::prelude::*;
use page::{check, own_properties, properties, section};
use std::path::Path;

const HEAD: &str = "# A participant without a browser

Written by `UPDATE_DOCS=1 cargo test -p ducksoup-signaller --test api` from the element itself: the text is the first
comment of its `mod.rs`, the tables are what it tells GStreamer. Change it there. The same by hand:
`GST_PLUGIN_PATH=target/debug gst-inspect-1.0 ducksouppeer`. It is a plugin of its own, `libducksoup_signaller.so`.
`pipelines/examples/ducksouppeer.py` drives one from Python.

*Changeable until* names the highest state in which a property may be set.
";

fn factory() -> gst::ElementFactory {
    gst::init().unwrap();
    // The other test may have been first.
    let _ = ducksoup_signaller::plugin_register_static();
    gst::ElementFactory::find("ducksouppeer").unwrap()
}

#[test]
fn the_page_of_the_element_is_what_it_says_of_itself() {
    let factory = factory();
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let element = factory.create().build().unwrap();
    let signaller = element.property::<gst::Object>("signaller");
    let mut page = HEAD.to_string();
    page.push_str(&section(&factory, &sources));
    page.push_str(&properties("Properties of `signaller`", signaller.type_()));
    check(&page, "ducksouppeer.md");
}

#[test]
fn every_property_says_what_it_is() {
    let element = factory().create().build().unwrap();
    let signaller = element.property::<gst::Object>("signaller");
    for kind in [element.type_(), signaller.type_()] {
        for property in own_properties(kind) {
            assert_ne!(property.nick(), property.name(), "{}: nick", property.name());
            let blurb = property.blurb().unwrap_or_default();
            assert!(!blurb.is_empty(), "{}: blurb", property.name());
        }
    }
}
