//! `recto serve`, and a client of its API.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::Value;

use crate::{Home, Live, PATIENCE, eventually};

/// A running service, killed when dropped.
pub struct Service {
    live: Option<Live>,
    address: String,
    token: String,
}

/// What the API answered.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The body.
    pub body: Vec<u8>,
}

impl Answer {
    /// The body as JSON; null where it is none.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON, after a check of the status.
    pub fn expect(&self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}", self.text());
        self.json()
    }
}

impl Service {
    /// Starts one on a free port, and waits until it answers.
    pub fn start(home: &Home, args: &[&str]) -> Self {
        let file = home.recto().join("server.json");
        // Of one that was killed.
        let _ = std::fs::remove_file(&file);
        let mut words = vec!["serve", "--listen", "127.0.0.1:0"];
        words.extend(args);
        let live = Live::start(home.command(home.path(), &words));
        let announced = || {
            let text = std::fs::read_to_string(&file).ok()?;
            let value: Value = serde_json::from_str(&text).ok()?;
            let url = value["url"].as_str()?.strip_prefix("http://")?;
            Some((url.to_owned(), value["token"].as_str()?.to_owned()))
        };
        assert!(
            eventually(|| announced().is_some()),
            "the service did not start: {:?}",
            live.finish()
        );
        let (address, token) = announced().unwrap();
        Self {
            live: Some(live),
            address,
            token,
        }
    }

    /// The process' id.
    pub fn pid(&self) -> u32 {
        self.live.as_ref().unwrap().pid()
    }

    /// The running program.
    pub fn live(&self) -> &Live {
        self.live.as_ref().unwrap()
    }

    /// Kills it at once.
    pub fn kill(mut self) {
        self.live.take().unwrap().kill();
    }

    /// Asks it to end, and waits for that.
    pub fn stop(mut self) -> crate::Run {
        let live = self.live.take().unwrap();
        live.signal(rustix::process::Signal::TERM);
        live.finish()
    }

    /// Sends a request as a client with the service's own token.
    pub fn request(&self, method: &str, path: &str, body: Option<&Value>) -> Answer {
        let token = format!("Authorization: Bearer {}\r\n", self.token);
        self.request_with(method, path, &token, body)
    }

    /// Sends a request with these header lines.
    pub fn request_with(
        &self,
        method: &str,
        path: &str,
        headers: &str,
        body: Option<&Value>,
    ) -> Answer {
        let mut stream = self.send(method, path, headers, body);
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).unwrap();
        let end = bytes.windows(4).position(|four| four == b"\r\n\r\n");
        let end = end.unwrap_or_else(|| panic!("no answer to {method} {path}"));
        let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Answer {
            status,
            body: bytes[end + 4..].to_vec(),
        }
    }

    /// HTTP/1.0, so that the body needs no decoding and the connection's end is the answer's.
    fn send(&self, method: &str, path: &str, headers: &str, body: Option<&Value>) -> TcpStream {
        let body = body.map(Value::to_string).unwrap_or_default();
        let kind = match body.is_empty() {
            true => String::new(),
            false => format!(
                "Content-Type: application/json\r\nContent-Length: {}\r\n",
                body.len()
            ),
        };
        let mut stream = TcpStream::connect(&self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let host = &self.address;
        let head =
            format!("{method} /api/v1{path} HTTP/1.0\r\nHost: {host}\r\n{headers}{kind}\r\n");
        stream.write_all(head.as_bytes()).unwrap();
        stream.write_all(body.as_bytes()).unwrap();
        stream
    }

    /// `GET`, which must succeed.
    pub fn get(&self, path: &str) -> Value {
        self.request("GET", path, None).expect(200)
    }

    /// Follows a stream of events from the start or from a record on.
    pub fn events(&self, attempt: &str, from: u64) -> Events {
        let token = format!("Authorization: Bearer {}\r\n", self.token);
        let path = format!("/attempts/{attempt}/events?from={from}");
        let stream = self.send("GET", &path, &token, None);
        stream
            .set_read_timeout(Some(Duration::from_secs(90)))
            .unwrap();
        Events(BufReader::new(stream))
    }

    /// Makes a repository known, and gives its name.
    pub fn add_repository(&self, path: &std::path::Path, name: &str) -> String {
        let new = serde_json::json!({"url": path, "name": name});
        let made = self.request("POST", "/repositories", Some(&new));
        assert!(matches!(made.status, 200 | 201), "{}", made.text());
        name.to_owned()
    }

    /// Hands a task in, and gives its id.
    pub fn submit(&self, task: &Value) -> String {
        let made = self.request("POST", "/tasks", Some(task)).expect(201);
        made["id"].as_str().unwrap().to_owned()
    }

    /// A task's attempt, by its number.
    pub fn attempt(&self, task: &str, number: u32) -> Value {
        let task = self.get(&format!("/tasks/{task}"));
        task["attempts"][number as usize - 1].clone()
    }

    /// Waits until all attempts of a task have ended, and gives the task.
    pub fn wait(&self, task: &str) -> Value {
        let mut last = Value::Null;
        let ended = eventually(|| {
            // Clients may not ask as fast as they can.
            std::thread::sleep(Duration::from_millis(20));
            last = self.get(&format!("/tasks/{task}"));
            last["attempts"].as_array().unwrap().iter().all(has_ended)
        });
        assert!(ended, "the task does not end: {last:#}");
        last
    }

    /// The whole log of an attempt, checked for gaps.
    pub fn log(&self, attempt: &str) -> Vec<Value> {
        let records = self.log_from(attempt, 0);
        for (at, record) in records.iter().enumerate() {
            assert_eq!(record["seq"], at, "a gap in the log of {attempt}");
        }
        records
    }

    /// The log of an attempt from a record on, as it is given.
    pub fn log_from(&self, attempt: &str, first: u64) -> Vec<Value> {
        let mut records: Vec<Value> = Vec::new();
        loop {
            let from = first + records.len() as u64;
            let page = self.get(&format!("/attempts/{attempt}/records?from={from}&most=500"));
            let page = page.as_array().or_else(|| page["records"].as_array());
            let page = page.expect("records").clone();
            if page.is_empty() {
                break;
            }
            records.extend(page);
        }
        records
    }
}

/// Whether nothing more happens to an attempt by itself.
pub fn has_ended(attempt: &Value) -> bool {
    let state = attempt["state"].as_str().unwrap();
    ["done", "failed", "cancelled", "out_of_budget"].contains(&state)
}

/// A stream of server-sent events.
pub struct Events(BufReader<TcpStream>);

impl Events {
    /// The next event's name and data; none when the stream has ended.
    pub fn event(&mut self) -> Option<(String, Value)> {
        let (mut name, mut data) = (String::new(), String::new());
        loop {
            let mut line = String::new();
            if self.0.read_line(&mut line).ok()? == 0 {
                return None;
            }
            match line.trim_end_matches(['\r', '\n']) {
                "" if !data.is_empty() => {
                    return Some((name, serde_json::from_str(&data).unwrap_or(Value::Null)));
                }
                text => match text.split_once(": ") {
                    Some(("event", value)) => value.clone_into(&mut name),
                    Some(("data", value)) => data.push_str(value),
                    _ => {}
                },
            }
        }
    }

    /// Waits for a record of this kind; none when the stream ended without one.
    pub fn record(&mut self, kind: &str) -> Option<Value> {
        loop {
            let (name, value) = self.event()?;
            if name == "record" && value["kind"] == kind {
                return Some(value);
            }
        }
    }
}
