//! `recto cell policy explain`: what a cell made here would be, in sentences, without making one.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::PathBuf;

use recto_cell::{Description, Limits, Protection};
use recto_config::Origin;
use recto_protocol::policy::{Network, Policy};
use serde_json::{Value, json};

use super::super::{block_on, print};
use super::resolve;
use super::stats::bytes;
use crate::args::CellOptions;
use crate::compose::cell::failure;
use crate::compose::home::Home;
use crate::compose::place::Place;
use crate::exit::{DONE, Failure};
use crate::output::safe::safe;

/// The settings that decide what a cell may do; with a dot, everything below.
const DECIDING: [&str; 8] = [
    "sandbox_mode",
    "sandbox_workspace_write.",
    "readable_roots",
    "env.",
    "network.",
    "limits.",
    "sandbox.",
    "cell.",
];

/// Prints what the cell would be.
pub fn explain(home: &Home, options: CellOptions, as_json: bool) -> Result<u8, Failure> {
    let place = Place::find(options.cd.as_deref())?;
    let (settings, settled) = block_on(resolve(home, &place, options))?;
    let described = recto_cell::describe(&settings.described()).map_err(failure)?;
    let origins: BTreeMap<&str, &Origin> = settled
        .origins
        .iter()
        .filter(|(key, _)| decides(key))
        .map(|(key, origin)| (key.as_str(), origin))
        .collect();
    let text = if as_json {
        format!("{}\n", as_value(&settings.policy, &described, &origins))
    } else {
        safe(&told(&settings.policy, &described, &origins))
    };
    print(&text)?;
    Ok(DONE)
}

fn decides(key: &str) -> bool {
    DECIDING
        .iter()
        .any(|known| key == *known || (known.ends_with('.') && key.starts_with(known)))
}

fn told(policy: &Policy, cell: &Description, origins: &BTreeMap<&str, &Origin>) -> String {
    let mut text = String::new();
    // Writing to a String does not fail.
    let _ = match cell.backend {
        "direct" => direct(&mut text, cell),
        _ => isolated(&mut text, policy, cell),
    };
    let _ = environment(&mut text, cell, origins);
    text
}

fn direct(text: &mut String, cell: &Description) -> std::fmt::Result {
    writeln!(
        text,
        "No isolation (direct): commands are plain processes of user {} and may read, write and \
         reach\nwhatever that user may. They are killed when the cell ends. Start in {}.",
        cell.user.0,
        cell.cwd.display()
    )
}

fn isolated(text: &mut String, policy: &Policy, cell: &Description) -> std::fmt::Result {
    let own = if cell.is_own_user {
        ", a user of the cell's own, because recto runs as root"
    } else {
        ""
    };
    writeln!(
        text,
        "Isolated by {}. Commands run as user {}{own}, without any privilege,\nin {}.\n",
        cell.backend,
        cell.user.0,
        cell.cwd.display()
    )?;
    let shown = |writable: bool| -> Vec<String> {
        let paths = cell
            .shown
            .iter()
            .filter(|shown| shown.is_writable == writable);
        paths
            .map(|shown| {
                let copy = if shown.is_copy { " (a copy)" } else { "" };
                format!("{}{copy}", shown.path.display())
            })
            .collect()
    };
    list(
        text,
        "May be written",
        &shown(true),
        "nothing but what is the cell's own",
    )?;
    list(text, "May be read only", &shown(false), "nothing")?;
    writeln!(
        text,
        "The cell's own, empty at first, gone with it:\n  /tmp, /run, /dev/shm, {}\n",
        cell.home.display()
    )?;
    let held = |how: Protection| -> Vec<String> {
        let places = cell.protected.iter().filter(|place| place.how == how);
        places
            .map(|place| place.path.display().to_string())
            .collect()
    };
    for (how, heading) in [
        (
            Protection::ReadOnly,
            "Protected, because git or recto outside would act on a change",
        ),
        (
            Protection::Absent,
            "Not there, and can't be made, for the same reason",
        ),
        (
            Protection::Copy,
            "Commands change a copy of it; what is there stays as it is",
        ),
        (Protection::Pinned, "May be changed, but not moved away"),
    ] {
        let places = held(how);
        if !places.is_empty() {
            list(text, heading, &places, "")?;
        }
    }
    let hidden: Vec<String> = cell
        .hidden
        .iter()
        .map(|path| path.display().to_string())
        .collect();
    list(
        text,
        "Hidden, though it lies in what is shown",
        &hidden,
        "nothing",
    )?;
    writeln!(
        text,
        "A repository that a command makes itself is disarmed when the cell has ended: git outside \
         runs\nnothing that its configuration or hooks name.\n"
    )?;
    writeln!(text, "Everything else on this machine is not there.\n")?;
    network(text, policy, cell)?;
    limits(text, &cell.limits)
}

