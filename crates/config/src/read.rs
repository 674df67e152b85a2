//! Reads one layer's text: every key known, every value of its kind, every mistake with its place.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::entry::{Entries, Entry};
use crate::keys::{Child, InProject, Key, Scale, child, hint, refusal};
use crate::layer::{Layer, Lines, Origin};
use crate::path::{Path, clean, shorten};
use crate::problem::{MOST_SHOWN, Mistake, Place, Problem};
use crate::value::{Kind, Unfit, Value, found_name, is_header_name, is_variable};

/// Where a text comes from, and how it is to be read.
#[derive(Clone)]
pub(crate) struct Source {
    pub(crate) layer: Layer,
    /// The file, or what else messages call it.
    pub(crate) label: Arc<str>,
    /// The variable or flag, for origins.
    pub(crate) name: Option<Arc<str>>,
}

/// What one layer says.
#[derive(Default)]
pub(crate) struct Read {
    pub(crate) entries: Entries,
    pub(crate) profiles: BTreeMap<String, Entries>,
    pub(crate) problems: Vec<Problem>,
    pub(crate) notices: Vec<String>,
}

/// Reads a text.
pub(crate) fn read(source: &Source, text: &str) -> Read {
    let place = |line| Place {
        source: source.label.clone(),
        line,
    };
    if text.len() > crate::MAX_BYTES {
        let problem = Problem {
            place: place(None),
            mistake: Mistake::TooLarge { bytes: text.len() },
        };
        return Read {
            problems: vec![problem],
            ..Read::default()
        };
    }
    // Editors on some systems begin a file with a byte order mark.
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut reader = Reader {
        source,
        text,
        lines: Lines::of(text),
        profile: None,
        first: BTreeMap::new(),
        read: Read::default(),
        found: Vec::new(),
    };
    let (table, errors) = DeTable::parse_recoverable(text);
    if errors.is_empty() {
        reader.table("", &Path::default(), table.get_ref());
    } else {
        reader.syntax(&errors);
    }
    reader.finish()
}

impl Source {
    /// Whether a string needs no quotes and positions mean nothing: the text was made from a pair.
    fn made_up(&self) -> bool {
        matches!(self.layer, Layer::Environment | Layer::Flag | Layer::Pair)
    }
}

struct Reader<'a> {
    source: &'a Source,
    text: &'a str,
    lines: Lines<'a>,
    /// The profile whose table is being read.
    profile: Option<String>,
    /// Where each key of this text was first set, by profile.
    first: BTreeMap<(Option<String>, Path), (usize, Scale)>,
    read: Read,
    /// Mistakes with their offsets; positions are counted out at the end, for those that are shown.
    found: Vec<(usize, Mistake)>,
}

/// A key with a value, as it stands in the text.
struct Leaf {
    key: &'static Key,
    scale: Scale,
    path: Path,
    /// The key as it is written, for messages.
    written: String,
    at: usize,
}

