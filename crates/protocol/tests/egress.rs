//! Hosts, rules, paths, presets and the least list of rules.

#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use recto_protocol::egress::{
    Host, HostError, MOST_TEXT, Preset, RequestEvent, Rule, Rules, Verdict, clip, minimal_rules,
    plain_path,
};

fn rule(text: &str) -> Rule {
    text.parse()
        .unwrap_or_else(|error| panic!("{text}: {error}"))
}

#[test]
fn hosts_are_read_strictly() {
    use HostError::{Character, Empty, NotAscii, Notation, TooLong};
    let long = "a".repeat(64);
    let deep = "a.".repeat(127);
    #[rustfmt::skip]
    let cases: Vec<(&str, Result<&str, HostError>)> = vec![
        ("pypi.org", Ok("pypi.org")), ("PyPI.Org.", Ok("pypi.org")), ("localhost", Ok("localhost")),
        ("xn--bcher-kva.example", Ok("xn--bcher-kva.example")), ("a--b.example", Ok("a--b.example")),
        ("1.example", Ok("1.example")), ("127.0.0.1.example", Ok("127.0.0.1.example")),
        ("0xg.example.x0", Ok("0xg.example.x0")),
        ("192.0.2.1", Ok("192.0.2.1")), ("[2001:DB8::1]", Ok("[2001:db8::1]")), ("[0:0:0:0:0:0:0:1]", Ok("[::1]")),
        ("", Err(Empty)), (".", Err(Empty)), ("a..b", Err(Empty)), (".a", Err(Empty)), ("a..", Err(Empty)),
        (&long, Err(TooLong)), (&deep, Ok(&deep[..253])), ("bücher.example", Err(NotAscii)),
        ("a_b", Err(Character)), ("-a", Err(Character)), ("a-", Err(Character)), ("a b", Err(Character)),
        ("a\0b", Err(Character)), ("a%2eb", Err(Character)), ("a/b", Err(Character)), ("a@b", Err(Character)),
        ("*", Err(Character)),
        ("2130706433", Err(Notation)), ("127.1", Err(Notation)), ("0177.0.0.1", Err(Notation)),
        ("0x7f.1", Err(Notation)), ("0x7f000001", Err(Notation)), ("1.2.3.256", Err(Notation)), ("a.0x", Err(Notation)),
        ("127.0.0.1.", Err(Notation)), ("1.2.3.4.5", Err(Notation)),
        ("::1", Err(Notation)), ("[::1", Err(Notation)), ("[::1]x", Err(Notation)), ("[127.0.0.1]", Err(Notation)),
        ("[::ffff:127.0.0.1]", Err(Notation)), ("[fe80::1%eth0]", Err(Notation)), ("a:80", Err(Notation)),
    ];
    for (text, expected) in cases {
        let host = text.parse::<Host>().map(|host| host.to_string());
        assert_eq!(
            host.as_deref().map_err(|error| *error),
            expected,
            "{text:?}"
        );
    }
}

#[test]
fn rules_have_one_text() {
    #[rustfmt::skip]
    let cases = [
        ("pypi.org", "pypi.org"),
        ("  PyPI.org. ", "pypi.org"),
        ("https://pypi.org", "https://pypi.org"),
        ("pypi.org:443", "https://pypi.org"),
        ("http://pypi.org", "http://pypi.org"),
        ("pypi.org:80", "http://pypi.org"),
        ("https://pypi.org:8443", "pypi.org:8443"),
        ("*.crates.io:443", "https://*.crates.io"),
        ("*.crates.io:443,80", "*.crates.io"),
        ("GET,HEAD https://api.example.com/v1/*", "GET,HEAD https://api.example.com/v1/*"),
        ("https://api.example.com/v1/*  /v2", "https://api.example.com/v1/* /v2"),
        ("https://api.example.com /v2 inject=a-b_1 private", "https://api.example.com/v2 private inject=a-b_1"),
        ("tcp:db.internal:5432", "tcp:db.internal:5432"),
        ("tcp://db.internal:5432 private", "tcp:db.internal:5432 private"),
        ("tcp:[::1]:5432", "tcp:[::1]:5432"),
        ("192.0.2.1:8080", "192.0.2.1:8080"),
        ("[2001:db8::1]", "[2001:db8::1]"),
        ("LOCALHOST private", "localhost private"),
    ];
    for (text, shown) in cases {
        let rule = rule(text);
        assert_eq!(rule.to_string(), shown);
        assert_eq!(self::rule(shown), rule);
        let json = serde_json::to_string(&rule).unwrap();
        assert_eq!(json, format!("{shown:?}"));
        assert_eq!(serde_json::from_str::<Rule>(&json).unwrap(), rule);
    }
}

