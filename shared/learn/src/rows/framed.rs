//! The features of a site through a frame: one matrix where they are in memory, blocks of rows that are read,
//! used and dropped where they are in a file.
//!
//! Blocks are whole blocks of the kernel and come in the order of rows, so whatever is added up over them is the
//! same sum, bit by bit, as over one matrix.

use std::borrow::Cow;
use std::collections::HashMap;
use std::ops::Range;
use std::sync::{Arc, Mutex};
use std::thread;

use rayon::prelude::*;
use wardround_core::query::Frame;

use super::kernel::{CHUNK, Matrix};
use super::scale::Scales;
use super::site::{SiteRows, gaps, lock};
use super::store::{Numbers, Store};
use crate::cohort::CohortError;

/// Rows that one thread puts into a frame.
const ROWS_AT_ONCE: usize = 32;

/// The features seen through a frame.
#[derive(Debug)]
pub(super) struct Framed {
    pub(super) frame: Frame,
    /// `(z, 1)` of each row; missing entries are 0.
    z: Kept,
    /// The same of each row's altered copies, once they are asked for.
    copies: Mutex<Option<Kept>>,
    pub(super) scales: Mutex<Scales>,
}

/// What stays of rows that were put into a frame.
#[derive(Debug, Clone)]
enum Kept {
    Whole(Arc<Matrix>),
    /// Nothing: they are read and framed for every question.
    InBlocks,
}

/// Rows that models are fitted to: the rows themselves, or their altered copies.
#[derive(Debug)]
pub(super) struct Views<'a> {
    site: &'a SiteRows,
    frame: &'a Frame,
    store: &'a Store,
    kept: Kept,
    /// View and column of each missing feature, view by view.
    pub(super) missing: &'a [(usize, usize)],
    /// How many of them belong to a row of the site, one after the other.
    pub(super) each: usize,
}

/// Some consecutive views.
#[derive(Debug)]
pub(super) struct Block<'a> {
    /// The first view.
    pub(super) first: usize,
    /// How many they are.
    pub(super) len: usize,
    /// `(z, 1)` of each; missing entries are 0.
    pub(super) z: Arc<Matrix>,
    /// View and column of each missing feature, view by view.
    pub(super) missing: &'a [(usize, usize)],
    /// How many views belong to a row of the site.
    pub(super) each: usize,
}

impl Block<'_> {
    /// `(z, 1)` of a view.
    pub(super) fn row(&self, view: usize) -> &[f64] {
        self.z.row(view - self.first)
    }

    /// The views.
    pub(super) fn views(&self) -> Range<usize> {
        self.first..self.first + self.len
    }

    /// What is known of each row, for the rows of these views.
    pub(super) fn spread<'a, T: Copy>(&self, of_rows: &'a [T]) -> Cow<'a, [T]> {
        match self.each {
            1 => Cow::Borrowed(&of_rows[self.views()]),
            each => self.views().map(|view| of_rows[view / each]).collect(),
        }
    }

    /// Of some views, ascending, those that are here.
    pub(super) fn of<'a>(&self, views: &'a [usize]) -> &'a [usize] {
        let before = |end: usize| views.partition_point(|&view| view < end);
        &views[before(self.first)..before(self.first + self.len)]
    }
}

