//! `docs/clients.md`: the settings the tests take from it, and the table they hold against it.

use std::fmt::Write;
use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Mutex;

use super::{ALL, About, Flag, Untold};
use crate::tools;

/// How Archway is called on the page.
const ADDRESS: &str = "archway.example:5000";

/// The platform that the page's hints name, in the two ways they are written.
const HINT: [&str; 2] = ["linux/arm64", "linux-arm64"];

const BEGIN: &str = "<!-- begin of what the tests have seen -->\n";
const END: &str = "<!-- end of what the tests have seen -->\n";

const HEAD: &str = "| client | told | an index that has it | the child hinted, and wanted \
    | a child hinted that is not wanted | an index that lacks it |\n|---|---|---|---|---|---|\n";

/// A code block of the page: the one below the line `<!-- tried: NAME -->`.
pub(super) struct Snippet(String);

impl Snippet {
    pub(super) fn named(name: &str) -> Self {
        let page = read();
        let mark = format!("<!-- tried: {name} -->\n```");
        let (_, after) = page
            .split_once(&mark)
            .unwrap_or_else(|| panic!("docs/clients.md shows nothing for {name}"));
        let (_, block) = after.split_once('\n').expect("a line after the fence");
        let (block, _) = block.split_once("```").expect("the end of a code block");
        Self(block.to_owned())
    }

    /// For an Archway at this address.
    pub(super) fn at(self, address: SocketAddr) -> Self {
        assert!(self.0.contains(ADDRESS), "no {ADDRESS} in\n{}", self.0);
        Self(self.0.replace(ADDRESS, &address.to_string()))
    }

    /// For a machine of this platform.
    pub(super) fn hinting(self, platform: &str) -> Self {
        let hinted = HINT.iter().any(|form| self.0.contains(form));
        assert!(hinted, "none of {HINT:?} in\n{}", self.0);
        let [plain, in_paths] = HINT;
        let text = self.0.replace(plain, platform);
        Self(text.replace(in_paths, &platform.replace('/', "-")))
    }

    pub(super) fn text(self) -> String {
        self.0
    }
}

/// A platform a client was told, and its cells.
pub(super) type Line = (Option<&'static str>, [String; 4]);

/// Holds a client's lines against the page, or writes them there.
pub(super) fn assert_has(about: &About, lines: &[Line]) {
    let seen = rendered(about, lines);
    if std::env::var_os("UPDATE_CLIENTS").is_some() {
        write(about, &seen);
        return;
    }
    let page = read();
    let written: Vec<&str> = rows(&page)
        .filter(|row| client(row) == about.name)
        .collect();
    assert!(
        written == seen,
        "docs/clients.md says otherwise; run with UPDATE_CLIENTS=1 and look at the difference.\nseen: {seen:#?}\nwritten: {written:#?}"
    );
}

#[test]
fn the_page_has_lines_for_the_clients_that_are_tried_and_no_others() {
    let page = read();
    assert!(page.contains(&format!("{BEGIN}{HEAD}")), "{HEAD}");
    let mut written: Vec<&str> = rows(&page).map(client).collect();
    written.dedup();
    let tried: Vec<&str> = ALL.iter().map(|about| about.name).collect();
    assert_eq!(written, tried);
}

/// The rows of a client; told nothing and told its own platform are one where nothing tells them
/// apart.
fn rendered(about: &About, lines: &[Line]) -> Vec<String> {
    let mut rows: Vec<(String, &[String; 4])> = Vec::new();
    for (platform, cells) in lines {
        let told = told(about, *platform);
        match rows.last_mut() {
            Some((before, same)) if *same == cells => {
                let _ = write!(before, " or {told}");
            }
            _ => rows.push((told, cells)),
        }
    }
    rows.into_iter()
        .map(|(told, cells)| format!("| {} | {told} | {} |", about.name, cells.join(" | ")))
        .collect()
}

fn told(about: &About, platform: Option<&str>) -> String {
    let Some(platform) = platform else {
        return match about.untold {
            Untold::TakesItsOwn => "nothing".to_owned(),
            Untold::TakesAll => "nothing (takes all)".to_owned(),
        };
    };
    match about.flag {
        Flag::Architecture => format!("`--override-arch {}`", super::architecture(platform)),
        Flag::Missing | Flag::Platform => format!("`--platform {platform}`"),
    }
}

/// Puts a client's rows in their place. The tests of several clients do it at the same time.
fn write(about: &About, seen: &[String]) {
    static WRITING: Mutex<()> = Mutex::new(());
    let _turn = WRITING.lock().expect("no panic under it");
    let page = read();
    let (before, after) = page.split_once(BEGIN).expect("a place for the table");
    let (_, after) = after.split_once(END).expect("an end of the table");
    let mut table = String::from(HEAD);
    for of in ALL {
        let is_new = of.name == about.name;
        let old = rows(&page).filter(|row| !is_new && client(row) == of.name);
        let new = seen.iter().map(String::as_str).filter(|_| is_new);
        for row in old.chain(new) {
            let _ = writeln!(table, "{row}");
        }
    }
    fs::write(path(), format!("{before}{BEGIN}{table}{END}{after}")).expect("docs/ is writable");
}

/// The table's rows below its head.
fn rows(page: &str) -> impl Iterator<Item = &str> {
    let (_, after) = page.split_once(BEGIN).expect("a place for the table");
    let (table, _) = after.split_once(END).expect("an end of the table");
    table.lines().skip(2)
}

/// The first cell of a row.
fn client(row: &str) -> &str {
    row.trim_start_matches("| ")
        .split(" |")
        .next()
        .unwrap_or_default()
}

fn read() -> String {
    fs::read_to_string(path()).expect("docs/clients.md")
}

fn path() -> PathBuf {
    tools::repository().join("docs/clients.md")
}
