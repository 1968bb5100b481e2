//! The commands, through the built binary, on made-up sites. `cfg(test)` tells clippy that helpers are
//! tests, too.

#[cfg(test)]
mod agent;
#[cfg(test)]
mod backbones;
#[cfg(test)]
mod bundles;
#[cfg(test)]
mod cache;
#[cfg(test)]
mod check;
#[cfg(test)]
mod coordinator;
#[cfg(test)]
mod device;
#[cfg(test)]
mod duplicates;
#[cfg(test)]
mod egress;
#[cfg(test)]
mod explain;
#[cfg(test)]
mod features;
#[cfg(test)]
mod made_up;
#[cfg(test)]
mod predict;
#[cfg(test)]
mod refusals;
#[cfg(test)]
mod review;
