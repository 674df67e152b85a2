//! Repositories that name programs. A marker file shows that one ran; plain git, as a control,
//! proves for each plant that it would.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use recto_workspace::git::{DiffOptions, Git, OpenOptions, Seed, Trusted, UserConfig, identity};

use crate::common::{Fixture, git, plain_git};

/// A repository with two commits, an uncommitted change, and a script that leaves a marker.
struct Trap {
    fixture: Fixture,
    script: String,
    marker: PathBuf,
}

impl Trap {
    fn new() -> Self {
        let fixture = Fixture::new();
        fixture.write("a.txt", "one\n");
        fixture.commit("one");
        fixture.write("a.txt", "two\n");
        fixture.commit("two");
        let marker = fixture.dir.path().join("marker");
        let script = fixture.dir.path().join("evil.sh");
        fs::write(
            &script,
            format!("#!/bin/sh\ntouch '{}'\n", marker.display()),
        )
        .unwrap();
        fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
        Self {
            script: script.to_str().unwrap().to_owned(),
            marker,
            fixture,
        }
    }

    fn config(&self, key: &str, value: &str) {
        self.fixture.git(&["config", key, value]);
    }

    /// Plants, shows that plain git falls for it, and that we do not.
    async fn spring(self, plant: impl FnOnce(&Self), control: &[&[&str]]) {
        plant(&self);
        // Changed, and with the same size as before, so that git must look inside.
        self.fixture.write("a.txt", "TWO\n");
        self.fixture.write("new.txt", "new\n");
        // Before the control, which may write an index that leaves nothing to do.
        self.ours().await;
        assert!(
            !self.marker.exists(),
            "our git ran what the repository names"
        );
        for args in control {
            self.fixture.plain(args);
        }
        assert!(
            self.marker.exists(),
            "the control shows nothing: plain git ran nothing"
        );
        fs::remove_file(&self.marker).unwrap();
        self.fixture.write("a.txt", "2WO\n");
        self.ours().await;
        assert!(
            !self.marker.exists(),
            "our git ran what the repository names"
        );
    }

    /// Everything that our git does.
    async fn ours(&self) {
        let repository = self.fixture.repository();
        let head = repository.head().unwrap();
        repository.state().unwrap();
        let user = UserConfig {
            home: "/nonexistent".into(),
            xdg_config_home: None,
        };
        identity(&git(), &user, Some(&repository)).await.unwrap();
        for seed in [Seed::Index, Seed::Head] {
            let options = OpenOptions {
                seed,
                ..OpenOptions::default()
            };
            let mut trusted = self.fixture.trusted_with(options);
            let tree = trusted.work_tree_tree().await.unwrap().tree;
            trusted.status_clean(&head).await.unwrap();
            let commit = head.commit().unwrap();
            trusted
                .diff(commit, &tree, DiffOptions::default())
                .await
                .unwrap();
            trusted.log(None, commit, 10).await.unwrap();
        }
    }
}

#[tokio::test]
async fn fsmonitor() {
    Trap::new()
        .spring(|t| t.config("core.fsmonitor", &t.script), &[&["status"]])
        .await;
}

#[tokio::test]
async fn hooks() {
    let plant = |t: &Trap| {
        for hook in [
            "post-index-change",
            "pre-commit",
            "reference-transaction",
            "post-checkout",
        ] {
            symlink(&t.script, t.fixture.repo().join(".git/hooks").join(hook)).unwrap();
        }
    };
    Trap::new().spring(plant, &[&["add", "-A"]]).await;
}

#[tokio::test]
async fn hooks_path() {
    let plant = |t: &Trap| {
        t.fixture.write("hooks/x", "");
        symlink(&t.script, t.fixture.repo().join("hooks/post-index-change")).unwrap();
        t.config("core.hooksPath", "hooks");
    };
    Trap::new().spring(plant, &[&["add", "-A"]]).await;
}

