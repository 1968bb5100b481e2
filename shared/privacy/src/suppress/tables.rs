//! Tables of counts with their margins, shown as far as they may be.

use serde::{Deserialize, Serialize};

use super::protect::{Extended, protect};
use super::{Reason, Shown};
use crate::policy::MinimumPatients;

/// A table of counts with its margins, shown as far as it may be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShownTable {
    /// The counts, row by row.
    pub cells: Vec<Vec<Shown<u64>>>,
    /// Total of each row.
    pub row_totals: Vec<Shown<u64>>,
    /// Total of each column.
    pub column_totals: Vec<Shown<u64>>,
    /// Total of all.
    pub total: Shown<u64>,
}

/// Shows tables of one shape (rows: sites; columns: levels of a subgroup) that belong together: the
/// same patients by class, say, or the classes and their sum. What must be hidden in one of them is
/// hidden in all, since they add up to each other; else each is protected by itself.
///
/// A count below the minimum, 0 included, is hidden, and more until the feasible interval of every
/// hidden count is at least the minimum wide (see the module's header for who attacks). Only a
/// column of zeros in all tables is named as empty: that nobody has a level is no patient's secret.
///
/// Rows shorter than the first row of the first table are filled up with zeros, longer ones and
/// rows beyond the first table's are cut.
pub fn tables(parts: &[Vec<Vec<u64>>], minimum: MinimumPatients) -> Vec<ShownTable> {
    let Some(first) = parts.first() else { return Vec::new() };
    let (rows, columns) = (first.len(), first.first().map_or(0, Vec::len));
    let extended: Vec<Extended> = parts
        .iter()
        .map(|part| {
            let mut counts = part.clone();
            counts.resize(rows, Vec::new());
            counts.iter_mut().for_each(|row| row.resize(columns, 0));
            Extended::new(&counts, columns)
        })
        .collect();
    let empty: Vec<bool> = (0..columns)
        .map(|column| extended.iter().all(|table| table.value((rows, column)) == 0))
        .collect();
    let shape = &extended[0];
    let hidden: Vec<bool> = shape
        .cells()
        .map(|cell| {
            let small = extended.iter().any(|table| table.value(cell) < minimum.get());
            small && !(cell.1 < columns && empty[cell.1])
        })
        .collect();
    let hidden = protect(&extended, hidden, &empty, minimum.get());
    extended.iter().map(|table| show(table, &hidden, &empty)).collect()
}

/// Shows a list of counts with its total: a table of one column.
pub fn list(counts: &[u64], minimum: MinimumPatients) -> (Vec<Shown<u64>>, Shown<u64>) {
    let column: Vec<Vec<u64>> = counts.iter().map(|&count| vec![count]).collect();
    match tables(&[column], minimum).pop() {
        Some(table) => (table.cells.into_iter().flatten().collect(), table.total),
        None => (Vec::new(), Shown::Suppressed(Reason::Empty)),
    }
}

