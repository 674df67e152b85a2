//! Reports: recorded outputs of real runners, look-alikes, hostile text.
//!
//! `fixtures/README.md` tells how the outputs were recorded. `crates/testkit/tests/reports.rs` runs
//! the runners again.

#![allow(clippy::unwrap_used)]

#[allow(dead_code)]
mod cases;

use cases::{cases, counts, failing, is, runners};
use proptest::prelude::*;
use recto_evidence::report::{TestReport, compare, detect, junit};

#[test]
fn recorded_outputs_are_read() {
    let mut count = 0;
    for runner in runners().iter().filter(|name| !name.contains('.')) {
        for case in cases(runner).cases {
            let output = std::fs::read(case.recorded("txt")).unwrap();
            let xml = std::fs::read_to_string(case.recorded("xml")).ok();
            case.check(&String::from_utf8_lossy(&output), xml.as_deref());
            count += 1;
        }
    }
    assert!(count > 80, "{count} cases only");
}

#[test]
fn messages_say_what_went_wrong() {
    for (runner, name, expected) in [
        (
            "cargo",
            "mixed",
            "assertion `left == right` failed: two and two",
        ),
        ("nextest", "mixed", "thread 'adds_wrongly'"),
        ("pytest", "mixed", "RuntimeError: no fixture"),
        ("unittest", "mixed", "AssertionError: 4 != 5"),
        ("go", "verbose", "no 2"),
        ("go", "json", "no 2"),
        ("jest", "mixed", "Expected: 5"),
        ("vitest", "mixed", "expected 4 to be 5"),
        ("mocha", "mixed", "Error: no sum"),
        ("mocha", "tap", "4 == 5"),
        ("node", "spec", "Error: no sum"),
        ("node", "tap", "error: no sum"),
        ("tap", "mixed", "message: two and two"),
        ("rspec", "mixed", "expected: 5"),
        ("phpunit", "mixed", "RuntimeException: no sum"),
        ("maven", "mixed", "expected: <5> but was: <4>"),
    ] {
        let report = recorded(runner, name);
        let said: Vec<&str> = report.failing.iter().map(|f| f.message.as_str()).collect();
        assert!(
            said.iter().any(|text| text.contains(expected)),
            "{runner}/{name}: {said:#?}"
        );
    }
}

/// What comes of reading `output` as the output of `command`.
fn reads(command: &str, output: &str, expected: &str) {
    let found =
        detect(command, output).map(|report| format!("{}; {}", counts(&report), is(&report)));
    assert_eq!(
        found.as_deref().unwrap_or("none"),
        expected,
        "{command}:\n{output}"
    );
}

const CARGO: &str = "\nrunning 2 tests\ntest a ... ok\ntest b ... ok\n\ntest result: ok. 2 passed; 0 failed; \
                     0 ignored; 0 measured; 0 filtered out; finished in 0.00s\n";

#[test]
fn what_only_prints_has_no_report() {
    for command in [
        "echo 'test result: ok. 2 passed'",
        "cat old.log",
        "cd a && grep -rn 'test result' .",
        "git show HEAD:log.txt",
        "printf '%s' \"$X\" | tee log",
        "bash -c 'cat log'",
        "head -n 50 log && tail log",
        "cat <<'E'\ncargo test\nE",
        "python3 -c 'print(1)'",
        "python3 - <<E\nprint(1)\nE",
        "X=$(cargo test); echo \"$X\"",
        "for x in a b; do cat $x; done",
        "bash <<E\necho\nE",
        "cargo test > log 2>&1; cat old.log",
        "cargo test &> log\ncat old.log",
        "cargo test >/dev/null && echo 'test result: ok'",
        "cargo test '",
    ] {
        reads(command, CARGO, "none");
    }
}

#[test]
fn a_runner_is_asked_for_its_own_form_only() {
    reads(
        "cargo test",
        CARGO,
        "cargo test: 2 passed, 0 failed, 0 skipped; complete named counted",
    );
    reads(
        "cargo test 2>&1 | tee log",
        CARGO,
        "cargo test: 2 passed, 0 failed, 0 skipped; complete named counted",
    );
    reads(
        "cargo test 2>log",
        CARGO,
        "cargo test: 2 passed, 0 failed, 0 skipped; complete named counted",
    );
    reads("pytest -q", CARGO, "none");
    reads("cargo nextest run", CARGO, "none");
    reads("cargo build", CARGO, "none");
    reads("cargo clippy; ruff check .", CARGO, "none");
}

