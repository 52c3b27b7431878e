//! [`Replicas`], the front: this replica among the others.

use std::{convert::Infallible, iter, net::SocketAddr, sync::Arc};

use config::ReplicasConfig;
use http::{HeaderMap, Method, StatusCode};
use manifest_model::{Digest, RepoName};
use protocol::host::Host;
use rustls::ServerConfig;
use serde::{Deserialize, Serialize};

use crate::{
    blob::{PeerBlob, Rank},
    fleet::Fleet,
    hello::{Hello, ToldPause},
    link::{Admitted, Link, Wanted},
    manifest::PeerManifests,
    metrics::ReplicaMetrics,
    secret::Rejected,
    tls::{self, PeerTlsError},
    view::Ownership,
    watch::watch,
};

/// This replica among the others. Cheap to clone; all clones are the same one.
#[derive(Clone, Debug)]
pub struct Replicas {
    fleet: Arc<Fleet>,
    config: Arc<ReplicasConfig>,
}

/// The replicas as one of them sees them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ReplicasReport {
    /// The address of this one, as the others know it; none until it has found itself in the list.
    pub me: Option<String>,
    /// How they are found.
    pub discover: String,
    /// All of them, this one too, by address.
    pub members: Vec<MemberReport>,
    /// The digests of what this one downloads now.
    pub fills: Vec<Digest>,
}

/// One replica as another sees it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MemberReport {
    /// Its address.
    pub address: String,
    /// `ready`, `new` (it owns nothing yet), `leaving`, `unheard`, `skipped` or `other_protocol`.
    pub state: String,
    /// How long it has been running.
    pub age_seconds: Option<u64>,
    /// The zone it is in.
    pub zone: Option<String>,
    /// The part of all digests that it owns, in percent.
    pub owns_percent: f64,
}

/// How many keys are looked at to say what a member owns.
const SAMPLES: u32 = 1000;

impl Replicas {
    /// Reads the secret or the certificates. Nobody is asked before [`Self::watch`] runs. `instance`
    /// tells this start of Archway from every other.
    pub fn new(
        config: &ReplicasConfig,
        instance: String,
        metrics: ReplicaMetrics,
    ) -> Result<Self, PeerTlsError> {
        let fleet = Fleet::new(Link::new(config)?, metrics, instance, config.zone.clone());
        Ok(Self {
            fleet: Arc::new(fleet),
            config: Arc::new(config.clone()),
        })
    }

    /// Follows who is there, for ever.
    pub async fn watch(self) -> Infallible {
        watch(&self.fleet, &self.config).await
    }

    /// Where this replica listens for the others.
    pub fn listen(&self) -> SocketAddr {
        self.config.listen
    }

    /// TLS of that listener, if the configuration has certificates. Reads their files.
    pub fn server_tls(&self) -> Result<Option<ServerConfig>, PeerTlsError> {
        self.config.tls.as_ref().map(tls::server).transpose()
    }

    /// The replicas to ask for a blob before its upstream: its owner and the next in rank, before them
    /// one that may have it. None if this one is the owner, but for a while after a change of the
    /// members, in which the one that was before it may have the blob.
    pub fn blob_sources(
        &self,
        upstream: &Host,
        repository: &RepoName,
        digest: &Digest,
    ) -> Vec<PeerBlob> {
        let key = digest.to_string();
        let almost = self.fleet.view(|view, now| view.almost_owner(&key, now));
        let mut asked: Vec<_> = almost
            .map(|member| (member, Rank::Has))
            .into_iter()
            .collect();
        match self.fleet.owner(&key) {
            Ownership::Mine(next) => asked.extend(next.map(|member| (member, Rank::Has))),
            Ownership::Others(members) => {
                let ranks = iter::once(Rank::Owner).chain(iter::repeat(Rank::Next));
                asked.extend(members.into_iter().zip(ranks));
            }
        }
        let blob = |(member, rank)| {
            let place = (upstream, repository);
            PeerBlob::new(&self.fleet, member, rank, place, digest)
        };
        asked.into_iter().map(blob).collect()
    }

