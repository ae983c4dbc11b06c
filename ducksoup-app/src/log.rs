// SPDX-License-Identifier: MPL-2.0

//! The global log: JSON lines `{level, time, context, message, …}` to a file or standard error,
//! and a readable form of the same on standard output.
//!
//! Code logs through the `log` facade with key-values: the message is a stable event name, all
//! else are fields (`log::info!(context = "server", path = path; "not_found")`). One thread
//! writes, so that a slow disk or a stopped terminal never holds a participant up; when it
//! cannot follow, lines are dropped and counted.

pub mod messages;

use crate::config::LogConfig;
use log::kv::{self, Key, Value as KvValue, VisitSource};
use log::{Level, LevelFilter, Log, Metadata, Record};
use serde_json::{Map, Value};
use std::fmt::Write as _;
use std::fs::{File, OpenOptions};
use std::io::{IsTerminal as _, Write as _};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

/// Target of what ends the program; shown at every level.
pub const FATAL: &str = "ducksoup::fatal";
/// Lines that may wait for the writer. Ours: some seconds of a busy server at level 4.
const QUEUE: usize = 4096;
/// How long the end waits for the last lines. Ours.
const FLUSH_LIMIT: Duration = Duration::from_secs(1);

static LOGGER: OnceLock<Logger> = OnceLock::new();

/// What the writer is told.
enum Job {
    /// Write an entry; on standard output only when it belongs to an interaction's own log.
    Entry { entry: Map<String, Value>, stdout_only: bool },
    /// Say when everything before is written.
    Flush(SyncSender<()>),
}

struct Logger {
    level: u8,
    caller: bool,
    to_writer: SyncSender<Job>,
    dropped: AtomicU64,
}

/// The log file that cannot be opened.
#[derive(Debug, thiserror::Error)]
#[error("DUCKSOUP_LOG_FILE: {file} cannot be opened: {reason}")]
pub struct LogFileError {
    file: String,
    reason: std::io::Error,
}

/// Starts the log of this process; later calls change nothing.
///
/// # Errors
/// When the log file cannot be opened for appending (its folder is made if need be).
pub fn init(config: &LogConfig) -> Result<(), LogFileError> {
    let file = config.file.as_deref().map(open).transpose()?;
    let (to_writer, jobs) = sync_channel(QUEUE);
    let terminal = std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let stdout = match (config.stdout, terminal) {
        (false, _) => Printed::No,
        (true, false) => Printed::Plain,
        (true, true) => Printed::Coloured,
    };
    let writer = Writer { stderr: file.is_none() && !config.stdout, file, stdout };
    let logger = Logger {
        level: config.level,
        caller: config.caller,
        to_writer,
        dropped: AtomicU64::new(0),
    };
    if LOGGER.set(logger).is_err() {
        return Ok(());
    }
    let started = std::thread::Builder::new().name("log".into()).spawn(move || writer.run(&jobs));
    if let (Ok(_), Some(logger)) = (started, LOGGER.get()) {
        // A logger that is there already keeps its place.
        let _ = log::set_logger(logger);
        log::set_max_level(LevelFilter::Trace);
    }
    Ok(())
}

/// What a panic of this process leaves: a hook for [`std::panic::set_hook`].
pub fn tell_panic(panic: &std::panic::PanicHookInfo<'_>) {
    log::error!(target: FATAL, context = "app", error:% = panic; "app_panicked");
    log::logger().flush();
}

/// Prints an entry of an interaction's log on standard output, where that is wanted.
pub fn interaction_entry(entry: Map<String, Value>) {
    if let Some(logger) = LOGGER.get() {
        logger.queue(Job::Entry { entry, stdout_only: true });
    }
}

fn open(path: &std::path::Path) -> Result<File, LogFileError> {
    if let Some(folder) = path.parent() {
        // Its failure shows in the opening below.
        let _ = std::fs::create_dir_all(folder);
    }
    OpenOptions::new()
        .create(true)
        .append(true)
        .open(path)
        .map_err(|reason| LogFileError { file: path.display().to_string(), reason })
}

