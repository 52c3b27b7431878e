//! What an export asks of the Archway that runs on its directory. The command reads the files itself.

use std::convert::Infallible;

use bytes::Bytes;
use futures_util::{Stream, StreamExt as _, stream};
use manifest_model::Digest;
use serde::{Deserialize, Serialize};

use crate::Control;

/// The longest list of digests that are held: those of 200,000 blobs.
pub(crate) const MAX_HELD: usize = 16 << 20;

/// Asks for the number of the next bundle.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NextInSeries {
    /// The series.
    pub series: String,
    /// The least number.
    pub least: u64,
}

/// A body that keeps the blobs from eviction as long as its reader is there and the process does not
/// end. Its first line comes when none of them is on its way any more.
pub(crate) fn held(
    control: &Control,
    digests: Vec<Digest>,
) -> impl Stream<Item = Result<Bytes, Infallible>> + use<> {
    let cache = control.pull.cache().clone();
    let hold = cache.hold(digests.clone());
    let (stop, ending) = (control.stop.clone(), control.stop.clone());
    let first = stream::once(async move {
        let settled = cache.settled(&digests);
        ending.run_until_cancelled(settled).await;
        Bytes::from_static(b"held\n")
    });
    let rest = stream::once(async move {
        stop.cancelled().await;
        drop(hold);
        Bytes::new()
    });
    first.chain(rest).map(Ok)
}
