//! Proxies between this machine and the internet.

use std::sync::{Arc, Mutex};

use recto_egress::{Proxy, Upstream, UpstreamError};
use recto_protocol::egress::Verdict;
use tokio::io::{AsyncWriteExt, copy_bidirectional};
use tokio::net::TcpStream;

use crate::support::{World, ask, client, connect, door, listen, read_all, read_head};

/// A proxy that joins whoever knows the password to the port that is named, on loopback, and
/// answers other requests itself.
async fn hop() -> (u16, Arc<Mutex<Vec<String>>>) {
    let (listener, port) = listen().await;
    let heads = Arc::new(Mutex::new(Vec::new()));
    let noted = heads.clone();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let noted = noted.clone();
            tokio::spawn(async move {
                let head = read_head(&mut stream).await;
                noted.lock().unwrap().push(head.clone());
                if !head
                    .to_lowercase()
                    .contains("proxy-authorization: basic bwu6cebzcw==")
                {
                    let _ = stream.write_all(b"HTTP/1.1 407 No\r\n\r\n").await;
                } else if head.starts_with("CONNECT ") {
                    let target = head.split(' ').nth(1).unwrap();
                    let port = target.rsplit(':').next().unwrap();
                    let outside = TcpStream::connect(format!("127.0.0.1:{port}")).await;
                    stream
                        .write_all(b"HTTP/1.1 200 Joined\r\nX: y\r\n\r\n")
                        .await
                        .unwrap();
                    let _ = copy_bidirectional(&mut stream, &mut outside.unwrap()).await;
                } else {
                    let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nproxy";
                    stream.write_all(answer).await.unwrap();
                }
            });
        }
    });
    (port, heads)
}

const RULES: &[&str] = &[
    "allowed.example:{T},{P},{R}",
    "GET limited.example:{T}",
    "db.internal:{T}",
    "here.example:{P} private",
    "tcp:db.example:{R}",
];

async fn behind(world: &World, user: &str) -> (Proxy, Arc<Mutex<Vec<String>>>) {
    let (port, heads) = hop().await;
    let address = format!("http://{user}127.0.0.1:{port}/");
    let mut options = world.options(world.rules(RULES));
    options.upstream = Upstream::parse(
        Some(&address),
        Some(&address),
        Some(".here.example, 10.0.0.0/8"),
    )
    .unwrap();
    (Proxy::start(options).unwrap(), heads)
}

/// `me` and `p@ss`, as they stand in an address.
const USER: &str = "me:p%40ss@";

#[tokio::test]
async fn connections_go_through_the_upstream_proxy_by_name() {
    let world = World::new().await;
    let (proxy, heads) = behind(&world, USER).await;
    let (stream, head) = connect(&proxy, &world.fill("allowed.example:{T}")).await;
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    let config = Arc::new(client(world.trusted.clone()));
    let name = rustls::pki_types::ServerName::try_from("allowed.example").unwrap();
    let stream = tokio_rustls::TlsConnector::from(config)
        .connect(name, stream)
        .await;
    let mut stream = stream.unwrap();
    let request = b"GET / HTTP/1.1\r\nHost: allowed.example\r\nConnection: close\r\n\r\n";
    stream.write_all(request).await.unwrap();
    assert!(read_all(&mut stream).await.starts_with("HTTP/1.1 200 OK"));
    let expected =
        world.fill("CONNECT allowed.example:{T} HTTP/1.1\r\nHost: allowed.example:{T}\r\n");
    assert!(heads.lock().unwrap()[0].starts_with(&expected));
    // Names are the other proxy's matter.
    assert!(world.resolver.asked().is_empty());
}

#[tokio::test]
async fn plain_requests_and_doors_go_through_it_too() {
    let world = World::new().await;
    let (proxy, heads) = behind(&world, USER).await;
    let request = world.fill("GET http://allowed.example:{P}/a?b HTTP/1.1\r\nHost: allowed.example:{P}\r\nConnection: close\r\n\r\n");
    assert!(
        ask(&proxy, request.as_bytes())
            .await
            .ends_with("\r\n\r\nproxy")
    );
    let expected = world.fill("GET http://allowed.example:{P}/a?b HTTP/1.1\r\n");
    assert!(heads.lock().unwrap()[0].starts_with(&expected), "{heads:?}");
    let mut client = door(&proxy, 1).await;
    client.write_all(b"x").await.unwrap();
    client.shutdown().await.unwrap();
    assert_eq!(read_all(&mut client).await, "x");
    assert!(heads.lock().unwrap()[1].starts_with(&world.fill("CONNECT db.example:{R} ")));
}

#[tokio::test]
async fn names_that_are_private_by_their_looks_are_not_asked_for() {
    let world = World::new().await;
    let (proxy, heads) = behind(&world, USER).await;
    let (_, head) = connect(&proxy, &world.fill("db.internal:{T}")).await;
    assert!(
        head.starts_with("HTTP/1.1 403 Recto: db.internal is known in private"),
        "{head}"
    );
    assert!(heads.lock().unwrap().is_empty());
}

#[tokio::test]
async fn what_is_reached_directly_is() {
    let world = World::new().await;
    let (proxy, heads) = behind(&world, USER).await;
    let request = world.fill("GET http://here.example:{P}/ HTTP/1.1\r\nHost: here.example:{P}\r\nConnection: close\r\n\r\n");
    assert!(
        ask(&proxy, request.as_bytes())
            .await
            .contains("hello from /")
    );
    assert!(heads.lock().unwrap().is_empty());
}

#[tokio::test]
async fn an_upstream_proxy_that_refuses_is_named() {
    let world = World::new().await;
    let (proxy, _) = behind(&world, "").await;
    let (_, head) = connect(&proxy, &world.fill("allowed.example:{T}")).await;
    assert!(head.starts_with("HTTP/1.1 502 Recto: "), "{head}");
    assert!(head.contains("the upstream proxy answered 407"), "{head}");
    let event = world.events.one().await;
    assert_eq!(event.verdict, Verdict::Allowed);
    assert!(event.failure.unwrap().contains("407"));
}

#[test]
fn addresses_of_upstream_proxies_are_read() {
    let parse = |text| Upstream::parse(Some(text), None, None).err();
    assert_eq!(parse("http://proxy.example:3128"), None);
    assert_eq!(parse("proxy.example:3128"), None);
    assert_eq!(parse(""), None);
    assert_eq!(parse("https://proxy.example"), Some(UpstreamError::Scheme));
    assert_eq!(parse("socks5://proxy.example"), Some(UpstreamError::Scheme));
    assert_eq!(parse("http://:3128"), Some(UpstreamError::Authority));
    let held = Upstream::parse(Some("http://me:secret@proxy.example"), None, None).unwrap();
    assert!(!format!("{held:?}").contains("secret"));
}
