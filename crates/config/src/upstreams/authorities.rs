//! `ca_file`: by whom an upstream may be certified, beside the system's authorities.

use std::path::{Path, PathBuf};

use protocol::error_chain::ErrorChain;
use rustls::RootCertStore;

use crate::{
    error::{Problem, Problems},
    field::Field,
    key_pair::{self, Flaw},
};

const HELP: &str =
    "name a file with certificates in PEM form; of one in DER: openssl x509 -inform der -in FILE";

/// The path, when the file has authorities now: without them it shows at start rather than at the first pull.
pub(super) fn resolve(field: Field<PathBuf>, problems: &mut Problems) -> Option<PathBuf> {
    let span = field.span.clone();
    let path = field.take("ca_file", problems)?;
    let problem = match check(&path) {
        Ok(()) => return Some(path),
        Err(Flaw::Unreadable(error)) => {
            Problem::new(span, "`ca_file` cannot be read").label(error.to_string())
        }
        Err(flaw) => {
            Problem::new(span, "`ca_file` names no authority").label(ErrorChain(&flaw).to_string())
        }
    };
    problems.add(problem.help(HELP));
    None
}

/// Bundles have certificates that nobody can use among the good ones; one that is good is enough.
fn check(path: &Path) -> Result<(), Flaw> {
    let mut roots = RootCertStore::empty();
    let added = key_pair::certificates(path)?
        .into_iter()
        .map(|certificate| roots.add(certificate));
    added
        .reduce(Result::or)
        .unwrap_or(Ok(()))
        .map_err(Flaw::BadCertificate)
}
