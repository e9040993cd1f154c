//! Pushing over TLS: an authority of one's own, and a certificate to show.

#![cfg(feature = "push")]

use std::sync::Arc;
use std::time::Duration;

use periskop_client::push::{Gateway, PushError};
use periskop_client::{Capture, Collector};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

/// An authority, and what it has signed for a server and a client, as PEM.
struct Certificates {
    ca: String,
    server: (String, String),
    client: (String, String),
}

impl Certificates {
    fn new() -> Self {
        let mut params = CertificateParams::new([]).expect("no names");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        let ca = params.self_signed(&key).expect("a certificate").pem();
        let issuer = Issuer::new(params, key);
        let signed = |name: &str| {
            let key = KeyPair::generate().expect("a key");
            let params = CertificateParams::new([name.to_owned()]).expect("a name");
            let certificate = params.signed_by(&key, &issuer).expect("a certificate");
            (certificate.pem(), key.serialize_pem())
        };
        Self { ca, server: signed("localhost"), client: signed("job") }
    }

    /// A gateway that takes pushes from whoever shows a certificate of the authority.
    async fn gateway(&self) -> String {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let certificate = |pem: &str| {
            CertificateDer::from_pem_slice(pem.as_bytes()).expect("it is a certificate")
        };
        let mut roots = RootCertStore::empty();
        roots.add(certificate(&self.ca)).expect("it is an authority");
        let verifier =
            WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone());
        let key = PrivateKeyDer::from_pem_slice(self.server.1.as_bytes()).expect("it is a key");
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("the versions of ring")
            .with_client_cert_verifier(verifier.build().expect("there is an authority"))
            .with_single_cert(vec![certificate(&self.server.0)], key)
            .expect("they belong together");
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let port = listener.local_addr().expect("it is bound").port();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let acceptor = acceptor.clone();
                tokio::spawn(async move {
                    let Ok(mut stream) = acceptor.accept(stream).await else { return };
                    let mut read = Vec::new();
                    let mut part = [0; 4096];
                    while !read.ends_with(b"]}") {
                        match stream.read(&mut part).await {
                            Ok(n) if n > 0 => read.extend_from_slice(&part[..n]),
                            _ => return,
                        }
                    }
                    let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
                    // Whoever hangs up has no use for it.
                    let _ = stream.write_all(answer).await;
                    let _ = stream.shutdown().await;
                });
            }
        });
        format!("https://localhost:{port}/errors")
    }
}

fn collector() -> Collector {
    let collector = Collector::new();
    collector.record(Capture::message("lost"));
    collector
}

#[tokio::test]
async fn an_authority_of_ones_own_is_trusted_and_a_certificate_shown() {
    let certificates = Certificates::new();
    let url = certificates.gateway().await;
    let (certificate, key) = certificates.client.clone();
    let gateway = Gateway::builder(&url)
        .timeout(Duration::from_secs(20))
        .ca_pem(certificates.ca.clone())
        .client_certificate_pem(certificate, key)
        .build()
        .unwrap();
    gateway.push_once_async(&collector()).await.unwrap();
}

#[tokio::test]
async fn certificates_in_files_are_read_anew() {
    let certificates = Certificates::new();
    let url = certificates.gateway().await;
    let directory = tempfile::tempdir().unwrap();
    let file = |name: &str| directory.path().join(name);
    let gateway = Gateway::builder(&url)
        .timeout(Duration::from_secs(20))
        .ca_file(file("ca"))
        .client_certificate_files(file("cert"), file("key"))
        .build()
        .unwrap();
    let write = |of: &Certificates| {
        std::fs::write(file("ca"), &of.ca).unwrap();
        std::fs::write(file("cert"), &of.client.0).unwrap();
        std::fs::write(file("key"), &of.client.1).unwrap();
    };
    write(&Certificates::new());
    let error = gateway.push_once_async(&collector()).await.unwrap_err();
    assert!(matches!(error, PushError::Unreachable { .. }), "{error:?}");
    write(&certificates);
    gateway.push_once_async(&collector()).await.unwrap();
}

#[tokio::test]
async fn a_stranger_is_not_trusted_and_files_that_are_no_certificates_are_told() {
    let certificates = Certificates::new();
    let url = certificates.gateway().await;
    let stranger = Gateway::builder(&url).timeout(Duration::from_secs(20)).build().unwrap();
    let error = stranger.push_once_async(&collector()).await.unwrap_err();
    assert!(matches!(error, PushError::Unreachable { .. }), "{error:?}");

    let (certificate, _) = certificates.client;
    let gateway = Gateway::builder(&url)
        .ca_pem(certificates.ca)
        .client_certificate_pem(certificate, "s3cr3t, but no key")
        .build()
        .unwrap();
    let error = gateway.push_once_async(&collector()).await.unwrap_err();
    let told = format!("{error} {error:?}");
    assert!(told.contains("the client's key") && !told.contains("s3cr3t"), "{told}");
}
