//! A disk without room leaves everything as it was.
#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "a test")]

mod common;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use common::{Scene, snapshot};
use recto_workspace::apply::{InProcess, Recovered, apply_text, recover};
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};
use tempfile::TempDir;

const BASE: &str = "RECTO_TEST_FULL_DISK_BASE";

/// A small text, a large one, a move and a removal.
fn patch() -> String {
    let large = format!("+{}\n", "x".repeat(1023)).repeat(200);
    format!(
        "*** Begin Patch\n*** Update File: f\n@@\n-one\n+two\n*** Add File: new/dir/large\n{large}\
         *** Update File: g\n*** Move to: h\n@@\n-one\n+two\n*** Delete File: i\n*** End Patch\n"
    )
}

fn fill(root: &Path) {
    for name in ["f", "g", "i"] {
        fs::write(root.join(name), "one\n").unwrap();
    }
}

/// A mounted file system that goes with the value.
struct Mount(PathBuf);

impl Drop for Mount {
    fn drop(&mut self) {
        let _ = unmount(&self.0, UnmountFlags::DETACH);
    }
}

#[test]
fn no_space_left() {
    let dir = TempDir::new().unwrap();
    let flags = MountFlags::NODEV | MountFlags::NOSUID;
    if let Err(error) = mount("tmpfs", dir.path(), "tmpfs", flags, Some(c"size=128k")) {
        eprintln!("SKIPPED: needs root with CAP_SYS_ADMIN to mount a small tmpfs: {error}");
        assert!(
            std::env::var_os("CI").is_none(),
            "must not be skipped in CI"
        );
        return;
    }
    let _mount = Mount(dir.path().to_owned());
    let journals = TempDir::new().unwrap();
    fill(dir.path());
    let before = snapshot(dir.path());
    let outcome = apply_text(dir.path(), &patch(), journals.path(), &InProcess);
    assert_eq!(outcome.exit_code, 1);
    assert!(
        outcome.stderr.contains("No space left on device"),
        "{}",
        outcome.stderr
    );
    assert_eq!(snapshot(dir.path()), before);
    assert_eq!(
        recover(dir.path(), journals.path()).unwrap(),
        Recovered::Nothing
    );
}

#[test]
fn no_space_left_for_the_journal() {
    let journals = TempDir::new().unwrap();
    if mount(
        "tmpfs",
        journals.path(),
        "tmpfs",
        MountFlags::NODEV,
        Some(c"nr_inodes=2"),
    )
    .is_err()
    {
        eprintln!("SKIPPED: needs root with CAP_SYS_ADMIN to mount a small tmpfs");
        assert!(
            std::env::var_os("CI").is_none(),
            "must not be skipped in CI"
        );
        return;
    }
    let _mount = Mount(journals.path().to_owned());
    let scene = Scene::new();
    fill(&scene.root);
    let before = scene.snapshot();
    let outcome = apply_text(&scene.root, &patch(), journals.path(), &InProcess);
    assert_eq!(outcome.exit_code, 1);
    assert!(
        outcome.stderr.starts_with("cannot keep the journal"),
        "{}",
        outcome.stderr
    );
    assert_eq!(scene.snapshot(), before);
}

/// Not a test by itself: applies the patch under a limit on the size of files.
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
    assert_eq!(outcome.exit_code, 1);
    assert!(
        outcome.stderr.contains("File too large"),
        "{}",
        outcome.stderr
    );
}

/// The same without root's help.
#[test]
fn no_file_may_grow() {
    let scene = Scene::new();
    fill(&scene.root);
    let before = scene.snapshot();
    let output = Command::new("sh")
        .args([
            "-c",
            "trap '' XFSZ; ulimit -f 64; exec \"$0\" --exact child",
        ])
        .arg(std::env::current_exe().unwrap())
        .env(BASE, scene.root.parent().unwrap())
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    assert_eq!(scene.snapshot(), before);
    assert_eq!(
        recover(&scene.root, &scene.journals).unwrap(),
        Recovered::Nothing
    );
}
