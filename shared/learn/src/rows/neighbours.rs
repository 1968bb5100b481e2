//! The nearest rows of the same class at the same site: what SMOTE draws lines between (Chawla et al.,
//! JAIR 2002;16:321, section 4.2).
//!
//! Every feature is divided by its deviation over the site's own rows of the training folds, and a missing
//! one counts as their mean; nothing outside those rows has a part. A search over m rows of d features
//! takes m^2 d multiplications, 1.5 billion at 1,100 rows of 1,280 features. Of rows in memory it holds 2 m d
//! numbers, of rows in a file some rows and their candidates, read anew for every further rows. What is kept are
//! five indices per row.

use wardround_core::query::FoldSet;

use super::kernel::{Matrix, Panels, dot, product};
use super::scratch::StorageError;
use super::site::{Seen, SiteRows, gaps};

/// Neighbours of a row.
const NEAREST: usize = 5;

/// Rows whose distances are held at once.
const CHUNK: usize = 256;

/// Rows whose features are added up at once.
const ROWS_AT_ONCE: usize = 256;

/// The nearest neighbours of some rows.
#[derive(Debug)]
pub(super) struct Neighbours {
    /// The rows, ascending.
    rows: Vec<u32>,
    /// How many neighbours each has: 5, or all others where there are fewer.
    each: usize,
    /// Row by row, nearest first.
    nearest: Vec<u32>,
}

impl Neighbours {
    /// The neighbours of a row; none if it is the only one of its class.
    pub(super) fn of(&self, row: usize) -> &[u32] {
        match self.rows.binary_search(&(row as u32)) {
            Ok(at) => &self.nearest[at * self.each..][..self.each],
            Err(_) => &[],
        }
    }

    /// Searches among rows of a site, seen on the scale of its rows in some folds.
    ///
    /// # Errors
    /// The file of features can't be read.
    pub(super) fn search(
        seen: &Seen<'_>,
        repeat: u8,
        folds: FoldSet,
        members: Vec<usize>,
    ) -> Result<Self, StorageError> {
        let each = NEAREST.min(members.len().saturating_sub(1));
        let mut nearest = Vec::with_capacity(members.len() * each);
        if each > 0 {
            let (rows, d) = (seen.rows, seen.features());
            let chosen: Vec<usize> =
                (0..rows.len()).filter(|&row| folds.contains(seen.folds(repeat)[row])).collect();
            let scale = scale(rows, &chosen, d)?;
            let at_once = at_once(rows, members.len());
            let firsts: Vec<usize> = (0..members.len()).step_by(at_once).collect();
            let part = |first: usize| {
                let end = members.len().min(first + at_once);
                standardised(rows, d, &scale, &members[first..end]).map(|x| (first, end, x))
            };
            for &first in &firsts {
                let (first, end, x) = part(first)?;
                let mut found = vec![Vec::with_capacity(each + 1); end - first];
                for &others in &firsts {
                    match others == first {
                        true => add_nearest(&mut found, each, (first, &x), (others, end, &x)),
                        false => {
                            let (others, end, y) = part(others)?;
                            add_nearest(&mut found, each, (first, &x), (others, end, &y));
                        }
                    }
                }
                nearest.extend(found.into_iter().flatten().map(|(_, other)| members[other] as u32));
            }
        }
        let rows = members.into_iter().map(|row| row as u32).collect();
        Ok(Self { rows, each, nearest })
    }
}

/// Members that are held at once, beside as many candidates: all where features are in memory.
fn at_once(rows: &SiteRows, members: usize) -> usize {
    if rows.features().is_in_memory() {
        return members;
    }
    let of_row = rows.d() * size_of::<f64>();
    (rows.storage().bytes_at_once() / of_row / CHUNK).max(1) * CHUNK
}

