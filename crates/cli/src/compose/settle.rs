//! Configuration, read from everywhere it can come from and resolved once.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use recto_agent::tools::WebSearch;
use recto_cell::{Backend, Limits};
use recto_config::{Flags, Input, Layer, Origin, Project, Resolved, Text, VARIABLES};
use recto_model::providers::Catalogue;
use recto_protocol::egress::Rules;
use recto_protocol::policy::{Access, Network, Policy};
use recto_protocol::profile::{PatchTool, Profile, Provider};
use recto_protocol::settings::{Budget, Settings};
use serde_json::json;

use super::home::{Home, open_regular, variable};
use super::model::SCRIPT;
use super::outside::WayOut;
use super::place::{Place, text};
use crate::args::{NetworkArgs, RunArgs};
use crate::exit::Failure;

/// Tries after the first when the provider's configuration does not say otherwise.
const DEFAULT_RETRIES: u32 = 5;

/// Everything that configuration decides about a session.
#[derive(Debug)]
pub struct Settled {
    /// The provider's key in the configuration.
    pub provider_key: String,
    /// The provider.
    pub provider: Provider,
    /// The model.
    pub model: String,
    /// What the model can do.
    pub profile: Profile,
    /// Reasoning settings, as the JSON text of an object.
    pub reasoning: Option<String>,
    /// Whether and where the provider may search the web.
    pub web_search: WebSearch,
    /// What commands may do.
    pub policy: Policy,
    /// Further directories that commands may read.
    pub readable: Vec<PathBuf>,
    /// What commands may take.
    pub limits: Limits,
    /// What keeps commands apart.
    pub backend: Backend,
    /// Whether the command line or the environment says what commands may do.
    pub policy_is_explicit: bool,
    /// Whether the command line says which checks there are.
    pub checks_are_explicit: bool,
    /// Commands that must pass before work counts as done.
    pub checks: Vec<String>,
    /// Where to stop.
    pub budget: Budget,
    /// Names of instruction files besides AGENTS.md.
    pub instruction_names: Vec<String>,
    /// When commands are killed.
    pub command_timeout: Option<Duration>,
    /// When checks are killed.
    pub check_timeout: Option<Duration>,
    /// Variables for commands.
    pub command_env: Vec<(String, String)>,
    /// What is said of the way out of a cell.
    pub way_out: WayOut,
    /// Where each setting comes from, by dotted key.
    pub origins: BTreeMap<String, Origin>,
    /// What users should know.
    pub notices: Vec<String>,
}

impl Settled {
    /// Tries after the first when the model fails in a way that may pass.
    pub fn max_retries(&self) -> u32 {
        self.provider.max_retries.unwrap_or(DEFAULT_RETRIES)
    }
}

/// Resolves configuration for a session at `place`. What an earlier session was started with stays
/// as long as the command line does not say otherwise.
///
/// # Errors
/// Everything that is wrong with the configuration.
pub fn settle(
    home: &Home,
    place: &Place,
    run: &RunArgs,
    before: Option<&Settings>,
) -> Result<Settled, Failure> {
    let resolved = resolve(home, Some(place), run)?;
    run.network.check().map_err(Failure::usage)?;
    let config = &resolved.values;
    let catalogue = catalogue(&resolved)?;
    let keeps_model =
        before.is_some() && !is_explicit(&resolved, run, &["model", "provider"], Layer::Flag);
    let (provider_key, model) = match before {
        Some(before) if keeps_model => (before.provider.clone(), Some(before.model.clone())),
        _ => (config.provider.clone(), config.model.clone()),
    };
    let provider = catalogue.provider(&provider_key).ok_or_else(|| {
        Failure::usage(anyhow!("there is no provider {provider_key:?}"))
            .hint("`recto config show` lists the providers; docs/providers.md says how to add one")
    })?;
    let model = model
        .or_else(|| provider.default_model.clone())
        .ok_or_else(|| {
            Failure::usage(anyhow!(
                "no model is named, and provider {provider_key:?} has no default"
            ))
            .hint("name one with -m, or set `model` in the configuration")
        })?;
    let model = absolute_script(&model)?;
    let mut notices = resolved.notices.clone();
    let profile = profile(&catalogue, config, &model, &mut notices);
    Ok(Settled {
        reasoning: reasoning(config, &profile),
        provider_key,
        provider,
        model,
        profile,
        web_search: match config.web_search {
            recto_config::WebSearch::Disabled => WebSearch::Off,
            recto_config::WebSearch::Cached => WebSearch::Cached,
            recto_config::WebSearch::Live => WebSearch::Live,
        },
        policy: policy(config, &run.network),
        backend: match config.cell.backend {
            recto_config::Backend::Namespaces => Backend::Namespaces,
            recto_config::Backend::Gvisor => Backend::Gvisor,
        },
        readable: config.readable_roots.iter().map(PathBuf::from).collect(),
        limits: limits(&config.cell),
        policy_is_explicit: run.network.is_explicit()
            || is_explicit(
                &resolved,
                run,
                &[
                    "sandbox_mode",
                    "sandbox_workspace_write",
                    "network",
                    "egress",
                ],
                Layer::Environment,
            ),
        checks_are_explicit: is_explicit(&resolved, run, &["checks"], Layer::Flag),
        checks: config.checks.clone(),
        budget: config.budget.clone(),
        instruction_names: config.instruction_names.clone(),
        command_timeout: seconds(config.tools.command_timeout_secs),
        check_timeout: seconds(config.tools.check_timeout_secs),
        command_env: command_env(config),
        way_out: WayOut::find(&config.egress),
        origins: resolved.origins.clone(),
        notices,
    })
}

