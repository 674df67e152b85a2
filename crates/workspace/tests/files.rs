//! Modes, links, directories, and what a failure leaves.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a test")]

mod common;

use std::fs;
use std::path::Path;

use common::Scene;
use recto_patch::{ReadFailure, parse, plan};
use recto_workspace::apply::{
    Applied, ApplyIoError, Committer, InProcess, Recovered, WorkTree, apply_text, commit_journal,
    recover,
};

fn ok(scene: &Scene, body: &str) -> String {
    let outcome = scene.apply_body(body);
    assert_eq!(outcome.exit_code, 0, "{}", outcome.stderr);
    outcome.stdout
}

#[test]
fn a_move_keeps_the_mode() {
    let scene = Scene::new();
    scene.write("run.sh", "one\n");
    scene.chmod("run.sh", 0o755);
    ok(
        &scene,
        "*** Update File: run.sh\n*** Move to: bin/run\n@@\n-one\n+two\n",
    );
    assert_eq!(
        (scene.mode("bin/run"), scene.read("bin/run")),
        (0o755, "two\n".into())
    );
    assert!(!scene.root.join("run.sh").exists());
}

#[test]
fn a_move_alone_moves_any_bytes() {
    let scene = Scene::new();
    scene.write("a.bin", b"\xff\x00");
    ok(&scene, "*** Update File: a.bin\n*** Move to: b.bin\n");
    assert_eq!(
        scene.snapshot(),
        [("b.bin".to_owned(), b"\xff\x00".to_vec())].into()
    );
}

#[test]
fn modes_of_read_only_and_replaced_files() {
    let scene = Scene::new();
    scene.write("f", "one\n");
    scene.chmod("f", 0o440);
    ok(&scene, "*** Update File: f\n@@\n-one\n+two\n");
    assert_eq!((scene.mode("f"), scene.read("f")), (0o440, "two\n".into()));
    assert_eq!(
        ok(&scene, "*** Add File: f\n+three\n"),
        "Success. Updated the following files:\nM f\n"
    );
    assert_eq!(
        (scene.mode("f"), scene.read("f")),
        (0o440, "three\n".into())
    );
    ok(&scene, "*** Delete File: f\n*** Add File: f\n+four\n");
    assert_eq!((scene.mode("f"), scene.read("f")), (0o644, "four\n".into()));
}

#[test]
fn an_update_through_a_link_changes_its_target() {
    let scene = Scene::new();
    scene.write("real/t.txt", "one\n");
    scene.symlink("real/t.txt", "l.txt");
    ok(&scene, "*** Update File: l.txt\n@@\n-one\n+two\n");
    assert_eq!(
        fs::read_link(scene.root.join("l.txt")).unwrap(),
        Path::new("real/t.txt")
    );
    assert_eq!(scene.read("real/t.txt"), "two\n");
}

#[test]
fn a_deleted_link_is_not_followed_later_in_the_patch() {
    let scene = Scene::new();
    scene.write("t.txt", "one\n");
    scene.symlink("t.txt", "l.txt");
    ok(
        &scene,
        "*** Delete File: l.txt\n*** Add File: l.txt\n+own\n",
    );
    assert!(
        !fs::symlink_metadata(scene.root.join("l.txt"))
            .unwrap()
            .is_symlink()
    );
    assert_eq!(
        (scene.read("l.txt"), scene.read("t.txt")),
        ("own\n".into(), "one\n".into())
    );
}

#[test]
fn a_moved_link_leaves_its_target() {
    let scene = Scene::new();
    scene.write("t.txt", "one\n");
    scene.symlink("t.txt", "l.txt");
    ok(
        &scene,
        "*** Update File: l.txt\n*** Move to: g.txt\n@@\n-one\n+two\n",
    );
    let files = [
        ("g.txt".to_owned(), b"two\n".to_vec()),
        ("t.txt".to_owned(), b"one\n".to_vec()),
    ];
    assert_eq!(scene.snapshot(), files.into());
}

#[test]
fn an_absolute_path_below_the_root_is_welcome() {
    let scene = Scene::new();
    let path = scene.root.join("sub/x");
    ok(&scene, &format!("*** Add File: {}\n+x\n", path.display()));
    assert_eq!(scene.read("sub/x"), "x\n");
}

#[test]
fn a_file_cannot_be_a_directory() {
    let scene = Scene::new();
    scene.write("f", "one\n");
    for body in [
        "*** Add File: f/x\n+x\n",
        "*** Delete File: f\n*** Add File: f/x\n+x\n",
        "*** Update File: f\n*** Move to: f/x\n",
    ] {
        let outcome = scene.apply_body(body);
        let expected = format!("Failed to write file {}/f/x\n", scene.root.display());
        assert_eq!((outcome.exit_code, outcome.stderr), (1, expected));
        assert_eq!(
            outcome.hint.as_deref(),
            Some("Cause: Not a directory (os error 20).")
        );
    }
    assert_eq!(
        scene.snapshot(),
        [("f".to_owned(), b"one\n".to_vec())].into()
    );
}

