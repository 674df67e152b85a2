//! Helpers of this crate's tests: requests, and servers that send exactly what they are told.

use std::time::Duration;

use futures_util::StreamExt;
use recto_protocol::ports::model::{Model, ModelError, ModelEvent, Request};
use recto_protocol::profile::Provider;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use crate::responses::Client;

/// A request with this input.
pub(crate) fn request(input: &str) -> Request {
    Request {
        model: "test-model".into(),
        instructions: "be brief".into(),
        tools: "[]".into(),
        input: input.into(),
        reasoning: None,
        text: None,
        max_output_tokens: None,
        cache_key: "session-1".into(),
    }
}

/// All that comes of one request: the events, and the error that ended them.
pub(crate) async fn ask(model: &dyn Model, input: &str) -> (Vec<ModelEvent>, Option<ModelError>) {
    let all = model.respond(request(input)).collect::<Vec<_>>();
    let all = tokio::time::timeout(PATIENCE, all)
        .await
        .expect("the request hangs");
    let (mut events, mut error) = (Vec::new(), None);
    for event in all {
        assert_eq!(error, None, "an error is the last event");
        match event {
            Ok(event) => events.push(event),
            Err(failed) => error = Some(failed),
        }
    }
    (events, error)
}

/// The error that one request ends with.
pub(crate) async fn fail(model: &dyn Model) -> ModelError {
    ask(model, "").await.1.expect("the request fails")
}

/// A provider without a key.
pub(crate) fn provider(base_url: &str) -> Provider {
    Provider {
        name: "test".into(),
        base_url: base_url.into(),
        ..Provider::default()
    }
}

/// A client of `base_url` without a key.
pub(crate) fn client(base_url: &str) -> Client {
    Client::new(&provider(base_url), &|_| None).expect("the provider is whole")
}

/// What a raw server does after it read a request.
pub(crate) enum Step {
    /// Sends bytes.
    Send(Vec<u8>),
    /// Holds the connection open without a word.
    Hang,
}

/// A server for one connection: reads one request, does the steps, closes. Gives the request.
pub(crate) async fn raw(steps: Vec<Step>) -> (String, JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base_url = format!("http://{}/v1", listener.local_addr().unwrap());
    let server = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let request = read_request(&mut stream).await;
        for step in steps {
            match step {
                Step::Send(bytes) => {
                    stream.write_all(&bytes).await.unwrap();
                    stream.flush().await.unwrap();
                }
                Step::Hang => std::future::pending().await,
            }
        }
        request
    });
    (base_url, server)
}

/// A server that answers one request with these bytes.
pub(crate) async fn answering(head: &str, body: &[u8]) -> (String, JoinHandle<String>) {
    let mut bytes = head.replace('\n', "\r\n").into_bytes();
    bytes.extend_from_slice(format!("content-length: {}\r\n\r\n", body.len()).as_bytes());
    bytes.extend_from_slice(body);
    raw(vec![Step::Send(bytes)]).await
}

/// The head of an event stream, up to its length.
pub(crate) const STREAM: &str = "HTTP/1.1 200 OK\ncontent-type: text/event-stream\n";

async fn read_request(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let read = stream.read(&mut buffer).await.unwrap();
        bytes.extend_from_slice(&buffer[..read]);
        let text = String::from_utf8_lossy(&bytes);
        let Some(end) = text.find("\r\n\r\n") else {
            continue;
        };
        let length = text
            .lines()
            .find_map(|line| line.strip_prefix("content-length: ")?.parse::<usize>().ok())
            .unwrap_or(0);
        if bytes.len() >= end + 4 + length || read == 0 {
            return text.into_owned();
        }
    }
}

/// Long enough for anything on loopback, short enough to notice that something hangs.
const PATIENCE: Duration = Duration::from_secs(20);
