//! Watching attempts live: one reader of the store for all who watch the same attempt.
//!
//! A watcher follows the log by its own cursor. The feed only saves it the reading: what the feed
//! dropped because the watcher was slow, the watcher reads from the store itself.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use bytes::Bytes;
use recto_protocol::ports::model::Delta;
use recto_protocol::ports::tasks::TaskStore;
use recto_protocol::{AttemptId, CallId, Record};
use tokio::sync::broadcast;
use tokio::task::AbortHandle;

use crate::hints::Hints;

/// Records read at once.
const PAGE: u32 = 256;
/// Events that are kept for a watcher that is slow.
const KEPT: usize = 1024;
/// How long a lost hint goes unnoticed, and how long to wait after the store failed.
const PAUSE: Duration = Duration::from_secs(2);

/// Something that happened to an attempt.
#[derive(Clone, Debug)]
pub enum Event {
    /// A record was written. No record is ever missed.
    Record(Arc<Record>),
    /// The model said a piece of something. May be missed; the finished item holds it whole.
    Delta(Arc<Delta>),
    /// A running command said something. May be missed; its chunk holds it whole.
    Output {
        /// The command's call.
        call: CallId,
        /// Bytes it said before, as far as this process saw them.
        offset: u64,
        /// What it said.
        bytes: Bytes,
    },
}

/// The feeds of all attempts that somebody watches.
pub(crate) struct Feeds {
    store: Arc<dyn TaskStore>,
    hints: Hints,
    open: Mutex<HashMap<AttemptId, Weak<Feed>>>,
}

/// The feed of one attempt; ends with its last watcher.
struct Feed {
    events: broadcast::Sender<Event>,
    reader: Mutex<Option<AbortHandle>>,
}

impl Drop for Feed {
    fn drop(&mut self) {
        if let Some(reader) = lock(&self.reader).take() {
            reader.abort();
        }
    }
}

impl Feeds {
    pub(crate) fn new(store: Arc<dyn TaskStore>, hints: Hints) -> Self {
        Self {
            store,
            hints,
            open: Mutex::default(),
        }
    }

    /// Passes on something that is not kept.
    pub(crate) fn say(&self, attempt: &AttemptId, event: impl FnOnce() -> Event) {
        let feed = lock(&self.open).get(attempt).and_then(Weak::upgrade);
        if let Some(feed) = feed {
            // Nobody may be left by now.
            let _ = feed.events.send(event());
        }
    }

    /// Watches an attempt from a record on.
    pub(crate) fn watch(&self, attempt: &AttemptId, from: u64) -> Live {
        let feed = self.feed(attempt);
        Live {
            events: feed.events.subscribe(),
            store: Arc::clone(&self.store),
            attempt: attempt.clone(),
            next: from,
            // Read first: what was written before the feed was heard comes from the store.
            is_behind: true,
            page: VecDeque::new(),
            _feed: feed,
        }
    }

    fn feed(&self, attempt: &AttemptId) -> Arc<Feed> {
        let mut open = lock(&self.open);
        if let Some(feed) = open.get(attempt).and_then(Weak::upgrade) {
            return feed;
        }
        open.retain(|_, feed| feed.strong_count() > 0);
        let (events, _) = broadcast::channel(KEPT);
        let feed = Arc::new(Feed {
            events: events.clone(),
            reader: Mutex::default(),
        });
        let reader = Reader {
            store: Arc::clone(&self.store),
            hints: self.hints.clone(),
            attempt: attempt.clone(),
            events,
        };
        *lock(&feed.reader) = Some(tokio::spawn(reader.run()).abort_handle());
        open.insert(attempt.clone(), Arc::downgrade(&feed));
        feed
    }
}

/// Reads one attempt's log for all its watchers.
struct Reader {
    store: Arc<dyn TaskStore>,
    hints: Hints,
    attempt: AttemptId,
    events: broadcast::Sender<Event>,
}

impl Reader {
    async fn run(self) {
        let mut hints = self.hints.listen();
        let mut next = self.end().await;
        loop {
            match self.store.records(&self.attempt, next, PAGE).await {
                Ok(records) if !records.is_empty() => {
                    for record in records {
                        next = record.seq + 1;
                        let _ = self.events.send(Event::Record(Arc::new(record)));
                    }
                    continue;
                }
                Ok(_) => {}
                Err(error) => tracing::warn!(%error, attempt = %self.attempt, "cannot read a log"),
            }
            let wanted = async {
                // A hint that was missed may have been for this attempt.
                while hints
                    .next()
                    .await
                    .is_some_and(|changed| changed != self.attempt)
                {}
            };
            // Without a hint in time, the store is asked all the same.
            let _ = tokio::time::timeout(PAUSE, wanted).await;
        }
    }

    /// How long the log is; watchers read what is there already for themselves.
    async fn end(&self) -> u64 {
        loop {
            let Some((task, _)) = self.attempt.parts() else {
                return 0;
            };
            match self.store.task(&task).await {
                Ok(task) => {
                    let attempts = task.into_iter().flat_map(|task| task.attempts);
                    let mut same = attempts.filter(|one| one.id == self.attempt);
                    return same.next().map_or(0, |one| one.records);
                }
                Err(_) => tokio::time::sleep(PAUSE).await,
            }
        }
    }
}

/// What happens to one attempt, for one watcher.
pub struct Live {
    events: broadcast::Receiver<Event>,
    store: Arc<dyn TaskStore>,
    attempt: AttemptId,
    next: u64,
    is_behind: bool,
    page: VecDeque<Record>,
    _feed: Arc<Feed>,
}

impl Live {
    /// The next thing that happens; waits for it. Records come in order, each once. May be dropped
    /// while it waits.
    pub async fn next(&mut self) -> Event {
        loop {
            if let Some(record) = self.page.pop_front() {
                self.next = record.seq + 1;
                return Event::Record(Arc::new(record));
            }
            if self.is_behind {
                self.catch_up().await;
                continue;
            }
            match self.events.recv().await {
                Ok(Event::Record(record)) if record.seq == self.next => {
                    self.next += 1;
                    return Event::Record(record);
                }
                Ok(Event::Record(record)) => self.is_behind = record.seq > self.next,
                Ok(event) => return event,
                Err(_) => self.is_behind = true,
            }
        }
    }

    async fn catch_up(&mut self) {
        match self.store.records(&self.attempt, self.next, PAGE).await {
            Ok(records) => {
                self.is_behind = !records.is_empty();
                self.page = records.into();
            }
            Err(_) => tokio::time::sleep(PAUSE).await,
        }
    }
}

/// What the locks hold is replaced whole, so a panic elsewhere leaves it whole.
fn lock<T>(shared: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}
