// SPDX-License-Identifier: MPL-2.0

//! From what comes in at the pads to files: when a file is opened, with which tracks, and when it
//! is finished. Runs on the writer thread alone; knows no element but the ear, and no clock: `now` is the time since it began.
//!
//! | file | input | then |
//! |---|---|---|
//! | none | first unit of one of its tracks | pending |
//! | pending | every live track has delivered, or [`PATIENCE`] is over, or an end | open |
//! | open | unit of one of its tracks | written |
//! | open | unit of a track that came too late | goes to a file of its own |
//! | open | all its tracks ended, or finish | closed and reported |
//! | any | error | the file takes nothing more, one error is posted |

use std::path::PathBuf;
use std::time::Duration;

use super::container::{Codec, Sample};
use super::ear::Hearing;
use super::file::{File, FileError};
use super::format::{Format, Ready, Stream};
use super::inbox::{End, Input, Tally, Unit};
use super::naming::{Kind, Slot, What};
use super::report::{self, TrackReport};
use super::timeline::{Gap, Timeline, Verdict};
use super::{Layout, opus};

/// A file waits so long for the first unit of each of its tracks: all senders were asked for a
/// keyframe, and what waits in memory would be lost in a crash. It is time on the wall: where
/// nothing is live, the sound can be ahead of the picture by any running time.
const PATIENCE: Duration = Duration::from_secs(1);

/// Sound that ends so much before the picture of its file gets silence up to the end.
const SILENT_END: u64 = 1_000_000_000;

/// What the writer wants done.
#[derive(Debug)]
pub(super) enum Effect {
    /// Ask upstream of this pad for a keyframe.
    AskKeyframe(Slot),
    /// Post this on the bus.
    Post(gst::Structure),
    /// Every stream came to its end: the element has, too.
    EndOfStream,
}

/// Where and how to write.
#[derive(Debug, Clone, Default)]
pub(super) struct Plan {
    pub(super) layout: Layout,
    pub(super) folder: PathBuf,
    pub(super) prefix: String,
}

/// Phases of a recording; never backwards.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Nothing is recorded yet. `None`: the first unit makes the origin.
    Waiting {
        origin: Option<u64>,
    },
    Recording {
        origin: u64,
    },
    Over,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Presence {
    Absent,
    Live,
    Ended(End),
}

struct Track {
    slot: Slot,
    presence: Presence,
    stream: Stream,
    timeline: Timeline,
    hearing: Hearing,
    tally: Tally,
    /// The size of its pictures that was told last.
    size: Option<(u32, u32)>,
}

/// One file to be, or that is, or that was.
struct Group {
    what: What,
    state: GroupState,
}

enum GroupState {
    Pending {
        members: Vec<Slot>,
        backlog: Vec<(Slot, Entry)>,
        since: Duration,
    },
    Open(File),
    /// It could not be made.
    Failed {
        members: Vec<Slot>,
    },
    Closed,
}

/// What goes to a file: silence, then a unit, or either of them.
struct Entry {
    silence: Option<Gap>,
    at: u64,
    ready: Option<Ready>,
}

impl Group {
    fn owns(&self, slot: Slot) -> bool {
        match &self.state {
            GroupState::Pending { members, .. } | GroupState::Failed { members } => {
                members.contains(&slot)
            }
            GroupState::Open(file) => file.track_of(slot).is_some(),
            GroupState::Closed => false,
        }
    }
}

/// All files of one recorder.
pub(super) struct Writer {
    plan: Plan,
    phase: Phase,
    /// Zero of the files, once something is recorded.
    zero: u64,
    /// Running time from which on nothing is recorded.
    limit: u64,
    tracks: [Track; 4],
    groups: Vec<Group>,
    now: Duration,
    closed_files: u32,
    effects: Vec<Effect>,
}

impl Writer {
    pub(super) fn new(plan: Plan, origin: Option<u64>, limit: u64) -> Self {
        Self {
            plan,
            phase: Phase::Waiting { origin },
            zero: 0,
            limit,
            tracks: Slot::ALL.map(|slot| Track {
                slot,
                presence: Presence::Absent,
                stream: Stream::default(),
                timeline: Timeline::new(),
                hearing: Hearing::default(),
                tally: Tally::default(),
                size: None,
            }),
            groups: Vec::new(),
            now: Duration::ZERO,
            closed_files: 0,
            effects: Vec::new(),
        }
    }

