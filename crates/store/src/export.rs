//! Exports a session as one self-contained file of JSON lines, and checks such a file.
//!
//! In order: one header `{"recto_export":1,"session":…}`; the log's lines, byte for byte; for each
//! chunk its parts `{"chunk":…,"offset":…,"data":…}` (base64) and its end
//! `{"chunk":…,"bytes":…,"sha256":…}`; and last `{"end":{"records":…,"chunks":…,"sha256":…}}`, whose
//! hash covers every byte before that line.

use std::io::{self, BufRead, Read, Write};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use recto_protocol::{Record, SessionId};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::error::{Context, ExportError, ReadError};
use crate::file;
use crate::layout::{Layout, is_chunk_id};
use crate::lines;
use crate::sessions::Sessions;

/// The format that this program writes.
const FORMAT: u32 = 1;
/// Bytes of a chunk per line.
const PART: usize = 768 << 10;
/// Longest line that is read back; records with images are the longest.
const LINE: u64 = 256 << 20;

#[derive(Serialize, Deserialize)]
struct Header {
    recto_export: u32,
    session: SessionId,
}

#[derive(Serialize, Deserialize)]
struct Part {
    chunk: String,
    offset: u64,
    data: String,
}

#[derive(Serialize, Deserialize)]
struct ChunkEnd {
    chunk: String,
    bytes: u64,
    sha256: String,
}

#[derive(Serialize, Deserialize)]
struct EndLine {
    end: End,
}

#[derive(Serialize, Deserialize)]
struct End {
    records: u64,
    chunks: u64,
    sha256: String,
}

impl Sessions {
    /// Writes a session as one file. Neither locks nor changes the session.
    ///
    /// # Errors
    /// When the session is missing or damaged, or when `out` takes no more.
    pub fn export(&self, id: &SessionId, out: &mut dyn Write) -> Result<(), ExportError> {
        let layout = self.existing(id)?;
        let path = layout.log();
        let bytes = std::fs::read(&path).context("read", &path)?;
        let contents = lines::read(&bytes, &path).map_err(ReadError::from)?;
        let chunks = chunk_ids(&layout);
        let failed = |source| ExportError::Write {
            id: id.clone(),
            source,
        };

        let mut out = Hashed {
            out,
            hash: Sha256::new(),
        };
        out.line(&Header {
            recto_export: FORMAT,
            session: id.clone(),
        })
        .map_err(failed)?;
        out.write_all(&bytes[..contents.good]).map_err(failed)?;
        if contents.unterminated {
            out.write_all(b"\n").map_err(failed)?;
        }
        for chunk in &chunks {
            let path = layout.chunks().join(chunk);
            let file = file::open(&path).context("open", &path)?;
            write_chunk(&mut out, chunk, file).map_err(failed)?;
        }
        let sha256 = hex(&out.hash.clone().finalize());
        let (records, chunks) = (contents.records.len() as u64, chunks.len() as u64);
        out.line(&EndLine {
            end: End {
                records,
                chunks,
                sha256,
            },
        })
        .map_err(failed)?;
        out.flush().map_err(failed)
    }
}

/// Writes on and hashes what it wrote.
struct Hashed<'a> {
    out: &'a mut dyn Write,
    hash: Sha256,
}

impl Hashed<'_> {
    fn line(&mut self, value: &impl Serialize) -> io::Result<()> {
        let mut line = serde_json::to_vec(value)?;
        line.push(b'\n');
        self.write_all(&line)
    }
}

