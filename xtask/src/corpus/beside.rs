//! Other sandboxes that the same attempts are run in, for comparison.

use anyhow::bail;

use super::stage::Stage;
use super::subject::{Mode, Subject, Words};
use crate::steps::answer;

pub(super) fn subject(name: &str) -> anyhow::Result<Subject> {
    let (words, hint): (Words, &str) = match name {
        "bwrap" => (bwrap, "install it with apt-get install bubblewrap"),
        "codex" => (codex, "put the reference CLI on PATH"),
        other => bail!("`{other}` is no sandbox to compare with: bwrap or codex"),
    };
    if answer(name, &["--version"]).is_none() {
        bail!("{name} isn't there; {hint}");
    }
    Ok(Subject::new(name, words))
}

fn bwrap(_: &Stage, mode: Mode, _: Option<&str>) -> Vec<String> {
    let bind = match mode {
        Mode::ReadOnly => "",
        Mode::Workspace | Mode::Service => "--bind {ws} {ws} ",
    };
    let line = format!("bwrap --ro-bind / / {bind}--unshare-all {{script}}");
    line.split(' ').map(str::to_owned).collect()
}

fn codex(_: &Stage, mode: Mode, _: Option<&str>) -> Vec<String> {
    let access = match mode {
        Mode::ReadOnly => "read-only",
        Mode::Workspace | Mode::Service => "workspace-write",
    };
    let line = format!("codex sandbox -c sandbox_mode={access} -- {{script}}");
    line.split(' ').map(str::to_owned).collect()
}
