//! What a model's calls are worth when it leaves the nearest ones to people: rows are left out by how near their logit lies to the
//! threshold, nearest first (selective classification: El-Yaniv and Wiener, JMLR 2010;11:1605).

use super::Confusion;
use super::judge::Part;

/// Calls of the rows that are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Kept {
    /// True positives, false positives, true negatives, false negatives among them.
    pub calls: [u64; 4],
    /// All rows, those that are left out among them.
    pub rows: u64,
}

/// Shares of rows that are kept, about.
pub const SHARES: [f64; 6] = [1.0, 0.9, 0.8, 0.7, 0.6, 0.5];

/// For each of [`SHARES`], the rows at the smallest distance that leaves at most so many; each part at its own threshold.
pub fn kept(parts: &[Part]) -> Vec<Kept> {
    let mut by_distance: Vec<Confusion> = Vec::new();
    for Part { cell, threshold } in parts {
        let histogram = &cell.histogram;
        by_distance
            .resize(by_distance.len().max(histogram.negatives().len() + 1), Confusion::default());
        let rows = histogram.negatives().iter().zip(histogram.positives());
        for (bin, (&n, &p)) in rows.enumerate() {
            // A threshold lies at the lower edge of its bin.
            let called = bin >= threshold.bin();
            let distance = if called { bin - threshold.bin() } else { threshold.bin() - bin - 1 };
            by_distance[distance].merge(&match called {
                true => Confusion { tp: p, fp: n, ..Confusion::default() },
                false => Confusion { fn_: p, tn: n, ..Confusion::default() },
            });
        }
    }
    let rows_of = |c: &Confusion| c.tp + c.fp + c.tn + c.fn_;
    let rows: u64 = by_distance.iter().map(rows_of).sum();
    let at_share = |share: f64| {
        let (mut calls, mut kept) = (Confusion::default(), 0);
        // From the farthest inwards.
        for one in by_distance.iter().rev() {
            if kept + rows_of(one) > (share * rows as f64).round() as u64 {
                break;
            }
            kept += rows_of(one);
            calls.merge(one);
        }
        Kept { calls: [calls.tp, calls.fp, calls.tn, calls.fn_], rows }
    };
    SHARES.into_iter().map(at_share).collect()
}
