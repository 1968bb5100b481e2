//! The help of every command, pinned: what people and scripts rely on changes only on purpose.
//! `WARDROUND_BLESS=1` rewrites the texts beside this file.

use std::path::Path;
use std::process::Command;

const COMMANDS: &[&str] = &[
    "",
    "join",
    "check",
    "run",
    "features",
    "cache",
    "cache list",
    "cache prune",
    "egress",
    "egress list",
    "egress show",
    "egress verify",
    "predict",
    "explain",
    "review",
    "duplicates",
    "leave",
    "backbones",
    "device",
    "completions",
];

#[test]
fn the_help_is_as_written_down() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cli_help");
    let mut wrong = Vec::new();
    for command in COMMANDS {
        let shown = Command::new(env!("CARGO_BIN_EXE_wardround-site"))
            .args(command.split_whitespace())
            .arg("--help")
            .env_remove("COLUMNS")
            .env_remove("WARDROUND_SITE_HOME")
            .output()
            .unwrap();
        assert!(shown.status.success(), "{command}: {shown:?}");
        let shown = String::from_utf8(shown.stdout).unwrap();
        let name = match *command {
            "" => "wardround-site".to_owned(),
            command => command.replace(' ', "-"),
        };
        let file = folder.join(name).with_extension("txt");
        if std::env::var_os("WARDROUND_BLESS").is_some() {
            std::fs::write(&file, &shown).unwrap();
        }
        if std::fs::read_to_string(&file).unwrap_or_default() != shown {
            wrong.push(format!("{}:\n{shown}", file.display()));
        }
    }
    assert!(
        wrong.is_empty(),
        "help has changed; look at it, then WARDROUND_BLESS=1 rewrites\n{}",
        wrong.join("\n")
    );
}