#[tokio::test]
async fn filter_drivers() {
    for driver in ["clean", "process"] {
        let plant = |t: &Trap| {
            t.fixture.write(".gitattributes", "* filter=evil\n");
            t.config(&format!("filter.evil.{driver}"), &t.script);
        };
        Trap::new().spring(plant, &[&["add", "-A"]]).await;
    }
    let plant = |t: &Trap| {
        t.fixture.write(".git/info/attributes", "* filter=evil\n");
        t.config("filter.evil.smudge", &t.script);
    };
    Trap::new()
        .spring(
            plant,
            &[&["checkout", "-f", "HEAD~1"], &["checkout", "-f", "main"]],
        )
        .await;
}

#[tokio::test]
async fn textconv() {
    let plant = |t: &Trap| {
        t.fixture.write(".gitattributes", "* diff=evil\n");
        t.config("diff.evil.textconv", &t.script);
    };
    Trap::new().spring(plant, &[&["diff"]]).await;
}

#[tokio::test]
async fn external_diffs() {
    Trap::new()
        .spring(|t| t.config("diff.external", &t.script), &[&["diff"]])
        .await;
    let plant = |t: &Trap| {
        t.fixture.write(".gitattributes", "* diff=evil\n");
        t.config("diff.evil.command", &t.script);
    };
    Trap::new().spring(plant, &[&["diff"]]).await;
}

#[tokio::test]
async fn ssh_commands_and_other_transports() {
    let plant = |t: &Trap| {
        t.config("remote.origin.url", "ssh://example.invalid/x");
        t.config("core.sshCommand", &t.script);
    };
    Trap::new().spring(plant, &[&["fetch"]]).await;
    let plant = |t: &Trap| {
        t.config("remote.origin.url", &format!("ext::{}", t.script));
        t.config("protocol.ext.allow", "always");
    };
    Trap::new().spring(plant, &[&["fetch"]]).await;
}

#[tokio::test]
async fn objects_that_a_promisor_would_fetch() {
    let plant = |t: &Trap| {
        t.config("core.repositoryFormatVersion", "1");
        t.config("extensions.partialClone", "origin");
        t.config("remote.origin.promisor", "true");
        t.config("remote.origin.url", "ssh://example.invalid/x");
        t.config("core.sshCommand", &t.script);
    };
    let missing = ["cat-file", "-p", "1234567890123456789012345678901234567890"];
    Trap::new().spring(plant, &[&missing]).await;
}

#[tokio::test]
async fn aliases_and_included_files() {
    Trap::new()
        .spring(
            |t| t.config("alias.x", &format!("!{}", t.script)),
            &[&["x"]],
        )
        .await;
    let plant = |t: &Trap| {
        let included = t.fixture.dir.path().join("included");
        fs::write(&included, format!("[core]\n\tfsmonitor = {}\n", t.script)).unwrap();
        t.config("include.path", included.to_str().unwrap());
    };
    Trap::new().spring(plant, &[&["status"]]).await;
}

#[tokio::test]
async fn signatures_and_pagers() {
    let plant = |t: &Trap| {
        t.config("gpg.program", &t.script);
        t.config("log.showSignature", "true");
        // A commit that bears a signature, so that there is something to verify.
        let commit = t.fixture.git(&["cat-file", "commit", "HEAD"]);
        let (head, message) = commit.split_once("\n\n").unwrap();
        let signed = format!(
            "{head}\ngpgsig -----BEGIN PGP SIGNATURE-----\n \n x\n -----END PGP SIGNATURE-----\n\n{message}\n"
        );
        fs::write(t.fixture.dir.path().join("commit"), signed).unwrap();
        let id = t
            .fixture
            .git(&["hash-object", "-t", "commit", "-w", "../commit"]);
        t.fixture.git(&["update-ref", "HEAD", &id]);
    };
    Trap::new().spring(plant, &[&["log"]]).await;
    // A pager only starts on a terminal; `-p` with `alias` shows nothing without one either.
    let plant = |t: &Trap| {
        t.config("core.pager", &t.script);
        t.config("core.editor", &t.script);
    };
    Trap::new().spring(plant, &[&["commit", "-a"]]).await;
}

