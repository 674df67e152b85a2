//! The work tree and the further writable directories, with what lies over them.

use std::path::{Path, PathBuf};

use recto_protocol::policy::Access;
use recto_protocol::ports::cell::CellError;

use super::{StubPlan, bind, git, owner, paths, survey};
use crate::aftermath::Aftermath;
use crate::layer::{self, Layer};
use crate::spec::CellSpec;
use crate::wire::{Mount, MountKind, Upper};

/// What a cell shows of its trees.
#[derive(Default)]
pub(super) struct Trees {
    /// The trees, and the git directories outside of them that they belong to.
    pub(super) shown: Vec<Mount>,
    /// What lies over them, in this order.
    pub(super) over: Vec<Mount>,
    pub(super) stubs: Vec<StubPlan>,
    pub(super) aftermath: Vec<Aftermath>,
    /// Sockets and FIFOs in them.
    pub(super) channels: Vec<PathBuf>,
}

impl Trees {
    /// Looks through the trees that a cell shows.
    pub(super) fn look(spec: &CellSpec, work_tree: &Path, root: bool) -> Result<Self, CellError> {
        let writable = spec.policy.access == Access::WorkspaceWrite;
        let view = git::View {
            writable,
            git: &spec.git,
            root,
        };
        let trees = all(spec, work_tree, writable)?;
        let mut found = Self::default();
        for tree in &trees {
            let survey = survey::tree(tree)?;
            found.channels.extend(survey.channels.iter().cloned());
            if let (Some(layer), true) = (&spec.work_layer, writable) {
                // All that is written stays in the layer, so nothing in it needs protection.
                found.shown.push(layered(tree, layer, root)?);
                continue;
            }
            found
                .shown
                .push(bind(tree.clone(), writable, owner(tree, root)?));
            if writable {
                found.protect(git::protect(tree, survey, view)?, owner(tree, root)?);
            }
        }
        let is_layered = spec.work_layer.is_some() && writable;
        for tree in &trees {
            let Some(mount) = git::linked(tree, view)? else {
                continue;
            };
            let is_inside = trees.iter().any(|tree| mount.at.starts_with(tree));
            // In a layered tree it is layered with it.
            if !(is_layered && is_inside) {
                found.link(mount, is_inside);
            }
        }
        Ok(found)
    }

    fn protect(&mut self, protection: git::Protection, owner: Option<crate::wire::IdMap>) {
        for path in protection.stubs {
            if !self.stubs.iter().any(|stub| stub.path == path) {
                let owner = owner.map(|owner| (owner.uid, owner.gid));
                self.stubs.push(StubPlan { path, owner });
            }
        }
        self.over.extend(protection.mounts);
        self.aftermath.push(protection.aftermath);
    }

    /// Shows a git directory that a tree belongs to. In a tree, it is shown already in some way.
    fn link(&mut self, mount: Mount, is_inside: bool) {
        let places = if is_inside {
            &mut self.over
        } else {
            &mut self.shown
        };
        places.retain(|other| other.at != mount.at);
        places.push(mount);
    }
}

/// The trees, outer ones first: an inner one's own protections lie over those of the outer one.
fn all(spec: &CellSpec, work_tree: &Path, writable: bool) -> Result<Vec<PathBuf>, CellError> {
    let mut trees = vec![work_tree.to_owned()];
    let further = spec.policy.writable.iter().filter(|_| writable);
    for path in further {
        let tree = paths::real_directory("find a writable directory", Path::new(path))?;
        if !trees.contains(&tree) {
            trees.push(tree);
        }
    }
    trees.sort_by_key(|tree| tree.components().count());
    Ok(trees)
}

/// A tree under a layer.
fn layered(tree: &Path, layer: &Layer, root: bool) -> Result<Mount, CellError> {
    Ok(Mount {
        at: tree.to_owned(),
        kind: MountKind::Overlay {
            lowers: vec![(tree.to_owned(), owner(tree, root)?)],
            upper: Some(Upper::Layer {
                directory: layer.directory().to_owned(),
                part: layer::part_of(tree),
            }),
        },
    })
}
