//! The user's message: text from the command line and standard input, and images.

use std::io::{IsTerminal as _, Read as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow};
use recto_protocol::Item;
use serde_json::{Value, json};

use super::home::open_regular;
use crate::exit::Failure;
use crate::output::tell;

/// How long a piped standard input may be silent before the first byte.
const MOST_SILENCE: Duration = Duration::from_secs(30);
/// Most bytes of a prompt.
const MOST_PROMPT: u64 = 1 << 20;
/// Most bytes of an image's file.
const MOST_IMAGE: u64 = 32 << 20;
/// Most bytes of an output schema.
const MOST_SCHEMA: u64 = 1 << 20;

/// Whether there must be a prompt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Needed {
    /// There must.
    Yes,
    /// Images say enough; a prompt may come on standard input.
    ImagesWillDo,
    /// An unfinished turn can go on without.
    No,
}

/// Reads the prompt: `given`, else standard input; piped input is added to a given prompt. None
/// when there is neither and none is needed. `missing` says what is wrong and what to do when there
/// is none but must be, if something better can be said than that.
///
/// # Errors
/// When there is no prompt, or it is not text, or too long.
pub fn read(
    given: Option<&str>,
    needed: Needed,
    missing: &Option<(String, String)>,
) -> Result<Option<String>, Failure> {
    let stdin = std::io::stdin();
    let piped = !stdin.is_terminal();
    match given {
        Some("-") => piped_text(needed != Needed::ImagesWillDo).map(Some),
        Some(prompt) if prompt.trim().is_empty() && needed == Needed::Yes => {
            Err(Failure::usage(anyhow!("the prompt is empty")))
        }
        Some(prompt) => {
            check_length(prompt.len() as u64)?;
            let more = if piped { added_text()? } else { None };
            Ok(Some(match more {
                Some(more) => format!("{prompt}\n\n<stdin>\n{}\n</stdin>", more.trim_end()),
                None => prompt.to_owned(),
            }))
        }
        None if piped && needed == Needed::Yes => match missing {
            None => piped_text(true).map(Some),
            Some((error, hint)) => {
                let text = piped_text(false)?;
                if text.trim().is_empty() {
                    return Err(Failure::usage(anyhow!("{error}")).hint(hint));
                }
                Ok(Some(text))
            }
        },
        None if piped && needed == Needed::ImagesWillDo => piped_text(false).map(Some),
        None if piped => Ok(waiting_text()?),
        None if needed == Needed::ImagesWillDo => Ok(Some(String::new())),
        None if needed == Needed::Yes => Err(match missing {
            Some((error, hint)) => Failure::usage(anyhow!("{error}")).hint(hint),
            None => Failure::usage(anyhow!("there is no prompt"))
                .hint("give the task as an argument, or pipe it in: `recto exec - < task.md`"),
        }),
        None => Ok(None),
    }
}

/// What is piped in beside a prompt. A slow writer is waited for; where nobody writes and nobody
/// closes it either, the user must say what is meant, since the writer may only be slower still.
fn added_text() -> Result<Option<String>, Failure> {
    if !is_readable(Duration::from_secs(1)) {
        tell("reading standard input…\n");
        if !is_readable(MOST_SILENCE) {
            return Err(Failure::usage(anyhow!(
                "standard input is open, but nothing came for {} seconds",
                MOST_SILENCE.as_secs()
            ))
            .hint("if nothing is to be read from it, add `< /dev/null`"));
        }
    }
    let text = piped_text(false)?;
    Ok(Some(text).filter(|text| !text.trim().is_empty()))
}

/// Waits until standard input has something to read or has ended; false when neither happens.
fn is_readable(patience: Duration) -> bool {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    let stdin = std::io::stdin();
    let until = Instant::now() + patience;
    loop {
        let left = until.saturating_duration_since(Instant::now());
        let left = Timespec {
            tv_sec: left.as_secs().try_into().unwrap_or(i64::MAX),
            tv_nsec: left.subsec_nanos().into(),
        };
        match poll(&mut [PollFd::new(&stdin, PollFlags::IN)], Some(&left)) {
            // A signal, such as that of a window's new size.
            Err(rustix::io::Errno::INTR) => {}
            ready => return ready.is_ok_and(|ready| ready > 0),
        }
    }
}

