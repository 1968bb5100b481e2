//! A value of a file, read as what it should be.

use std::fmt::Display;
use std::ops::RangeInclusive;

use toml::Spanned;
use toml::de::DeValue;

use super::table::{is_entry, join, kind, shown};
use super::{Key, Source, Table, nearest};

/// A value that is walked. Reading it as what it isn't notes a mistake and yields `None`.
pub struct Value<'a> {
    source: &'a Source,
    value: &'a DeValue<'a>,
    offset: usize,
    /// What a message calls it: its dotted path, or its place in a list.
    name: String,
}

impl<'a> Value<'a> {
    pub(super) fn new(source: &'a Source, value: &'a Spanned<DeValue<'a>>, name: String) -> Self {
        Self { source, value: value.get_ref(), offset: value.span().start, name }
    }

    /// What messages call it: `target.column`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Notes a mistake here.
    pub fn wrong(&self, what: impl Into<String>, instead: impl Into<String>) {
        self.source.note(self.offset, what, instead);
    }

    /// Notes a mistake here and yields nothing.
    pub fn refuse<T>(&self, what: impl Into<String>, instead: impl Into<String>) -> Option<T> {
        self.wrong(what, instead);
        None
    }

    /// Whether it is a whole number, for keys that take a number or a word.
    pub fn is_integer(&self) -> bool {
        self.value.is_integer()
    }

    /// Whether it is a text, for keys that take a word or something else.
    pub fn is_word(&self) -> bool {
        self.value.is_str()
    }

    /// Whether it is a table, for keys that take a table or a word.
    pub fn is_table(&self) -> bool {
        self.value.is_table()
    }

    /// Whether it is a list, for keys that take one thing or several.
    pub fn is_list(&self) -> bool {
        self.value.is_array()
    }

    /// A text with so many characters, none of them a control character, without blanks around it.
    pub fn text(&self, length: RangeInclusive<usize>) -> Option<String> {
        let DeValue::String(text) = self.value else {
            return self.other_kind("write a text in quotes");
        };
        self.check_text(text, length)
    }

    /// A text of several lines or none, without the blanks around it; at most so many characters.
    pub fn prose(&self, most: usize) -> Option<String> {
        let DeValue::String(text) = self.value else {
            return self.other_kind("write a text in quotes; three of them for several lines");
        };
        let text = text.trim().replace("\r\n", "\n");
        let characters = text.chars().count();
        if characters > most {
            let what = format!("{} has {characters} characters", self.name);
            return self.refuse(
                what,
                format!("it may have {most}: shorten it, or say where the rest stands"),
            );
        }
        if text.chars().any(|c| c.is_control() && !matches!(c, '\n' | '\t')) {
            return self.refuse(format!("{} has control characters", self.name), "leave them out");
        }
        Some(text)
    }

    /// A text as [`Value::text`] reads it, or a number taken as the text the file spells.
    pub fn word(&self, length: RangeInclusive<usize>) -> Option<String> {
        match self.value {
            DeValue::String(text) => self.check_text(text, length),
            DeValue::Integer(integer) => Some(integer.to_string()),
            DeValue::Float(float) => Some(float.to_string()),
            _ => self.other_kind("write a text in quotes, or a number"),
        }
    }

    /// `true` or `false`.
    pub fn boolean(&self) -> Option<bool> {
        match self.value {
            DeValue::Boolean(boolean) => Some(*boolean),
            _ => self.other_kind("write true or false"),
        }
    }

    /// A whole number in a range.
    pub fn integer<T>(&self, range: RangeInclusive<T>) -> Option<T>
    where
        T: Copy + Display + Into<i128> + TryFrom<i128>,
    {
        let (low, high) = (*range.start(), *range.end());
        let only = low.into() == high.into();
        let right = if only { low.to_string() } else { format!("{low} to {high}") };
        let DeValue::Integer(integer) = self.value else {
            return self.other_kind(&format!("write a whole number: {right}"));
        };
        let number = i128::from_str_radix(integer.as_str(), integer.radix()).ok();
        let found = number
            .filter(|number| (low.into()..=high.into()).contains(number))
            .and_then(|number| T::try_from(number).ok());
        if found.is_none() {
            self.wrong(self.is(integer), format!("it must be {right}"));
        }
        found
    }

