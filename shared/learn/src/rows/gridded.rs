//! The features on a frame's grid, column by column: what trees are grown and scored on. Two bytes a feature, in
//! memory where they are few, otherwise in a scratch file.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::{Arc, Mutex};

use rayon::prelude::*;
use wardround_core::digest::Digest;
use wardround_core::query::{Frame, Node, Tree, TreeModel};

use super::scratch::{Scratch, StorageError};
use super::site::lock;
use super::store::Storage;

/// Bytes of logits of finished trees that are kept.
const KEPT_BYTES: usize = 256 << 20;

/// Bytes of features that are put on the grid at once, and of steps that a window holds.
const BYTES_AT_ONCE: usize = 16 << 20;

/// Rows that a window has at least.
const LEAST_ROWS: usize = 16;

/// The features on a frame's grid.
#[derive(Debug)]
pub(super) struct Gridded {
    pub(super) frame: Frame,
    rows: usize,
    d: usize,
    /// Column by column, the step of each row.
    steps: Steps,
    /// Bytes of a window.
    at_once: usize,
    /// Logits of boosted models so far, by what they are the sum of; the last used is the last.
    logits: Mutex<Vec<(Digest, Arc<Vec<f64>>)>>,
}

#[derive(Debug)]
enum Steps {
    Memory(Vec<u16>),
    File(Scratch),
}

/// Some consecutive rows with the columns that some trees split.
#[derive(Debug)]
pub(super) struct Window<'a> {
    rows: Range<usize>,
    /// Column by column, the step of each row.
    steps: Cow<'a, [u16]>,
    /// Where a column is.
    places: Places,
}

#[derive(Debug)]
enum Places {
    /// All columns are there, of all rows.
    Own,
    /// By column; of one that isn't there anything.
    Listed(Arc<Vec<u32>>),
}

impl Window<'_> {
    /// The rows.
    pub(super) fn rows(&self) -> Range<usize> {
        self.rows.clone()
    }

    /// Of some rows, ascending, those that are here.
    pub(super) fn of<'a>(&self, rows: &'a [usize]) -> &'a [usize] {
        let before = |end: usize| rows.partition_point(|&row| row < end);
        &rows[before(self.rows.start)..before(self.rows.end)]
    }

    /// The step of a row in each column.
    pub(super) fn step(&self, row: usize) -> impl Fn(u32) -> u16 {
        let (row, rows, steps) = (row - self.rows.start, self.rows.len(), &*self.steps);
        let places = &self.places;
        move |column| {
            let place = match places {
                Places::Own => column as usize,
                Places::Listed(places) => places[column as usize] as usize,
            };
            steps[place * rows + row]
        }
    }
}

impl Gridded {
    /// Puts rows of `d` features on a frame's grid, at least one; `read` gives the features of consecutive rows,
    /// row by row.
    ///
    /// # Errors
    /// What `read` says, and what the system says of the file.
    pub(super) fn new(
        frame: &Frame,
        rows: usize,
        d: usize,
        storage: &Storage,
        read: impl Fn(Range<usize>, &mut [f64]) -> Result<(), StorageError>,
    ) -> Result<Self, StorageError> {
        let mut steps = match storage.folder_for((rows * d * size_of::<u16>()) as u64) {
            Some(folder) => Steps::File(Scratch::new(folder)?),
            None => Steps::Memory(vec![0; rows * d]),
        };
        let at_once = BYTES_AT_ONCE.min(storage.bytes_at_once());
        let height = (at_once / (d * size_of::<f64>())).clamp(1, rows).max(rows.min(LEAST_ROWS));
        let mut values = vec![0.0; height * d];
        for first in (0..rows).step_by(height) {
            let of_block = first..rows.min(first + height);
            let values = &mut values[..of_block.len() * d];
            read(of_block.clone(), values)?;
            let step = |column: usize, row: usize| frame.step(column, values[row * d + column]);
            match &mut steps {
                Steps::Memory(steps) => {
                    steps.par_chunks_exact_mut(rows).enumerate().for_each(|(column, steps)| {
                        let of_block = steps[of_block.clone()].iter_mut().enumerate();
                        of_block.for_each(|(row, to)| *to = step(column, row));
                    });
                }
                Steps::File(scratch) => (0..d).into_par_iter().try_for_each(|column| {
                    let steps = (0..of_block.len()).map(|row| step(column, row));
                    let bytes: Vec<u8> = steps.flat_map(u16::to_le_bytes).collect();
                    scratch.write(place(rows, column, first), &bytes)
                })?,
            }
        }
        let (frame, logits) = (frame.clone(), Mutex::default());
        Ok(Self { frame, rows, d, steps, at_once, logits })
    }

