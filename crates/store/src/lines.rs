//! Reads a log's bytes: records, and where they end.

use std::io::BufRead;
use std::path::{Path, PathBuf};

use recto_protocol::Record;
use recto_protocol::record::RecordError;

/// A line of a log that cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum LineError {
    /// The line is no record.
    #[error("{}:{line}: damaged log", path.display())]
    Damaged {
        /// The log.
        path: PathBuf,
        /// The line's number, from 1.
        line: u64,
        /// The cause.
        #[source]
        source: RecordError,
    },
    /// The line is no text.
    #[error("{}:{line}: damaged log: not UTF-8", path.display())]
    NotText {
        /// The log.
        path: PathBuf,
        /// The line's number, from 1.
        line: u64,
    },
    /// A record is missing or stands twice.
    #[error("{}:{line}: record {found} where {expected} should be", path.display())]
    Gap {
        /// The log.
        path: PathBuf,
        /// The line's number, from 1.
        line: u64,
        /// The number that should be there.
        expected: u64,
        /// The number that is there.
        found: u64,
    },
}

/// What a log holds.
#[derive(Debug)]
pub(crate) struct Contents {
    pub(crate) records: Vec<Record>,
    /// Where the last whole record ends, its line break included.
    pub(crate) good: usize,
    /// Whether the last record is whole but for its line break.
    pub(crate) unterminated: bool,
}

/// Reads all records. A last line that is cut, or that a crash of the machine left as zeros, is
/// not read and not counted in `good`; everything else that is no record is an error.
pub(crate) fn read(bytes: &[u8], path: &Path) -> Result<Contents, LineError> {
    let mut contents = Contents {
        records: Vec::new(),
        good: 0,
        unterminated: false,
    };
    let mut rest = bytes;
    let mut number = 0;
    while let Some(line) = next(&mut rest) {
        number += 1;
        let (text, whole) = match line.strip_suffix(b"\n") {
            Some(text) => (text, true),
            None => (line, false),
        };
        let record = match parse(text, path, number) {
            Ok(record) => record,
            // Only an unfinished write lacks its line break, and only a block that never reached
            // the disk holds zeros: JSON has none.
            Err(_) if rest.is_empty() && (!whole || text.contains(&0)) => break,
            Err(error) => return Err(error),
        };
        let expected = contents.records.len() as u64;
        if record.seq != expected {
            let (path, found) = (path.to_owned(), record.seq);
            return Err(LineError::Gap {
                path,
                line: number,
                expected,
                found,
            });
        }
        contents.records.push(record);
        contents.good += line.len();
        contents.unterminated = !whole;
    }
    Ok(contents)
}

/// Takes the next line, its line break included, off `rest`.
pub(crate) fn next<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let all: &'a [u8] = rest;
    // The standard library searches with memchr here; reading from memory cannot fail.
    let length = rest.skip_until(b'\n').unwrap_or(0);
    (length > 0).then(|| &all[..length])
}

fn parse(line: &[u8], path: &Path, number: u64) -> Result<Record, LineError> {
    let text = std::str::from_utf8(line).map_err(|_| LineError::NotText {
        path: path.to_owned(),
        line: number,
    })?;
    Record::from_line(text).map_err(|source| LineError::Damaged {
        path: path.to_owned(),
        line: number,
        source,
    })
}
