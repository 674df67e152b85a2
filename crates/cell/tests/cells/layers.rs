//! Trees under layers, and what of the host's programs a tree holds.

use std::io::Read;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::UnixListener;

use recto_cell::{Layer, launch};
use recto_protocol::policy::{Access, Network};
use recto_protocol::ports::cell::ExitStatus;

use crate::support::{Place, is_root, processes_with, python, run, sh, wait_for};

crate::cases! {
    a_layered_tree_stays_as_it_is, hostile_layers_are_discarded, sockets_and_fifos_are_masked,
    clocks_start_with_the_cell, what_a_tree_says_to_overlays_leads_nowhere, landlock_stands_behind_the_mounts, the_cells_user_can_be_chosen,
}

async fn a_layered_tree_stays_as_it_is() {
    let place = Place::new();
    place.repository();
    let tree = place.tree();
    std::fs::create_dir_all(tree.join("a/b")).unwrap();
    std::fs::write(tree.join("a/b/kept"), "kept").unwrap();
    let layer = Layer::make(place.base.path().join("layer")).unwrap();
    let mut spec = place.spec();
    spec.work_layer = Some(layer.clone());
    let cell = launch(spec.clone()).await.unwrap();
    let script = "echo new > new; rm f.txt; echo x > a/b/kept; mkdir .recto; git checkout -qf -b topic && git commit -qm x --allow-empty; rm -rf a; git init -q nested; echo done";
    let (text, status) = run(&cell, sh(script)).await;
    assert_eq!((text.as_str(), status), ("done\n", ExitStatus::Code(0)));
    cell.close().await;
    assert_eq!(
        std::fs::read_to_string(tree.join("a/b/kept")).unwrap(),
        "kept"
    );
    let names: Vec<_> = std::fs::read_dir(&tree)
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert_eq!(names.len(), 3, "{names:?}");
    // The next one goes on where it ended.
    let cell = launch(spec.clone()).await.unwrap();
    let (text, _) = run(&cell, sh("cat new; git branch --show-current; ls -A")).await;
    assert_eq!(text, "new\ntopic\n.git\n.recto\nf.txt\nnested\nnew\n");
    cell.close().await;
    let owner = |path: &std::path::Path| std::fs::symlink_metadata(path).unwrap().uid();
    let part = std::fs::read_dir(layer.directory())
        .unwrap()
        .next()
        .unwrap()
        .unwrap()
        .path();
    let expected = if is_root() {
        recto_cell::CELL_USER
    } else {
        owner(&tree)
    };
    assert_eq!(owner(&part.join("upper/new")), expected);
    // Kept, it is a base; it can still be measured and removed.
    layer.keep().unwrap();
    assert!(!part.join("work").exists() && part.join("upper/new").exists());
    layer.discard().unwrap();
}

async fn hostile_layers_are_discarded() {
    let place = Place::new();
    place.repository();
    let layer = Layer::make(place.base.path().join("layer")).unwrap();
    let mut spec = place.spec();
    spec.work_layer = Some(layer.clone());
    let cell = launch(spec).await.unwrap();
    let script = "import os\nos.symlink('/', 'root'); os.mkfifo('fifo'); os.makedirs('a/b/c')\nopen('a/b/c/f','w')\nos.remove('f.txt')\n\
        for d in ('a/b/c','a/b','a'): os.chmod(d,0)\n\
        for i in range(1100):\n  os.mkdir('deep',0o700); os.chdir('deep')\nprint('made')";
    let (text, _) = run(&cell, python(script)).await;
    assert_eq!(text, "made\n");
    cell.close().await;
    let size = layer.size(1_000_000).unwrap();
    assert!(size.files > 50 && !size.complete, "{size:?}");
    let directory = layer.directory().to_owned();
    layer.discard().unwrap();
    assert!(!directory.exists() && place.home().join(".ssh/id").exists());
}

