//! Reads command lines as far as verdicts need: which programs run with which words, and what the
//! exit code of the whole line tells about each.
//!
//! No shell: expansions stay as they are, and exit codes of loops and conditions tell nothing.

mod lexer;

use lexer::{Join, Token, Tokens, tokens};

/// A command line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Line {
    /// Its commands, in order.
    pub(crate) steps: Vec<Step>,
}

/// One command of a line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Step {
    /// Its words, quotes removed; never empty.
    pub(crate) words: Vec<String>,
    /// Whether exit code 0 of the line says that this command succeeded.
    pub(crate) success_shows: bool,
    /// Whether another exit code of the line says that this command failed.
    pub(crate) failure_shows: bool,
    /// Whether its output goes into a file: what the line prints is not its own.
    pub(crate) is_silent: bool,
    /// Whether another command of the line passes on a part of its output only.
    pub(crate) is_filtered: bool,
}

/// How deep `sh -c '…'` is looked into.
const MOST_DEPTH: u32 = 3;
/// Longer lines are not looked into.
const MOST_BYTES: usize = 64 << 10;

impl Line {
    /// Reads a line. One that can't be read has no steps.
    pub(crate) fn parse(text: &str) -> Self {
        Self::parse_within(text, MOST_DEPTH)
    }

    fn parse_within(text: &str, depth: u32) -> Self {
        if depth == 0 || text.len() > MOST_BYTES {
            return Self::default();
        }
        let Some(Tokens { tokens, has_groups }) = tokens(text) else {
            return Self::default();
        };
        let (commands, joins, elsewhere) = commands(tokens);
        let is_hidden = commands.iter().any(|words| has_keyword(words))
            || has_groups
                && joins
                    .iter()
                    .any(|join| !matches!(join, Join::And | Join::Then));
        let exits = Exits::of(&commands, &joins);
        let mut line = Self::default();
        for (at, words) in commands.iter().enumerate() {
            let words = essential(words);
            if words.is_empty() {
                continue;
            }
            let step = Step {
                words: words.to_vec(),
                success_shows: !is_hidden && exits.success_shows(at),
                failure_shows: !is_hidden && exits.failure_shows(at),
                is_silent: elsewhere.contains(&at),
                is_filtered: is_filtered(&commands, &joins, at),
            };
            line.take(step, depth);
        }
        line
    }

    /// Adds a step, or the steps of the line that it hands to a shell.
    fn take(&mut self, step: Step, depth: u32) {
        let Some(inner) = handed_to_a_shell(&step.words) else {
            return self.steps.push(step);
        };
        for mut each in Self::parse_within(inner, depth - 1).steps {
            each.success_shows &= step.success_shows;
            each.failure_shows &= step.failure_shows;
            each.is_silent |= step.is_silent;
            each.is_filtered |= step.is_filtered;
            self.steps.push(each);
        }
    }
}

impl Step {
    /// The program's name without its directory.
    pub(crate) fn program(&self) -> &str {
        program(&self.words)
    }
}

/// What the line's exit code tells.
struct Exits<'a> {
    commands: &'a [Vec<String>],
    joins: &'a [Join],
    stops_at_failure: bool,
    has_pipefail: bool,
}

impl<'a> Exits<'a> {
    fn of(commands: &'a [Vec<String>], joins: &'a [Join]) -> Self {
        let sets = |letter: char, name: &str| {
            commands.iter().any(|words| {
                words.first().is_some_and(|word| word == "set")
                    && words.iter().skip(1).any(|word| {
                        word == name
                            || word.starts_with('-')
                                && !word.starts_with("--")
                                && word.contains(letter)
                    })
            })
        };
        let names = |name: &str| commands.iter().flatten().any(|word| word == name);
        Self {
            commands,
            joins,
            stops_at_failure: sets('e', "errexit"),
            has_pipefail: names("pipefail"),
        }
    }

    fn success_shows(&self, at: usize) -> bool {
        let is_negated = self.commands[at].first().is_some_and(|word| word == "!");
        !is_negated
            && self.joins[at..]
                .iter()
                .enumerate()
                .all(|(after, join)| match join {
                    Join::And => true,
                    Join::Then => self.stops_at_failure,
                    Join::Pipe => self.has_pipefail || after > 0 && self.is_quiet_from(at + after),
                    // `a && b || c` succeeds with c.
                    Join::Or | Join::Background => false,
                })
            && !self.joins[..at].contains(&Join::Or)
    }

