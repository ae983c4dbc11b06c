// SPDX-License-Identifier: MPL-2.0

//! A packet on its way through the mixer, and the copy of its header that each route makes.

use super::header::{self, Extensions, Header, Rewritten};
use super::keyframe::PREFIX;

/// Longest header that is read: the fixed part, 15 contributing sources and 180 bytes of extensions.
/// Extensions in the field take a few dozen bytes.
const LONGEST_HEADER: usize = 256;

/// One RTP packet as it came in.
#[derive(Debug, Clone)]
pub(super) struct Packet {
    buffer: gst::Buffer,
    header: Header,
    /// Running time.
    time: Option<gst::ClockTime>,
}

/// The beginning of a packet, read once for all its routes.
pub(super) struct Beginning {
    bytes: [u8; LONGEST_HEADER + PREFIX],
    size: usize,
    header: Header,
}

impl Beginning {
    /// `None` when `buffer` is no RTP packet.
    pub(super) fn read(buffer: &gst::BufferRef) -> Option<Self> {
        let mut bytes = [0; LONGEST_HEADER + PREFIX];
        let size = buffer.size().min(bytes.len());
        buffer.copy_to_slice(0, &mut bytes[..size]).ok()?;
        let header = header::parse(&bytes[..size])?;
        Some(Self { bytes, size, header })
    }

    pub(super) fn header(&self) -> Header {
        self.header
    }

    /// At least [`PREFIX`] bytes of payload, if there are so many.
    pub(super) fn payload(&self) -> &[u8] {
        &self.bytes[self.header.length..self.size]
    }
}

impl Packet {
    pub(super) fn new(buffer: gst::Buffer, header: Header, time: Option<gst::ClockTime>) -> Self {
        Self { buffer, header, time }
    }

    pub(super) fn header(&self) -> Header {
        self.header
    }

    pub(super) fn time(&self) -> Option<gst::ClockTime> {
        self.time
    }

    /// The same packet with another header. The payload is shared with the original.
    pub(super) fn rewritten(
        &self,
        new: Rewritten,
        extensions: Option<&Extensions>,
    ) -> Result<gst::Buffer, gst::glib::BoolError> {
        let mut bytes = vec![0; self.header.length];
        self.buffer
            .copy_to_slice(0, &mut bytes)
            .map_err(|_| gst::glib::bool_error!("a packet got shorter on its way"))?;
        header::write(&mut bytes, new);
        if let Some(ids) = extensions {
            ids.apply(&mut bytes);
        }
        let mut buffer = gst::Buffer::from_mut_slice(bytes);
        let out = buffer.make_mut();
        let about = gst::BufferCopyFlags::FLAGS | gst::BufferCopyFlags::META;
        self.buffer.copy_into(out, about, ..)?;
        if self.header.length < self.buffer.size() {
            let payload = self.header.length..;
            self.buffer.copy_into(out, gst::BufferCopyFlags::MEMORY, payload)?;
        }
        out.set_pts(self.time);
        out.set_duration(self.buffer.duration());
        Ok(buffer)
    }
}
