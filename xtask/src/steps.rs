//! Steps with a heading and a time, and the commands they run.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};

/// The steps of one run. Each prints a heading when it starts and its time when it ends; `finish` repeats the times.
#[derive(Default)]
pub(crate) struct Steps {
    done: Vec<(String, Duration)>,
}

impl Steps {
    /// Performs one step. A failure names the step it happened in.
    pub(crate) fn run<T>(
        &mut self,
        name: &str,
        work: impl FnOnce() -> anyhow::Result<T>,
    ) -> anyhow::Result<T> {
        println!("\n=== {name}");
        let started = Instant::now();
        let result = work();
        let took = started.elapsed();
        let ending = if result.is_ok() { "done" } else { "failed" };
        println!("=== {name}: {ending} after {:.1} s", took.as_secs_f64());
        self.done.push((name.to_owned(), took));
        result.with_context(|| format!("step `{name}` failed"))
    }

    pub(crate) fn finish(self) {
        println!("\n=== all steps passed");
        for (name, took) in &self.done {
            println!("{:8.1} s  {name}", took.as_secs_f64());
        }
        let total: Duration = self.done.iter().map(|(_, took)| *took).sum();
        println!("{:8.1} s  in total", total.as_secs_f64());
    }
}

/// Runs a command whose output goes straight to the terminal, and fails unless it succeeds.
///
/// Output isn't captured or rewritten: CI reads the closing line of the test runner.
pub(crate) fn perform(command: &mut Command) -> anyhow::Result<()> {
    let shown = shown(command);
    println!("$ {shown}");
    let status = command
        .stdin(Stdio::null())
        .status()
        .with_context(|| format!("could not start `{shown}`"))?;
    if !status.success() {
        bail!("`{shown}` ended with {status}");
    }
    Ok(())
}

/// Runs a command and returns what it printed, or `None` when it is missing or fails.
pub(crate) fn answer(program: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .ok()?;
    output
        .status
        .success()
        .then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

fn shown(command: &Command) -> String {
    let program = command.get_program().to_string_lossy();
    let mut words = vec![program.rsplit('/').next().unwrap_or(&program).to_owned()];
    words.extend(
        command
            .get_args()
            .map(|argument| argument.to_string_lossy().into_owned()),
    );
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::{Steps, answer, perform};

    #[test]
    fn a_failing_command_fails_its_step_and_the_step_is_named() {
        let error = Steps::default()
            .run("the tests", || perform(&mut Command::new("false")))
            .unwrap_err();
        let text = format!("{error:#}");
        assert!(
            text.starts_with("step `the tests` failed: `false` ended with"),
            "{text}"
        );
    }

    #[test]
    fn a_missing_program_answers_nothing() {
        assert_eq!(answer("no-such-program-anywhere", &[]), None);
        assert_eq!(answer("echo", &["hello"]).as_deref(), Some("hello"));
    }
}
