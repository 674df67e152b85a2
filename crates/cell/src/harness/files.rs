//! The port's files over the protocol.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

use async_trait::async_trait;
use bytes::Bytes;
use recto_protocol::ports::cell::CellError;
use recto_protocol::ports::cell::files::{
    CellFiles, FileEntry, FileError, FilePage, FilePart, FileStat, FileWrite, MAX_READ, MAX_WRITE,
};

use super::conversation::{Answer, Question};
use super::remote::Remote;
use crate::wire::Request;
use crate::wire::files::{
    FileRefused, List, MakeDirectory, Name, Read, Remove, Rename, Stat, Why, Write, names,
};

#[async_trait]
impl CellFiles for Remote {
    async fn stat(&self, path: &Path) -> Result<FileStat, FileError> {
        let request = Request::Stat(Stat { path: name(path)? });
        let Answer::Stat(stat) = answer(self.ask_files(&request, Question::Stat).await?)? else {
            return Err(unfit());
        };
        let (seconds, nanos) = stat.modified;
        Ok(FileStat {
            kind: stat.kind.into(),
            size: stat.size,
            mode: stat.mode,
            modified_ns: i128::from(seconds) * 1_000_000_000 + i128::from(nanos),
            target: stat.target.map(|target| PathBuf::from(target.as_os_str())),
        })
    }

    async fn read(&self, path: &Path, offset: u64, length: u32) -> Result<FilePart, FileError> {
        let length = length.min(MAX_READ);
        let request = Request::Read(Read {
            path: name(path)?,
            offset,
            length,
        });
        let question = Question::Read(length);
        let Answer::Data(size, bytes) = answer(self.ask_files(&request, question).await?)? else {
            return Err(unfit());
        };
        Ok(FilePart { bytes, size })
    }

    async fn write(&self, path: &Path, bytes: Bytes, how: FileWrite) -> Result<(), FileError> {
        if bytes.len() > MAX_WRITE {
            return Err(FileError::TooLarge);
        }
        let write = Write {
            path: name(path)?,
            how: how.into(),
        };
        self.change(&Request::Write(write, bytes)).await
    }

    async fn list(&self, path: &Path, from: u64) -> Result<FilePage, FileError> {
        let request = Request::List(List {
            path: name(path)?,
            from,
        });
        let Answer::List(page) = answer(self.ask_files(&request, Question::List).await?)? else {
            return Err(unfit());
        };
        let entries = page.entries.into_iter().map(|(name, kind)| FileEntry {
            name: OsString::from(name.as_os_str()),
            kind: kind.into(),
        });
        Ok(FilePage {
            entries: entries.collect(),
            next: page.next,
        })
    }

    async fn make_directory(&self, path: &Path, mode: u32) -> Result<(), FileError> {
        let path = name(path)?;
        self.change(&Request::MakeDirectory(MakeDirectory { path, mode }))
            .await
    }

    async fn remove(&self, path: &Path) -> Result<(), FileError> {
        let path = name(path)?;
        self.change(&Request::Remove(Remove { path })).await
    }

    async fn rename(&self, from: &Path, to: &Path) -> Result<(), FileError> {
        let (from, to) = (name(from)?, name(to)?);
        self.change(&Request::Rename(Rename { from, to })).await
    }
}

impl Remote {
    async fn change(&self, request: &Request) -> Result<(), FileError> {
        answer(self.ask_files(request, Question::Change).await?).map(drop)
    }
}

/// A path as it is sent; what is none is refused here already.
fn name(path: &Path) -> Result<Name, FileError> {
    let name = Name::from(path.as_os_str());
    let is_path = names(name.as_bytes()).is_some();
    is_path.then_some(name).ok_or(FileError::Path)
}

fn answer(answer: Answer) -> Result<Answer, FileError> {
    match answer {
        Answer::Refused(FileRefused { why, errno }) => Err(match why {
            Why::Path => FileError::Path,
            Why::Link => FileError::Link,
            Why::Kind => FileError::Kind,
            Why::System => FileError::System(io::Error::from_raw_os_error(errno)),
        }),
        answer => Ok(answer),
    }
}

/// The conversation lets no other answer through.
fn unfit() -> FileError {
    FileError::Cell(CellError::Protocol("an answer to something else".into()))
}