    /// Takes one input; what is to be done about it.
    pub(super) fn handle(&mut self, input: Input, now: Duration) -> Vec<Effect> {
        self.now = now;
        match input {
            Input::Pad(slot) => self.tracks[slot.index()].presence = Presence::Live,
            Input::Format(slot, format) => self.format(slot, format),
            Input::Media { slot, unit } => self.media(slot, &unit),
            Input::End { slot, why } => self.end(slot, why),
            Input::Origin(origin) => {
                if let Phase::Waiting { origin: own } = &mut self.phase {
                    *own = origin;
                }
            }
            Input::Limit(limit) => self.limit = limit,
            // An open file keeps its place, and those that follow it stay beside it.
            Input::Folder(folder) if self.waits() => self.plan.folder = folder,
            Input::Prefix(prefix) if self.waits() => self.plan.prefix = prefix,
            Input::Folder(_) | Input::Prefix(_) => {}
            Input::Finish | Input::Stop => self.finish(),
        }
        std::mem::take(&mut self.effects)
    }

    /// Whether nothing is recorded yet.
    fn waits(&self) -> bool {
        matches!(self.phase, Phase::Waiting { .. })
    }

    /// Nothing came for a while: what is held back goes to the disk.
    pub(super) fn idle(&mut self, now: Duration) -> Vec<Effect> {
        self.now = now;
        for index in 0..self.groups.len() {
            if self.is_due(&self.groups[index]) {
                self.open(index);
            }
            if let GroupState::Open(file) = &mut self.groups[index].state
                && let Err(error) = file.flush()
            {
                self.failed(&error);
            }
        }
        std::mem::take(&mut self.effects)
    }

    pub(super) fn tallies(&self) -> [Tally; 4] {
        [0, 1, 2, 3].map(|index| self.tracks[index].tally)
    }

    /// A track keeps its codec: the header of its file names it.
    fn format(&mut self, slot: Slot, format: Option<Format>) {
        let track = &mut self.tracks[slot.index()];
        if track.tally.written == 0 || track.stream.goes_with(format.as_ref()) {
            track.stream.set_format(format);
        } else {
            track.stream.set_format(None);
            self.failed(&FileError::Kind(slot.pad_name()));
        }
    }

    fn media(&mut self, slot: Slot, unit: &Unit) {
        let track = &mut self.tracks[slot.index()];
        track.tally.dropped += unit.dropped;
        let origin = match self.phase {
            Phase::Waiting { origin: None } => Some(unit.time),
            Phase::Waiting { origin } => origin,
            Phase::Recording { origin } => Some(origin),
            Phase::Over => None,
        }
        .filter(|_| unit.time < self.limit);
        let Some((origin, at)) = origin.and_then(|o| Some((o, unit.time.checked_sub(o)?))) else {
            track.tally.outside += 1;
            return;
        };
        let Some(entry) = self.gate(slot, unit, at) else {
            self.tracks[slot.index()].tally.gated += 1;
            return;
        };
        self.phase = Phase::Recording { origin };
        self.zero = origin;
        self.tell_size(slot, entry.at);
        let tally = &mut self.tracks[slot.index()].tally;
        if let Some(ready) = &entry.ready {
            tally.written += 1;
            tally.bytes += ready.data.len() as u64;
        } else {
            tally.gated += 1;
        }
        self.deliver(slot, entry);
    }

    /// Decides whether a unit of the time `at` is recorded.
    fn gate(&mut self, slot: Slot, unit: &Unit, at: u64) -> Option<Entry> {
        let track = &mut self.tracks[slot.index()];
        let data = unit.buffer.map_readable().ok()?;
        let lost = unit.discont || unit.dropped > 0;
        let duration = unit.buffer.duration().map(gst::ClockTime::nseconds);
        let verdict = match (slot.kind, track.stream.unit(&data, duration)) {
            (Kind::Audio, None) => return None,
            (Kind::Audio, Some(ready)) => {
                let (stereo, matters) = (track.stream.is_stereo(), track.timeline.strays(at));
                let content = track.hearing.listen(&unit.buffer, stereo, matters);
                (track.timeline.audio(at, ready.duration, content), Some(ready))
            }
            (Kind::Video, None) => (track.timeline.no_picture(unit.time), None),
            (Kind::Video, Some(ready)) => {
                let Ready { duration, key, .. } = ready;
                (track.timeline.video(unit.time, at, duration, key, lost), Some(ready))
            }
        };
        match verdict {
            (Verdict::Write { at, silence }, ready @ Some(_)) => Some(Entry { silence, at, ready }),
            (Verdict::Silent { silence: Some(silence) }, _) => {
                Some(Entry { silence: Some(silence), at: silence.from, ready: None })
            }
            (Verdict::Gated { ask: true }, _) => {
                self.effects.push(Effect::AskKeyframe(slot));
                None
            }
            _ => None,
        }
    }

