//! `recto cell stats`: what kept cells take.

use std::time::Duration;

use futures_util::future::join_all;
use recto_protocol::ports::cell::CellStats;
use serde_json::{Value, json};

use super::super::{block_on, print};
use super::ls::entry;
use crate::compose::cells::{Cells, Kept, Record};
use crate::exit::{DONE, Failure};
use crate::output::safe::safe;

/// How long a cell may take to answer.
const PATIENCE: Duration = Duration::from_secs(2);

/// Prints what one cell takes, or each.
pub fn run(cells: &Cells, name: Option<&str>, as_json: bool) -> Result<u8, Failure> {
    let kept = match name {
        Some(name) => vec![cells.find(name)?],
        None => cells.list()?,
    };
    let found = block_on(measure(kept))?;
    let text = if as_json {
        let entries: Vec<Value> = found
            .iter()
            .map(|(record, stats)| with_numbers(record, stats.as_ref()))
            .collect();
        format!("{}\n", json!(entries))
    } else if found.is_empty() {
        "no cells; `recto cell new` makes one\n".to_owned()
    } else {
        let texts = found
            .iter()
            .map(|(record, stats)| told(record, stats.as_ref()));
        safe(&texts.collect::<Vec<_>>().join("\n"))
    };
    print(&text)?;
    Ok(DONE)
}

/// Asks each cell what it takes; none of those that don't answer.
pub async fn measure(kept: Vec<Kept>) -> Result<Vec<(Record, Option<CellStats>)>, Failure> {
    let asked = kept.into_iter().map(|kept| async move {
        let stats = async {
            let cell = kept.connect().await.ok()?;
            let stats = cell.stats().await.ok();
            cell.close().await;
            stats
        };
        let stats = tokio::time::timeout(PATIENCE, stats).await;
        (kept.record, stats.ok().flatten())
    });
    Ok(join_all(asked).await)
}

fn with_numbers(record: &Record, stats: Option<&CellStats>) -> Value {
    let mut entry = entry(record, stats);
    if let (Some(entry), Some(stats)) = (entry.as_object_mut(), stats) {
        for (key, value) in [
            ("processes", stats.processes.into()),
            ("memory_bytes", stats.memory),
            ("own_memory_bytes", stats.own_memory),
            ("cpu_ms", stats.cpu_ms),
            ("written_bytes", stats.written),
            ("uptime_ms", stats.uptime_ms),
        ] {
            entry.insert(key.to_owned(), value.into());
        }
    }
    entry
}

fn told(record: &Record, stats: Option<&CellStats>) -> String {
    let label = record.label();
    let Some(stats) = stats else {
        return format!("{label} does not answer\n");
    };
    format!(
        "{label}\n  commands   {}\n  processes  {}\n  memory     {} (of which the cell's own {})\n  \
         cpu        {:.2} s\n  written    {}\n  up         {}\n",
        stats.commands,
        stats.processes,
        bytes(stats.memory),
        bytes(stats.own_memory),
        Duration::from_millis(stats.cpu_ms).as_secs_f64(),
        bytes(stats.written),
        duration(stats.uptime_ms / 1000),
    )
}

/// A number of bytes for people.
pub fn bytes(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    let mut size = bytes as f64;
    let mut unit = "B";
    for next in UNITS {
        if size < 1024.0 {
            break;
        }
        size /= 1024.0;
        unit = next;
    }
    if unit == "B" || size.fract() == 0.0 {
        format!("{size:.0} {unit}")
    } else {
        format!("{size:.1} {unit}")
    }
}

/// Seconds for people.
pub fn duration(secs: u64) -> String {
    match secs {
        0..60 => format!("{secs} s"),
        60..3600 => format!("{} min", secs / 60),
        3600..86_400 => format!("{} h", secs / 3600),
        _ => format!("{} d", secs / 86_400),
    }
}
