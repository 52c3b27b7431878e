//! Real clients against Archway in front of the stand-in for Amazon ECR.
//!
//! Every test has its own Archway, with an empty cache, its own door to the stand-in (a
//! [`gate::Gate`], so that "ECR is stopped" harms no other test) and its own [`cell::Cell`] for the
//! client and its daemons. What they pull and what is demanded of each pull is the same for all and
//! stands in [`matrix`].
//!
//! They need root and the programs of `tests/tools/install.sh clients`.

mod air_gap;
mod archway;
mod cell;
mod containerd;
mod copiers;
mod crane_registry;
mod dockerd;
mod dockerd_29;
mod failures;
mod gate;
mod images;
mod layout;
mod loads;
mod many;
mod matrix;
mod odd_upstreams;
mod outage;
mod podman;
mod real_bucket;
mod rotation;
mod setup;
mod signatures;
mod site;
mod skopeo;
mod standin;
mod stock;
mod table;
mod tls;
mod tools;
