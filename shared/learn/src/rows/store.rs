//! The features of rows, in memory where they are few and in a scratch file where they are many.
//!
//! A file holds 32 bits of each where all of them are exactly such numbers, as a backbone's features are, and 64
//! otherwise: what is read is what was given, bit by bit.

use std::borrow::Cow;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::scratch::{Scratch, StorageError};

/// Bytes of features, at 8 each, that stay in memory: 26,000 rows of 1,280 features.
pub const MEMORY_LIMIT: u64 = 256 << 20;

/// Bytes that are written at once.
const WRITTEN_AT_ONCE: usize = 4 << 20;

/// Where features are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Storage {
    /// In memory, however many they are. What models see of them takes as much again.
    Memory,
    /// In memory as long as they take no more than `above` bytes, at 8 a feature, then in scratch files in `folder`:
    /// 4 bytes a feature (8 where a value isn't exactly a number of 32 bits), and 2 more for trees. Rows that don't
    /// come in the order of their patients take twice the 4 while they are put in order.
    Disk {
        /// An existing folder that can be written to; what is put there has no name and goes with the process.
        folder: PathBuf,
        /// Bytes that stay in memory.
        above: u64,
    },
}

impl Storage {
    /// Scratch files in a folder, above [`MEMORY_LIMIT`].
    pub fn disk(folder: impl Into<PathBuf>) -> Self {
        Self::Disk { folder: folder.into(), above: MEMORY_LIMIT }
    }

    /// The folder for so many bytes; none where they stay in memory.
    pub(super) fn folder_for(&self, bytes: u64) -> Option<&Path> {
        match self {
            Self::Disk { folder, above } if bytes > *above => Some(folder),
            Self::Disk { .. } | Self::Memory => None,
        }
    }

    /// Bytes that are read from files and worked on at once.
    pub(super) fn bytes_at_once(&self) -> usize {
        match self {
            Self::Disk { above, .. } => usize::try_from(above / 8).unwrap_or(usize::MAX),
            Self::Memory => usize::MAX,
        }
    }
}

impl Default for Storage {
    fn default() -> Self {
        Self::disk(std::env::temp_dir())
    }
}

/// The numbers of rows, row by row.
#[derive(Debug)]
pub(super) struct Store {
    /// Numbers per row.
    width: usize,
    rows: usize,
    kept: Kept,
}

#[derive(Debug)]
enum Kept {
    Doubles(Vec<f64>),
    Singles(Vec<f32>),
    /// From this row of the file on.
    File(Arc<Scratch>, Cell, u64),
}

/// How a number lies in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cell {
    Single,
    Double,
}

/// Numbers of consecutive rows as they were kept.
pub(super) enum Numbers<'a> {
    Doubles(&'a [f64]),
    Singles(&'a [f32]),
    Bytes(Vec<u8>, Cell),
}

impl Store {
    /// How many rows it has.
    pub(super) fn rows(&self) -> usize {
        self.rows
    }

    /// The same numbers as rows of a part of the width.
    pub(super) fn cut(self, parts: usize) -> Self {
        let kept = match self.kept {
            Kept::File(scratch, cell, first) => Kept::File(scratch, cell, first * parts as u64),
            in_memory => in_memory,
        };
        Self { width: self.width / parts, rows: self.rows * parts, kept }
    }

    /// Whether it is in memory.
    pub(super) fn is_in_memory(&self) -> bool {
        !matches!(self.kept, Kept::File(..))
    }

    /// The numbers of consecutive rows.
    ///
    /// # Errors
    /// What the system says of the file.
    pub(super) fn read(&self, rows: Range<usize>) -> Result<Numbers<'_>, StorageError> {
        let at = rows.start * self.width..rows.end * self.width;
        match &self.kept {
            Kept::Doubles(values) => Ok(Numbers::Doubles(&values[at])),
            Kept::Singles(values) => Ok(Numbers::Singles(&values[at])),
            Kept::File(scratch, cell, first) => {
                let start = (first + rows.start as u64) * self.width as u64 * cell.bytes() as u64;
                Ok(Numbers::Bytes(scratch.read(start, at.len() * cell.bytes())?, *cell))
            }
        }
    }

    /// The numbers of a row.
    ///
    /// # Errors
    /// As [`Store::read`].
    pub(super) fn row(&self, row: usize) -> Result<Cow<'_, [f64]>, StorageError> {
        match self.read(row..row + 1)? {
            Numbers::Doubles(values) => Ok(Cow::Borrowed(values)),
            numbers => {
                let mut values = vec![0.0; self.width];
                numbers.copy(0, &mut values);
                Ok(Cow::Owned(values))
            }
        }
    }
}

