//! The measures, one per file, in the order of the report.

mod cold;
mod cuts;
mod fill;
mod herd;
mod http2;
mod kill;
mod least;
mod ranges;
mod replay;
mod scale;
mod slow;
mod small;
mod start;
mod tls;
mod warm;

use crate::place::Place;
use crate::table::Table;

/// A measure: its name on the command line, what it does, and how.
pub(crate) struct Measure {
    pub(crate) name: &'static str,
    pub(crate) about: &'static str,
    pub(crate) run: fn(&Place) -> anyhow::Result<Vec<Table>>,
}

/// All of them.
pub(crate) const ALL: &[Measure] = &[
    Measure {
        name: "warm",
        about: "stored blobs over plain HTTP",
        run: warm::run,
    },
    Measure {
        name: "tls",
        about: "stored blobs over TLS 1.3",
        run: tls::run,
    },
    Measure {
        name: "http2",
        about: "blobs and small answers over TLS 1.3 and HTTP/2",
        run: http2::run,
    },
    Measure {
        name: "small",
        about: "manifests and small blobs over plain HTTP",
        run: small::run,
    },
    Measure {
        name: "replay",
        about: "the same with and without the replay of answers, plain and TLS",
        run: replay::run,
    },
    Measure {
        name: "cold",
        about: "a blob that is not stored, from a far origin",
        run: cold::run,
    },
    Measure {
        name: "herd",
        about: "32 clients at once on a blob that is not stored",
        run: herd::run,
    },
    Measure {
        name: "fill",
        about: "what a download costs, from an origin without limits",
        run: fill::run,
    },
    Measure {
        name: "slow",
        about: "1,000 clients at 100 KB/s each",
        run: slow::run,
    },
    Measure {
        name: "cuts",
        about: "an origin that breaks off five times",
        run: cuts::run,
    },
    Measure {
        name: "kill",
        about: "our own kill -9 during a download",
        run: kill::run,
    },
    Measure {
        name: "ranges",
        about: "four open-ended ranges of a blob that is not stored",
        run: ranges::run,
    },
    Measure {
        name: "scale",
        about: "a cache with a million blobs",
        run: scale::run,
    },
    Measure {
        name: "start",
        about: "from the start of the program to its first answer",
        run: start::run,
    },
];