#[test]
fn what_is_no_rule_says_why() {
    #[rustfmt::skip]
    let cases = [
        ("", "a rule is one line"),
        ("a\nb", "a rule is one line"),
        ("ftp://a.example", "not with \"ftp\""),
        ("*", "a wildcard is the first label"),
        ("*.com", "a wildcard is the first label"),
        ("a.*.example.com", "a wildcard is the first label"),
        ("*a.example.com", "a wildcard is the first label"),
        ("*.*.example.com", "a wildcard is the first label"),
        ("*.1.2", "is no host"),
        ("bücher.example", "is no host"),
        ("a_b.example", "is no host"),
        ("127.1", "is no host"),
        ("user@a.example", "is no host"),
        ("a.example:0", "is no port"),
        ("a.example:", "is no port"),
        ("a.example:http", "is no port"),
        ("a.example:80,", "is no port"),
        ("a.example:+80", "is no port"),
        ("tcp:a.example", "one host and one port"),
        ("tcp:a.example:1,2", "one host and one port"),
        ("tcp:*.a.example:1", "one host and one port"),
        ("tcp:a.example:1/x", "one host and one port"),
        ("GET tcp:a.example:1", "one host and one port"),
        ("tcp:a.example:1 inject=x", "one host and one port"),
        ("get https://a.example", "methods are capital letters"),
        ("a.example b.example", "methods are capital letters"),
        ("GET, https://a.example", "methods are capital letters"),
        ("CONNECT a.example", "methods are capital letters"),
        ("a.example/x?y", "is no path"),
        ("a.example/x#y", "is no path"),
        ("a.example/a/../b", "is no path"),
        ("a.example//b", "is no path"),
        ("a.example/%2f", "is no path"),
        ("a.example/%61", "is no path"),
        ("a.example private x", "means nothing here"),
        // Would be shown as a rule for the host `get` with a word.
        ("GET priVate", "means nothing here"),
        ("a.example inject=", "no name of a credential"),
        ("a.example inject=a/b", "no name of a credential"),
        ("preset:nothing", "there is no preset \"nothing\"; there are rust, python"),
    ];
    for (text, why) in cases {
        let error = Rules::parse([text]).unwrap_err().to_string();
        assert!(error.contains(why), "{text:?}: {error}");
    }
}

#[test]
fn paths_fit_patterns() {
    #[rustfmt::skip]
    let cases = [
        ("/", "/", true), ("/", "/x", false),
        ("/*", "/", true), ("/*", "/x/y", true),
        ("/v1", "/v1", true), ("/v1", "/v1/", false), ("/v1", "/v1/x", false), ("/v1", "/v", false),
        ("/v1/*", "/v1/", true), ("/v1/*", "/v1/x/y/z", true), ("/v1/*", "/v1", false), ("/v1/*", "/v10", false),
        ("/v*", "/v1/x", true), ("/v*", "/w/v1", false),
        ("/*/*/git-upload-pack", "/a/b/git-upload-pack", true),
        ("/*/*/git-upload-pack", "/a/b/c/git-upload-pack", false),
        ("/*/*/git-upload-pack", "/a/git-upload-pack", false),
        ("/a*c/d", "/abc/d", true), ("/a*c/d", "/ac/d", true), ("/a*c/d", "/ab/d", false), ("/a*c/d", "/a/c/d", false),
        ("/a*b*c", "/axbxxc", true), ("/a*b*c", "/acb", false), ("/a*b*", "/axxbyy/z", true),
        ("/a/**", "/a/b/c", true),
        ("/caf%C3%A9", "/caf%c3%a9", true), ("/a", "/%61", true), ("/a b", "/a%20b", false),
    ];
    for (pattern, path, fits) in cases {
        let text = format!("https://a.example{}", pattern.replace(' ', "%20x"));
        assert_eq!(rule(&text).allows("GET", path), fits, "{pattern} {path}");
    }
}

#[test]
fn a_path_that_means_several_things_means_nothing() {
    #[rustfmt::skip]
    let refused = [
        "", "x", "/a//b", "//a", "/./a", "/a/.", "/a/..", "/a/../b", "/..;/b", "/a/.;x/b", "/%2e%2e/b", "/a/%2E/b", "/a%2fb",
        "/a%5Cb", "/a\\b", "/a%00b", "/a%0ab", "/a%7f", "/%252e", "/a%", "/a%2", "/a%zz", "/a b", "/a?b", "/a#b", "/é", "/a\0",
    ];
    for path in refused {
        assert_eq!(plain_path(path), None, "{path:?}");
    }
    let plain = [
        ("/", "/"),
        ("/a/", "/a/"),
        ("/%41%7e", "/A~"),
        ("/%c3%a9", "/%C3%A9"),
        ("/a;b=c/..d", "/a;b=c/..d"),
        ("/@s%20", "/@s%20"),
    ];
    for (path, expected) in plain {
        assert_eq!(plain_path(path).as_deref(), Some(expected), "{path}");
    }
}

