//! Who of those that wait gets a slot, and who gives one up: pure, without time and tasks.
//!
//! A free slot goes to whoever waits. Shares only order those who wait: first comes who is within
//! both shares, half of the slots for an upstream and a quarter for a client. So a share binds while
//! others wait, and a single client has all slots. Where none is free, a holder whom nobody follows
//! is recalled for each client that waits, those of the upstream and client with the most first.
//!
//! So many may wait for each slot. Beyond that one is refused, of whoever has the most that wait: a
//! flood of one client's does not keep another from waiting.

use std::{
    collections::{BTreeMap, HashMap},
    hash::Hash,
};

use protocol::{client_address::ClientAddress, host::Host};

/// Who an upstream is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Asker {
    /// A client.
    Client(ClientAddress),
    /// Another replica at this address, for its clients: it has no share of a single client.
    Replica(ClientAddress),
    /// No client yet: work ahead of one. It comes last, and no one is recalled for it.
    Ahead,
}

/// What a slot is counted for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// Who is asked.
    pub upstream: Host,
    /// Who asks.
    pub asker: Asker,
}

/// The number of one who waits for a slot, and later of its slot.
pub(super) type Ticket = u64;

/// What a change leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Move {
    /// The waiting one has a slot now.
    Granted(Ticket),
    /// The holder is to give its slot up, unless somebody follows it by now.
    Recalled(Ticket),
    /// The waiting one gets none: too many wait.
    Refused(Ticket),
}

/// How many may wait for each slot, and for all slots where those are few.
const WAITING_PER_SLOT: usize = 8;
const FEWEST_WAITING: usize = 256;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Hold {
    /// Somebody follows it.
    Kept,
    /// Nobody does.
    Offered,
    /// It was told to give the slot up.
    Recalled,
}

/// All slots of one kind, and all who wait for one.
#[derive(Debug)]
pub(super) struct Shares {
    capacity: usize,
    next: Ticket,
    held: BTreeMap<Ticket, (Claim, Hold)>,
    waiting: BTreeMap<Ticket, Claim>,
}

impl Shares {
    pub(super) fn new(capacity: usize) -> Self {
        Self {
            capacity: capacity.max(1),
            next: 0,
            held: BTreeMap::new(),
            waiting: BTreeMap::new(),
        }
    }

    pub(super) fn held(&self) -> usize {
        self.held.len()
    }

    pub(super) fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// One more waits for a slot.
    pub(super) fn ask(&mut self, claim: Claim) -> (Ticket, Vec<Move>) {
        let ticket = self.next;
        self.next += 1;
        self.waiting.insert(ticket, claim);
        let mut moves = self.settle();
        moves.extend(self.refuse_one());
        (ticket, moves)
    }

    /// Refuses one if too many wait: the youngest of those with the most.
    fn refuse_one(&mut self) -> Option<Move> {
        let most = (self.capacity * WAITING_PER_SLOT).max(FEWEST_WAITING);
        if self.waiting.len() <= most {
            return None;
        }
        let askers = count(self.waiting.values().map(|claim| claim.asker));
        let rank = |(ticket, claim): &(&Ticket, &Claim)| {
            (claim.asker == Asker::Ahead, askers[&claim.asker], **ticket)
        };
        let (ticket, _) = self.waiting.iter().max_by_key(rank)?;
        let ticket = *ticket;
        self.waiting.remove(&ticket);
        Some(Move::Refused(ticket))
    }

    /// One waits no more, or gives its slot back.
    pub(super) fn leave(&mut self, ticket: Ticket) -> Vec<Move> {
        self.waiting.remove(&ticket);
        self.held.remove(&ticket);
        self.settle()
    }

    /// Whether a holder has no followers. Said by a recalled one, it keeps its slot.
    pub(super) fn offer(&mut self, ticket: Ticket, is_unfollowed: bool) -> Vec<Move> {
        if let Some((_, hold)) = self.held.get_mut(&ticket) {
            *hold = match (*hold, is_unfollowed) {
                (Hold::Recalled, true) => Hold::Recalled,
                (_, true) => Hold::Offered,
                (_, false) => Hold::Kept,
            };
        }
        self.settle()
    }

    /// A holder works for another one now.
    pub(super) fn recount(&mut self, ticket: Ticket, claim: Claim) -> Vec<Move> {
        if let Some((held, _)) = self.held.get_mut(&ticket) {
            *held = claim;
        }
        self.settle()
    }

