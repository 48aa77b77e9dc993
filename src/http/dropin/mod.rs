//! The drop-in API.
pub mod body;
pub mod python_json;
pub mod render;
pub mod uuid;
