//! The log that is not kept.

use recto_protocol::ports::log::{Chunks as _, LogError};
use recto_store::{MemoryChunks, MemoryLog};

use crate::common::{AppendNow as _, clock, id, note};

#[test]
fn numbers_records_and_keeps_interleaved_chunks_apart() {
    let mut log = MemoryLog::new(clock());
    let chunks = MemoryChunks::new(id(1));
    log.append_now(vec![note("a")]).unwrap();
    assert_eq!(
        log.append_now(vec![note("b"), note("c")]).unwrap()[1].seq,
        2
    );

    let (mut one, mut two) = (chunks.create().unwrap(), chunks.create().unwrap());
    assert_ne!(one.id(), two.id());
    assert_eq!(chunks.read(&one.id(), 0, 10).unwrap(), b"");
    for _ in 0..3 {
        one.write(b"111").unwrap();
        two.write(b"22").unwrap();
    }
    assert_eq!(chunks.read(&one.id(), 0, u64::MAX).unwrap(), b"111111111");
    assert_eq!(chunks.read(&two.id(), 1, 4).unwrap(), b"2222");
    assert_eq!(chunks.read(&two.id(), 99, 4).unwrap(), b"");
    assert!(matches!(
        chunks.read(&"zz".into(), 0, 1),
        Err(LogError::NoChunk(_))
    ));
}
