// SPDX-License-Identifier: MPL-2.0

//! What has come in so far, and what is to go out because of it. Holds buffers, but pushes nothing
//! and reads no clock.

use super::grid::{Grid, Nanoseconds, Placement, Rate, SECOND, Slots};
use std::ops::Range;

/// A frame of a live source that claims to be captured further than this after now has a wrong
/// timestamp. It is taken as captured now, lest the grid runs ahead and drops all that follow.
const AHEAD: Nanoseconds = SECOND;

/// Something to send downstream.
#[derive(Debug)]
pub(super) enum Output {
    /// The last picture once more, in each of these slots.
    Repeats { picture: gst::Buffer, slots: Slots, missed: Range<i64> },
    /// The frames that follow have these caps.
    Caps(gst::Caps),
    /// A frame in its slot.
    Frame(gst::Buffer),
}

/// Whether frames come.
#[derive(Debug)]
enum Flow {
    /// None has come yet.
    Waiting,
    /// They come; the last one ends at `end`, when that is known.
    Running { picture: gst::Buffer, end: Option<Nanoseconds> },
    /// The clock fills the slots.
    Stalled { picture: gst::Buffer },
    /// After the end of the stream.
    Ended,
}

/// One stream of frames on its way through the grid.
#[derive(Debug)]
pub(super) struct Stream {
    segment: gst::FormattedSegment<gst::ClockTime>,
    grid: Option<Grid>,
    flow: Flow,
    /// Caps that hold from the next frame on: a picture of the earlier ones may have to be repeated
    /// before it.
    pending_caps: Option<gst::Caps>,
}

impl Default for Stream {
    fn default() -> Self {
        Self {
            segment: gst::FormattedSegment::new(),
            grid: None,
            flow: Flow::Waiting,
            pending_caps: None,
        }
    }
}

impl Stream {
    /// Timestamps are to be read in this segment.
    pub(super) fn set_segment(&mut self, segment: gst::FormattedSegment<gst::ClockTime>) {
        self.segment = segment;
    }

    /// Frames of other caps will come, on a grid of this rate. Returns the caps when they are to be
    /// sent at once. `origin` counts if no frame has come yet.
    pub(super) fn set_caps(
        &mut self,
        caps: gst::Caps,
        rate: Rate,
        origin: Option<Nanoseconds>,
    ) -> Option<gst::Caps> {
        match &mut self.grid {
            Some(grid) => grid.change_rate(rate),
            none => *none = Some(Grid::new(rate, origin)),
        }
        match self.flow {
            Flow::Waiting | Flow::Ended => {
                self.pending_caps = None;
                Some(caps)
            }
            Flow::Running { .. } | Flow::Stalled { .. } => {
                self.pending_caps = Some(caps);
                None
            }
        }
    }

    /// Moves the grid.
    pub(super) fn set_origin(&mut self, origin: Nanoseconds) {
        if let Some(grid) = &mut self.grid {
            grid.move_to(origin);
        }
    }

    /// Forgets all frames, as a flush wants it; the rate stays.
    pub(super) fn reset(&mut self, origin: Option<Nanoseconds>) {
        *self = Self {
            grid: self.grid.as_ref().map(|grid| Grid::new(grid.rate(), origin)),
            pending_caps: self.pending_caps.take(),
            ..Self::default()
        };
    }

    /// A frame has come. `now` is the clock's running time, known for live sources only. Nothing
    /// to send means that the frame is dropped, and no slots to count in that there are no caps.
    pub(super) fn take(
        &mut self,
        mut buffer: gst::Buffer,
        now: Option<Nanoseconds>,
    ) -> Result<Vec<Output>, gst::FlowError> {
        let grid = self.grid.as_mut().ok_or(gst::FlowError::NotNegotiated)?;
        let Some(time) = time_of(&self.segment, &buffer, now) else {
            return Ok(vec![]);
        };
        let end = buffer
            .duration()
            .and_then(|length| Some(time + i64::try_from(length.nseconds()).ok()?));
        let placement = grid.place(time);
        let slots = grid.slots();
        let mut outputs = vec![];
        if let (Placement::Takes { missed, slot }, Some(slots)) = (placement, slots) {
            outputs.extend(repeats(self.flow.picture(), slots, missed));
            outputs.extend(self.pending_caps.take().map(Output::Caps));
            stamp(buffer.make_mut(), slots, slot);
            outputs.push(Output::Frame(buffer.clone()));
        }
        // Even a frame that is dropped is the newest picture there is: where frames come later than
        // the ceiling allows, its repetition shows it after all. Not so before its caps are out.
        if self.pending_caps.is_none() {
            self.flow = Flow::Running { picture: buffer, end };
        }
        Ok(outputs)
    }

