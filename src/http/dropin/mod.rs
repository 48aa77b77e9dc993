//! The drop-in API.
pub mod python_json;
pub mod uuid;
