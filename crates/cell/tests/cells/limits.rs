//! Greedy programs: what exceeds a limit is stopped and told, and a second cell works meanwhile.
//! Where control groups may be written each case runs twice, with them and without.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use recto_cell::{Limits, launch};
use recto_protocol::ports::cell::{Cell, Command, ExitStatus, Limit, Process, ProcessEvent};

use crate::support::{Place, eventually, processes_with, python, run, sh};

crate::cases! {
    one_memory_hog, many_small_memory_hogs, a_hog_beside_a_worker, shared_memory_is_counted_once, a_scratch_filler,
    a_fork_bomb, a_fork_bomb_that_stays, a_disk_filler, fallocate_is_no_way_around,
    a_hidden_command_is_killed, a_hidden_memory_hog, a_hidden_disk_filler, a_hidden_filler_of_the_reserve, a_process_of_many_groups,
    a_zip_bomb, a_million_files, files_in_closed_directories, files_far_below, files_that_were_there_do_not_count, too_much_output, too_much_time, the_time_of_a_cell, open_files_are_few,
    what_a_background_process_did_is_told_to_the_next, nothing_within_limits_is_told,
    groups_are_removed, an_idle_cell_sleeps, busy_loops_leave_room, no_cell_is_realtime, scratch_does_not_take_all_memory,
}

const MIB: u64 = 1 << 20;

/// What a command said, the limits it met, how it ended.
pub struct Told {
    pub output: String,
    pub limits: Vec<(Limit, String)>,
    pub end: ExitStatus,
}

pub async fn told(mut process: Process) -> Told {
    let (mut output, mut limits, mut end) = (Vec::new(), Vec::new(), None);
    while let Some(event) = process.events.next().await {
        assert!(end.is_none(), "an event after the end");
        match event {
            ProcessEvent::Output(bytes) => output.extend_from_slice(&bytes),
            ProcessEvent::Dropped(_) => {}
            ProcessEvent::Limited(limited) => limits.push((limited.limit, limited.text)),
            ProcessEvent::Exited(status) => end = Some(status),
        }
    }
    Told {
        output: String::from_utf8_lossy(&output).into_owned(),
        limits,
        end: end.unwrap(),
    }
}

impl Told {
    pub fn met(&self, limit: Limit, words: &str) {
        let met = self
            .limits
            .iter()
            .any(|(met, text)| *met == limit && text.contains(words));
        assert!(
            met,
            "{limit:?} with {words:?} is not in {:?}, output {:?}, end {:?}",
            self.limits, self.output, self.end
        );
    }
}

/// A greedy cell, and one beside it.
pub struct Pair {
    _places: [Place; 2],
    pub greedy: Arc<dyn Cell>,
    other: Arc<dyn Cell>,
}

impl Pair {
    pub async fn new(limits: Limits) -> Self {
        let places = [Place::new(), Place::new()];
        let mut spec = places[0].spec();
        spec.limits = limits;
        let greedy = launch(spec).await.unwrap();
        let other = places[1].cell().await;
        Self {
            _places: places,
            greedy,
            other,
        }
    }

    /// Runs a greedy command; the other cell must do its own work meanwhile.
    pub async fn try_out(&self, command: Command) -> Told {
        let process = self.greedy.spawn(command).await.unwrap();
        let (told, other) = tokio::join!(told(process), run(&self.other, sh("echo fine")));
        assert_eq!(other, ("fine\n".to_owned(), ExitStatus::Code(0)));
        told
    }

    pub async fn still_works(self) {
        let (output, _) = run(&self.greedy, sh("echo still here")).await;
        assert_eq!(output, "still here\n");
        self.greedy.close().await;
        self.other.close().await;
    }
}

/// The limits in both ways of holding them, as far as this machine has both.
pub fn both(change: impl Fn(&mut Limits)) -> Vec<Limits> {
    let ways: &[bool] =
        if std::fs::metadata("/sys/fs/cgroup/memory/tasks").is_ok() && crate::support::is_root() {
            &[true, false]
        } else {
            &[false]
        };
    let make = |cgroups: &bool| {
        let mut limits = Limits {
            cgroups: *cgroups,
            ..Limits::default()
        };
        change(&mut limits);
        limits
    };
    ways.iter().map(make).collect()
}

fn memory(bytes: u64) -> Vec<Limits> {
    both(|limits| limits.memory = Some(bytes))
}

