//! One start of Archway, and the names it makes.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Serialize};
use sha2::Sha256;

use crate::{REPOSITORY, TAG};

/// How long a name is known: time for a node to pull it, and for several to do so in turn.
pub const NONCE_LIFETIME: Duration = Duration::from_mins(10);

/// How far the clock of another replica may be ahead.
const SKEW: Duration = Duration::from_mins(1);

const KEY_BYTES: usize = 32;
const ID_BYTES: usize = 16;
/// The seconds since 1970, which no year before 2106 outgrows.
const TIME_BYTES: usize = 4;
const MAC_BYTES: usize = 12;

/// One start of Archway. Its `Debug` shows the id alone.
#[derive(Clone)]
pub struct Instance {
    id: String,
    /// Names are made with it.
    key: Vec<u8>,
    /// Names that were made with one of these are known, too.
    others: Vec<Vec<u8>>,
}

/// A name that was made, as a client is told it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Issued {
    /// What to pull, behind the host of a registry: `archway-probe/NONCE:1`.
    pub image: String,
    /// How long it can be pulled.
    pub seconds: u64,
}

impl Instance {
    /// A new start, from the system's source of random bytes.
    pub fn random() -> Result<Self, getrandom::Error> {
        let (mut id, mut key) = ([0; ID_BYTES], [0; KEY_BYTES]);
        getrandom::fill(&mut id)?;
        getrandom::fill(&mut key)?;
        Ok(Self {
            id: hex::encode(id),
            key: key.to_vec(),
            others: Vec::new(),
        })
    }

    /// The same start, whose names are those of all replicas that share a secret. The text may have
    /// several, one a line, of which the first one makes names; without one nothing changes.
    #[must_use]
    pub fn sharing(self, secrets: &str) -> Self {
        let lines = secrets
            .lines()
            .map(str::trim)
            .filter(|line| !line.is_empty());
        let mut keys = lines.map(|line| line.as_bytes().to_vec());
        match keys.next() {
            Some(key) => Self {
                key,
                others: keys.collect(),
                ..self
            },
            None => self,
        }
    }

    /// What it shows on each ping and on the admin listener: who reads the same at both ends knows
    /// that one process is behind them.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// A name that this start, or who shares its secret, knows again for [`NONCE_LIFETIME`].
    pub fn issue(&self, now: SystemTime) -> Issued {
        let seconds = seconds(now).to_be_bytes();
        let mut bytes = seconds.to_vec();
        bytes.extend(&mac(&self.key, seconds).finalize().into_bytes()[..MAC_BYTES]);
        Issued {
            image: format!("{REPOSITORY}/{}:{TAG}", hex::encode(bytes)),
            seconds: NONCE_LIFETIME.as_secs(),
        }
    }

    /// Whether this start, or who shares its secret, made a name with this nonce, not long ago.
    pub fn knows(&self, nonce: &str, now: SystemTime) -> bool {
        let mut bytes = [0; TIME_BYTES + MAC_BYTES];
        if hex::decode_to_slice(nonce, &mut bytes).is_err() || hex::encode(bytes) != nonce {
            return false;
        }
        let mut made = [0; TIME_BYTES];
        made.copy_from_slice(&bytes[..TIME_BYTES]);
        let is_of = |key: &Vec<u8>| {
            let expected = mac(key, made);
            expected.verify_truncated_left(&bytes[TIME_BYTES..]).is_ok()
        };
        if !is_of(&self.key) && !self.others.iter().any(is_of) {
            return false;
        }
        let (made, now) = (u64::from(u32::from_be_bytes(made)), u64::from(seconds(now)));
        made <= now + SKEW.as_secs() && now <= made + NONCE_LIFETIME.as_secs()
    }
}

/// The code of a name. A shared secret signs other things, too; none of them begins with this repository.
fn mac(key: &[u8], seconds: [u8; TIME_BYTES]) -> Hmac<Sha256> {
    let mac = Hmac::<Sha256>::new_from_slice(key);
    let mut mac = mac.expect("a key of any length will do");
    mac.update(REPOSITORY.as_bytes());
    mac.update(&seconds);
    mac
}

impl std::fmt::Debug for Instance {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut shown = formatter.debug_struct("Instance");
        shown.field("id", &self.id).finish_non_exhaustive()
    }
}

fn seconds(time: SystemTime) -> u32 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u32::try_from(since.as_secs()).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> SystemTime {
        UNIX_EPOCH + Duration::from_hours(500_000)
    }

    fn nonce(issued: &Issued) -> String {
        let nonce = issued.image.strip_prefix("archway-probe/").unwrap();
        nonce.strip_suffix(":1").unwrap().to_owned()
    }

    #[test]
    fn a_name_is_known_to_who_made_it_for_ten_minutes() {
        let instance = Instance::random().unwrap();
        let nonce = nonce(&instance.issue(now()));
        let at = |seconds: i64| match u64::try_from(seconds) {
            Ok(later) => instance.knows(&nonce, now() + Duration::from_secs(later)),
            Err(_) => instance.knows(&nonce, now() - Duration::from_secs(seconds.unsigned_abs())),
        };
        assert!(at(0) && at(600) && at(-60));
        assert!(!at(601) && !at(-61));
    }

    #[test]
    fn another_start_and_another_spelling_know_it_not() {
        let (instance, other) = (Instance::random().unwrap(), Instance::random().unwrap());
        let nonce = nonce(&instance.issue(now()));
        assert!(!other.knows(&nonce, now()));
        assert_ne!(instance.id(), other.id());
        for wrong in [
            nonce.to_uppercase(),
            nonce[1..].into(),
            nonce.clone() + "00",
            "x".into(),
            String::new(),
        ] {
            assert!(!instance.knows(&wrong, now()), "{wrong}");
        }
        for at in 0..nonce.len() {
            let mut bytes = nonce.clone().into_bytes();
            bytes[at] = if bytes[at] == b'0' { b'1' } else { b'0' };
            let changed = String::from_utf8(bytes).unwrap();
            assert!(!instance.knows(&changed, now()), "{changed}");
        }
    }

    #[test]
    fn who_shares_a_secret_knows_the_names_of_the_others_also_while_it_is_replaced() {
        let start = |secrets: &str| Instance::random().unwrap().sharing(secrets);
        let (old, both, new) = (start("one\n"), start(" two \n\none\n"), start("two"));
        let knows =
            |who: &Instance, maker: &Instance| who.knows(&nonce(&maker.issue(now())), now());
        assert!(knows(&both, &old) && knows(&both, &new) && knows(&new, &both));
        assert!(!knows(&old, &new) && !knows(&old, &both) && !knows(&start("\n"), &old));
        assert_ne!(both.id(), new.id());
    }

    #[test]
    fn the_key_is_not_shown() {
        let instance = Instance::random().unwrap();
        let shown = format!("{instance:?}");
        assert_eq!(shown, format!("Instance {{ id: {:?}, .. }}", instance.id()));
    }
}
