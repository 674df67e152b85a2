//! A provider resolved against the environment: the address, the headers, and what to keep secret.

use std::fmt;
use std::time::Duration;

use recto_protocol::profile::Provider;
use reqwest::Url;
use reqwest::header::{self, HeaderMap, HeaderName, HeaderValue};

/// Seconds without a byte after which a stream counts as cut, unless the provider says otherwise.
const IDLE_SECS: u64 = 300;

/// Why a provider cannot be used as it is configured.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// The base URL is none, or not one of HTTP.
    #[error("provider {provider}: base_url {url:?} is not an http or https URL")]
    BaseUrl {
        /// The provider's name.
        provider: String,
        /// What was configured, without user name and password.
        url: String,
    },
    /// The base URL is a template that nobody filled in.
    #[error("provider {provider}: replace {placeholder} in its base_url by your own")]
    Placeholder {
        /// The provider's name.
        provider: String,
        /// The part to replace.
        placeholder: &'static str,
    },
    /// The key's environment variable is not set, or empty.
    #[error("provider {provider}: the environment variable {variable} is not set")]
    MissingKey {
        /// The provider's name.
        provider: String,
        /// The variable that should hold the key.
        variable: String,
    },
    /// A header's name or value cannot be sent.
    #[error("provider {provider}: header {name:?} has a name or value that HTTP does not allow")]
    Header {
        /// The provider's name.
        provider: String,
        /// The header; its value may be secret.
        name: String,
    },
}

/// Where requests go, with everything resolved.
pub(super) struct Endpoint {
    pub(super) url: Url,
    pub(super) headers: HeaderMap,
    pub(super) idle: Duration,
    pub(super) origin: Origin,
}

/// What error messages say about where they come from, and what they must not say.
#[derive(Clone)]
pub(crate) struct Origin {
    /// The provider's name.
    pub(crate) provider: String,
    /// The address without user, password and query.
    pub(crate) url: String,
    /// The environment variable that the key came from.
    pub(crate) key_variable: Option<String>,
    /// Texts that never appear in a message.
    pub(crate) secrets: Vec<String>,
}

impl Endpoint {
    pub(super) fn resolve(
        provider: &Provider,
        env: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Self, SetupError> {
        let name = if provider.name.is_empty() {
            "the provider"
        } else {
            &provider.name
        };
        let url = address(provider, name)?;
        let key = key(provider, name, env)?;
        let mut secrets: Vec<String> = key.iter().cloned().collect();
        secrets.extend(url.password().map(str::to_owned));
        let headers = headers(provider, name, key.as_deref(), env, &mut secrets)?;
        // Masking a short text would mask half of every message.
        secrets.retain(|secret| secret.len() >= 4);
        let origin = Origin {
            provider: name.to_owned(),
            url: shown(&url),
            key_variable: provider.env_key.clone(),
            secrets,
        };
        let idle = Duration::from_secs(provider.stream_idle_timeout_secs.unwrap_or(IDLE_SECS));
        Ok(Self {
            url,
            headers,
            idle,
            origin,
        })
    }

    /// Whether requests stay on this machine.
    pub(super) fn is_loopback(&self) -> bool {
        let host = self.url.host_str().unwrap_or_default();
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        let named = bare == "localhost" || bare.ends_with(".localhost");
        named
            || bare
                .parse::<std::net::IpAddr>()
                .is_ok_and(|ip| ip.is_loopback())
    }
}

impl Origin {
    /// `text` without any secret.
    pub(crate) fn scrub(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for secret in &self.secrets {
            if text.contains(secret.as_str()) {
                text = text.replace(secret.as_str(), "***");
            }
        }
        text
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.origin.fmt(f)
    }
}

impl fmt::Debug for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Origin")
            .field("provider", &self.provider)
            .field("url", &self.url)
            .field("key_variable", &self.key_variable)
            .finish_non_exhaustive()
    }
}

fn address(provider: &Provider, name: &str) -> Result<Url, SetupError> {
    const PLACEHOLDER: &str = "YOUR-RESOURCE";
    if provider.base_url.contains(PLACEHOLDER) {
        return Err(SetupError::Placeholder {
            provider: name.to_owned(),
            placeholder: PLACEHOLDER,
        });
    }
    let refuse = || SetupError::BaseUrl {
        provider: name.to_owned(),
        url: without_user(&provider.base_url),
    };
    let mut url = Url::parse(provider.base_url.trim()).map_err(|_| refuse())?;
    if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
        return Err(refuse());
    }
    url.path_segments_mut()
        .map_err(|()| refuse())?
        .pop_if_empty()
        .push("responses");
    if !provider.query_params.is_empty() {
        url.query_pairs_mut().extend_pairs(&provider.query_params);
    }
    Ok(url)
}

fn key(
    provider: &Provider,
    name: &str,
    env: &dyn Fn(&str) -> Option<String>,
) -> Result<Option<String>, SetupError> {
    let Some(variable) = &provider.env_key else {
        return Ok(None);
    };
    match env(variable)
        .map(|key| key.trim().to_owned())
        .filter(|key| !key.is_empty())
    {
        Some(key) => Ok(Some(key)),
        None => Err(SetupError::MissingKey {
            provider: name.to_owned(),
            variable: variable.clone(),
        }),
    }
}

fn headers(
    provider: &Provider,
    provider_name: &str,
    key: Option<&str>,
    env: &dyn Fn(&str) -> Option<String>,
    secrets: &mut Vec<String>,
) -> Result<HeaderMap, SetupError> {
    let mut headers = HeaderMap::new();
    let mut add = |name: &str, value: &str, sensitive: bool| {
        let refuse = || SetupError::Header {
            provider: provider_name.to_owned(),
            name: name.to_owned(),
        };
        let header = HeaderName::try_from(name).map_err(|_| refuse())?;
        let mut value = HeaderValue::try_from(value).map_err(|_| refuse())?;
        value.set_sensitive(sensitive);
        headers.insert(header, value);
        Ok(())
    };
    add(header::CONTENT_TYPE.as_str(), "application/json", false)?;
    add(header::ACCEPT.as_str(), "text/event-stream", false)?;
    add(
        header::USER_AGENT.as_str(),
        concat!("recto/", env!("CARGO_PKG_VERSION")),
        false,
    )?;
    for (name, value) in &provider.http_headers {
        // Configured values may hold a key just as well.
        add(name, value, true)?;
    }
    for (name, variable) in &provider.env_http_headers {
        // An unset variable leaves its header out: such headers are optional by their nature.
        if let Some(value) = env(variable).filter(|value| !value.is_empty()) {
            add(name, &value, true)?;
            secrets.push(value);
        }
    }
    match (key, &provider.key_header) {
        (Some(key), Some(header)) => add(header, key, true)?,
        (Some(key), None) => add(
            header::AUTHORIZATION.as_str(),
            &format!("Bearer {key}"),
            true,
        )?,
        (None, _) => {}
    }
    Ok(headers)
}

fn shown(url: &Url) -> String {
    let mut url = url.clone();
    url.set_query(None);
    url.set_fragment(None);
    // Both fail only for URLs without a host, which were refused before.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url.into()
}

fn without_user(url: &str) -> String {
    match (url.find("://"), url.rfind('@')) {
        (Some(scheme), Some(at)) if scheme + 3 <= at => {
            format!("{}{}", &url[..scheme + 3], &url[at + 1..])
        }
        _ => url.to_owned(),
    }
}

#[cfg(test)]
#[path = "endpoint_tests.rs"]
mod tests;