    /// A number in a closed range; never NaN.
    pub fn number(&self, range: RangeInclusive<f64>) -> Option<f64> {
        let number = self.any_number()?;
        if range.contains(&number) {
            return Some(number);
        }
        let right = match (range.start().is_finite(), range.end().is_finite()) {
            (true, false) => format!("it must be {} or more", range.start()),
            (false, true) => format!("it must be {} or less", range.end()),
            _ => format!("it must be {} to {}", range.start(), range.end()),
        };
        self.refuse(self.is(number), right)
    }

    /// A finite number above zero.
    pub fn positive(&self) -> Option<f64> {
        let number = self.any_number()?;
        if number > 0.0 {
            return Some(number);
        }
        self.refuse(self.is(number), "it must be above 0")
    }

    /// One of a few words, each with its meaning.
    pub fn choice<T: Clone>(&self, words: &[(&str, T)]) -> Option<T> {
        let list = || words.iter().map(|(word, _)| *word).collect::<Vec<_>>().join(", ");
        let DeValue::String(text) = self.value else {
            return self.other_kind(&format!("write one of these in quotes: {}", list()));
        };
        if let Some((_, meaning)) = words.iter().find(|(word, _)| word == text) {
            return Some(meaning.clone());
        }
        let near = nearest(text, words.iter().map(|(word, _)| *word));
        let hint = near.map_or(String::new(), |near| format!("did you mean \"{near}\"? "));
        self.refuse(self.is_text(text), format!("{hint}it must be one of: {}", list()))
    }

    /// A text that `parse` understands; its error is what is wrong.
    pub fn parsed<T, E: Display>(&self, parse: impl FnOnce(&str) -> Result<T, E>) -> Option<T> {
        let DeValue::String(text) = self.value else {
            return self.other_kind("write a text in quotes");
        };
        match parse(text) {
            Ok(parsed) => Some(parsed),
            Err(error) => self.refuse(self.is_text(text), error.to_string()),
        }
    }

