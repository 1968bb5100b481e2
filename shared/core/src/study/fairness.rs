//! Which subgroups a study judges beyond the levels of one column at a time.

use serde::Serialize;

/// What is judged by two columns at once; by default nothing.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct FairnessRule {
    /// Whether every subgroup column's levels are judged at each site too.
    pub by_site: BySite,
    /// Pairs of subgroup columns, as indices into [`super::Study::subgroups`], whose common levels are judged.
    pub intersections: Vec<[u8; 2]>,
}

/// Whether subgroups are judged at each site by themselves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum BySite {
    /// No: all sites in one list.
    #[default]
    Off,
    /// Yes, beside all sites in one list.
    On,
}

impl FairnessRule {
    /// Most pairs of columns.
    pub const MOST_INTERSECTIONS: usize = 16;

    /// Most cells of such a table.
    pub const MOST_CELLS: usize = 256;

    /// Whether it asks for nothing; then a study's description doesn't mention it.
    pub fn is_off(&self) -> bool {
        *self == Self::default()
    }
}
