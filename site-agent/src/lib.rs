//! The site agent: local data, answering queries, egress, command line.
