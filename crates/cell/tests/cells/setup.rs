//! Systems under layers: packages are installed by a root that is none, and seen by others.

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use recto_cell::{FAKE_ROOT_USERS, Layer, RootView, launch};
use recto_protocol::ports::cell::{CellError, ExitStatus};

use crate::support::{Place, is_root, python, run, sh};

crate::cases! {
    a_fake_root_installs_a_package, a_fake_root_reads_no_secrets, a_fake_root_is_none,
    a_fake_root_leaves_no_privileged_program,
    a_base_directory_is_shown,
}

/// A package with a file of another owner and a script that is run at installation.
fn package(at: &Path) {
    let root = at.join("pkg");
    std::fs::create_dir_all(root.join("DEBIAN")).unwrap();
    std::fs::create_dir_all(root.join("usr/local/recto-test")).unwrap();
    std::fs::write(
        root.join("DEBIAN/control"),
        "Package: recto-test\nVersion: 1\nArchitecture: all\nMaintainer: t <t@t>\nDescription: t\n",
    )
    .unwrap();
    let script = "#!/bin/sh\nset -e\nchown 33:33 /usr/local/recto-test/file\nmkdir -p /var/lib/recto-test\ntouch /var/lib/recto-test/state\n\
        useradd --system --no-create-home recto-test-user\necho ran > /etc/recto-test.conf\n";
    std::fs::write(root.join("DEBIAN/postinst"), script).unwrap();
    std::fs::write(root.join("usr/local/recto-test/file"), "installed\n").unwrap();
    for (path, mode) in [
        ("DEBIAN", 0o755),
        ("DEBIAN/postinst", 0o755),
        ("usr/local/recto-test", 0o755),
    ] {
        std::fs::set_permissions(root.join(path), PermissionsExt::from_mode(mode)).unwrap();
    }
    let build = std::process::Command::new("dpkg-deb")
        .args(["--build", "--root-owner-group"])
        .args([&root, &at.join("t.deb")])
        .stdout(std::process::Stdio::null())
        .status();
    assert!(build.unwrap().success());
}

fn setup(place: &Place) -> (Layer, recto_cell::CellSpec) {
    let layer = Layer::make(place.base.path().join("system")).unwrap();
    let mut spec = place.spec();
    spec.root.setup = Some(layer.clone());
    (layer, spec)
}

async fn a_fake_root_installs_a_package() {
    let place = Place::new();
    let (layer, spec) = setup(&place);
    if !is_root() {
        match launch(spec).await {
            Err(CellError::Unavailable { reason, .. }) => {
                assert!(reason.contains("root"), "{reason}")
            }
            other => panic!("{:?}", other.map(|_| ())),
        }
        return;
    }
    package(&place.tree());
    let status = std::fs::read("/var/lib/dpkg/status").unwrap();
    let cell = launch(spec).await.unwrap();
    let script = "id -u; dpkg -i t.deb >/tmp/log 2>&1 || cat /tmp/log; dpkg -s recto-test | grep ^Status; cat /usr/local/recto-test/file; \
        stat -c %u:%g /usr/local/recto-test/file; id recto-test-user >/dev/null && echo known; touch mine; chown 1:1 /etc/recto-test.conf; rm /usr/bin/perl && echo removed";
    let (text, _) = run(&cell, sh(script)).await;
    assert_eq!(
        text,
        "0\nStatus: install ok installed\ninstalled\n33:33\nknown\nremoved\n"
    );
    cell.close().await;
    // The host is as it was; what is in the layer is no kernel user's.
    for path in [
        "/usr/local/recto-test",
        "/etc/recto-test.conf",
        "/var/lib/recto-test",
    ] {
        assert!(!Path::new(path).exists(), "{path}");
    }
    assert!(Path::new("/usr/bin/perl").exists());
    assert_eq!(std::fs::read("/var/lib/dpkg/status").unwrap(), status);
    let owner = std::fs::metadata(place.tree()).unwrap().uid();
    assert_eq!(
        std::fs::metadata(place.tree().join("mine")).unwrap().uid(),
        owner
    );
    let found = std::process::Command::new("find")
        .arg(layer.directory())
        .args(["-uid", &(FAKE_ROOT_USERS + 33).to_string()])
        .output()
        .unwrap();
    assert!(
        String::from_utf8(found.stdout)
            .unwrap()
            .contains("recto-test/file")
    );
    // An ordinary cell over it sees the package and its user, and changes nothing.
    layer.keep().unwrap();
    let mut spec = place.spec();
    spec.root.lowers = vec![layer.clone()];
    let cell = launch(spec).await.unwrap();
    let script = "cat /usr/local/recto-test/file /etc/recto-test.conf; ls /var/lib/recto-test; id recto-test-user >/dev/null && echo known; \
        ls /usr/bin/perl 2>/dev/null; id -un; touch /usr/local/x /etc/x /var/x 2>/dev/null || echo closed; dpkg -s recto-test | grep -c ok";
    let (text, status) = run(&cell, sh(script)).await;
    assert_eq!(text, "installed\nran\nstate\nknown\nrecto\nclosed\n1\n");
    assert_eq!(status, ExitStatus::Code(0));
    cell.close().await;
    // A second setup goes on from it.
    let (next, mut spec) = setup(&Place {
        base: tempfile::tempdir().unwrap(),
    });
    spec.work_tree = place.tree();
    spec.root.lowers = vec![layer.clone()];
    spec.home = None;
    let next = Layer::make(next.directory()).unwrap();
    let cell = launch(spec).await.unwrap();
    let (text, _) = run(&cell, sh("dpkg -r recto-test >/dev/null 2>&1; ls /usr/local/recto-test 2>&1 | grep -c 'No such'; userdel recto-test-user && echo gone")).await;
    assert_eq!(text, "1\ngone\n");
    cell.close().await;
    next.discard().unwrap();
    layer.discard().unwrap();
}