/// Goes through further candidates, members from a place to an end, for members from another place on.
fn add_nearest(
    found: &mut [Vec<(f64, usize)>],
    each: usize,
    (first, x): (usize, &Matrix),
    (others, end, y): (usize, usize, &Matrix),
) {
    let count = end - others;
    let mut columns = Panels::zero(y.columns, count);
    for at in 0..count {
        let values = y.row(at).iter().enumerate();
        values.for_each(|(k, &value)| *columns.get_mut(k, at) = value);
    }
    let squares: Vec<f64> = (0..count).map(|at| dot(y.row(at), y.row(at))).collect();
    for (at_chunk, found) in found.chunks_mut(CHUNK).enumerate() {
        let start = at_chunk * CHUNK;
        let mut chunk = Matrix::zero(found.len(), x.columns);
        (0..found.len()).for_each(|at| chunk.row_mut(at).copy_from_slice(x.row(start + at)));
        let products = product(&chunk, &columns);
        for (at, found) in found.iter_mut().enumerate() {
            // Less the row's own square, which is the same for all.
            let distance = |other: usize| squares[other] - 2.0 * products.get(at, other);
            let candidates = (0..count).filter(|other| others + other != first + start + at);
            least(found, candidates.map(|other| (distance(other), others + other)), each);
        }
    }
}

/// The `count` nearest of those known and some more, of equal ones the first.
fn least(
    found: &mut Vec<(f64, usize)>,
    distances: impl Iterator<Item = (f64, usize)>,
    count: usize,
) {
    for (distance, other) in distances {
        if found.len() < count || distance < found[count - 1].0 {
            let at = found.partition_point(|(nearer, _)| *nearer <= distance);
            found.insert(at, (distance, other));
            found.truncate(count);
        }
    }
}

/// Mean and one over the deviation of each feature.
type Scale = (Vec<f64>, Vec<f64>);

/// Some rows in units of each feature's deviation.
fn standardised(
    rows: &SiteRows,
    d: usize,
    (mean, inverse): &Scale,
    members: &[usize],
) -> Result<Matrix, StorageError> {
    let mut x = Matrix::zero(members.len(), d);
    for (at, &row) in members.iter().enumerate() {
        let out = x.row_mut(at);
        for (k, value) in rows.row(row)?.iter().enumerate() {
            out[k] = (value - mean[k]) * inverse[k];
        }
        gaps(rows.missing_entries(), row).iter().for_each(|&(_, column)| out[column] = 0.0);
    }
    Ok(x)
}

/// Of the rows that have each feature; one over the deviation of a constant one is 0.
fn scale(rows: &SiteRows, chosen: &[usize], d: usize) -> Result<Scale, StorageError> {
    let (mut n, mut mean, mut squares) = (vec![0.0; d], vec![0.0; d], vec![0.0; d]);
    for_each_value(rows, chosen, |k, x| {
        n[k] += 1.0;
        mean[k] += x;
    })?;
    mean.iter_mut().zip(&n).filter(|(_, n)| **n > 0.0).for_each(|(mean, n)| *mean /= n);
    for_each_value(rows, chosen, |k, x| squares[k] += (x - mean[k]) * (x - mean[k]))?;
    let of_column = |(squares, n): (&f64, &f64)| match *squares > 0.0 {
        true => 1.0 / (squares / n).sqrt(),
        false => 0.0,
    };
    let inverse = squares.iter().zip(&n).map(of_column).collect();
    Ok((mean, inverse))
}

/// Each value of some rows, ascending, that isn't missing, with its column.
fn for_each_value(
    rows: &SiteRows,
    chosen: &[usize],
    mut of: impl FnMut(usize, f64),
) -> Result<(), StorageError> {
    let d = rows.d();
    let mut values = vec![0.0; d];
    // Rows near each other are read together.
    for chosen in chosen.chunk_by(|a, b| a / ROWS_AT_ONCE == b / ROWS_AT_ONCE) {
        let first = chosen[0];
        let numbers = rows.features().read(first..chosen[chosen.len() - 1] + 1)?;
        for row in chosen {
            numbers.copy((row - first) * d, &mut values);
            let present = values.iter().enumerate().filter(|(_, x)| !x.is_nan());
            present.for_each(|(k, &x)| of(k, x));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_come_in_order_and_of_equal_ones_the_first() {
        let distances = [4.0, 1.0, 3.0, 1.0, 0.5, 9.0].into_iter().zip(0..);
        let mut found = Vec::new();
        least(&mut found, distances.clone().take(3), 4);
        least(&mut found, distances.skip(3), 4);
        assert_eq!(found.iter().map(|(_, other)| *other).collect::<Vec<_>>(), [4, 1, 3, 2]);
    }
}
