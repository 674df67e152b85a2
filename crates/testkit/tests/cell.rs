//! The cell through the whole program: what a command cannot read, write or reach, and what is left
//! when the harness is killed. Each as whoever runs the tests and as an ordinary user.
//!
//! Every secret is tried with the same command outside a cell first, so that a test that looks for
//! the wrong thing fails.

#![allow(clippy::unwrap_used)]

use std::io::{BufRead as _, BufReader};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command};
use std::time::Duration;

use recto_testkit::{Home, Repository, Run, Script, User, eventually, mounts_with, processes_with};
use serde_json::json;

const KEY: &str = "sk-bait-7f3c";
const SECRET: &str = "bait-secret-91ab";

/// Places below the home where secrets are.
const SECRETS: [&str; 9] = [
    ".ssh/id_ed25519",
    ".aws/credentials",
    ".netrc",
    ".git-credentials",
    ".config/gh/hosts.yml",
    ".docker/config.json",
    ".cargo/credentials.toml",
    ".recto/keys.toml",
    ".recto/sessions/other/log.jsonl",
];

struct Place {
    home: Home,
    repo: Repository,
    user: User,
}

fn places() -> impl Iterator<Item = Place> {
    User::all().into_iter().map(|user| {
        let mut home = Home::of(user);
        for name in SECRETS {
            home.write(name, &format!("{SECRET} = \"{SECRET}\"\n"));
        }
        home.set("OPENAI_API_KEY", KEY)
            .set("GITHUB_TOKEN", SECRET)
            .set("SSH_AUTH_SOCK", SECRET);
        let repo = Repository::new(&[("a.txt", "a\n")]);
        repo.give_to(user);
        Place { home, repo, user }
    })
}

impl Place {
    fn cell(&self, script: &str) -> Run {
        self.home.run(
            self.repo.path(),
            &["cell", "run", "--", "bash", "-c", script],
        )
    }

    /// The same command without a cell.
    fn outside(&self, script: &str) -> Run {
        let args = [
            "cell",
            "run",
            "-s",
            "danger-full-access",
            "--",
            "bash",
            "-c",
            script,
        ];
        self.home.run(self.repo.path(), &args)
    }
}

#[test]
fn the_key_and_secrets_cannot_be_read() {
    for place in places() {
        let home = place.home.path().display();
        let names = SECRETS.map(|name| format!("{home}/{name}")).join(" ");
        let read = format!(
            "cat {names} ~/.ssh/* 2>&1; ls -laR {home} 2>&1; env; set; \
             cat /proc/[0-9]*/environ /proc/[0-9]*/cmdline 2>&1 | tr '\\0' '\\n'; \
             cat /proc/[0-9]*/root{home}/.ssh/id_ed25519 /proc/[0-9]*/cwd/../.ssh/* 2>&1; true"
        );
        let outside = place.outside(&read).expect(0).stdout;
        assert!(
            outside.contains(SECRET) && outside.contains(KEY),
            "the test looks for nothing"
        );
        let inside = place.cell(&read).expect(0).stdout;
        assert!(!inside.contains(SECRET), "{:?}: {inside}", place.user);
        assert!(!inside.contains(KEY), "{:?}: {inside}", place.user);
    }
}

#[test]
fn the_programs_own_directory_cannot_be_read_even_inside_the_work_tree() {
    for user in User::all() {
        let mut home = Home::of(user);
        let repo = Repository::new(&[("a.txt", "a\n")]);
        repo.write("own/keys.toml", SECRET);
        repo.give_to(user);
        home.set("RECTO_HOME", &repo.path().join("own").display().to_string());
        let run = home.run(
            repo.path(),
            &[
                "cell",
                "run",
                "--",
                "sh",
                "-c",
                "cat own/keys.toml; ls -la own",
            ],
        );
        assert!(!run.stdout.contains(SECRET), "{user:?}: {run:?}");
        assert_eq!(repo.read("own/keys.toml"), SECRET);
    }
}

#[test]
fn tools_that_variables_name_are_shown_without_their_credentials_and_never_a_whole_home() {
    for user in User::all() {
        let mut home = Home::of(user);
        home.write("tools/cargo/bin/tool", "tool")
            .write("tools/cargo/credentials.toml", SECRET);
        home.write(".ssh/id_ed25519", SECRET);
        let (at, cargo) = (
            home.path().display().to_string(),
            home.path().join("tools/cargo"),
        );
        home.set("CARGO_HOME", cargo.to_str().unwrap())
            .set("VIRTUAL_ENV", &at);
        let repo = Repository::new(&[("a.txt", "a\n")]);
        repo.give_to(user);
        let script =
            format!("cd {at}; cat $CARGO_HOME/bin/tool $CARGO_HOME/credentials.toml .ssh/*");
        let run = home.run(repo.path(), &["cell", "run", "--", "sh", "-c", &script]);
        assert!(
            run.stdout.starts_with("tool") && !run.stdout.contains(SECRET),
            "{user:?}: {run:?}"
        );
    }
}

