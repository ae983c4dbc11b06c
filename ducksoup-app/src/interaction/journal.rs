// SPDX-License-Identifier: MPL-2.0

//! What a study finds beside its recordings: the interaction's log (JSON lines, appended), the run's
//! manifest and its table of events. The log's messages are those of [`Message`]; clients and GStreamer
//! bring words of their own.

use super::carrier::ToDoor;
use super::events::{self, Event};
use super::gstreamer_log::Words;
use super::naming::{Run, stamp};
use crate::archive::hold::Hold;
use crate::log::messages::{About, Level, Message};
use ducksoup_signaller::frame::{Opening, StageFrame};
use ducksoup_signaller::protocol::{Identifier, JoinOptions};
use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// One finished file.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Recording {
    /// Below the data folder.
    pub path: String,
    /// Whose.
    pub user: Identifier,
    /// What the recorder reported of it.
    #[serde(flatten)]
    pub report: Map<String, Value>,
}

/// t0 on every clock that matters.
#[derive(Debug, Clone, Copy)]
pub struct Zero {
    /// For people.
    pub utc: Timestamp,
    /// The machine's monotonic clock, in ns.
    pub monotonic: u64,
    /// The pipeline's, in ns.
    pub running_time: u64,
    /// This process's.
    pub at: Instant,
}

/// The run's manifest, rewritten whole at each change.
#[derive(Debug, Serialize)]
struct Manifest {
    id: Identifier,
    origin: String,
    namespace: Identifier,
    interaction: Identifier,
    version: &'static str,
    gstreamer: String,
    /// `gathering`, `running`, `ended`, `aborted` or `interrupted`.
    state: &'static str,
    /// UTC.
    created: String,
    /// t0, UTC: zero in every file that begins with the run.
    #[serde(skip_serializing_if = "Option::is_none")]
    started: Option<String>,
    /// The same in ns of the machine's monotonic clock, which no one sets.
    #[serde(skip_serializing_if = "Option::is_none")]
    started_monotonic: Option<u64>,
    /// Each user's options, by their latest join.
    participants: BTreeMap<Identifier, JoinOptions>,
    files: Vec<Recording>,
}

/// The table of events. There is none without a t0.
#[derive(Debug)]
enum Events {
    /// These wait for it.
    Waiting(Vec<Event>),
    /// It is known, in ns of the running time.
    Open { table: File, zero: u64 },
    /// Nothing more is written: it is over, or cannot be written, and the log says why.
    Lost,
}

/// See the module.
#[derive(Debug)]
pub struct Journal {
    run: Run,
    data: PathBuf,
    log: Option<File>,
    level: u8,
    events: Events,
    /// Where entries are echoed, when the server prints them.
    echo: Option<ToDoor>,
    created: Instant,
    started: Option<Instant>,
    manifest: Manifest,
    /// Ends with the process.
    hold: Hold,
}

impl Journal {
    /// A journal for a run that begins now. Nothing is written before the first entry.
    #[must_use]
    pub fn new(opening: &Opening, door: &ToDoor) -> Self {
        let run = Run {
            namespace: opening.namespace.clone(),
            interaction: opening.interaction.clone(),
            id: opening.id.clone(),
        };
        let manifest = Manifest {
            id: run.id.clone(),
            origin: opening.origin.clone(),
            namespace: run.namespace.clone(),
            interaction: run.interaction.clone(),
            version: env!("CARGO_PKG_VERSION"),
            gstreamer: gst::version_string().to_string(),
            state: "gathering",
            created: Timestamp::now().to_string(),
            started: None,
            started_monotonic: None,
            participants: BTreeMap::new(),
            files: Vec::new(),
        };
        let hold = Hold::new(opening.settings.data.join(run.manifest()));
        Self {
            run,
            data: opening.settings.data.clone(),
            log: None,
            events: Events::Waiting(Vec::new()),
            level: opening.settings.log_level,
            echo: opening.settings.log_to_door.then(|| door.clone()),
            created: Instant::now(),
            started: None,
            manifest,
            hold,
        }
    }

    /// What makes the run.
    #[must_use]
    pub fn run(&self) -> &Run {
        &self.run
    }

