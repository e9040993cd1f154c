//! Targets that do not answer delay nobody but themselves.

use std::net::SocketAddr;
use std::time::Duration;

use periskop_server::Periskop;
use periskop_server::config::Config;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};

use crate::support::{PATIENCE, Server, payload};

/// How far an instance that hangs gets.
#[derive(Clone, Copy)]
enum Hangs {
    /// It never answers.
    AtOnce,
    /// It begins to.
    InItsBody,
}

async fn hanging(hangs: Hangs) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let mut held = Vec::new();
        while let Ok((mut stream, _)) = listener.accept().await {
            if matches!(hangs, Hangs::InItsBody) {
                let begun =
                    b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{\"aggregated_errors\": [";
                stream.write_all(begun).await.unwrap();
            }
            held.push(stream);
        }
    });
    address
}

/// An instance that tells when it is asked.
async fn watched() -> (SocketAddr, mpsc::UnboundedReceiver<Instant>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (tell, asked) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        let body = payload(&["k"]);
        let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len());
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = [0; 4096];
            while stream.read(&mut request).await.is_ok_and(|n| n > 0) {
                // Once the test has seen enough nobody listens.
                let _ = tell.send(Instant::now());
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
        }
    });
    (address, asked)
}

async fn keeps_its_interval_beside(count: usize, hangs: Hangs) {
    const INTERVAL: Duration = Duration::from_millis(250);
    const TIMES: usize = 17;
    let (bad, (good, mut asked)) = (hanging(hangs).await, watched().await);
    // By their labels they are so many targets.
    let bad: Vec<String> =
        (0..count).map(|n| format!("{{targets: ['{bad}'], labels: {{n: '{n}'}}}}")).collect();
    let text = format!(
        "services:\n\
         - {{name: good, static_configs: [{{targets: ['{good}']}}], scraper: {{refresh_interval: 250ms}}}}\n\
         - {{name: hung, static_configs: [{}], scraper: {{refresh_interval: 1s, timeout: 1s}}}}\n",
        bad.join(", ")
    );
    let config = Config::parse(&text, std::path::Path::new("")).unwrap_or_else(|p| panic!("{p}"));
    let server = Server::serve(Periskop::builder().config(config).build()).await;
    let begun = Instant::now();
    let mut times = Vec::new();
    while times.len() < TIMES {
        let at = timeout(PATIENCE, asked.recv()).await.expect("it is asked").unwrap();
        // The first second, in which the others begin to hang, is none of it.
        if at.duration_since(begun) >= Duration::from_secs(1) {
            times.push(at);
        }
    }
    let took = times[TIMES - 1].duration_since(times[0]);
    let mean = took / u32::try_from(TIMES - 1).unwrap();
    assert!(mean.as_secs_f64() <= 1.1 * INTERVAL.as_secs_f64(), "every {mean:?} on average");
    drop(server);
}

#[tokio::test]
async fn who_answers_is_asked_as_often_as_ever_beside_sixteen_that_hang() {
    keeps_its_interval_beside(16, Hangs::AtOnce).await;
}

#[tokio::test]
async fn who_answers_is_asked_as_often_as_ever_beside_a_hundred_that_hang() {
    keeps_its_interval_beside(100, Hangs::AtOnce).await;
}

#[tokio::test]
async fn who_answers_is_asked_as_often_as_ever_beside_a_hundred_that_hang_in_their_answers() {
    keeps_its_interval_beside(100, Hangs::InItsBody).await;
}