impl Write for Hashed<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.out.write(bytes)?;
        self.hash.update(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

fn chunk_ids(layout: &Layout) -> Vec<String> {
    let entries = std::fs::read_dir(layout.chunks())
        .into_iter()
        .flatten()
        .flatten();
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    let mut ids: Vec<String> = names.filter(|name| is_chunk_id(name)).collect();
    ids.sort_unstable();
    ids
}

fn write_chunk(out: &mut Hashed<'_>, chunk: &str, mut file: std::fs::File) -> io::Result<()> {
    let (mut offset, mut hash) = (0, Sha256::new());
    let mut part = Vec::with_capacity(PART);
    loop {
        part.clear();
        (&mut file).take(PART as u64).read_to_end(&mut part)?;
        if part.is_empty() {
            break;
        }
        hash.update(&part);
        out.line(&Part {
            chunk: chunk.to_owned(),
            offset,
            data: BASE64.encode(&part),
        })?;
        offset += part.len() as u64;
    }
    let sha256 = hex(&hash.finalize());
    out.line(&ChunkEnd {
        chunk: chunk.to_owned(),
        bytes: offset,
        sha256,
    })
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What a sound export holds.
#[derive(Clone, Debug, PartialEq)]
pub struct Verified {
    /// The session.
    pub session: SessionId,
    /// Its records.
    pub records: Vec<Record>,
    /// How many chunks came with it.
    pub chunks: u64,
}

/// Why an export is not sound.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)] // The messages say it.
pub enum VerifyError {
    #[error("cannot read the export")]
    Read(#[source] io::Error),
    #[error("this is not an export, or one of a newer format")]
    NotAnExport,
    #[error("line {line} of the export is damaged: {reason}")]
    Line { line: u64, reason: &'static str },
    #[error("the export ends early")]
    Cut,
}

/// Checks an export's order, numbers and hashes, and reads its records.
///
/// # Errors
/// What is wrong with it first.
pub fn verify(mut export: impl BufRead) -> Result<Verified, VerifyError> {
    let mut hash = Sha256::new();
    let mut line = Vec::new();
    next(&mut export, &mut line, &mut hash)?;
    let header: Header = serde_json::from_slice(&line).map_err(|_| VerifyError::NotAnExport)?;
    if header.recto_export != FORMAT {
        return Err(VerifyError::NotAnExport);
    }
    let mut verified = Verified {
        session: header.session,
        records: Vec::new(),
        chunks: 0,
    };
    let mut open: Option<(String, u64, Sha256)> = None;
    for number in 2.. {
        let before = hash.clone();
        next(&mut export, &mut line, &mut hash)?;
        let bad = |reason| VerifyError::Line {
            line: number,
            reason,
        };
        if line.starts_with(br#"{"v":"#) && verified.chunks == 0 && open.is_none() {
            let text = std::str::from_utf8(&line).map_err(|_| bad("not UTF-8"))?;
            let record = Record::from_line(text).map_err(|_| bad("not a record"))?;
            if record.seq != verified.records.len() as u64 {
                return Err(bad("a record is missing or stands twice"));
            }
            verified.records.push(record);
        } else if let Ok(part) = serde_json::from_slice::<Part>(&line) {
            let data = BASE64.decode(&part.data).map_err(|_| bad("not base64"))?;
            let (chunk, bytes, hash) =
                open.get_or_insert_with(|| (part.chunk.clone(), 0, Sha256::new()));
            if *chunk != part.chunk || *bytes != part.offset {
                return Err(bad("a part of a chunk is missing"));
            }
            *bytes += data.len() as u64;
            hash.update(&data);
        } else if let Ok(end) = serde_json::from_slice::<ChunkEnd>(&line) {
            let (chunk, bytes, hash) = open
                .take()
                .unwrap_or_else(|| (end.chunk.clone(), 0, Sha256::new()));
            if chunk != end.chunk || bytes != end.bytes || hex(&hash.finalize()) != end.sha256 {
                return Err(bad("the chunk's bytes are not those that were exported"));
            }
            verified.chunks += 1;
        } else if let Ok(EndLine { end }) = serde_json::from_slice(&line) {
            let counts = (verified.records.len() as u64, verified.chunks);
            if open.is_some() || counts != (end.records, end.chunks) {
                return Err(bad("the counts do not fit"));
            }
            if hex(&before.finalize()) != end.sha256 {
                return Err(bad("the hash over everything does not fit"));
            }
            line.clear();
            let more = export.read(&mut [0]).map_err(VerifyError::Read)?;
            return if more == 0 {
                Ok(verified)
            } else {
                Err(bad("something follows the end"))
            };
        } else {
            return Err(bad("not a line of an export"));
        }
    }
    Err(VerifyError::Cut)
}

/// Reads one whole line, without its line break, and hashes it with it.
fn next(
    export: &mut impl BufRead,
    line: &mut Vec<u8>,
    hash: &mut Sha256,
) -> Result<(), VerifyError> {
    line.clear();
    export
        .take(LINE)
        .read_until(b'\n', line)
        .map_err(VerifyError::Read)?;
    if line.last() != Some(&b'\n') {
        return Err(VerifyError::Cut);
    }
    hash.update(&*line);
    line.pop();
    Ok(())
}
