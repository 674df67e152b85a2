//! What `doctor` tells about cells on this machine: it makes one, and says why when it can't.

use recto_protocol::policy::Policy;
use recto_protocol::ports::cell::{CellError, Command, ExitStatus, ProcessEvent};

use crate::cgroup;
use crate::harness::{forbidding_setting, launch};
use crate::spec::CellSpec;
use crate::wire::Isolation;

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What was looked at.
    pub what: &'static str,
    /// How it is.
    pub status: Status,
    /// The details.
    pub detail: String,
    /// What to change when it is not good, as a sentence for the user.
    pub remedy: Option<String>,
}

/// How a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// As it should be.
    Good,
    /// Worth knowing; cells work.
    Note,
    /// Cells don't work.
    Bad,
}

/// Looks at the kernel and its settings, and runs a program in a real cell.
///
/// Blocks for some milliseconds; may be called inside or outside a runtime.
pub fn probe() -> Vec<Finding> {
    let root = rustix::process::geteuid().is_root();
    vec![
        identity(root),
        namespaces(root),
        seccomp(),
        landlock(),
        overlay(),
        limits(root),
        cell(),
    ]
}

fn identity(root: bool) -> Finding {
    if root {
        let detail = "root: cells use an own user and show the work tree by an id-mapped mount";
        let remedy = "Prefer to run recto as an ordinary user.";
        return finding("user", Status::Note, detail, Some(remedy));
    }
    finding(
        "user",
        Status::Good,
        "an ordinary user: cells use a user namespace",
        None,
    )
}

fn namespaces(root: bool) -> Finding {
    let isolation = if root {
        Isolation::Root
    } else {
        Isolation::User
    };
    match forbidding_setting(isolation) {
        Some((file, value, remedy)) => finding(
            "namespaces",
            Status::Bad,
            &format!("{file} is {value}"),
            Some(&format!("{remedy}.")),
        ),
        None => finding(
            "namespaces",
            Status::Good,
            "no kernel setting forbids them",
            None,
        ),
    }
}

fn seccomp() -> Finding {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    match crate::seccomp::program(false) {
        Ok(program) if status.contains("\nSeccomp:") => {
            let detail = format!("a filter of {} instructions", program.len() / 8);
            finding("system call filter", Status::Good, &detail, None)
        }
        Ok(_) => finding(
            "system call filter",
            Status::Bad,
            "the kernel has no seccomp",
            Some("Use a kernel with CONFIG_SECCOMP_FILTER."),
        ),
        Err(error) => finding("system call filter", Status::Bad, &error.to_string(), None),
    }
}

fn landlock() -> Finding {
    if crate::init::has_landlock() {
        return finding("landlock", Status::Good, "present", None);
    }
    let remedy = "Use Linux 5.19 or newer with `landlock` among the security modules (`lsm=`).";
    finding("landlock", Status::Bad, "not there", Some(remedy))
}

fn overlay() -> Finding {
    let known = std::fs::read_to_string("/proc/filesystems").unwrap_or_default();
    if known
        .lines()
        .any(|line| line.trim_start_matches("nodev").trim() == "overlay")
    {
        return finding("overlay file system", Status::Good, "present", None);
    }
    let remedy = "Load it with `modprobe overlay`; repositories can't be worked in without it.";
    finding(
        "overlay file system",
        Status::Bad,
        "not loaded",
        Some(remedy),
    )
}

/// What holds which limit.
fn limits(root: bool) -> Finding {
    let held = cgroup::held();
    if held.version == 0 {
        let detail = "memory, processes, disk and files by watching; CPU not at all: no control \
                      group may be written";
        let remedy = if root {
            "Mount the cgroup file systems writable."
        } else {
            "Start recto with `systemd-run --user --scope`, so that it may make control groups."
        };
        return finding("limits", Status::Note, detail, Some(remedy));
    }
    let by_group: Vec<&str> = [
        (held.memory, "memory"),
        (held.processes, "processes"),
        (held.cpu, "CPU"),
    ]
    .into_iter()
    .filter_map(|(is, what)| is.then_some(what))
    .collect();
    let watched: Vec<&str> = [(held.memory, "memory"), (held.processes, "processes")]
        .into_iter()
        .filter_map(|(is, what)| (!is).then_some(what))
        .chain(["disk", "files"])
        .collect();
    let detail = format!(
        "{} by control groups (version {}); {} by watching{}",
        by_group.join(", "),
        held.version,
        watched.join(", "),
        if held.cpu { "" } else { "; CPU not at all" }
    );
    finding("limits", Status::Good, &detail, None)
}

/// The proof: `true` in a cell, on a thread of its own because the caller may be in a runtime.
fn cell() -> Finding {
    let tried = std::thread::spawn(|| {
        let tree = std::env::temp_dir().join(format!("recto-probe-{}", std::process::id()));
        std::fs::create_dir_all(&tree).map_err(|error| (error.to_string(), None))?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        let result = runtime
            .map_err(|error| (error.to_string(), None))
            .and_then(|runtime| {
                runtime.block_on(run_true(CellSpec::new(Policy::default(), &tree)))
            });
        // Empty but for the cell's own stubs, which are gone.
        let _ = std::fs::remove_dir(&tree);
        result
    });
    match tried.join() {
        Ok(Ok(())) => finding("cell", Status::Good, "a program ran in a cell", None),
        Ok(Err((detail, remedy))) => Finding {
            what: "cell",
            status: Status::Bad,
            detail,
            remedy,
        },
        Err(_) => finding("cell", Status::Bad, "making a cell panicked", None),
    }
}

async fn run_true(spec: CellSpec) -> Result<(), (String, Option<String>)> {
    let told = |error: CellError| match error {
        CellError::Unavailable { reason, remedy } => (reason, Some(remedy)),
        CellError::Setup { ref source, .. } => (format!("{error}: {source}"), None),
        other => (other.to_string(), None),
    };
    let cell = launch(spec).await.map_err(told)?;
    let command = Command {
        argv: vec!["true".into()],
        ..Command::default()
    };
    let mut process = cell.spawn(command).await.map_err(told)?;
    let mut end = None;
    while let Some(event) =
        std::future::poll_fn(|context| process.events.as_mut().poll_next(context)).await
    {
        if let ProcessEvent::Exited(status) = event {
            end = Some(status);
        }
    }
    cell.close().await;
    match end {
        Some(ExitStatus::Code(0)) => Ok(()),
        other => Err((format!("`true` ended with {other:?}"), None)),
    }
}

fn finding(what: &'static str, status: Status, detail: &str, remedy: Option<&str>) -> Finding {
    Finding {
        what,
        status,
        detail: detail.to_owned(),
        remedy: remedy.map(str::to_owned),
    }
}
