// SPDX-License-Identifier: MPL-2.0

//! The element behind the last effect: puts the original in the place of the effect's output for
//! media that entered while `bypass` was on. Hands everything through otherwise.

use super::chain::{Original, Shared};
use super::originals::{Instead, Part};
use super::pads::{pads, raw_templates};
use super::slice::{NO_OFFSET, SECOND, scale, slice};
use gst::glib;
use gst::prelude::*;
use gst::subclass::prelude::*;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

glib::wrapper! {
    pub(crate) struct Sham(ObjectSubclass<imp::Sham>) @extends gst::Element, gst::Object;
}

impl Sham {
    pub(super) fn new(name: &str, shared: Arc<Shared>) -> Self {
        let sham: Self = glib::Object::builder().property("name", name).build();
        let _ = sham.imp().shared.set(shared); // the only one: the element is new
        sham
    }
}

mod imp {
    use super::*;

    /// The formats of the stream.
    #[derive(Debug, Default, Clone)]
    struct Formats {
        /// What the effect gives.
        effect: Option<gst::Caps>,
        audio: Option<gst_audio::AudioInfo>,
        /// What was last said downstream.
        sent: Option<gst::Caps>,
    }

    #[derive(Debug)]
    pub(crate) struct Sham {
        sinkpad: gst::Pad,
        srcpad: gst::Pad,
        pub(super) shared: OnceLock<Arc<Shared>>,
        // Lock order: this, the shared originals: never both, none across a call out.
        formats: Mutex<Formats>,
    }

    #[glib::object_subclass]
    impl ObjectSubclass for Sham {
        const NAME: &'static str = "GstFxControlSham";
        type Type = super::Sham;
        type ParentType = gst::Element;

        fn new() -> Self {
            let (sinkpad, srcpad) = pads(Self::sink_chain, Self::sink_event);
            Self { sinkpad, srcpad, shared: OnceLock::new(), formats: Mutex::default() }
        }
    }

    impl ObjectImpl for Sham {
        fn constructed(&self) {
            self.parent_constructed();
            for pad in [&self.sinkpad, &self.srcpad] {
                self.obj().add_pad(pad).expect("a new element has no pads");
            }
        }
    }

    impl GstObjectImpl for Sham {}

