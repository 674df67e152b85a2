//! `recto task logs`: commands and what they said.

use std::io::{IsTerminal as _, Write as _};

use recto_protocol::record::Body;
use recto_protocol::tool::Effect;
use recto_protocol::{AttemptId, ChunkId, Record};
use serde::Deserialize;
use serde_json::json;
use serde_json::value::RawValue;

use super::{one, print, print_json};
use crate::compose::client::Client;
use crate::exit::{DONE, Failure};
use crate::output::safe::{safe, safe_line};

/// Bytes of an output that are fetched at once.
const PIECE: u64 = 1 << 20;

#[derive(Deserialize)]
struct Page {
    records: Vec<Box<RawValue>>,
    next: u64,
}

/// A command that has ended.
struct Ran {
    command: String,
    exit_code: Option<i32>,
    chunk: Option<ChunkId>,
}

/// Prints all commands of an attempt with their outputs.
pub(super) async fn run(client: &Client, name: &str, json: bool) -> Result<u8, Failure> {
    let attempt = one(client, name).await?.id;
    let mut told = Vec::new();
    let mut from = 0;
    loop {
        let path = ["attempts", attempt.as_str(), "records"];
        let query = [("from", from.to_string()), ("most", "500".to_owned())];
        let page: Page = client.get(&path, &query).await?;
        if page.next == from {
            break;
        }
        from = page.next;
        for ran in page.records.iter().filter_map(|line| ran(line)) {
            match json {
                true => told.push(json!({
                    "command": ran.command, "exit_code": ran.exit_code, "chunk": ran.chunk,
                })),
                false => show(client, &attempt, &ran).await?,
            }
        }
    }
    if json {
        print_json(&told)?;
    }
    Ok(DONE)
}

/// The command that a record tells of. Records of later versions are left out.
fn ran(line: &RawValue) -> Option<Ran> {
    let record = Record::from_line(line.get()).ok()?;
    match record.body {
        Body::ToolFinished(body) => match body.effect {
            Effect::Command {
                command,
                exit_code,
                chunk,
                ..
            } => Some(Ran {
                command,
                exit_code,
                chunk,
            }),
            Effect::None | Effect::Files { .. } | Effect::Plan { .. } | Effect::Image { .. } => {
                None
            }
        },
        Body::CheckFinished(body) => Some(Ran {
            command: body.command,
            exit_code: body.exit_code,
            chunk: Some(body.chunk),
        }),
        _ => None,
    }
}

async fn show(client: &Client, attempt: &AttemptId, ran: &Ran) -> Result<(), Failure> {
    print(&format!("$ {}\n", safe_line(&ran.command, 500)))?;
    if let Some(chunk) = &ran.chunk {
        show_output(client, attempt, chunk).await?;
    }
    match ran.exit_code {
        Some(0) => print("\n"),
        Some(code) => print(&format!("[exit {code}]\n\n")),
        None => print("[no exit code]\n\n"),
    }
}

/// Prints an output: readable on a terminal, as it is elsewhere.
async fn show_output(client: &Client, attempt: &AttemptId, chunk: &ChunkId) -> Result<(), Failure> {
    let path = ["attempts", attempt.as_str(), "chunks", chunk.as_str()];
    let is_terminal = std::io::stdout().is_terminal();
    let mut offset = 0;
    let mut last = b'\n';
    loop {
        let query = [("offset", offset.to_string()), ("limit", PIECE.to_string())];
        let (bytes, _) = client.bytes(&path, &query).await?;
        let Some(&end) = bytes.last() else {
            break;
        };
        last = end;
        offset += bytes.len() as u64;
        write(&bytes, is_terminal)?;
        if (bytes.len() as u64) < PIECE {
            break;
        }
    }
    match last {
        b'\n' => Ok(()),
        _ => print("\n"),
    }
}

/// Writes bytes from a cell to standard output; a reader that went away ends the program quietly.
pub(super) fn write(bytes: &[u8], is_terminal: bool) -> Result<(), Failure> {
    if is_terminal {
        return print(&safe(&String::from_utf8_lossy(bytes)));
    }
    let mut out = std::io::stdout().lock();
    match out.write_all(bytes).and_then(|()| out.flush()) {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        other => Ok(other?),
    }
}
