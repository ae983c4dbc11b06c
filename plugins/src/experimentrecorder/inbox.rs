// SPDX-License-Identifier: MPL-2.0

//! Between the live path and the disk: a queue that never makes anyone wait.
//!
//! The streaming threads put in, the writer thread takes out. When the disk does not keep up, what
//! comes in is dropped, counted, and the next unit that goes in is marked as following a loss.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::format::Format;
use super::naming::Slot;

/// What a unit costs beside its bytes: the buffer's own structures, roughly.
const OVERHEAD: u64 = 512;

/// The writer looks into the queue so often, so that the live path need not wake it…
const NAP: Duration = Duration::from_millis(50);

/// …unless so much has come in meanwhile.
const MANY: usize = 128;

/// What the writer thread is told.
#[derive(Debug)]
pub(super) enum Input {
    /// A pad is there.
    Pad(Slot),
    /// Its stream looks like this; `None`: like nothing we can record.
    Format(Slot, Option<Format>),
    /// A unit, encoded.
    Media { slot: Slot, unit: Unit },
    /// Nothing more comes from this pad.
    End { slot: Slot, why: End },
    /// The origin in running time; `None`: the first unit.
    Origin(Option<u64>),
    /// The running time from which on nothing is recorded.
    Limit(u64),
    /// Where files go.
    Folder(PathBuf),
    /// What their names begin with.
    Prefix(String),
    /// Close all files.
    Finish,
    /// Close all files; the thread ends.
    Stop,
}

/// Why a track ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// The stream is over.
    Stream,
    /// The pad was released.
    Pad,
}

/// One packet or picture as it came.
#[derive(Debug)]
pub(super) struct Unit {
    /// Running time in nanoseconds.
    pub(super) time: u64,
    /// The stream says that something is missing before it.
    pub(super) discont: bool,
    /// So many units before it were dropped by the queue.
    pub(super) dropped: u64,
    pub(super) buffer: gst::Buffer,
}

/// What happened to the units of one pad.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Tally {
    pub(super) received: u64,
    pub(super) written: u64,
    /// Before the origin or after the end.
    pub(super) outside: u64,
    /// Without a keyframe before it, not decodable, or sound for a time that has its sound.
    pub(super) gated: u64,
    /// The queue was full.
    pub(super) dropped: u64,
    /// Bytes of what was written.
    pub(super) bytes: u64,
}

/// How a unit went in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Put {
    Stored,
    /// Nobody records (any more).
    Discarded,
    /// The queue is full; `first` of a row.
    Dropped {
        first: bool,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Door {
    Open,
    Closed,
}

#[derive(Debug)]
struct Content {
    door: Door,
    items: VecDeque<Input>,
    bytes: u64,
    tallies: [Tally; 4],
    losing: [u64; 4],
}

/// The queue.
#[derive(Debug)]
pub(super) struct Inbox {
    content: Mutex<Content>,
    wake: Condvar,
}

impl Inbox {
    pub(super) fn new() -> Self {
        let content = Content {
            door: Door::Closed,
            items: VecDeque::new(),
            bytes: 0,
            tallies: [Tally::default(); 4],
            losing: [0; 4],
        };
        Self { content: Mutex::new(content), wake: Condvar::new() }
    }

    fn lock(&self) -> MutexGuard<'_, Content> {
        self.content.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins a new recording: empty, all counts at zero.
    pub(super) fn open(&self) {
        let mut content = self.lock();
        content.door = Door::Open;
        content.items.clear();
        content.bytes = 0;
        content.tallies = [Tally::default(); 4];
        content.losing = [0; 4];
    }

    /// Nothing is taken in any more.
    pub(super) fn close(&self) {
        let mut content = self.lock();
        content.door = Door::Closed;
        content.items.clear();
        content.bytes = 0;
    }

    /// Puts in something other than media. `false` when nobody records.
    pub(super) fn tell(&self, input: Input) -> bool {
        let mut content = self.lock();
        if content.door == Door::Closed {
            return false;
        }
        content.items.push_back(input);
        drop(content);
        self.wake.notify_one();
        true
    }

    /// Puts in a unit, unless `limit` bytes are waiting.
    pub(super) fn put(&self, slot: Slot, mut unit: Unit, limit: u64) -> Put {
        let index = slot.index();
        let mut content = self.lock();
        content.tallies[index].received += 1;
        if content.door == Door::Closed {
            return Put::Discarded;
        }
        let size = unit.buffer.size() as u64 + OVERHEAD;
        if content.bytes + size > limit {
            content.tallies[index].dropped += 1;
            content.losing[index] += 1;
            return Put::Dropped { first: content.losing[index] == 1 };
        }
        unit.dropped = std::mem::take(&mut content.losing[index]);
        content.bytes += size;
        content.items.push_back(Input::Media { slot, unit });
        let many = content.items.len() == MANY;
        drop(content);
        if many {
            self.wake.notify_one();
        }
        Put::Stored
    }

    /// Waits a moment and takes out everything.
    pub(super) fn take(&self) -> VecDeque<Input> {
        let mut content = self.lock();
        if content.items.len() < MANY {
            content = self
                .wake
                .wait_timeout(content, NAP)
                .map_or_else(|poisoned| poisoned.into_inner().0, |(content, _)| content);
        }
        std::mem::take(&mut content.items)
    }

    /// Something that was taken out is done with: its room is free, and the counts are these.
    pub(super) fn done(&self, bytes: u64, tallies: &[Tally; 4]) {
        let mut content = self.lock();
        content.bytes = content.bytes.saturating_sub(bytes);
        for (own, new) in content.tallies.iter_mut().zip(tallies) {
            own.written = new.written;
            own.outside = new.outside;
            own.gated = new.gated;
            own.bytes = new.bytes;
        }
    }

    pub(super) fn tallies(&self) -> [Tally; 4] {
        self.lock().tallies
    }
}

impl Input {
    /// The room that it takes in the queue.
    pub(super) fn cost(&self) -> u64 {
        match self {
            Input::Media { unit, .. } => unit.buffer.size() as u64 + OVERHEAD,
            _ => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unit(size: usize) -> Unit {
        Unit {
            time: 0,
            discont: false,
            dropped: 0,
            buffer: gst::Buffer::from_mut_slice(vec![0; size]),
        }
    }

    #[test]
    fn a_full_queue_drops_counts_and_marks_the_loss() {
        assert!(gst::init().is_ok());
        let (inbox, slot, limit) = (Inbox::new(), Slot::ALL[1], 2 * OVERHEAD + 200);
        assert_eq!(inbox.put(slot, unit(1), limit), Put::Discarded);
        inbox.open();
        assert_eq!(inbox.put(slot, unit(100), limit), Put::Stored);
        assert_eq!(inbox.put(slot, unit(101), limit), Put::Dropped { first: true });
        assert_eq!(inbox.put(slot, unit(101), limit), Put::Dropped { first: false });
        assert_eq!(inbox.put(slot, unit(100), limit), Put::Stored);
        let items = inbox.take();
        let dropped: Vec<u64> = items
            .iter()
            .filter_map(|item| match item {
                Input::Media { unit, .. } => Some(unit.dropped),
                _ => None,
            })
            .collect();
        assert_eq!(dropped, [0, 2]);
        assert_eq!(inbox.put(slot, unit(100), limit), Put::Dropped { first: true });
        inbox.done(items.iter().map(Input::cost).sum(), &[Tally::default(); 4]);
        assert_eq!(inbox.put(slot, unit(100), limit), Put::Stored);
        let tally = inbox.tallies()[slot.index()];
        assert_eq!((tally.received, tally.dropped), (6, 3));
    }
}
