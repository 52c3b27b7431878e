//! Who is there, and who brings what: a value that changes with what is heard, and answers at once.
//!
//! Pure: no IO, and time is a number that comes with each call. So the simulator below can run years
//! of it. Ownership is rendezvous hashing: of all members that may own, the one with the highest
//! score for a key. When one goes, only its keys move.

#[cfg(test)]
mod simulation;

use std::{collections::BTreeMap, fmt, sync::Arc, time::Duration};

use sha2::{Digest, Sha256};

/// A newcomer owns nothing for so long: others have not seen it yet.
pub(crate) const MATURITY: Duration = Duration::from_secs(30);

/// Members whose ages differ by no more than this have begun together: then none is a newcomer.
const SAME_START: Duration = Duration::from_secs(10);

/// How long one that refused, or hung, is not asked.
pub(crate) const SKIP: Duration = Duration::from_secs(10);

/// How long one that says nothing counts as there.
pub(crate) const SILENCE: Duration = Duration::from_secs(15);

/// How long after a change of the members the owner of a key asks the next in rank whether it has it.
pub(crate) const SETTLING: Duration = Duration::from_mins(1);

/// How many others are asked before the upstream, at most. With two, a blob whose owner and next in rank had
/// both gone within the lag of a view came once for everybody who asked for it.
const MOST_ASKED: usize = 3;

/// A moment, counted from the start of this process.
pub(crate) type Moment = Duration;

/// A member by its address, as the list of members spells it. All replicas have the same list, so all
/// have the same names. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct MemberName(Arc<str>);

impl MemberName {
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&str> for MemberName {
    fn from(text: &str) -> Self {
        Self(text.into())
    }
}

impl fmt::Display for MemberName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// What a member has said of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Heard {
    pub(crate) age: Duration,
    /// When it said so.
    pub(crate) at: Moment,
    pub(crate) zone: Option<Arc<str>>,
    pub(crate) is_leaving: bool,
    /// Whether it speaks the protocol that this one speaks.
    pub(crate) is_understood: bool,
    /// Whether it is this replica itself.
    pub(crate) is_me: bool,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Member {
    pub(crate) heard: Option<Heard>,
    /// It is not asked before.
    pub(crate) skipped_until: Moment,
}

impl Member {
    pub(crate) fn age(&self, now: Moment) -> Option<Duration> {
        let heard = self.heard.as_ref()?;
        Some(heard.age + now.saturating_sub(heard.at))
    }

    /// Whether it may be asked to bring something.
    pub(crate) fn is_there(&self, now: Moment) -> bool {
        let is_leaving = self.heard.as_ref().is_some_and(|heard| heard.is_leaving);
        self.answers(now) && !is_leaving
    }

    /// Whether it may be asked for what it has.
    fn answers(&self, now: Moment) -> bool {
        let Some(heard) = self.heard.as_ref().filter(|heard| heard.is_understood) else {
            return false;
        };
        heard.is_me || (now.saturating_sub(heard.at) <= SILENCE && now >= self.skipped_until)
    }

    /// Whether it is this replica itself.
    fn is_me(&self) -> bool {
        self.heard.as_ref().is_some_and(|heard| heard.is_me)
    }

    pub(crate) fn zone(&self) -> Option<&str> {
        self.heard.as_ref()?.zone.as_deref()
    }

    /// How it is, for people. `owns` says whether any key is its own.
    pub(crate) fn state(&self, owns: bool, now: Moment) -> &'static str {
        match &self.heard {
            Some(heard) if !heard.is_understood => "other_protocol",
            Some(heard) if heard.is_leaving => "leaving",
            Some(_) if self.is_there(now) && owns => "ready",
            Some(_) if self.is_there(now) => "new",
            Some(_) if now < self.skipped_until => "skipped",
            None | Some(_) => "unheard",
        }
    }
}

/// Who brings what a key stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Ownership {
    /// This replica. After a change of the members it asks the one named whether that has it.
    Mine(Option<MemberName>),
    /// Others, in this order.
    Others(Vec<MemberName>),
}

/// The members as this replica sees them.
#[derive(Clone, Debug, Default)]
pub(crate) struct View {
    members: BTreeMap<MemberName, Member>,
    /// When the members that may own last changed.
    changed: Moment,
}

impl View {
    /// These are all members there are. An empty list is none: it is an outage of what made it.
    pub(crate) fn listed(&mut self, names: &[MemberName], now: Moment) {
        if names.is_empty() {
            return;
        }
        let before = self.members.len();
        self.members.retain(|name, _| names.contains(name));
        let mut is_other = self.members.len() != before;
        for name in names {
            is_other |= !self.members.contains_key(name);
            self.members.entry(name.clone()).or_default();
        }
        if is_other {
            self.changed = now;
        }
    }

    /// A member has said this of itself.
    pub(crate) fn heard(&mut self, name: &MemberName, heard: Heard, now: Moment) {
        let Some(member) = self.members.get_mut(name) else {
            return;
        };
        let was_there = member.is_there(now);
        member.heard = Some(heard);
        member.skipped_until = Duration::ZERO;
        if member.is_there(now) != was_there {
            self.changed = now;
        }
    }

