//! What the caller hands in: texts of files, values of variables, flags, pairs.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::path::quote;

/// Everything that configuration is made from. Plain values; nothing is checked yet.
#[derive(Clone, Debug, Default)]
pub struct Input {
    /// The user's file, when there is one.
    pub user: Option<Text>,
    /// The project and its file, when there is one.
    pub project: Option<Project>,
    /// The environment; only names in [`VARIABLES`] are looked at.
    pub variables: BTreeMap<String, String>,
    /// The flags.
    pub flags: Flags,
    /// The arguments of `-c`, in order; later ones win.
    pub pairs: Vec<String>,
    /// The keys of the providers that the program knows by itself.
    pub known_providers: Vec<String>,
}

/// A file's path, as messages name it, and its text.
#[derive(Clone, Debug, Default)]
pub struct Text {
    /// The path.
    pub path: String,
    /// The text.
    pub text: String,
}

/// A project's file.
#[derive(Clone, Debug, Default)]
pub struct Project {
    /// The repository's root: absolute, with symlinks resolved, since trust is given to this text.
    pub root: String,
    /// Its file.
    pub file: Text,
}

/// The values of flags. A flag that wasn't given is none, or empty.
#[derive(Clone, Debug, Default)]
pub struct Flags {
    /// `-p`, `--profile`.
    pub profile: Option<String>,
    /// `-m`, `--model`.
    pub model: Option<String>,
    /// `--provider`.
    pub provider: Option<String>,
    /// `--effort`.
    pub reasoning_effort: Option<String>,
    /// `-s`, `--sandbox`: the name of an access.
    pub sandbox_mode: Option<String>,
    /// `--add-dir`: added to the writable roots.
    pub add_dirs: Vec<String>,
    /// `--check`: added to the checks.
    pub checks: Vec<String>,
    /// `--max-steps`.
    pub steps: Option<u32>,
    /// `--max-cost`, in dollars.
    pub cost: Option<f64>,
    /// `--max-tokens`.
    pub tokens: Option<u64>,
    /// `--max-seconds`.
    pub seconds: Option<u64>,
}

/// An environment variable that sets a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Variable {
    /// Its name.
    pub name: &'static str,
    /// The key it sets; `providers.*` stands for the selected provider.
    pub key: &'static str,
}

/// The environment variables that set keys. An empty one counts as not set.
pub const VARIABLES: &[Variable] = &[
    Variable {
        name: "RECTO_MODEL",
        key: "model",
    },
    Variable {
        name: "RECTO_PROVIDER",
        key: "provider",
    },
    Variable {
        name: "RECTO_BASE_URL",
        key: "providers.*.base_url",
    },
    Variable {
        name: "RECTO_PROFILE",
        key: "profile",
    },
    Variable {
        name: "RECTO_REASONING_EFFORT",
        key: "reasoning_effort",
    },
    Variable {
        name: "RECTO_SANDBOX",
        key: "sandbox_mode",
    },
    Variable {
        name: "RECTO_NETWORK_ACCESS",
        key: "sandbox_workspace_write.network_access",
    },
    Variable {
        name: "RECTO_BUDGET_COST",
        key: "budget.cost",
    },
];

/// Lists that flags add to instead of replacing them.
pub(crate) const ADDING_FLAGS: &[&str] = &["--add-dir", "--check"];

impl Flags {
    /// Each flag that was given, as a line of TOML.
    pub(crate) fn lines(&self) -> Vec<(&'static str, String)> {
        let text = |text: &Option<String>| text.as_deref().map(quote);
        let list = |items: &[String]| {
            let mut list = String::new();
            for item in items {
                // Writing to a string cannot fail.
                let _ = write!(list, "{}, ", quote(item));
            }
            (!items.is_empty()).then(|| format!("[{list}]"))
        };
        let number = |number: Option<u64>| number.map(|number| number.to_string());
        let cost = self.cost.map(|cost| toml::Value::Float(cost).to_string());
        [
            ("--profile", "profile", text(&self.profile)),
            ("--model", "model", text(&self.model)),
            ("--provider", "provider", text(&self.provider)),
            ("--effort", "reasoning_effort", text(&self.reasoning_effort)),
            ("--sandbox", "sandbox_mode", text(&self.sandbox_mode)),
            (
                "--add-dir",
                "sandbox_workspace_write.writable_roots",
                list(&self.add_dirs),
            ),
            ("--check", "checks", list(&self.checks)),
            (
                "--max-steps",
                "budget.steps",
                number(self.steps.map(u64::from)),
            ),
            ("--max-cost", "budget.cost", cost),
            ("--max-tokens", "budget.tokens", number(self.tokens)),
            ("--max-seconds", "budget.seconds", number(self.seconds)),
        ]
        .into_iter()
        .filter_map(|(flag, key, value)| Some((flag, format!("{key} = {}", value?))))
        .collect()
    }
}
