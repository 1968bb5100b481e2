//! Intervals of every figure and how far apart subgroups would be by chance, from draws of the patients.

use wardround_core::study::{Bootstrap, Standardise, Study};
use wardround_learn::findings::{Figure, Figures, FinalScaler, Findings, Interval};
use wardround_learn::metrics::ScoreHistogram;
use wardround_learn::metrics::ranking::auc_within_sites;
use wardround_learn::metrics::registry::{FAIRNESS, METRICS, Place, Spread};
use wardround_learn::study::BINS;

use crate::support::{Line, find, lines, rows, study, value, with_subgroup};

fn with(bootstrap: Bootstrap, repeats: u8) -> Study {
    let mut study = with_subgroup(study(&[0.1, 10.0], &[Standardise::All]));
    study.validation.bootstrap = bootstrap;
    study.validation.repeats = repeats;
    study
}

fn run(made: &[Line], study: &Study) -> Findings {
    let rows = rows(made, study);
    find(&rows, study, &rows.sites(), rows.schema()).unwrap()
}

/// Every cell that is judged.
fn cells(found: &Findings) -> Vec<&Figures> {
    let judged = &found.targets[0].nested.judged;
    let left_out = found.targets[0].left_out.iter().map(|out| &out.figures);
    std::iter::once(&judged.one_list)
        .chain(&judged.by_site)
        .chain(judged.by_subgroup.iter().flatten())
        .chain(left_out)
        .collect()
}

/// A cell's figures by name, but the AUC.
fn named(cell: &Figures) -> Vec<(&str, &Figure)> {
    let own = [
        ("sensitivity", &cell.sensitivity),
        ("specificity", &cell.specificity),
        ("brier_score_loss", &cell.brier),
        ("expected_calibration_error", &cell.ece),
    ];
    own.into_iter().chain(cell.more.iter().map(|one| (one.name.as_str(), &one.figure))).collect()
}

fn ends(figure: &Figure) -> Option<[f64; 2]> {
    match figure {
        Figure::Known { interval: Interval::Between { low, high }, .. } => Some([*low, *high]),
        _ => None,
    }
}

#[test]
fn every_figure_has_an_interval_around_it() {
    let made = lines(420, 5, 3, 71);
    let found = run(&made, &with(Bootstrap::Of(200), 2));
    let mut known = 0;
    for cell in cells(&found) {
        for (name, figure) in named(cell) {
            let metric = METRICS.iter().find(|metric| metric.name == name).unwrap();
            let Figure::Known { value, .. } = figure else { continue };
            if metric.spread == Spread::Nothing {
                continue;
            }
            let [low, high] = ends(figure).unwrap_or_else(|| panic!("{name} has none"));
            assert!(low <= *value && *value <= high && low < high, "{name}: {low} {value} {high}");
            assert!(metric.range[0] <= low && high <= metric.range[1], "{name}");
            known += 1;
        }
    }
    let metrics =
        METRICS.iter().filter(|one| one.spread != Spread::Nothing && one.place != Place::Nowhere);
    // All sites, three sites, three levels, three left-out sites.
    assert_eq!(known, metrics.count() * (1 + 3 + 3 + 3));
    // More patients are surer.
    let width = |cell: &Figures| ends(&cell.brier).map(|[low, high]| high - low).unwrap();
    let judged = &found.targets[0].nested.judged;
    let of_sites = judged.by_site.iter().map(width).sum::<f64>() / 3.0;
    assert!((1.4..2.2).contains(&(of_sites / width(&judged.one_list))));
}

#[test]
fn intervals_change_nothing_else_and_can_be_left_out() {
    let made = lines(300, 4, 3, 72);
    let [on, off] = [Bootstrap::Of(100), Bootstrap::Off].map(|how| run(&made, &with(how, 1)));
    for (cell, without) in cells(&on).into_iter().zip(cells(&off)) {
        for ((name, figure), (_, plain)) in named(cell).into_iter().zip(named(without)) {
            match (figure, plain) {
                (Figure::Known { value: a, .. }, Figure::Known { value: b, interval }) => {
                    assert_eq!(a, b, "{name}");
                    let has = matches!(interval, Interval::Between { .. });
                    assert_eq!(has, matches!(name, "sensitivity" | "specificity"), "{name}");
                }
                (one, other) => assert_eq!(one, other, "{name}"),
            }
        }
    }
    assert_eq!(on.targets[0].model, off.targets[0].model);
    assert!(off.targets[0].nested.judged.fairness.is_empty());
    // By site, left-out sites, and the column's draws and deals.
    assert_eq!(on.cost.queries, off.cost.queries + 4);
}

