//! Studies from the first question to the findings and the bundle. `cfg(test)` tells clippy that
//! helpers are tests, too.

#[cfg(test)]
mod bundle;
mod compare;
#[cfg(test)]
mod elastic_net;
#[cfg(test)]
mod federation;
#[cfg(test)]
mod gather;
mod golden;
#[cfg(test)]
mod heart;
#[cfg(test)]
mod journal;
#[cfg(test)]
mod kernel;
#[cfg(test)]
mod leaks;
#[cfg(test)]
mod multinomial;
#[cfg(test)]
mod plan;
#[cfg(test)]
mod support;
#[cfg(test)]
mod trees;
