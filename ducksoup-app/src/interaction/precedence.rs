// SPDX-License-Identifier: MPL-2.0

//! Who goes first where more threads have work than there are processors. A picture keeps a processor busy for some ms
//! at a stretch; a packet of sound needs less than one, and whoever sends or receives still less. Linux lets whoever is
//! at work go on for a slice of 1.4 ms or more, and looks again every few ms, so that sound now and then waits for as
//! long as a picture takes. Who asks for shorter slices (Linux 6.12, sched_setattr(2)) comes in between at once, and
//! gets no more of a processor for it. So all threads of the stage ask for them but those that encode pictures (and decode
//! and change them before). Other systems share as they always do.
//!
//! A lower priority of pictures (nice(2)) would not do: measured, sound waited as long, and pictures longer.

use super::chain::Chain;
use gst::prelude::*;
use std::cell::Cell;

/// What everything but pictures asks for, in ns. Ours: what a packet of sound needs on its way in or out (0.1 ms), twice; the
/// system's least is 0.1 ms.
const SHORT: u64 = 200_000;

/// What the system holds for right.
const USUAL: u64 = 0;

thread_local! {
    /// Whether this thread works on pictures, as far as it has told the system.
    static PICTURES: Cell<bool> = const { Cell::new(false) };
}

/// This thread, and all that it and those begin, come in between others.
pub(super) fn come_between() {
    PICTURES.set(false);
    ask(SHORT);
}

/// Whoever brings pictures to an encoder of this chain takes the usual time, from behind a `queue` too.
pub(super) fn give_way(chain: &Chain) {
    for encoded in chain.encoders() {
        let encoder = encoded.parent_element();
        let Some(pad) = encoder.and_then(|encoder| encoder.static_pad("sink")) else { continue };
        pad.add_probe(gst::PadProbeType::BUFFER, |_, _| {
            work_on_pictures();
            gst::PadProbeReturn::Ok
        });
    }
}

/// This thread takes the usual time, and so do those that a codec begins from here: called before there is one. Threads are
/// borrowed: the next task of such a one begins with [`come_between`].
pub(super) fn work_on_pictures() {
    if !PICTURES.replace(true) {
        ask(USUAL);
    }
}

/// Asks for slices of that length; whether that is granted. Where the system knows of none, or of other rules for this
/// process, all stays as it is.
#[cfg(target_os = "linux")]
fn ask(slice: u64) -> bool {
    let Ok(nice) = rustix::process::getpriority_process(None) else { return false };
    let attributes = libc::sched_attr {
        size: size_of::<libc::sched_attr>() as u32,
        sched_policy: 0,
        sched_flags: libc::SCHED_FLAG_KEEP_POLICY as u64,
        sched_nice: nice,
        sched_priority: 0,
        sched_runtime: slice,
        sched_deadline: 0,
        sched_period: 0,
    };
    // No safe binding has it. 0 is this thread. The kernel reads `size` bytes of what outlives the call.
    #[allow(unsafe_code)]
    unsafe {
        libc::syscall(libc::SYS_sched_setattr, 0, &raw const attributes, 0) == 0
    }
}

#[cfg(not(target_os = "linux"))]
fn ask(_: u64) -> bool {
    false
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// This thread's slice, in ns, where the system knows of any (sched_debug of Linux 6.12), and its niceness.
    fn place() -> (Option<u64>, i32) {
        let all = std::fs::read_to_string("/proc/thread-self/sched").unwrap_or_default();
        let line = all.lines().find_map(|line| line.strip_prefix("se.slice")?.split(':').nth(1));
        let nice = rustix::process::getpriority_process(None).unwrap();
        (line.and_then(|slice| slice.trim().parse().ok()), nice)
    }

    #[test]
    fn sound_and_all_else_come_between_pictures_and_nobody_gets_a_higher_priority() {
        let run = |work: fn()| {
            std::thread::spawn(move || {
                rustix::process::nice(3).unwrap();
                work();
                place()
            })
        };
        let (usual, nice) = run(|| {}).join().unwrap();
        let granted = std::thread::spawn(|| ask(SHORT)).join().unwrap();
        let short = usual.map(|usual| if granted { SHORT } else { usual });
        let heir = || {
            come_between();
            assert_eq!(std::thread::spawn(place).join().unwrap(), place());
        };
        assert_eq!(run(heir).join().unwrap(), (short, nice));
        let picture = || {
            come_between();
            work_on_pictures();
        };
        assert_eq!(run(picture).join().unwrap(), (usual, nice));
        // A thread of a pool that did something else before.
        let sound = || {
            work_on_pictures();
            come_between();
        };
        assert_eq!(run(sound).join().unwrap(), (short, nice));
    }
}