    /// What it takes in memory, but for logits.
    pub(super) fn bytes(&self) -> usize {
        match &self.steps {
            Steps::Memory(steps) => steps.len() * size_of::<u16>(),
            Steps::File(_) => 0,
        }
    }

    /// Whether columns need not be read.
    pub(super) fn is_in_memory(&self) -> bool {
        matches!(self.steps, Steps::Memory(_))
    }

    /// The step of each row in a column.
    ///
    /// # Errors
    /// What the system says of the file.
    pub(super) fn column(&self, column: u32) -> Result<Cow<'_, [u16]>, StorageError> {
        match &self.steps {
            Steps::Memory(steps) => {
                Ok(Cow::Borrowed(&steps[column as usize * self.rows..][..self.rows]))
            }
            Steps::File(scratch) => {
                let mut steps = Vec::with_capacity(self.rows);
                read(scratch, place(self.rows, column as usize, 0), self.rows, &mut steps)?;
                Ok(Cow::Owned(steps))
            }
        }
    }

    /// Hands out all rows with the columns that some trees split, window by window in the order of rows.
    /// `failed` says what a file that can't be read means.
    ///
    /// # Errors
    /// What `failed` and `each` say.
    pub(super) fn for_each<E>(
        &self,
        trees: &[Tree],
        mut each: impl FnMut(&Window<'_>) -> Result<(), E>,
        failed: impl Fn(StorageError) -> E,
    ) -> Result<(), E> {
        let scratch = match &self.steps {
            Steps::Memory(steps) => {
                let steps = Cow::Borrowed(steps.as_slice());
                return each(&Window { rows: 0..self.rows, steps, places: Places::Own });
            }
            Steps::File(scratch) => scratch,
        };
        let split = |node: &Node| match node {
            Node::Split { column, .. } => Some(*column),
            Node::Leaf { .. } => None,
        };
        let mut columns: Vec<u32> =
            trees.iter().flat_map(|Tree(nodes)| nodes).filter_map(split).collect();
        columns.sort_unstable();
        columns.dedup();
        let mut places = vec![0; self.d];
        for (place, &column) in (0..).zip(&columns) {
            places[column as usize] = place;
        }
        let places = Arc::new(places);
        let height = self.at_once / (columns.len().max(1) * size_of::<u16>());
        let height = height.clamp(LEAST_ROWS.min(self.rows), self.rows);
        for first in (0..self.rows).step_by(height) {
            let rows = first..self.rows.min(first + height);
            let mut steps = Vec::with_capacity(columns.len() * rows.len());
            for &column in &columns {
                let at = place(self.rows, column as usize, first);
                read(scratch, at, rows.len(), &mut steps).map_err(&failed)?;
            }
            let places = Places::Listed(places.clone());
            each(&Window { rows, steps: Cow::Owned(steps), places })?;
        }
        Ok(())
    }

    /// The logit of each row by a model.
    ///
    /// # Errors
    /// What the system says of the file.
    pub(super) fn scores(
        &self,
        model: &TreeModel,
        needed: &[bool],
    ) -> Result<Vec<f64>, StorageError> {
        let mut scores = vec![0.0; self.rows];
        self.for_each(
            &model.trees,
            |window| {
                let of_window = scores[window.rows()].par_iter_mut().zip(window.rows());
                of_window.filter(|(_, row)| needed[*row]).for_each(|(score, row)| {
                    *score = model.logit(window.step(row));
                });
                Ok(())
            },
            |error| error,
        )?;
        Ok(scores)
    }

    /// The logit of each row after some trees. Trees are added one after the other, so that it doesn't
    /// matter how many of them were known before.
    ///
    /// # Errors
    /// What the system says of the file.
    pub(super) fn logits_after(
        &self,
        start: f64,
        trees: &[Tree],
    ) -> Result<Arc<Vec<f64>>, StorageError> {
        let mut names = vec![Digest::of(&start.to_le_bytes())];
        for tree in trees {
            let mut bytes = names[names.len() - 1].as_bytes().to_vec();
            tree.0.iter().for_each(|node| push(node, &mut bytes));
            names.push(Digest::of(&bytes));
        }
        let mut kept = lock(&self.logits);
        let found = names.iter().enumerate().rev().find_map(|(count, name)| {
            let at = kept.iter().position(|(of, _)| of == name)?;
            Some((count, kept.remove(at).1))
        });
        let (known, mut logits) = found.unwrap_or_else(|| (0, Arc::new(vec![start; self.rows])));
        let further = &trees[known..];
        if !further.is_empty() {
            let mut now = (*logits).clone();
            self.for_each(
                further,
                |window| {
                    for tree in further {
                        let of_window = now[window.rows()].par_iter_mut().zip(window.rows());
                        of_window.for_each(|(logit, row)| {
                            if let Node::Leaf { value } = tree.0[tree.leaf_of(window.step(row))] {
                                *logit += value;
                            }
                        });
                    }
                    Ok(())
                },
                |error| error,
            )?;
            logits = Arc::new(now);
        }
        kept.push((names[trees.len()], logits.clone()));
        let most = (KEPT_BYTES / (8 * self.rows)).max(1);
        if kept.len() > most {
            kept.remove(0);
        }
        Ok(logits)
    }
}