/// Seen from the host: nothing arrives in its socket, nothing in its FIFO, in either mode and in
/// tool directories.
async fn sockets_and_fifos_are_masked() {
    let place = Place::new();
    let tools = place.base.path().canonicalize().unwrap().join("tools");
    std::fs::create_dir_all(place.tree().join("deep/er")).unwrap();
    std::fs::create_dir_all(tools.join("bin")).unwrap();
    let tools_socket = tools.join("bin/daemon.sock");
    let sockets = [place.tree().join("deep/er/daemon.sock"), tools_socket];
    let listeners = sockets.clone().map(|path| {
        let listener = UnixListener::bind(&path).unwrap();
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o777)).unwrap();
        listener.set_nonblocking(true).unwrap();
        listener
    });
    let fifos = [place.tree().join("deep/fifo"), tools.join("fifo")];
    let mut readers = fifos.clone().map(|path| {
        let mode = rustix::fs::Mode::from(0o666);
        rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, mode, 0).unwrap();
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o666)).unwrap();
        let flags = rustix::fs::OFlags::RDWR | rustix::fs::OFlags::NONBLOCK;
        let fd = rustix::fs::open(&path, flags, rustix::fs::Mode::empty()).unwrap();
        std::fs::File::from(fd)
    });
    let script = format!(
        "import socket,os\n\
         for p in {sockets:?}:\n  try:\n    s=socket.socket(socket.AF_UNIX); s.settimeout(2); s.connect(p); print('connected')\n  except OSError as e: print('no', e)\n\
         for p in {fifos:?}:\n  try:\n    f=os.open(p,os.O_WRONLY|os.O_NONBLOCK); os.write(f,b'x'); print('wrote')\n  except OSError as e: print('no', e)\n\
         s=socket.socket(socket.AF_UNIX); s.bind('/tmp/own'); s.listen(); c=socket.socket(socket.AF_UNIX); c.connect('/tmp/own'); print('own works')"
    );
    for access in [Access::WorkspaceWrite, Access::ReadOnly] {
        let mut spec = place.spec();
        spec.policy.access = access;
        spec.readable = vec![tools.clone()];
        let cell = launch(spec).await.unwrap();
        let (text, _) = run(&cell, python(&script)).await;
        assert!(
            text.ends_with("own works\n") && text.matches("no [").count() == 4,
            "{text}"
        );
        cell.close().await;
        for listener in &listeners {
            assert!(listener.accept().is_err(), "{access:?}: {text}");
        }
        for reader in &mut readers {
            assert!(reader.read(&mut [0; 8]).is_err(), "{access:?}: {text}");
        }
    }
    // The control: the host's own programs reach them.
    for socket in &sockets {
        std::os::unix::net::UnixStream::connect(socket).unwrap();
    }
}

/// One cell writes into the tree what overlays read: whiteouts, and attributes that make a directory
/// another one or a file another's content. A later cell has an overlay over that tree.
async fn what_a_tree_says_to_overlays_leads_nowhere() {
    let place = Place::new();
    place.repository();
    let script = r#"
import os, stat
for d in ('redirected', 'opaque', 'sub/opaque', 'secret'): os.makedirs(d)
for f in ('redirected/own', 'opaque/own', 'sub/opaque/own', 'secret/hidden', 'meta'): open(f, 'w').write('OWN' if 'secret' not in f else 'ELSEWHERE')
def tell(path, name, value):
    try: os.setxattr(path, 'user.overlay.' + name, value)
    except OSError as e: print(path, name, e)
for path in ('redirected', 'opaque', 'sub/opaque'):
    tell(path, 'redirect', b'/secret')
    tell(path, 'origin', b'\x00\xfb\x1d\x00\x01' + bytes(24))
for path in ('opaque', 'sub/opaque'): tell(path, 'opaque', b'y')
tell('meta', 'metacopy', b''); tell('meta', 'redirect', b'/secret/hidden'); tell('meta', 'protattr', b'i')
os.truncate('meta', 3)
try: os.mknod('gone', stat.S_IFCHR, os.makedev(0, 0))
except OSError as e: print(e)
print('told')
"#;
    let cell = place.cell().await;
    let (text, _) = run(&cell, python(script)).await;
    assert!(text.ends_with("told\n"), "{text}");
    cell.close().await;
    let mut spec = place.spec();
    spec.work_layer = Some(Layer::make(place.base.path().join("layer")).unwrap());
    let cell = launch(spec).await.unwrap();
    let look = "cat redirected/* opaque/* sub/opaque/*; cat meta 2>/dev/null || echo refused; ls redirected opaque sub/opaque secret; echo x > gone; echo new >> redirected/own; mv opaque/own opaque/moved; cat redirected/own opaque/moved gone f.txt";
    let (text, _) = run(&cell, sh(look)).await;
    cell.close().await;
    let listing = "opaque:\nown\n\nredirected:\nown\n\nsecret:\nhidden\n\nsub/opaque:\nown\n";
    assert_eq!(
        text,
        format!("OWNOWNOWNrefused\n{listing}OWNnew\nOWNx\nf\n")
    );
    // Nothing of it came to the tree.
    let own = std::fs::read_to_string(place.tree().join("redirected/own")).unwrap();
    assert_eq!(own, "OWN");
}

