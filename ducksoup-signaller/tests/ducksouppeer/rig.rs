// SPDX-License-Identifier: MPL-2.0

//! A pipeline with the element under test, and what it says on its bus.

#![allow(dead_code)] // each test program uses a part

#[path = "../forgiven/mod.rs"]
mod forgiven;

use super::server::LIMIT;
use gst::glib;
use gst::prelude::*;
use std::sync::Once;
use std::time::{Duration, Instant};

pub(crate) fn init() {
    static INIT: Once = Once::new();
    INIT.call_once(|| {
        gst::init().unwrap();
        forgiven::forgive();
        ducksoup_signaller::plugin_register_static().unwrap();
    });
}

/// What a test waits for on the bus.
#[derive(Debug)]
pub(crate) enum Said {
    Error(glib::Error),
    Eos,
    /// A message of the element, without its prefix.
    Event(gst::Structure),
}

/// A pipeline that is taken down with the test, within the time that the element promises.
pub(crate) struct Rig {
    pub(crate) pipeline: gst::Pipeline,
    pub(crate) peer: gst::Element,
}

impl Rig {
    /// A pipeline of this description; the element is called `p`.
    pub(crate) fn new(uri: &str, description: &str) -> Self {
        init();
        let pipeline =
            gst::parse::launch(description).unwrap().downcast::<gst::Pipeline>().unwrap();
        let peer = pipeline.by_name("p").unwrap();
        let signaller = peer.property::<gst::Object>("signaller");
        signaller.set_property("uri", uri);
        signaller.set_property("interaction", "i");
        signaller.set_property("user", "u");
        signaller.set_property("width", 160u32);
        signaller.set_property("height", 120u32);
        Self { pipeline, peer }
    }

    /// One that sends a live tone.
    pub(crate) fn talking(uri: &str) -> Self {
        Self::new(uri, "audiotestsrc is-live=true ! ducksouppeer name=p connect-timeout=30000")
    }

    pub(crate) fn option(&self, name: &str, value: impl Into<glib::Value>) {
        self.peer.property::<gst::Object>("signaller").set_property(name, value.into());
    }

    pub(crate) fn play(&self) {
        self.pipeline.set_state(gst::State::Playing).unwrap();
    }

    /// The next thing said.
    pub(crate) fn next(&self) -> Said {
        self.within(LIMIT).expect("something is said")
    }

    /// The next thing said, if it is in time.
    pub(crate) fn within(&self, limit: Duration) -> Option<Said> {
        let bus = self.pipeline.bus().unwrap();
        let deadline = Instant::now() + limit;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let left = gst::ClockTime::from_mseconds(left.as_millis().try_into().unwrap());
            let message = bus.timed_pop(left)?;
            match message.view() {
                gst::MessageView::Error(error) => return Some(Said::Error(error.error())),
                gst::MessageView::Eos(_) => return Some(Said::Eos),
                gst::MessageView::Element(element) => {
                    let structure = element.structure().unwrap();
                    if let Some(name) = structure.name().strip_prefix("ducksouppeer-") {
                        let mut structure = structure.to_owned();
                        structure.set_name(name);
                        return Some(Said::Event(structure));
                    }
                }
                gst::MessageView::Latency(_) => drop(self.pipeline.recalculate_latency()),
                _ => {}
            }
        }
    }

    /// The events until an error.
    pub(crate) fn error(&self) -> (Vec<String>, glib::Error) {
        let mut events = vec![];
        loop {
            match self.next() {
                Said::Error(error) => return (events, error),
                Said::Event(event) => events.push(event.name().to_string()),
                Said::Eos => panic!("EOS, and no error, after {events:?}"),
            }
        }
    }

    /// The events until EOS.
    pub(crate) fn eos(&self) -> Vec<String> {
        let mut events = vec![];
        loop {
            match self.next() {
                Said::Eos => return events,
                Said::Event(event) => events.push(event.name().to_string()),
                Said::Error(error) => panic!("{error} after {events:?}"),
            }
        }
    }

    /// Waits for an event of this name.
    pub(crate) fn event(&self, name: &str) -> gst::Structure {
        loop {
            match self.next() {
                Said::Event(event) if event.name() == name => return event,
                Said::Event(_) => {}
                other => panic!("{other:?} instead of {name}"),
            }
        }
    }

    /// What is left on the bus: no second error.
    pub(crate) fn nothing_more(&self) {
        while let Some(said) = self.within(Duration::from_millis(200)) {
            assert!(!matches!(said, Said::Error(_)), "{said:?}");
        }
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        let before = Instant::now();
        let _ = self.pipeline.set_state(gst::State::Null);
        // The element promises 2 s; a machine where others compile gets more.
        let took = before.elapsed();
        assert!(std::thread::panicking() || took < Duration::from_secs(10), "NULL took {took:?}");
    }
}