#[test]
fn other_processes_cannot_be_seen_or_signalled() {
    for place in places() {
        let mut other = Command::new("sleep").arg("1000").spawn().unwrap();
        let id = other.id();
        let script = format!(
            "ls -d /proc/{id} /proc/{}; kill -9 {id} {}; ls /proc | grep -c '^[0-9]'",
            std::process::id(),
            std::process::id()
        );
        let run = place.cell(&script).expect(0);
        let seen: usize = run.stdout.lines().last().unwrap().parse().unwrap();
        // PID 1, perhaps its helper, the shell, ls and grep.
        assert!(seen <= 6, "{:?}: {}", place.user, run.stdout);
        assert_eq!(other.try_wait().unwrap(), None);
        other.kill().unwrap();
        other.wait().unwrap();
    }
}

#[test]
fn nothing_outside_the_work_tree_can_be_written() {
    for place in places() {
        let beside = place.repo.path().parent().unwrap().display().to_string();
        let home = place.home.path().display();
        let script = format!(
            "exec 2>/dev/null; for d in {beside} {home} {home}/.recto {home}/.ssh /etc /usr /usr/local/bin /var /opt \
             /root /home /proc/sys/kernel /sys /dev/shm/../.. /; do \
             touch $d/canary-file 2>/dev/null; mkdir -p $d/canary-dir 2>/dev/null; done; \
             ln -s {beside} link; touch link/canary-file; \
             touch .git/hooks/pre-commit .git/config .recto/x .agents/x; \
             echo '[core] fsmonitor = canary' >> .git/config; \
             touch kept.txt /tmp/scratch; ls /tmp/scratch kept.txt"
        );
        let hooks = || {
            std::fs::read_dir(place.repo.path().join(".git/hooks"))
                .unwrap()
                .count()
        };
        let (config, hooks_before) = (place.repo.read(".git/config"), hooks());
        let run = place.cell(&script).expect(0);
        assert_eq!(run.stdout, "/tmp/scratch\nkept.txt\n");
        let found = Command::new("find")
            .args([
                &beside,
                &home.to_string(),
                "/etc",
                "/usr/local",
                "/opt",
                "/root",
                "/var",
                "/home",
            ])
            .args(["-xdev", "-name", "canary-*"])
            .output()
            .unwrap();
        assert_eq!(
            String::from_utf8_lossy(&found.stdout),
            "",
            "{:?}",
            place.user
        );
        assert!(!Path::new("/tmp/scratch").exists());
        assert!(place.repo.path().join("kept.txt").exists());
        assert_eq!(
            (place.repo.read(".git/config"), hooks()),
            (config, hooks_before)
        );
        for own in [".recto", ".agents"] {
            assert!(
                !place.repo.path().join(own).exists(),
                "{own} is left behind"
            );
        }
        use std::os::unix::fs::MetadataExt as _;
        let owner = |name: &str| {
            std::fs::metadata(place.repo.path().join(name))
                .unwrap()
                .uid()
        };
        assert_eq!(
            owner("kept.txt"),
            owner("a.txt"),
            "what is written belongs to the user"
        );
    }
}

#[test]
fn a_read_only_cell_writes_nothing_at_all() {
    for place in places() {
        let args = [
            "cell",
            "run",
            "-s",
            "read-only",
            "--",
            "sh",
            "-c",
            "touch new; rm a.txt; touch .git/new",
        ];
        place.home.run(place.repo.path(), &args).expect(1);
        assert_eq!(place.repo.git(&["status", "--porcelain"]), "");
        assert!(!place.repo.path().join(".git/new").exists());
    }
}

