//! The trusted git directory: ours, with the repository's objects and nothing else of it.

use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use super::discover::{Repository, limited_file, small_file};
use super::oid::Oid;
use super::run::{Call, Git, RunError};
use super::{HeadError, index};

/// Largest index that is taken over: some five million files.
const INDEX: u64 = 512 << 20;

/// A git directory that only we write, for working on one repository.
///
/// Objects that it makes stay in it; nothing in the repository is written. Git only renews the
/// time of an object there that it would have written itself.
pub struct Trusted {
    pub(super) git: Git,
    pub(super) root: Option<PathBuf>,
    pub(super) options: OpenOptions,
    /// What the index is to be filled from before its first use.
    pub(super) pending: Pending,
    /// The last tree that was written, and still is what the index says.
    pub(super) last: Option<Oid>,
    pub(super) sha256: bool,
    dir: PathBuf,
    _temp: Option<tempfile::TempDir>,
}

/// What is left to do before the index can be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Pending {
    /// Read this commit's tree into it.
    Commit(Oid),
    /// Bring its file times up to date.
    Refresh,
    /// Nothing.
    Nothing,
}

/// How to open a trusted directory.
#[derive(Clone, Debug)]
pub struct OpenOptions {
    /// What the index is filled from.
    pub seed: Seed,
    /// The user's own list of files to ignore, besides those of the repository.
    pub excludes_file: Option<PathBuf>,
    /// Further directories with objects, for example the upper layer of a cell's `.git`.
    pub more_objects: Vec<PathBuf>,
    /// Files larger than this are left out of checkpoints.
    pub max_file_bytes: u64,
}

impl Default for OpenOptions {
    fn default() -> Self {
        Self {
            seed: Seed::Index,
            excludes_file: None,
            more_objects: Vec::new(),
            max_file_bytes: 100 << 20,
        }
    }
}

/// What a new trusted directory's index is filled from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seed {
    /// The repository's index: only files that changed since are hashed. Right as long as no cell
    /// could write it, since an index can claim contents for a file that it does not have.
    Index,
    /// The commit that is checked out: every file is hashed once.
    Head,
}

/// Why a trusted directory could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The repository's HEAD cannot be read.
    #[error(transparent)]
    Head(#[from] HeadError),
    /// The system refused.
    #[error("cannot write {}", path.display())]
    Write {
        /// What was written.
        path: PathBuf,
        /// The cause.
        #[source]
        source: io::Error,
    },
}

impl Trusted {
    /// Opens the trusted directory `dir` for a repository, making what is missing. An index that
    /// is there already is kept, whatever the seed.
    ///
    /// Starts no process. Open it before a cell runs, and no cell may reach `dir`.
    ///
    /// # Errors
    /// When HEAD cannot be read, or the system's reason.
    pub fn open(
        git: &Git,
        repository: &Repository,
        dir: &Path,
        options: OpenOptions,
    ) -> Result<Self, OpenError> {
        Self::make(git, repository, dir, options, None)
    }

    /// Opens a trusted directory that is removed with the value.
    ///
    /// # Errors
    /// As [`Trusted::open`].
    pub fn temporary(
        git: &Git,
        repository: &Repository,
        options: OpenOptions,
    ) -> Result<Self, OpenError> {
        let temp = tempfile::Builder::new()
            .prefix("recto-git-")
            .tempdir()
            .map_err(|source| OpenError::Write {
                path: std::env::temp_dir(),
                source,
            })?;
        let dir = temp.path().to_owned();
        Self::make(git, repository, &dir, options, Some(temp))
    }

    fn make(
        git: &Git,
        repository: &Repository,
        dir: &Path,
        options: OpenOptions,
        temp: Option<tempfile::TempDir>,
    ) -> Result<Self, OpenError> {
        let head = match repository.head_commit() {
            // Only the seed asks for it; an index serves as well.
            Err(HeadError::Reftable(_)) => None,
            head => head?,
        };
        let sha256 = is_sha256(repository, head.as_ref());
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
            &alternates(repository, &options.more_objects),
        )?;
        let exclude = small_file(&repository.common_dir.join("info/exclude")).unwrap_or_default();
        write(dir, "info/exclude", &exclude)?;
        let shallow = small_file(&repository.common_dir.join("shallow")).unwrap_or_default();
        if let Some(shallow) = shallow_lines(&shallow) {
            write(dir, "shallow", shallow.as_bytes())?;
        }
        let pending = seed(repository, dir, options.seed, head, sha256)?;
        Ok(Self {
            git: git.clone(),
            root: repository.root.clone(),
            options,
            pending,
            last: None,
            sha256,
            dir: dir.to_owned(),
            _temp: temp,
        })
    }

    /// The directory.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// A call that sees objects only: no work tree, hence no attributes that could turn a text
    /// into a binary file and hide what changed in it.
    pub(super) fn objects(&self, command: &'static str) -> Call<'_> {
        self.git
            .call(command)
            .dir(&self.dir)
            .option("--git-dir", &self.dir)
    }

    /// A call that sees the work tree; none for a bare repository.
    pub(super) fn work_tree(&self, command: &'static str) -> Option<Call<'_>> {
        let root = self.root.as_ref()?;
        // From the root, since git looks for files that a sparse checkout left out from where it
        // was started. Nothing is looked up there: the search path is absolute.
        let call = self
            .git
            .call(command)
            .dir(root)
            .option("--git-dir", &self.dir)
            .option("--work-tree", root);
        Some(match &self.options.excludes_file {
            Some(path) => {
                let mut setting = std::ffi::OsString::from("core.excludesFile=");
                setting.push(path);
                call.config(setting)
            }
            None => call.config("core.excludesFile=/dev/null"),
        })
    }

    /// The tree of a commit (or of a tree, which is itself).
    ///
    /// # Errors
    /// When there is no such object, or git's reason.
    pub async fn tree_of(&self, commit: &Oid) -> Result<Oid, RunError> {
        self.objects("rev-parse")
            .args([
                "--verify",
                "--end-of-options",
                &format!("{commit}^{{tree}}"),
            ])
            .read_oid()
            .await
    }
}

fn write(dir: &Path, name: &str, bytes: &[u8]) -> Result<(), OpenError> {
    let path = dir.join(name);
    fs::write(&path, bytes).map_err(|source| OpenError::Write { path, source })
}

/// Whether object names are SHA-256. The configuration is only looked at where HEAD has no commit.
fn is_sha256(repository: &Repository, head: Option<&Oid>) -> bool {
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

fn seed(
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
