//! `recto serve`.

use std::net::SocketAddr;

use clap::{Args, ValueEnum};

/// `recto serve`.
#[derive(Clone, Debug, Args)]
pub struct ServeArgs {
    /// Where to listen. On another address than loopback, put a proxy that speaks TLS before it.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:7080")]
    pub listen: SocketAddr,
    /// A name besides loopback's by which clients reach the server.
    #[arg(long, value_name = "NAME")]
    pub host: Vec<String>,
    /// How many attempts run at once; each takes little memory besides what its commands take.
    #[arg(long, value_name = "N", default_value_t = 16)]
    pub attempts: u16,
    /// A PostgreSQL database, `postgres://…`, for several servers and workers; else everything is
    /// kept in a file below RECTO_HOME.
    #[arg(long, value_name = "URL", env = "RECTO_STORE", hide_env_values = true)]
    pub store: Option<String>,
    /// What this process does.
    #[arg(long, value_enum, default_value_t = Role::All)]
    pub role: Role,
    /// After how many seconds of silence a worker is given up.
    #[arg(long, value_name = "SECONDS", default_value_t = 15)]
    pub lease: u16,
    /// Print what happens as JSON lines on standard error.
    #[arg(long)]
    pub json: bool,
}

/// What a process does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Role {
    /// Answer requests and run attempts.
    All,
    /// Answer requests only.
    Server,
    /// Run attempts only.
    Worker,
}
