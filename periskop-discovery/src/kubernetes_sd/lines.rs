//! The lines of an answer that has no end.

use http_body_util::BodyExt as _;
use kube::client::Body;

use super::client::reason;

/// What comes next.
#[derive(Debug)]
pub(super) enum NextLine {
    /// A whole line, without its end.
    Line(Vec<u8>),
    /// The answer has ended where a line ends.
    End,
    /// It broke off, or ended in the middle of a line.
    Cut(String),
    /// The line is longer than a line may be.
    TooLong,
}

/// The lines of a body, each of a bounded length.
pub(super) struct Lines {
    body: Body,
    buffer: Vec<u8>,
    /// So many bytes are known to hold no end of a line.
    searched: usize,
    limit: usize,
}

impl Lines {
    pub(super) fn new(body: Body, limit: usize) -> Self {
        Self { body, buffer: Vec::new(), searched: 0, limit }
    }

    /// The next line. Nothing is lost where the future is dropped.
    pub(super) async fn next(&mut self) -> NextLine {
        loop {
            let found = self.buffer.iter().skip(self.searched).position(|byte| *byte == b'\n');
            if let Some(at) = found {
                let rest = self.buffer.split_off(self.searched + at + 1);
                let mut line = std::mem::replace(&mut self.buffer, rest);
                self.searched = 0;
                line.pop();
                return NextLine::Line(line);
            }
            self.searched = self.buffer.len();
            if self.buffer.len() > self.limit {
                return NextLine::TooLong;
            }
            match self.body.frame().await {
                Some(Ok(frame)) => {
                    if let Ok(bytes) = frame.into_data() {
                        self.buffer.extend_from_slice(&bytes);
                    }
                }
                Some(Err(error)) => return NextLine::Cut(reason(error)),
                None if self.buffer.is_empty() => return NextLine::End,
                None => return NextLine::Cut("it ended in the middle of an event".to_owned()),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn all(text: &str, limit: usize) -> Vec<String> {
        let mut lines = Lines::new(Body::from(text.as_bytes().to_vec()), limit);
        let mut told = Vec::new();
        loop {
            match lines.next().await {
                NextLine::Line(line) => told.push(String::from_utf8(line).expect("text")),
                other => {
                    told.push(format!("{other:?}"));
                    return told;
                }
            }
        }
    }

    #[tokio::test]
    async fn a_body_is_lines_until_it_ends_or_breaks_off() {
        assert_eq!(all("a\nbc\n", 10).await, ["a", "bc", "End"]);
        assert_eq!(all("", 10).await, ["End"]);
        assert_eq!(all("a\nb", 10).await[1], r#"Cut("it ended in the middle of an event")"#);
        assert_eq!(all("a\n0123456789ab", 10).await, ["a", "TooLong"]);
    }
}
