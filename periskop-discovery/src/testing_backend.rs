//! A backend for unit tests: it notes what it is asked, and says what it was told to say.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use url::Url;

/// Answers every request alike, on a socket of its own, for as long as the test runs.
pub(crate) struct Recorder {
    url: Url,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Recorder {
    pub(crate) async fn answering(status: u16, body: &str) -> Self {
        let body = body.to_owned();
        Self::answering_by(move |_| (status, body.clone())).await
    }

    /// Answers by what is asked: `METHOD PATH BODY`.
    pub(crate) async fn answering_by(
        answer: impl Fn(&str) -> (u16, String) + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a socket");
        let address = listener.local_addr().expect("an address");
        let requests = Arc::<Mutex<Vec<String>>>::default();
        let (noted, answer) = (requests.clone(), Arc::new(answer));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (noted, answer) = (noted.clone(), answer.clone());
                tokio::spawn(async move { serve(stream, &noted, &*answer).await });
            }
        });
        let url = Url::parse(&format!("http://{address}")).expect("a URL");
        Self { url, requests }
    }

    pub(crate) fn url(&self) -> Url {
        self.url.clone()
    }

    /// What was asked until now: `METHOD PATH BODY`.
    pub(crate) fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

async fn serve(
    mut stream: TcpStream,
    noted: &Mutex<Vec<String>>,
    answer: &(impl Fn(&str) -> (u16, String) + ?Sized),
) -> Option<()> {
    let mut bytes = Vec::new();
    let (head, length) = loop {
        stream.read_buf(&mut bytes).await.ok().filter(|n| *n > 0)?;
        let text = String::from_utf8_lossy(&bytes);
        if let Some(end) = text.find("\r\n\r\n") {
            let head = text[..end].to_owned();
            let length = head.lines().find_map(|line| {
                let (name, value) = line.split_once(':')?;
                name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse().ok())?
            });
            break (head, end + 4 + length.unwrap_or(0_usize));
        }
    };
    while bytes.len() < length {
        stream.read_buf(&mut bytes).await.ok().filter(|n| *n > 0)?;
    }
    let line = head.lines().next()?.strip_suffix(" HTTP/1.1")?;
    let body = String::from_utf8_lossy(&bytes).split_once("\r\n\r\n")?.1.to_owned();
    let request = format!("{line} {body}");
    let (status, body) = answer(&request);
    noted.lock().unwrap_or_else(PoisonError::into_inner).push(request);
    let length = body.len();
    let head = format!(
        "HTTP/1.1 {status} S\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\
         Connection: close\r\n\r\n"
    );
    stream.write_all(format!("{head}{body}").as_bytes()).await.ok()?;
    stream.shutdown().await.ok()
}
