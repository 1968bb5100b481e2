//! The agent against a coordinator that plays a script. `cfg(test)` tells clippy that these modules
//! are tests.

#[cfg(test)]
mod coordinator;
#[cfg(test)]
mod dominance;
#[cfg(test)]
mod studies;
#[cfg(test)]
mod successive;
