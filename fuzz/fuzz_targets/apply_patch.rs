//! Any patch on any file: no panic, and nothing but what the patch names is touched.
//!
//! The input is a patch, a NUL byte, and the text of the file `f`. The file `other` holds bytes
//! that are not UTF-8 and must come out as they are unless the patch names it.
#![no_main]

use std::collections::BTreeMap;
use std::ops::Range;

use libfuzzer_sys::fuzz_target;
use recto_patch::{ChangeKind, FileOp, Patch, edit, locate, normalise, parse, plan, shell_patch};

fuzz_target!(|input: &[u8]| {
    let cut = input
        .iter()
        .position(|&byte| byte == 0)
        .unwrap_or(input.len());
    let (patch, text) = (&input[..cut], input.get(cut + 1..).unwrap_or_default());
    let Ok(patch) = std::str::from_utf8(patch) else {
        return;
    };
    if let Some(found) = shell_patch(patch) {
        assert!(patch.contains(found.patch));
    }
    let Ok(patch) = parse(patch) else { return };
    check_plan(&patch, text);
    if let Ok(text) = std::str::from_utf8(text) {
        check_edits(&patch, text);
    }
});

fn check_plan(patch: &Patch, text: &[u8]) {
    let other = b"\xff\xfe".to_vec();
    let mut files = BTreeMap::from([("f".into(), text.to_vec()), ("other".into(), other.clone())]);
    let Ok(plan) = plan(patch, &mut files) else {
        return;
    };
    let named: Vec<String> = patch
        .ops
        .iter()
        .flat_map(paths)
        .filter_map(normalise)
        .collect();
    for change in &plan.changes {
        assert!(named.contains(&change.path), "{change:?}");
        assert_eq!(change.after.is_none(), change.kind == ChangeKind::Delete);
        if let ChangeKind::Move { from } = &change.kind {
            assert!(named.contains(from));
        }
    }
    assert!(plan.summary().starts_with("Success."));
}

fn check_edits(patch: &Patch, text: &str) {
    for op in &patch.ops {
        let FileOp::Update { hunks, .. } = op else {
            continue;
        };
        let Ok(after) = edit(text, hunks) else {
            continue;
        };
        let ranges = locate(text, hunks).expect("what was edited was located");
        check_kept(text, &after, &ranges);
    }
}

fn paths(op: &FileOp) -> Vec<&str> {
    match op {
        FileOp::Add { path, .. } | FileOp::Delete { path } => vec![path],
        FileOp::Update { path, move_to, .. } => std::iter::once(path.as_str())
            .chain(move_to.as_deref())
            .collect(),
    }
}

/// Checks that the runs of lines outside the ranges come in the new text, in order and unchanged:
/// the first one at its start, the last one at its end.
fn check_kept(before: &str, after: &str, ranges: &[Range<usize>]) {
    let (before, marked) = unmark(before);
    let (after, still_marked) = unmark(after);
    assert_eq!(marked, still_marked);
    let terminator = if before.contains('\n') || !before.contains('\r') {
        '\n'
    } else {
        '\r'
    };
    let lines: Vec<&str> = before.split_inclusive(terminator).collect();
    let mut rest = after;
    let mut at = 0;
    for (number, range) in ranges.iter().enumerate() {
        let run = lines[at..range.start].concat();
        let found = if number == 0 {
            rest.starts_with(&run).then_some(0)
        } else {
            rest.find(&run)
        };
        let found = found.expect("a run of untouched lines is in the new text");
        rest = &rest[found + run.len()..];
        at = range.end;
    }
    assert!(rest.ends_with(&lines[at..].concat()));
}

fn unmark(text: &str) -> (&str, bool) {
    match text.strip_prefix('\u{feff}') {
        Some(text) => (text, true),
        None => (text, false),
    }
}
