//! Sizes of trees before anything walks them: a few hundred bytes can name a file a billion times.
//! Git's fsck has seen them already.

use std::collections::HashMap;

use super::{ImportError, Limits};

/// What one tree comes to, with all that is below it.
#[derive(Clone, Copy, Default)]
struct Extent {
    /// Directories on the way to its deepest entry, itself included.
    depth: u64,
    /// The longest path in it, in bytes.
    path: u64,
    /// Files and directories.
    paths: u64,
}

/// A tree's entries, as far as they count.
struct Tree<'a> {
    /// Length of the name, and the tree that it names; a file's is none.
    entries: Vec<(u64, Option<&'a [u8]>)>,
}

/// Reads what `cat-file --batch` wrote of trees and holds their limits. `oid` is the length of an
/// object's name in bytes. Trees that are not among them count as one path.
pub(super) fn check(batch: &[u8], oid: usize, limits: &Limits) -> Result<(), ImportError> {
    let trees = read(batch, oid).ok_or(ImportError::Tree)?;
    let mut known: HashMap<&[u8], Extent> = HashMap::with_capacity(trees.len());
    for name in trees.keys() {
        measure(name, &trees, &mut known, limits)?;
    }
    Ok(())
}

/// Measures a tree after those below it, without recursion: chains of trees can be long.
fn measure<'a>(
    root: &'a [u8],
    trees: &HashMap<Vec<u8>, Tree<'a>>,
    known: &mut HashMap<&'a [u8], Extent>,
    limits: &Limits,
) -> Result<(), ImportError> {
    let mut stack = vec![root];
    while let Some(&name) = stack.last() {
        let Some(tree) = trees.get(name).filter(|_| !known.contains_key(name)) else {
            stack.pop();
            continue;
        };
        let below = tree.entries.iter().filter_map(|(_, child)| *child);
        let open = below.filter(|child| trees.contains_key(*child) && !known.contains_key(child));
        let before = stack.len();
        stack.extend(open);
        if stack.len() > before {
            continue;
        }
        let mut extent = Extent::default();
        for (length, child) in &tree.entries {
            let inner = child.and_then(|child| known.get(child)).copied();
            let inner = inner.unwrap_or_default();
            let slash = u64::from(inner.path > 0);
            extent.depth = extent.depth.max(inner.depth);
            extent.path = extent.path.max(length + slash + inner.path);
            extent.paths = extent.paths.saturating_add(1 + inner.paths);
        }
        extent.depth += 1;
        within(extent, limits)?;
        known.insert(name, extent);
        stack.pop();
    }
    Ok(())
}

fn within(extent: Extent, limits: &Limits) -> Result<(), ImportError> {
    for (value, limit, what) in [
        (extent.depth, limits.depth, "directories below each other"),
        (extent.path, limits.path_bytes, "bytes in a path"),
        (extent.paths, limits.paths, "paths in a tree"),
    ] {
        if value > limit {
            return Err(ImportError::too_much(what, limit));
        }
    }
    Ok(())
}

/// The trees of a batch by their names.
fn read(mut batch: &[u8], oid: usize) -> Option<HashMap<Vec<u8>, Tree<'_>>> {
    let mut trees = HashMap::new();
    while !batch.is_empty() {
        let end = batch.iter().position(|byte| *byte == b'\n')?;
        let header = std::str::from_utf8(&batch[..end]).ok()?;
        let mut words = header.split(' ');
        let name = bytes_of(words.next()?)?;
        let is_tree = words.next()? == "tree";
        let size: usize = words.next()?.parse().ok()?;
        let body = batch.get(end + 1..end + 1 + size)?;
        batch = batch.get(end + 1 + size..)?.strip_prefix(b"\n")?;
        if !is_tree {
            return None;
        }
        trees.insert(name, tree(body, oid)?);
    }
    Some(trees)
}

fn tree(mut body: &[u8], oid: usize) -> Option<Tree<'_>> {
    let mut entries = Vec::new();
    while !body.is_empty() {
        let space = body.iter().position(|byte| *byte == b' ')?;
        // Git's fsck lets other modes pass, and takes them for one of these.
        let is_tree = match &body[..space] {
            b"40000" => true,
            b"100644" | b"100755" | b"120000" | b"160000" => false,
            _ => return None,
        };
        let rest = &body[space + 1..];
        let length = rest.iter().position(|byte| *byte == 0)?;
        let child = rest.get(length + 1..length + 1 + oid)?;
        body = &rest[length + 1 + oid..];
        entries.push((length as u64, is_tree.then_some(child)));
    }
    Some(Tree { entries })
}

fn bytes_of(hex: &str) -> Option<Vec<u8>> {
    let pairs = hex.as_bytes().chunks(2);
    pairs
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok())
        .collect()
}
