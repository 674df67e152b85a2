//! Services in a cell: what one command starts, the next ones use.
//!
//! PostgreSQL is the real thing of Debian's package, made and started by the first command of a
//! session and queried by the next two, over a unix socket and over the cell's loopback. It refuses
//! to run as root, so it also shows that nobody is root inside.

#![allow(clippy::unwrap_used, reason = "a failed step fails the test")]

use recto_testkit::{Home, Repository, Script, User, eventually, processes_with};

const START: &str = "set -e; export LC_ALL=C; initdb -D /tmp/db -A trust -U agent > /tmp/initdb.log; \
    pg_ctl -D /tmp/db -l /tmp/server.log -w -t 60 \
    -o '-k /tmp -c listen_addresses=127.0.0.1 -c port=5433 -c fsync=off' start; \
    psql -h /tmp -p 5433 -U agent -d postgres -qc 'create table t (n int); insert into t values (41)'";
const BY_SOCKET: &str =
    "psql -h /tmp -p 5433 -U agent -d postgres -Atc 'update t set n = n + 1 returning n'";
const BY_NETWORK: &str =
    "psql -h 127.0.0.1 -p 5433 -U agent -d postgres -Atc 'select n, 1000 + n from t'";

#[test]
fn a_database_that_one_command_starts_is_used_by_the_next() {
    for user in User::all() {
        let mut home = Home::of(user);
        let path = std::env::var("PATH").unwrap();
        home.set("PATH", &format!("{}:{path}", server_programs()));
        let repo = Repository::new(&[("a.txt", "a\n")]);
        repo.give_to(user);
        let script = Script::new()
            .exec(START)
            .exec(BY_SOCKET)
            .exec(BY_NETWORK)
            .answer("Done.");
        user.take(script.dir());
        let args = ["exec", "--json", "-m", &script.model(), "do it"];
        let run = home.run(repo.path(), &args).expect(0);
        let outputs: Vec<String> = run
            .events()
            .iter()
            .filter(|event| event["type"] == "item.completed")
            .filter_map(|event| {
                event["item"]["aggregated_output"]
                    .as_str()
                    .map(str::to_owned)
            })
            .collect();
        let [start, socket, network] = &outputs[..] else {
            panic!("{user:?}: {run:?}");
        };
        assert!(start.contains("server started"), "{user:?}: {start}");
        assert_eq!(socket.lines().next(), Some("42"), "{user:?}: {socket}");
        assert_eq!(network.trim_end(), "42|1042", "{user:?}");
        // The server ends with the cell, and nothing of it reaches the work tree.
        let mark = repo.path().to_str().unwrap();
        assert!(eventually(|| processes_with(&[mark]).is_empty()));
        assert_eq!(repo.git(&["status", "--porcelain"]), "");
    }
}

/// Where distributions keep the server's programs: often beside the `PATH`.
fn server_programs() -> String {
    let output = std::process::Command::new("sh")
        .args(["-c", "dirname \"$(command -v initdb || ls -d /usr/lib/postgresql/*/bin/initdb /usr/lib/psql*/bin/initdb 2>/dev/null | tail -n 1)\""])
        .output()
        .unwrap();
    let found = String::from_utf8(output.stdout).unwrap().trim().to_owned();
    assert!(
        found.starts_with('/'),
        "no PostgreSQL server: `cargo xtask test` installs it"
    );
    found
}
