//! Real input: a bug in `toolz`, as published, is found by its own pytest suite, repaired and
//! committed. The virtual environment with pytest lies outside the repository, switched on as users
//! switch it on, and the cell shows it read-only.

#![allow(clippy::unwrap_used)]

#[path = "fixtures/proof.rs"]
mod proof;

use proof::{
    answer_after, assert_citations_hold, assert_committed, assert_replays, call_after, chunk_with,
    commands, exec_after, line_of,
};
use recto_testkit::{Home, Repository, Script, test_environment};
use serde_json::json;

const FILE: &str = "toolz/itertoolz.py";
const GOOD: &str = "    if prev[-1] is no_pad:";
const BUG: &str = "    if prev[0] is no_pad:";
const TESTS: &str = "python -m pytest -q";
const COMMIT: &str = "git commit -qam 'partition_all: drop the padding' && git status --porcelain";

#[test]
fn a_bug_in_toolz_is_repaired_and_committed_and_its_evidence_holds() {
    let (home, repo) = (home_with_pytest(), toolz_with_a_bug());
    let script = exec_after(Script::new(), &["padding"], TESTS);
    let script = exec_after(
        script,
        &[
            "FAILED toolz/tests/test_itertoolz.py::test_partition_all",
            "Process exited with code 1",
        ],
        &format!("grep -nF -A8 '{BUG}' {FILE}"),
    );
    let patch = format!(
        "*** Begin Patch\n*** Update File: {FILE}\n@@ def partition_all(n, seq):\n-{BUG}\n+{GOOD}\n\
         *** End Patch\n"
    );
    let script = call_after(
        script,
        &["If seq defines __len__"],
        "apply_patch",
        json!({"input": patch}),
    );
    let script = exec_after(script, &["M toolz/itertoolz.py"], TESTS);
    let script = exec_after(
        script,
        &["180 passed", "Process exited with code 0"],
        COMMIT,
    );
    let line = line_of(&repo, FILE, BUG);
    let script = answer_after(
        script,
        &["Process exited with code 0"],
        &format!(
            "The padding is looked for at the end again 【F:{FILE}†L{line}】; all tests pass \
             【{{{{chunk 3}}}}†L4】."
        ),
    );
    let args = [
        "exec",
        "--json",
        "-m",
        &script.model(),
        "partition_all yields padding.",
    ];
    let run = home.run(repo.path(), &args).expect(0);
    let codes: Vec<i64> = commands(&run).iter().map(|(_, code)| *code).collect();
    assert_eq!(codes, [1, 0, 0, 0], "{}", run.stdout);
    assert_citations_hold(&run, 2);
    assert!(repo.read(FILE).contains(GOOD));
    assert_committed(&repo, "partition_all: drop the padding\nfirst");
    assert_replays(&home, &repo);

    // The next turn of the same session cites the run of the tests, now that its chunk is known.
    let (chunk, line) = chunk_with(&home, "180 passed");
    let script = script.answer(&format!("All 180 tests pass 【{chunk}†L{line}】."));
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
fn a_question_about_toolz_is_answered_with_citations_that_hold() {
    let (home, repo) = (home_with_pytest(), toolz_with_a_bug());
    let line = line_of(&repo, FILE, "def partition_all");
    // Even a read-only cell can run the tests; only what they would write is refused.
    let script = exec_after(
        Script::new(),
        &["pads"],
        "python -m pytest -q -k partition_all",
    );
    let script = answer_after(
        script,
        &["test_partition_all", "Process exited with code 1"],
        &format!("`partition_all` 【F:{FILE}†L{line}-L{}】.", line + 5),
    );
    let args = [
        "ask",
        "--json",
        "-m",
        &script.model(),
        "What pads the last tuple?",
    ];
    assert_citations_hold(&home.run(repo.path(), &args).expect(0), 1);
    assert_replays(&home, &repo);
    assert_committed(&repo, "first");
    drop(script);
}

#[test]
fn the_virtual_environment_is_shown_read_only() {
    let (home, repo) = (home_with_pytest(), toolz_with_a_bug());
    let script = "echo $VIRTUAL_ENV; command -v python; touch $VIRTUAL_ENV/new 2>&1";
    let run = home
        .run(repo.path(), &["cell", "run", "--", "sh", "-c", script])
        .expect(1);
    let venv = venv();
    assert!(
        run.stdout
            .starts_with(&format!("{venv}\n{venv}/bin/python\n")),
        "{}",
        run.stdout
    );
    assert!(
        run.stdout.contains("Read-only file system"),
        "{}",
        run.stdout
    );
}

fn venv() -> String {
    test_environment("venv")
        .canonicalize()
        .unwrap()
        .display()
        .to_string()
}

/// What `. venv/bin/activate` sets.
fn home_with_pytest() -> Home {
    let mut home = Home::new();
    let path = std::env::var("PATH").unwrap();
    home.set("VIRTUAL_ENV", &venv());
    home.set("PATH", &format!("{}/bin:{path}", venv()));
    home
}

/// The published sources with a bug planted in a source line, as a repository of one commit.
fn toolz_with_a_bug() -> Repository {
    let repo = Repository::copy_of(&test_environment("pypi/toolz-1.0.0"));
    repo.write(".gitignore", "__pycache__/\n.pytest_cache/\n");
    let source = repo.read(FILE);
    assert_eq!(
        source.matches(GOOD).count(),
        1,
        "toolz changed: choose another bug"
    );
    repo.write(FILE, &source.replace(GOOD, BUG));
    repo.commit_all();
    repo
}
