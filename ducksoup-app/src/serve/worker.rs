// SPDX-License-Identifier: MPL-2.0

//! Stage processes: one for each run, and a warm spare so that nobody waits for one. Frames go
//! to a stage's standard input and come from its standard output, one a line.

use super::limits::{Limits, MAX_STAGE_LINE, STAGE_QUEUE};
use super::roster::Stage;
use ducksoup_signaller::frame::{self, DoorFrame, StageFrame};
use rustix::process::{Pid, Signal, kill_process_group};
use std::collections::HashMap;
use std::io::IsTerminal as _;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::{Duration, Instant};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStdin, Command};
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

/// How long the output of a killed stage is still read: what it wrote before is still good.
const LAST_OUTPUT: Duration = Duration::from_secs(1);

/// What a stage process does.
#[derive(Debug)]
pub(crate) struct StageEvent {
    /// Which one.
    pub(crate) stage: Stage,
    /// What.
    pub(crate) what: StageDeed,
}

/// See [`StageEvent`].
#[derive(Debug)]
pub(crate) enum StageDeed {
    /// It says something.
    Said(StageFrame),
    /// Its process is gone, and all it said was told before.
    Ended,
}

/// All stage processes of this door.
#[derive(Debug)]
pub(crate) struct Stages {
    program: Vec<PathBuf>,
    limits: Limits,
    events: mpsc::Sender<StageEvent>,
    running: HashMap<Stage, Running>,
    spare: Spare,
    next: u64,
}

/// The process that waits for the next run.
#[derive(Debug, Clone, Copy)]
enum Spare {
    /// It waits.
    Warm(Stage),
    /// It is to be started at this time.
    Due(Instant),
    /// No more.
    Unwanted,
}

/// A process, from here.
#[derive(Debug)]
struct Running {
    frames: mpsc::Sender<DoorFrame>,
    kill: Option<oneshot::Sender<()>>,
    /// Its process id, while it has one.
    pid: Option<i32>,
}

impl Stages {
    /// No process runs yet; the spare is due. What the processes do goes to `events`.
    pub(crate) fn new(
        program: Vec<PathBuf>,
        limits: Limits,
        events: mpsc::Sender<StageEvent>,
        now: Instant,
    ) -> Self {
        Self { program, limits, events, running: HashMap::new(), spare: Spare::Due(now), next: 1 }
    }

    /// Which process [`Stages::open`] will take next.
    pub(crate) fn reserve(&mut self, now: Instant) -> Stage {
        match self.spare {
            Spare::Warm(stage) => {
                self.spare = Spare::Due(now);
                stage
            }
            Spare::Due(_) | Spare::Unwanted => self.number(),
        }
    }

    /// Makes a reserved process a stage: starts it, if it is not the spare.
    ///
    /// # Errors
    /// When no process can be started.
    pub(crate) fn open(&mut self, stage: Stage) -> std::io::Result<()> {
        if self.running.contains_key(&stage) {
            return Ok(());
        }
        self.start(stage)
    }

    /// Hands a frame over without waiting.
    pub(crate) fn tell(&mut self, stage: Stage, frame: DoorFrame) {
        let Some(running) = self.running.get(&stage) else {
            return;
        };
        if let Err(mpsc::error::TrySendError::Full(_)) = running.frames.try_send(frame) {
            self.kill(stage, "does not read");
        }
    }

    /// Kills a process, and what it started.
    pub(crate) fn kill(&mut self, stage: Stage, why: &'static str) {
        if let Some(kill) = self.running.get_mut(&stage).and_then(|r| r.kill.take()) {
            log::error!(context = "app", stage = stage.0, cause = why; "stage_killed");
            // Gone already is as good.
            let _ = kill.send(());
        }
    }

    /// A process is gone.
    pub(crate) fn ended(&mut self, stage: Stage, now: Instant) {
        self.running.remove(&stage);
        if matches!(self.spare, Spare::Warm(spare) if spare == stage) {
            log::error!(context = "app", stage = stage.0; "spare_stage_ended");
            self.spare = Spare::Due(now + self.limits.respawn);
        }
    }