/// Takes memory in pieces, as fast as it can.
const HOG: &str = "
import sys
kept = []
while True:
    kept.append(bytearray(b'x') * (8 << 20))
";

async fn one_memory_hog() {
    for limits in memory(256 * MIB) {
        let pair = Pair::new(limits).await;
        let told = pair.try_out(python(HOG)).await;
        assert_eq!(told.end, ExitStatus::Signal(9), "{}", told.output);
        told.met(Limit::Memory, "killed python3 (pid ");
        told.met(
            Limit::Memory,
            "the cell's memory limit of 256 MiB was reached",
        );
        pair.still_works().await;
    }
}

async fn many_small_memory_hogs() {
    for limits in memory(256 * MIB) {
        let pair = Pair::new(limits).await;
        let script = "
import os, sys, time
children = []
for i in range(50):
    pid = os.fork()
    if pid == 0:
        kept = bytearray(b'x') * (20 << 20)
        time.sleep(60)
    children.append(pid)
killed = 0
while True:
    pid, status = os.waitpid(-1, 0)
    killed += os.WIFSIGNALED(status)
    if killed >= 30: break
print('killed', killed)
os.killpg(0, 9)
";
        let told = pair.try_out(python(script)).await;
        told.met(Limit::Memory, "killed ");
        pair.still_works().await;
    }
}

/// Only what takes too much is killed.
async fn a_hog_beside_a_worker() {
    for limits in memory(256 * MIB) {
        let pair = Pair::new(limits).await;
        let worker = pair.greedy.spawn(sh("read line; echo $line")).await;
        let worker = pair
            .greedy
            .spawn(Command {
                stdin: true,
                ..sh("read line; echo got $line")
            })
            .await
            .or(worker)
            .unwrap();
        let hog = pair.try_out(python(HOG)).await;
        hog.met(Limit::Memory, "python3");
        worker.control.write("it\n".into()).await.unwrap();
        let told = told(worker).await;
        assert_eq!(
            (told.output.as_str(), told.end),
            ("got it\n", ExitStatus::Code(0))
        );
        assert_eq!(told.limits, []);
        pair.still_works().await;
    }
}

/// Twenty processes that share 20 MiB do not have 400.
async fn shared_memory_is_counted_once() {
    for limits in memory(256 * MIB) {
        let pair = Pair::new(limits).await;
        let script = "
import mmap, os, time
shared = mmap.mmap(-1, 20 << 20)
shared.write(b'x' * (20 << 20))
for i in range(20):
    if os.fork() == 0:
        sum(shared[j] for j in range(0, 20 << 20, 4096))
        time.sleep(1.2)
        os._exit(0)
for i in range(20):
    assert os.waitpid(-1, 0)[1] == 0
print('all lived')
";
        let told = pair.try_out(python(script)).await;
        assert_eq!(told.output, "all lived\n", "{:?}", told.limits);
        pair.still_works().await;
    }
}

/// Scratch is memory, but leaves room to work in.
async fn a_scratch_filler() {
    for limits in memory(256 * MIB) {
        let pair = Pair::new(limits).await;
        let told = pair
            .try_out(sh("head -c 1G /dev/zero > /tmp/x; echo end; rm /tmp/x"))
            .await;
        assert!(
            told.output.contains("No space left") && told.output.contains("end"),
            "{}",
            told.output
        );
        pair.still_works().await;
    }
}

/// Starts as many as it can and stops.
const FORKS: &str = "
import os, signal, time
n = 0
try:
    while n < 5000:
        if os.fork() == 0:
            signal.pause()
        n += 1
except OSError as error:
    print(n, error, flush=True)
time.sleep(STAY)
os.killpg(0, 9)
";

async fn a_fork_bomb() {
    for limits in both(|limits| limits.processes = 200) {
        let pair = Pair::new(limits).await;
        let told = pair.try_out(python(&FORKS.replace("STAY", "0.6"))).await;
        assert!(
            told.output.contains("temporarily unavailable"),
            "{}",
            told.output
        );
        told.met(
            Limit::Processes,
            "the cell's limit of 200 processes and threads was reached",
        );
        pair.greedy.kill_all().await.unwrap();
        pair.still_works().await;
    }
}

