//! Which addresses names may have, and that the one that was checked is the one that is used.

use recto_egress::address::{Reach, reach};
use recto_egress::{Permission, Proxy};
use recto_protocol::egress::{Verdict, minimal_rules};

use crate::support::{World, ask, connect, reason};

#[test]
fn addresses_belong_to_somebody() {
    use Reach::{Private, Public, Special};
    #[rustfmt::skip]
    let cases = [
        ("1.1.1.1", Public), ("8.8.8.8", Public), ("172.15.0.1", Public), ("172.32.0.1", Public),
        ("100.63.0.1", Public), ("100.128.0.1", Public), ("192.167.1.1", Public), ("11.0.0.1", Public),
        ("223.255.255.255", Public), ("198.17.0.1", Public), ("198.20.0.1", Public),
        // For documentation: somebody's proxy may be there.
        ("203.0.113.80", Public), ("192.0.2.1", Public), ("198.51.100.1", Public), ("2001:db8::1", Public),
        ("10.0.0.1", Private), ("10.255.255.255", Private), ("127.0.0.1", Private), ("127.255.0.1", Private),
        ("172.16.0.1", Private), ("172.31.255.255", Private), ("192.168.1.1", Private),
        ("100.64.0.1", Private), ("100.127.255.255", Private), ("198.18.0.1", Private), ("198.19.0.1", Private),
        ("0.0.0.0", Special), ("0.1.2.3", Special), ("169.254.169.254", Special), ("169.254.0.1", Special),
        ("192.0.0.8", Special), ("192.88.99.1", Special), ("224.0.0.1", Special), ("239.1.1.1", Special),
        ("240.0.0.1", Special), ("255.255.255.255", Special),
        ("2606:4700::1111", Public), ("2a00::1", Public), ("3fff::1", Public),
        ("::1", Private), ("fc00::1", Private), ("fd12:3456::1", Private),
        ("fd00:ec2::254", Special), ("::", Special), ("::ffff:8.8.8.8", Special), ("::7f00:1", Special),
        ("64:ff9b::808:808", Special), ("64:ff9b:1::1", Special), ("100::1", Special), ("2002:7f00:1::", Special),
        ("2001::1", Special), ("fe80::1", Special), ("fec0::1", Special), ("ff02::1", Special), ("5f00::1", Special),
        ("4000::1", Special),
    ];
    for (address, expected) in cases {
        assert_eq!(reach(address.parse().unwrap()), expected, "{address}");
    }
}

#[tokio::test]
async fn the_address_that_was_checked_is_the_one_that_is_used() {
    let world = World::new().await;
    // Each time it is asked, the resolver says something else.
    let answers: [&[&str]; 4] = [
        &["127.0.0.1"],
        &["169.254.169.254"],
        &["127.0.0.1"],
        &["0.0.0.0"],
    ];
    world.resolver.set("rebind.example", &answers);
    let proxy = world.proxy(&["rebind.example:{P} private"]);
    let request = world.fill(
        "GET http://rebind.example:{P}/ HTTP/1.1\r\nHost: rebind.example:{P}\r\nConnection: close\r\n\r\n",
    );
    for reached in [true, false, true, false] {
        let answer = ask(&proxy, request.as_bytes()).await;
        let status = if reached {
            "HTTP/1.1 200 "
        } else {
            "HTTP/1.1 403 Recto: "
        };
        assert!(answer.starts_with(status), "{answer}");
        // Once per connection: there is no second answer to be fooled by.
        assert_eq!(world.resolver.asked(), ["rebind.example"]);
    }
}

#[tokio::test]
async fn a_name_that_turns_private_is_refused() {
    let world = World::new().await;
    let proxy = world.proxy(&["rebind.example:{P}"]);
    for address in [
        "127.0.0.1",
        "10.1.2.3",
        "::1",
        "fd00:ec2::254",
        "::ffff:10.0.0.1",
    ] {
        world
            .resolver
            .set("rebind.example", &[&["203.0.113.1", address]]);
        let (_, head) = connect(&proxy, &world.fill("rebind.example:{P}")).await;
        assert!(
            head.starts_with("HTTP/1.1 403 Recto: rebind.example has the "),
            "{head}"
        );
        assert!(head.contains(address), "{head}");
        world.events.one().await;
    }
    assert_eq!(world.hits(), 0);
}

#[tokio::test]
async fn a_rule_that_names_an_address_reaches_it() {
    let world = World::new().await;
    let proxy = world.proxy(&["127.0.0.1:{P}"]);
    let ask_for = |host: &str| {
        let text = "GET http://HOST:{P}/ HTTP/1.1\r\nHost: HOST:{P}\r\nConnection: close\r\n\r\n";
        world.fill(&text.replace("HOST", host))
    };
    assert!(
        ask(&proxy, ask_for("127.0.0.1").as_bytes())
            .await
            .starts_with("HTTP/1.1 200")
    );
    assert!(
        ask(&proxy, ask_for("127.0.0.2").as_bytes())
            .await
            .starts_with("HTTP/1.1 403")
    );
    // Another notation of the same address is no address at all.
    assert!(
        ask(&proxy, ask_for("2130706433").as_bytes())
            .await
            .starts_with("HTTP/1.1 400")
    );
    assert!(world.resolver.asked().is_empty());
}

#[tokio::test]
async fn a_wildcard_stands_for_so_many_names_only() {
    let world = World::new().await;
    let mut options = world.options(world.rules(&["*.wild.example:{P} private"]));
    options.limits.names = 3;
    let proxy = Proxy::start(options).unwrap();
    let mut reached = 0;
    for name in ["a", "b", "a", "c", "d", "e", "b"] {
        let text = "GET http://N.wild.example:{P}/ HTTP/1.1\r\nHost: N.wild.example:{P}\r\nConnection: close\r\n\r\n";
        let answer = ask(&proxy, world.fill(&text.replace('N', name)).as_bytes()).await;
        reached += usize::from(answer.starts_with("HTTP/1.1 200"));
    }
    assert_eq!(reached, 5);
    let asked = world.resolver.asked();
    assert!(
        !asked
            .iter()
            .any(|name| name.starts_with('d') || name.starts_with('e'))
    );
    let refused = world.events.next(5).await.pop().unwrap();
    assert!(reason(&refused).contains("too many names"), "{refused:?}");
}

#[tokio::test]
async fn learning_allows_what_is_public_and_nothing_else() {
    let world = World::new().await;
    let proxy = Proxy::start(world.options(Permission::Everything)).unwrap();
    // All names lead to loopback here.
    for target in [
        "some.example:443",
        "127.0.0.1:{P}",
        "[::1]:{P}",
        "169.254.169.254:80",
    ] {
        let (_, head) = connect(&proxy, &world.fill(target)).await;
        assert!(head.starts_with("HTTP/1.1 403 Recto: "), "{head}");
    }
    assert_eq!(world.hits(), 0);
    let events = world.events.next(4).await;
    assert!(events.iter().all(|event| event.verdict != Verdict::Allowed));
    assert!(minimal_rules(&events).is_empty());
}