/// What commands may do: the configuration's word, and what the command line adds about the network.
fn policy(config: &recto_config::Config, flags: &NetworkArgs) -> Policy {
    let mut policy = config.policy();
    if let Some(network) = flags.chosen()
        && policy.access != Access::DangerFullAccess
    {
        policy.network = network;
    }
    policy.egress = Rules::default();
    if policy.network == Network::Allow {
        policy.egress = Rules {
            rules: [flags.allow.as_slice(), &config.egress.allow].concat(),
            presets: [flags.preset.as_slice(), &config.egress.presets].concat(),
        };
    }
    policy
}

/// Reads all layers and resolves them.
///
/// # Errors
/// Everything that is wrong with the configuration.
pub fn resolve(home: &Home, place: Option<&Place>, run: &RunArgs) -> Result<Resolved, Failure> {
    let project = place
        .filter(|place| place.repository.is_some())
        .map(Place::root);
    let input = Input {
        user: file(&home.file("config.toml"))?,
        project: match project {
            Some(root) => file(&root.join(".recto/config.toml"))?.map(|file| Project {
                root: text(root),
                file,
            }),
            None => None,
        },
        variables: variables(),
        flags: flags(run)?,
        pairs: run.config.clone(),
        known_providers: Catalogue::builtin()
            .provider_keys()
            .map(str::to_owned)
            .collect(),
    };
    recto_config::resolve(&input).map_err(Failure::usage)
}

fn flags(run: &RunArgs) -> Result<Flags, Failure> {
    let mut add_dirs = Vec::new();
    for dir in &run.add_dir {
        let dir = dir
            .canonicalize()
            .with_context(|| format!("cannot add the directory {}", dir.display()))
            .map_err(Failure::usage)?;
        add_dirs.push(text(&dir));
    }
    Ok(Flags {
        profile: run.profile.clone(),
        model: run.model.clone(),
        provider: run.provider.clone(),
        reasoning_effort: run.effort.clone(),
        sandbox_mode: run.sandbox.clone(),
        add_dirs,
        checks: run.check.clone(),
        steps: run.max_steps,
        cost: run.max_cost,
        tokens: run.max_tokens,
        seconds: run.max_seconds,
    })
}

fn variables() -> BTreeMap<String, String> {
    VARIABLES
        .iter()
        .filter_map(|known| Some((known.name.to_owned(), variable(known.name)?)))
        .collect()
}

/// A configuration file's text; none when there is no file.
fn file(path: &Path) -> Result<Option<Text>, Failure> {
    let read = || -> anyhow::Result<Option<Text>> {
        let file = match open_regular(path) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) if error.kind() == std::io::ErrorKind::NotADirectory => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let mut bytes = Vec::new();
        // One byte more than is taken, so that the limit is noticed where it is known.
        file.take(recto_config::MAX_BYTES as u64 + 1)
            .read_to_end(&mut bytes)?;
        let contents = String::from_utf8(bytes).context("it is not valid UTF-8")?;
        Ok(Some(Text {
            path: path.display().to_string(),
            text: contents,
        }))
    };
    read()
        .with_context(|| format!("cannot read {}", path.display()))
        .map_err(Failure::usage)
}

