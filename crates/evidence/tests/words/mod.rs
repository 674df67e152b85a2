//! Claims in few words, so that tests can say what they expect.

use recto_evidence::Subject;
use recto_evidence::claims::{Claim, Stance};

/// `tests pass all`, `lint pass cargo clippy quiet`, `tests fail failed=2`
pub(crate) fn words(claim: &Claim) -> String {
    let subject = match claim.subject {
        Subject::Tests => "tests",
        Subject::Build => "build",
        Subject::Lint => "lint",
        Subject::Format => "format",
        Subject::Types => "types",
        Subject::Checks => "checks",
    };
    let stance = match claim.stance {
        Stance::Passes => "pass",
        Stance::Expected => "expected",
        Stance::Fails => "fail",
        Stance::NotRun => "not-run",
    };
    let mut words = format!("{subject} {stance}");
    let mut say = |is: bool, word: &str| {
        if is {
            words.push(' ');
            words.push_str(word);
        }
    };
    say(
        claim.tool.is_some(),
        &format!("[{}]", claim.tool.clone().unwrap_or_default()),
    );
    say(
        !claim.parts.is_empty(),
        &format!("of {}", claim.parts.join(",")),
    );
    say(
        claim.test.is_some(),
        &format!("test={}", claim.test.clone().unwrap_or_default()),
    );
    say(claim.is_all, "all");
    say(claim.is_some, "some");
    say(claim.no_warnings, "quiet");
    say(
        claim.passed.is_some(),
        &format!("passed={}", claim.passed.unwrap_or_default()),
    );
    say(
        claim.failed.is_some(),
        &format!("failed={}", claim.failed.unwrap_or_default()),
    );
    words
}
