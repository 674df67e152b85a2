//! As much of HTTP/1.1 as a model client needs: keep-alive, bodies with a length.

use std::io::{Error, Read, Result};
use std::net::TcpStream;

/// The answer to everything that isn't a turn. Agents may ask for a list of models first; none is needed.
pub(super) const NOT_FOUND: &[u8] =
    b"HTTP/1.1 404 Not Found\r\ncontent-type: text/plain\r\ncontent-length: 0\r\n\r\n";

/// A request whose last byte has arrived.
#[derive(Debug, PartialEq)]
pub(super) struct Request {
    pub(super) method: String,
    pub(super) path: String,
    pub(super) body_bytes: usize,
}

impl Request {
    pub(super) fn is_turn(&self) -> bool {
        self.method == "POST" && self.path.ends_with("/responses")
    }
}

/// Reads requests from one connection, one after the other.
#[derive(Default)]
pub(super) struct Reader {
    bytes: Vec<u8>,
}

impl Reader {
    /// Reads up to the last byte of the next request; `None` when the client has hung up.
    pub(super) fn next(&mut self, stream: &mut TcpStream) -> Result<Option<Request>> {
        let mut chunk = [0; 64 << 10];
        let mut found = None;
        loop {
            if found.is_none() {
                found = head(&self.bytes)?;
            }
            if let Some((request, end)) = found.take_if(|(_, end)| self.bytes.len() >= *end) {
                self.bytes.drain(..end);
                return Ok(Some(request));
            }
            let count = stream.read(&mut chunk)?;
            if count == 0 {
                return Ok(None);
            }
            self.bytes.extend_from_slice(&chunk[..count]);
        }
    }
}

/// The request's head and the offset where its body ends, once the head is complete.
fn head(bytes: &[u8]) -> Result<Option<(Request, usize)>> {
    let Some(at) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else {
        return Ok(None);
    };
    let text = String::from_utf8_lossy(&bytes[..at]);
    let mut lines = text.lines();
    let mut words = lines.next().unwrap_or_default().split(' ');
    let (Some(method), Some(path)) = (words.next(), words.next()) else {
        return Err(Error::other("no request line"));
    };
    let mut body_bytes = 0;
    for (name, value) in lines.filter_map(|line| line.split_once(':')) {
        if name.eq_ignore_ascii_case("content-length") {
            body_bytes = value.trim().parse().map_err(Error::other)?;
        } else if name.eq_ignore_ascii_case("transfer-encoding") {
            return Err(Error::other("a body without a length"));
        }
    }
    let request = Request {
        method: method.to_owned(),
        path: path.to_owned(),
        body_bytes,
    };
    Ok(Some((request, at + 4 + body_bytes)))
}

/// A complete answer with an event stream.
pub(super) fn ok(body: &str) -> Vec<u8> {
    format!(
        "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

#[cfg(test)]
mod tests {
    use super::head;

    #[test]
    fn the_body_ends_where_the_length_says() {
        let bytes = b"POST /1/v1/responses HTTP/1.1\r\nContent-Length: 3\r\n\r\nabcPOST";
        let (request, end) = head(bytes).unwrap().unwrap();
        assert!(request.is_turn());
        assert_eq!((request.body_bytes, end), (3, bytes.len() - 4));
    }

    #[test]
    fn an_unfinished_head_is_waited_for_and_a_body_without_a_length_is_refused() {
        assert_eq!(head(b"POST / HTTP/1.1\r\n").unwrap(), None);
        assert!(head(b"POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n").is_err());
    }
}
