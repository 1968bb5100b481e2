//! Reading `[validation]`.

use super::super::{
    Bootstrap, Candidates, Choose, ChooseBy, Classes, Confusion, ExamKey, Halving, JudgedUnit,
    LearningCurve, Matrix, Outliers, OwnSiteBaseline, PatientRule, Recalibrate, Search, Shortcuts,
    ThresholdRule, UnitScore, Validation,
};
use crate::query::{Labelling, MOST_CALLED_CLASSES, MOST_REPLICATES};
use crate::read::{self, Key, Value};

pub(super) const VALIDATION: &[Key] = &[
    Key::value("folds", "5"),
    Key::value("repeats", "1"),
    Key::value("leave_one_site_out", "true"),
    Key::value("judge", "\"exam\""),
    Key::value("combine", "\"mean\""),
    Key::value("choose_by", "\"within-sites\""),
    Key::value("choose", "\"best\""),
    Key::value("search", "{ random = 20 }"),
    Key::value("threshold", "{ sensitivity = 0.9 }"),
    Key::value("bootstrap", "1000"),
    Key::value("own_site_baseline", "true"),
    Key::value("matrix", "true"),
    Key::value("outliers", "true"),
    Key::value("recalibrate", "\"platt\""),
    Key::value("shortcuts", "true"),
    Key::value("learning_curve", "true"),
    Key::value("confusion", "true"),
];
const THRESHOLD: &[Key] = &[
    Key::value("sensitivity", "0.9"),
    Key::value("specificity", "0.9"),
    Key::value("miss_cost", "10"),
];
const SEARCH: &[Key] = &[Key::value("random", "20"), Key::value("halving", "3")];
/// Of so many points that race one goes on, unless the study says otherwise.
const ETA: u16 = 3;

/// `points`: of the grid; `sites`: how many the study names, if it does.
pub(super) fn validation(
    table: &read::Table<'_>,
    points: usize,
    stops: bool,
    sites: Option<usize>,
) -> Option<Validation> {
    let folds = table.required("folds").and_then(|v| {
        let folds = v.integer(2u8..=64)?;
        if points > 1 && folds < 3 {
            v.wrong(
                format!("validation.folds is 2 and the grid has {points} points to choose from"),
                "it must be 3 or more, so that a fold is judged that had no part in the choice",
            );
        } else if stops && folds < 3 {
            v.wrong(
                "validation.folds is 2 and early_stopping chooses how many trees there are",
                "it must be 3 or more, so that a fold is judged that had no part in the choice",
            );
        }
        Some(folds)
    });
    let repeats = table.or("repeats", 1, |v| v.integer(1u8..=20));
    let leave_one_site_out = table.or("leave_one_site_out", false, |v| {
        let leave = v.boolean()?;
        if leave && sites == Some(1) {
            v.wrong(
                "validation.leave_one_site_out is true and cohort.sites names one site",
                "name two or more, or set it to false",
            );
        }
        Some(leave)
    });
    let judge = judge(table);
    let words = [("within-sites", ChooseBy::WithinSites), ("one-list", ChooseBy::OneList)];
    let choose_by = table.or("choose_by", ChooseBy::WithinSites, |v| v.choice(&words));
    let words = [("best", Choose::Best), ("one-standard-error", Choose::OneStandardError)];
    let choose = table.or("choose", Choose::Best, |v| v.choice(&words));
    let search = table.or("search", Search::Grid, |v| {
        let search = search(v)?;
        if stops && matches!(search, Search::Halving(_)) {
            v.wrong(
                "validation.search races grid points and early_stopping chooses how many trees there are",
                "use one of them: early stopping looks at all inner folds, a race at some",
            );
        }
        Some(search)
    });
    let threshold = table.or("threshold", ThresholdRule::Youden, |v| threshold(v));
    let bootstrap = table.or("bootstrap", Bootstrap::USUAL, |v| bootstrap(v));
    let own_site_baseline = table.or("own_site_baseline", OwnSiteBaseline::Off, |v| {
        Some(if v.boolean()? { OwnSiteBaseline::On } else { OwnSiteBaseline::Off })
    });
    let matrix = table.or("matrix", Matrix::Off, |v| {
        let on = v.boolean()?;
        if on && sites == Some(1) {
            v.wrong(
                "validation.matrix is true and cohort.sites names one site",
                "name two or more, or set it to false",
            );
        }
        Some(if on { Matrix::On } else { Matrix::Off })
    });
    let outliers = table.or("outliers", Outliers::Off, |v| {
        Some(if v.boolean()? { Outliers::On } else { Outliers::Off })
    });
    let recalibrate = table.or("recalibrate", Recalibrate::Off, |v| recalibrate(v));
    let shortcuts = table.or("shortcuts", Shortcuts::Off, |v| {
        Some(if v.boolean()? { Shortcuts::On } else { Shortcuts::Off })
    });
    let learning_curve = table.or("learning_curve", LearningCurve::Off, |v| {
        let on = v.boolean()?;
        if on && folds.is_some_and(|folds| folds < 3) {
            v.wrong(
                "validation.learning_curve is true and validation.folds is 2, so there is one fold to learn from",
                "have three folds or more, or set it to false",
            );
        }
        Some(if on { LearningCurve::On } else { LearningCurve::Off })
    });
    let confusion = table.or("confusion", Confusion::Off, |v| {
        Some(if v.boolean()? { Confusion::On } else { Confusion::Off })
    });
    Some(Validation {
        folds: folds?,
        repeats: repeats?,
        leave_one_site_out: leave_one_site_out?,
        judge: judge?,
        choose_by: choose_by?,
        choose: choose?,
        search: search?,
        threshold: threshold?,
        bootstrap: bootstrap?,
        own_site_baseline: own_site_baseline?,
        matrix: matrix?,
        outliers: outliers?,
        recalibrate: recalibrate?,
        shortcuts: shortcuts?,
        learning_curve: learning_curve?,
        confusion: confusion?,
    })
}