    /// The entries of a list with so many of them.
    pub fn entries(&self, length: RangeInclusive<usize>) -> Option<Vec<Value<'a>>> {
        let DeValue::Array(array) = self.value else {
            return self.other_kind("write a list in [ ]");
        };
        if !length.contains(&array.len()) {
            let (low, high) = (length.start(), length.end());
            let right = if low == high { low.to_string() } else { format!("{low} to {high}") };
            let entries = if right == "1" { "entry" } else { "entries" };
            let what = format!("{} has {} entries", self.name, array.len());
            let what = if array.len() == 1 { format!("{} has 1 entry", self.name) } else { what };
            return self.refuse(what, format!("it must have {right} {entries}"));
        }
        let named = array.iter().enumerate().map(|(at, value)| {
            Value::new(self.source, value, format!("entry {} of {}", at + 1, self.name))
        });
        Some(named.collect())
    }

    /// A list whose entries `read` understands, all of them read before it is refused.
    pub fn list<T>(
        &self,
        length: RangeInclusive<usize>,
        mut read: impl FnMut(&Value<'a>) -> Option<T>,
    ) -> Option<Vec<T>> {
        let read: Vec<Option<T>> = self.entries(length)?.iter().map(&mut read).collect();
        read.into_iter().collect()
    }

    /// A list as [`Value::list`] reads it, whose entries differ.
    pub fn distinct<T: PartialEq>(
        &self,
        length: RangeInclusive<usize>,
        mut read: impl FnMut(&Value<'a>) -> Option<T>,
    ) -> Option<Vec<T>> {
        let mut seen: Vec<Option<T>> = Vec::new();
        let mut twice = false;
        for entry in self.entries(length)? {
            let value = read(&entry);
            if value.is_some() && seen.contains(&value) {
                entry.wrong(
                    format!("{} has {} twice", self.name, entry.spelt()),
                    "keep one of them",
                );
                twice = true;
            } else {
                seen.push(value);
            }
        }
        let all: Option<Vec<T>> = seen.into_iter().collect();
        if twice { None } else { all }
    }

    /// A list of different words, see [`Value::word`], each of up to 200 characters.
    pub fn words(&self, length: RangeInclusive<usize>) -> Option<Vec<String>> {
        self.distinct(length, |entry| entry.word(1..=200))
    }

    /// A list of finite numbers, each above the one before.
    pub fn ascending(&self, length: RangeInclusive<usize>) -> Option<Vec<f64>> {
        let mut numbers: Vec<f64> = Vec::new();
        let mut right = true;
        for entry in self.entries(length)? {
            match (entry.any_number(), numbers.last()) {
                (None, _) => right = false,
                (Some(number), Some(&last)) if number <= last => {
                    entry.wrong(
                        format!("{}, after {last}", entry.is(number)),
                        "numbers must ascend",
                    );
                    right = false;
                }
                (Some(number), _) => numbers.push(number),
            }
        }
        right.then_some(numbers)
    }

    /// A table that knows some keys.
    pub fn table(&self, keys: &'static [Key]) -> Option<Table<'a>> {
        match self.value {
            DeValue::Table(entries) => {
                Some(Table::open(self.source, entries, keys, self.offset, self.name.clone()))
            }
            _ => self.no_table(),
        }
    }

    /// A table with keys of the file's own choice: keys of up to 200 characters and their values,
    /// in the order of the file.
    pub fn named(&self) -> Option<Vec<(String, Value<'a>)>> {
        let DeValue::Table(entries) = self.value else {
            return self.no_table();
        };
        let read: Vec<Option<(String, Value<'a>)>> = entries
            .iter()
            .map(|(key, value)| {
                let name = join(&self.name, key.get_ref());
                let text = Value {
                    source: self.source,
                    value: value.get_ref(),
                    offset: key.span().start,
                    name: format!("the key {name}"),
                };
                let key = text.check_text(key.get_ref(), 1..=200)?;
                Some((key, Value::new(self.source, value, name)))
            })
            .collect();
        read.into_iter().collect()
    }

    fn any_number(&self) -> Option<f64> {
        let number = match self.value {
            DeValue::Integer(integer) => i128::from_str_radix(integer.as_str(), integer.radix())
                .ok()
                .map(|integer| integer as f64),
            DeValue::Float(float) => float.as_str().parse::<f64>().ok(),
            _ => return self.other_kind("write a number"),
        };
        let finite = number.filter(|number| number.is_finite());
        if finite.is_none() {
            self.wrong(format!("{} isn't finite", self.name), "write a finite number");
        }
        finite
    }

    fn check_text(&self, text: &str, length: RangeInclusive<usize>) -> Option<String> {
        let characters = text.chars().count();
        if !length.contains(&characters) {
            let (low, high) = (length.start(), length.end());
            let what = match characters {
                0 => format!("{} is empty", self.name),
                _ => format!("{} has {characters} characters", self.name),
            };
            return self.refuse(what, format!("it must have {low} to {high} characters"));
        }
        if text.trim() != text || text.chars().any(char::is_control) {
            let what = format!("{} has blanks around it or control characters", self.is_text(text));
            return self.refuse(what, "leave them out");
        }
        Some(text.to_owned())
    }

    fn other_kind<T>(&self, right: &str) -> Option<T> {
        self.refuse(format!("{} is {}", self.name, kind(self.value)), right)
    }

    fn no_table<T>(&self) -> Option<T> {
        let right = if is_entry(&self.name) {
            "write a table in { }".to_owned()
        } else {
            format!("write a section: [{}]", self.name)
        };
        self.other_kind(&right)
    }

    fn is(&self, value: impl Display) -> String {
        format!("{} is {value}", self.name)
    }

    fn is_text(&self, text: &str) -> String {
        format!("{} is \"{}\"", self.name, shown(text))
    }

    /// The value as a message quotes it.
    fn spelt(&self) -> String {
        match self.value {
            DeValue::String(text) => format!("\"{}\"", shown(text)),
            DeValue::Integer(integer) => integer.to_string(),
            DeValue::Float(float) => float.to_string(),
            DeValue::Boolean(boolean) => boolean.to_string(),
            other => kind(other).to_owned(),
        }
    }
}