    /// When [`Stages::tick`] has something to do.
    pub(crate) fn next_timeout(&self) -> Option<Instant> {
        match self.spare {
            Spare::Due(at) => Some(at),
            Spare::Warm(_) | Spare::Unwanted => None,
        }
    }

    /// Starts the spare when it is due.
    pub(crate) fn tick(&mut self, now: Instant) {
        if !matches!(self.spare, Spare::Due(at) if at <= now) {
            return;
        }
        let stage = self.number();
        self.spare = match self.start(stage) {
            Ok(()) => Spare::Warm(stage),
            Err(error) => {
                log::error!(context = "app", error:% = error; "stage_not_started");
                Spare::Due(now + self.limits.respawn)
            }
        };
    }

    /// No new spare, and the old one, which has nothing to finish, goes.
    pub(crate) fn dismiss_spare(&mut self) {
        if let Spare::Warm(stage) = std::mem::replace(&mut self.spare, Spare::Unwanted)
            && let Some(running) = self.running.get_mut(&stage)
            && let Some(kill) = running.kill.take()
        {
            let _ = kill.send(());
        }
    }

    /// Kills what still runs.
    pub(crate) fn kill_all(&mut self, why: &'static str) {
        let stages: Vec<_> = self.running.keys().copied().collect();
        for stage in stages {
            self.kill(stage, why);
        }
    }

    /// The process id of a stage.
    pub(crate) fn pid(&self, stage: Stage) -> Option<i32> {
        self.running.get(&stage)?.pid
    }

    /// Whether no process runs.
    pub(crate) fn none_left(&self) -> bool {
        self.running.is_empty()
    }

    fn number(&mut self) -> Stage {
        let stage = Stage(self.next);
        self.next += 1;
        stage
    }

    fn start(&mut self, stage: Stage) -> std::io::Result<()> {
        let (program, arguments) =
            self.program.split_first().ok_or_else(|| std::io::Error::other("no program"))?;
        let mut command = Command::new(program);
        // GStreamer's words go to standard error, in colours wherever that is.
        if !std::io::stderr().is_terminal() {
            command.env("GST_DEBUG_NO_COLOR", "1");
        }
        let mut child = command
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            // A Ctrl-C in the terminal is for the door; the stages are told by frames.
            .process_group(0)
            .spawn()?;
        let (Some(stdin), Some(stdout)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(std::io::Error::other("no pipes"));
        };
        log::debug!(context = "app", stage = stage.0, pid = child.id().unwrap_or(0); "stage_started");
        let pid = child.id().and_then(|pid| i32::try_from(pid).ok());
        let (frames, to_write) = mpsc::channel(STAGE_QUEUE);
        let (kill, killed) = oneshot::channel();
        let keeper = Keeper { stage, child, limits: self.limits, events: self.events.clone() };
        let stuck = tokio::spawn(write(stdin, to_write, self.limits.read));
        tokio::spawn(keeper.keep(stdout, stuck, killed));
        let running = Running { frames, kill: Some(kill), pid };
        self.running.insert(stage, running);
        Ok(())
    }
}

/// How writing to a stage ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Written {
    /// There is nothing more to write, or nobody to read it.
    Done,
    /// The stage does not read.
    Stuck,
}

/// Writes frames in order, none left out, each within the limit.
async fn write(
    mut stdin: ChildStdin,
    mut frames: mpsc::Receiver<DoorFrame>,
    limit: Duration,
) -> Written {
    while let Some(frame) = frames.recv().await {
        let line = match frame::line(&frame) {
            Ok(line) => line,
            Err(error) => {
                log::error!(context = "app", error:% = error; "door_frame_unwritable");
                continue;
            }
        };
        match timeout(limit, stdin.write_all(line.as_bytes())).await {
            Ok(Ok(())) => {}
            // A broken pipe: the process is about to be seen gone.
            Ok(Err(_)) => return Written::Done,
            Err(_) => return Written::Stuck,
        }
    }
    Written::Done
}

