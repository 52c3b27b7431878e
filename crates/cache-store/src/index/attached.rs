//! What is attached to a stored manifest, its subject: the stored manifests that name it, and what
//! an upstream last said to a question about it.
//!
//! Which manifest names which subject is a function of the files, for all repositories together;
//! the links say who may see it. What an upstream said is of one repository. Answers stay as long
//! as their subject, or 30 days where that is not stored.

use std::{
    ops::Bound::{Excluded, Unbounded},
    sync::Arc,
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use manifest_model::{Digest, Manifest};
use redb::{Durability, ReadableTable, TableDefinition, WriteTransaction};

use super::{
    keys::{DigestKey, decode_link, digest_length, from_ms, now_ms, pair_key, to_ms, two_digests},
    rows::{BLOBS, STEP_SIZE},
    store::{Outcome, Store},
};
use crate::RepoKey;

/// subject, referrer -> nothing
pub(super) const SUBJECTS: TableDefinition<'_, &[u8], ()> = TableDefinition::new("subjects");

/// repository, a NUL, subject, question -> (when it was answered in ms, the answer; empty: there
/// is none)
pub(super) const ANSWERS: TableDefinition<'_, &[u8], (u64, &[u8])> =
    TableDefinition::new("answers");

/// The most questions with an answer for each subject.
const MAX_QUESTIONS: usize = 16;

/// The most bytes of an answer, and of a question.
const MAX_ANSWER: usize = 64 * 1024;
const MAX_QUESTION: usize = 256;

/// The most referrers of one subject that are looked at.
const MAX_REFERRERS: usize = 1000;

/// How long an answer stays whose subject is not stored itself, but named by an index that is.
const UNSTORED_SUBJECT_TTL: Duration = Duration::from_hours(30 * 24);

/// What an upstream last said to a question about a subject.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptAnswer {
    /// The answer; `None` if there is no such thing.
    pub body: Option<Bytes>,
    /// When it was given.
    pub at: SystemTime,
}

/// An answer with its place, as the snapshot copies it.
#[derive(Clone, Debug)]
pub(super) struct AnswerRow {
    pub(super) key: Vec<u8>,
    pub(super) answer: KeptAnswer,
}

/// The tables of subjects and answers.
#[derive(Debug)]
pub struct Attached {
    store: Arc<Store>,
}

impl Attached {
    pub(super) fn new(store: &Arc<Store>) -> Self {
        Self {
            store: Arc::clone(store),
        }
    }

    /// The stored manifests that name `subject`, of those that `is_ours`.
    pub fn referrers(
        &self,
        subject: &Digest,
        is_ours: impl Fn(&Digest) -> bool,
    ) -> Outcome<Vec<Digest>> {
        let table = self.store.begin_read()?.open_table(SUBJECTS)?;
        let prefix = DigestKey::of(subject);
        let mut referrers = Vec::new();
        for row in table.range::<&[u8]>(prefix.as_slice()..)? {
            let row = row?;
            let Some(referrer) = row.0.value().strip_prefix(prefix.as_slice()) else {
                break;
            };
            referrers.extend(super::keys::decode_digest(referrer).filter(&is_ours));
            if referrers.len() >= MAX_REFERRERS {
                break;
            }
        }
        Ok(referrers)
    }

    /// What was last said to `question`.
    pub fn answer(
        &self,
        repo: &RepoKey,
        subject: &Digest,
        question: &str,
    ) -> Outcome<Option<KeptAnswer>> {
        let table = self.store.begin_read()?.open_table(ANSWERS)?;
        let key = answer_key(repo, subject, question);
        let row = table.get(key.as_slice())?;
        Ok(row.map(|row| decode_answer(row.value())))
    }

    /// Keeps an answer; `None` where there is no such thing. A new one is durable when this
    /// returns; that an old one still holds, a crash may lose. What is too large is not kept, and the
    /// newest question takes the place of the oldest.
    pub fn keep(
        &self,
        repo: &RepoKey,
        subject: &Digest,
        question: &str,
        body: Option<&[u8]>,
    ) -> Outcome<()> {
        let body = body.unwrap_or_default();
        if body.len() > MAX_ANSWER || question.len() > MAX_QUESTION {
            return Ok(());
        }
        let prefix = pair_key(repo.as_str(), subject);
        let key = answer_key(repo, subject, question);
        let (mut is_same, mut questions, mut oldest) = (None, 0, None);
        let table = self.store.begin_read()?.open_table(ANSWERS)?;
        for row in table.range::<&[u8]>(prefix.as_slice()..)? {
            let (found, said) = row?;
            if !found.value().starts_with(&prefix) {
                break;
            }
            questions += 1;
            let at = said.value().0;
            if oldest.as_ref().is_none_or(|(then, _)| at < *then) {
                oldest = Some((at, found.value().to_vec()));
            }
            if found.value() == key {
                is_same = Some(said.value().1 == body);
            }
        }
        let durability = match is_same {
            None | Some(false) => Durability::Immediate,
            Some(true) => Durability::None,
        };
        // A client can invent questions: the newest stay.
        let is_full = is_same.is_none() && questions >= MAX_QUESTIONS;
        let oldest = oldest.filter(|_| is_full);
        self.store.write_copied(durability, |transaction| {
            let mut table = transaction.open_table(ANSWERS)?;
            if let Some((_, oldest)) = &oldest {
                table.remove(oldest.as_slice())?;
            }
            table.insert(key.as_slice(), (now_ms(), body))?;
            Ok(())
        })
    }

