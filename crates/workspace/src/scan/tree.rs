//! Scanning a directory that a cell has written.

use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::fs::{CWD, Dir, FileType, Mode, OFlags};
use rustix::io::Errno;

use super::{Encoding, Finding, Place, Scanner};

/// Deeper trees are refused: each level takes a descriptor, of which a process often has 1,024.
const MAX_DEPTH: usize = 512;

/// A directory under way.
struct Open {
    entries: Dir,
    path: String,
}

impl Scanner {
    /// The secrets in a directory: in contents, names and links' targets. No symbolic link below
    /// `root` is followed. Takes about a second per gigabyte.
    ///
    /// # Errors
    /// When `root` can't be opened, or something in it can't be read: then nothing is known of it.
    pub fn tree(&self, root: &Path) -> io::Result<Vec<Finding>> {
        let mut found = Vec::new();
        let mut open = vec![enter(CWD, root.as_os_str().as_bytes(), String::new())?];
        while !open.is_empty() {
            let depth = open.len();
            let top = &mut open[depth - 1];
            let Some(entry) = top.entries.next() else {
                open.pop();
                continue;
            };
            let entry = entry?;
            let name = entry.file_name();
            if matches!(name.to_bytes(), b"." | b"..") {
                continue;
            }
            let path = match top.path.as_str() {
                "" => name.to_string_lossy().into_owned(),
                parent => format!("{parent}/{}", name.to_string_lossy()),
            };
            add(&mut found, self.bytes(name.to_bytes()), || {
                Place::Name(path.clone())
            });
            let kind = match entry.file_type() {
                FileType::Unknown => {
                    let flags = rustix::fs::AtFlags::SYMLINK_NOFOLLOW;
                    let stat = rustix::fs::statat(top.entries.fd()?, name, flags)?;
                    FileType::from_raw_mode(stat.st_mode)
                }
                kind => kind,
            };
            match kind {
                FileType::Directory if depth < MAX_DEPTH => {
                    let inner = enter(top.entries.fd()?, name.to_bytes(), path)?;
                    open.push(inner);
                }
                FileType::Directory => return Err(Errno::NAMETOOLONG.into()),
                FileType::RegularFile => {
                    let Some(file) = regular(top.entries.fd()?, name)? else {
                        continue;
                    };
                    add(&mut found, self.stream(file)?, || {
                        Place::Content(path.clone())
                    });
                }
                FileType::Symlink => {
                    let target = rustix::fs::readlinkat(top.entries.fd()?, name, Vec::new())?;
                    let hits = self.bytes(target.to_bytes());
                    add(&mut found, hits, || Place::Name(path.clone()));
                }
                // Pipes, sockets and devices hold nothing.
                _ => {}
            }
        }
        Ok(found)
    }
}

fn enter(at: impl AsFd, name: &[u8], path: String) -> io::Result<Open> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let directory = rustix::fs::openat(at, name, flags, Mode::empty())?;
    Ok(Open {
        entries: Dir::new(directory)?,
        path,
    })
}

/// Opens what was a regular file a moment ago. None when it has become something else.
fn regular(at: impl AsFd, name: &std::ffi::CStr) -> io::Result<Option<File>> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = match rustix::fs::openat(at, name, flags, Mode::empty()) {
        Ok(file) => file,
        Err(Errno::NOENT | Errno::LOOP | Errno::NXIO) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let kind = FileType::from_raw_mode(rustix::fs::fstat(&file)?.st_mode);
    Ok((kind == FileType::RegularFile).then(|| file.into()))
}

fn add(found: &mut Vec<Finding>, hits: Vec<(String, Encoding)>, place: impl Fn() -> Place) {
    found.extend(hits.into_iter().map(|(name, encoding)| Finding {
        name,
        encoding,
        place: place(),
    }));
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::super::Secret;
    use super::*;

    fn scan(root: &Path) -> Vec<String> {
        let secret = Secret {
            name: "TOKEN".into(),
            value: b"hunter22".to_vec(),
        };
        let found = Scanner::new(&[secret]).unwrap().tree(root).unwrap();
        let mut places: Vec<String> = found
            .into_iter()
            .map(|finding| match finding.place {
                Place::Content(path) => format!("in {path}"),
                Place::Name(path) => format!("name {path}"),
            })
            .collect();
        places.sort();
        places
    }

    #[test]
    fn contents_names_and_targets_are_looked_at() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("tree");
        fs::create_dir_all(root.join("a/hunter22.d")).unwrap();
        fs::write(root.join("a/.npmrc"), "//r/:_authToken=hunter22\n").unwrap();
        fs::write(root.join("a/clean"), "hunter2").unwrap();
        symlink("/tmp/hunter22", root.join("link")).unwrap();
        assert_eq!(
            scan(&root),
            ["in a/.npmrc", "name a/hunter22.d", "name link"]
        );
    }

    #[test]
    fn what_lies_outside_is_not_read() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("tree");
        fs::create_dir(&root).unwrap();
        fs::write(dir.path().join("outside"), "hunter22").unwrap();
        symlink("../outside", root.join("file")).unwrap();
        symlink("..", root.join("directory")).unwrap();
        assert!(scan(&root).is_empty());
    }

    #[test]
    fn pipes_hold_nobody_up() {
        let dir = tempfile::tempdir().unwrap();
        let (kind, mode) = (FileType::Fifo, Mode::from(0o600));
        rustix::fs::mknodat(CWD, dir.path().join("pipe"), kind, mode, 0).unwrap();
        assert!(scan(dir.path()).is_empty());
    }

    #[test]
    fn deep_trees_end() {
        let dir = tempfile::tempdir().unwrap();
        let mut at = rustix::fs::openat(CWD, dir.path(), OFlags::PATH, Mode::empty()).unwrap();
        for _ in 0..400 {
            rustix::fs::mkdirat(&at, "directory", Mode::from(0o700)).unwrap();
            at = rustix::fs::openat(&at, "directory", OFlags::PATH, Mode::empty()).unwrap();
        }
        let flags = OFlags::CREATE | OFlags::WRONLY;
        let file = rustix::fs::openat(&at, "file", flags, Mode::from(0o600)).unwrap();
        rustix::io::write(&file, b"hunter22").unwrap();
        let found = scan(dir.path());
        assert!(matches!(&found[..], [one] if one.ends_with("directory/file")));
    }
}
