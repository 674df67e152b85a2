//! What a machine holds of a harness: counted before and after, it must be the same.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use super::driver::Driver;
use crate::bench::tree;

/// What is there at one moment, by name, so that a difference can be told.
pub(super) struct Counts {
    mounts: BTreeSet<String>,
    cgroups: BTreeSet<String>,
    processes: BTreeSet<String>,
    files: BTreeSet<String>,
    /// Open descriptors of the harness, which have no names of their own.
    descriptors: usize,
    threads: usize,
}

impl Counts {
    pub(super) fn take(driver: &Driver, root: &Path) -> Self {
        let process = PathBuf::from(format!("/proc/{}", driver.pid()));
        let count = |name: &str| fs::read_dir(process.join(name)).map_or(0, Iterator::count);
        let mounts = fs::read_to_string(process.join("mountinfo")).unwrap_or_default();
        Self {
            mounts: mounts.lines().map(str::to_owned).collect(),
            cgroups: cgroups(driver.pid()),
            processes: processes(driver, root),
            files: below(root, false),
            descriptors: count("fd"),
            threads: count("task"),
        }
    }

    /// What has been added since, as words with counts; empty when nothing has.
    pub(super) fn added(&self, now: &Self) -> Vec<(&'static str, Vec<String>)> {
        let more = |before: &BTreeSet<String>, now: &BTreeSet<String>| -> Vec<String> {
            now.difference(before).cloned().collect()
        };
        let grown = |before: usize, now: usize| -> Vec<String> {
            (before..now)
                .map(|number| format!("number {number}"))
                .collect()
        };
        vec![
            ("mounts", more(&self.mounts, &now.mounts)),
            ("cgroups", more(&self.cgroups, &now.cgroups)),
            ("processes", more(&self.processes, &now.processes)),
            ("files", more(&self.files, &now.files)),
            ("descriptors", grown(self.descriptors, now.descriptors)),
            ("threads", grown(self.threads, now.threads)),
        ]
    }
}

/// All but those of other harnesses, which come and go meanwhile. A name holds its owner's number.
fn cgroups(owner: i32) -> BTreeSet<String> {
    let mut found = below(Path::new("/sys/fs/cgroup"), true);
    found.retain(|path| is_of(path, owner));
    found
}

fn is_of(cgroup: &str, owner: i32) -> bool {
    let name = cgroup.rsplit('/').next().unwrap_or_default();
    let owner = owner.to_string();
    !name.starts_with("recto-") || name.split('-').any(|word| word == owner)
}

/// Those below the harness, and those that name it or stand in its directories wherever they are.
fn processes(driver: &Driver, root: &Path) -> BTreeSet<String> {
    let mut found: BTreeSet<String> = tree::descendants(driver.pid())
        .into_iter()
        .map(|pid| pid.to_string())
        .collect();
    let mark = format!("cell-init\0cell\0{}\0", driver.pid());
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let line = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let line = String::from_utf8_lossy(&line).into_owned();
        let stands = fs::read_link(entry.path().join("cwd")).unwrap_or_default();
        if line.contains(&mark) || stands.starts_with(root) {
            found.insert(entry.file_name().to_string_lossy().into_owned());
        }
    }
    found
}

/// Everything below a directory; links are not followed.
fn below(root: &Path, directories_only: bool) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut waiting = vec![root.to_path_buf()];
    while let Some(directory) = waiting.pop() {
        for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
            let is_directory = entry.file_type().is_ok_and(|kind| kind.is_dir());
            if is_directory || !directories_only {
                found.insert(entry.path().display().to_string());
            }
            if is_directory {
                waiting.push(entry.path());
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::is_of;

    #[test]
    fn cgroups_of_other_harnesses_are_not_this_ones() {
        assert!(is_of("/sys/fs/cgroup/pids/recto-40-77-3", 77));
        assert!(!is_of("/sys/fs/cgroup/pids/recto-40-177-3", 77));
        assert!(is_of("/sys/fs/cgroup/pids/anything", 77));
    }
}