fn list(text: &mut String, heading: &str, items: &[String], none: &str) -> std::fmt::Result {
    writeln!(text, "{heading}:")?;
    if items.is_empty() {
        writeln!(text, "  {none}")?;
    }
    for item in items {
        writeln!(text, "  {item}")?;
    }
    writeln!(text)
}

fn network(text: &mut String, policy: &Policy, cell: &Description) -> std::fmt::Result {
    writeln!(text, "Network:")?;
    match policy.network {
        Network::None => writeln!(text, "  none: an own, empty network with loopback only")?,
        Network::Allow => {
            writeln!(text, "  allow: what rules let through, by a proxy outside")?;
            for rule in &policy.egress.rules {
                writeln!(text, "  rule: {rule}")?;
            }
            for preset in &policy.egress.presets {
                writeln!(text, "  preset: {preset}")?;
            }
            if policy.egress.is_empty() {
                writeln!(text, "  there is no rule, so nothing is let through")?;
            }
        }
        Network::Open => writeln!(text, "  open: everything that this machine can reach")?,
    }
    for door in &cell.doors {
        let name = door.host.as_deref().unwrap_or("-");
        writeln!(text, "  {} ({name}) is answered outside", door.at)?;
    }
    writeln!(text)
}

fn limits(text: &mut String, limits: &Limits) -> std::fmt::Result {
    writeln!(
        text,
        "Limits (`recto doctor` tells what holds them):\n  {} of memory\n  {} processes and threads\n  \
         {} written to disk, {} files made in writable directories\n  \
         {} of output from one command\n  \
         {} and {} files in what is the cell's own, by the size of its tmpfs\n  \
         no core dumps, by RLIMIT_CORE\n",
        limits
            .memory
            .map_or_else(|| "three quarters of the machine's".to_owned(), bytes),
        limits.processes,
        bytes(limits.disk_bytes),
        limits.files,
        bytes(limits.output_bytes),
        bytes(limits.scratch_bytes),
        limits.scratch_inodes
    )
}

fn environment(
    text: &mut String,
    cell: &Description,
    origins: &BTreeMap<&str, &Origin>,
) -> std::fmt::Result {
    list(
        text,
        "Variables that commands find",
        &[cell.env.join(" ")],
        "",
    )?;
    writeln!(text, "Where this comes from:")?;
    for (key, origin) in origins {
        writeln!(text, "  {key}: {origin}")?;
    }
    Ok(())
}

fn as_value(policy: &Policy, cell: &Description, origins: &BTreeMap<&str, &Origin>) -> Value {
    let shown = |writable: bool| -> Vec<&PathBuf> {
        let paths = cell
            .shown
            .iter()
            .filter(|shown| shown.is_writable == writable);
        paths.map(|shown| &shown.path).collect()
    };
    let protected: Vec<Value> = cell
        .protected
        .iter()
        .map(|place| json!({"path": place.path, "how": how(place.how)}))
        .collect();
    let doors: Vec<Value> = cell
        .doors
        .iter()
        .map(|door| json!({"at": door.at, "host": door.host}))
        .collect();
    json!({
        "backend": cell.backend,
        "access": policy.access,
        "uid": cell.user.0,
        "gid": cell.user.1,
        "cwd": cell.cwd,
        "home": cell.home,
        "writable": shown(true),
        "readable": shown(false),
        "protected": protected,
        "hidden": cell.hidden,
        "network": {"mode": policy.network, "rules": policy.egress, "doors": doors},
        "limits": {
            "memory": cell.limits.memory,
            "millicores": cell.limits.millicores,
            "processes": cell.limits.processes,
            "open_files": cell.limits.open_files,
            "disk_bytes": cell.limits.disk_bytes,
            "files": cell.limits.files,
            "output_bytes": cell.limits.output_bytes,
            "scratch_bytes": cell.limits.scratch_bytes,
            "scratch_inodes": cell.limits.scratch_inodes,
        },
        "env": cell.env,
        "origins": origins,
    })
}

fn how(how: Protection) -> &'static str {
    match how {
        Protection::ReadOnly => "read_only",
        Protection::Absent => "absent",
        Protection::Copy => "copy",
        Protection::Pinned => "pinned",
    }
}
