//! The variables, as tools find them.

use std::net::{Ipv4Addr, SocketAddrV4};

use recto_egress::{Reachable, environment};

const DOOR: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::LOCALHOST, 3128);

fn value<'a>(variables: &'a [(String, String)], name: &str) -> Option<&'a str> {
    let found = variables.iter().find(|(held, _)| held == name);
    found.map(|(_, value)| value.as_str())
}

#[test]
fn tools_find_the_proxy() {
    let variables = environment(DOOR, None, Reachable::Outside);
    for name in [
        "http_proxy",
        "HTTPS_PROXY",
        "CARGO_HTTP_PROXY",
        "npm_config_https_proxy",
    ] {
        assert_eq!(
            value(&variables, name),
            Some("http://127.0.0.1:3128"),
            "{name}"
        );
    }
    assert_eq!(
        value(&variables, "NO_PROXY"),
        Some("localhost,127.0.0.1,::1")
    );
    assert!(
        value(&variables, "MAVEN_OPTS")
            .unwrap()
            .contains("-Dhttps.proxyPort=3128")
    );
    assert_eq!(value(&variables, "SSL_CERT_FILE"), None);
    assert_eq!(value(&variables, "PIP_RETRIES"), None);
}

#[test]
fn tools_trust_the_authority_where_there_is_one() {
    let variables = environment(DOOR, Some("/run/ca.pem"), Reachable::Outside);
    for name in [
        "SSL_CERT_FILE",
        "NODE_EXTRA_CA_CERTS",
        "CARGO_HTTP_CAINFO",
        "GIT_SSL_CAINFO",
    ] {
        assert_eq!(value(&variables, name), Some("/run/ca.pem"), "{name}");
    }
}

#[test]
fn tools_do_not_try_again_where_nothing_is_reached() {
    let variables = environment(DOOR, None, Reachable::Nothing);
    assert_eq!(value(&variables, "PIP_RETRIES"), Some("1"));
    for name in [
        "UV_HTTP_RETRIES",
        "npm_config_fetch_retries",
        "CARGO_NET_RETRY",
    ] {
        assert_eq!(value(&variables, name), Some("0"), "{name}");
    }
}

#[test]
fn no_variable_comes_twice() {
    let variables = environment(DOOR, Some("/ca"), Reachable::Nothing);
    let mut names: Vec<&String> = variables.iter().map(|(name, _)| name).collect();
    names.sort();
    names.dedup();
    assert_eq!(names.len(), variables.len());
}
