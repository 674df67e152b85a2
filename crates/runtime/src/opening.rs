//! What a session begins with, and what a resumed one is told that has changed since.

use std::sync::Arc;

use recto_agent::agents_md::{self, File};
use recto_agent::{context, prompts, tools};
use recto_protocol::policy::Policy;
use recto_protocol::ports::files::Files;
use recto_protocol::profile::Profile;
use recto_protocol::record::{
    Body, ContextAdded, DriverAttached, ModelChange, SessionStarted, SettingsChanged, Warning,
};
use recto_protocol::settings::{Budget, Mode, Settings};
use recto_protocol::{Item, Record, SessionId};

use crate::driver::instructions;

/// Everything a session is made of, decided by the caller.
#[derive(Clone, Debug)]
pub struct Opening {
    /// The session's id.
    pub id: SessionId,
    /// What kind of work.
    pub mode: Mode,
    /// The provider's key in the configuration.
    pub provider: String,
    /// The model's name.
    pub model: String,
    /// What the model can do.
    pub profile: Profile,
    /// Reasoning settings, as the JSON text of an object.
    pub reasoning: Option<String>,
    /// The working directory, absolute.
    pub cwd: String,
    /// The repository's root; none where there is no repository.
    pub repository: Option<String>,
    /// Whether and where the provider may search the web.
    pub web_search: tools::WebSearch,
    /// What commands may do.
    pub policy: Policy,
    /// Checks from the configuration; those of instruction files are added.
    pub checks: Vec<String>,
    /// Where to stop.
    pub budget: Budget,
    /// The commit the work starts from.
    pub base_commit: Option<String>,
    /// Today, as `2026-11-20`.
    pub date: String,
    /// The user's own instruction files, outermost first.
    pub user_instructions: Vec<File>,
    /// Names of instruction files besides `AGENTS.md`.
    pub instruction_names: Vec<String>,
    /// The version of the program.
    pub program_version: String,
}

impl Opening {
    /// The first records of a new session's log.
    pub fn records(&self, files: &Arc<dyn Files>) -> Vec<Body> {
        let found = self.instruction_files(files.as_ref());
        let checks = self.all_checks(&found);
        let environment = context::environment(&context::Environment {
            cwd: &self.cwd,
            repository: self.repository.as_deref(),
            date: &self.date,
            policy: &self.policy,
            checks: &checks,
        });
        let mut bodies: Vec<Body> = vec![
            SessionStarted {
                settings: self.settings(checks),
            }
            .into(),
            ContextAdded {
                about: "environment".into(),
                items: vec![environment],
                sources: vec![],
            }
            .into(),
        ];
        bodies.extend(instruction_records(&found, false));
        bodies
    }

    /// The records that tell a resumed session what is different now. `records` is its log.
    pub fn changes(
        &self,
        records: &[Record],
        before: &Settings,
        torn_bytes: u64,
        files: &Arc<dyn Files>,
    ) -> Vec<Body> {
        let program_version = self.program_version.clone();
        let mut bodies: Vec<Body> = vec![
            DriverAttached {
                program_version,
                torn_bytes,
            }
            .into(),
        ];
        let found = self.instruction_files(files.as_ref());
        let changed = self.changed_settings(before, self.all_checks(&found));
        let policy = changed.policy.clone();
        if changed != SettingsChanged::default() {
            bodies.push(changed.into());
        }
        if let Some(policy) = policy {
            let items = vec![context::policy_changed(&policy)];
            bodies.push(
                ContextAdded {
                    about: "policy".into(),
                    items,
                    sources: vec![],
                }
                .into(),
            );
        }
        if instruction_items(&found, false).as_slice() != given_before(records)
            && instruction_items(&found, true).as_slice() != given_before(records)
        {
            bodies.extend(instruction_records(&found, true));
        }
        bodies
    }

