//! What well-known commands do: which of them test, lint, build or format, and which run a part of
//! the tests only.

mod table;

use serde::{Deserialize, Serialize};

use Subject::{Build, Format, Lint, Tests, Types};
use table::{TOOLS, Tool};

use crate::report::Runner;
use crate::shell::{Step, is_python};

/// What a command shows when it succeeds, and what a claim is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Subject {
    /// Tests pass.
    Tests,
    /// The code compiles.
    Build,
    /// A linter has no complaint.
    Lint,
    /// The code is formatted.
    Format,
    /// A type checker has no complaint.
    Types,
    /// The checks of the repository.
    Checks,
}

/// What one command of a line does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Action {
    /// Its name, the same for all ways to call it: `cargo test`, `pytest`.
    pub(crate) tool: String,
    /// What its success shows, the main thing first.
    pub(crate) shows: &'static [Subject],
    /// Whose report it prints.
    pub(crate) runner: Option<Runner>,
    /// The words that restrict it to a part, sorted; none when it does all.
    pub(crate) parts: Vec<String>,
    /// Whether its name alone says what it does: a script may run anything.
    pub(crate) is_script: bool,
}

/// What a command does, where that is known.
pub(crate) fn recognise(step: &Step) -> Option<Action> {
    let words: Vec<&str> = step.words.iter().map(String::as_str).collect();
    let program = step.program();
    if let Some(action) = script(program, words.get(1..)?) {
        return Some(action);
    }
    let (name, rest) = named(program, &words[1..])?;
    let tool = TOOLS.iter().find(|tool| tool.name == name)?;
    if !checks(name, rest) {
        return None;
    }
    let shows = shown(tool, rest)?;
    Some(Action {
        tool: tool.name.to_owned(),
        shows,
        runner: tool.runner.filter(|_| shows.contains(&Tests)),
        parts: parts(tool, rest),
        is_script: false,
    })
}

/// The tool's name, and the words that are its own.
fn named<'a>(program: &str, words: &'a [&'a str]) -> Option<(&'static str, &'a [&'a str])> {
    let first = words.first().copied().unwrap_or_default();
    let rest = words.get(1..).unwrap_or_default();
    let known = |name: &str| {
        TOOLS
            .iter()
            .find(|tool| tool.name == name)
            .map(|tool| tool.name)
    };
    match program {
        "cargo" => {
            // A toolchain may stand first.
            let (first, rest) = match first.starts_with('+') {
                true => (rest.first().copied()?, &rest[1..]),
                false => (first, rest),
            };
            match first {
                "t" => Some(("cargo test", rest)),
                "b" => Some(("cargo build", rest)),
                "c" => Some(("cargo check", rest)),
                "nextest" if rest.first() == Some(&"run") => Some(("cargo nextest", &rest[1..])),
                "nextest" => None,
                _ => known(&format!("cargo {first}")).map(|name| (name, rest)),
            }
        }
        "go" => known(&format!("go {first}")).map(|name| (name, rest)),
        "node" if words.contains(&"--test") => Some(("node --test", words)),
        "py.test" => Some(("pytest", words)),
        "_mocha" => Some(("mocha", words)),
        "mvn" | "mvnw" => Some(("mvn", words)),
        "gradle" | "gradlew" => Some(("gradle", words)),
        "ruff" if first == "format" => known("black").map(|name| (name, rest)),
        "ruff" => Some(("ruff", words)),
        "yarn" | "pnpm" | "bun" => known(first).map(|name| (name, rest)),
        _ if is_python(program) => None,
        _ => known(program).map(|name| (name, words)),
    }
}

/// Whether the tool was asked to check anything, and not to list, to help or to repair.
fn checks(name: &str, words: &[&str]) -> bool {
    let has = |flags: &[&str]| words.iter().any(|word| flags.contains(word));
    let lists = has(&[
        "--help",
        "-h",
        "--version",
        "-V",
        "--list",
        "--listTests",
        "--collect-only",
        "--co",
    ]);
    let lists = lists || name == "cargo test" && has(&["--no-run"]);
    !lists
        && match name {
            "cargo fmt" | "black" | "prettier" => has(&["--check", "-c", "--list-different", "-l"]),
            // It lists files and succeeds all the same.
            "gofmt" => false,
            _ => true,
        }
}

/// What its success shows; build tools show what their goals do.
fn shown(tool: &Tool, words: &[&str]) -> Option<&'static [Subject]> {
    match tool.name {
        "mvn" => {
            let skips = words.iter().any(|word| {
                word.starts_with("-DskipTests") || word.starts_with("-Dmaven.test.skip")
            });
            let has = |goals: &[&str]| words.iter().any(|word| goals.contains(word));
            if has(&["test", "verify", "install", "package"]) && !skips {
                Some(&[Tests, Build])
            } else if has(&["compile", "test-compile", "verify", "install", "package"]) {
                Some(&[Build])
            } else {
                None
            }
        }
        "gradle" => {
            let has = |goals: &[&str]| words.iter().any(|word| goals.contains(word));
            match (
                has(&["test", "check", "build"]),
                has(&["assemble", "classes"]),
            ) {
                (true, _) => Some(&[Tests, Build]),
                (_, true) => Some(&[Build]),
                _ => None,
            }
        }
        _ => Some(tool.shows),
    }
}

