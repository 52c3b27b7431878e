//! Bundles at the site: from a file, parts or a pipe into the cache, and out of it again.
//!
//! An [`Import`] goes through four steps, and each can be the last. It is *judged* by its lock alone:
//! whose it is, what it needs, what it replaces, whether there is room. It *begins*: all that it lists
//! is pinned. Its blobs *arrive*, each hashed, and nobody can read them. It is *completed*: in one
//! transaction of the index everything becomes visible. A `kill -9` in between loses at most the
//! blobs of the last second; the same import, run again, skips what is there.
//!
//! A layout of another tool ([`ForeignError`]) gets a lock of what it holds and goes the same way.
//!
//! An export, at the side that has a line, is a [`Request`] that is planned over a [`Supply`].
//!
//! Owns these rules. Refuses the format of bundles (`bundle`), the directory (`cache`), command lines
//! and HTTP.

mod arrival;
mod attached;
mod brought;
mod bundle_id;
mod carry;
mod error;
mod export;
mod foreign;
mod import;
mod inbox;
mod judged;
mod keep;
mod open;
mod rename;
mod room;
mod rules;
mod source;
mod stored;
mod take;

pub use self::{
    attached::attached,
    brought::brought,
    bundle_id::{BundleId, BundleIdError},
    carry::carry,
    error::{ImportError, RenameError},
    export::{
        Cause, Chosen, Draft, ExportPlanError, Lacking, OnMissing, Part, PartKind, PullError,
        Request, Running, Supply, TargetError, fits,
    },
    foreign::ForeignError,
    import::{Import, Imported},
    inbox::{Inbox, InboxError, Outcome, Ready},
    keep::surplus,
    open::{OpenError, Opened, open, open_all},
    rename::NewPlace,
    rules::Rules,
    source::{ForeignLayout, Source},
    stored::Stored,
    take::{Mode, Step, TakeError, take},
};
