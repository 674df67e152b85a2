//! Commits come home: a copy of `.git` stands for the view that a cell has of it.

use std::collections::BTreeMap;
use std::fs;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io::Write as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use recto_workspace::git::import::{
    Ask, Base, Fate, ImportError, Imported, Inside, Kept, Limits, NotableKind, RefusedReason,
    Spool, listing,
};
use recto_workspace::git::{Oid, Repository, discover};

use super::common::{Fixture, git};

/// A session whose commands work on the repository's files and a copy of its `.git`.
pub(crate) struct Session {
    pub(crate) host: Fixture,
    pub(crate) root: PathBuf,
    view: tempfile::TempDir,
    pub(crate) base: Base,
    pub(crate) limits: Limits,
}

impl Session {
    pub(crate) async fn new(host: Fixture) -> Self {
        let root = host.repo();
        Self::at(host, root).await
    }

    /// A repository with one commit of `a.txt` and `b.txt`.
    pub(crate) async fn simple() -> Self {
        Self::new(simple(&[])).await
    }

    pub(crate) async fn at(host: Fixture, root: PathBuf) -> Self {
        let view = tempfile::tempdir().unwrap();
        let repository = discover(&root).unwrap().unwrap();
        let copied = Command::new("cp")
            .arg("-a")
            .arg(&repository.common_dir)
            .arg(view.path().join("git"))
            .status();
        assert!(copied.unwrap().success());
        let base = git().import_base(&repository).await.unwrap();
        Self {
            host,
            root,
            view,
            base,
            limits: Limits::default(),
        }
    }

    pub(crate) fn repository(&self) -> Repository {
        discover(&self.root).unwrap().unwrap()
    }

    pub(crate) fn git_dir(&self) -> PathBuf {
        let repository = self.repository();
        let inner = repository.git_dir.strip_prefix(&repository.common_dir);
        self.view.path().join("git").join(inner.unwrap())
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command
            .current_dir(&self.root)
            .env("GIT_DIR", self.git_dir())
            .env("GIT_WORK_TREE", &self.root)
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("HOME", self.host.dir.path());
        for who in ["AUTHOR", "COMMITTER"] {
            command.env(format!("GIT_{who}_NAME"), "Agent");
            command.env(format!("GIT_{who}_EMAIL"), "agent@example.org");
        }
        command
    }

    /// Git inside, which must succeed.
    pub(crate) fn inside(&self, args: &[&str]) -> String {
        self.inside_with(args, b"")
    }

    pub(crate) fn inside_with(&self, args: &[&str], input: &[u8]) -> String {
        let mut command = self.command("git");
        command.args(args);
        let (ok, out, err) = run(command, input);
        assert!(ok, "{args:?}: {}", String::from_utf8_lossy(&err));
        String::from_utf8_lossy(&out).trim().to_owned()
    }

    pub(crate) fn commit(&self, path: &str, text: &str) -> Oid {
        self.host.write(self.root.join(path), text);
        self.inside(&["add", "-A"]);
        self.inside(&["commit", "-q", "--allow-empty", "-m", path]);
        self.oid("HEAD")
    }

    pub(crate) fn oid(&self, name: &str) -> Oid {
        Oid::parse(&self.inside(&["rev-parse", name])).unwrap()
    }

    pub(crate) fn ask(&self, ask: &Ask) -> Vec<u8> {
        let mut command = self.command(&ask.argv[0]);
        command.args(&ask.argv[1..]);
        let (ok, out, _) = run(command, &ask.stdin);
        assert!(ok);
        out
    }

    pub(crate) fn listed(&self) -> Inside {
        Inside::parse(&self.ask(&listing())).unwrap()
    }

    pub(crate) async fn bring_home(&mut self) -> Result<Option<Imported>, ImportError> {
        let inside = self.listed();
        let Some(news) = self.base.news(inside.clone(), &self.limits) else {
            return Ok(None);
        };
        let pack = news.pack(&self.base).map(|ask| self.ask(&ask));
        self.import(inside, pack).await.map(Some)
    }

