// SPDX-License-Identifier: MPL-2.0

//! A server with people in it, and what it uses meanwhile.

use super::media::Media;
use super::participant::{Event, Participant, Received, Reception, Word};
use super::processes::Family;
use crate::server::Server;
use anyhow::Context as _;
use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Longest wait for something that the server says.
const LIMIT: Duration = Duration::from_secs(60);
/// Until the spare stage stands: it looks at all of GStreamer's plugins first.
const SPARE: Duration = Duration::from_secs(2);

/// A server in a folder of its own; both vanish with their scope.
#[derive(Debug)]
pub(crate) struct House {
    server: Option<Server>,
    folder: TempDir,
    words: (Sender<Word>, Receiver<Word>),
    heard: RefCell<Vec<Word>>,
}

impl House {
    /// Starts one whose encoder of pictures is given this bitrate, and no other: what receivers can
    /// take is not what is measured.
    ///
    /// # Errors
    /// When it does not start.
    pub(crate) fn open(bitrate: u32) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let config = folder.path().join("config");
        std::fs::create_dir(&config)?;
        let video = format!("video:\n  default: {bitrate}\n  min: {bitrate}\n  max: {bitrate}\n");
        let audio = "audio:\n  default: 64000\n  min: 64000\n  max: 64000\n";
        std::fs::write(config.join("sfu.yml"), format!("{audio}{video}"))?;
        let data = folder.path().join("data");
        let server = Server::start(folder.path(), &[("DUCKSOUP_DATA", &data.to_string_lossy())])?;
        std::thread::sleep(SPARE);
        Ok(Self { server: Some(server), folder, words: channel(), heard: RefCell::default() })
    }

    /// Its WebSocket.
    pub(crate) fn uri(&self) -> &str {
        self.server.as_ref().map_or("", |server| &server.uri)
    }

    /// Where its recordings are.
    pub(crate) fn data(&self) -> std::path::PathBuf {
        self.folder.path().join("data")
    }

    /// What it has used: the door, its stages, the spare one.
    ///
    /// # Errors
    /// When it is gone.
    pub(crate) fn look(&self) -> anyhow::Result<Family> {
        Family::of(self.server.as_ref().context("no server")?.id())
    }

    /// Somebody who has not joined yet.
    ///
    /// # Errors
    /// When an element is missing.
    pub(crate) fn guest(
        &self,
        number: usize,
        options: &[(&'static str, String)],
        media: &Media,
        reception: Reception,
    ) -> anyhow::Result<Participant> {
        let mut all = vec![("uri", self.uri().to_owned()), ("user", format!("user{number}"))];
        all.extend_from_slice(options);
        Participant::new(number, &all, media, reception, &self.words.0)
    }

    /// Waits until all of these have had an event; gives when, in the same order.
    ///
    /// # Errors
    /// When somebody fails, or it does not happen in time.
    pub(crate) fn wait(&self, guests: &[usize], event: &Event) -> anyhow::Result<Vec<Instant>> {
        let until = Instant::now() + LIMIT;
        loop {
            let when = |guest: &usize| {
                let heard = self.heard.borrow();
                let found = heard.iter().find(|(who, _, what)| who == guest && what == event);
                found.map(|(_, at, _)| *at)
            };
            if let Some(times) = guests.iter().map(when).collect() {
                return Ok(times);
            }
            let left = until.saturating_duration_since(Instant::now());
            let word =
                self.words.1.recv_timeout(left).with_context(|| format!("{event:?} never came"))?;
            if let (who, _, Event::Failed(why)) = &word {
                anyhow::bail!("participant {who}: {why}");
            }
            self.heard.borrow_mut().push(word);
        }
    }

    /// Ends it and waits until nothing of it is left.
    ///
    /// # Errors
    /// When a process does not end.
    pub(crate) fn close(mut self) -> anyhow::Result<()> {
        let family = self.look()?;
        self.server = None;
        family.wait_for_end()
    }
}

/// What is used while nothing changes, and what came out meanwhile.
#[derive(Debug, Clone)]
pub(crate) struct Reading {
    /// CPU seconds a second.
    pub(crate) cores: f64,
    /// At its end.
    pub(crate) family: Family,
    /// Bytes that participants got a second.
    pub(crate) bytes: f64,
    /// Pictures that participants got a second.
    pub(crate) pictures: f64,
}

/// Reads what `look` tells and what participants get, over a time.
///
/// # Errors
/// When there is nothing to look at.
pub(crate) fn read(
    mut look: impl FnMut() -> anyhow::Result<Family>,
    receivers: &[Arc<Received>],
    time: Duration,
) -> anyhow::Result<Reading> {
    let got = || {
        let sum = |(bytes, pictures), received: &Arc<Received>| {
            let more =
                (received.bytes.load(Ordering::Relaxed), received.pictures.load(Ordering::Relaxed));
            (bytes + more.0, pictures + more.1)
        };
        receivers.iter().fold((0, 0), sum)
    };
    let (before, had) = (look()?, got());
    std::thread::sleep(time);
    let (family, have) = (look()?, got());
    let seconds = family.at.duration_since(before.at).as_secs_f64();
    Ok(Reading {
        cores: family.cores(&before),
        bytes: (have.0 - had.0) as f64 / seconds,
        pictures: (have.1 - had.1) as f64 / seconds,
        family,
    })
}