async fn a_fake_root_reads_no_secrets() {
    if !is_root() {
        return;
    }
    let place = Place::new();
    let secret = tempfile::NamedTempFile::new_in("/etc").unwrap();
    std::fs::write(secret.path(), "BAIT").unwrap();
    let closed = tempfile::tempdir_in("/usr/local").unwrap();
    std::fs::set_permissions(closed.path(), PermissionsExt::from_mode(0o700)).unwrap();
    std::fs::write(closed.path().join("open"), "BAIT").unwrap();
    std::fs::set_permissions(closed.path().join("open"), PermissionsExt::from_mode(0o644)).unwrap();
    let (_layer, spec) = setup(&place);
    let cell = launch(spec).await.unwrap();
    let script = format!(
        "cat {0} {1}/open; ls -d {0} {1}; grep -c '[$]' /etc/shadow; cut -d: -f1 /etc/shadow | head -1; ls -A /root /home /var/log",
        secret.path().display(),
        closed.path().display()
    );
    let (text, _) = run(&cell, sh(&script)).await;
    assert!(
        !text.contains("BAIT") && text.matches("No such file").count() == 5,
        "{text}"
    );
    assert!(text.contains("0\nroot\n"), "{text}");
}

async fn a_fake_root_is_none() {
    if !is_root() {
        return;
    }
    let place = Place::new();
    let outside = place.base.path().join("outside");
    std::fs::write(&outside, "ORIGINAL").unwrap();
    let (_layer, spec) = setup(&place);
    let cell = launch(spec).await.unwrap();
    let script = "grep Cap /proc/self/status; echo x > /proc/sys/kernel/core_pattern; echo x > /proc/sysrq-trigger; mount -t tmpfs t /mnt; chroot / true; \
        mknod /dev/x b 254 0; mknod /etc/x b 254 0; unshare -U true; kill -9 1; nice -n -5 true; ulimit -n 9999999; hostname x; echo end";
    let (text, _) = run(&cell, sh(script)).await;
    assert!(
        text.contains("CapEff:\t00000000000000fb") && text.contains("CapBnd:\t00000000000000fb"),
        "{text}"
    );
    assert!(text.ends_with("end\n"), "{text}");
    for refused in [
        "core_pattern: ",
        "sysrq-trigger: ",
        "unshare: unshare failed",
        "chroot: ",
        "mknod: /dev/x",
        "mknod: /etc/x",
    ] {
        assert!(text.contains(refused), "{refused}: {text}");
    }
    assert_eq!(run(&cell, sh("echo alive")).await.0, "alive\n");
    let inits = crate::support::processes_with("cell-init");
    let kernel_users: Vec<String> = inits
        .iter()
        .filter_map(|pid| std::fs::read_to_string(format!("/proc/{pid}/status")).ok())
        .filter_map(|text| {
            Some(
                text.lines()
                    .find(|line| line.starts_with("Uid:"))?
                    .to_owned(),
            )
        })
        .collect();
    assert!(
        kernel_users
            .iter()
            .any(|line| line.contains(&FAKE_ROOT_USERS.to_string())),
        "{kernel_users:?}"
    );
}

