//! One harness with several cells on one tree, parts of which are killed at random.
//!
//! The harness makes cells, uses and closes them in turn. Whose PID 1 is killed must take nobody
//! along: the harness hears of it, the other cells go on, and a new one takes its place. At the end
//! nothing may be left, whoever was killed.

use std::hash::{BuildHasher as _, RandomState};
use std::io::{BufRead, BufReader, Read as _};
use std::path::Path;
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use recto_cell::{CellSpec, launch};
use recto_protocol::policy::Policy;
use recto_protocol::ports::cell::{Cell, CellError, ExitStatus};

use crate::death::left;
use crate::support::{Place, eventually, finish, processes_with, sh};

crate::cases! { random_kills_among_several_cells_leave_nothing }

const ROUNDS: u64 = 25;
const CELLS: usize = 3;

/// `several TREE`: uses cells until its input ends, then closes them all.
pub fn harness(tree: &str) -> ExitCode {
    let stop = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&stop);
    std::thread::spawn(move || {
        let _ = std::io::stdin().read(&mut [0]);
        seen.store(true, Ordering::Relaxed);
    });
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(use_cells(tree, &stop));
    ExitCode::SUCCESS
}

async fn use_cells(tree: &str, stop: &AtomicBool) {
    let mut cells: Vec<Arc<dyn Cell>> = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        if cells.len() == CELLS {
            cells.remove(0).close().await;
        }
        let mut spec = CellSpec::new(Policy::default(), tree);
        spec.path = "/usr/bin:/bin".into();
        match launch(spec).await {
            Ok(cell) => cells.push(cell),
            // It was killed while it was made.
            Err(error) => println!("not made: {error}"),
        }
        let mut living: Vec<Arc<dyn Cell>> = Vec::new();
        for cell in cells.drain(..) {
            if is_well(&cell).await {
                living.push(cell);
            } else {
                println!("lost");
                cell.close().await;
            }
        }
        cells = living;
        println!("round with {}", cells.len());
    }
    for cell in cells {
        cell.close().await;
    }
    println!("end");
}

/// Runs a command that leaves a process behind. Nothing but the cell's end may go wrong.
async fn is_well(cell: &Arc<dyn Cell>) -> bool {
    match cell
        .spawn(sh("sleep 301 >/dev/null 2>&1 & echo fine"))
        .await
    {
        Ok(process) => match finish(process).await {
            (output, 0, ExitStatus::Code(0)) => {
                assert_eq!(output, "fine\n");
                true
            }
            (_, _, ExitStatus::CellGone) => false,
            // Before it has become its program, a command looks like PID 1, and was killed for it.
            (output, 0, ExitStatus::Signal(9)) if output.is_empty() => true,
            other => panic!("{other:?}"),
        },
        Err(CellError::Gone) => false,
        Err(error) => panic!("{error}"),
    }
}

fn start(tree: &Path) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["harness", "several"])
        .arg(tree)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

/// A small generator (splitmix64) with a printed seed.
struct Random(u64);

impl Random {
    fn new() -> Self {
        let given = std::env::var("RECTO_TEST_SEED").ok();
        let given = given.and_then(|text| text.parse().ok());
        let seed = given.unwrap_or_else(|| RandomState::new().hash_one(0u8));
        println!("RECTO_TEST_SEED={seed}");
        Self(seed)
    }

    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % end
    }
}

async fn random_kills_among_several_cells_leave_nothing() {
    let mut random = Random::new();
    let place = Place::new();
    place.repository();
    let before = left(&place);
    for round in 0..ROUNDS {
        let mut child = start(&place.tree());
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        for _ in 0..random.below(5) {
            lines.next().unwrap().unwrap();
        }
        tokio::time::sleep(Duration::from_micros(random.below(10_000))).await;
        let of = |kind: &str| processes_with(&format!("cell-init\0{kind}\0{}\0", child.id()));
        let (inits, sweepers) = (of("cell"), of("sweep"));
        let choice = random.below(4);
        let victims = match choice {
            0 => Vec::new(),
            1 => inits,
            2 => sweepers,
            _ => [inits, sweepers].concat(),
        };
        let victims = match victims.len() as u64 {
            0 => victims,
            // One of them, or all.
            count => match random.below(count + 1) as usize {
                one if one < victims.len() => vec![victims[one]],
                _ => victims,
            },
        };
        for pid in &victims {
            // SAFETY: takes numbers only; a process that has just ended is no harm.
            unsafe { libc::kill(*pid, libc::SIGKILL) };
        }
        let is_harness_killed = choice == 0 || random.below(3) == 0;
        if is_harness_killed {
            child.kill().unwrap();
            child.wait().unwrap();
        } else {
            // It goes on for a while, and ends well.
            for _ in 0..2 {
                assert!(lines.next().is_some_and(|line| line.is_ok()), "{round}");
            }
            drop(child.stdin.take());
            let rest: Vec<String> = lines.map_while(Result::ok).collect();
            assert_eq!(rest.last().map(String::as_str), Some("end"), "{round}");
            assert!(child.wait().unwrap().success(), "{round}");
        }
        let all = format!("\0{}\0", child.id());
        let ours = || {
            let inits = processes_with("cell-init\0").into_iter();
            let named = processes_with(&all);
            inits.filter(|pid| named.contains(pid)).count()
        };
        eventually("its processes are gone", || ours() == 0).await;
        if is_harness_killed && !victims.is_empty() {
            // Nobody may have been left who could clean up: the next start does.
            crate::support::run(&place.cell().await, sh("true")).await;
        }
        eventually("nothing is left", || left(&place) == before).await;
    }
}
