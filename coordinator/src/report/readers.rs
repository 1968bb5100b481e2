//! How far two readers of the same rows agree, and which of it is shown.
//!
//! - Of two classes kappa, agreement and the known class counts determine the cross table: all of it is shown where each
//!   cell has the minimum of patients, else nothing. Of more classes a table with a small cell is withheld, and kappa and
//!   agreement have two decimals.
//! - In any case those who agree and those who don't are at least the minimum.
//! - One site's table follows from all less the others: sites are shown where every one of them may be, else none is.
//! - Where a site's class counts are withheld its table would tell them.

use serde::{Deserialize, Serialize};
use wardround_core::ids::SiteId;
use wardround_learn::findings::{Findings, ReaderTable, Readers};
use wardround_privacy::policy::Consent;
use wardround_privacy::suppress::{CellMask, CohortMask, Reason, Shown};

use super::disclose::Minimums;
use super::values::{Count, Estimate};

/// Whether the study asks how far two readers agree.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "kind", deny_unknown_fields)]
pub enum ReadersSection {
    /// It doesn't.
    NotAsked,
    /// It does.
    Asked {
        /// The second reader's column.
        column: String,
        /// One of all classes, or one per label where labels may stand together.
        tables: Vec<ReadersTable>,
    },
}

/// How far two readers agree.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReadersTable {
    /// The classes, in the order of [`ReadersRow::counts`].
    pub classes: Vec<String>,
    /// All sites together.
    pub all: ReadersRow,
    /// Each site.
    pub sites: Vec<ReadersAtSite>,
}

/// How far two readers agree at a site.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReadersAtSite {
    /// The site.
    pub site: SiteId,
    /// How far.
    pub row: ReadersRow,
}

/// How far two readers agree on some images.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReadersRow {
    /// Images that both labelled.
    pub images: Count,
    /// The share of them that both gave the same class.
    pub agreement: Estimate,
    /// Cohen's kappa; interval of Fleiss, Cohen and Everitt (1969), clustered by patient.
    pub kappa: Estimate,
    /// Images by the first reader's class, then the second's.
    pub counts: Vec<Vec<Count>>,
}

/// What of a table is shown.
#[derive(Debug, Clone, Copy)]
struct Visible {
    figures: Shown<()>,
    counts: Shown<()>,
}

/// The section.
pub(super) fn section(
    findings: &Findings,
    column: &str,
    consents: &[Consent],
    mask: &CohortMask,
    minimums: Minimums,
) -> ReadersSection {
    let Readers::Asked { tables } = &findings.readers else { return ReadersSection::NotAsked };
    let small = Shown::Suppressed(Reason::SmallCell);
    let of_table = |table: &wardround_learn::findings::ReaderTables| {
        let side = table.classes.len();
        let mut all = visible(&table.all, side, mask.all, minimums);
        let mut each: Vec<Visible> = table
            .by_site
            .iter()
            .zip(&mask.sites)
            .map(|(table, mask)| visible(table, side, *mask, minimums))
            .collect();
        let refused = consents.contains(&Consent::Refused);
        if let ([_], true) = (consents, refused) {
            let refused = Shown::Suppressed(Reason::RefusedBySite);
            all = Visible { figures: refused, counts: refused };
        }
        if refused || each.iter().any(|site| site.figures != Shown::Value(())) {
            let of_site = |consent: &Consent| match consent {
                Consent::Allowed => small,
                Consent::Refused => Shown::Suppressed(Reason::RefusedBySite),
            };
            let hidden =
                consents.iter().map(of_site).map(|why| Visible { figures: why, counts: why });
            each = hidden.collect();
        } else if each.iter().any(|site| site.counts != Shown::Value(())) {
            each.iter_mut().for_each(|site| site.counts = small);
        }
        let sites = findings.sites.iter().zip(&table.by_site).zip(each);
        ReadersTable {
            classes: table.classes.clone(),
            all: row(&table.all, side, all),
            sites: sites
                .map(|((site, table), shown)| ReadersAtSite {
                    site: site.clone(),
                    row: row(table, side, shown),
                })
                .collect(),
        }
    };
    let tables = tables.iter().map(of_table).collect();
    ReadersSection::Asked { column: column.to_owned(), tables }
}

fn visible(table: &ReaderTable, side: usize, mask: CellMask, minimums: Minimums) -> Visible {
    let (least, small) = (minimums.cell.get(), Shown::Suppressed(Reason::SmallCell));
    let agreed: u64 = table.patients.iter().step_by(side + 1).sum();
    let differed = table.patients.iter().sum::<u64>().saturating_sub(agreed);
    let cells = table.patients.iter().all(|&patients| patients >= least);
    let classes = mask.classes == Shown::Value(());
    let counts = if cells && classes { Shown::Value(()) } else { small };
    let figures = match agreed.min(differed) >= least && classes && (cells || side > 2) {
        true => Shown::Value(()),
        false => small,
    };
    Visible { figures, counts }
}

fn row(table: &ReaderTable, side: usize, Visible { figures, counts }: Visible) -> ReadersRow {
    let count = |number: u64, shown: Shown<()>| Count::from(shown.map(|()| number));
    let estimate = |figure| match (figures, counts) {
        (Shown::Suppressed(reason), _) => Estimate::Withheld { reason },
        (Shown::Value(()), Shown::Value(())) => Estimate::from(figure),
        (Shown::Value(()), Shown::Suppressed(_)) => Estimate::from(figure).to_decimals(2),
    };
    let of_row = |row: &[u64]| row.iter().map(|&number| count(number, counts)).collect();
    ReadersRow {
        images: count(table.rows.iter().sum(), figures),
        agreement: estimate(&table.agreement),
        kappa: estimate(&table.kappa),
        counts: table.rows.chunks_exact(side).map(of_row).collect(),
    }
}
