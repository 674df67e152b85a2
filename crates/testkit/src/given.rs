//! Cases that are given from outside the project, beside the checkout, and are not part of it.

use serde_json::Value;

/// The cases of one file of `../shared/corpus`; `None`, and a word about it, where it isn't there.
pub fn given(file: &str) -> Option<Vec<Value>> {
    let path = crate::workspace().join("../shared/corpus").join(file);
    let Ok(text) = std::fs::read_to_string(&path) else {
        println!(
            "*** NOT RUN: the given cases aren't there: {}",
            path.display()
        );
        return None;
    };
    let mut value: Value = serde_json::from_str(&text).unwrap();
    let Value::Array(cases) = value["cases"].take() else {
        panic!("{} has no cases", path.display());
    };
    assert!(!cases.is_empty(), "{} has no cases", path.display());
    Some(cases)
}