    pub(crate) async fn import(
        &mut self,
        inside: Inside,
        pack: Option<Vec<u8>>,
    ) -> Result<Imported, ImportError> {
        let news = self.base.news(inside, &self.limits).unwrap();
        let spool = pack.map(|bytes| {
            let mut spool = Spool::new(&self.limits)?;
            spool.push(&bytes)?;
            Ok::<_, ImportError>(spool)
        });
        let repository = self.repository();
        git()
            .import(
                &repository,
                &mut self.base,
                news,
                spool.transpose()?,
                "s1",
                &self.limits,
            )
            .await
    }

    pub(crate) async fn home(&mut self) -> Imported {
        self.bring_home().await.unwrap().unwrap()
    }

    /// Git as the user runs it.
    pub(crate) fn outside(&self, args: &[&str]) -> String {
        let output = super::common::plain_git(&self.root, self.host.dir.path(), args);
        let text = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{args:?}: {text}");
        String::from_utf8_lossy(&output.stdout)
            .trim_end()
            .to_owned()
    }

    /// Every file of the repository's git directory with a hash of its contents.
    pub(crate) fn snapshot(&self) -> BTreeMap<PathBuf, u64> {
        let mut found = BTreeMap::new();
        files(&self.repository().common_dir, &mut found);
        found
    }
}

pub(crate) fn run(mut command: Command, input: &[u8]) -> (bool, Vec<u8>, Vec<u8>) {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_vec();
    let feed = std::thread::spawn(move || drop(stdin.write_all(&input)));
    let output = child.wait_with_output().unwrap();
    feed.join().unwrap();
    (output.status.success(), output.stdout, output.stderr)
}

fn files(dir: &Path, found: &mut BTreeMap<PathBuf, u64>) {
    for entry in fs::read_dir(dir).unwrap().flatten() {
        let path = entry.path();
        if entry.file_type().unwrap().is_dir() {
            files(&path, found);
        } else {
            let mut hasher = DefaultHasher::new();
            fs::read(&path).unwrap_or_default().hash(&mut hasher);
            found.insert(path, hasher.finish());
        }
    }
}

pub(crate) fn simple(options: &[&str]) -> Fixture {
    let host = Fixture::init(options);
    host.write("a.txt", "one\n");
    host.write("b.txt", "two\n");
    host.commit("first");
    host
}

fn fate<'a>(imported: &'a Imported, name: &str) -> &'a Fate {
    let found = imported.refs.iter().find(|one| one.name == name);
    &found
        .unwrap_or_else(|| panic!("{name} in {imported:?}"))
        .fate
}

#[tokio::test]
async fn a_commit_comes_home_and_the_branch_follows() {
    let mut session = Session::simple().await;
    let before = session.snapshot();
    let old = session.oid("HEAD");
    let new = session.commit("a.txt", "changed\n");
    let imported = session.home().await;
    assert_eq!(
        fate(&imported, "refs/heads/main"),
        &Fate::Moved { from: Some(old) }
    );
    assert!(imported.warnings().is_empty(), "{:?}", imported.warnings());
    assert_eq!(session.outside(&["rev-parse", "HEAD"]), new.as_str());
    let at = session.outside(&["rev-parse", "refs/recto/s1/heads/main"]);
    assert_eq!(at, new.as_str());
    assert_eq!(session.outside(&["status", "--porcelain"]), "");
    assert_eq!(session.outside(&["diff", "--cached", "--stat"]), "");
    let log = session.outside(&["reflog", "-1", "HEAD"]);
    assert!(log.contains("recto: commits of a session"), "{log}");
    let log = session.outside(&["reflog", "-1", "main"]);
    assert!(log.contains("recto: commits of a session"), "{log}");
    session.outside(&["fsck", "--strict"]);

    // Nothing else of `.git` is touched, and what is new is only what should be.
    let after = session.snapshot();
    for (path, bytes) in &before {
        let may = [
            "refs/heads/main",
            "logs/HEAD",
            "logs/refs/heads/main",
            "index",
        ];
        let changed = after.get(path) != Some(bytes);
        assert!(
            !changed || may.iter().any(|end| path.ends_with(end)),
            "{path:?}"
        );
    }
    for path in after.keys().filter(|path| !before.contains_key(*path)) {
        let text = path.to_str().unwrap();
        let is_pack = text.contains("objects/pack/pack-");
        assert!(
            is_pack || text.ends_with("refs/recto/s1/heads/main"),
            "{text}"
        );
        if is_pack {
            assert_eq!(fs::metadata(path).unwrap().mode() & 0o777, 0o444);
        }
    }
}

