//! Checks a final answer's citations and tells of them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use recto_evidence::{ChunkText, Lookup, Report, Verdict};
use recto_protocol::ChunkId;
use recto_protocol::ports::files::Files;
use recto_protocol::record::Body;
use recto_protocol::tool::{Effect, ToolStatus};
use recto_runtime::{Driver, LiveEvent, Sink};

/// Most bytes of a cited text that are read.
const MOST_BYTES: u64 = 16 << 20;

/// What a surface does beyond following live events.
pub trait Output: Sink {
    /// The turn is over and its answer's citations are checked: says the last words.
    fn close(&mut self, closing: &Closing<'_>);
}

/// What is left to say when a turn is over.
#[derive(Default)]
pub struct Closing<'a> {
    /// The answer; empty when the turn gave none.
    pub answer: &'a str,
    /// Its citations.
    pub report: Option<&'a Report>,
    /// The required checks that failed.
    pub failed_checks: &'a [String],
    /// Whether required checks were not run because nothing was changed.
    pub checks_needless: bool,
    /// The command that goes on with a turn that was not completed.
    pub go_on: Option<String>,
}

impl Closing<'_> {
    /// What stands in the answer where citations are malformed.
    pub fn malformed(&self) -> Vec<&str> {
        self.report
            .iter()
            .flat_map(|report| &report.malformed)
            .filter_map(|span| self.answer.get(span.clone()))
            .collect()
    }
}

/// A surface that the driver writes to while this command keeps hold of it.
pub struct Shared<O>(Arc<Mutex<O>>);

impl<O> Clone for Shared<O> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<O: Output> Shared<O> {
    /// Shares a surface.
    pub fn new(output: O) -> Self {
        Self(Arc::new(Mutex::new(output)))
    }

    /// Acts on it.
    pub fn with<T>(&self, act: impl FnOnce(&mut O) -> T) -> T {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Acts on it unless somebody else does just now.
    pub fn try_with(&self, act: impl FnOnce(&mut O)) {
        if let Ok(mut output) = self.0.try_lock() {
            act(&mut output);
        }
    }
}

impl<O: Output> Sink for Shared<O> {
    fn event(&mut self, event: LiveEvent<'_>) {
        self.with(|output| output.event(event));
    }
}

/// Which chunks are older than the last change of files.
#[derive(Clone, Default)]
pub struct Ages(Arc<Mutex<AgesInner>>);

#[derive(Default)]
struct AgesInner {
    ran_at: BTreeMap<ChunkId, u64>,
    changed_at: u64,
}

impl Ages {
    /// Takes in a record.
    pub fn note(&self, record: &recto_protocol::Record) {
        let mut ages = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match &record.body {
            Body::ToolFinished(body) => match &body.effect {
                Effect::Command {
                    chunk: Some(chunk), ..
                } => {
                    ages.ran_at.insert(chunk.clone(), record.seq);
                }
                Effect::Files { .. } if body.status == ToolStatus::Ok => {
                    ages.changed_at = record.seq;
                }
                _ => {}
            },
            Body::CheckFinished(body) => {
                ages.ran_at.insert(body.chunk.clone(), record.seq);
            }
            _ => {}
        }
    }

    fn is_stale(&self, chunk: &ChunkId) -> bool {
        let ages = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        ages.ran_at
            .get(chunk)
            .is_some_and(|&ran| ran < ages.changed_at)
    }
}

struct Sources<'a> {
    driver: &'a Driver,
    files: &'a dyn Files,
    ages: &'a Ages,
}

impl Lookup for Sources<'_> {
    fn file(&self, path: &str) -> Option<String> {
        let bytes = self.files.read(path, MOST_BYTES).ok()?;
        Some(String::from_utf8_lossy(&bytes).into_owned())
    }

    fn chunk(&self, id: &ChunkId) -> Option<ChunkText> {
        let bytes = self.driver.read_chunk(id, MOST_BYTES).ok()?;
        let text = String::from_utf8_lossy(&bytes).into_owned();
        Some(ChunkText {
            text,
            stale: self.ages.is_stale(id),
        })
    }
}

/// Checks the citations of an answer against the files and outputs as they are now.
pub fn check(answer: &str, driver: &Driver, files: &dyn Files, ages: &Ages) -> Report {
    recto_evidence::check(
        answer,
        &Sources {
            driver,
            files,
            ages,
        },
    )
}

/// A verdict in words.
pub fn verdict_word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Holds => "holds",
        Verdict::OutOfRange { .. } => "out of range",
        Verdict::NotFound => "not found",
        Verdict::Blank => "blank",
        Verdict::Stale => "stale",
    }
}
