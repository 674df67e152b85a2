//! Large and hostile inputs cost little work: the crate counts its comparisons and stops at a
//! hundred million. A quadratic search among equal lines would need thousands of millions.
//! `benches/cost.rs` tells times.
#![allow(clippy::unwrap_used, reason = "a test")]

use recto_patch::{Hunk, HunkLine, MatchError, edit};

fn replace(old: &[String], new: &str) -> Hunk {
    let mut lines: Vec<_> = old.iter().cloned().map(HunkLine::Remove).collect();
    lines.push(HunkLine::Add(new.to_owned()));
    Hunk {
        lines,
        ..Hunk::default()
    }
}

#[test]
fn two_hundred_hunks_in_a_large_file() {
    let lines: Vec<String> = (0..20_000)
        .map(|n| format!("    let value_{n} = {n};"))
        .collect();
    let text = lines.join("\n") + "\n";
    let hunks: Vec<_> = (0..200)
        .map(|n| replace(&lines[n * 100..n * 100 + 3], "    changed();"))
        .collect();
    let after = edit(&text, &hunks).unwrap();
    assert_eq!(after.lines().count(), 20_000 - 400);
}

#[test]
fn two_hundred_hunks_that_match_only_loosely() {
    let lines: Vec<String> = (0..20_000)
        .map(|n| format!("\tlet value_{n} = “{n}”;"))
        .collect();
    let text = lines.join("\n") + "\n";
    let plain: Vec<String> = (0..20_000)
        .map(|n| format!("  let value_{n} = \"{n}\";"))
        .collect();
    let hunks: Vec<_> = (0..200)
        .map(|n| replace(&plain[n * 100..n * 100 + 3], "x"))
        .collect();
    edit(&text, &hunks).unwrap();
}

#[test]
fn equal_lines_do_not_make_it_quadratic() {
    let text = "a\n".repeat(200_000);
    let mut old = vec!["a".to_owned(); 100_000];
    old.push("b".to_owned());
    let result = edit(&text, &[replace(&old, "x")]);
    assert!(matches!(result, Err(MatchError::Lines { .. })));
    let text = "a\n".repeat(200_000) + "b\n";
    edit(&text, &[replace(&old, "x")]).unwrap();
}

#[test]
fn hostile_hunks_run_out_of_work() {
    // Each hunk matches at the front only loosely, after a strict search through everything.
    let text = " a\n".repeat(50_000) + &"b\na\nc\n".repeat(50_000);
    let old = ["a".to_owned(), "a".to_owned()];
    let hunks = vec![replace(&old, "x"); 20_000];
    let result = edit(&text, &hunks);
    assert!(
        matches!(result, Err(MatchError::TooMuchWork(_))),
        "{:?}",
        result.map(|t| t.len())
    );
}