#[tokio::test]
async fn alternate_refs_command() {
    let plant = |t: &Trap| {
        let other = t.fixture.dir.path().join("other");
        plain_git(
            t.fixture.dir.path(),
            t.fixture.dir.path(),
            &["clone", "-q", "--bare", "repo", "other"],
        );
        let alternates = t.fixture.repo().join(".git/objects/info/alternates");
        fs::write(alternates, format!("{}\n", other.join("objects").display())).unwrap();
        t.config("core.alternateRefsCommand", &t.script);
        t.config("remote.origin.url", other.to_str().unwrap());
    };
    // Fetching something new asks what the alternates have.
    let control: &[&[&str]] = &[
        &[
            "--git-dir=../other",
            "--work-tree=.",
            "commit",
            "-q",
            "--allow-empty",
            "-m",
            "new",
        ],
        &["fetch", "origin"],
    ];
    Trap::new().spring(plant, control).await;
}

fn nested(t: &Trap, path: &str) -> PathBuf {
    let dir = t.fixture.repo().join(path);
    fs::create_dir_all(&dir).unwrap();
    let run = |args: &[&str]| {
        assert!(
            plain_git(&dir, t.fixture.dir.path(), args).status.success(),
            "{args:?}"
        );
    };
    run(&["init", "-q"]);
    fs::write(dir.join("file"), "x\n").unwrap();
    run(&["add", "-A"]);
    run(&["commit", "-q", "-m", "nested"]);
    run(&["config", "core.fsmonitor", &t.script]);
    dir
}

#[tokio::test]
async fn nested_repositories() {
    // As a gitlink: `git status` starts another one inside.
    let gitlink = |t: &Trap| {
        nested(t, "vendor/lib");
        t.fixture
            .plain(&["-c", "core.fsmonitor=false", "add", "vendor/lib"]);
        t.fixture.git(&["commit", "-q", "-m", "gitlink"]);
        let _ = fs::remove_file(&t.marker);
        fs::write(t.fixture.repo().join("vendor/lib/file"), "y\n").unwrap();
    };
    Trap::new().spring(gitlink, &[&["status"]]).await;
    // `git add --all`, too, which is why checkpoints do without it.
    Trap::new().spring(gitlink, &[&["add", "-A"]]).await;
    // Untracked: plain git looks inside only when it is run there.
    let untracked = |t: &Trap| drop(nested(t, "vendor/lib"));
    Trap::new()
        .spring(untracked, &[&["-C", "vendor/lib", "status"]])
        .await;
}

#[tokio::test]
async fn an_embedded_bare_repository() {
    let plant = |t: &Trap| {
        let dir: &Path = &t.fixture.repo().join("docs");
        fs::create_dir(dir).unwrap();
        plain_git(dir, t.fixture.dir.path(), &["init", "-q", "--bare"]);
        plain_git(dir, t.fixture.dir.path(), &["config", "core.bare", "false"]);
        plain_git(dir, t.fixture.dir.path(), &["config", "core.worktree", "."]);
        plain_git(
            dir,
            t.fixture.dir.path(),
            &["config", "core.fsmonitor", &t.script],
        );
    };
    Trap::new()
        .spring(plant, &[&["-C", "docs", "status"]])
        .await;
}

#[tokio::test]
async fn a_git_directory_that_leads_elsewhere() {
    for link in [true, false] {
        let plant = |t: &Trap| {
            t.config("core.fsmonitor", &t.script);
            let (old, new) = (
                t.fixture.repo().join(".git"),
                t.fixture.repo().join("elsewhere"),
            );
            fs::rename(&old, &new).unwrap();
            if link {
                symlink("elsewhere", &old).unwrap();
            } else {
                fs::write(&old, "gitdir: elsewhere\n").unwrap();
            }
        };
        Trap::new().spring(plant, &[&["status"]]).await;
    }
}

