//! What an update does to a text, case by case.
#![allow(clippy::unwrap_used, reason = "a test")]

use std::collections::BTreeMap;

use recto_patch::{ApplyError, ChangeKind, FileOp, Hunk, edit, locate, parse, plan};

fn hunks(changes: &str) -> Vec<Hunk> {
    let patch = format!("*** Begin Patch\n*** Update File: f\n{changes}*** End Patch\n");
    let ops = parse(&patch).unwrap().ops;
    match ops.into_iter().next() {
        Some(FileOp::Update { hunks, .. }) => hunks,
        other => panic!("{other:?}"),
    }
}

fn check(before: &str, changes: &str, after: &str) {
    assert_eq!(
        edit(before, &hunks(changes)).as_deref(),
        Ok(after),
        "{before:?} {changes:?}"
    );
}

/// Checks the whole error and its hint.
fn check_error(before: &str, changes: &str, message: &str, hint: &str) {
    let patch = format!("*** Begin Patch\n*** Update File: f\n{changes}*** End Patch\n");
    let mut files = BTreeMap::from([("f".to_owned(), before.as_bytes().to_vec())]);
    let error = plan(&parse(&patch).unwrap(), &mut files).unwrap_err();
    assert_eq!(error.to_string(), message);
    assert_eq!(error.hint().unwrap_or_default(), hint);
}

#[test]
fn a_missing_final_newline_stays_missing() {
    check("a\nb", "@@\n-a\n+A\n", "A\nb");
    check("a\nb", "@@\n-b\n+B\n", "a\nB");
    check("a\nb", "@@\n-b\n+B\n+C\n", "a\nB\nC");
    check("a\nb", "@@\n+B\n-b\n", "a\nB");
    check("a\r\nb", "@@\n-b\n+B\n", "a\r\nB");
    check("a\nb", "@@\n-b\n", "a\n");
    check("a", "@@\n-a\n", "");
}

#[test]
fn lines_after_the_last_one_end_it() {
    check("a\nb", "@@\n b\n+c\n", "a\nb\nc\n");
    check("a\nb", "@@\n+c\n", "a\nb\nc\n");
    check("a\nb", "@@\n-b\n+B\n@@\n+c\n", "a\nB\nc\n");
    check("a\r\nb", "@@\n+c\n", "a\r\nb\r\nc\r\n");
    check("", "@@\n+c\n", "c\n");
    check("a", "@@\n+c\n", "a\nc\n");
}

#[test]
fn every_line_keeps_its_own_ending() {
    check("a\r\nb\nc\r\n", "@@\n-b\n+B\n+B2\n", "a\r\nB\nB2\nc\r\n");
    check("a\r\nb\nc\n", "@@\n a\n+x\n b\n", "a\r\nx\r\nb\nc\n");
    check(
        "a\nb\r\nc\n",
        "@@\n-a\n-b\n+A\n+B\n+C\n",
        "A\nB\r\nC\r\nc\n",
    );
    check(
        "a\r\nb\r\n",
        "@@ -0,0 +1 @@\n+first\n",
        "first\r\na\r\nb\r\n",
    );
    check("a\rb\r", "@@\n-b\n+B\n+C\n", "a\rB\rC\r");
}

#[test]
fn near_matches_keep_the_file_s_bytes() {
    check("  a  \nb\n", "@@\n a\n-b\n+B\n", "  a  \nB\n");
    check("“a” — x\nb\n", "@@\n \"a\" - x\n-b\n+B\n", "“a” — x\nB\n");
    check("a \nb\na\nb\n", "@@\n a\n-b\n+B\n", "a \nb\na\nB\n");
}

#[test]
fn a_byte_order_mark_is_skipped_and_kept() {
    check("\u{feff}a\nb\n", "@@\n-a\n+A\n", "\u{feff}A\nb\n");
    check("\u{feff}a\n", "@@ -0,0 +1 @@\n+x\n", "\u{feff}x\na\n");
}

