//! The reader of TLS greetings, on greetings that are put together here and on real ones.

use recto_egress::hello::{Hello, HelloError, read_hello};
use recto_protocol::egress::Host;
use rustls::pki_types::ServerName;
use tokio::io::AsyncWriteExt;

use crate::support::{World, client, connect, reason};

/// Bytes behind a length of two.
fn long(content: &[u8]) -> Vec<u8> {
    let mut bytes = u16::try_from(content.len()).unwrap().to_be_bytes().to_vec();
    bytes.extend_from_slice(content);
    bytes
}

fn extension(kind: u16, content: &[u8]) -> Vec<u8> {
    [kind.to_be_bytes().to_vec(), long(content)].concat()
}

fn name(name: &str) -> Vec<u8> {
    extension(0, &long(&[&[0], long(name.as_bytes()).as_slice()].concat()))
}

fn message(extensions: &[u8]) -> Vec<u8> {
    let mut body = vec![3, 3];
    body.extend_from_slice(&[7; 32]);
    body.push(0);
    body.extend(long(&[0x13, 0x01]));
    body.extend([1, 0]);
    body.extend(long(extensions));
    let length = u32::try_from(body.len()).unwrap().to_be_bytes();
    [&[1], &length[1..], &body].concat()
}

/// The message in records of at most `size` bytes.
fn records(message: &[u8], size: usize) -> Vec<u8> {
    let record = |part: &[u8]| [&[22, 3, 1], long(part).as_slice()].concat();
    message.chunks(size).flat_map(record).collect()
}

fn hello(extensions: &[&[u8]]) -> Vec<u8> {
    records(&message(&extensions.concat()), 1 << 14)
}

#[test]
fn greetings_are_read() {
    let host: Host = "allowed.example".parse().unwrap();
    let named = name("allowed.example");
    let other = extension(0x2b, &[2, 3, 4]);
    let twice = long(
        &[
            [&[0][..], &long(b"allowed.example")].concat(),
            [&[0][..], &long(b"evil.example")].concat(),
        ]
        .concat(),
    );
    #[rustfmt::skip]
    let cases: Vec<(&str, Vec<u8>, Result<(), HelloError>)> = vec![
        ("the name", hello(&[&other, &named]), Ok(())),
        ("in capitals", hello(&[&name("ALLOWED.example")]), Ok(())),
        ("another", hello(&[&name("evil.example")]), Err(HelloError::OtherName)),
        ("with a NUL", hello(&[&name("allowed.example\0.evil")]), Err(HelloError::OtherName)),
        ("none", hello(&[&other]), Err(HelloError::NoName)),
        ("an empty one", hello(&[&name("")]), Err(HelloError::OtherName)),
        ("two names in a list", hello(&[&extension(0, &twice)]), Err(HelloError::Malformed)),
        ("two lists", hello(&[&named, &name("evil.example")]), Err(HelloError::Malformed)),
        ("another kind of name", hello(&[&extension(0, &long(&[&[1][..], &long(b"allowed.example")].concat()))]), Err(HelloError::Malformed)),
        ("bytes behind the list", hello(&[&extension(0, &[long(&[&[0][..], &long(b"allowed.example")].concat()), vec![0]].concat())]), Err(HelloError::Malformed)),
        ("encrypted beside it", hello(&[&named, &extension(0xfe0d, &[0, 1])]), Err(HelloError::Encrypted)),
        ("encrypted only", hello(&[&extension(0xfe0d, &[0, 1])]), Err(HelloError::NoName)),
        ("a message behind it", records(&[message(&named), vec![1, 0, 0, 0]].concat(), 1 << 14), Err(HelloError::Malformed)),
        ("an alert", vec![21, 3, 3, 0, 2, 1, 0], Err(HelloError::NotTls)),
        ("http", b"GET / HTTP/1.1\r\n\r\n".to_vec(), Err(HelloError::NotTls)),
        ("version 2 of SSL", vec![0x80, 0x2e, 1, 3, 1], Err(HelloError::NotTls)),
        ("an empty record", vec![22, 3, 1, 0, 0], Err(HelloError::Malformed)),
        ("an alert within", [&records(&message(&named), 20)[..25], &[21, 3, 3, 0, 2, 1, 0]].concat(), Err(HelloError::Malformed)),
        ("an endless one", records(&[&[1, 0xff, 0xff, 0xff][..], &[0; 8]].concat(), 100), Err(HelloError::Malformed)),
        ("another message", records(&[2, 0, 0, 1, 0], 100), Err(HelloError::Malformed)),
    ];
    for (what, bytes, expected) in cases {
        let checked = read_hello(&bytes).and_then(|hello| {
            let hello = hello.expect(what);
            hello.check(&host)?;
            if hello.encrypted {
                Err(HelloError::Encrypted)
            } else {
                Ok(())
            }
        });
        assert_eq!(checked, expected, "{what}");
    }
}

#[test]
fn a_greeting_may_come_in_pieces() {
    let message = message(&name("allowed.example"));
    for size in [1, 3, 40, 1000] {
        let bytes = records(&message, size);
        for end in 0..bytes.len() {
            assert_eq!(read_hello(&bytes[..end]), Ok(None), "{size}, {end}");
        }
        let expected = Hello {
            name: Some("allowed.example".to_owned()),
            encrypted: false,
        };
        assert_eq!(read_hello(&bytes), Ok(Some(expected)));
    }
}

#[tokio::test]
async fn a_real_greeting_is_read() {
    let world = World::new().await;
    let config = std::sync::Arc::new(client(world.trusted.clone()));
    let name = ServerName::try_from("allowed.example").unwrap();
    let mut connection = rustls::ClientConnection::new(config, name).unwrap();
    let mut bytes = Vec::new();
    connection.write_tls(&mut bytes).unwrap();
    let hello = read_hello(&bytes).unwrap().unwrap();
    assert_eq!(hello.name.as_deref(), Some("allowed.example"));
    assert!(!hello.encrypted);
}

#[tokio::test]
async fn an_encrypted_greeting_is_refused() {
    let world = World::new().await;
    let proxy = world.proxy(&["allowed.example:{T} private"]);
    let (mut stream, head) = connect(&proxy, &world.fill("allowed.example:{T}")).await;
    assert!(head.starts_with("HTTP/1.1 200"));
    let hello = hello(&[&name("allowed.example"), &extension(0xfe0d, &[0, 1])]);
    stream.write_all(&hello).await.unwrap();
    assert!(reason(&world.events.one().await).contains("(ECH)"));
}
