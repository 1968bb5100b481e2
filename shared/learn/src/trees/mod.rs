//! Decision trees from sums: random forests (Breiman, Machine Learning 2001;45:5) and gradient-boosted
//! trees of the logistic loss (Friedman, Annals of Statistics 2001;29:1189; second order and
//! histograms as Chen and Guestrin, KDD 2016, and Ke et al., NIPS 2017).
//!
//! A tree grows level by level: one question gives, for every leaf that may split, sums of gradients,
//! Hessians and patients by bin of each of the tree's columns. All sums are integers of rows rounded one
//! by one, so a tree is the same bits for every split of the patients into sites and every order of
//! answers. One grower serves both kinds: with the gradients of [`wardround_core::query::Gradients::Share`] the gain
//! below is the decrease of the Gini impurity, and a leaf's ratio its share of positives.
//!
//! Where this departs from the papers and from scikit-learn: columns are drawn per tree, not per node, so
//! that only they travel; a leaf's minimum counts patients, not rows, over all sites; a random forest grows to
//! a depth, not until its leaves are pure.
//!
//! [`cuts`] makes bins, [`grow`] one tree, [`lockstep`] all trees of all fits at once. [`record`] is what a
//! journal keeps of a tree in place of its histograms, [`gains`] what splits gained by column.

pub(crate) mod cuts;
pub(crate) mod gains;
pub(crate) mod grow;
pub(crate) mod lockstep;
pub(crate) mod record;
