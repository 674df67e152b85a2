//! The cases: each package manager through the proxy, with the open network, and with none.

use std::time::Duration;

use super::project::Project;
use super::recto::{Network, Recto, Run, System};

/// Longest that a refused command may take, from its start to its end.
const REFUSAL: Duration = Duration::from_secs(1);
const TRIES: usize = 3;
/// What a refusal has to say: what is in the way, and who decided it.
const REASON: &str = "no network (policy none)";

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
    /// The layer of its system packages with the proxy, with the open network, and with none.
    layers: Option<[&'static str; 3]>,
}

impl Manager {
    /// The system that it works on: for a fake root, a layer of each case's own, so that none
    /// finds what another has fetched.
    fn system(&self, network: Network) -> System {
        let Some([allow, open, none]) = self.layers else {
            return System::Host;
        };
        System::Setup(match network {
            Network::Allow(_) => allow,
            Network::Open => open,
            Network::None => none,
        })
    }
}

const MANAGERS: &[Manager] = &[
    Manager {
        name: "pip install",
        preset: "python",
        prepare: "rm -rf venv && python3 -m venv venv",
        fetch: "venv/bin/pip install --no-cache-dir -r requirements.txt",
        proof: "venv/bin/python -c 'import six; print(six.__version__)'",
        layers: None,
    },
    Manager {
        name: "npm ci",
        preset: "npm",
        prepare: "rm -rf node_modules; npm cache clean --force >/dev/null 2>&1; true",
        fetch: "npm ci",
        proof: "node -e 'if (require(\"ms\")(\"1s\") != 1000) process.exit(1)'",
        layers: None,
    },
    Manager {
        name: "cargo fetch",
        preset: "rust",
        // A home of its own: the user's caches are shown read-only, and might have it all.
        prepare: "rm -rf cargo-home Cargo.lock",
        fetch: "CARGO_HOME=$PWD/cargo-home cargo fetch",
        proof: "CARGO_HOME=$PWD/cargo-home cargo build --offline",
        layers: None,
    },
    Manager {
        name: "apt-get install",
        preset: "debian",
        prepare: "true",
        fetch: "apt-get update && apt-get install -y --no-install-recommends hello",
        proof: "hello && test \"$(id -u)\" = 0",
        layers: Some(["apt-allow", "apt-open", "apt-none"]),
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
    add(
        "what apt-get installed, in a later cell without a network".to_owned(),
        &|| {
            let later = Run {
                system: System::Installed("apt-allow"),
                ..plain(None, format!("{NOT_ROOT} && hello"))
            };
            succeeds(recto, project, &later)
        },
    );
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
        system: System::Host,
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
        system: manager.system(network),
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

/// The cell is there before, as it is when an agent works in it; only the fetching is timed.
fn is_refused(recto: &Recto, project: &Project, manager: &Manager) -> (Option<Duration>, Outcome) {
    const NAME: &str = "closed";
    let system = manager.system(Network::None);
    let run = |script: &str| Run {
        system,
        ..plain(Some(NAME), script.to_owned())
    };
    if let Some(lacking) = recto.lacks(&run("true")) {
        return (None, Outcome::Skipped(lacking));
    }
    let refused = || {
        recto.new_cell(project, NAME, system)?;
        recto.run(project, &run(manager.prepare))?;
        let mut ended = recto.run(project, &run(manager.fetch))?;
        // Other work on the machine may have been in the way.
        for _ in 1..TRIES {
            if ended.is_good || ended.took <= REFUSAL {
                break;
            }
            ended = recto.run(project, &run(manager.fetch))?;
        }
        anyhow::Ok(ended)
    };
    let ended = refused();
    let removed = recto.remove_cell(project, NAME);
    let ended = match removed.and(ended) {
        Ok(ended) => ended,
        Err(error) => return (None, Outcome::Failed(format!("{error:#}"))),
    };
    let outcome = if ended.is_good {
        Outcome::Failed("it was not refused".to_owned())
    } else if ended.took > REFUSAL {
        Outcome::Failed(format!("slow; {}", end_of(&ended.output)))
    } else if !ended.output.contains(REASON) {
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
    if let Err(error) = recto.new_cell(project, NAME, System::Host) {
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
