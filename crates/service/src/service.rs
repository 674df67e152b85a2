//! The use cases: what surfaces can ask for.

use std::sync::Arc;

use recto_protocol::ports::tasks::{StoreError, TaskStore};
use recto_protocol::task::{
    Amendment, Attempt, Filter, Message, NewMessage, NewRepository, NewTask, Repository, Said,
    State, Task,
};
use recto_protocol::{AttemptId, ChunkId, Record, TaskId};

use crate::error::ServiceError;
use crate::feed::{Feeds, Live};
use crate::hints::{Hints, Listener};
use crate::workplace::{Difference, Workplaces};

/// What the service can't make by itself: time and chance.
#[derive(Clone)]
pub struct Outside {
    /// The time in milliseconds since 1970-01-01 UTC.
    pub clock: Arc<dyn Fn() -> i64 + Send + Sync>,
    /// Twelve random bytes.
    pub random: Arc<dyn Fn() -> [u8; 12] + Send + Sync>,
}

impl Outside {
    pub(crate) fn now(&self) -> i64 {
        (self.clock)()
    }
}

/// One page of tasks.
#[derive(Clone, Debug, PartialEq)]
pub struct Page {
    /// The tasks, the newest first.
    pub tasks: Vec<Task>,
    /// The cursor of the next page; none when this was the last.
    pub next: Option<String>,
}

/// The use cases. Cheap to clone; all clones are one.
#[derive(Clone)]
pub struct Service {
    pub(crate) store: Arc<dyn TaskStore>,
    pub(crate) places: Arc<dyn Workplaces>,
    pub(crate) hints: Hints,
    pub(crate) feeds: Arc<Feeds>,
    pub(crate) outside: Outside,
}

/// Ids tried before giving up. One random id in 2⁶⁰ is taken.
const TRIES: usize = 8;
/// Most labels of a task, and characters of one.
const MOST_LABELS: usize = 32;

impl Service {
    /// A service on a store.
    pub fn new(
        store: Arc<dyn TaskStore>,
        places: Arc<dyn Workplaces>,
        hints: Hints,
        outside: Outside,
    ) -> Self {
        Self {
            feeds: Arc::new(Feeds::new(Arc::clone(&store), hints.clone())),
            store,
            places,
            hints,
            outside,
        }
    }

    // ---- repositories ----

    /// Makes a repository known. The same name and URL again change nothing.
    ///
    /// # Errors
    /// When it can't be reached, or the name belongs to another URL.
    pub async fn add_repository(&self, new: NewRepository) -> Result<Repository, ServiceError> {
        let repository = Repository {
            name: match new.name {
                Some(name) => name,
                None => name_of(&new.url),
            },
            url: new.url,
            default_reference: new.default_reference,
            created_at: self.outside.now(),
        };
        check_repository(&repository)?;
        let known = self.store.repositories().await?;
        if let Some(known) = known
            .into_iter()
            .find(|known| known.name == repository.name)
        {
            if known.url == repository.url
                && (repository.default_reference.is_none()
                    || repository.default_reference == known.default_reference)
            {
                return Ok(known);
            }
            if known.url != repository.url {
                return Err(ServiceError::Conflict {
                    reason: format!(
                        "the name {} belongs to {} already; give another name",
                        known.name, known.url
                    ),
                });
            }
        }
        self.places.probe(&repository).await?;
        self.store.put_repository(&repository).await?;
        Ok(repository)
    }

