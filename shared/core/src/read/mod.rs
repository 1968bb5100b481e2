//! Reading a TOML file so that *every* mistake is found at once, each with its line and column, what
//! is wrong and what would be right. The study file and a site's own file are read with it.
//!
//! [`file()`] parses the text and hands the root [`Table`] to a closure that walks it. Each table
//! declares the [`Key`]s it knows; asking for a value of a wrong type, out of range or missing notes
//! a mistake and yields `None`, and the walk goes on. There is no serde here on purpose: it stops at
//! the first mistake.
//!
//! Where the text isn't TOML, what stands before the first syntax error is still walked; what
//! follows would only give mistakes that the broken line made.

mod nearest;
mod table;
mod value;

use std::cell::RefCell;
use std::fmt;

use toml::de::DeTable;

pub use nearest::nearest;
pub use table::{Key, Table};
pub use value::Value;

/// One mistake in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// What is wrong.
    pub what: String,
    /// What would be right.
    pub instead: String,
}

/// All mistakes of a file, in its order; never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistakes(pub Vec<Mistake>);

impl fmt::Display for Mistakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, m) in self.0.iter().enumerate() {
            let newline = if at == 0 { "" } else { "\n" };
            write!(f, "{newline}{}:{}: {}; {}", m.line, m.column, m.what, m.instead)?;
        }
        Ok(())
    }
}

impl std::error::Error for Mistakes {}

