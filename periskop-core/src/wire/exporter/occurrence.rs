//! One occurrence: its exception with the causes, and the request it happened in.

use std::mem::size_of;
use std::ops::Range;

use super::PayloadError;
use super::limits::{Excerpt, HEADER_NAME_LENGTH, mark};
use super::parse::{Parser, identity};
use super::reader::{Kind, Reader, Value};
use super::recall::KnownOccurrence;
use crate::occurrence::{ContentHash, Exception, HttpContext, Occurrence, Severity};
use crate::report::UnchangedOccurrence;
use crate::time::Timestamp;

/// What is read of an error's `latest_errors`.
#[derive(Default)]
pub(super) struct Latest<'a> {
    /// What the same error had when its source answered last.
    pub(super) known: &'a [KnownOccurrence],
    /// Those that were not known.
    pub(super) occurrences: Vec<Occurrence>,
    /// Of these the ones without a severity of their own: their aggregate's may come after them.
    pub(super) unrated: Vec<usize>,
    /// Those that were known.
    pub(super) unchanged: Vec<UnchangedOccurrence>,
    /// All that can be known next time.
    pub(super) remembered: Vec<KnownOccurrence>,
}

impl Latest<'_> {
    pub(super) fn clear(&mut self) {
        self.occurrences.clear();
        self.unrated.clear();
        self.unchanged.clear();
        self.remembered.clear();
    }

    fn len(&self) -> usize {
        self.occurrences.len() + self.unchanged.len()
    }

    fn recognise(&mut self, known: KnownOccurrence) {
        self.unchanged.push(known.told());
        self.remembered.push(known);
    }
}

impl<'a> Parser<'a> {
    /// Reads `latest_errors`, except for what is known.
    pub(super) fn occurrences(
        &mut self,
        reader: &mut Reader<'_>,
        latest: &mut Latest<'a>,
    ) -> Result<(), PayloadError> {
        let kind = reader.kind()?;
        if kind != Kind::Array {
            let offset = reader.skip()?.start;
            if kind != Kind::Null {
                self.warnings.add(offset, "`latest_errors` is no list");
            }
            return Ok(());
        }
        let limit = self.options.limits.occurrences;
        let mut next = 0;
        reader.enter();
        let mut first = true;
        while reader.next_element(&mut first)? {
            if reader.kind()? != Kind::Object {
                let offset = reader.skip()?.start;
                self.warnings.add(offset, "left out an occurrence that is no object");
            } else if latest.len() == limit {
                let offset = reader.skip()?.start;
                let what = format!("left out an occurrence: more than {limit} of one error");
                self.warnings.add(offset, what);
            } else {
                let start = reader.offset();
                let found = self.recall.as_mut().and_then(|recall| {
                    recall.occurrence_at(self.body, start, latest.known, &mut next)
                });
                if let Some(known) = found {
                    self.charge(size_of::<UnchangedOccurrence>(), start)?;
                    reader.step_over(known.length());
                    latest.recognise(known);
                    continue;
                }
                let (occurrence, severity) = self.occurrence(reader)?;
                if let Some(known) = self.memorable(start..reader.offset(), &occurrence, severity) {
                    if latest.known.contains(&known) {
                        latest.recognise(known);
                        continue;
                    }
                    latest.remembered.push(known);
                }
                if severity.is_none() {
                    latest.unrated.push(latest.occurrences.len());
                }
                latest.occurrences.push(occurrence);
            }
        }
        Ok(())
    }

    /// What to remember of an occurrence: only of one that says the same wherever and whenever it
    /// is read. Without a usable time of its own it depends on its aggregate's life, and without a
    /// severity of its own on its aggregate's. (One that gave a warning is not remembered because
    /// its whole aggregate is not.)
    fn memorable(
        &self,
        place: Range<usize>,
        occurrence: &Occurrence,
        severity: Option<Severity>,
    ) -> Option<KnownOccurrence> {
        let recall = self.recall.as_ref()?;
        let usable = Timestamp::YEAR_2000..=self.latest_usable();
        let time = occurrence.time.filter(|time| usable.contains(time))?;
        let length = place.len();
        KnownOccurrence::new(recall.hash(&self.body[place]), length, time, severity?)
    }

