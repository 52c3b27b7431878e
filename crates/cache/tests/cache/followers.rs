//! One fill for everyone, readable while it grows, never to its end before the digest has matched.

use std::{io, pin::pin, sync::Arc};

use cache::{FillError, HOLD_BACK, Joined, ReadBy, ReadError};
use futures_util::{FutureExt, StreamExt};

use crate::support::{WAYS, body, cache, collect, digest, follow, lead, names, store, write};

const LONG: usize = 3 * 1024 * 1024;

#[tokio::test]
async fn of_many_callers_one_leads_and_all_read_the_same_bytes() {
    let (cache, _folder) = cache();
    let bytes = body(LONG);
    let digest = digest(&bytes);
    let (mut fill, first) = lead(&cache, &digest);
    let readers: Vec<_> = (0..20)
        .map(|_| follow(&cache, &digest))
        .chain([first])
        .collect();
    let readers = readers
        .into_iter()
        .zip(WAYS.into_iter().cycle())
        .map(|(follower, by)| tokio::spawn(collect(follower.read(0, None, by))));
    let readers: Vec<_> = readers.collect();
    fill.start(Some(LONG as u64)).await.unwrap();
    for at in (0..LONG).step_by(100_000) {
        write(&fill, at, &bytes.slice(at..LONG.min(at + 100_000))).await;
    }
    fill.commit().await.unwrap();
    for reader in readers {
        assert!(reader.await.unwrap().unwrap() == bytes);
    }
    assert!(
        matches!(cache.join(&digest).unwrap(), Joined::Stored(blob) if blob.size() == LONG as u64)
    );
}

#[tokio::test]
async fn a_follower_reads_what_is_there_while_the_rest_is_missing() {
    let (cache, _folder) = cache();
    let bytes = body(LONG);
    let (mut fill, follower) = lead(&cache, &digest(&bytes));
    fill.start(Some(LONG as u64)).await.unwrap();
    write(&fill, 0, &bytes.slice(..LONG / 2)).await;
    let mut stream = follower.read(0, None, ReadBy::Map);
    let mut read = Vec::new();
    while read.len() < LONG / 2 {
        read.extend_from_slice(&stream.next().await.unwrap().unwrap());
    }
    assert!(read == bytes[..read.len()]);
    write(&fill, LONG / 2, &bytes.slice(LONG / 2..)).await;
    fill.commit().await.unwrap();
    let rest = collect(stream).await.unwrap();
    assert!(rest == bytes[read.len()..]);
}

/// A request may come after the digest has matched and before the fill has left the map. Its blob is
/// as whole as a stored one.
#[tokio::test]
async fn a_follower_has_the_blob_as_soon_as_the_digest_has_matched() {
    let (cache, _folder) = cache();
    let bytes = body(LONG);
    let (mut fill, mut follower) = lead(&cache, &digest(&bytes));
    fill.start(Some(LONG as u64)).await.unwrap();
    write(&fill, 0, &bytes).await;
    follower.size().await.unwrap();
    assert!(follower.blob().is_none(), "its last bytes are hidden");
    let (stored, blob) = tokio::join!(fill.commit(), async {
        follower.complete().await.unwrap();
        assert_eq!(cache.peek_size(&digest(&bytes)).unwrap(), Some(LONG as u64));
        let whole = cache.peek_bytes(&digest(&bytes), LONG as u64).unwrap();
        assert!(whole.as_ref() == Some(&bytes));
        let too_large = cache.peek_bytes(&digest(&bytes), LONG as u64 - 1);
        assert_eq!(too_large.unwrap(), None);
        follower.blob().unwrap()
    });
    stored.unwrap();
    let end = blob.size();
    assert!(collect(blob.read(0..end, ReadBy::Map)).await.unwrap() == bytes);
}

#[tokio::test]
async fn bytes_before_a_pause_are_shown_though_no_more_come() {
    let (cache, _folder) = cache();
    let bytes = body(LONG);
    let (mut fill, follower) = lead(&cache, &digest(&bytes));
    fill.start(Some(LONG as u64)).await.unwrap();
    let mut stream = follower.read(0, None, ReadBy::Copy);
    for (round, at) in (0..LONG / 2).step_by(LONG / 8).enumerate() {
        for at in (at..at + LONG / 8).step_by(1000) {
            let end = (at + 1000).min((round + 1) * LONG / 8);
            write(&fill, at, &bytes.slice(at..end)).await;
        }
        let mut position = round * LONG / 8;
        while position < (round + 1) * LONG / 8 {
            let piece = stream.next().await.unwrap().unwrap();
            assert!(piece == bytes[position..position + piece.len()]);
            position += piece.len();
        }
    }
}

