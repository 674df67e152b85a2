//! Repositories: work goes on, what makes the host's git run programs stays.

use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;

use futures_util::StreamExt;
use recto_cell::{GitView, Layer, launch};
use recto_protocol::ports::cell::{CellError, Command, ExitStatus, ProcessEvent};

use crate::support::{Place, git, run, sh};

crate::cases! {
    everything_works_and_nothing_gets_out, a_layer_is_seen_by_the_next_cell,
    commits_come_out_as_a_bundle, two_cells_have_views_of_their_own, unsuitable_layers_are_refused,
    a_read_only_view, trees_in_trees_are_protected, a_git_directory_is_no_work_tree, absent_things_stay_absent, two_cells_share_a_tree, linked_worktrees_work,
    a_lying_git_file_shows_nothing, submodules_work, agent_configuration_stays,
    agent_configuration_behind_links_stays, submodules_and_worktrees_stay,
    nested_repositories_stay, new_repositories_are_disarmed, further_trees_are_protected,
}

/// All of a git directory that could differ: names, modes, contents.
fn state(directory: &Path) -> Vec<String> {
    let mut state = Vec::new();
    let mut waiting = vec![directory.to_owned()];
    while let Some(path) = waiting.pop() {
        for entry in std::fs::read_dir(&path).unwrap() {
            let path = entry.unwrap().path();
            let meta = std::fs::symlink_metadata(&path).unwrap();
            let content = if meta.is_file() {
                std::fs::read(&path).unwrap()
            } else {
                Vec::new()
            };
            let (mode, uid) = (meta.permissions().mode(), meta.uid());
            state.push(format!("{} {mode:o} {uid} {content:?}", path.display()));
            if meta.is_dir() {
                waiting.push(path);
            }
        }
    }
    state.sort();
    state
}

/// Where a name in a directory was set aside to.
fn aside(directory: &Path, name: &str) -> std::path::PathBuf {
    let start = format!("{name}.recto-quarantine-");
    let mut entries = std::fs::read_dir(directory).unwrap().map(Result::unwrap);
    let found = entries.find(|entry| entry.file_name().to_string_lossy().starts_with(&start));
    found.unwrap().path()
}

/// What people do with a repository, and what must not get out.
const WORK: &str = "set -e; git status --porcelain; echo g > g; git add g; git commit -qm g; git checkout -qb topic; \
    echo h >> g; git stash -q; git stash pop -q; git commit -qam h; git tag t1; git branch -m topic renamed; \
    git gc -q --prune=now; git repack -adq; git config core.fsmonitor 'touch pwned; false'; git config --unset core.fsmonitor; \
    git worktree add -q /tmp/wt; git -C /tmp/wt commit -q --allow-empty -m wt; git worktree remove /tmp/wt; \
    git rebase -q main; git reset -q --hard; git fsck --no-progress 2>&1; git log --oneline | wc -l; git status --porcelain";

async fn everything_works_and_nothing_gets_out() {
    let place = Place::new();
    place.repository();
    let git_dir = place.tree().join(".git");
    let before = state(&git_dir);
    let cell = place.cell().await;
    let (text, status) = run(&cell, sh(WORK)).await;
    assert_eq!((text.as_str(), status), ("3\n", ExitStatus::Code(0)));
    let evil = "echo evil > .git/hooks/pre-commit; echo x >> .git/config; echo /x > .git/commondir; echo /x > .git/objects/info/alternates; \
        echo x > .git/config.worktree; rm -rf .git/refs .git/logs; chmod 000 .git/objects; ln -s / .git/link; mkfifo .git/fifo; mv .git x; rm -rf .git";
    let (text, _) = run(&cell, sh(evil)).await;
    assert!(text.contains("busy"), "{text}");
    cell.close().await;
    assert_eq!(state(&git_dir), before);
    git(&place.tree(), &["fsck"]);
}

