// SPDX-License-Identifier: MPL-2.0

//! What is asked of webrtcbin, and its answers. It forgets what it has not answered yet when it is
//! taken down (1.22: with a GLib warning, and nobody is told), so open promises are kept here and
//! withdrawn before.

use gst::glib;
use gst::prelude::*;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

/// See the module.
#[derive(Debug, Clone)]
pub(super) struct Promises(Arc<Mutex<State>>);

#[derive(Debug)]
enum State {
    /// Those that are open, and how many were ever made.
    Open { promises: BTreeMap<u64, gst::Promise>, made: u64 },
    /// Nothing is asked any more.
    Withdrawn,
}

impl Promises {
    pub(super) fn new() -> Self {
        Self(Arc::new(Mutex::new(State::Open { promises: BTreeMap::new(), made: 0 })))
    }

    /// Emits `signal` with `argument` and a promise; `then` hears what comes of it, on whatever
    /// thread, unless everything is withdrawn before.
    pub(super) fn ask(
        &self,
        webrtcbin: &gst::Element,
        signal: &str,
        argument: &dyn ToValue,
        then: impl FnOnce(Result<Option<&gst::StructureRef>, String>) + Send + 'static,
    ) {
        let Some(promise) = self.promise(then) else {
            return;
        };
        webrtcbin.emit_by_name_with_values(signal, &[argument.to_value(), promise.to_value()]);
    }

    fn promise(
        &self,
        then: impl FnOnce(Result<Option<&gst::StructureRef>, String>) + Send + 'static,
    ) -> Option<gst::Promise> {
        let number = match &mut *self.state() {
            State::Open { made, .. } => {
                *made += 1;
                *made
            }
            State::Withdrawn => return None,
        };
        let here = self.clone();
        let promise = gst::Promise::with_change_func(move |reply| {
            if here.close(number) {
                then(outcome(reply));
            }
        });
        if let State::Open { promises, .. } = &mut *self.state() {
            promises.insert(number, promise.clone());
            return Some(promise);
        }
        // Withdrawn meanwhile; left open, it would be warned of.
        promise.interrupt();
        None
    }

    /// Whether the promise was still open.
    fn close(&self, number: u64) -> bool {
        let closed = match &mut *self.state() {
            State::Open { promises, .. } => promises.remove(&number),
            State::Withdrawn => None,
        };
        closed.is_some()
    }

    /// Nobody waits for an answer any more.
    pub(super) fn withdraw(&self) {
        let state = std::mem::replace(&mut *self.state(), State::Withdrawn);
        if let State::Open { promises, .. } = state {
            for promise in promises.into_values() {
                promise.interrupt();
            }
        }
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An answer may be an error in itself.
fn outcome(
    reply: Result<Option<&gst::StructureRef>, gst::PromiseError>,
) -> Result<Option<&gst::StructureRef>, String> {
    let reply = reply.map_err(|error| format!("{error:?}"))?;
    match reply.and_then(|structure| structure.get::<glib::Error>("error").ok()) {
        Some(error) => Err(error.to_string()),
        None => Ok(reply),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::{TryRecvError, channel};

    fn promised(promises: &Promises) -> (gst::Promise, std::sync::mpsc::Receiver<Option<String>>) {
        let (told, heard) = channel();
        let promise = promises
            .promise(move |reply| {
                drop(told.send(reply.err()));
            })
            .expect("not withdrawn");
        (promise, heard)
    }

    #[test]
    fn an_answer_is_heard_once_and_an_error_in_it_is_one() {
        gst::init().expect("GStreamer");
        let promises = Promises::new();
        let (promise, heard) = promised(&promises);
        promise.reply(None);
        assert_eq!(heard.try_recv(), Ok(None));
        let (promise, heard) = promised(&promises);
        let error = glib::Error::new(gst::CoreError::Failed, "no");
        promise.reply(Some(gst::Structure::builder("reply").field("error", error).build()));
        assert_eq!(heard.try_recv(), Ok(Some("no".to_owned())));
    }

    #[test]
    fn what_is_withdrawn_is_neither_heard_nor_left_open() {
        gst::init().expect("GStreamer");
        let promises = Promises::new();
        let (promise, heard) = promised(&promises);
        promises.withdraw();
        assert_eq!(promise.wait(), gst::PromiseResult::Interrupted);
        // webrtcbin may answer yet.
        promise.reply(None);
        assert_eq!(heard.try_recv(), Err(TryRecvError::Disconnected));
        assert!(promises.promise(|_| {}).is_none());
    }
}
