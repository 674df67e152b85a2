//! `recto cell shell`: a shell in a cell, at the user's terminal.

use std::io::IsTerminal as _;

use anyhow::anyhow;
use recto_protocol::ports::cell::Command;

use super::super::block_on;
use super::run::{Wanted, enter, inside};
use crate::args::ShellArgs;
use crate::compose::cells::Cells;
use crate::compose::home::{Home, variable};
use crate::exit::Failure;

/// Becomes the first of its arguments that can be run.
const FIRST: &str = r#"for shell in "$@"; do
  if command -v "$shell" >/dev/null; then exec "$shell"; fi
done
exit 127"#;

/// Opens the shell and gives its exit code.
pub fn run(home: &Home, cells: &Cells, args: ShellArgs) -> Result<u8, Failure> {
    if !std::io::stdin().is_terminal() || !std::io::stdout().is_terminal() {
        return Err(
            Failure::usage(anyhow!("a shell needs a terminal for its input and output"))
                .hint("`recto cell run -- sh -c '…'` runs commands without one"),
        );
    }
    let shells = variable("SHELL")
        .into_iter()
        .chain(["bash", "sh"].map(str::to_owned));
    let command = Command {
        argv: ["sh", "-c", FIRST, "sh"]
            .map(str::to_owned)
            .into_iter()
            .chain(shells)
            .collect(),
        // The agent reads no colours; somebody at a terminal does. Empty means not set.
        env: vec![("NO_COLOR".to_owned(), String::new())],
        ..Command::default()
    };
    block_on(async {
        let wanted = Wanted {
            options: args.options,
            kept: args.kept.as_deref(),
            learning: false,
        };
        let place = enter(home, cells, wanted).await?;
        inside(place, command, true).await
    })
}
