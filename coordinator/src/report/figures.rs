//! Every figure of a report in one list, with what it is of: what tables, cards and comparisons of reports go through.

use serde::Serialize;

use super::joining::{OwnSiteModel, OwnSitesSection};
use super::model::{FigureRow, Report};
use super::values::Estimate;

/// What rows a figure is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum SliceKind {
    /// All sites, in one list or put together.
    AllSites,
    /// A site, judged by the chosen model in nested folds.
    Site,
    /// A level of a subgroup column, all sites in one list.
    Subgroup,
    /// A level at one site, or an intersection of two subgroup columns.
    Cell,
    /// A site, judged by a model that never saw it.
    LeftOutSite,
    /// A site, judged by a model of its own patients alone.
    OwnModel,
}

impl SliceKind {
    /// As tables write it.
    pub fn word(self) -> &'static str {
        match self {
            Self::AllSites => "all-sites",
            Self::Site => "site",
            Self::Subgroup => "subgroup",
            Self::Cell => "cell",
            Self::LeftOutSite => "left-out-site",
            Self::OwnModel => "own-model",
        }
    }
}

/// The rows that figures are of.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Slice {
    /// The class that counts as positive.
    pub class: String,
    /// What rows.
    #[serde(rename = "slice_kind")]
    pub kind: SliceKind,
    /// The subgroup column; empty for others.
    pub column: String,
    /// The site or level; empty for all sites.
    #[serde(rename = "slice")]
    pub name: String,
}

impl Slice {
    /// In a few words: "all sites", "at wien", "sex female".
    pub fn words(&self) -> String {
        match self.kind {
            SliceKind::AllSites => "all sites".to_owned(),
            SliceKind::Site => format!("at {}", self.name),
            SliceKind::Subgroup => format!("{} {}", self.column, self.name),
            SliceKind::Cell => self.name.clone(),
            SliceKind::LeftOutSite => format!("left out: {}", self.name),
            SliceKind::OwnModel => format!("own model of {}", self.name),
        }
    }
}

/// A figure with what it is of.
#[derive(Debug, Clone, PartialEq)]
pub struct SliceFigure<'a> {
    /// What it is of.
    pub slice: Slice,
    /// The metric's name, scikit-learn's where it has one there.
    pub metric: &'a str,
    /// The figure.
    pub estimate: &'a Estimate,
}

impl FigureRow {
    /// All figures by the names of their metrics.
    pub fn named(&self) -> impl Iterator<Item = (&str, &Estimate)> {
        let fields = [
            ("roc_auc_score", &self.auc),
            ("sensitivity", &self.sensitivity),
            ("specificity", &self.specificity),
            ("brier_score_loss", &self.brier),
            ("expected_calibration_error", &self.ece),
        ];
        let more = self.more.iter().map(|named| (named.name.as_str(), &named.estimate));
        fields.into_iter().chain(more)
    }
}

impl Report {
    /// Every row of figures, class by class.
    pub fn slices(&self) -> Vec<(Slice, &FigureRow)> {
        (0..self.models.len()).flat_map(|at| self.slices_of(at)).collect()
    }

    /// Every figure, class by class.
    pub fn figures(&self) -> Vec<SliceFigure<'_>> {
        let mut list = Vec::new();
        for at in 0..self.models.len() {
            let all = self.slice(at, SliceKind::AllSites, "", "");
            let pooled = &self.pooled[at];
            let together = &self.sites[at].together;
            let of_all = [
                ("auc_within_sites", &pooled.auc_within_sites),
                ("auc_site_only", &pooled.auc_site_only),
                ("mean_auc_of_sites", &together.auc),
                ("auc_of_another_site", &together.another_site),
                ("tau_of_sites", &together.tau),
                ("i_squared_of_sites", &together.i_squared),
            ];
            let figure = |slice: &Slice, (metric, estimate)| SliceFigure {
                slice: slice.clone(),
                metric,
                estimate,
            };
            list.extend(of_all.into_iter().map(|named| figure(&all, named)));
            for (slice, row) in self.slices_of(at) {
                list.extend(row.named().map(|named| figure(&slice, named)));
            }
            for table in &self.fairness[at].crossed {
                let column = format!("{} x {}", table.rows, table.columns);
                for cell in &table.cells {
                    let slice = self.slice(at, SliceKind::Cell, &column, &cell.words());
                    let named = cell.figures.iter();
                    list.extend(named.map(|one| figure(&slice, (&one.name, &one.estimate))));
                }
            }
            for (slice, model) in self.own_models(at) {
                if let OwnSiteModel::Fitted { federated, gain, .. } = model {
                    list.push(figure(&slice, ("federated_roc_auc_score", federated)));
                    list.push(figure(&slice, ("gain_of_joining", gain)));
                }
            }
        }
        list
    }

    fn slices_of(&self, at: usize) -> Vec<(Slice, &FigureRow)> {
        use SliceKind::{AllSites, LeftOutSite, Site, Subgroup};
        let mut rows = vec![(self.slice(at, AllSites, "", ""), &self.pooled[at].figures)];
        for row in &self.sites[at].sites {
            rows.push((self.slice(at, Site, "", row.site.as_str()), &row.figures));
        }
        for column in &self.subgroups[at].columns {
            for row in &column.levels {
                rows.push((self.slice(at, Subgroup, &column.name, &row.level), &row.figures));
            }
        }
        for row in &self.leave_one_site_out[at].sites {
            rows.push((self.slice(at, LeftOutSite, "", row.site.as_str()), &row.figures));
        }
        for (slice, model) in self.own_models(at) {
            if let OwnSiteModel::Fitted { own, .. } = model {
                rows.push((slice, own));
            }
        }
        rows
    }

    fn own_models(&self, at: usize) -> Vec<(Slice, &OwnSiteModel)> {
        let OwnSitesSection::Asked { classes, .. } = &self.own_sites else { return Vec::new() };
        let rows = classes.get(at).into_iter().flat_map(|class| &class.sites);
        let slice = |site: &str| self.slice(at, SliceKind::OwnModel, "", site);
        rows.map(|row| (slice(row.site.as_str()), &row.model)).collect()
    }

    fn slice(&self, at: usize, kind: SliceKind, column: &str, name: &str) -> Slice {
        let class = self.models[at].class.clone();
        Slice { class, kind, column: column.to_owned(), name: name.to_owned() }
    }
}
