//! Harnesses that die, and machines that can't: nothing may be left, and nothing may run with less.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::time::Duration;

use recto_cell::{Backend, CellSpec, GitView, Layer, LayerError, launch};
use recto_protocol::policy::{Access, Policy};
use recto_protocol::ports::cell::CellError;

use crate::support::{Place, eventually, processes_with, run, sh};

crate::cases! {
    a_killed_harness_leaves_nothing, a_killed_harness_leaves_no_plant, a_killed_harness_lets_go_of_its_layer, killed_at_any_moment, a_killed_direct_harness_leaves_nothing,
    without_user_namespaces_nothing_runs, a_killed_gvisor_harness_leaves_nothing,
    gvisor_killed_at_any_moment,
}

/// `harness MODE TREE`: a harness to be killed, or one on a machine that lacks something.
pub fn harness(args: &[String]) -> ExitCode {
    let [mode, tree] = args else {
        return ExitCode::from(2);
    };
    if mode == "no-user-namespaces" {
        forbid_user_namespaces();
    }
    let mut policy = Policy::default();
    if mode == "direct" {
        policy.access = Access::DangerFullAccess;
    }
    let mut spec = CellSpec::new(policy, tree);
    if mode == "gvisor" {
        spec.backend = Backend::Gvisor;
    }
    spec.path = "/usr/bin:/bin".into();
    if mode == "layer" {
        let layer = Layer::make(Path::new(tree).with_file_name("layer"));
        spec.git = GitView::Layer(layer.unwrap());
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        match launch(spec).await {
            Ok(cell) if mode == "scheduling" => {
                let (output, _) = run(&cell, sh("cut -d' ' -f41 /proc/self/stat")).await;
                print!("{output}");
            }
            Ok(cell) => {
                let plant = if mode == "planting" {
                    "git init -q new; git -C new config core.fsmonitor evil; touch planted; "
                } else {
                    ""
                };
                let script = format!("{plant}(setsid sleep 301 {tree} 2>/dev/null || setsid sleep 301) & echo {tree}; exec sh -c 'sleep 301; : {tree}'");
                let _process = cell.spawn(sh(&script)).await.unwrap();
                tokio::time::sleep(Duration::from_millis(20)).await;
                println!("up");
                tokio::time::sleep(Duration::from_secs(60)).await;
            }
            Err(CellError::Unavailable { reason, remedy }) => println!("{reason}\n{remedy}"),
            Err(error) => println!("{error:?}"),
        }
    });
    ExitCode::SUCCESS
}

pub fn start(mode: &str, tree: &Path) -> std::process::Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["harness", mode])
        .arg(tree)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

fn first_line(child: &mut std::process::Child) -> String {
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap())
        .read_line(&mut line)
        .unwrap();
    line
}

/// Processes, mounts and files that a harness for this tree left.
pub fn left(place: &Place) -> Vec<String> {
    let tree = place.tree();
    let marker = tree.to_str().unwrap();
    let mut left: Vec<String> = processes_with(marker)
        .iter()
        .map(|pid| format!("process {pid}"))
        .collect();
    let mut inits = processes_with("cell-init");
    inits.extend(processes_with("runsc"));
    let mounts =
        |pid: i32| std::fs::read_to_string(format!("/proc/{pid}/mountinfo")).unwrap_or_default();
    left.extend(
        inits
            .iter()
            .filter(|pid| mounts(**pid).contains(marker))
            .map(|pid| format!("init {pid}")),
    );
    if mounts(std::process::id() as i32).contains(marker) {
        left.push("mount".into());
    }
    for entry in std::fs::read_dir(&tree).unwrap() {
        left.push(format!("file {}", entry.unwrap().path().display()));
    }
    left
}

/// The control groups of a harness' cells.
fn groups_of(harness: u32) -> Vec<String> {
    let own = format!("-{harness}-");
    let memory = std::fs::read_to_string("/proc/self/cgroup").unwrap();
    let memory = memory.lines().find_map(|line| line.split_once(":memory:"));
    let memory = memory.map_or(String::new(), |(_, path)| format!("memory{path}"));
    let places = ["pids", "cpu", "memory", &memory, "unified", "."];
    let entries = places
        .iter()
        .flat_map(|place| std::fs::read_dir(format!("/sys/fs/cgroup/{place}")));
    let names = entries.flat_map(|entries| {
        entries
            .flatten()
            .map(|entry| entry.path().display().to_string())
    });
    names
        .filter(|name| name.contains("/recto-") && name.contains(&own))
        .collect()
}

async fn a_killed_harness_leaves_nothing() {
    let place = Place::new();
    let mut child = start("cell", &place.tree());
    assert_eq!(first_line(&mut child), "up\n");
    assert!(!left(&place).is_empty(), "this case must be able to fail");
    let sweeper = format!("cell-init\0sweep\0{}\0", child.id());
    assert_eq!(processes_with(&sweeper).len(), 1);
    let grouped = crate::support::is_root() && Path::new("/sys/fs/cgroup/pids/tasks").exists();
    assert_eq!(!groups_of(child.id()).is_empty(), grouped);
    child.kill().unwrap();
    child.wait().unwrap();
    eventually("no group is left", || groups_of(child.id()).is_empty()).await;
    eventually("nothing is left", || left(&place).is_empty()).await;
    eventually("the sweeper is gone", || {
        processes_with(&sweeper).is_empty()
    })
    .await;
}

