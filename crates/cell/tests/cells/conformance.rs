//! What every backend must do alike: one set of cases, run against each that this machine has.
//!
//! A backend that is not there is told loudly, and is a failure where `CI` is set. What a backend
//! can't do is named in [`EXCEPTIONS`], with the reason, and nowhere else.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::future::join_all;
use recto_cell::{Backend, launch};
use recto_protocol::policy::Access;
use recto_protocol::ports::cell::{
    Cell, CellError, Command, ExitStatus, OutputCap, ProcessEvent, TtySize,
};

use crate::support::{
    Place, Spawned, WithInput, children, eventually, finish, is_root, run, sh, wait_for,
};

/// Cases that a backend does not pass, and why.
const EXCEPTIONS: &[(Backend, &str, &str)] = &[
    (
        Backend::Direct,
        "isolates",
        "it isolates nothing, which is what it is for",
    ),
    (
        Backend::Direct,
        "read_only_holds_for_files_too",
        "it has no policy",
    ),
    (Backend::Direct, "no_set_id_bits", "it isolates nothing"),
    (
        Backend::Direct,
        "what_the_kernel_refuses",
        "it isolates nothing",
    ),
    (
        Backend::Direct,
        "bounds_of_one_process",
        "it limits nothing",
    ),
    (
        Backend::Gvisor,
        "a_terminals_characters",
        "its terminals pass ^C and ^D on as characters; a signal can be sent instead",
    ),
    (
        Backend::Gvisor,
        "pipes_and_sockets",
        "its file server refuses to look at them: an error of the system instead of their kind",
    ),
    (
        Backend::Gvisor,
        "a_silent_cell_is_killed",
        "stopping runsc does not stop its sandbox, which goes on answering",
    ),
];

crate::every_backend! {
    "",
    streams_and_codes, the_place, spawn_errors, input_and_its_end, a_terminal, a_terminals_characters, caps_and_offsets,
    back_pressure, input_waits_for_its_reader, a_signal_for_the_group, kill_all, background_stays,
    many_at_once, isolates, figures, close, drop_ends_it, death_is_noticed,
    a_silent_cell_is_killed, read_only_holds_for_files_too, no_set_id_bits, what_the_kernel_refuses,
    bounds_of_one_process,
}

pub async fn unless_excepted<F: Future<Output = ()>>(
    backend: Backend,
    name: &str,
    case: impl FnOnce(Backend) -> F,
) {
    let mut exceptions = EXCEPTIONS.iter();
    if let Some((_, _, why)) = exceptions.find(|(of, case, _)| *of == backend && *case == name) {
        println!("EXCEPTION: {backend:?} {name}: {why}");
        return;
    }
    if is_there(backend) {
        case(backend).await;
    }
}

/// Whether this machine has it.
pub fn is_there(backend: Backend) -> bool {
    let paths = ["/usr/bin/runsc", "/usr/local/bin/runsc"];
    let there =
        backend != Backend::Gvisor || paths.iter().any(|p| std::path::Path::new(p).exists());
    assert!(
        there || std::env::var_os("CI").is_none(),
        "{backend:?} is not on this machine, and CI must test it"
    );
    if !there {
        println!("SKIPPED: {backend:?} is not on this machine");
    }
    there
}

pub async fn cell(place: &Place, backend: Backend) -> Arc<dyn Cell> {
    let mut spec = place.spec();
    spec.backend = backend;
    if backend == Backend::Direct {
        spec.policy.access = Access::DangerFullAccess;
    }
    launch(spec).await.unwrap()
}

async fn streams_and_codes(backend: Backend) {
    let place = Place::new();
    let cell = cell(&place, backend).await;
    assert_eq!(
        run(&cell, sh("echo hello; echo err >&2")).await,
        ("hello\nerr\n".into(), ExitStatus::Code(0))
    );
    for code in [0, 7, 255] {
        let (_, status) = run(&cell, sh(&format!("exit {code}"))).await;
        assert_eq!(status, ExitStatus::Code(code));
    }
    for signal in [2, 9, 13, 15] {
        let (_, status) = run(&cell, sh(&format!("kill -{signal} $$"))).await;
        assert_eq!(status, ExitStatus::Signal(signal));
    }
}