#[tokio::test]
async fn a_late_follower_starts_where_it_wants() {
    let (cache, _folder) = cache();
    let bytes = body(LONG);
    let digest = digest(&bytes);
    let (mut fill, _) = lead(&cache, &digest);
    fill.start(Some(LONG as u64)).await.unwrap();
    write(&fill, 0, &bytes.slice(..LONG / 2)).await;
    let early = tokio::spawn(collect(follow(&cache, &digest).read(
        1000,
        Some(2000),
        ReadBy::Map,
    )));
    assert!(early.await.unwrap().unwrap() == bytes[1000..2000]);
    let late = tokio::spawn(collect(follow(&cache, &digest).read(
        LONG as u64 - 10,
        None,
        ReadBy::Map,
    )));
    write(&fill, LONG / 2, &bytes.slice(LONG / 2..)).await;
    fill.commit().await.unwrap();
    assert!(late.await.unwrap().unwrap() == bytes[LONG - 10..]);
}

#[tokio::test]
async fn nobody_reads_the_end_before_the_digest_has_matched() {
    let (cache, _folder) = cache();
    let bytes = body(LONG);
    for announced in [Some(LONG as u64), None] {
        let (mut fill, follower) = lead(&cache, &digest(b"something else"));
        fill.start(announced).await.unwrap();
        let reader = tokio::spawn(async move {
            let mut stream = follower.read(0, announced, ReadBy::Map);
            let mut read = 0;
            while let Some(Ok(piece)) = stream.next().await {
                read += piece.len();
            }
            read
        });
        write(&fill, 0, &bytes).await;
        let error = fill.commit().await.unwrap_err();
        assert!(matches!(*error, FillError::Corrupt { .. }), "{error}");
        let read = reader.await.unwrap();
        assert!(
            read as u64 <= LONG as u64 - HOLD_BACK,
            "{read} bytes of a corrupt body were seen"
        );
    }
}

#[tokio::test]
async fn a_corrupt_body_is_not_stored_and_the_next_try_starts_anew() {
    let (cache, folder) = cache();
    let bytes = body(1000);
    let digest = digest(&bytes);
    let (mut fill, follower) = lead(&cache, &digest);
    fill.start(Some(1000)).await.unwrap();
    let mut flipped = bytes.to_vec();
    flipped[500] ^= 1;
    write(&fill, 0, &flipped.into()).await;
    fill.commit().await.unwrap_err();
    assert!(matches!(
        collect(follower.read(0, None, ReadBy::Map)).await,
        Err(ReadError::Fill(_))
    ));
    assert!(names(&folder, "blobs/sha256").is_empty() && names(&folder, "ingest").is_empty());
    assert_eq!(store(&cache, &bytes).await, digest);
}

#[tokio::test]
async fn a_body_of_another_length_than_announced_is_no_blob() {
    let (cache, _folder) = cache();
    let bytes = body(1000);
    for announced in [999, 1001] {
        let (mut fill, _) = lead(&cache, &digest(&bytes));
        fill.start(Some(announced)).await.unwrap();
        write(&fill, 0, &bytes).await;
        let error = fill.commit().await.unwrap_err();
        assert!(matches!(*error, FillError::Length { .. }), "{error}");
    }
}

#[tokio::test]
async fn a_dropped_writer_fails_its_followers() {
    let (cache, folder) = cache();
    let (mut fill, follower) = lead(&cache, &digest(b"x"));
    fill.start(Some(LONG as u64)).await.unwrap();
    write(&fill, 0, &body(LONG / 2)).await;
    drop(fill);
    let error = collect(follower.read(0, None, ReadBy::Map))
        .await
        .unwrap_err();
    assert!(
        matches!(error, ReadError::Fill(error) if matches!(*error, FillError::Abandoned { .. }))
    );
    assert!(names(&folder, "blobs/sha256").is_empty());
}

#[tokio::test]
async fn a_failed_source_tells_its_followers_why() {
    let (cache, _folder) = cache();
    let (fill, mut follower) = lead(&cache, &digest(b"x"));
    fill.fail(Arc::new(io::Error::other("no such blob"))).await;
    let error = follower.size().await.unwrap_err();
    let FillError::Source { source, .. } = &*error else {
        panic!("{error}")
    };
    assert_eq!(
        source.downcast_ref::<io::Error>().unwrap().to_string(),
        "no such blob"
    );
}

