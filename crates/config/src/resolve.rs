//! Lays the layers over each other.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::assemble::{assemble, fill_prices};
use crate::entry::{Entries, Entry, text};
use crate::input::{ADDING_FLAGS, Input, Project, VARIABLES};
use crate::layer::{Layer, Origin};
use crate::pair::{pair_text, split_pair};
use crate::path::{Path, clean, quote, segment_text, shorten};
use crate::problem::{Error, Mistake, Place, Problem};
use crate::project::{add, narrow};
use crate::read::{Read, Source, read};
use crate::settings::Config;
use crate::suggest::closest;

/// Configuration with all layers laid over each other.
#[derive(Clone)]
pub struct Resolved {
    /// The settings.
    pub values: Config,
    /// Where each value comes from, by dotted key.
    pub origins: BTreeMap<String, Origin>,
    /// What the user should be told.
    pub notices: Vec<String>,
    pub(crate) entries: Entries,
}

/// Resolves configuration.
///
/// # Errors
/// [`Error`] with everything that is wrong in any layer.
pub fn resolve(input: &Input) -> Result<Resolved, Error> {
    let mut found = Found::default();
    let defaults = found.file(
        Layer::Default,
        "defaults.toml",
        include_str!("defaults.toml"),
    );
    let user = match &input.user {
        Some(file) => found.file(Layer::User, &file.path, &file.text),
        None => Read::default(),
    };
    let variables = found.variables(input);
    let flags = found.flags(input);
    let pairs = found.pairs(input);
    let project = match &input.project {
        Some(project) if trusted(project, &user.entries, &pairs.entries) => {
            found
                .file(Layer::Project, &project.file.path, &project.file.text)
                .entries
        }
        Some(project) => {
            found.notices.push(distrust(project));
            Entries::new()
        }
        None => Entries::new(),
    };
    let profile = found.profile(&[&pairs, &flags.read, &variables, &user]);
    found.done()?;

    let mut entries = defaults.entries;
    entries.extend(user.entries);
    entries.extend(profile);
    let own = entries.clone();
    narrow(&mut entries, project, &mut found.notices);
    entries.extend(variables.entries);
    entries.extend(flags.read.entries);
    for (path, entry) in flags.added {
        add(&mut entries, path, entry);
    }
    entries.extend(pairs.entries);

    found.keep_model_with_provider(&own, &mut entries);
    found.base_url(input, &mut entries);
    prefer_higher_models(&mut entries);
    found.check(input, &entries);
    found.done()?;

    fill_prices(&mut entries);
    let origins = entries
        .iter()
        .map(|(path, entry)| (path.to_string(), entry.origin.clone()));
    Ok(Resolved {
        values: assemble(&entries),
        origins: origins.collect(),
        notices: found.notices,
        entries,
    })
}

/// What the flags say: values that replace, and items that are added to lists.
struct FlagValues {
    read: Read,
    added: Entries,
}

/// What was found on the way.
#[derive(Default)]
struct Found {
    problems: Vec<Problem>,
    notices: Vec<String>,
}

impl Found {
    fn done(&mut self) -> Result<(), Error> {
        match std::mem::take(&mut self.problems) {
            problems if problems.is_empty() => Ok(()),
            problems => Err(Error { problems }),
        }
    }

    fn read(&mut self, source: &Source, text: &str) -> Read {
        let mut read = read(source, text);
        self.problems.append(&mut read.problems);
        self.notices.append(&mut read.notices);
        read
    }

    fn file(&mut self, layer: Layer, path: &str, text: &str) -> Read {
        self.read(
            &Source {
                layer,
                label: Arc::from(path),
                name: None,
            },
            text,
        )
    }

    fn variables(&mut self, input: &Input) -> Read {
        let mut all = Read::default();
        // The selected provider's address waits until the provider is known.
        for variable in VARIABLES
            .iter()
            .filter(|variable| !variable.key.contains('*'))
        {
            if let Some(value) = input.variables.get(variable.name) {
                all.entries
                    .extend(self.variable(variable.name, variable.key, value).entries);
            }
        }
        all
    }

    fn variable(&mut self, name: &str, key: &str, value: &str) -> Read {
        if value.is_empty() {
            return Read::default();
        }
        let name: Arc<str> = Arc::from(name);
        let source = Source {
            layer: Layer::Environment,
            label: name.clone(),
            name: Some(name),
        };
        match pair_text(key, value) {
            Some((_, line)) => self.read(&source, &line),
            None => {
                self.wrong(&source.label, Mistake::TooLarge { bytes: value.len() });
                Read::default()
            }
        }
    }

