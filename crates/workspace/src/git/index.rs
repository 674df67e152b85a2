//! Takes over the entries of a repository's index, and nothing else of it.
//!
//! An index can lie: entries marked *assume unchanged* hide changes, extensions name trees and
//! untracked files that git then believes. So the entries are read here, unmarked, and written as
//! a new index without extensions. Their file times stay, so that git hashes only what changed.

/// An entry's fields before its object name: times, device, inode, mode, owner, size.
const STAT: usize = 40;
const EXTENDED: u16 = 0x4000;
const STAGE: u16 = 0x3000;
const SKIP_WORKTREE: u16 = 0x4000;
const INTENT_TO_ADD: u16 = 0x2000;
/// The mode of a whole directory in a sparse index.
const DIRECTORY: u32 = 0o040_000;

/// One entry, as it is written again.
struct Entry<'a> {
    /// Times and all up to the object's name, that included.
    head: &'a [u8],
    name: Vec<u8>,
    /// Kept only where the file is absent on purpose, by a sparse checkout.
    skip: bool,
}

/// Rewrites an index. `oid` is the length of an object's name in bytes; `absent` says whether
/// nothing stands at a path of the work tree. None when the index cannot be taken over: it is
/// damaged, split, sparse, or of an unknown version.
///
/// Entries of unfinished merges and those only intended are left out: their paths are then
/// untracked and found as such.
pub(super) fn take_over(
    bytes: &[u8],
    oid: usize,
    absent: impl Fn(&[u8]) -> bool,
) -> Option<Vec<u8>> {
    let (body, _checksum) = bytes.split_at_checked(bytes.len().checked_sub(oid)?)?;
    let mut reader = Reader { rest: body };
    if reader.take(4)? != b"DIRC" {
        return None;
    }
    let version = reader.u32()?;
    let count = reader.u32()?;
    if !(2..=4).contains(&version) {
        return None;
    }
    let mut entries = Vec::new();
    let mut previous: Vec<u8> = Vec::new();
    for _ in 0..count {
        let (entry, flags, extended) = reader.entry(version, oid, &previous)?;
        previous.clone_from(&entry.name);
        let mode = u32::from_be_bytes(entry.head.get(24..28)?.try_into().ok()?);
        if mode == DIRECTORY {
            return None;
        }
        let keep = flags & STAGE == 0 && extended & INTENT_TO_ADD == 0 && is_plain(&entry.name);
        if keep {
            let skip = extended & SKIP_WORKTREE != 0 && absent(&entry.name);
            entries.push(Entry { skip, ..entry });
        }
    }
    // A split index keeps its entries elsewhere.
    if reader.extensions()?.contains(b"link") {
        return None;
    }
    Some(write(&entries, oid))
}

/// Whether a name stays in the work tree and out of `.git`.
fn is_plain(name: &[u8]) -> bool {
    name.split(|byte| *byte == b'/').all(|part| {
        !part.is_empty() && part != b"." && part != b".." && !part.eq_ignore_ascii_case(b".git")
    })
}

fn write(entries: &[Entry<'_>], oid: usize) -> Vec<u8> {
    let version: u32 = if entries.iter().any(|entry| entry.skip) {
        3
    } else {
        2
    };
    let mut out = b"DIRC".to_vec();
    out.extend(version.to_be_bytes());
    out.extend(
        u32::try_from(entries.len())
            .unwrap_or(u32::MAX)
            .to_be_bytes(),
    );
    for entry in entries {
        let start = out.len();
        out.extend(entry.head);
        // The length's field holds 12 bits; longer names end at their NUL.
        let length = u16::try_from(entry.name.len()).unwrap_or(0xfff).min(0xfff);
        out.extend((length | if entry.skip { EXTENDED } else { 0 }).to_be_bytes());
        if entry.skip {
            out.extend(SKIP_WORKTREE.to_be_bytes());
        }
        out.extend(&entry.name);
        // At least one NUL, up to a multiple of eight.
        let padded = (out.len() - start + 8) & !7;
        out.resize(start + padded, 0);
    }
    // Git writes no checksum itself where `index.skipHash` is set, and takes this for that.
    out.resize(out.len() + oid, 0);
    out
}

struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(count)?;
        self.rest = rest;
        Some(taken)
    }

    fn u16(&mut self) -> Option<u16> {
        Some(u16::from_be_bytes(self.take(2)?.try_into().ok()?))
    }

    fn u32(&mut self) -> Option<u32> {
        Some(u32::from_be_bytes(self.take(4)?.try_into().ok()?))
    }

    /// Takes bytes up to a NUL, and the NUL.
    fn text(&mut self) -> Option<&'a [u8]> {
        let end = self.rest.iter().position(|byte| *byte == 0)?;
        let text = self.take(end)?;
        self.take(1)?;
        Some(text)
    }

    fn entry(
        &mut self,
        version: u32,
        oid: usize,
        previous: &[u8],
    ) -> Option<(Entry<'a>, u16, u16)> {
        let start = self.rest.len();
        let head = self.take(STAT + oid)?;
        let flags = self.u16()?;
        let extended = if flags & EXTENDED != 0 {
            self.u16()?
        } else {
            0
        };
        let name = if version == 4 {
            // What the name shares with the one before it is left out.
            let dropped = self.varint()?;
            let kept = previous.get(..previous.len().checked_sub(dropped)?)?;
            [kept, self.text()?].concat()
        } else {
            let name = self.text()?.to_vec();
            let read = start - self.rest.len();
            // One NUL was taken already.
            self.take(((read + 7) & !7) - read)?;
            name
        };
        Some((
            Entry {
                head,
                name,
                skip: false,
            },
            flags,
            extended,
        ))
    }

    fn varint(&mut self) -> Option<usize> {
        let mut byte = self.take(1)?[0];
        let mut value = usize::from(byte & 0x7f);
        while byte & 0x80 != 0 {
            byte = self.take(1)?[0];
            value = value
                .checked_add(1)?
                .checked_mul(128)?
                .checked_add(usize::from(byte & 0x7f))?;
        }
        Some(value)
    }

    /// The signatures of the extensions that follow the entries.
    fn extensions(&mut self) -> Option<Vec<[u8; 4]>> {
        let mut found = Vec::new();
        while !self.rest.is_empty() {
            let signature = self.take(4)?.try_into().ok()?;
            let length = usize::try_from(self.u32()?).ok()?;
            self.take(length)?;
            found.push(signature);
        }
        Some(found)
    }
}
