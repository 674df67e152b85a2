//! The work tree's files through the protocol, against each backend: what is read, written and
//! listed, and everything that must not be followed, opened or left.

use std::ffi::OsStr;
use std::io::ErrorKind;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use bytes::Bytes;
use recto_cell::Backend;
use recto_protocol::ports::cell::files::{
    CellFiles, FileError, FileKind, FileWrite, MAX_READ, MAX_WRITE,
};

use crate::conformance::cell;
use crate::support::{Place, run, sh};

crate::every_backend! {
    "files::", reading, writing, replacing, listing, names_of_any_bytes, making_and_removing,
    no_way_out, only_regular_files, pipes_and_sockets,
    commands_and_files_see_each_other, a_moving_link,
}

async fn write(
    files: &dyn CellFiles,
    path: &str,
    text: &str,
    how: FileWrite,
) -> Result<(), FileError> {
    files
        .write(
            Path::new(path),
            Bytes::copy_from_slice(text.as_bytes()),
            how,
        )
        .await
}

async fn read(files: &dyn CellFiles, path: &str) -> Result<Bytes, FileError> {
    let part = files.read(Path::new(path), 0, MAX_READ).await?;
    Ok(part.bytes)
}

fn refusal<T: std::fmt::Debug>(result: Result<T, FileError>) -> ErrorKind {
    match result {
        Err(FileError::System(error)) => error.kind(),
        other => panic!("{other:?}"),
    }
}

async fn reading(backend: Backend) {
    let place = Place::new();
    let big: Vec<u8> = (0..2_000_000u32).map(|n| (n % 251) as u8).collect();
    std::fs::write(place.tree().join("big"), &big).unwrap();
    std::fs::create_dir(place.tree().join("d")).unwrap();
    let cell = cell(&place, backend).await;
    let files = cell.files();
    let path = Path::new("big");
    let mut all = Vec::new();
    loop {
        let part = files.read(path, all.len() as u64, u32::MAX).await.unwrap();
        assert_eq!(part.size, big.len() as u64);
        assert!(part.bytes.len() <= MAX_READ as usize);
        if part.bytes.is_empty() {
            break;
        }
        all.extend_from_slice(&part.bytes);
    }
    assert!(all == big);
    assert_eq!(
        files.read(path, 250, 3).await.unwrap().bytes,
        &big[250..253]
    );
    assert!(
        files
            .read(path, u64::MAX / 2, 3)
            .await
            .unwrap()
            .bytes
            .is_empty()
    );
    let stat = files.stat(path).await.unwrap();
    assert_eq!((stat.kind, stat.size), (FileKind::File, big.len() as u64));
    let modified = std::fs::metadata(place.tree().join("big"))
        .unwrap()
        .modified()
        .unwrap();
    let since = modified.duration_since(std::time::UNIX_EPOCH).unwrap();
    assert_eq!(stat.modified_ns, since.as_nanos() as i128);
    assert_eq!(
        files.stat(Path::new("")).await.unwrap().kind,
        FileKind::Directory
    );
    assert_eq!(
        files.stat(Path::new("d")).await.unwrap().kind,
        FileKind::Directory
    );
    assert_eq!(refusal(read(files, "absent").await), ErrorKind::NotFound);
    assert_eq!(refusal(read(files, "absent/x").await), ErrorKind::NotFound);
    assert_eq!(
        refusal(read(files, "big/x").await),
        ErrorKind::NotADirectory
    );
}