async fn a_layer_is_seen_by_the_next_cell() {
    let place = Place::new();
    place.repository();
    let before = state(&place.tree().join(".git"));
    let layer = Layer::make(place.base.path().join("layer")).unwrap();
    assert!(!layer.is_used());
    let mut spec = place.spec();
    spec.git = GitView::Layer(layer.clone());
    let first = launch(spec.clone()).await.unwrap();
    let (_, status) = run(&first, sh(WORK)).await;
    assert_eq!(status, ExitStatus::Code(0));
    // One at a time.
    match launch(spec.clone()).await {
        Err(CellError::Unavailable { reason, .. }) => assert!(reason.contains("layer"), "{reason}"),
        other => panic!("{:?}", other.map(|_| ())),
    }
    first.close().await;
    let size = layer.size(100_000).unwrap();
    assert!(
        layer.is_used() && size.complete && size.files > 10 && size.bytes > 4096,
        "{size:?}"
    );
    assert!(!layer.size(3).unwrap().complete);
    // The host goes on meanwhile; both are seen.
    git(&place.tree(), &["branch", "users"]);
    let second = launch(spec.clone()).await.unwrap();
    let (text, _) = run(
        &second,
        sh("git log --oneline renamed | wc -l; git branch --list users; git fsck 2>&1; true"),
    )
    .await;
    assert!(text.starts_with("3\n  users\n"), "{text}");
    second.close().await;
    git(&place.tree(), &["branch", "-D", "-q", "users"]);
    let directory = layer.directory().to_owned();
    layer.discard().unwrap();
    assert!(!directory.exists());
    let after = state(&place.tree().join(".git"));
    assert_eq!(after, before);
}

/// How the harness gets at the commits: a bundle from a command in a cell with the same view.
async fn commits_come_out_as_a_bundle() {
    let place = Place::new();
    place.repository();
    let cell = place.cell().await;
    run(&cell, sh(WORK)).await;
    let command = Command {
        argv: [
            "git", "bundle", "create", "-q", "-", "--all", "--not", "main",
        ]
        .map(str::to_owned)
        .into(),
        ..Command::default()
    };
    // `main` has moved in the view; the host's is an ancestor by number.
    let old = std::fs::read_to_string(place.tree().join(".git/refs/heads/main")).unwrap();
    let mut command = command;
    command.argv[7] = old.trim().to_owned();
    let mut process = cell.spawn(command).await.unwrap();
    let mut bundle = Vec::new();
    while let Some(event) = process.events.next().await {
        if let ProcessEvent::Output(bytes) = event {
            bundle.extend_from_slice(&bytes);
        }
    }
    cell.close().await;
    let file = place.base.path().join("b");
    std::fs::write(&file, bundle).unwrap();
    let file = file.to_str().unwrap();
    git(&place.tree(), &["bundle", "verify", "-q", file]);
    git(
        &place.tree(),
        &["fetch", "-q", file, "+refs/heads/*:refs/agent/*"],
    );
    git(
        &place.tree(),
        &["rev-parse", "-q", "--verify", "refs/agent/renamed"],
    );
}

async fn two_cells_have_views_of_their_own() {
    let place = Place::new();
    place.repository();
    let layers = ["a", "b"].map(|name| Layer::make(place.base.path().join(name)).unwrap());
    let mut cells = Vec::new();
    for layer in &layers {
        let mut spec = place.spec();
        spec.git = GitView::Layer(layer.clone());
        cells.push(launch(spec).await.unwrap());
    }
    run(&cells[0], sh("git branch first")).await;
    let (text, _) = run(&cells[1], sh("git branch second; git branch --list")).await;
    assert_eq!(text, "* main\n  second\n");
    for cell in cells {
        cell.close().await;
    }
}

