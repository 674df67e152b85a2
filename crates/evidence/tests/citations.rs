//! Citations: forms, verdicts, hostile answers.

use proptest::prelude::*;
use recto_evidence::{ChunkText, Lookup, Target, Verdict, check, malformed, parse, plain, resolve};
use recto_protocol::ChunkId;

/// Every citation of `answer` in its form for people.
fn parses(answer: &str, expected: &[&str]) {
    let found: Vec<String> = parse(answer)
        .iter()
        .map(|f| f.citation.to_string())
        .collect();
    assert_eq!(found, expected, "in {answer:?}");
}

#[test]
fn forms() {
    parses("", &[]);
    parses("see 【F:src/lib.rs†L3-L9】.", &["src/lib.rs:3-9"]);
    parses("【F:src/lib.rs†L3】", &["src/lib.rs:3"]);
    parses("【F:src/lib.rs†L3-9】", &["src/lib.rs:3-9"]);
    parses(
        "【1a2b3c†L1-L4】【1A2B3C†L2】",
        &["output 1a2b3c:1-4", "output 1a2b3c:2"],
    );
    parses("【F:a b/ü†x.rs†L1】", &["a b/ü†x.rs:1"]);
    parses("【F:a†L0】【F:a†L9-L3】", &["a:0", "a:9-3"]);
    parses(
        "【F:a†L99999999999999999999999999】",
        &["a:18446744073709551615"],
    );
}

#[test]
fn not_citations() {
    for text in [
        "【】",
        "【F:】",
        "【F:a】",
        "【F:†L1】",
        "【F:a†】",
        "【F:a†L】",
        "【F:a†L-L】",
        "【F:a†L1-】",
        "【F:a†L1-L2-L3】",
        "【F:a†l1】",
        "【F:a†L+1】",
        "【F:a†L１】",
        "【12345†L1】",
        "【1234567†L1】",
        "【12345g†L1】",
        "【12†source】",
        "【F:a†L1",
        "F:a†L1】",
        "【F:a\n†L1】",
        "】【",
        "†",
        "【†】",
    ] {
        parses(text, &[]);
    }
}

#[test]
fn nested_brackets_give_the_inner_citation() {
    parses("【【F:a†L1】】", &["a:1"]);
    parses("【F:x†L1【F:a†L1】†L2】", &["a:1"]);
}

#[test]
fn misspelt_citations_are_reported() {
    let answer = "【F:a】 【F:a†L1】 【12†source】 【1a2b3c†3】 【note】";
    let texts: Vec<&str> = malformed(answer)
        .into_iter()
        .map(|span| &answer[span])
        .collect();
    assert_eq!(texts, ["【F:a】", "【1a2b3c†3】"]);
    assert!(!check("【F:a】", &Fixture).all_hold());
}

#[test]
fn plain_text_for_terminals() {
    assert_eq!(
        plain("It works 【F:src/lib.rs†L3-L9】, see 【1a2b3c†L1-L4】 and 【x】."),
        "It works (src/lib.rs:3-9), see (output 1a2b3c:1-4) and 【x】."
    );
    assert_eq!(plain("none"), "none");
}

struct Fixture;

impl Lookup for Fixture {
    fn file(&self, path: &str) -> Option<String> {
        match path {
            "three" => Some("one\n  \nthree\n".to_owned()),
            "no-final-break" => Some("one\ntwo".to_owned()),
            "empty" => Some(String::new()),
            "crlf" => Some("one\r\n\r\n".to_owned()),
            _ => None,
        }
    }

    fn chunk(&self, id: &ChunkId) -> Option<ChunkText> {
        let text = "ok\n\nok\n".to_owned();
        match id.as_str() {
            "aaaaaa" => Some(ChunkText { text, stale: false }),
            "bbbbbb" => Some(ChunkText { text, stale: true }),
            _ => None,
        }
    }
}

#[test]
fn verdicts() {
    let judged = |citation: &str, verdict: Verdict| {
        let found = parse(citation);
        assert_eq!(
            resolve(&found[0].citation, &Fixture),
            verdict,
            "of {citation}"
        );
    };
    judged("【F:three†L1】", Verdict::Holds);
    judged("【F:three†L1-L3】", Verdict::Holds);
    judged("【F:three†L2】", Verdict::Blank);
    judged("【F:three†L4】", Verdict::OutOfRange { lines: 3 });
    judged("【F:three†L0-L1】", Verdict::OutOfRange { lines: 3 });
    judged("【F:three†L3-L1】", Verdict::OutOfRange { lines: 3 });
    judged("【F:no-final-break†L2】", Verdict::Holds);
    judged("【F:empty†L1】", Verdict::OutOfRange { lines: 0 });
    judged("【F:crlf†L2】", Verdict::Blank);
    judged("【F:../../etc/passwd†L1】", Verdict::NotFound);
    judged("【aaaaaa†L1】", Verdict::Holds);
    judged("【bbbbbb†L1】", Verdict::Stale);
    judged("【bbbbbb†L2】", Verdict::Blank);
    judged("【bbbbbb†L9】", Verdict::OutOfRange { lines: 3 });
    judged("【cccccc†L1】", Verdict::NotFound);
}

#[test]
fn reports() {
    let answer = "a 【F:three†L2-L3】 b 【bbbbbb†L1】";
    let report = check(answer, &Fixture);
    assert_eq!(report.citations.len(), 2);
    assert_eq!(report.citations[0].excerpt, "  \nthree\n");
    assert_eq!(&answer[report.citations[1].span.clone()], "【bbbbbb†L1】");
    assert_eq!(
        report.citations[1].citation.target,
        Target::Chunk("bbbbbb".into())
    );
    assert!(!report.all_hold());
    assert!(check("【F:three†L1】", &Fixture).all_hold());
    assert!(check("nothing cited", &Fixture).all_hold());
}

#[test]
fn large_hostile_answers_take_linear_time() {
    struct Large(String);
    impl Lookup for Large {
        fn file(&self, _: &str) -> Option<String> {
            Some(self.0.clone())
        }
        fn chunk(&self, _: &ChunkId) -> Option<ChunkText> {
            None
        }
    }
    let large = Large("\n".repeat(1_000_000));
    for unit in [
        "【",
        "】",
        "【】",
        "†",
        "【F:",
        "【F:a†L1",
        "【F:a†L1-L1000000】",
    ] {
        let answer = unit.repeat((1 << 20) / unit.len());
        check(&answer, &large);
        plain(&answer);
    }
    // It ends: seven megabytes take milliseconds when linear, hours when not.
}

proptest! {
    #[test]
    fn never_panics_and_spans_are_citations(
        answer in "([a-zA-F0-9:L\\-†【】 \n]|【F:[a-z†]{0,3}†L[0-9]{0,22}(-L?[0-9]{0,3})?】|\\PC){0,60}"
    ) {
        for found in parse(&answer) {
            let text = &answer[found.span.clone()];
            prop_assert!(text.starts_with('【') && text.ends_with('】'));
            let again = parse(text);
            prop_assert_eq!(again.len(), 1);
            prop_assert_eq!(&again[0].citation, &found.citation);
            prop_assert_eq!(&again[0].span, &(0..text.len()));
        }
        check(&answer, &Fixture);
        plain(&answer);
    }
}
