//! Ports that keep everything in memory and do as they are told.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::stream::{self, BoxStream};
use recto_protocol::ports::cell::files::CellFiles;
use recto_protocol::ports::cell::{
    Cell, CellError, CellStats, Command, ExitStatus, Process, ProcessControl, ProcessEvent, TtySize,
};
use recto_protocol::ports::checkpoints::Checkpoints;
use recto_protocol::ports::files::{Files, PatchApplied, PatchRefused};
use recto_protocol::ports::log::{ChunkWriter, Chunks, Log, LogError};
use recto_protocol::ports::model::{Finish, Model, ModelError, ModelEvent, Request};
use recto_protocol::record::{Body, Checkpointed, Record};
use recto_protocol::{ChunkId, Item};

/// Records in memory; its clock stands still.
#[derive(Clone, Default)]
pub(crate) struct MemoryLog {
    pub(crate) records: Arc<Mutex<Vec<Record>>>,
    pub(crate) now: i64,
    chunks: Arc<AtomicUsize>,
}

#[async_trait]
impl Log for MemoryLog {
    async fn append(&mut self, bodies: Vec<Body>) -> Result<Vec<Record>, LogError> {
        let mut records = self.records.lock().unwrap();
        let from = records.len();
        for body in bodies {
            let seq = records.len() as u64;
            let at = self.now;
            records.push(Record { seq, at, body });
        }
        Ok(records[from..].to_vec())
    }
}

impl Chunks for MemoryLog {
    fn create(&self) -> Result<Box<dyn ChunkWriter>, LogError> {
        let number = self.chunks.fetch_add(1, Ordering::Relaxed);
        Ok(Box::new(Chunk(format!("c{number}").into())))
    }

    fn read(&self, id: &ChunkId, _: u64, _: u64) -> Result<Vec<u8>, LogError> {
        Err(LogError::NoChunk(id.clone()))
    }
}

struct Chunk(ChunkId);

impl ChunkWriter for Chunk {
    fn id(&self) -> ChunkId {
        self.0.clone()
    }

    fn write(&mut self, _: &[u8]) -> Result<(), LogError> {
        Ok(())
    }
}

/// What a response is.
pub(crate) enum Reply {
    Items(Vec<Item>),
    Error(ModelError),
    /// It never says anything.
    Silence,
}

/// A model that gives its replies one after the other.
#[derive(Default)]
pub(crate) struct Replies {
    left: Mutex<VecDeque<Reply>>,
    pub(crate) requests: Mutex<Vec<Request>>,
}

impl Replies {
    pub(crate) fn new(replies: impl IntoIterator<Item = Reply>) -> Arc<Self> {
        Arc::new(Self {
            left: Mutex::new(replies.into_iter().collect()),
            requests: Mutex::default(),
        })
    }
}

impl Model for Replies {
    fn respond(&self, request: Request) -> BoxStream<'static, Result<ModelEvent, ModelError>> {
        self.requests.lock().unwrap().push(request);
        let reply = self.left.lock().unwrap().pop_front();
        match reply.expect("the model was asked too often") {
            Reply::Items(items) => {
                let items = items.into_iter().map(|item| Ok(ModelEvent::Item(item)));
                let end = Ok(ModelEvent::Finished(Finish::default()));
                stream::iter(items.chain([end]).collect::<Vec<_>>()).boxed()
            }
            Reply::Error(error) => stream::iter([Err(error)]).boxed(),
            Reply::Silence => stream::pending().boxed(),
        }
    }
}

/// A cell in which the command line says how a command goes.
#[derive(Default)]
pub(crate) struct FakeCell {
    pub(crate) spawned: Mutex<Vec<Command>>,
    pub(crate) kills: AtomicUsize,
    /// Killing everything never ends.
    pub(crate) stuck: bool,
}

#[async_trait]
impl Cell for FakeCell {
    async fn spawn(&self, command: Command) -> Result<Process, CellError> {
        let line = command.argv.last().cloned().unwrap_or_default();
        self.spawned.lock().unwrap().push(command);
        let exit = |status| stream::iter([ProcessEvent::Exited(status)]);
        let events = match line.as_str() {
            "gone" => return Err(CellError::Gone),
            "dies" => exit(ExitStatus::CellGone).boxed(),
            "hangs" => stream::pending().boxed(),
            "late" => later(ExitStatus::Code(0)),
            "dies later" => later(ExitStatus::CellGone),
            "nul" => stream::iter([ProcessEvent::Output(Bytes::from_static(b"a\0b"))])
                .chain(exit(ExitStatus::Code(1)))
                .boxed(),
            _ => exit(ExitStatus::Code(0)).boxed(),
        };
        Ok(Process {
            events,
            control: Box::new(Deaf),
        })
    }

    async fn kill_all(&self) -> Result<(), CellError> {
        self.kills.fetch_add(1, Ordering::Relaxed);
        if self.stuck {
            std::future::pending::<()>().await;
        }
        Ok(())
    }

    fn files(&self) -> &dyn CellFiles {
        unreachable!("nothing reads files through the cell")
    }

    async fn stats(&self) -> Result<CellStats, CellError> {
        Ok(CellStats::default())
    }

    async fn close(&self) {}
}

/// The end of a command that has gone on in the background by then.
fn later(status: ExitStatus) -> BoxStream<'static, ProcessEvent> {
    stream::once(tokio::time::sleep(Duration::from_millis(300)))
        .map(move |()| ProcessEvent::Exited(status))
        .boxed()
}

/// A command that never reads its input.
struct Deaf;

#[async_trait]
impl ProcessControl for Deaf {
    async fn write(&self, _: Bytes) -> Result<(), CellError> {
        std::future::pending().await
    }

    async fn resize(&self, _: TtySize) -> Result<(), CellError> {
        Ok(())
    }

    async fn signal(&self, _: i32) -> Result<(), CellError> {
        Err(CellError::Gone)
    }
}

/// A work tree of texts, on which every patch succeeds.
#[derive(Default)]
pub(crate) struct Tree(pub(crate) BTreeMap<String, String>);

impl Files for Tree {
    fn apply_patch(&self, _: &str, _: &str) -> Result<PatchApplied, PatchRefused> {
        Ok(PatchApplied {
            summary: "done".into(),
            changes: Vec::new(),
        })
    }

    fn read(&self, path: &str, _: u64) -> std::io::Result<Vec<u8>> {
        let text = self.0.get(path).ok_or(std::io::ErrorKind::NotFound)?;
        Ok(text.clone().into_bytes())
    }
}

/// Gives trees one after the other.
pub(crate) struct Trees(Mutex<VecDeque<Result<&'static str, &'static str>>>);

impl Trees {
    pub(crate) fn new<const N: usize>(trees: [Result<&'static str, &'static str>; N]) -> Arc<Self> {
        Arc::new(Self(Mutex::new(trees.into())))
    }
}

#[async_trait]
impl Checkpoints for Trees {
    async fn write(&self) -> Result<Checkpointed, String> {
        let next = self.0.lock().unwrap().pop_front();
        match next.expect("the tree was written too often") {
            Ok(tree) => Ok(Checkpointed {
                tree: tree.into(),
                head: None,
                skipped: Vec::new(),
            }),
            Err(reason) => Err(reason.into()),
        }
    }
}