#[test]
fn there_is_no_network() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let port = listener.local_addr().unwrap().port();
    for place in places() {
        let script = format!(
            "exec 2>/dev/null; (exec 3<>/dev/tcp/127.0.0.1/{port}) && echo reached; \
             (exec 3<>/dev/tcp/1.1.1.1/53) && echo reached; \
             tail -n +3 /proc/net/dev | cut -d: -f1 | tr -d ' '"
        );
        let outside = place.outside(&script).stdout;
        assert!(
            outside.starts_with("reached\n"),
            "the test tries nothing: {outside}"
        );
        assert!(listener.accept().is_ok());
        assert_eq!(
            place.cell(&script).expect(0).stdout,
            "lo\n",
            "{:?}",
            place.user
        );
        assert!(listener.accept().is_err(), "something came through");
    }
}

#[test]
fn nothing_inside_is_root_or_can_become_it() {
    for place in places() {
        let script = "id -u; grep -E '^(CapEff|CapBnd|CapPrm|NoNewPrivs)' /proc/self/status; \
                      exec 2>/dev/null; mount -t tmpfs x /tmp && echo mounted; \
                      unshare -r true && echo unshared; su -c true </dev/null >/dev/null && echo su; \
                      sudo -n true && echo sudo; true";
        let run = place.cell(script).expect(0);
        let mut lines = run.stdout.lines();
        assert_ne!(lines.next(), Some("0"));
        assert_eq!(
            lines.collect::<Vec<_>>(),
            [
                "CapPrm:\t0000000000000000",
                "CapEff:\t0000000000000000",
                "CapBnd:\t0000000000000000",
                "NoNewPrivs:\t1"
            ],
            "{:?}",
            place.user
        );
    }
}

#[test]
fn the_key_appears_nowhere_in_a_session() {
    for place in places() {
        let home = place.home.path().display();
        let script = Script::new()
            .exec(&format!("env; cat /proc/*/environ {home}/.ssh/* {home}/.recto/* | tr '\\0' '\\n'"))
            .call("view_image", json!({"path": format!("{home}/.ssh/id_ed25519")}))
            .patch(&format!(
                "*** Begin Patch\n*** Update File: {home}/.ssh/id_ed25519\n@@\n-bait\n+x\n*** End Patch\n"
            ))
            .patch("*** Begin Patch\n*** Add File: ../beside.txt\n+x\n*** End Patch\n")
            .answer(&format!("See 【F:{home}/.ssh/id_ed25519†L1】 and 【F:../../.ssh/id†L1】."));
        place.user.take(script.dir());
        for format in [&["exec"][..], &["exec", "--json"]] {
            let model = script.model();
            let mut args = format.to_vec();
            args.extend(["-m", &model, "do it"]);
            let run = place.home.run(place.repo.path(), &args).expect(0);
            for bait in [KEY, SECRET] {
                assert!(
                    !run.stdout.contains(bait) && !run.stderr.contains(bait),
                    "{run:?}"
                );
            }
        }
        assert!(
            !place
                .repo
                .path()
                .parent()
                .unwrap()
                .join("beside.txt")
                .exists()
        );
        assert_eq!(place.home.sessions().len(), 3, "two, and the bait");
        for bait in [KEY, SECRET] {
            let found = Command::new("grep")
                .args(["-rlF", "--exclude-dir=other", bait])
                .args([
                    place.home.recto().join("sessions"),
                    place.repo.path().to_owned(),
                ])
                .output()
                .unwrap();
            assert_eq!(
                String::from_utf8_lossy(&found.stdout),
                "",
                "{:?}",
                place.user
            );
        }
    }
}

#[test]
fn killing_the_harness_leaves_no_process_mount_or_file() {
    for place in places() {
        let mark = format!("10{}{}", std::process::id(), place.user as u8);
        let script = Script::new().call(
            "exec_command",
            json!({"cmd": format!(
                "(setsid sleep {mark} &) ; trap '' TERM INT HUP; touch begun /tmp/inside; sleep {mark}; true"
            )}),
        );
        place.user.take(script.dir());
        let scratch = tempfile::tempdir().unwrap();
        place.user.take(scratch.path());
        let repo = place.repo.path().display().to_string();
        let marks = [repo.as_str(), scratch.path().to_str().unwrap()];
        let model = script.model();
        let mut command = place
            .home
            .command(place.repo.path(), &["exec", "-m", &model, "do it"]);
        command.env("TMPDIR", scratch.path());
        let mut child = command.spawn().unwrap();
        let begun = place.repo.path().join("begun");
        assert!(
            eventually(|| begun.exists() && !sleepers(&mark).is_empty()),
            "in vain: the command runs"
        );
        // `setpriv` becomes the program, so this is the harness in both cases.
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(
            eventually(|| sleepers(&mark).is_empty()),
            "in vain: its processes are gone"
        );
        let stubs = [".recto", ".agents"].map(|name| place.repo.path().join(name));
        assert!(
            eventually(|| stubs.iter().all(|stub| !stub.exists())),
            "in vain: its stubs are gone"
        );
        assert!(
            eventually(|| processes_with(&marks).is_empty()),
            "{:?}",
            processes_with(&marks)
        );
        assert_eq!(mounts_with(&marks), Vec::<String>::new());
        assert_eq!(std::fs::read_dir(scratch.path()).unwrap().count(), 0);
        assert_eq!(place.repo.git(&["status", "--porcelain"]), "?? begun");

        // Nothing is lost: the log goes on where it was, and says that the result is.
        let script = script
            .reply(json!({"expect": {"contains": "stopped before the result"}, "text": "Done."}));
        let resume = ["exec", "resume", "--last"];
        assert_eq!(
            place.home.run(place.repo.path(), &resume).expect(0).stdout,
            "Done.\n"
        );
        drop(script);
    }
}

