//! Whether one call is made again after an answer that a second one may undo.
//!
//! Three kinds of answers: a store that throttles, which is asked again as long as a client can
//! wait; a status that says "ask again"; and a registry's server error while a client has nothing,
//! most of which are gone a moment later.

use std::time::Duration;

use http::StatusCode;

use super::backoff::Backoff;

/// The pause after a store's first 429 or 503, and the shortest; it doubles with each.
const FIRST_STORE_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_STORE_PAUSE: Duration = Duration::from_secs(3);

/// How often in a row a store may answer a range with 503 before the range is taken for the reason,
/// and the blob asked for without.
const MAX_RANGES_THROTTLED: u32 = 3;

/// The pause before a call is repeated for any other reason.
const REPEAT_PAUSE: Duration = Duration::from_millis(200);

/// An answer, as far as it decides about a repetition.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Answered {
    pub(crate) status: StatusCode,
    pub(crate) retry_after: Option<Duration>,
    /// A store gave it, and not the registry.
    pub(crate) is_of_store: bool,
}

/// The next step after an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// The answer stands.
    Judge,
    /// Ask again after this pause.
    Repeat(Duration),
    /// As [`Self::Repeat`], if the call may wait that long; else it is throttled.
    Throttled(Duration),
}

/// The repetitions of one call.
#[derive(Debug)]
pub(crate) struct Repeats {
    of_store: Backoff,
    /// The 503s of a store that are left before a range is taken for their reason; none for a
    /// request without a range.
    ranges_left: Option<u32>,
    is_repeated: bool,
    /// Whether a server error of the registry is worth a second question: a client has nothing, and
    /// no other endpoint is asked.
    hides_errors: bool,
}

impl Repeats {
    pub(crate) fn new(hides_errors: bool) -> Self {
        Self {
            ranges_left: None,
            of_store: Backoff::new(FIRST_STORE_PAUSE, LONGEST_STORE_PAUSE),
            is_repeated: false,
            hides_errors,
        }
    }

    /// The same for a request that names a range.
    pub(crate) fn of_range(self) -> Self {
        Self {
            ranges_left: Some(MAX_RANGES_THROTTLED),
            ..self
        }
    }

    /// Decides about an answer. A registry's 429 is left to its throttle.
    pub(crate) fn after(&mut self, answered: Answered) -> Step {
        let Answered {
            status,
            retry_after,
            is_of_store,
        } = answered;
        // S3 says 503 where others say 429.
        if is_of_store && matches!(status.as_u16(), 429 | 503) {
            if let (503, Some(left)) = (status.as_u16(), &mut self.ranges_left) {
                let Some(less) = left.checked_sub(1) else {
                    return Step::Judge;
                };
                *left = less;
            }
            let pause = self.of_store.pause();
            self.of_store.lengthen();
            return Step::Throttled(retry_after.map_or(pause, |wait| wait.max(FIRST_STORE_PAUSE)));
        }
        let asks_again = matches!(status.as_u16(), 408 | 421 | 425);
        let may_be_gone = self.hides_errors
            && !is_of_store
            && matches!(status.as_u16(), 500 | 502..=599)
            && retry_after.is_none_or(|wait| wait <= REPEAT_PAUSE);
        if self.is_repeated || !(asks_again || may_be_gone) {
            return Step::Judge;
        }
        self.is_repeated = true;
        Step::Repeat(REPEAT_PAUSE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(status: u16, is_of_store: bool) -> Answered {
        Answered {
            status: StatusCode::from_u16(status).unwrap(),
            retry_after: None,
            is_of_store,
        }
    }

    #[test]
    fn a_store_that_throttles_is_asked_again_ever_later() {
        let mut repeats = Repeats::new(false);
        for (status, millis) in [(503, 200), (429, 400), (503, 800), (503, 1600), (503, 3000)] {
            let pause = Duration::from_millis(millis);
            assert_eq!(
                repeats.after(answered(status, true)),
                Step::Throttled(pause)
            );
        }
        let wait = |seconds| Answered {
            retry_after: Some(Duration::from_secs(seconds)),
            ..answered(503, true)
        };
        let mut repeats = Repeats::new(false);
        let asked = Step::Throttled(Duration::from_secs(7));
        assert_eq!(repeats.after(wait(7)), asked);
        assert_eq!(repeats.after(wait(0)), Step::Throttled(FIRST_STORE_PAUSE));
    }

    #[test]
    fn a_range_that_a_store_answers_with_503_is_given_up_soon_and_with_429_is_not() {
        let mut repeats = Repeats::new(false).of_range();
        for _ in 0..MAX_RANGES_THROTTLED {
            let step = repeats.after(answered(503, true));
            assert!(matches!(step, Step::Throttled(_)), "{step:?}");
        }
        assert_eq!(repeats.after(answered(503, true)), Step::Judge);
        let step = repeats.after(answered(429, true));
        assert!(matches!(step, Step::Throttled(_)), "{step:?}");
    }

    #[test]
    fn what_says_ask_again_is_asked_again_once() {
        for status in [408, 421, 425] {
            let mut repeats = Repeats::new(false);
            let again = Step::Repeat(REPEAT_PAUSE);
            assert_eq!(repeats.after(answered(status, false)), again, "{status}");
            assert_eq!(repeats.after(answered(status, true)), Step::Judge);
        }
    }

    #[test]
    fn a_registrys_error_is_repeated_once_for_a_client_that_has_nothing_else() {
        for status in [500, 502, 503, 504, 520] {
            let mut repeats = Repeats::new(true);
            let again = Step::Repeat(REPEAT_PAUSE);
            assert_eq!(repeats.after(answered(status, false)), again, "{status}");
            assert_eq!(repeats.after(answered(status, false)), Step::Judge);
            let mut repeats = Repeats::new(false);
            assert_eq!(repeats.after(answered(status, false)), Step::Judge);
        }
        let mut repeats = Repeats::new(true);
        for status in [200, 400, 404, 429, 501] {
            assert_eq!(
                repeats.after(answered(status, false)),
                Step::Judge,
                "{status}"
            );
        }
        assert_eq!(repeats.after(answered(500, true)), Step::Judge, "a store's");
        let later = Answered {
            retry_after: Some(Duration::from_secs(30)),
            ..answered(503, false)
        };
        assert_eq!(
            repeats.after(later),
            Step::Judge,
            "it wants to be left alone"
        );
    }
}
