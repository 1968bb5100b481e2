//! The report of a finished study: [`Report::build`] makes it from findings and context, with every
//! table suppressed once; `report.json`, `report.html` and the terminal's table are made from it.

mod build;
mod card;
mod check;
mod classes;
mod comparison;
mod context;
mod crossed;
mod crosswalk;
mod curve;
mod decision;
mod disclose;
mod dominance;
mod edition;
mod evaluation;
mod fairness;
mod figures;
mod html;
mod importance;
mod joining;
mod model;
mod notes;
mod outliers;
mod pseudonym;
mod race;
mod readers;
mod schema;
mod shortcuts;
mod slices;
mod statements;
mod tables;
mod text;
mod together;
mod uncertainty;
mod values;
mod warnings;

pub use check::BuildError;
pub use classes::{CallsRow, CallsSection, ClassesSection, MeanEstimate, MeansRow};
pub use comparison::{
    ClassEstimate, ClassifierCost, ComparedSection, ComparisonSection, DifferenceRow, RankedClass,
    RankedClassifier, TriedPoint,
};
pub use context::{Context, SetAsideCount, SiteContext};
pub(crate) use crossed::disagreements;
pub use crossed::{CrossedCell, CrossedGaps, CrossedKind, CrossedNotJudged, CrossedTable};
pub use curve::{CurveClass, CurvePoint, CurvePointModels, LearningCurveSection, SiteLess};
pub use decision::DecisionPoint;
pub use edition::{Edition, LeftOut, ShownDigest};
pub use evaluation::{DriftRow, DriftState, EvaluationSection, TrainedAtSites, TrainingFigures};
pub use fairness::{FairLevel, FairnessColumn, FairnessSection, GapRow, NotJudged, Verdict};
pub use figures::{Slice, SliceFigure, SliceKind};
pub use importance::{FeatureShare, Importance, ImportanceSection, ShareOf};
pub use joining::{
    MatrixClass, MatrixModels, MatrixRow, MatrixSection, OwnSiteModel, OwnSiteRow, OwnSitesClass,
    OwnSitesSection, TrainedOn,
};
pub use model::{
    Attempt, ClassCounts, CohortCell, CohortLevel, CohortSection, CohortSite, CohortSubgroup,
    Confusion, DataKind, Digests, FORMAT, FigureRow, FinalModel, Fitting, FoldRow, GridRow,
    JudgedSection, LeftOutRow, LeftOutSection, LevelRow, Loosening, MixedUnits, ModelSection,
    ModelSites, NamedDigest, NamedEstimate, NestedFold, NumbersOfSite, PooledSection, Protection,
    Report, RoundCost, RoundsSection, SetAside, SiteCost, SiteRow, SitesSection, StudySection,
    SubgroupColumn, SubgroupsSection, WeightsDigest,
};
pub use outliers::{OutlierSection, OutlierSite};
pub use race::{RaceSection, TrialRow};
pub use readers::{ReadersAtSite, ReadersRow, ReadersSection, ReadersTable};
pub use schema::SCHEMA;
pub use shortcuts::{
    Follow, FollowRow, PairsRow, PrevalenceRow, ShiftRow, ShiftSection, ShortcutColumn,
    ShortcutFound, ShortcutRow, ShortcutsSection, ShownDistance, SitePrevalence,
};
pub use statements::{
    STATEMENT_FIELDS, Statement, StatementField, Statements, statements_template,
};
pub use tables::CsvFile;
pub use together::SitesTogether;
pub use uncertainty::{
    AbstentionRow, ConformalRow, OwnThresholdRow, RecalibratedRow, UncertaintySection,
};
pub(crate) use values::decimal;
pub use values::{Calibration, CalibrationBin, Count, Curve, Estimate};

use wardround_learn::findings::Findings;

/// A `report.json` that can't be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// Written by another version.
    #[error("expected a report of format {FORMAT}, got format {0}")]
    Format(u64),
    /// Not a report.
    #[error("malformed report: {0}")]
    Malformed(#[from] serde_json::Error),
}

impl Report {
    /// Makes the report: checks that findings and context belong together and suppresses every
    /// table once.
    ///
    /// # Errors
    /// [`BuildError`]: a site without context, or tables of the wrong size.
    pub fn build(findings: &Findings, context: &Context) -> Result<Self, BuildError> {
        build::report(findings, context)
    }

    /// The bytes of `report.json`, indented; [`SCHEMA`] describes them.
    pub fn to_json(&self) -> String {
        let mut text = serde_json::to_string_pretty(self)
            .expect("a report has text keys and finite numbers only");
        text.push('\n');
        text
    }

    /// Reads a `report.json`.
    ///
    /// # Errors
    /// [`ReadError`]: another format, or fields that are missing, unknown or out of range.
    pub fn from_json(text: &str) -> Result<Self, ReadError> {
        #[derive(serde::Deserialize)]
        struct Head {
            format: u64,
        }
        let head: Head = serde_json::from_str(text)?;
        if head.format != u64::from(FORMAT) {
            return Err(ReadError::Format(head.format));
        }
        Ok(serde_json::from_str(text)?)
    }

    /// A copy in which every site has a number for its name, the same in every copy, for readers outside the
    /// consortium. Names in free texts are found where they are written as the site's id is, or with blanks.
    ///
    /// # Errors
    /// [`ReadError`]: a site's id that is a word of the format, in a field where that word can't be told from it.
    pub fn with_sites_pseudonymised(&self) -> Result<Self, ReadError> {
        pseudonym::pseudonymised(self)
    }

    /// Words of sites' ids that stand in the statements of a copy, with the statement's key: parts of an id aren't
    /// replaced, since they may be anything.
    pub fn hints_at_sites(&self, copy: &Self) -> Vec<(String, String)> {
        pseudonym::hints(self, copy)
    }

    /// `report.html`: one file, no network, no script.
    pub fn to_html(&self) -> String {
        html::page(self)
    }

    /// The result table for a terminal, at most 100 columns wide.
    pub fn to_text(&self) -> String {
        text::table(self)
    }
}
