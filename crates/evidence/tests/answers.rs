//! Final answers, made by hand, with the verdicts that they must get: `answers.toml`.

#![allow(clippy::unwrap_used)]

mod words;

use std::collections::BTreeMap;
use std::path::Path;

use recto_evidence::claims::Ran;
use recto_evidence::report::detect;
use recto_evidence::summary::{Facts, NotVerified, Summary, summarize};
use recto_evidence::{ChunkText, Lookup, check};
use recto_protocol::ChunkId;
use serde::Deserialize;
use words::words;

#[derive(Deserialize)]
struct Set {
    files: BTreeMap<String, String>,
    run: BTreeMap<String, Run>,
    answer: Vec<Answer>,
}

#[derive(Deserialize)]
struct Run {
    chunk: String,
    command: String,
    exit: Option<i32>,
    output: Option<String>,
    text: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Answer {
    text: String,
    runs: Vec<String>,
    #[serde(default)]
    unchanged: bool,
    #[serde(default)]
    claims: Vec<String>,
    #[serde(default)]
    citations: Vec<String>,
    #[serde(default)]
    malformed: Vec<String>,
    #[serde(default)]
    checks: Vec<String>,
    #[serde(default)]
    doubts: Vec<String>,
}

struct Sources<'a> {
    set: &'a Set,
    texts: BTreeMap<ChunkId, ChunkText>,
}

impl Lookup for Sources<'_> {
    fn file(&self, path: &str) -> Option<String> {
        self.set.files.get(path).cloned()
    }

    fn chunk(&self, id: &ChunkId) -> Option<ChunkText> {
        self.texts.get(id).cloned()
    }
}

