// SPDX-License-Identifier: MPL-2.0

//! Messages out of a TCP stream, and into one. Pure.
//!
//! STUN messages and channel data follow each other, told apart by their first two bits; over a
//! stream, channel data are padded to four bytes (RFC 8656, section 12.5).

/// Largest message taken, over UDP too: a jumbo frame fits four times; media packets have 1500.
/// Ours.
pub(super) const MAX_MESSAGE: usize = 4096;
/// Of a STUN message (RFC 8489, section 5).
const STUN_HEADER: usize = 20;
/// Of channel data.
const CHANNEL_HEADER: usize = 4;

/// The stream is none of TURN.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("neither STUN nor channel data")]
pub(super) struct NoTurn;

/// What has been received and is no whole message yet.
#[derive(Debug, Default)]
pub(super) struct Stream {
    bytes: Vec<u8>,
    /// Padding of the last message, still to come.
    padding: usize,
}

impl Stream {
    /// Takes what was received.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// The next whole message.
    ///
    /// # Errors
    /// When what comes is none, or one too large; the stream cannot be read any further then.
    pub(super) fn next(&mut self) -> Result<Option<Vec<u8>>, NoTurn> {
        let skipped = self.padding.min(self.bytes.len());
        self.bytes.drain(..skipped);
        self.padding -= skipped;
        let Some(&[first, _, high, low]) = self.bytes.first_chunk() else {
            return Ok(None);
        };
        let announced = usize::from(u16::from_be_bytes([high, low]));
        let length = match first >> 6 {
            0b00 if announced % 4 == 0 => STUN_HEADER + announced,
            0b01 => CHANNEL_HEADER + announced,
            _ => return Err(NoTurn),
        };
        if length > MAX_MESSAGE {
            return Err(NoTurn);
        }
        if self.bytes.len() < length {
            return Ok(None);
        }
        let rest = self.bytes.split_off(length);
        self.padding = length.next_multiple_of(4) - length;
        Ok(Some(std::mem::replace(&mut self.bytes, rest)))
    }
}

/// A message as it is written to a stream.
pub(super) fn padded(mut message: Vec<u8>) -> Vec<u8> {
    message.resize(message.len().next_multiple_of(4), 0);
    message
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stun(body: u16) -> Vec<u8> {
        let mut message = vec![0, 1];
        message.extend(body.to_be_bytes());
        message.resize(STUN_HEADER + usize::from(body), 7);
        message
    }

    fn channel(data: u16) -> Vec<u8> {
        let mut message = vec![0x40, 1];
        message.extend(data.to_be_bytes());
        message.resize(CHANNEL_HEADER + usize::from(data), 9);
        message
    }

    #[test]
    fn messages_come_out_whole_wherever_the_stream_is_cut() {
        let messages = [stun(0), channel(5), channel(0), stun(8), channel(4), channel(3)];
        let stream: Vec<u8> = messages.iter().cloned().flat_map(padded).collect();
        for size in 1..=stream.len() {
            let mut received = Stream::default();
            let mut found = Vec::new();
            for piece in stream.chunks(size) {
                received.push(piece);
                while let Some(message) = received.next().expect("TURN") {
                    found.push(message);
                }
            }
            assert_eq!(found, messages, "in pieces of {size}");
        }
    }

    #[test]
    fn what_is_no_turn_is_refused_at_its_first_bytes() {
        for bytes in [
            b"GET / HTTP/1.1".to_vec(),
            vec![0x16, 0x03, 0x01, 0x02],
            vec![0x80, 0, 0, 0],
            vec![0xff; 4],
            vec![0, 1, 0, 3],
            vec![0, 1, 0xff, 0xfc],
            vec![0x40, 1, 0xff, 0xff],
        ] {
            let mut stream = Stream::default();
            stream.push(&bytes);
            assert!(stream.next() == Err(NoTurn), "{bytes:?}");
        }
    }
}
