//! What happens behind `CONNECT`: greetings that are checked, and TLS that is opened.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use recto_egress::{Credential, Limits, Proxy, Roots, StartError};
use recto_protocol::egress::Verdict;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::support::{World, client, connect, read_all, read_head, reason, trusted};

const RULES: &[&str] = &[
    "allowed.example:{T} private",
    "*.wild.example:{T} private",
    "127.0.0.1:{T}",
    "GET,HEAD limited.example:{T}/v1/* private",
    "POST limited.example:{T}/upload private",
    "inject.example:{T} private inject=token",
    "GET unknown.example:{T} private",
    "plain-inject.example:{P} private inject=token",
];

fn proxy(world: &World) -> Proxy {
    let mut options = world.options(world.rules(RULES));
    options.credentials = credentials();
    Proxy::start(options).unwrap()
}

fn credentials() -> BTreeMap<String, Credential> {
    let credential = Credential {
        header: "Authorization".to_owned(),
        value: "Bearer hunter2".to_owned(),
    };
    BTreeMap::from([("token".to_owned(), credential)])
}

/// Joins a host and greets it as `name`.
pub(crate) async fn greet(
    world: &World,
    proxy: &Proxy,
    host: &str,
    name: &str,
    config: ClientConfig,
) -> std::io::Result<TlsStream<TcpStream>> {
    let (stream, head) = connect(proxy, &world.fill(host)).await;
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    let name = ServerName::try_from(name.to_owned()).unwrap();
    TlsConnector::from(Arc::new(config))
        .connect(name, stream)
        .await
}

/// Joins a host whose TLS is opened, and sends bytes inside.
pub(crate) async fn inside(world: &World, proxy: &Proxy, host: &str, request: &str) -> String {
    let config = client(trusted(proxy));
    let target = format!("{host}:{{T}}");
    let mut stream = greet(world, proxy, &target, host, config).await.unwrap();
    stream
        .write_all(world.fill(request).as_bytes())
        .await
        .unwrap();
    read_all(&mut stream).await
}

/// A request for the inside.
fn request(method: &str, host: &str, path: &str) -> String {
    format!("{method} {path} HTTP/1.1\r\nHost: {host}:{{T}}\r\nConnection: close\r\n\r\n")
}

#[tokio::test]
async fn a_closed_connection_reaches_the_host_itself() {
    let world = World::new().await;
    let proxy = proxy(&world);
    for (target, name) in [
        ("allowed.example:{T}", "allowed.example"),
        ("Allowed.Example.:{T}", "allowed.example"),
        ("a.wild.example:{T}", "a.wild.example"),
    ] {
        // The server's own certificate arrives: nobody is in between.
        let config = client(world.trusted.clone());
        let mut stream = greet(&world, &proxy, target, name, config).await.unwrap();
        let request = request("DELETE", name, "/anything/../at/all");
        stream.write_all(request.as_bytes()).await.unwrap();
        let answer = read_all(&mut stream).await;
        assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
        drop(stream);
        let event = world.events.one().await;
        assert_eq!(event.verdict, Verdict::Allowed);
        assert_eq!(
            (event.host.as_str(), event.method.as_str()),
            (name, "CONNECT")
        );
        assert!(event.path.is_none() && event.bytes_up > 200 && event.bytes_down > 500);
    }
}

#[tokio::test]
async fn another_name_in_the_greeting_is_refused() {
    let world = World::new().await;
    let proxy = proxy(&world);
    let cases = [
        (
            "allowed.example:{T}",
            "evil.example",
            true,
            "names another host",
        ),
        (
            "allowed.example:{T}",
            "sub.allowed.example",
            true,
            "names another host",
        ),
        (
            "a.wild.example:{T}",
            "b.wild.example",
            true,
            "names another host",
        ),
        ("allowed.example:{T}", "allowed.example", false, "no SNI"),
        ("127.0.0.1:{T}", "evil.example", true, "names another host"),
        // Where TLS is opened, too.
        (
            "limited.example:{T}",
            "allowed.example",
            true,
            "names another host",
        ),
        ("limited.example:{T}", "limited.example", false, "no SNI"),
    ];
    for (target, name, named, why) in cases {
        let mut config = client(world.trusted.clone());
        config.enable_sni = named;
        let error = greet(&world, &proxy, target, name, config)
            .await
            .unwrap_err();
        assert!(error.to_string().contains("UnrecognisedName"), "{error}");
        let event = world.events.one().await;
        assert!(reason(&event).contains(why), "{event:?}");
    }
    assert!(world.seen().is_empty());
}

