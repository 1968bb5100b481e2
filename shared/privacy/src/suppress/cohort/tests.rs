//! Cohorts like the ones that are studied, and an attacker who knows all that is published.

use proptest::prelude::*;

use super::*;

const FIVE: MinimumPatients = MinimumPatients::new(5);

/// Patients by column, site, level and class; margins are added up.
fn made(columns: &[Vec<Vec<[u64; 2]>>], sites: &[[u64; 2]]) -> CohortCounts {
    let cell = |by_class: [u64; 2]| CellCounts {
        patients: by_class.iter().sum(),
        by_class: by_class.to_vec(),
    };
    let sum = |cells: &mut dyn Iterator<Item = [u64; 2]>| {
        cell(cells.fold([0, 0], |sum, more| [sum[0] + more[0], sum[1] + more[1]]))
    };
    CohortCounts {
        all: sum(&mut sites.iter().copied()),
        sites: sites.iter().copied().map(cell).collect(),
        columns: columns
            .iter()
            .map(|column| ColumnCounts {
                levels: (0..column[0].len())
                    .map(|level| sum(&mut column.iter().map(|row| row[level])))
                    .collect(),
                cells: column.iter().map(|row| row.iter().copied().map(cell).collect()).collect(),
            })
            .collect(),
    }
}

fn heart() -> CohortCounts {
    let sites = [[164, 139], [163, 98], [1, 45], [29, 101]];
    let sex = [
        vec![[72, 25], [92, 114], [0, 0]],
        vec![[0, 0], [0, 0], sites[1]],
        vec![[0, 0], [0, 0], sites[2]],
        vec![[0, 0], [0, 0], sites[3]],
    ];
    let age = [
        vec![[61, 26], [65, 60], [38, 53], [0, 0]],
        vec![[92, 49], [66, 44], [5, 5], [0, 0]],
        vec![[0, 8], [1, 18], [0, 19], [0, 0]],
        vec![[5, 7], [11, 39], [13, 55], [0, 0]],
    ];
    made(&[sex.to_vec(), age.to_vec()], &sites)
}

/// Both columns' margins are those of ham10000 (melanoma by lesion); the inner counts are made up
/// to fit them.
fn ham() -> CohortCounts {
    let sites = [[1062, 180], [1092, 264], [3144, 19], [187, 35]];
    let sex = [
        vec![[540, 106], [520, 74], [2, 0]],
        vec![[560, 166], [528, 98], [4, 0]],
        vec![[1692, 12], [1422, 7], [30, 0]],
        vec![[94, 20], [93, 15], [0, 0]],
    ];
    let age = [
        vec![[150, 10], [560, 60], [350, 110], [2, 0]],
        vec![[150, 20], [600, 80], [339, 164], [3, 0]],
        vec![[660, 2], [1520, 7], [934, 9], [30, 1]],
        vec![[30, 4], [93, 7], [64, 24], [0, 0]],
    ];
    made(&[sex.to_vec(), age.to_vec()], &sites)
}

fn letters(masks: &[CellMask]) -> String {
    let letter = |mask: &CellMask| match (mask.patients, mask.classes) {
        (Shown::Value(()), Shown::Value(())) => 'v',
        (Shown::Value(()), Shown::Suppressed(_)) => 't',
        (Shown::Suppressed(Reason::Empty), _) => 'e',
        (Shown::Suppressed(_), _) => 's',
    };
    masks.iter().map(letter).collect()
}

#[test]
fn a_site_with_a_small_class_hides_its_classes_and_those_of_the_smallest_other() {
    let mask = cohort(&heart(), FIVE);
    assert_eq!(letters(&[mask.all]), "v");
    // Totals of all sites are shown; classes of two aren't.
    assert_eq!(letters(&mask.sites), "vvtt");
    assert_eq!(letters(&mask.levels[0]), "vvv");
    assert_eq!(letters(&mask.levels[1]), "vvve");
    let rows = |column: usize| -> Vec<String> {
        mask.cells.iter().map(|columns| letters(&columns[column])).collect()
    };
    // Sex is known at one site only, so every cell is a margin or 0.
    assert_eq!(rows(0), ["sss", "sss", "sss", "sss"]);
    // By age the two sites hide their classes, and nobody else hides anything.
    assert_eq!(rows(1), ["vvve", "vvve", "ttte", "ttte"]);
}

