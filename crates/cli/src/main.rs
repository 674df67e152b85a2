//! The `recto` binary.

use std::process::ExitCode;

fn main() -> ExitCode {
    recto_cli::main()
}
