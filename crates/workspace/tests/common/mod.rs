//! A tree, a place beside it, and a journal directory.
#![allow(
    dead_code,
    clippy::unwrap_used,
    unreachable_pub,
    reason = "shared by several tests, each using a part"
)]

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use recto_workspace::apply::{InProcess, Outcome, apply_text};
use tempfile::TempDir;

pub struct Scene {
    pub dir: TempDir,
    pub root: PathBuf,
    pub outside: PathBuf,
    pub journals: PathBuf,
}

impl Scene {
    pub fn new() -> Self {
        Scene::at(TempDir::new().unwrap())
    }

    pub fn at(dir: TempDir) -> Self {
        let base = dir.path().canonicalize().unwrap();
        let (root, outside) = (base.join("tree"), base.join("outside"));
        fs::create_dir(&root).unwrap();
        fs::create_dir(&outside).unwrap();
        fs::write(outside.join("canary.txt"), "ORIGINAL\n").unwrap();
        Scene {
            dir,
            root,
            outside,
            journals: base.join("journals"),
        }
    }

    pub fn write(&self, path: &str, text: impl AsRef<[u8]>) {
        let path = self.root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    pub fn read(&self, path: &str) -> String {
        fs::read_to_string(self.root.join(path)).unwrap()
    }

    pub fn mode(&self, path: &str) -> u32 {
        fs::metadata(self.root.join(path))
            .unwrap()
            .permissions()
            .mode()
            & 0o7777
    }

    pub fn chmod(&self, path: &str, mode: u32) {
        fs::set_permissions(self.root.join(path), fs::Permissions::from_mode(mode)).unwrap();
    }

    pub fn symlink(&self, target: impl AsRef<Path>, link: &str) {
        std::os::unix::fs::symlink(target, self.root.join(link)).unwrap();
    }

    pub fn apply(&self, patch: &str) -> Outcome {
        apply_text(&self.root, patch, &self.journals, &InProcess)
    }

    /// Applies the lines between the first and the last line of a patch.
    pub fn apply_body(&self, body: &str) -> Outcome {
        self.apply(&format!("*** Begin Patch\n{body}*** End Patch\n"))
    }

    /// Every regular file and link below the root; a link's text is `-> target`.
    pub fn snapshot(&self) -> BTreeMap<String, Vec<u8>> {
        snapshot(&self.root)
    }
}

pub fn snapshot(root: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    walk(root, root, &mut found);
    found
}

fn walk(root: &Path, directory: &Path, found: &mut BTreeMap<String, Vec<u8>>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let name = path
            .strip_prefix(root)
            .unwrap()
            .to_str()
            .unwrap()
            .to_owned();
        let kind = fs::symlink_metadata(&path).unwrap().file_type();
        if kind.is_symlink() {
            let target = fs::read_link(&path).unwrap();
            found.insert(name, format!("-> {}", target.display()).into_bytes());
        } else if kind.is_dir() {
            if fs::read_dir(&path).unwrap().next().is_none() {
                found.insert(name + "/", Vec::new());
            }
            walk(root, &path, found);
        } else if kind.is_file() {
            found.insert(name, fs::read(&path).unwrap());
        } else {
            found.insert(name, b"special".to_vec());
        }
    }
}
