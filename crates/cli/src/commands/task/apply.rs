//! `recto task apply`.

use anyhow::{Context as _, anyhow};
use recto_workspace::git::{Merge, Merged};
use serde_json::json;

use super::{one, print_json};
use crate::args::ApplyArgs;
use crate::compose::client::Client;
use crate::compose::home::Home;
use crate::compose::place::Place;
use crate::compose::{git, service};
use crate::exit::{DONE, FAILED, Failure};
use crate::output::safe::safe_line;
use crate::output::tell;

/// Brings an attempt's work into the work tree here.
pub(super) async fn run(client: &Client, args: &ApplyArgs, json: bool) -> Result<u8, Failure> {
    let place = Place::find(args.cd.as_deref())?;
    place.require_repository(false)?;
    let attempt = one(client, &args.attempt).await?.id;
    let path = ["attempts", attempt.as_str(), "diff"];
    let query = [("binary", "true".to_owned())];
    let (patch, is_cut) = client.bytes(&path, &query).await?;
    if is_cut {
        return Err(Failure::unavailable(anyhow!(
            "the work of {attempt} is larger than the server gives"
        )));
    }
    let way = match (args.check, args.conflicts) {
        (true, _) => Merge::Try,
        (false, true) => Merge::WithConflicts,
        (false, false) => Merge::Clean,
    };
    let merged = match patch.is_empty() {
        true => Merged::Cleanly,
        false => {
            let home = Home::find()?;
            // The user's own work tree and their own git: nothing is forbidden to it.
            let git = git::find(&home, &[])?;
            git.merge(place.root(), &patch, way, &service::reach(&home))
                .await
                .context("cannot apply the work")
                .map_err(Failure::unavailable)?
        }
    };
    if json {
        let (state, details) = match &merged {
            Merged::Cleanly => ("clean", json!([])),
            Merged::Conflicts { said } => ("conflicts", json!(said)),
            Merged::Uncommitted { files } => ("uncommitted", json!(files)),
        };
        let applied = way != Merge::Try
            && (merged == Merged::Cleanly
                || way == Merge::WithConflicts && matches!(merged, Merged::Conflicts { .. }));
        print_json(&json!({
            "attempt": attempt, "state": state, "details": details, "applied": applied,
        }))?;
    } else {
        say(attempt.as_str(), &merged, way, patch.is_empty());
    }
    Ok(match merged {
        Merged::Cleanly => DONE,
        Merged::Conflicts { .. } | Merged::Uncommitted { .. } => FAILED,
    })
}

fn say(attempt: &str, merged: &Merged, way: Merge, is_empty: bool) {
    let lines: Vec<String> = match merged {
        Merged::Cleanly if is_empty => vec![format!("{attempt} has changed nothing so far")],
        Merged::Cleanly if way == Merge::Try => vec![format!("the work of {attempt} fits")],
        Merged::Cleanly => vec![format!(
            "the work of {attempt} is in the work tree and in the index; commit it as yours"
        )],
        Merged::Conflicts { said } => {
            let told = match way {
                Merge::WithConflicts => {
                    "conflicts are marked in the files; `git status` lists them"
                }
                Merge::Try | Merge::Clean => {
                    "the work does not fit without conflicts, so nothing was touched; \
                     --conflicts brings it in all the same"
                }
            };
            let said = said
                .iter()
                .map(|line| format!("  {}", safe_line(line, 200)));
            said.chain([told.to_owned()]).collect()
        }
        Merged::Uncommitted { files } => {
            let files = files
                .iter()
                .map(|file| format!("  {}", safe_line(&file.to_string_lossy(), 200)));
            let told = "these files have changes that are not committed, so nothing was touched; \
                        commit or stash them";
            files.chain([told.to_owned()]).collect()
        }
    };
    for line in lines {
        tell(&format!("{line}\n"));
    }
}
