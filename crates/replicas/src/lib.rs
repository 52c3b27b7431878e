//! Many Archways as one: who is there, who of them brings what, and how they ask each other.
//!
//! There is no lock and no election. A digest's owner is found by rendezvous hashing over the members
//! that this replica sees, and so is the authority of a repository. Views may differ for a moment;
//! then something is downloaded twice, which is waste and never wrong, since bytes are judged by their
//! digest. A request between replicas is answered by who gets it, and never passed on, so it cannot
//! run in circles.
//!
//! `View` is the rule, without IO and without a clock; `watch` feeds it from a list or
//! from DNS, `PeerBlob` and `PeerManifests` ask others. Owns members, ownership and the client's side
//! of the peer protocol. Refuses the server's side (`proxy`) and what is stored (`pull`).

mod blob;
mod discovery;
mod error;
mod fleet;
mod front;
mod hello;
mod leash;
mod link;
mod manifest;
mod metrics;
mod pauses;
mod secret;
mod tls;
mod view;
mod watch;

pub use self::{
    blob::PeerBlob,
    error::PeerError,
    front::{MemberReport, Replicas, ReplicasReport},
    hello::{HELLO_PATH, Hello, PROTOCOL, ToldPause},
    leash::{LEASH, Leashes, ROW_LAG},
    link::{
        ARCHWAY_AGE, ARCHWAY_ASK, ARCHWAY_FROM, ARCHWAY_HELD, ARCHWAY_HOPS, ARCHWAY_INSISTS,
        ARCHWAY_LEAVING, Admitted,
    },
    manifest::{PeerAnswer, PeerManifest, PeerManifests},
    metrics::{PeerRequest, ReplicaMetrics},
    secret::Rejected,
    tls::PeerTlsError,
};
