//! Files that the pages refer to, embedded in the binary.
//!
//! Their addresses contain a hash of their content, so that browsers may keep them for ever.

use std::sync::LazyLock;

use periskop_core::ids::sha256_hex;

/// An embedded file.
#[derive(Clone, Copy, Debug)]
pub struct Asset {
    /// Its name, such as `app.js`.
    pub name: &'static str,
    /// Its content type.
    pub content_type: &'static str,
    /// Its bytes.
    pub bytes: &'static [u8],
}

/// The stylesheet.
const STYLE: Asset = Asset {
    name: "style.css",
    content_type: "text/css; charset=utf-8",
    bytes: include_bytes!("../../assets/style.css"),
};

/// Our own script.
const SCRIPT: Asset = Asset {
    name: "app.js",
    content_type: "text/javascript; charset=utf-8",
    bytes: include_bytes!("../../assets/app.js"),
};

/// htmx 2.0.11, 0BSD; see `assets/README.md`.
const HTMX: Asset = Asset {
    name: "htmx.min.js",
    content_type: "text/javascript; charset=utf-8",
    bytes: include_bytes!("../../assets/htmx.min.js"),
};

/// The icon of the browser's tab.
const ICON: Asset = Asset {
    name: "icon.svg",
    content_type: "image/svg+xml",
    bytes: include_bytes!("../../assets/icon.svg"),
};

/// What stands in the addresses of all files: a hash over them.
pub fn version() -> &'static str {
    &VERSION
}

static VERSION: LazyLock<String> = LazyLock::new(|| {
    let all: Vec<u8> = [STYLE, SCRIPT, HTMX, ICON].iter().flat_map(|a| a.bytes).copied().collect();
    sha256_hex(&all)[..12].to_owned()
});

/// The file of that name.
pub fn find(name: &str) -> Option<Asset> {
    [STYLE, SCRIPT, HTMX, ICON].into_iter().find(|asset| asset.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stylesheet_and_script_stay_small() {
        assert!(STYLE.bytes.len() < 20_000, "{}", STYLE.bytes.len());
        assert!(SCRIPT.bytes.len() < 10_000, "{}", SCRIPT.bytes.len());
    }

    #[test]
    fn nothing_is_loaded_from_elsewhere() {
        for asset in [STYLE, SCRIPT, ICON] {
            let text = std::str::from_utf8(asset.bytes).unwrap();
            let text = text.replace("http://www.w3.org/2000/svg", "");
            assert!(!text.contains("http://") && !text.contains("https://"), "{}", asset.name);
            assert!(!text.contains("@import"), "{}", asset.name);
        }
    }
}