#[tokio::test]
async fn nothing_new_takes_no_process_and_writes_nothing() {
    let mut session = Session::simple().await;
    assert!(
        session
            .base
            .news(session.listed(), &session.limits)
            .is_none()
    );
    session.commit("a.txt", "changed\n");
    session.home().await;
    let before = session.snapshot();
    assert!(session.bring_home().await.unwrap().is_none());
    assert_eq!(session.snapshot(), before);
}

#[tokio::test]
async fn later_turns_go_on_where_the_last_one_ended() {
    let mut session = Session::simple().await;
    for turn in ["1", "2", "3"] {
        let new = session.commit("a.txt", turn);
        let imported = session.home().await;
        assert!(matches!(
            fate(&imported, "refs/heads/main"),
            Fate::Moved { .. }
        ));
        assert_eq!(session.outside(&["rev-parse", "HEAD"]), new.as_str());
    }
}

#[tokio::test]
async fn branches_tags_and_merges_come_home() {
    let mut session = Session::simple().await;
    session.inside(&["switch", "-q", "-c", "topic/x"]);
    let topic = session.commit("c.txt", "three\n");
    session.inside(&["switch", "-q", "main"]);
    session.commit("a.txt", "changed\n");
    session.inside(&[
        "merge",
        "-q",
        "--no-ff",
        "--signoff",
        "-m",
        "merge",
        "topic/x",
    ]);
    session.inside(&["tag", "v1"]);
    session.inside(&["tag", "-a", "-m", "second", "v2"]);
    let main = session.oid("main");
    let imported = session.home().await;
    assert_eq!(imported.refs.len(), 4);
    assert_eq!(fate(&imported, "refs/heads/topic/x"), &Fate::Created);
    assert_eq!(fate(&imported, "refs/tags/v2"), &Fate::Created);
    let lines = imported.lines();
    assert!(lines[0].starts_with("branch main moved from "), "{lines:?}");
    let topic_line = format!("branch topic/x made at {}", &topic.as_str()[..10]);
    assert_eq!(lines[1], topic_line);
    assert!(lines[2].starts_with("tag v1 made at "), "{lines:?}");
    assert_eq!(session.outside(&["rev-parse", "main"]), main.as_str());
    assert_eq!(session.outside(&["rev-parse", "topic/x"]), topic.as_str());
    assert_eq!(session.outside(&["cat-file", "-t", "v2"]), "tag");
    assert_eq!(session.outside(&["status", "--porcelain"]), "");
    session.outside(&["fsck", "--strict"]);
}

#[tokio::test]
async fn the_first_commit_of_a_repository_comes_home() {
    let mut session = Session::new(Fixture::new()).await;
    let new = session.commit("a.txt", "one\n");
    let imported = session.home().await;
    assert_eq!(
        fate(&imported, "refs/heads/main"),
        &Fate::Moved { from: None }
    );
    assert_eq!(session.outside(&["rev-parse", "HEAD"]), new.as_str());
    assert_eq!(session.outside(&["status", "--porcelain"]), "");
}

#[tokio::test]
async fn staged_changes_of_other_files_stay_staged() {
    let host = simple(&[]);
    host.write("b.txt", "staged\n");
    host.git(&["add", "b.txt"]);
    let mut session = Session::new(host).await;
    session.host.write("a.txt", "changed\n");
    session.inside(&["commit", "-q", "-m", "x", "--only", "a.txt"]);
    let imported = session.home().await;
    assert!(matches!(
        fate(&imported, "refs/heads/main"),
        Fate::Moved { .. }
    ));
    assert_eq!(session.outside(&["status", "--porcelain"]), "M  b.txt");
}