async fn a_base_directory_is_shown() {
    let place = Place::new();
    let base = place.base.path().join("image");
    for name in ["bin", "usr", "lib", "lib64", "app"] {
        std::fs::create_dir_all(base.join(name)).unwrap();
    }
    std::fs::write(base.join("app/file"), "of the image\n").unwrap();
    for (library, at) in libraries() {
        let to = base.join(at.trim_start_matches('/'));
        std::fs::create_dir_all(to.parent().unwrap()).unwrap();
        std::fs::copy(library, to).unwrap();
    }
    let mut spec = place.spec();
    spec.root = RootView {
        base: Some(base.clone()),
        ..RootView::default()
    };
    let cell = launch(spec).await.unwrap();
    let (text, _) = run(&cell, sh("while read l; do echo $l; done < /app/file; [ -e /usr/bin/perl ] || echo small; echo x > /app/x || true")).await;
    assert!(
        text.starts_with("of the image\nsmall\n") && !base.join("app/x").exists(),
        "{text}"
    );
}

/// A shell and what it needs: where it is, and where it goes.
fn libraries() -> Vec<(String, String)> {
    let output = std::process::Command::new("ldd")
        .arg("/bin/sh")
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let paths = text.split_whitespace().filter(|word| word.starts_with('/'));
    let mut files: Vec<(String, String)> = paths
        .map(|path| (path.to_owned(), path.to_owned()))
        .collect();
    files.push(("/bin/sh".into(), "/bin/sh".into()));
    files
}

/// What its root may do to its own files would be the tree owner's, where a tree is written: a
/// capability through the id mapping of a tree of root's would be one of the host's.
async fn a_fake_root_leaves_no_privileged_program() {
    if !is_root() {
        return;
    }
    let place = Place::new();
    let (layer, mut spec) = setup(&place);
    let script = r#"
import os, shutil
for path in ('/usr/local/helper', 'helper'):
    shutil.copy('/bin/true', path)
    value = bytes.fromhex('0100000200200000') + bytes(12)
    for step in (lambda: os.chmod(path, 0o4755), lambda: os.setxattr(path, 'security.capability', value)):
        try: step(); print('set')
        except OSError: print('refused')
"#;
    let cell = launch(spec.clone()).await.unwrap();
    let (text, _) = run(&cell, python(script)).await;
    cell.close().await;
    assert_eq!(text, "refused\n".repeat(4));
    assert!(!is_privileged(&place.tree().join("helper")));

    // In layers they may be set, as packages do: nobody can reach them there.
    let work = Layer::make(place.base.path().join("work")).unwrap();
    spec.work_layer = Some(work.clone());
    let cell = launch(spec).await.unwrap();
    let (text, _) = run(&cell, python(script)).await;
    cell.close().await;
    assert_eq!(text, "set\n".repeat(4));
    assert!(!is_privileged(&place.tree().join("helper")));
    for layer in [layer, work] {
        let mode = std::fs::metadata(layer.directory()).unwrap().mode();
        assert_eq!(mode & 0o077, 0, "{layer:?}");
    }
}

/// Whether a file gives whoever runs it more than they have.
fn is_privileged(path: &Path) -> bool {
    let mut value = [0u8; 64];
    let capability = rustix::fs::getxattr(path, "security.capability", &mut value);
    capability.is_ok() || std::fs::metadata(path).unwrap().mode() & 0o6000 != 0
}
