//! What is left of the histograms of grown trees, for a journal: the splits that were chosen by them, and
//! of each the sums on its left. Everything else about a tree, the values of its leaves too, is computed
//! from these anew.

use serde::{Deserialize, Serialize};
use wardround_core::query::Side;

use super::grow::Sums;

/// The first byte of every encoded decision.
const FORMAT: u8 = 1;

/// A tree by the splits that made it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct Grown {
    /// Sums of the root.
    pub root: Sums,
    /// Level by level, by ascending node.
    pub splits: Vec<Split>,
}

/// A split as it was chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Split {
    /// The leaf that it parts.
    pub node: u32,
    /// The feature.
    pub column: u32,
    /// Rows on a lower step go left.
    pub below: u16,
    /// Where rows go that miss the feature.
    pub missing: Side,
    /// Sums of the left child; those of the right one are what it leaves.
    pub left: Sums,
}

/// The bytes of a decision: a format byte, then postcard.
pub(crate) fn encode(trees: &[Grown]) -> Vec<u8> {
    postcard::to_extend(trees, vec![FORMAT])
        .expect("trees hold only lengths, numbers and lists, which postcard always takes")
}

/// Reads the bytes of a decision. Whether its trees could have grown is for who follows them.
pub(crate) fn decode(bytes: &[u8]) -> Result<Vec<Grown>, String> {
    match bytes.split_first() {
        Some((&FORMAT, rest)) => match postcard::take_from_bytes(rest) {
            Ok((trees, [])) => Ok(trees),
            Ok((_, more)) => Err(format!("{} bytes too many", more.len())),
            Err(error) => Err(error.to_string()),
        },
        Some((other, _)) => Err(format!("expected format {FORMAT} of trees, got format {other}")),
        None => Err("no bytes".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_and_nothing_else() {
        let split =
            Split { node: 0, column: 7, below: 1023, missing: Side::Right, left: [-3, 1 << 40, 9] };
        let trees = vec![Grown { root: [1, 2, 3], splits: vec![split] }, Grown::default()];
        let bytes = encode(&trees);
        assert_eq!(decode(&bytes), Ok(trees));
        assert!(decode(&[]).is_err() && decode(&[2]).unwrap_err().contains("format 2"));
        for cut in 1..bytes.len() {
            assert!(decode(&bytes[..cut]).is_err(), "cut at {cut}");
        }
        assert!(decode(&[bytes.as_slice(), b"x"].concat()).unwrap_err().contains("too many"));
    }
}
