//! Lists sessions without reading their logs whole.
//!
//! Logs are taken newest first by their modification time, so that a limit bounds the work. A log
//! of up to 4 MiB is scanned line by line, and only lines that begin or end something are decoded
//! (about 1 ms per MiB). Of a larger one the head, up to the first user message, and the last
//! 256 KiB are read; totals over all turns are then not known, which the summary says.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use recto_protocol::record::Outcome;
use recto_protocol::settings::{Mode, Settings};
use recto_protocol::usage::{Micros, Usage};
use recto_protocol::{Body, Record, SessionId, View};

use crate::error::{Context, FileError, ListError};
use crate::layout::check_id;
use crate::sessions::Sessions;
use crate::{file, lines};

/// Largest log that is scanned whole.
const WHOLE: u64 = 4 << 20;
/// Most bytes of a larger log's beginning that are looked at.
const HEAD: u64 = 16 << 20;
/// Bytes of a larger log's end that are looked at.
const TAIL: u64 = 256 << 10;
/// Most characters of a title.
const TITLE: usize = 120;

/// Which sessions to list. The default lists all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Only those that were started in this directory.
    pub cwd: Option<String>,
    /// Only those of this mode.
    pub mode: Option<Mode>,
    /// At most this many, the most recently written ones.
    pub limit: Option<usize>,
}

/// What was found.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Listing {
    /// The sessions, most recently written first.
    pub sessions: Vec<Summary>,
    /// Sessions whose log does not begin as a log should.
    pub damaged: Vec<SessionId>,
}

/// One session, in short.
#[derive(Clone, Debug, PartialEq)]
pub struct Summary {
    /// Its id.
    pub id: SessionId,
    /// When its first record was written, in milliseconds since 1970-01-01 UTC.
    pub started_at: i64,
    /// When its last record was written.
    pub updated_at: i64,
    /// The directory it was started in.
    pub cwd: String,
    /// Whether it may change the repository.
    pub mode: Mode,
    /// The model it was started with.
    pub model: String,
    /// The first line of the first user message; empty when there is none.
    pub title: String,
    /// How many turns were begun.
    pub turns: u32,
    /// How the last turn ended; none while it runs, or when its driver stopped.
    pub outcome: Option<Outcome>,
    /// Tokens of all ended turns; none for a large log.
    pub usage: Option<Usage>,
    /// What all ended turns cost; none for a large log, or when a price is not known.
    pub cost: Option<Micros>,
}

impl Sessions {
    /// Lists sessions, most recently written first. Sessions without any record are left out.
    ///
    /// # Errors
    /// The system's reason why the directory cannot be read. None yet is no error.
    pub fn list(&self, filter: &Filter) -> Result<Listing, ListError> {
        let mut listing = Listing::default();
        for id in self.newest_first()? {
            if filter
                .limit
                .is_some_and(|limit| listing.sessions.len() >= limit)
            {
                break;
            }
            // Removed meanwhile, or its first record is not written yet: not there.
            let Ok(log) = file::open(&self.dir.join(id.as_str()).join("log.jsonl")) else {
                continue;
            };
            if log.metadata().is_ok_and(|meta| meta.len() == 0) {
                continue;
            }
            match summary(&id, log) {
                Some(summary) if filter.takes(&summary) => listing.sessions.push(summary),
                Some(_) => {}
                None => listing.damaged.push(id),
            }
        }
        Ok(listing)
    }

    /// The most recently written session that was started in `cwd`.
    ///
    /// # Errors
    /// As [`Sessions::list`].
    pub fn last(&self, cwd: &str) -> Result<Option<Summary>, ListError> {
        let filter = Filter {
            cwd: Some(cwd.to_owned()),
            limit: Some(1),
            mode: None,
        };
        Ok(self.list(&filter)?.sessions.pop())
    }

    fn newest_first(&self) -> Result<Vec<SessionId>, FileError> {
        let entries = match std::fs::read_dir(&self.dir) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.context("list", &self.dir)?,
        };
        let mut found = Vec::new();
        for entry in entries {
            let entry = entry.context("list", &self.dir)?;
            let Ok(name) = entry.file_name().into_string() else {
                continue;
            };
            let id = SessionId(name);
            if check_id(&id).is_err() {
                continue;
            }
            let Ok(written) = modified(&entry.path().join("log.jsonl")) else {
                continue;
            };
            found.push((written, id));
        }
        // Ids sort by time too, which decides between logs written at the same instant.
        found.sort_unstable_by(|a, b| b.cmp(a));
        Ok(found.into_iter().map(|(_, id)| id).collect())
    }
}

