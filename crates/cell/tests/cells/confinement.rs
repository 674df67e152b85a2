//! What must not be possible inside, each with bait outside that would show it.

use std::io::Read;
use std::net::TcpListener;
use std::os::fd::AsRawFd;

use recto_cell::launch;
use recto_protocol::policy::{Access, Network};
use recto_protocol::ports::cell::{CellError, ExitStatus};

use crate::support::{Place, is_root, processes_with, python, run, sh, wait_for};

crate::cases! {
    secrets_are_not_visible, the_harness_is_not_visible, nothing_outside_can_be_written,
    no_network_but_loopback, open_network_reaches_the_host, no_privilege_is_left,
    descriptors_are_not_inherited, read_only_means_read_only, further_directories_can_be_written,
    refused_system_calls, set_id_bits_are_refused, files_belong_to_the_owner_of_the_tree, scratch_is_limited, scratch_is_one,
    a_tree_that_holds_too_much_is_explained,
    process_limit_holds, hidden_inside_the_tree, locks_inside_hold_up_nobody_outside,
    a_cell_uses_up_nothing_of_another, the_init_is_out_of_reach,
}

async fn secrets_are_not_visible() {
    let place = Place::new();
    let state = place.base.path().join("state");
    std::fs::create_dir(&state).unwrap();
    std::fs::write(state.join("key"), "BAIT").unwrap();
    let mut spec = place.spec();
    spec.hidden = vec![state.clone()];
    let cell = launch(spec).await.unwrap();
    let script = format!(
        "cat {0}/.ssh/id {1}/key; ls {0} {1}; ls -A /root /home; ls /run /srv /mnt /media",
        place.home().display(),
        state.display()
    );
    let (text, _) = run(&cell, sh(&script)).await;
    assert!(!text.contains("BAIT") && !text.contains("id\n"), "{text}");
}

async fn the_harness_is_not_visible() {
    // SAFETY: the cases run one after the other on one thread.
    unsafe { std::env::set_var("BAIT_TOKEN", "BAIT_VALUE") };
    let place = Place::new();
    let cell = place.cell().await;
    let (text, _) = run(
        &cell,
        sh("env; cat /proc/*/environ; tr '\\0' ' ' </proc/1/cmdline; ps axo comm"),
    )
    .await;
    assert!(!text.contains("BAIT") && text.contains("PATH="), "{text}");
    let (text, _) = run(&cell, sh("ls -d /proc/[0-9]*")).await;
    assert!(
        text.lines().count() <= 3 && !text.contains(&format!("/{}\n", std::process::id())),
        "{text}"
    );
}

async fn nothing_outside_can_be_written() {
    let place = Place::new();
    let outside = place.base.path().join("outside");
    std::fs::write(&outside, "ORIGINAL").unwrap();
    let cell = place.cell().await;
    let script = format!(
        "echo x > {0}; echo x >> {0}; echo x > ../new; echo x > /etc/x; echo x > /usr/x; mkdir /x; \
         ln -s {0} link; echo x > link; echo x > /proc/sys/kernel/core_pattern; echo x > /dev/x",
        outside.display()
    );
    run(&cell, sh(&script)).await;
    assert_eq!(std::fs::read_to_string(&outside).unwrap(), "ORIGINAL");
    assert!(!place.base.path().join("new").exists());
    let (text, _) = run(
        &cell,
        sh("(echo x > /proc/sys/kernel/core_pattern) 2>&1; touch /x /dev/x /etc/x 2>&1"),
    )
    .await;
    assert_eq!(text.matches("Read-only").count(), 4, "{text}");
}

const CONNECT: &str = "import socket,sys\ntry:\n  socket.create_connection(('127.0.0.1',PORT),2); print('ESCAPED')\nexcept OSError as e: print('contained', e)";

async fn no_network_but_loopback() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let script = CONNECT.replace("PORT", &listener.local_addr().unwrap().port().to_string());
    let place = Place::new();
    let cell = place.cell().await;
    let (text, _) = run(&cell, python(&script)).await;
    assert!(text.starts_with("contained"), "{text}");
    let own = "import socket\nfor f,a in ((socket.AF_INET,'127.0.0.1'),(socket.AF_INET6,'::1')):\n  s=socket.socket(f); s.bind((a,0)); s.listen(1)\n  c=socket.create_connection(s.getsockname()[:2],2); d,_=s.accept(); c.sendall(b'hi'); print(d.recv(2))\na,b=socket.socketpair(); a.send(b'x'); print(b.recv(1))\nu=socket.socket(socket.AF_UNIX); u.bind('/tmp/s'); u.listen(1)";
    assert_eq!(
        run(&cell, python(own)).await,
        ("b'hi'\nb'hi'\nb'x'\n".into(), ExitStatus::Code(0))
    );
}

