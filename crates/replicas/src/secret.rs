//! The secret that replicas share, and what it proves.
//!
//! A request carries the time and a MAC of all that it asks for, of the replica that it is for, and of the
//! time. Unlike a bearer token it is of no use for any other request, nor at any other replica, and for this
//! one only for [`WINDOW`]: who reads it on the wire can ask for what was just sent there, and for nothing
//! else. Each answer carries a MAC over the request's and over its own head: nobody in between can answer
//! for a replica, nor turn its answer into another.

use std::{
    fmt,
    time::{Duration, SystemTime},
};

use hmac::{Hmac, KeyInit, Mac};
use http::HeaderValue;
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
    /// It was sent to another replica.
    #[error("it is for another replica than this one")]
    ForAnother,
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

    /// The `Authorization` of a request that asks for `asked`.
    pub(crate) fn sign(&self, asked: &[u8], now: SystemTime) -> HeaderValue {
        let seconds = seconds(now);
        let mac = request_mac(self.first(), asked, seconds).finalize();
        let mac = hex::encode(mac.into_bytes());
        let text = format!("{SCHEME}{seconds} {mac}");
        HeaderValue::try_from(text).expect("digits are header text")
    }

    /// Whether `authorization` is that of a request for `asked`, made a moment ago.
    pub(crate) fn check(
        &self,
        asked: &[u8],
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
        let is_of = |key: &Vec<u8>| request_mac(key, asked, time).verify_slice(&mac).is_ok();
        if self.keys.iter().any(is_of) {
            Ok(())
        } else {
            Err(Rejected::OtherSecret)
        }
    }

    /// The proof that who answers the request with this `Authorization` says `said`.
    pub(crate) fn prove(&self, authorization: &HeaderValue, said: &[u8]) -> String {
        let mac = answer_mac(self.first(), authorization, said).finalize();
        hex::encode(mac.into_bytes())
    }

    pub(crate) fn is_proved(&self, authorization: &HeaderValue, said: &[u8], proof: &str) -> bool {
        let Ok(proof) = hex::decode(proof) else {
            return false;
        };
        let mut keys = self.keys.iter();
        keys.any(|key| {
            let expected = answer_mac(key, authorization, said);
            expected.verify_slice(&proof).is_ok()
        })
    }

    /// The one that signs.
    fn first(&self) -> &[u8] {
        self.keys.first().map_or(&[][..], Vec::as_slice)
    }
}

fn seconds(now: SystemTime) -> u64 {
    let since = now.duration_since(SystemTime::UNIX_EPOCH);
    since.map_or(0, |since| since.as_secs())
}

fn request_mac(key: &[u8], asked: &[u8], seconds: u64) -> Hmac<Sha256> {
    let mut mac = keyed(key);
    mac.update(format!("request\n{seconds}\n").as_bytes());
    mac.update(asked);
    mac
}

fn answer_mac(key: &[u8], authorization: &HeaderValue, said: &[u8]) -> Hmac<Sha256> {
    let mut mac = keyed(key);
    mac.update(b"answer\n");
    mac.update(authorization.as_bytes());
    mac.update(b"\n");
    mac.update(said);
    mac
}

fn keyed(key: &[u8]) -> Hmac<Sha256> {
    Hmac::<Sha256>::new_from_slice(key).expect("any length of key is taken")
}

#[cfg(test)]
mod tests {
    use super::*;

    const ASKED: &[u8] = b"GET /v2/app/manifests/v1?ns=docker.io";

    fn secret(text: &str) -> Secret {
        Secret::parse(text).unwrap()
    }

    #[test]
    fn a_request_proves_the_secret_for_itself_alone_and_for_a_while() {
        let (ours, now) = (secret("one\n"), SystemTime::now());
        let proof = ours.sign(ASKED, now);
        let check = |secret: &Secret, asked, now| secret.check(asked, Some(&proof), now);
        assert_eq!(check(&ours, ASKED, now), Ok(()));
        let other = Err(Rejected::OtherSecret);
        assert_eq!(check(&ours, b"GET /v2/", now), other);
        assert_eq!(check(&secret("two"), ASKED, now), other);
        let later = now + WINDOW + Duration::from_secs(2);
        assert_eq!(check(&ours, ASKED, later), Err(Rejected::OtherTime));
        let none = ours.check(ASKED, None, now);
        assert_eq!(none, Err(Rejected::NoProof));
    }

    #[test]
    fn a_secret_can_be_replaced_while_both_are_in_the_file() {
        let (old, both, now) = (secret("old"), secret("new\nold\n"), SystemTime::now());
        let proof = old.sign(ASKED, now);
        assert_eq!(both.check(ASKED, Some(&proof), now), Ok(()));
        let proof = both.sign(ASKED, now);
        let refused = old.check(ASKED, Some(&proof), now);
        assert_eq!(refused, Err(Rejected::OtherSecret));
    }

    #[test]
    fn an_answer_is_for_one_request_and_says_one_thing() {
        let (ours, now) = (secret("one"), SystemTime::now());
        let request = ours.sign(ASKED, now);
        let proof = ours.prove(&request, b"200 sha256:1");
        assert!(ours.is_proved(&request, b"200 sha256:1", &proof));
        assert!(!ours.is_proved(&request, b"200 sha256:2", &proof));
        let other = ours.sign(b"GET /v2/", now);
        assert!(!ours.is_proved(&other, b"200 sha256:1", &proof));
    }

    #[test]
    fn a_file_of_blank_lines_has_no_secret() {
        assert!(Secret::parse(" \n\n").is_none());
    }
}
