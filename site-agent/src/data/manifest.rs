//! The manifest: a CSV table with a header, one row per image or per patient.
//!
//! Comma-separated UTF-8, with or without a byte order mark; CRLF and quoted line breaks are fine.
//! Cells are texts without blanks around them: `007` stays `007`.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// A manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    columns: Vec<String>,
    lines: Vec<Line>,
    ragged: Vec<(u64, usize)>,
}

/// A row of the manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// The line of the file where it starts, from 1; the header is line 1.
    pub number: u64,
    /// One cell per column.
    pub cells: Vec<String>,
}

/// Why a manifest can't be read at all.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// The file isn't there or can't be read.
    #[error("can't read the manifest {path}: {source}", path = path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Some bytes are no UTF-8.
    #[error("line {line} of the manifest isn't UTF-8; save the table as 'CSV UTF-8'")]
    NotUtf8 {
        /// The first such line, from 1.
        line: usize,
    },
    /// There is no header.
    #[error("the manifest is empty; expected a header with the columns' names")]
    Empty,
    /// Two columns have the same name.
    #[error("the manifest has two columns named '{0}'; rename one of them")]
    Twice(String),
}

impl Manifest {
    /// Reads a file.
    ///
    /// # Errors
    /// [`ManifestError`]. Ragged rows are no error: they are kept apart.
    pub fn read(path: &Path) -> Result<Self, ManifestError> {
        let bytes = fs::read(path)
            .map_err(|source| ManifestError::Read { path: path.to_owned(), source })?;
        Self::parse(&bytes)
    }

    /// Reads the bytes of a file.
    ///
    /// # Errors
    /// As [`Manifest::read`].
    pub fn parse(bytes: &[u8]) -> Result<Self, ManifestError> {
        let text = std::str::from_utf8(bytes).map_err(|error| {
            let before = &bytes[..error.valid_up_to()];
            let line = before.iter().filter(|&&byte| byte == b'\n').count() + 1;
            ManifestError::NotUtf8 { line }
        })?;
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let mut reader = csv::ReaderBuilder::new()
            .has_headers(false)
            .flexible(true)
            .trim(csv::Trim::All)
            .from_reader(text.as_bytes());
        let mut columns = Vec::new();
        let (mut lines, mut ragged) = (Vec::new(), Vec::new());
        for record in reader.records() {
            // The text is UTF-8 and in memory, and rows may be ragged: nothing else can fail.
            let record = record.map_err(|_| ManifestError::Empty)?;
            let cells: Vec<String> = record.iter().map(str::to_owned).collect();
            if columns.is_empty() {
                columns = cells;
                continue;
            }
            let number = record.position().map_or(0, |position| start(text, position));
            if cells.len() == columns.len() {
                lines.push(Line { number, cells });
            } else {
                ragged.push((number, cells.len()));
            }
        }
        if columns.iter().all(String::is_empty) {
            return Err(ManifestError::Empty);
        }
        let mut seen = BTreeSet::new();
        match columns.iter().find(|column| !seen.insert(column.as_str())) {
            Some(twice) => Err(ManifestError::Twice(twice.clone())),
            None => Ok(Self { columns, lines, ragged }),
        }
    }

    /// The columns' names.
    pub fn columns(&self) -> &[String] {
        &self.columns
    }

    /// Where a column stands.
    pub fn column(&self, header: &str) -> Option<usize> {
        self.columns.iter().position(|column| column == header)
    }

    /// The rows that have a cell for every column.
    pub fn lines(&self) -> &[Line] {
        &self.lines
    }

    /// The other rows: their line and how many cells they have.
    pub fn ragged(&self) -> &[(u64, usize)] {
        &self.ragged
    }
}

/// The line where a record starts. The reader's position is where it began to look, so line breaks
/// before the record still have to be passed.
fn start(text: &str, position: &csv::Position) -> u64 {
    let from = usize::try_from(position.byte()).unwrap_or(text.len());
    let blank = text.as_bytes().get(from..).unwrap_or_default();
    let blank = blank.iter().take_while(|byte| matches!(byte, b'\r' | b'\n'));
    position.line() + blank.filter(|&&byte| byte == b'\n').count() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(manifest: &Manifest) -> Vec<u64> {
        manifest.lines().iter().map(|line| line.number).collect()
    }

    #[test]
    fn cells_are_texts_without_blanks_around_them() {
        let manifest =
            Manifest::parse("\u{feff}id, label\r\n007 ,\" a, b \"\r\n".as_bytes()).unwrap();
        assert_eq!(manifest.columns(), ["id", "label"]);
        assert_eq!(
            manifest.lines(),
            [Line { number: 2, cells: vec!["007".into(), "a, b".into()] }]
        );
        assert_eq!(manifest.column("label"), Some(1));
        assert_eq!(manifest.column("Label"), None);
    }

    #[test]
    fn lines_are_counted_as_an_editor_does() {
        for newline in ["\n", "\r\n"] {
            let text = "a,b\n1,2\n\n\n\"x\ny\",2\n3,4\n5\n6,7,8\n\n9,9".replace('\n', newline);
            let manifest = Manifest::parse(text.as_bytes()).unwrap();
            assert_eq!(numbers(&manifest), [2, 5, 7, 11]);
            assert_eq!(manifest.ragged(), [(8, 1), (9, 3)]);
        }
    }

    #[test]
    fn what_is_no_table_is_refused() {
        let latin = Manifest::parse(b"id,label\n1,a\n2,\xe4\n").unwrap_err();
        assert!(matches!(latin, ManifestError::NotUtf8 { line: 3 }));
        assert!(matches!(Manifest::parse(b"").unwrap_err(), ManifestError::Empty));
        let twice = Manifest::parse(b"id,label,id\n").unwrap_err();
        assert!(matches!(twice, ManifestError::Twice(column) if column == "id"));
        let gone = Manifest::read(Path::new("no/such/manifest.csv")).unwrap_err().to_string();
        assert!(gone.starts_with("can't read the manifest no/such/manifest.csv"), "{gone}");
    }
}
