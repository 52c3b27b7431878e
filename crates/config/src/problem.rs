//! Mistakes in the file, collected while it is read, so that one run reports all of them.

use std::{cell::RefCell, fmt, ops::Range, path::PathBuf};

/// One mistake and its place.
#[derive(Clone, Debug)]
pub(crate) struct Problem {
    /// Bytes of the file.
    pub(crate) span: Range<usize>,
    /// One line that names the key.
    pub(crate) title: String,
    /// The text shown at the span.
    pub(crate) label: String,
    /// The next thing to do.
    pub(crate) help: Option<String>,
    /// Another place that takes part in the mistake.
    pub(crate) other: Option<(Range<usize>, String)>,
}

impl Problem {
    pub(crate) fn new(span: Range<usize>, title: impl Into<String>) -> Self {
        Self {
            span,
            title: title.into(),
            label: String::new(),
            help: None,
            other: None,
        }
    }

    pub(crate) fn label(mut self, label: impl Into<String>) -> Self {
        self.label = label.into();
        self
    }

    pub(crate) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    pub(crate) fn other(mut self, span: Range<usize>, label: &str) -> Self {
        self.other = Some((span, label.to_owned()));
        self
    }
}

/// A check that opens a file, or reads the environment, and finds at most one mistake.
type FileCheck = Box<dyn FnOnce() -> Option<Problem>>;

/// The notes taken while a file is read. Shared by everything that reads, so it takes `&self`.
#[derive(Default)]
pub(crate) struct Problems {
    found: RefCell<Vec<Problem>>,
    hidden: RefCell<Vec<Range<usize>>>,
    file_checks: RefCell<Vec<FileCheck>>,
    folder: Option<PathBuf>,
}

/// All that was noted, once reading is over.
pub(crate) struct Findings {
    pub(crate) problems: Vec<Problem>,
    /// The places that may hold a secret.
    pub(crate) hidden: Vec<Range<usize>>,
}

impl Problems {
    /// For a file in `folder`, if it is in one.
    pub(crate) fn of_file_in(folder: Option<PathBuf>) -> Self {
        Self {
            folder,
            ..Self::default()
        }
    }

    /// The folder of the file.
    pub(crate) fn folder(&self) -> Option<&PathBuf> {
        self.folder.as_ref()
    }

    pub(crate) fn add(&self, problem: Problem) {
        self.found.borrow_mut().push(problem);
    }

    /// How many there are so far.
    pub(crate) fn count(&self) -> usize {
        self.found.borrow().len()
    }

    /// Keeps this place out of every report, whatever mistake is shown next to it.
    pub(crate) fn hide(&self, span: Range<usize>) {
        self.hidden.borrow_mut().push(span);
    }

    /// Leaves `check` for [`Self::check_files`]: reading a configuration opens no file.
    pub(crate) fn check_later(&self, check: impl FnOnce() -> Option<Problem> + 'static) {
        self.file_checks.borrow_mut().push(Box::new(check));
    }

    /// How many checks are left for later so far.
    pub(crate) fn file_checks(&self) -> usize {
        self.file_checks.borrow().len()
    }

    /// Drops all checks behind the first `kept`.
    pub(crate) fn forget_file_checks(&self, kept: usize) {
        self.file_checks.borrow_mut().truncate(kept);
    }

    /// Checks every file that was named.
    pub(crate) fn check_files(&self) {
        let checks = self.file_checks.take();
        let problems = checks.into_iter().filter_map(|check| check());
        self.found.borrow_mut().extend(problems);
    }

    pub(crate) fn into_findings(self) -> Findings {
        Findings {
            problems: self.found.into_inner(),
            hidden: self.hidden.into_inner(),
        }
    }
}

impl fmt::Debug for Problems {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Problems")
            .field("found", &self.found)
            .finish_non_exhaustive()
    }
}