#[test]
fn an_unknown_command_must_show_the_whole_form() {
    let whole = "cargo test: 2 passed, 0 failed, 0 skipped; complete named counted";
    reads("make test", CARGO, whole);
    reads("./run.sh && echo done", CARGO, whole);
    reads("for x in 1 2; do cargo test; done", CARGO, whole);
    for output in [
        "test result: ok. 12 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s",
        "All tests passed!\n12 passed in 0.3s",
        "ok 1 - fine",
        "ok\n",
        "OK (12 tests, 12 assertions)",
        "  12 passing",
        "Tests:       12 passed, 12 total",
        "      Tests  12 passed (12)",
        "Ran 12 tests in 0.1s\n\nOK",
        "12 examples, 0 failures",
        "[INFO] Tests run: 12, Failures: 0, Errors: 0, Skipped: 0",
        "     Summary [   0.021s] 12 tests run: 12 passed, 0 skipped",
    ] {
        reads("make test", output, "none");
    }
}

#[test]
fn several_runners_in_one_output_are_summed() {
    let pytest = std::fs::read_to_string(case("pytest", "green").recorded("txt")).unwrap();
    reads(
        "make test",
        &format!("{CARGO}{pytest}"),
        "several runners: 5 passed, 0 failed, 2 skipped; complete counted",
    );
    reads(
        "cargo test && pytest",
        CARGO,
        "cargo test: 2 passed, 0 failed, 0 skipped; complete named counted",
    );
    let twice = format!("{pytest}{pytest}");
    reads(
        "pytest a; pytest b",
        &twice,
        "pytest: 6 passed, 0 failed, 4 skipped; complete counted",
    );
}

#[test]
fn a_report_that_contradicts_itself_is_marked() {
    let result = |counts: &str| {
        format!("{counts}; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s\n")
    };
    let ok = result("test result: ok. 2 passed; 0 failed");
    // A result without a beginning, after one that was whole.
    reads(
        "cargo test",
        &format!("{CARGO}{ok}"),
        "cargo test: 4 passed, 0 failed, 0 skipped; complete contradictory counted",
    );
    // A result of another sum is not this program's.
    let lie = result("test result: ok. 9 passed; 0 failed");
    reads(
        "cargo test",
        &CARGO.replace("test b", &format!("{lie}test b")),
        "cargo test: 2 passed, 0 failed, 0 skipped; complete named counted",
    );
    let failed = CARGO.replace("test b ... ok", "test b ... FAILED");
    reads(
        "cargo test",
        &failed,
        "cargo test: 2 passed, 0 failed, 0 skipped; complete contradictory counted",
    );
    let word = CARGO.replace("result: ok", "result: FAILED");
    reads(
        "cargo test",
        &word,
        "cargo test: 2 passed, 0 failed, 0 skipped; complete contradictory counted",
    );
    reads(
        "pytest",
        "===== test session starts =====\ncollected 2 items\n\n===== 90 passed in 0.1s =====\n",
        "pytest: 90 passed, 0 failed, 0 skipped; complete contradictory counted",
    );
    reads(
        "python -m unittest",
        &format!(
            "{}\nRan 2 tests in 0.1s\n\nOK (failures=1)\n",
            "-".repeat(70)
        ),
        "unittest: 1 passed, 1 failed, 0 skipped; complete contradictory counted",
    );
    reads(
        "npx jest",
        "Test Suites: 1 passed, 1 total\nTests:       2 passed, 3 total\n",
        "jest: 2 passed, 0 failed, 0 skipped; complete contradictory counted",
    );
    reads(
        "go test ./...",
        "--- FAIL: TestA (0.00s)\nok  \texample.org/a\t0.1s\n",
        "go test: 1 passed, 1 failed, 0 skipped; complete contradictory",
    );
    reads(
        "prove",
        "TAP version 13\nok 1 - a\nok 2 - b\n1..1\n",
        "TAP: 2 passed, 0 failed, 0 skipped; contradictory counted",
    );
}