/// The cell is made within the first few milliseconds: the harness is killed before, while and after.
#[test]
fn killing_the_harness_at_any_moment_leaves_nothing() {
    for place in places() {
        let script = Script::new().exec("sleep 1000 & sleep 1000");
        place.user.take(script.dir());
        let repo = place.repo.path().display().to_string();
        let home = place.home.path().display().to_string();
        let marks = [repo.as_str(), home.as_str()];
        let model = script.model();
        let args = ["exec", "-m", &model, "do it"];
        for moment in 0..24 {
            let mut child = place
                .home
                .command(place.repo.path(), &args)
                .spawn()
                .unwrap();
            std::thread::sleep(Duration::from_millis(moment * 3));
            child.kill().unwrap();
            child.wait().unwrap();
            assert!(
                eventually(|| processes_with(&marks).is_empty()),
                "{moment}: {:?}",
                processes_with(&marks)
            );
            assert_eq!(mounts_with(&marks), Vec::<String>::new(), "{moment}");
            let stubs = [".recto", ".agents"].map(|name| place.repo.path().join(name));
            assert!(
                eventually(|| stubs.iter().all(|stub| !stub.exists())),
                "{:?} at {}: stubs stay",
                place.user,
                moment * 3
            );
            assert_eq!(
                place.repo.git(&["status", "--porcelain", "--ignored"]),
                "",
                "{moment}"
            );
        }
        // Whatever was begun can be read, and new work begins as if nothing had been.
        place
            .home
            .run(place.repo.path(), &["sessions", "list", "--all", "--json"])
            .expect(0);
        let script = Script::new().exec("echo b > b.txt").answer("Done.");
        place.user.take(script.dir());
        let run = place
            .home
            .run(place.repo.path(), &["exec", "-m", &script.model(), "do it"]);
        assert_eq!(run.expect(0).stdout, "Done.\n");
    }
}

#[test]
fn a_signal_stops_the_session_and_its_commands_at_once() {
    for (signal, code) in [("INT", 130), ("TERM", 143)] {
        for place in places() {
            let mark = format!("20{}{code}{}", std::process::id(), place.user as u8);
            let script = Script::new().exec(&format!("echo begun; sleep {mark}"));
            place.user.take(script.dir());
            let model = script.model();
            let args = ["exec", "--json", "-m", &model, "do it"];
            let mut child = place
                .home
                .command(place.repo.path(), &args)
                .spawn()
                .unwrap();
            assert!(
                eventually(|| !sleepers(&mark).is_empty()),
                "in vain: the command runs"
            );
            let id = child.id().to_string();
            Command::new("kill")
                .args(["-s", signal, &id])
                .status()
                .unwrap();
            assert_eq!(finish(&mut child).code(), Some(code), "{:?}", place.user);
            // The command would go on for hours: it was not waited for.
            assert_eq!(sleepers(&mark), Vec::<String>::new());
        }
    }
}

fn finish(child: &mut Child) -> std::process::ExitStatus {
    let output = BufReader::new(child.stdout.take().unwrap());
    output.lines().for_each(drop);
    child.wait().unwrap()
}

/// The processes that sleep for so long.
fn sleepers(mark: &str) -> Vec<String> {
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    let lines = processes.filter_map(|entry| std::fs::read(entry.path().join("cmdline")).ok());
    let wanted = format!("sleep\0{mark}\0").into_bytes();
    lines
        .filter(|line| *line == wanted)
        .map(|line| String::from_utf8_lossy(&line).into_owned())
        .collect()
}