async fn writing(backend: Backend) {
    let place = Place::new();
    let cell = cell(&place, backend).await;
    let files = cell.files();
    let mode = 0o640;
    let content = || std::fs::read_to_string(place.tree().join("f")).unwrap();
    let at_missing = write(files, "f", "x", FileWrite::At(0)).await;
    assert_eq!(refusal(at_missing), ErrorKind::NotFound);
    write(files, "f", "0123456789", FileWrite::Create { mode })
        .await
        .unwrap();
    let again = write(files, "f", "x", FileWrite::Create { mode }).await;
    assert_eq!(refusal(again), ErrorKind::AlreadyExists);
    write(files, "f", "ab", FileWrite::At(3)).await.unwrap();
    write(files, "f", "!", FileWrite::Append { mode })
        .await
        .unwrap();
    assert_eq!(content(), "012ab56789!");
    let meta = std::fs::metadata(place.tree().join("f")).unwrap();
    assert_eq!(meta.permissions().mode() & 0o7777, mode & !0o022);
    write(files, "f", "new", FileWrite::Truncate { mode })
        .await
        .unwrap();
    assert_eq!(content(), "new");
    write(files, "g", "made", FileWrite::Append { mode: 0o6777 })
        .await
        .unwrap();
    let meta = std::fs::metadata(place.tree().join("g")).unwrap();
    assert_eq!(
        meta.permissions().mode() & 0o7000,
        0,
        "no setuid through the protocol"
    );
    let large = Bytes::from(vec![b'z'; MAX_WRITE]);
    let path = Path::new("large");
    files
        .write(path, large, FileWrite::Create { mode })
        .await
        .unwrap();
    assert_eq!(files.stat(path).await.unwrap().size, MAX_WRITE as u64);
    let larger = Bytes::from(vec![b'z'; MAX_WRITE + 1]);
    let written = files
        .write(path, larger, FileWrite::Truncate { mode })
        .await;
    assert!(matches!(written, Err(FileError::TooLarge)));
}

async fn replacing(backend: Backend) {
    let place = Place::new();
    let tree = place.tree();
    std::fs::write(tree.join("f"), "old").unwrap();
    std::fs::create_dir(tree.join("d")).unwrap();
    std::fs::write(tree.join("target"), "target").unwrap();
    symlink("target", tree.join("link")).unwrap();
    let cell = cell(&place, backend).await;
    let files = cell.files();
    let how = FileWrite::Replace { mode: 0o600 };
    let held = std::fs::File::open(tree.join("f")).unwrap();
    write(files, "f", "new", how).await.unwrap();
    write(files, "fresh", "fresh", how).await.unwrap();
    write(files, "link", "file", how).await.unwrap();
    // Whoever had the old one open still reads that.
    assert_eq!(std::io::read_to_string(held).unwrap(), "old");
    assert_eq!(std::fs::read(tree.join("f")).unwrap(), b"new");
    assert_eq!(std::fs::read(tree.join("fresh")).unwrap(), b"fresh");
    assert_eq!(std::fs::read(tree.join("target")).unwrap(), b"target");
    assert!(
        std::fs::symlink_metadata(tree.join("link"))
            .unwrap()
            .is_file()
    );
    assert!(matches!(
        write(files, "d", "x", how).await,
        Err(FileError::Kind)
    ));
    let left = std::fs::read_dir(&tree)
        .unwrap()
        .map(|entry| entry.unwrap().file_name());
    let temporary = left.filter(|name| name.to_string_lossy().ends_with(".tmp"));
    assert_eq!(temporary.count(), 0);
}

async fn listing(backend: Backend) {
    let place = Place::new();
    let tree = place.tree();
    std::fs::create_dir(tree.join("d")).unwrap();
    for n in 0..1300 {
        std::fs::write(tree.join(format!("d/file-{n}")), "").unwrap();
    }
    std::fs::create_dir(tree.join("d/inner")).unwrap();
    symlink("nowhere", tree.join("d/link")).unwrap();
    let cell = cell(&place, backend).await;
    let mut names = std::collections::BTreeMap::new();
    let (mut from, mut pages) = (0, 0);
    loop {
        let page = cell.files().list(Path::new("d"), from).await.unwrap();
        pages += 1;
        for entry in page.entries {
            let twice = names.insert(entry.name.into_string().unwrap(), entry.kind);
            assert!(twice.is_none());
        }
        match page.next {
            Some(next) => from = next,
            None => break,
        }
    }
    assert_eq!((names.len(), pages), (1302, 3));
    assert_eq!(names["inner"], FileKind::Directory);
    assert_eq!(names["link"], FileKind::Link);
    assert_eq!(names["file-7"], FileKind::File);
    let of_file = cell.files().list(Path::new("d/file-7"), 0).await;
    assert_eq!(refusal(of_file), ErrorKind::NotADirectory);
}

