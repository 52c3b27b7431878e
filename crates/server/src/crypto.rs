//! The cryptography of TLS: aws-lc's, but ring's AES-GCM on processors where that is faster.

use rustls::{
    CipherSuite, SupportedCipherSuite,
    crypto::{CryptoProvider, aws_lc_rs, ring},
};
use tracing::debug;

/// Makes [`provider`] the default of the process. Only the first call has an effect.
pub fn install() {
    let _ = provider().install_default();
}

/// aws-lc's key exchange, signatures and suites, in its order of preference. Its AES-GCM takes 32
/// bytes or more at a time (VAES) only with AVX-512; ring's does so with AVX2 too. On processors
/// between the two (AMD's Zen 3, of many cloud machines; Intel's without AVX-512) ring is twice as
/// fast, and encryption is most of the cost of a stored blob over TLS.
pub fn provider() -> CryptoProvider {
    let mut provider = aws_lc_rs::default_provider();
    if has_vaes_without_avx512() {
        debug!("AES-GCM by ring: the processor has VAES, but not AVX-512");
        use_aes_gcm_of_ring(&mut provider.cipher_suites);
    }
    provider
}

/// Combines the conditions of both libraries: `crypto_gcm_avx512_enabled` of aws-lc,
/// `aes_gcm::DynKey::new` of ring.
#[cfg(target_arch = "x86_64")]
fn has_vaes_without_avx512() -> bool {
    let vaes = is_x86_feature_detected!("vaes")
        && is_x86_feature_detected!("vpclmulqdq")
        && is_x86_feature_detected!("avx2");
    let avx512 = is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512dq")
        && is_x86_feature_detected!("avx512bw")
        && is_x86_feature_detected!("avx512vl");
    vaes && !avx512
}

#[cfg(not(target_arch = "x86_64"))]
fn has_vaes_without_avx512() -> bool {
    false
}

fn use_aes_gcm_of_ring(suites: &mut [SupportedCipherSuite]) {
    for suite in suites {
        let same = ring::ALL_CIPHER_SUITES
            .iter()
            .find(|theirs| theirs.suite() == suite.suite() && is_aes_gcm(theirs.suite()));
        if let Some(same) = same {
            *suite = *same;
        }
    }
}

fn is_aes_gcm(suite: CipherSuite) -> bool {
    matches!(
        suite,
        CipherSuite::TLS13_AES_128_GCM_SHA256
            | CipherSuite::TLS13_AES_256_GCM_SHA384
            | CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256
            | CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384
            | CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256
            | CipherSuite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384
    )
}

#[cfg(test)]
mod tests {
    use std::{
        io::{self, Read, Write},
        ops::DerefMut,
        sync::Arc,
    };

    use rcgen::{CertifiedKey, KeyPair};
    use rustls::{
        ALL_VERSIONS, ClientConfig, ClientConnection, ConnectionCommon, RootCertStore,
        ServerConfig, ServerConnection, pki_types::PrivatePkcs8KeyDer,
    };

    use super::*;

    fn mixed() -> CryptoProvider {
        let mut provider = aws_lc_rs::default_provider();
        use_aes_gcm_of_ring(&mut provider.cipher_suites);
        provider
    }

    #[test]
    fn the_suites_and_their_order_are_those_of_aws_lc() {
        let ids = |provider: &CryptoProvider| -> Vec<_> {
            let suites = provider.cipher_suites.iter();
            suites.map(SupportedCipherSuite::suite).collect()
        };
        assert_eq!(ids(&mixed()), ids(&aws_lc_rs::default_provider()));
    }

    #[test]
    fn aes_gcm_is_rings_and_chacha_stays_aws_lcs() {
        let by_ring = |suite: &SupportedCipherSuite| {
            // Suites of the same name are equal, so the address tells the library.
            let at = |suite: &SupportedCipherSuite| match suite {
                SupportedCipherSuite::Tls12(suite) => std::ptr::from_ref(*suite).addr(),
                SupportedCipherSuite::Tls13(suite) => std::ptr::from_ref(*suite).addr(),
            };
            ring::ALL_CIPHER_SUITES
                .iter()
                .any(|theirs| at(theirs) == at(suite))
        };
        for suite in &mixed().cipher_suites {
            assert_eq!(by_ring(suite), is_aes_gcm(suite.suite()), "{suite:?}");
        }
    }

    /// One side encrypts, the other decrypts.
    #[test]
    fn a_client_of_aws_lc_alone_reads_every_suite() {
        let key = rcgen::generate_simple_self_signed(["archway.test".to_owned()]).unwrap();
        let sent: Vec<u8> = (0..100_000_u32).flat_map(u32::to_le_bytes).collect();
        for suite in mixed().cipher_suites {
            // They need an RSA key, and encrypt as those with ECDSA do.
            if format!("{suite:?}").contains("_RSA_") {
                continue;
            }
            let only = |mut provider: CryptoProvider| {
                let id = suite.suite();
                provider.cipher_suites.retain(|one| one.suite() == id);
                Arc::new(provider)
            };
            let (mut client, mut server) =
                connection(&key, only(aws_lc_rs::default_provider()), only(mixed()));
            exchange(&mut client, &mut server);
            server.writer().write_all(&sent).unwrap();
            assert_eq!(exchange(&mut client, &mut server), sent, "{suite:?}");
        }
    }

    fn connection(
        key: &CertifiedKey<KeyPair>,
        client: Arc<CryptoProvider>,
        server: Arc<CryptoProvider>,
    ) -> (ClientConnection, ServerConnection) {
        let versions: Vec<_> = ALL_VERSIONS
            .iter()
            .copied()
            .filter(|version| client.cipher_suites[0].version() == *version)
            .collect();
        let certificate = key.cert.der().clone();
        let mut roots = RootCertStore::empty();
        roots.add(certificate.clone()).unwrap();
        let client = ClientConfig::builder_with_provider(client)
            .with_protocol_versions(&versions)
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let secret = PrivatePkcs8KeyDer::from(key.signing_key.serialize_der());
        let server = ServerConfig::builder_with_provider(server)
            .with_protocol_versions(&versions)
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate], secret.into())
            .unwrap();
        let name = "archway.test".try_into().unwrap();
        let client = ClientConnection::new(Arc::new(client), name).unwrap();
        let mut server = ServerConnection::new(Arc::new(server)).unwrap();
        server.set_buffer_limit(None);
        (client, server)
    }

    /// Carries records until neither side has one. Returns the bytes that the client has read by
    /// then.
    fn exchange(client: &mut ClientConnection, server: &mut ServerConnection) -> Vec<u8> {
        let mut read = Vec::new();
        while client.wants_write() || server.wants_write() {
            deliver(client, server);
            read.extend(deliver(server, client));
        }
        read
    }

    fn deliver<A, B>(
        from: &mut impl DerefMut<Target = ConnectionCommon<A>>,
        to: &mut impl DerefMut<Target = ConnectionCommon<B>>,
    ) -> Vec<u8> {
        let mut records = Vec::new();
        if from.wants_write() {
            from.write_tls(&mut records).unwrap();
        }
        let (mut rest, mut read) = (&records[..], Vec::new());
        while !rest.is_empty() {
            to.read_tls(&mut rest).unwrap();
            to.process_new_packets().unwrap();
            match to.reader().read_to_end(&mut read) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                ended => panic!("the connection ended: {ended:?}"),
            }
        }
        read
    }
}
