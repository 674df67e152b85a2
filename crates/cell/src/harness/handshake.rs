//! From a started process to a cell: who is PID 1, and is it ready?

use std::fs::File;
use std::io::{self, Read, Seek};
use std::process::Child;
use std::time::Duration;

use recto_protocol::ports::cell::CellError;
use rustix::process::{Pid, PidfdFlags};
use tokio::io::AsyncReadExt;
use tokio::net::UnixStream;

use super::launcher::{Birth, Parts, setup};
use super::remedy;
use super::remote::Remote;
use super::sweeper::Stubs;
use super::undertaker::{Init, Life};
use crate::wire::{self, Decoder, Event, Isolation};

/// How long a cell may take to be ready. Containers take a second on a busy machine.
const BEGINNING: Duration = Duration::from_secs(60);
/// How much of a container runtime's words is passed on, in bytes.
const COMPLAINTS: u64 = 2048;

/// Waits until the cell says that it is ready.
pub(super) async fn greet(birth: Birth) -> Result<Remote, CellError> {
    let Some(Parts {
        stream,
        child,
        isolation,
        complaints,
        stubs,
        doorway,
    }) = birth.take()
    else {
        return Err(protocol("a cell that has ended"));
    };
    let mut greeting = Greeting {
        child: Some(child),
        init: None,
        stubs: Some(stubs),
    };
    let result = listen(stream, isolation, &mut greeting);
    let result = match tokio::time::timeout(BEGINNING, result).await {
        Ok(result) => result,
        Err(_) => Err(setup("wait for the cell", io::ErrorKind::TimedOut.into())),
    };
    let (stream, decoder) = result.map_err(|error| with_complaints(error, complaints))?;
    let init = greeting
        .init
        .take()
        .ok_or_else(|| protocol("a cell without a process id"))?;
    let accepting = match doorway.map(super::doors::Doorway::open).transpose() {
        Ok(accepting) => accepting.unwrap_or_default(),
        Err(error) => return Err(setup("open the doors", error)),
    };
    let (read, write) = stream.into_split();
    let life = Some(Box::new(init) as Box<dyn Life>);
    Ok(Remote::new(read, write, decoder, life, accepting))
}

/// What a container runtime printed says more than that its end of the stream is closed.
fn with_complaints(error: CellError, complaints: Option<File>) -> CellError {
    let mut text = Vec::new();
    let read = complaints.map(|mut file| {
        file.rewind()?;
        file.take(COMPLAINTS).read_to_end(&mut text)
    });
    let text = String::from_utf8_lossy(&text);
    match (read, text.trim()) {
        (Some(Ok(_)), text) if !text.is_empty() => CellError::Unavailable {
            reason: format!("runsc: {text}"),
            remedy: "Choose another backend: `cell.backend = \"namespaces\"`.".into(),
        },
        _ => error,
    }
}

/// What was started so far; dropped on failure and on cancellation, it ends it.
struct Greeting {
    child: Option<Child>,
    init: Option<Init>,
    /// Given to PID 1's keeper once there is one; dropped after the processes otherwise.
    stubs: Option<Stubs>,
}

impl Drop for Greeting {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            // The launcher ends by itself within moments; killing it makes that sure.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

async fn listen(
    stream: std::os::unix::net::UnixStream,
    isolation: Isolation,
    greeting: &mut Greeting,
) -> Result<(UnixStream, Decoder), CellError> {
    let make = || {
        stream.set_nonblocking(true)?;
        UnixStream::from_std(stream)
    };
    let mut stream = make().map_err(|error| setup("watch the stream", error))?;
    let mut decoder = Decoder::new(wire::MAX_EVENT);
    let mut ready = false;
    loop {
        while let Some(frame) = decoder.next().map_err(|e| protocol(&e.to_string()))? {
            match Event::read(&frame).map_err(|e| protocol(&e.to_string()))? {
                Event::Launched(launched) => adopt(launched.pid, isolation, greeting)?,
                Event::Hello(hello) if hello.version == wire::VERSION && !ready => ready = true,
                Event::SetupError(error) => return Err(remedy::explain(&error, isolation)),
                _ => return Err(protocol("an event before the greeting")),
            }
        }
        // Launcher and PID 1 are two processes: either may be heard first.
        if ready && greeting.init.is_some() {
            if let Some(mut launcher) = greeting.child.take() {
                // Its report was the last thing it did.
                let _ = launcher.wait();
            }
            return Ok((stream, decoder));
        }
        let read = stream.read_buf(decoder.buffer()).await;
        if read.map_err(|error| setup("hear from the cell", error))? == 0 {
            let end = io::Error::from(io::ErrorKind::UnexpectedEof);
            return Err(setup("hear from the cell", end));
        }
    }
}

/// Takes PID 1 as ours. It is our unreaped child, so its number is still its own.
fn adopt(pid: i32, isolation: Isolation, greeting: &mut Greeting) -> Result<(), CellError> {
    let known = greeting.child.as_ref().map(Child::id);
    let direct = isolation == Isolation::Direct;
    if greeting.init.is_some() || (direct && known != u32::try_from(pid).ok()) {
        return Err(protocol("a second process id"));
    }
    let pid = Pid::from_raw(pid).ok_or_else(|| protocol("no process id"))?;
    let fd = rustix::process::pidfd_open(pid, PidfdFlags::empty())
        .map_err(|error| setup("watch the cell's init", error.into()))?;
    if direct {
        // From here on it is reaped through its descriptor.
        greeting.child = None;
    }
    greeting.init = Some(Init::new(
        fd,
        direct,
        greeting.stubs.take().unwrap_or_default(),
    ));
    Ok(())
}

fn protocol(what: &str) -> CellError {
    CellError::Protocol(what.to_owned())
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::process::{Command, Stdio};

    use super::*;
    use crate::wire::{Hello, Launched};

    #[tokio::test]
    async fn a_launcher_that_is_slower_than_its_cell_is_waited_for() {
        let sleeper = |seconds: &str| {
            Command::new("sleep")
                .arg(seconds)
                .stdin(Stdio::null())
                .spawn()
        };
        let (launcher, init) = (sleeper("0").unwrap(), sleeper("60").unwrap());
        let (ours, mut theirs) = std::os::unix::net::UnixStream::pair().unwrap();
        let mut frames = Vec::new();
        Event::Hello(Hello {
            version: wire::VERSION,
        })
        .put(&mut frames, 0);
        theirs.write_all(&frames).unwrap();
        let birth = Birth(Some(Parts {
            stream: ours,
            child: launcher,
            isolation: Isolation::User,
            complaints: None,
            stubs: Stubs::default(),
            doorway: None,
        }));
        let greeting = tokio::spawn(greet(birth));
        tokio::task::yield_now().await;
        let pid = init.id() as i32;
        frames.clear();
        Event::Launched(Launched { pid }).put(&mut frames, 0);
        theirs.write_all(&frames).unwrap();
        assert!(greeting.await.unwrap().is_ok());
    }
}
