//! Kept cells through the whole program: they outlive the command that made them, serve several at
//! once, and whatever happens to keeper or client, nothing is left. Each as whoever runs the tests
//! and as an ordinary user.

#![allow(clippy::unwrap_used)]

use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::{Duration, Instant};

use recto_testkit::{
    Home, Live, Pty, Repository, Run, User, eventually, mounts_with, processes_with,
};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

struct Place {
    home: Home,
    repo: Repository,
    user: User,
}

impl Place {
    fn of(user: User) -> Self {
        let home = Home::of(user);
        let repo = Repository::new(&[("a.txt", "a\n")]);
        repo.give_to(user);
        Self { home, repo, user }
    }

    fn all() -> impl Iterator<Item = Self> {
        User::all().into_iter().map(Self::of)
    }

    fn cell(&self, args: &[&str]) -> Run {
        let args = [&["cell"], args].concat();
        self.home.run(self.repo.path(), &args)
    }

    /// Makes a cell, and gives what `--json` says of it.
    fn new_cell(&self, args: &[&str]) -> Value {
        let run = self.cell(&[&["new", "--json"], args].concat()).expect(0);
        serde_json::from_str(&run.stdout).unwrap()
    }

    fn sh(&self, cell: &str, script: &str) -> Run {
        self.cell(&["run", "--in", cell, "--", "sh", "-c", script])
    }

    fn start(&self, cell: &str, script: &str) -> Live {
        let args = ["cell", "run", "--in", cell, "--", "sh", "-c", script];
        let mut command = self.home.command(self.repo.path(), &args);
        command.stdin(Stdio::piped());
        Live::start(command)
    }

    fn json(&self, args: &[&str]) -> Value {
        let run = self.cell(&[args, &["--json"]].concat()).expect(0);
        serde_json::from_str(&run.stdout).unwrap()
    }

    fn directories(&self) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(self.home.recto().join("cells"));
        let entries = entries.into_iter().flatten().flatten();
        entries.map(|entry| entry.path()).collect()
    }

    /// Waits until nothing is left of any cell.
    fn nothing_is_left(&self) {
        let marks = [self.repo.path(), self.home.path()].map(|path| path.display().to_string());
        let marks = marks.each_ref().map(String::as_str);
        assert!(
            eventually(|| processes_with(&marks).is_empty()),
            "{:?}: {:?}",
            self.user,
            processes_with(&marks)
        );
        assert!(
            eventually(|| self.directories().is_empty()),
            "{:?}: {:?}",
            self.user,
            self.directories()
        );
        let stubs = [".recto", ".agents"].map(|name| self.repo.path().join(name));
        assert!(
            eventually(|| stubs.iter().all(|stub| !stub.exists())),
            "stubs stay"
        );
        assert_eq!(mounts_with(&marks), Vec::<String>::new());
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // A test that failed leaves no keeper behind.
        let _ = self.cell(&["rm", "--all"]);
    }
}

/// A time to sleep for that no other test uses, by which the sleeper can be found.
fn mark(place: &Place, number: u32) -> String {
    format!("3{number}{}{}", std::process::id(), place.user as u8)
}

/// Whether somebody sleeps for so long.
fn sleeps(mark: &str) -> bool {
    let wanted = format!("sleep\0{mark}\0").into_bytes();
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    processes
        .filter_map(|entry| std::fs::read(entry.path().join("cmdline")).ok())
        .any(|line| line == wanted)
}

fn kill(pid: &Value) {
    let pid = Pid::from_raw(pid.as_i64().unwrap() as i32).unwrap();
    kill_process(pid, Signal::KILL).unwrap();
}

#[test]
fn a_cell_is_made_used_looked_at_and_removed() {
    for place in Place::all() {
        let made = place.new_cell(&["--name", "web"]);
        let id = made["id"].as_str().unwrap();
        assert_eq!(id.len(), 8);
        let run = place.sh(
            "web",
            "echo in; pwd; touch /tmp/kept; echo x > b.txt; exit 3",
        );
        let run = run.expect(3);
        assert_eq!(run.stdout, format!("in\n{}\n", place.repo.path().display()));
        assert_eq!(place.repo.read("b.txt"), "x\n");
        // By the beginning of its id too; and what was written inside is still there.
        place.sh(&id[..6], "test -e /tmp/kept").expect(0);

        let listed = &place.json(&["ls"])[0];
        assert_eq!(listed["name"], "web");
        assert_eq!(listed["state"], "running");
        assert_eq!(listed["commands"], 0);
        assert_eq!(listed["work_tree"], place.repo.path().to_str().unwrap());
        assert_eq!(listed["network"], "none");
        let text = place.cell(&["ls"]).expect(0).stdout;
        assert!(
            text.contains(id) && text.contains("web") && text.contains("idle"),
            "{text}"
        );
        let stats = &place.json(&["stats", "web"])[0];
        assert!(stats["own_memory_bytes"].as_u64().unwrap() > 0, "{stats}");

        let began = Instant::now();
        assert_eq!(place.cell(&["rm", "web"]).expect(0).stdout, "removed web\n");
        assert!(began.elapsed() < Duration::from_secs(5));
        assert_eq!(place.json(&["ls"]), serde_json::json!([]));
        place.nothing_is_left();
    }
}