#[test]
fn invalid_utf_8_is_refused_and_can_be_deleted() {
    let scene = Scene::new();
    scene.write("f", b"\xff\n");
    let outcome = scene.apply_body("*** Update File: f\n@@\n+x\n");
    let path = scene.root.join("f");
    let expected = format!(
        "Failed to read file to update {}: stream did not contain valid UTF-8\n",
        path.display()
    );
    assert_eq!(outcome.stderr, expected);
    ok(&scene, "*** Delete File: f\n");
}

#[test]
fn an_unchanged_file_is_not_written() {
    let scene = Scene::new();
    scene.write("f", "one\n");
    let before = fs::metadata(scene.root.join("f")).unwrap();
    ok(&scene, "*** Update File: f\n@@\n-one\n+one\n");
    use std::os::unix::fs::MetadataExt;
    assert_eq!(
        fs::metadata(scene.root.join("f")).unwrap().ino(),
        before.ino()
    );
}

const TWO_FILES: &str =
    "*** Begin Patch\n*** Add File: a\n+a\n*** Add File: new/b\n+b\n*** End Patch\n";

/// Does nothing, like a process that could not be started.
struct Broken;

impl Committer for Broken {
    fn commit(&self, _: &Path) -> std::io::Result<()> {
        Err(std::io::ErrorKind::NotFound.into())
    }
}

#[test]
fn a_broken_committer_is_made_up_for() {
    let scene = Scene::new();
    let outcome = apply_text(&scene.root, TWO_FILES, &scene.journals, &Broken);
    assert_eq!(outcome.exit_code, 0, "{}", outcome.stderr);
    assert_eq!(scene.snapshot().len(), 2);
    assert_eq!(
        recover(&scene.root, &scene.journals).unwrap(),
        Recovered::Nothing
    );
}

/// Makes the tree one that the first action does not fit any more.
struct Meddler<'s>(&'s Scene, &'static str);

impl Committer for Meddler<'_> {
    fn commit(&self, journal: &Path) -> std::io::Result<()> {
        fs::create_dir_all(self.0.root.join(self.1).join("full"))?;
        commit_journal(journal)
    }
}

#[test]
fn a_commit_that_cannot_begin_changes_nothing() {
    let scene = Scene::new();
    let outcome = apply_text(
        &scene.root,
        TWO_FILES,
        &scene.journals,
        &Meddler(&scene, "a"),
    );
    assert_eq!(outcome.exit_code, 1);
    assert!(
        outcome.stderr.contains("nothing was changed"),
        "{}",
        outcome.stderr
    );
    assert_eq!(scene.snapshot().keys().collect::<Vec<_>>(), ["a/full/"]);
}

#[test]
fn a_commit_stopped_half_way_is_finished_by_recovery() {
    let scene = Scene::new();
    let outcome = apply_text(
        &scene.root,
        TWO_FILES,
        &scene.journals,
        &Meddler(&scene, "new/b"),
    );
    assert_eq!(outcome.exit_code, 1);
    assert!(
        outcome.stderr.starts_with("stopped half-way at new/b"),
        "{}",
        outcome.stderr
    );
    let recovered = recover(&scene.root, &scene.journals).unwrap();
    assert_eq!(
        recovered,
        Recovered::Finished {
            skipped: vec!["new/b".into()]
        }
    );
    assert_eq!(
        scene.snapshot().keys().collect::<Vec<_>>(),
        ["a", "new/b/full/"]
    );
    assert_eq!(
        recover(&scene.root, &scene.journals).unwrap(),
        Recovered::Nothing
    );
}

/// Removes a staged file, as `git clean -fd` of somebody else would, before it can be renamed.
struct Cleaner<'s>(&'s Scene, &'static str);

impl Committer for Cleaner<'_> {
    fn commit(&self, journal: &Path) -> std::io::Result<()> {
        for entry in fs::read_dir(self.0.root.join(self.1))? {
            let entry = entry?;
            if entry
                .file_name()
                .as_encoded_bytes()
                .starts_with(b".recto-patch-")
            {
                fs::remove_file(entry.path())?;
            }
        }
        commit_journal(journal)
    }
}

#[test]
fn a_staged_file_that_was_removed_is_told() {
    let scene = Scene::new();
    let run = |place| {
        apply_text(
            &scene.root,
            TWO_FILES,
            &scene.journals,
            &Cleaner(&scene, place),
        )
    };
    let outcome = run("new");
    assert_eq!(outcome.exit_code, 1);
    assert!(
        outcome.stderr.starts_with("stopped half-way at new/b"),
        "{}",
        outcome.stderr
    );
    // Before anything is in place, nothing is changed.
    recover(&scene.root, &scene.journals).unwrap();
    fs::remove_file(scene.root.join("a")).unwrap();
    let outcome = run("");
    assert_eq!(outcome.exit_code, 1);
    assert!(
        outcome.stderr.contains("nothing was changed"),
        "{}",
        outcome.stderr
    );
    assert_eq!(scene.snapshot().keys().collect::<Vec<_>>(), ["new/"]);
}

