//! A server without a socket, and clients of it.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use http_body_util::BodyExt as _;
use hyper::body::Bytes;
use hyper::header::HeaderMap;
use hyper::{Request, StatusCode};
use recto_protocol::ports::tasks::{Change, Claim, TaskStore as _};
use recto_protocol::record::Warning;
use recto_protocol::token::{NewToken, Scope};
use recto_protocol::{Body, WorkerId};
use recto_service::{Hints, Outside, Service, Tokens};
use recto_store::Tasks;
use recto_web::{Api, Options, router};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

use crate::places::Places;

/// The time that the server's clock shows at first.
pub(crate) const NOW: i64 = 1_700_000_000_000;

/// A server with one repository, `r`, and a token for each scope.
pub(crate) struct Given {
    router: axum::Router,
    pub(crate) store: Tasks,
    pub(crate) places: Arc<Places>,
    pub(crate) hints: Hints,
    pub(crate) clock: Arc<AtomicI64>,
    pub(crate) tokens: Tokens,
    pub(crate) service: Service,
    pub(crate) shutdown: CancellationToken,
    pub(crate) read: String,
    pub(crate) write: String,
    pub(crate) admin: String,
    _home: tempfile::TempDir,
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) bytes: Bytes,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.bytes).unwrap_or_else(|_| panic!("{self:?}"))
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |v| v.to_str().unwrap())
    }

    /// A problem of this status, as all are told; gives what it says.
    pub(crate) fn problem(&self, status: u16) -> String {
        assert_eq!(self.status, status, "{self:?}");
        assert_eq!(self.header("content-type"), "application/problem+json");
        let problem = self.json();
        assert_eq!(problem["status"], status);
        assert_eq!(problem["request_id"], self.header("x-request-id"));
        problem["detail"].as_str().unwrap().to_owned()
    }

    pub(crate) fn ok(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{self:?}");
        self
    }
}

impl Given {
    pub(crate) async fn new() -> Self {
        Self::with(Options {
            requests_per_second: NonZeroU32::new(100_000).unwrap(),
            ..Options::default()
        })
        .await
    }

    pub(crate) async fn with(options: Options) -> Self {
        let home = tempfile::tempdir().unwrap();
        let store = Tasks::sqlite(&home.path().join("tasks.db")).await.unwrap();
        let places = Arc::new(Places::default());
        let hints = Hints::default();
        let clock = Arc::new(AtomicI64::new(NOW));
        let outside = outside(clock.clone());
        let tokens = Tokens::new(Arc::new(store.clone()), outside.clone());
        let service = Service::new(
            Arc::new(store.clone()),
            places.clone(),
            hints.clone(),
            outside,
        );
        let new = json!({ "name": "r", "url": "/r" });
        let repository = serde_json::from_value(new).unwrap();
        service.add_repository(repository).await.unwrap();
        let shutdown = CancellationToken::new();
        let api = Api {
            service: service.clone(),
            tokens: tokens.clone(),
            options,
        };
        Self {
            router: router(api, shutdown.clone()).unwrap(),
            read: token(&tokens, Scope::Read).await,
            write: token(&tokens, Scope::Write).await,
            admin: token(&tokens, Scope::Admin).await,
            store,
            places,
            hints,
            clock,
            tokens,
            service,
            shutdown,
            _home: home,
        }
    }

    /// Sends a request as it is.
    pub(crate) async fn send(&self, request: Request<axum::body::Body>) -> Answer {
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        Answer {
            status: parts.status.as_u16(),
            headers: parts.headers,
            bytes: body.collect().await.unwrap().to_bytes(),
        }
    }

    /// A stream of events.
    pub(crate) async fn stream(&self, path: &str, last: Option<u64>) -> Stream {
        let mut request = request("GET", path).header("authorization", bearer(&self.read));
        if let Some(last) = last {
            request = request.header("last-event-id", last);
        }
        let request = request.body(axum::body::Body::empty()).unwrap();
        let response = self.router.clone().oneshot(request).await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        assert_eq!(response.headers()["x-accel-buffering"], "no");
        Stream {
            body: response.into_body(),
            text: String::new(),
        }
    }

