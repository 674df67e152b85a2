//! The corpus that is given from outside the project: driven through its own runner, a few cases at a time.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, bail};
use serde_json::Value;

use super::options::{Options, Which};
use super::pool;
use super::stage::{Stage, User};
use super::subject::{HOST_GIT, Mode};
use super::verdict::Verdict;
use crate::project;

/// Where it lies beside the checkout.
const PLACE: &str = "../shared/corpus/sandbox";
pub(super) const ABSENT: &str = "\
*** The given escape corpus is NOT there (../shared/corpus/sandbox beside the checkout).
*** Only our own attempts are run; its patches (crates/testkit/tests/hostile_patches.rs) aren't either.";
/// Cases in one call of the runner: its start costs little beside them, and the last call ends soon after the others.
const TOGETHER: usize = 5;

/// Finds it; an error when it was asked for and isn't there.
pub(super) fn find(options: &Options) -> anyhow::Result<Option<PathBuf>> {
    if options.which == Which::Own {
        return Ok(None);
    }
    let place = options
        .given
        .clone()
        .unwrap_or_else(|| project::root().join(PLACE));
    if place.join("run_corpus.py").is_file() {
        return Ok(Some(place));
    }
    if options.which == Which::Given {
        bail!("there is no run_corpus.py in {}", place.display());
    }
    Ok(None)
}

/// Runs every case under a command.
pub(super) fn row(
    stage: &Stage,
    user: User,
    mode: Mode,
    command: &str,
    options: &Options,
) -> anyhow::Result<Vec<Verdict>> {
    let given = stage.given().context("the given corpus isn't there")?;
    let manifest = serde_json::from_slice(&fs::read(given.join("manifest.json"))?)?;
    let ids = ids(&manifest, mode, options)?;
    let chunks: Vec<&[String]> = ids.chunks(TOGETHER).collect();
    let rows = pool::each(&chunks, |chunk| {
        run(stage, &given, user, mode, command, chunk)
    })?;
    let verdicts: Vec<Verdict> = rows.into_iter().flatten().collect();
    if verdicts.len() != ids.len() {
        bail!(
            "the given runner judged {} of {} cases",
            verdicts.len(),
            ids.len()
        );
    }
    Ok(verdicts)
}

fn ids(manifest: &Value, mode: Mode, options: &Options) -> anyhow::Result<Vec<String>> {
    let cases = manifest["cases"]
        .as_array()
        .context("the given manifest has no cases")?;
    let expected = mode.expected();
    let is_in_force = |tag: &Value| tag.as_str().is_some_and(|tag| expected.contains(&tag));
    let is_wanted = |case: &&Value| {
        let tags = case["must_stop"].as_array();
        // Honest programs carry none.
        !options.only_required
            || tags.is_none_or(|tags| tags.is_empty() || tags.iter().any(is_in_force))
    };
    let ids = cases
        .iter()
        .filter(is_wanted)
        .filter_map(|case| case["id"].as_str().map(str::to_owned));
    Ok(ids.filter(|id| id.contains(&options.filter)).collect())
}

fn run(
    stage: &Stage,
    given: &Path,
    user: User,
    mode: Mode,
    command: &str,
    ids: &[String],
) -> anyhow::Result<Vec<Verdict>> {
    let expected = mode.expected();
    let bait = stage.bait(user);
    let result = bait.join(format!("{}-{}.json", mode.name(), ids[0]));
    let output = stage
        .python(user, &given.join("run_corpus.py"))
        .args(["--quiet", "--cmd", command, "--mode", mode.controls()])
        .args(["--expect", &expected.join(","), "--host-git", HOST_GIT])
        // The runner searches in "id class".
        .args(["--only", &format!("^({}) ", ids.join("|"))])
        .arg("--base")
        .arg(&bait)
        .arg("--tmpdir")
        .arg(stage.shared(user))
        .arg("--out")
        .arg(&result)
        .stdout(Stdio::null())
        .output()?;
    let text = fs::read(&result).with_context(|| {
        format!(
            "the given runner left no result: {}",
            String::from_utf8_lossy(&output.stderr)
        )
    })?;
    fs::remove_file(&result)?;
    let value: Value = serde_json::from_slice(&text)?;
    let rows = value["rows"].as_array().into_iter().flatten();
    Ok(rows.map(|row| Verdict::of_given(row, &expected)).collect())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{Mode, Options, ids};

    #[test]
    fn honest_programs_are_required_and_so_is_what_a_mode_must_stop() {
        let case = |id: &str, tags: &[&str]| json!({ "id": id, "must_stop": tags });
        let manifest = json!({ "cases": [case("a", &["limits"]), case("b", &["isolate"]), case("ctl_c", &[])] });
        let of = |mode, only_required| {
            let options = Options {
                only_required,
                ..Options::default()
            };
            ids(&manifest, mode, &options).unwrap()
        };
        assert_eq!(of(Mode::Workspace, false), ["a", "b", "ctl_c"]);
        assert_eq!(of(Mode::Workspace, true), ["b", "ctl_c"]);
        assert_eq!(of(Mode::Service, true), ["a", "b", "ctl_c"]);
    }
}
