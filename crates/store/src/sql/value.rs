//! The values that statements take.

use recto_protocol::{AttemptId, TaskId, WorkerId};

/// A value of a statement: the two kinds that both databases keep alike.
#[derive(Clone, Debug)]
pub(crate) enum Value {
    Text(Option<String>),
    Number(Option<i64>),
}

/// Values in the order of `$1`, `$2`, …
macro_rules! values {
    ($($value:expr),* $(,)?) => { vec![$($crate::sql::Value::from($value)),*] };
}
pub(crate) use values;

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::from(Some(text))
    }
}

impl From<Option<String>> for Value {
    /// PostgreSQL keeps no NUL in texts. JSON has none either, so this touches names and titles only.
    fn from(text: Option<String>) -> Self {
        Self::Text(text.map(|text| match text.contains('\0') {
            true => text.replace('\0', "\u{fffd}"),
            false => text,
        }))
    }
}

impl From<&String> for Value {
    fn from(text: &String) -> Self {
        Self::from(text.as_str())
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::from(text.to_owned())
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Self::Number(Some(number))
    }
}

impl From<Option<i64>> for Value {
    fn from(number: Option<i64>) -> Self {
        Self::Number(number)
    }
}

impl From<u64> for Value {
    /// No count gets near the bound, so what lies beyond is as good as the bound.
    fn from(number: u64) -> Self {
        Self::from(i64::try_from(number).unwrap_or(i64::MAX))
    }
}

impl From<u32> for Value {
    fn from(number: u32) -> Self {
        Self::from(i64::from(number))
    }
}

impl From<Option<u64>> for Value {
    fn from(number: Option<u64>) -> Self {
        match number {
            Some(number) => Self::from(number),
            None => Self::Number(None),
        }
    }
}

impl From<bool> for Value {
    fn from(is: bool) -> Self {
        Self::from(i64::from(is))
    }
}

macro_rules! ids {
    ($($id:ty),*) => { $(
        impl From<&$id> for Value {
            fn from(id: &$id) -> Self {
                Self::from(id.as_str())
            }
        }
    )* };
}
ids!(TaskId, AttemptId, WorkerId);
