//! Tests of how a provider becomes an endpoint.

use std::collections::BTreeMap;

use super::*;

fn no_env(_: &str) -> Option<String> {
    None
}

fn at(base_url: &str) -> Provider {
    Provider {
        name: "test".into(),
        base_url: base_url.into(),
        ..Provider::default()
    }
}

fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs
        .iter()
        .map(|(a, b)| ((*a).to_owned(), (*b).to_owned()))
        .collect()
}

#[test]
fn responses_is_added_to_the_path_once() {
    let url = |base| {
        Endpoint::resolve(&at(base), &no_env)
            .unwrap()
            .url
            .to_string()
    };
    assert_eq!(
        url("https://api.openai.com/v1"),
        "https://api.openai.com/v1/responses"
    );
    assert_eq!(
        url("http://localhost:1234/v1/"),
        "http://localhost:1234/v1/responses"
    );
    assert_eq!(url("http://[::1]:9"), "http://[::1]:9/responses");
}

#[test]
fn azure_gets_its_query_and_its_header() {
    let mut azure = at("https://r.openai.azure.com/openai/v1");
    azure.env_key = Some("AZURE_OPENAI_API_KEY".into());
    azure.key_header = Some("api-key".into());
    azure.query_params = map(&[("api-version", "preview")]);
    let endpoint = Endpoint::resolve(&azure, &|_| Some("az-key".into())).unwrap();
    assert_eq!(
        endpoint.url.as_str(),
        "https://r.openai.azure.com/openai/v1/responses?api-version=preview"
    );
    assert_eq!(endpoint.headers["api-key"], "az-key");
    assert!(endpoint.headers["api-key"].is_sensitive());
    assert!(!endpoint.headers.contains_key("authorization"));
    assert_eq!(
        endpoint.origin.url,
        "https://r.openai.azure.com/openai/v1/responses"
    );
}

#[test]
fn only_what_the_provider_needs_is_sent() {
    let mut provider = at("https://example.org");
    provider.env_key = Some("KEY".into());
    provider.http_headers = map(&[("x-title", "recto")]);
    provider.env_http_headers = map(&[("x-org", "ORG"), ("x-unset", "UNSET")]);
    let env = |name: &str| match name {
        "KEY" => Some("sk-secret\n".to_owned()),
        "ORG" => Some("org-1".to_owned()),
        _ => None,
    };
    let endpoint = Endpoint::resolve(&provider, &env).unwrap();
    let mut sent: Vec<String> = endpoint
        .headers
        .iter()
        .map(|(name, value)| format!("{name}: {}", value.to_str().unwrap()))
        .collect();
    sent.sort();
    insta::assert_snapshot!(sent.join("\n"), @r"
    accept: text/event-stream
    authorization: Bearer sk-secret
    content-type: application/json
    user-agent: recto/0.1.0
    x-org: org-1
    x-title: recto
    ");
    assert!(!format!("{endpoint:?} {:?}", endpoint.headers).contains("sk-secret"));
}

#[test]
fn what_cannot_work_is_refused_with_its_name() {
    let error = |provider: &Provider| {
        Endpoint::resolve(provider, &no_env)
            .unwrap_err()
            .to_string()
    };
    let mut keyed = at("https://example.org");
    keyed.env_key = Some("MY_KEY".into());
    let mut odd = at("https://example.org");
    odd.http_headers = map(&[("bad name", "x")]);
    let template = at("https://YOUR-RESOURCE.openai.azure.com");
    let all = [
        error(&keyed),
        error(&odd),
        error(&template),
        error(&at("ftp://user:secret@host/x")),
        error(&at("")),
    ];
    insta::assert_snapshot!(all.join("\n"), @r#"
    provider test: the environment variable MY_KEY is not set
    provider test: header "bad name" has a name or value that HTTP does not allow
    provider test: replace YOUR-RESOURCE in its base_url by your own
    provider test: base_url "ftp://host/x" is not an http or https URL
    provider test: base_url "" is not an http or https URL
    "#);
}

#[test]
fn loopback_is_known_in_all_its_spellings() {
    let loopback = |base| Endpoint::resolve(&at(base), &no_env).unwrap().is_loopback();
    for base in [
        "http://localhost:1",
        "http://127.0.0.9",
        "http://[::1]/v1",
        "http://a.localhost",
    ] {
        assert!(loopback(base), "{base}");
    }
    for base in [
        "http://10.0.0.1",
        "https://localhost.example.org",
        "http://[2001:db8::1]",
    ] {
        assert!(!loopback(base), "{base}");
    }
}
