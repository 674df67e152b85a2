//! What a failed set-up step means, and what the user can change.

use std::io;

use recto_protocol::ports::cell::CellError;

use crate::wire::{Isolation, SetupError};

/// The flag that gives isolation up.
const WITHOUT: &str = "run without isolation: `--sandbox danger-full-access`";

/// Kernel settings that forbid what an ordinary user's cell needs: file, forbidding value, remedy.
const SETTINGS: [(&str, &str, &str); 3] = [
    (
        "/proc/sys/kernel/unprivileged_userns_clone",
        "0",
        "Set `sysctl kernel.unprivileged_userns_clone=1`",
    ),
    (
        "/proc/sys/kernel/apparmor_restrict_unprivileged_userns",
        "1",
        "Set `sysctl kernel.apparmor_restrict_unprivileged_userns=0`, or install an AppArmor \
         profile that allows `userns` for recto",
    ),
    (
        "/proc/sys/user/max_user_namespaces",
        "0",
        "Set `sysctl user.max_user_namespaces=10000`",
    ),
];

/// Turns a refused step into an error that says what to do.
pub(super) fn explain(error: &SetupError, isolation: Isolation) -> CellError {
    let source = io::Error::from_raw_os_error(error.errno);
    let step = error.step.as_str();
    let refused = matches!(
        error.errno,
        libc::EPERM | libc::EACCES | libc::ENOSPC | libc::EUSERS | libc::ENOSYS | libc::EINVAL
    );
    let unavailable = |reason: String, remedy: String| CellError::Unavailable { reason, remedy };
    if refused && (step.starts_with("unshare") || step.starts_with("map the")) {
        if let Some((file, value, remedy)) = forbidding(isolation) {
            let reason = format!("{step}: {source}; {file} is {value}");
            return unavailable(reason, format!("{remedy}, or {WITHOUT}."));
        }
        let remedy = match isolation {
            Isolation::Root => {
                format!("Run recto as an ordinary user, or give it CAP_SYS_ADMIN, or {WITHOUT}.")
            }
            Isolation::User | Isolation::Direct | Isolation::Given => format!(
                "In a container, allow user namespaces (for docker and podman: \
                 `--security-opt seccomp=unconfined`), or {WITHOUT}."
            ),
        };
        return unavailable(format!("{step}: {source}"), remedy);
    }
    if step.starts_with("idmap") || step.starts_with("make an id mapping") {
        return unavailable(
            format!(
                "{step}: {source}; recto runs as root and this file system or kernel can't show its files as another user's"
            ),
            format!(
                "Run recto as an ordinary user, or move the work tree to a file system with id-mapped mounts (ext4, xfs, btrfs, tmpfs), or {WITHOUT}."
            ),
        );
    }
    if refused && step.starts_with("become the cell's") {
        return unavailable(
            format!("{step}: {source}"),
            format!("Run recto as an ordinary user, or {WITHOUT}."),
        );
    }
    if refused && step.starts_with("make a proc") {
        return unavailable(
            format!("{step}: {source}; parts of /proc are hidden here"),
            format!(
                "In a container, unmask /proc (`--security-opt systempaths=unconfined`), or {WITHOUT}."
            ),
        );
    }
    if step.starts_with("use Landlock") {
        return unavailable(
            "this kernel has no Landlock of version 2 or newer".to_owned(),
            format!(
                "Use Linux 5.19 or newer with Landlock among its security modules (`lsm=landlock,…` \
                 on the kernel's command line), or {WITHOUT}."
            ),
        );
    }
    if step.contains(": lock ") {
        return unavailable(
            format!("{step}: another cell uses this layer"),
            "Wait until it has ended, or use another layer.".to_owned(),
        );
    }
    if step.starts_with("overlay ") || step.starts_with("open the layers") {
        return unavailable(
            format!("{step}: {source}"),
            format!(
                "Use Linux 5.19 or newer with overlayfs (`modprobe overlay`) and keep layers on \
                 ext4, xfs, btrfs or tmpfs, or {WITHOUT}."
            ),
        );
    }
    if error.errno == libc::ENOSYS || step.starts_with("install the seccomp") {
        return unavailable(
            format!("{step}: {source}"),
            format!("Use Linux 5.12 or newer with seccomp filters, or {WITHOUT}."),
        );
    }
    CellError::Setup {
        step: step.to_owned(),
        source,
    }
}

/// The first setting that forbids user namespaces.
pub(crate) fn forbidding(
    isolation: Isolation,
) -> Option<(&'static str, &'static str, &'static str)> {
    SETTINGS.into_iter().find(|(file, value, _)| {
        let of_users = *file != "/proc/sys/user/max_user_namespaces";
        !(of_users && isolation == Isolation::Root)
            && std::fs::read_to_string(file).is_ok_and(|text| text.trim() == *value)
    })
}