/// A repository that a cell made is disarmed by the sweeper when the harness can't any more.
async fn a_killed_harness_leaves_no_plant() {
    let place = Place::new();
    let config = place.tree().join("new/.git/config");
    let is_armed = || std::fs::read_to_string(&config).is_ok_and(|text| text.contains("evil"));
    let mut child = start("planting", &place.tree());
    assert_eq!(first_line(&mut child), "up\n");
    eventually("the plant is there", || {
        place.tree().join("planted").exists()
    })
    .await;
    assert!(is_armed());
    child.kill().unwrap();
    child.wait().unwrap();
    eventually("the plant is gone", || !is_armed()).await;
    assert!(config.exists());
}

/// Whose harness was killed in the middle of writing is nobody's any more: its layer can be used.
async fn a_killed_harness_lets_go_of_its_layer() {
    let place = Place::new();
    place.repository();
    let mut child = start("layer", &place.tree());
    assert_eq!(first_line(&mut child), "up\n");
    let layer = Layer::at(place.tree().with_file_name("layer"));
    assert!(matches!(layer.keep(), Err(LayerError::InUse { .. })));
    child.kill().unwrap();
    child.wait().unwrap();
    eventually("the layer is free", || layer.keep().is_ok()).await;
    let mut spec = place.spec();
    spec.git = GitView::Layer(layer.clone());
    let cell = launch(spec).await.unwrap();
    let (text, _) = run(&cell, sh("git branch later && git branch --list later")).await;
    assert_eq!(text, "  later\n");
    cell.close().await;
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
    assert!(!mounts.contains(place.tree().to_str().unwrap()));
    layer.discard().unwrap();
}

async fn killed_at_any_moment() {
    for step in 0..60 {
        let place = Place::new();
        let mut child = start("cell", &place.tree());
        tokio::time::sleep(Duration::from_micros(step * 300)).await;
        let own = format!("cell-init\0cell\0{}\0", child.id());
        let sweeper = format!("cell-init\0sweep\0{}\0", child.id());
        child.kill().unwrap();
        child.wait().unwrap();
        eventually("nothing is left", || {
            left(&place).is_empty()
                && processes_with(&own).is_empty()
                && processes_with(&sweeper).is_empty()
                && groups_of(child.id()).is_empty()
        })
        .await;
    }
}

/// Neither `runsc` nor its sandbox, its file server or its notes outlive the harness.
async fn a_killed_gvisor_harness_leaves_nothing() {
    if !crate::conformance::is_there(Backend::Gvisor) {
        return;
    }
    let place = Place::new();
    let mut child = start("gvisor", &place.tree());
    assert_eq!(first_line(&mut child), "up\n");
    assert!(!left(&place).is_empty());
    child.kill().unwrap();
    child.wait().unwrap();
    eventually("nothing is left", || left(&place).is_empty()).await;
}

async fn gvisor_killed_at_any_moment() {
    if !crate::conformance::is_there(Backend::Gvisor) {
        return;
    }
    for step in 0..20 {
        let place = Place::new();
        let mut child = start("gvisor", &place.tree());
        tokio::time::sleep(Duration::from_millis(step * 25)).await;
        child.kill().unwrap();
        child.wait().unwrap();
        eventually("nothing is left", || left(&place).is_empty()).await;
    }
}

async fn a_killed_direct_harness_leaves_nothing() {
    let place = Place::new();
    let mut child = start("direct", &place.tree());
    assert_eq!(first_line(&mut child), "up\n");
    assert!(!left(&place).is_empty());
    child.kill().unwrap();
    child.wait().unwrap();
    eventually("nothing is left", || left(&place).is_empty()).await;
}

async fn without_user_namespaces_nothing_runs() {
    let place = Place::new();
    let child = start("no-user-namespaces", &place.tree());
    let output = child.wait_with_output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(
        text.contains("max_user_namespaces") || text.contains("ordinary user"),
        "{text}"
    );
    assert!(text.contains("--sandbox danger-full-access"), "{text}");
    assert!(left(&place).is_empty(), "{:?}", left(&place));
}

/// Enters a user namespace in which no further one may be made.
fn forbid_user_namespaces() {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let id = |key: &str| {
        let line = status.lines().find(|line| line.starts_with(key)).unwrap();
        line.split_whitespace().nth(1).unwrap().to_owned()
    };
    // SAFETY: takes flags only; no other thread runs yet.
    assert_eq!(unsafe { libc::unshare(libc::CLONE_NEWUSER) }, 0);
    std::fs::write("/proc/self/setgroups", "deny").unwrap();
    std::fs::write("/proc/self/uid_map", format!("{0} {0} 1", id("Uid:"))).unwrap();
    std::fs::write("/proc/self/gid_map", format!("{0} {0} 1", id("Gid:"))).unwrap();
    std::fs::write("/proc/sys/user/max_user_namespaces", "0").unwrap();
}
