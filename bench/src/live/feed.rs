// SPDX-License-Identifier: MPL-2.0

//! Cameras and microphones: encoded pieces, each given when it is due.

use super::clip::{Coded, Film, PACKET, Voice};
use crate::pace;
use crate::recordings::sound::RATE;
use gst::prelude::*;
use gst_app::AppSrc;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// The number of each picture that was given, by its time.
pub(crate) type Numbers = Arc<Mutex<BTreeMap<gst::ClockTime, u16>>>;

/// The number of the picture of that time.
pub(crate) fn number(numbers: &Numbers, time: gst::ClockTime) -> Option<u16> {
    numbers.lock().unwrap_or_else(PoisonError::into_inner).get(&time).copied()
}

/// What is given to one pad, piece after piece.
#[derive(Debug)]
pub(crate) struct Feed {
    to: AppSrc,
    pieces: Vec<Coded>,
    /// The next piece, and how many there have been.
    place: usize,
    count: u32,
    step: Duration,
    /// A piece is complete so much after the time it bears.
    complete: Duration,
    phase: Duration,
    camera: Option<Camera>,
}

/// What is different with pictures.
#[derive(Debug)]
struct Camera {
    film: Film,
    /// Whether a keyframe was asked for.
    wanted: Arc<AtomicBool>,
    numbers: Numbers,
}

impl Feed {
    /// A microphone that begins `part` of a packet late.
    pub(crate) fn sound(to: AppSrc, voice: &Voice, part: f64) -> Self {
        let packet = Duration::from_micros(PACKET as u64 * 1_000_000 / u64::from(RATE));
        to.set_caps(Some(&voice.caps));
        Self {
            to,
            pieces: voice.packets.clone(),
            place: 0,
            count: 0,
            step: packet,
            complete: packet,
            phase: packet.mul_f64(part),
            camera: None,
        }
    }

    /// A camera that begins `part` of a frame late, and gives a keyframe when it is asked for one.
    pub(crate) fn picture(to: AppSrc, film: &Film, part: f64, numbers: &Numbers) -> Self {
        let frame = Duration::from_secs(1) / film.framerate;
        to.set_caps(Some(&film.caps));
        let wanted = Arc::<AtomicBool>::default();
        if let Some(pad) = to.static_pad("src") {
            let flag = Arc::clone(&wanted);
            pad.add_probe(gst::PadProbeType::EVENT_UPSTREAM, move |_, info| {
                let asks = |event: &gst::Event| event.type_() == gst::EventType::CustomUpstream;
                if info.event().is_some_and(asks) {
                    flag.store(true, Ordering::Relaxed);
                }
                gst::PadProbeReturn::Ok
            });
        }
        Self {
            to,
            pieces: film.frames.clone(),
            place: 0,
            count: 0,
            step: frame,
            complete: Duration::ZERO,
            phase: frame.mul_f64(part),
            camera: Some(Camera { film: film.clone(), wanted, numbers: Arc::clone(numbers) }),
        }
    }

    /// The time that the next piece bears.
    fn time(&self) -> Duration {
        self.phase + self.step * self.count
    }
}

impl pace::Feed for Feed {
    fn due(&self) -> Duration {
        self.time() + self.complete
    }

    fn give(&mut self) {
        let time = gst::ClockTime::try_from(self.time()).ok();
        if let Some(Camera { film, wanted, numbers }) = &self.camera {
            if wanted.swap(false, Ordering::Relaxed) && !self.pieces[self.place].is_key {
                self.place = film.next_key(self.place);
            }
            if let Some(time) = time {
                let mut numbers = numbers.lock().unwrap_or_else(PoisonError::into_inner);
                // A film has fewer than 65 536 pictures.
                numbers.insert(time, self.place as u16);
            }
        }
        let Coded { bytes, is_key } = &self.pieces[self.place];
        let mut buffer = bytes.copy();
        if let Some(buffer) = buffer.get_mut() {
            buffer.set_pts(time);
            buffer.set_dts(gst::ClockTime::NONE);
            if !is_key {
                buffer.set_flags(gst::BufferFlags::DELTA_UNIT);
            }
        }
        self.place = (self.place + 1) % self.pieces.len();
        self.count += 1;
        // Who takes no more has said why on the bus.
        let _ = self.to.push_buffer(buffer);
    }
}
