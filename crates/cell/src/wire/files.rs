//! The messages about files: 0x20–0x2f towards the cell, 0xa0–0xaf from it.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use bytes::Bytes;
use recto_protocol::ports::cell::files::{FileKind, FileWrite};
use serde::{Deserialize, Serialize};

use super::{Error, Frame};

/// The longest path that is sent or taken, in bytes; the kernel's own limit.
pub(crate) const MAX_PATH: usize = 4096;
/// The longest name in a directory.
pub(crate) const MAX_NAME: usize = 255;
/// Most entries in one page of a directory. As arrays of numbers they fit into a frame.
pub(crate) const PAGE: usize = 512;

/// A path or a name: any bytes. Text travels as text, what is no UTF-8 as an array of its bytes.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub(crate) enum Name {
    Text(String),
    Bytes(Vec<u8>),
}

impl Name {
    pub(crate) fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Text(text) => text.as_bytes(),
            Self::Bytes(bytes) => bytes,
        }
    }

    pub(crate) fn as_os_str(&self) -> &OsStr {
        OsStr::from_bytes(self.as_bytes())
    }

    /// Whether it is a single name that a directory can hold.
    pub(crate) fn is_entry(&self) -> bool {
        let name = self.as_bytes();
        is_plain(name) && name.len() <= MAX_NAME
    }
}

impl From<&OsStr> for Name {
    fn from(name: &OsStr) -> Self {
        match name.to_str() {
            Some(text) => Self::Text(text.to_owned()),
            None => Self::Bytes(name.as_bytes().to_owned()),
        }
    }
}

impl std::fmt::Debug for Name {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.as_os_str().fmt(formatter)
    }
}

fn is_plain(name: &[u8]) -> bool {
    !matches!(name, b"" | b"." | b"..") && !name.iter().any(|byte| matches!(byte, b'/' | 0))
}

/// The names of a path inside the work tree, outermost first; none for the work tree itself. None
/// for what is no such path.
pub(crate) fn names(path: &[u8]) -> Option<Vec<&OsStr>> {
    if path.len() > MAX_PATH {
        return None;
    }
    if path.is_empty() {
        return Some(Vec::new());
    }
    let parts = path.split(|byte| *byte == b'/');
    parts
        .map(|name| is_plain(name).then(|| OsStr::from_bytes(name)))
        .collect()
}

/// Asks what lies at a path.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Stat {
    pub(crate) path: Name,
}

/// Asks for a part of a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Read {
    pub(crate) path: Name,
    pub(crate) offset: u64,
    pub(crate) length: u32,
}

/// Says where and how the bytes that follow are written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Write {
    pub(crate) path: Name,
    pub(crate) how: How,
}

/// [`FileWrite`] on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum How {
    Create { mode: u32 },
    Truncate { mode: u32 },
    At { offset: u64 },
    Append { mode: u32 },
    Replace { mode: u32 },
}

impl From<FileWrite> for How {
    fn from(how: FileWrite) -> Self {
        match how {
            FileWrite::Create { mode } => Self::Create { mode },
            FileWrite::Truncate { mode } => Self::Truncate { mode },
            FileWrite::At(offset) => Self::At { offset },
            FileWrite::Append { mode } => Self::Append { mode },
            FileWrite::Replace { mode } => Self::Replace { mode },
        }
    }
}

/// Asks for a page of a directory; `from` is zero or what the page before said.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct List {
    pub(crate) path: Name,
    pub(crate) from: u64,
}

/// Asks for a directory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct MakeDirectory {
    pub(crate) path: Name,
    pub(crate) mode: u32,
}

/// Asks that a file or an empty directory goes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Remove {
    pub(crate) path: Name,
}

/// Asks for another name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Rename {
    pub(crate) from: Name,
    pub(crate) to: Name,
}

/// What lies at a path.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct StatReply {
    pub(crate) kind: Kind,
    pub(crate) size: u64,
    pub(crate) mode: u32,
    /// Seconds since the epoch, and nanoseconds on top.
    pub(crate) modified: (i64, u32),
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) target: Option<Name>,
}

/// What a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Kind {
    File,
    Directory,
    Link,
    Other,
}

impl From<Kind> for FileKind {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::File => Self::File,
            Kind::Directory => Self::Directory,
            Kind::Link => Self::Link,
            Kind::Other => Self::Other,
        }
    }
}

/// A page of a directory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ListReply {
    pub(crate) entries: Vec<(Name, Kind)>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) next: Option<u64>,
}

/// A request about a file was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct FileRefused {
    pub(crate) why: Why,
    pub(crate) errno: i32,
}

/// Who refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Why {
    /// Not a path inside the work tree, or a request out of bounds.
    Path,
    /// A symbolic link at the path or on the way.
    Link,
    /// Not a regular file.
    Kind,
    /// The system; `errno` says how.
    System,
}

/// A payload of two parts: a u32 length, that many bytes of JSON, then raw bytes.
pub(super) fn put_mixed<T: Serialize>(message: &T, bytes: &[u8]) -> Vec<u8> {
    // Plain structs with string keys always serialise; an empty head would be refused.
    let head = serde_json::to_vec(message).unwrap_or_default();
    let len = u32::try_from(head.len()).unwrap_or(u32::MAX);
    [&len.to_le_bytes()[..], &head, bytes].concat()
}

/// Reads what [`put_mixed`] wrote.
pub(super) fn mixed<T: for<'a> Deserialize<'a>>(frame: &Frame) -> Result<(T, Bytes), Error> {
    let malformed = || Error::Malformed(frame.kind);
    let (len, rest) = frame.payload.split_first_chunk().ok_or_else(malformed)?;
    let len = u32::from_le_bytes(*len) as usize;
    let head = rest.get(..len).ok_or_else(malformed)?;
    let message = serde_json::from_slice(head).map_err(|_| malformed())?;
    Ok((message, frame.payload.slice(size_of::<u32>() + len..)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_names_make_a_path() {
        let check = |path: &[u8], parts: Option<usize>| {
            assert_eq!(names(path).map(|names| names.len()), parts, "{path:?}");
        };
        check(b"", Some(0));
        check(b"a", Some(1));
        check(b"a/b c/\xff", Some(3));
        check(b"...", Some(1));
        for refused in [
            &b"/"[..],
            b"/a",
            b"a/",
            b"a//b",
            b".",
            b"..",
            b"a/../b",
            b"./a",
            b"a\0b",
        ] {
            check(refused, None);
        }
        check(&[b'a'; MAX_PATH + 1], None);
    }

    #[test]
    fn names_that_are_no_text_stay_as_they_are() {
        for bytes in [&b"text"[..], b"\xff\xfe", b"\xc3\xa9", b"a\x80b"] {
            let name = Name::from(OsStr::from_bytes(bytes));
            let json = serde_json::to_string(&name).unwrap();
            let back: Name = serde_json::from_str(&json).unwrap();
            assert_eq!((back.as_bytes(), back == name), (bytes, true), "{json}");
        }
    }

    #[test]
    fn the_largest_page_fits_into_a_frame() {
        let entry = (Name::Bytes(vec![200; MAX_NAME]), Kind::Directory);
        let page = ListReply {
            entries: vec![entry; PAGE],
            next: Some(u64::MAX),
        };
        assert!(serde_json::to_vec(&page).unwrap().len() < super::super::MAX_EVENT);
    }
}
