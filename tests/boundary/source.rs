//! The project's source text.

use std::fs;
use std::path::{Path, PathBuf};

/// The workspace's folder.
pub fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ has a parent").to_owned()
}

/// Every Rust file under a folder of the workspace with its text, sorted; build outputs and hidden
/// folders are left out. A folder that isn't there has none.
pub fn rust_files(folder: &str) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    let mut open = vec![root().join(folder)];
    while let Some(folder) = open.pop() {
        let Ok(entries) = fs::read_dir(&folder) else { continue };
        for path in entries.map(|entry| entry.unwrap().path()) {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if path.is_dir() {
                if !name.starts_with('.') && !name.starts_with("target") {
                    open.push(path);
                }
            } else if path.extension().is_some_and(|end| end == "rs") && !is_this(&path) {
                found.push((path.clone(), fs::read_to_string(&path).unwrap()));
            }
        }
    }
    found.sort();
    found
}

/// The text without comments and without text in quotes.
pub fn code(text: &str) -> String {
    let mut code = String::with_capacity(text.len());
    for line in text.lines() {
        let mut quoted = false;
        let mut before = ' ';
        for (at, c) in line.char_indices() {
            match c {
                '"' if !quoted && before == '\'' => {}
                '"' if before != '\\' => quoted = !quoted,
                '/' if !quoted && line[at..].starts_with("//") => break,
                _ if quoted => {}
                _ => code.push(c),
            }
            before = if before == '\\' && c == '\\' { ' ' } else { c };
        }
        code.push('\n');
    }
    code
}

/// These checks name what they look for.
fn is_this(path: &Path) -> bool {
    path.starts_with(root().join("tests/boundary"))
}

#[test]
fn comments_and_quotes_are_no_code() {
    let text = "let a = \"unsafe // \\\" unsafe\"; // unsafe\n/// unsafe\nunsafe_code; '\"'; b\n";
    assert_eq!(code(text), "let a = ; \n\nunsafe_code; ''; b\n");
}
