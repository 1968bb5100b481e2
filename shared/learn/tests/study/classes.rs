//! Several classes together in a study: means over classes, and the class with the largest probability, with intervals.

use wardround_core::study::{Bootstrap, Classes, Confusion, Standardise, Study};
use wardround_learn::findings::{
    Average, CallTable, Calls, ClassMean, ClassMeans, Figure, Findings, Interval, MeansOfCells,
};
use wardround_learn::metrics::classes::AVERAGED;

use crate::support::{Line, find, lines, noise, rows, study, value, with_subgroup};

fn of_three(confusion: Confusion, bootstrap: Bootstrap) -> Study {
    let mut study = with_subgroup(study(&[1.0], &[Standardise::All]));
    let labels = ["a", "b", "c"].map(str::to_owned).to_vec();
    study.target.classes = Classes::OneVsRest { labels };
    study.validation.leave_one_site_out = false;
    study.validation.repeats = 2;
    study.validation.confusion = confusion;
    study.validation.bootstrap = bootstrap;
    study
}

/// Some of the positive rows are of a third class.
fn made() -> Vec<Line> {
    let mut made = lines(300, 4, 3, 33);
    for line in &mut made {
        let third = line.features[0] + noise(line.patient as u64, 5, 9) * 0.01 > 0.03;
        line.class += u8::from(line.class == 1 && third);
    }
    made
}

fn run(study: &Study) -> Findings {
    let rows = rows(&made(), study);
    find(&rows, study, &rows.sites(), rows.schema()).unwrap()
}

fn means(found: &Findings) -> &MeansOfCells {
    let ClassMeans::Several(means) = &found.class_means else { panic!("three are modelled") };
    means
}

fn mean<'a>(cell: &'a [ClassMean], name: &str, average: Average) -> &'a Figure {
    let one = cell.iter().find(|one| one.name == name && one.average == average);
    &one.expect("every cell has all means").figure
}

fn surrounded(figure: &Figure) -> bool {
    match figure {
        Figure::Known { value, interval: Interval::Between { low, high } } => {
            low <= value && value <= high && low < high
        }
        _ => false,
    }
}

#[test]
fn means_are_of_the_classes_own_figures() {
    let found = run(&of_three(Confusion::Off, Bootstrap::Of(100)));
    assert_eq!(found.calls, Calls::NotAsked);
    let means = means(&found);
    let each: Vec<_> = found.targets.iter().map(|target| &target.nested.judged.one_list).collect();
    let rows: f64 = each.iter().map(|one| one.rows[1] as f64).sum();
    let plain = each.iter().map(|one| value(&one.auc)).sum::<f64>() / 3.0;
    let weighted: f64 = each.iter().map(|one| value(&one.auc) * one.rows[1] as f64 / rows).sum();
    assert!((value(mean(&means.one_list, "roc_auc_score", Average::Macro)) - plain).abs() < 1e-12);
    let got = value(mean(&means.one_list, "roc_auc_score", Average::Weighted));
    assert!((got - weighted).abs() < 1e-12);
    assert_ne!(plain, weighted);
    assert_eq!((means.by_site.len(), means.by_subgroup[0].len()), (3, 3));
    let cells = means.by_site.iter().chain(means.by_subgroup.iter().flatten());
    let mut known = 0;
    for one in cells.chain([&means.one_list]).flatten() {
        assert!(surrounded(&one.figure), "{one:?}");
        known += 1;
    }
    assert_eq!(known, 2 * AVERAGED.len() * 7);
    // A mean over all sites is surer than one site's.
    let width = |cell: &[ClassMean]| match mean(cell, "brier_score_loss", Average::Macro) {
        Figure::Known { interval: Interval::Between { low, high }, .. } => high - low,
        other => panic!("{other:?}"),
    };
    assert!(width(&means.one_list) < width(&means.by_site[0]));
}

#[test]
fn calls_are_counted_once_and_only_where_they_are_asked_for() {
    let without = run(&of_three(Confusion::Off, Bootstrap::Off));
    let found = run(&of_three(Confusion::On, Bootstrap::Off));
    // All sites, and one subgroup column.
    assert_eq!(found.cost.queries, without.cost.queries + 2);
    assert_eq!(means(&found), means(&without));
    let Calls::Asked(tables) = &found.calls else { panic!("asked for") };
    let by_class = |table: &CallTable| -> Vec<u64> {
        table.rows.chunks(3).map(|row| row.iter().sum()).collect()
    };
    let of_targets: Vec<u64> =
        found.targets.iter().map(|target| target.nested.judged.one_list.rows[1]).collect();
    assert_eq!(by_class(&tables.all), of_targets);
    for (site, table) in tables.by_site.iter().enumerate() {
        let judged = |at: usize| &found.targets[at].nested.judged.by_site[site];
        assert_eq!(by_class(table), [0, 1, 2].map(|at| judged(at).rows[1]));
    }
    for cells in [&tables.by_site, &tables.by_subgroup[0]] {
        for place in 0..9 {
            let sum: u64 = cells.iter().map(|table| table.rows[place]).sum();
            assert_eq!(sum, tables.all.rows[place]);
        }
    }
    let names: Vec<&str> = tables.all.figures.iter().map(|one| one.name.as_str()).collect();
    assert_eq!(names[0], "accuracy_score");
    // It knows something.
    assert!(value(&tables.all.figures[0].figure) > 0.5);
    let drawn = run(&of_three(Confusion::On, Bootstrap::Of(100)));
    let Calls::Asked(tables) = &drawn.calls else { panic!("asked for") };
    let all = tables.by_site.iter().chain([&tables.all]).flat_map(|table| &table.figures);
    assert!(all.map(|one| &one.figure).all(surrounded));
}
