//! Whole federations of real processes: what they compute, what they survive, whom they refuse, what
//! leaves a site.

mod identity;
mod interrupted;
mod result;
