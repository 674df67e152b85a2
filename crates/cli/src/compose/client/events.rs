//! Events as they come, over any number of connections.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use recto_protocol::{AttemptId, Record};
use reqwest::Response;
use serde_json::Value;

use super::waiting::Waiting;
use super::{Client, ClientError, SILENCE};
use crate::exit::Failure;

/// Largest event. A record holds images at most.
const LARGEST: usize = 256 << 20;

/// Something that happened to an attempt.
#[derive(Debug)]
pub enum Live {
    /// A record was written. Each comes once, in order.
    Record(Box<Record>),
    /// A running command said something. May be missed.
    Output(Vec<u8>),
}

/// What happens to one attempt. Goes on where it was when the connection is lost.
pub struct Events {
    client: Client,
    attempt: AttemptId,
    next: u64,
    stream: Option<Stream>,
    waiting: Waiting,
}

impl Client {
    /// Follows an attempt live, from a record on.
    pub fn watch(&self, attempt: &AttemptId, from: u64) -> Events {
        Events {
            client: self.clone(),
            attempt: attempt.clone(),
            next: from,
            stream: None,
            waiting: Waiting::default(),
        }
    }
}

impl Events {
    /// The next thing that happens; waits for it.
    ///
    /// # Errors
    /// When the server refuses, or was away for too long.
    pub async fn next(&mut self) -> Result<Live, Failure> {
        loop {
            match self.try_next().await {
                Ok(Some(live)) => return Ok(live),
                Ok(None) => {}
                Err(error) if error.is_passing() => {
                    self.waiting.go_on(&mut self.client, error).await?;
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// The next event that says something; none for others and at the end of a stream.
    async fn try_next(&mut self) -> Result<Option<Live>, ClientError> {
        let mut stream = match self.stream.take() {
            Some(stream) => stream,
            None => Stream::new(self.client.events(self.attempt.as_str(), self.next).await?),
        };
        let Some(event) = stream.next().await? else {
            // The server ends: it is looked for again, but not at once.
            return Err(ClientError::Ended);
        };
        self.stream = Some(stream);
        self.waiting = Waiting::default();
        Ok(match event.name.as_str() {
            "record" => self.record(&event.data)?,
            "output" => output(&event.data),
            _ => None,
        })
    }

    fn record(&mut self, data: &str) -> Result<Option<Live>, ClientError> {
        let record = Record::from_line(data)
            .map_err(|error| ClientError::Garbled(serde::de::Error::custom(error.to_string())))?;
        if record.seq < self.next {
            return Ok(None);
        }
        self.next = record.seq + 1;
        Ok(Some(Live::Record(Box::new(record))))
    }
}

fn output(data: &str) -> Option<Live> {
    let said: Value = serde_json::from_str(data).ok()?;
    let bytes = STANDARD.decode(said["base64"].as_str()?).ok()?;
    Some(Live::Output(bytes))
}

/// One event of a stream.
#[derive(Debug, Default, PartialEq)]
struct Event {
    name: String,
    data: String,
}

/// One connection's events.
struct Stream {
    response: Response,
    buffer: Buffer,
}

impl Stream {
    fn new(response: Response) -> Self {
        Self {
            response,
            buffer: Buffer::default(),
        }
    }

    /// The next event; none at the end.
    async fn next(&mut self) -> Result<Option<Event>, ClientError> {
        loop {
            if let Some(event) = self.buffer.take() {
                return Ok(Some(event));
            }
            // A server that is gone without a word is noticed by its silence.
            let chunk = tokio::time::timeout(SILENCE, self.response.chunk()).await;
            match chunk {
                Ok(Ok(Some(bytes))) => self.buffer.bytes.extend_from_slice(&bytes),
                Ok(Ok(None)) | Err(_) => return Ok(None),
                Ok(Err(error)) => return Err(ClientError::unreachable(error)),
            }
            if self.buffer.bytes.len() > LARGEST {
                let error = serde::de::Error::custom("an event is too large");
                return Err(ClientError::Garbled(error));
            }
        }
    }
}

/// What came and is no whole event yet.
#[derive(Default)]
struct Buffer {
    bytes: Vec<u8>,
    /// Bytes that hold no end of an event.
    looked_at: usize,
}

impl Buffer {
    /// Takes the first whole event that says something.
    fn take(&mut self) -> Option<Event> {
        loop {
            let from = self.looked_at.saturating_sub(1);
            let Some(end) = self.bytes[from..].windows(2).position(|w| w == b"\n\n") else {
                self.looked_at = self.bytes.len();
                return None;
            };
            let rest = self.bytes.split_off(from + end + 2);
            let text = std::mem::replace(&mut self.bytes, rest);
            self.looked_at = 0;
            let event = parse(&String::from_utf8_lossy(&text));
            if !event.data.is_empty() {
                return Some(event);
            }
        }
    }
}

fn parse(text: &str) -> Event {
    let mut event = Event::default();
    for line in text.lines() {
        match line.split_once(':') {
            Some(("event", value)) => event.name = value.trim().to_owned(),
            Some(("data", value)) => {
                if !event.data.is_empty() {
                    event.data.push('\n');
                }
                event
                    .data
                    .push_str(value.strip_prefix(' ').unwrap_or(value));
            }
            // Comments, ids, and what later versions say.
            _ => {}
        }
    }
    event
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_found_however_they_are_cut() {
        let text = ": alive\n\nevent: record\nid: 1\ndata: {\"a\": 1}\n\nevent: b\ndata: x\ndata: y\n\nevent: c";
        for size in 1..text.len() {
            let mut buffer = Buffer::default();
            let mut events = Vec::new();
            for piece in text.as_bytes().chunks(size) {
                buffer.bytes.extend_from_slice(piece);
                while let Some(event) = buffer.take() {
                    events.push((event.name, event.data));
                }
            }
            let expected = [("record", "{\"a\": 1}"), ("b", "x\ny")];
            assert_eq!(events, expected.map(|(n, d)| (n.to_owned(), d.to_owned())));
        }
    }
}
