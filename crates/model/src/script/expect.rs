//! A request as a script looks at it, and what a script may expect of it.

use std::borrow::Cow;
use std::cell::OnceCell;

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::file::{Expect, Texts};

/// A request's body. Parsed whole only when an expectation needs it.
pub(super) struct Asked<'a> {
    body: &'a str,
    input: &'a str,
    cache_key: Cow<'a, str>,
    value: OnceCell<Value>,
}

impl<'a> Asked<'a> {
    /// Reads the body of an HTTP request.
    pub(super) fn read(body: &'a str) -> Result<Self, serde_json::Error> {
        #[derive(Deserialize)]
        struct Head<'a> {
            #[serde(borrow)]
            input: &'a RawValue,
            #[serde(borrow, default)]
            prompt_cache_key: Cow<'a, str>,
        }
        let head: Head<'a> = serde_json::from_str(body)?;
        Ok(Self::new(body, head.input.get(), head.prompt_cache_key))
    }

    pub(super) fn new(body: &'a str, input: &'a str, cache_key: Cow<'a, str>) -> Self {
        Self {
            body,
            input,
            cache_key,
            value: OnceCell::new(),
        }
    }

    pub(super) fn input(&self) -> &str {
        self.input
    }

    pub(super) fn cache_key(&self) -> &str {
        &self.cache_key
    }

    pub(super) fn items(&self) -> usize {
        self.value()["input"].as_array().map_or(1, Vec::len)
    }

    /// All texts of the last item, one per line.
    pub(super) fn last_item_text(&self) -> String {
        let input = &self.value()["input"];
        let last = match input.as_array() {
            Some(items) => items.last().unwrap_or(&Value::Null),
            None => input,
        };
        texts(last)
    }

    /// Whether a message of the user contains `text`.
    pub(super) fn user_says(&self, text: &str) -> bool {
        let input = &self.value()["input"];
        match input.as_array() {
            Some(items) => items
                .iter()
                .any(|item| item["role"] == "user" && texts(item).contains(text)),
            None => texts(input).contains(text),
        }
    }

    fn tools(&self) -> Vec<&str> {
        let tools = self.value()["tools"].as_array();
        let names = tools.into_iter().flatten().map(|tool| &tool["name"]);
        names.filter_map(Value::as_str).collect()
    }

    fn value(&self) -> &Value {
        // The body was JSON when it was read or put together.
        self.value
            .get_or_init(|| serde_json::from_str(self.body).unwrap_or_default())
    }
}

impl Expect {
    /// # Errors
    /// What was expected and what came, in words.
    pub(super) fn check(&self, asked: &Asked<'_>) -> Result<(), String> {
        let last = asked.last_item_text();
        if let Some(text) = self.contains.iter().find(|text| !last.contains(text)) {
            let says = shown(&last);
            return Err(format!(
                "the last item to contain {text:?}, but it says {says}"
            ));
        }
        if let Some(text) = self.not_contains.iter().find(|text| last.contains(text)) {
            let says = shown(&last);
            return Err(format!(
                "the last item not to contain {text:?}, but it says {says}"
            ));
        }
        self.check_anywhere(asked)?;
        if let Some(items) = self.items.filter(|items| *items != asked.items()) {
            return Err(format!("{items} input items, but {} came", asked.items()));
        }
        self.check_tools(asked)?;
        for (pointer, wanted) in &self.at {
            let got = asked.value().pointer(pointer);
            if got != Some(wanted) {
                let got = got.map_or("nothing".to_owned(), |got| cut(&got.to_string()));
                return Err(format!("{wanted} at {pointer}, but there is {got}"));
            }
        }
        Ok(())
    }

    fn check_anywhere(&self, asked: &Asked<'_>) -> Result<(), String> {
        if self.anywhere == Texts::default() {
            return Ok(());
        }
        let all = texts(&asked.value()["input"]);
        match self.anywhere.iter().find(|text| !all.contains(text)) {
            Some(text) => Err(format!("the input to contain {text:?}, but it does not")),
            None => Ok(()),
        }
    }

    fn check_tools(&self, asked: &Asked<'_>) -> Result<(), String> {
        let tools = asked.tools();
        let came = || tools.join(", ");
        if let Some(tool) = self.tools.iter().find(|tool| !tools.contains(tool)) {
            return Err(format!("the tool {tool}, but these came: {}", came()));
        }
        if let Some(tool) = self.no_tools.iter().find(|tool| tools.contains(tool)) {
            return Err(format!("no tool {tool}, but these came: {}", came()));
        }
        Ok(())
    }
}

fn texts(value: &Value) -> String {
    fn collect<'a>(value: &'a Value, into: &mut Vec<&'a str>) {
        match value {
            Value::String(text) => into.push(text),
            Value::Array(values) => values.iter().for_each(|value| collect(value, into)),
            Value::Object(fields) => fields.values().for_each(|value| collect(value, into)),
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }
    let mut all = Vec::new();
    collect(value, &mut all);
    all.join("\n")
}

fn shown(text: &str) -> String {
    format!("{:?}", cut(text))
}

/// At most the first few hundred characters.
fn cut(text: &str) -> String {
    const LONGEST: usize = 400;
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}
