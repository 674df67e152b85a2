//! Commands: streams, terminals, caps, signals, ends.

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::future::join_all;
use recto_protocol::policy::{Access, Network};
use recto_protocol::ports::cell::{
    CellError, Command, ExitStatus, OutputCap, ProcessEvent, TtySize,
};

use crate::support::{
    Place, WithInput, eventually, finish, processes_with, python, run, sh, wait_for,
};

crate::cases! {
    echo_runs, exit_codes_and_signals, spawn_errors_say_why, environment_and_directory,
    standard_input, big_input_with_echo, terminal, output_cap_keeps_both_ends, huge_output,
    signals_reach_the_whole_group, background_processes_stay, background_does_not_delay_the_end,
    kill_all_leaves_nothing, two_hundred_at_once, direct_runs_and_cleans_up, close_ends_everything,
    dropping_the_cell_ends_everything, a_slow_reader_loses_nothing,
    a_reader_that_stops_holds_up_nobody, input_and_the_end_may_cross,
    signals_that_the_harness_ignores_end_commands,
}

async fn echo_runs() {
    let place = Place::new();
    let cell = place.cell().await;
    assert_eq!(
        run(&cell, sh("echo hello; echo err >&2")).await,
        ("hello\nerr\n".into(), ExitStatus::Code(0))
    );
    cell.close().await;
    assert!(matches!(
        cell.spawn(sh("true")).await.err(),
        Some(CellError::Gone)
    ));
}

async fn exit_codes_and_signals() {
    let place = Place::new();
    let cell = place.cell().await;
    assert_eq!(run(&cell, sh("exit 7")).await.1, ExitStatus::Code(7));
    assert_eq!(run(&cell, sh("kill -9 $$")).await.1, ExitStatus::Signal(9));
    assert_eq!(
        run(&cell, sh("kill -15 $$")).await.1,
        ExitStatus::Signal(15)
    );
    // Rust ignores SIGPIPE; programs must not inherit that.
    assert_eq!(
        run(&cell, sh("kill -13 $$")).await.1,
        ExitStatus::Signal(13)
    );
}

async fn spawn_errors_say_why() {
    let place = Place::new();
    let cell = place.cell().await;
    let why = async |command: Command| match cell.spawn(command).await.err() {
        Some(CellError::Spawn { reason, .. }) => reason,
        other => panic!("{other:?}"),
    };
    let command = |argv: &[&str], cwd: Option<&str>| Command {
        argv: argv.iter().map(|word| (*word).into()).collect(),
        cwd: cwd.map(Into::into),
        ..Command::default()
    };
    assert_eq!(
        why(command(&["no-such-program"], None)).await,
        "program not found"
    );
    assert_eq!(
        why(command(&["/etc/passwd"], None)).await,
        "program may not be run"
    );
    assert_eq!(
        why(command(&["true"], Some("/no/such"))).await,
        "working directory missing"
    );
    assert_eq!(
        why(command(&[], None)).await,
        "empty program, or a NUL byte in an argument"
    );
    assert_eq!(
        why(command(&["a\0b"], None)).await,
        "empty program, or a NUL byte in an argument"
    );
    assert_eq!(run(&cell, sh("echo still")).await.0, "still\n");
}

async fn environment_and_directory() {
    let place = Place::new();
    let cell = place.cell().await;
    let mut command = sh("pwd; echo $A $TERM $HOME; cd; pwd");
    command.env = vec![("A".into(), "b".into())];
    command.cwd = Some("/usr".into());
    assert_eq!(
        run(&cell, command).await.0,
        "/usr\nb dumb /home/recto\n/home/recto\n"
    );
    assert_eq!(
        run(&cell, sh("pwd")).await.0.trim(),
        place.tree().to_str().unwrap()
    );
}

