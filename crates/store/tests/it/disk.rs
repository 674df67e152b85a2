//! A full disk: the log stays valid, and takes records again when there is room.

use std::fs;
use std::path::Path;
use std::process::Command;

use recto_protocol::ports::log::LogError;
use recto_store::Sessions;
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};

use crate::common::{AppendNow as _, clock, id, note, started};

/// Appends until the disk is full, then checks what a full disk must not spoil.
fn fill(home: &Path, make_room: Option<&dyn Fn()>) {
    let sessions = Sessions::open(home);
    let mut log = sessions.create(&id(1), clock()).unwrap();
    log.append_now(vec![started(&id(1))]).unwrap();
    let mut written = 1;
    let big = "x".repeat(10_000);
    let error = loop {
        match log.append_now(vec![note("small"), note(&big)]) {
            Ok(_) => written += 2,
            Err(error) => break error,
        }
        assert!(written < 1000, "the disk does not fill");
    };
    assert!(
        matches!(
            error,
            LogError::Io {
                action: "write",
                ..
            }
        ),
        "{error:?}"
    );
    let bytes = fs::read(home.join("sessions").join(id(1).as_str()).join("log.jsonl")).unwrap();
    assert_eq!(bytes.last(), Some(&b'\n'), "cut back to whole lines");
    assert_eq!(sessions.read(&id(1)).unwrap().len(), written);
    assert!(log.append_now(vec![note(&big)]).is_err(), "still full");

    if let Some(make_room) = make_room {
        make_room();
        assert_eq!(
            log.append_now(vec![note(&big)]).unwrap()[0].seq,
            written as u64
        );
        written += 1;
    }
    drop(log);
    let (_log, records, recovered) = sessions.resume(&id(1), clock()).unwrap();
    assert_eq!((records.len(), recovered.torn_bytes), (written, 0));
}

struct Mounted<'a>(&'a Path);

impl Drop for Mounted<'_> {
    fn drop(&mut self) {
        let _ = unmount(self.0, UnmountFlags::DETACH);
    }
}

#[test]
fn a_full_file_system() {
    let dir = tempfile::tempdir().unwrap();
    if let Err(error) = mount(
        "none",
        dir.path(),
        "tmpfs",
        MountFlags::empty(),
        c"size=128k",
    ) {
        eprintln!("cannot mount a tmpfs ({error}): testing with a limit on file sizes instead");
        return a_limit_on_file_sizes();
    }
    let mounted = Mounted(dir.path());
    let ballast = dir.path().join("ballast");
    fs::write(&ballast, vec![0; 32 << 10]).unwrap();
    fill(dir.path(), Some(&|| fs::remove_file(&ballast).unwrap()));
    drop(mounted);
}

#[test]
#[ignore = "played by a child process"]
fn child_under_a_limit() {
    let Some(home) = std::env::var_os("RECTO_STORE_TEST_LIMITED") else {
        return;
    };
    fill(Path::new(&home), None);
}

#[test]
fn a_limit_on_file_sizes() {
    let dir = tempfile::tempdir().unwrap();
    // 100 blocks of 512 or 1024 bytes; the signal is ignored so that writing fails instead.
    let run =
        "trap '' XFSZ; ulimit -f 100; exec \"$0\" --exact disk::child_under_a_limit --ignored";
    let output = Command::new("sh")
        .args(["-c", run])
        .arg(std::env::current_exe().unwrap())
        .env("RECTO_STORE_TEST_LIMITED", dir.path())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && text.contains("1 passed"),
        "{text}"
    );
}
