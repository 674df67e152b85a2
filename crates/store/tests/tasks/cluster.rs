//! A PostgreSQL server for tests: one for all test processes that run at the same time.
//!
//! Making one takes about a second, and test runners start a process per test. So it lies in one
//! directory per user, whoever comes first starts it, and whoever leaves last stops it: everybody
//! holds a shared lock on `users` meanwhile, which the kernel takes back from those that are killed.

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use rustix::fs::{FlockOperation, flock};
use tempfile::TempDir;

/// The role that owns everything, as the server knows it.
const ROLE: &str = "recto";

/// A server that runs until the last of these is dropped, in any process.
pub(crate) struct Cluster {
    server: Server,
    users: File,
    /// Where it is, if it is a test's own.
    _dir: Option<TempDir>,
}

impl Cluster {
    /// Takes part in the server that all tests share. None where PostgreSQL is not installed, which is
    /// told; under `CI` that is a failure.
    pub(crate) fn shared() -> Option<Self> {
        let me = rustix::process::geteuid().as_raw();
        let dir = std::env::temp_dir().join(format!("recto-postgres-{me}"));
        Self::enter(dir, None)
    }

    /// A server of a test's own, to be crashed.
    pub(crate) fn own() -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        Self::enter(dir.path().join("server"), Some(dir))
    }

    #[allow(clippy::print_stderr, reason = "a test that is not run says so")]
    fn enter(path: PathBuf, dir: Option<TempDir>) -> Option<Self> {
        let Some(programs) = programs() else {
            let missing = "no PostgreSQL server here (initdb): `cargo xtask test` installs it";
            assert!(std::env::var_os("CI").is_none(), "{missing}");
            eprintln!("SKIPPED: {missing}");
            return None;
        };
        if let Some(dir) = &dir {
            fs::set_permissions(dir, fs::Permissions::from_mode(0o755)).unwrap();
        }
        let server = Server::at(programs, path);
        let _door = server.door();
        let users = server.lock_file("users");
        // Nobody is there: what still runs was left by somebody who was killed.
        if flock(&users, FlockOperation::NonBlockingLockExclusive).is_ok() {
            server.stop();
            server.start();
        }
        flock(&users, FlockOperation::LockShared).unwrap();
        Some(Self {
            server,
            users,
            _dir: dir,
        })
    }

    /// The address of a database.
    pub(crate) fn url(&self, database: &str) -> String {
        let host = self.server.dir.display().to_string().replace('/', "%2F");
        format!("postgres://{ROLE}@localhost/{database}?host={host}&sslmode=disable")
    }

    /// Stops the server at once, as a crash would, and starts it again.
    pub(crate) fn crash(&self) {
        self.server.control(&["-m", "immediate", "-w", "stop"]);
        self.server.run();
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        let _door = self.server.door();
        flock(&self.users, FlockOperation::Unlock).unwrap();
        if flock(&self.users, FlockOperation::NonBlockingLockExclusive).is_ok() {
            self.server.stop();
            // Before the door opens: whoever comes must not take this for somebody who is there.
            flock(&self.users, FlockOperation::Unlock).unwrap();
        }
    }
}

struct Server {
    programs: PathBuf,
    dir: PathBuf,
    /// Who runs it: it refuses root.
    user: Option<(u32, u32)>,
}

impl Server {
    fn at(programs: PathBuf, dir: PathBuf) -> Self {
        let user = rustix::process::geteuid().is_root().then(postgres_user);
        fs::create_dir_all(&dir).unwrap();
        fs::set_permissions(&dir, fs::Permissions::from_mode(0o755)).unwrap();
        if let Some((uid, gid)) = user {
            chown(&dir, Some(uid), Some(gid)).unwrap();
        }
        Self {
            programs,
            dir,
            user,
        }
    }

    /// Holds everybody else back from coming and going.
    fn door(&self) -> File {
        let file = self.lock_file("door");
        flock(&file, FlockOperation::LockExclusive).unwrap();
        file
    }

    fn lock_file(&self, name: &str) -> File {
        OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(self.dir.join(name))
            .unwrap()
    }

    fn data(&self) -> PathBuf {
        self.dir.join("data")
    }

    fn start(&self) {
        let mut init = self.command("initdb");
        init.args(["--auth", "trust", "--encoding", "UTF8", "--no-sync"]);
        // Texts in the order of a language, as most installations have it, and not in that of bytes,
        // which SQLite has: nothing may depend on it.
        init.args([
            "--locale",
            "C.UTF-8",
            "--locale-provider",
            "icu",
            "--icu-locale",
            "en",
        ]);
        init.args(["--username", ROLE, "-D"]);
        expect(init.arg(self.data()));
        self.run();
    }

    fn run(&self) {
        let options = format!(
            "-k {} -c listen_addresses= -c fsync=off -c synchronous_commit=on \
             -c max_connections=300 -c shared_buffers=32MB",
            self.dir.display()
        );
        let log = self.dir.join("log");
        self.control(&[
            "-w",
            "-t",
            "60",
            "-o",
            &options,
            "-l",
            log.to_str().unwrap(),
            "start",
        ]);
    }

    /// Stops what runs and removes what it held.
    fn stop(&self) {
        if self.data().join("postmaster.pid").exists() {
            let data = self.data();
            let mut stop = self.command("pg_ctl");
            // One that died by itself has left the file, too.
            let _ = stop
                .args(["-m", "immediate", "-w", "stop", "-D"])
                .arg(data)
                .output();
        }
        let _ = fs::remove_dir_all(self.data());
        let _ = fs::remove_file(self.dir.join("log"));
    }

    fn control(&self, arguments: &[&str]) {
        let mut control = self.command("pg_ctl");
        expect(control.args(arguments).arg("-D").arg(self.data()));
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(self.programs.join(program));
        command.current_dir(&self.dir).stdin(Stdio::null());
        command.env("LC_ALL", "C");
        if let Some((uid, gid)) = self.user {
            command.uid(uid).gid(gid);
        }
        command
    }
}

fn expect(command: &mut Command) {
    // To a file: the server that stays would hold a pipe open.
    let told = tempfile::tempfile().unwrap();
    command.stdout(told.try_clone().unwrap());
    command.stderr(told.try_clone().unwrap());
    let status = command.status().unwrap();
    if !status.success() {
        let mut text = String::new();
        let mut told = told;
        std::io::Seek::rewind(&mut told).unwrap();
        std::io::Read::read_to_string(&mut told, &mut text).unwrap();
        panic!("{command:?}: {text}");
    }
}

/// Where the server's programs are: on the `PATH`, or where distributions keep them.
fn programs() -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    let on_path = std::env::split_paths(&path);
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten();
    let mut versions: Vec<_> = versions.flatten().map(|entry| entry.path()).collect();
    versions.sort();
    let of_debian = versions
        .into_iter()
        .rev()
        .map(|version| version.join("bin"));
    let has_it = |dir: &PathBuf| Path::new(dir).join("initdb").exists();
    on_path.chain(of_debian).find(has_it)
}

/// The account that distributions make for the server.
fn postgres_user() -> (u32, u32) {
    let id = |what: &str| {
        let Output { stdout, .. } = Command::new("id")
            .args([what, "postgres"])
            .output()
            .unwrap();
        let text = String::from_utf8(stdout).unwrap();
        let missing = "no account `postgres`; its server does not run as root";
        text.trim().parse().unwrap_or_else(|_| panic!("{missing}"))
    };
    (id("-u"), id("-g"))
}
