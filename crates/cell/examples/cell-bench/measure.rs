//! The measurements.

use std::io;
use std::process::{Command, Stdio};
use std::time::Instant;

use recto_protocol::ports::cell::{Cell, CellError};

use crate::ask::{Answer, Ask};
use crate::neighbours;
use crate::place::{Place, run, start, wait_for};

/// What is run where only the way to it counts.
pub(crate) const NOTHING: &str = "/bin/true";

/// Processes of one session of the tree that is killed.
const SESSION: usize = 10;

pub(crate) async fn answer(place: &mut Place, ask: Ask) -> Answer {
    let result = match ask {
        Ask::Tree { path } => {
            place.release().await;
            place.tree = path;
            Ok(Answer::Done {})
        }
        Ask::Spawn { argv } => outside(&argv)
            .map(|ms| Answer::Took { ms })
            .map_err(|_| CellError::Gone),
        Ask::Cell => cell(place).await,
        Ask::Once => once(place).await,
        Ask::Commands { count } => commands(place, count).await,
        Ask::Kill { processes } => kill(place, processes).await,
        Ask::Hold { cells } => hold(place, cells).await,
        Ask::Release => {
            place.release().await;
            Ok(Answer::Done {})
        }
        Ask::Row { cells } => row(place, cells).await,
        Ask::Neighbours { load, count } => neighbours::measure(place, &load, count).await,
    };
    result.unwrap_or_else(|error| Answer::Failed {
        error: told(&error),
    })
}

async fn cell(place: &Place) -> Result<Answer, CellError> {
    let started = Instant::now();
    let cell = place.cell().await?;
    let ready = ms(started);
    let started = Instant::now();
    cell.close().await;
    Ok(Answer::Lived {
        ready,
        closed: ms(started),
    })
}

async fn once(place: &Place) -> Result<Answer, CellError> {
    let started = Instant::now();
    let cell = place.cell().await?;
    run(&*cell, &[NOTHING]).await?;
    cell.close().await;
    Ok(Answer::Took { ms: ms(started) })
}

async fn commands(place: &mut Place, count: usize) -> Result<Answer, CellError> {
    let cell = place.running().await?;
    let (mut inside, mut beside) = (Vec::new(), Vec::new());
    for _ in 0..count {
        inside.push(one(&*cell).await?);
        beside.push(outside(&[NOTHING.to_owned()]).map_err(|_| CellError::Gone)?);
    }
    Ok(Answer::Commands {
        inside,
        outside: beside,
    })
}

/// A command in a running cell.
pub(crate) async fn one(cell: &dyn Cell) -> Result<f64, CellError> {
    let started = Instant::now();
    run(cell, &[NOTHING]).await?;
    Ok(ms(started))
}

/// A program on the host.
pub(crate) fn outside(argv: &[String]) -> io::Result<f64> {
    let (program, arguments) = argv.split_first().ok_or(io::ErrorKind::InvalidInput)?;
    let mut command = Command::new(program);
    command
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let started = Instant::now();
    let status = command.status()?;
    let took = ms(started);
    match status.success() {
        true => Ok(took),
        false => Err(io::ErrorKind::Other.into()),
    }
}

async fn kill(place: &Place, processes: usize) -> Result<Answer, CellError> {
    let cell = crowd(place, processes).await?;
    let started = Instant::now();
    cell.kill_all().await?;
    let kill_all = ms(started);
    cell.close().await;

    let cell = crowd(place, processes).await?;
    let started = Instant::now();
    cell.close().await;
    Ok(Answer::Killed {
        kill_all,
        close: ms(started),
    })
}

/// A cell with so many processes in many sessions, deaf to everything that a process can be deaf to.
async fn crowd(place: &Place, processes: usize) -> Result<std::sync::Arc<dyn Cell>, CellError> {
    let cell = place.cell().await?;
    let sessions = processes / SESSION;
    let script = format!(
        "trap '' TERM INT HUP; for s in $(seq {sessions}); do setsid sh -c \
         'for p in $(seq {}); do sleep 1000 & done; echo up; wait' & done; wait",
        SESSION - 1
    );
    let mut process = start(&*cell, &["sh", "-c", &script]).await?;
    wait_for(&mut process, "up", sessions).await?;
    Ok(cell)
}

async fn hold(place: &mut Place, cells: usize) -> Result<Answer, CellError> {
    for _ in 0..cells {
        let cell = place.cell().await?;
        place.kept.push(cell);
    }
    Ok(Answer::Done {})
}

async fn row(place: &Place, cells: usize) -> Result<Answer, CellError> {
    let started = Instant::now();
    for _ in 0..cells {
        let cell = place.cell().await?;
        run(
            &*cell,
            &[
                "sh",
                "-c",
                "echo x > /tmp/x; sleep 1000 >/dev/null 2>&1 & echo y > y; rm y",
            ],
        )
        .await?;
        cell.close().await;
    }
    Ok(Answer::Took { ms: ms(started) })
}

pub(crate) fn ms(started: Instant) -> f64 {
    started.elapsed().as_secs_f64() * 1000.0
}

/// An error with its cause.
fn told(error: &CellError) -> String {
    let cause = std::error::Error::source(error);
    let cause = cause.map(|cause| format!(": {cause}")).unwrap_or_default();
    format!("{error}{cause}")
}
