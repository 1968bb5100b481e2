//! Tables like the ones that are studied, and an attacker who knows all that is published and the rules.

use proptest::prelude::*;

use super::*;
use crate::suppress::slices;

const TEN: MinimumPatients = MinimumPatients::new(10);
const FIVE: MinimumPatients = MinimumPatients::new(5);

/// A table whose margins are judged as a report judges them.
fn made(cells: &[Vec<[u64; 2]>], per_class: MinimumPatients) -> CrossedTable {
    let slice = |by_class: [u64; 2]| Slice { by_class: by_class.to_vec(), given: Shown::Value(()) };
    let sum = |cells: &mut dyn Iterator<Item = [u64; 2]>| {
        slice(cells.fold([0, 0], |sum, more| [sum[0] + more[0], sum[1] + more[1]]))
    };
    let rows: Vec<Slice> = cells.iter().map(|row| sum(&mut row.iter().copied())).collect();
    let columns: Vec<Slice> =
        (0..cells[0].len()).map(|j| sum(&mut cells.iter().map(|row| row[j]))).collect();
    CrossedTable {
        rows: slices(&rows, per_class),
        columns: slices(&columns, per_class),
        cells: cells.iter().map(|row| row.iter().map(|&cell| slice(cell)).collect()).collect(),
        counts: CrossedCounts::Nowhere,
    }
}

fn letters(mask: &[Vec<Shown<()>>]) -> Vec<String> {
    let letter = |shown: &Shown<()>| match shown {
        Shown::Value(()) => 'v',
        Shown::Suppressed(Reason::Empty) => 'e',
        Shown::Suppressed(Reason::RefusedBySite) => 'r',
        Shown::Suppressed(_) => 's',
    };
    mask.iter().map(|row| row.iter().map(letter).collect()).collect()
}

#[test]
fn a_small_cell_takes_two_rows_or_two_columns_with_it() {
    let judge = |cells: &[Vec<[u64; 2]>]| letters(&crossed(&made(cells, TEN), TEN, FIVE));
    let fine = vec![[90, 40], [80, 30], [70, 50]];
    assert_eq!(judge(&[fine.clone(), fine.clone()]), ["vvv", "vvv"]);
    // One column would follow from the row; of the others the smaller one goes with it.
    let small = vec![[90, 40], [80, 3], [70, 50]];
    assert_eq!(judge(&[fine.clone(), small]), ["vss", "vss"]);
    // Of two columns none is left.
    assert_eq!(judge(&[vec![[90, 40], [80, 30]], vec![[90, 40], [80, 3]]]), ["ss", "ss"]);
    // Nobody's row is named as such.
    let nobody = vec![[0, 0]; 3];
    assert_eq!(judge(&[fine.clone(), nobody, fine.clone()]), ["vvv", "eee", "vvv"]);
    assert_eq!(judge(&[vec![[0, 0]; 2]]), ["ee"]);
    // Of one row all is said by its cells.
    assert_eq!(judge(&[fine]), ["vvv"]);
    let none: [Vec<Shown<()>>; 0] = [];
    let table = CrossedTable { cells: vec![], rows: vec![], ..made(&[vec![[1, 1]]], TEN) };
    assert_eq!(crossed(&table, TEN, FIVE), none);
}

#[test]
fn a_site_that_refuses_hides_behind_enough_others() {
    let cells = vec![vec![[90, 40], [80, 30]]; 4];
    let mut table = made(&cells, TEN);
    table.rows[1] = Shown::Suppressed(Reason::RefusedBySite);
    let mask = letters(&crossed(&table, TEN, FIVE));
    assert_eq!(mask[1], "rr");
    assert_eq!(mask.iter().filter(|row| *row == "ss").count(), 1, "{mask:?}");
    // With three of a class beside it another one is needed.
    let mut few = vec![vec![[90, 40], [80, 30]]; 4];
    few[0] = vec![[20, 3], [20, 7]];
    let mut table = made(&few, TEN);
    table.rows[0] = Shown::Suppressed(Reason::SmallSlice);
    table.rows[1] = Shown::Suppressed(Reason::RefusedBySite);
    let mask = letters(&crossed(&table, TEN, FIVE));
    assert_eq!(mask.iter().filter(|row| row.contains('v')).count(), 1, "{mask:?}");
}

