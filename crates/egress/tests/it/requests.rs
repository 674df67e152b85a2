//! Plain requests and `CONNECT`, byte by byte, with the verdict that each must get.

use std::time::Duration;

use recto_egress::{Limits, Permission, Proxy};
use recto_protocol::egress::Verdict;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

use crate::support::{World, ask, door, read_head, reason};

/// What most cases are judged by.
const RULES: &[&str] = &[
    "allowed.example:{P} private",
    "*.wild.example:{P} private",
    "xn--bcher-kva.example:{P} private",
    "GET,HEAD limited.example:{P}/v1/* private",
    "loop.example:{P}",
    "meta.example:{P} private",
    "mixed.example:{P}",
    "mapped.example:{P} private",
    "nat64.example:{P} private",
    "cgnat.example:{P}",
    "ula.example:{P}",
    "zero.example:{P} private",
    "nowhere.example:{P}",
];

/// What a request must come to: the answer's status, a part of its reason, and whether it reached
/// the server.
enum Must {
    Reach,
    Refuse(u16, &'static str),
}
use Must::{Reach, Refuse};

/// Asks the host for `/x`.
fn get(host: &str) -> String {
    format!("GET http://{host}:{{P}}/x HTTP/1.1\r\nHost: {host}:{{P}}\r\nConnection: close\r\n\r\n")
}

/// Asks a path of the host with limits.
fn limited(method: &str, path: &str) -> String {
    format!(
        "{method} http://limited.example:{{P}}{path} HTTP/1.1\r\nHost: limited.example:{{P}}\r\nConnection: close\r\n\r\n"
    )
}

/// A request to the allowed host with further head lines, and a body.
fn with(lines: &str, body: &str) -> String {
    format!(
        "POST http://allowed.example:{{P}}/x HTTP/1.1\r\nHost: allowed.example:{{P}}\r\nConnection: close\r\n{lines}\r\n{body}"
    )
}

fn target(target: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nHost: allowed.example:{{P}}\r\nConnection: close\r\n\r\n")
}

fn joined(target: &str) -> String {
    format!("CONNECT {target} HTTP/1.1\r\n\r\n")
}

#[rustfmt::skip]
fn cases() -> Vec<(&'static str, String, Must)> {
    let long = "a".repeat(63);
    let not = "is not allowed";
    let form = "malformed";
    let address = "an address is written as";
    let letters = "letters, digits and inner hyphens";
    vec![
        // Names.
        ("the name itself", get("allowed.example"), Reach),
        ("upper case", get("ALLOWED.Example"), Reach),
        ("a trailing dot", get("allowed.example."), Reach),
        ("two trailing dots", get("allowed.example.."), Refuse(400, "empty part")),
        ("the name as a label of another", get("allowed.example.evil.invalid"), Refuse(403, not)),
        ("the name as the end of another", get("notallowed.example"), Refuse(403, not)),
        ("a name below one without a wildcard", get("sub.allowed.example"), Refuse(403, not)),
        ("below a wildcard", get("a.wild.example"), Reach),
        ("two labels below a wildcard", get("a.b.wild.example"), Reach),
        ("a wildcard's own domain", get("wild.example"), Refuse(403, not)),
        ("a wildcard's boundary", get("evilwild.example"), Refuse(403, not)),
        ("an empty label below a wildcard", get(".wild.example"), Refuse(400, "empty part")),
        ("a star as a label", get("*.wild.example"), Refuse(400, letters)),
        ("four labels below a wildcard", get("a.b.c.d.wild.example"), Refuse(403, not)),
        ("data in labels below a wildcard", get(&format!("{long}.{long}.{long}.wild.example")), Refuse(403, not)),
        ("a label that is too long", get(&format!("{long}a.wild.example")), Refuse(400, "too long")),
        ("a name that is too long", get(&[long.as_str(); 5].join(".")), Refuse(400, "too long")),
        ("an underscore", get("a_b.wild.example"), Refuse(400, letters)),
        ("a hyphen at the edge", get("-a.wild.example"), Refuse(400, letters)),
        ("another script, as it is", get("bücher.example"), Reach),
        ("another script, in ascii", get("xn--bcher-kva.example"), Reach),
        ("another script, upper case", get("BÜCHER.example"), Reach),
        ("a look-alike in ascii", get("xn--allwed-4ya.example"), Refuse(403, not)),
        ("a look-alike as it is", get("аllowed.example"), Refuse(403, not)),
        ("wide letters mean the same host", get("ａｌｌｏｗｅｄ.example"), Reach),
        ("an ideographic full stop means a dot", get("allowed。example"), Reach),
        ("invisible characters", get("allo\u{202e}wed.example"), Refuse(400, letters)),
        ("NUL in a name", get("allowed.example\0.evil.invalid"), Refuse(400, form)),
        ("encoded NUL in a name", get("allowed.example%00.evil.invalid"), Refuse(400, letters)),
        ("an encoded dot in a name", get("allowed%2eexample"), Refuse(400, letters)),
        ("localhost", get("localhost"), Refuse(403, not)),
        // Addresses.
        ("loopback", get("127.0.0.1"), Refuse(403, not)),
        ("loopback, version 6", get("[::1]"), Refuse(403, not)),
        ("decimal", get("2130706433"), Refuse(400, address)),
        ("octal", get("0177.0.0.1"), Refuse(400, address)),
        ("hexadecimal parts", get("0x7f.0.0.1"), Refuse(400, address)),
        ("hexadecimal", get("0x7f000001"), Refuse(400, address)),
        ("shortened", get("127.1"), Refuse(400, address)),
        ("with a dot behind", get("127.0.0.1."), Refuse(400, address)),
        ("wide digits", get("１２７.0.0.1"), Refuse(403, not)),
        ("mapped", get("[::ffff:127.0.0.1]"), Refuse(400, address)),
        ("mapped, hexadecimal", get("[::ffff:7f00:1]"), Refuse(400, address)),
        ("with a zone", get("[fe80::1%25eth0]"), Refuse(400, address)),
        ("without brackets", get("::1"), Refuse(400, "port")),
        ("metadata", get("169.254.169.254"), Refuse(403, not)),
        ("unspecified", get("0.0.0.0"), Refuse(403, not)),
        // What names lead to.
        ("a name of loopback", get("loop.example"), Refuse(403, "has the private address 127.0.0.1")),
        ("a name of the metadata service", get("meta.example"), Refuse(403, "has the address 169.254.169.254")),
        ("one private address among public ones", get("mixed.example"), Refuse(403, "private address 10.0.0.1")),
        ("a name of a mapped address", get("mapped.example"), Refuse(403, "has the address ::ffff:127.0.0.1")),
        ("a name of a translated address", get("nat64.example"), Refuse(403, "has the address 64:ff9b::7f00:1")),
        ("a name of a carrier's address", get("cgnat.example"), Refuse(403, "private address 100.64.0.1")),
        ("a name of a local address", get("ula.example"), Refuse(403, "private address fd00::1")),
        ("a name of no address", get("zero.example"), Refuse(403, "has the address 0.0.0.0")),
        ("a name that is not known", get("nowhere.example"), Refuse(502, "could not be resolved")),
        // Targets.
        ("a user name", target("http://allowed.example:{P}@127.0.0.1:{P}/"), Refuse(400, "user name")),
        ("a user name and password", target("http://a:b@allowed.example:{P}/"), Refuse(400, "user name")),
        ("a backslash", target("http://allowed.example:{P}\\@127.0.0.1:{P}/"), Refuse(400, "user name")),
        ("a backslash before a path", target("http://127.0.0.1\\allowed.example/"), Refuse(400, letters)),
        ("a fragment", target("http://127.0.0.1:{P}#@allowed.example/"), Refuse(400, "user name")),
        ("a fragment behind the path", target("http://allowed.example:{P}/x#y"), Refuse(400, "may not stand there")),
        ("a blank in the target", target("http://allowed.example:{P}/x y"), Refuse(400, form)),
        ("a tab in the target", target("http://allowed.example:{P}/x\ty"), Refuse(400, form)),
        ("another port", get("allowed.example").replace("{P}", "1"), Refuse(403, "allowed.example:1 is not allowed; add the rule \"allowed.example:1\"")),
        ("the default port", target("http://allowed.example/"), Refuse(400, "Host header")),
        ("port 0", target("http://allowed.example:0/"), Refuse(400, "port")),
        ("port 65536", target("http://allowed.example:65536/"), Refuse(400, "port")),
        ("a port with a sign", target("http://allowed.example:+80/"), Refuse(400, "port")),
        ("an empty port", target("http://allowed.example:/"), Refuse(400, "port")),
        ("https without CONNECT", target("https://allowed.example/"), Refuse(400, "only http://")),
        ("ftp", target("ftp://allowed.example/"), Refuse(400, "only http://")),
        ("a file", target("file:///etc/passwd"), Refuse(400, "only http://")),
        ("as to a web server", target("/x"), Refuse(400, "only http://")),
        ("an asterisk", "OPTIONS * HTTP/1.1\r\nHost: allowed.example\r\n\r\n".into(), Refuse(400, "only http://")),
        ("CONNECT without a port", joined("allowed.example"), Refuse(400, "port")),
        ("CONNECT with an empty port", joined("allowed.example:"), Refuse(400, "port")),
        ("CONNECT with a path", joined("allowed.example:{P}/x"), Refuse(400, "port")),
        ("CONNECT with a user name", joined("a@allowed.example:{P}"), Refuse(400, "user name")),
        ("CONNECT with a scheme", joined("http://allowed.example:{P}"), Refuse(400, "port")),
        ("CONNECT to another name", joined("evil.example:443"), Refuse(403, "evil.example:443 is not allowed; add the rule \"evil.example\"")),
        ("CONNECT to the door itself", joined("127.0.0.1:3128"), Refuse(403, "127.0.0.1:3128 is not allowed")),
        ("CONNECT to localhost", joined("localhost:{P}"), Refuse(403, not)),
        ("CONNECT to loopback, version 6", joined("[::1]:{P}"), Refuse(403, not)),
        ("CONNECT to a private name", joined("loop.example:{P}"), Refuse(403, "private address")),
        ("CONNECT with a body", "CONNECT allowed.example:{P} HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc".into(), Refuse(400, "with a body")),
        ("CONNECT with another Host", "CONNECT allowed.example:{P} HTTP/1.1\r\nHost: evil.example:{P}\r\n\r\n".into(), Refuse(400, "Host header")),
        // The Host header.
        ("another Host", "GET http://allowed.example:{P}/ HTTP/1.1\r\nHost: evil.example\r\n\r\n".into(), Refuse(400, "Host header")),
        ("a Host with another port", "GET http://allowed.example:{P}/ HTTP/1.1\r\nHost: allowed.example:1\r\n\r\n".into(), Refuse(400, "Host header")),
        ("no Host", "GET http://allowed.example:{P}/ HTTP/1.1\r\n\r\n".into(), Refuse(400, "Host header")),
        ("two Hosts", "GET http://allowed.example:{P}/ HTTP/1.1\r\nHost: allowed.example:{P}\r\nHost: evil.example\r\n\r\n".into(), Refuse(400, "comes twice")),
        ("the same Host twice", "GET http://allowed.example:{P}/ HTTP/1.1\r\nHost: allowed.example:{P}\r\nhost: allowed.example:{P}\r\n\r\n".into(), Refuse(400, "comes twice")),
        ("an old client without Host", "GET http://allowed.example:{P}/x HTTP/1.0\r\n\r\n".into(), Reach),
        // Smuggling.
        ("a body", with("Content-Length: 3\r\n", "abc"), Reach),
        ("a chunked body", with("Transfer-Encoding: chunked\r\n", "3\r\nabc\r\n0\r\n\r\n"), Reach),
        ("length and chunks", with("Content-Length: 3\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\nGET http://evil.example/ HTTP/1.1\r\n\r\n"), Refuse(400, "a length and a transfer encoding")),
        ("two lengths", with("Content-Length: 3\r\nContent-Length: 4\r\n", "abcd"), Refuse(400, "comes twice")),
        ("the same length twice", with("Content-Length: 3\r\nContent-Length: 3\r\n", "abc"), Refuse(400, "comes twice")),
        ("a list of lengths", with("Content-Length: 3, 3\r\n", "abc"), Refuse(400, "no number")),
        ("a length with a sign", with("Content-Length: +3\r\n", "abc"), Refuse(400, "no number")),
        ("a hexadecimal length", with("Content-Length: 0x3\r\n", "abc"), Refuse(400, "no number")),
        ("an endless length", with("Content-Length: 99999999999999999999\r\n", "abc"), Refuse(400, "no number")),
        ("two encodings in one", with("Transfer-Encoding: chunked, identity\r\n", "0\r\n\r\n"), Refuse(400, "not `chunked`")),
        ("two encodings", with("Transfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n", "0\r\n\r\n"), Refuse(400, "comes twice")),
        ("another encoding", with("Transfer-Encoding: xchunked\r\n", "0\r\n\r\n"), Refuse(400, "not `chunked`")),
        ("an encoding behind a vertical tab", with("Transfer-Encoding: \x0bchunked\r\n", "0\r\n\r\n"), Refuse(400, "control characters")),
        ("an encoding of an old client", "POST http://allowed.example:{P}/ HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n".into(), Refuse(400, "http/1.0")),
        ("a blank before the colon", with("Transfer-Encoding : chunked\r\n", "0\r\n\r\n"), Refuse(400, "name is none")),
        ("a continued header", with("X: a\r\n b\r\n", ""), Refuse(400, "continued")),
        ("a line without CR", with("X: a\nY: b\r\n", ""), Refuse(400, "CR LF")),
        ("a CR in a line", with("X: a\rY: b\r\n", ""), Refuse(400, "CR LF")),
        ("a CR at the end of a line", with("X: a\r\r\nY: b\r\n", ""), Refuse(400, "CR LF")),
        ("a CR at the end of the last line", with("X: a\r\r\n", ""), Refuse(400, "CR LF")),
        ("a LF before the last line's end", with("X: a\n\r\n", ""), Refuse(400, "CR LF")),
        ("NUL in a header", with("X: a\0b\r\n", ""), Refuse(400, "control characters")),
        ("a form feed around a header", with("X: \x0ca\x0c\r\n", ""), Refuse(400, "control characters")),
        ("a header without a colon", with("X\r\n", ""), Refuse(400, "no colon")),
        ("a header without a name", with(": x\r\n", ""), Refuse(400, "name is none")),
        ("an empty first line", format!("\r\n{}", get("allowed.example")), Refuse(400, "no method")),
        ("a chunk's extension", with("Transfer-Encoding: chunked\r\n", "3;x=y\r\nabc\r\n0\r\n\r\n"), Refuse(400, "chunk's size")),
        ("a chunk's size that is none", with("Transfer-Encoding: chunked\r\n", "x\r\nabc\r\n0\r\n\r\n"), Refuse(400, "chunk's size")),
        ("a chunk's size that is too large", with("Transfer-Encoding: chunked\r\n", "ffffffffffffffff\r\n"), Refuse(400, "chunk's size")),
        ("a chunk longer than its size", with("Transfer-Encoding: chunked\r\n", "3\r\nabcd\r\n0\r\n\r\n"), Refuse(400, "longer than its size")),
        ("a chunk's line without CR", with("Transfer-Encoding: chunked\r\n", "3\nabc\n0\n\nGET / HTTP/1.1 and more and more"), Refuse(400, "line is too long")),
        ("trailers", with("Transfer-Encoding: chunked\r\n", "0\r\nHost: evil.example\r\n\r\n"), Refuse(400, "trailers")),
        ("an expectation that is not known", with("Expect: 200-ok\r\n", ""), Refuse(400, "expects")),
        // Other protocols.
        ("http/2 with prior knowledge", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".into(), Refuse(400, "http/2")),
        ("http/0.9", "GET http://allowed.example:{P}/\r\n\r\n".into(), Refuse(400, "three parts")),
        ("http/1.2", "GET http://allowed.example:{P}/ HTTP/1.2\r\n\r\n".into(), Refuse(400, "version")),
        ("TLS to the door", "\x16\x03\x01\x02\x00\x01".into(), Refuse(400, "no method")),
        ("SOCKS to the door", "\x05\x01\x00".into(), Refuse(400, "no method")),
        // Methods and paths.
        ("TRACE", "TRACE http://allowed.example:{P}/ HTTP/1.1\r\nHost: allowed.example:{P}\r\n\r\n".into(), Refuse(405, "TRACE")),
        ("an allowed method and path", limited("GET", "/v1/x"), Reach),
        ("an allowed path with a query", limited("GET", "/v1/x?y=/../z"), Reach),
        ("another method", limited("POST", "/v1/x"), Refuse(403, "POST limited.example/v1/x is not allowed; add the rule \"POST limited.example:{P}/v1/x\"")),
        ("a method in lower case", limited("get", "/v1/x"), Refuse(403, not)),
        ("another path", limited("GET", "/v2/x"), Refuse(403, not)),
        ("a path that begins alike", limited("GET", "/v1x"), Refuse(403, not)),
        ("a path in upper case", limited("GET", "/V1/x"), Refuse(403, not)),
        ("up and out", limited("GET", "/v1/../admin"), Refuse(403, not)),
        ("up and out, encoded", limited("GET", "/v1/%2e%2E/admin"), Refuse(403, not)),
        ("up and out, with a parameter", limited("GET", "/v1/..;x/admin"), Refuse(403, not)),
        ("up and out, encoded twice", limited("GET", "/v1/%252e%252e/admin"), Refuse(403, not)),
        ("an encoded slash", limited("GET", "/v1%2fx"), Refuse(403, not)),
        ("a doubled slash", limited("GET", "//v1/x"), Refuse(403, not)),
        ("a backslash in a path", limited("GET", "/v1/..\\admin"), Refuse(400, "may not stand there")),
        ("an encoded backslash in a path", limited("GET", "/v1/..%5cadmin"), Refuse(403, not)),
        ("another host in a query", limited("GET", "/v2?http://allowed.example/v1/"), Refuse(403, not)),
        ("a websocket where methods are limited", "GET http://limited.example:{P}/v1/ws HTTP/1.1\r\nHost: limited.example:{P}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n".into(), Refuse(403, "websocket")),
        ("http/2 by upgrade is not followed", with("Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n", ""), Reach),
        // Size.
        ("many headers", with(&"X: y\r\n".repeat(101), ""), Refuse(431, "too large")),
        ("a huge header", with(&format!("X: {}\r\n", "y".repeat(70_000)), ""), Refuse(431, "too large")),
        ("a huge first line", get(&"a".repeat(70_000)), Refuse(431, "too large")),
    ]
}

#[tokio::test]
async fn each_request_gets_its_verdict() {
    let world = World::new().await;
    let answers: &[(&str, &[&str])] = &[
        ("meta.example", &["169.254.169.254"]),
        ("mixed.example", &["203.0.113.9", "10.0.0.1"]),
        ("mapped.example", &["::ffff:127.0.0.1"]),
        ("nat64.example", &["64:ff9b::7f00:1"]),
        ("cgnat.example", &["100.64.0.1"]),
        ("ula.example", &["fd00::1"]),
        ("zero.example", &["0.0.0.0"]),
        ("nowhere.example", &[]),
    ];
    for (name, addresses) in answers {
        world.resolver.set(name, &[addresses]);
    }
    let mut wrong = Vec::new();
    for (name, request, must) in cases() {
        let request = world.fill(&request);
        let proxy = world.proxy(RULES);
        let answered = timeout(Duration::from_secs(10), ask(&proxy, request.as_bytes())).await;
        let answer = answered.unwrap_or_else(|_| "nothing".to_owned());
        let event = world.events.one().await;
        let seen = world.seen();
        let fits = match &must {
            Reach => {
                answer.starts_with("HTTP/1.1 200 OK\r\n")
                    && event.verdict == Verdict::Allowed
                    && seen.len() == 1
            }
            Refuse(status, part) => {
                let part = world.fill(part);
                let told = answer.starts_with(&format!("HTTP/1.1 {status} Recto: "));
                // An answer to what was allowed and failed has an event that says so.
                let why = event.failure.as_deref().unwrap_or_else(|| reason(&event));
                // Twice: tools show the status line or the body.
                told && answer.matches(&part).count() == 2 && why.contains(&part) && seen.is_empty()
            }
        };
        if !fits {
            wrong.push(format!("{name}:\n{answer}\n{event:?}\n{seen:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
    // The resolver is asked for allowed names only.
    let asked = world.resolver.asked();
    assert!(
        asked
            .iter()
            .all(|name| name.ends_with(".example") && !name.contains("evil"))
    );
}

#[tokio::test]
async fn an_empty_list_allows_nothing() {
    let world = World::new().await;
    let none: [&str; 0] = [];
    for permission in [world.rules(&none), Permission::Nothing] {
        let nothing = permission == Permission::Nothing;
        let proxy = Proxy::start(world.options(permission)).unwrap();
        for request in [
            get("allowed.example"),
            joined("allowed.example:443"),
            get("127.0.0.1"),
        ] {
            let answer = ask(&proxy, world.fill(&request).as_bytes()).await;
            assert!(answer.starts_with("HTTP/1.1 403 Recto: "), "{answer}");
            let why = reason(&world.events.one().await).to_owned();
            if nothing {
                assert!(
                    why.starts_with("this cell has no network (policy none)"),
                    "{why}"
                );
            }
            assert!(answer.contains(&why), "{answer}");
        }
    }
    assert_eq!(world.hits(), 0);
    assert!(world.resolver.asked().is_empty());
}

#[tokio::test]
async fn without_a_network_the_reason_is_that_whatever_is_asked() {
    let world = World::new().await;
    let proxy = Proxy::start(world.options(Permission::Nothing)).unwrap();
    for request in [
        target("https://allowed.example/"),
        target("/x"),
        joined("allowed.example"),
    ] {
        let answer = ask(&proxy, request.as_bytes()).await;
        assert!(
            answer.starts_with("HTTP/1.1 403 Recto: this cell has no network"),
            "{answer}"
        );
    }
}

#[tokio::test]
async fn each_of_several_requests_is_judged() {
    let world = World::new().await;
    let proxy = world.proxy(RULES);
    let keep = get("allowed.example").replace("Connection: close\r\n", "");
    let both = format!("{keep}{}", get("evil.example"));
    let answer = ask(&proxy, world.fill(&both).as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
    assert!(
        answer.contains("HTTP/1.1 403 Recto: evil.example"),
        "{answer}"
    );
    let both = format!("{keep}{}", limited("GET", "/v1/y"));
    let answer = ask(&proxy, world.fill(&both).as_bytes()).await;
    assert_eq!(answer.matches("HTTP/1.1 200 OK").count(), 2, "{answer}");
    let targets: Vec<String> = world.seen().into_iter().map(|seen| seen.target).collect();
    assert_eq!(targets, ["/x", "/x", "/v1/y"]);
}

#[tokio::test]
async fn requests_to_one_host_share_a_connection() {
    let world = World::new().await;
    let proxy = world.proxy(RULES);
    let keep = get("allowed.example").replace("Connection: close\r\n", "");
    let three = format!("{keep}{keep}{}", get("allowed.example"));
    let answer = ask(&proxy, world.fill(&three).as_bytes()).await;
    assert_eq!(answer.matches("HTTP/1.1 200 OK").count(), 3, "{answer}");
    assert_eq!(world.hits(), 1);
    assert_eq!(world.resolver.asked().len(), 1);
}

#[tokio::test]
async fn redirects_are_passed_back_and_judged_anew() {
    let world = World::new().await;
    let proxy = world.proxy(RULES);
    let request = get("allowed.example").replace("/x", "/redirect");
    let answer = ask(&proxy, world.fill(&request).as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 302 Found"), "{answer}");
    assert!(
        answer.contains("location: http://evil.example/"),
        "{answer}"
    );
    assert_eq!(world.resolver.asked(), ["allowed.example"]);
    let answer = ask(
        &proxy,
        b"GET http://evil.example/ HTTP/1.1\r\nHost: evil.example\r\n\r\n",
    )
    .await;
    assert!(
        answer.starts_with("HTTP/1.1 403 Recto: evil.example:80"),
        "{answer}"
    );
}

#[tokio::test]
async fn what_belongs_to_one_connection_is_not_passed_on() {
    let world = World::new().await;
    let proxy = world.proxy(RULES);
    let lines = "Connection: x-mine, host\r\nX-Mine: 1\r\nX-Kept: 2\r\nProxy-Authorization: Basic abc\r\n\
                 Proxy-Connection: keep-alive\r\nTE: trailers\r\nUpgrade: h2c\r\nKeep-Alive: 5\r\nContent-Length: 4\r\n";
    let answer = ask(&proxy, world.fill(&with(lines, "body")).as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
    let seen = world.seen().remove(0);
    let names: Vec<&str> = seen.headers.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["host", "x-kept", "content-length"]);
    assert_eq!(seen.header("host"), [world.fill("allowed.example:{P}")]);
    assert_eq!((seen.method.as_str(), seen.target.as_str()), ("POST", "/x"));
    assert_eq!(seen.body, b"body");
    let event = world.events.one().await;
    assert_eq!((event.bytes_up, event.bytes_down), (4, 14));
    assert_eq!(event.rule, Some(world.fill("allowed.example:{P} private")));
}

#[tokio::test]
async fn events_hold_no_query() {
    let world = World::new().await;
    let proxy = world.proxy(RULES);
    ask(
        &proxy,
        world.fill(&limited("GET", "/v1/x?token=secret")).as_bytes(),
    )
    .await;
    ask(
        &proxy,
        world.fill(&limited("GET", "/v2/x?token=secret")).as_bytes(),
    )
    .await;
    for event in world.events.next(2).await {
        assert!(!format!("{event:?}").contains("secret"), "{event:?}");
    }
    assert_eq!(world.seen()[0].target, "/v1/x?token=secret");
}

#[tokio::test]
async fn a_body_that_waits_to_be_asked_for_is_asked_for() {
    let world = World::new().await;
    let proxy = world.proxy(RULES);
    let mut client = door(&proxy, 0).await;
    let head = world.fill(&with("Expect: 100-continue\r\nContent-Length: 3\r\n", ""));
    client.write_all(head.as_bytes()).await.unwrap();
    assert_eq!(
        read_head(&mut client).await,
        "HTTP/1.1 100 Continue\r\n\r\n"
    );
    client.write_all(b"abc").await.unwrap();
    assert!(read_head(&mut client).await.starts_with("HTTP/1.1 200 OK"));
    assert_eq!(world.seen()[0].body, b"abc");
}

#[tokio::test]
async fn half_a_body_never_looks_whole() {
    let world = World::new().await;
    let proxy = world.proxy(RULES);
    for body in ["Transfer-Encoding: chunked\r\n", "Content-Length: 10\r\n"] {
        let mut client = door(&proxy, 0).await;
        let request = world.fill(&with(body, "3\r\nabc\r\n"));
        client.write_all(request.as_bytes()).await.unwrap();
        drop(client);
        assert!(world.events.one().await.failure.is_some());
    }
    assert!(world.seen().is_empty());
}

#[tokio::test]
async fn a_websocket_goes_through_where_nothing_is_limited() {
    let world = World::new().await;
    let proxy = world.proxy(RULES);
    let mut client = door(&proxy, 0).await;
    let request = world.fill(
        "GET http://allowed.example:{P}/ws HTTP/1.1\r\nHost: allowed.example:{P}\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n\r\n",
    );
    client.write_all(request.as_bytes()).await.unwrap();
    let head = read_head(&mut client).await;
    assert!(
        head.starts_with("HTTP/1.1 101 Switching Protocols"),
        "{head}"
    );
    assert!(head.contains("upgrade: websocket"), "{head}");
    client.write_all(b"ping").await.unwrap();
    let mut four = [0; 4];
    client.read_exact(&mut four).await.unwrap();
    assert_eq!(&four, b"ping");
    drop(client);
    assert_eq!(world.events.one().await.bytes_down, 4);
}

#[tokio::test]
async fn what_comes_too_slowly_is_told_so() {
    let world = World::new().await;
    let limits = Limits {
        greeting: Duration::from_millis(50),
        ..Limits::default()
    };
    let mut options = world.options(world.rules(RULES));
    options.limits = limits;
    let proxy = Proxy::start(options).unwrap();
    let answer = ask(&proxy, b"GET http://allowed.example/ HT").await;
    assert!(answer.starts_with("HTTP/1.1 408 Recto: "), "{answer}");
    // Who says nothing at all is told nothing.
    assert_eq!(ask(&proxy, b"").await, "");
}

#[tokio::test]
async fn refusals_hold_nothing_that_could_be_more() {
    let world = World::new().await;
    let proxy = world.proxy(RULES);
    let path = format!("/{}\u{1b}[31m", "a".repeat(3000));
    for request in [
        limited("GET", &path),
        limited("GET", "/v2/%0d%0aSet-Cookie:x"),
    ] {
        let answer = ask(&proxy, world.fill(&request).as_bytes()).await;
        let head = answer.split("\r\n\r\n").next().unwrap();
        assert_eq!(head.lines().count(), 5, "{answer}");
        assert!(answer.len() < 1500, "{answer}");
        assert!(
            answer
                .bytes()
                .all(|b| b.is_ascii_graphic() || b" \r\n".contains(&b))
        );
    }
}
