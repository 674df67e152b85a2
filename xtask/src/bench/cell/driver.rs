//! The process that makes the cells, and what it is told.

use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use anyhow::{Context, bail};
use serde_json::{Value, json};

use super::place::{Place, User};
use crate::metadata::Workspace;
use crate::{project, steps};

/// A harness with its cells, run by one user.
pub(super) struct Driver {
    pub(super) user: User,
    child: Child,
    orders: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

/// Builds the example, and says where it is.
pub(super) fn build() -> anyhow::Result<PathBuf> {
    let build = [
        "build",
        "--release",
        "-p",
        "recto-cell",
        "--example",
        "cell-bench",
    ];
    steps::perform(&mut project::cargo(&build))?;
    let target = Workspace::load()?.target_directory;
    Ok(target.join("release/examples/cell-bench"))
}

impl Driver {
    pub(super) fn start(place: &Place, user: &User) -> anyhow::Result<Self> {
        let mut command = match user.id {
            None => Command::new(&place.program),
            Some(id) => {
                let mut command = Command::new("setpriv");
                command
                    .args([format!("--reuid={id}"), format!("--regid={id}")])
                    .args(["--clear-groups", "--"])
                    .arg(&place.program);
                command
            }
        };
        let mut child = command
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("LANG", "C.UTF-8")
            .env("HOME", user.home())
            .env("RECTO_HOME", user.home().join(".recto"))
            .env("TMPDIR", user.temporary())
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("could not start the driver")?;
        let (orders, answers) = (child.stdin.take(), child.stdout.take());
        let answers = BufReader::new(answers.context("the driver has no output")?);
        let mut driver = Self {
            user: user.clone(),
            child,
            orders,
            answers,
        };
        driver.ask(&json!({"do": "tree", "path": user.small()}))?;
        Ok(driver)
    }

    /// Has one thing done.
    pub(super) fn ask(&mut self, order: &Value) -> anyhow::Result<Value> {
        let orders = self.orders.as_mut().context("the driver has been ended")?;
        writeln!(orders, "{order}")?;
        let mut line = String::new();
        self.answers.read_line(&mut line)?;
        let answer: Value = serde_json::from_str(&line)
            .with_context(|| format!("the driver answered {line:?} to {order}"))?;
        match answer["error"].as_str() {
            Some(error) => bail!("{order}: {error}"),
            None => Ok(answer),
        }
    }

    pub(super) fn pid(&self) -> i32 {
        i32::try_from(self.child.id()).unwrap_or_default()
    }
}

impl Drop for Driver {
    /// It ends with its input, and its cells with it.
    fn drop(&mut self) {
        self.orders = None;
        let _ = self.child.wait();
    }
}

/// One number of an answer.
pub(super) fn number(answer: &Value, field: &str) -> anyhow::Result<f64> {
    answer[field]
        .as_f64()
        .with_context(|| format!("no number {field:?} in {answer}"))
}

/// A list of numbers of an answer.
pub(super) fn numbers(answer: &Value, field: &str) -> anyhow::Result<Vec<f64>> {
    let list = answer[field].as_array();
    let list = list.with_context(|| format!("no list {field:?} in {answer}"))?;
    Ok(list.iter().filter_map(Value::as_f64).collect())
}
