//! Everything about an occurrence that others are likely to have as well.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

/// The skeleton of an occurrence; what stands in it are its pieces.
#[derive(PartialEq, Eq, Hash)]
pub(super) struct Shape {
    pub(super) exceptions: Box<[ExceptionShape]>,
    pub(super) http: Option<HttpShape>,
}

#[derive(PartialEq, Eq, Hash)]
pub(super) struct ExceptionShape {
    pub(super) class: Option<Text>,
    pub(super) message: Option<Like>,
    pub(super) stacktrace: List<Text>,
}

#[derive(PartialEq, Eq, Hash)]
pub(super) struct HttpShape {
    pub(super) method: Option<Text>,
    pub(super) url: Option<Like>,
    pub(super) header_names: List<Text>,
    /// As many as there are names.
    pub(super) header_values: List<Like>,
    pub(super) body: Option<Like>,
}

/// What a text is like that is there: a text with a slot for each own word, or `None` where all of
/// it is its own.
pub(super) type Like = Option<Text>;

/// A text that is held once, so that it is the same exactly if it lies at the same place. As thin
/// as a pointer can be: there are many stacks, and much fewer frames.
#[derive(Clone)]
pub(super) struct Text(pub(super) Arc<Box<str>>);

impl Text {
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

impl PartialEq for Text {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Text {}

impl Hash for Text {
    fn hash<H: Hasher>(&self, state: &mut H) {
        Arc::as_ptr(&self.0).addr().hash(state);
    }
}

/// A list that is held once, with the same consequence.
pub(super) struct List<T>(pub(super) Arc<[T]>);

impl<T> Clone for List<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T> std::ops::Deref for List<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.0
    }
}

impl<T> PartialEq for List<T> {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl<T> Eq for List<T> {}

impl<T> Hash for List<T> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        Arc::as_ptr(&self.0).addr().hash(state);
    }
}
