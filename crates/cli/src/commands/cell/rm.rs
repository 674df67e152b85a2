//! `recto cell rm`: ends kept cells.

use serde_json::json;

use super::super::print;
use crate::args::RmArgs;
use crate::compose::cells::{Cells, Kept, Record};
use crate::exit::{DONE, Failure};

/// Ends the cells. All are found before the first is ended, and end side by side.
pub fn run(cells: &Cells, args: &RmArgs) -> Result<u8, Failure> {
    let mut found: Vec<Kept> = if args.all {
        cells.list()?
    } else {
        let named = args.names.iter().map(|name| cells.find(name));
        named.collect::<Result<_, _>>()?
    };
    found.sort_by(|a, b| a.record.id.cmp(&b.record.id));
    found.dedup_by(|a, b| a.record.id == b.record.id);
    let ending = found
        .into_iter()
        .map(Kept::end)
        .collect::<Result<Vec<_>, _>>()?;
    let mut removed: Vec<Record> = Vec::new();
    for ending in ending {
        let record = ending.wait()?;
        if !args.json {
            print(&format!("removed {}\n", record.label()))?;
        }
        removed.push(record);
    }
    if args.json {
        let ids: Vec<&str> = removed.iter().map(|record| record.id.as_str()).collect();
        print(&format!("{}\n", json!({ "removed": ids })))?;
    }
    Ok(DONE)
}
