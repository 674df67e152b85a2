//! An import is killed at each of its steps; the next one finishes it.

use std::fs;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};

use recto_workspace::git::discover;
use recto_workspace::git::import::{Ask, Inside, Limits, Spool, listing};

use super::common::git;
use super::import::{Session, run};

const PLACES: [&str; 2] = ["RECTO_TEST_IMPORT_ROOT", "RECTO_TEST_IMPORT_VIEW"];

/// Not a test by itself: the process that is killed.
#[tokio::test]
async fn child() {
    let [Some(root), Some(view)] = PLACES.map(std::env::var_os) else {
        return;
    };
    let repository = discover(Path::new(&root)).unwrap().unwrap();
    let mut base = git().import_base(&repository).await.unwrap();
    let limits = Limits::default();
    let ask = |ask: &Ask| {
        let mut command = Command::new(&ask.argv[0]);
        command.args(&ask.argv[1..]).env("GIT_DIR", &view);
        run(command, &ask.stdin).1
    };
    let inside = Inside::parse(&ask(&listing())).unwrap();
    let Some(news) = base.news(inside, &limits) else {
        return;
    };
    let mut spool = Spool::new(&limits).unwrap();
    spool.push(&ask(&news.pack(&base).unwrap())).unwrap();
    let imported = git()
        .import(&repository, &mut base, news, Some(spool), "s1", &limits)
        .await
        .unwrap();
    assert!(imported.refused.is_empty(), "{imported:?}");
}

fn start(session: &Session, temp: &Path) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "import_kill::child", "--test-threads=1", "-q"])
        .env(PLACES[0], &session.root)
        .env(PLACES[1], session.git_dir())
        .env("TMPDIR", temp)
        .process_group(0)
        .spawn()
        .unwrap()
}

/// Whether anything of a process group is still there.
fn lives(group: u32) -> bool {
    let group = format!("-{group}");
    let asked = Command::new("kill").args(["-0", "--", &group]).output();
    asked.unwrap().status.success()
}

fn locks(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).unwrap().flatten() {
        let path = entry.path();
        if entry.file_type().unwrap().is_dir() {
            found.extend(locks(&path));
        } else if path.extension().is_some_and(|end| end == "lock") {
            found.push(path);
        }
    }
    found
}

#[tokio::test]
async fn a_killed_import_leaves_nothing_half_done() {
    type Step = fn(&Session, &Path) -> bool;
    let steps: [(&str, Step); 6] = [
        ("at once", |_, _| true),
        ("quarantine", |_, temp| any(temp)),
        ("linked", |_, temp| {
            let mut dirs = fs::read_dir(temp).unwrap().flatten();
            dirs.any(|dir| dir.path().join("linked.git").exists())
        }),
        ("pack", |session, _| {
            any(&session.repository().common_dir.join("objects/pack"))
        }),
        ("references", |session, _| {
            let common = session.repository().common_dir;
            common.join("refs/recto/s1/heads/main").exists()
        }),
        ("index", |session, _| {
            let index = fs::read(session.repository().git_dir.join("index"));
            // The new file's name.
            index.is_ok_and(|index| index.windows(7).any(|name| name == b"new.txt"))
        }),
    ];
    for (what, is_there) in steps {
        let session = Session::simple().await;
        let new = session.commit("new.txt", "new\n");
        let temp = tempfile::tempdir().unwrap();
        let mut child = start(&session, temp.path());
        while !is_there(&session, temp.path()) && child.try_wait().unwrap().is_none() {
            std::thread::yield_now();
        }
        child.kill().unwrap();
        child.wait().unwrap();
        while lives(child.id()) {
            std::thread::yield_now();
        }
        let common = session.repository().common_dir;
        assert_eq!(locks(&common), Vec::<PathBuf>::new(), "{what}");
        session.outside(&["fsck", "--strict"]);
        // Not followed yet, all there, or, between index and branch, staged.
        let status = session.outside(&["status", "--porcelain"]);
        let seen = ["", "?? new.txt", "A  new.txt"];
        assert!(seen.contains(&status.as_str()), "{what}: {status}");

        let finished = start(&session, temp.path()).wait().unwrap();
        assert!(finished.success(), "{what}");
        assert_eq!(
            session.outside(&["rev-parse", "HEAD"]),
            new.as_str(),
            "{what}"
        );
        assert_eq!(session.outside(&["status", "--porcelain"]), "", "{what}");
        // The kill may have come after all was done; then it is the next import that tidies up.
        session.commit("more.txt", "more\n");
        assert!(start(&session, temp.path()).wait().unwrap().success());
        let left: Vec<_> = fs::read_dir(temp.path()).unwrap().flatten().collect();
        assert!(left.is_empty(), "{what}: {left:?}");
    }
}

fn any(dir: &Path) -> bool {
    fs::read_dir(dir).is_ok_and(|mut list| list.next().is_some())
}