    fn settle(&mut self) -> Vec<Move> {
        let mut moves = Vec::new();
        while self.held.len() < self.capacity
            && let Some(ticket) = self.first()
            && let Some(claim) = self.waiting.remove(&ticket)
        {
            self.held.insert(ticket, (claim, Hold::Kept));
            moves.push(Move::Granted(ticket));
        }
        let clients = self.waiting.values();
        let clients = clients.filter(|claim| claim.asker != Asker::Ahead).count();
        let is_recalled = |(_, hold): &&(Claim, Hold)| *hold == Hold::Recalled;
        let recalled = self.held.values().filter(is_recalled).count();
        for _ in recalled..clients {
            let Some(ticket) = self.victim() else { break };
            if let Some((_, hold)) = self.held.get_mut(&ticket) {
                *hold = Hold::Recalled;
            }
            moves.push(Move::Recalled(ticket));
        }
        moves
    }

    /// The next to get a slot: who exceeds the fewest shares, then who came first.
    fn first(&self) -> Option<Ticket> {
        let (upstreams, askers) = self.counts();
        let rank = |(ticket, claim): &(&Ticket, &Claim)| {
            let of_upstream = upstreams.get(&claim.upstream).copied().unwrap_or(0);
            let of_asker = askers.get(&claim.asker).copied().unwrap_or(0);
            let is_client = !matches!(claim.asker, Asker::Replica(_));
            let exceeded = u8::from(of_upstream >= self.upstream_share())
                + u8::from(is_client && of_asker >= self.client_share());
            (claim.asker == Asker::Ahead, exceeded, **ticket)
        };
        let first = self.waiting.iter().min_by_key(rank);
        first.map(|(ticket, _)| *ticket)
    }

    /// The next to be recalled, of those without followers.
    fn victim(&self) -> Option<Ticket> {
        let (upstreams, askers) = self.counts();
        let offered = self.held.iter();
        let offered = offered.filter(|(_, (_, hold))| *hold == Hold::Offered);
        let rank = |(ticket, (claim, _)): &(&Ticket, &(Claim, Hold))| {
            let most = upstreams[&claim.upstream].max(askers[&claim.asker]);
            (claim.asker == Asker::Ahead, most, **ticket)
        };
        offered.max_by_key(rank).map(|(ticket, _)| *ticket)
    }

    fn upstream_share(&self) -> usize {
        (self.capacity / 2).max(1)
    }

    fn client_share(&self) -> usize {
        (self.capacity / 4).max(1)
    }

    /// How many slots each upstream and each asker holds, without those about to be given up.
    fn counts(&self) -> (HashMap<&Host, usize>, HashMap<Asker, usize>) {
        let held = || {
            let staying = self.held.values();
            staying.filter(|(_, hold)| *hold != Hold::Recalled)
        };
        let upstreams = count(held().map(|(claim, _)| &claim.upstream));
        let askers = count(held().map(|(claim, _)| claim.asker));
        (upstreams, askers)
    }
}

