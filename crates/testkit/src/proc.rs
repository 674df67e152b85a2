//! What the kernel says of processes and mounts.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// The processes that have one of `marks` in their arguments or environment, or that stand in a
/// directory below one, as id and command line.
pub fn processes_with(marks: &[&str]) -> Vec<(u32, String)> {
    let own = std::process::id();
    let entries = std::fs::read_dir("/proc").unwrap().flatten();
    let ids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    ids.filter(|&id| id != own)
        .filter_map(|id| {
            let dir = Path::new("/proc").join(id.to_string());
            let text = |name| {
                let bytes = std::fs::read(dir.join(name)).unwrap_or_default();
                String::from_utf8_lossy(&bytes).into_owned()
            };
            let arguments = text("cmdline");
            let cwd = std::fs::read_link(dir.join("cwd")).unwrap_or_default();
            let all = format!("{arguments}\n{}\n{}", text("environ"), cwd.display());
            let is_dead = text("stat")
                .rsplit(") ")
                .next()
                .is_some_and(|s| s.starts_with('Z'));
            let found = !is_dead && marks.iter().any(|mark| all.contains(mark));
            found.then(|| (id, arguments.replace('\0', " ")))
        })
        .collect()
}

/// The mounts of this process that name one of `marks`.
pub fn mounts_with(marks: &[&str]) -> Vec<String> {
    let table = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
    let named = |line: &&str| marks.iter().any(|mark| line.contains(mark));
    table.lines().filter(named).map(str::to_owned).collect()
}

/// How many files a process has open, and how many children it has, dead ones included.
pub fn open_files_and_children(id: u32) -> (usize, usize) {
    let files = std::fs::read_dir(format!("/proc/{id}/fd")).unwrap().count();
    let tasks = std::fs::read_dir(format!("/proc/{id}/task"))
        .unwrap()
        .flatten();
    let children = tasks.map(|task| {
        let list = std::fs::read_to_string(task.path().join("children")).unwrap_or_default();
        list.split_whitespace().count()
    });
    (files, children.sum())
}

/// The helpers of a running program: copies of it that it started for its cells, as id and kind
/// (`cell` for PID 1 and launchers, `sweep`, …).
pub fn helpers_of(id: u32) -> Vec<(u32, String)> {
    let owner = id.to_string();
    let entries = std::fs::read_dir("/proc").unwrap().flatten();
    let ids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    ids.filter_map(|id| {
        let line = std::fs::read(format!("/proc/{id}/cmdline")).ok()?;
        let line = String::from_utf8_lossy(&line).into_owned();
        let words: Vec<&str> = line.split('\0').collect();
        match words[..] {
            ["recto", "cell-init", kind, of, ..] if of == owner => Some((id, kind.to_owned())),
            _ => None,
        }
    })
    .collect()
}

/// The cgroups of a program's helpers that the program itself isn't in, as directories.
pub fn cgroups_of(id: u32) -> BTreeSet<PathBuf> {
    let of = |id: u32| {
        let text = std::fs::read_to_string(format!("/proc/{id}/cgroup")).unwrap_or_default();
        let lines = text.lines().map(str::to_owned);
        lines.collect::<BTreeSet<String>>()
    };
    let own = of(id);
    let helpers = helpers_of(id).into_iter();
    let foreign =
        helpers.flat_map(|(helper, _)| of(helper).difference(&own).cloned().collect::<Vec<_>>());
    foreign.filter_map(|line| directory(&line)).collect()
}

/// Where a line of `/proc/PID/cgroup` leads to, wherever its hierarchy is mounted.
fn directory(line: &str) -> Option<PathBuf> {
    let (_, rest) = line.split_once(':')?;
    let (controllers, path) = rest.split_once(':')?;
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").ok()?;
    let mount = mounts.lines().find(|mount| {
        let (_, tail) = mount.split_once(" - ").unwrap_or_default();
        let words: Vec<&str> = tail.split(' ').collect();
        match words[..] {
            ["cgroup2", ..] => controllers.is_empty(),
            ["cgroup", _, options] => options.split(',').any(|option| option == controllers),
            _ => false,
        }
    })?;
    let at = mount.split(' ').nth(4)?;
    Some(Path::new(at).join(path.trim_start_matches('/')))
}
