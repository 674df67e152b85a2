//! The options of `cargo xtask corpus`.

use std::path::PathBuf;

use anyhow::{Context, bail};

use super::stage::User;
use super::subject::Mode;

/// Which attempts are run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Which {
    /// Our own, and the given ones where they are.
    #[default]
    Both,
    /// Ours.
    Own,
    /// The given ones.
    Given,
}

#[derive(Debug, PartialEq)]
pub(super) struct Options {
    pub(super) which: Which,
    pub(super) given: Option<PathBuf>,
    pub(super) modes: Vec<Mode>,
    /// Empty: all that can be had.
    pub(super) users: Vec<User>,
    pub(super) backend: Option<String>,
    pub(super) binary: Option<PathBuf>,
    pub(super) filter: String,
    pub(super) beside: Vec<String>,
    pub(super) without_proof: bool,
    /// Leaves out what a mode need not stop.
    pub(super) only_required: bool,
    pub(super) as_json: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            which: Which::Both,
            given: None,
            modes: Mode::ALL.to_vec(),
            users: Vec::new(),
            backend: None,
            binary: None,
            filter: String::new(),
            beside: Vec::new(),
            without_proof: false,
            only_required: false,
            as_json: false,
        }
    }
}

impl Options {
    pub(super) fn parse(arguments: &[String]) -> anyhow::Result<Self> {
        let mut options = Self::default();
        let mut modes = Vec::new();
        let mut rest = arguments.iter().peekable();
        while let Some(argument) = rest.next() {
            let mut value = || {
                let text = rest.next().cloned();
                text.with_context(|| format!("`{argument}` needs a value"))
            };
            match argument.as_str() {
                "--own" => options.which = Which::Own,
                "--given" => {
                    options.which = Which::Given;
                    options.given = rest
                        .next_if(|next| !next.starts_with("--"))
                        .map(PathBuf::from);
                }
                "--mode" => modes.push(Mode::parse(&value()?)?),
                "--as" => options.users.push(User::parse(&value()?)?),
                "--backend" => options.backend = Some(value()?),
                "--binary" => options.binary = Some(value()?.into()),
                "--filter" => options.filter = value()?,
                "--beside" => options.beside.push(value()?),
                "--no-proof" => options.without_proof = true,
                "--required" => options.only_required = true,
                "--json" => options.as_json = true,
                other => bail!("corpus doesn't know `{other}`; see cargo xtask corpus --help"),
            }
        }
        if !modes.is_empty() {
            options.modes = modes;
        }
        Ok(options)
    }
}

#[cfg(test)]
mod tests {
    use super::{Mode, Options, User, Which};

    fn parse(line: &str) -> anyhow::Result<Options> {
        let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        Options::parse(&words)
    }

    #[test]
    fn without_options_everything_runs_and_each_option_narrows_it() {
        assert_eq!(parse("").unwrap().modes, Mode::ALL);
        let options = parse("--given /g --mode service --as root --filter net --json").unwrap();
        assert_eq!(options.which, Which::Given);
        assert_eq!(options.given, Some("/g".into()));
        assert_eq!(options.modes, [Mode::Service]);
        assert_eq!(options.users, [User::Root]);
        assert_eq!(options.filter, "net");
        assert!(options.as_json && !options.only_required);
        assert!(parse("--required").unwrap().only_required);
        let options = parse("--given --json").unwrap();
        assert_eq!(
            (options.which, options.given, options.as_json),
            (Which::Given, None, true)
        );
    }

    #[test]
    fn a_slip_is_an_error_and_not_a_smaller_run() {
        for line in [
            "--onw",
            "--mode",
            "--mode workspce",
            "--as nobody",
            "--filter",
        ] {
            assert!(parse(line).is_err(), "{line}");
        }
    }
}