impl Views<'_> {
    /// How many they are.
    pub(super) fn len(&self) -> usize {
        self.store.rows()
    }

    /// The views of some rows, in their order.
    pub(super) fn of_rows(&self, rows: &[usize]) -> Vec<usize> {
        rows.iter().flat_map(|row| row * self.each..(row + 1) * self.each).collect()
    }

    /// Columns, without the constant.
    pub(super) fn features(&self) -> usize {
        self.site.d()
    }

    /// Columns of their matrix, padded.
    pub(super) fn columns(&self) -> usize {
        Matrix::zero(0, self.site.d() + 1).columns
    }

    /// Views of a range, and more where they are all at hand.
    ///
    /// # Errors
    /// [`CohortError::SiteFailed`]: the file can't be read.
    pub(super) fn block(&self, views: Range<usize>) -> Result<Block<'_>, CohortError> {
        match &self.kept {
            Kept::Whole(z) => Ok(self.block_of(0..self.len(), z.clone())),
            Kept::InBlocks => {
                let numbers = self.store.read(views.clone());
                let numbers = numbers.map_err(|error| self.site.failed(&error))?;
                Ok(self.block_of(views.clone(), Arc::new(self.framed(&numbers, views))))
            }
        }
    }

    /// `(z, 1)` of a view.
    ///
    /// # Errors
    /// As [`Views::block`].
    pub(super) fn row(&self, view: usize) -> Result<Cow<'_, [f64]>, CohortError> {
        match &self.kept {
            Kept::Whole(z) => Ok(Cow::Borrowed(z.row(view))),
            Kept::InBlocks => Ok(Cow::Owned(self.block(view..view + 1)?.row(view).to_vec())),
        }
    }

    /// Hands out all views, block by block in their order. The next block is read while one is used.
    ///
    /// # Errors
    /// As [`Views::block`], and what `each` says.
    pub(super) fn for_each(
        &self,
        mut each: impl FnMut(&Block<'_>) -> Result<(), CohortError>,
    ) -> Result<(), CohortError> {
        if let Kept::Whole(_) = &self.kept {
            return each(&self.block(0..self.len())?);
        }
        let (n, at_once) = (self.len(), self.at_once());
        let range = |first: usize| first..n.min(first + at_once);
        thread::scope(|scope| {
            let read = |first: usize| scope.spawn(move || self.store.read(range(first)));
            let mut coming = read(0);
            for first in (0..n).step_by(at_once) {
                let read_ahead =
                    coming.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
                let numbers = read_ahead.map_err(|error| self.site.failed(&error))?;
                coming = read(n.min(first + at_once));
                let z = self.framed(&numbers, range(first));
                drop(numbers);
                each(&self.block_of(range(first), Arc::new(z)))?;
            }
            Ok(())
        })
    }

    /// Views in a block where they aren't all at hand.
    pub(super) fn at_once(&self) -> usize {
        let bytes = self.columns() * size_of::<f64>();
        (self.site.storage().bytes_at_once() / bytes / CHUNK).max(1) * CHUNK
    }

    fn block_of(&self, views: Range<usize>, z: Arc<Matrix>) -> Block<'_> {
        let before = |end: usize| self.missing.partition_point(|&(view, _)| view < end);
        let missing = &self.missing[before(views.start)..before(views.end)];
        Block { first: views.start, len: views.len(), z, missing, each: self.each }
    }

    /// `(z, 1)` of some views.
    fn framed(&self, numbers: &Numbers<'_>, views: Range<usize>) -> Matrix {
        let d = self.site.d();
        let mut z = Matrix::zero(views.len(), d + 1);
        let columns = z.columns;
        let rows = z.data.par_chunks_exact_mut(columns).take(views.len()).enumerate();
        rows.with_min_len(ROWS_AT_ONCE).for_each(|(at, row)| {
            numbers.copy(at * d, &mut row[..d]);
            row[d] = 1.0;
            let scales = self.frame.center.iter().zip(&self.frame.scale);
            row.iter_mut().zip(scales).for_each(|(z, (center, scale))| *z = (*z - center) / scale);
            gaps(self.missing, views.start + at).iter().for_each(|&(_, column)| row[column] = 0.0);
        });
        z
    }
}

impl SiteRows {
    /// The rows themselves.
    pub(super) fn plain<'a>(&'a self, framed: &'a Framed) -> Views<'a> {
        let (store, missing) = (self.features(), self.missing_entries());
        Views { site: self, frame: &framed.frame, store, kept: framed.z.clone(), missing, each: 1 }
    }

    /// All that models are fitted to: the rows, and their altered copies where there are any.
    ///
    /// # Errors
    /// [`CohortError::SiteFailed`]: a file can't be read.
    pub(super) fn fitted<'a>(&'a self, framed: &'a Framed) -> Result<Vec<Views<'a>>, CohortError> {
        let mut all = vec![self.plain(framed)];
        let (each, store) = (self.copies().each, &self.copies().features);
        if each > 0 {
            let mut kept = lock(&framed.copies);
            let kept = match &*kept {
                Some(kept) => kept.clone(),
                None => kept.insert(self.kept(&framed.frame, store, &[])?).clone(),
            };
            all.push(Views { site: self, frame: &framed.frame, store, kept, missing: &[], each });
        }
        Ok(all)
    }

    /// The features through a frame.
    ///
    /// # Errors
    /// As [`SiteRows::fitted`].
    pub(super) fn through(&self, frame: &Frame) -> Result<Framed, CohortError> {
        let z = self.kept(frame, self.features(), self.missing_entries())?;
        let scales = Mutex::new(HashMap::new());
        Ok(Framed { frame: frame.clone(), z, copies: Mutex::default(), scales })
    }

    fn kept(
        &self,
        frame: &Frame,
        store: &Store,
        missing: &[(usize, usize)],
    ) -> Result<Kept, CohortError> {
        if !store.is_in_memory() {
            return Ok(Kept::InBlocks);
        }
        let views = Views { site: self, frame, store, kept: Kept::InBlocks, missing, each: 1 };
        Ok(Kept::Whole(views.block(0..views.len())?.z))
    }
}
