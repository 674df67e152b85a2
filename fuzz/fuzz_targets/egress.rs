//! Whatever a cell sends to its proxy, and whatever is written in a rule: no panic, and what is
//! understood means one thing only.
//!
//! The first byte chooses what the rest is read as.
#![no_main]

use libfuzzer_sys::fuzz_target;
use recto_egress::head::{Framing, HeadLimits, chunk_size, read_head};
use recto_egress::hello::read_hello;
use recto_egress::target::{Target, read_authority, read_target};
use recto_protocol::egress::{Host, MOST_TEXT, Rule, Rules, clip, plain_path};

fuzz_target!(|input: &[u8]| {
    let Some((kind, bytes)) = input.split_first() else {
        return;
    };
    match kind % 4 {
        0 => head(bytes),
        1 => hello(bytes),
        2 => rule(bytes),
        _ => texts(bytes),
    }
});

const LIMITS: HeadLimits = HeadLimits {
    bytes: 2048,
    headers: 20,
};

fn head(bytes: &[u8]) {
    let Ok(Some((head, length))) = read_head(bytes, LIMITS) else {
        return;
    };
    assert!(length <= LIMITS.bytes && head.headers.len() <= LIMITS.headers);
    let text = &bytes[..length];
    assert!(text.ends_with(b"\r\n\r\n"));
    // A head that is understood has neither what ends a line elsewhere, nor a second meaning.
    assert_eq!(text.iter().filter(|&&byte| byte == b'\n').count(), head.headers.len() + 2);
    assert_eq!(text.iter().filter(|&&byte| byte == b'\r').count(), head.headers.len() + 2);
    assert!(!text.contains(&0));
    for end in 0..length {
        assert!(!matches!(read_head(&bytes[..end], LIMITS), Ok(Some(_))));
    }
    if let Ok(framing) = head.framing() {
        let lengths = head.all("content-length").count();
        let encodings = head.all("transfer-encoding").count();
        assert!(lengths + encodings <= 1);
        assert_eq!(encodings == 1, framing == Framing::Chunked);
    }
    let _ = chunk_size(&bytes[length..]);
    // Another reader of heads understands the same.
    let mut headers = [httparse::EMPTY_HEADER; LIMITS.headers];
    let mut other = httparse::Request::new(&mut headers);
    if head.target.is_ascii() {
        assert_eq!(other.parse(text), Ok(httparse::Status::Complete(length)));
        assert_eq!(other.method, Some(head.method.as_str()));
        assert_eq!(other.path, Some(head.target.as_str()));
        assert_eq!(other.headers.len(), head.headers.len());
        for (one, two) in head.headers.iter().zip(other.headers.iter()) {
            assert!(two.name.eq_ignore_ascii_case(&one.0));
            assert_eq!(two.value.trim_ascii(), one.1);
        }
    }
    match read_target(&head.method, &head.target) {
        Ok(Target::Connect(host, _) | Target::Absolute(host, ..)) => stable(&host),
        Ok(Target::Origin(path)) => assert!(path.starts_with('/')),
        Err(_) => {}
    }
}

fn hello(bytes: &[u8]) {
    let Ok(Some(hello)) = read_hello(bytes) else {
        return;
    };
    for end in (0..bytes.len()).step_by(7) {
        if let Ok(Some(part)) = read_hello(&bytes[..end]) {
            assert_eq!(part, hello);
        }
    }
    // What a TLS server takes for the name is the name.
    let mut acceptor = rustls::server::Acceptor::default();
    let mut rest = bytes;
    while !rest.is_empty() && acceptor.read_tls(&mut rest).is_ok_and(|read| read > 0) {
        match acceptor.accept() {
            Ok(Some(accepted)) => {
                let theirs = accepted.client_hello().server_name().map(str::to_owned);
                if let Some(theirs) = theirs {
                    let ours: Option<Host> = hello.name.as_deref().and_then(|n| n.parse().ok());
                    if let Ok(theirs) = theirs.parse::<Host>() {
                        assert_eq!(ours, Some(theirs));
                    }
                }
                return;
            }
            Ok(None) => {}
            Err(_) => return,
        }
    }
}

fn rule(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    if let Ok(rule) = text.parse::<Rule>() {
        let shown = rule.to_string();
        let again: Rule = shown.parse().expect("what a rule is shown as is a rule");
        assert_eq!(again, rule, "{shown}");
        for method in ["GET", "POST"] {
            assert!(!rule.allows(method, "/a/../b") || rule.paths().is_empty());
        }
    }
    let _ = Rules::parse(text.lines());
}

fn texts(bytes: &[u8]) {
    let clipped = clip(&String::from_utf8_lossy(bytes));
    assert!(clipped.len() <= MOST_TEXT && clipped.bytes().all(|b| (b' '..=b'~').contains(&b)));
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    if let Ok(host) = text.parse::<Host>() {
        stable(&host);
    }
    if let Ok((host, _)) = read_authority(text) {
        stable(&host);
    }
    if let Some(plain) = plain_path(text) {
        assert_eq!(plain_path(&plain).as_ref(), Some(&plain));
        assert!(!plain.split('/').any(|part| part == "." || part == ".."));
        assert!(!plain.contains("//") && !plain.contains('\\'));
    }
}

/// A host reads as itself, and names are plain.
fn stable(host: &Host) {
    let shown = host.to_string();
    assert_eq!(shown.parse().as_ref(), Ok(host));
    if let Host::Name(name) = host {
        assert!(name.as_str().len() <= 253);
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-.".contains(&byte);
        assert!(name.as_str().bytes().all(plain));
        assert!(name.as_str().parse::<std::net::IpAddr>().is_err());
    }
}
