//! Matrix products for linear models over all rows, in plain `f64`.
//!
//! Every number of a product is one sum in index order, multiplied and added separately (never
//! fused), so its bits depend neither on threads, block sizes nor the machine's vector width; only
//! the speed does. Blocking follows Goto & van de Geijn 2008: both operands are packed so that the
//! inner loop reads memory in order, and a tile of 4 x 8 numbers stays in registers.

use pulp::{Simd, WithSimd};
use rayon::prelude::*;

/// Columns of a tile.
pub const LANES: usize = 8;
/// Rows of a tile; matrices are padded to it.
pub const GROUP: usize = 4;
/// Rows of a block; two packed blocks fit the first-level cache.
pub const CHUNK: usize = 64;

/// A dense matrix, row by row, padded with zeros to multiples of [`GROUP`] both ways.
#[derive(Debug, Clone)]
pub struct Matrix {
    /// Rows, padded.
    pub rows: usize,
    /// Columns, padded.
    pub columns: usize,
    /// The numbers, row by row.
    pub data: Vec<f64>,
}

impl Matrix {
    /// Zeros for at least so many rows and columns.
    pub fn zero(rows: usize, columns: usize) -> Self {
        let (rows, columns) = (rows.next_multiple_of(GROUP), columns.next_multiple_of(GROUP));
        Self { rows, columns, data: vec![0.0; rows * columns] }
    }

    /// One row.
    pub fn row(&self, row: usize) -> &[f64] {
        &self.data[row * self.columns..][..self.columns]
    }

    /// One row to write.
    pub fn row_mut(&mut self, row: usize) -> &mut [f64] {
        &mut self.data[row * self.columns..][..self.columns]
    }
}

/// A matrix in the order the tiles read it: blocks of rows, in a block panels of [`LANES`] columns,
/// in a panel row by row.
#[derive(Debug, Clone)]
pub struct Panels {
    rows: usize,
    panels: usize,
    data: Vec<[f64; LANES]>,
}

/// One block of [`Panels`].
#[derive(Debug)]
pub struct Block<'a> {
    /// Its first row.
    pub first: usize,
    /// How many rows it has.
    pub rows: usize,
    /// Its numbers: entry `panel * rows + row`.
    pub data: &'a mut [[f64; LANES]],
}

impl Panels {
    /// Zeros for so many rows (a multiple of [`GROUP`]) and at least so many columns.
    pub fn zero(rows: usize, columns: usize) -> Self {
        let panels = columns.div_ceil(LANES);
        Self { rows, panels, data: vec![[0.0; LANES]; rows * panels] }
    }

    /// The number in a row and column.
    pub fn get(&self, row: usize, column: usize) -> f64 {
        self.data[self.entry(row, column)][column % LANES]
    }

    /// The number in a row and column, to write.
    pub fn get_mut(&mut self, row: usize, column: usize) -> &mut f64 {
        let entry = self.entry(row, column);
        &mut self.data[entry][column % LANES]
    }

    /// The blocks, to be worked on in parallel.
    pub fn blocks_mut(&mut self) -> impl IndexedParallelIterator<Item = Block<'_>> {
        let panels = self.panels;
        // No columns means no data and hence no blocks.
        self.data.par_chunks_mut((CHUNK * panels).max(1)).enumerate().map(move |(at, data)| Block {
            first: at * CHUNK,
            rows: data.len() / panels,
            data,
        })
    }

    fn entry(&self, row: usize, column: usize) -> usize {
        let first = row / CHUNK * CHUNK;
        let rows = CHUNK.min(self.rows - first);
        first * self.panels + column / LANES * rows + (row - first)
    }

    /// First row, rows and numbers of each block.
    fn blocks(&self) -> impl Iterator<Item = (usize, usize, &[[f64; LANES]])> {
        let panels = self.panels.max(1);
        let chunks = self.data.chunks(CHUNK * panels).enumerate();
        chunks.map(move |(at, data)| (at * CHUNK, data.len() / panels, data))
    }
}

