// SPDX-License-Identifier: MPL-2.0

//! A packet on its way through the mixer, and the copy of its header that each route makes.

use super::header::{self, Extensions, Header, Rewritten};
use super::keyframe::PREFIX;
use super::rewrite::StreamId;
use std::sync::Arc;

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

/// A packet that has just come in.
#[derive(Debug, Clone)]
pub(super) struct Arrival {
    /// Where it comes from.
    pub stream: StreamId,
    /// A keyframe begins with it.
    pub keyframe: bool,
    pub packet: Packet,
}

/// A packet that leaves on some route.
#[derive(Debug)]
pub(super) struct Departure {
    pub packet: Packet,
    pub new: Rewritten,
    pub extensions: Option<Arc<Extensions>>,
    /// The most that the receiver is to keep the picture that begins here, in units of 10 ms; `None`: what the
    /// source says.
    pub longest_kept: Option<u16>,
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
}

impl Departure {
    /// The packet with its new header. The payload is shared with the original.
    pub(super) fn buffer(&self) -> Result<gst::Buffer, gst::glib::BoolError> {
        let Packet { buffer: original, header, time } = &self.packet;
        let mut bytes = vec![0; header.length];
        original
            .copy_to_slice(0, &mut bytes)
            .map_err(|_| gst::glib::bool_error!("a packet got shorter on its way"))?;
        header::write(&mut bytes, self.new);
        if let Some(ids) = &self.extensions {
            ids.apply(&mut bytes, self.longest_kept);
        }
        let mut buffer = gst::Buffer::from_mut_slice(bytes);
        let out = buffer.make_mut();
        let about = gst::BufferCopyFlags::FLAGS | gst::BufferCopyFlags::META;
        original.copy_into(out, about, ..)?;
        if header.length < original.size() {
            let payload = header.length..;
            original.copy_into(out, gst::BufferCopyFlags::MEMORY, payload)?;
        }
        out.set_pts(*time);
        out.set_duration(original.duration());
        Ok(buffer)
    }
}
