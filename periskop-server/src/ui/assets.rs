//! Files that the pages refer to, embedded in the binary.
//!
//! Their addresses contain a hash of their content, so that browsers may keep them for ever.

use std::io::Write as _;
use std::sync::LazyLock;

use flate2::Compression;
use flate2::write::GzEncoder;
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

/// htmx 2.0.11, 0BSD; see `assets/README.md`.
const HTMX: Asset = script("htmx.min.js", include_bytes!("../../assets/htmx.min.js"));

/// The icon of the browser's tab.
const ICON: Asset = Asset {
    name: "icon.svg",
    content_type: "image/svg+xml",
    bytes: include_bytes!("../../assets/icon.svg"),
};

/// Our own scripts: what the viewer has set, which a page waits for so that it never flashes; keys,
/// times, copying and the chart; live updates.
static SCRIPTS: LazyLock<[Asset; 3]> = LazyLock::new(|| {
    [
        ("settings.js", include_str!("../../assets/settings.js")),
        ("app.js", include_str!("../../assets/app.js")),
        ("live.js", include_str!("../../assets/live.js")),
    ]
    // Once for the life of the process.
    .map(|(name, source)| script(name, bare(source).into_bytes().leak()))
});

/// A script without the comments that have lines of their own, and without the blanks and line ends
/// that mean nothing: a quarter of what would be sent. None has a text of several lines, a text with
/// `=` between blanks, or a comment behind code.
fn bare(source: &str) -> String {
    let lines = source.lines().map(str::trim);
    let code = lines.filter(|line| !line.is_empty() && !line.starts_with("//"));
    let ended = |line: &str| line.ends_with([';', '{', ',']);
    let script: String =
        code.flat_map(|line| [line, if ended(line) { "" } else { "\n" }]).collect();
    script.replace(" = ", "=").replace(" => ", "=>")
}

const fn script(name: &'static str, bytes: &'static [u8]) -> Asset {
    Asset { name, content_type: "text/javascript; charset=utf-8", bytes }
}

fn all() -> impl Iterator<Item = Asset> {
    [STYLE, HTMX, ICON].into_iter().chain(*SCRIPTS)
}

/// What stands in the addresses of all files: a hash over them.
pub fn version() -> &'static str {
    &VERSION
}

static VERSION: LazyLock<String> = LazyLock::new(|| {
    let all: Vec<u8> = all().flat_map(|a| a.bytes).copied().collect();
    sha256_hex(&all)[..12].to_owned()
});

/// All files as gzip writes them, once for the life of the process and when one is first asked for.
/// Brotli would save another tenth, and its encoder costs the binary more than the files have.
static GZIPPED: LazyLock<Vec<(&'static str, Vec<u8>)>> = LazyLock::new(|| {
    let gzipped = |asset: Asset| {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        // Writing to memory does not fail; what is cut off nobody is to get.
        let written = encoder.write_all(asset.bytes).and_then(|()| encoder.finish());
        written.ok().map(|bytes| (asset.name, bytes))
    };
    all().filter_map(gzipped).collect()
});

impl Asset {
    /// The file as gzip writes it.
    pub fn gzipped(&self) -> Option<&'static [u8]> {
        let found = GZIPPED.iter().find(|(name, _)| *name == self.name);
        found.map(|(_, bytes)| bytes.as_slice())
    }
}

/// The file of that name.
pub fn find(name: &str) -> Option<Asset> {
    all().find(|asset| asset.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stylesheet_and_scripts_stay_small() {
        assert!(STYLE.bytes.len() < 20_000, "{}", STYLE.bytes.len());
        let scripts: usize = SCRIPTS.iter().map(|script| script.bytes.len()).sum();
        assert!(scripts < 10_000, "{scripts}");
    }

    #[test]
    fn nothing_is_loaded_from_elsewhere() {
        for asset in [STYLE, ICON].into_iter().chain(*SCRIPTS) {
            let text = std::str::from_utf8(asset.bytes).unwrap();
            let text = text.replace("http://www.w3.org/2000/svg", "");
            assert!(!text.contains("http://") && !text.contains("https://"), "{}", asset.name);
            assert!(!text.contains("@import"), "{}", asset.name);
        }
    }
}
