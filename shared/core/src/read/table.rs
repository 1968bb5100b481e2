//! A table of a file: the keys it may have, and the values behind them.

use toml::de::{DeTable, DeValue};

use super::{Source, Value, nearest};

/// A key that a table may have.
#[derive(Debug, Clone, Copy)]
pub struct Key {
    pub(crate) name: &'static str,
    kind: Kind,
}

#[derive(Debug, Clone, Copy)]
enum Kind {
    /// A value; an example of it, as it stands behind the `=`.
    Value(&'static str),
    /// A table of its own.
    Section,
}

impl Key {
    /// A key with an example of its value, as a file spells it.
    pub const fn value(name: &'static str, example: &'static str) -> Self {
        Self { name, kind: Kind::Value(example) }
    }

    /// A key that opens a section.
    pub const fn section(name: &'static str) -> Self {
        Self { name, kind: Kind::Section }
    }
}

/// A table that is walked.
pub struct Table<'a> {
    source: &'a Source,
    entries: &'a DeTable<'a>,
    keys: &'static [Key],
    /// Byte where it starts.
    offset: usize,
    /// Dotted path; empty for the root.
    path: String,
    /// Known keys that an unknown key of the table seems to mean; they don't count as missing.
    meant: Vec<&'static str>,
}

impl<'a> Table<'a> {
    pub(super) fn root(source: &'a Source, entries: &'a DeTable<'a>, keys: &'static [Key]) -> Self {
        Self::open(source, entries, keys, 0, String::new())
    }

    /// Opens a table and notes the keys it shouldn't have.
    pub(super) fn open(
        source: &'a Source,
        entries: &'a DeTable<'a>,
        keys: &'static [Key],
        offset: usize,
        path: String,
    ) -> Self {
        let mut meant = Vec::new();
        for key in entries.keys() {
            let name = key.get_ref().as_ref();
            if keys.iter().any(|known| known.name == name) {
                continue;
            }
            let known = nearest(name, keys.iter().map(|known| known.name));
            meant.extend(known);
            let hint = known.map_or(String::new(), |near| format!("did you mean '{near}'? "));
            let place =
                if path.is_empty() { String::new() } else { format!(" in {}", place(&path)) };
            source.note(
                key.span().start,
                format!("unknown key '{}'{place}", shown(name)),
                format!("{hint}known here: {}", list(keys)),
            );
        }
        Self { source, entries, keys, offset, path, meant }
    }

    /// A value that must be there.
    pub fn required(&self, key: &str) -> Option<Value<'a>> {
        let found = self.optional(key);
        if found.is_none() && !self.meant.contains(&key) {
            let kind = self.keys.iter().find(|known| known.name == key).map(|known| known.kind);
            let (what, instead) = match kind {
                Some(Kind::Value(example)) if self.path.is_empty() => (
                    format!("'{key}' is missing"),
                    format!("add a line such as: {key} = {example}"),
                ),
                Some(Kind::Value(example)) => (
                    format!("{} has no '{key}'", place(&self.path)),
                    format!("add a line such as: {key} = {example}"),
                ),
                _ => {
                    let path = join(&self.path, key);
                    (format!("the section [{path}] is missing"), format!("add it: [{path}]"))
                }
            };
            self.source.note_missing(self.offset, what, instead);
        }
        found
    }

    /// A value that may be there.
    pub fn optional(&self, key: &str) -> Option<Value<'a>> {
        debug_assert!(self.keys.iter().any(|known| known.name == key), "'{key}' isn't declared");
        let value = self.entries.get(key)?;
        Some(Value::new(self.source, value, join(&self.path, key)))
    }

    /// What `read` makes of a value, or the default when the key isn't there.
    pub fn or<T>(
        &self,
        key: &str,
        default: T,
        read: impl FnOnce(&Value<'a>) -> Option<T>,
    ) -> Option<T> {
        match self.optional(key) {
            Some(value) => read(&value),
            None => Some(default),
        }
    }

    /// A section that must be there.
    pub fn section(&self, key: &str, keys: &'static [Key]) -> Option<Table<'a>> {
        self.required(key).and_then(|value| value.table(keys))
    }

    /// Notes a mistake at the table's start.
    pub fn wrong(&self, what: impl Into<String>, instead: impl Into<String>) {
        self.source.note(self.offset, what, instead);
    }
}

/// A key or text from a file in a message: short, on one line.
pub(super) fn shown(text: &str) -> String {
    let mut shown: String = text.chars().take(60).flat_map(char::escape_debug).collect();
    if text.chars().nth(60).is_some() {
        shown.push_str("...");
    }
    shown
}

pub(super) fn join(path: &str, key: &str) -> String {
    let key = shown(key);
    if path.is_empty() {
        key
    } else if is_entry(path) {
        format!("{key} of {path}")
    } else {
        format!("{path}.{key}")
    }
}

/// Whether a path names a list's entry.
pub(super) fn is_entry(path: &str) -> bool {
    path.starts_with("entry ")
}

fn place(path: &str) -> String {
    if is_entry(path) { path.to_owned() } else { format!("[{path}]") }
}

/// What a value is, in words.
pub(super) fn kind(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a text",
        DeValue::Integer(_) => "an integer",
        DeValue::Float(_) => "a number",
        DeValue::Boolean(_) => "a boolean",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}

fn list(keys: &[Key]) -> String {
    let names = keys.iter().map(|key| match key.kind {
        Kind::Value(_) => key.name.to_owned(),
        Kind::Section => format!("[{}]", key.name),
    });
    names.collect::<Vec<_>>().join(", ")
}