    /// A member has refused, or said nothing in time.
    pub(crate) fn failed(&mut self, name: &MemberName, now: Moment) {
        if let Some(member) = self.members.get_mut(name) {
            if member.is_there(now) {
                self.changed = now;
            }
            member.skipped_until = now + SKIP;
        }
    }

    pub(crate) fn members(&self) -> impl Iterator<Item = (&MemberName, &Member)> {
        self.members.iter()
    }

    /// This replica's own name, once it has found itself in the list.
    pub(crate) fn me(&self) -> Option<&MemberName> {
        self.own().next()
    }

    /// Whether a request to the replica of this name is for this one. As long as it has not found itself
    /// in the list, it may have any name.
    pub(crate) fn is_called(&self, name: &str) -> bool {
        self.me().is_none() || self.own().any(|own| own.as_str() == name)
    }

    /// The names of this replica itself: one, unless the list has several addresses of it.
    fn own(&self) -> impl Iterator<Item = &MemberName> {
        let own = self.members.iter().filter(|(_, member)| member.is_me());
        own.map(|(name, _)| name)
    }

    fn is_own(&self, name: &MemberName) -> bool {
        self.members.get(name).is_some_and(Member::is_me)
    }

    /// Another member that is there, by its name.
    pub(crate) fn other(&self, name: &str, now: Moment) -> Option<MemberName> {
        let mut others = self.others(now).into_iter();
        others.find(|other| other.as_str() == name)
    }

    /// All that are there but this replica itself.
    pub(crate) fn others(&self, now: Moment) -> Vec<MemberName> {
        let is_other = |at: &Member| at.is_there(now) && !at.is_me();
        let others = self.members.iter().filter(|(_, at)| is_other(at));
        others.map(|(name, _)| name.clone()).collect()
    }

    /// Who may own, the owner of `key` first.
    pub(crate) fn ranking(&self, key: &str, now: Moment) -> Vec<&MemberName> {
        let there = || self.members.iter().filter(|(_, at)| at.is_there(now));
        let oldest = there().filter_map(|(_, member)| member.age(now)).max();
        let oldest = oldest.unwrap_or_default();
        let is_grown = |member: &Member| {
            let age = member.age(now).unwrap_or_default();
            age >= MATURITY || oldest.saturating_sub(age) <= SAME_START
        };
        let grown = there().filter(|(_, member)| is_grown(member));
        let mut ranked: Vec<_> = grown.map(|(name, _)| (score(key, name), name)).collect();
        ranked.sort_unstable();
        ranked.into_iter().rev().map(|(_, name)| name).collect()
    }

    /// A member that would be the owner of a key but for its age, or its end, and may have what it stands
    /// for: one that has come back with its disk, or brings it still.
    pub(crate) fn almost_owner(&self, key: &str, now: Moment) -> Option<MemberName> {
        let owner = self.ranking(key, now).first().map(|name| score(key, name));
        let members = self.members.iter().filter(|(_, at)| at.answers(now));
        let scored = members.map(|(name, _)| (score(key, name), name));
        let best = scored.max_by_key(|(score, _)| *score);
        let (_, name) = best.filter(|(best, _)| owner.is_none_or(|owner| *best > owner))?;
        (!self.is_own(name)).then(|| name.clone())
    }

    /// Who brings what `key` stands for.
    pub(crate) fn owner(&self, key: &str, now: Moment) -> Ownership {
        let ranking = self.ranking(key, now);
        if ranking.first().is_some_and(|name| self.is_own(name)) {
            let is_settling = self.changed > Duration::ZERO && now < self.changed + SETTLING;
            let next = ranking.iter().find(|name| !self.is_own(name));
            let next = next.filter(|_| is_settling);
            return Ownership::Mine(next.map(|name| (*name).clone()));
        }
        let before = ranking.into_iter().take_while(|name| !self.is_own(name));
        let before: Vec<_> = before.take(MOST_ASKED).cloned().collect();
        if before.is_empty() {
            return Ownership::Mine(None);
        }
        Ownership::Others(before)
    }
}