    /// All repositories, by name.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn repositories(&self) -> Result<Vec<Repository>, ServiceError> {
        Ok(self.store.repositories().await?)
    }

    /// Forgets a repository; its tasks stay.
    ///
    /// # Errors
    /// When there is none by that name.
    pub async fn remove_repository(&self, name: &str) -> Result<(), ServiceError> {
        if self.store.remove_repository(name).await? {
            return Ok(());
        }
        Err(not_found("repository", name))
    }

    // ---- tasks ----

    /// Takes a task in. The second value tells whether it was known by its key.
    ///
    /// # Errors
    /// When something is wrong with it, or its repository is not known.
    pub async fn submit(&self, new: NewTask) -> Result<(Task, bool), ServiceError> {
        new.spec.check()?;
        check_labels(&new.labels)?;
        check_key(new.key.as_deref())?;
        if let Some(title) = &new.title {
            check_title(title)?;
        }
        let name = &new.spec.repository;
        let known = self.store.repositories().await?;
        if !known.iter().any(|repository| &repository.name == name) {
            return Err(not_found("repository", name));
        }
        for _ in 0..TRIES {
            let id = TaskId::from_random((self.outside.random)());
            match self.store.submit(&id, &new, self.outside.now()).await {
                Ok(submitted) => {
                    for attempt in &submitted.attempts {
                        self.hints.call(attempt);
                    }
                    let task = self.by_id(&submitted.task).await?;
                    return Ok((task, submitted.is_known));
                }
                Err(StoreError::Taken(_)) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(ServiceError::Conflict {
            reason: "no free id was found; try again".into(),
        })
    }

    /// The task with an id that begins with `prefix`.
    ///
    /// # Errors
    /// When there is none, or several.
    pub async fn task(&self, prefix: &str) -> Result<Task, ServiceError> {
        let whole = TaskId::from(prefix);
        if whole.is_valid() {
            return self.by_id(&whole).await;
        }
        let plausible = !prefix.is_empty()
            && prefix.len() < 12
            && prefix
                .bytes()
                .all(|b| matches!(b, b'a'..=b'z' | b'2'..=b'7'));
        let found = match plausible {
            true => self.store.find(prefix).await?,
            false => Vec::new(),
        };
        match found.as_slice() {
            [] => Err(not_found("task", prefix)),
            [id] => self.by_id(id).await,
            ids => Err(ServiceError::Ambiguous {
                prefix: prefix.to_owned(),
                ids: ids.iter().map(ToString::to_string).collect(),
            }),
        }
    }

    /// The attempt with this number, and its task, which the beginning of its id is enough for.
    ///
    /// # Errors
    /// When there is none, or several tasks begin so.
    pub async fn attempt(&self, name: &str) -> Result<(Task, Attempt), ServiceError> {
        let missing = || not_found("attempt", name);
        let (prefix, number) = name.split_once('.').ok_or_else(missing)?;
        let task = match self.task(prefix).await {
            Err(ServiceError::NotFound { .. }) => return Err(missing()),
            other => other?,
        };
        let wanted = format!("{}.{number}", task.id);
        let mut attempts = task.attempts.iter();
        let found = attempts.find(|one| one.id.as_str() == wanted).cloned();
        Ok((task, found.ok_or_else(missing)?))
    }

    async fn by_id(&self, id: &TaskId) -> Result<Task, ServiceError> {
        let task = self.store.task(id).await?;
        task.ok_or_else(|| not_found("task", id.as_str()))
    }

    /// One page of tasks.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn tasks(&self, filter: &Filter) -> Result<Page, ServiceError> {
        let (tasks, next) = self.store.tasks(filter).await?;
        Ok(Page { tasks, next })
    }

    /// Changes a task's title, labels or place.
    ///
    /// # Errors
    /// When there is no such task, or a text is not one.
    pub async fn amend(&self, id: &TaskId, amendment: &Amendment) -> Result<Task, ServiceError> {
        if let Some(title) = &amendment.title {
            check_title(title)?;
        }
        check_labels(amendment.labels.as_deref().unwrap_or_default())?;
        if !self.store.amend(id, amendment).await? {
            return Err(not_found("task", id.as_str()));
        }
        let task = self.by_id(id).await?;
        self.tell_of(&task);
        Ok(task)
    }

    /// Removes a task with everything that belongs to it, on disk and in the store.
    ///
    /// # Errors
    /// While somebody works on it, or when there is none.
    pub async fn remove(&self, id: &TaskId) -> Result<(), ServiceError> {
        let task = self.by_id(id).await?;
        if !self.store.remove(id).await? {
            return Err(not_found("task", id.as_str()));
        }
        self.tell_of(&task);
        // What can't be removed now is an orphan from here on; [`Service::sweep`] takes it.
        for attempt in &task.attempts {
            self.places.remove(&attempt.id).await?;
        }
        Ok(())
    }

    /// Tells those who watch the list that a task has changed.
    fn tell_of(&self, task: &Task) {
        for attempt in &task.attempts {
            self.hints.tell(&attempt.id);
        }
    }

    /// Removes from this machine what is left of attempts whose tasks are gone. Run at the start.
    ///
    /// # Errors
    /// The first failure.
    pub async fn sweep(&self) -> Result<(), ServiceError> {
        for attempt in self.places.present().await? {
            let task = attempt.parts().map(|(task, _)| task);
            let is_known = match task {
                Some(task) => self.store.task(&task).await?.is_some(),
                None => true,
            };
            if !is_known {
                tracing::info!(%attempt, "removing what a removed task had left");
                self.places.remove(&attempt).await?;
            }
        }
        Ok(())
    }

    /// Makes one more attempt of a task.
    ///
    /// # Errors
    /// When there is no such task.
    pub async fn retry(&self, id: &TaskId) -> Result<AttemptId, ServiceError> {
        let made = self.store.add_attempt(id, self.outside.now()).await?;
        let attempt = made.ok_or_else(|| not_found("task", id.as_str()))?;
        self.hints.call(&attempt);
        Ok(attempt)
    }

    // ---- attempts ----

    /// Says something to an attempt and gives the message's number.
    ///
    /// # Errors
    /// When there is no such attempt, or nothing is said.
    pub async fn send(&self, to: &AttemptId, message: &NewMessage) -> Result<u64, ServiceError> {
        check_key(message.key.as_deref())?;
        match &message.said {
            Said::Text { text, .. } if text.trim().is_empty() => {
                return Err(invalid("text", "is empty"));
            }
            Said::Text { text, .. } if text.len() > 1 << 20 || text.contains('\0') => {
                return Err(invalid(
                    "text",
                    "is over 1 MiB long or holds a NUL character",
                ));
            }
            Said::Text { .. } | Said::Stop { .. } => {}
        }
        let sent = self.store.send(to, message, self.outside.now()).await?;
        let number = sent.ok_or_else(|| not_found("attempt", to.as_str()))?;
        self.hints.call(to);
        Ok(number)
    }

    /// Stops all attempts of a task that have not ended, and gives them.
    ///
    /// # Errors
    /// When there is no such task.
    pub async fn stop(&self, id: &TaskId, by: &str) -> Result<Vec<AttemptId>, ServiceError> {
        let task = self.by_id(id).await?;
        let running = task.attempts.iter().filter(|one| !one.state.has_ended());
        let mut stopped = Vec::new();
        for attempt in running {
            let message = NewMessage {
                said: Said::Stop { by: by.to_owned() },
                key: None,
            };
            self.send(&attempt.id, &message).await?;
            stopped.push(attempt.id.clone());
        }
        Ok(stopped)
    }

    /// Messages of an attempt after number `after`.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn inbox(&self, of: &AttemptId, after: u64) -> Result<Vec<Message>, ServiceError> {
        Ok(self.store.inbox(of, after).await?)
    }

    /// Records of an attempt's log from number `from` on, at most `most`.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn records(
        &self,
        of: &AttemptId,
        from: u64,
        most: u32,
    ) -> Result<Vec<Record>, ServiceError> {
        Ok(self.store.records(of, from, most).await?)
    }

    /// Everything that happens to an attempt, from record `from` on. Nothing is missed, however slow
    /// the reader is.
    pub fn watch(&self, attempt: &AttemptId, from: u64) -> Live {
        self.feeds.watch(attempt, from)
    }

    /// Hears which attempts change, of all tasks. Some may be missed.
    pub fn changes(&self) -> Listener {
        self.hints.listen()
    }

    /// A part of a command's output.
    ///
    /// # Errors
    /// When there is no such output.
    pub async fn chunk(
        &self,
        of: &AttemptId,
        id: &ChunkId,
        offset: u64,
        limit: u64,
    ) -> Result<Vec<u8>, ServiceError> {
        let chunks = self.places.chunks(of)?;
        let wanted = id.clone();
        let read = tokio::task::spawn_blocking(move || chunks.read(&wanted, offset, limit)).await;
        match read {
            Ok(Ok(bytes)) => Ok(bytes),
            Ok(Err(recto_protocol::ports::log::LogError::NoChunk(_))) | Err(_) => {
                Err(not_found("output", id.as_str()))
            }
            Ok(Err(error)) => Err(ServiceError::Chunk(error)),
        }
    }

    /// The difference that an attempt's work makes, at most `limit` bytes; empty where nothing was
    /// settled yet.
    ///
    /// # Errors
    /// When there is no such attempt, or its place is gone.
    pub async fn difference(
        &self,
        of: &AttemptId,
        is_binary: bool,
        limit: u64,
    ) -> Result<Difference, ServiceError> {
        let missing = || not_found("attempt", of.as_str());
        let (task, _) = of.parts().ok_or_else(missing)?;
        let task = self.by_id(&task).await?;
        let attempt = task.attempts.iter().find(|one| &one.id == of);
        let standing = &attempt.ok_or_else(missing)?.standing;
        let (Some(base), Some(commit)) = (&standing.base, &standing.commit) else {
            return Ok(Difference::default());
        };
        let found = self.places.difference(of, base, commit, is_binary, limit);
        Ok(found.await?)
    }

    /// How many attempts are in each state, for metrics.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn queue_length(&self) -> Result<usize, ServiceError> {
        let filter = Filter {
            state: Some(State::Queued),
            limit: Some(200),
            ..Filter::default()
        };
        Ok(self.tasks(&filter).await?.tasks.len())
    }
}

