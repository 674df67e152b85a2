//! Diffs and history.

use recto_workspace::git::{DiffOptions, FileStat, RunError};

use crate::common::{Fixture, plain_git};

#[tokio::test]
async fn patches_apply_and_numbers_fit() {
    let fixture = Fixture::new();
    fixture.write("text", "one\ntwo\n");
    fixture.write("moved", "a\nb\nc\nd\ne\n");
    fixture.write("binary", b"\0\x01");
    let base = fixture.commit("base");
    fixture.write("text", "one\n2\n3\n");
    fixture.git(&["mv", "moved", "new\nname"]);
    fixture.write("binary", b"\0\x02");
    fixture.write("ü", b"latin-1: \xe9\n");
    let mut trusted = fixture.trusted();
    let from = trusted.tree_of(&base).await.unwrap();
    let tree = trusted.work_tree_tree().await.unwrap().tree;

    let options = DiffOptions {
        binary: true,
        ..DiffOptions::default()
    };
    let diff = trusted.diff(&from, &tree, options).await.unwrap();
    assert!(!diff.truncated);
    let stat = |path: &str, old: Option<&str>, added, removed| FileStat {
        path: path.into(),
        old_path: old.map(Into::into),
        added,
        removed,
    };
    let expected = [
        stat("binary", None, None, None),
        stat("new\nname", Some("moved"), Some(0), Some(0)),
        stat("text", None, Some(2), Some(1)),
        stat("ü", None, Some(1), Some(0)),
    ];
    assert_eq!(diff.files, expected);
    assert!(diff.text().contains("-two\n+2\n+3\n"));
    assert!(
        diff.patch.windows(4).any(|bytes| bytes == b": \xe9\n"),
        "bytes stay"
    );

    // Applied to the base, it gives the tree.
    std::fs::write(fixture.dir.path().join("patch"), &diff.patch).unwrap();
    fixture.git(&["reset", "-q", "--hard", base.as_str()]);
    fixture.git(&["clean", "-qfd"]);
    fixture.git(&["apply", "../patch"]);
    assert_eq!(trusted.work_tree_tree().await.unwrap().tree, tree);

    let none = trusted
        .diff(&tree, &tree, DiffOptions::default())
        .await
        .unwrap();
    assert!(none.patch.is_empty() && none.files.is_empty());
}

#[tokio::test]
async fn a_large_patch_is_cut_at_a_line() {
    let fixture = Fixture::new();
    fixture.commit("base");
    fixture.write("large", "0123456789\n".repeat(500_000));
    let mut trusted = fixture.trusted();
    let tree = trusted.work_tree_tree().await.unwrap().tree;
    let options = DiffOptions {
        limit: 100_000,
        ..DiffOptions::default()
    };
    let diff = trusted
        .diff(&trusted.empty_tree(), &tree, options)
        .await
        .unwrap();
    assert!(diff.truncated);
    assert!(diff.patch.len() <= 100_000 && diff.patch.ends_with(b"\n"));
    assert_eq!(diff.files[0].added, Some(500_000));
}

#[tokio::test]
async fn attributes_hide_no_change() {
    let fixture = Fixture::new();
    fixture.write("text", "one\n");
    fixture.write(".gitattributes", "* -diff\n");
    let base = fixture.commit("base");
    fixture.write(".git/info/attributes", "* binary\n");
    fixture.write("text", "two\n");
    let mut trusted = fixture.trusted();
    let tree = trusted.work_tree_tree().await.unwrap().tree;
    let diff = trusted
        .diff(&base, &tree, DiffOptions::default())
        .await
        .unwrap();
    assert!(diff.text().contains("-one\n+two\n"), "{}", diff.text());
}

#[tokio::test]
async fn history() {
    let fixture = Fixture::new();
    let base = fixture.commit("base");
    fixture.commit("second\n\nwith a body");
    let head = fixture.commit("third: ü");
    let trusted = fixture.trusted();
    let log = trusted.log(Some(&base), &head, 100).await.unwrap();
    let subjects: Vec<&str> = log.iter().map(|commit| commit.subject.as_str()).collect();
    assert_eq!(subjects, ["third: ü", "second"]);
    assert_eq!(log[0].id, head);
    assert_eq!(trusted.log(None, &head, 100).await.unwrap().len(), 3);
    assert_eq!(trusted.log(None, &head, 1).await.unwrap().len(), 1);
    assert_eq!(trusted.log(Some(&head), &head, 1).await.unwrap(), []);
    // An empty subject is one, too.
    fixture.git(&[
        "commit",
        "-q",
        "--allow-empty",
        "--allow-empty-message",
        "-m",
        "",
    ]);
    let head = fixture.repository().head_commit().unwrap().unwrap();
    assert_eq!(
        trusted.log(Some(&base), &head, 9).await.unwrap()[0].subject,
        ""
    );
    let missing = recto_workspace::git::Oid::parse(&"0".repeat(40)).unwrap();
    assert!(matches!(
        trusted.log(None, &missing, 1).await,
        Err(RunError::Failed { .. })
    ));
}

#[tokio::test]
async fn history_of_a_shallow_repository_ends() {
    let fixture = Fixture::new();
    fixture.commit("one");
    fixture.commit("two");
    let url = format!("file://{}", fixture.repo().display());
    let clone = ["clone", "-q", "--depth=1", &url, "shallow"];
    assert!(
        plain_git(fixture.dir.path(), fixture.dir.path(), &clone)
            .status
            .success()
    );
    let found = recto_workspace::git::discover(&fixture.dir.path().join("shallow")).unwrap();
    let trusted = recto_workspace::git::Trusted::temporary(
        &crate::common::git(),
        found.as_ref().unwrap(),
        recto_workspace::git::OpenOptions::default(),
    )
    .unwrap();
    let head = found.unwrap().head_commit().unwrap().unwrap();
    assert_eq!(trusted.log(None, &head, 100).await.unwrap().len(), 1);
}
