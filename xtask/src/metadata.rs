//! What `cargo metadata` says about the workspace, reduced to what the checks read.

use std::path::PathBuf;

use anyhow::{Context, bail};
use serde_json::Value;

use crate::project;

/// The workspace's crates and where cargo builds them.
#[derive(Debug, PartialEq)]
pub(crate) struct Workspace {
    pub(crate) crates: Vec<Crate>,
    pub(crate) target_directory: PathBuf,
}

/// One crate of the workspace.
#[derive(Debug, PartialEq)]
pub(crate) struct Crate {
    pub(crate) name: String,
    pub(crate) has_library: bool,
    pub(crate) dependencies: Vec<Dependency>,
}

/// One dependency line. The name is the package's, whatever the manifest renames it to.
#[derive(Debug, PartialEq)]
pub(crate) struct Dependency {
    pub(crate) name: String,
    pub(crate) kind: Kind,
}

#[derive(Debug, PartialEq, Clone, Copy)]
pub(crate) enum Kind {
    Normal,
    Build,
    Dev,
}

impl Workspace {
    /// Asks cargo. `--no-deps` needs neither network nor lock file.
    pub(crate) fn load() -> anyhow::Result<Self> {
        let output = project::cargo(&["metadata", "--no-deps", "--format-version", "1"])
            .output()
            .context("could not start cargo metadata")?;
        if !output.status.success() {
            bail!(
                "cargo metadata failed: {}",
                String::from_utf8_lossy(&output.stderr).trim()
            );
        }
        let value =
            serde_json::from_slice(&output.stdout).context("cargo metadata printed no JSON")?;
        Self::from_json(&value)
    }

    pub(crate) fn from_json(value: &Value) -> anyhow::Result<Self> {
        let crates = array(value, "packages")?
            .iter()
            .map(Crate::from_json)
            .collect::<anyhow::Result<_>>()?;
        Ok(Self {
            crates,
            target_directory: PathBuf::from(string(value, "target_directory")?),
        })
    }

    pub(crate) fn find(&self, name: &str) -> Option<&Crate> {
        self.crates.iter().find(|each| each.name == name)
    }
}

impl Crate {
    fn from_json(value: &Value) -> anyhow::Result<Self> {
        Ok(Self {
            name: string(value, "name")?.to_owned(),
            has_library: array(value, "targets")?.iter().any(is_library),
            dependencies: array(value, "dependencies")?
                .iter()
                .map(Dependency::from_json)
                .collect::<anyhow::Result<_>>()?,
        })
    }
}

impl Dependency {
    fn from_json(value: &Value) -> anyhow::Result<Self> {
        let kind = match value.get("kind").and_then(Value::as_str) {
            None => Kind::Normal,
            Some("build") => Kind::Build,
            Some("dev") => Kind::Dev,
            Some(other) => bail!("cargo metadata names an unknown kind of dependency: {other}"),
        };
        Ok(Self {
            name: string(value, "name")?.to_owned(),
            kind,
        })
    }
}

fn is_library(target: &Value) -> bool {
    target["kind"].as_array().is_some_and(|kinds| {
        kinds
            .iter()
            .any(|kind| kind == "lib" || kind == "proc-macro")
    })
}

fn array<'a>(value: &'a Value, key: &str) -> anyhow::Result<&'a Vec<Value>> {
    value
        .get(key)
        .and_then(Value::as_array)
        .with_context(|| format!("cargo metadata lacks the list `{key}`"))
}

fn string<'a>(value: &'a Value, key: &str) -> anyhow::Result<&'a str> {
    value
        .get(key)
        .and_then(Value::as_str)
        .with_context(|| format!("cargo metadata lacks the text `{key}`"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{Kind, Workspace};

    #[test]
    fn a_renamed_dependency_keeps_the_name_of_its_package() {
        let workspace = Workspace::from_json(&json!({
            "target_directory": "/t",
            "packages": [{
                "name": "a",
                "targets": [{ "kind": ["bin"] }],
                "dependencies": [{ "name": "tokio", "rename": "clock", "kind": null }, { "name": "insta", "kind": "dev" }],
            }],
        }))
        .unwrap();
        let found = workspace.find("a").unwrap();
        assert!(!found.has_library);
        assert_eq!(found.dependencies[0].name, "tokio");
        assert_eq!(found.dependencies[0].kind, Kind::Normal);
        assert_eq!(found.dependencies[1].kind, Kind::Dev);
    }

    #[test]
    fn a_shape_that_cargo_never_prints_is_an_error_and_not_an_empty_workspace() {
        assert!(Workspace::from_json(&json!({ "target_directory": "/t" })).is_err());
    }
}
