//! The cases: each package manager through the proxy, with the open network, and with none.

use std::time::Duration;

use super::project::Project;
use super::recto::{Network, Recto, Run};

/// Longest that a refusal may take.
const REFUSAL: Duration = Duration::from_secs(1);

/// One line of the table.
pub(super) struct Row {
    pub(super) name: String,
    pub(super) took: Option<Duration>,
    pub(super) outcome: Outcome,
}

pub(super) enum Outcome {
    Good,
    Skipped(String),
    Failed(String),
}

impl Outcome {
    pub(super) fn is_failure(&self) -> bool {
        matches!(self, Self::Failed(_))
    }
}

/// A package manager: its rules, what fetches, and what shows that the result works.
struct Manager {
    name: &'static str,
    preset: &'static str,
    prepare: &'static str,
    fetch: &'static str,
    proof: &'static str,
    fake_root: bool,
}

const MANAGERS: &[Manager] = &[
    Manager {
        name: "pip install",
        preset: "python",
        prepare: "rm -rf venv && python3 -m venv venv",
        fetch: "venv/bin/pip install --no-cache-dir -r requirements.txt",
        proof: "venv/bin/python -c 'import six; print(six.__version__)'",
        fake_root: false,
    },
    Manager {
        name: "npm ci",
        preset: "npm",
        prepare: "rm -rf node_modules; npm cache clean --force >/dev/null 2>&1; true",
        fetch: "npm ci",
        proof: "node -e 'if (require(\"ms\")(\"1s\") != 1000) process.exit(1)'",
        fake_root: false,
    },
    Manager {
        name: "cargo fetch",
        preset: "rust",
        // A home of its own: the user's caches are shown read-only, and might have it all.
        prepare: "rm -rf cargo-home Cargo.lock",
        fetch: "CARGO_HOME=$PWD/cargo-home cargo fetch",
        proof: "CARGO_HOME=$PWD/cargo-home cargo build --offline",
        fake_root: false,
    },
    Manager {
        name: "apt-get install",
        preset: "debian",
        prepare: "true",
        fetch: "apt-get update && apt-get install -y --no-install-recommends hello",
        proof: "hello",
        fake_root: true,
    },
];

/// PostgreSQL's programs lie beside the `PATH`.
const SERVER: &str = "export PATH=$PATH:$(ls -d /usr/lib/postgresql/*/bin | tail -n 1) LC_ALL=C; ";
const START: &str = "set -e; initdb -D /tmp/db -A trust -U agent >/tmp/initdb.log; \
    pg_ctl -D /tmp/db -l /tmp/server.log -w -t 60 -o '-k /tmp -c listen_addresses=127.0.0.1' start";
const BY_SOCKET: &str = "psql -h /tmp -U agent -d postgres -Atc 'select 6 * 7' | grep -x 42";
const BY_NETWORK: &str = "psql -h 127.0.0.1 -U agent -d postgres -Atc 'select 6 * 7' | grep -x 42";
const NOT_ROOT: &str = "test \"$(id -u)\" != 0";

/// Runs the cases that are wanted.
pub(super) fn run(recto: &Recto, project: &Project, only: Option<&str>) -> Vec<Row> {
    let mut rows = Vec::new();
    let mut add = |name: String, case: &dyn Fn() -> (Option<Duration>, Outcome)| {
        if only.is_some_and(|only| !name.contains(only)) {
            return;
        }
        eprintln!("{name} …");
        let (took, outcome) = case();
        rows.push(Row {
            name,
            took,
            outcome,
        });
    };
    for manager in MANAGERS {
        let name = manager.name;
        add(format!("{name}, network allow"), &|| {
            works(recto, project, manager, Network::Allow(manager.preset))
        });
        add(format!("{name}, network open"), &|| {
            works(recto, project, manager, Network::Open)
        });
        add(format!("{name}, network none: refused at once"), &|| {
            is_refused(recto, project, manager)
        });
    }
    add("PostgreSQL in one command".to_owned(), &|| {
        let all = format!("{SERVER}{NOT_ROOT} && {START} && {BY_SOCKET} && {BY_NETWORK}");
        succeeds(recto, project, &plain(None, all))
    });
    add(
        "PostgreSQL, started by one, used by the next".to_owned(),
        &|| services(recto, project),
    );
    rows
}