async fn open_network_reaches_the_host() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let script = CONNECT.replace("PORT", &listener.local_addr().unwrap().port().to_string());
    let place = Place::new();
    let cell = place.cell_with(Access::WorkspaceWrite, Network::Open).await;
    let (text, _) = run(&cell, python(&script)).await;
    assert!(
        text.starts_with("ESCAPED"),
        "this case proves that the other can fail: {text}"
    );
}

async fn no_privilege_is_left() {
    let place = Place::new();
    let cell = place.cell().await;
    let mut process = cell.spawn(sh("echo up; exec sleep 300.21")).await.unwrap();
    wait_for(&mut process, "up\n").await;
    let pid = loop {
        if let [pid] = processes_with("300.21")[..] {
            break pid;
        }
    };
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let has = |line: &str| assert!(status.contains(line), "{line} not in {status}");
    has("CapEff:\t0000000000000000");
    has("CapPrm:\t0000000000000000");
    has("CapBnd:\t0000000000000000");
    has("NoNewPrivs:\t1");
    has("Seccomp:\t2");
    let uids = status.lines().find_map(|line| line.strip_prefix("Uid:\t"));
    let mut uids = uids
        .unwrap()
        .split('\t')
        .map(|uid| uid.parse::<u32>().unwrap());
    let uid = uids.next().unwrap();
    let expected = if is_root() {
        recto_cell::CELL_USERS..recto_cell::CELL_USERS + (1 << 27)
    } else {
        1000..1001
    };
    assert!(
        expected.contains(&uid) && uids.all(|other| other == uid),
        "{status}"
    );
    cell.close().await;
}

async fn descriptors_are_not_inherited() {
    let place = Place::new();
    let bait = std::fs::File::create(place.home().join("fd")).unwrap();
    // SAFETY: dup makes a descriptor without close-on-exec: the leak that is tested.
    let leak = unsafe { libc::dup(bait.as_raw_fd()) };
    let cell = place.cell().await;
    let (text, _) = run(
        &cell,
        sh("for n in /proc/self/fd/*; do echo ${n##*/}; done; ls /proc/1/fd 2>&1"),
    )
    .await;
    // SAFETY: the descriptor is ours.
    unsafe { libc::close(leak) };
    let numbers: Vec<&str> = text.lines().filter(|line| line.len() < 4).collect();
    assert!(
        numbers
            .iter()
            .all(|n| ["0", "1", "2", "3", "10"].contains(n)),
        "{text}"
    );
    assert!(text.contains("No such file"), "{text}");
}

async fn read_only_means_read_only() {
    let place = Place::new();
    std::fs::write(place.tree().join("f"), "text").unwrap();
    let cell = place.cell_with(Access::ReadOnly, Network::None).await;
    let (text, _) = run(&cell, sh("cat f; touch f g 2>&1; touch /tmp/x && echo tmp")).await;
    assert!(
        text.starts_with("text") && text.ends_with("tmp\n"),
        "{text}"
    );
    assert_eq!(text.matches("Read-only").count(), 2, "{text}");
    cell.close().await;
    assert_eq!(std::fs::read_dir(place.tree()).unwrap().count(), 1);
}

async fn further_directories_can_be_written() {
    let place = Place::new();
    let more = place.base.path().canonicalize().unwrap().join("more");
    std::fs::create_dir(&more).unwrap();
    let mut spec = place.spec();
    spec.policy.writable = vec![more.to_str().unwrap().into()];
    let cell = launch(spec).await.unwrap();
    let (text, status) = run(&cell, sh(&format!("echo x > {}/f", more.display()))).await;
    assert_eq!((text.as_str(), status), ("", ExitStatus::Code(0)));
    assert!(more.join("f").exists());
}

