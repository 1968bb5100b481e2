//! The help of every command, pinned: a change of what people read is seen in review. The texts lie
//! in `cli_help/`; `WARDROUND_BLESS=1 cargo test -p wardround --test cli_help` rewrites them.

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::Command;

/// Long help of a command and of everything below it, by file name.
fn collect(command: &mut Command, name: &str, texts: &mut BTreeMap<String, String>) {
    texts.insert(format!("{name}.txt"), command.render_long_help().to_string());
    for child in command.get_subcommands_mut().filter(|child| child.get_name() != "help") {
        let name = format!("{name}-{}", child.get_name());
        collect(child, &name, texts);
    }
}

#[test]
fn help_is_as_pinned() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/cli_help");
    let mut command = wardround::cli::command().term_width(100);
    command.build();
    let mut texts = BTreeMap::new();
    collect(&mut command, "wardround", &mut texts);
    assert!(texts.len() > 20, "every command has a help");

    if std::env::var_os("WARDROUND_BLESS").is_some() {
        for (name, text) in &texts {
            std::fs::write(folder.join(name), text).unwrap();
        }
    }
    let mut pinned = BTreeMap::new();
    for entry in std::fs::read_dir(&folder).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        pinned.insert(name, std::fs::read_to_string(entry.path()).unwrap());
    }
    let names = |of: &BTreeMap<String, String>| of.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&pinned), names(&texts), "a command came or went: bless, or delete its file");
    for (name, text) in &texts {
        assert_eq!(&pinned[name], text, "{name}: bless it if the change is meant");
    }
}

#[test]
fn no_option_takes_a_token_on_the_command_line() {
    let mut command = wardround::cli::command();
    command.build();
    let user = command.find_subcommand("user").unwrap();
    let join = user.find_subcommand("join").unwrap();
    let options: Vec<&str> = join.get_arguments().filter_map(|arg| arg.get_long()).collect();
    assert!(options.contains(&"token-file"));
    assert!(!options.contains(&"token"));
    assert!(join.get_positionals().next().is_none());
}
