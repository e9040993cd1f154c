use proptest::prelude::*;

use super::*;

fn parse(text: &str) -> PostgresDsn {
    PostgresDsn::parse(text).unwrap_or_else(|e| panic!("{text}: {e}"))
}

fn problem(text: &str) -> String {
    PostgresDsn::parse(text).unwrap_err().to_string()
}

fn parameter<'d>(dsn: &'d PostgresDsn, name: &str) -> Option<&'d str> {
    dsn.parameters.get(name).map(String::as_str)
}

fn mode(text: &str) -> String {
    format!("{:?}", parse(text).options.get_ssl_mode())
}

#[test]
fn a_url_names_user_password_host_port_and_database() {
    let dsn = parse("postgresql://me:p%40ss%2Fword@db.example:5433/my%20db?sslmode=require");
    assert_eq!(dsn.options.get_username(), "me");
    assert_eq!(parameter(&dsn, "password"), Some("p@ss/word"));
    assert!(format!("{:?}", dsn.connect_options()).contains("p@ss/word"), "sqlx's shows it");
    assert_eq!(dsn.options.get_host(), "db.example");
    assert_eq!(dsn.options.get_port(), 5433);
    assert_eq!(dsn.options.get_database(), Some("my db"));
    assert!(matches!(dsn.options.get_ssl_mode(), PgSslMode::Require));
}

#[test]
fn keywords_name_the_same() {
    let keywords = parse(
        r"host = db.example port=5433 user=me password='p@ss/word' dbname='my db' sslmode=require",
    );
    assert_eq!(keywords, parse("postgres://me:p%40ss%2Fword@db.example:5433/my%20db?ssl=true"));
    assert_eq!(parameter(&parse(r"host=x password='it\'s'"), "password"), Some("it's"));
    assert_eq!(parse("host=x database=y").options.get_database(), Some("y"));
}

#[test]
fn the_dsn_of_gorms_handbook_is_understood() {
    let dsn = parse(
        "host=localhost user=gorm password=gorm dbname=gorm port=9920 sslmode=disable \
         TimeZone=Asia/Shanghai",
    );
    assert_eq!(dsn.to_string(), "postgres://gorm@localhost:9920/gorm");
    assert!(!format!("{:?}", dsn.options).contains("Shanghai"), "times are numbers here");
}

#[test]
fn a_host_that_begins_with_a_slash_is_a_sockets_directory() {
    for text in [
        "host=/run/postgresql user=me dbname=x sslmode=require",
        "postgres://me@%2Frun%2Fpostgresql/x?sslmode=require",
        "postgres://me@/x?host=/run/postgresql",
    ] {
        let dsn = parse(text);
        assert_eq!(socket(&dsn.options).as_deref(), Some("/run/postgresql"), "{text}");
        assert!(matches!(dsn.options.get_ssl_mode(), PgSslMode::Disable), "no TLS on a socket");
        assert_eq!(dsn.to_string(), "postgres://me@/x?host=/run/postgresql");
    }
    let dsn = parse("host=/run/postgresql user=me port=5433");
    assert_eq!(dsn.to_string(), "postgres://me@?host=/run/postgresql&port=5433");
}

#[test]
fn an_ipv6_address_has_brackets_in_urls_only() {
    let dsn = parse("postgres://me@[::1]:5433/x");
    assert_eq!(dsn.options.get_host(), "::1");
    assert_eq!(dsn.to_string(), "postgres://me@[::1]:5433/x");
    assert_eq!(dsn, parse("host=::1 port=5433 user=me dbname=x"));
}

#[test]
fn hostaddr_is_where_the_connection_goes() {
    let dsn = parse("host=db.example hostaddr=192.0.2.1 user=me");
    assert_eq!(dsn.options.get_host(), "192.0.2.1");
    let verified = "host=db.example hostaddr=192.0.2.1 sslmode=verify-full";
    assert!(problem(verified).contains("give only one of host and hostaddr"));
    assert_eq!(problem("hostaddr=db"), "hostaddr: expected an IP address");
}

