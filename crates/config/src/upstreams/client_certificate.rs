//! What Archway shows to an upstream that asks for a certificate.

use std::path::PathBuf;

use crate::{
    error::{Problem, Problems},
    field::Field,
    print::Page,
    tls,
};

/// Two PEM files, which belonged together at start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientCertificate {
    /// The certificate, and those between it and its root.
    pub chain: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

impl ClientCertificate {
    /// From the two keys of the file; one without the other is a problem.
    pub(super) fn resolve(
        chain: Option<Field<PathBuf>>,
        key: Option<Field<PathBuf>>,
        problems: &mut Problems,
    ) -> Option<Self> {
        let lone = match (&chain, &key) {
            (Some(field), None) => {
                Some((field.span.clone(), "client_cert_file", "client_key_file"))
            }
            (None, Some(field)) => {
                Some((field.span.clone(), "client_key_file", "client_cert_file"))
            }
            _ => None,
        };
        if let Some((span, here, missing)) = lone {
            let problem = Problem::new(span, format!("`{here}` needs `{missing}`"));
            problems.add(
                problem
                    .label("only one of the two")
                    .help("a certificate and its key are two PEM files; name both"),
            );
        }
        let (chain, key) = chain.zip(key)?;
        let files = [("client_cert_file", chain), ("client_key_file", key)];
        let pair = tls::pair(files, "to identify with", problems)?;
        Some(Self {
            chain: pair.cert().to_owned(),
            key: pair.key().to_owned(),
        })
    }

    pub(super) fn print(&self, page: &mut Page) {
        page.string("client_cert_file", &self.chain.to_string_lossy());
        page.string("client_key_file", &self.key.to_string_lossy());
    }
}