    fn tell_size(&mut self, slot: Slot, at: u64) {
        let track = &mut self.tracks[slot.index()];
        let size = track.stream.size();
        if let Some(size) = size
            && track.size.replace(size) != Some(size)
        {
            self.effects.push(Effect::Post(report::size(slot, size, self.zero + at)));
        }
    }

    fn deliver(&mut self, slot: Slot, entry: Entry) {
        let owner = self.groups.iter().position(|group| group.owns(slot));
        let index = owner.unwrap_or_else(|| self.plan_file(slot));
        match &mut self.groups[index].state {
            GroupState::Pending { backlog, .. } => backlog.push((slot, entry)),
            GroupState::Open(_) => self.write(index, slot, &entry),
            GroupState::Failed { .. } | GroupState::Closed => {}
        }
        for index in 0..self.groups.len() {
            if self.is_due(&self.groups[index]) {
                self.open(index);
            }
        }
    }

    /// Begins the file that `slot` belongs to; one of its own when it comes too late for that.
    fn plan_file(&mut self, slot: Slot) -> usize {
        let since = self.now;
        let what = What::of(self.plan.layout, slot);
        let late = self.groups.iter().any(|group| group.what == what);
        let what = if late { What::Single(slot) } else { what };
        let belongs = |other: &Slot| match what {
            What::Muxed(side) => other.side == side,
            What::Single(single) => *other == single,
        };
        let members = Slot::ALL.into_iter().filter(belongs).collect();
        let state = GroupState::Pending { members, backlog: Vec::new(), since };
        self.groups.push(Group { what, state });
        self.groups.len() - 1
    }

    fn is_due(&self, group: &Group) -> bool {
        let GroupState::Pending { members, backlog, since } = &group.state else {
            return false;
        };
        let delivered = |slot: &Slot| {
            self.tracks[slot.index()].presence != Presence::Live
                || backlog.iter().any(|(own, _)| own == slot)
        };
        self.now >= *since + PATIENCE || members.iter().all(delivered)
    }

    /// Opens a pending file, whatever is missing. Sound that was promised becomes a track even if
    /// none came yet: its codec is known, and silence can stand for it.
    fn open(&mut self, index: usize) {
        let group = &mut self.groups[index];
        let GroupState::Pending { members, backlog, .. } = &mut group.state else {
            return;
        };
        let (members, backlog) = (std::mem::take(members), std::mem::take(backlog));
        let mut tracks = Vec::new();
        for slot in &members {
            let track = &self.tracks[slot.index()];
            let delivered = backlog.iter().any(|(own, _)| own == slot);
            let codec = match (track.stream.codec(), slot.kind) {
                (None, Kind::Audio) => Some(Codec::Opus { channels: 2 }),
                (codec, _) => codec,
            };
            if let Some(codec) = codec
                && (delivered || track.presence == Presence::Live)
            {
                tracks.push((*slot, codec));
            }
        }
        let plan = &self.plan;
        match File::create(&plan.folder, &plan.prefix, group.what, tracks) {
            Ok(file) => {
                let first = backlog.iter().map(|(_, entry)| entry.at).min().unwrap_or(0);
                let opened = report::opened(group.what, file.path(), self.zero + first);
                self.effects.push(Effect::Post(opened));
                group.state = GroupState::Open(file);
                for (slot, entry) in backlog {
                    self.write(index, slot, &entry);
                }
            }
            Err(error) => {
                group.state = GroupState::Failed { members };
                self.failed(&error);
            }
        }
    }