#[tokio::test]
async fn an_index_with_paths_outside() {
    let t = Trap::new();
    fs::write(t.fixture.dir.path().join("outside"), "secret\n").unwrap();
    // As git would not write it: the name of an entry, replaced in the bytes.
    t.fixture.write("xx/outside", "x");
    t.fixture.git(&["add", "-A"]);
    let path = t.fixture.repo().join(".git/index");
    let mut index = fs::read(&path).unwrap();
    let at = index
        .windows(10)
        .position(|bytes| bytes == b"xx/outside")
        .unwrap();
    index[at..at + 2].copy_from_slice(b"..");
    fs::write(&path, index).unwrap();
    fs::remove_dir_all(t.fixture.repo().join("xx")).unwrap();
    let mut trusted = t.fixture.trusted();
    let checkpoint = trusted.work_tree_tree().await.unwrap();
    assert_eq!(t.fixture.names(&trusted, &checkpoint), ["a.txt"]);
}

/// A search path with an entry inside the tree, as an activated `.venv` or `node_modules/.bin`
/// makes it, and a `git` in it that a cell could have written.
#[tokio::test]
async fn a_git_in_the_tree_is_not_run() {
    let fixture = Fixture::new();
    fixture.write("a.txt", "one\n");
    fixture.commit("one");
    let root = fixture.repository().root.unwrap();
    let (bin, marker) = (root.join(".venv/bin"), fixture.dir.path().join("marker"));
    let outside = fixture.dir.path().join("outside");
    fs::create_dir_all(&bin).unwrap();
    fs::create_dir_all(&outside).unwrap();
    let script = format!("#!/bin/sh\ntouch '{}'\n", marker.display());
    fs::write(bin.join("git"), script).unwrap();
    fs::set_permissions(bin.join("git"), fs::Permissions::from_mode(0o755)).unwrap();
    // The same by a link into the tree, and by a link beside it.
    symlink(&bin, fixture.dir.path().join("link")).unwrap();
    symlink(bin.join("git"), outside.join("git")).unwrap();
    let real = std::env::var_os("PATH").unwrap();
    for entry in [bin.clone(), fixture.dir.path().join("link"), outside] {
        let mut path = entry.clone().into_os_string();
        path.push(":");
        path.push(&real);
        // The control: without the tree's name, it is what would run.
        let fooled = Git::find(&path, &[], &scratch()).unwrap();
        let _ = fooled.version().await;
        assert!(marker.exists(), "the marker proves nothing");
        fs::remove_file(&marker).unwrap();

        let git = Git::find(&path, &[&root], &scratch()).unwrap();
        assert!(git.version().await.is_ok());
        let repository = fixture.repository();
        let mut trusted = Trusted::temporary(&git, &repository, OpenOptions::default()).unwrap();
        trusted.work_tree_tree().await.unwrap();
        assert!(!marker.exists(), "{} was searched", entry.display());
    }
    assert!(Git::find(bin.as_os_str(), &[&root], &scratch()).is_none());
}

fn scratch() -> [PathBuf; 1] {
    [std::env::temp_dir()]
}

#[test]
fn temporary_files_never_lie_where_commands_write() {
    let dir = tempfile::tempdir().unwrap();
    let (tree, own) = (dir.path().join("tree"), dir.path().join("own"));
    for dir in [&tree, &own] {
        fs::create_dir(dir).unwrap();
    }
    let inside = tree.join("tmp");
    fs::create_dir(&inside).unwrap();
    // A link that leads into the tree is no other place.
    let link = dir.path().join("link");
    symlink(&inside, &link).unwrap();
    let path = std::env::var_os("PATH").unwrap();
    let only = |places: &[PathBuf]| Git::find(&path, &[&tree], places).is_some();
    assert!(!only(&[
        inside.clone(),
        link.clone(),
        dir.path().join("missing")
    ]));
    assert!(only(&[inside, link, own]));
}