#[test]
fn a_cut_report_is_not_complete() {
    let at = CARGO.find("test b").unwrap();
    reads(
        "cargo test",
        &CARGO[..at],
        "cargo test: 1 passed, 0 failed, 0 skipped; counted",
    );
    let session =
        "===== test session starts =====\ncollected 2 items\n\na.py::test_a PASSED [ 50%]\n";
    reads(
        "pytest -v",
        session,
        "pytest: 1 passed, 0 failed, 0 skipped; counted",
    );
    reads(
        "prove",
        "TAP version 13\n1..3\nok 1 - a\n",
        "TAP: 1 passed, 0 failed, 0 skipped; counted",
    );
    reads(
        "prove",
        "1..2\nok 1 - a\nBail out! no database\n",
        "TAP: 1 passed, 1 failed, 0 skipped; counted",
    );
}

#[test]
fn files_that_are_no_report_say_so() {
    for (xml, expected) in [
        ("<html></html>", "no test suite in this XML"),
        ("", "no test suite in this XML"),
        ("<testsuite><testcase", "not well-formed XML at byte 11"),
        (
            "<testsuite><testcase name='a'></testsuite>",
            "not well-formed XML at byte 30",
        ),
    ] {
        assert_eq!(junit(xml).unwrap_err().to_string(), expected, "{xml}");
    }
    // Entities of a document type are not expanded.
    let bomb = "<!DOCTYPE a [<!ENTITY b \"bbbbbbbb\"><!ENTITY c \"&b;&b;\">]><testsuite tests='1'>\
                <testcase name='a'><failure>&c;&lt;</failure></testcase></testsuite>";
    assert_eq!(junit(bomb).unwrap().failing[0].message, "<");
}

#[test]
fn reports_are_compared_by_name() {
    let report = |lines: &[&str]| {
        let failed = lines.iter().filter(|line| line.ends_with("FAILED")).count();
        let body: String = lines.iter().map(|line| format!("test {line}\n")).collect();
        let (all, passed) = (lines.len(), lines.len() - failed);
        let word = if failed == 0 { "ok" } else { "FAILED" };
        let text = format!(
            "running {all} tests\n{body}\ntest result: {word}. {passed} passed; {failed} failed; 0 ignored; \
             0 measured; 0 filtered out\n"
        );
        detect("cargo test", &text).unwrap()
    };
    let before = report(&[
        "a ... FAILED",
        "b ... FAILED",
        "c ... ok",
        "d ... ok",
        "e ... FAILED",
    ]);
    let after = report(&["a ... ok", "b ... FAILED", "c ... FAILED", "f ... ok"]);
    let found = compare(&before, &after);
    let names = |tests: &[recto_evidence::report::TestName]| {
        tests
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            .join(" ")
    };
    assert_eq!(names(&found.fixed), "a");
    assert_eq!(names(&found.still_failing), "b");
    assert_eq!(names(&found.broken), "c");
    assert_eq!(names(&found.added), "f");
    assert_eq!(names(&found.removed), "d e");
    assert!(!found.is_partial);
    assert_eq!(compare(&before, &before).fixed, []);

    // Where passing tests have no names, what does not fail any more is fixed.
    let (before, after) = (recorded("pytest", "quiet"), recorded("pytest", "green"));
    let found = compare(&before, &after);
    assert!(found.is_partial);
    assert_eq!(found.fixed.len(), 3);
    assert_eq!(compare(&after, &before).broken.len(), 3);
    assert_eq!(failing(&before).len(), 3);
}

fn case(runner: &str, name: &str) -> cases::Case {
    cases(runner)
        .cases
        .into_iter()
        .find(|case| case.name == name)
        .unwrap()
}

fn recorded(runner: &str, name: &str) -> TestReport {
    let case = case(runner, name);
    let output = std::fs::read_to_string(case.recorded("txt")).unwrap();
    detect(&case.run, &output).unwrap()
}

#[test]
fn reports_survive_json() {
    let report = recorded("pytest", "verbose");
    let text = serde_json::to_string(&report).unwrap();
    assert_eq!(serde_json::from_str::<TestReport>(&text).unwrap(), report);
}