#[test]
fn sslmode_is_libpqs() {
    for (text, expected) in [
        ("host=x sslmode=disable", "Disable"),
        ("host=x sslmode=allow", "Prefer"),
        ("host=x sslmode=prefer", "Prefer"),
        ("host=x sslmode=require", "Require"),
        ("host=x sslmode=require sslrootcert=/ca.pem", "VerifyCa"),
        ("host=x sslmode=verify-ca", "VerifyCa"),
        ("host=x sslmode=Verify-Full", "VerifyFull"),
        ("host=x sslrootcert=system", "VerifyFull"),
        ("postgres://x?ssl-mode=verify-full&ssl-ca=/ca.pem", "VerifyFull"),
    ] {
        assert_eq!(mode(text), expected, "{text}");
    }
    assert!(problem("host=x sslmode=on").starts_with("sslmode: expected disable, allow,"));
    assert!(problem("host=x sslrootcert=system sslmode=require").contains("verify-full only"));
    assert_eq!(problem("host=x sslcert=/c.pem"), "sslcert and sslkey need each other");
    let dsn = parse("host=x sslcert=/c.pem sslkey=/k.pem sslrootcert=/ca.pem");
    let names = ["sslcert", "sslkey", "sslrootcert"].map(|name| parameter(&dsn, name));
    assert_eq!(names, [Some("/c.pem"), Some("/k.pem"), Some("/ca.pem")]);
}

#[test]
fn a_timeout_is_in_seconds_and_0_is_none() {
    let timeout = |text| parse(text).connect_timeout();
    assert_eq!(timeout("host=x connect_timeout=7"), Some(Duration::from_secs(7)));
    assert_eq!(timeout("postgres://x?connect_timeout=7"), Some(Duration::from_secs(7)));
    assert_eq!(timeout("host=x connect_timeout=0"), None);
    assert_eq!(timeout("host=x connect_timeout=-1"), None);
    assert_eq!(timeout("host=x"), None);
    assert_eq!(
        problem("host=x connect_timeout=7s"),
        "connect_timeout: expected a number of seconds"
    );
}

#[test]
fn the_last_of_several_wins_and_an_empty_one_is_absent() {
    assert_eq!(parse("host=a host=b").options.get_host(), "b");
    assert_eq!(parse("host=b port='' dbname="), parse("host=b"));
    assert_eq!(parse("postgres://a/x?host=b&dbname=y"), parse("host=b dbname=y"));
}

#[test]
fn other_parameters_are_the_servers() {
    let dsn = parse("host=x application_name=periskop search_path='a b' Statement_Timeout=5s");
    assert_eq!(dsn.options.get_application_name(), Some("periskop"));
    let options = dsn.options.get_options().unwrap_or_default();
    assert!(options.ends_with(r"-c search_path=a\ b -c statement_timeout=5s"), "{options}");
    let dsn = parse("postgres://x?options[search_path]=a&options=-c%20geqo%3Doff");
    let options = dsn.options.get_options().unwrap_or_default();
    assert!(options.ends_with("-c geqo=off -c search_path=a"), "{options}");
    let expected = "parameters: expected names of letters, digits, `_` and `.`";
    assert_eq!(problem("host=x a-b=c"), expected);
}

#[test]
fn what_our_own_statements_depend_on_cannot_be_set() {
    let plain = parse("host=x");
    for text in [
        "host=x client_encoding=latin1",
        "host=x TimeZone=Asia/Shanghai DateStyle=german extra_float_digits=0",
        "postgres://x?options[client_encoding]=latin1&options[TimeZone]=UTC",
        "host=x default_query_exec_mode=simple_protocol keepalives_idle=5 target_session_attrs=any",
    ] {
        assert_eq!(parse(text), plain, "{text}");
    }
}

#[test]
fn what_would_be_less_secure_ignored_is_refused() {
    for (text, message) in [
        (
            "host=x require_auth=scram-sha-256",
            "parameter require_auth: not supported; leave it out",
        ),
        (
            "host=x sslpassword=secret",
            "parameter sslpassword: not supported; leave it out, and use a key without a password",
        ),
        (
            "host=x channel_binding=require",
            "parameter channel_binding: not supported; leave it out",
        ),
        (
            "host=x target_session_attrs=standby",
            "parameter target_session_attrs: not supported; leave it out: a store is written to",
        ),
        ("postgres://x?sslverify=full", "unknown parameter \"sslverify\""),
    ] {
        assert_eq!(problem(text), message);
    }
}

#[test]
fn a_pooler_may_forbid_prepared_statements() {
    for name in ["statement_cache_capacity", "statement-cache-capacity"] {
        let dsn = parse(&format!("postgres://x?{name}=0"));
        assert_eq!(parameter(&dsn, "statement-cache-capacity"), Some("0"));
    }
    assert!(problem("host=x statement_cache_capacity=many").contains("0 to 65535"));
}

