// SPDX-License-Identifier: MPL-2.0

//! Where the tracks of a file wait for each other's first piece: the recorder fixes what a file holds
//! a second after its first piece came, and an effect may take longer than that to wake up.

use std::sync::{Arc, Condvar, Mutex, PoisonError};

/// See the module. Clones are the same meeting.
#[derive(Debug, Clone)]
pub(super) struct Meeting(Arc<(Mutex<Missing>, Condvar)>);

/// How many have not come yet.
#[derive(Debug)]
struct Missing(usize);

impl Meeting {
    /// A meeting of so many.
    pub(super) fn of(tracks: usize) -> Self {
        Self(Arc::new((Mutex::new(Missing(tracks)), Condvar::new())))
    }

    /// Comes, and waits for the others.
    pub(super) fn attend(&self) {
        let (missing, changed) = &*self.0;
        let mut missing = missing.lock().unwrap_or_else(PoisonError::into_inner);
        missing.0 = missing.0.saturating_sub(1);
        changed.notify_all();
        while missing.0 > 0 {
            missing = changed.wait(missing).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Ends it: nobody waits any more.
    pub(super) fn cancel(&self) {
        let (missing, changed) = &*self.0;
        missing.lock().unwrap_or_else(PoisonError::into_inner).0 = 0;
        changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::channel;
    use std::time::Duration;

    #[test]
    fn all_go_on_when_the_last_one_has_come_or_when_it_is_over() {
        for cancelled in [false, true] {
            let meeting = Meeting::of(2);
            let (done, went_on) = channel();
            let first = meeting.clone();
            let thread = std::thread::spawn(move || {
                first.attend();
                done.send(()).expect("heard");
            });
            if cancelled {
                meeting.cancel();
            } else {
                meeting.attend();
            }
            went_on.recv_timeout(Duration::from_secs(60)).expect("it goes on");
            thread.join().expect("ended");
        }
    }
}