    fn occurrence(
        &mut self,
        reader: &mut Reader<'_>,
    ) -> Result<(Occurrence, Option<Severity>), PayloadError> {
        let start = reader.offset();
        self.charge(size_of::<Occurrence>() + size_of::<Exception>(), start)?;
        let mut name = None;
        let mut time = None;
        let mut severity = None;
        let mut exceptions = Vec::new();
        let mut http = None;
        reader.enter();
        let mut first = true;
        while let Some(member) = reader.next_member(&mut first)? {
            match &*member.decode_about(32) {
                "error" => exceptions = self.exceptions(reader)?,
                "uuid" => {
                    let offset = reader.offset();
                    name = match reader.value()? {
                        Value::String(text) => identity(text),
                        Value::Null => None,
                        _ => {
                            self.warnings.add(offset, "`uuid` is no string");
                            None
                        }
                    };
                }
                "timestamp" => time = self.time(reader, "timestamp")?,
                "severity" => severity = self.severity(reader)?,
                "http_context" => http = self.http(reader)?,
                _ => reader.ignore()?,
            }
        }
        let content = ContentHash::of(&self.body[start..reader.offset()]);
        let name = name.unwrap_or_else(|| content.as_name());
        self.charge(name.len(), start)?;
        if exceptions.is_empty() {
            exceptions.push(Exception::default());
        }
        let rated = severity.unwrap_or_default();
        Ok((Occurrence { name, content, time, severity: rated, exceptions, http }, severity))
    }

    /// Reads an exception and its causes. The nesting is followed by a loop: only the depth is
    /// remembered, because each exception has at most one cause.
    fn exceptions(&mut self, reader: &mut Reader<'_>) -> Result<Vec<Exception>, PayloadError> {
        let kind = reader.kind()?;
        if kind != Kind::Object {
            let offset = reader.skip()?.start;
            if kind != Kind::Null {
                self.warnings.add(offset, "`error` is no object");
            }
            return Ok(Vec::new());
        }
        let limits = &self.options.limits;
        let mut exceptions = vec![Exception::default()];
        let mut depth = 0;
        // The length of the causes that are too deep.
        let mut left_out = 0;
        reader.enter();
        let mut first = true;
        loop {
            let Some(name) = reader.next_member(&mut first)? else {
                if depth == 0 {
                    break;
                }
                depth -= 1;
                continue;
            };
            match &*name.decode_about(32) {
                "class" => exceptions[depth].class = self.text(reader, limits.frame_length)?,
                "message" => {
                    exceptions[depth].message = self.text(reader, limits.message_length)?
                }
                "stacktrace" => exceptions[depth].stacktrace = self.stacktrace(reader)?,
                "cause" if reader.kind()? == Kind::Object => {
                    exceptions.truncate(depth + 1);
                    if exceptions.len() == limits.depth() {
                        left_out = reader.skip()?.len();
                    } else {
                        self.charge(size_of::<Exception>(), reader.offset())?;
                        left_out = 0;
                        exceptions.push(Exception::default());
                        depth += 1;
                        reader.enter();
                        first = true;
                    }
                }
                _ => reader.ignore()?,
            }
        }
        if left_out > 0 {
            let message = Some(mark(left_out, "bytes"));
            let last = exceptions.len() - 1;
            exceptions[last] = Exception { message, ..Exception::default() };
        }
        Ok(exceptions)
    }

    fn stacktrace(&mut self, reader: &mut Reader<'_>) -> Result<Vec<String>, PayloadError> {
        let kind = reader.kind()?;
        if kind != Kind::Array {
            let offset = reader.skip()?.start;
            if kind != Kind::Null {
                self.warnings.add(offset, "`stacktrace` is no list");
            }
            return Ok(Vec::new());
        }
        let limits = &self.options.limits;
        let most = limits.frames.max(1);
        let mut frames = Vec::new();
        let mut left_out = 0;
        reader.enter();
        let mut first = true;
        while reader.next_element(&mut first)? {
            let Some(frame) = reader.value()?.text() else { continue };
            if frames.len() == most {
                left_out += 1;
                continue;
            }
            let frame = Excerpt::of(frame, limits.frame_length).plain();
            self.charge(size_of::<String>() + frame.len(), reader.offset())?;
            frames.push(frame);
        }
        if left_out > 0 {
            frames[most - 1] = mark(left_out + 1, "frames");
        }
        Ok(frames)
    }

