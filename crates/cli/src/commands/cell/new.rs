//! `recto cell new`: makes a cell that lives on, by starting its keeper.

use std::io::{Read as _, Write as _};
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};

use anyhow::{Context as _, anyhow};
use serde_json::json;

use super::super::{block_on, print};
use super::keep::{Answer, Orders};
use super::resolve;
use crate::args::NewArgs;
use crate::compose::home::Home;
use crate::compose::place::Place;
use crate::exit::{DONE, Failure};

/// More than any answer has.
const MAX_ANSWER: u64 = 1 << 20;

/// Makes the cell and prints its id.
pub fn run(home: &Home, args: NewArgs) -> Result<u8, Failure> {
    home.make()
        .with_context(|| format!("cannot use {}", home.recto.display()))?;
    let place = Place::find(args.options.cd.as_deref())?;
    let (settings, settled) = block_on(resolve(home, &place, args.options))?;
    for notice in &settled.notices {
        crate::output::tell(&format!("note: {}\n", crate::output::safe::safe(notice)));
    }
    let orders = Orders {
        recto: home.recto.clone(),
        settings,
        name: args.name,
        idle_secs: args.idle.0,
    };
    match start(&orders).context("cannot start the cell's keeper")? {
        Answer::Ready(record) if args.json => print(&format!("{}\n", json!(record)))?,
        Answer::Ready(record) => print(&format!("{}\n", record.id))?,
        Answer::Failed {
            code,
            message,
            hint,
        } => {
            return Err(Failure {
                code,
                error: anyhow!(message),
                hint,
            });
        }
    }
    Ok(DONE)
}

/// Starts a keeper and waits for its answer. It gets nothing of this process but its orders.
fn start(orders: &Orders) -> anyhow::Result<Answer> {
    let mut keeper = Command::new("/proc/self/exe")
        .arg0("recto")
        .arg("cell-keep")
        .env_clear()
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()?;
    let mut text = Vec::new();
    let told = keeper.stdin.take().map(|mut stdin| {
        // Dropped at the end, which is the end of the orders.
        stdin.write_all(&serde_json::to_vec(orders)?)
    });
    if let Some(stdout) = keeper.stdout.take() {
        stdout.take(MAX_ANSWER).read_to_end(&mut text)?;
    }
    if let Ok(answer) = serde_json::from_slice(&text) {
        return Ok(answer);
    }
    told.transpose()?;
    let status = keeper.wait()?;
    anyhow::bail!("it ended without an answer, with {status}")
}