#[tokio::test]
async fn what_is_no_tls_is_refused_with_a_reason() {
    let world = World::new().await;
    let proxy = proxy(&world);
    for target in ["allowed.example:{T}", "limited.example:{T}"] {
        for bytes in [
            &b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0"[..],
            b"GET / HTTP/1.1\r\nHost: allowed.example\r\n\r\n",
            b"SSH-2.0-OpenSSH_9.2\r\n",
            b"\x80\x2e\x01\x00\x02",
        ] {
            let (mut stream, _) = connect(&proxy, &world.fill(target)).await;
            stream.write_all(bytes).await.unwrap();
            let answer = read_all(&mut stream).await;
            assert!(
                answer.starts_with("HTTP/1.1 403 Recto: what follows is not TLS"),
                "{answer}"
            );
            assert_eq!(reason(&world.events.one().await), "what follows is not TLS");
        }
    }
    assert!(world.seen().is_empty());
}

#[tokio::test]
async fn a_greeting_that_does_not_come_ends_the_connection() {
    let world = World::new().await;
    let mut options = world.options(world.rules(&["allowed.example:{T} private"]));
    options.limits = Limits {
        greeting: Duration::from_millis(50),
        ..Limits::default()
    };
    let proxy = Proxy::start(options).unwrap();
    let (mut stream, _) = connect(&proxy, &world.fill("allowed.example:{T}")).await;
    stream.write_all(b"\x16\x03\x01").await.unwrap();
    assert_eq!(read_all(&mut stream).await, "");
    let event = world.events.one().await;
    assert!(reason(&event).contains("took too long"), "{event:?}");
}

#[tokio::test]
async fn an_address_is_joined_without_a_name() {
    let world = World::new().await;
    let proxy = proxy(&world);
    let config = client(world.trusted.clone());
    // The certificate does not hold the address: getting that far is enough.
    let error = greet(&world, &proxy, "127.0.0.1:{T}", "127.0.0.1", config)
        .await
        .unwrap_err();
    assert!(error.to_string().contains("not valid for name"), "{error}");
    assert_eq!(world.events.one().await.verdict, Verdict::Allowed);
    assert!(world.resolver.asked().is_empty());
}

#[tokio::test]
async fn requests_in_opened_tls_are_judged() {
    let world = World::new().await;
    let proxy = proxy(&world);
    let host = "limited.example";
    let get = |path| request("GET", host, path);
    #[rustfmt::skip]
    let cases = [
        ("an allowed one", get("/v1/x?y=z"), 200, ""),
        ("without a port in Host", get("/v1/x").replace(":{T}", ""), 400, "Host header"),
        ("another rule's", request("POST", host, "/upload").replace("Connection", "Content-Length: 0\r\nConnection"), 200, ""),
        ("another method", request("POST", host, "/v1/x"), 403, "add the rule \"POST limited.example:{T}/v1/x\""),
        ("another path", get("/v2/x"), 403, "add the rule \"GET limited.example:{T}/v2/x\""),
        ("a path no rule can name", get("/v2/../x"), 403, "add the rule \"GET limited.example:{T}\""),
        ("the other rule's path", get("/upload"), 403, "is not allowed"),
        ("up and out", get("/v1/../upload"), 403, "is not allowed"),
        ("another Host", request("GET", "evil.example", "/v1/x"), 400, "Host header"),
        ("another allowed Host", request("GET", "allowed.example", "/v1/x"), 400, "Host header"),
        ("an absolute target", request("GET", host, "http://limited.example:{T}/v1/x"), 400, "only http://"),
        ("CONNECT once more", format!("CONNECT evil.example:443 HTTP/1.1\r\nHost: {host}\r\n\r\n"), 405, "CONNECT"),
        ("TRACE", request("TRACE", host, "/v1/x"), 405, "TRACE"),
        ("http/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_owned(), 400, "http/2"),
        ("a websocket", get("/v1/ws").replace("close", "Upgrade\r\nUpgrade: websocket"), 403, "websocket"),
        ("two lengths", get("/v1/x").replace("Connection", "Content-Length: 1\r\nContent-Length: 2\r\nConnection"), 400, "comes twice"),
    ];
    for (name, request, status, why) in cases {
        let answer = inside(&world, &proxy, host, &request).await;
        let event = world.events.one().await;
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status} ")),
            "{name}: {answer}"
        );
        assert!(answer.contains(&world.fill(why)), "{name}: {answer}");
        assert_eq!(
            event.verdict == Verdict::Allowed,
            status == 200,
            "{name}: {event:?}"
        );
        assert_eq!(world.seen().len(), usize::from(status == 200), "{name}");
    }
}