pub(crate) fn not_found(kind: &'static str, name: &str) -> ServiceError {
    ServiceError::NotFound {
        kind,
        name: name.chars().take(100).collect(),
    }
}

pub(crate) fn invalid(field: &'static str, reason: impl Into<String>) -> ServiceError {
    ServiceError::Invalid {
        field,
        reason: reason.into(),
    }
}

fn check_key(key: Option<&str>) -> Result<(), ServiceError> {
    let is_key = |key: &str| (1..=200).contains(&key.len()) && !key.chars().any(char::is_control);
    if key.is_none_or(is_key) {
        return Ok(());
    }
    Err(invalid(
        "key",
        "must have 1 to 200 bytes without control characters",
    ))
}

fn check_title(title: &str) -> Result<(), ServiceError> {
    let length = title.chars().count();
    if title.trim().is_empty() || length > 200 || title.chars().any(char::is_control) {
        return Err(invalid(
            "title",
            "must have 1 to 200 characters on one line",
        ));
    }
    Ok(())
}

fn check_labels(labels: &[String]) -> Result<(), ServiceError> {
    let is_label = |label: &String| {
        !label.trim().is_empty() && label.len() <= 100 && !label.chars().any(char::is_control)
    };
    if labels.len() > MOST_LABELS || !labels.iter().all(is_label) {
        return Err(invalid(
            "labels",
            "must be at most 32 words of 1 to 100 bytes",
        ));
    }
    Ok(())
}