async fn standard_input() {
    let place = Place::new();
    let cell = place.cell().await;
    assert_eq!(run(&cell, sh("cat; echo end")).await.0, "end\n");
    let process = cell
        .spawn(Command {
            stdin: true,
            ..sh("cat; echo end")
        })
        .await
        .unwrap();
    process
        .control
        .write(Bytes::from_static(b"one\n"))
        .await
        .unwrap();
    process
        .control
        .write(Bytes::from_static(b"two\n"))
        .await
        .unwrap();
    process.control.write(Bytes::new()).await.unwrap();
    assert_eq!(finish(process).await.0, "one\ntwo\nend\n");
    let process = cell
        .spawn(Command {
            stdin: true,
            ..sh("exec <&-; sleep 0.05")
        })
        .await
        .unwrap();
    let written = process.control.write(Bytes::from(vec![0; 1 << 20])).await;
    assert!(matches!(written, Err(CellError::Gone)), "{written:?}");
}

async fn big_input_with_echo() {
    let place = Place::new();
    let cell = place.cell().await;
    let mut process = cell
        .spawn(Command {
            stdin: true,
            ..sh("cat")
        })
        .await
        .unwrap();
    let control = process.control;
    let write = async {
        control
            .write(Bytes::from(vec![b'x'; 3 << 20]))
            .await
            .unwrap();
        control.write(Bytes::new()).await.unwrap();
    };
    let read = async {
        let mut total = 0;
        while let Some(event) = process.events.next().await {
            if let ProcessEvent::Output(bytes) = event {
                total += bytes.len();
            }
        }
        total
    };
    assert_eq!(tokio::join!(write, read).1, 3 << 20);
}

async fn terminal() {
    let place = Place::new();
    let cell = place.cell().await;
    let tty = Some(TtySize { rows: 33, cols: 99 });
    let mut process = cell
        .spawn(Command {
            tty,
            ..sh("stty size; tty; echo $TERM; read line; echo got $line; stty size; exec cat")
        })
        .await
        .unwrap();
    let text = wait_for(&mut process, "xterm-256color\r\n").await;
    assert!(text.starts_with("33 99\r\n/dev/pts/0\r\n"), "{text:?}");
    process
        .control
        .resize(TtySize { rows: 10, cols: 20 })
        .await
        .unwrap();
    process
        .control
        .write(Bytes::from_static(b"hi\n"))
        .await
        .unwrap();
    wait_for(&mut process, "got hi\r\n10 20\r\n").await;
    // The terminal's own interrupt character, to the foreground group.
    process
        .control
        .write(Bytes::from_static(b"\x03"))
        .await
        .unwrap();
    assert_eq!(finish(process).await.2, ExitStatus::Signal(2));
}

async fn output_cap_keeps_both_ends() {
    let place = Place::new();
    let cell = place.cell().await;
    let mut command = sh("printf 0123456789; sleep 0.05; printf abcdefghij");
    command.output = OutputCap { head: 4, tail: 6 };
    let (text, dropped, _) = finish(cell.spawn(command).await.unwrap()).await;
    assert_eq!((text.as_str(), dropped), ("0123efghij", 10));
    let mut command = sh("printf 0123456789");
    command.output = OutputCap { head: 4, tail: 6 };
    let (text, dropped, _) = finish(cell.spawn(command).await.unwrap()).await;
    assert_eq!((text.as_str(), dropped), ("0123456789", 0));
    let mut command = sh("printf 0123456789");
    command.output = OutputCap { head: 0, tail: 0 };
    let (text, dropped, _) = finish(cell.spawn(command).await.unwrap()).await;
    assert_eq!((text.as_str(), dropped), ("", 10));
}

async fn huge_output() {
    let place = Place::new();
    let cell = place.cell().await;
    let command = sh("head -c 100000000 /dev/zero; echo; echo the end");
    let (text, dropped, status) = finish(cell.spawn(command).await.unwrap()).await;
    assert_eq!(text.len() as u64 + dropped, 100_000_009);
    assert_eq!(text.len(), 5 << 20);
    assert!(text.ends_with("\nthe end\n") && status == ExitStatus::Code(0));
}

