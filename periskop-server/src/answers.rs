//! Answers that are given again while nothing has changed.
//!
//! Fifty people who look at the same list after the same change want the same bytes: they are made
//! once, and whoever asks meanwhile waits for them. What is known and has changed since, or another
//! second, makes them anew.
//!
//! Invariants: no answer is older than the last change that whoever asks may know of, since all are
//! dropped after every change and each is made after it was asked for. So no text survives here that
//! was forgotten. No answer depends on who asks: what they may see is decided before they get here. What
//! is kept is bounded, whatever is asked for.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use periskop_core::Timestamp;
use tokio::sync::OnceCell;
use xxhash_rust::xxh3::xxh3_128;

/// Answers that are kept at once, and what they may hold together: some lists and pages, each as many
/// people look at. More would be asked for only by somebody who wants to fill the memory.
const MOST: usize = 128;
const MOST_BYTES: usize = 16 * 1024 * 1024;

/// The longest name of one: a query of any length that people write.
const LONGEST_NAME: usize = 4 * 1024;

/// Answers by name. See the [module](self).
#[derive(Default)]
pub(crate) struct Answers(Mutex<Kept>);

#[derive(Default)]
struct Kept {
    /// Ages and rates are told by the second.
    second: i64,
    answers: HashMap<String, Slot>,
    bytes: usize,
}

type Slot = Arc<OnceCell<Answer>>;

/// What is answered, apart from what is said of every answer of its kind.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) body: Bytes,
    tag: HeaderValue,
}

impl Answers {
    /// The answer of this name; made by `make` unless one is there. A name says everything that the
    /// answer depends on, but for what is known and the time.
    ///
    /// # Errors
    ///
    /// Those of `make`, which are not kept.
    pub(crate) async fn get<E>(
        &self,
        name: String,
        now: Timestamp,
        make: impl FnOnce() -> Result<Answer, E>,
    ) -> Result<Answer, E> {
        let Some(slot) = self.slot(&name, now) else { return make() };
        let mut is_new = false;
        let made = slot.get_or_try_init(async || {
            is_new = true;
            make()
        });
        let answer = made.await?.clone();
        if is_new {
            self.weigh(&name, &slot, answer.body.len());
        }
        Ok(answer)
    }

    /// Something has changed, or was forgotten: to be called after it has, and before anybody is told.
    pub(crate) fn clear(&self) {
        self.kept().clear();
    }

    /// Where the answer is, or is to be put; none if it is not to be kept.
    fn slot(&self, name: &str, now: Timestamp) -> Option<Slot> {
        let mut kept = self.kept();
        if kept.second != now.as_secs() {
            kept.second = now.as_secs();
            kept.clear();
        }
        if let Some(slot) = kept.answers.get(name) {
            return Some(Arc::clone(slot));
        }
        if kept.answers.len() >= MOST || kept.bytes >= MOST_BYTES || name.len() > LONGEST_NAME {
            return None;
        }
        let slot = Slot::default();
        kept.answers.insert(name.to_owned(), Arc::clone(&slot));
        kept.bytes += name.len();
        Some(slot)
    }

    /// Counts what has been made, and drops what is too much.
    fn weigh(&self, name: &str, slot: &Slot, bytes: usize) {
        let mut kept = self.kept();
        if !kept.answers.get(name).is_some_and(|known| Arc::ptr_eq(known, slot)) {
            return;
        }
        if kept.bytes + bytes > MOST_BYTES {
            kept.answers.remove(name);
        } else {
            kept.bytes += bytes;
        }
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    fn clear(&mut self) {
        self.answers.clear();
        self.bytes = 0;
    }
}

impl Answer {
    pub(crate) fn new(status: StatusCode, body: impl Into<Bytes>) -> Self {
        let body = body.into();
        let tag = format!("\"{:032x}\"", xxh3_128(&body));
        let tag = HeaderValue::try_from(tag).expect("quotes and digits may stand in a header");
        Self { status, body, tag }
    }

