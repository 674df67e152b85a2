//! Each rule of the layer check, shown on a workspace that breaks it.

use serde_json::{Value, json};

use super::problems;
use crate::metadata::Workspace;
use crate::tidy::layer_table::{ADAPTERS, LAYERS, Layer, SIDEWAYS};

/// A workspace of every crate in the table, with one more edge.
fn workspace_with(from: &str, to: &str, kind: Value) -> Workspace {
    let mut names: Vec<&str> = LAYERS.iter().map(|(name, _)| *name).collect();
    if !names.contains(&from) {
        names.push(from);
    }
    let packages: Vec<Value> = names
        .iter()
        .map(|name| {
            let edges = if *name == from {
                json!([{ "name": to, "kind": kind }])
            } else {
                json!([])
            };
            json!({ "name": name, "targets": [], "dependencies": edges })
        })
        .collect();
    Workspace::from_json(&json!({ "packages": packages, "target_directory": "/t" })).unwrap()
}

fn check(from: &str, to: &str, expected: Option<&str>) {
    check_kind(from, to, Value::Null, expected);
}

fn check_kind(from: &str, to: &str, kind: Value, expected: Option<&str>) {
    let found = problems(&workspace_with(from, to, kind));
    assert_eq!(
        found,
        expected.into_iter().collect::<Vec<_>>(),
        "{from} -> {to}"
    );
}

#[test]
fn an_edge_that_points_up_fails() {
    check(
        "recto-protocol",
        "recto-agent",
        Some(
            "recto-protocol (layer 0) depends on recto-agent: it stands higher, in layer 1; \
             arrows point down only",
        ),
    );
    check(
        "recto-model",
        "recto",
        Some(
            "recto-model (layer 3) depends on recto: it stands higher, in layer 6; arrows point \
             down only",
        ),
    );
}

#[test]
fn an_edge_that_points_down_passes() {
    check("recto-agent", "recto-protocol", None);
    check("recto-workspace", "recto-patch", None);
    check("recto", "recto-cell", None);
    check("recto-web", "recto-service", None);
}

#[test]
fn adapters_do_not_depend_on_one_another() {
    check(
        "recto-cell",
        "recto-store",
        Some("recto-cell (layer 3) depends on recto-store: adapters never depend on one another"),
    );
}

#[test]
fn only_the_binary_names_an_adapter() {
    check(
        "recto-runtime",
        "recto-model",
        Some(
            "recto-runtime (layer 4) depends on recto-model: an adapter is reached through its \
             port; only `recto` names it",
        ),
    );
}

#[test]
fn a_surface_sees_records_and_use_cases_only() {
    check(
        "recto-tui",
        "recto-runtime",
        Some(
            "recto-tui (layer 5) depends on recto-runtime: a surface sees recto-protocol, \
             recto-service and nothing else",
        ),
    );
}

#[test]
fn a_sideways_edge_passes_only_when_it_is_meant() {
    check("recto-agent", "recto-patch", None);
    check(
        "recto-patch",
        "recto-agent",
        Some(
            "recto-patch (layer 1) depends on recto-agent: both stand in the same layer; arrows \
             point down only",
        ),
    );
}

#[test]
fn the_core_knows_no_runtime_and_no_system() {
    check(
        "recto-agent",
        "tokio",
        Some(
            "recto-agent (layer 1) depends on tokio: the core is a fold that nobody has to run; \
             tasks and channels are the runtime's",
        ),
    );
    check(
        "recto-protocol",
        "rustix",
        Some("recto-protocol (layer 0) depends on rustix: the core knows no operating system"),
    );
    check("recto-runtime", "tokio", None);
}

#[test]
fn a_package_with_an_owner_stays_with_its_owner() {
    check("recto-cell", "seccompiler", None);
    check(
        "recto-runtime",
        "reqwest",
        Some(
            "recto-runtime (layer 4) depends on reqwest: one crate speaks to models, and the command line to its server (recto-model, recto)",
        ),
    );
    check(
        "recto-tui",
        "clap",
        Some("recto-tui (layer 5) depends on clap: flags are parsed in one place (recto)"),
    );
}

#[test]
fn build_dependencies_count_and_dev_dependencies_do_not() {
    check_kind(
        "recto-agent",
        "libc",
        json!("build"),
        Some("recto-agent (layer 1) is built with libc: the core knows no operating system"),
    );
    check_kind("recto-agent", "tokio", json!("dev"), None);
    check_kind("recto-agent", "recto-testkit", json!("dev"), None);
}

#[test]
fn the_product_does_not_need_the_test_kit() {
    check(
        "recto-service",
        "recto-testkit",
        Some(
            "recto-service (layer 4) depends on recto-testkit: it is for tests and automation \
             only",
        ),
    );
    check("recto-testkit", "recto-model", None);
}

#[test]
fn a_crate_that_nobody_placed_fails() {
    check(
        "recto-surprise",
        "serde",
        Some("recto-surprise has no layer; add it to xtask/src/tidy/layer_table.rs"),
    );
}

#[test]
fn no_exception_joins_two_adapters() {
    let adapter = |name: &str| LAYERS.contains(&(name, Layer::Product(ADAPTERS)));
    assert!(
        !SIDEWAYS
            .iter()
            .any(|(from, to, _)| adapter(from) || adapter(to))
    );
}