#[test]
fn a_server_that_one_command_started_serves_the_next() {
    const SERVER: &str = "import os, socket\n\
        s = socket.create_server(('127.0.0.1', 8000))\n\
        if os.fork(): os._exit(0)\n\
        os.setsid(); os.dup2(os.open('/dev/null', 2), 1); os.dup2(1, 2)\n\
        while True:\n c = s.accept()[0]; c.sendall(b'served'); c.close()\n";
    const CLIENT: &str =
        "import socket; print(socket.create_connection(('127.0.0.1', 8000)).recv(9).decode())";
    for place in Place::all() {
        place.new_cell(&["--name", "web"]);
        let python = |code| place.cell(&["run", "--in", "web", "--", "python3", "-c", code]);
        python(SERVER).expect(0);
        assert_eq!(python(CLIENT).expect(0).stdout, "served\n");
        // In another cell nobody answers.
        let alone = place
            .cell(&["run", "--", "python3", "-c", CLIENT])
            .expect(1);
        assert!(alone.stdout.contains("refused"), "{alone:?}");
        place.cell(&["rm", "web"]).expect(0);
        place.nothing_is_left();
    }
}

#[test]
fn two_clients_are_served_at_once() {
    for place in Place::all() {
        place.new_cell(&["--name", "both"]);
        let script = "echo ready; read line; echo got $line";
        let mut clients = [place.start("both", script), place.start("both", script)];
        for client in &mut clients {
            assert_eq!(client.line().unwrap(), "ready");
        }
        assert_eq!(place.json(&["ls"])[0]["commands"], 2);
        for (number, client) in clients.iter_mut().enumerate().rev() {
            client.type_text(&format!("{number}\n"));
            assert_eq!(client.line().unwrap(), format!("got {number}"));
        }
        for client in clients {
            assert_eq!(client.finish().code, Some(0));
        }
        // Output, a signal and an end of input go the whole way.
        let big = place.sh("both", "head -c 3000000 /dev/zero | tr '\\0' x");
        assert_eq!(big.expect(0).stdout.len(), 3_000_000);
        let args = ["cell", "run", "--in", "both", "--", "wc", "-c"];
        let counted = place
            .home
            .run_with(place.repo.path(), &args, &[b'x'; 500_000]);
        assert_eq!(counted.expect(0).stdout.trim(), "500000");
        let mut traps = place.start(
            "both",
            "trap 'exit 9' INT; echo ready; while :; do read x; done",
        );
        traps.line();
        traps.signal(Signal::INT);
        assert_eq!(traps.finish().code, Some(9));
    }
}

#[test]
fn a_client_that_is_killed_takes_its_command_along_and_nothing_else() {
    for place in Place::all() {
        let [server, polite, deaf] = [1, 2, 3].map(|number| mark(&place, number));
        place.new_cell(&["--name", "c"]);
        place
            .sh("c", &format!("setsid sleep {server} >/dev/null 2>&1 &"))
            .expect(0);
        let ignoring = format!("trap '' HUP; echo ready; sleep {deaf}");
        let scripts = [format!("echo ready; sleep {polite}"), ignoring];
        for (script, mark) in scripts.iter().zip([&polite, &deaf]) {
            let mut client = place.start("c", script);
            client.line();
            assert!(eventually(|| sleeps(mark)));
            client.kill();
            assert!(eventually(|| !sleeps(mark)), "{script}");
        }
        assert!(
            sleeps(&server),
            "what runs in a session of its own lives on"
        );
        assert_eq!(
            place.sh("c", "echo still here").expect(0).stdout,
            "still here\n"
        );
        place.cell(&["rm", "c"]).expect(0);
        assert!(!sleeps(&server), "it ends with the cell");
        place.nothing_is_left();
    }
}

