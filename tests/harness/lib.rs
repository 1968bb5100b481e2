//! Starts whole federations for tests.