impl Reader<'_> {
    fn table(&mut self, pattern: &str, path: &Path, table: &DeTable<'_>) {
        // In the order of the text, so that "first" and "twice" mean what the reader sees.
        let mut children: Vec<_> = table.iter().collect();
        children.sort_by_key(|(name, _)| name.span().start);
        for (name, value) in children {
            self.child(pattern, path, name.get_ref(), name.span(), value);
        }
    }

    fn child(
        &mut self,
        pattern: &str,
        path: &Path,
        name: &str,
        at: Range<usize>,
        value: &Spanned<DeValue<'_>>,
    ) {
        match child(pattern, name) {
            Child::Unknown => {
                let key = self.shown(&path.with(name));
                // Looking for what was meant is the slow part, and only the first are shown.
                let hint = if self.found.len() < MOST_SHOWN {
                    hint(pattern, name)
                } else {
                    None
                };
                self.wrong(at.start, Mistake::UnknownKey { key, hint });
            }
            Child::Table(pattern) => {
                let canonical = pattern.rsplit('.').next().filter(|last| *last != "*");
                let path = path.with(canonical.unwrap_or(name));
                if let Some(why) = self.refused(pattern) {
                    let key = self.shown(&path);
                    return self.wrong(at.start, Mistake::Refused { key, why });
                }
                if pattern == "projects.*" && !name.starts_with('/') {
                    let key = self.shown(&path);
                    let expected = "a table named by an absolute path".to_owned();
                    return self.wrong(
                        at.start,
                        Mistake::Value {
                            key,
                            expected,
                            hint: None,
                        },
                    );
                }
                match value.get_ref().as_table() {
                    Some(table) => self.table(pattern, &path, table),
                    None => self.no_table(&path, value),
                }
            }
            Child::Leaf { key, scale, target } => {
                let canonical = key.name.rsplit('.').next().filter(|last| *last != "*");
                let written = path.with(name);
                let path = match target {
                    Some(target) => Path::of(target),
                    None => path.with(canonical.unwrap_or(name)),
                };
                if key.kind == Kind::Profile {
                    self.profile(name, &path, at.start, value);
                } else {
                    let written = self.shown(&written);
                    self.leaf(
                        Leaf {
                            key,
                            scale,
                            path,
                            written,
                            at: at.start,
                        },
                        value,
                    );
                }
            }
        }
    }

    /// A whole profile: the keys of the top level once more.
    fn profile(&mut self, name: &str, path: &Path, at: usize, value: &Spanned<DeValue<'_>>) {
        let Some(table) = value.get_ref().as_table() else {
            return self.no_table(path, value);
        };
        if let Some(why) = self.refused("profiles") {
            let key = self.shown(path);
            return self.wrong(at, Mistake::Refused { key, why });
        }
        self.read.profiles.entry(name.to_owned()).or_default();
        self.profile = Some(name.to_owned());
        self.table("", &Path::default(), table);
        self.profile = None;
    }

    fn leaf(&mut self, leaf: Leaf, value: &Spanned<DeValue<'_>>) {
        let Leaf { key, scale, at, .. } = leaf;
        if let Some(why) = self.forbidden(key) {
            return self.wrong(
                at,
                Mistake::Refused {
                    key: leaf.written,
                    why,
                },
            );
        }
        if let Some(expected) = unusable_name(key, &leaf.path) {
            let expected = expected.to_owned();
            return self.wrong(
                at,
                Mistake::Value {
                    key: leaf.written,
                    expected,
                    hint: None,
                },
            );
        }
        let origin = self.origin(at);
        let raw = self
            .source
            .made_up()
            .then(|| self.text.get(value.span()))
            .flatten();
        let value = match scaled(key.kind, scale).read(value, &origin, raw) {
            Ok(value) => rescale(value, scale),
            Err(unfit) => return self.unfit(leaf.written, unfit),
        };
        if self.source.layer == Layer::Project
            && key.project == InProject::Off
            && value != Value::Bool(false)
        {
            let why = "a project's file can only switch it off";
            return self.wrong(
                at,
                Mistake::Refused {
                    key: leaf.written,
                    why,
                },
            );
        }
        self.note(key, &value);
        self.insert(leaf, Entry { value, origin });
    }

    fn insert(&mut self, leaf: Leaf, mut entry: Entry) {
        let Leaf {
            scale,
            path,
            written,
            at,
            ..
        } = leaf;
        let place = (self.profile.clone(), path.clone());
        if let Some((first, first_scale)) = self.first.get(&place).copied() {
            let either = scale == Scale::Largest || first_scale == Scale::Largest;
            let held = self.entries().get(&path).map(|held| held.value.clone());
            if let (true, Value::Count(new), Some(Value::Count(old))) = (either, &entry.value, held)
            {
                if *new != old {
                    let key = self.shown(&path);
                    self.read.notices.push(format!(
                        "{}: {key} is one limit for requests and streams; the larger one counts.",
                        clean(&self.source.label)
                    ));
                }
                entry.value = Value::Count(old.max(*new));
            } else {
                let (key, first) = (self.shown(&path), self.lines.line(first));
                return self.wrong(
                    at,
                    Mistake::Twice {
                        written,
                        key,
                        first,
                    },
                );
            }
        } else {
            self.first.insert(place, (at, scale));
        }
        self.entries().insert(path, entry);
    }

    fn entries(&mut self) -> &mut Entries {
        match &self.profile {
            Some(name) => self.read.profiles.entry(name.clone()).or_default(),
            None => &mut self.read.entries,
        }
    }

    /// Why a project's file may set nothing in a table.
    fn refused(&self, pattern: &str) -> Option<&'static str> {
        let in_profile = self.profile.is_some() && pattern.starts_with("projects");
        if in_profile || (self.profile.is_some() && pattern.starts_with("profiles")) {
            return Some(IN_PROFILE);
        }
        if self.source.layer == Layer::Project {
            refusal(pattern)
        } else {
            None
        }
    }

    fn forbidden(&self, key: &Key) -> Option<&'static str> {
        if self.profile.is_some() && key.name == "profile" {
            return Some(IN_PROFILE);
        }
        match key.project {
            InProject::Refused(why) if self.source.layer == Layer::Project => Some(why),
            _ => None,
        }
    }

    /// Values that are accepted for the sake of existing files, and have no effect.
    fn note(&mut self, key: &Key, value: &Value) {
        if key.name == "approval_policy" && *value != Value::Text("never".to_owned()) {
            self.read.notices.push(format!(
                "{}: approval_policy has no effect: this program never asks, what commands may do \
                 is set by sandbox_mode.",
                clean(&self.source.label)
            ));
        }
    }

    fn origin(&self, at: usize) -> Origin {
        let file = (!self.source.made_up()).then(|| self.source.label.clone());
        let (layer, name) = match &self.profile {
            Some(name) if self.source.layer == Layer::User => {
                (Layer::Profile, Some(Arc::from(name.as_str())))
            }
            _ => (self.source.layer, self.source.name.clone()),
        };
        if layer == Layer::Default {
            return Origin {
                layer,
                file: None,
                line: None,
                name: None,
            };
        }
        let line = file.is_some().then(|| self.lines.line(at));
        Origin {
            layer,
            file,
            line,
            name,
        }
    }

    /// The key as a message shows it.
    fn shown(&self, path: &Path) -> String {
        match &self.profile {
            Some(name) => format!("{}.{}", Path::of(&["profiles", name]).shown(), path.shown()),
            None => path.shown(),
        }
    }

    fn no_table(&mut self, path: &Path, value: &Spanned<DeValue<'_>>) {
        let (key, found) = (self.shown(path), found_name(value.get_ref()));
        let expected = "a table".to_owned();
        self.wrong(
            value.span().start,
            Mistake::Type {
                key,
                expected,
                found,
            },
        );
    }

    fn unfit(&mut self, key: String, unfit: Unfit) {
        match unfit {
            Unfit::Type {
                expected,
                found,
                at,
            } => {
                self.wrong(
                    at.start,
                    Mistake::Type {
                        key,
                        expected,
                        found,
                    },
                );
            }
            Unfit::Value { expected, hint, at } => {
                self.wrong(
                    at.start,
                    Mistake::Value {
                        key,
                        expected,
                        hint,
                    },
                );
            }
        }
    }

    fn syntax(&mut self, errors: &[toml::de::Error]) {
        let mut line = 0;
        for error in errors {
            let at = error
                .span()
                .map_or(0, |span| span.start)
                .min(self.text.len());
            // After a mistake the parser often stumbles over the rest of the same line.
            if self.lines.line(at) != line {
                line = self.lines.line(at);
                let message = clean(&shorten(error.message()));
                self.wrong(at, Mistake::Syntax { message });
            }
        }
    }

    fn wrong(&mut self, at: usize, mistake: Mistake) {
        self.found.push((at, mistake));
    }

    fn finish(mut self) -> Read {
        self.found.sort_by_key(|(at, _)| *at);
        let (files, lines) = (!self.source.made_up(), &self.lines);
        let shown = MOST_SHOWN;
        // A column costs a walk along its line, which may be the whole file.
        let place = |index: usize, at: usize| match (files, index < shown) {
            (false, _) => None,
            (true, true) => Some(lines.position(at)),
            (true, false) => Some((lines.line(at), 1)),
        };
        let problems = self
            .found
            .into_iter()
            .enumerate()
            .map(|(index, (at, mistake))| Problem {
                place: Place {
                    source: self.source.label.clone(),
                    line: place(index, at),
                },
                mistake,
            });
        self.read.problems.extend(problems);
        self.read
    }
}

