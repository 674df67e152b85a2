//! The log that is not kept.

use recto_protocol::ports::log::{Log, LogError};
use recto_store::MemoryLog;

use crate::common::{clock, id, note};

#[test]
fn numbers_records_and_keeps_interleaved_chunks_apart() {
    let mut log = MemoryLog::new(id(1), clock());
    log.append(vec![note("a")]).unwrap();
    assert_eq!(log.append(vec![note("b"), note("c")]).unwrap()[1].seq, 2);

    let (mut one, mut two) = (log.create_chunk().unwrap(), log.create_chunk().unwrap());
    assert_ne!(one.id(), two.id());
    assert_eq!(log.read_chunk(&one.id(), 0, 10).unwrap(), b"");
    for _ in 0..3 {
        one.write(b"111").unwrap();
        two.write(b"22").unwrap();
    }
    assert_eq!(
        log.read_chunk(&one.id(), 0, u64::MAX).unwrap(),
        b"111111111"
    );
    assert_eq!(log.read_chunk(&two.id(), 1, 4).unwrap(), b"2222");
    assert_eq!(log.read_chunk(&two.id(), 99, 4).unwrap(), b"");
    assert!(matches!(
        log.read_chunk(&"zz".into(), 0, 1),
        Err(LogError::NoChunk(_))
    ));
}