/// `x y`: rows of `x` by columns of `y`; `y` has as many rows as `x` has columns.
pub fn product(x: &Matrix, y: &Panels) -> Panels {
    let mut out = Panels::zero(x.rows, y.panels * LANES);
    multiply(
        &mut out,
        y,
        |_| 0,
        |packed, (row, rows), (column, columns)| {
            for group in (row..row + rows).step_by(GROUP) {
                let of_group: [&[f64]; GROUP] =
                    std::array::from_fn(|i| &x.row(group + i)[column..column + columns]);
                packed.extend((0..columns).map(|k| of_group.map(|row| row[k])));
            }
        },
    );
    out
}

/// Adds `x' y`, columns of `x` by columns of `y`, to `out`; both have the same rows. Further rows go on where the
/// last ones ended: the numbers are those of all rows at once.
pub fn add_cross(out: &mut Panels, x: &Matrix, y: &Panels) {
    add_cross_from(out, x, y, |_| 0);
}

/// As [`add_cross`], for a symmetric result: what lies left of the diagonal stays partly zero.
pub fn add_cross_upper(out: &mut Panels, x: &Matrix, y: &Panels) {
    add_cross_from(out, x, y, |row| row / LANES);
}

fn add_cross_from(
    out: &mut Panels,
    x: &Matrix,
    y: &Panels,
    first_panel: impl Fn(usize) -> usize + Sync,
) {
    multiply(out, y, first_panel, |packed, (column, columns), (row, rows)| {
        for group in (column..column + columns).step_by(GROUP) {
            packed.extend((row..row + rows).map(|r| {
                let at = r * x.columns + group;
                std::array::from_fn::<f64, GROUP, _>(|i| x.data[at + i])
            }));
        }
    });
}

/// Adds to every block of `out` the product of packed rows and every block of `y`, in the order of
/// `y`'s rows. `pack` appends, per group of four rows of `out`, what multiplies each row of `y`'s
/// block.
fn multiply(
    out: &mut Panels,
    y: &Panels,
    first_panel: impl Fn(usize) -> usize + Sync,
    pack: impl Fn(&mut Vec<[f64; GROUP]>, (usize, usize), (usize, usize)) + Sync,
) {
    let arch = pulp::Arch::new();
    out.blocks_mut().for_each(|block| {
        let mut packed = Vec::with_capacity(CHUNK * CHUNK / GROUP);
        for (first, depth, theirs) in y.blocks() {
            packed.clear();
            pack(&mut packed, (block.first, block.rows), (first, depth));
            let from = first_panel(block.first);
            let mine = &mut block.data[from * block.rows..];
            let theirs = &theirs[from * depth..];
            arch.dispatch(BlockProduct { packed: &packed, theirs, depth, mine, rows: block.rows });
        }
    });
}

/// One packed block times one block of panels, added to a block of panels.
struct BlockProduct<'a> {
    packed: &'a [[f64; GROUP]],
    theirs: &'a [[f64; LANES]],
    depth: usize,
    mine: &'a mut [[f64; LANES]],
    rows: usize,
}

// A struct rather than a closure, since only a method can ask to be inlined into the function that
// is compiled for the machine's vectors.
impl WithSimd for BlockProduct<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let Self { packed, theirs, depth, mine, rows } = self;
        for (panel, out) in theirs.chunks_exact(depth).zip(mine.chunks_exact_mut(rows)) {
            let (tiles, _) = out.as_chunks_mut::<GROUP>();
            for (group, tile) in packed.chunks_exact(depth).zip(tiles) {
                let mut sums = *tile;
                for (x, y) in group.iter().zip(panel) {
                    for (sums, &x) in sums.iter_mut().zip(x) {
                        for (sum, &y) in sums.iter_mut().zip(y) {
                            *sum += x * y;
                        }
                    }
                }
                *tile = sums;
            }
        }
    }
}

/// The scalar product of two vectors of one length, added up in eight fixed lanes.
pub fn dot(a: &[f64], b: &[f64]) -> f64 {
    pulp::Arch::new().dispatch(Dot { a, b })
}

