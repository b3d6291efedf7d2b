//! `petald help`, the manual and README's tables agree word for word.

use std::collections::BTreeMap;

use crate::program::{petald, printed};

fn readme() -> String {
    std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md")).unwrap()
}

/// The lines of a section of help, each as a first word and the rest, continuation lines joined.
fn section(help: &str, title: &str) -> BTreeMap<String, String> {
    let lines =
        help.lines().skip_while(|line| *line != title).skip(1).take_while(|line| !line.trim().is_empty());
    let mut entries: Vec<(String, String)> = Vec::new();
    for line in lines {
        let indent = line.len() - line.trim_start().len();
        match entries.last_mut() {
            Some((_, text)) if indent > 4 => *text += &format!(" {}", line.trim()),
            _ => {
                let (name, text) = line.trim().split_once(' ').unwrap();
                entries.push((name.to_owned(), text.trim().to_owned()));
            }
        }
    }
    assert!(!entries.is_empty(), "no section {title} in\n{help}");
    entries.into_iter().collect()
}

/// The rows of README's table under `header`: first and second cell.
fn table(header: &str) -> Vec<(String, String)> {
    let readme = readme();
    let rows =
        readme.lines().skip_while(|line| *line != header).skip(2).take_while(|line| line.starts_with('|'));
    let rows: Vec<_> = rows
        .map(|row| {
            // A bar within a cell is written \|.
            let row = row.replace("\\|", "\u{1}");
            let cells: Vec<_> =
                row.trim_matches('|').split('|').map(|cell| cell.trim().replace('\u{1}', "|")).collect();
            (cells[0].clone(), cells[1].clone())
        })
        .collect();
    assert!(!rows.is_empty(), "README has no table {header}");
    rows
}

#[test]
fn each_command_is_told_in_the_same_words() {
    let help = printed("help");
    let commands = section(&help, "Commands:");
    let mut rows: BTreeMap<String, String> = BTreeMap::new();
    for (typed, does) in table("| command | does |") {
        let typed = typed.trim_matches('`').strip_prefix("petald ").unwrap().to_owned();
        rows.insert(typed.split(' ').next().unwrap().to_owned(), does);
    }
    for (name, about) in commands.iter().filter(|(name, _)| *name != "help") {
        assert_eq!(rows.remove(name).as_ref(), Some(about), "README's row of `petald {name}`");
        let page = printed(&format!("man petald-{name}")).replace("\\-", "-");
        let line = format!("petald-{name} - {about}");
        assert!(page.lines().any(|text| text == line), "petald-{name}(1) lacks the line {line:?}");
    }
    assert!(rows.is_empty(), "README tells of commands that do not exist: {rows:?}");
}

#[test]
fn each_exit_code_is_told_in_the_same_words() {
    let codes = section(&printed("help"), "Exit codes:");
    let rows: BTreeMap<_, _> = table("| exit code | means |").into_iter().collect();
    assert_eq!(rows, codes, "README's exit codes are those of `petald help`");
    let page = printed("man petald").replace("\\-", "-").replace("\\*(Aq", "'");
    let page = page.split_whitespace().collect::<Vec<_>>().join(" ");
    for (code, means) in &codes {
        let told = format!("{code} {means}");
        assert!(page.contains(&told), "petald(1) lacks {told:?}");
    }
}

#[test]
fn a_wrong_line_is_64_and_help_is_0() {
    for (line, code) in
        [("help", 0), ("--version", 0), ("walk", 64), ("run --no-such-option", 64), ("probe x", 64)]
    {
        assert_eq!(petald(line).status.code(), Some(code), "petald {line}");
    }
}