fn show(table: &Extended, hidden: &[bool], empty: &[bool]) -> ShownTable {
    let (rows, columns) = (table.rows, table.columns);
    let nobody = empty.iter().all(|&empty| empty);
    let shown = |row: usize, column: usize| {
        if nobody || column < columns && empty[column] {
            Shown::Suppressed(Reason::Empty)
        } else if hidden[table.index((row, column))] {
            Shown::Suppressed(Reason::SmallCell)
        } else {
            Shown::Value(table.value((row, column)))
        }
    };
    let line = |row: usize| (0..columns).map(|column| shown(row, column)).collect();
    ShownTable {
        cells: (0..rows).map(line).collect(),
        row_totals: (0..rows).map(|row| shown(row, columns)).collect(),
        column_totals: line(rows),
        total: shown(rows, columns),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const FIVE: MinimumPatients = MinimumPatients::new(5);

    fn one(counts: &[Vec<u64>], minimum: MinimumPatients) -> ShownTable {
        tables(&[counts.to_vec()], minimum).pop().unwrap()
    }

    fn pattern(shown: &[Shown<u64>]) -> String {
        shown
            .iter()
            .map(|s| match s {
                Shown::Value(_) => 'v',
                Shown::Suppressed(Reason::Empty) => 'e',
                Shown::Suppressed(_) => 's',
            })
            .collect()
    }

    #[test]
    fn a_single_small_count_of_a_list_takes_another_with_it() {
        let (shown, total) = list(&[50, 3, 20, 30], FIVE);
        assert_eq!((pattern(&shown).as_str(), total), ("vssv", Shown::Value(103)));
        let (shown, total) = list(&[50, 20, 30], FIVE);
        assert_eq!((pattern(&shown).as_str(), total), ("vvv", Shown::Value(100)));
    }

    #[test]
    fn zeros_that_would_be_known_from_their_sum_take_another_with_them() {
        let (shown, _) = list(&[50, 0, 0, 30], FIVE);
        assert_eq!(pattern(&shown), "vsss");
        // 2 + 2 = 4: known to within 4, less than the minimum.
        let (shown, _) = list(&[50, 2, 2, 30], FIVE);
        assert_eq!(pattern(&shown), "vsss");
        let (shown, _) = list(&[50, 3, 3, 30], FIVE);
        assert_eq!(pattern(&shown), "vssv");
    }

    #[test]
    fn a_small_count_in_a_table_takes_a_rectangle_with_it() {
        let shown = one(&[vec![40, 2, 30], vec![20, 25, 50], vec![60, 70, 80]], FIVE);
        let rows: Vec<String> = shown.cells.iter().map(|row| pattern(row)).collect();
        // 40 + 20 + 25 patients are hidden with it; every other rectangle would hide more.
        assert_eq!(rows, ["ssv", "ssv", "vvv"]);
        assert_eq!(pattern(&shown.row_totals), "vvv");
        assert_eq!(pattern(&shown.column_totals), "vvv");
        assert_eq!(shown.total, Shown::Value(377));
    }

    #[test]
    fn a_level_that_nobody_has_is_named_and_hides_nothing() {
        let shown = one(&[vec![40, 20, 0], vec![20, 25, 0]], FIVE);
        assert_eq!(pattern(&shown.cells[0]), "vve");
        assert_eq!(pattern(&shown.column_totals), "vve");
        assert_eq!(shown.total, Shown::Value(105));
        assert_eq!(list(&[0, 0], FIVE).1, Shown::Suppressed(Reason::Empty));
        // A zero at one site only is a count like any other.
        let shown = one(&[vec![40, 20, 0], vec![20, 25, 30]], FIVE);
        assert_eq!(pattern(&shown.cells[0]).matches('s').count(), 2);
    }

    #[test]
    fn tables_that_add_up_are_hidden_alike() {
        let negatives = vec![vec![40, 30], vec![50, 60]];
        let positives = vec![vec![10, 2], vec![20, 30]];
        let all = vec![vec![50, 32], vec![70, 90]];
        let shown = tables(&[negatives, positives, all], FIVE);
        for table in &shown {
            let rows: Vec<String> = table.cells.iter().map(|row| pattern(row)).collect();
            assert_eq!(rows, ["ss", "ss"]);
            assert!(table.total.value().is_some());
        }
    }

    #[test]
    fn a_table_below_the_minimum_shows_nothing() {
        let shown = one(&[vec![1, 1], vec![1, 1]], FIVE);
        assert_eq!(shown.total, Shown::Suppressed(Reason::SmallCell));
        assert_eq!(pattern(&shown.row_totals), "ss");
    }

    /// Everything that is published of a table, margins included, as an attacker sees it.
    fn published(table: &ShownTable) -> Vec<Vec<Option<u64>>> {
        let known = |shown: &Shown<u64>| match shown {
            Shown::Value(value) => Some(*value),
            Shown::Suppressed(Reason::Empty) => Some(0),
            Shown::Suppressed(_) => None,
        };
        let line = |cells: &[Shown<u64>], total: &Shown<u64>| {
            cells.iter().chain([total]).map(known).collect::<Vec<_>>()
        };
        let inner = table.cells.iter().zip(&table.row_totals).map(|(row, total)| line(row, total));
        inner.chain([line(&table.column_totals, &table.total)]).collect()
    }

    /// Intervals by propagation: every row and column of the extended table bounds each of its
    /// cells by the bounds of the others, until nothing changes.
    fn attack(published: &[Vec<Option<u64>>]) -> Vec<Vec<(i64, i64)>> {
        const MUCH: i64 = 1 << 30;
        let (rows, columns) = (published.len(), published[0].len());
        let mut bounds: Vec<Vec<(i64, i64)>> = published
            .iter()
            .map(|row| row.iter().map(|c| c.map_or((0, MUCH), |v| (v as i64, v as i64))).collect())
            .collect();
        let mut lines: Vec<Vec<(usize, usize)>> = Vec::new();
        lines.extend((0..rows).map(|r| (0..columns).map(|c| (r, c)).collect::<Vec<_>>()));
        lines.extend((0..columns).map(|c| (0..rows).map(|r| (r, c)).collect::<Vec<_>>()));
        for _ in 0..200 {
            let before = bounds.clone();
            for line in &lines {
                let (total, parts) = line.split_last().unwrap();
                let low: i64 = parts.iter().map(|&(r, c)| bounds[r][c].0).sum();
                let high: i64 = parts.iter().map(|&(r, c)| bounds[r][c].1).sum();
                let (total_low, total_high) = bounds[total.0][total.1];
                bounds[total.0][total.1] = (total_low.max(low), total_high.min(high));
                for &(r, c) in parts {
                    let (mine_low, mine_high) = bounds[r][c];
                    let least = total_low - (high - mine_high);
                    let most = total_high - (low - mine_low);
                    bounds[r][c] = (mine_low.max(least), mine_high.min(most));
                }
            }
            if bounds == before {
                break;
            }
        }
        bounds
    }

    fn counts(rows: usize, columns: usize, most: u64) -> impl Strategy<Value = Vec<Vec<u64>>> {
        // Small and large counts alike, zeros often.
        let count = prop_oneof![Just(0u64), 0..7u64, 0..most];
        prop::collection::vec(prop::collection::vec(count, columns), rows)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(400))]

        #[test]
        fn no_hidden_count_follows_from_what_is_shown(
            table in (1usize..7, 1usize..6).prop_flat_map(|(r, c)| counts(r, c, 60)),
            minimum in 2u32..11,
        ) {
            let minimum = MinimumPatients::new(minimum);
            let published = published(&one(&table, minimum));
            let extended = Extended::new(&table, table[0].len());
            for (r, line) in attack(&published).iter().enumerate() {
                for (c, &(low, high)) in line.iter().enumerate() {
                    let count = extended.value((r, c)) as i64;
                    prop_assert!(low <= count && count <= high);
                    match published[r][c] {
                        None => prop_assert!(high - low >= minimum.get() as i64, "{r} {c}: {low} {high}"),
                        Some(0) => prop_assert_eq!(extended.value((table.len(), c)), 0),
                        Some(shown) => prop_assert!(shown >= minimum.get()),
                    }
                }
            }
        }

        #[test]
        fn a_table_without_small_counts_is_shown_whole(
            table in (1usize..6, 1usize..6).prop_flat_map(|(r, c)| counts(r, c, 60)),
        ) {
            let large: Vec<Vec<u64>> =
                table.iter().map(|row| row.iter().map(|count| count + 5).collect()).collect();
            let shown = published(&one(&large, FIVE));
            prop_assert!(shown.iter().flatten().all(Option::is_some));
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        /// By trying all tables of small counts: the flows' intervals aren't wider than the truth.
        #[test]
        fn other_tables_would_be_published_alike(table in counts(2, 3, 5), swap in any::<bool>()) {
            let table: Vec<Vec<u64>> = if swap {
                (0..3).map(|c| table.iter().map(|row| row[c].min(4)).collect()).collect()
            } else {
                table.iter().map(|row| row.iter().map(|&count| count.min(4)).collect()).collect()
            };
            let minimum = 2;
            let published = published(&one(&table, MinimumPatients::new(minimum)));
            let (rows, columns) = (table.len(), table[0].len());
            let mut seen = vec![(u64::MAX, 0u64); (rows + 1) * (columns + 1)];
            for code in 0..7usize.pow(6) {
                let mut rest = code;
                let mut other = vec![vec![0u64; columns]; rows];
                for cell in other.iter_mut().flatten() {
                    *cell = (rest % 7) as u64;
                    rest /= 7;
                }
                let fits = |r: usize, c: usize, value: u64| published[r][c].is_none_or(|p| p == value);
                if (0..rows).any(|r| (0..columns).any(|c| !fits(r, c, other[r][c]))) {
                    continue;
                }
                let extended = Extended::new(&other, columns);
                if extended.cells().all(|(r, c)| fits(r, c, extended.value((r, c)))) {
                    for cell in extended.cells() {
                        let (low, high) = &mut seen[extended.index(cell)];
                        let value = extended.value(cell);
                        (*low, *high) = ((*low).min(value), (*high).max(value));
                    }
                }
            }
            for (at, (low, high)) in seen.into_iter().enumerate() {
                let hidden = published[at / (columns + 1)][at % (columns + 1)].is_none();
                prop_assert!(!hidden || high - low >= u64::from(minimum), "{at}: {low} {high}");
            }
        }
    }
}
