//! Finds claims in clauses: a subject (`the tests`, `` `cargo clippy` ``) and what is said of it.
//!
//! Each predicate takes the subjects before it that have none yet, or else those that follow it
//! (`✅ pytest`, `no warnings from clippy`). What comes with a condition, a purpose, a request or
//! another time is no claim.

use std::ops::Range;

use super::mood::{is_another_time, is_expected, is_hypothetical, is_partial, not_run, was_once};
use super::predicate::{HEDGES, NEGATIONS, Predicate, predicates};
use super::prose::{Clause, Token, clauses, is_in};
use super::topic::{Topic, topics};
use super::{Claim, Stance};
use crate::tools::Subject;

/// Finds the claims of an answer, in order. Takes time linear in its length.
pub fn find(answer: &str) -> Vec<Claim> {
    let mut claims: Vec<Claim> = Vec::new();
    let mut condition = false;
    // How many claims there were before the last clause.
    let mut before = 0;
    for clause in clauses(answer) {
        // `If …, … but …` stays conditional to the end of its sentence.
        condition = is_hypothetical(&clause) || condition && !clause.is_first;
        // `All tests pass except …` is not about all, nor does it say which.
        if !clause.is_first
            && clause
                .tokens
                .first()
                .is_some_and(|token| token.is("except"))
        {
            claims.truncate(before);
            continue;
        }
        before = claims.len();
        if !condition && !clause.is_question {
            claims.extend(read(&clause));
        }
    }
    claims
}

fn read(clause: &Clause) -> Vec<Claim> {
    let tokens = &clause.tokens;
    let topics = topics(tokens);
    if let Some(topics) = not_run(tokens, &topics) {
        let claims = topics.into_iter();
        return claims
            .map(|topic| claim(clause, topic, Stance::NotRun))
            .collect();
    }
    let predicates = predicates(tokens, &topics);
    let mut reading = Reading {
        clause,
        topics: &topics,
        claims: Vec::new(),
        last: 0..0,
        end: 0,
    };
    for (index, predicate) in predicates.iter().enumerate() {
        let next = predicates
            .get(index + 1)
            .map_or(tokens.len(), |next| next.at.start);
        // `2 failed, 6 passed` is about tests, since something of a number passed.
        let counted = predicates.iter().filter(|other| other.count.is_some());
        let of_tests = predicate
            .count
            .and(counted.filter_map(|other| other.own).next());
        reading.take(predicate, next, predicate.own.or(of_tests));
    }
    if is_another_time(tokens) || is_partial(tokens) {
        return Vec::new();
    }
    if was_once(tokens) {
        reading.claims.retain(|claim| claim.stance != Stance::Fails);
    }
    reading.claims
}

/// A clause, read up to some predicate.
struct Reading<'a> {
    clause: &'a Clause,
    /// The subjects that no predicate has taken.
    topics: &'a [Topic],
    claims: Vec<Claim>,
    /// The claims of the last predicate, and where it ends.
    last: Range<usize>,
    end: usize,
}

impl Reading<'_> {
    /// Takes a predicate with its subjects. `next`: where the following one begins; `own`: the
    /// subject that it has by itself.
    fn take(&mut self, predicate: &Predicate, next: usize, own: Option<Subject>) {
        let tokens = &self.clause.tokens;
        // What a predicate encloses (`no clippy warnings`) is its subject too.
        let before = self
            .topics
            .iter()
            .take_while(|topic| topic.at.start < predicate.at.end);
        let before = self.topics.split_at(before.count());
        let mut subjects = linked(tokens, before.0, predicate);
        self.topics = before.1;
        if subjects.is_empty() && !before.0.is_empty() {
            return;
        }
        if subjects.is_empty() && self.goes_on(predicate) {
            return;
        }
        if subjects.is_empty() && predicate.leads && !is_before(tokens, predicate) {
            let after = self
                .topics
                .iter()
                .take_while(|topic| topic.at.end <= next)
                .count();
            let (after, rest) = self.topics.split_at(after);
            subjects = after.to_vec();
            self.topics = rest;
        }
        if let (true, Some(subject)) = (subjects.is_empty(), own) {
            subjects.push(Topic::of(subject, predicate.at.clone()));
        }
        if subjects.is_empty() {
            return;
        }
        let since = tokens.get(self.end..predicate.at.end).unwrap_or_default();
        let stance = match predicate.stance {
            Stance::Passes if is_expected(since) => Stance::Expected,
            stance => stance,
        };
        let from = self.claims.len();
        let stated = subjects
            .into_iter()
            .map(|topic| stated(self.clause, topic, predicate, stance))
            .filter(|claim| !(predicate.is_past && claim.stance == Stance::Fails));
        self.claims.extend(stated);
        self.last = from..self.claims.len();
        self.end = predicate.at.end;
    }

    /// Whether a predicate says more of the last one's subjects: `compiles without warnings`,
    /// `2 failed, 10 passed`.
    fn goes_on(&mut self, predicate: &Predicate) -> bool {
        let between = self
            .clause
            .tokens
            .get(self.end..predicate.at.start)
            .unwrap_or_default();
        let claims = &mut self.claims[self.last.clone()];
        if claims.is_empty() {
            return false;
        }
        if predicate.no_warnings && is_link(between) {
            claims.iter_mut().for_each(|claim| claim.no_warnings = true);
            return true;
        }
        let Some(count) = predicate.count.filter(|_| joins(between)) else {
            return false;
        };
        count_in(claims, predicate.stance, count);
        self.end = predicate.at.end;
        true
    }
}

