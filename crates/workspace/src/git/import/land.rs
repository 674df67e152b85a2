//! Puts checked objects and references into the repository.
//!
//! By git, since it knows loose, packed and tabled references, locks and reflogs. It works in a
//! directory of ours whose objects, references and logs are links to the repository's, as
//! `git-new-workdir` makes them; configuration and hooks are not among them.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{MetadataExt as _, symlink};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};

use super::super::call::Call;
use super::super::oid::Oid;
use super::super::refs::Head;
use super::super::run::RunError;
use super::adopt::{Fate, Kept};
use super::host::{self, Refs};
use super::quarantine::Quarantine;
use super::{ImportError, Imported, ImportedRef, Refused, RefusedReason, Spool};

/// Where imported references are, before the session's name.
const PLACE: &str = "refs/recto/";
/// Who writes reflogs.
const NAME: (&str, &str) = ("Recto", "recto@localhost");

/// A change of one reference, made only if it still is at what it was.
pub(super) struct Move<'a> {
    pub(super) name: &'a str,
    pub(super) to: &'a Oid,
    /// What it is at; none when it must not exist.
    pub(super) from: Option<&'a Oid>,
}

/// A git directory of ours whose references and objects are the repository's.
pub(super) struct Linked<'a> {
    pub(super) quarantine: &'a Quarantine<'a>,
    dir: PathBuf,
    /// Whether others of its group write the repository, too.
    is_shared: bool,
    /// One import at a time: branch and index are moved one after the other.
    _lock: File,
}

impl<'a> Linked<'a> {
    pub(super) async fn new(quarantine: &'a Quarantine<'a>) -> Result<Self, ImportError> {
        // A directory can be locked without writing anything into the repository.
        let objects = quarantine.repository.common_dir.join("objects");
        let locked = tokio::task::spawn_blocking(move || -> io::Result<File> {
            let objects = File::open(objects)?;
            flock(&objects, FlockOperation::LockExclusive)?;
            Ok(objects)
        });
        let locked = locked.await.map_err(io::Error::other).flatten();
        let lock = locked.map_err(ImportError::Quarantine)?;
        let dir = quarantine.place().join("linked.git");
        link(quarantine, &dir).map_err(ImportError::Quarantine)?;
        quarantine.hand_over().map_err(ImportError::Quarantine)?;
        let meta = lock.metadata();
        Ok(Self {
            quarantine,
            dir,
            is_shared: meta.is_ok_and(|meta| meta.mode() & 0o020 != 0),
            _lock: lock,
        })
    }

    pub(super) fn call(&self, command: &'static str) -> Call {
        let call = self.quarantine.git.call(command).dir(&self.dir);
        let call = self
            .quarantine
            .limited(call.option("--git-dir", &self.dir))
            .env("GIT_COMMITTER_NAME", NAME.0)
            .env("GIT_COMMITTER_EMAIL", NAME.1);
        if self.is_shared {
            call.config("core.sharedRepository=group")
        } else {
            call
        }
    }

    /// Puts a pack that was checked into the repository. Git reads it from a file, so that it comes
    /// to its end when we don't; what it writes has its name only when it is whole.
    pub(super) async fn put_pack(&self, pack: &Spool) -> Result<(), ImportError> {
        self.call("index-pack")
            .input_file(pack.rewound()?)
            .args(["--stdin", "--threads=1"])
            .limit(4096)
            .read()
            .await?;
        Ok(())
    }

    /// Writes what was imported below the session's name.
    pub(super) async fn put_refs(
        &self,
        session: &str,
        tips: &Refs,
        host: &Refs,
        imported: &mut Imported,
    ) -> Result<(), ImportError> {
        let mut names: BTreeMap<&String, String> = BTreeMap::new();
        for name in tips.keys() {
            let end = name.strip_prefix("refs/").unwrap_or("detached");
            names.insert(name, format!("{PLACE}{session}/{end}"));
        }
        let moves = tips.iter().map(|(name, to)| Move {
            name: &names[name],
            to,
            from: host.get(&names[name]),
        });
        let moves: Vec<Move<'_>> = moves.filter(|one| one.from != Some(one.to)).collect();
        // All at once; where that fails, each by itself, for those that can be written.
        let mut failed = BTreeMap::new();
        if self.write(&moves, "recto: import").await.is_err() {
            let place = format!("{PLACE}{session}/");
            let now = host::list(self.quarantine.git, self.quarantine.repository, &place).await?;
            for one in &moves {
                let from = now.get(one.name);
                if from == Some(one.to) {
                    continue;
                }
                let again = Move { from, ..*one };
                if let Err(error) = self.write(&[again], "recto: import").await {
                    failed.insert(one.name.to_owned(), error);
                }
            }
        }
        for (name, oid) in tips {
            let (name, at, oid) = (name.clone(), names[name].clone(), oid.clone());
            match failed.remove(&at) {
                Some(why) => imported.refused.push(Refused {
                    name,
                    reason: RefusedReason::Write(why),
                }),
                None => imported.refs.push(ImportedRef {
                    name,
                    at,
                    oid,
                    fate: Fate::Kept(Kept::Elsewhere),
                }),
            }
        }
        Ok(())
    }