async fn unsuitable_layers_are_refused() {
    let place = Place::new();
    place.repository();
    let mut spec = place.spec();
    spec.git = GitView::Layer(Layer::at(place.base.path().join("missing")));
    assert!(launch(spec.clone()).await.is_err());
    // What a cell has left in a layer is no way out of it.
    let layer = Layer::make(place.base.path().join("layer")).unwrap();
    spec.git = GitView::Layer(layer.clone());
    let cell = launch(spec.clone()).await.unwrap();
    run(&cell, sh("git branch x")).await;
    cell.close().await;
    let part = std::fs::read_dir(layer.directory())
        .unwrap()
        .next()
        .unwrap()
        .unwrap()
        .path();
    std::fs::remove_dir_all(part.join("upper")).unwrap();
    symlink(place.home(), part.join("upper")).unwrap();
    assert!(launch(spec).await.is_err());
    assert!(place.home().join(".ssh/id").exists());
}

async fn trees_in_trees_are_protected() {
    let place = Place::new();
    place.repository();
    let tree = place.tree();
    let inner = tree.join("inner");
    std::fs::create_dir(&inner).unwrap();
    git(
        &inner,
        &["init", "-q", "-b", "main", "--separate-git-dir=real"],
    );
    git(
        &inner,
        &["config", "core.worktree", inner.to_str().unwrap()],
    );
    let repositories = [tree.join(".git"), inner.join("real")];
    let before = repositories.clone().map(|path| state(&path));
    for (work, further) in [(&tree, &inner), (&inner, &tree)] {
        let mut spec = place.spec();
        spec.work_tree = work.clone();
        spec.policy.writable = vec![further.to_str().unwrap().to_owned()];
        let cell = launch(spec).await.unwrap();
        let script = format!(
            "for d in {0} {0}/inner; do cd $d; mkdir .recto/x .agents/x; rmdir .recto; \
             git -c user.name=t -c user.email=t@t commit -q --allow-empty -m x && echo works; done; echo x > {0}/inner/.git",
            tree.display()
        );
        let (text, _) = run(&cell, sh(&script)).await;
        assert_eq!(text.matches("works").count(), 2, "{text}");
        cell.close().await;
        assert_eq!(repositories.clone().map(|path| state(&path)), before);
        assert!(
            !tree.join(".recto").exists() && !inner.join(".recto").exists(),
            "{text}"
        );
    }
}

async fn a_git_directory_is_no_work_tree() {
    let place = Place::new();
    git(&place.tree(), &["init", "-q", "--bare", "."]);
    match launch(place.spec()).await {
        Err(CellError::Unavailable { remedy, .. }) => {
            assert!(remedy.contains("worktree"), "{remedy}")
        }
        other => panic!("{:?}", other.map(|_| ())),
    }
}

async fn a_read_only_view() {
    let place = Place::new();
    place.repository();
    let mut spec = place.spec();
    spec.git = GitView::ReadOnly;
    let cell = launch(spec).await.unwrap();
    let (text, _) = run(
        &cell,
        sh("git log --oneline | wc -l; git branch x; echo y > f.txt && git status --porcelain"),
    )
    .await;
    assert!(
        text.starts_with("1\n") && text.contains("Read-only") && text.ends_with(" M f.txt\n"),
        "{text}"
    );
}

async fn absent_things_stay_absent() {
    let place = Place::new();
    place.repository();
    let names = [".recto", ".agents"];
    let cell = place.cell().await;
    for name in names {
        let (text, _) = run(
            &cell,
            sh(&format!(
                "mkdir -p {name}/x; touch {name}/y; mv {name} z; rm -rf {name}; touch {name}"
            )),
        )
        .await;
        assert!(!text.contains("BAIT"));
    }
    assert_eq!(
        run(
            &cell,
            sh("git add -A; git commit -qm x --allow-empty && git status --porcelain")
        )
        .await
        .0,
        ""
    );
    cell.close().await;
    for name in names {
        assert!(!place.tree().join(name).exists(), "{name} was left behind");
    }
}

async fn two_cells_share_a_tree() {
    let place = Place::new();
    let (first, second) = (place.cell().await, place.cell().await);
    first.close().await;
    let (text, _) = run(
        &second,
        sh("mkdir .recto/x; rmdir .recto; mkdir .recto; touch .recto/config.toml"),
    )
    .await;
    assert!(text.contains("Read-only"), "{text}");
    second.close().await;
    assert!(!place.tree().join(".recto").exists());
}