#[test]
fn large_tables_are_protected_too() {
    let cell = |i: usize, j: usize| if (i + 2 * j).is_multiple_of(13) { [3, 40] } else { [60, 40] };
    let cells: Vec<Vec<[u64; 2]>> = (0..20).map(|i| (0..6).map(|j| cell(i, j)).collect()).collect();
    let table = made(&cells, TEN);
    let mask = crossed(&table, TEN, FIVE);
    resists(&cells, &table, &mask, [10, 5]).unwrap();
    let shown = mask.iter().flatten().filter(|cell| **cell == Shown::Value(())).count();
    assert!(shown >= 20, "{:?}", letters(&mask));
}

/// The rules of ACRO/SACRO, and what sums of published figures tell of hidden cells.
fn resists(
    cells: &[Vec<[u64; 2]>],
    table: &CrossedTable,
    mask: &[Vec<Shown<()>>],
    [per_class, cell]: [u64; 2],
) -> Result<(), TestCaseError> {
    let shown = |i: usize, j: usize| mask[i][j] == Shown::Value(());
    for (i, row) in cells.iter().enumerate() {
        for (j, by_class) in row.iter().enumerate().filter(|&(j, _)| shown(i, j)) {
            // Threshold, and class disclosure: nobody is told to be of the other class.
            prop_assert!(by_class.iter().all(|&n| n >= per_class), "{i} {j} {by_class:?}");
            // Dominance: the two largest of contributions of 1 each, and all but them.
            let n: u64 = by_class.iter().sum();
            prop_assert!(per_class < 3 || 2 * 10 <= 9 * n && (n - 2) * 10 >= 1, "{n}");
        }
    }
    if !mask.iter().flatten().any(|one| *one == Shown::Value(())) {
        return Ok(());
    }
    if cells.len() + cells[0].len() <= 7 {
        sums_hold(cells, table, mask, per_class)?;
    }
    if cells.len() * cells[0].len() <= 6 && cells.iter().flatten().flatten().all(|&n| n <= 6) {
        intervals_are_wide(cells, table, mask, cell)?;
    }
    Ok(())
}

/// All sums of hidden cells with weights `r_i + c_j`. Those that can't be put together from others have weights of -1, 0 and 1 (the
/// matrix of rows and columns of a table is totally unimodular), so these are all that need trying.
fn sums_hold(
    cells: &[Vec<[u64; 2]>],
    table: &CrossedTable,
    mask: &[Vec<Shown<()>>],
    per_class: u64,
) -> Result<(), TestCaseError> {
    let (m, n) = (cells.len(), cells[0].len());
    for code in 0..3usize.pow((m + n) as u32) {
        let weight = |at: usize| (code / 3usize.pow(at as u32) % 3) as i64 - 1;
        // Of margins that aren't shown only the sum is known.
        let alike = |margins: &[Shown<()>], from: usize| {
            let hidden = margins.iter().enumerate();
            let mut hidden = hidden.filter(|(_, one)| {
                !matches!(one, Shown::Value(()) | Shown::Suppressed(Reason::Empty))
            });
            let first = hidden.next().map(|(at, _)| weight(from + at));
            hidden.all(|(at, _)| Some(weight(from + at)) == first)
        };
        if !alike(&table.rows, 0) || !alike(&table.columns, m) {
            continue;
        }
        let (mut held, mut any, mut is_sum) = ([0, 0], false, true);
        for (i, row) in cells.iter().enumerate() {
            for (j, by_class) in row.iter().enumerate() {
                if matches!(mask[i][j], Shown::Value(()) | Shown::Suppressed(Reason::Empty)) {
                    continue;
                }
                let w = weight(i) + weight(m + j);
                is_sum &= w >= 0;
                if w > 0 {
                    any = true;
                    held = [held[0] + by_class[0], held[1] + by_class[1]];
                }
            }
        }
        let enough = held.iter().all(|&n| n >= per_class);
        prop_assert!(!is_sum || !any || enough, "{code}: {held:?} of {cells:?} {mask:?}");
    }
    Ok(())
}