fn here(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests")
        .join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn summary(set: &Set, answer: &Answer) -> Summary {
    let mut sources = Sources {
        set,
        texts: BTreeMap::new(),
    };
    let mut runs = Vec::new();
    for name in &answer.runs {
        let run = &set.run[name.rsplit(' ').next().unwrap()];
        let text = match &run.output {
            Some(fixture) => here(&format!("fixtures/{fixture}.txt")),
            None => run.text.clone().unwrap(),
        };
        let (chunk, is_stale) = (ChunkId(run.chunk.clone()), name.contains("stale "));
        runs.push(Ran {
            command: run.command.clone(),
            exit_code: run.exit,
            report: detect(&run.command, &text),
            chunk: chunk.clone(),
            is_stale,
            is_check: name.contains("check "),
        });
        sources.texts.insert(
            chunk,
            ChunkText {
                text,
                stale: is_stale,
            },
        );
    }
    let checks = answer
        .checks
        .iter()
        .map(|check| check.split(": ").next().unwrap().to_owned());
    let checks: Vec<String> = checks.collect();
    summarize(Facts {
        answer: &answer.text,
        citations: &check(&answer.text, &sources),
        runs: &runs,
        checks: &checks,
        before: None,
        has_changes: !answer.unchanged,
    })
}

fn snake(value: impl serde::Serialize) -> String {
    serde_json::to_value(value)
        .unwrap()
        .as_str()
        .unwrap()
        .to_owned()
}

fn doubt(doubt: &NotVerified) -> String {
    match doubt {
        NotVerified::Citation { at } => format!("citation {at}"),
        NotVerified::Malformed { at } => format!("malformed {at}"),
        NotVerified::Claim { at } => format!("claim {at}"),
        NotVerified::Check { at } => format!("check {at}"),
        NotVerified::NoTestsSinceChange => "no tests".to_owned(),
        NotVerified::TestReport => "report".to_owned(),
    }
}

#[test]
fn every_answer_gets_its_verdicts() {
    let set: Set = toml::from_str(&here("answers.toml")).unwrap();
    assert!(set.answer.len() >= 60, "{} answers only", set.answer.len());
    let mut wrong = String::new();
    for answer in &set.answer {
        let found = summary(&set, answer);
        let claims = found.claims.iter().map(|claim| {
            let (verdict, reason) = (
                snake(claim.judgement.verdict),
                snake(claim.judgement.reason),
            );
            let by: Vec<&str> = claim.judgement.by.iter().map(ChunkId::as_str).collect();
            let by = if by.is_empty() {
                String::new()
            } else {
                format!(" by {}", by.join(" "))
            };
            format!("{}: {verdict} {reason}{by}", words(&claim.claim))
        });
        let citations = found.citations.iter().map(|citation| {
            let chunk = citation.chunk.as_ref().map(ToString::to_string);
            let target = citation.file.clone().or(chunk).unwrap();
            format!(
                "{target}:{}-{} {}",
                citation.first,
                citation.last,
                snake(citation.verdict)
            )
        });
        let checks = found
            .checks
            .iter()
            .map(|check| format!("{}: {}", check.command, snake(check.state)));
        for (what, found, expected) in [
            ("claims", claims.collect::<Vec<_>>(), &answer.claims),
            ("citations", citations.collect(), &answer.citations),
            (
                "malformed",
                found.malformed.iter().map(|it| it.text.clone()).collect(),
                &answer.malformed,
            ),
            ("checks", checks.collect(), &answer.checks),
            (
                "doubts",
                found.not_verified.iter().map(doubt).collect(),
                &answer.doubts,
            ),
        ] {
            if found != *expected {
                wrong += &format!(
                    "{:?} after {:?}\n  {what} {found:#?}\n",
                    answer.text, answer.runs
                );
            }
        }
        assert_eq!(found.is_verified(), found.not_verified.is_empty());
        let text = serde_json::to_string(&found).unwrap();
        assert_eq!(serde_json::from_str::<Summary>(&text).unwrap(), found);
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn tests_before_and_after_are_told() {
    let set: Set = toml::from_str(&here("answers.toml")).unwrap();
    let answer = |runs: &[&str]| Answer {
        text: String::new(),
        runs: runs.iter().map(|run| (*run).to_owned()).collect(),
        unchanged: false,
        claims: Vec::new(),
        citations: Vec::new(),
        malformed: Vec::new(),
        checks: Vec::new(),
        doubts: Vec::new(),
    };
    let found = summary(
        &set,
        &answer(&["stale cargo-red", "stale cargo-part", "ls", "cargo"]),
    );
    let tests = found.tests.unwrap();
    assert_eq!(tests.before.unwrap().chunk, Some("c00002".into()));
    assert_eq!(tests.after.chunk, Some("c00001".into()));
    let change = tests.change.unwrap();
    assert_eq!(
        (
            change.fixed.len(),
            change.broken.len(),
            change.removed.len()
        ),
        (0, 0, 3)
    );

    let found = summary(&set, &answer(&["stale pytest-red", "pytest"]));
    let change = found.tests.unwrap().change.unwrap();
    assert_eq!(change.fixed.len(), 3);
    assert!(change.is_partial);

    let found = summary(&set, &answer(&["stale cargo", "pytest"]))
        .tests
        .unwrap();
    assert!(found.before.is_none() && found.change.is_none());
    assert!(summary(&set, &answer(&["stale cargo"])).tests.is_none());
}

/// The form of a summary is promised: fields are only added to it, and this one must stay readable.
#[test]
fn the_form_of_a_summary_is_kept() {
    let set: Set = toml::from_str(&here("answers.toml")).unwrap();
    let text = "`add` is fixed 【F:src/lib.rs†L4-L6】【F:src/lib.rs†L99】【F:src/lib.rs】. All 9 tests pass, \
                clippy is clean and `cargo test --lib adds` should pass.";
    let answer = Answer {
        text: text.to_owned(),
        runs: ["stale cargo-red", "check tidy", "clippy", "cargo"]
            .map(str::to_owned)
            .to_vec(),
        unchanged: false,
        claims: Vec::new(),
        citations: Vec::new(),
        malformed: Vec::new(),
        checks: vec![
            "cargo xtask tidy: passed".to_owned(),
            "make lint: not_run".to_owned(),
        ],
        doubts: Vec::new(),
    };
    let found = summary(&set, &answer);
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/summary-1.json");
    let json = serde_json::to_string_pretty(&found).unwrap() + "\n";
    if std::env::var_os("RECTO_WRITE_SUMMARY").is_some() {
        std::fs::write(&path, &json).unwrap();
    }
    let golden = here("golden/summary-1.json");
    assert_eq!(serde_json::from_str::<Summary>(&golden).unwrap(), found);
    assert_eq!(
        json, golden,
        "RECTO_WRITE_SUMMARY=1 writes the file anew; fields are only added"
    );
}