#[test]
fn hidden_places_are_neither_read_nor_written() {
    let scene = Scene::new();
    scene.write("state/secret", "BAIT\n");
    scene.write("open", "text\n");
    scene.symlink("state/secret", "link");
    scene.symlink("state", "way");
    let hidden = [
        scene.root.join("state"),
        scene.root.join("way/../state/../to-come/.ssh"),
        scene.root.join("to-come/.ssh"),
        // Holds the tree, so it hides nothing.
        scene.root.parent().unwrap().to_owned(),
    ];
    let tree = || WorkTree::open(&scene.root).unwrap().hiding(&hidden);
    for path in [
        "state/secret",
        "link",
        "way/secret",
        "state/x",
        "to-come/.ssh",
    ] {
        let refused = tree().read_at_most(path, 10);
        assert!(matches!(refused, Err(ReadFailure::Refused(_))), "{path}");
        for op in [
            format!("*** Add File: {path}\n+x\n"),
            format!("*** Update File: {path}\n@@\n-BAIT\n+x\n"),
            format!("*** Update File: open\n*** Move to: {path}\n@@\n-text\n+x\n"),
        ] {
            let patch = parse(&format!("*** Begin Patch\n{op}*** End Patch\n"));
            let planned = plan(&patch.unwrap(), &mut tree());
            // A link is a name of its own: adding at it replaces the link, not what it leads to.
            assert!(planned.is_err() || path == "link", "{op}");
        }
    }
    let outside_link = parse("*** Begin Patch\n*** Delete File: way/secret\n*** End Patch\n");
    assert!(plan(&outside_link.unwrap(), &mut tree()).is_err());
    assert_eq!(tree().read_at_most("open", 10).unwrap(), b"text\n");
    assert_eq!(scene.read("state/secret"), "BAIT\n");
}

/// Leaves the journal as a killed process would.
struct Killed;

impl Committer for Killed {
    fn commit(&self, _: &Path) -> std::io::Result<()> {
        panic!("killed")
    }
}

fn leave_a_journal(scene: &Scene) {
    let result =
        std::panic::catch_unwind(|| apply_text(&scene.root, TWO_FILES, &scene.journals, &Killed));
    assert!(result.is_err());
}

#[test]
fn the_next_patch_finishes_the_one_before() {
    let scene = Scene::new();
    leave_a_journal(&scene);
    ok(&scene, "*** Update File: a\n@@\n-a\n+A\n");
    assert_eq!(
        (scene.read("a"), scene.read("new/b")),
        ("A\n".into(), "b\n".into())
    );
}

#[test]
fn a_journal_is_not_worked_off_in_another_tree_of_the_same_name() {
    let scene = Scene::new();
    leave_a_journal(&scene);
    fs::rename(&scene.root, scene.dir.path().join("old")).unwrap();
    fs::create_dir(&scene.root).unwrap();
    assert_eq!(
        recover(&scene.root, &scene.journals).unwrap(),
        Recovered::SetAside
    );
    assert!(scene.snapshot().is_empty());
}

#[test]
fn a_torn_or_forged_journal_is_set_aside() {
    let scene = Scene::new();
    for forge in ["", "{\"version\":1", "{}"] {
        leave_a_journal(&scene);
        let journal = fs::read_dir(&scene.journals)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .find(|path| {
                path.extension()
                    .is_some_and(|extension| extension == "json")
            })
            .unwrap();
        fs::write(journal, forge).unwrap();
        assert_eq!(
            recover(&scene.root, &scene.journals).unwrap(),
            Recovered::SetAside
        );
    }
    assert!(!scene.root.join("a").exists());
}

#[test]
fn a_tree_s_own_interface() {
    let scene = Scene::new();
    scene.write("f", "one\n");
    let mut tree = WorkTree::open(&scene.root).unwrap();
    assert_eq!(tree.read("./f").unwrap(), b"one\n");
    let patch =
        parse("*** Begin Patch\n*** Delete File: f\n*** Add File: g\n*** End Patch").unwrap();
    let plan = plan(&patch, &mut tree).unwrap();
    let applied = tree.apply(&plan, &scene.journals, &InProcess).unwrap();
    let Applied {
        written, removed, ..
    } = applied;
    assert_eq!(
        (written, removed),
        (vec!["g".to_owned()], vec!["f".to_owned()])
    );
    let missing = WorkTree::open(&scene.root.join("nope"));
    assert!(matches!(missing, Err(ApplyIoError::Open { .. })));
}

/// Concurrent patches to one tree wait for each other.
#[test]
fn patches_at_the_same_time() {
    let scene = Scene::new();
    std::thread::scope(|scope| {
        for worker in 0..4 {
            let scene = &scene;
            scope.spawn(move || {
                for n in 0..10 {
                    let name = format!("{worker}-{n}");
                    ok(
                        scene,
                        &format!("*** Add File: d/{name}\n+x\n*** Add File: e/{name}\n+x\n"),
                    );
                }
            });
        }
    });
    assert_eq!(scene.snapshot().len(), 80);
}