const IN_PROFILE: &str = "a profile holds values, it does not choose profiles or trust projects";

/// What the name that the user chose should be, when it is not.
fn unusable_name(key: &Key, path: &Path) -> Option<&'static str> {
    let name = path.0.last().map(String::as_str).unwrap_or_default();
    if key.name.ends_with("http_headers.*") && !is_header_name(name) {
        return Some("named like an HTTP header");
    }
    if key.name == "env.set.*" && !is_variable(name) {
        return Some("named like an environment variable");
    }
    None
}

/// The kind of another spelling: its bounds are those of the key in the other unit.
fn scaled(kind: Kind, scale: Scale) -> Kind {
    match (kind, scale) {
        (Kind::Count { least, most }, Scale::Minutes) => Kind::Count {
            least,
            most: most / 60,
        },
        (Kind::Count { least, most }, Scale::Milliseconds) => Kind::Count {
            least,
            most: most.saturating_mul(1000),
        },
        (kind, _) => kind,
    }
}

fn rescale(value: Value, scale: Scale) -> Value {
    match (value, scale) {
        (Value::Count(minutes), Scale::Minutes) => Value::Count(minutes.saturating_mul(60)),
        (Value::Count(millis), Scale::Milliseconds) => Value::Count(millis.div_ceil(1000)),
        (value, _) => value,
    }
}
