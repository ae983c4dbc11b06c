// SPDX-License-Identifier: MPL-2.0

//! GStreamer's own log, taken out of its hands (`DUCKSOUP_INTERCEPT_GST_LOGS`).
//!
//! Whoever logs may hold any lock: the callback asks the object for nothing, not even its name. So
//! objects are looked up by their address among those that were noted when they came into the
//! pipeline. It never waits either: words beyond a limit are counted and left out.

use super::input::{Input, Inputs};
use super::peer::owner;
use crate::log::messages::Level;
use ducksoup_signaller::frame::Connection;
use gst::prelude::*;
use std::cell::Cell;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

/// Words that may wait for the stage's thread; a fraction of its queue. Ours.
const WAITING: usize = 1024;

/// One entry of GStreamer's log.
#[derive(Debug)]
pub struct Words {
    /// By GStreamer's own level.
    pub level: Level,
    /// GStreamer's category.
    pub category: String,
    /// The object's path in the pipeline, or what is known of it.
    pub object: Option<String>,
    /// Whose it is.
    pub owner: Option<Connection>,
    /// What is said.
    pub text: String,
    /// How many others were left out before it.
    pub dropped: u64,
    _ticket: Ticket,
}

/// The right to wait; given back when dropped.
#[derive(Debug)]
struct Ticket(Arc<AtomicUsize>);

impl Ticket {
    /// `None` when too many wait.
    fn take(waiting: &Arc<AtomicUsize>) -> Option<Self> {
        if waiting.fetch_add(1, Ordering::Relaxed) < WAITING {
            return Some(Self(Arc::clone(waiting)));
        }
        waiting.fetch_sub(1, Ordering::Relaxed);
        None
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[derive(Debug, Clone)]
struct Known {
    path: String,
    owner: Option<Connection>,
}

/// Objects by address, as long as they live.
#[derive(Debug, Clone, Default)]
struct Objects(Arc<RwLock<HashMap<usize, Known>>>);

impl Objects {
    fn note(&self, object: &gst::Object) {
        let address = object.as_ptr() as usize;
        let known = Known { path: object.path_string().to_string(), owner: owner(object) };
        let before = self.0.write().unwrap_or_else(PoisonError::into_inner).insert(address, known);
        if before.is_none() {
            let objects = self.clone();
            object.add_weak_ref_notify(move || {
                objects.0.write().unwrap_or_else(PoisonError::into_inner).remove(&address);
            });
        }
    }

    fn find(&self, address: usize) -> Option<Known> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).get(&address).cloned()
    }

    /// Notes an element and its pads, those to come included.
    fn note_element(&self, element: &gst::Element) {
        self.note(element.upcast_ref());
        let objects = self.clone();
        element.connect_pad_added(move |_, pad| objects.note(pad.upcast_ref()));
        for pad in element.pads() {
            self.note(pad.upcast_ref());
        }
    }
}

/// Takes GStreamer's log over for the life of this process: what `pipeline` and everything that comes
/// into it say arrives as [`Input::GStreamer`]. `GST_DEBUG` still decides what is said.
pub fn intercept(pipeline: &gst::Pipeline, inputs: &Inputs) {
    let objects = Objects::default();
    objects.note(pipeline.upcast_ref());
    let of_pipeline = objects.clone();
    pipeline.connect_deep_element_added(move |_, _, element| of_pipeline.note_element(element));
    let (inputs, waiting, dropped) =
        (inputs.clone(), Arc::<AtomicUsize>::default(), AtomicU64::new(0));
    gst::log::remove_default_log_function();
    gst::log::add_log_function(move |category, level, _, _, _, object, message| {
        // What is done here may log itself.
        let Some(_guard) = Guard::enter() else {
            return;
        };
        let Some(ticket) = Ticket::take(&waiting) else {
            dropped.fetch_add(1, Ordering::Relaxed);
            return;
        };
        let known = object.and_then(|object| objects.find(object.as_ptr() as usize));
        let (path, owner) = match known {
            Some(Known { path, owner }) => (Some(path), owner),
            None => (message.id().map(ToString::to_string), None),
        };
        // Told once for a flood: when it is over, half of what waited is gone.
        let over = waiting.load(Ordering::Relaxed) <= WAITING / 2;
        inputs.send(Input::GStreamer(Words {
            level: level_of(level),
            category: category.name().to_owned(),
            object: path,
            owner,
            text: message.get().map(|text| text.to_string()).unwrap_or_default(),
            dropped: if over { dropped.swap(0, Ordering::Relaxed) } else { 0 },
            _ticket: ticket,
        }));
    });
}

fn level_of(level: gst::DebugLevel) -> Level {
    match level {
        gst::DebugLevel::Error => Level::Error,
        gst::DebugLevel::Warning => Level::Warn,
        gst::DebugLevel::Fixme | gst::DebugLevel::Info => Level::Info,
        gst::DebugLevel::Debug => Level::Debug,
        _ => Level::Trace,
    }
}

/// This thread is inside the callback.
struct Guard;

thread_local! {
    static INSIDE: Cell<bool> = const { Cell::new(false) };
}

impl Guard {
    fn enter() -> Option<Self> {
        (!INSIDE.replace(true)).then_some(Self)
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        INSIDE.set(false);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::interaction::peer::bin_name;
    use std::sync::mpsc::{Receiver, sync_channel};

    /// The words about an object of this path.
    fn next(received: &Receiver<Input>, text: &str) -> Words {
        let limit = std::time::Duration::from_secs(10);
        while let Ok(input) = received.recv_timeout(limit) {
            if let Input::GStreamer(words) = input
                && words.text == text
            {
                return words;
            }
        }
        panic!("never said: {text}");
    }

    // One test: the log of a process can be taken over once.
    #[test]
    fn words_come_with_their_object_and_owner_and_a_flood_is_counted() {
        gst::init().expect("GStreamer starts");
        let (sender, received) = sync_channel(2 * WAITING);
        let pipeline = gst::Pipeline::with_name("interaction");
        intercept(&pipeline, &Inputs::new(sender));
        let category =
            gst::DebugCategory::new("intercepted", gst::DebugColorFlags::empty(), Some("a test"));
        category.set_threshold(gst::DebugLevel::Warning);

        let bin = gst::Bin::with_name(&bin_name(Connection(7)));
        let element = gst::ElementFactory::make("identity").name("one").build().expect("there");
        bin.add(&element).expect("added");
        pipeline.add(&bin).expect("added");
        let pad = element.static_pad("src").expect("there");
        gst::warning!(category, obj = element, "of an element");
        gst::error!(category, obj = pad, "of a pad");
        gst::warning!(category, "of nobody");
        gst::info!(category, obj = element, "below the threshold");

        let words = next(&received, "of an element");
        assert_eq!((words.level, words.owner), (Level::Warn, Some(Connection(7))));
        assert_eq!(words.category, "intercepted");
        assert_eq!(
            words.object.as_deref(),
            Some("/GstPipeline:interaction/GstBin:peer-7/GstIdentity:one")
        );
        let words = next(&received, "of a pad");
        assert_eq!((words.level, words.owner), (Level::Error, Some(Connection(7))));
        let words = next(&received, "of nobody");
        assert_eq!((words.owner, words.object), (None, None));

        for _ in 0..WAITING + 10 {
            gst::warning!(category, obj = element, "flood");
        }
        let waiting: Vec<_> = received.try_iter().collect();
        assert!(waiting.len() <= WAITING);
        drop(waiting);
        gst::warning!(category, obj = element, "after the flood");
        assert!(next(&received, "after the flood").dropped >= 10);
    }
}
