//! An archive of a finished study: whole, replayed, tampered with, hostile, and one of an earlier
//! version. Sites are rows in memory; nothing goes over a network. `cfg(test)` tells clippy that
//! helpers are tests, too.

#[cfg(test)]
mod fixture;
#[cfg(test)]
mod hostile;
#[cfg(test)]
mod made;
#[cfg(test)]
mod signed;
#[cfg(test)]
mod size;
#[cfg(test)]
mod tampered;
#[cfg(test)]
mod whole;
#[cfg(test)]
mod zipped;
