use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::FutureExt;

use super::*;
use login::LoginError;

const HOUR: Duration = Duration::from_hours(1);

/// Errors are the same if they look the same in full: those of the transport cannot be compared.
impl PartialEq for TokenError {
    fn eq(&self, other: &Self) -> bool {
        format!("{self:?}") == format!("{other:?}")
    }
}

fn header(text: &'static str) -> HeaderValue {
    HeaderValue::from_static(text)
}

fn token(text: &'static str, life: Duration) -> Token {
    Token::new(header(text), life)
}

fn failure() -> TokenError {
    LoginError::Unsendable.into()
}

async fn slot_with(text: &'static str, life: Duration) -> TokenSlot {
    let slot = TokenSlot::default();
    slot.renew(None, async { Ok(token(text, life)) })
        .await
        .unwrap();
    slot
}

#[test]
fn a_token_is_renewed_around_half_of_its_life() {
    let mut moments = Vec::new();
    for _ in 0..200 {
        let token = Token::new(header("a"), HOUR);
        let left = token.expires.duration_since(token.renew).as_secs_f64() / HOUR.as_secs_f64();
        assert!((0.44..0.56).contains(&left), "{left}");
        moments.push(token.expires - token.renew);
    }
    moments.dedup();
    assert!(moments.len() > 100, "they do not all renew together");
}

#[tokio::test]
async fn a_token_that_is_due_is_sent_while_one_caller_renews_it() {
    let slot = slot_with("old", HOUR).await;
    slot.state().token.as_mut().unwrap().renew = Instant::now();
    let TokenState::Due(sent, permit) = slot.check() else {
        panic!("it is due")
    };
    assert_eq!(sent, header("old"));
    let meanwhile = slot.check();
    assert!(matches!(meanwhile, TokenState::Good(sent) if sent == header("old")));
    slot.fetch(permit, async { Ok(token("new", HOUR)) })
        .await
        .unwrap();
    assert!(matches!(slot.check(), TokenState::Good(sent) if sent == header("new")));
}

#[tokio::test]
async fn a_token_is_kept_while_its_renewal_fails() {
    let slot = slot_with("old", HOUR).await;
    slot.state().token.as_mut().unwrap().renew = Instant::now();
    let TokenState::Due(_, permit) = slot.check() else {
        panic!("it is due")
    };
    let failed = slot.fetch(permit, async { Err(failure()) }).await;
    assert_eq!(failed, Err(failure()));
    assert!(matches!(slot.check(), TokenState::Good(sent) if sent == header("old")));
}

#[tokio::test]
async fn a_refused_token_is_renewed_once_and_not_in_a_loop() {
    let slot = slot_with("first", HOUR).await;
    let (first, second) = (header("first"), header("second"));
    let renewed = slot.force(Some(&first), async { Ok(token("second", HOUR)) });
    assert_eq!(renewed.await, Ok(Some(second.clone())));
    // A caller that was refused with the first token gets the second without a request.
    let late = slot.force(Some(&first), async { panic!("asked again") });
    assert_eq!(late.await, Ok(Some(second.clone())));
    let looped = slot.force(Some(&second), async { panic!("asked again") });
    assert_eq!(looped.await, Ok(None));
}

#[tokio::test]
async fn callers_that_wait_for_a_renewal_share_its_result() {
    for outcome in [Ok(token("new", HOUR)), Err(failure())] {
        let slot = TokenSlot::default();
        let asked = AtomicUsize::new(0);
        let renew = || {
            slot.renew(None, async {
                asked.fetch_add(1, Ordering::Relaxed);
                tokio::task::yield_now().await;
                outcome.clone()
            })
        };
        let (one, two, three) = tokio::join!(renew(), renew(), renew());
        assert_eq!(asked.load(Ordering::Relaxed), 1);
        assert_eq!(one, outcome.map(|token| token.header));
        assert_eq!((&one, &one), (&two, &three));
    }
}

#[tokio::test]
async fn without_a_token_a_failure_is_repeated_for_a_moment() {
    let slot = TokenSlot::default();
    let _ = slot.renew(None, async { Err(failure()) }).await;
    assert!(matches!(slot.check(), TokenState::Failed(error) if error == failure()));
    slot.state().failure.as_mut().unwrap().0 -= FAILURE_LIFETIME;
    assert!(matches!(slot.check(), TokenState::Expired(None)));
}

#[tokio::test]
async fn an_expired_token_is_renewed_before_it_is_sent() {
    let slot = slot_with("old", Duration::ZERO).await;
    assert!(matches!(slot.check(), TokenState::Expired(Some(old)) if old == header("old")));
}

#[tokio::test]
async fn a_forced_renewal_that_failed_can_be_forced_again() {
    let slot = slot_with("old", HOUR).await;
    let old = header("old");
    let failed = slot.force(Some(&old), async { Err(failure()) });
    assert_eq!(failed.await, Err(failure()));
    let repeated = slot.force(Some(&old), async { panic!("asked again") });
    assert_eq!(repeated.await, Err(failure()));
    slot.state().failure.as_mut().unwrap().0 -= FAILURE_LIFETIME;
    let given_up = slot.force(Some(&old), std::future::pending());
    assert_eq!(given_up.now_or_never(), None);
    let renewed = slot.force(Some(&old), async { Ok(token("new", HOUR)) });
    assert_eq!(renewed.await, Ok(Some(header("new"))));
}

#[tokio::test]
async fn a_failure_is_repeated_no_longer_than_the_pause_it_asks_for() {
    let slot = TokenSlot::default();
    let pause = TokenError::Throttled(Duration::from_secs(1));
    let _ = slot.renew(None, async { Err(pause.clone()) }).await;
    assert!(matches!(slot.check(), TokenState::Failed(error) if error == pause));
    slot.state().failure.as_mut().unwrap().0 -= Duration::from_secs(1);
    assert!(matches!(slot.check(), TokenState::Expired(None)));
}
