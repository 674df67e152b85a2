//! Control groups: one for each cell in each hierarchy that may be written, and their removal.
//!
//! Version 1 and 2 differ in how a process gets in at no cost. A move waits for the whole machine
//! (10 ms and more, measured); exempt are a thread that moves itself through `tasks` (version 1) and
//! a process made inside (`CLONE_INTO_CGROUP`, version 2). All three hierarchies of version 1
//! together take 0.13 ms that way.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::wire;

/// How names begin; then the pid namespace, the harness' process, its start, and a number.
const PREFIX: &str = "recto-";
/// Microseconds of the period that the share of CPU is counted in.
const PERIOD: u64 = 100_000;
/// How often, a millisecond apart, the removal of a group is tried whose last process is just ending.
const TRIES: u32 = 1000;

/// Where groups may be made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Places {
    /// Version 2 with at least memory and pids; it holds `cpu` when that may be limited too.
    unified: Option<(PathBuf, bool)>,
    memory: Option<PathBuf>,
    pids: Option<PathBuf>,
    cpu: Option<PathBuf>,
}

/// Which limits the kernel holds here, and by what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Held {
    /// 1 or 2; 0 where no group may be made.
    pub(crate) version: u8,
    pub(crate) memory: bool,
    pub(crate) processes: bool,
    pub(crate) cpu: bool,
}

/// The groups of one cell, planned.
#[derive(Debug)]
pub(crate) struct Cgroup {
    name: String,
    places: &'static Places,
}

impl Cgroup {
    /// Names the groups of a new cell. None where no group may be made. The first call of a process
    /// removes what dead harnesses left.
    pub(crate) fn plan() -> Option<Self> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let places = places();
        if *places == Places::default() {
            return None;
        }
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("{}{number}", own_prefix()?);
        Some(Self { name, places })
    }

    /// The directories that [`Cgroup::make`] makes.
    pub(crate) fn directories(&self) -> Vec<PathBuf> {
        self.places
            .all()
            .map(|place| place.join(&self.name))
            .collect()
    }

    /// Makes them and sets the limits. What can't be made is left to the cell's init.
    pub(crate) fn make(&self, limits: &wire::Limits) -> wire::Cgroup {
        let mut made = wire::Cgroup::default();
        if let Some((place, cpu)) = &self.places.unified {
            let directory = place.join(&self.name);
            if unified(&directory, limits, *cpu).is_ok() {
                made.ooms = Some(directory.join("memory.events"));
                made.refusals = Some(directory.join("pids.events"));
                made.into = Some(directory);
                return made;
            }
            remove(&directory);
        }
        let mut join = |place: &Option<PathBuf>, set: &dyn Fn(&Path) -> io::Result<()>| {
            let directory = place.as_ref()?.join(&self.name);
            // Controllers that are mounted together share it.
            let is_new = !made.join.contains(&directory);
            if is_new && fs::create_dir(&directory).is_err() {
                return None;
            }
            let done = set(&directory);
            if done.is_ok() {
                if is_new {
                    made.join.push(directory.clone());
                }
                return Some(directory);
            }
            if is_new {
                remove(&directory);
            }
            None
        };
        let memory = join(&self.places.memory, &|directory| {
            write(directory, "memory.limit_in_bytes", limits.memory)?;
            // Missing where the kernel doesn't count swap.
            match write(directory, "memory.memsw.limit_in_bytes", limits.memory) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
                _ => Ok(()),
            }
        });
        let pids = join(&self.places.pids, &|directory| {
            write(directory, "pids.max", processes(limits))
        });
        join(&self.places.cpu, &|directory| {
            limits.millicores.map_or(Ok(()), |millicores| {
                write(directory, "cpu.cfs_period_us", PERIOD)?;
                write(directory, "cpu.cfs_quota_us", quota(millicores))
            })
        });
        made.ooms = memory.map(|directory| directory.join("memory.oom_control"));
        made.refusals = pids.map(|directory| directory.join("pids.events"));
        made
    }
}

