//! Which frames of a stack trace a reader wants to see first.
//!
//! A guess from how frames look in the languages that have clients: it decides what is folded,
//! never what is kept.

use super::text::Text;

/// Consecutive frames of a stack trace that are shown alike.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Frames {
    /// A frame of the application.
    Own(Text),
    /// A frame of a library that is worth its line: where it was thrown.
    Library(Text),
    /// Frames of libraries, folded.
    Folded(Vec<Text>),
}

/// The longest frame that is shown, in characters.
const LONGEST_FRAME: usize = 2_000;

/// A run of library frames shorter than this costs less than the line that would fold it.
const WORTH_FOLDING: usize = 2;

/// Of a trace without a frame of the application, this many are shown.
const SHOWN_OF_LIBRARY: usize = 8;

/// Groups frames, in their order.
pub fn group<'a>(lines: impl Iterator<Item = &'a str>) -> Vec<Frames> {
    let frames = join(lines);
    let shown = if frames.iter().all(|(library, _)| *library) { SHOWN_OF_LIBRARY } else { 1 };
    // Python tells the innermost frame last.
    let turned = frames.first().is_some_and(|(_, frame)| is_python(frame));
    let of = frames.len();
    let mut groups = Vec::new();
    let mut run = Vec::new();
    for (i, (library, frame)) in frames.into_iter().enumerate() {
        let frame = Text::clip(&frame, LONGEST_FRAME);
        let depth = if turned { of - 1 - i } else { i };
        if library && depth >= shown {
            run.push(frame);
            continue;
        }
        fold(&mut run, &mut groups);
        groups.push(if library { Frames::Library(frame) } else { Frames::Own(frame) });
    }
    fold(&mut run, &mut groups);
    groups
}

/// Whole frames, and whether they are of libraries. Python's and Go's clients tell one frame in
/// several lines: where, then what stands there.
fn join<'a>(lines: impl Iterator<Item = &'a str>) -> Vec<(bool, String)> {
    let mut frames: Vec<(bool, String)> = Vec::new();
    for line in lines {
        match frames.last_mut() {
            Some((_, frame)) if is_continued(line) => {
                frame.push('\n');
                frame.push_str(line);
            }
            _ => frames.push((is_library(line), line.to_owned())),
        }
    }
    frames
}

/// Python indents the source below its `  File "…"` by four blanks, Go by a tab. Java and Node
/// indent their frames, too, and begin them with `at`.
fn is_continued(line: &str) -> bool {
    let rest = line.strip_prefix('\t').or_else(|| line.strip_prefix("    "));
    rest.is_some_and(|rest| !rest.trim_start().starts_with("at "))
}

fn is_python(frame: &str) -> bool {
    frame.starts_with(PYTHONS_HEADING) || frame.trim_start().starts_with("File \"")
}

const PYTHONS_HEADING: &str = "Traceback (most recent call last):";

fn fold(run: &mut Vec<Text>, groups: &mut Vec<Frames>) {
    let run = std::mem::take(run);
    if run.len() >= WORTH_FOLDING {
        groups.push(Frames::Folded(run));
    } else {
        groups.extend(run.into_iter().map(Frames::Library));
    }
}

/// Parts of paths under which languages install what somebody else wrote.
const PATHS: [&str; 19] = [
    "/site-packages/",
    "/dist-packages/",
    "/python3.",
    "\"python3.",
    "<frozen ",
    "node_modules/",
    "node:",
    "(internal/",
    "/pkg/mod/",
    "/go/src/",
    "/libexec/src/",
    "/gems/",
    "/lib/ruby/",
    "<internal:",
    "/rustc/",
    "/.cargo/registry/",
    "/usr/include/",
    "/vendor/bundle/",
    "/src/runtime/",
];

/// How frames of Go's standard library begin where a binary was built with `-trimpath`, or by the
/// toolchain's own build. What is imported from elsewhere begins with a host.
const GO_PACKAGES: [&str; 22] = [
    "bufio/",
    "bytes/",
    "compress/",
    "context/",
    "crypto/",
    "database/sql/",
    "encoding/",
    "errors/",
    "fmt/",
    "internal/",
    "io/",
    "net/",
    "os/",
    "reflect/",
    "regexp/",
    "runtime/",
    "sort/",
    "strconv/",
    "strings/",
    "sync/",
    "testing/",
    "time/",
];

/// Packages of the Java world that are no application, and .NET's.
const PACKAGES: [&str; 33] = [
    "java.",
    "javax.",
    "jakarta.",
    "jdk.",
    "sun.",
    "com.sun.",
    "kotlin.",
    "kotlinx.",
    "scala.",
    "groovy.",
    "clojure.",
    "akka.",
    "play.",
    "reactor.",
    "rx.",
    "io.netty.",
    "io.grpc.",
    "io.vertx.",
    "io.micronaut.",
    "io.quarkus.",
    "org.apache.",
    "org.codehaus.",
    "org.eclipse.",
    "org.hibernate.",
    "org.junit.",
    "org.postgresql.",
    "org.springframework.",
    "com.fasterxml.",
    "com.google.common.",
    "com.mysql.",
    "com.zaxxer.",
    "System.",
    "Microsoft.",
];

