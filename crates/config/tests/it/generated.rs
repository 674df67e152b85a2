//! The key table against everything that follows it: fields, schema, reference.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use recto_config::{InProject, Kind, known_keys, reference, schema};
use recto_protocol::policy::Access;
use recto_protocol::profile::{CompactionWay, PatchTool, Profile, Provider};
use recto_protocol::usage::Prices;

use crate::support::{Layers, outcome};

const BEGIN: &str =
    "<!-- generated from the key table: UPDATE_DOCS=1 cargo test -p recto-config -->\n";
const END: &str = "<!-- end of the generated part -->\n";

fn docs(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../docs")
        .join(name)
}

fn holds(path: &Path, expected: &str) {
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(path, expected).expect("docs can be written");
    }
    let held = std::fs::read_to_string(path).unwrap_or_default();
    assert!(
        held == expected,
        "{} is stale; run UPDATE_DOCS=1 cargo test -p recto-config",
        path.display()
    );
}

#[test]
fn the_checked_in_schema_is_current() {
    holds(&docs("schema/config.json"), &schema());
}

#[test]
fn the_reference_is_current() {
    let path = docs("config.md");
    let text = std::fs::read_to_string(&path).unwrap();
    let (before, rest) = text
        .split_once(BEGIN)
        .expect("docs/config.md has the marker");
    let (_, after) = rest
        .split_once(END)
        .expect("docs/config.md has the end marker");
    holds(
        &path,
        &format!("{before}{BEGIN}\n{}\n{END}{after}", reference()),
    );
}

#[test]
fn the_example_at_the_top_is_accepted() {
    let text = std::fs::read_to_string(docs("config.md")).unwrap();
    let block = text
        .split("```toml\n")
        .nth(1)
        .and_then(|rest| rest.split("```").next())
        .unwrap();
    assert!(block.contains("[profiles.local]"));
    outcome(&Layers {
        user: block,
        ..Layers::default()
    })
    .unwrap();
}

/// The example of a key, with what must stand beside it.
fn example(line: &str) -> String {
    format!("{line}\n[profiles.careful]\n").replace("profiles.careful = {", "profiles.other = {")
}

#[test]
fn every_key_has_a_working_example_that_reaches_the_settings() {
    let pairs = ["providers.gateway.base_url=http://h/v1"];
    let plain = outcome(&Layers {
        pairs: &pairs,
        ..Layers::default()
    })
    .unwrap();
    let without_effect = [
        "approval_policy",
        "projects.*.trust_level",
        "profiles.*",
        "providers.*.wire_api",
    ];
    for key in known_keys() {
        let layers = Layers {
            user: &example(key.example),
            pairs: &pairs,
            ..Layers::default()
        };
        let resolved = outcome(&layers).unwrap_or_else(|error| panic!("{}: {error}", key.name));
        let default_or_none = resolved.values == plain.values;
        let expected = without_effect.contains(&key.name)
            || ["web_search", "providers.*.base_url"].contains(&key.name);
        assert_eq!(default_or_none, expected, "{}", key.name);
    }
}

#[test]
fn rows_have_no_double_names() {
    let mut names = BTreeSet::new();
    for key in known_keys() {
        let table = key.name.rsplit_once('.').map_or("", |(table, _)| table);
        assert!(names.insert(key.name.to_owned()), "{}", key.name);
        for alias in key.aliases {
            assert!(
                names.insert(format!("{table}.{}", alias.name)),
                "{}",
                alias.name
            );
        }
        assert!(key.meaning.ends_with('.'), "{}", key.name);
        let ordered = ["sandbox_mode", "network"].contains(&key.name);
        assert_eq!(key.project == InProject::Narrow, ordered);
    }
}

fn fields<T: schemars::JsonSchema>() -> BTreeSet<String> {
    let schema = schemars::schema_for!(T);
    schema
        .get("properties")
        .and_then(|fields| fields.as_object())
        .expect("a struct has fields")
        .keys()
        .cloned()
        .collect()
}

fn rows(table: &str) -> BTreeSet<String> {
    let names = known_keys()
        .iter()
        .filter_map(|key| key.name.strip_prefix(table));
    names
        .map(|rest| rest.split('.').next().unwrap_or(rest).to_owned())
        .collect()
}

#[test]
fn rows_match_the_fields_of_protocol_types() {
    let mut providers = rows("providers.*.");
    assert!(providers.remove("wire_api"));
    assert_eq!(providers, fields::<Provider>());
    assert_eq!(rows("models.*."), fields::<Profile>());
    assert_eq!(rows("models.*.prices."), fields::<Prices>());
    assert_eq!(
        rows("budget."),
        fields::<recto_protocol::settings::Budget>()
    );
}

#[test]
fn choices_match_the_names_of_protocol_types() {
    fn check<T: serde::de::DeserializeOwned + schemars::JsonSchema>(key: &str) {
        let row = known_keys().iter().find(|row| row.name == key).unwrap();
        let Kind::Choice(names) = row.kind else {
            panic!("{key} is no choice")
        };
        let schema = serde_json::to_string(&schemars::schema_for!(T)).unwrap();
        for name in names
            .iter()
            .flat_map(|(name, others)| [&[*name], *others].concat())
        {
            serde_json::from_value::<T>(name.into()).unwrap();
        }
        assert_eq!(schema.matches("\"const\"").count(), names.len(), "{key}");
    }
    check::<Access>("sandbox_mode");
    check::<PatchTool>("models.*.apply_patch");
    check::<CompactionWay>("models.*.compaction");
    assert!(
        Access::ReadOnly < Access::WorkspaceWrite
            && Access::WorkspaceWrite < Access::DangerFullAccess
    );
}
