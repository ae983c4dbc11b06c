// SPDX-License-Identifier: MPL-2.0

//! Pieces of audio buffers.

/// `value` × `num` / `den`, rounded down.
pub(super) fn scale(value: u64, num: u64, den: u64) -> u64 {
    let scaled = u128::from(value) * u128::from(num) / u128::from(den.max(1));
    u64::try_from(scaled).unwrap_or(u64::MAX)
}

/// `GST_BUFFER_OFFSET_NONE`, which the bindings leave out.
pub(super) const NO_OFFSET: u64 = u64::MAX;
/// In ns.
pub(super) const SECOND: u64 = gst::ClockTime::SECOND.nseconds();

/// The frames from `first` up to `end` of `buffer`, with timestamps of their own.
pub(super) fn slice(
    buffer: &gst::Buffer,
    info: &gst_audio::AudioInfo,
    first: u64,
    end: u64,
) -> Result<gst::Buffer, gst::FlowError> {
    let rate = u64::from(info.rate());
    let usize_of = |frames: u64| usize::try_from(frames).map_err(|_| gst::FlowError::Error);
    let (trim, frames) = (usize_of(first)?, usize_of(end - first)?);
    let whole = buffer.clone();
    let mut piece = gst_audio::audio_buffer_truncate(whole, info.bpf(), trim, Some(frames));
    let at = |frames| gst::ClockTime::from_nseconds(scale(frames, SECOND, rate));
    let piece_mut = piece.make_mut();
    piece_mut.set_pts(buffer.pts().map(|pts| pts + at(first)));
    piece_mut.set_dts(gst::ClockTime::NONE);
    piece_mut.set_duration(at(end) - at(first));
    let offset = buffer.offset();
    if offset != NO_OFFSET {
        piece_mut.set_offset(offset + first);
        piece_mut.set_offset_end(offset + end);
    }
    if first > 0 {
        piece_mut.unset_flags(gst::BufferFlags::DISCONT | gst::BufferFlags::RESYNC);
    }
    Ok(piece)
}
