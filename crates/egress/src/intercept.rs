//! Connections whose TLS is opened, so that each request in them can be judged.

use std::sync::Arc;

use recto_protocol::egress::Host;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::conn::Conn;
use crate::refusal::Refusal;
use crate::requests::requests;
use crate::shared::Shared;
use crate::trace::Trace;
use crate::tunnel::{ESTABLISHED, greeting, hang_up};

/// Serves a `CONNECT` to a host whose requests must be seen.
pub(crate) async fn intercept<S: AsyncRead + AsyncWrite + Unpin + Send>(
    shared: &Arc<Shared>,
    client: &mut Conn<S>,
    host: &Host,
    port: u16,
) {
    match open(shared, client, host).await {
        Ok(inner) => {
            // It joins nobody: `CONNECT` is refused in there.
            requests(shared, &mut Conn::new(inner), Some((host, port))).await;
        }
        Err(refusal) => {
            Trace::new(shared, host, port, "CONNECT", None).ended(&refusal);
            hang_up(shared, client, &refusal).await;
        }
    }
}

/// Speaks TLS with the client, in the host's name.
async fn open<'a, S: AsyncRead + AsyncWrite + Unpin>(
    shared: &Shared,
    client: &'a mut Conn<S>,
    host: &Host,
) -> Result<TlsStream<&'a mut Conn<S>>, Refusal> {
    let tls = |why: String| Refusal::Tls {
        host: host.clone(),
        why,
    };
    let authority = shared
        .authority
        .as_ref()
        .ok_or_else(|| tls("there is no authority".into()))?;
    let config = authority.server(host).map_err(tls)?;
    client.say(ESTABLISHED, shared.limits.idle).await?;
    // An encrypted name does no harm here: whatever it is, requests go to `host`.
    greeting(shared, client).await?.check(host)?;
    let accepted = timeout(
        shared.limits.greeting,
        TlsAcceptor::from(config).accept(client),
    )
    .await;
    let accepted = accepted.map_err(|_| Refusal::Slow)?;
    accepted.map_err(|error| tls(format!("the client ended it ({error})")))
}