/// One that goes on for ever, out of its session: it is ended, and so quickly that nobody waits.
async fn a_fork_bomb_that_stays() {
    for limits in both(|limits| limits.processes = 200) {
        let pair = Pair::new(limits).await;
        let bomb = "import os
while True:
    try:
        if os.fork() == 0: os.setsid()
    except OSError: pass
";
        let told = pair.try_out(python(bomb)).await;
        told.met(Limit::Processes, "refused to start more");
        told.met(Limit::Processes, "killed the command, ");
        let start = Instant::now();
        pair.greedy.kill_all().await.unwrap();
        assert!(
            start.elapsed() < Duration::from_millis(500),
            "{:?}",
            start.elapsed()
        );
        pair.still_works().await;
    }
}

fn disk(bytes: u64) -> Vec<Limits> {
    both(|limits| limits.disk_bytes = bytes)
}

async fn a_disk_filler() {
    for limits in disk(64 * MIB) {
        let pair = Pair::new(limits).await;
        let script = "
i = 0
while True:
    with open(f'big{i}', 'wb') as f:
        for _ in range(8): f.write(b'x' * (1 << 20))
    i += 1
";
        let told = pair.try_out(python(script)).await;
        assert_eq!(told.end, ExitStatus::Signal(9), "{}", told.output);
        told.met(Limit::Disk, "killed python3 (pid ");
        told.met(
            Limit::Disk,
            "the cell's limit of 64 MiB written to disk was reached",
        );
        pair.still_works().await;
    }
}

async fn fallocate_is_no_way_around() {
    for limits in disk(64 * MIB) {
        let pair = Pair::new(limits).await;
        let script = "
import ctypes, os
libc = ctypes.CDLL(None, use_errno=True)
for i in range(4):
    fd = os.open(f'plain{i}', os.O_CREAT | os.O_RDWR)
    print(libc.fallocate(fd, 0, ctypes.c_long(0), ctypes.c_long(40 << 20)), os.strerror(ctypes.get_errno()), flush=True)
for i in range(100):
    fd = os.open(f'posix{i}', os.O_CREAT | os.O_RDWR)
    os.posix_fallocate(fd, 0, 40 << 20)
";
        let told = pair.try_out(python(script)).await;
        assert!(
            told.output.starts_with("-1 Operation not supported"),
            "{}",
            told.output
        );
        told.met(Limit::Disk, "python3");
        pair.still_works().await;
    }
}

async fn a_zip_bomb() {
    for limits in disk(64 * MIB) {
        let pair = Pair::new(limits).await;
        let script = "
import zlib
packed = zlib.compress(b'0' * (16 << 20))
with open('unpacked', 'wb') as f:
    while True:
        f.write(zlib.decompress(packed))
";
        let told = pair.try_out(python(script)).await;
        // One file is refused by the kernel at that size, with a signal or an error.
        let stopped = told.output.contains("File too large") || told.end == ExitStatus::Signal(9);
        assert!(stopped, "{} {:?}", told.output, told.end);
        pair.still_works().await;
    }
}

async fn a_million_files() {
    for limits in both(|limits| limits.files = 20_000) {
        let pair = Pair::new(limits).await;
        let script = "
import os
for i in range(1000):
    os.mkdir(f'd{i}')
    for j in range(1000):
        os.close(os.open(f'd{i}/f{j}', os.O_CREAT | os.O_WRONLY))
print('all made')
";
        let told = pair.try_out(python(script)).await;
        told.met(Limit::Files, "killed python3 (pid ");
        told.met(
            Limit::Files,
            "the cell's limit of 20000 new files was reached",
        );
        assert_eq!(told.end, ExitStatus::Signal(9));
        pair.still_works().await;
    }
}

async fn files_that_were_there_do_not_count() {
    let pair = Pair::new(Limits {
        files: 8000,
        ..Limits::default()
    });
    let pair = pair.await;
    let make = "import os
for i in range(5000): os.close(os.open(f'FILE{i}', os.O_CREAT | os.O_WRONLY))
import time; time.sleep(0.7)
print('made')";
    let first = pair.try_out(python(&make.replace("FILE", "a"))).await;
    assert_eq!((first.output.as_str(), first.limits), ("made\n", vec![]));
    // Deleted ones don't count either.
    let again = format!(
        "for i in range(5000): __import__('os').unlink(f'a{{i}}')\n{}",
        make.replace("FILE", "b")
    );
    let second = pair.try_out(python(&again)).await;
    assert_eq!((second.output.as_str(), second.limits), ("made\n", vec![]));
    pair.still_works().await;
}