    /// Nothing comes before `end`.
    pub(super) fn pass_gap(&mut self, end: Nanoseconds) -> Option<Output> {
        let grid = self.grid.as_mut()?;
        let picture = self.flow.picture()?;
        let missed = grid.settle_until(end);
        repeats(Some(picture), grid.slots()?, missed)
    }

    /// The clock says `now`: slots that ended `ceiling` before are missed.
    pub(super) fn pass_time(&mut self, now: Nanoseconds, ceiling: Nanoseconds) -> Option<Output> {
        let grid = self.grid.as_mut()?;
        let picture = self.flow.picture()?.clone();
        let missed = grid.settle_overdue(now, ceiling);
        let output = repeats(Some(&picture), grid.slots()?, missed)?;
        self.flow = Flow::Stalled { picture };
        Some(output)
    }

    /// When [`pass_time`](Self::pass_time) has something to do, if no frame comes.
    pub(super) fn deadline(&self, ceiling: Nanoseconds) -> Option<Nanoseconds> {
        self.flow.picture()?;
        self.grid.as_ref()?.deadline(ceiling)
    }

    /// The stream is over: the slots up to the last frame's end are filled or, if frames had ceased
    /// before, those up to `now`.
    pub(super) fn end(&mut self, now: Option<Nanoseconds>) -> Option<Output> {
        let end = match &self.flow {
            Flow::Running { end, .. } => *end,
            Flow::Stalled { .. } => now,
            Flow::Waiting | Flow::Ended => None,
        };
        let output = end.and_then(|end| self.pass_gap(end));
        self.flow = Flow::Ended;
        output
    }

    /// Running time of a position in the segment.
    pub(super) fn running_time(&self, position: gst::ClockTime) -> Option<Nanoseconds> {
        running_time(&self.segment, position)
    }
}

impl Flow {
    fn picture(&self) -> Option<&gst::Buffer> {
        match self {
            Self::Running { picture, .. } | Self::Stalled { picture } => Some(picture),
            Self::Waiting | Self::Ended => None,
        }
    }
}

fn running_time(
    segment: &gst::FormattedSegment<gst::ClockTime>,
    position: gst::ClockTime,
) -> Option<Nanoseconds> {
    i64::try_from(segment.to_running_time(position)?.nseconds()).ok()
}

/// When a frame was captured; a frame without a timestamp was captured now.
fn time_of(
    segment: &gst::FormattedSegment<gst::ClockTime>,
    buffer: &gst::BufferRef,
    now: Option<Nanoseconds>,
) -> Option<Nanoseconds> {
    let Some(pts) = buffer.pts() else { return now };
    let time = running_time(segment, pts)?;
    Some(match now {
        Some(now) if time > now.saturating_add(AHEAD) => now,
        _ => time,
    })
}

fn repeats(picture: Option<&gst::Buffer>, slots: Slots, missed: Range<i64>) -> Option<Output> {
    let picture = picture.filter(|_| !missed.is_empty())?.clone();
    Some(Output::Repeats { picture, slots, missed })
}

/// Puts `buffer` in `slot`.
pub(super) fn stamp(buffer: &mut gst::BufferRef, slots: Slots, slot: i64) {
    buffer.set_pts(clock_time(slots.start(slot)));
    buffer.set_dts(gst::ClockTime::NONE);
    buffer.set_duration(clock_time(slots.length(slot)));
}

fn clock_time(time: Nanoseconds) -> Option<gst::ClockTime> {
    u64::try_from(time).ok().map(gst::ClockTime::from_nseconds)
}
