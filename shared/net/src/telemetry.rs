//! Logging for both binaries: to stderr, so that stdout stays the program's answer.

use std::fmt;
use std::io;
use std::str::FromStr;

use tracing_subscriber::EnvFilter;

/// The environment variable with the filter, in tracing's syntax: `info`, `wardround=debug,h2=warn`.
pub const FILTER_VARIABLE: &str = "WARDROUND_LOG";

/// How a log line looks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Format {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line, for log collectors.
    Json,
}

/// Why logging can't start.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The filter can't be parsed.
    #[error("{FILTER_VARIABLE} is '{value}', which is no log filter: {source}")]
    Filter {
        /// The variable's value.
        value: String,
        /// What is wrong with it.
        source: tracing_subscriber::filter::ParseError,
    },
    /// Something else in this process logs already.
    #[error("logging is already set up in this process")]
    AlreadySet,
}

/// Starts logging. `WARDROUND_LOG` decides what is logged, `default` does when it isn't set.
///
/// # Errors
/// The filter is malformed, or logging was started before.
pub fn init(format: Format, default: &str) -> Result<(), TelemetryError> {
    let value = std::env::var(FILTER_VARIABLE).unwrap_or_default();
    let filter = filter(if value.is_empty() { default } else { &value })?;
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr);
    let started = match format {
        Format::Text => {
            let colours = io::IsTerminal::is_terminal(&io::stderr());
            builder.with_ansi(colours).try_init()
        }
        Format::Json => builder.json().flatten_event(true).with_current_span(false).try_init(),
    };
    started.map_err(|_| TelemetryError::AlreadySet)
}

fn filter(value: &str) -> Result<EnvFilter, TelemetryError> {
    EnvFilter::builder()
        .parse(value)
        .map_err(|source| TelemetryError::Filter { value: value.to_owned(), source })
}

impl FromStr for Format {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "text" => Ok(Format::Text),
            "json" => Ok(Format::Json),
            other => Err(format!("a log format is text or json, not '{other}'")),
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Format::Text => "text",
            Format::Json => "json",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_malformed_filter_is_quoted() {
        assert!(filter("info,wardround=debug").is_ok());
        let error = filter("wardround=loud").unwrap_err().to_string();
        assert!(error.contains("WARDROUND_LOG is 'wardround=loud'"), "{error}");
    }
}
