//! The tools that are known, as data.

use super::Subject;
use super::Subject::{Build, Format, Lint, Tests, Types};
use crate::report::Runner;

/// How a tool's words are read.
pub(super) struct Tool {
    pub(super) name: &'static str,
    pub(super) shows: &'static [Subject],
    pub(super) runner: Option<Runner>,
    /// Whether words without a dash restrict it.
    pub(super) positional: bool,
    /// Flags that restrict it, each with its value.
    pub(super) narrow: &'static [&'static str],
    /// Other flags whose value stands in the next word.
    pub(super) valued: &'static [&'static str],
}

const CARGO_VALUED: &[&str] = &[
    "--features",
    "-F",
    "--target",
    "--target-dir",
    "--profile",
    "-j",
    "--jobs",
    "--color",
    "--message-format",
    "--manifest-path",
    "--config",
    "-Z",
    "--test-threads",
    "--cargo-profile",
    "--retries",
];
const CARGO_NARROW: &[&str] = &[
    "-p",
    "--package",
    "--test",
    "--bin",
    "--example",
    "--lib",
    "--bins",
    "--tests",
    "--examples",
    "--doc",
    "--exact",
    "-E",
    "--filter-expr",
    "--filterset",
    "--exclude",
    "--skip",
    "--ignored",
    "--no-run",
];
const JS_VALUED: &[&str] = &[
    "--reporter",
    "--reporters",
    "--config",
    "-c",
    "--root",
    "--coverageReporters",
    "--testTimeout",
    "-w",
    "--maxWorkers",
    "--outputFile",
    "-R",
    "--require",
    "-r",
    "--reporter-option",
    "-O",
    "--timeout",
];
const NONE: &[&str] = &[];

const fn tool(name: &'static str, shows: &'static [Subject]) -> Tool {
    Tool {
        name,
        shows,
        runner: None,
        positional: false,
        narrow: NONE,
        valued: NONE,
    }
}

const fn tests(
    name: &'static str,
    runner: Runner,
    narrow: &'static [&'static str],
    valued: &'static [&'static str],
) -> Tool {
    Tool {
        name,
        shows: &[Tests],
        runner: Some(runner),
        positional: true,
        narrow,
        valued,
    }
}

pub(super) const TOOLS: &[Tool] = &[
    Tool {
        shows: &[Tests, Build],
        ..tests("cargo test", Runner::CargoTest, CARGO_NARROW, CARGO_VALUED)
    },
    Tool {
        shows: &[Tests, Build],
        ..tests("cargo nextest", Runner::Nextest, CARGO_NARROW, CARGO_VALUED)
    },
    Tool {
        narrow: CARGO_NARROW,
        valued: CARGO_VALUED,
        ..tool("cargo clippy", &[Lint, Build])
    },
    Tool {
        narrow: CARGO_NARROW,
        valued: CARGO_VALUED,
        ..tool("cargo build", &[Build])
    },
    Tool {
        narrow: CARGO_NARROW,
        valued: CARGO_VALUED,
        ..tool("cargo check", &[Build])
    },
    tool("cargo fmt", &[Format]),
    tests(
        "pytest",
        Runner::Pytest,
        &[
            "-k",
            "-m",
            "--lf",
            "--last-failed",
            "--ff",
            "--sw",
            "--deselect",
            "--ignore",
            "--co",
            "--collect-only",
        ],
        &[
            "-n",
            "--numprocesses",
            "-c",
            "--rootdir",
            "-o",
            "--tb",
            "-p",
            "--maxfail",
            "-W",
            "--color",
            "--junitxml",
            "--cov",
            "--durations",
            "-r",
        ],
    ),
    tests("unittest", Runner::Unittest, &["-k"], &["-s", "-t", "-p"]),
    Tool {
        shows: &[Tests, Build],
        ..tests(
            "go test",
            Runner::GoTest,
            &["-run", "-skip", "-short", "-list", "-bench"],
            &[
                "-count",
                "-timeout",
                "-tags",
                "-p",
                "-parallel",
                "-cpu",
                "-coverprofile",
                "-mod",
            ],
        )
    },
    tool("go build", &[Build]),
    tool("go vet", &[Lint, Build]),
    tests(
        "jest",
        Runner::Jest,
        &[
            "-t",
            "--testNamePattern",
            "--testPathPattern",
            "--testPathPatterns",
            "-o",
            "--onlyChanged",
            "--findRelatedTests",
            "--selectProjects",
        ],
        JS_VALUED,
    ),
    tests(
        "vitest",
        Runner::Vitest,
        &["-t", "--testNamePattern", "--changed", "--project"],
        JS_VALUED,
    ),
    tests(
        "mocha",
        Runner::Mocha,
        &["-g", "--grep", "-f", "--fgrep"],
        JS_VALUED,
    ),
    tests(
        "node --test",
        Runner::NodeTest,
        &["--test-name-pattern", "--test-only", "--test-skip-pattern"],
        &[
            "--test-reporter",
            "--test-reporter-destination",
            "--import",
            "--test-concurrency",
        ],
    ),
    tests("tape", Runner::Tap, NONE, NONE),
    tests("prove", Runner::Tap, NONE, &["-j", "-I"]),
    tests(
        "rspec",
        Runner::Rspec,
        &["-e", "--example", "-t", "--tag", "--only-failures"],
        &["-f", "--format", "-r", "--require", "--seed", "--order"],
    ),
    tests(
        "phpunit",
        Runner::Phpunit,
        &["--filter", "--group", "--testsuite", "--exclude-group"],
        &["-c", "--configuration", "--log-junit", "--bootstrap"],
    ),
    tests(
        "mvn",
        Runner::Surefire,
        &["-Dtest", "-pl", "--projects", "-Dgroups"],
        &["-f", "-s", "-P"],
    ),
    tool("gradle", &[Tests, Build]),
    tool("eslint", &[Lint]),
    tool("ruff", &[Lint]),
    tool("flake8", &[Lint]),
    tool("pylint", &[Lint]),
    tool("golangci-lint", &[Lint]),
    tool("rubocop", &[Lint]),
    tool("shellcheck", &[Lint]),
    tool("biome", &[Lint]),
    tool("prettier", &[Format]),
    tool("black", &[Format]),
    tool("gofmt", &[Format]),
    tool("mypy", &[Types]),
    tool("pyright", &[Types]),
    tool("tsc", &[Types, Build]),
    tool("tox", &[Tests]),
    tool("nox", &[Tests]),
    tool("ctest", &[Tests]),
];
