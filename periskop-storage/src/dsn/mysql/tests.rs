use proptest::prelude::*;

use super::*;

fn parse(text: &str) -> MySqlDsn {
    MySqlDsn::parse(text).unwrap_or_else(|e| panic!("{text}: {e}"))
}

fn problem(text: &str) -> String {
    MySqlDsn::parse(text).unwrap_err().to_string()
}

/// User, password and database.
fn who(dsn: &MySqlDsn) -> [&str; 3] {
    [&dsn.user, dsn.password.expose(), &dsn.database]
}

#[test]
fn a_url_names_user_password_host_port_and_database() {
    for scheme in ["mysql", "mariadb", "MySQL"] {
        let dsn = parse(&format!("{scheme}://me:p%40ss%2Fword@db.example:3307/my%20db"));
        assert_eq!(who(&dsn), ["me", "p@ss/word", "my db"]);
        assert_eq!(dsn.to_string(), "mysql://me@db.example:3307/my%20db");
        let options = dsn.connect_options();
        assert_eq!(options.get_username(), "me");
        assert_eq!((options.get_host(), options.get_port()), ("db.example", 3307));
        assert_eq!(options.get_database(), Some("my db"));
    }
    assert_eq!(parse("mysql://me@db/x").to_string(), "mysql://me@db:3306/x");
}

#[test]
fn the_dsn_of_gorms_handbook_is_understood() {
    let dsn = parse(
        "gorm:gorm@tcp(localhost:9910)/gorm?charset=utf8mb4&parseTime=True&loc=Asia%2FShanghai",
    );
    assert_eq!(who(&dsn), ["gorm", "gorm", "gorm"]);
    assert_eq!(dsn, parse("mysql://gorm:gorm@localhost:9910/gorm"));
}

#[test]
fn in_gos_form_a_password_may_contain_anything() {
    for password in ["p@ss", "p/w", "p:w", "p(w)", "tcp(x)/y?z", "%zz", "p@tcp(db)/x", "#?&", "ü"]
    {
        let dsn = parse(&format!("me:{password}@tcp(db:1)/x"));
        assert_eq!(who(&dsn), ["me", password, "x"]);
        assert_eq!(dsn.to_string(), "mysql://me@db:1/x");
    }
}

#[test]
fn in_gos_form_the_address_has_defaults() {
    for (text, shown) in [
        ("/x", "mysql://127.0.0.1:3306/x"),
        ("me@/x", "mysql://me@127.0.0.1:3306/x"),
        ("me@tcp/x", "mysql://me@127.0.0.1:3306/x"),
        ("me@tcp()/x", "mysql://me@127.0.0.1:3306/x"),
        ("me@(db)/x", "mysql://me@db:3306/x"),
        ("me@tcp(db)/x", "mysql://me@db:3306/x"),
        ("me@tcp(:3307)/x", "mysql://me@127.0.0.1:3307/x"),
        ("me@tcp([de:ad:be:ef::ca:fe]:80)/x", "mysql://me@[de:ad:be:ef::ca:fe]:80/x"),
        ("me@tcp([::1])/x", "mysql://me@[::1]:3306/x"),
        ("me@unix/x", "mysql://me@/x?socket=/tmp/mysql.sock"),
        ("me@unix(/run/my.sock)/x", "mysql://me@/x?socket=/run/my.sock"),
        ("me@tcp(db)/a%2Fb", "mysql://me@db:3306/a%2Fb"),
    ] {
        let dsn = parse(text);
        assert_eq!(dsn.to_string(), shown, "{text}");
        assert_eq!(parse(shown), dsn);
    }
    let socket = parse("me@unix(/run/my.sock)/x").connect_options();
    assert_eq!(socket.get_socket().map(|path| path.as_path()), Some("/run/my.sock".as_ref()));
}

#[test]
fn nobody_becomes_root_unasked() {
    for text in ["/x", "tcp(db)/x", "mysql://db/x"] {
        assert_eq!(parse(text).connect_options().get_username(), "", "{text}");
    }
}

#[test]
fn a_database_must_be_named() {
    for text in ["/", "me@tcp(db)/", "me@tcp(db)/?timeout=1s", "mysql://me@db", "mysql://me@db/"] {
        assert_eq!(problem(text), "the database's name is missing", "{text}");
    }
}