async fn too_much_output() {
    for limits in both(|limits| limits.output_bytes = 256 * MIB) {
        let pair = Pair::new(limits).await;
        let start = Instant::now();
        let told = pair.try_out(sh("yes")).await;
        told.met(Limit::Output, "the limit of 256 MiB of output was reached");
        assert_eq!(told.end, ExitStatus::Signal(9));
        assert!(told.output.len() <= 5 << 20);
        assert!(
            start.elapsed() < Duration::from_secs(30),
            "{:?}",
            start.elapsed()
        );
        pair.still_works().await;
    }
}

async fn too_much_time() {
    for limits in both(|limits| limits.command_time = Some(Duration::from_millis(300))) {
        let pair = Pair::new(limits).await;
        let told = pair.try_out(sh("setsid sleep 60 & sleep 60")).await;
        told.met(
            Limit::Time,
            "killed the command, 3 processes: the command's time limit of 300 ms was reached",
        );
        assert_eq!(told.end, ExitStatus::Signal(9));
        pair.still_works().await;
    }
}

async fn the_time_of_a_cell() {
    for limits in both(|limits| limits.cell_time = Some(Duration::from_millis(300))) {
        let pair = Pair::new(limits).await;
        let told = pair.try_out(sh("sleep 60")).await;
        told.met(Limit::Time, "the cell's time limit of 300 ms was reached");
        assert_eq!(told.end, ExitStatus::CellGone);
        assert!(pair.greedy.spawn(sh("true")).await.is_err());
    }
}

async fn open_files_are_few() {
    let limits = Limits {
        open_files: 128,
        ..Limits::default()
    };
    let pair = Pair::new(limits).await;
    let told = pair
        .try_out(python(
            "import resource; print(resource.getrlimit(resource.RLIMIT_NOFILE))",
        ))
        .await;
    assert_eq!(told.output, "(128, 128)\n");
    pair.still_works().await;
}

async fn what_a_background_process_did_is_told_to_the_next() {
    for limits in disk(64 * MIB) {
        let pair = Pair::new(limits).await;
        let script = "setsid sh -c 'sleep 0.2; i=0; while :; do head -c 9000000 /dev/zero > big$i; i=$((i+1)); done' >/dev/null 2>&1 & echo left";
        let first = pair.try_out(sh(script)).await;
        assert_eq!((first.output.as_str(), first.limits), ("left\n", vec![]));
        let told = pair
            .try_out(sh(
                "while [ -z \"$(ls | grep big6)\" ]; do sleep 0.05; done; sleep 1",
            ))
            .await;
        told.met(Limit::Disk, "64 MiB");
        pair.greedy.kill_all().await.unwrap();
        pair.still_works().await;
    }
}

async fn nothing_within_limits_is_told() {
    for limits in both(|limits| {
        limits.memory = Some(512 * MIB);
        limits.disk_bytes = 64 * MIB;
        limits.processes = 100;
    }) {
        let pair = Pair::new(limits).await;
        let script = "for i in 1 2 3 4 5 6; do head -c 5000000 /dev/zero > f$i & done; wait; python3 -c 'x = bytearray(100 << 20); import time; time.sleep(1)'; echo done";
        let told = pair.try_out(sh(script)).await;
        assert_eq!((told.output.as_str(), told.limits), ("done\n", vec![]));
        pair.still_works().await;
    }
}

/// The groups of this process' cells.
fn groups() -> Vec<String> {
    let own = format!("-{}-", std::process::id());
    let of = |hierarchy: &str| {
        let entries = std::fs::read_dir(format!("/sys/fs/cgroup/{hierarchy}"));
        let names = entries.into_iter().flatten().flatten();
        names
            .map(|entry| entry.file_name().to_string_lossy().into_owned())
            .collect::<Vec<_>>()
    };
    let all = ["pids", "cpu", "unified", "."].map(of).concat();
    all.into_iter()
        .filter(|name| name.starts_with("recto-") && name.contains(&own))
        .collect()
}

async fn groups_are_removed() {
    for limits in both(|_| ()) {
        let before = groups().len();
        let pair = Pair::new(limits).await;
        if limits.cgroups {
            assert!(groups().len() > before, "this case must be able to fail");
        }
        let _process = pair.greedy.spawn(sh("sleep 60")).await.unwrap();
        pair.greedy.close().await;
        drop(pair);
        eventually("the groups are gone", || groups().is_empty()).await;
    }
}

