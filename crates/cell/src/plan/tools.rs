//! Tool directories: shown as a read-only copy of their own, so that nothing but their content is
//! the host's.
//!
//! A plain bind would share the files themselves: a lock or a lease taken inside would keep the
//! user's own programs waiting (cargo locks its package cache), and a socket or FIFO would lead to
//! them. In an overlay every file is another one to the kernel, with the same content.

use std::path::{Path, PathBuf};

use super::{bind, paths};
use crate::wire::{Mount, MountKind};

/// What shows tool directories, each with what is mounted below it.
pub(super) fn show(directories: &[PathBuf]) -> Vec<Mount> {
    let table = std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let points = mount_points(&table);
    let mut mounts = Vec::new();
    for directory in directories {
        let Some(mount) = paths::tool(directory) else {
            continue;
        };
        let MountKind::Bind { source, .. } = &mount.kind else {
            mounts.push(mount);
            continue;
        };
        for point in points.iter().filter(|point| point.starts_with(source)) {
            let below = point.strip_prefix(source).unwrap_or(Path::new(""));
            if below.as_os_str().is_empty() {
                continue;
            }
            mounts.extend(apart(mount.at.join(below), point.clone()));
        }
        mounts.extend(apart(mount.at.clone(), source.clone()));
    }
    mounts
}

/// Shows one directory. A mounted file stays a bind; what can't be looked at is not shown.
fn apart(at: PathBuf, source: PathBuf) -> Option<Mount> {
    // An overlay doesn't see what is mounted in the directories below it.
    let kind = match std::fs::metadata(&source) {
        Ok(meta) if meta.is_dir() => MountKind::Overlay {
            lowers: vec![(source, None)],
            upper: None,
        },
        Ok(_) => bind(source, false, None).kind,
        Err(_) => return None,
    };
    Some(Mount { at, kind })
}

/// Where file systems are mounted, from the kernel's table.
fn mount_points(table: &str) -> Vec<PathBuf> {
    let mut points: Vec<PathBuf> = table
        .lines()
        .filter_map(|line| line.split(' ').nth(4))
        .map(unescaped)
        .collect();
    points.sort();
    points.dedup();
    points
}

/// The kernel writes blanks and backslashes as three octal digits.
fn unescaped(text: &str) -> PathBuf {
    use std::os::unix::ffi::OsStringExt;
    let bytes = text.as_bytes();
    let (mut plain, mut at) = (Vec::with_capacity(bytes.len()), 0);
    while at < bytes.len() {
        let code = text
            .get(at + 1..at + 4)
            .filter(|_| bytes[at] == b'\\')
            .and_then(|digits| u8::from_str_radix(digits, 8).ok());
        plain.push(code.unwrap_or(bytes[at]));
        at += if code.is_some() { 4 } else { 1 };
    }
    std::ffi::OsString::from_vec(plain).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mount_points_are_read_from_the_kernels_table() {
        let table = "24 1 254:1 / / rw,relatime shared:1 - ext4 /dev/vda1 rw\n\
            31 24 0:27 / /h/a\\040b\\134c rw - tmpfs tmpfs rw\n\
            32 24 0:27 / /h/a\\040b\\134c rw - tmpfs tmpfs rw\n";
        let expected: Vec<PathBuf> = vec!["/".into(), "/h/a b\\c".into()];
        assert_eq!(mount_points(table), expected);
    }
}
