//! Small files that a cell has of its own, because the host's would not fit or say too much.

use std::path::{Path, PathBuf};

use recto_protocol::ports::cell::Door;

/// Who is listed in a cell's user database.
pub(super) struct User<'a> {
    pub(super) name: &'a str,
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) home: &'a str,
    /// Lines of users and of groups that packages have made, from layers.
    pub(super) database: &'a (String, String),
    /// Has the system's own database, and changes it.
    pub(super) is_fake_root: bool,
}

/// A user database with the cell's user in it, and name resolution when there is a network.
pub(super) fn own(user: &User<'_>, network_open: bool, doors: &[Door]) -> Vec<(PathBuf, String)> {
    let mut files = Vec::new();
    if !user.is_fake_root {
        files = database(user);
    }
    if network_open {
        files.extend(resolver());
    } else {
        files.push(("/etc/hosts".into(), hosts(doors)));
    }
    files
}

/// The names that mean something without a network: the cell's own, and those of its doors.
fn hosts(doors: &[Door]) -> String {
    let mut hosts = "127.0.0.1 localhost cell\n::1 localhost\n".to_owned();
    let named = |door: &Door| {
        let is_name = |name: &&String| {
            let byte = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
            !name.is_empty() && name.len() <= 253 && name.bytes().all(byte)
        };
        let host = door.host.as_ref().filter(is_name)?;
        Some(format!("{} {host}\n", door.at.ip()))
    };
    hosts.extend(doors.iter().filter_map(named));
    hosts
}

fn database(user: &User<'_>) -> Vec<(PathBuf, String)> {
    let User {
        name,
        uid,
        gid,
        home,
        ..
    } = user;
    let mut passwd = String::new();
    let mut group = String::new();
    if *uid != 0 {
        passwd.push_str("root:x:0:0:root:/nonexistent:/usr/sbin/nologin\n");
        group.push_str("root:x:0:\n");
    }
    passwd.push_str(&format!("{name}:x:{uid}:{gid}:{name}:{home}:/bin/sh\n"));
    passwd.push_str("nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n");
    if *gid != 0 {
        group.push_str(&format!("{name}:x:{gid}:\n"));
    }
    group.push_str("nogroup:x:65534:\n");
    add(&mut passwd, &user.database.0);
    add(&mut group, &user.database.1);
    vec![("/etc/passwd".into(), passwd), ("/etc/group".into(), group)]
}

/// Adds lines whose names are not taken.
fn add(known: &mut String, more: &str) {
    for line in more.lines() {
        let Some((name, _)) = line.split_once(':') else {
            continue;
        };
        let is_taken = known
            .lines()
            .any(|line| line.split(':').next() == Some(name));
        if !is_taken {
            known.push_str(line);
            known.push('\n');
        }
    }
}

/// The resolver's configuration often lies in /run, which a cell doesn't see.
fn resolver() -> Option<(PathBuf, String)> {
    let real = std::fs::canonicalize("/etc/resolv.conf").ok()?;
    let content = std::fs::read_to_string(&real).ok()?;
    (real.starts_with("/run") && content.len() < 65536).then_some((real, content))
}

/// The user's name in the host's database; the cell's own name for a user it doesn't list.
pub(super) fn user_name(uid: u32, root: bool) -> String {
    let known = std::fs::read_to_string(Path::new("/etc/passwd"))
        .ok()
        .filter(|_| !root);
    known
        .as_deref()
        .and_then(|text| {
            text.lines().find_map(|line| {
                let mut fields = line.split(':');
                let name = fields.next()?;
                (fields.nth(1)?.parse() == Ok(uid)).then(|| name.to_owned())
            })
        })
        .unwrap_or_else(|| "recto".into())
}
