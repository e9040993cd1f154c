//! Occurrences that resemble one that was packed a moment ago, as most do: they are compared with
//! it, which costs a fraction of finding out what they are like.

use std::sync::Arc;

use memchr::memchr;

use super::interned::{LONGEST_TEMPLATE, Stacks};
use super::pieces::{Packing, SLOT_BYTE};
use super::shape::{HttpShape, Like, Shape, Text};
use crate::occurrence::{HttpContext, Occurrence};
use crate::own_words::is_part;

/// The shapes of what was packed last.
#[derive(Default)]
pub(super) struct Resembling {
    shapes: [Option<Arc<Shape>>; 4],
    next: usize,
}

impl Resembling {
    /// The shape among these that an occurrence has; the pieces behind its name are then added to
    /// `packing`. If it has none of them, it may still have one that is known. Its stacks are `stacks`,
    /// if there are any.
    pub(super) fn find(
        &self,
        o: &Occurrence,
        stacks: Option<&Stacks>,
        packing: &mut Packing,
    ) -> Option<&Arc<Shape>> {
        self.shapes.iter().flatten().find(|shape| {
            packing.begin(&o.name);
            has(shape, o, stacks, packing)
        })
    }

    /// Takes note of one.
    pub(super) fn note(&mut self, shape: &Arc<Shape>) {
        self.shapes[self.next] = Some(shape.clone());
        self.next = (self.next + 1) % self.shapes.len();
    }

    /// Holds none of them any more.
    pub(super) fn clear(&mut self) {
        self.shapes = Default::default();
    }
}

/// Whether an occurrence is of this shape. What tells two apart is looked at before stacks, which
/// are long.
fn has(shape: &Shape, o: &Occurrence, stacks: Option<&Stacks>, packing: &mut Packing) -> bool {
    let mut exceptions = shape.exceptions.iter().zip(&o.exceptions);
    let mut with_stacks = exceptions.clone().enumerate();
    shape.exceptions.len() == o.exceptions.len()
        && exceptions.all(|(shape, e)| {
            is(shape.class.as_ref(), e.class.as_deref())
                && is_like_maybe(shape.message.as_ref(), e.message.as_deref(), packing)
        })
        && match (&shape.http, &o.http) {
            (None, None) => true,
            (Some(shape), Some(http)) => has_http(shape, http, packing),
            _ => false,
        }
        && with_stacks.all(|(at, (shape, e))| match stacks.and_then(|stacks| stacks.0.get(at)) {
            // They are held once, so that they lie at the same place.
            Some(stack) => shape.stacktrace == *stack,
            None => {
                shape.stacktrace.len() == e.stacktrace.len()
                    && shape.stacktrace.iter().zip(&e.stacktrace).all(|(a, b)| a.as_str() == b)
            }
        })
}

fn has_http(shape: &HttpShape, http: &HttpContext, packing: &mut Packing) -> bool {
    let names = || shape.header_names.iter().zip(&http.headers);
    let values = || shape.header_values.iter().zip(&http.headers);
    is(shape.method.as_ref(), http.method.as_deref())
        && is_like_maybe(shape.url.as_ref(), http.url.as_deref(), packing)
        && shape.header_names.len() == http.headers.len()
        && names().all(|(shape, (name, _))| shape.as_str() == name)
        && values().all(|(shape, (_, value))| is_like(shape, value, packing))
        && is_like_maybe(shape.body.as_ref(), http.body.as_deref(), packing)
}

fn is(shape: Option<&Text>, text: Option<&str>) -> bool {
    shape.map(Text::as_str) == text
}

fn is_like_maybe(like: Option<&Like>, text: Option<&str>, packing: &mut Packing) -> bool {
    match (like, text) {
        (None, None) => true,
        (Some(like), Some(text)) => is_like(like, text, packing),
        _ => false,
    }
}

/// Whether a text is like this, by what is around its own words; these are added to `packing`.
///
/// What is around them ends where a word begins and has no own word in it. So what is between its
/// parts, if it is whole words with a digit in each, is what taking the text apart would give.
fn is_like(like: &Like, text: &str, packing: &mut Packing) -> bool {
    let Some(like) = like else {
        // One that is short may have come again, and is to be held then.
        packing.push(text);
        return text.len() > LONGEST_TEMPLATE;
    };
    let mut around = like.as_str();
    let mut rest = text;
    while let Some(slot) = memchr(SLOT_BYTE, around.as_bytes()) {
        let Some(behind) = rest.strip_prefix(&around[..slot]) else { return false };
        let end = behind.bytes().position(|byte| !is_part(byte)).unwrap_or(behind.len());
        let word = &behind[..end];
        if !word.bytes().any(|byte| byte.is_ascii_digit()) {
            return false;
        }
        packing.push(word);
        (around, rest) = (&around[slot + 1..], &behind[end..]);
    }
    rest == around && text.len() <= LONGEST_TEMPLATE
}