async fn refused_system_calls() {
    let place = Place::new();
    let cell = place.cell().await;
    let script = r#"
import ctypes, errno, os
libc = ctypes.CDLL(None, use_errno=True)
def call(name, *a):
    ctypes.set_errno(0)
    r = libc.syscall(*a)
    print(name, 'ok' if r >= 0 else errno.errorcode[ctypes.get_errno()])
call('unshare', 272, 0x10000000)
call('clone-newuser', 56, 0x10000000 | 17, 0, 0, 0, 0)
call('clone3', 435, 0, 0)
call('mount', 165, 0, 0, 0, 0, 0)
call('setns', 308, 0, 0)
call('io_uring', 425, 1, 0)
call('bpf', 321, 0, 0, 0)
call('perf', 298, 0, 0, -1, -1, 0)
call('keyctl', 250, 0, 0)
call('x32', 0x40000000 | 39)
call('vsock', 41, 40, 1, 0)
call('packet', 41, 17, 3, 0)
call('netfilter', 41, 16, 3, 12)
call('tiocsti', 16, 0, 0x5412, b'x')
call('tiocsti-high-bits', 16, 0, 0x7700005412, b'x')
call('route', 41, 16, 3, 0)
call('getpid', 39)
pid = os.fork()
if pid == 0:
    libc.ptrace(0, 0, 0, 0); os.kill(os.getpid(), 19); os._exit(0)
os.waitpid(pid, 0); print('ptrace', libc.ptrace(24, pid, 0, 0)); os.kill(pid, 9)
"#;
    let (text, _) = run(&cell, python(script)).await;
    if !cfg!(target_arch = "x86_64") {
        return;
    }
    for line in text.lines() {
        let (name, result) = line.split_once(' ').unwrap();
        let want = match name {
            "clone3" | "x32" => "ENOSYS",
            "route" | "getpid" => "ok",
            // Not there, instead of forbidden: programs go on then.
            "netfilter" => "EPROTONOSUPPORT",
            "ptrace" => "-1",
            _ => "EPERM",
        };
        assert!(result == want || name == "ptrace", "{text}");
    }
    assert_eq!(text.lines().count(), 18, "{text}");
}

/// A program that runs as the tree's owner for everybody, who may be root, would outlive the cell.
async fn set_id_bits_are_refused() {
    use std::os::unix::fs::MetadataExt;
    let place = Place::new();
    let cell = place.cell().await;
    let script = r#"
import ctypes, errno, os
libc = ctypes.CDLL(None, use_errno=True)
def call(name, *a):
    ctypes.set_errno(0)
    r = libc.syscall(*a)
    print(name, 'ok' if r >= 0 else errno.errorcode[ctypes.get_errno()])
open('x', 'w').close()
fd = os.open('x', os.O_RDWR)
makes = os.O_CREAT | os.O_WRONLY
for mode in (0o4755, 0o2755, 0o6755):
    call('chmod', 90, b'x', mode)
    call('chmod-high-bits', 90, b'x', 0x770000 | mode)
    call('fchmod', 91, fd, mode)
    call('fchmodat', 268, -100, b'x', mode)
    call('fchmodat2', 452, -100, b'x', mode, 0)
    call('open', 2, b'y', makes, mode)
    call('openat', 257, -100, b'y', makes, mode)
    call('tmpfile', 257, -100, b'.', os.O_TMPFILE | os.O_WRONLY, mode)
    call('creat', 85, b'y', mode)
    call('mknod', 133, b'y', 0o100000 | mode, 0)
    call('mknodat', 259, -100, b'y', 0o100000 | mode, 0)
call('openat2', 437, -100, b'x', 0, 0)
call('io_setup', 206, 1, 0)
call('opens-what-is-there', 257, -100, b'x', os.O_RDONLY, 0o6755)
call('sticky', 90, b'.', 0o1777)
call('plain', 90, b'x', 0o755)
"#;
    let (text, _) = run(&cell, python(script)).await;
    cell.close().await;
    for entry in std::fs::read_dir(place.tree()).unwrap().flatten() {
        let mode = entry.metadata().unwrap().mode();
        assert_eq!(mode & 0o6000, 0, "{entry:?}: {text}");
    }
    if !cfg!(target_arch = "x86_64") {
        return;
    }
    for line in text.lines() {
        let (name, result) = line.split_once(' ').unwrap();
        let want = match name {
            "openat2" | "io_setup" => "ENOSYS",
            "opens-what-is-there" | "sticky" | "plain" => "ok",
            _ => "EPERM",
        };
        assert_eq!(result, want, "{text}");
    }
    assert_eq!(text.lines().count(), 38, "{text}");
}

async fn files_belong_to_the_owner_of_the_tree() {
    use std::os::unix::fs::{MetadataExt, chown};
    let place = Place::new();
    let own = std::fs::metadata(place.tree()).unwrap();
    let (uid, gid) = if is_root() {
        (1234, 2345)
    } else {
        (own.uid(), own.gid())
    };
    if is_root() {
        chown(place.tree(), Some(uid), Some(gid)).unwrap();
        std::fs::write(place.tree().join("private"), "mine").unwrap();
        chown(place.tree().join("private"), Some(uid), Some(gid)).unwrap();
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
        std::fs::set_permissions(place.tree().join("private"), mode).unwrap();
    } else {
        std::fs::write(place.tree().join("private"), "mine").unwrap();
    }
    let cell = place.cell().await;
    assert_eq!(
        run(
            &cell,
            sh("cat private; echo x > new; stat -c %u . | grep -c $(id -u)")
        )
        .await
        .0,
        "mine1\n"
    );
    let new = std::fs::metadata(place.tree().join("new")).unwrap();
    assert_eq!((new.uid(), new.gid()), (uid, gid));
    cell.close().await;
    assert!(!place.tree().join(".recto").exists());
}