async fn linked_worktrees_work() {
    let place = Place::new();
    place.repository();
    let linked = place.base.path().canonicalize().unwrap().join("linked");
    git(
        &place.tree(),
        &["worktree", "add", "-q", linked.to_str().unwrap()],
    );
    let before = state(&place.tree().join(".git"));
    let mut spec = place.spec();
    spec.work_tree = linked.clone();
    let cell = launch(spec).await.unwrap();
    let (text, status) = run(
        &cell,
        sh("git config --get user.name; echo h > h && git add h && git commit -qm h && git status --porcelain; git config a.b c; echo x > .git; mv .git z"),
    )
    .await;
    assert!(
        text.starts_with("t\n") && text.contains("busy"),
        "{text} {status:?}"
    );
    cell.close().await;
    assert_eq!(state(&place.tree().join(".git")), before);
    assert!(linked.join("h").exists());
}

async fn a_lying_git_file_shows_nothing() {
    let place = Place::new();
    place.repository();
    let lure = place.base.path().canonicalize().unwrap().join("lure");
    std::fs::create_dir(&lure).unwrap();
    for target in [place.home().join(".ssh"), place.tree().join(".git")] {
        std::fs::write(lure.join(".git"), format!("gitdir: {}\n", target.display())).unwrap();
        let mut spec = place.spec();
        spec.work_tree = lure.clone();
        let cell = launch(spec).await.unwrap();
        let (text, _) = run(
            &cell,
            sh(&format!("ls -A {0} && cat {0}/*", target.display())),
        )
        .await;
        assert!(text.contains("No such file"), "{text}");
        cell.close().await;
    }
}

async fn submodules_work() {
    let place = Place::new();
    place.repository();
    let other = Place::new();
    other.repository();
    let from = other.tree();
    git(
        &place.tree(),
        &[
            "-c",
            "protocol.file.allow=always",
            "submodule",
            "--quiet",
            "add",
            from.to_str().unwrap(),
            "sub",
        ],
    );
    git(&place.tree().join("sub"), &["config", "user.email", "t@t"]);
    git(&place.tree().join("sub"), &["config", "user.name", "t"]);
    let mut spec = place.spec();
    spec.work_tree = place.tree().join("sub");
    let cell = launch(spec).await.unwrap();
    let (text, status) = run(
        &cell,
        sh("echo s > s && git add s && git commit -qm s && git status --porcelain && ls .."),
    )
    .await;
    assert_eq!((text.as_str(), status), ("sub\n", ExitStatus::Code(0)));
}

async fn agent_configuration_stays() {
    let place = Place::new();
    std::fs::create_dir(place.tree().join(".recto")).unwrap();
    std::fs::write(place.tree().join(".recto/config.toml"), "x").unwrap();
    let cell = place.cell().await;
    let (text, _) = run(
        &cell,
        sh("cat .recto/config.toml; echo y > .recto/config.toml; rm -rf .recto; mv .recto z"),
    )
    .await;
    assert!(text.starts_with('x'), "{text}");
    cell.close().await;
    assert_eq!(
        std::fs::read_to_string(place.tree().join(".recto/config.toml")).unwrap(),
        "x"
    );
    assert!(!place.tree().join(".agents").exists());
}

/// A shell function: renames, and never copies as `mv` does over mounts.
const MOVE: &str = "m() { python3 -c 'import os,sys; os.rename(*sys.argv[1:])' $1 $2 2>/dev/null || echo pinned; }";