async fn the_place(backend: Backend) {
    let place = Place::new();
    let cell = cell(&place, backend).await;
    let tree = place.tree();
    let mut command = sh("pwd; echo $A; cd /usr; pwd");
    command.env = vec![("A".into(), "b c".into())];
    let expected = format!("{}\nb c\n/usr\n", tree.display());
    assert_eq!(run(&cell, command).await.0, expected);
    std::fs::write(tree.join("from-outside"), "1").unwrap();
    let script = "cat from-outside; printf 2 > from-inside; mkdir d; printf 3 > d/f";
    assert_eq!(
        run(&cell, sh(script)).await,
        ("1".into(), ExitStatus::Code(0))
    );
    assert_eq!(std::fs::read(tree.join("from-inside")).unwrap(), b"2");
    // A change from outside is seen at once, also of what was read before.
    std::fs::write(tree.join("from-outside"), "other").unwrap();
    assert_eq!(run(&cell, sh("cat from-outside d/f")).await.0, "other3");
    let owner = |name: &str| {
        use std::os::unix::fs::MetadataExt;
        std::fs::metadata(tree.join(name)).unwrap().uid()
    };
    assert_eq!(owner("from-inside"), owner("from-outside"));
    assert_eq!(owner("d/f"), owner("from-outside"));
}