    /// Up to `limit` answers behind the key `after`.
    pub(super) fn page(&self, after: Option<&[u8]>, limit: usize) -> Outcome<Vec<AnswerRow>> {
        let table = self.store.begin_read()?.open_table(ANSWERS)?;
        let from = after.map_or(Unbounded, Excluded);
        let mut rows = Vec::new();
        for row in table.range::<&[u8]>((from, Unbounded))?.take(limit) {
            let (key, said) = row?;
            rows.push(AnswerRow {
                key: key.value().to_vec(),
                answer: decode_answer(said.value()),
            });
        }
        Ok(rows)
    }

    /// Removes subjects and answers that lead to no stored blob, as long as `goes_on`.
    pub fn sweep(&self, goes_on: impl Fn() -> bool) -> Outcome<()> {
        let oldest = to_ms(SystemTime::now() - UNSTORED_SUBJECT_TTL);
        self.sweep_table(SUBJECTS, &goes_on, |key, ()| {
            digest_length(key).map(|length| &key[length..])
        })?;
        self.sweep_table(ANSWERS, &goes_on, |key, (at, _)| {
            let subject = split_answer(key).map(|(_, subject, _)| subject);
            // Still young, it is kept for the blob that it is about in any case.
            if at >= oldest { None } else { subject }
        })
    }

    /// Removes the rows of a table whose blob, by `blob_of`, is not stored. A row for which it
    /// gives nothing stays.
    fn sweep_table<V: redb::Value + 'static>(
        &self,
        table: TableDefinition<'static, &'static [u8], V>,
        goes_on: impl Fn() -> bool,
        blob_of: impl for<'a> Fn(&'a [u8], V::SelfType<'_>) -> Option<&'a [u8]>,
    ) -> Outcome<()> {
        let mut after = Vec::new();
        while goes_on() {
            let (mut stale, mut reached) = (Vec::new(), None);
            let transaction = self.store.begin_read()?;
            let rows = transaction.open_table(table)?;
            let blobs = transaction.open_table(BLOBS)?;
            let range = rows.range::<&[u8]>((Excluded(after.as_slice()), Unbounded))?;
            for row in range.take(STEP_SIZE) {
                let (key, value) = row?;
                let key = key.value();
                if let Some(blob) = blob_of(key, value.value())
                    && blobs.get(blob)?.is_none()
                {
                    stale.push(key.to_vec());
                }
                reached = Some(key.to_vec());
            }
            let Some(reached) = reached else {
                return Ok(());
            };
            after = reached;
            if !stale.is_empty() {
                self.store
                    .write_copied(Durability::Immediate, |transaction| {
                        let mut rows = transaction.open_table(table)?;
                        let blobs = transaction.open_table(BLOBS)?;
                        for key in &stale {
                            // It may have come back, or been renewed, since it was read.
                            let row = rows.get(key.as_slice())?;
                            let blob =
                                row.and_then(|row| Some(blob_of(key, row.value())?.to_vec()));
                            if let Some(blob) = blob
                                && blobs.get(blob.as_slice())?.is_none()
                            {
                                rows.remove(key.as_slice())?;
                            }
                        }
                        Ok(())
                    })?;
            }
        }
        Ok(())
    }
}

/// Records the subject of a manifest, if it has one.
pub(super) fn record_subject(transaction: &WriteTransaction, manifest: &Manifest) -> Outcome<()> {
    match manifest.subject() {
        Some(subject) => insert_subject(transaction, &subject.digest, &manifest.digest()),
        None => Ok(()),
    }
}

/// Records that `referrer` names `subject`.
pub(super) fn insert_subject(
    transaction: &WriteTransaction,
    subject: &Digest,
    referrer: &Digest,
) -> Outcome<()> {
    let mut table = transaction.open_table(SUBJECTS)?;
    table.insert(two_digests(subject, referrer).as_slice(), ())?;
    Ok(())
}

