// SPDX-License-Identifier: MPL-2.0

//! The element before all effects: makes sound unbroken, for an effect that keeps sound back counts
//! samples. A hole that such an effect is not told of is closed up, and all that follows comes out
//! too early.
//!
//! | the sound | then |
//! |---|---|
//! | follows, or its timestamps stray a little | it gets the timestamps of the count ([`Laying`]) |
//! | is beside its place, and nothing is heard | silence before it, or somewhat less instead of it, leads back |
//! | has a hole of up to [`LONGEST_FILLED_MS`] | silence fills it |
//! | has a longer one | the effects give out what they hold, begin anew, and go on at the new time |
//! | claims a time that has its sound | it is dropped |
//!
//! Pictures pass untouched, and so does sound without timestamps or in a segment of a rate other
//! than 1. It has no thread, no queue and no delay.

use super::chain::Shared;
use super::pads::{pads, raw_templates};
use super::slice::{NO_OFFSET, SECOND, scale};
use crate::laying::{AHEAD_MS, Content, Laying, NEAR_US, Place, Rules, SLACK_MS};
use crate::quiet;
use gst::glib;
use gst::prelude::*;
use gst::subclass::prelude::*;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

/// Ours: five packets of a browser. Who waits for a network gets them in one burst; what is longer is
/// a pause, behind which an effect may begin anew.
const LONGEST_FILLED_MS: u64 = 100;

glib::wrapper! {
    pub(crate) struct Unbroken(ObjectSubclass<imp::Unbroken>) @extends gst::Element, gst::Object;
}

impl Unbroken {
    /// `shared` where effects follow, and behind them a sham.
    pub(super) fn new(name: &str, shared: Option<Arc<Shared>>) -> Self {
        let unbroken: Self = glib::Object::builder().property("name", name).build();
        let _ = unbroken.imp().shared.set(shared); // the only one: the element is new
        unbroken
    }
}

/// Silence has one layout only where channels are interleaved.
fn rules(info: &gst_audio::AudioInfo) -> Rules {
    let rate = u64::from(info.rate());
    let interleaved = info.layout() == gst_audio::AudioLayout::Interleaved;
    let (slack, ahead) = (rate * SLACK_MS / 1000, rate * AHEAD_MS / 1000);
    let longest = if interleaved { rate * LONGEST_FILLED_MS / 1000 } else { slack };
    // Less than one would be no hole at all.
    let near = (rate * NEAR_US / 1_000_000).max(1);
    Rules { slack, ahead, near, quantum: 1, longest }
}

/// To the nearest.
fn to_frames(time: u64, rate: u32) -> u64 {
    let doubled = 2 * u128::from(time) * u128::from(rate) + u128::from(SECOND);
    u64::try_from(doubled / (2 * u128::from(SECOND))).unwrap_or(u64::MAX)
}

mod imp {
    use super::*;

    /// What belongs to the stream. Only its own thread works on it.
    #[derive(Debug, Default)]
    struct Stream {
        audio: Option<gst_audio::AudioInfo>,
        segment: Option<gst::Event>,
        laying: Option<Laying>,
    }

    #[derive(Debug)]
    pub(crate) struct Unbroken {
        sinkpad: gst::Pad,
        srcpad: gst::Pad,
        pub(super) shared: OnceLock<Option<Arc<Shared>>>,
        // Never held across a call out.
        stream: Mutex<Stream>,
    }

    #[glib::object_subclass]
    impl ObjectSubclass for Unbroken {
        const NAME: &'static str = "GstFxControlUnbroken";
        type Type = super::Unbroken;
        type ParentType = gst::Element;

        fn new() -> Self {
            let (sinkpad, srcpad) = pads(Self::sink_chain, Self::sink_event);
            Self { sinkpad, srcpad, shared: OnceLock::new(), stream: Mutex::default() }
        }
    }

    impl ObjectImpl for Unbroken {
        fn constructed(&self) {
            self.parent_constructed();
            for pad in [&self.sinkpad, &self.srcpad] {
                self.obj().add_pad(pad).expect("a new element has no pads");
            }
        }
    }

    impl GstObjectImpl for Unbroken {}

