//! The scripted model server: HTTP/1.1 on loopback, one thread per connection, one clock for all.
//!
//! It is its own and not the one of `recto script serve`: what measures must not change with what is measured, and it
//! has to note times inside this process.

mod answer;
mod http;
mod session;

use std::collections::HashMap;
use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Instant;

use anyhow::Context;

pub(super) use session::{Exchange, Script, Session};

type Sessions = Arc<Mutex<HashMap<usize, Arc<Session>>>>;

/// The server. Sessions are told apart by the path of their address.
pub(super) struct Server {
    port: u16,
    sessions: Sessions,
}

impl Server {
    pub(super) fn start() -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").context("could not listen on loopback")?;
        let port = listener.local_addr()?.port();
        let sessions = Sessions::default();
        let known = Arc::clone(&sessions);
        // It ends with the process, as do its connections: nothing they hold outlives it.
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let known = Arc::clone(&known);
                thread::spawn(move || serve(stream, &known));
            }
        });
        Ok(Self { port, sessions })
    }

    /// Opens a session that will be answered by `script`, and tells its address.
    pub(super) fn open(&self, script: Script) -> (Arc<Session>, String) {
        let session = Arc::new(Session::new(script));
        let mut sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        let number = sessions.len();
        sessions.insert(number, Arc::clone(&session));
        let address = format!("http://127.0.0.1:{}/{number}/v1", self.port);
        (session, address)
    }
}

/// Serves one connection until the client hangs up or says something that is no request.
fn serve(mut stream: TcpStream, sessions: &Sessions) {
    // A reply is one write; waiting for more to send would be charged to the agent.
    let _ = stream.set_nodelay(true);
    let mut reader = http::Reader::default();
    while let Ok(Some(request)) = reader.next(&mut stream) {
        let arrived = Instant::now();
        let session = session_of(&request.path).and_then(|number| {
            let sessions = sessions.lock().unwrap_or_else(PoisonError::into_inner);
            sessions.get(&number).cloned()
        });
        let sent = match session.filter(|_| request.is_turn()) {
            Some(session) => reply(&mut stream, &session, arrived, request.body_bytes),
            None => stream.write_all(http::NOT_FOUND),
        };
        if sent.is_err() {
            return;
        }
    }
}

fn reply(
    stream: &mut TcpStream,
    session: &Session,
    arrived: Instant,
    size: usize,
) -> std::io::Result<()> {
    let number = session.arrived(arrived, size);
    let bytes = http::ok(&answer::body(session.script(), number));
    session.hold(number);
    session.handing(number, Instant::now());
    stream.write_all(&bytes)
}

/// The session's number in `/7/v1/responses`.
fn session_of(path: &str) -> Option<usize> {
    path.split('/').nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::{Script, Server, session_of};
    use crate::bench::null_agent;

    #[test]
    fn sessions_are_told_apart_by_the_path() {
        assert_eq!(session_of("/7/v1/responses"), Some(7));
        assert_eq!(session_of("/v1/responses"), None);
    }

    #[test]
    fn the_floor_follows_a_script_and_every_request_is_noted() {
        let server = Server::start().unwrap();
        let (session, address) = server.open(Script::steps(2, "true"));
        null_agent::command(&[address]).unwrap();
        let exchanges = session.exchanges();
        assert_eq!(exchanges.len(), 3);
        assert!(exchanges.is_sorted_by_key(|exchange| exchange.body_bytes));
        assert!(
            exchanges
                .iter()
                .all(|exchange| exchange.handed >= Some(exchange.arrived))
        );
    }
}
