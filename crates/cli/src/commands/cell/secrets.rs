//! Secrets for one command: given to it alone, and looked for in what it leaves.

use std::path::{Path, PathBuf};

use anyhow::anyhow;
use recto_workspace::scan::{Place, Scanner, Secret};

use crate::compose::cell::Settings;
use crate::compose::home::variable;
use crate::exit::{FAILED, Failure};
use crate::output::safe::safe_line;

/// Places that are named in full.
const MOST: usize = 20;
const WIDTH: usize = 300;

/// The secrets of one command.
pub struct Secrets {
    secrets: Vec<Secret>,
    scanner: Scanner,
}

impl Secrets {
    /// Reads them from this program's environment; None when there are none.
    ///
    /// # Errors
    /// When a variable is not set, or too short to be looked for.
    pub fn read(names: &[String]) -> Result<Option<Self>, Failure> {
        if names.is_empty() {
            return Ok(None);
        }
        let mut secrets = Vec::new();
        for name in names {
            let value = variable(name).ok_or_else(|| {
                Failure::usage(anyhow!("the variable {name} is not set"))
                    .hint("`--secret NAME` takes its value from the environment")
            })?;
            secrets.push(Secret {
                name: name.clone(),
                value: value.into_bytes(),
            });
        }
        let scanner = Scanner::new(&secrets).map_err(Failure::usage)?;
        Ok(Some(Self { secrets, scanner }))
    }

    /// Variables for the command.
    pub fn env(&self) -> Vec<(String, String)> {
        let pair = |secret: &Secret| {
            let value = String::from_utf8_lossy(&secret.value).into_owned();
            (secret.name.clone(), value)
        };
        self.secrets.iter().map(pair).collect()
    }

    /// Fails when one of them lies in a file that the command could write. The cell must have ended.
    ///
    /// # Errors
    /// With the places; or when they could not be looked at.
    pub fn look(&self, settings: &Settings) -> Result<(), Failure> {
        let mut found = Vec::new();
        for root in written(settings) {
            let findings = self.scanner.tree(&root).map_err(|error| {
                let root = root.display();
                Failure::unavailable(
                    anyhow!(error).context(format!("cannot look for secrets in {root}")),
                )
            })?;
            for finding in findings {
                let encoding = finding.encoding.name();
                let place = match &finding.place {
                    Place::Content(path) => format!("in {}", root.join(path).display()),
                    Place::Name(path) => format!("in the name {}", root.join(path).display()),
                };
                found.push(format!("{} ({encoding}) {place}", finding.name));
            }
        }
        if found.is_empty() {
            return Ok(());
        }
        let more = found.len().saturating_sub(MOST);
        let lines = found.iter().take(MOST).map(|line| safe_line(line, WIDTH));
        let mut text = lines.collect::<Vec<_>>().join("\n  ");
        if more > 0 {
            text.push_str(&format!("\n  and {more} more"));
        }
        Err(Failure {
            code: FAILED,
            error: anyhow!("the command left a secret behind:\n  {text}"),
            hint: None,
        }
        .hint("remove it from there; whoever uses these files next could read it"))
    }
}

/// What a command could write that is still there.
fn written(settings: &Settings) -> Vec<PathBuf> {
    let mut roots: Vec<PathBuf> = Vec::new();
    match &settings.work_layer {
        Some(layer) => roots.push(layer.clone()),
        None if settings.policy.access == recto_protocol::policy::Access::ReadOnly => {}
        None => {
            roots.push(settings.work_tree.clone());
            roots.extend(settings.policy.writable.iter().map(PathBuf::from));
        }
    }
    roots.extend(settings.system.setup.clone());
    roots.extend(settings.git_layer.clone());
    roots.retain(|root| Path::new(root).exists());
    roots
}
