//! The answer to a query: integers in a 64-bit ring with a power-of-two scale, so that adding up
//! sites is exact, order never matters and secure aggregation loses nothing.
//!
//! A site rounds (once per patient or once per site, as [`crate::query::Ask`] says) and refuses
//! what doesn't fit; nothing ever wraps.

use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::ids::SiteId;
use crate::query::{DecodeError, Query, decode, encode_into};

/// Bytes of the longest number below [`LIMIT`] as it is encoded.
const LONGEST_NUMBER: usize = 9;

/// Magnitudes at or above 2^62 are out of range, so that two summands can't overflow.
pub const LIMIT: i64 = 1 << 62;

/// Name, shape and scale of a block of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlockSpec {
    /// Its name, as [`crate::query::Ask`] documents it.
    pub name: &'static str,
    /// Its shape, row by row.
    pub shape: Vec<usize>,
    /// Binary places of its numbers.
    pub bits: u8,
}

impl BlockSpec {
    /// A block of whole numbers.
    pub fn count(name: &'static str, shape: &[usize]) -> Self {
        Self { name, shape: shape.to_vec(), bits: 0 }
    }

    /// A block of fractions.
    pub fn fraction(name: &'static str, shape: &[usize], bits: u8) -> Self {
        Self { name, shape: shape.to_vec(), bits }
    }

    /// How many numbers it has.
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// The answer to one query: blocks in the order of [`Query::layout`], and the sites in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sum {
    /// The query it answers.
    pub query: Digest,
    /// The sites added up in it, sorted.
    pub sites: Vec<SiteId>,
    /// The numbers of each block.
    pub blocks: Vec<Vec<i64>>,
}

/// Why sums can't be formed or added.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SumError {
    /// A number doesn't fit the ring at the query's scale; the caller may ask at a coarser scale.
    #[error("block '{block}' leaves the range of the fixed point at {bits} binary places")]
    OutOfRange {
        /// The block.
        block: &'static str,
        /// The scale that was asked for.
        bits: u8,
    },
    /// Not the shape that the query asks for.
    #[error("expected {expected} numbers in block '{block}', got {got}")]
    Shape {
        /// The block.
        block: String,
        /// Numbers expected.
        expected: usize,
        /// Numbers that came.
        got: usize,
    },
    /// An answer to something else.
    #[error("expected an answer to query {expected}, got one to {got}")]
    OtherQuery {
        /// The query that was asked.
        expected: Digest,
        /// The query that was answered.
        got: Digest,
    },
    /// A site's numbers would count twice.
    #[error("site {0} is in both sums")]
    Twice(SiteId),
}

impl Sum {
    /// The sum of nothing: zeros of the query's shape.
    pub fn zero(query: &Query) -> Self {
        let blocks = query.layout().iter().map(|spec| vec![0; spec.len()]).collect();
        Self { query: query.digest(), sites: Vec::new(), blocks }
    }

    /// Adds another answer to the same query. Nothing changes when it fails.
    ///
    /// # Errors
    /// [`SumError`]: another query, another shape, a site twice, or out of range.
    pub fn add(&mut self, other: &Sum, query: &Query) -> Result<(), SumError> {
        if self.query != other.query {
            return Err(SumError::OtherQuery { expected: self.query, got: other.query });
        }
        if let Some(twice) = other.sites.iter().find(|site| self.sites.contains(site)) {
            return Err(SumError::Twice(twice.clone()));
        }
        let layout = query.layout();
        other.check_shape(&layout)?;
        for (spec, (mine, theirs)) in layout.iter().zip(self.blocks.iter().zip(&other.blocks)) {
            // Both lie in -2^62 to 2^62, so their sum can't overflow; all are looked at, which is faster
            // than stopping at the first.
            let leaves = |(a, b): (&i64, &i64)| !(-LIMIT..LIMIT).contains(&a.wrapping_add(*b));
            if mine.iter().zip(theirs).fold(false, |any, pair| any | leaves(pair)) {
                return Err(SumError::OutOfRange { block: spec.name, bits: spec.bits });
            }
        }
        for (mine, theirs) in self.blocks.iter_mut().zip(&other.blocks) {
            mine.iter_mut().zip(theirs).for_each(|(a, b)| *a += b);
        }
        self.sites.extend(other.sites.iter().cloned());
        self.sites.sort();
        Ok(())
    }