#[test]
fn tls_is_gos_or_mysqls() {
    for (parameters, expected) in [
        ("", "Preferred"),
        ("?tls=true", "VerifyIdentity"),
        ("?tls=1", "VerifyIdentity"),
        ("?tls=false", "Disabled"),
        ("?tls=skip-verify", "Required"),
        ("?tls=preferred", "Preferred"),
        ("?ssl-mode=DISABLED", "Disabled"),
        ("?ssl-mode=required", "Required"),
        ("?sslmode=VERIFY_CA", "VerifyCa"),
        ("?ssl_mode=verify-identity", "VerifyIdentity"),
    ] {
        for address in ["me@tcp(db)/x", "mysql://me@db/x"] {
            let options = parse(&format!("{address}{parameters}")).connect_options();
            assert_eq!(format!("{:?}", options.get_ssl_mode()), expected, "{address}{parameters}");
        }
    }
    assert!(problem("/x?tls=custom").starts_with("tls: expected true, false, skip-verify or"));
    assert!(problem("/x?ssl-mode=on").starts_with("ssl-mode: expected disabled, preferred"));
    assert_eq!(problem("mysql://x/y?ssl-key=/k"), "ssl-cert and ssl-key need each other");
    let dsn = parse("mysql://x/y?ssl-ca=/ca&ssl-cert=/c&ssl-key=/k").parameters;
    assert_eq!([dsn.ca, dsn.cert, dsn.key].map(Option::unwrap), ["/ca", "/c", "/k"]);
}

#[test]
fn a_timeout_is_gos() {
    let timeout = |text| parse(text).connect_timeout();
    assert_eq!(timeout("/x?timeout=1m30s"), Some(Duration::from_secs(90)));
    assert_eq!(timeout("mysql://db/x?timeout=0.5s"), Some(Duration::from_millis(500)));
    assert_eq!(timeout("/x?timeout=0s"), None);
    assert_eq!(timeout("/x"), None);
    assert_eq!(problem("/x?timeout=30"), "timeout: expected a duration such as 30s");
}

#[test]
fn parameters_that_only_change_gos_driver_are_ignored() {
    let plain = parse("me@tcp(db)/x");
    for parameters in [
        "charset=latin1&collation=latin1_swedish_ci",
        "parseTime=true&loc=Local&timeTruncate=1ms&tinyInt1IsBool=false",
        "readTimeout=30s&writeTimeout=30s&maxAllowedPacket=0&compress=true",
        "multiStatements=true&interpolateParams=true&columnsWithAlias=true&clientFoundRows=true",
        "allowNativePasswords=false&allowOldPasswords=true&allowAllFiles=true",
        "checkConnLiveness=false&rejectReadOnly=true&allowFallbackToPlaintext=true",
        "connectionAttributes=program_name%3Aperiskop&PARSETIME=1",
    ] {
        assert_eq!(parse(&format!("me@tcp(db)/x?{parameters}")), plain, "{parameters}");
        assert_eq!(parse(&format!("mysql://me@db/x?{parameters}")), plain, "{parameters}");
    }
    let options = plain.connect_options();
    assert_eq!((options.get_charset(), options.get_collation()), ("utf8mb4", None));
}

#[test]
fn system_variables_are_ignored_in_gos_form_only() {
    let text = "me@tcp(db)/x?sql_mode=%27ANSI%27&tx_isolation=%27SERIALIZABLE%27";
    assert_eq!(parse(text), parse("me@tcp(db)/x"));
    assert_eq!(problem("mysql://me@db/x?sql_mode=ANSI"), "unknown parameter \"sql_mode\"");
    assert_eq!(problem("/x?sslmod=required"), "unknown parameter \"sslmod\"");
    assert_eq!(problem("/x?tls-mode=true"), "unknown parameter \"tls-mode\"");
    assert!(problem("/x?serverPubKey=mine").starts_with("parameter serverPubKey: not supported"));
}

#[test]
fn what_sqlx_knows_is_understood() {
    let dsn = parse("mysql://me@/x?socket=/run/my.sock&statement-cache-capacity=0");
    assert_eq!(dsn.parameters.statement_cache_capacity, Some(0));
    assert_eq!(dsn.to_string(), "mysql://me@/x?socket=/run/my.sock");
    assert!(parse("/x?allowCleartextPasswords=true").parameters.allows_cleartext);
    assert!(problem("/x?statement-cache-capacity=x").contains("0 to 65535"));
    assert!(problem("/x?allowCleartextPasswords=yes").contains("true or false"));
}

