//! Finding repositories and reading HEAD without a process.

use std::fs;
use std::os::unix::fs::symlink;

use recto_workspace::git::{DiscoverError, Head, HeadError, Operation, discover};

use crate::common::{Fixture, git, plain_git};

#[test]
fn from_a_subdirectory_to_the_root() {
    let fixture = Fixture::new();
    fs::create_dir_all(fixture.repo().join("a/b")).unwrap();
    let found = discover(&fixture.repo().join("a/b")).unwrap().unwrap();
    assert_eq!(found.root, Some(fixture.repo()));
    assert_eq!(found.git_dir, fixture.repo().join(".git"));
    assert_eq!(found.common_dir, found.git_dir);
}

#[test]
fn no_repository() {
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(discover(dir.path()).unwrap(), None);
    fs::create_dir(dir.path().join(".git")).unwrap();
    assert_eq!(
        discover(dir.path()).unwrap(),
        None,
        "an empty .git directory is none"
    );
    assert!(matches!(
        discover(&dir.path().join("missing")),
        Err(DiscoverError::Read { .. })
    ));
}

#[test]
fn an_empty_git_directory_does_not_hide_the_one_above() {
    let fixture = Fixture::new();
    fs::create_dir_all(fixture.repo().join("sub/.git")).unwrap();
    let found = discover(&fixture.repo().join("sub")).unwrap().unwrap();
    assert_eq!(found.root, Some(fixture.repo()));
}

#[test]
fn linked_work_trees_have_their_own_head() {
    let fixture = Fixture::new();
    let commit = fixture.commit("one");
    fixture.git(&["worktree", "add", "-q", "-b", "side", "../linked"]);
    let root = fixture.repo().with_file_name("linked");
    let found = discover(&root).unwrap().unwrap();
    assert_eq!(found.root, Some(root));
    assert_eq!(found.git_dir, fixture.repo().join(".git/worktrees/linked"));
    assert_eq!(found.common_dir, fixture.repo().join(".git"));
    let name = "refs/heads/side".to_owned();
    assert_eq!(
        found.head().unwrap(),
        Head::Branch {
            name,
            commit: Some(commit)
        }
    );
}

#[test]
fn links_that_lead_nowhere() {
    let fixture = Fixture::new();
    for text in ["gitdir: /nowhere\n", "gitdir: ", "nonsense", ""] {
        fixture.write("sub/.git", text);
        let found = discover(&fixture.repo().join("sub"));
        assert!(
            matches!(found, Err(DiscoverError::BrokenLink { .. })),
            "{text:?}"
        );
    }
}

#[test]
fn a_symlinked_git_directory() {
    let fixture = Fixture::new();
    let commit = fixture.commit("one");
    let moved = fixture.repo().with_file_name("moved");
    fs::rename(fixture.repo().join(".git"), &moved).unwrap();
    symlink("../moved", fixture.repo().join(".git")).unwrap();
    let found = fixture.repository();
    assert_eq!(
        (found.root.clone(), found.git_dir.clone()),
        (Some(fixture.repo()), moved)
    );
    assert_eq!(found.head_commit().unwrap(), Some(commit));
}

#[test]
fn a_bare_repository() {
    let fixture = Fixture::init(&["--bare"]);
    let found = fixture.repository();
    assert_eq!(
        (found.root.as_ref(), &found.git_dir),
        (None, &fixture.repo())
    );
    assert!(found.state().unwrap().bare);
}

#[test]
fn heads() {
    let fixture = Fixture::new();
    let head = || fixture.repository().head().unwrap();
    let on = |name: &str, commit| Head::Branch {
        name: name.to_owned(),
        commit,
    };
    assert_eq!(head(), on("refs/heads/main", None));
    assert!(fixture.repository().state().unwrap().unborn());

    let one = fixture.commit("one");
    assert_eq!(head(), on("refs/heads/main", Some(one.clone())));
    fixture.git(&["pack-refs", "--all"]);
    assert!(!fixture.repo().join(".git/refs/heads/main").exists());
    assert_eq!(head(), on("refs/heads/main", Some(one.clone())), "packed");
    let two = fixture.commit("two");
    assert_eq!(
        head(),
        on("refs/heads/main", Some(two.clone())),
        "loose before packed"
    );

    fixture.git(&["checkout", "-q", "-b", "a/b/ü"]);
    assert_eq!(head(), on("refs/heads/a/b/ü", Some(two.clone())));
    fixture.git(&["symbolic-ref", "refs/heads/alias", "refs/heads/main"]);
    fixture.git(&["symbolic-ref", "HEAD", "refs/heads/alias"]);
    assert_eq!(head().commit(), Some(&two));
    fixture.git(&["checkout", "-q", "--detach", one.as_str()]);
    assert_eq!(head(), Head::Detached(one));
    assert!(fixture.repository().state().unwrap().detached());
}

