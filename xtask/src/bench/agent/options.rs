//! The options of `cargo xtask bench agent`.

use std::path::PathBuf;

use anyhow::{Context, bail};

pub(super) const HELP: &str = "\
Measure an agent against a scripted model server, beside the floor and other agents.

Usage: cargo xtask bench agent [OPTIONS]

Options:
  --rounds N      Rounds over all columns; the table shows medians [default: 5]
  --quick         One round: to see whether it works, not for figures
  --only LIST     Some groups only: start, steps, deltas, output, crowd
  --columns LIST  Some columns only: null, recto, recto-full, codex
  --json FILE     Also write every sample
  --check         Fail when a goal is missed

The release binary is built first, unless RECTO_BIN names the one to measure. The column `codex` is there when the
program is on the PATH. Run it on a machine that does nothing else.";

pub(super) const GROUPS: &[&str] = &["start", "steps", "deltas", "output", "crowd"];
pub(super) const COLUMNS: &[&str] = &["null", "recto", "recto-full", "codex"];

#[derive(Debug, PartialEq)]
pub(super) struct Options {
    pub(super) rounds: usize,
    pub(super) groups: Vec<String>,
    pub(super) columns: Vec<String>,
    pub(super) json: Option<PathBuf>,
    pub(super) check: bool,
}

impl Options {
    pub(super) fn parse(arguments: &[String]) -> anyhow::Result<Self> {
        let mut options = Self {
            rounds: 5,
            groups: owned(GROUPS),
            columns: owned(COLUMNS),
            json: None,
            check: false,
        };
        let mut rest = arguments.iter();
        while let Some(argument) = rest.next() {
            let mut value = || {
                rest.next()
                    .with_context(|| format!("`{argument}` needs a value"))
            };
            match argument.as_str() {
                "--rounds" => {
                    options.rounds = value()?.parse().context("`--rounds` is a number")?
                }
                "--quick" => options.rounds = 1,
                "--only" => options.groups = list(value()?, GROUPS)?,
                "--columns" => options.columns = list(value()?, COLUMNS)?,
                "--json" => options.json = Some(PathBuf::from(value()?)),
                "--check" => options.check = true,
                other => bail!("bench agent doesn't know `{other}`; see --help"),
            }
        }
        if options.rounds == 0 {
            bail!("at least one round is needed");
        }
        Ok(options)
    }

    pub(super) fn wants(&self, group: &str) -> bool {
        self.groups.iter().any(|wanted| wanted == group)
    }
}

fn owned(names: &[&str]) -> Vec<String> {
    names.iter().map(|&name| name.to_owned()).collect()
}

fn list(text: &str, known: &[&str]) -> anyhow::Result<Vec<String>> {
    text.split(',')
        .map(|name| match known.contains(&name) {
            true => Ok(name.to_owned()),
            false => bail!("`{name}` is none of {}", known.join(", ")),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::Options;

    fn parse(line: &str) -> anyhow::Result<Options> {
        let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        Options::parse(&words)
    }

    #[test]
    fn lists_name_what_is_known() {
        let options = parse("--rounds 3 --only start,steps --check").unwrap();
        assert_eq!((options.rounds, options.check), (3, true));
        assert!(options.wants("steps") && !options.wants("crowd"));
        assert!(parse("--only begin").is_err());
        assert!(parse("--rounds 0").is_err());
        assert!(parse("--json").is_err());
    }
}