fn catalogue(resolved: &Resolved) -> Result<Catalogue, Failure> {
    Catalogue::builtin()
        .merged(&resolved.values.catalogue)
        .map_err(Failure::usage)
}

/// Whether one of `keys`, or something below it, is set on the command line, also by a profile that
/// the command line chooses, or in the layer `also`.
fn is_explicit(resolved: &Resolved, run: &RunArgs, keys: &[&str], also: Layer) -> bool {
    let chooses_profile = run.profile.is_some();
    resolved.origins.iter().any(|(key, origin)| {
        let named = keys.iter().any(|named| {
            key.strip_prefix(named)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        });
        let said = match origin.layer {
            Layer::Flag | Layer::Pair => true,
            Layer::Profile => chooses_profile,
            layer => layer == also,
        };
        named && said
    })
}

fn profile(
    catalogue: &Catalogue,
    config: &recto_config::Config,
    model: &str,
    notices: &mut Vec<String>,
) -> Profile {
    let mut profile = if model.starts_with(SCRIPT) {
        Profile {
            apply_patch: PatchTool::Function,
            ..Profile::default()
        }
    } else {
        let (profile, known) = catalogue.profile(model);
        if !known {
            notices.push(format!(
                "nothing is known of model {model:?}: it is taken to have a window of {} tokens \
                 and no known price; `[models.{model:?}]` in the configuration says otherwise",
                profile.context_window
            ));
        }
        profile
    };
    config.adjust(&mut profile);
    if config.budget.cost.is_some() && profile.prices.is_none() {
        notices.push(format!(
            "the budget in money can't stop a session whose prices are not known: set \
             `[models.{model:?}.prices]`, or a budget in tokens"
        ));
    }
    profile
}

fn reasoning(config: &recto_config::Config, profile: &Profile) -> Option<String> {
    if !profile.reasoning {
        return None;
    }
    let mut fields = serde_json::Map::new();
    if let Some(effort) = &config.reasoning_effort {
        fields.insert("effort".into(), json!(effort));
    }
    let summary = config.reasoning_summary.as_deref().unwrap_or("auto");
    if summary != "none" {
        fields.insert("summary".into(), json!(summary));
    }
    Some(serde_json::Value::Object(fields).to_string())
}

/// A script's path does not depend on where a session is resumed from.
fn absolute_script(model: &str) -> Result<String, Failure> {
    let Some(path) = model.strip_prefix(SCRIPT) else {
        return Ok(model.to_owned());
    };
    let path = std::path::absolute(path)
        .with_context(|| format!("cannot use the script {path}"))
        .map_err(Failure::usage)?;
    Ok(format!("{SCRIPT}{}", text(&path)))
}

fn command_env(config: &recto_config::Config) -> Vec<(String, String)> {
    let passed = config
        .env
        .pass
        .iter()
        .filter_map(|name| Some((name.clone(), variable(name)?)));
    let set = config
        .env
        .set
        .iter()
        .map(|(name, value)| (name.clone(), value.clone()));
    passed.chain(set).collect()
}

/// Output may come as fast as ever, and disk space is kept free as ever.
fn limits(cell: &recto_config::Cell) -> Limits {
    const MIB: u64 = 1 << 20;
    Limits {
        memory: cell.memory_mib.map(|mib| mib * MIB),
        millicores: cell.cpu_millicores,
        processes: cell.processes,
        open_files: cell.open_files,
        disk_bytes: cell.disk_mib * MIB,
        files: cell.files,
        output_bytes: cell.output_mib * MIB,
        cell_time: cell.seconds.map(Duration::from_secs),
        ..Limits::default()
    }
}

fn seconds(seconds: u64) -> Option<Duration> {
    (seconds > 0).then(|| Duration::from_secs(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_configuration_and_the_cell_have_the_same_default_limits() {
        let input = Input {
            known_providers: Catalogue::builtin()
                .provider_keys()
                .map(str::to_owned)
                .collect(),
            ..Input::default()
        };
        let resolved = recto_config::resolve(&input).unwrap();
        assert_eq!(limits(&resolved.values.cell), Limits::default());
    }
}
