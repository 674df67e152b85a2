//! Checks a final answer against the JSON schema that the user gave.

/// A schema that answers must fit.
pub struct Schema {
    text: String,
    validator: jsonschema::Validator,
}

/// Why a text is no usable schema.
#[derive(Debug, thiserror::Error)]
pub enum SchemaError {
    /// Not JSON.
    #[error("the output schema is not valid JSON: {0}")]
    Json(serde_json::Error),
    /// JSON, but no object.
    #[error("the output schema must be a JSON object")]
    NotAnObject,
    /// An object, but no JSON schema.
    #[error("the output schema is not a valid JSON schema: {0}")]
    Schema(String),
}

impl Schema {
    /// Reads a schema. References to other documents are not followed.
    ///
    /// # Errors
    /// [`SchemaError`] says what is wrong with the text.
    pub fn parse(text: &str) -> Result<Self, SchemaError> {
        let value: serde_json::Value = serde_json::from_str(text).map_err(SchemaError::Json)?;
        if !value.is_object() {
            return Err(SchemaError::NotAnObject);
        }
        let validator = jsonschema::validator_for(&value)
            .map_err(|error| SchemaError::Schema(error.to_string()))?;
        Ok(Self {
            text: value.to_string(),
            validator,
        })
    }

    /// The schema's JSON on one line.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// What is wrong with an answer; nothing when it fits.
    pub fn problems(&self, answer: &str) -> Vec<String> {
        match serde_json::from_str::<serde_json::Value>(answer) {
            Err(error) => vec![format!("the answer is not JSON: {error}")],
            Ok(value) => self
                .validator
                .iter_errors(&value)
                .take(10)
                .map(|error| format!("{}: {error}", error.instance_path()))
                .collect(),
        }
    }
}