/// Where a file has the step of a row in a column.
fn place(rows: usize, column: usize, row: usize) -> u64 {
    ((column * rows + row) * size_of::<u16>()) as u64
}

fn read(
    scratch: &Scratch,
    at: u64,
    count: usize,
    steps: &mut Vec<u16>,
) -> Result<(), StorageError> {
    let bytes = scratch.read(at, count * size_of::<u16>())?;
    steps.extend(bytes.as_chunks::<2>().0.iter().map(|step| u16::from_le_bytes(*step)));
    Ok(())
}

fn push(node: &Node, bytes: &mut Vec<u8>) {
    match *node {
        Node::Leaf { value } => {
            bytes.push(0);
            bytes.extend(value.to_le_bytes());
        }
        Node::Split { column, below, missing, left } => {
            bytes.push(1 + missing as u8);
            bytes.extend(column.to_le_bytes());
            bytes.extend(below.to_le_bytes());
            bytes.extend(left.to_le_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logits_are_the_same_bits_whatever_was_known() {
        let frame = Frame::identity(1);
        let x: Vec<f64> = (0..40).map(|i| f64::from(i) / 10.0 - 2.0).collect();
        let tree = |below, value: f64| {
            let split = Node::Split {
                column: 0,
                below,
                missing: wardround_core::query::Side::Left,
                left: 1,
            };
            Tree(vec![split, Node::Leaf { value }, Node::Leaf { value: -value / 3.0 }])
        };
        let trees = [tree(500, 0.1), tree(512, 0.7), tree(530, 1e-9)];
        let folder = tempfile::tempdir().unwrap();
        let on_disk = Storage::Disk { folder: folder.path().into(), above: 0 };
        let gridded = |storage: &Storage| {
            let values = |rows: Range<usize>, out: &mut [f64]| {
                out.copy_from_slice(&x[rows]);
                Ok(())
            };
            Gridded::new(&frame, x.len(), 1, storage, values).unwrap()
        };
        let (step_by_step, at_once) = (gridded(&Storage::Memory), gridded(&on_disk));
        for count in 0..=3 {
            step_by_step.logits_after(0.3, &trees[..count]).unwrap();
        }
        let all = at_once.logits_after(0.3, &trees).unwrap();
        assert_eq!(step_by_step.logits_after(0.3, &trees).unwrap(), all);
        assert_eq!(
            at_once.logits_after(0.3, &trees[..1]).unwrap(),
            step_by_step.logits_after(0.3, &trees[..1]).unwrap()
        );
        let model = TreeModel {
            class: 1,
            output: wardround_core::query::TreeOutput::Sum,
            start: 0.3,
            trees: trees.to_vec(),
        };
        assert_eq!(at_once.scores(&model, &[true; 40]).unwrap(), *all);
    }
}