    /// The answer to whoever has sent these headers: nothing, to one who has it already.
    pub(crate) fn to(self, asked: &HeaderMap) -> Response {
        let has = |tags: &HeaderValue| {
            let tags = tags.to_str().unwrap_or_default().split(',').map(str::trim);
            let tag = self.tag.to_str().unwrap_or_default();
            tags.map(|known| known.strip_prefix("W/").unwrap_or(known)).any(|known| known == tag)
        };
        let is_known =
            self.status == StatusCode::OK && asked.get_all(header::IF_NONE_MATCH).iter().any(has);
        let tag = [(header::ETAG, self.tag)];
        match is_known {
            true => (StatusCode::NOT_MODIFIED, tag).into_response(),
            false => (self.status, tag, Body::from(self.body)).into_response(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::*;

    const NOW: Timestamp = Timestamp::from_micros(1_772_323_200_500_000);

    fn of(text: impl Into<Bytes>) -> Result<Answer, Infallible> {
        Ok(Answer::new(StatusCode::OK, text))
    }

    async fn get(answers: &Answers, name: &str, text: &'static str) -> String {
        let Ok(answer) = answers.get(name.to_owned(), NOW, || of(text)).await;
        String::from_utf8(answer.body.to_vec()).unwrap()
    }

    #[tokio::test]
    async fn an_answer_is_given_again_until_something_changes_or_a_second_has_passed() {
        let answers = Answers::default();
        assert_eq!(get(&answers, "a", "one").await, "one");
        assert_eq!(get(&answers, "a", "two").await, "one");
        assert_eq!(get(&answers, "b", "two").await, "two", "another question");
        answers.clear();
        assert_eq!(get(&answers, "a", "three").await, "three");
        let later = NOW.plus(std::time::Duration::from_millis(500));
        let Ok(answer) = answers.get("a".to_owned(), later, || of("four")).await;
        assert_eq!(&*answer.body, b"four");
    }

    #[tokio::test]
    async fn what_changes_while_an_answer_is_made_makes_it_old_at_once() {
        let answers = Answers::default();
        let made = answers.get("a".to_owned(), NOW, || {
            answers.clear();
            of("before")
        });
        let Ok(answer) = made.await;
        assert_eq!(&*answer.body, b"before", "it was asked for before the change");
        assert_eq!(get(&answers, "a", "after").await, "after");
        assert!(answers.kept().bytes < 100);
    }

    #[tokio::test]
    async fn those_who_ask_meanwhile_wait_for_what_is_being_made() {
        let answers = Arc::new(Answers::default());
        let slot = answers.slot("a", NOW).unwrap();
        let (go, wait) = tokio::sync::oneshot::channel::<()>();
        let making = tokio::spawn(async move {
            let made = slot.get_or_try_init(async || {
                let _ = wait.await;
                of("once")
            });
            made.await.is_ok()
        });
        let other = Arc::clone(&answers);
        let waiting = tokio::spawn(async move { get(&other, "a", "twice").await });
        tokio::task::yield_now().await;
        go.send(()).unwrap();
        assert_eq!(waiting.await.unwrap(), "once");
        assert!(making.await.unwrap());
    }

    #[tokio::test]
    async fn what_cannot_be_answered_is_not_kept() {
        let answers = Answers::default();
        let refused = answers.get("a".to_owned(), NOW, || Err("no")).await;
        assert_eq!(refused.err(), Some("no"));
        assert_eq!(get(&answers, "a", "yes").await, "yes");
    }

    #[tokio::test]
    async fn whatever_is_asked_for_what_is_kept_is_bounded() {
        let answers = Answers::default();
        let large: Bytes = vec![b'x'; MOST_BYTES / 8].into();
        for n in 0..2 * MOST {
            let Ok(_) = answers.get(format!("large {n}"), NOW, || of(large.clone())).await;
            let Ok(_) = answers.get("n".repeat(LONGEST_NAME + n), NOW, || of("")).await;
        }
        let kept = answers.kept();
        let held: usize = kept.answers.values().filter_map(|s| s.get()).map(|a| a.body.len()).sum();
        assert!(held <= MOST_BYTES && kept.answers.len() <= MOST, "{held}");
    }

    #[tokio::test]
    async fn who_has_the_answer_is_not_sent_it_again() {
        let Ok(answer) = of("text");
        let whole = answer.clone().to(&HeaderMap::new());
        assert_eq!(whole.status(), StatusCode::OK);
        let tag = whole.headers()[header::ETAG].clone();
        let asked = HeaderMap::from_iter([(header::IF_NONE_MATCH, tag)]);
        assert_eq!(answer.to(&asked).status(), StatusCode::NOT_MODIFIED);
        let Ok(other) = of("other");
        assert_eq!(other.to(&asked).status(), StatusCode::OK);
    }
}
