//! Studies from the first question to the findings and the bundle. `cfg(test)` tells clippy that
//! helpers are tests, too.

#[cfg(test)]
mod bagged;
#[cfg(test)]
mod balance;
#[cfg(test)]
mod bundle;
#[cfg(test)]
mod classes;
#[cfg(test)]
mod compare;
#[cfg(test)]
mod crossed;
mod curve;
#[cfg(test)]
mod early_stopping;
#[cfg(test)]
mod elastic_net;
#[cfg(test)]
mod ensembles;
#[cfg(test)]
mod evaluate;
#[cfg(test)]
mod federation;
#[cfg(test)]
mod gather;
#[cfg(test)]
mod golden;
#[cfg(test)]
mod halving;
#[cfg(test)]
mod heart;
#[cfg(test)]
mod intervals;
#[cfg(test)]
mod journal;
#[cfg(test)]
mod kernel;
#[cfg(test)]
mod leaks;
#[cfg(test)]
mod machine;
#[cfg(test)]
mod matrix;
#[cfg(test)]
mod multi_label;
#[cfg(test)]
mod multinomial;
#[cfg(test)]
mod on_disk;
mod outliers;
#[cfg(test)]
mod own_site;
#[cfg(test)]
mod plan;
#[cfg(test)]
mod readers;
#[cfg(test)]
mod reduced;
#[cfg(test)]
mod shortcuts;
#[cfg(test)]
mod support;
#[cfg(test)]
mod thresholds;
#[cfg(test)]
mod trees;
#[cfg(test)]
mod units;
#[cfg(test)]
mod weighted;
