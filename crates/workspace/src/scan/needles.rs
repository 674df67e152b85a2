//! The ways in which a secret may have been written down.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};

/// A value to look for.
#[derive(Clone)]
pub struct Secret {
    /// What it is called in findings.
    pub name: String,
    /// The value itself.
    pub value: Vec<u8>,
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Secret")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// How a secret is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// As it is.
    Plain,
    /// In base64, of either alphabet, possibly with other text before and after it.
    Base64,
    /// In hexadecimal digits.
    Hex,
    /// As in URLs.
    Percent,
    /// As in JSON strings.
    Json,
}

impl Encoding {
    /// The word that messages use.
    pub fn name(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Base64 => "base64",
            Self::Hex => "hexadecimal",
            Self::Percent => "percent-encoded",
            Self::Json => "JSON-escaped",
        }
    }
}

/// Every way of writing a value; some may be the same.
pub(super) fn of(value: &[u8]) -> Vec<(Encoding, Vec<u8>)> {
    let mut needles = vec![(Encoding::Plain, value.to_vec())];
    for offset in 0..3 {
        needles.push((Encoding::Base64, base64_core(&STANDARD, value, offset)));
        needles.push((Encoding::Base64, base64_core(&URL_SAFE, value, offset)));
    }
    let hex: String = value.iter().map(|byte| format!("{byte:02x}")).collect();
    needles.push((Encoding::Hex, hex.to_uppercase().into_bytes()));
    needles.push((Encoding::Hex, hex.into_bytes()));
    let percent = percent(value);
    needles.push((Encoding::Percent, percent.to_lowercase().into_bytes()));
    needles.push((Encoding::Percent, percent.into_bytes()));
    if let Ok(text) = std::str::from_utf8(value)
        && let Ok(json) = serde_json::to_string(text)
    {
        needles.push((Encoding::Json, json.as_bytes()[1..json.len() - 1].to_vec()));
    }
    needles
}

/// The characters of a base64 text that the value alone decides, when `offset` bytes come before it.
fn base64_core(engine: &base64::engine::GeneralPurpose, value: &[u8], offset: usize) -> Vec<u8> {
    let mut padded = vec![0; offset];
    padded.extend_from_slice(value);
    let text = engine.encode(&padded).into_bytes();
    // Six bits make a character: those that share one with foreign bytes don't count.
    let first = (offset * 8).div_ceil(6);
    let last = padded.len() * 8 / 6;
    text[first..last].to_vec()
}

/// Everything but what URLs leave as it is, in capital digits.
fn percent(value: &[u8]) -> String {
    let mut text = String::new();
    for &byte in value {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            text.push(char::from(byte));
        } else {
            text.push_str(&format!("%{byte:02X}"));
        }
    }
    text
}