fn parts(tool: &Tool, words: &[&str]) -> Vec<String> {
    let mut parts = Vec::new();
    let mut rest = words.iter().peekable();
    while let Some(word) = rest.next() {
        let flag = word.split('=').next().unwrap_or(word);
        if *word == "--" {
            continue;
        }
        if tool.narrow.contains(&flag) {
            let value = rest
                .next_if(|next| !word.contains('=') && takes_value(flag) && !next.starts_with('-'));
            parts.push(value.map_or_else(|| (*word).to_owned(), |value| format!("{word}={value}")));
        } else if word.starts_with('-') {
            if tool.valued.contains(&flag) && !word.contains('=') {
                rest.next();
            }
        } else if tool.positional && !is_all(tool.name, word) {
            parts.push((*word).to_owned());
        }
    }
    // A Go package alone is a part; `./...` is all.
    if tool.name == "go test" && !words.iter().any(|word| word.ends_with("...")) && parts.is_empty()
    {
        parts.push(".".to_owned());
    }
    parts.sort_unstable();
    parts
}

fn takes_value(flag: &str) -> bool {
    !matches!(
        flag,
        "--lib"
            | "--bins"
            | "--tests"
            | "--examples"
            | "--doc"
            | "--exact"
            | "--ignored"
            | "--no-run"
            | "--lf"
            | "--last-failed"
            | "--ff"
            | "--sw"
            | "--co"
            | "--collect-only"
            | "-short"
            | "-o"
            | "--onlyChanged"
            | "--only-failures"
            | "--test-only"
    )
}

/// Words that stand for everything.
fn is_all(tool: &str, word: &str) -> bool {
    let word = word.trim_end_matches('/').trim_start_matches("./");
    match tool {
        "mvn" => true,
        "vitest" => matches!(word, "run" | "" | "."),
        "unittest" => word == "discover",
        "go test" => word == "...",
        _ => matches!(word, "" | "." | "test" | "tests" | "spec" | "t"),
    }
}

/// Scripts and targets whose name says what they do: `npm test`, `make lint`, `just check`.
fn script(program: &str, words: &[&str]) -> Option<Action> {
    let mut plain = words.iter().copied().filter(|word| !word.starts_with('-'));
    let first = plain.next().unwrap_or_default();
    let (tool, target) = match program {
        "npm" | "yarn" | "pnpm" | "bun" => match first {
            "t" | "test" => (format!("{program} test"), "test"),
            "run" | "run-script" => {
                let target = plain.next()?;
                let name = match target {
                    "test" => format!("{program} test"),
                    _ => format!("{program} run {target}"),
                };
                (name, target)
            }
            _ => return None,
        },
        "make" | "gmake" | "just" | "task" | "rake" => {
            let target = match first {
                "" if program == "make" => "build",
                target => target,
            };
            (format!("{program} {first}").trim_end().to_owned(), target)
        }
        _ => return None,
    };
    let (head, tail) = target
        .split_once([':', '-', '_', '.'])
        .unwrap_or((target, ""));
    let shows: &[Subject] = match head {
        "test" | "tests" | "spec" => &[Tests],
        "lint" | "clippy" | "eslint" => &[Lint],
        "build" | "compile" => &[Build],
        "fmt" | "format" if tail == "check" => &[Format],
        "check" if tail.is_empty() => &[Subject::Checks, Tests],
        "typecheck" | "types" | "tsc" => &[Types],
        "ci" | "verify" => &[Subject::Checks, Tests],
        _ => return None,
    };
    let is_part = head == "test" && !tail.is_empty() && tail != "all";
    Some(Action {
        tool,
        shows,
        runner: None,
        parts: if is_part {
            vec![tail.to_owned()]
        } else {
            Vec::new()
        },
        is_script: true,
    })
}

/// Programs that print what they are told or what files hold, and run nothing.
pub(crate) fn is_reader(step: &Step) -> bool {
    let second = step.words.get(1).map_or("", String::as_str);
    match step.program() {
        "echo" | "printf" | "cat" | "head" | "tail" | "less" | "more" | "tac" | "nl" | "grep"
        | "egrep" | "fgrep" | "rg" | "ag" | "sed" | "awk" | "cut" | "sort" | "uniq" | "wc"
        | "tr" | "tee" | "diff" | "ls" | "find" | "fd" | "tree" | "stat" | "file" | "pwd"
        | "cd" | "export" | "set" | "true" | "strings" | "jq" | "bat" | "column" | "curl"
        | "wget" | "date" | "which" | "type" | "apply_patch" => true,
        "git" => second != "bisect",
        // What stands in the line, or comes from its input, prints what the line's author likes.
        "perl" | "ruby" | "node" | "php" | "bun" | "deno" => {
            matches!(second, "-e" | "-p" | "-r" | "-E" | "-" | "" | "eval")
        }
        "sh" | "bash" | "dash" | "zsh" => matches!(second, "" | "-" | "-s"),
        name if is_python(name) => matches!(second, "-c" | "-" | ""),
        _ => false,
    }
}
