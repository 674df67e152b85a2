//! Real input: a bug in the sources of `semver`, as published, is found by its own tests, repaired
//! and committed by a scripted session; everything but the model's words is real.

#![allow(clippy::unwrap_used)]

#[path = "fixtures/proof.rs"]
mod proof;

use std::path::PathBuf;
use std::process::Command;

use proof::{
    answer_after, assert_citations_hold, assert_committed, assert_replays, call_after, chunk_with,
    commands, exec_after, line_of,
};
use recto_testkit::{Home, Repository, Script};
use serde_json::{Value, json};

const FILE: &str = "src/impls.rs";
const GOOD: &str = "(true, true) => Ord::cmp(&lhs.len(), &rhs.len()).then_with(string_cmp),";
const BUG: &str = "(true, true) => string_cmp(),";
const TESTS: &str = "cargo test --offline";
const COMMIT: &str =
    "git commit -qam 'compare numeric identifiers by value' && git status --porcelain";

#[test]
fn a_bug_in_semver_is_repaired_and_committed_and_its_evidence_holds() {
    let (home, repo) = (Home::new(), semver_with_a_bug());
    let script = exec_after(Script::new(), &["numbers"], TESTS);
    let script = exec_after(
        script,
        &[
            "test_spec_order",
            "test result: FAILED",
            "Process exited with code 101",
        ],
        &format!("grep -n -B4 -A3 '{BUG}' {FILE}"),
    );
    let patch = format!(
        "*** Begin Patch\n*** Update File: {FILE}\n@@\n-                {BUG}\n+                {GOOD}\n\
         *** End Patch\n"
    );
    let script = call_after(
        script,
        &["Respect numeric"],
        "apply_patch",
        json!({"input": patch}),
    );
    let script = exec_after(script, &["M src/impls.rs"], TESTS);
    let script = exec_after(
        script,
        &["20 passed; 0 failed", "Process exited with code 0"],
        COMMIT,
    );
    let line = line_of(&repo, FILE, BUG);
    let answer = format!(
        "Numbers are compared by value again 【F:{FILE}†L{line}】, and the tests ran \
         【{{{{chunk 3}}}}†L1-L3】."
    );
    let script = answer_after(script, &["Process exited with code 0"], &answer);

    let args = [
        "exec",
        "--json",
        "-m",
        &script.model(),
        "Prereleases are sorted wrongly: numbers.",
    ];
    let run = home.run(repo.path(), &args).expect(0);
    let codes: Vec<i64> = commands(&run).iter().map(|(_, code)| *code).collect();
    assert_eq!(codes, [101, 0, 0, 0], "{}", run.stdout);
    assert_citations_hold(&run, 2);
    assert!(repo.read(FILE).contains(GOOD));
    assert_committed(&repo, "compare numeric identifiers by value\nfirst");
    assert_replays(&home, &repo);

    // The next turn of the same session cites the run of the tests, now that its chunk is known.
    let (chunk, line) = chunk_with(&home, "20 passed; 0 failed");
    let script = script.answer(&format!(
        "All 20 tests of requirements pass 【{chunk}†L{line}】."
    ));
    let args = [
        "exec",
        "--json",
        "resume",
        "--last",
        "Which run shows that?",
    ];
    assert_citations_hold(&home.run(repo.path(), &args).expect(0), 1);
    assert_replays(&home, &repo);
    drop(script);
}

