// SPDX-License-Identifier: MPL-2.0

//! One participant's pictures and sound on the run's timeline, from all files of all their
//! connections. A connection that begins ends the one before it.

use super::canvas::Canvas;
use super::grid::{Change, Picker, Rate, SECOND};
use super::media::MediaError;
use super::plan::{Cut, Source};
use super::reader::{Reader, Unit};
use super::sound::{self, Line, Span};
use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// How long the last picture of a connection is seen, in ns, unless another connection begins. Ours:
/// longer than a frame, shorter than an absence.
const LINGER: i64 = SECOND;

/// Ends what the next connection begins.
const NEVER: i64 = i64::MAX;

/// A picture; it is shown in several slots.
pub(crate) type Picture = Arc<Vec<u8>>;

/// The files that are still to be read, each with the time at which the next connection begins.
#[derive(Debug)]
struct Files {
    folder: PathBuf,
    waiting: VecDeque<(Source, i64)>,
}

impl Files {
    fn new(folder: &Path, sources: &[Source]) -> Self {
        let later = |offset: u64| {
            let next = sources.iter().map(|source| source.offset).find(|other| *other > offset);
            next.map_or(NEVER, time)
        };
        let waiting = sources.iter().map(|source| (source.clone(), later(source.offset))).collect();
        Self { folder: folder.to_owned(), waiting }
    }
}

fn time(nanoseconds: u64) -> i64 {
    i64::try_from(nanoseconds).unwrap_or(NEVER)
}

/// A file that is being read.
#[derive(Debug)]
struct Open {
    reader: Reader,
    offset: i64,
    end: i64,
    whole: bool,
}

impl Open {
    fn new(reader: Reader, source: &Source, end: i64) -> Self {
        Self { reader, offset: time(source.offset), end, whole: source.whole }
    }

    /// The next buffer and its time on the run's timeline; none when the file or its time is over.
    fn next(&mut self) -> Result<Option<Unit>, MediaError> {
        match self.reader.next() {
            Ok(unit) => Ok(unit
                .map(|(at, buffer)| (self.offset + at, buffer))
                .filter(|(at, _)| *at < self.end)),
            // What was not closed in order is read as far as it goes.
            Err(MediaError::Failed(_)) if !self.whole => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// The pictures of one participant.
#[derive(Debug)]
pub(crate) struct Pictures {
    picker: Picker<Picture>,
    stream: Stream,
    /// The first slot of the black that is being shown, and all black before it.
    black: Vec<(u64, u64)>,
}

/// Changes of what is seen, in their order.
#[derive(Debug)]
struct Stream {
    canvas: Canvas,
    files: Files,
    open: Option<Open>,
    /// When the last picture goes, if it stays the last one.
    lingers: Option<i64>,
}

impl Pictures {
    pub(crate) fn new(folder: &Path, sources: &[Source], canvas: &Canvas, rate: Rate) -> Self {
        let stream = Stream {
            canvas: canvas.clone(),
            files: Files::new(folder, sources),
            open: None,
            lingers: None,
        };
        Self { picker: Picker::new(rate), stream, black: Vec::new() }
    }

    /// What a slot shows; none is black. Slots are asked for in their order.
    pub(crate) fn at(&mut self, slot: u64) -> Result<Option<&Picture>, MediaError> {
        let stream = &mut self.stream;
        let shown = self.picker.pick(slot, || stream.next())?;
        if shown.is_none() {
            match self.black.last_mut() {
                Some(last) if last.1 == slot => last.1 = slot + 1,
                _ => self.black.push((slot, slot + 1)),
            }
        }
        Ok(shown)
    }

    /// The slots that were black, each span's end not included.
    pub(crate) fn black(&self) -> &[(u64, u64)] {
        &self.black
    }
}

impl Stream {
    fn next(&mut self) -> Result<Option<Change<Picture>>, MediaError> {
        loop {
            let Some(open) = &mut self.open else {
                match self.files.waiting.pop_front() {
                    Some((source, end)) => {
                        // A picture that lingers goes before another connection's comes.
                        let offset = time(source.offset);
                        if let Some(at) = self.lingers.take_if(|at| *at < offset) {
                            self.files.waiting.push_front((source, end));
                            return Ok(Some(Change { time: at, seen: None }));
                        }
                        let reader = Reader::video(&self.files.folder, &source, &self.canvas)?;
                        self.open = Some(Open::new(reader, &source, end));
                        continue;
                    }
                    None => {
                        let goes = self.lingers.take();
                        return Ok(goes.map(|time| Change { time, seen: None }));
                    }
                }
            };
            match open.next()? {
                Some((at, buffer)) => {
                    self.lingers = Some(at + LINGER);
                    let picture = Arc::new(self.canvas.copy(&buffer)?);
                    return Ok(Some(Change { time: at, seen: Some(picture) }));
                }
                None => self.open = None,
            }
        }
    }
}

/// The sound of one participant.
#[derive(Debug)]
pub(crate) struct Sound {
    line: Line,
    files: Files,
    open: Option<Open>,
}

impl Sound {
    pub(crate) fn new(folder: &Path, sources: &[Source], cut: Cut) -> Self {
        let line = Line::new(sound::samples(time(cut.from)));
        Self { line, files: Files::new(folder, sources), open: None }
    }

    /// The sound up to a sample of the run's timeline.
    pub(crate) fn up_to(&mut self, to: i64) -> Result<Vec<i16>, MediaError> {
        while self.line.known() < to {
            let Some(open) = &mut self.open else {
                let Some((source, end)) = self.files.waiting.pop_front() else { break };
                let reader = Reader::audio(&self.files.folder, &source)?;
                self.open = Some(Open::new(reader, &source, end));
                self.line.seam();
                continue;
            };
            match open.next()? {
                Some((at, buffer)) => {
                    let bytes = buffer
                        .map_readable()
                        .map_err(|_| MediaError::Failed("sound that cannot be read".into()))?;
                    let block: Vec<_> = bytes
                        .chunks_exact(2)
                        .map(|two| i16::from_le_bytes([two[0], two[1]]))
                        .collect();
                    let end = if open.end == NEVER { NEVER } else { sound::samples(open.end) };
                    self.line.add(sound::samples(at), &block, end);
                }
                None => self.open = None,
            }
        }
        Ok(self.line.take(to))
    }

    /// What had no sound, in samples of the run's timeline.
    pub(crate) fn silent(&self) -> Vec<Span> {
        self.line.silent()
    }
}