impl Numbers<'_> {
    /// Copies as many numbers as `out` takes, from the one at `first` on.
    pub(super) fn copy(&self, first: usize, out: &mut [f64]) {
        match self {
            Self::Doubles(values) => out.copy_from_slice(&values[first..][..out.len()]),
            Self::Singles(values) => {
                let values = &values[first..][..out.len()];
                out.iter_mut().zip(values).for_each(|(out, &value)| *out = f64::from(value));
            }
            Self::Bytes(bytes, Cell::Single) => {
                let (cells, _) = bytes.as_chunks::<4>();
                let values =
                    cells[first..][..out.len()].iter().map(|cell| f32::from_le_bytes(*cell));
                out.iter_mut().zip(values).for_each(|(out, value)| *out = f64::from(value));
            }
            Self::Bytes(bytes, Cell::Double) => {
                let (cells, _) = bytes.as_chunks::<8>();
                let values =
                    cells[first..][..out.len()].iter().map(|cell| f64::from_le_bytes(*cell));
                out.iter_mut().zip(values).for_each(|(out, value)| *out = value);
            }
        }
    }
}

impl Cell {
    fn bytes(self) -> usize {
        match self {
            Self::Single => size_of::<f32>(),
            Self::Double => size_of::<f64>(),
        }
    }

    /// The smaller one that holds numbers bit by bit.
    fn of(values: &[f64]) -> Self {
        let is_single = |value: &f64| f64::from(*value as f32).to_bits() == value.to_bits();
        if values.iter().all(is_single) { Self::Single } else { Self::Double }
    }

    fn push(self, values: &[f64], bytes: &mut Vec<u8>) {
        match self {
            Self::Single => bytes.extend(values.iter().flat_map(|&v| (v as f32).to_le_bytes())),
            Self::Double => bytes.extend(values.iter().flat_map(|v| v.to_le_bytes())),
        }
    }
}

/// Takes rows one by one.
#[derive(Debug)]
pub(super) struct Writer {
    width: usize,
    rows: usize,
    place: Place,
}

#[derive(Debug)]
enum Place {
    Doubles(Vec<f64>),
    Singles(Vec<f32>),
    File(FileWriter),
}

impl Writer {
    /// For rows of numbers of 64 bits.
    pub(super) fn doubles(width: usize) -> Self {
        Self { width, rows: 0, place: Place::Doubles(Vec::new()) }
    }

    /// For rows of numbers of 32 bits.
    pub(super) fn singles(width: usize) -> Self {
        Self { width, rows: 0, place: Place::Singles(Vec::new()) }
    }

    /// How many numbers it has.
    pub(super) fn len(&self) -> usize {
        self.rows * self.width
    }

    /// Adds a row of its width.
    ///
    /// # Errors
    /// What the system says of the file.
    pub(super) fn push(&mut self, row: &[f64]) -> Result<(), StorageError> {
        self.rows += 1;
        match &mut self.place {
            Place::Doubles(values) => values.extend_from_slice(row),
            Place::Singles(values) => values.extend(row.iter().map(|&value| value as f32)),
            Place::File(file) => file.push(row)?,
        }
        Ok(())
    }

    /// Goes on in a file, if it isn't one already.
    ///
    /// # Errors
    /// What the system says of the file.
    pub(super) fn move_to(&mut self, folder: &Path) -> Result<(), StorageError> {
        let mut file = match &self.place {
            Place::Doubles(values) => FileWriter::new(folder, Cell::of(values))?,
            Place::Singles(_) => FileWriter::new(folder, Cell::Single)?,
            Place::File(_) => return Ok(()),
        };
        let at_once = self.width.max(1);
        match &self.place {
            Place::Doubles(values) => {
                values.chunks(at_once).try_for_each(|row| file.push(row))?;
            }
            Place::Singles(values) => {
                for row in values.chunks(at_once) {
                    file.push(&row.iter().copied().map(f64::from).collect::<Vec<_>>())?;
                }
            }
            Place::File(_) => {}
        }
        self.place = Place::File(file);
        Ok(())
    }

    /// The rows as lists of them say, a store for each list; every row belongs to one.
    ///
    /// # Errors
    /// What the system says of the file.
    pub(super) fn finish(self, lists: &[Vec<usize>]) -> Result<Vec<Store>, StorageError> {
        let Self { width, place, .. } = self;
        let store = |rows: usize, kept: Kept| Store { width, rows, kept };
        match place {
            Place::Doubles(values) => Ok(lists
                .iter()
                .map(|list| store(list.len(), Kept::Doubles(gather(&values, width, list))))
                .collect()),
            Place::Singles(values) => Ok(lists
                .iter()
                .map(|list| store(list.len(), Kept::Singles(gather(&values, width, list))))
                .collect()),
            Place::File(file) => {
                let (scratch, cell) = file.ordered(width, lists)?;
                let scratch = Arc::new(scratch);
                let mut first = 0;
                let of_list = |list: &Vec<usize>| {
                    let kept = Kept::File(scratch.clone(), cell, first);
                    first += list.len() as u64;
                    store(list.len(), kept)
                };
                Ok(lists.iter().map(of_list).collect())
            }
        }
    }
}

