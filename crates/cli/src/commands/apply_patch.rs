//! `recto apply-patch`: applies a patch to the directory here. Also answers to the name
//! `apply_patch`.

use std::ffi::OsString;
use std::io::Read as _;
use std::process::ExitCode;

use anyhow::Context as _;
use recto_workspace::apply::apply_text;

use super::print;
use crate::args::ApplyPatchArgs;
use crate::compose::files::Survivor;
use crate::compose::home::Home;
use crate::exit::{self, Failure, USAGE};

const USAGE_TEXT: &str = "usage: apply_patch 'PATCH'\n       apply_patch < PATCH\n";

/// The command of the command line.
pub fn run(args: &ApplyPatchArgs) -> Result<u8, Failure> {
    let patch = match args.patch.as_deref() {
        Some("-") | None => from_stdin()?,
        Some(patch) => patch.to_owned(),
    };
    apply(&patch)
}

/// The program called by the name `apply_patch`.
pub fn as_program(args: &[OsString]) -> ExitCode {
    exit::finish(match args {
        [] => from_stdin().and_then(|patch| apply(&patch)),
        [patch] => match patch.to_str() {
            Some(patch) => apply(patch),
            None => Err(Failure::usage(anyhow::anyhow!(
                "the patch is not valid UTF-8"
            ))),
        },
        _ => {
            eprint_plain(USAGE_TEXT);
            Ok(USAGE)
        }
    })
}

fn from_stdin() -> Result<String, Failure> {
    let mut bytes = Vec::new();
    let limit = recto_patch::MAX_PATCH_BYTES as u64 + 1;
    std::io::stdin()
        .lock()
        .take(limit)
        .read_to_end(&mut bytes)
        .context("cannot read standard input")
        .map_err(Failure::usage)?;
    String::from_utf8(bytes)
        .context("the patch is not valid UTF-8")
        .map_err(Failure::usage)
}

fn apply(patch: &str) -> Result<u8, Failure> {
    let home = Home::find()?;
    home.make()
        .with_context(|| format!("cannot make {}", home.recto.display()))?;
    let here = std::env::current_dir().context("cannot find the directory here")?;
    let outcome = apply_text(&here, patch, &home.journals(), &Survivor);
    print(&outcome.stdout)?;
    eprint_plain(&outcome.stderr);
    if let Some(hint) = &outcome.hint {
        eprint_plain(&format!("hint: {hint}\n"));
    }
    Ok(u8::try_from(outcome.exit_code).unwrap_or(exit::FAILED))
}

fn eprint_plain(text: &str) {
    crate::output::tell(&crate::output::safe::safe(text));
}
