//! Hedging: asking a second endpoint while the first is slow.

use std::{pin::pin, time::Duration};

use crate::error::FetchError;

/// The answer of `first`, or of `second` if `first` fails or takes longer than `after`.
///
/// The first good answer wins. "Not found" counts from `second` only if `first` fails, as it does
/// without hedging.
pub(crate) async fn hedged<T>(
    after: Duration,
    first: impl Future<Output = Result<T, FetchError>>,
    second: impl Future<Output = Result<T, FetchError>>,
) -> Result<T, FetchError> {
    let (mut first, mut second) = (pin!(first), pin!(second));
    if let Ok(answer) = tokio::time::timeout(after, &mut first).await {
        return match answer {
            Err(error) if error.allows_failover() => {
                second.await.map_err(|other| prefer(error, other))
            }
            answer => answer,
        };
    }
    tokio::select! {
        answer = &mut first => match answer {
            Err(error) if error.allows_failover() => second.await.map_err(|other| prefer(error, other)),
            answer => answer,
        },
        answer = &mut second => match answer {
            Ok(answer) => Ok(answer),
            Err(other) => first.await.map_err(|error| prefer(error, other)),
        },
    }
}

/// The error to report of two: a "not found" of the second, else the failure of the first.
fn prefer(first: FetchError, second: FetchError) -> FetchError {
    if first.allows_failover() && !second.allows_failover() {
        second
    } else {
        first
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use super::*;
    use crate::error::{Cause, Resource};

    type Answer = Result<&'static str, FetchError>;

    const SOON: Duration = Duration::from_millis(1);
    const LATE: Duration = Duration::from_hours(1);

    /// An answer between `SOON` and `LATE`.
    async fn slow(answer: Answer) -> Answer {
        tokio::time::sleep(Duration::from_millis(50)).await;
        answer
    }

    fn not_found() -> Answer {
        Err(FetchError::NotFound {
            upstream: "registry.example".parse().unwrap(),
            what: Resource::Manifest,
            from_fallback: false,
        })
    }

    fn failure() -> Answer {
        Err(FetchError::Broken {
            upstream: "registry.example".parse().unwrap(),
            source: Cause::Status(500),
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
        let answer = hedged(SOON, slow(Ok("first")), ready(not_found())).await;
        assert_eq!(answer.unwrap(), "first");
        let answer = hedged(SOON, slow(failure()), ready(not_found())).await;
        assert!(!answer.unwrap_err().allows_failover());
        let answer = hedged(LATE, ready(not_found()), ready(Ok("second"))).await;
        assert!(answer.is_err());
    }

    #[tokio::test]
    async fn if_the_first_fails_the_second_decides() {
        let answer = hedged(LATE, ready(failure()), ready(Ok("second"))).await;
        assert_eq!(answer.unwrap(), "second");
        let answer = hedged(SOON, slow(failure()), slow(Ok("second"))).await;
        assert_eq!(answer.unwrap(), "second");
    }
}
