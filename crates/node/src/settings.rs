//! What clients are told: which Archway, for which registries, and for which platform.

use manifest_model::Platform;
use protocol::host::Host;

use crate::Mirror;

/// What a client's configuration is to say.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The listener.
    pub mirror: Mirror,
    /// Whose images go through it.
    pub registries: Registries,
    /// The platform that the client names to Archway with each request.
    pub platform: Option<Platform>,
    /// Who signed the listener's certificate, if the client does not trust it anyway.
    pub authority: Option<Authority>,
    /// Whether the client asks the registry itself where Archway does not answer.
    pub fallback: bool,
}

/// The registries whose images go through Archway.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Registries {
    /// Every one. A client that has no word for that is told these.
    All(Vec<Host>),
    /// These alone.
    Named(Vec<Host>),
}

impl Registries {
    /// The registries by name, for a client that has no word for all.
    pub fn names(&self) -> &[Host] {
        match self {
            Self::All(names) | Self::Named(names) => names,
        }
    }

    /// The registries by name, or the word that a client has for all of them.
    pub(crate) fn or_word<'a>(&'a self, word: &'a str) -> Vec<&'a str> {
        match self {
            Self::All(_) => vec![word],
            Self::Named(names) => names.iter().map(Host::as_str).collect(),
        }
    }
}

/// Certificates in PEM, as a client's file holds them: nothing else, and a line end at the end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Authority(String);

/// Why a text is not an [`Authority`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AuthorityError {
    /// It has no certificate.
    #[error("has no `-----BEGIN CERTIFICATE-----`; a certificate authority is given in PEM")]
    None,
    /// It ends within one.
    #[error("ends within a certificate")]
    Unfinished,
    /// It has a private key.
    #[error("has a private key, which clients must not get; give the certificate alone")]
    PrivateKey,
}

const BEGIN: &str = "-----BEGIN CERTIFICATE-----";
const END: &str = "-----END CERTIFICATE-----";

impl Authority {
    /// Takes the certificates out of a PEM file.
    pub fn parse(text: &str) -> Result<Self, AuthorityError> {
        if text.contains("PRIVATE KEY-----") {
            return Err(AuthorityError::PrivateKey);
        }
        let mut pem = String::new();
        let mut rest = text;
        while let Some(begin) = rest.find(BEGIN) {
            let body = &rest[begin..];
            let end = body.find(END).ok_or(AuthorityError::Unfinished)? + END.len();
            for line in body[..end].lines() {
                pem.push_str(line.trim());
                pem.push('\n');
            }
            rest = &body[end..];
        }
        if pem.is_empty() {
            return Err(AuthorityError::None);
        }
        Ok(Self(pem))
    }

    /// The PEM text.
    pub fn pem(&self) -> &str {
        &self.0
    }

    /// The PEM text with each line behind `indent`, for YAML.
    pub(crate) fn indented(&self, indent: &str) -> String {
        let lines = self.0.lines().map(|line| format!("{indent}{line}\n"));
        lines.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_authority_is_its_certificates_alone() {
        let text =
            "subject=x\r\n-----BEGIN CERTIFICATE-----\r\nAAAA\r\n-----END CERTIFICATE-----\r\ntail";
        let authority = Authority::parse(text).unwrap();
        let pem = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        assert_eq!(authority.pem(), pem);
    }

    #[test]
    fn a_file_without_a_whole_certificate_or_with_a_key_is_refused() {
        let begin = "-----BEGIN CERTIFICATE-----\nAAAA\n";
        let key = "-----BEGIN EC PRIVATE KEY-----";
        assert_eq!(Authority::parse("AAAA"), Err(AuthorityError::None));
        assert_eq!(Authority::parse(begin), Err(AuthorityError::Unfinished));
        assert_eq!(Authority::parse(key), Err(AuthorityError::PrivateKey));
    }
}
