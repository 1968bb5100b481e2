//! How one classifier of a study is fitted and chosen, as a question carries it to a site that does all of
//! it by itself: the study less its columns, its sites and its other classifiers.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    Bootstrap, Candidates, Choose, ChooseBy, Classes, Classifier, CohortRule, Confusion,
    EarlyStopping, ExamKey, FairnessRule, FederationRule, GridPoint, Halving, Input, KernelPoint,
    LearningCurve, Matrix, Missing, Mode, Negative, OnSiteLost, Outliers, OwnSiteBaseline,
    PatientRule, Quorum, RbfPoint, Recalibrate, RowWeights, Search, SecondReader, Shortcuts, Study,
    StudyKind, StudySites, Table, Target, ThresholdRule, Validation,
};
use crate::digest::Digest;
use crate::query::{
    FoldPlan, JudgedUnit, LEAST_COMPONENTS, Labelling, MOST_COMPONENTS, MOST_CUTS, MOST_DEPTH,
    MOST_GAMMA, Schema, Weighting,
};

/// Most points of a grid.
const MOST_POINTS: usize = 256;
/// Most trees of a model.
const MOST_TREES: u32 = 2000;
/// Largest random search.
const MOST_DRAWN: u16 = 256;

/// How one classifier is fitted and chosen; folds, repeats and seed are the question's own.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recipe {
    /// The classifier with its grid.
    pub classifier: Classifier,
    /// Which figure chooses among grid points.
    pub choose_by: ChooseBy,
    /// Which grid point it chooses.
    pub choose: Choose,
    /// Which points of the grid are tried.
    pub search: Search,
    /// From which probability a row is called positive.
    #[serde(default, skip_serializing_if = "ThresholdRule::is_youden")]
    pub threshold: ThresholdRule,
}

impl Recipe {
    /// A study's own, for one of its classifiers.
    pub fn of(study: &Study, classifier: &Classifier) -> Self {
        let Validation { choose_by, choose, search, threshold, .. } = study.validation;
        Self { classifier: classifier.clone(), choose_by, choose, search, threshold }
    }

    /// Its one form in questions: JSON, fields in their order.
    pub fn text(&self) -> String {
        serde_json::to_string(self).expect("a recipe has text keys and finite numbers only")
    }

    /// Reads its form in questions.
    ///
    /// # Errors
    /// Says what isn't a recipe, or is larger than a study file may ask.
    pub fn parse(text: &str) -> Result<Self, String> {
        let value: Value = serde_json::from_str(text).map_err(|error| error.to_string())?;
        // Before the grid is laid out: every list of a classifier is a side of it.
        let lists = value["classifier"].as_object().into_iter().flat_map(|fields| fields.values());
        let sides = lists.filter_map(Value::as_array).map(|list| list.len());
        let points = sides.fold(1usize, usize::saturating_mul);
        if !(1..=MOST_POINTS).contains(&points) {
            return Err(format!("a grid of {points} points, expected 1 to {MOST_POINTS}"));
        }
        let recipe: Self = serde_json::from_value(value).map_err(|error| error.to_string())?;
        recipe.check()?;
        Ok(recipe)
    }

    fn check(&self) -> Result<(), String> {
        if let Search::Random(drawn) = self.search
            && !(1..=MOST_DRAWN).contains(&drawn)
        {
            return Err(format!("{drawn} drawn grid points, expected 1 to {MOST_DRAWN}"));
        }
        if let Search::Halving(Halving { eta, candidates }) = self.search {
            let drawn = match candidates {
                Candidates::Grid => 1,
                Candidates::Random(drawn) => drawn,
            };
            if eta < 2 || !(1..=MOST_DRAWN).contains(&drawn) {
                return Err(format!("a race of {drawn} points of which one in {eta} goes on"));
            }
        }
        match self.threshold {
            ThresholdRule::Youden => {}
            ThresholdRule::Sensitivity(share) | ThresholdRule::Specificity(share) => {
                if !(share > 0.0 && share < 1.0) {
                    return Err(format!(
                        "a threshold for a rate of {share}, expected above 0 and below 1"
                    ));
                }
            }
            ThresholdRule::MissCost(cost) => {
                if !(cost.is_finite() && cost > 0.0) {
                    return Err(format!("a miss that costs {cost} false alarms, expected above 0"));
                }
            }
        }
        if let EarlyStopping::Patience(trees) = self.classifier.early_stopping()
            && !(1..=MOST_TREES).contains(&trees)
        {
            return Err(format!("a patience of {trees} trees, expected 1 to {MOST_TREES}"));
        }
        if let Some(rules) = self.classifier.tree_rules() {
            let (bins, most) = (usize::from(rules.bins), MOST_CUTS + 1);
            if !(2..=most).contains(&bins) {
                return Err(format!("{bins} bins of a column, expected 2 to {most}"));
            }
        }
        self.classifier.grid().iter().try_for_each(check_point)
    }