#[test]
fn a_killed_keeper_leaves_nothing_and_the_next_command_cleans_up() {
    for place in Place::all() {
        let mark = mark(&place, 4);
        let made = place.new_cell(&["--name", "gone"]);
        let mut client = place.start("gone", &format!("setsid sleep {mark} & echo ready; wait"));
        client.line();
        kill(&made["pid"]);
        assert!(eventually(|| !sleeps(&mark)));
        let ended = client.finish();
        assert_eq!(ended.code, Some(4));
        assert!(
            ended.stderr.contains("the cell has ended"),
            "{}",
            ended.stderr
        );
        // The last thing that a process lets go of is its lock.
        let mut listed = place.cell(&["ls"]).expect(0);
        assert!(eventually(|| {
            if !listed.stdout.starts_with("no cells") {
                listed = place.cell(&["ls"]);
            }
            listed.stdout == "no cells; `recto cell new` makes one\n"
        }));
        assert!(
            listed.stderr.contains("\"gone\" had ended by itself"),
            "{}",
            listed.stderr
        );
        place.nothing_is_left();
        // Its name is free.
        place.new_cell(&["--name", "gone"]);
    }
}

#[test]
fn killing_maker_or_keeper_at_any_moment_leaves_nothing() {
    for place in Place::all() {
        for moment in 0..16 {
            let args = ["cell", "new"];
            let mut maker = place
                .home
                .command(place.repo.path(), &args)
                .spawn()
                .unwrap();
            std::thread::sleep(Duration::from_millis(moment * 3));
            maker.kill().unwrap();
            maker.wait().unwrap();
            let keepers = || {
                let all = processes_with(&["cell-keep"]).into_iter();
                let own = |pid: &u32| {
                    let parent = format!("/proc/{pid}/status");
                    std::fs::read_to_string(parent).is_ok_and(|text| text.contains("recto"))
                };
                all.map(|(pid, _)| pid).filter(own).collect::<Vec<_>>()
            };
            if moment % 2 == 0 {
                // Whether it is there yet or not: some are killed while they make the cell.
                for record in place.directories().iter().map(|dir| dir.join("cell.json")) {
                    let text = std::fs::read_to_string(record).unwrap_or_default();
                    let record: Value = serde_json::from_str(&text).unwrap_or_default();
                    if keepers().contains(&(record["pid"].as_u64().unwrap_or(0) as u32)) {
                        kill(&record["pid"]);
                    }
                }
            }
            // A keeper that nobody waits for may still be making its cell; it ends by itself.
            assert!(
                eventually(|| {
                    place.cell(&["rm", "--all"]);
                    place.directories().is_empty()
                }),
                "{moment}: {:?}",
                place.directories()
            );
        }
        place.nothing_is_left();
        place.new_cell(&[]);
    }
}

#[test]
fn removing_a_cell_ends_what_runs_in_it() {
    for place in Place::all() {
        let mark = mark(&place, 5);
        place.new_cell(&["--name", "busy"]);
        let script =
            format!("trap '' TERM HUP INT; (setsid sleep {mark} &); echo ready; sleep {mark}");
        let mut client = place.start("busy", &script);
        client.line();
        let began = Instant::now();
        let removed = place.json(&["rm", "busy"]);
        assert!(
            began.elapsed() < Duration::from_secs(5),
            "{:?}",
            began.elapsed()
        );
        assert_eq!(removed["removed"].as_array().unwrap().len(), 1);
        assert!(!sleeps(&mark));
        assert_eq!(client.finish().code, Some(4));
        place.nothing_is_left();
    }
}

#[test]
fn a_keeper_that_does_not_answer_is_removed_all_the_same() {
    let place = Place::of(User::Tester);
    let made = place.new_cell(&["--name", "stuck"]);
    let pid = Pid::from_raw(made["pid"].as_i64().unwrap() as i32).unwrap();
    kill_process(pid, Signal::STOP).unwrap();
    assert_eq!(place.json(&["ls"])[0]["state"], "not_answering");
    place.cell(&["rm", "stuck"]).expect(0);
    place.nothing_is_left();
}

