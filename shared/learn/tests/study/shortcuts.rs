//! Shortcuts and shift between sites: against scikit-learn and numpy on the same rows and folds (`golden/make_shortcuts.py`), added up
//! over sites, and with a column that the class comes with.

use serde::Deserialize;
use wardround_core::class_set::ClassSet;
use wardround_core::ids::StudyId;
use wardround_core::query::{
    Ask, ClassWeights, Derivatives, Fill, FoldSet, Frame, Labelling, LinearModel, LinearTerm, Mark,
    Marked, Query, RowSet, Scaler, Schema, ScoreOf, SiteSet,
};
use wardround_core::study::{Levels, Shortcuts as Rule, Standardise, Study};
use wardround_learn::cohort::{Cohort, CohortError};
use wardround_learn::findings::{
    Distance, Figure, Findings, JudgedLevel, Shift, ShortcutLevel, ShortcutOf, Shortcuts,
    ShortcutsFound,
};
use wardround_learn::rows::{Patient, RowsBuilder, Together};
use wardround_learn::study::plan;

use crate::support::{Line, every_classifier, find, lines, rows, study, value, with_subgroup};

/// A table study of one grid point that looks for shortcuts by site and one subgroup column of three levels.
fn looking() -> Study {
    let mut study = with_subgroup(study(&[1.0], &[Standardise::All]));
    study.validation.leave_one_site_out = false;
    study.validation.shortcuts = Rule::On;
    study
}

/// Rows whose second feature says something of the level; `make_shortcuts.py` has the same.
fn told(n: usize, sites: usize) -> Vec<Line> {
    let mut made = lines(n, 6, sites, 91);
    for line in &mut made {
        line.features[1] += 0.1 * 0.6 * f64::from(line.level);
    }
    made
}

fn asked(found: &Findings) -> &ShortcutsFound {
    let Shortcuts::Asked(found) = &found.shortcuts else { panic!("{:?}", found.shortcuts) };
    found
}

fn judged(level: &ShortcutLevel) -> &JudgedLevel {
    let ShortcutLevel::Judged(level) = level else { panic!("{level:?}") };
    level
}

fn ends(figure: &Figure) -> [f64; 2] {
    match figure {
        Figure::Known {
            interval: wardround_learn::findings::Interval::Between { low, high },
            ..
        } => [*low, *high],
        other => panic!("{other:?}"),
    }
}

#[derive(Deserialize)]
struct Golden {
    folds: Vec<u8>,
    /// AUC of the features by level: three sites, then the column's levels.
    auc: Vec<f64>,
    /// AUC of the score for the level among negatives and positives.
    among: Vec<[f64; 2]>,
    from_others: Vec<GoldenDistance>,
    pairs: Vec<GoldenDistance>,
}

#[derive(Deserialize)]
struct GoldenDistance {
    root_mean_square: f64,
    beyond: [f64; 2],
    largest: f64,
    largest_feature: u32,
    variance_ratio: f64,
}

#[test]
fn levels_are_told_and_followed_as_scikit_learn_says() {
    let study = looking();
    let rows = rows(&told(450, 3), &study);
    let golden: Golden = serde_json::from_str(include_str!("../golden/shortcuts.json")).unwrap();
    assert_eq!(rows.fold_column(&study.fold_plan(), 0), golden.folds);
    let found = find(&rows, &study, &rows.sites(), rows.schema()).unwrap();
    let columns = &asked(&found).columns;
    assert_eq!(columns[0].of, ShortcutOf::Site);
    assert_eq!(columns[1].of, ShortcutOf::Subgroup { column: 0 });
    assert!((asked(&found).c - 1.0 / 6.0).abs() < 1e-15);
    let levels: Vec<&JudgedLevel> =
        columns.iter().flat_map(|column| &column.levels).map(judged).collect();
    assert_eq!(levels.len(), 6);
    for (at, level) in levels.iter().enumerate() {
        // A histogram of the logit in steps of 0.023: a level that features hardly tell has all its logits in some dozens.
        let auc = value(&level.auc);
        assert!((auc - golden.auc[at]).abs() < 2e-3, "{at}: {auc}, {}", golden.auc[at]);
        let [low, high] = ends(&level.auc);
        assert!(low < auc && auc < high);
        for (among, golden) in level.follows[0].among.iter().zip(golden.among[at]) {
            let auc = value(&among.auc);
            assert!((auc - golden).abs() < 2e-3, "{at}: {auc}, {golden}");
        }
    }
    let Shift::Known { from_others, pairs } = &found.shift else { panic!("{:?}", found.shift) };
    let same = |got: &[Distance], golden: &[GoldenDistance]| {
        assert_eq!(got.len(), golden.len());
        for (got, golden) in got.iter().zip(golden) {
            let close =
                |a: f64, b: f64| assert!((a - b).abs() < 1e-9 * (1.0 + b.abs()), "{a}, {b}");
            close(got.root_mean_square, golden.root_mean_square);
            close(got.largest, golden.largest);
            close(got.variance_ratio, golden.variance_ratio);
            assert_eq!(got.beyond, golden.beyond);
            assert_eq!((got.features, got.largest_feature), (6, golden.largest_feature));
            assert!((got.by_chance - (1.0f64 / 150.0 + 1.0 / 300.0).sqrt()).abs() < 0.02);
        }
    };
    same(from_others, &golden.from_others);
    same(pairs, &golden.pairs);
}