/// A name made of the last part of a URL.
fn name_of(url: &str) -> String {
    let path = url.trim_end_matches('/').trim_end_matches(".git");
    let path = path.trim_end_matches('/');
    let last = path.rsplit(['/', ':']).next().unwrap_or_default();
    last.chars()
        .filter(|c| c.is_ascii_alphanumeric() || "-_.".contains(*c))
        .collect()
}

fn check_repository(repository: &Repository) -> Result<(), ServiceError> {
    let name = &repository.name;
    let is_name = (1..=100).contains(&name.len())
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"-_./".contains(&b))
        && !name.starts_with(['.', '-', '/'])
        && !name.contains("..");
    if !is_name {
        return Err(invalid(
            "name",
            "must have 1 to 100 letters, digits, `-`, `_`, `.` or `/`, and begin with a letter or digit",
        ));
    }
    if let Some(reference) = &repository.default_reference
        && (reference.is_empty()
            || reference.len() > 1000
            || reference.starts_with('-')
            || reference.chars().any(char::is_control))
    {
        let reason = "must have 1 to 1000 bytes and not begin with `-`";
        return Err(invalid("default_reference", reason));
    }
    let url = &repository.url;
    let is_local = url.starts_with('/');
    let has_scheme = ["https://", "http://", "ssh://", "file://"]
        .iter()
        .any(|scheme| url.starts_with(scheme));
    let is_short = !url.contains("://")
        && url.split_once(':').is_some_and(|(host, path)| {
            !host.is_empty() && !host.starts_with('-') && !host.contains('/') && !path.is_empty()
        });
    if url.len() > 2000
        || url.chars().any(|c| c.is_control() || c == ' ')
        || !(is_local || has_scheme || is_short)
        // git's own name for "run this program".
        || url.contains("::")
    {
        return Err(invalid(
            "url",
            "must be an https:, ssh: or file: URL, user@host:path, or an absolute path",
        ));
    }
    Ok(())
}
