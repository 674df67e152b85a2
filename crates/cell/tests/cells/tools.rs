//! Tools that people use: they must work in a cell.

use std::path::PathBuf;

use recto_cell::launch;
use recto_protocol::ports::cell::ExitStatus;

use crate::support::{Place, python, run, sh};

crate::cases! { python_works, cargo_works_offline, the_probe_finds_a_working_cell }

async fn python_works() {
    let place = Place::new();
    let cell = place.cell().await;
    let script = "import multiprocessing as m, os, pty, socket, tempfile, pwd\nprint(m.Pool(2).map(abs,[-1,-2]))\nprint(pwd.getpwuid(os.getuid()).pw_dir, socket.gethostname(), socket.getaddrinfo('localhost',80)[0][4][0] in ('::1','127.0.0.1'))\ntempfile.TemporaryFile()\nos.close(pty.openpty()[0])\nfor d in 'null zero full random urandom fd stdin'.split(): os.stat('/dev/'+d)";
    let (text, status) = run(&cell, python(script)).await;
    assert_eq!(
        (text.as_str(), status),
        ("[1, 2]\n/home/recto cell True\n", ExitStatus::Code(0))
    );
}

async fn cargo_works_offline() {
    let (Some(home), Ok(path)) = (
        std::env::var_os("HOME").map(PathBuf::from),
        std::env::var("PATH"),
    ) else {
        return;
    };
    if !home.join(".cargo/bin").is_dir() {
        println!("SKIPPED: this user has no ~/.cargo");
        return;
    }
    let place = Place::new();
    std::fs::create_dir(place.tree().join("src")).unwrap();
    // A dependency that this workspace has, so that it is in the registry's cache.
    let manifest = "[package]\nname = \"t\"\nversion = \"0.1.0\"\nedition = \"2024\"\n[dependencies]\nbytes = \"1\"\n[workspace]\n";
    std::fs::write(place.tree().join("Cargo.toml"), manifest).unwrap();
    let code = "#[test]\nfn it() { assert_eq!(bytes::Bytes::from_static(b\"a\").len(), 1); }\n";
    std::fs::write(place.tree().join("src/lib.rs"), code).unwrap();
    let cell = launch(place.spec().with_tools_of(&home, &path))
        .await
        .unwrap();
    let (text, status) = run(
        &cell,
        sh("cargo test --offline 2>&1; cat ~/.cargo/credentials* $CARGO_HOME/credentials*"),
    )
    .await;
    assert!(
        text.contains("test it ... ok") && status != ExitStatus::CellGone,
        "{text}"
    );
}

async fn the_probe_finds_a_working_cell() {
    let findings = recto_cell::probe();
    assert!(
        findings
            .iter()
            .all(|finding| finding.status != recto_cell::Status::Bad),
        "{findings:?}"
    );
}