    impl ElementImpl for Sham {
        fn pad_templates() -> &'static [gst::PadTemplate] {
            raw_templates()
        }
    }

    impl Sham {
        fn formats(&self) -> MutexGuard<'_, Formats> {
            self.formats.lock().unwrap_or_else(PoisonError::into_inner)
        }

        fn sink_event(&self, pad: &gst::Pad, event: gst::Event) -> bool {
            match event.view() {
                gst::EventView::Caps(caps) => {
                    let mut formats = self.formats();
                    formats.effect = Some(caps.caps_owned());
                    formats.audio = gst_audio::AudioInfo::from_caps(caps.caps()).ok();
                    formats.sent = Some(caps.caps_owned());
                }
                gst::EventView::FlushStop(_) => {
                    if let Some(shared) = self.shared.get() {
                        shared.originals().clear();
                    }
                }
                _ => {}
            }
            let restarting = self.shared.get().is_some_and(|shared| shared.is_restarting());
            if restarting && ends_or_begins(event.type_()) {
                return true;
            }
            gst::Pad::event_default(pad, Some(&*self.obj()), event)
        }

        fn sink_chain(&self, buffer: gst::Buffer) -> Result<gst::FlowSuccess, gst::FlowError> {
            let shared = self.shared.get().ok_or(gst::FlowError::NotNegotiated)?;
            let formats = self.formats().clone();
            let idle = shared.originals().is_idle();
            match buffer.pts() {
                Some(pts) if !idle => match &formats.audio {
                    Some(info) => self.replace_audio(shared, &formats, info, pts, &buffer),
                    None => self.replace_frame(shared, &formats, pts, buffer),
                },
                _ => self.send(formats.effect.as_ref(), buffer),
            }
        }

        /// Says the format first where it changes.
        fn send(
            &self,
            caps: Option<&gst::Caps>,
            buffer: gst::Buffer,
        ) -> Result<gst::FlowSuccess, gst::FlowError> {
            if let Some(caps) = caps {
                let changed = {
                    let mut formats = self.formats();
                    let changed = formats.sent.as_ref() != Some(caps);
                    formats.sent = Some(caps.clone());
                    changed
                };
                if changed {
                    self.srcpad.push_event(gst::event::Caps::new(caps));
                }
            }
            self.srcpad.push(buffer)
        }

        fn replace_frame(
            &self,
            shared: &Shared,
            formats: &Formats,
            pts: gst::ClockTime,
            output: gst::Buffer,
        ) -> Result<gst::FlowSuccess, gst::FlowError> {
            let instead = shared.originals().frame(pts.nseconds());
            match instead {
                Instead::Effect => self.send(formats.effect.as_ref(), output),
                Instead::Silence => Ok(gst::FlowSuccess::Ok),
                Instead::Original(original, _) => {
                    let mut frame = original.buffer;
                    if frame.pts() != Some(pts) {
                        let frame = frame.make_mut();
                        frame.set_pts(pts);
                        frame.set_duration(output.duration());
                    }
                    self.send(Some(&original.caps), frame)
                }
            }
        }

        fn replace_audio(
            &self,
            shared: &Shared,
            formats: &Formats,
            info: &gst_audio::AudioInfo,
            pts: gst::ClockTime,
            output: &gst::Buffer,
        ) -> Result<gst::FlowSuccess, gst::FlowError> {
            let frames = output.size() / usize::try_from(info.bpf().max(1)).unwrap_or(1);
            let frames = u64::try_from(frames).unwrap_or(0);
            let rate = u64::from(info.rate());
            let parts = shared.originals().parts(pts.nseconds(), frames, rate);
            let whole = parts.len() == 1;
            for part in parts {
                let mine = (part.first, part.first + part.frames);
                match &part.instead {
                    Instead::Effect if whole => {
                        self.send(formats.effect.as_ref(), output.clone())?;
                    }
                    Instead::Effect => {
                        let piece = slice(output, info, mine.0, mine.1)?;
                        self.send(formats.effect.as_ref(), piece)?;
                    }
                    Instead::Silence => {
                        let mut piece = slice(output, info, mine.0, mine.1)?;
                        silence(&mut piece, info);
                        self.send(formats.effect.as_ref(), piece)?;
                    }
                    Instead::Original(original, offset) => {
                        if let Some(piece) = original_piece(original, *offset, &part, output, rate)?
                        {
                            self.send(Some(&original.caps), piece)?;
                        }
                    }
                }
            }
            Ok(gst::FlowSuccess::Ok)
        }
    }

    /// What restarts the effects, and what that makes them say.
    fn ends_or_begins(event: gst::EventType) -> bool {
        matches!(
            event,
            gst::EventType::Eos
                | gst::EventType::FlushStart
                | gst::EventType::FlushStop
                | gst::EventType::Segment
        )
    }

    fn silence(piece: &mut gst::Buffer, info: &gst_audio::AudioInfo) {
        if let Ok(mut map) = piece.make_mut().map_writable() {
            info.format_info().fill_silence(&mut map);
        }
    }

    /// The frames of an original that take the place of `part`, with the timestamps of `output`.
    fn original_piece(
        original: &Original,
        offset: u64,
        part: &Part<Original>,
        output: &gst::Buffer,
        rate: u64,
    ) -> Result<Option<gst::Buffer>, gst::FlowError> {
        let Some(info) = &original.audio else {
            return Ok(None);
        };
        let mut piece = slice(&original.buffer, info, offset, offset + part.frames)?;
        let at = |frames| gst::ClockTime::from_nseconds(scale(frames, SECOND, rate));
        let buffer = piece.make_mut();
        buffer.set_pts(output.pts().map(|pts| pts + at(part.first)));
        buffer.set_duration(at(part.first + part.frames) - at(part.first));
        buffer.set_offset(NO_OFFSET);
        buffer.set_offset_end(NO_OFFSET);
        buffer.unset_flags(gst::BufferFlags::DISCONT | gst::BufferFlags::RESYNC);
        if part.first == 0 {
            let flags = output.flags() & (gst::BufferFlags::DISCONT | gst::BufferFlags::RESYNC);
            buffer.set_flags(flags);
        }
        Ok(Some(piece))
    }
}
