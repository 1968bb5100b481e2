//! Whole federations of real processes: what they compute, what they survive, whom they refuse, what
//! leaves a site.

mod egress;
mod evaluate;
mod identity;
mod interrupted;
mod joining;
mod own_trees;
mod refusals;
mod result;
mod rows;
