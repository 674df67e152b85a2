//! What holds for every patch and every text.
#![allow(clippy::unwrap_used, reason = "a test")]

use std::collections::BTreeMap;

use proptest::prelude::*;
use recto_patch::{FileOp, Hunk, HunkLine, edit, locate, parse, plan, shell_patch};

/// Few distinct lines, so that matches are likely and ambiguous.
fn line() -> impl Strategy<Value = String> {
    prop_oneof![
        Just(String::new()),
        Just("a".to_owned()),
        Just(" a ".to_owned()),
        Just("b".to_owned()),
        Just("@@ c".to_owned()),
        Just("*** End Patch".to_owned()),
        Just("“é” — x".to_owned()),
        "[ab \t\r-]{0,4}",
    ]
}

fn text() -> impl Strategy<Value = String> {
    let ending = prop_oneof![4 => Just("\n"), 1 => Just("\r\n"), 1 => Just("\r")];
    let lines = prop::collection::vec((line(), ending), 0..20);
    (lines, any::<bool>(), any::<bool>()).prop_map(|(lines, mark, ends)| {
        let mut text = String::from(if mark { "\u{feff}" } else { "" });
        lines
            .iter()
            .for_each(|(line, ending)| text += &format!("{line}{ending}"));
        if !ends {
            text.pop();
        }
        text
    })
}

fn hunk() -> impl Strategy<Value = Hunk> {
    let header = prop_oneof![
        4 => Just(None),
        1 => line().prop_map(Some),
        1 => (0..30usize, 0..3usize).prop_map(|(l, c)| Some(format!("-{l},{c} +{l},{c} @@"))),
    ];
    let change = (0..3, line()).prop_map(|(kind, line)| match kind {
        0 => HunkLine::Context(line),
        1 => HunkLine::Remove(line),
        _ => HunkLine::Add(line),
    });
    let lines = prop::collection::vec(change, 1..5);
    (header, lines, prop::bool::weighted(0.1)).prop_map(|(header, lines, at_end)| Hunk {
        header,
        lines,
        at_end,
    })
}

/// A piece of a patch: something that means something, or something that does not.
fn piece() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("*** Begin Patch\n".to_owned()),
        Just("*** End Patch\n".to_owned()),
        Just("*** Add File: f\n".to_owned()),
        Just("*** Add File: d/g\n".to_owned()),
        Just("*** Delete File: f\n".to_owned()),
        Just("*** Update File: f\n".to_owned()),
        Just("*** Update File: d/../g\n".to_owned()),
        Just("*** Move to: h\n".to_owned()),
        Just("*** Move to: f\n".to_owned()),
        Just("*** End of File\n".to_owned()),
        Just("@@\n".to_owned()),
        Just("@@ a\n".to_owned()),
        Just("@@ -1,2 +1 @@\n".to_owned()),
        line().prop_map(|line| format!("+{line}\n")),
        line().prop_map(|line| format!("-{line}\n")),
        line().prop_map(|line| format!(" {line}\n")),
        ".{0,9}\n?",
    ]
}

fn patch_text() -> impl Strategy<Value = String> {
    let pieces = prop::collection::vec(piece(), 0..12).prop_map(|pieces| pieces.concat());
    (pieces, prop::bool::weighted(0.8)).prop_map(|(body, whole)| {
        if whole {
            format!("*** Begin Patch\n{body}*** End Patch\n")
        } else {
            body
        }
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn untouched_lines_keep_their_bytes(
        before in text(),
        hunks in prop::collection::vec(hunk(), 1..4),
    ) {
        if let Ok(after) = edit(&before, &hunks) {
            let ranges = locate(&before, &hunks).unwrap();
            prop_assert!(kept(&before, &after, &ranges), "{before:?} {after:?} {ranges:?}");
        }
    }

    #[test]
    fn a_text_s_own_lines_are_found(before in text(), start in 0..20usize, count in 1..5usize) {
        let lines: Vec<_> = contents(&before);
        if lines.is_empty() {
            return Ok(());
        }
        let start = start % lines.len();
        let old = lines[start..].iter().take(count);
        let lines = old.map(|line| HunkLine::Context(line.to_string())).collect();
        let hunk = Hunk { lines, ..Hunk::default() };
        prop_assert_eq!(edit(&before, &[hunk]), Ok(before));
    }

    #[test]
    fn any_patch_leaves_other_files_alone(patch in patch_text(), f in text(), g in text()) {
        let files = BTreeMap::from([
            ("f".to_owned(), f.into_bytes()),
            ("g".to_owned(), g.into_bytes()),
            ("other".to_owned(), b"\xff\n".to_vec()),
        ]);
        if let Ok(patch) = parse(&patch)
            && let Ok(plan) = plan(&patch, &mut files.clone())
        {
            let named: Vec<&str> = patch.ops.iter().flat_map(paths).collect();
            for change in &plan.changes {
                prop_assert!(["f", "g", "h", "d/g"].contains(&change.path.as_str()));
                prop_assert!(named.iter().any(|name| name.ends_with(&change.path)));
            }
        }
    }

    #[test]
    fn any_command_can_be_asked(command in "(cd )?['\"a-z$ ]{0,6}( && )?apply_patch *<<.{0,30}\n.{0,9}\n.{0,9}") {
        if let Some(found) = shell_patch(&command) {
            prop_assert!(command.contains(found.patch));
        }
    }

    #[test]
    fn any_text_can_be_parsed(text in "\\PC{0,200}") {
        let _ = parse(&text);
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

/// The lines of a text with their endings.
fn whole_lines(text: &str) -> Vec<&str> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let terminator = if text.contains('\n') || !text.contains('\r') {
        '\n'
    } else {
        '\r'
    };
    text.split_inclusive(terminator).collect()
}

fn contents(text: &str) -> Vec<&str> {
    let cr_only = !text.contains('\n');
    let ending = if cr_only { "\r" } else { "\n" };
    whole_lines(text)
        .into_iter()
        .map(|line| {
            line.strip_suffix(ending).map_or(line, |line| {
                if cr_only {
                    line
                } else {
                    line.strip_suffix('\r').unwrap_or(line)
                }
            })
        })
        .collect()
}

/// Says whether the lines outside the ranges come in the new text in order and unchanged. The
/// last one may have got the ending it lacked.
fn kept(before: &str, after: &str, ranges: &[std::ops::Range<usize>]) -> bool {
    let mut rest = after.strip_prefix('\u{feff}').unwrap_or(after);
    before.starts_with('\u{feff}') == after.starts_with('\u{feff}')
        && whole_lines(before)
            .into_iter()
            .enumerate()
            .filter(|(number, _)| !ranges.iter().any(|range| range.contains(number)))
            .all(|(_, line)| match rest.find(line) {
                Some(at) => {
                    rest = &rest[at + line.len()..];
                    true
                }
                None => false,
            })
}