#[tokio::test]
async fn each_request_on_an_opened_connection_is_judged() {
    let world = World::new().await;
    let proxy = proxy(&world);
    let keep = request("GET", "limited.example", "/v1/x").replace("Connection: close\r\n", "");
    let other = request("GET", "limited.example", "/admin");
    let answer = inside(
        &world,
        &proxy,
        "limited.example",
        &format!("{keep}{keep}{other}"),
    )
    .await;
    assert_eq!(answer.matches("HTTP/1.1 200 OK").count(), 2, "{answer}");
    assert_eq!(answer.matches("HTTP/1.1 403 Recto").count(), 1, "{answer}");
    assert_eq!(world.hits(), 1);
    let events = world.events.next(3).await;
    assert_eq!(events[0].path.as_deref(), Some("/v1/x"));
    assert_eq!(events[2].path.as_deref(), Some("/admin"));
}

#[tokio::test]
async fn only_http_1_is_spoken_in_opened_tls() {
    let world = World::new().await;
    let proxy = proxy(&world);
    let host = "limited.example";
    let mut config = client(trusted(&proxy));
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let stream = greet(&world, &proxy, "limited.example:{T}", host, config)
        .await
        .unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"http/1.1"[..]));
    drop(stream);
    let mut config = client(trusted(&proxy));
    config.alpn_protocols = vec![b"h2".to_vec()];
    let error = greet(&world, &proxy, "limited.example:{T}", host, config)
        .await
        .unwrap_err();
    assert!(
        error.to_string().contains("NoApplicationProtocol"),
        "{error}"
    );
}

#[tokio::test]
async fn a_credential_goes_to_its_host_and_nowhere_else() {
    let world = World::new().await;
    let proxy = proxy(&world);
    let ask = request("GET", "inject.example", "/x").replace(
        "Connection",
        "authorization: Bearer mine\r\nX-Kept: 1\r\nConnection",
    );
    let answer = inside(&world, &proxy, "inject.example", &ask).await;
    assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
    assert!(!answer.contains("hunter2"));
    let seen = world.seen().remove(0);
    assert_eq!(seen.header("authorization"), ["Bearer hunter2"]);
    assert_eq!(seen.header("x-kept"), ["1"]);
    // Another host on the same list.
    inside(
        &world,
        &proxy,
        "limited.example",
        &request("GET", "limited.example", "/v1/x"),
    )
    .await;
    assert!(world.seen()[0].header("authorization").is_empty());
    // A Host header that names it.
    let other = request("GET", "inject.example", "/v1/x");
    inside(&world, &proxy, "limited.example", &other).await;
    assert!(world.seen().is_empty());
    for event in world.events.next(3).await {
        assert!(!format!("{event:?}").contains("hunter2"));
    }
    assert!(!format!("{:?}", credentials()).contains("hunter2"));
}

#[tokio::test]
async fn a_credential_is_not_taken_out_by_the_client() {
    let world = World::new().await;
    let proxy = proxy(&world);
    let ask = request("GET", "inject.example", "/x").replace("close", "close, authorization");
    inside(&world, &proxy, "inject.example", &ask).await;
    assert_eq!(world.seen()[0].header("authorization"), ["Bearer hunter2"]);
}