fn unified(directory: &Path, limits: &wire::Limits, cpu: bool) -> io::Result<()> {
    fs::create_dir(directory)?;
    write(directory, "memory.max", limits.memory)?;
    match write(directory, "memory.swap.max", 0) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    write(directory, "pids.max", processes(limits))?;
    match limits.millicores.filter(|_| cpu) {
        Some(millicores) => fs::write(
            directory.join("cpu.max"),
            format!("{} {PERIOD}", quota(millicores)),
        ),
        None => Ok(()),
    }
}

/// A little more than `RLIMIT_NPROC` refuses, because a group does so last of all, when most of the
/// work for a new process is done already. It holds whoever can change users.
fn processes(limits: &wire::Limits) -> u64 {
    limits.processes.saturating_add(64)
}

/// The kernel refuses less than a millisecond.
fn quota(millicores: u32) -> u64 {
    (u64::from(millicores) * PERIOD / 1000).max(1000)
}

fn write(directory: &Path, file: &str, value: u64) -> io::Result<()> {
    fs::write(directory.join(file), value.to_string())
}

/// Removes a group whose processes are dead or dying. Missing ones are fine.
pub(crate) fn remove(directory: &Path) {
    for _ in 0..TRIES {
        match fs::remove_dir(directory) {
            Err(error) if error.kind() == io::ErrorKind::ResourceBusy => {
                std::thread::sleep(Duration::from_millis(1));
            }
            _ => return,
        }
    }
}

/// What holds which limits on this machine.
pub(crate) fn held() -> Held {
    let places = places();
    let unified = places.unified.is_some();
    Held {
        version: match places {
            Places {
                unified: Some(_), ..
            } => 2,
            places if *places == Places::default() => 0,
            _ => 1,
        },
        memory: unified || places.memory.is_some(),
        processes: unified || places.pids.is_some(),
        cpu: places.cpu.is_some() || places.unified.as_ref().is_some_and(|(_, cpu)| *cpu),
    }
}

impl Places {
    /// Each once: controllers may be mounted together.
    fn all(&self) -> impl Iterator<Item = &PathBuf> {
        let unified = self.unified.as_ref().map(|(place, _)| place);
        let places: BTreeSet<&PathBuf> = [
            unified,
            self.memory.as_ref(),
            self.pids.as_ref(),
            self.cpu.as_ref(),
        ]
        .into_iter()
        .flatten()
        .collect();
        places.into_iter()
    }
}

/// Looked up once per process.
fn places() -> &'static Places {
    static PLACES: OnceLock<Places> = OnceLock::new();
    PLACES.get_or_init(|| {
        let own = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        let places = find(&own, &mounts, &is_writable, &|place| {
            fs::read_to_string(place.join("cgroup.subtree_control")).unwrap_or_default()
        });
        for place in places.all() {
            reap(place);
        }
        places
    })
}

/// The places for groups: in each hierarchy the nearest one, from our own group upwards, in which
/// groups may be made. Version 2 gives limits only to groups below one without processes.
fn find(
    own: &str,
    mounts: &str,
    is_writable: &dyn Fn(&Path) -> bool,
    subtree_control: &dyn Fn(&Path) -> String,
) -> Places {
    let mut places = Places::default();
    for line in own.lines() {
        let mut fields = line.splitn(3, ':').skip(1);
        let (Some(controllers), Some(path)) = (fields.next(), fields.next()) else {
            continue;
        };
        let controllers: Vec<&str> = controllers.split(',').filter(|c| !c.is_empty()).collect();
        let Some((top, group)) = mounted(mounts, &controllers, path) else {
            continue;
        };
        let ancestors = group.ancestors().take_while(|at| at.starts_with(&top));
        let mut writable = ancestors.filter(|at| is_writable(at)).map(Path::to_owned);
        if controllers.is_empty() {
            places.unified = writable.find_map(|at| {
                let control = subtree_control(&at);
                let has = |name: &str| control.split_whitespace().any(|word| word == name);
                (has("memory") && has("pids")).then(|| (at, has("cpu")))
            });
            continue;
        }
        let place = writable.next();
        for (name, into) in [
            ("memory", &mut places.memory),
            ("pids", &mut places.pids),
            ("cpu", &mut places.cpu),
        ] {
            if controllers.contains(&name) {
                into.clone_from(&place);
            }
        }
    }
    if places.unified.is_some() {
        // A controller is in one hierarchy only, so these hold nothing more.
        (places.memory, places.pids) = (None, None);
    }
    places
}

