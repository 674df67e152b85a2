//! `recto sessions`: list, show, export, remove.

use std::io::{IsTerminal as _, Read as _, Write as _};
use std::path::Path;

use anyhow::{Context as _, anyhow};
use recto_protocol::record::{Body, Outcome};
use recto_protocol::settings::Mode;
use recto_protocol::tool::Effect;
use recto_protocol::{Record, SessionId, View};
use recto_store::{Filter, Sessions, Summary};
use serde_json::json;

use super::print;
use crate::args::SessionsCommand;
use crate::compose::home::{Home, open_regular};
use crate::compose::place::{Place, text};
use crate::exit::{DONE, Failure};
use crate::output::evidence::evidence_line;
use crate::output::network::network_line;
use crate::output::safe::{safe, safe_line};

/// Runs the command.
pub fn run(command: SessionsCommand) -> Result<u8, Failure> {
    let sessions = Sessions::open(&Home::find()?.recto);
    match command {
        SessionsCommand::List { json, all, limit } => list(&sessions, json, all, limit)?,
        SessionsCommand::Show {
            id,
            chunk: Some(chunk),
            ..
        } => show_chunk(&sessions, &find(&sessions, &id)?, &chunk)?,
        SessionsCommand::Show {
            id,
            json,
            chunk: None,
        } => show(&sessions, &find(&sessions, &id)?, json)?,
        SessionsCommand::Export { id, output } => {
            export(&sessions, &find(&sessions, &id)?, output.as_deref())?;
        }
        SessionsCommand::Rm { ids } => {
            // All are found before the first is removed.
            let found = ids
                .iter()
                .map(|id| find(&sessions, id))
                .collect::<Result<Vec<_>, Failure>>()?;
            for id in &found {
                sessions
                    .remove(id)
                    .with_context(|| format!("cannot remove session {id}"))?;
                print(&format!("removed {id}\n"))?;
            }
        }
    }
    Ok(DONE)
}

/// The session whose id is `given` or begins with it.
///
/// # Errors
/// When there is none, or more than one.
pub fn find(sessions: &Sessions, given: &str) -> Result<SessionId, Failure> {
    let id = SessionId::from(given);
    if sessions.dir_of(&id).is_ok_and(|dir| dir.is_dir()) {
        return Ok(id);
    }
    let listing = sessions
        .list(&Filter::default())
        .map_err(Failure::unavailable)?;
    let all = listing
        .sessions
        .into_iter()
        .map(|summary| summary.id)
        .chain(listing.damaged);
    let mut matching = all.filter(|id| !given.is_empty() && id.as_str().starts_with(given));
    match (matching.next(), matching.next()) {
        (Some(id), None) => Ok(id),
        (Some(_), Some(_)) => Err(
            Failure::usage(anyhow!("several sessions begin with {given:?}"))
                .hint("give more of the id"),
        ),
        (None, _) => Err(Failure::usage(anyhow!("there is no session {given:?}"))
            .hint("`recto sessions list --all` shows what there is")),
    }
}

fn list(sessions: &Sessions, as_json: bool, all: bool, limit: usize) -> Result<(), Failure> {
    let cwd = if all {
        None
    } else {
        Some(text(&Place::find(None)?.cwd))
    };
    let filter = Filter {
        cwd: cwd.clone(),
        mode: None,
        limit: Some(limit),
    };
    let listing = sessions.list(&filter).map_err(Failure::unavailable)?;
    if as_json {
        let entries: Vec<_> = listing.sessions.iter().map(entry).collect();
        return print(&format!("{}\n", json!(entries)));
    }
    let mut out = String::new();
    for summary in &listing.sessions {
        out.push_str(&line(summary, all));
    }
    for id in &listing.damaged {
        out.push_str(&format!(
            "{id}  damaged: its log does not begin as a log should\n"
        ));
    }
    if out.is_empty() {
        out = match cwd {
            Some(cwd) => format!("no sessions in {cwd}; --all shows those of other directories\n"),
            None => "no sessions\n".to_owned(),
        };
    }
    print(&safe(&out))
}