impl Filter {
    fn takes(&self, summary: &Summary) -> bool {
        self.cwd.as_ref().is_none_or(|cwd| *cwd == summary.cwd)
            && self.mode.is_none_or(|mode| mode == summary.mode)
    }
}

fn modified(log: &Path) -> std::io::Result<std::time::SystemTime> {
    std::fs::symlink_metadata(log)?.modified()
}

/// What has been learnt of a session so far.
#[derive(Default)]
struct Seen {
    header: Option<(i64, Settings)>,
    updated_at: i64,
    title: Option<String>,
    turns: u32,
    outcome: Option<Outcome>,
    usage: Usage,
    cost: Option<Micros>,
}

fn summary(id: &SessionId, mut log: File) -> Option<Summary> {
    let length = log.metadata().ok()?.len();
    let mut seen = Seen {
        cost: Some(Micros(0)),
        ..Seen::default()
    };
    let whole = length <= WHOLE;
    if whole {
        let mut bytes = Vec::with_capacity(usize::try_from(length).ok()?);
        log.read_to_end(&mut bytes).ok()?;
        seen.lines(&bytes);
    } else {
        seen.head(&log);
        seen.lines(&file::read_at(&log, length.saturating_sub(TAIL), TAIL).ok()?);
    }
    let (started_at, settings) = seen.header?;
    Some(Summary {
        id: id.clone(),
        started_at,
        updated_at: seen.updated_at.max(started_at),
        cwd: settings.cwd,
        mode: settings.mode,
        model: settings.model,
        title: seen.title.unwrap_or_default(),
        turns: seen.turns,
        outcome: seen.outcome,
        usage: whole.then_some(seen.usage),
        cost: seen.cost.filter(|_| whole),
    })
}

impl Seen {
    /// Takes lines up to the first user message.
    fn head(&mut self, log: &File) {
        let mut reader = BufReader::with_capacity(64 << 10, log.take(HEAD));
        let mut line = Vec::new();
        while self.title.is_none() {
            line.clear();
            match reader.read_until(b'\n', &mut line) {
                Ok(read) if read > 0 => self.line(&line),
                _ => break,
            }
        }
    }

    fn lines(&mut self, bytes: &[u8]) {
        let mut rest = bytes;
        while let Some(line) = lines::next(&mut rest) {
            self.line(line);
        }
    }

    /// Takes one line. Half lines, at the beginning of a tail or at its end, teach nothing.
    fn line(&mut self, line: &[u8]) {
        if !line.ends_with(b"\n") {
            return;
        }
        let Some((at, kind)) = prefix(line) else {
            return;
        };
        self.updated_at = at;
        if !matches!(kind, "session.started" | "turn.started" | "turn.ended") {
            return;
        }
        let Some(record) = std::str::from_utf8(line)
            .ok()
            .and_then(|l| Record::from_line(l).ok())
        else {
            return;
        };
        match record.body {
            Body::SessionStarted(started) if self.header.is_none() => {
                self.header = Some((at, started.settings));
            }
            Body::TurnStarted(turn) => {
                self.turns = turn.turn;
                self.outcome = None;
                self.title.get_or_insert_with(|| title(&turn.items));
            }
            Body::TurnEnded(turn) => {
                self.turns = turn.turn;
                self.outcome = Some(turn.outcome);
                self.usage += turn.usage;
                self.cost = self.cost.zip(turn.cost).map(|(mut sum, cost)| {
                    sum += cost;
                    sum
                });
            }
            _ => {}
        }
    }
}

/// Reads a line's time and kind off its beginning, which `Record::to_line` writes in this form.
fn prefix(line: &[u8]) -> Option<(i64, &str)> {
    let head = &line[..line.len().min(128)];
    let head = match std::str::from_utf8(head) {
        Ok(head) => head,
        Err(error) => std::str::from_utf8(&head[..error.valid_up_to()]).ok()?,
    };
    let rest = head.strip_prefix(r#"{"v":"#)?;
    let (_, rest) = rest.split_once(r#","at":"#)?;
    let (at, rest) = rest.split_once(r#","kind":""#)?;
    let (kind, _) = rest.split_once('"')?;
    Some((at.parse().ok()?, kind))
}

fn title(items: &[recto_protocol::Item]) -> String {
    let text = items.iter().find_map(|item| match item.view() {
        View::Message { role, text, .. } if role == "user" => Some(text),
        _ => None,
    });
    let text = text.unwrap_or_default();
    let line = text
        .lines()
        .map(str::trim)
        .find(|line| !line.is_empty())
        .unwrap_or_default();
    line.chars().take(TITLE).collect()
}