#[test]
fn sites_that_add_up_find_the_shortcuts_of_one_place_for_every_classifier() {
    for (name, classifier) in every_classifier() {
        let mut study = looking();
        study.validation.folds = 3;
        study.classifiers = vec![classifier];
        let pooled = rows(&told(240, 3), &study);
        let (sites, schema) = (pooled.sites(), pooled.schema().clone());
        let expected = find(&pooled, &study, &sites, &schema).unwrap();
        assert_eq!(asked(&expected).columns.len(), 2, "{name}");
        let mut apart = pooled.by_site();
        apart.rotate_left(1);
        assert_eq!(find(&Together(apart), &study, &sites, &schema).unwrap(), expected, "{name}");
    }
}

#[test]
fn a_score_follows_a_column_that_its_class_comes_with_and_no_other() {
    let mut study = looking();
    let levels = Levels::Values { values: vec!["a".into(), "b".into()] };
    study.subgroups[0].levels = levels;
    let among = |planted: bool| -> Vec<[f64; 2]> {
        let mut made = lines(480, 4, 2, 17);
        for line in &mut made {
            // The last feature is nothing but the level. The class comes with it, or not.
            let drawn = u8::from(line.patient % 5 < 2);
            let with_class = if line.patient % 4 == 0 { drawn } else { line.class };
            line.level = if planted { with_class } else { drawn };
            line.features[3] = f64::from(line.level) + 0.01 * line.features[3];
        }
        let rows = rows(&made, &study);
        let found = find(&rows, &study, &rows.sites(), rows.schema()).unwrap();
        let column = &asked(&found).columns[1];
        // Of two levels one is looked at; nobody's is unknown.
        assert_eq!(column.levels[2], ShortcutLevel::Empty);
        let rest = column.levels.iter().filter(|level| **level == ShortcutLevel::Rest).count();
        assert_eq!(rest, 1);
        let one = column.levels.iter().find(|l| matches!(l, ShortcutLevel::Judged(_))).unwrap();
        // Features tell it either way.
        assert!(value(&judged(one).auc) > 0.99);
        let is_first = matches!(column.levels[0], ShortcutLevel::Judged(_));
        let side = |auc: f64| if is_first { 1.0 - auc } else { auc };
        vec![judged(one).follows[0].among.clone().map(|among| side(value(&among.auc)))]
    };
    let planted = among(true)[0];
    assert!(planted.iter().all(|auc| *auc > 0.8), "{planted:?}");
    let not = among(false)[0];
    assert!(not.iter().all(|auc| (auc - 0.5).abs() < 0.12), "{not:?}");
}

