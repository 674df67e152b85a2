//! The test runner: cargo-nextest where it is installed, `cargo test` elsewhere.
//!
//! Nextest isn't installed for the sake of it: that takes minutes, and no test relies on a process
//! of its own.
//!
//! Tests that drive the release binary are those of `recto-testkit`; `--fast` leaves these out.

use std::path::PathBuf;
use std::process::Command;

use super::options::Options;
use crate::metadata::Workspace;
use crate::project::cargo;

/// The crate whose tests drive the release binary.
const BLACK_BOX: &str = "recto-testkit";

/// Package managers stay off the network during the tests, so that a test that fetches fails
/// everywhere and not only on the machine without a network.
const OFFLINE: &[(&str, &str)] = &[
    ("CARGO_NET_OFFLINE", "true"),
    ("PIP_NO_INDEX", "1"),
    ("npm_config_offline", "true"),
];

pub(super) struct Runner<'a> {
    options: &'a Options,
    environment: PathBuf,
    binary: Option<PathBuf>,
    has_nextest: bool,
}

impl<'a> Runner<'a> {
    pub(super) fn find(
        options: &'a Options,
        environment: PathBuf,
        binary: Option<PathBuf>,
    ) -> Self {
        // Asked through cargo, which also looks where it installs.
        let version = cargo(&["nextest", "--version"]).output();
        let has_nextest = version.is_ok_and(|output| output.status.success());
        Self {
            options,
            environment,
            binary,
            has_nextest,
        }
    }

    /// Compiles what `tests` runs; the last step that may use the network.
    pub(super) fn build(&self) -> Command {
        let mut arguments = self.start();
        arguments.push("--no-run");
        self.with_variables(&arguments)
    }

    pub(super) fn tests(&self) -> Command {
        let mut arguments = self.start();
        arguments.push("--no-fail-fast");
        if self.has_nextest && !self.options.packages.is_empty() {
            // A selection may be empty; the whole may not.
            arguments.push("--no-tests=pass");
        }
        arguments.extend(self.options.extra.iter().map(String::as_str));
        let mut command = self.with_variables(&arguments);
        command.envs(OFFLINE.iter().copied());
        command
    }

    /// Nextest runs no doc tests. `None` when no chosen crate can have any.
    pub(super) fn doc_tests(&self, workspace: &Workspace) -> Option<Command> {
        let chosen = &self.options.packages;
        let libraries: Vec<&str> = chosen
            .iter()
            .map(String::as_str)
            .filter(|name| workspace.find(name).is_some_and(|found| found.has_library))
            .collect();
        if libraries.is_empty() && !chosen.is_empty() {
            return None;
        }
        let mut arguments = vec!["test", "--doc"];
        arguments.extend(selection(&libraries));
        let mut command = self.with_variables(&arguments);
        command.envs(OFFLINE.iter().copied());
        Some(command)
    }

    fn start(&self) -> Vec<&str> {
        let names: Vec<&str> = self.options.packages.iter().map(String::as_str).collect();
        let mut arguments = match self.has_nextest {
            true => vec!["nextest", "run"],
            // `--tests`: the doc tests have a step of their own.
            false => vec!["test", "--tests"],
        };
        arguments.extend(selection(&names));
        if self.options.fast && names.is_empty() {
            arguments.extend(["--exclude", BLACK_BOX]);
        }
        arguments
    }

    fn with_variables(&self, arguments: &[&str]) -> Command {
        let mut command = cargo(arguments);
        command.env("RECTO_TEST_ENV", &self.environment);
        match &self.binary {
            Some(binary) => command.env("RECTO_BIN", binary),
            None => command.env_remove("RECTO_BIN"),
        };
        command
    }
}

fn selection<'a>(names: &[&'a str]) -> Vec<&'a str> {
    match names {
        [] => vec!["--workspace"],
        names => names.iter().flat_map(|name| ["-p", *name]).collect(),
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::{Options, Runner};
    use crate::metadata::{Crate, Workspace};

    fn runner(options: &Options, has_nextest: bool) -> Runner<'_> {
        Runner {
            options,
            environment: "/e".into(),
            binary: None,
            has_nextest,
        }
    }

    fn words(command: &Command) -> Vec<&str> {
        command
            .get_args()
            .filter_map(|word| word.to_str())
            .collect()
    }

    fn check(options: &Options, has_nextest: bool, expected: &[&str]) {
        assert_eq!(words(&runner(options, has_nextest).tests()), expected);
    }

    #[test]
    fn without_options_the_whole_workspace_is_tested() {
        let all = Options::default();
        check(
            &all,
            true,
            &["nextest", "run", "--workspace", "--no-fail-fast"],
        );
        check(
            &all,
            false,
            &["test", "--tests", "--workspace", "--no-fail-fast"],
        );
    }

    #[test]
    fn fast_leaves_the_black_box_out() {
        let fast = Options {
            fast: true,
            extra: vec!["name".to_owned()],
            ..Options::default()
        };
        for (has_nextest, start) in [(true, "nextest run"), (false, "test --tests")] {
            let expected =
                format!("{start} --workspace --exclude recto-testkit --no-fail-fast name");
            check(&fast, has_nextest, &expected.split(' ').collect::<Vec<_>>());
        }
    }

    #[test]
    fn tests_learn_where_things_are_and_stay_offline() {
        let options = Options::default();
        let mut runner = runner(&options, true);
        assert_eq!(
            variable(&runner.tests(), "RECTO_TEST_ENV").as_deref(),
            Some("/e")
        );
        assert_eq!(variable(&runner.tests(), "RECTO_BIN"), None);
        assert_eq!(
            variable(&runner.tests(), "PIP_NO_INDEX").as_deref(),
            Some("1")
        );
        assert_eq!(variable(&runner.build(), "CARGO_NET_OFFLINE"), None);
        runner.binary = Some("/r/recto".into());
        assert_eq!(
            variable(&runner.tests(), "RECTO_BIN").as_deref(),
            Some("/r/recto")
        );
    }

    fn variable(command: &Command, name: &str) -> Option<String> {
        let (_, value) = command.get_envs().find(|(key, _)| *key == name)?;
        value.map(|value| value.to_string_lossy().into_owned())
    }

    #[test]
    fn a_crate_without_a_library_has_no_doc_tests() {
        let crates = vec![
            Crate {
                name: "a".to_owned(),
                has_library: true,
                dependencies: Vec::new(),
            },
            Crate {
                name: "b".to_owned(),
                has_library: false,
                dependencies: Vec::new(),
            },
        ];
        let workspace = Workspace {
            crates,
            target_directory: "/t".into(),
        };
        let doc_tests = |packages: &[&str]| {
            let packages = packages.iter().map(|name| (*name).to_owned()).collect();
            let options = Options {
                packages,
                ..Options::default()
            };
            let command = runner(&options, true).doc_tests(&workspace)?;
            Some(words(&command).join(" "))
        };
        assert_eq!(doc_tests(&[]).as_deref(), Some("test --doc --workspace"));
        assert_eq!(doc_tests(&["a", "b"]).as_deref(), Some("test --doc -p a"));
        assert_eq!(doc_tests(&["b"]), None);
    }
}
