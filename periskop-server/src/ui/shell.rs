//! A request as a `curl` command that can be pasted into a POSIX shell.
//!
//! The request was written by whoever provoked the exception, so the command is an attack surface:
//! nothing in it may be run, read as an option or as a file name, or change the terminal it is
//! pasted into.

use super::text::is_hidden;

/// A request, as far as it was recorded.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// The method; empty when unknown.
    pub method: &'a str,
    /// The URL, or only its path and query.
    pub url: &'a str,
    /// Header names and values.
    pub headers: &'a [(&'a str, &'a str)],
    /// The body.
    pub body: Option<&'a str>,
}

/// Headers that `curl` must write itself: they frame the message.
const FRAMING: [&str; 3] = ["content-length", "transfer-encoding", "connection"];

/// The command that sends `request` again, a header a line.
///
/// A header whose name is no token of RFC 9110 is left out (`-H @name` would read a file); a line
/// break in a header's value becomes a space, as that RFC asks of recipients.
pub fn curl(request: &Request<'_>) -> String {
    let header = |name: &str| {
        request.headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| *value)
    };
    let body = request.body.filter(|body| !body.is_empty());
    let url = absolute_url(request.url, header("host"), header("x-forwarded-proto"));

    let mut command = match request.method {
        "" => "curl".to_owned(),
        "GET" if body.is_none() => "curl".to_owned(),
        "HEAD" => "curl --head".to_owned(),
        method if method.bytes().all(|b| b.is_ascii_uppercase()) => format!("curl -X {method}"),
        method => format!("curl -X {}", quote(method)),
    };
    // Brackets and braces in a URL are patterns to curl unless told otherwise.
    if url.contains(['[', ']', '{', '}']) {
        command.push_str(" --globoff");
    }
    // A recorded `file:` or `gopher:` URL must not do what it says on somebody's desk.
    if !is_http(&url) {
        command.push_str(" --proto '=http,https'");
    }
    command.push_str(&format!(" --url {}", quote(&url)));
    let mut options = vec![command];
    for (name, value) in request.headers {
        if !is_token(name) || FRAMING.contains(&name.to_ascii_lowercase().as_str()) {
            continue;
        }
        let value = value.replace(['\r', '\n', '\0'], " ");
        // `Name:` would remove the header; `Name;` sends it empty.
        options.push(match value.trim() {
            "" => format!("-H {}", quote(&format!("{name};"))),
            value => format!("-H {}", quote(&format!("{name}: {value}"))),
        });
    }
    if header("accept-encoding").is_some() {
        options.push("--compressed".to_owned());
    }
    if let Some(body) = body {
        if header("content-type").is_none() {
            // Else curl makes one up.
            options.push("-H 'Content-Type:'".to_owned());
        }
        options.push(format!("--data-raw {}", quote(body)));
    }
    options.join(" \\\n  ")
}

/// `text` as one word of a POSIX shell, whatever is in it.
///
/// Control characters and others that cannot be seen are written by `printf`, so that a pasted
/// command shows all that it does and cannot end a terminal's bracketed paste. NUL, which no
/// argument can hold, is dropped.
pub fn quote(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('\'');
    let mut chars = text.chars().filter(|c| *c != '\0').peekable();
    while let Some(c) = chars.next() {
        match c {
            '\'' => out.push_str(r"'\''"),
            // Not by `printf`: a command substitution loses the line breaks at its end.
            '\n' => out.push('\n'),
            c if is_hidden(c) => {
                out.push_str(r#"'"$(printf '"#);
                push_octal(&mut out, c);
                while let Some(c) = chars.next_if(|c| *c != '\n' && is_hidden(*c)) {
                    push_octal(&mut out, c);
                }
                out.push_str(r#"')"'"#);
            }
            c => out.push(c),
        }
    }
    out.push('\'');
    out
}

fn push_octal(out: &mut String, c: char) {
    for byte in c.encode_utf8(&mut [0; 4]).bytes() {
        out.push_str(&format!("\\{byte:03o}"));
    }
}

/// Go's clients record `/path?query`; the rest is in the headers.
fn absolute_url(url: &str, host: Option<&str>, scheme: Option<&str>) -> String {
    match host {
        Some(host) if url.starts_with('/') => {
            let scheme = if scheme == Some("https") { "https" } else { "http" };
            format!("{scheme}://{host}{url}")
        }
        _ => url.to_owned(),
    }
}

fn is_http(url: &str) -> bool {
    let has = |scheme: &str| {
        url.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme))
    };
    has("http://") || has("https://")
}