#[tokio::test]
async fn staged_changes_in_the_way_keep_branch_and_index() {
    let host = simple(&[]);
    host.write("a.txt", "staged\n");
    host.git(&["add", "a.txt"]);
    let mut session = Session::new(host).await;
    let old = session.outside(&["rev-parse", "HEAD"]);
    let index = fs::read(session.repository().git_dir.join("index")).unwrap();
    let new = session.commit("a.txt", "changed\n");
    let imported = session.home().await;
    let why = fate(&imported, "refs/heads/main");
    assert!(matches!(why, Fate::Kept(Kept::Index(_))), "{why:?}");
    assert_eq!(imported.warnings().len(), 1);
    assert_eq!(session.outside(&["rev-parse", "HEAD"]), old);
    assert_eq!(
        fs::read(session.repository().git_dir.join("index")).unwrap(),
        index
    );
    let at = session.outside(&["rev-parse", "refs/recto/s1/heads/main"]);
    assert_eq!(at, new.as_str());
}

#[tokio::test]
async fn a_branch_that_moved_meanwhile_stays() {
    let mut session = Session::simple().await;
    session.commit("a.txt", "changed\n");
    session.outside(&["commit", "-q", "--allow-empty", "-m", "mine"]);
    let mine = session.outside(&["rev-parse", "HEAD"]);
    let imported = session.home().await;
    assert_eq!(fate(&imported, "refs/heads/main"), &Fate::Kept(Kept::Moved));
    assert_eq!(session.outside(&["rev-parse", "HEAD"]), mine);
}

#[tokio::test]
async fn a_rewritten_history_is_not_followed() {
    let mut session = Session::simple().await;
    session.inside(&["commit", "-q", "--amend", "-m", "rewritten"]);
    let imported = session.home().await;
    assert_eq!(
        fate(&imported, "refs/heads/main"),
        &Fate::Kept(Kept::Rewritten)
    );
}

#[tokio::test]
async fn other_branches_of_the_user_are_left_alone() {
    let host = simple(&[]);
    host.git(&["branch", "other"]);
    let mut session = Session::new(host).await;
    let old = session.outside(&["rev-parse", "other"]);
    session.inside(&["switch", "-q", "other"]);
    session.commit("a.txt", "changed\n");
    let imported = session.home().await;
    assert_eq!(
        fate(&imported, "refs/heads/other"),
        &Fate::Kept(Kept::Elsewhere)
    );
    assert_eq!(imported.switched.as_deref(), Some("refs/heads/other"));
    assert_eq!(session.outside(&["rev-parse", "other"]), old);
    assert_eq!(
        session.outside(&["symbolic-ref", "HEAD"]),
        "refs/heads/main"
    );
}

#[tokio::test]
async fn a_branch_deleted_inside_is_kept() {
    let host = simple(&[]);
    host.git(&["branch", "other"]);
    let mut session = Session::new(host).await;
    session.inside(&["branch", "-D", "other"]);
    let imported = session.home().await;
    assert_eq!(imported.deleted, ["refs/heads/other"]);
    session.outside(&["rev-parse", "--verify", "other"]);
}

#[tokio::test]
async fn a_commit_without_a_branch_comes_home() {
    let mut session = Session::simple().await;
    session.inside(&["switch", "-q", "--detach"]);
    let new = session.commit("a.txt", "changed\n");
    let imported = session.home().await;
    assert_eq!(fate(&imported, "HEAD"), &Fate::Kept(Kept::Detached));
    let at = session.outside(&["rev-parse", "refs/recto/s1/detached"]);
    assert_eq!(at, new.as_str());
}

#[tokio::test]
async fn a_merge_that_goes_on_keeps_the_branch() {
    let mut session = Session::simple().await;
    session.commit("a.txt", "changed\n");
    let head = session.outside(&["rev-parse", "HEAD"]);
    fs::write(session.repository().git_dir.join("MERGE_HEAD"), head).unwrap();
    let imported = session.home().await;
    assert_eq!(
        fate(&imported, "refs/heads/main"),
        &Fate::Kept(Kept::Busy("merge"))
    );
}

