//! The coordinator: rounds, journal, evaluation, report, command line.
