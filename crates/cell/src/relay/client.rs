//! The side that uses a cell held elsewhere.

use std::sync::Arc;

use recto_protocol::ports::cell::{Cell, CellError};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

use crate::harness::{Remote, setup};
use crate::wire::{self, Decoder, Event, Hello, Request};

/// Greets the holder of a cell and gives the cell. Closing or dropping it leaves the cell alone, but
/// hangs up on the commands that were started through it and still run.
///
/// # Errors
/// [`CellError::Gone`] when the holder has ended, [`CellError::Protocol`] when it speaks another
/// version, [`CellError::Setup`] when the connection fails otherwise.
pub async fn connect(mut stream: UnixStream) -> Result<Arc<dyn Cell>, CellError> {
    let mut frame = Vec::new();
    Request::Hello(Hello {
        version: wire::VERSION,
    })
    .put(&mut frame, 0);
    // A holder that has ended says so when it is listened to.
    let _ = stream.write_all(&frame).await;
    let mut decoder = Decoder::new(wire::MAX_EVENT);
    let event = loop {
        if let Some(frame) = decoder.next().map_err(broken)? {
            break Event::read(&frame).map_err(broken)?;
        }
        match stream.read_buf(decoder.buffer()).await {
            Ok(0) => return Err(CellError::Gone),
            Ok(_) => {}
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => {
                return Err(CellError::Gone);
            }
            Err(error) => return Err(setup("hear from the cell", error)),
        }
    };
    match event {
        Event::Hello(hello) if hello.version == wire::VERSION => {}
        Event::Hello(hello) => {
            return Err(CellError::Protocol(format!(
                "it speaks version {}, this program version {}",
                hello.version,
                wire::VERSION
            )));
        }
        _ => return Err(CellError::Protocol("an event before the greeting".into())),
    }
    Ok(Arc::new(Remote::held_elsewhere(stream, decoder)))
}

fn broken(error: wire::Error) -> CellError {
    CellError::Protocol(error.to_string())
}