    /// Appends an entry. `fields` is a JSON object with the properties of the message's table.
    pub fn log(&mut self, message: Message, user: Option<&Identifier>, fields: Value) {
        let About { name, context, level, properties, .. } = message.about();
        if let Value::Object(fields) = &fields {
            let unknown = |name: &&String| !properties.iter().any(|(known, _)| known == name);
            debug_assert_eq!(fields.keys().find(unknown), None, "{name} has no such property");
        }
        self.write(level, context, name, user, fields);
    }

    /// Appends what a client says: `client_…` and `ext_…`, whose kind is free.
    pub fn client(&mut self, user: &Identifier, kind: &str, text: Option<String>) {
        let (context, property) = client_words(kind);
        let mut fields = json!({"source": "client"});
        if let Some(text) = text {
            fields[property] = Value::String(text);
        }
        self.write(Level::Debug, context, kind, Some(user), fields);
    }

    /// Appends an entry of GStreamer's own log.
    pub fn gstreamer(&mut self, words: &Words, user: Option<&Identifier>) {
        let fields = json!({"category": words.category, "element": words.object});
        self.write(words.level, "gstreamer", &words.text, user, fields);
    }

    fn write(
        &mut self,
        level: Level,
        context: &str,
        message: &str,
        user: Option<&Identifier>,
        fields: Value,
    ) {
        if level.number() > self.level {
            return;
        }
        let now = Instant::now();
        let mut entry = Map::new();
        entry.insert("level".into(), level.name().into());
        entry.insert("time".into(), stamp(Timestamp::now()).into());
        entry.insert("context".into(), context.into());
        entry.insert("message".into(), message.into());
        entry.insert("namespace".into(), self.run.namespace.as_str().into());
        entry.insert("interaction".into(), self.run.interaction.as_str().into());
        if let Some(user) = user {
            entry.insert("user".into(), user.as_str().into());
        }
        entry.insert("sinceCreation".into(), json!(milliseconds(now.duration_since(self.created))));
        if let Some(started) = self.started {
            entry.insert("sinceStart".into(), json!(milliseconds_since(started, now)));
        }
        if let Value::Object(fields) = fields {
            entry.extend(fields);
        }
        self.append(&entry);
        if let Some(door) = &self.echo {
            door.send(StageFrame::Log { entry });
        }
    }

    /// A full disk must not end a conversation: what cannot be written goes to standard error.
    fn append(&mut self, entry: &Map<String, Value>) {
        let line = format!("{}\n", Value::Object(entry.clone()));
        if self.log.is_none() {
            match open_log(&self.data.join(self.run.log())) {
                Ok(log) => self.log = Some(log),
                Err(error) => eprintln!("cannot write the interaction's log: {error}"),
            }
        }
        if let Some(log) = &mut self.log
            && let Err(error) = append_line(log, &line)
        {
            eprintln!("cannot write the interaction's log: {error}: {line}");
        }
    }

    /// Whether nobody has joined yet.
    #[must_use]
    pub fn is_new(&self) -> bool {
        self.manifest.participants.is_empty()
    }

    /// Notes a participant's options.
    pub fn participant(&mut self, options: &JoinOptions) {
        self.manifest.participants.insert(options.user.clone(), options.clone());
        self.save();
    }

    /// Notes t0.
    pub fn started(&mut self, zero: Zero) {
        let running_time = zero.running_time;
        self.started = Some(zero.at);
        self.manifest.started = Some(zero.utc.to_string());
        self.manifest.started_monotonic = Some(zero.monotonic);
        self.manifest.state = "running";
        self.save();
        let waiting = match std::mem::replace(&mut self.events, Events::Lost) {
            Events::Waiting(waiting) => waiting,
            other => {
                self.events = other;
                return;
            }
        };
        match File::create_new(self.data.join(self.run.events())) {
            Ok(table) => self.events = Events::Open { table, zero: running_time },
            Err(error) => return self.events_lost(&error),
        }
        self.write_event_line(&events::header());
        let dictionary = serde_json::to_vec_pretty(&events::dictionary()).unwrap_or_default();
        if let Err(error) = std::fs::write(self.data.join(self.run.dictionary()), dictionary) {
            let fields = json!({"error": error.to_string()});
            self.log(Message::EventsWriteFailed, None, fields);
        }
        for event in waiting {
            self.event(event);
        }
    }