#[test]
fn a_mistake_is_named_and_nothing_is_quoted() {
    for (text, message) in [
        (" ", "is empty"),
        ("mysql://me:secret@db/x", "expected postgres://user:password@host:port/database or"),
        ("secret", "character 7: expected `=` after a keyword"),
        ("host=x password=my secret", "character 26: expected `=` after a keyword"),
        ("host=x port=secret", "port: expected a number of 1 to 65535"),
        ("host=x port=0", "port: expected a number of 1 to 65535"),
        ("host='a secret'", "host: expected a name or an IP address"),
        ("host=a,b", "several hosts are not supported"),
        ("host=a port=1,2", "several hosts are not supported"),
        ("postgres://me:x@a:1,b:2/db", "several hosts are not supported"),
        ("postgres://me:1/secret@db/x", "an `@` after the address"),
        ("postgres://me:1?secret=1@db/x", "an `@` after the address"),
        ("postgres://me:1#secret@db/x", "an `@` after the address"),
        ("postgres://db/x#secret", "URL: expected no `#`"),
        ("postgres://me:sec%ret@db/x", "password: a `%` is not followed by"),
        ("postgres://db/x?secret", "parameters: expected name=value"),
        ("host=x password=se\0cret", "DSN: expected no NUL"),
        ("postgres://me:se%00cret@x", "DSN: expected no NUL"),
    ] {
        let problem = problem(text);
        assert!(problem.starts_with(message), "{text}: {problem}");
        assert!(!problem.contains("secret"), "{problem}");
    }
}

proptest! {
    #[test]
    fn reading_is_total(
        text in any::<String>(),
        keywords in r"(host|user|ssl|[a-z\[]{1,3}|=|'|\\| |,|/){0,12}",
        url in r"postgres://[a-z:@/?#&=%,\[\]0-9]{0,30}",
    ) {
        for text in [text, keywords, url] {
            if let Ok(dsn) = PostgresDsn::parse(&text) {
                let _ = (dsn.to_string(), format!("{dsn:?}"));
            }
        }
    }

    #[test]
    fn what_is_written_reads_back(
        user in "[^\0]{1,20}",
        password in "[^\0]{1,20}",
        host in r"[a-z0-9.-]{1,20}|::1|/[^\x00]{1,20}",
        port in 1u16..,
        database in "[^\0]{1,20}",
    ) {
        let quoted = |text: &str| {
            format!("'{}'", text.replace('\\', r"\\").replace('\'', r"\'"))
        };
        let keywords = parse(&format!(
            "host={} port={port} user={} password={} dbname={} sslmode=disable",
            quoted(&host), quoted(&user), quoted(&password), quoted(&database),
        ));
        prop_assert_eq!(keywords.options.get_username(), &user);
        prop_assert_eq!(parameter(&keywords, "password"), Some(&*password));
        prop_assert_eq!(keywords.options.get_database(), Some(&*database));
        prop_assert_eq!(keywords.options.get_port(), port);
        match socket(&keywords.options) {
            Some(directory) => prop_assert_eq!(&directory, &host),
            None => prop_assert_eq!(keywords.options.get_host(), &host),
        }

        let encoded = |text: &str| {
            let bytes = text.bytes();
            bytes.map(|byte| format!("%{byte:02x}")).collect::<String>()
        };
        let address = if host == "::1" { format!("[{host}]") } else { encoded(&host) };
        let url = parse(&format!(
            "postgres://{}:{}@{address}:{port}/{}?sslmode=disable",
            encoded(&user), encoded(&password), encoded(&database),
        ));
        prop_assert_eq!(&url, &keywords);

        // What is shown is the same without the password.
        let shown = parse(&url.to_string());
        prop_assert_eq!(shown.to_string(), url.to_string());
        prop_assert_eq!(shown.options.get_username(), &user);
        prop_assert_eq!(shown.options.get_database(), Some(&*database));
    }

    #[test]
    fn a_password_is_never_shown(
        before in r"[ -~]{0,6}",
        after in r"[ -~]{0,6}",
        form in 0..4usize,
    ) {
        let password = format!("{before}hunter2{after}");
        let text = match form {
            0 => format!("postgres://me:{password}@db.example:5432/x"),
            1 => format!("host=db.example password={password} user=me dbname=x"),
            2 => format!("host=db.example user=me dbname=x password='{password}'"),
            _ => format!("me:{password}@db.example"),
        };
        let shown = match PostgresDsn::parse(&text) {
            Ok(dsn) => format!("{dsn} {dsn:?}"),
            Err(error) => format!("{error} {error:?}"),
        };
        prop_assert!(!shown.contains("hunter2"), "{}: {}", text, shown);
    }
}
