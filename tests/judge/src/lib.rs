//! Judges JSON values by a JSON Schema (draft 2020-12): `jsonschema` behind functions without type
//! parameters.
//!
//! All of `jsonschema` is generic over the form of its values, so each program that uses it compiles it
//! again: some 2 MB of code and 40 seconds of CPU time for each of the test programs. Here it is compiled
//! once.
#![forbid(unsafe_code)]

use serde_json::Value;

/// A compiled schema.
pub struct Judge(jsonschema::Validator);

impl Judge {
    /// Compiles a schema. Formats (`uuid`, `date-time`) are checked too.
    ///
    /// # Errors
    /// The schema is invalid.
    pub fn new(schema: &Value) -> Result<Self, String> {
        let built = jsonschema::options().should_validate_formats(true).build(schema);
        built.map(Self).map_err(|error| error.to_string())
    }

    /// Returns up to `most` reasons why a value does not fit, each with its position in the value.
    pub fn errors(&self, value: &Value, most: usize) -> Vec<String> {
        let errors = self.0.iter_errors(value).take(most);
        errors.map(|error| format!("{error} at {}", error.instance_path())).collect()
    }

    /// Returns whether a value fits.
    pub fn fits(&self, value: &Value) -> bool {
        self.0.is_valid(value)
    }
}
