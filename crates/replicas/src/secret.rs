//! The secret that replicas share, and what it proves.
//!
//! A request carries the time and a MAC of its method, target and time. Unlike a bearer token it is of
//! no use for any other request, and for this one only for [`WINDOW`]: who reads it on the wire can ask
//! for what was just sent there, and for nothing else. An answer that no digest can judge (where a tag
//! points) carries a MAC too, over the request's: nobody in between can answer for the authority.

use std::{
    fmt,
    time::{Duration, SystemTime},
};

use hmac::{Hmac, KeyInit, Mac};
use http::{HeaderValue, Method};
use sha2::Sha256;

/// How far the clocks of two replicas may differ, and how long a request that was overheard is of use.
const WINDOW: Duration = Duration::from_mins(5);

/// The scheme in `Authorization`.
const SCHEME: &str = "Archway-Replica ";

/// Why a request is not one of a replica.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Rejected {
    /// It has no proof of the secret.
    #[error("it proves no secret of ours")]
    NoProof,
    /// Its time is too far from ours.
    #[error("its clock is more than 5 minutes from ours")]
    OtherTime,
    /// Its proof is for another secret or another request.
    #[error("its secret is another one")]
    OtherSecret,
}

/// The secrets of the file, one a line: the first one signs, each is accepted. So it can be replaced
/// without a moment in which replicas do not know each other.
pub(crate) struct Secret {
    keys: Vec<Vec<u8>>,
}

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Secret")
    }
}

impl Secret {
    /// The secrets in `text`; there has to be one.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
        let keys: Vec<_> = lines.map(|line| line.as_bytes().to_vec()).collect();
        (!keys.is_empty()).then_some(Self { keys })
    }

    /// The `Authorization` of a request.
    pub(crate) fn sign(&self, method: &Method, target: &str, now: SystemTime) -> HeaderValue {
        let seconds = seconds(now);
        let first = self.keys.first().map_or(&[][..], Vec::as_slice);
        let mac = hex::encode(
            request_mac(first, method, target, seconds)
                .finalize()
                .into_bytes(),
        );
        let text = format!("{SCHEME}{seconds} {mac}");
        HeaderValue::try_from(text).expect("digits are header text")
    }

    /// Whether `authorization` is that of this request, made a moment ago.
    pub(crate) fn check(
        &self,
        method: &Method,
        target: &str,
        authorization: Option<&HeaderValue>,
        now: SystemTime,
    ) -> Result<(), Rejected> {
        let text = authorization.and_then(|value| value.to_str().ok());
        let proof = text.and_then(|text| text.strip_prefix(SCHEME)?.split_once(' '));
        let (time, mac) = proof.ok_or(Rejected::NoProof)?;
        let time: u64 = time.parse().map_err(|_| Rejected::NoProof)?;
        let mac = hex::decode(mac).map_err(|_| Rejected::NoProof)?;
        if time.abs_diff(seconds(now)) > WINDOW.as_secs() {
            return Err(Rejected::OtherTime);
        }
        let is_of = |key: &Vec<u8>| {
            let expected = request_mac(key, method, target, time);
            expected.verify_slice(&mac).is_ok()
        };
        if self.keys.iter().any(is_of) {
            Ok(())
        } else {
            Err(Rejected::OtherSecret)
        }
    }

    /// The proof that who answers the request with this `Authorization` says `facts`.
    pub(crate) fn prove(&self, authorization: &HeaderValue, facts: &str) -> String {
        let first = self.keys.first().map_or(&[][..], Vec::as_slice);
        let mac = answer_mac(first, authorization, facts).finalize();
        hex::encode(mac.into_bytes())
    }

    pub(crate) fn is_proved(&self, authorization: &HeaderValue, facts: &str, proof: &str) -> bool {
        let Ok(proof) = hex::decode(proof) else {
            return false;
        };
        let mut keys = self.keys.iter();
        keys.any(|key| {
            let expected = answer_mac(key, authorization, facts);
            expected.verify_slice(&proof).is_ok()
        })
    }
}

fn seconds(now: SystemTime) -> u64 {
    let since = now.duration_since(SystemTime::UNIX_EPOCH);
    since.map_or(0, |since| since.as_secs())
}

fn request_mac(key: &[u8], method: &Method, target: &str, seconds: u64) -> Hmac<Sha256> {
    let mut mac = keyed(key);
    mac.update(format!("request\n{method}\n{target}\n{seconds}").as_bytes());
    mac
}

fn answer_mac(key: &[u8], authorization: &HeaderValue, facts: &str) -> Hmac<Sha256> {
    let mut mac = keyed(key);
    mac.update(b"answer\n");
    mac.update(authorization.as_bytes());
    mac.update(b"\n");
    mac.update(facts.as_bytes());
    mac
}

fn keyed(key: &[u8]) -> Hmac<Sha256> {
    Hmac::<Sha256>::new_from_slice(key).expect("any length of key is taken")
}

#[cfg(test)]
mod tests {
    use super::*;

    const TARGET: &str = "/v2/app/manifests/v1?ns=docker.io";

    fn secret(text: &str) -> Secret {
        Secret::parse(text).unwrap()
    }

    #[test]
    fn a_request_proves_the_secret_for_itself_alone_and_for_a_while() {
        let (ours, now) = (secret("one\n"), SystemTime::now());
        let proof = ours.sign(&Method::GET, TARGET, now);
        let check = |secret: &Secret, method: &Method, target: &str, now| {
            secret.check(method, target, Some(&proof), now)
        };
        assert_eq!(check(&ours, &Method::GET, TARGET, now), Ok(()));
        let other = Err(Rejected::OtherSecret);
        assert_eq!(check(&ours, &Method::HEAD, TARGET, now), other);
        assert_eq!(check(&ours, &Method::GET, "/v2/", now), other);
        assert_eq!(check(&secret("two"), &Method::GET, TARGET, now), other);
        let later = now + WINDOW + Duration::from_secs(2);
        let late = check(&ours, &Method::GET, TARGET, later);
        assert_eq!(late, Err(Rejected::OtherTime));
        let none = ours.check(&Method::GET, TARGET, None, now);
        assert_eq!(none, Err(Rejected::NoProof));
    }

    #[test]
    fn a_secret_can_be_replaced_while_both_are_in_the_file() {
        let (old, both, now) = (secret("old"), secret("new\nold\n"), SystemTime::now());
        let proof = old.sign(&Method::GET, TARGET, now);
        assert_eq!(both.check(&Method::GET, TARGET, Some(&proof), now), Ok(()));
        let proof = both.sign(&Method::GET, TARGET, now);
        let refused = old.check(&Method::GET, TARGET, Some(&proof), now);
        assert_eq!(refused, Err(Rejected::OtherSecret));
    }

    #[test]
    fn an_answer_is_for_one_request_and_one_set_of_facts() {
        let (ours, now) = (secret("one"), SystemTime::now());
        let request = ours.sign(&Method::GET, TARGET, now);
        let proof = ours.prove(&request, "sha256:1 200");
        assert!(ours.is_proved(&request, "sha256:1 200", &proof));
        assert!(!ours.is_proved(&request, "sha256:2 200", &proof));
        let other = ours.sign(&Method::GET, "/v2/", now);
        assert!(!ours.is_proved(&other, "sha256:1 200", &proof));
    }

    #[test]
    fn a_file_of_blank_lines_has_no_secret() {
        assert!(Secret::parse(" \n\n").is_none());
    }
}