async fn names_of_any_bytes(backend: Backend) {
    let place = Place::new();
    let cell = cell(&place, backend).await;
    let files = cell.files();
    let long = vec![0xf0; 255];
    for name in [
        &b"\xff\xfe"[..],
        b"a\nb",
        "\u{fc}\u{1f600}".as_bytes(),
        b"-",
        &long,
    ] {
        let path = Path::new(OsStr::from_bytes(name));
        let how = FileWrite::Create { mode: 0o644 };
        files.write(path, Bytes::from("x"), how).await.unwrap();
        assert_eq!(std::fs::read(place.tree().join(path)).unwrap(), b"x");
        let page = files.list(Path::new(""), 0).await.unwrap();
        assert!(
            page.entries
                .iter()
                .any(|entry| entry.name == path.as_os_str()),
            "{path:?}"
        );
        files.remove(path).await.unwrap();
    }
    let longer = Path::new(OsStr::from_bytes(&[b'x'; 256]));
    let stat = files.stat(longer).await;
    assert!(matches!(stat, Err(FileError::System(_))), "{stat:?}");
}

async fn making_and_removing(backend: Backend) {
    let place = Place::new();
    let cell = cell(&place, backend).await;
    let files = cell.files();
    let (d, inner, f) = (Path::new("d"), Path::new("d/e"), Path::new("d/e/f"));
    assert_eq!(
        refusal(files.make_directory(inner, 0o755).await),
        ErrorKind::NotFound
    );
    files.make_directory(d, 0o755).await.unwrap();
    assert_eq!(
        refusal(files.make_directory(d, 0o755).await),
        ErrorKind::AlreadyExists
    );
    files.make_directory(inner, 0o755).await.unwrap();
    write(files, "d/e/f", "x", FileWrite::Create { mode: 0o644 })
        .await
        .unwrap();
    assert_eq!(
        refusal(files.remove(inner).await),
        ErrorKind::DirectoryNotEmpty
    );
    files.rename(f, Path::new("moved")).await.unwrap();
    assert_eq!(std::fs::read(place.tree().join("moved")).unwrap(), b"x");
    files.remove(inner).await.unwrap();
    assert_eq!(refusal(files.remove(inner).await), ErrorKind::NotFound);
    // The work tree itself is nobody's to remove or to rename.
    for result in [
        files.remove(Path::new("")).await,
        files.rename(Path::new(""), Path::new("x")).await,
        files.make_directory(Path::new(""), 0o755).await,
    ] {
        assert!(matches!(result, Err(FileError::Path)), "{result:?}");
    }
}

async fn no_way_out(backend: Backend) {
    let place = Place::new();
    let tree = place.tree();
    std::fs::create_dir(tree.join("d")).unwrap();
    std::fs::write(tree.join("d/f"), "inside").unwrap();
    symlink(place.home(), tree.join("home")).unwrap();
    symlink("/etc/passwd", tree.join("passwd")).unwrap();
    symlink("d", tree.join("within")).unwrap();
    symlink("d/f", tree.join("file")).unwrap();
    symlink("/proc/self/root", tree.join("magic")).unwrap();
    let cell = cell(&place, backend).await;
    let files = cell.files();
    for path in [
        "/etc/passwd",
        "..",
        "../home",
        "d/../../home",
        "d/./f",
        "d//f",
        "d/",
        "a\0b",
    ] {
        let stat = files.stat(Path::new(path)).await;
        assert!(matches!(stat, Err(FileError::Path)), "{path:?}: {stat:?}");
    }
    for path in [
        "home/.ssh/id",
        "passwd",
        "within/f",
        "file",
        "magic/etc/passwd",
    ] {
        let got = read(files, path).await;
        assert!(matches!(got, Err(FileError::Link)), "{path}: {got:?}");
        for how in [
            FileWrite::At(0),
            FileWrite::Truncate { mode: 0o644 },
            FileWrite::Append { mode: 0o644 },
        ] {
            let put = write(files, path, "x", how).await;
            assert!(matches!(put, Err(FileError::Link)), "{path}: {put:?}");
        }
    }
    assert!(matches!(
        files.list(Path::new("home"), 0).await,
        Err(FileError::Link)
    ));
    assert!(matches!(
        files.make_directory(Path::new("home/x"), 0o755).await,
        Err(FileError::Link)
    ));
    let stat = files.stat(Path::new("file")).await.unwrap();
    assert_eq!(stat.kind, FileKind::Link);
    assert_eq!(stat.target.as_deref(), Some(Path::new("d/f")));
    // A link is removed itself.
    files.remove(Path::new("home")).await.unwrap();
    assert!(place.home().join(".ssh/id").exists());
    assert_eq!(std::fs::read(tree.join("d/f")).unwrap(), b"inside");
}

