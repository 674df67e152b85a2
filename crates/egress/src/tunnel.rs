//! Connections whose contents stay closed: checked by their TLS greeting, then passed on.

use std::sync::Arc;

use recto_protocol::egress::Host;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;

use crate::conn::Conn;
use crate::dial::{Destination, dial};
use crate::hello::{Hello, HelloError, read_hello};
use crate::judge::Granted;
use crate::refusal::Refusal;
use crate::requests::{linger, refuse};
use crate::shared::Shared;
use crate::splice::splice;
use crate::trace::Trace;

/// The answer to a `CONNECT` that is followed.
pub(crate) const ESTABLISHED: &[u8] = b"HTTP/1.1 200 Connection established\r\n\r\n";

/// A fatal alert, `unrecognized_name`: the nearest that TLS has to "not allowed".
const ALERT: &[u8] = &[21, 3, 3, 0, 2, 2, 112];

/// Serves a `CONNECT` that was allowed.
pub(crate) async fn tunnel<S: AsyncRead + AsyncWrite + Unpin>(
    shared: &Shared,
    client: &mut Conn<S>,
    host: &Host,
    port: u16,
    granted: &Granted,
    mut trace: Trace,
) {
    let to = Destination {
        host: host.clone(),
        port,
        private: granted.private,
    };
    let outside = match dial(shared, &to).await {
        Ok(outside) => outside,
        Err(refusal) => return refuse(shared, client, trace, &refusal, true).await,
    };
    let passed = async {
        client.say(ESTABLISHED, shared.limits.idle).await?;
        let hello = greeting(shared, client).await?;
        hello.check(host)?;
        if hello.encrypted {
            return Err(HelloError::Encrypted.into());
        }
        splice(&mut *client, outside, &trace, shared.limits.idle).await
    };
    if let Err(refusal) = passed.await {
        trace.ended(&refusal);
        drop(trace);
        hang_up(shared, client, &refusal).await;
    }
}

/// Serves a door that leads to one host and port.
pub(crate) async fn forward<S: AsyncRead + AsyncWrite + Unpin>(
    shared: &Arc<Shared>,
    client: &mut Conn<S>,
    host: &Host,
    port: u16,
    granted: &Granted,
) {
    let mut trace = Trace::new(shared, host, port, "TCP", None);
    trace.allowed(granted);
    let to = Destination {
        host: host.clone(),
        port,
        private: granted.private,
    };
    let passed = async {
        let outside = dial(shared, &to).await?;
        splice(&mut *client, outside, &trace, shared.limits.idle).await
    };
    if let Err(refusal) = passed.await {
        trace.ended(&refusal);
    }
}

/// Reads the TLS greeting ahead.
pub(crate) async fn greeting<S: AsyncRead + AsyncWrite + Unpin>(
    shared: &Shared,
    client: &mut Conn<S>,
) -> Result<Hello, Refusal> {
    let read = async {
        loop {
            if let Some(hello) = read_hello(&client.ahead)? {
                return Ok(hello);
            }
            if !client.more().await.map_err(|_| Refusal::Gone)? {
                return Err(Refusal::Gone);
            }
        }
    };
    timeout(shared.limits.greeting, read)
        .await
        .map_err(|_| Refusal::Slow)?
}

/// Says why, in what the client speaks, as well as that can, and closes.
pub(crate) async fn hang_up<S: AsyncRead + AsyncWrite + Unpin>(
    shared: &Shared,
    client: &mut Conn<S>,
    refusal: &Refusal,
) {
    let answer = match refusal {
        Refusal::Gone => return,
        Refusal::Hello(HelloError::NotTls) => refusal.answer(true),
        Refusal::Hello(_) => ALERT.to_vec(),
        _ => Vec::new(),
    };
    if client.say(&answer, shared.limits.idle).await.is_ok() {
        linger(client).await;
    }
}
