// SPDX-License-Identifier: MPL-2.0

//! The thread that writes: takes out of the inbox, lets the writer decide, does what it wants done.

use std::fmt;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use gst::glib;
use gst::prelude::*;

use super::ExperimentRecorder;
use super::imp::CAT;
use super::inbox::{Inbox, Input};
use super::report;
use super::writer::{Effect, Writer};
use crate::keyframes::Urgency;

/// Nothing came for so long: what is held back goes to the disk.
const IDLE: Duration = Duration::from_millis(500);

/// The disk hangs: the thread is left behind.
#[derive(Debug)]
pub(super) struct LeftBehind;

impl fmt::Display for LeftBehind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the disk hangs: the writer thread is left behind")
    }
}

/// A writer thread that runs.
#[derive(Debug)]
pub(super) struct WriterThread {
    handle: thread::JoinHandle<()>,
    ended: Receiver<()>,
}

impl WriterThread {
    pub(super) fn spawn(
        mut writer: Writer,
        inbox: Arc<Inbox>,
        recorder: &ExperimentRecorder,
    ) -> std::io::Result<Self> {
        let weak = recorder.downgrade();
        let (sender, ended) = sync_channel(1);
        let handle = thread::Builder::new().name("experimentrec".into()).spawn(move || {
            let guard = Guard { inbox, weak, ended: sender };
            run(&mut writer, &guard);
        })?;
        Ok(Self { handle, ended })
    }

    /// Waits for the thread, which was told to stop.
    ///
    /// # Errors
    /// When it does not end within `limit`.
    pub(super) fn wait(self, limit: Duration) -> Result<(), LeftBehind> {
        match self.ended.recv_timeout(limit) {
            Err(RecvTimeoutError::Timeout) => Err(LeftBehind),
            Ok(()) | Err(RecvTimeoutError::Disconnected) => {
                // A panic was told by the guard.
                self.handle.join().ok();
                Ok(())
            }
        }
    }
}

/// However the thread ends, nothing more is taken in and nobody waits for it.
struct Guard {
    inbox: Arc<Inbox>,
    weak: glib::WeakRef<ExperimentRecorder>,
    ended: SyncSender<()>,
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.inbox.close();
        if thread::panicking()
            && let Some(recorder) = self.weak.upgrade()
        {
            post(&recorder, report::died());
            post(&recorder, report::finished(0));
        }
        self.ended.try_send(()).ok();
    }
}

/// Posts an element message.
pub(super) fn post(recorder: &ExperimentRecorder, structure: gst::Structure) {
    let message = gst::message::Element::builder(structure).src(recorder).build();
    // Without a bus nobody wants to know.
    recorder.post_message(message).ok();
}

fn run(writer: &mut Writer, guard: &Guard) {
    let Guard { inbox, weak, .. } = guard;
    let began = Instant::now();
    let mut busy = began;
    loop {
        let items = inbox.take();
        if !items.is_empty() {
            busy = Instant::now();
        } else if busy.elapsed() >= IDLE {
            busy = Instant::now();
            act(writer.idle(began.elapsed()), weak);
        }
        for item in items {
            let stop = matches!(item, Input::Stop);
            let cost = item.cost();
            let effects = writer.handle(item, began.elapsed());
            inbox.done(cost, &writer.tallies());
            act(effects, weak);
            if stop {
                return;
            }
        }
    }
}

fn act(effects: Vec<Effect>, weak: &glib::WeakRef<ExperimentRecorder>) {
    let Some(recorder) = weak.upgrade() else {
        return;
    };
    for effect in effects {
        match effect {
            Effect::Post(structure) => {
                gst::info!(CAT, obj = recorder, "{structure}");
                post(&recorder, structure);
            }
            Effect::AskKeyframe(slot) => {
                gst::debug!(CAT, obj = recorder, "asking for a keyframe on {}", slot.pad_name());
                let event = Urgency::Newcomer.request(0);
                if let Some(pad) = recorder.static_pad(slot.pad_name()) {
                    pad.push_event(event);
                }
            }
            Effect::EndOfStream => {
                recorder.post_message(gst::message::Eos::builder().src(&recorder).build()).ok();
            }
        }
    }
}
