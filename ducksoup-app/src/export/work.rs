// SPDX-License-Identifier: MPL-2.0

//! Makes what is written in one go: one participant's dry or wet files, or all participants side by
//! side. The files of recordings are decoded once, and everything made from them is written at once.

use super::ExportError;
use super::canvas::{Canvas, tiles};
use super::encoder::{Mp4, Wav};
use super::feed::{Pictures, Sound};
use super::ledger::{Ledger, LedgerError, Status, replace};
use super::media::MediaError;
use super::plan::{Cut, Plan, Side, Size, Take};
use super::sidecar::{self, Content, Made};
use super::sound;
use super::view::View;
use crate::archive::digest;
use crate::archive::manifest::Manifest;
use serde_json::{Map, Value};
use std::path::Path;

/// What is made in one go.
#[derive(Debug)]
pub(crate) struct Piece<'a> {
    pub(crate) manifest: &'a Manifest,
    pub(crate) plan: &'a Plan,
    pub(crate) side: Side,
    pub(crate) people: People<'a>,
    /// Without the endings; the movie's and the sound's may be one.
    pub(crate) movie: String,
    pub(crate) sound: String,
    /// Goes into the sidecars too.
    pub(crate) fields: Map<String, Value>,
}

/// Who is in it.
#[derive(Debug)]
pub(crate) enum People<'a> {
    /// One.
    One(&'a Take),
    /// All, side by side.
    All(Vec<&'a Take>),
}

impl<'a> Piece<'a> {
    fn takes(&self) -> &[&'a Take] {
        match &self.people {
            People::One(take) => std::slice::from_ref(take),
            People::All(takes) => takes,
        }
    }

    /// Of each participant's picture; none when there is only sound.
    fn size(&self) -> Option<Size> {
        let sizes = || self.takes().iter().filter_map(|take| take.picture);
        Some(Size {
            width: sizes().map(|size| size.width).max()?,
            height: sizes().map(|size| size.height).max()?,
        })
    }

    fn channels(&self) -> usize {
        match self.people {
            People::One(_) => 1,
            People::All(_) => 2,
        }
    }

    /// Everything that it depends on, hashed.
    fn recipe(&self) -> String {
        let Self { manifest, plan, side, people, fields, .. } = self;
        let version = env!("CARGO_PKG_VERSION");
        digest::of_text(&format!(
            "{version} {} {:?} {:?} {:?} {side:?} {people:?} {fields:?} {:?}",
            manifest.state, plan.started, plan.cut, plan.hashes, manifest.participants
        ))
    }

    /// The names of its files: the movie, the sound, what is beside them.
    fn names(&self) -> Vec<String> {
        let mut names = vec![format!("{}.wav", self.sound), format!("{}.json", self.sound)];
        if self.size().is_some() {
            names.push(format!("{}.mp4", self.movie));
            if self.movie != self.sound {
                names.push(format!("{}.json", self.movie));
            }
        }
        names
    }

    /// How much work it is, in pictures.
    pub(crate) fn work(&self) -> u64 {
        self.plan.cut.frames * self.takes().len() as u64
    }

    /// Those of its files that hold media.
    pub(crate) fn media(&self) -> Vec<String> {
        self.names()
            .into_iter()
            .filter(|name| !name.to_ascii_lowercase().ends_with("json"))
            .collect()
    }

    /// Whether all of it is there already.
    ///
    /// # Errors
    /// When a file that is not ours stands in its place.
    pub(crate) fn is_done(&self, ledger: &Ledger) -> Result<bool, ExportError> {
        let recipe = self.recipe();
        let mut done = true;
        for name in self.names() {
            match ledger.status(&name, &recipe)? {
                Status::Done => {}
                Status::Absent | Status::Outdated => done = false,
                Status::Foreign => return Err(LedgerError::InTheWay(ledger.path(&name)).into()),
            }
        }
        Ok(done)
    }

    /// Makes it.
    ///
    /// # Errors
    /// When a recording cannot be read to its end, or a file cannot be written; nothing that is not
    /// whole has its name then.
    pub(crate) fn make(
        &self,
        recordings: &Path,
        ledger: &mut Ledger,
        view: &View,
    ) -> Result<(), ExportError> {
        let names = self.names();
        for name in &names {
            if let Some(parent) = ledger.path(name).parent() {
                let disk = |error| ExportError::Disk { path: parent.to_owned(), error };
                std::fs::create_dir_all(parent).map_err(disk)?;
            }
        }
        let made = self.media_files(recordings, ledger, view);
        let made = made.map_err(|error| {
            for name in &names {
                // What is left of it is of no use; the next export would write over it.
                let _ = std::fs::remove_file(ledger.part(name));
            }
            ExportError::Media { what: self.sound.clone(), error }
        })?;
        self.sidecars(ledger, &made)?;
        let names: Vec<_> = names.iter().map(String::as_str).collect();
        Ok(ledger.keep(&names, &self.recipe())?)
    }

    fn media_files(
        &self,
        recordings: &Path,
        ledger: &Ledger,
        view: &View,
    ) -> Result<Vec<Made>, MediaError> {
        let cut = self.plan.cut;
        let mut wav = Wav::new(&ledger.part(&format!("{}.wav", self.sound)), self.channels())?;
        let movie = ledger.part(&format!("{}.mp4", self.movie));
        let mut movie = match self.size() {
            None => None,
            Some(size) => {
                Some(Movie::new(&movie, recordings, self.takes(), size, cut, self.channels())?)
            }
        };
        let sounds = self.takes().iter().map(|take| Sound::new(recordings, &take.audio, cut));
        let mut sounds: Vec<_> = sounds.collect();
        let start = sound::samples(cut.rate().start);
        for slot in 0..cut.frames {
            if let Some(movie) = &mut movie {
                movie.slot(slot)?;
            }
            let end = Cut { frames: slot + 1, ..cut }.samples();
            let end = start + i64::try_from(end).unwrap_or(i64::MAX);
            let mut heard = sounds.iter_mut().map(|sound| sound.up_to(end));
            let heard = match self.people {
                People::One(_) => heard.next().unwrap_or(Ok(Vec::new()))?,
                People::All(_) => sound::mix(&heard.collect::<Result<Vec<_>, _>>()?),
            };
            wav.sound(&heard)?;
            if let Some(movie) = &mut movie {
                movie.mp4.sound(&heard)?;
            }
            view.step(self.takes().len() as u64);
        }
        wav.finish()?;
        let silent = sounds.iter().map(Sound::silent);
        let mut made: Vec<_> = silent.map(|silent| Made { silent, ..Made::default() }).collect();
        if let Some(movie) = movie {
            for (made, pictures) in made.iter_mut().zip(&movie.pictures) {
                made.black = pictures.black().to_vec();
            }
            movie.mp4.finish()?;
        }
        Ok(made)
    }

    fn sidecars(&self, ledger: &Ledger, made: &[Made]) -> Result<(), ExportError> {
        let Self { manifest, plan, side, .. } = self;
        let cut = plan.cut;
        let (own, whole) = match &self.people {
            People::One(take) => {
                let made = made.first().cloned().unwrap_or_default();
                (sidecar::own(manifest, plan, take, &made), self.size())
            }
            People::All(takes) => {
                let size = self.size().unwrap_or(Size { width: 0, height: 0 });
                let (whole, places) = tiles(takes.len(), size);
                let people: Vec<_> = takes
                    .iter()
                    .zip(places)
                    .zip(made)
                    .map(|((take, place), made)| (*take, place, made.clone()))
                    .collect();
                let own = sidecar::own_composite(manifest, plan, *side, &people);
                (own, self.size().map(|_| whole))
            }
        };
        let write = |name: &str, content: Content| {
            let mut fields = sidecar::technical(cut, content, self.channels());
            fields.extend(self.fields.clone());
            fields.insert("DuckSoup".into(), own.clone());
            let text = serde_json::to_string_pretty(&fields).unwrap_or_default() + "\n";
            replace(&ledger.part(&format!("{name}.json")), &text)
        };
        match whole {
            // One sidecar for both tells of the one that holds more.
            Some(size) if self.movie == self.sound => write(&self.movie, Content::Movie(size))?,
            Some(size) => {
                write(&self.movie, Content::Movie(size))?;
                write(&self.sound, Content::Sound)?;
            }
            None => write(&self.sound, Content::Sound)?,
        }
        Ok(())
    }
}

/// A movie that is being made.
struct Movie {
    mp4: Mp4,
    /// Of all of it, and what is seen where nobody is.
    whole: Canvas,
    black: Vec<u8>,
    /// Of each participant, and where it is.
    tile: Canvas,
    places: Vec<(usize, usize)>,
    pictures: Vec<Pictures>,
}

impl Movie {
    fn new(
        path: &Path,
        recordings: &Path,
        takes: &[&Take],
        size: Size,
        cut: Cut,
        channels: usize,
    ) -> Result<Self, MediaError> {
        let (whole, places) = tiles(takes.len(), size);
        let tile = Canvas::new(size, cut.framerate)?;
        let whole = Canvas::new(whole, cut.framerate)?;
        let pictures = takes
            .iter()
            .map(|take| Pictures::new(recordings, &take.video, &tile, cut.rate()))
            .collect();
        let mp4 = Mp4::new(path, &whole, cut.framerate, channels)?;
        let black = whole.black();
        Ok(Self { mp4, whole, black, tile, places, pictures })
    }

    fn slot(&mut self, slot: u64) -> Result<(), MediaError> {
        if let [only] = &mut self.pictures[..] {
            let shown = only.at(slot)?;
            return self.mp4.picture(shown.map_or(&self.black[..], |picture| picture));
        }
        let mut canvas = self.black.clone();
        for (pictures, (x, y)) in self.pictures.iter_mut().zip(&self.places) {
            if let Some(picture) = pictures.at(slot)? {
                self.whole.place(&mut canvas, *x, *y, &self.tile, picture);
            }
        }
        self.mp4.picture(&canvas)
    }
}
