//! Our own attempts, `corpus/escape`: each is one call of its `outside.py`.

use std::process::Stdio;

use anyhow::{Context, bail};
use serde_json::Value;

use super::options::Options;
use super::pool;
use super::stage::{Stage, User};
use super::subject::{HOST_GIT, Mode};
use super::verdict::{Outcome, Verdict};

/// An attempt as `outside.py list` tells of it.
struct Attempt {
    id: String,
    /// As whom it can prove itself: `anyone`, `root` or `user`.
    needs: String,
    tags: Vec<String>,
}

/// Runs every attempt under a command.
pub(super) fn row(
    stage: &Stage,
    user: User,
    mode: Mode,
    command: &str,
    options: &Options,
) -> anyhow::Result<Vec<Verdict>> {
    let expected = mode.expected();
    let mut attempts = attempts(stage, user, &options.filter)?;
    if options.only_required {
        attempts.retain(|attempt| attempt.tags.iter().any(|tag| expected.contains(&&**tag)));
    }
    pool::each(&attempts, |attempt| {
        Ok(Verdict::of_own(
            &run(stage, user, &attempt.id, command)?,
            &expected,
        ))
    })
}

/// Runs every attempt without isolation, and names those that don't escape: they could not fail.
pub(super) fn proof(stage: &Stage, user: User, filter: &str) -> anyhow::Result<Vec<String>> {
    let mut attempts = attempts(stage, user, filter)?;
    attempts.retain(|attempt| attempt.needs == "anyone" || attempt.needs == user.name());
    let verdicts = pool::each(&attempts, |attempt| {
        Ok(Verdict::of_own(
            &run(stage, user, &attempt.id, "{script}")?,
            &[],
        ))
    })?;
    eprintln!(
        "{} attempts of our own prove themselves as {}",
        verdicts
            .iter()
            .filter(|it| it.outcome == Outcome::Escaped)
            .count(),
        user.name()
    );
    let idle = verdicts
        .iter()
        .filter(|it| it.outcome != Outcome::Escaped)
        .map(|it| {
            format!(
                "{} doesn't escape without isolation as {}: {}",
                it.id,
                user.name(),
                it.why
            )
        });
    Ok(idle.collect())
}

fn attempts(stage: &Stage, user: User, filter: &str) -> anyhow::Result<Vec<Attempt>> {
    let output = stage.python(user, &stage.own()).arg("list").output()?;
    let list: Value = serde_json::from_slice(&output.stdout).with_context(|| {
        format!(
            "outside.py listed nothing: {}",
            String::from_utf8_lossy(&output.stderr)
        )
    })?;
    let all = list.as_array().into_iter().flatten().map(attempt);
    let all: Vec<Attempt> = all.collect::<anyhow::Result<_>>()?;
    Ok(all
        .into_iter()
        .filter(|it| it.id.contains(filter))
        .collect())
}

fn attempt(value: &Value) -> anyhow::Result<Attempt> {
    let text = |key: &str| value[key].as_str().unwrap_or_default().to_owned();
    let tags = value["stops"].as_array().into_iter().flatten();
    let tags: Vec<&str> = tags.filter_map(Value::as_str).collect();
    let attempt = Attempt {
        id: text("id"),
        needs: text("needs"),
        tags: tags.iter().map(|tag| (*tag).to_owned()).collect(),
    };
    let known: Vec<&str> = Mode::ALL.iter().flat_map(|mode| mode.expected()).collect();
    // A slip in a tag would make an attempt that nothing has to stop.
    if tags.is_empty() || tags.iter().any(|tag| !known.contains(tag)) {
        bail!("{} carries a tag that no mode knows: {tags:?}", attempt.id);
    }
    if !["anyone", "root", "user"].contains(&attempt.needs.as_str()) {
        bail!(
            "{} needs nobody that there is: {}",
            attempt.id,
            attempt.needs
        );
    }
    Ok(attempt)
}

/// Runs one attempt; a second time when nobody could say how the first one ended, as on a machine under load.
fn run(stage: &Stage, user: User, id: &str, command: &str) -> anyhow::Result<Value> {
    let first = run_once(stage, user, id, command)?;
    match first["status"] == "ERROR" {
        true => run_once(stage, user, id, command),
        false => Ok(first),
    }
}

fn run_once(stage: &Stage, user: User, id: &str, command: &str) -> anyhow::Result<Value> {
    let output = stage
        .python(user, &stage.own())
        .args(["run", id, command])
        .arg(stage.bait(user))
        .arg(HOST_GIT)
        .stderr(Stdio::piped())
        .output()
        .with_context(|| format!("could not run {id}"))?;
    serde_json::from_slice(&output.stdout).with_context(|| {
        let said = String::from_utf8_lossy(&output.stderr);
        format!("{id} ended with {}: {said}", output.status)
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::attempt;

    #[test]
    fn a_slip_in_a_tag_is_an_error_and_not_an_attempt_that_may_escape() {
        let of =
            |tag: &str, needs: &str| attempt(&json!({ "id": "a", "stops": [tag], "needs": needs }));
        assert!(of("isolate", "anyone").is_ok());
        assert!(of("limits", "root").is_ok());
        assert!(of("isolated", "anyone").is_err());
        assert!(of("isolate", "nobody").is_err());
        assert!(attempt(&json!({ "id": "a", "stops": [], "needs": "anyone" })).is_err());
    }
}
