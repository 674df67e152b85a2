//! What a cell notices of another one that takes all it can.

use std::time::{Duration, Instant};

use futures_util::StreamExt;
use recto_protocol::ports::cell::{Cell, CellError, Command, OutputCap, Process, ProcessEvent};
use tokio::task::JoinHandle;

use crate::ask::Answer;
use crate::measure::{NOTHING, one, outside};
use crate::place::Place;

/// How long a load may take to unfold before anything is timed. It says no more than "up": a fork
/// bomb knows no better than when it has begun.
const UNFOLD: Duration = Duration::from_millis(700);

/// How long commands are timed then: what is ended soon, or gives way, was there all the same.
const SPAN: Duration = Duration::from_secs(3);
/// What may be fewer where a command takes longer.
const FEWEST: usize = 5;

/// What the hostile cell does. Each says "up" and goes on until it is killed.
fn script(load: &str) -> Option<&'static str> {
    Some(match load {
        "busy" => "for n in $(seq 64); do (while :; do :; done) & done; echo up; wait",
        // A shell that may not fork any more ends, so that the others can: it never comes to rest.
        "forks" => "echo up; exec sh -c 'f() { while :; do f & done; }; f' 2>/dev/null",
        "disk" => {
            "echo up; while :; do head -c 400000000 /dev/zero > /tmp/a; \
             head -c 400000000 /dev/zero > b; rm -f /tmp/a b; done"
        }
        "output" => "echo up; exec yes 'all work and no play makes jack a dull boy'",
        "memory" => {
            // Bounded here too, for the sake of machines whose cells can't bound it.
            "echo up; while :; do python3 -c 'x = []\nfor n in range(3000): x.append(bytearray(b\"x\") * (1 << 20))'; done"
        }
        _ => return None,
    })
}

pub(crate) async fn measure(place: &Place, load: &str, count: usize) -> Result<Answer, CellError> {
    let script = script(load).ok_or_else(|| CellError::Protocol(format!("no load {load:?}")))?;
    let own = place.cell().await?;
    let other = place.cell().await?;
    let (quiet, outside_quiet) = times(&*own, |done, _| done < count).await?;
    let drained = start(&*other, script).await?;
    tokio::time::sleep(UNFOLD).await;
    let timed = times(&*own, |done, began| done < FEWEST || began.elapsed() < SPAN).await;
    drained.abort();
    other.close().await;
    own.close().await;
    let (loaded, outside_loaded) = timed?;
    Ok(Answer::Neighbours {
        quiet,
        loaded,
        outside_quiet,
        outside_loaded,
    })
}

/// Starts the load and reads what it prints, as the harness does with every command.
async fn start(cell: &dyn Cell, script: &str) -> Result<JoinHandle<()>, CellError> {
    let argv = ["bash", "-c", script].map(str::to_owned).to_vec();
    let output = OutputCap {
        head: u64::MAX,
        tail: 0,
    };
    let mut process = cell
        .spawn(Command {
            argv,
            output,
            ..Command::default()
        })
        .await?;
    match process.events.next().await {
        Some(ProcessEvent::Output(_)) => {}
        other => return Err(CellError::Protocol(format!("{other:?} instead of \"up\""))),
    }
    Ok(tokio::spawn(drain(process)))
}

async fn drain(mut process: Process) {
    while process.events.next().await.is_some() {}
}

/// Commands in the cell, and on the host, in turns, while more are wanted.
async fn times(
    cell: &dyn Cell,
    wants: impl Fn(usize, Instant) -> bool,
) -> Result<(Vec<f64>, Vec<f64>), CellError> {
    let (mut inside, mut beside) = (Vec::new(), Vec::new());
    let began = Instant::now();
    while wants(inside.len(), began) {
        inside.push(one(cell).await?);
        let plain = tokio::task::spawn_blocking(|| outside(&[NOTHING.to_owned()])).await;
        if let Ok(Ok(took)) = plain {
            beside.push(took);
        }
        tokio::task::yield_now().await;
    }
    Ok((inside, beside))
}