/// Nothing runs, no look.
async fn an_idle_cell_sleeps() {
    let place = Place::new();
    let cell = place.cell().await;
    run(&cell, sh("true")).await;
    let init = processes_with(&format!("cell-init\0cell\0{}\0", std::process::id()));
    let tree = place.tree();
    let mine = init.iter().find(|pid| {
        let mounts = std::fs::read_to_string(format!("/proc/{pid}/mountinfo")).unwrap_or_default();
        mounts.contains(tree.to_str().unwrap())
    });
    let status = format!("/proc/{}/status", mine.unwrap());
    let switches = || {
        let text = std::fs::read_to_string(&status).unwrap();
        let line = text
            .lines()
            .find(|line| line.starts_with("voluntary_ctxt_switches"));
        line.unwrap().to_owned()
    };
    tokio::time::sleep(Duration::from_millis(50)).await;
    let before = switches();
    tokio::time::sleep(Duration::from_millis(1200)).await;
    assert_eq!(switches(), before);
    cell.close().await;
}

/// Many busy processes of one cell, and a command of another.
async fn busy_loops_leave_room() {
    for limits in both(|_| ()) {
        let pair = Pair::new(limits).await;
        let script = "for i in $(seq 64); do (while :; do :; done) & done; echo busy; wait";
        let mut busy = pair.greedy.spawn(sh(script)).await.unwrap();
        crate::support::wait_for(&mut busy, "busy").await;
        let start = Instant::now();
        let work = "i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done; echo done";
        let (output, _) = run(&pair.other, sh(work)).await;
        assert_eq!(output, "done\n");
        // A sixty-fourth of a core would take far longer. (Other tests run beside.)
        assert!(
            start.elapsed() < Duration::from_secs(5),
            "{:?}",
            start.elapsed()
        );
        pair.greedy.kill_all().await.unwrap();
        pair.still_works().await;
    }
}

async fn no_cell_is_realtime() {
    let usual = libc::sched_param { sched_priority: 1 };
    // SAFETY: the parameters live until the call returns.
    let set = unsafe { libc::sched_setscheduler(0, libc::SCHED_RR, &raw const usual) };
    if set != 0 {
        // Ordinary users may not, and then no harness of theirs is.
        return;
    }
    let place = Place::new();
    // The launching thread has begun before this case; a new process begins like this one.
    let child = crate::death::start("scheduling", &place.tree());
    let output = child.wait_with_output().unwrap();
    let usual = libc::sched_param { sched_priority: 0 };
    // SAFETY: as above.
    unsafe { libc::sched_setscheduler(0, libc::SCHED_OTHER, &raw const usual) };
    assert_eq!(String::from_utf8_lossy(&output.stdout), "0\n");
}

/// With a small memory, scratch is smaller too.
async fn scratch_does_not_take_all_memory() {
    for limits in memory(128 * MIB) {
        let pair = Pair::new(limits).await;
        let told = pair
            .try_out(sh("df -k /tmp | tail -1 | awk '{print $2}'"))
            .await;
        assert_eq!(told.output, "65536\n");
        pair.still_works().await;
    }
}

/// From here on nobody without a capability may look into the process.
const HIDE: &str = "
import ctypes, os, sys, time
assert ctypes.CDLL(None).prctl(4, 0, 0, 0, 0) == 0
";

fn hidden(script: &str) -> Command {
    python(&format!("{HIDE}{script}"))
}

async fn a_hidden_command_is_killed() {
    for limits in both(|limits| limits.command_time = Some(Duration::from_millis(600))) {
        let pair = Pair::new(limits).await;
        let script = "if os.fork() == 0: os.setsid()\ntime.sleep(60)";
        let told = pair.try_out(hidden(script)).await;
        told.met(Limit::Time, "killed the command, 2 processes");
        assert_eq!(told.end, ExitStatus::Signal(9));
        pair.still_works().await;
    }
}

async fn a_hidden_memory_hog() {
    for limits in memory(256 * MIB) {
        let pair = Pair::new(limits).await;
        let told = pair.try_out(hidden(HOG)).await;
        assert_eq!(told.end, ExitStatus::Signal(9), "{}", told.output);
        told.met(Limit::Memory, "killed python3 (pid ");
        pair.still_works().await;
    }
}