/// What is judged, and how the scores of its rows make one.
pub(super) fn judge(table: &read::Table<'_>) -> Option<JudgedUnit> {
    let words = [("mean", UnitScore::Mean), ("max", UnitScore::Max)];
    let combine = table.optional("combine");
    let score = match &combine {
        None => Some(UnitScore::Mean),
        Some(value) => value.choice(&words),
    };
    // The score is put in behind.
    let units = [
        ("image", JudgedUnit::Row),
        ("row", JudgedUnit::Row),
        ("exam", JudgedUnit::Exam(UnitScore::Mean)),
        ("patient", JudgedUnit::Patient(UnitScore::Mean)),
    ];
    let unit = match table.optional("judge") {
        None => Some(JudgedUnit::Row),
        Some(value) => value.choice(&units),
    };
    let judged = match (unit?, score?) {
        (JudgedUnit::Row, _) => JudgedUnit::Row,
        (JudgedUnit::Exam(_), score) => JudgedUnit::Exam(score),
        (JudgedUnit::Patient(_), score) => JudgedUnit::Patient(score),
    };
    match combine {
        Some(value) if judged.is_row() => value.refuse(
            "validation.combine stands beside judge = \"image\", which has one score each",
            "leave it out, or judge = \"exam\" or \"patient\"",
        ),
        _ => Some(judged),
    }
}

/// Exams are judged by a column that says which they are, and nothing else asks for it.
pub(super) fn exams(
    root: &read::Table<'_>,
    patient: Option<&PatientRule>,
    validation: Option<&Validation>,
) -> Option<()> {
    let (PatientRule { exam, .. }, Validation { judge, .. }) = (patient?, validation?);
    match (judge, exam) {
        (JudgedUnit::Exam(_), ExamKey::None) => {
            root.wrong(
                "[validation] has judge = \"exam\", and [patient] doesn't say which exam a row is of",
                "add exam = \"...\" to [patient] with the column of the exams' keys, or judge = \"patient\"",
            );
            None
        }
        (JudgedUnit::Row | JudgedUnit::Patient(_), ExamKey::Column(column)) => {
            root.wrong(
                format!("[patient] has exam = {}, and exams aren't judged", read::quoted(column)),
                "add judge = \"exam\" to [validation], or leave exam out",
            );
            None
        }
        (JudgedUnit::Exam(_), ExamKey::Column(_)) | (_, ExamKey::None) => Some(()),
    }
}

