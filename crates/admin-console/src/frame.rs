//! What stands around every page: its navigation, its languages, and the headers of the answer.

use askama::Template;

use crate::{
    assets,
    block::{Block, Page, Piece},
    language::Language,
    link::Links,
    place::Place,
    shown::Shown,
    text::Text,
};

/// What a browser may do with a page of ours: load our two files and nothing else, run no other
/// script, make no HTML but by the one policy of the script, send forms to us alone, and show the page
/// in no frame.
pub const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
     connect-src 'self'; img-src 'self' data:; base-uri 'none'; form-action 'self'; \
     frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types archway";

/// The headers of every page beside its language. They name images, so nothing keeps them.
pub const HEADERS: [(&str, &str); 8] = [
    ("content-type", "text/html; charset=utf-8"),
    ("content-security-policy", CONTENT_SECURITY_POLICY),
    ("x-content-type-options", "nosniff"),
    ("referrer-policy", "no-referrer"),
    ("cross-origin-opener-policy", "same-origin"),
    ("cross-origin-resource-policy", "same-origin"),
    ("cache-control", "no-store"),
    ("vary", "Accept-Language"),
];

/// What a request says about how it wants its page.
#[derive(Clone, Debug)]
pub struct Reader {
    /// The language it names in its address.
    pub chosen: Option<Language>,
    /// The one its browser wants most.
    pub accepted: Language,
    /// The page's address without the language: its path's last part, and its parameters.
    pub here: (Place, Vec<(String, String)>),
    /// Where the same can be had as JSON, relative to the page.
    pub twin: Option<String>,
}

/// A page, ready to be sent with [`HEADERS`].
#[derive(Debug)]
pub struct Answer {
    /// The value of `Content-Language`.
    pub language: &'static str,
    /// The page.
    pub html: String,
}

#[derive(Template)]
#[template(path = "page.html")]
struct Sheet<'a> {
    page: Page,
    text: &'static Text,
    language: Language,
    languages: Vec<LanguageLink>,
    navigation: Vec<Entry>,
    home: String,
    again: String,
    twin: Option<&'a str>,
    style: &'static str,
    script: &'static str,
    icon: &'static str,
}

struct LanguageLink {
    to: String,
    tag: &'static str,
    name: &'static str,
    is_current: bool,
}

struct Entry {
    to: String,
    name: &'static str,
    is_current: bool,
}

impl Reader {
    /// The language of the page.
    pub fn language(&self) -> Language {
        self.chosen.unwrap_or(self.accepted)
    }

    pub(crate) fn text(&self) -> &'static Text {
        Text::of(self.language())
    }

    pub(crate) fn links(&self) -> Links {
        Links {
            chosen: self.chosen,
        }
    }

    /// The value of a parameter of the page.
    pub fn parameter(&self, name: &str) -> &str {
        let mut parameters = self.here.1.iter();
        parameters
            .find(|(key, _)| key == name)
            .map_or("", |(_, value)| value)
    }

    /// What a form has to send along beside its fields.
    pub(crate) fn hidden(&self) -> Vec<(&'static str, String)> {
        self.chosen
            .map(|language| ("lang", language.tag().to_owned()))
            .into_iter()
            .collect()
    }

    fn link_here(&self, chosen: Option<Language>) -> String {
        let (place, parameters) = &self.here;
        let parameters: Vec<_> = parameters
            .iter()
            .map(|(key, value)| (key.as_str(), value.as_str()))
            .collect();
        Links { chosen }.to(place.path(), &parameters)
    }

    /// Puts the frame around a page.
    pub(crate) fn frame(&self, page: Page) -> Answer {
        let (text, language) = (self.text(), self.language());
        let languages = Language::ALL.map(|other| LanguageLink {
            to: self.link_here(Some(other)),
            tag: other.tag(),
            name: other.name(),
            is_current: other == language,
        });
        let navigation = Place::ALL
            .into_iter()
            .filter(|place| *place != Place::Image);
        let navigation = navigation.map(|place| Entry {
            to: self.links().to(place.path(), &[]),
            name: text.frame.name_of(place),
            is_current: place == self.here.0,
        });
        let sheet = Sheet {
            page,
            text,
            language,
            languages: languages.into(),
            navigation: navigation.collect(),
            home: self.links().to("", &[]),
            again: self.link_here(self.chosen),
            twin: self.twin.as_deref(),
            style: assets::STYLE.path,
            script: assets::SCRIPT.path,
            icon: assets::ICON.path,
        };
        let mut written = Shown::default();
        // It fails only if writing does, which a text never does.
        let _ = sheet.render_into(&mut written);
        Answer {
            language: language.tag(),
            html: written.0,
        }
    }
}
