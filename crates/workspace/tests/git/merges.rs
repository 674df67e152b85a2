//! Results are brought into the user's work tree whole, or not at all.

use std::fs;

use recto_workspace::git::{Merge, Merged, Reach};

use crate::common::{Fixture, git};

/// A repository, and a patch that somebody made on its first commit.
fn given() -> (Fixture, Vec<u8>) {
    let fixture = Fixture::new();
    fixture.write("a.txt", "1\n2\n3\n4\n5\n6\n7\n8\n9\n");
    fixture.write("gone.txt", "x\n");
    fixture.write(
        "moved.txt",
        "some text that is long enough to be known again\n",
    );
    fixture.write("image.bin", [0, 1, 2, 255]);
    let base = fixture.commit("base");
    fixture.write("a.txt", "1\n2\n3\n4\n5\n6\n7\n8\nnine\n");
    fs::remove_file(fixture.repo().join("gone.txt")).unwrap();
    fs::rename(
        fixture.repo().join("moved.txt"),
        fixture.repo().join("there.txt"),
    )
    .unwrap();
    fixture.write("image.bin", [0, 9, 9, 255, 0]);
    fixture.write("new.txt", "new\n");
    fixture.commit("work");
    let patch = fixture.plain(&[
        "diff",
        "--binary",
        "--full-index",
        "-M",
        base.as_str(),
        "HEAD",
    ]);
    fixture.git(&["reset", "-q", "--hard", base.as_str()]);
    (fixture, patch.stdout)
}

async fn merge(fixture: &Fixture, patch: &[u8], way: Merge) -> Merged {
    let reach = Reach(vec![("HOME".into(), fixture.dir.path().into())]);
    git()
        .merge(&fixture.repo(), patch, way, &reach)
        .await
        .unwrap()
}

/// What the work tree and the index hold.
fn state(fixture: &Fixture) -> String {
    let status = fixture.git(&["status", "--porcelain", "-uall"]);
    let diff = fixture.git(&["diff", "HEAD", "--binary"]);
    let text = fs::read_to_string(fixture.repo().join("a.txt")).unwrap();
    status + &diff + &text
}

#[tokio::test]
async fn what_fits_is_brought_in_with_binaries_and_renames() {
    let (fixture, patch) = given();
    // The branch has moved meanwhile, elsewhere in the same file.
    fixture.write("a.txt", "one\n2\n3\n4\n5\n6\n7\n8\n9\n");
    fixture.commit("meanwhile");
    // The user's own changes to other files are not in the way.
    fixture.write("own.txt", "own\n");
    let before = state(&fixture);
    assert_eq!(merge(&fixture, &patch, Merge::Try).await, Merged::Cleanly);
    assert_eq!(state(&fixture), before);
    assert_eq!(merge(&fixture, &patch, Merge::Clean).await, Merged::Cleanly);
    let read = |name: &str| fs::read(fixture.repo().join(name)).unwrap();
    assert_eq!(read("a.txt"), b"one\n2\n3\n4\n5\n6\n7\n8\nnine\n");
    assert_eq!(read("image.bin"), [0, 9, 9, 255, 0]);
    assert_eq!(read("new.txt"), b"new\n");
    assert!(read("there.txt").starts_with(b"some text"));
    assert!(!fixture.repo().join("gone.txt").exists());
    assert!(!fixture.repo().join("moved.txt").exists());
    assert_eq!(read("own.txt"), b"own\n");
}

#[tokio::test]
async fn conflicts_touch_nothing_unless_they_are_wanted() {
    let (fixture, patch) = given();
    fixture.write("a.txt", "1\n2\n3\n4\n5\n6\n7\n8\nNEUN\n");
    fixture.commit("meanwhile");
    let before = state(&fixture);
    for way in [Merge::Try, Merge::Clean] {
        let merged = merge(&fixture, &patch, way).await;
        assert!(matches!(merged, Merged::Conflicts { .. }), "{merged:?}");
        assert_eq!(state(&fixture), before);
    }
    let merged = merge(&fixture, &patch, Merge::WithConflicts).await;
    assert!(matches!(merged, Merged::Conflicts { .. }), "{merged:?}");
    let text = fs::read_to_string(fixture.repo().join("a.txt")).unwrap();
    assert!(text.contains("<<<<<<<") && text.contains("nine"), "{text}");
    assert!(fixture.repo().join("new.txt").exists());
}

#[tokio::test]
async fn uncommitted_changes_are_never_overwritten() {
    let (fixture, patch) = given();
    fixture.write("a.txt", "mine\n");
    let before = state(&fixture);
    for way in [Merge::Try, Merge::Clean, Merge::WithConflicts] {
        let merged = merge(&fixture, &patch, way).await;
        let files = vec!["a.txt".into()];
        assert_eq!(merged, Merged::Uncommitted { files });
        assert_eq!(state(&fixture), before);
    }
    // A file that git does not know stands where a new one would.
    let (fixture, patch) = given();
    fixture.write("new.txt", "mine\n");
    let before = state(&fixture);
    for way in [Merge::Clean, Merge::WithConflicts] {
        let merged = merge(&fixture, &patch, way).await;
        assert!(matches!(merged, Merged::Conflicts { .. }), "{merged:?}");
        assert_eq!(state(&fixture), before);
        let text = fs::read_to_string(fixture.repo().join("new.txt")).unwrap();
        assert_eq!(text, "mine\n");
    }
}

#[tokio::test]
async fn a_patch_cannot_leave_the_work_tree() {
    for path in ["../out.txt", ".git/hooks/post-commit", "/etc/out"] {
        let (fixture, _) = given();
        let patch = format!(
            "diff --git a/{path} b/{path}\nnew file mode 100755\n--- /dev/null\n+++ b/{path}\n@@ -0,0 +1 @@\n+x\n"
        );
        let reach = Reach(vec![("HOME".into(), fixture.dir.path().into())]);
        let merged = git()
            .merge(
                &fixture.repo(),
                patch.as_bytes(),
                Merge::WithConflicts,
                &reach,
            )
            .await;
        assert!(!matches!(merged, Ok(Merged::Cleanly)), "{path}: {merged:?}");
        assert!(!fixture.dir.path().join("out.txt").exists());
        assert!(!fixture.repo().join(".git/hooks/post-commit").exists());
    }
}
