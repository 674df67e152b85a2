//! Checkpoints hold what plain git would add, and nothing of the repository changes.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::time::Duration;

use recto_workspace::git::{
    CheckpointError, Git, OpenOptions, RunError, Seed, SkipReason, Trusted,
};

use crate::common::{Fixture, git};

fn filled() -> Fixture {
    let fixture = Fixture::new();
    for path in [
        "a.txt",
        "dir/b.txt",
        "dir/deep/c.txt",
        "gone.txt",
        "becomes-dir",
        "kept.log",
    ] {
        fixture.write(path, format!("{path}\n"));
    }
    fixture.write("run.sh", "#!/bin/sh\n");
    symlink("a.txt", fixture.repo().join("link")).unwrap();
    fixture.commit("base");
    // Ignored, though one such file is tracked.
    fixture.write(".gitignore", "*.log\nbuild/\n");
    fixture.commit("ignore");
    fixture
}

fn change(fixture: &Fixture) {
    let repo = fixture.repo();
    fixture.write("a.txt", "changed\n");
    fs::remove_file(repo.join("gone.txt")).unwrap();
    fs::remove_file(repo.join("becomes-dir")).unwrap();
    fixture.write("becomes-dir/file", "x");
    fs::remove_dir_all(repo.join("dir/deep")).unwrap();
    fixture.write("dir/deep", "a file now");
    fixture.write("new/ü/file", "new");
    fixture.write("build/out", "ignored");
    fixture.write("new.log", "ignored");
    fixture.write("kept.log", "tracked, so not ignored");
    fixture.write("bytes", b"\0\xff\x01");
    fs::set_permissions(repo.join("run.sh"), fs::Permissions::from_mode(0o755)).unwrap();
    fs::remove_file(repo.join("link")).unwrap();
    symlink("/etc/passwd", repo.join("link")).unwrap();
    for name in [
        &b"-rf"[..],
        b"new\nline",
        b"\xff\xfe",
        b"tab\t\"quote\"",
        b"back\\slash",
        b" ",
        b":(top)x",
    ] {
        fixture.write(Path::new(OsStr::from_bytes(name)), "weird");
    }
}

#[tokio::test]
async fn hold_what_plain_git_would_add() {
    for seed in [Seed::Index, Seed::Head] {
        let fixture = filled();
        let mut trusted = fixture.trusted_with(OpenOptions {
            seed,
            ..OpenOptions::default()
        });
        let before = trusted.work_tree_tree().await.unwrap();
        assert_eq!(before.tree, fixture.plain_tree());
        assert!(
            trusted
                .status_clean(&fixture.repository().head().unwrap())
                .await
                .unwrap()
        );

        change(&fixture);
        let after = trusted.work_tree_tree().await.unwrap();
        assert_eq!(after.skipped, []);
        assert_eq!(
            after.tree,
            fixture.plain_tree(),
            "{:?}",
            fixture.names(&trusted, &after)
        );
        assert!(
            !trusted
                .status_clean(&fixture.repository().head().unwrap())
                .await
                .unwrap()
        );

        fixture.git(&["reset", "-q", "--hard"]);
        fixture.git(&["clean", "-qfd"]);
        assert_eq!(trusted.work_tree_tree().await.unwrap().tree, before.tree);
    }
}

#[tokio::test]
async fn seeded_from_every_form_of_index() {
    for setting in ["2", "3", "4"] {
        let fixture = filled();
        fixture.git(&["config", "index.version", setting]);
        fixture.git(&["update-index", "--index-version", setting]);
        // Makes a version 3 index of one that may be.
        fixture.write("intended", "i");
        fixture.git(&["add", "--intent-to-add", "intended"]);
        change(&fixture);
        assert_eq!(
            fixture.trusted().work_tree_tree().await.unwrap().tree,
            fixture.plain_tree()
        );
    }
    for setting in [
        "core.splitIndex",
        "core.untrackedCache",
        "feature.manyFiles",
        "index.skipHash",
    ] {
        let fixture = filled();
        fixture.git(&["config", setting, "true"]);
        fixture.git(&["update-index", "--refresh"]);
        if setting == "core.splitIndex" {
            fixture.git(&["update-index", "--split-index"]);
        }
        change(&fixture);
        let tree = fixture.trusted().work_tree_tree().await.unwrap().tree;
        assert_eq!(tree, fixture.plain_tree(), "{setting}");
    }
}

#[tokio::test]
async fn marks_in_the_index_hide_nothing() {
    let fixture = filled();
    let index = |args: &[&str]| fixture.git(&[&["update-index"], args].concat());
    index(&["--assume-unchanged", "a.txt"]);
    index(&["--skip-worktree", "dir/b.txt"]);
    fixture.write("a.txt", "hidden?");
    fixture.write("dir/b.txt", "hidden?");
    let mut trusted = fixture.trusted();
    let tree = trusted.work_tree_tree().await.unwrap().tree;
    fixture.git(&["update-index", "--no-assume-unchanged", "a.txt"]);
    fixture.git(&["update-index", "--no-skip-worktree", "dir/b.txt"]);
    assert_eq!(tree, fixture.plain_tree());
}

