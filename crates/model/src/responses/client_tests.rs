//! Tests of the client against real sockets.

use super::*;
use crate::testing::{STREAM, Step, answering, ask, client, fail, provider, raw};

const DONE: &str = "data: {\"type\":\"response.completed\",\"response\":{\"id\":\"r1\"}}\n\n";

fn keyed(base_url: &str) -> Client {
    let mut provider = provider(base_url);
    provider.env_key = Some("TEST_KEY".into());
    provider
        .query_params
        .insert("api-version".into(), "q-secret".into());
    Client::new(&provider, &|_| Some("sk-very-secret".into())).unwrap()
}

#[tokio::test]
async fn a_request_carries_what_is_needed_and_nothing_else() {
    let (base_url, server) = answering(STREAM, DONE.as_bytes()).await;
    let (events, error) = ask(&keyed(&base_url), r#"{"type":"message"}"#).await;
    assert_eq!((events.len(), error), (1, None));
    let request = server
        .await
        .unwrap()
        .replace(&base_url[7..base_url.len() - 3], "HOST");
    insta::assert_snapshot!(request.replace("\r\n", "\n"), @r#"
    POST /v1/responses?api-version=q-secret HTTP/1.1
    content-type: application/json
    accept: text/event-stream
    user-agent: recto/0.1.0
    authorization: Bearer sk-very-secret
    host: HOST
    content-length: 136

    {"model":"test-model","instructions":"be brief","store":false,"stream":true,"prompt_cache_key":"session-1","input":[{"type":"message"}]}
    "#);
}

#[tokio::test]
async fn a_whole_json_response_is_taken_too() {
    let head = "HTTP/1.1 200 OK\ncontent-type: application/json\n";
    let body = r#"{"id":"r1","object":"response","status":"completed",
        "output":[{"type":"message","role":"assistant","content":[]}]}"#;
    let (base_url, _server) = answering(head, body.as_bytes()).await;
    let (events, error) = ask(&client(&base_url), "").await;
    assert_eq!(error, None);
    assert!(matches!(
        &events[..],
        [
            ModelEvent::Started,
            ModelEvent::Item(_),
            ModelEvent::Finished(_)
        ]
    ));
}

#[tokio::test]
async fn an_answer_that_is_no_response_is_shown() {
    let mut messages = String::new();
    for (head, body) in [
        (
            "HTTP/1.1 200 OK\ncontent-type: text/html\n",
            "<html>Sign in to sk-very-secret</html>",
        ),
        (
            "HTTP/1.1 200 OK\ncontent-type: application/json\n",
            r#"{"choices":[]}"#,
        ),
        ("HTTP/1.1 204 No Content\ncontent-type: a/b\n", ""),
    ] {
        let (base_url, _server) = answering(head, body.as_bytes()).await;
        let error = fail(&keyed(&base_url)).await;
        assert_eq!(error.kind, ErrorKind::Refused);
        messages += &format!("{error}\n");
    }
    insta::assert_snapshot!(messages, @r#"
    expected an event stream, but got 200 OK with content type "text/html": <html>Sign in to ***</html>
    check that base_url leads to a Responses API
    expected an event stream, but got 200 OK with content type "application/json": {"choices":[]}
    check that base_url leads to a Responses API
    expected an event stream, but got 204 No Content with content type "a/b": 
    check that base_url leads to a Responses API
    "#);
}

#[tokio::test]
async fn retry_after_is_read_with_the_given_clock() {
    let head = "HTTP/1.1 429 Slow Down\nretry-after: Thu, 01 Jan 1970 00:01:00 GMT\n";
    let (base_url, _server) = answering(head, b"").await;
    let client = client(&base_url).with_limits(Timestamp::from_second(57).unwrap(), 99, 99);
    assert_eq!(
        fail(&client).await.retry_after,
        Some(Duration::from_secs(3))
    );
}

#[tokio::test]
async fn redirects_are_not_followed() {
    let head = "HTTP/1.1 302 Found\nlocation: http://127.0.0.1:1/v1\n";
    let (base_url, _server) = answering(head, b"").await;
    let error = fail(&client(&base_url)).await;
    insta::assert_snapshot!(error.to_string(), @r"
    test answered 302 Found
    redirects are not followed; it points to http://127.0.0.1:1/v1
    ");
}

#[tokio::test]
async fn no_server_is_said_so() {
    // Bound, so that nobody else gets the port, but not listening.
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = socket.local_addr().unwrap();
    let error = fail(&keyed(&format!("http://user:pw-secret@{address}/v1"))).await;
    assert_eq!(error.kind, ErrorKind::Connection);
    let message = error.to_string().replace(&address.to_string(), "HOST");
    insta::assert_snapshot!(message, @r"
    cannot connect to http://HOST/v1/responses: Connection refused (os error 111)
    is the local server running?
    ");
}

#[tokio::test]
async fn a_connection_lost_before_the_answer_is_transient() {
    let (base_url, _server) = raw(vec![]).await;
    let error = fail(&client(&base_url)).await;
    assert_eq!(error.kind, ErrorKind::Connection, "{error}");
    assert!(error.kind.is_transient());
}

#[tokio::test]
async fn silence_ends_a_stream_and_an_unanswered_request() {
    let idle = |base_url: &str| {
        let client = client(base_url);
        let mut inner = Arc::into_inner(client.0).unwrap();
        inner.limits.idle = Duration::from_millis(50);
        Client(Arc::new(inner))
    };
    let head = format!("{}content-length: 999\n\n", STREAM).replace('\n', "\r\n");
    let begun = "data: {\"type\":\"response.created\"}\n\n";
    let (base_url, server) = raw(vec![Step::Send((head + begun).into_bytes()), Step::Hang]).await;
    let (events, error) = ask(&idle(&base_url), "").await;
    assert_eq!(events, [ModelEvent::Started]);
    let error = error.unwrap();
    assert_eq!(
        (error.kind, error.to_string().as_str()),
        (ErrorKind::Stream, "nothing came for 0.05 s")
    );
    server.abort();

    let (base_url, server) = raw(vec![Step::Hang]).await;
    let error = fail(&idle(&base_url)).await;
    assert_eq!(error.kind, ErrorKind::Connection);
    assert!(error.to_string().ends_with("within 0.05 s"), "{error}");
    server.abort();
}

#[tokio::test]
async fn a_broken_connection_keeps_what_came() {
    let head = format!("{}content-length: 999\n\n", STREAM).replace('\n', "\r\n");
    let item = "data: {\"type\":\"response.output_item.done\",\"item\":{\"type\":\"message\"}}\n\n";
    let (base_url, _server) = raw(vec![Step::Send((head + item).into_bytes())]).await;
    let (events, error) = ask(&client(&base_url), "").await;
    assert!(matches!(&events[..], [ModelEvent::Item(_)]));
    let error = error.unwrap();
    assert_eq!(error.kind, ErrorKind::Stream);
    assert!(error.message.starts_with("the stream broke off"), "{error}");
}

#[tokio::test]
async fn an_error_body_is_read_up_to_a_cap() {
    let body = format!("{{\"error\":{{\"message\":\"{}\"}}}}", "x".repeat(1 << 20));
    let (base_url, _server) = answering("HTTP/1.1 500 Oops\n", body.as_bytes()).await;
    let error = fail(&client(&base_url)).await;
    assert_eq!(error.kind, ErrorKind::Server);
    assert!(error.message.len() < 1000, "{} bytes", error.message.len());
}

#[tokio::test]
async fn keys_never_show() {
    let echo = "Incorrect API key provided: sk-very-secret";
    let (base_url, _server) = answering("HTTP/1.1 401 No\n", echo.as_bytes()).await;
    let client = keyed(&base_url);
    let error = fail(&client).await;
    let failed =
        format!("data: {{\"type\":\"error\",\"message\":\"{echo}\"}}\n\ndata: sk-very-secret\n\n");
    let (base_url, _server) = answering(STREAM, failed.as_bytes()).await;
    let streamed = fail(&keyed(&base_url)).await;
    let all = format!("{error} {error:?} {client:?} {streamed} {streamed:?}");
    assert!(!all.contains("secret"), "{all}");
    assert!(all.contains("provided: ***"), "{all}");
}

#[tokio::test]
async fn requests_share_a_connection() {
    use crate::script::{
        Script,
        server::{Options, Server},
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let script = Script::parse("[[reply]]\ntext = \"hi\"\ntimes = 5").unwrap();
    let server = Server::new(listener, script, Options::default()).unwrap();
    let handle = server.handle();
    let running = tokio::spawn(server.run());
    let client = client(&handle.base_url());
    let mut input = String::new();
    for _ in 0..5 {
        let (events, error) = ask(&client, &input).await;
        assert_eq!(error, None);
        let item = events.iter().find_map(|event| match event {
            ModelEvent::Item(item) => Some(item.raw().to_owned()),
            _ => None,
        });
        input = item.unwrap();
    }
    assert_eq!(handle.connections(), 1);
    handle.stop();
    running.await.unwrap().unwrap();
}
