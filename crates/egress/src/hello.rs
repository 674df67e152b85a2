//! Reads the first message of a TLS client, to learn whom it wants to speak to.

use recto_protocol::egress::Host;

/// What a ClientHello says that matters here.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hello {
    /// The name in it, as it was sent.
    pub name: Option<String>,
    /// Whether it carries an encrypted one, which may name another host.
    pub encrypted: bool,
}

/// Why a ClientHello is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HelloError {
    /// It is no TLS at all.
    #[error("what follows is not TLS")]
    NotTls,
    /// It breaks TLS.
    #[error("the TLS greeting is malformed")]
    Malformed,
    /// It names no host.
    #[error("the TLS greeting names no host (no SNI)")]
    NoName,
    /// It names another host.
    #[error("the TLS greeting names another host than the request")]
    OtherName,
    /// It may name another host that can't be seen.
    #[error("the TLS greeting is encrypted (ECH)")]
    Encrypted,
}

/// Most bytes of a ClientHello, record headers included. The largest in use, with post-quantum
/// keys and resumption, have about 4 KiB.
const MOST: usize = 32 * 1024;

const HANDSHAKE: u8 = 22;
const CLIENT_HELLO: u8 = 1;
const SERVER_NAME: u16 = 0;
const ENCRYPTED: u16 = 0xfe0d;
/// The number that ECH's predecessor (ESNI) used.
const ENCRYPTED_NAME: u16 = 0xffce;

/// Reads a ClientHello from the beginning of `bytes`. None: more bytes are needed.
///
/// # Errors
/// [`HelloError::NotTls`] or [`HelloError::Malformed`].
pub fn read_hello(bytes: &[u8]) -> Result<Option<Hello>, HelloError> {
    match message(bytes)? {
        Some(body) => hello(&body).map(Some),
        None if bytes.len() >= MOST => Err(HelloError::Malformed),
        None => Ok(None),
    }
}

impl Hello {
    /// Checks that it is for this host and no other.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn check(&self, host: &Host) -> Result<(), HelloError> {
        match (&self.name, host) {
            // Clients that connect to an address send no name.
            (None, Host::Address(_)) => Ok(()),
            (None, Host::Name(_)) => Err(HelloError::NoName),
            (Some(name), host) if name.parse().as_ref() == Ok(host) => Ok(()),
            (Some(_), _) => Err(HelloError::OtherName),
        }
    }
}

/// The body of the ClientHello, put together from the records it is spread over.
fn message(mut bytes: &[u8]) -> Result<Option<Vec<u8>>, HelloError> {
    let mut message = Vec::new();
    loop {
        if bytes.first().is_some_and(|&kind| kind != HANDSHAKE) {
            let begun = !message.is_empty();
            return Err(if begun {
                HelloError::Malformed
            } else {
                HelloError::NotTls
            });
        }
        if bytes.get(1).is_some_and(|&major| major != 3) {
            return Err(HelloError::NotTls);
        }
        let Some((header, rest)) = bytes.split_at_checked(5) else {
            return Ok(None);
        };
        let length = usize::from(u16::from_be_bytes([header[3], header[4]]));
        if length == 0 || length > 1 << 14 {
            return Err(HelloError::Malformed);
        }
        message.extend_from_slice(&rest[..length.min(rest.len())]);
        if let Some(body) = complete(&message)? {
            return Ok(Some(body.to_vec()));
        }
        match rest.get(length..) {
            Some(after) => bytes = after,
            None => return Ok(None),
        }
    }
}

/// The body, once all of it is there.
fn complete(message: &[u8]) -> Result<Option<&[u8]>, HelloError> {
    if message.first().is_some_and(|&kind| kind != CLIENT_HELLO) {
        return Err(HelloError::Malformed);
    }
    let Some((header, rest)) = message.split_at_checked(4) else {
        return Ok(None);
    };
    let length =
        usize::from(header[1]) << 16 | usize::from(header[2]) << 8 | usize::from(header[3]);
    if length > MOST {
        return Err(HelloError::Malformed);
    }
    if rest.len() > length {
        // Nothing may follow in the same flight.
        return Err(HelloError::Malformed);
    }
    Ok((rest.len() == length).then_some(rest))
}

fn hello(body: &[u8]) -> Result<Hello, HelloError> {
    let mut body = Bytes(body);
    body.take(2 + 32)?;
    body.short()?;
    body.long()?;
    body.short()?;
    let mut hello = Hello::default();
    if body.0.is_empty() {
        return Ok(hello);
    }
    let mut extensions = Bytes(body.long()?);
    body.end()?;
    let mut named = false;
    while !extensions.0.is_empty() {
        let kind = extensions.number()?;
        let content = extensions.long()?;
        match kind {
            SERVER_NAME if named => return Err(HelloError::Malformed),
            SERVER_NAME => {
                named = true;
                hello.name = Some(server_name(content)?);
            }
            ENCRYPTED | ENCRYPTED_NAME => hello.encrypted = true,
            _ => {}
        }
    }
    Ok(hello)
}

/// The only name of the extension.
fn server_name(content: &[u8]) -> Result<String, HelloError> {
    let mut content = Bytes(content);
    let mut list = Bytes(content.long()?);
    content.end()?;
    if list.take(1)? != [0] {
        return Err(HelloError::Malformed);
    }
    let name = list.long()?;
    list.end()?;
    let text = std::str::from_utf8(name).map_err(|_| HelloError::Malformed)?;
    Ok(text.to_owned())
}

/// What is left to read.
struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], HelloError> {
        let (taken, rest) = self
            .0
            .split_at_checked(count)
            .ok_or(HelloError::Malformed)?;
        self.0 = rest;
        Ok(taken)
    }

    fn number(&mut self) -> Result<u16, HelloError> {
        let bytes = self.take(2)?;
        Ok(u16::from_be_bytes([bytes[0], bytes[1]]))
    }

    /// Bytes behind a length of one byte.
    fn short(&mut self) -> Result<&'a [u8], HelloError> {
        let length = usize::from(self.take(1)?[0]);
        self.take(length)
    }

    /// Bytes behind a length of two.
    fn long(&mut self) -> Result<&'a [u8], HelloError> {
        let length = usize::from(self.number()?);
        self.take(length)
    }

    fn end(&self) -> Result<(), HelloError> {
        if self.0.is_empty() {
            Ok(())
        } else {
            Err(HelloError::Malformed)
        }
    }
}
