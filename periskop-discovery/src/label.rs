//! How values of backends become names and values of labels.

use std::fmt::Write as _;

/// A text as part of a label's name: every character but `[a-zA-Z0-9_]` becomes an underscore,
/// one for each, as Prometheus's `strutil.SanitizeLabelName` does.
pub(crate) fn sanitize(text: &str) -> String {
    let fit = |c: char| if c.is_ascii_alphanumeric() || c == '_' { c } else { '_' };
    text.chars().map(fit).collect()
}

/// `host:port`, the host in brackets if it has a colon, as Go's `net.JoinHostPort` writes it.
pub(crate) fn join_host_port(host: &str, port: impl std::fmt::Display) -> String {
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

/// A list as the value of a label: `,a,b,`, so that a regular expression finds `,a,` wherever it
/// stands. No items: `,,` for those that Prometheus wraps without looking; callers that leave the
/// label out then do so themselves.
pub(crate) fn wrapped<S: AsRef<str>>(
    items: impl IntoIterator<Item = S>,
    separator: &str,
) -> String {
    let mut text = String::from(separator);
    for (i, item) in items.into_iter().enumerate() {
        if i > 0 {
            text.push_str(separator);
        }
        let _ = text.write_str(item.as_ref()); // to a string: cannot fail
    }
    text.push_str(separator);
    text
}

/// A text of a backend's as errors quote it: its beginning, in one line.
pub(crate) fn quoted(text: &str) -> String {
    const LONGEST: usize = 60;
    let beginning: String = text.chars().take(LONGEST).collect();
    format!("{beginning:?}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_character_that_is_not_fit_is_one_underscore() {
        assert_eq!(sanitize("app.kubernetes.io/name-é"), "app_kubernetes_io_name__");
    }

    #[test]
    fn a_host_with_a_colon_stands_in_brackets() {
        assert_eq!(join_host_port("10.0.0.1", 80), "10.0.0.1:80");
        assert_eq!(join_host_port("fd00::1", 80), "[fd00::1]:80");
        assert_eq!(join_host_port("", "0"), ":0");
    }

    #[test]
    fn what_is_quoted_is_short_and_one_line() {
        assert_eq!(quoted("a\nb"), r#""a\nb""#);
        assert_eq!(quoted(&"x".repeat(1000)).len(), 62);
    }

    #[test]
    fn a_list_is_wrapped_by_its_separator() {
        assert_eq!(wrapped(["a", "b"], ","), ",a,b,");
        assert_eq!(wrapped([""; 0], ","), ",,");
    }
}
