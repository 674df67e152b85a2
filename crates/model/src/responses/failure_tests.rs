//! Tests of how failures are told.

use std::fmt::Write as _;

use super::*;
use reqwest::header::{HeaderName, HeaderValue};

fn error(status: u16, headers: &[(&'static str, &'static str)], body: &str) -> ModelError {
    let origin = Origin {
        provider: "OpenAI".into(),
        url: "https://api.openai.com/v1/responses".into(),
        key_variable: Some("OPENAI_API_KEY".into()),
        secrets: vec!["sk-secret".into()],
    };
    let headers = headers
        .iter()
        .map(|(n, v)| (HeaderName::from_static(n), HeaderValue::from_static(v)))
        .collect();
    let status = StatusCode::from_u16(status).unwrap();
    let now = Timestamp::UNIX_EPOCH;
    from_http(&origin, "gpt-9", (status, &headers), body.as_bytes(), now)
}

fn table(cases: &[(u16, &str)]) -> String {
    let mut table = String::new();
    for (status, body) in cases {
        let error = error(*status, &[], body);
        let code = error.code.as_deref().unwrap_or("-");
        let wait = error
            .retry_after
            .map(|w| format!(" after {w:?}"))
            .unwrap_or_default();
        let message = error.message.replace('\n', " / ");
        let _ = writeln!(table, "{:?}{wait} [{code}] {message}", error.kind);
    }
    table
}

#[test]
fn each_status_has_its_kind_and_its_words() {
    let told = |code: &str, message: &str| {
        serde_json::json!({"error": {"code": code, "message": message}}).to_string()
    };
    let rows = table(&[
        (400, &told("invalid_value", "Bad value.")),
        (400, &told("context_length_exceeded", "Too long.")),
        (
            400,
            &told("", "This model's maximum context length is 8192 tokens."),
        ),
        (
            401,
            &told("invalid_api_key", "Incorrect API key provided: sk-secret."),
        ),
        (402, "Payment required"),
        (403, &told("", "Country not supported.")),
        (
            404,
            &told("model_not_found", "The model `gpt-9` does not exist."),
        ),
        (408, ""),
        (409, ""),
        (413, "<html><h1>413 Request Entity Too Large</h1></html>"),
        (418, ""),
        (
            429,
            &told("rate_limit_exceeded", "Please try again in 1.2s."),
        ),
        (
            429,
            &told("insufficient_quota", "You exceeded your current quota."),
        ),
        (
            429,
            r#"{"error":{"type":"usage_limit_reached","message":"Limit."}}"#,
        ),
        (500, r#"{"error":"model runner crashed"}"#),
        (503, &told("server_is_overloaded", "Busy.")),
        (
            529,
            r#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}"#,
        ),
        (400, &told("script_mismatch", "reply r1 expects \"x\"")),
    ]);
    insta::assert_snapshot!(rows, @r#"
    Refused [invalid_value] OpenAI answered 400 Bad Request: Bad value.
    ContextLength [context_length_exceeded] OpenAI answered 400 Bad Request: Too long.
    ContextLength [-] OpenAI answered 400 Bad Request: This model's maximum context length is 8192 tokens.
    Auth [invalid_api_key] OpenAI answered 401 Unauthorized: Incorrect API key provided: ***. / the key was taken from OPENAI_API_KEY
    Refused [-] OpenAI answered 402 Payment Required: Payment required
    Auth [-] OpenAI answered 403 Forbidden: Country not supported. / the key was taken from OPENAI_API_KEY
    NotFound [model_not_found] OpenAI answered 404 Not Found: The model `gpt-9` does not exist. / asked for model "gpt-9" at https://api.openai.com/v1/responses
    Server [-] OpenAI answered 408 Request Timeout
    Server [-] OpenAI answered 409 Conflict
    ContextLength [-] OpenAI answered 413 Payload Too Large: <html><h1>413 Request Entity Too Large</h1></html>
    Refused [-] OpenAI answered 418 I'm a teapot
    RateLimit after 1.2s [rate_limit_exceeded] OpenAI answered 429 Too Many Requests: Please try again in 1.2s.
    Refused [insufficient_quota] OpenAI answered 429 Too Many Requests: You exceeded your current quota. / trying again does not help: check the plan and its billing
    Refused [usage_limit_reached] OpenAI answered 429 Too Many Requests: Limit. / trying again does not help: check the plan and its billing
    Server [-] OpenAI answered 500 Internal Server Error: model runner crashed
    Server [server_is_overloaded] OpenAI answered 503 Service Unavailable: Busy.
    Server [overloaded_error] OpenAI answered 529: Overloaded
    Script [script_mismatch] OpenAI answered 400 Bad Request: reply r1 expects "x"
    "#);
}

#[test]
fn other_servers_bodies_are_understood() {
    let rows = table(&[
        (422, r#"{"detail":"field required"}"#),
        (422, r#"{"detail":[{"loc":["body","input"],"msg":"bad"}]}"#),
        (
            400,
            r#"{"object":"error","message":"no such tool type","type":"BadRequestError","code":400}"#,
        ),
        (500, r#"[{"error":{"code":500,"message":"internal"}}]"#),
        (
            400,
            r#"{"error":{"type":"exceed_context_size_error","message":"n_ctx 4096"}}"#,
        ),
    ]);
    insta::assert_snapshot!(rows, @r#"
    Refused [-] OpenAI answered 422 Unprocessable Entity: field required
    Refused [-] OpenAI answered 422 Unprocessable Entity: [{"loc":["body","input"],"msg":"bad"}]
    Refused [400] OpenAI answered 400 Bad Request: no such tool type
    Server [500] OpenAI answered 500 Internal Server Error: internal
    ContextLength [exceed_context_size_error] OpenAI answered 400 Bad Request: n_ctx 4096
    "#);
}

#[test]
fn redirects_say_where_to() {
    let error = error(307, &[("location", "https://evil.example/v1")], "");
    insta::assert_snapshot!(error.message, @r"
    OpenAI answered 307 Temporary Redirect
    redirects are not followed; it points to https://evil.example/v1
    ");
    assert_eq!(error.kind, ErrorKind::Refused);
}

#[test]
fn waits_count_only_where_a_retry_makes_sense() {
    let wait = |status| error(status, &[("retry-after", "3")], "").retry_after;
    assert_eq!(wait(429), Some(std::time::Duration::from_secs(3)));
    assert_eq!(wait(503), Some(std::time::Duration::from_secs(3)));
    assert_eq!(wait(400), None);
    assert_eq!(wait(401), None);
}

#[test]
fn events_have_kinds_by_their_code() {
    let kind = |code: &str| {
        from_event(&Told {
            code: Some(code.into()),
            message: Some("m".into()),
            class: None,
        })
        .kind
    };
    let cases = [
        ("context_length_exceeded", ErrorKind::ContextLength),
        ("rate_limit_exceeded", ErrorKind::RateLimit),
        ("insufficient_quota", ErrorKind::Refused),
        ("invalid_prompt", ErrorKind::Refused),
        ("server_is_overloaded", ErrorKind::Server),
        ("server_error", ErrorKind::Server),
        ("something_new", ErrorKind::Server),
        ("script_mismatch", ErrorKind::Script),
    ];
    for (code, expected) in cases {
        assert_eq!(kind(code), expected, "{code}");
    }
    let told = Told {
        code: Some("rate_limit_exceeded".into()),
        message: Some("Please try again in 1.2s.".into()),
        class: None,
    };
    assert_eq!(
        from_event(&told).retry_after,
        Some(std::time::Duration::from_millis(1200))
    );
}