#[test]
fn headers_and_numbers() {
    check("a\nx\nb\nx\n", "@@ b\n-x\n+X\n", "a\nx\nb\nX\n");
    check("a\nb\n", "@@ a\n+x\n", "a\nx\nb\n");
    check("a\nb\nc\n", "@@ a\n+x\n@@ b\n+y\n", "a\nx\nb\ny\nc\n");
    check("a\nb\nc\n", "@@ a\n+x\n*** End of File\n", "a\nb\nc\nx\n");
    check(
        "x\n1\nx\n2\nx\n",
        "@@ -3 +3 @@\n-x\n+X\n",
        "x\n1\nX\n2\nx\n",
    );
    check(
        "x\n1\nx\n2\nx\n",
        "@@ -90,1 +90,1 @@ fn f()\n-x\n+X\n",
        "x\n1\nx\n2\nX\n",
    );
    check("a\nb\nc\n", "@@ -2,0 +3,1 @@\n+x\n", "a\nb\nx\nc\n");
    check(
        "a\n-1 +1 @@\nx\n",
        "@@ -1 +1 @@\n-x\n+X\n",
        "a\n-1 +1 @@\nX\n",
    );
    check("a\n\nb\n", "@@ \n-a\n+A\n", "A\n\nb\n");
}

#[test]
fn several_hunks() {
    check("a\nb\nc\nd\n", "@@\n-a\n+A\n@@\n-d\n+D\n", "A\nb\nc\nD\n");
    check("a\nb\n", "@@\n+end\n@@\n-a\n+A\n", "A\nb\nend\n");
    check("a\nb\n", "-a\n+A\n\n@@\n+c\n", "A\nb\nc\n");
    check(
        "a\na\na\n",
        "@@\n-a\n+1\n@@\n-a\n+2\n@@\n-a\n+3\n",
        "1\n2\n3\n",
    );
}

#[test]
fn blank_lines_the_file_does_not_have() {
    check("a\n", "@@\n-a\n+A\n\n\n", "A\n");
    check("a\n", "@@\n a\n \n+b\n", "a\n\nb\n");
    check("a\n\nb\n", "@@\n+c\n\n", "a\n\nb\nc\n");
}

#[test]
fn edited_ranges_are_told() {
    let found = locate("a\nb\nc\n", &hunks("@@\n+end\n@@\n b\n-c\n")).unwrap();
    assert_eq!(found, [1..3, 3..3]);
}

#[test]
fn errors_come_with_hints() {
    let lines = |lines| format!("Failed to find expected lines in f:\n{lines}");
    check_error(
        "a\nb\n",
        "@@\n-b\n+B\n@@\n-a\n+A\n",
        &lines("a"),
        "The lines are at line 1, before the hunk above ends; put hunks in the file's order.",
    );
    check_error(
        "a\nb\n",
        "@@\n-a\n+A\n*** End of File\n",
        &lines("a"),
        "The lines are at line 1, which is not the end of the file; leave out `*** End of File`.",
    );
    check_error(
        "a\nB\nc\n",
        "@@\n a\n-b\n+B\n",
        &lines("a\nb"),
        "The lines the patch would leave are at line 1 already; it may have been applied.",
    );
    check_error(
        "z\na\nx\nc\n",
        "@@\n a\n-b\n+B\n",
        &lines("a\nb"),
        "The closest place is line 2: line 3 is `x`, where the patch expects `b`.",
    );
    check_error(
        "z\na",
        "@@\n a\n-b\n+B\n",
        &lines("a\nb"),
        "The closest place is line 2: the file ends where the patch expects `b`.",
    );
    check_error(
        "z\n",
        "@@\n-q\n+Q\n",
        &lines("q"),
        "No line of the file says `q`.",
    );
    check_error(
        "pub fn f() {\n",
        "@@ fn f()\n-q\n+Q\n",
        "Failed to find context 'fn f()' in f",
        "A `@@` line must be a whole line of the file; line 1 contains it: `pub fn f() {`",
    );
}