#[test]
fn names_are_one_cells_alone() {
    let place = Place::of(User::Tester);
    let id = place.new_cell(&["--name", "one"])["id"].clone();
    let clash = place.cell(&["new", "--name", "one"]).expect(2);
    assert!(
        clash.stderr.contains("there is a cell \"one\" already"),
        "{}",
        clash.stderr
    );
    assert!(clash.stderr.contains("hint: "), "{}", clash.stderr);
    place
        .cell(&["new", "--name", id.as_str().unwrap()])
        .expect(2);
    for args in [
        &["rm", "one", "two"][..],
        &["run", "--in", "two", "true"],
        &["stats", "two"],
    ] {
        let refused = place.cell(args).expect(2);
        assert!(
            refused.stderr.contains("there is no cell \"two\""),
            "{}",
            refused.stderr
        );
    }
    assert_eq!(
        place.json(&["ls"]).as_array().unwrap().len(),
        1,
        "none is removed by half"
    );
    assert_eq!(place.directories().len(), 1);
    let missing = place.cell(&["run", "--in", "one", "nonesuch"]).expect(127);
    assert!(
        missing.stderr.contains("program not found"),
        "{}",
        missing.stderr
    );
}

#[test]
fn where_no_cell_can_be_kept_the_reason_is_told_and_nothing_is_left() {
    for user in User::all() {
        let place = Place::of(user);
        let whole = place.cell(&["new", "-C", "/"]).expect(4);
        assert!(
            whole.stderr.contains("holds the whole system"),
            "{}",
            whole.stderr
        );
        assert!(whole.stderr.contains("hint: "), "{}", whole.stderr);
        place.nothing_is_left();
        std::fs::remove_dir(place.home.recto().join("cells")).unwrap();
        place.home.write(".recto/cells", "a file in its place");
        let blocked = place.cell(&["new"]).expect(4);
        assert!(
            blocked.stderr.contains("cannot keep a cell in"),
            "{}",
            blocked.stderr
        );
        std::fs::remove_file(place.home.recto().join("cells")).unwrap();
        if user == User::Ordinary {
            let recto = place.home.recto();
            std::fs::set_permissions(&recto, std::fs::Permissions::from_mode(0o500)).unwrap();
            let refused = place.cell(&["new"]).expect(4);
            assert!(
                refused.stderr.contains("Permission denied"),
                "{}",
                refused.stderr
            );
            std::fs::set_permissions(&recto, std::fs::Permissions::from_mode(0o700)).unwrap();
        }
    }
}

#[test]
fn a_directory_with_a_long_path_has_a_socket_too() {
    for mut place in Place::all() {
        let long = place
            .home
            .path()
            .join("d".repeat(120))
            .display()
            .to_string();
        place.home.set("RECTO_HOME", &long);
        place.new_cell(&["--name", "deep"]);
        assert_eq!(place.sh("deep", "echo in").expect(0).stdout, "in\n");
        let cells = PathBuf::from(long).join("cells");
        let dir = std::fs::read_dir(&cells).unwrap().next().unwrap().unwrap();
        let mode = |path: PathBuf| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(dir.path()), 0o700);
        for name in ["socket", "cell.json", "log"] {
            assert_eq!(mode(dir.path().join(name)), 0o600, "{name}");
        }
        place.cell(&["rm", "deep"]).expect(0);
        assert_eq!(std::fs::read_dir(cells).unwrap().count(), 0);
    }
}

#[test]
fn a_cell_ends_when_it_lies_idle_or_its_directory_is_taken_away() {
    for place in Place::all() {
        place.new_cell(&["--idle", "1"]);
        place.nothing_is_left();
        place.new_cell(&["--idle", "none"]);
        std::fs::remove_dir_all(&place.directories()[0]).unwrap();
        place.nothing_is_left();
    }
}

#[test]
fn a_keeper_has_no_secret_no_file_and_no_terminal_of_its_maker() {
    for mut place in Place::all() {
        place.home.set("OPENAI_API_KEY", "sk-bait-kept");
        let open = std::fs::File::open(place.repo.path().join("a.txt")).unwrap();
        // Something that the maker has inherited and would pass on.
        rustix::io::fcntl_setfd(&open, rustix::io::FdFlags::empty()).unwrap();
        let made = place.new_cell(&[]);
        drop(open);
        let pid = &made["pid"];
        let read = |name| std::fs::read_to_string(format!("/proc/{pid}/{name}")).unwrap();
        assert_eq!(read("environ"), "");
        assert_eq!(read("cmdline"), "recto\0cell-keep\0");
        let stat = read("stat");
        let fields: Vec<&str> = stat.rsplit(") ").next().unwrap().split(' ').collect();
        assert_eq!(fields[3], pid.to_string(), "it leads its own session");
        assert_eq!(fields[4], "0", "it has no terminal");
        assert!(
            read("limits").contains("Max core file size        0 "),
            "{}",
            read("limits")
        );
        let files = std::fs::read_dir(format!("/proc/{pid}/fd"))
            .unwrap()
            .flatten();
        let paths: Vec<PathBuf> = files
            .map(|entry| std::fs::read_link(entry.path()).unwrap_or_default())
            .collect();
        assert!(
            !paths.contains(&place.repo.path().join("a.txt")),
            "{paths:?}"
        );
        let script = "cat /proc/*/environ; env";
        let seen = place.sh(made["id"].as_str().unwrap(), script).stdout;
        assert!(!seen.contains("sk-bait-kept"));
    }
}

