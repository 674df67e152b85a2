//! The client of the API: finds the server, and speaks to it.

mod error;
mod events;
mod find;
mod waiting;

use std::sync::Arc;
use std::time::Duration;

use recto_protocol::TaskId;
use recto_protocol::task::{Attempt, Task};
use reqwest::{Method, Response, Url};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::sync::Mutex;

pub use error::ClientError;
pub use events::Live;
pub use find::Connection;

use super::embedded::{self, Embedded};
use super::home::Home;
use crate::args::Role;
use crate::exit::Failure;
use waiting::Waiting;

/// How long a connection may take to be made.
const CONNECT: Duration = Duration::from_secs(10);
/// How long an answer may take. Adding a repository asks its remote.
const ANSWER: Duration = Duration::from_secs(180);
/// How long a stream may be silent; the server gives a sign of life four times as often.
const SILENCE: Duration = Duration::from_secs(60);

/// Where a server is, and the token for it.
#[derive(Clone)]
struct Address {
    url: Url,
    token: String,
    /// Whether the server ends with another command.
    is_passing: bool,
}

/// Speaks to one server. Copies share connections.
#[derive(Clone)]
pub struct Client {
    http: reqwest::Client,
    address: Address,
    /// Where the address was read, if it may change there.
    announced: Option<Home>,
    /// The server, if it is this process.
    embedded: Arc<Mutex<Option<Embedded>>>,
}

impl Client {
    fn new(address: Address, announced: Option<Home>) -> Result<Self, Failure> {
        recto_model::tls::install();
        let mut builder = reqwest::Client::builder()
            .connect_timeout(CONNECT)
            .read_timeout(SILENCE.max(ANSWER))
            // The token is for this server and no other.
            .redirect(reqwest::redirect::Policy::none())
            .user_agent(concat!("recto/", env!("CARGO_PKG_VERSION")));
        if is_loopback(&address.url) {
            builder = builder.no_proxy();
        }
        let http = builder.build().map_err(Failure::unavailable)?;
        Ok(Self {
            http,
            address,
            announced,
            embedded: Arc::default(),
        })
    }

    /// Whether the server is on this machine, so that paths mean the same to it.
    pub fn is_local(&self) -> bool {
        is_loopback(&self.address.url)
    }

    /// Looks anew where the server is, which another process may have become. In the place of one
    /// that ended with its command, this process becomes it.
    async fn look_again(&mut self) {
        let Some(home) = self.announced.clone() else {
            return;
        };
        if let Ok(Some(running)) = find::running(&home).await {
            self.address = running.address;
            return;
        }
        let mut slot = self.embedded.lock().await;
        if !self.address.is_passing || slot.is_some() {
            return;
        }
        // Another command may be faster; it is found next time.
        if let Ok(embedded) = embedded::start(&home, Role::All).await
            && let Ok(url) = Url::parse(&embedded.url)
        {
            self.address.url = url;
            self.address.token.clone_from(&embedded.token);
            *slot = Some(embedded);
        }
    }

    /// Asks for something.
    ///
    /// # Errors
    /// When the server can't be reached, or refuses.
    pub async fn get<T: DeserializeOwned>(
        &self,
        path: &[&str],
        query: &[(&str, String)],
    ) -> Result<T, ClientError> {
        read(self.call::<()>(Method::GET, path, query, None).await?).await
    }

    /// Makes or does something.
    ///
    /// # Errors
    /// As [`Client::get`].
    pub async fn post<T: DeserializeOwned>(
        &self,
        path: &[&str],
        body: Option<&impl Serialize>,
    ) -> Result<T, ClientError> {
        read(self.call(Method::POST, path, &[], body).await?).await
    }

    /// Changes something.
    ///
    /// # Errors
    /// As [`Client::get`].
    pub async fn patch<T: DeserializeOwned>(
        &self,
        path: &[&str],
        body: &impl Serialize,
    ) -> Result<T, ClientError> {
        read(self.call(Method::PATCH, path, &[], Some(body)).await?).await
    }

    /// Removes something.
    ///
    /// # Errors
    /// As [`Client::get`].
    pub async fn delete(&self, path: &[&str]) -> Result<(), ClientError> {
        let gone = self.call::<()>(Method::DELETE, path, &[], None).await;
        gone.map(drop)
    }