/// Every table that would be published alike, one class after the other.
fn intervals_are_wide(
    cells: &[Vec<[u64; 2]>],
    table: &CrossedTable,
    mask: &[Vec<Shown<()>>],
    least: u64,
) -> Result<(), TestCaseError> {
    let (m, n) = (cells.len(), cells[0].len());
    for class in 0..2 {
        let truth: Vec<u64> = cells.iter().flatten().map(|cell| cell[class]).collect();
        let free: Vec<bool> = mask
            .iter()
            .flatten()
            .map(|one| !matches!(one, Shown::Value(()) | Shown::Suppressed(Reason::Empty)))
            .collect();
        // No need to look higher than a few above what is there.
        let most = |at: usize| if free[at] { truth[at] + least + 1 } else { truth[at] };
        let known = |list: &[Shown<()>], at: usize| list[at] == Shown::Value(());
        let row = |t: &[u64], i: usize| t[i * n..(i + 1) * n].iter().sum::<u64>();
        let column = |t: &[u64], j: usize| (0..m).map(|i| t[i * n + j]).sum::<u64>();
        let alike = |t: &[u64]| {
            t.iter().sum::<u64>() == truth.iter().sum::<u64>()
                && (0..m).all(|i| !known(&table.rows, i) || row(t, i) == row(&truth, i))
                && (0..n).all(|j| !known(&table.columns, j) || column(t, j) == column(&truth, j))
        };
        let mut guess: Vec<u64> =
            (0..m * n).map(|at| if free[at] { 0 } else { truth[at] }).collect();
        let mut seen = vec![(u64::MAX, 0); m * n];
        loop {
            if alike(&guess) {
                for (seen, &value) in seen.iter_mut().zip(&guess) {
                    *seen = (seen.0.min(value), seen.1.max(value));
                }
            }
            let Some(at) = (0..m * n).find(|&at| guess[at] < most(at)) else { break };
            guess[at] += 1;
            (0..at).filter(|&at| free[at]).for_each(|at| guess[at] = 0);
        }
        for (at, (low, high)) in seen.into_iter().enumerate().filter(|(at, _)| free[*at]) {
            prop_assert!(
                high - low >= least,
                "{at} {class}: {low} to {high} of {cells:?} {mask:?}"
            );
        }
    }
    Ok(())
}

/// Tables of which some cells are small.
fn drawn(most: u64, rows: usize, columns: usize) -> impl Strategy<Value = Vec<Vec<[u64; 2]>>> {
    let count = prop_oneof![1 => Just(0u64), 2 => 0..4u64.min(most), 6 => 0..=most];
    let cell = prop::array::uniform2(count);
    (1..=rows, 1..=columns).prop_flat_map(move |(m, n)| {
        prop::collection::vec(prop::collection::vec(cell.clone(), n), m)
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn no_sum_of_hidden_cells_is_small(cells in drawn(60, 4, 3), per_class in 2u32..12) {
        let per_class = MinimumPatients::new(per_class);
        let table = made(&cells, per_class);
        let mask = crossed(&table, per_class, FIVE);
        resists(&cells, &table, &mask, [per_class.get(), 5])?;
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn no_hidden_count_follows(cells in drawn(5, 3, 2), across in any::<bool>()) {
        let turned = |cells: &[Vec<[u64; 2]>]| -> Vec<Vec<[u64; 2]>> {
            (0..cells[0].len()).map(|j| cells.iter().map(|row| row[j]).collect()).collect()
        };
        let cells = if across { turned(&cells) } else { cells };
        let minimum = MinimumPatients::new(2);
        let table = made(&cells, minimum);
        let mask = crossed(&table, minimum, minimum);
        resists(&cells, &table, &mask, [2, 2])?;
    }
}

/// Two studies of the same patients, one of them with one site less: all less the others is that site. Suppression within one report
/// can't know the other one; see the module's header.
#[test]
fn two_reports_on_nested_cohorts_tell_their_difference() {
    let whole = vec![vec![[90, 40], [80, 30]], vec![[60, 30], [40, 20]], vec![[12, 3], [14, 4]]];
    let judged = |cells: &[Vec<[u64; 2]>]| letters(&crossed(&made(cells, TEN), TEN, FIVE));
    // The third site is kept back in the larger study ...
    assert_eq!(judged(&whole).iter().filter(|row| row.contains('v')).count(), 1);
    // ... of which a study without it and its totals leave exactly its cells.
    let without = &whole[..2];
    assert_eq!(judged(without), ["vv", "vv"]);
    for column in 0..2 {
        let all: u64 = whole.iter().map(|row| row[column][1]).sum();
        let rest: u64 = without.iter().map(|row| row[column][1]).sum();
        assert_eq!(all - rest, whole[2][column][1]);
    }
}
