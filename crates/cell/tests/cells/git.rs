//! Repositories: work goes on, what makes the host's git run programs stays.

use std::path::Path;

use recto_cell::launch;
use recto_protocol::ports::cell::ExitStatus;

use crate::support::{Place, git, run, sh};

crate::cases! {
    status_add_and_commit_work, hooks_and_config_stay, absent_things_stay_absent,
    two_cells_share_a_tree, linked_worktrees_work, a_lying_git_file_shows_nothing,
    submodules_work, agent_configuration_stays, what_appears_in_git_is_set_aside,
    inner_repositories_stay, further_trees_are_protected,
}

async fn status_add_and_commit_work() {
    let place = Place::new();
    place.repository();
    let cell = place.cell().await;
    let (text, status) = run(
        &cell,
        sh("git status --porcelain && echo g > g && git add g && git commit -qm g && git checkout -qb topic && git log --oneline | wc -l && git status --porcelain"),
    )
    .await;
    assert_eq!((text.as_str(), status), ("2\n", ExitStatus::Code(0)));
    cell.close().await;
    git(&place.tree(), &["rev-parse", "--verify", "-q", "topic"]);
}

async fn hooks_and_config_stay() {
    let place = Place::new();
    place.repository();
    let config = std::fs::read(place.tree().join(".git/config")).unwrap();
    let cell = place.cell().await;
    let (text, _) = run(
        &cell,
        sh("echo '#!/bin/sh' > .git/hooks/pre-commit; mv .git/hooks x; rm -rf .git/hooks; mv .git y; rm -rf .git/config; \
            git config core.fsmonitor evil; echo x >> .git/config; mv .git/config z; ln -sf /tmp .git/hooks; \
            printf 'x' > evil; mv evil .git/config; ls -d .git; git status --porcelain"),
    )
    .await;
    assert!(text.contains(".git\n"), "{text}");
    cell.close().await;
    assert_eq!(
        std::fs::read(place.tree().join(".git/config")).unwrap(),
        config
    );
    let hooks = place.tree().join(".git/hooks");
    assert!(!hooks.join("pre-commit").exists());
}

async fn absent_things_stay_absent() {
    let place = Place::new();
    place.repository();
    std::fs::remove_dir_all(place.tree().join(".git/hooks")).unwrap();
    let names = [".git/hooks", ".recto", ".agents"];
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
    assert!(
        text.contains("could not") && !place.tree().join(".git/hooks/x").exists(),
        "{text}"
    );
    cell.close().await;
    git(&linked, &["diff", "--quiet", "HEAD"]);
    assert!(Path::new(&linked.join("h")).exists());
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

/// Names that can't be pinned because they are absent, and directories that could be moved away
/// from under a pinned file.
async fn what_appears_in_git_is_set_aside() {
    let place = Place::new();
    place.repository();
    let git_dir = place.tree().join(".git");
    std::fs::write(git_dir.join("info/attributes"), "mine").unwrap();
    std::fs::create_dir_all(git_dir.join("objects/info")).unwrap();
    let evil = place.tree().join("evil");
    let cell = place.cell().await;
    let script = "cp -r .git evil; git -C evil config core.fsmonitor x; echo ../evil > .git/commondir; \
        echo '[core]' > .git/config.worktree; echo /x > .git/objects/info/alternates; \
        m .git/info .git/i; m .git/objects/info .git/o; m .git/objects .git/o; cat .git/commondir; echo x > .git/info/attributes; true";
    let (text, _) = run(&cell, sh(&format!("{MOVE}; {script}"))).await;
    // The control: while the cell lives, the file is there.
    assert!(text.contains("../evil"), "{text}");
    assert_eq!(text.matches("pinned").count(), 3, "{text}");
    cell.close().await;
    for name in ["commondir", "config.worktree", "objects/info/alternates"] {
        assert!(!git_dir.join(name).exists(), "{name} stays");
        let aside = git_dir.join(format!("{name}.recto-quarantine-0"));
        assert!(aside.exists(), "{name} is lost");
    }
    let attributes = std::fs::read_to_string(git_dir.join("info/attributes"));
    assert_eq!(attributes.unwrap(), "mine");
    std::fs::remove_dir_all(evil).unwrap();
    git(&place.tree(), &["status"]);
}

async fn inner_repositories_stay() {
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
    let add = ["worktree", "add", "-q", linked.to_str().unwrap()];
    git(&place.tree(), &add);
    let git_dir = place.tree().join(".git");
    let (module, worktree) = (
        git_dir.join("modules/deep/sub"),
        git_dir.join("worktrees/linked"),
    );
    let before = [
        std::fs::read(module.join("config")).unwrap(),
        std::fs::read(worktree.join("commondir")).unwrap(),
    ];
    let cell = place.cell().await;
    let script = "m=.git/modules/deep/sub; w=.git/worktrees/linked; echo x >> $m/config; echo x > $m/hooks/pre-commit; \
        echo x > $m/commondir; echo x > $w/commondir; echo x > $w/gitdir; echo x > $w/config.worktree; \
        m .git/modules .git/a; m .git/modules/deep .git/b; m $m .git/c; m .git/worktrees .git/d; m $w .git/e; \
        rm -rf .git/modules/deep/sub/hooks .git/worktrees/linked/gitdir; \
        rm $m/commondir; cd deep/sub; git config a.b c; git status --porcelain && cd ../.. && ls .git && echo x > $m/commondir";
    let (text, _) = run(&cell, sh(&format!("{MOVE}; {script}"))).await;
    assert!(
        text.ends_with("worktrees\n") && text.contains("modules\n"),
        "{text}"
    );
    for name in ["a", "b", "c", "d", "e"] {
        assert!(!git_dir.join(name).exists(), "{name}: {text}");
    }
    cell.close().await;
    let after = [
        std::fs::read(module.join("config")).unwrap(),
        std::fs::read(worktree.join("commondir")).unwrap(),
    ];
    assert_eq!(before, after);
    assert!(!module.join("hooks/pre-commit").exists() && !module.join("commondir").exists());
    assert!(!worktree.join("config.worktree").exists());
    git(&linked, &["status"]);
    git(&place.tree(), &["status"]);
}

async fn further_trees_are_protected() {
    let (place, other) = (Place::new(), Place::new());
    other.repository();
    let tree = other.tree();
    let config = std::fs::read(tree.join(".git/config")).unwrap();
    let mut spec = place.spec();
    spec.policy.writable = vec![tree.to_str().unwrap().to_owned()];
    let cell = launch(spec).await.unwrap();
    let script = format!(
        "cd {} && echo x >> .git/config; echo x > .git/hooks/pre-commit; echo x > .git/commondir; mkdir .recto/x; mv .git g; \
         rm .git/commondir; git -c user.name=t -c user.email=t@t commit -q --allow-empty -m x && echo works; echo x > .git/commondir",
        tree.display()
    );
    let (text, _) = run(&cell, sh(&script)).await;
    assert!(text.contains("works"), "{text}");
    cell.close().await;
    assert_eq!(std::fs::read(tree.join(".git/config")).unwrap(), config);
    for name in [".git/hooks/pre-commit", ".git/commondir", ".recto", "g"] {
        assert!(!tree.join(name).exists(), "{name}: {text}");
    }
}
