//! `repository`: where what is known is kept.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use periskop_core::config::{At, Fields, Problems, Secret};
use periskop_storage::{DsnError, MySqlDsn, PostgresDsn, SpecError, StoreSpec};

/// A file with a DSN is small; whatever is larger is another file.
const DSN_FILE_LIMIT: u64 = 64 << 10;

/// `type`, and with it `path` (sled, sqlite), or `dsn` or `dsn_file` (mysql, postgres).
///
/// A relative `path` counts from the current directory and not, as other files, from the
/// configuration's: so it does in the reference, and a move of the file must not lose the data.
/// `dsn_file` is our own and counts from the configuration's directory `dir`. It is read here, so
/// that a DSN that is wrong is a mistake of the configuration.
pub(super) fn decode(at: &At<'_>, problems: &mut Problems, dir: &Path) -> Option<StoreSpec> {
    let mut fields = Fields::new(at, problems)?;
    let kind = fields.string("type").filter(|kind| !kind.is_empty());
    let kind = kind.as_deref().unwrap_or("memory");
    let spec = match kind {
        "memory" => {
            refuse(&mut fields, kind, &["path", "dsn", "dsn_file"]);
            Some(StoreSpec::Memory)
        }
        "sled" => on_disk(&mut fields, kind, "periskop.sled", |path| StoreSpec::sled(path)),
        "sqlite" => on_disk(&mut fields, kind, "periskop.db", |path| StoreSpec::sqlite(path)),
        "postgres" => {
            by_dsn(&mut fields, kind, dir, |dsn| PostgresDsn::parse(dsn).map(StoreSpec::Postgres))
        }
        "mysql" => by_dsn(&mut fields, kind, dir, |dsn| MySqlDsn::parse(dsn).map(StoreSpec::MySql)),
        _ => {
            fields.problem(
                "type",
                format!(
                    "unknown repository type {kind:?}; expected memory, sled, sqlite, mysql or \
                     postgres"
                ),
            );
            // Known, so that they are no further problems.
            let _ = ["path", "dsn", "dsn_file"].map(|name| fields.has(name));
            None
        }
    };
    fields.finish();
    spec
}

fn on_disk(
    fields: &mut Fields<'_, '_>,
    kind: &str,
    default: &str,
    spec: impl Fn(&str) -> Result<StoreSpec, SpecError>,
) -> Option<StoreSpec> {
    refuse(fields, kind, &["dsn", "dsn_file"]);
    let path = fields.string("path").filter(|path| !path.is_empty());
    let spec = spec(path.as_deref().unwrap_or(default));
    spec.map_err(|error| fields.problem("path", error)).ok()
}

fn by_dsn(
    fields: &mut Fields<'_, '_>,
    kind: &str,
    dir: &Path,
    spec: impl Fn(&str) -> Result<StoreSpec, DsnError>,
) -> Option<StoreSpec> {
    refuse(fields, kind, &["path"]);
    let dsn = fields.secret("dsn").filter(|dsn| !dsn.is_empty());
    let file = fields.string("dsn_file").filter(|file| !file.is_empty());
    match (dsn, file) {
        (Some(_), Some(_)) => {
            fields.problem("dsn_file", "at most one of dsn & dsn_file must be configured");
            None
        }
        (Some(dsn), None) => spec(dsn.expose()).map_err(|error| fields.problem("dsn", error)).ok(),
        (None, Some(file)) => {
            let file = dir.join(file);
            let read = read(&file).and_then(|dsn| spec(dsn.expose()).map_err(|e| e.to_string()));
            let named = |reason| format!("{}: {reason}", file.display());
            read.map_err(|reason| fields.problem("dsn_file", named(reason))).ok()
        }
        // One that is there and no text has been told already.
        (None, None) if is_set(fields, "dsn") || is_set(fields, "dsn_file") => None,
        (None, None) => {
            fields.problem("type", format!("repository type {kind:?} needs dsn or dsn_file"));
            None
        }
    }
}

