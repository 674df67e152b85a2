//! The contents of a directory, for comparing.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

/// Every file below a directory with its mode and contents; `.git` is left out.
pub type Tree = BTreeMap<String, (u32, String)>;

/// Reads a directory.
pub fn tree(root: &Path) -> Tree {
    let mut found = Tree::new();
    collect(root, "", &mut found);
    found
}

fn collect(dir: &Path, prefix: &str, into: &mut Tree) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let entry = entry.unwrap();
        let name = format!("{prefix}{}", entry.file_name().to_string_lossy());
        let kind = entry.file_type().unwrap();
        if kind.is_dir() {
            if name != ".git" {
                collect(&entry.path(), &format!("{name}/"), into);
            }
        } else if kind.is_symlink() {
            let target = std::fs::read_link(entry.path()).unwrap();
            into.insert(name, (0, target.display().to_string()));
        } else {
            let mode = entry.metadata().unwrap().permissions().mode() & 0o777;
            let bytes = std::fs::read(entry.path()).unwrap();
            into.insert(name, (mode, String::from_utf8_lossy(&bytes).into_owned()));
        }
    }
}

/// Makes `to` a copy of the directory `from`, whatever it was.
pub fn replace(from: &Path, to: &Path) {
    if to.exists() {
        std::fs::remove_dir_all(to).unwrap();
    }
    let copied = Command::new("cp")
        .arg("-a")
        .arg(from)
        .arg(to)
        .status()
        .unwrap();
    assert!(
        copied.success(),
        "cp -a {} {}",
        from.display(),
        to.display()
    );
}