/// RFC 9110, 5.6.2.
fn is_token(name: &str) -> bool {
    !name.is_empty()
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b))
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    /// What `curl` would be given if a real shell ran `command`.
    fn arguments(command: &str) -> Vec<String> {
        let script = format!("curl() {{ for a; do printf '%s\\0' \"$a\"; done; }}\n{command}");
        let out = Command::new("sh").arg("-c").arg(script).output().unwrap();
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
        assert!(out.stderr.is_empty(), "{}", String::from_utf8_lossy(&out.stderr));
        let text = String::from_utf8(out.stdout).unwrap();
        text.split_terminator('\0').map(str::to_owned).collect()
    }

    const HOSTILE: [&str; 22] = [
        "",
        " ",
        "'",
        "''\\''",
        "\"; exit 1; \"",
        "$(exit 1)",
        "`exit 1`",
        "${HOME} $HOME $$ $((1+1))",
        "\\",
        "ends in a backslash\\",
        "line\nbreak\n\n",
        "\nfirst",
        "\r\n\r",
        "tab\tbell\x07",
        "\x1b[201~; exit 1\r",
        "-o /etc/passwd",
        "@/etc/passwd",
        "!! !$ ~ * ? [a-z] {a,b} # ; & | < > ( )",
        "% %s %n %%",
        "\u{202e}\u{9b}\u{feff}",
        "日本語 – 🦀",
        "a\n'\n\"\n`\n$(",
    ];

    #[test]
    fn a_real_shell_reads_every_hostile_text_back_as_one_word() {
        for text in HOSTILE {
            assert_eq!(arguments(&format!("curl {}", quote(text))), [text], "{text:?}");
        }
        assert_eq!(arguments(&format!("curl {}", quote("a\0b"))), ["ab"], "NUL is dropped");
    }

    #[test]
    fn nothing_in_the_command_is_hidden() {
        for text in HOSTILE {
            let quoted = quote(text);
            assert!(!quoted.chars().any(|c| c != '\n' && is_hidden(c)), "{quoted:?}");
        }
    }

    #[test]
    fn a_hostile_request_reaches_curl_as_it_was_recorded() {
        for text in HOSTILE {
            let url = format!("http://h/{text}");
            let value = format!("x{text}");
            let headers = [("X-Hostile", value.as_str())];
            let body = format!("b{text}");
            let request = Request { method: text, url: &url, headers: &headers, body: Some(&body) };
            let got = arguments(&curl(&request));
            let position = |option: &str| got.iter().position(|a| a == option).unwrap() + 1;
            assert_eq!(got[position("--url")], url);
            assert_eq!(got[position("--data-raw")], body);
            let sent = value.replace(['\r', '\n'], " ");
            assert_eq!(got[position("-H")], format!("X-Hostile: {}", sent.trim()));
            if !text.is_empty() {
                assert_eq!(got[position("-X")], text);
            }
        }
    }

    #[test]
    fn a_plain_request_makes_a_plain_command() {
        let request = Request {
            method: "POST",
            url: "https://shop.example/orders",
            headers: &[("Content-Type", "application/json"), ("Content-Length", "9")],
            body: Some(r#"{"id": 1}"#),
        };
        assert_eq!(
            curl(&request),
            r#"curl -X POST --url 'https://shop.example/orders' \
  -H 'Content-Type: application/json' \
  --data-raw '{"id": 1}'"#
        );
    }

    #[test]
    fn a_path_is_completed_from_the_headers() {
        let headers = [("Host", "shop.example"), ("X-Forwarded-Proto", "https")];
        let request = Request { method: "GET", url: "/a?b=1", headers: &headers, body: None };
        assert!(curl(&request).contains("--url 'https://shop.example/a?b=1'"));
    }

    #[test]
    fn what_curl_would_take_for_more_than_data_is_disarmed() {
        let request = Request {
            method: "GET",
            url: "file:///etc/[a-z]*",
            headers: &[("@/etc/passwd", "x"), ("Bad Name", "x"), ("X-Empty", ""), ("", "x")],
            body: None,
        };
        assert_eq!(
            arguments(&curl(&request)),
            [
                "--globoff",
                "--proto",
                "=http,https",
                "--url",
                "file:///etc/[a-z]*",
                "-H",
                "X-Empty;"
            ]
        );
    }
}
