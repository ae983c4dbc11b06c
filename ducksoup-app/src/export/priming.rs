// SPDX-License-Identifier: MPL-2.0

//! Tells players how the sound of an mp4 begins. An AAC encoder puts samples of its own before the
//! first one and after the last; mp4mux 1.22 does not say so, and players would be 21 ms late. The
//! edit list of the track (ISO/IEC 14496-12, 8.6.6) says from where to where it is to be heard.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::ops::Range;
use std::path::Path;

/// What libav's AAC encoder puts before the first sample (`initial_padding`): one frame.
const PRIMING: u32 = 1024;
/// Largest index of a file that is read, in bytes. Ours: twenty minutes make some 2 MB.
const MAX_INDEX: u64 = 256 << 20;

/// Declares that the sound of the file at `path` lasts `samples`, at 48 kHz, which must be the
/// timescale of the movie and of its sound.
pub(super) fn declare(path: &Path, samples: u64) -> io::Result<()> {
    let mut file = File::options().read(true).write(true).open(path)?;
    let (at, length) = find_index(&mut file)?;
    let mut index = vec![0; length];
    file.seek(SeekFrom::Start(at))?;
    file.read_exact(&mut index)?;
    let samples = u32::try_from(samples).map_err(|_| io::Error::other("longer than a day"))?;
    edit(&mut index, samples).ok_or_else(|| io::Error::other("an mp4 without its edit list"))?;
    file.seek(SeekFrom::Start(at))?;
    file.write_all(&index)?;
    file.sync_all()
}

/// Where the content of the file's `moov` is.
fn find_index(file: &mut File) -> io::Result<(u64, usize)> {
    let end = file.metadata()?.len();
    let mut at = 0;
    while at + 8 <= end {
        let mut head = [0; 16];
        file.seek(SeekFrom::Start(at))?;
        file.read_exact(&mut head[..8])?;
        let mut size = u64::from(u32::from_be_bytes([head[0], head[1], head[2], head[3]]));
        let mut header = 8;
        if size == 1 {
            file.read_exact(&mut head[8..])?;
            size = head[8..].iter().fold(0, |size, byte| size << 8 | u64::from(*byte));
            header = 16;
        }
        if &head[4..8] == b"moov" && (header..MAX_INDEX).contains(&size) {
            let length = usize::try_from(size - header).map_err(io::Error::other)?;
            return Ok((at + header, length));
        }
        at += size.max(header);
    }
    Err(io::Error::other("an mp4 without an index"))
}

/// Changes the only edit of the sound's track, and all lengths that come from it, in the content of
/// a `moov`. None when it is not as mp4mux writes it.
fn edit(index: &mut [u8], samples: u32) -> Option<()> {
    let mut from = 0;
    let (mut sound, mut longest) = (None, samples);
    while let Some(track) = find(index, from..index.len(), b"trak") {
        let media = find(index, track.clone(), b"mdia")?;
        let handler = find(index, media, b"hdlr")?;
        let header = find(index, track.clone(), b"tkhd")?;
        if index.get(handler)?.get(8..12)? == b"soun" {
            sound = Some((track.clone(), header));
        } else {
            longest = longest.max(read(index, header.start + 20)?);
        }
        from = track.end;
    }
    let (track, header) = sound?;
    let edits = find(index, track, b"edts")?;
    let list = find(index, edits, b"elst")?;
    let movie = find(index, 0..index.len(), b"mvhd")?;
    // Version 0, one entry: length in the movie's timescale, place in the track's.
    if read(index, list.start)? >> 24 != 0 || read(index, list.start + 4)? != 1 {
        return None;
    }
    write(index, list.start + 8, samples)?;
    write(index, list.start + 12, PRIMING)?;
    write(index, header.start + 20, samples)?;
    write(index, movie.start + 16, longest)
}

/// The content of the first box of a kind among those in a place.
fn find(bytes: &[u8], within: Range<usize>, kind: &[u8; 4]) -> Option<Range<usize>> {
    let mut at = within.start;
    while at + 8 <= within.end {
        let size = read(bytes, at)? as usize;
        let end = at.checked_add(size).filter(|end| size >= 8 && *end <= within.end)?;
        if bytes.get(at + 4..at + 8)? == kind {
            return Some(at + 8..end);
        }
        at = end;
    }
    None
}

fn read(bytes: &[u8], at: usize) -> Option<u32> {
    let four = bytes.get(at..at + 4)?.try_into().ok()?;
    Some(u32::from_be_bytes(four))
}

fn write(bytes: &mut [u8], at: usize, value: u32) -> Option<()> {
    bytes.get_mut(at..at + 4)?.copy_from_slice(&value.to_be_bytes());
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn boxed(kind: &[u8; 4], content: &[u8]) -> Vec<u8> {
        let size = u32::try_from(content.len() + 8).expect("small");
        [&size.to_be_bytes()[..], kind, content].concat()
    }

    fn words(words: &[u32]) -> Vec<u8> {
        words.iter().flat_map(|word| word.to_be_bytes()).collect()
    }

    fn track(handler: &[u8; 4], duration: u32, entries: u32) -> Vec<u8> {
        let header = boxed(b"tkhd", &words(&[0, 0, 0, 1, 0, duration, 0]));
        let handler = [&words(&[0, 0])[..], handler].concat();
        let media = boxed(b"mdia", &boxed(b"hdlr", &handler));
        let edits = boxed(b"elst", &words(&[0, entries, duration, 0, 0x1_0000]));
        boxed(b"trak", &[header, boxed(b"edts", &edits), media].concat())
    }

    fn index(entries: u32) -> Vec<u8> {
        let movie = boxed(b"mvhd", &words(&[0, 0, 0, 48_000, 97_280]));
        [movie, track(b"vide", 96_000, 1), track(b"soun", 97_280, entries)].concat()
    }

    #[test]
    fn sound_is_heard_from_its_first_sample_to_its_last() {
        let mut changed = index(1);
        edit(&mut changed, 96_000).expect("as mp4mux writes it");
        let before = index(1);
        let words = |bytes: &[u8]| -> Vec<u32> {
            (0..bytes.len() / 4).filter_map(|n| read(bytes, 4 * n)).collect()
        };
        let differences: Vec<_> = words(&before)
            .into_iter()
            .zip(words(&changed))
            .filter(|(before, after)| before != after)
            .collect();
        let length = (97_280, 96_000);
        assert_eq!(differences, [length, length, length, (0, PRIMING)]);
    }

    #[test]
    fn what_is_not_as_expected_is_left_alone() {
        let mut other = index(2);
        assert_eq!(edit(&mut other, 96_000), None);
        assert_eq!(other, index(2));
        assert_eq!(edit(&mut [], 1), None);
        assert_eq!(edit(&mut [0, 0, 0, 4, 1, 2, 3, 4], 1), None);
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("x.mp4");
        std::fs::write(&path, boxed(b"ftyp", b"isom")).expect("written");
        assert!(declare(&path, 1).expect_err("no index").to_string().contains("without an index"));
    }
}
