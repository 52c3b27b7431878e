//! The report on a configuration file that cannot be used: file, line, column and the fix.
//!
//! A mistake is shown as a picture of its line. Values that may be secrets are drawn as asterisks.
//! Of a file that is no TOML at all no line is shown, since its secrets cannot be located.

use std::{fmt, io, ops::Range, path::PathBuf};

use annotate_snippets::{AnnotationKind, Group, Level, Origin, Renderer, Snippet};

use crate::problem::{Findings, Problem};

const NO_LINE: &str = "the line is not shown, because it may hold a password";

/// Why there is no `Config`.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file could not be read.
    #[error("cannot read the configuration {}", path.display())]
    Read {
        /// The file as the operator named it.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// The file was read and is not a valid configuration.
    #[error("{0}")]
    Invalid(Report),
}

/// All mistakes of one file, in the order of the file; never empty.
#[derive(Clone, Debug)]
pub struct Report {
    source_name: String,
    mistakes: Mistakes,
}

#[derive(Clone, Debug)]
enum Mistakes {
    /// The parser stopped here.
    Unparsed {
        title: String,
        line: usize,
        column: usize,
    },
    /// The text was parsed; its secrets are covered.
    Found {
        text: String,
        problems: Vec<Problem>,
    },
}

impl Report {
    /// Of a text that no parser takes from byte `at` on.
    pub(crate) fn unparsed(source_name: &str, text: &str, at: usize, title: String) -> Self {
        let before = &text[..text.floor_char_boundary(at)];
        let line_start = before.rfind('\n').map_or(0, |end| end + 1);
        Self {
            source_name: source_name.to_owned(),
            mistakes: Mistakes::Unparsed {
                title,
                line: before.matches('\n').count() + 1,
                column: before[line_start..].chars().count() + 1,
            },
        }
    }

    /// Of all findings in a text; `None` when there is no mistake among them.
    pub(crate) fn of(source_name: &str, text: &str, findings: Findings) -> Option<Self> {
        let Findings {
            mut problems,
            hidden,
        } = findings;
        if problems.is_empty() {
            return None;
        }
        problems.sort_by_key(|problem| problem.span.start);
        Some(Self {
            source_name: source_name.to_owned(),
            mistakes: Mistakes::Found {
                text: covered(text, &hidden),
                problems,
            },
        })
    }

    /// The report in colours, for a terminal; `Display` is the plain one.
    pub fn coloured(&self) -> String {
        self.render(&Renderer::styled())
    }

    fn render(&self, renderer: &Renderer) -> String {
        match &self.mistakes {
            Mistakes::Unparsed {
                title,
                line,
                column,
            } => {
                let origin = Origin::path(&self.source_name)
                    .line(*line)
                    .char_column(*column);
                let group = Level::ERROR.primary_title(title).element(origin);
                renderer.render(&[group.element(Level::HELP.message(NO_LINE))])
            }
            Mistakes::Found { text, problems } => {
                let pictures = problems
                    .iter()
                    .map(|problem| renderer.render(&[picture(&self.source_name, text, problem)]));
                pictures.collect::<Vec<_>>().join("\n\n")
            }
        }
    }
}

fn picture<'a>(source_name: &'a str, text: &'a str, problem: &'a Problem) -> Group<'a> {
    let primary = AnnotationKind::Primary
        .span(first_line(text, &problem.span))
        .label(&problem.label);
    let other = problem.other.as_ref().map(|(span, label)| {
        let span = first_line(text, span);
        AnnotationKind::Context.span(span).label(label)
    });
    let snippet = Snippet::source(text)
        .path(source_name)
        .annotation(primary)
        .annotations(other);
    let help = problem.help.as_deref();
    let help = help.map(|help| Level::HELP.message(help));
    let group = Level::ERROR.primary_title(&problem.title);
    group.element(snippet).elements(help)
}

/// The span cut to its first line and moved to character boundaries, so that any text can be drawn.
fn first_line(text: &str, span: &Range<usize>) -> Range<usize> {
    let start = text.floor_char_boundary(span.start);
    let end = text.ceil_char_boundary(span.end.max(start));
    let line_end = text[start..end].find('\n').map_or(end, |at| start + at);
    start..line_end
}

/// The text with an asterisk for each byte of the spans, so that all places stay where they are.
fn covered(text: &str, spans: &[Range<usize>]) -> String {
    let mut text = text.to_owned();
    for span in spans {
        let start = text.floor_char_boundary(span.start);
        let end = text.ceil_char_boundary(span.end.max(start));
        let asterisks: String = text[start..end]
            .bytes()
            .map(|byte| if byte == b'\n' { '\n' } else { '*' })
            .collect();
        text.replace_range(start..end, &asterisks);
    }
    text
}

impl From<Report> for ConfigError {
    fn from(report: Report) -> Self {
        Self::Invalid(report)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.render(&Renderer::plain()))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn any_text_keeps_its_length_and_its_lines(text in any::<String>(), from: u8, to: u8) {
            let end = usize::from(to).min(text.len());
            let start = usize::from(from).min(end);
            let span = start..end;
            let covered = covered(&text, std::slice::from_ref(&span));
            prop_assert_eq!(covered.len(), text.len());
            prop_assert_eq!(covered.matches('\n').count(), text.matches('\n').count());
        }
    }
}
