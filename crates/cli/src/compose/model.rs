//! The model of a session.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, anyhow};
use recto_model::script::{Recorder, Scripted};
use recto_protocol::ports::model::Model;
use recto_protocol::profile::Provider;

use super::home::{Home, open_regular, variable};
use crate::exit::Failure;

/// Before a script's path, where a model is named.
pub const SCRIPT: &str = "script:";

/// Opens the model: a provider's, or a script.
///
/// # Errors
/// When the key is missing, the provider is not configured as it needs to be, or the script can't
/// be read.
pub fn open(
    home: &Home,
    provider_key: &str,
    provider: &Provider,
    model: &str,
    record: Option<&Path>,
) -> Result<Arc<dyn Model>, Failure> {
    let opened: Arc<dyn Model> = match model.strip_prefix(SCRIPT) {
        Some(path) => Arc::new(
            Scripted::open(Path::new(path))
                .with_context(|| format!("cannot use the script {path}"))
                .map_err(Failure::usage)?,
        ),
        None => Arc::new(client(home, provider_key, provider)?),
    };
    match record {
        Some(path) => Ok(Arc::new(
            Recorder::create(opened, path)
                .with_context(|| format!("cannot record to {}", path.display()))
                .map_err(Failure::usage)?,
        )),
        None => Ok(opened),
    }
}

fn client(
    home: &Home,
    key: &str,
    provider: &Provider,
) -> Result<recto_model::responses::Client, Failure> {
    let lookup = |name: &str| key_value(home, name);
    let client = recto_model::responses::Client::new(provider, &lookup).map_err(|error| {
        let failure = Failure::usage(anyhow!(error).context(format!("cannot use provider {key}")));
        match &provider.env_key {
            Some(variable) => failure.hint(format!(
                "set {variable}, or put `{variable} = \"…\"` into {} (mode 0600); without a key, \
                 `recto demo` and `--model script:FILE` work",
                home.file("keys.toml").display()
            )),
            None => failure,
        }
    })?;
    if provider.base_url.starts_with("https:") {
        // Loading the system's certificates takes milliseconds that nobody has to wait for.
        let ahead = client.clone();
        std::thread::spawn(move || ahead.prepare());
    }
    Ok(client)
}

/// Whether a provider's key is there, or none is needed.
pub fn has_key(home: &Home, provider: &Provider) -> bool {
    provider
        .env_key
        .as_deref()
        .is_none_or(|name| key_value(home, name).is_some())
}

/// What SDKs of the reference command line pass the user's key in, for this program alone.
const SDK_KEY: &str = "CODEX_API_KEY";

/// The value of a key variable: what an SDK passed, else the environment's, else the key file's.
fn key_value(home: &Home, name: &str) -> Option<String> {
    let passed = if name == "OPENAI_API_KEY" {
        variable(SDK_KEY)
    } else {
        None
    };
    passed
        .or_else(|| variable(name))
        .or_else(|| stored_key(home, name))
}

/// A key from `keys.toml`, which must be readable by its owner alone.
fn stored_key(home: &Home, name: &str) -> Option<String> {
    use std::os::unix::fs::MetadataExt as _;
    let file = open_regular(&home.file("keys.toml")).ok()?;
    if file.metadata().ok()?.mode() & 0o077 != 0 {
        return None;
    }
    let table: toml::Table = std::io::read_to_string(file).ok()?.parse().ok()?;
    table.get(name)?.as_str().map(str::to_owned)
}

/// Why `keys.toml` is not followed, if it is there and is not. Never quotes what it holds.
pub fn key_file_problem(home: &Home) -> Option<String> {
    use std::os::unix::fs::MetadataExt as _;
    let path = home.file("keys.toml");
    let is_missing = |error: &std::io::Error| {
        use std::io::ErrorKind::{NotADirectory, NotFound};
        matches!(error.kind(), NotFound | NotADirectory)
    };
    let ignored = |why: String| Some(format!("keys.toml is ignored: {why}"));
    let file = match open_regular(&path) {
        Ok(file) => file,
        Err(error) if is_missing(&error) => return None,
        Err(error) => return ignored(format!("{}: {error}", path.display())),
    };
    let mode = file.metadata().ok()?.mode() & 0o7777;
    if mode & 0o077 != 0 {
        let path = path.display();
        return ignored(format!("its mode is {mode:04o}; chmod 600 {path}"));
    }
    let text = match std::io::read_to_string(file) {
        Ok(text) => text,
        Err(error) => return ignored(format!("{}: {error}", path.display())),
    };
    let error = text.parse::<toml::Table>().err()?;
    let start = error.span().map_or(0, |span| span.start);
    let line = text
        .get(..start)
        .map_or(1, |text| text.lines().count().max(1));
    ignored(format!("line {line} of {} is not TOML", path.display()))
}