#[test]
fn a_question_about_semver_is_answered_with_citations_that_hold() {
    let (home, repo) = (Home::new(), semver_with_a_bug());
    let before = repo.git(&["rev-parse", "HEAD"]);
    let (compare, tests) = (
        line_of(&repo, FILE, BUG),
        line_of(&repo, "tests/test_version.rs", "fn test_spec_order"),
    );
    let script = exec_after(
        Script::new(),
        &["compared"],
        "grep -rn string_cmp src; touch src/new",
    );
    let script = answer_after(
        script,
        &["src/impls.rs", "Read-only file system"],
        &format!(
            "In the order of prereleases 【F:{FILE}†L{}-L{compare}】, tested in the specification's \
             order 【F:tests/test_version.rs†L{tests}】.",
            compare - 3
        ),
    );
    let args = [
        "ask",
        "--json",
        "-m",
        &script.model(),
        "Where are identifiers compared?",
    ];
    assert_citations_hold(&home.run(repo.path(), &args).expect(0), 2);

    let (chunk, line) = chunk_with(&home, "src/impls.rs");
    let script = script.answer(&format!(
        "It is called here 【{chunk}†L{line}-L{}】.",
        line + 1
    ));
    let args = ["ask", "--json", "resume", "--last", "Where exactly?"];
    assert_citations_hold(&home.run(repo.path(), &args).expect(0), 1);
    assert_replays(&home, &repo);
    assert_committed(&repo, "first");
    assert_eq!(repo.git(&["rev-parse", "HEAD"]), before);
    drop(script);
}

#[test]
fn a_citation_that_does_not_hold_is_told() {
    let (home, repo) = (Home::new(), semver_with_a_bug());
    let script =
        Script::new().answer("【F:src/impls.rs†L9999】 【F:src/none.rs†L1】 【abcdef†L1】");
    let run = home
        .run(
            repo.path(),
            &["ask", "--json", "-m", &script.model(), "Where?"],
        )
        .expect(0);
    let events = run.events();
    let evidence = events
        .iter()
        .find(|event| event["type"] == "evidence")
        .unwrap();
    assert_eq!(evidence["all_hold"], false);
    let verdicts: Vec<&str> = evidence["citations"]
        .as_array()
        .unwrap()
        .iter()
        .map(|citation| citation["verdict"].as_str().unwrap())
        .collect();
    assert_eq!(verdicts, ["out of range", "not found", "not found"]);
}

/// The published sources with a bug planted in a source line, as a repository of one commit.
fn semver_with_a_bug() -> Repository {
    let repo = Repository::copy_of(&sources("semver"));
    // Its development dependencies are for benches, and cargo resolves even what it does not
    // build: without them the tests build offline from nothing but the sources.
    let manifest = repo.read("Cargo.toml");
    let own = manifest
        .split("[[bench]]")
        .next()
        .unwrap()
        .replace("serde = [\"dep:serde\"]\n", "");
    repo.write("Cargo.toml", &own);
    for gone in ["benches", "Cargo.lock", "Cargo.toml.orig"] {
        let path = repo.path().join(gone);
        let _ = std::fs::remove_dir_all(&path).or_else(|_| std::fs::remove_file(&path));
    }
    repo.write(".gitignore", "/target/\n/Cargo.lock\n");
    let source = repo.read(FILE);
    assert_eq!(
        source.matches(GOOD).count(),
        1,
        "semver changed: choose another bug"
    );
    repo.write(FILE, &source.replace(GOOD, BUG));
    repo.commit_all();
    repo
}

/// Where cargo keeps a dependency of this crate.
fn sources(name: &str) -> PathBuf {
    let version = Command::new("rustc").arg("-vV").output().unwrap();
    let version = String::from_utf8(version.stdout).unwrap();
    let host = version
        .lines()
        .find_map(|line| line.strip_prefix("host: "))
        .unwrap();
    let output = Command::new("cargo")
        // Of this machine only: what other systems need was never fetched.
        .args([
            "metadata",
            "--offline",
            "--format-version",
            "1",
            "--filter-platform",
            host,
        ])
        .current_dir(recto_testkit::workspace())
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    let package = packages
        .iter()
        .find(|package| package["name"] == name)
        .unwrap();
    let manifest = PathBuf::from(package["manifest_path"].as_str().unwrap());
    manifest.parent().unwrap().to_owned()
}