    impl ElementImpl for Unbroken {
        fn pad_templates() -> &'static [gst::PadTemplate] {
            raw_templates()
        }
    }

    impl Unbroken {
        fn stream(&self) -> MutexGuard<'_, Stream> {
            self.stream.lock().unwrap_or_else(PoisonError::into_inner)
        }

        fn sink_event(&self, pad: &gst::Pad, event: gst::Event) -> bool {
            match event.view() {
                gst::EventView::Caps(caps) => {
                    let mut stream = self.stream();
                    stream.audio = gst_audio::AudioInfo::from_caps(caps.caps())
                        .ok()
                        .filter(|info| info.rate() > 0 && info.bpf() > 0);
                    stream.laying = None;
                }
                gst::EventView::Segment(_) => self.stream().segment = Some(event.clone()),
                gst::EventView::FlushStop(_) => {
                    let mut stream = self.stream();
                    stream.segment = None;
                    stream.laying = None;
                }
                _ => {}
            }
            gst::Pad::event_default(pad, Some(&*self.obj()), event)
        }

        fn sink_chain(&self, buffer: gst::Buffer) -> Result<gst::FlowSuccess, gst::FlowError> {
            let Some(piece) = self.stream().piece(&buffer) else {
                return self.srcpad.push(buffer);
            };
            let Piece { info, time, frames } = &piece;
            let rate = info.rate();
            let said = to_frames(*time, rate);
            let place = {
                let mut stream = self.stream();
                let laying = stream.laying.get_or_insert_with(|| Laying::new(rules(info), said));
                let content = if laying.strays(said) {
                    quiet::listen_to(&buffer, info)
                } else {
                    Content::Sound
                };
                laying.lay(said, *frames, content)
            };
            let (at, seam) = match place {
                Place::Surplus | Place::Instead { silence: 0, .. } => {
                    return Ok(gst::FlowSuccess::Ok);
                }
                Place::Instead { silence, at } => {
                    let pts = moved(&buffer, *time, at, rate);
                    return self.srcpad.push(silent(info, pts, silence)?);
                }
                Place::At { silence: 0, at } if at == said => (at, Seam::AsItCame),
                Place::At { silence: 0, at } => (at, Seam::None),
                Place::At { silence, at } => {
                    let pts = moved(&buffer, *time, at - silence, rate);
                    self.srcpad.push(silent(info, pts, silence)?)?;
                    (at, Seam::None)
                }
                Place::Anew { at, .. } => {
                    self.restart();
                    (at, Seam::Here)
                }
            };
            let mut buffer = buffer;
            let pts = moved(&buffer, *time, at, rate);
            restamp(&mut buffer, pts, *frames, rate, seam);
            self.srcpad.push(buffer)
        }

        /// The effects give out what they hold and forget what they heard. Nobody behind them
        /// notices: the sham keeps these events to itself.
        fn restart(&self) {
            let (Some(Some(shared)), Some(segment)) =
                (self.shared.get(), self.stream().segment.clone())
            else {
                return;
            };
            shared.set_restarting(true);
            for event in [
                gst::event::Eos::new(),
                gst::event::FlushStart::new(),
                gst::event::FlushStop::new(false),
                segment,
            ] {
                self.srcpad.push_event(event);
            }
            shared.set_restarting(false);
        }
    }

    /// A buffer of sound whose place can be told.
    struct Piece {
        info: gst_audio::AudioInfo,
        /// Running time, in ns.
        time: u64,
        frames: u64,
    }

    impl Stream {
        fn piece(&self, buffer: &gst::BufferRef) -> Option<Piece> {
            let info = self.audio.clone()?;
            let gst::EventView::Segment(event) = self.segment.as_ref()?.view() else {
                return None;
            };
            let segment = event.segment().downcast_ref::<gst::ClockTime>()?;
            let plain = (segment.rate() - 1.0).abs() < f64::EPSILON;
            let time = segment.to_running_time(buffer.pts()?).filter(|_| plain)?.nseconds();
            let frames = match buffer.meta::<gst_audio::AudioMeta>() {
                Some(meta) => u64::try_from(meta.samples()).ok()?,
                None => u64::try_from(buffer.size()).ok()? / u64::from(info.bpf()),
            };
            (frames > 0).then_some(Piece { info, time, frames })
        }
    }

    /// The timestamp of the frame `at` of running time, where that of `time` is the buffer's.
    fn moved(buffer: &gst::BufferRef, time: u64, at: u64, rate: u32) -> Option<gst::ClockTime> {
        let pts = buffer.pts()?.nseconds();
        let at = scale(at, SECOND, rate.into());
        Some(gst::ClockTime::from_nseconds((pts + at).saturating_sub(time)))
    }

    fn length(frames: u64, rate: u32) -> gst::ClockTime {
        gst::ClockTime::from_nseconds(scale(frames, SECOND, rate.into()))
    }

    /// Whether a buffer is told to follow nothing.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    enum Seam {
        AsItCame,
        None,
        Here,
    }

    /// Gives a buffer the timestamps of its place; one that has them keeps its own.
    fn restamp(
        buffer: &mut gst::Buffer,
        pts: Option<gst::ClockTime>,
        frames: u64,
        rate: u32,
        seam: Seam,
    ) {
        if seam == Seam::AsItCame {
            return;
        }
        let buffer = buffer.make_mut();
        buffer.set_pts(pts);
        buffer.set_dts(gst::ClockTime::NONE);
        buffer.set_duration(length(frames, rate));
        buffer.set_offset(NO_OFFSET);
        buffer.set_offset_end(NO_OFFSET);
        if seam == Seam::Here {
            buffer.set_flags(gst::BufferFlags::DISCONT);
        } else {
            buffer.unset_flags(gst::BufferFlags::DISCONT | gst::BufferFlags::RESYNC);
        }
    }

    fn silent(
        info: &gst_audio::AudioInfo,
        pts: Option<gst::ClockTime>,
        frames: u64,
    ) -> Result<gst::Buffer, gst::FlowError> {
        let bytes = frames * u64::from(info.bpf());
        let mut samples = vec![0; usize::try_from(bytes).map_err(|_| gst::FlowError::Error)?];
        info.format_info().fill_silence(&mut samples);
        let mut buffer = gst::Buffer::from_mut_slice(samples);
        let inside = buffer.make_mut();
        inside.set_pts(pts);
        inside.set_duration(length(frames, info.rate()));
        Ok(buffer)
    }
}