async fn agent_configuration_behind_links_stays() {
    let place = Place::new();
    let tree = place.tree();
    std::fs::create_dir_all(tree.join("deep/agents")).unwrap();
    std::fs::write(tree.join("deep/agents/a.md"), "x").unwrap();
    symlink("deep/agents", tree.join(".agents")).unwrap();
    symlink("/nowhere", tree.join(".recto")).unwrap();
    symlink("deep", tree.join(".git")).unwrap();
    let cell = place.cell().await;
    let script = "echo y > .agents/a.md; m deep x; m deep/agents x; rm .agents .recto .git; mkdir .agents .recto; echo y > .agents/a.md; echo y > .recto/config.toml";
    let (text, _) = run(&cell, sh(&format!("{MOVE}; {script}"))).await;
    assert_eq!(text.matches("pinned").count(), 2, "{text}");
    cell.close().await;
    let target = |name: &str| std::fs::read_link(tree.join(name)).unwrap();
    assert_eq!(target(".agents"), Path::new("deep/agents"));
    assert_eq!(target(".recto"), Path::new("/nowhere"));
    assert_eq!(target(".git"), Path::new("deep"));
    assert_eq!(
        std::fs::read_to_string(tree.join("deep/agents/a.md")).unwrap(),
        "x"
    );
    assert!(aside(&tree, ".recto").join("config.toml").exists());
}

async fn submodules_and_worktrees_stay() {
    let place = Place::new();
    place.repository();
    let other = Place::new();
    other.repository();
    let from = other.tree();
    let allow = ["-c", "protocol.file.allow=always"];
    let add = [
        "submodule",
        "--quiet",
        "add",
        from.to_str().unwrap(),
        "deep/sub",
    ];
    git(&place.tree(), &[&allow[..], &add[..]].concat());
    git(&place.tree(), &["commit", "-qm", "sub"]);
    let linked = place.base.path().canonicalize().unwrap().join("linked");
    git(
        &place.tree(),
        &["worktree", "add", "-q", linked.to_str().unwrap()],
    );
    let before = state(&place.tree().join(".git"));
    let cell = place.cell().await;
    let script = "set -e; cd deep/sub; git config user.name t; git config user.email t@t; echo s > s; git add s; git commit -qm s; git config core.fsmonitor x; \
        git config --unset core.fsmonitor; cd ../..; git add deep/sub; git commit -qm sub2; git status --porcelain; echo done";
    let (text, _) = run(&cell, sh(script)).await;
    assert_eq!(text, "done\n");
    let script =
        "m deep x; m deep/sub x; echo x > deep/sub/.git; rm -f deep/sub/.git; cat deep/sub/.git";
    let (text, _) = run(&cell, sh(&format!("{MOVE}; {script}"))).await;
    assert!(
        text.contains("gitdir: ") && text.matches("pinned").count() == 2,
        "{text}"
    );
    cell.close().await;
    assert_eq!(state(&place.tree().join(".git")), before);
    git(&linked, &["status"]);
    git(&place.tree(), &["status"]);
}

/// Repositories in the tree that were there: read-only, and not to be moved with their parents.
async fn nested_repositories_stay() {
    let place = Place::new();
    place.repository();
    let tree = place.tree();
    for nested in ["vendor/lib", "a/b/c"] {
        std::fs::create_dir_all(tree.join(nested)).unwrap();
        git(&tree.join(nested), &["init", "-q", "-b", "main", "."]);
    }
    std::fs::create_dir(tree.join("fixtures")).unwrap();
    git(&tree, &["init", "-q", "--bare", "fixtures/bare.git"]);
    let closed = tree.join("closed");
    std::fs::create_dir_all(closed.join("r/.git")).unwrap();
    std::fs::set_permissions(&closed, PermissionsExt::from_mode(0o0)).unwrap();
    let repositories = ["vendor/lib/.git", "a/b/c/.git", "fixtures/bare.git"];
    let before = repositories.map(|path| state(&tree.join(path)));
    let cell = place.cell().await;
    let script = "for r in vendor/lib/.git a/b/c/.git fixtures/bare.git; do echo x >> $r/config; echo x > $r/hooks/post-checkout; echo x > $r/commondir; m $r x; done; \
        for d in vendor vendor/lib a a/b a/b/c fixtures; do m $d x; done; chmod 755 closed && echo x > closed/r/.git/config; git -C vendor/lib status --porcelain; touch a/b/c/f && echo works";
    let (text, _) = run(&cell, sh(&format!("{MOVE}; {script}"))).await;
    assert_eq!(text.matches("pinned").count(), 9, "{text}");
    assert!(text.ends_with("works\n"), "{text}");
    cell.close().await;
    assert_eq!(repositories.map(|path| state(&tree.join(path))), before);
    std::fs::set_permissions(&closed, PermissionsExt::from_mode(0o755)).unwrap();
    assert!(!closed.join("r/.git/config").exists());
}