#[test]
fn a_level_that_a_site_does_not_let_be_asked_about_is_named_and_never_asked_about() {
    let study = looking();
    let rows = rows(&told(450, 3), &study);
    /// Rows of sites, the second of which refuses the first level, that say which marks they were asked about.
    struct Heard<'a>(&'a wardround_learn::rows::Rows, std::sync::Mutex<Vec<Mark>>);
    impl Cohort for Heard<'_> {
        async fn sum(&self, query: &Query) -> Result<wardround_core::sum::Sum, CohortError> {
            let mut sum = self.0.answer(query)?;
            match &query.ask {
                Ask::Marked(marked) => self.1.lock().unwrap().extend(&marked.marks),
                Ask::MarksAllowed { marks } => {
                    let first = Mark::Level { column: 0, level: 0 };
                    let at = marks.iter().position(|mark| *mark == first).unwrap();
                    sum.blocks[0][marks.len() + at] = 0;
                }
                _ => {}
            }
            Ok(sum)
        }
    }
    let heard = Heard(&rows, std::sync::Mutex::default());
    let found = find(&heard, &study, &rows.sites(), rows.schema()).unwrap();
    assert_eq!(asked(&found).columns[1].levels[0], ShortcutLevel::TooFew);
    let marks = heard.1.into_inner().unwrap();
    assert!(marks.contains(&Mark::Level { column: 0, level: 1 }));
    assert!(!marks.contains(&Mark::Level { column: 0, level: 0 }));
}

#[test]
fn a_marked_question_is_answered_as_if_marks_were_the_labels() {
    let mut study = looking();
    study.validation.folds = 4;
    let made = told(90, 2);
    let marked = rows(&made, &study);
    let schema = marked.schema().clone();
    let marks = vec![Mark::Site(1), Mark::Level { column: 0, level: 2 }];
    // The same rows, whose labels are the marks.
    let as_labels = Schema { labelling: Labelling::Multi, ..schema.marked(marks.len()) };
    let mut builder = RowsBuilder::new(as_labels.clone());
    for line in &made {
        let site = marked.sites()[line.site].clone();
        let key = format!("p{:05}", line.patient);
        let patient = Patient { issuer: site.to_string(), site, key };
        let mut set = ClassSet::default();
        let holds = [line.site == 1, line.level == 2];
        (0..2).filter(|&code| holds[usize::from(code)]).for_each(|code| set.insert(code));
        if set == ClassSet::default() {
            set.insert(2);
        }
        let levels = [line.level, u8::from(line.class == 0), u8::from(line.class == 1)];
        builder.add(patient, set, &levels, &line.features).unwrap();
    }
    let labelled = builder.build().unwrap();
    let frame = std::sync::Arc::new(Frame::identity(6));
    let term = |class| LinearTerm {
        rows: RowSet { repeat: 0, folds: FoldSet::all(4), sites: SiteSet::All },
        weights: ClassWeights::EQUAL,
        model: LinearModel {
            class,
            scaler: Scaler::Folded,
            weights: vec![0.01, -0.2, 0.003, 0.0, 0.0004, 0.05],
            intercept: -0.3,
            fill: Fill::Complete,
        },
    };
    let terms = vec![term(0), term(1)];
    let ask = Ask::Logistic { frame, terms, derivatives: Derivatives::Hessian, bits: 20 };
    let query = |schema: &Schema, ask| Query {
        study: StudyId::parse("test").unwrap(),
        sites: marked.sites(),
        schema: schema.clone(),
        input: 0,
        folds: study.fold_plan(),
        ask,
    };
    let about = Marked { marks, scores: ScoreOf::Mark, ask: Box::new(ask.clone()) };
    let question = query(&schema, Ask::Marked(about));
    assert_eq!(Query::decode(&question.encode()).unwrap(), question);
    let got = marked.answer(&question).unwrap();
    let expected = labelled.answer(&query(&as_labels, ask)).unwrap();
    assert_eq!(got.blocks, expected.blocks);
    got.check(&question).unwrap();
}

#[test]
fn a_plan_counts_what_looking_for_shortcuts_asks() {
    let mut study = looking();
    let rows = rows(&told(300, 4), &study);
    let (sites, schema) = (rows.sites(), rows.schema().clone());
    let planned = |study: &Study| plan(study, std::slice::from_ref(&schema), &sites).unwrap();
    let asked = |study: &Study| find(&rows, study, &sites, &schema).unwrap().cost.queries;
    let (with, asked_with) = (planned(&study), asked(&study));
    study.validation.shortcuts = Rule::Off;
    let (without, asked_without) = (planned(&study), asked(&study));
    // Four sites and one of two levels, in five folds.
    assert_eq!(with.models - without.models, 25);
    let (promised, got) = (with.queries - without.queries, asked_with - asked_without);
    assert!(promised.abs_diff(got) <= 3, "promised {promised}, got {got}");
}
