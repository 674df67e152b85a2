//! Mirrors follow their remotes, and work trees borrow from them.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

use recto_workspace::git::{
    Author, Found, Git, Mirror, Oid, OpenOptions, Reach, RunError, Seed, Trusted, discover,
};

use crate::common::{Fixture, git, plain_git};

async fn mirrored(fixture: &Fixture) -> Mirror {
    let mirror = Mirror::open(&git(), &fixture.dir.path().join("mirror.git"))
        .await
        .unwrap();
    mirror.fetch(&url(fixture), &reach(fixture)).await.unwrap();
    mirror
}

fn url(fixture: &Fixture) -> String {
    fixture.repo().to_str().unwrap().to_owned()
}

/// The fixture's home is the operator's, so nothing of this machine's is read.
fn reach(fixture: &Fixture) -> Reach {
    Reach(vec![("HOME".into(), fixture.dir.path().into())])
}

async fn find(mirror: &Mirror, name: &str) -> Option<Found> {
    mirror.find(Some(name)).await.unwrap()
}

#[tokio::test]
async fn names_are_found_as_users_mean_them() {
    let fixture = Fixture::new();
    fixture.write("a.txt", "one\n");
    let first = fixture.commit("first");
    fixture.git(&["tag", "-a", "v1", "-m", "a tag"]);
    fixture.write("a.txt", "two\n");
    let second = fixture.commit("second");
    fixture.git(&["branch", "topic/x", first.as_str()]);
    // A tag and a branch of one name: the branch is meant.
    fixture.git(&["tag", "main", first.as_str()]);
    let mirror = mirrored(&fixture).await;
    let branch = |name: &str, commit: &Oid| {
        Some(Found {
            commit: commit.clone(),
            branch: Some(name.into()),
        })
    };
    let bare = |commit: &Oid| {
        Some(Found {
            commit: commit.clone(),
            branch: None,
        })
    };
    for (name, expected) in [
        ("main", branch("main", &second)),
        ("refs/heads/main", branch("main", &second)),
        ("topic/x", branch("topic/x", &first)),
        ("v1", bare(&first)),
        ("refs/tags/v1", bare(&first)),
        (first.as_str(), bare(&first)),
        (&first.as_str()[..8], bare(&first)),
        ("nowhere", None),
        ("HEAD", None),
        ("main~1", None),
        ("--output=x", None),
        ("", None),
        (":/second", None),
    ] {
        assert_eq!(find(&mirror, name).await, expected, "{name}");
    }
    assert_eq!(mirror.find(None).await.unwrap(), branch("main", &second));
}

#[tokio::test]
async fn a_mirror_follows_its_remote() {
    let fixture = Fixture::new();
    fixture.write("a.txt", "one\n");
    fixture.commit("first");
    fixture.git(&["branch", "gone"]);
    let mirror = mirrored(&fixture).await;
    assert!(find(&mirror, "gone").await.is_some());
    fixture.git(&["branch", "-D", "gone"]);
    fixture.git(&["checkout", "-q", "-b", "other"]);
    fixture.write("a.txt", "rewritten\n");
    fixture.git(&["add", "-A"]);
    fixture.git(&["commit", "-q", "--amend", "-m", "first, rewritten"]);
    let tip = Oid::parse(&fixture.git(&["rev-parse", "HEAD"])).unwrap();
    mirror
        .fetch(&url(&fixture), &reach(&fixture))
        .await
        .unwrap();
    assert!(find(&mirror, "gone").await.is_none());
    assert_eq!(mirror.find(None).await.unwrap().unwrap().commit, tip);
}

#[tokio::test]
async fn an_empty_remote_has_nothing_and_an_absent_one_is_an_error() {
    let fixture = Fixture::new();
    let mirror = mirrored(&fixture).await;
    assert_eq!(mirror.find(None).await.unwrap(), None);
    Mirror::probe(&git(), &url(&fixture), &reach(&fixture))
        .await
        .unwrap();
    let absent = format!("{}-absent", url(&fixture));
    for refused in [
        Mirror::probe(&git(), &absent, &reach(&fixture)).await,
        mirror.fetch(&absent, &reach(&fixture)).await,
        // Git would run the program.
        Mirror::probe(&git(), "ext::sh -c touch% pwned", &reach(&fixture)).await,
    ] {
        assert!(
            matches!(refused, Err(RunError::Failed { .. })),
            "{refused:?}"
        );
    }
}

