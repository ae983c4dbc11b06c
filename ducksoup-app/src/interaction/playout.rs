// SPDX-License-Identifier: MPL-2.0

//! Browsers show pictures as soon as they can: the RTP header extension playout-delay, which the server writes.
//!
//! Left to itself, Chromium keeps every picture for about as long as their ways differ. What it repairs itself on its own
//! way it leaves out of that; but where the server has to wait for a repair on the sender's way, it sees a way that varies.
//! (Measured, VP8, 25 a second: with 5 % of losses on the sender's way it kept pictures for 41 ms, and showed them 48 ms later
//! than with as much on its own way, for which it kept them for 4 ms.) It also keeps pictures back until they are as
//! late as sound, which takes longer, in encoders and in what receivers keep in hand. That nobody notices up to 125 ms
//! (ITU-R BT.1359-1).

use gst::prelude::*;
use gst_rtp::RTPBuffer;
use std::ops::ControlFlow;
use std::sync::{Mutex, PoisonError};

/// Header extension id of ours: any from 1 to 14 that is free would do (RFC 8285).
pub(super) const ID: u8 = 5;
/// <http://www.webrtc.org/experiments/rtp-hdrext/playout-delay>
pub(super) const URI: &str = "http://www.webrtc.org/experiments/rtp-hdrext/playout-delay";

/// The least and the most that pictures are to be kept, 12 bits each: as soon as possible.
const AT_ONCE: [u8; 3] = [0; 3];

/// Writes it into what a payloader gives out here: into the first packet of each picture, where receivers look for it.
/// Behind the mixer it could not be: GStreamer 1.22 loses the payload when it adds an extension to a packet whose header
/// and extensions are one piece of memory, and its payload another (`ensure_buffers` in gstrtpbuffer.c).
pub(super) fn show_at_once(pad: &gst::Pad) {
    // Only the streaming thread takes it.
    let newest = Mutex::new(None);
    let media = gst::PadProbeType::BUFFER.union(gst::PadProbeType::BUFFER_LIST);
    pad.add_probe(media, move |_, info| {
        let mut newest = newest.lock().unwrap_or_else(PoisonError::into_inner);
        match &mut info.data {
            Some(gst::PadProbeData::Buffer(packet)) => write(packet, &mut newest),
            Some(gst::PadProbeData::BufferList(packets)) => {
                packets.make_mut().foreach_mut(|mut packet, _| {
                    write(&mut packet, &mut newest);
                    ControlFlow::Continue(Some(packet))
                });
            }
            _ => {}
        }
        gst::PadProbeReturn::Ok
    });
}

/// Writes it into a packet that has another timestamp than the `newest`.
fn write(packet: &mut gst::Buffer, newest: &mut Option<u32>) {
    let timestamp = RTPBuffer::from_buffer_readable(packet).ok().map(|packet| packet.timestamp());
    if timestamp.is_none() || std::mem::replace(newest, timestamp) == timestamp {
        return;
    }
    if let Ok(mut packet) = RTPBuffer::from_buffer_writable(packet.make_mut()) {
        let _ = packet.add_extension_onebyte_header(ID, &AT_ONCE);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use gst_check::Harness;

    /// What an encoder's picture becomes: a list of packets where it takes several.
    fn packets(watched: bool) -> Vec<gst::Buffer> {
        gst::init().unwrap();
        let mut harness = Harness::new_parse("rtpvp8pay name=pay mtu=1200 seqnum-offset=7");
        harness.set_src_caps_str("video/x-vp8,profile=(string)0");
        let bin = harness.element().unwrap().downcast::<gst::Bin>().unwrap();
        let pad = bin.by_name("pay").unwrap().static_pad("src").unwrap();
        if watched {
            show_at_once(&pad);
        }
        for picture in 0..3u8 {
            // A frame that is no keyframe (RFC 6386, 9.1), of three packets, or of one.
            let mut frame = vec![picture + 1; if picture == 1 { 700 } else { 3000 }];
            frame[..3].copy_from_slice(&[0x11, 0, 0]);
            let mut frame = gst::Buffer::from_mut_slice(frame);
            let at = gst::ClockTime::from_mseconds(40 * u64::from(picture));
            frame.get_mut().unwrap().set_pts(at);
            harness.push(frame).unwrap();
        }
        std::iter::from_fn(|| harness.try_pull()).collect()
    }

    #[test]
    fn the_first_packet_of_each_picture_says_it_and_nothing_else_changes() {
        let (plain, written) = (packets(false), packets(true));
        assert_eq!((plain.len(), written.len()), (7, 7));
        let mut said = Vec::new();
        for (plain, written) in plain.iter().zip(&written) {
            let plain = RTPBuffer::from_buffer_readable(plain).unwrap();
            let written = RTPBuffer::from_buffer_readable(written).unwrap();
            assert_eq!(written.payload().unwrap(), plain.payload().unwrap());
            assert_eq!((written.seq(), written.is_marker()), (plain.seq(), plain.is_marker()));
            said.push(written.extension_onebyte_header(ID, 0).map(<[u8]>::to_vec));
        }
        let at_once = || Some(AT_ONCE.to_vec());
        assert_eq!(said, [at_once(), None, None, at_once(), at_once(), None, None]);
    }

    #[test]
    fn what_is_no_packet_passes_as_it_is() {
        gst::init().unwrap();
        let mut other = gst::Buffer::from_mut_slice([1u8, 2, 3]);
        write(&mut other, &mut None);
        assert_eq!(other.map_readable().unwrap().as_slice(), [1, 2, 3]);
    }
}
