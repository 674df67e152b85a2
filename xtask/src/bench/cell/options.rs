//! The options of `cargo xtask bench cell`.

use std::path::PathBuf;

use anyhow::{Context, bail};

pub(super) const HELP: &str = "\
Measure cells, beside a plain spawn and the sandboxes that are installed.

Usage: cargo xtask bench cell [OPTIONS]

Options:
  --rounds N   Rounds over all columns; the table shows medians [default: 10]
  --quick      One round and small numbers: to see whether it works, not for figures
  --only LIST  Some groups only: start, commands, kill, idle, row, neighbours
  --json FILE  Also write every sample
  --check      Fail when a goal is missed

As root, cells are measured as root and as user 1000. bwrap, runsc and codex are measured where they are on the PATH.
What is left over is counted on the whole machine: run it on one that does nothing else.";

const GROUPS: &[&str] = &["start", "commands", "kill", "idle", "row", "neighbours"];

#[derive(Debug, PartialEq)]
pub(super) struct Options {
    pub(super) rounds: usize,
    pub(super) quick: bool,
    groups: Vec<String>,
    pub(super) json: Option<PathBuf>,
    pub(super) check: bool,
}

impl Options {
    pub(super) fn parse(arguments: &[String]) -> anyhow::Result<Self> {
        let mut options = Self {
            rounds: 10,
            quick: false,
            groups: GROUPS.iter().map(|&name| name.to_owned()).collect(),
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
                    options.rounds = value()?.parse().context("`--rounds` is a number")?;
                }
                "--quick" => (options.rounds, options.quick) = (1, true),
                "--only" => options.groups = list(value()?)?,
                "--json" => options.json = Some(PathBuf::from(value()?)),
                "--check" => options.check = true,
                other => bail!("bench cell doesn't know `{other}`; see --help"),
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

    /// A count, or the small one when only the working is looked at.
    pub(super) fn count(&self, usual: usize, quick: usize) -> usize {
        if self.quick { quick } else { usual }
    }
}

fn list(text: &str) -> anyhow::Result<Vec<String>> {
    text.split(',')
        .map(|name| match GROUPS.contains(&name) {
            true => Ok(name.to_owned()),
            false => bail!("`{name}` is none of {}", GROUPS.join(", ")),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::Options;

    #[test]
    fn groups_and_rounds_are_checked() {
        let parse = |line: &str| {
            let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
            Options::parse(&words)
        };
        let options = parse("--quick --only start,kill --check").unwrap();
        assert_eq!((options.rounds, options.check), (1, true));
        assert!(options.wants("kill") && !options.wants("idle"));
        assert_eq!(options.count(500, 20), 20);
        assert!(parse("--only begin").is_err());
        assert!(parse("--rounds 0").is_err());
        assert!(parse("--json").is_err());
    }
}