#[tokio::test]
async fn a_work_tree_is_whole_and_copies_nothing() {
    let fixture = Fixture::new();
    fixture.write("dir/a.txt", "text\n");
    fixture.write("run.sh", "#!/bin/sh\n");
    // Would run at a checkout, if any configuration knew such a filter.
    fixture.write(".gitattributes", "*.txt filter=evil\n");
    let script = fixture.repo().join("run.sh");
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    symlink("/etc/passwd", fixture.repo().join("link")).unwrap();
    let commit = fixture.commit("base");
    let hook = fixture.repo().join(".git/hooks/post-checkout");
    fs::create_dir_all(hook.parent().unwrap()).unwrap();
    fs::write(&hook, "#!/bin/sh\ntouch hooked\n").unwrap();
    fs::set_permissions(&hook, fs::Permissions::from_mode(0o755)).unwrap();
    let mirror = mirrored(&fixture).await;
    let root = fixture.dir.path().join("tree");
    fs::create_dir(&root).unwrap();
    for _ in 0..2 {
        // The second time it is there already, with a file missing and one changed.
        mirror.check_out(&root, "recto/x.1", &commit).await.unwrap();
        assert_eq!(
            fs::read_to_string(root.join("dir/a.txt")).unwrap(),
            "text\n"
        );
        fs::remove_file(root.join("dir/a.txt")).unwrap();
        fs::write(root.join("run.sh"), "changed").unwrap();
    }
    mirror.check_out(&root, "recto/x.1", &commit).await.unwrap();
    let run = |args: &[&str]| {
        let output = plain_git(&root, fixture.dir.path(), args);
        let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        assert!(output.status.success(), "{output:?}");
        text
    };
    assert_eq!(run(&["status", "--porcelain"]), "");
    assert_eq!(run(&["branch", "--show-current"]), "recto/x.1");
    assert_eq!(run(&["rev-parse", "HEAD"]), commit.as_str());
    assert_eq!(run(&["rev-parse", "origin/main"]), commit.as_str());
    assert_eq!(run(&["log", "--oneline"]).lines().count(), 1);
    assert_eq!(run(&["count-objects"]), "0 objects, 0 kilobytes");
    let mode = fs::metadata(root.join("run.sh")).unwrap().permissions();
    assert_eq!(mode.mode() & 0o111, 0o111);
    assert!(root.join("link").is_symlink());
    assert!(!root.join("hooked").exists());
}

#[tokio::test]
async fn leftovers_become_a_commit_of_their_own() {
    let fixture = Fixture::new();
    fixture.write("a.txt", "one\n");
    fixture.write("gone.txt", "x\n");
    let base = fixture.commit("base");
    let mirror = mirrored(&fixture).await;
    let root = fixture.dir.path().join("tree");
    fs::create_dir(&root).unwrap();
    mirror.check_out(&root, "recto/x.1", &base).await.unwrap();
    fs::write(root.join("a.txt"), "two\n").unwrap();
    fs::remove_file(root.join("gone.txt")).unwrap();
    fs::write(root.join("new \n.txt"), "new\n").unwrap();
    let repository = discover(&root).unwrap().unwrap();
    let options = OpenOptions {
        seed: Seed::Head,
        ..OpenOptions::default()
    };
    let mut trusted = Trusted::temporary(&git(), &repository, options).unwrap();
    let tree = trusted.work_tree_tree().await.unwrap().tree;
    let author = Author {
        name: "A B".into(),
        email: "a@b".into(),
    };
    let git: Git = git();
    let objects = trusted.dir().join("objects");
    let commit = git
        .commit_tree(&repository, &objects, &tree, &author, "left\n\nKey: 1")
        .await
        .unwrap();
    // What it was made of may go now.
    drop(trusted);
    let run = |args: &[&str]| {
        let output = plain_git(&root, fixture.dir.path(), args);
        assert!(output.status.success(), "{output:?}");
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    };
    assert_eq!(run(&["rev-parse", "HEAD"]), commit.as_str());
    assert_eq!(run(&["rev-parse", "HEAD~1"]), base.as_str());
    assert_eq!(run(&["status", "--porcelain"]), "");
    assert_eq!(run(&["show", "HEAD:a.txt"]), "two");
    assert_eq!(
        run(&["log", "-1", "--format=%an <%ae> %s"]),
        "A B <a@b> left"
    );
    run(&["fsck", "--strict"]);
}
