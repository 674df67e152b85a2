//! What a hostile cell can hand out: nothing of it reaches the repository.

use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};

use recto_workspace::git::Oid;
use recto_workspace::git::import::{
    Fate, ImportError, Inside, Kept, Limits, NameProblem, RefusedReason, Spool, listing,
};

use super::common::{Fixture, git};
use super::import::{Session, run, simple};

/// A commit of a tree that `mktree` and its like refuse to make.
fn commit_raw_tree(session: &Session, entries: &[(&str, &str, &Oid)]) -> Oid {
    let mut tree = Vec::new();
    for (mode, name, oid) in entries {
        tree.extend(format!("{mode} {name}\0").as_bytes());
        let bytes = oid.as_str().as_bytes().chunks(2);
        tree.extend(
            bytes.map(|hex| u8::from_str_radix(std::str::from_utf8(hex).unwrap(), 16).unwrap()),
        );
    }
    let args = ["hash-object", "-w", "-t", "tree", "--literally", "--stdin"];
    commit_tree(session, &session.inside_with(&args, &tree))
}

fn commit_tree(session: &Session, tree: &str) -> Oid {
    let commit = session.inside(&["commit-tree", "-p", "HEAD", "-m", "x", tree]);
    session.inside(&["update-ref", "refs/heads/main", &commit]);
    Oid::parse(&commit).unwrap()
}

fn blob(session: &Session, text: &str) -> Oid {
    let args = ["hash-object", "-w", "--stdin"];
    Oid::parse(&session.inside_with(&args, text.as_bytes())).unwrap()
}

/// Imports and says why it was refused; the repository must be as it was.
async fn refusal(session: &mut Session) -> String {
    let before = session.snapshot();
    let error = session.bring_home().await.unwrap_err();
    assert_eq!(session.snapshot(), before);
    error.to_string()
}

#[tokio::test]
async fn trees_that_git_would_not_make_are_refused() {
    let hostile: [(&str, &[(&str, &str)]); 13] = [
        ("dot git", &[("100644", ".git")]),
        ("dot git, other case", &[("100644", ".GIT")]),
        ("short name", &[("100644", "git~1")]),
        ("stream", &[("100644", ".git::$INDEX_ALLOCATION")]),
        ("ignored character", &[("100644", ".g\u{200c}it")]),
        ("parent", &[("100644", "..")]),
        ("itself", &[("100644", ".")]),
        ("slash", &[("100644", "a/../../x")]),
        ("empty", &[("100644", "")]),
        ("mode", &[("107777", "a")]),
        ("twice", &[("100644", "a"), ("100644", "a")]),
        ("order", &[("100644", "b"), ("100644", "a")]),
        ("linked modules", &[("120000", ".gitmodules")]),
    ];
    for (what, entries) in hostile {
        let mut session = Session::simple().await;
        let text = blob(&session, "text\n");
        let entries: Vec<_> = entries
            .iter()
            .map(|(mode, name)| (*mode, *name, &text))
            .collect();
        let commit = commit_raw_tree(&session, &entries);
        let tree = session.oid("HEAD^{tree}");
        let list = format!("{commit}\n{tree}\n{text}\n");
        let pack = raw(
            &session,
            &["pack-objects", "--stdout", "-q"],
            list.as_bytes(),
        );
        let before = session.snapshot();
        let result = session.import(session.listed(), Some(pack)).await;
        assert_eq!(session.snapshot(), before, "{what}: {result:?}");
        let error = result.expect_err(what).to_string();
        let is_refused = error.contains("refuses") || error == "a tree is malformed";
        assert!(is_refused, "{what}: {error}");
    }
}

#[tokio::test]
async fn modules_with_tricks_are_refused() {
    for text in [
        "[submodule \"../x\"]\n\tpath = a\n\turl = https://example.org\n",
        "[submodule \"x\"]\n\tpath = -a\n\turl = https://example.org\n",
        "[submodule \"x\"]\n\tpath = a\n\turl = --upload-pack=id\n",
    ] {
        let mut session = Session::simple().await;
        session.commit(".gitmodules", text);
        let error = refusal(&mut session).await;
        assert!(error.contains("gitmodules"), "{error}");
    }
}

