// SPDX-License-Identifier: MPL-2.0

//! The seam to the door over standard input and output.
//!
//! Effects print: the two descriptors are taken away from the process before GStreamer is loaded,
//! and standard output is pointed at standard error.

use ducksoup_signaller::frame::{self, DoorFrame, StageFrame};
use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::time::Duration;

/// Frames that wait for a slow door. Ours: a burst of candidates for eight peers is under 200.
const BACKLOG: usize = 1024;
/// Longest line taken from the door; an SDP of eight participants is under 64 KiB.
const MAX_LINE: u64 = 1 << 20;

/// What comes from the door.
#[derive(Debug)]
pub enum FromDoor {
    /// A frame.
    Frame(DoorFrame),
    /// A line that is none; the reason.
    Rubbish(String),
    /// End of file: the door is gone.
    Gone,
}

/// Where frames for the door go.
#[derive(Debug, Clone)]
pub struct ToDoor(SyncSender<StageFrame>);

impl ToDoor {
    /// Sends a frame. Statistics and log echoes are dropped when the door is slow; everything else
    /// waits for it: a door that does not read for long kills its stage.
    pub fn send(&self, frame: StageFrame) {
        match frame {
            StageFrame::Stats { .. } | StageFrame::Log { .. } => match self.0.try_send(frame) {
                Ok(()) | Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => {}
            },
            // A closed channel means that the door is gone, which the reader reports.
            lifecycle => drop(self.0.send(lifecycle)),
        }
    }
}

/// Writes what is left for the door, at the end.
#[derive(Debug)]
pub struct Flush(Receiver<()>);

impl Flush {
    /// Waits until everything is written, once every [`ToDoor`] is gone, `limit` at most.
    pub fn wait(self, limit: Duration) {
        // Both the end of the writer and the limit are good ends.
        let _ = self.0.recv_timeout(limit);
    }
}

/// Takes standard input and output away from the process and carries frames over them;
/// `received` is called on a thread of its own.
///
/// # Errors
/// When the descriptors cannot be had.
pub fn stdio(received: impl Fn(FromDoor) + Send + 'static) -> std::io::Result<(ToDoor, Flush)> {
    let input = File::from(rustix::io::dup(rustix::stdio::stdin())?);
    let output = File::from(rustix::io::dup(rustix::stdio::stdout())?);
    let null = File::open("/dev/null")?;
    rustix::stdio::dup2_stdin(&null)?;
    rustix::stdio::dup2_stdout(rustix::stdio::stderr())?;
    // The copies must not leak into programs that an effect may start.
    rustix::io::fcntl_setfd(&input, rustix::io::FdFlags::CLOEXEC)?;
    rustix::io::fcntl_setfd(&output, rustix::io::FdFlags::CLOEXEC)?;
    carry(input, output, received)
}

/// Carries frames over any two files.
fn carry(
    input: impl std::io::Read + Send + 'static,
    mut output: impl Write + Send + 'static,
    received: impl Fn(FromDoor) + Send + 'static,
) -> std::io::Result<(ToDoor, Flush)> {
    std::thread::Builder::new().name("from-door".to_owned()).spawn(move || {
        read(BufReader::new(input), received);
    })?;
    let (sender, frames) = sync_channel::<StageFrame>(BACKLOG);
    let (done, flush) = sync_channel(1);
    std::thread::Builder::new().name("to-door".to_owned()).spawn(move || {
        for frame in frames {
            let Ok(line) = frame::line(&frame) else {
                continue;
            };
            if output.write_all(line.as_bytes()).and_then(|()| output.flush()).is_err() {
                break;
            }
        }
        drop(done);
    })?;
    Ok((ToDoor(sender), Flush(flush)))
}

fn read(mut input: impl BufRead, received: impl Fn(FromDoor)) {
    let mut line = Vec::new();
    loop {
        line.clear();
        match std::io::Read::take(&mut input, MAX_LINE).read_until(b'\n', &mut line) {
            Ok(0) | Err(_) => break,
            Ok(_) => match serde_json::from_slice(&line) {
                Ok(frame) => received(FromDoor::Frame(frame)),
                Err(error) => received(FromDoor::Rubbish(error.to_string())),
            },
        }
    }
    received(FromDoor::Gone);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_become_frames_and_the_end_is_told() {
        let input = b"{\"frame\":\"shutdown\"}\nrubbish\n".as_slice();
        let (sender, received) = std::sync::mpsc::channel();
        read(input, move |message| sender.send(message).expect("the test listens"));
        assert!(matches!(received.recv(), Ok(FromDoor::Frame(DoorFrame::Shutdown))));
        assert!(matches!(received.recv(), Ok(FromDoor::Rubbish(_))));
        assert!(matches!(received.recv(), Ok(FromDoor::Gone)));
    }

    #[test]
    fn frames_become_lines_before_the_flush_returns() {
        let (read_end, write_end) = std::io::pipe().expect("a pipe");
        let (door, flush) = carry(std::io::empty(), write_end, |_| {}).expect("threads");
        door.send(StageFrame::Ready);
        door.send(StageFrame::Over);
        drop(door);
        flush.wait(Duration::from_secs(10));
        let lines: Vec<_> = BufReader::new(read_end).lines().map_while(Result::ok).collect();
        assert_eq!(lines, [r#"{"frame":"ready"}"#, r#"{"frame":"over"}"#]);
    }
}
