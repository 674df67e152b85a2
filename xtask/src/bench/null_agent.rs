//! The floor: the smallest program that runs an agent's loop. No cell, no log, no surface.
//!
//! It is a process of its own, so that its start, its memory and its CPU are measured like those of the others.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::{Command, Stdio};

use anyhow::{Context, bail};
use serde_json::{Value, json};

/// Bytes of a command's output that go to the model, as in the agents that are measured beside it.
const SHOWN: usize = 40_000;

/// Runs the loop against `http://HOST:PORT/PATH` until an answer has no call.
pub(super) fn command(arguments: &[String]) -> anyhow::Result<()> {
    let [base_url] = arguments else {
        bail!("null-agent needs the model server's address");
    };
    let (address, path) = base_url
        .strip_prefix("http://")
        .and_then(|rest| rest.split_once('/'))
        .context("the address should be http://HOST:PORT/PATH")?;
    let mut stream = TcpStream::connect(address).context("could not reach the model server")?;
    stream.set_nodelay(true)?;
    let mut input = json!({ "type": "message", "role": "user", "content": "go" }).to_string();
    loop {
        let body = format!(r#"{{"model":"none","stream":true,"input":[{input}]}}"#);
        let head = format!(
            "POST /{path}/responses HTTP/1.1\r\nhost: {address}\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        stream.write_all((head + &body).as_bytes())?;
        let answer = read_answer(&mut stream)?;
        let Some(call) = find_call(&answer)? else {
            return Ok(());
        };
        let output = run(&call)?;
        let output = json!({
            "type": "function_call_output",
            "call_id": call["call_id"],
            "output": output,
        });
        input = format!("{input},{call},{output}");
    }
}

fn read_answer(stream: &mut TcpStream) -> anyhow::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut chunk = vec![0; 64 << 10];
    let mut end = None;
    while end.is_none_or(|end| bytes.len() < end) {
        let count = stream.read(&mut chunk)?;
        if count == 0 {
            bail!("the model server hung up");
        }
        bytes.extend_from_slice(&chunk[..count]);
        if end.is_none() {
            end = length(&bytes);
        }
    }
    Ok(bytes)
}

/// The length of head and body, once the head is there.
fn length(bytes: &[u8]) -> Option<usize> {
    let head = bytes.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
    let text = std::str::from_utf8(&bytes[..head]).ok()?;
    let field = text
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "))?;
    Some(head + field.trim().parse::<usize>().ok()?)
}

/// The first call in the answer. Lines without one are not parsed: this is the floor.
fn find_call(answer: &[u8]) -> anyhow::Result<Option<Value>> {
    for line in std::str::from_utf8(answer)?.lines() {
        let Some(data) = line.strip_prefix(r#"data: {"type":"response.output_item.done""#) else {
            continue;
        };
        let event: Value =
            serde_json::from_str(&format!(r#"{{"type":"response.output_item.done"{data}"#))?;
        if event["item"]["type"] == "function_call" {
            return Ok(Some(event["item"].clone()));
        }
    }
    Ok(None)
}

fn run(call: &Value) -> anyhow::Result<String> {
    let arguments: Value = serde_json::from_str(call["arguments"].as_str().unwrap_or_default())?;
    let mut child = Command::new("bash")
        .args(["-c", arguments["cmd"].as_str().unwrap_or_default()])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .context("could not start bash")?;
    let mut kept = Vec::new();
    if let Some(mut pipe) = child.stdout.take() {
        let mut chunk = vec![0; 64 << 10];
        loop {
            let count = pipe.read(&mut chunk)?;
            if count == 0 {
                break;
            }
            let room = SHOWN.saturating_sub(kept.len()).min(count);
            kept.extend_from_slice(&chunk[..room]);
        }
    }
    let status = child.wait()?;
    Ok(format!("{status}\n{}", String::from_utf8_lossy(&kept)))
}