/// Its account of what it wrote can't be read, but the disk's free space can.
async fn a_hidden_disk_filler() {
    for limits in disk(64 * MIB) {
        let pair = Pair::new(limits).await;
        let innocent = pair.greedy.spawn(sh("sleep 60")).await.unwrap();
        let script = "
for i in range(60):
    with open(f'big{i}', 'wb') as f: f.write(b'x' * (8 << 20))
time.sleep(5)
";
        let told = pair.try_out(hidden(script)).await;
        assert_eq!(told.end, ExitStatus::Signal(9), "{}", told.output);
        told.met(Limit::Disk, "killed python3 (pid ");
        lives(&pair, innocent).await;
    }
}

/// Whoever did nothing is left alone.
async fn lives(pair: &Pair, mut innocent: Process) {
    run(&pair.greedy, sh("sleep 0.6")).await;
    let event = futures_util::FutureExt::now_or_never(innocent.events.next());
    assert!(event.is_none(), "{event:?}");
    pair.greedy.kill_all().await.unwrap();
}

/// A small file system, on which no account shows what is written.
struct Small(std::path::PathBuf);

impl Small {
    fn new(at: std::path::PathBuf) -> Self {
        let mount = std::process::Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=64m,mode=777", "tmpfs"])
            .arg(&at)
            .status();
        assert!(mount.unwrap().success());
        Self(at)
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let _ = std::process::Command::new("umount")
            .arg("-l")
            .arg(&self.0)
            .status();
    }
}

async fn a_hidden_filler_of_the_reserve() {
    if !crate::support::is_root() {
        // Ordinary users mount nothing.
        return;
    }
    for limits in both(|limits| limits.disk_reserve = 32 * MIB) {
        let places = [Place::new(), Place::new()];
        let _small = Small::new(places[0].tree());
        let mut spec = places[0].spec();
        spec.limits = limits;
        let greedy = launch(spec).await.unwrap();
        let other = places[1].cell().await;
        let pair = Pair {
            _places: places,
            greedy,
            other,
        };
        let innocent = pair.greedy.spawn(sh("sleep 60")).await.unwrap();
        let script = "
with open('big', 'wb') as f:
    for i in range(48):
        f.write(b'x' * (1 << 20))
        f.flush()
        time.sleep(0.04)
time.sleep(5)
";
        let told = pair.try_out(hidden(script)).await;
        assert_eq!(told.end, ExitStatus::Signal(9), "{}", told.output);
        told.met(Limit::Disk, "killed python3 (pid ");
        lives(&pair, innocent).await;
    }
}

/// A list of groups makes a process' description long; what comes after it counts too.
async fn a_process_of_many_groups() {
    if !crate::support::is_root() {
        // Only root's set-ups have several users and groups.
        return;
    }
    for limits in both(|limits| limits.command_time = Some(Duration::from_millis(600))) {
        let place = Place::new();
        let mut spec = place.spec();
        let layer = recto_cell::Layer::make(place.base.path().join("system")).unwrap();
        spec.root.setup = Some(layer);
        spec.limits = limits;
        let cell = launch(spec).await.unwrap();
        let script = "
import os, time
os.setgroups(range(1000, 3000))
if os.fork() == 0: os.setsid()
time.sleep(60)
";
        let told = told(cell.spawn(python(script)).await.unwrap()).await;
        told.met(Limit::Time, "killed the command, 2 processes");
        cell.close().await;
    }
}

async fn files_in_closed_directories() {
    for limits in both(|limits| limits.files = 20_000) {
        let pair = Pair::new(limits).await;
        let script = "
import os, time
for i in range(60):
    os.mkdir(f'd{i}')
    for j in range(1000):
        os.close(os.open(f'd{i}/f{j}', os.O_CREAT | os.O_WRONLY))
    os.chmod(f'd{i}', [0o300, 0o400, 0][i % 3])
time.sleep(5)
print('all made')
";
        let told = pair.try_out(python(script)).await;
        told.met(Limit::Files, "killed python3 (pid ");
        pair.still_works().await;
    }
}

/// Deeper than a path can tell.
async fn files_far_below() {
    for limits in both(|limits| limits.files = 20_000) {
        let pair = Pair::new(limits).await;
        let script = "
import os, time
for i in range(40):
    os.mkdir('n' * 200)
    os.chdir('n' * 200)
for j in range(60000):
    os.close(os.open(f'f{j}', os.O_CREAT | os.O_WRONLY))
time.sleep(5)
print('all made')
";
        let told = pair.try_out(python(script)).await;
        told.met(Limit::Files, "killed python3 (pid ");
        pair.still_works().await;
    }
}