fn stated(clause: &Clause, topic: Topic, predicate: &Predicate, stance: Stance) -> Claim {
    // The `no` of `no clippy warnings` belongs to the warnings.
    let is_none = topic.is_none && topic.at.start < predicate.at.start;
    let stance = match (is_none, stance) {
        (true, Stance::Fails) => Stance::Passes,
        (true, Stance::Passes) => Stance::Fails,
        _ => stance,
    };
    let counts_suites = matches!(&clause.tokens[topic.at.clone()], [.., last] if last.is("suites"));
    let is_all = topic.is_all || is_none && topic.tool.is_none();
    let count = predicate.count.or(topic.count);
    let mut claim = Claim {
        is_all,
        no_warnings: predicate.no_warnings,
        ..claim(clause, topic, stance)
    };
    if counts_suites {
        return claim;
    }
    // `Everything compiles` is about the build.
    if let (Some(own), None, Subject::Checks) = (predicate.own, &claim.tool, claim.subject) {
        (claim.subject, claim.is_all) = (own, false);
    }
    match stance {
        Stance::Fails => claim.failed = count,
        // `0 failed` says nothing about how many passed.
        _ if predicate.stance == Stance::Passes && count != Some(0) => claim.passed = count,
        _ => {}
    }
    claim
}

fn claim(clause: &Clause, topic: Topic, stance: Stance) -> Claim {
    Claim {
        span: clause.span.clone(),
        subject: topic.subject,
        stance,
        tool: topic.tool,
        parts: topic.parts,
        test: topic.test,
        is_all: topic.is_all,
        is_some: topic.is_some,
        no_warnings: false,
        passed: None,
        failed: None,
    }
}

fn count_in(claims: &mut [Claim], stance: Stance, count: u64) {
    for claim in claims {
        match stance {
            Stance::Fails if count > 0 => {
                claim.stance = Stance::Fails;
                claim.failed = Some(count);
            }
            Stance::Passes if count > 0 => claim.passed = Some(count),
            _ => {}
        }
    }
}

/// The subjects that a predicate is said of: the last one before it, and those joined to that one.
fn linked(tokens: &[Token], before: &[Topic], predicate: &Predicate) -> Vec<Topic> {
    let mut chain: Vec<Topic> = Vec::new();
    for topic in before {
        let is_joined = chain.last().is_some_and(|last| {
            let between = tokens.get(last.at.end..topic.at.start);
            between.is_some_and(|between| between.iter().all(is_joining))
        });
        if !is_joined {
            chain.clear();
        }
        chain.push(topic.clone());
    }
    let between = chain
        .last()
        .and_then(|last| tokens.get(last.at.end..predicate.at.start));
    match between.is_none_or(is_link) {
        true => chain,
        false => Vec::new(),
    }
}

/// What may stand between two subjects of one predicate.
fn is_joining(token: &Token) -> bool {
    match token {
        Token::Mark(_) | Token::Number(_) => true,
        _ => token.is_one_of("and or the plus as well with also both all full unit integration new existing then of its our entire whole doc nor no"),
    }
}

/// Whether the words between a subject and a predicate leave them together. A verb of its own
/// (`the tests check that it fails`) does not; a place or purpose (`the tests in a.rs pass`) does.
fn is_link(between: &[Token]) -> bool {
    const PLAIN: &str = "\
        is are was were be been has have had do does did and it they all both each now \
        still also again then always just fully completely locally currently successfully \
        finally already even back both only in to continue continues continued runs run \
        ran running reports reported shows showed gives gave produces produced comes came \
        finishes finished finish completes completed complete exits exited ends ended \
        stays stay remains remain result results status output outcome with the which \
        there no i added wrote command commands so any more longer that new a total of as \
        yields returns returned had says said";
    const PLACES: &str = "in for of under from covering on at across related around inside with";
    const OTHER_VERBS: &str = "\
        check checks cover covers verify verifies assert asserts ensure exercise expect \
        when because since where if need needs require requires who what how why case";
    let mut in_place = false;
    between.iter().enumerate().all(|(at, token)| match token {
        Token::Word(word) => {
            let word = word.as_str();
            in_place |= is_in(PLACES, word);
            let is_known = is_in(PLAIN, word)
                || is_in(NEGATIONS, word)
                || is_in(HEDGES, word)
                || word.starts_with('-');
            let is_clause = word == "that" && at > 0;
            !is_in(OTHER_VERBS, word)
                && !is_clause
                && (is_known || in_place || word.ends_with("ly"))
        }
        _ => true,
    })
}

/// Between two counts of one subject stand only marks, joining words and other counts.
fn joins(tokens: &[Token]) -> bool {
    tokens.iter().all(|token| match token {
        Token::Word(_) => token.is_one_of("and with skipped ignored pending todo test tests"),
        Token::Mark(_) | Token::Number(_) => true,
        _ => false,
    })
}

/// Whether a mark belongs to what stood before it: `tests ✅, clippy`.
fn is_before(tokens: &[Token], predicate: &Predicate) -> bool {
    matches!(tokens.get(predicate.at.end), Some(Token::Mark(',' | '|')))
}