async fn scratch_is_limited() {
    let mut spec = Place::new().spec();
    let place = Place::new();
    spec.work_tree = place.tree();
    spec.limits.scratch_bytes = 1 << 20;
    spec.limits.scratch_inodes = 50;
    let cell = launch(spec).await.unwrap();
    for directory in ["/tmp", "/run", "/dev/shm", "/home/recto"] {
        let script = format!(
            "cd {directory} && head -c 2000000 /dev/zero > big 2>&1; rm big; for i in $(seq 100); do : > $i; done 2>&1 | head -1"
        );
        let (text, _) = run(&cell, sh(&script)).await;
        assert!(
            text.matches("No space left").count() >= 1 && text.contains(": cannot create"),
            "{directory}: {text}"
        );
    }
}

/// The limits are of all scratch places together: they are memory.
async fn scratch_is_one() {
    let place = Place::new();
    let mut spec = place.spec();
    spec.limits.scratch_bytes = 1 << 20;
    let cell = launch(spec).await.unwrap();
    let script = "fill() { head -c 900000 /dev/zero > $1/big || rm $1/big; }; \
        fill /tmp; fill /dev/shm; fill /home/recto; rm /tmp/big; fill /home/recto && echo fits; \
        stat -c %a /tmp /run /dev/shm /home/recto; ls -a / | grep scratch; echo end";
    let (text, _) = run(&cell, sh(script)).await;
    assert_eq!(text.matches("No space left").count(), 2, "{text}");
    assert!(
        text.ends_with("fits\n1777\n755\n1777\n700\nend\n"),
        "{text}"
    );
}

async fn a_tree_that_holds_too_much_is_explained() {
    let place = Place::new();
    let explained = async |spec| match launch(spec).await {
        Err(CellError::Unavailable { reason, remedy }) => {
            assert!(remedy.contains("project's directory"), "{remedy}");
            reason
        }
        Err(error) => panic!("{error:?}"),
        Ok(_) => panic!("a cell"),
    };
    let mut spec = place.spec();
    spec.work_tree = "/".into();
    assert!(explained(spec).await.contains("holds the whole system"));
    let mut spec = place.spec();
    spec.hidden = vec![place.tree().join(".recto")];
    std::fs::create_dir(place.tree().join(".recto")).unwrap();
    assert!(explained(spec).await.contains("must not see"));
    let mut spec = place.spec();
    spec.hidden = vec![place.tree()];
    assert!(explained(spec).await.contains("lies in"));
}

async fn process_limit_holds() {
    let place = Place::new();
    let mut spec = place.spec();
    spec.limits.processes = 40;
    let cell = launch(spec).await.unwrap();
    let script = "import os,time\nn=0\ntry:\n  while n<100:\n    if os.fork()==0: time.sleep(300)\n    n+=1\nexcept OSError as e: print(n, e)";
    let (text, _) = run(&cell, python(script)).await;
    assert!(text.contains("Resource temporarily unavailable"), "{text}");
    cell.kill_all().await.unwrap();
    assert_eq!(run(&cell, sh("echo again")).await.0, "again\n");
}

async fn hidden_inside_the_tree() {
    let place = Place::new();
    for name in ["secret", "private"] {
        std::fs::create_dir(place.tree().join(name)).unwrap();
        std::fs::write(place.tree().join(name).join("f"), "BAIT").unwrap();
    }
    std::fs::write(place.tree().join("key"), "BAIT").unwrap();
    let mut spec = place.spec();
    spec.hidden = ["secret", "private", "key"]
        .map(|name| place.tree().join(name))
        .into();
    let cell = launch(spec).await.unwrap();
    let (text, _) = run(
        &cell,
        sh("cat secret/f private/f key; mv secret s; rm -rf key; echo x > key; ls secret"),
    )
    .await;
    assert!(!text.contains("BAIT"), "{text}");
    cell.close().await;
    let mut content = String::new();
    std::fs::File::open(place.tree().join("key"))
        .unwrap()
        .read_to_string(&mut content)
        .unwrap();
    assert_eq!(content, "BAIT");
}

