//! What clauses speak of: commands, tests, builds, linters, and which of them.

use std::ops::Range;

use super::prose::{Token, is_in};
use crate::shell::Line;
use crate::tools::{Subject, recognise};

/// Something that a clause speaks of.
#[derive(Clone, Debug)]
pub(super) struct Topic {
    pub(super) subject: Subject,
    /// The tokens that name it.
    pub(super) at: Range<usize>,
    pub(super) tool: Option<String>,
    pub(super) parts: Vec<String>,
    pub(super) test: Option<String>,
    pub(super) is_all: bool,
    pub(super) is_some: bool,
    /// `no tests …`
    pub(super) is_none: bool,
    pub(super) count: Option<u64>,
}

impl Topic {
    pub(super) fn of(subject: Subject, at: Range<usize>) -> Self {
        Self {
            subject,
            at,
            tool: None,
            parts: Vec::new(),
            test: None,
            is_all: false,
            is_some: false,
            is_none: false,
            count: None,
        }
    }
}

pub(super) fn topics(tokens: &[Token]) -> Vec<Topic> {
    let mut topics: Vec<Topic> = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        let found = command(tokens, at).or_else(|| noun(tokens, at));
        let Some(mut topic) = found else {
            at += 1;
            continue;
        };
        let next = topic.at.end;
        qualify(
            tokens,
            topics.last().map_or(0, |last| last.at.end),
            &mut topic,
        );
        // `clippy (lint)`, `the pytest suite`: one thing with two names.
        match topics.last_mut() {
            Some(last) if is_same(tokens, last, &topic) => {
                last.at.end = topic.at.end;
                last.is_all |= topic.is_all;
                if last.tool.is_none() {
                    (last.tool, last.parts) = (topic.tool, topic.parts);
                    last.subject = topic.subject;
                }
            }
            _ => topics.push(topic),
        }
        at = next;
    }
    topics
}

fn is_same(tokens: &[Token], last: &Topic, next: &Topic) -> bool {
    let between = &tokens[last.at.end..next.at.start];
    let is_close = match between {
        [] | [Token::Mark('(' | ':' | '|')] => true,
        [Token::Mark('|'), Token::Mark(':')] => true,
        [Token::Mark('('), word] => word.is_one_of("via with using"),
        [word] => word.is_one_of("with via using"),
        _ => false,
    };
    let is_one_kind = last.subject == next.subject || last.subject == Subject::Checks;
    is_close && is_one_kind && (last.tool.is_none() || next.tool.is_none())
}

/// A command between backticks, or a few words that are one.
pub(super) fn command(tokens: &[Token], at: usize) -> Option<Topic> {
    if let Token::Code(code) = &tokens[at] {
        return code_topic(code, at);
    }
    let Token::Word(first) = &tokens[at] else {
        return None;
    };
    const OF_TWO: &str = "cargo go npm yarn pnpm bun make just mvn python node";
    const OF_ONE: &str = "\
        pytest jest vitest mocha rspec phpunit eslint ruff flake8 pylint mypy pyright tsc \
        rubocop golangci-lint shellcheck tox nextest clippy rustfmt prettier";
    let mut text = first.clone();
    let mut end = at + 1;
    if is_in(OF_TWO, first) {
        let Some(Token::Word(second)) = tokens.get(end) else {
            return None;
        };
        text = format!("{text} {second}");
        end += 1;
        if second == "nextest" {
            text.push_str(" run");
            end += usize::from(tokens.get(end).is_some_and(|token| token.is("run")));
        }
    } else if !is_in(OF_ONE, first) {
        return None;
    }
    while let Some(Token::Word(flag)) = tokens
        .get(end)
        .filter(|token| matches!(token, Token::Word(w) if w.starts_with("--")))
    {
        text = format!("{text} {flag}");
        end += 1;
    }
    let line = match text.as_str() {
        "clippy" => "cargo clippy",
        "nextest" => "cargo nextest run",
        "rustfmt" | "cargo fmt" => "cargo fmt --check",
        "prettier" => "prettier --check",
        text => text,
    };
    let mut topic = code_topic(line, at)?;
    topic.at.end = end;
    Some(topic)
}

pub(super) fn code_topic(code: &str, at: usize) -> Option<Topic> {
    let line = Line::parse(code);
    let action = line.steps.iter().find_map(recognise).or_else(|| {
        // `clippy`, `rustfmt` and the like, named without what calls them.
        let line = match code {
            "clippy" => "cargo clippy",
            "nextest" | "cargo nextest" => "cargo nextest run",
            "rustfmt" | "cargo fmt" => "cargo fmt --check",
            "prettier" => "prettier --check",
            _ => return None,
        };
        Line::parse(line).steps.iter().find_map(recognise)
    })?;
    let subject = *action.shows.first()?;
    Some(Topic {
        tool: Some(action.tool),
        parts: action.parts,
        ..Topic::of(subject, at..at + 1)
    })
}