#[tokio::test]
async fn what_a_sparse_checkout_left_out_stays() {
    let fixture = filled();
    fixture.git(&["sparse-checkout", "set", "--no-cone", "/a.txt", "/new/"]);
    assert!(!fixture.repo().join("dir/b.txt").exists());
    let mut trusted = fixture.trusted();
    let head = fixture.repository().head().unwrap();
    assert!(trusted.status_clean(&head).await.unwrap());
    // Made by hand where the checkout has none: it counts.
    fixture.write("dir/b.txt", "made");
    assert!(!trusted.status_clean(&head).await.unwrap());
}

#[tokio::test]
async fn a_damaged_index_is_not_needed() {
    for bytes in [
        &b""[..],
        b"DIRC",
        b"DIRC\0\0\0\x02\xff\xff\xff\xff",
        b"garbage that is long enough to be cut",
    ] {
        let fixture = filled();
        fs::write(fixture.repo().join(".git/index"), bytes).unwrap();
        let tree = fixture.trusted().work_tree_tree().await.unwrap().tree;
        assert_eq!(tree, fixture.plain_tree());
    }
}

#[tokio::test]
async fn without_any_commit() {
    for format in ["sha1", "sha256"] {
        let fixture = Fixture::init(&["--object-format", format]);
        let head = fixture.repository().head().unwrap();
        let mut trusted = fixture.trusted();
        assert!(trusted.status_clean(&head).await.unwrap(), "{format}");
        fixture.write("a", "x");
        assert!(!trusted.status_clean(&head).await.unwrap());
        let commit = fixture.commit("one");
        let tree = trusted.work_tree_tree().await.unwrap().tree;
        assert_eq!(trusted.tree_of(&commit).await.unwrap(), tree);
        // Opened when there is a commit, too.
        assert_eq!(fixture.trusted().work_tree_tree().await.unwrap().tree, tree);
    }
}

#[tokio::test]
async fn in_the_middle_of_a_merge() {
    let fixture = filled();
    fixture.git(&["checkout", "-q", "-b", "side"]);
    fixture.write("a.txt", "side\n");
    fixture.commit("side");
    fixture.git(&["checkout", "-q", "main"]);
    fixture.write("a.txt", "main\n");
    fixture.commit("main");
    assert!(!fixture.plain(&["merge", "side"]).status.success());
    assert_eq!(
        fixture.trusted().work_tree_tree().await.unwrap().tree,
        fixture.plain_tree()
    );
}