    /// The study of one classifier, of rows like `schema`'s, that it stands for. Only its classes, classifier,
    /// validation and seed mean anything.
    pub fn study(&self, schema: &Schema, plan: &FoldPlan) -> Study {
        let Self { classifier, choose_by, choose, search, threshold } = self.clone();
        let weight = match schema.weighting {
            Weighting::Equal => RowWeights::Equal,
            Weighting::Given => RowWeights::Column("weight".to_owned()),
        };
        let labels = |count: u8| (0..count).map(|code| code.to_string()).collect();
        let classes = match (schema.labelling, schema.classes) {
            (Labelling::Multi, several) => Classes::AnyOf {
                labels: labels(several - 1),
                separator: "|".to_owned(),
                negative: Negative::Rest,
            },
            (Labelling::Single, 2) => {
                Classes::Binary { positive: vec!["1".to_owned()], negative: Negative::Rest }
            }
            (Labelling::Single, several) => Classes::OneVsRest { labels: labels(several) },
        };
        let table = Table {
            numeric: (0..schema.features).map(|at| format!("f{at}")).collect(),
            categorical: Vec::new(),
            missing: Missing::Impute,
        };
        Study {
            kind: StudyKind::Train,
            name: "own site".to_owned(),
            seed: plan.seed,
            target: Target {
                column: "class".to_owned(),
                classes,
                second_reader: SecondReader::None,
            },
            cohort: CohortRule { sites: StudySites::Enrolled, filters: Vec::new(), weight },
            patient: PatientRule {
                key: "patient".to_owned(),
                unit: "patient".to_owned(),
                exam: match schema.judged {
                    JudgedUnit::Exam(_) => ExamKey::Column("exam".to_owned()),
                    JudgedUnit::Row | JudgedUnit::Patient(_) => ExamKey::None,
                },
            },
            subgroups: Vec::new(),
            fairness: FairnessRule::default(),
            input: Input::Table(table),
            classifiers: vec![classifier],
            ensembles: Vec::new(),
            validation: Validation {
                folds: plan.folds,
                repeats: plan.repeats,
                leave_one_site_out: false,
                judge: schema.judged,
                choose_by,
                choose,
                search,
                threshold,
                bootstrap: Bootstrap::Off,
                own_site_baseline: OwnSiteBaseline::Off,
                matrix: Matrix::Off,
                outliers: Outliers::Off,
                recalibrate: Recalibrate::Off,
                shortcuts: Shortcuts::Off,
                learning_curve: LearningCurve::Off,
                confusion: Confusion::Off,
            },
            federation: FederationRule {
                quorum: Quorum::All,
                on_site_lost: OnSiteLost::Wait,
                patience_s: 3600,
                mode: Mode::Sums,
            },
            digest: Digest::of(self.text().as_bytes()),
        }
    }
}

/// Sizes that cost memory or time; a penalty out of range costs a failed fit only.
fn check_point(point: &GridPoint) -> Result<(), String> {
    if point.is_trees() && !(1..=MOST_TREES).contains(&point.trees()) {
        return Err(format!("{} trees, expected 1 to {MOST_TREES}", point.trees()));
    }
    if usize::from(point.depth()) > MOST_DEPTH {
        return Err(format!("trees of depth {}, expected up to {MOST_DEPTH}", point.depth()));
    }
    if let Some(KernelPoint { gamma, .. }) = point.kernel()
        && !(*gamma > 0.0 && *gamma <= MOST_GAMMA)
    {
        return Err(format!("a kernel of gamma {gamma}"));
    }
    let Some(RbfPoint { components, gamma, .. }) = point.rbf() else { return Ok(()) };
    let known = (LEAST_COMPONENTS..=MOST_COMPONENTS).contains(components) && components % 2 == 0;
    if known && *gamma > 0.0 && *gamma <= MOST_GAMMA {
        return Ok(());
    }
    Err(format!("{components} components of a kernel of gamma {gamma}"))
}

#[cfg(test)]
mod tests {
    use super::super::{Balance, ForestGrid, LeafLimit, MultiClass, Standardise, TreeRules};
    use super::*;
    use crate::query::MOST_CUTS;
    use crate::study::{ColumnSample, Reduction};

    fn recipe(classifier: Classifier) -> Recipe {
        let (choose_by, choose) = (ChooseBy::WithinSites, Choose::OneStandardError);
        let threshold = ThresholdRule::Youden;
        Recipe { classifier, choose_by, choose, search: Search::Random(3), threshold }
    }

    fn forest(trees: Vec<u32>) -> Recipe {
        let (columns, leaves) = (ColumnSample::AtMost(9), LeafLimit::Unlimited);
        let rules = TreeRules { columns, leaves, bins: MOST_CUTS as u8 };
        let (depth, min_patients) = (vec![3, 5], vec![2]);
        let balance = vec![Balance::None, Balance::Weights];
        let forest = ForestGrid {
            trees,
            depth,
            min_patients,
            balance,
            rules,
            reduce: vec![Reduction::None],
        };
        recipe(Classifier::Forest(forest))
    }

    #[test]
    fn recipes_round_trip() {
        let logistic = Classifier::Logistic {
            l1_ratio: vec![0.0],
            multi_class: MultiClass::OneVsRest,
            c: vec![0.001, 1.0 / 3.0],
            standardise: vec![Standardise::All, Standardise::Site],
            balance: vec![Balance::None],
            reduce: vec![Reduction::None],
        };
        for recipe in [recipe(logistic), forest(vec![50, 100])] {
            assert_eq!(Recipe::parse(&recipe.text()), Ok(recipe));
        }
    }

    #[test]
    fn what_would_cost_too_much_is_refused() {
        let why = |recipe: Recipe| Recipe::parse(&recipe.text()).unwrap_err();
        assert_eq!(why(forest(vec![5000])), "5000 trees, expected 1 to 2000");
        let wide = forest((1..=200).collect());
        assert_eq!(why(wide), "a grid of 800 points, expected 1 to 256");
        assert_eq!(why(forest(vec![])), "a grid of 0 points, expected 1 to 256");
        assert!(Recipe::parse("{}").is_err() && Recipe::parse("").is_err());
        let drawn = Recipe { search: Search::Random(0), ..forest(vec![1]) };
        assert_eq!(why(drawn), "0 drawn grid points, expected 1 to 256");
    }
}
