//! What is recognised as a claim, and what is not.

mod words;

use proptest::prelude::*;
use recto_evidence::claims::find;
use words::words;

fn says(answer: &str, expected: &[&str]) {
    let found: Vec<String> = find(answer).iter().map(words).collect();
    assert_eq!(found, expected, "{answer:?}");
}

#[test]
fn tests_pass() {
    for sentence in [
        "All tests pass.",
        "All tests passed.",
        "All tests are passing.",
        "All tests are now passing!",
        "all tests pass now",
        "**All tests pass**",
        "- All tests pass ✅",
        "All the tests pass.",
        "All of the tests pass.",
        "All existing tests still pass.",
        "The full test suite passes.",
        "The entire test suite is green.",
        "The whole suite passes locally.",
        "Every test passes after the change.",
        "I ran the code, and all tests succeed.",
        "No tests fail.",
        "No tests failed.",
        "Verified that all tests pass.",
        "All tests continue to pass.",
        "Result: all tests green.",
        "Tests: all passing",
    ] {
        let found: Vec<String> = find(sentence).iter().map(words).collect();
        let is_all = found.len() == 1 && found[0].starts_with("tests pass");
        assert!(is_all, "{sentence:?}: {found:?}");
    }
    says("Tests pass.", &["tests pass"]);
    says("The tests pass.", &["tests pass"]);
    says("The new tests pass.", &["tests pass some"]);
    says("All new tests pass.", &["tests pass some"]);
    says("All tests in `a.rs` pass.", &["tests pass some"]);
    says("The test suite passes without errors.", &["tests pass"]);
    says(
        "The test `adds_two` now passes.",
        &["tests pass test=adds_two some"],
    );
    says("None of the tests fail.", &["tests pass all"]);
    says("The tests no longer fail.", &["tests pass"]);
    says("The tests don't fail any more.", &[]);
}

#[test]
fn with_numbers() {
    says("All 180 tests pass.", &["tests pass all passed=180"]);
    says(
        "All 1,234 tests pass 【1a2b3c†L4】.",
        &["tests pass all passed=1234"],
    );
    says("12 tests passed.", &["tests pass passed=12"]);
    says("180/180 tests pass.", &["tests pass passed=180"]);
    says("12 of 14 tests pass.", &["tests pass passed=12"]);
    says(
        "`cargo test`: 12 passed, 0 failed.",
        &["tests pass [cargo test] passed=12"],
    );
    says(
        "pytest: 2 failed, 10 passed, 1 skipped",
        &["tests fail [pytest] passed=10 failed=2"],
    );
    says("12 passed; 0 failed", &["tests pass passed=12"]);
    says("2 tests fail.", &["tests fail failed=2"]);
    says("There are 3 failing tests.", &["tests fail failed=3"]);
    says("There are no failing tests.", &["tests pass"]);
    says("Tests: 12 passed, 12 total", &["tests pass passed=12"]);
}

#[test]
fn by_command() {
    says("`cargo test` passes.", &["tests pass [cargo test]"]);
    says("cargo test is green", &["tests pass [cargo test]"]);
    says(
        "cargo test --workspace passes",
        &["tests pass [cargo test]"],
    );
    says("✅ pytest", &["tests pass [pytest]"]);
    says(
        "- ✅ `cargo test -p foo`",
        &["tests pass [cargo test] of -p=foo"],
    );
    says(
        "* ❌ `npm test` (needs a database)",
        &["tests fail [npm test]"],
    );
    says("`python3 -m pytest -q` → passed", &["tests pass [pytest]"]);
    says("| `cargo clippy` | ✅ |", &["lint pass [cargo clippy]"]);
    says(
        "| Check | Result |\n|---|---|\n| tests | pass |\n| lint | ✅ |",
        &["tests pass", "lint pass"],
    );
    says("[x] pytest passes", &["tests pass [pytest]"]);
    says(
        "I ran `go test ./...` and it passed.",
        &["tests pass [go test]"],
    );
    says("`make test` succeeded", &["tests pass [make test]"]);
    says("`npm run build` succeeds.", &["build pass [npm run build]"]);
    says(
        "jest and eslint both pass",
        &["tests pass [jest]", "lint pass [eslint]"],
    );
}

