//! Figures by two columns at once: what every site's rows by themselves, and a subgroup's, come to.

use wardround_core::ids::SiteId;
use wardround_core::study::{
    Bootstrap, BySite, FairnessRule, Levels, Standardise, Study, Subgroup,
};
use wardround_learn::findings::{Crossed, CrossedRows, Figure, Figures, Findings};
use wardround_learn::metrics::registry::CROSSED;
use wardround_learn::rows::Together;
use wardround_learn::study::plan;

use crate::support::{Line, find, lines, rows_by_levels, study, value, with_subgroup};

/// Two subgroup columns, crossed with each other and with the sites.
fn crossed_study(bootstrap: Bootstrap, repeats: u8) -> Study {
    let mut study = with_subgroup(study(&[0.1, 10.0], &[Standardise::All]));
    let levels = Levels::Values { values: vec!["c".into(), "d".into()] };
    study.subgroups.push(Subgroup { name: "other".into(), column: "other".into(), levels });
    study.fairness = FairnessRule { by_site: BySite::On, intersections: vec![[0, 1]] };
    study.validation.bootstrap = bootstrap;
    study.validation.repeats = repeats;
    study.validation.leave_one_site_out = false;
    study
}

/// The second column's level of a line.
fn other(line: &Line) -> u8 {
    u8::from(line.patient % 5 > 1)
}

fn run(made: &[Line], study: &Study) -> Findings {
    let rows = rows_by_levels(made, study, |line| vec![line.level, other(line)]);
    find(&rows, study, &rows.sites(), rows.schema()).expect("it can be fitted")
}

fn tables(found: &Findings) -> &[Crossed] {
    &found.targets[0].nested.judged.crossed
}

/// Counts and AUC of a cell.
fn told(figures: &Figures) -> ([u64; 2], [u64; 2], [u64; 4], Option<u64>) {
    let auc = match &figures.auc {
        Figure::Known { value, .. } => Some((value * 1e9).round() as u64),
        Figure::Undefined { .. } => None,
    };
    (figures.patients, figures.rows, figures.confusion, auc)
}

#[test]
fn cells_are_the_levels_of_each_site_and_the_intersections() {
    let made = lines(360, 4, 3, 81);
    let found = run(&made, &crossed_study(Bootstrap::Off, 2));
    let [first, second, both] = tables(&found) else { panic!("three tables") };
    assert_eq!((first.rows, first.column), (CrossedRows::Sites, 0));
    assert_eq!((second.rows, second.column), (CrossedRows::Sites, 1));
    assert_eq!((both.rows, both.column), (CrossedRows::Subgroup(0), 1));
    let judged = &found.targets[0].nested.judged;
    // What adds up does, to each margin.
    let sum = |cells: &mut dyn Iterator<Item = &Figures>| {
        cells.fold(([0; 2], [0; 2], [0; 4]), |(mut p, mut r, mut c), cell| {
            (0..2).for_each(|at| p[at] += cell.patients[at]);
            (0..2).for_each(|at| r[at] += cell.rows[at]);
            (0..4).for_each(|at| c[at] += cell.confusion[at]);
            (p, r, c)
        })
    };
    let whole = |figures: &Figures| (figures.patients, figures.rows, figures.confusion);
    for table in [first, second] {
        for (row, site) in table.cells.iter().zip(&judged.by_site) {
            assert_eq!(sum(&mut row.iter()), whole(site));
        }
    }
    for (column, table) in [(0, first), (1, second), (1, both)] {
        for (at, level) in judged.by_subgroup[column].iter().enumerate() {
            assert_eq!(sum(&mut table.cells.iter().map(|row| &row[at])), whole(level));
        }
    }
    for (row, level) in both.cells.iter().zip(&judged.by_subgroup[0]) {
        assert_eq!(sum(&mut row.iter()), whole(level));
    }
    // A cell is what a subgroup column of its own would say.
    let mut own = crossed_study(Bootstrap::Off, 2);
    own.fairness = FairnessRule::default();
    let rows = rows_by_levels(&made, &own, |line| {
        vec![u8::from(line.level != 1), other(line) * (1 - u8::from(line.level != 1))]
    });
    let alone = find(&rows, &own, &rows.sites(), rows.schema()).unwrap();
    assert!(alone.targets[0].nested.judged.crossed.is_empty());
    let told_of = &alone.targets[0].nested.judged.by_subgroup[1][1];
    assert_eq!(told(&both.cells[1][1]), told(told_of));
    assert_eq!(both.cells[1][1].sensitivity, told_of.sensitivity);
    let names: Vec<&str> = both.cells[1][1].more.iter().map(|one| one.name.as_str()).collect();
    assert!(names.iter().all(|name| CROSSED.contains(name)) && names.len() == 2, "{names:?}");
}