/// `the unit tests`, `test suite`, `build`, `linter`, `formatting`, `type check`, `checks`
fn noun(tokens: &[Token], at: usize) -> Option<Topic> {
    let Token::Word(word) = &tokens[at] else {
        return None;
    };
    let next = |words: &str| {
        tokens
            .get(at + 1)
            .is_some_and(|token| token.is_one_of(words))
    };
    let follows = |words: &str| at > 0 && tokens[at - 1].is_one_of(words);
    let (subject, length) = match word.as_str() {
        "test" if next("suite suites cases runs") => (Subject::Tests, 2),
        "test"
            if next(
                "failures failure errors error output file files coverage data code helper helpers fixture fixtures environment results result plan case names name module",
            ) =>
        {
            return None;
        }
        "tests" | "specs" | "testsuite" | "test" | "doctests" => (Subject::Tests, 1),
        "suite" => (Subject::Tests, 1),
        "build" if !follows("to can not") => (Subject::Build, 1),
        "compilation" => (Subject::Build, 1),
        "lint" | "linter" | "linters" | "linting" | "lints" => (Subject::Lint, 1),
        "formatting" | "formatter" => (Subject::Format, 1),
        "type" if next("check checks checker checking") => (Subject::Types, 2),
        "typecheck" | "type-check" | "type-checking" | "typechecking" | "type-checker" => {
            (Subject::Types, 1)
        }
        "checks" | "ci" => (Subject::Checks, 1),
        "everything" => (Subject::Checks, 1),
        _ => return None,
    };
    let mut topic = Topic::of(subject, at..at + length);
    topic.is_all = word == "everything";
    if word == "test" && length == 1 {
        let name = [at.checked_sub(1), Some(at + 1)]
            .into_iter()
            .flatten()
            .find_map(|at| match tokens.get(at) {
                Some(Token::Code(name)) if is_test_name(name) => Some(name.clone()),
                _ => None,
            });
        topic.is_some = true;
        topic.test = name;
    }
    Some(topic)
}

fn is_test_name(name: &str) -> bool {
    !name.is_empty()
        && !name.contains(char::is_whitespace)
        && name
            .chars()
            .all(|char| char.is_alphanumeric() || "_:./-[]".contains(char))
}

/// What stands before the subject: how many, which, none.
fn qualify(tokens: &[Token], from: usize, topic: &mut Topic) {
    let start = topic.at.start.saturating_sub(6).max(from);
    for at in (start..topic.at.start).rev() {
        match &tokens[at] {
            Token::Word(word) => match word.as_str() {
                "all" | "every" | "entire" | "whole" | "full" | "complete" => topic.is_all = true,
                "new" | "relevant" | "related" | "affected" | "targeted" | "focused" | "these"
                | "those" | "my" | "some" | "most" | "other" | "remaining" | "added"
                | "updated" | "selected" | "two" | "three" | "both" | "integration" | "unit"
                | "e2e" | "end-to-end" | "doc" | "regression" | "smoke" | "pre-existing"
                | "modified" | "specific" | "frontend" | "backend" | "slow" | "existing"
                | "rust" | "python" => {
                    topic.is_some = true;
                }
                "no" | "none" | "zero" => topic.is_none = true,
                "the" | "of" | "our" | "its" | "project" | "project's" | "release" | "debug"
                | "local" | "required" | "repository" | "repo" | "and" | "workspace" => {}
                _ => break,
            },
            Token::Number(number) => {
                topic.count.get_or_insert(*number);
                // `12 of 14 tests`, `12/14 tests`: the first number is what passed.
                let has_two = at >= 2
                    && (tokens[at - 1].is("of") || tokens[at - 1] == Token::Mark('/'))
                    && matches!(tokens[at - 2], Token::Number(_));
                if let (true, Token::Number(first)) = (has_two, &tokens[at.saturating_sub(2)]) {
                    topic.count = Some(*first);
                }
            }
            Token::Mark('/') => {}
            _ => break,
        }
    }
    // `all existing tests` are all; `all new tests` are not.
    let is_only_existing = (start..topic.at.start).any(|at| tokens[at].is("existing"))
        && !(start..topic.at.start)
            .any(|at| tokens[at].is_one_of("unit integration relevant related"));
    if topic.is_all && is_only_existing {
        topic.is_some = false;
    }
    let follows = tokens.get(topic.at.end).zip(tokens.get(topic.at.end + 1));
    let is_narrowed = follows.is_some_and(|(word, more)| {
        word.is_one_of("in for i that under of covering")
            && !more.is_one_of("the this all total")
            && !more.is_one_of("repository repo project workspace")
    });
    topic.is_some |= is_narrowed;
    if topic.is_some {
        topic.is_all = false;
    }
}