async fn signals_reach_the_whole_group() {
    let place = Place::new();
    let cell = place.cell().await;
    let mut process = cell
        .spawn(sh("sleep 300.11 & sleep 300.11 & echo up; wait"))
        .await
        .unwrap();
    wait_for(&mut process, "up\n").await;
    assert!(processes_with("300.11").len() >= 2);
    process.control.signal(15).await.unwrap();
    assert_eq!(finish(process).await.2, ExitStatus::Signal(15));
    eventually("the group is dead", || processes_with("300.11").is_empty()).await;
}

async fn background_processes_stay() {
    let place = Place::new();
    let cell = place.cell().await;
    assert_eq!(
        run(&cell, sh("sleep 300.12 >/dev/null 2>&1 & echo started"))
            .await
            .0,
        "started\n"
    );
    assert_eq!(
        run(&cell, sh("ps ax | grep -c '[s]leep 300.12'")).await.0,
        "1\n"
    );
    cell.kill_all().await.unwrap();
    assert!(processes_with("300.12").is_empty());
}

async fn background_does_not_delay_the_end() {
    let place = Place::new();
    let cell = place.cell().await;
    let start = std::time::Instant::now();
    let (text, status) = run(&cell, sh("(while echo x; do sleep 0.01; done) & echo main")).await;
    assert!(text.contains("main") && status == ExitStatus::Code(0));
    assert!(start.elapsed().as_secs() < 5);
    // It goes on, with nobody reading what it says.
    assert_eq!(
        run(&cell, sh("ps ax | grep -q '[e]cho x'")).await.1,
        ExitStatus::Code(0)
    );
    cell.close().await;
}

async fn kill_all_leaves_nothing() {
    let place = Place::new();
    let cell = place.cell().await;
    let fork = "import os,time\nfor _ in range(20):\n  if os.fork()==0:\n    os.setsid()\n    if os.fork(): os._exit(0)\n    time.sleep(300)\nprint('up',flush=True)\ntime.sleep(300)";
    let mut process = cell.spawn(python(fork)).await.unwrap();
    wait_for(&mut process, "up\n").await;
    cell.kill_all().await.unwrap();
    assert_eq!(finish(process).await.2, ExitStatus::Signal(9));
    assert_eq!(
        run(&cell, sh("set -- /proc/[0-9]*; echo $#"))
            .await
            .0
            .trim(),
        // The shell alone; PID 1 isn't seen.
        "1"
    );
}

async fn two_hundred_at_once() {
    let place = Place::new();
    let cell = place.cell().await;
    let commands = (0..200).map(|n| {
        let cell = cell.clone();
        async move {
            let (text, status) =
                run(&cell, sh(&format!("sleep 0.2; echo {n}; exit {}", n % 50))).await;
            (text.trim() == n.to_string()) && status == ExitStatus::Code(n % 50)
        }
    });
    assert!(join_all(commands).await.into_iter().all(|ok| ok));
}

async fn direct_runs_and_cleans_up() {
    let place = Place::new();
    let cell = place
        .cell_with(Access::DangerFullAccess, Network::Open)
        .await;
    let (text, _) = run(
        &cell,
        sh("echo $HOME; cat $HOME/.ssh/id; setsid sleep 300.13 >/dev/null 2>&1 & sleep 0.05"),
    )
    .await;
    assert_eq!(text, format!("{}\nBAIT", place.home().display()));
    assert_eq!(processes_with("300.13").len(), 1);
    cell.kill_all().await.unwrap();
    assert!(processes_with("300.13").is_empty());
    run(
        &cell,
        sh("setsid sleep 300.14 >/dev/null 2>&1 & sleep 0.05"),
    )
    .await;
    assert_eq!(processes_with("300.14").len(), 1);
    cell.close().await;
    eventually("the background is dead", || {
        processes_with("300.14").is_empty()
    })
    .await;
}

async fn close_ends_everything() {
    let place = Place::new();
    let cell = place.cell().await;
    let process = cell.spawn(sh("sleep 300.15")).await.unwrap();
    cell.close().await;
    assert!(processes_with("300.15").is_empty());
    assert_eq!(finish(process).await.2, ExitStatus::CellGone);
    cell.close().await;
}

