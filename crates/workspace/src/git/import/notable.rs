//! Changes that act beyond their contents: what git, or a server, does because of them.

use super::super::run::RunError;
use super::host::{Base, Refs};
use super::quarantine::Quarantine;
use super::{ImportError, Oid};

/// Most bytes that are read of one list of changes.
const MOST_LISTED: u64 = 32 << 20;
/// Most references whose changes are looked at.
const MOST_LOOKED_AT: usize = 50;
/// Most that are told.
const MOST_TOLD: usize = 100;

/// A change that acts beyond its contents.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notable {
    /// The reference inside.
    pub name: String,
    /// The path, with bytes that are no text replaced: not safe to print.
    pub path: String,
    /// Why it is told of.
    pub kind: NotableKind,
}

/// Why a change is told of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotableKind {
    /// `.gitattributes` says how git converts files, and by which of the user's filters.
    Attributes,
    /// `.gitmodules` says where other repositories are fetched from.
    Modules,
    /// A commit of another repository.
    Submodule,
    /// A server runs it when it is pushed.
    Workflow,
    /// There are too many changes to look at.
    Unseen,
}

/// Looks through what each reference changes.
pub(super) async fn find(
    quarantine: &Quarantine<'_>,
    tips: &Refs,
    base: &Base,
    host: &Refs,
) -> Result<Vec<Notable>, ImportError> {
    let mut found: Vec<Notable> = Vec::new();
    let empty = quarantine.empty_tree();
    for (count, (name, tip)) in tips.iter().enumerate() {
        let before = host.get(name).or(base.head.commit()).unwrap_or(&empty);
        let changes = if count < MOST_LOOKED_AT {
            changes(quarantine, before, tip).await?
        } else {
            None
        };
        match changes {
            Some(bytes) => found.extend(sort(name, &bytes)),
            None => found.push(Notable {
                name: name.clone(),
                path: String::new(),
                kind: NotableKind::Unseen,
            }),
        }
    }
    // One path, changed alike on several branches, is told of once.
    let mut told = std::collections::BTreeSet::new();
    found.retain(|one| one.path.is_empty() || told.insert(one.path.clone()));
    found.truncate(MOST_TOLD);
    Ok(found)
}

/// The raw changes between two commits; none when there are too many.
async fn changes(
    quarantine: &Quarantine<'_>,
    before: &Oid,
    tip: &Oid,
) -> Result<Option<Vec<u8>>, RunError> {
    let output = quarantine
        .call("diff-tree")
        .args([
            "-r",
            "-z",
            "--raw",
            "--no-renames",
            "--ignore-submodules=none",
        ])
        .args([before.as_str(), tip.as_str(), "--"])
        .limit(MOST_LISTED)
        .read_some(&[0])
        .await?;
    Ok((!output.cut).then_some(output.bytes))
}

fn sort<'a>(name: &'a str, bytes: &'a [u8]) -> impl Iterator<Item = Notable> + 'a {
    let mut fields = bytes.split(|byte| *byte == 0);
    std::iter::from_fn(move || {
        let header = fields.next()?;
        let path = fields.next()?;
        Some((header, path))
    })
    .filter_map(move |(header, path)| {
        // `:OLDMODE NEWMODE …`
        let mut modes = header.split(|byte| *byte == b' ');
        let modes = [modes.next()?.strip_prefix(b":")?, modes.next()?];
        let path = String::from_utf8_lossy(path).into_owned();
        let kind = kind(&path, modes)?;
        Some(Notable {
            name: name.to_owned(),
            path,
            kind,
        })
    })
}

fn kind(path: &str, modes: [&[u8]; 2]) -> Option<NotableKind> {
    const WORKFLOWS: [&str; 6] = [
        ".github/workflows/",
        ".github/actions/",
        ".gitea/workflows/",
        ".forgejo/workflows/",
        ".circleci/",
        ".buildkite/",
    ];
    const FILES: [&str; 8] = [
        ".gitlab-ci.yml",
        "jenkinsfile",
        "azure-pipelines.yml",
        "bitbucket-pipelines.yml",
        ".travis.yml",
        ".drone.yml",
        ".woodpecker.yml",
        ".cirrus.yml",
    ];
    // Some systems do not tell cases apart.
    let path = path.to_lowercase();
    let file = path.rsplit('/').next().unwrap_or_default();
    if modes.contains(&b"160000".as_slice()) {
        Some(NotableKind::Submodule)
    } else if file == ".gitattributes" {
        Some(NotableKind::Attributes)
    } else if path == ".gitmodules" {
        Some(NotableKind::Modules)
    } else if FILES.contains(&path.as_str())
        || WORKFLOWS.iter().any(|place| path.starts_with(place))
    {
        Some(NotableKind::Workflow)
    } else {
        None
    }
}
