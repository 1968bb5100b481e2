//! The JSON Schema of `report.json`.

/// JSON Schema (draft 2020-12) of `report.json`; every field is required and no other is allowed.
pub const SCHEMA: &str = include_str!("report.schema.json");