fn line(summary: &Summary, with_cwd: bool) -> String {
    let mode = match summary.mode {
        Mode::Code => "code",
        Mode::Ask => "ask",
    };
    let cwd = if with_cwd {
        format!("  {}", safe_line(&summary.cwd, 60))
    } else {
        String::new()
    };
    format!(
        "{}  {}  {mode:<4}  {:<11}  {}{cwd}\n",
        summary.id,
        time(summary.updated_at),
        state(summary.outcome.as_ref()),
        safe_line(&summary.title, 80),
    )
}

fn entry(summary: &Summary) -> serde_json::Value {
    json!({
        "id": summary.id,
        "started_at_ms": summary.started_at,
        "updated_at_ms": summary.updated_at,
        "cwd": summary.cwd,
        "mode": summary.mode,
        "model": summary.model,
        "title": summary.title,
        "turns": summary.turns,
        "state": state(summary.outcome.as_ref()),
        "usage": summary.usage,
        "cost_usd": summary.cost.map(|cost| cost.0 as f64 / 1e6),
    })
}

/// How a turn ended, in one word.
pub fn state(outcome: Option<&Outcome>) -> &'static str {
    match outcome {
        Some(Outcome::Completed { .. }) => "done",
        Some(Outcome::Failed { .. }) => "failed",
        Some(Outcome::Interrupted { .. }) => "interrupted",
        Some(Outcome::BudgetReached { .. }) => "budget",
        None => "unfinished",
    }
}

/// Local time, to the minute.
pub(super) fn time(ms: i64) -> String {
    jiff::Timestamp::from_millisecond(ms).map_or_else(
        |_| "?".to_owned(),
        |at| {
            at.to_zoned(jiff::tz::TimeZone::system())
                .strftime("%Y-%m-%d %H:%M")
                .to_string()
        },
    )
}

fn show(sessions: &Sessions, id: &SessionId, as_json: bool) -> Result<(), Failure> {
    let records = sessions
        .read(id)
        .with_context(|| format!("cannot read session {id}"))
        .map_err(Failure::usage)?;
    let mut out = String::new();
    for record in &records {
        if as_json {
            out.push_str(&record.to_line());
            out.push('\n');
        } else if let Some(told) = tell(record) {
            out.push_str(&format!("{:>5}  {}  {told}\n", record.seq, time(record.at)));
        }
    }
    print(&out)
}

/// Prints a chunk's output: readable on a terminal, as it is elsewhere.
fn show_chunk(sessions: &Sessions, id: &SessionId, chunk: &str) -> Result<(), Failure> {
    let no_chunk = || {
        Failure::usage(anyhow!("session {id} has no chunk {chunk:?}"))
            .hint(format!("`recto sessions show {id}` names its chunks"))
    };
    // Only such texts name a chunk; anything else could name another file.
    let is_id = chunk.len() == 6 && chunk.bytes().all(|byte| byte.is_ascii_hexdigit());
    if !is_id {
        return Err(no_chunk());
    }
    let dir = sessions.dir_of(id).map_err(Failure::usage)?;
    let path = dir.join("chunks").join(chunk);
    let mut file = match open_regular(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Err(no_chunk()),
        Err(error) => {
            let failed = anyhow!(error).context(format!("cannot read {}", path.display()));
            return Err(Failure::unavailable(failed));
        }
    };
    if std::io::stdout().is_terminal() {
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        return print(&safe(&String::from_utf8_lossy(&bytes)));
    }
    let mut out = std::io::stdout().lock();
    match std::io::copy(&mut file, &mut out).and_then(|_| out.flush()) {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        other => Ok(other?),
    }
}

