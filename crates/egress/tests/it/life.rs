//! Doors of their own, limits, and the end.

use std::sync::Arc;
use std::time::Duration;

use recto_egress::{Limits, Options, Proxy};
use recto_protocol::egress::{RequestEvent, Verdict};
use recto_protocol::ports::cell::Gateway;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::support::{World, ask, connect, door, pair, read_all, read_head};

const RULES: &[&str] = &[
    "allowed.example:{P} private",
    "tcp:db.example:{R} private",
    "tcp:other.example:{R}",
    "tcp:127.0.0.1:{R}",
];

fn limited(world: &World, change: impl FnOnce(&mut Limits)) -> Proxy {
    let mut options = world.options(world.rules(RULES));
    change(&mut options.limits);
    Proxy::start(options).unwrap()
}

fn post(world: &World, bytes: usize) -> String {
    let body = "x".repeat(bytes);
    world.fill(&format!(
        "POST http://allowed.example:{{P}}/ HTTP/1.1\r\nHost: allowed.example:{{P}}\r\nConnection: close\r\nContent-Length: {bytes}\r\n\r\n{body}"
    ))
}

#[tokio::test]
async fn a_door_leads_to_its_target() {
    let world = World::new().await;
    let proxy = world.proxy(RULES);
    for (number, host) in [(1, "db.example"), (3, "127.0.0.1")] {
        let mut client = door(&proxy, number).await;
        client.write_all(b"select 1").await.unwrap();
        client.shutdown().await.unwrap();
        assert_eq!(read_all(&mut client).await, "select 1");
        let event = world.events.one().await;
        assert_eq!((event.host.as_str(), event.port), (host, world.raw));
        assert_eq!(
            (event.method.as_str(), event.bytes_up, event.bytes_down),
            ("TCP", 8, 8)
        );
        assert_eq!(event.verdict, Verdict::Allowed);
    }
}

#[tokio::test]
async fn a_door_to_a_private_address_needs_a_rule_that_says_so() {
    let world = World::new().await;
    let proxy = world.proxy(RULES);
    let mut client = door(&proxy, 2).await;
    assert_eq!(read_all(&mut client).await, "");
    let event = world.events.one().await;
    assert!(
        crate::support::reason(&event).contains("private address"),
        "{event:?}"
    );
    // A door that nobody made.
    assert_eq!(read_all(&mut door(&proxy, 4).await).await, "");
    assert_eq!(world.hits(), 0);
}

#[tokio::test]
async fn tcp_rules_are_not_for_the_proxy() {
    let world = World::new().await;
    let proxy = world.proxy(RULES);
    let (_, head) = connect(&proxy, &world.fill("db.example:{R}")).await;
    assert!(head.starts_with("HTTP/1.1 403 Recto: db.example"), "{head}");
}

#[tokio::test]
async fn bytes_have_limits() {
    let world = World::new().await;
    let proxy = limited(&world, |limits| limits.up = Some(1000));
    assert!(
        ask(&proxy, post(&world, 900).as_bytes())
            .await
            .starts_with("HTTP/1.1 200")
    );
    let answer = ask(&proxy, post(&world, 101).as_bytes()).await;
    assert!(
        answer.starts_with("HTTP/1.1 403 Recto: this cell has sent as many bytes"),
        "{answer}"
    );
    let events = world.events.next(2).await;
    assert!(
        events[1]
            .failure
            .as_deref()
            .unwrap()
            .contains("as many bytes")
    );
    // What still fits still goes.
    assert!(
        ask(&proxy, post(&world, 100).as_bytes())
            .await
            .starts_with("HTTP/1.1 200")
    );
    assert_eq!(proxy.stats().up, 1000);

    let proxy = limited(&world, |limits| limits.down = Some(4));
    let mut client = door(&proxy, 1).await;
    client.write_all(b"12345").await.unwrap();
    assert_eq!(read_all(&mut client).await, "");
    assert_eq!(proxy.stats().down, 0);
}

#[tokio::test]
async fn connections_have_a_limit() {
    let world = World::new().await;
    let proxy = limited(&world, |limits| limits.connections = 2);
    let held = [door(&proxy, 0).await, door(&proxy, 0).await];
    let answer = read_all(&mut door(&proxy, 0).await).await;
    assert!(
        answer.starts_with("HTTP/1.1 503 Recto: too many connections"),
        "{answer}"
    );
    assert_eq!(proxy.stats().turned_away, 1);
    drop(held);
    // The places become free again: asked until one is.
    loop {
        let answer = ask(&proxy, post(&world, 1).as_bytes()).await;
        if answer.starts_with("HTTP/1.1 200") {
            break;
        }
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn silence_ends_a_connection() {
    let world = World::new().await;
    let proxy = limited(&world, |limits| limits.idle = Duration::from_millis(80));
    let mut client = door(&proxy, 1).await;
    client.write_all(b"a").await.unwrap();
    assert_eq!(client.read_u8().await.unwrap(), b'a');
    assert_eq!(read_all(&mut client).await, "");
    assert_eq!(
        world.events.one().await.failure.unwrap(),
        "the connection was idle for too long"
    );
}

#[tokio::test]
async fn the_last_handle_ends_everything() {
    let world = World::new().await;
    let proxy = world.proxy(RULES);
    let mut one = door(&proxy, 1).await;
    one.write_all(b"a").await.unwrap();
    one.read_u8().await.unwrap();
    let other = proxy.clone();
    drop(proxy);
    one.write_all(b"b").await.unwrap();
    assert_eq!(one.read_u8().await.unwrap(), b'b');
    drop(other);
    assert_eq!(read_all(&mut one).await, "");
    assert_eq!(world.events.one().await.bytes_up, 2);
}

#[tokio::test]
async fn closing_waits_until_all_is_told() {
    let world = World::new().await;
    let proxy = world.proxy(RULES);
    let mut one = door(&proxy, 1).await;
    one.write_all(b"a").await.unwrap();
    one.read_u8().await.unwrap();
    proxy.close().await;
    let event = world.events.one().await;
    assert_eq!((event.bytes_up, event.verdict), (1, Verdict::Allowed));
    assert_eq!(read_all(&mut one).await, "");
    assert!(ask(&proxy, b"").await.starts_with("HTTP/1.1 503"));
}

/// With a permit in hand, a connection could begin after all others were ended.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_connection_outlives_the_proxys_end() {
    let world = World::new().await;
    for _ in 0..200 {
        let proxy = world.proxy(&["tcp:db.example:{R} private"]);
        let (mut client, server) = pair().await;
        let other = proxy.clone();
        let opened = tokio::task::spawn_blocking(move || other.connection(1, server));
        proxy.close().await;
        opened.await.unwrap();
        read_all(&mut client).await;
    }
}

#[tokio::test]
async fn events_without_room_are_counted() {
    let world = World::new().await;
    let full = |_: RequestEvent| false;
    let options = Options {
        observer: Arc::new(full),
        ..world.options(world.rules(RULES))
    };
    let proxy = Proxy::start(options).unwrap();
    let mut client = door(&proxy, 0).await;
    client.write_all(b"GET /x HTTP/1.1\r\n\r\n").await.unwrap();
    read_head(&mut client).await;
    assert_eq!(proxy.stats().dropped_events, 1);
}

#[test]
fn a_proxy_needs_a_runtime() {
    let options = Options::new(
        recto_egress::Permission::Nothing,
        Arc::new(|_: RequestEvent| true),
    );
    assert!(Proxy::start(options).is_err());
}