/// Where the hierarchy of these controllers (none: version 2) is mounted, and our group in it.
fn mounted(mounts: &str, controllers: &[&str], path: &str) -> Option<(PathBuf, PathBuf)> {
    mounts.lines().find_map(|line| {
        let (left, right) = line.split_once(" - ")?;
        let mut left = left.split(' ').skip(3);
        let (root, top) = (left.next()?, left.next()?);
        let mut right = right.split(' ');
        let (kind, options) = (right.next()?, right.nth(1)?);
        let fits = if controllers.is_empty() {
            kind == "cgroup2"
        } else {
            kind == "cgroup"
                && controllers
                    .iter()
                    .all(|c| options.split(',').any(|o| o == *c))
        };
        if !fits {
            return None;
        }
        let below = Path::new(path).strip_prefix(root).ok()?;
        let top = PathBuf::from(top);
        let group = top.join(below);
        Some((top, group))
    })
}

fn is_writable(directory: &Path) -> bool {
    let may = |path: &Path| rustix::fs::access(path, rustix::fs::Access::WRITE_OK).is_ok();
    may(directory) && may(&directory.join("cgroup.procs"))
}

/// What the names of this process' groups begin with.
fn own_prefix() -> Option<String> {
    let pid = std::process::id();
    Some(format!(
        "{PREFIX}{}-{pid}-{}-",
        pid_namespace()?,
        start_of(pid)?
    ))
}

/// The number of our pid namespace: processes of others can't be told dead from alive.
fn pid_namespace() -> Option<u64> {
    use std::os::unix::fs::MetadataExt;
    Some(fs::metadata("/proc/self/ns/pid").ok()?.ino())
}

/// When a process started, in ticks since the machine did.
fn start_of(pid: u32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name may hold anything, but not after the last parenthesis.
    stat.rsplit_once(')')?
        .1
        .split_whitespace()
        .nth(19)?
        .parse()
        .ok()
}

/// Removes the groups of harnesses that are dead.
fn reap(place: &Path) {
    let Some(namespace) = pid_namespace() else {
        return;
    };
    for entry in fs::read_dir(place).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let Some((pid, start)) = name.to_str().and_then(|name| harness(name, namespace)) else {
            continue;
        };
        if start_of(pid) != Some(start) {
            // One with processes in it is refused; its sweeper sees to it.
            let _ = fs::remove_dir(entry.path());
        }
    }
}

