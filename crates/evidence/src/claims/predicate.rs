//! What clauses say: that something passes, fails, is clean, or lacks warnings.

use std::ops::Range;

use super::Stance;
use super::prose::{Token, is_in};
use super::topic::{Topic, code_topic};
use crate::tools::Subject;

/// Something that a clause says.
#[derive(Clone, Debug)]
pub(super) struct Predicate {
    pub(super) at: Range<usize>,
    pub(super) stance: Stance,
    pub(super) no_warnings: bool,
    pub(super) count: Option<u64>,
    /// A mark or noun that may stand before its subject.
    pub(super) leads: bool,
    /// Subjects that the word itself names: `compiles`.
    pub(super) own: Option<Subject>,
    /// Whether it may only tell what happened on the way.
    pub(super) is_past: bool,
}

const PASS: &str = "pass passes passed passing succeed succeeds succeeded";
const FAIL: &str = "fail fails failed failing";
const STATES: &str = "green clean ok okay successful successfully happy";
const BAD_STATES: &str = "red broken";
const COPULAS: &str = "\
    is are was were stays stay remains remain all now comes came runs run ran back fully \
    still completely again both also finished completed succeeded executed";
pub(super) const HEDGES: &str = "\
    should would will may might could expect expected expects likely probably presumably \
    hopefully believe think assume assuming appear appears seem seems ought supposed i'd \
    i'll shouldn't";
pub(super) const NEGATIONS: &str = "\
    not don't doesn't didn't isn't aren't never won't cannot can't longer nothing none";
/// What may follow a verb that stands for itself; an object may not.
const FOLLOWERS: &str = "\
    now again locally with without on in after under successfully cleanly and or as \
    including too also together across here at because since both via using there \
    consistently for from due so which when out overall end-to-end afterwards against \
    everywhere reliably unchanged when while both i";

pub(super) fn predicates(tokens: &[Token], topics: &[Topic]) -> Vec<Predicate> {
    let mut found = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        let predicate = lack(tokens, at)
            .or_else(|| verb(tokens, at, topics))
            .or_else(|| state(tokens, at))
            .or_else(|| mark(tokens, at));
        at = predicate
            .as_ref()
            .map_or(at + 1, |predicate| predicate.at.end);
        found.extend(predicate);
    }
    found
}

fn verb(tokens: &[Token], at: usize, topics: &[Topic]) -> Option<Predicate> {
    let Token::Word(word) = &tokens[at] else {
        return None;
    };
    let word = word.as_str();
    let is_pass = is_in(PASS, word);
    let own = match word {
        "compiles" | "compiled" => Some(Subject::Build),
        "builds" if !topics.iter().any(|topic| topic.at.contains(&at)) => Some(Subject::Build),
        "typechecks" | "type-checks" => Some(Subject::Types),
        _ => None,
    };
    if !is_pass && !is_in(FAIL, word) && own.is_none() {
        return None;
    }
    // `the failing test`, `passing tests`: no statement, unless counted.
    let count = count_before(tokens, at);
    let is_no = at > 0 && tokens[at - 1].is_one_of("no zero");
    let is_adjective = word.ends_with("ing") || word.ends_with("ed");
    let next_is_topic = topics.iter().any(|topic| topic.at.start == at + 1);
    let has_object = is_pass && has_object(tokens, at, topics);
    let is_statement = match tokens.get(at + 1) {
        Some(_) if has_object => true,
        None | Some(Token::Mark(_) | Token::Tick | Token::Number(_)) => true,
        Some(_) if is_adjective && next_is_topic => count.is_some() || is_no,
        Some(Token::Word(next)) => is_in(FOLLOWERS, next) || next.ends_with("ly") && next != "only",
        Some(Token::Code(_) | Token::Cross) => false,
    };
    let before = at.checked_sub(1).map(|at| &tokens[at]);
    // `to pass`: wanted, not so; but `continue to pass`.
    let is_infinitive = before.is_some_and(|token| token.is("to"))
        && !(at.saturating_sub(7)..at).any(|at| {
            tokens[at].is_one_of(HEDGES) || tokens[at].is_one_of("continue continues continued")
        });
    let is_made = (at.saturating_sub(4)..at)
        .any(|at| tokens[at].is_one_of("make makes making get getting let have see"));
    let is_wanted =
        is_infinitive || is_made && matches!(word, "pass" | "fail" | "succeed" | "passing");
    if !is_statement || is_wanted {
        return None;
    }
    let start = at - usize::from(count.is_some() || is_no);
    let is_zero = count == Some(0);
    let is_negated = is_negated(tokens, start);
    let passes = (is_pass || own.is_some()) ^ is_negated ^ (is_zero && !is_pass) ^ is_no;
    Some(Predicate {
        at: start..at + 1,
        stance: if passes {
            Stance::Passes
        } else {
            Stance::Fails
        },
        no_warnings: false,
        count,
        leads: has_object || next_is_topic && (count.is_some() || is_no),
        // `The test failed because …` tells a story; `Tests failed.` says how it is.
        is_past: !is_pass && count.is_none() && is_told(tokens, at),
        own: own
            .or((count.is_some_and(|count| count > 0) && word == "passed")
                .then_some(Subject::Tests)),
    })
}