    fn flags(&mut self, input: &Input) -> FlagValues {
        let mut all = FlagValues {
            read: Read::default(),
            added: Entries::new(),
        };
        for (flag, line) in input.flags.lines() {
            let name: Arc<str> = Arc::from(flag);
            let source = Source {
                layer: Layer::Flag,
                label: name.clone(),
                name: Some(name),
            };
            let entries = self.read(&source, &line).entries;
            let adding = ADDING_FLAGS.contains(&flag);
            if adding {
                &mut all.added
            } else {
                &mut all.read.entries
            }
            .extend(entries);
        }
        all
    }

    fn pairs(&mut self, input: &Input) -> Read {
        let mut all = Read::default();
        for pair in &input.pairs {
            let parts = split_pair(pair).and_then(|(key, value)| pair_text(key, value));
            let Some((path, line)) = parts else {
                let large = pair.len() > crate::MAX_BYTES;
                let bytes = pair.len();
                let mistake = if large {
                    Mistake::TooLarge { bytes }
                } else {
                    Mistake::NoPair
                };
                self.wrong("-c", mistake);
                continue;
            };
            let label: Arc<str> = Arc::from(format!("-c {}", path.shown()));
            let read = self.read(
                &Source {
                    layer: Layer::Pair,
                    label,
                    name: None,
                },
                &line,
            );
            all.entries.extend(read.entries);
            for (name, entries) in read.profiles {
                all.profiles.entry(name).or_default().extend(entries);
            }
        }
        all
    }

    /// The values of the selected profile; `layers` from the strongest to the weakest.
    fn profile(&mut self, layers: &[&Read]) -> Entries {
        let key = Path::of(&["profile"]);
        let Some(chosen) = layers.iter().find_map(|layer| layer.entries.get(&key)) else {
            return Entries::new();
        };
        let name = match &chosen.value {
            crate::value::Value::Text(name) => name.as_str(),
            _ => return Entries::new(),
        };
        let known: Vec<&str> = layers
            .iter()
            .flat_map(|layer| layer.profiles.keys().map(String::as_str))
            .collect();
        if !known.contains(&name) {
            self.no_such("profile", name, &known, &chosen.origin);
        }
        let mut values = Entries::new();
        for layer in layers.iter().rev() {
            values.extend(layer.profiles.get(name).cloned().unwrap_or_default());
        }
        values
    }

    /// A project may choose among the models of the provider that its reader uses; when a stronger
    /// layer takes another provider, its model means nothing there.
    fn keep_model_with_provider(&mut self, own: &Entries, entries: &mut Entries) {
        let model = Path::of(&["model"]);
        let from_project = entries
            .get(&model)
            .is_some_and(|entry| entry.origin.layer == Layer::Project);
        if !from_project || text(own, &["provider"]) == text(entries, &["provider"]) {
            return;
        }
        self.notices.push(
            "The project's model is not used: it was chosen for another provider.".to_owned(),
        );
        match own.get(&model) {
            Some(entry) => entries.insert(model, entry.clone()),
            None => entries.remove(&model),
        };
    }

    /// Lays the address of a variable over that of the selected provider.
    fn base_url(&mut self, input: &Input, entries: &mut Entries) {
        let provider = text(entries, &["provider"]).unwrap_or_default().to_owned();
        for variable in VARIABLES
            .iter()
            .filter(|variable| variable.key.contains('*'))
        {
            let Some(value) = input.variables.get(variable.name) else {
                continue;
            };
            let key = variable.key.replace('*', &segment_text(&provider));
            for (path, entry) in self.variable(variable.name, &key, value).entries {
                let held = entries.get(&path).map(|held| held.origin.layer);
                if held < Some(Layer::Flag) {
                    entries.insert(path, entry);
                }
            }
        }
    }

