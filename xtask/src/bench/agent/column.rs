//! The columns: the programs that are measured, and how each is told to use the scripted model.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// One measured program with one way to run it.
pub(super) struct Column {
    pub(super) name: &'static str,
    kind: Kind,
    program: PathBuf,
}

#[derive(Clone, Copy)]
enum Kind {
    Null,
    Recto { access: &'static str },
    Codex,
}

/// Where one session runs, and whom it asks.
pub(super) struct Place<'a> {
    pub(super) base_url: &'a str,
    pub(super) home: &'a Path,
    pub(super) repository: &'a Path,
}

const PROMPT: &str = "Follow the script.";

/// The columns that this machine can have, of those that are wanted.
pub(super) fn all(wanted: &[String], recto: &Path) -> anyhow::Result<Vec<Column>> {
    let own = std::env::current_exe()?;
    let cell = Kind::Recto {
        access: "workspace-write",
    };
    let full = Kind::Recto {
        access: "danger-full-access",
    };
    let mut columns = vec![
        Column {
            name: "null",
            kind: Kind::Null,
            program: own,
        },
        Column {
            name: "recto",
            kind: cell,
            program: recto.to_path_buf(),
        },
        Column {
            name: "recto-full",
            kind: full,
            program: recto.to_path_buf(),
        },
    ];
    if let Some(program) = on_path("codex") {
        columns.push(Column {
            name: "codex",
            kind: Kind::Codex,
            program,
        });
    }
    columns.retain(|column| wanted.iter().any(|name| name == column.name));
    Ok(columns)
}

impl Column {
    /// The command of one session: a small environment, no input, output left to the caller.
    pub(super) fn command(&self, place: &Place<'_>) -> Command {
        let mut command = Command::new(&self.program);
        command
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("LANG", "C.UTF-8")
            .env("HOME", place.home)
            .env("RECTO_HOME", place.home.join(".recto"))
            .env("CODEX_HOME", place.home.join(".codex"))
            .env("BENCH_KEY", "none")
            .current_dir(place.repository)
            .stdin(Stdio::null());
        match self.kind {
            Kind::Null => command.args(["bench", "null-agent", place.base_url]),
            Kind::Recto { access } => command
                .args(["exec", "--json", "-m", "bench-model", "-s", access])
                .args(["-c", "provider=bench", "-c"])
                .arg(format!("providers.bench.base_url={:?}", place.base_url))
                .arg(PROMPT),
            Kind::Codex => command
                .args([
                    "exec",
                    "--json",
                    "--skip-git-repo-check",
                    "-m",
                    "bench-model",
                ])
                .args([
                    "-s",
                    "workspace-write",
                    "-c",
                    "model_provider=\"bench\"",
                    "-c",
                ])
                .arg(format!(
                    "model_providers.bench={{name=\"bench\",base_url={:?},wire_api=\"responses\",\
                     env_key=\"BENCH_KEY\"}}",
                    place.base_url
                ))
                .arg(PROMPT),
        };
        command
    }
}

fn on_path(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .map(|directory| directory.join(program))
        .find(|candidate| candidate.is_file())
}
