//! The requests that a server got.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Write as _};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use serde::Serialize;
use serde_json::value::RawValue;

/// A request as it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recorded {
    /// Path and query.
    pub target: String,
    /// The headers, names in lower case.
    pub headers: BTreeMap<String, String>,
    /// The body.
    pub body: String,
}

impl Recorded {
    pub(super) fn new(head: &hyper::http::request::Parts, body: &[u8]) -> Self {
        let value = |value: &hyper::header::HeaderValue| {
            String::from_utf8_lossy(value.as_bytes()).into_owned()
        };
        Self {
            target: head.uri.to_string(),
            headers: head
                .headers
                .iter()
                .map(|(n, v)| (n.to_string(), value(v)))
                .collect(),
            body: String::from_utf8_lossy(body).into_owned(),
        }
    }
}

/// Keeps requests in memory, in a file, in both or in neither.
pub(super) struct Log {
    kept: Option<Mutex<Vec<Recorded>>>,
    file: Option<Mutex<File>>,
}

impl Log {
    pub(super) fn open(path: Option<&Path>, keep: bool) -> io::Result<Self> {
        let file = match path {
            Some(path) => Some(Mutex::new(
                File::options().create(true).append(true).open(path)?,
            )),
            None => None,
        };
        Ok(Self {
            kept: keep.then(Mutex::default),
            file,
        })
    }

    pub(super) fn add(&self, request: Recorded) -> io::Result<()> {
        if let Some(file) = &self.file {
            let line = line(&request)?;
            file.lock()
                .unwrap_or_else(PoisonError::into_inner)
                .write_all(line.as_bytes())?;
        }
        if let Some(kept) = &self.kept {
            kept.lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push(request);
        }
        Ok(())
    }

    pub(super) fn all(&self) -> Vec<Recorded> {
        let kept = self.kept.as_ref();
        kept.map(|kept| kept.lock().unwrap_or_else(PoisonError::into_inner).clone())
            .unwrap_or_default()
    }
}

fn line(request: &Recorded) -> io::Result<String> {
    #[derive(Serialize)]
    struct Line<'a> {
        target: &'a str,
        headers: BTreeMap<&'a str, &'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        body: Option<&'a RawValue>,
        /// The body, when it is no JSON.
        #[serde(skip_serializing_if = "Option::is_none")]
        text: Option<&'a str>,
    }
    let headers = request
        .headers
        .iter()
        .map(|(name, value)| masked(name, value))
        .collect();
    let body = serde_json::from_str(&request.body).ok();
    let text = body.is_none().then_some(request.body.as_str());
    let line = Line {
        target: &request.target,
        headers,
        body,
        text,
    };
    // Line breaks stand only between the tokens of a JSON text.
    Ok(serde_json::to_string(&line)?.replace(['\n', '\r'], " ") + "\n")
}

fn masked<'a>(name: &'a str, value: &'a str) -> (&'a str, &'a str) {
    match name {
        "authorization" | "api-key" | "x-api-key" | "cookie" => (name, "***"),
        _ => (name, value),
    }
}