/// Keys of other types: whoever sets one expects something that will not happen.
fn refuse(fields: &mut Fields<'_, '_>, kind: &str, names: &[&'static str]) {
    for &name in names {
        if is_set(fields, name) {
            fields.problem(name, format!("repository type {kind:?} has no {name}"));
        }
    }
}

/// Null and the empty text are how a template leaves something out.
fn is_set(fields: &mut Fields<'_, '_>, name: &'static str) -> bool {
    fields.node(name).is_some_and(|at| !at.node.is_null() && at.node.text() != Some(""))
}

/// The text of a file without the white space around it, as of all files with a secret.
fn read(file: &Path) -> Result<Secret, String> {
    let metadata = file.metadata().map_err(|e| e.to_string())?;
    // A pipe could keep a reload waiting for ever.
    if !metadata.is_file() {
        return Err("is not a file".to_owned());
    }
    let mut text = String::new();
    let opened = File::open(file).map_err(|e| e.to_string())?;
    opened.take(DSN_FILE_LIMIT + 1).read_to_string(&mut text).map_err(|e| e.to_string())?;
    if text.len() as u64 > DSN_FILE_LIMIT {
        return Err(format!("larger than {DSN_FILE_LIMIT} bytes"));
    }
    Ok(Secret::new(text.trim()))
}

#[cfg(test)]
mod tests {
    use periskop_core::config;

    use super::*;

    /// The store that a section asks for.
    fn decode_in(dir: &Path, section: &str) -> Result<StoreSpec, String> {
        let root = config::parse(section).unwrap_or_else(|p| panic!("{p}"));
        let spec = config::decode(&root, |at, problems| decode(at, problems, dir));
        spec.map_err(|problems| problems.to_string())
    }

    /// Its name, or what is wrong.
    fn name(section: &str) -> String {
        match decode_in(Path::new("/etc/periskop"), section) {
            Ok(spec) => spec.to_string(),
            Err(problems) => problems,
        }
    }

    #[test]
    fn memory_is_the_default() {
        for section in ["", "{}", "type:", "type: ''", "type: memory", "{path: '', dsn: null}"] {
            assert_eq!(name(section), "memory", "{section}");
        }
    }

    #[test]
    fn a_store_on_disk_has_a_default_path() {
        assert_eq!(name("type: sqlite"), "sqlite:periskop.db");
        assert_eq!(name("type: sled"), "sled:periskop.sled");
        assert_eq!(name("{type: sled, path: ''}"), "sled:periskop.sled");
    }

    #[test]
    fn a_relative_path_counts_from_the_current_directory() {
        assert_eq!(name("{type: sqlite, path: data/p.db}"), "sqlite:data/p.db");
        assert_eq!(name("{type: sled, path: /var/lib/p}"), "sled:/var/lib/p");
    }

    #[test]
    fn a_database_is_named_by_a_url_or_by_gos_dsn() {
        for (section, expected) in [
            (
                "{type: postgres, dsn: 'postgres://me:hunter2@db/errors'}",
                "postgres://me@db:5432/errors",
            ),
            (
                "{type: postgres, dsn: host=db user=me password=hunter2 dbname=errors port=9920}",
                "postgres://me@db:9920/errors",
            ),
            ("{type: mysql, dsn: 'mysql://me:hunter2@db/errors'}", "mysql://me@db:3306/errors"),
            (
                "{type: mysql, dsn: 'me:hunter2@tcp(db:3307)/errors?parseTime=True&loc=Local'}",
                "mysql://me@db:3307/errors",
            ),
        ] {
            assert_eq!(name(section), expected);
        }
    }

    #[test]
    fn a_dsn_may_stand_in_a_file_beside_the_configuration() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("dsn"), "me:hunter2@tcp(db)/errors\n").unwrap();
        let spec = decode_in(dir.path(), "{type: mysql, dsn_file: dsn}").unwrap();
        assert_eq!(spec.to_string(), "mysql://me@db:3306/errors");

        let problem = decode_in(dir.path(), "{type: postgres, dsn_file: dsn}").unwrap_err();
        let expected = "/dsn: character 26: expected `=` after a keyword";
        assert!(problem.contains(expected) && !problem.contains("hunter2"), "{problem}");

        std::fs::write(dir.path().join("big"), "a".repeat(100_000)).unwrap();
        for (file, expected) in
            [("none", "No such file"), ("..", "is not a file"), ("big", "larger than 65536 bytes")]
        {
            let section = format!("type: mysql\ndsn_file: {file}");
            let problem = decode_in(dir.path(), &section).unwrap_err();
            assert!(problem.starts_with("line 2, column 1: dsn_file: "), "{problem}");
            assert!(problem.contains(expected), "{problem}");
        }
    }

    #[test]
    fn keys_of_another_type_are_named() {
        for (kind, names) in [
            ("memory", &["path", "dsn", "dsn_file"][..]),
            ("sled", &["dsn", "dsn_file"]),
            ("sqlite", &["dsn", "dsn_file"]),
        ] {
            for name in names {
                let problem = self::name(&format!("type: {kind}\n{name}: secret"));
                let message = format!("repository type \"{kind}\" has no {name}");
                assert_eq!(problem, format!("line 2, column 1: {name}: {message}"));
            }
        }
        let problem = name("type: mysql\ndsn: /x\npath: y");
        assert_eq!(problem, "line 3, column 1: path: repository type \"mysql\" has no path");
    }

    #[test]
    fn every_problem_has_its_place_and_quotes_no_secret() {
        for (section, expected) in [
            ("type: postgres", "line 1, column 1: type: repository type \"postgres\" needs dsn or"),
            ("{type: mysql, dsn: ''}", "line 1, column 2: type: repository type \"mysql\" needs"),
            (
                "type: mysql\ndsn: /x\ndsn_file: y",
                "line 3, column 1: dsn_file: at most one of dsn & dsn_file",
            ),
            ("type: mysql\ndsn: me:secret@db/x", "line 2, column 1: dsn: address: expected tcp("),
            ("type: postgres\ndsn: secret", "line 2, column 1: dsn: character 7: expected `=`"),
            (
                "type: mysql\ndsn: [secret]",
                "line 2, column 6: dsn: expected a string, found a list",
            ),
            (
                "type: sqlite\npath: ':memory:'",
                "line 2, column 1: path: expected the path of a file",
            ),
            (
                "type: redis\ndsn: secret",
                "line 1, column 1: type: unknown repository type \"redis\"",
            ),
            (
                "type: sled\npaht: x",
                "line 2, column 1: unknown field \"paht\", did you mean \"path\"",
            ),
        ] {
            let problems = name(section);
            let first = problems.lines().next().unwrap_or_default();
            assert!(first.starts_with(expected), "{section}: {problems}");
            assert!(!problems.contains("secret"), "{problems}");
        }
    }
}
