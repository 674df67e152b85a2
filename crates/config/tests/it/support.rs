//! One way to write layers down.

use recto_config::{Error, Flags, Input, Project, Resolved, Text, resolve};

/// Layers, as a test writes them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Layers<'a> {
    pub(crate) user: &'a str,
    pub(crate) project: Option<&'a str>,
    pub(crate) variables: &'a [(&'a str, &'a str)],
    pub(crate) flags: Flags,
    pub(crate) pairs: &'a [&'a str],
}

pub(crate) const TRUST: &str = "projects.\"/repo\".trust_level = \"trusted\"\n";

pub(crate) fn outcome(layers: &Layers<'_>) -> Result<Resolved, Error> {
    let text = |path: &str, text: &str| Text {
        path: path.to_owned(),
        text: text.to_owned(),
    };
    let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    resolve(&Input {
        user: Some(text("/home/me/.recto/config.toml", layers.user)),
        project: layers.project.map(|project| Project {
            root: "/repo".to_owned(),
            file: text("/repo/.recto/config.toml", project),
        }),
        variables: layers.variables.iter().map(owned).collect(),
        flags: layers.flags.clone(),
        pairs: layers.pairs.iter().map(|pair| (*pair).to_owned()).collect(),
        known_providers: ["openai", "ollama", "azure"].map(str::to_owned).to_vec(),
    })
}

/// The values at `keys`, each with its origin, as `recto config show` prints them.
pub(crate) fn check(layers: &Layers<'_>, expected: &[&str]) {
    let resolved = outcome(layers).unwrap_or_else(|error| panic!("{error}\n{layers:?}"));
    let shown = resolved.show();
    let lines: Vec<String> = shown
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
        .collect();
    for expected in expected {
        let (absent, line) = match expected.strip_prefix("! ") {
            Some(key) => (true, key),
            None => (false, *expected),
        };
        let found = lines.iter().any(|shown| {
            if absent {
                shown.starts_with(&format!("{line} ="))
            } else {
                shown == line
            }
        });
        assert!(
            found != absent,
            "{expected}\nis not what is shown:\n{shown}"
        );
    }
}

/// All that is wrong with `layers`.
pub(crate) fn wrong(layers: &Layers<'_>) -> String {
    match outcome(layers) {
        Ok(resolved) => format!("nothing is wrong:\n{}", resolved.show()),
        Err(error) => error.to_string(),
    }
}
