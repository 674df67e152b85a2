//! What is known about an answer, in one line.

use recto_evidence::claims::ClaimVerdict;
use recto_evidence::summary::{CheckState, CitationVerdict, NotVerified, Summary};
use serde_json::Value;

/// A summary in words; none for a form that this version can't read.
pub fn evidence_line(summary: &Value) -> Option<String> {
    let summary: Summary = serde_json::from_value(summary.clone()).ok()?;
    let mut parts = Vec::new();
    let mut of = |what: &str, good: usize, all: usize| {
        if all > 0 {
            parts.push(format!("{good} of {all} {what}"));
        }
    };
    let citations = &summary.citations;
    let hold = citations
        .iter()
        .filter(|one| one.verdict == CitationVerdict::Holds);
    of("citations hold", hold.count(), citations.len());
    let claims = &summary.claims;
    let proven = claims
        .iter()
        .filter(|one| one.judgement.verdict == ClaimVerdict::Proven);
    of("claims proven", proven.count(), claims.len());
    let passed = summary
        .checks
        .iter()
        .filter(|one| one.state == CheckState::Passed);
    of("checks passed", passed.count(), summary.checks.len());
    if let Some(tests) = &summary.tests {
        let report = &tests.after.report;
        parts.push(format!(
            "{} tests passed, {} failed",
            report.passed, report.failed
        ));
    }
    if summary
        .not_verified
        .contains(&NotVerified::NoTestsSinceChange)
    {
        parts.push("no tests ran since the last change".to_owned());
    }
    Some(match parts.is_empty() {
        true => "nothing was claimed or checked".to_owned(),
        false => parts.join("; "),
    })
}
