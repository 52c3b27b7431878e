//! What an export asks of the Archway that runs on its directory. The command reads the files itself.

use std::{convert::Infallible, time::Duration};

use bytes::Bytes;
use futures_util::{Stream, StreamExt as _, stream};
use manifest_model::Digest;
use serde::{Deserialize, Serialize};
use tokio::time::timeout;

use crate::Control;

/// The longest list of digests that are held: those of 200,000 blobs.
pub(crate) const MAX_HELD: usize = 16 << 20;

/// How long the first line waits. A blob whose body has ended has its name after one more sync; one that
/// others still download may take as long as their upstream likes.
const SETTLE_TIMEOUT: Duration = Duration::from_mins(1);

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
/// end. Its first line comes when none of them is on its way any more, or after [`SETTLE_TIMEOUT`].
pub(crate) fn held(
    control: &Control,
    digests: Vec<Digest>,
) -> impl Stream<Item = Result<Bytes, Infallible>> + use<> {
    let cache = control.pull.cache().clone();
    let hold = cache.hold(digests.clone());
    let (stop, ending) = (control.stop.clone(), control.stop.clone());
    let first = stream::once(async move {
        let settled = cache.settled(&digests);
        // Who asked looks at the files, and says of which there is none.
        let _ = timeout(SETTLE_TIMEOUT, ending.run_until_cancelled(settled)).await;
        Bytes::from_static(b"held\n")
    });
    let rest = stream::once(async move {
        stop.cancelled().await;
        drop(hold);
        Bytes::new()
    });
    first.chain(rest).map(Ok)
}