    /// Calls a route with a JSON body, or without one when it is null.
    pub(crate) async fn call(&self, method: &str, path: &str, body: Value) -> Answer {
        self.call_with(&self.admin, method, path, body, &[]).await
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.call_with(&self.read, "GET", path, Value::Null, &[])
            .await
    }

    pub(crate) async fn call_with(
        &self,
        token: &str,
        method: &str,
        path: &str,
        body: Value,
        headers: &[(&str, &str)],
    ) -> Answer {
        let mut request = request(method, path).header("authorization", bearer(token));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = if body.is_null() {
            request.body(axum::body::Body::empty())
        } else {
            let request = request.header("content-type", "application/json");
            request.body(body.to_string().into())
        };
        self.send(request.unwrap()).await
    }

    /// Hands in a task and gives its id.
    pub(crate) async fn task(&self, prompt: &str) -> String {
        let body = json!({ "spec": { "repository": "r", "prompt": prompt } });
        let made = self.call("POST", "/tasks", body).await.ok(201);
        made.json()["id"].as_str().unwrap().to_owned()
    }

    /// Claims everything as a worker would.
    pub(crate) async fn claim(&self) -> Vec<Claim> {
        let worker = WorkerId::from("w");
        self.store.join(&worker, NOW).await.unwrap();
        self.store.claim(&worker, 100).await.unwrap()
    }

    /// Appends a warning to a claimed attempt's log.
    pub(crate) async fn warn(&self, claim: &mut Claim, message: &str) {
        let body = Body::from(Warning {
            message: message.to_owned(),
            ..warning()
        });
        let written = self
            .store
            .append(
                &claim.lease,
                claim.records,
                vec![body],
                &Change::default(),
                NOW,
            )
            .await
            .unwrap();
        claim.records += written.len() as u64;
        self.hints.tell(&claim.lease.attempt);
    }
}

fn warning() -> Warning {
    serde_json::from_value(json!({ "code": "test", "message": "" })).unwrap()
}

/// The beginning of a request to the server by its name.
pub(crate) fn request(method: &str, path: &str) -> hyper::http::request::Builder {
    Request::builder()
        .method(method)
        .uri(format!("/api/v1{path}"))
        .header("host", "localhost:80")
}

pub(crate) fn bearer(token: &str) -> String {
    format!("Bearer {token}")
}

pub(crate) async fn token(tokens: &Tokens, scope: Scope) -> String {
    let new = NewToken {
        name: scope.word().to_owned(),
        scopes: vec![scope],
        expires_at: None,
    };
    tokens.create(new).await.unwrap().secret
}

fn outside(clock: Arc<AtomicI64>) -> Outside {
    let count = AtomicU64::new(0);
    Outside {
        clock: Arc::new(move || clock.load(Ordering::Relaxed)),
        // Different each time is enough here.
        random: Arc::new(move || {
            let mut state = count.fetch_add(1, Ordering::Relaxed) + 1;
            let mut bytes = [0; 12];
            for byte in &mut bytes {
                state = state.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
                *byte = (state >> 56) as u8;
            }
            bytes
        }),
    }
}

/// An event of a stream.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Event {
    pub(crate) name: String,
    pub(crate) id: String,
    pub(crate) data: Value,
}

/// An open stream.
pub(crate) struct Stream {
    body: axum::body::Body,
    text: String,
}

impl Stream {
    /// The next event; none at the end of the stream.
    pub(crate) async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some((event, rest)) = self.text.split_once("\n\n") {
                let (event, rest) = (parse(event), rest.to_owned());
                self.text = rest;
                return Some(event);
            }
            let frame = self.body.frame().await?.unwrap();
            let bytes = frame.into_data().unwrap();
            self.text.push_str(std::str::from_utf8(&bytes).unwrap());
        }
    }
}

fn parse(text: &str) -> Event {
    let mut event = Event::default();
    for line in text.lines() {
        let (field, value) = line.split_once(": ").unwrap();
        match field {
            "event" => event.name = value.to_owned(),
            "id" => event.id = value.to_owned(),
            "data" => event.data = serde_json::from_str(value).unwrap(),
            other => panic!("{other}"),
        }
    }
    event
}
