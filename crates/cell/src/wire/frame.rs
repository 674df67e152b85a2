//! Frames: a fixed header (length, type, process id; little-endian) and a payload.

use bytes::{Buf, Bytes, BytesMut};

use super::Error;

/// Bytes before a payload: u32 length of the payload, u8 type, u32 process id.
pub(crate) const HEADER: usize = 9;
/// The longest payload the harness accepts.
pub(crate) const MAX_EVENT: usize = 1 << 20;
/// The longest payload a cell accepts: an argument list may be long.
pub(crate) const MAX_REQUEST: usize = 4 << 20;

/// One frame as received; what its type means is the message layer's business.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    /// The message type.
    pub(crate) kind: u8,
    /// The process (or request) it is about; chosen by the harness.
    pub(crate) id: u32,
    /// JSON for control messages, raw bytes for data.
    pub(crate) payload: Bytes,
}

/// Appends a frame to a buffer. Payloads are bounded by their makers, far below 4 GiB.
pub(crate) fn put_frame(out: &mut Vec<u8>, kind: u8, id: u32, payload: &[u8]) {
    let len = u32::try_from(payload.len()).unwrap_or(u32::MAX);
    out.reserve(HEADER + payload.len());
    out.extend_from_slice(&len.to_le_bytes());
    out.push(kind);
    out.extend_from_slice(&id.to_le_bytes());
    out.extend_from_slice(payload);
}

/// The payload's length that a header announces.
pub(crate) fn payload_length(header: &[u8; HEADER]) -> usize {
    let [l0, l1, l2, l3, ..] = *header;
    u32::from_le_bytes([l0, l1, l2, l3]) as usize
}

/// Cuts a byte stream into frames. Never holds more than one payload beyond what was read.
#[derive(Debug)]
pub(crate) struct Decoder {
    buffer: BytesMut,
    max: usize,
}

impl Decoder {
    /// Accepts payloads of up to `max` bytes.
    pub(crate) fn new(max: usize) -> Self {
        Self {
            buffer: BytesMut::new(),
            max,
        }
    }

    /// The buffer that newly received bytes are appended to.
    pub(crate) fn buffer(&mut self) -> &mut BytesMut {
        &mut self.buffer
    }

    /// The next whole frame, if there is one.
    pub(crate) fn next(&mut self) -> Result<Option<Frame>, Error> {
        let Some(header) = self.buffer.first_chunk::<HEADER>() else {
            return Ok(None);
        };
        let [_, _, _, _, kind, i0, i1, i2, i3] = *header;
        let len = payload_length(header);
        if len > self.max {
            return Err(Error::TooLong { len, max: self.max });
        }
        if self.buffer.len() < HEADER + len {
            return Ok(None);
        }
        self.buffer.advance(HEADER);
        let payload = self.buffer.split_to(len).freeze();
        Ok(Some(Frame {
            kind,
            id: u32::from_le_bytes([i0, i1, i2, i3]),
            payload,
        }))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn decode_all(decoder: &mut Decoder, chunks: &[Vec<u8>]) -> Result<Vec<Frame>, Error> {
        let mut frames = Vec::new();
        for chunk in chunks {
            decoder.buffer().extend_from_slice(chunk);
            while let Some(frame) = decoder.next()? {
                frames.push(frame);
            }
        }
        Ok(frames)
    }

    proptest! {
        #[test]
        fn frames_survive_any_cut(
            frames in prop::collection::vec((any::<u8>(), any::<u32>(), prop::collection::vec(any::<u8>(), 0..200)), 0..8),
            cut in 1usize..64,
        ) {
            let mut stream = Vec::new();
            for (kind, id, payload) in &frames {
                put_frame(&mut stream, *kind, *id, payload);
            }
            let chunks: Vec<Vec<u8>> = stream.chunks(cut).map(<[u8]>::to_vec).collect();
            let got = decode_all(&mut Decoder::new(MAX_EVENT), &chunks).unwrap();
            let want: Vec<Frame> = frames
                .into_iter()
                .map(|(kind, id, payload)| Frame { kind, id, payload: payload.into() })
                .collect();
            prop_assert_eq!(got, want);
        }

        #[test]
        fn garbage_never_panics_or_grows(chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 0..20)) {
            let mut decoder = Decoder::new(64);
            let total: usize = chunks.iter().map(Vec::len).sum();
            let _ = decode_all(&mut decoder, &chunks);
            prop_assert!(decoder.buffer().len() <= total);
        }
    }

    #[test]
    fn an_oversized_frame_is_refused_before_its_payload_arrives() {
        let mut decoder = Decoder::new(16);
        decoder
            .buffer()
            .extend_from_slice(&[17, 0, 0, 0, 1, 0, 0, 0, 0]);
        assert_eq!(decoder.next(), Err(Error::TooLong { len: 17, max: 16 }));
    }
}
