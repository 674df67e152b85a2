//! The log of one session on disk.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use async_trait::async_trait;
use recto_protocol::ports::log::{Log, LogError};
use recto_protocol::{Body, Record, SessionId};

use crate::Clock;
use crate::chunk::ChunkFiles;
use crate::error::{Context, FileError, ReadError, ResumeError};
use crate::file;
use crate::layout::Layout;
use crate::lines::{self, Contents};
use crate::lock::Lock;

/// What resuming a session had to mend.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recovered {
    /// Bytes of an unfinished write that were cut off the end of the log.
    pub torn_bytes: u64,
    /// Where they are kept.
    pub kept: Option<PathBuf>,
}

/// A session's log, open for its one writer.
pub struct SessionLog {
    id: SessionId,
    layout: Layout,
    path: PathBuf,
    file: File,
    /// Bytes of the log that are whole; what lies beyond does not count.
    good: u64,
    /// Whether a failed write may have left bytes beyond `good`.
    dirty: bool,
    next: u64,
    clock: Clock,
    _lock: Lock,
}

impl SessionLog {
    /// Opens a new session's empty log. `file` was just made.
    pub(crate) fn new(id: SessionId, layout: Layout, file: File, lock: Lock, clock: Clock) -> Self {
        Self {
            path: layout.log(),
            id,
            layout,
            file,
            good: 0,
            dirty: false,
            next: 0,
            clock,
            _lock: lock,
        }
    }

    /// Opens a log that may have been torn, reads it whole and mends its end.
    pub(crate) fn resume(
        id: SessionId,
        layout: Layout,
        lock: Lock,
        clock: Clock,
    ) -> Result<(Self, Vec<Record>, Recovered), ResumeError> {
        let path = layout.log();
        let mut file = file::open_write(&path).context("open", &path)?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).context("read", &path)?;
        let contents = lines::read(&bytes, &path).map_err(ReadError::from)?;
        let (recovered, good) = mend(&layout, &file, &bytes, &contents)?;
        file::make_dir(&layout.chunks())?;
        let log = Self {
            path,
            id,
            layout,
            file,
            good,
            dirty: false,
            next: contents.records.len() as u64,
            clock,
            _lock: lock,
        };
        Ok((log, contents.records, recovered))
    }

    /// The session's id.
    pub fn id(&self) -> &SessionId {
        &self.id
    }

    /// The session's directory.
    pub fn dir(&self) -> &Path {
        &self.layout.dir
    }

    /// The outputs of its commands.
    pub fn chunks(&self) -> ChunkFiles {
        ChunkFiles::open(&self.layout.chunks(), self.id.clone())
    }

    /// The number that the next record gets.
    pub fn next_seq(&self) -> u64 {
        self.next
    }

    fn add(&mut self, bodies: Vec<Body>, sync: bool) -> Result<Vec<Record>, LogError> {
        let records = number(bodies, self.next, (self.clock)());
        if records.is_empty() {
            return Ok(records);
        }
        let mut bytes = String::new();
        for record in &records {
            bytes.push_str(&record.to_line());
            bytes.push('\n');
        }
        self.write(bytes.as_bytes(), sync)?;
        self.next += records.len() as u64;
        Ok(records)
    }

    /// Writes all bytes at the log's end, durable when `sync`, or leaves the log as it was.
    fn write(&mut self, bytes: &[u8], sync: bool) -> Result<(), FileError> {
        if self.dirty {
            self.cut_back()?;
        }
        // Written at a position, not appended: whatever a failed write left behind and could not
        // be cut is overwritten by the next one.
        let mut written = self
            .file
            .write_all_at(bytes, self.good)
            .context("write", &self.path);
        if written.is_ok() && sync {
            // Takes along what earlier relaxed appends wrote.
            written = self.file.sync_data().context("sync", &self.path);
        }
        if let Err(error) = written {
            self.dirty = true;
            // Tried again before the next append when it fails now.
            let _ = self.cut_back();
            return Err(error);
        }
        self.good += bytes.len() as u64;
        Ok(())
    }

    fn cut_back(&mut self) -> Result<(), FileError> {
        self.file
            .set_len(self.good)
            .context("cut back", &self.path)?;
        self.dirty = false;
        Ok(())
    }
}

#[async_trait]
impl Log for SessionLog {
    async fn append(&mut self, bodies: Vec<Body>) -> Result<Vec<Record>, LogError> {
        self.add(bodies, true)
    }

    async fn append_relaxed(&mut self, bodies: Vec<Body>) -> Result<Vec<Record>, LogError> {
        self.add(bodies, false)
    }
}

/// Gives bodies their numbers and their time.
pub(crate) fn number(bodies: Vec<Body>, first: u64, at: i64) -> Vec<Record> {
    bodies
        .into_iter()
        .zip(first..)
        .map(|(body, seq)| Record { seq, at, body })
        .collect()
}

/// Cuts a torn tail off, keeping a copy, and closes a last line that lacks only its line break.
/// Returns the log's length.
fn mend(
    layout: &Layout,
    file: &File,
    bytes: &[u8],
    contents: &Contents,
) -> Result<(Recovered, u64), FileError> {
    let path = layout.log();
    let good = contents.good as u64;
    let torn = &bytes[contents.good..];
    if contents.unterminated {
        file.write_all_at(b"\n", good).context("write", &path)?;
        file.sync_data().context("sync", &path)?;
        return Ok((Recovered::default(), good + 1));
    }
    if torn.is_empty() {
        return Ok((Recovered::default(), good));
    }
    // The copy is durable before the cut, so that at no moment the bytes are nowhere.
    let kept = keep(layout, torn)?;
    file.set_len(good).context("cut back", &path)?;
    file.sync_data().context("sync", &path)?;
    Ok((
        Recovered {
            torn_bytes: torn.len() as u64,
            kept: Some(kept),
        },
        good,
    ))
}

fn keep(layout: &Layout, torn: &[u8]) -> Result<PathBuf, FileError> {
    let mut n = 1;
    loop {
        let path = layout.torn(n);
        match file::create_new(&path) {
            Ok(copy) => {
                copy.write_all_at(torn, 0).context("write", &path)?;
                copy.sync_all().context("sync", &path)?;
                file::sync_dir(&layout.dir)?;
                return Ok(path);
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => n += 1,
            Err(error) => return Err(error).context("make", &path),
        }
    }
}
