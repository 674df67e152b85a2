//! The end of a command's output: a ring of the last bytes, and how many were lost before it.

use std::os::fd::BorrowedFd;

/// Allocated when a command says more than its head; freed with the command.
#[derive(Debug, Default)]
pub(super) struct Tail {
    ring: Vec<u8>,
    /// Where the next byte goes.
    at: usize,
    /// Bytes ever put in.
    total: u64,
}

/// Read sizes for a tail of nothing: bytes are counted and thrown away.
const SCRATCH: usize = 64 << 10;

impl Tail {
    /// Reads once from a descriptor into the ring. Returns how many bytes came.
    pub(super) fn read(&mut self, fd: BorrowedFd<'_>, capacity: u64) -> rustix::io::Result<usize> {
        let capacity = usize::try_from(capacity).unwrap_or(usize::MAX);
        if self.ring.is_empty() {
            self.ring = vec![0; if capacity == 0 { SCRATCH } else { capacity }];
        }
        let n = rustix::io::read(fd, &mut self.ring[self.at..])?;
        self.at = (self.at + n) % self.ring.len();
        self.total += n as u64;
        Ok(n)
    }

    /// How many bytes of those put in are lost, for a ring that keeps `capacity`.
    pub(super) fn dropped(&self, capacity: u64) -> u64 {
        self.total.saturating_sub(capacity)
    }

    /// The kept bytes from `from` on (counted from the oldest), as far as they lie in one piece.
    pub(super) fn kept(&self, capacity: u64, from: usize) -> &[u8] {
        if capacity == 0 || self.ring.is_empty() {
            return &[];
        }
        let wrapped = self.total > self.ring.len() as u64;
        let (older, newer) = if wrapped {
            (&self.ring[self.at..], &self.ring[..self.at])
        } else {
            (
                &self.ring[..usize::try_from(self.total).unwrap_or(0)],
                &[][..],
            )
        };
        older
            .get(from..)
            .filter(|rest| !rest.is_empty())
            .unwrap_or_else(|| {
                newer
                    .get(from.saturating_sub(older.len())..)
                    .unwrap_or_default()
            })
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::os::fd::AsFd;

    use super::*;

    fn run(capacity: u64, pieces: &[&str]) -> (u64, String) {
        let (reader, mut writer) = std::io::pipe().unwrap();
        let mut tail = Tail::default();
        for piece in pieces {
            writer.write_all(piece.as_bytes()).unwrap();
            let mut left = piece.len();
            while left > 0 {
                left -= tail.read(reader.as_fd(), capacity).unwrap();
            }
        }
        let mut text = Vec::new();
        loop {
            let more = tail.kept(capacity, text.len());
            if more.is_empty() {
                break (tail.dropped(capacity), String::from_utf8(text).unwrap());
            }
            text.extend_from_slice(more);
        }
    }

    #[test]
    fn the_last_bytes_stay_in_order() {
        assert_eq!(run(4, &["ab"]), (0, "ab".into()));
        assert_eq!(run(4, &["abcd"]), (0, "abcd".into()));
        assert_eq!(run(4, &["abcde"]), (1, "bcde".into()));
        assert_eq!(run(4, &["ab", "cdefg", "h"]), (4, "efgh".into()));
        assert_eq!(run(0, &["abc"]), (3, String::new()));
    }
}
