//! A site's own data: from the manifest to the rows that answer a study.
//!
//! [`Manifest`] reads the table, [`inspect`] applies a study to it and lists *every* problem at once,
//! [`Report`] is what `wardround-site check` prints of that, [`Lock`] freezes the cohort of a study,
//! and [`rows`] makes it what answers queries. [`Answered`] remembers the cohorts that were answered.
//! Nothing here leaves the site.

mod answered;
mod check;
mod cohort;
mod features;
mod images;
mod inspect;
mod keys;
mod lock;
mod manifest;
mod reason;
pub(crate) mod table;

pub use answered::{Answered, AnsweredError, KEPT, Known};
pub use check::{Count, LevelCount, ProblemGroup, Report, SubgroupCounts, Verdict};
pub use cohort::{Cohort, CohortRow, Incomplete, RowInput, SetAside, Unusable};
pub use features::{Features, FeaturesError, rows};
pub use images::{Look, inside as file_inside, look};
pub use inspect::{Inspection, SiteData, inspect};
pub use lock::{Broken, Held, Lock, LockEntry, LockError, RowId};
pub use manifest::{Line, Manifest, ManifestError};
pub use reason::{Obstacle, Reason};

#[cfg(test)]
mod exam_tests;
#[cfg(test)]
mod tests;