fn is_library(frame: &str) -> bool {
    if PATHS.iter().any(|path| frame.contains(path)) {
        return true;
    }
    let frame = frame.trim_start();
    if frame == PYTHONS_HEADING || is_gos(frame) {
        return true;
    }
    let frame = frame.strip_prefix("at ").unwrap_or(frame);
    // Java writes the module before the class: `java.base/sun.nio.ch.Net.connect(Net.java:1)`.
    let call = frame.split('(').next().unwrap_or(frame);
    let class = call.rsplit('/').next().unwrap_or(call);
    PACKAGES.iter().any(|package| class.starts_with(package))
}

/// A file of Go's standard library, or of a module in the cache: `example.com/m@v1.2.3/file.go:4`.
fn is_gos(frame: &str) -> bool {
    let file = [".go:", ".s:"].iter().find_map(|end| frame.split_once(end)).map(|(file, _)| file);
    file.is_some_and(|file| {
        GO_PACKAGES.iter().any(|package| file.starts_with(package))
            || file.split('/').any(|part| {
                part.split_once("@v")
                    .is_some_and(|(_, v)| v.starts_with(|c: char| c.is_ascii_digit()))
            })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_of_libraries_are_told_from_the_applications() {
        for (frame, library) in [
            (
                "at com.zaxxer.hikari.pool.HikariPool.createTimeoutException(HikariPool.java:696)",
                true,
            ),
            (
                "\tat java.base/sun.nio.ch.NioSocketImpl.timedFinishConnect(NioSocketImpl.java:546)",
                true,
            ),
            ("at com.example.checkout.OrderRepository.find(OrderRepository.java:88)", false),
            ("com.soundcloud.Api.call(Api.scala:12)", false),
            (r#"File "/usr/lib/python3.11/json/decoder.py", line 355, in raw_decode"#, true),
            (r#"File "/srv/app/views.py", line 12, in index"#, false),
            ("/usr/local/go/src/net/http/server.go:2007 (0x6d9f12)", true),
            ("/home/ci/shop/cart.go:41 (0x8a1b2c)", false),
            ("at Layer.handle (/app/node_modules/express/lib/router/layer.js:95:5)", true),
            ("at checkout (/app/src/cart.js:10:3)", false),
            ("/usr/lib/ruby/gems/3.1.0/gems/rack-2.2/lib/rack.rb:5:in `call'", true),
            // As the samples of the published clients have them.
            ("gen/main.go:36", false),
            ("internal/runtime/atomic/types.go:194", true),
            ("runtime/asm_amd64.s:1771", true),
            ("github.com/periskop-dev/periskop-go@v0.0.0-20220512172842/collector.go:57", true),
            ("Traceback (most recent call last):", true),
            ("  File \"gen.py\", line 11, in <module>", false),
            ("gen.rb:8:in `block in <main>'", false),
            ("gen.Gen$.main(Gen.scala:9)", false),
            ("org.codehaus.mojo.exec.ExecJavaMojo$1.run(ExecJavaMojo.java:279)", true),
            ("", false),
        ] {
            assert_eq!(is_library(frame), library, "{frame}");
        }
    }

    fn sketch(frames: &[&str]) -> String {
        group(frames.iter().copied())
            .iter()
            .map(|frames| match frames {
                Frames::Own(_) => "O".to_owned(),
                Frames::Library(_) => "l".to_owned(),
                Frames::Folded(run) => format!("[{}]", run.len()),
            })
            .collect()
    }

    #[test]
    fn a_frame_of_several_lines_stays_one() {
        let python = [
            "  File \"gen.py\", line 6, in a",
            "    def a(): return json.loads('{')",
            "                    ^^^^^^^^^^^^^^^",
            "  File \"python3.11/json/__init__.py\", line 346, in loads",
            "    return _default_decoder.decode(s)",
            "  File \"python3.11/json/decoder.py\", line 337, in decode",
        ];
        assert_eq!(sketch(&python), "Oll", "the innermost frame is the last one");
        let deep = [&["Traceback (most recent call last):"], &python[..], &python[3..]].concat();
        assert_eq!(sketch(&deep), "lO[3]l");
        let go = [
            "/src/shop/cart.go:40",
            "\tcheckout: return pay(cart)",
            "/go/src/net/http/server.go:2286",
            "\tHandlerFunc.ServeHTTP: f(w, r)",
            "/go/pkg/mod/github.com/gorilla/mux@v1.7.4/mux.go:210",
            "\t(*Router).ServeHTTP: handler.ServeHTTP(w, req)",
        ];
        assert_eq!(sketch(&go), "O[2]");
        assert_eq!(group(go.into_iter())[0], Frames::Own(Text::new(go[..2].join("\n"))));
    }

    #[test]
    fn runs_of_library_frames_fold_but_for_the_first_frame() {
        let (l, o) = ("at java.X.y(X.java:1)", "at com.example.X.y(X.java:1)");
        assert_eq!(sketch(&[l, l, l, o, o, l, o, l, l]), "l[2]OOlO[2]");
        assert_eq!(sketch(&[o, l]), "Ol");
        assert_eq!(sketch(&[l; 12]), "llllllll[4]");
        assert_eq!(sketch(&[]), "");
    }
}