    fn http(&mut self, reader: &mut Reader<'_>) -> Result<Option<HttpContext>, PayloadError> {
        let kind = reader.kind()?;
        if kind != Kind::Object {
            let offset = reader.skip()?.start;
            if kind != Kind::Null {
                self.warnings.add(offset, "`http_context` is no object");
            }
            return Ok(None);
        }
        let limits = &self.options.limits;
        let redactor = &self.options.redactor;
        self.charge(size_of::<HttpContext>(), reader.offset())?;
        let mut http = HttpContext::default();
        reader.enter();
        let mut first = true;
        while let Some(name) = reader.next_member(&mut first)? {
            match &*name.decode_about(32) {
                "request_method" => http.method = self.text(reader, limits.header_length)?,
                "request_url" => {
                    let limit = limits.header_length;
                    let url = reader.value()?.text().map(|url| Excerpt::of(url, limit));
                    http.url = url.map(|url| url.masked(limit, |url| redactor.url(url)));
                    self.charge(http.url.as_ref().map_or(0, String::len), reader.offset())?;
                }
                "request_headers" => http.headers = self.headers(reader)?,
                "request_body" => {
                    let limit = limits.body_length;
                    let body = match reader.kind()? {
                        Kind::Object | Kind::Array => {
                            Some(Excerpt::of_compact_json(reader, limit)?)
                        }
                        _ => reader.value()?.text().map(|text| Excerpt::of(text, limit)),
                    };
                    http.body = body.map(|body| body.masked(limit, |body| redactor.body(body)));
                    self.charge(http.body.as_ref().map_or(0, String::len), reader.offset())?;
                }
                _ => reader.ignore()?,
            }
        }
        Ok(Some(http))
    }

    fn headers(&mut self, reader: &mut Reader<'_>) -> Result<Vec<(String, String)>, PayloadError> {
        let kind = reader.kind()?;
        if kind != Kind::Object {
            let offset = reader.skip()?.start;
            if kind != Kind::Null {
                self.warnings.add(offset, "`request_headers` is no object");
            }
            return Ok(Vec::new());
        }
        let limits = &self.options.limits;
        let redactor = &self.options.redactor;
        let mut headers: Vec<(String, String)> = Vec::new();
        reader.enter();
        let mut first = true;
        while let Some(name) = reader.next_member(&mut first)? {
            let offset = reader.offset();
            let Some(value) = reader.value()?.text() else { continue };
            let name = name.decode_about(HEADER_NAME_LENGTH);
            if name.len() > HEADER_NAME_LENGTH {
                self.warnings.add(offset, "left out a header with too long a name");
                continue;
            }
            if headers.len() == limits.headers {
                let what = format!("left out a header: more than {}", limits.headers);
                self.warnings.add(offset, what);
                continue;
            }
            let limit = limits.header_length;
            let value =
                Excerpt::of(value, limit).masked(limit, |value| redactor.header(&name, value));
            self.charge(size_of::<(String, String)>() + name.len() + value.len(), offset)?;
            headers.push((name.into_owned(), value));
        }
        headers.sort_by(|a, b| a.0.cmp(&b.0));
        headers.dedup_by(|later, earlier| later.0 == earlier.0);
        Ok(headers)
    }

    fn text(
        &mut self,
        reader: &mut Reader<'_>,
        limit: usize,
    ) -> Result<Option<String>, PayloadError> {
        let Some(text) = reader.value()?.text() else { return Ok(None) };
        let text = Excerpt::of(text, limit).plain();
        self.charge(text.len(), reader.offset())?;
        Ok(Some(text))
    }
}