impl Logger {
    fn queue(&self, job: Job) {
        if self.to_writer.try_send(job).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Log for Logger {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        shown(self.level, metadata.level(), metadata.target())
    }

    fn log(&self, record: &Record<'_>) {
        if !self.enabled(record.metadata()) {
            return;
        }
        let dropped = self.dropped.swap(0, Ordering::Relaxed);
        if dropped > 0 {
            self.queue(Job::Entry { entry: lost(dropped), stdout_only: false });
        }
        self.queue(Job::Entry { entry: entry(record, self.caller, &now()), stdout_only: false });
    }

    fn flush(&self) {
        let (done, wait) = sync_channel(1);
        self.queue(Job::Flush(done));
        let _ = wait.recv_timeout(FLUSH_LIMIT);
    }
}

/// Whether entries go to standard output too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Printed {
    No,
    Plain,
    /// With the colours of a terminal.
    Coloured,
}

/// The end of a colour (ECMA-48, SGR).
const PLAIN: &str = "\x1b[0m";

/// The colour of an entry's level.
fn colour(entry: &Map<String, Value>) -> &'static str {
    match entry.get("level").and_then(Value::as_str) {
        Some("fatal" | "error") => "\x1b[31m",
        Some("warn") => "\x1b[33m",
        Some("info") => "\x1b[32m",
        Some("debug") => "\x1b[36m",
        _ => "\x1b[90m",
    }
}

/// The one thread that writes.
struct Writer {
    file: Option<File>,
    stdout: Printed,
    stderr: bool,
}

impl Writer {
    // A log that cannot be written has nobody left to tell.
    fn run(mut self, jobs: &Receiver<Job>) {
        while let Ok(job) = jobs.recv() {
            match job {
                Job::Flush(done) => {
                    let _ = done.try_send(());
                }
                Job::Entry { entry, stdout_only } => self.write(&entry, stdout_only),
            }
        }
    }

    fn write(&mut self, entry: &Map<String, Value>, stdout_only: bool) {
        let line = match self.stdout {
            Printed::No => None,
            Printed::Plain => Some(pretty(entry, "", "")),
            Printed::Coloured => Some(pretty(entry, colour(entry), PLAIN)),
        };
        if let Some(line) = line {
            let _ = writeln!(std::io::stdout(), "{line}");
        }
        if stdout_only {
            return;
        }
        let mut line = serde_json::to_string(entry).unwrap_or_default();
        line.push('\n');
        if let Some(file) = &mut self.file {
            let _ = file.write_all(line.as_bytes());
        }
        if self.stderr {
            let _ = std::io::stderr().write_all(line.as_bytes());
        }
    }
}

/// Whether a level setting shows a record. Foreign crates only speak when something is wrong.
fn shown(setting: u8, level: Level, target: &str) -> bool {
    if target == FATAL {
        return true;
    }
    let needs = match level {
        Level::Error | Level::Warn => 1,
        Level::Info => 2,
        Level::Debug => 3,
        Level::Trace => 4,
    };
    setting >= needs && (level <= Level::Warn || target.starts_with("ducksoup"))
}

/// UTC, in the documented style `20060102-150405.000`.
fn now() -> String {
    jiff::Timestamp::now().strftime("%Y%m%d-%H%M%S%.3f").to_string()
}

/// A record as the documented object.
fn entry(record: &Record<'_>, caller: bool, time: &str) -> Map<String, Value> {
    let mut fields = Fields(Map::new());
    let _ = record.key_values().visit(&mut fields);
    let Fields(mut fields) = fields;
    let level = match (record.target(), record.level()) {
        (FATAL, _) => "fatal",
        (_, Level::Error) => "error",
        (_, Level::Warn) => "warn",
        (_, Level::Info) => "info",
        (_, Level::Debug) => "debug",
        (_, Level::Trace) => "trace",
    };
    let mut entry = Map::new();
    entry.insert("level".into(), level.into());
    entry.insert("time".into(), time.into());
    let context = fields.remove("context").unwrap_or_else(|| "app".into());
    entry.insert("context".into(), context);
    entry.insert("message".into(), record.args().to_string().into());
    entry.append(&mut fields);
    if caller && let (Some(file), Some(line)) = (record.file(), record.line()) {
        entry.insert("caller".into(), format!("{file}:{line}").into());
    }
    entry
}