#[test]
fn a_client_that_talks_nonsense_harms_nobody() {
    let place = Place::of(User::Tester);
    place.new_cell(&["--name", "c"]);
    let mut honest = place.start("c", "echo ready; read x; echo $x");
    honest.line();
    let socket = place.directories()[0].join("socket");
    let hello = [&[13, 0, 0, 0, 1, 0, 0, 0, 0][..], br#"{"version":1}"#].concat();
    let refused: [&[u8]; 6] = [
        b"GET / HTTP/1.1\r\n\r\n",
        &[0xff; 64],
        // Another version; set-up orders; a filter; an id in use is checked below.
        &[&[14, 0, 0, 0, 1, 0, 0, 0, 0][..], br#"{"version":99}"#].concat(),
        &[&hello[..], &[2, 0, 0, 0, 2, 0, 0, 0, 0], b"{}"].concat(),
        &[&hello[..], &[0, 0, 0, 0, 3, 0, 0, 0, 0]].concat(),
        &[&hello[..], &[0, 0, 0, 0, 0x77, 0, 0, 0, 0]].concat(),
    ];
    for bytes in refused {
        let mut stream = UnixStream::connect(&socket).unwrap();
        stream.write_all(bytes).unwrap();
        let mut answer = Vec::new();
        // The connection ends, whatever was said before.
        let _ = std::io::Read::read_to_end(&mut stream, &mut answer);
    }
    // More silent connections than are served: they are turned away, and make room again.
    let silent: Vec<_> = (0..80).map(|_| UnixStream::connect(&socket)).collect();
    drop(silent);
    assert!(eventually(|| place.sh("c", "true").code == Some(0)));
    honest.type_text("done\n");
    assert_eq!(honest.line().unwrap(), "done");
}

#[test]
fn a_shell_has_the_users_terminal_and_gives_it_back() {
    for mut place in Place::all() {
        place
            .home
            .set("TERM", "xterm")
            .set("SHELL", "/no/such/shell");
        place.new_cell(&["--name", "c"]);
        for args in [&["cell", "shell"][..], &["cell", "shell", "--in", "c"]] {
            let command = place.home.command(place.repo.path(), args);
            let mut shell = Pty::start(&command, 33, 77);
            shell.type_text("echo $((40 + 2)) $TERM $(tty | cut -c1-9)\n");
            shell.wait_for("42 xterm /dev/pts/");
            assert!(!shell.is_cooked(), "keys are passed on as they are typed");
            shell.type_text("stty size\n");
            shell.wait_for("33 77");
            shell.resize(20, 50);
            shell.type_text("until stty size | grep -x '20 50'; do :; done; echo re''sized\n");
            shell.wait_for("resized");
            // Ctrl-C goes inside; the clipboard stays outside.
            shell.type_text(
                "sh -c 'a=caught; b=begun; trap \"echo is-$a; exit\" INT; echo is-$b; read x'\n",
            );
            shell.wait_for("is-begun");
            shell.type_text("\x03");
            shell.wait_for("is-caught");
            shell.type_text("printf '\\033]52;c;ZXZpbA==\\007\\033[6n\\033[1mbo''ld\\n'\n");
            let shown = shell.wait_for("bold");
            assert!(
                !shown.contains("\x1b]52") && !shown.contains("\x1b[6n"),
                "{shown:?}"
            );
            assert!(shown.contains("\x1b[1m"), "{shown:?}");
            shell.type_text("printf '\\033[?1000h'; exit 7\n");
            let (code, is_cooked, rest) = shell.finish();
            assert_eq!((code, is_cooked), (Some(7), true), "{rest:?}");
            assert!(rest.contains("\x1b[?1000l"), "{rest:?}");
        }
        let without = place.cell(&["shell"]).expect(2);
        assert!(
            without.stderr.contains("a shell needs a terminal"),
            "{}",
            without.stderr
        );
    }
}

#[test]
fn a_signal_gives_the_terminal_back_too() {
    let place = Place::of(User::Tester);
    for (signal, code) in [(Signal::TERM, 143), (Signal::HUP, 129)] {
        let args = [
            "cell",
            "run",
            "-t",
            "--",
            "sh",
            "-c",
            "echo ready; sleep 1000",
        ];
        let mut run = Pty::start(&place.home.command(place.repo.path(), &args), 24, 80);
        run.wait_for("ready");
        assert!(!run.is_cooked());
        kill_process(Pid::from_raw(run.pid() as i32).unwrap(), signal).unwrap();
        let (ended, is_cooked, _) = run.finish();
        assert_eq!((ended, is_cooked), (Some(code), true));
    }
}

#[test]
fn output_for_a_terminal_is_harmless_and_for_a_file_as_it_is() {
    let place = Place::of(User::Tester);
    let script = "printf 'a\\033]0;title\\007b\\033[c\\033[31mc\\n'";
    let raw = place
        .cell(&["run", "--", "sh", "-c", script])
        .expect(0)
        .stdout;
    assert_eq!(raw, "a\u{1b}]0;title\u{7}b\u{1b}[c\u{1b}[31mc\n");
    let args = ["cell", "run", "--", "sh", "-c", script];
    let run = Pty::start(&place.home.command(place.repo.path(), &args), 24, 80);
    let (code, _, shown) = run.finish();
    assert_eq!(code, Some(0));
    assert!(shown.starts_with("ab\u{1b}[31mc\r\n"), "{shown:?}");
}

#[test]
fn what_is_explained_is_what_a_cell_is() {
    for place in Place::all() {
        place.home.write(".aws/credentials", "bait");
        for access in ["read-only", "workspace-write"] {
            let explained = place.json(&["policy", "explain", "-s", access]);
            assert!(place.directories().is_empty() && !place.repo.path().join(".agents").exists());
            assert_eq!(explained["access"], access);
            assert_eq!(explained["origins"]["sandbox_mode"]["layer"], "flag");
            let inside = |script: &str| {
                let run = place.cell(&["run", "-s", access, "--", "sh", "-c", script]);
                run.expect(0).stdout
            };
            let names = |value: &Value| -> Vec<String> {
                let list = value.as_array().unwrap().iter();
                list.map(|item| item.as_str().unwrap().to_owned()).collect()
            };
            // A shell adds some of its own.
            let env = inside("env | cut -d= -f1 | grep -vxE 'PWD|OLDPWD|SHLVL|_' | sort");
            assert_eq!(env.lines().collect::<Vec<_>>(), names(&explained["env"]));
            assert_eq!(inside("id -u").trim(), explained["uid"].to_string());
            for path in names(&explained["writable"]) {
                inside(&format!("touch {path}/canary && rm {path}/canary"));
            }
            for path in names(&explained["readable"]) {
                inside(&format!(
                    "test -e {path} && ! touch {path}/canary 2>/dev/null"
                ));
            }
            for place in explained["protected"].as_array().unwrap() {
                let path = place["path"].as_str().unwrap();
                match place["how"].as_str().unwrap() {
                    "read_only" | "absent" => {
                        inside(&format!("! touch {path} {path}/canary 2>/dev/null"))
                    }
                    "pinned" => inside(&format!("! mv {path} {path}.away 2>/dev/null")),
                    "copy" => inside(&format!("touch {path}/canary && ls {path}/canary")),
                    other => panic!("{other}"),
                };
            }
        }
        let text = place.cell(&["policy", "explain"]).expect(0).stdout;
        assert!(text.contains("sandbox_mode: default"), "{text}");
        let direct = place.cell(&["policy", "explain", "-s", "danger-full-access"]);
        assert!(direct.expect(0).stdout.starts_with("No isolation"));
    }
}

#[test]
fn a_cell_without_isolation_can_be_kept_and_ends_whole() {
    let place = Place::of(User::Tester);
    let mark = mark(&place, 6);
    let made = place.new_cell(&["-s", "danger-full-access", "--name", "d"]);
    assert_eq!(made["backend"], "direct");
    place
        .sh("d", &format!("setsid sleep {mark} >/dev/null 2>&1 &"))
        .expect(0);
    assert!(eventually(|| sleeps(&mark)));
    place.cell(&["rm", "d"]).expect(0);
    assert!(eventually(|| !sleeps(&mark)));
    place.nothing_is_left();
}
