//! Where a report goes: a file of its own, or the page for people, of which it is a part.

use std::fs;
use std::path::Path;

use anyhow::{Context, ensure};

use crate::chart;
use crate::table::Table;

/// What is between these lines of a page is that of the last run.
const BEGIN: &str = "<!-- the last run, written by `make bench` -->";
const END: &str = "<!-- the end of the last run -->";

/// Draws the charts of `tables` into the folder that is named as the report is, and has the tables
/// show them.
pub(crate) fn draw(report: &Path, tables: &mut [Table]) -> anyhow::Result<()> {
    let name = report.file_stem().context("a report has a name")?;
    let folder = report.with_file_name(name);
    for table in tables {
        let Some((title, bars)) = table.charted() else {
            continue;
        };
        let file = chart::file_name(title);
        fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
        let path = folder.join(&file);
        fs::write(&path, chart::draw(title, bars)).with_context(|| path.display().to_string())?;
        table.show_chart(format!("{}/{file}", name.to_string_lossy()));
    }
    Ok(())
}

/// Writes `text` as the whole file, or as the part of it that is kept for the last run.
pub(crate) fn write(path: &Path, text: &str) -> anyhow::Result<()> {
    let page = fs::read_to_string(path).unwrap_or_default();
    let page = if page.contains(BEGIN) {
        with_run(&page, text)?
    } else {
        text.to_owned()
    };
    fs::write(path, page).with_context(|| path.display().to_string())
}

fn with_run(page: &str, text: &str) -> anyhow::Result<String> {
    let (before, rest) = page.split_once(BEGIN).context("a place for the run")?;
    let (_, after) = rest.split_once(END).context("the end of that place")?;
    ensure!(!after.contains(BEGIN), "two places for a run");
    Ok(format!(
        "{before}{BEGIN}\n\n{}\n\n{END}{after}",
        text.trim()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_keeps_all_but_the_last_run() {
        let page = format!("# Page\n\n{BEGIN}\nold\n{END}\n\nmore\n");
        let expected = format!("# Page\n\n{BEGIN}\n\nnew\n\n{END}\n\nmore\n");
        assert_eq!(with_run(&page, "\nnew\n").unwrap(), expected);
        assert!(with_run(&page.replace(END, ""), "new").is_err());
    }
}