#[tokio::test]
async fn objects_that_are_missing_are_noticed() {
    let mut session = Session::simple().await;
    let text = blob(&session, "never packed\n");
    commit_raw_tree(&session, &[("100644", "a", &text)]);
    // The cell leaves the blob out.
    let commit = session.oid("HEAD");
    let tree = session.oid("HEAD^{tree}");
    let list = format!("{commit}\n{tree}\n");
    let pack = raw(
        &session,
        &["pack-objects", "--stdout", "-q"],
        list.as_bytes(),
    );
    let before = session.snapshot();
    let error = session
        .import(session.listed(), Some(pack))
        .await
        .unwrap_err();
    assert!(matches!(error, ImportError::Refused(_)), "{error}");
    assert_eq!(session.snapshot(), before);
}

#[tokio::test]
async fn a_tip_without_its_history_is_refused() {
    let mut session = Session::simple().await;
    session.commit("a.txt", "1\n");
    session.commit("a.txt", "2\n");
    let list = format!("{}\n", session.oid("HEAD"));
    let pack = raw(
        &session,
        &["pack-objects", "--stdout", "-q"],
        list.as_bytes(),
    );
    let error = session
        .import(session.listed(), Some(pack))
        .await
        .unwrap_err();
    assert!(matches!(error, ImportError::Refused(_)), "{error}");
}

#[tokio::test]
async fn a_tip_that_was_never_given_is_refused() {
    let mut session = Session::simple().await;
    session.commit("a.txt", "1\n");
    let imported = session.import(session.listed(), None).await.unwrap();
    assert_eq!(imported.refused[0].reason, RefusedReason::NoCommit);
    assert!(imported.refs.is_empty());
}

#[tokio::test]
async fn packs_that_lean_on_what_the_repository_lacks_are_refused() {
    let mut session = Session::simple().await;
    let long = "line\n".repeat(2000);
    session.commit("a.txt", &long);
    let base = session.oid("HEAD");
    session.commit("a.txt", &format!("{long}more\n"));
    let list = format!("{}\n^{base}\n", session.oid("HEAD"));
    let args = ["pack-objects", "--revs", "--thin", "--stdout", "-q"];
    let pack = raw(&session, &args, list.as_bytes());
    let error = session
        .import(session.listed(), Some(pack))
        .await
        .unwrap_err();
    assert!(matches!(error, ImportError::Refused(_)), "{error}");
}

fn raw(session: &Session, args: &[&str], input: &[u8]) -> Vec<u8> {
    let argv = ["git"]
        .iter()
        .chain(args)
        .map(|arg| (*arg).to_owned())
        .collect();
    let stdin = input.to_vec();
    session.ask(&recto_workspace::git::import::Ask { argv, stdin })
}

fn pack_of(session: &Session) -> Vec<u8> {
    let news = session
        .base
        .news(session.listed(), &session.limits)
        .unwrap();
    session.ask(&news.pack(&session.base).unwrap())
}

#[tokio::test]
async fn damaged_packs_are_refused() {
    let mut session = Session::simple().await;
    session.commit("a.txt", "changed\n");
    let good = pack_of(&session);
    let before = session.snapshot();
    let mut flipped = good.clone();
    flipped[40] ^= 0x55;
    let mut version = good.clone();
    version[7] = 9;
    let mut count = good.clone();
    count[8..12].copy_from_slice(&[0, 0, 0, 200]);
    let mut huge = good.clone();
    huge[8..12].copy_from_slice(&[0xff; 4]);
    let cut = good[..good.len() - 10].to_vec();
    let tail = [good.as_slice(), b"rest"].concat();
    let bundle = [b"# v2 git bundle\n\n".as_slice(), &good].concat();
    for (what, bytes) in [
        ("flipped", flipped),
        ("version", version),
        ("count", count),
        ("huge", huge),
        ("cut", cut),
        ("tail", tail),
        ("bundle", bundle),
        ("text", b"fatal: not a git repository\n".to_vec()),
        ("empty", Vec::new()),
    ] {
        let result = session.import(session.listed(), Some(bytes)).await;
        assert!(result.is_err(), "{what}");
        assert_eq!(session.snapshot(), before, "{what}");
    }
}

