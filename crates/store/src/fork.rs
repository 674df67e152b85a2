//! Forks a session: a new one that begins with a part of another's log.

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::path::Path;

use recto_protocol::tool::Effect;
use recto_protocol::{Body, ChunkId, Record, SessionId};

use crate::error::{Context, FileError, ForkError, ReadError};
use crate::file;
use crate::layout::Layout;
use crate::lines;
use crate::lock::Lock;
use crate::sessions::Sessions;

impl Sessions {
    /// Makes session `new` of the records of `id` up to `upto`, that one included, and of the
    /// chunks they name. Only the head changes: its id, and where the session came from.
    ///
    /// The fork appears whole or not at all.
    ///
    /// # Errors
    /// When `id` is missing, damaged or shorter, when `new` exists, or the system's reason.
    pub fn fork(&self, id: &SessionId, upto: u64, new: &SessionId) -> Result<(), ForkError> {
        let target = self.layout(new)?;
        let source = self.existing(id)?;
        let path = source.log();
        let bytes = std::fs::read(&path).context("read", &path)?;
        let mut records = lines::read(&bytes, &path).map_err(ReadError::from)?.records;
        if upto >= records.len() as u64 {
            return Err(ForkError::NoRecord {
                id: id.clone(),
                seq: upto,
            });
        }
        // Below the count of records, so it fits.
        records.truncate(
            usize::try_from(upto)
                .unwrap_or(usize::MAX)
                .saturating_add(1),
        );
        match records.first_mut().map(|first| &mut first.body) {
            Some(Body::SessionStarted(started)) => {
                started.settings.id = new.clone();
                started.settings.forked_from = Some((id.clone(), upto));
            }
            _ => return Err(ForkError::NoHeader(id.clone())),
        }

        let draft = Layout {
            dir: self.dir.join(format!(".fork-{new}")),
        };
        // Left behind by a fork that was killed; nobody else may be making session `new`.
        clear(&draft.dir)?;
        let made = write(&source, &draft, &bytes, &records).map_err(ForkError::from);
        let made = made.and_then(|()| publish(&self.dir, &draft, &target, new));
        if made.is_err() {
            let _ = clear(&draft.dir);
        }
        made
    }
}

fn write(
    source: &Layout,
    draft: &Layout,
    bytes: &[u8],
    records: &[Record],
) -> Result<(), FileError> {
    file::make_dir(&draft.dir)?;
    file::make_dir(&draft.chunks())?;
    // A chunk that may still grow is copied; else both sessions share its bytes.
    let idle = Lock::take(&source.lock()).ok();
    for id in chunks(records) {
        copy_chunk(source, draft, &id, idle.is_some())?;
    }
    let path = draft.log();
    let mut log = file::create_new(&path).context("make", &path)?;
    let mut rest = bytes;
    for (at, record) in records.iter().enumerate() {
        // All lines but the first keep their very bytes.
        let line = lines::next(&mut rest).unwrap_or_default();
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        let written = if at == 0 {
            log.write_all(record.to_line().as_bytes())
        } else {
            log.write_all(line)
        };
        written
            .and_then(|()| log.write_all(b"\n"))
            .context("write", &path)?;
    }
    log.sync_all().context("sync", &path)?;
    file::sync_dir(&draft.dir)
}

fn publish(
    sessions: &Path,
    draft: &Layout,
    target: &Layout,
    new: &SessionId,
) -> Result<(), ForkError> {
    // Renaming onto a directory succeeds only when that one is empty, and a session never is.
    match std::fs::rename(&draft.dir, &target.dir) {
        Ok(()) => Ok(file::sync_dir(sessions)?),
        Err(error) if is_occupied(&error) => Err(ForkError::Exists(new.clone())),
        Err(error) => Ok(Err(error).context("rename", &draft.dir)?),
    }
}

fn is_occupied(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::DirectoryNotEmpty
            | io::ErrorKind::AlreadyExists
            | io::ErrorKind::NotADirectory
    )
}

fn clear(dir: &Path) -> Result<(), FileError> {
    match std::fs::remove_dir_all(dir) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error).context("remove", dir),
        _ => Ok(()),
    }
}

/// The chunks that records name.
fn chunks(records: &[Record]) -> BTreeSet<ChunkId> {
    records
        .iter()
        .filter_map(|record| match &record.body {
            Body::ToolFinished(finished) => match &finished.effect {
                Effect::Command { chunk, .. } => chunk.clone(),
                Effect::None
                | Effect::Files { .. }
                | Effect::Plan { .. }
                | Effect::Image { .. } => None,
            },
            Body::CheckFinished(check) => Some(check.chunk.clone()),
            _ => None,
        })
        .collect()
}

fn copy_chunk(source: &Layout, draft: &Layout, id: &ChunkId, share: bool) -> Result<(), FileError> {
    // A record may name what is no chunk, or one that is gone: the fork lacks it then, too.
    let (Some(from), Some(to)) = (source.chunk(id), draft.chunk(id)) else {
        return Ok(());
    };
    if !std::fs::symlink_metadata(&from).is_ok_and(|meta| meta.is_file()) {
        return Ok(());
    }
    if share && std::fs::hard_link(&from, &to).is_ok() {
        return Ok(());
    }
    let mut reader = file::open(&from).context("open", &from)?;
    let mut writer = file::create_new(&to).context("make", &to)?;
    io::copy(&mut reader, &mut writer).context("copy", &from)?;
    Ok(())
}