#[test]
fn hostile_heads() {
    let fixture = Fixture::new();
    fixture.commit("one");
    let path = fixture.repo().join(".git/HEAD");
    for text in [
        "",
        "ref:",
        "ref: ../../etc/passwd",
        "ref: refs/../../x",
        "ref: refs//x",
        "zzz",
        "ref: /etc/passwd",
        "\u{0}",
        "ref: refs/heads/a\u{0}b",
        "0123",
    ] {
        fs::write(&path, text).unwrap();
        assert!(
            matches!(fixture.repository().head(), Err(HeadError::Malformed(_))),
            "{text:?}"
        );
    }
    fs::write(&path, "ref: refs/heads/loop\n").unwrap();
    fixture.write(".git/refs/heads/loop", "ref: refs/heads/loop\n");
    assert!(matches!(
        fixture.repository().head(),
        Err(HeadError::Malformed(_))
    ));
    fs::write(&path, vec![b'x'; 2 << 20]).unwrap();
    assert!(matches!(
        fixture.repository().head(),
        Err(HeadError::Read { .. })
    ));
    fs::remove_file(&path).unwrap();
    rustix::fs::mknodat(
        rustix::fs::CWD,
        &path,
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::from_raw_mode(0o600),
        0,
    )
    .unwrap();
    assert!(
        matches!(fixture.repository().head(), Err(HeadError::Read { .. })),
        "does not wait"
    );
}

#[tokio::test]
async fn reftables_take_git() {
    let fixture = Fixture::init(&["--ref-format=reftable"]);
    let head = || async { git().head(&fixture.repository()).await.unwrap() };
    let on = |commit| Head::Branch {
        name: "refs/heads/main".to_owned(),
        commit,
    };
    assert!(matches!(
        fixture.repository().head(),
        Err(HeadError::Reftable(_))
    ));
    assert_eq!(head().await, on(None));
    let commit = fixture.commit("one");
    assert_eq!(head().await, on(Some(commit.clone())));
    fixture.git(&["worktree", "add", "-q", "-b", "side", "../linked"]);
    let linked = discover(&fixture.repo().with_file_name("linked"))
        .unwrap()
        .unwrap();
    let side = Head::Branch {
        name: "refs/heads/side".to_owned(),
        commit: Some(commit.clone()),
    };
    assert_eq!(git().head(&linked).await.unwrap(), side);
    fixture.git(&["checkout", "-q", "--detach"]);
    assert_eq!(head().await, Head::Detached(commit));
}

#[test]
fn operations() {
    let fixture = Fixture::new();
    fixture.write("f", "base\n");
    fixture.commit("base");
    fixture.git(&["checkout", "-q", "-b", "side"]);
    fixture.write("f", "side\n");
    fixture.commit("side");
    fixture.git(&["checkout", "-q", "main"]);
    fixture.write("f", "main\n");
    fixture.commit("main");
    let operation = || fixture.repository().state().unwrap().operation;
    assert_eq!(operation(), None);
    for (command, expected) in [
        ("merge", Operation::Merge),
        ("rebase", Operation::Rebase),
        ("cherry-pick", Operation::CherryPick),
    ] {
        fixture.plain(&[command, "side"]);
        assert_eq!(operation(), Some(expected));
        fixture.git(&[command, "--abort"]);
        assert_eq!(operation(), None);
    }
    fixture.plain(&["revert", "--no-edit", "HEAD~1"]);
    assert_eq!(operation(), Some(Operation::Revert));
    fixture.git(&["revert", "--abort"]);
    fixture.git(&["bisect", "start"]);
    assert_eq!(operation(), Some(Operation::Bisect));
}

#[test]
fn shallow_repositories() {
    let fixture = Fixture::new();
    fixture.commit("one");
    fixture.commit("two");
    assert!(!fixture.repository().state().unwrap().shallow);
    let url = format!("file://{}", fixture.repo().display());
    let clone = ["clone", "-q", "--depth=1", &url, "shallow"];
    assert!(
        plain_git(fixture.dir.path(), fixture.dir.path(), &clone)
            .status
            .success()
    );
    let found = discover(&fixture.dir.path().join("shallow"))
        .unwrap()
        .unwrap();
    assert!(found.state().unwrap().shallow);
}
