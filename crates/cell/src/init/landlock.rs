//! Landlock on top of the mounts: a second wall that the first does not depend on.
//!
//! Writing is allowed beneath what may be written anyway, so a mount that came out writable by
//! mistake is still closed; and FIFOs, which a read-only mount leaves open for writing, are closed.
//! Signals and abstract sockets end at the cell.

use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use landlock::{
    ABI, Access, AccessFs, BitFlags, CompatLevel, Compatible, PathBeneath, Ruleset, RulesetAttr,
    RulesetCreated, RulesetCreatedAttr, RulesetError, Scope,
};
use rustix::fs::CWD;

use super::tree::open_beneath;
use super::{Failed, Step};
use crate::wire::{MountKind, Setup};

/// What a cell insists on: renames between directories must be controllable, else they would all
/// be refused. Linux 5.19, which overlays with id-mapped layers need as well.
const REQUIRED: ABI = ABI::V2;
/// What is used beyond that where the kernel has it: truncation, device controls, scopes.
const WANTED: ABI = ABI::V6;

/// Restricts this process and all that it starts. The root must be the cell's.
pub(super) fn restrict(setup: &Setup) -> Result<(), Failed> {
    let ruleset = ruleset().map_err(|_| Failed {
        step: "use Landlock".into(),
        errno: libc::EOPNOTSUPP,
    })?;
    let all = AccessFs::from_write(WANTED);
    let devices = AccessFs::WriteFile | AccessFs::Truncate | AccessFs::IoctlDev;
    let files = AccessFs::WriteFile | AccessFs::Truncate;
    let mut rules: Vec<(OwnedFd, BitFlags<AccessFs>)> = Vec::new();
    let scratch = ["/tmp", "/run", "/dev/shm"].map(Path::new);
    for place in scratch.into_iter().chain([setup.home.as_path()]) {
        rules.push((open(place)?, all));
    }
    rules.push((open(Path::new("/dev"))?, devices));
    rules.push((open(Path::new("/proc"))?, files));
    for place in writable(setup) {
        rules.push((open(place)?, all));
    }
    restrict_to(ruleset, &rules).map_err(|_| Failed {
        step: "restrict with Landlock".into(),
        errno: libc::EINVAL,
    })
}

/// Whether this kernel has what a cell insists on.
pub(crate) fn is_there() -> bool {
    ruleset().is_ok()
}

fn ruleset() -> Result<RulesetCreated, RulesetError> {
    Ruleset::default()
        .set_compatibility(CompatLevel::HardRequirement)
        .handle_access(AccessFs::from_write(REQUIRED))?
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_write(WANTED))?
        .scope(Scope::from_all(WANTED))?
        .create()
}

fn restrict_to(
    mut ruleset: RulesetCreated,
    rules: &[(OwnedFd, BitFlags<AccessFs>)],
) -> Result<(), RulesetError> {
    for (place, access) in rules {
        ruleset = ruleset.add_rule(PathBeneath::new(place.as_fd(), *access))?;
    }
    ruleset.restrict_self().map(drop)
}

/// The writable mounts that lie in no other one.
fn writable(setup: &Setup) -> Vec<&Path> {
    let mut places: Vec<&Path> = Vec::new();
    for mount in &setup.mounts {
        let is_writable = match &mount.kind {
            MountKind::Bind { writable, .. } => *writable,
            MountKind::Overlay { upper, .. } => upper.is_some(),
            MountKind::Mask | MountKind::Symlink { .. } => false,
        };
        if is_writable && !places.iter().any(|place| mount.at.starts_with(place)) {
            places.push(&mount.at);
        }
    }
    places
}

fn open(place: &Path) -> Result<OwnedFd, Failed> {
    open_beneath(CWD, place).step(&format!("open {} for Landlock", place.display()))
}