#[test]
fn huge_lines_and_floods_are_read_in_one_pass() {
    let commands = [
        "make",
        "pytest",
        "cargo test",
        "go test -json",
        "npx jest",
        "npx mocha",
        "node --test",
        "prove",
    ];
    let line = "x".repeat(5 << 20);
    let escapes = "\u{1b}]8;;\u{1b}\\".repeat(200_000);
    let deep: String = (0..20_000)
        .map(|n| format!("{}▶ group\n", " ".repeat(n % 500)))
        .collect();
    let failures = "not ok 1 - a\n--- FAIL: TestA (0.00s)\n  1) a:\n✖ a (1ms)\ntest a ... FAILED\n"
        .repeat(50_000);
    for command in commands {
        for text in [&line, &escapes, &deep, &failures] {
            detect(command, text);
        }
    }
}

/// Pieces that parsers look for, shuffled.
const PIECES: &[&str] = &[
    "running 2 tests\n",
    "test a ... ok\n",
    "test result: ok. 1 passed; 0 failed; 0 ignored; 0 measured\n",
    "failures:\n",
    "---- a stdout ----\n",
    "error: test failed, to rerun pass `--lib`\n",
    "===== test session starts =====\n",
    "collected 1 item\n",
    "===== 1 passed in 0.1s =====\n",
    "===== FAILURES =====\n",
    "____ a ____\n",
    "E   x\n",
    "a.py::b FAILED [ 10%]\n",
    "FAILED a.py::b - x\n",
    "ok 1 - a\n",
    "not ok 2\n",
    "1..2\n",
    "  ---\n",
    "  ...\n",
    "TAP version 13\n",
    "    ",
    "# Subtest: a\n",
    "}\n",
    " {\n",
    "PASS ./a.js\n",
    "FAIL a.js\n",
    "  ● a › b\n",
    "Test Suites: 1 failed\n",
    "Tests: 1 failed, 1 total\n",
    " RUN  v1\n",
    " FAIL  a > b\n",
    " Test Files  1\n",
    "      Tests  1 failed (1)\n",
    "\n",
    "  1 passing (1ms)\n",
    "  1 failing\n",
    "  1) a\n",
    "a:\n",
    "ℹ tests 1\n",
    "ℹ pass 1\n",
    "ℹ duration_ms 1\n",
    "✖ a (1ms)\n",
    "▶ a\n",
    "=== RUN   A\n",
    "--- FAIL: A (0.0s)\n",
    "ok  \ta\t1s\n",
    "FAIL\ta\t1s\n",
    "{\"Action\":\"fail\",\"Package\":\"a\",\"Test\":\"b\"}\n",
    "PHPUnit 9 by Sebastian Bergmann\n",
    "Time: 1\n",
    "OK (1 test, 1 assertion)\n",
    "There was 1 failure:\n",
    "1) A::b\n",
    "[INFO] Results:\n",
    "[INFO] Running a\n",
    "[ERROR] Tests run: 1, Failures: 1, Errors: 0, Skipped: 0\n",
    "[ERROR] a Time elapsed: 1 s <<< FAILURE!\n",
    "Finished in 1\n",
    "1 example, 1 failure\n",
    "Failed examples:\n",
    "rspec ./a.rb:1 # a\n",
    "\u{1b}[31m",
    "\r",
    "†",
    "99999999999999999999",
    "        PASS [   0.010s] (1/4) a b\n",
    "     Summary [   0.1s] 1 test run: 1 passed\n",
    "    Starting 1 test across 1 binary\n",
    "18446744073709551615 passed, 18446744073709551615 failed in 1s\n",
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn no_text_panics(text in "\\PC*|(\\PC|\\n){0,200}", command in 0..4_usize) {
        detect(["make", "pytest", "cargo test", "node --test"][command], &text);
        let _ = junit(&text);
    }

    #[test]
    fn no_shuffle_of_real_lines_panics(pieces in proptest::collection::vec(0..PIECES.len(), 0..60)) {
        let text: String = pieces.iter().map(|&at| PIECES[at]).collect();
        for command in ["make", "pytest", "cargo test", "cargo nextest run", "python -m unittest", "go test", "jest",
                        "vitest", "mocha", "node --test", "prove", "rspec", "phpunit", "mvn test"] {
            if let Some(report) = detect(command, &text) {
                prop_assert!(report.failing.len() <= 1000 && report.tests.len() <= 10_000);
                compare(&report, &report);
            }
        }
    }

    #[test]
    fn no_command_line_panics(command in "[a-z &|;<>()'\"\\\\$`#!\n-]{0,60}") {
        detect(&command, "ok 1\n");
    }
}