#[test]
fn sites_that_answer_apart_give_the_same_cells() {
    let study = crossed_study(Bootstrap::Of(100), 1);
    let rows = rows_by_levels(&lines(300, 4, 3, 82), &study, |line| vec![line.level, other(line)]);
    let (sites, schema) = (rows.sites(), rows.schema().clone());
    let one = find(&rows, &study, &sites, &schema).unwrap();
    let mut apart = rows.by_site();
    apart.rotate_left(1);
    let apart = find(&Together(apart), &study, &sites, &schema).unwrap();
    assert_eq!(tables(&one), tables(&apart));
    assert_eq!(tables(&one).len(), 3);
}

#[test]
fn deals_say_whether_a_site_differs_where_all_together_dont() {
    // At the first site the second level's labels are turned round, so its model fails there; at the second the first level's are.
    let mut made = lines(900, 4, 3, 83);
    for line in &mut made {
        let turned = (line.site == 0 && line.level == 1) || (line.site == 1 && line.level == 0);
        if turned {
            line.class = 1 - line.class;
        }
    }
    let found = run(&made, &crossed_study(Bootstrap::Of(200), 1));
    let table = &tables(&found)[0];
    let auc = &table.spread.metrics[0];
    assert_eq!(auc.name, "roc_auc_score");
    assert_eq!((auc.errors.len(), auc.dealt.len()), (9, 9));
    assert!(auc.errors.iter().all(|error| error.is_some_and(|error| 0.0 < error && error < 0.2)));
    let beyond = |site: usize| {
        let at = |level: usize| site * 3 + level;
        let apart = value(&table.cells[site][0].auc) - value(&table.cells[site][1].auc);
        let dealt = auc.dealt[at(0)].iter().zip(&auc.dealt[at(1)]);
        let as_far = dealt.filter(|(a, b)| match (a, b) {
            (Some(a), Some(b)) => (a - b).abs() >= apart.abs(),
            _ => true,
        });
        (as_far.count(), apart > 0.0)
    };
    assert_eq!(beyond(0), (0, true));
    assert_eq!(beyond(1), (0, false), "the other way round");
    assert!(beyond(2).0 > 3);
    // Cells of an intersection are dealt together.
    let both = &tables(&found)[2];
    assert_eq!(both.spread.metrics[0].dealt.len(), 9);
    assert_eq!(both.spread.metrics.len(), CROSSED.len());
}

#[test]
fn the_plan_counts_the_questions() {
    let asked = crossed_study(Bootstrap::Of(200), 1);
    let mut plain = asked.clone();
    plain.fairness = FairnessRule::default();
    let made = lines(300, 4, 3, 84);
    let [with, without] = [&asked, &plain].map(|study| run(&made, study).cost.queries);
    // Three tables: scores, placements, draws and deals of each.
    assert_eq!(with, without + 3 * 4);
    let schema = asked.schema(4);
    let sites: Vec<_> = (0..3).map(|at| SiteId::parse(&format!("site-{at}")).unwrap()).collect();
    let planned = |study: &Study| plan(study, std::slice::from_ref(&schema), &sites).unwrap();
    assert_eq!(planned(&asked).queries, planned(&plain).queries + 3 * 4);
    assert!(planned(&asked).bytes_up_per_site > planned(&plain).bytes_up_per_site);
}
