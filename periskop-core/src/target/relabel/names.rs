//! What labels may be called.

use std::sync::LazyLock;

use regex::Regex;

/// Which names a label may have (Prometheus's `metric_name_validation_scheme`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum NameScheme {
    /// Any text that is not empty: the default since Prometheus 3.0.
    #[default]
    Utf8,
    /// `[a-zA-Z_][a-zA-Z0-9_]*`.
    Legacy,
}

impl NameScheme {
    /// Whether a label may have this name.
    pub fn allows(self, name: &str) -> bool {
        match self {
            Self::Utf8 => !name.is_empty(),
            Self::Legacy => {
                !name.starts_with(|c: char| c.is_ascii_digit())
                    && !name.is_empty()
                    && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
            }
        }
    }

    /// Whether this may be a name once its variables (`$1`, `${name}`) are replaced.
    pub fn allows_template(self, template: &str) -> bool {
        // Prometheus's own expression, which its legacy scheme is defined by.
        static LEGACY: LazyLock<Regex> = LazyLock::new(|| {
            let word = "[0-9A-Za-z_]";
            let variable = format!(r"\$(?:\{{{word}+\}}|{word}+)");
            Regex::new(&format!("^(?:(?:[a-zA-Z_]|{variable})+{word}*)+$"))
                .expect("a constant that a test compiles")
        });
        match self {
            Self::Utf8 => self.allows(template),
            Self::Legacy => LEGACY.is_match(template),
        }
    }
}
