//! Exports.

use recto_protocol::ports::log::Chunks as _;
use recto_store::{ExportError, ReadError, VerifyError, verify};

use crate::common::{home, id};

fn exported() -> (Vec<u8>, Vec<recto_protocol::Record>) {
    let home = home();
    let id = home.filled(1, 3);
    let log = home.resume(&id);
    for bytes in [&b""[..], b"\xff\x00binary\n", &vec![7; 2_000_000]] {
        log.chunks().create().unwrap().write(bytes).unwrap();
    }
    let mut out = Vec::new();
    home.sessions.export(&id, &mut out).unwrap();
    (out, home.sessions.read(&id).unwrap())
}

#[test]
fn round_trip() {
    let (out, records) = exported();
    let verified = verify(&out[..]).unwrap();
    assert_eq!(verified.session, id(1));
    assert_eq!(verified.records, records);
    assert_eq!(verified.chunks, 3);
}

#[test]
fn every_change_is_found() {
    let (out, _) = exported();
    assert!(matches!(verify(&b""[..]), Err(VerifyError::Cut)));
    assert!(matches!(
        verify(&b"{}\n"[..]),
        Err(VerifyError::NotAnExport)
    ));
    // Each hashing pass takes a while in a debug build, hence a sample of places.
    let step = out.len() / 40;
    for at in (0..out.len())
        .step_by(step)
        .chain([0, out.len() - 2, out.len() - 20])
    {
        let mut changed = out.clone();
        changed[at] ^= 1;
        assert!(verify(&changed[..]).is_err(), "byte {at} changed");
        assert!(verify(&out[..at]).is_err(), "cut at {at}");
    }
    let mut longer = out.clone();
    longer.push(b'\n');
    assert!(verify(&longer[..]).is_err());
    let lines: Vec<&[u8]> = out.split_inclusive(|b| *b == b'\n').collect();
    for removed in 0..lines.len() {
        let mut left = lines.clone();
        left.remove(removed);
        assert!(
            verify(&left.concat()[..]).is_err(),
            "line {removed} removed"
        );
    }
}

#[test]
fn a_missing_session_and_a_full_disk() {
    struct Full;
    impl std::io::Write for Full {
        fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
            Err(std::io::ErrorKind::StorageFull.into())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let home = home();
    let missing = home.sessions.export(&id(1), &mut Vec::new());
    assert!(matches!(
        missing,
        Err(ExportError::Read(ReadError::NotFound(_)))
    ));
    let id = home.filled(1, 1);
    assert!(matches!(
        home.sessions.export(&id, &mut Full),
        Err(ExportError::Write { .. })
    ));
}
