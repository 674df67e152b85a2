//! What became of one attempt.

use serde_json::Value;

/// What became of an attempt, or of an honest program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It got out.
    Escaped,
    /// It did not.
    Contained,
    /// An honest program that works.
    Works,
    /// An honest program that doesn't.
    Broken,
    /// Nobody knows: it printed no verdict, or the test failed.
    Unclear,
}

/// An attempt, how it ended, and what that means in this row.
#[derive(Clone, Debug)]
pub(super) struct Verdict {
    pub(super) id: String,
    pub(super) is_own: bool,
    pub(super) tags: Vec<String>,
    pub(super) outcome: Outcome,
    /// Whether this row must stop it, or let it work.
    pub(super) is_required: bool,
    pub(super) seconds: f64,
    /// What was seen.
    pub(super) why: String,
}

impl Verdict {
    /// From one line of `outside.py`.
    pub(super) fn of_own(value: &Value, expected: &[&str]) -> Self {
        let tags = words(&value["stops"]);
        Self {
            id: text(value, "id"),
            is_own: true,
            is_required: tags.iter().any(|tag| expected.contains(&tag.as_str())),
            tags,
            outcome: outcome(&text(value, "status")),
            seconds: value["seconds"].as_f64().unwrap_or_default(),
            why: either(&text(value, "seen"), &text(value, "said")),
        }
    }

    /// From one row of the given runner.
    pub(super) fn of_given(value: &Value, expected: &[&str]) -> Self {
        let tags = words(&value["must_stop"]);
        let is_expected = tags.iter().any(|tag| expected.contains(&tag.as_str()));
        Self {
            id: text(value, "id"),
            is_own: false,
            is_required: is_expected || value["required"] == true,
            tags,
            outcome: outcome(&text(value, "status")),
            seconds: value["wall"].as_f64().unwrap_or_default(),
            why: either(&text(value, "note"), &text(value, "said")),
        }
    }

    pub(super) fn is_control(&self) -> bool {
        self.id.starts_with("ctl_")
    }

    /// Whether it is what it must not be.
    pub(super) fn has_failed(&self) -> bool {
        self.is_required && !matches!(self.outcome, Outcome::Contained | Outcome::Works)
    }

    pub(super) fn has_tag(&self, tag: &str) -> bool {
        self.tags.iter().any(|found| found == tag)
    }
}

fn outcome(status: &str) -> Outcome {
    match status {
        "ESCAPED" => Outcome::Escaped,
        "CONTAINED" => Outcome::Contained,
        "OK" => Outcome::Works,
        "BROKEN" => Outcome::Broken,
        _ => Outcome::Unclear,
    }
}

fn text(value: &Value, key: &str) -> String {
    value[key].as_str().unwrap_or_default().to_owned()
}

fn words(value: &Value) -> Vec<String> {
    let list = value.as_array().into_iter().flatten();
    list.filter_map(|word| word.as_str().map(str::to_owned))
        .collect()
}

fn either(first: &str, second: &str) -> String {
    if first.is_empty() { second } else { first }.to_owned()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{Outcome, Verdict};

    #[test]
    fn an_attempt_without_a_verdict_fails_where_it_must_be_stopped() {
        let value = json!({ "id": "a", "stops": ["isolate"], "status": "ERROR" });
        assert!(Verdict::of_own(&value, &["isolate"]).has_failed());
        assert!(!Verdict::of_own(&value, &["limits"]).has_failed());
    }

    #[test]
    fn a_control_fails_when_it_is_required_and_broken() {
        let value = json!({ "id": "ctl_x", "must_stop": [], "required": true, "status": "BROKEN", "note": "", "said": "no" });
        let verdict = Verdict::of_given(&value, &["isolate"]);
        assert_eq!(verdict.outcome, Outcome::Broken);
        assert!(verdict.has_failed() && verdict.is_control());
        assert_eq!(verdict.why, "no");
    }
}