#[tokio::test]
async fn the_repository_stays_as_it_is() {
    let fixture = filled();
    change(&fixture);
    let listing = || {
        let output = std::process::Command::new("sh")
            // Without the times of objects: git renews those that it would have written itself.
            .args(["-c", "find . -path './objects/??/*' -printf '%p %s %m\\n' \
                          -o -printf '%p %s %T@ %C@ %m\\n' | sort; find . -type f | sort | xargs cksum"])
            .current_dir(fixture.repo().join(".git"))
            .output()
            .unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let before = listing();
    fixture.trusted().work_tree_tree().await.unwrap();
    assert_eq!(listing(), before);
}

#[tokio::test]
async fn skipped_paths_are_named() {
    let fixture = filled();
    let mut trusted = fixture.trusted_with(OpenOptions {
        max_file_bytes: 1000,
        ..OpenOptions::default()
    });
    fixture.write("big", vec![b'x'; 1001]);
    fixture.write("fits", vec![b'x'; 1000]);
    fixture.write("nested/file", "x");
    crate::common::plain_git(
        &fixture.repo().join("nested"),
        fixture.dir.path(),
        &["init", "-q"],
    );
    fs::remove_file(fixture.repo().join("a.txt")).unwrap();
    let fifo = |name: &str| {
        let (path, mode) = (
            fixture.repo().join(name),
            rustix::fs::Mode::from_raw_mode(0o600),
        );
        rustix::fs::mknodat(rustix::fs::CWD, path, rustix::fs::FileType::Fifo, mode, 0).unwrap();
    };
    fifo("a.txt");
    fifo("untracked-fifo");
    let checkpoint = trusted.work_tree_tree().await.unwrap();
    let mut skipped: Vec<_> = checkpoint
        .skipped
        .iter()
        .map(|s| (s.path.to_str().unwrap(), s.reason))
        .collect();
    skipped.sort_by_key(|(path, _)| *path);
    let expected = [
        ("a.txt", SkipReason::Special),
        ("big", SkipReason::TooLarge),
        ("nested/", SkipReason::Repository),
    ];
    assert_eq!(skipped, expected);
    assert!(
        fixture
            .names(&trusted, &checkpoint)
            .contains(&"fits".to_owned())
    );
}

#[tokio::test]
async fn a_kept_directory_is_opened_again() {
    let fixture = filled();
    let dir = fixture.dir.path().join("trusted");
    let open = || Trusted::open(&git(), &fixture.repository(), &dir, OpenOptions::default());
    change(&fixture);
    let tree = open().unwrap().work_tree_tree().await.unwrap().tree;
    // A killed call leaves its lock.
    fs::write(dir.join("index.lock"), "").unwrap();
    let mut trusted = open().unwrap();
    assert_eq!(trusted.work_tree_tree().await.unwrap().tree, tree);
    fixture.write("later", "x");
    assert_ne!(trusted.work_tree_tree().await.unwrap().tree, tree);
    assert_eq!(
        fs::metadata(&dir).unwrap().permissions().mode() & 0o777,
        0o700
    );
}

#[tokio::test]
async fn users_and_repositories_lists_of_ignored_files() {
    let fixture = filled();
    fixture.write(".git/info/exclude", "secret\n");
    let excludes = fixture.dir.path().join("ignore");
    fs::write(&excludes, "*.swp\n").unwrap();
    fixture.write("secret", "x");
    fixture.write("x.swp", "x");
    let options = OpenOptions {
        excludes_file: Some(excludes),
        ..OpenOptions::default()
    };
    let head = fixture.repository().head().unwrap();
    assert!(
        fixture
            .trusted_with(options)
            .status_clean(&head)
            .await
            .unwrap()
    );
}

#[tokio::test]
async fn a_bare_repository_has_none() {
    let fixture = Fixture::init(&["--bare"]);
    let result = fixture.trusted().work_tree_tree().await;
    assert!(matches!(result, Err(CheckpointError::Bare)));
}

#[tokio::test]
async fn a_pipe_where_git_reads_a_file_takes_no_longer_than_the_limit() {
    let fixture = filled();
    fs::remove_file(fixture.repo().join(".gitignore")).unwrap();
    let (path, mode) = (
        fixture.repo().join(".gitignore"),
        rustix::fs::Mode::from_raw_mode(0o600),
    );
    rustix::fs::mknodat(rustix::fs::CWD, path, rustix::fs::FileType::Fifo, mode, 0).unwrap();
    let git: Git = git().with_time_limit(Duration::from_millis(300));
    let mut trusted =
        Trusted::temporary(&git, &fixture.repository(), OpenOptions::default()).unwrap();
    let result = trusted.work_tree_tree().await;
    assert!(
        matches!(
            result,
            Err(CheckpointError::Run(RunError::TimeLimit { .. }))
        ),
        "{result:?}"
    );
}

#[tokio::test]
async fn changes_are_found_without_writing_objects() {
    let options = || OpenOptions {
        seed: Seed::Head,
        ..OpenOptions::default()
    };
    type Change = fn(&Fixture);
    let changes: [(&str, Change); 5] = [
        ("an untracked file", |fixture| fixture.write("further", "x")),
        ("the same size", |fixture| {
            let text = fs::read_to_string(fixture.repo().join("a.txt")).unwrap();
            fixture.write("a.txt", text.to_uppercase().replace('1', "2"));
        }),
        ("a removed file", |fixture| {
            fs::remove_file(fixture.repo().join("a.txt")).unwrap();
        }),
        ("a staged file", |fixture| {
            fixture.write("staged", "x");
            fixture.git(&["add", "staged"]);
        }),
        // An index that a cell wrote to hide a change.
        ("a lying index", |fixture| {
            fixture.git(&["update-index", "--assume-unchanged", "a.txt"]);
            fixture.write("a.txt", "changed");
            fixture.git(&["add", "-A"]);
        }),
    ];
    for (what, change) in changes {
        let fixture = filled();
        fixture.commit("all");
        let mut trusted = fixture.trusted_with(options());
        assert!(!trusted.has_changes().await.unwrap(), "{what}");
        change(&fixture);
        assert!(trusted.has_changes().await.unwrap(), "{what}");
        let mut fresh = fixture.trusted_with(options());
        assert!(fresh.has_changes().await.unwrap(), "{what}");
        let loose = fs::read_dir(fresh.dir().join("objects")).unwrap().count();
        assert_eq!(loose, 2, "{what}: only info and pack");
    }
    let ignored = filled();
    ignored.write(".gitignore", "target/\n");
    ignored.commit("all");
    ignored.write("target/x", "x");
    assert!(!ignored.trusted_with(options()).has_changes().await.unwrap());
    let unborn = Fixture::new();
    assert!(!unborn.trusted_with(options()).has_changes().await.unwrap());
}