#[tokio::test]
async fn a_fill_does_not_need_its_followers() {
    let (cache, _folder) = cache();
    let bytes = body(LONG);
    let digest = digest(&bytes);
    let (mut fill, follower) = lead(&cache, &digest);
    drop(follower);
    fill.start(None).await.unwrap();
    write(&fill, 0, &bytes).await;
    fill.commit().await.unwrap();
    let blob = cache.stored(&digest).unwrap().unwrap();
    assert!(
        collect(blob.read(0..LONG as u64, ReadBy::Map))
            .await
            .unwrap()
            == bytes
    );
}

#[tokio::test]
async fn an_empty_blob_is_a_blob() {
    let (cache, _folder) = cache();
    let digest = digest(b"");
    let (mut fill, follower) = lead(&cache, &digest);
    fill.start(Some(0)).await.unwrap();
    fill.commit().await.unwrap();
    assert_eq!(
        collect(follower.read(0, None, ReadBy::Map)).await.unwrap(),
        b""
    );
    assert_eq!(cache.stored(&digest).unwrap().unwrap().size(), 0);
}

#[tokio::test]
async fn a_fill_knows_how_many_follow_it() {
    let (cache, _folder) = cache();
    let (fill, first) = lead(&cache, &digest(b"x"));
    let second = follow(&cache, &digest(b"x"));
    let audience = fill.audience();
    assert_eq!(audience.count(), 2);
    let stream = second.read(0, None, ReadBy::Copy);
    drop(first);
    assert_eq!(audience.count(), 1, "a body follows too");
    drop(stream);
    assert_eq!(audience.count(), 0);
}

#[tokio::test]
async fn bytes_may_come_in_any_order_and_are_read_where_they_are() {
    let (cache, _folder) = cache();
    let bytes = body(LONG);
    let digest = digest(&bytes);
    let (mut fill, _) = lead(&cache, &digest);
    fill.start(Some(LONG as u64)).await.unwrap();
    write(&fill, LONG / 3, &bytes.slice(LONG / 3..LONG / 2)).await;
    for by in WAYS {
        let middle = follow(&cache, &digest).read(1_100_000, Some(1_200_000), by);
        assert!(collect(middle).await.unwrap() == bytes[1_100_000..1_200_000]);
    }
    let whole = tokio::spawn(collect(follow(&cache, &digest).read(0, None, ReadBy::Map)));
    write(&fill, LONG / 2, &bytes.slice(LONG / 2..)).await;
    write(&fill, 0, &bytes.slice(..LONG / 3)).await;
    fill.commit().await.unwrap();
    assert!(whole.await.unwrap().unwrap() == bytes);
}

#[tokio::test]
async fn a_reader_far_ahead_demands_its_bytes_for_as_long_as_it_waits() {
    let (cache, _folder) = cache();
    let size = 64 * 1024 * 1024;
    let bytes = body(1024 * 1024);
    let digest = digest(&bytes);
    let (mut fill, near) = lead(&cache, &digest);
    fill.start(Some(size)).await.unwrap();
    let demands = fill.read_demands();
    let far_at = 32 * 1024 * 1024;
    let mut near = near.read(0, None, ReadBy::Map);
    let mut far = follow(&cache, &digest).read(far_at, None, ReadBy::Map);
    assert!(near.next().now_or_never().is_none());
    assert!(far.next().now_or_never().is_none());
    demands.changed().await;
    assert_eq!(demands.positions(), [far_at]);
    write(&fill, usize::try_from(far_at).unwrap(), &bytes).await;
    assert!(far.next().await.unwrap().unwrap() == bytes);
    assert_eq!(demands.positions(), [] as [u64; 0]);
}

/// A body ends before its file has its name.
#[tokio::test]
async fn who_waits_for_what_is_on_its_way_finds_it_stored_or_given_up() {
    let (cache, _folder) = cache();
    let (came, lost) = (body(LONG), body(LONG / 2));
    let (mut fill, _) = lead(&cache, &digest(&came));
    let (given_up, _) = lead(&cache, &digest(&lost));
    let digests = [digest(&came), digest(&lost), digest(b"nobody asks for it")];
    let mut settled = pin!(cache.settled(&digests));
    assert!(settled.as_mut().now_or_never().is_none());
    fill.start(Some(LONG as u64)).await.unwrap();
    write(&fill, 0, &came).await;
    fill.commit().await.unwrap();
    assert!(
        settled.as_mut().now_or_never().is_none(),
        "one of them may still come"
    );
    drop(given_up);
    settled.await;
    assert!(cache.stored(&digests[0]).unwrap().is_some());
    assert!(cache.stored(&digests[1]).unwrap().is_none());
}