async fn spawn_errors(backend: Backend) {
    let place = Place::new();
    let cell = cell(&place, backend).await;
    let why = async |argv: &[&str], cwd: Option<&str>| {
        let command = Command {
            argv: argv.iter().map(|word| (*word).into()).collect(),
            cwd: cwd.map(Into::into),
            ..Command::default()
        };
        match cell.spawn(command).await.err() {
            Some(CellError::Spawn { reason, .. }) => reason,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(why(&["no-such-program"], None).await, "program not found");
    assert_eq!(why(&["/etc/passwd"], None).await, "program may not be run");
    assert_eq!(
        why(&["true"], Some("/no/such")).await,
        "working directory missing"
    );
    let empty = "empty program, or a NUL byte in an argument";
    assert_eq!(why(&[], None).await, empty);
    assert_eq!(why(&["a\0b"], None).await, empty);
    let long = "x".repeat(5 << 20);
    let too_long = "arguments and variables are too long";
    assert_eq!(why(&["true", &long], None).await, too_long);
    assert_eq!(run(&cell, sh("echo still")).await.0, "still\n");
}

async fn input_and_its_end(backend: Backend) {
    let place = Place::new();
    let cell = cell(&place, backend).await;
    assert_eq!(run(&cell, sh("cat; echo end")).await.0, "end\n");
    let process = cell.spawn(sh("cat; echo end").with_input()).await.unwrap();
    for text in ["one\n", "two\n", ""] {
        process.control.write(Bytes::from(text)).await.unwrap();
    }
    assert_eq!(finish(process).await.0, "one\ntwo\nend\n");
    let process = cell.spawn(sh("exec <&-").with_input()).await.unwrap();
    let written = process.control.write(Bytes::from(vec![0; 1 << 20])).await;
    assert!(matches!(written, Err(CellError::Gone)), "{written:?}");
}

async fn a_terminal(backend: Backend) {
    let place = Place::new();
    let cell = cell(&place, backend).await;
    let script = "stty size; echo $TERM; read line; echo got $line; stty size; read last";
    let command = Command {
        tty: Some(TtySize { rows: 33, cols: 99 }),
        ..sh(script)
    };
    let mut process = cell.spawn(command).await.unwrap();
    let text = wait_for(&mut process, "xterm-256color\r\n").await;
    assert!(text.starts_with("33 99\r\n"), "{text:?}");
    let size = TtySize { rows: 10, cols: 20 };
    process.control.resize(size).await.unwrap();
    process.control.write(Bytes::from("hi\n")).await.unwrap();
    wait_for(&mut process, "got hi\r\n10 20\r\n").await;
    process.control.write(Bytes::from("end\n")).await.unwrap();
    assert_eq!(finish(process).await.2, ExitStatus::Code(0));
}

/// The characters that a terminal acts on by itself.
async fn a_terminals_characters(backend: Backend) {
    let place = Place::new();
    let cell = cell(&place, backend).await;
    for (character, end) in [
        ("\x03", ExitStatus::Signal(2)),
        ("\x04", ExitStatus::Code(0)),
    ] {
        let command = Command {
            tty: Some(TtySize { rows: 24, cols: 80 }),
            ..sh("echo up; exec cat")
        };
        let mut process = cell.spawn(command).await.unwrap();
        wait_for(&mut process, "up\r\n").await;
        process.control.write(Bytes::from(character)).await.unwrap();
        assert_eq!(finish(process).await.2, end);
    }
}

async fn caps_and_offsets(backend: Backend) {
    let place = Place::new();
    let cell = cell(&place, backend).await;
    for (head, tail, text, dropped) in [
        (4, 6, "0123efghij", 10),
        (4, 16, "0123456789abcdefghij", 0),
        (0, 3, "hij", 17),
        (3, 0, "012", 17),
        (0, 0, "", 20),
    ] {
        let mut command = sh("printf 0123456789; printf abcdefghij");
        command.output = OutputCap { head, tail };
        let said = finish(cell.spawn(command).await.unwrap()).await;
        assert_eq!((said.0.as_str(), said.1), (text, dropped));
    }
    let command = sh("head -c 20000000 /dev/zero; echo; echo the end");
    let (text, dropped, status) = finish(cell.spawn(command).await.unwrap()).await;
    assert_eq!(text.len() as u64 + dropped, 20_000_009);
    assert_eq!(text.len(), 5 << 20);
    assert!(text.ends_with("\nthe end\n") && status == ExitStatus::Code(0));
}

/// A command that nobody reads from waits, and nobody else does.
async fn back_pressure(backend: Backend) {
    let place = Place::new();
    let cell = cell(&place, backend).await;
    let mut command = sh("head -c 12000000 /dev/zero; touch printed");
    command.output = OutputCap {
        head: u64::MAX,
        tail: 0,
    };
    let first = cell.spawn(command).await.unwrap();
    assert_eq!(run(&cell, sh("echo meanwhile")).await.0, "meanwhile\n");
    let (text, dropped, status) = finish(first).await;
    assert_eq!((text.len(), dropped), (12_000_000, 0));
    assert_eq!(status, ExitStatus::Code(0));
}

/// However much is written, and however often a writer gives up, one piece is under way.
async fn input_waits_for_its_reader(backend: Backend) {
    let place = Place::new();
    let cell = cell(&place, backend).await;
    let script = "echo up; until [ -e go ]; do sleep 0.01; done; cat | wc -c";
    let mut process = cell.spawn(sh(script).with_input()).await.unwrap();
    wait_for(&mut process, "up\n").await;
    let block = Bytes::from(vec![b'x'; 64 << 10]);
    for _ in 0..200 {
        let write = process.control.write(block.clone());
        let _ = tokio::time::timeout(Duration::from_micros(50), write).await;
    }
    // The cell is alive, which it would not be if it had been sent more than it takes.
    assert_eq!(run(&cell, sh("echo alive")).await.0, "alive\n");
    std::fs::write(place.tree().join("go"), "").unwrap();
    process.control.write(Bytes::new()).await.unwrap();
    let (text, _, status) = finish(process).await;
    assert_eq!(status, ExitStatus::Code(0));
    // The pipe's content and the piece that was under way: nothing of those that gave up.
    let read: usize = text.trim().parse().unwrap();
    assert!((64 << 10..=256 << 10).contains(&read), "{read}");
}

async fn a_signal_for_the_group(backend: Backend) {
    let place = Place::new();
    let cell = cell(&place, backend).await;
    let mut process = cell
        .spawn(sh("sleep 300 & sleep 300 & echo up; wait"))
        .await
        .unwrap();
    wait_for(&mut process, "up\n").await;
    assert!(cell.stats().await.unwrap().processes >= 3);
    process.control.signal(15).await.unwrap();
    assert_eq!(finish(process).await.2, ExitStatus::Signal(15));
    until_processes(&cell, 0).await;
}

async fn until_processes(cell: &Arc<dyn Cell>, count: u32) {
    for _ in 0..500 {
        if cell.stats().await.unwrap().processes == count {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("never {count} processes: {:?}", cell.stats().await);
}

async fn kill_all(backend: Backend) {
    let place = Place::new();
    let cell = cell(&place, backend).await;
    let script = "for i in 1 2 3 4 5; do setsid sleep 300 >/dev/null 2>&1 & done; echo up; wait";
    let mut process = cell.spawn(sh(script)).await.unwrap();
    wait_for(&mut process, "up\n").await;
    cell.kill_all().await.unwrap();
    assert_eq!(finish(process).await.2, ExitStatus::Signal(9));
    assert_eq!(cell.stats().await.unwrap().processes, 0);
    assert_eq!(run(&cell, sh("echo after")).await.0, "after\n");
}

async fn background_stays(backend: Backend) {
    let place = Place::new();
    let cell = cell(&place, backend).await;
    let script = "(sleep 300; echo late) & echo started";
    let started = std::time::Instant::now();
    assert_eq!(
        run(&cell, sh(script)).await,
        ("started\n".into(), ExitStatus::Code(0))
    );
    assert!(started.elapsed() < Duration::from_secs(30));
    let stats = cell.stats().await.unwrap();
    assert_eq!((stats.commands, stats.processes), (0, 2));
}

async fn many_at_once(backend: Backend) {
    let place = Place::new();
    let cell = cell(&place, backend).await;
    let commands = (0..40).map(|n| {
        let cell = cell.clone();
        async move {
            let (text, status) =
                run(&cell, sh(&format!("cat /dev/null; echo {n}; exit {n}"))).await;
            (text.trim() == n.to_string()) && status == ExitStatus::Code(n)
        }
    });
    assert!(join_all(commands).await.into_iter().all(|ok| ok));
}

/// The programs would be the tree's owner's, who may be root.
async fn no_set_id_bits(backend: Backend) {
    use std::os::unix::fs::MetadataExt;
    let place = Place::new();
    let cell = cell(&place, backend).await;
    let script =
        "for mode in 4755 2755 6755; do cp /bin/sh $mode; chmod $mode $mode; done; chmod 700 4755";
    let (text, _) = run(&cell, sh(script)).await;
    cell.close().await;
    for mode in ["4755", "2755", "6755"] {
        let made = std::fs::metadata(place.tree().join(mode)).unwrap();
        assert_eq!(made.mode() & 0o6000, 0, "{mode}: {text}");
    }
    let made = std::fs::metadata(place.tree().join("4755")).unwrap();
    assert_eq!(made.mode() & 0o777, 0o700, "other bits are free: {text}");
}

async fn what_the_kernel_refuses(backend: Backend) {
    let place = Place::new();
    let cell = cell(&place, backend).await;
    let script = r#"
import ctypes, fcntl, os, signal, socket, stat

def arrives(number):
    here, there = socket.socketpair()
    fcntl.fcntl(here, fcntl.F_SETOWN, 1)
    if number:
        fcntl.fcntl(here, 10, number)
    fcntl.fcntl(here, fcntl.F_SETFL, os.O_ASYNC)
    there.send(b"x")

def unshare():
    if ctypes.CDLL(None, use_errno=True).unshare(0x10000000):
        raise OSError(ctypes.get_errno(), "unshare")
    print("entered a user namespace")

def node(kind, number):
    os.mknod("/tmp/node", kind | 0o600, number)
    print("made a device")

tries = [lambda number=number: os.kill(1, number) for number in range(1, 65)]
tries += [lambda: arrives(0), lambda: arrives(signal.SIGKILL), unshare]
tries += [lambda: node(stat.S_IFCHR, os.makedev(1, 1)), lambda: node(stat.S_IFBLK, os.makedev(8, 0))]
tries += [lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 15) and print("heard devices")]
tries += [lambda at=at: os.open(at, os.O_RDONLY) and print("opened", at) for at in ("/dev/fuse", "/dev/net/tun")]
for each in tries:
    try:
        each()
    except OSError:
        pass
"#;
    let (text, status) = run(&cell, crate::support::python(script)).await;
    assert_eq!((&*text, status), ("", ExitStatus::Code(0)));
    // PID 1 has outlived every signal.
    assert_eq!(run(&cell, sh("echo after")).await.0, "after\n");
}

async fn bounds_of_one_process(backend: Backend) {
    let place = Place::new();
    let mut spec = place.spec();
    spec.backend = backend;
    spec.limits.disk_bytes = 8 << 20;
    spec.limits.open_files = 100;
    let cell = launch(spec).await.unwrap();
    let script = "import os, resource
print(resource.getrlimit(resource.RLIMIT_NOFILE)[1])
file = os.open('sparse', os.O_CREAT | os.O_WRONLY)
try:
    os.pwrite(file, b'x', 9 << 20)
except OSError as error:
    print(error.strerror)
";
    let (text, _) = run(&cell, crate::support::python(script)).await;
    assert_eq!(text, "100\nFile too large\n");
}

async fn isolates(backend: Backend) {
    let place = Place::new();
    place.repository();
    let cell = cell(&place, backend).await;
    let fails = async |script: &str| {
        let (text, status) = run(&cell, sh(script)).await;
        assert_ne!(status, ExitStatus::Code(0), "{script}: {text}");
    };
    fails(&format!("cat {}/.ssh/id", place.home().display())).await;
    fails("cat /etc/shadow").await;
    fails("ls -d /root/.ssh || cat /root/.bashrc").await;
    fails("touch .recto/config.toml").await;
    fails("touch /usr/x").await;
    fails("touch /x").await;
    let capabilities = "grep -E 'Cap(Prm|Eff|Bnd)' /proc/self/status | grep -v 0000000000000000";
    fails(capabilities).await;
    let interfaces = "import socket; print([name for _, name in socket.if_nameindex()])";
    let (text, _) = run(&cell, crate::support::python(interfaces)).await;
    assert_eq!(text, "['lo']\n");
    let (text, _) = run(&cell, sh("id -u; env | grep -c RUST_ ; echo /proc/[0-9]*")).await;
    let mut lines = text.lines();
    let uid = lines.next().unwrap();
    // gVisor has one user for an ordinary user: called root inside, the user's own on disk.
    let only_user = backend == Backend::Gvisor && !is_root();
    assert_eq!(uid == "0", only_user, "{text}");
    assert_eq!(lines.next(), Some("0"));
    assert!(lines.next().unwrap().split(' ').count() < 5, "{text}");
    let config = std::fs::read(place.tree().join(".git/config")).unwrap();
    let head = std::fs::read(place.tree().join(".git/refs/heads/main")).unwrap();
    let script = "echo y > f.txt && git commit -qam inside && git log -1 --format=%s";
    let committed = run(&cell, sh(script)).await;
    assert_eq!(committed, ("inside\n".into(), ExitStatus::Code(0)));
    run(
        &cell,
        sh("echo x >> .git/config; touch .git/hooks/pre-commit .git/commondir"),
    )
    .await;
    cell.close().await;
    // What commands did to the repository, they did to a view of it.
    let now = |name: &str| std::fs::read(place.tree().join(".git").join(name)).unwrap();
    assert!(now("config") == config && now("refs/heads/main") == head);
    assert!(!place.tree().join(".git/hooks/pre-commit").exists());
    assert!(!place.tree().join(".git/commondir").exists());
}

async fn figures(backend: Backend) {
    let place = Place::new();
    let cell = cell(&place, backend).await;
    let before = cell.stats().await.unwrap();
    assert_eq!((before.commands, before.processes), (0, 0));
    assert!(before.own_memory > 0 && before.memory == before.own_memory);
    let busy = "i=0; while [ $i -lt 60000 ]; do i=$((i+1)); done; echo up; exec sleep 300";
    let mut process = cell.spawn(sh(busy)).await.unwrap();
    wait_for(&mut process, "up\n").await;
    let during = cell.stats().await.unwrap();
    assert_eq!((during.commands, during.processes), (1, 1));
    assert!(during.memory > during.own_memory);
    assert!(during.cpu_ms > before.cpu_ms);
    assert!(during.uptime_ms >= before.uptime_ms);
    cell.kill_all().await.unwrap();
    finish(process).await;
    let after = cell.stats().await.unwrap();
    // What has ended still counts.
    assert!(after.cpu_ms >= during.cpu_ms, "{after:?} {during:?}");
    assert_eq!((after.commands, after.processes), (0, 0));
}

async fn close(backend: Backend) {
    let place = Place::new();
    let cell = cell(&place, backend).await;
    let process = cell.spawn(sh("exec sleep 300")).await.unwrap();
    let spawned = Spawned::now();
    assert!(spawned.is_alive());
    cell.close().await;
    assert!(!spawned.is_alive());
    assert_eq!(finish(process).await.2, ExitStatus::CellGone);
    assert!(matches!(
        cell.spawn(sh("true")).await.err(),
        Some(CellError::Gone)
    ));
    assert!(matches!(cell.stats().await, Err(CellError::Gone)));
    assert!(matches!(cell.kill_all().await, Err(CellError::Gone)));
    cell.close().await;
}

async fn drop_ends_it(backend: Backend) {
    let place = Place::new();
    let cell = cell(&place, backend).await;
    let process = cell.spawn(sh("exec sleep 300")).await.unwrap();
    let spawned = Spawned::now();
    drop(cell);
    assert_eq!(finish(process).await.2, ExitStatus::CellGone);
    eventually("it is dead", || !spawned.is_alive()).await;
    let left = || std::fs::read_dir(place.tree()).unwrap().count();
    eventually("nothing is left in the tree", || left() == 0).await;
}

async fn death_is_noticed(backend: Backend) {
    let place = Place::new();
    let cell = cell(&place, backend).await;
    let mut process = cell.spawn(sh("echo up; exec sleep 300")).await.unwrap();
    wait_for(&mut process, "up\n").await;
    let spawned = Spawned::now();
    for pid in children() {
        // SAFETY: kill takes numbers only; the process is our unreaped child.
        unsafe { libc::kill(pid, libc::SIGKILL) };
    }
    assert_eq!(finish(process).await.2, ExitStatus::CellGone);
    assert!(matches!(cell.stats().await, Err(CellError::Gone)));
    assert!(matches!(
        cell.spawn(sh("true")).await.err(),
        Some(CellError::Gone)
    ));
    cell.close().await;
    eventually("it is dead", || !spawned.is_alive()).await;
}

/// A PID 1 that answers nothing is killed from outside.
async fn a_silent_cell_is_killed(backend: Backend) {
    let place = Place::new();
    let cell = cell(&place, backend).await;
    let spawned = Spawned::now();
    for pid in children() {
        // SAFETY: as above.
        unsafe { libc::kill(pid, libc::SIGSTOP) };
    }
    assert!(matches!(cell.kill_all().await, Err(CellError::Gone)));
    assert!(!spawned.is_alive());
}

async fn read_only_holds_for_files_too(backend: Backend) {
    use recto_protocol::ports::cell::files::{FileError, FileWrite};
    let place = Place::new();
    std::fs::write(place.tree().join("f"), "text").unwrap();
    let mut spec = place.spec();
    spec.backend = backend;
    spec.policy.access = Access::ReadOnly;
    let cell = launch(spec).await.unwrap();
    let files = cell.files();
    let path = std::path::Path::new("f");
    assert_eq!(files.read(path, 0, 9).await.unwrap().bytes, "text");
    for how in [FileWrite::At(0), FileWrite::Replace { mode: 0o644 }] {
        let written = files.write(path, Bytes::from("x"), how).await;
        let Err(FileError::System(error)) = written else {
            panic!("{written:?}");
        };
        let kind = error.kind();
        let refused = [
            std::io::ErrorKind::ReadOnlyFilesystem,
            std::io::ErrorKind::PermissionDenied,
        ];
        assert!(refused.contains(&kind), "{kind:?}");
    }
    assert!(files.remove(path).await.is_err());
    assert_eq!(std::fs::read(place.tree().join("f")).unwrap(), b"text");
    let mut process = cell.spawn(sh("cat f")).await.unwrap();
    assert!(matches!(
        process.events.next().await,
        Some(ProcessEvent::Output(_))
    ));
}