fn plain(cell: Option<&'static str>, script: String) -> Run {
    Run {
        network: Network::None,
        fake_root: false,
        cell,
        script,
    }
}

fn works(
    recto: &Recto,
    project: &Project,
    manager: &Manager,
    network: Network,
) -> (Option<Duration>, Outcome) {
    let Manager {
        prepare,
        fetch,
        proof,
        ..
    } = manager;
    let run = Run {
        network,
        fake_root: manager.fake_root,
        cell: None,
        script: format!("{prepare}; {fetch} && {proof}"),
    };
    succeeds(recto, project, &run)
}

fn succeeds(recto: &Recto, project: &Project, run: &Run) -> (Option<Duration>, Outcome) {
    if let Some(lacking) = recto.lacks(run) {
        return (None, Outcome::Skipped(lacking));
    }
    match recto.run(project, run) {
        Ok(ended) if ended.is_good => (Some(ended.took), Outcome::Good),
        Ok(ended) => (Some(ended.took), Outcome::Failed(end_of(&ended.output))),
        Err(error) => (None, Outcome::Failed(format!("{error:#}"))),
    }
}

/// The preparation is done before; only the fetching is timed.
fn is_refused(recto: &Recto, project: &Project, manager: &Manager) -> (Option<Duration>, Outcome) {
    let run = |network, script: &str| Run {
        network,
        fake_root: manager.fake_root,
        cell: None,
        script: script.to_owned(),
    };
    // The reason is told by the same part that tells those of the proxy.
    let with_proxy = run(Network::Allow(manager.preset), "true");
    if let Some(lacking) = recto.lacks(&with_proxy) {
        return (None, Outcome::Skipped(lacking));
    }
    let prepared = recto.run(project, &run(Network::None, manager.prepare));
    let ended = prepared.and_then(|_| recto.run(project, &run(Network::None, manager.fetch)));
    let ended = match ended {
        Ok(ended) => ended,
        Err(error) => return (None, Outcome::Failed(format!("{error:#}"))),
    };
    let says_why = ended.output.to_lowercase().contains("network");
    let outcome = if ended.is_good {
        Outcome::Failed("it was not refused".to_owned())
    } else if ended.took > REFUSAL {
        Outcome::Failed(format!("slow; {}", end_of(&ended.output)))
    } else if !says_why {
        Outcome::Failed(format!("no reason; {}", end_of(&ended.output)))
    } else {
        Outcome::Good
    };
    (Some(ended.took), outcome)
}

fn services(recto: &Recto, project: &Project) -> (Option<Duration>, Outcome) {
    const NAME: &str = "database";
    let scripts = [NOT_ROOT, START, BY_SOCKET, BY_NETWORK];
    let runs = scripts.map(|script| plain(Some(NAME), format!("{SERVER}{script}")));
    if let Some(lacking) = recto.lacks(&runs[0]) {
        return (None, Outcome::Skipped(lacking));
    }
    if let Err(error) = recto.new_cell(project, NAME) {
        return (None, Outcome::Failed(format!("{error:#}")));
    }
    let mut total = Duration::ZERO;
    let mut outcome = Outcome::Good;
    for run in &runs {
        let (took, ended) = succeeds(recto, project, run);
        total += took.unwrap_or_default();
        if !matches!(ended, Outcome::Good) {
            outcome = ended;
            break;
        }
    }
    if let Err(error) = recto.remove_cell(project, NAME) {
        outcome = Outcome::Failed(format!("{error:#}"));
    }
    (Some(total), outcome)
}

/// The last line that says something.
fn end_of(output: &str) -> String {
    let last = output.lines().rev().find(|line| !line.trim().is_empty());
    last.unwrap_or("nothing was said")
        .trim()
        .chars()
        .take(160)
        .collect()
}