async fn dropping_the_cell_ends_everything() {
    let place = Place::new();
    let cell = place.cell().await;
    let process = cell.spawn(sh("sleep 300.16")).await.unwrap();
    assert!(place.tree().join(".recto").exists());
    drop(cell);
    assert_eq!(finish(process).await.2, ExitStatus::CellGone);
    eventually("the sleeper is dead", || {
        processes_with("300.16").is_empty()
    })
    .await;
    eventually("the stubs are gone", || {
        !place.tree().join(".recto").exists()
    })
    .await;
}

async fn a_slow_reader_loses_nothing() {
    let place = Place::new();
    let cell = place.cell().await;
    let first = cell
        .spawn(sh("head -c 4000000 /dev/zero | tr '\\0' a; echo done"))
        .await
        .unwrap();
    assert_eq!(run(&cell, sh("echo meanwhile")).await.0, "meanwhile\n");
    let (text, dropped, _) = finish(first).await;
    assert_eq!((text.len(), dropped), (4_000_005, 0));
}

/// As `yes | less` does: far more output than is kept for a reader, and a cap without an end.
async fn a_reader_that_stops_holds_up_nobody() {
    const PRINTED: usize = 96 << 20;
    let place = Place::new();
    let cell = place.cell().await;
    let mut flood = python(&format!(
        "import os, select\nleft = {PRINTED}\nos.set_blocking(1, False)\n\
         while left:\n\
         \x20   if not select.select([], [1], [], 1)[1]:\n\
         \x20       open('stalled', 'w').close()\n\
         \x20       select.select([], [1], [])\n\
         \x20   left -= os.write(1, b'a' * min(left, 1 << 16))\n"
    ));
    flood.output.head = u64::MAX;
    let flood = cell.spawn(flood).await.unwrap();
    let stalled = place.tree().join("stalled");
    for _ in 0..2000 {
        // A cell that isn't listened to would answer neither.
        assert_eq!(run(&cell, sh("echo meanwhile")).await.0, "meanwhile\n");
        assert_eq!(cell.stats().await.unwrap().commands, 1);
        if stalled.exists() {
            break;
        }
    }
    assert!(stalled.exists(), "it was held back");
    let (text, dropped, status) = finish(flood).await;
    assert_eq!(
        (text.len(), dropped, status),
        (PRINTED, 0, ExitStatus::Code(0))
    );
    // One whose reader has gone is held back by nobody.
    let mut flood = sh("head -c 40000000 /dev/zero; touch done");
    flood.output.head = u64::MAX;
    drop(cell.spawn(flood).await.unwrap());
    eventually("the unread command ends", || {
        place.tree().join("done").exists()
    })
    .await;
}

/// A piece of input that is on its way when the command ends is refused, and the cell lives on.
async fn input_and_the_end_may_cross() {
    let place = Place::new();
    let cell = place.cell().await;
    for _ in 0..100 {
        let process = cell.spawn(sh("exec true").with_input()).await.unwrap();
        let mut events = process.events;
        let write = async {
            // Refused at some point, since nobody reads.
            while process
                .control
                .write(Bytes::from_static(b"x"))
                .await
                .is_ok()
            {}
        };
        let end = async { while events.next().await.is_some() {} };
        tokio::join!(write, end);
    }
    assert_eq!(run(&cell, sh("echo well")).await.0, "well\n");
}

/// A harness under `nohup`, or in the background of a script.
async fn signals_that_the_harness_ignores_end_commands() {
    let place = Place::new();
    // SAFETY: no handler is set or lost; the cases run one after the other on one thread.
    unsafe { libc::signal(libc::SIGINT, libc::SIG_IGN) };
    let cell = place.cell().await;
    let (_, status) = run(&cell, sh("kill -INT $$; echo goes on")).await;
    // SAFETY: as above.
    unsafe { libc::signal(libc::SIGINT, libc::SIG_DFL) };
    assert_eq!(status, ExitStatus::Signal(2));
}