#[test]
fn a_small_level_takes_one_more_and_no_site() {
    let mask = cohort(&ham(), FIVE);
    assert_eq!(letters(&mask.sites), "vvvv");
    // Nobody of unknown sex or age may be told to have no or one melanoma.
    assert_eq!(letters(&mask.levels[0]), "vtt");
    assert_eq!(letters(&mask.levels[1]), "tvvt");
    let shown = |column: usize, level: usize| {
        mask.cells
            .iter()
            .map(|columns| letters(&columns[column][level..=level]))
            .collect::<String>()
    };
    // The middle ages are needed for nothing; of the unknown, cells that aren't small stay hidden
    // only as far as the small ones need it.
    assert_eq!(shown(1, 1), "vvvv");
    assert_eq!(shown(0, 2), "ssss");
    let totals: String =
        (0..2).flat_map(|c| (0..3).map(move |l| (c, l))).map(|(c, l)| shown(c, l)).collect();
    assert!(totals.matches(['v', 't']).count() >= 10, "{totals}");
}

#[test]
fn cohorts_without_small_counts_are_shown_whole() {
    let mask = cohort(&made(&[vec![vec![[9, 5], [5, 7]]; 3]], &[[14, 12]; 3]), FIVE);
    assert_eq!(letters(&mask.sites), "vvv");
    assert!(mask.cells.iter().all(|columns| letters(&columns[0]) == "vv"));
}

#[test]
fn few_or_no_patients_show_nothing() {
    let mask = cohort(&made(&[vec![vec![[1, 1], [1, 0]]]], &[[2, 1]]), FIVE);
    assert_eq!(letters(&[mask.all]), "s");
    assert_eq!(letters(&mask.levels[0]), "ss");
    let mask = cohort(&made(&[vec![vec![[0, 0]]]], &[[0, 0]]), FIVE);
    assert_eq!((letters(&[mask.all]).as_str(), letters(&mask.levels[0]).as_str()), ("e", "e"));
    // Two sites of four: neither total, but their sum; of each class there are four in all.
    let mask = cohort(&made(&[], &[[2, 2], [2, 2]]), FIVE);
    assert_eq!((letters(&[mask.all]), letters(&mask.sites)), ("t".into(), "ss".into()));
    let mask = cohort(&made(&[], &[[2, 2], [4, 4], [40, 40]]), FIVE);
    assert_eq!((letters(&[mask.all]), letters(&mask.sites)), ("v".into(), "ssv".into()));
}

/// An attacker: every number of a cohort with the bounds that follow from what is published, by
/// propagating every sum to each of its parts and back until nothing changes.
struct Attack {
    numbers: Vec<u64>,
    shown: Vec<bool>,
    bounds: Vec<(i64, i64)>,
    /// A whole and its parts.
    sums: Vec<(usize, Vec<usize>)>,
}

impl Attack {
    /// Numbers of a cell: its total, then its classes; they add up.
    fn cell(&mut self, counts: &CellCounts, mask: CellMask) -> [usize; 3] {
        let at = self.numbers.len();
        let (total, classes) = (mask.patients, mask.classes);
        for (number, shown) in
            [(counts.patients, total), (counts.by_class[0], classes), (counts.by_class[1], classes)]
        {
            self.numbers.push(number);
            // That nobody is there is said.
            self.shown.push(!matches!(shown, Shown::Suppressed(reason) if reason != Reason::Empty));
        }
        self.sums.push((at, vec![at + 1, at + 2]));
        [at, at + 1, at + 2]
    }

    fn add_up(&mut self, whole: [usize; 3], parts: &[[usize; 3]]) {
        for (number, &of) in whole.iter().enumerate() {
            self.sums.push((of, parts.iter().map(|part| part[number]).collect()));
        }
    }