async fn the_init_is_out_of_reach() {
    let place = Place::new();
    let cell = place.cell().await;
    let script = "kill -9 1; kill -STOP 1; cat /proc/1/mem; cat /proc/1/environ; ls /proc/1/root; ls -l /proc/1/exe; true > /proc/1/oom_score_adj; echo still";
    let (text, _) = run(&cell, sh(script)).await;
    assert!(text.ends_with("still\n"), "{text}");
    // It isn't even seen: four can't find it, and the shell can't make it.
    assert_eq!(text.matches("No such file").count(), 4, "{text}");
    assert!(
        text.contains("nonexistent") || text.contains("cannot create"),
        "{text}"
    );
    assert_eq!(run(&cell, sh("echo alive")).await.0, "alive\n");
}

/// A program of the user's must not wait for what a command locks in a tool directory.
async fn locks_inside_hold_up_nobody_outside() {
    use rustix::fs::{FlockOperation, Mode, OFlags};
    let place = Place::new();
    let tools = place.home().join(".tools");
    std::fs::create_dir_all(tools.join("deep")).unwrap();
    let file = tools.join("deep/cache");
    std::fs::write(&file, "content").unwrap();
    let mut spec = place.spec();
    spec.readable = vec![tools];
    let cell = launch(spec).await.unwrap();
    let script = format!(
        "import fcntl,os,signal,time\nsignal.signal(signal.SIGIO, signal.SIG_IGN)\n\
         f=[os.open('{}',os.O_RDONLY) for _ in range(3)]\n\
         fcntl.flock(f[0],fcntl.LOCK_EX|fcntl.LOCK_NB); fcntl.lockf(f[1],fcntl.LOCK_SH|fcntl.LOCK_NB)\n\
         try: fcntl.fcntl(f[2],fcntl.F_SETLEASE,fcntl.F_RDLCK); print('leased')\n\
         except OSError as e: print('lease',e)\n\
         print(os.read(f[0],9),'held',flush=True); time.sleep(300)",
        file.display()
    );
    let mut process = cell.spawn(python(&script)).await.unwrap();
    let text = wait_for(&mut process, "held\n").await;
    assert!(text.contains("content"), "{text}");
    // Only who owns a file gets a lease on it.
    assert!(is_root() || text.contains("leased"), "{text}");
    let flags = OFlags::RDWR | OFlags::NONBLOCK;
    let ours = rustix::fs::open(&file, flags, Mode::empty()).unwrap();
    rustix::fs::flock(&ours, FlockOperation::NonBlockingLockExclusive).unwrap();
    rustix::fs::fcntl_lock(&ours, FlockOperation::NonBlockingLockExclusive).unwrap();
    cell.close().await;
}

/// What the kernel counts by user: one cell takes all that it gets, and another one, and the user's
/// programs, still get theirs.
async fn a_cell_uses_up_nothing_of_another() {
    let place = Place::new();
    let cell = place.cell().await;
    let script = "import ctypes,os,resource,signal,time\nl=ctypes.CDLL(None)\n\
        n=resource.getrlimit(resource.RLIMIT_NOFILE)[1]; resource.setrlimit(resource.RLIMIT_NOFILE,(n,n))\n\
        t=0\nwhile t<8192 and l.inotify_init1(0)>=0: t+=1\n\
        signal.pthread_sigmask(signal.SIG_BLOCK,[40]); s=0\n\
        while s<100000 and l.sigqueue(os.getpid(),40,0)==0: s+=1\n\
        print(t,s,'taken',flush=True); time.sleep(300)";
    let mut greedy = cell.spawn(python(script)).await.unwrap();
    let text = wait_for(&mut greedy, "taken\n").await;
    let taken: Vec<u64> = text
        .split(' ')
        .map_while(|word| word.parse().ok())
        .collect();
    assert!(taken[0] > 0 && taken[1] > 0 && taken[1] <= 512, "{text}");
    let number = |path: &str| {
        std::fs::read_to_string(path)
            .unwrap()
            .trim()
            .parse()
            .unwrap()
    };
    let all: u64 = number("/proc/sys/fs/inotify/max_user_instances");
    if !is_root() {
        assert!(taken[0] <= all.div_ceil(4), "{text}");
        rustix::fs::inotify::init(rustix::fs::inotify::CreateFlags::CLOEXEC).unwrap();
    }
    let other = place.cell().await;
    let script = "import ctypes; print(ctypes.CDLL(None).inotify_init1(0) >= 0)";
    assert_eq!(run(&other, python(script)).await.0, "True\n");
    cell.close().await;
}