/// Standard input, unless nothing comes and nobody closes it either: an open pipe that nobody
/// writes to, as some CI systems leave it, must not hold the work up for ever.
fn waiting_text() -> Result<Option<String>, Failure> {
    if !is_readable(Duration::from_secs(2)) {
        tell("warning: standard input is open but silent, so it is not read\n");
        return Ok(None);
    }
    let text = piped_text(false)?;
    Ok(Some(text).filter(|text| !text.trim().is_empty()))
}

fn piped_text(needed: bool) -> Result<String, Failure> {
    let mut bytes = Vec::new();
    std::io::stdin()
        .lock()
        .take(MOST_PROMPT + 1)
        .read_to_end(&mut bytes)
        .context("cannot read standard input")
        .map_err(Failure::usage)?;
    check_length(bytes.len() as u64)?;
    let text = String::from_utf8(bytes)
        .map_err(|_| Failure::usage(anyhow!("standard input is not valid UTF-8 text")))?;
    if needed && text.trim().is_empty() {
        return Err(Failure::usage(anyhow!(
            "there is no prompt on standard input"
        )));
    }
    Ok(text)
}

fn check_length(bytes: u64) -> Result<(), Failure> {
    if bytes <= MOST_PROMPT {
        return Ok(());
    }
    Err(Failure::usage(anyhow!(
        "the prompt is longer than {} KiB",
        MOST_PROMPT >> 10
    ))
    .hint("put long material into a file of the repository and name it in the prompt"))
}

/// Makes the user's message of a prompt and images.
///
/// # Errors
/// When an image can't be read or is none.
pub fn message(prompt: &str, images: &[PathBuf]) -> Result<Item, Failure> {
    let mut parts: Vec<Value> = Vec::new();
    for path in images {
        let bytes = read_capped(path, MOST_IMAGE, "image")?;
        let url = recto_runtime::image_url(&bytes)
            .map_err(|reason| anyhow!("cannot use image {}: {reason}", path.display()))
            .map_err(Failure::usage)?;
        parts.push(json!({"type": "input_image", "image_url": url}));
    }
    if !prompt.trim().is_empty() || parts.is_empty() {
        parts.push(json!({"type": "input_text", "text": prompt}));
    }
    Ok(Item::user_parts(parts))
}

/// Reads the schema that the final answer must fit.
///
/// # Errors
/// When it can't be read or is no JSON schema.
pub fn schema(path: &Path) -> Result<recto_runtime::schema::Schema, Failure> {
    let bytes = read_capped(path, MOST_SCHEMA, "output schema")?;
    let text = String::from_utf8(bytes)
        .map_err(|_| Failure::usage(anyhow!("{} is not valid UTF-8 text", path.display())))?;
    recto_runtime::schema::Schema::parse(&text)
        .with_context(|| format!("cannot use {}", path.display()))
        .map_err(Failure::usage)
}

/// Refuses a file that the answer can't be written to, before there is an answer to lose.
///
/// # Errors
/// When it is a directory, or its directory is missing.
pub fn check_output(path: &Path) -> Result<(), Failure> {
    let parent = path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty());
    let problem = if path.is_dir() {
        "it is a directory"
    } else if parent.is_some_and(|parent| !parent.is_dir()) {
        "its directory does not exist"
    } else {
        return Ok(());
    };
    Err(Failure::usage(anyhow!(
        "cannot write {}: {problem}",
        path.display()
    )))
}

fn read_capped(path: &Path, most: u64, what: &str) -> Result<Vec<u8>, Failure> {
    let read = || -> anyhow::Result<Vec<u8>> {
        let file = open_regular(path)?;
        let mut bytes = Vec::new();
        file.take(most + 1).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > most {
            anyhow::bail!("it is larger than {} KiB", most >> 10);
        }
        Ok(bytes)
    };
    read()
        .with_context(|| format!("cannot read {what} {}", path.display()))
        .map_err(Failure::usage)
}
