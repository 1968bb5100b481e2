//! How a run of the program ended; shared by the tests that run it.

use std::process::Output;

use serde_json::Value;

/// How a run of the program ended.
pub struct Ran {
    pub exit: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Ran {
    /// What came of a process that ended by itself.
    pub fn of(output: Output) -> Self {
        Self {
            exit: output.status.code().expect("it exits by itself"),
            stdout: String::from_utf8(output.stdout).expect("text"),
            stderr: String::from_utf8(output.stderr).expect("text"),
        }
    }

    /// The JSON that it printed.
    pub fn envelope(&self) -> Value {
        serde_json::from_str(&self.stdout).expect("one JSON envelope")
    }
}
