//! Rows as a cohort: against themselves in any split, in memory and on disk, against numpy and scikit-learn, and
//! behind a journal; drawn again and again.

#[cfg(test)]
mod checks;
#[cfg(test)]
mod classes;
#[cfg(test)]
mod copies;
#[cfg(test)]
mod coverage;
#[cfg(test)]
mod ensembles;
#[cfg(test)]
mod federation;
#[cfg(test)]
mod golden;
#[cfg(test)]
mod labels;
#[cfg(test)]
#[path = "../metrics_support/normal.rs"]
mod normal;
#[cfg(test)]
mod on_disk;
#[cfg(test)]
mod population;
#[cfg(test)]
mod recorded;
#[cfg(test)]
mod resampled;
#[cfg(test)]
mod units;
#[cfg(test)]
mod weights;
