// SPDX-License-Identifier: MPL-2.0

//! A thread that waits on the pipeline's clock.
//!
//! A thread of its own, because what it does when the time has come is to push: a clock's callbacks
//! share one thread for the whole process and must not block.

use std::{
    io,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread::{self, JoinHandle},
};

/// What the thread is at.
#[derive(Debug)]
enum Wait {
    /// It is in its callback.
    Busy,
    /// In its callback, which is to be called once more at once.
    Again,
    /// There is nothing to wait for until it is woken.
    Idle,
    /// It waits for the clock.
    Until(gst::ClockId),
    /// It is to end.
    Stop,
}

#[derive(Debug)]
struct Shared {
    wait: Mutex<Wait>,
    changed: Condvar,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Wait> {
        self.wait.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A running timer thread.
#[derive(Debug)]
pub(super) struct Timer {
    shared: Arc<Shared>,
    thread: JoinHandle<()>,
}

impl Timer {
    /// Starts a thread that calls `tick` at once, and again whenever the clock id that it returned
    /// comes due. After a `None` it sleeps until it is woken.
    pub(super) fn start(
        tick: impl Fn() -> Option<gst::ClockId> + Send + 'static,
    ) -> io::Result<Self> {
        let shared = Arc::new(Shared { wait: Mutex::new(Wait::Busy), changed: Condvar::new() });
        let thread = thread::Builder::new().name("framegrid".into()).spawn({
            let shared = Arc::clone(&shared);
            move || run(&shared, tick)
        })?;
        Ok(Self { shared, thread })
    }

    /// There may be something to wait for now. A wait under way goes on.
    pub(super) fn wake(&self) {
        let mut wait = self.shared.lock();
        if matches!(*wait, Wait::Busy | Wait::Idle) {
            *wait = Wait::Again;
            self.shared.changed.notify_all();
        }
    }

    /// What is waited for may have changed: a wait under way is given up.
    pub(super) fn restart(&self) {
        self.interrupt(Wait::Again);
    }

    /// Ends the thread and waits until it has ended. An error means that its callback panicked.
    pub(super) fn stop(self) -> thread::Result<()> {
        self.interrupt(Wait::Stop);
        self.thread.join()
    }

    fn interrupt(&self, to: Wait) {
        let before = std::mem::replace(&mut *self.shared.lock(), to);
        self.shared.changed.notify_all();
        if let Wait::Until(id) = before {
            id.unschedule();
        }
    }
}

fn run(shared: &Shared, tick: impl Fn() -> Option<gst::ClockId>) {
    loop {
        let next = tick();
        let mut wait = shared.lock();
        if matches!(*wait, Wait::Busy) {
            if let Some(id) = next {
                *wait = Wait::Until(id.clone());
                drop(wait);
                // However it ends, the callback looks at the clock again.
                let _ = id.wait();
                wait = shared.lock();
            } else {
                *wait = Wait::Idle;
                while matches!(*wait, Wait::Idle) {
                    wait = shared.changed.wait(wait).unwrap_or_else(PoisonError::into_inner);
                }
            }
        }
        if matches!(*wait, Wait::Stop) {
            return;
        }
        *wait = Wait::Busy;
    }
}