    fn failure_shows(&self, at: usize) -> bool {
        let is_negated = self.commands[at].first().is_some_and(|word| word == "!");
        let others_cannot_fail = (0..self.commands.len())
            .filter(|other| *other != at)
            .all(|other| never_fails(&self.commands[other]));
        let is_last = self.joins[at..].is_empty();
        let is_alone = self.joins[..at].iter().all(|join| *join == Join::Then);
        let tells = self.joins[at..].iter().all(|join| *join == Join::And);
        !is_negated
            && (tells && others_cannot_fail || is_last && is_alone && !self.stops_at_failure)
    }

    /// A pipe after a later `&&`: what it hides is not this command.
    fn is_quiet_from(&self, at: usize) -> bool {
        self.joins[..at].contains(&Join::And) || self.stops_at_failure
    }
}

/// Commands that prepare or say something and don't fail in practice.
fn never_fails(words: &[String]) -> bool {
    let words = essential(words);
    words.is_empty()
        || matches!(
            program(words),
            "cd" | "echo"
                | "printf"
                | "true"
                | ":"
                | "set"
                | "export"
                | "source"
                | "."
                | "pwd"
                | "date"
        )
}

fn program(words: &[String]) -> &str {
    let word = words.first().map_or("", String::as_str);
    word.rsplit('/').next().unwrap_or(word)
}

/// Words of loops and conditions: their exit codes are not followed.
const KEYWORDS: &[&str] = &[
    "while", "until", "if", "do", "then", "else", "elif", "{", "}", "done", "fi", "esac",
];

fn has_keyword(words: &[String]) -> bool {
    let first = words.first().map_or("", String::as_str);
    KEYWORDS.contains(&first) || matches!(first, "for" | "case" | "function" | "select")
}

/// Whether a command's pipe goes through one that drops lines.
fn is_filtered(commands: &[Vec<String>], joins: &[Join], at: usize) -> bool {
    let pipes = joins[at..]
        .iter()
        .take_while(|join| **join == Join::Pipe)
        .count();
    commands[at + 1..].iter().take(pipes).any(|words| {
        !matches!(
            program(essential(words)),
            "tee" | "cat" | "ts" | "less" | "more"
        )
    })
}

/// The words behind assignments and programs that only start another one.
fn essential(words: &[String]) -> &[String] {
    let mut rest = words;
    loop {
        let Some(word) = rest.first() else {
            return rest;
        };
        let skipped = match program(rest) {
            _ if is_assignment(word) || KEYWORDS.contains(&word.as_str()) => 1,
            // What a loop goes over is no command.
            "for" | "case" | "select" | "function" => rest.len(),
            "!" | "sudo" | "time" | "nohup" | "command" | "exec" | "npx" | "bunx" | "xvfb-run"
            | "stdbuf" | "nice" | "env" | "ionice" => 1 + flags(&rest[1..]),
            "timeout" => 2 + flags(&rest[1..]),
            "uv" | "poetry" | "pipenv" | "hatch" | "pdm" | "rye" if second(rest) == "run" => {
                2 + flags(&rest[2..])
            }
            "bundle" | "pnpm" | "yarn" | "npm" | "bun" if second(rest) == "exec" => {
                2 + flags(&rest[2..])
            }
            "pnpm" | "yarn" if second(rest) == "dlx" => 2,
            name if is_python(name) && second(rest) == "-m" => 2,
            "php" if second(rest).contains("phpunit") => 1,
            "coverage" if second(rest) == "run" && rest.get(2).is_some_and(|w| w == "-m") => 3,
            _ => return rest,
        };
        rest = rest.get(skipped..).unwrap_or_default();
    }
}

fn second(words: &[String]) -> &str {
    words.get(1).map_or("", String::as_str)
}

/// `python`, `python3`, `python3.11`
pub(crate) fn is_python(name: &str) -> bool {
    let rest = name
        .strip_prefix("python")
        .or_else(|| name.strip_prefix("pypy"));
    rest.is_some_and(|rest| rest.chars().all(|c| c.is_ascii_digit() || c == '.'))
}

fn flags(words: &[String]) -> usize {
    words
        .iter()
        .take_while(|word| word.starts_with('-'))
        .count()
}

fn is_assignment(word: &str) -> bool {
    word.split_once('=').is_some_and(|(name, _)| {
        !name.is_empty()
            && name
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
            && !name.starts_with(|c: char| c.is_ascii_digit())
    })
}

/// The line of `sh -c LINE`.
fn handed_to_a_shell(words: &[String]) -> Option<&str> {
    if !matches!(program(words), "sh" | "bash" | "dash" | "zsh") {
        return None;
    }
    let flags = words
        .iter()
        .skip(1)
        .take_while(|word| word.starts_with('-'));
    let at = flags
        .clone()
        .position(|word| !word.starts_with("--") && word.ends_with('c'))?;
    words.get(at + 2).map(String::as_str)
}

