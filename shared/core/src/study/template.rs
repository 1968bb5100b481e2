//! A commented study file made from a manifest's header, for `wardround study new`.

/// What is known of a manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// Its columns.
    pub columns: Vec<HeaderColumn>,
}

/// A column of a manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeaderColumn {
    /// Its name.
    pub name: String,
    /// Its distinct values with counts, most frequent first; empty when only the header was read or
    /// there are too many.
    pub values: Vec<(String, usize)>,
}

/// Writes the file.
pub fn template(_header: &Header) -> String {
    String::new()
}
