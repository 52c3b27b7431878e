//! What is wrong with a configuration file, shown as a picture: file, line, column, the line itself and the fix.
//!
//! Problems are collected while the sections are resolved, so that one run shows all of them. What the TOML parser
//! refuses comes alone, because nothing behind it can be trusted; `syntax.rs` words it.

use std::{fmt, io, ops::Range, path::PathBuf};

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};

use super::mask;

/// Why there is no `Config`.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file could not be read.
    #[error("cannot read the configuration {}", path.display())]
    Read {
        /// The file as it was named.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file was read and is not a valid configuration.
    #[error("{0}")]
    Invalid(Report),
}

/// Everything found wrong in one file, in the order of the file; never empty.
#[derive(Debug, Clone)]
pub struct Report {
    source_name: String,
    text: String,
    problems: Vec<Problem>,
}

/// One mistake and where it stands.
#[derive(Debug, Clone)]
pub(super) struct Problem {
    /// Bytes of the file.
    pub(super) span: Range<usize>,
    /// One line that names the key.
    pub(super) title: String,
    /// What to say at the span.
    pub(super) label: String,
    /// How to mend it.
    pub(super) help: Option<String>,
    /// Another place that has to do with it.
    pub(super) other: Option<(Range<usize>, String)>,
    /// Whether the span holds, or may hold, a secret: it is drawn as asterisks.
    secret: bool,
}

/// The problems found so far.
#[derive(Debug, Default)]
pub(super) struct Problems(Vec<Problem>);

impl Problem {
    pub(super) fn new(span: Range<usize>, title: impl Into<String>) -> Self {
        Problem {
            span,
            title: title.into(),
            label: String::new(),
            help: None,
            other: None,
            secret: false,
        }
    }

    /// Keeps what the span holds out of the picture.
    pub(super) fn secret(mut self, secret: bool) -> Self {
        self.secret = secret;
        self
    }

    pub(super) fn label(mut self, label: impl Into<String>) -> Self {
        self.label = label.into();
        self
    }

    pub(super) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// `help`, where there may be none to give.
    pub(super) fn maybe_help(mut self, help: Option<String>) -> Self {
        self.help = help;
        self
    }

    pub(super) fn other(mut self, span: Range<usize>, label: &str) -> Self {
        self.other = Some((span, label.to_owned()));
        self
    }
}

impl Problems {
    pub(super) fn add(&mut self, problem: Problem) {
        self.0.push(problem);
    }

    /// An error that shows all of them, or nothing when there are none.
    pub(super) fn into_result(self, source_name: &str, text: &str) -> Result<(), ConfigError> {
        if self.0.is_empty() {
            Ok(())
        } else {
            Err(Report::new(source_name, text, self.0).into())
        }
    }
}

impl Report {
    pub(super) fn new(source_name: &str, text: &str, mut problems: Vec<Problem>) -> Self {
        problems.sort_by_key(|problem| problem.span.start);
        let mut text = text.to_owned();
        for problem in problems.iter().filter(|problem| problem.secret) {
            mask::mask(&mut text, &problem.span);
        }
        Report {
            source_name: source_name.to_owned(),
            text,
            problems,
        }
    }

    /// The picture in colours, for a terminal; `Display` is the plain one.
    pub fn coloured(&self) -> String {
        self.render(&Renderer::styled())
    }

    fn render(&self, renderer: &Renderer) -> String {
        let pictures = self
            .problems
            .iter()
            .map(|problem| renderer.render(&[self.picture(problem)]));
        pictures.collect::<Vec<_>>().join("\n\n")
    }

    fn picture<'a>(&'a self, problem: &'a Problem) -> Group<'a> {
        let primary = AnnotationKind::Primary
            .span(self.within(&problem.span))
            .label(&problem.label);
        let other = problem
            .other
            .as_ref()
            .map(|(span, label)| AnnotationKind::Context.span(self.within(span)).label(label));
        let snippet = Snippet::source(&self.text)
            .path(&self.source_name)
            .annotation(primary)
            .annotations(other);
        let group = Level::ERROR.primary_title(&problem.title).element(snippet);
        group.elements(
            problem
                .help
                .as_deref()
                .map(|help| Level::HELP.message(help)),
        )
    }

    /// The span cut to the first line and moved to character boundaries, so that any text can be drawn.
    fn within(&self, span: &Range<usize>) -> Range<usize> {
        let start = self.text.floor_char_boundary(span.start);
        let end = self.text.ceil_char_boundary(span.end.max(start));
        let line_end = self.text[start..end]
            .find('\n')
            .map_or(end, |at| start + at);
        start..line_end
    }
}

impl From<Report> for ConfigError {
    fn from(report: Report) -> Self {
        ConfigError::Invalid(report)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(&Renderer::plain()))
    }
}
