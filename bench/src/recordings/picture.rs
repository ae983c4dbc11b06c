// SPDX-License-Identifier: MPL-2.0

//! The test picture: its number in black and white blocks along the top, and below them a field
//! that is dark, or white during a flash. Pure; `bench/browsers.mjs` draws the same.

/// Bits of the number: 43 minutes at 25 pictures a second.
const BITS: usize = 16;
/// Blocks in the row: the number, and four that check it.
const BLOCKS: usize = BITS + 4;
/// The row takes one part in so many of the picture's height.
const ROW: usize = 4;
/// Black, white and the dark field, in the range of video (BT.601: 16 to 235).
const BLACK: u8 = 16;
const WHITE: u8 = 235;
const DARK: u8 = 40;
/// A block whose brightness is nearer to the middle than this is not read. Ours: encoders at low
/// bitrates blur edges, and the middle of a block much less.
const DOUBT: f64 = 30.0;

/// What is seen in a picture.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Seen {
    /// Mean luma of the field, 0 to 255.
    pub(crate) luma: f64,
    /// Its number, where the blocks can be read.
    pub(crate) number: Option<u16>,
}

/// A plane of luma.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Plane {
    pub(crate) width: usize,
    pub(crate) height: usize,
    /// Bytes from one row to the next.
    pub(crate) stride: usize,
}

/// The number with its four bits of checksum, the highest bit first.
fn blocks(number: u16) -> [bool; BLOCKS] {
    let check = [12, 8, 4, 0].iter().fold(0b1010, |sum, shift| sum ^ (number >> shift) & 0xF);
    let word = u32::from(number) << 4 | u32::from(check);
    std::array::from_fn(|block| word >> (BLOCKS - 1 - block) & 1 == 1)
}

/// Paints the luma of a picture.
pub(crate) fn draw(number: u16, flash: bool, plane: Plane, luma: &mut [u8]) {
    let blocks = blocks(number);
    let field = if flash { WHITE } else { DARK };
    for (y, row) in luma.chunks_mut(plane.stride).take(plane.height).enumerate() {
        if y >= plane.height / ROW {
            row[..plane.width].fill(field);
            continue;
        }
        for (x, pixel) in row[..plane.width].iter_mut().enumerate() {
            *pixel = if blocks[x * BLOCKS / plane.width] { WHITE } else { BLACK };
        }
    }
}

/// Reads a picture.
pub(crate) fn read(plane: Plane, luma: &[u8]) -> Seen {
    let Plane { width, height, .. } = plane;
    let row = height / ROW;
    let mut word = Some(0_u32);
    for block in 0..BLOCKS {
        let (left, right) = (block * width / BLOCKS, (block + 1) * width / BLOCKS);
        let edge = (right - left) / 4;
        let seen = mean(plane, luma, left + edge..right - edge, row / 4..row - row / 4);
        let middle = f64::from(u16::from(BLACK) + u16::from(WHITE)) / 2.0;
        word = word
            .filter(|_| (seen - middle).abs() > DOUBT)
            .map(|word| word << 1 | u32::from(seen > middle));
    }
    let number = word
        .and_then(|word| u16::try_from(word >> 4).ok())
        .filter(|number| Some(blocks(*number)) == word.map(bits));
    // Without the edge to the row of blocks, which encoders blur.
    let field = mean(plane, luma, 0..width, row + row / 4..height);
    Seen { luma: field, number }
}

fn bits(word: u32) -> [bool; BLOCKS] {
    std::array::from_fn(|block| word >> (BLOCKS - 1 - block) & 1 == 1)
}

fn mean(
    plane: Plane,
    luma: &[u8],
    columns: std::ops::Range<usize>,
    rows: std::ops::Range<usize>,
) -> f64 {
    let count = (columns.len() * rows.len()).max(1);
    let sum: u64 = rows
        .filter_map(|y| luma.get(y * plane.stride + columns.start..y * plane.stride + columns.end))
        .flatten()
        .map(|pixel| u64::from(*pixel))
        .sum();
    sum as f64 / count as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLANE: Plane = Plane { width: 320, height: 240, stride: 336 };

    fn painted(number: u16, flash: bool) -> Vec<u8> {
        let mut luma = vec![0; PLANE.stride * PLANE.height];
        draw(number, flash, PLANE, &mut luma);
        luma
    }

    #[test]
    fn every_number_is_read_as_itself_dark_and_in_a_flash() {
        for number in (0..=u16::MAX).step_by(97).chain([1, 2, u16::MAX]) {
            for (flash, luma) in [(false, 40.0), (true, 235.0)] {
                let seen = read(PLANE, &painted(number, flash));
                assert_eq!(seen, Seen { luma, number: Some(number) });
            }
        }
    }

    #[test]
    fn a_picture_that_is_blurred_or_another_one_has_no_number() {
        let grey = vec![126; PLANE.stride * PLANE.height];
        assert_eq!(read(PLANE, &grey), Seen { luma: 126.0, number: None });
        // One block of the wrong colour: the checksum does not fit.
        let mut wrong = painted(0x1234, false);
        for row in wrong.chunks_mut(PLANE.stride).take(60) {
            row[..16].fill(WHITE);
        }
        assert_eq!(read(PLANE, &wrong).number, None);
        let mirrored: Vec<u8> = painted(0x1234, false)
            .chunks(PLANE.stride)
            .flat_map(|row| {
                let mut row = row.to_vec();
                row[..PLANE.width].reverse();
                row
            })
            .collect();
        assert_ne!(read(PLANE, &mirrored).number, Some(0x1234));
    }

    #[test]
    fn sizes_that_do_not_divide_are_read_too() {
        for (width, height) in [(176, 144), (322, 182), (640, 360), (200, 112)] {
            let plane = Plane { width, height, stride: width };
            let mut luma = vec![0; width * height];
            draw(40_321, false, plane, &mut luma);
            assert_eq!(read(plane, &luma).number, Some(40_321), "{width}x{height}");
        }
    }
}
