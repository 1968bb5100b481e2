//! Rows that are in one place, for learners that need the rows themselves.

use wardround_core::ids::SiteId;
use wardround_core::query::FoldPlan;

use super::RowView;
use super::site::SiteRows;

/// The rows of some sites.
#[derive(Debug)]
pub struct HeldRows<'a> {
    sites: Vec<&'a SiteRows>,
}

impl<'a> HeldRows<'a> {
    pub(super) fn new(sites: Vec<&'a SiteRows>) -> Self {
        Self { sites }
    }

    /// Those of some sites, which are sorted.
    pub fn of(&self, sites: &[SiteId]) -> Self {
        let named = |site: &&&SiteRows| sites.binary_search(&site.id).is_ok();
        Self { sites: self.sites.iter().filter(named).copied().collect() }
    }

    /// The sites, sorted, each with its number of rows.
    pub fn sites(&self) -> impl Iterator<Item = (&'a SiteId, usize)> {
        self.sites.iter().map(|site| (&site.id, site.len()))
    }

    /// Every row, site by site.
    pub fn rows(&self) -> impl Iterator<Item = RowView<'a>> {
        self.sites.iter().flat_map(|site| (0..site.len()).map(|row| site.view(row)))
    }

    /// The fold of each row in a deal.
    pub fn folds(&self, plan: &FoldPlan, repeat: u8) -> Vec<u8> {
        self.sites.iter().flat_map(|site| site.deal(plan, repeat)).collect()
    }
}