#[tokio::test]
async fn names_that_would_come_before_others_are_not_made() {
    let host = simple(&[]);
    host.git(&["update-ref", "refs/remotes/origin/main", "HEAD"]);
    let mut session = Session::new(host).await;
    for name in [
        "refs/tags/main",
        "refs/heads/origin/main",
        "refs/heads/MAIN",
    ] {
        session.inside(&["update-ref", name, "HEAD"]);
    }
    let imported = session.home().await;
    for name in [
        "refs/tags/main",
        "refs/heads/origin/main",
        "refs/heads/MAIN",
    ] {
        assert_eq!(
            fate(&imported, name),
            &Fate::Kept(Kept::Ambiguous),
            "{name}"
        );
    }
}

#[tokio::test]
async fn changes_that_act_are_told() {
    let mut session = Session::simple().await;
    session.commit("sub/.gitattributes", "* filter=x\n");
    session.commit(".github/workflows/ci.yml", "on: push\n");
    let imported = session.home().await;
    let kinds: Vec<_> = imported.notable.iter().map(|one| one.kind).collect();
    assert_eq!(kinds, [NotableKind::Workflow, NotableKind::Attributes]);
    assert_eq!(imported.warnings().len(), 2);
}

#[tokio::test]
async fn a_cell_that_writes_the_repository_itself_has_nothing_to_bring() {
    let mut session = Session::simple().await;
    let inside = {
        session.outside(&["commit", "-q", "--allow-empty", "-m", "direct"]);
        session.outside(&["tag", "v1"]);
        let format = "--format=%(objectname) %(refname)%(HEAD)";
        let text = session.outside(&["for-each-ref", format]);
        Inside::parse(format!("{text}\nend\n").as_bytes())
    };
    let before = session.snapshot();
    let imported = session.import(inside.unwrap(), None).await.unwrap();
    assert_eq!(imported, Imported::default());
    assert_eq!(session.snapshot(), before);
}

async fn works_in(session: &mut Session) {
    session.commit("a.txt", "changed\n");
    session.inside(&["branch", "new"]);
    session.inside(&["tag", "v1"]);
    let new = session.oid("HEAD");
    let imported = session.home().await;
    assert!(
        matches!(fate(&imported, "refs/heads/main"), Fate::Moved { .. }),
        "{imported:?}"
    );
    assert_eq!(fate(&imported, "refs/heads/new"), &Fate::Created);
    assert_eq!(session.outside(&["rev-parse", "HEAD"]), new.as_str());
    assert_eq!(session.outside(&["status", "--porcelain"]), "");
    session.commit("a.txt", "again\n");
    let imported = session.home().await;
    assert!(
        matches!(fate(&imported, "refs/heads/main"), Fate::Moved { .. }),
        "{imported:?}"
    );
}

#[tokio::test]
async fn sha256_repositories_work() {
    works_in(&mut Session::new(simple(&["--object-format=sha256"])).await).await;
    works_in(&mut Session::new(Fixture::init(&["--object-format=sha256"])).await).await;
}

#[tokio::test]
async fn packed_references_work() {
    let host = simple(&[]);
    host.git(&["pack-refs", "--all"]);
    works_in(&mut Session::new(host).await).await;
}

#[tokio::test]
async fn reftables_work() {
    works_in(&mut Session::new(simple(&["--ref-format=reftable"])).await).await;
}

