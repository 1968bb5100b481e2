//! A manifest's header and its columns' values, for guessing a study file. It stays on this machine;
//! sites read their manifests by their own rules.

use std::collections::HashMap;
use std::path::Path;

use wardround_core::study::{Header, HeaderColumn};

use crate::cli::output::Failure;

/// Distinct values that a column is listed with at most.
const MOST_VALUES: usize = 1000;

/// Reads a table (RFC 4180; the separator is the most frequent of comma, semicolon and tab in the
/// first line).
///
/// # Errors
/// The file can't be read or has no header.
pub fn read(path: &Path) -> Result<Header, Failure> {
    let bytes = std::fs::read(path).map_err(|error| Failure::file(path, &error))?;
    let wrong = |what: String| Failure::bad_input(format!("{}: {what}", path.display()));
    header(&bytes).map_err(wrong)
}

fn header(bytes: &[u8]) -> Result<Header, String> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let mut reader =
        csv::ReaderBuilder::new().delimiter(separator(bytes)).flexible(true).from_reader(bytes);
    let text = |field: &[u8]| String::from_utf8_lossy(field).trim().to_owned();
    let names: Vec<String> =
        reader.byte_headers().map_err(|error| error.to_string())?.iter().map(text).collect();
    if names.iter().all(String::is_empty) {
        return Err("has no header: the first line names the columns".into());
    }
    let mut counts: Vec<HashMap<String, usize>> = vec![HashMap::new(); names.len()];
    for row in reader.byte_records() {
        let row = row.map_err(|error| error.to_string())?;
        for (count, field) in counts.iter_mut().zip(row.iter()) {
            // One more than is listed says that there are too many.
            let field = text(field);
            if count.len() <= MOST_VALUES || count.contains_key(&field) {
                *count.entry(field).or_default() += 1;
            }
        }
    }
    let columns = names.into_iter().zip(counts);
    Ok(Header { columns: columns.map(|(name, counts)| column(name, counts)).collect() })
}

fn column(name: String, counts: HashMap<String, usize>) -> HeaderColumn {
    if counts.len() > MOST_VALUES {
        return HeaderColumn { name, values: Vec::new() };
    }
    let mut values: Vec<(String, usize)> = counts.into_iter().collect();
    values.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    HeaderColumn { name, values }
}

fn separator(bytes: &[u8]) -> u8 {
    let mut quoted = false;
    let mut counts = [(b',', 0), (b';', 0), (b'\t', 0)];
    for &byte in bytes {
        match byte {
            b'"' => quoted = !quoted,
            b'\n' if !quoted => break,
            _ if quoted => {}
            _ => {
                for (separator, count) in &mut counts {
                    *count += usize::from(*separator == byte);
                }
            }
        }
    }
    // The first of equals, comma before the others.
    let most = counts.iter().rev().max_by_key(|(_, count)| *count);
    most.map_or(b',', |(separator, _)| *separator)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &[u8]) -> Vec<(String, Vec<(String, usize)>)> {
        header(text).unwrap().columns.into_iter().map(|c| (c.name, c.values)).collect()
    }

    #[test]
    fn quoted_fields_and_separators_are_understood() {
        let seen =
            read(b"\xef\xbb\xbf\"a;x\",b\r\n\"1,5\",\"line\nbreak \"\"q\"\"\"\r\n2,z\r\n2,z\r\n");
        assert_eq!(seen[0].0, "a;x");
        assert_eq!(seen[0].1, [("2".to_owned(), 2), ("1,5".to_owned(), 1)]);
        assert_eq!(seen[1].1, [("z".to_owned(), 2), ("line\nbreak \"q\"".to_owned(), 1)]);
        let excel = read(b"patient;dx\n007;mel\n");
        assert_eq!(excel[0], ("patient".to_owned(), vec![("007".to_owned(), 1)]));
        assert_eq!(read(b"one\n1\n").len(), 1);
    }

    #[test]
    fn a_column_with_too_many_values_lists_none() {
        let mut text = String::from("id\tsex\n");
        for id in 0..=MOST_VALUES {
            text.push_str(&format!("{id}\tf\n"));
        }
        let seen = read(text.as_bytes());
        assert!(seen[0].1.is_empty());
        assert_eq!(seen[1].1, [("f".to_owned(), MOST_VALUES + 1)]);
    }

    #[test]
    fn an_empty_file_has_no_header() {
        assert!(header(b"").unwrap_err().contains("no header"));
    }

    #[test]
    fn the_template_of_a_manifest_parses() {
        let seen = header(b"path,patient_id,sex,age,dx\na.png,1,f,50,mel\nb.png,2,m,61,nv\n");
        let text = wardround_core::study::template(&seen.unwrap());
        let study = wardround_core::study::Study::parse(&text).unwrap();
        assert_eq!(study.target.column, "dx");
    }
}