/// Which of several classes has the largest probability can be asked where they exclude each other.
pub(super) fn confusion(
    root: &read::Table<'_>,
    classes: Option<&Classes>,
    validation: Option<&Validation>,
) -> Option<()> {
    let (classes, Validation { confusion, .. }) = (classes?, validation?);
    let count = classes.names().len();
    let why = match (confusion, classes.labelling()) {
        (Confusion::Off, _) => return Some(()),
        (_, Labelling::Multi) => {
            "labels may stand together, so that none is called alone".to_owned()
        }
        (_, Labelling::Single) if count < 3 => {
            "of two classes the table at the threshold is in every report".to_owned()
        }
        (_, Labelling::Single) if count > usize::from(MOST_CALLED_CLASSES) => {
            format!("{count} classes are more than {MOST_CALLED_CLASSES}")
        }
        (Confusion::On, Labelling::Single) => return Some(()),
    };
    root.wrong(format!("[validation] has confusion = true, and {why}"), "leave it out");
    None
}

pub(super) fn bootstrap(value: &Value<'_>) -> Option<Bootstrap> {
    if value.is_integer() {
        return value.integer(Bootstrap::FEWEST..=MOST_REPLICATES).map(Bootstrap::Of);
    }
    if value.is_word() {
        let what = "validation.bootstrap is neither a number of draws nor false";
        return value
            .refuse(what, format!("write {} to {MOST_REPLICATES}, or false", Bootstrap::FEWEST));
    }
    match value.boolean()? {
        true => Some(Bootstrap::USUAL),
        false => Some(Bootstrap::Off),
    }
}

fn recalibrate(value: &Value<'_>) -> Option<Recalibrate> {
    const EACH: [Recalibrate; 3] = [Recalibrate::Off, Recalibrate::Platt, Recalibrate::Temperature];
    value.choice(&EACH.map(|one| (one.word(), one)))
}

fn threshold(value: &Value<'_>) -> Option<ThresholdRule> {
    const EACH: &str = "give \"youden\" or one of { sensitivity = 0.9 }, { specificity = 0.9 }, { miss_cost = 10 }";
    if value.is_word() {
        return value.choice(&[("youden", ThresholdRule::Youden)]);
    }
    if !value.is_table() {
        let what =
            "validation.threshold is neither a word nor a rule: thresholds are chosen, not given";
        return value.refuse(what, EACH);
    }
    let table = value.table(THRESHOLD)?;
    let rate = |v: Value<'_>| {
        let share = v.number(0.0..=1.0)?;
        match share > 0.0 && share < 1.0 {
            true => Some(share),
            false => v.refuse(
                format!("{} is {share}", v.name()),
                "give a share above 0 and below 1: a threshold that calls all or none needs no study",
            ),
        }
    };
    let sensitivity =
        table.optional("sensitivity").map(|v| rate(v).map(ThresholdRule::Sensitivity));
    let specificity =
        table.optional("specificity").map(|v| rate(v).map(ThresholdRule::Specificity));
    let cost = table.optional("miss_cost").map(|v| v.positive().map(ThresholdRule::MissCost));
    let given: Vec<Option<ThresholdRule>> =
        [sensitivity, specificity, cost].into_iter().flatten().collect();
    match given.as_slice() {
        [one] => *one,
        _ => value.refuse(format!("validation.threshold says {} things", given.len()), EACH),
    }
}

fn search(value: &Value<'_>) -> Option<Search> {
    if !value.is_table() {
        let halving = Search::Halving(Halving { eta: ETA, candidates: Candidates::Grid });
        return value.choice(&[("grid", Search::Grid), ("halving", halving)]);
    }
    let table = value.table(SEARCH)?;
    let random = table.optional("random").map(|v| v.integer(1u16..=256));
    let eta = table.optional("halving").map(|v| v.integer(2u16..=256));
    match (random, eta) {
        (Some(random), None) => random.map(Search::Random),
        (None, Some(eta)) => {
            Some(Search::Halving(Halving { eta: eta?, candidates: Candidates::Grid }))
        }
        (Some(random), Some(eta)) => {
            let candidates = Candidates::Random(random?);
            Some(Search::Halving(Halving { eta: eta?, candidates }))
        }
        (None, None) => {
            value.refuse("validation.search says nothing", "give random = 20, halving = 3, or both")
        }
    }
}