    /// The replicas that know the names of a repository; `None` if this one is its authority.
    pub fn authority(&self, upstream: &Host, repository: &RepoName) -> Option<PeerManifests> {
        match self.fleet.owner(&format!("{upstream}/{repository}")) {
            Ownership::Mine(_) => None,
            Ownership::Others(members) => {
                let fleet = &self.fleet;
                let wanted = Wanted::Brought;
                let peers = PeerManifests::new(fleet, members, wanted, upstream, repository);
                Some(peers)
            }
        }
    }

    /// All other replicas that are there, to be asked for what they hold of a repository.
    pub fn anyone(&self, upstream: &Host, repository: &RepoName) -> PeerManifests {
        let members = self.fleet.view(|view, now| view.others(now));
        PeerManifests::new(&self.fleet, members, Wanted::Held, upstream, repository)
    }

    /// How many replicas bring something: the rates of upstreams are divided among them.
    pub fn owners(&self) -> u32 {
        let owners = self.fleet.view(|view, now| view.ranking("", now).len());
        u32::try_from(owners).unwrap_or(u32::MAX).max(1)
    }

    /// These are the pauses that upstreams have asked of this replica: the others hear of them.
    pub fn tell_pauses(&self, pauses: Vec<ToldPause>) {
        self.fleet.pauses.tell(pauses);
    }

    /// The pauses that others were asked for, as heard since the last call.
    pub fn heard_pauses(&self) -> Vec<ToldPause> {
        self.fleet.pauses.take_heard()
    }

    /// What this replica says of itself.
    pub fn hello(&self) -> Hello {
        self.fleet.hello()
    }

    /// Whether a request to the listener for replicas comes from one, and is for this one. `target` is its
    /// path and query. Leaves only those `headers` that its proof is for.
    pub fn admit(
        &self,
        method: &Method,
        target: &str,
        headers: &mut HeaderMap,
    ) -> Result<Admitted, Rejected> {
        let fleet = &self.fleet;
        let is_called = |name: &str| fleet.view(|view, _| view.is_called(name));
        fleet.link.admit((method, target), headers, is_called)
    }

    /// Adds to the head of an answer the proof of it. Later changes to it would be refused.
    pub fn prove(&self, request: &Admitted, status: StatusCode, headers: &mut HeaderMap) {
        self.fleet.link.prove(request, status, headers);
    }

    /// From now on it takes nothing new, and says so.
    pub fn leave(&self) {
        self.fleet.leave();
    }

    /// Whether it takes nothing new.
    pub fn is_leaving(&self) -> bool {
        self.fleet.is_leaving()
    }

    /// What is counted.
    pub fn metrics(&self) -> &ReplicaMetrics {
        &self.fleet.metrics
    }

    /// Who is there, as this replica sees it, which downloads `fills` now.
    pub fn report(&self, fills: Vec<Digest>) -> ReplicasReport {
        // A copy: so many hashes take longer than others may wait for the view.
        let (view, now) = self.fleet.view(|view, now| (view.clone(), now));
        let owners: Vec<_> = (0..SAMPLES)
            .filter_map(|number| {
                let ranking = view.ranking(&format!("sample {number}"), now);
                ranking.first().map(|name| (*name).clone())
            })
            .collect();
        let members = view.members().map(|(name, member)| {
            let own = owners.iter().filter(|owner| *owner == name).count();
            let own = u32::try_from(own).unwrap_or(SAMPLES);
            MemberReport {
                address: name.to_string(),
                state: member.state(own > 0, now).to_owned(),
                age_seconds: member.age(now).map(|age| age.as_secs()),
                zone: member.zone().map(str::to_owned),
                owns_percent: f64::from(own) * 100.0 / f64::from(SAMPLES),
            }
        });
        ReplicasReport {
            me: view.me().map(ToString::to_string),
            discover: self.config.discover.to_string(),
            members: members.collect(),
            fills,
        }
    }
}