/// Reads a file: `walk` goes through the root table, which knows `keys`.
///
/// # Errors
/// [`Mistakes`]: everything that is wrong, in the order of the file. A walk that yields `None`
/// without having noted a mistake is reported as one at the file's start.
pub fn file<T>(
    text: &str,
    keys: &'static [Key],
    walk: impl FnOnce(&Table<'_>) -> Option<T>,
) -> Result<T, Mistakes> {
    let (root, errors) = DeTable::parse_recoverable(text);
    let source = Source { notes: RefCell::default() };
    let read = walk(&Table::root(&source, root.get_ref(), keys));
    let mut notes = source.notes.into_inner();
    if let Some(broken) = errors.iter().filter_map(|e| e.span()).map(|span| span.start).min() {
        notes.retain(|note| note.offset < broken && !note.missing);
    }
    notes.extend(errors.iter().map(syntax));
    if notes.is_empty() {
        return match read {
            Some(read) if errors.is_empty() => Ok(read),
            _ => Err(Mistakes(vec![Mistake {
                line: 1,
                column: 1,
                what: "the file can't be read".into(),
                instead: "write it as TOML (toml.io)".into(),
            }])),
        };
    }
    notes.sort_by_key(|note| note.offset);
    let mistakes = notes.into_iter().map(|note| {
        let (line, column) = position(text, note.offset);
        Mistake { line, column, what: note.what, instead: note.instead }
    });
    let mut mistakes: Vec<Mistake> = mistakes.collect();
    mistakes.dedup();
    Err(Mistakes(mistakes))
}

/// A text in the way a TOML file quotes it, on one line; good for keys as well.
pub fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            c if c.is_control() => quoted.push_str(&format!("\\u{:04X}", u32::from(c))),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

/// What was found wrong so far.
struct Source {
    notes: RefCell<Vec<Note>>,
}

struct Note {
    /// Byte where the mistake stands.
    offset: usize,
    /// A key that isn't there: uncertain once the syntax is broken.
    missing: bool,
    what: String,
    instead: String,
}

impl Source {
    fn note(&self, offset: usize, what: impl Into<String>, instead: impl Into<String>) {
        let (what, instead) = (what.into(), instead.into());
        self.notes.borrow_mut().push(Note { offset, missing: false, what, instead });
    }

    fn note_missing(&self, offset: usize, what: String, instead: String) {
        self.notes.borrow_mut().push(Note { offset, missing: true, what, instead });
    }
}

fn syntax(error: &toml::de::Error) -> Note {
    let offset = error.span().map_or(0, |span| span.start);
    let message = error.message();
    let (what, instead) = match message.split_once(", expected ") {
        Some((what, expected)) => (what, format!("expected {expected}")),
        None if message == "duplicate key" => (message, "keep one of them".to_owned()),
        None => (message, "write it as TOML (toml.io)".to_owned()),
    };
    Note { offset, missing: false, what: what.to_owned(), instead }
}

/// Line and column, from 1, of a byte; the column counts characters.
fn position(text: &str, offset: usize) -> (usize, usize) {
    let mut offset = offset.min(text.len());
    while !text.is_char_boundary(offset) {
        offset -= 1;
    }
    let before = &text[..offset];
    let line_start = before.rfind('\n').map_or(0, |at| at + 1);
    let characters = before[line_start..].chars().filter(|&c| c != '\u{feff}').count();
    (before.matches('\n').count() + 1, characters + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROOT: &[Key] = &[Key::value("name", "\"a\""), Key::section("rule")];
    const RULE: &[Key] = &[
        Key::value("count", "3"),
        Key::value("mode", "\"wait\""),
        Key::value("edges", "[0, 40]"),
        Key::value("labels", "[\"a\"]"),
        Key::value("share", "0.5"),
    ];

    type Read = (String, u8, Vec<f64>, Vec<String>, f64);

    fn read(text: &str) -> Result<Read, String> {
        file(text, ROOT, |root| {
            let name = root.required("name").and_then(|v| v.text(1..=10));
            let rule = root.section("rule", RULE)?;
            let count = rule.required("count").and_then(|v| v.integer(1u8..=20));
            let mode = rule.or("mode", 0, |v| v.choice(&[("wait", 0), ("restart", 1)]));
            let edges = rule.or("edges", vec![], |v| v.ascending(1..=5));
            let labels = rule.or("labels", vec![], |v| v.words(1..=5));
            let share = rule.or("share", 0.5, |v| v.number(0.0..=1.0));
            mode?;
            Some((name?, count?, edges?, labels?, share?))
        })
        .map_err(|mistakes| mistakes.to_string())
    }

    #[test]
    fn a_right_file_is_read() {
        let text =
            "name = 'ä'\n[rule]\ncount = 0x0f\nedges = [0, 1.5]\nlabels = ['x', 7, 1_0.50]\n";
        let labels = ["x", "7", "10.50"].map(String::from).to_vec();
        assert_eq!(read(text), Ok(("ä".into(), 15, vec![0.0, 1.5], labels, 0.5)));
    }

    #[test]
    fn every_mistake_is_found_in_the_order_of_the_file() {
        let text = "nam = 'ä'\n[rule]\ncount = 21\nmode = \"waitt\"\n\
                    labels = [\"ä\", \"ä\", true]\nedges = [0, 40, 40]\nshare = 2\n";
        let expected = "\
1:1: unknown key 'nam'; did you mean 'name'? known here: name, [rule]
3:9: rule.count is 21; it must be 1 to 20
4:8: rule.mode is \"waitt\"; did you mean \"wait\"? it must be one of: wait, restart
5:16: rule.labels has \"ä\" twice; keep one of them
5:21: entry 3 of rule.labels is a boolean; write a text in quotes, or a number
6:17: entry 3 of rule.edges is 40, after 40; numbers must ascend
7:9: rule.share is 2; it must be 0 to 1";
        assert_eq!(read(text).unwrap_err(), expected);
    }

    #[test]
    fn missing_keys_say_what_to_add() {
        let expected = "\
1:1: 'name' is missing; add a line such as: name = \"a\"
1:1: the section [rule] is missing; add it: [rule]";
        assert_eq!(read("").unwrap_err(), expected);
        let expected = "2:1: [rule] has no 'count'; add a line such as: count = 3";
        assert_eq!(read("name = 'a'\n[rule]\n").unwrap_err(), expected);
        let expected = "2:8: rule is an integer; write a section: [rule]";
        assert_eq!(read("name = 'a'\nrule = 3").unwrap_err(), expected);
    }

    #[test]
    fn a_syntax_error_hides_only_what_follows() {
        let found = read("name = 3\n[rule\ncount = 1\nmode = 'x'\n").unwrap_err();
        let lines: Vec<&str> = found.lines().collect();
        assert_eq!(lines[0], "1:8: name is an integer; write a text in quotes");
        assert!(lines[1].starts_with("2:6: "), "{found}");
        assert_eq!(lines.len(), 2, "{found}");
        let found = read("name = 'a'\nname = 'b'\n[rule]\ncount = 1\n").unwrap_err();
        assert_eq!(found, "2:1: duplicate key; keep one of them");
    }

    #[test]
    fn columns_count_characters_and_not_the_byte_order_mark() {
        assert_eq!(position("ä = ö", 5), (1, 5));
        assert_eq!(position("a\r\nb", 3), (2, 1));
        assert_eq!(position("\u{feff}a", 3), (1, 1));
        assert_eq!(position("a", 99), (1, 2));
        assert_eq!(position("ä", 1), (1, 1));
    }

    #[test]
    fn quoting_keeps_a_text() {
        for text in ["a", "a \"b\" 'c'", "back\\slash", "line\n\t\u{7f}", "ä'''\"\"\""] {
            let line = format!("x = {}", quoted(text));
            let table: toml::Table = line.parse().unwrap();
            assert_eq!(table["x"].as_str(), Some(text));
            assert_eq!(line.lines().count(), 1);
        }
    }
}