    fn on(counts: &CohortCounts, mask: &CohortMask) -> Self {
        let mut attack =
            Attack { numbers: Vec::new(), shown: Vec::new(), bounds: Vec::new(), sums: Vec::new() };
        let all = attack.cell(&counts.all, mask.all);
        let sites: Vec<[usize; 3]> =
            counts.sites.iter().zip(&mask.sites).map(|(c, m)| attack.cell(c, *m)).collect();
        attack.add_up(all, &sites);
        for (at, column) in counts.columns.iter().enumerate() {
            let levels: Vec<[usize; 3]> = column
                .levels
                .iter()
                .zip(&mask.levels[at])
                .map(|(c, m)| attack.cell(c, *m))
                .collect();
            attack.add_up(all, &levels);
            let cells: Vec<Vec<[usize; 3]>> = column
                .cells
                .iter()
                .zip(&mask.cells)
                .map(|(row, masks)| {
                    row.iter().zip(&masks[at]).map(|(c, m)| attack.cell(c, *m)).collect()
                })
                .collect();
            for (site, row) in sites.iter().zip(&cells) {
                attack.add_up(*site, row);
            }
            for (level, &whole) in levels.iter().enumerate() {
                attack.add_up(whole, &cells.iter().map(|row| row[level]).collect::<Vec<_>>());
            }
        }
        let known = attack.numbers.iter().zip(&attack.shown);
        attack.bounds = known
            .map(|(&n, shown)| if *shown { (n as i64, n as i64) } else { (0, 1 << 30) })
            .collect();
        attack.propagate();
        attack
    }

    fn propagate(&mut self) {
        for _ in 0..300 {
            let before = self.bounds.clone();
            for (whole, parts) in &self.sums {
                let low: i64 = parts.iter().map(|&at| self.bounds[at].0).sum();
                let high: i64 = parts.iter().map(|&at| self.bounds[at].1).sum();
                let total = self.bounds[*whole];
                self.bounds[*whole] = (total.0.max(low), total.1.min(high));
                for &at in parts {
                    let mine = self.bounds[at];
                    let least = total.0 - (high - mine.1);
                    let most = total.1 - (low - mine.0);
                    self.bounds[at] = (mine.0.max(least), mine.1.min(most));
                }
            }
            if self.bounds == before {
                break;
            }
        }
    }
}

/// The numbers of a cohort in the attacker's order.
fn numbers(counts: &CohortCounts) -> Vec<u64> {
    let columns = counts
        .columns
        .iter()
        .flat_map(|column| column.levels.iter().chain(column.cells.iter().flatten()));
    let cells = std::iter::once(&counts.all).chain(&counts.sites).chain(columns);
    cells.flat_map(|cell| [cell.patients, cell.by_class[0], cell.by_class[1]]).collect()
}

fn resists(counts: &CohortCounts, minimum: MinimumPatients) -> Result<(), TestCaseError> {
    let mask = cohort(counts, minimum);
    let attack = Attack::on(counts, &mask);
    let least = minimum.get();
    let all_classes = matches!(mask.all.classes, Shown::Suppressed(Reason::SmallCell));
    for (at, &(low, high)) in attack.bounds.iter().enumerate() {
        let number = attack.numbers[at] as i64;
        prop_assert!(low <= number && number <= high);
        if attack.shown[at] {
            continue;
        }
        let total = at % 3 == 0;
        // Where all classes of all patients are hidden, cells can't hide more than they hold.
        let held = if all_classes && !total { attack.numbers[at - at % 3] as i64 } else { 1 << 20 };
        prop_assert!(high - low >= (least as i64).min(held), "{at}: {number} in {low} to {high}");
    }
    let small =
        |cell: &CellCounts| cell.patients < least || cell.by_class.iter().any(|&n| n < least);
    let cells = counts.sites.iter().zip(&mask.sites);
    let columns = counts.columns.iter().enumerate();
    let inner = columns.flat_map(|(at, column)| {
        let rows = column.cells.iter().zip(&mask.cells);
        let rows = rows.flat_map(move |(row, masks)| row.iter().zip(&masks[at]));
        column.levels.iter().zip(&mask.levels[at]).chain(rows)
    });
    for (cell, mask) in cells.chain(inner).chain([(&counts.all, &mask.all)]) {
        prop_assert!(mask.classes != Shown::Value(()) || !small(cell));
        prop_assert!(mask.patients != Shown::Value(()) || cell.patients >= least);
        prop_assert!(mask.patients == Shown::Value(()) || mask.classes != Shown::Value(()));
    }
    Ok(())
}