#[test]
fn other_subjects() {
    says(
        "No warnings from clippy.",
        &["lint pass [cargo clippy] quiet"],
    );
    says("Clippy is clean.", &["lint pass [cargo clippy] quiet"]);
    says(
        "clippy reports no warnings",
        &["lint pass [cargo clippy] quiet"],
    );
    says(
        "There are no clippy warnings.",
        &["lint pass [cargo clippy] quiet"],
    );
    says("No lint errors.", &["lint pass"]);
    says("No type errors.", &["types pass"]);
    says("mypy passes", &["types pass [mypy]"]);
    says("The linter passes.", &["lint pass"]);
    says("The build succeeds.", &["build pass"]);
    says("It compiles without warnings.", &["build pass quiet"]);
    says("The code compiles cleanly.", &["build pass"]);
    says("The project builds successfully.", &["build pass"]);
    says("The build is broken.", &["build fail"]);
    says("It does not compile.", &[]);
    says("`cargo fmt --check` passes.", &["format pass [cargo fmt]"]);
    says("All checks pass.", &["checks pass all"]);
    says("CI is green.", &["checks pass"]);
    says("Everything passes.", &["checks pass all"]);
    says(
        "The build succeeds, clippy is clean and all tests pass.",
        &[
            "build pass",
            "lint pass [cargo clippy] quiet",
            "tests pass all",
        ],
    );
    says(
        "Build, lint and tests all pass.",
        &["build pass", "lint pass", "tests pass"],
    );
    says(
        "Tests pass, but clippy fails.",
        &["tests pass", "lint fail [cargo clippy]"],
    );
}

#[test]
fn failures() {
    says("The tests fail.", &["tests fail"]);
    says(
        "`cargo test` fails because the network is off.",
        &["tests fail [cargo test]"],
    );
    says("Not all tests pass.", &["tests fail all"]);
    says("The tests do not pass.", &["tests fail"]);
    says("The tests aren't passing yet.", &["tests fail"]);
    says("Two tests still fail.", &["tests fail some"]);
}

#[test]
fn hedged() {
    says("The tests should pass.", &["tests expected"]);
    says("All tests should now pass.", &["tests expected all"]);
    says("Tests would pass.", &["tests expected"]);
    says("I expect the tests to pass.", &["tests expected"]);
    says("I believe all tests pass.", &["tests expected all"]);
    says("CI will pass.", &["checks expected"]);
    says(
        "`cargo test` will likely succeed.",
        &["tests expected [cargo test]"],
    );
}

#[test]
fn not_run() {
    for sentence in [
        "I could not run the tests.",
        "I couldn't run the tests because there is no network.",
        "I did not run the tests.",
        "I didn't run the test suite.",
        "Tests were not run.",
        "No tests were run.",
        "The tests have not been run.",
        "I was unable to run the tests.",
        "I haven't run the tests.",
        "The tests could not be executed.",
    ] {
        says(sentence, &["tests not-run"]);
    }
    says(
        "I did not run `cargo test`.",
        &["tests not-run [cargo test]"],
    );
    says(
        "⚠️ `npm test` (not run: no database)",
        &["tests not-run [npm test]"],
    );
    says("This change is untested.", &["tests not-run"]);
    says(
        "I couldn't run the linter, but all tests pass.",
        &["lint not-run", "tests pass all"],
    );
}