#[tokio::test]
async fn shallow_partial_and_borrowing_clones_work() {
    for options in [
        ["--depth=1", "--no-local"],
        ["--filter=blob:none", "--no-local"],
        ["--shared", "-q"],
    ] {
        let source = simple(&[]);
        source.write("a.txt", "older\n");
        source.commit("second");
        source.git(&["config", "uploadpack.allowFilter", "true"]);
        let host = Fixture::new();
        fs::remove_dir_all(host.repo()).unwrap();
        let path = source.repo().display().to_string();
        let from = if options[0] == "--shared" {
            path
        } else {
            format!("file://{path}")
        };
        let dir = host.dir.path();
        let args = ["clone", "-q", options[0], options[1], &from, "repo"];
        let clone = super::common::plain_git(dir, dir, &args);
        assert!(
            clone.status.success(),
            "{}",
            String::from_utf8_lossy(&clone.stderr)
        );
        works_in(&mut Session::new(host).await).await;
    }
}

#[tokio::test]
async fn linked_work_trees_work() {
    let host = simple(&[]);
    let root = host.dir.path().canonicalize().unwrap().join("linked");
    host.git(&[
        "worktree",
        "add",
        "-q",
        "-b",
        "side",
        root.to_str().unwrap(),
    ]);
    let main = host.git(&["rev-parse", "main"]);
    let mut session = Session::at(host, root).await;
    let new = session.commit("a.txt", "changed\n");
    let imported = session.home().await;
    assert!(matches!(
        fate(&imported, "refs/heads/side"),
        Fate::Moved { .. }
    ));
    assert_eq!(session.outside(&["rev-parse", "HEAD"]), new.as_str());
    assert_eq!(session.outside(&["status", "--porcelain"]), "");
    assert_eq!(session.host.git(&["rev-parse", "main"]), main);
    let log = session.outside(&["reflog", "-1", "HEAD"]);
    assert!(log.contains("recto"), "{log}");
}

#[tokio::test]
async fn root_leaves_everything_to_the_owner() {
    if !rustix_is_root() {
        return;
    }
    let host = simple(&[]);
    let dir = host.dir.path().to_owned();
    let given = Command::new("chown")
        .args(["-R", "1000:1000"])
        .arg(&dir)
        .status();
    assert!(given.unwrap().success());
    let mut session = Session::new(host).await;
    session.commit("a.txt", "changed\n");
    session.inside(&["branch", "new"]);
    fs::write(dir.join("mark"), "").unwrap();
    let imported = session.home().await;
    assert!(
        matches!(fate(&imported, "refs/heads/main"), Fate::Moved { .. }),
        "{imported:?}"
    );
    let mut found = BTreeMap::new();
    files(&session.repository().common_dir, &mut found);
    for path in found.keys() {
        assert_eq!(fs::metadata(path).unwrap().uid(), 1000, "{path:?}");
    }
    let recto = session.repository().common_dir.join("refs/recto");
    assert_eq!(fs::metadata(recto).unwrap().uid(), 1000);
}

fn rustix_is_root() -> bool {
    fs::metadata("/proc/self").unwrap().uid() == 0
}

#[tokio::test]
async fn concurrent_imports_of_one_session_agree() {
    let session = Session::simple().await;
    let new = session.commit("a.txt", "changed\n");
    session.inside(&["branch", "x"]);
    let inside = session.listed();
    let news = session.base.news(inside, &session.limits).unwrap();
    let pack = session.ask(&news.pack(&session.base).unwrap());
    let repository = session.repository();
    let one = || {
        let (mut base, news, limits) = (session.base.clone(), news.clone(), session.limits.clone());
        let mut spool = Spool::new(&limits).unwrap();
        spool.push(&pack).unwrap();
        let repository = repository.clone();
        async move {
            git()
                .import(&repository, &mut base, news, Some(spool), "s1", &limits)
                .await
        }
    };
    let (a, b, c, d) = tokio::join!(one(), one(), one(), one());
    for result in [a, b, c, d] {
        let refused = result.unwrap().refused;
        assert!(
            refused
                .iter()
                .all(|one| matches!(one.reason, RefusedReason::Write(_)))
        );
    }
    assert_eq!(session.outside(&["rev-parse", "HEAD"]), new.as_str());
    assert_eq!(
        session.outside(&["rev-parse", "refs/recto/s1/heads/x"]),
        new.as_str()
    );
    assert_eq!(session.outside(&["status", "--porcelain"]), "");
    session.outside(&["fsck", "--strict"]);
}