#[tokio::test]
async fn limits_hold() {
    let cases: [(&str, Limits); 7] = [
        (
            "bytes in the pack",
            Limits {
                pack_bytes: 100,
                ..Limits::default()
            },
        ),
        (
            "objects in the pack",
            Limits {
                objects: 2,
                ..Limits::default()
            },
        ),
        (
            "bytes in one object",
            Limits {
                object_bytes: 500,
                ..Limits::default()
            },
        ),
        (
            "bytes of trees",
            Limits {
                tree_bytes: 50,
                ..Limits::default()
            },
        ),
        (
            "paths in a tree",
            Limits {
                paths: 3,
                ..Limits::default()
            },
        ),
        (
            "bytes in a path",
            Limits {
                path_bytes: 8,
                ..Limits::default()
            },
        ),
        (
            "directories",
            Limits {
                depth: 3,
                ..Limits::default()
            },
        ),
    ];
    for (what, limits) in cases {
        let mut session = Session::simple().await;
        session.commit("d/e/f/g.txt", &"0123456789".repeat(100));
        session.limits = limits;
        let error = refusal(&mut session).await;
        assert!(error.contains(what), "{what}: {error}");
    }
}

/// Each level names the one below ten times: ten to the tenth files in a few hundred bytes.
#[tokio::test]
async fn trees_that_explode_are_refused() {
    let mut session = Session::simple().await;
    let mut below = blob(&session, "x");
    for level in 0..10 {
        let (mode, kind) = if level == 0 {
            ("100644", "blob")
        } else {
            ("040000", "tree")
        };
        let lines: String = (0..10)
            .map(|name| format!("{mode} {kind} {below}\tf{name}\n"))
            .collect();
        let tree = session.inside_with(&["mktree"], lines.as_bytes());
        below = Oid::parse(&tree).unwrap();
    }
    commit_tree(&session, below.as_str());
    let began = Instant::now();
    let error = refusal(&mut session).await;
    assert!(error.contains("paths in a tree"), "{error}");
    assert!(began.elapsed() < Duration::from_secs(20));
}

/// An object that says it is huge, and a stream of zeros that really is, packed small.
#[tokio::test]
async fn packs_that_unpack_to_more_than_memory_are_refused() {
    let mut session = Session::simple().await;
    session.commit("a.txt", "changed\n");
    let before = session.snapshot();
    // A commit of a terabyte, by its header only.
    let mut header = vec![0x9f];
    let mut size: u64 = (1 << 40) >> 4;
    while size > 0 {
        let more = if size > 0x7f { 0x80 } else { 0 };
        header.push((size & 0x7f) as u8 | more);
        size >>= 7;
    }
    let pack = [b"PACK\0\0\0\x02\0\0\0\x01".as_slice(), &header, &[0; 64]].concat();
    let error = session
        .import(session.listed(), Some(pack))
        .await
        .unwrap_err();
    assert!(matches!(error, ImportError::Refused(_)), "{error}");
    // Two hundred megabytes of zeros.
    let zeros = session.root.join("zeros");
    fs::File::create(&zeros)
        .unwrap()
        .set_len(200 << 20)
        .unwrap();
    session.inside(&["add", "zeros"]);
    session.inside(&["commit", "-q", "-m", "zeros"]);
    let pack = pack_of(&session);
    assert!(pack.len() < 2 << 20);
    let error = session
        .import(session.listed(), Some(pack))
        .await
        .unwrap_err();
    assert!(error.to_string().contains("bytes in one object"), "{error}");
    assert_eq!(session.snapshot(), before);
}

