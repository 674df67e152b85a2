//! A scripted model behind a loopback server, as a process of its own.

use std::path::PathBuf;

use serde_json::Value;
use serde_json::value::RawValue;
use tempfile::TempDir;

use crate::{Home, Live, Script};

/// `recto script serve`, stopped when dropped.
pub struct Server {
    _live: Live,
    dir: TempDir,
    url: String,
}

/// A request as the server got it.
#[derive(Clone, Debug)]
pub struct Request {
    /// The body's bytes.
    pub body: String,
    /// The body's `input`, its items' bytes.
    pub input: String,
}

impl Server {
    /// Serves a script on a free port.
    pub fn start(home: &Home, script: &Script) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let requests = dir.path().join("requests.jsonl");
        let command = home.command(
            dir.path(),
            &[
                "script".as_ref(),
                "serve".as_ref(),
                script.path().as_os_str(),
                "--requests".as_ref(),
                requests.as_os_str(),
            ],
        );
        let mut live = Live::start(command);
        let url = live.line().expect("the server says where it listens");
        Self {
            _live: live,
            dir,
            url,
        }
    }

    /// What `base_url` of a provider is set to.
    pub fn base_url(&self) -> String {
        format!("{}/v1", self.url)
    }

    /// Configuration with a provider `scripted` that is this server, for a model that is known.
    pub fn configuration(&self) -> String {
        format!(
            "provider = \"scripted\"\nmodel = \"gpt-5.1-codex\"\n\
             [providers.scripted]\nbase_url = \"{}\"\n",
            self.base_url()
        )
    }

    /// All requests so far, in their order.
    pub fn requests(&self) -> Vec<Request> {
        let text = std::fs::read_to_string(self.file()).unwrap();
        text.lines().map(request).collect()
    }

    fn file(&self) -> PathBuf {
        self.dir.path().join("requests.jsonl")
    }
}

fn request(line: &str) -> Request {
    type Fields = std::collections::BTreeMap<String, Box<RawValue>>;
    let line: Fields = serde_json::from_str(line).unwrap();
    let body = line["body"].get().to_owned();
    let fields: Fields = serde_json::from_str(&body).unwrap();
    let input = fields["input"].get().to_owned();
    Request { body, input }
}

impl Request {
    /// The bytes of a field.
    pub fn raw(&self, field: &str) -> String {
        let fields: std::collections::BTreeMap<String, Box<RawValue>> =
            serde_json::from_str(&self.body).unwrap();
        fields
            .get(field)
            .map(|raw| raw.get().to_owned())
            .unwrap_or_default()
    }

    /// The items of `input`.
    pub fn items(&self) -> Vec<Value> {
        serde_json::from_str(&self.input).unwrap()
    }
}