#[test]
fn repeats_dont_make_figures_surer_than_their_patients() {
    let made = lines(300, 4, 3, 73);
    let width = |repeats: u8| {
        let found = run(&made, &with(Bootstrap::Of(400), repeats));
        let judged = &found.targets[0].nested.judged;
        ends(&judged.one_list.brier).map(|[low, high]| high - low).unwrap()
    };
    let (one, five) = (width(1), width(5));
    assert!((five / one - 1.0).abs() < 0.2, "{one} {five}");
}

#[test]
fn a_gap_that_is_planted_lies_beyond_chance_and_none_does_not() {
    // The second group's labels are drawn by coin: nothing there can be told apart.
    let made = lines(900, 4, 3, 74);
    let gap = |made: &[Line]| {
        let found = run(made, &with(Bootstrap::Of(200), 1));
        let judged = &found.targets[0].nested.judged;
        let metric = &judged.fairness[0].metrics[0];
        assert_eq!(metric.name, FAIRNESS[0]);
        let aucs = [0, 1].map(|level| value(&judged.by_subgroup[0][level].auc));
        let apart = (aucs[0] - aucs[1]).abs();
        let dealt = metric.dealt[0].iter().zip(&metric.dealt[1]);
        let dealt: Vec<f64> = dealt.filter_map(|(a, b)| Some(((*a)? - (*b)?).abs())).collect();
        assert_eq!(dealt.len(), 200);
        dealt.iter().filter(|one| **one >= apart).count()
    };
    let mut planted = made.clone();
    for line in planted.iter_mut().filter(|line| line.level == 1) {
        line.class = (line.patient / 7 % 2) as u8;
    }
    assert_eq!(gap(&planted), 0, "of 200 deals none goes as far");
    assert!(gap(&made) > 4);
}

/// What the report says of its intervals: they are of these fitted models on these patients. Of the model that is fitted to all rows
/// they hold the truth less often, since folds share their training rows and another sample would give another model.
#[test]
fn intervals_of_cross_validation_hold_the_refitted_models_auc_less_often() {
    let mut study = study(&[1.0], &[Standardise::All]);
    study.validation.leave_one_site_out = false;
    let new = lines(6000, 6, 3, 999);
    let (mut held, mut optimism) = (0, 0.0);
    const SETS: u64 = 200;
    for set in 0..SETS {
        let made = lines(150, 6, 3, 1000 + 2 * set);
        let found = run(&made, &study);
        let auc = &found.targets[0].nested.judged.auc_within_sites;
        let [low, high] = ends(auc).unwrap();
        let truth = within_sites(&found, &new);
        held += u64::from(low <= truth && truth <= high);
        optimism += value(auc) - truth;
    }
    let (share, optimism) = (held as f64 / SETS as f64, optimism / SETS as f64);
    println!("{share} hold the refitted model's AUC, which is {optimism:.4} below the estimate");
    assert!((0.7..=0.99).contains(&share), "{share}");
    assert!(optimism.abs() < 0.03, "{optimism}");
}

/// The AUC of a study's final linear model over pairs of one site.
fn within_sites(found: &Findings, rows: &[Line]) -> f64 {
    let model = found.targets[0].model.fitted.linear().unwrap();
    let FinalScaler::All { mean, deviation } = &model.scaler else { panic!("one scaler") };
    let logit = |line: &Line| {
        let terms = line.features.iter().zip(&model.weights).zip(mean.iter().zip(deviation));
        model.intercept + terms.map(|((x, w), (m, s))| w * (x - m) / s).sum::<f64>()
    };
    let histograms: Vec<ScoreHistogram> = (0..3)
        .map(|site| {
            let mut histogram = ScoreHistogram::empty(BINS);
            let of_site = rows.iter().filter(|line| line.site == site);
            of_site.for_each(|line| histogram.add(logit(line), line.class == 1));
            histogram
        })
        .collect();
    auc_within_sites(&histograms).unwrap()
}