    /// Asks for bytes; the second value tells whether they were cut.
    ///
    /// # Errors
    /// As [`Client::get`].
    pub async fn bytes(
        &self,
        path: &[&str],
        query: &[(&str, String)],
    ) -> Result<(Vec<u8>, bool), ClientError> {
        let response = self.call::<()>(Method::GET, path, query, None).await?;
        let is_cut = response.headers().contains_key("recto-cut");
        let bytes = response.bytes().await.map_err(ClientError::unreachable)?;
        Ok((bytes.to_vec(), is_cut))
    }

    /// The task with an id that begins so.
    ///
    /// # Errors
    /// As [`Client::get`].
    pub async fn task(&self, name: &str) -> Result<Task, ClientError> {
        self.get(&["tasks", name], &[]).await
    }

    /// A task, and those of its attempts that a name means: `task` all, `task.number` one.
    ///
    /// # Errors
    /// As [`Client::get`], and when there is no such attempt.
    pub async fn attempts(&self, name: &str) -> Result<(Task, Vec<Attempt>), ClientError> {
        let (prefix, number) = match name.split_once('.') {
            Some((prefix, number)) => (prefix, Some(number)),
            None => (name, None),
        };
        let task = self.task(prefix).await?;
        let mut attempts = task.attempts.clone();
        if let Some(number) = number {
            let wanted = format!("{}.{number}", task.id);
            attempts.retain(|one| one.id.as_str() == wanted);
            if attempts.is_empty() {
                return Err(ClientError::Refused {
                    status: 404,
                    detail: format!("there is no attempt {name}"),
                });
            }
        }
        Ok((task, attempts))
    }

    /// A task as it is now; waits for a server that is away for a while, or begins anew.
    ///
    /// # Errors
    /// When there is no such task, or the server was away for too long.
    pub async fn task_now(&mut self, id: &TaskId) -> Result<Task, ClientError> {
        let mut waiting = Waiting::default();
        loop {
            match self.task(id.as_str()).await {
                Err(error) if error.is_passing() => waiting.go_on(self, error).await?,
                other => return other,
            }
        }
    }

    /// Follows an attempt live, from a record on.
    async fn events(&self, attempt: &str, from: u64) -> Result<Response, ClientError> {
        let path = ["attempts", attempt, "events"];
        let query = [("from", from.to_string())];
        self.call::<()>(Method::GET, &path, &query, None).await
    }

    async fn call<B: Serialize>(
        &self,
        method: Method,
        path: &[&str],
        query: &[(&str, String)],
        body: Option<&B>,
    ) -> Result<Response, ClientError> {
        let mut url = self.address.url.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(["api", "v1"]).extend(path);
        }
        if !query.is_empty() {
            let mut pairs = url.query_pairs_mut();
            for (name, value) in query {
                pairs.append_pair(name, value);
            }
        }
        let is_stream = path.last() == Some(&"events");
        let mut request = self
            .http
            .request(method, url)
            .bearer_auth(&self.address.token);
        if !is_stream {
            request = request.timeout(ANSWER);
        }
        if let Some(body) = body {
            let json = serde_json::to_vec(body).map_err(ClientError::Garbled)?;
            request = request
                .header("content-type", "application/json")
                .body(json);
        }
        let response = request.send().await.map_err(ClientError::unreachable)?;
        if response.status().is_success() {
            return Ok(response);
        }
        let status = response.status().as_u16();
        let body = response.bytes().await.unwrap_or_default();
        let problem: Value = serde_json::from_slice(&body).unwrap_or_default();
        let detail = match problem["detail"].as_str() {
            Some(detail) => detail.to_owned(),
            None => format!("the server answered with status {status}"),
        };
        Err(ClientError::Refused { status, detail })
    }
}

async fn read<T: DeserializeOwned>(response: Response) -> Result<T, ClientError> {
    let bytes = response.bytes().await.map_err(ClientError::unreachable)?;
    serde_json::from_slice(&bytes).map_err(ClientError::Garbled)
}

fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let address: Result<std::net::IpAddr, _> = bare.parse();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}
