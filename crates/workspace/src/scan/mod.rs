//! Looks for secrets where none may be: in the files that a setup left, in output, in logs.
//!
//! A secret that was meant for one phase only must not be found in what the next one sees. Files are
//! hostile: links are not followed, nothing but regular files is opened, and reading is bounded by the
//! caller's patience only in time, never in memory.

mod needles;
mod tree;

use std::io::{self, Read};

use aho_corasick::AhoCorasick;

pub use needles::{Encoding, Secret};

/// Finds any of some secrets, in any of their [encodings](Encoding).
#[derive(Debug)]
pub struct Scanner {
    patterns: AhoCorasick,
    /// What each pattern is: a secret's name, and how it was written.
    meanings: Vec<(String, Encoding)>,
}

/// A secret that lies somewhere. The value itself is not in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The secret's name.
    pub name: String,
    /// How it is written there.
    pub encoding: Encoding,
    /// Where.
    pub place: Place,
}

/// Where a secret lies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// In a file's content. The path is relative to the scanned directory; what isn't UTF-8 in it is
    /// replaced.
    Content(String),
    /// In the name of a file or directory, or in what a symbolic link leads to.
    Name(String),
}

/// Why a scanner can't be made.
#[derive(Debug, thiserror::Error)]
pub enum ScannerError {
    /// A short value occurs by chance in ordinary files.
    #[error("the secret {name} has {length} bytes; to look for it, it needs at least {MIN_BYTES}")]
    TooShort {
        /// The secret's name.
        name: String,
        /// Its length in bytes.
        length: usize,
    },
    /// The patterns take too much memory.
    #[error("cannot look for so many secrets at once")]
    TooMany(#[source] aho_corasick::BuildError),
}

/// Shorter secrets can't be told from chance.
pub const MIN_BYTES: usize = 6;

impl Scanner {
    /// A scanner for these secrets.
    ///
    /// # Errors
    /// When a secret is shorter than [`MIN_BYTES`], or there are far too many.
    pub fn new(secrets: &[Secret]) -> Result<Self, ScannerError> {
        let mut texts: Vec<Vec<u8>> = Vec::new();
        let mut meanings = Vec::new();
        for secret in secrets {
            if secret.value.len() < MIN_BYTES {
                return Err(ScannerError::TooShort {
                    name: secret.name.clone(),
                    length: secret.value.len(),
                });
            }
            for (encoding, text) in needles::of(&secret.value) {
                if !texts.contains(&text) {
                    texts.push(text);
                    meanings.push((secret.name.clone(), encoding));
                }
            }
        }
        let patterns = AhoCorasick::builder()
            .build(&texts)
            .map_err(ScannerError::TooMany)?;
        Ok(Self { patterns, meanings })
    }

    /// The secrets in a text, each with one of the ways that it is written there.
    pub fn bytes(&self, text: &[u8]) -> Vec<(String, Encoding)> {
        let mut found = Vec::new();
        for hit in self.patterns.find_overlapping_iter(text) {
            self.note(hit.pattern().as_usize(), &mut found);
        }
        found
    }

    /// The secrets in a stream, which is read to its end.
    ///
    /// # Errors
    /// What the stream says.
    pub fn stream(&self, stream: impl Read) -> io::Result<Vec<(String, Encoding)>> {
        let mut found = Vec::new();
        for hit in self.patterns.stream_find_iter(stream) {
            self.note(hit?.pattern().as_usize(), &mut found);
        }
        Ok(found)
    }

    fn note(&self, pattern: usize, found: &mut Vec<(String, Encoding)>) {
        let Some((name, encoding)) = self.meanings.get(pattern) else {
            return;
        };
        if !found.iter().any(|(known, _)| known == name) {
            found.push((name.clone(), *encoding));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const VALUE: &str = "s3cr3t/+\"väl\\ue";

    fn scanner() -> Scanner {
        Scanner::new(&[Secret {
            name: "TOKEN".into(),
            value: VALUE.as_bytes().to_vec(),
        }])
        .unwrap()
    }

    fn found(text: impl AsRef<[u8]>) -> Option<Encoding> {
        let found = scanner().bytes(text.as_ref());
        found.first().map(|(name, encoding)| {
            assert_eq!(name, "TOKEN");
            *encoding
        })
    }

    #[test]
    fn every_way_of_writing_is_found() {
        use base64::Engine as _;
        use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
        assert_eq!(found(format!("x={VALUE};")), Some(Encoding::Plain));
        for before in ["", "u", "us", "user:", "Basic user:"] {
            let text = format!("{before}{VALUE}!");
            assert_eq!(
                found(STANDARD.encode(&text)),
                Some(Encoding::Base64),
                "{before:?}"
            );
            assert_eq!(found(URL_SAFE_NO_PAD.encode(&text)), Some(Encoding::Base64));
        }
        let hex: String = VALUE.bytes().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(found(&hex), Some(Encoding::Hex));
        assert_eq!(found(hex.to_uppercase()), Some(Encoding::Hex));
        let url = "https://x:s3cr3t%2F%2B%22v%C3%A4l%5Cue@host/";
        assert_eq!(found(url), Some(Encoding::Percent));
        assert_eq!(found(url.to_lowercase()), Some(Encoding::Percent));
        let json = serde_json::to_string(&format!("a{VALUE}b")).unwrap();
        assert_eq!(found(json), Some(Encoding::Json));
        assert_eq!(found("nothing of it: s3cr3t"), None);
    }

    #[test]
    fn a_stream_is_read_over_the_edges_of_its_pieces() {
        struct Slow<'a>(&'a [u8]);
        impl Read for Slow<'_> {
            fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
                let n = self.0.len().min(into.len()).min(3);
                into[..n].copy_from_slice(&self.0[..n]);
                self.0 = &self.0[n..];
                Ok(n)
            }
        }
        let text = format!("{}{VALUE}", "a".repeat(70_000));
        assert_eq!(scanner().stream(Slow(text.as_bytes())).unwrap().len(), 1);
    }

    #[test]
    fn short_secrets_are_refused() {
        let short = Secret {
            name: "PIN".into(),
            value: b"12345".to_vec(),
        };
        let refused = Scanner::new(&[short]).unwrap_err().to_string();
        assert_eq!(
            refused,
            "the secret PIN has 5 bytes; to look for it, it needs at least 6"
        );
    }
}