fn gather<T: Copy>(values: &[T], width: usize, rows: &[usize]) -> Vec<T> {
    let mut out = Vec::with_capacity(width * rows.len());
    rows.iter().for_each(|row| out.extend_from_slice(&values[row * width..][..width]));
    out
}

/// Appends numbers to a scratch file.
#[derive(Debug)]
struct FileWriter {
    scratch: Scratch,
    folder: PathBuf,
    cell: Cell,
    written: u64,
    pending: Vec<u8>,
}

impl FileWriter {
    fn new(folder: &Path, cell: Cell) -> Result<Self, StorageError> {
        let (scratch, folder) = (Scratch::new(folder)?, folder.to_owned());
        Ok(Self { scratch, folder, cell, written: 0, pending: Vec::new() })
    }

    fn push(&mut self, values: &[f64]) -> Result<(), StorageError> {
        if self.cell == Cell::Single && Cell::of(values) == Cell::Double {
            self.widen()?;
        }
        self.cell.push(values, &mut self.pending);
        if self.pending.len() >= WRITTEN_AT_ONCE { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<(), StorageError> {
        self.scratch.write(self.written, &self.pending)?;
        self.written += self.pending.len() as u64;
        self.pending.clear();
        Ok(())
    }

    /// Writes all of it anew with 64 bits a number.
    fn widen(&mut self) -> Result<(), StorageError> {
        self.flush()?;
        let mut wide = Self::new(&self.folder, Cell::Double)?;
        let mut at = 0;
        while at < self.written {
            let count = (self.written - at).min(WRITTEN_AT_ONCE as u64) as usize;
            let numbers = Numbers::Bytes(self.scratch.read(at, count)?, self.cell);
            let mut values = vec![0.0; count / self.cell.bytes()];
            numbers.copy(0, &mut values);
            wide.push(&values)?;
            at += count as u64;
        }
        *self = wide;
        Ok(())
    }

    /// The file with its rows in another order, for which it is written anew unless it is the same.
    fn ordered(
        mut self,
        width: usize,
        lists: &[Vec<usize>],
    ) -> Result<(Scratch, Cell), StorageError> {
        self.flush()?;
        let order = || lists.iter().flatten().copied();
        if order().eq(0..order().count()) {
            return Ok((self.scratch, self.cell));
        }
        let bytes = width * self.cell.bytes();
        let mut other = Self::new(&self.folder, self.cell)?;
        for row in order() {
            other.pending.extend(self.scratch.read(row as u64 * bytes as u64, bytes)?);
            if other.pending.len() >= WRITTEN_AT_ONCE {
                other.flush()?;
            }
        }
        other.flush()?;
        Ok((other.scratch, other.cell))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rows of two numbers, of 64 bits from a row on.
    fn row(at: usize, wide_from: usize) -> [f64; 2] {
        let odd = if at == 3 { f64::NAN } else { -0.0 };
        [if at < wide_from { at as f64 + 0.5 } else { at as f64 + 0.1 }, odd]
    }

    #[test]
    fn a_file_gives_back_every_bit_in_any_order() {
        let folder = tempfile::tempdir().unwrap();
        for (wide_from, in_file_from) in [(99, 0), (99, 4), (6, 4), (2, 4), (0, 0)] {
            for lists in [vec![vec![0, 1, 2, 3], vec![4, 5, 6, 7]], vec![vec![7, 2, 3], vec![0]]] {
                let mut writer = Writer::doubles(2);
                for at in 0..8 {
                    if at == in_file_from {
                        writer.move_to(folder.path()).unwrap();
                    }
                    writer.push(&row(at, wide_from)).unwrap();
                }
                let stores = writer.finish(&lists).unwrap();
                for (store, list) in stores.iter().zip(&lists) {
                    assert!(!store.is_in_memory());
                    for (at, &of) in list.iter().enumerate() {
                        let bits =
                            |row: &[f64]| row.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
                        assert_eq!(bits(&store.row(at).unwrap()), bits(&row(of, wide_from)));
                    }
                }
            }
        }
    }

    #[test]
    fn what_is_single_takes_four_bytes() {
        let folder = tempfile::tempdir().unwrap();
        let cell = |wide_from: usize| {
            let mut writer = Writer::doubles(2);
            writer.move_to(folder.path()).unwrap();
            (0..8).for_each(|at| writer.push(&row(at, wide_from)).unwrap());
            match &writer.finish(&[(0..8).collect()]).unwrap()[0].kept {
                Kept::File(_, cell, _) => *cell,
                _ => unreachable!("it was moved"),
            }
        };
        assert_eq!((cell(99), cell(7)), (Cell::Single, Cell::Double));
    }
}