/// Stays with one process to its end.
struct Keeper {
    stage: Stage,
    child: Child,
    limits: Limits,
    events: mpsc::Sender<StageEvent>,
}

impl Keeper {
    async fn keep(
        mut self,
        stdout: impl AsyncRead + Unpin,
        mut writing: tokio::task::JoinHandle<Written>,
        mut killed: oneshot::Receiver<()>,
    ) {
        let stage = self.stage.0;
        let group = self.child.id().and_then(|pid| i32::try_from(pid).ok());
        let group = group.and_then(Pid::from_raw);
        let reading = read(self.stage, stdout, self.events.clone());
        tokio::pin!(reading);
        let mut output = Output::Open;
        let mut writes = true;
        let cause = loop {
            tokio::select! {
                end = &mut reading, if output == Output::Open => {
                    output = end;
                    match end {
                        Output::Refused => break "line too long",
                        // Nothing more can be said; the exit follows at once, or it is helped along.
                        _ => match timeout(self.limits.read, self.child.wait()).await {
                            Ok(_) => break "exit",
                            Err(_) => break "closed its output",
                        },
                    }
                }
                _ = self.child.wait() => break "exit",
                _ = &mut killed => break "killed",
                written = &mut writing, if writes => {
                    writes = false;
                    if matches!(written, Ok(Written::Stuck)) {
                        break "does not read";
                    }
                }
            }
        };
        // What an effect may have started goes with its stage.
        if let Some(group) = group {
            // Gone already is as good.
            let _ = kill_process_group(group, Signal::KILL);
        }
        if output == Output::Open {
            let _ = timeout(LAST_OUTPUT, reading).await;
        }
        let (good, status) = match self.child.wait().await {
            // Whoever had it killed has said so.
            Ok(status) => (status.success() || cause == "killed", status.to_string()),
            Err(error) => (false, error.to_string()),
        };
        writing.abort();
        if good {
            log::info!(context = "app", stage = stage, cause = cause, status = status.as_str(); "stage_ended");
        } else {
            log::error!(context = "app", stage = stage, cause = cause, status = status.as_str(); "stage_crashed");
        }
        let event = StageEvent { stage: self.stage, what: StageDeed::Ended };
        // Nobody listens once the door is gone.
        let _ = self.events.send(event).await;
    }
}

/// What has become of a stage's standard output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Output {
    /// It is read.
    Open,
    /// The stage closed it.
    Closed,
    /// A line was too long; it is read no more.
    Refused,
}

/// Reads frames until the end of the output, or a line that is too long.
async fn read(
    stage: Stage,
    stdout: impl AsyncRead + Unpin,
    events: mpsc::Sender<StageEvent>,
) -> Output {
    let mut stdout = BufReader::new(stdout);
    let mut line = Vec::new();
    loop {
        line.clear();
        let mut limited = (&mut stdout).take(MAX_STAGE_LINE as u64);
        match limited.read_until(b'\n', &mut line).await {
            Ok(0) | Err(_) => return Output::Closed,
            Ok(_) => {}
        }
        if line.last() != Some(&b'\n') {
            // Cut by the limit, or by a death in the middle of a word.
            return match line.len() {
                MAX_STAGE_LINE => Output::Refused,
                _ => Output::Closed,
            };
        }
        match serde_json::from_slice(&line) {
            Ok(StageFrame::Log { entry }) => crate::log::interaction_entry(entry),
            Ok(frame) => {
                let event = StageEvent { stage, what: StageDeed::Said(frame) };
                if events.send(event).await.is_err() {
                    return Output::Closed;
                }
            }
            Err(error) => {
                log::error!(context = "app", stage = stage.0, error:% = error; "stage_frame_refused");
            }
        }
    }
}
