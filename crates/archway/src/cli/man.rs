//! `archway man`: the manual pages, one for each command.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use clap::{Args, Command, CommandFactory};
use clap_mangen::Man;

use super::{
    Cli,
    output::{CommandOutput, Failure, counted},
};

/// The day of the commit this binary is made of.
const DATE: &str = env!("ARCHWAY_DATE");

/// The longest line of a page, so that what follows a break fits too.
const MAX_LINE: usize = 76;

/// Write the manual pages, one for each command
#[derive(Debug, Args)]
#[command(after_help = "\
Exit codes: 0 written; 1 the folder cannot be written to.

Example:
  archway man -o /usr/local/share/man/man1")]
pub(crate) struct ManualPages {
    /// Folder for the pages; created if need be
    #[arg(short, long, value_name = "DIR")]
    output: PathBuf,
}

/// Why a page could not be written.
#[derive(Debug, thiserror::Error)]
#[error("cannot write {}", path.display())]
struct PageError {
    path: PathBuf,
    source: io::Error,
}

impl ManualPages {
    pub(super) fn run(&self) -> Result<CommandOutput, Failure> {
        let mut root = Cli::command().disable_help_subcommand(true);
        root.build();
        let folder = &self.output;
        let written = fs::create_dir_all(folder).map_err(|source| PageError {
            path: folder.clone(),
            source,
        });
        let written = written.and_then(|()| write(&root, folder));
        let pages = written.map_err(|error| Failure::negative(&error))?;
        let text = format!("{}: {}\n", folder.display(), counted(pages, "page"));
        Ok(CommandOutput::success(text))
    }
}

/// Writes the page of a command and of all below it; returns their number.
fn write(command: &Command, folder: &Path) -> Result<u64, PageError> {
    let name = command.get_display_name().unwrap_or(command.get_name());
    let path = folder.join(format!("{name}.1"));
    let page = Man::new(command.clone())
        .title(name.to_uppercase())
        .date(DATE)
        .manual("Archway");
    let mut text = Vec::new();
    let rendered = page.render(&mut text);
    let written = rendered.and_then(|()| fs::write(&path, wrapped(&text)));
    written.map_err(|source| PageError { path, source })?;
    let mut pages = 1;
    for below in command.get_subcommands() {
        pages += write(below, folder)?;
    }
    Ok(pages)
}

/// What the page's writer puts between the help of an argument and its values: an empty line is a
/// break already, and two more around it are a fault.
const DOUBLE_BREAK: &str = "\n.br\n\n.br\n";

/// The page with no line longer than [`MAX_LINE`] bytes, no space at the end of one, and no break
/// beside a break.
fn wrapped(page: &[u8]) -> String {
    let mut wrapped = String::new();
    let page = String::from_utf8_lossy(page).replace(DOUBLE_BREAK, "\n.sp\n");
    for line in page.lines() {
        let mut left = line.trim_end();
        // An indented line is set as it is: its end is taken back, so that it stays one.
        let end = if left.starts_with(' ') { " \\\n" } else { "\n" };
        let is_text = !line.starts_with('.');
        while is_text
            && left.len() > MAX_LINE
            && let Some(space) = left[..left.floor_char_boundary(MAX_LINE)]
                .trim_start()
                .rfind(' ')
        {
            let indent = left.len() - left.trim_start().len();
            let (head, tail) = left.split_at(indent + space);
            wrapped.push_str(head);
            wrapped.push_str(end);
            left = tail.trim_start();
            // These begin a request, and would hide the line.
            if left.starts_with(['.', '\'']) {
                wrapped.push_str("\\&");
            }
        }
        wrapped.push_str(left);
        wrapped.push('\n');
    }
    wrapped
}
