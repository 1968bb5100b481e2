//! An archive of a finished study: whole, replayed, tampered with, hostile, and one of an earlier
//! version. Sites are rows in memory; nothing goes over a network.

mod fixture;
mod hostile;
mod made;
mod tampered;
mod whole;
mod zipped;
