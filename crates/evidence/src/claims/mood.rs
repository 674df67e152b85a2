//! What keeps a clause from being a plain statement: a condition, a request, an expectation, another
//! time, or that nothing was run.

use super::predicate::HEDGES;
use super::prose::{Clause, Token};
use super::topic::{Topic, command};
use crate::tools::Subject;

/// The subjects that a clause says were not run; none when it says nothing of the kind.
pub(super) fn not_run(tokens: &[Token], topics: &[Topic]) -> Option<Vec<Topic>> {
    const NOT: &str = "\
        not couldn't can't cannot didn't haven't hasn't wasn't weren't unable never \
        without skipped don't";
    const RUN: &str = "\
        run ran running execute executed executing test tested verify verified rerun \
        re-run start";
    let says_so = tokens.iter().enumerate().any(|(at, token)| {
        if token.is_one_of("untested unverified") {
            return true;
        }
        let is_not = token.is_one_of(NOT);
        let verb = (at + 1..tokens.len().min(at + 5)).find(|&at| tokens[at].is_one_of(RUN));
        // `run into failures`, `tested on Windows`
        let goes_on = verb.and_then(|at| tokens.get(at + 1));
        is_not
            && verb.is_some()
            && !goes_on.is_some_and(|token| token.is_one_of("into on against out"))
    });
    // `No tests were run`
    let none_run = topics.iter().any(|topic| topic.is_none)
        && tokens.windows(2).any(|pair| {
            pair[0].is_one_of("were was have been") && pair[1].is_one_of("run executed been")
        });
    if !says_so && !none_run {
        return None;
    }
    let mut topics = topics.to_vec();
    topics.iter_mut().for_each(|topic| topic.is_none = false);
    let is_bare = topics.is_empty()
        && tokens
            .iter()
            .any(|token| token.is_one_of("untested tested"));
    if is_bare {
        topics.push(Topic::of(Subject::Tests, 0..0));
    }
    Some(topics)
}

/// Conditions, purposes and requests.
pub(super) fn is_hypothetical(clause: &Clause) -> bool {
    let tokens = &clause.tokens;
    let starts = clause.is_first
        && tokens
            .iter()
            .find(|token| matches!(token, Token::Word(_)))
            .is_some_and(|token| {
                token.is_one_of("run please rerun re-run verify check confirm ensure make execute try let's add fix use") && !matches!(tokens.first(), Some(Token::Tick | Token::Cross))
                    && !token_is_command(tokens)
            });
    let has = tokens.iter().any(|token| {
        token.is_one_of("if unless until whether once ensure ensures ensuring please")
    });
    let pairs = tokens.windows(2).any(|pair| {
        pair[0].is("make") && pair[1].is("sure")
            || pair[0].is("so") && pair[1].is("that")
            || pair[0].is_one_of("to must can you")
                && pair[1].is_one_of("verify confirm check ensure")
    });
    starts || has || pairs
}

/// `make test passes`: the first words are a command and no request.
fn token_is_command(tokens: &[Token]) -> bool {
    let first = tokens
        .iter()
        .position(|token| matches!(token, Token::Word(_)));
    first.is_some_and(|at| command(tokens, at).is_some())
}

/// Whether the words up to a predicate make it an expectation.
pub(super) fn is_expected(tokens: &[Token]) -> bool {
    tokens.iter().any(|token| token.is_one_of(HEDGES))
}

/// What was so before the work, or is so elsewhere.
pub(super) fn is_another_time(tokens: &[Token]) -> bool {
    let is_now = tokens
        .iter()
        .any(|token| token.is_one_of("now after afterwards"));
    let was = tokens.iter().any(|token| {
        token.is_one_of(
            "before previously originally initially earlier upstream formerly beforehand",
        )
    });
    let elsewhere = tokens.windows(2).any(|pair| {
        pair[0].is_one_of("on at used") && pair[1].is_one_of("main master to first upstream")
    });
    let base = tokens.windows(3).any(|three| {
        three[0].is("on")
            && three[1].is("the")
            && three[2].is_one_of("base original main unmodified")
    });
    let undone = tokens.windows(3).any(|three| {
        three[0].is("without")
            && three[1].is_one_of("the my this")
            && three[2].is_one_of("fix change changes patch")
    });
    (was || elsewhere || base || undone) && !is_now
}

/// Whether it is said of nearly all only: that is neither a claim about all nor one about none.
pub(super) fn is_partial(tokens: &[Token]) -> bool {
    tokens.windows(2).any(|pair| {
        let nearly =
            pair[0].is_one_of("almost nearly") && pair[1].is_one_of("all every everything");
        let all_but = pair[0].is_one_of("all everything") && pair[1].is("but");
        let apart = pair[0].is_one_of("apart aside other") && pair[1].is_one_of("from than");
        let exception =
            pair[0].is_one_of("the one single") && pair[1].is_one_of("exception exceptions");
        nearly || all_but || apart || exception
    })
}

/// Whether something was different once and is told as it is now: what failed is past then.
pub(super) fn was_once(tokens: &[Token]) -> bool {
    tokens
        .iter()
        .any(|token| token.is_one_of("before previously originally initially earlier formerly"))
}