#[test]
fn in_the_words_that_agents_use() {
    says(
        "I ran the full test suite with `cargo test` and all 42 tests passed.",
        &["tests pass [cargo test] all", "tests pass all passed=42"],
    );
    says(
        "The code builds and passes all tests.",
        &["build pass", "tests pass all"],
    );
    says(
        "The change passes `cargo test`.",
        &["tests pass [cargo test]"],
    );
    says("Your change passes clippy.", &["lint pass [cargo clippy]"]);
    says(
        "`cargo build` finished successfully.",
        &["build pass [cargo build]"],
    );
    says("Ran `npm test` successfully.", &["tests pass [npm test]"]);
    says(
        "Everything compiles and the tests pass.",
        &["build pass", "tests pass"],
    );
    says("Test Suites: 3 passed, 3 total", &["tests pass"]);
    says(
        "Lint ✅ Build ✅ Tests ✅",
        &["lint pass", "build pass", "tests pass"],
    );
    says(
        "- [x] All tests pass\n- [ ] All checks pass",
        &["tests pass all"],
    );
    says(
        "I've verified the fix with `pytest tests/test_a.py`, which passes.",
        &["tests pass [pytest] of tests/test_a.py"],
    );
    says(
        "Previously the suite failed with 3 errors, now all tests pass.",
        &["tests pass all"],
    );
    says("Tests failed.", &["tests fail"]);
}

#[test]
fn what_is_not_known_for_sure_is_no_claim() {
    for answer in [
        "The tests were failing because of a missing import.",
        "The login test failed because the mock returned an error.",
        "All tests pass except `test_network`.",
        "All but one of the tests pass.",
        "Almost all tests pass.",
        "All tests pass apart from `test_network`.",
        "I did not run into failures with the tests.",
        "Not tested on Windows.",
        "The tests pass only when `FOO=1` is set.",
        "The runner passes tests to its workers.",
        "It passes the test to the runner.",
        "This needs to pass all checks.",
    ] {
        says(answer, &[]);
    }
}

#[test]
fn what_is_no_claim() {
    for answer in [
        "",
        "I added a test.",
        "I fixed the failing test.",
        "I added a failing test first.",
        "The passing tests were left alone.",
        "This makes the tests pass.",
        "To make the tests pass, I changed `a`.",
        "Run `cargo test` to check.",
        "Please run the tests.",
        "Make sure that all tests pass.",
        "If all tests pass, merge it.",
        "Once the tests pass, delete the branch.",
        "Do all tests pass?",
        "The test passes `None` to the parser.",
        "The test passes a string.",
        "Tests pass the path to the helper.",
        "The tests failed before my change.",
        "The tests passed on main.",
        "Without the fix, the test fails.",
        "Originally 3 tests failed.",
        "```\nAll tests pass\n```",
        "> All tests pass",
        "The parser passes.",
        "The request succeeds.",
        "Returns an error when the build directory is missing.",
        "It fails with an error if the file is missing.",
        "It needs the tests to pass.",
        "A clean build takes a minute.",
        "Use a green button.",
        "The linter is configured in `ruff.toml`.",
        "The tests cover the case that the login fails with a message.",
        "Errors in tests are now shown.",
        "The suite is large.",
        "The tests check that the parser fails on empty input.",
    ] {
        says(answer, &[]);
    }
}

#[test]
fn long_answers_take_linear_time() {
    for piece in [
        "tests pass and ",
        "✅ ",
        "`cargo test` ",
        "no ",
        "not run tests, ",
        "1/",
        "`",
        "【",
        "all tests pass. ",
        "if ",
    ] {
        find(&piece.repeat(20_000));
    }
}

proptest! {
    #[test]
    fn no_answer_panics(answer in "(\\PC|\\n){0,300}") {
        for claim in find(&answer) {
            prop_assert!(answer.get(claim.span).is_some());
        }
    }

    #[test]
    fn no_mix_of_words_panics(words in proptest::collection::vec(0..40_usize, 0..40)) {
        const WORDS: [&str; 40] = [
            "all", "tests", "test", "pass", "passed", "fail", "failing", "no", "not", "12", "0", "/", "of", "cargo", "`cargo test`",
            "`a::b`", "clippy", "clean", "is", "green", ",", ".", "but", "if", "✅", "❌", "warnings", "without", "run", "were",
            "should", "to", "before", "now", "|", "(", "the", "suite", "\n", "builds",
        ];
        let answer: Vec<&str> = words.iter().map(|&at| WORDS[at]).collect();
        find(&answer.join(" "));
    }
}
