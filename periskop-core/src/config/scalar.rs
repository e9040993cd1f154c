//! What a scalar means: the rules of Go's `yaml.v2`, which are those of YAML 1.1 in parts.

/// A text, number or boolean, with the text it was written as.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scalar {
    text: String,
    kind: Kind,
}

/// What a scalar is when nobody asks for anything in particular.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `true`, `false`, and YAML 1.1's `yes`, `no`, `on`, `off`, `y`, `n`, in three spellings.
    Bool,
    /// A whole number: decimal, `0x1f`, `0b11`, `0o17` or `017`, `_` anywhere.
    Int,
    /// A number with a fraction or an exponent, an infinity, not-a-number.
    Float,
    /// Everything else, and whatever is quoted.
    Text,
    /// `!!binary` data that is no text; [`Scalar::text`] has it escaped (`\xff`).
    NotUtf8,
}

impl Scalar {
    /// A scalar of a known kind.
    pub(crate) fn new(text: impl Into<String>, kind: Kind) -> Self {
        Self { text: text.into(), kind }
    }

    /// A text, whatever it looks like.
    pub fn string(text: impl Into<String>) -> Self {
        Self::new(text, Kind::Text)
    }

    /// What an unquoted scalar without a tag means. `None` for null.
    pub(crate) fn plain(text: &str) -> Option<Self> {
        plain_kind(text).map(|kind| Self::new(text, kind))
    }

    /// The text as written (without quotes).
    pub fn text(&self) -> &str {
        &self.text
    }

    /// What it is.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The boolean that this is. Quoted ones are texts.
    pub fn as_bool(&self) -> Option<bool> {
        (self.kind == Kind::Bool).then(|| boolean(&self.text)).flatten()
    }

    /// The whole number that this is; of a number with a fraction the whole part, as Go does.
    pub fn as_int(&self) -> Option<i128> {
        match self.kind {
            Kind::Int => integer(&self.text),
            Kind::Float => {
                let number = float(&self.text)?.trunc();
                // Beyond this an `f64` says nothing useful about a setting.
                #[allow(clippy::cast_possible_truncation)] // in range by the guard
                (number.abs() < 1e30).then_some(number as i128)
            }
            _ => None,
        }
    }

    /// The number that this is.
    pub fn as_float(&self) -> Option<f64> {
        matches!(self.kind, Kind::Int | Kind::Float).then(|| float(&self.text)).flatten()
    }
}

/// What an unquoted text is; `None` for null.
pub(crate) fn plain_kind(text: &str) -> Option<Kind> {
    if is_null(text) {
        return None;
    }
    Some(if boolean(text).is_some() {
        Kind::Bool
    } else if !text.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '+' | '-' | '.')) {
        Kind::Text
    } else if integer(text).is_some_and(|n| i128::from(i64::MIN) <= n && n <= i128::from(u64::MAX))
    {
        Kind::Int
    } else if float(text).is_some() {
        Kind::Float
    } else {
        Kind::Text
    })
}

pub(crate) fn is_null(text: &str) -> bool {
    matches!(text, "" | "~" | "null" | "Null" | "NULL")
}

fn boolean(text: &str) -> Option<bool> {
    match text {
        "true" | "True" | "TRUE" | "yes" | "Yes" | "YES" | "on" | "On" | "ON" | "y" | "Y" => {
            Some(true)
        }
        "false" | "False" | "FALSE" | "no" | "No" | "NO" | "off" | "Off" | "OFF" | "n" | "N" => {
            Some(false)
        }
        _ => None,
    }
}

/// Go's `strconv.ParseInt` with base 0, underscores dropped.
fn integer(text: &str) -> Option<i128> {
    let text = text.replace('_', "");
    let (negative, digits) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text.as_str()),
    };
    let lower = digits.to_ascii_lowercase();
    let (radix, digits) = if let Some(hex) = lower.strip_prefix("0x") {
        (16, hex)
    } else if let Some(binary) = lower.strip_prefix("0b") {
        (2, binary)
    } else if let Some(octal) = lower.strip_prefix("0o") {
        (8, octal)
    } else if lower.len() > 1 && lower.starts_with('0') {
        (8, &lower[1..])
    } else {
        (10, lower.as_str())
    };
    if !digits.starts_with(|c: char| c.is_digit(radix)) {
        return None; // a second sign, or nothing
    }
    let magnitude = i128::from_str_radix(digits, radix).ok()?;
    Some(if negative { -magnitude } else { magnitude })
}

fn float(text: &str) -> Option<f64> {
    let text = text.replace('_', "");
    match text.as_str() {
        ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" => return Some(f64::INFINITY),
        "-.inf" | "-.Inf" | "-.INF" => return Some(f64::NEG_INFINITY),
        ".nan" | ".NaN" | ".NAN" => return Some(f64::NAN),
        _ => {}
    }
    if let Some(n) = integer(&text) {
        #[allow(clippy::cast_precision_loss)] // a float is asked for
        return Some(n as f64);
    }
    let looks_like_one =
        text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'+' | b'-' | b'.' | b'e' | b'E'));
    looks_like_one.then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unquoted_scalars_mean_what_go_takes_them_for() {
        for (text, kind) in [
            ("yes", Kind::Bool),
            ("OFF", Kind::Bool),
            ("yEs", Kind::Text),
            ("80", Kind::Int),
            ("0x1F", Kind::Int),
            ("010", Kind::Int),
            ("+7", Kind::Int),
            ("1_000", Kind::Int),
            ("18446744073709551615", Kind::Int),
            ("18446744073709551616", Kind::Float),
            ("1e3", Kind::Float),
            ("1.50", Kind::Float),
            (".5", Kind::Float),
            (".inf", Kind::Float),
            ("1.2.3.4", Kind::Text),
            ("2020-01-01", Kind::Text),
            ("5s", Kind::Text),
            ("-", Kind::Text),
            ("0x", Kind::Text),
            ("+-5", Kind::Text),
            ("inf", Kind::Text),
        ] {
            assert_eq!(plain_kind(text), Some(kind), "{text}");
        }
        for null in ["", "~", "null", "Null", "NULL"] {
            assert_eq!(plain_kind(null), None, "{null}");
        }
    }

    #[test]
    fn numbers_are_read_in_every_base_and_truncated_like_in_go() {
        for (text, n) in [
            ("010", 8),
            ("0x10", 16),
            ("0b11", 3),
            ("0o17", 15),
            ("-0x10", -16),
            ("1e3", 1000),
            ("1.9", 1),
        ] {
            assert_eq!(Scalar::plain(text).unwrap().as_int(), Some(n), "{text}");
        }
        assert_eq!(Scalar::string("5").as_int(), None, "a quoted number is a text");
    }
}