struct Dot<'a> {
    a: &'a [f64],
    b: &'a [f64],
}

impl WithSimd for Dot<'_> {
    type Output = f64;

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) -> f64 {
        let (a, a_rest) = self.a.as_chunks::<LANES>();
        let (b, b_rest) = self.b.as_chunks::<LANES>();
        let mut sums = [0.0; LANES];
        for (a, b) in a.iter().zip(b) {
            for ((sum, a), b) in sums.iter_mut().zip(a).zip(b) {
                *sum += a * b;
            }
        }
        let rest: f64 = a_rest.iter().zip(b_rest).map(|(a, b)| a * b).sum();
        sums.iter().sum::<f64>() + rest
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use wardround_core::seed::Seed;

    use super::*;

    fn random(rows: usize, columns: usize, seed: u64) -> Matrix {
        let mut matrix = Matrix::zero(rows, columns);
        for row in 0..rows {
            for column in 0..columns {
                let parts: [&[u8]; 2] = [&row.to_le_bytes(), &column.to_le_bytes()];
                matrix.row_mut(row)[column] = Seed(seed).uniform("kernel", &parts) - 0.5;
            }
        }
        matrix
    }

    fn panels(matrix: &Matrix, columns: usize) -> Panels {
        let mut panels = Panels::zero(matrix.rows, columns);
        for row in 0..matrix.rows {
            (0..columns).for_each(|c| *panels.get_mut(row, c) = matrix.row(row)[c]);
        }
        panels
    }

    type AddCross = fn(&mut Panels, &Matrix, &Panels);

    /// The cross product, so many rows at a time.
    fn cross_in_parts(x: &Matrix, y: &Matrix, m: usize, at_once: usize, add: AddCross) -> Panels {
        let mut out = Panels::zero(x.columns, m);
        for first in (0..x.rows).step_by(at_once.next_multiple_of(GROUP)) {
            let rows = at_once.next_multiple_of(GROUP).min(x.rows - first);
            let part = |of: &Matrix| Matrix {
                rows,
                columns: of.columns,
                data: of.data[first * of.columns..][..rows * of.columns].to_vec(),
            };
            add(&mut out, &part(x), &panels(&part(y), m));
        }
        out
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn products_are_plain_sums_in_order(n in 1usize..150, d in 1usize..150, m in 1usize..20, seed: u64) {
            let x = random(n, d, seed);
            let w = random(d, m, seed ^ 1);
            let r = random(n, m, seed ^ 2);
            let forward = product(&x, &panels(&w, m));
            let back = cross_in_parts(&x, &r, m, n, add_cross);
            let in_parts = cross_in_parts(&x, &r, m, 64, add_cross);
            prop_assert_eq!(&back.data, &in_parts.data);
            for column in 0..m {
                for row in 0..n {
                    let plain = (0..d).fold(0.0, |sum, k| sum + x.row(row)[k] * w.row(k)[column]);
                    prop_assert_eq!(forward.get(row, column), plain);
                }
                for k in 0..d {
                    let plain = (0..n).fold(0.0, |sum, row| sum + x.row(row)[k] * r.row(row)[column]);
                    prop_assert_eq!(back.get(k, column), plain);
                }
            }
            let gram = cross_in_parts(&x, &x, d, 64, add_cross_upper);
            for k in 0..d {
                for l in k..d {
                    let plain = (0..n).fold(0.0, |sum, row| sum + x.row(row)[k] * x.row(row)[l]);
                    prop_assert_eq!(gram.get(k, l), plain);
                }
            }
        }
    }

    #[test]
    fn threads_change_nothing() {
        let x = random(300, 70, 5);
        let w = panels(&random(70, 9, 6), 9);
        let with = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| product(&x, &w)).data
        };
        assert_eq!(with(1), with(3));
    }

    #[test]
    fn scalar_products_with_a_rest() {
        let a: Vec<f64> = (0..19).map(f64::from).collect();
        assert_eq!([dot(&a, &a), dot(&a, &[1.0; 19])], [2109.0, 171.0]);
    }
}
