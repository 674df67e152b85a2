//! Removes trees that were made to resist it: closed directories, nesting without end, links.
//!
//! Directories are flattened instead of descended into: what lies two levels down is moved up to
//! the top under a new name, so the depth never matters and no more than three directories are
//! ever open. Nothing is followed, and nothing but the tree is touched.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags};

/// Removes a directory and everything in it. One that isn't there is removed already.
pub(crate) fn tree(path: &Path) -> io::Result<()> {
    let top = match open(CWD, path) {
        Ok(top) => top,
        Err(rustix::io::Errno::NOENT) => return Ok(()),
        Err(error) => return Err(error.into()),
    };
    let mut next = 0u64;
    loop {
        let names = names(&top)?;
        if names.is_empty() {
            break;
        }
        for (name, kind) in names {
            if kind == FileType::Directory {
                flatten(top.as_fd(), &name, &mut next)?;
            } else {
                rustix::fs::unlinkat(&top, &name, AtFlags::empty())?;
            }
        }
    }
    rustix::fs::unlinkat(CWD, path, AtFlags::REMOVEDIR)?;
    Ok(())
}

/// Removes a directory after moving its directories up.
fn flatten(top: BorrowedFd<'_>, name: &std::ffi::CStr, next: &mut u64) -> io::Result<()> {
    let directory = open(top, name)?;
    for (inner, kind) in names(&directory)? {
        if kind != FileType::Directory {
            rustix::fs::unlinkat(&directory, &inner, AtFlags::empty())?;
            continue;
        }
        // A directory that moves must be writable itself: its `..` changes.
        drop(open(directory.as_fd(), &inner)?);
        loop {
            *next += 1;
            let up = format!("{:x}", *next);
            let flags = rustix::fs::RenameFlags::NOREPLACE;
            match rustix::fs::renameat_with(&directory, &inner, top, &up, flags) {
                Ok(()) => break,
                // A name that the tree had already.
                Err(rustix::io::Errno::EXIST) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
    rustix::fs::unlinkat(top, name, AtFlags::REMOVEDIR)?;
    Ok(())
}

/// Opens a directory, making it readable and writable for its owner first.
fn open<P: rustix::path::Arg>(parent: BorrowedFd<'_>, name: P) -> rustix::io::Result<OwnedFd> {
    let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let place = rustix::fs::openat(parent, name, flags | OFlags::PATH, Mode::empty())?;
    let by_descriptor = format!("/proc/self/fd/{}", place.as_raw_fd());
    let stat = rustix::fs::fstat(&place)?;
    if stat.st_mode & 0o700 != 0o700 {
        rustix::fs::chmod(by_descriptor.as_str(), Mode::from(0o700))?;
    }
    rustix::fs::openat(&place, ".", flags | OFlags::RDONLY, Mode::empty())
}

fn names(directory: &OwnedFd) -> io::Result<Vec<(std::ffi::CString, FileType)>> {
    let mut names = Vec::new();
    for entry in Dir::read_from(directory)? {
        let entry = entry?;
        let name = entry.file_name();
        if name == c"." || name == c".." {
            continue;
        }
        let kind = match entry.file_type() {
            FileType::Unknown => FileType::from_raw_mode(
                rustix::fs::statat(directory, name, AtFlags::SYMLINK_NOFOLLOW)?.st_mode,
            ),
            kind => kind,
        };
        names.push((name.to_owned(), kind));
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    #[test]
    fn closed_deep_and_linked_trees_go_and_nothing_else() {
        let base = tempfile::tempdir().unwrap();
        let outside = base.path().join("outside");
        fs::create_dir(&outside).unwrap();
        fs::write(outside.join("kept"), "").unwrap();
        let top = base.path().join("top");
        fs::create_dir(&top).unwrap();
        symlink(&outside, top.join("link")).unwrap();
        fs::create_dir_all(top.join("closed/inner/more")).unwrap();
        fs::write(top.join("closed/inner/file"), "").unwrap();
        for name in ["1", "2"] {
            fs::create_dir(top.join(name)).unwrap();
        }
        for name in ["closed/inner/more", "closed/inner", "closed"] {
            fs::set_permissions(top.join(name), PermissionsExt::from_mode(0o0)).unwrap();
        }
        // Deeper than any path can be, and than any process has descriptors.
        let mut at = open(CWD, &top).unwrap();
        for _ in 0..1100 {
            rustix::fs::mkdirat(&at, "nested", Mode::from(0o000)).unwrap();
            at = open(at.as_fd(), "nested").unwrap();
        }
        drop(at);
        tree(&top).unwrap();
        assert!(!top.exists() && outside.join("kept").exists());
        tree(&top).unwrap();
    }

    #[test]
    fn a_link_in_place_of_the_tree_is_refused() {
        let base = tempfile::tempdir().unwrap();
        let outside = base.path().join("outside");
        fs::create_dir(&outside).unwrap();
        symlink(&outside, base.path().join("top")).unwrap();
        assert!(tree(&base.path().join("top")).is_err());
        assert!(outside.exists());
    }
}