    /// Checks that it answers `query` with the right shape and range.
    ///
    /// # Errors
    /// [`SumError`] says what was expected and what came.
    pub fn check(&self, query: &Query) -> Result<(), SumError> {
        let expected = query.digest();
        if self.query != expected {
            return Err(SumError::OtherQuery { expected, got: self.query });
        }
        let layout = query.layout();
        self.check_shape(&layout)?;
        for (spec, block) in layout.iter().zip(&self.blocks) {
            if block.iter().any(|v| !(-LIMIT..LIMIT).contains(v)) {
                return Err(SumError::OutOfRange { block: spec.name, bits: spec.bits });
            }
        }
        Ok(())
    }

    /// The bytes that are hashed, journalled and sent.
    pub fn encode(&self) -> Vec<u8> {
        let numbers: usize = self.blocks.iter().map(Vec::len).sum();
        encode_into(Vec::with_capacity(numbers * LONGEST_NUMBER + 1024), self)
    }

    /// Reads encoded bytes; [`Sum::check`] compares them with a query.
    ///
    /// # Errors
    /// [`DecodeError`]: another format or malformed bytes.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let sum: Sum = decode(bytes)?;
        if !sum.sites.is_sorted_by(|a, b| a < b) {
            return Err(DecodeError::Inconsistent("sites must be sorted and distinct".into()));
        }
        Ok(sum)
    }

    /// A block of whole numbers by its name; `None` when the query has no such block.
    pub fn counts(&self, query: &Query, name: &str) -> Option<&[i64]> {
        let at = query.layout().iter().position(|spec| spec.name == name)?;
        self.blocks.get(at).map(Vec::as_slice)
    }

    /// A block as `f64`, its scale undone; `None` when the query has no such block.
    pub fn values(&self, query: &Query, name: &str) -> Option<Vec<f64>> {
        let layout = query.layout();
        let at = layout.iter().position(|spec| spec.name == name)?;
        let scale = unit(layout[at].bits);
        Some(self.blocks.get(at)?.iter().map(|&v| v as f64 * scale).collect())
    }

    fn check_shape(&self, layout: &[BlockSpec]) -> Result<(), SumError> {
        if self.blocks.len() != layout.len() {
            let (expected, got) = (layout.len(), self.blocks.len());
            return Err(SumError::Shape { block: "number of blocks".into(), expected, got });
        }
        for (spec, block) in layout.iter().zip(&self.blocks) {
            if block.len() != spec.len() {
                let (expected, got) = (spec.len(), block.len());
                return Err(SumError::Shape { block: spec.name.into(), expected, got });
            }
        }
        Ok(())
    }
}

/// The value of the last binary place: 2^-bits.
pub fn unit(bits: u8) -> f64 {
    // Exact: a power of two within the range of f64.
    f64::from_bits((1023 - u64::from(bits)) << 52)
}

/// Rounds a value to the nearest multiple of 2^-bits, ties to even.
///
/// # Errors
/// [`SumError::OutOfRange`] for NaN, infinity and magnitudes of 2^62 and more after scaling.
pub fn fix(value: f64, bits: u8, block: &'static str) -> Result<i64, SumError> {
    let scaled = round(value / unit(bits));
    if scaled.abs() < LIMIT as f64 {
        Ok(scaled as i64)
    } else {
        Err(SumError::OutOfRange { block, bits })
    }
}

/// As `round_ties_even`, which is a call into the system's library on processors of every age.
fn round(value: f64) -> f64 {
    /// From here on every double is whole.
    const WHOLE: f64 = (1u64 << 52) as f64;
    let size = value.abs();
    let rounded = if size < WHOLE { (size + WHOLE) - WHOLE } else { size };
    rounded.copysign(value)
}

