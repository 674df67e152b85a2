//! Reads the head of a request, more strictly than HTTP asks for: whatever two programs could
//! understand differently is refused.

/// Bounds of a head.
#[derive(Clone, Copy, Debug)]
pub struct HeadLimits {
    /// Most bytes, line ends included.
    pub bytes: usize,
    /// Most headers.
    pub headers: usize,
}

/// The head of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// The method, as it was written.
    pub method: String,
    /// The request target.
    pub target: String,
    /// Whether the version is 1.1, not 1.0.
    pub modern: bool,
    /// Names in lower case, and values without surrounding blanks.
    pub headers: Vec<(String, Vec<u8>)>,
}

/// How a request's body is delimited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// There is none.
    None,
    /// By its length.
    Length(u64),
    /// By chunks.
    Chunked,
}

/// Why a head is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HeadError {
    /// It is longer, or has more headers, than allowed.
    #[error("the request's head is too large")]
    TooLarge,
    /// It breaks HTTP's grammar, or uses what programs disagree about.
    #[error("the request is malformed: {0}")]
    Malformed(&'static str),
}

use HeadError::Malformed;

/// Reads a head from the beginning of `bytes`. None: more bytes are needed. Else also its length.
///
/// # Errors
/// [`HeadError`], as soon as no further bytes can make it right.
pub fn read_head(bytes: &[u8], limits: HeadLimits) -> Result<Option<(Head, usize)>, HeadError> {
    if bytes.first().is_some_and(|&byte| !is_token(byte)) {
        return Err(Malformed("it begins with no method"));
    }
    let window = &bytes[..bytes.len().min(limits.bytes)];
    let Some(end) = window.windows(4).position(|four| four == b"\r\n\r\n") else {
        if bytes.len() >= limits.bytes {
            return Err(HeadError::TooLarge);
        }
        return Ok(None);
    };
    let text = &window[..end];
    let mut lines = split_lines(text)?.into_iter();
    let mut head = request_line(lines.next().unwrap_or_default())?;
    for line in lines {
        if head.headers.len() == limits.headers {
            return Err(HeadError::TooLarge);
        }
        head.headers.push(header(line)?);
    }
    Ok(Some((head, end + 4)))
}

impl Head {
    /// The only value of a header; none when it is absent.
    ///
    /// # Errors
    /// [`HeadError::Malformed`] when there are several, or it is no visible ASCII text.
    pub fn only<'a>(&'a self, name: &'a str) -> Result<Option<&'a str>, HeadError> {
        let mut values = self.all(name);
        let Some(value) = values.next() else {
            return Ok(None);
        };
        if values.next().is_some() {
            return Err(Malformed("a header that must be alone comes twice"));
        }
        let text = std::str::from_utf8(value).map_err(|_| Malformed("a header is no text"))?;
        Ok(Some(text))
    }

    /// All values of a header.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        let named = move |(held, _): &&(String, Vec<u8>)| held == name;
        self.headers
            .iter()
            .filter(named)
            .map(|(_, value)| value.as_slice())
    }

    /// Whether a header that is a list of tokens holds this one.
    pub fn lists(&self, name: &str, token: &str) -> bool {
        self.tokens(name).iter().any(|held| held == token)
    }

    /// The tokens of a header that is a list of them, in lower case.
    pub fn tokens(&self, name: &str) -> Vec<String> {
        let texts = self
            .all(name)
            .map(|value| String::from_utf8_lossy(value).to_ascii_lowercase());
        let all: Vec<String> = texts.collect();
        let tokens = all.iter().flat_map(|text| text.split(','));
        tokens
            .map(|token| token.trim().to_owned())
            .filter(|token| !token.is_empty())
            .collect()
    }

    /// How the body is delimited.
    ///
    /// # Errors
    /// [`HeadError::Malformed`] when two programs could disagree about it.
    pub fn framing(&self) -> Result<Framing, HeadError> {
        let length = self.only("content-length")?;
        match (self.only("transfer-encoding")?, length) {
            (Some(_), Some(_)) => Err(Malformed("it has a length and a transfer encoding")),
            (Some(_), None) if !self.modern => {
                Err(Malformed("http/1.0 knows no transfer encoding"))
            }
            (Some(coding), None) if coding.eq_ignore_ascii_case("chunked") => Ok(Framing::Chunked),
            (Some(_), None) => Err(Malformed("its transfer encoding is not `chunked`")),
            (None, Some(length)) => match decimal(length) {
                Some(0) => Ok(Framing::None),
                Some(length) => Ok(Framing::Length(length)),
                None => Err(Malformed("its length is no number")),
            },
            (None, None) => Ok(Framing::None),
        }
    }
}

