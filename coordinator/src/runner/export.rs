//! Exporting a finished study.