#[test]
fn nothing_follows_from_the_studies() {
    resists(&heart(), FIVE).unwrap();
    resists(&ham(), FIVE).unwrap();
}

/// Patients: site, level of each of two columns, class. Small sites, levels and classes alike.
fn drawn() -> impl Strategy<Value = CohortCounts> {
    let count = prop_oneof![3 => Just(0u64), 3 => 0..4u64, 4 => 0..40u64];
    let cell = prop::array::uniform2(count);
    (1usize..5, 1usize..4, 1usize..4).prop_flat_map(move |(sites, first, second)| {
        prop::collection::vec(cell.clone(), sites * first * second).prop_map(move |cells| {
            let sum = |keep: &dyn Fn(usize, usize, usize) -> bool| {
                let mut sum = [0, 0];
                for (at, cell) in cells.iter().enumerate() {
                    let (site, rest) = (at / (first * second), at % (first * second));
                    if keep(site, rest / second, rest % second) {
                        sum = [sum[0] + cell[0], sum[1] + cell[1]];
                    }
                }
                sum
            };
            let column =
                |levels: usize, of: &dyn Fn(usize, usize) -> usize| -> Vec<Vec<[u64; 2]>> {
                    let row = |site: usize| {
                        (0..levels).map(|l| sum(&|s, a, b| s == site && of(a, b) == l)).collect()
                    };
                    (0..sites).map(row).collect()
                };
            let by_site: Vec<[u64; 2]> = (0..sites).map(|site| sum(&|s, _, _| s == site)).collect();
            made(&[column(first, &|a, _| a), column(second, &|_, b| b)], &by_site)
        })
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn no_hidden_count_follows_from_what_is_shown(counts in drawn(), minimum in 2u32..8) {
        resists(&counts, MinimumPatients::new(minimum))?;
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, max_global_rejects: 20_000, ..ProptestConfig::default() })]

    /// By trying all cohorts that would be published alike: the intervals found aren't wider than
    /// the true ones.
    #[test]
    fn other_cohorts_would_be_published_alike(
        cells in prop::collection::vec(prop::array::uniform2(0u64..6), 4),
    ) {
        let of = |cells: &[[u64; 2]]| {
            let column: Vec<Vec<[u64; 2]>> = cells.chunks(2).map(<[_]>::to_vec).collect();
            let sum = |row: &Vec<[u64; 2]>| [0, 1].map(|class| row.iter().map(|c| c[class]).sum());
            let sites: Vec<[u64; 2]> = column.iter().map(sum).collect();
            made(&[column], &sites)
        };
        let counts = of(&cells);
        let mask = cohort(&counts, MinimumPatients::new(2));
        let attack = Attack::on(&counts, &mask);
        let first = attack.numbers.len() - 3 * cells.len();
        let bound = |at: usize| attack.bounds[first + 3 * (at / 2) + 1 + at % 2];
        // No need to look higher than a few above what is there.
        let range = |at: usize| bound(at).0..=bound(at).1.min(cells[at / 2][at % 2] as i64 + 2);
        let tries: i64 = (0..8).map(|at| range(at).count() as i64).product();
        prop_assume!(tries < 20_000);
        let mut guess: Vec<i64> = (0..8).map(|at| *range(at).start()).collect();
        let mut seen = vec![(u64::MAX, 0u64); attack.numbers.len()];
        loop {
            let other: Vec<[u64; 2]> = guess.chunks(2).map(|c| [c[0] as u64, c[1] as u64]).collect();
            let numbers = numbers(&of(&other));
            let alike = (0..numbers.len()).all(|at| !attack.shown[at] || numbers[at] == attack.numbers[at]);
            if alike {
                for (seen, value) in seen.iter_mut().zip(numbers) {
                    *seen = (seen.0.min(value), seen.1.max(value));
                }
            }
            let Some(at) = (0..8).find(|&at| guess[at] < *range(at).end()) else { break };
            guess[at] += 1;
            (0..at).for_each(|at| guess[at] = *range(at).start());
        }
        let all_classes = mask.all.classes != Shown::Value(());
        for (at, (low, high)) in seen.into_iter().enumerate() {
            let class = at % 3 != 0;
            let judged = !(attack.shown[at] || all_classes && class);
            prop_assert!(!judged || high - low >= 2, "{at}: {low} to {high}");
        }
    }
}
