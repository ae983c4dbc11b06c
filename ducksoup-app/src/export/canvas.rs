// SPDX-License-Identifier: MPL-2.0

//! Pictures in memory: I420, of one size, in GStreamer's own layout.

use super::media::MediaError;
use super::plan::Size;
use gst_video::prelude::*;

/// Luma of black, and chroma of no colour (ITU-R BT.601, video range).
const BLACK: [u8; 3] = [16, 128, 128];
/// From this height on, pictures are in the colours of HD; GStreamer's own rule.
const HD: u32 = 720;

/// Pictures of one size and rate.
#[derive(Debug, Clone)]
pub(crate) struct Canvas {
    info: gst_video::VideoInfo,
}

impl Canvas {
    pub(crate) fn new(size: Size, framerate: u32) -> Result<Self, MediaError> {
        let colours = if size.height >= HD { "bt709" } else { "bt601" };
        let caps = gst::Caps::builder("video/x-raw")
            .field("format", "I420")
            .field("width", i32::try_from(size.width).unwrap_or(i32::MAX))
            .field("height", i32::try_from(size.height).unwrap_or(i32::MAX))
            .field("framerate", gst::Fraction::new(i32::try_from(framerate).unwrap_or(1), 1))
            .field("pixel-aspect-ratio", gst::Fraction::new(1, 1))
            .field("colorimetry", colours)
            .build();
        Ok(Self { info: gst_video::VideoInfo::from_caps(&caps)? })
    }

    /// With the frame rate.
    pub(crate) fn caps(&self) -> Result<gst::Caps, MediaError> {
        Ok(self.info.to_caps()?)
    }

    /// Without it: what a decoder's pictures are brought to.
    pub(crate) fn caps_at_any_rate(&self) -> Result<gst::Caps, MediaError> {
        let mut caps = self.caps()?;
        for structure in caps.make_mut().iter_mut() {
            structure.remove_field("framerate");
        }
        Ok(caps)
    }

    /// Nothing to be seen.
    pub(crate) fn black(&self) -> Vec<u8> {
        let mut bytes = vec![0; self.info.size()];
        for (plane, value) in BLACK.into_iter().enumerate() {
            let from = self.info.offset()[plane];
            let to = self.info.offset().get(plane + 1).copied().unwrap_or(bytes.len());
            bytes[from..to].fill(value);
        }
        bytes
    }

    /// A decoded picture, in the plain layout, whatever its own was.
    pub(crate) fn copy(&self, buffer: &gst::BufferRef) -> Result<Vec<u8>, MediaError> {
        let unreadable = || MediaError::Failed("a picture that cannot be read".into());
        let frame = gst_video::VideoFrameRef::from_buffer_ref_readable(buffer, &self.info)
            .map_err(|_| unreadable())?;
        let mut bytes = self.black();
        for plane in 0..3 {
            let number = u32::try_from(plane).map_err(|_| unreadable())?;
            let source = frame.plane_data(number).map_err(|_| unreadable())?;
            let stride = usize::try_from(frame.plane_stride()[plane]).map_err(|_| unreadable())?;
            let (width, height) = self.plane(plane);
            for row in 0..height {
                let line = source.get(row * stride..row * stride + width).ok_or_else(unreadable)?;
                self.row(&mut bytes, plane, row, 0, line);
            }
        }
        Ok(bytes)
    }

    /// Puts a picture of another canvas to (x, y), both even; it must fit.
    pub(crate) fn place(&self, onto: &mut [u8], x: usize, y: usize, other: &Self, bytes: &[u8]) {
        for plane in 0..3 {
            let (x, y) = if plane == 0 { (x, y) } else { (x / 2, y / 2) };
            let (width, height) = other.plane(plane);
            let stride = other.stride(plane);
            for row in 0..height {
                let from = other.info.offset()[plane] + row * stride;
                self.row(onto, plane, y + row, x, &bytes[from..from + width]);
            }
        }
    }

    fn row(&self, bytes: &mut [u8], plane: usize, row: usize, x: usize, line: &[u8]) {
        let from = self.info.offset()[plane] + row * self.stride(plane) + x;
        bytes[from..from + line.len()].copy_from_slice(line);
    }

    /// Width and height of a plane.
    fn plane(&self, plane: usize) -> (usize, usize) {
        let (width, height) = (self.info.width() as usize, self.info.height() as usize);
        if plane == 0 { (width, height) } else { (width / 2, height / 2) }
    }

    fn stride(&self, plane: usize) -> usize {
        usize::try_from(self.info.stride()[plane]).unwrap_or(0)
    }
}

/// Where each of `count` pictures of one size stands, side by side, and how large all are together:
/// as many columns as rows, or one more.
pub(crate) fn tiles(count: usize, size: Size) -> (Size, Vec<(usize, usize)>) {
    let columns = (1..=count.max(1)).find(|columns| columns * columns >= count).unwrap_or(1);
    let rows = count.max(1).div_ceil(columns);
    let (width, height) = (size.width as usize, size.height as usize);
    let places = (0..count).map(|n| (n % columns * width, n / columns * height)).collect();
    let times = |length: u32, count: usize| length * u32::try_from(count).unwrap_or(1);
    (Size { width: times(size.width, columns), height: times(size.height, rows) }, places)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_stand_side_by_side() {
        let size = Size { width: 4, height: 2 };
        for (count, width, height, places) in [
            (1, 4, 2, vec![(0, 0)]),
            (2, 8, 2, vec![(0, 0), (4, 0)]),
            (3, 8, 4, vec![(0, 0), (4, 0), (0, 2)]),
            (5, 12, 4, vec![(0, 0), (4, 0), (8, 0), (0, 2), (4, 2)]),
        ] {
            assert_eq!(tiles(count, size), (Size { width, height }, places), "{count}");
        }
    }

    #[test]
    fn a_picture_lands_where_it_is_put_in_all_its_planes() {
        gst::init().expect("GStreamer");
        let large = Canvas::new(Size { width: 20, height: 18 }, 25).expect("a canvas");
        let small = Canvas::new(Size { width: 18, height: 16 }, 25).expect("a canvas");
        let mut bytes = large.black();
        let mut white = small.black();
        white.fill(200);
        large.place(&mut bytes, 2, 2, &small, &white);
        let at = |plane: usize, x: usize, y: usize| {
            bytes[large.info.offset()[plane] + y * large.stride(plane) + x]
        };
        assert_eq!([at(0, 1, 2), at(0, 2, 1), at(0, 2, 2), at(0, 19, 17)], [16, 16, 200, 200]);
        assert_eq!([at(1, 0, 1), at(1, 1, 1), at(2, 9, 8), at(2, 1, 0)], [128, 200, 200, 128]);
    }
}