fn lost(count: u64) -> Map<String, Value> {
    let mut entry = Map::new();
    entry.insert("level".into(), "warn".into());
    entry.insert("time".into(), now().into());
    entry.insert("context".into(), "app".into());
    entry.insert("message".into(), "log_entries_dropped".into());
    entry.insert("value".into(), count.into());
    entry
}

/// The readable form: time, level (between `on` and `off`), context, message, then the fields.
fn pretty(entry: &Map<String, Value>, on: &str, off: &str) -> String {
    let text = |name: &str| entry.get(name).and_then(Value::as_str).unwrap_or("-");
    let mut line = format!(
        "{} {on}{:5}{off} [{}] {}",
        text("time"),
        text("level").to_uppercase(),
        text("context"),
        // GStreamer's and clients' words are free.
        text("message").replace(char::is_control, " ")
    );
    for (name, value) in entry {
        if !matches!(name.as_str(), "time" | "level" | "context" | "message") {
            let _ = write!(line, " {name}={value}");
        }
    }
    line
}

/// Key-values as JSON.
struct Fields(Map<String, Value>);

impl<'kvs> VisitSource<'kvs> for Fields {
    fn visit_pair(&mut self, key: Key<'kvs>, value: KvValue<'kvs>) -> Result<(), kv::Error> {
        let json = if let Some(number) = value.to_u64() {
            number.into()
        } else if let Some(number) = value.to_i64() {
            number.into()
        } else if let Some(number) = value.to_f64() {
            number.into()
        } else if let Some(flag) = value.to_bool() {
            flag.into()
        } else {
            value.to_string().into()
        };
        self.0.insert(key.as_str().to_owned(), json);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn levels_show_what_the_documents_say() {
        let shown_at = |setting| {
            [Level::Error, Level::Warn, Level::Info, Level::Debug, Level::Trace]
                .into_iter()
                .filter(|level| shown(setting, *level, "ducksoup_app::serve"))
                .count()
        };
        assert_eq!([0, 1, 2, 3, 4].map(shown_at), [0, 2, 3, 4, 5]);
        assert!(shown(0, Level::Error, FATAL));
        assert!(!shown(4, Level::Info, "hyper::proto"));
        assert!(shown(3, Level::Warn, "hyper::proto"));
    }

    #[test]
    fn an_entry_has_the_documented_properties() {
        let pairs = [
            ("context", KvValue::from("server")),
            ("path", KvValue::from("/a\n\"b\"")),
            ("value", KvValue::from(3)),
            ("ok", KvValue::from(true)),
        ];
        let record = Record::builder()
            .args(format_args!("not_found\n"))
            .level(Level::Info)
            .target("ducksoup_app")
            .file(Some("src/x.rs"))
            .line(Some(7))
            .key_values(&pairs)
            .build();
        let entry = entry(&record, true, "20060102-150405.000");
        assert_eq!(
            Value::Object(entry.clone()),
            json!({"level": "info", "time": "20060102-150405.000", "context": "server",
                "message": "not_found\n", "path": "/a\n\"b\"", "value": 3, "ok": true,
                "caller": "src/x.rs:7"})
        );
        let line = pretty(&entry, "", "");
        assert!(line.starts_with("20060102-150405.000 INFO  [server] not_found "));
        assert!(!line.contains('\n'), "a client's text makes no line: {line}");
        let line = pretty(&entry, colour(&entry), PLAIN);
        assert!(line.contains(" \x1b[32mINFO \x1b[0m [server] not_found"), "{line:?}");
    }

    #[test]
    fn time_is_written_in_the_documented_style() {
        let now = now();
        let shape: String = now.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
        assert_eq!(shape, "00000000-000000.000", "{now}");
    }

    #[test]
    fn a_file_that_cannot_be_opened_is_named_with_its_variable() {
        let folder = tempfile::tempdir().expect("a folder");
        let error = open(folder.path()).expect_err("a folder is no file");
        assert!(error.to_string().starts_with("DUCKSOUP_LOG_FILE: "));
        let nested = folder.path().join("log/ducksoup.log");
        assert!(open(&nested).is_ok(), "its folder is made");
    }
}
