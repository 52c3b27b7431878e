//! The judgement on a server's certificate: the platform's, but for certificates that the operator
//! has named, and with words for what is wrong.

use std::{net::Ipv6Addr, sync::Arc};

use rustls::{
    CertificateError, Error, OtherError,
    client::{
        danger::{ServerCertVerified, ServerCertVerifier},
        verify_server_name,
    },
    crypto::WebPkiSupportedAlgorithms,
    pki_types::{CertificateDer, ServerName, UnixTime},
    server::ParsedCertificate,
};
use x509_cert::{
    Certificate, TbsCertificate,
    der::{Decode, Encode, asn1::AnyRef},
    ext::pkix::{SubjectAltName, name::GeneralName},
    spki::AlgorithmIdentifierOwned,
    time::Time,
};

use crate::{CertificateFault, judged::Judge};

/// The platform's verifier, and the certificates of `ca_file`.
#[derive(Debug)]
pub(super) struct Verifier<V> {
    platform: V,
    own: Vec<CertificateDer<'static>>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl<V: ServerCertVerifier> Verifier<V> {
    /// Trusts what `platform` does, and each of `own` as a server's own certificate.
    /// Self-signed is what `algorithms` say.
    pub(super) fn new(
        platform: V,
        own: Vec<CertificateDer<'static>>,
        algorithms: WebPkiSupportedAlgorithms,
    ) -> Self {
        Self {
            platform,
            own,
            algorithms,
        }
    }

    /// Judges a certificate that the operator has named. Its name and dates count all the same.
    fn named(
        shown: &CertificateDer<'_>,
        name: &ServerName<'_>,
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        verify_server_name(&ParsedCertificate::try_from(shown)?, name)?;
        let parsed = Certificate::from_der(shown).map_err(|_| CertificateError::BadEncoding)?;
        let validity = parsed.tbs_certificate.validity;
        let now = now.as_secs();
        if now > validity.not_after.to_unix_duration().as_secs() {
            return Err(CertificateError::Expired.into());
        }
        if now < validity.not_before.to_unix_duration().as_secs() {
            return Err(CertificateError::NotValidYet.into());
        }
        Ok(ServerCertVerified::assertion())
    }

    /// The words for a refusal; none where the library's own are as good.
    fn fault(
        &self,
        reason: &CertificateError,
        shown: &CertificateDer<'_>,
        chain: &[CertificateDer<'_>],
        name: &ServerName<'_>,
    ) -> Option<CertificateFault> {
        let parsed = Certificate::from_der(shown).ok()?;
        let is_self_signed = is_self_signed(&parsed, &self.algorithms);
        let certificate = parsed.tbs_certificate;
        Some(match reason {
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
                // It may be that of an authority between.
                let on = last_second(shown)?;
                let on = chain.iter().filter_map(last_second).fold(on, earlier);
                CertificateFault::Expired { on }
            }
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
                CertificateFault::NotYetValid {
                    from: certificate.validity.not_before,
                }
            }
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                CertificateFault::OtherName {
                    wanted: name.to_str().into_owned(),
                    names: names(&certificate),
                }
            }
            _ if is_self_signed => CertificateFault::SelfSigned,
            CertificateError::UnknownIssuer => {
                // The certificate nearest to the authority names it.
                let last = chain
                    .last()
                    .and_then(|last| Certificate::from_der(last).ok());
                let issuer = last.map_or(certificate.issuer, |last| last.tbs_certificate.issuer);
                CertificateFault::UnknownAuthority {
                    issuer: issuer.to_string(),
                }
            }
            _ => return None,
        })
    }
}

impl<V: ServerCertVerifier + 'static> Judge for Verifier<V> {
    fn judge(
        &self,
        shown: &CertificateDer<'_>,
        chain: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let verdict = if self.own.contains(shown) {
            Self::named(shown, name, now)
        } else {
            self.platform
                .verify_server_cert(shown, chain, name, ocsp, now)
        };
        verdict.map_err(|error| match &error {
            Error::InvalidCertificate(reason) => {
                let fault = self.fault(reason, shown, chain, name);
                fault.map_or(error, |fault| {
                    CertificateError::Other(OtherError(Arc::new(fault))).into()
                })
            }
            _ => error,
        })
    }
}

/// Whether a certificate names itself as its authority, and its own key has signed it. A signature of
/// a kind that is not known here cannot speak against the names.
fn is_self_signed(certificate: &Certificate, algorithms: &WebPkiSupportedAlgorithms) -> bool {
    let parts = &certificate.tbs_certificate;
    parts.issuer == parts.subject && has_signed_itself(certificate, algorithms).unwrap_or(true)
}

fn has_signed_itself(
    certificate: &Certificate,
    algorithms: &WebPkiSupportedAlgorithms,
) -> Option<bool> {
    let signed = certificate.tbs_certificate.to_der().ok()?;
    let key = &certificate.tbs_certificate.subject_public_key_info;
    let (of_key, of_signature) = (
        contents(&key.algorithm)?,
        contents(&certificate.signature_algorithm)?,
    );
    let key = key.subject_public_key.as_bytes()?;
    let signature = certificate.signature.as_bytes()?;
    let mut fitting = algorithms.all.iter().filter(|algorithm| {
        *algorithm.public_key_alg_id() == *of_key && *algorithm.signature_alg_id() == *of_signature
    });
    let first = fitting.next()?;
    let mut all = std::iter::once(first).chain(fitting);
    Some(all.any(|algorithm| algorithm.verify_signature(key, &signed, signature).is_ok()))
}

/// An identifier as rustls compares it: its DER without the tag and the length.
fn contents(identifier: &AlgorithmIdentifierOwned) -> Option<Vec<u8>> {
    let der = identifier.to_der().ok()?;
    Some(AnyRef::from_der(&der).ok()?.value().to_vec())
}

fn last_second(certificate: &CertificateDer<'_>) -> Option<Time> {
    let parsed = Certificate::from_der(certificate).ok()?;
    Some(parsed.tbs_certificate.validity.not_after)
}

fn earlier(one: Time, other: Time) -> Time {
    if other.to_unix_duration() < one.to_unix_duration() {
        other
    } else {
        one
    }
}

/// The names that a certificate is for, as clients read them.
fn names(certificate: &TbsCertificate) -> String {
    let found: Option<(_, SubjectAltName)> = certificate.get().ok().flatten();
    let names = found.map(|(_, names)| names.0).unwrap_or_default();
    let names: Vec<_> = names
        .iter()
        .filter_map(|name| match name {
            GeneralName::DnsName(name) => Some(name.to_string()),
            GeneralName::IpAddress(address) => match address.as_bytes() {
                [a, b, c, d] => Some(format!("{a}.{b}.{c}.{d}")),
                bytes => {
                    let bytes: [u8; 16] = bytes.try_into().ok()?;
                    Some(Ipv6Addr::from(bytes).to_string())
                }
            },
            _ => None,
        })
        .collect();
    if names.is_empty() {
        "no server".to_owned()
    } else {
        names.join(", ")
    }
}