#[test]
fn a_mistake_is_named_and_nothing_is_quoted() {
    for (text, message) in [
        ("", "is empty"),
        ("me:secret@tcp(db)", "expected mysql://user:password@host:port/database or"),
        ("me:sec/ret@tcp(db)", "address: expected tcp(host:port) or unix(path)"),
        ("me:1@tcp/secret@tcp(db)", "an `@` after the address"),
        ("me:secret@udp(db)/x", "address: expected tcp(host:port) or unix(path)"),
        ("me:secret@db/x", "address: expected tcp(host:port) or unix(path)"),
        ("me:secret/x", "address: expected tcp(host:port) or unix(path)"),
        ("me:secret@tcp(db/x", "address: expected a closing `)`"),
        ("me@tcp(db)/x?loc=Asia/Shanghai", "parameters: expected no `/`, which is written %2F"),
        ("me@tcp(db:secret)/x", "port: expected a number of 1 to 65535"),
        ("me@tcp(a secret)/x", "host: expected a name or an IP address"),
        ("me@tcp(a:1,b:2)/x", "several hosts are not supported"),
        ("me@tcp(db)/sec%ret", "database: a `%` is not followed by"),
        ("me@tcp(db)/x?a=%ff", "parameters: a `%` is not followed by"),
        ("mysql://me:secret@tcp(db:3306)/x", "port: expected a number"),
        ("mysql://me:se/cret@db/x", "an `@` after the address"),
        ("postgres://me:secret@db/x", "address: expected tcp(host:port) or unix(path)"),
        ("me:se\0cret@/x", "DSN: expected no NUL"),
    ] {
        let problem = problem(text);
        assert!(problem.starts_with(message), "{text}: {problem}");
        assert!(!problem.contains("secret") && !problem.contains("cret"), "{problem}");
    }
}

proptest! {
    #[test]
    fn reading_is_total(
        text in any::<String>(),
        go in r"(a|:|@|tcp|unix|\(|\)|/|\?|=|&|%|\[|\]|,|1){0,14}",
        url in r"mysql://[a-z:@/?#&=%,\[\]0-9]{0,30}",
    ) {
        for text in [text, go, url] {
            if let Ok(dsn) = MySqlDsn::parse(&text) {
                let _ = (dsn.to_string(), format!("{dsn:?}"), dsn.connect_options());
            }
        }
    }

    #[test]
    fn what_is_written_reads_back(
        user in "[^\0:]{1,20}",
        password in "[^\0]{1,20}",
        host in "[a-z0-9.-]{1,20}|::1",
        port in 1u16..,
        database in "[^\0]{1,20}",
    ) {
        prop_assume!(!user.eq_ignore_ascii_case("mysql") && !user.eq_ignore_ascii_case("mariadb"));
        let encoded = |text: &str| {
            let bytes = text.bytes();
            bytes.map(|byte| format!("%{byte:02X}")).collect::<String>()
        };
        let address = if host.contains("::") { format!("[{host}]") } else { host };
        let database_encoded = encoded(&database);
        let go = parse(&format!("{user}:{password}@tcp({address}:{port})/{database_encoded}"));
        prop_assert_eq!(who(&go), [&*user, &*password, &*database]);

        let (user, password) = (encoded(&user), encoded(&password));
        let url = parse(&format!("mysql://{user}:{password}@{address}:{port}/{database_encoded}"));
        prop_assert_eq!(&url, &go);

        // What is shown is the same without the password.
        let shown = parse(&url.to_string());
        prop_assert_eq!(&shown, &MySqlDsn { password: Secret::default(), ..url });
    }

    #[test]
    fn a_password_is_never_shown(
        before in r"[ -~]{0,6}",
        after in r"[ -~]{0,6}",
        form in 0..4usize,
    ) {
        let password = format!("{before}hunter2{after}");
        let text = match form {
            0 => format!("mysql://me:{password}@db.example:3306/x"),
            1 => format!("me:{password}@tcp(db.example)/x?timeout=1s"),
            2 => format!("me:{password}@db.example"),
            _ => format!("me:{password}@tcp(db.example)"),
        };
        let shown = match MySqlDsn::parse(&text) {
            Ok(dsn) => format!("{dsn} {dsn:?}"),
            Err(error) => format!("{error} {error:?}"),
        };
        prop_assert!(!shown.contains("hunter2"), "{}: {}", text, shown);
    }
}