/// Puts back an answer from the snapshot.
pub(super) fn restore(
    transaction: &WriteTransaction,
    key: &[u8],
    at: u64,
    body: &[u8],
) -> Outcome<()> {
    let mut table = transaction.open_table(ANSWERS)?;
    table.insert(key, (at, body))?;
    Ok(())
}

pub(super) fn answer_key(repo: &RepoKey, subject: &Digest, question: &str) -> Vec<u8> {
    let mut key = pair_key(repo.as_str(), subject);
    key.extend_from_slice(question.as_bytes());
    key
}

/// The repository, the subject and the question of a key; `None` for a key that no version of this
/// code has written.
pub(super) fn decode_answer_key(key: &[u8]) -> Option<(RepoKey, Digest, &str)> {
    let (link, _, question) = split_answer(key)?;
    let (repo, subject) = decode_link(link)?;
    Some((repo, subject, std::str::from_utf8(question).ok()?))
}

/// The key of the link to the subject, that of the subject alone, and the question.
fn split_answer(key: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let start = key.iter().position(|byte| *byte == 0)? + 1;
    let end = start + digest_length(&key[start..])?;
    Some((&key[..end], &key[start..end], &key[end..]))
}

fn decode_answer((at, body): (u64, &[u8])) -> KeptAnswer {
    KeptAnswer {
        body: (!body.is_empty()).then(|| Bytes::copy_from_slice(body)),
        at: from_ms(at),
    }
}

#[cfg(test)]
mod tests {
    use manifest_model::Algorithm;
    use tempfile::TempDir;

    use super::*;
    use crate::{
        disk::Disk,
        index::{
            Index,
            rows::{self, Class},
        },
    };

    fn index() -> (TempDir, Index) {
        let folder = TempDir::new().unwrap();
        let disk = Disk::open(folder.path()).unwrap();
        let (index, _) = Index::open(&disk).unwrap();
        (folder, index)
    }

    #[test]
    fn answers_have_a_bound_for_each_subject_and_repository() {
        let (_folder, index) = index();
        let attached = &index.attached;
        let subject = Digest::of(Algorithm::Sha256, b"");
        let [one, other] = ["a.test/x", "a.test/y"].map(|name| name.parse::<RepoKey>().unwrap());
        let keep = |question: &str| {
            let large = vec![b' '; MAX_ANSWER + 1];
            attached.keep(&one, &subject, question, None).unwrap();
            attached
                .keep(&other, &subject, "large", Some(&large))
                .unwrap();
            attached.answer(&one, &subject, question).unwrap().is_some()
        };
        for number in 0..MAX_QUESTIONS {
            assert!(keep(&number.to_string()), "{number}");
        }
        assert!(keep("one more"), "the newest stays");
        let oldest = attached.answer(&one, &subject, "0").unwrap();
        assert_eq!(oldest, None, "in place of the oldest");
        attached.keep(&one, &subject, "3", Some(b"[]")).unwrap();
        let kept = attached.answer(&one, &subject, "3").unwrap().unwrap();
        assert_eq!(
            kept.body.as_deref(),
            Some(&b"[]"[..]),
            "a known one changes"
        );
        assert_eq!(attached.answer(&other, &subject, "3").unwrap(), None);
        assert_eq!(attached.answer(&other, &subject, "large").unwrap(), None);
        assert_eq!(attached.page(None, 99).unwrap().len(), MAX_QUESTIONS);
    }

    #[test]
    fn an_answer_goes_with_its_subject() {
        let (_folder, index) = index();
        let [stored, gone] = [b"a", b"b"].map(|bytes| Digest::of(Algorithm::Sha256, bytes));
        let repo: RepoKey = "a.test/x".parse().unwrap();
        let long_ago = to_ms(SystemTime::now() - 2 * UNSTORED_SUBJECT_TTL);
        let write = |transaction: &WriteTransaction| {
            rows::record(transaction, &stored, 1, Class::Manifest, now_ms())?;
            for subject in [&stored, &gone] {
                restore(
                    transaction,
                    &answer_key(&repo, subject, "old"),
                    long_ago,
                    b"",
                )?;
                restore(
                    transaction,
                    &answer_key(&repo, subject, "new"),
                    now_ms(),
                    b"",
                )?;
            }
            Ok(())
        };
        index.store.write(Durability::Immediate, write).unwrap();
        index.attached.sweep(|| true).unwrap();
        let has = |subject, question| {
            let answer = index.attached.answer(&repo, subject, question);
            answer.unwrap().is_some()
        };
        assert!(has(&stored, "old") && has(&stored, "new"));
        assert!(has(&gone, "new"), "an index may name it");
        assert!(!has(&gone, "old"));
    }
}
