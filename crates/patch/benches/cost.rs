//! What large edits take. `cargo xtask bench parts` runs it.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a measurement")]

use std::time::Instant;

use recto_patch::{Hunk, HunkLine, edit};

fn main() {
    let lines = |line: &dyn Fn(usize) -> String| (0..20_000).map(line).collect::<Vec<_>>();
    let exact = lines(&|n| format!("    let value_{n} = {n};"));
    time("200 hunks in 20,000 lines", &exact, &exact);
    let tabs = lines(&|n| format!("\tlet value_{n} = “{n}”;"));
    let plain = lines(&|n| format!("  let value_{n} = \"{n}\";"));
    time("200 hunks that match loosely", &tabs, &plain);
}

/// The median of some edits of a text, each of which replaces three lines in a hundred.
fn time(what: &str, text: &[String], old: &[String]) {
    let text = text.join("\n") + "\n";
    let hunks: Vec<Hunk> = (0..200)
        .map(|n| {
            let lines = old[n * 100..n * 100 + 3].iter().cloned();
            let mut lines: Vec<_> = lines.map(HunkLine::Remove).collect();
            lines.push(HunkLine::Add("    changed();".to_owned()));
            Hunk {
                lines,
                ..Hunk::default()
            }
        })
        .collect();
    let mut times: Vec<_> = (0..20)
        .map(|_| {
            let started = Instant::now();
            edit(&text, &hunks).unwrap();
            started.elapsed()
        })
        .collect();
    times.sort();
    println!("{what:<40} median {:?}, worst {:?}", times[10], times[19]);
}