#[tokio::test]
async fn a_credential_is_not_sent_in_the_clear() {
    let world = World::new().await;
    let proxy = proxy(&world);
    for host in ["plain-inject.example:{P}", "inject.example:{T}"] {
        let plain = format!("GET http://{host}/ HTTP/1.1\r\nHost: {host}\r\n\r\n");
        let answer = crate::support::ask(&proxy, world.fill(&plain).as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 403 Recto: "), "{answer}");
        assert!(answer.contains("through TLS only"), "{answer}");
    }
    assert_eq!(world.hits(), 0);
}

#[tokio::test]
async fn a_server_that_is_not_trusted_gets_nothing() {
    let world = World::new().await;
    let proxy = proxy(&world);
    let unknown = request("GET", "unknown.example", "/x");
    let answer = inside(&world, &proxy, "unknown.example", &unknown).await;
    assert!(
        answer.starts_with("HTTP/1.1 502 Recto: the TLS of unknown.example"),
        "{answer}"
    );
    let event = world.events.one().await;
    assert!(event.failure.unwrap().contains("not valid for name"));

    let stranger = World::new().await.trusted;
    let mut options = world.options(world.rules(RULES));
    options.credentials = credentials();
    options.roots = Roots::Only(vec![stranger]);
    let proxy = Proxy::start(options).unwrap();
    let answer = inside(
        &world,
        &proxy,
        "inject.example",
        &request("GET", "inject.example", "/"),
    )
    .await;
    assert!(answer.contains("was not accepted"), "{answer}");
    assert!(world.seen().is_empty());
}

#[tokio::test]
async fn a_cell_that_does_not_trust_the_authority_is_told_of_in_the_event() {
    let world = World::new().await;
    let proxy = proxy(&world);
    let config = client(world.trusted.clone());
    let greeted = greet(
        &world,
        &proxy,
        "limited.example:{T}",
        "limited.example",
        config,
    )
    .await;
    assert!(greeted.unwrap_err().to_string().contains("UnknownIssuer"));
    let event = world.events.one().await;
    assert!(reason(&event).contains("the client ended it"), "{event:?}");
}

#[tokio::test]
async fn authorities_differ_and_exist_only_where_needed() {
    let world = World::new().await;
    let (one, two) = (proxy(&world), proxy(&world));
    assert_ne!(one.authority_pem(), two.authority_pem());
    assert!(world.proxy(&["allowed.example"]).authority_pem().is_none());
}

#[tokio::test]
async fn credentials_are_checked_at_the_start() {
    let world = World::new().await;
    let error = Proxy::start(world.options(world.rules(RULES)))
        .err()
        .unwrap();
    assert!(matches!(error, StartError::Credential(name) if name == "token"));
    for (header, value) in [("x-token", "a\nb"), ("Host", "a"), ("content-length", "1")] {
        let mut options = world.options(world.rules(RULES));
        options.credentials = credentials();
        let token = options.credentials.get_mut("token").unwrap();
        (token.header, token.value) = (header.to_owned(), value.to_owned());
        let error = Proxy::start(options).err();
        assert!(matches!(error, Some(StartError::Header(_))), "{header}");
    }
}

#[tokio::test]
async fn opened_tls_ends_with_a_proper_close() {
    let world = World::new().await;
    let proxy = proxy(&world);
    let config = client(trusted(&proxy));
    let host = "limited.example";
    let mut stream = greet(&world, &proxy, "limited.example:{T}", host, config)
        .await
        .unwrap();
    let refused = request("GET", host, "/v2");
    stream
        .write_all(world.fill(&refused).as_bytes())
        .await
        .unwrap();
    assert!(read_head(&mut stream).await.starts_with("HTTP/1.1 403"));
    // An end without `close_notify` would be an error here.
    let mut rest = Vec::new();
    tokio::io::AsyncReadExt::read_to_end(&mut stream, &mut rest)
        .await
        .unwrap();
}
