//! Passes bytes between two streams, both ways.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, split};
use tokio::time::{Instant, sleep_until};

use crate::refusal::Refusal;
use crate::trace::Trace;

/// Bytes that are under way in one direction.
const CHUNK: usize = 32 * 1024;

/// Passes bytes until both sides have ended, either breaks, a limit is met, or nothing came for
/// `idle`.
pub(crate) async fn splice<A, B>(
    cell: A,
    outside: B,
    trace: &Trace,
    idle: Duration,
) -> Result<(), Refusal>
where
    A: AsyncRead + AsyncWrite + Unpin,
    B: AsyncRead + AsyncWrite + Unpin,
{
    let (cell_from, cell_to) = split(cell);
    let (outside_from, outside_to) = split(outside);
    let clock = Clock::new();
    let up = copy(cell_from, outside_to, &clock, |count| trace.up(count));
    let down = copy(outside_from, cell_to, &clock, |count| trace.down(count));
    tokio::select! {
        ended = async { tokio::try_join!(up, down) } => ended.map(|_| ()),
        () = clock.silence(idle) => Err(Refusal::Idle),
    }
}

/// Passes bytes one way until the end, which is passed on too.
async fn copy(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    clock: &Clock,
    count: impl Fn(usize) -> Result<(), Refusal>,
) -> Result<(), Refusal> {
    let mut buffer = vec![0; CHUNK];
    loop {
        // Programs end connections in every way there is; what was passed on stands.
        let read = from.read(&mut buffer).await.unwrap_or(0);
        clock.touch();
        if read == 0 {
            let _ = to.shutdown().await;
            return Ok(());
        }
        count(read)?;
        to.write_all(&buffer[..read])
            .await
            .map_err(|_| Refusal::Gone)?;
        to.flush().await.map_err(|_| Refusal::Gone)?;
        clock.touch();
    }
}

/// When a byte was last seen.
struct Clock {
    start: Instant,
    /// Milliseconds after the start.
    seen: AtomicU64,
}

impl Clock {
    fn new() -> Self {
        Self {
            start: Instant::now(),
            seen: AtomicU64::new(0),
        }
    }

    fn touch(&self) {
        let millis = u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.seen.store(millis, Ordering::Relaxed);
    }

    /// Returns once nothing was seen for so long.
    async fn silence(&self, idle: Duration) {
        loop {
            let seen = self.seen.load(Ordering::Relaxed);
            sleep_until(self.start + Duration::from_millis(seen) + idle).await;
            if self.seen.load(Ordering::Relaxed) == seen {
                return;
            }
        }
    }
}