#[test]
fn slow_patterns_are_not_slow() {
    let pattern = format!("/{}x", "*a".repeat(200));
    let path = format!("/{}", "a".repeat(60_000));
    assert!(!rule(&format!("a.example{pattern}")).allows("GET", &path));
    assert!(!rule(&format!("a.example{pattern}*")).allows("GET", &path));
}

#[test]
fn presets_hold_rules() {
    for (number, preset) in Preset::all().enumerate() {
        assert_eq!(preset as usize, number);
        assert_eq!(preset.rules().len(), preset.texts().len(), "{preset}");
        for (rule, text) in preset.rules().iter().zip(preset.texts()) {
            assert_eq!(rule.to_string(), *text, "as it is shown");
            assert!(!rule.private() && rule.inject().is_none());
        }
        assert_eq!(
            serde_json::to_string(&preset).unwrap(),
            format!("\"{}\"", preset.name())
        );
        assert_eq!(preset.name().parse::<Preset>().unwrap(), preset);
    }
}

#[test]
fn github_can_be_read_and_not_written() {
    let rules = Preset::GithubReadonly.rules();
    let host: Host = "github.com".parse().unwrap();
    let allowed = |method: &str, path: &str| {
        let mut covering = rules.iter().filter(|rule| rule.covers(&host, 443));
        covering.any(|rule| rule.allows(method, path))
    };
    assert!(allowed("GET", "/a/b.git/info/refs"));
    assert!(allowed("POST", "/a/b.git/git-upload-pack"));
    assert!(!allowed("POST", "/a/b.git/git-receive-pack"));
    assert!(!allowed("POST", "/login"));
}

#[test]
fn texts_are_cut_within_their_limit() {
    for text in [
        "a".repeat(3000),
        "\u{1b}".repeat(3000),
        "\u{e9}".repeat(3000),
    ] {
        for start in 0..4 {
            let clipped = clip(&format!("{}{text}", &"aaaa"[start..]));
            assert!(
                clipped.len() <= MOST_TEXT && clipped.ends_with('~'),
                "{clipped}"
            );
            assert!(clipped.bytes().all(|byte| (b' '..=b'~').contains(&byte)));
        }
    }
    assert_eq!(clip("a\r\nb\"c"), "a\\x0d\\x0ab\"c");
}

fn event(host: &str, port: u16, method: &str) -> RequestEvent {
    RequestEvent {
        host: host.into(),
        port,
        method: method.into(),
        path: None,
        bytes_up: 1,
        bytes_down: 2,
        verdict: Verdict::Allowed,
        rule: None,
        failure: None,
    }
}

#[test]
fn the_least_rules_allow_what_was_seen() {
    let refused = RequestEvent {
        verdict: Verdict::Refused {
            reason: "no".into(),
        },
        ..event("evil.example", 443, "CONNECT")
    };
    let events = [
        event("static.crates.io", 443, "CONNECT"),
        event("index.crates.io", 443, "CONNECT"),
        event("index.crates.io", 443, "CONNECT"),
        event("example.com", 443, "CONNECT"),
        event("example.com", 80, "GET"),
        event("example.com", 8443, "CONNECT"),
        event("db.example.com", 5432, "TCP"),
        event("pypi.org", 443, "CONNECT"),
        event("pypi.org", 80, "GET"),
        refused,
    ];
    let least = minimal_rules(&events);
    let expected = [
        "preset:python",
        "preset:rust",
        "tcp:db.example.com:5432",
        "example.com",
        "example.com:8443",
        "pypi.org",
    ];
    assert_eq!(least, expected);
    let rules = Rules::parse(&least).unwrap().named();
    let allowed = events
        .iter()
        .filter(|event| event.verdict == Verdict::Allowed);
    for event in allowed.filter(|event| event.method != "TCP") {
        let host = event.host.parse().unwrap();
        assert!(
            rules.iter().any(|(_, rule)| rule.covers(&host, event.port)),
            "{event:?}"
        );
    }
    assert!(minimal_rules(&[]).is_empty());
}

#[test]
fn events_are_read_as_they_were_written() {
    let line = r#"{"host":"a.example","port":443,"method":"GET","path":"/v1","bytes_up":1,"bytes_down":2,"verdict":"allowed","rule":"a.example"}"#;
    let read: RequestEvent = serde_json::from_str(line).unwrap();
    assert_eq!(serde_json::to_string(&read).unwrap(), line);
    let line = r#"{"host":"","port":0,"method":"","bytes_up":0,"bytes_down":0,"verdict":{"refused":{"reason":"no"}}}"#;
    let read: RequestEvent = serde_json::from_str(line).unwrap();
    assert_eq!(serde_json::to_string(&read).unwrap(), line);
}