    fn changed_settings(&self, before: &Settings, checks: Vec<String>) -> SettingsChanged {
        let other_model = self.provider != before.provider || self.model != before.model;
        SettingsChanged {
            policy: (self.policy != before.policy).then(|| self.policy.clone()),
            model: (other_model || self.profile != before.profile).then(|| ModelChange {
                provider: self.provider.clone(),
                model: self.model.clone(),
                profile: self.profile.clone(),
            }),
            tools: {
                let tools = tools::offered(self.mode, &self.profile, self.web_search);
                // Tools stand in the cached prefix: a new model has no cache to lose.
                (other_model && tools != before.tools).then_some(tools)
            },
            budget: (self.budget != before.budget).then(|| self.budget.clone()),
            checks: (checks != before.checks).then_some(checks),
            reasoning: (self.reasoning != before.reasoning)
                .then(|| self.reasoning.clone())
                .flatten(),
        }
    }

    fn settings(&self, checks: Vec<String>) -> Settings {
        Settings {
            id: self.id.clone(),
            cache_key: self.id.0.clone(),
            mode: self.mode,
            provider: self.provider.clone(),
            model: self.model.clone(),
            instructions: prompts::instructions(self.mode),
            tools: tools::offered(self.mode, &self.profile, self.web_search),
            profile: self.profile.clone(),
            reasoning: self.reasoning.clone(),
            cwd: self.cwd.clone(),
            root: self.repository.clone().unwrap_or_else(|| self.cwd.clone()),
            policy: self.policy.clone(),
            checks,
            budget: self.budget.clone(),
            base_commit: self.base_commit.clone(),
            forked_from: None,
            program_version: self.program_version.clone(),
        }
    }

    /// The user's files, then those from the repository's root down to the working directory.
    fn instruction_files(&self, files: &dyn Files) -> Vec<File> {
        let names = instructions::names(&self.instruction_names);
        let root = self.repository.as_deref().unwrap_or(&self.cwd);
        let inner = self
            .cwd
            .strip_prefix(root)
            .unwrap_or_default()
            .trim_matches('/');
        let own = instructions::ancestors(inner)
            .filter_map(|directory| instructions::read(files, &names, &directory));
        self.user_instructions.iter().cloned().chain(own).collect()
    }

    fn all_checks(&self, found: &[File]) -> Vec<String> {
        // Checks only ever narrow what counts as done, so repository files may name some.
        let mut checks = self.checks.clone();
        for check in found.iter().flat_map(|file| agents_md::checks(&file.text)) {
            if !checks.contains(&check) {
                checks.push(check);
            }
        }
        checks
    }
}

fn instruction_items(found: &[File], replaces: bool) -> Vec<Item> {
    if found.is_empty() {
        return Vec::new();
    }
    let selection = agents_md::select(found, agents_md::BUDGET);
    vec![context::instruction_files(&selection.given, replaces)]
}

fn instruction_records(found: &[File], replaces: bool) -> Vec<Body> {
    let items = instruction_items(found, replaces);
    if items.is_empty() {
        return Vec::new();
    }
    let warnings = agents_md::select(found, agents_md::BUDGET)
        .notices
        .into_iter()
        .map(|message| {
            Body::from(Warning {
                code: "instructions_cut".into(),
                message,
            })
        });
    let sources = found.iter().map(|file| file.path.clone()).collect();
    let added = ContextAdded {
        about: instructions::ABOUT.into(),
        items,
        sources,
    };
    warnings.chain([added.into()]).collect()
}

/// The instruction items that the log gave last for the start directories.
fn given_before(records: &[Record]) -> &[Item] {
    let at_start = |record: &&Record| {
        matches!(
            &record.body, Body::ContextAdded(added) if added.about == instructions::ABOUT
        )
    };
    let mut given: &[Item] = &[];
    let mut fresh = true;
    for record in records {
        match &record.body {
            // Files that were found during a turn are about deeper directories.
            Body::TurnStarted(_) => fresh = false,
            Body::TurnEnded(_) | Body::DriverAttached(_) => fresh = true,
            Body::ContextAdded(added) if fresh && at_start(&record) => given = &added.items,
            _ => {}
        }
    }
    given
}
