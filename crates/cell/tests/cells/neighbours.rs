//! What a cell does so that others hardly notice its greedy commands: a crowd that presses against
//! the limit is ended, and work that has had much of the processors gives way.

use recto_protocol::ports::cell::{ExitStatus, Limit};

use crate::limits::{Pair, both, told};
use crate::support::{python, run, sh, wait_for};

crate::cases! {
    a_crowd_that_never_rests_is_ended, a_bomb_spares_what_ran_before, a_build_that_meets_the_limit_lives,
    work_gives_way_and_what_begins_does_not, work_of_short_lives_counts, orphans_without_end_stop_nothing, threads_give_way_too,
}

/// Who may not fork ends, and makes room for the others; so it never comes to rest.
const BOMB: &str = "
import os
first = os.getpid()
while True:
    try: os.fork()
    except OSError:
        if os.getpid() != first: os._exit(0)
";

async fn a_crowd_that_never_rests_is_ended() {
    for limits in both(|limits| limits.processes = 300) {
        let pair = Pair::new(limits).await;
        let told = pair.try_out(python(BOMB)).await;
        told.met(Limit::Processes, "refused to start more");
        told.met(
            Limit::Processes,
            "the cell's limit of 300 processes and threads was reached",
        );
        told.met(Limit::Processes, "killed the command, ");
        assert_eq!(told.end, ExitStatus::Signal(9));
        pair.greedy.kill_all().await.unwrap();
        pair.still_works().await;
    }
}

async fn a_bomb_spares_what_ran_before() {
    for limits in both(|limits| limits.processes = 300) {
        let pair = Pair::new(limits).await;
        let server =
            "mkfifo fifo; setsid sh -c 'read line < fifo; echo $line > got' >/dev/null 2>&1 &";
        run(&pair.greedy, sh(server)).await;
        let bomb = "import os
while True:
    try:
        if os.fork() == 0: os.setsid()
    except OSError: pass
";
        let told = pair.try_out(python(bomb)).await;
        told.met(Limit::Processes, "killed the command, ");
        assert_eq!(told.end, ExitStatus::Signal(9));
        let ask = "echo alive > fifo; until [ -s got ]; do sleep 0.01; done; cat got";
        let (output, _) = run(&pair.greedy, sh(ask)).await;
        assert_eq!(output, "alive\n");
        pair.still_works().await;
    }
}

/// One that starts as many as it can once, and then goes on with fewer.
async fn a_build_that_meets_the_limit_lives() {
    for limits in both(|limits| limits.processes = 200) {
        let pair = Pair::new(limits).await;
        let script = "
import os, signal, time
def start():
    pid = os.fork()
    if pid == 0: signal.pause()
    return pid
def end(pid):
    os.kill(pid, 9)
    os.waitpid(pid, 0)
jobs = []
refused = 0
while not refused:
    try: jobs.append(start())
    except OSError: refused = 1
while len(jobs) > 100: end(jobs.pop())
until = time.monotonic() + 3
while time.monotonic() < until:
    jobs.append(start())
    end(jobs.pop(0))
for pid in jobs: end(pid)
print('built')
";
        let told = pair.try_out(python(script)).await;
        assert_eq!(
            (told.output.as_str(), told.end),
            ("built\n", ExitStatus::Code(0)),
            "{:?}",
            told.limits
        );
        pair.still_works().await;
    }
}

/// Works until it is lowered; then says so, and what a child of it is.
const WORK: &str = "
import os
while os.sched_getscheduler(0) != os.SCHED_IDLE: pass
if os.fork() == 0:
    print('child', os.sched_getscheduler(0) == os.SCHED_IDLE, flush=True)
    os._exit(0)
os.wait()
try: os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
except PermissionError: print('stays', flush=True)
input()
";

async fn work_gives_way_and_what_begins_does_not() {
    for limits in both(|_| ()) {
        let pair = Pair::new(limits).await;
        let mut work = python(WORK);
        work.stdin = true;
        let mut work = pair.greedy.spawn(work).await.unwrap();
        wait_for(&mut work, "child True\nstays\n").await;
        // A command beside it is a usual one, however long it sleeps.
        let usual = "import os, time; time.sleep(1.2); print(os.sched_getscheduler(0))";
        let told = pair.try_out(python(usual)).await;
        assert_eq!((told.output.as_str(), told.limits), ("0\n", vec![]));
        // Nobody is told: it isn't a limit.
        work.control.write("\n".into()).await.unwrap();
        let told = crate::limits::told(work).await;
        assert_eq!((told.end, told.limits), (ExitStatus::Code(0), vec![]));
        pair.still_works().await;
    }
}

/// Each of them lives for some milliseconds, and none is its reaper's child any more.
async fn work_of_short_lives_counts() {
    for limits in both(|_| ()) {
        let pair = Pair::new(limits).await;
        let script = "
import os, time
while os.sched_getscheduler(0) != os.SCHED_IDLE:
    if os.fork() == 0:
        if os.fork() == 0:
            until = time.process_time() + 0.02
            while time.process_time() < until: pass
        os._exit(0)
    os.wait()
    time.sleep(0.02)
print('lowered')
";
        let told = pair.try_out(python(script)).await;
        assert_eq!(told.output, "lowered\n");
        pair.still_works().await;
    }
}

/// More end than can be reaped, all of them PID 1's.
async fn orphans_without_end_stop_nothing() {
    for limits in both(|_| ()) {
        let pair = Pair::new(limits).await;
        let script = "
import os
for i in range(7): os.fork()
print('up', flush=True)
while True:
    try:
        if os.fork() == 0:
            if os.fork() == 0: pass
            else: os._exit(0)
            os._exit(0)
        os.wait()
    except OSError: pass
";
        let mut storm = pair.greedy.spawn(python(script)).await.unwrap();
        wait_for(&mut storm, "up").await;
        for _ in 0..5 {
            let (output, _) = run(&pair.greedy, sh("echo here")).await;
            assert_eq!(output, "here\n");
        }
        pair.greedy.kill_all().await.unwrap();
        pair.still_works().await;
    }
}

async fn threads_give_way_too() {
    for limits in both(|_| ()) {
        let pair = Pair::new(limits).await;
        let script = "
import os, threading
other = []
def rest():
    other.append(threading.get_native_id())
    os.read(0, 1)
threading.Thread(target=rest).start()
while os.sched_getscheduler(0) != os.SCHED_IDLE: pass
while os.sched_getscheduler(other[0]) != os.SCHED_IDLE: pass
print('all', flush=True)
";
        let mut command = python(script);
        command.stdin = true;
        let mut process = pair.greedy.spawn(command).await.unwrap();
        wait_for(&mut process, "all").await;
        process.control.write("\n".into()).await.unwrap();
        assert_eq!(told(process).await.end, ExitStatus::Code(0));
        pair.still_works().await;
    }
}
