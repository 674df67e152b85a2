//! The architecture as tables. A change here is an architecture change: its own commit, with a
//! reason.

/// Where a crate stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Layer {
    /// The product, from the vocabulary (0) to the binary (6).
    Product(u8),
    /// Tests and automation: no product crate may need it to run.
    Dev,
}

/// The layer of every crate. A crate that isn't here fails the check.
pub(super) const LAYERS: &[(&str, Layer)] = &[
    ("recto-protocol", Layer::Product(0)),
    ("recto-agent", Layer::Product(1)),
    ("recto-patch", Layer::Product(1)),
    ("recto-evidence", Layer::Product(1)),
    ("recto-config", Layer::Product(1)),
    ("recto-model", Layer::Product(ADAPTERS)),
    ("recto-cell", Layer::Product(ADAPTERS)),
    ("recto-egress", Layer::Product(ADAPTERS)),
    ("recto-workspace", Layer::Product(ADAPTERS)),
    ("recto-store", Layer::Product(ADAPTERS)),
    ("recto-forge", Layer::Product(ADAPTERS)),
    ("recto-mcp", Layer::Product(ADAPTERS)),
    ("recto-runtime", Layer::Product(4)),
    ("recto-service", Layer::Product(4)),
    ("recto-web", Layer::Product(SURFACES)),
    ("recto-tui", Layer::Product(SURFACES)),
    ("recto", Layer::Product(COMPOSITION)),
    ("recto-testkit", Layer::Dev),
    ("xtask", Layer::Dev),
];

/// The highest layer without IO.
pub(super) const CORE: u8 = 1;
/// Adapters never depend on one another, and only the composition root names them.
pub(super) const ADAPTERS: u8 = 3;
/// Surfaces see what `SEEN_BY_SURFACES` lists.
pub(super) const SURFACES: u8 = 5;
/// The only crate that names adapters.
pub(super) const COMPOSITION: u8 = 6;

/// What a surface may depend on: the log's records and the service's use cases, nothing else.
pub(super) const SEEN_BY_SURFACES: &[&str] = &["recto-protocol", "recto-service"];

/// Edges within one layer that are meant: (from, to, why). None between adapters.
pub(super) const SIDEWAYS: &[(&str, &str, &str)] = &[
    (
        "recto-agent",
        "recto-patch",
        "the turn loop offers the edit format as a tool; patch knows plain texts only",
    ),
    (
        "recto-service",
        "recto-runtime",
        "a worker drives many agents; the runtime knows one agent and no task",
    ),
];

/// What the core must not depend on: (package, why).
pub(super) const FORBIDDEN_IN_CORE: &[(&str, &str)] = &[
    ("tokio", RUNS),
    ("tokio-stream", RUNS),
    ("tokio-util", RUNS),
    ("async-std", RUNS),
    ("smol", RUNS),
    ("rayon", RUNS),
    ("reqwest", SPEAKS),
    ("hyper", SPEAKS),
    ("hyper-util", SPEAKS),
    ("axum", SPEAKS),
    ("rustls", SPEAKS),
    ("ureq", SPEAKS),
    ("libc", SYSTEM),
    ("nix", SYSTEM),
    ("rustix", SYSTEM),
    ("seccompiler", SYSTEM),
    ("tempfile", FILES),
    ("walkdir", FILES),
    ("ignore", FILES),
    ("notify", FILES),
    ("rusqlite", FILES),
    (
        "etcetera",
        "the environment reaches the core as an argument",
    ),
    ("chrono", CLOCK),
    ("jiff", CLOCK),
    ("time", CLOCK),
    ("getrandom", CHANCE),
    ("rand", CHANCE),
    ("fastrand", CHANCE),
    ("uuid", CHANCE),
    (
        "anyhow",
        "an error of the core is an enum that callers match",
    ),
    (
        "tracing",
        "the core returns records; it has no side channel",
    ),
];

const RUNS: &str =
    "the core is a fold that nobody has to run; tasks and channels are the runtime's";
const SPEAKS: &str = "the core knows no network";
const SYSTEM: &str = "the core knows no operating system";
const FILES: &str = "the core knows no files";
const CLOCK: &str = "time reaches the core as an argument";
const CHANCE: &str = "ids and randomness reach the core as arguments";

/// Packages that only the named product crates may use: (package, owners, why).
pub(super) const OWNED: &[(&str, &[&str], &str)] = &[
    (
        "reqwest",
        &["recto-model", "recto"],
        "one crate speaks to models, and the command line to its server",
    ),
    (
        "rustls",
        &["recto-model", "recto-egress"],
        "TLS is spoken to models, and by the egress proxy",
    ),
    (
        "tokio-rustls",
        &["recto-egress"],
        "one crate lets cells out, and opens their TLS",
    ),
    (
        "rcgen",
        &["recto-egress"],
        "one crate is an authority for certificates",
    ),
    ("sse-stream", &["recto-model"], "one crate speaks to models"),
    ("seccompiler", &["recto-cell"], "one crate builds cells"),
    (
        "libc",
        &["recto-cell"],
        "raw system calls live in one place; others use rustix",
    ),
    (
        "sha2",
        &["recto-store", "recto-service"],
        "files and secrets are hashed where they are kept and checked",
    ),
    ("rusqlite", &["recto-store"], "one crate holds SQL"),
    ("sqlx", &["recto-store"], "one crate holds SQL"),
    ("tokio-postgres", &["recto-store"], "one crate holds SQL"),
    ("axum", &["recto-web"], "one crate serves HTTP"),
    ("ratatui", &["recto-tui"], "one crate draws in the terminal"),
    (
        "crossterm",
        &["recto-tui"],
        "one crate draws in the terminal",
    ),
    ("clap", &["recto"], "flags are parsed in one place"),
    ("clap_complete", &["recto"], "flags are parsed in one place"),
    ("etcetera", &["recto"], "one crate reads the environment"),
    (
        "anyhow",
        &["recto"],
        "errors that nobody matches belong to the top",
    ),
];
