//! The attacks, one per file, in the order of the table.

mod admin_port;
mod ahead;
mod eviction;
mod lists;
mod pages;
mod resets;
mod slow_blobs;
mod two_upstreams;
mod unread_bodies;
mod unread_past;
mod unread_streams;

use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::LocalBoxFuture;

use crate::place::Place;
use crate::table::Row;

/// An attack: its name on the command line, and what it does.
pub(crate) struct Attack {
    pub(crate) name: &'static str,
    pub(crate) run: fn(Arc<Place>) -> LocalBoxFuture<'static, Vec<Row>>,
}

/// All of them.
pub(crate) const ALL: &[Attack] = &[
    Attack {
        name: "unread-streams",
        run: |place| unread_streams::run(place).boxed_local(),
    },
    Attack {
        name: "unread-bodies",
        run: |place| unread_bodies::run(place).boxed_local(),
    },
    Attack {
        name: "slow-blobs",
        run: |place| slow_blobs::run(place).boxed_local(),
    },
    Attack {
        name: "unread-past",
        run: |place| unread_past::run(place).boxed_local(),
    },
    Attack {
        name: "resets",
        run: |place| resets::run(place).boxed_local(),
    },
    Attack {
        name: "lists",
        run: |place| lists::run(place).boxed_local(),
    },
    Attack {
        name: "eviction",
        run: |place| eviction::run(place).boxed_local(),
    },
    Attack {
        name: "ahead",
        run: |place| ahead::run(place).boxed_local(),
    },
    Attack {
        name: "admin-port",
        run: |place| admin_port::run(place).boxed_local(),
    },
    Attack {
        name: "pages",
        run: |place| pages::run(place).boxed_local(),
    },
    Attack {
        name: "two-upstreams",
        run: |place| two_upstreams::run(place).boxed_local(),
    },
];
