//! How long each side is waited for.

use std::os::fd::OwnedFd;
use std::time::Duration;

use recto_egress::Proxy;
use recto_protocol::ports::cell::Gateway;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::interval;

use crate::support::{World, door, listen, read_all};

const IDLE: &str = "the connection was idle for too long";

fn proxy(world: &World, rule: &str, idle: Duration) -> Proxy {
    let mut options = world.options(world.rules(&[rule]));
    options.limits.idle = idle;
    Proxy::start(options).unwrap()
}

/// A connection whose sockets hold next to nothing.
async fn narrow(proxy: &Proxy) -> TcpStream {
    let listener = TcpSocket::new_v4().unwrap();
    listener.set_send_buffer_size(4096).unwrap();
    listener.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = listener.listen(1).unwrap();
    let client = TcpSocket::new_v4().unwrap();
    client.set_recv_buffer_size(4096).unwrap();
    let client = client.connect(listener.local_addr().unwrap());
    let (client, accepted) = tokio::join!(client, listener.accept());
    let server = accepted.unwrap().0.into_std().unwrap();
    proxy.connection(0, OwnedFd::from(server));
    client.unwrap()
}

#[tokio::test]
async fn an_upload_may_take_longer_than_the_idle_time() {
    let world = World::new().await;
    let idle = Duration::from_secs(1);
    let proxy = proxy(&world, "allowed.example:{P} private", idle);
    let mut client = door(&proxy, 0).await;
    let head = "POST http://allowed.example:{P}/ HTTP/1.1\r\nHost: allowed.example:{P}\r\n\
                Connection: close\r\nContent-Length: 12\r\n\r\n";
    client.write_all(world.fill(head).as_bytes()).await.unwrap();
    let mut ticks = interval(idle / 8);
    for _ in 0..12 {
        ticks.tick().await;
        client.write_all(b"x").await.unwrap();
    }
    let answer = read_all(&mut client).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert_eq!(world.seen()[0].body.len(), 12);
}

#[tokio::test]
async fn a_server_that_never_answers_is_given_up() {
    let world = World::new().await;
    let (server, port) = listen().await;
    let idle = Duration::from_millis(80);
    let proxy = proxy(&world, &format!("127.0.0.1:{port}"), idle);
    let mut client = door(&proxy, 0).await;
    let request = format!(
        "POST http://127.0.0.1:{port}/ HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Length: 1\r\n\r\nx"
    );
    client.write_all(request.as_bytes()).await.unwrap();
    let held = server.accept().await.unwrap();
    assert!(read_all(&mut client).await.starts_with("HTTP/1.1 504"));
    assert_eq!(world.events.one().await.failure.unwrap(), IDLE);
    drop(held);
}

#[tokio::test]
async fn a_server_that_does_not_read_is_given_up() {
    let world = World::new().await;
    let (server, port) = listen().await;
    let idle = Duration::from_millis(80);
    let proxy = proxy(&world, &format!("127.0.0.1:{port}"), idle);
    let mut client = door(&proxy, 0).await;
    let sending = tokio::spawn(async move {
        let head = format!(
            "POST http://127.0.0.1:{port}/ HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Length: 1000000000\r\n\r\n"
        );
        client.write_all(head.as_bytes()).await.unwrap();
        let some = vec![b'x'; 64 * 1024];
        while client.write_all(&some).await.is_ok() {}
    });
    let held = server.accept().await.unwrap();
    assert_eq!(world.events.one().await.failure.unwrap(), IDLE);
    sending.await.unwrap();
    drop(held);
}

/// Answers without bodies: their heads are what fills the connection.
#[tokio::test]
async fn a_client_that_does_not_read_is_given_up() {
    let world = World::new().await;
    let idle = Duration::from_millis(300);
    let proxy = proxy(&world, "allowed.example:{P} private", idle);
    let client = narrow(&proxy).await;
    let (mut from, mut to) = client.into_split();
    let request = "HEAD http://allowed.example:{P}/ HTTP/1.1\r\nHost: allowed.example:{P}\r\n\r\n";
    let request = world.fill(request);
    let sending =
        tokio::spawn(async move { while to.write_all(request.as_bytes()).await.is_ok() {} });
    loop {
        if let Some(failure) = world.events.one().await.failure {
            assert_eq!(failure, IDLE);
            break;
        }
    }
    sending.await.unwrap();
    let mut rest = Vec::new();
    let _ = from.read_to_end(&mut rest).await;
}