    /// What no layer shows alone: names that refer to something, and tables that must be whole.
    fn check(&mut self, input: &Input, entries: &Entries) {
        let mut known: Vec<&str> = input.known_providers.iter().map(String::as_str).collect();
        for (path, entry) in entries {
            match path.segments().as_slice() {
                ["providers", name, ..] if !known.contains(name) => {
                    known.push(name);
                    if !entries.contains_key(&Path::of(&["providers", name, "base_url"])) {
                        self.missing(&Path::of(&["providers", name]), "base_url", &entry.origin);
                    }
                }
                ["models", name, "prices", given] => {
                    for needed in ["input", "output"] {
                        let table = Path::of(&["models", name, "prices"]);
                        if needed != *given && !entries.contains_key(&table.with(needed)) {
                            self.missing(&table, needed, &entry.origin);
                        }
                    }
                }
                ["egress", "credentials", name, _] => {
                    let table = Path::of(&["egress", "credentials", name]);
                    if !entries.contains_key(&table.with("env")) {
                        self.missing(&table, "env", &entry.origin);
                    }
                }
                _ => {}
            }
        }
        if let Some(Entry { origin, .. }) = entries.get(&Path::of(&["provider"])) {
            let provider = text(entries, &["provider"]).unwrap_or_default();
            if !known.contains(&provider) {
                self.no_such("provider", provider, &known, origin);
            }
        }
        self.problems.dedup();
        self.problems.sort_by_key(|problem| problem.place.line);
    }

    fn missing(&mut self, table: &Path, key: &'static str, origin: &Origin) {
        let mistake = Mistake::Missing {
            table: table.shown(),
            key,
        };
        self.problems.push(Problem {
            place: place(origin),
            mistake,
        });
    }

    fn no_such(&mut self, what: &'static str, name: &str, known: &[&str], origin: &Origin) {
        let hint = match closest(name, known.iter().copied()) {
            Some(close) => Some(format!("did you mean {}?", quote(close))),
            None if known.is_empty() => None,
            None => Some(format!("there are: {}", shorten(&known.join(", ")))),
        };
        let mistake = Mistake::NoSuch {
            what,
            name: name.to_owned(),
            hint: hint.map(|h| clean(&h)),
        };
        self.problems.push(Problem {
            place: place(origin),
            mistake,
        });
    }

    fn wrong(&mut self, source: &str, mistake: Mistake) {
        let place = Place {
            source: Arc::from(source),
            line: None,
        };
        self.problems.push(Problem { place, mistake });
    }
}

/// Whether the user trusts the project's root. The user's word is their file and their `-c`.
fn trusted(project: &Project, user: &Entries, pairs: &Entries) -> bool {
    let same = |path: &str| path.trim_end_matches('/') == project.root.trim_end_matches('/');
    let word = |entries: &Entries| {
        entries.iter().find_map(
            |(path, entry)| match (path.segments().as_slice(), &entry.value) {
                (["projects", root, "trust_level"], crate::value::Value::Text(level))
                    if same(root) =>
                {
                    Some(level == "trusted")
                }
                _ => None,
            },
        )
    };
    word(pairs).or_else(|| word(user)).unwrap_or(false)
}

fn distrust(project: &Project) -> String {
    format!(
        "{} is ignored, because the project is not trusted. To trust it, add to your own \
         config.toml: [projects.{}] trust_level = \"trusted\"",
        clean(&project.file.path),
        quote(&project.root)
    )
}

/// The shortcuts for whichever model is used win over `[models]`, unless that is from a stronger
/// layer.
fn prefer_higher_models(entries: &mut Entries) {
    let Some(model) = text(entries, &["model"]).map(str::to_owned) else {
        return;
    };
    for (shortcut, field) in [
        ("model_context_window", "context_window"),
        ("model_auto_compact_token_limit", "auto_compact_limit"),
        ("model_max_output_tokens", "max_output_tokens"),
    ] {
        let path = Path::of(&[shortcut]);
        let Some(layer) = entries.get(&path).map(|entry| entry.origin.layer) else {
            continue;
        };
        let fits = |pattern: &str| match pattern.strip_suffix('*') {
            Some(prefix) => model.starts_with(prefix),
            None => pattern == model,
        };
        let stronger = entries
            .iter()
            .any(|(path, entry)| match path.segments().as_slice() {
                ["models", pattern, name] => {
                    *name == field && fits(pattern) && entry.origin.layer > layer
                }
                _ => false,
            });
        if stronger {
            entries.remove(&path);
        }
    }
}

fn place(origin: &Origin) -> Place {
    match (&origin.file, origin.line) {
        (Some(file), Some(line)) => Place {
            source: file.clone(),
            line: Some((line, 1)),
        },
        _ => Place {
            source: origin.name.clone().unwrap_or_else(|| Arc::from("-c")),
            line: None,
        },
    }
}
