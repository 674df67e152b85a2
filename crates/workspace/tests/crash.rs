//! Kills a real process at every rename and removal of a patch, and lets recovery decide.
#![allow(clippy::unwrap_used, reason = "a test")]

mod common;

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, ExitStatus};

use common::{Scene, snapshot};
use recto_workspace::apply::{InProcess, apply_text, recover};

const BASE: &str = "RECTO_TEST_CRASH_BASE";

/// 18 updates, one addition in a new directory, one move, one deletion.
fn patch() -> String {
    let mut patch = String::from("*** Begin Patch\n");
    for n in 0..18 {
        patch += &format!("*** Update File: d{}/f{n}\n@@\n-old {n}\n+new {n}\n", n % 3);
    }
    patch
        + "*** Add File: x/y/added\n+added\n\
             *** Update File: moved\n*** Move to: z/moved\n@@\n-old\n+new\n\
             *** Delete File: deleted\n*** End Patch\n"
}

fn tree() -> Scene {
    let scene = Scene::new();
    for n in 0..18 {
        scene.write(&format!("d{}/f{n}", n % 3), format!("old {n}\n"));
    }
    scene.write("moved", "old\n");
    scene.write("deleted", "old\n");
    scene
}

/// Not a test by itself: the process that is killed.
#[test]
fn child() {
    let Some(base) = std::env::var_os(BASE) else {
        return;
    };
    let base = Path::new(&base);
    let outcome = apply_text(
        &base.join("tree"),
        &patch(),
        &base.join("journals"),
        &InProcess,
    );
    assert_eq!(outcome.exit_code, 0, "{}", outcome.stderr);
}

/// Runs the child and kills it when it makes the call for the `when`th time.
fn run_and_kill(scene: &Scene, call: &str, when: usize) -> ExitStatus {
    let base = scene.root.parent().unwrap();
    Command::new("strace")
        .args([
            "-f",
            "-qq",
            "-o",
            "/dev/null",
            "-e",
            &format!("trace={call}"),
        ])
        .arg("-e")
        .arg(format!("inject={call}:signal=SIGKILL:when={when}"))
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "child", "--test-threads=1"])
        .env(BASE, base)
        .output()
        .unwrap_or_else(|error| panic!("needs strace (apt-get install strace): {error}"))
        .status
}

/// Kills at the first call, the second and so on until the child gets through.
///
/// One kind of call at a time: strace counts each kind by itself. Returns how often the tree came
/// out as it was before, and how often as the patch wants it.
fn kill_everywhere(call: &str) -> (usize, usize) {
    let before = tree().snapshot();
    let after = applied();
    let (mut undone, mut finished) = (0, 0);
    for when in 1.. {
        let scene = tree();
        let status = run_and_kill(&scene, call, when);
        let recovered = recover(&scene.root, &scene.journals).unwrap();
        let found = scene.snapshot();
        if status.success() {
            assert_eq!(found, after);
            break;
        }
        assert!(
            found == before || found == after,
            "{call} {when}: {recovered:?} {found:?}"
        );
        if found == before {
            undone += 1
        } else {
            finished += 1
        }
        assert_eq!(left_behind(&scene), 0, "{call} {when}");
    }
    (undone, finished)
}

fn applied() -> BTreeMap<String, Vec<u8>> {
    let scene = tree();
    assert_eq!(scene.apply(&patch()).exit_code, 0);
    scene.snapshot()
}

fn left_behind(scene: &Scene) -> usize {
    snapshot(&scene.journals)
        .keys()
        .filter(|name| name.ends_with(".json"))
        .count()
}

// Each expectation is the number of such calls in one run; a kill comes before its call.

#[test]
fn killed_at_every_rename() {
    // The journal is put in place twice: as a note, then as a commit.
    assert_eq!(kill_everywhere("rename"), (2, 0));
    assert_eq!(kill_everywhere("renameat"), (0, 20));
    assert_eq!(kill_everywhere("renameat2"), (0, 0));
}

#[test]
fn killed_at_every_removal() {
    assert_eq!(kill_everywhere("unlinkat"), (0, 2));
    // The journal's end.
    assert_eq!(kill_everywhere("unlink"), (0, 1));
}

#[test]
fn killed_at_every_new_directory() {
    // The journal's directory is `mkdir`.
    assert_eq!(kill_everywhere("mkdirat"), (3, 0));
    assert_eq!(kill_everywhere("mkdir"), (1, 0));
}

#[test]
fn killed_at_every_sync() {
    // Twenty texts, the journal; then its directory, and seven directories of the tree, of which one
    // got a new directory.
    assert_eq!(kill_everywhere("fsync"), (21, 8));
}
