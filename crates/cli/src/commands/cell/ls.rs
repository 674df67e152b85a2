//! `recto cell ls`: the kept cells.

use recto_protocol::policy::Network;
use recto_protocol::ports::cell::CellStats;
use serde_json::{Value, json};

use super::super::{block_on, print};
use super::stats::{duration, measure};
use crate::compose::cells::{Cells, Record};
use crate::exit::{DONE, Failure};
use crate::output::safe::{safe, safe_line};

/// Prints the list.
pub fn run(cells: &Cells, as_json: bool) -> Result<u8, Failure> {
    let found = block_on(measure(cells.list()?))?;
    if as_json {
        let entries: Vec<Value> = found
            .iter()
            .map(|(record, stats)| entry(record, stats.as_ref()))
            .collect();
        print(&format!("{}\n", json!(entries)))?;
        return Ok(DONE);
    }
    let mut out = String::new();
    for (record, stats) in &found {
        out.push_str(&line(record, stats.as_ref()));
    }
    if out.is_empty() {
        out = "no cells; `recto cell new` makes one\n".to_owned();
    }
    print(&safe(&out))?;
    Ok(DONE)
}

fn line(record: &Record, stats: Option<&CellStats>) -> String {
    let state = match stats {
        Some(CellStats { commands: 0, .. }) => "idle".to_owned(),
        Some(stats) => {
            let commands = stats.commands as usize;
            format!("{commands} {}", crate::output::plural(commands, "command"))
        }
        None => "does not answer".to_owned(),
    };
    format!(
        "{}  {:<16}  {:<18}  {:<7}  {:>6}  {:<15}  {}\n",
        record.id,
        record.name.as_deref().unwrap_or("-"),
        record.policy.access.name(),
        format!("net {}", network(record)),
        age(record),
        state,
        safe_line(&record.work_tree.to_string_lossy(), 80),
    )
}

/// A cell as `--json` tells it.
pub fn entry(record: &Record, stats: Option<&CellStats>) -> Value {
    json!({
        "id": record.id,
        "name": record.name,
        "state": if stats.is_some() { "running" } else { "not_answering" },
        "commands": stats.map(|stats| stats.commands),
        "work_tree": record.work_tree,
        "access": record.policy.access.name(),
        "network": network(record),
        "backend": record.backend,
        "keeper_pid": record.pid,
        "created": record.created,
        "idle_secs": record.idle_secs,
    })
}

fn network(record: &Record) -> &'static str {
    match record.policy.network {
        Network::None => "none",
        Network::Allow => "allow",
        Network::Open => "open",
    }
}

fn age(record: &Record) -> String {
    let age = jiff::Timestamp::now().duration_since(record.created);
    duration(age.as_secs().max(0).unsigned_abs())
}