#[tokio::test]
async fn evil_names_are_refused_one_by_one() {
    let mut session = Session::simple().await;
    let new = session.commit("a.txt", "changed\n");
    let pack = pack_of(&session);
    let names = [
        "refs/recto/other/heads/main",
        "refs/remotes/origin/main",
        "refs/stash",
        "HEAD",
        "refs/heads/../../config",
        "refs/heads/-x",
        "refs/heads/HEAD",
        "refs/heads/a\x1b]0;x\x07",
        "refs/heads/$(touch /tmp/x)",
        "refs/heads/x.lock",
        "refs/heads/Same",
        "refs/heads/same",
        "refs/heads/dir",
        "refs/heads/dir/file",
        "refs/heads/good\0bad",
    ];
    let mut text = format!("{new} refs/heads/main*\n");
    for name in names {
        text += &format!("{new} {name}\n");
    }
    text += "end\n";
    let inside = Inside::parse(text.as_bytes()).unwrap();
    let imported = session.import(inside, Some(pack)).await.unwrap();
    let taken: Vec<&str> = imported.refs.iter().map(|one| one.name.as_str()).collect();
    assert_eq!(
        taken,
        ["refs/heads/Same", "refs/heads/dir", "refs/heads/main"]
    );
    assert_eq!(imported.refused.len(), names.len() - 2);
    let reason = |name: &str| {
        let found = imported.refused.iter().find(|one| one.name == name);
        found.unwrap().reason.clone()
    };
    assert_eq!(reason("refs/heads/-x"), NameProblem::Dash.into());
    assert_eq!(reason("refs/heads/same"), RefusedReason::Collision);
    for line in imported.warnings() {
        assert!(!line.chars().any(char::is_control), "{line:?}");
    }
    assert!(
        !session
            .repository()
            .common_dir
            .join("refs/recto/other")
            .exists()
    );
    session.outside(&["fsck"]);
}

#[tokio::test]
async fn a_hundred_thousand_references_are_cut() {
    let mut session = Session::simple().await;
    let new = session.commit("a.txt", "changed\n");
    let pack = pack_of(&session);
    let mut text = format!("{new} refs/heads/main*\n");
    for count in 0..100_000 {
        text += &format!("{new} refs/tags/t{count}\n");
    }
    text += "end\n";
    let began = Instant::now();
    let inside = Inside::parse(text.as_bytes()).unwrap();
    let imported = session.import(inside, Some(pack)).await.unwrap();
    assert_eq!(imported.refs.len(), session.limits.refs);
    assert!(
        imported
            .refs
            .iter()
            .any(|one| matches!(one.fate, Fate::Moved { .. }))
    );
    assert!(imported.refused.len() <= session.limits.refs);
    assert!(
        began.elapsed() < Duration::from_secs(60),
        "{:?}",
        began.elapsed()
    );
}

#[tokio::test]
async fn branches_lead_to_commits() {
    let mut session = Session::simple().await;
    let tree = session.oid("HEAD^{tree}");
    let head = session.oid("HEAD");
    let text = format!(
        "{head} refs/heads/main*\n{tree} refs/heads/t\n\
         {tree} refs/tags/t\nend\n"
    );
    let inside = Inside::parse(text.as_bytes()).unwrap();
    let imported = session.import(inside, None).await.unwrap();
    assert_eq!(imported.refused.len(), 2);
    assert!(imported.refs.is_empty());
}

#[tokio::test]
async fn a_session_can_not_name_another_place() {
    let mut session = Session::simple().await;
    session.commit("a.txt", "changed\n");
    for name in ["..", "a/b", "", "-x", "a b"] {
        let news = session
            .base
            .news(session.listed(), &session.limits)
            .unwrap();
        let repository = session.repository();
        let limits = Limits::default();
        let result = git()
            .import(&repository, &mut session.base, news, None, name, &limits)
            .await;
        assert!(matches!(result, Err(ImportError::Session)), "{name}");
    }
}

