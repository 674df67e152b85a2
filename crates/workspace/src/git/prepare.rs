//! Fills a trusted directory: what of the repository comes into it, and what does not.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use super::discover::{Repository, limited_file, small_file};
use super::index;
use super::oid::Oid;
use super::trusted::{OpenError, Pending, Seed};

/// Largest index that is taken over: some five million files.
const INDEX: u64 = 512 << 20;

/// Makes what a git directory needs: configuration, objects by reference, what to ignore.
pub(super) fn directory(
    repository: &Repository,
    dir: &Path,
    more_objects: &[PathBuf],
    sha256: bool,
) -> Result<(), OpenError> {
    for sub in ["objects/info", "objects/pack", "refs/heads", "info"] {
        let path = dir.join(sub);
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&path)
            .map_err(|source| OpenError::Write { path, source })?;
    }
    write(dir, "HEAD", b"ref: refs/heads/recto\n")?;
    write(dir, "config", config(sha256).as_bytes())?;
    write(
        dir,
        "objects/info/alternates",
        &alternates(repository, more_objects),
    )?;
    let exclude = small_file(&repository.common_dir.join("info/exclude")).unwrap_or_default();
    write(dir, "info/exclude", &exclude)?;
    let shallow = small_file(&repository.common_dir.join("shallow")).unwrap_or_default();
    if let Some(shallow) = shallow_lines(&shallow) {
        write(dir, "shallow", shallow.as_bytes())?;
    }
    Ok(())
}

fn write(dir: &Path, name: &str, bytes: &[u8]) -> Result<(), OpenError> {
    let path = dir.join(name);
    fs::write(&path, bytes).map_err(|source| OpenError::Write { path, source })
}

/// Whether object names are SHA-256. The configuration is only looked at where HEAD has no commit.
pub(super) fn is_sha256(repository: &Repository, head: Option<&Oid>) -> bool {
    if let Some(head) = head {
        return head.is_sha256();
    }
    let config = small_file(&repository.common_dir.join("config")).unwrap_or_default();
    String::from_utf8_lossy(&config)
        .to_ascii_lowercase()
        .lines()
        .any(|line| {
            line.split_once('=').is_some_and(|(key, value)| {
                key.trim() == "objectformat" && value.trim() == "sha256"
            })
        })
}

/// The names that Windows or macOS would confuse are kept, since the work tree can hold them.
/// `sparseCheckout` makes git see files that stand where an entry says that there is none. `bare`
/// keeps git from reading attributes out of the index in calls that see objects only; it must
/// stand here, since git does not take it from the command line. HEAD is never given a commit,
/// since git would read attributes from that, too.
fn config(sha256: bool) -> String {
    let (version, extension) = if sha256 {
        (1, "[extensions]\n\tobjectFormat = sha256\n")
    } else {
        (0, "")
    };
    format!(
        "[core]\n\trepositoryFormatVersion = {version}\n\tbare = true\n\tprotectNTFS = false\n\
         \tprotectHFS = false\n\tsparseCheckout = true\n\tquotePath = false\n{extension}"
    )
}

fn alternates(repository: &Repository, more: &[PathBuf]) -> Vec<u8> {
    let mut lines = Vec::new();
    let own = repository.common_dir.join("objects");
    for path in more.iter().chain([&own]) {
        let bytes = path.as_os_str().as_bytes();
        if bytes.contains(&b'\n') {
            lines.push(b'"');
            for byte in bytes {
                match byte {
                    b'\n' => lines.extend(b"\\n"),
                    b'"' | b'\\' => lines.extend([b'\\', *byte]),
                    _ => lines.push(*byte),
                }
            }
            lines.push(b'"');
        } else {
            lines.extend(bytes);
        }
        lines.push(b'\n');
    }
    lines
}

/// The cut-off commits of a shallow repository, when they are well-formed.
fn shallow_lines(bytes: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(bytes).ok()?;
    let sound = !text.is_empty() && text.lines().all(|line| Oid::parse(line).is_some());
    sound.then(|| text.to_owned())
}

pub(super) fn seed(
    repository: &Repository,
    dir: &Path,
    seed: Seed,
    head: Option<Oid>,
    sha256: bool,
) -> Result<Pending, OpenError> {
    if dir.join("index").exists() {
        return Ok(Pending::Nothing);
    }
    let from_head = head.map_or(Pending::Nothing, Pending::Commit);
    if seed == Seed::Head {
        return Ok(from_head);
    }
    let Ok(bytes) = limited_file(&repository.git_dir.join("index"), INDEX) else {
        return Ok(from_head);
    };
    let absent = |name: &[u8]| {
        let root = repository.root.as_deref().unwrap_or(Path::new("/"));
        fs::symlink_metadata(root.join(std::ffi::OsStr::from_bytes(name))).is_err()
    };
    match index::take_over(&bytes, if sha256 { 32 } else { 20 }, absent) {
        Some(index) => {
            write(dir, "index", &index)?;
            Ok(Pending::Refresh)
        }
        None => Ok(from_head),
    }
}
