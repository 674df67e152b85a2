//! Who a cell's commands are.

use recto_protocol::ports::cell::CellError;

use super::setup_error;
use crate::spec::{Backend, CELL_USER, CELL_USERS, CellSpec, FAKE_ROOT_USERS};

/// How many there are from [`CELL_USERS`] on.
const HOW_MANY: u32 = 1 << 27;

const _: () = assert!(FAKE_ROOT_USERS + 65_536 <= CELL_USERS);

/// The user and group of a cell.
#[derive(Clone, Copy)]
pub(super) struct User {
    /// In the kernel's eyes.
    pub(super) kernel: (u32, u32),
    /// As commands see themselves.
    pub(super) inside: (u32, u32),
    /// To whom layers belong on disk.
    pub(super) layer_owner: (u32, u32),
}

impl User {
    /// Who the commands of a new cell are.
    pub(super) fn of(spec: &CellSpec, root: bool) -> Result<Self, CellError> {
        if !root {
            return Ok(Self::ours());
        }
        let fake_root = spec.root.setup.is_some();
        let is_gvisor = spec.backend == Backend::Gvisor;
        // Always the same small number: many archives have no room for a large one.
        let inside = if fake_root { 0 } else { CELL_USER };
        match spec.user {
            Some(0) => Err(CellError::Unavailable {
                reason: "a cell's user can't be root".to_owned(),
                remedy: "Name a user that owns nothing.".to_owned(),
            }),
            // Its kernel is its own, with counts of its own and without a second name for a user.
            None if is_gvisor => Ok(Self::new(CELL_USER, CELL_USER, CELL_USER)),
            Some(user) if is_gvisor => Ok(Self::new(user, user, user)),
            Some(user) => Ok(Self::new(user, inside, user)),
            None if fake_root => Ok(Self::new(FAKE_ROOT_USERS, inside, FAKE_ROOT_USERS)),
            None => {
                let user = fresh().map_err(|error| setup_error("choose a user", error))?;
                Ok(Self::new(user, inside, CELL_USER))
            }
        }
    }

    /// The user that this process runs as.
    pub(super) fn ours() -> Self {
        let (uid, gid) = (rustix::process::geteuid(), rustix::process::getegid());
        let ours = (uid.as_raw(), gid.as_raw());
        Self {
            kernel: ours,
            inside: ours,
            layer_owner: ours,
        }
    }

    fn new(kernel: u32, inside: u32, layer_owner: u32) -> Self {
        Self {
            kernel: (kernel, kernel),
            inside: (inside, inside),
            layer_owner: (layer_owner, layer_owner),
        }
    }
}

/// A user that no other cell is, but for one time in 2^27; nothing but the kernel's counts would be
/// shared then. Where root is that of a container without so many users, all are [`CELL_USER`].
fn fresh() -> std::io::Result<u32> {
    if !["/proc/self/uid_map", "/proc/self/gid_map"]
        .map(has_all)
        .contains(&false)
    {
        let mut random = [0; 4];
        std::io::Read::read_exact(&mut std::fs::File::open("/dev/urandom")?, &mut random)?;
        return Ok(CELL_USERS + u32::from_ne_bytes(random) % HOW_MANY);
    }
    Ok(CELL_USER)
}

fn has_all(map: &str) -> bool {
    std::fs::read_to_string(map).is_ok_and(|text| covers(&text))
}

/// Whether a mapping has all of the users: lines of the first id here, the first outside, how many.
fn covers(map: &str) -> bool {
    map.lines().any(|line| {
        let mut numbers = line.split_whitespace().map(str::parse::<u64>);
        let (Some(Ok(first)), Some(_), Some(Ok(count))) =
            (numbers.next(), numbers.next(), numbers.next())
        else {
            return false;
        };
        first <= u64::from(CELL_USERS) && first + count >= u64::from(CELL_USERS + HOW_MANY)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_containers_root_may_lack_the_users() {
        assert!(covers("         0          0 4294967295\n"));
        assert!(!covers("         0     100000      65536\n"));
        assert!(!covers("0 1000 1\n1 100000 65536\n"));
        assert!(!covers(""));
    }
}