    /// Adds a line to the table of events.
    pub fn event(&mut self, event: Event) {
        match &mut self.events {
            Events::Waiting(waiting) => waiting.push(event),
            Events::Open { zero, .. } => {
                let line = event.line(*zero);
                self.write_event_line(&line);
            }
            Events::Lost => {}
        }
    }

    fn write_event_line(&mut self, line: &str) {
        if let Events::Open { table, .. } = &mut self.events
            && let Err(error) = append_line(table, line)
        {
            self.events_lost(&error);
        }
    }

    /// Nothing more happens: the table is brought into the order of time.
    pub fn events_end(&mut self) {
        if !matches!(std::mem::replace(&mut self.events, Events::Lost), Events::Open { .. }) {
            return;
        }
        let path = self.data.join(self.run.events());
        let new = path.with_extension("tsv.new");
        let sorted = std::fs::read_to_string(&path)
            .and_then(|table| std::fs::write(&new, events::sorted(&table)))
            .and_then(|()| std::fs::rename(&new, &path));
        if let Err(error) = sorted {
            self.events_lost(&error);
        }
    }

    fn events_lost(&mut self, error: &std::io::Error) {
        self.events = Events::Lost;
        let fields = json!({"error": error.to_string()});
        self.log(Message::EventsWriteFailed, None, fields);
    }

    /// Notes a finished file.
    pub fn file(&mut self, recording: Recording) {
        self.manifest.files.push(recording);
        self.save();
    }

    /// Notes how the run ended.
    pub fn ended(&mut self, state: &'static str) {
        self.manifest.state = state;
        self.save();
    }

    /// The finished files by user, as clients are told.
    #[must_use]
    pub fn files(&self) -> BTreeMap<Identifier, Vec<String>> {
        let mut files: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for recording in &self.manifest.files {
            files.entry(recording.user.clone()).or_default().push(recording.path.clone());
        }
        files
    }

    /// Replaced in one step, and held: so it is known to be that of a run that lives.
    fn save(&mut self) {
        let path = self.data.join(self.run.manifest());
        let saved = serde_json::to_vec_pretty(&self.manifest)
            .map_err(std::io::Error::other)
            .and_then(|text| {
                create_parent(&path)?;
                self.hold.replace(&text)
            });
        if let Err(error) = saved {
            let fields = json!({"error": error.to_string()});
            self.log(Message::ManifestWriteFailed, None, fields);
        }
    }
}

fn create_parent(path: &Path) -> std::io::Result<()> {
    path.parent().map_or(Ok(()), std::fs::create_dir_all)
}

fn open_log(path: &Path) -> std::io::Result<File> {
    create_parent(path)?;
    File::options().create(true).append(true).open(path)
}

/// Appends a line, or nothing: half a line would spoil the next one too.
fn append_line(file: &mut File, line: &str) -> std::io::Result<()> {
    let before = file.metadata()?.len();
    file.write_all(line.as_bytes()).inspect_err(|_| {
        let _ = file.set_len(before);
    })
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Negative before `zero`; rounded down, like the other.
fn milliseconds_since(zero: Instant, now: Instant) -> i128 {
    let (since, until) = (now.saturating_duration_since(zero), zero.saturating_duration_since(now));
    let nanoseconds = |time: Duration| i128::try_from(time.as_nanos()).unwrap_or(i128::MAX);
    (nanoseconds(since) - nanoseconds(until)).div_euclid(1_000_000)
}

/// The context of a client's words, and the property that holds their text (PROTOCOL, "Client →
/// server").
fn client_words(kind: &str) -> (&'static str, &'static str) {
    if kind.starts_with("ext_") {
        return ("ext", "payload");
    }
    if kind.starts_with("client_ice_connection_state_") {
        return ("signaling", "payload");
    }
    let own = |about: &About| about.properties.first().is_some_and(|(name, _)| *name == "source");
    match Message::named(kind).map(Message::about).filter(own) {
        Some(about) => (about.context, about.properties.last().map_or("value", |(name, _)| name)),
        None => ("track", "value"),
    }
}

#[cfg(test)]
#[path = "journal_tests.rs"]
mod tests;