fn count<K: Eq + Hash>(keys: impl Iterator<Item = K>) -> HashMap<K, usize> {
    let mut counts = HashMap::new();
    for key in keys {
        *counts.entry(key).or_default() += 1;
    }
    counts
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use proptest::prelude::*;

    use super::*;

    fn claim(upstream: u8, client: u8) -> Claim {
        let address = IpAddr::from(Ipv4Addr::new(192, 0, 2, client));
        Claim {
            upstream: format!("r{upstream}.test").parse().unwrap(),
            asker: if client == 0 {
                Asker::Ahead
            } else {
                Asker::Client(address.into())
            },
        }
    }

    /// Asks so often, and returns the tickets.
    fn ask(shares: &mut Shares, upstream: u8, client: u8, times: usize) -> Vec<Ticket> {
        let ask = |_| shares.ask(claim(upstream, client)).0;
        (0..times).map(ask).collect()
    }

    #[test]
    fn a_single_client_has_all_slots_while_nobody_else_waits() {
        let mut shares = Shares::new(8);
        ask(&mut shares, 1, 1, 8);
        assert_eq!((shares.held(), shares.waiting()), (8, 0));
    }

    #[test]
    fn a_freed_slot_goes_to_who_is_within_its_shares_and_else_to_who_came_first() {
        let mut shares = Shares::new(8);
        let held = ask(&mut shares, 1, 1, 8);
        let greedy = ask(&mut shares, 1, 1, 2);
        let other_client = ask(&mut shares, 1, 2, 1)[0];
        let other = ask(&mut shares, 2, 3, 1)[0];
        let granted: Vec<_> = (0..4).flat_map(|at| shares.leave(held[at])).collect();
        let expected = [other, other_client, greedy[0], greedy[1]].map(Move::Granted);
        assert_eq!(granted, expected);
    }

    #[test]
    fn for_each_client_that_waits_one_holder_without_followers_is_recalled() {
        let mut shares = Shares::new(4);
        let slow = ask(&mut shares, 1, 1, 3);
        let fast = ask(&mut shares, 2, 2, 1)[0];
        for ticket in slow.iter().chain([&fast]) {
            assert_eq!(shares.offer(*ticket, true), []);
        }
        let (waiting, moves) = shares.ask(claim(3, 3));
        assert_eq!(moves, [Move::Recalled(slow[2])], "of those with the most");
        // Somebody has followed it meanwhile: the next one goes.
        let moves = shares.offer(slow[2], false);
        assert_eq!(moves, [Move::Recalled(slow[1])]);
        assert_eq!(shares.leave(slow[1]), [Move::Granted(waiting)]);
        assert_eq!(shares.ask(claim(3, 0)).1, [], "not for work ahead");
    }

    #[test]
    fn where_too_many_wait_one_is_refused_of_whoever_has_the_most() {
        let mut shares = Shares::new(1);
        let held = ask(&mut shares, 1, 1, 1)[0];
        let honest = ask(&mut shares, 1, 2, 2);
        let flood = ask(&mut shares, 1, 3, FEWEST_WAITING - 2);
        let (last, moves) = shares.ask(claim(1, 3));
        assert_eq!(moves, [Move::Refused(last)]);
        let (other, moves) = shares.ask(claim(1, 4));
        assert_eq!(moves, [Move::Refused(*flood.last().unwrap())]);
        assert_eq!(shares.waiting(), FEWEST_WAITING);
        for waiting in honest.iter().chain([&other]) {
            assert!(shares.waiting.contains_key(waiting));
        }
        assert_eq!(shares.leave(held), [Move::Granted(honest[0])]);
    }

    #[test]
    fn a_holder_that_works_for_another_upstream_counts_there() {
        for (moves, next) in [(false, 0), (true, 1)] {
            let mut shares = Shares::new(4);
            let held = [(1, 1), (1, 2), (2, 3), (2, 4)].map(|(upstream, client)| {
                let (ticket, _) = shares.ask(claim(upstream, client));
                ticket
            });
            let waiting = [(2, 5), (1, 6)].map(|(upstream, client)| {
                let (ticket, _) = shares.ask(claim(upstream, client));
                ticket
            });
            if moves {
                shares.recount(held[0], claim(2, 1));
            }
            assert_eq!(shares.leave(held[3]), [Move::Granted(waiting[next])]);
        }
    }

    #[derive(Clone, Copy, Debug)]
    enum Step {
        Ask(u8, u8),
        Leave(usize),
        Offer(usize, bool),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            (0..3_u8, 0..5_u8).prop_map(|(upstream, client)| Step::Ask(upstream, client)),
            any::<usize>().prop_map(Step::Leave),
            (any::<usize>(), any::<bool>()).prop_map(|(at, to)| Step::Offer(at, to)),
        ]
    }

    proptest! {
        #[test]
        fn slots_are_never_too_many_nor_idle_and_no_one_is_passed_over(
            capacity in 1..9_usize,
            steps in prop::collection::vec(step(), 1..120),
        ) {
            let mut shares = Shares::new(capacity);
            let mut known: Vec<Ticket> = Vec::new();
            for step in steps {
                let before: Vec<_> = shares.waiting.keys().copied().collect();
                let moves = match step {
                    Step::Ask(upstream, client) => {
                        let (ticket, moves) = shares.ask(claim(upstream, client));
                        known.push(ticket);
                        moves
                    }
                    Step::Leave(at) if !known.is_empty() => {
                        let ticket = known.remove(at % known.len());
                        shares.leave(ticket)
                    }
                    Step::Offer(at, to) if !known.is_empty() => {
                        shares.offer(known[at % known.len()], to)
                    }
                    _ => Vec::new(),
                };
                prop_assert!(shares.held() <= capacity);
                prop_assert!(shares.held() == capacity || shares.waiting() == 0);
                for step in &moves {
                    match step {
                        Move::Granted(ticket) => {
                            prop_assert!(shares.held.contains_key(ticket));
                            // Nobody with the same claim who came before still waits.
                            let claim = &shares.held[ticket].0;
                            let older = before.iter().filter(|older| *older < ticket);
                            for older in older {
                                prop_assert!(shares.waiting.get(older) != Some(claim));
                            }
                        }
                        Move::Recalled(ticket) => {
                            prop_assert!(shares.held[ticket].1 == Hold::Recalled);
                        }
                        Move::Refused(_) => prop_assert!(false, "few wait here"),
                    }
                }
                // Whoever gives way does so for a client that waits.
                let clients = shares.waiting.values();
                let clients = clients.filter(|claim| claim.asker != Asker::Ahead).count();
                let offered = shares.held.values().any(|(_, hold)| *hold == Hold::Offered);
                let recalled = shares.held.values();
                let recalled = recalled.filter(|(_, hold)| *hold == Hold::Recalled).count();
                prop_assert!(recalled >= clients || !offered);
            }
        }
    }
}
