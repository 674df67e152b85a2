//! The options of `cargo xtask test`.

use anyhow::{Context, bail};

#[derive(Debug, Default, PartialEq)]
pub(super) struct Options {
    pub(super) fast: bool,
    pub(super) packages: Vec<String>,
    /// Handed to the test runner as they are.
    pub(super) extra: Vec<String>,
}

impl Options {
    pub(super) fn parse(arguments: &[String]) -> anyhow::Result<Self> {
        let mut options = Self::default();
        let mut rest = arguments.iter();
        while let Some(argument) = rest.next() {
            match argument.as_str() {
                "--fast" => options.fast = true,
                "-p" | "--package" => {
                    let name = rest.next().context("`-p` needs the name of a crate")?;
                    options.packages.push(name.clone());
                }
                "--" => {
                    options.extra.extend(rest.cloned());
                    break;
                }
                other => bail!("test doesn't know `{other}`; see cargo xtask test --help"),
            }
        }
        Ok(options)
    }
}

#[cfg(test)]
mod tests {
    use super::Options;

    fn parse(line: &str) -> anyhow::Result<Options> {
        let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        Options::parse(&words)
    }

    #[test]
    fn options_end_at_the_double_dash() {
        let options = parse("--fast -p recto-patch --package recto -- --fast name -- -x").unwrap();
        assert!(options.fast);
        assert_eq!(options.packages, ["recto-patch", "recto"]);
        assert_eq!(options.extra, ["--fast", "name", "--", "-x"]);
        assert_eq!(parse("").unwrap(), Options::default());
    }

    #[test]
    fn a_slip_is_an_error_and_not_a_smaller_run() {
        let text = parse("--fats").unwrap_err().to_string();
        assert_eq!(
            text,
            "test doesn't know `--fats`; see cargo xtask test --help"
        );
        assert!(parse("-p").is_err());
    }
}
