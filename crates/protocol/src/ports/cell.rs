//! The cell: where commands run.

use async_trait::async_trait;
use bytes::Bytes;
use futures_core::stream::BoxStream;

pub mod files;

use files::CellFiles;

/// A running cell. Dropping the last handle kills everything in it.
#[async_trait]
pub trait Cell: Send + Sync {
    /// Starts a command. It runs until it ends, is killed, or the cell goes.
    ///
    /// # Errors
    /// [`CellError::Spawn`] when the program could not be started (the text says why),
    /// [`CellError::Gone`] when the cell has ended.
    async fn spawn(&self, command: Command) -> Result<Process, CellError>;

    /// Kills every process in the cell and waits until none is left.
    ///
    /// # Errors
    /// [`CellError::Gone`] when the cell has ended.
    async fn kill_all(&self) -> Result<(), CellError>;

    /// The files of its work tree, as its commands may touch them.
    fn files(&self) -> &dyn CellFiles;

    /// What the cell has taken so far. Cheap enough to be asked every second.
    ///
    /// # Errors
    /// [`CellError::Gone`] when the cell has ended.
    async fn stats(&self) -> Result<CellStats, CellError>;

    /// Ends the cell: all its processes are killed and its mounts are gone when this returns.
    async fn close(&self);
}

/// What a cell has taken, as its inside counts it: for showing, not for deciding.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CellStats {
    /// Commands that have not ended.
    pub commands: u32,
    /// Processes, without the cell's own PID 1.
    pub processes: u32,
    /// Resident bytes of all of them and of PID 1; shared pages count for each.
    pub memory: u64,
    /// Resident bytes of PID 1 alone.
    pub own_memory: u64,
    /// Processor time of everything that runs or ran, in milliseconds.
    pub cpu_ms: u64,
    /// Bytes written to storage by everything that runs or ran, as far as this kernel counts them.
    pub written: u64,
    /// Milliseconds since the cell was ready.
    pub uptime_ms: u64,
}

/// What to start in a cell.
#[derive(Clone, Debug, Default)]
pub struct Command {
    /// Program and arguments. The program is looked up in the cell's `PATH`.
    pub argv: Vec<String>,
    /// Working directory; absolute, as seen inside. None means the work tree's root.
    pub cwd: Option<String>,
    /// Variables on top of the cell's own environment.
    pub env: Vec<(String, String)>,
    /// A terminal of this size instead of pipes; output is then one stream.
    pub tty: Option<TtySize>,
    /// Keeps standard input open for [`ProcessControl::write`]; else it is empty.
    pub stdin: bool,
    /// How much output to pass on. Beyond it the cell drops the middle and counts it.
    pub output: OutputCap,
}

/// How many bytes of a command's output leave the cell: the first `head` and the last `tail`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutputCap {
    /// Bytes passed on as they come.
    pub head: u64,
    /// Bytes kept for the end once `head` is used up.
    pub tail: u64,
}

impl Default for OutputCap {
    /// 4 MiB as they come and the last 1 MiB.
    fn default() -> Self {
        Self {
            head: 4 << 20,
            tail: 1 << 20,
        }
    }
}

/// A terminal's size in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TtySize {
    /// Lines.
    pub rows: u16,
    /// Characters per line.
    pub cols: u16,
}

/// A started command: what it says, and a handle to it. Dropping both does not kill it.
///
/// `events` must be read or dropped: with a large [`OutputCap`], a reader that stops reading slows
/// the command down, and in the end everything in its cell.
pub struct Process {
    /// Output and end, in order. [`ProcessEvent::Exited`] comes last and once.
    pub events: BoxStream<'static, ProcessEvent>,
    /// Acts on the command while it runs.
    pub control: Box<dyn ProcessControl>,
}

/// What a command in a cell says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProcessEvent {
    /// Bytes of standard output and standard error, merged in the order they were read.
    Output(Bytes),
    /// This many bytes were dropped here, because of [`OutputCap`].
    Dropped(u64),
    /// A limit of the cell was reached, or its rules were passed over, and something was killed or
    /// refused for it.
    Limited(Limited),
    /// The command ended and its output is complete.
    Exited(ExitStatus),
}

/// A limit that was reached, as the model and the user are told it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limited {
    /// Which limit.
    pub limit: Limit,
    /// What happened, as one sentence without a line break: what was reached, its size, and what
    /// was done about it.
    pub text: String,
}

/// What a cell may take too much of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// Resident memory and swap of all its processes.
    Memory,
    /// Processes and threads.
    Processes,
    /// Bytes written to disk.
    Disk,
    /// Files and directories made.
    Files,
    /// Bytes of output.
    Output,
    /// Time since the command's or the cell's start.
    Time,
    /// What rules let it reach outside.
    Network,
}

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExitStatus {
    /// It exited by itself with this code.
    Code(i32),
    /// This signal ended it.
    Signal(i32),
    /// The cell ended first, and the command with it.
    CellGone,
}

/// Acts on a command while it runs.
#[async_trait]
pub trait ProcessControl: Send + Sync {
    /// Writes to its standard input or terminal. An empty write to a pipe closes it; to a terminal
    /// it does nothing (end of file is `\x04` there).
    ///
    /// # Errors
    /// [`CellError::Gone`] when the command or the cell has ended.
    async fn write(&self, bytes: Bytes) -> Result<(), CellError>;

    /// Tells its terminal a new size. Without a terminal this does nothing.
    ///
    /// # Errors
    /// [`CellError::Gone`] when the command or the cell has ended.
    async fn resize(&self, size: TtySize) -> Result<(), CellError>;

    /// Sends a signal to its whole process group.
    ///
    /// # Errors
    /// [`CellError::Gone`] when the command or the cell has ended.
    async fn signal(&self, signal: i32) -> Result<(), CellError>;
}

/// A place inside a cell, on its own loopback, whose connections are answered outside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Door {
    /// An address of the cell's loopback (127.0.0.0/8) and a port below 65,536, not 0.
    pub at: std::net::SocketAddrV4,
    /// A host name that leads to it inside, by the cell's `/etc/hosts`; for clients that know no
    /// proxies.
    pub host: Option<String>,
}

/// Answers the connections that come through a cell's doors. What arrives is hostile.
pub trait Gateway: Send + Sync {
    /// Takes a connection over. `door` is the index in the list of doors that the cell was made
    /// with; `connection` is a connected, blocking stream socket.
    fn connection(&self, door: usize, connection: std::os::fd::OwnedFd);
}

/// What can go wrong with a cell.
#[derive(Debug, thiserror::Error)]
pub enum CellError {
    /// The machine lacks what isolation needs.
    #[error("cannot make a cell: {reason}")]
    Unavailable {
        /// What is missing.
        reason: String,
        /// What to change, as a sentence for the user.
        remedy: String,
    },
    /// A program could not be started.
    #[error("cannot start {program:?}: {reason}")]
    Spawn {
        /// The program as given.
        program: String,
        /// The system's reason.
        reason: String,
    },
    /// The cell or the command has ended.
    #[error("the cell has ended")]
    Gone,
    /// The cell's side broke the protocol.
    #[error("the cell broke its protocol: {0}")]
    Protocol(String),
    /// The system refused something while the cell was made.
    #[error("cannot make a cell: {step} failed")]
    Setup {
        /// Which step.
        step: String,
        /// The cause.
        #[source]
        source: std::io::Error,
    },
}
