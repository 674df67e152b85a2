//! The server on a real socket.

use recto_web::{Api, Options, WebError, serve};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

use crate::common::Given;

fn api(given: &Given, hosts: Vec<String>) -> Api {
    Api {
        service: given.service.clone(),
        tokens: given.tokens.clone(),
        options: Options {
            hosts,
            ..Options::default()
        },
    }
}

#[tokio::test]
async fn it_serves_until_told_to_end_and_ends_streams() {
    let given = Given::new().await;
    let id = given.task("x").await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let shutdown = CancellationToken::new();
    let server = tokio::spawn(serve(listener, api(&given, vec![]), shutdown.clone()));

    let mut stream = TcpStream::connect(address).await.unwrap();
    let head = format!(
        "GET /api/v1/attempts/{id}.1/events HTTP/1.1\r\nHost: {address}\r\n\
         Authorization: Bearer {}\r\n\r\n",
        given.read
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut text = String::new();
    let mut buffer = [0; 4096];
    while !text.contains("event: record") {
        let read = stream.read(&mut buffer).await.unwrap();
        assert_ne!(read, 0, "{text}");
        text.push_str(std::str::from_utf8(&buffer[..read]).unwrap());
    }
    assert!(text.starts_with("HTTP/1.1 200 OK\r\n"), "{text}");
    // One that never sends a request holds nothing up.
    let idle = TcpStream::connect(address).await.unwrap();
    shutdown.cancel();
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).await.unwrap();
    assert!(rest.ends_with(b"0\r\n\r\n"), "the stream was cut off");
    server.await.unwrap().unwrap();
    drop(idle);
    assert!(TcpStream::connect(address).await.is_err());
}

#[tokio::test]
async fn what_is_no_host_name_is_refused() {
    let given = Given::new().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let api = api(&given, vec!["https://recto.example".into()]);
    let refused = serve(listener, api, CancellationToken::new()).await;
    assert!(matches!(refused, Err(WebError::Host(_))), "{refused:?}");
}