/// One record in words; none for those that say nothing to people.
pub(super) fn tell(record: &Record) -> Option<String> {
    const WIDTH: usize = 200;
    Some(match &record.body {
        Body::SessionStarted(body) => format!(
            "session of {} in {}",
            safe_line(&body.settings.model, 60),
            safe_line(&body.settings.cwd, WIDTH)
        ),
        Body::ContextAdded(body) if !body.sources.is_empty() => {
            format!(
                "instructions: {}",
                safe_line(&body.sources.join(", "), WIDTH)
            )
        }
        Body::TurnStarted(body) => format!("turn {}: {}", body.turn, said(&body.items, WIDTH)),
        Body::MessageAdded(body) => format!("message: {}", said(&body.items, WIDTH)),
        Body::StepItem(body) => match body.item.view() {
            View::Message { text, .. } => format!("answer:\n{}", safe(&text)),
            View::Reasoning { summary } if !summary.is_empty() => {
                format!("thinks: {}", safe_line(&summary, WIDTH))
            }
            View::Call(call) => {
                format!(
                    "calls {} {}",
                    safe_line(&call.name, 60),
                    safe_line(call.input.text(), WIDTH)
                )
            }
            _ => return None,
        },
        Body::StepFailed(body) => {
            format!("request failed: {}", safe_line(&body.error.message, WIDTH))
        }
        Body::ToolFinished(body) => match &body.effect {
            Effect::Command {
                exit_code, chunk, ..
            } => format!(
                "  exit {}, chunk {}",
                exit_code.map_or("-".to_owned(), |code| code.to_string()),
                chunk.as_ref().map_or("-", |chunk| chunk.as_str()),
            ),
            Effect::Files { changes } => {
                let paths: Vec<&str> = changes.iter().map(|change| change.path.as_str()).collect();
                format!(
                    "  {:?}: {}",
                    body.status,
                    safe_line(&paths.join(", "), WIDTH)
                )
            }
            _ => format!("  {:?}", body.status),
        },
        Body::CheckFinished(body) => format!(
            "check {}: {}",
            if body.exit_code == Some(0) {
                "passed"
            } else {
                "failed"
            },
            safe_line(&body.command, WIDTH)
        ),
        Body::Compacted(_) => "the conversation was replaced by a summary".to_owned(),
        Body::CompactionFailed(body) => {
            format!("compaction failed: {}", safe_line(&body.reason, WIDTH))
        }
        Body::AnswerRejected(body) => {
            format!("answer not accepted: {}", safe_line(&body.message, WIDTH))
        }
        Body::DriverAttached(_) => "resumed".to_owned(),
        Body::StateChanged(body) if body.reason.is_empty() => body.state.word().to_owned(),
        Body::StateChanged(body) => {
            format!("{}: {}", body.state.word(), safe_line(&body.reason, WIDTH))
        }
        Body::WorkSettled(body) => format!(
            "work: {} files, +{} -{}, commit {}",
            body.files,
            body.added,
            body.removed,
            safe_line(&body.commit, 60)
        ),
        Body::EvidenceGathered(body) => format!("evidence: {}", evidence_line(&body.summary)?),
        Body::InterruptRequested(body) => format!("stop asked for by {}", safe_line(&body.by, 60)),
        Body::TurnEnded(body) => format!(
            "turn {} {}: {} tokens{}",
            body.turn,
            state(Some(&body.outcome)),
            body.usage.total(),
            body.cost.map_or(String::new(), |cost| format!(", {cost}"))
        ),
        Body::Warning(body) => format!("warning: {}", safe_line(&body.message, WIDTH)),
        Body::NetworkRequested(body) => format!("network: {}", network_line(&body.request, WIDTH)),
        Body::ContextAdded(_)
        | Body::SettingsChanged(_)
        | Body::StepStarted(_)
        | Body::StepFinished(_)
        | Body::Checkpointed(_)
        | Body::Unknown { .. } => return None,
    })
}

fn said(items: &[recto_protocol::Item], width: usize) -> String {
    let texts: Vec<String> = items
        .iter()
        .filter_map(|item| match item.view() {
            View::Message { text, .. } => Some(text),
            _ => None,
        })
        .collect();
    safe_line(&texts.join(" "), width)
}

fn export(sessions: &Sessions, id: &SessionId, output: Option<&Path>) -> Result<(), Failure> {
    let failed = || format!("cannot export session {id}");
    match output {
        None => export_to_stdout(sessions, id),
        Some(path) if path == Path::new("-") => export_to_stdout(sessions, id),
        Some(path) => {
            // Written beside and renamed, so that a file with the name is always whole.
            let dir = path
                .parent()
                .filter(|dir| !dir.as_os_str().is_empty())
                .unwrap_or(Path::new("."));
            let mut file = tempfile::NamedTempFile::new_in(dir).with_context(failed)?;
            sessions
                .export(id, file.as_file_mut())
                .with_context(failed)?;
            file.persist(path).with_context(failed)?;
            Ok(())
        }
    }
}

fn export_to_stdout(sessions: &Sessions, id: &SessionId) -> Result<(), Failure> {
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    sessions
        .export(id, &mut out)
        .with_context(|| format!("cannot export session {id}"))?;
    Ok(out.flush()?)
}