/// Repositories that a cell makes work inside, and don't make the host's git run anything.
async fn new_repositories_are_disarmed() {
    let place = Place::new();
    let tree = place.tree();
    let pwned = place.base.path().canonicalize().unwrap().join("pwned");
    let arm = format!(
        "git config core.fsmonitor \"touch '{0}'; false\"; git config alias.st '!touch {0}'; printf '#!/bin/sh\ntouch {0}\n' > $(git rev-parse --git-dir)/hooks/post-checkout; chmod +x $(git rev-parse --git-dir)/hooks/post-checkout",
        pwned.display()
    );
    let cell = place.cell().await;
    let script = format!(
        "export GIT_CONFIG_COUNT=1 GIT_CONFIG_KEY_0=init.defaultBranch GIT_CONFIG_VALUE_0=main; \
         for d in . new/deep; do mkdir -p $d; (cd $d; git init -q; git config user.name t; git config user.email t@t; git commit -q --allow-empty -m c; {arm}); done; \
         mkdir -p docs/b/wt docs/b/objects docs/b/refs; echo 'ref: refs/heads/main' > docs/b/HEAD; printf \"[core]\\n\\trepositoryformatversion = 0\\n\\tbare = false\\n\\tworktree = wt\\n\\tfsmonitor = touch '{0}'; false\\n\" > docs/b/config; \
         git -C new/deep status --porcelain; echo made",
        pwned.display()
    );
    let (text, _) = run(&cell, sh(&script)).await;
    assert!(text.ends_with("made\n"), "{text}");
    cell.close().await;
    assert!(!pwned.exists());
    for place in [".", "new/deep"] {
        for args in [
            &["status"][..],
            &["checkout", "-q", "-b", "x"],
            &["log", "-1", "--format=%an"],
        ] {
            git(&tree.join(place), args);
        }
        let status = std::process::Command::new("git")
            .arg("st")
            .current_dir(tree.join(place))
            .status();
        assert!(!status.unwrap().success());
    }
    let _ = std::process::Command::new("git")
        .arg("status")
        .current_dir(tree.join("docs/b"))
        .output();
    assert!(!pwned.exists(), "the host's git ran what a cell wrote");
    let config = std::fs::read_to_string(aside(&tree.join(".git"), "config"));
    assert!(config.unwrap().contains("fsmonitor"));
}

async fn further_trees_are_protected() {
    let (place, other) = (Place::new(), Place::new());
    other.repository();
    let tree = other.tree();
    let before = state(&tree.join(".git"));
    let mut spec = place.spec();
    spec.policy.writable = vec![tree.to_str().unwrap().to_owned()];
    let cell = launch(spec).await.unwrap();
    let script = format!(
        "cd {} && git config a.b c; echo x > .git/hooks/post-commit; mkdir .recto/x; mv .git g; \
         git -c user.name=t -c user.email=t@t commit -q --allow-empty -m x && git log --oneline | wc -l; touch here",
        tree.display()
    );
    let (text, _) = run(&cell, sh(&script)).await;
    assert!(text.ends_with("2\n"), "{text}");
    cell.close().await;
    assert_eq!(state(&tree.join(".git")), before);
    assert!(
        tree.join("here").exists() && !tree.join(".recto").exists() && !tree.join("g").exists()
    );
}
