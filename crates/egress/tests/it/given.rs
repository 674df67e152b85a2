//! The cases that are given from outside the project, where they lie beside the checkout.

use recto_protocol::egress::Verdict;
use recto_testkit::given;
use tokio::io::AsyncWriteExt;

use crate::support::{World, ask, connect, read_all};
use crate::tls::inside;

const RULES: &[&str] = &[
    "GET allowed.example:{P} private",
    "GET allowed.example:{T} private",
    "*.allowed.example:{P} private",
];

#[tokio::test]
async fn each_given_case_gets_the_verdict_it_names() {
    for case in given("display_and_egress.json").unwrap_or_default() {
        if case["kind"] == "egress" {
            let payload = case["payload"].as_str().unwrap();
            println!("{}: {payload}", case["id"]);
            check(payload).await;
        }
    }
}

fn get(host: &str) -> String {
    format!("GET http://{host}:{{P}}/ HTTP/1.1\r\nHost: {host}:{{P}}\r\nConnection: close\r\n\r\n")
}

/// Nothing of what is refused reaches a server or a name server.
async fn check(payload: &str) {
    let world = World::new().await;
    let rules = match payload {
        "empty allow-list" => &[],
        _ => RULES,
    };
    let proxy = world.proxy(rules);
    let plain = async |request: &str| ask(&proxy, world.fill(request).as_bytes()).await;
    let answer = match payload {
        "allowed.example." => {
            // One host with the name without the dot.
            assert!(plain(&get(payload)).await.starts_with("HTTP/1.1 200"));
            assert_eq!(world.events.one().await.host, "allowed.example");
            assert_eq!(world.resolver.asked(), ["allowed.example"]);
            return;
        }
        "allowed.example with inner Host evil.invalid" => {
            let request = "GET / HTTP/1.1\r\nHost: evil.invalid:{T}\r\n\r\n";
            inside(&world, &proxy, "allowed.example", request).await
        }
        "allowed.example with method POST" => {
            plain(&get("allowed.example").replace("GET", "POST")).await
        }
        "HTTP/1.1 request smuggling CL+TE" => {
            let both = "/ HTTP/1.1\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n";
            let request = get("allowed.example").replace("/ HTTP/1.1\r\n", both);
            plain(&format!("{request}0\r\n\r\nGET /evil HTTP/1.1\r\n\r\n")).await
        }
        "CONNECT then plain HTTP/2 prior knowledge" => {
            let (mut stream, head) = connect(&proxy, &world.fill("allowed.example:{T}")).await;
            assert!(head.starts_with("HTTP/1.1 200"), "{head}");
            let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
            stream.write_all(preface).await.unwrap();
            read_all(&mut stream).await
        }
        "DNS label of 63 random characters x 4" => {
            let labels = vec!["q7".repeat(31) + "z"; 4].join(".");
            plain(&get(&format!("{labels}.allowed.example"))).await
        }
        "empty allow-list" => plain(&get("allowed.example")).await,
        host if !host.contains(' ') => {
            let (_, head) = connect(&proxy, &world.fill(&format!("{host}:{{T}}"))).await;
            assert!(head.starts_with("HTTP/1.1 403"), "{payload}: {head}");
            assert_eq!(world.events.one().await.host, host);
            plain(&get(host)).await
        }
        other => panic!("nobody knows how to check {other:?}"),
    };
    assert!(answer.starts_with("HTTP/1.1 40"), "{payload}: {answer}");
    let event = world.events.one().await;
    assert!(
        event.verdict != Verdict::Allowed || event.failure.is_some(),
        "{payload}: {event:?}"
    );
    assert_eq!(world.hits(), 0, "{payload}");
    assert!(world.resolver.asked().is_empty(), "{payload}");
}