#[test]
fn parse_errors_name_the_line() {
    let check = |body: &str, message: &str| {
        let patch = format!("*** Begin Patch\n{body}*** End Patch\n");
        assert_eq!(parse(&patch).unwrap_err().to_string(), message);
    };
    let header = |line, found| {
        format!(
            "Invalid patch hunk on line {line}: '{found}' is not a valid hunk header. Valid hunk \
             headers: '*** Add File: {{path}}', '*** Delete File: {{path}}', '*** Update File: \
             {{path}}'"
        )
    };
    check("*** Add File: a\n+x\n\n+y\n", &header(4, ""));
    check("*** Frob File: a\n", &header(2, "*** Frob File: a"));
    check(
        "*** Update File: a\n@@\n-x\n*** Frob\n",
        &header(5, "*** Frob"),
    );
    check(
        "*** Update File: a\n@@\n*** Delete File: b\n",
        "Invalid patch hunk on line 4: Update hunk does not contain any lines",
    );
    let not_a_change = |line, found| {
        format!(
            "Invalid patch hunk on line {line}: Unexpected line found in update hunk: '{found}'. \
             Every line should start with ' ' (context line), '+' (added line), or '-' (removed \
             line)"
        )
    };
    check(
        "*** Update File: a\n@@ class A\n@@ def f\n-x\n",
        &not_a_change(4, "@@ def f"),
    );
    check("*** Update File: a\nhello\n", &not_a_change(3, "hello"));
    check(
        "*** Update File: a\n@@\n-x\nhello\n",
        "Invalid patch hunk on line 5: Expected update hunk to start with a @@ context marker, \
         got: 'hello'",
    );
}

#[test]
fn lenient_parsing() {
    let patch = "*** Begin Patch\n*** Environment ID: x\n\n*** Add File: a\n\n  *** Delete File: \
                 b \n*** Update File: c\n*** Move to: d\n*** End Patch";
    let ops = parse(patch).unwrap().ops;
    assert_eq!(
        ops,
        [
            FileOp::Add {
                path: "a".into(),
                contents: String::new()
            },
            FileOp::Delete { path: "b".into() },
            FileOp::Update {
                path: "c".into(),
                move_to: Some("d".into()),
                hunks: vec![]
            },
        ]
    );
}

fn planned(files: &[(&str, &str)], body: &str) -> Result<Vec<(String, ChangeKind)>, ApplyError> {
    let mut files = files
        .iter()
        .map(|(path, text)| (path.to_string(), text.as_bytes().to_vec()))
        .collect::<BTreeMap<_, _>>();
    let patch = parse(&format!("*** Begin Patch\n{body}*** End Patch\n")).unwrap();
    let plan = plan(&patch, &mut files)?;
    Ok(plan
        .changes
        .into_iter()
        .map(|change| (change.path, change.kind))
        .collect())
}

#[test]
fn later_operations_see_earlier_ones() {
    let files = [("f", "a\n")];
    let moved = |from: &str| ChangeKind::Move { from: from.into() };
    let check = |body, expected: &[(&str, ChangeKind)]| {
        let expected: Vec<_> = expected
            .iter()
            .map(|(p, k)| (p.to_string(), k.clone()))
            .collect();
        assert_eq!(planned(&files, body), Ok(expected), "{body}");
    };
    check(
        "*** Delete File: f\n*** Add File: ./f\n+x\n",
        &[("f", ChangeKind::Add)],
    );
    check("*** Add File: n\n+x\n*** Delete File: n\n", &[]);
    check("*** Add File: f\n+x\n", &[("f", ChangeKind::Update)]);
    check(
        "*** Update File: f\n*** Move to: g\n*** Update File: g\n*** Move to: h\n",
        &[("f", ChangeKind::Delete), ("h", moved("f"))],
    );
    check(
        "*** Update File: f\n*** Move to: g\n*** Update File: g\n*** Move to: f\n",
        &[("f", ChangeKind::Update)],
    );
    check(
        "*** Update File: f\n*** Move to: g\n*** Add File: f\n+new\n",
        &[("f", ChangeKind::Add), ("g", moved("f"))],
    );
}

#[test]
fn one_name_cannot_be_file_and_directory() {
    for body in [
        "*** Add File: d\n+x\n*** Add File: d/x\n+x\n",
        "*** Add File: d/x\n+x\n*** Add File: d\n+x\n",
        "*** Delete File: f\n*** Add File: f/x\n+x\n",
        "*** Update File: f\n*** Move to: f/g\n",
    ] {
        let result = planned(&[("f", "a\n")], body);
        assert!(
            matches!(result, Err(ApplyError::Write { .. })),
            "{body}: {result:?}"
        );
    }
}

#[test]
fn oversized_patches_are_turned_down() {
    let patch = "x".repeat(recto_patch::MAX_PATCH_BYTES + 1);
    let message = parse(&patch).unwrap_err().to_string();
    assert_eq!(
        message,
        "Invalid patch: it has 10485761 bytes, and the limit is 10485760"
    );
}
