//! Who is no replica, as the log tells it: whoever reaches the listener can ask it without end.

use std::{collections::HashMap, net::SocketAddr, time::Instant};

use parking_lot::Mutex;
use protocol::{client_address::ClientAddress, told::Told};

/// Addresses that are told apart; those beyond count as one.
const MAX_ADDRESSES: usize = 64;

/// The strangers that were told of.
#[derive(Debug, Default)]
pub(crate) struct Strangers(Mutex<HashMap<Option<ClientAddress>, Told>>);

impl Strangers {
    /// How often `peer` was not told of since the last time, if it is to be told of now.
    pub(crate) fn due(&self, peer: SocketAddr) -> Option<u64> {
        self.due_at(peer.ip().into(), Instant::now())
    }

    fn due_at(&self, peer: ClientAddress, now: Instant) -> Option<u64> {
        let mut known = self.0.lock();
        let mut key = Some(peer);
        if !known.contains_key(&key) && known.len() >= MAX_ADDRESSES {
            known.retain(|_, told| told.is_fresh(now));
            if known.len() >= MAX_ADDRESSES {
                key = None;
            }
        }
        known.entry(key).or_default().due(now)
    }
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use protocol::told::EVERY;

    use super::*;

    fn address(number: u32) -> ClientAddress {
        IpAddr::from(Ipv4Addr::from_bits(0x0a00_0000 + number)).into()
    }

    #[test]
    fn each_address_is_told_of_once_in_a_while() {
        let (strangers, now) = (Strangers::default(), Instant::now());
        assert_eq!(strangers.due_at(address(1), now), Some(0));
        assert_eq!(strangers.due_at(address(2), now), Some(0));
        assert_eq!(strangers.due_at(address(1), now), None);
        assert_eq!(strangers.due_at(address(1), now + EVERY), Some(1));
    }

    #[test]
    fn a_flood_from_many_addresses_is_told_of_a_bounded_number_of_times() {
        let (strangers, now) = (Strangers::default(), Instant::now());
        let tell = |number, at| strangers.due_at(address(number), at).is_some();
        let count = (0..10_000).filter(|number| tell(*number, now)).count();
        assert_eq!(count, MAX_ADDRESSES + 1);
        assert!(tell(20_000, now + EVERY), "there is a place again");
    }
}
