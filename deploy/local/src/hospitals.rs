//! One manifest dealt to hospitals. Only its lines are copied; images stay where they are.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use csv::StringRecord;
use wardround_core::ids::SiteId;
use wardround_core::seed::Seed;
use wardround_core::study::{Header, HeaderColumn};

/// Most hospitals of a federation on one machine: each is a process.
const MOST_SITES: usize = 16;
/// Columns with more distinct values aren't counted.
const MOST_VALUES: usize = 50;

/// A manifest.
#[derive(Debug, Clone)]
pub struct Manifest {
    path: PathBuf,
    header: StringRecord,
    rows: Vec<StringRecord>,
}

/// How rows are dealt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deal<'a> {
    /// A column names each row's hospital.
    Column(&'a str),
    /// All rows of a patient go to one of so many hospitals.
    ByPatient {
        /// The column with the patient's key.
        key: &'a str,
        /// How many.
        sites: usize,
    },
}

/// A hospital's part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// The hospital.
    pub site: SiteId,
    /// Its rows, as CSV.
    pub csv: Vec<u8>,
    /// How many rows.
    pub rows: usize,
}

impl Manifest {
    /// Reads a CSV file with a header.
    ///
    /// # Errors
    /// It isn't there, or isn't one.
    pub fn read(path: &Path) -> Result<Self> {
        let bytes = fs::read(path).with_context(|| format!("can't read {}", path.display()))?;
        let mut reader = csv::Reader::from_reader(bytes.as_slice());
        let wrong = || format!("{} isn't a CSV file with a header", path.display());
        let header = reader.headers().with_context(wrong)?.clone();
        let rows = reader.records().collect::<Result<Vec<_>, _>>().with_context(wrong)?;
        if rows.is_empty() {
            bail!("{} has no rows", path.display());
        }
        Ok(Self { path: path.to_owned(), header, rows })
    }

    /// Whether there is a column of this name.
    pub fn has(&self, column: &str) -> bool {
        self.column(column).is_some()
    }

    /// How often each value of a column occurs; empty when there is no such column.
    pub fn values(&self, column: &str) -> BTreeMap<&str, usize> {
        let mut counts = BTreeMap::new();
        if let Some(at) = self.column(column) {
            for row in &self.rows {
                *counts.entry(row.get(at).unwrap_or_default().trim()).or_default() += 1;
            }
        }
        counts
    }

    /// Its columns with what they hold, for a study's template.
    pub fn header(&self) -> Header {
        let columns = self.header.iter().map(|name| {
            let counts = self.values(name.trim());
            let mut values: Vec<(String, usize)> = match counts.len() {
                0..=MOST_VALUES => {
                    counts.into_iter().map(|(value, count)| (value.to_owned(), count)).collect()
                }
                _ => Vec::new(),
            };
            values.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
            HeaderColumn { name: name.to_owned(), values }
        });
        Header { columns: columns.collect() }
    }

    /// Deals the rows, hospitals sorted by name.
    ///
    /// # Errors
    /// A column is missing, or its values don't name hospitals.
    pub fn deal(&self, deal: Deal<'_>) -> Result<Vec<Part>> {
        let name = match deal {
            Deal::Column(name) => name,
            Deal::ByPatient { key, .. } => key,
        };
        let at = self.column(name).with_context(|| {
            let known: Vec<&str> = self.header.iter().collect();
            format!("{} has no column {name}; it has {}", self.path.display(), known.join(", "))
        })?;
        let mut parts: BTreeMap<SiteId, (String, csv::Writer<Vec<u8>>, usize)> = BTreeMap::new();
        for row in &self.rows {
            let value = row.get(at).unwrap_or_default().trim();
            let (site, from) = match deal {
                Deal::Column(_) => (site_id(value)?, value.to_owned()),
                Deal::ByPatient { sites, .. } => (dealt(value, sites)?, String::new()),
            };
            if parts.len() == MOST_SITES && !parts.contains_key(&site) {
                bail!("column {name} names more than {MOST_SITES} hospitals; is it the right one?");
            }
            let part = parts
                .entry(site.clone())
                .or_insert_with(|| (from.clone(), csv::Writer::from_writer(Vec::new()), 0));
            if part.0 != from {
                bail!("'{}' and '{from}' of column {name} would both be called {site}", part.0);
            }
            if part.2 == 0 {
                part.1.write_record(&self.header)?;
            }
            part.1.write_record(row)?;
            part.2 += 1;
        }
        let part = |(site, (_, writer, rows)): (SiteId, (String, csv::Writer<Vec<u8>>, usize))| {
            Ok(Part { site, csv: writer.into_inner()?, rows })
        };
        parts.into_iter().map(part).collect()
    }