async fn only_regular_files(backend: Backend) {
    let place = Place::new();
    std::fs::create_dir(place.tree().join("d")).unwrap();
    let cell = cell(&place, backend).await;
    let files = cell.files();
    let got = read(files, "d").await;
    assert!(matches!(got, Err(FileError::Kind)), "{got:?}");
    for how in [FileWrite::Append { mode: 0o644 }, FileWrite::At(0)] {
        let put = write(files, "d", "x", how).await;
        assert!(matches!(put, Err(FileError::Kind)), "{put:?}");
    }
}

/// What they are is told, and they are not opened: that would wake their other ends. They are made
/// inside; a cell doesn't show those that lie in the tree before.
async fn pipes_and_sockets(backend: Backend) {
    let place = Place::new();
    let cell = cell(&place, backend).await;
    let make = "import os, socket\nos.mkfifo('fifo')\nsocket.socket(socket.AF_UNIX).bind('socket')";
    let (text, _) = run(&cell, crate::support::python(make)).await;
    assert_eq!(text, "");
    let files = cell.files();
    for path in ["fifo", "socket"] {
        let got = read(files, path).await;
        assert!(matches!(got, Err(FileError::Kind)), "{path}: {got:?}");
        let put = write(files, path, "x", FileWrite::Append { mode: 0o644 }).await;
        assert!(matches!(put, Err(FileError::Kind)), "{path}: {put:?}");
        let stat = files.stat(Path::new(path)).await.unwrap();
        assert_eq!(stat.kind, FileKind::Other);
    }
}

async fn commands_and_files_see_each_other(backend: Backend) {
    let place = Place::new();
    let cell = cell(&place, backend).await;
    let files = cell.files();
    write(
        files,
        "script",
        "echo ran > out",
        FileWrite::Create { mode: 0o755 },
    )
    .await
    .unwrap();
    run(&cell, sh("sh ./script; mkdir made; ln -s script link")).await;
    assert_eq!(read(files, "out").await.unwrap(), "ran\n");
    assert_eq!(
        files.stat(Path::new("link")).await.unwrap().kind,
        FileKind::Link
    );
    files.remove(Path::new("made")).await.unwrap();
    let (text, _) = run(&cell, sh("test -e made || echo gone")).await;
    assert_eq!(text, "gone\n");
}

/// A directory that turns into a link and back all the time is never followed.
async fn a_moving_link(backend: Backend) {
    let place = Place::new();
    let tree = place.tree();
    std::fs::create_dir(tree.join("real")).unwrap();
    std::fs::write(tree.join("real/id"), "inside").unwrap();
    symlink(place.home().join(".ssh"), tree.join("out")).unwrap();
    let cell = cell(&place, backend).await;
    // `place` is by turns the real directory, nothing, and a link to the secret.
    let flip =
        "while :; do mv -T real place; mv -T place real; mv -T out place; mv -T place out; done";
    let _flipping = cell.spawn(sh(flip)).await.unwrap();
    for _ in 0..400 {
        match read(cell.files(), "place/id").await {
            Ok(bytes) => assert_eq!(bytes, "inside"),
            Err(FileError::Link | FileError::System(_)) => {}
            Err(error) => panic!("{error:?}"),
        }
    }
}
