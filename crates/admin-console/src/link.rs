//! Links between pages. All pages lie side by side and all links are relative, so the console works
//! below any path that something in front of it adds.

use std::fmt::Write as _;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::language::Language;

/// Everything but letters, digits and what no part of a URL gives a meaning.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~')
    .remove(b'/')
    .remove(b':');

/// Makes links that keep the language a reader chose.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Links {
    /// The language, if the page was asked for in one: else the browser's wish holds for the next
    /// page too.
    pub(crate) chosen: Option<Language>,
}

impl Links {
    /// A link to the page at `path`, with these parameters.
    pub(crate) fn to(self, path: &str, parameters: &[(&str, &str)]) -> String {
        let path = if path.is_empty() { "./" } else { path };
        let mut link = path.to_owned();
        let chosen = self.chosen.map(|language| ("lang", language.tag()));
        for (place, (key, value)) in parameters.iter().copied().chain(chosen).enumerate() {
            link.push(if place == 0 { '?' } else { '&' });
            let [key, value] = [key, value].map(|text| utf8_percent_encode(text, ENCODED));
            let _ = write!(link, "{key}={value}");
        }
        link
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_cannot_leave_its_parameter() {
        let links = Links { chosen: None };
        let link = links.to("image", &[("name", "a/b:c&x=1#\"<\u{1b} +")]);
        assert_eq!(link, "image?name=a/b:c%26x%3D1%23%22%3C%1B%20%2B");
    }

    #[test]
    fn the_chosen_language_goes_along() {
        let chosen = Some(Language::Chinese);
        assert_eq!(Links { chosen }.to("", &[]), "./?lang=zh-CN");
        let link = Links { chosen }.to("images", &[("after", "x")]);
        assert_eq!(link, "images?after=x&lang=zh-CN");
    }
}