/// What plain git in the repository would run, or obey, is neither run nor obeyed.
#[tokio::test]
async fn nothing_that_the_repository_names_is_run() {
    let host = simple(&[]);
    let mark = host.dir.path().join("ran");
    let program = format!("#!/bin/sh\ntouch {}\n", mark.display());
    for hook in ["reference-transaction", "post-index-change", "post-commit"] {
        let path = host.repo().join(".git/hooks").join(hook);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, &program).unwrap();
        let made = Command::new("chmod").arg("755").arg(&path).status();
        assert!(made.unwrap().success());
    }
    let script = host.dir.path().join("script");
    fs::write(&script, &program).unwrap();
    Command::new("chmod")
        .arg("755")
        .arg(&script)
        .status()
        .unwrap();
    let script = script.to_str().unwrap();
    host.git(&["config", "core.fsmonitor", script]);
    host.git(&["config", "filter.x.clean", script]);
    let mut session = Session::new(host).await;
    session.host.write("a.txt", "changed\n");
    session.host.write(".gitattributes", "* filter=x\n");
    let quiet = [
        "-c",
        "core.hooksPath=/dev/null",
        "-c",
        "core.fsmonitor=false",
        "-c",
    ];
    let add = ["filter.x.clean=cat", "add", "-A"];
    session.inside(&[quiet.as_slice(), &add].concat());
    let commit = ["filter.x.clean=cat", "commit", "-q", "-m", "x"];
    session.inside(&[quiet.as_slice(), &commit].concat());
    let _ = fs::remove_file(&mark);
    let imported = session.home().await;
    assert!(matches!(imported.refs[0].fate, Fate::Moved { .. }));
    assert!(!mark.exists());
}

#[tokio::test]
async fn references_behind_links_are_not_written() {
    let mut session = Session::simple().await;
    session.commit("a.txt", "changed\n");
    let aside = session.host.dir.path().join("aside");
    fs::create_dir(&aside).unwrap();
    let recto = session.repository().common_dir.join("refs/recto");
    std::os::unix::fs::symlink(&aside, &recto).unwrap();
    let imported = session.home().await;
    assert!(matches!(
        imported.refused[0].reason,
        RefusedReason::Write(_)
    ));
    assert_eq!(fs::read_dir(&aside).unwrap().count(), 0);
}

#[tokio::test]
async fn a_locked_index_keeps_the_branch() {
    let mut session = Session::simple().await;
    session.commit("a.txt", "changed\n");
    let old = session.outside(&["rev-parse", "HEAD"]);
    fs::write(session.repository().git_dir.join("index.lock"), "").unwrap();
    let imported = session.home().await;
    assert!(matches!(imported.refs[0].fate, Fate::Kept(Kept::Index(_))));
    assert_eq!(session.outside(&["rev-parse", "HEAD"]), old);
}

#[tokio::test]
async fn a_cell_without_git_says_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let ask = listing();
    let mut command = Command::new(&ask.argv[0]);
    command.args(&ask.argv[1..]).current_dir(dir.path());
    command.env("GIT_CEILING_DIRECTORIES", "/");
    let (_, out, _) = run(command, b"");
    assert!(matches!(Inside::parse(&out), Err(ImportError::Listing)));
}

/// What a killed import left behind goes with the next one; what is in use stays.
#[tokio::test]
async fn what_kills_left_behind_is_removed() {
    let left = tempfile::Builder::new()
        .prefix("recto-import-")
        .tempdir()
        .unwrap();
    let used = tempfile::Builder::new()
        .prefix("recto-import-")
        .tempdir()
        .unwrap();
    fs::write(left.path().join("x"), "x").unwrap();
    let mut holder = Command::new("flock")
        .arg(used.path())
        .args(["sh", "-c", "echo locked; read line"])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut word = [0; 7];
    std::io::Read::read_exact(holder.stdout.as_mut().unwrap(), &mut word).unwrap();
    let mut session = Session::new(Fixture::new()).await;
    session.commit("a.txt", "one\n");
    session.home().await;
    assert!(!left.path().exists());
    assert!(used.path().exists());
    drop(holder.stdin.take());
    holder.wait().unwrap();
}

#[test]
fn a_spool_has_an_end() {
    let limits = Limits {
        pack_bytes: 10,
        ..Limits::default()
    };
    let mut spool = Spool::new(&limits).unwrap();
    spool.push(b"12345").unwrap();
    let error = spool.push(b"678901").unwrap_err();
    assert!(matches!(error, ImportError::TooMuch { .. }));
}
