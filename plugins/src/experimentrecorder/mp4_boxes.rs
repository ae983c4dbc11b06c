// SPDX-License-Identifier: MPL-2.0

//! The boxes of MP4 that do not change while a file grows (ISO/IEC 14496-12, section 8).

use super::container::Codec;
use super::opus::RATE;

pub(super) fn trak(number: usize, codec: &Codec, rate: u64) -> Vec<u8> {
    let (width, height, volume, handler, name, media): (u32, u32, u16, &[u8; 4], &[u8], Vec<u8>) =
        match *codec {
            Codec::Opus { .. } => (0, 0, 0x100, b"soun", b"sound\0", mp4_box(b"smhd", &[&[0; 8]])),
            Codec::H264 { width, height, .. } | Codec::Vp8 { width, height } => {
                let vmhd = mp4_box(b"vmhd", &[&[0, 0, 0, 1], &[0; 8]]);
                (width, height, 0, b"vide", b"video\0", vmhd)
            }
        };
    let tkhd = [
        &[0, 0, 0, 3][..],
        &[0; 8],
        &id(number),
        &[0; 4],
        &[0; 4],
        &[0; 12],
        &volume.to_be_bytes(),
        &[0; 2],
        &matrix(),
        &(width << 16).to_be_bytes(),
        &(height << 16).to_be_bytes(),
    ];
    // 0x55c4 is "und", the language that is not said.
    let mdhd = [&[0; 12][..], &(rate as u32).to_be_bytes(), &[0; 4], &[0x55, 0xc4, 0, 0]];
    let hdlr: [&[u8]; 4] = [&[0; 8], handler, &[0; 12], name];
    let itself = mp4_box(b"url ", &[&[0, 0, 0, 1]]);
    let dref = mp4_box(b"dref", &[&[0; 4], &1u32.to_be_bytes(), &itself]);
    let entry = sample_entry(codec);
    let tables = [
        mp4_box(b"stsd", &[&[0; 4], &1u32.to_be_bytes(), &entry]),
        mp4_box(b"stts", &[&[0; 8]]),
        mp4_box(b"stsc", &[&[0; 8]]),
        mp4_box(b"stsz", &[&[0; 12]]),
        mp4_box(b"stco", &[&[0; 8]]),
    ]
    .concat();
    let dinf = mp4_box(b"dinf", &[&dref]);
    let stbl = mp4_box(b"stbl", &[&tables]);
    let minf = mp4_box(b"minf", &[&media, &dinf, &stbl]);
    let mdia = mp4_box(b"mdia", &[&mp4_box(b"mdhd", &mdhd), &mp4_box(b"hdlr", &hdlr), &minf]);
    mp4_box(b"trak", &[&mp4_box(b"tkhd", &tkhd), &mdia])
}

fn sample_entry(codec: &Codec) -> Vec<u8> {
    let head: [u8; 8] = [0, 0, 0, 0, 0, 0, 0, 1];
    let picture = |name: &[u8; 4], width: u32, height: u32, configuration: &[u8]| {
        let size = |pixels: u32| (pixels.min(0xffff) as u16).to_be_bytes();
        // 72 dpi, one frame a sample, no compressor name, depth 24, no colour table
        let dpi = 0x48_0000u32.to_be_bytes();
        mp4_box(
            name,
            &[
                &head,
                &[0; 16],
                &size(width),
                &size(height),
                &dpi,
                &dpi,
                &[0, 0, 0, 0, 0, 1],
                &[0; 32],
                &[0, 0x18, 0xff, 0xff],
                configuration,
            ],
        )
    };
    match codec {
        Codec::Opus { channels } => {
            let rate = (RATE as u32).to_be_bytes();
            let dops = mp4_box(b"dOps", &[&[0, *channels], &[0, 0], &rate, &[0, 0, 0]]);
            let sound = [0, *channels, 0, 16, 0, 0, 0, 0];
            mp4_box(b"Opus", &[&head, &[0; 8], &sound, &((RATE as u32) << 16).to_be_bytes(), &dops])
        }
        Codec::H264 { width, height, configuration } => {
            // avc3: the parameter sets are in the stream and may change there.
            picture(b"avc3", *width, *height, &mp4_box(b"avcC", &[configuration]))
        }
        Codec::Vp8 { width, height } => {
            // Profile 0, 8 bits, 4:2:0, colours not said.
            let record = [1, 0, 0, 0, 0, 10, 0x82, 2, 2, 2, 0, 0];
            picture(b"vp08", *width, *height, &mp4_box(b"vpcC", &[&record]))
        }
    }
}

/// The matrix that changes nothing.
pub(super) fn matrix() -> Vec<u8> {
    [0x1_0000u32, 0, 0, 0, 0x1_0000, 0, 0, 0, 0x4000_0000].map(u32::to_be_bytes).concat()
}

pub(super) fn id(number: usize) -> [u8; 4] {
    (number as u32 + 1).to_be_bytes()
}

pub(super) fn clamp(value: u64) -> u32 {
    u32::try_from(value).unwrap_or(u32::MAX)
}

pub(super) fn mp4_box(name: &[u8; 4], parts: &[&[u8]]) -> Vec<u8> {
    let size: usize = 8 + parts.iter().map(|part| part.len()).sum::<usize>();
    let mut out = Vec::with_capacity(size);
    out.extend(clamp(size as u64).to_be_bytes());
    out.extend_from_slice(name);
    for part in parts {
        out.extend_from_slice(part);
    }
    out
}