    fn write(&mut self, index: usize, slot: Slot, entry: &Entry) {
        let stereo = self.tracks[slot.index()].stream.is_stereo();
        let GroupState::Open(file) = &mut self.groups[index].state else {
            return;
        };
        let Some(track) = file.track_of(slot) else {
            return;
        };
        let silence = entry.silence.map(|gap| silence(track, gap, stereo)).into_iter().flatten();
        let unit = entry.ready.as_ref().map(|Ready { key, duration, data }| {
            let (at, key, duration) = (entry.at, *key, *duration);
            Sample { track, at, duration, key, data: data.clone() }
        });
        for sample in silence.chain(unit) {
            if let Err(error) = file.write(sample) {
                self.failed(&error);
                return;
            }
        }
    }

    fn end(&mut self, slot: Slot, why: End) {
        if self.phase == Phase::Over || self.tracks[slot.index()].presence != Presence::Live {
            return;
        }
        self.tracks[slot.index()].presence = Presence::Ended(why);
        let live = |slot: Slot| self.tracks[slot.index()].presence == Presence::Live;
        if !Slot::ALL.into_iter().any(live) {
            self.finish();
            let released = |track: &Track| track.presence == Presence::Ended(End::Pad);
            if !self.tracks.iter().any(released) {
                self.effects.push(Effect::EndOfStream);
            }
            return;
        }
        for index in 0..self.groups.len() {
            let over = match &self.groups[index].state {
                GroupState::Pending { members, .. } => !members.iter().any(|slot| live(*slot)),
                GroupState::Open(file) => !file.tracks().iter().any(|(slot, _)| live(*slot)),
                GroupState::Failed { .. } | GroupState::Closed => false,
            };
            if over {
                self.close(index);
                break;
            }
        }
    }

    fn finish(&mut self) {
        if self.phase == Phase::Over {
            return;
        }
        self.phase = Phase::Over;
        for index in 0..self.groups.len() {
            self.close(index);
        }
        self.effects.push(Effect::Post(report::finished(self.closed_files)));
    }

    fn close(&mut self, index: usize) {
        self.open(index);
        self.silent_ends(index);
        let group = &mut self.groups[index];
        let GroupState::Open(file) = std::mem::replace(&mut group.state, GroupState::Closed) else {
            return;
        };
        let tracks: Vec<TrackReport> = file
            .tracks()
            .iter()
            .map(|(slot, codec)| {
                let track = &self.tracks[slot.index()];
                TrackReport {
                    pad: track.slot.pad_name(),
                    kind: slot.kind,
                    codec: codec.word(),
                    gated: track.tally.gated,
                    dropped: track.tally.dropped,
                    summary: track.timeline.summary().clone(),
                }
            })
            .collect();
        let what = group.what;
        let closed = file.close();
        if let Some(error) = &closed.error {
            self.failed(error);
        }
        self.closed_files += 1;
        self.effects.push(Effect::Post(report::file(what, self.zero, &closed, &tracks)));
    }

    /// Gives sound that stayed away silence up to the end of its file.
    fn silent_ends(&mut self, index: usize) {
        let GroupState::Open(file) = &mut self.groups[index].state else {
            return;
        };
        let slots: Vec<Slot> = file.tracks().iter().map(|(slot, _)| *slot).collect();
        let ends = slots.iter().map(|slot| self.tracks[slot.index()].timeline.summary().last);
        let end = ends.max().unwrap_or(0);
        for (number, slot) in slots.into_iter().enumerate() {
            let track = &mut self.tracks[slot.index()];
            if slot.kind == Kind::Video {
                continue;
            }
            let Some(gap) = track.timeline.silent_until(end, SILENT_END) else {
                continue;
            };
            for sample in silence(number, gap, track.stream.is_stereo()) {
                if let Err(error) = file.write(sample) {
                    self.effects.push(Effect::Post(report::error(&error)));
                    return;
                }
            }
        }
    }

    fn failed(&mut self, error: &FileError) {
        self.effects.push(Effect::Post(report::error(error)));
    }
}

/// Silent packets for a hole.
fn silence(track: usize, gap: Gap, stereo: bool) -> impl Iterator<Item = Sample> {
    let mut at = gap.from;
    opus::silence(gap.to - gap.from, stereo).map(move |(duration, packet)| {
        let sample = Sample { track, at, duration, key: true, data: packet.to_vec() };
        at += duration;
        sample
    })
}