    fn column(&self, name: &str) -> Option<usize> {
        self.header.iter().position(|column| column.trim() == name)
    }
}

fn dealt(patient: &str, sites: usize) -> Result<SiteId> {
    let at = Seed(0).bits("hospital of a patient", &[patient.as_bytes()]) % sites.max(1) as u64;
    Ok(SiteId::parse(&format!("hospital_{}", at + 1))?)
}

/// A hospital's name as an id: lower case, what isn't a letter or digit becomes '_'.
fn site_id(name: &str) -> Result<SiteId> {
    let plain: String = name
        .to_lowercase()
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' })
        .collect();
    SiteId::parse(&plain).with_context(|| format!("'{name}' can't be made a hospital's name"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest(text: &str) -> Manifest {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("m.csv");
        fs::write(&path, text).unwrap();
        Manifest::read(&path).unwrap()
    }

    #[test]
    fn a_column_names_the_hospitals() {
        let text = "path,site,note\na.png,Wien Nord,\"x, y\"\nb.png,graz,\nc.png,Wien Nord,z\n";
        let parts = manifest(text).deal(Deal::Column("site")).unwrap();
        let names: Vec<&str> = parts.iter().map(|part| part.site.as_str()).collect();
        assert_eq!(names, ["graz", "wien_nord"]);
        let csv = String::from_utf8(parts[1].csv.clone()).unwrap();
        assert_eq!(csv, "path,site,note\na.png,Wien Nord,\"x, y\"\nc.png,Wien Nord,z\n");
        assert_eq!(parts[1].rows, 2);
    }

    #[test]
    fn patients_stay_together() {
        let mut text = "patient,x\n".to_owned();
        for row in 0..300 {
            text.push_str(&format!("{},{row}\n", row % 100));
        }
        let parts = manifest(&text).deal(Deal::ByPatient { key: "patient", sites: 3 }).unwrap();
        assert_eq!(parts.iter().map(|part| part.rows).sum::<usize>(), 300);
        assert!(parts.len() == 3 && parts.iter().all(|part| part.rows % 3 == 0 && part.rows > 45));
    }

    #[test]
    fn what_cant_be_dealt_is_explained() {
        let m = manifest("path,site\na,b c\nd,b_c\n");
        let error = |deal| m.deal(deal).unwrap_err().to_string();
        assert_eq!(
            error(Deal::Column("site")),
            "'b c' and 'b_c' of column site would both be called b_c"
        );
        let missing = error(Deal::Column("hospital"));
        assert!(missing.ends_with("has no column hospital; it has path, site"), "{missing}");
        let many: String = (0..40).map(|row| format!("{row},s{row}\n")).collect();
        let many = manifest(&format!("path,site\n{many}"));
        let error = many.deal(Deal::Column("site")).unwrap_err().to_string();
        assert!(error.contains("more than 16 hospitals"), "{error}");
        let nameless = manifest("path,site\na,\n").deal(Deal::Column("site")).unwrap_err();
        assert_eq!(nameless.to_string(), "'' can't be made a hospital's name");
    }

    #[test]
    fn the_header_counts_values() {
        let header = manifest("path,label\na,1\nb,0\nc,0\n").header();
        assert_eq!(header.columns[1].values, [("0".to_owned(), 2), ("1".to_owned(), 1)]);
    }
}