async fn clocks_start_with_the_cell() {
    let place = Place::new();
    let cell = place.cell().await;
    let (text, _) = run(&cell, sh("cat /proc/uptime")).await;
    let uptime: f64 = text.split(' ').next().unwrap().parse().unwrap();
    assert!(uptime < 60.0, "{text}");
}

/// Scratch and trees can be written, renamed in and linked in; the proof that Landlock is there
/// is a FIFO below a read-only mount, which the mount alone would let through.
async fn landlock_stands_behind_the_mounts() {
    let place = Place::new();
    // Not below /tmp, which is scratch inside.
    let elsewhere = tempfile::tempdir_in("/var/tmp").unwrap();
    let tools = elsewhere.path().join("tools");
    std::fs::create_dir_all(tools.join("1/2/3/4")).unwrap();
    let fifo = tools.join("1/2/3/4/fifo");
    let mode = rustix::fs::Mode::from(0o666);
    rustix::fs::mknodat(rustix::fs::CWD, &fifo, rustix::fs::FileType::Fifo, mode, 0).unwrap();
    std::fs::set_permissions(&fifo, PermissionsExt::from_mode(0o666)).unwrap();
    let mut spec = place.spec();
    spec.readable = vec![tools];
    spec.policy.network = Network::None;
    let cell = launch(spec).await.unwrap();
    let script = format!(
        "import os\ntry:\n  os.open('{}',os.O_RDWR|os.O_NONBLOCK); print('opened')\nexcept PermissionError: print('refused')\n\
         os.makedirs('a'); os.makedirs('b'); open('a/f','w').close(); os.rename('a/f','b/g'); os.link('b/g','a/h'); os.truncate('a/h',5); os.rename('a','b/a')\n\
         for d in ('/tmp','/run','/dev/shm',os.environ['HOME']):\n  open(d+'/x','w').write('x'); os.mkdir(d+'/d'); os.rename(d+'/x',d+'/d/y'); os.truncate(d+'/d/y',0)\n\
         open('/dev/null','w').write('x'); open('/proc/self/comm','w').write('x'); m=os.memfd_create('m'); open('/proc/self/fd/%d'%m,'w').write('x')\n\
         import pty; pty.openpty(); print('all')",
        fifo.display()
    );
    let (text, _) = run(&cell, python(&script)).await;
    assert_eq!(text, "refused\nall\n");
}

async fn the_cells_user_can_be_chosen() {
    let place = Place::new();
    let mut spec = place.spec();
    spec.user = Some(65_000);
    let cell = launch(spec.clone()).await.unwrap();
    let mut process = cell
        .spawn(sh("touch f; id -u; exec sleep 300.65"))
        .await
        .unwrap();
    let text = wait_for(&mut process, "\n").await;
    let owner = std::fs::metadata(place.tree()).unwrap().uid();
    let (inside, outside) = if is_root() {
        (recto_cell::CELL_USER, 65_000)
    } else {
        (owner, owner)
    };
    assert_eq!(text, format!("{inside}\n"));
    let pid = loop {
        if let [pid] = processes_with("300.65")[..] {
            break pid;
        }
    };
    let process = std::fs::metadata(format!("/proc/{pid}")).unwrap();
    assert_eq!(process.uid(), outside);
    cell.close().await;
    assert_eq!(
        std::fs::metadata(place.tree().join("f")).unwrap().uid(),
        owner
    );
    spec.user = Some(0);
    assert_eq!(launch(spec).await.is_err(), is_root());
}
