//! The page that shows the table: everything outside its marks stays as it is.

use std::fs;
use std::path::Path;

use crate::table::Table;

const BEGIN: &str = "<!-- made by `make attacks` -->\n";
const END: &str = "<!-- end of what `make attacks` makes -->\n";

/// Puts the table between the marks of the page.
pub(crate) fn write(path: &Path, table: &Table) {
    let page = fs::read_to_string(path).expect("a page to write into");
    let new = with(&page, &table.to_string());
    let new = new.unwrap_or_else(|| panic!("{}: it has no marks", path.display()));
    fs::write(path, new).expect("a page to write into");
}

/// The page with `text` between its marks, if it has them.
fn with(page: &str, text: &str) -> Option<String> {
    let (before, rest) = page.split_once(BEGIN)?;
    let (_, after) = rest.split_once(END)?;
    Some(format!("{before}{BEGIN}\n{text}\n{END}{after}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_outside_the_marks_stays() {
        let page = format!("head\n{BEGIN}old\n{END}tail\n");
        let expected = format!("head\n{BEGIN}\nnew\n\n{END}tail\n");
        assert_eq!(with(&page, "new\n"), Some(expected));
        assert_eq!(with("no marks", "new"), None);
    }
}