/// Process and start of the harness that a group's name tells, if they belong to this namespace.
fn harness(name: &str, namespace: u64) -> Option<(u32, u64)> {
    let mut numbers = name.strip_prefix(PREFIX)?.split('-').map(str::parse::<u64>);
    let mut next = || numbers.next()?.ok();
    let (of, pid, start, _) = (next()?, next()?, next()?, next()?);
    (of == namespace).then_some((u32::try_from(pid).ok()?, start))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(own: &str, mounts: &str, writable: &[&str], control: &str) -> Places {
        let writable = |path: &Path| writable.iter().any(|w| Path::new(w) == path);
        find(own, mounts, &writable, &|path| {
            if path.ends_with("own.scope") {
                String::new()
            } else {
                control.to_owned()
            }
        })
    }

    const V2: &str = "30 23 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate";

    #[test]
    fn the_nearest_delegated_group_with_controllers_is_used() {
        let own = "0::/user.slice/user-1000.slice/user@1000.service/app.slice/own.scope\n";
        let base = "/sys/fs/cgroup/user.slice/user-1000.slice/user@1000.service";
        let app = format!("{base}/app.slice");
        let scope = format!("{app}/own.scope");
        let places = found(own, V2, &[base, &app, &scope], "memory pids");
        assert_eq!(places.unified, Some((app.into(), false)));
    }

    #[test]
    fn a_session_that_delegates_nothing_has_no_place() {
        let own = "0::/user.slice/user-1000.slice/own.scope\n";
        assert_eq!(found(own, V2, &[], "memory pids cpu"), Places::default());
    }

    #[test]
    fn version_1_hierarchies_are_found_with_their_roots() {
        let own = "9:name=systemd:/\n8:pids:/\n4:memory:/outer/own\n2:cpu,cpuacct:/\n0::/\n";
        let mounts = "1 0 0:1 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n\
                      2 0 0:2 /outer /sys/fs/cgroup/memory rw shared:9 - cgroup cgroup rw,memory\n\
                      3 0 0:3 / /sys/fs/cgroup/pids ro - cgroup cgroup rw,pids\n\
                      4 0 0:4 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw";
        let writable = ["/sys/fs/cgroup/memory/own", "/sys/fs/cgroup/cpu,cpuacct"];
        let places = found(own, mounts, &writable, "");
        let expected = Places {
            unified: None,
            memory: Some("/sys/fs/cgroup/memory/own".into()),
            pids: None,
            cpu: Some("/sys/fs/cgroup/cpu,cpuacct".into()),
        };
        assert_eq!(places, expected);
    }

    #[test]
    fn controllers_that_are_mounted_together_share_a_group() {
        let tree = tempfile::tempdir().unwrap();
        let (both, cpu) = (tree.path().join("memory,pids"), tree.path().join("cpu"));
        for place in [&both, &cpu] {
            fs::create_dir(place).unwrap();
        }
        let own = "4:memory,pids:/\n2:cpu,cpuacct:/\n";
        let mounts = format!(
            "1 0 0:1 / {} rw - cgroup cgroup rw,cpu,cpuacct\n\
             2 0 0:2 / {} rw - cgroup cgroup rw,memory,pids",
            cpu.display(),
            both.display()
        );
        let writable = [both.to_str().unwrap(), cpu.to_str().unwrap()];
        let cgroup = Cgroup {
            name: "recto-x".into(),
            places: Box::leak(Box::new(found(own, &mounts, &writable, ""))),
        };
        let limits = wire::Limits {
            memory: 1 << 30,
            processes: 77,
            millicores: Some(500),
            open_files: 0,
            disk_bytes: 0,
            disk_reserve: 0,
            files: 0,
            output_bytes: 0,
            output_rate: 0,
            command_time: None,
            cell_time: None,
            scratch_bytes: 0,
            scratch_inodes: 0,
            trees: Vec::new(),
            cgroup: wire::Cgroup::default(),
        };
        let (both, cpu) = (both.join("recto-x"), cpu.join("recto-x"));
        let mut planned = cgroup.directories();
        planned.sort();
        assert_eq!(planned, [cpu.clone(), both.clone()]);
        let made = cgroup.make(&limits);
        assert_eq!(made.join, [both.clone(), cpu.clone()]);
        assert_eq!(made.ooms, Some(both.join("memory.oom_control")));
        assert_eq!(made.refusals, Some(both.join("pids.events")));
        let read = |file: PathBuf| fs::read_to_string(file).unwrap();
        assert_eq!(read(both.join("memory.limit_in_bytes")), "1073741824");
        // 64 more than are refused before.
        assert_eq!(read(both.join("pids.max")), "141");
        assert_eq!(read(cpu.join("cpu.cfs_quota_us")), "50000");
    }

    #[test]
    fn names_tell_their_harness() {
        assert_eq!(harness("recto-4026-77-1234-0", 4026), Some((77, 1234)));
        for other in [
            "recto-4027-77-1234-0",
            "recto-4026-77-1234",
            "docker-1-2-3-4",
            "recto-",
        ] {
            assert_eq!(harness(other, 4026), None, "{other}");
        }
    }

    #[test]
    fn a_dead_harness_group_is_removed_and_a_living_one_stays() {
        let place = tempfile::tempdir().unwrap();
        let mut child = std::process::Command::new("true").spawn().unwrap();
        let start = start_of(child.id()).unwrap_or(1);
        child.wait().unwrap();
        let namespace = pid_namespace().unwrap();
        let dead = place
            .path()
            .join(format!("{PREFIX}{namespace}-{}-{start}-0", child.id()));
        let living = place.path().join(format!("{}0", own_prefix().unwrap()));
        let other = place.path().join("other");
        for directory in [&dead, &living, &other] {
            fs::create_dir(directory).unwrap();
        }
        reap(place.path());
        assert!(!dead.exists() && living.exists() && other.exists());
    }
}