/// How much a member is the one for a key.
fn score(key: &str, name: &MemberName) -> u64 {
    let mut hash = Sha256::new();
    hash.update(key);
    hash.update([0_u8]);
    hash.update(name.as_str());
    let hash = hash.finalize();
    let mut first = [0; 8];
    first.copy_from_slice(&hash[..8]);
    u64::from_be_bytes(first)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_hours(1);

    fn name(number: usize) -> MemberName {
        format!("10.0.0.{number}:5002").as_str().into()
    }

    fn said(age: Duration, is_me: bool) -> Heard {
        Heard {
            age,
            at: HOUR,
            zone: None,
            is_leaving: false,
            is_understood: true,
            is_me,
        }
    }

    /// Members of these ages in seconds, as the one numbered `me` sees them an hour after its start.
    fn view(ages: &[u64], me: usize) -> View {
        let names: Vec<_> = (0..ages.len()).map(name).collect();
        let mut view = View::default();
        view.listed(&names, Duration::ZERO);
        for (number, age) in ages.iter().enumerate() {
            let heard = said(Duration::from_secs(*age), number == me);
            view.heard(&names[number], heard, HOUR);
        }
        view
    }

    /// The owners of some keys, as `view` ranks.
    fn owners(view: &View) -> Vec<MemberName> {
        let owner = |key: usize| view.ranking(&format!("sha256:{key}"), HOUR)[0].clone();
        (0..300).map(owner).collect()
    }

    #[test]
    fn when_one_goes_only_its_keys_move() {
        let mut view = view(&[100, 100, 100, 100], 0);
        let before = owners(&view);
        view.failed(&name(3), HOUR);
        for (was, is) in std::iter::zip(before, owners(&view)) {
            assert!(was == is || was == name(3));
        }
    }

    #[test]
    fn keys_are_spread_over_all_members() {
        let owners = owners(&view(&[100, 100, 100], 0));
        for number in 0..3 {
            let own = owners.iter().filter(|owner| **owner == name(number));
            assert!((70..130).contains(&own.count()));
        }
    }

    #[test]
    fn a_newcomer_owns_nothing_unless_all_are_new() {
        assert!(!owners(&view(&[100, 20], 0)).contains(&name(1)));
        assert!(owners(&view(&[100, 31], 0)).contains(&name(1)));
        assert!(owners(&view(&[9, 0], 0)).contains(&name(1)));
    }

    #[test]
    fn who_is_alone_or_not_listed_yet_brings_all_by_itself() {
        assert_eq!(View::default().owner("key", HOUR), Ownership::Mine(None));
        let alone = view(&[0], 0);
        assert_eq!(
            alone.owner("key", 2 * HOUR),
            Ownership::Mine(None),
            "however long nothing was heard of oneself"
        );
    }

    #[test]
    fn one_that_refused_is_skipped_for_a_while_and_the_next_is_asked() {
        let mut view = view(&[100, 100, 100], 0);
        let key = (0..).map(|number| format!("key{number}"));
        let others = |view: &View, key: &str, now| match view.owner(key, now) {
            Ownership::Others(others) => others,
            Ownership::Mine(_) => Vec::new(),
        };
        let mut keys = key.filter(|key| others(&view, key, HOUR).len() == 2);
        let key = keys.next().unwrap();
        drop(keys);
        let before = others(&view, &key, HOUR);
        view.failed(&before[0], HOUR);
        assert_eq!(others(&view, &key, HOUR), before[1..]);
        assert_eq!(others(&view, &key, HOUR + SKIP), before);
        let silent = HOUR + SILENCE + Duration::from_secs(1);
        assert_eq!(others(&view, &key, silent), [], "nobody was heard since");
    }

    #[test]
    fn who_leaves_or_speaks_another_protocol_owns_nothing() {
        for (is_leaving, is_understood) in [(true, true), (false, false)] {
            let mut view = view(&[100, 100], 0);
            let heard = Heard {
                is_leaving,
                is_understood,
                ..said(HOUR, false)
            };
            view.heard(&name(1), heard, HOUR);
            assert!(!owners(&view).contains(&name(1)));
        }
    }

    #[test]
    fn one_that_is_new_or_leaves_may_still_have_what_it_would_own() {
        let mut view = view(&[100, 100], 0);
        let key = |number: usize| format!("sha256:{number}");
        let its = (0..1000)
            .map(key)
            .find(|key| view.ranking(key, HOUR)[0] == &name(1));
        let its = its.expect("there are more");
        assert_eq!(view.almost_owner(&its, HOUR), None);
        let heard = Heard {
            is_leaving: true,
            ..said(HOUR, false)
        };
        view.heard(&name(1), heard, HOUR);
        assert_eq!(view.owner(&its, HOUR), Ownership::Mine(None));
        assert_eq!(view.almost_owner(&its, HOUR), Some(name(1)));
        view.failed(&name(1), HOUR);
        assert_eq!(view.almost_owner(&its, HOUR), None);
    }

    #[test]
    fn who_has_found_itself_answers_to_its_own_name_alone() {
        let view = view(&[100, 100], 1);
        assert!(view.is_called(name(1).as_str()));
        assert!(!view.is_called(name(0).as_str()));
        assert!(View::default().is_called(name(0).as_str()));
    }

    #[test]
    fn one_that_is_listed_under_two_names_never_asks_itself() {
        let mut view = view(&[100, 100, 100], 0);
        view.heard(&name(1), said(Duration::from_secs(100), true), HOUR);
        for number in 0..300 {
            let asked: Vec<_> = match view.owner(&format!("sha256:{number}"), HOUR) {
                Ownership::Mine(next) => next.into_iter().collect(),
                Ownership::Others(others) => others,
            };
            assert!(asked.iter().all(|other| *other == name(2)), "{asked:?}");
        }
        assert_eq!(view.others(HOUR), [name(2)]);
    }

    #[test]
    fn an_empty_list_is_an_outage_of_the_list() {
        let mut view = view(&[100, 100], 0);
        view.listed(&[], HOUR);
        assert_eq!(view.members().count(), 2);
    }
}