/// Rounds every value of a block.
///
/// # Errors
/// As [`fix`].
pub fn fix_all(values: &[f64], bits: u8, block: &'static str) -> Result<Vec<i64>, SumError> {
    values.iter().map(|&v| fix(v, bits, block)).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::ids::StudyId;
    use crate::query::{Ask, FoldPlan, JudgedUnit, Labelling, Schema, Weighting};
    use crate::seed::Seed;

    fn query() -> Query {
        Query {
            study: StudyId::parse("s1").unwrap(),
            sites: ["a", "b", "c"].map(|s| SiteId::parse(s).unwrap()).to_vec(),
            schema: Schema {
                features: 2,
                classes: 2,
                labelling: Labelling::Single,
                weighting: Weighting::Equal,
                judged: JudgedUnit::Row,
                levels: vec![],
            },
            input: 0,
            folds: FoldPlan { seed: Seed(1), folds: 5, repeats: 1 },
            ask: Ask::Profile { split: vec![] },
        }
    }

    fn answer(site: &str, values: [i64; 5]) -> Sum {
        let blocks = vec![values[..1].to_vec(), values[1..3].to_vec(), values[3..].to_vec()];
        Sum { query: query().digest(), sites: vec![SiteId::parse(site).unwrap()], blocks }
    }

    #[test]
    fn a_site_counts_once_and_nothing_wraps() {
        let q = query();
        let mut total = Sum::zero(&q);
        total.add(&answer("b", [1, 2, 3, 4, 5]), &q).unwrap();
        let before = total.clone();
        let twice = total.add(&answer("b", [1, 2, 3, 4, 5]), &q);
        assert_eq!(twice, Err(SumError::Twice(SiteId::parse("b").unwrap())));
        let large = total.add(&answer("a", [0, 0, 0, 0, LIMIT - 2]), &q);
        assert_eq!(large, Err(SumError::OutOfRange { block: "rows_by_class", bits: 0 }));
        assert_eq!(total, before);
        assert_eq!(total.counts(&q, "patients_by_class"), Some(&[2, 3][..]));
        assert_eq!(total.counts(&q, "nonsense"), None);
    }

    #[test]
    fn other_shapes_and_queries_are_refused() {
        let q = query();
        let mut short = answer("a", [1; 5]);
        short.blocks[1].pop();
        assert!(matches!(short.check(&q), Err(SumError::Shape { .. })));
        let mut other = answer("a", [1; 5]);
        other.query = Digest::of(b"other");
        assert!(matches!(other.check(&q), Err(SumError::OtherQuery { .. })));
    }

    #[test]
    fn rounding_is_to_the_nearest_unit() {
        assert_eq!(unit(0), 1.0);
        assert_eq!(unit(62), 2f64.powi(-62));
        assert_eq!(fix(0.75, 1, "x").unwrap(), 2);
        assert_eq!(fix(-1.25, 2, "x").unwrap(), -5);
        for bad in [f64::NAN, f64::INFINITY, LIMIT as f64] {
            assert!(fix(bad, 0, "x").is_err());
        }
    }

    proptest! {
        #[test]
        fn order_never_matters(values in prop::collection::vec(prop::array::uniform5(-1_000_000i64..1_000_000), 3)) {
            let q = query();
            let answers: Vec<Sum> =
                ["a", "b", "c"].iter().zip(&values).map(|(s, v)| answer(s, *v)).collect();
            let add = |order: [usize; 3]| {
                let mut total = Sum::zero(&q);
                order.iter().for_each(|&i| total.add(&answers[i], &q).unwrap());
                total.encode()
            };
            prop_assert_eq!(add([0, 1, 2]), add([2, 0, 1]));
            prop_assert_eq!(Sum::decode(&add([1, 2, 0])).unwrap().encode(), add([0, 1, 2]));
        }

        #[test]
        fn fixing_is_within_half_a_unit(value in -1e6f64..1e6, bits in 0u8..40) {
            let fixed = fix(value, bits, "x").unwrap();
            prop_assert!((fixed as f64 * unit(bits) - value).abs() <= unit(bits) / 2.0 + 1e-9);
        }

        #[test]
        fn rounding_is_to_the_nearest_with_ties_to_even(
            wide in -1e19..1e19f64,
            near in -1e3..1e3f64,
            half in -100i32..100,
        ) {
            for value in [wide, near, f64::from(half) + 0.5, near * 2f64.powi(43), -0.2] {
                prop_assert_eq!(round(value).to_bits(), value.round_ties_even().to_bits());
            }
        }
    }
}