    /// Changes references, all or none; git's words when it does not.
    pub(super) async fn write(&self, moves: &[Move<'_>], message: &str) -> Result<(), String> {
        if moves.is_empty() {
            return Ok(());
        }
        let common = &self.quarantine.repository.common_dir;
        if let Some(one) = moves.iter().find(|one| leads_away(common, one.name)) {
            return Err(format!("{} lies behind a link", one.name));
        }
        // Without the last word, nothing is changed: a kill can't cut the list.
        let mut orders = "start\n".to_owned();
        for one in moves {
            orders += &match one.from {
                Some(from) => format!("update {} {} {from}\n", one.name, one.to),
                None => format!("create {} {}\n", one.name, one.to),
            };
        }
        orders += "prepare\ncommit\n";
        let written = self
            .call("update-ref")
            .args(["--no-deref", "-m", message, "--stdin"])
            .input(orders.into_bytes())
            .read()
            .await;
        written.map(drop).map_err(|error| match error {
            RunError::Failed { message, .. } => {
                let last = message.lines().last().unwrap_or_default();
                last.escape_debug().take(300).collect()
            }
            other => other.to_string(),
        })
    }
}

/// Whether a part of a reference's path is a link.
fn leads_away(common_dir: &Path, name: &str) -> bool {
    let ends = name.match_indices('/').map(|(at, _)| at);
    ends.chain([name.len()]).any(|end| {
        let meta = fs::symlink_metadata(common_dir.join(&name[..end]));
        meta.is_ok_and(|meta| meta.is_symlink())
    })
}

fn link(quarantine: &Quarantine<'_>, dir: &Path) -> io::Result<()> {
    let repository = quarantine.repository;
    let common = &repository.common_dir;
    let is_tabled = common.join("reftable").is_dir();
    fs::create_dir(dir)?;
    symlink(common.join("objects"), dir.join("objects"))?;
    if is_tabled {
        fs::create_dir(dir.join("refs"))?;
        fs::write(
            dir.join("refs/heads"),
            "this repository uses the reftable format\n",
        )?;
        symlink(common.join("reftable"), dir.join("reftable"))?;
        fs::write(dir.join("HEAD"), "ref: refs/heads/.invalid\n")?;
    } else {
        symlink(common.join("refs"), dir.join("refs"))?;
        symlink(common.join("packed-refs"), dir.join("packed-refs"))?;
        fs::create_dir(dir.join("logs"))?;
        symlink(common.join("logs/refs"), dir.join("logs/refs"))?;
        symlink(repository.git_dir.join("logs/HEAD"), dir.join("logs/HEAD"))?;
        // So that git logs a move of its branch for HEAD, too.
        let head = match repository.head() {
            Ok(Head::Branch { name, .. }) => format!("ref: {name}\n"),
            _ => "ref: refs/heads/.invalid\n".to_owned(),
        };
        fs::write(dir.join("HEAD"), head)?;
    }
    let has_logs = is_tabled || common.join("logs/refs").is_dir();
    fs::write(
        dir.join("config"),
        config(quarantine.sha256, is_tabled, has_logs),
    )
}

fn config(sha256: bool, is_tabled: bool, has_logs: bool) -> String {
    let mut text = format!(
        "[core]\n\trepositoryFormatVersion = 1\n\tbare = true\n\tlogAllRefUpdates = {has_logs}\n\
         [extensions]\n"
    );
    if sha256 {
        text += "\tobjectFormat = sha256\n";
    }
    if is_tabled {
        text += "\trefStorage = reftable\n";
    }
    text
}
