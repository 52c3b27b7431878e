//! Asking a second place when the first takes its time.

use std::{pin::pin, time::Duration};

use super::error::FetchError;

/// The answer of `first`; where it fails, or has none after `after`, that of `second` may count.
///
/// A good answer of either wins. "Not found" counts from the first alone, as it does without hedging, unless the first fails.
pub(super) async fn hedged<T>(
    after: Duration,
    first: impl Future<Output = Result<T, FetchError>>,
    second: impl Future<Output = Result<T, FetchError>>,
) -> Result<T, FetchError> {
    let (mut first, mut second) = (pin!(first), pin!(second));
    if let Ok(answer) = tokio::time::timeout(after, &mut first).await {
        return match answer {
            Err(error) if error.is_trouble() => second.await.map_err(|other| prefer(error, other)),
            answer => answer,
        };
    }
    tokio::select! {
        answer = &mut first => match answer {
            Err(error) if error.is_trouble() => second.await.map_err(|other| prefer(error, other)),
            answer => answer,
        },
        answer = &mut second => match answer {
            Ok(answer) => Ok(answer),
            Err(other) => first.await.map_err(|error| prefer(error, other)),
        },
    }
}

/// What both failures amount to: an answer of the second, else the trouble of the first.
fn prefer(first: FetchError, second: FetchError) -> FetchError {
    if first.is_trouble() && !second.is_trouble() {
        second
    } else {
        first
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use super::*;
    use crate::{Absent, Trouble};

    type Answer = Result<&'static str, FetchError>;

    const SOON: Duration = Duration::from_millis(1);
    const LATE: Duration = Duration::from_hours(1);

    /// An answer that is not there at once, but before `LATE`.
    async fn slow(answer: Answer) -> Answer {
        tokio::time::sleep(Duration::from_millis(50)).await;
        answer
    }

    fn absent() -> Answer {
        Err(FetchError::Absent {
            upstream: "registry.example".parse().unwrap(),
            what: Absent::Manifest,
            by_stand_in: false,
        })
    }

    fn trouble() -> Answer {
        Err(FetchError::Broken {
            upstream: "registry.example".parse().unwrap(),
            source: Trouble::Status(500),
        })
    }

    #[tokio::test]
    async fn a_quick_first_is_asked_alone() {
        let second = async { panic!("not asked") };
        let answer = hedged(LATE, ready(Ok("first")), second).await;
        assert_eq!(answer.unwrap(), "first");
    }

    #[tokio::test]
    async fn a_slow_first_is_overtaken() {
        let answer = hedged(SOON, pending(), ready(Ok("second"))).await;
        assert_eq!(answer.unwrap(), "second");
        let answer = hedged(SOON, slow(Ok("first")), pending()).await;
        assert_eq!(answer.unwrap(), "first");
    }

    #[tokio::test]
    async fn not_found_counts_from_the_first_unless_it_fails() {
        let answer = hedged(SOON, slow(Ok("first")), ready(absent())).await;
        assert_eq!(answer.unwrap(), "first");
        let answer = hedged(SOON, slow(trouble()), ready(absent())).await;
        assert!(!answer.unwrap_err().is_trouble());
        let answer = hedged(LATE, ready(absent()), ready(Ok("second"))).await;
        assert!(answer.is_err());
    }

    #[tokio::test]
    async fn a_first_that_fails_leaves_it_to_the_second() {
        let answer = hedged(LATE, ready(trouble()), ready(Ok("second"))).await;
        assert_eq!(answer.unwrap(), "second");
        let answer = hedged(SOON, slow(trouble()), slow(Ok("second"))).await;
        assert_eq!(answer.unwrap(), "second");
    }
}
