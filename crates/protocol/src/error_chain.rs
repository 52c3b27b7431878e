//! An error and its causes on one line, as logs and commands print them.

use std::{error::Error, fmt};

/// Prints an error and its causes, separated by colons.
///
/// Every error type here displays its own level only, so the chain is printed once, where the
/// error is handled.
#[derive(Debug)]
pub struct ErrorChain<'a>(pub &'a (dyn Error + 'static));

impl fmt::Display for ErrorChain<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}", self.0)?;
        let mut next = self.0.source();
        while let Some(cause) = next {
            write!(formatter, ": {cause}")?;
            next = cause.source();
        }
        Ok(())
    }
}