/// `passes all tests`, `passes clippy`, but not `passes the test to the runner`.
fn has_object(tokens: &[Token], at: usize, topics: &[Topic]) -> bool {
    let object = topics.iter().find(|topic| topic.at.start > at);
    let is_near = |topic: &&Topic| {
        tokens[at + 1..topic.at.start].iter().all(|token| {
            token.is_one_of("all the full whole entire every existing our its")
                || matches!(token, Token::Number(_))
        })
    };
    object.filter(is_near).is_some_and(|topic| {
        let ends = match tokens.get(topic.at.end) {
            None | Some(Token::Mark(_) | Token::Tick) => true,
            Some(token) => token.is_one_of(FOLLOWERS),
        };
        ends && tokens[at].is_one_of("pass passes passed") && !tokens[topic.at.start].is("test")
    })
}

/// Whether a past form stands in a sentence of some length.
fn is_told(tokens: &[Token], at: usize) -> bool {
    const SHORT: usize = 6;
    let was = (at.saturating_sub(2)..at).any(|at| tokens[at].is_one_of("was were"));
    tokens[at].is("failed") && tokens.len() > SHORT || tokens[at].is("failing") && was
}

/// `12 passed`; the numbers of `12 tests passed` belong to the subject.
fn count_before(tokens: &[Token], at: usize) -> Option<u64> {
    match tokens.get(at.checked_sub(1)?)? {
        Token::Number(number) => Some(*number),
        _ => None,
    }
}

fn is_negated(tokens: &[Token], at: usize) -> bool {
    let window = &tokens[at.saturating_sub(3)..at];
    let negations = window
        .iter()
        .filter(|token| token.is_one_of(NEGATIONS))
        .count();
    // `not all tests pass`
    let not_all = tokens[..at]
        .windows(2)
        .any(|pair| pair[0].is("not") && pair[1].is_one_of("all every"));
    negations > 0 || not_all
}

/// `is green`, `: ok`, `came back clean`
fn state(tokens: &[Token], at: usize) -> Option<Predicate> {
    let is_good = tokens[at].is_one_of(STATES);
    if !is_good && !tokens[at].is_one_of(BAD_STATES) {
        return None;
    }
    let has_copula = (at.saturating_sub(3)..at).any(|at| tokens[at].is_one_of(COPULAS))
        || matches!(
            at.checked_sub(1).map(|at| &tokens[at]),
            Some(
                Token::Mark(':' | '|' | '-' | '–' | '—' | '=' | '(') | Token::Tick | Token::Code(_)
            )
        );
    let is_end = match tokens.get(at + 1) {
        None | Some(Token::Mark(_) | Token::Tick | Token::Cross) => true,
        Some(token) => token.is_one_of(FOLLOWERS),
    };
    if !has_copula || !is_end {
        return None;
    }
    let is_good = is_good ^ is_negated(tokens, at);
    Some(Predicate {
        at: at..at + 1,
        stance: if is_good {
            Stance::Passes
        } else {
            Stance::Fails
        },
        no_warnings: tokens[at].is("clean"),
        count: None,
        leads: false,
        own: None,
        is_past: false,
    })
}

fn mark(tokens: &[Token], at: usize) -> Option<Predicate> {
    let stance = match tokens[at] {
        Token::Tick => Stance::Passes,
        Token::Cross => Stance::Fails,
        _ => return None,
    };
    Some(Predicate {
        at: at..at + 1,
        stance,
        no_warnings: false,
        count: None,
        leads: true,
        own: None,
        is_past: false,
    })
}

/// `no warnings`, `without any errors`, `0 failures`
fn lack(tokens: &[Token], at: usize) -> Option<Predicate> {
    const THINGS: &str = "\
        warnings warning errors failures issues complaints findings problems violations \
        diagnostics";
    let is_none = tokens[at].is_one_of("no without zero") || tokens[at] == Token::Number(0);
    if !is_none {
        return None;
    }
    let thing = (at + 1..tokens.len().min(at + 4)).find(|&at| tokens[at].is_one_of(THINGS))?;
    let between = &tokens[at + 1..thing];
    let own = between.iter().find_map(|token| match token {
        Token::Word(word) => match word.as_str() {
            "test" => Some(Subject::Tests),
            "type" => Some(Subject::Types),
            "lint" | "linter" | "clippy" => Some(Subject::Lint),
            "compiler" | "compilation" | "compile" | "build" => Some(Subject::Build),
            _ => None,
        },
        Token::Code(code) => code_topic(code, 0).map(|topic| topic.subject),
        _ => None,
    });
    let is_plain = between.iter().all(|token| {
        token.is_one_of("any new more further remaining test type lint linter clippy compiler compilation compile build") || matches!(token, Token::Code(_))
    });
    if !is_plain {
        return None;
    }
    Some(Predicate {
        at: at..thing + 1,
        stance: Stance::Passes,
        no_warnings: !tokens[thing].is_one_of("errors failures"),
        count: None,
        leads: tokens
            .get(thing + 1)
            .is_some_and(|token| token.is_one_of("from in by with under")),
        own,
        is_past: false,
    })
}
