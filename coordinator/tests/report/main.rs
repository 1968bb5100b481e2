//! The report from made-up findings. `cfg(test)` tells clippy that helpers are tests, too.

#[cfg(test)]
mod audit;
#[cfg(test)]
mod card;
#[cfg(test)]
mod classes;
#[cfg(test)]
mod crossed;
mod evaluation;
#[cfg(test)]
mod fairness;
#[cfg(test)]
mod importance;
#[cfg(test)]
mod judged;
#[cfg(test)]
mod made_up;
#[cfg(test)]
mod outputs;
#[cfg(test)]
mod pseudonym;
#[cfg(test)]
#[path = "../ran/mod.rs"]
mod ran;
#[cfg(test)]
mod readers;
mod shortcuts;
#[cfg(test)]
mod statements;
#[cfg(test)]
mod tables;
#[cfg(test)]
mod uncertainty;
#[cfg(test)]
mod withheld;
