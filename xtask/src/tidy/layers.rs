//! The layer check: every dependency edge of the workspace against the table.

use super::layer_table::{
    ADAPTERS, COMPOSITION, CORE, FORBIDDEN_IN_CORE, LAYERS, Layer, OWNED, SEEN_BY_SURFACES,
    SIDEWAYS, SURFACES,
};
use crate::metadata::{Crate, Dependency, Kind, Workspace};

/// Returns one sentence per edge that the architecture forbids.
///
/// Dev-dependencies are free: tests may use what they like.
pub(super) fn problems(workspace: &Workspace) -> Vec<String> {
    let mut found = Vec::new();
    for each in &workspace.crates {
        match layer(&each.name) {
            None => found.push(format!(
                "{} has no layer; add it to xtask/src/tidy/layer_table.rs",
                each.name
            )),
            Some(Layer::Dev) => {}
            Some(Layer::Product(level)) => found.extend(product_problems(workspace, each, level)),
        }
    }
    found
}

fn product_problems(workspace: &Workspace, each: &Crate, level: u8) -> Vec<String> {
    let needed = each
        .dependencies
        .iter()
        .filter(|dependency| dependency.kind != Kind::Dev);
    needed
        .filter_map(|dependency| {
            let verdict = match workspace.find(&dependency.name) {
                Some(_) => internal_problem(&each.name, level, &dependency.name),
                None => external_problem(&each.name, level, &dependency.name),
            };
            verdict.map(|why| sentence(&each.name, level, dependency, &why))
        })
        .collect()
}

fn sentence(from: &str, level: u8, dependency: &Dependency, why: &str) -> String {
    let verb = if dependency.kind == Kind::Build {
        "is built with"
    } else {
        "depends on"
    };
    format!("{from} (layer {level}) {verb} {}: {why}", dependency.name)
}

/// Says why one crate of the workspace may not depend on another one.
fn internal_problem(from: &str, level: u8, to: &str) -> Option<String> {
    let target = match layer(to) {
        // Reported as a crate without a layer.
        None => return None,
        Some(Layer::Dev) => return Some("it is for tests and automation only".to_owned()),
        Some(Layer::Product(target)) => target,
    };
    if target > level {
        return Some(format!(
            "it stands higher, in layer {target}; arrows point down only"
        ));
    }
    if target == level && level == ADAPTERS {
        return Some("adapters never depend on one another".to_owned());
    }
    if target == level && !is_meant(from, to) {
        return Some("both stand in the same layer; arrows point down only".to_owned());
    }
    if target == ADAPTERS && level != COMPOSITION {
        return Some("an adapter is reached through its port; only `recto` names it".to_owned());
    }
    if level == SURFACES && !SEEN_BY_SURFACES.contains(&to) {
        return Some(format!(
            "a surface sees {} and nothing else",
            SEEN_BY_SURFACES.join(", ")
        ));
    }
    None
}

/// Says why a crate may not depend on a package from outside.
fn external_problem(from: &str, level: u8, to: &str) -> Option<String> {
    if level <= CORE
        && let Some((_, why)) = FORBIDDEN_IN_CORE.iter().find(|(package, _)| *package == to)
    {
        return Some((*why).to_owned());
    }
    let (_, owners, why) = OWNED.iter().find(|(package, ..)| *package == to)?;
    (!owners.contains(&from)).then(|| format!("{why} ({})", owners.join(", ")))
}

fn layer(name: &str) -> Option<Layer> {
    LAYERS
        .iter()
        .find(|(known, _)| *known == name)
        .map(|(_, layer)| *layer)
}

fn is_meant(from: &str, to: &str) -> bool {
    SIDEWAYS
        .iter()
        .any(|(source, target, _)| *source == from && *target == to)
}

#[cfg(test)]
#[path = "layers_tests.rs"]
mod tests;
