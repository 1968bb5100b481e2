//! What `cargo tree` says.

use std::collections::BTreeSet;
use std::process::Command;

use crate::source::root;

/// Features of a package.
#[derive(Debug, Clone, Copy)]
pub enum Features {
    /// Those that are on by default.
    Default,
    /// All.
    All,
}

/// Names of every crate that a package links, its own included.
pub fn crates(package: &str, features: Features) -> BTreeSet<String> {
    match features {
        Features::Default => tree(package, &[]),
        Features::All => tree(package, &["--all-features"]),
    }
}

/// Names of the crates that a package imports itself.
pub fn direct(package: &str) -> BTreeSet<String> {
    let mut found = tree(package, &["--depth", "1"]);
    found.remove(package);
    found
}

fn tree(package: &str, more: &[&str]) -> BTreeSet<String> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .current_dir(root())
        .args(["tree", "--edges", "normal", "--package", package, "--prefix", "none"])
        .args(["--format", "{p}", "--locked"])
        .args(more)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "cargo tree: {said}");
    let text = String::from_utf8(output.stdout).unwrap();
    let name = |line: &str| line.split_whitespace().next().map(str::to_owned);
    let found: BTreeSet<String> = text.lines().filter_map(name).collect();
    assert!(found.contains(package), "cargo tree of {package} is {text}");
    found
}