/// Reads the line that begins a chunk, without its line end: its size.
///
/// # Errors
/// [`HeadError::Malformed`] for anything but hexadecimal digits; extensions are refused.
pub fn chunk_size(line: &[u8]) -> Result<u64, HeadError> {
    let digits = !line.is_empty() && line.len() <= 15 && line.iter().all(u8::is_ascii_hexdigit);
    let text = std::str::from_utf8(line).ok().filter(|_| digits);
    text.and_then(|text| u64::from_str_radix(text, 16).ok())
        .ok_or(Malformed("a chunk's size is no number"))
}

fn split_lines(mut text: &[u8]) -> Result<Vec<&[u8]>, HeadError> {
    let mut lines = Vec::new();
    while let Some(end) = text.windows(2).position(|two| two == b"\r\n") {
        lines.push(&text[..end]);
        text = &text[end + 2..];
    }
    lines.push(text);
    let whole = |line: &&[u8]| !line.iter().any(|byte| b"\r\n".contains(byte));
    if lines.iter().all(whole) {
        Ok(lines)
    } else {
        Err(Malformed("a line does not end in CR LF"))
    }
}

fn request_line(line: &[u8]) -> Result<Head, HeadError> {
    let line = std::str::from_utf8(line).map_err(|_| Malformed("its first line is no text"))?;
    let mut parts = line.split(' ');
    let (Some(method), Some(target), Some(version), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(Malformed("its first line has not three parts"));
    };
    if method.is_empty() || method.len() > 32 || !method.bytes().all(is_token) {
        return Err(Malformed("its method is none"));
    }
    let plain = |c: char| !c.is_control() && !c.is_whitespace();
    if target.is_empty() || !target.chars().all(plain) {
        return Err(Malformed("its target is none"));
    }
    let modern = match version {
        "HTTP/1.1" => true,
        "HTTP/1.0" => false,
        "HTTP/2.0" => return Err(Malformed("http/2 is not spoken here")),
        _ => return Err(Malformed("its version is neither HTTP/1.1 nor HTTP/1.0")),
    };
    Ok(Head {
        method: method.to_owned(),
        target: target.to_owned(),
        modern,
        headers: Vec::new(),
    })
}

fn header(line: &[u8]) -> Result<(String, Vec<u8>), HeadError> {
    if line.starts_with(b" ") || line.starts_with(b"\t") {
        return Err(Malformed("a header is continued on the next line"));
    }
    let colon = line.iter().position(|&byte| byte == b':');
    let (name, value) = line.split_at(colon.ok_or(Malformed("a header has no colon"))?);
    if name.is_empty() || !name.iter().copied().all(is_token) {
        return Err(Malformed("a header's name is none"));
    }
    let value = trimmed(&value[1..]);
    if value
        .iter()
        .any(|&byte| (byte < b' ' && byte != b'\t') || byte == 0x7f)
    {
        return Err(Malformed("a header's value has control characters"));
    }
    let name = String::from_utf8_lossy(name).to_ascii_lowercase();
    Ok((name, value.to_vec()))
}

/// The value without blanks around it; a form feed is none.
fn trimmed(mut value: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = value {
        value = rest;
    }
    value
}

/// A number of decimal digits, nothing else.
fn decimal(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.len() <= 18 && text.bytes().all(|b| b.is_ascii_digit());
    text.parse().ok().filter(|_| digits)
}

fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}