/// The commands, what joins each to the next, and which of them write into files.
fn commands(tokens: Vec<Token>) -> (Vec<Vec<String>>, Vec<Join>, Vec<usize>) {
    let mut elsewhere = Vec::new();
    let (mut commands, mut joins, mut words) = (Vec::new(), Vec::new(), Vec::new());
    for token in tokens {
        match token {
            Token::Word(word) => words.push(word),
            Token::Elsewhere => elsewhere.push(commands.len()),
            // Blank lines and a `;` at the end join nothing.
            Token::Join(_) if words.is_empty() => {}
            Token::Join(join) => {
                commands.push(std::mem::take(&mut words));
                joins.push(join);
            }
        }
    }
    if words.is_empty() {
        // Nothing follows the last join, which matters for `&` only.
        if joins.last() != Some(&Join::Background) {
            joins.pop();
        }
    } else {
        commands.push(words);
    }
    (commands, joins, elsewhere)
}

#[cfg(test)]
mod tests {
    use super::Line;

    /// Each step as `words [exit 0 shows][else shows]`.
    fn check(text: &str, expected: &[&str]) {
        let line = Line::parse(text);
        let found: Vec<String> = line
            .steps
            .iter()
            .map(|step| {
                let mark = |is: bool, mark: char| if is { mark } else { '-' };
                format!(
                    "{} {}{}",
                    step.words.join(" "),
                    mark(step.success_shows, 's'),
                    mark(step.failure_shows, 'f')
                )
            })
            .collect();
        assert_eq!(found, expected, "{text:?}");
    }

    #[test]
    fn a_single_command_owns_the_exit_code() {
        check("cargo test", &["cargo test sf"]);
        check(
            "cd a && RUST_LOG=1 timeout 60 cargo test 2>&1 > log",
            &["cd a s-", "cargo test sf"],
        );
        check("cargo test; ", &["cargo test sf"]);
        check("python3.11 -m pytest -q", &["pytest -q sf"]);
        check("uv run --no-sync pytest", &["pytest sf"]);
        check("npx jest 'a b' \"c\\\"d\"", &["jest a b c\"d sf"]);
    }

    #[test]
    fn later_commands_take_it_over() {
        check("cargo test; echo done", &["cargo test --", "echo done sf"]);
        check("cargo test | tail -n 3", &["cargo test --", "tail -n 3 s-"]);
        check("cargo test || true", &["cargo test --", "true --"]);
        check("cargo test &", &["cargo test --"]);
        check("! cargo test", &["cargo test --"]);
        check("a && b", &["a s-", "b s-"]);
        check("a && b | tail", &["a s-", "b --", "tail s-"]);
    }

    #[test]
    fn shell_options_give_it_back() {
        check(
            "set -eo pipefail\na | tail\nb",
            &["set -eo pipefail s-", "a s-", "tail s-", "b s-"],
        );
        check("set -e; a; b", &["set -e s-", "a s-", "b s-"]);
        check(
            "bash -lc 'cargo test && echo ok'",
            &["cargo test sf", "echo ok s-"],
        );
    }

    #[test]
    fn brackets_loops_and_here_documents_are_looked_into() {
        check("(cd a && cargo test)", &["cd a s-", "cargo test sf"]);
        check(
            "(cd a && cargo test) | tail",
            &["cd a --", "cargo test --", "tail --"],
        );
        check("for i in 1 2; do cargo test; done", &["cargo test --"]);
        check(
            "if cargo test; then echo ok; fi",
            &["cargo test --", "echo ok --"],
        );
        check(
            "cat > a <<'E'\npytest\nE\ncargo test",
            &["cat --", "cargo test sf"],
        );
        check("cat <<-E | b\n\tpytest\n\tE", &["cat --", "b s-"]);
        check("a <<< 'b; c'", &["a sf"]);
        check("A=$(pwd; ls) pytest `x y`", &["pytest $ sf"]);
        check("echo \"$(cargo test)\"", &["echo $(cargo test) sf"]);
    }

    #[test]
    fn what_is_not_followed_has_no_steps() {
        for text in [
            "cargo test 'unfinished",
            "f() { cargo test; }",
            "diff <(a) <(b)",
            "echo $(a",
            "-c x",
        ] {
            let expected: &[&str] = if text == "-c x" { &["-c x sf"] } else { &[] };
            check(text, expected);
        }
    }
}
